"""A command of a machine here as commands of QEMU's machine, and these as qtest orders.

QEMU's machine is q35: one unit at FED9_0000h, one I/O APIC of 24 pins, memory, and senders for every requester. Its
vCPUs do not run and it has none of our devices, so what our devices and vCPUs send is taken from the events: a message
goes as `Msi`, a wire as `Pin`, an EOI that is broadcast as a write to the I/O APIC's EOI register. Its local APICs are
as after power-on: what a message leaves in their IRR and TMR is compared, and that nothing else in them changes.
`translate` gives those commands, or says why there are none. `orders` is the one place where a command becomes qtest's
words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from vsim import machine
from vsim.devices import hpet, vioapic
from vsim.layouts.registers import IOREDTBL
from vsim.layouts.registers import UNIT as REGISTERS
from vsim.replay import recorded, senders
from vsim.replay.qtest import LAST_APIC, LOW_RAM, LOW_RAM_OF_MANY, MOST_RAM
from vsim.replay.recording import UNIT
from vsim.state import commands as c
from vsim.state.arrays import Latch, Machine
from vsim.state.profile import IOAPIC_WINDOW as IOAPIC
from vsim.state.ram import HOLE_END
from vsim.state.trace import Act, Event, Kind

PINS = 24
"""Pins of q35's I/O APIC."""
MOST_SENT = 4096
"""Commands of QEMU that one command here may become."""
MOST_VCPUS = 64
"""vCPUs that QEMU is given, the first ones here."""
VCPUS = "vCPUs do not run there"
DEVICE = "the device is ours alone; what it sends goes there"
PORTS = "the 8259 is not sent to"
XEN = "QEMU has nothing of the hypervisor's"
POSTING = "QEMU's unit posts to nobody"
OTHER_UNIT = "QEMU has one unit, which every requester goes through"
WIDE = "8 bytes to a 32-bit register end QEMU: never sent"
_WIDE = {offset for offset, width, _, _ in REGISTERS if width == 8}
_FEE = 0xFEE


class Way(NamedTuple):
    """What goes to QEMU: commands in its terms, or why nothing does. lost: the machines are no longer alike."""

    commands: tuple[c.Command, ...] = ()
    why: str = ""
    lost: bool = False


def translate(m: Machine, command: c.Command, events: Sequence[Event], twin: Machine) -> Way:
    """The way of a command to QEMU. m: the machine here; events: what the command did; twin: QEMU's, as it is before.

    Nothing is changed.
    """
    direct = _DIRECT.get(type(command))
    return direct(m, command, twin) if direct else _by_events(m, command, events, twin)


# --- accesses ---


def _access(m: Machine, command: Any, twin: Machine) -> Way:
    """A read or a write at an address: to the unit, to the I/O APIC, or to memory."""
    address, width = command.address, command.width
    if width not in c.WIDTHS:
        return Way(why=f"an access of {width} bytes; qtest has 1, 2, 4 and 8")
    unit = machine.unit_at(m, address)
    if unit > 0:
        return Way(why=OTHER_UNIT)
    if unit == 0:
        return _unit_access(m, command, address - m.latch[Latch.MMIO_BASE])
    if (which := vioapic.at(m, address)) >= 0:
        return _ioapic_access(m, command, which, twin)
    if hpet.answers(m, address) or m.bus.table_at(address) is not None:
        return Way(why=DEVICE)
    if not m.ram.holds(address, width) or not in_memory(m.ram.size, address, width):
        return Way(why="no memory is at that address there")
    return Way((command,))


def _unit_access(m: Machine, command: Any, offset: int) -> Way:
    if isinstance(command, c.Mmio) and command.width == 8 and not _takes_8(m, offset):
        return Way(why=WIDE, lost=True)
    return Way((_moved(command, UNIT + offset),))


def _takes_8(m: Machine, offset: int) -> bool:
    """Whether an 8-byte write is one of QEMU's: to a 64-bit register, or to a fault record's half."""
    capabilities = m.profile.capabilities
    record = offset - capabilities.fault_offset
    return offset % 8 == 0 and (offset in _WIDE or 0 <= record < 16 * capabilities.fault_records)


def _ioapic_access(m: Machine, command: Any, which: int, twin: Machine) -> Way:
    if which:
        return Way(why="QEMU has one I/O APIC")
    offset = command.address - m.profile.options.ioapics[which].window
    selected = twin.ioapic[1]
    if offset == vioapic.WINDOW and selected >= IOREDTBL + 2 * PINS:
        return Way(why=f"QEMU's I/O APIC has {PINS} pins")
    return Way((_moved(command, IOAPIC + offset),))


def _moved(command: Any, address: int) -> c.Command:
    if isinstance(command, c.Mmio):
        return c.Mmio(address, command.width, command.value & (1 << 8 * command.width) - 1)
    return c.MmioRead(address, command.width)


def in_memory(size: int, address: int, length: int) -> bool:
    """Whether QEMU, given `size` bytes of memory, has it at an address."""
    low, end = min(size, LOW_RAM - 1), address + length
    if size >= LOW_RAM:
        low = LOW_RAM_OF_MANY
    return end <= low or (address >= HOLE_END and end <= HOLE_END + min(size, MOST_RAM) - low)


def _ram(m: Machine, command: c.RamWrite, _: Machine) -> Way:
    if not command.data:
        return Way(why="nothing is written")
    if not m.ram.holds(command.address, len(command.data)) or not in_memory(m.ram.size, command.address,
                                                                            len(command.data)):
        return Way(why="no memory is at that address there")
    return Way((command,))


def _pin(m: Machine, command: c.Pin, _: Machine) -> Way:
    return Way((command,)) if command.gsi < PINS else Way(why=f"QEMU's I/O APIC has {PINS} pins")


def _domctl(*_: Any) -> Way:
    return Way(why="QEMU's unit is there from power-on")


def _reset(m: Machine, command: c.Reset, _: Machine) -> Way:
    return Way((command,))


_DIRECT: dict[type[c.Command], Callable[[Machine, Any, Machine], Way]] = {
    c.Mmio: _access, c.MmioRead: _access, c.RamWrite: _ram, c.Pin: _pin, c.Domctl: _domctl, c.Reset: _reset}


# --- what our devices and vCPUs do ---

_WHY: dict[type[c.Command], str] = {
    c.ConfigWrite: DEVICE, c.Signal: DEVICE, c.Burst: DEVICE, c.Intx: DEVICE, c.Msi: DEVICE,
    c.ApicWrite: VCPUS, c.Msr: VCPUS, c.Cr8: VCPUS, c.Acknowledge: VCPUS, c.Iret: VCPUS,
    c.Isa: PORTS, c.PortWrite: PORTS, c.PortRead: PORTS, c.Lint: VCPUS,
    c.Bind: XEN, c.HostIrq: XEN, c.OutOfMemory: XEN, c.Tick: "time stands still there",
    c.Dma: "our requesters do no DMA there", c.DeviceError: "QEMU's devices do not fail on demand",
    c.Schedule: POSTING, c.VirtualEoi: POSTING, c.EoiExit: POSTING}
"""Why nothing goes to QEMU when a command of a class sent nothing."""


def _by_events(m: Machine, command: c.Command, events: Sequence[Event], twin: Machine) -> Way:
    out, levels = list[c.Command](), dict[int, int]()
    for event in events:
        if event.act == Act.SENT and event.node >> 24 == Kind.DEVICE:
            if why := _unsent(m, event):
                return Way(why=why, lost=m.unit_of(event.index) == 0)
            out.append(c.Msi(event.index, event.low, event.high))
        elif event.act == Act.LINE and event.node >> 24 == Kind.VIOAPIC and event.index < PINS:
            if levels.get(event.index, int(twin.lines[event.index] > 0)) != event.low:
                levels[event.index] = event.low
                out.append(c.Pin(event.index, event.low))
        elif event.act == Act.ENDED and event.low:
            out.append(c.Mmio(IOAPIC + vioapic.EOI, 4, event.index))
        if len(out) > MOST_SENT or event.act == Act.UNSHOWN:
            return Way(why=f"more than {MOST_SENT} messages at once", lost=True)
    return Way(tuple(out), "" if out else _WHY[type(command)])


def _unsent(m: Machine, event: Event) -> str:
    """Why a message cannot be sent there, or ""."""
    if event.low >> 20 != _FEE:
        return "a write to another address than FEEx_xxxx is no interrupt"
    if m.unit_of(event.index) != 0:
        return OTHER_UNIT
    return senders.cannot(event.index, event.high)


# --- local APICs ---


def apics(m: Machine) -> tuple[int, ...]:
    """APIC IDs after power-on of the first vCPUs, as many as QEMU is given."""
    ids = [m.profile.options.apic_id(vcpu) for vcpu in range(min(m.vcpus, MOST_VCPUS))]
    return tuple(takewhile(lambda each: each <= LAST_APIC, ids))


def arrivals(events: Sequence[Event], vcpus: int) -> list[list[Any]]:
    """Vectors that messages left at the first `vcpus` vCPUs, each once: ["A", vCPU, vector, level], lowest first.

    What a vCPU sends to itself or to others is not there.
    """
    if not vcpus:
        return []
    sent = {event.serial for event in events if event.act in _MESSAGES}
    found = {(event.node & 0xFFFFFF, event.index): event.low for event in events
             if event.act in _ARRIVED and event.serial in sent and event.node & 0xFFFFFF < vcpus}
    return [["A", *place, level] for place, level in sorted(found.items())]


_MESSAGES, _ARRIVED = (Act.REMAPPED, Act.PASSED, Act.NOTIFIED), (Act.ACCEPTED, Act.MERGED)


# --- orders ---

_SIZE = {1: "b", 2: "w", 4: "l", 8: "q"}


def orders(command: c.Command, send: Callable[[int, int, int], list[str]]) -> list[str]:
    """A command of QEMU's machine as qtest orders. send: those that make a requester write data to an address.

    ValueError for a command that has none (`Reset` is `Qemu.reset`).
    """
    match command:
        case c.Mmio(address, width, value):
            return [f"write{_SIZE[width]} {address:#x} {value:#x}"]
        case c.MmioRead(address, width):
            return [f"read{_SIZE[width]} {address:#x}"]
        case c.RamWrite(address, data):
            return [f"write {address:#x} {len(data):#x} 0x{data.hex()}"]
        case c.Msi(requester, address, data):
            return send(requester, address, data)
        case c.Pin(gsi, level):
            return [f"set_irq_in /machine/q35/ioapic unnamed-gpio-in {gsi} {level}"]
    raise ValueError(f"command {command.name!r} has no orders")


def seen(events: Sequence[Event], vcpus: int = 0) -> list[list[Any]]:
    """What of events is compared: as `recorded.observe`, ["V", value] for what a read found, and `arrivals`."""
    out = []
    for event in events:
        if event.act == Act.READ:
            out.append(["V", hex(event.low)])
        else:
            out += recorded.observe((event,))
    return out + arrivals(events, vcpus)
