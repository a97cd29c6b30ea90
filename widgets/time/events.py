"""The table of what happened, around the reader's moment: an event a row, or an interrupt a row."""

from __future__ import annotations

import ipywidgets as W

from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.lab.panel import flow
from widgets.time import happened, rows
from widgets.time.moments import EVENT, INTERRUPT
from widgets.time.reader import Reader


class Events(Reader):
    """What happened on a Lab, as rows that can be chosen."""

    title = "events"
    css = rows.CSS

    def build(self) -> tuple[W.Widget, ...]:
        """What a row is, and the table."""
        self.add_class("vsim-events")
        self._filling = False
        self.rows = rows.Rows()
        self.shape = W.Dropdown(options=[("events", EVENT), ("interrupts", INTERRUPT)], value=INTERRUPT,
                                description="rows are", style={"description_width": "56px"},
                                layout=W.Layout(width="160px"), tooltip="what a row of the table stands for")
        self.serial = W.BoundedIntText(min=0, max=0, description="interrupt", continuous_update=False,
                                       style={"description_width": "60px"}, layout=W.Layout(width="130px"),
                                       tooltip="number of the interrupt that is explained; 0 for none")
        self.only = W.Checkbox(value=False, description="only its events", indent=False,
                               layout=W.Layout(width="auto"), tooltip="leave everything else out of the table")
        self.watch(self.serial, self._serial_typed)
        self.watch(self.rows, self._row_chosen, "chosen")
        for control in (self.shape, self.only):
            self.watch(control, self._list)
        self.follow("serial", self._list)
        return (flow(self.shape, self.serial, self.only), self.rows)

    def _row_chosen(self) -> None:
        if self.rows.chosen and not self._filling:
            self.lab.selection.serial = self.rows.chosen

    def _serial_typed(self) -> None:
        if not self._filling:
            self.lab.selection.serial = self.serial.value

    def draw(self, m: Machine, events: list[Event]) -> None:
        """The rows around the cursor, once a storm is over."""
        if self.storming:
            self.wait()
        else:
            self._list()

    def _list(self) -> None:
        if not self.shown:
            self._stale = True
            return
        chosen, assumed = self.lab.selection.serial, self.lab.assumed
        self._filling = True
        try:
            self.serial.max = max(chosen, self.lab.machine.serials)
            self.serial.value = self.rows.chosen = chosen
            if self.only.value and chosen:
                self.rows.show(f"Events of interrupt {chosen}", happened.EVENT_HEADS,
                               happened.event_rows(self.moments, chosen, assumed))
            elif self.shape.value == EVENT:
                self.rows.show("Events", happened.EVENT_HEADS, happened.event_rows(self.moments, 0, assumed))
            else:
                self.rows.show("Interrupts", happened.INTERRUPT_HEADS, happened.interrupt_rows(self.moments, assumed))
        finally:
            self._filling = False
