"""Each cross-check on a pair: texts that agree, and the same with one side broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_data_folder, real_files
from tests.vsim.findings import machine_texts as texts
from tests.vsim.findings.machine_texts import INTERRUPTS, PIN_ROW, ROWS, irq, machine, row, table
from vsim.findings.catalogue import CATALOGUE, examine
from vsim.findings.picture import see
from vsim.findings.rebuild import rebuild
from vsim.findings.rows import BROKEN, DOUBT, NOTE

FAULT = "[   46.262] DMAR: [INTR-REMAP] Request device [{0}] fault index {1:#x} [fault reason {2:#x}] {3}\n"
ABSENT, SOURCE, OVER = (0x22, "Present field in the IRTE entry is clear"), (0x26, "Blocked an interrupt request due to "
                        "source-id verification failure"), (0x21, "Interrupt index exceeded the table size")


def found(changed: dict[str, str | None]) -> dict[str, list]:
    """The findings of the machine with some texts changed (None: left out), by the name of their row."""
    sources = machine() | changed
    by_name: dict[str, list] = {}
    for finding in examine([(f"{name}.txt", text) for name, text in sources.items() if text is not None]).findings:
        by_name.setdefault(finding.row.name, []).append(finding)
    return by_name


def edited(name: str, old: str, new: str) -> dict[str, str]:
    """A text with one place changed."""
    text = machine()[name]
    assert text.count(old) >= 1, (name, old)
    return {name: text.replace(old, new, 1)}


def irqs(*changed: tuple) -> dict[str, str]:
    """The interrupts with the first few changed."""
    return {"irq": "".join(irq(*each) for each in (*changed, *INTERRUPTS[len(changed):]))}


MONITOR = """dumping local APIC state for CPU 0

LVT0\t 0x00010700 active-hi edge  masked                      ExtINT (vec 0)
SPIV\t 0x000001ff APIC enabled, focus=off, spurious vec 255
ISR\t {isr}
IRR\t (none)

ioapic0: ver=0x20 id=0x00 sel=0x00
  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical
  pin 1  0x{pin:016x} dest=0 vec=48  active-lo level        fixed  physical
  IRR      (none)
  Remote IRR 1
"""
XEN = """(XEN) IRQ information:
(XEN)    IRQ:   9 vec:b0 IO-APIC-level   status={0} aff:{{0}}/{{0}} in-flight={1} d0:  9(---)
(XEN) IO-APIC interrupt information:
(XEN)     IRQ  9 Vec176:
(XEN)       Apic 0x00, Pin  9: vec=b0 delivery=LoPri dest=L status=0 polarity=0 irr=1 trig=L mask=0 dest_id:00000001
"""
SPACE = "   kworker-1  [001] d..1 2.0: vector_alloc: irq=40 vector=0 reserved=1 ret=-28\n"

CONTEXTS = "IOMMU {0}: Root Table Address: 0x1000\n01:00.0\t" + f"0x{0:016x}:0x{1:016x}\t" * 2 + "-1\n"

VPCI = """(XEN)  MSI     40 vec=b0  fixed  edge   assert phys    cpu dest=00000002 mask=1/ {held}/{held_bit}
(XEN) vPCI MSI/MSI-X d0
(XEN) 0000:00:1f.2 MSI
(XEN)   enabled: 1 64-bit: 1 mask=00000000 vectors max: 1 enabled: 1
(XEN) vec=0x31  fixed  edge   assert phys  fixed dest_id={dest} pirq: {pirq}
(XEN) 0000:03:00.0 MSI-X
(XEN)   entries: 2 maskall: 0 enabled: 1
(XEN)      0 vec=42  fixed  edge   assert phys  fixed dest_id=0 mask={mask} pirq: -1
(XEN)      1 vec=43  fixed  edge   assert phys  fixed dest_id=9 mask=1 pirq: -1
(XEN)    IRQ:  40 vec:b0 PCI-MSI         status=030 aff:{{0-3}}/{{1}} in-flight=0 d0: 55(---)
    LAPIC: base_msr 0xfee00900, disabled 0, timer_divisor 0x1
          0x0020: 0x0000000002000000   0x0030: 0x0000000000050014
    LAPIC: base_msr 0xfee00d00, disabled 0, timer_divisor 0x1
          0x0020: 0x0000000000000004   0x0030: 0x0000000000050014
"""


def vpci(dest=2, pirq=55, mask=1, held=" "):
    """Messages of a domain's emulated functions, the interrupts that they are bound to, two local APICs."""
    return VPCI.format(dest=dest, pirq=pirq, mask=mask, held=held, held_bit=int(held == "G"))


CASES = {
    "handle-without-entry": {"table": table(*ROWS[1:], PIN_ROW)},
    "handle-not-entry": irqs((24, 0, 1, 33, 0xFEE00038)),
    "entry-without-device": {"table": table(*ROWS, PIN_ROW, row(12, sid=0x0500, vector=50, dst=0))},
    "wrong-source": {"table": table(row(0, sid=0x0010, vector=33, dst=2), *ROWS[1:], PIN_ROW)},
    "no-such-cpu": {"table": table(row(0, vector=33, dst=0x400), *ROWS[1:], PIN_ROW), "irq": None},
    "entry-disagrees": {"table": table(row(0, vector=60, dst=2), *ROWS[1:], PIN_ROW)},
    "vector-not-taken": edited("matrix", "32-33", "32"),
    "two-owners": irqs((24, 0, 2, 34)) | {"table": table(row(0, vector=34, dst=4), *ROWS[1:], PIN_ROW)},
    "compatibility-format": irqs((24, 0, 1, 33, 0xFEE02000)) | {"table": table(*ROWS[1:], PIN_ROW)},
    "beyond-table": {"table": table(*ROWS, PIN_ROW, row(40, vector=50, dst=0)),
                     "registers": texts.REGISTERS.replace("260080f", "2600804")},
    "entry-in-other-unit": {"contexts": CONTEXTS.format("dmar1")},
    "row-disagrees": edited("table", "00000002 21", "00000002 22"),
    "reserved-source-check": {"table": table(row(0, svt=3, vector=33, dst=2), *ROWS[1:], PIN_ROW)},
    "not-covered": {"dmar": texts.dmar(everything=False)},
    "ioapic-not-covered": {"dmar": texts.dmar(ioapic=7)},
    "dead-unit": {"log": texts.LOG.replace("d2008c222f0606 ecap f00f5a", f"{'f' * 16} ecap {'f' * 16}"),
                  "registers": None},
    "unit-address": {"dmar": texts.dmar(base=0)},
    "processors-counted": edited("log", "4 CPUs", "3 CPUs"),
    "on-and-off": edited("registers", "c7000000", "c5000000"),
    "firmware-flags": {"dmar": texts.dmar(flags=3)},
    "units-differ": {"registers": texts.REGISTERS + texts.REGISTERS.replace("dmar0", "dmar1").replace(
        "fed90000", "fed91000").replace("260080f", "270000f")},
    "eime-without-eim": edited("registers", "f00f5a", "f00f4a"),
    "cpu-out-of-reach": {"registers": texts.REGISTERS.replace("260080f", "260000f"), "madt": texts.madt((0, 2, 4, 300)),
                         "table": None, "irq": None, "cpuid": None},
    "apic-ids": {"madt": texts.madt((0, 2, 4, 4)), "cpuid": None, "counts": None, "log": None},
    "fault": {"faults": FAULT.format("01:00.0", 0x33, *ABSENT)},
    "unexplained-fault": {"faults": FAULT.format("01:00.0", 0, 0x99, "Unknown")},
    "amd-event": {"amd": "[ 1.0] AMD-Vi: Event logged [INVALID_DEVICE_REQUEST device=00:14.0 pasid=0x00000 "
                         "address=0xfdf8000000 flags=0x0a00]\n"},
    "qemu-refused": {"qemu": "qemu-system-x86_64: vtd_irte_get: index too large: ind=0x40\n"},
    "changed-since": {"faults": FAULT.format("01:00.0", 0, *ABSENT)},
    "fault-pending": edited("registers", "FSTS            \t0x34\t\t0x0000000000000000",
                            "FSTS            \t0x34\t\t0x0000000000000003"),
    "queue-error": {"faults": "[ 1.0] DMAR: VT-d detected Invalidation Queue Error: Reason f\n"},
    "vectors-full": edited("matrix", "         3   198     1     1    2", "         3     0     1     1    2"),
    "said-to-be-full": {"events": SPACE},
    "nobodys-interrupt": edited("log", "[    1.000000]", "[ 0.9] __common_interrupt: 2.55 No irq handler for vector\n"
                                                         "[    1.000000]"),
    "affinity-broken": {"said": "[ 9.0] irq 24: Affinity broken due to vector space exhaustion.\n", "matrix": None},
    "interrupt-lost": {"said": "[ 9.0] nvme nvme0: I/O 23 QID 2 timeout, completion polled\n"},
    "handler-refused": {"said": "[ 9.0] genirq: Flags mismatch irq 9. 00000080 (card) vs. 00000000 (acpi)\n"},
    "faults-not-told": {"said": "[ 9.0] DMAR: DRHD feb00000: failed to enable fault, interrupt, ret -28\n"},
    "message-without-entry": {"xen": "(XEN) [VT-D]intremap.c:571: MSI index (65535) has an empty entry\n"},
    "message-without-pirq": {"xen": vpci(mask=0)},
    "message-to-no-vcpu": {"xen": vpci(dest=6)},
    "pirq-of-nobody": {"xen": vpci(pirq=56)},
    "masked-by-xen": {"xen": vpci(held="G")},
    "not-ended": {"xen": XEN.format("010", 0)},
    "vector-below-16": {"monitor": MONITOR.format(isr="48", pin=0x8000).replace("Remote IRR 1", "Remote IRR (none)")},
}
"""For each row, what is changed in the machine so that it finds something."""
ALONE = {
    "contexts": {"contexts": CONTEXTS.format("dmar0")},
    "xen": {"xen": XEN.format("011", 1)},
    "vpci": {"xen": vpci()}, "vpci, an ID of x2APIC": {"xen": vpci(dest=4)}, "vpci, to all": {"xen": vpci(dest=255)},
    "monitor": {"monitor": MONITOR.format(isr="48(level)", pin=0xA030)},
    "a fault of DMA": {"faults": "[ 3.0] DMAR: [DMA Write] Request device [01:00.0] fault addr 0xfff00000 "
                                 "[fault reason 0x05] PTE Write access is not set\n"},
}
"""Texts that add something and do not contradict anything: the other sides of such pairs."""


def test_texts_that_agree_have_no_findings():
    assert found({}) == {}


@pytest.mark.parametrize("name", ALONE)
def test_texts_that_add_something_that_agrees_have_none_either(name):
    assert found(ALONE[name]) == {}


def test_every_row_has_a_case_and_is_complete():
    assert set(CASES) == {row.name for row in CATALOGUE}
    for each in CATALOGUE:
        assert each.severity in (BROKEN, DOUBT, NOTE)
        assert each.sentence.endswith(".") and each.todo and each.source


@pytest.mark.parametrize("name", CASES)
def test_one_side_broken_is_found_with_its_lines(name):
    sources = machine() | CASES[name]
    findings = found(CASES[name])
    assert name in findings, {each: [f.text for f in findings[each]] for each in findings}
    for finding in findings[name]:
        assert finding.sides
        for side in finding.sides:
            text = sources[side.file.removesuffix(".txt")]
            assert text and 1 <= side.line <= text.count("\n") + 1 and side.text


@pytest.mark.parametrize("fault, name, text", [
    (("01:00.0", 1, *ABSENT), "changed-since", "01:00.0 was refused with 0x22, but entry 0x1 is present now"),
    (("01:00.0", 9, *SOURCE), "fault", "entry 0x9 still allows f0:1f.0 in"),
    (("01:00.0", 1, *SOURCE), "changed-since", "entry 0x1 allows 01:00.0 in now"),
    (("01:00.0", 0x1000, *OVER), "changed-since", "the table of dmar0 at 0xfed90000 has 65536 entries"),
])
def test_a_fault_is_held_against_the_table(fault, name, text):
    findings = found({"faults": FAULT.format(*fault)})
    assert list(findings) == [name] and text in findings[name][0].text


@pytest.mark.parametrize("text, why", [
    (FAULT.format("01:00.0", 0, 0, ""), "0x0 is no reason"),
    (FAULT.format("01:00.0", 0, 5, "PTE Write access is not set"), "0x5 is no reason"),
    ("DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x0\n", "no reason is told"),
    ("DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0x1000 [fault reason 0x99] Unknown\n", "0x99"),
    ("(XEN) [VT-D]UNKNOWN: Request device [0000:01:00.0] fault addr 1000\n(XEN) [VT-D]UNKNOWN: reason 99 - Unknown\n",
     "0x99 is no reason"),
])
def test_a_fault_without_a_known_reason_is_told(text, why):
    (finding,) = found({"faults": text})["unexplained-fault"]
    assert finding.text.startswith("a unit refused a request of 01:00.0, and ") and why in finding.text


def test_a_request_of_compatibility_format_names_no_entry():
    log = "".join(FAULT.format("01:00.0", index, 0x25, "Blocked a compatibility format interrupt request").replace(
        "46.262", f"46.{index}") for index in (0x8800, 0xA00))
    (finding,) = examine([("log", log)]).findings
    assert finding.text == "a unit refused a request of 01:00.0, 2 times"
    assert finding.sides[0].text == "01:00.0: fault 0x25, a compatibility-format request is blocked"


def test_xen_may_remap_without_an_ioapic_in_ivrs():
    log = "(XEN) No southbridge IO-APIC found in IVRS table\n(XEN) Interrupt remapping {}\n"
    for word, end in (("enabled", ""), ("disabled", ": no remapping")):
        (finding,) = examine([("log", log.format(word))]).findings
        assert finding.text == f"the I/O APIC of the southbridge is not in the IVRS table{end}"


@pytest.mark.parametrize("log, told", [
    ("DMAR: DRHD: handling fault status reg 2\nDMAR: DRHD: handling fault status reg 402\n",
     ["a unit had a fault that no line tells, 2 times"]),
    ("DMAR: DRHD: handling fault status reg 3\n" + FAULT.format("01:00.0", 5, *ABSENT),
     ["a unit refused a request of 01:00.0", "a unit had more faults than it could record"]),
    ("DMAR: DRHD: handling fault status reg 3\nDMAR: [DMA Read] Request device [01:00.0] fault addr 6c800000 "
     "[fault reason 06] PTE Read access is not set\n", []),
    ("(XEN) [VT-D]iommu_fault_status: Fault Overflow\n", ["a unit had more faults than it could record"]),
    ("DMAR: DRHD: handling fault status reg ffffffff\n", [])])
def test_a_status_in_a_log(log, told):
    assert [each.text for each in examine([("log", log)]).findings] == told


def test_registers_that_xen_prints_tell_of_the_fault_that_is_pending_once():
    rows = ("---- print_iommu_regs ----", " drhd->address = feb00000", " fault_recording_reg_l = 17000000000000",
            " fault_recording_reg_h = 8000002200000318", " FSTS = 2")
    lines = ("[VT-D]INTR-REMAP: Request device [0000:03:03.0] fault index 17",
             "[VT-D]INTR-REMAP: reason 22 - Present field in the IRTE entry is clear")
    for told in (rows, (*lines, *rows)):
        log = "".join(f"(XEN) {row}\n" for row in told)
        assert [each.text for each in examine([("log", log)]).findings] == [
            "a unit refused a request of 03:03.0", "the unit at 0xfeb00000 has PPF set"]


def test_what_amd_s_unit_refuses_again_and_again_is_told_once():
    event = "(XEN) AMD-Vi: IO_PAGE_FAULT: 0000:04:00.{} d0 addr 000000fdf83301{:02x} flags 0x8 I\n"
    log = "".join(event.format(*each) for each in ((1, 0), (1, 0x40), (0, 0), (1, 0)))
    log += ("(XEN) IVHD Error: no information for IO-APIC 0x21\n(XEN) No southbridge IO-APIC found in IVRS table\n"
            "(XEN) IVHD Error: Invalid IO-APIC 0xff\n(XEN) AMD-Vi: Error initialization\n")
    assert [(each.text, each.sides[0].line) for each in examine([("log", log)]).findings] == [
        ("AMD's unit refused a request of 0000:04:00.1, 3 times: IO_PAGE_FAULT", 1),
        ("AMD's unit refused a request of 0000:04:00.0: IO_PAGE_FAULT", 3),
        ("I/O APIC 0x21 is not in the IVRS table: no remapping", 5),
        ("the I/O APIC of the southbridge is not in the IVRS table: no remapping", 6),
        ("Xen does not take the IVRS table: no remapping", 7)]


@pytest.mark.parametrize("cpus, what", [
    (((0, 0), (1, 2), (2, 2)), "two CPUs have APIC ID 0x2"), (((0, 0), (1, 2), (1, 4)), "CPU 1 has two APIC IDs")])
def test_cpuid_of_two_machines_is_told_and_makes_one_that_stands(cpus, what):
    leaf = "CPU {0}:\n   0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x{1:08x}\n"
    one, two = (("a.txt", "".join(leaf.format(*cpu) for cpu in cpus[:2])), ("b.txt", leaf.format(*cpus[2])))
    report = examine([one, two])
    assert [f.text for f in report.findings if f.row.name == "apic-ids"] == [f"by CPUID {what}: texts of two machines"]
    ids = rebuild(report.picture).machine.apic_id
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("line, text", [
    ("(XEN) CPU2: No irq handler for vector eb (IRQ -23, LAPIC)",
     "CPU 2 got vector 235, which is nobody's; irq 22 had it before"),
    ("(XEN) CPU2: No irq handler for vector eb (IRQ -1)", "CPU 2 got vector 235, which is nobody's"),
    ("(XEN) APIC error on CPU3: 00(08), Receive accept error",
     "CPU 3 has an APIC error, ESR 0x8: receive accept"),
    ("(XEN) APIC error on CPU0: 60(00)", "CPU 0 has an APIC error, ESR 0x60: send illegal, receive illegal"),
    ("[ 0.6] Spurious interrupt (vector 0xef) on CPU#3. Acked",
     "CPU 3 got vector 0xef, where Linux keeps interrupts that are not started: spurious"),
    ("spurious APIC interrupt through vector ff on CPU#0, should never happen.", "CPU 0 got vector 0xff: spurious"),
    ("[ 1.0] APIC error on CPU5: 40", "CPU 5 has an APIC error, ESR 0x40: receive illegal"),
    ("(XEN) APIC error on CPU5: 00(00)", "CPU 5 has an APIC error, ESR 0x0: none of its bits is set"),
    ("[ 1.0] do_IRQ: 2.33 No irq handler for vector\n[ 2.0] do_IRQ: 2.33 No irq handler for vector",
     "CPU 2 got vector 33, which is nobody's, 2 times"),
    ("(XEN) CPUx: No irq handler for vector 2c (IRQ -2147483648)", "CPU x got vector 44, which is nobody's"),
    (" kernel:do_IRQ: 8.71 No irq handler for vector (irq -1)", "CPU 8 got vector 71, which is nobody's"),
])
def test_a_vector_of_nobody_in_a_log(line, text):
    (finding,) = found({"nobody": f"{line}\n"})["nobodys-interrupt"]
    assert finding.text == text


@pytest.mark.parametrize("log, text", [
    ("(XEN) AMD-Vi: Error initialization", "Xen does without AMD's units: no remapping"),
    ("(XEN) WARNING: APIC ID 0x17161514 and/or ACPI ID 0x10 beyond limit - processor ignored\n"
     "(XEN) WARNING: APIC ID 0x17161514 and/or ACPI ID 0x11 beyond limit - processor ignored",
     "Xen leaves out processors with APIC ID 0x17161514"),
    ("[Firmware Bug]: CPU   2: APIC ID mismatch. CPUID: 0x0002 APIC: 0x0010\n"
     "[Firmware Bug]: CPU   4: APIC ID mismatch. CPUID: 0x0004 APIC: 0x0020",
     "CPU 2 has ID 0x10 in its local APIC and 0x2 by CPUID, and 1 more of this kind"),
    ("[Firmware Bug]: CPU1: APIC id mismatch. Firmware: 1 APIC: 3",
     "CPU 1 has ID 0x3 in its local APIC and 0x1 by firmware")])
def test_what_a_kernel_complains_of_at_boot(log, text):
    assert [each.text for each in examine([("log", log)]).findings] == [text]


def test_what_was_lost_is_told_by_device_and_queue():
    log = ("[ 9.0] nvme nvme0: I/O 23 QID 2 timeout, completion polled\n"
           "[ 9.1] nvme nvme0: I/O tag 24 (1018) QID 2 timeout, completion polled\n"
           "[ 9.5] ata1: lost interrupt (Status 0x50)\n"
           "> [ 9.7] mlx5_core 0000:43:00.2: mlx5_cmd_eq_recover:250:(pid\n> 31): Recovered 2 EQEs on cmd_eq\n")
    assert [each.text for each in examine([("log", log)]).findings] == [
        "nvme0 got no interrupt, queue 2, 2 times", "ata1 got no interrupt", "0000:43:00.2 got no interrupt"]


def test_the_mode_of_destinations_is_that_of_irta_not_of_ecap():
    eight = texts.REGISTERS.replace("260080f", "260000f")
    shifted = table(*(row(entry, vector=vector, dst=texts.CPUS[cpu] << 8)
                      for _, entry, cpu, vector in INTERRUPTS), PIN_ROW)
    assert found({"registers": eight, "table": shifted}) == {}
    assert "entry-disagrees" in found({"registers": eight})


def test_a_function_below_a_bridge_sends_as_the_bridge():
    bridge = texts.LSPCI.replace("(v2) Root Port (Slot+), MSI 00", "(v1) PCI-Express to PCI/PCI-X Bridge")
    by_bridge = table(*(row(entry, sid=0x0100, vector=vector, dst=texts.CPUS[cpu])
                        for _, entry, cpu, vector in INTERRUPTS), PIN_ROW)
    assert found({"lspci": bridge, "table": by_bridge}) == {}
    lower = bridge.replace("01:00.0", "01:08.0")
    assert "wrong-source" in found({"lspci": lower, "table": by_bridge.replace("01:00.0", "01:08.0").replace(
        "040100", "040140"), "irq": machine()["irq"].replace("01:00.0", "01:08.0")})
    other = by_bridge.replace("01:00.0", "02:00.0", 1).replace("040100", "040200", 1)
    assert "wrong-source" in found({"lspci": bridge, "table": other})


def test_a_table_that_does_not_offer_remapping_need_not_cover_anything():
    changed = {"dmar": texts.dmar(flags=0, ioapic=7, everything=False), "log": None, "registers": None}
    assert found(changed) == {}


@pytest.mark.parametrize("path", real_files("acpi/*/acpidump.txt") + real_files("lspci/*.txt") + real_files("cpuid/*")
                         + real_files("proc-interrupts/*") + real_files("xen/*") + real_files("dmesg/*"))
def test_a_text_of_one_real_machine_contradicts_nothing(path):
    assert [finding.text for finding in examine([(path.name, path.read_bytes())]).findings] == []


def test_a_later_dump_replaces_an_earlier_one():
    sources = [("a.txt", table(row(0, vector=99, dst=9), row(7, vector=98, dst=9))), *machine().items()]
    assert examine(sources).findings == ()


# --- real machines ---


@pytest.mark.parametrize("path", real_files("debugfs-irq/laptop-vmd/*.txt"))
def test_all_messages_of_a_laptop_ask_for_their_own_entries(path):
    data = path.read_text()
    report = examine([("laptop.txt", data)])
    through = [each for each in report.picture.interrupts if each.message_index is not None]
    assert (len(through), report.findings) == (97, ())
    assert all(each.message_index == each.entry for each in through)
    for each in through[::16]:
        line = data.splitlines()[each.lines["address"] - 1]
        broken = data.replace(line, line[:-3] + f"{int(line[-3:], 16) ^ 0x20:03x}", 1)
        (finding,) = (f for f in examine([("laptop.txt", broken)]).findings if f.row.name == "handle-not-entry")
        assert finding.sides[0].line == each.lines["address"]


def test_all_rows_of_a_laptops_tables_decode_to_their_printed_fields():
    folder = real_data_folder()
    if folder is None:
        pytest.skip("no files of real machines")
    folder = folder / "debugfs-iommu" / "xps13-7390"
    names = ("ir_translation_struct.txt", "iommu_regset.txt", "dmar_translation_struct.txt")
    report = examine([(name, (folder / name).read_bytes()) for name in names])
    assert len(report.picture.entries) == 69 and report.pasted.remarks == () and report.findings == ()
    text = (folder / names[0]).read_text()
    for entry in list(report.picture.entries.values())[::7]:
        line = text.splitlines()[entry.side.line - 1]
        dst, vector = entry.fields["dst"], entry.fields["vector"]
        for old, new in ((line[-16:], f"{int(line[-16:], 16) ^ 0x4000:016x}"),
                         (f" {vector:02x} ", f" {vector ^ 0x10:02x} "), (f"{dst:08x}", f"{dst ^ 0x100:08x}")):
            findings = examine([("b.txt", text.replace(line, line.replace(old, new, 1), 1))]).findings
            assert [f.row.name for f in findings if f.sides[0].line == entry.side.line] == ["row-disagrees"]


# --- anything ---

PIECES = [line + "\n" for text in machine().values() for line in text.splitlines()]
PIECES += ["\r\n", "\ufeff", "\0", "x" * 5000]


@given(st.lists(st.sampled_from(PIECES), max_size=80), st.integers(0, 4000), st.text(max_size=3))
def test_any_mixture_is_read_without_an_exception(pieces, at, noise):
    text = "".join(pieces)
    report = examine([("any.txt", text[:at] + noise + text[at:])])
    for remark in report.pasted.remarks:
        assert remark.line >= 1 and remark.column >= 1 and str(remark).startswith("any.txt:")
    see(report.pasted)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(data):
    examine([("any", data), ("table", b"DMAR" + data), ("text", b"DMAR: " + data)])


def test_a_dmar_table_that_was_cut_may_have_what_it_does_not_show():
    def names(dmar: str) -> set[str]:
        found = examine([("dmar", dmar), ("madt", texts.madt())]).findings
        return {each.row.name for each in found if each.row.severity == BROKEN}

    whole = texts.dmar(ioapic=7)
    cut = "".join(whole.splitlines(keepends=True)[:-1])
    assert names(whole) == {"ioapic-not-covered"} and names(cut) == set()
