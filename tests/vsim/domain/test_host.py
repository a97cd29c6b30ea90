"""A host's remapping units: where they are, what sits behind each, in what they differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from vsim.domain import host
from vsim.domain.acpi import AcpiError
from vsim.domain.host import Host, HostError
from vsim.domain.host_features import Words
from vsim.readers import acpi_dmar, lspci
from vsim.state.profile import Capabilities

STRONG = Words(0x8D2078C106F0466, 0xF020DF)      # PI, DT, IR, EIM, SC
WEAK = Words(0xD2008C40660462, 0xF0004A)         # IR without EIM
FIRST, SECOND = 0xFED90000, 0xFED91000
LOG = """[    1.2] DMAR: DRHD base: 0x000000fed90000 flags: 0x0
[    1.3] DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap 8d2078c106f0466 ecap f020df
[    1.4] DMAR: DRHD base: 0x000000fed91000 flags: 0x1
[    1.5] DMAR: dmar1: reg_base_addr fed91000 ver 1:0 cap d2008c40660462 ecap f0004a
"""
LSPCI = """00:1c.0 PCI bridge: Root Port
\tBus: primary=00, secondary=03, subordinate=04, sec-latency=0
03:00.0 Ethernet controller: NIC
\tCapabilities: [70] MSI-X: Enable+ Count=8 Masked-
"""


def two(**changes) -> Host:
    return host.declared((FIRST, [0x0300], *STRONG), (SECOND, [], *WEAK), **changes)


# --- who sits behind which ---


@pytest.mark.parametrize("bdf, unit, why", [
    (0x0300, 0, "03:00.0 is behind unit 0 at 0xfed90000, which names it or a bridge above it."),
    (0x0308, 1, "03:01.0 is behind unit 1 at 0xfed91000, which takes what no other unit names."),
])
def test_a_device_is_behind_a_unit_and_the_host_says_why(bdf, unit, why):
    assert (two().unit_of(bdf), two().why(bdf)) == (unit, why)


def test_bridges_come_from_lspci_and_without_it_the_answer_says_that_it_may_be_wrong():
    bridge = acpi_dmar.scope_of(acpi_dmar.SCOPE_BRIDGE, 0x00E0)
    units = acpi_dmar.unit(FIRST, [bridge]), acpi_dmar.unit(SECOND, everything=True)
    assert Host(units).unit_of(0x0300) == 1
    assert "This may be wrong: 1 scopes lead over bridges that are not known" in Host(units).why(0x0300)
    known = Host(units, functions=lspci.parse(LSPCI))
    assert [known.unit_of(bdf) for bdf in (0x00E0, 0x0300, 0x0400, 0x0500)] == [0, 0, 0, 1]
    assert "may be wrong" not in known.why(0x0500)


def test_what_no_unit_of_a_segment_covers_is_behind_none():
    only = Host((acpi_dmar.unit(FIRST, [acpi_dmar.scope_of(1, 0x0300)], segment=1),))
    assert (only.unit_of(0x0300), only.unit_of(0x0300, 1), only.unit_of(0x0308, 1)) == (-1, 0, -1)
    assert only.why(0x0308, 1) == "No unit of segment 1 covers 03:01.0."


# --- what they can do ---


def test_a_dmar_table_does_not_tell_what_a_unit_can_do():
    bare = Host(two().units)
    with pytest.raises(ValueError, match=r"CAP and ECAP of unit 0 at 0xfed90000 are not known: a DMAR table does not"):
        bare.differences()
    assert bare.with_words({FIRST: STRONG, SECOND: WEAK}).differences() == two().differences()


def test_the_fields_in_which_units_differ_are_named_with_their_values():
    rows = {name: values for name, values, _ in two().differences()}
    assert (rows["ECAP.eim"], rows["CAP.pi"], rows["ECAP.dt"]) == ((1, 0), (1, 0), (1, 0))
    assert "ECAP.ir" not in rows
    same = host.declared((FIRST, [], *WEAK), (SECOND, [], *WEAK))
    assert same.differences() == []


@pytest.mark.parametrize("ecap, remaps", [(WEAK.ecap, True), (WEAK.ecap & ~8, False), (0, False)])
def test_xen_remaps_on_its_host_only_if_every_unit_can(ecap, remaps):
    assert host.declared((FIRST, [], *STRONG), (SECOND, [], 0, ecap)).remaps() is remaps


@pytest.mark.parametrize("make, message", [
    (lambda: Host(()), "a host has 0 units; the limit is 1 to 256"),
    (lambda: Host(two().units * 200), "a host has 400 units"),
    (lambda: host.declared((FIRST, [], 0, 0), (FIRST, [], 0, 0)), "unit 1 is at 0xfed90000, as unit 0 is"),
    (lambda: host.declared((FIRST, [], 0, 8)), "unit 0 at 0xfed90000: ECAP 0x8 has ir without qi"),
    (lambda: host.declared((FIRST, [], 0, 0x12)), "ECAP 0x12 has eim without ir"),
    (lambda: host.declared((FIRST, [], 1 << 64, 0)), "has not 64 bits"),
    (lambda: two().with_words({0x1000: STRONG}), "no unit has its registers at 0x1000"),
    (lambda: two().with_words({FIRST: (0, 8)}), "has ir without qi"),
])
def test_what_no_host_has_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- files ---


def test_a_host_is_loaded_from_table_lspci_and_log(tmp_path):
    (tmp_path / "dmar").write_bytes(bytes(acpi_dmar.table(two().units, width=46)))
    (tmp_path / "lspci").write_text(LSPCI)
    (tmp_path / "log").write_text(LOG + "reg_base_addr 1000 ver 1:0 cap 0 ecap 0\n")
    found = host.load(tmp_path / "dmar", tmp_path / "lspci", tmp_path / "log")
    assert (found.units, found.words, found.width) == (two().units, {FIRST: STRONG, SECOND: WEAK}, 46)
    assert found.functions == lspci.parse(LSPCI)
    assert host.load(tmp_path / "dmar").words == {}


def test_a_log_alone_tells_units_and_what_they_can_do():
    found = host.from_log(LOG)
    assert [(unit.base, unit.everything) for unit in found.units] == [(FIRST, False), (SECOND, True)]
    assert found.differences() == two().differences()


XEN_LOG = f"""(XEN) [VT-D]found ACPI_DMAR_DRHD:
(XEN) [VT-D]  dmaru->address = {FIRST:x}
(XEN) [VT-D]drhd->address = {FIRST:x} iommu->reg = ffff82c000201000
(XEN) [VT-D]cap = {STRONG.cap:x} ecap = {STRONG.ecap:x}
(XEN) [VT-D] endpoint: 0000:03:00.0
(XEN) [VT-D] IOAPIC: 0000:f0:1f.0
(XEN) [VT-D]found ACPI_DMAR_DRHD:
(XEN) [VT-D]  dmaru->address = {SECOND:x}
(XEN) [VT-D]cap = {WEAK.cap:x} ecap = {WEAK.ecap:x}
(XEN) [VT-D]  flags: INCLUDE_ALL
"""


def test_a_log_of_xen_tells_who_is_behind_which_too():
    found = host.from_log(XEN_LOG)
    assert [(unit.base, unit.everything) for unit in found.units] == [(FIRST, False), (SECOND, True)]
    assert found.words == {FIRST: STRONG, SECOND: WEAK}
    assert [found.unit_of(bdf) for bdf in (0x0300, 0xF0F8, 0x0400)] == [0, 0, 1]


def test_what_is_no_table_and_no_log_is_refused(tmp_path):
    (tmp_path / "madt.txt").write_text("APIC @ 0x0\n    0000: 41\n")
    with pytest.raises(AcpiError, match=r"APIC.signature"):
        host.load(tmp_path / "madt.txt")
    (tmp_path / "other.txt").write_text("FACP @ 0x0\n    0000: 41\n")
    with pytest.raises(ValueError, match=r"other.txt: no DMAR table among those in the file"):
        host.load(tmp_path / "other.txt")
    with pytest.raises(HostError, match=r"<text>:1:1: found no line 'DRHD base"):
        host.from_log("nothing")
    (tmp_path / "dmar").write_bytes(bytes(acpi_dmar.table(two().units)))
    with pytest.raises(HostError, match=r"missing:1:1: cannot be read"):
        host.load(tmp_path / "dmar", log=tmp_path / "missing")


def test_a_log_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(host, "MAX_CHARACTERS", 10)
    with pytest.raises(HostError, match=r"found \d+ characters; allowed: up to 10"):
        host.from_log(LOG)


@given(st.one_of(st.text(max_size=300), st.lists(st.sampled_from(LOG.splitlines()), max_size=6).map("\n".join)))
def test_any_text_is_a_host_or_a_clear_error(text):
    try:
        found = host.from_log(text)
    except ValueError as error:
        assert str(error)
    else:
        assert found.unit_of(0x0300) in range(-1, len(found.units))


# --- real hosts ---


@pytest.mark.parametrize("path", real_files("acpi/*/dmar.bin"))
def test_every_function_of_a_real_host_is_behind_one_of_its_units(path):
    found = host.load(path)
    assert {found.unit_of(bdf) for bdf in range(0, 1 << 16, 5)} <= set(range(len(found.units)))
    for unit, each in enumerate(found.units):
        for scope in each.scopes:
            assert scope.source < 0 or found.unit_of(scope.source) == unit
    with pytest.raises(ValueError, match="are not known"):
        found.words_of(0)


@pytest.mark.parametrize("path", real_files("dmesg/*dmar.txt"))
def test_a_real_server_has_eight_units_that_are_all_alike(path):
    found = host.from_log(path.read_text())
    assert (len(found.units), found.differences(), found.remaps()) == (8, [], True)


@pytest.mark.parametrize("path", real_files("dmesg/xps13-7390.txt"))
def test_a_real_laptop_has_units_that_differ_in_dma_and_not_in_interrupts(path):
    found = host.from_log(path.read_text())
    rows = {name: values for name, values, _ in found.differences()}
    assert (rows["ECAP.dt"], rows["ECAP.sc"]) == ((1, 0, 0), (0, 1, 1))
    assert not {"ECAP.ir", "ECAP.eim", "ECAP.mhmv", "CAP.pi", "ECAP.qi"} & set(rows)
    for unit in range(3):
        Capabilities(*found.words_of(unit))
