"""What happened, as rows of words: an event a row, or an interrupt a row. Nothing here needs the machine of then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

from vsim.devices.dma import DMA_REASON_TEXT
from vsim.explain.sentences import MASKED, masked
from vsim.findings.assumed import Assumed
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import REASON_TEXT
from vsim.state.trace import ACTS, Act, Drop, Event, Kind, Warn, node_text
from widgets.time.moments import Moment, Moments, Numbered

MOST_ROWS = 120
"""Rows of a table at most."""
AHEAD = 20
"""Rows at most of what is to be done again."""
FARTHEST = 4096
"""Commands that are looked through for rows at most, to each side."""

EVENT_HEADS = ("", "command", "interrupt", "where", "what", "with")
INTERRUPT_HEADS = ("", "command", "interrupt", "from", "became", "reached")
NOW, LATER, BAD = "now", "later", "bad"


class Row(NamedTuple):
    """A row of a table. key: the interrupt's serial, 0 for none. marks: of NOW, LATER and BAD, in words."""

    key: int
    marks: str
    cells: tuple[str, ...]


def with_words(event: Event) -> str:
    """The numbers of an event, each with its meaning (`trace.ACTS`): "entry 5, address out 0xfee02004"."""
    meaning = ACTS[Act(event.act)]
    said = ((name, value) for name, value in zip(meaning[:3], event[4:7], strict=True) if name != "0")
    return ", ".join(_quantity(name, value) for name, value in said)


_WHY: dict[str, type[Drop] | type[Warn]] = {"why, see Drop": Drop, "why, see Warn": Warn}


def _quantity(name: str, value: int) -> str:
    if name == "requester" and 0 <= value <= 0xFFFF:
        return f"requester {bdf_text(value)}"
    if name == "fault reason":
        return f"fault reason {value:#x} ({REASON_TEXT.get(value, 'unknown')})"
    if name in _WHY:
        return f"why: {_word(_WHY[name](value).name) if value in tuple(_WHY[name]) else value}"
    number = f"{value:#x}" if value > 9 or value < 0 else str(value)
    return f"{number} ({name})" if name[0].isdigit() else f"{name} {number}"


def _word(name: str) -> str:
    return name.lower().replace("_", " ")


# --- an event a row ---


def event_rows(moments: Moments, serial: int = 0, assumed: Assumed | None = None) -> list[Row]:
    """The events around the reader's moment, in order; with a serial those of that interrupt alone, told or not.

    assumed: what no dump says of the machine; elements of which something is are marked.
    """
    now, known = moments.now, assumed or Assumed()
    if serial:
        found = list(of_interrupt(moments, serial))[:MOST_ROWS]
    else:
        found = [*_behind(moments, now), *_ahead(moments, now)]
    return [_event_row(moment, event, now, known) for moment, event in found]


def of_interrupt(moments: Moments, serial: int) -> Iterator[Numbered]:
    """The events of an interrupt with their moments; none for a serial that there is not."""
    try:
        position = moments.history.position_of(serial)
    except ValueError:
        return
    yield from (each for each in moments.numbered(position, position + 1) if each[1].serial == serial)


def _spans(many: int) -> Iterator[tuple[int, int]]:
    """Distances, from small to large: (0, 32), (32, 96), ... up to `FARTHEST` and `many`."""
    edges = [0, *(32 * (1 << n) - 32 for n in range(1, 8)), FARTHEST]
    yield from ((low, min(high, many)) for low, high in pairwise(edges) if low < many)


def _behind(moments: Moments, now: Moment) -> list[Numbered]:
    out: list[Numbered] = []
    for near, far in _spans(now.position):
        told = moments.numbered(now.position - far, now.position - near)
        out[:0] = [each for each in told if each[0] <= now]
        if len(out) >= MOST_ROWS - AHEAD:
            break
    return out[-(MOST_ROWS - AHEAD):]


def _ahead(moments: Moments, now: Moment) -> list[Numbered]:
    rest = moments.numbered(max(0, now.position - 1), now.position)
    out = [each for each in rest if each[0] > now]
    for near, far in _spans(len(moments.history) - now.position):
        if len(out) >= AHEAD:
            break
        out += moments.numbered(now.position + near, now.position + far)
    return out[:AHEAD]


def _named(node: int, assumed: Assumed) -> str:
    return node_text(node) + assumed.mark(node)


def _event_row(moment: Moment, event: Event, now: Moment, assumed: Assumed) -> Row:
    marks = [NOW] * (moment == now) + [LATER] * (moment > now) + [BAD] * (event.act == Act.BLOCKED)
    cells = (_sign(marks), str(moment.position), str(event.serial or ""), _named(event.node, assumed),
             _word(Act(event.act).name), with_words(event))
    return Row(event.serial, " ".join(marks), cells)


def _sign(marks: Sequence[str]) -> str:
    """The marks as characters, for readers without colours."""
    return ("▶" if NOW in marks else "") + ("✗" if BAD in marks else "") + ("(later)" if LATER in marks else "")


# --- an interrupt a row ---


def interrupt_rows(moments: Moments, assumed: Assumed | None = None) -> list[Row]:
    """The interrupts around the reader's moment, in order. assumed: as for `event_rows`."""
    begun, known = moments.serials(MOST_ROWS - AHEAD), assumed or Assumed()
    told = [_interrupt_row(moments, serial, known) for serial in range(begun.start, begun.stop + AHEAD)]
    return [row for row in told if row is not None]


def _interrupt_row(moments: Moments, serial: int, assumed: Assumed) -> Row | None:
    told = list(of_interrupt(moments, serial))
    if not told:
        return None
    events, (first, sent), now = [event for _, event in told], told[0], moments.now
    became, bad = outcome(events)
    here = first.position == now.position and moments.event is not None and moments.event.serial == serial
    marks = [NOW] * here + [LATER] * (first > now) + [BAD] * bad
    cells = (_sign(marks), str(first.position), str(serial), _named(sent.node, assumed), became,
             reached(events, assumed))
    return Row(serial, " ".join(marks), cells)


_OUTCOMES = {
    Act.POSTED: "posted by entry {}", Act.REMAPPED: "remapped by entry {}", Act.PASSED: "passed unchanged",
}


def outcome(events: Sequence[Event]) -> tuple[str, bool]:
    """What became of an interrupt, and whether that is bad."""
    if not any(event.act == Act.SENT for event in events) and (wired := _wired(events)):
        return wired
    if refused := next((event for event in events if event.act == Act.DMA_BLOCKED), None):
        return f"DMA blocked: {refused.index:#x}, {DMA_REASON_TEXT.get(refused.index, 'unknown')}", True
    if any(event.act == Act.DMA for event in events):
        return "DMA, no interrupt", False
    if any(event.act == Act.TIMER for event in events):
        return "its own timer", False
    stopped = [why for event in events if (why := masked(event)) >= 0]
    if stopped and not any(event.act == Act.SENT for event in events):
        return MASKED[stopped[0]], stopped[0] != 0
    blocked = next((event for event in events if event.act == Act.BLOCKED), None)
    if blocked is not None:
        return f"blocked: {blocked.index:#x}, {REASON_TEXT.get(blocked.index, 'unknown')}", True
    way = next((_OUTCOMES[Act(e.act)].format(e.index) for e in events if e.act in _OUTCOMES), "sent directly")
    cached = " from the cache" if any(event.act == Act.HIT for event in events) else ""
    lost = next((event for event in events if event.act == Act.DROPPED), None)
    if lost is not None:
        return f"{way}{cached}, then dropped, {_quantity(ACTS[Act.DROPPED].index, lost.index)}", True
    return way + cached, False


def _wired(events: Sequence[Event]) -> tuple[str, bool] | None:
    """What became of a line at the 8259 pair, or at a LINT pin; None for an interrupt of another kind."""
    for event in events:
        if event.act == Act.INTR and event.index:
            return ("asked of a vCPU by the 8259's INTR", False) if event.high else ("asked by INTR, and no vCPU "
                                                                                      "takes it", True)
        if event.act == Act.LINT:
            return f"LINT{event.index} {('falls', 'rises')[event.low & 1]}", False
    if any(event.act == Act.LINE and event.node >> 24 == Kind.VPIC and event.low for event in events):
        return "the 8259 holds it back", False
    return None


def takers(events: Sequence[Event]) -> list[Event]:
    """The events in which local APICs took an interrupt in; a fault event that it set off is another matter."""
    own = takewhile(lambda event: event.act != Act.NOTIFIED, events)
    return [event for event in own if event.act in (Act.ACCEPTED, Act.MERGED, Act.SIGNALLED)]


def reached(events: Sequence[Event], assumed: Assumed | None = None) -> str:
    """The local APICs that took an interrupt in: "vLAPIC 3", or how many when they are more than four."""
    who = [_named(event.node, assumed or Assumed()) for event in takers(events)]
    return ", ".join(who) if len(who) <= 4 else f"{len(who)} vLAPICs"
