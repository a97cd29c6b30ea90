"""What the small guest believes of its interrupts, and where memory says something else.

The guest keeps books of its own: which entry, which vCPU, which vector. Who edits an entry by hand changes memory
behind its back, and it goes on believing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vsim.guest.kernel import Guest, Source
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import IRTE
from vsim.state.arrays import Machine
from widgets.editors import entries


class Belief(NamedTuple):
    """One interrupt as the guest has it. otherwise: what is there instead, in words; "" when it is as believed."""

    name: str
    index: int  # type: ignore[assignment]  # shadows tuple.index
    vcpu: int
    vector: int
    otherwise: str


def sources(guest: Guest) -> list[Source]:
    """All interrupts that the guest has set up; a shared pin once."""
    found = {(s.kind, s.bdf, s.number): s for of_one in guest.sources.values() for s in of_one}
    return list(found.values())


def name(source: Source) -> str:
    """An interrupt in words."""
    what = "pin, GSI" if source.kind == "pin" else "message"
    return f"{bdf_text(source.bdf)} {what} {source.number}"


def beliefs(m: Machine, guest: Guest) -> Iterator[Belief]:
    """Every interrupt of the guest, compared with its entry in memory and with the unit's copy of that."""
    for each in sources(guest):
        yield Belief(name(each), each.index, each.vcpu, each.vector, otherwise(m, each))


def otherwise(m: Machine, source: Source) -> str:
    """How an entry differs from what the guest wrote there last; "" without a difference, or without an entry."""
    if source.index < 0 or not m.live(source.unit):
        return ""
    held = entries.stored(m, source.unit, source.index)
    copy = entries.cached(m, source.unit, source.index)
    if held == source.entry:
        return "" if copy in (None, held) else f"the same; the unit's copy: {_meaning(m, source, copy)}"
    return _meaning(m, source, held)


def _meaning(m: Machine, source: Source, entry: int | None) -> str:
    """Where an entry sends an interrupt, in a few words."""
    if entry is None:
        return "not memory"
    if not get(entry, IRTE.p):
        return "not present"
    if get(entry, IRTE.im):
        return "posted"
    who = ", ".join(map(str, entries.targets(m, source.unit, entry)[:4])) or "nobody"
    sid = int(get(entry, IRTE.sid))
    owner = f", for {bdf_text(sid)}" if sid != get(source.entry, IRTE.sid) else ""
    return f"vCPU {who}, vector {get(entry, IRTE.vector):#04x}{owner}"
