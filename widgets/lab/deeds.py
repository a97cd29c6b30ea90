"""Gestures done again: what a Lab has done as the deeds of a link, and a link's deeds done on a fresh Lab.

A deed is a word where the Lab does the same again by itself (a boot, a storm); else it is its commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, Self

from traitlets import HasTraits

from vsim.findings.assumed import Assumed
from vsim.history.link import MAX_DEEDS, MAX_NAME, SELECTED, Fork, Link, LinkError
from vsim.history.log import History
from vsim.history.said import Said
from vsim.layouts.bits import bdf_text
from vsim.state.commands import Command
from vsim.state.trace import Event
from widgets.lab.branches import Branch
from widgets.lab.gestures import Deed, Gesture
from widgets.lab.storms import Site, Storm

_NO_TEXTS = "opened from a {}: the dumps that it was made of, and what was found in them, are not in it"


class Doer(Site, Protocol):
    """What is needed of a Lab, which has all of it: see `widgets.lab.lab.Lab`."""

    title: str
    notes: tuple[str, ...]
    assumed: Assumed
    dumped: Any
    history: History
    selection: HasTraits

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Futures that others took the place of."""

    def gestures(self, start: int = 0, stop: int | None = None) -> Iterator[Gesture]:
        """The gestures that begin at a position start .. stop - 1."""

    def fire(self, device: int | str, message: int = 0) -> list[Event]:
        """A device raises a message."""

    def goto(self, position: int) -> None:
        """Move the cursor."""

    def branch(self) -> Self:
        """An independent Lab with the same past and future."""

    def adopt(self, other: Self, at: int) -> None:
        """Keep the other's line as a branch."""


def link_of(lab: Doer) -> Link:
    """The state of a Lab as the value of a link. ValueError when it has more gestures than a link takes."""
    log, line = lab.history.commands, _bounded(lab.gestures())
    seen = {name: getattr(lab.selection, name) for name in SELECTED}
    return Link(lab.history.first.copy(), _deeds(log, line), len(log), lab.position, lab.title, seen,
                tuple(_fork(branch, line) for branch in lab.branches), lab.kernel.serving, lab.kernel.pausing,
                *said_of(lab, "link"))


def said_of(lab: Doer, place: str) -> Said:
    """What is said of a Lab's machine, for a "link" or a "session", in which the texts of dumps are not."""
    return Said((*lab.notes, *([_NO_TEXTS.format(place)] if lab.dumped else [])), lab.assumed.rows,
                tuple(lab.assumed.names.items()))


def _bounded(gestures: Iterable[Gesture]) -> list[Gesture]:
    line = list(islice(gestures, MAX_DEEDS + 1))
    if len(line) > MAX_DEEDS:
        raise ValueError(f"more than {MAX_DEEDS} gestures; no more fit into a link: save a session instead")
    return line


def _deeds(log: Sequence[Command], line: Iterable[Gesture]) -> tuple[Deed, ...]:
    return tuple(each.deed or ("do", each.name[:MAX_NAME], *log[each.start:each.stop]) for each in line)


def _fork(branch: Branch, line: Sequence[Gesture]) -> Fork:
    """A branch by what it has behind the gestures that it begins with as the present line does."""
    log = branch.history.commands
    other, shared = _bounded(branch.gestures.all(log)), 0
    for mine, its in zip(line, other, strict=False):
        if mine != its or mine.stop > branch.at:
            break
        shared += 1
    return Fork(branch.at, shared, len(log), _deeds(log, other[shared:]))


def do_again(lab: Doer, link: Link) -> None:
    """Do a link's deeds on a Lab of its machine, put the cursor there, and look at what was looked at.

    LinkError: a deed that cannot be done here, or a kit that makes other commands of them.
    """
    _do_all(lab, link.deeds, link.commands, "")
    stops = [0, *(each.stop for each in lab.gestures())]
    for number, fork in enumerate(link.forks, 1):
        other = lab.branch()
        other.goto(stops[min(fork.shared, len(stops) - 1)])
        _do_all(other, fork.deeds, fork.commands, f"fork {number}, ")
        try:
            lab.adopt(other, fork.at)
        except ValueError as error:
            raise LinkError("link", 1, 1, f"fork {number}: {error}") from None
    lab.kernel.serving, lab.kernel.pausing = link.serving, link.pausing
    if link.cursor != lab.position:
        lab.goto(link.cursor)
    for name, value in link.selected.items():
        setattr(lab.selection, name, value)


def _do_all(lab: Doer, deeds: Sequence[Deed], commands: int, where: str) -> None:
    """Do deeds, after which there are so many commands."""
    for number, deed in enumerate(deeds, 1):
        try:
            _do(lab, *deed)
        except ValueError as error:
            raise LinkError("link", 1, 1, f"{where}deed {number}, {deed[0]}: {error}") from None
        if len(lab.history) > commands:
            break
    if len(lab.history) != commands:
        raise LinkError("link", 1, 1, f"{where}its deeds make {len(lab.history)} commands here, and {commands} where "
                                      "it was made: another version of the kit")
    guest = lab.kernel.guest
    if guest is not None:
        lab.kernel.look(guest)


def _do(lab: Doer, word: str, *given: Any) -> None:
    if word == "do":
        with lab.gesture(name=given[0]):
            for command in given[1:]:
                lab.issue(command)
    elif word == "boot":
        lab.kernel.boot(*given)
    elif word == "fire":
        lab.fire(*given)
    elif word == "move":
        _move(lab, *given)
    else:
        _storm(lab, *given)


def _move(lab: Doer, bdf: int, number: int, vcpu: int) -> None:
    guest = lab.kernel.guest
    sources = guest.sources.get(bdf, []) if guest else []
    if number >= len(sources):
        raise ValueError(f"{bdf_text(bdf)} has no interrupt {number} that a guest has set up")
    lab.kernel.affinity(sources[number], vcpu)


def _storm(lab: Doer, rate: int, count: int, seed: int) -> None:
    """All of it now, whether an event loop runs or not."""
    storm = Storm(lab, rate, (count + 0.5) / rate, seed)
    while storm.running:
        storm.slice()
