"""A document as one HTML file that needs nothing else: no script, no link to the outside, light, and made for paper.

Tables become cards on narrow screens. The narrow form of a drawing is for those, and for paper, beside its sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from widgets.report.paper import Cell, Copied, Grid, Heading, Link, Links, Part, Picture, Points, Words, lines
from widgets.stills.drawn import inline
from widgets.theme import palette

STYLE = Path(__file__).resolve().parent / "report.css"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
# What makes a statement less than read or run stands out wherever it is written.
_DOUBT = re.compile(r"\[[IR]\b[^\]]*\]|\bunverified\b")
_ONLY_DOUBT = frozenset(("I", "R", "C"))  #: grades that stand alone in a cell


def page(parts: Iterable[Part]) -> str:
    """The document as HTML. Its first heading is the title."""
    parts = list(parts)
    title = next((part.text for part in parts if isinstance(part, Heading)), "")
    return _PAGE.format(title=escape(title), style=_style(), body="\n".join(map(_part, parts)))


def _style() -> str:
    """The style sheet, with the colours of the light theme."""
    colours = "".join(f"--vsim-{name}:{value};" for name, value in palette("light")._asdict().items() if name != "heat")
    return f":root{{{colours}}}\n" + STYLE.read_text(encoding="utf-8")


def text(words: str) -> str:
    """Words as HTML: everything in them is text, and what marks a doubt stands out."""
    return _DOUBT.sub(lambda found: f"<mark>{found.group()}</mark>", escape(words))


def _part(part: Part) -> str:
    return _RENDER[type(part)](part)


def _heading(part: Heading) -> str:
    return f'<h{part.level} id="{escape(part.name)}">{text(part.text)}</h{part.level}>'


def _words(part: Words) -> str:
    kind = f' class="{part.kind}"' if part.kind else ""
    return f"<p{kind}>{text(part.text)}</p>"


def _points(part: Points) -> str:
    kind = f' class="{part.kind}"' if part.kind else ""
    return f"<ul{kind}>{_items(part.items)}</ul>"


def _copied(part: Copied) -> str:
    return (f'<figure class="copied"><figcaption>{text(part.what)}</figcaption>'
            f'<pre tabindex="0" role="textbox" aria-readonly="true" aria-label="{escape(part.what)}">'
            f"{escape(part.text)}</pre>{_open(part)}</figure>")


def _open(part: Copied) -> str:
    """The link of a text that a page opens."""
    return f'<a href="{escape(part.address)}" rel="noreferrer">Open it on the page</a>' if part.address else ""


def _items(items: Iterable[str]) -> str:
    return "".join(f"<li>{text(item)}</li>" for item in items)


def _links(part: Links) -> str:
    items = "".join(f"<li>{_cell(each)}</li>" for each in part.items)
    return f'<nav aria-label="Contents"><ol>{items}</ol></nav>'


# Roles are spelt out, since a table that is shown as cards is no longer one to a screen reader.
def _grid(part: Grid) -> str:
    widths = "".join(f'<col style="width:{10 * tenths:g}%">' for tenths in part.fit)
    rows = "".join(f'<tr role="row">{_row(part, row)}</tr>' for row in part.rows)
    return (f'<table role="table"{"" if any(part.heads) else _KEY}><caption>{text(part.caption)}</caption>'
            f'<colgroup>{widths}</colgroup>{_heads(part.heads)}<tbody role="rowgroup">{rows}</tbody></table>')


_KEY = ' class="key"'


def _heads(heads: tuple[str, ...]) -> str:
    if not any(heads):
        return ""
    cells = "".join(f'<th scope="col" role="columnheader">{text(head)}</th>' for head in heads)
    return f'<thead role="rowgroup"><tr role="row">{cells}</tr></thead>'


def _row(part: Grid, row: tuple[Cell, ...]) -> str:
    first = f'<th scope="row" role="rowheader">{_cell(row[0])}</th>'
    return first + "".join(_data(head, cell) for head, cell in zip(part.heads[1:], row[1:], strict=True))


def _data(head: str, cell: Cell) -> str:
    empty = "" if any(lines(cell)) else ' class="none"'
    named = f' data-head="{escape(head)}"' if head else ""
    return f'<td role="cell"{named}{empty}>{_cell(cell)}</td>'


def _cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f'<a href="#{escape(cell.name)}">{text(cell.text)}</a>'
    if isinstance(cell, str):
        return f"<mark>{escape(cell)}</mark>" if cell in _ONLY_DOUBT else text(cell)
    return "".join(f"<span>{text(line)}</span>" for line in cell)


def _picture(part: Picture) -> str:
    forms = "".join(f'<div class="{form}">{inline(svg, f"{part.name}-{form}", part.title)}</div>'
                    for form, svg in (("wide", part.wide), ("tall", part.tall)))
    told = f"<p>{text(part.title)}</p><ol>{_items(part.steps)}</ol><p>{text(part.note)}</p>"
    return f'<figure id="{escape(part.name)}">{forms}<figcaption>{told}</figcaption></figure>'


_RENDER = {Heading: _heading, Words: _words, Points: _points, Copied: _copied, Links: _links, Grid: _grid,
           Picture: _picture}
