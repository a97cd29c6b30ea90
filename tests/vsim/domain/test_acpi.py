"""The tables of a domain, and files of tables: binary, or the text of acpidump."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices import viommu
from vsim.domain import acpi
from vsim.domain.acpi import AcpiError, Dmar, DumpError, Madt, Other
from vsim.findings import catalogue
from vsim.machine import read, step
from vsim.readers import acpi_dmar, acpi_hpet, acpi_madt, acpi_text
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.profile import profile

X_6_3 = acpi.dmar(0xFED90000)
DMAR, MADT = X_6_3, acpi.madt([0, 2])


def dump(*tables: tuple[str, bytes]) -> str:
    """The text of acpidump."""
    lines = []
    for name, data in tables:
        lines.append(f"{name} @ 0x0000000000000000")
        for at in range(0, len(data), 16):
            row = data[at:at + 16]
            shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            lines.append(f"    {at:04X}: {row.hex(' ').upper():<48} {shown}")
        lines.append("")
    return "\n".join(lines)


# --- files ---


@pytest.mark.parametrize("data, found", [(DMAR, Dmar), (MADT, Madt), (DMAR + b"behind", Dmar)])
def test_a_binary_file_is_one_table(data, found, tmp_path):
    path = tmp_path / "table.bin"
    path.write_bytes(data)
    (table,) = acpi.load(path)
    assert type(table) is found and bytes(table) == data[:len(table)]


def test_a_text_of_acpidump_holds_any_number_of_tables(tmp_path):
    path = tmp_path / "all.txt"
    path.write_text(dump(("FACP", b"FACP" + bytes(240)), ("DMAR", DMAR), ("APIC", MADT)))
    facp, dmar, madt = acpi.load(path)
    assert (type(facp), type(dmar), type(madt)) == (Other, Dmar, Madt)
    assert (facp.signature, bytes(facp), bytes(dmar), bytes(madt)) == ("FACP", b"FACP" + bytes(240), DMAR, MADT)


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: "\n\n" + text,
    lambda text: text.lower().replace("dmar @", "DMAR @"),
    lambda text: "\n".join(line[:57] for line in text.split("\n"))], ids=["CRLF", "blank", "lower", "cut"])
def test_line_ends_blank_lines_case_and_the_readable_column_do_not_matter(change):
    (table,) = acpi.tables(change(dump(("DMAR", DMAR))).encode())
    assert bytes(table) == DMAR


def test_readable_text_that_looks_like_bytes_is_not_taken_for_bytes():
    data = b"AA BB CC DD EE F"
    assert acpi_text.dumped(dump(("OEMX", data))) == [("OEMX", data)]
    assert acpi_text.dumped(dump(("OEMX", data[:5]))) == [("OEMX", data[:5])]


@pytest.mark.parametrize("text, line, column, message", [
    ("", 1, 1, "found no table; allowed: the text of acpidump"),
    ("hello", 1, 1, "found no table"),
    ("    0000: 00\n", 1, 1, "found no table"),
    ("DMAR @ 0x0\n    0010: 00\n", 2, 5, "found bytes at offset 0x10; expected 0x0"),
    ("DMAR @ 0x0\n    0000: 0G\n", 1, 1, "DMAR has no bytes"),
    ("DMAR @ 0x0\n\0\n", 1, 1, "DMAR has no bytes"),
    ("DMAR @ 0x0\n    0000: 00\n", 2, 11, "left out: offset 0x0, DMAR.signature"),
])
def test_a_text_that_is_no_dump_is_refused_with_line_and_column(text, line, column, message):
    with pytest.raises(DumpError) as error:
        acpi.tables(text.encode(), "d.txt")
    assert (error.value.line, error.value.column) == (line, column)
    assert str(error.value).startswith(f"d.txt:{line}:{column}: ") and message in str(error.value)


def test_bytes_that_are_neither_a_table_nor_text_are_refused_at_their_place():
    with pytest.raises(DumpError, match=r"<bytes>:2:3: found byte 0xff; allowed: a DMAR, APIC, IVRS or HPET table, "):
        acpi.tables(b"a\nbb\xff")


def test_a_wrong_checksum_in_a_dump_is_a_remark_at_its_byte():
    table, lines, remarks = acpi.read(dump(("DMAR", DMAR[:71] + b"\1")).encode())
    assert (bytes(table[0]), lines) == (DMAR[:71] + b"\1", (1,))
    assert [str(each) for each in remarks] == ["<bytes>:2:38: offset 0x9, DMAR.checksum: the bytes sum to 0x1; "
                                               "expected 0"]


def test_a_file_that_cannot_be_read_or_is_too_long_is_an_error_too(tmp_path, monkeypatch):
    with pytest.raises(DumpError, match=r"none:1:1: cannot be read: No such file"):
        acpi.load(tmp_path / "none")
    with pytest.raises(DumpError, match="cannot be read"):
        acpi.load("a\0b")
    monkeypatch.setattr(acpi, "MAX_DUMP", 10)
    (tmp_path / "long").write_bytes(bytes(11))
    with pytest.raises(DumpError, match=r"long:1:1: found more than 10 bytes; allowed: up to 10"):
        acpi.load(tmp_path / "long")


def test_sizes_of_dumps_are_bounded(monkeypatch):
    monkeypatch.setattr(acpi_text, "MAX_TABLE", 16)
    with pytest.raises(DumpError, match=r":3:5: found a table of more than 16 bytes"):
        acpi_text.dumped("DMAR @ 0x0\n    0000: " + "00 " * 15 + "00\n    0010: 00\n")
    monkeypatch.setattr(acpi_text, "MAX_DUMP", 5)
    with pytest.raises(DumpError, match=r"found 6 characters; allowed: up to 5"):
        acpi_text.dumped("DMAR @")


_LINE = st.one_of(st.just("DMAR @ 0x0"), st.just("APIC @ 0x0"), st.text(max_size=20),
                  st.builds("    {:04X}: {}".format, st.sampled_from([0, 16, 32]), st.binary(max_size=16).map(
                      lambda data: data.hex(" "))))


@given(st.one_of(st.binary(max_size=200), st.lists(_LINE, max_size=6).map(lambda lines: "\n".join(lines).encode())))
def test_any_file_is_tables_or_a_clear_error(data):
    try:
        found = acpi.tables(data)
    except AcpiError as error:
        assert 0 <= error.offset <= len(data) and error.field and str(error)
    else:
        assert found


@given(st.binary(min_size=1, max_size=100), st.text(st.characters(codec="ascii", categories=["Lu"]), min_size=4,
                                                    max_size=4))
def test_what_is_dumped_is_read_back(data, name):
    assert acpi_text.dumped(dump((name, data))) == [(name, data)]


# --- of a domain ---


def machine(name: str = "spec", units: int = 1, functions: tuple[Function, ...] = (), vcpus: int = 4,
            scope: dict[int, int] | None = None, **options: object) -> Machine:
    """A machine with that many units one page after the other, and who sits behind which."""
    m = Machine(profile(name).with_options(max_units=max(1, units), **options), vcpus, bus=Bus(functions))
    m.scope = scope or {}
    for unit in range(units):
        version = m.profile.options.interface
        step(m, c.Domctl(viommu.create_op(0xFED90000 + 4096 * unit, version=version)))
    assert m.units == units
    return m


@pytest.mark.parametrize("name", ["xen-v1", "xen-v3", "xen-v4", "spec"])
def test_a_domain_with_one_unit_has_the_72_bytes_of_the_toolstack(name):
    assert acpi.dmar_of(machine(name)) == X_6_3


def test_the_table_follows_capabilities_opt_out_and_requester_of_the_ioapic():
    m = machine(ioapic_sid=0x00F8)
    table = acpi.parse(acpi.dmar_of(m, opt_out=True))
    assert (table.flags, table.units[0].ioapic(1)) == (3, 0x00F8)


@pytest.mark.parametrize("name, kind, size", [("spec", "hvm", 0), ("xen-v3", "hvm", 0), ("xen-v4", "pvh", 0),
                                              ("xen-v4", "hvm", 72)])
def test_only_version_4_hands_a_table_to_hvm_guests_without_a_unit(name, kind, size):
    assert len(acpi.dmar_of(machine(name, units=0, domain_type=kind))) == size


def test_the_table_of_version_4_without_a_unit_describes_nothing():
    table = acpi.parse(acpi.dmar_of(machine("xen-v4", units=0)))
    assert (table["address_width"], table.flags, table.units[0].base) == (255, 0, 0)
    corrected = Machine(profile("xen-v4").without_quirks("xen.D38"))
    assert acpi.dmar_of(corrected) == b""


NIC, DISK, BELOW, DEEP = 0x0020, 0x0028, 0x0300, 0x0400
FUNCTIONS = (Function(NIC, "nic", msix_count=2), Function(DISK, "disk", msix_count=2),
             Function(0x00E0, "port", bridge=Bridge("pcie", 3, 4)), Function(BELOW, "below", msix_count=1),
             Function(0x0310, "switch", bridge=Bridge("pcie", 4, 4)), Function(DEEP, "deep", msix_count=1))


def scopes(m: Machine) -> list[list[tuple[int, tuple[tuple[int, int], ...]]]]:
    return [[(s["type"], s.path) for s in unit.scopes] for unit in acpi.parse(acpi.dmar_of(m)).units]


def test_several_units_list_what_is_behind_them_and_the_one_for_the_rest_comes_last():
    m = machine(units=3, functions=FUNCTIONS, scope={NIC: 0, BELOW: 1, DEEP: 1, -1: 2, DISK: 2, 0xFF00: 2})
    table = acpi.parse(acpi.dmar_of(m))
    assert [unit.base for unit in table.units] == [0xFED90000, 0xFED91000, 0xFED92000]
    assert [unit.everything for unit in table.units] == [False, False, True]
    assert scopes(m) == [[(1, ((4, 0),))], [(2, ((0x1C, 0),))], [(3, ((0, 0),))]]


def test_below_a_bridge_that_is_shared_each_function_has_a_path_of_its_own():
    m = machine(units=2, functions=FUNCTIONS, scope={DEEP: 0, BELOW: 1, -1: 1, NIC: 1, DISK: 1, 0xFF00: 1})
    assert scopes(m)[0] == [(1, ((0x1C, 0), (2, 0), (0, 0)))]


@pytest.mark.parametrize("scope", [
    {NIC: 0, DISK: 1, BELOW: 2, DEEP: 2, -1: 3, 0xFF00: 0}, {NIC: 3, -1: 3, DEEP: 1, BELOW: 0, DISK: 3, 0xFF00: 3},
    {-1: 3, NIC: 3, DISK: 3, BELOW: 3, DEEP: 3, 0xFF00: 3}])
def test_a_kernel_finds_every_function_behind_the_unit_that_the_machine_asks(scope):
    m = machine(units=4, functions=FUNCTIONS, scope=scope)
    bridges = {f.bdf: (f.bridge.secondary, f.bridge.subordinate) for f in FUNCTIONS if f.bridge}
    units = acpi.parse(acpi.dmar_of(m)).units
    coverage = acpi.Coverage(units, bridges)
    assert coverage.unresolved == []
    for requester in (NIC, DISK, BELOW, DEEP, 0xFF00, 0x1234):
        assert units[coverage.unit_of(requester)].base == 0xFED90000 + 4096 * m.unit_of(requester)


@pytest.mark.parametrize("name, revision, ids", [("spec", 3, (0, 254, 256, 574)), ("xen-v4", 2, (0, 254, 0, 62)),
                                                 ("xen-v1", 2, (0, 254, 0, 62))])
def test_the_madt_names_every_vcpu_with_8_bits_as_coded_or_32(name, revision, ids):
    table = acpi_madt.parse(acpi.madt_of(machine(name, vcpus=288)))
    assert (table["revision"], len(table.processors)) == (revision, 288)
    assert tuple(table.apic_ids[vcpu] for vcpu in (0, 127, 128, 287)) == ids


def test_the_madt_names_apic_ids_that_are_no_multiples():
    m = Machine(profile("spec").with_options(apic_ids=(300, 8, 0x10005)), 3)
    assert acpi_madt.parse(acpi.madt_of(m)).apic_ids == (300, 8, 0x10005)


def test_a_guest_that_renames_its_local_apics_does_not_change_the_table():
    m = machine(vcpus=2)
    before = acpi.madt_of(m)
    step(m, c.ApicWrite(1, 0x20, 0x55000000))
    assert acpi.madt_of(m) == before


# Three I/O APICs, GSIs 0 to 23, 24 to 31 and 64 to 79, and an HPET: requesters that no lspci shows.
MORE = ((0xFEC01000, 24, 8, 0xF01F), (0xFEC01400, 64, 16, 0x2088))
PLATFORM = {"ioapic_pins": 24, "more_ioapics": MORE, "hpet_timers": 8, "hpet_sid": 0xF00F}
SENDERS = {("ioapic", 1): 0xFF00, ("ioapic", 2): 0xF01F, ("ioapic", 3): 0x2088, ("hpet", 0): 0xF00F}


@pytest.mark.parametrize("scope", [{}, {0xFF00: 0, 0xF01F: 1, 0x2088: 0, 0xF00F: 1, -1: 2},
                                   {0xFF00: 2, 0xF01F: 2, 0x2088: 1, 0xF00F: 0, -1: 2}])
def test_every_io_apic_and_the_hpet_are_in_the_scope_of_the_unit_that_they_ask(scope):
    m = machine(units=3 if scope else 1, scope=scope, **PLATFORM)
    units = acpi.parse(acpi.dmar_of(m)).units
    kinds = {"ioapic": acpi_dmar.SCOPE_IOAPIC, "hpet": acpi_dmar.SCOPE_HPET}
    found = {(each["type"], each["enumeration"]): (each.source, unit.base) for unit in units for each in unit.scopes}
    assert found == {(kinds[kind], number): (sid, 0xFED90000 + 4096 * m.unit_of(sid))
                     for (kind, number), sid in SENDERS.items()}


def test_the_madt_has_every_io_apic_with_its_first_gsi():
    table = acpi_madt.parse(acpi.madt_of(machine(**PLATFORM)))
    assert [(each["id"], each["address"], each["gsi"]) for each in table.ioapics] == [
        (1, 0xFEC00000, 0), (2, 0xFEC01000, 24), (3, 0xFEC01400, 64)]
    assert [table.pin_of(gsi) for gsi in (23, 24, 79)] == [(0, 23), (1, 0), (2, 15)]


def test_the_hpet_table_says_where_the_timers_are_and_how_many():
    assert acpi.hpet_of(machine()) == b""
    m = machine(**PLATFORM)
    table = acpi_hpet.parse(acpi.hpet_of(m))
    assert (table["address"], table.timers, table["number"], len(table)) == (0xFED00000, 8, 0, 56)
    assert table["id"] == read(m, 0xFED00000, 4), "as the block's own register has it"


@pytest.mark.parametrize("form", ["text", "bytes"])
def test_what_a_machine_has_is_read_back_without_a_remark(form):
    """DMAR, MADT and HPET by way of `vsim read`: I/O APICs, their GSIs and who sends for them, timers; no finding."""
    m = machine(units=2, scope={0x2088: 0, -1: 1}, vcpus=300, **PLATFORM)
    made = {"DMAR": acpi.dmar_of(m), "APIC": acpi.madt_of(m), "HPET": acpi.hpet_of(m)}
    if form == "text":
        sources = [("tables.txt", dump(*made.items()).encode())]
    else:
        sources = [(f"{name}.bin", data) for name, data in made.items()]
    seen = catalogue.examine(sources)
    assert (list(seen.pasted.remarks), list(seen.findings)) == ([], [])
    picture = seen.picture
    assert {key: rid for key, (rid, _) in picture.requesters.items()} == SENDERS
    assert {key: base for key, base in picture.behind.items() if base == 0xFED90000} == {("ioapic", 3): 0xFED90000}
    assert {each.id: (each.address, each.gsi) for each in picture.ioapics.values()} == {
        1: (0xFEC00000, 0), 2: (0xFEC01000, 24), 3: (0xFEC01400, 64)}
    assert (picture.timers, len(picture.cpus)) == (8, 300)


def test_the_declarations_print_as_documentation():
    for layout in (*acpi_dmar.STRUCTURES.values(), acpi_dmar.SCOPE, *acpi_madt.ENTRIES.values(), acpi_hpet.HPET):
        assert layout.section and layout.rows()
