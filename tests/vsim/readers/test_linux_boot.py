"""What Linux says at boot: units, I/O APICs, processors, modes, and what is broken."""

import textwrap

import pytest

from tests.places import real_files
from vsim.readers import linux_boot
from vsim.readers.linux_boot import Cpu, Fact, Hpet, IoApic, Override, Region, Under, Unit
from vsim.readers.pieces import lines_of

LOG = """[    0.000000] Linux version 6.12.1 (builder) #1 SMP
[    0.000000] Kernel command line: ro quiet intel_iommu=on intremap=no_x2apic_optout console=ttyS0
[    0.007122] SRAT: PXM 1 -> APIC 0x0122 -> Node 1
[    0.242480] IOAPIC[1]: apic_id 9, version 32, address 0xfec01000, GSI 24-31
[    0.242516] ACPI: INT_SRC_OVR (bus 0 bus_irq 9 global_irq 9 high level)
[    0.242523] ACPI: HPET id: 0x8086a701 base: 0xfed00000
[    0.242526] smpboot: Allowing 16 CPUs, 4 hotplug CPUs
[    1.879735] DMAR: Host address width 46
[    1.883575] DMAR: DRHD base: 0x000000d37fc000 flags: 0x0
[    1.888890] DMAR: dmar0: reg_base_addr d37fc000 ver 1:0 cap 8d2078c106f0466 ecap f020df
[    1.896882] DMAR: DRHD base: 0x0000009d7fc000 flags: 0x1
[    1.902194] DMAR: dmar1: reg_base_addr 9d7fc000 ver 4:0 cap 8d2078c106f0466 ecap f050da
[    1.989976] DMAR: RMRR base: 0x0000006f760000 end: 0x0000006f762fff
[    2.031998] DMAR-IR: IOAPIC id 9 under DRHD base  0xd37fc000 IOMMU 0
[    2.089717] DMAR-IR: HPET id 0 under DRHD base 0x9d7fc000
[    2.167127] DMAR-IR: Enabled IRQ remapping in x2apic mode
[    2.352485] smpboot: Total of 16 processors activated (121669.82 BogoMIPS)
[    7.709536] DMAR: dmar1: Using Queued invalidation
[  143.451522] smpboot: Booting Node 1 Processor 3 APIC 0x128
[  150.000001] smpboot: CPU 3 is now offline
"""


def read(text):
    return linux_boot.read(lines_of(text, "dmesg")[0])


def facts(text):
    return {record.name: record.values for record in read(text).records if isinstance(record, Fact)}


def only(text, kind):
    return [record for record in read(text).records if isinstance(record, kind)]


WAYS = {"as it is": LOG, "crlf": LOG.replace("\n", "\r\n"), "quoted": "".join(f"> {row}\n" for row in LOG.splitlines()),
        "wrapped": "\n".join("\n".join(textwrap.wrap(row, 60)) for row in LOG.splitlines()),
        "without times": "\n".join(row[15:] for row in LOG.splitlines()),
        "syslog": "".join(f"Nov 30 10:00:00 host kernel: {row}\n" for row in LOG.splitlines())}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_a_boot(text):
    assert read(text).remarks == ()
    first, second = only(text, Unit)
    assert (first.base, first.number, first.all, first.version, first.cap, first.ecap, first.answers) == (
        0xD37FC000, 0, False, (1, 0), 0x8D2078C106F0466, 0xF020DF, True)
    assert (second.base, second.number, second.all, second.version) == (0x9D7FC000, 1, True, (4, 0))
    assert [(u.kind, u.id, u.base, u.unit) for u in only(text, Under)] == [
        ("ioapic", 9, 0xD37FC000, 0), ("hpet", 0, 0x9D7FC000, None)]
    (ioapic,), (override,), (region,), (hpet,) = (only(text, kind) for kind in (IoApic, Override, Region, Hpet))
    assert (ioapic.id, ioapic.version, ioapic.address, ioapic.gsis) == (9, 32, 0xFEC01000, (24, 31))
    assert (override.irq, override.gsi, override.polarity, override.trigger) == (9, 9, "high", "level")
    assert (region.base, region.end, hpet.id, hpet.address) == (0x6F760000, 0x6F762FFF, 0x8086A701, 0xFED00000)
    assert [(c.apic_id, c.source, c.number, c.node) for c in only(text, Cpu)] == [
        (0x122, "srat", -1, 1), (0x128, "boot", 3, 1)]
    said = facts(text)
    assert (said["remapping"], said["cpus allowed"], said["cpus activated"], said["width"], said["kernel"]) == (
        ("x2apic",), ("16", "4"), ("16",), ("46",), ("6.12.1",))
    assert (said["queue"], said["cpu offline"]) == (("dmar1", "Queued"), ("3",))


def test_words_that_a_mail_has_broken_are_one_line():
    assert facts("> [ 1.0] x2apic: IRQ\n> remapping doesn't support X2APIC mode\n")["x2apic"] == (
        "x2apic: IRQ remapping doesn't support X2APIC mode",)


def test_only_known_options_of_a_command_line_are_taken():
    assert [fact.value for fact in only(LOG, Fact) if fact.name == "option"] == [
        "intel_iommu=on", "intremap=no_x2apic_optout"]
    assert facts("hint: try intremap=off\n") == {}


SAID = {
    "DMAR-IR: Enabled IRQ remapping in xapic mode": ("remapping", ("xapic",)),
    "Enabled Interrupt-remapping": ("remapping", ()),
    "DMAR-IR: Failed to enable irq remapping. You are vulnerable to irq-injection attacks.": ("remapping failed", ()),
    "DMAR-IR: Not enabling interrupt remapping due to specified quirk": ("remapping left out", ()),
    "DMAR-IR: IRQ remapping was enabled on dmar6 but we are not in kdump mode": ("remapping was on", ("dmar6",)),
    "DMAR-IR: Copied IR table for dmar0 from previous kernel": ("table taken over", ("dmar0",)),
    "DMAR-IR: x2apic is disabled because BIOS sets x2apic opt out bit.": ("opt-out", ()),
    "DMAR-IR: [Firmware Bug]: ioapic 2 has no mapping iommu, interrupt remapping will be disabled":
        ("ioapic without a unit", ("2",)),
    "x2apic: enabled by BIOS, switching to x2apic ops": ("x2apic by firmware", ()),
    "x2apic: IRQ remapping doesn't support X2APIC mode":
        ("x2apic", ("x2apic: IRQ remapping doesn't support X2APIC mode",)),
    "IRQ remapping doesn\u2019t support X2APIC mode, disable x2apic.":
        ("x2apic", ("IRQ remapping doesn\u2019t support X2APIC mode",)),
    "x2apic not enabled, IRQ remapping init failed": ("x2apic", ("x2apic not enabled, IRQ remapping init failed",)),
    "[Firmware Bug]: CPU   7: APIC ID mismatch. CPUID: 0x0007 APIC: 0x0020":
        ("apic id mismatch", ("7", "CPUID", "0007", "0020")),
    "[Firmware Bug]: CPU1: APIC id mismatch. Firmware: 1 APIC: 1f": ("apic id mismatch", ("1", "Firmware", "1", "1f")),
    "Setting APIC routing to cluster x2apic.": ("routing", ("cluster x2apic",)),
    "APIC: Switched APIC routing to: physical flat": ("routing", ("physical flat",)),
    "CPU topo: Allowing 8 present CPUs plus 2 hotplug CPUs": ("cpus allowed", ("8", "2")),
    "smp: Brought up 2 nodes, 64 CPUs": ("cpus up", ("64",)),
    "smp: Brought up 1 node, 8 CPUs": ("cpus up", ("8",)),
    "do_IRQ: 3.34 No irq handler for vector": ("no handler", ("3", "34")),
    "__common_interrupt: 1.55 No irq handler for vector": ("no handler", ("1", "55")),
    'irq 16: nobody cared (try booting with the "irqpoll" option)': ("nobody cared", ("16",)),
    "nvme nvme2: I/O 411 QID 7 timeout, completion polled": ("lost", ("nvme2", "7")),
    "nvme nvme2: I/O tag 12 (200c) QID 0 timeout, completion polled": ("lost", ("nvme2", "0")),
    "ata4: lost interrupt (Status 0x58)": ("lost", ("ata4",)),
    "mlx5_core 0000:43:00.2: mlx5_cmd_eq_recover:250:(pid 31): Recovered 1 EQEs on cmd_eq":
        ("lost", ("0000:43:00.2",)),
    "genirq: Flags mismatch irq 41. 00002084 (PCIe extra) vs.00200084 (PCIe PME)":
        ("flags mismatch", ("41", "00002084", "PCIe extra", "00200084", "PCIe PME")),
    "genirq: Flags mismatch irq 17. 00000000 (card:rx) vs. 00000080 (host)":
        ("flags mismatch", ("17", "00000000", "card:rx", "00000080", "host")),
    "DMAR: No free IRQ vectors": ("faults not told", ()),
    "DMAR: DRHD feb00000: failed to enable fault, interrupt, ret -28": ("faults not told", ("feb00000",)),
    "irq 30: Affinity broken due to vector space exhaustion.": ("vectors gone", ("30",)),
    "Spurious interrupt (vector 0xef) on CPU#2, should never happen.": ("spurious", ("ef", "2")),
    "spurious APIC interrupt through vector ff on CPU#0, should never happen.": ("spurious", ("ff", "0")),
    "APIC error on CPU1: 00(40)": ("apic error", ("1", "00", "40")),
    "DMAR: [Firmware Bug]: Your BIOS is broken; DMAR reported at address zero!": ("no address", ()),
    "..TIMER: vector=0x30 apic1=0 pin1=2 apic2=-1 pin2=-1": ("timer", ("30", "0", "2")),
    "DMAR: IOMMU enabled": ("dma", ("IOMMU enabled",))}


@pytest.mark.parametrize(("text", "fact"), SAID.items())
def test_what_is_said_in_words(text, fact):
    (found,) = only(f"[    1.5] {text}\n", Fact)
    assert ((found.name, found.values), found.time, found.line) == (fact, "1.5", 1)


def test_every_fact_has_a_name_of_its_own_and_a_meaning():
    names = [name for name, _, _ in linux_boot.FACTS]
    assert len(set(names)) == len(names)
    assert all(meaning for _, _, meaning in linux_boot.FACTS)


@pytest.mark.parametrize("text", [
    "DMAR: DRHD base: 0x000000fbffc000 flags: 0x1\nDMAR: dmar0: reg_base_addr fbffc000 ver 15:15 cap "
    "ffffffffffffffff ecap ffffffffffffffff\n",
    "DMAR: DRHD base: 0x000000fbffc000 flags: 0x1\nDMAR: [Firmware Bug]: Your BIOS is broken; DMAR reported at "
    "address fbffc000 returns all ones!\n"])
def test_a_unit_that_does_not_answer(text):
    reading = read(text)
    (unit,) = reading.records
    assert (unit.base, unit.all, unit.answers) == (0xFBFFC000, True, False)
    assert reading.remarks[0].line == 2
    assert "no unit answers" in reading.remarks[0].text


@pytest.mark.parametrize("text", [
    "DMAR:DRHD (flags: 0x00000001)base: 0x00000000fed93000\nIOMMU 3: reg_base_addr fed93000 ver 1:0 cap c9008020e30260 "
    "ecap 1000\n",
    "DRHD base: 0x000000fed93000 flags: 0x1\nDMAR: IOMMU 3: reg_base_addr fed93000 ver 1:0 cap c9008020e30260 ecap "
    "1000\n"])
def test_units_of_old_kernels(text):
    (unit,) = only(text, Unit)
    assert (unit.base, unit.number, unit.all, unit.cap, unit.ecap) == (0xFED93000, 3, True, 0xC9008020E30260, 0x1000)


def test_the_next_line_is_not_the_rest_of_one_that_is_whole():
    text = "IOAPIC id 8 under DRHD base 0xfed91000\nIOMMU 3: reg_base_addr fed93000 ver 1:0 cap 1 ecap 1000\n"
    assert [(u.id, u.base, u.unit) for u in only(text, Under)] == [(8, 0xFED91000, None)]
    assert [unit.number for unit in only(text, Unit)] == [3]


def test_processors_of_the_madt():
    text = ("ACPI: LAPIC (acpi_id[0x01] lapic_id[0x02] enabled)\nACPI: LAPIC (acpi_id[0x03] lapic_id[0xff] disabled)\n"
            "ACPI: X2APIC (apic_id[0x100] uid[0x4] enabled)\n")
    assert [(c.apic_id, c.source, c.enabled) for c in only(text, Cpu)] == [
        (2, "madt", True), (0xFF, "madt", False), (0x100, "madt x2apic", True)]


def test_lines_of_xen_are_left_to_their_own_reader():
    assert read("(XEN) IOAPIC[0]: apic_id 2, version 32, address 0xfec00000, GSI 0-119\n"
                "(XEN) ACPI: HPET id: 0x8086a201 base: 0xfed00000\n") == ((), ())


def test_the_same_boot_told_twice_counts_once():
    assert len(read(LOG + LOG).records) == len(read(LOG).records)


def test_words_that_change_are_told():
    reading = read(LOG + LOG.replace("ecap f050da", "ecap f050de"))
    assert only(LOG + LOG.replace("ecap f050da", "ecap f050de"), Unit)[1].ecap == 0xF050DE
    assert [remark.text for remark in reading.remarks] == [
        "ecap of the unit at 0x9d7fc000 is 0xf050de here and 0xf050da in line 11; the last counts"]


REAL = {  # units, I/O APICs, APIC IDs in SRAT, mode; counted with grep
    "kexec-8-dmar.txt": (8, 9, 16, "x2apic"), "vmcore-8-dmar.txt": (8, 9, 40, "x2apic"),
    "xps13-7390.txt": (3, 1, 0, "xapic"), "amd-raven-ats.txt": (0, 2, 0, None)}


@pytest.mark.parametrize("path", real_files("dmesg/*"))
def test_real_logs(path):
    text = path.read_text()
    reading = read(text)
    assert reading.remarks == ()
    mode = facts(text).get("remapping", (None,))[0]
    srat = {c.apic_id for c in only(text, Cpu) if c.source == "srat"}
    assert (len(only(text, Unit)), len(only(text, IoApic)), len(srat), mode) == REAL[path.name]
    units = {unit.number: unit.base for unit in only(text, Unit)}
    assert all(units[u.unit] == u.base for u in only(text, Under) if u.unit is not None)
    assert {u.id for u in only(text, Under) if u.kind == "ioapic"} <= {io.id for io in only(text, IoApic)}
    for record in reading.records:
        name = record.file
        assert (name, 1 <= record.line <= len(text.splitlines())) == ("dmesg", True)
