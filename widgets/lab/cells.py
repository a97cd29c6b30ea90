"""A view in a notebook's cell: the order in which views go, what the notebook stores of one, and that it hears all.

A cell that runs again closes what it showed before. Without that every run of a cell leaves the models of its old view
in the page and in the kernel. A view belongs to the cell that made it; hosts that do not name their cells keep the last
few views.
"""

from __future__ import annotations

import sys
import weakref
from collections import deque
from importlib.util import find_spec
from typing import Any

from widgets.lab import views

MOST_WAITING = 100_000
"""Messages to pages that may wait in a kernel. ZeroMQ drops what is beyond 1,000 (ZMQ_SNDHWM), and a bench that is
opened in the place of another says about as many."""
UNNAMED_KEPT = 48
"""Views that are kept open where the host does not name its cells, as Voila: more than a notebook has."""

_made: dict[str, tuple[str, list[weakref.ref[Any]]]] = {}  # by cell: the run that made them, and the views
_unnamed: deque[weakref.ref[Any]] = deque()


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


def lose_nothing() -> None:
    """Let `MOST_WAITING` messages wait for a slow server, in a kernel of ipykernel, whose thread owns the socket."""
    if not in_notebook():
        return
    from IPython import get_ipython

    thread = getattr(getattr(get_ipython().kernel, "iopub_socket", None), "io_thread", None)
    if hasattr(getattr(thread, "socket", None), "sndhwm"):
        thread.schedule(lambda: setattr(thread.socket, "sndhwm", MOST_WAITING))


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


def bundle(own: Any, lab: object) -> dict[str, Any]:
    """What a notebook stores of a view: its model for a live page, words and a still for everybody else.

    own: what the widget's own class gives: data, perhaps with metadata beside it, or None when it is closed.
    """
    data: dict[str, Any] = dict((own[0] if isinstance(own, tuple) else own) or {})
    data["text/plain"] = repr(lab)
    if views.there("still"):
        kind, still = views.find("still")(lab)
        data[kind] = still
    return data
