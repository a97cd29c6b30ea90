"""QEMU's trace lines as what a recorded case observes (`recorded.observe`).

The events are those of QEMU's `hw/i386/trace-events` and `hw/intc/trace-events`, as releases 7.2 and 10.0 list them
(`-trace help`). A line may have a process id and a time before its event. Lines of other kinds are no observations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

Row = list[Any]


def _message(address: int, data: int) -> Row:
    return ["M", address >> 12 & 0xFF | address >> 32 & 0xFFFFFF00, address >> 2 & 1, address >> 3 & 1,
            data >> 15 & 1, data >> 8 & 7, data & 0xFF]


class _Event(NamedTuple):
    """One trace event: what follows its name, and the row that it is, [] for none."""

    pattern: re.Pattern[str]
    row: Callable[[re.Match[str]], Row]


def _event(words: str, row: Callable[[re.Match[str]], Row]) -> _Event:
    """words: QEMU's own, with `#` for a hexadecimal number, `%` for a decimal one, `$` for a word."""
    kinds = {"#": "(0x[0-9a-f]{1,16})", "%": "([0-9]{1,10})", "$": r"(\S{1,40})"}
    return _Event(re.compile("".join(kinds.get(each, re.escape(each)) for each in words)), row)


def _hex(word: str) -> int:
    return int(word, 16)


_EVENTS: dict[str, _Event] = {
    "vtd_ir_remap_msi_req": _event("addr # data #", lambda m: ["request"]),
    # QEMU hands the upper half to the place that it prints as "low" (seen in 7.2 and 10.0).
    "vtd_ir_irte_get": _event("index % low # high #", lambda m: ["I", int(m[1]), hex(_hex(m[2])), hex(_hex(m[3]))]),
    "vtd_ir_remap_msi": _event("(addr #, data #) -> (addr #, data #)", lambda m: _message(_hex(m[3]), _hex(m[4]))),
    "vtd_frr_new": _event("index % high # low #", lambda m: ["F", int(m[1]), hex(_hex(m[2])), hex(_hex(m[3]))]),
    "vtd_irq_generate": _event("addr # data #", lambda m: ["E", hex(_hex(m[1])), hex(_hex(m[2]))]),
    "vtd_inv_desc": _event("invalidate desc type $ high # low #",
                           lambda m: ["D", m[1], hex(_hex(m[2])), hex(_hex(m[3]))]),
    "vtd_inv_desc_iec": _event("granularity # index # mask #", lambda m: ["C", *map(_hex, m.groups())]),
    "vtd_inv_desc_wait_sw": _event("wait invalidate status write addr # data #",
                                   lambda m: ["W", hex(_hex(m[1])), hex(_hex(m[2]))]),
    "ioapic_clear_remote_irr": _event("clear remote irr for pin % vector %", lambda m: ["R-", int(m[1])]),
}
NAMES = tuple(_EVENTS)
"""The trace events that are switched on."""
_LINE = re.compile(rf"(?:[0-9.@:]{{1,60}})?({'|'.join(NAMES)}) (.{{0,300}})")


def is_one(line: str) -> bool:
    """Whether a line is a trace event's."""
    return _LINE.fullmatch(line.rstrip("\r")) is not None


def rows(lines: Iterable[str]) -> Iterator[Row]:
    """The rows of trace lines, in their order, with ["request"] where an interrupt request begins."""
    for line in lines:
        found = _LINE.fullmatch(line.rstrip("\r"))
        event = _EVENTS[found[1]] if found else None
        match = event.pattern.match(found[2]) if found and event else None
        if match and event:
            yield event.row(match)


def observed(lines: Iterable[str]) -> list[Row]:
    """What a recorder has seen in trace lines: as `recorded.observe`, with ["B"] where a request brought no message."""
    out: list[Row] = []
    blocked = -1                    # where the mark of a request goes that has brought no message yet; -1: none is open
    for row in rows(lines):
        if row[0] == "request":
            _close(out, blocked)
            blocked = len(out)
            continue
        out.append(row)
        if row[0] == "I" and blocked >= 0:
            blocked = len(out)
        elif row[0] == "M":
            blocked = -1
    _close(out, blocked)
    return out


def _close(out: list[Row], blocked: int) -> None:
    if blocked >= 0:
        out.insert(blocked, ["B"])
