"""What a page to draw on can whatever draws it: words cut to a width, words in lines.

Two draw: matplotlib (`ink`), which makes files of every kind, and this package itself (`pen`), as SVG, where there is
no matplotlib, as in a browser's Python. Both count in CSS pixels from the top left corner.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence

from widgets.theme import OUTCOMES, Palette, palette

SHAPES = {each.name: each.shape for each in OUTCOMES} | {"lost": "void"}
"""The mark of an interrupt by what became of it."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x, y of the top left corner, width, height


class Sheet:
    """A picture of `width` CSS pixels in a theme. `ink.Page` and `pen.Page` add `plain`, `measure` and what draws."""

    plain: Callable[[str], str]
    measure: Callable[..., float]

    def __init__(self, width: float, theme: str) -> None:
        self.colours: Palette = palette(theme)
        self.width = width

    def cut(self, words: str, size: str, bold: bool, room: float) -> str:
        """As many of the words as fit, with an ellipsis for the rest."""
        if self.measure(words, size, bold) <= room:
            return words
        fits = bisect(range(len(words)), room, key=lambda count: self.measure(words[:count] + "…", size, bold))
        return words[:max(0, fits - 1)].rstrip() + "…"

    def wrap(self, words: str, room: float, size: str = "font-small") -> list[str]:
        """Words in lines of at most `room` pixels; a single word that is longer stands alone."""
        lines = [""]
        for word in self.plain(words).split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.measure(longer, size) > room:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


def strokes(boxes: Sequence[Box]) -> list[tuple[Point, Point]]:
    """The lines aslant of `Sheet.hatch`."""
    return [((x + w * a, y + h * b), (x + w * c, y + h * d)) for x, y, w, h in boxes
            for a, b, c, d in ((0, 0.5, 0.5, 0), (0, 1, 1, 0), (0.5, 1, 1, 0.5))]
