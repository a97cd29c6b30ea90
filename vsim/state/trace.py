"""What happened, as rows of integers: the only thing that tables, graphs, animation, files and tests read.

An `Event` names the place (`node`), the act, and what was read or sent. The meaning of `index`, `low` and `high`
depends on the act and stands beside it in `ACTS`. Whoever wants another view writes a function of events.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a node is; node = kind << 24 | number."""

    DEVICE = 1      # number: 16-bit requester id
    VIOAPIC = 2     # number: pin
    VMSI = 3        # number: 0
    VIOMMU = 4      # number: unit
    VLAPIC = 5      # number: vCPU
    XEN = 6         # number: 0
    RAM = 7         # number: 0
    QEMU = 8        # number: 0
    VPIC = 9        # number: 0 the first 8259, 1 the second


def node(kind: int, number: int = 0) -> int:
    """A node as one int: kind << 24 | number (number: 24 bits)."""
    return kind << 24 | number


def node_text(value: int) -> str:
    """A node in words, e.g. "vLAPIC 287" or "device 03:00.0"."""
    kind, number = value >> 24, value & 0xFFFFFF
    if kind == Kind.DEVICE:
        return f"device {number >> 8:02x}:{number >> 3 & 31:02x}.{number & 7}"
    name = {Kind.VIOAPIC: "vIOAPIC pin", Kind.VMSI: "vMSI", Kind.VIOMMU: "vIOMMU", Kind.VLAPIC: "vLAPIC",
            Kind.XEN: "Xen", Kind.RAM: "RAM", Kind.QEMU: "QEMU", Kind.VPIC: "8259"}.get(
                Kind(kind) if 1 <= kind <= len(Kind) else Kind.XEN, "?")
    return f"{name} {number}" if kind in (Kind.VIOAPIC, Kind.VIOMMU, Kind.VLAPIC, Kind.VPIC) else name


class Act(IntEnum):
    """What a node did. `ACTS` says what index, low and high hold and what the act costs."""

    DOMCTL = 1
    WRITTEN = 2
    READ = 3
    LATCHED = 4
    SENT = 5
    PENDED = 6
    FETCHED = 7
    HIT = 8
    CACHED = 9
    REMAPPED = 10
    PASSED = 11
    POSTED = 12
    BLOCKED = 13
    RECORDED = 14
    FOLDED = 15
    OVERFLOWED = 16
    SUPPRESSED = 17
    NOTIFIED = 18
    HELD = 19
    ACCEPTED = 20
    MERGED = 21
    TAKEN = 22
    ENDED = 23
    SIGNALLED = 24
    IRR_SET = 25
    IRR_CLEARED = 26
    LINE = 27
    DESCRIPTOR = 28
    INVALIDATED = 29
    STATUS_WRITTEN = 30
    QUEUE_ERROR = 31
    APIC_ERROR = 32
    SPURIOUS = 33
    REFUSED = 34
    DROPPED = 35
    VM_EXIT = 36
    ROUND_TRIP = 37
    WARNED = 38
    STOPPED = 39
    STORMED = 40
    RETURNED = 41
    EVENT_CHANNEL = 42
    MIGRATED = 43
    HOST_ENTRY = 44
    HOST_ENDED = 45
    UNSHOWN = 46
    TIMER = 47
    DEVICE_FAILED = 48
    ABORTED = 49
    DMA = 50
    DMA_BLOCKED = 51
    FLUSHED = 52
    HPET = 53
    INTR = 54
    LINT = 55
    INTA = 56
    PIC_ENDED = 57
    SCHEDULED = 58
    SYNCED = 59
    VIRTUAL = 60
    VIRTUAL_ENDED = 61


class Meaning(NamedTuple):
    """What an act's numbers mean, and its cost: nanoseconds with the grade and source of the figure."""

    index: str  # type: ignore[assignment]  # shadows tuple.index, which no row needs
    low: str
    high: str
    ns: int
    source: str


_ASSUMED = "assumed"
ACTS: dict[Act, Meaning] = {
    Act.DOMCTL: Meaning("errno, 0 when done", "sub-command", "id or capabilities out", 2000, _ASSUMED),
    Act.WRITTEN: Meaning("offset", "value", "width in bytes", 0, _ASSUMED),
    Act.READ: Meaning("offset", "value", "width in bytes", 0, _ASSUMED),
    Act.LATCHED: Meaning("entries", "IRTA", "EIME", 100, _ASSUMED),
    Act.SENT: Meaning("requester", "address", "data", 100, _ASSUMED),
    Act.PENDED: Meaning("message", "requester", "0", 0, _ASSUMED),
    Act.FETCHED: Meaning("entry", "qw0", "qw1", 60, _ASSUMED),
    Act.HIT: Meaning("entry", "qw0", "qw1", 5, _ASSUMED),
    Act.CACHED: Meaning("entry", "qw0", "qw1", 5, _ASSUMED),
    Act.REMAPPED: Meaning("entry", "address out", "data out", 50, _ASSUMED),
    Act.PASSED: Meaning("requester", "address out", "data out", 20, _ASSUMED),
    Act.POSTED: Meaning("entry", "descriptor address", "virtual vector | notified << 8", 100, _ASSUMED),
    Act.BLOCKED: Meaning("fault reason", "index", "requester", 50, _ASSUMED),
    Act.RECORDED: Meaning("record", "FRCD 63:0", "FRCD 127:64", 50, _ASSUMED),
    Act.FOLDED: Meaning("record it was merged into", "fault reason", "requester", 0, _ASSUMED),
    Act.OVERFLOWED: Meaning("fault reason", "index", "requester", 0, _ASSUMED),
    Act.SUPPRESSED: Meaning("fault reason", "index", "requester", 0, _ASSUMED),
    Act.NOTIFIED: Meaning("0 fault, 1 completion", "address", "data", 100, _ASSUMED),
    Act.HELD: Meaning("0 fault, 1 completion", "0", "0", 0, _ASSUMED),
    Act.ACCEPTED: Meaning("vector", "trigger mode", "destination", 100, _ASSUMED),
    Act.MERGED: Meaning("vector", "trigger mode", "destination", 50, _ASSUMED),
    Act.TAKEN: Meaning("vector", "0", "0", 1000, _ASSUMED),
    Act.ENDED: Meaning("vector", "EOI broadcast", "0", 200, _ASSUMED),
    Act.SIGNALLED: Meaning("delivery mode", "vector", "destination", 100, _ASSUMED),
    Act.IRR_SET: Meaning("pin", "entry", "0", 0, _ASSUMED),
    Act.IRR_CLEARED: Meaning("pin", "entry", "1 by an EOI, 0 by a write to the entry", 0, _ASSUMED),
    Act.LINE: Meaning("GSI", "level", "devices that assert it", 0, _ASSUMED),
    Act.DESCRIPTOR: Meaning("type", "qw0", "qw1", 100, _ASSUMED),
    Act.INVALIDATED: Meaning("first entry as given", "0 global, 1 selective", "mask as given", 50, _ASSUMED),
    Act.STATUS_WRITTEN: Meaning("0", "address", "data", 50, _ASSUMED),
    Act.QUEUE_ERROR: Meaning("IQEI", "head", "0", 0, _ASSUMED),
    Act.APIC_ERROR: Meaning("ESR bit", "vector or offset", "0", 0, _ASSUMED),
    Act.SPURIOUS: Meaning("vector", "0", "0", 1000, _ASSUMED),
    Act.REFUSED: Meaning("register or MSR", "value", "#GP vector 13", 100, _ASSUMED),
    Act.DROPPED: Meaning("why, see Drop", "address or value", "data", 0, _ASSUMED),
    Act.VM_EXIT: Meaning("why, see Trip", "0", "0", 1500, _ASSUMED),
    Act.ROUND_TRIP: Meaning("why, see Trip", "0", "0", 8000, _ASSUMED),
    Act.WARNED: Meaning("why, see Warn", "value", "0", 0, _ASSUMED),
    Act.STOPPED: Meaning("why, see Stop", "0", "0", 0, _ASSUMED),
    Act.RETURNED: Meaning("0 the vIOMMU's own, 1 to the caller", "result, 64 bits signed", "0", 0, _ASSUMED),
    Act.EVENT_CHANNEL: Meaning("pirq", "0", "0", 500, _ASSUMED),
    Act.MIGRATED: Meaning("bound message", "vCPU", "0", 500, _ASSUMED),
    Act.HOST_ENTRY: Meaning("bound message", "posted", "vector", 500, _ASSUMED),
    Act.HOST_ENDED: Meaning("bound message", "vCPU", "vector", 300, _ASSUMED),
    Act.DEVICE_FAILED: Meaning("1 time-out, 2 error", "requester", "0", 0, _ASSUMED),
    Act.ABORTED: Meaning("0", "qw0 of the wait", "qw1", 0, _ASSUMED),
    Act.HPET: Meaning("timer", "periods that ended", "0", 0, _ASSUMED),
    Act.FLUSHED: Meaning("0 context cache, 1 IOTLB", "granularity done", "granularity asked for", 100, _ASSUMED),
    Act.DMA: Meaning("requester", "address", "1: a read", 100, _ASSUMED),
    Act.DMA_BLOCKED: Meaning("fault reason", "address", "requester", 50, _ASSUMED),
    Act.TIMER: Meaning("vector", "periods that ended", "1: masked", 0, _ASSUMED),
    Act.INTR: Meaning("level", "IRQ that is first, 16 for none", "vCPUs that take it as ExtINT", 0, _ASSUMED),
    Act.LINT: Meaning("pin", "level", "entry", 0, _ASSUMED),
    Act.INTA: Meaning("vector", "IRQ", "1: spurious", 500, _ASSUMED),
    Act.PIC_ENDED: Meaning("IRQ", "in service after it", "0", 0, _ASSUMED),
    Act.SCHEDULED: Meaning("0 runs, 1 waits, 2 halted", "descriptor address", "CPU", 0, _ASSUMED),
    Act.SYNCED: Meaning("highest virtual vector requested", "descriptor address, 0: of nobody here", "vectors moved",
                        0, _ASSUMED),
    Act.VIRTUAL: Meaning("virtual vector", "descriptor address", "0", 0, _ASSUMED),
    Act.VIRTUAL_ENDED: Meaning("virtual vector", "descriptor address", "1: the EOI leaves the guest", 0, _ASSUMED),
    Act.UNSHOWN: Meaning("0", "events of the command that are not kept", "0", 0, _ASSUMED),
    Act.STORMED: Meaning("delivered", "sent", "blocked", 0, _ASSUMED),
}
"""Meaning and cost of every act. Every figure is assumed until a measurement replaces it (`Machine.costs`)."""


class Drop(IntEnum):
    """Why something went no further (Act.DROPPED)."""

    NOBODY = 1          # no local APIC matched the destination
    DISABLED = 2        # the matching local APIC is disabled
    MASKED = 3          # the pin or message is masked and has no pending bit
    MODE = 4            # the delivery mode is not delivered on this way
    UNCLAIMED = 5       # no device answers at the address
    WIDTH = 6           # width or alignment that the register does not take
    STRADDLE = 7        # the access leaves the trapped range
    NO_MESSAGE = 8      # the function has no such message, or MSI and MSI-X are off
    NO_MASTER = 9       # bus master enable is off
    NOT_INTERRUPT = 10  # the write is not to 0xFEEx_xxxx
    NO_TARGET = 11      # no descriptor here is known to the scheduler, or its vCPU does not run
    NO_PIN = 12         # no such pin or vCPU
    NOT_WAITING = 13    # SIPI to a vCPU that does not wait for one
    DEAD = 14           # the machine is dead until reset
    PENDING = 15        # level interrupt while remote IRR is set
    OFF = 16            # remappable while remapping is off, and the device model drops such messages
    UNWRITABLE = 17     # a status write to a page that cannot be written


class Trip(IntEnum):
    """Why the guest was left (Act.VM_EXIT), or QEMU was asked and waited for (Act.ROUND_TRIP)."""

    REGISTER = 0        # an access to the unit's register page
    PIN = 1             # a pin's message must be remapped where the unit is
    HOST_IRQ = 2        # a passed-through device's interrupt
    INJECT = 3          # QEMU hands a message to the hypervisor
    EOI = 4             # the end of an interrupt that the hypervisor must see
    EXTERNAL = 5        # an interrupt of the host came to a CPU that runs a guest
    WAKE_UP = 6         # something was posted to a vCPU that has halted


class Stop(IntEnum):
    """What would go no further (Act.STOPPED)."""

    HYPERVISOR = 1      # it would crash
    LOOP = 2            # the hypervisor would loop for ever
    DOMAIN = 3          # it is crashed
    EMULATOR = 4        # the process that models the unit aborts


class Warn(IntEnum):
    """Legal for the machine, and most likely a mistake of the guest (Act.WARNED)."""

    SEVERAL_COMMANDS = 1    # GCMD changed more than one field
    NOT_LATCHED = 2         # IRE set before any SIRTP
    MISALIGNED_TABLE = 3    # IRTA base is not aligned to the table's size
    EIME_WHILE_ON = 4       # EIME changed while remapping is on
    TAIL_AT_ENABLE = 5      # QIE set while the tail is not 0
    TRIGGER_MISMATCH = 6    # RTE trigger mode differs from the entry's
    VECTOR_MISMATCH = 7     # RTE vector differs from the entry's
    NOT_DRAINED = 8         # QIE cleared while descriptors are outstanding
    NO_DMA = 9              # DMA remapping commands are answered but not modelled
    SIGNAL_TO_SELF = 10     # NMI, SMI, INIT or start-up with a shorthand that includes the sender
    NO_ROOT = 11            # TE set before any SRTP
    QUEUE_MOVED = 12        # IQA written while the queue is on
    QUEUE_RESERVED = 13     # reserved bits of IQT or IQA written as 1
    NO_PAGES = 14           # page-selective IOTLB invalidation of a unit that has none
    TIMER_MODE = 15         # a timer register written that its mode does not use
    REGISTER_FLUSH = 16     # register-based invalidation while the queue is on
    SECOND_EXTINT = 17      # a second vCPU has LINT0 or LINT1 unmasked as ExtINT
    LINT1_LEVEL = 18        # LINT1 unmasked as fixed, level-triggered
    BOTH_WAYS = 19          # one edge of a line came by the 8259 and by the I/O APIC


class Event(NamedTuple):
    """One thing that happened; all ints, so a row of an array holds it too. low and high hold up to 64 bits."""

    tick: int
    serial: int
    node: int
    act: int
    index: int  # type: ignore[assignment]  # shadows tuple.index, which no event needs
    low: int
    high: int
    cost: int

    def __str__(self) -> str:
        return (f"{self.tick} #{self.serial} {node_text(self.node)} {Act(self.act).name.lower()} "
                f"{self.index:#x} {self.low:#x} {self.high:#x} +{self.cost}ns")


RECORD = struct.Struct("<QQIIQQQQ")
"""One event as 56 bytes, little endian; numpy reads the same with dtype u8,u8,u4,u4,u8,u8,u8,u8."""

_M64 = (1 << 64) - 1


def pack(events: Iterable[Event]) -> bytes:
    """Events as consecutive 56-byte records."""
    return b"".join(RECORD.pack(e.tick, e.serial, e.node, e.act, e.index & _M64, e.low & _M64, e.high & _M64, e.cost)
                    for e in events)


def unpack(data: bytes) -> list[Event]:
    """The events of `pack`. ValueError when the length is not a multiple of 56."""
    if len(data) % RECORD.size:
        raise ValueError(f"{len(data)} bytes of events: not a multiple of {RECORD.size}")
    return [Event(*row) for row in RECORD.iter_unpack(data)]


def lines(events: Sequence[Event]) -> str:
    """Events as text, a line each: for terminals and golden traces."""
    return "\n".join(str(e) for e in events)
