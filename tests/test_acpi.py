"""The DMAR table: its bytes, and what a kernel reads in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim import acpi
from vsim.acpi import INTR_REMAP, IOAPIC_ID, X2APIC_OPT_OUT, Oem

# V 8.1, computed example.
PLAIN = """
44 4d 41 52 48 00 00 00 01 4e 56 53 49 4d 20 20 56 53 49 4d 44 4d 41 52 01 00 00 00 56 53 49 4d
01 00 00 00 26 01 00 00 00 00 00 00 00 00 00 00 00 00 18 00 01 00 00 00 00 00 d9 fe 00 00 00 00
03 08 00 00 01 ff 00 00"""
# X 11.8, as the toolstack writes it.
XEN = """
44 4d 41 52 48 00 00 00 01 24 58 65 6e 00 00 00 48 56 4d 00 00 00 00 00 00 00 00 00 48 56 4d 4c
00 00 00 00 26 01 00 00 00 00 00 00 00 00 00 00 00 00 18 00 01 00 00 00 00 00 d9 fe 00 00 00 00
03 08 00 00 01 ff 00 00"""
VSIM = Oem(b"VSIM  ", b"VSIMDMAR", 1, b"VSIM", 1)


@pytest.mark.parametrize("oem, text", [(VSIM, PLAIN), (acpi.XEN, XEN)], ids=["V 8.1", "X 11.8"])
def test_the_worked_tables_come_out_byte_for_byte(oem, text):
    assert acpi.dmar(0xFED90000, oem=oem) == bytes.fromhex(text)


def test_the_opt_out_of_x2apic_changes_the_flag_and_the_checksum():
    plain, opted = acpi.dmar(0xFED90000), acpi.dmar(0xFED90000, flags=INTR_REMAP | X2APIC_OPT_OUT)
    assert [i for i in range(72) if plain[i] != opted[i]] == [9, 37]
    assert (opted[9], opted[37]) == (0x22, 3)


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 256), st.integers(0, 255), st.integers(0, 0xFFFF))
def test_a_kernel_reads_what_the_toolstack_wrote(base, width, flags, source):
    table = acpi.parse(acpi.dmar(base, width, flags, source))
    (unit,) = table.units
    assert (table.width, table.flags, unit.base, unit.flags) == (width, flags, base, acpi.INCLUDE_PCI_ALL)
    assert unit.ioapic(IOAPIC_ID) == source
    assert unit.ioapic(IOAPIC_ID + 1) == -1


def sealed(table: bytes) -> bytes:
    """The table with its checksum made right."""
    return table[:9] + bytes([(table[9] - sum(table)) & 0xFF]) + table[10:]


def replaced(at: int, value: bytes) -> bytes:
    good = acpi.dmar(0xFED90000)
    return sealed(good[:at] + value + good[at + len(value):])


@pytest.mark.parametrize("table, message", [
    (b"", "signature is b''"),
    (b"APIC" + acpi.dmar(0)[4:], "signature is b'APIC'"),
    (replaced(4, b"\x20"), "length is 32; expected 48 or more"),
    (replaced(4, b"\x49"), "length is 73; found 72 bytes"),
    (acpi.dmar(0)[:60], "length is 72; found 60 bytes"),
    (acpi.dmar(0)[:71] + b"\x01", "the bytes sum to 0x1"),
    (replaced(50, b"\x03"), "a remapping structure is 3 bytes long; expected 4 to 24"),
    (replaced(50, b"\xff"), "a remapping structure is 255 bytes"),
    (replaced(50, b"\x08"), "a unit is 8 bytes long; expected 16 or more"),
    (replaced(65, b"\x05"), "a device scope is 5 bytes long; expected 6 to 8"),
    (replaced(65, b"\x00"), "a device scope is 0 bytes"),
])
def test_a_broken_table_is_refused_with_what_is_wrong(table, message):
    with pytest.raises(ValueError, match=message):
        acpi.parse(table)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_table_or_a_clear_error(data):
    for table in (data, b"DMAR" + data, sealed(acpi.dmar(0)[:48] + data) if len(data) < 90 else data):
        try:
            acpi.parse(table)
        except ValueError as error:
            assert str(error)


def test_structures_that_are_not_needed_are_passed_over():
    body = acpi.dmar(0xFED90000)
    more = body + (3).to_bytes(2, "little") + (20).to_bytes(2, "little") + bytes(16)
    table = acpi.parse(sealed(more[:4] + len(more).to_bytes(4, "little") + more[8:]))
    assert [unit.base for unit in table.units] == [0xFED90000]


def test_a_device_below_bridges_has_no_source_id_of_its_own_in_the_table():
    assert acpi.Scope(acpi.SCOPE_IOAPIC, 1, 0, ((28, 0), (0, 0))).source == -1


@pytest.mark.parametrize("values", [{"base": 1 << 64}, {"base": -1}, {"base": 0, "width": 0}, {"base": 0, "width": 257},
                                    {"base": 0, "flags": 256}, {"base": 0, "ioapic_source": 0x10000}])
def test_a_value_that_does_not_fit_its_field_is_refused(values):
    with pytest.raises(ValueError, match="does not fit"):
        acpi.dmar(**values)
