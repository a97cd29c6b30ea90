"""The loops of a storm in C: what the compiled ones are measured by (`vsim bench`).

The chains and the operands come from the check table, the constants from `loop`; the loops are written by hand
(`share/loop.c`). It is an engine like the others, so a storm of it can be compared with theirs array for array.
"""

from __future__ import annotations

import ctypes
import functools
from array import array
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vsim.devices import checks
from vsim.devices.checks import CHECKS, MODE_BIT, NAMES, ORDERS, SIGNATURE
from vsim.devices.remap import OUTCOME, QUALIFIED
from vsim.layouts.formats import IRTE
from vsim.storm import cc, loop
from vsim.storm.engines import Engine
from vsim.storm.loop import Apics, Unit

OPTIONS = ("-O3", "-march=native")
"""As numba compiles: with all optimisations, for this processor."""
ARRAYS = {
    "wheel": "i", "messages": "I", "facts": "q", "entries": "I", "filled": "q", "irr": "I", "isr": "I", "tmr": "I",
    "tpr": "I", "eoi": "q", "ways": "q", "targets": "q", "tallies": "q", "totals": "q"}
"""The arrays of `loop.Unit`, then of `loop.Apics`, and the type code of each."""
_TYPES = {"i": "int32_t", "I": "uint32_t", "q": "int64_t"}
_MASKS = {"IM": IRTE.im.mask, "PI": MODE_BIT["pi"], "IM_IGNORED": MODE_BIT["im_ignored"]}


def missing() -> str:
    """Why there is no such engine here; "" when there is."""
    return "" if cc.compiler() else "there is no C compiler (cc)"


@functools.cache
def engine() -> Engine:
    """The loops in C, compiled now. NoCompiler where they cannot be."""
    with TemporaryDirectory(prefix="vsim-") as folder:
        library = ctypes.CDLL(str(cc.compiled(source().encode(), Path(folder) / "loop.so", *OPTIONS)))
    requests, handlers = library.requests, library.handlers
    requests.restype = handlers.restype = ctypes.c_int64
    requests.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(_Storm)]
    handlers.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_int64), ctypes.c_int64, ctypes.POINTER(_Storm)]

    def send(n: int, last: int, unit: Unit, apics: Apics) -> int:
        return int(requests(n, last, len(unit.wheel), _storm((*unit, *apics))))

    def handle(vcpu: int, runs: int, apics: Apics) -> tuple[int, int]:
        place = ctypes.c_int64(runs)
        vcpu = handlers(vcpu, place, len(apics.tpr), _storm((*[array("q")] * len(Unit._fields), *apics)))
        return vcpu, place.value
    return Engine("in C", lambda values: values, send, handle)


class _Storm(ctypes.Structure):
    """What a loop takes: where each array begins."""

    _fields_ = [(name, ctypes.c_void_p) for name in ARRAYS]


def _storm(arrays: Iterable[array[Any]]) -> _Storm:
    return _Storm(*(values.buffer_info()[0] for values in arrays))


# --- the source ---


def source() -> str:
    """All of it: generated, then `share/loop.c`."""
    written = (files("vsim.storm") / "share" / "loop.c").read_text(encoding="utf-8")
    operands = (("index_of", "address data mode", "index"), ("out_address", "w0 w1 mode", "out_address"),
                ("out_data", "w0 w1 mode", "out_data"))
    return "\n".join(("#include <stdint.h>", *_constants(), *_struct(),
                      *(line for operand in operands for line in _operand(*operand)),
                      *(line for stage in SIGNATURE for line in _stage(stage)), "", written))


def _constants() -> Iterator[str]:
    numbers = {name: value for name, value in vars(loop).items() if name.isupper() and type(value) is int}
    yield from (f"#define {name} ({value:#x})" for name, value in (numbers | _MASKS).items())
    for name, row in (("OUTCOME", OUTCOME), ("QUALIFIED", QUALIFIED)):
        yield f"static const int {name}[] = {{{', '.join(str(int(value)) for value in row)}}};"


def _struct() -> Iterator[str]:
    yield "struct storm {"
    yield from (f"    {_TYPES[code]} *{name};" for name, code in ARRAYS.items())
    yield "};"


def _head(name: str, arguments: Iterable[str]) -> str:
    return f"static inline int64_t {name}({', '.join(f'int64_t {each}' for each in arguments)})"


def _defined(expression: str, known: set[str]) -> Iterator[str]:
    return (f"    const int64_t {name} = {text};" for name, text in checks.definitions(expression, known))


def _operand(name: str, arguments: str, operand: str) -> Iterator[str]:
    """A function that computes an operand; the operand's own name is the function's inside, where it is not called."""
    yield from (_head(name, arguments.split()), "{", *_defined(operand, set()), f"    return {operand};", "}")


def _stage(stage: str) -> Iterator[str]:
    """The chains of a stage, one for each order, and the function that chooses by the order's number."""
    names = [f"{stage}_{order.replace('-', '_')}" for order in ORDERS]
    for name, order in zip(names, ORDERS, strict=True):
        known = set[str]()
        yield from (_head(name, SIGNATURE[stage]), "{")
        for row in checks.stage_rows(order, stage):
            yield from _defined(CHECKS[row].condition, known)
            yield f"    if ({CHECKS[row].condition}) return {NAMES.index(row)};"
        yield from ("    return 0;", "}")
    yield from (_head(f"{stage}_check", ("order", *SIGNATURE[stage])), "{", "    switch (order) {")
    for number, name in enumerate(names):
        yield f"    case {number}: return {name}({', '.join(SIGNATURE[stage])});"
    yield from ("    }", "    return 0;", "}")
