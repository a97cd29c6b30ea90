"""The steps of recorded cases, done on a machine, and what their recorder would have seen.

A step is a JSON array: a tag, then its values. Doing it without a machine (None) only checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from vsim import machine
from vsim.devices import vioapic
from vsim.layouts.formats import DescriptorType
from vsim.layouts.registers import IOREDTBL, OFFSET
from vsim.replay.cases import limited, number_of
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.trace import Act, Event

BASE = 0xFED90000
"""Guest-physical address of the recorded unit's registers."""

END_RESET = {"FECTL": 0x80000000, "IECTL": 0x80000000}
END_WIDE = ("IQH", "IQT", "IQA", "IRTA")
END_NAMES = ("GSTS", "FSTS", "FECTL", "IQH", "IQT", "IQA", "ICS", "IECTL", "IRTA")
"""Registers that a recording ends with, beside the fault record; which of them are 64 bits; reset values but 0."""

DESCRIPTORS: dict[int, str] = {
    DescriptorType.CONTEXT: "context-cache", DescriptorType.IOTLB: "iotlb", DescriptorType.DEVICE_TLB: "device",
    DescriptorType.IEC: "iec", DescriptorType.WAIT: "wait", DescriptorType.PASID_IOTLB: "p-iotlb",
    DescriptorType.PASID_DEVICE_TLB: "device-piotlb"}
"""How the recordings name the descriptors of the queue."""

_Step = Callable[[Machine | None, list[Any]], Any]


def _do(m: Machine | None, command: c.Command) -> list[Event]:
    return machine.step(m, command) if m is not None else []


def _w(width: int) -> _Step:
    def step(m: Machine | None, s: list[Any]) -> Any:
        return observe(_do(m, c.Mmio(BASE + limited(s[1], 4096 - width), width, number_of(s[2]))))
    return step


def _r(width: int) -> _Step:
    def step(m: Machine | None, s: list[Any]) -> Any:
        events = _do(m, c.MmioRead(BASE + limited(s[1], 4096 - width), width))
        return next((hex(e.low) for e in events if e.act == Act.READ), None)
    return step


def _m16(m: Machine | None, s: list[Any]) -> Any:
    data = number_of(s[3]).to_bytes(8, "little") + number_of(s[2]).to_bytes(8, "little")
    return observe(_do(m, c.RamWrite(number_of(s[1]), data)))


def _mw(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.RamWrite(number_of(s[1]), bytes.fromhex(s[2]))))


def _mr(m: Machine | None, s: list[Any]) -> Any:
    address, length = number_of(s[1]), limited(s[2], 1 << 16)
    return (m.ram.read(address, length) or b"").hex() if m is not None else None


def _msi(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.Msi(number_of(s[1]), number_of(s[2]), number_of(s[3]))))


def _index(m: Machine | None, index: int, value: int) -> list[Event]:
    return (_do(m, c.Mmio(vioapic.BASE + vioapic.SELECT, 4, index))
            + _do(m, c.Mmio(vioapic.BASE + vioapic.WINDOW, 4, value)))


def _rte(m: Machine | None, s: list[Any]) -> Any:
    """A redirection entry, the high half first."""
    pin, value = limited(s[1], 119), number_of(s[2])
    return observe(_index(m, IOREDTBL + 2 * pin + 1, value >> 32) + _index(m, IOREDTBL + 2 * pin, value & 0xFFFFFFFF))


def _rrte(m: Machine | None, s: list[Any]) -> Any:
    index = IOREDTBL + 2 * limited(s[1], 119)
    return hex(vioapic.read_index(m, index) | vioapic.read_index(m, index + 1) << 32) if m is not None else None


def _pin(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.Pin(number_of(s[1]), number_of(s[2]))))


def _eoi(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.Mmio(vioapic.BASE + vioapic.EOI, 4, limited(s[1], 255))))


STEPS: dict[str, _Step] = {"w4": _w(4), "w8": _w(8), "r4": _r(4), "r8": _r(8), "m16": _m16, "mw": _mw, "mr": _mr,
                           "msi": _msi, "rte": _rte, "rrte": _rrte, "pin": _pin, "eoi": _eoi}
"""Every kind of step by its tag."""


def do(m: Machine | None, step: Any) -> Any:
    """Do a step and return what was observed. ValueError, TypeError or IndexError when it is not a step."""
    if not isinstance(step, list) or not step or not isinstance(step[0], str) or step[0] not in STEPS:
        raise ValueError(f"step {str(step)[:60]}; allowed: {', '.join(STEPS)}")
    return STEPS[step[0]](m, step)


# --- observing ---


def observe(events: Iterable[Event]) -> list[list[Any]]:
    """What the recorder would have seen of these events."""
    return [row for event in events if (row := _row(event)) is not None]


def _message(event: Event) -> list[Any]:
    address, data = event.low, event.high
    destination = address >> 12 & 0xFF | address >> 32 & 0xFFFFFF00
    return ["M", destination, address >> 2 & 1, address >> 3 & 1, data >> 15 & 1, data >> 8 & 7, data & 0xFF]


_OBSERVED: dict[int, Callable[[Event], list[Any] | None]] = {
    Act.FETCHED: lambda e: ["I", e.index, hex(e.high), hex(e.low)],
    Act.HIT: lambda e: ["I", e.index, hex(e.high), hex(e.low)],
    Act.REMAPPED: _message,
    Act.PASSED: _message,
    Act.BLOCKED: lambda e: ["B"],
    Act.RECORDED: lambda e: ["F", 0, hex(e.high & ~(1 << 63)), hex(e.low)],
    Act.NOTIFIED: lambda e: ["E", hex(e.low), hex(e.high)],
    Act.DESCRIPTOR: lambda e: ["D", DESCRIPTORS.get(e.index, "?"), hex(e.high), hex(e.low)],
    Act.INVALIDATED: lambda e: ["C", e.low, e.index, e.high],
    Act.STATUS_WRITTEN: lambda e: ["W", hex(e.low), hex(e.high)],
    Act.IRR_CLEARED: lambda e: ["R-", e.index] if e.high else None,
}


def _row(event: Event) -> list[Any] | None:
    build = _OBSERVED.get(event.act)
    return build(event) if build else None


def end_registers(m: Machine) -> dict[str, str]:
    """The registers that differ from reset, as a recording ends."""
    values = {}
    for name in END_NAMES:
        values[name] = machine.read(m, BASE + OFFSET[name], 8 if name in END_WIDE else 4)
    record = m.profile.capabilities.fault_offset
    values["FRCD_HI"] = machine.read(m, BASE + record + 8, 8)
    values["FRCD_LO"] = machine.read(m, BASE + record, 8)
    return but_reset({name: hex(value) for name, value in values.items()})


def but_reset(values: dict[str, str]) -> dict[str, str]:
    """Without the registers that are at their reset value."""
    return {name: value for name, value in values.items() if number_of(value) != END_RESET.get(name, 0)}
