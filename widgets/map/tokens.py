"""Events folded into tokens: one record of 12 bytes for each interrupt and each vLAPIC that it reached.

The full events stay in the kernel; a token holds what the live map needs to show an interrupt's way. Places are
numbered by the scene: devices, then routers, then units, then vLAPICs; last the mainboard's lines, which come by the
pair of 8259 to a LINT0, or by a pin of the I/O APIC.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

from vsim.explain.sentences import UNHEARD, WAITS, masked
from vsim.layouts.bits import get
from vsim.layouts.formats import Dlm, Reason
from vsim.layouts.registers import LVT_LINT
from vsim.state.trace import Act, Event, Kind

VERSION = 1
HEADER = struct.Struct("<BBHI")
"""Version, bytes of a record, 0, number of records."""
RECORD = struct.Struct("<fHHHBB")
_DEVICE, _VLAPIC, _VIOAPIC, _VPIC = map(int, (Kind.DEVICE, Kind.VLAPIC, Kind.VIOAPIC, Kind.VPIC))
NOBODY = 0xFFFF
"""dst of a token that reached no vLAPIC."""


class Outcome(IntEnum):
    """What became of an interrupt: the first four in the order of `theme.OUTCOMES`, then what no table judges."""

    REMAPPED = 0
    POSTED = 1
    COMPATIBILITY = 2
    BLOCKED = 3
    DIRECT = 4  # an IPI, an event that a unit sends by itself, the 8259's INTR; what a vLAPIC has by a pin or timer
    MASKED = 5  # it never became a message: it ends at its router, or at the 8259
    LOST = 6  # nobody refused it and nobody took it: no such APIC, or nothing that would deliver it
    SPURIOUS = 7  # a vCPU asked for a vector when none was there any more


class Flag(IntFlag):
    """What else a token's outcome byte tells, above the `Outcome` in bits 2:0."""

    STALE = 0x08    # the unit used a copy of its entry that differs from memory
    PAST = 0x10     # lost only behind the unit: no local APIC took it
    NO_ENTRY = 0x20  # irte means nothing
    PIN = 0x40      # it came by a pin of the vIOAPIC, not as a message; of a vLAPIC itself: by its LINT or timer
    MERGED = 0x80   # the vector was requested already


class Token(NamedTuple):
    """One interrupt as the map shows it.

    t_ms: machine time at which it was sent. src, dst: places of the scene (dst `NOBODY` for none). irte: index of the
    entry. outcome: `Outcome` | `Flag`. vector: as delivered; of a blocked one the fault reason, of a masked one the
    key of `sentences.MASKED`, of one by the 8259 its IRQ, since the vector is fetched later.
    """

    t_ms: float
    src: int
    dst: int
    irte: int
    outcome: int
    vector: int


def shades(token: Token) -> bool:
    """Whether an interrupt counts in the shade of a vLAPIC: a device sent it, and it arrived."""
    return token.dst != NOBODY and token.outcome & 7 not in (Outcome.DIRECT, Outcome.SPURIOUS)


class Places:
    """The numbers of a scene's places, by the nodes of events."""

    def __init__(self, scene: dict[str, Any]) -> None:
        devices, routers, units = len(scene["devices"]), len(scene["routers"]), len(scene["units"])
        self._devices = {row[0]: place for place, row in enumerate(scene["devices"])}
        self._pins = _only({row[2]: [] for row in scene["devices"]}, scene["devices"])
        self.ioapic, self.vmsi, self.unit = devices, devices + routers - 1, devices + routers
        self.vlapic = devices + routers + units
        self.pic = self.vlapic + scene["vlapics"]
        self.count = self.pic + 1
        self.drawn = bool(scene.get("pic"))  # whether the 8259 pair is in the picture

    def of(self, node: int) -> int:
        """The place of a node; a requester that is no device of the scene is the vMSI."""
        kind, number = node >> 24, node & 0xFFFFFF
        if kind == _VLAPIC:
            return self.vlapic + number
        if kind == _VPIC:
            return self.pic
        if kind == _DEVICE:
            return self._devices.get(number, self.vmsi)
        if kind == Kind.VIOAPIC:
            return self._pins.get(number, self.ioapic)
        return self.unit + number if kind == Kind.VIOMMU else self.vmsi


def _only(pins: dict[int, list[int]], devices: list[Any]) -> dict[int, int]:
    """Pin -> the device, for pins to which exactly one is wired."""
    for place, row in enumerate(devices):
        pins[row[2]].append(place)
    return {pin: wired[0] for pin, wired in pins.items() if pin >= 0 and len(wired) == 1}


# As plain ints: an operation on a member of an enumeration costs as much as all the rest of a token.
_NO_ENTRY_BIT, _PIN_BIT, _PAST_BIT, _MERGED_BIT = map(int, (Flag.NO_ENTRY, Flag.PIN, Flag.PAST, Flag.MERGED))
_ENTRY_BITS = 0xFF & ~_NO_ENTRY_BIT
_PAST = {Act.REMAPPED, Act.PASSED, Act.POSTED, Act.NOTIFIED}
_TAKEN_IN: dict[int, int] = {Act.ACCEPTED: 0, Act.SIGNALLED: 0, Act.MERGED: _MERGED_BIT}
_TOLD = {*_PAST, *_TAKEN_IN, Act.FETCHED, Act.HIT, Act.BLOCKED, Act.DROPPED, Act.INTR, Act.LINT}
_BEGUN, _REMAPPED, _POSTED = (int(Act.SENT), int(Act.NOTIFIED)), int(Act.REMAPPED), int(Act.POSTED)
_WIRED = frozenset(map(int, (Act.LINE, Act.INTR, Act.LINT, Act.TIMER)))
_LINE, _INTR, _LINT, _TIMER = map(int, (Act.LINE, Act.INTR, Act.LINT, Act.TIMER))
_INTA, _TAKEN = int(Act.INTA), int(Act.TAKEN)
_LOOKED_UP = frozenset(map(int, (Act.FETCHED, Act.HIT, Act.REMAPPED, Act.POSTED)))
_MASKED = frozenset(map(int, (Act.PENDED, Act.DROPPED)))
_SPURIOUS, _HIT, _STALE_BIT, _M32 = int(Act.SPURIOUS), int(Act.HIT), int(Flag.STALE), 0xFFFFFFFF
Memory = Callable[[int, int], "tuple[int, int, int, int] | None"]
"""The words of an entry in memory, by unit and index."""
_NO_ENTRY = (Reason.REQUEST_RESERVED, Reason.COMPATIBILITY)


def fold(scene: dict[str, Any] | Places, events: Iterable[Event], clock: int = 0, memory: Memory | None = None
         ) -> Iterator[Token]:
    """The tokens of events, in their order.

    clock: machine time in nanoseconds before the first event. memory: what the table holds now, by which copies that
    were used are told as stale; without it none is.
    """
    return (token for _, token in ticked(scene, events, clock, memory))


def ticked(scene: dict[str, Any] | Places, events: Iterable[Event], clock: int = 0, memory: Memory | None = None
           ) -> Iterator[tuple[int, Token]]:
    """The tokens of `fold`, each with the tick of the command that sent it."""
    places = scene if isinstance(scene, Places) else Places(scene)
    way: _Way | _Wire | None = None
    gone = False  # whether the 8259 gave a vector for a request that had gone
    for event in events:
        act = event.act
        if act in _BEGUN:
            by_pin = type(way) is _Wire and event.node >> 24 == _VIOAPIC
            if way is not None and not way.told and not by_pin and (end := way.lost()):
                yield end
            way = _Way(places, event, clock)
            if by_pin:
                way.src = places.pic
        elif act in _TOLD and way is not None and event.serial == way.serial:
            if act == _HIT and memory is not None and type(way) is _Way:
                way.compare(event, memory)
            token = way.take(event)
            if token is not None:
                yield token
        elif act in _WIRED and _begins(event):
            if way is not None and not way.told and (end := way.lost()):
                yield end
            way = _Wire(places, event, clock)
            if token := way.take(event):
                yield token
        elif act == _INTA:
            gone = bool(event.high)
        elif act == _SPURIOUS or (gone and act == _TAKEN):
            gone = False
            place = places.of(event.node)
            yield event.tick, Token(clock / 1e6, place, place, 0, Outcome.SPURIOUS | _NO_ENTRY_BIT, event.index & 0xFF)
        elif act in _MASKED and (why := masked(event)) >= 0:
            if way is not None and not way.told and (end := way.lost()):
                yield end
            way = None
            yield event.tick, _stopped(places, event, clock, why)
        clock += event.cost
    if way is not None and not way.told and (end := way.lost()):
        yield end


def _begins(event: Event) -> bool:
    """Whether an interrupt begins at a wire: a line of the mainboard or a LINT pin rises, INTR does, a timer fires."""
    if event.act == _LINE:
        return event.node >> 24 == _VPIC and bool(event.low)
    return bool(event.index if event.act == _INTR else event.low if event.act == _LINT else not event.high)


def _stopped(places: Places, event: Event, clock: int, why: int) -> Token:
    """The token of an interrupt that is masked: no message, no entry, no target."""
    pin = _PIN_BIT if event.node >> 24 == Kind.VIOAPIC else 0
    return Token(clock / 1e6, places.of(event.node), NOBODY, 0, Outcome.MASKED | _NO_ENTRY_BIT | pin, why)


class _Wire:
    """A line at the 8259 pair, a LINT pin or a timer, while its events come in."""

    def __init__(self, places: Places, first: Event, clock: int) -> None:
        self.places, self.serial, self.tick, self.clock = places, first.serial, first.tick, clock
        self.src = places.of(first.node)
        self.asked, self.told = False, False
        self.irq = first.index
        self.masked: Event | None = None

    def take(self, event: Event) -> tuple[int, Token] | None:
        """One more event of it; the token that it completes."""
        act = event.act
        if act == _INTR:
            self.asked, self.irq = bool(event.index), event.low
        elif act == _LINT and event.low:
            masked, extint = event.high & LVT_LINT.mask.mask, get(event.high, LVT_LINT.dlm) == Dlm.EXTINT
            if self.src == self.places.pic:  # a vCPU whose LINT0 is masked hears of it by pin 0 of the I/O APIC
                return self._token(event, _PIN_BIT if masked else 0, self.irq)
            if extint and not masked:
                return self._token(event, _PIN_BIT, 0)
        elif act in _TAKEN_IN and self.src != self.places.pic:
            vector = event.low if act == Act.SIGNALLED else event.index
            return self._token(event, _PIN_BIT | _TAKEN_IN[act], vector)
        elif act == Act.DROPPED and event.node >> 24 == _VIOAPIC:
            self.masked = event
        return None

    def _token(self, event: Event, flags: int, vector: int) -> tuple[int, Token]:
        self.told = True
        outcome = Outcome.DIRECT | _NO_ENTRY_BIT | flags
        return self.tick, Token(self.clock / 1e6, self.src, self.places.of(event.node), 0, outcome, vector & 0xFF)

    def lost(self) -> tuple[int, Token] | None:
        """The end of one that nobody has heard: it waits at the 8259, or is masked at the I/O APIC."""
        if self.src != self.places.pic or not (self.asked or self.places.drawn):
            return self.masked and (self.tick, _stopped(self.places, self.masked, self.clock, self.masked.index))
        why = UNHEARD if self.asked else WAITS
        return self.tick, Token(self.clock / 1e6, self.src, NOBODY, 0, Outcome.MASKED | _NO_ENTRY_BIT, why)


class _Way:
    """One interrupt while its events come in."""

    def __init__(self, places: Places, sent: Event, clock: int) -> None:
        kind = sent.node >> 24
        self.places, self.serial, self.tick, self.t_ms = places, sent.serial, sent.tick, clock / 1e6
        self.src = places.of(sent.node)
        own = sent.act == Act.NOTIFIED or kind == Kind.VLAPIC
        self.outcome: int = Outcome.DIRECT if own else Outcome.COMPATIBILITY
        self.flags = _NO_ENTRY_BIT | (_PIN_BIT if kind == Kind.VIOAPIC else 0)
        self.irte = 0
        self.past, self.told = own, False
        self.vector = sent.high & 0xFF

    def compare(self, hit: Event, memory: Memory) -> None:
        """Whether the copy that the unit uses is the entry in memory."""
        copy = (hit.low & _M32, hit.low >> 32, hit.high & _M32, hit.high >> 32)
        if memory(hit.node & 0xFFFFFF, hit.index) != copy:
            self.flags |= _STALE_BIT

    def take(self, event: Event) -> tuple[int, Token] | None:
        """One more event of this interrupt; the token that it completes."""
        act = event.act
        if act in _LOOKED_UP:
            self.irte, self.flags = event.index, self.flags & _ENTRY_BITS
        self.past |= act in _PAST
        if act == _REMAPPED:
            self.outcome, self.vector = int(Outcome.REMAPPED), event.high & 0xFF
        elif act == _POSTED:
            self.outcome, self.vector = int(Outcome.POSTED), event.high & 0xFF
        elif act in _TAKEN_IN:
            vector = event.low if act == Act.SIGNALLED else event.index
            return self._token(self.places.of(event.node), self.outcome | _TAKEN_IN[act], vector)
        elif act == Act.BLOCKED:
            return self._blocked(event)
        elif act == Act.DROPPED and not self.told:
            return self._token(NOBODY, Outcome.LOST | self._where(), self.vector)
        return None

    def _where(self) -> int:
        return _PAST_BIT if self.past else 0

    def _blocked(self, event: Event) -> tuple[int, Token]:
        if event.index not in _NO_ENTRY:
            self.irte, self.flags = event.low, self.flags & _ENTRY_BITS
        return self._token(NOBODY, Outcome.BLOCKED, event.index)

    def _token(self, dst: int, outcome: int, vector: int) -> tuple[int, Token]:
        self.told = True
        irte = 0 if self.flags & _NO_ENTRY_BIT else self.irte & 0xFFFF
        return self.tick, Token(self.t_ms, self.src, dst, irte, outcome | self.flags, vector & 0xFF)

    def lost(self) -> tuple[int, Token]:
        """The end of an interrupt that nobody told about: posted without a notification, or an illegal vector."""
        outcome = self.outcome if self.outcome == Outcome.POSTED else Outcome.LOST
        return self._token(NOBODY, outcome | self._where(), self.vector)


def pack(tokens: Iterable[Token]) -> bytes:
    """Tokens as the page takes them: `HEADER`, then `RECORD`s, little endian."""
    body = b"".join(RECORD.pack(*token) for token in tokens)
    return HEADER.pack(VERSION, RECORD.size, 0, len(body) // RECORD.size) + body


def unpack(data: bytes) -> list[Token]:
    """The inverse of `pack` (t_ms in single precision). ValueError for another version or length."""
    if len(data) < HEADER.size or data[:2] != bytes((VERSION, RECORD.size)):
        raise ValueError(f"tokens begin with {data[:2].hex() or 'nothing'}; expected {VERSION:02x}{RECORD.size:02x}")
    count = HEADER.unpack_from(data)[3]
    if len(data) != HEADER.size + RECORD.size * count:
        raise ValueError(f"{count} tokens need {HEADER.size + RECORD.size * count} bytes; there are {len(data)}")
    return [Token(*row) for row in RECORD.iter_unpack(data[HEADER.size:])]
