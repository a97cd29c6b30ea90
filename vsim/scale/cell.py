"""One cell of a sweep: a machine of these values, run, and the figures of it. Nothing but values goes in and comes out.

A cell is a function of its values, so it can be run in whatever process or order, twice or never.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from vsim.domain.builder import Domain, build
from vsim.domain.host import declared
from vsim.domain.host_policies import Link, link, passed_through
from vsim.guest.kernel import Guest
from vsim.layouts.bits import bdf_text, put
from vsim.layouts.registers import ECAP
from vsim.readers import lspci, xl
from vsim.readers.xl import Config
from vsim.scale.grid import AXES, Values
from vsim.scale.reach import Wire, run
from vsim.state.profile import Capabilities, Profile, profile
from vsim.storm.run import storm
from vsim.storm.workload import Source, Workload

MEMORY_MIB = 512
FIRST_SLOT = 0x0100
"""Requester id of the first device: bus 1, and so on, each on a bus of its own."""
UNIT_BASE = 0xFED90000
"""Register base of the host's first unit."""
FIGURES: dict[str, str] = {
    "viommus": "vIOMMUs of the domain", "unkept": "passed-through devices that lack what their vIOMMU promises",
    "reached": "vCPUs that a device interrupt reached", "sent": "interrupts sent by devices",
    "delivered": "interrupts that a local APIC took in", "merged": "interrupts that found their IRR bit set",
    "blocked": "interrupts that the unit refused", "refused": "affinity moves that the guest's kernel did not make",
    "faults": "fault records that the guest read, or interrupts refused in a storm",
    "vm_exits": "exits of the run", "round_trips": "round trips to QEMU", "virtual_us": "microseconds of machine time",
    "entries": "table entries in use after boot", "vectors_most": "most vectors of one vCPU after boot",
    "error": "why there are no figures"}
"""The figures of a cell, in the order of the columns after the axes; 0 where a figure does not apply."""


def chosen(values: Values) -> Profile:
    """The profile of a cell."""
    words = values["quirks"].split()
    base = profile(values["profile"]).with_options(apic_id_step=values["apic_id_step"], placement=values["placement"])
    return (base.with_quirks(*(word[1:] for word in words if word[0] == "+"))
            .without_quirks(*(word[1:] for word in words if word[0] == "-")))


def config(values: Values) -> Config:
    """The configuration of a cell: the text that came with it, or one of its axes."""
    if values["config"]:
        return xl.parse(values["text"], values["config"])
    pci = ", ".join(f'"{bdf_text(bdf)}"' for bdf in _slots(values["devices"]))
    viommu = 'viommu = "type=vtd,intremap=1,x2apic=1"\n' if values["viommu"] else ""
    return xl.parse(f'name = "cell"\ntype = "hvm"\nvcpus = {values["vcpus"]}\nmemory = {MEMORY_MIB}\n'
                    f'{viommu}pci = [{pci}]\n', "cell")


def _slots(devices: int) -> list[int]:
    return [FIRST_SLOT + (n << 8) for n in range(devices)]


def plan(values: Values, passed: list[int]) -> Link | None:
    """The vIOMMUs that stand for the host's units; None where there is one of the device model's own.

    The devices that are passed through are behind the host's units by turns.
    """
    count = values["host_units"]
    if count == 1 and not values["weak_units"] and values["policy"] == "unlinked":
        return None
    strong, weak = Capabilities().having(posting=True), Capabilities().having(posting=False, eim=False)
    strong = replace(strong, ecap=put(strong.ecap, ECAP.sc, 1))
    kinds = [weak if n >= count - values["weak_units"] else strong for n in range(count)]
    units = [(UNIT_BASE + 0x1000 * n, passed[n::count], kind.cap, kind.ecap) for n, kind in enumerate(kinds)]
    return link(declared(*units), values["policy"], passed)


def domain(values: Values) -> Domain:
    """The domain of a cell before its guest boots. ValueError when the hypervisor refuses the unit."""
    wanted = config(values)
    host = None if values["config"] else lspci.Host(tuple(
        lspci.HostFunction(bdf, msix_count=values["queues"], pcie_type=lspci.ENDPOINT)
        for bdf in _slots(values["devices"])))
    return build(wanted, host, chosen(values), link=plan(values, [each.bdf for each in wanted.pci]))


def cell(values: Values) -> Values:
    """The row of a cell: its values, then a figure for each name of `FIGURES`. What fails is a row with its error."""
    row: Values = {name: values[name] for name in (*AXES, "seed")} | dict.fromkeys(FIGURES, 0) | {"error": ""}
    try:
        built = domain(values)
        row |= _decided(built) if values["config"] else {}
        return row | _promises(values, built) | (_storm if values["mode"] == "storm" else _run)(values, built)
    except ValueError as error:
        return row | {"error": str(error)}


def _decided(built: Domain) -> Values:
    """What a configuration decided, in place of the axes' values."""
    return {"vcpus": built.machine.vcpus, "viommu": built.config.viommu is not None, "devices": len(built.config.pci),
            "queues": max((device.messages for device in built.devices if device.host is not None), default=0)}


def _promises(values: Values, built: Domain) -> Values:
    there = sum(built.machine.live(unit) for unit in range(built.machine.units))
    passed = [each.bdf for each in built.config.pci]
    made = plan(values, passed) if there else None
    return {"viommus": there, "unkept": sum(bool(passed_through(made, bdf).value) for bdf in passed) if made else 0}


def _run(values: Values, built: Domain) -> Values:
    """Every device to every vCPU."""
    result = run(built, values["destination"])
    return {"reached": len(result.reached), "sent": result.sent, "delivered": result.delivered,
            "blocked": result.blocked, "refused": result.refused, "faults": len(result.guest.faults),
            **_figures(result.guest, result.wire)}


def _storm(values: Values, built: Domain) -> Values:
    """All messages at random, handlers after each round."""
    wire = Wire(built.machine)
    guest = Guest(wire, built.platform, values["destination"])
    guest.boot()
    sources = tuple(Source(bdf, tuple(guest.ways.message(each) for each in found))
                    for bdf, found in guest.sources.items() if found)
    if not sources:
        return {"error": "no device has an interrupt that the guest could set up"}
    done = storm(built.machine, Workload(sources, values["rate"], values["rounds"], values["affinity"],
                                         values["moves"], values["seed"]))
    return {"reached": sum(count > 0 for count in done.delivered), "sent": done.sent,
            "delivered": sum(done.delivered), "merged": sum(done.merged), "blocked": done.blocked,
            "faults": sum(done.faults.values()), **_figures(guest, wire)}


def _figures(guest: Guest, wire: Wire) -> Values:
    """What a guest uses, and what its machine went through; exits of a storm itself are not counted."""
    found = [source for each in guest.sources.values() for source in each]
    vectors = Counter(source.vcpu for source in found)
    return {"vm_exits": wire.exits, "round_trips": wire.round_trips, "virtual_us": wire.machine.clock // 1000,
            "entries": len(found) if guest.ways.remapping else 0, "vectors_most": max(vectors.values(), default=0)}
