"""Time in one view: the bar, why an interrupt went as it did, and the table of what happened."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from widgets.lab import panel
from widgets.lab.lab import Lab
from widgets.time.events import Events
from widgets.time.travel import Travel
from widgets.time.why import Why

CSS = """
.vsim-timeline{container-type:inline-size}
.vsim-when{display:flex;flex-flow:row wrap;gap:4px 16px;align-items:flex-start}
.vsim-when>:first-child{flex:3 1 420px;min-width:0;max-width:100%}
.vsim-when>:last-child{flex:2 1 340px;min-width:0;max-width:100%;max-height:380px;overflow:auto}
"""


class Timeline(W.VBox):
    """The cursor of a Lab, and what lies around it. bar, why and events are its parts."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.bar, self.events, self.why = Travel(lab), Events(lab), Why(lab)
        both = W.Box([self.events, self.why])
        both.add_class("vsim-when")
        super().__init__([panel.sheet(CSS), self.bar, both])
        self.add_class("vsim")
        self.add_class("vsim-timeline")

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Its model, and for readers without a kernel a word on what it was."""
        data: dict[str, Any] = super()._repr_mimebundle_(**options)
        return {**data, "text/plain": f"time of {self.lab!r}"}

    def close(self) -> None:
        """Close every part of it."""
        panel.close_all(self)
