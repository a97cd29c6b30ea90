"""What a guest must have written to memory, where no plugin tells: worked out from what the unit was seen to read.

A descriptor lay in the queue when the head was written. An entry with a new content was written at the latest before
it was read: its write is put before the last invalidation that covers it since the old content was read, as drivers
write first and invalidate then; without one right before the read. What was written and never read is not known, nor
whether it came in one store or in two: what the checker says of torn entries and missing invalidations then means
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from vsim.layouts.bits import get
from vsim.layouts.registers import IQA, IRTA, OFFSET

Row = list[Any]
ENTRY = 16
"""Bytes of an entry, and of a descriptor."""


def with_writes(rows: Sequence[Row], unit: int) -> Iterator[Row]:
    """The rows, with writes to the table and the queue between them."""
    before = _writes(rows, unit)
    for number, row in enumerate(rows):
        for write in before.get(number, ()):
            yield [write, [], -1, row[3]]
        yield row


def _writes(rows: Sequence[Row], unit: int) -> dict[int, list[Row]]:
    """By number of row, the writes that come before it."""
    table = queue = head = size = 0
    known: dict[int, str] = {}
    read: dict[int, int] = {}
    flushes: list[tuple[int, int, int, int]] = []
    before: dict[int, list[Row]] = defaultdict(list)
    for number, (command, did, _, _) in enumerate(rows):
        if command and command[0] == "mmio" and command[1] == unit + OFFSET["IRTA"]:
            table = get(command[3], IRTA.base) << 12
        elif command and command[0] == "mmio" and command[1] == unit + OFFSET["IQA"]:
            queue, size, head = get(command[3], IQA.base) << 12, 256 << get(command[3], IQA.qs), 0
        for one in did:
            if one[0] == "D" and size:
                before[number].append(["ram", queue + ENTRY * head, _bytes(one[2], one[3])])
                head = (head + 1) % size
            elif one[0] == "C":
                flushes.append((number, *one[1:]))
            elif one[0] == "I":
                index, content = one[1], _bytes(one[2], one[3])
                if known.get(index) != content:
                    place = _place(flushes, index, read.get(index, -1), number)
                    before[place].insert(0, ["ram", table + ENTRY * index, content])
                    known[index] = content
                read[index] = number
    return before


def _place(flushes: list[tuple[int, int, int, int]], index: int, since: int, now: int) -> int:
    """The last invalidation that covers an entry after `since`, else `now`."""
    for number, some, first, mask in reversed(flushes):
        if number <= since:
            break
        if not some or index >> mask == first >> mask:
            return number
    return now


def _bytes(high: str, low: str) -> str:
    return (int(high, 16) << 64 | int(low, 16)).to_bytes(ENTRY, "little").hex()
