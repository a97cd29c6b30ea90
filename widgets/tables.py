"""Rows and sentences as a notebook shows them: HTML in a browser, plain text elsewhere.

Everything that comes in is text and stays text: a device called `<b>` shows as `<b>`, and one called `$x$` is not
typeset as mathematics, which JupyterLab does with what it shows unless a class says otherwise. The marks of a row (a
tick, a cross) are characters, so that a table says the same without colours, on paper and to a screen reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

NO_MATH = 'class="mathjax_ignore tex2jax_ignore"'
"""Attribute of an element inside which MathJax typesets nothing, from version 3 on and in version 2."""

_CELL = "text-align:left;vertical-align:top;max-width:44em;white-space:"
_SHORT = 20  #: characters of a cell that is not broken into lines


def _style(cell: str) -> str:
    return _CELL + ("nowrap" if len(cell) <= _SHORT else "normal")


class Table:
    """A table with heads. caption: a line above it. bold: numbers of the rows to stress, from 0.

    ValueError when a row has not as many cells as there are heads.
    """

    def __init__(self, heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "",
                 bold: Iterable[int] = ()) -> None:
        self.heads = tuple(heads)
        self.rows = [tuple(map(str, row)) for row in rows]
        self.caption = caption
        self.bold = frozenset(bold)
        for row in self.rows:
            if len(row) != len(self.heads):
                raise ValueError(f"a row has {len(row)} cells; the limit is {len(self.heads)}, the number of heads")

    def _repr_html_(self) -> str:
        heads = "".join(f'<th scope="col" style="{_style(head)}">{escape(head)}</th>' for head in self.heads)
        body = "".join(f"<tr>{self._cells(number)}</tr>" for number in range(len(self.rows)))
        caption = f'<caption style="text-align:left">{escape(self.caption)}</caption>' if self.caption else ""
        return f"<table {NO_MATH}>{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"

    def _cells(self, number: int) -> str:
        tag = "b" if number in self.bold else "span"
        return "".join(f'<td style="{_style(cell)}"><{tag}>{escape(cell)}</{tag}></td>' for cell in self.rows[number])

    def __repr__(self) -> str:
        """The table in columns of one width."""
        lines = [self.heads, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                for line in lines]
        return "\n".join([self.caption, *text] if self.caption else text)


class Told:
    """Sentences in order, numbered when there is more than one."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.sentences = list(sentences)

    def _repr_html_(self) -> str:
        if len(self.sentences) == 1:
            return f"<p {NO_MATH}>{escape(self.sentences[0])}</p>"
        return f"<ol {NO_MATH}>" + "".join(f"<li>{escape(each)}</li>" for each in self.sentences) + "</ol>"

    def __repr__(self) -> str:
        """One sentence a line."""
        if len(self.sentences) == 1:
            return self.sentences[0]
        return "\n".join(f"{number}. {each}" for number, each in enumerate(self.sentences, 1))


def fault_line(error: BaseException) -> str:
    """An error as one line of HTML for the panel in which it happened; a screen reader announces it."""
    return f'<p role="alert"><b>{escape(type(error).__name__)}:</b> {escape(str(error)) or "no further word"}</p>'
