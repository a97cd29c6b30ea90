"""Fault lines of Linux and of Xen: what either's handler would print of the records that the machine's kernel read.

A record that nobody has read yet is in no log. The forms are those of Linux 6.12 (drivers/iommu/intel/dmar.c; as
`dmesg -t` has them, and without its limit of 10 lines in 5 seconds) and of Xen 4.17 (xen/drivers/passthrough/vtd/
iommu.c, iommu_page_fault_do_one); `readers/linux_faults` and `readers/xen_faults` read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vsim.findings.past import Past
from vsim.findings.subject import Subject
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import FSTS
from vsim.readers.linux_faults import WORDS
from vsim.readers.xen_faults import STATUS

DMA_WORDS = (
    "Software", "Present bit in root entry is clear", "Present bit in context entry is clear", "Invalid context entry",
    "Access beyond MGAW", "PTE Write access is not set", "PTE Read access is not set",
    "Next page table ptr is invalid", "Root table address invalid", "Context table ptr is invalid",
    "non-zero reserved fields in RTP", "non-zero reserved fields in CTP", "non-zero reserved fields in PTE")
"""What both print for the reasons 0 to 0Ch of DMA faults."""
_PAGE = FRCD.fi.mask | FRCD.index.mask      # where a DMA fault has its page, and an interrupt fault its index
_BITS = {field: word for word, field in STATUS.items() if word != "Primary Fault Overflow"}    # of older versions


class _Told(NamedTuple):
    """What a handler makes of a record. kind: "interrupt", "dma", or "" for a reason that it does not know."""

    kind: str
    source: str
    handle: int
    address: int
    way: str
    reason: int
    words: str


def _told(record: int) -> _Told:
    reason = get(record, FRCD.reason)
    kind = "interrupt" if reason in WORDS else "dma" if reason < len(DMA_WORDS) else ""
    words = WORDS.get(reason) or (DMA_WORDS[reason] if kind else "Unknown")
    return _Told(kind, bdf_text(get(record, FRCD.sid)), get(record, FRCD.index), record & _PAGE,
                 "DMA Read" if get(record, FRCD.t) else "DMA Write", reason, words)


def linux_faults(subject: Subject) -> str:
    """The lines of Linux: the status of every visit of its handler, then a line for each record."""
    return "".join(f"DMAR: {line}\n" for line in _linux(Past(subject)))


def _linux(past: Past) -> Iterator[str]:
    for visit in past.handled:
        yield f"DRHD: handling fault status reg {visit.status:x}"
        for told in map(_told, visit.records):
            where = (f"[INTR-REMAP] Request device [{told.source}] fault index {told.handle:#x}"
                     if told.kind == "interrupt" else
                     f"[{told.way} NO_PASID] Request device [{told.source}] fault addr {told.address:#x}")
            yield f"{where} [fault reason {told.reason:#04x}] {told.words}"


def xen_faults(subject: Subject) -> str:
    """The lines of Xen (loglvl=all): bits of FSTS in words at every visit of its handler, two lines for each record."""
    return "".join(f"(XEN) [VT-D]{line}\n" for line in _xen(Past(subject)))


def _xen(past: Past) -> Iterator[str]:
    for visit in past.handled:
        yield from (f"iommu_fault_status: {word}" for field, word in _BITS.items()
                    if visit.status & getattr(FSTS, field).mask)
        for told in map(_told, visit.records):
            device = f"Request device [0000:{told.source}]"
            name = {"interrupt": "INTR-REMAP", "dma": "DMAR"}.get(told.kind, "UNKNOWN")
            if told.kind == "interrupt":
                yield f"{name}: {device} fault index {told.handle:x}"
            else:
                yield f"{name}:{f'[{told.way}]' if told.kind else ''} {device} fault addr {told.address:x}"
            yield f"{name}: reason {told.reason:02x} - {told.words}"
