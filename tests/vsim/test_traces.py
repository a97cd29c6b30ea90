"""Golden traces: scenarios in, event lines out, compared as text with `tests/golden/traces/*.txt`.

A file holds each command as its row (`> [...]`) and below it the events that it makes. A change of these files is a
change of what the machine does: `VSIM_REGENERATE=1 pytest tests/vsim/test_traces.py` writes them anew, the difference
is read and explained in the commit. Every scenario also runs through a `History`, from a saved session, and backwards.
"""

import io
import os

import pytest

from tests import scenes
from tests.places import GOLDEN
from vsim.guest import firmware
from vsim.history.log import History
from vsim.history.session import Log
from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD, remap_message
from vsim.layouts.registers import FSTS, MSIX_CONTROL, PCI_COMMAND
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.trace import Act, lines

FOLDER = GOLDEN / "traces"
RECORD = scenes.UNIT + 0x220
LAST = 287


def msix(number, index):
    """The guest switches the NIC's MSI-X on and programs one message for an entry of the remapping table."""
    bar = scenes.bus().bar(0)
    address, data = remap_message(index)
    return [c.ConfigWrite(scenes.NIC, 4, 2, PCI_COMMAND.make(master=1, memory=1)),
            c.ConfigWrite(scenes.NIC, 0x62, 2, MSIX_CONTROL.make(enable=1)),
            *(c.Mmio(bar + 16 * number + 4 * word, 4, value) for word, value in enumerate((address, 0, data, 0)))]


def end(vcpu):
    """The vCPU takes an interrupt and ends it, in x2APIC mode."""
    return [c.Acknowledge(vcpu), c.Msr(vcpu, 0x80B, 0)]


SCENARIOS = {
    "msi_remapped": (288, [
        *scenes.apics(0, LAST), *scenes.unit(), scenes.entry(5, vector=0x41, dst=2 * LAST, svt=1, sid=scenes.NIC),
        *msix(2, 5), c.Signal(scenes.NIC, 2), *end(LAST), *[c.Signal(scenes.NIC, 2)] * 2, *end(LAST)]),
    "blocked": (4, [
        *scenes.apics(0, 1), *scenes.unit(), scenes.msi(7), scenes.msi(8, scenes.DISK), *end(0),
        c.MmioRead(RECORD + 8, 8), c.Mmio(RECORD + 12, 4, FRCD.f.mask >> 96),
        scenes.register("FSTS", FSTS.pfo.mask), c.Msi(scenes.NIC, 0xFEE02000, 0x41), scenes.msi(0x100)]),
    "level_pin": (4, [
        *scenes.apics(0, 1), *scenes.unit(), scenes.entry(3, vector=0x61, dst=2, tm=1, svt=1, sid=0xFF00),
        *scenes.pin(16, 0x8061, 7 << 16), c.Pin(16, 1), c.Acknowledge(1), c.Pin(16, 0), c.Pin(16, 1),
        c.Msr(1, 0x80B, 0), c.Acknowledge(1), c.Pin(16, 0), c.Msr(1, 0x80B, 0)]),
    "virtual_wire": (2, [
        *firmware.virtual_wire(scenes.machine(2), (0, 12)), c.Isa(0, 1), c.Isa(0, 0), c.Isa(12, 1), c.Acknowledge(0),
        *firmware.end(7), c.Acknowledge(0), c.PortRead(0x20), *firmware.end(12), c.Isa(12, 0), c.Lint(0, 1, 1),
        c.Acknowledge(0), *firmware.symmetric(scenes.machine(2)), c.Isa(12, 1), c.Acknowledge(0)]),
    "stale_entry": (4, [
        *scenes.apics(0, 1, 2), *scenes.unit(), scenes.entry(1, vector=0x41, dst=2), scenes.msi(1),
        scenes.entry(1, vector=0x51, dst=4), scenes.msi(1), *scenes.invalidate(1), scenes.msi(1)]),
}
"""Name -> (vCPUs, commands)."""


def rows(commands):
    """The commands as the log writes them, one row of JSON each."""
    log = Log()
    for command in commands:
        log.append(command)
    return log.lines().decode().splitlines()


def told(commands, events):
    """Commands and the events of each as text."""
    out = []
    for row, some in zip(rows(commands), events, strict=True):
        out += [f"> {row}", *([lines(some)] if some else [])]
    return "\n".join(out) + "\n"


def played(name):
    vcpus, commands = SCENARIOS[name]
    m = scenes.machine(vcpus)
    return told(commands, [step(m, command) for command in commands])


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_makes_the_events_of_its_golden_trace(name):
    path = FOLDER / f"{name}.txt"
    if os.environ.get("VSIM_REGENERATE"):
        path.write_text(played(name), encoding="utf-8")
    assert played(name) == path.read_text(encoding="utf-8")


def test_every_golden_trace_has_its_scenario():
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_saved_and_rewound_scenario_makes_the_same_events(name):
    vcpus, commands = SCENARIOS[name]
    made = History(scenes.machine(vcpus))
    for command in commands:
        made.issue(command)
    stream = io.BytesIO()
    made.save(stream)
    again = History.load(io.BytesIO(stream.getvalue()))
    again.goto(0)
    again.redo(len(commands))
    events = [again.events(place, place + 1) for place in range(len(commands))]
    assert told(list(again.commands), events) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


# What each golden trace is there to show; a regenerated file that no longer shows it fails here.


def acts(name, *wanted):
    vcpus, commands = SCENARIOS[name]
    m = scenes.machine(vcpus)
    events = [event for command in commands for event in step(m, command)]
    return m, [(Act(e.act).name, e.index) for e in events if e.act in wanted]


def test_the_remapped_message_reaches_vcpu_287_and_merges_while_it_is_pending():
    m, seen = acts("msi_remapped", Act.ACCEPTED, Act.MERGED, Act.TAKEN, Act.ENDED)
    first = [("ACCEPTED", 0x41), ("TAKEN", 0x41), ("ENDED", 0x41)]
    assert seen == [*first, ("ACCEPTED", 0x41), ("MERGED", 0x41), *first[1:]]
    assert m.apic_id[LAST] == 574


def test_the_blocked_requests_are_recorded_lost_and_recorded_again():
    m, seen = acts("blocked", Act.BLOCKED, Act.RECORDED, Act.OVERFLOWED, Act.NOTIFIED)
    assert seen == [("BLOCKED", 0x22), ("RECORDED", 0), ("NOTIFIED", 0), ("BLOCKED", 0x22), ("OVERFLOWED", 0x22),
                    ("BLOCKED", 0x25), ("RECORDED", 0), ("NOTIFIED", 0), ("BLOCKED", 0x21), ("OVERFLOWED", 0x21)]
    assert get(m.regs[0x34 // 4], FSTS.pfo) == 1


def test_the_level_pin_sends_again_at_its_eoi_while_the_line_is_up():
    _, seen = acts("level_pin", Act.IRR_SET, Act.IRR_CLEARED, Act.ACCEPTED, Act.ENDED)
    once = [("IRR_SET", 16), ("ACCEPTED", 0x61), ("ENDED", 0x61), ("IRR_CLEARED", 16)]
    assert seen == once + once


def test_the_stale_entry_serves_until_it_is_invalidated():
    _, seen = acts("stale_entry", Act.FETCHED, Act.HIT, Act.INVALIDATED, Act.ACCEPTED, Act.MERGED)
    assert seen == [("FETCHED", 1), ("ACCEPTED", 0x41), ("HIT", 1), ("MERGED", 0x41), ("INVALIDATED", 1),
                    ("FETCHED", 1), ("ACCEPTED", 0x51)]
