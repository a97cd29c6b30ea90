"""Lists of numbers as kernels print them: "0,2,4-7"."""

from __future__ import annotations

import re
from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
"""First and last number of each run, as printed."""
MAX_RANGES = 4096
_LIST = re.compile(r"\d{1,6}(?:-\d{1,6})?(?:, ?\d{1,6}(?:-\d{1,6})?)*,?")


def parse(text: str) -> Ranges | None:
    """The runs of a list; () for none; None for what is no list.

    >>> parse("0,2,4-7")
    ((0, 0), (2, 2), (4, 7))
    """
    text = text.strip()
    if not text:
        return ()
    if not _LIST.fullmatch(text):
        return None
    runs = []
    for part in text.rstrip(",").split(",")[:MAX_RANGES]:
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and (not last.isdecimal() or int(last) < int(first))):
            return None
        runs.append((int(first), int(last or first)))
    return tuple(runs)


def holds(runs: Ranges, number: int) -> bool:
    """Whether a number is in one of the runs."""
    return any(first <= number <= last for first, last in runs)


def count(runs: Ranges) -> int:
    """How many numbers the runs hold."""
    return sum(last - first + 1 for first, last in runs)


def of(numbers: Iterable[int]) -> Ranges:
    """The runs of some numbers."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return tuple(runs)


def text(runs: Ranges) -> str:
    """The list as a kernel prints it."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
