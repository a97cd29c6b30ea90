"""`vsim bench --browser [--json]`: the live kit measured in headless Chromium, beside what it is meant to reach.

`vsim bench --browser --tasks`: five tasks played with a person's clicks, which are counted.
`vsim bench --film FILE`: the same kit filmed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

FAILED, BAD_INPUT = 1, 2
"""Exit status when the measuring failed, and when something that it needs is not there."""


class Aim(NamedTuple):
    """A figure: what it is, its unit, and what is to be reached, by the keys of `measure`. most: else at least."""

    what: str
    unit: str
    reach: dict[str, float]
    most: bool = True


AIMS = {
    "fps": Aim("frames painted", "a second", {"1024@1000": 59, "1024@3000": 59, "4096@3000": 59}, most=False),
    "frame_ms_p95": Aim("95% of frames within", "ms", {"1024@1000": 20, "1024@3000": 20, "4096@3000": 20}),
    "bytes_per_1000": Aim("kernel to page, 1,000 interrupts", "bytes", {"": 20_000}),
    "click_ms_median": Aim('click "fire" to changed pixel', "ms", {"": 40}),
    "forecast_ms_median": Aim("a bit flipped to its forecast", "ms", {"": 60}),
    "fault_ms_median": Aim('click "◀ fault" to changed pixel', "ms", {"": 150}),
    "kernel_cpu": Aim("kernel at 1,000 interrupts/s", "of a core", {"": 0.10}),
    "first_picture_s": Aim("`lab` in a cell to first picture", "s", {"": 1.5}),
    "kernel_rss_mb": Aim("kernel with the bench open", "MB", {"": 250}),
    "growth_mb": Aim("growth in a long storm", "MB", {"page": 20, "kernel": 20}),
}
"""What people ask for first; the JSON has more. Keys of fps and frame_ms_p95: vLAPICs@interrupts a second."""


def main(args: argparse.Namespace) -> int:
    """Measure and print, or film; the exit status.

    args: `json`, `seconds` of the storm or None for the normal run, `tasks`, `film` a file's name or None.
    """
    asked = "--browser" if args.film is None else "--film"
    missing = lacking() or _no_film(args.film)
    if missing:
        print(f"vsim bench {asked}: {missing}", file=sys.stderr)
        return BAD_INPUT
    signal.signal(signal.SIGTERM, _end)  # what was started is ended on the way out
    try:
        if args.film is not None:
            return film(args.film)
        tell = _say if not args.json or sys.stderr.isatty() else lambda what: None
        if args.tasks:
            return tasks(args.json, tell)
        figures = measure(args.seconds, tell)
    except RuntimeError as error:  # the server, a kernel or a cell
        print(f"vsim bench {asked}: {error}", file=sys.stderr)
        return FAILED
    print(json.dumps(figures) if args.json else "\n".join(table(figures)))
    return 0


def lacking() -> str:
    """What is not installed, in a sentence; "" when all is there."""
    from widgets.bench.browser import chromium

    if find_spec("playwright") is None:
        return "needs playwright: python -m pip install playwright"
    return "" if chromium() else "found no Chromium: install it, e.g. Debian's package chromium"


def _no_film(file: str | None) -> str:
    """Why no film can be written to this file; "" when it can, or none is asked for."""
    from widgets.stills import film_file

    if file is None:
        return ""
    try:
        film_file.kind(file)
    except ValueError as error:
        return str(error)
    return "" if Path(file).resolve().parent.is_dir() else f"no folder {Path(file).resolve().parent}"


def film(file: str) -> int:
    """Film the bench into a file; the exit status. RuntimeError when the server, the kernel or a cell fails."""
    from widgets.bench import film as bench_film

    bench_film.write(file, _say)
    print(f"{file}: {Path(file).stat().st_size:,} bytes")
    return 0


def tasks(as_json: bool, tell: Callable[[str], None]) -> int:
    """Play the tasks and print what they took; the exit status."""
    from widgets.bench import tasks as bench_tasks

    played = bench_tasks.play(tell)
    print(json.dumps({"tasks": played}) if as_json else "\n".join(bench_tasks.table(played)))
    return 0


def measure(seconds: float | None = None, tell: Callable[[str], None] = lambda what: None) -> dict[str, Any]:
    """All figures. seconds: length of the storm, by default three minutes; a shorter one shortens the rest as well."""
    from widgets.bench import browser as bench_browser
    from widgets.bench import notebook as bench_lab

    short = seconds is not None and seconds < bench_lab.SECONDS
    begun = os.getloadavg() if hasattr(os, "getloadavg") else ()
    tell("frames a second of the map alone")
    out = bench_browser.measure(*((min(5.0, seconds), 1.0) if short and seconds else ()))
    out |= bench_lab.measure(seconds or bench_lab.SECONDS, 5 if short else bench_lab.CLICKS,
                             2 if short else bench_lab.PICTURES, tell)
    return out | {"machine": {"cores": os.cpu_count(), "load": [round(each, 1) for each in begun]}}


def table(figures: dict[str, Any]) -> Iterator[str]:
    """A line for each figure that has an aim, and one for the computer."""
    for key, aim in AIMS.items():
        found = figures[key] if isinstance(figures[key], dict) else {"": figures[key]}
        for name, value in found.items():
            yield f"{f'{aim.what} {name}'.strip():46}{value:>12,} {aim.unit:10}{_verdict(aim, name, value)}"
    machine = figures["machine"]
    load = f", load {machine['load'][0]} when it began" if machine["load"] else ""
    yield f"\n{machine['cores']} cores{load}"


def _verdict(aim: Aim, name: str, value: float) -> str:
    if name not in aim.reach:
        return ""
    limit = aim.reach[name]
    good = value <= limit if aim.most else value >= limit
    return f"{'reached' if good else 'MISSED'} ({'at most' if aim.most else 'at least'} {limit:,})"


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)
