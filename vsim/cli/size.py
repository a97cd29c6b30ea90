"""`vsim size FILE.cfg`: which limit bites first when this domain grows, and the next ones, with who says so."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vsim.cli import values
from vsim.domain.builder import Domain, build
from vsim.readers import lspci, xl
from vsim.readers.source import shown
from vsim.scale.limits import (
    FIGURES,
    FORMATS,
    MAX_VCPUS,
    Demand,
    Use,
    crossing,
    figures,
    gathered,
    least_online,
    loads,
    sized,
)
from vsim.state.profile import PROFILES

MOST = 10**9
"""Queues, interrupts a second and microseconds that may be asked for."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim size`."""
    parser.add_argument("config", metavar="FILE.cfg", type=values.name, help="the domain, in the syntax of xl.cfg(5)")
    parser.add_argument("--lspci", metavar="FILE", type=values.name,
                        help="`lspci -vvv` of the host that the pci list refers to")
    parser.add_argument("--vcpus", type=values.count(1, MAX_VCPUS), metavar="N",
                        help="as many vCPUs instead of the file's")
    parser.add_argument("--queues", type=values.count(1, MOST), default=0, metavar="N",
                        help="queues that each device wants (default: one for each vCPU and one more)")
    parser.add_argument("--rate", type=values.count(0, MOST), default=0, metavar="N",
                        help="interrupts a second of each queue")
    parser.add_argument("--batch", type=values.count(0, MOST), default=0, metavar="US",
                        help="microseconds for which a device gathers events into one interrupt")
    parser.add_argument("--form", choices=FORMATS, help="how messages name a vCPU (default: as the file has it)")
    parser.add_argument("--set", dest="changes", action="append", default=[], type=_change, metavar="FIGURE=VALUE",
                        help=f"replace a figure: {', '.join(FIGURES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=_main)


def _change(text: str) -> tuple[str, int]:
    figure, _, given = text.partition("=")
    try:
        value = int(given, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {shown(text)}; allowed: FIGURE=VALUE with a whole number") from None
    try:
        figures({figure: value})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return figure, value


def demand_of(domain: Domain) -> Demand:
    """What a domain asks for when each device wants a queue for each vCPU."""
    config, m = domain.config, domain.machine
    wide = config.viommu is not None and config.viommu.intremap and config.viommu.x2apic
    form = "remapped" if wide else "extended" if m.profile.options.ext_dest else "compatibility"
    messages = tuple((device.messages, 0) for device in domain.devices if device.kind.startswith("msi"))
    pins = sum(device.kind == "pin" for device in domain.devices)
    return Demand(m.vcpus, messages, pins, m.profile.options.apic_id_step, form)


def _main(args: argparse.Namespace) -> int:
    """Exit status 0 when no limit bites, 1 when one does."""
    config = xl.load(args.config)
    domain = build(config, lspci.load(args.lspci) if args.lspci is not None else None, PROFILES["spec"])
    asked = demand_of(domain)
    asked = replace(asked, vcpus=args.vcpus or asked.vcpus, form=args.form or asked.form, rate=args.rate,
                    batch_us=args.batch, devices=tuple((announced, args.queues) for announced, _ in asked.devices))
    changes = dict(args.changes)
    rows = sized(asked, changes)
    print(json.dumps(_values(asked, rows, changes)) if args.json else "\n".join(_lines(asked, rows, changes)))
    return 1 if rows[0].use > 1 else 0


def _values(asked: Demand, rows: list[Use], changes: dict[str, int]) -> dict[str, Any]:
    known = figures(changes)
    return {
        "vcpus": asked.vcpus, "queues": asked.queues, "announced": asked.announced, "pins": asked.pins,
        "form": asked.form, "least_online": least_online(asked, changes),
        "limits": [{"name": row.limit.name, "need": row.need, "room": row.room, "bites": row.use > 1,
                    "bites_at_vcpus": crossing(asked, row.limit.name, changes),
                    "rests": {name: {"value": known[name], "grade": _grade(name, changes),
                                     "source": FIGURES[name].source} for name in row.limit.rests}} for row in rows],
        "loads": [load._asdict() for load in loads(asked)] if asked.rate else []}


def _grade(name: str, changes: dict[str, int]) -> str:
    return "given" if name in changes else FIGURES[name].grade


def _lines(asked: Demand, rows: list[Use], changes: dict[str, int]) -> Iterator[str]:
    known = figures(changes)
    yield (f"{asked.vcpus} vCPUs, {len(asked.devices)} devices with messages, {asked.queues} interrupts of "
           f"{asked.announced} announced, {asked.pins} pins, destinations: {asked.form}")
    for row in rows:
        mark = "BITES" if row.use > 1 else f"{100 * row.use:.3g} %"
        at = crossing(asked, row.limit.name, changes)
        yield (f"  {mark:>7}  {row.limit.name}: {row.need:,} of {row.room:,} {row.limit.sentence}"
               + (f"; bites from {at} vCPUs on" if at else "; never with more vCPUs alone"))
        if row.use > 1:
            yield f"           then {row.limit.bites}"
        yield from (f"           {known[name]} {FIGURES[name].meaning}: {_grade(name, changes)}, {FIGURES[name].source}"
                    for name in row.limit.rests)
    yield f"to take vCPUs offline: at least {least_online(asked, changes)} must stay to hold all interrupts"
    if asked.rate:
        yield from _rates(asked)


def _rates(asked: Demand) -> Iterator[str]:
    each = gathered(asked.rate, asked.batch_us)
    yield f"{asked.rate:,} interrupts a second and queue" + (f", {each:,} after gathering" if asked.batch_us else "")
    yield from (f"  {load.way}: {load.rate:,} a second, {load.exits:,} VM exits, {load.cpus:,} CPUs busy with it "
                "(costs assumed, see vsim.state.trace.ACTS)" for load in loads(asked))
