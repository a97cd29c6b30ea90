"""Why an interrupt went as it did: what became of it, the check that decided with the two before it, and its way."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import ipywidgets as W

from vsim.devices.checks import CHOSEN
from vsim.explain.interrupt import (
    FAILED,
    NOT_REACHED,
    CheckRow,
    Explanation,
    deciding,
    ending,
    explain_in,
    summary,
)
from vsim.findings.assumed import WORD
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.editors.entries import MARKS
from widgets.lab.panel import line
from widgets.time.reader import Reader

CSS = """
.vsim-why{min-width:0;max-width:100%}
.vsim-why ol{margin:2px 0;padding-left:26px}
.vsim-why li{margin:1px 0;overflow-wrap:anywhere}
.vsim-why li.rest{color:var(--vsim-muted)}
.vsim-why ol.deciding{padding:2px 4px 2px 26px;background:var(--vsim-panel);border-radius:var(--vsim-radius)}
.vsim-why summary{font-size:12px}
"""
BEFORE = 2
"""Checks that are shown with the one that decided."""
QUIET = {*CHOSEN, "sourceless"}
"""Operands that are shown only where they are on: options and quirks that are off are nobody's business."""


def reasons(told: Explanation) -> str:
    """The checks on an interrupt in three words, the one that decided, and the interrupt's way, as HTML."""
    way = "".join(f"<li>{escape(each)}</li>" for each in told.sentences)
    return (_checks(told.checks) + f"<ol>{way}</ol>"
            + line(f"Read: {', '.join(told.sections)}", "muted"))


def _checks(checks: tuple[CheckRow, ...]) -> str:
    """The check at which it ended, if it did, with those before it; all of them folded."""
    rows = [row for row in checks if not row.moot]
    if not rows:
        return line("No remapping unit took part.", "muted")
    last = deciding(rows)
    first = max(0, last - BEFORE)
    shown = f'<ol class="deciding" start="{first + 1}">{_list(rows[first:last + 1])}</ol>' if ending(rows) else ""
    return (f"<p><b>{escape(summary(rows))}</b></p>{shown}"
            f"<details><summary>all {len(rows)} checks, in order, each with what it stops at</summary>"
            f"<ol>{_list(rows)}</ol></details>")


def _list(rows: Iterable[CheckRow]) -> str:
    return "".join(map(_check, rows))


def _check(row: CheckRow) -> str:
    """A check: its outcome and name, what it looked at, what it says, where that stands."""
    looked = ", ".join(f"{each.name}={each.value:#x}" for each in row.operands
                       if each.value or (each.value == 0 and each.name not in QUIET))
    kind = {FAILED: "bad", NOT_REACHED: "muted"}.get(row.outcome, "good")
    rest = " class=\"rest\"" if row.outcome == NOT_REACHED else ""
    return (f'<li{rest}><span class="vsim-{kind}">{escape(MARKS[row.outcome])}</span> {escape(row.name)} '
            f'<code>{escape(looked)}</code><br><span class="vsim-muted">{escape(row.sentence)} '
            f'{escape(row.section)}.</span></li>')


class Why(Reader):
    """The chosen interrupt of a Lab, explained."""

    title = "why"
    css = CSS

    def build(self) -> tuple[W.Widget, ...]:
        """One text."""
        self._shown_now: object = None
        self.tabbable = True  # it scrolls, by keys too
        self.text = W.HTML()
        self.text.add_class("vsim-why")
        self.follow("serial", self._explain)
        return (self.text,)

    def _changed(self, kind: str, events: list[Event], machine: Machine) -> None:
        if kind != "moved":  # a number may stand for another interrupt now
            self._shown_now = None
        super()._changed(kind, events, machine)

    def draw(self, m: Machine, events: list[Event]) -> None:
        """The reasons, once a storm is over."""
        if self.storming:
            self.wait()
        else:
            self._explain()

    def _explain(self) -> None:
        """Explain the chosen interrupt, unless that is what the panel shows."""
        serial = self.lab.selection.serial
        try:
            position = self.lab.history.position_of(serial)
        except ValueError:
            self._shown_now = None
            self.text.value = line("Choose an interrupt: here will be its way, and every check on it.", "muted")
            return
        ahead = position >= self.lab.position
        if (serial, ahead) != self._shown_now:
            self._shown_now = serial, ahead
            told = explain_in(self.lab.history, serial)
            later = line("It comes later: the cursor stands before it.", "warn") if ahead else ""
            head = f"<h3>Interrupt {serial}: {escape(told.verdict)}</h3>"
            self.text.value = f"{head}{later}{reasons(told)}{self._assumed(serial)}"

    def _assumed(self, serial: int) -> str:
        """What no dump says of the elements that it passed."""
        along = self.lab.assumed.along(self.lab.history.events_of(serial))
        return "".join(line(f"{WORD}: {each}", "muted") for each in along)
