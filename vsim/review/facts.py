"""What a design review quotes besides its runs: limits with sources, later discussions, what nobody verified (X 7-12).

"series, version 4" is the last posted version as its authors published it; "288-vCPU prototype" a branch of theirs.
"""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """One number: what it limits, its value, where that is read, and the grade of it."""

    what: str
    value: str
    source: str
    grade: str


_TODAY = "Xen of August 2026"
_SERIES = "series, version 4"
_PROTOTYPE = "288-vCPU prototype"
LIMITS: tuple[Limit, ...] = (
    Limit("vCPUs of an HVM guest, 2017 and 2026", "128", f"{_TODAY}, public/hvm/hvm_info_table.h", "read"),
    Limit("why 128", "APIC ID = 2 x vCPU: 127 has 254, 128 would have 256, no 8-bit number; 255 is broadcast",
          f"{_SERIES}, docs/misc/viommu.txt", "read"),
    Limit("a second cause of 128", "one page of 32-byte slots for I/O requests", _PROTOTYPE, "read"),
    Limit("vCPUs if APIC ID = vCPU", "255 (IDs 0 to 254)", f"{_PROTOTYPE}, which does so", "I"),
    Limit("what the series promises", "version 1: more than 255 vCPUs; version 3 on: more than 128",
          "docs/misc/viommu.txt of each", "read"),
    Limit("what 288 vCPUs took", "I/O request pages 1 to 4, special pages 8 to 11, event channels 1,023 to 4,095, "
          "HAP pool 256 to 512 pages", f"{_PROTOTYPE}, commits", "read"),
    Limit("remapping table", "2 to 65,536 entries of 16 bytes: 1 MiB at most", f"{_SERIES}, vvtd.c", "read"),
    Limit("invalidation queue", "256 to 32,768 descriptors", f"{_SERIES}, vvtd.c", "read"),
    Limit("destination of a message", "8 bits", "VT-d and SDM, compatibility format", "read"),
    Limit("extended destination ID", "15 bits: APIC IDs up to 32,767", f"{_TODAY}, public/arch-x86/cpuid.h", "read"),
    Limit("destination of an entry with EIM, and of x2APIC", "32 bits", "VT-d 9.9, SDM", "read"),
    Limit("vectors of a vCPU", "256; 16 to 255 valid, 32 on usable", "SDM, local APIC chapter", "read"),
    Limit("measured performance of the series", "none found in commits or documents", "search", "unverified"),
)
"""The numbers of the series and of what surrounds it (X 7)."""


class Version(NamedTuple):
    """One posting: when, its name, its patches, and what its interface was."""

    when: str
    name: str
    patches: str
    interface: str


POSTINGS: tuple[Version, ...] = (
    Version("March 2017", "RFC v1", "", "three device-model operations; vendor picked from the host's CPU"),
    Version("May 2017 (month unverified)", "RFC v2", "", "domctl 80 with three sub-commands"),
    Version("29 June 2017", "version 1, the one reviewed", "25", "the same domctl, 48 bytes"),
    Version("August 2017 (month unverified)", "version 2", "", "constants moved beside the structure"),
    Version("September or October 2017", "version 3", "29", "query and length gone; type value 0"),
    Version("October or November 2017", "version 4", "28", "domctl 82; create alone is left"),
    Version("after that", "none", "", "no version 5 was found (that none was posted is unverified); never merged"),
)
"""The versions in time (X 1.2)."""


class Later(NamedTuple):
    """A later discussion that met the same question."""

    when: str
    who: str
    point: str
    question: str


LATER: tuple[Later, ...] = (
    Later("2022", "Roger Pau Monné, Jan Beulich, David Woodhouse", "The extended destination ID. It works beside a "
          "vIOMMU too, since the format bit still tells the two apart.", "7"),
    Later("August 2025", "Julien Grall", "A guest can hog the one physical command queue; it chooses the size of its "
          "queue, and Xen is not preemptible while draining.", "N2"),
    Later("November 2025", "Julien Grall", "With a single vIOMMU a virtual stream id can map to a unit and an id in "
          "it. A scheduler does not limit the hypervisor's work, so it is no mitigation.", "1"),
)
"""Where the review's questions came up again, with the number of the question (X 8.3, all read).

How the first and the fifth were answered elsewhere is in `host_answers`.
"""

UNVERIFIED: tuple[str, ...] = (
    "The mail threads of 2017 other than the review of version 1: who asked what, and any measurement.",
    "That no version 5 was posted.",
    "What FLASK answers to the unknown command.",
    "All that is marked [I]: followed by hand. Version 4's device model was run compiled with stubs; nothing on Xen.",
    "What QEMU answers in the rest of version 4's register page, above 0xD0.",
    "What Linux does as a guest, where it is marked [R].",
    "What real hardware does with a remappable message while IRE is 0 (D8).",
    "The time-out of passed-through MSIs that nobody ends.",
    "The positions in the thread of 2016, and postings of 2026 after April.",
    "The exact dates of RFC v2 and of versions 2, 3 and 4.",
)
"""What could not be checked (X 12)."""
