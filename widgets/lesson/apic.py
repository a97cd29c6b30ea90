"""One local APIC by hand: vectors arrive, the vCPU takes and ends them, software writes TPR; a row for each step.

    LocalApic().play("0x41, take, 0x92, take, eoi")

`info_lapic` gives its state as QEMU's monitor prints it, `held` what such a dump says of what waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vsim.devices import timer, vlapic
from vsim.layouts.formats import msi_message
from vsim.layouts.registers import APIC_MSR, LVT_TIMER
from vsim.readers import qemu_monitor
from vsim.readers.pieces import lines_of
from vsim.readers.qemu_monitor import Lapic
from vsim.state import commands as c
from vsim.state.profile import profile
from vsim.state.trace import Act, Event
from widgets import theme
from widgets.editors.vlapics import CSS, MEANING, facts, grid, pending_order, vectors
from widgets.lesson.made import Made
from widgets.tables import Table

APIC_ID = 5
"""Of the only vCPU, which is number 0."""
MOST_STEPS = 200
"""Steps of one `play`."""
WORDS = ("take", "eoi", "tpr N", "cr8 N", "timer N", "mask timer", "tick", "N", "N level")
"""The steps; N is a number such as 0x41. A number alone: that vector arrives. tick: the timer counts to 0 once."""
_STEP = re.compile(r"(take|eoi|mask timer|tick)|(?:(tpr|cr8|timer) )?(0x[0-9a-f]{1,3}|\d{1,3})( level)?")
COUNT = 1000
"""Where the timer begins to count, each time anew."""


class LocalApic(Made):
    """The local APIC of a vCPU that does only what it is told. It shows itself as a table of the steps."""

    def __init__(self) -> None:
        super().__init__([], (APIC_ID,), viommu_=False)
        self._steps = list[tuple[str, ...]]()

    def play(self, steps: str) -> LocalApic:
        """Do steps, with commas between them (`WORDS`). ValueError for another word, before anything is done."""
        words = [" ".join(step.lower().split()) for step in steps.split(",")]
        if len(words) > MOST_STEPS:
            raise ValueError(f"there are {len(words)} steps; the limit is {MOST_STEPS}")
        commands = [_commands(word) for word in words]
        for word, several in zip(words, commands, strict=True):
            self._did(word, [event for command in several for event in self.issue(command)])
        return self

    def _did(self, word: str, events: list[Event]) -> None:
        m = self.machine
        self._steps.append((word, _list(vectors(m.irr, 0)), _list(vectors(m.isr, 0)), f"{m.tpr[0]:#x}",
                            f"{vlapic.ppr(m, 0):#x}", "; ".join(_said(events)) or "nothing"))

    @property
    def steps(self) -> Table:
        """What was done, and how things stood after it."""
        return Table(("step", "IRR", "ISR", "TPR", "PPR", "what happened"), self._steps)

    @property
    def grids(self) -> Grids:
        """IRR, ISR and TMR as 16 rows of 16 vectors."""
        m = self.machine
        return Grids({kind: vectors(words, 0) for kind, words in (("irr", m.irr), ("isr", m.isr), ("tmr", m.tmr))})

    @property
    def order(self) -> Table:
        """What is requested, in the order in which it will be taken."""
        return Table(("vector", "class", "when"), pending_order(self.machine, 0), "; ".join(
            f"{name} {value}" for name, value in facts(self.machine, 0) if name in ("TPR", "PPR")))

    @property
    def next(self) -> int:
        """The vector that the vCPU would take now, -1 for none."""
        return vlapic.pending(self.machine, 0)

    def _repr_html_(self) -> str:
        return self.steps._repr_html_()

    def __repr__(self) -> str:
        return repr(self.steps)


class Grids:
    """Three registers of 256 bits. marked: the vectors that are set, by `MEANING`'s keys."""

    def __init__(self, marked: dict[str, list[int]]) -> None:
        self.marked = marked

    def _repr_html_(self) -> str:
        drawn = "".join(f'<div class="vsim-grid">{grid(kind, self.marked[kind])}</div>' for kind in MEANING)
        return f'<style>{theme.css()}{CSS}</style><div class="vsim"><div class="vsim-grids">{drawn}</div></div>'

    def __repr__(self) -> str:
        return "\n".join(f"{MEANING[kind][0]} ({MEANING[kind][1]}): {_list(self.marked[kind])}" for kind in MEANING)


def _commands(word: str) -> list[c.Command]:
    if word == "tick":
        return [c.Tick(COUNT * profile("spec").options.timer_ns)]
    if word == "mask timer":
        return [c.Msr(0, APIC_MSR["LVT_TIMER"], LVT_TIMER.make(mask=1, mode=timer.PERIODIC))]
    return _timer(word) or [_command(word)]


def _timer(word: str) -> list[c.Command]:
    """`timer N`: vector N, each time that the count, which is not divided, has reached 0."""
    match = _STEP.fullmatch(word)
    if match is None or match[2] != "timer" or match[4] or int(match[3], 0) > 0xFF:
        return []
    values = {"TIMER_DIVIDE": 0b1011, "LVT_TIMER": LVT_TIMER.make(vector=int(match[3], 0), mode=timer.PERIODIC),
              "TIMER_INITIAL": COUNT}
    return [c.Msr(0, APIC_MSR[name], value) for name, value in values.items()]


def _command(word: str) -> c.Command:
    match = _STEP.fullmatch(word)
    given = match[3] if match and match[3] else "0"
    value = int(given, 16 if given.startswith("0x") else 10)
    if match is None or value > 0xFF or (match[2] and match[4]) or match[2] == "timer":
        raise ValueError(f"no step {word[:40]!r}; steps are {', '.join(WORDS)}, with N up to 0xff")
    if match[1]:
        return c.Acknowledge(0) if match[1] == "take" else c.Msr(0, APIC_MSR["EOI"], 0)
    if match[2]:
        return c.Msr(0, APIC_MSR["TPR"], value) if match[2] == "tpr" else c.Cr8(0, value)
    return c.Msi(0x0300, *msi_message(APIC_ID, value, tm=int(bool(match[4]))))


def _list(found: list[int]) -> str:
    return " ".join(f"{vector:#x}" for vector in found) or "-"


def _said(events: list[Event]) -> Iterator[str]:
    for event in events:
        if event.act == Act.TAKEN:
            yield f"takes {event.index:#x}"
        elif event.act == Act.SPURIOUS:
            yield f"spurious: gets {event.index:#x}"
        elif event.act == Act.ENDED:
            yield f"ends {event.index:#x}" + (", broadcast to the I/O APICs" if event.low else "")
        elif event.act in _SAYS:
            yield _SAYS[Act(event.act)]


_SAYS = {Act.ACCEPTED: "accepted", Act.MERGED: "merged", Act.APIC_ERROR: "refused: illegal vector, noted in ESR",
         Act.REFUSED: "#GP"}


# --- dumps ---


def info_lapic(irr: list[int], isr: list[int], tpr: int = 0, level: tuple[int, ...] = ()) -> str:
    """A local APIC's state as QEMU's monitor prints it, vectors in decimal. level: vectors whose TMR bit is set."""
    ppr = vlapic.ppr_of(tpr, max(isr, default=-1))
    rows = [f"{name}\t {' '.join(str(v) + '(level)' * (v in level) for v in sorted(found)) or '(none)'}"
            for name, found in (("ISR", isr), ("IRR", irr))]
    return "\n".join(["dumping local APIC state for CPU 0", "", "SPIV\t 0x000001ff APIC enabled, focus=off, spurious "
                      "vec 255", *rows, "", f"APR 0x00 TPR 0x{tpr:02x} DFR 0x0f LDR 0x00 PPR 0x{ppr:02x}"])


def read_lapic(text: str) -> Lapic:
    """The first local APIC of such a text. ValueError when there is none."""
    for record in qemu_monitor.read(lines_of(text, "dump")[0]).records:
        if isinstance(record, Lapic):
            return record
    raise ValueError("the text has no local APIC of `info lapic`")


def held(found: Lapic) -> Table:
    """What waits, by a dump: each requested vector, and whether the vCPU would take it."""
    isr = max((vector for vector, _ in found.isr), default=-1)
    ppr = vlapic.ppr_of(found.words.get("TPR", 0), isr)
    rows = [(f"{vector:#x}", vector >> 4, "can be taken" if vector >> 4 > ppr >> 4 else
             f"waits: class {vector >> 4} is not above {ppr >> 4}")
            for vector, _ in sorted(found.irr, reverse=True)]
    busy = ", ".join(f"{vector:#x}" for vector, _ in found.isr) or "nothing"
    return Table(("requested", "class", "and"), rows, f"In service: {busy}. PPR {ppr:#x}.")
