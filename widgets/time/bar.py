"""The bar in the page: gestures as blocks, a head that is dragged, lanes; `bar.js` draws it, every name as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets as t

from widgets.lab.gestures import Phase
from widgets.time.ticks import Lane, Tick

CSS = """
.vsim-time{display:flex;gap:2px;align-items:flex-start;margin:2px 0}
.vsim-side{flex:none;display:flex;flex-direction:column}
.vsim-names{font-size:11px;line-height:15px;color:var(--vsim-muted);text-align:right;white-space:nowrap}
.vsim-names div{height:16px;padding-right:3px}
.vsim-track{flex:1 1 0;min-width:0;overflow:auto hidden;border:1px solid var(--vsim-slot);
 border-radius:var(--vsim-radius)}
.vsim-ground{position:relative;margin:0 6px;cursor:pointer;touch-action:none;user-select:none}
.vsim-ground:focus-visible{outline:2px solid var(--vsim-remapped);outline-offset:-2px}
.vsim-ticks{position:relative;height:26px}
.vsim-ticks span{position:absolute;top:0;bottom:0;box-sizing:border-box;padding:0 0 0 5px;overflow:hidden;
 font-size:11px;line-height:26px;white-space:nowrap;text-overflow:ellipsis;color:var(--vsim-text);
 background:color-mix(in srgb,var(--vsim-remapped) 14%,var(--vsim-background));
 border-left:1px solid var(--vsim-muted)}
.vsim-ticks span.bad{border-left:3px solid var(--vsim-blocked);color:var(--vsim-blocked);font-weight:600;
 background:var(--vsim-background)}
.vsim-ticks span.later{background:var(--vsim-background);color:var(--vsim-muted);font-style:italic}
.vsim-ticks span.bad.later{color:var(--vsim-blocked)}
.vsim-fork{position:absolute;bottom:0;width:9px;height:9px;margin-left:-4px;background:var(--vsim-compatibility);
 clip-path:polygon(50% 0,100% 100%,0 100%)}
.vsim-head{position:absolute;top:0;bottom:0;width:0;margin-left:-1px;border-left:2px solid var(--vsim-text);
 pointer-events:none}
.vsim-head::before{content:"";position:absolute;top:0;left:-5px;width:8px;height:6px;background:var(--vsim-text);
 clip-path:polygon(0 0,100% 0,50% 100%)}
.vsim-lane{position:relative;box-sizing:border-box;height:16px;border-top:1px solid var(--vsim-slot)}
.vsim-lane svg{position:absolute;inset:2px 0;width:100%;height:12px}
.vsim-lane path{stroke:var(--vsim-remapped);stroke-width:2px;vector-effect:non-scaling-stroke}
.vsim-lane path.bad{stroke:var(--vsim-blocked);stroke-width:3px}
.vsim-phases{display:flex;flex-wrap:wrap;gap:1px;margin:2px 0}
.vsim-phases[hidden]{display:none}
.vsim-phases button{flex:1 1 auto;max-width:100%;height:22px;padding:0 5px;overflow:hidden;white-space:nowrap;
 text-overflow:ellipsis;text-align:left;font:inherit;font-size:11px;color:var(--vsim-text);background:var(--vsim-panel);
 border:0;border-bottom:2px solid var(--vsim-slot);cursor:pointer}
.vsim-phases button[aria-current=true]{border-bottom-color:var(--vsim-text);font-weight:600}
.vsim-phases button:focus-visible{outline:2px solid var(--vsim-remapped);outline-offset:-2px}
.vsim-small{min-width:22px;height:28px;padding:0 5px;font:inherit;font-size:11px;color:var(--vsim-text);
 background:var(--vsim-panel);border:1px solid var(--vsim-slot);border-radius:var(--vsim-radius);cursor:pointer}
.vsim-small[hidden]{display:none}
.vsim-small:disabled{color:var(--vsim-muted);cursor:default}
.vsim-small.here,.vsim-small[aria-expanded=true]{box-shadow:inset 0 -2px 0 var(--vsim-text)}
"""


class Bar(anywidget.AnyWidget):
    """Where the cursor is among gestures. wanted: the position that a reader asked for, and a number of the asking."""

    # The text: of a path anywidget keeps every view for ever, to reload it.
    _esm = Path(__file__).resolve().with_name("bar.js").read_text(encoding="utf-8")
    ticks = t.List(help="of gestures: start, stop, name, whether something was refused, a boot").tag(sync=True)
    lanes = t.List(help="name, positions, and positions of refusals, of each lane").tag(sync=True)
    forks = t.List(t.Int(), help="positions at which other futures branch off").tag(sync=True)
    here = t.Int(0, help="the cursor's position").tag(sync=True)
    phases = t.List(help="of a long run: start, stop, name").tag(sync=True)
    last = t.Int(0, help="the last position").tag(sync=True)
    fold = t.Int(0, help="the position up to which gestures are folded").tag(sync=True)
    wanted = t.List(t.Int(), default_value=[0, 0]).tag(sync=True)

    def show(self, here: int, last: int) -> None:
        """Where the cursor is."""
        with self.hold_sync():
            self.here, self.last = here, last

    def tell(self, ticks: Sequence[Tick], lanes: Sequence[Lane], forks: Sequence[int], fold: int,
             phases: Sequence[Phase] = ()) -> None:
        """What happened; only what differs is sent."""
        with self.hold_sync():
            self.phases = [list(each) for each in phases]
            self.ticks, self.lanes = [list(each) for each in ticks], [list(each) for each in lanes]
            self.forks, self.fold = list(forks), fold
