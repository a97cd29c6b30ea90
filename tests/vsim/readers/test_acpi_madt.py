"""The MADT: its entries, and the APIC IDs of a domain in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.readers import acpi_madt as a
from vsim.readers.acpi_madt import IOAPIC, LAPIC, OVERRIDE, X2APIC
from vsim.readers.acpi_table import AcpiError
from vsim.readers.acpi_text import dumped


@pytest.mark.parametrize("made, expected", [
    (a.entry(0, uid=3, id=6, flags=1), "0008 03 06 01000000"),
    (a.entry(1, id=1, address=0xFEC00000, gsi=24), "010c 01 00 0000c0fe 18000000"),
    (a.entry(2, source=9, gsi=20, flags=13), "020a 00 09 14000000 0d00"),
    (a.entry(4, uid=0xFF, flags=5, lint=1), "0406 ff 0500 01"),
    (a.entry(9, id=574, flags=1, uid=287), "0910 0000 3e020000 01000000 1f010000"),
    (a.entry(10, flags=5, uid=0xFFFFFFFF, lint=1), "0a0c 0500 ffffffff 01 000000"),
], ids=["local APIC", "I/O APIC", "override", "NMI", "x2APIC", "x2APIC NMI"])
def test_an_entry_is_its_bytes_and_is_read_back(made, expected):
    assert bytes(made) == bytes.fromhex(expected)
    assert a.parse(bytes(a.table([made]))).parts == (made,)


@pytest.mark.parametrize("raw", ["7f02", "0304 0102", "0b03 01"])
def test_an_entry_of_an_unknown_type_is_kept_as_it_is(raw):
    data = bytearray(bytes(a.table([])) + bytes.fromhex(raw))
    data[4:8] = len(data).to_bytes(4, "little")
    data[9] = (data[9] - sum(data)) & 0xFF
    table = a.parse(bytes(data))
    assert (bytes(table), bytes(table.parts[0])) == (bytes(data), bytes.fromhex(raw))


def test_xen_wires_isa_interrupt_0_to_pin_2_and_the_pci_links_as_level_low():
    table = a.parse(a.madt([0, 2]))
    assert [(e["source"], e["gsi"], e["flags"]) for e in table.parts if e.layout is OVERRIDE] == [
        (0, 2, 0), (5, 5, 15), (10, 10, 15), (11, 11, 15)]
    assert [(e["id"], e["address"], e["gsi"]) for e in table.ioapics] == [(1, 0xFEC00000, 0)]
    assert (table["lapic_address"], table["flags"], table["revision"]) == (0xFEE00000, 1, 3)
    assert [part.layout for part in table.parts] == [OVERRIDE] * 4 + [IOAPIC] + [LAPIC] * 2


def test_ids_that_need_more_than_8_bits_have_entries_of_32():
    table = a.parse(a.madt([2 * n for n in range(288)]))
    assert table.apic_ids == tuple(2 * n for n in range(288))
    assert [each.layout for each in table.processors] == [LAPIC] * 128 + [X2APIC] * 160
    assert table.processors[128]["uid"] == 128


@pytest.mark.parametrize("apic_id, layout", [(254, LAPIC), (255, X2APIC), (256, X2APIC)])
def test_255_is_the_broadcast_so_it_has_an_entry_of_32_bits(apic_id, layout):
    (only,) = a.parse(a.madt([apic_id])).processors
    assert (only.layout, only["id"]) == (layout, apic_id)


def test_a_processor_whose_number_has_more_than_8_bits_has_an_entry_of_32():
    assert a.processor(256, 10).layout is X2APIC


def test_as_coded_the_id_wraps_at_vcpu_128():
    table = a.parse(a.madt([2 * n for n in range(288)], wraps=True))
    assert {each.layout for each in table.processors} == {LAPIC}
    assert (table.apic_ids[127], table.apic_ids[128], table.apic_ids[287]) == (254, 0, 62)


def test_processors_that_are_not_enabled_have_no_id_in_use():
    table = a.table([a.entry(0, id=1, flags=1), a.entry(0, id=2), a.entry(9, id=300, flags=2)])
    assert (table.apic_ids, len(table.processors)) == ((1,), 3)


@pytest.mark.parametrize("make, message", [
    (lambda: a.madt([1 << 32]), "x2APIC.id: 0x100000000 is over its limit"),
    (lambda: a.entry(3), "type is 3; types are 0, 1, 2, 4, 9, 10"),
    (lambda: a.entry(1, uid=0), "IOAPIC: no field 'uid'"),
])
def test_what_no_table_holds_is_not_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def broken(at: int, value: int) -> bytes:
    data = bytearray(a.madt([0]))
    data[at] = value
    data[9] = (data[9] - sum(data)) & 0xFF
    return bytes(data)


@pytest.mark.parametrize("table, offset, field", [
    (b"DMAR", 0, "APIC.signature"),
    (a.madt([0])[:43], 4, "APIC.length"),
    (broken(4, 43), 4, "APIC.length"),
    (broken(45, 9), 45, "override.length"),
    (broken(45, 0), 45, "override.length"),
    (broken(97, 9), 97, "LAPIC.length"),
])
def test_a_broken_table_is_refused_with_offset_and_field(table, offset, field):
    with pytest.raises(AcpiError) as error:
        a.parse(table)
    assert (error.value.offset, error.value.field) == (offset, field)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_table_or_a_clear_error(data):
    whole = bytearray(bytes(a.table([])) + data)
    whole[4:8] = len(whole).to_bytes(4, "little")
    whole[9] = (whole[9] - sum(whole)) & 0xFF
    for table in (data, b"APIC" + data, bytes(whole)):
        try:
            found = a.parse(table)
        except AcpiError as error:
            assert 0 <= error.offset <= len(table)
        else:
            assert bytes(found) == table and len(found.apic_ids) <= len(found.processors)


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=40), st.booleans())
def test_a_kernel_reads_the_ids_that_the_toolstack_wrote(ids, wraps):
    data = a.madt(ids, wraps)
    assert a.parse(data).apic_ids == tuple(i & 0xFF if wraps else i for i in ids)
    assert sum(data) & 0xFF == 0 and len(data) == int.from_bytes(data[4:8], "little")


def test_the_table_prints_as_acpidump_text_and_is_read_back():
    data = a.madt([0, 2, 600])
    lines = [f"    {at:04X}: {data[at:at + 16].hex(' ').upper()}" for at in range(0, len(data), 16)]
    assert dumped("\n".join(["APIC @ 0x0", *lines])) == [("APIC", data)]


@pytest.mark.parametrize("gsi, place", [(0, (1, 0)), (23, (1, 23)), (24, (0, 0)), (55, (0, 31)), (56, (2, 0)),
                                        (90, (2, 34))])
def test_a_gsi_is_a_pin_of_the_last_io_apic_that_begins_before_it(gsi, place):
    table = a.parse(bytes(a.table([a.entry(1, id=9, gsi=24), a.entry(1, id=8, gsi=0), a.entry(1, id=10, gsi=56)])))
    assert table.pin_of(gsi) == place


def test_below_every_first_gsi_there_is_no_pin():
    assert a.table([a.entry(1, id=9, gsi=24)]).pin_of(23) is None and a.table([]).pin_of(0) is None


@pytest.mark.parametrize("irq, gsi", [(0, 2), (1, 1), (9, 20), (7, 7)])
def test_an_isa_interrupt_has_its_own_number_unless_it_is_overridden(irq, gsi):
    table = a.table([a.entry(2, source=0, gsi=2), a.entry(2, source=9, gsi=20), a.entry(2, bus=1, source=7, gsi=99)])
    assert table.gsi_of(irq) == gsi
