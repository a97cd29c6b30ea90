"""What a command of a log comes to, as far as a rule of `rules` can object to it: plain facts.

Each fact is about one step, and is looked at before the next: what it says of a cache is found out when it is asked
for. `time` counts commands from 1; most facts are about the command that is being done, loose
ends (what was never finished when the log ended) about an earlier one. `unit` is the state before the command.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsim.devices import hpet
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import GCMD, ONE_SHOT
from vsim.protocol.conduct import Conduct, Stale, dropped, raised
from vsim.protocol.delivery import Request, delivery, using
from vsim.protocol.exposure import Change
from vsim.state.arrays import Machine
from vsim.state.trace import Warn

PRESENT = IRTE.p.mask
"""Of an entry's lowest word."""


@dataclass(slots=True)
class Fact:
    """Something that happened at the command number `time`."""

    time: int


@dataclass(slots=True)
class Access(Fact):
    """A register access. name: of the register at `offset`, "" for none; half: 1 in the upper half of a 64-bit one.

    8 bytes at two 32-bit registers are two accesses (V 1.2). written: the value, -1 for a read; after: what the whole
    register holds then (IQT, IQA and IRTA; 0 for others).
    """

    unit: Conduct
    name: str
    offset: int
    width: int
    half: int
    written: int
    after: int


@dataclass(slots=True)
class Commanded(Fact):
    """GCMD was written with `new`. early: a vCPU went into x2APIC mode before 32-bit destinations were on, -1: none."""

    unit: Conduct
    new: int
    early: int

    @property
    def raised(self) -> int:
        """Bits that ask for something."""
        return raised(self.new, self.unit.status)

    @property
    def dropped(self) -> int:
        """Bits that turn something off."""
        return dropped(self.new, self.unit.status)

    @property
    def copied(self) -> int:
        """One-shot bits that look as if they had been copied from GSTS."""
        return self.new & ONE_SHOT & self.unit.status

    @property
    def single(self) -> bool:
        """At most one field changes."""
        return (self.raised | self.dropped).bit_count() <= 1

    def turns_on(self, name: str) -> bool:
        """Whether this field is asked for."""
        return bool(self.raised & getattr(GCMD, name).mask)

    def turns_off(self, name: str) -> bool:
        """Whether this field is turned off."""
        return bool(self.dropped & getattr(GCMD, name).mask)


@dataclass(slots=True)
class EntryChanged(Fact):
    """An entry of the latched table got other words.

    check: the row of `checks` that a present entry fails by itself, "" for none. reused: when the words of another
    source left it that may still be held, 0 for none. user: a source that can fire through it now, "" for none.
    """

    unit: Conduct
    index: int
    change: Change
    check: str
    reused: int
    user: str

    @property
    def was(self) -> int:
        """Whether the entry was present."""
        return self.change.old[0] & PRESENT

    @property
    def now(self) -> int:
        """Whether the entry is present."""
        return self.change.new[0] & PRESENT


@dataclass(slots=True)
class Torn(Fact):
    """One part of an entry was stored, and left it present as a mixture until the command `until`."""

    unit: Conduct
    index: int
    until: int


@dataclass(slots=True)
class RecordCleared(Fact):
    """The F bit of a fault record was cleared. expected: the record whose turn it was; seen: it was read before."""

    unit: Conduct
    record: int
    expected: int
    seen: bool


@dataclass(slots=True)
class OverflowCleared(Fact):
    """FSTS.PFO was cleared while these records were still in use."""

    unit: Conduct
    records: tuple[int, ...]


@dataclass(slots=True)
class QueueStopped(Fact):
    """The queue stopped on an error: IQERCD.IQEI."""

    unit: Conduct
    info: int


@dataclass(slots=True)
class StatusStood(Fact):
    """A wait stored what was in memory already."""

    address: int
    data: int


@dataclass(slots=True)
class Requested(Fact):
    """An interrupt request was sent. unit: the one that it goes to, None for none. No rule looks at it by itself."""

    unit: Conduct | None
    request: Request


@dataclass(slots=True)
class StaleUse(Fact):
    """A request whose end depends on what the unit has cached. requester: -1 when it is nobody's, at a loose end."""

    unit: Conduct
    requester: int
    stale: Stale
    machine: Machine

    @property
    def index(self) -> int:
        """The entry."""
        return self.stale.index

    @property
    def now(self) -> str:
        """What becomes of the request with the entry in memory, in words."""
        return str(delivery(self.machine, using(self.machine, self.unit.number, self.stale.request, None)))

    @property
    def who(self) -> str:
        """The requester in words."""
        return f"a request of {bdf_text(self.requester & 0xFFFF)}" if self.requester >= 0 else "a request"


@dataclass(slots=True)
class LeftUnflushed(Fact):
    """At the end: a table was latched while remapping was on. queued: its invalidation was queued, not waited for."""

    unit: Conduct
    queued: bool


@dataclass(slots=True)
class LeftDeviceError(Fact):
    """At the end: ITE or ICE, set at `time`, was never cleared. bits: of FSTS."""

    unit: Conduct
    bits: int


@dataclass(slots=True)
class LeftFaults(Fact):
    """The fault event was taken at `time`, and its records never cleared. lost: the reason of a fault lost for it."""

    unit: Conduct
    record: int
    lost: int


@dataclass(slots=True)
class PinDisagrees(Fact):
    """A pin's entry and its remapping entry differ in trigger mode or vector, and that did harm.

    sent, delivered: the data of its message before and after remapping. stuck: remote IRR stays set.
    """

    pin: int
    sent: int
    delivered: int
    stuck: bool


@dataclass(slots=True)
class NotTaken(Fact):
    """The local APIC of a vCPU dropped a vector because it is not enabled."""

    vcpu: int
    vector: int


@dataclass(slots=True)
class NotEnded(Fact):
    """At the end: a vCPU took a vector and never ended it."""

    vcpu: int
    vector: int


@dataclass(slots=True)
class LeftInService(Fact):
    """At the end: a vCPU took an IRQ from the 8259 pair and never ended it there."""

    irq: int


@dataclass(slots=True)
class TimerAccess(Fact):
    """A register of the HPET was accessed. width: in bytes; written: the value, -1 for a read.

    runs: the main counter did. timer: whose register it is, -1 for the block's; there: there is such a timer. own: the
    timer's configuration after the command.
    """

    offset: int
    width: int
    written: int
    runs: bool
    timer: int
    there: bool
    own: int

    @property
    def configures(self) -> bool:
        """Whether it wrote the low half of a timer's configuration."""
        return self.there and self.written >= 0 and not self.offset % hpet.TIMER_BYTES


@dataclass(slots=True)
class DescriptorStored(Fact):
    """A store changed the posted-interrupt descriptor of a vCPU of the host."""

    address: int
    size: int


@dataclass(slots=True)
class MessageChanged(Fact):
    """A message changed while it could be sent."""

    bdf: int
    number: int


@dataclass(slots=True)
class Warned(Fact):
    """The machine did what software asked for, and warns. what: of `trace.Warn`; node, value, more: of its event."""

    what: Warn
    node: int
    value: int
    more: int


@dataclass(slots=True)
class WideId(Fact):
    """A vCPU with an APIC ID above 254 went into x2APIC mode while entries have 8-bit destinations."""

    vcpu: int
    apic_id: int
