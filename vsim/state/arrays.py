"""The state of a machine: flat typed arrays, guest memory, a few words. Nothing here acts.

Index conventions: a unit's register page is `regs[1024 * unit + offset // 4]` (32-bit words); its latched values are
`latch[LATCH_WORDS * unit + Latch.X]`; the 256-bit request registers of vCPU n are `irr[8 * n + word]`; fields of a
local APIC are arrays indexed by vCPU. The interrupt entry cache is sparse: `cache[unit << 16 | index]` holds the four
words of an entry. `targets` holds vCPUs of a host by the address of their posted-interrupt descriptor. Pages of memory
and every array are copied by `copy`, so a snapshot is a value.
"""

from __future__ import annotations

import base64
import json
import sys
from array import array
from enum import IntEnum
from typing import Any, NamedTuple

from vsim.layouts.formats import PID
from vsim.layouts.given import a, whole
from vsim.layouts.registers import RTE_RESET
from vsim.state.pci import Bus
from vsim.state.profile import Profile
from vsim.state.ram import Ram
from vsim.state.trace import ACTS, Act, Event

PAGE_WORDS = 1024
"""32-bit words of a register page."""
MOST_EVENTS = 1 << 16
"""Events of one command that are kept; those behind them are counted."""
MAX_VCPUS = 4096
"""Largest number of vCPUs."""


class Latch(IntEnum):
    """Words of a unit that are not in its register page."""

    BASE_PAGE = 0       # page of the remapping table, as latched by SIRTP
    ENTRIES = 1         # 2^(S+1), 0 before the first SIRTP
    MODE = 2            # the mode word of `checks.MODE`
    NEXT_RECORD = 3     # fault recording register to be used next
    LAST_TYPE = 4       # type of the last descriptor done
    MMIO_BASE = 5       # where the register page is trapped
    MMIO_LENGTH = 6
    LIVE = 7            # 1 while the unit exists
    CAPS = 8            # capabilities the toolstack asked for
    IQA_USED = 9        # queue address as taken at QIE
    ORDER = 10          # number of the check order, in checks.ORDERS
    WIDTH = 11          # host address width in bits, minus 12
    TABLE_PAGES = 12    # pages of the table that are mapped for good (series, version 4)
    QUEUE_PAGES = 13    # the same for the queue
    LATCHED_EIME = 14   # EIME as latched, where the model reads it live


LATCH_WORDS = 15
_LIVE = int(Latch.LIVE)
_event = tuple.__new__
"""Makes an event from a tuple of its fields, without the checks of `Event(...)`: half the time of it."""


class Apic(IntEnum):
    """Mode of a local APIC, from IA32_APIC_BASE bits EN and EXTD."""

    DISABLED = 0
    XAPIC = 1
    X2APIC = 2


# LVT registers by their place in `lvt[LVTS * vcpu + place]`.
LVTS = 6
LVT_LINT0 = 3
"""Place of LINT0; LINT1 is the next one."""


class Pic(IntEnum):
    """Bytes of one 8259: `pic[PIC_BYTES * chip + Pic.X]`."""

    STEP = 0        # 0 before the first ICW1; 2, 3, 4: that ICW is awaited; `PIC_READY`
    BASE = 1        # bits 7:3 of its vectors (ICW2)
    IMR = 2
    IRR = 3
    ISR = 4
    LINES = 5       # its inputs as they are
    ICW1 = 6
    ICW4 = 7
    LOWEST = 8      # the input of lowest priority, 7 unless rotated
    SHOWN = 9       # what a read of the even port shows: 0 IRR, 1 ISR, 2 and 3: acknowledges first (poll)
    SPECIAL = 10    # special mask mode
    ROTATES = 11    # automatic EOI rotates
    OUT = 12        # its INT output


PIC_BYTES, PIC_READY = 13, 8
HPET_WORDS = 4
"""Words of `hpet` for each timer, behind three of the block: on, counter, when that was."""

_APIC_ARRAYS = ("apic_mode", "apic_id", "ldr", "dfr", "tpr", "svr", "esr", "esr_pending", "icr_low", "icr_high",
                "waiting", "nmi", "in_nmi", "cmci", "timer_initial", "timer_divide", "timer_due", "extint")
_COUNTERS = ("tick", "serials", "serial", "doomed", "created", "nobody", "handlers", "pinned")
_MOST, LAST_NS = 1 << 62, (1 << 64) - 1
"""Where counters stop in a saved machine, and the clock, there and in a device; nobody gets there by playing."""
_CLAMPED = (*_COUNTERS, "clock")
MOST_BOUND = 64
"""Bound messages of one domain that are kept."""
LATER = {"cmci", "timer_initial", "timer_divide", "timer_due", "device_error", "roots", "hpet", "extint", "lint",
         "pic", "intr", "targets"}
"""Parts that machines saved by earlier versions do not have: they are as after power-on."""


class Bound(NamedTuple):
    """A passed-through message that is bound: what the guest programmed, and the routing kept of it (X 4.4).

    vcpu: the one that a host interrupt would be sent to, -1 for none. posted: 1 when hardware posts it.
    """

    address: int
    data: int
    vcpu: int = -1
    vector: int = 0
    posted: int = 0


MOST_TARGETS = 64
"""Vcpus of a host that a machine keeps."""
DESCRIPTOR_BYTES = PID.width // 8
"""Bytes of a posted-interrupt descriptor, to which it is aligned."""


class Doing(IntEnum):
    """What a vCPU of a host does."""

    RUNNING = 0
    PREEMPTED = 1
    HALTED = 2


class Target(NamedTuple):
    """A vCPU of a host, to whose descriptor interrupts are posted (`devices.posted`).

    cpu: where it runs, ran last, or waits to run. doing: a `Doing`. virr, visr, eoi_exit: 256 bits of its virtual
    APIC. external, woken, ended: how often a guest was left, or the host interrupted, for an interrupt of the host, to
    wake it, and for an EOI.
    """

    cpu: int = 0
    doing: int = int(Doing.HALTED)
    virr: int = 0
    visr: int = 0
    eoi_exit: int = 0
    external: int = 0
    woken: int = 0
    ended: int = 0


class Machine:
    """A machine as a value. `vcpus`: 1 to 4,096; `ram_size`: bytes; `bus`: its PCI functions.

    Attributes are documented in the module. `events` is the list that `step` fills, or None while tracing is off.
    """

    __slots__ = (*_APIC_ARRAYS, "_routes", "apic_base", "awaiting", "bound", "bus", "cache", "clock", "config",
                 "costs", "created", "dead", "device_error", "direct", "doomed", "events", "handlers", "hpet",
                 "intr", "ioapic", "irr", "isr", "latch", "lines", "lint", "lvt", "msix", "nobody", "pages", "pba",
                 "pic", "pinned", "posting", "profile", "quirks", "ram", "regs", "roots", "rte", "scope", "seen",
                 "serial", "serials", "targets", "tick", "tmr", "unshown", "vcpus", "winner", "wires")

    def __init__(self, profile: Profile, vcpus: int = 8, ram_size: int = 64 << 20, bus: Bus | None = None) -> None:
        a(Profile, "profile", profile)
        whole("vcpus", vcpus, MAX_VCPUS, 1)
        a(Bus, "bus", bus if bus is not None else Bus(()))
        if len(profile.options.apic_ids) not in (0, vcpus):
            raise ValueError(f"vcpus is {vcpus}; the profile's apic_ids are of {len(profile.options.apic_ids)}")
        self.profile = profile
        self.quirks = profile.quirk_word
        self.vcpus = vcpus
        self.bus = bus if bus is not None else Bus(())
        self.ram = Ram(ram_size)
        self.costs = array("Q", [ACTS[Act(a)].ns if a in ACTS else 0 for a in range(len(Act) + 1)])
        self.events: list[Event] | None = []
        self.tick = self.serials = self.serial = self.clock = self.dead = self.doomed = self.created = 0
        self.nobody = self.handlers = self.unshown = self.device_error = 0
        self.pages: dict[int, int] = {}
        self.bound: tuple[Bound, ...] = ()
        self.posting = self.pinned = self.awaiting = 0
        self.power_on()

    def power_on(self) -> None:
        """Everything that a reset of the platform sets."""
        self.regs, self.latch = array("I"), array("Q")
        self.cache: dict[int, tuple[int, int, int, int]] = {}
        self.scope: dict[int, int] = {}
        self.roots: dict[int, int] = {}
        self.targets: dict[int, Target] = {}
        ioapics = self.profile.options.ioapics
        pins = sum(each.pins for each in ioapics)
        self.rte = array("Q", [RTE_RESET]) * pins
        self.lines = array("H", [0]) * pins
        self.direct, self.seen = array("B", bytes(pins)), array("B", bytes(pins))
        self.wires = array("B", bytes(max(1, len(self.bus.functions))))
        self.hpet = array("Q", bytes(8 * (3 + HPET_WORDS * self.profile.options.hpet_timers)))
        self.ioapic = array("I", [0, 0]) * len(ioapics)
        self.pic, self.intr = array("B", bytes(2 * PIC_BYTES)), 0
        self.power_on_apics()
        self.winner = 0
        self.config, self.msix, self.pba = self.bus.reset()
        self._routes: Any = None

    def power_on_apics(self) -> None:
        """Every local APIC, and what its vCPU waits for, as a reset of the platform sets them."""
        n = self.vcpus
        self.irr, self.isr, self.tmr = (array("I", bytes(32 * n)) for _ in range(3))
        self.apic_id = array("I", map(self.profile.options.apic_id, range(n)))
        self.apic_mode = array("B", [Apic.XAPIC]) * n
        self.ldr, self.tpr, self.esr, self.esr_pending, self.icr_low, self.icr_high = (
            array("I", bytes(4 * n)) for _ in range(6))
        self.dfr, self.svr = array("I", [0xFFFFFFFF]) * n, array("I", [0xFF]) * n
        self.lvt = array("I", [0x10000]) * (n * LVTS)
        self.cmci = array("I", [0x10000 if self.profile.options.cmci == "present" else 0]) * n
        self.timer_initial, self.timer_divide = (array("I", bytes(4 * n)) for _ in range(2))
        self.timer_due = array("Q", bytes(8 * n))
        self.apic_base = array("Q", [0xFEE00800]) * n
        self.apic_base[0] |= 0x100
        self.waiting = array("B", [1]) * n
        self.nmi, self.in_nmi, self.extint = (array("B", bytes(n)) for _ in range(3))
        self.lint = array("B", bytes(2 * n))
        self.waiting[0] = 0

    # --- events -----------------------------------------------------------------------------------------------

    def emit(self, node: int, act: int, index: int = 0, low: int = 0, high: int = 0) -> None:
        """Add one event to the trace and its cost to the clock; behind `MOST_EVENTS` it is counted only."""
        cost = self.costs[act]
        self.clock += cost
        events = self.events
        if events is not None:
            if len(events) < MOST_EVENTS:
                events.append(_event(Event, (self.tick, self.serial, node, act, index, low, high, cost)))
            else:
                self.unshown += 1

    def unseen(self, act: int, count: int) -> None:
        """Many events of an act that nobody will see, as the trace is full or off: cost and number."""
        self.clock += self.costs[act] * count
        if self.events is not None:
            self.unshown += count

    @property
    def room(self) -> int:
        """How many more events of this command are kept."""
        return 0 if self.events is None else MOST_EVENTS - len(self.events)

    def new_serial(self) -> int:
        """Begin the next interrupt; later events belong to it."""
        self.serials += 1
        self.serial = self.serials
        return self.serial

    # --- units ------------------------------------------------------------------------------------------------

    @property
    def units(self) -> int:
        """Number of units that were ever created; `live` tells whether one exists now."""
        return len(self.latch) // LATCH_WORDS

    def live(self, unit: int = 0) -> bool:
        """Whether the unit exists."""
        return 0 <= unit < self.units and self.latch[LATCH_WORDS * unit + _LIVE] != 0

    def unit_of(self, requester: int) -> int:
        """The unit that a requester's messages go to, or -1. Who is not in `scope` goes where its -1 goes, or to 0."""
        unit = self.scope.get(requester)
        if unit is None:
            unit = self.scope.get(-1, 0)
        return unit if self.live(unit) else -1

    def changed_apics(self) -> None:
        """Forget the derived table of destinations: an ID, a mode or a logical address has changed."""
        self._routes = None

    # --- the value --------------------------------------------------------------------------------------------

    def copy(self) -> Machine:
        """An independent machine in the same state; memory pages are shared until written."""
        other = Machine.__new__(Machine)
        for name in Machine.__slots__:
            value = getattr(self, name)
            if isinstance(value, array):
                value = value[:]
            elif isinstance(value, Ram) or name in ("cache", "pages", "roots", "scope", "targets"):
                value = value.copy()
            elif name == "events":
                value = [] if value is not None else None
            setattr(other, name, value)
        return other

    def share(self, other: Machine) -> None:
        """Hold each array that equals the other's together with it: for copies that nobody changes any more."""
        for name in Machine.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, array) and mine == theirs:
                setattr(self, name, theirs)

    def _parts(self) -> list[str]:
        return [name for name in Machine.__slots__ if name not in ("events", "unshown", "_routes", "costs")]

    def difference(self, other: Machine) -> list[str]:
        """Names of the parts in which two machines differ; with an index where one place of an array differs."""
        out = []
        for name in self._parts():
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine == theirs:
                continue
            if isinstance(mine, array) and len(mine) == len(theirs):
                places = [i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]
                out += [f"{name}[{i}]: {mine[i]:#x} != {theirs[i]:#x}" for i in places[:8]]
            else:
                out.append(name)
        return out

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Machine) and not self.difference(other)

    __hash__ = None  # type: ignore[assignment]

    def size(self) -> int:
        """Bytes held by arrays, memory pages and the entry cache (16 bytes an entry)."""
        arrays = sum(len(v) * v.itemsize for name in self._parts() if isinstance(v := getattr(self, name), array))
        return arrays + 4096 * len(self.ram.pages) + 16 * len(self.cache)

    def save(self) -> str:
        """The whole state as one line of JSON."""
        state: dict[str, Any] = {"vsim": 1, "profile": self.profile.to_dict(), "bus": self.bus.to_list()}
        for name in self._parts():
            value = getattr(self, name)
            if isinstance(value, array):
                state[name] = _pack(value)
            elif isinstance(value, int) and name != "quirks":     # the profile has their names
                state[name] = min(value, _MOST if name in _COUNTERS else LAST_NS) if name in _CLAMPED else value
        state["cache"] = {str(k): list(v) for k, v in self.cache.items()}
        state["pages"] = {str(k): v for k, v in self.pages.items()}
        state["bound"] = [list(bound) for bound in self.bound]
        state["roots"] = {str(k): v for k, v in self.roots.items()}
        state["scope"] = {str(k): v for k, v in self.scope.items()}
        state["targets"] = {str(k): list(v) for k, v in self.targets.items()}
        state["ram"] = {"size": self.ram.size, "pages": {str(n): _pack(p) for n, p in self.ram.used().items()}}
        return json.dumps(state, separators=(",", ":"))

    @staticmethod
    def load(text: str) -> Machine:
        """The machine of `save`. ValueError names the part that is missing, unknown or of a wrong size."""
        try:
            state = json.loads(text)
            if not isinstance(state, dict) or state.get("vsim") != 1:
                raise ValueError("not a saved machine of version 1")
            profile = Profile.from_dict(state["profile"])
            bus = Bus.from_list(state["bus"])
            machine = Machine(profile, int(state["vcpus"]), int(state["ram"]["size"]), bus)
            machine._restore(state)
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"saved machine: {type(error).__name__} at {error}") from None
        return machine

    def _restore(self, state: dict[str, Any]) -> None:
        grow = ("regs", "latch")
        for name in self._parts():
            value = getattr(self, name)
            if name in LATER and name not in state:
                continue
            if isinstance(value, array):
                got = _unpack(name, value.typecode, state[name])
                if len(got) != len(value) and name not in grow:
                    raise ValueError(f"saved machine: {name} has {len(got)} places; expected {len(value)}")
                setattr(self, name, got)
            elif isinstance(value, int) and not isinstance(value, bool) and name != "quirks":
                setattr(self, name, _natural(name, state[name]))
        if len(self.regs) // PAGE_WORDS != self.units or len(self.latch) % LATCH_WORDS or self.units > 256:
            raise ValueError("saved machine: regs and latch disagree on the number of units")
        if any(mode > Apic.X2APIC for mode in self.apic_mode):
            raise ValueError("saved machine: apic_mode holds an unknown mode")
        if self.vcpus != len(self.apic_mode) or not 0 <= self.winner < self.vcpus:
            raise ValueError("saved machine: vcpus or winner is out of range")
        if any(getattr(self, name) > _MOST for name in _COUNTERS):
            raise ValueError("saved machine: a counter is over its limit 2^62")
        self._check_places()
        for key, words in state["cache"].items():
            self.cache[_natural("cache", int(key))] = _four(words)
        self.roots = {int(k): _natural("roots", v) for k, v in state.get("roots", {}).items()}
        self.scope = {int(k): _natural("scope", v) for k, v in state["scope"].items()}
        self.pages = {int(k): _natural("pages", v) for k, v in state["pages"].items()}
        self.targets = {_natural("targets", int(k)): _target(v, self.vcpus)
                        for k, v in state.get("targets", {}).items()}
        if len(self.targets) > MOST_TARGETS or any(
                k % DESCRIPTOR_BYTES or not self.ram.holds(k, DESCRIPTOR_BYTES) for k in self.targets):
            raise ValueError(f"saved machine: targets are not at most {MOST_TARGETS} descriptors in memory")
        if not isinstance(state["bound"], list) or len(state["bound"]) > MOST_BOUND:
            raise ValueError(f"saved machine: bound is no list of at most {MOST_BOUND} messages")
        self.bound = tuple(_bound(row, self.vcpus) for row in state["bound"])
        for number, page in state["ram"]["pages"].items():
            words4k = _unpack("ram", "I", page)
            if len(words4k) != PAGE_WORDS or not self.ram.holds(int(number) << 12, 4096):
                raise ValueError(f"saved machine: RAM page {str(number)[:20]} does not fit")
            for place, word in enumerate(words4k):
                if word:
                    self.ram.write_word(int(number) << 12 | place << 2, word)

    def _check_places(self) -> None:
        """Refuse values with which a device would look outside of its arrays."""
        records = self.profile.capabilities.fault_records
        if any(self.latch[at + Latch.NEXT_RECORD] >= records for at in range(0, len(self.latch), LATCH_WORDS)):
            raise ValueError(f"saved machine: a next fault record is not below {records}")
        if max(*self.extint, *self.lint, self.intr, *self.pic[Pic.OUT::PIC_BYTES]) > 1:
            raise ValueError("saved machine: a line to a local APIC is neither up nor down")
        if max(self.pic[Pic.LOWEST::PIC_BYTES]) > 7 or not {*self.pic[Pic.STEP::PIC_BYTES]} <= {0, 2, 3, 4, PIC_READY}:
            raise ValueError("saved machine: an 8259 is in no state that there is")
        up = [int(wire) for wire in self.direct]
        for function, wire in zip(self.bus.functions, self.wires, strict=False):
            pin = self.profile.options.pin_of(self.bus.gsi(function.bdf))
            if wire and pin >= 0:
                up[pin] += wire
        if up != list(self.lines) or max(*self.direct, *self.wires) > 1:
            raise ValueError("saved machine: lines are not the sum of the wires that hold them up")
        for place, function in enumerate(self.bus.functions):
            words = self.pba[self.bus.pba_starts[place]:self.bus.pba_starts[place + 1]]
            if words and words[-1] >> (function.msix_count - 1) % 64 + 1:
                raise ValueError(f"saved machine: a pending bit of function {place} is of no message")


def _pack(values: array[int]) -> str:
    copy = values[:]
    if sys.byteorder == "big":
        copy.byteswap()
    return base64.b64encode(copy.tobytes()).decode()


def _unpack(name: str, typecode: str, text: str) -> array[int]:
    try:
        values = array(typecode, base64.b64decode(text, validate=True))
    except ValueError as error:
        raise ValueError(f"saved machine: {name}: {error}") from None
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _natural(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"saved machine: {name} is not a number from 0 to 2^64-1")
    return value


def _bound(row: Any, vcpus: int) -> Bound:
    if not isinstance(row, list) or len(row) != 5 or not all(type(v) is int for v in row):
        raise ValueError("saved machine: a bound message is not five numbers")
    limits = ((0, (1 << 64) - 1), (0, (1 << 32) - 1), (-1, vcpus - 1), (0, 255), (0, 1))
    for name, value, (low, high) in zip(Bound._fields, row, limits, strict=True):
        if not low <= value <= high:
            raise ValueError(f"saved machine: {name} of a bound message is {value}; the limit is {low} to {high}")
    return Bound(*row)


def _target(row: Any, vcpus: int) -> Target:
    if not isinstance(row, list) or len(row) != len(Target._fields) or not all(type(v) is int for v in row):
        raise ValueError(f"saved machine: a target is not {len(Target._fields)} numbers")
    bits = PID.pir.limit
    limits = (vcpus - 1, max(Doing), bits, bits, bits, _MOST, _MOST, _MOST)
    for name, value, high in zip(Target._fields, row, limits, strict=True):
        if not 0 <= value <= high:
            raise ValueError(f"saved machine: {name} of a target is {value:#x}; the limit is {high:#x}")
    return Target(*row)


def _four(words: Any) -> tuple[int, int, int, int]:
    if not isinstance(words, list) or len(words) != 4 or not all(
            type(w) is int and 0 <= w < 1 << 32 for w in words):
        raise ValueError("saved machine: a cache entry is not four 32-bit words")
    return words[0], words[1], words[2], words[3]
