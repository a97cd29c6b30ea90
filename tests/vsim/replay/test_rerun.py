"""A recorded run done again: everything compared, and proof that the comparison bites."""

import copy

import pytest

from tests.vsim.replay.runs import ROWS, UNIT, text
from vsim.replay import recording, rerun
from vsim.state import commands as c


def run_of(rows):
    return rerun.run(recording.parse(text(*rows)))


def test_a_run_that_the_machine_repeats():
    outcome = run_of(ROWS)
    assert outcome.same and not outcome.unlike
    assert {kind: tally.recorded for kind, tally in outcome.tallies.items()} == {
        "M": 1, "P": 0, "I": 2, "B": 1, "F": 1, "D": 2, "C": 1, "W": 1, "V": 1}
    assert all(tally.equal == tally.recorded for tally in outcome.tallies.values())


def test_vectors_are_acknowledged_and_timers_left_out():
    outcome = run_of(ROWS)
    assert outcome.commands.count(c.Acknowledge(1)) == 1
    assert outcome.commands.count(c.Msr(1, 0x80B, 0)) == 1      # the EOI of the timer's vector is not done
    assert not any(isinstance(one, c.Msr) and one.index == 0x838 for one in outcome.commands)
    assert len(outcome.lines) == len(outcome.commands)


@pytest.mark.parametrize("tag, place, value", [
    ("I", 1, 6), ("I", 2, "0x1"), ("M", 2, 2), ("M", 5, 0x42), ("F", 2, "0x1"), ("D", 1, "wait"), ("C", 1, 1),
    ("W", 2, "0x3"), ("V", 1, 0)])
def test_one_changed_value_is_found(tag, place, value):
    rows = copy.deepcopy(ROWS)
    row = next(row for row in rows if row[1] and any(seen[0] == tag for seen in row[1]))
    next(seen for seen in row[1] if seen[0] == tag)[place] = value
    outcome = run_of(rows)
    assert not outcome.same
    (unlike,) = outcome.unlike
    assert unlike.kind == tag and unlike.moment.line == rows.index(row) + 1 and unlike.recorded != unlike.found
    assert outcome.tallies[tag].equal == outcome.tallies[tag].recorded - 1


def test_what_only_one_of_the_two_does_is_found():
    rows = copy.deepcopy(ROWS)
    rows[-1][1].clear()
    outcome = run_of(rows)
    assert not outcome.same and {one.kind for one in outcome.unlike} == {"I", "B", "F"}
    assert [outcome.tallies[kind].more for kind in "IBF"] == [1, 1, 1]
    rows[-1][1].extend([*ROWS[-1][1], ["B"]])
    assert [one.kind for one in run_of(rows).unlike] == ["B"]


def test_a_read_without_a_value_is_done_and_not_compared():
    outcome = run_of([[["read", UNIT, 4], [], 0, 0]])
    assert outcome.commands == [c.MmioRead(UNIT, 4)] and outcome.same


def test_the_checker_judges_the_software_on_a_correct_unit():
    def names(rows):
        outcome = run_of(rows)
        return {(one.rule.name, outcome.lines[one.step]) for one in rerun.findings(outcome)}

    torn = list(copy.deepcopy(ROWS))
    torn[9][0][2] = torn[9][0][2][:16]
    torn.insert(13, [["ram", torn[9][0][1] + 8, ROWS[9][0][2][16:]], [], 0, 23])
    assert names(torn) - names(ROWS) >= {("torn-entry", 10)}
