"""A guest's APICs as Xen prints them: entries and registers come back from what is printed of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.layouts.bits import get
from vsim.layouts.registers import ICR
from vsim.readers import xen_hvm
from vsim.readers.pieces import lines_of
from vsim.readers.xen_hvm import Deliver, IoApic, Ipi, Lapic

WORD = st.integers(0, (1 << 64) - 1)


def read(text):
    return xen_hvm.read(lines_of(text, "log")[0])


def registers(values):
    """As xen-hvmctx prints them: two a line, 8 of each register's 16 bytes."""
    pair = "          0x{:04x}: 0x{:016x}   0x{:04x}: 0x{:016x}"
    return "\n".join(pair.format(at, values.get(at, 0), at + 16, values.get(at + 16, 0)) for at in range(0, 0x400, 32))


@given(st.lists(WORD, max_size=48))
def test_an_io_apic_of_xen_hvmctx(pins):
    text = "Entry 6: type 4 instance 0, length 400\n    IOAPIC: base_address 0xfec00000, ioregsel 0x10 id 0x1\n" + \
        "\n".join(f"            pin {pin:02}: 0x{word:016x}" for pin, word in enumerate(pins))
    assert read(text).records == (IoApic("log", 2, 0xFEC00000, 0x10, 1, tuple(pins)),)


@given(st.lists(WORD, max_size=48), st.sampled_from(["(XEN) ", ""]))
def test_an_io_apic_in_the_print_of_a_save(pins, mark):
    rows = ["*****ioapic state:*****", "ioapic 0x10.", "ioapic 0x1.", "ioapic 0xfec00000.",
            *(f"ioapic redirtbl[{pin}]:0x{word:x}" for pin, word in enumerate(pins))]
    assert read("\n".join(mark + row for row in rows)).records == (
        IoApic("log", 1, 0xFEC00000, 0x10, 1, tuple(pins)),)


def test_local_apics_of_xen_hvmctx():
    head = "    LAPIC: base_msr 0xfee00900, disabled 0, timer_divisor 0x1\n    LAPIC registers:\n"
    values = {0x20: 0x0200000002000000, 0x210: 1 << 5, 0x100: 1 << 31, 0xF0: 0x1FF, 0x390: 7}
    first, second = read(head + registers(values) + "\n" + head + registers({})).records
    assert isinstance(first, Lapic) and (first.vcpu, second.vcpu, first.base) == (0, 1, 0xFEE00900)
    assert (first.words["ID"], first.words["SVR"], first.words["TIMER_CURRENT"]) == (0x02000000, 0x1FF, 7)
    assert (first.vectors("IRR"), first.vectors("ISR"), second.vectors("IRR")) == ((37,), (31,), ())


def test_debug_lines():
    assert read("(XEN) [HVM:1.0] <vioapic_deliver> dest=3 dest_mode=0 delivery_mode=1 vector=31 trig_mode=1\n"
                "(XEN) [HVM:7.12] <vmsi_deliver_pirq> msi: dest=ff dest_mode=1 delivery_mode=0 vector=e1 trig_mode=0\n"
                "(XEN) [HVM:1.2] <vlapic_ipi> icr = 0x00000110:000008fd").records == (
        Deliver("log", 1, 1, 0, "ioapic", 3, 0, 1, 0x31, 1), Deliver("log", 2, 7, 12, "msi", 0xFF, 1, 0, 0xE1, 0),
        Ipi("log", 3, 1, 2, 0x110000008FD))
    assert get(0x110000008FD, ICR.dest) == 0x110


@pytest.mark.parametrize("text, line", [
    ("IOAPIC: base_address 0xfec00000, ioregsel 0x10 id 0x1\npin 01: 0x0000000000010000", 2),
    ("IOAPIC: base_address 0xfec00000, ioregsel 0x10 id 0x1\n" + "\n".join(
        f"pin {pin:02}: 0x10000" for pin in range(241)), 242)])
def test_pins_follow_one_another_and_are_bounded(text, line):
    (remark,) = read(text).remarks
    assert remark.line == line and "does not follow" in remark.text


@given(st.lists(st.sampled_from([
    "IOAPIC: base_address 0xfec00000, ioregsel 0x10 id 0x1", "pin 00: 0x0000000000010000", "*****ioapic state:*****",
    "LAPIC: base_msr 0xfee00900, disabled 0, timer_divisor 0x1", "ioapic 0x10.", "ioapic redirtbl[0]:0x1",
    "0x0000: 0x0000000000000000   0x0010: 0x0000000000000000",
    "[HVM:1.2] <vlapic_ipi> icr = 0x00000110:000008fd"]).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read(text):
    assert all(record.line >= 1 for record in read(text).records)
