"""What is typed on the command line, read: for the `type` of an argument of `argparse`.

What cannot be taken is an ArgumentTypeError that names what was found and what is allowed; `main` makes one line of it.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vsim.readers.source import shown

Number = TypeVar("Number", int, float)

MOST_PROCESSES = 1024


class Misused(ValueError):
    """Arguments that are right one by one and not together, or a file of the wrong kind; the text says what is."""


def name(text: str) -> str:
    """A file's or folder's name. An empty text, of a variable that is not set, is not the current folder."""
    if not text:
        raise ArgumentTypeError("an empty name; allowed: a file or folder")
    return text


def place(text: str) -> Path:
    """A file or folder, where its name alone is not enough."""
    return Path(name(text))


def count(low: int, high: int) -> Callable[[str], int]:
    """A whole number of a range, its ends included."""
    return _within(int, low, high, f"a whole number from {low} to {high}")


def number(low: float, high: float) -> Callable[[str], float]:
    """A number of a range, its ends included."""
    return _within(float, low, high, f"a number from {low:g} to {high:g}")


def _within(kind: Callable[[str], Number], low: Number, high: Number, allowed: str) -> Callable[[str], Number]:
    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise ArgumentTypeError(f"found {shown(text)}; allowed: {allowed}")
        return value
    return read


processes = count(1, MOST_PROCESSES)
"""How many processes share the work."""
