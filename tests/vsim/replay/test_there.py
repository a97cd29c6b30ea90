"""What of a command goes to QEMU, and in which words."""

import pytest

from vsim import machine
from vsim.devices import viommu
from vsim.replay import there
from vsim.replay.recording import UNIT
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import IOAPIC_WINDOW as IOAPIC
from vsim.state.profile import profile

BASE = 0xFEB00000
CARD = Function(0x0018, "card", msix_count=2)


@pytest.fixture
def pair():
    """A machine with a unit at another place than QEMU's, and a twin."""
    m = Machine(profile("spec"), 4, 1 << 24, Bus((CARD,)))
    machine.step(m, c.Domctl(viommu.create_op(BASE, version=m.profile.options.interface)))
    twin = Machine(profile("qemu-10"), 1, 1 << 24)
    machine.step(twin, c.Domctl(viommu.create_op(UNIT, version=twin.profile.options.interface)))
    return m, twin


def way(pair, command):
    m, twin = pair
    return there.translate(m, command, machine.step(m, command), twin)


@pytest.mark.parametrize(("command", "goes"), [
    (c.Mmio(BASE + 0x18, 4, 1 << 24), c.Mmio(UNIT + 0x18, 4, 1 << 24)),
    (c.Mmio(BASE + 0xB8, 8, 0x100007), c.Mmio(UNIT + 0xB8, 8, 0x100007)),
    (c.Mmio(BASE + 0x228, 8, 1 << 63), c.Mmio(UNIT + 0x228, 8, 1 << 63)),
    (c.Mmio(BASE + 0x34, 4, 0x1_0000_0001), c.Mmio(UNIT + 0x34, 4, 1)),
    (c.MmioRead(BASE + 0x1C, 4), c.MmioRead(UNIT + 0x1C, 4)),
    (c.Mmio(IOAPIC, 4, 0x10), c.Mmio(IOAPIC, 4, 0x10)),
    (c.Mmio(0x4000, 4, 7), c.Mmio(0x4000, 4, 7)),
    (c.RamWrite(0x4000, b"ab"), c.RamWrite(0x4000, b"ab")),
    (c.Msi(0x18, 0xFEE01000, 0x41), c.Msi(0x18, 0xFEE01000, 0x41)),
    (c.Pin(4, 1), c.Pin(4, 1)),
    (c.Reset(), c.Reset())])
def test_what_goes_to_qemu(pair, command, goes):
    assert way(pair, command) == ((goes,), "", False)


@pytest.mark.parametrize(("command", "why", "lost"), [
    (c.Mmio(BASE + 0x38, 8, 0), there.WIDE, True),
    (c.Mmio(BASE + 0x1C, 8, 0), there.WIDE, True),
    (c.Mmio(BASE + 0x84, 8, 0), there.WIDE, True),
    (c.Mmio(BASE + 0x18, 3, 0), "an access of 3 bytes; qtest has 1, 2, 4 and 8", False),
    (c.Mmio(1 << 30, 4, 0), "no memory is at that address there", False),
    (c.RamWrite(0x1000, b""), "nothing is written", False),
    (c.Msi(0x18, 0xFEE01000, 0x10041), "message data 0x10041 has more than the 16 bits of QEMU's senders", True),
    (c.Msi(0x18, 0x5000, 0x41), "a write to another address than FEEx_xxxx is no interrupt", True),
    (c.Pin(24, 1), "QEMU's I/O APIC has 24 pins", False),
    (c.Acknowledge(0), there.VCPUS, False), (c.ApicWrite(0, 0xF0, 0x1FF), there.VCPUS, False),
    (c.Msr(0, 0x1B, 0xFEE00C00), there.VCPUS, False), (c.Cr8(0, 1), there.VCPUS, False),
    (c.Signal(0x18, 0), there.DEVICE, False), (c.ConfigWrite(0x18, 4, 2, 6), there.DEVICE, False),
    (c.Tick(1), "time stands still there", False), (c.OutOfMemory(0), there.XEN, False)])
def test_what_does_not_and_why(pair, command, why, lost):
    assert way(pair, command) == ((), why, lost)


def test_every_command_has_a_way_or_a_reason():
    assert there._DIRECT.keys() | there._WHY.keys() == set(c.COMMANDS.values())
    assert not there._DIRECT.keys() & there._WHY.keys()


def test_no_8_byte_write_to_a_32_bit_register_is_ever_sent(pair):
    """QEMU 10 ends at those to FECTL, IECTL and IEADDR; the others are kept back with them."""
    from vsim.layouts.registers import UNIT as REGISTERS

    wide = {offset for offset, width, _, _ in REGISTERS if width == 8} | {0x220, 0x228}
    sent = {offset for offset in range(0, 0xFF9) if way(pair, c.Mmio(BASE + offset, 8, 0)).commands}
    assert sent == wide


def test_the_eoi_of_a_level_interrupt_ends_it_at_the_io_apic(pair):
    m, _ = pair
    machine.step(m, c.ApicWrite(0, 0xF0, 0x1FF))
    for index, value in ((0x10 + 2 * 4, 0x8041), (0x11 + 2 * 4, 0)):    # level, vector 0x41, to APIC 0
        machine.step(m, c.Mmio(IOAPIC, 4, index))
        machine.step(m, c.Mmio(IOAPIC + 0x10, 4, value))
    machine.step(m, c.Pin(4, 1))
    machine.step(m, c.Acknowledge(0))
    assert way(pair, c.ApicWrite(0, 0xB0, 0)).commands == (c.Mmio(IOAPIC + 0x40, 4, 0x41),)


def test_pins_that_qemu_does_not_have_are_not_reached_through_the_window(pair):
    m, twin = pair
    select = c.Mmio(IOAPIC, 4, 0x10 + 2 * 24)
    for each in (m, twin):
        machine.step(each, select)
    assert way(pair, c.Mmio(IOAPIC + 0x10, 4, 0)).why == "QEMU's I/O APIC has 24 pins"


@pytest.mark.parametrize(("size", "address", "there_"), [
    (1 << 24, 0xFFFFFF, True), (1 << 24, 1 << 24, False), (4 << 30, 0x7FFFFFFF, True), (4 << 30, 0x80000000, False),
    (4 << 30, 1 << 32, True), (4 << 30, (1 << 32) + (2 << 30), False)])
def test_where_qemu_has_memory(size, address, there_):
    assert there.in_memory(size, address, 1) == there_


@pytest.mark.parametrize(("command", "words"), [
    (c.Mmio(UNIT, 1, 0xFF), ["writeb 0xfed90000 0xff"]), (c.Mmio(UNIT, 2, 1), ["writew 0xfed90000 0x1"]),
    (c.Mmio(UNIT, 4, 1), ["writel 0xfed90000 0x1"]), (c.Mmio(UNIT, 8, 1), ["writeq 0xfed90000 0x1"]),
    (c.MmioRead(UNIT, 4), ["readl 0xfed90000"]), (c.RamWrite(16, b"\x01\xff"), ["write 0x10 0x2 0x01ff"]),
    (c.Msi(1, 2, 3), ["1 2 3"]), (c.Pin(5, 0), ["set_irq_in /machine/q35/ioapic unnamed-gpio-in 5 0"])])
def test_orders(command, words):
    assert there.orders(command, lambda *message: [" ".join(map(str, message))]) == words


def test_a_command_without_orders_is_refused():
    with pytest.raises(ValueError, match="command 'ack' has no orders"):
        there.orders(c.Acknowledge(0), lambda *_: [])
