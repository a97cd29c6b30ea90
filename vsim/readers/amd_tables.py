"""Interrupt remapping tables of AMD's IOMMUs: Xen's debug key V on such a machine.

    for entry in read(lines).records: entry.index, entry.fields

The form: dump_intremap_table of xen/drivers/passthrough/amd/iommu_intr.c. Entries that are not 0 are printed, of 32
bits or of 128 ("HIGH_LOW"); each device has a table of its own, or all share one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsim.layouts.amd import AMD_IRTE, AMD_IRTE_128, AMD_IRTE_GUEST
from vsim.layouts.bits import Layout, bdf_text, get
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import MAX_RECORDS, body, column, torn


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. rid: whose table it is in, None for the shared one; word: of `size` bits, 32 or 128."""

    file: str
    line: int
    segment: int
    rid: int | None
    index: int
    word: int
    size: int

    @property
    def layout(self) -> Layout:
        """The form of its bits: by its size, and by GuestMode."""
        if self.size == AMD_IRTE.width:
            return AMD_IRTE
        return AMD_IRTE_GUEST if get(self.word, AMD_IRTE_GUEST.guest_mode) else AMD_IRTE_128

    @property
    def fields(self) -> dict[str, int]:
        """The word by the fields of its layout."""
        return self.layout.split(self.word)

    @property
    def source(self) -> str:
        """Whose table it is in."""
        return "the shared table" if self.rid is None else f"{self.segment:04x}:{bdf_text(self.rid)}"


_HEAD = re.compile(r"-+ Dumping (Per-dev|Shared) IOMMU Interrupt Remapping Table -+")
_DEVICE = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}):([01][0-9a-f])[.:]([0-7]):")
_ENTRY = re.compile(r"IRTE\[([0-9a-f]{3,4})\] (?:([0-9a-f]{16})_([0-9a-f]{16})|([0-9a-f]{8}))")


def read(lines: Sequence[Line]) -> Reading:
    """All entries, in the order of the text."""
    records: list[Entry] = []
    remarks: list[Remark] = []
    place: tuple[int, int | None] | None = None
    for line in lines:
        if place is None and "Interrupt Remapping Table" not in line.text:
            continue
        said = body(line.text)
        if _HEAD.fullmatch(said):
            place = 0, None
        elif place is not None and (match := _DEVICE.fullmatch(said)):
            segment, bus, device, function = (int(each, 16) for each in match.groups())
            place = segment, bus << 8 | device << 3 | function
        elif place is not None and said.startswith("IRTE["):
            match = _ENTRY.fullmatch(said)
            if match is None:
                remarks.append(torn(line, "an entry"))
            elif len(records) == MAX_RECORDS:
                remarks.append(Remark(line.file, line.number, column(line),
                                      f"left out: all behind the first {MAX_RECORDS} entries"))
                break
            else:
                word = int(match[4], 16) if match[4] else int(match[2], 16) << 64 | int(match[3], 16)
                records.append(Entry(line.file, line.number, *place, int(match[1], 16), word, 32 if match[4] else 128))
    return Reading(tuple(records), few(remarks))
