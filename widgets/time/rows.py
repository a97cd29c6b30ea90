"""A table in the page whose rows can be chosen; `rows.js` draws it, every cell as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from widgets.time.happened import Row

CSS = """
.vsim-rows{max-height:300px;overflow:auto;position:relative;border:1px solid var(--vsim-slot);
 border-radius:var(--vsim-radius)}
.vsim-rows table{border-collapse:collapse;width:100%;margin:0;font-size:12px;color:var(--vsim-text)}
.vsim-rows :is(td,th){padding:1px 8px 1px 4px;text-align:left;vertical-align:top;white-space:normal;
 overflow-wrap:break-word}
.vsim-rows :is(td,th):not(:last-child){white-space:nowrap}
.vsim-rows th{position:sticky;top:0;background:var(--vsim-panel);color:var(--vsim-muted);font-weight:400}
.vsim-rows th.vsim-hidden{font-size:0}
.vsim-rows tr{background:none;border-bottom:1px solid var(--vsim-slot)}
.vsim-rows tr.later td{color:var(--vsim-muted);font-style:italic}
.vsim-rows tr.bad td{color:var(--vsim-blocked)}
.vsim-rows tr.now td{background:var(--vsim-panel);font-weight:600}
.vsim-rows tr.chosen td{box-shadow:inset 0 -1px 0 var(--vsim-ring),inset 0 1px 0 var(--vsim-ring)}
.vsim-rows button{all:unset;cursor:pointer;text-decoration:underline;color:inherit;padding:0 4px;min-width:16px}
.vsim-rows :is(button,&):focus-visible{outline:2px solid var(--vsim-remapped)}
@container (max-width:640px){.vsim-rows td:not(:last-child){white-space:normal}.vsim-rows th{font-size:11px;
 overflow-wrap:normal}.vsim-rows :is(td,th){padding-right:4px}}
@container (min-width:400px) and (max-width:640px){.vsim-rows td:not(:nth-last-child(2)){white-space:nowrap}}
"""


class Rows(anywidget.AnyWidget):
    """A table of `happened.Row`s. chosen: serial of the interrupt that a reader chose, 0 for none."""

    # The text: of a path anywidget keeps every view for ever, to reload it.
    _esm = Path(__file__).resolve().with_name("rows.js").read_text(encoding="utf-8")
    heads = t.List(t.Unicode(), help="heads of the columns").tag(sync=True)
    rows = t.List(help="serial, marks, and cells of each row").tag(sync=True)
    label = t.Unicode(help="what the table is, for screen readers").tag(sync=True)
    chosen = t.Int(0, min=0, help="serial of the chosen interrupt").tag(sync=True)

    def show(self, label: str, heads: Sequence[str], rows: Iterable[Row]) -> None:
        """Other rows, in one message."""
        told: list[Any] = [[row.key, row.marks, list(row.cells)] for row in rows]
        with self.hold_sync():
            self.label, self.heads = label, list(heads)
            self.rows = told
