"""Entries of the interrupt remapping table for people: find them, write them as a guest does, foretell a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from vsim.devices import chain, msi, remap, routes
from vsim.devices.queue import length
from vsim.devices.remap import entry_of
from vsim.explain import interrupt as explain
from vsim.explain.interrupt import CheckRow
from vsim.explain.sentences import message_text
from vsim.history.log import History
from vsim.layouts.bits import bdf_text, get, parse_bdf
from vsim.layouts.formats import (
    IEC,
    IRTE,
    IRTE_POSTED,
    REASON_TEXT,
    REMAP_ADDRESS,
    REMAP_DATA,
    RTE_REMAP,
    DescriptorType,
    Reason,
)
from vsim.layouts.registers import GSTS, IQA, IQT, OFFSET, RTE_RESET
from vsim.machine import unit_register
from vsim.state import commands
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.trace import Act, Kind, node
from widgets.editors.fields import parse_number
from widgets.lab.panel import table

BY_INDEX, BY_DEVICE, BY_VCPU, EVERYTHING = "index", "device", "vCPU", "all in use"
MESSAGES = 0xFEE
"""Bits 31:20 of every address that is a message."""
MOST_FOUND = 500
"""Entries that a search lists."""

Request = tuple[int, int, int]
"""(requester, address, data)."""

# --- the table ---


def base(m: Machine, unit: int) -> int:
    """Address of the table in use, in bytes."""
    return m.latch[LATCH_WORDS * unit + Latch.BASE_PAGE] << 12


def entries(m: Machine, unit: int) -> int:
    """Entries of the table in use, 0 when none was ever latched."""
    return m.latch[LATCH_WORDS * unit + Latch.ENTRIES] if m.live(unit) else 0


def met(history: History, serial: int, unit: int = 0) -> tuple[int, int]:
    """(entry of a unit's table, vCPU) that an interrupt came by; -1 for none, for several vCPUs, for no interrupt."""
    try:
        events = history.events_of(serial)
    except ValueError:
        return -1, -1
    looked = [event.index for event in events if event.act in (Act.FETCHED, Act.HIT)
              and event.node == node(Kind.VIOMMU, unit)]
    took = [event.node & 0xFFFFFF for event in events if event.act in (Act.ACCEPTED, Act.MERGED)]
    return looked[0] if looked else -1, took[0] if len(took) == 1 else -1


def stored(m: Machine, unit: int, index: int) -> int | None:
    """The entry in memory; None where the table is not memory."""
    words = m.ram.words4(base(m, unit) + 16 * index)
    return None if words is None else entry_of(words)


def cached(m: Machine, unit: int, index: int) -> int | None:
    """The unit's copy of an entry; None when it has none."""
    words = m.cache.get(unit << 16 | index)
    return None if words is None else entry_of(words)


def stale(m: Machine, unit: int, index: int) -> bool:
    """Whether the unit's copy differs from memory."""
    copy = cached(m, unit, index)
    return copy is not None and copy != stored(m, unit, index)


def used(m: Machine, unit: int) -> Iterator[int]:
    """Entries that are not all 0, or that the unit has a copy of, ascending; only pages that exist are read."""
    count, first = entries(m, unit), base(m, unit) >> 12
    pages = range((count + 255) // 256)
    known = {key & 0xFFFF for key in m.cache if key >> 16 == unit}
    for page in pages:
        words = m.ram.pages.get(first + page)
        for place in range(min(256, count - 256 * page)):
            index = 256 * page + place
            if (words is not None and any(words[4 * place:4 * place + 4])) or index in known:
                yield index


def targets(m: Machine, unit: int, entry: int) -> list[int]:
    """The vCPUs that an entry in remapped format names."""
    mode = m.latch[LATCH_WORDS * unit + Latch.MODE]
    destination = chain.message_of(entry & 0xFFFFFFFF, entry >> 32 & 0xFFFFFFFF, mode)[0]
    return routes.match(m, destination, get(entry, IRTE.dm), not destination >> 8)


def find(m: Machine, unit: int, by: str, text: str) -> list[int]:
    """Indices of entries by index, by the requester that they let in, or by a target vCPU. ValueError: bad text."""
    if by == BY_INDEX:
        limit = max(0, entries(m, unit) - 1)
        return [parse_number(text, limit, "index")]
    wanted = parse_bdf(text.strip()) if by == BY_DEVICE else -1
    vcpu = parse_number(text, m.vcpus - 1, "vCPU") if by == BY_VCPU else -1
    out = []
    for index in used(m, unit):
        entry = stored(m, unit, index) or 0
        if by == EVERYTHING or (wanted >= 0 and get(entry, IRTE.sid) == m.bus.requester(wanted)) or (
                vcpu >= 0 and get(entry, IRTE.p) and not get(entry, IRTE.im) and vcpu in targets(m, unit, entry)):
            out.append(index)
        if len(out) == MOST_FOUND:
            break
    return out


def users(m: Machine) -> dict[int, str]:
    """Who would use an entry, by its index: every message and every pin that is programmed in remappable format."""
    found: dict[int, str] = {}
    for place, function in enumerate(m.bus.functions):
        for number in range(function.msix_count or function.msi_count):
            state, address, data = msi.message(m.bus, m.config, m.msix, place, number)
            if state != msi.OFF and get(address, REMAP_ADDRESS.fee) == MESSAGES and get(address, REMAP_ADDRESS.format):
                index = get(address, REMAP_ADDRESS.handle)
                index += get(data, REMAP_DATA.subhandle) if get(address, REMAP_ADDRESS.shv) else 0
                found.setdefault(int(index), f"{bdf_text(function.bdf)} msg {number}")
    for pin, entry in enumerate(m.rte):
        if get(entry, RTE_REMAP.format) and entry != RTE_RESET:
            found.setdefault(int(get(entry, RTE_REMAP.handle)), f"pin, GSI {pin}")
    return found


def described(m: Machine, unit: int, index: int, user: str = "") -> str:
    """An entry in one line, for a list. user: who uses it; else the requester that it lets in."""
    entry = stored(m, unit, index)
    if entry is None:
        return f"{index:5d} not memory"
    who = f"{index:5d} {user or (bdf_text(int(get(entry, IRTE.sid))) if entry else ''):<15}"
    mark = " STALE" if stale(m, unit, index) else ""
    if not get(entry, IRTE.p):
        return f"{who} not present{mark}"
    return f"{who} {_vector(entry)} → {_where(m, unit, entry)}{mark}"


def _vector(entry: int) -> str:
    return f"{get(entry, IRTE.vector):#04x}"


def _where(m: Machine, unit: int, entry: int) -> str:
    if get(entry, IRTE.im):
        return f"PID {get(entry, IRTE_POSTED.pda) << 6:#x}"
    reached = targets(m, unit, entry)
    if not reached:
        return f"ID {get(entry, IRTE.dst):#x}, nobody"
    return f"vCPU {reached[0]}" + (f" +{len(reached) - 1}" if reached[1:] else "")


# --- what a guest does to it ---


def write_commands(m: Machine, unit: int, index: int, entry: int) -> list[commands.Command]:
    """The store of an entry, all 16 bytes at once. ValueError when there is no such entry."""
    if not 0 <= index < entries(m, unit):
        raise ValueError(f"index is {index}; the table has {entries(m, unit)} entries")
    return [commands.RamWrite(base(m, unit) + 16 * index, entry.to_bytes(16, "little"))]


def invalidate_commands(m: Machine, unit: int, index: int) -> list[commands.Command]:
    """An invalidation of one entry, queued."""
    return queue_commands(m, unit, IEC.make(type=DescriptorType.IEC, g=1, iidx=index))


def queue_commands(m: Machine, unit: int, descriptor: int) -> list[commands.Command]:
    """A descriptor at the queue's tail, and the write that moves the tail (V 7). ValueError when the queue is off."""
    if not unit_register(m, "GSTS", unit) & GSTS.qies.mask:
        raise ValueError("queued invalidation is off (GSTS.QIES=0): the unit cannot be told")
    iqa, at = unit_register(m, "IQA", unit), LATCH_WORDS * unit
    tail = get(unit_register(m, "IQT", unit), IQT.qt)
    place = (get(iqa, IQA.base) << IQA.base.low) + 16 * tail
    return [commands.RamWrite(place, descriptor.to_bytes(16, "little")),
            commands.Mmio(m.latch[at + Latch.MMIO_BASE] + OFFSET["IQT"], 8,
                          IQT.make(qt=(tail + 1) % length(iqa)))]


def with_entry(m: Machine, unit: int, index: int, entry: int, told: bool) -> Machine:
    """A copy of the machine in which an entry was written; told: and the unit's copy of it is gone."""
    after = m.copy()
    after.ram.write(base(m, unit) + 16 * index, entry.to_bytes(16, "little"))
    if told:
        after.cache.pop(unit << 16 | index, None)
    return after


# --- what a request would meet ---

def verdict(m: Machine, unit: int, request: Request) -> tuple[str, str]:
    """(sentence, kind) about what the unit would do with a request now."""
    found = remap.look(m, unit, *request)
    source = "its cached copy of entry" if found.cached else "entry"
    entry = f" by {source} {found.index}" if found.fetched or found.cached else ""
    if found.outcome > 0:
        return f"Blocked{entry}: {found.outcome:#x}, {REASON_TEXT[Reason(found.outcome)]}.", "bad"
    if found.check:
        message = message_text(m, found.address & 0xFFFFFFFF, found.data)
        return f"Delivered unchanged, past the table: {message}.", "warn"
    if not found.address:
        return f"Posted{entry}.", "good"
    reached = routes.match(m, found.destination, found.address >> 2 & 1, not found.address >> 32)
    who = ", ".join(f"vCPU {vcpu}" for vcpu in reached[:6]) + (", ..." if len(reached) > 6 else "")
    kind = "good" if reached else "bad"
    return f"Remapped{entry}: {message_text(m, found.address, found.data)}: {who or 'no vCPU has it'}.", kind


MARKS = {explain.PASSED: "✓ passed", explain.FAILED: "✗ failed", explain.DELIVERED: "→ delivered",
         explain.NOT_REACHED: "- not reached"}
"""What became of a check, with a sign for readers without colours."""


def checks_table(rows: tuple[CheckRow, ...]) -> str:
    """The ordered checks with their operands, folded away."""
    lines = [(MARKS[row.outcome], row.name, row.sentence,
              " ".join(f"{o.name}={o.value:#x}" for o in row.operands if o.value is not None), row.section)
             for row in rows]
    body = table(("outcome", "check", "it fails when", "operands", "section"), lines, "The checks in order")
    end = explain.ending(rows)
    title = escape(f"The checks, in order: {'all passed' if end is None else f'ended by {end.name}'}")
    return f"<details><summary>{title}</summary>{body}</details>"
