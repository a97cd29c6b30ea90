"""Bits of AMD's IOMMU that interrupts meet: remapping entries of 32 and 128 bits, events, fields of its ACPI table.

They are decoded and explained, not simulated. Each layout names the source that was read: drivers/iommu/amd of Linux
(amd_iommu_types.h, init.c), xen/drivers/passthrough/amd of Xen (iommu-defs.h, and parse_event_log_entry of
iommu_init.c), and VirtualBox's emulation of the unit (include/VBox/iommu-amd.h, DevIommuAmd.cpp), whose comments have
the names of AMD's specification 48882. That itself was not looked up: no section of it is named.
"""

from __future__ import annotations

from vsim.layouts.bits import Access, Field, Layout, flag, reserved
from vsim.layouts.formats import DM_NAMES

RO = Access.RO

INT_TYPES = {0: "fixed", 1: "arbitrated (lowest priority)", 2: "reserved", 3: "reserved", 4: "reserved",
             5: "reserved", 6: "reserved", 7: "reserved"}
"""Interrupt types of a remapping entry; SMI, NMI, INIT and ExtINT are passed or blocked by the device table entry."""

_REMAPPED = (
    flag("remap_en", 0, "the entry is valid; 0: the request is aborted"),
    flag("sup_io_pf", 1, "suppress the event for requests that this entry refuses"),
    Field("int_type", 2, 3, "interrupt type", names=INT_TYPES),
    flag("rq_eoi", 5, "an EOI is asked for: level-triggered"),
    Field("dm", 6, 1, "destination mode", names=DM_NAMES))

AMD_IRTE = Layout(
    "AMD IRTE, 32 bits", 32, "Linux amd_iommu_types.h: union irte", *_REMAPPED,
    flag("guest_mode", 7, "0 in this format"),
    Field("dest", 8, 8, "destination APIC ID"),
    Field("vector", 16, 8, "vector that the local APIC receives"),
    reserved(24, 8))

AMD_IRTE_128 = Layout(
    "AMD IRTE, 128 bits, remapped", 128, "Linux amd_iommu_types.h: struct irte_ga", *_REMAPPED,
    flag("guest_mode", 7, "0: remapped"),
    Field("dest", 8, 24, "destination APIC ID, 32 bits with XTEn, else 8", more=((120, 8),)),
    reserved(32, 32),
    Field("vector", 64, 8, "vector that the local APIC receives"),
    reserved(72, 48))

AMD_IRTE_GUEST = Layout(
    "AMD IRTE, 128 bits, guest virtual APIC", 128, "Linux amd_iommu_types.h: struct irte_ga",
    flag("remap_en", 0, "the entry is valid; 0: the request is aborted"),
    flag("sup_io_pf", 1, "suppress the event for requests that this entry refuses"),
    flag("ga_log_intr", 2, "log the request in the guest virtual APIC log while the guest does not run"),
    reserved(3, 3),
    flag("is_run", 6, "the vCPU runs: it is told by a doorbell"),
    flag("guest_mode", 7, "1: to a guest's virtual APIC"),
    Field("dest", 8, 24, "APIC ID of the CPU that runs the vCPU", more=((120, 8),)),
    Field("ga_tag", 32, 32, "what the log says of the vCPU"),
    Field("vector", 64, 8, "vector in the guest's APIC"),
    reserved(72, 4),
    Field("ga_root", 76, 40, "the guest's APIC backing page, bits 51:12"),
    reserved(116, 4))

EVENT_TYPES = {
    0: "none", 1: "ILLEGAL_DEV_TABLE_ENTRY", 2: "IO_PAGE_FAULT", 3: "DEV_TAB_HARDWARE_ERROR",
    4: "PAGE_TAB_HARDWARE_ERROR", 5: "ILLEGAL_COMMAND_ERROR", 6: "COMMAND_HARDWARE_ERROR",
    7: "IOTLB_INV_TIMEOUT", 8: "INVALID_DEVICE_REQUEST", 9: "INVALID_PPR_REQUEST", 13: "RMP_PAGE_FAULT",
    14: "RMP_HW_ERROR"}
"""Types of an event by number, in Linux's words."""

AMD_EVENT_FLAGS = Layout(
    "AMD event flags", 12, "VirtualBox iommu-amd.h: EVT_IO_PAGE_FAULT_T; Xen amd/iommu_init.c: parse_event_log_entry",
    flag("gn", 0, "guest or nested: the address is a guest's", RO),
    flag("nx", 1, "no execute: execute permission was asked for", RO),
    flag("us", 2, "user or supervisor: 1 a user request", RO),
    flag("i", 3, "the request was an interrupt: the address is that of its message", RO),
    flag("pr", 4, "the page was present; of an interrupt: its entry was enabled", RO),
    flag("rw", 5, "a write; of no meaning for interrupts (I) and translation requests (TR)", RO),
    flag("pe", 6, "no permission for it", RO),
    flag("rz", 7, "a reserved bit was set, or a level that does not exist", RO),
    flag("tr", 8, "a translation request", RO), reserved(9, 3))

AMD_REQUEST_FLAGS = Layout(
    "AMD event flags, INVALID_DEVICE_REQUEST", 12, "VirtualBox iommu-amd.h: EVT_INVALID_DEV_REQ_T",
    flag("gn", 0, "guest or nested: the address is a guest's", RO),
    flag("us", 1, "user or supervisor: 1 a user request", RO), reserved(2, 6),
    flag("tr", 8, "a translation request", RO),
    Field("type", 9, 3, "why it is invalid, by number (what the numbers mean was not looked up)", RO))

AMD_EVENT = Layout(
    "AMD event", 128, "Linux amd_iommu_types.h: EVENT_*",
    Field("device", 0, 16, "requester", RO, "bdf"),
    Field("pasid", 32, 16, "domain, or bits 15:0 of the PASID (its bits 19:16 stand at 19:16)", RO, more=((16, 4),)),
    Field("other20", 20, 12, "of some types", RO),
    Field("flags", 48, 12, "see AMD_EVENT_FLAGS; of type 8 AMD_REQUEST_FLAGS", RO),
    Field("type", 60, 4, "what happened", RO, names=EVENT_TYPES),
    Field("address", 64, 64, "address that the device used; of an interrupt: the message's", RO))

DTE_FLAGS = Layout(
    "AMD device flags", 8, "Linux amd/init.c: ACPI_DEVFLAG_*",
    flag("init_pass", 0, "INIT requests pass"), flag("eint_pass", 1, "ExtINT requests pass"),
    flag("nmi_pass", 2, "NMI requests pass"), reserved(3, 1), Field("sysmgt", 4, 2, "system management messages"),
    flag("lint0_pass", 6, "legacy PIC's LINT0 passes"), flag("lint1_pass", 7, "LINT1 passes"))
"""What IVRS says of a device: which interrupts pass its device table entry unmapped."""

EFR = Layout(
    "AMD extended features", 64, "Linux amd_iommu_types.h: FEATURE_*; Xen amd/iommu-defs.h",
    flag("prefetch", 0, "prefetch", RO), flag("ppr", 1, "peripheral page requests", RO),
    flag("x2apic", 2, "32-bit destinations (XTSup)", RO), flag("nx", 3, "no-execute", RO),
    flag("gt", 4, "guest translation", RO), flag("gappi", 5, "interrupts from the guest APIC log", RO),
    flag("ia", 6, "invalidate all", RO),
    flag("ga", 7, "128-bit entries: guest virtual APIC (GASup)", RO), flag("he", 8, "hardware errors", RO),
    flag("pc", 9, "performance counters", RO), Field("other10", 10, 11, "not interrupts", RO),
    flag("gam_vapic", 21, "interrupts go to a guest's virtual APIC", RO),
    Field("other22", 22, 28, "not interrupts", RO), flag("ephsup", 50, "enhanced PPR handling", RO),
    Field("other51", 51, 12, "not interrupts", RO), flag("snp", 63, "secure nested paging", RO))
