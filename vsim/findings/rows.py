"""What a row of the catalogue is, and what one finding is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from vsim.findings.picture import Picture, Side

BROKEN, DOUBT, NOTE = "broken", "doubt", "note"
"""Severities: an interrupt is lost or will be; two texts cannot both be right, or it will break; worth knowing."""
MAX_OF_A_KIND = 200
"""Findings of one row that are kept."""

Hit = tuple[str, tuple[Side, ...]]
"""A sentence about this case, and the sides that it rests on: two or more where texts contradict one another."""


class Row(NamedTuple):
    """A cross-check. sentence: what is wrong in general; todo: what to do; source: where the rule is to be read.

    check: the cases in a picture; it looks only at what the texts say, and is silent about what they do not.
    """

    name: str
    severity: str
    sentence: str
    todo: str
    source: str
    check: Callable[[Picture], Iterable[Hit]]


class Finding(NamedTuple):
    """One case of a row."""

    row: Row
    text: str
    sides: tuple[Side, ...]

    def lines(self) -> list[str]:
        """For people: the sentence, its sides, what to do."""
        return [f"{self.row.severity}: {self.row.name}: {self.text}", *(f"    {side}" for side in self.sides),
                f"    {self.row.todo} [{self.row.source}]"]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"name": self.row.name, "severity": self.row.severity, "text": self.text, "rule": self.row.sentence,
                "todo": self.row.todo, "source": self.row.source,
                "sides": [{"file": side.file, "line": side.line, "text": side.text} for side in self.sides]}
