"""`vsim run FILE.cfg`: can every device of a domain interrupt every vCPU?

Builds the domain, boots the small guest, and sends from every device to every vCPU: the device's messages take turns,
and each is moved to its vCPU by a proper change of affinity first. A vCPU that no device could reach is unreached.
Everything is deterministic but the wall time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from vsim.domain.builder import Device, Domain, build
from vsim.guest.kernel import DESTINATIONS, Guest, Source, Taken
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import REASON_TEXT
from vsim.machine import step
from vsim.readers import lspci, xl
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import PROFILES
from vsim.state.trace import Act, Event

APIC_IDS = {"2n": 2, "n": 1}
"""Values of --apic-id: APIC ID of vCPU n, by the factor."""
Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


class Wire:
    """Issues commands on a machine and counts the events."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.events = machine, 0

    def __call__(self, command: c.Command) -> list[Event]:
        """Do one command; its events."""
        events = step(self.machine, command)
        self.events += len(events)
        return events


@dataclass
class Result:
    """What a run found.

    refused: affinity changes that the guest's kernel did not make. by_device: interrupts delivered, by requester id.
    causes: for each vCPU the reasons why an interrupt did not reach it. seconds: wall time.
    """

    domain: Domain
    guest: Guest
    wire: Wire
    sent: int = 0
    delivered: int = 0
    blocked: int = 0
    refused: int = 0
    by_device: Counter[int] = field(default_factory=Counter)
    reached: set[int] = field(default_factory=set)
    causes: dict[int, dict[str, None]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def vcpus(self) -> int:
        """Number of vCPUs of the domain."""
        return self.domain.machine.vcpus

    @property
    def unreached(self) -> list[int]:
        """The vCPUs that no device could reach, ascending."""
        return [vcpu for vcpu in range(self.vcpus) if vcpu not in self.reached]

    def why(self, vcpu: int) -> str:
        """Why a vCPU was not reached, as a sentence; "" for one that was."""
        if vcpu in self.reached:
            return ""
        causes = self.causes.get(vcpu) or {"the domain has no device that raises interrupts": None}
        return "; ".join(causes)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values; the keys of the command's --json."""
        machine = self.domain.machine
        return {
            "name": self.domain.config.name, "profile": machine.profile.name, "vcpus": self.vcpus,
            "devices": len(self.domain.devices), "sent": self.sent, "delivered": self.delivered,
            "blocked": self.blocked, "refused": self.refused, "unreached": self.unreached,
            "faults": [{"reason": f.reason, "index": f.index, "source": bdf_text(f.source)} for f in self.guest.faults],
            "why": {str(vcpu): self.why(vcpu) for vcpu in self.unreached},
            "strays": len(self.guest.strays), "remapping": self.guest.ways.remapping,
            "destination": "cluster" if self.guest.ways.clusters else "physical",
            "functions": [{"bdf": bdf_text(d.bdf), "host": bdf_text(d.host) if d.host is not None else None,
                           "name": d.name, "kind": d.kind, "messages": d.messages,
                           "delivered": self.by_device[d.bdf]} for d in self.domain.devices],
            "notes": list(self.domain.notes), "log": self.guest.log, "events": self.wire.events,
            "virtual_ns": machine.clock, "seconds": round(self.seconds, 3)}


def run(domain: Domain, destination: str = "physical", progress: Progress | None = None) -> Result:
    """Boot the guest of a fresh domain and send from every device to every vCPU."""
    start, wire = time.perf_counter(), Wire(domain.machine)
    result = Result(domain, Guest(wire, domain.platform, destination), wire)
    result.guest.boot()
    pairs = [(device, vcpu) for device in domain.devices for vcpu in range(result.vcpus)]
    for done, (device, vcpu) in enumerate(pairs, 1):
        sources = result.guest.sources.get(device.bdf, [])
        if sources:
            _send(result, device, sources[vcpu % len(sources)], vcpu)
        else:
            _failed(result, vcpu, f"{device.label} has no interrupt that the guest could set up")
        if progress:
            progress(done, len(pairs))
    result.seconds = time.perf_counter() - start
    return result


def _send(result: Result, device: Device, source: Source, vcpu: int) -> None:
    """One interrupt of a device to a vCPU; what became of it is counted."""
    refusal = result.guest.affinity(source, vcpu)
    if refusal:
        result.refused += 1
        _failed(result, vcpu, refusal)
        return
    events = result.wire(c.Intx(device.bdf, 1) if source.kind == "pin" else c.Signal(device.bdf, source.number))
    taken = result.guest.take(events)
    result.sent += 1
    if any(t.vcpu == vcpu and t.source is source for t in taken):
        result.delivered += 1
        result.by_device[device.bdf] += 1
        result.reached.add(vcpu)
        return
    blocked = next((event for event in events if event.act == Act.BLOCKED), None)
    result.blocked += blocked is not None
    _failed(result, vcpu, f"{device.label}: {_lost(blocked, taken)}")


def _lost(blocked: Event | None, taken: list[Taken]) -> str:
    if blocked:
        return f"blocked with fault {blocked.index:#x}, {REASON_TEXT.get(blocked.index, 'unknown')}"
    if taken:
        return f"delivered to vCPU {taken[0].vcpu} instead, vector {taken[0].vector:#x}"
    return "sent, and no vCPU took it"


def _failed(result: Result, vcpu: int, cause: str) -> None:
    result.causes.setdefault(vcpu, {})[cause] = None


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
    parser.add_argument("config", metavar="FILE.cfg", help="the domain, in the syntax of xl.cfg(5)")
    parser.add_argument("--lspci", metavar="FILE", help="`lspci -vvv` of the host that the pci list refers to")
    parser.add_argument("--profile", default="spec", choices=PROFILES, help="what the machine is made of")
    parser.add_argument("--apic-id", choices=APIC_IDS, help="APIC ID of vCPU n (default: as in the profile)")
    parser.add_argument("--destination", default="physical", choices=DESTINATIONS,
                        help="destination mode where 32-bit destinations are to be had")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the summary")
    parser.set_defaults(func=_main)


def _main(args: argparse.Namespace) -> int:
    """Exit status 0 when every vCPU was reached, 1 when not."""
    config = xl.load(args.config)
    host = lspci.load(args.lspci) if args.lspci else None
    domain = build(config, host, PROFILES[args.profile], APIC_IDS.get(args.apic_id))
    result = run(domain, args.destination, _progress() if sys.stderr.isatty() else None)
    print(json.dumps(result.to_dict()) if args.json else summary(result))
    return 1 if result.unreached else 0


def _progress() -> Progress:
    """A line on the terminal, renewed ten times a second, gone at the end."""
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if done == total:
            sys.stderr.write("\r\x1b[K")
        elif time.monotonic() - last >= 0.1:
            last = time.monotonic()
            sys.stderr.write(f"\r{done} of {total} interrupts\x1b[K")
        else:
            return
        sys.stderr.flush()

    return show


__all__ = ["Result", "ranges", "register", "run", "summary"]
