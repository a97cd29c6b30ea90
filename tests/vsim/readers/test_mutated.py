"""Real texts, cut, mixed and broken: no reader of Xen, QEMU and AMD raises, and every place is in the text."""

import random

import pytest

from tests.places import NO_REAL_DATA, real_data_folder
from vsim.readers import (
    amd_log,
    amd_tables,
    qemu_monitor,
    qemu_trace,
    xen_boot,
    xen_faults,
    xen_hvm,
    xen_irqs,
    xen_regs,
    xen_tables,
    xen_vpci,
)
from vsim.readers.pieces import lines_of, text_of

READERS = (xen_faults, xen_boot, xen_tables, xen_irqs, xen_vpci, xen_regs, xen_hvm, qemu_trace, qemu_monitor,
           amd_log, amd_tables)
OWN = """(XEN) [VT-D]INTR-REMAP: Request device [0000:02:00.1] fault index b0
(XEN) [VT-D]INTR-REMAP: reason 22 - Present field in the IRTE entry is clear
(XEN) iommu 1: nr_pt_levels = 4.
(XEN) R:  0000:  1   0  0038 e8    0   0 00000001   1  0  1  1 1
(XEN) Redirection table of IOAPIC 0:
(XEN)    00:  0000   1    1   0   0   0    0    0     00
(XEN)    IRQ:  17 vec:d8 IO-APIC-level   status=010 aff:{10}/{0-11} in-flight=2 d0: 17(P-M),d7: 17(-MM)
(XEN)       Apic 0x00, Pin  2: vec=f0 delivery=Fixed dest=P status=0 polarity=0 irr=0 trig=E mask=0 dest_id:00000000
(XEN) 0000:03:00.0 MSI-X
(XEN)      0 vec=41  fixed  edge   assert phys  fixed dest_id=0 mask=0 pirq: 54
(XEN) IO APIC #0......
(XEN)  01 00000003 0   0   0   0   0    0    0    C0
vtd_ir_irte_get index 0 low 0x0 high 0x100d10005
dumping local APIC state for CPU 0
LVT0     0x00010700 active-hi edge  masked                      ExtINT (vec 0)
ISR      34 236(level)
ioapic0: ver=0x11 id=0x00 sel=0x22 (redir[9])
  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical
pic0: irr=13 imr=ff isr=00 hprio=0 irq_base=30 rr_sel=0 elcr=00 fnm=0
(XEN) AMD-Vi: IO_PAGE_FAULT: 0000:00:14.0 d0 addr 000000fdf8010140 flags 0x8 I
AMD-Vi: Extended features (0x58f77ef22294a5a, 0x0): PPR NX GT IA PC GA_vAPIC
"""


def texts():
    """Our own lines, and the real files where they are."""
    yield "own", OWN
    folder = real_data_folder()
    if folder is not None:
        for place in (folder / "xen", folder / "qemu", folder / "dmesg", folder.parent / "lab" / "xen-4.17"):
            for path in sorted(place.glob("*.txt")) if place.is_dir() else ():
                yield path.name, path.read_text(errors="replace")[:40_000]


TEXTS = dict(texts())


def mutated(text, other, chance):
    """A text as people spoil it: torn and mixed lines, other ends, bytes that are none, one line without an end."""
    rows = text.split("\n")
    for _ in range(len(rows) // 8 + 1):
        at = chance.randrange(len(rows))
        row, foreign = rows[at], chance.choice(other)
        cut = chance.randrange(len(row) + 1)
        rows[at] = chance.choice((
            lambda row=row, cut=cut: row[:cut], lambda row=row, cut=cut: row[cut:],
            lambda row=row, cut=cut, foreign=foreign: row[:cut] + foreign + row[cut:],
            lambda row=row, cut=cut: row[:cut] + "\n> " + row[cut:], lambda row=row: row + row,
            lambda row=row, cut=cut: row[:cut] + chr(chance.randrange(0x250)) + row[cut + 1:],
            lambda row=row: row.replace("0", "f"), lambda row=row: row.upper(), lambda foreign=foreign: foreign))()
    return chance.choice(("\n", "\r\n", "\r", "")).join(rows)


@pytest.mark.parametrize("name", TEXTS)
def test_a_spoilt_text_is_read(name):
    chance = random.Random(name)
    other = "\n".join(TEXTS.values()).split("\n")
    for _ in range(12):
        data = mutated(TEXTS[name], other, chance).encode("utf-8", "replace")
        at = chance.randrange(len(data))
        text, _ = text_of(data[:at] + bytes([chance.randrange(256)]) + data[at + 1:])
        lines, _ = lines_of(text, "f")
        for reader in READERS:
            reading = reader.read(lines)
            assert all(record.file == "f" and 1 <= record.line <= len(lines) for record in reading.records)
            assert all(1 <= remark.line <= len(lines) and remark.column >= 1 for remark in reading.remarks)


def test_a_megabyte_without_a_line_end_is_read():
    for filler in ("0", " ", "(XEN) ", "IRQ: ", "0x22 -> ", "pin 0 ", "=[({"):
        lines, _ = lines_of((filler * 1_000_000)[:1_000_000])
        assert all(reader.read(lines).records == () for reader in READERS)


def test_the_real_texts_were_there():
    if real_data_folder() is None:
        pytest.skip(NO_REAL_DATA)
    assert len(TEXTS) > 10
