"""The PCI functions of a machine: where each sits, and under which id its messages arrive.

Facts only: nothing here changes after a `Bus` is made; `Bus.reset` hands out the arrays that do. What
software does to them (configuration accesses, tables, masks) is in `msi`.

A function is named by its *place* in `Bus.functions`. Its configuration space is
`config[256 * place + offset]` (bytes, little endian). Its MSI-X entries are four words each from
`msix[4 * bus.msix_start(place)]` on, their pending bits 64 to a word from `pba[bus.pba_start(place)]` on.
The pending bits of MSI are in its capability.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import asdict
from itertools import accumulate, pairwise
from typing import Any

from vsim.layouts.bits import bdf_text
from vsim.layouts.registers import MSIX_VECTOR_CONTROL
from vsim.state.pci_function import (
    MSI_CAP,
    MSIX_CAP,
    Bridge,
    Function,
    bar_size,
    function_from,
    image,
    pba_offset,
    writable,
)

__all__ = ["MMIO_END", "MMIO_START", "Bridge", "Bus", "Function"]

MMIO_START, MMIO_END = 0xE000_0000, 0xFEC0_0000
"""Guest-physical addresses between which the BARs are assigned."""


class Bus:
    """The PCI functions of a machine, in a fixed order.

    ValueError: two functions with one bdf, two bridges with one secondary bus, or more MSI-X tables than fit
    between `MMIO_START` and `MMIO_END`.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, functions: Iterable[Function]) -> None:
        self.functions: tuple[Function, ...] = tuple(functions)
        self._places = {f.bdf: place for place, f in enumerate(self.functions)}
        for place, function in enumerate(self.functions):
            if self._places[function.bdf] != place:
                raise ValueError(f"function {bdf_text(function.bdf)} occurs twice")
        self._above = _parents(self.functions)
        self._lay_out()

    def _lay_out(self) -> None:
        """Where everything of each place is in the arrays and in memory."""
        counts = [f.msix_count for f in self.functions]
        self.msi_caps = tuple(MSI_CAP if f.msi_count else 0 for f in self.functions)
        self.msix_caps = tuple(MSIX_CAP if count else 0 for count in counts)
        self.msix_starts = tuple(accumulate(counts, initial=0))
        self.pba_starts = tuple(accumulate(((count + 63) // 64 for count in counts), initial=0))
        self.bars = _assign(counts)
        self._decoders = [place for place, count in enumerate(counts) if count]
        self._decoder_bases = [self.bars[place] for place in self._decoders]
        self.writable = b"".join(map(writable, self.functions))
        self._images = b"".join(image(f, bar, self._shares_device(f))
                                for f, bar in zip(self.functions, self.bars, strict=True))

    def _shares_device(self, function: Function) -> bool:
        return any(function.bdf ^ other in self._places for other in range(1, 8))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bus) and self.functions == other.functions

    def __repr__(self) -> str:
        return f"Bus({', '.join(bdf_text(f.bdf) for f in self.functions)})"

    def place(self, bdf: int) -> int:
        """Index of the function in `functions`, -1 when there is none."""
        return self._places.get(bdf, -1)

    def check(self, place: int) -> None:
        """ValueError when `place` is not the index of a function."""
        if type(place) is not int or not 0 <= place < len(self.functions):
            raise ValueError(f"place is {place!r}; there are {len(self.functions)} functions")

    # --- the arrays -----------------------------------------------------------------------------------

    def reset(self) -> tuple[array[int], array[int], array[int]]:
        """Fresh (config, msix, pba) after a reset: BARs assigned, all else off, every MSI-X entry masked."""
        entries = array("I", [0, 0, 0, MSIX_VECTOR_CONTROL.reset]) * self.msix_starts[-1]
        return array("B", self._images), entries, array("Q", bytes(8 * self.pba_starts[-1]))

    def msix_start(self, place: int) -> int:
        """The first entry of the function's MSI-X table, counted over all functions."""
        return self.msix_starts[place]

    def pba_start(self, place: int) -> int:
        """The word of `pba` that holds the pending bit of the function's MSI-X entry 0."""
        return self.pba_starts[place]

    def msi_cap(self, place: int) -> int:
        """Offset of the MSI capability, 0 without one."""
        return self.msi_caps[place]

    def msix_cap(self, place: int) -> int:
        """Offset of the MSI-X capability, 0 without one."""
        return self.msix_caps[place]

    def bar(self, place: int) -> int:
        """Guest-physical address of the MSI-X table, 0 without one; the PBA begins a page of its own."""
        return self.bars[place]

    def table_at(self, address: int) -> tuple[int, int, bool] | None:
        """(place, byte offset in the table or PBA, whether in the PBA) of a guest-physical address, or None.

        All of a BAR is decoded. Whether the function answers there now is for `msi.decodes` to say.
        """
        found = bisect_right(self._decoder_bases, address) - 1
        if found < 0:
            return None
        place = self._decoders[found]
        offset, count = address - self.bars[place], self.functions[place].msix_count
        if offset >= bar_size(count):
            return None
        table = pba_offset(count)
        return (place, offset - table, True) if offset >= table else (place, offset, False)

    # --- topology -------------------------------------------------------------------------------------

    def bridges_above(self, bdf: int) -> list[Function]:
        """The bridges between a requester and the root, the nearest first."""
        out: list[Function] = []
        bus = bdf >> 8
        while (place := self._above.get(bus, -1)) >= 0:
            out.append(self.functions[place])
            bus = self.functions[place].bdf >> 8
        return out

    def bridge_aliases(self, bdf: int) -> list[tuple[int, int]]:
        """Ids that the bridges above put in place of `bdf`, nearest first: (id, bus of the bridge); V 9."""
        out = []
        for above in self.bridges_above(bdf):
            bridge = above.bridge
            if bridge and bridge.kind == "pcie-to-pci":
                out.append((bridge.secondary << 8, above.bdf >> 8))
            elif bridge and bridge.kind == "pci":
                out.append((above.bdf, above.bdf >> 8))
        return out

    def requester(self, bdf: int) -> int:
        """The id that a message of `bdf` carries at the root (VT-d 5.1.1, V 9).

        Itself; below a PCIe-to-PCI bridge its secondary bus with device 0, function 0; below a conventional
        PCI bridge that bridge's own id. Of several such bridges the topmost decides.
        """
        above = self.bridge_aliases(bdf)
        return above[-1][0] if above else bdf

    def source_check(self, bdf: int) -> tuple[int, int, int]:
        """(SVT, SQ, SID) that Linux gives the entries of a function: the rows of V 9, in their order.

        The walk yields the function itself first, so one further id of its own bus makes "two or more".
        """
        place, bus = self.place(bdf), bdf >> 8
        own = self.functions[place].aliases if place >= 0 else ()
        ids = [(bdf, bus), *((alias, bus) for alias in own), *self.bridge_aliases(bdf)]
        last, last_bus = ids[-1]
        if last >> 8 != last_bus:
            return 2, 0, last & 0xFF00 | bus
        if len(ids) >= 2 and all(alias >> 8 == bus for alias, _ in ids):
            return 2, 0, bus << 8 | bus
        return 1, 0, last

    def gsi(self, bdf: int) -> int:
        """Xen's GSI of the function's INTx, 16 to 47; -1 without a pin or without the function (A 10).

        Each bridge on the way adds the device number below it to the pin (modulo 4); at the root the GSI is
        ((4 * device + device / 8 + pin) & 31) + 16.
        """
        place = self.place(bdf)
        if place < 0 or not self.functions[place].pin:
            return -1
        pin, device = self.functions[place].pin - 1, bdf >> 3 & 31
        for above in self.bridges_above(bdf):
            pin, device = (pin + device) & 3, above.bdf >> 3 & 31
        return ((4 * device + device // 8 + pin) & 31) + 16

    # --- JSON -----------------------------------------------------------------------------------------

    def to_list(self) -> list[dict[str, Any]]:
        """As JSON values, an object for each function."""
        return [asdict(f) | {"aliases": list(f.aliases)} for f in self.functions]

    @staticmethod
    def from_list(data: Any) -> Bus:
        """The inverse of `to_list`; fields with a default may be missing. ValueError names row and field."""
        if not isinstance(data, list) or len(data) > 1 << 16:
            raise ValueError("functions: expected a list of at most 65,536")
        return Bus([_row(number, row) for number, row in enumerate(data)])


def _row(number: int, row: Any) -> Function:
    try:
        return function_from(row)
    except ValueError as error:
        raise ValueError(f"function {number}: {error}") from None


def _assign(counts: list[int]) -> tuple[int, ...]:
    """The BAR of every place, aligned to its size; 0 without MSI-X entries."""
    address, bars = MMIO_START, []
    for size in map(bar_size, counts):
        if size:
            address = -(-address // size) * size
        bars.append(address if size else 0)
        address += size
    if address > MMIO_END:
        raise ValueError(f"the MSI-X tables end at {address:#x}; the limit is {MMIO_END:#x}")
    return tuple(bars)


def _parents(functions: tuple[Function, ...]) -> dict[int, int]:
    """Bus number -> place of the nearest bridge above it."""
    above: dict[int, int] = {}
    bridges = [(f.bridge, place) for place, f in enumerate(functions) if f.bridge]
    bridges.sort(key=lambda pair: pair[0].secondary)
    for (one, _), (two, _) in pairwise(bridges):
        if one.secondary == two.secondary:
            raise ValueError(f"two bridges have secondary bus {one.secondary}")
    for bridge, place in bridges:
        above |= dict.fromkeys(range(bridge.secondary, bridge.subordinate + 1), place)
    return above
