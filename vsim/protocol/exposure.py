"""What a correct unit may still hold of its remapping table (VT-d 6.5; V 7.7).

A unit may keep an entry that it has fetched, may drop it at any time, and may fetch at any time while remapping is on.
So for an index it may use what memory holds now, and everything that memory held since the last invalidation that
covers the index and is known to be done. "Since" is when that invalidation was queued: what was fetched between the
queueing and the end may have come in behind it.

`Journal` is guest memory that remembers what it held; `Exposure` is one unit. Times are numbers of commands, from 1;
0 is before the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vsim.devices.queue import WHOLE
from vsim.devices.remap import ABSENT, Words
from vsim.state.ram import Ram

MOST_VALUES = 64
"""Former values of one entry that are remembered; of older ones the journal says that they were lost."""
MOST_PERIODS = 16
"""Times of remapping with one table that are remembered, until a global invalidation."""
ENTRY_BYTES = 16
_PER_PAGE = 4096 // ENTRY_BYTES


class Past(NamedTuple):
    """A value that an entry's place in memory held until the command `left`."""

    left: int
    words: Words


class Change(NamedTuple):
    """An entry's place (address, a multiple of 16) got other words, by a store of `size` bytes of it from `low`."""

    address: int
    old: Words
    new: Words
    low: int
    size: int


class Journal(Ram):
    """Guest memory with a memory: of every place of 16 bytes on the pages `watched`.

    time: of the command that is being done. past: former values of a place, the oldest first. changes: of this
    command. stored: (address, word before) of the single words that hardware stored during it. lost: when the newest
    value left that was forgotten, for places with more than `MOST_VALUES` former ones.
    """

    __slots__ = ("_swept", "changes", "lost", "past", "stored", "time", "watched")

    def __init__(self, ram: Ram) -> None:
        """The memory goes on where `ram` is; `ram` itself stays as it is."""
        super().__init__(ram.size)
        taken = ram.copy()
        self.pages, self._own = taken.pages, taken._own
        self.time = 0
        self.watched: set[int] = set()
        self.past: dict[int, list[Past]] = {}
        self.changes: list[Change] = []
        self.stored: list[tuple[int, int]] = []
        self.lost: dict[int, int] = {}
        self._swept = 0

    def tick(self, time: int) -> None:
        """The next command begins."""
        self.time = time
        self.changes.clear()
        self.stored.clear()

    def watch(self, pages: set[int]) -> None:
        """Remember what these pages hold from now on; what was remembered of others is forgotten now and then."""
        self.watched = pages
        if len(self.past) > 2 * self._swept + 1024:
            self.past = {place: values for place, values in self.past.items() if place >> 12 in pages}
            self.lost = {place: left for place, left in self.lost.items() if place in self.past}
            self._swept = len(self.past)

    def write(self, address: int, data: bytes) -> bool:
        """Store bytes, as `Ram.write`."""
        before = self._before(address, len(data))
        done = super().write(address, data)
        if before:
            self._note(before, address, len(data))
        return done

    def write_word(self, address: int, value: int) -> bool:
        """Store 32 bits, as `Ram.write_word`."""
        self.stored.append((address, self.word(address) or 0))
        before = self._before(address, 4)
        done = super().write_word(address, value)
        if before:
            self._note(before, address, 4)
        return done

    def _before(self, address: int, size: int) -> list[tuple[int, Words]]:
        """The watched places that a store touches, each with what it holds now."""
        found: list[tuple[int, Words]] = []
        end = address + size
        for page in range(address >> 12, (end + 4095) >> 12):
            if page in self.watched:
                places = range(max(page << 12, address & ~15), min(page + 1 << 12, end), ENTRY_BYTES)
                found += [(place, self.words4(place) or ABSENT) for place in places]
        return found

    def _note(self, before: list[tuple[int, Words]], address: int, size: int) -> None:
        end, time, past, changes = address + size, self.time, self.past, self.changes
        for place, old in before:
            new = self.words4(place) or ABSENT
            if new == old:
                continue
            values = past.get(place)
            if values is None:
                past[place] = [Past(time, old)]
            else:
                values.append(Past(time, old))
                if len(values) > MOST_VALUES:
                    self.lost[place] = values.pop(0).left
            low = address - place if address > place else 0
            changes.append(Change(place, old, new, low, min(ENTRY_BYTES, end - place) - low))


class Held(NamedTuple):
    """Words that a unit may hold: in memory until the command `left`, in the table at page `page`."""

    words: Words
    left: int
    page: int


@dataclass(slots=True)
class Period:
    """Remapping was on with one table. end: the command that ended it, -1 while it goes on."""

    page: int
    entries: int
    start: int
    end: int = -1


@dataclass(slots=True)
class Exposure:
    """One unit. cached: entries that it held before the first command, by index. periods: the tables in use, in order.

    whole, parts: when the last invalidation of everything, and of each range, was queued that is known to be done.
    forgotten: when the last period ended that is no longer remembered. turns: how often another table came into use.
    """

    cached: dict[int, Words] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)
    whole: int = -1
    parts: dict[tuple[int, int], int] = field(default_factory=dict)
    forgotten: int = -1
    turns: int = 0

    @property
    def current(self) -> Period | None:
        """The table in use, None while remapping is off."""
        return self.periods[-1] if self.periods and self.periods[-1].end < 0 else None

    def turn(self, time: int, table: tuple[int, int] | None) -> bool:
        """Remapping uses this table (page, entries) from now on, or none; whether that is something new."""
        now = self.current
        if table == ((now.page, now.entries) if now else None):
            return False
        self.turns += 1
        if now:
            now.end = time
        if table:
            self.periods.append(Period(*table, time))
        self._prune()
        return True

    def forget(self, time: int) -> None:
        """The unit emptied its whole cache by itself: at its creation, or as CAP.ESIRTPS says."""
        self.covered(0, WHOLE, time)

    def covered(self, first: int, mask: int, time: int) -> None:
        """An invalidation of 2^mask entries from `first`, queued at `time`, is known to be done."""
        if mask >= WHOLE:
            self.whole = max(self.whole, time)
            self.parts = {key: queued for key, queued in self.parts.items() if queued > self.whole}
            self.cached = {}
            self._prune()
        else:
            key = mask, first >> mask
            self.parts[key] = max(self.parts.get(key, -1), time)
            if self.cached:
                self.cached = {index: words for index, words in self.cached.items() if index >> mask != key[1]}

    def _prune(self) -> None:
        self.periods = [p for p in self.periods if p.end < 0 or p.end > self.whole]
        if len(self.periods) > MOST_PERIODS:
            self.forgotten = self.periods.pop(0).end

    def since(self, index: int) -> int:
        """When the last invalidation of this index that is known to be done was queued; -1: there was none."""
        if not self.parts:
            return self.whole
        return max(self.whole, *(self.parts.get((mask, index >> mask), -1) for mask in range(WHOLE)))

    def pages(self) -> set[int]:
        """Pages of all tables of which something may be held."""
        tables = {(period.page, period.entries) for period in self.periods}
        return {page for table in tables for page in pages_of(*table)}

    def held(self, ram: Journal, index: int, after: int = -1) -> Iterator[Held]:
        """Everything besides the memory of now that may be held of an index; the newest of each table first.

        after: only what left memory behind that command; -1: also what was cached before the first.
        """
        if after < 0 and index in self.cached:
            yield Held(self.cached[index], 0, -1)
        periods = self.periods
        if not periods:
            return
        since = max(self.since(index), after)
        for period in reversed(periods):
            if index < period.entries:
                yield from _of_period(ram, period, index, max(since, period.start))

    def any_held(self, ram: Journal, index: int) -> bool:
        """Whether anything besides the memory of now may be held of an index."""
        if len(self.periods) == 1 and not self.cached:  # as it nearly always is
            only = self.periods[0]
            past = ram.past.get((only.page << 12) + ENTRY_BYTES * index)
            if only.end < 0 and (not past or index >= only.entries):
                return False
        return next(self.held(ram, index), None) is not None

    def holds(self, index: int, held: Held) -> bool:
        """Whether what was held of an index may still be."""
        return held.page >= 0 and held.left > self.since(index)

    def lost(self, ram: Journal, index: int) -> bool:
        """Whether more may be held of an index than was remembered."""
        since, offset = self.since(index), ENTRY_BYTES * index
        return self.forgotten > since or any(ram.lost.get((p.page << 12) + offset, -1) > since for p in self.periods)


def _of_period(ram: Journal, period: Period, index: int, since: int) -> Iterator[Held]:
    """The values that an entry had during a period after `since`, but for the one that is in use and there now."""
    address = (period.page << 12) + ENTRY_BYTES * index
    past = ram.past.get(address, [])
    end = period.end if period.end >= 0 else ram.time + 1
    arrived = past[-1].left if past else -1
    if since < period.end and arrived < end and (words := ram.words4(address)) is not None:
        yield Held(words, end, period.page)
    for place in range(len(past) - 1, -1, -1):
        left, words = past[place]
        if left <= since or end <= since:
            return
        arrived = past[place - 1].left if place else -1
        if arrived < end:
            yield Held(words, min(left, end), period.page)


def pages_of(page: int, entries: int) -> range:
    """The pages of a table."""
    return range(page, page + -(-entries // _PER_PAGE))


def tables(exposures: Iterable[Exposure]) -> set[int]:
    """Pages of all tables of several units."""
    return {page for exposure in exposures for page in exposure.pages()}
