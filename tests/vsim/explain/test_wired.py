"""A line at the 8259 pair told: which check holds it back, and where to read about it."""

import re

import pytest

from tests.rig import Rig
from tests.vsim.devices.test_vpic import pair, up
from vsim.explain.interrupt import FAILED, NOT_REACHED, PASSED, ending, explain
from vsim.explain.sentences import say, section
from vsim.state import commands as c
from vsim.state.trace import Act


def told(rig, command):
    before = rig.m.copy()
    events = rig.do(command)
    return explain(events, before, next(e.serial for e in events if e.serial))


@pytest.mark.parametrize("rig, irq, name, read", [
    (lambda: Rig(vcpus=1), 4, "first-initialised", "8259A ICW1"),
    (lambda: Rig(vcpus=1), 9, "second-initialised", "8259A ICW1"),
    (lambda: pair([1]), 4, "first-unmasked", "8259A OCW1"),
    (lambda: pair([1]), 9, "second-unmasked", "8259A OCW1"),
    (lambda: serving(3), 4, "first-priority", "8259A fully nested mode"),
    (lambda: serving(9), 10, "second-priority", "8259A fully nested mode"),
    (lambda: serving(3, mask=0x08), 4, None, ""),
    (lambda: serving(10, icw4=0x11), 8, None, ""), (lambda: serving(10, icw4=0x11), 11, "second-priority",
                                                   "8259A fully nested mode"),
    (lambda: pair(lint0=0x10700), 4, "lint0-unmasked", "SDM 11.5.1"),
    (lambda: pair(lint0=0x31), 4, "lint0-extint", "MP 3.6.2.2"),
    (lambda: pair(), 4, None, ""), (lambda: pair(), 9, None, ""),
])
def test_the_check_that_holds_a_line_back(rig, irq, name, read):
    found = told(rig(), c.Isa(irq, 1))
    end = ending(found.checks)
    assert (end and end.name) == name and len(found.checks) == (8 if irq > 7 else 5)
    if end is None:
        assert found.verdict == "asked of vCPU 0 by LINT0" and {row.outcome for row in found.checks} == {PASSED}
        return
    at = found.checks.index(end)
    rest = len(found.checks) - at - 1
    assert [row.outcome for row in found.checks] == [PASSED] * at + [FAILED] + [NOT_REACHED] * rest
    assert found.verdict == f"held back: {name}" and end.section == read and read in found.sections
    assert f"Check {name} ({read}): {end.sentence}" in found.sentences


def serving(irq, mask=0, icw4=1):
    """A pair with an input in service; mask: in special mask mode, at the first one; icw4: of both, 11h nests fully."""
    rig = up(pair(icw4=icw4), irq)
    rig.do(c.Acknowledge(0))
    if mask:
        rig.do(c.PortWrite(0x21, mask))
        rig.do(c.PortWrite(0x20, 0x68))
    return rig


def test_the_way_of_a_line_in_sentences():
    rig = pair()
    assert told(rig, c.Isa(4, 1)).sentences[:3] == (
        "The line of IRQ 4 goes up at 8259 0.",
        "The 8259 pair raises INTR for IRQ 4, at LINT0 of every local APIC; vCPUs that take it as ExtINT: 1.",
        "LINT0 of vLAPIC 0 (APIC ID 0x0) rises, programmed as ExtINT: the vCPU is asked to fetch a vector from the "
        "8259 (INTA).")
    m = rig.m.copy()
    said = [say(m, event) for event in rig.do(c.Acknowledge(0))]
    assert said[:2] == [
        "INTA: the 8259 takes IRQ 4 into service and gives vector 0x24, its base and its input.",
        "vCPU 0 begins the handler of vector 0x24, which the 8259 gave it; its EOI belongs to the 8259, the local APIC "
        "knows nothing of it."]
    assert say(m, rig.do(c.PortWrite(0x20, 0x20))[1]) == "EOI at 8259 0: IRQ 4 is no longer in service there."


def test_a_spurious_interrupt_in_a_sentence():
    rig = up(pair(), 4)
    rig.do(c.Isa(4, 0))
    assert say(rig.m, rig.do(c.Acknowledge(0))[0]) == (
        "INTA: the request has gone, and the 8259 answers as if IRQ 7 had been there: vector 0x27, spurious, not in "
        "service.")


@pytest.mark.parametrize("register, value, pin, text", [
    (0x350, 0x10041, 0, "programmed as fixed: its entry is masked, and nothing comes of it."),
    (0x350, 0x41, 0, "programmed as fixed: it is an interrupt of its vector."),
    (0x360, 0x400, 1, "programmed as NMI: that goes to the vCPU at once.")])
def test_a_pin_in_a_sentence(register, value, pin, text):
    rig = Rig(vcpus=1)
    rig.do(c.ApicWrite(0, register, value))
    event = rig.do(c.Lint(0, pin, 1))[0]
    assert say(rig.m, event) == f"LINT{pin} of vLAPIC 0 (APIC ID 0x0) rises, {text}"


@pytest.mark.parametrize("act", [Act.INTR, Act.LINT, Act.INTA, Act.PIC_ENDED])
def test_every_act_has_a_section(act):
    rig, found = pair(), {}
    for command in (c.Isa(4, 1), c.Acknowledge(0), c.PortWrite(0x20, 0x20)):
        found |= {event.act: event for event in rig.do(command)}
    assert re.match("8259A |SDM |MP ", section(found[act]))
