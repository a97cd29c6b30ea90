"""The 8259 pair from its data sheet: initialization, priorities, EOI, modes, reads, spurious interrupts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig import Rig, acts
from vsim.devices import vpic
from vsim.guest import firmware
from vsim.state import commands as c
from vsim.state.arrays import PIC_BYTES, PIC_READY, Machine, Pic
from vsim.state.profile import profile
from vsim.state.trace import Act, Kind

BASES = (0x20, 0x28)


def pair(irqs=range(16), rig=None, lint0=0x700, icw4=1, **options):
    """A pair with the vectors of IRQ n at 0x20 + n, nothing masked, and vCPU 0 listening."""
    rig = rig or Rig(vcpus=2, **options)
    for command in firmware.controllers(BASES, tuple(irqs)):
        if isinstance(command, c.PortWrite) and command.port & 1 and command.byte == 1:
            command = c.PortWrite(command.port, icw4)
        rig.do(command)
    rig.do(c.ApicWrite(0, 0x350, lint0))
    return rig


def up(rig, *irqs):
    for irq in irqs:
        rig.do(c.Isa(irq, 1))
    return rig


def take(rig, vcpu=0):
    """The vector that the vCPU takes as ExtINT, and whether it was spurious; None for nothing."""
    events = rig.do(c.Acknowledge(vcpu))
    found = acts(events, "INTA")
    taken = [row[1] for row in acts(events, "TAKEN") if row[2] == 7]
    assert [row[1] for row in found] == taken
    return (taken[0], found[0][3]) if taken else None


def eoi(rig, irq):
    for command in firmware.end(irq):
        rig.do(command)


def read(rig, port):
    (row,) = acts(rig.do(c.PortRead(port)), "READ")
    assert row[1] == port and row[3] == 1
    return row[2]


def byte(rig, chip, place):
    return rig.m.pic[PIC_BYTES * chip + place]


# --- initialization ---


def test_it_says_nothing_before_its_initialization_words():
    rig = up(Rig(vcpus=1), *range(16))
    assert not rig.m.intr and take(rig) is None
    for value in (0x20, 0x0B, 0xFF & ~0x10):
        rig.do(c.PortWrite(0x20, value))
    rig.do(c.PortWrite(0x21, 0))
    assert not rig.m.intr and byte(rig, 0, Pic.STEP) == 0


@pytest.mark.parametrize("words, ready", [
    ((0x11, 0x20, 4, 1), True), ((0x11, 0x20, 4), False), ((0x11, 0x20), False), ((0x11,), False),
    ((0x10, 0x20, 4), True), ((0x10, 0x20), False),                     # no ICW4
    ((0x13, 0x20, 1), True), ((0x13, 0x20), False), ((0x12, 0x20), True),  # single: no ICW3
])
def test_icw1_says_which_words_follow(words, ready):
    rig = Rig(vcpus=1)
    for place, word in enumerate(words):
        rig.do(c.PortWrite(0x21 if place else 0x20, word))
    assert (byte(rig, 0, Pic.STEP) == PIC_READY) == ready


def test_icw1_forgets_edges_masks_and_what_is_in_service():
    rig = up(pair(), 3)
    assert take(rig) == (0x23, 0)
    up(rig, 1)
    rig.do(c.PortWrite(0x21, 0x80))
    rig.do(c.PortWrite(0x20, 0xC1))     # input 1 has the lowest priority
    rig.do(c.PortWrite(0x20, 0x11))
    assert [byte(rig, 0, each) for each in (Pic.IRR, Pic.ISR, Pic.IMR, Pic.LOWEST, Pic.OUT)] == [0, 0, 0, 7, 0]
    assert byte(rig, 0, Pic.LINES) == 0b1010 and not rig.m.intr


def test_after_the_initialization_an_edge_is_asked_for():
    rig = up(Rig(vcpus=1), 4)
    pair(rig=rig)
    assert take(rig) is None
    rig.do(c.Isa(4, 0))
    assert take(up(rig, 4)) == (0x24, 0)


def test_levels_count_where_icw1_says_so():
    rig = up(Rig(vcpus=1), 4)
    for port, word in ((0x20, 0x19), (0x21, 0x20), (0x21, 4), (0x21, 1)):
        rig.do(c.PortWrite(port, word))
    rig.do(c.ApicWrite(0, 0x350, 0x700))
    for _ in range(3):      # as long as it is up
        assert take(rig) == (0x24, 0)
        eoi(rig, 4)
    rig.do(c.Isa(4, 0))
    assert byte(rig, 0, Pic.IRR) == 0


def test_xen_knows_edges_alone():
    rig = up(Rig(vcpus=1, pic="xen"), 4)
    for port, word in ((0x20, 0x19), (0x21, 0x20), (0x21, 4), (0x21, 1)):
        rig.do(c.PortWrite(port, word))
    assert byte(rig, 0, Pic.IRR) == 0


# --- vectors, masks, priorities ---


@pytest.mark.parametrize("irq", [irq for irq in range(16) if irq != 2])
def test_the_vector_is_the_base_and_the_input(irq):
    rig = up(pair(), irq)
    assert take(rig) == (0x20 + irq, 0)
    assert take(rig) is None
    eoi(rig, irq)
    assert (byte(rig, 0, Pic.ISR), byte(rig, 1, Pic.ISR)) == (0, 0)


def test_bits_2_to_0_of_icw2_do_not_count():
    rig = Rig(vcpus=1)
    for port, word in ((0x20, 0x11), (0x21, 0x27), (0x21, 4), (0x21, 1)):
        rig.do(c.PortWrite(port, word))
    rig.do(c.ApicWrite(0, 0x350, 0x700))
    assert take(up(rig, 1)) == (0x21, 0)


def test_irq_2_is_the_cascade():
    rig = pair()
    assert acts(rig.do(c.Isa(2, 1)), "DROPPED") == [("DROPPED", 12, 2, 1)]
    assert not rig.m.intr


@pytest.mark.parametrize("irq", [3, 11])
def test_a_masked_line_waits(irq):
    rig = up(pair([each for each in range(16) if each != irq]), irq)
    assert take(rig) is None
    for command in firmware.masks((irq,)):
        rig.do(command)
    assert take(rig) == (0x20 + irq, 0)


def test_the_second_waits_behind_a_masked_cascade():
    rig = pair(range(8))        # opens IRQ 2 by name
    rig.do(c.PortWrite(0xA1, 0))
    rig.do(c.PortWrite(0x21, 4))
    assert take(up(rig, 9)) is None
    rig.do(c.PortWrite(0x21, 0))
    assert take(rig) == (0x29, 0)


ORDER = [0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7]


def test_inputs_are_taken_in_the_order_of_priority():
    rig = up(pair(), *reversed(ORDER))
    found = []
    for irq in ORDER:
        found.append(take(rig))
        eoi(rig, irq)
    assert found == [(0x20 + irq, 0) for irq in ORDER]


@pytest.mark.parametrize("serving, other, taken", [
    (3, 4, False), (3, 1, True), (3, 3, False), (3, 9, True), (9, 3, False), (9, 1, True), (9, 10, False),
    (9, 8, False),      # the cascade is in service at the first: fully nested mode
])
def test_what_is_in_service_holds_back_the_same_and_lower_priorities(serving, other, taken):
    rig = up(pair(), serving)
    assert take(rig) == (0x20 + serving, 0)
    rig.do(c.Isa(serving, 0))
    up(rig, other)
    assert (take(rig) == (0x20 + other, 0)) == taken
    assert taken or take(rig) is None


def test_special_fully_nested_mode_lets_the_second_nest():
    rig = up(pair(icw4=0x11), 9)
    assert take(rig) == (0x29, 0)
    assert take(up(rig, 8)) == (0x28, 0)
    rig = up(pair(icw4=0x11), 10)       # the second one has no cascade at its input 2
    take(rig)
    rig.do(c.Isa(10, 0))
    assert take(up(rig, 10)) is None


@pytest.mark.parametrize("icw1, vector", [(0x13, None), (0x1B, 0x22)])
def test_a_single_controller_has_no_second_behind_it(icw1, vector):
    """Where levels count, the line of the second is one as any other."""
    rig = up(pair(), *[9] * bool(vector))
    for port, word in ((0x20, icw1), (0x21, 0x20), (0x21, 1)):
        rig.do(c.PortWrite(port, word))
    up(rig, 8)
    assert take(rig) == (vector and (vector, 0))


def test_special_mask_mode_lets_lower_priorities_through_what_is_masked():
    rig = up(pair(), 3)
    assert take(rig) == (0x23, 0)
    rig.do(c.PortWrite(0x21, 1 << 3))
    assert take(up(rig, 4)) is None
    rig.do(c.PortWrite(0x20, 0x68))     # ESMM and SMM
    assert take(rig) == (0x24, 0)
    rig.do(c.PortWrite(0x20, 0x20))     # the EOI is not for the masked one
    assert byte(rig, 0, Pic.ISR) == 1 << 3
    rig.do(c.PortWrite(0x20, 0x48))
    assert byte(rig, 0, Pic.SPECIAL) == 0


# --- operation command words ---


def test_eois():
    rig = up(pair(), 5)
    take(rig)
    up(rig, 1)
    take(rig)
    assert byte(rig, 0, Pic.ISR) == 0b100010
    assert acts(rig.do(c.PortWrite(0x20, 0x65)), "PIC_ENDED") == [("PIC_ENDED", 5, 2, 0)]   # specific
    assert acts(rig.do(c.PortWrite(0x20, 0x20)), "PIC_ENDED") == [("PIC_ENDED", 1, 0, 0)]   # non-specific
    assert acts(rig.do(c.PortWrite(0x20, 0x20)), "PIC_ENDED") == []
    assert acts(rig.do(c.PortWrite(0x20, 0x40)), "PIC_ENDED") == []


@pytest.mark.parametrize("word, lowest, ended", [
    (0xA0, 3, True), (0xE3, 3, True), (0xC3, 3, False), (0x20, 7, True), (0x63, 7, True), (0xE6, 6, False)])
def test_who_has_the_lowest_priority(word, lowest, ended):
    rig = up(pair(), 3)
    take(rig)
    rig.do(c.PortWrite(0x20, word))
    assert (byte(rig, 0, Pic.LOWEST), byte(rig, 0, Pic.ISR)) == (lowest, 0 if ended else 1 << 3)
    assert vpic.ranked(rig.m, 0) == [(lowest + 1 + place) % 8 for place in range(8)]


def test_automatic_eoi_leaves_nothing_in_service_and_may_rotate():
    rig = up(pair(icw4=3), 3, 4)
    assert [take(rig), take(rig)] == [(0x23, 0), (0x24, 0)]
    assert (byte(rig, 0, Pic.ISR), byte(rig, 0, Pic.LOWEST)) == (0, 7)
    rig.do(c.PortWrite(0x20, 0x80))
    take(up(rig, 1))
    assert byte(rig, 0, Pic.LOWEST) == 1
    rig.do(c.PortWrite(0x20, 0))
    take(up(rig, 6))
    assert byte(rig, 0, Pic.LOWEST) == 1


@pytest.mark.parametrize("pic, then", [("datasheet", (0x29, 0)), ("qemu", None), ("xen", (0x29, 0))])
def test_with_automatic_eoi_the_other_of_two_at_the_second_follows_but_in_qemu(pic, then):
    rig = up(pair(icw4=3, pic=pic), 8, 9)
    assert [take(rig), take(rig), take(rig)] == [(0x28, 0), then, None]


@pytest.mark.parametrize("pic, irr", [("datasheet", 0), ("qemu", 0), ("xen", 4)])
def test_an_initialization_forgets_the_cascade_unless_its_level_counts(pic, irr):
    rig = up(pair(pic=pic), 9)
    rig.do(c.PortWrite(0x20, 0x11))
    assert byte(rig, 0, Pic.IRR) == irr


@pytest.mark.parametrize("pic, then", [("datasheet", None), ("qemu", (0x24, 0)), ("xen", None)])
def test_a_cascade_in_service_holds_back_what_is_less_urgent_but_in_qemu_fully_nested(pic, then):
    rig = up(pair(icw4=0x11, pic=pic), 10)
    take(rig)
    assert take(up(rig, 4)) == then


@pytest.mark.parametrize("pic, left", [("datasheet", 0x08), ("qemu", 0), ("xen", 0x08)])
def test_an_eoi_without_a_name_passes_over_what_is_masked_but_in_qemu(pic, left):
    rig = up(pair(pic=pic), 3)
    take(rig)
    for port, byte_ in ((0x21, 0x08), (0x20, 0x68), (0x20, 0x20)):
        rig.do(c.PortWrite(port, byte_))
    assert byte(rig, 0, Pic.ISR) == left


def test_reads_show_irr_isr_and_the_mask():
    rig = up(pair(), 3)
    take(rig)
    up(rig, 5)
    rig.do(c.PortWrite(0x21, 0x90))
    assert (read(rig, 0x20), read(rig, 0x21)) == (1 << 5, 0x90)
    rig.do(c.PortWrite(0x20, 0x0B))
    assert (read(rig, 0x20), read(rig, 0x20), read(rig, 0x21)) == (1 << 3, 1 << 3, 0x90)
    rig.do(c.PortWrite(0x20, 0x08))     # nothing changes
    assert read(rig, 0x20) == 1 << 3
    rig.do(c.PortWrite(0x20, 0x0A))
    assert read(rig, 0x20) == 1 << 5


def test_a_poll_acknowledges():
    rig = up(pair(), 3)
    rig.do(c.PortWrite(0x20, 0x0C))
    assert read(rig, 0x20) == 0x83 and not rig.m.intr
    assert (byte(rig, 0, Pic.ISR), read(rig, 0x20)) == (1 << 3, 0)
    rig.do(c.PortWrite(0x20, 0x0C))
    assert read(rig, 0x20) == 0
    up(rig, 1)
    for word in (0x0A, 0x0C, 0x08):     # the last word takes the poll back
        rig.do(c.PortWrite(0x20, word))
    assert (read(rig, 0x20), byte(rig, 0, Pic.ISR)) == (1 << 1, 1 << 3)


@pytest.mark.parametrize("shown, wanted", [(0x0A, 1 << 5), (0x0B, 1 << 3)])
def test_behind_a_poll_reads_show_what_they_showed_before(shown, wanted):
    rig = up(pair(), 3)
    for word in (shown, 0x0C):
        rig.do(c.PortWrite(0x20, word))
    assert read(rig, 0x20) == 0x83
    up(rig, 5)
    assert [read(rig, 0x20), read(rig, 0x20)] == [wanted, wanted]


def test_an_eoi_that_lets_the_next_one_in_begins_an_interrupt():
    rig = up(pair(), 1)
    take(rig)
    up(rig, 4, 9)
    rig.do(c.Isa(9, 0))
    (rise,) = [event for event in rig.do(c.PortWrite(0x20, 0x20)) if event.act == Act.INTR]
    assert rise.serial == rig.m.serial > 0 and rise[4:7] == (1, 15, 1)      # the second one's request has gone


@pytest.mark.parametrize("port", [0x22, 0x80, 0x4D0, 0xA2, 0xFFFF])
def test_other_ports_are_nobodys(port):
    rig = pair()
    assert acts(rig.do(c.PortWrite(port, 5))) == [("DROPPED", 5, port, 5)]
    assert read(rig, port) == 0xFF
    assert {event.node >> 24 for event in rig.do(c.PortRead(port))} == {Kind.QEMU}


def test_a_pvh_domain_has_no_8259():
    rig = Rig(vcpus=1, domain_type="pvh")
    assert acts(rig.do(c.PortWrite(0x20, 0x11))) == [("DROPPED", 5, 0x20, 0x11)]
    assert not [e for e in rig.do(c.Isa(4, 1)) if e.node >> 24 == Kind.VPIC]
    assert rig.m.direct[4] == 1         # its I/O APIC hears the line


# --- requests that have gone ---


@pytest.mark.parametrize("irq, vector, isr", [(3, 0x27, 0), (7, 0x27, 0), (11, 0x2F, 1 << 2), (15, 0x2F, 1 << 2)])
@pytest.mark.parametrize("how", ["line", "mask"])
def test_a_request_that_has_gone_gets_the_spurious_irq(irq, vector, isr, how):
    """IRQ 7, or 15 while the first one has its cascade in service; no bit of its own (386 EX 9.4.3)."""
    rig = up(pair(), irq)
    rig.do(c.Isa(irq, 0) if how == "line" else c.PortWrite(0xA1 if irq > 7 else 0x21, 0xFF))
    assert rig.m.intr
    assert take(rig) == (vector, 1)
    assert (byte(rig, 0, Pic.ISR), byte(rig, 1, Pic.ISR), rig.m.intr) == (isr, 0, 0)


@pytest.mark.parametrize("irq", [3, 11])
@pytest.mark.parametrize("how", ["line", "mask"])
def test_in_xen_a_request_that_has_gone_is_withdrawn(irq, how):
    rig = up(pair(pic="xen"), irq)
    assert rig.m.intr
    rig.do(c.Isa(irq, 0) if how == "line" else c.PortWrite(0xA1 if irq > 7 else 0x21, 0xFF))
    assert not rig.m.intr and take(rig) is None


@pytest.mark.parametrize("irq, how, taken", [
    (3, "line", (0x23, 0)), (11, "line", (0x2B, 0)), (3, "mask", None), (11, "mask", (0x2F, 1))])
def test_in_qemu_an_edge_outlives_its_line_and_not_its_mask(irq, how, taken):
    """A timer's pulse is over before it is taken, as in recordings; the cascade's edge outlives a mask, too."""
    rig = up(pair(pic="qemu"), irq)
    rig.do(c.Isa(irq, 0) if how == "line" else c.PortWrite(0xA1 if irq > 7 else 0x21, 0xFF))
    assert take(rig) == taken


# --- the line's other way ---


def test_a_line_goes_to_the_io_apic_too_and_irq_0_to_pin_2():
    rig = Rig(vcpus=1)
    up(rig, 0, 4)
    assert [pin for pin, level in enumerate(rig.m.direct) if level] == [2, 4]
    assert rig.do(c.Isa(4, 1))[0:] == []      # no change
    assert [event.serial for event in rig.do(c.Isa(0, 0))] == [0, 0]    # a fall is no interrupt
    assert [pin for pin, level in enumerate(rig.m.direct) if level] == [4]


@pytest.mark.parametrize("domain_type", ["hvm", "pvh"])
def test_a_rise_is_an_interrupt_and_nothing_else_is(domain_type):
    rig = Rig(vcpus=1, domain_type=domain_type)
    for command, serials in ((c.Isa(4, 1), 1), (c.Isa(4, 1), 1), (c.Isa(4, 0), 1), (c.Isa(4, 0), 1), (c.Isa(4, 1), 2)):
        rig.do(command)
        assert rig.m.serials == serials


def test_one_edge_by_both_ways_is_warned_of():
    rig = pair()
    for address, value in ((0xFEC00000, 0x18), (0xFEC00010, 0x31)):
        rig.do(c.Mmio(address, 4, value))
    events = rig.do(c.Isa(4, 1))
    assert [row[1] for row in acts(events, "ACCEPTED")] == [0x31] and rig.m.intr
    assert [(row[1], row[3]) for row in acts(events, "WARNED")] == [(19, 4)]
    rig = pair(lint0=0x10700)
    for address, value in ((0xFEC00000, 0x18), (0xFEC00010, 0x31)):
        rig.do(c.Mmio(address, 4, value))
    assert acts(rig.do(c.Isa(4, 1)), "WARNED", "INTR") == [("INTR", 1, 4, 0)]


# --- any use of it ---

COMMAND = st.one_of(
    st.builds(c.Isa, st.integers(0, 15), st.integers(0, 1)), st.builds(c.PortRead, st.sampled_from(vpic.PORTS)),
    st.builds(c.PortWrite, st.sampled_from(vpic.PORTS), st.integers(0, 255)), st.just(c.Acknowledge(0)))


@given(st.lists(COMMAND, max_size=60), st.sampled_from(["datasheet", "qemu", "xen"]))
def test_whatever_is_done_it_keeps_its_promises(commands, pic):
    rig = pair(pic=pic)
    for command in commands:
        events = rig.do(command)
        for row in acts(events, "INTA"):
            assert row[3] == 0 or row[2] in {"datasheet": (7, 15), "qemu": (15,), "xen": ()}[pic]
        assert rig.m.intr == byte(rig, 0, Pic.OUT)
        assert vpic.first(rig.m, 0) < 0 or rig.m.intr
        assert pic == "datasheet" or rig.m.intr == (vpic.first(rig.m, 0) >= 0)
    assert Machine.load(rig.m.save()) == rig.m
    m = rig.m.copy()
    assert m == rig.m and not m.difference(rig.m)


@pytest.mark.parametrize("name, place, value", [("pic", Pic.STEP, 1), ("pic", Pic.LOWEST, 8), ("pic", Pic.OUT, 2),
                                                ("extint", 0, 2), ("lint", 1, 2)])
def test_a_saved_machine_that_cannot_be_is_refused(name, place, value):
    m = Machine(profile("spec"), vcpus=1)
    getattr(m, name)[place] = value
    with pytest.raises(ValueError, match="saved machine"):
        Machine.load(m.save())


def test_a_reset_forgets_it():
    rig = up(pair(), 3)
    rig.do(c.Reset())
    assert not rig.m.intr and not any(rig.m.pic) and Act.INTA not in [e.act for e in rig.do(c.Acknowledge(0))]


@pytest.mark.parametrize("masks, used", [((0xFF, 0xFF), False), ((0xFB, 0xFF), True), ((0xFF, 0xFE), True)])
def test_a_pair_whose_inputs_are_all_masked_is_not_in_use(masks, used):
    rig = pair()
    for port, mask in zip((0x21, 0xA1), masks, strict=True):
        rig.do(c.PortWrite(port, mask))
    assert vpic.in_use(rig.m) is used
