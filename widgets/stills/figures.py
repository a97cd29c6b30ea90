"""Stills: the scene of the live map drawn for reports, print and notebooks without a kernel.

    figure = still(scene(machine, "big"), way=token)
    Path("one_interrupt.png").write_bytes(to_png(figure))

The places are `widgets.map.scene`'s, the colours `widgets.theme`'s; nothing here knows a machine. The same scene gives
the same bytes, in every format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from widgets.map.arrange import Box, Point
from widgets.map.scene import Scene, cell_of, entry, slots, unit_of
from widgets.map.scene import way as way_of
from widgets.map.tokens import Flag, Outcome, Token, shades
from widgets.stills import captions, drawn
from widgets.stills.plate import Plate
from widgets.theme import OUTCOMES, SIZES

SHAPES = ("wide", "tall")
"""The arrangements: 1,120 CSS pixels from left to right, 480 from top to bottom."""

MOST_TOKENS = 10_000
"""Interrupts of one film at most."""


def still(scene: Scene, way: Token | None = None, past: Iterable[Token] = (), theme: str = "light",
          shape: str = "wide") -> Any:
    """A picture of the scene: a matplotlib figure, or a `pen.Drawing` where there is no matplotlib.

    way: an interrupt whose way is lit and told in a strip below. past: interrupts that shade the vLAPICs that they
    reached. theme: "light" or "dark". shape: one of `SHAPES`. ValueError for other names.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r:.40}; known are {', '.join(SHAPES)}")
    plate = Plate(scene, scene[shape], way, theme)
    most = plate.everything(Counter(token.dst for token in past if shades(token)))
    bottom = plate.bottom
    if way is not None:
        _light(plate, way)
        bottom = captions.strip(plate.page, captions.steps(scene, way), bottom, 4 if shape == "wide" else 1)
    return plate.page.end(captions.legend(plate.page, most, bottom + 4, scene))


def to_png(figure: Any, scale: float = 2.0) -> bytes:
    """The figure as a PNG file, `scale` pixels to a CSS pixel."""
    return drawn.data(figure, "png", scale)


def to_svg(figure: Any) -> bytes:
    """The figure as an SVG file, its words as outlines."""
    return drawn.data(figure, "svg")


def to_pdf(figure: Any) -> bytes:
    """The figure as a PDF file."""
    return drawn.data(figure, "pdf")


def _light(plate: Plate, token: Token) -> None:
    """The way of one interrupt over everything else, its entry, its end, and the numbers of its steps."""
    kind = token.outcome & 7
    colours = plate.page.colours
    colour = (colours.stale if token.outcome & Flag.STALE else colours.lost if kind == Outcome.LOST
              else colours.outcome(OUTCOMES[kind].name) if kind < len(OUTCOMES) else colours.text)
    points = way_of(plate.scene, plate.where, token)
    plate.line(points, colour=colour, width="stroke-lit", above=True)
    if kind in (Outcome.REMAPPED, Outcome.POSTED) and (box := _cell(plate, token)):
        plate.page.box(plate.down(box), fill=colour, edge=colour, above=True)
    scale = _target(plate, colour) if plate.target >= 0 else 1.3
    if kind < len(OUTCOMES) or kind == Outcome.LOST:
        name = "lost" if kind == Outcome.LOST else OUTCOMES[kind].name
        plate.page.token(points[-1][0], points[-1][1] + plate.top, name, scale)
    for number, step in enumerate(captions.steps(plate.scene, token), 1):
        if step.place in ("router", "entry", "nowhere"):
            x, y = _beside(plate, step.place, token, points)
            captions.badge(plate.page, x, y + plate.top, number)


def _cell(plate: Plate, token: Token) -> Box | None:
    """The box of the cell in which an interrupt's entry is; None where it is not in the part that is shown."""
    unit = unit_of(plate.scene, token)
    cell = cell_of(plate.scene, unit, token.irte)
    return entry(plate.where, unit, cell) if cell >= 0 else None


def _target(plate: Plate, colour: str) -> float:
    """Empty the slot that is reached and outline it; returns how large the token in it may be."""
    box = slots(plate.scene, plate.where)[plate.target]
    plate.page.box(plate.down(box), fill=plate.page.colours.background, edge=colour, width="ring", above=True)
    return min(1.8, box[2] * 0.6 / SIZES["token"])


def _beside(plate: Plate, place: str, token: Token, points: list[Point]) -> Point:
    """Where the number of a step stands: beside its place, over nothing that is read."""
    kind = token.outcome & 7
    if place == "router":
        by_pair = token.src == plate.places.pic and (kind == Outcome.DIRECT or not token.outcome & Flag.PIN)
        if by_pair and plate.where["pic"] is None:
            return points[-1]
        x, y, w, _ = plate.where["pic"]["box"] if by_pair else plate.where["routers"][
            0 if token.outcome & Flag.PIN else -1]
        return x + w - 8, y - 8
    if place == "entry":
        x, y, w, _ = plate.where["units"][unit_of(plate.scene, token)]
        return x + w - 7, y - 10
    x, y = points[-1]
    return x - 16 if x > 24 else x + 16, y - 14
