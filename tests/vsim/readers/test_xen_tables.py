"""Xen's key V in both orders of its columns: every row is the entry that it was printed from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from tests.vsim.readers.test_xen_boot import stored
from vsim.layouts.formats import IRTE, IRTE_POSTED, RTE_REMAP
from vsim.readers import xen_tables
from vsim.readers.pieces import lines_of
from vsim.readers.xen_tables import Entry, Pin, Unit

HEAD = """(XEN) iommu 1: nr_pt_levels = 4.
(XEN)   Queued Invalidation: supported and enabled.
(XEN)   Interrupt Remapping: supported and enabled.
(XEN)   Interrupt Posting: supported.
(XEN)   Interrupt remapping table (nr_entry=0x10000. Only dump P=1 entries here):
(XEN) R means remapped format, P means posted format.
(XEN) R:       SVT  SQ   SID  V  AVL FPD      DST DLM TM RH DM P
(XEN) P:       SVT  SQ   SID  V  AVL FPD              PDA  URG P
"""
PINS = """(XEN) Redirection table of IOAPIC 0:
(XEN)   #entry IDX FMT MASK TRIG IRR POL STAT DELI  VECTOR
"""


def read(text):
    return xen_tables.read(lines_of(text, "log")[0])


def field(layout, name):
    return st.integers(0, getattr(layout, name).limit)


def values(layout, *names):
    return st.fixed_dictionaries({name: field(layout, name) for name in names})


def old(index, e):
    """A row as Xen printed it before it knew posted interrupts."""
    return (f"  {index:04x}:  {e['svt']:x}   {e['sq']:x}  {e['sid']:04x} {e['dst']:08x} {e['vector']:02x}    "
            f"{e['avail']:x}   {e['dlm']:x}  {e['tm']:x}  {e['rh']:x}  {e['dm']:x}   {e['fpd']:x} {e['p']:x}")


def new(index, e):
    """A row of a remapped entry as Xen prints it since."""
    return (f"R:  {index:04x}:  {e['svt']:x}   {e['sq']:x}  {e['sid']:04x} {e['vector']:02x}    {e['avail']:x}   "
            f"{e['fpd']:x} {e['dst']:08x}   {e['dlm']:x}  {e['tm']:x}  {e['rh']:x}  {e['dm']:x} {e['p']:x}")


def posted(index, e):
    return (f"P:  {index:04x}:  {e['svt']:x}   {e['sq']:x}  {e['sid']:04x} {e['vector']:02x}    {e['avail']:x}   "
            f"{e['fpd']:x} {e['pda'] << 6:16x}    {e['urg']:x} {e['p']:x}")


@given(st.integers(0, 0xFFFF), values(IRTE, *xen_tables.NEW), st.sampled_from([old, new]),
       st.sampled_from(["(XEN) ", ""]))
def test_a_remapped_entry_in_both_orders(index, entry, form, mark):
    unit, found = read(HEAD + mark + form(index, entry)).records
    assert isinstance(unit, Unit) and isinstance(found, Entry)
    assert (found.unit, found.index, found.word, found.posted) == (1, index, IRTE.make(**entry), False)
    assert found.fields == {**IRTE.split(0), **entry}


@given(st.integers(0, 0xFFFF), values(IRTE_POSTED, *xen_tables.POSTED))
def test_a_posted_entry(index, entry):
    _, found = read(HEAD + posted(index, entry)).records
    assert (found.index, found.word, found.posted) == (index, IRTE_POSTED.make(**entry, im=1), True)


def test_a_descriptor_s_address_that_xen_printed_with_its_sign():
    reading = read(HEAD + "P:  0001:  1   0  0100 31    0   0 ffffffff80001000    0 1")
    assert "upper half is not known" in reading.remarks[0].text


@given(st.integers(0, 0xEF), values(RTE_REMAP, *xen_tables.PIN))
def test_a_pin(pin, e):
    row = (f"(XEN)    {pin:02x}:  {e['handle']:04x}   {e['format']:x}    {e['mask']:x}   {e['tm']:x}   {e['irr']:x}   "
           f"{e['polarity']:x}    {e['status']:x}    {e['zero']:x}     {e['vector']:02x}")
    (found,) = read(PINS + row).records
    assert isinstance(found, Pin)
    assert (found.ioapic, found.pin, found.word) == (0, pin, RTE_REMAP.make(**e))


def test_a_unit_says_what_it_can():
    assert read(HEAD).records == (Unit("log", 1, 1, 4, "enabled", "enabled", True, 0x10000),)
    older = HEAD.replace("(XEN)   Interrupt Posting: supported.\n", "").replace(
        "Remapping: supported and enabled", "Remapping: not supported")
    assert read(older).records[0].posting is None and read(older).records[0].remapping == "not supported"


def test_a_wrapped_row_is_one_row_and_a_torn_one_is_told():
    entry = IRTE.split(IRTE.make(p=1, vector=0x31, sid=0x10, svt=1, dst=5))
    row = new(7, entry)
    first, second = row[:40].rsplit(" ", 1)
    assert read(HEAD + first + "\n" + second + row[40:]).records[1].index == 7
    (remark,) = read(HEAD + row[:40]).remarks
    assert (remark.line, remark.text[:35]) == (9, "left out: a row of the table that w")


def test_xen_s_own_count_is_passed_on():
    assert "counts 4 in use" in read(HEAD + "(XEN) Warning: Print 3 IRTE (actually have 4)!").remarks[0].text


@given(st.lists(st.sampled_from([*HEAD.splitlines(), *PINS.splitlines(), "00: 0000 1 1 0 0 0 0 0 00",
                                 "R:  0000:  1   0  0038 e8    0   0 1 1 0 1 1 1"]).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read(text):
    assert all(record.line >= 1 for record in read(text).records)


@pytest.mark.parametrize("path", real_files("xen/*key-V*"))
def test_real_tables(path):
    reading = xen_tables.read(lines_of(path.read_text(), path.name)[0])
    units = [record for record in reading.records if isinstance(record, Unit)]
    entries = [record for record in reading.records if isinstance(record, Entry)]
    assert [(unit.number, unit.posting, unit.entries) for unit in units] == [(1, False, 0x10000), (0, False, 0x10000)]
    assert [(e.unit, e.index, e.fields["sid"], e.fields["vector"], e.fields["dst"]) for e in entries] == [
        (1, 0, 0x38, 0xE8, 1), (0, 0, 0x10, 0xB9, 4)]
    assert reading.remarks == ()


def test_the_tables_of_xen_4_17():
    reading = xen_tables.read(lines_of(stored("data", "lab", "xen-4.17", "key-V.txt").read_text())[0])
    entries = {record.index: record for record in reading.records if isinstance(record, Entry)}
    pins = [record for record in reading.records if isinstance(record, Pin)]
    assert sorted(entries) == list(range(0x19)) and len(pins) == 24 and reading.remarks == ()
    for pin in pins:  # vector and trigger mode of a pin are those of its entry
        entry = entries[pin.fields["handle"]].fields
        assert (entry["vector"], entry["tm"]) == (pin.fields["vector"], pin.fields["tm"])
