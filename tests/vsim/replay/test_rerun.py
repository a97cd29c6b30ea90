"""A recorded run done again: everything compared, and proof that the comparison bites."""

import copy
from collections import Counter

import pytest

from tests.places import lab_file
from tests.vsim.replay.runs import HANDLE_5, HIGH, LOW, ROWS, UNIT, text
from vsim.cli.rerun import heading
from vsim.devices import vlapic
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


# A second message while the first waits: merged, or, if the handler runs twice, taken in between.
AGAIN = [["msi", 0x18, HANDLE_5, 0], [["I", 5, hex(HIGH), hex(LOW)], ["M", 5, 1, 0, 0, 0x41, 0]], -1, 60]
RUNS, EOI = [None, [["T", 1, 0x41]], 1, 61], [["lapic", 1, 0x0B, 0], [], 1, 62]
URGENT = [["lapic", 0, 0x30, 1 << 32 | 0x51], [], 0, 63]
URGENT_RUNS = [None, [["T", 1, 0x51]], 1, 64]
X2APIC_0, ON_0 = [["msr", 0, 0x1B, 0xFEE00C00], [], 0, 59], [["lapic", 0, 0x0F, 0x1FF], [], 0, 59]

EXTINT_0, TIMER = [["lapic", 0, 0x35, 0x700], [], 0, 60], [["pin", 2, 1], [], -1, 60]


@pytest.mark.parametrize("rows, equal, early", [
    ([AGAIN, AGAIN, RUNS, EOI], 1, 0),
    ([AGAIN, AGAIN, RUNS, EOI, RUNS, EOI], 1, 1),
    ([AGAIN, AGAIN, AGAIN, RUNS, EOI, RUNS, EOI], 1, 1),
    ([AGAIN, RUNS, EOI, AGAIN, RUNS, EOI], 2, 0),
    ([X2APIC_0, AGAIN, URGENT, URGENT_RUNS, EOI, RUNS, EOI], 2, 0),
    ([X2APIC_0, AGAIN, URGENT, RUNS, EOI, URGENT_RUNS, EOI], 1, 1),
    ([X2APIC_0, AGAIN, URGENT, AGAIN, RUNS, EOI, URGENT_RUNS, EOI, RUNS, EOI], 2, 1)])
def test_a_vector_was_taken_before_what_would_have_changed_it(rows, equal, early):
    outcome = run_of([*ROWS, *rows])
    assert outcome.taken == Counter({"equal": 1 + equal, "early": early, "timer": 1}) and outcome.same
    assert outcome.commands.count(c.Acknowledge(1)) == 1 + equal + early


@pytest.mark.parametrize("rows, why", [
    ([ON_0, EXTINT_0, TIMER, [None, [["T", 0, 0x30]], 0, 61]], "8259"),
    ([ON_0, EXTINT_0, [["pin", 12, 1], [], -1, 60], [None, [["T", 0, 0x74]], 0, 61]], "8259"),
    ([ON_0, EXTINT_0, [None, [["T", 0, 0x30]], 0, 61]], "unknown"),
    ([ON_0, EXTINT_0, TIMER, [None, [["T", 0, 0x31]], 0, 61]], "unknown"),
    ([[["lapic", 0, 0x34, 0xFA], [], 0, 60], [None, [["T", 0, 0xFA]], 0, 61]], "own"),
    ([[["lapic", 0, 0x0F, 0x1FE], [], 0, 60], [None, [["T", 0, 0xFE]], 0, 61]], "spurious"),
    ([[["lapic", 0, 0x32, 0xEC], [], 0, 60], [["lapic", 0, 0x32, 0x100EC], [], 0, 60],
      [None, [["T", 0, 0xEC]], 0, 61]], "timer"),
    ([[None, [["T", 0, 0x30]], 0, 61]], "unknown"), ([AGAIN, RUNS, EOI, RUNS], "unknown")])
def test_a_vector_that_no_message_carried_has_a_source_or_is_told(rows, why):
    outcome = run_of([*ROWS, *rows])
    assert outcome.taken[why] == 1 + (why == "timer")
    assert outcome.same is (why != "unknown") and len(outcome.untold) == (why == "unknown")


def test_an_nmi_was_taken_before_the_vector_that_follows_it():
    """Xen patches itself inside an NMI that it sends to itself; recordings have no line for one."""
    rows = [X2APIC_0, ON_0, [["lapic", 0, 0x30, 0x400], [], 0, 60], [["lapic", 0, 0x30, 0x51], [], 0, 61],
            [None, [["T", 0, 0x51]], 0, 62], [["lapic", 0, 0x0B, 0], [], 0, 63]]
    outcome = run_of([*ROWS, *rows])
    assert outcome.same and outcome.commands.count(c.Iret(0)) == 1
    assert not outcome.machine.nmi[0] and not outcome.machine.in_nmi[0] and vlapic.highest(outcome.machine.isr, 0) == -1


def test_what_the_8259_sent_is_not_ended_at_the_local_apic():
    rows = [X2APIC_0, ON_0, EXTINT_0, TIMER,
            [["lapic", 0, 0x30, 0x51], [], 0, 60], [None, [["T", 0, 0x51]], 0, 61], [None, [["T", 0, 0x30]], 0, 61],
            [["lapic", 0, 0x0B, 0], [], 0, 62]]
    outcome = run_of([*ROWS, *rows])
    assert outcome.taken["8259"] == 1 and outcome.same and vlapic.highest(outcome.machine.isr, 0) == -1


def test_each_vector_of_the_8259_needs_an_edge_of_its_own():
    low, runs = [["pin", 2, 0], [], -1, 60], [None, [["T", 0, 0x30]], 0, 61]
    outcome = run_of([*ROWS, ON_0, EXTINT_0, TIMER, low, runs, TIMER, TIMER, runs, runs])
    assert (outcome.taken["8259"], outcome.taken["unknown"]) == (2, 1)


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


def test_a_release_that_told_no_fault_has_a_deviation_with_a_name():
    rows = copy.deepcopy(ROWS)
    rows[-1][1].pop()
    assert not run_of(rows).same
    older = recording.parse(text({"vsim-recording": 1, "quirks": ["qemu7.F1"]}, *rows))
    outcome = rerun.run(older)
    assert outcome.same and outcome.tallies["B"].equal == 1
    assert "deviation qemu7.F1: " in heading(outcome)


@pytest.mark.parametrize("quirks", [["qemu.none"], "qemu7.F1", [1], {"qemu7.F1": 1}])
def test_a_quirk_that_there_is_not_is_refused(quirks):
    with pytest.raises(recording.RecordingError, match="1:1: found quirks"):
        recording.parse(text({"vsim-recording": 1, "quirks": quirks}, *ROWS))


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


def test_the_checker_s_vcpus_have_the_recorded_apic_ids():
    on_2 = [[["msr", 2, 0x1B, 0xFEE00C00], [], 2, 59], [["lapic", 2, 0x0F, 0x1FF], [], 2, 59]]
    off_1, to_2 = [["lapic", 1, 0x0F, 0xFF], [], 1, 60], [["lapic", 0, 0x30, 2 << 32 | 0x41], [], 0, 61]
    outcome = run_of([*ROWS, X2APIC_0, ON_0, *on_2, off_1, to_2])
    assert "apic-enabled" not in {one.rule.name for one in rerun.findings(outcome)}


def test_a_handler_that_the_end_of_the_recording_cuts_off_is_no_finding():
    """What came after it tells: another vector was taken, so the handler of the first was over."""
    def left(rows):
        return [one.detail for one in rerun.findings(run_of(rows)) if one.rule.name == "eoi"]

    cut = ROWS[:16]
    assert left(cut) == [] and cut[-1][1] == [["T", 1, 0x41]]
    assert left([*cut, [["msr", 1, 0x83F, 0x51], [], 1, 31], [None, [["T", 1, 0x51]], 1, 31]]) == [
        "vCPU 1 never ended vector 0x41"]


# --- real boots ---

COMPARED = {"linux-6.12-8cpu": {"M": 732, "P": 1, "I": 740, "B": 8, "F": 8, "D": 536, "C": 200, "W": 268, "V": 2679},
            "linux-6.12-debian-8cpu": {"M": 2153, "P": 1, "I": 2153, "B": 0, "F": 0, "D": 630, "C": 212, "W": 315,
                                       "V": 1454}}
VECTORS = {"linux-6.12-8cpu": {"timer": 30863, "equal": 5788, "8259": 13, "early": 4},
           "linux-6.12-debian-8cpu": {"timer": 48393, "equal": 13510, "8259": 30, "early": 2}}


@pytest.mark.parametrize("name", COMPARED)
def test_linux_boots_with_every_observation_equal_and_every_vector_explained(name):
    outcome = rerun.run(recording.load(lab_file(f"{name}/log.jsonl.gz")))
    assert outcome.same and not outcome.unlike and not outcome.untold
    assert {kind: tally.equal for kind, tally in outcome.tallies.items()} == COMPARED[name]
    assert outcome.taken == VECTORS[name]
