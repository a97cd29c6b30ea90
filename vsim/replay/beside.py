"""A live QEMU beside a machine: every command goes to both, and what both did is compared.

`Beside.do` takes a command that the machine has done, with its events, and gives a `Found`: equal, different, or not
possible there. A third machine, the *twin*, does what QEMU is given under the profile that imitates QEMU. It says which
deviation explains a difference: a known one of QEMU, one that this QEMU no longer has, or none that is known.

QEMU may end at any time (`Ended`); what was found until then stays.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import islice
from typing import Any

from vsim import machine
from vsim.devices import viommu
from vsim.history.log import History
from vsim.replay import there
from vsim.replay.deviations import STILL, Deviation, between, explain, older
from vsim.replay.qtest import Ended
from vsim.replay.recording import UNIT
from vsim.replay.sources import Rows, Source
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import Capabilities, Profile, profile
from vsim.state.trace import Act, Event, Stop

Past = Callable[[int], tuple[Machine, Sequence[c.Command]]]
"""Gives a machine as it was up to so many commands ago, and those commands: (machine, commands since)."""
IMITATES = "qemu-10"
"""The profile that imitates QEMU."""
KEPT = 10_000
"""Differences that are kept; those behind them are counted."""
BACK = {128: 200, 4096: 20}
"""Commands before a difference in which its cause is looked for, and how often one is looked for so far back."""


class State(IntEnum):
    """What came of a command."""

    NOT_THERE = 0       # nothing went to QEMU
    EQUAL = 1
    DIFFERENT = 2


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a machine and QEMU did not do the same, or this QEMU does not what QEMU 10 does.

    position: of the command. here, there: what each did. kind: "known" (deviations explain it), "follows" (from that
    at position `cause`), "gone" (a deviation of QEMU 10 that this QEMU does not have), "unknown". why: the deviations.
    equal: the machine did as QEMU; what is gone is the deviation.
    """

    position: int
    command: c.Command
    here: Rows
    there: Rows
    kind: str
    why: tuple[Deviation, ...] = ()
    cause: int = -1

    @property
    def equal(self) -> bool:
        """Whether both did the same, and only QEMU 10 would not."""
        return self.here == self.there

    @property
    def first(self) -> tuple[Any, Any]:
        """The first rows that differ, None for the one that did less."""
        for place in range(max(len(self.here), len(self.there))):
            mine = self.here[place] if place < len(self.here) else None
            other = self.there[place] if place < len(self.there) else None
            if mine != other:
                return mine, other
        return None, None

    def __str__(self) -> str:
        names = ", ".join(each.name for each in self.why)
        if self.kind == "known":
            return names
        if self.kind == "follows":
            return f"follows from command {self.cause}"
        if self.kind == "gone":
            return f"{names} is not in this QEMU"
        return "unknown: keep this"


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one command. why: why nothing went to QEMU. difference: what differs, or is gone.

    arrived: what it left in QEMU's local APICs, as `there.arrivals` has it.
    """

    state: State
    why: str = ""
    difference: Difference | None = None
    arrived: tuple[tuple[Any, ...], ...] = ()


class Beside:
    """A source beside a machine. first: the machine before its first command.

    ValueError for a machine whose unit is not the specification's. states: a byte for every command that was compared
    (`State`). differences: the first `KEPT`; more: how many there were after those.
    """

    def __init__(self, source: Source, first: Machine) -> None:
        if first.profile.options.model != "vtd":
            raise ValueError(f"profile is {first.profile.name!r}, whose unit is the series' own; QEMU's is VT-d: take "
                             "a profile with model 'vtd', such as 'spec' or 'qemu-10'")
        self.source, self.profile = source, first.profile
        self.imitated = self._imitated(first.profile)
        self._twin = History(self._twin_machine(first.ram.size))
        self._marks = array("Q", [0])           # commands of the twin done before each position
        self._source_at = 0                     # position at which the source is
        self.states, self.more = bytearray(), 0
        self._differences: dict[int, Difference] = {}
        self._lost: list[int] = []              # positions from which on the machines are not alike
        self._searched = dict.fromkeys(BACK, 0)
        self._known: dict[tuple[c.Command, str, str], Difference] = {}     # looked into, until the past changes

    def _imitated(self, mine: Profile) -> Profile:
        """The profile that imitates this QEMU: that of QEMU 10, with what is known of this one, and our APIC IDs."""
        base = profile(IMITATES).with_capabilities(Capabilities(self.source.cap, self.source.ecap))
        if self.source.vcpus:
            base = base.with_options(apic_ids=tuple(map(mine.options.apic_id, range(self.source.vcpus))))
        return base.with_quirks(*older(self.source.number))

    def _twin_machine(self, ram: int) -> Machine:
        m = Machine(self.imitated, max(1, self.source.vcpus), ram)
        machine.step(m, c.Domctl(viommu.create_op(UNIT, version=self.imitated.options.interface)))
        return m

    # --- what was found ---------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """How many commands have been compared."""
        return len(self.states)

    @property
    def differences(self) -> list[Difference]:
        """What differs, or is gone, in order."""
        return list(self._differences.values())

    def difference(self, position: int) -> Difference | None:
        """What differs, or is gone, at a position."""
        return self._differences.get(position)

    def count(self, state: State, start: int = 0, stop: int | None = None) -> int:
        """How many commands at positions start .. stop - 1 came out like that."""
        return self.states.count(state, start, len(self.states) if stop is None else stop)

    # --- going on ---------------------------------------------------------------------------------------------

    def goto(self, position: int) -> None:
        """Forget what was compared from a position on. ValueError when so many have not been compared."""
        if not 0 <= position <= len(self.states):
            raise ValueError(f"position is {position}; the limit is 0 to {len(self.states)}")
        if position == len(self.states):
            return
        del self.states[position:], self._marks[position + 1:]
        self._twin.goto(self._marks[position])
        self._lost = [at for at in self._lost if at < position]
        self._known.clear()
        for at in [at for at in self._differences if at >= position]:
            del self._differences[at]

    def do(self, m: Machine, command: c.Command, events: Sequence[Event], past: Past) -> Found:
        """Compare the next command. m: the machine, as it is about now; past: what led to the command.

        Ended: QEMU has ended, and nothing was compared.
        """
        way = there.translate(m, command, events, self._twin.machine)
        made = [event for each in way.commands for event in self._twin.issue(each)]
        if any(event.act == Act.STOPPED and event.index == Stop.EMULATOR for event in made):
            self._twin.goto(self._marks[-1])
            way, made = there.Way(why="it would end QEMU: never sent", lost=True), []
        if not way.commands:
            return self._note(State.NOT_THERE, way.why, None, way.lost)
        vcpus = self.source.vcpus
        here, imitated = there.seen(events, vcpus), there.seen(made, vcpus)
        try:
            rows = self._run(way.commands, _arrivals(here, imitated))
        except Ended:
            self._twin.goto(self._marks[-1])
            raise
        found = None
        if rows != here or rows != imitated:
            found = self._look_into(command, way.commands, here, rows, imitated, past)
        # A read changes nothing, and what waits in a local APIC changes nothing of the unit.
        lost = _without_arrivals(rows) != _without_arrivals(here) and not isinstance(command, c.MmioRead)
        noted = self._note(State.EQUAL if rows == here else State.DIFFERENT, "", found, lost)
        return replace(noted, arrived=tuple(map(tuple, _arrivals(rows))))

    def _run(self, commands: tuple[c.Command, ...], asked: Rows) -> Rows:
        if self._source_at != len(self.states):
            self.source.again(self.groups())
            self._source_at = len(self.states)
        return self.source.run(commands, self.groups, asked)

    def groups(self) -> Iterator[tuple[c.Command, ...]]:
        """What went to QEMU for each command that was compared, in order, without those for which nothing did."""
        for start, stop in zip(self._marks, islice(self._marks, 1, None), strict=False):
            if stop > start:
                yield tuple(self._twin.commands[start:stop])

    def _note(self, state: State, why: str, found: Difference | None, lost: bool) -> Found:
        here = len(self.states)
        if found is not None:
            if len(self._differences) < KEPT:
                self._differences[here] = found
            else:
                self.more += 1
        if lost and (len(self._lost) < KEPT):
            self._lost.append(here)
        if self._source_at == here:
            self._source_at = here + 1
        self.states.append(state)
        self._marks.append(self._twin.position)
        return Found(state, why, found)

    # --- explaining -------------------------------------------------------------------------------------------

    def _look_into(self, command: c.Command, sent: tuple[c.Command, ...], here: Rows, rows: Rows, imitated: Rows,
                   past: Past) -> Difference:
        """What explains a difference; the same again has the same explanation."""
        key = (command, str(here), str(rows))
        if key in self._known:
            found = self._known[key]
            if found.kind == "unknown":
                return replace(found, position=len(self.states), kind="follows", cause=found.position)
            return replace(found, position=len(self.states))
        found = self._explain(command, sent, here, rows, imitated, past)
        if len(self._known) < KEPT:
            self._known[key] = found
        return found

    def _explain(self, command: c.Command, sent: tuple[c.Command, ...], here: Rows, rows: Rows, imitated: Rows,
                 past: Past) -> Difference:
        """Which of the kinds of `Difference` it is."""
        at, vcpus = len(self.states), self.source.vcpus
        if rows == imitated:
            tried = between(self.profile, self.imitated)
            if _arrivals(rows) != _arrivals(here):
                tried = (STILL, *tried)
            machine_before, _ = past(0)
            why = explain(machine_before, (), (command,), tried, rows, vcpus) or explain(
                self._twin_before(), (), sent, between(self.imitated, self.profile), here, vcpus)
            for back, most in BACK.items():
                if why or self._lost or self._searched[back] == most:
                    break
                self._searched[back] += 1
                machine_before, commands = past(back)
                why = explain(machine_before, commands, (command,), tried, rows, vcpus)
            if why:
                return Difference(at, command, here, rows, "known", why)
        else:
            quirks = tuple(each for each in between(self.imitated, profile("spec")) if each.name.startswith("qemu"))
            why = explain(self._twin_before(), (), sent, quirks, rows, vcpus)
            if why:
                return Difference(at, command, here, rows, "gone", why)
        if self._lost:
            return Difference(at, command, here, rows, "follows", cause=self._lost[-1])
        return Difference(at, command, here, rows, "unknown")

    def _twin_before(self) -> Machine:
        return self._twin.machine_at(self._marks[-1])


def _arrivals(*rows: Rows) -> Rows:
    """Arrivals that one of several saw."""
    return [list(each) for each in sorted({tuple(row) for its in rows for row in its if row[0] == "A"})]


def _without_arrivals(rows: Rows) -> Rows:
    return [row for row in rows if row[0] != "A"]
