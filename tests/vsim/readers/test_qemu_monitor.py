"""QEMU's monitor: registers come back from what it prints of them, whatever the words beside them say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from vsim.layouts.bits import get
from vsim.layouts.formats import RTE, RTE_REMAP
from vsim.layouts.registers import ICR
from vsim.readers import qemu_monitor
from vsim.readers.pieces import lines_of
from vsim.readers.qemu_monitor import Count, IoApic, Lapic, Pic

WORD = st.integers(0, 0xFFFFFFFF)
MODES = ("fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT")

LAPIC = """(qemu) info lapic 3
dumping local APIC state for CPU 3

LVT0\t 0x00010700 active-hi edge  masked                      ExtINT (vec 0)
LVTT\t 0x000400ec active-hi edge                 tsc-deadline Fixed  (vec 236)
Timer\t DCR=0xb (divide by 1) initial_count = 7 current_count = 5
SPIV\t 0x000001ff APIC enabled, focus=off, spurious vec 255
ICR\t 0x000008fd logical edge de-assert no-shorthand
ICR2\t 0x00020001 cluster 2 mask 0000000000000001 (X2APIC ID)
ESR\t 0x00000000
ISR\t 34 236(level)
IRR\t (none)

APR 0x01 TPR 0x10 DFR 0x00 LDR 0x21(cluster 2: id 1) PPR 0xe0
"""


def read(text):
    return qemu_monitor.read(lines_of(text, "log")[0])


def printed(pin, entry):
    """A pin as QEMU prints it (hw/intc/ioapic_common.c)."""
    f = RTE.split(entry)
    return (f"  pin {pin:<2} 0x{entry:016x} dest={f['dest'] & (0xff if f['dm'] else 0xf)} vec={f['vector']:<3} "
            f"{'active-lo' if f['polarity'] else 'active-hi'} {'level' if f['tm'] else 'edge':5} "
            f"{'masked' if f['mask'] else '':6} {MODES[f['dlm']]:6} {'logical' if f['dm'] else 'physical'}")


@pytest.mark.parametrize("text", [LAPIC, LAPIC.replace("\t ", "     ")])
def test_a_local_apic(text):
    (apic,) = read(text).records
    assert isinstance(apic, Lapic) and (apic.cpu, apic.line, apic.wide) == (3, 2, True)
    assert apic.isr == ((34, False), (236, True)) and apic.irr == ()
    assert apic.words["LVT_TIMER"] == 0x400EC and apic.words["TIMER_CURRENT"] == 5
    assert (get(apic.icr, ICR.dest), get(apic.icr, ICR.vector)) == (0x20001, 0xFD)
    assert (apic.words["LDR"], apic.words["DFR"], apic.words["PPR"]) == (0x21000000, 0x0FFFFFFF, 0xE0)


def test_an_xapic_s_destination_told_as_an_x2apic_s_is_remarked():
    reading = read(LAPIC.replace("0x00020001 cluster 2 mask 0000000000000001", "0x03000000 cpu 50331648"))
    assert "the ID is 3" in reading.remarks[0].text and reading.remarks[0].line == 9
    assert read(LAPIC).remarks == ()


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=24), WORD)
def test_the_pins_of_an_io_apic(pins, lines):
    ups = [pin for pin in range(24) if lines >> pin & 1]
    text = "\n".join(["ioapic0: ver=0x20 id=0x09 sel=0x01 (redir[2147483641])", *(
        printed(pin, entry) for pin, entry in enumerate(pins)), f"  IRR      {' '.join(map(str, ups)) or '(none)'}",
        "  Remote IRR (none)"])
    assert read(text).records == (IoApic("log", 1, 0, 0x20, 9, 1, tuple(pins), tuple(ups)),)


def test_a_remappable_entry_is_the_raw_word():
    entry = RTE_REMAP.make(handle=0x8005, format=1, vector=0x31)
    (apic,) = read("ioapic0: ver=0x20 id=0x00 sel=0x00\n" + printed(0, entry)).records
    assert RTE_REMAP.split(apic.pins[0])["handle"] == 0x8005


def test_every_io_apic_is_called_the_same_and_told_apart():
    assert [apic.number for apic in read("ioapic0: ver=0x20 id=0x00 sel=0x00\n" * 2).records] == [0, 1]


def test_counts_and_pics():
    assert read("IRQ statistics for kvm-ioapic:\n 4: 33\n22: 9\n(qemu) info pic\n 5: 1\n"
                "pic1: irr=12 imr=ff isr=00 hprio=0 irq_base=38 rr_sel=0 elcr=0c fnm=0").records == (
        Count("log", 2, "kvm-ioapic", 4, 33), Count("log", 3, "kvm-ioapic", 22, 9),
        Pic("log", 6, 1, {"irr": 0x12, "imr": 0xFF, "isr": 0, "hprio": 0, "irq_base": 0x38, "rr_sel": 0, "elcr": 0xC,
                          "fnm": 0}))


@pytest.mark.parametrize("text, part", [
    ("ioapic0: ver=0x20 id=0x00 sel=0x00\n  pin 1  0x0000000000010000 x", "does not follow"),
    ("ioapic0: ver=0x20 id=0x00 sel=0x00\n  pin 0  0x00000", "that was cut"),
    ("dumping local APIC state for CPU 0\nLVT0 0x0001", "that was cut"),
    ("dumping local APIC state for CPU 0\n(qemu) LVT0 0x0001\n(qemu)", "that was cut")])
def test_what_is_left_out_is_said(text, part):
    assert part in read(text).remarks[0].text and read(text).remarks[0].line == 2


@given(st.lists(st.sampled_from([*LAPIC.splitlines(), printed(0, 1), "ioapic0: ver=0x20 id=0x09 sel=0x00", " 4: 33",
                                 "IRQ statistics for ioapic:", "pic0: irr=13 imr=ff"]).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read(text):
    assert all(record.line >= 1 for record in read(text).records)


def test_pins_are_bounded():
    text = "ioapic0: ver=0x20 id=0x00 sel=0x00\n" + "\n".join(printed(pin, 0) for pin in range(300))
    assert len(read(text).records[0].pins) == 240


@pytest.mark.parametrize("path", real_files("qemu/info-*.txt"))
def test_real_prints(path):
    reading = qemu_monitor.read(lines_of(path.read_text(), path.name)[0])
    kinds = [type(record) for record in reading.records]
    if "lapic" in path.name:
        (apic,) = reading.records
        assert kinds == [Lapic] and len(apic.words) == 18 and apic.words["LVT_TIMER"] == 0x400EC
        assert "the ID is 1" in reading.remarks[0].text
    else:
        assert kinds == [IoApic, Pic, Pic] and len(reading.records[0].pins) == 24 and reading.remarks == ()
        assert {pin: RTE.split(word)["vector"] for pin, word in enumerate(reading.records[0].pins)
                if not RTE.split(word)["mask"]} == {1: 33, 4: 33, 9: 37, 12: 32}
