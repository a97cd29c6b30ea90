"""Films: recorded interrupts travel through the scene of the map, frame by frame, drawn with matplotlib.

    film_file.write(Film(scene(machine, "big"), tokens), "way.gif")

The same scene and tokens give the same frames; nothing of a clock is in them. One is drawn at a time, so that memory
does not grow with the length. pyplot is not used (see `ink`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from math import ceil, dist
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from PIL import Image

from widgets import theme
from widgets.map.scene import Scene, slots
from widgets.map.scene import way as way_of
from widgets.map.tokens import NOBODY, Outcome, Token, shades
from widgets.stills import captions
from widgets.stills.figures import MOST_TOKENS, SHAPES
from widgets.stills.plate import Plate, shade
from widgets.theme import OUTCOMES

FLIGHT, END = 1.2, 0.8
"""Seconds that an interrupt travels, and seconds of rest after the last one."""
PACE, USUAL = 40, 12.0
"""Interrupts that set out in a second, and the most seconds in which all do so, unless a length is asked for."""
NEAR = 16
"""Difference from the background, of 255, up to which a mixed colour is left out: Pillow takes one for the other."""
FPS, MOST_SECONDS, MOST_FRAMES = 20, 60.0, 900


class _Flight(NamedTuple):
    """An interrupt on its way. lengths: of the way up to each of its points."""

    start: float
    token: Token
    xs: np.ndarray
    ys: np.ndarray
    lengths: np.ndarray

    def at(self, now: float) -> tuple[float, float]:
        """Where it is."""
        gone = min(1.0, (now - self.start) / FLIGHT) * self.lengths[-1]
        return float(np.interp(gone, self.lengths, self.xs)), float(np.interp(gone, self.lengths, self.ys))


class Film:
    """The frames of a film. tokens: the interrupts, in order; they set out evenly, whatever lay between them.

    seconds: the length, by default what `PACE` gives. before: how many interrupts came before the first, for the
    words below. ValueError for what is out of bounds, or when there is no interrupt at all.
    """

    def __init__(self, scene: Scene, tokens: Iterable[Token], *, seconds: float | None = None, fps: int = FPS,
                 theme: str = "light", shape: str = "wide", before: int = 0) -> None:
        self.tokens, self.fps, self.before = list(tokens), fps, before
        self._check(seconds, shape)
        usual = FLIGHT + END + min(USUAL, len(self.tokens) / PACE)
        self.count = min(MOST_FRAMES, ceil((usual if seconds is None else seconds) * fps))
        self._plate = Plate(scene, scene[shape], None, theme)
        self._flights = list(self._flying(scene, scene[shape]))
        self._final = Counter(token.dst for token in self.tokens if shades(token))
        self._boxes = slots(scene, scene[shape])
        self._draw()

    def _check(self, seconds: float | None, shape: str) -> None:
        if shape not in SHAPES:
            raise ValueError(f"shape is {shape!r:.40}; known are {', '.join(SHAPES)}")
        if type(self.fps) is not int or not 1 <= self.fps <= 50:
            raise ValueError(f"fps is {self.fps!r}; the limit is 1 to 50 frames a second")
        a_length = seconds is None or (isinstance(seconds, (int, float)) and FLIGHT < seconds <= MOST_SECONDS)
        if not a_length:
            raise ValueError(f"seconds is {seconds!r:.40}; the limit is more than {FLIGHT} to {MOST_SECONDS:g}")
        if seconds is not None and seconds * self.fps > MOST_FRAMES:
            raise ValueError(f"{seconds:g} s at {self.fps} a second are {seconds * self.fps:g} frames; "
                             f"the limit is {MOST_FRAMES}")
        if not 0 < len(self.tokens) <= MOST_TOKENS:
            raise ValueError(f"{len(self.tokens)} interrupts to show; the limit is 1 to {MOST_TOKENS}")

    def _flying(self, scene: Scene, where: dict[str, Any]) -> Iterator[_Flight]:
        span = max(0.0, self.count / self.fps - FLIGHT - END) / len(self.tokens)
        for number, token in enumerate(self.tokens):
            points = [(x, y + self._plate.top) for x, y in way_of(scene, where, token)]
            lengths = [0.0, *accumulate(dist(a, b) for a, b in pairwise(points))]
            xs, ys = zip(*points, strict=True)
            yield _Flight(number * span, token, np.array(xs), np.array(ys), np.array(lengths))

    # --- drawing ----------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """All that stands still, once; the marks and the words that every frame sets anew."""
        page = self._plate.page
        self._plate.everything(Counter())
        self._most = max(self._final.values(), default=0)
        low = captions.legend(page, self._most, self._plate.bottom + 4, self._plate.scene)
        self._words = page.text(captions.MARGIN, low + captions.LINE, "", size="font")
        self._marks: dict[int, Line2D] = {n: page.token(0, 0, each.name) for n, each in enumerate(OUTCOMES)}
        for kind in (Outcome.DIRECT, Outcome.SPURIOUS):
            self._marks[kind] = page.axes.plot([], [], ".", color=page.colours.text, zorder=7)[0]
        self._marks[Outcome.LOST] = page.token(0, 0, "lost")
        self._marks[Outcome.MASKED] = page.axes.plot([], [], "x", color=page.colours.text, zorder=7)[0]
        self._page, self._moving = page, [*self._marks.values(), self._words]
        for each in self._moving:
            each.set_animated(True)
        self._canvas = FigureCanvasAgg(page.end(low + 2 * captions.LINE))
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(page.figure.bbox)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        wide, high = self._canvas.get_width_height()
        return int(wide), int(high)

    def frames(self) -> Iterator[Image.Image]:
        """Every frame, in order."""
        ended, hits = 0, Counter[int]()
        for number in range(self.count):
            now, before = number / self.fps, ended
            while ended < len(self._flights) and self._flights[ended].start + FLIGHT <= now:
                ended += 1
            landed = [each.token.dst for each in self._flights[before:ended] if shades(each.token)]
            hits.update(landed)
            self._canvas.restore_region(self._still)
            if landed:
                self._shade(hits, set(landed))
            self._set(now, ended)
            for each in self._moving:
                self._put(each)
            yield Image.fromarray(np.asarray(self._canvas.buffer_rgba())[..., :3].copy())

    def _shade(self, hits: Counter[int], landed: set[int]) -> None:
        """Slots that were reached get the shade of their count, for good."""
        heat, first = self._page.colours.heat, self._plate.places.vlapic
        boxes = [self._plate.down(self._boxes[place - first]) for place in sorted(landed)]
        patch = self._page.cells(boxes, [heat[shade(hits[place], self._most)] for place in sorted(landed)])
        self._put(patch)
        patch.remove()
        self._still = self._canvas.copy_from_bbox(self._page.figure.bbox)

    def _put(self, artist: Artist) -> None:
        self._page.axes.draw_artist(artist)

    def _set(self, now: float, ended: int) -> None:
        """Marks and words at a moment; what was blocked stays for a while where it ended."""
        places: dict[int, list[tuple[float, float]]] = {kind: [] for kind in self._marks}
        stays = (each for each in self._flights[:ended] if each.token.dst == NOBODY and now < each.start + FLIGHT + END)
        for each in (*stays, *self._flights[ended:]):
            if each.start > now:
                break
            places[each.token.outcome & 7].append(each.at(now))
        for kind, mark in self._marks.items():
            mark.set_data(*(zip(*places[kind], strict=True) if places[kind] else ([], [])))
        last = self.before + len(self.tokens)
        blocked = sum(each.token.outcome & 7 == Outcome.BLOCKED for each in self._flights[:ended])
        self._words.set_text(f"interrupt {self.before + ended:,} of {last:,} has arrived; {blocked:,} blocked"
                             + (f"; the first {self.before:,} are not shown" if self.before else ""))

    def palette(self) -> bytes:
        """The colours of a GIF, at most 255: those of the theme, and what lies between each and the background."""
        ground, *others = (bytes.fromhex(each[1:]) for each in dict.fromkeys(_flat(self._page.colours)))
        mixed = [bytes(low + (high - low) * step // 4 for low, high in zip(ground, other, strict=True))
                 for other in others for step in (1, 2, 3)]
        far = [each for each in mixed if max(abs(a - b) for a, b in zip(ground, each, strict=True)) > NEAR]
        return b"".join(dict.fromkeys((ground, *others, *far)))


def _flat(colours: theme.Palette) -> Iterator[str]:
    for each in colours:
        yield from (each,) if isinstance(each, str) else each
