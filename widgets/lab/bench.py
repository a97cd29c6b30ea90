"""The whole bench: controls, map, timeline, and a tab for each panel; parts that are not installed are left out.

A tab's panel is made when the tab is first opened and drawn only while it is in front, so the bench is there at once.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from widgets.lab import cells, panel, views
from widgets.lab.lab import Lab

ABOVE = ("controls", "map", "timeline")
TABS = {"domctl": "domctl", "irt": "IRT", "registers": "registers", "vlapics": "vLAPIC", "guest": "guest"}
"""Views above the tabs, and the tabs with their titles."""


class Bench(W.VBox):
    """One view of a Lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._open: dict[int, Any] = {}
        self._names = [name for name in TABS if views.there(name)]
        self._above = {name: views.build(lab, name) for name in ABOVE if views.there(name)}
        self.tabs = W.Tab([W.VBox() for _ in self._names], titles=[TABS[name] for name in self._names])
        super().__init__([panel.sheet(), *self._above.values(), self.tabs])
        self.add_class("vsim")
        self.tabs.observe(lambda _: self._front(), "selected_index")
        if {"map", "timeline"} <= self._above.keys():
            self._above["map"].on_step(self._step)
        self._front()

    def _step(self, by: int) -> None:
        """The map's step buttons are the timeline's."""
        time = self._above["timeline"]
        time.guarded(lambda: time.step(by))

    def _front(self) -> None:
        """Make the panel of the tab in front if need be, and let the others rest."""
        chosen = self.tabs.selected_index
        with self.lab.lock:
            if chosen is not None and chosen not in self._open:
                made = self._open[chosen] = views.build(self.lab, self._names[chosen])
                self.tabs.children[chosen].children = (made,)
            for place, each in self._open.items():
                each.shown = place == chosen

    def tab(self, name: str) -> Any:
        """Bring a tab to the front; its panel. ValueError when there is none of that name."""
        if name not in self._names:
            raise ValueError(f"no tab {name!r}; tabs are {', '.join(self._names)}")
        self.tabs.selected_index = self._names.index(name)
        return self._open[self._names.index(name)]

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """With a still for readers without a kernel."""
        return cells.bundle(super()._repr_mimebundle_(**options), self.lab)

    def close(self) -> None:
        """Close every view in it."""
        panel.close_all(self)
