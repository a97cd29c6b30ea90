"""Which check of the remapping unit ends a request, in which states of the unit: for a message or an entry alone.

A message says nothing of the unit that takes it. So every state of what decides (EIME, CFIS, posting) is tried, and
what is told is the condition under which each check is the first to end the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

from vsim.devices.checks import CHECKS, MODE_BIT, PASS
from vsim.explain.interrupt import ending, walk
from vsim.explain.told import End
from vsim.layouts.formats import IRTE, REASON_TEXT, REMAP_ADDRESS

STATES = ("eime", "cfis", "pi")
"""What of a unit's state decides about a single request."""
SHOWN = {"eime": "EIME", "cfis": "CFIS", "pi": "CAP.PI"}
MAX_ENTRIES = 0x10000
"""Entries of the largest table."""
_REMAPPABLE = REMAP_ADDRESS.make(fee=0xFEE, format=1)
_GOOD = IRTE.make(p=1)
_WIDEST = 40
"""Host address width minus 12 that no table is beyond."""

State = tuple[int, ...]


def ends(known: Mapping[str, int], address: int = _REMAPPABLE, data: int = 0, entry: int = _GOOD, requester: int = -1,
         entries: int = MAX_ENTRIES) -> tuple[End, ...]:
    """The checks that end a request while remapping is on, with the states in which they do.

    known: the states that are known, by their name in `STATES`. address: 64 bits; entry: 128 bits; requester: 16
    bits, -1 when the source is not to be checked.
    """
    tried = {state: _first(state, address, data, entry, requester, entries)
             for state in product(*((known[name],) if name in known else (0, 1) for name in STATES))}
    names = dict.fromkeys(filter(None, tried.values()))
    return tuple(end_of(name, _when({state for state in tried if tried[state] == name}, set(tried))) for name in names)


def end_of(name: str, when: str = "") -> End:
    """A check by its name, as what ends a request."""
    row = CHECKS[name]
    if row.outcome == PASS:
        outcome = "passes the table by, unchanged"
    elif row.outcome < 0:
        outcome = "is lost without a fault"
    else:
        outcome = f"refused with reason {row.outcome:#x} ({REASON_TEXT[row.outcome]})"
    return End(name, when, outcome, max(row.outcome, 0), row.sentence, row.cure, f"VT-d {row.section}")


def ends_of_reason(reason: int) -> tuple[End, ...]:
    """The checks that refuse with a fault reason, in the specification's order; none for another reason."""
    return tuple(end_of(name) for name, row in CHECKS.items() if row.outcome == reason and row.outcome > 0
                 and name not in ("source-bus-reversed", "source-type-mismatch"))


def _first(state: State, address: int, data: int, entry: int, requester: int, entries: int) -> str:
    mode = MODE_BIT["ires"] | sum(MODE_BIT[name] for name, on in zip(STATES, state, strict=True) if on)
    if requester < 0:
        mode |= MODE_BIT["sourceless"]
    end = ending(walk("spec", {
        "address": address & 0xFFFFFFFF, "upper": address >> 32, "data": data, "requester": max(requester, 0),
        "entries": entries, "base_page": 0, "width": _WIDEST, "mode": mode, "readable": 1,
        **{f"w{place}": entry >> 32 * place & 0xFFFFFFFF for place in range(4)}}))
    return end.name if end else ""


def _when(states: set[State], all_states: set[State]) -> str:
    """A condition that holds in `states` and in no other of `all_states`, in few words; "" for all."""
    if states == all_states:
        return ""
    literals = [(place, value) for place in range(len(STATES)) for value in (1, 0)]
    covers = [{state for state in all_states if state[place] == value} for place, value in literals]
    single = [literal for literal, cover in zip(literals, covers, strict=True) if cover and cover <= states]
    if set[State]().union(*(covers[literals.index(literal)] for literal in single)) == states:
        return " or ".join(map(_literal, single))
    matter = [place for place in range(len(STATES)) if any(_flipped(state, place) not in states for state in states
                                                           if _flipped(state, place) in all_states)]
    kept = dict.fromkeys(tuple((place, state[place]) for place in matter) for state in sorted(states))
    return ", or ".join(_joined(each) for each in kept)


def _flipped(state: State, place: int) -> State:
    return (*state[:place], 1 - state[place], *state[place + 1:])


def _literal(literal: tuple[int, int]) -> str:
    return f"{SHOWN[STATES[literal[0]]]}={literal[1]}"


def _joined(literals: Iterable[tuple[int, int]]) -> str:
    return " and ".join(map(_literal, literals))
