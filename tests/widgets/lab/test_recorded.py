"""A recorded boot of a real system as a Lab: each entry that it wrote is a step, named after what it became."""

import json
from itertools import pairwise

import pytest

from tests.places import A_REAL_LINUX
from vsim.layouts.formats import IRTE
from vsim.replay.recording import RecordingError
from vsim.state import commands as c
from widgets.lab import Lab
from widgets.lab.recorded import MOST_PHASES

UNIT, TABLE, QUEUE = 0xFED90000, 0x100000, 0x200000


@pytest.fixture(scope="module")
def linux():
    return Lab.from_recording(A_REAL_LINUX)


def test_a_real_boot_came_out_as_it_was_recorded(linux):
    assert linux.recorded.same and linux.recorded.tallies["M"].equal == 759
    assert linux.position == len(linux.history) == len(linux.recorded.commands)
    assert not linux.history.machine.difference(linux.recorded.machine)


def test_every_entry_that_was_written_is_a_gesture_and_the_rest_is_between_them(linux):
    gestures = list(linux.gestures())
    assert [each.name for each in gestures if each.name.startswith("GCMD")][:3] == [
        "GCMD: QIE", "GCMD: SIRTP QIE", "GCMD: IRE QIE"]
    assert all(one.stop == two.start for one, two in pairwise(gestures))
    written = [each for each in gestures if each.name.startswith("entry ")]
    assert len(written) == 172 and all(each.stop - each.start < 20 for each in written)
    assert "entry 8: vector 0x20 to logical 0x2" in {each.name for each in written}


def test_the_kernel_s_phases_follow_one_another_and_begin_where_it_said_so(linux):
    phases = linux.phases
    assert [each.name for each in phases] == [
        "firmware", "kernel", "remapping on", "first program", "devices", "traffic", "affinity changes",
        "a CPU off and on", "a suspend and a resume", "forbidden messages", "a driver unbound", "dumps", "off"]
    assert all(one.stop == two.start for one, two in pairwise(phases))
    assert (phases[0].start, phases[-1].stop) == (0, len(linux.history))
    starts = {each.start: each.name for each in linux.gestures()}
    assert starts[phases[2].start] == "GCMD: QIE"
    assert starts[phases[5].start] == "vsim: stage 2 of 9: traffic"


def test_the_functions_are_named_by_their_drivers(linux):
    names = {function.bdf: function.name for function in linux.machine.bus.functions}
    assert (names[0x18], names[0x20]) == ("nvme", "e1000e") and len(names) == 5
    assert linux.device("nvme").msix_count == 65


def recorded(folder, *rows):
    path = folder / "run.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lines_of_the_console_name_what_follows_as_text(tmp_path):
    ram = ["ram", TABLE, IRTE.make(p=1, vector=0x41, dst=2).to_bytes(16, "little").hex()]
    lab = Lab.from_recording(recorded(
        tmp_path, {"vsim-recording": 1, "vcpus": 1},
        [["mmio", UNIT + 0x90, 8, QUEUE], [["K", "<b>hello</b>"]], 0, 1],
        [["mmio", UNIT + 0x18, 4, 1 << 26], [], 0, 2], [["mmio", UNIT + 0xB8, 8, TABLE | 0x800], [], 0, 3],
        [ram, [], 0, 4], [["mmio", UNIT + 0x88, 8, 16], [], 0, 5], [["mmio", UNIT + 0x34, 4, 0], [], 0, 6]))
    assert [each.name for each in lab.gestures()] == [
        "<b>hello</b>", "GCMD: QIE", "entry 0: vector 0x41 to APIC ID 0x2", "the system runs"]
    assert lab.phases == ((0, 1, "kernel"), (1, 6, "remapping on"))


def test_phases_are_bounded(tmp_path):
    rows = [[["pin", 4, n & 1], [["K", f"vsim: stage {n} of 99: part {n}"]], -1, n] for n in range(99)]
    lab = Lab.from_recording(recorded(tmp_path, {"vsim-recording": 1, "vcpus": 1}, *rows))
    assert len(lab.phases) == MOST_PHASES and lab.phases[-1].stop == 99


def test_phases_belong_to_their_own_future(tmp_path):
    said = [[["K", f"vsim: stage {n} of 3: part {n}"]] for n in range(3)]
    rows = [[["pin", 4, n & 1], [] if n & 1 else said[n // 2], -1, n] for n in range(6)]
    lab = Lab.from_recording(recorded(tmp_path, {"vsim-recording": 1, "vcpus": 1}, *rows))
    whole = lab.phases
    assert [each[:2] for each in whole] == [(0, 2), (2, 4), (4, 6)]
    lab.goto(3)
    assert lab.phases == whole, "to look at the past changes nothing"
    lab.issue(*[c.Tick(1)] * 9)
    assert lab.phases == whole[:1] and lab.branch().phases == whole[:1]
    lab.reopen(lab.branches[-1])
    assert lab.phases == whole and lab.branch().recorded is lab.recorded


def test_what_is_no_recording_is_refused_by_line(tmp_path):
    with pytest.raises(RecordingError, match=r"run\.jsonl:2:"):
        Lab.from_recording(recorded(tmp_path, {"vsim-recording": 1}, {"no": "moment"}))
