"""A machine as the loops of a storm see it: its table, cache and destinations as dense arrays (see `loop`).

Everything here is derived from the machine and brought up to date when the machine has changed; only IRR, ISR, TMR and
TPR are the machine's own arrays. What the loops have counted goes back with `settle`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from vsim.devices import chain, routes, vlapic
from vsim.layouts.registers import FSTS, OFFSET, SVR
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Apic, Latch, Machine
from vsim.state.profile import LOW_VECTORS_TAKEN, LOWEST_IS_FIRST, RH_IGNORED
from vsim.state.trace import Act, Event
from vsim.storm.loop import (
    BROADCASTS,
    CACHED,
    DATA,
    DELIVERED,
    DISABLED,
    ELSEWHERE,
    ENDS,
    FAULTS,
    FILLED,
    LOW,
    MERGES,
    NO_WAY,
    NOBODY,
    PAST,
    READABLE,
    ROW,
    STATE,
    TAKES,
    TALLIES,
    THROUGH,
    TOTALS,
    UNREADABLE,
    URGENT,
    WAY,
    WINNER,
    Apics,
    Unit,
)
from vsim.storm.workload import Request, unit_of

Wrap = Callable[["array[int]"], Any]
"""What an engine makes of an array for the time of one call."""
MOST_TARGETS = 1 << 22
"""Places for the targets of all ways; a way beyond them is left to `machine.step`."""
_POLICIES = ("none", "present", "everything")
_PRESENT = 1
_TALLIED: dict[int, int] = {Act.ACCEPTED: DELIVERED, Act.MERGED: MERGES, Act.TAKEN: TAKES}
_FSTS = OFFSET["FSTS"] // 4


class View:
    """The arrays of one storm over machine `m`. requests: the messages, by slot; wheel: slots in serial order."""

    def __init__(self, m: Machine, requests: tuple[Request, ...], wheel: array[int]) -> None:
        self.m = m
        units = [m.unit_of(requester) for requester, _, _ in requests]
        self.unit = unit_of(m, requests)
        entries = max(1, self.latch(Latch.ENTRIES))
        self.wheel, self.entries, self.filled = wheel, array("I", bytes(4 * ROW * entries)), _words(entries)
        self.messages = array("I", [word for request, unit in zip(requests, units, strict=True)
                                    for word in _message(request, _where(unit, self.unit))])
        self.indices = self._indices(requests, entries)
        self.pages: dict[int, array[int] | None] = {}
        self.kept = len(m.cache)
        self.totals, self.tallies = _words(TOTALS), _words(TALLIES * m.vcpus)
        self.renew()

    def latch(self, word: Latch) -> int:
        """A latched word of the unit; 0 when no message goes through one."""
        return self.m.latch[LATCH_WORDS * self.unit + word] if self.unit >= 0 else 0

    def _indices(self, requests: tuple[Request, ...], entries: int) -> dict[int, list[int]]:
        """The entries that the messages reach, by page of the table."""
        mode, pages = self.latch(Latch.MODE), dict[int, list[int]]()
        for index in sorted({chain.index_of(address & 0xFFFFFFFF, data, mode) for _, address, data in requests}):
            if index < entries and self.unit >= 0:
                pages.setdefault(index >> 8, []).append(index)
        return pages

    # --- from the machine ---

    def renew(self) -> None:
        """Derive everything: at the start, and when a local APIC has changed."""
        m = self.m
        self.routes, self.svr = routes.of(m), m.svr[:]
        self.ways: dict[tuple[int, ...], int] = {}
        self.rows: dict[tuple[int, ...], int] = {}
        self.pairs, self.targets = array("q"), array("q", [0])
        self._row(())
        self._look_at_handlers()
        for row in range(0, len(self.messages), ROW):
            self.messages[row + WAY] = self._way(self.messages[row + LOW], 0, self.messages[row + DATA])
        for page, indices in self.indices.items():
            self.pages[page] = self._page(page)
            self._load(indices)

    def _look_at_handlers(self) -> None:
        m = self.m
        self.nmis = m.nmi[:], m.in_nmi[:]
        self.eoi = array("q", [_eoi(mode, svr, nmi and not in_nmi) for mode, svr, nmi, in_nmi in zip(
            m.apic_mode, m.svr, m.nmi, m.in_nmi, strict=True)])

    def refresh(self, changed: Iterable[int] = ()) -> None:
        """Follow the guest's writes to the table and its invalidations. changed: entries that it meant to change."""
        if len(self.m.cache) != self.kept:
            self.kept -= sum(self._uncached(index) for index in set(changed) if ROW * index < len(self.entries))
        if len(self.m.cache) != self.kept:
            self.kept -= sum(self._uncached(index) for indices in self.indices.values() for index in indices)
        self.kept = len(self.m.cache)
        for page, old in self.pages.items():
            new = self._page(page)
            if new != old:
                self.pages[page] = new
                self._load([index for index in self.indices[page] if _entry(new, index) != _entry(old, index)])

    def after_step(self, written: bool) -> None:
        """Follow what `machine.step` did: entries that it cached, and memory if it has `written` any."""
        fresh = len(self.m.cache) - self.kept
        self._load([key & 0xFFFF for key in islice(reversed(self.m.cache), fresh) if key >> 16 == self.unit])
        self.kept += fresh
        if written:
            self.refresh()

    def _page(self, page: int) -> array[int] | None:
        """The words of a page of the table as they are now; None when it is not memory."""
        number = self.latch(Latch.BASE_PAGE) + page
        if not self.m.ram.holds(number << 12):
            return None
        got = self.m.ram.pages.get(number)
        return array("I", bytes(4096)) if got is None else got[:]

    def _uncached(self, index: int) -> bool:
        """Whether the cache has lost an entry; if so its words are those of memory."""
        lost = self.entries[ROW * index + STATE] == CACHED and self.unit << 16 | index not in self.m.cache
        if lost:
            self._load([index])
        return lost

    def _load(self, indices: Iterable[int]) -> None:
        """Take over entries: from the cache, else from memory."""
        for index in indices:
            kept, page = self.m.cache.get(self.unit << 16 | index), self.pages[index >> 8]
            state = CACHED if kept else UNREADABLE if page is None else READABLE
            words = kept or _entry(page, index)
            row = array("I", [*words, state, self._way_through(words[0], words[1]), 0, 0])
            self.entries[ROW * index:ROW * index + ROW] = row

    def _way_through(self, w0: int, w1: int) -> int:
        """The way of what an entry sends on; an entry that is not present sends nothing."""
        if not w0 & _PRESENT:
            return 0
        _, upper, low, data = chain.message_of(w0, w1, self.latch(Latch.MODE))
        return self._way(low, upper, data)

    def _way(self, low: int, upper: int, data: int) -> int:
        """The number of a message's way: which enabled local APICs it reaches; NO_WAY when there is no place left."""
        destination, logical, *_, narrow = vlapic.arrival(low, upper, data, self.m.profile.options.ext_dest)
        key = (destination, logical, narrow)
        if key not in self.ways:
            found = routes.match(self.m, *key)
            self.ways[key] = self._row(tuple(vcpu for vcpu in found if vlapic.enabled(self.m, vcpu)))
        return self.ways[key]

    def _row(self, targets: tuple[int, ...]) -> int:
        if targets not in self.rows:
            if len(self.targets) + len(targets) > MOST_TARGETS:
                return NO_WAY
            self.rows[targets] = len(self.pairs) // 2
            self.pairs.extend((len(self.targets), len(targets)))
            self.targets.extend(targets)
        return self.rows[targets]

    # --- for the loops, and back ---

    def arrays(self, wrap: Wrap) -> tuple[Unit, Apics]:
        """What the loops take; every array wrapped. Drop them before the machine or this view changes."""
        m = self.m
        self.totals[WINNER] = m.winner
        if self.routes is not routes.of(m) or self.svr != m.svr:  # who is meant, and who is switched on
            self.renew()
        if self.nmis != (m.nmi, m.in_nmi):
            self._look_at_handlers()
        unit = Unit(*map(wrap, (self.wheel, self.messages, self.facts(), self.entries, self.filled)))
        return unit, Apics(*map(wrap, (m.irr, m.isr, m.tmr, m.tpr, self.eoi, self.pairs, self.targets, self.tallies,
                                       self.totals)))

    def facts(self) -> array[int]:
        """The facts as they are now (see `storm_loop.FACTS`)."""
        m, options = self.m, self.m.profile.options
        latched = map(self.latch, (Latch.ORDER, Latch.MODE, Latch.ENTRIES, Latch.BASE_PAGE, Latch.WIDTH))
        overflow = self.unit >= 0 and m.regs[PAGE_WORDS * self.unit + _FSTS] & FSTS.pfo.mask != 0
        rules = (LOW_VECTORS_TAKEN, LOWEST_IS_FIRST, RH_IGNORED)
        low_vectors, first_wins, hint_ignored = (m.quirks & quirk != 0 for quirk in rules)
        policy = _POLICIES.index(options.cache)
        return array("q", [*latched, policy, overflow, options.ext_dest, low_vectors, first_wins, not hint_ignored])

    def settle(self) -> None:
        """Give back what the loops have done: cached entries, the winner, and the time that the acts cost."""
        m, totals = self.m, self.totals
        m.winner = totals[WINNER]
        for index in self.filled[:totals[FILLED]]:
            w0, w1, w2, w3 = self.entries[ROW * index:ROW * index + 4]
            m.cache[self.unit << 16 | index] = w0, w1, w2, w3
        m.nobody += totals[NOBODY]
        totals[FILLED] = totals[NOBODY] = 0
        self.kept = len(m.cache)
        for act, cost in enumerate(m.costs):
            m.clock += totals[act] * cost
            totals[act] = 0

    def tally(self, events: Iterable[Event]) -> bool:
        """Count what a stepped command did as the loops count; whether it wrote memory by a posted interrupt."""
        written = False
        for event in events:
            if event.act in _TALLIED:
                self.tallies[TALLIES * (event.node & 0xFFFFFF) + _TALLIED[event.act]] += 1
            elif event.act == Act.BLOCKED:
                self.totals[FAULTS + event.index] += 1
            written = written or event.act == Act.POSTED
        return written


def _where(unit: int, at_hand: int) -> int:
    return PAST if unit < 0 else THROUGH if unit == at_hand else ELSEWHERE


def _message(request: Request, where: int) -> tuple[int, ...]:
    requester, address, data = request
    return requester, address & 0xFFFFFFFF, address >> 32, data, where, 0, 0, 0


def _eoi(mode: int, svr: int, urgent: int) -> int:
    if mode == Apic.DISABLED:
        return DISABLED
    if urgent:
        return URGENT
    return ENDS if svr & SVR.suppress.mask else BROADCASTS


def _words(number: int) -> array[int]:
    return array("q", bytes(8 * number))


def _entry(page: array[int] | None, index: int) -> array[int]:
    """The four words of an entry in its page; zeros when the page is not memory."""
    at = 4 * (index & 0xFF)
    return page[at:at + 4] if page is not None else array("I", bytes(16))
