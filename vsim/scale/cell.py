"""One cell of a sweep: a machine of these values, run, and the figures of it. Nothing but values goes in and comes out.

A cell is a function of its values, so it can be run in whatever process or order, twice or never.
"""

from __future__ import annotations

from collections import Counter

from vsim.devices import viommu
from vsim.domain import acpi, builder
from vsim.domain.builder import Device, Domain
from vsim.guest.kernel import Guest
from vsim.readers import xl
from vsim.readers.xl import Config
from vsim.scale.grid import Values
from vsim.scale.reach import Wire, run
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import Profile, profile
from vsim.state.trace import Act
from vsim.storm.run import storm
from vsim.storm.workload import Source, Workload

MEMORY_MIB = 512
FIRST_SLOT = 0x0100
"""Requester id of the first device: bus 1, and so on, each on a bus of its own."""
FIGURES: dict[str, str] = {
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


def domain(values: Values) -> Domain:
    """The domain of a cell before its guest boots. ValueError when the hypervisor refuses the unit."""
    functions = [Function(FIRST_SLOT + (n << 8), f"device {n}", passthrough=True, msix_count=values["queues"])
                 for n in range(values["devices"])]
    m = Machine(chosen(values), values["vcpus"], MEMORY_MIB << 20, Bus(functions))
    wire, done = Wire(m), []
    if values["viommu"]:
        done.append(c.Domctl(viommu.create_op(version=m.profile.options.interface)))
        failed = next(event.index for event in wire(done[0]) if event.act == Act.DOMCTL)
        if failed:
            raise ValueError(f"the hypervisor refuses the vIOMMU with errno {failed}")
    dmar = acpi.dmar_of(m)
    if dmar:
        wire(c.RamWrite(builder.DMAR_AT, dmar))
    devices = tuple(Device(f.bdf, f.bdf, f.name, "msi-x", f.msix_count) for f in functions)
    return Domain(_config(values), m, devices, tuple(done), (), dmar, acpi.madt_of(m))


def _config(values: Values) -> Config:
    return xl.parse(f'name = "cell"\ntype = "hvm"\nvcpus = {values["vcpus"]}\nmemory = {MEMORY_MIB}\n', "cell")


def cell(values: Values) -> Values:
    """The row of a cell: its values, then a figure for each name of `FIGURES`. What fails is a row with its error."""
    row: Values = dict(values) | dict.fromkeys(FIGURES, 0) | {"error": ""}
    try:
        return row | (_storm(values) if values["mode"] == "storm" else _run(values))
    except ValueError as error:
        return row | {"error": str(error)}


def _run(values: Values) -> Values:
    """Every device to every vCPU."""
    result = run(domain(values), values["destination"])
    return {"reached": len(result.reached), "sent": result.sent, "delivered": result.delivered,
            "blocked": result.blocked, "refused": result.refused, "faults": len(result.guest.faults),
            **_figures(result.guest, result.wire)}


def _storm(values: Values) -> Values:
    """All messages at random, handlers after each round."""
    built = domain(values)
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
