"""What real software or hardware does to a machine: the only input of `machine.step`.

Commands are plain values; `to_row` and `from_row` turn them into JSON arrays and back. The fields are checked when a
command is made: a value that its register cannot carry is the caller's mistake (ValueError naming value, field and
limit), a strange one that it can carry is the guest's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar

_BITS = {"address": 64, "requester": 16, "data": 32, "bdf": 16, "message": 12, "gsi": 8, "vcpu": 12,
         "register": 12, "index": 32, "offset": 12, "domain": 16, "count": 20, "seed": 32, "messages": 12,
         "handlers": 1, "place": 6, "irq": 4, "port": 16, "byte": 8, "pin": 1, "vector": 8}
CHOICES = {"level": ("down", "up"), "read": ("writes", "reads"),
           "how": ("answers well", "does not answer in time", "answers with an error"),
           "doing": ("runs", "is preempted", "halts"), "exits": ("ends inside the guest", "leaves the guest")}
"""Fields whose values have names, from 0 on."""
WIDTHS = (1, 2, 4, 8)
"""Access widths in bytes."""


class Command:
    """A command; `name` is its tag in files."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        """Check every field against what the hardware can carry."""
        for place in fields(self):  # type: ignore[arg-type]
            value = getattr(self, place.name)
            if type(value).__name__ != place.type:
                expected = "bytes" if place.type == "bytes" else "an int"
                raise ValueError(f"{self.name}.{place.name} is {str(value)[:40]!r}; expected {expected}")
            if isinstance(value, bytes):
                _check_length(self.name, place.name, value)
                continue
            if place.name == "width" and value not in range(1, 9):
                raise ValueError(f"{self.name}.width is {value}; the limit is 1 to 8 bytes")
            if not 0 <= value <= limit(place.name):
                raise ValueError(f"{self.name}.{place.name} is {value:#x}; the limit is {limit(place.name):#x}")


def limit(name: str) -> int:
    """The largest number that a field of this name can carry, in any command."""
    return len(CHOICES[name]) - 1 if name in CHOICES else (1 << _BITS.get(name, 64)) - 1


def _check_length(command: str, name: str, value: bytes) -> None:
    if len(value) > 1 << 20:
        raise ValueError(f"{command}.{name} has {len(value)} bytes; the limit is {1 << 20}")


@dataclass(frozen=True, slots=True)
class Domctl(Command):
    """The toolstack issues xen_domctl_viommu_op; `body` is the sub-operation's structure, byte for byte."""

    name: ClassVar[str] = "domctl"
    body: bytes


@dataclass(frozen=True, slots=True)
class Mmio(Command):
    """A vCPU writes `width` bytes to a guest-physical address."""

    name: ClassVar[str] = "mmio"
    address: int
    width: int
    value: int


@dataclass(frozen=True, slots=True)
class MmioRead(Command):
    """A vCPU reads `width` bytes; the value is in the READ event."""

    name: ClassVar[str] = "read"
    address: int
    width: int


@dataclass(frozen=True, slots=True)
class RamWrite(Command):
    """The guest writes bytes to its memory."""

    name: ClassVar[str] = "ram"
    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ConfigWrite(Command):
    """The guest writes a function's configuration space."""

    name: ClassVar[str] = "config"
    bdf: int
    offset: int
    width: int
    value: int


@dataclass(frozen=True, slots=True)
class Msi(Command):
    """A requester writes 32-bit `data` to `address`: a raw interrupt message."""

    name: ClassVar[str] = "msi"
    requester: int
    address: int
    data: int


@dataclass(frozen=True, slots=True)
class Signal(Command):
    """A function raises its n-th MSI or MSI-X message, as programmed; mask and pending bits are honoured."""

    name: ClassVar[str] = "signal"
    bdf: int
    message: int


@dataclass(frozen=True, slots=True)
class Burst(Command):
    """Devices send `messages` messages, one after the other; `seed` decides which device and which message.

    handlers 1: then every vCPU takes and ends what its local APIC offers; 0: it stays requested.
    """

    name: ClassVar[str] = "burst"
    seed: int
    messages: int
    handlers: int


@dataclass(frozen=True, slots=True)
class Pin(Command):
    """An I/O APIC input goes up (level 1) or down (level 0)."""

    name: ClassVar[str] = "pin"
    gsi: int
    level: int


@dataclass(frozen=True, slots=True)
class Intx(Command):
    """A function asserts (1) or releases (0) its INTx pin."""

    name: ClassVar[str] = "intx"
    bdf: int
    level: int


@dataclass(frozen=True, slots=True)
class Isa(Command):
    """A device of the mainboard raises (level 1) or lowers (0) its line: to the 8259 pair and to the I/O APIC's pin.

    IRQ 0, the timer, is wired to GSI 2 there; IRQ 2 is the cascade of the pair, and no device has it.
    """

    name: ClassVar[str] = "isa"
    irq: int
    level: int


@dataclass(frozen=True, slots=True)
class PortWrite(Command):
    """A vCPU writes a byte to an I/O port: 0x20 and 0x21 are the first 8259, 0xA0 and 0xA1 the second."""

    name: ClassVar[str] = "out"
    port: int
    byte: int


@dataclass(frozen=True, slots=True)
class PortRead(Command):
    """A vCPU reads a byte from an I/O port; the value is in the READ event."""

    name: ClassVar[str] = "in"
    port: int


@dataclass(frozen=True, slots=True)
class Lint(Command):
    """Something wired to a vCPU's LINT0 (pin 0) or LINT1 (pin 1) raises (level 1) or lowers (0) it.

    The 8259 pair is at LINT0 of every vCPU beside it; an NMI button would be at LINT1.
    """

    name: ClassVar[str] = "lint"
    vcpu: int
    pin: int
    level: int


@dataclass(frozen=True, slots=True)
class ApicWrite(Command):
    """A vCPU writes a register of its xAPIC window; `register` is the byte offset."""

    name: ClassVar[str] = "apic"
    vcpu: int
    register: int
    value: int


@dataclass(frozen=True, slots=True)
class Msr(Command):
    """A vCPU writes an MSR: IA32_APIC_BASE (0x1B) or an x2APIC register (0x800 ..)."""

    name: ClassVar[str] = "msr"
    vcpu: int
    index: int
    value: int


@dataclass(frozen=True, slots=True)
class Cr8(Command):
    """A vCPU writes CR8, the upper half of its task priority."""

    name: ClassVar[str] = "cr8"
    vcpu: int
    value: int


@dataclass(frozen=True, slots=True)
class Acknowledge(Command):
    """A vCPU takes the interrupt that its local APIC offers, or an NMI."""

    name: ClassVar[str] = "ack"
    vcpu: int


@dataclass(frozen=True, slots=True)
class Iret(Command):
    """A vCPU returns from the handler of an NMI; other handlers end with a write to EOI."""

    name: ClassVar[str] = "iret"
    vcpu: int


@dataclass(frozen=True, slots=True)
class Bind(Command):
    """The toolstack binds a passed-through MSI: the message that the guest programmed (X 4.4)."""

    name: ClassVar[str] = "bind"
    address: int
    data: int


@dataclass(frozen=True, slots=True)
class HostIrq(Command):
    """The host interrupt of a bound message arrives; `place` counts from 0 in the order of binding."""

    name: ClassVar[str] = "hostirq"
    place: int


@dataclass(frozen=True, slots=True)
class Tick(Command):
    """Time passes: so many nanoseconds."""

    name: ClassVar[str] = "tick"
    ns: int


@dataclass(frozen=True, slots=True)
class OutOfMemory(Command):
    """Fault injection: the `count`-th allocation of the hypervisor from here fails; 0 switches it off."""

    name: ClassVar[str] = "oom"
    count: int


@dataclass(frozen=True, slots=True)
class DeviceError(Command):
    """Fault injection: how the next device-TLB invalidation of a requester ends.

    how 0: well; 1: the device does not answer in time (ITE); 2: it answers with an error (ICE).
    """

    name: ClassVar[str] = "deverr"
    requester: int
    how: int


@dataclass(frozen=True, slots=True)
class Dma(Command):
    """A requester reads (read 1) or writes (read 0) memory at `address`: no interrupt, and the same fault log."""

    name: ClassVar[str] = "dma"
    requester: int
    address: int
    read: int


@dataclass(frozen=True, slots=True)
class Schedule(Command):
    """The host runs, preempts or halts the vCPU of the posted-interrupt descriptor at `address`, on CPU `vcpu`.

    doing 0: it runs there, and whoever did is preempted; 1: it waits for that CPU; 2: it has halted.
    """

    name: ClassVar[str] = "sched"
    address: int
    vcpu: int
    doing: int


@dataclass(frozen=True, slots=True)
class VirtualEoi(Command):
    """The vCPU of the posted-interrupt descriptor at `address`, which runs, ends its virtual interrupt."""

    name: ClassVar[str] = "veoi"
    address: int


@dataclass(frozen=True, slots=True)
class EoiExit(Command):
    """The host sets (exits 1) or clears a vector's bit in the EOI exit bitmap of a descriptor's vCPU."""

    name: ClassVar[str] = "eoiexit"
    address: int
    vector: int
    exits: int


@dataclass(frozen=True, slots=True)
class Reset(Command):
    """The platform is reset: registers, local APICs, devices. Memory, vIOMMUs and time stay."""

    name: ClassVar[str] = "reset"


COMMANDS: dict[str, type[Command]] = {c.name: c for c in (
    Domctl, Mmio, MmioRead, RamWrite, ConfigWrite, Msi, Signal, Burst, Pin, Intx, Isa, PortWrite, PortRead,
    Lint, ApicWrite, Msr, Cr8, Acknowledge,
    Iret, Bind, HostIrq, Tick, OutOfMemory, DeviceError, Dma,
    Schedule, VirtualEoi, EoiExit, Reset)}
"""All commands by their tag."""


def sentence(kind: type[Command]) -> str:
    """What a command is, in a sentence."""
    text = " ".join((kind.__doc__ or "").split("\n\n")[0].replace("`", "").split())
    return text.partition(". ")[0].removesuffix(".") + "."


def to_row(command: Command) -> list[Any]:
    """A command as a JSON array: tag, then its fields; bytes as hex."""
    values = (getattr(command, place.name) for place in fields(command))  # type: ignore[arg-type]
    return [command.name, *(v.hex() if isinstance(v, bytes) else v for v in values)]


def from_row(row: Any) -> Command:
    """The command of a JSON array. ValueError when it is not one."""
    if not isinstance(row, list) or not row or not isinstance(row[0], str) or row[0] not in COMMANDS:
        raise ValueError(f"not a command: {str(row)[:60]}; tags are {', '.join(COMMANDS)}")
    kind = COMMANDS[row[0]]
    places = fields(kind)  # type: ignore[arg-type]
    if len(row) != len(places) + 1:
        names = ", ".join(p.name for p in places) or "nothing"
        raise ValueError(f"{row[0]} takes {names}; found {len(row) - 1} values")
    values = []
    for place, value in zip(places, row[1:], strict=True):
        if place.type == "bytes":
            if not isinstance(value, str) or not re.fullmatch("(?:[0-9a-f]{2})*", value):
                raise ValueError(f"{row[0]}.{place.name} is {str(value)[:40]!r}; expected a hex string")
            value = bytes.fromhex(value)
        values.append(value)
    return kind(*values)
