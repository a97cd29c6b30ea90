"""The loops of a storm on numpy arrays: the check table is evaluated for many requests at once (see `loop`).

Fixed delivery and everything that leads to no delivery; where one of several local APICs has to be chosen, and for what
`loop` leaves to `machine.step`, the requests before it are done and it is left.
"""

from __future__ import annotations

from typing import Any

from vsim.devices import chain, vlapic
from vsim.devices.checks import ORDERS, PASS, matching
from vsim.devices.remap import FPD, OUTCOME, QUALIFIED, posts
from vsim.storm.loop import (
    ACCEPTED,
    BASE_PAGE,
    BLOCKED,
    BROADCAST,
    BROADCASTS,
    CACHED,
    CHOICE,
    DATA,
    DELIVERED,
    DISABLED,
    DROPPED,
    ENDED,
    ENTRIES,
    EVERYTHING,
    EXT_DEST,
    FAULT,
    FAULTS,
    FEE,
    FEE_MASK,
    FETCHED,
    FILL,
    FILLED,
    HINT_COUNTS,
    HIT,
    LEFT,
    LOW,
    LOW_VECTOR,
    LOW_VECTORS,
    MANY,
    MERGED,
    MERGES,
    MODE,
    NMI,
    NO_WAY,
    NOBODY,
    ORDER,
    OTHER_UNIT,
    OUT,
    OVERFLOW,
    OVERFLOWED,
    PASSED,
    PAST,
    POLICY,
    POSTED,
    PRESENT,
    READABLE,
    REMAPPED,
    REQUESTER,
    ROW,
    SENT,
    SIGNAL,
    STATE,
    SUPPRESSED,
    TAKEN,
    TAKES,
    TALLIES,
    THROUGH,
    UNREADABLE,
    UPPER,
    URGENT,
    W0,
    W1,
    WAY,
    WHERE,
    WIDTH,
    WRITTEN,
    Apics,
    Unit,
)
from vsim.storm.workload import RUNS

CHUNK = 1 << 15
"""Requests decided at once: few enough for a processor's cache."""


def requests(n: int, last: int, unit: Unit, apics: Apics) -> int:
    """Do the requests n .. last - 1, at most a chunk of them; the number of the first one that is not done."""
    import numpy as np

    last = min(last, n + CHUNK)
    slot = unit.wheel[np.arange(n, last) % len(unit.wheel)]
    batch = Batch(slot, unit)
    leave = batch.leaves(apics)
    done = int(np.argmax(leave != 0)) if leave.any() else last - n
    if done < last - n:
        apics.totals[LEFT] = leave[done]
        batch = Batch(slot[:done], unit)
    if done:
        batch.count(apics.totals)
        batch.look_up(apics.totals)
        batch.deliver(apics)
    return n + done


class Batch:
    """Many requests, decided; attributes are arrays with a place for each. Only the other methods change anything.

    met: went to the unit and its table. check, outcome: as in a `remap.Verdict`. passed: unchanged past the table.
    way, vector, ...: of the message that goes on, where `sent` says that one does.
    """

    def __init__(self, slot: Any, unit: Unit) -> None:
        import numpy as np

        self.facts, self.entries, self.filled = unit.facts, unit.entries.reshape(-1, ROW), unit.filled
        facts, mode = unit.facts, int(unit.facts[MODE])
        message = unit.messages.reshape(-1, ROW)[slot].T.astype(np.int64)
        where, low, data = message[WHERE], message[LOW], message[DATA]
        self.foreign = low & FEE_MASK != FEE
        self.elsewhere = ~self.foreign & (where > THROUGH)
        words = {"address": low, "upper": message[UPPER], "data": data, "requester": message[REQUESTER], "mode": mode,
                 "entries": int(facts[ENTRIES]), "base_page": int(facts[BASE_PAGE]), "width": int(facts[WIDTH])}
        order = tuple(ORDERS)[facts[ORDER]]
        through = ~self.foreign & (where == THROUGH)
        first = matching(order, "request", words) * through
        self.met = through & (first == 0)
        self.index = chain.index_of(low, data, mode) * self.met
        entry = self.entries[self.index].T.astype(np.int64)
        self.state = entry[STATE] * self.met
        words |= {"readable": self.state != UNREADABLE, **{f"w{n}": entry[n] for n in range(4)}}
        self.check = first + matching(order, "entry", words) * self.met
        self.outcome = np.array(OUTCOME)[self.check]
        self.quiet = np.array(QUALIFIED)[self.check] & (entry[W0] & FPD != 0)
        self.posted = self.met & (self.check == 0) & posts(entry[W0], mode)
        self.remapped = self.met & (self.check == 0) & ~self.posted
        self.passed = ~self.foreign & ((where == PAST) | (self.outcome == PASS))
        self.sent = self.remapped | self.passed
        forwarded: tuple[Any, ...] = chain.message_of(entry[W0], entry[W1], mode)
        *_, out, out_data = forwarded
        self.way = np.where(self.remapped, entry[OUT], message[WAY])
        out_low: Any = np.where(self.remapped, out, low)
        out_data = np.where(self.remapped, out_data, data)
        fields: tuple[Any, ...] = vlapic.arrival(out_low, 0, out_data, int(facts[EXT_DEST]))
        _, self.logical, self.mode, self.hint, self.level, self.vector, _ = fields

    def leaves(self, apics: Apics) -> Any:
        """Why each request is left, 0 where it is not (see `storm_loop.LEAVES`)."""
        import numpy as np

        facts, count = self.facts, apics.ways.reshape(-1, 2)[np.where(self.way == NO_WAY, 0, self.way), 1]
        one = (self.mode == 1) | (self.hint & self.logical & facts[HINT_COUNTS] != 0)
        return np.select(
            [self.elsewhere, (self.outcome > 0) & ~self.quiet & (facts[OVERFLOW] == 0), self.posted,
             self.sent & (self.way == NO_WAY), self.sent & (self.mode > 1),
             self.sent & (count > 0) & (self.vector < 16) & (facts[LOW_VECTORS] == 0), self.sent & (count > 1) & one],
            [OTHER_UNIT, FAULT, POSTED, MANY, SIGNAL, LOW_VECTOR, CHOICE], 0)

    def count(self, totals: Any) -> None:
        """Acts and faults of all requests."""
        import numpy as np

        refused = self.outcome > 0
        for act, where in ((DROPPED, self.foreign), (PASSED, self.passed), (REMAPPED, self.remapped),
                           (BLOCKED, refused), (SUPPRESSED, refused & self.quiet), (OVERFLOWED, refused & ~self.quiet)):
            totals[act] += np.count_nonzero(where)
        totals[SENT] += len(self.check)
        totals[FAULTS:LEFT] += np.bincount(self.outcome[refused], minlength=LEFT - FAULTS)

    def look_up(self, totals: Any) -> None:
        """Hits and fetches; an entry is kept at its first fetch that the policy allows, and hit from then on."""
        import numpy as np

        policy, place = self.facts[POLICY], np.arange(len(self.check))
        read = self.met & (self.state == READABLE)
        keeps = read & ((policy == EVERYTHING) | (policy == PRESENT) & (self.check == 0))
        kept, at = np.unique(self.index[keeps], return_index=True)
        since = np.full(len(self.entries), len(place))
        since[kept] = place[keeps][at]
        fetched = np.count_nonzero(read & (place <= since[self.index]))
        totals[FETCHED] += fetched
        totals[HIT] += np.count_nonzero(self.met & (self.state != UNREADABLE)) - fetched
        totals[FILL] += len(kept)
        self.entries[kept, STATE] = CACHED
        self.filled[totals[FILLED]:totals[FILLED] + len(kept)] = kept[np.argsort(at)]
        totals[FILLED] += len(kept)

    def deliver(self, apics: Apics) -> None:
        """Every message at all local APICs of its way."""
        import numpy as np

        first, count = apics.ways.reshape(-1, 2)[self.way[self.sent]].T
        for total in (DROPPED, NOBODY):
            apics.totals[total] += np.count_nonzero(count == 0)
        one = np.repeat(np.arange(len(count)), count)
        nth: Any = np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
        vcpu = apics.targets[first[one] + nth]
        place, level = 256 * vcpu + self.vector[self.sent][one], self.level[self.sent][one]
        before = bits_of(apics.irr).sum(axis=1, dtype=np.int64)
        set_bits(apics.irr, place)
        set_triggers(apics.tmr, place, level)
        accepted = bits_of(apics.irr).sum(axis=1, dtype=np.int64) - before
        apics.tallies[DELIVERED::TALLIES] += accepted
        apics.tallies[MERGES::TALLIES] += np.bincount(vcpu, minlength=len(apics.tpr)) - accepted
        apics.totals[ACCEPTED] += accepted.sum()
        apics.totals[MERGED] += len(one) - accepted.sum()


def bits_of(words: Any) -> Any:
    """The 256 bits of each vCPU as an array of 0 and 1, vector by vector."""
    import numpy as np

    return np.unpackbits(words.astype("<u4").view(np.uint8).reshape(-1, 32), axis=1, bitorder="little")


def words_of(bits: Any) -> Any:
    """The inverse of `bits_of`, flat."""
    import numpy as np

    return np.packbits(bits, axis=1, bitorder="little").view("<u4").reshape(-1)


def set_bits(words: Any, places: Any) -> None:
    """Set the bits at these places; place = 256 * vCPU + vector."""
    import numpy as np

    bits = np.zeros(32 * len(words), np.uint8)
    bits[places] = 1
    words |= words_of(bits.reshape(-1, 256))


def set_triggers(tmr: Any, places: Any, level: Any) -> None:
    """TMR at these places as the last message to each says."""
    import numpy as np

    if not level.any() and not tmr.any():
        return
    bits = bits_of(tmr).reshape(-1)
    last, at = np.unique(places[::-1], return_index=True)
    bits[last] = level[::-1][at]
    tmr[:] = words_of(bits.reshape(-1, 256))


def handlers(vcpu: int, runs: int, apics: Apics) -> tuple[int, int]:
    """From a vCPU on, each takes and ends all that it is offered: (vCPU, runs of it) where it is left, or the end.

    What is offered does not depend on what was taken before: PPR is the same again after each EOI.
    """
    import numpy as np

    irr, isr = bits_of(apics.irr), bits_of(apics.isr)
    serving = np.where(isr.any(axis=1), 255 - np.argmax(isr[:, ::-1], axis=1), 0)
    priority = np.maximum(apics.tpr >> 4 & 15, serving >> 4)
    taken = irr & (np.arange(256) >> 4 > priority[:, None])
    if apics.eoi[vcpu] != DISABLED and runs + taken[vcpu].sum() > RUNS:
        apics.totals[LEFT] = BROADCAST
        return (vcpu, runs) if runs < RUNS else (vcpu + 1, 0)
    taken[:vcpu] = 0
    taken[apics.eoi == DISABLED] = 0
    leave = taken.any(axis=1) & (apics.eoi == URGENT)
    broadcast = (taken & bits_of(apics.tmr)).any(axis=1) & (apics.eoi == BROADCASTS)
    if (leave | broadcast).any():
        end = int(np.argmax(leave | broadcast))
        apics.totals[LEFT] = NMI if leave[end] else BROADCAST
    else:
        end = len(apics.tpr)
    taken[end:] = 0
    each = taken.sum(axis=1, dtype=np.int64)
    apics.irr[:] &= ~words_of(taken)
    apics.tallies[TAKES::TALLIES] += each
    for act in (TAKEN, WRITTEN, ENDED):
        apics.totals[act] += each.sum()
    return end, 0 if end > vcpu else runs
