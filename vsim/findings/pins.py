"""Redirection entries as texts show them: Xen's keys V, i and z, Linux' apic=debug, QEMU's `info pic`.

Key V, Linux and QEMU print what the register holds. Keys i and z print what Xen reads back, which with remapping on has
vector and destination of the remapping entry in the place of its index (io_apic_read_remap_rte of Xen's intremap.c).
All but z count I/O APICs in the order in which they were found, z names them by id (xen/arch/x86/io_apic.c).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vsim.findings.picture import Entry, Picture, Side
from vsim.layouts.formats import RTE, RTE_REMAP, XAPIC_DST_RESERVED
from vsim.readers import qemu_monitor, xen_irqs

DEST_MOST = 0xFF
"""Largest destination of an entry in compatibility format."""


class Pin(NamedTuple):
    """A redirection entry of a text. ioapic: id; word: 64 bits; dest: of up to 32 bits, for which `word` has no room.

    held: the register holds this word; else it is what Xen reads back.
    """

    ioapic: int
    pin: int
    word: int
    dest: int
    held: bool
    side: Side

    @property
    def remapped(self) -> bool:
        """Whether the register asks for an entry."""
        return self.held and bool(RTE_REMAP.split(self.word)["format"])


def pins(p: Picture) -> dict[tuple[int, int], Pin]:
    """By (id, pin). What a register holds counts more than what was read back, a later text more than one before."""
    found: dict[tuple[int, int], Pin] = {}
    for each in _shown(p):
        key = each.ioapic, each.pin
        if each.held or key not in found or not found[key].held:
            found[key] = each
    return found


def _shown(p: Picture) -> Iterator[Pin]:
    """All of them, in the order of the texts."""
    for record in p.pasted.of("qemu monitor"):
        if isinstance(record, qemu_monitor.IoApic):
            for number, word in enumerate(record.pins):
                side = Side(record.file, record.line, f"pin {number} is {word:#018x}")
                yield Pin(_id(p, record.number), number, word, RTE.split(word)["dest"], True, side)
    for pin in p.pins:
        side = Side(pin.file, pin.line, f"pin {pin.pin} of I/O APIC {pin.ioapic}")
        if not isinstance(pin, xen_irqs.Pin):
            yield Pin(_id(p, pin.ioapic), pin.pin, pin.word, 0, True, side)
        else:
            word = RTE.make(vector=pin.vector, dlm=pin.dlm, dm=pin.dm, status=pin.status, polarity=pin.polarity,
                            irr=pin.irr, tm=pin.tm, mask=pin.mask, dest=min(pin.dest, DEST_MOST))
            number = pin.ioapic if pin.irq is None else _id(p, pin.ioapic)
            yield Pin(number, pin.pin, word, pin.dest, False, side)


def _id(p: Picture, place: int) -> int:
    """The id of the I/O APIC that is found at a place; the place itself where no text has ids."""
    ids = list(p.ioapics)
    return ids[place] if place < len(ids) else place


def remaps(p: Picture) -> bool:
    """Whether some text says that interrupts are remapped."""
    return bool(p.entries) or True in {on for on, _ in p.modes} or any(unit.on for unit in p.units)


def plain(p: Picture) -> bool:
    """Whether some text says that interrupts are not remapped, and none that they are."""
    return not remaps(p) and (bool(p.modes) or any(unit.on is False for unit in p.units))


def reached(p: Picture) -> set[int]:
    """APIC IDs that pins reach, as Xen reads them back."""
    return {pin.dest for pin in p.pins if isinstance(pin, xen_irqs.Pin) and not pin.dm}


def entry_of(p: Picture, each: Pin, sid: int) -> Entry | None:
    """The only entry for a requester that has vector and destination of a pin that was read back; None for others."""
    vector = RTE.split(each.word)["vector"]
    fits = [entry for entry in p.entries.values()
            if not entry.posted and (entry.fields["svt"], entry.fields["sid"]) == (1, sid)
            and (entry.fields["vector"], _goes(p, entry)) == (vector, each.dest)]
    return fits[0] if vector and len(fits) == 1 else None


def _goes(p: Picture, entry: Entry) -> int:
    dst = entry.fields["dst"]
    return (dst & ~XAPIC_DST_RESERVED) >> 8 if p.eime(entry.unit) is False else dst


def asking(each: Pin, handle: int) -> int:
    """The word of a pin in remappable format: its own bits, and the index of an entry."""
    f = RTE.split(each.word)
    return RTE_REMAP.make(handle=handle, format=1, mask=f["mask"], tm=f["tm"], polarity=f["polarity"],
                          vector=f["vector"])
