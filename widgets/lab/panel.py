"""What every panel has: it follows a `Lab`, it tells its own errors, and it goes when its cell runs again.

A callback of a widget is nobody's to catch: what it raises ends in a log that no reader sees. `Panel.guarded` takes
the lab's lock, runs the callback, and writes what went wrong into the panel's own line, as text.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable, Container, Sequence
from html import escape
from typing import Any

import ipywidgets as W

from vsim.machine import Machine
from vsim.state.trace import Event
from widgets import theme
from widgets.lab.lab import Lab

PAUSE = 0.2
"""Seconds between two drawings of one panel while changes keep coming; the last state is always drawn."""
FIRST = 0.02
"""Seconds before a drawing: what was sent before, the picture of what happened, leaves the kernel first."""
IDLE = 25
"""Times that a drawing's own length passes before the next: a panel takes a twenty-fifth of a processor at most, and
a hundredth while a storm goes on."""

CSS = """
.vsim-panel{container-type:inline-size;color:var(--vsim-text);font-size:var(--vsim-font);padding:2px 6px 8px;
 overflow:clip}
.vsim-panel>.vsim-message:last-child{position:sticky;bottom:0;z-index:2;background:var(--vsim-background)}
.vsim-scroll{overflow:auto;max-height:var(--vsim-high)}
.vsim-scroll thead th{position:sticky;top:0;background:var(--vsim-background)}
.vsim-marked td{color:var(--vsim-compatibility);font-weight:600}
.vsim-panel .widget-html-content,.vsim-panel .jupyter-widgets{line-height:1.45}
.vsim-panel h3{margin:6px 0 2px;font-size:var(--vsim-font);font-weight:600}
.vsim-panel p{margin:2px 0}
.vsim-panel code,.vsim-panel pre,.vsim-mono input,.vsim-mono textarea,.vsim-mono select{
 font-family:var(--jp-code-font-family,ui-monospace,monospace)!important;font-size:12px}
.vsim-mono textarea{white-space:pre!important;overflow-x:auto}
.vsim-panel code{background:none;color:inherit;padding:0}
.vsim-panel pre{margin:2px 0;padding:6px 8px;background:var(--vsim-panel);color:var(--vsim-text);
 border-radius:var(--vsim-radius);overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal}
.vsim-panel table{border-collapse:collapse;margin:2px 0;font-size:12px;color:var(--vsim-text)}
.vsim-panel :is(td,th){padding:2px 12px 2px 0;text-align:left;vertical-align:top;white-space:normal}
.vsim-panel th{color:var(--vsim-muted);font-weight:400;white-space:nowrap;overflow-wrap:normal!important}
.vsim-panel tr{background:none!important;border-bottom:1px solid var(--vsim-slot)}
@container (max-width:640px){.vsim-panel :is(td,th){overflow-wrap:break-word;padding-right:8px}}
.vsim-muted{color:var(--vsim-muted)}
.vsim-bad{color:var(--vsim-blocked);font-weight:600}
.vsim-good{color:var(--vsim-posted);font-weight:600}
.vsim-warn{color:var(--vsim-compatibility);font-weight:600}
.vsim-wrong :is(input,textarea){outline:2px solid var(--vsim-blocked)!important}
.vsim-message:not(:has(.widget-html-content>*)){display:none}
.vsim-flow{display:flex;flex-flow:row wrap;gap:2px 10px;align-items:center}
.vsim-panel button.jupyter-button{width:auto;padding:0 12px}
.vsim-panel :is(button,input,select,textarea,summary,[tabindex]):focus-visible{
 outline:2px solid var(--vsim-remapped)!important;outline-offset:1px}
.vsim-panel summary{cursor:pointer;color:var(--vsim-muted)}
.vsim-panel.jupyter-widgets-disconnected::before{content:"The kernel is no longer there: run this cell again.";
 font:600 13px sans-serif;color:var(--vsim-blocked);padding:4px 0}
.vsim-panel.jupyter-widgets-disconnected>*{pointer-events:none;opacity:.6}
.vsim-panel .jupyter-widgets-disconnected::before{content:none}
"""
MOST_SAVED = 8 << 20
"""Bytes of a file that a link in the page holds."""
MARKED = ' class="vsim-marked"'


def sheet(*more: str) -> W.HTML:
    """The style sheet of a panel, as the widget that carries it to the page."""
    return W.HTML(f"<style>{theme.css()}{CSS}{''.join(more)}</style>", layout=W.Layout(display="none"))


def line(text: str, kind: str = "") -> str:
    """One sentence as HTML; kind: "bad", "good", "warn", "muted" or none. The text is escaped."""
    return f'<p class="{f"vsim-{kind}" if kind else ""}">{escape(text)}</p>'


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], caption: str, marked: Container[int] = ()) -> str:
    """A table as HTML; every cell is text. caption: for screen readers. marked: numbers of rows to stress, from 0."""
    top = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    body = "".join(f"<tr{MARKED if number in marked else ''}>"
                   + "".join(f"<td>{escape(each)}</td>" for each in row) + "</tr>" for number, row in enumerate(rows))
    return f'<table aria-label="{escape(caption)}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def saving(name: str, data: bytes, kind: str) -> str:
    """A link that saves a file from the page, as HTML. kind: its type. ValueError for more than `MOST_SAVED` bytes."""
    if len(data) > MOST_SAVED:
        raise ValueError(f"{name} has {len(data)} bytes; the limit is {MOST_SAVED} for a link in the page")
    body = b64encode(data).decode()
    return (f'<p><a download="{escape(name, quote=True)}" href="data:{kind};base64,{body}">save {escape(name)}</a> '
            f'<span class="vsim-muted">{len(data):,} bytes</span></p>')


def scrolling(html: str, name: str, high: int) -> str:
    """HTML in a box of at most `high` px that scrolls by itself, also by keyboard; name: for screen readers."""
    label = escape(name, quote=True)
    return (f'<div class="vsim-scroll" tabindex="0" role="region" aria-label="{label}" style="--vsim-high:{high}px">'
            f'{html}</div>')


def flow(*children: W.Widget) -> W.Box:
    """Controls side by side, in as many lines as the width asks for."""
    box = W.Box(children)
    box.add_class("vsim-flow")
    return box


class Panel(W.VBox):
    """A part of the bench. A subclass builds its controls in `build` and draws the machine in `draw`.

    `lab` is what it follows; `title` names it on a tab. Nothing is drawn while `shown` is False.
    slow: seconds between two drawings while a storm goes on; every message to the page costs some 700 bytes.
    """

    title = ""
    css = ""
    slow = 0.5

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.status = W.HTML()
        self.status.add_class("vsim-message")
        self._shown, self._stale, self._due = True, False, 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._events: list[Event] = []
        self._followed: list[tuple[Callable[[Any], None], str]] = []
        super().__init__()
        self.add_class("vsim")
        self.add_class("vsim-panel")
        with lab.lock:
            self.children = (sheet(self.css), *self.build(), self.status)
            self.draw(lab.machine, [])
            lab.observe(self._changed)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Its model, and for readers without a kernel a word on what it was."""
        data: dict[str, Any] = super()._repr_mimebundle_(**options)
        return {**data, "text/plain": f"{self.title} of {self.lab!r}"}

    # --- for subclasses ---------------------------------------------------------------------------------------

    def build(self) -> tuple[W.Widget, ...]:
        """The controls, made once."""
        return ()

    def draw(self, m: Machine, events: list[Event]) -> None:
        """Show the machine as it is; events: those of the last change."""

    def button(self, text: str, action: Callable[[], None], tip: str, style: str = "") -> W.Button:
        """A button whose action is guarded. style: "primary", "danger" or none."""
        made = W.Button(description=text, tooltip=tip, button_style=style, layout=W.Layout(width="auto"))
        made.on_click(lambda _: self.guarded(action))
        return made

    def watch(self, control: Any, action: Callable[[], None], name: str = "value") -> None:
        """Call a guarded action when a trait of a control changes."""
        control.observe(lambda _: self.guarded(action), name)

    def follow(self, trait: str, action: Callable[[], None]) -> None:
        """Call a guarded action when the shared selection changes, as long as the panel is open."""
        def heard(_: Any) -> None:
            self.guarded(action)
        self.lab.selection.observe(heard, trait)
        self._followed.append((heard, trait))

    def guarded(self, action: Callable[[], None]) -> bool:
        """Do it under the lab's lock; an error becomes a sentence in the panel. Whether it went well."""
        with self.lab.lock:
            try:
                self.say("")
                action()
            except ValueError as error:
                self.say(str(error), "bad")
            except Exception as error:
                self.say(f"{type(error).__name__}: {error}", "bad")
            else:
                return True
            return False

    def assumed(self, *elements: int) -> str:
        """What no dump says of some elements of the machine (nodes of the events), as HTML; "" where all is known."""
        return "".join(line(words, "muted") for each in elements if (words := self.lab.assumed.words(each)))

    def say(self, text: str, kind: str = "") -> None:
        """One sentence in the panel's own line; "" empties it."""
        self.status.value = f'<div role="status">{line(text[:2000], kind)}</div>' if text else ""

    # --- following the lab ------------------------------------------------------------------------------------

    @property
    def shown(self) -> bool:
        """Whether the panel is drawn; a hidden tab is not."""
        return self._shown

    @shown.setter
    def shown(self, on: bool) -> None:
        self._shown = on
        if on and self._stale:
            self._draw_now()

    def _changed(self, kind: str, events: list[Event], machine: Machine) -> None:
        """Draw a little later, where an event loop runs: never more often than `PAUSE` and `IDLE` allow."""
        self._events = events
        if not self._shown:
            self._stale = True
        elif (loop := _loop()) is None:
            self._draw_now()
        elif self._timer is None:
            self._timer = loop.call_later(max(FIRST, self._due - time.monotonic()), self._draw_now)

    def _draw_now(self) -> None:
        with self.lab.lock:
            self._timer, self._stale = None, False
            began = time.monotonic()
            try:
                self.draw(self.lab.machine, self._events)
            except Exception as error:
                self.say(f"{type(error).__name__} while drawing: {error}", "bad")
            ended = time.monotonic()
            pause, idle = (self.slow, 4 * IDLE) if self.lab.storms else (PAUSE, IDLE)
            self._due = ended + max(pause, idle * (ended - began))

    def close(self) -> None:
        """Leave the lab, and take every control along: a closed view holds nothing in the page."""
        self.lab.unobserve(self._changed)
        for heard, trait in self._followed:
            self.lab.selection.unobserve(heard, trait)
        self._followed = []
        if self._timer is not None:
            self._timer.cancel()
        close_all(self)


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def close_all(widget: W.Widget) -> None:
    """Close a widget with its children, layouts and styles."""
    for child in getattr(widget, "children", ()):
        if type(child).close is not W.Widget.close:
            child.close()
        close_all(child)
    for part in ("layout", "style"):
        if isinstance(getattr(widget, part, None), W.Widget):
            getattr(widget, part).close()
    W.Widget.close(widget)
