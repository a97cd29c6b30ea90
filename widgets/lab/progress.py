"""A bar that shows how far long work is: a widget in a notebook, a line in a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ipywidgets as W

from widgets.lab import cells
from widgets.lab.panel import close_all

WIDTH = 30
"""Characters of the bar in a terminal."""


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show it while the block runs. Yields what is to be called with how much is done, out of `total`."""
    if cells.in_notebook():
        with _widget(what, total) as show:
            yield show
    elif sys.stderr.isatty():
        yield lambda done: print(_line(what, done, total), end="\n" if done == total else "", file=sys.stderr,
                                 flush=True)
    else:
        yield lambda done: None


@contextmanager
def _widget(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from IPython.display import display

    shown = W.IntProgress(max=total, description=what, style={"description_width": "auto"})
    display(shown)
    try:
        yield lambda done: setattr(shown, "value", done)
    finally:
        close_all(shown)


def _line(what: str, done: int, total: int) -> str:
    filled = WIDTH * done // total
    return f"\r{what} [{'#' * filled}{'.' * (WIDTH - filled)}] {done} of {total}"
