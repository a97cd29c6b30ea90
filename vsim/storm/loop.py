"""The inner loops of a storm: requests in serial order, then handlers, over plain arrays.

The rules are those of the stages (`chain`, `remap`, `vlapic`), called here without events. The functions take arrays
of any kind that indexing works on: `array.array` when interpreted, numpy arrays when compiled. They are written in
the subset of Python that numba compiles, and never import it.

What a loop does not do itself it *leaves* to `machine.step`: it returns the number of that request, with everything
before it done and nothing of it touched. So a storm is exact whatever the guest has programmed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vsim.devices import chain
from vsim.devices.checks import PASS
from vsim.devices.remap import FPD, OUTCOME, QUALIFIED, posts
from vsim.devices.vlapic import accept, arrival, clear, highest, is_set, least, offered, ppr_of, take
from vsim.state.trace import Act
from vsim.storm.workload import RUNS

FEE, FEE_MASK = 0xFEE00000, 0xFFF00000
PAST, THROUGH, ELSEWHERE = 0, 1, 2
"""Where a message goes: past every unit, through the unit at hand, or through another one (left)."""
UNREADABLE, READABLE, CACHED = 0, 1, 2
"""State of a table entry: not memory, in memory alone, in the interrupt entry cache."""
NONE, PRESENT, EVERYTHING = 0, 1, 2
"""Cache policies."""

LEAVES = ("", "a fault has to be recorded", "an entry in posted mode", "a delivery mode that signals",
          "a vector below 16", "a second remapping unit", "one of several local APICs has to be chosen",
          "an EOI is broadcast", "an NMI is pending", "too many different destinations", "everything is stepped")
"""Why something is left to `machine.step`, by number."""
FAULT, POSTED, SIGNAL, LOW_VECTOR, OTHER_UNIT, CHOICE, BROADCAST, NMI, MANY, ALL = range(1, 11)

# Numba knows ints, not enumerations.
SENT, FETCHED, HIT, FILL = int(Act.SENT), int(Act.FETCHED), int(Act.HIT), int(Act.CACHED)
REMAPPED, PASSED, BLOCKED = int(Act.REMAPPED), int(Act.PASSED), int(Act.BLOCKED)
SUPPRESSED, OVERFLOWED, DROPPED = int(Act.SUPPRESSED), int(Act.OVERFLOWED), int(Act.DROPPED)
ACCEPTED, MERGED, TAKEN, ENDED = int(Act.ACCEPTED), int(Act.MERGED), int(Act.TAKEN), int(Act.ENDED)
WRITTEN = int(Act.WRITTEN)


# Rows of the arrays below: eight 32-bit words for each message and entry, half a processor's cache line.
ROW = 8
REQUESTER, LOW, UPPER, DATA, WHERE, WAY = range(6)
"""Words of a message: the request (address 31:0 and 63:32), PAST, THROUGH or ELSEWHERE, its way when it passes."""
W0, W1, W2, W3, STATE, OUT = range(6)
"""Words of an entry: those of the cache where there are, its state, and the way of what it sends on."""
NO_WAY = 0xFFFFFFFF
"""The way of a message that is left because there are too many ways."""
ORDER, MODE, ENTRIES, BASE_PAGE, WIDTH, POLICY, OVERFLOW, EXT_DEST, LOW_VECTORS, FIRST_WINS, HINT_COUNTS = range(11)
"""Facts: latched words of the unit (`state.Latch`), cache policy, 1 while FSTS.PFO is set; then an option and three
quirks that rule a delivery, 0 or 1."""
FACTS = 11
FAULTS, LEFT, WINNER, FILLED, NOBODY, TOTALS = 64, 128, 129, 130, 131, 132
"""Totals: acts by `trace.Act`, faults by reason from FAULTS, why a request is left (0: none is), the last winner, how
many entries are newly cached, messages that nobody took; and the number of all these."""
DELIVERED, MERGES, TAKES, TALLIES = 0, 1, 2, 4
"""Words of a vCPU's tally: interrupts accepted, merged, and taken by its handlers; and the length of a row."""
DISABLED, BROADCASTS, ENDS, URGENT = 0, 1, 2, 3
"""What the handlers of a vCPU meet: a disabled local APIC, one that may broadcast an EOI or never does, an NMI."""


class Unit(NamedTuple):
    """Messages and the remapping unit. wheel: slots in serial order, turned for ever; filled: entries newly cached.

    messages, entries: rows of ROW words. facts: see FACTS.
    """

    wheel: Any
    messages: Any
    facts: Any
    entries: Any
    filled: Any


class Apics(NamedTuple):
    """The local APICs. irr, isr, tmr, tpr: as in `state.Machine`. eoi: DISABLED, BROADCASTS, ENDS or URGENT.

    ways: for each way the place of its first target in `targets`, and how many there are.
    tallies: rows of TALLIES words by vCPU. totals: see TOTALS.
    """

    irr: Any
    isr: Any
    tmr: Any
    tpr: Any
    eoi: Any
    ways: Any
    targets: Any
    tallies: Any
    totals: Any


def requests(n: int, last: int, unit: Unit, apics: Apics) -> int:
    """Do the requests n .. last - 1; the number of the first one that is not done."""
    turn = len(unit.wheel)
    while n < last:
        leave = request(unit.wheel[n % turn] * ROW, unit, apics)
        if leave:
            apics.totals[LEFT] = leave
            break
        n += 1
    return n


def request(row: int, unit: Unit, apics: Apics) -> int:
    """One request, as `machine.request` does it: 0, or why it is left. row: of its message."""
    low, facts = int(unit.messages[row + LOW]), unit.facts
    if low & FEE_MASK != FEE:
        apics.totals[SENT] += 1
        apics.totals[DROPPED] += 1
        return 0
    if unit.messages[row + WHERE] == ELSEWHERE:
        return OTHER_UNIT
    if unit.messages[row + WHERE] == PAST:
        return passed(row, unit, apics)
    upper, data, mode = int(unit.messages[row + UPPER]), int(unit.messages[row + DATA]), facts[MODE]
    check = request_check(facts[ORDER], low, upper, data, mode, facts[ENTRIES], facts[BASE_PAGE], facts[WIDTH])
    if check == 0:
        return through(int(unit.messages[row + REQUESTER]), low, upper, data, unit, apics)
    if OUTCOME[check] == PASS:
        return passed(row, unit, apics)
    return refused(check, 0, facts, apics.totals)


def passed(row: int, unit: Unit, apics: Apics) -> int:
    """A message in compatibility format, unchanged: 0, or why it is left."""
    low, data = int(unit.messages[row + LOW]), int(unit.messages[row + DATA])
    leave = arrive(low, 0, data, int(unit.messages[row + WAY]), unit.facts, apics)
    if leave == 0:
        apics.totals[SENT] += 1
        apics.totals[PASSED] += 1
    return leave


def through(requester: int, low: int, upper: int, data: int, unit: Unit, apics: Apics) -> int:
    """A request through its table entry: 0, or why it is left."""
    facts, entries, totals = unit.facts, unit.entries, apics.totals
    index = chain.index_of(low, data, facts[MODE])
    at = ROW * index
    state, w0, w1 = int(entries[at + STATE]), int(entries[at + W0]), int(entries[at + W1])
    check = entry_check(facts[ORDER], low, upper, data, requester, facts[MODE], int(state != UNREADABLE), w0, w1,
                        int(entries[at + W2]), int(entries[at + W3]))
    if check:
        leave = refused(check, w0 & FPD, facts, totals)
    elif posts(w0, facts[MODE]):
        leave = POSTED
    else:
        _, out_upper, out, out_data = chain.message_of(w0, w1, facts[MODE])
        leave = arrive(out, out_upper, out_data, int(entries[at + OUT]), facts, apics)
        if leave == 0:
            totals[SENT] += 1
            totals[REMAPPED] += 1
    if leave == 0 and state != UNREADABLE:
        looked_up(index, check, unit, totals)
    return leave


def looked_up(index: int, check: int, unit: Unit, totals: Any) -> None:
    """Count a hit or a fetch; a fetched entry is kept as the cache policy allows (V 7.7)."""
    if unit.entries[ROW * index + STATE] == CACHED:
        totals[HIT] += 1
        return
    totals[FETCHED] += 1
    if unit.facts[POLICY] == EVERYTHING or (unit.facts[POLICY] == PRESENT and check == 0):
        totals[FILL] += 1
        unit.entries[ROW * index + STATE] = CACHED
        unit.filled[totals[FILLED]] = index
        totals[FILLED] += 1


def refused(check: int, quiet: int, facts: Any, totals: Any) -> int:
    """A blocked request whose fault is not recorded, by FPD or by overflow; left when it would be."""
    if QUALIFIED[check] and quiet:
        totals[SUPPRESSED] += 1
    elif facts[OVERFLOW]:
        totals[OVERFLOWED] += 1
    else:
        return FAULT
    totals[SENT] += 1
    totals[BLOCKED] += 1
    totals[FAULTS + OUTCOME[check]] += 1
    return 0


def arrive(low: int, upper: int, data: int, way: int, facts: Any, apics: Apics) -> int:
    """A message at the local APICs of its way, as `vlapic.deliver` does it: 0, or why it is left."""
    _, logical, mode, hint, level, vector, _ = arrival(low, upper, data, facts[EXT_DEST])
    if way == NO_WAY:
        return MANY
    if mode > 1:
        return SIGNAL
    first, count = apics.ways[2 * way], apics.ways[2 * way + 1]
    if count == 0:
        apics.totals[DROPPED] += 1
        apics.totals[NOBODY] += 1
        return 0
    if vector < 16 and not facts[LOW_VECTORS]:
        return LOW_VECTOR
    if count > 1 and (mode == 1 or (hint and logical and facts[HINT_COUNTS])):
        first += chosen(first, count, facts, apics)
        count = 1
    for place in range(first, first + count):
        enter(apics.targets[place], vector, level, apics)
    return 0


def chosen(first: int, count: int, facts: Any, apics: Apics) -> int:
    """Which of the targets wins a lowest-priority arbitration, as `vlapic.arbitrate` has it: its place among them."""
    if facts[FIRST_WINS]:
        return 0
    totals = apics.totals
    totals[WINNER] = least(apics.targets, first, count, totals[WINNER], apics.tpr, apics.isr)
    place = 0
    while apics.targets[first + place] != totals[WINNER]:
        place += 1
    return place


def enter(vcpu: int, vector: int, level: int, apics: Apics) -> None:
    """One fixed interrupt at one local APIC: accepted or merged."""
    if accept(apics.irr, apics.tmr, vcpu, vector, level):
        apics.totals[ACCEPTED] += 1
        apics.tallies[TALLIES * vcpu + DELIVERED] += 1
    else:
        apics.totals[MERGED] += 1
        apics.tallies[TALLIES * vcpu + MERGES] += 1


def handlers(vcpu: int, runs: int, apics: Apics) -> tuple[int, int]:
    """From a vCPU on, each takes and ends all that it is offered: (vCPU, runs of it) where it is left, or the end.

    runs: interrupts that this vCPU has already taken in this round.
    """
    totals = apics.totals
    while vcpu < len(apics.tpr):
        vector = offered(apics.irr, apics.isr, apics.tpr[vcpu], vcpu)
        if vector < 0 or runs == RUNS or apics.eoi[vcpu] == DISABLED:
            vcpu, runs = vcpu + 1, 0
            continue
        if apics.eoi[vcpu] == URGENT:
            totals[LEFT] = NMI
            break
        if apics.eoi[vcpu] == BROADCASTS and is_set(apics.tmr, vcpu, vector):
            totals[LEFT] = BROADCAST
            break
        take(apics.irr, apics.isr, vcpu, vector)
        clear(apics.isr, vcpu, vector)
        totals[TAKEN] += 1
        totals[WRITTEN] += 1
        totals[ENDED] += 1
        apics.tallies[TALLIES * vcpu + TAKES] += 1
        runs += 1
    return vcpu, runs


def request_check(order: int, low: int, upper: int, data: int, mode: int, entries: int, base_page: int,
                  width: int) -> int:
    """The request chain of an order, by the order's place in `checks.ORDERS`."""
    if order == 0:
        return chain.request_spec(low, upper, data, mode, entries, base_page, width)
    if order == 1:
        return chain.request_reserved_first(low, upper, data, mode, entries, base_page, width)
    return chain.request_request_late(low, upper, data, mode, entries, base_page, width)


def entry_check(order: int, low: int, upper: int, data: int, requester: int, mode: int, readable: int, w0: int,
                w1: int, w2: int, w3: int) -> int:
    """The entry chain of an order, by the order's place in `checks.ORDERS`."""
    if order == 0:
        return chain.entry_spec(low, upper, data, requester, mode, readable, w0, w1, w2, w3)
    if order == 1:
        return chain.entry_reserved_first(low, upper, data, requester, mode, readable, w0, w1, w2, w3)
    return chain.entry_request_late(low, upper, data, requester, mode, readable, w0, w1, w2, w3)


STAGES = (
    chain.index_of, chain.message_of, *chain.REQUEST.values(), *chain.ENTRY.values(), posts,
    accept, arrival, clear, highest, is_set, least, offered, ppr_of, take,
    request, passed, through, looked_up, refused, arrive, chosen, enter, request_check, entry_check)
"""Every function that `requests` and `handlers` call: what a compiler has to know."""
