"""What Linux dumps of its remapping units: tables, registers, queues, and who is behind which."""

import pytest

from tests.places import real_files
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IEC, IRTE, IRTE_POSTED, WAIT
from vsim.layouts.registers import CAP, ECAP, IRTA
from vsim.readers import dma_table, invalidation_queue, ir_table, regset
from vsim.readers.ir_table import Entry, Table
from vsim.readers.pieces import lines_of

HALF = (1 << 64) - 1


def read(module, text):
    return module.read(lines_of(text, "dump")[0])


def row(index, word, **printed):
    """A row as Linux prints it; printed: columns that say something else."""
    shown = {"sid": word >> 64 & 0xFFFF, "dst": word >> 32 & 0xFFFF_FFFF, "vector": word >> 16 & 0xFF, **printed}
    pda = f"{word >> 96:08x} {word >> 32 & 0xFFFFFFC0:08x}"
    where = pda if word >> 15 & 1 else f"{shown['dst']:08x}"
    return (f" {index:<5d} {bdf_text(shown['sid'])} {where} {shown['vector']:02x}  {word >> 64:016x}\t"
            f"{word & HALF:016x}")


REMAPPED = IRTE.make(p=1, sid=0xF0F8, svt=1, dst=0x4000, vector=0x25, dlm=0, tm=1)
POSTED = IRTE_POSTED.make(p=1, im=1, sid=0x300, svt=1, vector=0x41, pda=0x1234567890C0 >> 6)
HEAD = " Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low\n"
TABLES = f"""Remapped Interrupt supported on IOMMU: dmar1
 IR table address:86c100000
{HEAD}{row(7, REMAPPED)}
{row(65535, REMAPPED)}

Remapped Interrupt supported on IOMMU: dmar0
Interrupt Remapping is not enabled

****

Posted Interrupt supported on IOMMU: dmar1
 IR table address:86c100000
 Entry SrcID   PDA_high PDA_low  Vct IRTE_high\t\tIRTE_low
{row(9, POSTED)}

"""
WAYS = {
    "as it is": TABLES, "quoted": "".join(f"> {line}\n" for line in TABLES.splitlines()),
    "grep": "".join(f"/sys/kernel/debug/iommu/intel/ir_translation_struct:{line}\n" for line in TABLES.splitlines()),
    "wrapped": TABLES.replace("\t", "\n"), "blanks for tabs": TABLES.replace("\t", " " * 8),
    "crlf": TABLES.replace("\n", "\r\n"), "after words": f"# cat ir_translation_struct\n{TABLES}# \n"}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_tables(text):
    reading = read(ir_table, text)
    assert reading.remarks == ()
    tables = [(t.unit, t.posted, t.address, t.enabled) for t in reading.records if isinstance(t, Table)]
    assert tables == [("dmar1", False, 0x86C100000, True), ("dmar0", False, None, False),
                      ("dmar1", True, 0x86C100000, True)]
    entries = [record for record in reading.records if isinstance(record, Entry)]
    assert [(e.unit, e.index, e.word) for e in entries] == [
        ("dmar1", 7, REMAPPED), ("dmar1", 65535, REMAPPED), ("dmar1", 9, POSTED)]


def test_an_entry_by_its_fields():
    first, _, posted = (e for e in read(ir_table, TABLES).records if isinstance(e, Entry))
    assert (first.posted, first.sid, first.vector, first.dst) == (False, 0xF0F8, 0x25, 0x4000)
    assert (first.destination(eime=False), first.destination(eime=True)) == (0x40, 0x4000)
    assert first.fields["tm"] == 1
    assert (posted.posted, posted.sid, posted.vector, posted.fields["pda"] << 6) == (True, 0x300, 0x41, 0x1234567890C0)


@pytest.mark.parametrize(("text", "says"), [
    (row(7, REMAPPED, sid=0x10), "SrcID is printed as 00:02.0, the entry holds f0:1f.0"),
    (row(7, REMAPPED, dst=0x40), "DstID is printed as 0x40, the entry holds 0x4000"),
    (row(7, REMAPPED, vector=0x26), "Vct is printed as 0x26, the entry holds 0x25"),
    (row(7, POSTED).replace(" 567890c0", " 56789100"), "PDA_low is printed as 0x56789100, the entry holds 0x567890c0"),
    (row(7, REMAPPED ^ 1), "not present (P=0)"), (row(7, REMAPPED | 1 << 24), "reserved bits set: 0x1000000"),
    (row(65536, REMAPPED), "left out: index 65536"), (row(7, REMAPPED)[:-1], "a row of the table that was cut"),
    (row(7, REMAPPED).replace(" f0:1f.0", " f0:3f.0"), "SrcID is printed as -0x1")])
def test_a_row_that_is_wrong(text, says):
    reading = read(ir_table, f"x\n{text}\n")
    assert [says in remark.text for remark in reading.remarks] == [True]
    assert (reading.remarks[0].line, reading.remarks[0].column) == (2, 2)


def test_a_row_in_the_wrong_table():
    text = TABLES.replace(row(9, POSTED), row(9, REMAPPED))
    assert "IM=0 and stands among the posted ones" in read(ir_table, text).remarks[0].text


def test_the_same_row_again_counts_once_and_another_is_told():
    assert len(read(ir_table, f"{row(7, REMAPPED)}\n" * 2).records) == 1
    reading = read(ir_table, f"{row(7, REMAPPED)}\n{row(7, REMAPPED | 2)}\n")
    assert len(reading.records) == 2
    assert "again, and another one" in reading.remarks[0].text


# --- registers ---


def dump(name, base, **values):
    known = {"GSTS": (0x1C, 0xC7000000), "CAP": (0x08, 0xD2008C40660462), "ECAP": (0x10, 0xF050DA),
             "IRTA": (0xB8, IRTA.make(base=0x86C100, eime=0, s=15)), "VCRSP": (0xE20, 0)}
    rows = "".join(f"{register:<16}\t0x{offset:02x}\t\t0x{values.get(register, value):016x}\n"
                   for register, (offset, value) in known.items())
    return f"IOMMU: {name} Register Base Address: {base:x}\nName\t\t\tOffset\t\tContents\n{rows}\n"


REGISTERS = dump("dmar1", 0xFED92000) + dump("dmar0", 0xFED90000, IRTA=IRTA.make(base=0x86C200, eime=1, s=0))


@pytest.mark.parametrize("text", [REGISTERS, REGISTERS.replace("\t", "  "), REGISTERS.replace("\n", "\r\n"),
                                  "".join(f"iommu_regset:{line}\n" for line in REGISTERS.splitlines())])
def test_registers(text):
    reading = read(regset, text)
    assert reading.remarks == ()
    first, second = reading.records
    assert [(u.name, u.base, u.eime, u.entries) for u in (first, second)] == [
        ("dmar1", 0xFED92000, False, 65536), ("dmar0", 0xFED90000, True, 2)]
    assert (first.field("GSTS", "ires"), first.field("GSTS", "cfis"), first.field("ECAP", "eim")) == (1, 0, 1)
    assert (first["VCRSP"], first["IQA"], first.field("IQA", "qs"), first.dead) == (0, None, None, False)
    assert first.register("CAP").line == 4
    assert first.field("CAP", "nfr") == CAP.split(0xD2008C40660462)["nfr"]
    assert first.field("ECAP", "ir") == ECAP.split(0xF050DA)["ir"] == 1


@pytest.mark.parametrize(("old", "new", "says"), [
    ("GSTS            \t0x1c", "GSTS            \t0x20", "GSTS is printed at 0x20; the specification has it at 0x1c"),
    ("0x00000000c7000000", "0x00000001c7000000", "GSTS is 0x1c7000000 and has 32 bits"),
    ("VCRSP ", "IRTA  ", "IRTA again"), ("\t\t0x00000000c7000000", "", "GSTS without a value")])
def test_registers_that_are_wrong(old, new, says):
    reading = read(regset, dump("dmar1", 0xFED92000).replace(old, new))
    assert any(says in remark.text for remark in reading.remarks)


def test_a_unit_that_does_not_answer():
    reading = read(regset, dump("dmar1", 0xFED92000, CAP=HALF, ECAP=HALF))
    assert reading.records[0].dead
    assert "all ones" in reading.remarks[0].text


def test_registers_whose_heading_was_cut_are_nobodys():
    text = dump("dmar1", 0xFED92000).partition("\n")[2] + dump("dmar0", 0xFED90000)
    first, second = read(regset, text).records
    assert (first.name, first.base, second.name, first.eime) == ("", None, "dmar0", False)


def test_a_heading_without_registers_is_no_unit():
    """dmar_perf_latency has the same heading."""
    text = "IOMMU: dmar0 Register Base Address: fed90000\n  <0.1us  0.1us-1us\n" + dump("dmar0", 0xFED90000)
    reading = read(regset, text)
    assert [len(unit.registers) for unit in reading.records] == [5]
    assert list(map(str, reading.remarks)) == ["dump:1:1: left out: no registers below the heading of dmar0"]


def test_other_tables_are_none_of_its_own():
    assert read(regset, "FEE     0x20    0x1\nNAME 0x18 0x44\n") == ((), ())


# --- queues ---


def queue(unit, words, head=0, tail=2):
    rows = "".join(f"{index:5d}\t{word & HALF:016x}\t{word >> 64:016x}\t{2:016x}\n" for index, word in enumerate(words))
    return (f"Invalidation queue on IOMMU: {unit}\n Base: 0x2504000\tHead: {head}\tTail: {tail}\n"
            f"Index\t\tqw0\t\t\tqw1\t\t\tstatus\n{rows}\n")


WORDS = [IEC.make(type=4, g=1, iidx=0x19), WAIT.make(type=5, sw=1, data=2, address=0x1000 >> 2), 0]


def test_queues():
    reading = read(invalidation_queue, queue("dmar0", WORDS) + queue("dmar1", WORDS, tail=1))
    assert reading.remarks == ()
    first, second = reading.records
    assert (first.unit, first.base, first.head, first.tail, first.waiting) == ("dmar0", 0x2504000, 0, 2, 2)
    assert second.waiting == 1
    assert [d.type for d in first.descriptors] == [4, 5, 0]
    assert [d.text for d in first.descriptors] == [
        "iec: type=4 g=1 iidx=0x19", "wait: type=5 sw=1 data=2 address=0x400", "never used"]
    assert {d.status for d in first.descriptors} == {2}


def test_a_queue_of_256_bits():
    text = queue("dmar0", WORDS).replace(f"\t{2:016x}\n", f"\t{5:016x}\t{6:016x}\t{2:016x}\n")
    (found,) = read(invalidation_queue, text).records
    assert [d.more for d in found.descriptors] == [(5, 6)] * 3
    assert found.descriptors[0].low == WORDS[0]


@pytest.mark.parametrize(("old", "new", "says"), [
    ("\n    1", "\n    2", "rows 1 to 1 are missing"), ("\n    2", "\n    1", "row 1 behind row 1"),
    ("Tail: 2", "Tail: 3", "tail 3 is behind the last row 2")])
def test_queues_that_are_wrong(old, new, says):
    assert says in read(invalidation_queue, queue("dmar0", WORDS).replace(old, new)).remarks[0].text


def test_a_type_with_its_upper_bits():
    assert invalidation_queue.told(0x204, 0) == "type 0x14: 0x204 0x0"


# --- who is behind which ---

CONTEXTS = """IOMMU dmar1: Root Table Address: 0x866179000
B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry
00:05.0\t0x0000000000000000:0x00000008662b7001\t0x0000000000000102:0x0000000866296001\t-1    \t0x0000000000000000
3f:1f.7\t0x0000000000000000:0x00000008662b7001\t0x0000000000000102:0x0000000866296001\t12
DMA Remapping is not enabled on dmar0
00:2f.0\t0x0000000000000000:0x00000008662b7001\t0x0000000000000102:0x0000000866296001\t-1
"""


def test_contexts():
    reading = read(dma_table, CONTEXTS)
    root, first, second, off = reading.records
    assert (root.unit, root.address, off.unit, off.address) == ("dmar1", 0x866179000, "dmar0", None)
    assert [(c.unit, c.rid, c.pasid) for c in (first, second)] == [("dmar1", 0x28, -1), ("dmar1", 0x3FFF, 12)]
    assert (first.root, first.context) == ((0, 0x8662B7001), (0x102, 0x866296001))
    assert str(reading.remarks[0]) == "dump:6:1: left out: 00:2f.0 is no function"


def test_page_tables_are_counted_with_their_functions():
    row = "0x000000006c00{0} |\t0x0000000000000000\t0x000000086623f003\t0x0000000866240003\n"
    reading = read(dma_table, row.format(0) + "Device 0000:00:02.0 with pasid 0 @0x86623e000\n" + row.format(1) * 2
                   + "Device 0001:3f:1f.7 @0x1000\nDevice 0000:00:2f.0 @0x1000\n" + row.format(2))
    assert [(d.segment, d.rid, d.pasid, d.address, d.pages) for d in reading.records] == [
        (0, 0x10, 0, 0x86623E000, 2), (1, 0x3FFF, -1, 0x1000, 1)]
    assert [each.text for each in reading.remarks] == [
        "left out: 3 rows of the page tables of 2 functions; they are for memory, interrupts do not pass them"]


# --- a whole machine ---


@pytest.mark.parametrize("path", real_files("debugfs-iommu/xps13-7390/ir_translation_struct.txt"))
def test_the_xps_13(path):
    """All 69 rows decode to their printed fields, in 3 tables whose addresses are those of the units' IRTA."""
    reading = read(ir_table, path.read_text())
    assert reading.remarks == ()
    tables = {t.unit: t.address for t in reading.records if isinstance(t, Table)}
    entries = [record for record in reading.records if isinstance(record, Entry)]
    assert len(entries) == 69
    units = read(regset, path.with_name("iommu_regset.txt").read_text())
    assert units.remarks == ()
    assert {u.name: u["IRTA"] & ~0xFFF for u in units.records} == tables
    assert [(u.name, u.base, u.eime, u.entries, u.field("ECAP", "eim")) for u in units.records] == [
        ("dmar1", 0xFED92000, False, 65536, 1), ("dmar0", 0xFED90000, False, 65536, 1),
        ("dmar2", 0xFED91000, False, 65536, 1)]
    assert {e.destination(eime=False) for e in entries} <= {1 << cpu for cpu in range(8)}  # logical, flat
    contexts = read(dma_table, path.with_name("dmar_translation_struct.txt").read_text())
    assert contexts.remarks == ()
    behind = {c.rid: c.unit for c in contexts.records if isinstance(c, dma_table.Context)}
    assert len(behind) == 25
    assert all(behind.get(e.sid, e.unit) == e.unit for e in entries)


@pytest.mark.parametrize("path", real_files("debugfs-iommu/xps13-7390/ir_translation_struct.txt"))
def test_one_row_of_the_xps_13_broken_is_seen(path):
    text = path.read_text().replace("57:00.0 00000400 25", "57:00.0 00000400 26")
    assert [remark.text for remark in read(ir_table, text).remarks] == [
        "entry 57: Vct is printed as 0x26, the entry holds 0x25"]


def test_a_row_of_registers_with_fewer_digits_than_those_above_was_cut():
    reading = regset.read(lines_of("IOMMU: dmar0 Register Base Address: fed90000\n"
                                   "GSTS  0x1c  0x00000000c7000000\nCAP  0x08  0x00d2008c\n")[0])
    assert [each.name for each in reading.records[0].registers] == ["GSTS"]
    assert [str(each) for each in reading.remarks] == ["text:3:1: left out: CAP was cut: 8 of 16 digits"]
