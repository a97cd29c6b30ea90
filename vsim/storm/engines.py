"""The engines of a storm: one source, run by the interpreter, by numpy or by numba. numpy and numba on demand only."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from vsim.storm import loop as storm_loop
from vsim.storm import vectorised as storm_vectorised
from vsim.storm.loop import ALL, DISABLED, LEFT, URGENT, Apics, Unit
from vsim.storm.view import Wrap


class Engine(NamedTuple):
    """How the loops are run: `requests` and `handlers` of `loop`, and what becomes of an array for a call."""

    name: str
    wrap: Wrap
    requests: Callable[..., int]
    handlers: Callable[..., tuple[int, int]]


NEEDS = {"compiled": "numba", "vectorised": "numpy", "interpreted": "", "stepped": ""}
"""The engines, fastest first, and the library that each needs."""


def missing(name: str) -> str:
    """Why an engine is not available here; "" when it is. ValueError when there is no such engine."""
    if name not in NEEDS:
        raise ValueError(f"engine is {name!r}; allowed are auto, {', '.join(NEEDS)}")
    library = NEEDS[name]
    return f"{library} is not installed" if library and not importable(library) else ""


def importable(library: str) -> bool:
    """Whether a library can be imported."""
    try:
        return find_spec(library) is not None
    except ImportError:
        return False


def engine(name: str) -> Engine:
    """An engine by name, or the fastest for "auto"; the compiled one compiles at its first call.

    ValueError when there is no such engine, or not here.
    """
    if name == "auto":
        name = next(each for each in NEEDS if not missing(each))
    if lack := missing(name):
        raise ValueError(f"engine {name!r}: {lack}")
    return _MAKE[name]()


def stepped() -> Engine:
    """Everything is left to `machine.step`."""
    return Engine("stepped", _same, _leave_request, _leave_handler)


def _leave_request(n: int, last: int, unit: Unit, apics: Apics) -> int:
    apics.totals[LEFT] = ALL
    return n


def _leave_handler(vcpu: int, runs: int, apics: Apics) -> tuple[int, int]:
    urgent = [URGENT if each else DISABLED for each in apics.eoi]
    place = storm_loop.handlers(vcpu, runs, apics._replace(eoi=urgent))
    apics.totals[LEFT] = apics.totals[LEFT] and ALL
    return place


def interpreted() -> Engine:
    """The loops as they stand."""
    return Engine("interpreted", _same, storm_loop.requests, storm_loop.handlers)


def _same(values: Any) -> Any:
    return values


def vectorised() -> Engine:
    """The same decisions on arrays of many requests."""
    return Engine("vectorised", _numpy(), storm_vectorised.requests, storm_vectorised.handlers)


def _numpy() -> Wrap:
    """An array's memory as a numpy array, for one call: a viewed array cannot grow."""
    import numpy

    return lambda values: numpy.frombuffer(values, values.typecode)


@functools.cache
def compiled() -> Engine:
    """The loops and all stages that they call, compiled by numba; compiled code is kept in a folder if possible."""
    import numba
    from numba.core import types
    from numba.extending import overload_method, register_jitable

    config: Any = numba.config
    jitable: Any = register_jitable
    njit: Any = numba.njit
    overload_method(types.Integer, "bit_length")(_bit_length)
    for stage in storm_loop.STAGES:
        jitable(forceinline=True)(stage)
    before, folder = config.CACHE_DIR, cache_folder(numba.__version__, bool(config.BOUNDSCHECK))
    config.CACHE_DIR = folder
    try:
        jit = njit(cache=bool(folder), _nrt=False)  # the loops allocate nothing; counting references costs 700 ns each
        return Engine("compiled", _numpy(), jit(storm_loop.requests), jit(storm_loop.handlers))
    finally:
        config.CACHE_DIR = before


def _bit_length(value: int) -> Callable[[int], int]:
    def count(value: int) -> int:
        bits = 0
        while value:
            bits, value = bits + 1, value >> 1
        return bits
    return count


_MAKE: dict[str, Callable[[], Engine]] = {
    "compiled": compiled, "vectorised": vectorised, "interpreted": interpreted, "stepped": stepped}


KEPT = 3
"""Folders of compiled code that stay: those of older sources go."""


def cache_folder(*facts: object) -> str:
    """Where compiled code is kept: beside Python's own, by vsim's sources and these facts; "" where nothing may be.

    By itself numba looks at the file of the outermost function alone, and would go on with what it made of a stage
    that has changed since.
    """
    digest = hashlib.sha256(repr(facts).encode())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    folder = Path(__file__).parent / "__pycache__" / f"storm-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "used").write_bytes(b"")
        for old in sorted(folder.parent.glob("storm-*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            rmtree(old, ignore_errors=True)
    except OSError:
        return ""
    return str(folder)
