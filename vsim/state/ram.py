"""Guest memory: sparse pages of 4 KiB, shared between snapshots until written.

A page is an `array("I")` of 1,024 little-endian words. A copy of the memory shares every page; the first write to a
shared page copies that page alone. Addresses are guest-physical bytes: memory starts at 0, leaves out the hole for
devices from `HOLE` to 4 GiB, and goes on above. Reading outside memory gives None and writing outside gives False:
whether that is a fault is the caller's business.
"""

from __future__ import annotations

import sys
from array import array

WORDS = 1024
HOLE, HOLE_END = 0xE000_0000, 1 << 32
"""Guest-physical addresses that are never memory: devices, the vIOMMU, I/O APIC and local APICs."""
_ZERO = array("I", bytes(4096))


def _native(data: bytes | bytearray) -> array[int]:
    words = array("I", bytes(data))
    if sys.byteorder == "big":
        words.byteswap()
    return words


class Ram:
    """`size` bytes of guest memory from address 0, all zero at first; size is a multiple of 4,096."""

    __slots__ = ("_own", "high", "low", "pages", "size")

    def __init__(self, size: int) -> None:
        if type(size) is not int:
            raise ValueError(f"RAM size is {size!r:.40}; expected an int")
        if size <= 0 or size & 0xFFF or size > 1 << 52:
            raise ValueError(f"RAM size {size:#x} is not a multiple of 0x1000 from 0x1000 to 2^52")
        self.size = size
        self.low = min(size, HOLE)
        self.high = HOLE_END + size - HOLE if size > HOLE else HOLE_END
        self.pages: dict[int, array[int]] = {}
        self._own: set[int] = set()

    def copy(self) -> Ram:
        """A snapshot; costs one dictionary copy."""
        other = Ram.__new__(Ram)
        other.size, other.low, other.high = self.size, self.low, self.high
        other.pages = self.pages.copy()
        other._own = set()
        self._own = set()
        return other

    def holds(self, address: int, length: int = 1) -> bool:
        """Whether all of `length` bytes from `address` are memory."""
        end = address + length
        return address >= 0 and (end <= self.low or (address >= HOLE_END and end <= self.high))

    def words4(self, address: int) -> tuple[int, int, int, int] | None:
        """Four words from a 16-byte aligned address, as one access; None outside memory."""
        if not (0 <= address < self.low or HOLE_END <= address < self.high):
            return None
        page = self.pages.get(address >> 12, _ZERO)
        at = address >> 2 & 0x3FC
        return page[at], page[at + 1], page[at + 2], page[at + 3]

    def word(self, address: int) -> int | None:
        """The 32-bit word at a 4-byte aligned address; None outside memory."""
        if not self.holds(address):
            return None
        return self.pages.get(address >> 12, _ZERO)[address >> 2 & 0x3FF]

    def _page(self, number: int) -> array[int]:
        """The page, ready to be written."""
        if number not in self._own:
            self.pages[number] = self.pages.get(number, _ZERO)[:]
            self._own.add(number)
        return self.pages[number]

    def write_word(self, address: int, value: int) -> bool:
        """Store 32 bits at a 4-byte aligned address; False outside memory."""
        if not self.holds(address):
            return False
        self._page(address >> 12)[address >> 2 & 0x3FF] = value & 0xFFFFFFFF
        return True

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes (at most 1 MiB); None when any of them is outside memory."""
        if not 0 <= length <= 1 << 20 or not self.holds(address, length):
            return None
        out = bytearray()
        while length:
            offset = address & 0xFFF
            part = min(length, 4096 - offset)
            page = self.pages.get(address >> 12, _ZERO)[:]
            out += _native(page.tobytes()).tobytes()[offset:offset + part]
            address += part
            length -= part
        return bytes(out)

    def write(self, address: int, data: bytes) -> bool:
        """Store bytes; False, and nothing stored, when any of them is outside memory."""
        if not self.holds(address, len(data)):
            return False
        while data:
            offset = address & 0xFFF
            part = min(len(data), 4096 - offset)
            page = self._page(address >> 12)
            whole = bytearray(_native(page.tobytes()).tobytes())
            whole[offset:offset + part] = data[:part]
            page[:] = _native(whole)
            address += part
            data = data[part:]
        return True

    def used(self) -> dict[int, array[int]]:
        """The pages that hold anything but zeros, by number."""
        return {number: page for number, page in sorted(self.pages.items()) if page != _ZERO}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ram):
            return NotImplemented
        if self.size != other.size:
            return False
        for number in self.pages.keys() | other.pages.keys():
            mine, theirs = self.pages.get(number, _ZERO), other.pages.get(number, _ZERO)
            if mine is not theirs and mine != theirs:
                return False
        return True

    __hash__ = None  # type: ignore[assignment]
