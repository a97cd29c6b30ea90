"""A page to draw on without matplotlib: the same marks as `ink` has, as one SVG.

A browser's Python has no matplotlib. Words are set as text in whatever sans serif the reader has, each squeezed or
spread to the width that is reckoned with here, so that nothing runs into its neighbour. Words that come from a file are
escaped and never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from math import inf
from typing import NamedTuple

from widgets.stills.sheet import SHAPES, Box, Point, Sheet, strokes
from widgets.theme import SIZES

FAMILY = "DejaVu Sans, Verdana, sans-serif"
_WIDTHS = {0.3: "ijl.,:;'|![]()/ ", 0.4: "ftrI-", 0.97: "mwMW@%—…", 0.72: "ABCDEGHKNOPQRUVXYZ&#"}
_WIDTH = {each: width for width, many in _WIDTHS.items() for each in many}
_USUAL, _BOLD = 0.62, 1.1
"""Widths of letters, in parts of the font's size: the letters of `_WIDTHS`, others, and what bold adds."""


class Drawing(NamedTuple):
    """A picture as SVG. width, height: in CSS pixels."""

    svg: str
    width: float
    height: float

    def _repr_svg_(self) -> str:
        return self.svg


class Page(Sheet):
    """A picture of `width` CSS pixels in a theme; `end` cuts it off below. Methods are those of `ink.Page`."""

    def __init__(self, width: float, theme: str) -> None:
        super().__init__(width, theme)
        self._marks: list[tuple[float, str]] = []

    def end(self, height: float) -> Drawing:
        """The picture, `height` CSS pixels high."""
        self._marks.sort(key=lambda mark: mark[0])  # stable: what lies above comes later
        body = "\n".join(text for _, text in self._marks)
        return Drawing(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {height:g}" '
                       f'width="{self.width:g}" height="{height:g}" font-family="{FAMILY}" stroke-linecap="round" '
                       f'stroke-linejoin="round">\n<rect width="100%" height="100%" '
                       f'fill="{self.colours.background}"/>\n{body}\n</svg>\n', self.width, height)

    def _put(self, order: float, text: str) -> None:
        self._marks.append((order, text))

    def plain(self, words: str) -> str:
        """Words in one line: what does not print becomes a question mark."""
        return "".join(each if each.isprintable() else "?" for each in words)

    def measure(self, words: str, size: str = "font-small", bold: bool = False) -> float:
        """The width that words are given, in pixels."""
        return sum(_WIDTH.get(each, _USUAL) for each in words) * SIZES[size] * (_BOLD if bold else 1.0)

    def text(self, x: float, y: float, words: str, *, size: str = "font-small", colour: str = "", bold: bool = False,
             align: str = "left", room: float = inf) -> None:
        """Words on a base line at y."""
        words = self.cut(self.plain(words), size, bold, room)
        wide = self.measure(words, size, bold)
        x -= {"left": 0.0, "center": wide / 2, "right": wide}[align]
        weight = ' font-weight="bold"' if bold else ""
        if words:
            self._put(8, f'<text x="{x:.1f}" y="{y:.1f}" font-size="{SIZES[size]:g}"{weight} '
                         f'fill="{colour or self.colours.text}" textLength="{wide:.1f}" '
                         f'lengthAdjust="spacingAndGlyphs">{escape(words)}</text>')

    def box(self, box: Box, *, fill: str = "", edge: str = "", width: str = "stroke", above: bool = False) -> None:
        """A rectangle with rounded corners."""
        x, y, wide, high = box
        radius = 0 if above else min(SIZES["radius"], wide / 3, high / 3)
        self._put(6 if above else 3, f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" '
                  f'rx="{radius:g}" fill="{fill or self.colours.panel}" stroke="{edge or self.colours.line}" '
                  f'stroke-width="{SIZES[width]:g}"/>')

    def cells(self, boxes: Sequence[Box], fills: Sequence[str], edges: Sequence[str] | str = "none") -> None:
        """Many plain rectangles at once; those that look alike are one path."""
        lines = [edges] * len(boxes) if isinstance(edges, str) else edges
        looks = sorted(zip(fills, lines, boxes, strict=True), key=lambda row: row[:2])
        for (fill, edge), rows in groupby(looks, key=lambda row: row[:2]):
            way = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for _, _, (x, y, w, h) in rows)
            self._put(4, f'<path d="{way}" fill="{fill}" stroke="{edge}"/>')

    def hatch(self, boxes: Sequence[Box]) -> None:
        """Lines aslant over rectangles."""
        way = "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for (a, b), (c, d) in strokes(boxes))
        if way:
            self._put(4.5, f'<path d="{way}" stroke="{self.colours.muted}" stroke-width="0.7"/>')

    def dots(self, boxes: Sequence[Box]) -> None:
        """A dotted border around rectangles."""
        way = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in boxes)
        if way:
            self._put(6.5, f'<path d="{way}" fill="none" stroke="{self.colours.text}" stroke-dasharray="1 2"/>')

    def line(self, way: Sequence[Point], *, colour: str = "", width: str = "stroke", above: bool = False) -> None:
        """A polyline through the points."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in way)
        self._put(5 if above else 1, f'<polyline points="{points}" fill="none" stroke="{colour or self.colours.line}" '
                  f'stroke-width="{SIZES[width]:g}"/>')

    def disc(self, x: float, y: float, radius: float) -> None:
        """A filled circle in the colour of words."""
        self._put(7, f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{self.colours.text}"/>')

    def token(self, x: float, y: float, outcome: str, scale: float = 1.0) -> None:
        """The mark of one interrupt."""
        colour = self.colours.lost if outcome == "lost" else self.colours.outcome(outcome)
        r = SIZES["token"] * scale / 2
        edge = f'fill="none" stroke="{colour}" stroke-width="{SIZES["ring"]:g}"'
        full = f'fill="{colour}" stroke="{self.colours.background}"'
        slash = f"M{-r:.1f} {r:.1f}L{r:.1f} {-r:.1f}"
        drawn = {"square": f'<path d="M{-r:.1f} {-r:.1f}h{2 * r:.1f}v{2 * r:.1f}h{-2 * r:.1f}z" {full}/>',
                 "diamond": f'<path d="M0 {-1.4 * r:.1f}L{1.4 * r:.1f} 0L0 {1.4 * r:.1f}L{-1.4 * r:.1f} 0z" {full}/>',
                 "ring": f'<circle r="{r:.1f}" {edge}/>',
                 "cross": f'<path d="{slash}M{-r:.1f} {-r:.1f}L{r:.1f} {r:.1f}" {edge}/>',
                 "void": f'<circle r="{r:.1f}" {edge}/><path d="{slash}" {edge}/>'}[SHAPES[outcome]]
        self._put(7, f'<g transform="translate({x:.1f} {y:.1f})">{drawn}</g>')
