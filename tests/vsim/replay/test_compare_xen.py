"""The recordings of the series' own code, versions 1 and 4, on the machine."""

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import GOLDEN
from vsim.cli import main as cli
from vsim.replay import compare as replay
from vsim.replay.cases import CaseError
from vsim.replay.compare_xen import _ARGUMENTS, _LIMITS, play
from vsim.state.profile import profile

COUNTS = {"v1": 507, "v4": 708}


@cache
def loaded(version):
    return replay.load(GOLDEN / f"xen-{version}.jsonl.gz")


@pytest.fixture(params=COUNTS)
def recorded(request):
    return request.param, loaded(request.param)


def failures(cases, chosen):
    return [case.name for case in cases if replay.play(case, chosen)]


def test_every_recorded_case_passes_under_the_profile_of_its_version(recorded):
    version, cases = recorded
    assert (len(cases), failures(cases, profile(f"xen-{version}"))) == (COUNTS[version], [])


@pytest.mark.parametrize("version, quirk", [
    *(("v4", f"xen.D{n}") for n in (6, 8, 9, 10, 12, 13, 15, 16, 17, 20, 21, 23, 24, 27, 28, 34)),
    *(("v1", f"xen.D{n}") for n in (5, 8, 9, 10, 12, 17, 18, 20, 21, 37)),
])
def test_the_recordings_need_the_quirk(version, quirk):
    cases = loaded(version)
    without = profile(f"xen-{version}").without_quirks(quirk)
    assert any(replay.play(case, without) for case in cases)


def test_a_flipped_observation_is_found(recorded):
    version, cases = recorded
    case = next(case for case in cases if any(case.body["o"]))
    place = next(n for n, seen in enumerate(case.body["o"]) if seen)
    seen = case.body["o"][place]
    case.body["o"][place] = [*seen, ["S", 4, "0x1"]]
    try:
        difference = replay.play(case, profile(f"xen-{version}"))
    finally:
        case.body["o"][place] = seen
    assert difference.step == str(place)


def test_a_recording_of_the_series_wants_the_profile_of_its_version(recorded):
    version, cases = recorded
    with pytest.raises(CaseError, match=f"--profile xen-{version}"):
        replay.play(cases[0], profile("spec"))


def test_a_recording_of_qemu_is_refused_by_the_series():
    case = replay.load(GOLDEN / "eimoff.jsonl.gz")[0]
    with pytest.raises(CaseError, match="recorded from QEMU"):
        replay.play(case, profile("xen-v4"))


@pytest.mark.parametrize("version", COUNTS)
def test_the_command_counts_and_its_status_is_0(version, capsys):
    path = GOLDEN / f"xen-{version}.jsonl.gz"
    assert cli.main(["replay", "--profile", f"xen-{version}", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{COUNTS[version]} passed, 0 failed"


STEP = st.sampled_from(sorted(_ARGUMENTS)).flatmap(
    lambda name: st.tuples(*(st.integers(int(kind == "vcpus"), min(_LIMITS[kind], 40 if kind == "vcpus" else 1 << 64))
                             | st.sampled_from([0x18, 0x34, 0x90, 0x94, 0xB8, 0x88]).filter(
                                 lambda v, k=kind: v <= _LIMITS[k] and k != "vcpus")
                             for kind in _ARGUMENTS[name])).map(lambda values: [name, *values]))


@pytest.mark.parametrize("version", COUNTS)
@given(steps=st.lists(STEP, max_size=12))
def test_any_steps_end_in_observations(version, steps):
    head = {"xen": f"series {version}", "ram": 1 << 24}
    body = {"s": steps, "o": [[] for _ in steps], "end": {}}
    json.dumps([found for *_, found in play(head, body, profile(f"xen-{version}"))])
