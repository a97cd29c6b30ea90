"""Xen's debug key V on a machine: tables and pins come back, in the real form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vsim.findings.booted import NIC, Booted, lab_file, lived, read_back
from vsim.findings import dump_xen
from vsim.layouts.formats import IRTE_POSTED, RTE_REMAP
from vsim.readers import xen_tables
from vsim.readers.pieces import lines_of
from vsim.readers.xen_tables import Entry, Pin, Unit
from vsim.state import commands as c

PRINTED = ("handle", "format", "mask", "tm", "irr", "polarity", "status", "zero", "vector")


def of_kind(records, kind):
    return [record for record in records if isinstance(record, kind)]


@pytest.mark.parametrize("eim", [1, 0])
def test_tables_and_pins_come_back(eim):
    booted = lived(eim=eim)
    records = read_back(xen_tables, booted.dump("V"))
    (unit,) = of_kind(records, Unit)
    assert (unit.queue, unit.remapping, unit.posting, unit.entries) == ("enabled", "enabled", False, 1 << 16)
    sources = [source for found in booted.guest.sources.values() for source in found]
    assert {each.index: each.word for each in of_kind(records, Entry)} == {s.index: s.entry for s in sources}
    pins = of_kind(records, Pin)
    assert [RTE_REMAP.split(each.word) for each in pins] == [RTE_REMAP.split(word) for word in booted.machine.rte]
    assert {each.fields["handle"] for each in pins if each.fields["format"]} == {
        source.index for source in sources if source.kind == "pin"}


def test_a_posted_entry_comes_back():
    booted = Booted(posting=True)
    word = IRTE_POSTED.make(p=1, im=1, vector=0x41, urg=1, pda=0x1_2345_6780 >> 6, sid=NIC, svt=1)
    booted.history.issue(c.RamWrite(booted.guest.unit.table + 16 * 400, word.to_bytes(16, "little")))
    records = read_back(xen_tables, booted.dump("V"))
    assert of_kind(records, Unit)[0].posting
    assert [(each.index, each.word) for each in of_kind(records, Entry) if each.posted] == [(400, word)]


def test_a_unit_that_does_not_remap_has_no_table_and_a_machine_without_one_nothing():
    (unit,) = read_back(xen_tables, Booted(boot=False).dump("V"))
    assert (unit.remapping, unit.queue, unit.entries) == ("supported", "supported", 0)
    assert Booted(eim=None).dump("V") == ""


@given(st.integers(0, (1 << 64) - 1))
def test_any_pin_comes_back_but_for_its_reserved_bits(entry):
    text = "(XEN) Redirection table of IOAPIC 0:\n(XEN) " + dump_xen.pin_row(7, entry)
    (pin,) = xen_tables.read(lines_of(text, "dump")[0]).records
    before = RTE_REMAP.split(entry)
    assert {name: pin.fields[name] for name in PRINTED} == {name: before[name] for name in PRINTED}


def test_a_key_of_our_own_runs_is_written_as_it_was_read():
    path = lab_file("xen-4.17/key-V.txt")
    if path is None:
        pytest.skip("no dumps of our own runs beside the real ones")
    text = path.read_text()
    records = read_back(xen_tables, text)
    real = [line.removeprefix("(XEN) ") for line in text.splitlines() if line.startswith("(XEN)")]
    again = [dump_xen.entry_row(each.index, each.word) if isinstance(each, Entry) else
             dump_xen.pin_row(each.pin, each.word) for each in records if isinstance(each, (Entry, Pin))]
    assert again == [line for line in real if re.match(r"R:  [0-9a-f]{4}:|   [0-9a-f]{2}:  ", line)] and len(again) > 40

    ours = [line.removeprefix("(XEN) ") for line in lived().dump("V").splitlines()]
    for lines in (ours, real):
        lines[:] = [line for line in lines if not re.match(r"R:  [0-9a-f]{4}:|   [0-9a-f]{2}:  ", line)]
    assert len(ours) == len(real) and ours[0] == real[0] == "" and ours[2:] == real[2:]
    assert re.sub(r"= \d", "= 4", ours[1]) == real[1]
