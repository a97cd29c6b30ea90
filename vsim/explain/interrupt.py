"""Any interrupt explained: its way as sentences, the checks with their operands, the sections to read.

The checks are those of the table in `checks`, evaluated here one by one on the words that the unit has seen; the
generated chain, which decides, is an independent form of the same table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from vsim.devices import chain
from vsim.devices.checks import CHECKS, CHOSEN, MODE_BIT, OPERANDS, ORDERS, PASS, expanded, operand_names
from vsim.devices.dma import DMA_REASON_TEXT
from vsim.devices.remap import Words, posts
from vsim.explain import wired
from vsim.explain.sentences import apic_text, entry_text, message_text, number, say, section, words_of
from vsim.layouts.formats import REASON_TEXT, Reason
from vsim.layouts.given import whole
from vsim.layouts.registers import FSTS, OFFSET
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Apic, Latch, Machine
from vsim.state.profile import IOAPIC_UNVERIFIED
from vsim.state.trace import Act, Drop, Event, Kind

PASSED, FAILED, DELIVERED, NOT_REACHED = "passed", "failed", "delivered", "not reached"
"""Outcomes of a check: the request goes on; it ends with a fault; it ends by passing the table by; was not made."""

RAW = {
    "address": "address bits 31:0", "upper": "address bits 63:32", "data": "data", "requester": "requester id",
    "entries": "entries of the table, 2^(S+1)", "base_page": "page of the table", "width": "host address width - 12",
    "mode": "the unit's mode", "readable": "1: the entry could be read", "w0": "entry bits 31:0",
    "w1": "entry bits 63:32", "w2": "entry bits 95:64", "w3": "entry bits 127:96"}
"""The raw words that conditions rest on, and their meanings."""

# Our own constant expressions, compiled once; no input ever gets here.
_CODE = {name: compile(expanded(name), name, "eval") for name in (*OPERANDS, *RAW)}
_CONDITION = {name: compile(expanded(row.condition), name, "eval") for name, row in CHECKS.items()}


def _needs(node: ast.expr) -> frozenset[tuple[str, bool]]:
    """What a condition needs of quirks and options to hold at all: of all terms, or of each alternative alike."""
    match node:
        case ast.BinOp(left, ast.BitAnd(), right):
            return _needs(left) | _needs(right)
        case ast.BinOp(left, ast.BitOr(), right):
            return _needs(left) & _needs(right)
        case ast.Compare(ast.Name(choice), [ast.Eq()], [ast.Constant(value)]) if choice in CHOSEN:
            return frozenset({(choice, value == 1)})
    return frozenset()


_NEEDS = {name: _needs(ast.parse(row.condition, mode="eval").body) for name, row in CHECKS.items()}
_NOTHING: dict[str, object] = {"__builtins__": {}}


class Operand(NamedTuple):
    """A quantity that a check looks at; value None where the check was not reached."""

    name: str
    value: int | None
    meaning: str


class CheckRow(NamedTuple):
    """One check on one request. outcome: passed, failed, delivered or not reached; reason: of the fault, or PASS.

    section: of which document, "VT-d 5.1.3". moot: nothing can end at it on this unit, since it belongs to a quirk or
    an option that is off.
    """

    name: str
    outcome: str
    operands: tuple[Operand, ...]
    condition: str
    reason: int
    section: str
    sentence: str
    moot: bool = False

    def __str__(self) -> str:
        values = " ".join(f"{o.name}={o.value:#x}" for o in self.operands if o.value is not None)
        return f"{self.name}: {self.outcome}" + (f" ({values})" if values else "")


def walk(order: str, values: dict[str, int]) -> tuple[CheckRow, ...]:
    """All checks, in an order of `checks.ORDERS`, on the raw words by their names (`RAW`)."""
    rows, ended = [], False
    for name in ORDERS[order]:
        rows.append(_row(name, NOT_REACHED if ended else _outcome(name, values), values))
        ended = ended or rows[-1].outcome != PASSED
    return tuple(rows)


def _outcome(name: str, values: dict[str, int]) -> str:
    if not eval(_CONDITION[name], _NOTHING, values):
        return PASSED
    return DELIVERED if CHECKS[name].outcome == PASS else FAILED


def _row(name: str, outcome: str, values: dict[str, int]) -> CheckRow:
    row = CHECKS[name]
    operands = tuple(
        Operand(operand, None if outcome == NOT_REACHED else int(eval(_CODE[operand], _NOTHING, values)),
                OPERANDS[operand][1] if operand in OPERANDS else RAW[operand])
        for operand in operand_names(row.condition) if operand in _CODE)
    moot = any(bool(values["mode"] & MODE_BIT[choice]) != wanted for choice, wanted in _NEEDS[name])
    return CheckRow(name, outcome, operands, row.condition, row.outcome, f"VT-d {row.section}", row.sentence, moot)


def ending(rows: Iterable[CheckRow]) -> CheckRow | None:
    """The check at which the request ended, None when all passed."""
    return next((row for row in rows if row.outcome in (FAILED, DELIVERED)), None)


def deciding(rows: Sequence[CheckRow]) -> int:
    """The place of the check that decided: where the request ended, or the last when all passed."""
    return next((place for place, row in enumerate(rows) if row.outcome in (FAILED, DELIVERED)), len(rows) - 1)


def summary(rows: Sequence[CheckRow]) -> str:
    """The checks in three words: "9 passed, failed here, 10 not reached"."""
    passed = sum(row.outcome == PASSED for row in rows)
    end, rest = ending(rows), sum(row.outcome == NOT_REACHED for row in rows)
    here = "" if end is None else "failed here" if end.outcome == FAILED else "delivered unchanged here"
    words = [f"{passed} passed" if passed else "", here, f"{rest} not reached" if rest else ""]
    return ", ".join(filter(None, words))


def why(m: Machine, unit: int, requester: int, address: int, data: int) -> tuple[CheckRow, ...]:
    """The checks on a request of `requester` (16 bits; -1 without a source-id), as `remap.look` would make them now.

    Changes nothing. address: 64 bits; data: 32 bits. ValueError for a value that no request can carry.
    """
    for name, value, most, least in (("unit", unit, m.units - 1, 0), ("requester", requester, 0xFFFF, -1),
                                     ("address", address, (1 << 64) - 1, 0), ("data", data, (1 << 32) - 1, 0)):
        whole(name, value, most, least)
    mode = m.latch[LATCH_WORDS * unit + Latch.MODE]
    words = m.cache.get(unit << 16 | chain.index_of(address & 0xFFFFFFFF, data, mode))
    if words is None:
        words = _in_memory(m, unit, chain.index_of(address & 0xFFFFFFFF, data, mode))
    return _checks(m, unit, requester, address, data, words)


def _in_memory(m: Machine, unit: int, index: int) -> Words | None:
    return m.ram.words4((m.latch[LATCH_WORDS * unit + Latch.BASE_PAGE] << 12) + (index << 4))


def _checks(m: Machine, unit: int, requester: int, address: int, data: int,
            words: Words | None) -> tuple[CheckRow, ...]:
    latch = m.latch[LATCH_WORDS * unit:LATCH_WORDS * (unit + 1)]
    mode = latch[Latch.MODE] | (MODE_BIT["sourceless"] if requester < 0 else 0)
    entry = dict(zip(("w0", "w1", "w2", "w3"), words or (0, 0, 0, 0), strict=True))
    return walk(list(ORDERS)[latch[Latch.ORDER]], {
        "address": address & 0xFFFFFFFF, "upper": address >> 32, "data": data, "requester": requester, "mode": mode,
        "entries": latch[Latch.ENTRIES], "base_page": latch[Latch.BASE_PAGE], "width": latch[Latch.WIDTH],
        "readable": int(words is not None), **entry})


# --- one interrupt ---


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of an interrupt and why.

    verdict: in a few words. sentences: the way, in order. checks: every check of the remapping unit with its
    operands, none when no unit took part. sections: what to read, in the order of the way.
    """

    serial: int
    verdict: str
    sentences: tuple[str, ...]
    checks: tuple[CheckRow, ...]
    sections: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((f"Interrupt {self.serial}: {self.verdict}", *self.sentences,
                          "Read: " + ", ".join(self.sections)))


class Told(Protocol):
    """What can say how an interrupt went; a `history.History` can."""

    def events_of(self, serial: int) -> Sequence[Event]:
        """The events of an interrupt."""

    def machine_before(self, serial: int) -> Machine:
        """The machine before the command during which it began."""


def explain_in(history: Told, serial: int) -> Explanation:
    """Explain an interrupt of a history. ValueError when it has none of that serial."""
    return explain(history.events_of(serial), history.machine_before(serial), serial)


def explain(events: Iterable[Event], before: Machine, serial: int) -> Explanation:
    """Explain an interrupt from the events of its command and the machine before it.

    ValueError when no event belongs to the serial.
    """
    mine = [event for event in events if event.serial == serial and serial]
    if not mine:
        raise ValueError(f"interrupt {serial}: none of these events belongs to it")
    checks = _checks_of(mine, before)
    end = ending(checks)
    told = [sentence for event in mine for sentence in _told(before, event, mine, end)]
    told += _silence(before, mine)
    read = [*(section(event) for event in mine), end.section if end else ""]
    return Explanation(serial, _verdict(mine, before), tuple(told), checks, tuple(dict.fromkeys(s for s in read if s)))


def _find(events: Iterable[Event], *acts: Act) -> Event | None:
    return next((event for event in events if event.act in acts), None)


def _checks_of(mine: list[Event], before: Machine) -> tuple[CheckRow, ...]:
    """The checks that the unit made, on the entry that it has seen."""
    sent = _find(mine, Act.SENT)
    decided = _find((e for e in mine if e.node >> 24 == Kind.VIOMMU),
                    Act.REMAPPED, Act.PASSED, Act.POSTED, Act.BLOCKED)
    if line := _rise(mine):
        return _wired_checks(before, line.index)
    if sent is None or decided is None:
        return ()
    seen = _find(mine, Act.FETCHED, Act.HIT)
    return _sent_checks(before, number(decided), sent, words_of(seen) if seen else None)


def _rise(mine: list[Event]) -> Event | None:
    """The line that rose at the 8259 pair, if that is how the interrupt began."""
    return next((e for e in mine if e.act == Act.LINE and e.node >> 24 == Kind.VPIC and e.low), None)


def _wired_checks(before: Machine, irq: int) -> tuple[CheckRow, ...]:
    rows, ended = list[CheckRow](), False
    for name, holds, operands, condition, read, sentence in wired.checks(before, irq):
        outcome = NOT_REACHED if ended else PASSED if holds else FAILED
        looked = tuple(Operand(each, None if ended else value, meaning) for each, value, meaning in operands)
        rows.append(CheckRow(name, outcome, looked, condition, PASS, read, sentence))
        ended = ended or not holds
    return tuple(rows)


def _sent_checks(before: Machine, unit: int, sent: Event, words: Words | None) -> tuple[CheckRow, ...]:
    unverified = before.quirks & IOAPIC_UNVERIFIED and sent.node >> 24 == Kind.VIOAPIC
    return _checks(before, unit, -1 if unverified else sent.index, sent.low, sent.high, words)


def _told(before: Machine, event: Event, mine: list[Event], end: CheckRow | None) -> Iterator[str]:
    """The sentences about one event: with the check that ended the request, staleness, and what 8 bits cannot name."""
    at_unit = event.node >> 24 == Kind.VIOMMU and event.act in (Act.BLOCKED, Act.PASSED)
    if end and (at_unit or event is _rise(mine)):
        yield f"Check {end.name} ({end.section}): {end.sentence}"
    yield say(before, event)
    if event.act == Act.HIT:
        yield from _stale(before, event, mine)
    if event.act == Act.DROPPED and event.index == Drop.NOBODY and _find(mine, Act.PASSED):
        yield from _unnamed(before, event.low)


def _stale(before: Machine, hit: Event, mine: list[Event]) -> Iterator[str]:
    unit, now = number(hit), _in_memory(before, number(hit), hit.index)
    if now == words_of(hit):
        return
    yield (f"The cached copy is stale: the entry in memory differs, {entry_text(now)}; "
           "software has not invalidated it since.")
    sent = _find(mine, Act.SENT)
    if sent is not None:
        end = ending(_sent_checks(before, unit, sent, now))
        yield f"With the entry in memory the request would be {_would_be(before, unit, now, end)}."


def _would_be(before: Machine, unit: int, words: Words | None, end: CheckRow | None) -> str:
    if end is not None or words is None:
        return f"blocked by check {end.name}" if end else "blocked"
    mode = before.latch[LATCH_WORDS * unit + Latch.MODE]
    _, upper, address, data = chain.message_of(words[0], words[1], mode)
    return "posted" if posts(words[0], mode) else f"sent on as {message_text(before, upper << 32 | address, data)}"


def _silence(before: Machine, mine: list[Event]) -> Iterator[str]:
    """A fault that is recorded or lost without a new fault event."""
    logged = _find(mine, Act.RECORDED, Act.FOLDED, Act.OVERFLOWED)
    if logged is not None and not _find(mine, Act.NOTIFIED, Act.HELD):
        status = before.regs[PAGE_WORDS * number(logged) + OFFSET["FSTS"] // 4]
        yield f"No new fault event: an earlier condition is still pending, FSTS {FSTS.text(status)}."


_WORD = {Act.ACCEPTED: "accepted", Act.MERGED: "merged", Act.SIGNALLED: "signalled"}


def _verdict(mine: list[Event], before: Machine) -> str:
    blocked = _find(mine, Act.BLOCKED)
    if blocked is not None:
        return f"blocked, fault reason {blocked.index:#x}: {REASON_TEXT[Reason(blocked.index)]}"
    if _find(mine, Act.POSTED):
        if _find(mine, Act.VM_EXIT):
            return "posted, and the host was interrupted"
        return "posted, and taken without an exit" if _find(mine, Act.VIRTUAL) else "posted"
    if line := _rise(mine):
        return _wired_verdict(mine, before, line)
    if refused := _find(mine, Act.DMA_BLOCKED):
        return f"DMA blocked, reason {refused.index:#x}: {DMA_REASON_TEXT[refused.index]}"
    if _find(mine, Act.DMA):
        return "DMA that passes: no interrupt"
    taken = [event for event in mine if event.act in _WORD]
    if taken:
        words = " and ".join(dict.fromkeys(_WORD[Act(event.act)] for event in taken))
        return words + (f" by vLAPIC {number(taken[0])}" if len(taken) == 1 else f" by {len(taken)} vLAPICs")
    lost = _find(mine, Act.DROPPED, Act.APIC_ERROR)
    if lost is not None:
        return f"dropped: {say(before, lost).rstrip('.')}"
    return "pending" if _find(mine, Act.PENDED) else "sent"


def _wired_verdict(mine: list[Event], before: Machine, line: Event) -> str:
    """What became of a line at the 8259 pair."""
    end = ending(_wired_checks(before, line.index))
    if end is not None:
        return f"held back: {end.name}"
    heard = [number(event) for event in mine if event.act == Act.LINT]
    return f"asked of vCPU {heard[0]} by LINT0" if heard else f"IRQ {line.index} waits at the 8259"


# --- what a message cannot name ---


def unreachable(m: Machine, vcpu: int) -> str | None:
    """Why no compatibility-format message can name a vCPU's APIC ID; None when one can. ValueError: no such vCPU."""
    if not 0 <= vcpu < m.vcpus:
        raise ValueError(f"vcpu is {vcpu}; the limit is 0 to {m.vcpus - 1}")
    apic_id, wide = m.apic_id[vcpu], m.profile.options.ext_dest
    limit = 0x7FFF if wide else 254
    if apic_id <= limit and apic_id != 255:
        return None
    room = "15 bits, at most 32767 (255 is broadcast)" if wide else "8 bits, at most 254 (255 is broadcast)"
    text = (f"vCPU {vcpu} has APIC ID {apic_id}; a compatibility-format message carries {room}, "
            "so none can name it. An entry of a remapping table has 32 bits.")
    if m.apic_mode[vcpu] == Apic.XAPIC:
        text += f" In xAPIC mode its own ID register holds 8 bits too: {apic_id & 0xFF}."
    return text


def _unnamed(m: Machine, destination: int) -> Iterator[str]:
    """The vCPUs that were perhaps meant: their ID ends in the 8 bits that were sent."""
    for vcpu in range(m.vcpus):
        if m.apic_id[vcpu] > 254 and m.apic_id[vcpu] & 0xFF == destination:
            yield f"{apic_text(m, vcpu)} has the same low 8 bits. {unreachable(m, vcpu) or ''}"
            return
