"""The small guest of a Lab: it boots, moves interrupts and runs handlers, and it is taken back with the machine.

A `Guest` keeps books (which vectors, which entries), as a kernel does in memory of its own. They are copied before and
after everything that changes them, so that moving the cursor finds the books of that time again.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from contextlib import AbstractContextManager
from typing import Protocol

from vsim.devices import vlapic
from vsim.domain import acpi
from vsim.domain import builder as domain
from vsim.domain.platform import Platform
from vsim.guest.iommu import QUEUE_SLOTS
from vsim.guest.kernel import Guest, Source
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.registers import FSTS, IQT
from vsim.machine import unit_at, unit_register
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.commands import Command
from vsim.state.trace import Act, Event
from widgets.lab.gestures import Deed

IRR_WORDS = 8
"""Words of IRR of each vCPU."""
KEPT = 200
"""Copies of the books that are kept; further back than the oldest the guest has to boot again."""


Book = tuple[int, Guest | None]
"""A position, and a copy of the guest's books at it."""


class Issuer(Protocol):
    """What the guest needs of a Lab, which has all of it: see `widgets.lab.lab.Lab`."""

    @property
    def machine(self) -> Machine:
        """The machine at the cursor: to look at, never to change."""

    @property
    def position(self) -> int:
        """How many commands have been done."""

    def gesture(self, since: int | None = None, name: str = "", deed: Deed = ()
                ) -> AbstractContextManager[list[Event]]:
        """What is issued inside is one gesture, which began at position `since`, or now."""

    def issue(self, command: Command, *more: Command) -> list[Event]:
        """Do commands; their events."""


class Kernel:
    """The guest of a Lab. guest: None until it boots. serving: its handlers run as soon as an interrupt arrives.

    pausing: not when a fault is recorded, so that the record stays until somebody lets them run; a storm ends there.
    """

    def __init__(self, lab: Issuer) -> None:
        self.lab = lab
        self.guest: Guest | None = None
        self.serving, self.pausing = True, False
        self._books: list[Book] = [(0, None)]  # by position, ascending; a copy is never changed

    # --- what it does -----------------------------------------------------------------------------------------

    def boot(self, destination: str = "physical") -> list[str]:
        """Boot, as one gesture; the log. ValueError for an unknown destination mode or too little memory."""
        with self.lab.gesture(name="boot", deed=("boot", destination)):
            self._note(self.guest)
            guest = Guest(self.lab.issue, Platform.of(self.lab.machine, self._firmware()), destination)
            guest.boot()
            self.guest = guest
            self._note(guest)
        return guest.log

    def _firmware(self) -> int:
        """Address of the DMAR table: the toolstack's, or one written now for units that were created by hand."""
        m = self.lab.machine
        if m.ram.read(domain.DMAR_AT, 4) == b"DMAR":
            return domain.DMAR_AT
        table = acpi.dmar_of(m)
        if table:
            self.lab.issue(commands.RamWrite(domain.DMAR_AT, table))
        return domain.DMAR_AT if table else 0

    def affinity(self, source: Source, vcpu: int, vector: int = -1) -> str:
        """Direct a source to a vCPU, as one gesture; "" or the guest's reason for a refusal. ValueError: no vCPU.

        vector: the one to have there, if it is free, which a line to send does not tell (its commands do); -1 for the
        lowest free one.
        """
        guest = self._booted()
        deed, name = self._move(guest, source, vcpu)
        deed = deed if vector < 0 else ()
        with self.lab.gesture(name=name, deed=deed):
            self._note(guest)
            self._look_at_queue(guest)
            refused = guest.affinity(source, vcpu, vector)
            self._note(guest)
        return refused

    def _move(self, guest: Guest, source: Source, vcpu: int) -> tuple[Deed, str]:
        """The deed and the name of a move. A source that is none of the guest's has no deed."""
        mine = guest.sources.get(source.bdf, [])
        deed: Deed = ("move", source.bdf, mine.index(source), vcpu) if source in mine else ()
        return deed, f"move {bdf_text(source.bdf)} {source.kind} {source.number} to vCPU {vcpu}"

    def take(self, events: list[Event]) -> None:
        """Handlers run for what arrived in the events of a device's command, unless nobody serves."""
        if self.guest is not None:
            self.guest.cpu.note(events)
            if self.serving and not self.held(events):
                self.serve()

    def held(self, events: list[Event]) -> bool:
        """Whether events hold the handlers: one is a fault, and faults are waited for."""
        return self.pausing and any(event.act in (Act.RECORDED, Act.OVERFLOWED, Act.FOLDED) for event in events)

    def notice(self, events: list[Event]) -> None:
        """Handlers have run already (a burst): what is left is to remember who waits, and to read fault records."""
        if self.guest is None:
            return
        if not self.serving:
            self.guest.cpu.note(events)
        elif not self.held(events) and any(event.act == Act.NOTIFIED and not event.index for event in events):
            self._drain(self.guest)

    def _drain(self, guest: Guest) -> None:
        for driver in guest.units.drivers:
            guest.faults += driver.drain_faults()

    def serve(self) -> int:
        """Every vCPU takes, handles and ends what is pending; how many interrupts that were.

        What came by a command of somebody's own, which no guest noticed, is pending like any other.
        """
        if self.guest is None:
            return 0
        with self.lab.gesture(name="handlers run"):
            self.look(self.guest)
            self._look_at_queue(self.guest)
            served = len(self.guest.serve())
            if self.pausing and self._left(self.guest):
                self._drain(self.guest)
            return served

    def look(self, guest: Guest) -> None:
        """The guest knows the vCPUs to which something is offered: all, and in their order, as after a link."""
        m = self.lab.machine
        waiting = dict.fromkeys(place // IRR_WORDS for place, word in enumerate(m.irr) if word)
        guest.cpu.arrived.clear()
        guest.cpu.arrived |= {vcpu: None for vcpu in waiting if vlapic.pending(m, vcpu) >= 0}

    def _left(self, guest: Guest) -> bool:
        """Whether a record is pending that a burst left: its fault event has been taken, and nobody read."""
        units = (unit_at(self.lab.machine, driver.base) for driver in guest.units.drivers if guest.ways.remapping)
        return any(unit_register(self.lab.machine, "FSTS", unit) & FSTS.ppf.mask for unit in units if unit >= 0)

    def _booted(self) -> Guest:
        if self.guest is None:
            raise ValueError("no guest runs: boot it first")
        return self.guest

    def _look_at_queue(self, guest: Guest) -> None:
        """Somebody else may have queued a descriptor, in the kernel's name: go on behind it."""
        m = self.lab.machine
        for driver in guest.units.drivers if guest.ways.remapping else ():
            if (unit := unit_at(m, driver.base)) >= 0:
                driver.tail = get(unit_register(m, "IQT", unit), IQT.qt) % QUEUE_SLOTS

    # --- its books --------------------------------------------------------------------------------------------

    def _note(self, guest: Guest | None) -> None:
        """Keep a copy of the books for the position of now; those of a future that is gone are dropped."""
        here = self.lab.position
        while self._books and self._books[-1][0] >= here:
            self._books.pop()
        self._books.append((here, self._copy(guest)))
        del self._books[:-KEPT]

    def _copy(self, guest: Guest | None) -> Guest | None:
        if guest is None:
            return None
        lab = self.lab
        shared = {id(lab): lab, id(self): self, id(guest.platform): guest.platform}
        return copy.deepcopy(guest, shared)

    @property
    def books(self) -> tuple[Book, ...]:
        """Every copy that is kept."""
        return tuple(self._books)

    def reopen(self, books: tuple[Book, ...]) -> None:
        """Go on with other copies, of this Lab's guest too."""
        self._books = list(books)

    def moved(self) -> None:
        """The cursor is elsewhere: take the books of that time. A boot half done is no boot."""
        at = bisect_right(self._books, self.lab.position, key=lambda book: book[0]) - 1
        self.guest = self._copy(self._books[at][1]) if at >= 0 else None

    def copy_from(self, other: Kernel) -> None:
        """Go on as the guest of another Lab does, on this one."""
        self._books = list(self.books_of(other))
        self.guest, self.serving = self._adopt(other._copy(other.guest)), other.serving
        self.pausing = other.pausing

    def books_of(self, other: Kernel) -> tuple[Book, ...]:
        """Copies of what the guest of another Lab knew, for this one."""
        return tuple((position, self._adopt(other._copy(guest))) for position, guest in other._books)

    def _adopt(self, guest: Guest | None) -> Guest | None:
        if guest is not None:
            guest.cpu._issue = self.lab.issue
        return guest
