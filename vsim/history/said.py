"""What is said of a machine beside its state: notes, and what was assumed when it was made from dumps, by element.

    rows = written(said)        # members of a JSON object, those that have something
    said = read(rows, wrong)    # hostile input; `wrong` makes the error of a message

A link and a session have the same members. An element is a node of the events (`vsim.state.trace`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vsim.readers.source import plain, shown
from vsim.state.trace import Kind

MAX_SAID, MAX_SENTENCE, MAX_ELEMENTS = 2000, 400, 100_000
"""Most notes, sentences and names; the longest; elements of all sentences. Longer notes are cut, more are left out."""
KINDS = (Kind.DEVICE, Kind.VIOAPIC, Kind.VIOMMU, Kind.VLAPIC)
"""Elements of which something may be assumed."""
Wrong = Callable[[str], ValueError]
"""Makes the error of a message."""


class Said(NamedTuple):
    """notes: what was assumed when the machine was made; assumed: the same as sentences with the elements that each is
    about; names: of elements that have one.
    """

    notes: tuple[str, ...] = ()
    assumed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    names: tuple[tuple[int, str], ...] = ()


def written(said: Said) -> dict[str, Any]:
    """As members of a JSON object, without those that are empty. ValueError when it is more than `read` takes."""
    elements = _elements(said)
    if len(said.assumed) > MAX_SAID or len(said.names) > MAX_SAID or elements > MAX_ELEMENTS:
        raise ValueError(f"{len(said.assumed)} things are assumed, of {elements} elements; the limits are {MAX_SAID} "
                         f"and {MAX_ELEMENTS}")
    out = {"notes": _few(said.notes), "assumed": [[what[:MAX_SENTENCE], [*nodes]] for what, nodes in said.assumed],
           "names": [[element, name[:MAX_SENTENCE]] for element, name in said.names]}
    return {name: value for name, value in out.items() if value}


def read(found: Mapping[str, Any], wrong: Wrong) -> Said:
    """The members of an object that are about this; other members are not looked at."""
    reader = _Reader(wrong)
    said = Said(tuple(reader.text(each, "a note") for each in reader.list(found.get("notes", []), "notes")),
                tuple(map(reader.sentence, reader.list(found.get("assumed", []), "assumed"))),
                tuple(map(reader.name, reader.list(found.get("names", []), "names"))))
    if _elements(said) > MAX_ELEMENTS:
        raise wrong(f"assumed has more than {MAX_ELEMENTS} elements; no more are allowed")
    return said


def _few(notes: tuple[str, ...]) -> list[str]:
    """Notes as they are written; the last one counts those that are left out."""
    kept = [note[:MAX_SENTENCE] for note in notes[:MAX_SAID]]
    left = len(notes) - MAX_SAID
    return [*kept[:-1], f"{left + 1} more notes are left out"] if left > 0 else kept


def _elements(said: Said) -> int:
    return sum(len(elements) for _, elements in said.assumed)


class _Reader:
    """Values of a text that somebody else wrote, each checked."""

    def __init__(self, wrong: Wrong) -> None:
        self.wrong = wrong

    def text(self, value: Any, name: str) -> str:
        """A text that a page and a terminal may show."""
        if not isinstance(value, str) or len(value) > MAX_SENTENCE:
            raise self.wrong(f"{name} is no text of at most {MAX_SENTENCE} characters")
        return plain(value)

    def list(self, value: Any, name: str) -> list[Any]:
        if not isinstance(value, list) or len(value) > MAX_SAID:
            raise self.wrong(f"{name} is no list of at most {MAX_SAID}")
        return value

    def sentence(self, row: Any) -> tuple[str, tuple[int, ...]]:
        if not isinstance(row, list) or len(row) != 2 or not isinstance(row[1], list):
            raise self.wrong("assumed does not hold sentences, each with the elements that it is about")
        return self.text(row[0], "what is assumed"), tuple(map(self.element, row[1]))

    def name(self, row: Any) -> tuple[int, str]:
        if not isinstance(row, list) or len(row) != 2:
            raise self.wrong("names does not hold elements, each with its name")
        return self.element(row[0]), self.text(row[1], "a name")

    def element(self, value: Any) -> int:
        if type(value) is not int or not 0 <= value <= 1 << 32 or value >> 24 not in KINDS:
            raise self.wrong(f"{shown(str(value))} is no element: a device, an I/O APIC's pin, a vIOMMU or a vLAPIC")
        return value
