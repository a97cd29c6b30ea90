"""Whatever is pasted, the readers of Linux's texts give records and remarks with a place, and never an exception."""

import dataclasses
import inspect
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.places import real_data_folder
from vsim.readers.pieces import MAX_REMARKS, lines_of

READERS = [import_module(f"vsim.readers.{name}") for name in (
    "linux_faults", "linux_boot", "debugfs_irq", "vector_matrix", "ir_table", "regset", "invalidation_queue",
    "dma_table", "proc_interrupts", "vector_events")]

TEXT = """[    1.883575] DMAR: DRHD base: 0x000000d37fc000 flags: 0x0
[    1.888890] DMAR: dmar0: reg_base_addr d37fc000 ver 1:0 cap 8d2078c106f0466 ecap f020df
[    2.031998] DMAR-IR: IOAPIC id 9 under DRHD base  0xd37fc000 IOMMU 0
[   58.440907] DMAR: DRHD: handling fault status reg 502
[   58.440908] DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600 [fault reason 0x25] Blocked
[   58.440909] DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x7f000000 [fault reason 0x06] PTE
/sys/kernel/debug/irq/irqs/42:handler:  handle_edge_irq
/sys/kernel/debug/irq/irqs/42:device:   0000:03:00.1
/sys/kernel/debug/irq/irqs/42:affinity: 0-3,8
/sys/kernel/debug/irq/irqs/42:domain:  IR-PCI-MSI-0000:03:00.1-11
/sys/kernel/debug/irq/irqs/42: hwirq:   0x2
/sys/kernel/debug/irq/irqs/42:  address_lo: 0xfee00318
/sys/kernel/debug/irq/irqs/42:  msg_data:   0x00000000
/sys/kernel/debug/irq/irqs/42:    domain:  INTEL-IR-1-13
/sys/kernel/debug/irq/irqs/42:     hwirq:   0x180002
/sys/kernel/debug/irq/irqs/42:        domain:  VECTOR
/sys/kernel/debug/irq/irqs/42:         Vector:    37
--- domain VECTOR
name:   VECTOR
 size:   0
Online bitmaps:        2
System: 5: 0-3,50
     | CPU | avl | man | mac | act | vectors
         0   198     1     1    6  32-36,48
Remapped Interrupt supported on IOMMU: dmar1
 IR table address:86c100000
 Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low
 0     00:02.0 00004000 25  0000000000040010\t000040000025000d
Posted Interrupt supported on IOMMU: dmar1
 1     00:02.0 00001234 567890c0 25  0000123400040010\t567890c000258001
IOMMU: dmar0 Register Base Address: fed90000
IRTA            \t0xb8\t\t0x000000086c200800
Invalidation queue on IOMMU: dmar0
 Base: 0x2504000\tHead: 1\tTail: 2
    0\t0000000000000004\t0000000000000000\t0000000000000002
    1\t0000000200000025\t0000000002475804\t0000000000000000
IOMMU dmar1: Root Table Address: 0x866179000
00:05.0\t0x0000000000000000:0x00000008662b7001\t0x0000000000000102:0x0000000866296001\t-1
            CPU0       CPU2
 121:          0          0 DMAR-MSI    0-edge      dmar0
 244:          0        677 IR-PCI-MSIX-0000:7e:00.0    4-edge      eth0-TxRx-3
 ERR:          3
  kworker/0:2-2827    [000] d..1. 76495.343456: vector_alloc: irq=82 vector=37 reserved=1 ret=0
  a-1 [007] d..1. 1.0: irq_matrix_alloc: bit=33 cpu=2 online=1 global_avl=1587, global_rsvd=18
"""


def look_at(record):
    """Every property and field of a record can be had."""
    for name, member in inspect.getmembers(type(record)):
        if isinstance(member, property):
            getattr(record, name)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        for each in value[:4] if isinstance(value, tuple) else ():
            if dataclasses.is_dataclass(each):
                look_at(each)


def check(text):
    lines, _ = lines_of(text, "paste")
    texts = {line.number: line.text for line in lines}
    found = 0
    for reader in READERS:
        reading = reader.read(lines)
        assert len(reading.remarks) <= MAX_REMARKS + 1
        for remark in reading.remarks:
            assert (remark.file, remark.line in texts) == ("paste", True)
            assert 1 <= remark.column <= len(texts[remark.line]) + 1
        for record in reading.records:
            assert (record.file, record.line in texts) == ("paste", True)
            assert dataclasses.is_dataclass(record)
            hash(record)
            look_at(record)
        found += len(reading.records)
    return found


def test_the_text_has_something_for_every_reader():
    lines, _ = lines_of(TEXT, "paste")
    assert [reader.__name__ for reader in READERS if not reader.read(lines).records] == []
    assert check(TEXT) > 20


CHARACTERS = "09afx:.[](), \t\n\r\0->=\ufffd\u0663"


@st.composite
def spoiled(draw, text=TEXT):
    """Lines of a text in another order, doubled, torn and mixed; then single characters changed."""
    lines = draw(st.lists(st.sampled_from(text.splitlines()), min_size=1, max_size=40))
    torn = [line[draw(st.integers(0, 12)):][:draw(st.sampled_from([8, 30, 60, 400]))] if draw(st.booleans()) else line
            for line in lines]
    whole = list(draw(st.sampled_from(["\n", "\r\n", " "])).join(torn) or "x")
    for at, new in draw(st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(CHARACTERS)), max_size=12)):
        whole[at % len(whole)] = new
    return "".join(whole)


@given(spoiled())
def test_a_text_that_is_spoiled(text):
    check(text)


@given(st.text(max_size=400))
def test_any_text(text):
    check(text)


@given(st.data())
@settings(max_examples=40)
@pytest.mark.skipif(real_data_folder() is None, reason="no files of real machines")
def test_real_texts_that_are_spoiled(data):
    folder = real_data_folder()
    files = sorted(path for path in folder.rglob("*.txt") if path.stat().st_size < 60_000)
    text = data.draw(st.sampled_from(files)).read_text(encoding="utf-8", errors="replace")
    start = data.draw(st.integers(0, max(0, len(text) - 100)))
    check(data.draw(spoiled(text[start:start + 3000] or "x")))


HOSTILE = {"one line": "x" * 300_000, "blanks": " " * 300_000, "line ends": "\n" * 20_000, "NUL": "\0" * 100_000,
           "no end": TEXT.replace("\n", " ") * 50, "digits": ("1 " * 2000 + "\n") * 100,
           "requests": "Request device [00:00.0] " * 20_000, "headings": "irqs/1:\n" * 5_000,
           "paths": ("irqs/" * 800 + "\n") * 50, "again": TEXT * 60}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_large_texts(text):
    check(text)


@pytest.mark.parametrize(("name", "limit"), [
    ("linux_boot", "MAX_RECORDS"), ("debugfs_irq", "MAX_INTERRUPTS"), ("vector_matrix", "MAX_RECORDS"),
    ("ir_table", "MAX_ENTRIES"), ("regset", "MAX_UNITS"), ("invalidation_queue", "MAX_DESCRIPTORS"),
    ("dma_table", "MAX_ROWS"), ("proc_interrupts", "MAX_ROWS"), ("vector_events", "MAX_EVENTS")])
def test_too_much_is_left_out_with_a_remark(monkeypatch, name, limit):
    reader = import_module(f"vsim.readers.{name}")
    monkeypatch.setattr(reader, limit, 1)
    more = TEXT.replace("1.888890", "1.888891").replace("irqs/42", "irqs/43").replace("dmar0", "dmar5").replace(
        "d37fc000", "e37fc000")
    reading = reader.read(lines_of(TEXT + more, "paste")[0])
    assert any("left out: all behind the first 1 " in remark.text for remark in reading.remarks)
    assert len(reading.records) <= 12
