"""An exercise as a row: how its numbers are drawn, what it asks, how an answer is tried on the machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from operator import index
from typing import Any, NamedTuple

from vsim.layouts.bits import parse_bdf
from vsim.layouts.formats import IRTE

Numbers = dict[str, Any]
MOST_PARTS = 64
MOST_BITS = 128
"""Values of one answer, and bits of a number in it."""


class Judged(NamedTuple):
    """What came of an answer. met: id of the misconception that it betrays; shown: what happened with it, displayable.

    said: one sentence more.
    """

    right: bool
    met: str = ""
    said: str = ""
    shown: Any = None


@dataclass(frozen=True, slots=True)
class Task:
    """One exercise.

    draw: the student's numbers from a random generator. ask: the question in words, {} filled from the numbers. judge:
    tries an answer on the machine; it gets the numbers and the answer as read. scene: what the locked cell shows. read:
    makes a value of what was typed (`number`, `word`, `numbers`); choices: the answers that can be clicked, if few.
    """

    name: str
    ask: str
    draw: Callable[[random.Random], Numbers]
    judge: Callable[[Numbers, Any], Judged]
    hints: tuple[str, str]
    scene: Callable[[Numbers], Any] | None = None
    read: Callable[[Any], Any] = field(default=lambda given: number(given))
    choices: tuple[str, ...] = ()


class TooLong(ValueError):
    """A number that no field of a machine could hold."""


def _bounded(value: int) -> int:
    if value.bit_length() > MOST_BITS:
        raise TooLong("that is too long for a number")
    return value


def plain(given: Any, deep: int = 0) -> Any:
    """An answer in Python's own values: a number, a text, lists of them, or None. ValueError for anything else.

    An array, a range or another class of number is read as what it holds; nothing of its own code runs after this.
    """
    try:
        if given is None or isinstance(given, bool):
            return given
        if isinstance(given, str):
            return str.__str__(given)
        if isinstance(given, float):
            return float.__float__(given)
        if hasattr(type(given), "__index__") and not getattr(given, "shape", ()):
            return _bounded(index(given))
        if deep < 2 and not isinstance(given, bytes | bytearray | memoryview | Mapping):
            return [plain(each, deep + 1) for each in islice(iter(given), MOST_PARTS + 1)]
    except TooLong:
        raise
    except Exception:  # of a class of somebody's own: what it says is not for the page
        pass
    raise ValueError("a number, a text, or a few of them are asked for")


def number(given: Any) -> int:
    """A whole number, typed or given: decimal, 0x..., ...h, or a requester id as 03:00.0. ValueError for others."""
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError("a whole number is asked for, decimal or 0x...")
    if isinstance(given, int):
        return _bounded(given)
    text = given.strip().replace("_", "").replace(",", "")
    if len(text) > 40:
        raise TooLong("that is too long for a number")
    if ":" in text:
        return parse_bdf(text)
    try:
        return int(text[:-1], 16) if text[-1:] in "hH" and text[:-1] else int(text, 0)
    except ValueError:
        raise ValueError("a whole number is asked for, decimal or 0x...") from None


def word(given: Any) -> str:
    """A word or a few, lower case, blanks as one. ValueError for what is no text."""
    if not isinstance(given, str | int):
        raise ValueError("a word is asked for")
    return " ".join(str(given)[:200].lower().split())


def numbers(given: Any) -> tuple[int, ...]:
    """Several numbers: a list, or text with commas or blanks between them. ValueError for anything else."""
    parts = given.strip(" ()[]{}").replace(",", " ").split() if isinstance(given, str) else given
    if not isinstance(parts, list | tuple | set | frozenset) or len(parts) > MOST_PARTS:
        raise ValueError("a few numbers are asked for, such as 3, 4, 0x10")
    return tuple(number(each) for each in parts)


def entry(given: Any) -> int:
    """A table entry as text, such as p=1 vector=0x51 dst=0x10 sid=00:06.0 svt=1. ValueError for anything else."""
    if not isinstance(given, str):
        raise ValueError("an entry is asked for as text, such as p=1 vector=0x51 dst=0x10")
    alone = next((part for part in given[:4096].replace(",", " ").split() if "=" not in part), "")
    if alone:
        raise ValueError(f"each field is written with its value, such as dst=0x10; {alone[:20]!r} has none")
    return IRTE.parse(given.replace(",", " "))


def fields(given: Any) -> dict[str, int]:
    """Fields of an entry, as text such as dst=4 vector=0x31. ValueError for anything else, and for none."""
    entry(given)
    found = dict(each.split("=") for each in given.replace(",", " ").split() if "=" in each)
    if not found:
        raise ValueError("a field or two are asked for, such as dst=4 vector=0x31")
    return {name: int(IRTE.split(IRTE.parse(f"{name}={value}"))[name]) for name, value in found.items()}


def yes_or_no(given: Any) -> str:
    """"yes" or "no". ValueError for anything else."""
    text = str(given).strip().lower()
    if text not in ("yes", "no"):
        raise ValueError("yes or no?")
    return text


def one_of(*choices: str) -> Callable[[Any], str]:
    """A reader that takes one of these, in upper or lower case; ValueError for anything else."""
    def read(given: Any) -> str:
        found = word(given)
        for each in choices:
            if each.lower() == found:
                return each
        raise ValueError(f"one of these is asked for: {', '.join(choices)}")
    return read
