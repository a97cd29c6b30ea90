"""Tables of real machines come back byte for byte; iasl, the reference decoder, agrees with what is read and made."""

import re
import shutil
import subprocess
from bisect import bisect_left
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.places import real_files
from vsim.devices import viommu
from vsim.domain import acpi
from vsim.machine import step
from vsim.readers import acpi_dmar, acpi_madt
from vsim.readers.acpi_table import AcpiError, Structure
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.profile import profile

BINARIES = real_files("acpi/*/*.bin")
needs_iasl = pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl (Debian: acpica-tools) is not installed")


@pytest.mark.parametrize("path", BINARIES)
def test_a_real_table_is_read_and_comes_back_byte_for_byte(path):
    (table,) = acpi.load(path)
    assert isinstance(table, Structure) and bytes(table) == path.read_bytes()
    rows = list(table.rows())
    assert sum(row.size for row in rows) == len(table)


@pytest.mark.parametrize("path", real_files("acpi/*/acpidump.txt"))
def test_the_text_of_acpidump_holds_the_same_tables(path):
    found = {type(table).__name__: bytes(table) for table in acpi.load(path)}
    assert found == {"Dmar": (path.parent / "dmar.bin").read_bytes(), "Madt": (path.parent / "apic.bin").read_bytes()}


@pytest.mark.parametrize("path", real_files("acpi/*/dmar.bin"))
def test_a_real_table_names_units_as_the_specification_wants(path):
    (table,) = acpi.load(path)
    assert table.units and 36 <= table.width <= 52
    assert [unit.everything for unit in table.units] == [False] * (len(table.units) - 1) + [True]
    (madt,) = acpi.load(path.parent / "apic.bin")
    covered = {s["enumeration"] for u in table.units for s in u.scopes if s["type"] == acpi_dmar.SCOPE_IOAPIC}
    if table.flags & acpi.INTR_REMAP:
        assert {ioapic["id"] for ioapic in madt.ioapics} <= covered


# --- what iasl says ---

SUBTABLES = {"Hardware Unit Definition": "DRHD", "Reserved Memory Region": "RMRR", "Root Port ATS Capability": "ATSR",
             "Remapping Hardware Static Affinity": "RHSA", "ACPI Namespace Device Declaration": "ANDD",
             "Processor Local APIC": "LAPIC", "I/O APIC": "IOAPIC", "Interrupt Source Override": "override",
             "Local APIC NMI": "LAPIC_NMI", "Processor Local x2APIC": "x2APIC", "Local x2APIC NMI": "x2APIC_NMI"}
FIELDS = {"Host Address Width": "address_width", "Flags": "flags", "PCI Segment Number": "segment",
          "Register Base Address": "base", "Base Address": "base", "End Address (limit)": "limit",
          "Device Scope Type": "type", "Entry Length": "length", "Enumeration ID": "enumeration",
          "PCI Bus Number": "bus", "PCI Path": "path", "Device Number": "device", "Device Name": "name",
          "Proximity Domain": "proximity", "Subtable Type": "type", "Length": "length", "Checksum": "checksum",
          "Processor ID": "uid", "Local Apic ID": "id", "I/O Apic ID": "id", "Source": "source", "Bus": "bus",
          "Interrupt Input LINT": "lint", "Processor x2Apic ID": "id", "Processor UID": "uid",
          "Local Apic Address": "lapic_address", "Flags (decoded below)": "flags"}
"""The names that iasl gives to what our declarations call otherwise; others are compared by place and value alone."""
LINE = re.compile(r"\[([0-9A-F]+)h \d+\s+([0-9A-F]+)h?\]\s+(.+?) : (.*)")


def decoded(text):
    """(offset, size, name, value) of each field of a listing of iasl. Its sizes are hexadecimal where "h" follows."""
    for line in text.splitlines():
        if match := LINE.fullmatch(line):
            base = 16 if "h]" in line else 10
            yield int(match[1], 16), int(match[2], base), match[3], match[4].strip()


def number(size, value):
    """A value of iasl as the number that lies there; a path or a name as text."""
    if value.startswith('"\\'):
        return value.strip('"')
    if value.startswith('"'):
        return int.from_bytes(value.split('"')[1].encode(), "little")
    if re.fullmatch("[0-9A-F]{2},[0-9A-F]{2}", value):
        return value.lower()
    digits = value.split("[")[0].split("/*")[0].split("*")[0].strip()
    return int.from_bytes(bytes.fromhex(digits), "little" if " " in digits else "big")


def ours(rows, offset, size):
    """Our rows that make up these bytes exactly, with their value; none where the boundaries differ."""
    first, last = (bisect_left(rows, at, key=lambda row: row.offset) for at in (offset, offset + size))
    inside = rows[first:last]
    if sum(row.size for row in inside) != size:
        return [], None
    if isinstance(inside[0].value, str):
        text = inside[0].value
        return inside, text if "," in text or "\\" in text else int.from_bytes(bytes.fromhex(text), "little")
    return inside, sum(row.value << 8 * (row.offset - offset) for row in inside)


def compare(table, listing):
    """Every field of a listing, against what we read; how many there were."""
    rows, count = list(table.rows()), 0
    for offset, size, name, value in decoded(listing):
        inside, found = ours(rows, offset, size)
        assert inside, f"{offset:#x} {name}: no field of ours begins and ends there"
        assert found == number(size, value), f"{offset:#x} {name}"
        if name in FIELDS and len(inside) == 1:
            assert inside[0].name.split(".")[1] == FIELDS[name], f"{offset:#x} {name} is {inside[0].name}"
        if name == "Subtable Type" and "Unknown" not in value:
            assert inside[0].name.split(".")[0] == SUBTABLES[value.split("[")[1].rstrip("]")]
        count += 1
    return count


@pytest.mark.parametrize("path", real_files("acpi/*/*.iasl.txt"))
def test_what_is_read_agrees_with_the_listing_stored_with_it(path):
    (table,) = acpi.load(path.with_name(path.name.replace(".iasl.txt", ".bin")))
    assert compare(table, path.read_text()) > 20


def iasl(data, folder):
    """The listing of a table by the installed iasl; fails for an error, a warning, a bad checksum."""
    path = folder / "table.bin"
    path.write_bytes(data)
    done = subprocess.run(["iasl", "-d", path.name], cwd=folder, capture_output=True, text=True, timeout=60)
    listing = (folder / "table.dsl").read_text()
    assert done.returncode == 0
    assert not re.search(r"(?i)error|warning|incorrect|could not", done.stdout + done.stderr)
    assert not re.search(r"(?i)incorrect|invalid|error", listing)
    return listing


@needs_iasl
@pytest.mark.parametrize("path", BINARIES)
def test_iasl_reads_what_is_rebuilt_from_a_real_table(path, tmp_path):
    (table,) = acpi.load(path)
    assert compare(table, iasl(bytes(table), tmp_path)) > 10


def machine(name, units=1, vcpus=4, **options):
    """A machine with functions on the root bus and below bridges, behind several units in turn."""
    functions = (Function(0x20, msix_count=1), Function(0x28, msix_count=1), Function(0x300, msix_count=1),
                 Function(0xE0, bridge=Bridge("pcie", 3, 4)), Function(0x308, bridge=Bridge("pcie-to-pci", 4, 4)),
                 Function(0x400, msi_count=1))
    m = Machine(profile(name).with_options(max_units=max(units, 1), **options), vcpus, bus=Bus(functions))
    ends = [f.bdf for f in functions if not f.bridge]
    m.scope = {m.bus.requester(bdf): n % max(units, 1) for n, bdf in enumerate(ends)} | {-1: max(units, 1) - 1}
    for unit in range(units):
        step(m, c.Domctl(viommu.create_op(0xFED90000 + 4096 * unit, version=m.profile.options.interface)))
    return m


MACHINES = [("spec", 1, 4), ("spec", 2, 8), ("spec", 4, 288), ("spec", 16, 4096), ("xen-v1", 1, 128),
            ("xen-v3", 1, 288), ("xen-v4", 1, 288), ("xen-v4", 0, 8), ("qemu-10", 1, 300)]


@needs_iasl
@pytest.mark.parametrize("name, units, vcpus", MACHINES)
def test_iasl_reads_the_tables_of_a_domain(name, units, vcpus, tmp_path):
    m = machine(name, units, vcpus)
    dmar, madt = acpi.dmar_of(m), acpi.madt_of(m)
    listing = iasl(dmar, tmp_path)
    assert compare(acpi.parse(dmar), listing) > 15 and listing.count("[Hardware Unit Definition]") == max(units, 1)
    listing = iasl(madt, tmp_path)
    assert compare(acpi_madt.parse(madt), listing) > 15
    assert listing.count("[Processor Local") == vcpus and "Unknown" not in listing


@needs_iasl
def test_iasl_reads_a_table_of_every_structure(tmp_path):
    scope = acpi_dmar.scope(acpi_dmar.SCOPE_ENDPOINT, 0, [(0x1C, 0), (3, 1)], 7)
    kinds = [acpi_dmar.structure(1, [scope], base=4096, limit=8191), acpi_dmar.structure(2, [scope], flags=1),
             acpi_dmar.structure(3, base=0xFED90000, proximity=1),
             acpi_dmar.structure(4, tail=rb"\_SB.I2C0" + b"\0", device=3)]
    table = acpi_dmar.table([acpi_dmar.unit(0xFED90000, [scope], everything=True), *kinds])
    assert compare(table, iasl(bytes(table), tmp_path)) > 40
    entries = [acpi_madt.entry(kind) for kind in acpi_madt.ENTRIES]
    assert compare(acpi_madt.table(entries), iasl(bytes(acpi_madt.table(entries)), tmp_path)) > 30


@needs_iasl
def test_the_check_by_iasl_can_fail(tmp_path):
    good = acpi.dmar(0xFED90000)
    with pytest.raises(AssertionError):
        iasl(good[:9] + bytes([good[9] ^ 1]) + good[10:], tmp_path)
    with pytest.raises(AssertionError):
        compare(acpi.parse(acpi.dmar(0xFED91000)), iasl(good, tmp_path))
    with pytest.raises(AssertionError):
        iasl(good[:50] + b"\0" + good[51:], tmp_path)


# --- mutated ---

@pytest.mark.parametrize("path", BINARIES)
@settings(max_examples=15)
@given(data=st.data())
def test_a_real_table_with_bytes_changed_is_read_without_loss_or_refused(path, data):
    raw = bytearray(Path(path).read_bytes())
    reader = acpi_dmar.parse if raw[:4] == b"DMAR" else acpi_madt.parse
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(36, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw[9] = (raw[9] - sum(raw)) & 0xFF
    try:
        table = reader(bytes(raw))
    except AcpiError as error:
        assert 36 <= error.offset < len(raw) and error.field
    else:
        assert bytes(table) == bytes(raw)
