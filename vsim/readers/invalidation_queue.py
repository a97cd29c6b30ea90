"""Invalidation queues of Linux: /sys/kernel/debug/iommu/intel/invalidation_queue.

    for queue in read(lines).records:
        for descriptor in queue.descriptors: descriptor.text

A queue is a ring: what lies between head and tail is waiting, the rest was done or never used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsim.layouts.bits import Layout, get
from vsim.layouts.formats import (
    CONTEXT_INV,
    DESCRIPTOR_NAMES,
    DEVICE_TLB_INV,
    IEC,
    IOTLB_INV,
    WAIT,
    DescriptorType,
)
from vsim.readers.logs import bare
from vsim.readers.pieces import Line, Reading, Remark, few

MAX_DESCRIPTORS = 200_000
"""Most descriptors of one reading."""
STATUS = {0: "free", 1: "in use", 2: "done", 3: "aborted"}
"""What Linux notes of each descriptor (drivers/iommu/intel/iommu.h)."""
_LAYOUTS: dict[int, Layout] = {DescriptorType.CONTEXT: CONTEXT_INV, DescriptorType.IOTLB: IOTLB_INV,
                               DescriptorType.DEVICE_TLB: DEVICE_TLB_INV, DescriptorType.IEC: IEC,
                               DescriptorType.WAIT: WAIT}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor. low, high: its first 128 bits; more: the other 128 where the queue has them; status: Linux's."""

    line: int
    index: int
    low: int
    high: int
    more: tuple[int, int] = (0, 0)
    status: int = 0

    @property
    def type(self) -> int:
        """Number of its type, 0 for a place that was never used."""
        return type_of(self.low)

    @property
    def text(self) -> str:
        """Its fields in one line."""
        return told(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Queue:
    """A unit's queue. base: physical; head, tail: places in the ring, None where they were cut."""

    file: str
    line: int
    unit: str
    base: int | None = None
    head: int | None = None
    tail: int | None = None
    descriptors: tuple[Descriptor, ...] = ()

    @property
    def waiting(self) -> int | None:
        """Descriptors that the unit has not taken."""
        if self.head is None or self.tail is None or not self.descriptors:
            return None
        return (self.tail - self.head) % len(self.descriptors)


def type_of(low: int) -> int:
    """The type of a descriptor: bits 3:0, and 11:9 above them."""
    return int(get(low, IEC.type) | get(low, IEC.type_high) << 4)


def told(low: int, high: int) -> str:
    """A descriptor in one line: its name and the fields that are not 0."""
    kind = type_of(low)
    name = DESCRIPTOR_NAMES.get(kind, f"type {kind:#x}")
    layout = _LAYOUTS.get(kind)
    if not low and not high:
        return "never used"
    return f"{name}: {layout.text(high << 64 | low)}" if layout else f"{name}: {low:#x} {high:#x}"


_HEAD = re.compile(r"Invalidation queue on IOMMU: *(\S{1,40})")
_BASE = re.compile(r"Base: *(?:0x)?([0-9a-fA-F]{1,16})\s+Head: *(\d{1,6})\s+Tail: *(\d{1,6})")
_ROW = re.compile(r"(\d{1,6})((?:\s+[0-9a-fA-F]{16}){3}|(?:\s+[0-9a-fA-F]{16}){5})\s*")


def read(lines: Sequence[Line]) -> Reading:
    """The queues of a text, in its order."""
    reader = _Reader()
    for line in lines:
        reader.take(line)
        if reader.count >= MAX_DESCRIPTORS:
            reader.tell(line, f"left out: all behind the first {MAX_DESCRIPTORS} descriptors")
            break
    reader.close()
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Queue] = []
        self.remarks: list[Remark] = []
        self.queue: Queue | None = None
        self.rows: list[Descriptor] = []
        self.count = 0

    def tell(self, line: Line, text: str) -> None:
        """A remark about the first word of a line."""
        self.remarks.append(Remark(line.file, line.number, len(line.text) - len(line.text.lstrip()) + 1, text))

    def close(self) -> None:
        """Give the queue that was begun."""
        queue, rows = self.queue, tuple(self.rows)
        self.queue, self.rows = None, []
        if queue:
            for name, place in (("head", queue.head), ("tail", queue.tail)):
                if rows and place is not None and place > rows[-1].index:
                    self.tell(Line(queue.file, queue.line, ""),
                              f"{queue.unit}: {name} {place} is behind the last row {rows[-1].index}")
            self.records.append(replace(queue, descriptors=rows))

    def take(self, line: Line) -> None:
        """Read one line."""
        text = bare(line.text)
        if match := _HEAD.search(text):
            self.close()
            self.queue = Queue(line.file, line.number, match[1])
        elif self.queue and (match := _BASE.search(text)):
            self.queue = replace(self.queue, base=int(match[1], 16), head=int(match[2]), tail=int(match[3]))
        elif self.queue and text[:1].isdecimal() and (match := _ROW.fullmatch(text)):
            self._row(line, int(match[1]), [int(word, 16) for word in match[2].split()])

    def _row(self, line: Line, index: int, words: list[int]) -> None:
        low, high, *more, status = words
        if self.rows and index <= self.rows[-1].index:
            self.tell(line, f"left out: row {index} behind row {self.rows[-1].index}")
            return
        if self.rows and index != self.rows[-1].index + 1:
            self.tell(line, f"rows {self.rows[-1].index + 1} to {index - 1} are missing")
        self.rows.append(Descriptor(line.number, index, low, high, (more[0], more[1]) if more else (0, 0), status))
        self.count += 1
