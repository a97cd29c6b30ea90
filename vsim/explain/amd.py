"""Things of AMD's IOMMU told: remapping entries, events. They are explained, not simulated."""

from __future__ import annotations

from vsim.explain.messages import Known, Parts
from vsim.explain.told import Form, word
from vsim.layouts.amd import (
    AMD_EVENT,
    AMD_EVENT_FLAGS,
    AMD_IRTE,
    AMD_IRTE_128,
    AMD_IRTE_GUEST,
    AMD_REQUEST_FLAGS,
    EVENT_TYPES,
    INT_TYPES,
)
from vsim.layouts.bits import Layout, bdf_text, get
from vsim.layouts.formats import DM_NAMES
from vsim.readers.amd_log import Event

CURES = {
    1: "Give the device a valid entry in the device table, with its reserved bits 0.",
    2: "Of an interrupt: write an enabled entry at the index that the device sends, in the table of its own device id, "
       "and invalidate it. Of a memory access: map the page.",
    3: "Put the device table into memory that the IOMMU can read.",
    4: "Put the page or interrupt table into memory that the IOMMU can read.",
    5: "Look at the command at this address of the command buffer.",
    7: "The device does not answer invalidations of its own translations: look at the device, or turn ATS off for it.",
    8: "The device has asked for what it may not: a translation, or an interrupt of a kind that its device table "
       "entry blocks (see the device flags of IVRS).",
}
"""What would help, by the type of an event."""


def irte32(numbers: tuple[int, ...], known: Known) -> Parts:
    """An entry of 32 bits."""
    value = numbers[0]
    return (Form("AMD remapping entry, 32 bits", "", (word(AMD_IRTE, value),), (
        *_entry(AMD_IRTE, value),)),), _odd(AMD_IRTE, value)


def irte128(numbers: tuple[int, ...], known: Known) -> Parts:
    """An entry of 128 bits, given as its high and its low half; bit 7 says whether a guest's APIC is meant."""
    value = numbers[0] << 64 | numbers[1]
    if get(value, AMD_IRTE_GUEST.guest_mode):
        page = int(get(value, AMD_IRTE_GUEST.ga_root)) << 12
        return (Form("AMD remapping entry, guest virtual APIC", "", (word(AMD_IRTE_GUEST, value),), (
            *_off(value), f"Sets vector {get(value, AMD_IRTE_GUEST.vector):#x} in the APIC page at {page:#x}"
            + (f" and rings CPU {get(value, AMD_IRTE_GUEST.dest)}." if get(value, AMD_IRTE_GUEST.is_run) else
               "; the vCPU does not run."))),), _odd(AMD_IRTE_GUEST, value)
    return (Form("AMD remapping entry, 128 bits", "", (word(AMD_IRTE_128, value),), (
        *_entry(AMD_IRTE_128, value), "Without XTEn only destination bits 7:0 count.")),), _odd(AMD_IRTE_128, value)


def _off(value: int) -> tuple[str, ...]:
    if get(value, AMD_IRTE.remap_en):
        return ()
    silent = get(value, AMD_IRTE.sup_io_pf)
    return ("RemapEn is 0: the request is aborted" + (", without an event." if silent else
            " and logged as IO_PAGE_FAULT with the flag I. To pass: set RemapEn and invalidate the entry."),)


def _entry(layout: Layout, value: int) -> tuple[str, ...]:
    dest, kind = int(get(value, layout.dest)), int(get(value, layout.int_type))
    says = [*_off(value), f"Vector {get(value, layout.vector):#x} ({get(value, layout.vector)}), {INT_TYPES[kind]}, to "
                          f"{DM_NAMES[get(value, layout.dm)]} destination {dest:#x} ({dest})."]
    if kind > 1:
        says.append(f"Interrupt type {kind} is reserved: the request is refused. To pass: use 0 or 1.")
    return tuple(says)


def _odd(layout: Layout, value: int) -> tuple[str, ...]:
    bits = layout.reserved_set(value)
    return (f"reserved bits are set: {bits:#x}",) if bits else ()


def event(numbers: tuple[int, ...], known: Known) -> Parts:
    """An entry of the event log: four words of 32 bits, the lowest first."""
    value = sum(number << 32 * place for place, number in enumerate(numbers))
    flags = int(get(value, AMD_EVENT.flags))
    kind = EVENT_TYPES.get(int(get(value, AMD_EVENT.type)), "unknown")
    return (Form("AMD event", "", (word(AMD_EVENT, value), word(_flags(kind), flags)), _event_says(Event(
        "", 0, kind, int(get(value, AMD_EVENT.device)), address=int(get(value, AMD_EVENT.address)), flags=flags))),), ()


def _flags(kind: str) -> Layout:
    """The flags of a type of event."""
    return AMD_REQUEST_FLAGS if kind == EVENT_TYPES[8] else AMD_EVENT_FLAGS


def _event_says(happened: Event) -> tuple[str, ...]:
    number = next((number for number, name in EVENT_TYPES.items() if name == happened.kind), 0)
    who = happened.source if happened.segment or happened.rid is None else bdf_text(happened.rid)
    what = "caused an event" if not happened.interrupt else "made a request in the range of interrupts" \
        if number == 8 else "sent an interrupt that was refused"
    where = "" if happened.address is None else f" at address {happened.address:#x}"
    cure = CURES.get(number)
    return (f"{happened.kind}: {who} {what}{where}.", *((f"To pass: {cure}",) if cure else ()))


def logged(happened: Event) -> tuple[Form, ...]:
    """A line of a log about an event."""
    limit = (1 << AMD_EVENT_FLAGS.width) - 1
    words = () if happened.flags is None else (word(_flags(happened.kind), happened.flags & limit),)
    return (Form("AMD event", "", words, _event_says(happened)),)
