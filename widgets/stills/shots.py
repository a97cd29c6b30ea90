"""Pictures of a `Lab`: its map as it is now with the last interrupt's way, and a film of the last interrupts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from widgets.lab import progress
from widgets.lab.lab import Lab
from widgets.map.scene import Scene, scene
from widgets.map.tokens import Token, fold
from widgets.stills import drawn as pages
from widgets.stills import figures

CHUNK = 256
"""Commands whose events are looked through at a time."""


def figure(lab: Lab, theme: str = "light", shape: str = "wide") -> Any:
    """The map as a matplotlib figure, or as a `pen.Drawing`. theme: "light" or "dark"; shape: "wide" or "tall"."""
    with lab.lock:
        drawn = scene(lab.machine, lab.title, assumed=lab.assumed)
        past = list(fold(drawn, lab.last, lab.machine.clock))
    return figures.still(drawn, past[-1] if past else None, past, theme, shape)


def still(lab: Lab) -> tuple[str, str]:
    """The map with the way of the last interrupt, for a cell: the type of the data, and the data as text."""
    return pages.shown(figure(lab), 1.0)


def animate(lab: Lab, path: str | os.PathLike[str], last: int, **options: Any) -> Path:
    """Write a film of the last interrupts, with a bar that shows how far it is; see `Lab.animate`. ValueError where
    matplotlib or numpy is not installed.
    """
    if not pages.inked():
        raise ValueError("a film is drawn with matplotlib and numpy, which are not installed here")
    from widgets.stills import film_file
    from widgets.stills.film import Film

    film_file.kind(path)
    with lab.lock:
        drawn = scene(lab.machine, lab.title, assumed=lab.assumed)
        past, before = recorded(lab, drawn, last)
    made = Film(drawn, past, before=before, **options)
    with progress.bar("film", made.count) as told:
        film_file.write(made, path, told)
    return Path(path)


def recorded(lab: Lab, drawn: Scene, last: int) -> tuple[list[Token], int]:
    """The tokens of the last interrupts before the cursor, `last` at most, and how many interrupts came before them.

    ValueError when `last` is out of bounds.
    """
    if type(last) is not int or not 1 <= last <= figures.MOST_TOKENS:
        raise ValueError(f"last is {last!r}; the limit is 1 to {figures.MOST_TOKENS} interrupts")
    history, found, stop = lab.history, list[Token](), lab.position
    while stop and len(found) < last:
        start = max(0, stop - CHUNK)
        found[:0] = fold(drawn, history.events(start, stop))
        stop = start
    if not found:
        raise ValueError("no interrupt has been sent: fire a device first")
    return found[-last:], max(0, history.machine.serials - last)
