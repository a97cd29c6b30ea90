"""A storm: millions of interrupts through one machine, in rounds (see `workload`).

The requests and the handlers are run by one of three engines, at most as fast as the computer's libraries allow;
affinity changes, and what an engine leaves, are stepped. Machine and counts end up exactly as stepping all would
have them.

>>> from vsim.state.profile import profile
>>> m = Machine(profile("spec"), vcpus=2)
>>> storm(m, Workload((Source(0x0300, ((0xFEE00000, 0x41),)),), requests=3)).sent
3
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import islice

from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.quirks import QUIRKS
from vsim.state.trace import Act
from vsim.storm import engines as storm_engines
from vsim.storm.engines import Engine
from vsim.storm.loop import CHOICE, DELIVERED, FAULTS, LEAVES, LEFT, MERGES, TAKES, TALLIES
from vsim.storm.view import View
from vsim.storm.workload import POLICIES, Request, Source, Workload, affinity, change, commands, handler

SERIES = sum(quirk.bit for id_, quirk in QUIRKS.items() if not id_.startswith("qemu."))
"""Quirks of the series: a machine with one of them is stepped."""
PATIENCE = 64
"""Interrupts that the vectorised engine may leave before a storm goes on interpreted."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a storm did. Arrays have a place for each vCPU; `irr` has eight words for each.

    engine, why: what ran, and why not a faster one. sent: requests. delivered, merged: interrupts that found their
    IRR bit clear or set, those of the unit's own events included. taken: by the handlers. irr: after the last
    round's requests, before its handlers. pending: still requested at the end. blocked: requests; faults: the same
    by fault reason. stepped: requests and handler runs left to `machine.step`, by why.
    """

    engine: str
    why: str
    sent: int
    delivered: array[int]
    merged: array[int]
    taken: array[int]
    irr: array[int]
    pending: array[int]
    blocked: int
    faults: dict[int, int]
    stepped: dict[str, int]

    def difference(self, other: Result) -> list[str]:
        """Names of the parts in which two outcomes differ; how they were computed does not count."""
        names = (place.name for place in fields(self) if place.name not in ("engine", "why", "stepped"))
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def storm(m: Machine, workload: Workload, engine: str | Engine = "auto") -> Result:
    """Run a workload on a machine, which ends as if every command had been stepped.

    engine: "compiled" (numba), "vectorised" (numpy), "interpreted", "stepped", or "auto" for the first of these that
    is available; or one that the caller has made. ValueError when the named one is not.
    """
    run = Run(m, workload, engine)
    for turn in range(workload.rounds):
        run.move()
        run.send(turn * workload.requests, (turn + 1) * workload.requests)
        if turn == workload.rounds - 1:
            run.irr = m.irr[:]
        run.handle()
    return run.result()


def not_at_once(m: Machine, slots: tuple[Request, ...]) -> str:
    """Why the loops do not know the ways of a machine, so that all of a storm is stepped; "" when they do."""
    if m.profile.options.model != "vtd" or m.quirks & SERIES:
        return "the device model or a defect of the series is on"
    places = {m.bus.place(requester) for requester, _, _ in slots} - {-1}
    if m.profile.options.placement == "qemu" and any(m.bus.functions[place].passthrough for place in places):
        return "a passed-through device asks a unit in QEMU"
    return ""


class Run:
    """A storm under way on machine `m`; engine as in `storm`."""

    def __init__(self, m: Machine, workload: Workload, engine: str | Engine) -> None:
        lacking = [lack for name in storm_engines.NEEDS if (lack := storm_engines.missing(name))]
        self.why = ", ".join(lacking) if engine == "auto" else ""
        self.engine = storm_engines.engine(engine) if isinstance(engine, str) else engine
        self.m, self.workload = m, workload
        self.slots, self.wheel = workload.slots, workload.wheel()
        self.view = View(m, self.slots, self.wheel)
        self.moves = affinity(m, workload)
        self.irr = m.irr[:]
        self.stepped: Counter[str] = Counter()
        if why := not_at_once(m, self.slots):
            self.go_on("stepped", why)

    def step(self, commands: Iterable[c.Command]) -> bool:
        """Step commands, and count what they do; whether one wrote memory by a posted interrupt."""
        written = [self.view.tally(step(self.m, command)) for command in commands]
        return any(written)

    def move(self) -> None:
        """The affinity changes of a round."""
        moves = list(islice(self.moves, self.workload.moves))
        for unit, index, vcpu in moves:
            self.step(change(self.m, unit, index, vcpu))
        self.view.refresh(index for _, index, _ in moves)
        if self.m.dead:
            self.go_on("stepped", "the machine is dead")

    def go_on(self, name: str, why: str) -> None:
        """Go on with another engine, and say why."""
        self.engine, self.why = storm_engines.engine(name), why

    def send(self, n: int, last: int) -> None:
        """Requests n .. last - 1."""
        while n < last:
            n = self.send_fast(n, last)
            if self.is_left():
                command = c.Msi(*self.slots[self.wheel[n % len(self.wheel)]])
                self.view.after_step(self.step([command]))
                n += 1

    def send_fast(self, n: int, last: int) -> int:
        """Requests from n on; the number of the first that is not done."""
        m = self.m
        done = self.engine.requests(n, last, *self.view.arrays(self.engine.wrap))
        if done > n:
            m.tick += done - n
            m.serials += done - n
            m.serial = m.serials
        self.view.settle()
        return done

    def handle(self) -> None:
        """The handlers of a round."""
        vcpu, runs = 0, 0
        while vcpu < self.m.vcpus:
            vcpu, runs = self.handle_fast(vcpu, runs)
            if self.is_left():
                self.view.after_step(self.step(islice(handler(self.m, vcpu, runs), 2)))
                runs += 1

    def handle_fast(self, vcpu: int, runs: int) -> tuple[int, int]:
        """Handlers from a vCPU on; where they are left, or the end."""
        place = self.engine.handlers(vcpu, runs, self.view.arrays(self.engine.wrap)[1])
        taken = self.view.totals[Act.TAKEN]
        if taken:
            self.m.tick += 2 * taken
            self.m.serial = 0
        self.view.settle()
        return int(place[0]), int(place[1])

    def is_left(self) -> bool:
        """Whether a request or handler has been left and is to be stepped; another engine may do it instead."""
        why, self.view.totals[LEFT] = self.view.totals[LEFT], 0
        if why == CHOICE and self.engine.name == "vectorised":
            self.go_on("interpreted", f"not vectorised: {LEAVES[why]}")
            return False
        if why:
            self.stepped[LEAVES[why]] += 1
        if self.engine.name == "vectorised" and self.stepped.total() > PATIENCE:
            self.go_on("interpreted", f"not vectorised: {LEAVES[why]}, more than {PATIENCE} times")
        return bool(why)

    def result(self) -> Result:
        """What the storm has done so far."""
        m, view, workload = self.m, self.view, self.workload
        delivered, merged, taken = (view.tallies[word::TALLIES] for word in (DELIVERED, MERGES, TAKES))
        pending = array("q", [sum(word.bit_count() for word in m.irr[8 * v:8 * v + 8]) for v in range(m.vcpus)])
        faults = {reason: number for reason, number in enumerate(view.totals[FAULTS:LEFT]) if number}
        return Result(self.engine.name, self.why, workload.rounds * workload.requests, delivered, merged, taken,
                      self.irr, pending, sum(faults.values()), faults, dict(self.stepped))


__all__ = ["POLICIES", "Result", "Source", "Workload", "commands", "storm"]
