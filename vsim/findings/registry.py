"""Which texts are recognised, by what, and who reads them: a row for each.

A text is recognised by its content, never by its name; one paste may have several. A row's `hint` is looked for in the
whole text first, so that a reader that has nothing to do costs nothing; the reader itself then picks its own lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from vsim.readers.pieces import Line, Reading


class Reader(NamedTuple):
    """name; text: what it recognises; module: in `vsim.readers`; hint: what such a text has somewhere."""

    name: str
    text: str
    module: str
    hint: re.Pattern[str]

    def read(self, lines: Sequence[Line]) -> Reading:
        """What the reader finds."""
        function: Callable[[Sequence[Line]], Reading] = import_module(f"vsim.readers.{self.module}").read
        return function(lines)


def _row(name: str, text: str, module: str, hint: str, flags: int = 0) -> Reader:
    return Reader(name, text, module, re.compile(hint, re.MULTILINE | flags))


READERS = (
    _row("linux faults", "fault lines of Linux, FSTS, queue errors", "linux_faults",
         r"INTR-REMAP|DMAR:? ?\[|DMAR:.{0,40}\[|fault\s+status\s+reg|fault (?:index|reason|addr)|VT-d detected|"
         r"QI HEAD"),
    _row("linux interrupts", "/sys/kernel/debug/irq/irqs", "debugfs_irq", r"handler: |\bhwirq:|effectiv:"),
    _row("linux vectors", "/sys/kernel/debug/irq/domains", "vector_matrix",
         r"Online bitmaps|\| CPU \||\bmapped: |Global available"),
    _row("linux entries", "ir_translation_struct", "ir_table",
         r"Interrupt supported on IOMMU|IR table address|"
         r"^[ \t]*\d{1,6}[ \t]+[0-9a-f]{2}:[0-9a-f]{2}\.[0-7][ \t]+[0-9a-f]{8}"),
    _row("linux registers", "iommu_regset", "regset",
         r"Register Base Address:|^[ \t]*(?:VER|CAP|ECAP|GSTS|FSTS|IRTA)[ \t]+0x[0-9a-f]"),
    _row("linux queue", "invalidation_queue", "invalidation_queue", r"Invalidation queue on IOMMU"),
    _row("linux translation", "dmar_translation_struct, domain_translation_struct", "dma_table",
         r"Root Table Address|DMA Remapping is not enabled|0x[0-9a-f]{16}:0x[0-9a-f]{16}|"
         r"Device [0-9a-f]{4}:[0-9a-f:.]{7} (?:with pasid|@0x)"),
    _row("linux counts", "/proc/interrupts", "proc_interrupts",
         r"^[ \t]*CPU ?\d+[ \t]+CPU|"
         r"^[ \t]*\d{1,6}:[ \t]+\d+[ \t].*(?:edge|fasteoi|level|APIC|MSI)|^[ \t]*(?:NMI|LOC|RES|ERR):[ \t]+\d"),
    _row("linux vector events", "ftrace: vector_*, irq_matrix_*", "vector_events",
         r"\bvector_\w+: |\birq_matrix_\w+: "),
    _row("linux boot", "boot log of Linux", "linux_boot",
         r"DRHD|reg_base_addr|IOAPIC\[\d|Linux version |IRQ remapping|nterrupt.remapping|x2apic[: ]|smpboot|smp:|"
         r"irq handler for vector|returns all ones|nobody cared|Flags mismatch irq|No free IRQ vectors|"
         r"APIC (?:ID|id) mismatch|failed to enable fault|APIC error on CPU|completion\s+polled|lost\s+interrupt|"
         r"on\s+cmd_eq|purious (?:APIC )?interrupt|"
         r"APIC routing|mapping iommu|Affinity broken|nr_cpu_ids|"
         r"LAPIC \(acpi_id"),
    _row("xen faults", "fault lines of Xen", "xen_faults", r"iommu_fault|INTR-REMAP|VT-?[Dd]\]"),
    _row("xen boot", "boot log of Xen", "xen_boot",
         r"VT-?[Dd]\]|\(XEN\)|Intel VT-d [A-Z]|APIC driver |I/O virtualisation"),
    _row("xen entries", "Xen's debug key V", "xen_tables",
         r"nr_pt_levels|Interrupt remapping table|Redirection table|^.{0,40}[0-9a-f]{4}:(?:\s+[0-9a-f]{1,8}){12}"),
    _row("xen interrupts", "Xen's debug keys M, i, z; apic=debug", "xen_irqs",
         r"\bIRQ: *\d|\bvec=[0-9a-f]{2}|\bvec:[0-9a-f]{2}|Direct vector|IRQ information|IO[-_ ]APIC (?:#|interrupt)|"
         r"Apic 0x[0-9a-f]{2}, Pin|\bpin[0-9a-f]{2}, (?:dis|en)abled|"
         r"^.{0,40}\bNR  ?[DL]"),
    _row("xen vpci", "Xen's debug key M, functions of a domain with vPCI", "xen_vpci", r"vPCI MSI|dest_id=\d"),
    _row("xen registers", "registers of the units, by Xen", "xen_regs", r"print_iommu_regs"),
    _row("xen guest", "a guest's I/O APIC and local APICs, by Xen", "xen_hvm",
         r"IOAPIC: base_address|LAPIC: base_msr|\[HVM:\d|ioapic redirtbl"),
    _row("amd log", "AMD-Vi: events and boot lines", "amd_log",
         r"AMD-Vi|AMD_IOV|DEV_SPECIAL|in IVRS table|IVHD Error|"
         r"(?:_ENTRY|_ERROR|_TIMEOUT|_REQUEST|event)(?: [0-9a-f]{8}){4}"),
    _row("amd entries", "Xen's debug key V on AMD", "amd_tables", r"IRTE\[[0-9a-f]{3,4}\]"),
    _row("qemu trace", "QEMU's trace events", "qemu_trace",
         r"\b(?:vtd|apic|ioapic|msix?|kvm_irqchip|x86_iommu|pic)_[a-z_]+ |intel_iommu: |vtd_"),
    _row("qemu monitor", "info lapic, info pic, info irq", "qemu_monitor",
         r"dumping local APIC state|^ioapic\d|^pic\d: irr|IRQ statistics for|^[ \t]*pin +\d+ +0x"),
    _row("lspci", "lspci in every verbosity, with bytes", "lspci",
         r"^[ \t]*(?:[0-9a-f][0-9a-f:.]{3,15}/)*"
         r"(?:[0-9a-f]{4,8}:)?(?:[0-9a-f]{2}:)?[0-9a-f]{2}\.[0-7] (?:[A-Z\"][^\n]*|[0-9a-f]{4})[:\"]|"
         r"^[ \t]*-(?:\+-)?\[[0-9a-f]{2,8}[:\]]|[0-9a-f]{2}\.[0-7]-\[[0-9a-f]{2}|"
         r"^[ \t]*(?:Slot|Device):[ \t]+(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"),
    _row("cpuid", "CPUID leaves of every CPU", "cpuid", r"Logical CPU\s*#\d|^[ \t]*CPU(?: \d+)?:\s*$"),
    _row("tables", "acpidump, iasl, dumps of bytes", "acpi_text",
         r" @ (?:0x)?[0-9a-f]{4}|Raw Table Data|"
         r"^[ \t]*0{4,8}:? +(?:44 4d 41 52|41 50 49 43|49 56 52 53|444d 4152|4150 4943|4956 5253|"
         r"4d44 5241|5041 4349|5649 5352)",
         re.IGNORECASE),
)
"""The readers. Beside them `paste` reads binary tables and configurations."""
