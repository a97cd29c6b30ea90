"""Can every device of a domain interrupt every vCPU? The run behind `vsim run`, and a cell of a sweep.

Boots the small guest of a fresh domain, and sends from every device to every vCPU: the device's messages take turns,
and each is moved to its vCPU by a proper change of affinity first. A vCPU that no device could reach is unreached.
Everything is deterministic but the wall time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from vsim.domain.builder import Device, Domain
from vsim.guest.kernel import Guest, Source, Taken
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import REASON_TEXT
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.trace import Act, Event

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


class Wire:
    """Issues commands on a machine and counts the events, VM exits and round trips to QEMU apart."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.events, self.exits, self.round_trips = machine, 0, 0, 0

    def __call__(self, command: c.Command) -> list[Event]:
        """Do one command; its events."""
        events = step(self.machine, command)
        self.events += len(events)
        for event in events:
            if event.act == Act.VM_EXIT:
                self.exits += 1
            elif event.act == Act.ROUND_TRIP:
                self.round_trips += 1
        return events


@dataclass
class Result:
    """What a run found.

    refused: affinity changes that the guest's kernel did not make. by_device: interrupts delivered, by requester id.
    causes: for each vCPU the reasons why an interrupt did not reach it. tried, total: pairs of a device and a vCPU;
    fewer than all were tried when the run was stopped. seconds: wall time.
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
    tried: int = 0
    total: int = 0
    seconds: float = 0.0

    @property
    def vcpus(self) -> int:
        """Number of vCPUs of the domain."""
        return self.domain.machine.vcpus

    @property
    def stopped(self) -> bool:
        """Whether the run ended before everything was tried."""
        return self.tried < self.total

    @property
    def unreached(self) -> list[int]:
        """The vCPUs that no device could reach, ascending; of a run that was stopped, none that were not tried."""
        return [vcpu for vcpu in range(self.vcpus)
                if vcpu not in self.reached and (vcpu in self.causes or not self.stopped)]

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
            "tried": self.tried, "pairs": self.total, "virtual_ns": machine.clock, "seconds": round(self.seconds, 3)}


def run(domain: Domain, destination: str = "physical", progress: Progress | None = None,
        stop: Callable[[], bool] = lambda: False) -> Result:
    """Boot the guest of a fresh domain and send from every device to every vCPU.

    stop: asked before each interrupt whether to end with what is known by then.
    """
    start, wire = time.perf_counter(), Wire(domain.machine)
    result = Result(domain, Guest(wire, domain.platform, destination), wire)
    result.guest.boot()
    result.total = len(domain.devices) * result.vcpus
    for device, vcpu in product(domain.devices, range(result.vcpus)):
        if stop():
            break
        sources = result.guest.sources.get(device.bdf, [])
        if sources:
            _send(result, device, sources[vcpu % len(sources)], vcpu)
        else:
            _failed(result, vcpu, f"{device.label} has no interrupt that the guest could set up")
        result.tried += 1
        if progress:
            progress(result.tried, result.total)
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
