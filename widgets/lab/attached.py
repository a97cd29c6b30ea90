"""A QEMU beside a Lab: each command goes to both, and what both did is compared (`vsim.replay.beside`).

    lab.attach()                        # qemu-system-x86_64, or attach("/path/to/another")
    lab.attached.lights()               # equal, different or not possible there, for each gesture
    lab.attached.differences

A QEMU that is not there, is too old, ends or hangs leaves one line in `why`; the Lab goes on alone. It ends with `end`,
and with the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from vsim.machine import step
from vsim.replay import there
from vsim.replay.beside import KEPT, Beside, Difference, State
from vsim.replay.qtest import Ended
from vsim.replay.sources import Live, Rows, Stored, save
from vsim.state.arrays import Machine
from vsim.state.commands import Command

QEMU = "qemu-system-x86_64"
ARRIVED = 8
"""Arrivals of a gesture that are shown."""
WORDS = {State.EQUAL: "equal", State.DIFFERENT: "different", State.NOT_THERE: "not possible there"}
"""What a light says."""


class Light(NamedTuple):
    """What came of a gesture. equal, different, elsewhere: how many of its commands; elsewhere: not possible there.

    first: what differs first, or is gone; why: why the first command that did not go there did not. arrived: the first
    `ARRIVED` arrivals in QEMU's local APICs (`vsim.replay.there.arrivals`).
    """

    name: str
    start: int
    stop: int
    equal: int
    different: int
    elsewhere: int
    first: Difference | None
    why: str
    arrived: tuple[tuple[Any, ...], ...] = ()

    @property
    def state(self) -> State:
        """Different when one command was, else equal when one was."""
        return State.DIFFERENT if self.different else State.EQUAL if self.equal else State.NOT_THERE

    def __str__(self) -> str:
        return WORDS[self.state]


class _Noted(Live):
    """A running QEMU whose rows are noted, so that the run can be stored."""

    def __init__(self, path: str, ram: int, places: Iterable[int], apics: Sequence[int]) -> None:
        super().__init__(path, ram, places, apics)
        self.rows: list[Rows] = []

    def run(self, commands: Sequence[Command], past: Callable[[], Iterable[tuple[Command, ...]]],
            asked: Rows) -> Rows:
        self.rows.append(super().run(commands, past, asked))
        return self.rows[-1]

    def again(self, past: Iterable[tuple[Command, ...]]) -> None:
        groups = list(past)
        del self.rows[len(groups):]
        super().again(groups)


class Attached:
    """What a Lab's QEMU did. why: one line when there is none, or no more; version: QEMU's own words."""

    def __init__(self, lab: Any, qemu: str = QEMU, stored: str | os.PathLike[str] | None = None) -> None:
        """qemu: its path; stored: a run that was stored, which takes its place. CaseError for a file that is none."""
        self.lab, self.why, self.version = lab, "", ""
        self.beside: Beside | None = None
        self._compared: list[Command] = []
        self._whys: dict[int, str] = {}
        self._arrived: dict[int, tuple[tuple[Any, ...], ...]] = {}
        self._low = 0       # the earliest position at which the Lab has been since its commands were looked at
        kept = Stored(stored) if stored is not None else None
        with lab.lock:
            try:
                source = kept or _live(qemu, lab.history.first)
                self.beside, self.version = Beside(source, lab.history.first), source.version
            except (Ended, ValueError) as error:
                self.why = str(error)
            self.catch_up()

    def __repr__(self) -> str:
        if self.beside is None:
            return f"no QEMU: {self.why}"
        found = {state: self.beside.count(state) for state in State}
        counts = ", ".join(f"{found[state]} {WORDS[state]}" for state in WORDS)
        return f"QEMU {self.version}: {counts}{f'. Ended: {self.why}' if self.why else ''}"

    @property
    def differences(self) -> list[Difference]:
        """What differs, or what QEMU 10 has and this QEMU has not, in order."""
        return self.beside.differences if self.beside else []

    def lights(self, most: int = 50) -> list[Light]:
        """The last gestures that were compared, the newest first."""
        with self.lab.lock:
            here = self.beside.position if self.beside else 0
            return [self._light(each.name, each.start, each.stop)
                    for each in reversed(self.lab.gestures_around(here, most)) if each.stop <= here]

    def _light(self, name: str, start: int, stop: int) -> Light:
        assert self.beside is not None
        counts = [self.beside.count(state, start, stop)
                  for state in (State.EQUAL, State.DIFFERENT, State.NOT_THERE)]
        found = (self.beside.difference(at) for at in range(start, stop))
        whys = (self._whys[at] for at in range(start, stop) if at in self._whys)
        arrived = dict.fromkeys(each for at in range(start, stop) for each in self._arrived.get(at, ()))
        return Light(name, start, stop, *counts, next((each for each in found if each), None), next(whys, ""),
                     tuple(islice(arrived, ARRIVED)))

    def catch_up(self) -> None:
        """Do there what the Lab has done since."""
        history = self.lab.history
        if self.beside is None or self.why:
            return
        self._part(history.commands)
        m: Machine | None = None
        for at in range(self.beside.position, history.position):
            if m is None:
                m = history.machine_at(at).copy()
            command = history.commands[at]
            events = step(m, command)

            def past(count: int, at: int = at) -> tuple[Machine, Sequence[Command]]:
                start = max(0, at - count)
                return history.machine_at(start), tuple(history.commands[start:at])
            try:
                found = self.beside.do(m, command, events, past)
            except Ended as error:
                self.why = str(error)
                return
            self._compared.append(command)
            if found.why and len(self._whys) < KEPT:
                self._whys[at] = found.why
            if found.arrived and len(self._arrived) < KEPT:
                self._arrived[at] = found.arrived[:ARRIVED]

    def _part(self, commands: Sequence[Command]) -> None:
        """Forget what was compared from the command on that another has taken the place of."""
        assert self.beside is not None
        here = len(self._compared)
        both = min(here, len(commands))
        same = next((at for at in range(min(self._low, both), both) if commands[at] != self._compared[at]), both)
        self._low = self.lab.position
        if same < here:
            self.beside.goto(same)
            del self._compared[same:]
            self._whys = {at: why for at, why in self._whys.items() if at < same}
            self._arrived = {at: rows for at, rows in self._arrived.items() if at < same}

    def changed(self, kind: str, events: object, machine: object) -> None:
        """An observer of the Lab, told before all others so that they find the comparison done."""
        self._low = 0 if kind == "reopened" else min(self._low, self.lab.position)
        self.catch_up()

    def save(self, place: str | os.PathLike[str]) -> None:
        """Store the run, for `Lab.attach(stored=...)` where there is no QEMU.

        ValueError when none was compared with a QEMU that ran, or when it is longer than a stored run may be.
        """
        with self.lab.lock:
            if self.beside is None or not isinstance(self.beside.source, _Noted):
                raise ValueError("there is no run of a QEMU to store")
            groups = sum(1 for _ in self.beside.groups())
            save(self.beside.source, self.beside.groups(), self.beside.source.rows[:groups], place)

    def end(self) -> None:
        """End QEMU; what was found stays."""
        with self.lab.lock:
            self.lab.unobserve(self.changed)
            self.why = self.why or "it is not wanted any more"
            if self.beside is not None:
                self.beside.source.end()


def _live(qemu: str, m: Machine) -> Live:
    """A QEMU with as much memory, senders where the machine's devices are, and its vCPUs."""
    return _Noted(qemu, m.ram.size, [function.bdf & 0xFF for function in m.bus.functions], there.apics(m))
