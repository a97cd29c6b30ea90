"""What a real QEMU did, run on the machine: every case, under both profiles, and proof that the comparison bites."""

import copy
import gzip
import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.places import GOLDEN
from vsim.cli import main as cli
from vsim.cli import replay as replay_command
from vsim.devices import chain
from vsim.layouts.formats import IRTE
from vsim.machine import step
from vsim.replay import cases
from vsim.replay import compare as replay
from vsim.replay.cases import Case, CaseError
from vsim.state import commands as c
from vsim.state.profile import QUIRKS, profile
from vsim.state.trace import Act

FILES = [GOLDEN / f"{name}.jsonl.gz" for name in ("eimoff", "lapic", "main")]
COUNTS = {"main": 1024, "eimoff": 57, "lapic": 297}

# Quirks that the recordings have no case for; test_qemu10.py tests each against its sentence.
WITHOUT_A_CASE = {
    "qemu.D12": "no device-TLB descriptor was recorded",
    "qemu.D16": "the one recorded case sees the same either way",
    "qemu.U3": "any member of the set is accepted",
    "qemu.K1": "known, with no case", "qemu.K2": "known, with no case", "qemu.K3": "known, with no case",
    "qemu.K4": "known, with no case", "qemu.K5": "known, with no case",
    "qemu.K6": "the recordings have no IPIs",
    "qemu.K8": "the recordings have no local vector table",
}

HEAD = {"cap": "0xd2008c222f0606", "ecap": "0xf00f5a", "ram": 67108864, "smp": 8}
CASE = {"id": "x-1", "k": "x", "s": [["r4", 28]], "o": ["0x0"], "end": {}}
LAPIC = {"id": "l-1", "k": "lapic", "mode": "flat", "smp": 2, "msi": [24, "0xfee01000", "0x41"], "cpus": [1]}


@cache
def golden():
    return tuple(case for file in FILES for case in replay.load(file))


def named(name):
    return next(case for case in golden() if case.name == name)


def of_kind(kind):
    return next(case for case in golden() if case.category.startswith(kind))


def with_body(case, **changes):
    return Case(case.file, case.line, case.head, copy.deepcopy(case.body) | copy.deepcopy(changes))


def text(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


# --- every case ---


def test_the_golden_files_are_whole():
    assert {path.name.split(".")[0]: len(replay.load(path)) for path in FILES} == COUNTS


@pytest.mark.parametrize("name", ["spec", "qemu-10"])
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name.split(".")[0])
def test_every_recorded_case_passes(file, name):
    differ = [case.name for case in replay.load(file) if replay.play(case, profile(name))]
    assert differ == []


def first_failure(chosen):
    return next((case.name for case in golden() if replay.play(case, chosen)), None)


@pytest.mark.parametrize("quirk", [id_ for id_ in QUIRKS if id_.startswith("qemu.") and id_ not in WITHOUT_A_CASE])
def test_without_one_quirk_a_recorded_case_fails(quirk):
    assert first_failure(profile("qemu-10").without_quirks(quirk)) is not None


def test_the_recordings_have_no_case_for_the_other_quirks():
    assert first_failure(profile("qemu-10").without_quirks(*WITHOUT_A_CASE)) is None


def test_the_specification_fails_where_the_recorded_machine_departs_from_it():
    """Compared exactly, that is: the marks are needed."""
    unmarked = [with_body(case, dev={}) for case in golden() if case.body.get("spec")]
    failed = [case for case in unmarked if replay.play(case, profile("spec"))]
    assert len(unmarked) > 400 and len(failed) == len(unmarked)


# --- the control: one observation flipped ---


def flipped(value):
    """Another observation of the same form."""
    if isinstance(value, str):
        return hex(int(value, 16) ^ 1) if value[:2] == "0x" else "ff" + value[2:]
    if not value:
        return [["B"]]
    return value[:-1] if len(value) > 1 else [[*value[0][:-1], "flipped"]]


@pytest.mark.parametrize("name", ["spec", "qemu-10"])
@pytest.mark.parametrize("kind", ["compat", "remap", "faultlog", "qi", "regs", "ioapic", "latch", "mixed", "sid"])
def test_a_flipped_observation_is_noticed_at_its_step(kind, name):
    case = of_kind(kind)
    unmarked = [n for n in range(len(case.body["o"])) if not case.marks(str(n))]
    for number in (unmarked[0], unmarked[len(unmarked) // 2], unmarked[-1]):
        seen = copy.deepcopy(case.body["o"])
        seen[number] = flipped(seen[number])
        difference = replay.play(with_body(case, o=seen), profile(name))
        assert difference is not None and difference.step == str(number)


@pytest.mark.parametrize("name", ["spec", "qemu-10"])
@pytest.mark.parametrize("kind", ["lapic flat", "lapic cluster", "lapic x2apic", "lapic mixed"])
@pytest.mark.parametrize("part, step", [("cpus", "cpus"), ("m", "message")])
def test_a_flipped_message_or_target_is_noticed(kind, part, step, name):
    case = next(c for c in golden() if c.category.startswith(kind) and not c.marks("0"))
    changed = [*case.body[part], 77] if part == "cpus" else [case.body["m"][0] ^ 1, *case.body["m"][1:]]
    difference = replay.play(with_body(case, **{part: changed}), profile(name))
    assert difference is not None and difference.step == step


# --- half and half: the neighbourhood of the recorded cases ---


def mixed_takers(dest, logical):
    """Who takes it, target by target, in the recorded machine of 16: IDs with bit 2 are x2APICs, the others xAPIC flat.

    A logical destination is cut to 8 bits at the first xAPIC that is asked, for all behind it too (U5).
    """
    if dest == 0xFFFFFFFF:
        return list(range(16))
    out = []
    for cpu in range(16):
        if logical:
            dest = dest if cpu & 4 else dest & 0xFF
            mine = dest >> 16 == 0 and dest & 1 << cpu if cpu & 4 else dest & 1 << (cpu & 7)
        else:
            mine = cpu == dest if cpu & 4 else dest == 0xFF or cpu == dest & 0xFF
        out += [cpu] if mine else []
    return out


def mixed():
    return [case for case in golden() if case.category.startswith("lapic mixed")]


def test_the_mixed_cases_are_what_their_machine_does_target_by_target():
    """What the neighbourhood below is compared with is right about everything that was recorded."""
    heard = [case.body for case in mixed() if "m" in case.body]
    for body in heard:
        takers = mixed_takers(body["m"][0], body["m"][1])
        assert body["cpus"] == takers or body["cpus"] == takers[:1] == body["any_of"][:1], body
    assert len(heard) > 20 and {body["m"][1] for body in heard} == {0, 1}


NEAR = (*range(0x220), *range(0x3F0, 0x410), *range(0xFFE0, 0x10020), *(n << 16 | bits for n in (1, 2, 0xFFFF)
        for bits in (0, 1, 0xF0, 0xFF, 0xFFFF)), 0x7FFFFFFF, 0xFFFFFF00, 0xFFFFFF05, 0xFFFFFFFE, 0xFFFFFFFF)


@pytest.mark.parametrize("logical", [0, 1])
@pytest.mark.parametrize("way", ["entry, 32 bits", "entry, 8 bits", "message"])
def test_every_destination_near_the_mixed_cases_reaches_whom_it_does_there(way, logical):
    case = next(case for case in mixed() if "irte" in case.body and case.body.get("eime"))
    m = replay.machine_for(case, profile("qemu-10"))
    replay.set_modes(m, "mixed")
    if way != "message":
        replay._remap(m, case.body | {"eime": int(way == "entry, 32 bits")})
    at = replay.TABLE + 16 * chain.index_of(*(int(part, 16) for part in case.body["msi"][1:]), 0)
    for dest in NEAR if way == "entry, 32 bits" else range(0x100):
        message = 0xFEE00000 | dest << 12 | logical << 2, 0x61
        if way != "message":
            place = dest if way == "entry, 32 bits" else dest << 8
            m.ram.write(at, IRTE.make(p=1, vector=0x61, dst=place, dm=logical).to_bytes(16, "little"))
            message = tuple(int(part, 16) for part in case.body["msi"][1:])
        events = step(m, c.Msi(case.body["msi"][0], *message))
        took = sorted(e.node & 0xFFFFFF for e in events if e.act in (Act.ACCEPTED, Act.MERGED))
        assert took == mixed_takers(dest, logical), hex(dest)


@pytest.mark.parametrize("name", ["spec", "qemu-10"])
def test_a_flipped_final_register_is_noticed(name):
    case = next(c for c in golden() if c.category == "faultlog" and not c.body.get("dev"))
    difference = replay.play(with_body(case, end=case.body["end"] | {"GSTS": "0x1000000"}), profile(name))
    assert difference is not None and difference.step == "end"


# --- what the marks mean ---


def one(**changes):
    return Case("f", 2, HEAD | {"cap": 0xD2008C222F0606, "ecap": 0xF00F5A}, CASE | changes)


@pytest.mark.parametrize(
    "marks, recorded, spec, profile_name, passes",
    [
        ([], "0x0", None, "spec", True),
        ([], "0x1", "0x0", "spec", False),        # unmarked: the recording alone counts
        (["D9"], "0x1", "0x0", "spec", True),     # D: the specification's reading
        (["after"], "0x1", "0x0", "spec", True),
        (["D9"], "0x0", "0x1", "spec", False),
        (["D9"], "0x0", None, "spec", True),      # D without another reading: as recorded
        (["U1"], "0x0", "0x1", "spec", True),     # U: as recorded
        (["U2", "D6"], "0x1", "0x0", "spec", True),
        (["C1"], "0x1", "0x0", "spec", False),
        (["D9"], "0x1", "0x0", "qemu-10", False),  # an imitation has to be exact on every step
        (["D9"], "0x0", "0x1", "qemu-10", True),
    ],
)
def test_what_a_marked_step_is_compared_with(marks, recorded, spec, profile_name, passes):
    changes = {"o": [recorded], "dev": {"0": marks} if marks else {}, "spec": {"0": spec} if spec else {}}
    assert (replay.play(one(**changes), profile(profile_name)) is None) == passes


def test_the_specifications_final_registers_replace_only_those_they_name():
    case = one(s=[["w4", 56, 0]], o=[[]], end={"FECTL": "0x0", "FSTS": "0x2"},
               dev={"end": ["after"]}, spec={"end": {"FSTS": "0x0"}})
    assert replay.play(case, profile("spec")) is None
    assert replay.play(case, profile("qemu-10")).step == "end"


@pytest.mark.parametrize(
    "changes, spec, qemu",
    [
        ({"cpus": [1]}, True, True),
        ({"cpus": []}, False, False),
        ({"cpus": [0], "any_of": [0, 1]}, True, True),                                   # any one of them
        ({"cpus": [], "any_of": []}, False, False),                                      # nobody of none
        ({"cpus": [0], "spec_cpus": [1], "dev": {"0": ["D8"]}}, True, False),
        ({"cpus": [1], "spec_cpus": [0], "dev": {"0": ["U5"]}}, True, True),             # U5: either
        ({"cpus": [0], "spec_cpus": [1], "dev": {"0": ["U5"]}}, True, False),
        ({"cpus": [1], "spec_cpus": [0], "dev": {"0": ["U4"]}}, True, True),             # U4: as recorded
        ({"cpus": [0], "any_of": [0], "spec_cpus": [1], "dev": {"0": ["U3", "U5"]}}, True, False),
    ],
)
def test_who_may_take_a_message(changes, spec, qemu):
    (case,) = replay.parse(text({"runs": []}, LAPIC | changes))
    assert [replay.play(case, profile(name)) is None for name in ("spec", "qemu-10")] == [spec, qemu]


def test_cpus_above_the_first_64_are_told_apart():
    irte = {"irte": ["0x0", "0x11f00410001"], "eime": 1, "mode": "x2apic", "smp": 288, "msi": [24, "0xfee00010", "0x0"]}
    (case,) = replay.parse(text({"runs": []}, LAPIC | irte | {"cpus": [287]}))
    assert replay.play(case, profile("spec")) is None


# --- files ---


def test_plain_and_packed_files_read_alike(tmp_path):
    plain = tmp_path / "plain.jsonl"
    plain.write_bytes(gzip.decompress((GOLDEN / "eimoff.jsonl.gz").read_bytes()))
    assert [case.body for case in replay.load(plain)] == [case.body for case in replay.load(GOLDEN / "eimoff.jsonl.gz")]


@pytest.mark.parametrize(
    "content, place, said",
    [
        ("", "1:1", "found nothing"),
        ("\n\n", "1:1", "found nothing"),
        ("{", "1:2", "not JSON"),
        (text(HEAD, "[1]"), "2:1", "expected an object"),
        (text(HEAD, CASE, '{"s": }'), "3:7", "not JSON"),
        ("{}", "1:1", "expected cap, ecap and ram"),
        (text(HEAD | {"cap": "pig"}), "1:1", "not a number"),
        (text(HEAD | {"cap": "0xffffffffffffffff"}), "1:1", "impossible machine"),
        (text(HEAD | {"cap": 0}), "1:1", "impossible machine"),
        (text(HEAD | {"ram": 100}), "1:1", "impossible machine"),
        (text(HEAD | {"smp": 0}), "1:1", "impossible machine"),
        ('{"cap": 0, "ecap": 0, "ram": 1e999}', "1:1", "not a number"),
        (text({"xen": "RFC", "ram": 4096}), "1:1", "allowed: series v1 or v4"),
        (text({"xen": "series v4", "ram": 1}), "1:1", "RAM size"),
        (text({"xen": "series v4"}, {"k": "x", "s": [["zap"]], "o": [[]]}), "2:1", "allowed: r1"),
        (text({"xen": "series v4"}, {"k": "x", "s": [["cpus", 0, 1]], "o": [[]]}), "2:1", "0 vCPUs"),
        (text({"xen": "series v4"}, {"k": "x", "s": [["w4", 4]], "o": [[]]}), "2:1", "allowed: 2"),
        (text(HEAD, {"k": "x", "s": []}), "2:1", "without 'o'"),
        (text(HEAD, CASE | {"s": [["zap"]]}), "2:1", "allowed: w4"),
        (text(HEAD, CASE | {"s": [[["w4"], 1, 2]]}), "2:1", "allowed: w4"),
        (text(HEAD, CASE | {"s": [["w4", 28]]}), "2:1", "range"),
        (text(HEAD, CASE | {"s": [["w4", 4096, 0]]}), "2:1", "limit"),
        (text(HEAD, CASE | {"s": [["w4", "0xzz", 0]]}), "2:1", "0xzz"),
        (text(HEAD, CASE | {"s": [["msi", 1 << 20, 0, 0]]}), "2:1", "requester"),
        (text(HEAD, CASE | {"s": [["mr", 0, 1 << 17]]}), "2:1", "limit"),
        (text(HEAD, CASE | {"o": []}), "2:1", "one length"),
        (text(HEAD, CASE | {"end": {"GSTS": "x"}}), "2:1", "not a number"),
        (text(HEAD, CASE | {"spec": {"end": {"GSTS": None}}}), "2:1", "not a number"),
        (text(HEAD, CASE | {"dev": {"0": 5}}), "2:1", "not a list of codes"),
        (text(HEAD, CASE | {"dev": []}), "2:1", "not an object"),
        (text(HEAD, LAPIC | {"mode": "round"}), "2:1", "allowed: flat"),
        (text(HEAD, LAPIC | {"smp": 5000}), "2:1", "allowed: flat"),
        (text(HEAD, LAPIC | {"irte": [1]}), "2:1", "irte"),
        (text(HEAD, LAPIC | {"cpus": 3}), "2:1", "cpus"),
        (text(HEAD, LAPIC | {"msi": []}), "2:1", "range"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path, content, place, said):
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(CaseError) as error:
        replay.load(path)
    assert str(error.value).startswith(f"{path}:{place}: ") and said in str(error.value)


@pytest.mark.parametrize("data, said", [(b"\x1f\x8b nonsense", "cannot be read"), (b"{}\n\xff", "UTF-8"),
                                        (gzip.compress(b"x" * 100, mtime=0)[:-9], "cannot be read")])
def test_bytes_that_are_no_text_are_refused(tmp_path, data, said):
    path = tmp_path / "bad.gz"
    path.write_bytes(data)
    with pytest.raises(CaseError, match=said):
        replay.load(path)


def test_a_packed_file_that_unfolds_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "MAX_BYTES", 1000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b" " * 100_000))
    with pytest.raises(CaseError, match="more than 1000 bytes"):
        replay.load(path)


def test_the_number_of_cases_and_steps_is_bounded(monkeypatch):
    monkeypatch.setattr(cases, "MAX_CASES", 2)
    monkeypatch.setattr(replay, "MAX_STEPS", 3)
    with pytest.raises(CaseError, match="more than 2 cases"):
        replay.parse(text(HEAD, CASE, CASE, CASE))
    with pytest.raises(CaseError, match="4 steps"):
        replay.parse(text(HEAD, CASE | {"s": CASE["s"] * 4, "o": CASE["o"] * 4}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 1 << 70) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["0x10", "0xfee00010", "w4", "msi", "rte", "lapic", "flat", "D1"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(
        st.sampled_from(["s", "o", "k", "id", "end", "dev", "spec", "mode", "smp", "msi", "irte", "cpus", "cap",
                         "ecap", "ram", "runs", "0"]), inner, max_size=6), max_leaves=12)


def read_and_play(content):
    """A text either is refused with a place, or its cases play to an end."""
    try:
        found = replay.parse(content)
    except CaseError as error:
        assert error.line >= 1 and error.column >= 1
        return
    for case in found:
        replay.play(case, profile("spec"))


@given(st.text())
def test_any_text_is_read_or_refused(content):
    read_and_play(content)


@given(JSON, JSON, st.sampled_from(sorted(CASE)), st.sampled_from(sorted(LAPIC)), st.sampled_from(sorted(HEAD)))
@settings(max_examples=200)
def test_a_file_with_one_value_replaced_is_read_or_refused(value, other, field, part, name):
    read_and_play(text(HEAD | {name: value}, CASE))
    read_and_play(text(HEAD, CASE | {field: value, "dev": other}))
    read_and_play(text(HEAD, LAPIC | {part: value, "any_of": other}))
    read_and_play(text(HEAD, CASE | {"s": [value], "o": [other]}))


# --- the command ---


@pytest.fixture
def failing(tmp_path):
    """A file with two cases, of which one differs on a marked step."""
    path = tmp_path / "some.jsonl"
    steps = {"s": [["w4", 56, 0], ["r4", 56], ["r4", 28]], "o": [[], "0x0", "0x800000"]}
    path.write_text(text(HEAD, CASE, CASE | steps | {"id": "x-2", "k": "y", "dev": {"2": ["D1", "after"]}}))
    return path


def test_all_passed_is_status_0_and_the_last_line_counts_over_all_files(capsys):
    assert cli.main(["replay", str(GOLDEN / "lapic.jsonl.gz"), str(GOLDEN / "eimoff.jsonl.gz")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "354 passed, 0 failed"
    assert lines[0].split() == ["category", "passed", "failed"]
    assert ["lapic", "flat", "8", "76", "0"] in [line.split() for line in lines]


def test_a_failed_case_is_status_1(failing, capsys):
    assert cli.main(["replay", "--profile", "qemu-10", str(failing)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 1 failed"
    assert [line.split() for line in lines[1:-1]] == [["x", "1", "0"], ["y", "0", "1"]]


def test_verbose_shows_the_first_difference_step_by_step_and_explains_its_marks(failing, capsys):
    cli.main(["replay", "-v", str(failing)])
    out = capsys.readouterr().out
    assert f"{failing}:3: x-2 (y) differs at step 2" in out
    for line in ('["w4", 56, 0]  []', '["r4", 56]  "0x0"', '["r4", 28]', 'recorded: "0x800000"', 'found:    "0x0"'):
        assert line in out
    assert f"D1: the recorded machine: {QUIRKS['qemu.D1'].does}; the specification: {QUIRKS['qemu.D1'].should}" in out
    assert "after: only a consequence of an earlier marked step" in out
    assert out.splitlines()[-1] == "1 passed, 1 failed"


def test_verbose_shows_what_was_expected_where_that_is_not_the_recording(failing, capsys):
    rows = [json.loads(line) for line in failing.read_text().splitlines()]
    failing.write_text(text(*rows[:2], rows[2] | {"spec": {"2": "0x1"}}))
    cli.main(["replay", "-v", str(failing)])
    assert 'expected: "0x1"' in capsys.readouterr().out


def test_long_ways_to_a_difference_are_cut_short(failing, capsys):
    rows = [json.loads(line) for line in failing.read_text().splitlines()]
    failing.write_text(text(rows[0], CASE | {"s": [["r4", 28]] * 50, "o": ["0x0"] * 49 + ["0x1"]}))
    cli.main(["replay", "-v", str(failing)])
    out = capsys.readouterr().out
    assert "steps 0 to 42 as expected" in out and out.count('["r4", 28]') == replay_command.STEPS_SHOWN + 1


def test_every_mark_of_the_recordings_is_explained():
    marks = {mark for case in golden() for step in case.body.get("dev", {}) for mark in case.marks(step)}
    assert marks >= {"D1", "U1", "C1", "after"}
    assert [mark for mark in marks if "does not know" in replay_command.explained(mark)] == []
    assert "does not know" in replay_command.explained("Z9")


@pytest.mark.parametrize("name, content", [("bad.jsonl", "{\n"), ("xen.jsonl", '{"xen": "RFC"}\n')])
def test_a_bad_file_is_status_2_and_nothing_is_run(tmp_path, capsys, name, content):
    path = tmp_path / name
    path.write_text(content)
    assert cli.main(["replay", str(GOLDEN / "eimoff.jsonl.gz"), str(path)]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith(f"{path}:1:") and len(error.splitlines()) == 1


def test_a_file_that_is_not_there_is_status_2(tmp_path, capsys):
    assert cli.main(["replay", str(tmp_path / "none.gz")]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_a_profile_that_does_not_exist_is_bad_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["replay", "--profile", "bochs", str(FILES[0])])
