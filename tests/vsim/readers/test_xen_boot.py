"""Xen's boot log: units with CAP, ECAP and scopes, I/O APICs, processors, what was switched on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import ROOT, real_data_folder
from vsim.readers import xen_boot
from vsim.readers.pieces import lines_of
from vsim.readers.xen_boot import Cpu, Drhd, Feature, Hpet, IoApic, Mode

LOG = """(XEN) [VT-D]Host address width 39
(XEN) [VT-D]found ACPI_DMAR_DRHD:
(XEN) [VT-D]  dmaru->address = fed90000
(XEN) [VT-D]drhd->address = fed90000 iommu->reg = ffff82c000205000
(XEN) [VT-D]cap = d2008c222f0606 ecap = f00f5a
(XEN) [VT-D] endpoint: 0000:00:02.0
(XEN) [VT-D]found ACPI_DMAR_DRHD:
[    0.000001] dom0 says something
(XEN) [VT-D]  dmaru->address = fed91000
(XEN) [VT-D]cap = ffffffffffffffff ecap = ffffffffffffffff
(XEN) [VT-D] bridge: 0001:00:06.0 start=0 sec=1 sub=3
(XEN) [VT-D] IOAPIC: 0001:f0:1f.7
(XEN) [VT-D] MSI HPET: 0001:f0:0f.0
(XEN) [VT-D]  flags: INCLUDE_ALL
(XEN) [VT-D]found ACPI_DMAR_RMRR:
(XEN) [VT-D] endpoint: 0000:00:14.0
(XEN) [VT-D] Non-existent device (0000:00:0b.0) in this DRHD's scope!
(XEN) ACPI: X2APIC (apic_id[0x110] uid[0x10] enabled)
(XEN) ACPI: LAPIC (acpi_id[0x01] lapic_id[0x02] disabled)
(XEN) IOAPIC[1]: apic_id 9, version 32, address 0xfec01000, GSI 24-47
(XEN) ACPI: HPET id: 0x8086a201 base: 0xfed00000
(XEN) Switched to APIC driver x2apic_cluster
(XEN) Intel VT-d Interrupt Remapping enabled.
(XEN) Intel VT-d Posted Interrupt not enabled.
"""


def read(text):
    return xen_boot.read(lines_of(text, "log")[0])


def test_units_have_their_registers_and_scopes():
    first, second, *_ = read(LOG).records
    assert isinstance(first, Drhd) and isinstance(second, Drhd)
    assert (first.base, first.cap, first.ecap) == (0xFED90000, 0xD2008C222F0606, 0xF00F5A)
    assert (first.all, first.line) == (False, 3)
    assert [(s.kind, s.place) for s in first.scopes] == [("endpoint", "0000:00:02.0")]
    assert (second.base, second.all, second.answers, second.segment) == (0xFED91000, True, False, 1)
    assert [(s.kind, s.place, s.buses) for s in second.scopes] == [
        ("bridge", "0001:00:06.0", (1, 3)), ("ioapic", "0001:f0:1f.7", None), ("hpet", "0001:f0:0f.0", None)]


def test_an_older_log_with_the_lines_of_its_source():
    (unit, mode) = read("(XEN) [VT-D]dmar.c:383: found ACPI_DMAR_DRHD:\n(XEN) [VT-D]dmar.c:405:   dmaru->address = fed9"
                        "0000\n(XEN) [VT-D]iommu.c:1155: drhd->address = fed90000 iommu->reg = ffff82c3fff57000\n"
                        "(XEN) [VT-D]iommu.c:1157: cap = c90780106f0462 ecap = f020fe\n"
                        "(XEN) [VT-D]dmar.c:348:   IOAPIC: f0:1f.7\n"
                        "(XEN) [VT-D]dmar.c:320:   bridge: 0:1c.0 start = 0 sec = 2  sub = 3\n"
                        "(XEN) Switched to APIC driver x2apic_cluster.\n").records
    assert (unit.cap, unit.ecap, mode.driver) == (0xC90780106F0462, 0xF020FE, "x2apic_cluster")
    assert [(s.kind, s.rid, s.buses) for s in unit.scopes] == [("ioapic", 0xF0FF, None), ("bridge", 0xE0, (2, 3))]


def test_the_scope_of_another_structure_is_not_the_units():
    assert all(scope.rid != 0xA0 for unit in read(LOG).records[:2] for scope in unit.scopes)


def test_the_other_facts():
    assert read(LOG).records[2:] == (
        Cpu("log", 18, 0x110, True, True), Cpu("log", 19, 2, False), IoApic("log", 20, 9, 32, 0xFEC01000, (24, 47)),
        Hpet("log", 21, 0x8086A201, 0xFED00000), Mode("log", 22, "x2apic_cluster"),
        Feature("log", 23, "Interrupt Remapping", True), Feature("log", 24, "Posted Interrupt", False))


@pytest.mark.parametrize("text, name, values", [
    ("APIC error on CPU3: 00(08), Receive accept error", "apic error", ("3", "00", "08")),
    ("APIC error on CPU0: 40(00)", "apic error", ("0", "40", "00")),
    ("  (XEN) (XEN) APIC error on CPU0: 40(00)", "apic error", ("0", "40", "00")),
    ("APIC error on CPU1: 00(08)(XEN) APIC error on CPU2: 00(08)", "apic error", ("1", "00", "08")),
    ("APIC error on CPU7: 60, Received illegal vector, Send illegal vector", "apic error", ("7", "60")),
    ("[VT-D]intremap.c:571: MSI index (65535) has an empty entry", "no entry", ("65535", "has")),
    ("[VT-D]MSI index (66000) for remap table is invalid", "no entry", ("66000", "for")),
    ("[VT-D]remap_entry_to_ioapic_rte: index (-1) for remap table is invalid !", "no entry", ("-1", "for")),
    ("vmsi.c:770:d0v2 0000:03:19.0: failed to map PIRQ: -16", "no pirq", ("0000:03:19.0", "-16")),
    ("vmsi.c:514: 0000:03:19.0: failed to map PIRQ: -16", "no pirq", ("0000:03:19.0", "-16")),
    ("d0v2 0000:03:19.0: unable to enable entry 2: -28", "no pirq", ("0000:03:19.0", "-28"))])
def test_what_is_said_of_interrupts(text, name, values):
    (fact,) = read(f"(XEN) [2031-02-03 04:05:06] {text}\n").records
    assert (fact.name, fact.values, fact.line) == (name, values, 1)


def test_what_is_odd_is_told():
    assert [(remark.line, remark.text[:24]) for remark in read(LOG).remarks] == [
        (10, "all bits are 1: no unit "), (17, "Xen says: [VT-D] Non-exi")]


def test_without_marks_only_what_no_one_else_prints_is_xen_s():
    assert read(LOG.replace("(XEN) ", "").replace("[VT-D]", "")).records == read(LOG).records[-3:]


@given(st.lists(st.sampled_from(LOG.splitlines()).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read(text):
    assert all(record.line >= 1 for record in read(text).records)


def stored(*parts):
    folder = real_data_folder()
    path = folder.parent.parent.joinpath(*parts) if folder else ROOT / "nowhere"
    if not path.is_file():
        pytest.skip(f"no file {'/'.join(parts)}")
    return path


def test_the_small_sample():
    path = stored("field", "16-xen-log.txt")
    first, second = xen_boot.read(lines_of(path.read_text())[0]).records
    assert (first.base, first.cap, first.ecap) == (0xFED90000, 0x1C0000C40660462, 0x19E2FF0505E)
    assert [(s.kind, s.rid) for s in first.scopes] == [("endpoint", 0x10)] and not first.all
    assert (second.base, second.cap, second.ecap, second.all) == (0xFED91000, 0xD2008C40660462, 0xF050DA, True)
    assert [(s.kind, s.rid) for s in second.scopes] == [("ioapic", 0xF7), ("hpet", 0xF6)]


def test_a_console_of_xen_4_17():
    records = xen_boot.read(lines_of(stored("data", "lab", "xen-4.17", "console.txt").read_text())[0]).records
    (unit,) = [record for record in records if isinstance(record, Drhd)]
    assert len(unit.scopes) == 9 and unit.scopes[4].buses == (1, 1) and unit.scopes[0].rid == 0xFF00
    assert [record.driver for record in records if isinstance(record, Mode)] == ["default", "x2apic_mixed"]
    assert {record.name: record.on for record in records if isinstance(record, Feature)}["Interrupt Remapping"]
    assert sum(isinstance(record, IoApic) for record in records) == 1
