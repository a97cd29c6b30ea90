"""The judged findings are those that the checker has, on recordings where there are any."""

from collections import Counter

import pytest

from tests.places import A_REAL_LINUX, GOLDEN, lab_file
from vsim.protocol.rules import RULES
from vsim.replay import recording, rerun
from vsim.replay.judged import DEBIAN, JUDGED, SHIPPED, SMALL, XEN


def test_every_row_has_a_rule_and_says_where_and_why():
    assert all(row.rule in RULES and row.where and row.why for row in JUDGED)
    rows = [(row.rule, name) for row in JUDGED for name in row.times]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", [SMALL, DEBIAN, SHIPPED, XEN])
def test_every_finding_of_a_recording_is_judged(name):
    ours = {SHIPPED: A_REAL_LINUX,
            XEN: GOLDEN / "runs" / f"{name}.jsonl.gz"}
    path = ours[name] if name in ours else lab_file(f"{name}/log.jsonl.gz")
    found = Counter(each.rule.name for each in rerun.findings(rerun.run(recording.load(path))))
    assert found == {row.rule: row.times[name] for row in JUDGED if name in row.times}
