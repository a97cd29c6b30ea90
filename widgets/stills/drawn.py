"""The page that stills are drawn on, and what becomes of one: matplotlib's where it is installed, else our own SVG."""

from __future__ import annotations

import re
from base64 import b64encode
from html import escape
from importlib.util import find_spec
from itertools import count
from typing import Any

from widgets import theme
from widgets.stills import pen

_IDS = re.compile(r'(\bid="|href="#|url\(#)')
_number = count(1)


def inked() -> bool:
    """Whether matplotlib is there, and what it needs. Where it is not, it is never imported, not even to fail."""
    return find_spec("matplotlib") is not None and find_spec("numpy") is not None


def page(width: float, name: str) -> Any:
    """A new page, `ink.Page` or `pen.Page`. name: of its theme. ValueError for an unknown one."""
    if not inked():
        return pen.Page(width, name)
    from widgets.stills import ink

    return ink.Page(width, name)


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


def inline(svg: bytes, prefix: str, label: str) -> str:
    """A drawing as an element of a page: without the prolog, its ids its own, and with a name."""
    drawing = svg.decode("utf-8")
    drawing = drawing[drawing.index("<svg"):]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = _IDS.sub(rf"\g<1>{prefix}-", drawing)
    drawing = re.sub(r' (?:width|height)="[\d.]+pt"', "", drawing, count=2)
    return drawing.replace("<svg", f'<svg role="img" aria-label="{escape(label, quote=True)}"', 1).strip()


def following(picture: Any, label: str) -> str:
    """A picture of the light theme as HTML that takes the colours of the page that shows it: see `theme.css`."""
    names: dict[str, str] = {}
    for name, value in reversed(theme.palette("light")._asdict().items()):
        names |= {value: name} if name != "heat" else {each: f"heat-{step}" for step, each in enumerate(value)}
    drawing = inline(data(picture, "svg"), f"vsim-still-{next(_number)}", label)
    drawing = re.sub("#[0-9a-f]{6}", lambda found: f"var(--vsim-{names[found[0]]})" if found[0] in names else found[0],
                     drawing)
    kind = 'class="vsim mathjax_ignore tex2jax_ignore"'
    return f'<style>{theme.css()}</style><div {kind} style="width:{size(picture)[0]}px;max-width:100%">{drawing}</div>'
