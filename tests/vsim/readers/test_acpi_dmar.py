"""The DMAR table: its bytes, and what a kernel reads in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.readers import acpi_dmar as d
from vsim.readers.acpi_dmar import (
    INTR_REMAP,
    IOAPIC_ID,
    SCOPE_BRIDGE,
    SCOPE_ENDPOINT,
    SCOPE_IOAPIC,
    X2APIC_OPT_OUT,
    Coverage,
)
from vsim.readers.acpi_table import XEN, AcpiError, Oem

BASE = 0xFED90000
# V 8.1, computed example.
PLAIN = """
44 4d 41 52 48 00 00 00 01 4e 56 53 49 4d 20 20 56 53 49 4d 44 4d 41 52 01 00 00 00 56 53 49 4d
01 00 00 00 26 01 00 00 00 00 00 00 00 00 00 00 00 00 18 00 01 00 00 00 00 00 d9 fe 00 00 00 00
03 08 00 00 01 ff 00 00"""
# X 11.8, as the toolstack writes it.
X_11_8 = """
44 4d 41 52 48 00 00 00 01 24 58 65 6e 00 00 00 48 56 4d 00 00 00 00 00 00 00 00 00 48 56 4d 4c
00 00 00 00 26 01 00 00 00 00 00 00 00 00 00 00 00 00 18 00 01 00 00 00 00 00 d9 fe 00 00 00 00
03 08 00 00 01 ff 00 00"""
VSIM = Oem(b"VSIM  ", b"VSIMDMAR", 1, b"VSIM", 1)


@pytest.mark.parametrize("oem, text", [(VSIM, PLAIN), (XEN, X_11_8)], ids=["V 8.1", "X 11.8"])
def test_the_worked_tables_come_out_byte_for_byte(oem, text):
    assert d.dmar(BASE, oem=oem) == bytes.fromhex(text)


def test_the_opt_out_of_x2apic_changes_the_flag_and_the_checksum():
    plain, opted = d.dmar(BASE), d.dmar(BASE, flags=INTR_REMAP | X2APIC_OPT_OUT)
    assert [i for i in range(72) if plain[i] != opted[i]] == [9, 37]
    assert (opted[9], opted[37]) == (0x22, 3)


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 256), st.integers(0, 255), st.integers(0, 0xFFFF))
def test_a_kernel_reads_what_the_toolstack_wrote(base, width, flags, source):
    table = d.parse(d.dmar(base, width, flags, source))
    (unit,) = table.units
    assert (table.width, table.flags, unit.base, unit.everything) == (width, flags, base, True)
    assert (unit.ioapic(IOAPIC_ID), unit.ioapic(IOAPIC_ID + 1)) == (source, -1)


# --- every structure (V 8.1) ---

ENDPOINT = d.scope(SCOPE_ENDPOINT, 0, [(0x1C, 0), (3, 1)], 7)


@pytest.mark.parametrize("made, expected", [
    (d.unit(0xC0DE0000, [ENDPOINT], segment=1), "0000 1a00 00 00 0100 0000dec000000000 010a00000700 1c00 0301"),
    (d.unit(BASE, everything=True), "0000 1000 01 00 0000 0000d9fe00000000"),
    (d.structure(1, [ENDPOINT], segment=2, base=0x1000, limit=0x1FFF),
     "0100 2200 0000 0200 0010000000000000 ff1f000000000000 010a00000700 1c00 0301"),
    (d.structure(2, [ENDPOINT], flags=1), "0200 1200 01 00 0000 010a00000700 1c00 0301"),
    (d.structure(3, base=BASE, proximity=1), "0300 1400 00000000 0000d9fe00000000 01000000"),
    (d.structure(4, tail=rb"\_SB.I2C0" + b"\0", device=3), "0400 1200 000000 03 5c5f53422e4932433000"),
    (d.structure(5, [ENDPOINT], flags=1, segment=3), "0500 1200 01 00 0300 010a00000700 1c00 0301"),
    (d.structure(6, [ENDPOINT], segment=3), "0600 1200 0000 0300 010a00000700 1c00 0301"),
], ids=["DRHD", "DRHD for all", "RMRR", "ATSR", "RHSA", "ANDD", "SATC", "SIDP"])
def test_a_structure_is_its_bytes_and_is_read_back(made, expected):
    assert bytes(made) == bytes.fromhex(expected)
    (found,) = d.parse(bytes(d.table([made]))).parts
    assert found == made


def test_an_acpi_device_has_its_name():
    (found,) = d.parse(bytes(d.table([d.structure(4, tail=rb"\_SB.I2C0" + b"\0\0", device=3)]))).parts
    assert (found.name, found["device"]) == (rb"\_SB.I2C0", 3)


@pytest.mark.parametrize("raw", ["0700 0800 11223344", "ff7f 0400", "0b00 0500 01"])
def test_a_structure_of_an_unknown_type_is_kept_as_it_is(raw):
    raw = bytes.fromhex(raw)
    data = resized(d.dmar(BASE) + raw)
    table = d.parse(data)
    assert (bytes(table.parts[1]), bytes(table)) == (raw, data)
    assert [unit.base for unit in table.units] == [BASE]


def test_a_path_of_half_a_pair_is_kept_too():
    data = bytearray(d.dmar(BASE) + b"\x05")
    data[50], data[65] = 25, 9
    data = resized(bytes(data))
    (scope,) = d.parse(data).units[0].scopes
    assert (scope.path, scope.tail, bytes(d.parse(data))) == (((0, 0),), b"\0\0\5", data)


def test_the_rows_of_a_table_cover_its_bytes_once():
    table = d.parse(d.dmar(BASE))
    places = [(row.offset, row.size) for row in table.rows()]
    assert [offset for offset, _ in places] == [sum(size for _, size in places[:n]) for n in range(len(places))]
    rows = {row.name: row.value for row in table.rows()}
    assert (rows["DRHD.base"], rows["scope.path"], rows["DMAR.address_width"]) == (BASE, "00,00", 38)


# --- mistakes ---


def sealed(table: bytes) -> bytes:
    """The table with its checksum made right."""
    return table[:9] + bytes([(table[9] - sum(table)) & 0xFF]) + table[10:]


def resized(table: bytes) -> bytes:
    """The table with its length and checksum made right."""
    return sealed(table[:4] + len(table).to_bytes(4, "little") + table[8:])


def replaced(at: int, value: bytes) -> bytes:
    good = d.dmar(BASE)
    return sealed(good[:at] + value + good[at + len(value):])


@pytest.mark.parametrize("table, offset, field, message", [
    (b"", 0, "DMAR.signature", "b''; expected b'DMAR'"),
    (b"APIC" + d.dmar(0)[4:], 0, "DMAR.signature", "b'APIC'; expected b'DMAR'"),
    (b"DMAR\1", 4, "DMAR.length", "found 5 bytes; expected 8 or more"),
    (replaced(4, b"\x20"), 4, "DMAR.length", "32; expected 48 to 1048576"),
    (replaced(4, b"\xff\xff\xff\xff"), 4, "DMAR.length", "4294967295; expected 48 to 1048576"),
    (replaced(4, b"\x49"), 4, "DMAR.length", "73; found 72 bytes"),
    (d.dmar(0)[:60], 4, "DMAR.length", "72; found 60 bytes"),
    (replaced(50, b"\x03"), 50, "DRHD.length", "3; expected 16 or more, and 24 bytes are left"),
    (replaced(50, b"\xff"), 50, "DRHD.length", "255; expected 16 or more, and 24 bytes are left"),
    (replaced(50, b"\x08"), 50, "DRHD.length", "8; expected 16 or more"),
    (replaced(48, b"\x63\0\0"), 50, "remapping structure.length", "0; expected 4 or more"),
    (replaced(65, b"\x05"), 65, "scope.length", "5; expected 6 or more, and 8 bytes are left"),
    (replaced(65, b"\x00"), 65, "scope.length", "0; expected 6 or more"),
    (resized(d.dmar(0) + b"\0\0\0"), 72, "remapping structure.type", "3 bytes are left; expected 4 or more"),
    (resized(d.dmar(0)[:50] + b"\x11" + d.dmar(0)[51:64] + b"\3"), 64, "scope.type", "1 bytes are left"),
])
def test_a_broken_table_is_refused_with_offset_and_field(table, offset, field, message):
    with pytest.raises(AcpiError) as error:
        d.parse(table)
    assert (error.value.offset, error.value.field) == (offset, field)
    assert message in str(error.value) and f"offset {offset:#x}, {field}" in str(error.value)


def read(data: bytes) -> bytes | None:
    """The bytes of the table that is read, None for a clear error."""
    try:
        table = d.parse(data)
    except AcpiError as error:
        assert 0 <= error.offset <= len(data) and error.field
        return None
    list(table.rows())
    Coverage(table.units, {}).unit_of(0)
    return bytes(table)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_table_or_a_clear_error(data):
    for table in (data, b"DMAR" + data, resized(d.dmar(0)[:48] + data)):
        assert read(table) in (None, table)


@given(st.data())
def test_a_table_with_some_bytes_changed_is_read_without_loss_or_refused(data):
    table = bytearray(bytes(d.table([d.unit(BASE, [ENDPOINT]), d.structure(1, [ENDPOINT], base=4096, limit=8191),
                                     d.structure(4, tail=b"X", device=1), d.unit(0, everything=True)])))
    for _ in range(data.draw(st.integers(1, 8))):
        table[data.draw(st.integers(48, len(table) - 1))] = data.draw(st.integers(0, 255))
    assert read(sealed(bytes(table))) in (None, sealed(bytes(table)))


@pytest.mark.parametrize("values", [{"base": 1 << 64}, {"base": -1}, {"base": 0, "width": 0}, {"base": 0, "width": 257},
                                    {"base": 0, "flags": 256}, {"base": 0, "ioapic_source": 0x10000}])
def test_a_value_that_does_not_fit_its_field_is_refused(values):
    with pytest.raises(ValueError, match="over its limit"):
        d.dmar(**values)


@pytest.mark.parametrize("make, message", [
    (lambda: d.scope(SCOPE_ENDPOINT, 0, [(32, 0)]), "device 32, function 0; the limit is 31 and 7"),
    (lambda: d.scope(SCOPE_ENDPOINT, 0, [(0, 0)] * 125), "scope.length: 0x100 is over its limit 0xff"),
    (lambda: d.scope(SCOPE_ENDPOINT, 256, []), "scope.bus: 0x100 is over its limit"),
    (lambda: d.structure(9), "type is 9; types are 0, 1, 2, 3, 4, 5, 6"),
    (lambda: d.structure(1, size=4), "RMRR: no field 'size'"),
    (lambda: d.dmar(0, oem=Oem(b"1234567", b"", 0, b"", 0)), "oem_id is b'1234567'; the limit is 6 bytes"),
    (lambda: d.table([d.unit(0, everything=True), d.unit(4096)]), "unit 0 covers everything; it must be the last"),
])
def test_what_no_table_holds_is_not_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_unit_for_everything_is_the_last_of_its_own_segment_only():
    table = d.table([d.unit(0, everything=True, segment=1), d.unit(4096, everything=True)])
    assert [unit.everything for unit in d.parse(bytes(table)).units] == [True, True]


# --- who sits behind which unit ---

BRIDGE, BELOW = 0x00E0, 0x0300  # bridge 00:1c.0 leads to buses 3 to 5
BRIDGES = {BRIDGE: (3, 5), 0x0308: (4, 4)}


@pytest.mark.parametrize("scope, bridges, source, end", [
    (d.scope_of(SCOPE_ENDPOINT, 0x0311), {}, 0x0311, 0x0311),
    (d.scope(SCOPE_ENDPOINT, 0, [(0x1C, 0), (1, 0)]), {}, -1, -1),                  # the bridge is not known
    (d.scope(SCOPE_ENDPOINT, 0, [(0x1C, 0), (1, 0)]), BRIDGES, -1, 0x0308),
    (d.scope(SCOPE_ENDPOINT, 0, [(0x1C, 0), (1, 0), (2, 3)]), BRIDGES, -1, 0x0413),
    (d.scope(SCOPE_ENDPOINT, 0, []), BRIDGES, -1, -1),
])
def test_a_path_leads_from_bridge_to_bridge(scope, bridges, source, end):
    assert (scope.source, scope.reach(bridges)) == (source, end)


@pytest.mark.parametrize("pair", [b"\x20\0", b"\0\x08", b"\xff\xff"])
def test_a_pair_that_is_no_place_in_pci_names_nobody(pair):
    assert d.parse(replaced(70, pair)).units[0].ioapic(IOAPIC_ID) == -1


UNITS = [d.unit(0x1000, [d.scope(SCOPE_BRIDGE, 0, [(0x1C, 0)]), d.scope_of(SCOPE_ENDPOINT, 0x0010)]),
         d.unit(0x2000, [d.scope(SCOPE_BRIDGE, 0, [(0x1C, 0), (1, 0)])]),
         d.unit(0x3000, [d.scope_of(SCOPE_ENDPOINT, 0x0500)], segment=1),
         d.unit(0x4000, [d.scope_of(SCOPE_IOAPIC, 0xFF00, 1)], everything=True)]


@pytest.mark.parametrize("requester, unit", [
    (0x0010, 0),        # named by itself
    (BRIDGE, 0),        # a bridge that is named
    (BELOW, 0),         # below it
    (0x05FF, 0),        # on its subordinate bus
    (0x0400, 1),        # the nearer bridge counts
    (0x0308, 1),        # that bridge itself
    (0xFF00, 3),        # the I/O APIC
    (0x0600, 3),        # nobody names it
    (0x0500, 0),        # what another segment says does not count
])
def test_a_device_is_behind_the_unit_that_names_it_or_a_bridge_above_it(requester, unit):
    assert Coverage(UNITS, BRIDGES).unit_of(requester) == unit


def test_what_no_unit_covers_is_behind_none():
    coverage = Coverage(UNITS[:3], BRIDGES)
    assert (coverage.unit_of(0x0600), Coverage(UNITS, {}, segment=1).unit_of(0x0500)) == (-1, 2)
    assert (coverage.rest, coverage.unresolved) == (-1, [])


def test_scopes_behind_unknown_bridges_are_told():
    coverage = Coverage(UNITS, {})
    assert coverage.unresolved == [UNITS[0].scopes[0], UNITS[1].scopes[0]]
    assert coverage.unit_of(BELOW) == 3 and coverage.named(BELOW) == -1
