"""Tables and registers of the units, as Linux dumps them: every entry and register comes back, in the real form."""

import re

import pytest

from tests.places import real_files
from tests.vsim.findings.booted import DISK, E1000, NIC, Booted, lab_file, lived, read_back
from vsim.findings import dump_units
from vsim.findings.dumps import dump
from vsim.findings.subject import Subject
from vsim.layouts.formats import IRTE_POSTED
from vsim.layouts.registers import IRTA, UNIT
from vsim.machine import read
from vsim.readers import ir_table, regset
from vsim.state import commands as c
from vsim.state.profile import PROFILES

BASE = 0xFED90000


@pytest.mark.parametrize("eim", [1, 0])
def test_the_table_comes_back_as_the_kernel_wrote_it(eim):
    booted = lived(eim=eim)
    head, *entries = read_back(ir_table, booted.dump("ir_translation_struct"))
    assert (head.unit, head.address, head.enabled) == ("dmar0", booted.guest.unit.table, True)
    sources = {source.index: source for found in booted.guest.sources.values() for source in found}
    assert {entry.index: entry.word for entry in entries} == {n: s.entry for n, s in sources.items()}
    moved = next(entry for entry in entries if entry.index == booted.source(NIC).index)
    assert (moved.destination(bool(eim)), moved.vector, moved.sid) == (
        booted.machine.apic_id[3], booted.source(NIC).vector, NIC)
    assert {entry.sid for entry in entries} == {NIC, DISK, booted.guest.ways.ioapic}
    assert booted.source(E1000).index in sources


def test_a_unit_that_does_not_remap_says_so():
    assert read_back(ir_table, Booted(boot=False).dump("ir_translation_struct")) == (
        ir_table.Table("dump", 1, "dmar0", enabled=False),)


def test_a_machine_without_a_unit_has_neither_table_nor_registers():
    booted = lived(eim=None)
    assert booted.dump("ir_translation_struct") == "****\n\n" and booted.dump("iommu_regset") == ""


def test_posted_entries_stand_in_a_table_of_their_own():
    booted = Booted(posting=True)
    word = IRTE_POSTED.make(p=1, im=1, vector=0x41, pda=0x1_2345_6780 >> 6, sid=NIC, svt=1)
    booted.history.issue(c.RamWrite(booted.guest.unit.table + 16 * 400, word.to_bytes(16, "little")))
    records = read_back(ir_table, booted.dump("ir_translation_struct"))
    heads = [(record.posted, record.address) for record in records if isinstance(record, ir_table.Table)]
    assert heads == [(False, booted.guest.unit.table), (True, booted.guest.unit.table)]
    assert (records[-1].index, records[-1].word, records[-1].posted) == (400, word, True)
    assert [record for record in records[:-2] if isinstance(record, ir_table.Entry) and record.posted] == []


@pytest.mark.parametrize("name", PROFILES)
def test_every_register_comes_back_as_the_machine_reads_it(name):
    booted = lived(name=name)
    (unit,) = read_back(regset, booted.dump("iommu_regset"))
    machine = booted.machine.copy()
    assert (unit.name, unit.base) == ("dmar0", BASE)
    known = {register: (offset, width) for offset, width, register, _ in UNIT}
    for register in unit.registers:
        offset, width = known.get(register.name, (register.offset, 0))
        assert register.offset == offset and (not width or register.value == read(machine, BASE + offset, width))
    assert (unit["IRTA"] >> IRTA.base.low << IRTA.base.low, unit.eime) == (
        booted.guest.unit.table, booted.guest.ways.eim)


def test_a_dump_changes_nothing():
    booted = lived()
    before = booted.machine.copy()
    for kind in ("ir_translation_struct", "iommu_regset"):
        assert dump(kind, Subject(booted.machine)) == booted.dump(kind)
    assert booted.machine == before


# --- the form, held against real prints ---


def shape(line):
    """A line with its numbers made alike: what is left are columns, blanks and words."""
    return re.sub(r"[0-9a-f](?=[0-9a-f]*\b)|(?<=\b)[0-9a-f]+\b", "0", line)


def real_texts(name):
    """Real dumps with a name: of the real machines, and of our own runs."""
    return real_files(f"debugfs-iommu/*/{name}.txt")


@pytest.mark.parametrize("path", real_texts("ir_translation_struct"))
def test_the_table_has_the_real_form(path):
    ours = lived().dump("ir_translation_struct").splitlines()
    real = path.read_text().splitlines()
    own = lab_file("linux-6.12-8cpu/ir_translation_struct-boot.txt")
    for lines in (real, own.read_text().splitlines() if own else real):
        rows = [line for line in lines if re.match(r" \d+ ", line)]
        widths = {tuple(match.start() for match in re.finditer(r"\S+", row)) for row in rows}
        mine = {tuple(match.start() for match in re.finditer(r"\S+", row)) for row in ours if re.match(r" \d+ ", row)}
        assert mine <= widths and len(mine) == 1
        assert {line for line in ours if "Entry" in line} <= set(lines)
        assert ours[0] in lines and "****" in lines
    if own:
        text = own.read_text()
        again = [dump_units._remapped_row(entry.index, entry.word) for entry in read_back(ir_table, text)
                 if isinstance(entry, ir_table.Entry)]
        assert again == [line for line in text.splitlines() if re.match(r" \d+ ", line)] and len(again) > 20
        assert text.endswith("\n\n****\n\n") and lived().dump("ir_translation_struct").count("\n\n****\n\n") == 1


@pytest.mark.parametrize("path", real_texts("iommu_regset"))
def test_the_registers_have_the_real_names_order_and_columns(path):
    own = lab_file("linux-6.12-8cpu/iommu_regset-boot.txt")
    ours = lived().dump("iommu_regset").splitlines()
    for text in (path.read_text(), own.read_text() if own else path.read_text()):
        first = text[:text.find("IOMMU:", 6)].splitlines()
        named = [line for line in first if line and not line.startswith("VC")]   # VC...: of another version
        assert [line.rsplit("0x", 1)[0] for line in named[1:]] == [line.rsplit("0x", 1)[0] for line in ours[1:-1]]
        assert {len(line) for line in named[2:]} == {len(line) for line in ours[2:-1]}


def test_a_unit_of_another_size_shows_its_own_capabilities():
    chosen = PROFILES["spec"]
    (unit,) = read_back(regset, lived().dump("iommu_regset"))
    assert (unit["CAP"], unit["ECAP"] & ~(1 << 4)) == (chosen.capabilities.cap, chosen.capabilities.ecap & ~(1 << 4))
