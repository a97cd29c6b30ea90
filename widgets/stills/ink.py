"""A page to draw on with matplotlib: CSS pixels from the top left corner, one font, fixed metadata.

pyplot is not used: its state is shared by all threads, and callbacks of a panel may run on several. Words that come
from a file (a domain's name) are drawn as they are: never as mathematics, and never as a glyph that the font lacks.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from math import inf
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.text import Text

from widgets.stills.sheet import SHAPES, Box, Point, Sheet, strokes
from widgets.theme import SIZES, points

DPI = 96  #: one CSS pixel is one pixel of a PNG at scale 1
FAMILY = "DejaVu Sans"  #: comes with matplotlib, so that a picture is the same everywhere
MARKERS = {"square": "s", "diamond": "D", "ring": "o", "cross": "x", "void": r"$\oslash$"}
_METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None},
             "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "vsim", "svg.fonttype": "path", "pdf.fonttype": 42, "savefig.bbox": None}


@cache
def _font(size: str, bold: bool = False) -> FontProperties:
    return FontProperties(family=FAMILY, weight="bold" if bold else "normal", size=points(size))


@cache
def _known() -> frozenset[int]:
    return frozenset(get_font(findfont(_font("font"))).get_charmap())


def plain(text: str) -> str:
    """text in one line with every character that the font has not replaced by a question mark."""
    return "".join(each if ord(each) in _known() and each.isprintable() else "?" for each in text)


class Page(Sheet):
    """A figure of `width` CSS pixels in a theme; `end` cuts it off below."""

    def __init__(self, width: float, theme: str) -> None:
        super().__init__(width, theme)
        self.figure = Figure(dpi=DPI, facecolor=self.colours.background)
        self._renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call]
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1), frameon=False)
        self.axes.set(xlim=(0, width), xticks=[], yticks=[])
        self.texts: list[Text] = []

    def end(self, height: float) -> Figure:
        """The figure, `height` CSS pixels high."""
        self.figure.set_size_inches(self.width / DPI, height / DPI)
        self.axes.set_ylim(height, 0)
        return self.figure

    def text(self, x: float, y: float, words: str, *, size: str = "font-small", colour: str = "", bold: bool = False,
             align: str = "left", room: float = inf) -> Text:
        """Words on a base line at y; cut with an ellipsis to a width of `room` pixels. colour: the theme's text."""
        words = self.cut(plain(words), size, bold, room)
        drawn = self.axes.text(x, y, words, fontproperties=_font(size, bold), color=colour or self.colours.text,
                               ha=align, va="baseline", parse_math=False, usetex=False, zorder=8)
        self.texts.append(drawn)
        return drawn

    def plain(self, words: str) -> str:
        """As the function of this name has it."""
        return plain(words)

    def measure(self, words: str, size: str = "font-small", bold: bool = False) -> float:
        """The width of words, in pixels."""
        return float(self._renderer.get_text_width_height_descent(words, _font(size, bold), ismath=False)[0])

    def box(self, box: Box, *, fill: str = "", edge: str = "", width: str = "stroke", above: bool = False) -> None:
        """A rectangle with rounded corners. fill: the theme's panel; edge: its line; above: over lit ways."""
        x, y, wide, high = box
        style = f"round,pad=0,rounding_size={0 if above else min(SIZES['radius'], wide / 3, high / 3):g}"
        self.axes.add_patch(FancyBboxPatch(
            (x, y), wide, high, boxstyle=style, mutation_aspect=1, linewidth=points(width),
            facecolor=fill or self.colours.panel, edgecolor=edge or self.colours.line, zorder=6 if above else 3))

    def cells(self, boxes: Sequence[Box], fills: Sequence[str],
              edges: Sequence[str] | str = "none") -> PolyCollection:
        """Many plain rectangles at once: the wall."""
        corners = [((x, y), (x + w, y), (x + w, y + h), (x, y + h)) for x, y, w, h in boxes]
        drawn = PolyCollection(corners, facecolors=list(fills), edgecolors=edges, linewidths=points("stroke"), zorder=4)
        self.axes.add_collection(drawn, autolim=False)
        return drawn

    def hatch(self, boxes: Sequence[Box]) -> None:
        """Lines aslant over rectangles: what no device can reach."""
        self.axes.add_collection(LineCollection(strokes(boxes), colors=self.colours.muted,
                                                linewidths=points("stroke") * 0.7, zorder=4.5), autolim=False)

    def dots(self, boxes: Sequence[Box]) -> None:
        """A dotted border around rectangles: what no dump says all of."""
        corners = [((x, y), (x + w, y), (x + w, y + h), (x, y + h)) for x, y, w, h in boxes]
        self.axes.add_collection(PolyCollection(corners, facecolors="none", edgecolors=self.colours.text, zorder=6.5,
                                                linewidths=points("stroke"), linestyles=[(0, (1, 2))]), autolim=False)

    def line(self, way: Sequence[Point], *, colour: str = "", width: str = "stroke", above: bool = False) -> None:
        """A polyline through the points. colour: the theme's line. above: over the boxes, as a lit way is."""
        xs, ys = zip(*way, strict=True)
        self.axes.add_line(Line2D(
            xs, ys, linestyle="-", color=colour or self.colours.line, linewidth=points(width),
            solid_capstyle="round", solid_joinstyle="round", zorder=5 if above else 1))

    def disc(self, x: float, y: float, radius: float) -> None:
        """A filled circle in the colour of words, to set a number in."""
        self.axes.add_patch(Circle((x, y), radius, facecolor=self.colours.text, edgecolor="none", zorder=7))

    def token(self, x: float, y: float, outcome: str, scale: float = 1.0) -> Line2D:
        """The mark of one interrupt: the shape and the colour of its outcome, or of one that is "lost"."""
        shape = SHAPES[outcome]
        colour = self.colours.lost if outcome == "lost" else self.colours.outcome(outcome)
        scale *= 1.5 if shape == "void" else 1.0
        hollow = shape == "ring"
        return self.axes.add_line(Line2D(
            [x], [y], linestyle="none", marker=MARKERS[shape], markersize=points("token") * scale, zorder=7,
            markerfacecolor="none" if hollow else colour,
            markeredgecolor=colour if shape in ("ring", "cross", "void") else self.colours.background,
            markeredgewidth=points("ring") if shape in ("ring", "cross") else points("stroke") / 2 if shape == "void"
            else points("stroke")))


def data(figure: Figure, kind: str, scale: float = 1.0) -> bytes:
    """A figure as the bytes of a "png", "svg" or "pdf" file, the same whenever it is drawn.

    scale: pixels of a PNG for each CSS pixel. ValueError for another kind.
    """
    if kind not in _METADATA:
        raise ValueError(f"kind is {kind!r}; known are {', '.join(_METADATA)}")
    out = io.BytesIO()
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(out, format=kind, dpi=DPI * scale, facecolor=figure.get_facecolor(), edgecolor="none",
                       metadata=_METADATA[kind])
    return out.getvalue()
