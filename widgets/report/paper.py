"""The parts of a document, as data: `page` makes HTML of them, `markdown` Markdown.

All strings are text, whoever wrote them; making them safe is the renderers' business. A cell of a table is one line,
several, or a link to a heading.
"""

from __future__ import annotations

from typing import NamedTuple


class Link(NamedTuple):
    """Words that lead to the heading with a name."""

    text: str
    name: str


Cell = str | tuple[str, ...] | Link


class Heading(NamedTuple):
    """A heading. level: 1 for the title, 2 for a section, 3 below it. name: what links point to."""

    level: int
    text: str
    name: str


class Words(NamedTuple):
    """A paragraph. kind: "" or "lead" (the title's second line) or "aside" (whose it is, what it is about)."""

    text: str
    kind: str = ""


class Points(NamedTuple):
    """A list. kind: "" for sentences, "shown" for what a run printed."""

    items: tuple[str, ...]
    kind: str = ""


class Copied(NamedTuple):
    """Text to be copied as it is. what: what one does with it; address: of a page that opens it, "" for none."""

    what: str
    text: str
    address: str = ""


class Grid(NamedTuple):
    """A table with a caption and heads, which are "" when the first column says it all.

    fit: how wide the columns are, in tenths of the whole.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    fit: tuple[float, ...]


class Picture(NamedTuple):
    """A drawing as SVG, once for wide screens and once for narrow ones. steps, note: what it shows, in sentences."""

    name: str
    title: str
    steps: tuple[str, ...]
    note: str
    wide: bytes
    tall: bytes


class Links(NamedTuple):
    """A table of contents."""

    items: tuple[Link, ...]


Part = Heading | Words | Points | Copied | Grid | Picture | Links


def grid(caption: str, heads: tuple[str, ...], rows: list[tuple[Cell, ...]], fit: tuple[float, ...]) -> Grid:
    """A table; ValueError when a row has not as many cells as there are heads."""
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"a row has {len(row)} cells; the limit is {len(heads)}, the number of heads")
    return Grid(caption, heads, tuple(rows), fit)


def contents(parts: list[Part]) -> Links:
    """The sections of a document."""
    return Links(tuple(Link(part.text, part.name) for part in parts if isinstance(part, Heading) and part.level == 2))


def lines(cell: Cell) -> tuple[str, ...]:
    """The lines of a cell."""
    if isinstance(cell, Link):
        return (cell.text,)
    return (cell,) if isinstance(cell, str) else cell
