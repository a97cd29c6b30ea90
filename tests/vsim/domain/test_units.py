"""Domains with several vIOMMUs: built by a policy, found by the guest, used by each device, one end to the other."""

import pytest

from vsim.domain import acpi, host
from vsim.domain.builder import DMAR_AT, build
from vsim.domain.host_answers import POLICIES
from vsim.domain.host_features import Words
from vsim.domain.host_policies import link
from vsim.guest.kernel import Guest
from vsim.machine import remapping_on, step, unit_register
from vsim.readers import acpi_madt, lspci, xl
from vsim.state import commands as c
from vsim.state.profile import profile
from vsim.state.trace import Act, Kind, node

STRONG, WEAK = Words(0x8D2078C106F0466, 0xF020DF), Words(0xD2008C40660462, 0xF0004A)
NIC, DISK, GPU = 0x0300, 0x0400, 0x0500
CONFIG = """
name = "many"
vcpus = 288
memory = 64
pci = ["03:00.0", "04:00.0", "05:00.0"]
vif = ["type=ioemu,model=e1000"]
{}
"""
LINE = 'viommu = "type=vtd,intremap=1,x2apic=1"'
LSPCI = "".join(f"{bus}:00.0 Class: device {bus}\n\tInterrupt: pin A routed to IRQ 1\n"
                "\tCapabilities: [70] Express (v2) Endpoint, MSI 00\n"
                f"\tCapabilities: [80] MSI-X: Enable+ Count=4 Masked-\n" for bus in ("03", "04", "05"))


def hosts(*words: Words) -> host.Host:
    """A host whose n-th unit has the n-th function behind it; the last one everything else."""
    behind = {0: [NIC], 1: [DISK], 2: [GPU]}
    return host.declared(*((0xFED90000 + 4096 * n, behind.get(n, []), *each) for n, each in enumerate(words)),
                         functions=lspci.parse(LSPCI))


class Booted:
    """A domain of a policy, and its guest."""

    def __init__(self, machine: host.Host, policy: str, text: str = LINE, base: str = "spec", pci=(NIC, DISK, GPU)):
        config = xl.parse(CONFIG.format(text).replace(
            '"03:00.0", "04:00.0", "05:00.0"', ", ".join(f'"{bdf >> 8:02x}:00.0"' for bdf in pci)))
        self.link = link(machine, policy, pci)
        self.domain = build(config, lspci.parse(LSPCI), profile(base), link=self.link)
        self.m = self.domain.machine
        self.guest = Guest(self.issue, self.domain.platform)
        self.guest.boot()

    def issue(self, command):
        return step(self.m, command)

    def send(self, bdf, vcpu):
        """Direct a function's first message to a vCPU and send it; ("" or the refusal, vCPUs that took it, units)."""
        source = self.guest.sources[bdf][0]
        refusal = self.guest.affinity(source, vcpu)
        if refusal:
            return refusal, [], set()
        events = self.issue(c.Signal(bdf, 0))
        units = {e.node & 0xFFFFFF for e in events if e.node >> 24 == Kind.VIOMMU}
        return "", [taken.vcpu for taken in self.guest.take(events) if taken.source is source], units


@pytest.mark.parametrize("count", [1, 2, 3, 4, 16])
def test_a_unit_for_each_unit_of_the_host_end_to_end(count):
    booted = Booted(hosts(*[STRONG] * count), "per-unit")
    assert booted.m.units == len(booted.guest.units.drivers) == count
    assert [remapping_on(booted.m, unit) for unit in range(count)] == [True] * count
    for number, bdf in enumerate((NIC, DISK, GPU)):
        for vcpu in (0, 127, 128, 287):
            assert booted.send(bdf, vcpu) == ("", [vcpu], {min(number, count - 1)})
    (emulated,) = [d.bdf for d in booted.domain.devices if d.host is None]
    events = booted.issue(c.Intx(emulated, 1))
    assert {e.node & 0xFFFFFF for e in events if e.node >> 24 == Kind.VIOMMU} == {count - 1}
    assert [taken.source.bdf for taken in booted.guest.take(events)] == [emulated]
    assert booted.guest.faults == [] and booted.guest.strays == []


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_toolstack_creates_the_units_and_one_table_names_them_all(count):
    booted = Booted(hosts(*[STRONG] * count), "per-unit")
    assert [type(command) for command in booted.domain.commands] == [c.Domctl] * count + [c.RamWrite]
    table = acpi.parse(booted.m.ram.read(DMAR_AT, len(booted.domain.dmar)))
    assert [unit.base for unit in table.units] == [0xFED90000 + 4096 * unit for unit in range(count)]
    assert [unit.everything for unit in table.units] == [False] * (count - 1) + [True]
    assert [unit.ioapic(1) for unit in table.units] == [-1] * (count - 1) + [0xFF00]
    assert any(f"{count} vIOMMUs: no version of the toolstack takes more than one" in n for n in booted.domain.notes)


def test_a_fault_behind_a_unit_is_in_the_record_of_that_unit_only():
    booted = Booted(hosts(STRONG, STRONG, STRONG), "per-unit")
    source = booted.guest.sources[DISK][0]
    booted.guest.driver(source).change(source.index, 0)
    events = booted.issue(c.Signal(DISK, 0))
    assert [e.node for e in events if e.act == Act.RECORDED] == [node(Kind.VIOMMU, 1)]
    assert [unit_register(booted.m, "FSTS", unit) >> 1 & 1 for unit in range(3)] == [0, 1, 0]
    booted.guest.take(events)
    assert [(fault.unit, fault.source, fault.reason) for fault in booted.guest.faults] == [(1, DISK, 0x22)]


@pytest.mark.parametrize("policy, pci, reaches", [
    ("unlinked", (NIC, DISK), True), ("union", (NIC, DISK), True), ("intersection", (NIC, DISK), False),
    ("per-unit", (NIC, DISK), False), ("per-group", (NIC, DISK), False), ("per-group", (NIC,), True),
    ("per-unit", (NIC,), False)])
def test_one_weak_unit_decides_for_all_where_it_counts(policy, pci, reaches):
    """Without 32-bit destinations in one unit a Linux guest uses them in none: vCPU 287 cannot be named."""
    booted = Booted(hosts(STRONG, WEAK), policy, pci=pci)
    refusal, taken, _ = booted.send(NIC, 287)
    assert (refusal == "", taken) == (reaches, [287] * reaches)
    assert booted.send(NIC, 127) == ("", [127], {0})


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_boots_and_every_device_works(policy):
    booted = Booted(hosts(STRONG, WEAK, STRONG), policy)
    for bdf in (NIC, DISK, GPU):
        assert booted.send(bdf, 3)[:2] == ("", [3])
    assert [unit_register(booted.m, "ECAP", n) for n in range(booted.m.units)] == [
        unit.capabilities.ecap for unit in booted.link.units]


def test_a_device_that_no_group_has_is_behind_the_last_unit_with_a_note():
    machine = hosts(STRONG, STRONG)
    config = xl.parse(CONFIG.format(LINE))
    domain = build(config, lspci.parse(LSPCI), link=link(machine, "per-group", groups=[[NIC], [DISK]]))
    assert domain.machine.unit_of(GPU) == 2
    assert "line 5: no vIOMMU is for 05:00.0: it is behind the last" in domain.notes


SHARED = """00:1c.0 PCI bridge: PCIe to PCI
\tBus: primary=00, secondary=06, subordinate=06, sec-latency=0
\tCapabilities: [70] Express (v2) PCI-Express to PCI/PCI-X Bridge, MSI 00
06:01.0 Network controller: one
\tCapabilities: [80] MSI: Enable- Count=1/1 Maskable- 64bit-
06:02.0 Network controller: two
\tCapabilities: [80] MSI: Enable- Count=1/1 Maskable- 64bit-
"""


def test_functions_that_share_a_requester_id_cannot_be_behind_two_units():
    text = CONFIG.format(LINE).replace('"03:00.0", "04:00.0", "05:00.0"', '"06:01.0", "06:02.0"')
    plan = link(hosts(STRONG, STRONG), "per-group", groups=[[0x0608], [0x0610]])
    with pytest.raises(xl.ConfigError, match=r":5:1: 06:02.0 sends as 06:00.0, like a function behind vIOMMU 0;"):
        build(xl.parse(text), lspci.parse(SHARED), link=plan)
    together = link(hosts(STRONG, STRONG), "per-group", groups=[[0x0608, 0x0610]])
    assert build(xl.parse(text), lspci.parse(SHARED), link=together).machine.unit_of(0x0600) == 0


def test_memory_has_to_hold_the_tables_of_all_units():
    text = CONFIG.format(LINE).replace("memory = 64", "memory = 6")
    plan = link(hosts(STRONG, STRONG, STRONG), "per-unit")
    with pytest.raises(xl.ConfigError, match="memory is 6 MiB; allowed: 7 MiB or more with 3 vIOMMUs"):
        build(xl.parse(text), lspci.parse(LSPCI), link=plan)
    booted = build(xl.parse(text.replace("= 6", "= 7")), lspci.parse(LSPCI), link=plan)
    guest = Guest(lambda command: step(booted.machine, command), booted.platform)
    assert guest.boot()[-1] == "DMAR-IR: Enabled IRQ remapping in x2apic mode"


@pytest.mark.parametrize("name, errno", [("xen-v1", "EINVAL"), ("xen-v3", "E2BIG"), ("xen-v4", "E2BIG")])
def test_no_version_of_the_series_takes_a_second_unit(name, errno):
    with pytest.raises(xl.ConfigError, match=f"the hypervisor refuses vIOMMU 1 with {errno}"):
        Booted(hosts(STRONG, STRONG), "per-unit", base=name)
    assert Booted(hosts(STRONG, STRONG), "unlinked", base=name).m.units == 1


def test_without_the_viommu_line_a_link_makes_no_units():
    booted = Booted(hosts(STRONG, STRONG), "per-unit", text="")
    assert booted.m.units == 0 and booted.domain.dmar == b"" and not booted.guest.ways.remapping


# --- the tables of a domain (X 6.3, 6.4) ---


@pytest.mark.parametrize("name", ["xen-v1", "xen-v3", "xen-v4", "spec"])
def test_under_every_profile_a_domain_has_the_72_bytes(name):
    assert Booted(hosts(STRONG), "unlinked", base=name).domain.dmar == acpi.dmar(0xFED90000)


def test_version_4_leaves_an_empty_table_in_a_domain_without_a_unit_and_the_guest_does_without():
    booted = Booted(hosts(STRONG), "unlinked", text="", base="xen-v4")
    assert len(booted.domain.dmar) == 72 and booted.domain.platform.dmar == DMAR_AT
    assert booted.guest.log[0] == "DMAR: no table of a unit that remaps interrupts"


def test_as_coded_the_guest_takes_vcpu_130_for_vcpu_2():
    """The MADT names APIC IDs in 8 bits (D42), so the entry for vCPU 130 leads to ID 4, which vCPU 2 has."""
    coded, corrected = Booted(hosts(STRONG), "unlinked", base="xen-v4"), profile("xen-v4").without_quirks("xen.D42")
    assert coded.domain.platform.apic_ids[130] == 4
    coded.guest.affinity(coded.guest.sources[NIC][0], 130)
    assert [e.node & 0xFFFFFF for e in coded.issue(c.Signal(NIC, 0)) if e.act == Act.ACCEPTED] == [2]
    fine = build(xl.parse(CONFIG.format(LINE)), lspci.parse(LSPCI), corrected)
    assert fine.platform.apic_ids[130] == 260 and len(acpi_madt.parse(fine.madt).processors) == 288
