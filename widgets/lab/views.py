"""What a `Lab` shows of itself, by name: its views, and the pictures that need no page.

A Lab knows no view. Each is a row, a name and the module and the attribute behind it, which is imported when somebody
asks for the name; so `lab.map` works and nothing that draws is loaded before. Others may `add` a view of theirs.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

VIEWS: dict[str, str] = {
    "bench": "widgets.lab.bench:Bench",
    "controls": "widgets.lab.controls:Controls",
    "map": "widgets.map.live:Map",
    "timeline": "widgets.time.timeline:Timeline",
    "time": "widgets.time.travel:Travel",
    "why": "widgets.time.why:Why",
    "events": "widgets.time.events:Events",
    "domctl": "widgets.editors.domctl:DomctlPanel",
    "irt": "widgets.editors.irt:IrtPanel",
    "registers": "widgets.editors.registers:RegistersPanel",
    "vlapics": "widgets.editors.vlapics:VlapicsPanel",
    "guest": "widgets.editors.guests:GuestPanel",
    "others": "widgets.editors.others:OthersPanel",
    "beside": "widgets.lab.beside:BesidePanel",
    "paste": "widgets.lab.inspector:Inspector",
}
"""Views, which are widgets: "module:class" by name; a class is called with the Lab."""
PICTURES: dict[str, str] = {
    "figure": "widgets.stills.shots:figure",
    "still": "widgets.stills.shots:still",
    "animate": "widgets.stills.shots:animate",
    "dock": "widgets.lab.dock:dock",
    "report": "widgets.report.dumped:report",
}
"""Pictures and other functions: "module:function" by name, called with the Lab and with what it takes itself."""
PLACE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
"""How a row says where a view is."""

_prepared = False


def add(name: str, place: str) -> None:
    """One more view. place: "module:class", imported when the view is first asked for.

    ValueError for a name that is no public identifier or is taken, and for a place of another form. A name that `Lab`
    has for something else is served by `Lab.view` alone.
    """
    if not name.isidentifier() or name.startswith("_"):
        raise ValueError(f"name is {name!r}; it has to be an identifier that begins with no underscore")
    if name in VIEWS or name in PICTURES:
        raise ValueError(f"name is {name!r}, which stands for {':'.join(_place(name))}")
    if not PLACE.fullmatch(place):
        raise ValueError(f"place is {place!r}; it has to be module:class")
    VIEWS[name] = place


def there(name: str) -> bool:
    """Whether the module of a view or a picture is installed."""
    try:
        return find_spec(_place(name)[0]) is not None
    except ModuleNotFoundError:  # not even its package is
        return False


def find(name: str) -> Callable[..., Any]:
    """The class of a view, or the function of a picture. ValueError for a name that is none."""
    module, attribute = _place(name)
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found


def build(lab: object, name: str) -> Any:
    """A new view, which its maker closes. ValueError for a name that is none."""
    if not isinstance(name, str) or name not in VIEWS:
        raise ValueError(f"no view {name!r:.40}; views are {', '.join(VIEWS)}")
    return find(name)(lab)


def _place(name: str) -> tuple[str, str]:
    rows = {**PICTURES, **VIEWS}
    if not isinstance(name, str) or name not in rows:
        raise ValueError(f"no view {name!r:.40}; views are {', '.join(VIEWS)}")
    module, _, attribute = rows[name].partition(":")
    return module, attribute


def prepare() -> None:
    """In a notebook's kernel, import what a first view needs while its reader writes the next line."""
    global _prepared
    if not _prepared and "ipykernel" in sys.modules:
        _prepared = True
        threading.Thread(target=_import_all, name="vsim views", daemon=False).start()


def _import_all() -> None:
    for name in ("still", *VIEWS):
        if there(name):
            import_module(_place(name)[0])
