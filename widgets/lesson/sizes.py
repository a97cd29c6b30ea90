"""Sizes in a line of Python: limits, rates, sweeps and races as tables, growth as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vsim.scale.limits import FIGURES, Demand, crossing, loads, sized
from vsim.scale.races import BAD, RACES, race
from widgets.lesson.journey import Picture
from widgets.stills import drawn
from widgets.tables import Table, Told


def limits(demand: Demand, changes: Mapping[str, int] | None = None) -> Table:
    """Every limit under a demand, the nearest first; those that bite are bold."""
    rows = sized(demand, changes)
    cells = [(row.limit.name, f"{row.need:,}", f"{row.room:,}", "bites" if row.use > 1 else f"{100 * row.use:.3g} %",
              crossing(demand, row.limit.name, changes) or "never", _sources(row.limit.rests, changes or {}))
             for row in rows]
    return Table(("limit", "need", "room", "used", "bites from vCPU", "rests on"), cells,
                 bold=[number for number, row in enumerate(rows) if row.use > 1])


def _sources(names: Iterable[str], changes: Mapping[str, int]) -> str:
    return "; ".join(f"{changes.get(name, FIGURES[name].value):,} {FIGURES[name].meaning} "
                     f"({'given' if name in changes else FIGURES[name].grade})" for name in names)


def growth(demand: Demand, most: int = 1024, changes: Mapping[str, int] | None = None) -> Picture | Told:
    """How near each limit is when the number of vCPUs grows; a sentence where there is no matplotlib."""
    if not drawn.inked():
        return Told(("This picture is drawn with matplotlib, which is not installed here.",))
    from widgets.stills import growth as lines

    first = sized(demand, changes)[0].limit.name
    words = f"need / room of each limit up to {most} vCPUs; nearest now: {first}"
    return Picture(lines.growth(demand, most, changes), words, follows=True)


def rates(demand: Demand) -> Table:
    """What the demand's rate costs by each way."""
    return Table(("way", "interrupts a second", "VM exits a second", "CPUs busy"),
                 [(load.way, f"{load.rate:,}", f"{load.exits:,}", load.cpus) for load in loads(demand)])


def orders(name: str, *skip: str) -> Table:
    """Every order of a race; those that lose, double or misroute the interrupt are bold. skip: duties left out."""
    found = race(RACES[name], skip)
    return Table(("writes done", "outcome", "where", "fires before"),
                 [(each.place, each.word, each.detail, each.before or "(all done)") for each in found],
                 RACES[name].sentence, [number for number, each in enumerate(found) if each.word in BAD])


def columns(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Table:
    """Some columns of a sweep's rows."""
    return Table(names, [tuple(row[name] for name in names) for row in rows])
