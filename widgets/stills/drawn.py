"""The page that stills are drawn on, and what becomes of one: matplotlib's where it is installed, else our own SVG."""

from __future__ import annotations

from base64 import b64encode
from importlib.util import find_spec
from typing import Any

from widgets.stills import pen


def inked() -> bool:
    """Whether matplotlib is there, and what it needs. Where it is not, it is never imported, not even to fail."""
    return find_spec("matplotlib") is not None and find_spec("numpy") is not None


def page(width: float, theme: str) -> Any:
    """A new page, `ink.Page` or `pen.Page`. ValueError for an unknown theme."""
    if not inked():
        return pen.Page(width, theme)
    from widgets.stills import ink

    return ink.Page(width, theme)


def size(picture: Any) -> tuple[int, int]:
    """Width and height of a figure or a drawing in CSS pixels."""
    if isinstance(picture, pen.Drawing):
        return int(picture.width), int(picture.height)
    width, height = (int(side * picture.dpi) for side in picture.get_size_inches())
    return width, height


def data(picture: Any, kind: str, scale: float = 1.0) -> bytes:
    """A picture as the bytes of a "png", "svg" or "pdf" file, the same whenever it is drawn.

    scale: pixels of a PNG for each CSS pixel. ValueError for another kind, and for one that only matplotlib makes.
    """
    if isinstance(picture, pen.Drawing):
        if kind != "svg":
            raise ValueError(f"kind is {kind!r}; without matplotlib a picture is svg alone")
        return picture.svg.encode()
    from widgets.stills import ink

    return ink.data(picture, kind, scale)


def shown(picture: Any, scale: float = 2.0) -> tuple[str, str]:
    """A picture as a cell shows it: the type of the data, and the data: a PNG in base 64, or an SVG's text."""
    if isinstance(picture, pen.Drawing):
        return "image/svg+xml", picture.svg
    return "image/png", b64encode(data(picture, "png", scale)).decode()
