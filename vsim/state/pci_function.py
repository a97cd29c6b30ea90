"""One PCI function: what it can do, and the configuration space in which software reads that.

The space is 256 bytes: the header, BAR 0 for the MSI-X table, the MSI capability (A 8) at `MSI_CAP`, the
MSI-X capability (A 9) at `MSIX_CAP`. PCIe's own capability and its extended space are not modelled: whether
a function is conventional is a fact of `Function`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import Any

from vsim.layouts.bits import bdf_text
from vsim.layouts.registers import MSI_CONTROL, MSIX_CONTROL, MSIX_TABLE, PCI_COMMAND

CONFIG_BYTES = 256
"""Bytes of configuration space of one function."""
COMMAND, STATUS, BAR0, LINE, PIN = 0x04, 0x06, 0x10, 0x3C, 0x3D
"""Offsets in the header."""
MSI_CAP, MSIX_CAP = 0x40, 0x60
"""Offsets of the capabilities, where a function has them."""
BRIDGES = ("pcie", "pcie-to-pci", "pci")
"""Kinds of bridges: a PCIe root or switch port, a PCIe-to-PCI bridge, a conventional PCI bridge."""
MAX_NAME = 64
"""Characters of a function's name."""

_PAGE = 4096
_VENDOR, _DEVICE = 0x1234, 0x0001       # of no product: there are no drivers to match
_CLASS_BRIDGE, _CLASS_OTHER = 0x0604, 0xFF00
_HAS_CAPABILITIES = 0x10
_MULTIFUNCTION = 0x80


@dataclass(frozen=True, slots=True)
class Bridge:
    """What lies below a function that is a bridge: kind (one of `BRIDGES`), first and last bus below it."""

    kind: str
    secondary: int
    subordinate: int

    def __post_init__(self) -> None:
        """Refuse what no bridge can be."""
        if self.kind not in BRIDGES:
            raise ValueError(f"bridge kind is {str(self.kind)[:40]!r}; allowed are {', '.join(BRIDGES)}")
        if not 1 <= self.secondary <= self.subordinate <= 255:
            raise ValueError(f"bridge buses are {self.secondary} to {self.subordinate}; allowed are 1 to 255")


@dataclass(frozen=True, slots=True)
class Function:
    """One PCI function.

    bdf: requester id (bus 15:8, device 7:3, function 2:0). name: for people. passthrough: passed through from
    the host, else emulated. msi_count: messages of its MSI capability (1, 2, 4 .. 32), 0 without one; msi_64:
    64-bit address; msi_maskable: has mask and pending bits. msix_count: entries of its MSI-X table, 0 to 2,048.
    pin: INTx pin, 1 to 4 for A to D, 0 for none. bridge: what is below it. conventional: PCI, not PCIe.
    steering: it has TPH and keeps the steering tags in its MSI-X table. aliases: further ids of its own bus
    under which its DMA may arrive (proxy ids, DMA quirks).
    """

    bdf: int
    name: str = ""
    passthrough: bool = False
    msi_count: int = 0
    msi_64: bool = True
    msi_maskable: bool = False
    msix_count: int = 0
    pin: int = 0
    bridge: Bridge | None = None
    conventional: bool = False
    steering: bool = False
    aliases: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no function can be."""
        for name, limit in (("bdf", 0xFFFF), ("msi_count", 32), ("msix_count", 2048), ("pin", 4)):
            if not 0 <= (value := getattr(self, name)) <= limit:
                raise ValueError(f"{name} is {value}; the limit is 0 to {limit}")
        here = bdf_text(self.bdf)
        if self.msi_count & (self.msi_count - 1):
            raise ValueError(f"{here}: msi_count is {self.msi_count}; it must be 0 or a power of two")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"{here}: name has {len(self.name)} characters; the limit is {MAX_NAME}")
        if self.bridge and self.bridge.secondary <= self.bdf >> 8:
            raise ValueError(f"{here}: secondary bus {self.bridge.secondary} is not above its own bus")
        for alias in self.aliases:
            if alias >> 8 != self.bdf >> 8 or alias == self.bdf:
                raise ValueError(f"{here}: alias {alias:#x} is not another id of the same bus")


# --- configuration space ---


def pba_offset(count: int) -> int:
    """Bytes from the start of a BAR to the PBA: the table's size in whole pages (16 bytes an entry)."""
    return -(-16 * count // _PAGE) * _PAGE


def bar_size(count: int) -> int:
    """Bytes of a BAR with a table of `count` entries and its PBA: a power of two, 0 without entries."""
    return 1 << (pba_offset(count) + _PAGE - 1).bit_length() if count else 0


def image(function: Function, bar: int, shared: bool) -> bytes:
    """Configuration space after reset. bar: address in BAR 0; shared: the device has other functions."""
    space = bytearray(CONFIG_BYTES)
    _header(function, space, shared)
    struct.pack_into("<I", space, BAR0, bar)
    if function.msi_count:
        control = MSI_CONTROL.make(mmc=function.msi_count.bit_length() - 1, wide=int(function.msi_64),
                                   maskable=int(function.msi_maskable))
        struct.pack_into("<BBH", space, MSI_CAP, 0x05, MSIX_CAP if function.msix_count else 0, control)
    if function.msix_count:
        control = MSIX_CONTROL.make(last=function.msix_count - 1)
        pba = MSIX_TABLE.make(offset=pba_offset(function.msix_count) >> 3)
        struct.pack_into("<BBHII", space, MSIX_CAP, 0x11, 0, control, 0, pba)
    return bytes(space)


def _header(function: Function, space: bytearray, shared: bool) -> None:
    """Ids, status, class, header type, bus numbers, first capability, pin."""
    bridge = function.bridge
    first = MSI_CAP if function.msi_count else MSIX_CAP if function.msix_count else 0
    struct.pack_into("<HHHH", space, 0, _VENDOR, _DEVICE, 0, _HAS_CAPABILITIES if first else 0)
    struct.pack_into("<H", space, 0x0A, _CLASS_BRIDGE if bridge else _CLASS_OTHER)
    space[0x0E] = (1 if bridge else 0) | (_MULTIFUNCTION if shared else 0)
    if bridge:
        space[0x18:0x1B] = bytes((function.bdf >> 8, bridge.secondary, bridge.subordinate))
    space[0x34], space[PIN] = first, function.pin


def writable(function: Function) -> bytes:
    """The bits of configuration space that a write changes; all others keep their value.

    Fixed although real ones are not: a bridge's bus numbers (the topology is a fact of the machine).
    """
    space = bytearray(CONFIG_BYTES)
    struct.pack_into("<H", space, COMMAND, PCI_COMMAND.writable)
    space[LINE] = 0xFF
    if function.msi_count:
        _msi_writable(function, space)
    if function.msix_count:
        struct.pack_into("<I", space, BAR0, -bar_size(function.msix_count) & 0xFFFFFFFF)
        struct.pack_into("<H", space, MSIX_CAP + 2, MSIX_CONTROL.writable)
    return bytes(space)


def _msi_writable(function: Function, space: bytearray) -> None:
    """Enable and MME; address without bits 1:0; 16 bits of data; the mask bits of messages that exist."""
    wide = 4 if function.msi_64 else 0
    control = MSI_CONTROL.enable.mask | MSI_CONTROL.mme.mask     # no extended data: bit 9 is 0
    struct.pack_into("<HI", space, MSI_CAP + 2, control, 0xFFFFFFFC)
    space[MSI_CAP + 8:MSI_CAP + 8 + wide] = b"\xff" * wide
    struct.pack_into("<H", space, MSI_CAP + 8 + wide, 0xFFFF)
    if function.msi_maskable:
        struct.pack_into("<I", space, MSI_CAP + 12 + wide, (1 << function.msi_count) - 1)


# --- JSON ---

_BRIDGE_TYPES: dict[str, type] = {"kind": str, "secondary": int, "subordinate": int}
_TYPES: dict[str, type] = {"bdf": int, "bridge": object, "aliases": tuple} | {
    f.name: type(f.default) for f in fields(Function) if f.name not in ("bdf", "bridge", "aliases")}


def function_from(row: Any) -> Function:
    """The function of a JSON object; fields with a default may be missing. ValueError names the field."""
    values = dict(_object(row))
    if values.get("bridge") is not None:
        values["bridge"] = Bridge(**_typed(_object(values["bridge"]), _BRIDGE_TYPES, len(_BRIDGE_TYPES)))
    if "aliases" in values:
        values["aliases"] = _numbers(values["aliases"])
    return Function(**_typed(values, _TYPES, 1))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:40]!r} is not an object")
    return value


def _typed(values: dict[str, Any], types: dict[str, type], needed: int) -> dict[str, Any]:
    """`values` when its names and types are known and the first `needed` names are there."""
    for name, value in values.items():
        if name not in types:
            raise ValueError(f"no field {str(name)[:40]!r}; fields are {', '.join(types)}")
        if types[name] is not object and type(value) is not types[name]:
            raise ValueError(f"{name} is {str(value)[:40]!r}; expected {types[name].__name__}")
    for name in list(types)[:needed]:
        if name not in values:
            raise ValueError(f"{name} is missing")
    return values


def _numbers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or len(values) > 256 or not all(type(v) is int for v in values):
        raise ValueError("aliases: expected a list of at most 256 whole numbers")
    return tuple(values)
