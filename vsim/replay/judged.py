"""What the protocol checker finds in recordings of real drivers, each finding judged by the driver's source."""

from __future__ import annotations

from typing import NamedTuple


class Judged(NamedTuple):
    """A kind of finding. rule: its name; times: how often, by recording; where: version, file and function;

    true: the driver breaks the rule; else our recording or another program is the reason. why: harmless or not.
    """

    rule: str
    times: dict[str, int]
    where: str
    true: bool
    why: str


SMALL, DEBIAN, SHIPPED, XEN = "linux-6.12-8cpu", "linux-6.12-debian-8cpu", "notebook 16", "xen-4.17"
"""The recordings: a small configuration of Linux 6.12.117, Debian's kernel 6.12.95, its 6.12.86, which ships, and
Debian's Xen 4.17.7."""

JUDGED = (
    Judged("torn-entry", {SMALL: 31, DEBIAN: 34, SHIPPED: 35},
           "Linux, drivers/iommu/intel/irq_remapping.c, modify_irte", True,
           "A new entry in the remapped format is written by two stores of 8 bytes, the half with P first; only posted "
           "ones are exchanged by 16. Between the two it is present with SVT 0. The device that owns it is not "
           "programmed yet; another one could raise the vector in that moment. A move changes the low half alone, "
           "so it is not torn."),
    Judged("source-check", {SMALL: 31, DEBIAN: 34, SHIPPED: 35},
           "Linux, drivers/iommu/intel/irq_remapping.c, modify_irte", True,
           "The same moment seen from the other side: the half that is there first checks nobody. It ends with the "
           "next store."),
    Judged("gcmd-read", {SMALL: 5}, "Linux, drivers/iommu/intel/debugfs.c, the file iommu_regset", True,
           "Once for each time that somebody reads the file, which lists GCMD among the registers. Nothing is made of "
           "the value: the driver keeps the state of its own. In Debian's run nobody did."),
    Judged("apic-enabled", {SMALL: 1, DEBIAN: 2, SHIPPED: 1},
           "before the kernel: the fourth or fifth line of the recording", False,
           "A message with vector 0 before the firmware has switched on any local APIC. Who sent it is not recorded. "
           "Debian's second is the kernel's own, at power off: stop_this_cpu (arch/x86/kernel/process.c) has switched "
           "all local APICs off, and a network card sends once more. Nobody waits for it."),
    Judged("one-shot-masked", {XEN: 5}, "Xen, drivers/passthrough/vtd: enable_intremap, disable_intremap "
           "(intremap.c), disable_qinval (qinval.c), iommu_set_root_entry, iommu_enable_translation (iommu.c)",
           True,
           "Each makes the new command of the status, in which SIRTP and SRTP stay set once given: a table is "
           "latched again, five times. Harmless: the pointers are still those that were latched; before the last "
           "time IRTA.EIME was cleared, but remapping is off by then. A unit without ESIRTPS wants a flush each time; "
           "Xen has one after the first alone, which a recording that ends early shows as flush-after-sirtp."),
    Judged("apic-enabled", {XEN: 2}, "before Xen, the second line of the recording; and Xen, arch/x86/apic.c, "
           "lapic_suspend: its last line", True,
           "A message with vector 0 before the firmware has switched on any local APIC, as under Linux. The other at "
           "power off: Xen has switched off its local APIC and then remapping, but no device; a message of virtio-net, "
           "in remappable format, passes as it is, read as vector 0 for APIC ID 0. Harmless: nobody waits for it."),
)
"""The findings, most frequent first: Linux's, then Xen's."""
