"""The I/O APICs and the HPET of a rebuilt machine: what MADT, log and interrupts say of them.

A machine has at most 17 I/O APICs with 240 pins together; the first is at 0xFEC00000 and begins with line 0. One whose
lines overlap those of another, or that finds no room, is left out, and a remark says so with both sides.
"""

from __future__ import annotations

from typing import NamedTuple

from vsim.findings.assumed import Assumed, device, ioapic
from vsim.findings.chain import entry_of
from vsim.findings.picture import IoApic, Picture, Side
from vsim.findings.pins import Pin, pins
from vsim.layouts.formats import RTE_REMAP
from vsim.readers.pieces import Remark
from vsim.state.profile import IOAPIC_WINDOW, MOST_IOAPICS, Options

MOST_PINS, MOST_LINES, PINS = 240, 256, 24
"""Pins of all I/O APICs together; lines that they may have; how many pins one is taken to have when nothing says it."""
STEP, LAST_WINDOW = 0x1000, IOAPIC_WINDOW + 0xFF000
TIMERS, MOST_TIMERS = 3, 24
"""Timers of an HPET when nothing says it, the least that one has (IA-PC HPET 1.0a, 2.1); most of a simulated one."""


class Chip(NamedTuple):
    """An I/O APIC of the machine. id: as the texts name it, -1 for one that no text names; first: its first pin."""

    id: int
    window: int
    gsi: int
    first: int
    pins: int
    sid: int

    @property
    def row(self) -> tuple[int, int, int, int]:
        """As `Options.more_ioapics` has it."""
        return self.window, self.gsi, self.pins, self.sid

    @property
    def name(self) -> str:
        """For people."""
        return f"I/O APIC {self.id}" if self.id >= 0 else "the I/O APIC"


def chips(p: Picture, assumed: Assumed, left: list[Remark]) -> list[Chip]:
    """The I/O APICs by their first line; always at least one. What is left out goes to `left`."""
    dumped = pins(p)
    known = _fitting(_known(p, dumped), left)
    out: list[Chip] = []
    for place, each in enumerate(known):
        after = known[place + 1].gsi if place + 1 < len(known) else MOST_LINES
        first = out[-1].first + out[-1].pins if out else 0
        room = min(after - each.gsi, MOST_PINS - first)
        if room < 1 or place == MOST_IOAPICS:
            left += [_out(one, f"a machine has {MOST_IOAPICS} I/O APICs with {MOST_PINS} pins at most")
                     for one in known[place:]]
            break
        assumed.names[ioapic(first)] = f"I/O APIC {each.id}" if each.id >= 0 else "the first I/O APIC"
        count = _count(p, each, dumped, first, room, place + 1 < len(known), assumed)
        if each.pins > count:
            left.append(_out(each, f"a machine has {MOST_PINS} pins at most", f"pins {count} to {each.pins - 1} of "))
        window = _window(each, first, [one.window for one in out], assumed, left)
        if each.id < 0:
            assumed.add("that it is there: no text names the I/O APIC of the first lines", [ioapic(first)])
        elif each.id not in p.ioapics or p.ioapics[each.id].gsi < 0:
            assumed.add(f"it begins with line {each.gsi}", [ioapic(first)])
        sid = _sid(p, each, dumped, len(p.ioapics), first, assumed)
        out.append(Chip(each.id, window, each.gsi, first, count, sid))
    return out


def _known(p: Picture, dumped: dict[tuple[int, int], Pin]) -> list[IoApic]:
    """Those that a text names, by their first lines; one without a line comes behind all others."""
    nowhere = Side("", 0, "")
    found = dict(p.ioapics)
    for one in p.interrupts:
        if one.pin is not None:
            found.setdefault(one.pin[0], IoApic(one.pin[0], -1, Side(one.file, one.line, f"interrupt {one.irq}")))
    for pin in dumped.values():
        found.setdefault(pin.ioapic, IoApic(pin.ioapic, -1, pin.side))
    known = sorted((each for each in found.values() if each.gsi >= 0), key=lambda each: (each.gsi, each.id))
    loose = sorted(each for each in found.values() if each.gsi < 0)
    if not known and loose:
        known.append(loose.pop(0)._replace(gsi=0))
    if not known or known[0].gsi > 0:
        known.insert(0, IoApic(-1, 0, nowhere))
    for each in loose:
        last = known[-1]
        known.append(each._replace(gsi=last.gsi + (last.pins if last.pins > 0 else PINS)))
    return known


def _fitting(known: list[IoApic], left: list[Remark]) -> list[IoApic]:
    """Those whose lines do not overlap lines of one before; the others are left out."""
    out: list[IoApic] = []
    for each in known:
        before = out[-1] if out else None
        if before and each.gsi < before.gsi + max(1, before.pins):
            last = f" to {before.gsi + before.pins - 1}" if before.pins > 0 else ""
            left.append(_out(each, f"its lines begin with {each.gsi}, and I/O APIC {before.id} has {before.gsi}{last} "
                                   f"({before.side.file}:{before.side.line})"))
        elif each.gsi >= MOST_LINES:
            left.append(_out(each, f"its lines begin with {each.gsi}; a machine here has lines below {MOST_LINES}"))
        else:
            out.append(each)
    return out


def _out(each: IoApic, why: str, what: str = "") -> Remark:
    return Remark(each.side.file or "texts", each.side.line or 1, 1,
                  f"left out of the machine: {what}I/O APIC {each.id}: {why}")


def _count(p: Picture, each: IoApic, dumped: dict[tuple[int, int], Pin], first: int, room: int, more: bool,
           assumed: Assumed) -> int:
    """How many pins one has: as a text says, else up to the next one's first line, else as many as are named."""
    if each.pins > 0:
        return min(each.pins, room)
    named = [pin + 1 for number, pin in (*dumped, *(one.pin for one in p.interrupts if one.pin)) if number == each.id]
    count = room if more else min(room, max([PINS, *named]))
    assumed.add(f"its last pin is {count - 1}" + (" (the next I/O APIC has the next line)" if more else ""),
                [ioapic(first)])
    return count


def _window(each: IoApic, first: int, taken: list[int], assumed: Assumed, left: list[Remark]) -> int:
    """Where its registers are: as a text says, where they can be there."""
    free = next(at for at in range(IOAPIC_WINDOW, LAST_WINDOW, STEP) if all(abs(at - one) >= STEP for one in taken))
    fits = each.address == IOAPIC_WINDOW if not taken else (
        IOAPIC_WINDOW < each.address <= LAST_WINDOW and not each.address % 0x400
        and all(abs(each.address - one) >= 0x400 for one in taken))
    if fits:
        return each.address
    assumed.add(f"its registers are at {free:#x}", [ioapic(first)])
    if each.address >= 0:
        left.append(Remark(each.side.file, each.side.line, 1, f"I/O APIC {each.id} is at {each.address:#x} there, and "
                           f"at {free:#x} in the machine: the first is at {IOAPIC_WINDOW:#x}, others are behind it"))
    return free


def _sid(p: Picture, each: IoApic, dumped: dict[tuple[int, int], Pin], count: int, first: int,
         assumed: Assumed) -> int:
    """The requester id of one: from its scope, else from an entry that one of its pins has, else the usual one."""
    rid = p.requesters.get(("ioapic", each.id), (-1, None))[0]
    if rid < 0 and count < 2:
        rid = next((rid for (kind, _), (rid, _) in p.requesters.items() if kind == "ioapic" and rid >= 0), -1)
    if rid < 0:
        own = (entry_of(p, one, one.entry) for one in p.interrupts
               if one.pin and one.pin[0] == each.id and one.entry is not None)
        rid = next((entry.fields["sid"] for entry in own if entry), -1)
    if rid < 0:
        asked = {RTE_REMAP.split(one.word)["handle"] for one in dumped.values()
                 if one.ioapic == each.id and one.remapped}
        sids = {one.fields["sid"] for one in p.entries.values() if one.index in asked and one.fields["svt"] == 1}
        rid = sids.pop() if len(sids) == 1 else -1
    if rid < 0:
        rid = Options().ioapic_sid
        assumed.add("its requester id", [ioapic(first)])
    return rid


def hpet(p: Picture, assumed: Assumed) -> tuple[int, int]:
    """(timers, requester id) of the HPET; no timers where no text has one that a unit could see."""
    rid = next((rid for (kind, _), (rid, _) in sorted(p.requesters.items(), key=lambda row: row[0])
                if kind == "hpet" and rid >= 0), None)
    if rid is None and p.timers is None and not any(kind == "hpet" for kind, _ in p.behind):
        return 0, Options().hpet_sid
    sid = Options().hpet_sid if rid is None else rid
    if rid is None:
        assumed.add("the requester id of the HPET", [device(sid)])
    timers = p.timers if p.timers is not None and TIMERS <= p.timers <= MOST_TIMERS else TIMERS
    if p.timers != timers:
        assumed.add(f"the HPET has {timers} timers", [device(sid)])
    return timers, sid
