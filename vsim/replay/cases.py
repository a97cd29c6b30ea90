"""Files of recorded cases: read, and refused with a place when they cannot be used.

A file is JSON Lines, plain or gzip: the first line describes the recorded machine, each further line is one case.
What its steps mean is known to `recorded`; here only the form is checked. Sizes are bounded before anything is kept.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsim.readers import source
from vsim.readers.source import JsonError, TextError, json_line, shown

MAX_BYTES, MAX_CASES, MAX_STEPS = 64 << 20, 200_000, 20_000
"""Bytes of a file when unpacked, cases of a file, steps of a case."""
_HEX = re.compile("0x[0-9a-fA-F]{1,16}")


class CaseError(TextError):
    """A case file that cannot be used."""


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded case; `head` is the first line of its file."""

    file: str
    line: int
    head: dict[str, Any]
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """The case's id."""
        return str(self.body.get("id", "?"))

    @property
    def category(self) -> str:
        """The category, for the table; local APIC cases with their mode and size."""
        kind = str(self.body.get("k", "?"))
        return f"{kind} {self.body.get('mode')} {self.body.get('smp')}" if kind == "lapic" else kind

    def marks(self, step: str) -> tuple[str, ...]:
        """The deviation codes of a step (its number, or "end")."""
        return tuple(self.body.get("dev", {}).get(step, ()))


def read_rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every line of a file that is not empty. CaseError names line and column."""
    file = str(path)
    return rows_of(unpacked(path, CaseError, MAX_BYTES), file)


def unpacked(path: str | Path, mistake: type[TextError], limit: int) -> str:
    """The text of a file, plain or gzip, of at most `limit` bytes; `mistake`, with line and column, for any other."""
    file = str(path)
    raw = source.load(path, mistake, limit)
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(raw)) as packed:
                raw = packed.read(limit + 1)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise source.unread(error, file, mistake) from None
    return source.decoded(source.bounded(raw, file, mistake, limit), file, mistake)


def rows_of(text: str, file: str = "<text>") -> Iterator[tuple[int, dict[str, Any]]]:
    """As `read_rows`, of a text."""
    found = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            found += 1
            if found > MAX_CASES + 1:
                raise CaseError(file, number, 1, f"found more than {MAX_CASES} cases; allowed: up to {MAX_CASES}")
            yield number, _object(line, file, number)
    if not found:
        raise CaseError(file, 1, 1, "found nothing; expected a first line that describes the machine")


def _object(line: str, file: str, number: int) -> dict[str, Any]:
    try:
        row = json_line(line)
    except JsonError as error:
        raise CaseError(file, number, error.column, str(error)) from None
    if not isinstance(row, dict):
        raise CaseError(file, number, 1, f"found {shown(line)}; expected an object in braces")
    return row


def number_of(value: Any) -> int:
    """A number as the files write it: an int, or a string of hexadecimal with 0x. ValueError otherwise."""
    if type(value) is int and 0 <= value < 1 << 64:
        return value
    if isinstance(value, str) and _HEX.fullmatch(value):
        return int(value, 16)
    raise ValueError(f"{shown(str(value))} is not a number below 2^64")


def limited(value: Any, limit: int) -> int:
    """`number_of`, at most `limit`."""
    got = number_of(value)
    if got > limit:
        raise ValueError(f"{got:#x} is over its limit {limit:#x}")
    return got
