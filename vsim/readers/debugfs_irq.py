"""Interrupts of Linux with their whole chain: the files of /sys/kernel/debug/irq/irqs (kernel/irq/debugfs.c).

    for interrupt in read(lines).records:
        interrupt.irq, interrupt.device, interrupt.message_index, interrupt.unit, interrupt.entry, interrupt.vector

A file shows the levels of an interrupt from the device to the local APIC: the device's own (IR-PCI-MSIX, IO-APIC), the
remapping unit's (INTEL-IR-<unit>) and the vector's. At the unit's level `hwirq` holds the index of the first entry in
its bits 31:16 and the place behind it below (drivers/iommu/intel/irq_remapping.c).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from vsim.layouts.bits import get
from vsim.layouts.formats import MSI_ADDRESS, REMAP_ADDRESS, REMAP_DATA
from vsim.readers import debugfs_files, ranges
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.ranges import Ranges

MAX_INTERRUPTS = 100_000
"""Most interrupts of one reading."""
MAX_ENTRY = 0xFFFF
"""Last entry of the largest table (IRTA.S)."""
MAX_LEVELS = 16
MAX_NAMES = 64


@dataclass(frozen=True, slots=True)
class Level:
    """One level of an interrupt's chain: the domain's name, the number in it (None where the text does not go on to
    it), the name of the chip, and its line."""

    domain: str
    hwirq: int | None
    chip: str
    line: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """One interrupt. irq: Linux's number, -1 where nothing says it. device: "" where there is none.

    levels: from the device to the vector. address, data: the message in the device, None where it has none.
    vector, cpu: where the vector's level has one; vector 0: none is given yet. previous: (vector, CPU) of a move that
    is not done. affinity, effective: CPUs. flags: the names that stand below status, istate and dstate.
    """

    file: str
    line: int
    irq: int
    handler: str = ""
    device: str = ""
    status: int = 0
    dstate: int = 0
    flags: tuple[str, ...] = ()
    node: int = -1
    affinity: Ranges = ()
    effective: Ranges = ()
    pending: Ranges = ()
    levels: tuple[Level, ...] = ()
    address: int | None = None
    data: int | None = None
    vector: int | None = None
    cpu: int | None = None
    previous: tuple[int, int] | None = None
    moving: bool = False
    managed: bool = False
    reserved: bool = False
    lines: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Line of each fact by its name: address, data, vector, cpu, affinity, effective."""

    @property
    def unit(self) -> int | None:
        """Number of the remapping unit (dmar<n>), None where the interrupt is not remapped."""
        level = self._remapping
        return int(_UNIT.match(level.domain)[1]) if level else None  # type: ignore[index]

    @property
    def entry(self) -> int | None:
        """Index of its remapping table entry, as its unit's level has it; None for what is no table's."""
        level = self._remapping
        if level is None or level.hwirq is None:
            return None
        index = (level.hwirq >> 16) + (level.hwirq & 0xFFFF)
        return index if index <= MAX_ENTRY else None

    @property
    def _remapping(self) -> Level | None:
        return next((level for level in self.levels if _UNIT.match(level.domain)), None)

    @property
    def remappable(self) -> bool | None:
        """Format of the message: True remappable, False compatibility, None where there is no message.

        A unit's own messages (DMAR-MSI) and those that a VMD catches (VMD-MSI) are in compatibility format.
        """
        return None if self.address is None else bool(get(self.address, MSI_ADDRESS.format))

    @property
    def number(self) -> int:
        """Number of the message among those of an MSI capability: the device puts it into the low bits of the data.

        0 for MSI-X. Old kernels name MSI and MSI-X alike (up to 6.1); there it is what the unit's level says.
        """
        name, hwirq = (self.levels[0].domain, self.levels[0].hwirq) if self.levels else ("", 0)
        if _MSI.search(name):
            return (hwirq or 0) & 0x7FF
        level = self._remapping
        return (level.hwirq or 0) & 0xFFFF if level and not _MSIX.search(name) else 0

    @property
    def message_index(self) -> int | None:
        """Index that its message asks for: the handle, and with SHV the subhandle added (VT-d 5.1.3).

        None too where the text ends before the data, or before what says which message it is.
        """
        if self.address is None or not self.remappable:
            return None
        index: int = get(self.address, REMAP_ADDRESS.handle)
        if not get(self.address, REMAP_ADDRESS.shv):
            return index
        if self.data is None or any(level and level.hwirq is None for level in (*self.levels[:1], self._remapping)):
            return None
        subhandle: int = get(self.data | self.number, REMAP_DATA.subhandle)
        return index + subhandle

    @property
    def pin(self) -> tuple[int, int] | None:
        """(I/O APIC, pin) where it comes from one."""
        match = _IOAPIC.match(self.levels[0].domain) if self.levels else None
        hwirq = self.levels[0].hwirq if match else None
        return (int(match[1]), hwirq) if match and hwirq is not None else None

    @property
    def rid(self) -> tuple[int, int] | None:
        """(segment, bus:device.function in 16 bits) where its device or its domain names a PCI function."""
        match = _FUNCTION.search(self.device) or (_FUNCTION.search(self.levels[0].domain) if self.levels else None)
        if not match or int(match[3], 16) > 31:
            return None
        return int(match[1], 16), int(match[2], 16) << 8 | int(match[3], 16) << 3 | int(match[4])


_UNIT = re.compile(r"INTEL-IR-(\d{1,4})(?![\d])")
_MSI = re.compile(r"PCI-MSI-[0-9a-f]{4,8}:")
_MSIX = re.compile(r"PCI-MSIX")
_IOAPIC = re.compile(r"IO-APIC(?:-IR)?-(\d{1,4})")
_FUNCTION = re.compile(r"(?<![0-9a-fA-F])([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")
_FLAG = re.compile(r"_?IRQ[A-Z]{0,5}_[A-Z_0-9]{1,40}")
_MOVES = {"move_in_progress": "moving", "is_managed": "managed", "has_reserved": "reserved"}


def read(lines: Sequence[Line]) -> Reading:
    """All interrupts of a text, in its order; one that is told twice in the same words is given once."""
    reader = _Reader()
    for part in debugfs_files.parts(lines):
        reader.take(part)
        if len(reader.records) >= MAX_INTERRUPTS:
            reader.tell(part, 0, f"left out: all behind the first {MAX_INTERRUPTS} interrupts")
            break
    reader.close()
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Interrupt] = []
        self.remarks: list[Remark] = []
        self.seen: set[tuple[object, ...]] = set()
        self.values: dict[str, object] = {}
        self.places: dict[str, int] = {}
        self.levels: list[Level] = []
        self.flags: list[str] = []
        self.start: debugfs_files.Part | None = None
        self.used = False

    def tell(self, part: debugfs_files.Part, at: int, text: str) -> None:
        """A remark about a character of a part's text."""
        self.remarks.append(Remark(part.line.file, part.line.number, part.shift + at + 1, text))

    def take(self, part: debugfs_files.Part) -> None:
        text = part.text.strip()
        if part.new:
            self.close()
            self.used = False
        if text.startswith("handler:"):
            self.close()
            self.start = part
        elif text.startswith("name:") and not part.text.startswith(" "):
            self.close()
        if self.start is None:
            if part.kind != "irqs" or part.name == "" or ":" not in text or self.used:
                return
            self.start = part  # a file that was cut at its beginning
        key, colon, value = text.partition(":")
        if colon:
            self._fact(part, key, value.strip())
        elif _FLAG.fullmatch(text) and len(self.flags) < MAX_NAMES:
            self.flags.append(text)

    def _fact(self, part: debugfs_files.Part, key: str, value: str) -> None:
        if key in _NUMBERS:
            name, base, most = _NUMBERS[key]
            number = _number(value, base, most)
            if number is None:
                self.tell(part, len(part.text) - len(part.text.lstrip()), f"left out: {key} is {value[:40]!r}")
                return
            self._put(part, name, number)
        elif key in ("affinity", "effectiv", "pending"):
            runs = ranges.parse(value)
            if runs is None:
                self.tell(part, 0, f"left out: {key} is {value[:40]!r}, no list of CPUs")
            else:
                self._put(part, {"effectiv": "effective"}.get(key, key), runs)
        elif key in ("handler", "device"):
            self._put(part, key, "" if value == "(null)" else value[:200])
        elif key == "domain" and len(self.levels) < MAX_LEVELS:
            self.levels.append(Level(value[:200], None, "", part.line.number))
        elif key in ("hwirq", "chip") and self.levels:
            self._level(part, key, value)

    def _put(self, part: debugfs_files.Part, name: str, value: object) -> None:
        self.values[name] = value
        self.places[name] = part.line.number

    def _level(self, part: debugfs_files.Part, key: str, value: str) -> None:
        level = self.levels[-1]
        if key == "chip":
            self.levels[-1] = Level(level.domain, level.hwirq, value[:200], level.line)
        elif (number := _number(value, 16, (1 << 64) - 1)) is None:
            self.tell(part, 0, f"left out: hwirq is {value[:40]!r}")
        elif level.hwirq is not None:
            if len(self.levels) < MAX_LEVELS:       # the line with its domain is lost
                self.levels.append(Level("", number, "", part.line.number))
        else:
            self.levels[-1] = Level(level.domain, number, level.chip, level.line)
            if _UNIT.match(level.domain) and (number >> 16) + (number & 0xFFFF) > MAX_ENTRY:
                self.tell(part, 0, f"hwirq is {value[:40]!r}, which is no entry of a table; its entry is not known")

    def close(self) -> None:
        """Give the interrupt that was begun, and forget it."""
        start, self.start = self.start, None
        values, places, levels, flags = self.values, self.places, self.levels, self.flags
        self.values, self.places, self.levels, self.flags = {}, {}, [], []
        if start is None or not (values or levels):
            return
        irq = int(start.name) if start.kind == "irqs" and start.name.isdecimal() and not self.used else -1
        self.used = True
        number = (levels[-1].hwirq if levels and levels[-1].domain == "VECTOR" else 0) or irq   # Linux's, always
        if number != irq:
            before = f"the heading says irq {irq}" if irq >= 0 else "no heading"
            irq = number
            self.tell(start, 0, f"{before}; taken for irq {irq}, which its vector's level has as hwirq")
        interrupt = _made(start, irq, values, tuple(levels), tuple(flags), places)
        key = (interrupt.file, irq, *values.items(), *((level.domain, level.hwirq) for level in levels))
        if key not in self.seen or irq < 0:
            self.seen.add(key)
            self.records.append(interrupt)


_NUMBERS = {
    "status": ("status", 16, 0xFFFF_FFFF), "dstate": ("dstate", 16, 0xFFFF_FFFF), "node": ("node", 10, 1 << 16),
    "address_hi": ("upper", 16, 0xFFFF_FFFF), "address_lo": ("lower", 16, 0xFFFF_FFFF),
    "msg_data": ("data", 16, 0xFFFF_FFFF), "Vector": ("vector", 10, 255), "Target": ("cpu", 10, 0xFFFF_FFFF),
    "Previous vector": ("old_vector", 10, 255), "Previous target": ("old_cpu", 10, 0xFFFF_FFFF),
    "move_in_progress": ("moving", 10, 1), "is_managed": ("managed", 10, 1), "has_reserved": ("reserved", 10, 1)}
"""Facts that are numbers: name here, base, largest."""


def _number(text: str, base: int, most: int) -> int | None:
    if not re.fullmatch(r"-?\d{1,12}" if base == 10 else r"(?:0x)?[0-9a-fA-F]{1,16}", text):
        return None
    number = int(text, base)
    return number if -1 <= number <= most else None


def _made(start: debugfs_files.Part, irq: int, values: dict[str, object], levels: tuple[Level, ...],
          flags: tuple[str, ...], places: dict[str, int]) -> Interrupt:
    known = dict(values)
    lower, upper = known.pop("lower", None), known.pop("upper", 0)
    old_vector, old_cpu = known.pop("old_vector", None), known.pop("old_cpu", None)
    if isinstance(lower, int) and isinstance(upper, int):
        known["address"] = upper << 32 | lower
        places["address"] = places["lower"]
    if isinstance(old_vector, int) and isinstance(old_cpu, int):
        known["previous"] = old_vector, old_cpu
    for name in _MOVES.values():
        known[name] = bool(known.get(name))
    return Interrupt(start.line.file, start.line.number, irq, flags=flags, levels=levels, lines=places,
                     **known)  # type: ignore[arg-type]
