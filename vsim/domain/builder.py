"""A machine from a configuration: what `xl create` would build, ready for its guest to boot.

    domain = build(xl.load("big.cfg"), lspci.load("big.lspci"))
    guest = Guest(lambda command: step(domain.machine, command), domain.platform)

Where functions sit in the guest is said in `buses`; what a vIOMMU stands for on the host, in `host_policies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from vsim.devices import viommu
from vsim.domain import acpi
from vsim.domain.buses import FIRST_SLOT, Buses, Device
from vsim.domain.host_policies import Link
from vsim.domain.platform import Platform
from vsim.layouts.bits import bdf_text
from vsim.layouts.given import a, whole
from vsim.machine import step
from vsim.readers import acpi_madt
from vsim.readers.lspci import Host
from vsim.readers.xl import Config, ConfigError, Emulated, PciAssign, ViommuConfig
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.pci import Bus
from vsim.state.profile import PROFILES, Profile
from vsim.state.trace import Act

__all__ = ["DMAR_AT", "FIRST_SLOT", "MIB", "NEEDED", "Device", "Domain", "build"]

DMAR_AT = 0x000EA000
"""Guest-physical address at which the toolstack leaves the DMAR table: among the tables of the firmware."""
MIB = 1 << 20
NEEDED = 3 * MIB
"""Memory, in bytes, below which a guest has no room for its remapping table (1 MiB) and the rest; for one unit."""

MAX_REMARKS = 20
"""Remarks on the host's text that a domain's notes repeat."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain before its guest boots. commands: what the toolstack did to `machine`. notes: what was assumed.

    dmar, madt: the ACPI tables that the toolstack makes; dmar has no bytes where there is none.
    """

    config: Config
    machine: Machine
    devices: tuple[Device, ...]
    commands: tuple[commands.Command, ...]
    notes: tuple[str, ...]
    dmar: bytes
    madt: bytes

    @property
    def platform(self) -> Platform:
        """What the guest finds out about its machine: the APIC IDs are those of the MADT, wrong ones included."""
        ids = acpi_madt.parse(self.madt).apic_ids
        return replace(Platform.of(self.machine, DMAR_AT if self.dmar else 0), apic_ids=ids)


def build(config: Config, host: Host | None = None, profile: Profile | None = None,
          apic_id_step: int | None = None, link: Link | None = None) -> Domain:
    """The domain of a configuration.

    host: what its passed-through functions can do; without it each counts as having 32 MSI-X messages, and a note
    says so. profile: "spec" when None. apic_id_step: APIC ID of vCPU n is n times this; None: as the profile has it.
    link: the vIOMMUs, where they stand for units of the host; they follow one another in memory from the base of
    the `viommu` option on. Raises ConfigError, at the option's place, for functions that do not fit on the guest's
    buses, too little memory, or a vIOMMU that the hypervisor refuses.
    """
    _check_given(config, host, profile, apic_id_step, link)
    units = link.units if link and config.viommu else ()
    base = _profiled(config, profile or PROFILES["spec"], apic_id_step, len(units))
    if link and units:
        base = base.with_units(*link.capabilities(base.capabilities))
    _check_memory(config, max(1, len(units)))
    buses = Buses(config, host)
    buses.pass_through()
    buses.emulate(base.options.ioapic_pins)
    machine = Machine(base, config.vcpus, config.memory * MIB, buses.bus())
    if link and len(units) > 1:
        machine.scope = _scope(buses, machine.bus, link)
    done = _attach(machine, config, config.viommu, max(1, len(units))) if config.viommu else ()
    dmar = acpi.dmar_of(machine, bool(config.viommu and not config.viommu.x2apic))
    table = (commands.RamWrite(DMAR_AT, dmar),) if dmar else ()
    for command in table:
        step(machine, command)
    seen = map(str, host.remarks[:MAX_REMARKS]) if host else ()
    notes = (*config.notes, *seen, *buses.notes, *_remarks(config, len(units)))
    return Domain(config, machine, tuple(buses.devices), (*done, *table), notes, dmar, acpi.madt_of(machine))


def _check_given(config: Config, host: Host | None, profile: Profile | None, apic_id_step: int | None,
                 link: Link | None) -> None:
    """Refuse what a configuration, or what goes with it, cannot be."""
    a(Config, "config", config)
    for kind, name, given in ((Host, "host", host), (Profile, "profile", profile), (Link, "link", link),
                              (ViommuConfig, "viommu", config.viommu)):
        if given is not None:
            a(kind, name, given)
    if apic_id_step is not None:
        whole("apic_id_step", apic_id_step, 2, 1)
    for name in ("vcpus", "maxvcpus", "memory"):
        a(int, name, getattr(config, name))
    rows: dict[str, type[Any]] = {"pci": PciAssign, "emulated": Emulated, "notes": str}
    for name, row in rows.items():
        a(tuple, name, getattr(config, name))
        for number, each in enumerate(getattr(config, name)):
            a(row, f"{name}[{number}]", each)


def _profiled(config: Config, base: Profile, apic_id_step: int | None, units: int) -> Profile:
    """The profile of a domain; where its unit is the specification's, with room for as many units as are wanted."""
    room = max(units, base.options.max_units) if base.options.model == "vtd" else base.options.max_units
    return base.with_options(domain_type=config.type, apic_id_step=apic_id_step or base.options.apic_id_step,
                             max_units=room)


def _check_memory(config: Config, units: int) -> None:
    needed = NEEDED // MIB + 2 * (units - 1)
    if config.viommu and config.memory < needed:
        what = f"{units} vIOMMUs" if units > 1 else "a viommu"
        raise ConfigError(config.file, config.viommu.line, config.viommu.column,
                          f"memory is {config.memory} MiB; allowed: {needed} MiB or more with {what}")


def _remarks(config: Config, units: int) -> Iterator[str]:
    if config.viommu and not config.viommu.x2apic:
        yield "viommu without x2apic=1: the DMAR table opts out of x2APIC, destinations have 8 bits"
    if config.maxvcpus > config.vcpus:
        yield f"vCPUs {config.vcpus} to {config.maxvcpus - 1} (maxvcpus) are offline: left out of the machine"
    if units > 1:
        yield (f"{units} vIOMMUs: no version of the toolstack takes more than one, and no hypercall says which device "
               "is behind which; here it is wired when the machine is made")


def _attach(m: Machine, config: Config, wanted: ViommuConfig, units: int) -> tuple[commands.Command, ...]:
    """Create the units, one page after the other."""
    return tuple(_create(m, config, wanted, number) for number in range(units))


def _create(m: Machine, config: Config, wanted: ViommuConfig, number: int) -> commands.Command:
    caps = viommu.Caps.IRQ_REMAPPING if wanted.intremap else 0
    length = wanted.length or 0
    create = commands.Domctl(viommu.create_op((wanted.base or 0) + number * length, length, caps,
                                              version=m.profile.options.interface))
    command, values = viommu.decode(m.profile.options.interface, create.body)
    refused = viommu.check(m.copy(), command, values)
    failed = next(event.index for event in step(m, create) if event.act == Act.DOMCTL)
    if failed:
        why = f" {refused.sentence}" if refused else ""
        which = "this viommu" if number == 0 else f"vIOMMU {number}"
        raise ConfigError(config.file, wanted.line, wanted.column,
                          f"the hypervisor refuses {which} with {viommu.Errno(failed).name}.{why}")
    return create


def _scope(buses: Buses, bus: Bus, link: Link) -> dict[int, int]:
    """Which vIOMMU each requester goes to; the last takes emulated devices, the I/O APIC and everybody else."""
    last = len(link.units) - 1
    scope = {-1: last}
    for entry, bdf in buses.placed:
        unit, requester = link.unit_of(entry.bdf, entry.segment), bus.requester(bdf)
        if unit < 0:
            buses.notes.append(f"line {entry.line}: no vIOMMU is for {bdf_text(entry.bdf)}: it is behind the last")
        if scope.setdefault(requester, unit if unit >= 0 else last) != (unit if unit >= 0 else last):
            raise buses.refuse(entry.line, f"{bdf_text(entry.bdf)} sends as {bdf_text(requester)}, like a function "
                               f"behind vIOMMU {scope[requester]}; allowed: the same vIOMMU for both")
    return scope
