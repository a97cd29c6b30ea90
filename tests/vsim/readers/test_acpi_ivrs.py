"""IVRS: every block and device entry is read, given back byte for byte, and what is cut does no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vsim.findings.machine_texts import dumped
from vsim.findings.catalogue import examine
from vsim.findings.rebuild import rebuild
from vsim.findings.tell import lines, to_dict
from vsim.layouts.amd import DTE_FLAGS, EFR
from vsim.layouts.bits import get
from vsim.readers import acpi_ivrs, acpi_madt
from vsim.readers.acpi_table import XEN, AcpiError, Structure, make, make_table, sealed

ALIAS = bytes.fromhex("42 0002 00 00 a000 00")
IOAPIC = bytes.fromhex("48 0000 d7 21 a000 01")
HPET = bytes.fromhex("48 0000 00 00 a000 02")
RANGE = bytes.fromhex("03 0800 00 04 feff 00")
NAMED = b"\xf0\xa5\x00\x40" + b"AMDI0020" + bytes(8) + b"\x02\x03" + b"abc"
EXTENDED = bytes.fromhex("46 1000 00 00000080")
ENTRIES = bytes(4) + RANGE + ALIAS + IOAPIC + HPET + EXTENDED + NAMED


def ivhd(kind, device, tail, **more):
    return make(acpi_ivrs.SHAPE.inside.shapes[kind], {"type": kind, "device": device, "base": 0xFEB80000, **more},
                tail=tail)


def table(*parts):
    return bytes(make_table(acpi_ivrs.SHAPE, {"revision": 2, "info": 0x203041}, parts, XEN))


def read(*parts):
    return acpi_ivrs.parse(table(*parts))


def test_a_unit_and_its_devices():
    (unit,) = read(ivhd(0x11, 2, ENTRIES, efr=0x206D73EF22254ADE, segment=1)).units
    assert (unit.base, unit["segment"], get(unit["efr"], EFR.x2apic)) == (0xFEB80000, 1, 1)
    assert [device.kind for device in unit.devices] == [
        "range start", "range end", "alias", "special", "special", "device, extended", "ACPI device"]
    assert [unit.devices[place].text for place in (2, 3, 4)] == [
        "alias 02:00.0 seen as 00:14.0", "I/O APIC 33 sends as 00:14.0", "HPET 0 sends as 00:14.0"]
    assert unit.special(1, 33) == 0xA0 and unit.special(2, 0) == 0xA0 and unit.special(1, 34) == -1
    assert get(unit.devices[3]["flags"], DTE_FLAGS.nmi_pass) == 1 and unit.devices[6].rest[:8] == b"AMDI0020"


@pytest.mark.parametrize("as_text", [False, True])
def test_amds_units_are_part_of_a_machine_that_is_read(as_text):
    """Explained: places, scopes, features. Not simulated: the machine that is rebuilt says what it left out."""
    data = table(ivhd(0x11, 2, ENTRIES, efr=0x206D73EF22254ADE))
    ivrs = dumped("IVRS", data) if as_text else data
    table_of_cpus = dumped("APIC", bytes(acpi_madt.table([
        acpi_madt.processor(0, 0), acpi_madt.entry(1, id=33, address=0xFEC00000),
        acpi_madt.entry(1, id=34, address=0xFEC01000, gsi=24)])))
    found = examine([("ivrs", ivrs), ("madt", table_of_cpus)])
    told = "\n".join(lines(found))
    for words in ("AMD unit: 0000:00:00.2 at 0xfeb80000: 32-bit destinations, 128-bit entries",
                  "I/O APIC 33 sends as 00:14.0", "AMD's units are explained and not simulated.",
                  "no AMD unit names I/O APIC 34; Linux then remaps nothing"):
        assert words in told
    (unit,) = to_dict(found)["machine"]["amd_units"]
    assert (unit["bdf"], unit["base"], len(unit["devices"])) == ("00:00.2", 0xFEB80000, 7)
    built = rebuild(found.picture)
    assert built.machine.units == 0 or not any(built.run().live(each) for each in range(built.machine.units))
    assert built.chips[0].sid == 0xA0
    assert "1 units of AMD, which are explained and not simulated" in str(built.left[0])


def test_a_unit_that_is_described_twice_is_one_unit_by_its_higher_type():
    units = read(ivhd(0x10, 2, RANGE), ivhd(0x11, 2, RANGE + IOAPIC), ivhd(0x10, 0x1002, RANGE)).units
    assert [(unit["type"], unit["device"]) for unit in units] == [(0x11, 2), (0x10, 0x1002)]


def test_nothing_is_lost_and_every_byte_has_a_row():
    data = table(ivhd(0x11, 2, ENTRIES), make(acpi_ivrs.SHAPE.inside.shapes[0x22], {
        "type": 0x22, "device": 0x10, "auxiliary": 0x20, "start": 0x1000, "size": 0x2000}))
    found = acpi_ivrs.parse(data)
    assert bytes(found) == data
    assert sum(row.size for row in found.rows()) == len(data)
    assert [row.value for row in found.rows() if row.name.endswith("special.variety")] == [1, 2]


@given(st.binary(max_size=200))
def test_any_bytes_as_device_entries(tail):
    found = read(ivhd(0x11, 2, tail))
    assert bytes(found)[-len(tail):] == tail or not tail
    assert sum(row.size for row in found.rows()) == len(found)
    assert all(device["type"] for unit in found.units for device in unit.devices)


def test_an_unknown_block_is_kept():
    block = b"\x77\x00\x06\x00\x01\x02"
    plain = table()
    data = bytearray(plain + block)
    data[4:8] = len(data).to_bytes(4, "little")
    found = acpi_ivrs.parse(bytes(sealed(Structure(acpi_ivrs.IVRS, int.from_bytes(data[:48], "little"), (),
                                                   bytes(block)))))
    assert bytes(found.parts[0]) == block and found.units == ()


@pytest.mark.parametrize("change, field", [
    (lambda data: b"XXXX" + data[4:], "signature"), (lambda data: data[:60], "length")])
def test_a_broken_table_names_the_field(change, field):
    with pytest.raises(AcpiError, match=field):
        acpi_ivrs.parse(change(table(ivhd(0x10, 2, RANGE))))


def test_a_table_that_is_cut_or_has_a_wrong_sum_is_read_and_told():
    data = table(ivhd(0x11, 2, RANGE + IOAPIC))
    found, doubts = acpi_ivrs.take(data[:20] + b"\x55" + data[21:])
    assert [doubt.field for doubt in doubts] == ["IVRS.checksum"] and found.units[0].special(1, 33) == 0xA0
    found, doubts = acpi_ivrs.take(data[:-8])
    assert doubts[0].field == "IVRS.length" and bytes(found) == data[:-8]
