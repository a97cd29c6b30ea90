"""`vsim bench [--json]`: how fast the simulator is on this computer.

Everything is measured in one run: a step (one MSI through its table entry to the local APIC that accepts it), an
explanation, storms by every engine, undo, imports, the size of the state, and, as a yardstick, the same four stages
written as processes of SimPy, a general simulation library, where that is installed. The compiled loops of a storm
have a yardstick of their own: the same in C, where there is a compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, entry_points, version
from statistics import median
from time import perf_counter, perf_counter_ns, process_time_ns
from typing import Any

from vsim.cli import values, yardstick
from vsim.devices import viommu
from vsim.explain import interrupt as explain
from vsim.history.log import History
from vsim.layouts.formats import IRTE, remap_message
from vsim.layouts.registers import APIC_BASE_MSR, APIC_MSR, GCMD, IRTA, OFFSET, SVR
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Latch, Machine
from vsim.state.profile import profile
from vsim.storm import in_c
from vsim.storm.engines import NEEDS, Engine, engine, importable, missing
from vsim.storm.run import Source, Workload, storm
from vsim.storm.view import View

NIC = 0x0300
SIZES = (8, 288, 1024, 4096)
"""Numbers of vLAPICs at which a step is measured."""
STORM_VCPUS, STORM_VECTORS, STORM_MOVES = 512, 32, 4
"""A storm's machine, with a message for each vector of each vCPU, all sent once a round; affinity moves of a round."""
ROUNDS = {"compiled": 500, "vectorised": 40, "interpreted": 10}
"""Rounds of a storm by engine: about a second each."""
PAIRS = 200
"""Rounds in which the compiled loops and those in C take turns."""
TABLE, QUEUE = 0x100000, 0x80000
FIRST_VECTOR = 0x30
BROWSER = "vsim.bench"
"""Entry point group: its `browser` measures or films what is drawn, which vsim itself never imports."""


def register(parser: argparse.ArgumentParser) -> None:
    """Measure the simulator on this computer."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--effort", type=values.number(0.001, 100), default=1.0, metavar="X",
                        help="how long to measure: 1 is about a quarter of a minute, 0.01 only shows that all works")
    parser.add_argument("--browser", action="store_true",
                        help="measure the live kit instead, in headless Chromium and a JupyterLab of its own")
    parser.add_argument("--seconds", type=values.number(1, 3600), metavar="S",
                        help="with --browser: length of its storm (default: 180); a shorter one shortens all of it")
    parser.add_argument("--tasks", action="store_true",
                        help="with --browser: play five tasks with a person's clicks, and count clicks and scrolls")
    parser.add_argument("--film", metavar="FILE", type=values.name,
                        help="film the live kit instead, into a .gif (or .mp4, with ffmpeg)")
    parser.set_defaults(func=_main)


def _main(args: argparse.Namespace) -> int:
    if args.browser or args.film is not None:
        return _in_browser(args)
    if args.tasks or args.seconds is not None:
        raise values.Misused("bench: --seconds and --tasks go with --browser")
    tell = Progress() if not args.json or sys.stderr.isatty() else lambda what: None
    figures = measure(args.effort, tell)
    print(json.dumps(figures) if args.json else table(figures))
    return 0


def _in_browser(args: argparse.Namespace) -> int:
    """Hand over to the package that draws."""
    found = tuple(entry_points(group=BROWSER, name="browser"))
    if not found:
        print(f"vsim bench {'--browser' if args.film is None else '--film'}: not available in this installation: "
              "no package drives a browser", file=sys.stderr)
        return 2
    status: int = found[0].load()(args)
    return status


class Progress:
    """Says on standard error what is being measured."""

    def __call__(self, what: str) -> None:
        """One line."""
        print(f"... {what}", file=sys.stderr, flush=True)


# --- what is measured ---


def measure(effort: float = 1.0, tell: Callable[[str], None] = lambda what: None) -> dict[str, Any]:
    """All figures by name, as JSON values; null for what this computer has no library for. effort: 1 is normal."""
    out: dict[str, Any] = {"machine": facts()}
    tell("steps")
    machines = {size: busy(size) for size in SIZES}
    out["step_us"], out["step_us_untraced"] = steps(machines, _times(16000, effort))
    out["explain_us"] = explained(machines[288], _times(400, effort))
    out["state_bytes"] = {str(size): m.size() for size, m in machines.items()}
    tell("undo")
    out["undo_ms"] = undone(machines[SIZES[-1]], _times(100, effort))
    for name in NEEDS:
        if name in ROUNDS:
            tell(f"a storm, {name}")
            out.setdefault("storm_per_s", {})[name], first = stormed(name, _times(ROUNDS[name], effort))
            if name == "compiled":
                out["compile_s"] = first
    tell("the same loops in C")
    out["loop_ns"], _ = beside_c(_times(PAIRS, effort))
    tell("imports")
    out["import_ms"] = imported("vsim", _times(7, effort))
    out["import_machine_ms"] = imported("vsim.machine", _times(7, effort))
    tell("the yardstick")
    out["yardstick_per_s"] = yard(_times(40000, effort))
    return out | {"ratios": ratios(out), "loop_ratio": loop_ratio(out["loop_ns"])}


def _times(normal: int, effort: float) -> int:
    return max(1, round(normal * effort))


def facts() -> dict[str, Any]:
    """What the figures were measured with; null for a library that is not installed."""
    return {"python": platform.python_version(), "implementation": platform.python_implementation(),
            "system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count(),
            "numpy": _version("numpy"), "numba": _version("numba"), yardstick.LIBRARY: _version(yardstick.LIBRARY)}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def busy(vcpus: int, messages: int = 256) -> Machine:
    """A machine whose x2APICs and unit a guest has switched on, with `messages` entries of the NIC all over them.

    Entry n leads to vCPU n modulo vcpus with vector FIRST_VECTOR + n // vcpus; of 256 entries the vCPUs are spread.
    """
    m = Machine(profile("spec"), vcpus=vcpus)
    step(m, c.Domctl(viommu.create_op(version=m.profile.options.interface)))
    for vcpu in range(vcpus):
        step(m, c.Msr(vcpu, APIC_BASE_MSR, m.apic_base[vcpu] | 0xC00), trace=False)
        step(m, c.Msr(vcpu, APIC_MSR["SVR"], SVR.make(enable=1, vector=0xFF)), trace=False)
    entries = b"".join(entry(m, n, messages).to_bytes(16, "little") for n in range(messages))
    for at in range(0, len(entries), 4096):
        step(m, c.RamWrite(TABLE + at, entries[at:at + 4096]), trace=False)
    page = m.latch[Latch.MMIO_BASE]
    for register, width, value in (("IRTA", 8, TABLE | IRTA.eime.mask | 15), ("GCMD", 4, GCMD.sirtp.mask),
                                   ("IQA", 8, QUEUE), ("GCMD", 4, GCMD.qie.mask),
                                   ("GCMD", 4, GCMD.qie.mask | GCMD.ire.mask)):
        step(m, c.Mmio(page + OFFSET[register], width, value))
    return m


def entry(m: Machine, n: int, messages: int) -> int:
    """The n-th entry of `busy`."""
    vcpu = n % m.vcpus if messages > m.vcpus else n * m.vcpus // messages
    return IRTE.make(p=1, vector=FIRST_VECTOR + n // m.vcpus, dst=m.apic_id[vcpu], sid=NIC, svt=1)


def steps(machines: dict[int, Machine], times: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median microseconds of a step by number of vLAPICs: traced, and with tracing off.

    The machines take turns, so that whatever else the computer does meets all of them. Entries are cached, and each
    interrupt is accepted: handlers run between the turns.
    """
    messages = [c.Msi(NIC, *remap_message(n)) for n in range(256)]
    spans: dict[tuple[int, bool], list[int]] = {(size, trace): [] for size in machines for trace in (True, False)}
    for _ in range(-(-times // len(messages))):
        for (size, trace), out in spans.items():
            m = machines[size]
            for message in messages:
                begin = perf_counter_ns()
                step(m, message, trace)
                out.append(perf_counter_ns() - begin)
            serve(m)
    found = {key: round(median(out) / 1000, 3) for key, out in spans.items()}
    return ({str(size): found[size, True] for size in machines}, {str(size): found[size, False] for size in machines})


def serve(m: Machine) -> None:
    """Handlers take and end all that is pending."""
    storm(m, Workload((Source(NIC, (remap_message(0),)),), requests=0), "interpreted")


def explained(m: Machine, times: int) -> float:
    """Median microseconds of the checks of one interrupt with their operands."""
    address, data = remap_message(3)
    return round(1e6 * _median(lambda: explain.why(m, 0, NIC, address, data), times), 3)


def undone(m: Machine, times: int) -> float:
    """Median milliseconds of undoing one interrupt."""
    history = History(m)
    spans = []
    for n in range(times):
        history.issue(c.Msi(NIC, *remap_message(n % 256)))
        begin = perf_counter()
        history.undo()
        spans.append(perf_counter() - begin)
        history.redo()
    return round(1e3 * median(spans), 3)


def _median(work: Callable[[], Any], times: int) -> float:
    spans = []
    for _ in range(times):
        begin = perf_counter()
        work()
        spans.append(perf_counter() - begin)
    return median(spans)


def stormed(name: str, rounds: int) -> tuple[float | None, float | None]:
    """Interrupts a second of a storm, all of it, by an engine; and seconds of compiling. None where it is missing."""
    if missing(name):
        return None, None
    number = STORM_VCPUS * STORM_VECTORS
    m = busy(STORM_VCPUS, number)
    source = Source(NIC, tuple(remap_message(n) for n in range(number)))
    first = _storm(m.copy(), source, name, 1)
    again = _storm(m.copy(), source, name, 1)
    seconds = _storm(m, source, name, rounds)
    return round(rounds * number / seconds), round(max(0.0, first - again), 3)


def beside_c(pairs: int) -> tuple[dict[str, float | None], dict[str, View]]:
    """Nanoseconds of processor time that one interrupt takes inside the loops, compiled and in C; None without one.

    Requests and handlers of a round by the one, then by the other, so that whatever else the computer does meets both;
    the best round of each counts. And the views of the two machines, which end equal.
    """
    number = STORM_VCPUS * STORM_VECTORS
    workload = Workload((Source(NIC, tuple(remap_message(n) for n in range(number))),), requests=number)
    m, best, views = busy(STORM_VCPUS, number), dict[str, float](), dict[str, View]()
    engines = {"compiled": None if missing("compiled") else engine("compiled"),
               "C": None if in_c.missing() else in_c.engine()}
    there = {name: each for name, each in engines.items() if each is not None}
    for turn in range(pairs + 1):  # the first compiles
        for name, each in there.items():
            if turn == 0:
                views[name] = View(m.copy(), workload.slots, workload.wheel())
            spent = _round(each, views[name], turn * number, number)
            best[name] = min(spent, best[name]) if turn > 1 else spent
    return {name: round(best[name] / number, 2) if name in best else None for name in engines}, views


def _round(by: Engine, view: View, n: int, number: int) -> int:
    """Nanoseconds of processor time of one round of the loops."""
    unit, apics = view.arrays(by.wrap)
    begin = process_time_ns()
    by.requests(n, n + number, unit, apics)
    by.handlers(0, 0, apics)
    spent = process_time_ns() - begin
    del unit, apics  # an array that is viewed cannot grow
    view.settle()
    return spent


def loop_ratio(loop_ns: dict[str, float | None]) -> float | None:
    """How many times as long as in C the compiled loops take; None without either."""
    ours, theirs = loop_ns["compiled"], loop_ns["C"]
    return round(ours / theirs, 2) if ours and theirs else None


def _storm(m: Machine, source: Source, name: str, rounds: int) -> float:
    number = len(source.messages)
    workload = Workload((source,), requests=number, rounds=rounds, policy="round-robin", moves=STORM_MOVES)
    begin = perf_counter()
    storm(m, workload, name)
    return perf_counter() - begin


def imported(module: str, times: int) -> float:
    """Median milliseconds of an import in a Python of its own, without the start of that Python."""
    code = f"from time import perf_counter as t; b = t(); import {module}; print(t() - b)"
    spans = []
    for _ in range(times):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        spans.append(float(done.stdout))
    return round(1e3 * median(spans), 3)


def yard(interrupts: int) -> float | None:
    """Interrupts a second of the yardstick; None where its library is missing."""
    if not importable(yardstick.LIBRARY):
        return None
    begin = perf_counter()
    yardstick.run(interrupts)
    return round(interrupts / (perf_counter() - begin))


def ratios(figures: dict[str, Any]) -> dict[str, float | None]:
    """How many times as fast as the yardstick: a traced step at 288 vLAPICs, and each storm; None without either."""
    base = figures["yardstick_per_s"]
    speeds = {"step": 1e6 / figures["step_us"]["288"], **figures["storm_per_s"]}
    return {name: round(speed / base, 2) if speed and base else None for name, speed in speeds.items()}


# --- for people ---

UNITS = {
    "step_us": ("one traced MSI, by vLAPICs", "µs"), "step_us_untraced": ("the same, not traced", "µs"),
    "explain_us": ("one explanation", "µs"), "undo_ms": ("one undo at 4,096 vLAPICs", "ms"),
    "storm_per_s": ("interrupts of a storm", "a second"), "compile_s": ("compiling the storm", "s"),
    "loop_ns": ("an interrupt inside the loops of a storm", "ns"),
    "loop_ratio": ("compiled loops, as long as in C", "times"),
    "import_ms": ("import vsim", "ms"), "import_machine_ms": ("import vsim.machine", "ms"),
    "state_bytes": ("state, by vLAPICs", "bytes"),
    "yardstick_per_s": ("yardstick: the same in SimPy", "a second"),
    "ratios": ("as fast as the yardstick", "times")}
"""What each figure is, and its unit."""


def table(figures: dict[str, Any]) -> str:
    """The figures as lines."""
    known = ", ".join(f"{name} {value or 'not installed'}" for name, value in figures["machine"].items())
    return "\n".join([known, "", *(line for name in UNITS for line in _lines(name, figures[name]))])


def _lines(name: str, found: Any) -> Iterable[str]:
    what, unit = UNITS[name]
    if isinstance(found, dict):
        yield f"{what}:"
        for each, value in found.items():
            yield f"  {each:>38} {_number(value)} {unit}"
    else:
        yield f"{what:40} {_number(found)} {unit}"


def _number(value: float | None) -> str:
    return f"{'n/a':>14}" if value is None else f"{value:>14,}"
