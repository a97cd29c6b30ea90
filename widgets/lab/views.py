"""The views of a `Lab` by name, and the order in which they go: a cell that runs again closes what it showed before.

Without that every run of a cell leaves the models of its old view in the page and in the kernel. A view belongs to
the cell that made it; hosts that do not name their cells keep the last few views.
"""

from __future__ import annotations

import base64
import os
import sys
import threading
import weakref
from collections import deque
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

    from widgets.lab.lab import Lab
    from widgets.map.tokens import Token

PARTS: dict[str, tuple[str, str]] = {
    "bench": ("widgets.lab.bench", "Bench"),
    "controls": ("widgets.lab.controls", "Controls"),
    "map": ("widgets.map.live", "Map"),
    "timeline": ("widgets.time.timeline", "Timeline"),
    "domctl": ("widgets.editors.domctl", "DomctlPanel"),
    "irt": ("widgets.editors.irt", "IrtPanel"),
    "registers": ("widgets.editors.registers", "RegistersPanel"),
    "vlapics": ("widgets.editors.vlapics", "VlapicsPanel"),
    "guest": ("widgets.editors.guests", "GuestPanel"),
}
"""Module and class of every view; a class is called with the Lab."""
UNNAMED_KEPT = 48
"""Views that are kept open where the host does not name its cells, as Voila: more than a notebook has."""
CHUNK = 256
"""Commands whose events are looked through at a time."""

_made: dict[str, tuple[str, list[weakref.ref[Any]]]] = {}  # by cell: the run that made them, and the views
_unnamed: deque[weakref.ref[Any]] = deque()
_prepared = False


def prepare() -> None:
    """In a notebook's kernel, import what a first view needs while its reader writes the next line."""
    global _prepared
    if not _prepared and "ipykernel" in sys.modules:
        _prepared = True
        threading.Thread(target=_import_all, name="vsim views", daemon=False).start()


def _import_all() -> None:
    for module in ("widgets.stills.figures", *(module for module, _ in PARTS.values())):
        if find_spec(module):
            import_module(module)


def there(name: str) -> bool:
    """Whether a view's module is installed."""
    return find_spec(PARTS[name][0]) is not None


def build(lab: Lab, name: str) -> ipywidgets.Widget:
    """A new view that its maker closes. ValueError for a name that is none."""
    if name not in PARTS:
        raise ValueError(f"no view {name!r}; views are {', '.join(PARTS)}")
    module, kind = PARTS[name]
    view: ipywidgets.Widget = getattr(import_module(module), kind)(lab)
    return view


def make(lab: Lab, name: str) -> ipywidgets.Widget:
    """A new view for the cell that is running. ValueError for a name that is none."""
    view = build(lab, name)
    remember(view, *running_cell())
    return view


def running_cell() -> tuple[str, str]:
    """The cell that is running and the run, as the host names them; "" where it does not."""
    if find_spec("IPython") is None:
        return "", ""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent() if kernel is not None else {}
    return str(parent.get("metadata", {}).get("cellId", "")), str(parent.get("header", {}).get("msg_id", ""))


def in_notebook() -> bool:
    """Whether a kernel runs this, which can show widgets."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def remember(view: Any, cell: str, run: str) -> None:
    """Note that a cell's run made a view, and close those that its earlier runs made."""
    if not cell:
        _unnamed.append(weakref.ref(view))
        while len(_unnamed) > UNNAMED_KEPT:
            _close(_unnamed.popleft())
        return
    before, made = _made.get(cell, ("", []))
    if before != run:
        for old in made:
            _close(old)
        made = []
    _made[cell] = run, [*made, weakref.ref(view)]


def _close(kept: weakref.ref[Any]) -> None:
    view = kept()
    if view is not None:
        view.close()


def bundle(own: Any, lab: Lab) -> dict[str, Any]:
    """What a notebook stores of a view: its model for a live page, words and a still for everybody else.

    own: what the widget's own class gives: data, perhaps with metadata beside it, or None when it is closed.
    """
    data: dict[str, Any] = dict((own[0] if isinstance(own, tuple) else own) or {})
    data["text/plain"] = repr(lab)
    picture = still(lab)
    if picture:
        data["image/png"] = base64.b64encode(picture).decode()
    return data


def still(lab: Lab) -> bytes:
    """The map as a PNG, with the way of the last interrupt; b"" where there is no module that draws it."""
    if find_spec("widgets.stills.figures") is None:
        return b""
    from widgets.stills import figures

    return figures.to_png(figure(lab), 1.0)


def figure(lab: Lab, theme: str = "light", shape: str = "wide") -> Figure:
    """The map as a matplotlib figure. theme: "light" or "dark"; shape: "wide" or "tall"."""
    from widgets.map import scene, tokens
    from widgets.stills import figures

    with lab.lock:
        drawn = scene.scene(lab.machine, lab.title)
        past = list(tokens.fold(drawn, lab.last, lab.machine.clock))
    return figures.still(drawn, past[-1] if past else None, past, theme, shape)


def animate(lab: Lab, path: str | os.PathLike[str], last: int, **options: Any) -> Path:
    """Write a film of the last interrupts, with a bar that shows how far it is; see `Lab.animate`."""
    from widgets.lab import progress
    from widgets.map import scene
    from widgets.stills import film, film_file

    film_file.kind(path)
    with lab.lock:
        drawn = scene.scene(lab.machine, lab.title)
        past, before = recorded(lab, drawn, last)
    made = film.Film(drawn, past, before=before, **options)
    with progress.bar("film", made.count) as told:
        film_file.write(made, path, told)
    return Path(path)


def recorded(lab: Lab, drawn: dict[str, Any], last: int) -> tuple[list[Token], int]:
    """The tokens of the last interrupts before the cursor, `last` at most, and how many interrupts came before them.

    ValueError when `last` is out of bounds.
    """
    from widgets.map import tokens
    from widgets.stills import film

    if type(last) is not int or not 1 <= last <= film.MOST_TOKENS:
        raise ValueError(f"last is {last!r}; the limit is 1 to {film.MOST_TOKENS} interrupts")
    history, found, stop = lab.history, list[tokens.Token](), lab.position
    while stop and len(found) < last:
        start = max(0, stop - CHUNK)
        found[:0] = tokens.fold(drawn, history.events(start, stop))
        stop = start
    if not found:
        raise ValueError("no interrupt has been sent: fire a device first")
    return found[-last:], max(0, history.machine.serials - last)
