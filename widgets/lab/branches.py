"""Futures that others took the place of. Acting from the past asks nothing, and nothing is lost by it.

A branch is a whole line of history, with its past: to reopen it puts it in the place of the present one, which becomes
a branch in turn. What both have in common is shared in memory where nobody changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vsim.history.log import History
from widgets.lab.gestures import Gesture, Gestures
from widgets.lab.kernel import Book

KEPT = 16
"""Branches that a Lab keeps; of more the oldest go."""
COUNTED = 50
"""Gestures that are counted for a branch's name."""


class Branch(NamedTuple):
    """One line of history. at: a position up to which it is its Lab's own; name: what is behind that."""

    name: str
    at: int
    history: History
    gestures: Gestures
    books: tuple[Book, ...]


def named(ahead: Sequence[Gesture]) -> str:
    """A name for a future after its first gestures: "fire 00:05.0 message 3 and 2 more"."""
    if not ahead:
        return "nothing"
    more = len(ahead) - 1
    return ahead[0].name + (f" and {more if more < COUNTED else f'{COUNTED} or'} more" if more else "")


def of(at: int, history: History, gestures: Gestures, books: tuple[Book, ...]) -> Branch:
    """A branch with the name of what is behind a position."""
    ahead = [each for each in gestures.around(history.commands, at, COUNTED + 1) if each.stop > at]
    return Branch(named(ahead), at, history, gestures, books)


def parted(kept: Sequence[Branch], at: int) -> list[Branch]:
    """Branches of a Lab whose own line has another course behind a position."""
    return [branch._replace(at=min(branch.at, at)) for branch in kept]
