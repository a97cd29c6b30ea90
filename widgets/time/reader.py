"""A panel that reads a Lab's history: it shares where the reader stands, and waits while a storm goes on."""

from __future__ import annotations

import asyncio

from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.lab.lab import Lab
from widgets.lab.panel import Panel
from widgets.time.moments import Moment, Moments

STORM_PAUSE = 1.0
"""Seconds between two drawings while a storm goes on: tables wait for its end."""


class Reader(Panel):
    """A panel on the events of a history. moments: where its reader stands, which all views of a Lab share."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.moments = lab, Moments(lab.history)
        self._look()
        super().__init__(lab)
        self.follow("seen", self._told)

    def _look(self) -> None:
        """Take over which events of the last command have been told."""
        seen = self.lab.selection.seen
        self.moments.seen = None if seen < 0 else seen

    def _told(self) -> None:
        self._look()
        if self.shown:
            self._draw_now()

    def stand(self, moment: Moment) -> None:
        """Tell every view of the Lab how much of the last command has been told."""
        whole = moment == self.moments.end_of(moment.position)
        self.moments.seen = None if whole else moment.seen
        self.lab.selection.seen = -1 if whole else moment.seen

    @property
    def storming(self) -> bool:
        """Whether a storm still sends."""
        return any(storm.sent < storm.count for storm in self.lab.storms)

    def wait(self) -> None:
        """A storm: look again a little later, and at its end in any case."""
        try:
            self._timer = asyncio.get_running_loop().call_later(STORM_PAUSE, self._draw_now)
        except RuntimeError:
            return

    def renew(self) -> None:
        """Read the Lab's history, where another took the place of the former."""
        if self.moments.history is not self.lab.history:
            self.moments = Moments(self.lab.history)

    def _changed(self, kind: str, events: list[Event], machine: Machine) -> None:
        self.renew()
        self._look()
        super()._changed(kind, events, machine)
