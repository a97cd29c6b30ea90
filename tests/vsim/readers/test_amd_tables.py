"""AMD's remapping tables: an entry of either size is the word that was printed, in the table of its device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.layouts.amd import AMD_IRTE, AMD_IRTE_128, AMD_IRTE_GUEST
from vsim.readers import amd_tables
from vsim.readers.amd_tables import Entry
from vsim.readers.pieces import lines_of

HEAD = "(XEN) --- Dumping Per-dev IOMMU Interrupt Remapping Table ---\n(XEN)   0001:00:14.0:\n"


def read(text):
    return amd_tables.read(lines_of(text, "log")[0])


@given(st.integers(0, 0x7FF), st.integers(0, (1 << 128) - 1))
def test_an_entry_of_either_size(index, word):
    low = word & (1 << 64) - 1
    wide, narrow = read(HEAD + f"(XEN)     IRTE[{index:03x}] {word >> 64:016x}_{low:016x}\n"
                               f"    IRTE[{index:03x}] {word & 0xFFFFFFFF:08x}").records
    assert wide == Entry("log", 3, 1, 0xA0, index, word, 128)
    assert wide.layout is (AMD_IRTE_GUEST if word >> 7 & 1 else AMD_IRTE_128) and wide.source == "0001:00:14.0"
    assert narrow.fields == AMD_IRTE.split(word & 0xFFFFFFFF)


def test_the_shared_table_is_nobody_s():
    (entry,) = read("--- Dumping Shared IOMMU Interrupt Remapping Table ---\n    IRTE[005] 00310201").records
    assert (entry.rid, entry.source) == (None, "the shared table")
    assert (entry.fields["vector"], entry.fields["dest"]) == (0x31, 2)


def test_entries_without_a_table_are_none_and_a_torn_one_is_told():
    assert read("    IRTE[005] 00310201").records == ()
    assert read(HEAD + "    IRTE[005] 0031").remarks[0].line == 3


def test_the_bounds_hold(monkeypatch):
    monkeypatch.setattr(amd_tables, "MAX_RECORDS", 2)
    reading = read(HEAD + "IRTE[005] 00310201\n" * 5)
    assert len(reading.records) == 2 and "first 2 entries" in reading.remarks[0].text


@pytest.mark.parametrize("row", ["0001:00:24.0:", "IRTE[5] 00310201", "IRTE[005] 00310201 x"])
def test_rows_of_another_form(row):
    assert read(HEAD + row).records == ()


@given(st.text())
def test_any_text_is_read(text):
    assert all(record.line > 2 for record in read(HEAD + text).records)
