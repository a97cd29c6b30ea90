"""One text of every kind, pasted together: each is recognised, and read as it is when it stands alone."""

import dataclasses
import html
import random
import re

import pytest

from tests.vsim.findings.machine_texts import COUNTS, LSPCI, MATRIX, REGISTERS, ROWS, irq, madt, table
from tests.vsim.readers.test_acpi_ivrs import ENTRIES, ivhd
from tests.vsim.readers.test_acpi_ivrs import table as ivrs
from vsim.findings.catalogue import examine
from vsim.findings.paste import read
from vsim.findings.picture import see
from vsim.findings.registry import READERS
from vsim.findings.rows import BROKEN
from vsim.readers import acpi_dmar
from vsim.readers.pieces import lines_of

DMAR = bytes(acpi_dmar.table([acpi_dmar.unit(0xFED90000, [acpi_dmar.scope_of(3, 0xF0F8, 2)], True)]))


def iasl(data: bytes) -> str:
    """The last part of what iasl prints of a table."""
    rows = (f"  {at:04X}: {data[at:at + 16].hex(' ').upper():<47}  // {'.' * len(data[at:at + 16])}"
            for at in range(0, len(data), 16))
    return f"Raw Table Data: Length {len(data)} (0x{len(data):X})\n\n" + "\n".join(rows) + "\n"


def hexdump(data: bytes) -> str:
    """A table as `hexdump -C` prints it."""
    return "\n".join(f"{at:08x}  {data[at:at + 8].hex(' ')}  {data[at + 8:at + 16].hex(' ')}  |{'.' * 16}|"
                     for at in range(0, len(data), 16)) + f"\n{len(data):08x}\n"


KINDS = {
    "fault lines of Linux, three spellings and FSTS": ("linux faults", 5, """\
[   58.440907] DMAR: DRHD: handling fault status reg 502
[   58.440908] DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600 [fault reason 0x25] Blocked a request
[   58.440909] DMAR: INTR-REMAP: Request device [[0x64:0x00.5] fault index a00
[   58.440909] INTR-REMAP:[fault reason 37] Blocked a compatibility format interrupt request
[   58.440910] DMAR: [INTR-REMAP] Request device [0000:01:00.0] fault index 0x33 [fault reason 34] Present field clear
[   58.440911] DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x7f000000 [fault reason 0x06] PTE clear
"""),
    "fault lines of Xen": ("xen faults", 1, """\
(XEN) [VT-D]INTR-REMAP: Request device [0000:02:00.1] fault index b0
(XEN) [VT-D]INTR-REMAP: reason 22 - Present field in the IRTE entry is clear
"""),
    "boot log of Linux": ("linux boot", 7, """\
[    0.100000] Linux version 6.12.1
[    0.200001] DMAR: DRHD base: 0x000000fed91000 flags: 0x1
[    0.200002] DMAR: dmar1: reg_base_addr fed91000 ver 1:0 cap d2008c222f0606 ecap f00f5a
[    0.200003] DMAR-IR: IOAPIC id 2 under DRHD base  0xfed91000 IOMMU 1
[    0.200004] DMAR-IR: HPET id 0 under DRHD base 0xfed91000
[    0.200005] IOAPIC[0]: apic_id 2, version 32, address 0xfec00000, GSI 0-119
[    0.200006] ioapic 9 has no mapping iommu, interrupt remapping will be disabled
[    0.300000] DMAR-IR: Enabled IRQ remapping in x2apic mode
"""),
    "boot log of Xen": ("xen boot", 3, """\
(XEN) [VT-D]found ACPI_DMAR_DRHD:
(XEN) [VT-D]  dmaru->address = fed92000
(XEN) [VT-D]  cap = d2008c40660462 ecap = f050da
(XEN) [VT-D] IOAPIC: 0000:00:1e.7
(XEN) [VT-D]  flags: INCLUDE_ALL
(XEN) IOAPIC[1]: apic_id 9, version 32, address 0xfec01000, GSI 24-47
(XEN) Intel VT-d Interrupt Remapping enabled.
"""),
    "debugfs irq as files": ("linux interrupts", 1, irq(24, 0, 1, 33)),
    "debugfs irq of grep -r": ("linux interrupts", 1, "".join(
        f"/sys/kernel/debug/irq/irqs/42:{line}\n" for line in irq(42, 1, 2, 37).splitlines()[1:])),
    "domains of debugfs irq": ("linux vectors", 2, MATRIX),
    "ir_translation_struct": ("linux entries", 4, table(*ROWS)),
    "iommu_regset": ("linux registers", 1, REGISTERS),
    "invalidation_queue": ("linux queue", 1, "Invalidation queue on IOMMU: dmar0\n Base: 0x2504000\tHead: 1\tTail: 2\n"
                           "Index\t\tqw0\t\t\tqw1\t\t\tstatus\n"
                           "    0\t0000000000000004\t0000000000000000\t0000000000000002\n"),
    "dmar_translation_struct": ("linux translation", 2, """\
IOMMU dmar1: Root Table Address: 0x866179000
B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry
00:05.0\t0x0000000000000000:0x00000008662b7001\t0x0000000000000102:0x0000000866296001\t-1
"""),
    "domain_translation_struct": ("linux translation", 1, """\
Device 0000:00:02.0 with pasid 0 @0x86623e000
IOVA_PFN\t\tPML5E\t\t\tPML4E\t\t\tPDPE\t\t\tPDE\t\t\tPTE
0x000000006c000 |\t0x0000000000000000\t0x000000086623f003\t0x0000000866240003\t0x0000000866241003\t0x000000006c000003
"""),
    "/proc/interrupts": ("linux counts", 6, COUNTS),
    "lspci": ("lspci", 3, LSPCI),
    "lspci -n": ("lspci", 1, "0000:02:00.0 0200: 8086:10fb (rev 01)\n\n"),
    "lspci -nnk": ("lspci", 1, "03:00.0 Non-Volatile memory controller [0108]: Example SSD [1234:5678]\n"
                   "\tKernel driver in use: nvme\n\n"),
    "lspci -PP": ("lspci", 1, "00:1c.0/04:00.0 Network controller: W\n\tControl: I/O+ Mem+\n"
                  "\tCapabilities: [50] MSI: Enable+ Count=1/8 Maskable- 64bit+\n\n"),
    "lspci -mm": ("lspci", 2, '06:00.0 "PCI bridge" "Example" "Port 1" -r01 "" ""\n'
                 '06:01.0 "Ethernet controller" "Example" "NIC \\"B\\"" -r01 -p00 "Example" "Card"\n\n'),
    "lspci -vmm": ("lspci", 2, "Slot:\t07:00.0\nClass:\tPCI bridge\nVendor:\tExample\nDevice:\tPort 1\nRev:\t01\n\n"
                   "Slot:\t07:01.0\nClass:\tEthernet controller\nDevice:\tNIC\nDriver:\tigb\n\n"),
    "lspci -t": ("lspci", 5, """\
-[0000:40]-+-00.0
           +-1c.0-[41-42]--+-00.0
           |               \\-00.1
           \\-1f.0
"""),
    "lspci -xxx": ("lspci", 1, """\
05:00.0 Class 0200: Device 1234:5678
00: 34 12 78 56 06 00 10 00 00 00 00 02 00 00 00 00
10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
20: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
30: 00 00 00 00 40 00 00 00 00 00 00 00 00 01 00 00
40: 11 00 07 80 00 20 00 00 00 30 00 00 00 00 00 00

"""),
    "ftrace of vectors": ("linux vector events", 1, "  kworker/0:2-2827    [000] d..1. 76495.343456: "
                          "vector_alloc: irq=82 vector=37 reserved=1 ret=0\n"),
    "irq_matrix events": ("linux vector events", 1, "  a-1 [007] d..1. 1.0: irq_matrix_alloc: bit=33 cpu=2 online=1 "
                          "avl=199 alloc=3 managed=1 online_maps=8 global_avl=1587, global_rsvd=18, total_alloc=29\n"),
    "acpidump": ("tables", 1, madt()),
    "iasl": ("tables", 1, iasl(DMAR)),
    "a table's bytes as text": ("tables", 1, hexdump(ivrs(ivhd(0x11, 2, ENTRIES)))),
    "CPUID": ("cpuid", 2, "CPU 0:\n   0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x00000000\n"
              "CPU 1:\n   0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x00000002\n"),
    "key V": ("xen entries", 3, """\
(XEN) iommu 1: nr_pt_levels = 4.
(XEN)   Queued Invalidation: supported and enabled.
(XEN)   Interrupt Remapping: supported and enabled.
(XEN)   Interrupt remapping table (nr_entry=0x10000. Only dump P=1 entries here):
(XEN) R means remapped format, P means posted format.
(XEN) R:       SVT  SQ   SID  V  AVL FPD      DST DLM TM RH DM P
(XEN) P:       SVT  SQ   SID  V  AVL FPD              PDA  URG P
(XEN) R:  0000:  1   0  0038 e8    0   0 00000001   1  0  1  1 1
(XEN) Redirection table of IOAPIC 0:
(XEN)   #entry IDX FMT MASK TRIG IRR POL STAT DELI  VECTOR
(XEN)    00:  0000   1    1   0   0   0    0    0     00
"""),
    "key M": ("xen interrupts", 1, "(XEN) MSI information:\n(XEN)  MSI-X   25 vec=b0  fixed  edge   assert phys    cpu "
              "dest=00000000 mask=1/  /0\n"),
    "key M, the part of vPCI": ("xen vpci", 3, """\
(XEN) vPCI MSI/MSI-X d0
(XEN) 0000:00:1f.2 MSI
(XEN)   enabled: 1 64-bit: 1 mask=00000000 vectors max: 1 enabled: 1
(XEN) vec=0x31  fixed  edge   assert phys  fixed dest_id=2 pirq: 55
(XEN) 0000:03:00.0 MSI-X
(XEN)   entries: 2 maskall: 0 enabled: 1
(XEN)      0 vec=41  fixed  edge   assert phys  fixed dest_id=0 mask=0 pirq: 54
(XEN)      1 vec=00  fixed  edge deassert phys  fixed dest_id=0 mask=1 pirq: -1
"""),
    "key i": ("xen interrupts", 3, """\
(XEN) IRQ information:
(XEN)    IRQ:  17 vec:d8 IO-APIC-level   status=010 aff:{10}/{0-11} in-flight=2 d0: 17(P-M),d7: 17(-MM)
(XEN) Direct vector information:
(XEN)    0xfa -> apic_timer_interrupt()
(XEN) IO-APIC interrupt information:
(XEN)     IRQ 17 Vec216:
(XEN)       Apic 0x00, Pin 17: vec=d8 delivery=Fixed dest=P status=0 polarity=1 irr=1 trig=L mask=0 dest_id:00000001
"""),
    "key z": ("xen interrupts", 2, """\
(XEN) IO APIC #0......
(XEN) .... register #00: 00000000
(XEN) .......    : physical APIC id: 00
(XEN) .... IRQ redirection table:
(XEN)  NR  DestID Msk Trg IRR Pol Stat DstM DelM Vec
(XEN)  01 00000003 0   0   0   0   0    0    0    C0
"""),
    "apic=debug of Linux": ("xen interrupts", 2, """\
[    0.5] IO APIC #2......
[    0.5] .... IRQ redirection table:
[    0.5] IOAPIC 0:
[    0.5]  pin01, enabled , edge , high, V(31), IRR(0), S(0), remapped, I(0001),  Z(0)
"""),
    "registers by Xen": ("xen registers", 1, """\
(XEN) ---- print_iommu_regs ----
(XEN)  drhd->address = fed90000
(XEN)  VER = 10
(XEN)  CAP = d2008c40660462
(XEN)  ECAP = f050da
"""),
    "a guest's I/O APIC by Xen": ("xen guest", 1, """\
*****ioapic state:*****
ioapic 0x10.
ioapic 0x1.
ioapic 0xfec00000.
ioapic redirtbl[0]:0x10000
"""),
    "trace lines of QEMU": ("qemu trace", 4, """\
vtd_ir_enable enable 1
vtd_ir_irte_get index 0 low 0x0 high 0x100d10005
apic_deliver_irq dest 1 dest_mode 0 delivery_mode 0 vector 49 trigger_mode 0
ioapic_set_irq vector: 2 level: 1
"""),
    "info lapic": ("qemu monitor", 1, "dumping local APIC state for CPU 3\n\n"
                   "LVT0\t 0x00010700 active-hi edge  masked                      ExtINT (vec 0)\n"
                   "SPIV\t 0x000001ff APIC enabled, focus=off, spurious vec 255\nISR\t 34 236(level)\nIRR\t (none)\n\n"
                   "APR 0x01 TPR 0x10 DFR 0x00 LDR 0x21(cluster 2: id 1) PPR 0xe0\n"),
    "info pic": ("qemu monitor", 2, "ioapic0: ver=0x11 id=0x00 sel=0x22 (redir[9])\n"
                 "  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical\n"
                 "pic0: irr=13 imr=ff isr=00 hprio=0 irq_base=30 rr_sel=0 elcr=00 fnm=0\n"),
    "info irq": ("qemu monitor", 2, "IRQ statistics for isa-i8259:\n 0: 17\n 4: 3\n"),
    "boot log and events of AMD": ("amd log", 3, """\
AMD-Vi: Extended features (0x58f77ef22294a5a, 0x0): PPR NX GT IA PC GA_vAPIC
AMD-Vi: Interrupt remapping enabled
iommu ivhd0: AMD-Vi: Event logged [IO_PAGE_FAULT device=00:14.0 domain=0x0000 address=0xfdf8020200 flags=0x0008]
"""),
    "remapping tables of AMD": ("amd entries", 2, """\
(XEN) --- Dumping Per-dev IOMMU Interrupt Remapping Table ---
(XEN)   0001:00:14.0:
(XEN)     IRTE[005] 00310201
(XEN)     IRTE[006] 0000000000000031_0000000000000201
"""),
}
"""What the issue lists, each text of our own: the reader that is meant, its records, the text."""


def each_line(before: str, behind: str = "", blank: bool = True):
    """A text with something before and behind each line, blank ones too."""
    return lambda text: "".join(f"{before}{line}{behind}\n" if blank or line else "\n" for line in text.splitlines())


DRESSED = {
    "quoted in a mail": each_line("> "), "quoted twice": each_line(">> "), "quoted in an answer": each_line("> > "),
    "a code block of a web page": each_line("    "), "with a terminal's colours": each_line("\x1b[33m", "\x1b[0m"),
    "blanks of a web page": lambda text: text.replace("  ", "\xa0 "),
    "between fences": lambda text: f"```\n{text}```\n",
    "blanks at the ends": each_line("", "   "), "another system's line ends": lambda text: text.replace("\n", "\r\n"),
    "behind a prompt": lambda text: f"root@host:~# dump | tee out\n{text}root@host:~# \n",
    "a page's source": lambda text: f"<p>See:</p><pre><code>{html.escape(text)}</code></pre>\n",
    "a page's source in one row": lambda text: "<br />".join(html.escape(text).splitlines()),
    "escaped twice": lambda text: html.escape(html.escape(text).replace("[", "&#91;")).replace("  ", "&nbsp; "),
    "marked by its colours": each_line('<span class="k">', "</span>"),
    "each line as code": each_line("`", "`", False), "items of a list": each_line("- `", "`", False),
    "bold words": lambda text: re.sub(r"(?<=\s)([A-Za-z]{4,}:?|\[INTR-REMAP\])(?=\s)", r"**\1**", text),
    "words of a wiki": lambda text: re.sub(r"(?<=\s)([A-Za-z]{4,}:?|\[INTR-REMAP\])(?=\s)", r"*\1*", text),
    "brackets escaped": lambda text: text.replace("[", "\\[").replace("]", "\\]"),
    "a block of Jira": lambda text: f"{{noformat}}{text}{{noformat}}\n",
    "code of Jira": lambda text: f"{{code:title=a log}}\n{text}{{code}}\n", "monospaced": each_line("{{", "}}", False),
    "code of a forum": lambda text: f"[CODE]\n{text}[/CODE]\n",
    "bold in a forum": each_line("[b][color=red]", "[/color][/b]"),
    "places where a page may break": lambda text: text.replace(" ", "\u200b "),
    "hyphens that do not break": lambda text: text.replace("-", "\u2011")}
"""How texts are dressed on their way."""


def what(record: object) -> object:
    """A record without its places in the text."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return type(record), tuple(what(getattr(record, each.name)) for each in dataclasses.fields(record)
                                   if each.name not in ("file", "line", "lines"))
    if isinstance(record, tuple) and hasattr(record, "_fields"):
        return type(record), tuple(what(value) for name, value in zip(record._fields, record, strict=True)
                                   if name not in ("file", "line"))
    return tuple(map(what, record)) if isinstance(record, tuple) else record


def found(text: str) -> dict[str, list[object]]:
    pasted = read([("paste", text)])
    return {kind: [what(each) for each in pasted.of(kind)] for kind in pasted.records}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_is_recognised_as_what_it_is(kind):
    reader, count, text = KINDS[kind]
    assert {name: len(records) for name, records in found(text).items()} == {reader: count}


def test_every_reader_has_a_text():
    assert {reader for reader, _, _ in KINDS.values()} == {row.name for row in READERS}


@pytest.mark.parametrize("dress", DRESSED)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_text_wears_on_its_way_changes_nothing(kind, dress):
    text = KINDS[kind][2]
    assert found(DRESSED[dress](text)) == found(text)


LOGGED = KINDS["fault lines of Linux, three spellings and FSTS"][2] + """\
[    1.500000] AMD-Vi: Extended features (0x4f77ef22294ada):
[    1.500001]  PPR NX GT IA GA PC GA_vAPIC
[    1.600000] AMD-Vi: Interrupt remapping enabled
"""


@pytest.mark.parametrize("dress", [each_line("kern  :info  : "), lambda text: re.sub(
    r"(?m)^\[ *[\d.]+\] ", "Nov 30 21:00:00 host kernel: ", text)], ids=["dmesg -x", "syslog"])
def test_what_a_log_has_before_its_lines_changes_nothing(dress):
    def without_times(records: dict[str, list[object]]) -> str:
        return re.sub(r"'\d+\.\d+'", "''", repr(records))
    assert without_times(found(dress(LOGGED))) == without_times(found(LOGGED))
    assert "('PPR', 'NX', 'GT', 'IA', 'GA', 'PC', 'GA_vAPIC')" in repr(found(LOGGED))


def numbered(text: str, first: int = 7) -> str:
    """As `grep -n` prints it."""
    return "".join(f"{number}:{line}\n" for number, line in enumerate(text.splitlines(), first))


@pytest.mark.parametrize("dress", [
    each_line("| ", " |"), each_line("|", ""), each_line("||", "||"), each_line("+", "")])
@pytest.mark.parametrize("kind", [kind for kind, (_, _, text) in KINDS.items()
                                  if len(text.splitlines()) > 2 and kind != "lspci -t"])
def test_a_table_of_a_wiki_and_a_patch_change_nothing(kind, dress):
    assert found(dress(KINDS[kind][2])) == found(KINDS[kind][2])


@pytest.mark.parametrize("kind", [kind for kind, (_, _, text) in KINDS.items() if len(text.splitlines()) > 2])
def test_line_numbers_of_grep_are_no_part_of_a_text(kind):
    text = KINDS[kind][2]
    assert found(numbered(text)) == found(text)


OWN_NUMBERS = {
    "rows of /proc/interrupts": "100:  0  5  IR-PCI-MSI  1-edge  a\n101:  1  0  IR-PCI-MSI  2-edge  b\n"
                                "102:  7  0  IR-PCI-MSI  3-edge  c\n",
    "functions of lspci": "01:00.0 Network controller: A\n02:00.0 Network controller: B\n"
                          "03:00.0 Network controller: C\n",
    "functions of other segments": "10000:e1:00.0 Mass storage: A\n10001:e1:00.0 Mass storage: B\n"
                                   "10002:e1:00.0 Mass storage: C\n",
    "bytes": "10: 00 00\n20: 00 00\n30: 00 00\n", "times": "10:00:01 a\n11:00:01 b\n12:00:01 c\n",
    "numbers that do not ascend": "3:a\n2:b\n1:c\n3:d\n", "two lines": "1:a\n2:b\n"}


@pytest.mark.parametrize("kind", OWN_NUMBERS)
def test_numbers_that_are_a_text_s_own_stay(kind):
    text = OWN_NUMBERS[kind]
    assert [line.text for line in lines_of(text)[0]] == [*text.splitlines(), ""]


def test_a_row_behind_a_line_number_has_the_column_of_the_text_as_it_came():
    torn = KINDS["key M"][2].replace("dest=00000000", "dest=0000000x") + KINDS["key z"][2]
    assert read([("f", numbered(torn, 99))]).remarks[0][1:3] == (2, 8 + len("100:"))


def test_a_log_of_xen_without_its_mark_is_still_xen_s():
    text = """\
(XEN) Using APIC driver default
(XEN) [VT-D]found ACPI_DMAR_DRHD:
(XEN) [VT-D]  dmaru->address = fed92000
(XEN) Intel VT-d Interrupt Remapping enabled.
(XEN) Intel VT-d Posted Interrupt not enabled.
(XEN) I/O virtualisation enabled
(XEN) Switched to APIC driver x2apic_cluster
"""
    assert found(text.replace("(XEN) ", "")) == found(text) and len(found(text)["xen boot"]) == 6


def test_a_prompt_is_no_part_of_a_function_s_name():
    text = "00:1f.3 Audio device: A name that is nearly as long as a line of a mail can be\n"
    assert found(text + "somebody@a-host-with-a-name:~# \n") == found(text)


def test_a_remark_names_the_column_of_the_text_as_it_came():
    whole = "dmar: IOMMU\n" + KINDS["/proc/interrupts"][2].replace(" 24:          0          5", " 24:          0  5")
    torn = KINDS["key M"][2].replace("dest=00000000", "dest=0000000x") + whole
    for before, shift in (("", 0), ("> ", 2), (">>> ", 4), ("<code>", 6), ("`", 1), ("&gt; ", 5), ("{{", 2)):
        behind = {"`": "`", "{{": "}}"}.get(before, "")
        remarks = read([("f", each_line(before, behind)(torn))]).remarks
        assert remarks and remarks[0].column == 8 + shift


WRAPPED = {
    "a function's name": ("lspci", "00:18.0 Network controller: A name that is so long that a mail program breaks it\n"
                          "Controller [1234:5678] (rev 02)\n\tInterrupt: pin A routed to IRQ 16\n"
                          "\tCapabilities: [70] MSI-X: Enable+ Count=3 Masked-\n"),
    "a detail of a function": ("lspci", "00:18.0 Network controller: N\n\tInterrupt: pin A routed to IRQ 16\n"
                               "\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr-\n"
                               "Stepping- SERR+ FastB2B- DisINTx-\n"
                               "\tCapabilities: [70] MSI-X: Enable+ Count=3 Masked-\n"),
    "a row of contexts": ("linux translation", "IOMMU dmar1: Root Table Address: 0x866179000\n"
                          "00:05.0\t0x0000000000000000:0x00000008662b7001\n0x0000000000000102:0x0000000866296001\t-1\n"
                          "IOMMU dmar2: Root Table Address: 0x86617b000\n"),
    "a trace line": ("qemu trace", "vtd_ir_remap_msi (addr 0xfee00010, data 0xd1) ->\n"
                     "(addr 0xfee01004, data 0x40d1)\n"),
    "the owner of an interrupt": ("xen interrupts", "(XEN)    IRQ:   1 vec:c0 IO-APIC-edge    status=030 aff:{3}/{3} "
                                  "in-flight=0\nd0:  1(---)\n"),
    "the time of a status": ("linux faults", "due to a word|[\n46.851870] DMAR: DRHD: handling fault status reg 2\n"),
    "the words of a status": ("linux faults", "[   46.851870] DMAR: DRHD: handling\nfault status reg 2\n"),
    "the letters of iasl": ("tables", iasl(DMAR).replace("  // ", "  //\n"))}
"""What a mail program made two lines of, of each reader that misread it once."""


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_a_mail_program_broke_is_read_as_one(kind):
    reader, text = WRAPPED[kind]
    whole = text.replace("|[\n", "[") if "the time" in kind else text.replace("\nStep", " Step").replace(
        "\nController", " Controller").replace("\n0x", "\t0x").replace("->\n", "-> ").replace(
        "\nd0", " d0").replace("handling\n", "handling ").replace("//\n", "// ")
    assert whole != text and found(text) == found(whole) and list(found(whole)) == [reader]


def broken(text: str, width: int) -> str:
    """As a terminal shows it, and as it is copied from some."""
    return "".join(f"{line[at:at + width]}\n" for line in text.splitlines() for at in range(0, len(line) or 1, width))


@pytest.mark.parametrize("width", [80, 100, 120, 132])
@pytest.mark.parametrize("kind", [kind for kind, (_, _, text) in KINDS.items() if any(
    mark in text for mark in ("(XEN) ", "[   58.44", "[    0.2", "[000]"))])
def test_a_log_that_a_terminal_has_broken_at_its_width_is_whole(kind, width):
    text = KINDS[kind][2]
    assert found(broken(text, width)) == found(text)


@pytest.mark.parametrize("width", [80, 100, 132])
@pytest.mark.parametrize("cpus", [4, 8, 16, 64])
def test_counts_that_a_terminal_has_broken_at_its_width_are_whole(cpus, width):
    text = "     " + "".join(f"{f'CPU{cpu}':>11}" for cpu in range(cpus)) + "\n" + "".join(
        f"{24 + row:4}:" + "".join(f"{(row * 977 + cpu * 7919) % 123457:11}" for cpu in range(cpus))
        + f"  IR-PCI-MSIX-0000:01:00.0 {row:4}-edge      nvme0q{row}\n" for row in range(6))
    assert found(broken(text, width)) == found(text)


def test_counts_that_a_pager_has_cut_tell_no_number_of_processors():
    text = "     " + "".join(f"{f'CPU{cpu}':>11}" for cpu in range(16)) + "\n"
    text += " 24:" + f"{7:11}" * 16 + "  IR-PCI-MSI 1-edge a\n"
    cut = "".join(f"{line[:79]}>\n" for line in text.splitlines())
    assert [see(read([("text", each)])).counts != [] for each in (text, cut)] == [True, False]


@pytest.mark.parametrize("seed", range(4))
def test_all_kinds_in_one_paste_are_read_as_they_are_alone(seed):
    order = list(KINDS.values())
    random.Random(seed).shuffle(order)
    alone: dict[str, list[object]] = {}
    for reader, _, text in order:
        alone.setdefault(reader, []).extend(found(text)[reader])
    together = found("\n".join(text for _, _, text in order))
    for reader, records in alone.items():
        assert together[reader] == records, reader
    assert together.keys() == alone.keys()


@pytest.mark.parametrize("word", ["quoted-printable", "Quoted-Printable"])
def test_a_mail_is_recognised_by_its_lines_as_they_were(word):
    mail = f"Content-Transfer-Encoding: {word}\n\n" + re.sub(r"(?m)^(?=\S)(..)", "\\1=\n", LSPCI)
    assert [(piece.kind, piece.count) for piece in read([("mail", mail)]).pieces] == [
        (piece.kind, piece.count) for piece in read([("text", LSPCI)]).pieces]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_was_cut_after_a_line_says_nothing_of_what_is_missing(kind):
    def told(text: str) -> tuple[set[str], set[tuple[str, bool | None]]]:
        report = examine([("t", text)])
        broken = {each.text for each in report.findings if each.row.severity == BROKEN}
        return broken, {(unit.name, unit.on) for unit in report.picture.units if unit.on is not None}

    rows = KINDS[kind][2].splitlines(keepends=True)
    broken, units = told("".join(rows))
    for count in range(len(rows)):
        cut = told("".join(rows[:count]))
        assert {text for text in cut[0] - broken if "no reason is told" not in text} == set()
        assert cut[1] <= units
