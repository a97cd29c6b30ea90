"""A document as Markdown, with its drawings as SVG files beside it.

Everything that came in is text: whatever Markdown or HTML would take as a mark is escaped. Mathematics is found before
Markdown is read, addresses and `:smile:` after it, when the escapes are gone: a backslash is written as a number, and
an empty comment breaks the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from widgets.report.paper import Cell, Copied, Grid, Heading, Links, Part, Picture, Points, Words, lines

_MARKS = re.compile(r"[`*_{}\[\]<>#|~&!$\\]")
# After the escapes: of an address, of a mail's address or a mention, of an emoji (two digits are none: 0000:03:00.0).
_JOINT = re.compile(r"(?i):(?=//)|:(?!\d\d:)(?=[\w+\\-]+:)|\bwww(?=\.)|@")


def markdown(parts: Iterable[Part], stem: str) -> tuple[str, dict[str, bytes]]:
    """(the text, the drawings by file name). stem: of the files' names."""
    files: dict[str, bytes] = {}
    blocks = []
    for part in parts:
        if isinstance(part, Picture):
            files[f"{stem}-{part.name}.svg"] = part.wide
        blocks.append(_part(part, stem))
    return "\n\n".join(blocks) + "\n", files


def text(words: str) -> str:
    """Words in one line with no mark in them that Markdown or HTML would act on."""
    return _JOINT.sub(r"\g<0><!-- -->", _escaped(words))


def _escaped(words: str) -> str:
    return _MARKS.sub(lambda mark: "&#92;" if mark[0] == "\\" else f"\\{mark[0]}", " ".join(words.split()))


def _part(part: Part, stem: str) -> str:
    if isinstance(part, Picture):
        steps = "\n".join(f"1. {text(each)}" for each in part.steps)
        drawing = f"![{_escaped(part.title)}](<{stem}-{part.name}.svg>)"
        return "\n\n".join((drawing, f"*{text(part.title)}*", steps, text(part.note)))
    return _RENDER[type(part)](part)


def _heading(part: Heading) -> str:
    return f"{'#' * part.level} {text(part.text)}"


def _words(part: Words) -> str:
    return f"*{text(part.text)}*" if part.kind else _start(text(part.text))


def _points(part: Points) -> str:
    return "\n".join(f"- {text(item)}" for item in part.items)


def _copied(part: Copied) -> str:
    fence = max(re.findall("`+", part.text), default="", key=len)
    fence = "`" * max(3, len(fence) + 1)
    opened = f"\n\n[Open it on the page](<{part.address}>)" if part.address else ""
    return f"{text(part.what)}\n\n{fence}\n{part.text}\n{fence}{opened}"


def _links(part: Links) -> str:
    return "\n".join(f"1. {text(each.text)}" for each in part.items)


def _grid(part: Grid) -> str:
    rule = "| " + " | ".join("---" for _ in part.heads) + " |"
    rows = [_row(part.heads), rule, *map(_row, part.rows)]
    return f"*{text(part.caption)}*\n\n" + "\n".join(rows)


def _row(cells: tuple[Cell, ...]) -> str:
    return "| " + " | ".join("<br>".join(map(text, lines(cell))) for cell in cells) + " |"


def _start(words: str) -> str:
    """A paragraph that begins like a list or a rule is none."""
    return re.sub(r"^([-+=]|\d+(?=[.)]))", r"\\\1" if not words[:1].isdigit() else r"\1\\", words)


_RENDER = {Heading: _heading, Words: _words, Points: _points, Copied: _copied, Links: _links, Grid: _grid}
