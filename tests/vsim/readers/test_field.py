"""Inputs that were once misread: each with what it says, as found in the field, and as a text of our own of that shape.

Numbers are those of the collection of such inputs; 17 is a matter of the machine, not of a reader.
"""

from pathlib import Path

import pytest

from tests.places import field_file
from vsim.cli.main import main
from vsim.domain import acpi, host
from vsim.domain.builder import build
from vsim.readers import acpi_dmar, acpi_madt, lspci, xl
from vsim.readers.lspci import ENDPOINT, PCI_TO_PCIE, ROOT_PORT
from vsim.readers.xl import ConfigError
from vsim.state.profile import profile

HVM = 'name = "g"\ntype = "hvm"\nmemory = 512\n'


def dumped(name: str, data: bytes, blanks: str = "  ", indent: str = "  ") -> str:
    """A table as a version of acpidump prints it."""
    rows = [f"{indent}{at:04x}: {data[at:at + 16].hex(' ')}{blanks}{'.' * len(data[at:at + 16])}"
            for at in range(0, len(data), 16)]
    return "\n".join([f"{name} @ 0x7f000000", *rows, ""])


TWO_CPUS = bytes(acpi_madt.table([acpi_madt.processor(0, 0), acpi_madt.processor(1, 1),
                                  acpi_madt.entry(1, id=2, address=0xFEC00000)]))
TWO_UNITS = bytes(acpi_dmar.table([
    acpi_dmar.unit(0xFED90000, [acpi_dmar.scope_of(1, 0x10)]),
    acpi_dmar.unit(0xFED91000, [acpi_dmar.scope_of(3, 0xFAF8, 2), acpi_dmar.scope_of(4, 0xFA78)], True)]))


def given(name: str, own: str, tmp_path: Path, found: bool) -> Path:
    """The file of the collection, or one of our own."""
    if found:
        return field_file(name)
    path = tmp_path / Path(name).name
    path.write_text(own)
    return path


@pytest.fixture(params=[True, False], ids=["field", "own"])
def one(request, tmp_path):
    """A function that gives the path of an input."""
    return lambda name, own: given(name, own, tmp_path, request.param)


def test_01_a_root_pointer_among_the_tables(one):
    own = dumped("APIC", TWO_CPUS) + "\n" + dumped("RSD PTR", b"RSD PTR \xfcOWN  \0\2" + bytes(20))
    madt, other = acpi.load(one("01-acpidump-rsd-ptr.txt", own))
    assert (madt.apic_ids, [each["id"] for each in madt.ioapics], other.signature) == ((0, 1), [2], "RSD PTR")


def test_02_one_blank_before_the_letters(one):
    (dmar,) = acpi.load(one("02-acpidump-one-space.txt", dumped("DMAR", TWO_UNITS, " ", "   ")))
    assert len(dmar) == 104 and units(dmar) == UNITS


UNITS = [(0xFED90000, False, [(1, 0x10, 0)]), (0xFED91000, True, [(3, 0xFAF8, 2), (4, 0xFA78, 0)])]


def units(dmar: acpi_dmar.Dmar) -> list[tuple[int, bool, list[tuple[int, int, int]]]]:
    """Base, whether it takes all others, and (type, source id, enumeration) of each scope."""
    return [(unit.base, unit.everything, [(s["type"], s.source, s["enumeration"]) for s in unit.scopes])
            for unit in dmar.units]


def test_03_a_wrong_checksum(one):
    wrong = TWO_UNITS[:9] + bytes([TWO_UNITS[9] + 0x11 & 0xFF]) + TWO_UNITS[10:]
    read = acpi.load_all(one("03-dmar-checksum.txt", dumped("DMAR", wrong)))
    assert units(read.tables[0]) == UNITS
    assert ["the bytes sum to 0x11; expected 0" in str(each) for each in read.remarks] == [True]


def test_04_a_processor_in_both_types(one):
    ids = [acpi_madt.entry(0, uid=n, id=2 * n, flags=1) for n in range(2)] + [
        acpi_madt.entry(0, uid=2, id=255),
        *(acpi_madt.entry(9, uid=n, id=i, flags=1) for n, i in enumerate((0, 2, 256)))]
    (madt,) = acpi.load(one("04-madt-both-types.txt", dumped("APIC", bytes(acpi_madt.table(ids)))))
    assert madt.apic_ids == (0, 2, 0x100)


def test_04_entries_of_type_9_alone_all_count():
    table = acpi_madt.table([acpi_madt.entry(9, uid=n, id=n, flags=1) for n in range(3)])
    assert acpi_madt.parse(bytes(table)).apic_ids == (0, 1, 2)


ONE_V = """00:1e.0 PCI bridge: P (rev 1)
\tFlags: bus master
\tBus: primary=00, secondary=01, subordinate=01, sec-latency=32

01:09.0 Ethernet controller: A
\tFlags: bus master, latency 64, IRQ 17

01:0a.0 Multimedia controller: B
\tFlags: fast devsel, IRQ 18
\tCapabilities: [50] MSI: Enable- Count=1/2 Maskable- 64bit+
"""


def test_05_one_v(one, capsys):
    text = one("05-lspci-one-v.txt", ONE_V)
    read = lspci.load(text)
    assert [(f.pin, f.irq, f.msi_count, f.shown) for f in read.functions[1:]] == [
        (1, 17, 0, "flags"), (1, 18, 2, "flags")]
    assert ["01:09.0 (and 1 others) is shown as lspci -v does" in str(each) for each in read.remarks] == [True]
    config = one("05-lspci-one-v.cfg", HVM + 'vcpus = 4\npci = ["01:09.0", "01:0a.0"]\n')
    assert main(["run", str(config), "--lspci", str(text)]) == 0
    printed = capsys.readouterr().out
    assert "as lspci -v does" in printed and "1 pin; reached 4 of 4" in printed and "2 msi; reached 4 of 4" in printed


def test_06_without_details(one, capsys):
    text = one("06-lspci-plain.txt", "00:1c.0 PCI bridge: P\n03:00.0 Ethernet controller: N\n")
    assert [f.assumed for f in lspci.load(text).functions].count(False) == 0
    config = one("06-lspci-plain.cfg", HVM + 'vcpus = 4\npci = ["03:00.0"]\n')
    assert main(["run", str(config), "--lspci", str(text)]) == 0
    printed = capsys.readouterr().out
    assert "note: the lspci text has no details of 03:00.0 (lspci without -v): 32 MSI-X messages assumed" in printed


PATHS = """00:1c.0 PCI bridge: P
\tInterrupt: pin A routed to IRQ 120
\tBus: primary=00, secondary=02, subordinate=02, sec-latency=0
\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00
\tCapabilities: [80] MSI: Enable+ Count=1/1 Maskable- 64bit-

00:1c.0/PLACE Ethernet controller: N
\tInterrupt: pin B routed to IRQ 16
\tCapabilities: [50] MSI: Enable- Count=1/8 Maskable- 64bit+
\tCapabilities: [70] MSI-X: Enable+ Count=64 Masked-
\tCapabilities: [a0] Express (v2) Endpoint, MSI 00
"""


@pytest.mark.parametrize("place", ["02:00.0", "00.0"])
def test_07_the_way_before_the_address(one, place):
    port, nic = lspci.load(one("07-lspci-path.txt", PATHS.replace("PLACE", place))).functions
    assert (port.bdf, port.pcie_type, port.pin, port.msi_count, port.msix_count, port.bridge) == (
        0xE0, ROOT_PORT, 1, 1, 0, (0, 2, 2))
    assert (nic.bdf, nic.pcie_type, nic.pin, nic.msi_count, nic.msix_count) == (0x200, ENDPOINT, 2, 8, 64)


def test_08_a_capability_on_the_line_of_another(one):
    own = ("02:08.0 Ethernet controller: N\n\tInterrupt: pin A routed to IRQ 18\n\tCapabilities: [e4] PCI-X device.\n"
           "\t\tStatus: Bus=0 RSCEM-\tCapabilities: [f0] Message Signalled Interrupts: 64bit+ Queue=0/0 Enable-\n")
    (nic,) = lspci.load(one("08-lspci-pcix-line.txt", own)).functions
    assert (nic.msi_count, nic.msi_64, nic.msi_maskable, nic.pcie_type) == (1, True, False, None)


REVERSE = """00:01.0 PCI bridge: B
\tBus: primary=00, secondary=01, subordinate=01, sec-latency=64
\tCapabilities: [40] Express (v1) PCI/PCI-X to PCI-Express Bridge (Slot+), MSI 00

01:00.0 Ethernet controller: N
\tInterrupt: pin A routed to IRQ 16
\tCapabilities: [b0] MSI-X: Enable+ Count=4 Masked-
\tCapabilities: [70] Express (v2) Endpoint, MSI 01
"""
VIOMMU = 'viommu = "type=vtd,intremap=1,x2apic=1"\n'


@pytest.mark.parametrize("old", [False, True], ids=["named", "numbered"])
def test_09_a_bridge_from_pci_to_pci_express_sends_as_itself(one, old):
    named = "Express (v1) PCI/PCI-X to PCI-Express Bridge (Slot+), MSI 00"
    text = one("09-lspci-reverse-bridge.txt", REVERSE.replace(named, "#10 [0081]") if old else REVERSE)
    read = lspci.load(text)
    assert read.functions[0].pcie_type == PCI_TO_PCIE
    config = one("09-lspci-reverse-bridge.cfg", HVM + VIOMMU + 'pci = ["01:00.0"]\n')
    bus = build(xl.load(config), read).machine.bus
    assert (bus.requester(0x100), bus.source_check(0x100)) == (0x0008, (1, 0, 0x0008))


def test_10_a_function_that_the_text_does_not_have(one):
    own = "0004:01:00.0 Ethernet controller: N\n\tCapabilities: [a0] MSI-X: Enable+ Count=17 Masked-\n"
    read = lspci.load(one("10-lspci-not-listed.txt", own))
    domain = build(xl.load(one("10-lspci-not-listed.cfg", HVM + 'pci = ["0004:03:00.0"]\n')), read)
    assert any("the lspci text has no function 0004:03:00.0 (xl would refuse" in note for note in domain.notes)


@pytest.mark.parametrize("name", ["xen-v3", "xen-v4", "spec"])
def test_11_viommu_as_a_list(one, name):
    path = one("11-xl-viommu-list.cfg", HVM + 'vcpus = 160\nviommu = [ "type=intel_vtd,intremap=1" ]\n')
    config = xl.load(path, profile(name).options.interface)
    assert (config.viommu.intremap, config.viommu.base) == (True, 0xFED90000)
    assert not any("viommu is written" in note for note in config.notes)
    assert build(config, profile=profile(name)).dmar


@pytest.mark.parametrize("name, own, place", [
    ("12-xl-builder-and-type.cfg", 'name = "c"\nbuilder = "hvm"\ntype = "pvh"\n',
     "3:8: type is 'pvh', builder is 'hvm'"),
    ("18-xl-rdm-policy.cfg", HVM + "vcpus = 2\n\npci = [ '03:00.0@5,rdm_policy=none' ]\n",
     "6:20: rdm_policy is 'none'"),
    ("19-xl-low-slot.cfg", "# a slot\n" + HVM + "vcpus = 2\npci = [ '03:00.0@1' ]\n",
     "6:10: virtual slot 1 has the PIIX3"),
    ("20-xl-backslash.cfg", HVM + "vcpus = 2\npci = [ '03:00.0@5', \\\n  '03:00.1@6' ]\n",
     "5:22: found a backslash"),
])
def test_12_18_19_20_what_xl_refuses(one, name, own, place):
    path = one(name, own)
    with pytest.raises(ConfigError) as caught:
        xl.load(path)
    assert str(caught.value).startswith(f"{path}:{place}")


def test_13_disks_that_are_not_emulated(one):
    own = HVM + "disk = [ '/a,raw,xvda,rw', '/b,raw,xvde,rw', '/c,raw,xvdh,rw', '/d.iso,,hdc,cdrom' ]\n"
    config = xl.load(one("13-xl-disks.cfg", own))
    assert config.disks == 4
    assert [each.text.split(",")[2] for each in config.emulated] == ["xvda", "hdc"]
    assert [note.split(": ")[1].split(" is")[0] for note in config.notes] == ["xvde", "xvdh"]


def test_14_passthrough_to_a_pvh_guest(one):
    config = xl.load(one("14-xl-pvh-pci.cfg", 'name = "p"\ntype = "pvh"\nmemory = 512\npci = [ "03:00.0" ]\n'))
    assert any("a PVH guest cannot have passed-through functions (xl refuses" in note for note in config.notes)


def test_15_a_unit_that_reads_as_ones(one):
    ones = "f" * 16
    own = (f"DMAR: DRHD base: 0x000000fbffc000 flags: 0x1\n"
           f"DMAR: dmar0: reg_base_addr fbffc000 ver 15:15 cap {ones} ecap {ones}\n")
    found = host.from_log(one("15-linux-log-all-ones.txt", own).read_text(), "log")
    assert found.remaps() is False and found.words == {} and found.dead == {0xFBFFC000}
    assert [str(each) for each in found.remarks] == [
        "log:2:14: the unit at 0xfbffc000 reads all ones: no unit answers there"]
    with pytest.raises(ValueError, match="no unit answers at 0xfbffc000"):
        found.words_of(0)
