"""Lines of Xen's console: what Xen itself printed, without its mark and time, and rows that a mailer has wrapped.

Xen begins each line with "(XEN)" and, with `console_timestamps`, a time in brackets; logs put more before it. People
cut the mark off; then the line is taken as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vsim.readers.pieces import Line, Remark

MARK = "(XEN)"
"""How Xen begins a line."""
MAX_RECORDS = 200_000
"""Most records of one reading."""
_TIME = re.compile(r"\[[ 0-9T:.+-]{3,40}\] ?")
_OWN_WORDS = re.compile(r"\bIntel VT-d [A-Z]|\b(?:Using|Switched to) APIC driver |\bI/O virtualisation (?:en|dis)abled")
_QUOTED = " \t>|"
_CUT = re.compile(r"(?:INTR-REMAP|DMAR|UNKNOWN):(?:|[^\n]*(?:Read\]|Write\]|device|device \[[0-9a-f:.]{5,14}\]|fault|"
                  r"index|addr|reason|reason [0-9a-f]{1,2}|-))\s*$")
_LONGEST = 160      # characters of a fault line that was broken
UNENDED = (*(f"in-flight={number}" for number in range(10)), "}", ",")
"""Ends of rows that have more to say, and would be whole without it."""


def body(text: str) -> str:
    """What a line says, without quotation marks, Xen's mark (a busy serial line has it twice), its time, and blanks.

    >>> body("> (XEN) [    1.204512]  IOMMU   24 vec=30")
    'IOMMU   24 vec=30'
    """
    at = text.find(MARK)
    if at < 0:
        return _timeless(text.lstrip(_QUOTED))
    while text.startswith(MARK, at):
        text, at = _timeless(text[at + len(MARK):]), 0
    return text


def _timeless(text: str) -> str:
    text = text.strip()
    match = _TIME.match(text)
    return text[match.end():].lstrip() if match else text


def is_xen(text: str) -> bool:
    """Whether a text is of a line that Xen printed: with its mark, that of its VT-d code, or words not of Linux."""
    return MARK in text or "[VT-D]" in text or _OWN_WORDS.search(text) is not None


def cut(text: str) -> bool:
    """Whether a fault line of Xen was broken before its end: the next line has the rest."""
    return _CUT.search(text[-_LONGEST:]) is not None and is_xen(text)


def rows(lines: Sequence[Line], pattern: re.Pattern[str], row: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
    """Lines whose body begins as `pattern` says: (place in `lines`, match of `row` on it).

    A row that does not match alone is tried with the next line, and with the next two: mail programs wrap. A line that
    begins well and does not match so either is left to `torn`.
    """
    for place, line in enumerate(lines):
        said = body(line.text)
        if pattern.match(said) and (match := whole(lines, place, row)):
            yield place, match


def whole(lines: Sequence[Line], place: int, row: re.Pattern[str]) -> re.Match[str] | None:
    """The match of a row that begins at a place and may be wrapped over up to three lines."""
    said = body(lines[place].text)
    match = row.fullmatch(said)
    for line in lines[place + 1:place + 3]:
        if match and not (said.endswith(UNENDED) and MARK not in line.text and line.text.strip()):
            break
        said = f"{said} {body(line.text)}"
        match = row.fullmatch(said)
    return match


def column(line: Line) -> int:
    """Column, from 1, of the first character of a line's body."""
    said = body(line.text)
    return line.text.find(said) + 1 if said else 1


def torn(line: Line, what: str) -> Remark:
    """The remark on a line that begins as a row and is none."""
    return Remark(line.file, line.number, column(line),
                  f"left out: {what} that was cut or is of another form: {body(line.text)[:60]!a}")
