"""Where the functions of a domain sit on its guest's buses.

With a virtual slot (`@05`) a function is on bus 0, as Xen puts it; without one it keeps the host's address, and the
bridges above it come along, so that its requester id stays what `lspci` says. Emulated NICs and disks take free slots
of bus 0, each a function with pin A.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from vsim.layouts.bits import bdf_text
from vsim.readers import lspci
from vsim.readers.lspci import Host, HostFunction
from vsim.readers.xl import Config, ConfigError, PciAssign
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.pci_function import MAX_NAME

FIRST_SLOT = 4
"""First slot of bus 0 for emulated devices: below are the chipset, the graphics and Xen's platform device."""


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


class Buses:
    """Puts functions on the guest's buses; what is taken is refused at the line that asks for it.

    functions: by requester id; devices: those that can raise interrupts; placed: each passed-through entry with its id
    in the guest; notes: what was chosen or assumed.
    """

    def __init__(self, config: Config, host: Host | None) -> None:
        self.config, self.host = config, host
        self.functions: dict[int, Function] = {}
        self.devices: list[Device] = []
        self.notes: list[str] = []
        self.placed: list[tuple[PciAssign, int]] = []
        self._bridges: dict[int, tuple[int, HostFunction]] = {}

    def bus(self) -> Bus:
        """The functions, ascending. What the host's text says of its bridges may be impossible."""
        try:
            return Bus([self.functions[bdf] for bdf in sorted(self.functions)])
        except ValueError as error:
            raise self.refuse(1, f"the passed-through functions make no bus: {error}") from None

    def refuse(self, line: int, message: str) -> ConfigError:
        """A mistake at a line of the configuration, to be raised."""
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
        if found is not None and found.is_bridge:
            raise self.refuse(entry.line, f"{bdf_text(entry.bdf)} is a bridge; allowed: a function that is none")
        return found or lspci.without_text(entry.bdf, entry.segment)

    def _say_assumed(self, facts: dict[PciAssign, HostFunction]) -> None:
        """Functions of which something is assumed, a note for each cause."""
        causes: dict[str, list[str]] = {}
        for entry, found in facts.items():
            if found.assumed:
                missing = self.host is not None and self.host.find(entry.bdf, entry.segment) is None
                why = "missing" if missing else found.shown if self.host else "no text"
                causes.setdefault(_CAUSES[why], []).append(_host_address(entry))
        for why, names in causes.items():
            self.notes.append(f"{why.format(names=', '.join(names))}: {lspci.ASSUMED_MSIX} MSI-X messages assumed")

    def _place(self, entry: PciAssign) -> int:
        if entry.virtual_slot is not None:
            return entry.virtual_slot << 3
        if _keeps_address(entry):
            return entry.bdf
        bdf = next(self._free_slots(), -1)
        if bdf < 0:
            raise self.refuse(entry.line, "bus 0 has no free slot; allowed: as many devices as fit")
        host = f"{entry.segment:04x}:{bdf_text(entry.bdf)}"
        self.notes.append(f"line {entry.line}: {host} is {bdf_text(bdf)} in the guest")
        return bdf

    def _add(self, entry: PciAssign, bdf: int, facts: HostFunction) -> None:
        if bdf in self.functions:
            raise self.refuse(entry.line, f"{bdf_text(bdf)} is taken by {self.functions[bdf].name}; "
                               "allowed: a free virtual slot, @04 to @1f")
        name = _name(facts)
        self.functions[bdf] = Function(
            bdf, name, True, facts.msi_count, facts.msi_64, facts.msi_maskable, facts.msix_count, facts.pin,
            conventional=facts.pcie_type is None)
        self.devices.append(_device(self.functions[bdf], entry.bdf))
        self.placed.append((entry, bdf))

    def _add_bridges(self, entry: PciAssign) -> None:
        """The bridges above a function that keeps its address, each once."""
        below = entry.bdf
        while self.host and (above := self.host.bridge_above(below, entry.segment)):
            if self._bridges.get(above.bdf) == (entry.segment, above):
                return
            if above.bdf in self.functions:
                raise self.refuse(entry.line, f"{bdf_text(above.bdf)}, a bridge above {bdf_text(entry.bdf)}, is taken "
                                   f"by {self.functions[above.bdf].name}; allowed: another virtual slot for that")
            self._bridges[above.bdf] = entry.segment, above
            self.functions[above.bdf] = bridge_function(above)
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
                raise self.refuse(emulated.line, "bus 0 has no free slot; allowed: as many devices as fit")
            name = f"emulated {emulated.kind} {emulated.model}"[:MAX_NAME]
            self.functions[bdf] = Function(bdf, name, pin=1, conventional=True)
            self.devices.append(_device(self.functions[bdf], None))


_CAUSES = {
    "no text": "no lspci text: {names}",
    "missing": "the lspci text has no function {names} (xl would refuse what is not there)",
    lspci.NOTHING: "the lspci text has no details of {names} (lspci without -v)",
    lspci.DENIED: "lspci shows no capabilities of {names} (not run as root)",
    lspci.SILENT: "{names} does not answer (all ones)",
    lspci.FLAGS: "{names}", lspci.ALL: "{names}",
}
"""Why something of a function is assumed."""


def _host_address(entry: PciAssign) -> str:
    """Address on the host, with the segment where it is not 0."""
    return f"{entry.segment:04x}:{bdf_text(entry.bdf)}" if entry.segment else bdf_text(entry.bdf)


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


_BRIDGE_KINDS = {lspci.PCIE_TO_PCI: "pcie-to-pci", lspci.PCI_TO_PCIE: "pci", None: "pci"}
"""Kinds of bridges by PCI Express type; the others are ports. A reverse bridge sends with its own id, as a PCI one."""


def bridge_function(facts: HostFunction) -> Function:
    """The guest's bridge for one of the host; `facts.bridge` has its buses."""
    assert facts.bridge
    _, secondary, subordinate = facts.bridge
    kind = _BRIDGE_KINDS.get(facts.pcie_type, "pcie")
    return Function(facts.bdf, _name(facts), pin=0, bridge=Bridge(kind, secondary, max(secondary, subordinate)))


def _device(function: Function, host: int | None) -> Device:
    ways = (("msi-x", function.msix_count), ("msi", function.msi_count), ("pin", int(function.pin > 0)))
    kind, messages = next(((kind, count) for kind, count in ways if count), ("none", 0))
    return Device(function.bdf, host, function.name, kind, messages)
