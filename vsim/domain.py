"""A machine from a configuration: what `xl create` would build, ready for its guest to boot.

    domain = build(xl.load("big.cfg"), lspci.load("big.lspci"))
    guest = Guest(lambda command: step(domain.machine, command), domain.platform)

Where a function sits in the guest: with a virtual slot (`@05`) on bus 0, as Xen puts it; without one it keeps the
host's address, and the bridges above it come along, so that its requester id stays what `lspci` says. Emulated NICs
and disks take free slots of bus 0, each a function with pin A.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from vsim import acpi, acpi_madt, commands, lspci, viommu
from vsim.bits import bdf_text
from vsim.guest_cpu import Platform
from vsim.host_policies import Link
from vsim.lspci import Host, HostFunction
from vsim.machine import step
from vsim.pci import Bridge, Bus, Function
from vsim.pci_function import MAX_NAME
from vsim.profile import PROFILES, Profile
from vsim.state import Machine
from vsim.trace import Act
from vsim.xl import Config, ConfigError, PciAssign, ViommuConfig

DMAR_AT = 0x000EA000
"""Guest-physical address at which the toolstack leaves the DMAR table: among the tables of the firmware."""
FIRST_SLOT = 4
"""First slot of bus 0 for emulated devices: below are the chipset, the graphics and Xen's platform device."""
MIB = 1 << 20
NEEDED = 3 * MIB
"""Memory, in bytes, below which a guest has no room for its remapping table (1 MiB) and the rest; for one unit."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the guest that can raise interrupts.

    bdf: requester id in the guest; host: on the host, None for an emulated one. name: for people. kind: "msi-x",
    "msi", "pin" or "none"; messages: how many interrupts that makes.
    """

    bdf: int
    host: int | None
    name: str
    kind: str
    messages: int

    @property
    def label(self) -> str:
        """Address and name, e.g. "00:05.0 (host 03:00.0) Ethernet controller"."""
        host = f" (host {bdf_text(self.host)})" if self.host not in (None, self.bdf) else ""
        return f"{bdf_text(self.bdf)}{host} {self.name}".rstrip()


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
    units = link.units if link and config.viommu else ()
    base = _profiled(config, profile or PROFILES["spec"], apic_id_step, len(units))
    if link and units:
        base = base.with_units(*link.capabilities(base.capabilities))
    _check_memory(config, max(1, len(units)))
    layout = _Layout(config, host)
    layout.pass_through()
    layout.emulate(base.options.ioapic_pins)
    machine = Machine(base, config.vcpus, config.memory * MIB, layout.bus())
    if link and len(units) > 1:
        machine.scope = layout.scope(machine.bus, link)
    done = _attach(machine, config, config.viommu, max(1, len(units))) if config.viommu else ()
    dmar = acpi.dmar_of(machine, bool(config.viommu and not config.viommu.x2apic))
    table = (commands.RamWrite(DMAR_AT, dmar),) if dmar else ()
    for command in table:
        step(machine, command)
    notes = (*config.notes, *layout.notes, *_remarks(config, len(units)))
    return Domain(config, machine, tuple(layout.devices), (*done, *table), notes, dmar, acpi.madt_of(machine))


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


class _Layout:
    """Puts functions on the guest's buses; what is taken is refused at the line that asks for it."""

    def __init__(self, config: Config, host: Host | None) -> None:
        self.config, self.host = config, host
        self.functions: dict[int, Function] = {}
        self.devices: list[Device] = []
        self.notes: list[str] = []
        self._placed: list[tuple[PciAssign, int]] = []
        self._bridges: dict[int, tuple[int, HostFunction]] = {}

    def bus(self) -> Bus:
        """The functions, ascending. What the host's text says of its bridges may be impossible."""
        try:
            return Bus([self.functions[bdf] for bdf in sorted(self.functions)])
        except ValueError as error:
            raise self._refuse(1, f"the passed-through functions make no bus: {error}") from None

    def scope(self, bus: Bus, link: Link) -> dict[int, int]:
        """Which vIOMMU each requester goes to; the last takes emulated devices, the I/O APIC and everybody else."""
        last = len(link.units) - 1
        scope = {-1: last}
        for entry, bdf in self._placed:
            unit, requester = link.unit_of(entry.bdf, entry.segment), bus.requester(bdf)
            if unit < 0:
                self.notes.append(f"line {entry.line}: no vIOMMU is for {bdf_text(entry.bdf)}: it is behind the last")
            if scope.setdefault(requester, unit if unit >= 0 else last) != (unit if unit >= 0 else last):
                raise self._refuse(entry.line, f"{bdf_text(entry.bdf)} sends as {bdf_text(requester)}, like a function "
                                   f"behind vIOMMU {scope[requester]}; allowed: the same vIOMMU for both")
        return scope

    def _refuse(self, line: int, message: str) -> ConfigError:
        return ConfigError(self.config.file, line, 1, message)

    # --- passed through ---

    def pass_through(self) -> None:
        """Every entry of `pci`; those that name their place come first, then those whose place is chosen."""
        facts = {entry: self._facts(entry) for entry in self.config.pci}
        self._say_assumed(facts)
        for entry in sorted(self.config.pci, key=_chooses):
            bdf = self._place(entry)
            self._add(entry, bdf, facts[entry])
            if _keeps_address(entry):
                self._add_bridges(entry)

    def _facts(self, entry: PciAssign) -> HostFunction:
        found = self.host.find(entry.bdf, entry.segment) if self.host else None
        if found is not None and found.bridge:
            raise self._refuse(entry.line, f"{bdf_text(entry.bdf)} is a bridge; allowed: a function that is none")
        return found or lspci.without_text(entry.bdf, entry.segment)

    def _say_assumed(self, facts: dict[PciAssign, HostFunction]) -> None:
        names = ", ".join(bdf_text(entry.bdf) for entry, found in facts.items() if found.assumed)
        if names:
            why = "lspci shows no capabilities of" if self.host else "no lspci text:"
            self.notes.append(f"{why} {names}: {lspci.ASSUMED_MSIX} MSI-X messages assumed")

    def _place(self, entry: PciAssign) -> int:
        if entry.virtual_slot is not None:
            return entry.virtual_slot << 3
        if _keeps_address(entry):
            return entry.bdf
        bdf = next(self._free_slots(), -1)
        if bdf < 0:
            raise self._refuse(entry.line, "bus 0 has no free slot; allowed: as many devices as fit")
        host = f"{entry.segment:04x}:{bdf_text(entry.bdf)}"
        self.notes.append(f"line {entry.line}: {host} is {bdf_text(bdf)} in the guest")
        return bdf

    def _add(self, entry: PciAssign, bdf: int, facts: HostFunction) -> None:
        if bdf in self.functions:
            raise self._refuse(entry.line, f"{bdf_text(bdf)} is taken by {self.functions[bdf].name}; "
                               "allowed: a free virtual slot, @04 to @1f")
        name = _name(facts)
        self.functions[bdf] = Function(
            bdf, name, True, facts.msi_count, facts.msi_64, facts.msi_maskable, facts.msix_count, facts.pin,
            conventional=facts.pcie_type is None)
        self.devices.append(_device(self.functions[bdf], entry.bdf))
        self._placed.append((entry, bdf))

    def _add_bridges(self, entry: PciAssign) -> None:
        """The bridges above a function that keeps its address, each once."""
        below = entry.bdf
        while self.host and (above := self.host.bridge_above(below, entry.segment)):
            if self._bridges.get(above.bdf) == (entry.segment, above):
                return
            if above.bdf in self.functions:
                raise self._refuse(entry.line, f"{bdf_text(above.bdf)}, a bridge above {bdf_text(entry.bdf)}, is taken "
                                   f"by {self.functions[above.bdf].name}; allowed: another virtual slot for that")
            self._bridges[above.bdf] = entry.segment, above
            self.functions[above.bdf] = _bridge(above)
            below = above.bdf

    # --- emulated ---

    def _free_slots(self) -> Iterator[int]:
        """Free places of bus 0: function 0 of every slot, then the other functions."""
        for function in range(8):
            for slot in range(FIRST_SLOT, 32):
                if slot << 3 | function not in self.functions:
                    yield slot << 3 | function

    def emulate(self, pins: int) -> None:
        """Emulated NICs and disks, on slots whose pin the I/O APIC has where there are such."""
        for emulated in self.config.emulated:
            wired = (bdf for bdf in self._free_slots() if _pin_a()[bdf] < pins)
            bdf = next(wired, next(self._free_slots(), -1))
            if bdf < 0:
                raise self._refuse(emulated.line, "bus 0 has no free slot; allowed: as many devices as fit")
            name = f"emulated {emulated.kind} {emulated.model}"[:MAX_NAME]
            self.functions[bdf] = Function(bdf, name, pin=1, conventional=True)
            self.devices.append(_device(self.functions[bdf], None))


def _keeps_address(entry: PciAssign) -> bool:
    return entry.virtual_slot is None and entry.segment == 0


def _chooses(entry: PciAssign) -> bool:
    return entry.virtual_slot is None and not _keeps_address(entry)


@cache
def _pin_a() -> tuple[int, ...]:
    """GSI of pin A at every place of bus 0."""
    bus = Bus([Function(bdf, pin=1) for bdf in range(256)])
    return tuple(bus.gsi(bdf) for bdf in range(256))


def _name(facts: HostFunction) -> str:
    """Class and name, cut at a word, without characters that steer a terminal."""
    text = f"{facts.class_name}: {facts.name}" if facts.name else facts.class_name or "passed-through function"
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= MAX_NAME else text[:MAX_NAME].rpartition(" ")[0] or text[:MAX_NAME]


def _bridge(facts: HostFunction) -> Function:
    assert facts.bridge
    _, secondary, subordinate = facts.bridge
    kind = "pcie-to-pci" if facts.pcie_type == lspci.PCIE_TO_PCI else "pcie" if facts.pcie_type else "pci"
    return Function(facts.bdf, _name(facts), pin=0, bridge=Bridge(kind, secondary, max(secondary, subordinate)))


def _device(function: Function, host: int | None) -> Device:
    ways = (("msi-x", function.msix_count), ("msi", function.msi_count), ("pin", int(function.pin > 0)))
    kind, messages = next(((kind, count) for kind, count in ways if count), ("none", 0))
    return Device(function.bdf, host, function.name, kind, messages)
