"""The recordings of the series' own code, versions 1 and 4, on the machine."""

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import GOLDEN
from vsim.cli import main as cli
from vsim.devices import viommu
from vsim.layouts.formats import IEC as IEC_DESCRIPTOR
from vsim.layouts.formats import WAIT, remap_message
from vsim.machine import step
from vsim.replay import compare as replay
from vsim.replay.cases import CaseError
from vsim.replay.compare_xen import _ARGUMENTS, _LIMITS, play
from vsim.state import arrays
from vsim.state import commands as c
from vsim.state.arrays import MOST_EVENTS, Machine
from vsim.state.profile import profile
from vsim.state.trace import Act, Drop
from vsim.xen import bind
from vsim.xen import queue as xen_queue

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


# --- a queue that was made smaller (X 3.11, D24): the neighbourhood of the recorded cases ---

QUEUE = 0x300000
IEC = "0x4"


def shrunk(version, before, after, tail, broken=-1, first="0x4"):
    """A case: a queue of 2^before pages with this tail becomes one of 2^after; one descriptor of it may be broken."""
    words = [IEC] * (256 << after)
    words[0] = first
    if 0 <= broken < len(words):
        words[broken] = "0x0"
    drive = [["r4", 0]] if version == "v4" else [["w4", 52, "0x10"]]
    return {"s": [["w8", 144, hex(QUEUE | before)], *(["m16", hex(QUEUE + 16 * n), "0x0", word]
                                                     for n, word in enumerate(words)),
                  ["w4", 136, hex(tail << 4)], ["w8", 144, hex(QUEUE | after)], *drive],
            "end": None}


def last_step(version, body):
    """What the last step of a case is found to show."""
    body = {**body, "o": [[] for _ in body["s"]]}
    head = json.loads(json.dumps(loaded(version)[0].head))
    return list(play(head, body, profile(f"xen-{version}")))[-2][3]


@pytest.mark.parametrize("before, after, past", [
    (a, b, past) for a in range(1, 8) for b in range(a) for past in (0, 1, -1) if a < 5 or past < 0])
def test_a_queue_shrunk_below_its_tail_hangs_before_a_read_has_its_value(before, after, past):
    """Nothing of such a walk is ever seen, whatever sizes IQA.QS had and has; past -1: the last entry is the tail."""
    tail = (256 << before) - 1 if past < 0 else (256 << after) + past
    assert last_step("v4", shrunk("v4", before, after, tail)) == [["HANG"]]


@pytest.mark.parametrize("broken", [0, 1, 9, 254, 255])
def test_a_bad_descriptor_ends_the_walk(broken):
    found = last_step("v4", shrunk("v4", 1, 0, 0x1FF, broken))
    assert found == ["0x10", *([["C", 0, broken]] if broken else []), ["S", 52, "0x10"], ["S", 56, "0xc0000000"],
                     *([["S", 128, hex(broken << 4)]] if broken else [])]


@pytest.mark.parametrize("tail", [1, 9, 255])
def test_a_tail_inside_the_smaller_queue_is_met(tail):
    assert last_step("v4", shrunk("v4", 1, 0, tail)) == ["0x10", ["C", 0, tail], ["S", 128, hex(tail << 4)]]


def test_a_wait_that_overwrites_a_descriptor_ahead_ends_the_walk_in_the_same_round():
    wait = (QUEUE + 16 * 20 >> 2) << 66 | 0xFF << 32 | 0x25     # status 0xff over descriptor 20: a type that is none
    body = shrunk("v4", 1, 0, 0x1FF)
    body["s"][11] = ["m16", hex(QUEUE + 16 * 10), hex(wait >> 64), hex(wait & (1 << 64) - 1)]
    found = last_step("v4", body)
    assert ["HANG"] not in found and ["C", 0, 9] in found and ["S", 128, hex(20 << 4)] in found


def test_a_wait_that_overwrites_itself_ends_the_walk_in_the_second_round():
    wait = (QUEUE + 16 * 10 >> 2) << 66 | 0xFF << 32 | 0x25
    body = shrunk("v4", 1, 0, 0x1FF)
    body["s"][11] = ["m16", hex(QUEUE + 16 * 10), hex(wait >> 64), hex(wait & (1 << 64) - 1)]
    found = last_step("v4", body)
    assert [row for row in found if row[0] in ("C", "W")] == [["C", 0, 10], ["W", hex(QUEUE + 160), "0xff"],
                                                              ["C", 0, 255]]


def test_a_machine_that_hangs_is_dead_until_reset_and_shows_no_read():
    m = Machine(profile("xen-v4"), 1, 64 << 20)
    step(m, c.Domctl(viommu.create_op(0xFED90000, version="v4")))
    for at, value in ((0x90, QUEUE | 1), (0x94, 0), (0x88, 0x1FF0), (0x90, QUEUE), (0x94, 0)):
        step(m, c.Mmio(0xFED90000 + at, 4, value))
    for n in range(256):
        m.ram.write_word(QUEUE + 16 * n, 4)
    assert [e.act for e in step(m, c.MmioRead(0xFED90000, 4))] == [Act.VM_EXIT, Act.STOPPED]
    assert m.dead == 1 and [e.index for e in step(m, c.MmioRead(0xFED90000, 4))] == [Drop.DEAD]


# --- one read that runs a whole queue of wide invalidations (D25), with as many bound messages as there can be ---


def queued(descriptors, bound=64, posting=0):
    m = Machine(profile("xen-v4"), 8, 64 << 20)
    step(m, c.Domctl(viommu.create_op(0xFED90000, version="v4")))
    for at, value in ((0xB8, 0x100007), (0xBC, 0), (0x18, 1 << 24), (0x90, 0x800007), (0x94, 0), (0x18, 3 << 25)):
        step(m, c.Mmio(0xFED90000 + at, 4, value))
    m.posting = posting
    for n in range(bound):
        m.ram.write_word(0x100000 + 16 * n, 1 | 0x41 << 16)
        step(m, c.Bind(*remap_message(n)))
    for n, descriptor in enumerate(descriptors):
        for word in range(4):
            m.ram.write_word(0x800000 + 16 * n + 4 * word, descriptor >> 32 * word & 0xFFFFFFFF)
    step(m, c.Mmio(0xFED90000 + 0x88, 4, len(descriptors) << 4))
    return m


GLOBAL_IEC = IEC_DESCRIPTOR.make(type=4)
WIDE = [IEC_DESCRIPTOR.make(type=4, g=1, im=31, iidx=n) for n in range(8)]
REWRITE = WAIT.make(type=5, sw=1, data=0x410001, address=0x100020 >> 2)
OTHER_VECTOR = WAIT.make(type=5, sw=1, data=0x990001, address=0x100020 >> 2)


@pytest.mark.parametrize("descriptors", [[GLOBAL_IEC] * 32767, WIDE * 4095, [GLOBAL_IEC, REWRITE] * 16383],
                         ids=["global", "wide", "rewritten"])
@pytest.mark.parametrize("posting", [0, 1])
def test_a_full_queue_of_invalidations_keeps_a_bounded_trace(descriptors, posting):
    m = queued(descriptors, posting=posting)
    events = step(m, c.MmioRead(0xFED90000, 4))
    assert len(events) == MOST_EVENTS + 1 and events[-1].act == Act.UNSHOWN


@pytest.mark.parametrize("posting", [0, 1])
def test_what_is_counted_is_what_would_have_been_shown(monkeypatch, posting):
    queue = [GLOBAL_IEC, *WIDE[:1], OTHER_VECTOR, GLOBAL_IEC, GLOBAL_IEC, IEC_DESCRIPTOR.make(type=4, g=1, im=3),
             REWRITE, IEC_DESCRIPTOR.make(type=4, g=1, im=6), GLOBAL_IEC]
    m, quiet = queued(queue, 8, posting), queued(queue, 8, posting)
    step(quiet, c.MmioRead(0xFED90000, 4), trace=False)
    monkeypatch.setattr(arrays, "MOST_EVENTS", 1 << 20)
    events = step(m, c.MmioRead(0xFED90000, 4))
    assert m.difference(quiet) == []
    monkeypatch.setattr(arrays, "MOST_EVENTS", 50)
    few = queued(queue, 8, posting)
    part = step(few, c.MmioRead(0xFED90000, 4))
    assert part[:50] == events[:50] and part[50].low == len(events) - 50 and few.difference(m) == []


def alike(m):
    """All bound messages name entry 2: by their handle alone, by a subhandle, or wrongly."""
    forms = [remap_message(2), (remap_message(0)[0] | 8, 2), (remap_message(2)[0] | 8, 1 << 16)]
    for place in range(len(m.bound)):
        address, data = forms[place % 3]
        m.bound = (*m.bound[:place], m.bound[place]._replace(address=address, data=data), *m.bound[place + 1:])
    return m


@pytest.mark.parametrize("posting", [0, 1])
@pytest.mark.parametrize("second", [REWRITE, OTHER_VECTOR, WAIT.make(type=5, sw=1, data=0, address=0x100020 >> 2)],
                         ids=["same", "other", "absent"])
def test_bound_messages_of_one_entry_are_worked_out_together_while_nobody_looks(monkeypatch, posting, second):
    queue = [GLOBAL_IEC, second, GLOBAL_IEC, REWRITE, GLOBAL_IEC, second, IEC_DESCRIPTOR.make(type=4, g=1, im=4)]
    m, quiet = alike(queued(queue, 9, posting)), alike(queued(queue, 9, posting))
    events = step(m, c.MmioRead(0xFED90000, 4))
    update, worked = bind.update, []
    monkeypatch.setattr(bind, "update", lambda m, place: worked.append(place) or update(m, place))
    monkeypatch.setattr(arrays, "MOST_EVENTS", 1)
    few = step(quiet, c.MmioRead(0xFED90000, 4))
    assert m.difference(quiet) == [] and few[1].low == len(events) - 1
    assert len(worked) == 4 * 2     # once for those that the unit would take, once for the others


def test_a_walk_that_goes_on_for_ever_is_looked_at_for_some_rounds(monkeypatch):
    m = queued([WAIT.make(type=5, sw=1, data=n, address=(0x800000 + 16 * (n - 1 & 511) + 4) >> 2) for n in range(600)])
    m.regs[0x90 // 4], m.regs[0x80 // 4], m.regs[0x88 // 4] = 0x800001, 599 << 4, 0x7FFF0
    fetch, fetched = xen_queue._fetch, []
    monkeypatch.setattr(xen_queue, "_fetch", lambda m, unit, head: fetched.append(head) or fetch(m, unit, head))
    assert xen_queue.loops(m, 0) and len(fetched) == 513 * xen_queue.ROUNDS


def test_a_refresh_follows_what_a_wait_wrote_into_the_entry():
    m = queued([GLOBAL_IEC, OTHER_VECTOR, GLOBAL_IEC], 4)
    step(m, c.MmioRead(0xFED90000, 4))
    assert [bound.vector for bound in m.bound] == [0x41, 0x41, 0x99, 0x41]


# --- hostile cases: a clear error, or a difference; nothing else ---

STEP = ["r4", 0]


def text_of(version, *, steps=(STEP,), seen=None, **fields):
    """A file with one case."""
    head = loaded(version)[0].head
    seen = [[] for _ in steps] if seen is None else seen
    row = {"id": "a", "k": "b", "s": list(steps), "o": seen, "end": {}, **fields}
    return json.dumps(head) + "\n" + json.dumps({key: value for key, value in row.items() if value != "absent"}) + "\n"


@pytest.mark.parametrize("version", COUNTS)
@pytest.mark.parametrize("fields, says", [
    ({"end": "absent"}, "a case without 'end'"), ({"end": []}, "end"), ({"end": "0x1"}, "end"),
    ({"s": "absent"}, "'s'"),
    ({"s": {}}, "lists"), ({"s": 5}, "lists"), ({"o": "absent"}, "'o'"), ({"o": 5}, "lists"), ({"dev": []}, "dev"),
    ({"dev": {"0": "D1"}}, "marks of step"), ({"dev": {"0": [1]}}, "marks of step"), ({"id": 5}, "id"),
    ({"k": ["x"]}, "k"), ({"id": "x" * 201}, "id"), ({"steps": [["r4"]]}, "with 0 values"),
    ({"steps": [["r4", None]]}, "found"), ({"steps": [["r4", []]]}, "found"), ({"steps": [["nothing"]]}, "allowed"),
    ({"steps": [["cpus", 0, 1]]}, "0 vCPUs"), ({"steps": [["cpus", "0x0", 1]]}, "0 vCPUs"),
    ({"steps": [["cpus", 4096, 1]] * 17}, "'cpus' of 69632"), ({"steps": [["page", 0, 1, 65536]] * 2000}, "'page' of"),
    ({"steps": [["mr", 0, 65536]] * 300}, "'mr' of"), ({"steps": [["bind", 0, 0]] * 65}, "65 steps 'bind'"),
    ({"steps": [STEP] * 20_001}, "at most 20000"), ({"steps": [["r4", True]]}, "found"),
    ({"steps": [["r4", -1]]}, "found"),
])
def test_a_malformed_case_is_refused_with_its_place(version, fields, says):
    with pytest.raises(CaseError, match=says) as error:
        replay.parse(text_of(version, **fields), "f.jsonl")
    assert (error.value.file, error.value.line) == ("f.jsonl", 2)


NUMBERS = [["mr", "0x1000", "0x10"], ["cpus", "0x2", "0x1"], ["lapic", "0x1", "0x0"], ["page", "0x5", "0x1", "0x2"],
           ["oom", "0x1"], ["bind", "0xfee00010", "0x0"], ["gmsi", "0x0"], ["post", "0x1"], ["nomatch", "0x1"]]


@pytest.mark.parametrize("version", COUNTS)
@pytest.mark.parametrize("step", NUMBERS, ids=str)
def test_a_number_may_be_hexadecimal_in_every_step(version, step):
    plain = [step[0], *(int(value, 16) for value in step[1:])]
    found = [next(play(case.head, case.body, profile(f"xen-{version}")))[3]
             for case in (replay.parse(text_of(version, steps=[one]))[0] for one in (step, plain))]
    assert found[0] == found[1]


ANY = st.recursive(st.none() | st.booleans() | st.integers(-2, 1 << 65) | st.text(max_size=4),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
                   max_leaves=5)


@given(st.sampled_from(sorted(COUNTS)), st.data())
def test_whatever_a_case_holds_it_is_refused_or_played(version, data):
    steps = data.draw(st.lists(st.builds(lambda tag, values: [tag, *values], st.sampled_from(sorted(_ARGUMENTS)),
                                         st.lists(ANY, max_size=4)), max_size=3))
    fields = data.draw(st.dictionaries(st.sampled_from(["end", "dev", "id", "k", "o", "spec", "raw"]), ANY, max_size=2))
    try:
        (case,) = replay.parse(text_of(version, steps=steps, **fields))
    except CaseError:
        return
    replay.play(case, profile(f"xen-{version}"))
