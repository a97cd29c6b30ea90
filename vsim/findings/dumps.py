"""All kinds of dumps, a row each: what a person asks for, which tool prints it, and what writes it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vsim.findings import dump_debugfs, dump_faults, dump_linux, dump_qemu, dump_units, dump_xen, dump_xen_irqs
from vsim.findings.subject import Subject


class Kind(NamedTuple):
    """name: what to ask for; tool: where a real machine has it; write: the text of a machine.
    """

    name: str
    tool: str
    write: Callable[[Subject], str]


KINDS: dict[str, Kind] = {kind.name: kind for kind in (
    Kind("ir_translation_struct", "Linux: /sys/kernel/debug/iommu/intel/ir_translation_struct",
         dump_units.ir_translation_struct),
    Kind("iommu_regset", "Linux: /sys/kernel/debug/iommu/intel/iommu_regset", dump_units.iommu_regset),
    Kind("/proc/interrupts", "Linux: /proc/interrupts", dump_linux.proc_interrupts),
    Kind("debugfs irq", "Linux: /sys/kernel/debug/irq/irqs, a heading before each file", dump_debugfs.debugfs_irq),
    Kind("linux faults", "Linux: dmesg -t, the lines of faults", dump_faults.linux_faults),
    Kind("xen faults", "Xen: xl dmesg, the lines of faults", dump_faults.xen_faults),
    Kind("info lapic", "QEMU's monitor: info lapic, of every vCPU", dump_qemu.info_lapic),
    Kind("info pic", "QEMU's monitor: info pic, the I/O APICs", dump_qemu.info_pic),
    Kind("V", "Xen: xl debug-keys V, the remapping tables", dump_xen.key_v),
    Kind("M", "Xen: xl debug-keys M, the messages", dump_xen_irqs.key_m),
    Kind("i", "Xen: xl debug-keys i, the interrupts", dump_xen_irqs.key_i),
    Kind("z", "Xen: xl debug-keys z, the I/O APICs", dump_xen_irqs.key_z),
)}
"""Every kind of dump by its name."""


def dump(kind: str, subject: Subject) -> str:
    """What the tool of a kind would print of a machine. ValueError: an unknown kind, or one that needs a kernel."""
    row = KINDS.get(kind) if isinstance(kind, str) else None
    if row is None:
        raise ValueError(f"no dump {str(kind)[:60]!a}; dumps are {', '.join(map(repr, KINDS))}")
    return row.write(subject)
