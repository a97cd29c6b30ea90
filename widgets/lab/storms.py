"""A storm on a Lab: every device sends, as many times a second as asked for, in an order that a seed decides.

What happens to the machine depends on rate, length and seed alone. The clock of the page or of the kernel decides only
when a slice is done: a slow page sees the same storm later.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import Protocol

from vsim.devices import msi
from vsim.layouts.given import whole
from vsim.state.arrays import Machine
from vsim.state.commands import Burst, Tick
from widgets.lab.gestures import Deed
from widgets.lab.kernel import Issuer, Kernel

SLICE = 0.1
"""Seconds of storm that are done at a time."""
PART = 0.02
"""Seconds of storm that one command holds: its messages, then the handlers; machine time goes on by as much."""
MAX_RATE, MAX_COUNT = 100_000, 10_000_000
"""Most interrupts a second, and in one storm."""


def ready(m: Machine) -> bool:
    """Whether any message would go out now."""
    return any(msi.message(m.bus, m.config, m.msix, place, number)[0] == msi.READY
               for place, function in enumerate(m.bus.functions)
               for number in range(function.msix_count or function.msi_count))


class Site(Issuer, Protocol):
    """What a storm needs of a Lab, beside what its guest needs."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Held during every change; re-entrant."""

    @property
    def kernel(self) -> Kernel:
        """The guest, whose handlers run."""

    @property
    def storms(self) -> list[Storm]:
        """Those that go on; one that ends takes itself out."""


class Storm:
    """One storm. sent: interrupts until now; count: of all of it; running: whether it goes on.

    error: what ended it before its time, if a view did.
    """

    def __init__(self, lab: Site, rate: int, seconds: float, seed: int) -> None:
        """ValueError as `Lab.storm`."""
        if type(rate) is not int or not 1 <= rate <= MAX_RATE:
            raise ValueError(f"rate is {rate!r:.40}; the limit is 1 to {MAX_RATE} interrupts a second")
        number = isinstance(seconds, (int, float))
        if not number or not 0 < seconds < MAX_COUNT or not 1 <= int(rate * seconds) <= MAX_COUNT:
            raise ValueError(f"seconds is {seconds!r:.40}; the limit is 1 to {MAX_COUNT} interrupts in one storm")
        whole("seed", seed, (1 << 63) - 1, 1 - (1 << 63))
        self.lab, self.rate, self.count = lab, rate, int(rate * seconds)
        if not ready(lab.machine):
            raise ValueError("no device has a message switched on: boot the guest first")
        self.sent, self.running, self.seed = 0, True, seed
        self._alone = lab.kernel.serving  # whether it can be done again as a whole
        self._random = random.Random(seed)
        self._task: asyncio.Task[None] | None = None
        self._slices, self._span = 0, (-1, -1)  # slices done; positions before and after those without a break
        self.error: Exception | None = None

    def start(self) -> None:
        """Begin: in the background where an event loop runs, else all of it now."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            while self.running:
                self.slice()
        else:
            self.slice()
            self._task = loop.create_task(self._go_on())

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self.running:
            due = max(due + SLICE, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                self.slice()
            except Exception as error:  # of a view: the storm ends, and `error` says why
                self.error = error

    def slice(self) -> None:
        """Do the next `SLICE` of it; slices that follow one another are one gesture."""
        with self.lab.lock:
            if not self.running:
                return
            self._slices += 1
            start = self.lab.position if self._span[1] != self.lab.position else self._span[0]
            try:
                until = min(self.count, int(self.rate * SLICE * self._slices))
                with self.lab.gesture(start, f"storm of {until}", self._deed(start, until)):
                    self._send(until)
            except BaseException:
                self.stop()
                raise
            self._span = start, self.lab.position
            if self.sent >= self.count:
                self.stop()

    def _deed(self, start: int, until: int) -> Deed:
        """How to do the gesture again, once it is the whole storm: no other came between its slices."""
        self._alone &= self._slices == 1 or start == self._span[0]
        self._alone &= self.lab.kernel.serving and not self.lab.kernel.pausing
        return ("storm", self.rate, self.count, self.seed) if self._alone and until == self.count else ()

    def _send(self, until: int) -> None:
        """Messages up to number `until`, in commands of `PART` each."""
        kernel, part = self.lab.kernel, max(1, round(self.rate * PART))
        while self.sent < until:
            messages = min(part, until - self.sent)
            burst = Burst(self._random.getrandbits(32), messages, int(kernel.serving))
            events = self.lab.issue(burst, Tick(round(messages * 1e9 / self.rate)))
            kernel.notice(events)
            self.sent += messages
            if kernel.held(events):
                self.stop()
                return

    def stop(self) -> None:
        """End it here; what has been sent stays."""
        self.running = False
        if self in self.lab.storms:
            self.lab.storms.remove(self)

    def __await__(self) -> Generator[object, None, Storm]:
        """Wait for its end."""
        if self._task is not None:
            yield from self._task.__await__()
        return self
