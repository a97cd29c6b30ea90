"""A sweep run: cells on as many processes as there are, one computer or a cluster, in any order.

    rows = sweep(cell, {"vcpus": [64, 128], "seed": [1, 2, 3]})

The function takes the values of a cell and gives its figures; both are plain values, and the function is one of a
module, since other processes import it. Any `concurrent.futures.Executor` does; without one processes of this computer
are started (by spawn, on every system alike), and where there are none, as in a browser's Python, cells run one after
another. A process that dies takes its cells along: they are given out again.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from itertools import islice, product
from typing import Any

from vsim.layouts.given import a
from vsim.scale.grid import MAX_CELLS, Grid, Values

Function = Callable[[Values], Any]
IN_FLIGHT = 4
"""Cells that are given out for each worker, the one under way included."""
MOST_DEATHS = 3
"""Times that processes may die in one sweep, before it ends."""


def sweep(function: Function, grid: Grid | Mapping[str, Sequence[Any]], executor: Executor | None = None
          ) -> list[Values]:
    """A row for each cell of a grid, in order: its values, and what the function gave, a dict's keys beside them.

    ValueError for a function that no other process could import.
    """
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ValueError(f"executor is {executor!r:.40}; expected an Executor")
    cells = list(cells_of(grid))
    found = dict(results(function, enumerate(cells), executor))
    return [row(values, found[number]) for number, values in enumerate(cells)]


def cells_of(grid: Grid | Mapping[str, Sequence[Any]]) -> Iterable[Values]:
    """The cells of a grid; of a mapping all combinations of its values, the last name fastest."""
    if isinstance(grid, Grid):
        return grid.cells()
    a(Mapping, "grid", grid)
    count = 1
    for name, values in grid.items():
        a(str, "an axis of grid", name)
        a(Sequence, name, values)
        count *= sum(1 for _ in islice(values, MAX_CELLS + 1))
    if count > MAX_CELLS:
        raise ValueError(f"the grid has {count} cells or more; the limit is {MAX_CELLS}")
    return (dict(zip(grid, chosen, strict=True)) for chosen in product(*grid.values()))


def row(values: Values, given: Any) -> Values:
    """The values of a cell with what its function gave."""
    return {**values, **(given if isinstance(given, dict) else {"result": given})}


def results(function: Function, cells: Iterable[tuple[int, Values]], executor: Executor | None = None,
            workers: int | None = None) -> Iterator[tuple[int, Any]]:
    """(number, what the function gave) of each numbered cell, as they end.

    workers: processes of this computer, where no executor is given. What the function raises is raised here.
    """
    if "<" in getattr(function, "__qualname__", "<"):
        raise ValueError(f"{function!r:.60} is no function of a module: other processes could not import it")
    count = workers or os.cpu_count() or 1
    room = IN_FLIGHT * (count if executor is None else getattr(executor, "_max_workers", None) or 16)
    waiting, deaths = iter(cells), 0
    again: list[tuple[int, Values]] = []
    while True:
        pool = processes(count) if executor is None else nullcontext(executor)
        pending: dict[Future[Any], tuple[int, Values]] = {}
        try:
            with pool as running:
                yield from _drain(running, function, waiting, again, pending, room)
            return
        except BrokenProcessPool:
            deaths += 1
            if executor is not None or deaths > MOST_DEATHS:
                raise
            again = [*pending.values(), *again]


class Here(Executor):
    """An executor that does what it is given at once, in this thread: no process, no thread is started."""

    _max_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function; a future that is done."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def processes(count: int) -> AbstractContextManager[Executor]:
    """Processes of this computer, started by spawn; `Here` where the system has none."""
    if sys.platform == "emscripten":
        return Here()
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))


def _drain(running: Executor, function: Function, waiting: Iterator[tuple[int, Values]],
           again: list[tuple[int, Values]], pending: dict[Future[Any], tuple[int, Values]], room: int
           ) -> Iterator[tuple[int, Any]]:
    """Keep `room` cells given out until there are none left. pending: those that are, for whoever has to go on."""
    try:
        while True:
            while len(pending) < room and (chosen := again.pop(0) if again else next(islice(waiting, 1), None)):
                pending[running.submit(function, chosen[1])] = chosen
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                given = future.result()
                number, _ = pending.pop(future)
                yield number, given
    except GeneratorExit:
        for future in pending:
            future.cancel()
        raise
