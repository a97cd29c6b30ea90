"""A view beside the notebook, in JupyterLab's side area, where the package `sidecar` is installed (extra `dock`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import ipywidgets as W

from widgets.lab import cells, views
from widgets.lab.panel import line, sheet

MISSING = "The package sidecar is not installed (python -m pip install sidecar): the view is here instead."


def dock(lab: Any, name: str = "map") -> W.Widget:
    """A new view of a Lab in the side area; without `sidecar` the view itself, below a line that says so.

    name: of a view, as for `Lab.view`. ValueError for a name that is none.
    """
    view = views.build(lab, name)
    made = _aside(view, f"{lab.title}: {name}") if find_spec("sidecar") else W.VBox(
        [sheet(), W.HTML(line(MISSING, "muted")), view])
    made.add_class("vsim")
    cells.remember(view, *cells.running_cell())
    cells.remember(made, *cells.running_cell())
    return made


def _aside(view: W.Widget, title: str) -> W.Widget:
    """A side panel with a view in it, which opens as soon as the page hears of it."""
    made: W.Widget = import_module("sidecar").Sidecar(title=title, anchor="right")
    made.append_display_data(view)
    return made
