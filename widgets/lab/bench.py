"""The whole bench: what one does and what it does, at one glance; parts that are not installed are left out.

Where there is room, map, time and reasons are on the left and the tabs on the right; elsewhere the map stays in sight
while the rest scrolls below it. Both are the style sheet's affair: it asks for the bench's own width. A tab's panel is
made when the tab is first opened and drawn only while it is in front, so the bench is there at once.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from widgets.lab import cells, panel, views
from widgets.lab.lab import Lab

ABOVE, LEFT = ("controls",), ("map", "time", "why")
TABS = {"domctl": "domctl", "irt": "IRT", "registers": "registers", "vlapics": "vLAPIC", "guest": "guest",
        "events": "events", "others": "other", "beside": "QEMU"}
"""Views above everything, those on the left, and the tabs with their titles."""
TOLD = "events"
"""The tab in front where a recorded run is looked at; elsewhere the first is."""

CSS = """
.vsim-bench{container:vsim-bench/inline-size;background:var(--vsim-background);color:var(--vsim-text)}
.vsim-frame{--vsim-map-height:min(44vh,340px);display:flex;flex-direction:column;height:min(88vh,760px);
 overflow:hidden}
.vsim-frame>*{flex:none;min-width:0}
.vsim-glance{display:block;flex:1 1 0!important;min-height:0;overflow:auto;position:relative}
.vsim-glance>.vsim-left{display:contents}
.vsim-left>*{min-width:0}
.vsim-left>.vsim-panel{padding-bottom:2px}
.vsim-pinned{position:sticky;top:0;z-index:2}
.vsim-pinned .vsim-map{height:var(--vsim-map-height);overflow:auto}
.vsim-tabs.jupyter-widgets{border-top:1px solid var(--vsim-slot)}
.vsim-tabs>.widget-tab-contents.widget-tab-contents{padding:3px 2px 0;background:none;border:0}
.vsim-tabs.jupyter-widgets{isolation:isolate}
.vsim-tabs>.lm-TabBar{flex:none!important;height:auto!important;min-height:0!important;overflow:hidden}
.vsim-tabs>.lm-TabBar .lm-TabBar-content{flex-wrap:wrap}
.vsim-tabs .lm-TabBar-tab{flex:0 0 auto!important;min-width:0!important;padding:0 9px!important}
.vsim-bench .vsim-map .vsim-bar>:is(.vsim-play,[aria-label^="Step"],[aria-label^="Speed"]),
.vsim-bench .vsim-clock{display:none}
@container vsim-bench (max-width:520px){.vsim-frame{--vsim-map-height:min(52vh,410px)}}
@container vsim-bench (min-width:1000px){
 .vsim-frame{--vsim-map-height:clamp(392px,24cqw,470px);height:clamp(756px,45cqw,900px)}
 .vsim-glance{display:grid;grid-template-columns:minmax(0,58fr) minmax(0,42fr);overflow:hidden}
 .vsim-glance>.vsim-left{display:flex;min-height:0;overflow:hidden}
 .vsim-left>*{flex:none}
 .vsim-left>:last-child{flex:1 1 0;min-height:0;overflow:auto}
 .vsim-tabs.jupyter-widgets{min-height:0;overflow:hidden;border:0;border-left:1px solid var(--vsim-slot)}
 .vsim-tabs>.widget-tab-contents{min-height:0;overflow:auto}
 .vsim-tabs :is(.vsim-events,:has(>.vsim-events)){height:100%}
 .vsim-tabs .vsim-events>:has(>.vsim-rows){flex:1 1 0;min-height:0}
 .vsim-tabs .vsim-rows{max-height:100%}
}
"""


class Bench(W.VBox):
    """One view of a Lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._open: dict[int, Any] = {}
        self._names = [name for name in TABS if views.there(name)]
        self._above = {name: views.build(lab, name) for name in (*ABOVE, *LEFT) if views.there(name)}
        if "map" in self._above:
            self._above["map"].add_class("vsim-pinned")
        self.tabs = W.Tab([W.VBox() for _ in self._names], titles=[TABS[name] for name in self._names])
        if lab.phases and TOLD in self._names:
            self.tabs.selected_index = self._names.index(TOLD)
        self.tabs.add_class("vsim-tabs")
        left = _box("vsim-left", [self._above[name] for name in LEFT if name in self._above])
        frame = _box("vsim-frame", [*(self._above[name] for name in ABOVE if name in self._above),
                                    _box("vsim-glance", [left, self.tabs])])
        super().__init__([panel.sheet(CSS), frame])
        self.add_class("vsim")
        self.add_class("vsim-bench")
        self.tabs.observe(lambda _: self._front(), "selected_index")
        if {"map", "time"} <= self._above.keys():
            self._above["time"].drive(self._above["map"])
        self._front()

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


def _box(name: str, children: list[Any]) -> W.Box:
    """A column with a class."""
    made = W.VBox(children)
    made.add_class(name)
    return made
