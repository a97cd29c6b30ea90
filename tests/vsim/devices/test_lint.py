"""LINT0, LINT1 and ExtINT (SDM 11.5.1; MP specification 1.4, 3.6.2.2; Xen's and QEMU's own ways)."""

import pytest

from tests.rig import Rig, acts
from tests.vsim.devices.test_vpic import pair, take, up
from vsim.devices import lint
from vsim.layouts.formats import msi_message
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.trace import Drop, Warn

LINT0, LINT1, EOI = 0x350, 0x360, 0xB0
MASKED, EXTINT, NMI, LEVEL = 0x10000, 0x700, 0x400, 0x8000


def rig_with(register, value, **options):
    rig = Rig(vcpus=3, **options)
    rig.do(c.ApicWrite(1, register, value))
    return rig


def requested(rig, vcpu=1):
    return [32 * word + bit for word in range(8) for bit in range(32) if rig.m.irr[8 * vcpu + word] >> bit & 1]


# --- what a pin does ---


@pytest.mark.parametrize("pin, register", [(0, LINT0), (1, LINT1)])
def test_fixed_by_edge(pin, register):
    rig = rig_with(register, 0x41)
    events = rig.do(c.Lint(1, pin, 1))
    assert acts(events, "LINT", "ACCEPTED") == [("LINT", pin, 1, 0x41), ("ACCEPTED", 0x41, 0, 2)]
    assert len({e.serial for e in events}) == 1 and events[0].serial
    assert rig.do(c.Lint(1, pin, 1)) == []
    rig.do(c.Acknowledge(1))
    rig.do(c.ApicWrite(1, EOI, 0))
    assert requested(rig) == []
    rig.do(c.Lint(1, pin, 0))
    rig.do(c.Lint(1, pin, 1))
    assert requested(rig) == [0x41] and requested(rig, 0) == []


@pytest.mark.parametrize("suppress", [False, True])
def test_fixed_by_level_sets_remote_irr_until_its_eoi(suppress):
    rig = rig_with(LINT0, LEVEL | 0x41, suppress_eoi=True)
    rig.m.svr[1] = 0x11FF if suppress else 0x1FF
    rig.do(c.Lint(1, 0, 1))
    assert rig.m.lvt[6 + 3] == LEVEL | 0x4041 and requested(rig) == [0x41]
    rig.do(c.Acknowledge(1))
    events = rig.do(c.ApicWrite(1, EOI, 0))
    assert acts(events, "ENDED", "ACCEPTED") == [("ENDED", 0x41, int(not suppress), 0), ("ACCEPTED", 0x41, 1, 2)]
    rig.do(c.Lint(1, 0, 0))
    rig.do(c.Acknowledge(1))
    rig.do(c.ApicWrite(1, EOI, 0))
    assert rig.m.lvt[6 + 3] == LEVEL | 0x41 and requested(rig) == []


def test_an_eoi_of_another_vector_leaves_remote_irr():
    rig = rig_with(LINT0, LEVEL | 0x41)
    rig.do(c.Lint(1, 0, 1))
    rig.do(c.Acknowledge(1))
    rig.do(c.Msi(0x300, *msi_message(2, 0x51, tm=1)))
    rig.do(c.Acknowledge(1))
    rig.do(c.ApicWrite(1, EOI, 0))
    assert rig.m.lvt[6 + 3] & 0x4000 and requested(rig) == []


def test_a_pin_that_was_masked_meanwhile_is_ended_and_sends_no_more():
    rig = rig_with(LINT0, LEVEL | 0x41)
    rig.do(c.Lint(1, 0, 1))
    rig.do(c.Acknowledge(1))
    rig.do(c.ApicWrite(1, LINT0, MASKED | LEVEL | 0x41))
    rig.do(c.ApicWrite(1, EOI, 0))
    assert rig.m.lvt[6 + 3] == MASKED | LEVEL | 0x41 and requested(rig) == []


def test_a_level_counts_when_it_is_unmasked_and_an_edge_is_lost():
    for value, found in ((LEVEL | 0x41, [0x41]), (0x41, [])):
        rig = rig_with(LINT0, MASKED | value)
        rig.do(c.Lint(1, 0, 1))
        assert requested(rig) == []
        rig.do(c.ApicWrite(1, LINT0, value))
        assert requested(rig) == found


@pytest.mark.parametrize("mode, name", [(NMI, 4), (0x200, 2), (0x500, 5)])
@pytest.mark.parametrize("trigger", [0, LEVEL])
def test_nmi_smi_and_init_are_edges(mode, name, trigger):
    rig = rig_with(LINT1, mode | trigger | 0x41)
    events = rig.do(c.Lint(1, 1, 1))
    assert [row[1] for row in acts(events, "SIGNALLED")] == [name]
    assert acts(rig.do(c.Lint(1, 1, 0)), "SIGNALLED") == [] and requested(rig) == []
    assert rig.m.nmi[1] == (mode == NMI) and rig.m.waiting[1] == 1


@pytest.mark.parametrize("mode", [1, 3, 6])
def test_reserved_modes_do_nothing(mode):
    rig = rig_with(LINT1, mode << 8 | 0x41)
    assert [row[1] for row in acts(rig.do(c.Lint(1, 1, 1)), "DROPPED")] == [Drop.MODE]


def test_a_vector_below_16_is_an_error():
    rig = rig_with(LINT0, 0x0F)
    assert acts(rig.do(c.Lint(1, 0, 1)), "APIC_ERROR") == [("APIC_ERROR", 1 << 6, 15, 0)]


def test_a_local_apic_switched_off_by_software_masks_its_pins():
    rig = rig_with(LINT0, 0x41)
    rig.do(c.ApicWrite(1, 0xF0, 0xFF))
    assert acts(rig.do(c.Lint(1, 0, 1)), "ACCEPTED") == [] and rig.m.lvt[6 + 3] == MASKED | 0x41


def test_a_vcpu_that_is_not_there():
    assert acts(Rig(vcpus=3).do(c.Lint(3, 0, 1)), "DROPPED") == [("DROPPED", Drop.NO_PIN, 3, 0)]


# --- ExtINT ---


def test_extint_passes_the_priorities_and_has_no_eoi_at_the_local_apic():
    rig = pair()
    rig.m.tpr[0] = 0xF0
    rig.do(c.Msi(0x300, *msi_message(0, 0x61)))
    up(rig, 4)
    assert take(rig) == (0x24, 0)
    assert not any(rig.m.isr) and acts(rig.do(c.ApicWrite(0, EOI, 0)), "ENDED") == []
    assert requested(rig, 0) == [0x61]


@pytest.mark.parametrize("lint0, taken", [(EXTINT, True), (EXTINT | MASKED, False), (0x41, False), (NMI, False)])
def test_lint0_has_to_be_unmasked_as_extint(lint0, taken):
    rig = up(pair(lint0=lint0), 4)
    assert (take(rig) == (0x24, 0)) == taken


def test_an_nmi_comes_first():
    rig = up(pair(), 4)
    rig.m.nmi[0] = 1
    assert acts(rig.do(c.Acknowledge(0)), "TAKEN") == [("TAKEN", 2, 4, 0)]
    assert take(rig) == (0x24, 0)
    rig.do(c.PortWrite(0x20, 0x20))
    rig.m.nmi[0] = 1                    # one more, while the first one's handler runs
    assert rig.m.in_nmi[0] and take(up(rig, 5)) == (0x25, 0)


def test_lint0_as_a_fixed_interrupt_of_the_pair():
    """Linux tries this for its timer: the 8259 as nothing but a wire."""
    rig = up(pair(lint0=0x30), 0)
    assert requested(rig, 0) == [0x30] and take(rig) is None


def test_two_wires_at_lint0_are_one_level():
    rig = pair(lint0=0x30)
    rig.do(c.Lint(0, 0, 1))
    assert acts(up(rig).do(c.Isa(0, 1)), "LINT", "MERGED") == [] and requested(rig, 0) == [0x30]
    rig.do(c.ApicWrite(0, LINT0, MASKED | LEVEL | 0x41))
    rig.do(c.Lint(0, 0, 0))
    events = rig.do(c.ApicWrite(0, LINT0, LEVEL | 0x41))        # INTR is still up
    assert acts(events, "ACCEPTED") == [("ACCEPTED", 0x41, 1, 0)] and events[-1].serial


def test_init_masks_the_pin():
    rig = up(pair(), 4)
    rig.do(c.ApicWrite(0, 0x310, 0))
    rig.do(c.ApicWrite(0, 0x300, 0x4500))
    assert take(rig) is None


def test_without_the_local_apic_the_pins_are_intr_and_nmi():
    rig = pair(lint0=MASKED)
    rig.do(c.Msr(0, 0x1B, 0xFEE00100))
    assert take(up(rig, 4)) == (0x24, 0)
    rig.do(c.Lint(0, 1, 1))
    assert rig.m.nmi[0] == 1


def test_messages_of_extint_ask_for_a_vector_too():
    rig = pair(lint0=MASKED)
    rig.do(c.Msi(0x300, *msi_message(2, 0x99, dlm=7)))
    assert rig.m.extint[1] == 1
    assert take(up(rig, 4), 1) == (0x24, 0)
    assert take(rig, 1) is None
    rig.do(c.Msi(0x300, *msi_message(2, 0x99, dlm=7)))
    assert take(rig, 1) == (0x27, 1)


@pytest.mark.parametrize("setup", [lambda: Rig(vcpus=3), lambda: pair(pic="qemu")])
def test_without_a_pair_and_in_emulators_such_a_message_comes_to_nothing(setup):
    rig = setup()
    events = rig.do(c.Msi(0x300, *msi_message(2, 0x99, dlm=7)))
    assert acts(events, "SIGNALLED") and not rig.m.extint[1] and take(rig, 1) is None


def test_another_pin_of_extint_asks_once_a_rise():
    rig = pair(lint0=MASKED)
    rig.do(c.ApicWrite(1, LINT1, EXTINT))
    up(rig, 4)
    rig.do(c.Lint(1, 1, 1))
    assert [take(rig, 1), take(rig, 1)] == [(0x24, 0), None]


def test_many_vcpus_are_asked_alike_while_nobody_looks():
    rigs = [pair(rig=Rig(vcpus=100, apic_id_step=1), lint0=MASKED) for _ in range(2)]
    message = c.Msi(0x300, *msi_message(0xFF, 0x99, dlm=7))
    rigs[0].do(message)
    step(rigs[1].m, message, trace=False)
    assert sum(rigs[0].m.extint) == 100 and rigs[0].m == rigs[1].m


# --- who listens ---


def test_intr_is_at_lint0_of_every_local_apic():
    rig = pair()
    events = rig.do(c.ApicWrite(1, LINT0, EXTINT))
    assert [(row[1], row[3]) for row in acts(events, "WARNED")] == [(Warn.SECOND_EXTINT, 0)]
    assert acts(rig.do(c.Isa(4, 1)), "INTR", "LINT") == [
        ("INTR", 1, 4, 2), ("LINT", 0, 1, EXTINT), ("LINT", 0, 1, EXTINT)]
    assert take(rig, 1) == (0x24, 0) and take(rig, 0) is None


def test_in_xen_the_first_that_takes_extint_has_it_alone():
    rig = pair(rig=Rig(vcpus=3, pic="xen"), lint0=MASKED)
    rig.do(c.ApicWrite(2, LINT0, EXTINT))
    assert lint.listeners(rig.m) == [2]
    rig.do(c.ApicWrite(1, LINT0, EXTINT))
    assert lint.listeners(rig.m) == [1]
    up(rig, 4)
    assert take(rig, 2) is None and take(rig, 1) == (0x24, 0)


@pytest.mark.parametrize("low, high, found", [
    (0x700, 4, [2]), (0x10700, 4, []), (0x000, 4, []), (0x700, 5, [])])
def test_in_xen_pin_0_of_the_io_apic_may_send_extint(low, high, found):
    """Its destination is compared with the APIC ID, which is twice the vCPU's number."""
    rig = pair(rig=Rig(vcpus=3, pic="xen"), lint0=MASKED)
    for index, value in ((0x11, high << 24), (0x10, low)):
        rig.do(c.Mmio(0xFEC00000, 4, index))
        rig.do(c.Mmio(0xFEC00010, 4, value))
    assert lint.listeners(rig.m) == found
    if found:
        assert take(up(rig, 4), 2) == (0x24, 0)


def test_in_xen_lint0_as_fixed_is_no_wire():
    rig = up(pair(lint0=0x30, pic="xen"), 0)
    assert requested(rig, 0) == []
    rig.do(c.ApicWrite(0, LINT0, LEVEL | 0x30))
    assert requested(rig, 0) == []


@pytest.mark.parametrize("pic, first", [("datasheet", 0x24), ("xen", 0x24), ("qemu", 0x61)])
def test_whose_vector_comes_first(pic, first):
    rig = pair(pic=pic)
    rig.do(c.Msi(0x300, *msi_message(0, 0x61)))
    up(rig, 4)
    assert [row[1] for row in acts(rig.do(c.Acknowledge(0)), "TAKEN")] == [first]


# --- what is warned of ---


@pytest.mark.parametrize("register, value, warned", [
    (LINT1, LEVEL | 0x41, [Warn.LINT1_LEVEL]), (LINT1, 0x41, []), (LINT0, LEVEL | 0x41, []), (LINT1, LEVEL | NMI, []),
    (LINT1, MASKED | LEVEL | 0x41, []), (LINT0, EXTINT, []), (LINT1, EXTINT, [])])
def test_what_is_warned_of(register, value, warned):
    rig = Rig(vcpus=3)
    assert [row[1] for row in acts(rig.do(c.ApicWrite(1, register, value)), "WARNED")] == warned


@pytest.mark.parametrize("written, up, again", [
    (LEVEL | 0x41, 1, True), (LEVEL | 0x41, 0, False), (LEVEL | MASKED | 0x41, 1, False), (0x41, 1, False)])
def test_after_an_eoi_a_pin_sends_again_if_it_is_up_unmasked_and_a_level(written, up, again):
    rig = rig_with(LINT0, LEVEL | 0x41)
    rig.do(c.Lint(1, 0, 1))
    rig.do(c.Acknowledge(1))
    rig.do(c.ApicWrite(1, LINT0, written))
    rig.m.lint[2] = up
    serials = rig.m.serials
    rig.do(c.ApicWrite(1, EOI, 0))
    assert requested(rig) == [0x41] * again and rig.m.serials - serials == again
    assert rig.m.lvt[6 + 3] == written | 0x4000 * again
