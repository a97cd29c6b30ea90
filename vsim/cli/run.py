"""`vsim run FILE.cfg`: can every device of a domain interrupt every vCPU?

What is run is in `scale/reach`; here are the command and its words.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator

from vsim.cli import values
from vsim.cli.entry import INTERRUPTED
from vsim.cli.waiting import CtrlC, progress
from vsim.domain.builder import build
from vsim.guest.kernel import DESTINATIONS
from vsim.readers import lspci, xl
from vsim.scale.reach import Result, run
from vsim.state.profile import PROFILES

APIC_IDS = {"2n": 2, "n": 1}
"""Values of --apic-id: APIC ID of vCPU n, by the factor."""

# --- text ---


def ranges(numbers: list[int]) -> str:
    """Ascending numbers in short, e.g. "0-3, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def summary(result: Result) -> str:
    """The result for people, a fact a line."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    domain, guest, machine = result.domain, result.guest, result.domain.machine
    yield (f"{domain.config.name}: {result.vcpus} vCPUs, APIC IDs 0 to {machine.apic_id[-1]}, profile "
           f"{machine.profile.name}")
    way = "through remapping entries" if guest.ways.remapping else "in compatibility format"
    yield f"messages {way}, {'cluster (logical)' if guest.ways.clusters else 'physical'} destinations"
    for device in domain.devices:
        kind = {"pin": "1 pin", "none": "no interrupt"}.get(device.kind, f"{device.messages} {device.kind}")
        yield f"  {device.label}: {kind}; reached {result.by_device[device.bdf]} of {result.vcpus} vCPUs"
    yield (f"sent {result.sent}, delivered {result.delivered}, blocked {result.blocked}, "
           f"refused by the guest {result.refused}, strays {len(guest.strays)}")
    if result.stopped:
        yield f"stopped: {result.tried} of {result.total} pairs of a device and a vCPU were tried"
    yield f"reached {len(result.reached)} of {result.vcpus} vCPUs"
    yield from _unreached(result)
    yield f"faults {len(guest.faults)}"
    yield from (f"  {count} x {fault}" for fault, count in Counter(map(str, guest.faults)).items())
    yield from (f"note: {note}" for note in domain.notes)
    if domain.config.unknown:
        yield "not used: " + ", ".join(f"{key} (line {line})" for key, line in domain.config.unknown)
    yield f"{result.wire.events} events, {machine.clock / 1e6:.3f} ms of virtual time, {result.seconds:.2f} s"


def _unreached(result: Result) -> Iterator[str]:
    """The unreached vCPUs, those with the same reason together."""
    groups: dict[str, list[int]] = {}
    for vcpu in result.unreached:
        own = f"APIC ID {result.domain.machine.apic_id[vcpu]} is "
        groups.setdefault(result.why(vcpu).replace(own, ""), []).append(vcpu)
    for cause, vcpus in groups.items():
        ids = [result.domain.machine.apic_id[vcpu] for vcpu in vcpus]
        span = f"APIC ID {ids[0]}" if len(ids) == 1 else f"APIC IDs {ids[0]} to {ids[-1]}"
        yield f"  not reached: vCPU {ranges(vcpus)} ({len(vcpus)}), {span}: {cause}"


# --- the command ---


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim run`."""
    parser.add_argument("config", metavar="FILE.cfg", type=values.name, help="the domain, in the syntax of xl.cfg(5)")
    parser.add_argument("--lspci", metavar="FILE", type=values.name,
                        help="`lspci -vvv` of the host that the pci list refers to")
    parser.add_argument("--profile", default="spec", choices=PROFILES, help="what the machine is made of")
    parser.add_argument("--apic-id", choices=APIC_IDS, help="APIC ID of vCPU n (default: as in the profile)")
    parser.add_argument("--destination", default="physical", choices=DESTINATIONS,
                        help="destination mode where 32-bit destinations are to be had")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the summary")
    parser.set_defaults(func=_main)


def _main(args: argparse.Namespace) -> int:
    """Exit status 0 when every vCPU was reached, 1 when not, 130 when Ctrl-C ended it early."""
    base = PROFILES[args.profile]
    config = xl.load(args.config, base.options.interface)
    host = lspci.load(args.lspci) if args.lspci is not None else None
    domain = build(config, host, base, APIC_IDS.get(args.apic_id))
    with CtrlC() as ctrl_c:
        result = run(domain, args.destination, progress("interrupts"), ctrl_c.wanted)
    print(json.dumps(result.to_dict()) if args.json else summary(result))
    return INTERRUPTED if result.stopped else 1 if result.unreached else 0


__all__ = ["Result", "ranges", "register", "run", "summary"]
