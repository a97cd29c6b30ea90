"""What software has done to one remapping unit, and what it may rely on by now: the state that `checker` judges by.

A `Conduct` is kept beside a unit and fed with every command and its events. It holds the unit's registers as they were
before the command, and what a register does not show: which commands nobody has looked after, which fault records were
read, which `invalidations` are known to be done, and (`exposure`) which entries may still be held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from vsim.devices import chain, remap, vvtd
from vsim.devices.checks import MODE_BIT
from vsim.devices.queue import WHOLE
from vsim.devices.remap import ABSENT, Verdict, Words
from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD, WAIT, DescriptorType
from vsim.layouts.registers import CAP, ECAP, FSTS, GSTS, IRTA, OFFSET, ONE_SHOT
from vsim.protocol.delivery import Effect, Request, anyone, effect, using
from vsim.protocol.exposure import Exposure, Held, Journal
from vsim.protocol.invalidations import Invalidations, Queued
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.commands import MmioRead
from vsim.state.trace import Act, Event, Kind, node

_IRES, _CACHING = GSTS.ires.mask, CAP.cm.mask
_GSTS, _FSTS = OFFSET["GSTS"], OFFSET["FSTS"]
_QUEUE_AND_TABLE = OFFSET["IRTA"], OFFSET["IQH"], OFFSET["IQT"]
# Places as plain ints: members of an enumeration are slow to look up, and this is done for every request.
_MODE, _BASE_PAGE, _ENTRIES = map(int, (Latch.MODE, Latch.BASE_PAGE, Latch.ENTRIES))
_AVAILABLE = 0xF00      # entry bits 11:8 are software's own
MOST_KNOWN = 1 << 14
"""Verdicts, and walks, that are remembered."""

State = tuple[int, int, int]
"""Mode word, page and entries of the table in use: what an entry's meaning follows from."""


def _state(m: Machine, number: int) -> State:
    at, latch = LATCH_WORDS * number, m.latch
    return latch[at + _MODE], latch[at + _BASE_PAGE], latch[at + _ENTRIES]


class Stale(NamedTuple):
    """What a request may use instead of the entry in memory, and why it still may.

    why: "wait" (an invalidation is queued, nobody knows whether it is done), "table" (of a table used before), "set"
    (it was not present or faulty, and caching mode keeps such ones too) or "change".
    """

    held: Held
    why: str
    request: Request
    index: int  # type: ignore[assignment]  # shadows tuple.index


class Walk(NamedTuple):
    """A look at all that may be held for a request, so that the next one begins where this ended.

    time: of the command; turns: of the exposure; end: what the request came to with the entry in memory; found: what
    is held and comes to something else, None for nothing.
    """

    time: int
    turns: int
    end: Effect
    found: Held | None


@dataclass(slots=True)
class Conduct:
    """One unit. number, base: which one, and where its registers are. reads: whether the log shows reads at all.

    status, irta, iqh, iqt, fsts: the registers before the command. latched: IRTA as SIRTP took it, -1 before the
    first one; latched_at: when. turned: remapping was on when the table was latched. flushed: what became of the
    global invalidation since then, "no", "queued" or "done". given: when GCMD was written last; awaited: the same
    while nobody has read GSTS since, else 0. records: fault records in use, the oldest first; read: those that were
    read as they are. known: what becomes of requests with an entry; walks: the last look for each request.
    """

    number: int
    base: int
    cap: int
    ecap: int
    reads: bool = True
    status: int = 0
    irta: int = 0
    iqh: int = 0
    iqt: int = 0
    fsts: int = 0
    latched: int = -1
    latched_at: int = 0
    turned: bool = False
    flushed: str = "done"
    given: int = 0
    awaited: int = 0
    records: list[int] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    fri_read: bool = False
    exposure: Exposure = field(default_factory=Exposure)
    invalidations: Invalidations = field(default_factory=Invalidations)
    known: dict[tuple[Request, Words, State], Verdict] = field(default_factory=dict)
    walks: dict[tuple[Request, State], Walk] = field(default_factory=dict)

    # --- questions ---

    @property
    def caching(self) -> bool:
        """Caching mode: entries that are not present or faulty may be cached too."""
        return bool(self.cap & _CACHING)

    @property
    def flushes_itself(self) -> bool:
        """SIRTP and turning remapping off empty the cache (CAP.ESIRTPS)."""
        return bool(get(self.cap, CAP.esirtps))

    @property
    def remapping(self) -> bool:
        """Remapping is on."""
        return bool(self.status & _IRES)

    @property
    def eime(self) -> bool:
        """The table in use has 32-bit destinations."""
        return self.latched >= 0 and bool(get(self.latched, IRTA.eime) and get(self.ecap, ECAP.eim))

    @property
    def table(self) -> tuple[int, int] | None:
        """Page and number of entries of the table that was latched last."""
        return _table(self.latched)

    def index_at(self, address: int) -> int:
        """The entry that is at an address, -1 when none of the latched table is."""
        table = self.table
        if table is None:
            return -1
        index = (address >> 4) - (table[0] << 8)
        return index if 0 <= index < table[1] else -1

    # --- going on ---

    def refresh(self, m: Machine) -> None:
        """Take over the registers after a command."""
        number = self.number
        self.irta, self.iqh, self.iqt = (vvtd.value(m, number, offset, 8) for offset in _QUEUE_AND_TABLE)
        self.status, self.fsts = vvtd.value(m, number, _GSTS, 4), vvtd.value(m, number, _FSTS, 4)

    def follow(self, ram: Journal, events: list[Event], time: int) -> None:
        """Take over what the unit did during a command, before `refresh`."""
        stored, mine = iter(ram.stored), node(Kind.VIOMMU, self.number)
        for event in events:
            if event.node != mine:
                continue
            if event.act == Act.LATCHED:
                self._latch(event.low, time)
            elif event.act == Act.INVALIDATED:
                self._queue(event, time)
            elif event.act == Act.STATUS_WRITTEN:
                if next(stored, (0, -1))[1] != event.high or not self.reads:
                    self.invalidations.store(event.low, event.high)
            elif event.act == Act.DESCRIPTOR and event.index == DescriptorType.WAIT and get(event.low, WAIT.iflag):
                self.invalidations.interrupt()
            elif event.act == Act.RECORDED:
                self.read.discard(event.index)
                self.records.append(event.index)
        if self.given == time:
            self.awaited = time

    def _latch(self, irta: int, time: int) -> None:
        self.latched, self.latched_at, self.turned = irta, time, self.remapping
        self.flushed = "done" if self.flushes_itself else "no"
        if self.flushes_itself:
            self.exposure.forget(time)

    def _queue(self, event: Event, time: int) -> None:
        """An invalidation: event as the machine tells it, first entry, whether selective, mask."""
        mask = min(event.high, WHOLE) if event.low else WHOLE
        self.invalidations.add(event.index, mask, time)
        if mask == WHOLE and self.flushed == "no":
            self.flushed = "queued"

    def settle(self, time: int, remapping: bool) -> bool:
        """After a command: whether another table is in use from now on, or none."""
        if self.remapping and not remapping and self.flushes_itself:
            self.exposure.forget(time)
        return self.exposure.turn(time, self.table if remapping else None)

    def done(self, known: Iterable[Queued]) -> None:
        """Software knows that these invalidations are done."""
        for one in known:
            self.exposure.covered(one.first, one.mask, one.time)
            if one.mask == WHOLE and self.flushed == "queued" and one.time > self.latched_at:
                self.flushed = "done"

    def saw_register(self, command: MmioRead, m: Machine) -> None:
        """Software read registers of the unit: status, completion, fault records."""
        start, end = command.address - self.base, command.address - self.base + command.width
        if start < OFFSET["GSTS"] + 4 and end > OFFSET["GSTS"]:
            self.awaited = 0
        if start <= OFFSET["FSTS"] < end:
            self.fri_read = True
        if start <= OFFSET["ICS"] < end and vvtd.value(m, self.number, OFFSET["ICS"], 4) & 1:
            self.done(self.invalidations.saw_completion())
        record = (start - m.profile.capabilities.fault_offset) // 16
        if 0 <= record < m.profile.capabilities.fault_records:
            self.read.add(record)

    # --- what may be stale ---

    def stale(self, m: Machine, ram: Journal, request: Request) -> Stale | None:
        """Whether (requester, address, data) may be served by another entry than the one in memory, to another end."""
        state = _state(m, self.number)
        index = chain.index_of(request.address & 0xFFFFFFFF, request.data, state[0]) if self.remapping else -1
        if index < 0 or not self.exposure.any_held(ram, index):
            return None
        words = ram.words4((state[1] << 12) + (index << 4))
        now = using(m, self.number, request, None) if words is None else self.verdict(m, request, words, state)
        if now.index < 0:
            return None
        found = self._walk(m, ram, request, now, state)
        return Stale(found, self._why(m, index, found), request, now.index) if found else None

    def _walk(self, m: Machine, ram: Journal, request: Request, now: Verdict, state: State) -> Held | None:
        """What may be held and comes to another end than the entry in memory; only what is new is looked at again."""
        end, turns, index = effect(now), self.exposure.turns, now.index
        last = self.walks.get((request, state))
        known = last if last and (last.end, last.turns) == (end, turns) else None
        if known and known.found and not self.exposure.holds(index, known.found):
            known = None
        found = known.found if known else None
        for held in self.exposure.held(ram, index, known.time - 1 if known else -1):
            words = held.words
            differs = words != now.words and effect(self.verdict(m, request, words, state)) != end
            if differs and self.may_hold(m, index, words):
                found = held
                break
        if len(self.walks) >= MOST_KNOWN:
            self.walks.clear()
        self.walks[request, state] = Walk(ram.time, turns, end, found)
        return found

    def verdict(self, m: Machine, request: Request, words: Words, state: State | None = None) -> Verdict:
        """What becomes of a request with an entry of these words, worked out once while the unit's state stays."""
        state = state or _state(m, self.number)
        key = request, words, state
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            found = self.known[key] = using(m, self.number, request, words)
        return found

    def may_hold(self, m: Machine, index: int, words: Words) -> bool:
        """Whether a unit may cache an entry of these words: with caching mode any, else one without fault (V 7.7)."""
        return self.caching or not self._faulty(m, index, words)

    def _faulty(self, m: Machine, index: int, words: Words) -> bool:
        """Whether an entry makes a fault by itself, whoever sends."""
        return remap.OUTCOME[self.entry_check(m, index, words)] > 0

    def entry_check(self, m: Machine, index: int, words: Words) -> int:
        """The check that an entry of these words fails by itself, whoever sends; 0 for none."""
        check = remap.entry_check(m, self.number, index, words)
        return check if check >= 0 else self.verdict(m, anyone(index), words).check

    def _why(self, m: Machine, index: int, held: Held) -> str:
        if self.invalidations.since(index, held.left):
            return "wait"
        current = self.exposure.current
        if current and held.page not in (-1, current.page):
            return "table"
        return "set" if self._faulty(m, index, held.words) else "change"

    def uncovered(self, m: Machine, ram: Journal) -> Iterator[Stale]:
        """The entries of the table in use of which an old value may be held, whoever asks for them."""
        for address in ram.past:
            index = self.index_at(address)
            now = ram.words4(address) if index >= 0 else None
            for held in self.exposure.held(ram, index) if now is not None else ():
                if _differ(held.words, now or ABSENT) and self.may_hold(m, index, held.words):
                    yield Stale(held, self._why(m, index, held), anyone(index), index)
                    break


@lru_cache(64)
def _table(latched: int) -> tuple[int, int] | None:
    """Page and number of entries of a table that IRTA names; None for -1, which is none."""
    return None if latched < 0 else (get(latched, IRTA.base), 2 << get(latched, IRTA.s))


def _differ(a: Words, b: Words) -> bool:
    return bool((a[0] ^ b[0]) & ~_AVAILABLE) or a[1:] != b[1:]


def of(m: Machine, number: int, reads: bool, time: int) -> Conduct:
    """The state of a unit of which nobody knows what was done to it before."""
    at = LATCH_WORDS * number
    cap, ecap = (vvtd.value(m, number, OFFSET[name], 8) for name in ("CAP", "ECAP"))
    found = Conduct(number, m.latch[at + Latch.MMIO_BASE], cap, ecap, reads)
    found.refresh(m)
    found.records = _pending(m, number, get(found.fsts, FSTS.fri))
    if m.latch[at + Latch.ENTRIES]:
        size = m.latch[at + Latch.ENTRIES].bit_length() - 2
        eime = int(m.latch[at + Latch.MODE] & MODE_BIT["eime"] > 0)
        found.latched = IRTA.make(base=m.latch[at + Latch.BASE_PAGE], s=size, eime=eime)
    found.exposure.cached = {key & (1 << WHOLE) - 1: words for key, words in m.cache.items() if key >> WHOLE == number}
    found.exposure.turn(time, found.table if found.remapping else None)
    return found


def _pending(m: Machine, number: int, first: int) -> list[int]:
    """The fault records in use, from `first` on."""
    count, at = m.profile.capabilities.fault_records, m.profile.capabilities.fault_offset
    order = [(first + n) % count for n in range(count)]
    return [n for n in order if vvtd.value(m, number, at + 16 * n + 12, 4) & FRCD.f.mask >> 96]


def raised(new: int, status: int) -> int:
    """The bits of a GCMD value that ask for something to be done: one-shot ones, and level ones that were off."""
    return new & ONE_SHOT | new & ~status & _ALL


def dropped(new: int, status: int) -> int:
    """The level bits that were on and are off in a GCMD value."""
    return status & ~new & ~ONE_SHOT & _ALL


_ALL = sum(f.mask for f in GSTS)
