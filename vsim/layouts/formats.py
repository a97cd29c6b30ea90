"""Every structure that an interrupt meets on its way, declared once: messages, table entries, descriptors.

Section numbers are those of the VT-d specification, revision 4.x and 5.x, and of the Intel SDM, volume 3 ("SDM").
Registers of the remapping unit, the APICs and PCI capabilities are in `registers`.
"""

from __future__ import annotations

from enum import IntEnum

from vsim.layouts.bits import Access, Field, Layout, flag, reserved

RO = Access.RO


class Dlm(IntEnum):
    """Delivery mode, three bits wherever it occurs (3 and 6 are reserved; 6 is SIPI in an ICR)."""

    FIXED = 0
    LOWEST = 1
    SMI = 2
    NMI = 4
    INIT = 5
    SIPI = 6
    EXTINT = 7


DLM_NAMES = {0: "fixed", 1: "lowest priority", 2: "SMI", 3: "reserved", 4: "NMI", 5: "INIT", 6: "reserved",
             7: "ExtINT"}
DM_NAMES = {0: "physical", 1: "logical"}
TM_NAMES = {0: "edge", 1: "level"}
SVT_NAMES = {0: "no check", 1: "by sid", 2: "by bus", 3: "reserved"}
SQ_NAMES = {0: "all bits", 1: "ignore bit 2", 2: "ignore bits 2:1", 3: "ignore bits 2:0"}


class Reason(IntEnum):
    """Interrupt-remapping fault reasons (VT-d 5.1.4.1, V 5.3); NONE is not a fault."""

    NONE = 0
    REQUEST_RESERVED = 0x20
    INDEX_OVER = 0x21
    NOT_PRESENT = 0x22
    TABLE_ERROR = 0x23
    ENTRY_RESERVED = 0x24
    COMPATIBILITY = 0x25
    SOURCE_ID = 0x26
    DESCRIPTOR_ERROR = 0x27
    DESCRIPTOR_RESERVED = 0x28


REASON_TEXT: dict[int, str] = {
    Reason.NONE: "no fault",
    Reason.REQUEST_RESERVED: "a reserved field is set in the remappable request",
    Reason.INDEX_OVER: "the interrupt index is beyond the remapping table",
    Reason.NOT_PRESENT: "the entry is not present (P=0)",
    Reason.TABLE_ERROR: "the entry could not be read through the table address",
    Reason.ENTRY_RESERVED: "a reserved field or an invalid setting in a present entry",
    Reason.COMPATIBILITY: "a compatibility-format request is blocked",
    Reason.SOURCE_ID: "the requester is not the source that the entry allows",
    Reason.DESCRIPTOR_ERROR: "the posted-interrupt descriptor could not be accessed",
    Reason.DESCRIPTOR_RESERVED: "a reserved field is set in the posted-interrupt descriptor",
}

# --- messages (VT-d 5.1.2; V 3.2, 3.3) ---

MSI_ADDRESS = Layout(
    "MSI address, compatibility format", 64, "VT-d 5.1.2.1",
    Field("upper", 32, 32, "0 from a device; destination bits 31:8 (as bits 31:8) in a unit's own output"),
    Field("fee", 20, 12, "0xFEE"),
    Field("dest", 12, 8, "destination APIC ID, 8 bits"),
    Field("ext", 5, 7, "destination bits 14:8 where the extended destination ID is offered, else reserved"),
    flag("format", 4, "interrupt format: 0 compatibility"),
    flag("rh", 3, "redirection hint: 1 deliver to one of the set"),
    Field("dm", 2, 1, "destination mode", names=DM_NAMES),
    Field("ignored", 0, 2, "don't care"))

MSI_DATA = Layout(
    "MSI data, compatibility format", 32, "VT-d 5.1.2.1",
    reserved(16, 16),
    Field("tm", 15, 1, "trigger mode", names=TM_NAMES),
    flag("level", 14, "1 assert"),
    reserved(11, 3),
    Field("dlm", 8, 3, "delivery mode", names=DLM_NAMES),
    Field("vector", 0, 8, "vector"))

REMAP_ADDRESS = Layout(
    "MSI address, remappable format", 64, "VT-d 5.1.2.2",
    reserved(32, 32),
    Field("fee", 20, 12, "0xFEE"),
    Field("handle", 5, 15, "index of the entry, or of the first of a block when shv is set", more=((2, 1),)),
    flag("format", 4, "interrupt format: 1 remappable"),
    flag("shv", 3, "subhandle valid: add data 15:0 to the handle"),
    Field("ignored", 0, 2, "don't care"))

REMAP_DATA = Layout(
    "MSI data, remappable format", 32, "VT-d 5.1.2.2",
    Field("upper", 16, 16, "reserved, must be 0, when shv is set; ignored otherwise"),
    Field("subhandle", 0, 16, "added to the handle when shv is set; ignored otherwise"))

# --- I/O APIC redirection table entry (A 7.2; V 3.4) ---

RTE = Layout(
    "RTE, compatibility format", 64, "82093AA 3.2.4",
    Field("dest", 56, 8, "destination APIC ID"),
    Field("ext", 49, 7, "destination bits 14:8 where the extended destination ID is offered, else reserved"),
    flag("format", 48, "interrupt format: 0 compatibility"),
    reserved(17, 31),
    flag("mask", 16, "1: the pin sends nothing", reset=1),
    Field("tm", 15, 1, "trigger mode", names=TM_NAMES),
    flag("irr", 14, "remote IRR: a level interrupt was sent and not yet ended", RO),
    flag("polarity", 13, "1 active low"),
    flag("status", 12, "delivery status", RO),
    Field("dm", 11, 1, "destination mode", names=DM_NAMES),
    Field("dlm", 8, 3, "delivery mode", names=DLM_NAMES),
    Field("vector", 0, 8, "vector; an EOI is matched with it"))

RTE_REMAP = Layout(
    "RTE, remappable format", 64, "VT-d 5.1.5.1",
    Field("handle", 49, 15, "index of the entry", more=((11, 1),)),
    flag("format", 48, "interrupt format: 1 remappable"),
    reserved(17, 31),
    flag("mask", 16, "1: the pin sends nothing", reset=1),
    Field("tm", 15, 1, "trigger mode; software keeps it equal to the entry's", names=TM_NAMES),
    flag("irr", 14, "remote IRR", RO),
    flag("polarity", 13, "1 active low"),
    flag("status", 12, "delivery status", RO),
    Field("zero", 8, 3, "must be 0: forces shv=0 in the message"),
    Field("vector", 0, 8, "an EOI is matched with it; software keeps it equal to the entry's"))

# --- interrupt remapping table entry (VT-d 9.9, 9.10; V 4.1, 4.3) ---

_SOURCE = (
    Field("sid", 64, 16, "requester that is allowed in", form="bdf"),
    Field("sq", 80, 2, "which bits of the function number are compared", names=SQ_NAMES),
    Field("svt", 82, 2, "how the requester is checked; 1: it is sid in the bits that sq leaves; 2: its bus is one of "
          "sid[15:8] to sid[7:0]", names=SVT_NAMES))
_COMMON = (
    flag("p", 0, "present; 0: the request faults with 22h"),
    flag("fpd", 1, "fault processing disable: faults of this entry are not recorded; counts even when p=0"),
    Field("avail", 8, 4, "for software"))

IRTE = Layout(
    "IRTE, remapped", 128, "VT-d 9.9", *_COMMON,
    Field("dm", 2, 1, "destination mode", names=DM_NAMES),
    flag("rh", 3, "redirection hint: 1 deliver to one of the set in dst"),
    Field("tm", 4, 1, "trigger mode", names=TM_NAMES),
    Field("dlm", 5, 3, "delivery mode", names=DLM_NAMES),
    reserved(12, 3),
    flag("im", 15, "mode: 0 remapped, 1 posted"),
    Field("vector", 16, 8, "vector that the local APIC receives"),
    reserved(24, 8),
    Field("dst", 32, 32, "destination APIC ID: all bits with EIME=1; bits 15:8 with EIME=0, the rest reserved"),
    *_SOURCE,
    reserved(84, 44))

IRTE_POSTED = Layout(
    "IRTE, posted", 128, "VT-d 9.10", *_COMMON,
    reserved(2, 6),
    reserved(12, 2),
    flag("urg", 14, "urgent: notify even while notifications are suppressed"),
    flag("im", 15, "mode: 1 posted"),
    Field("vector", 16, 8, "virtual vector: the bit of the descriptor's PIR to set"),
    reserved(24, 14),
    Field("pda", 38, 26, "posted-interrupt descriptor address, bits 63:6", more=((96, 32),)),
    *_SOURCE,
    reserved(84, 12))

XAPIC_DST_RESERVED = 0xFFFF_00FF
"""Bits of IRTE.dst that are reserved while EIME=0 (entry bits 63:48 and 39:32); the ID is in bits 15:8."""

# --- posted-interrupt descriptor (VT-d 9.11; V 4.4) ---

PID = Layout(
    "posted-interrupt descriptor", 512, "VT-d 9.11",
    Field("pir", 0, 256, "posted interrupt requests, a bit for each virtual vector"),
    flag("on", 256, "outstanding notification"),
    flag("sn", 257, "suppress notification"),
    reserved(258, 14),
    Field("nv", 272, 8, "notification vector"),
    reserved(280, 8),
    Field("ndst", 288, 32, "notification destination, physical APIC ID (xAPIC: bits 15:8 of the field)"),
    reserved(320, 192))

# --- fault record (VT-d 11.4.14; V 1.6) ---

FRCD = Layout(
    "FRCD", 128, "VT-d 11.4.14",
    reserved(0, 12),
    Field("fi", 12, 36, "fault information, 0 for interrupt faults", RO),
    Field("index", 48, 16, "interrupt index of the request", RO),
    Field("sid", 64, 16, "requester", RO, "bdf"),
    reserved(80, 12),
    Field("t2", 92, 1, "0 for interrupt faults", RO),
    Field("priv", 93, 1, "0 for interrupt faults", RO),
    Field("exe", 94, 1, "0 for interrupt faults", RO),
    Field("pp", 95, 1, "0 for interrupt faults", RO),
    Field("reason", 96, 8, "fault reason", RO, names=REASON_TEXT),
    Field("pv", 104, 20, "0 for interrupt faults", RO),
    Field("at", 124, 2, "0 for interrupt faults", RO),
    Field("t", 126, 1, "0: a write", RO),
    flag("f", 127, "fault: the record is in use", Access.W1C))

# --- invalidation queue descriptors (VT-d 6.5; V 7.2 to 7.4) ---


class DescriptorType(IntEnum):
    """Bits 3:0 of an invalidation descriptor."""

    CONTEXT = 1
    IOTLB = 2
    DEVICE_TLB = 3
    IEC = 4
    WAIT = 5
    PASID_IOTLB = 6
    PASID_CACHE = 7
    PASID_DEVICE_TLB = 8
    PAGE_GROUP = 9


DESCRIPTOR_NAMES: dict[int, str] = {
    1: "context-cache", 2: "iotlb", 3: "device-iotlb", 4: "iec", 5: "wait", 6: "pasid-iotlb",
    7: "pasid-cache", 8: "device-piotlb", 9: "page-group-response"}

_GRANULARITY = {1: "global", 2: "domain-selective", 3: "the finest: device or page"}
PAGE_SELECTIVE = 3
"""Granularity of an IOTLB invalidation that names pages."""

CONTEXT_INV = Layout(
    "context-cache invalidation descriptor", 128, "VT-d 6.5.2.1",
    Field("type", 0, 4, "1", names=DESCRIPTOR_NAMES),
    Field("g", 4, 2, "granularity", names=_GRANULARITY),
    reserved(6, 3),
    Field("type_high", 9, 3, "upper bits of the type, 0"),
    reserved(12, 4),
    Field("did", 16, 16, "domain"),
    Field("sid", 32, 16, "requester", form="bdf"),
    Field("fm", 48, 2, "function bits that are ignored"),
    reserved(50, 78))

IOTLB_INV = Layout(
    "IOTLB invalidation descriptor", 128, "VT-d 6.5.2.3",
    Field("type", 0, 4, "2", names=DESCRIPTOR_NAMES),
    Field("g", 4, 2, "granularity", names=_GRANULARITY),
    flag("dw", 6, "drain writes"),
    flag("dr", 7, "drain reads"),
    reserved(8, 1),
    Field("type_high", 9, 3, "upper bits of the type, 0"),
    reserved(12, 4),
    Field("did", 16, 16, "domain"),
    reserved(32, 32),
    Field("am", 64, 6, "address mask: 2^am pages, at most 2^CAP.MAMV", form="dec"),
    flag("ih", 70, "only leaf entries have changed"),
    reserved(71, 5),
    Field("address", 76, 52, "address, bits 63:12"))

DEVICE_TLB_INV = Layout(
    "device-TLB invalidation descriptor", 128, "VT-d 6.5.2.5",
    Field("type", 0, 4, "3", names=DESCRIPTOR_NAMES),
    reserved(4, 5),
    Field("type_high", 9, 3, "upper bits of the type, 0"),
    reserved(12, 4),
    Field("mip", 16, 5, "invalidations that the device takes at once"),
    reserved(21, 11),
    Field("sid", 32, 16, "requester", form="bdf"),
    reserved(48, 16),
    flag("s", 64, "the address encodes a range"),
    reserved(65, 11),
    Field("address", 76, 52, "address, bits 63:12"))

IEC = Layout(
    "IEC invalidation descriptor", 128, "VT-d 6.5.2.7",
    Field("type", 0, 4, "4", names=DESCRIPTOR_NAMES),
    Field("g", 4, 1, "granularity", names={0: "global", 1: "index-selective"}),
    reserved(5, 4),
    Field("type_high", 9, 3, "upper bits of the type, 0"),
    reserved(12, 15),
    Field("im", 27, 5, "index mask: 2^im entries, low im bits of iidx ignored", form="dec"),
    Field("iidx", 32, 16, "interrupt index"),
    reserved(48, 80))

WAIT = Layout(
    "wait descriptor", 128, "VT-d 6.5.2.8",
    Field("type", 0, 4, "5", names=DESCRIPTOR_NAMES),
    flag("iflag", 4, "IF: raise the completion event"),
    flag("sw", 5, "status write"),
    flag("fn", 6, "fence"),
    flag("pd", 7, "page-request drain; reserved without ECAP.PDS"),
    reserved(8, 1),
    Field("type_high", 9, 3, "upper bits of the type, 0"),
    reserved(12, 20),
    Field("data", 32, 32, "status data"),
    reserved(64, 2),
    Field("address", 66, 62, "status address, bits 63:2"))


def remap_message(index: int, sub: int | None = None) -> tuple[int, int]:
    """(address, data) of a remappable MSI for `index`; with `sub` the subhandle is valid and index is the base.

    >>> [hex(value) for value in remap_message(0x8123)]
    ['0xfee02474', '0x0']
    """
    if not 0 <= index <= 0xFFFF:
        raise ValueError(f"index {index:#x} is over its limit 0xffff")
    address = REMAP_ADDRESS.make(fee=0xFEE, handle=index, format=1, shv=sub is not None)
    return address, REMAP_DATA.make(subhandle=sub or 0)


def msi_message(dest: int, vector: int, dm: int = 0, rh: int = 0, dlm: int = 0, tm: int = 0) -> tuple[int, int]:
    """(address, data) of a compatibility-format MSI. ValueError when a value does not fit (dest: 8 bits)."""
    return (MSI_ADDRESS.make(fee=0xFEE, dest=dest, dm=dm, rh=rh),
            MSI_DATA.make(vector=vector, dlm=dlm, tm=tm, level=tm))
