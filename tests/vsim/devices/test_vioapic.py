"""The I/O APIC: registers, entries, pins, remote IRR and EOI (A 7; X 5.1, 5.2)."""

import pytest

from tests.cpus import (
    acknowledge,
    drops,
    entry,
    eoi,
    ioapic_eoi,
    ioapic_read,
    ioapic_write,
    line,
    low,
    machine,
    reached,
    remote_irr,
    serve,
    signalled,
    write,
)
from vsim.devices import vioapic
from vsim.layouts.formats import RTE, RTE_REMAP, Dlm
from vsim.machine import read, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Drop

PIN = 9
LEVEL = {"tm": 1}


def window_write(m, offset, value, width=4):
    return step(m, c.Mmio(vioapic.BASE + offset, width, value))


# --- registers (A 7.1) ---


@pytest.mark.parametrize("pins, version, value", [(48, 0x20, 0x002F0020), (48, 0x11, 0x002F0011),
                                                  (24, 0x20, 0x00170020), (1, 0x11, 0x00000011)])
def test_pins_and_version_are_the_platforms(pins, version, value):
    assert ioapic_read(machine(ioapic_pins=pins, ioapic_version=version), 1) == value


def test_after_reset_every_entry_is_masked_and_all_else_is_0():
    m = machine()
    assert [ioapic_read(m, 0x10 + n) for n in range(4)] == [0x10000, 0, 0x10000, 0]
    assert (ioapic_read(m, 0), ioapic_read(m, 2), set(m.rte)) == (0, 0, {0x10000})


def test_the_select_register_is_8_bits_and_reads_back():
    m = machine()
    window_write(m, 0, 0x1FF)
    assert read(m, vioapic.BASE, 4) == 0xFF


@pytest.mark.parametrize("index", [3, 0x0F, 0x10 + 2 * 48, 0xFF])
def test_registers_that_do_not_exist_read_0_and_ignore_writes(index):
    m = machine()
    before = list(m.rte)
    assert reached(ioapic_write(m, index, 0xFFFFFFFF)) == []
    assert ioapic_read(m, index) == 0 and list(m.rte) == before


@pytest.mark.parametrize("offset, width", [(0x10, 1), (0x10, 2), (0x10, 8), (0x11, 4), (0x12, 4)])
def test_accesses_of_another_width_or_alignment_are_ignored(offset, width):
    m = machine()
    window_write(m, 0, 0x10)
    assert drops(window_write(m, offset, 0x41, width)) == [Drop.WIDTH]
    assert m.rte[0] == 0x10000


@pytest.mark.parametrize("offset", [0x04, 0x14, 0x20, 0x40, 0xFC, 0xFFC])
def test_other_offsets_of_the_window_read_0(offset):
    assert read(machine(), vioapic.BASE + offset, 4) == 0


# --- entries (A 7.2) ---


def test_a_half_is_written_without_the_other():
    m = machine()
    ioapic_write(m, 0x11 + 2 * PIN, 0xAB000000)
    ioapic_write(m, 0x10 + 2 * PIN, 0x00018041)
    assert m.rte[PIN] == 0xAB00000000018041
    ioapic_write(m, 0x11 + 2 * PIN, 0xCD000000)
    assert m.rte[PIN] == 0xCD00000000018041


@pytest.mark.parametrize("kept", [RTE.irr.mask, RTE.status.mask])
def test_status_bits_cannot_be_written(kept):
    m = machine()
    entry(m, PIN, RTE.make(mask=1, tm=1) | kept)
    assert low(m, PIN) & kept == 0


@pytest.mark.parametrize("kept, reads", [(False, 0xFFFF0000), (True, 0xFFFFFFFF)])
def test_reserved_bits_read_0_unless_the_platform_keeps_them(kept, reads):
    m = machine(rte_reserved=kept)
    entry(m, PIN, 0xFFFFFFFFFFFFFFFF)
    assert ioapic_read(m, 0x11 + 2 * PIN) == reads
    assert low(m, PIN) == (0xFFFFAFFF if kept else 0x0001AFFF)


@pytest.mark.parametrize(
    "value, address, data",
    [
        (0x0500000000000031, 0xFEE05000, 0x0031),
        (0x0500000000000831, 0xFEE05004, 0x0031),       # logical
        (0x050000000000A131, 0xFEE05000, 0x8131),       # lowest priority, level, active low
        (0x000B00000000A031, 0xFEE000B0, 0x8031),       # remappable: index 5
        (0x000B00000001A831, 0xFEE000B4, 0x8031),       # index 0x8005
        (0x000F000000000002, 0xFEE000F0, 0x0002),       # index 7
    ],
)
def test_what_a_pin_sends(value, address, data):
    """Bit 48 lands on address bit 4, bit 11 on bit 2; nothing here knows of remapping (V 3.4)."""
    assert vioapic.message(value) == (address, data)


def test_a_remappable_entrys_index_is_a_handle_without_subhandle():
    value = RTE_REMAP.make(handle=0x8005, format=1, vector=0x31)
    assert vioapic.message(value) == (0xFEE000B4, 0x31)


# --- pins (A 7.3) ---


@pytest.mark.parametrize("tm, mask, steps, sent", [
    (0, 0, [1], 1), (0, 0, [1, 0], 1), (0, 0, [1, 1], 1), (0, 0, [1, 0, 1], 2), (0, 1, [1, 0, 1], 0),
    (1, 0, [1], 1), (1, 0, [1, 0, 1], 1), (1, 0, [0], 0), (1, 1, [1, 0], 0),
])
def test_how_often_a_pin_sends(tm, mask, steps, sent):
    m = machine()
    entry(m, PIN, vector=0x61, tm=tm, mask=mask)
    assert len([e for e in line(m, PIN, *steps) if e.act == Act.SENT]) == sent


def test_an_edge_while_masked_is_told_to_be_lost():
    m = machine()
    assert drops(line(m, PIN, 1)) == [Drop.MASKED]


@pytest.mark.parametrize("tm, why", [(0, Drop.MASKED), (1, Drop.PENDING)])
def test_what_is_lost_or_waits_is_told_with_both_halves_of_the_entry(tm, why):
    m = machine(rte_reserved=True)
    written = RTE.make(vector=0x61, dest=1, tm=tm, mask=1 - tm) | 1 << 31 | 1 << 32
    entry(m, PIN, written)
    told = [e for e in line(m, PIN, 1, 0, 1) if e.act == Act.DROPPED]
    assert {(e.index, e.low | e.high << 32) for e in told} == {(why, written | RTE.irr.mask * tm)}


def test_a_level_while_remote_irr_is_set_is_told_to_wait():
    m = machine()
    entry(m, PIN, vector=0x61, **LEVEL)
    assert drops(line(m, PIN, 1, 0, 1)) == [Drop.PENDING]


def test_lowering_the_line_does_not_clear_remote_irr():
    m = machine()
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1, 0)
    assert remote_irr(m, PIN) == 1


def test_masking_preserves_remote_irr():
    m = machine()
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1)
    entry(m, PIN, vector=0x61, mask=1, **LEVEL)
    assert remote_irr(m, PIN) == 1
    entry(m, PIN, vector=0x61, **LEVEL)
    assert remote_irr(m, PIN) == 1


def test_writing_edge_clears_remote_irr():
    """How Linux ends a level interrupt on versions without an EOI register: mask and edge, then level again."""
    m = machine(ioapic_version=0x11)
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1)
    entry(m, PIN, vector=0x61, mask=1)
    assert remote_irr(m, PIN) == 0
    assert len(reached(entry(m, PIN, vector=0x61, **LEVEL))) == 1       # the line is still up


def test_an_entry_that_becomes_unmasked_and_level_sends_if_the_line_is_up():
    m = machine()
    entry(m, PIN, vector=0x61, mask=1)
    line(m, PIN, 1)                                                      # edge mode: lost
    assert reached(entry(m, PIN, vector=0x61, **LEVEL)) == [0]
    assert reached(entry(m, PIN, vector=0x61, **LEVEL)) == []


@pytest.mark.parametrize("pins, pin", [(24, 24), (24, 255), (48, 48), (1, 1)])
def test_a_pin_that_does_not_exist_does_nothing(pins, pin):
    assert drops(line(machine(ioapic_pins=pins), pin, 1)) == [Drop.NO_PIN]


def test_a_line_is_up_while_any_wire_holds_it():
    """The INTx of two functions meet on one pin; only the way from none to some is an edge (X 5.1)."""
    bus = Bus([Function(0x08, pin=1), Function(0x40, pin=4)])
    assert (bus.gsi(0x08), bus.gsi(0x40)) == (20, 20)
    m = Machine(profile("spec"), 1, 1 << 20, bus)
    write(m, 0, "SVR", 0x1FF)
    entry(m, 20, vector=0x61, **LEVEL)
    first = [reached(step(m, c.Intx(bdf, 1))) for bdf in (0x08, 0x40)]
    assert first == [[0], []] and m.lines[20] == 2
    step(m, c.Intx(0x08, 0))
    assert serve(m, handler=lambda _: step(m, c.Intx(0x40, 0))) == [0x61]
    assert serve(m) == [] and m.lines[20] == 0


# --- EOI ---


@pytest.mark.parametrize(
    "vector, tm, irr, cleared",
    [(0x61, 1, True, True), (0x62, 1, True, False), (0x61, 1, False, False), (0x61, 0, False, False)])
def test_an_eoi_clears_remote_irr_of_level_entries_with_its_vector(vector, tm, irr, cleared):
    m = machine()
    entry(m, PIN, vector=0x61, tm=tm)
    if irr:
        line(m, PIN, 1, 0)
    events = ioapic_eoi(m, vector)
    assert [e.index for e in events if e.act == Act.IRR_CLEARED] == ([PIN] if cleared else [])


def test_an_eoi_looks_at_every_pin_and_sends_again_for_those_still_up():
    m = machine()
    for pin in (3, 5, 7):
        entry(m, pin, vector=0x61, dest=pin % 4, **LEVEL)
        line(m, pin, 1)
    line(m, 5, 0)
    events = ioapic_eoi(m, 0x61)
    assert [e.index for e in events if e.act == Act.IRR_CLEARED] == [3, 5, 7]
    assert [e.index for e in events if e.act == Act.IRR_SET] == [3, 7]


def test_an_eoi_does_not_send_for_a_masked_pin():
    m = machine()
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1)
    entry(m, PIN, vector=0x61, mask=1, **LEVEL)
    assert reached(ioapic_eoi(m, 0x61)) == [] and remote_irr(m, PIN) == 0


@pytest.mark.parametrize("version, works", [(0x11, False), (0x1F, False), (0x20, True), (0x21, True)])
def test_the_eoi_register_is_there_from_version_20h_on(version, works):
    m = machine(ioapic_version=version)
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1, 0)
    ioapic_eoi(m, 0x61)
    assert remote_irr(m, PIN) == (0 if works else 1)


def test_only_8_bits_of_the_eoi_register_count():
    m = machine()
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1, 0)
    ioapic_eoi(m, 0xFFFFFF61)
    assert remote_irr(m, PIN) == 0


def test_a_local_apics_eoi_is_broadcast_for_level_interrupts_only():
    m = machine()
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1, 0)
    entry(m, 5, vector=0x71)
    line(m, 5, 1, 0)
    assert acknowledge(m, 0) == 0x71
    assert not [e for e in eoi(m, 0) if e.act == Act.IRR_CLEARED]
    assert acknowledge(m, 0) == 0x61
    assert [e.index for e in eoi(m, 0) if e.act == Act.IRR_CLEARED] == [PIN]


def test_with_suppressed_broadcast_a_directed_eoi_ends_it():
    m = machine(suppress_eoi=True)
    write(m, 0, "SVR", 0x11FF)
    entry(m, PIN, vector=0x61, **LEVEL)
    line(m, PIN, 1, 0)
    acknowledge(m, 0)
    eoi(m, 0)
    assert remote_irr(m, PIN) == 1
    ioapic_eoi(m, 0x61)
    assert remote_irr(m, PIN) == 0


# --- delivery ---


@pytest.mark.parametrize("mode, vcpus", [(Dlm.FIXED, [0, 1, 2, 3]), (Dlm.LOWEST, [1])])
def test_fixed_goes_to_every_match_and_lowest_priority_to_one(mode, vcpus):
    m = machine()
    entry(m, PIN, vector=0x61, dest=0xFF, dlm=mode)
    assert reached(line(m, PIN, 1)) == vcpus


@pytest.mark.parametrize("mode", [Dlm.SMI, Dlm.NMI, Dlm.INIT, Dlm.EXTINT])
def test_other_modes_are_signals(mode):
    m = machine()
    entry(m, PIN, vector=0x61, dest=1, dlm=mode)
    assert signalled(line(m, PIN, 1)) == [(1, mode, 0x61)]


def test_polarity_makes_no_difference_to_a_line_that_is_kept_as_asserted():
    m = machine()
    entry(m, PIN, vector=0x61, polarity=1, **LEVEL)
    assert reached(line(m, PIN, 1)) == [0]


# --- signals by a pin (82093AA 3.2.4) ---


@pytest.mark.parametrize("quirk", ["", "qemu.K7", "xen.A3"])
@pytest.mark.parametrize("dlm", [Dlm.FIXED, Dlm.LOWEST, Dlm.SMI, Dlm.NMI, Dlm.INIT, Dlm.EXTINT])
def test_a_signal_is_an_edge_whatever_the_trigger_mode_says(dlm, quirk):
    m = machine(quirks=[quirk] if quirk else [])
    entry(m, PIN, dest=1, vector=0x61, dlm=dlm, tm=1)
    counts = [sum(e.act == Act.SENT for e in line(m, PIN, 1, 0)) for _ in range(2)]
    by_level = dlm in (Dlm.FIXED, Dlm.LOWEST) or bool(quirk)
    assert (counts, remote_irr(m, PIN)) == (([1, 0], 1) if by_level else ([1, 1], 0))
    assert low(m, PIN) & RTE.tm.mask      # as written


def test_a_signal_that_comes_while_the_pin_is_masked_is_lost_as_an_edge_is():
    m = machine()
    entry(m, PIN, dest=1, dlm=Dlm.NMI, tm=1, mask=1)
    assert drops(line(m, PIN, 1)) == [Drop.MASKED]
    assert signalled(entry(m, PIN, dest=1, dlm=Dlm.NMI, tm=1)) == []


def test_becoming_a_signal_clears_remote_irr():
    m = machine()
    entry(m, PIN, dest=1, vector=0x61, tm=1)
    line(m, PIN, 1)
    assert remote_irr(m, PIN) == 1
    entry(m, PIN, dest=1, vector=0x61, dlm=Dlm.NMI, tm=1)
    assert remote_irr(m, PIN) == 0


def test_the_message_of_a_signal_says_edge():
    m = machine()
    entry(m, PIN, dest=1, dlm=Dlm.NMI, tm=1)
    assert [e.high & 0x8000 for e in line(m, PIN, 1) if e.act == Act.SENT] == [0]


def test_pin_0_is_a_pin_like_any_other():
    m = machine()
    entry(m, 0, dest=2, vector=0x61)
    assert reached(line(m, 0, 1)) == [2]


@pytest.mark.parametrize("quirks, sent", [((), 1), (("qemu.D15",), 2)])
def test_an_edge_pin_that_is_raised_while_high_counts_again_in_qemu_alone(quirks, sent):
    m = machine(quirks=quirks)
    entry(m, 4, vector=0x41)
    assert [e.act for e in line(m, 4, 1, 1)].count(Act.SENT) == sent
