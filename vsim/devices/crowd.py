"""Many local APICs at once: what a broadcast does to thousands of them while nobody looks at each.

A command may send thousands of messages, each to thousands of vCPUs. Its first events are kept one by one; once they
are more than a trace keeps (`Machine.quiet`), the rest is done here, for all targets of a message together, and comes
to the same machine. A `Crowd` is what `routes` hands out for a destination that names many; it keeps what it worked
out about its members for as long as that holds.

An array with a value for each vCPU is taken as one large number, so that a bit of each is set by one `|`.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from vsim.layouts.registers import SVR
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import DISABLED_TAKES
from vsim.state.trace import Act

MANY = 64
"""More targets than this are a crowd."""
_ORDER = sys.byteorder
_ENABLE = SVR.enable.mask


def _number(values: array[int]) -> int:
    return int.from_bytes(values.tobytes(), _ORDER)


def _values(typecode: str, number: int, length: int) -> array[int]:
    out = array(typecode)
    out.frombytes(number.to_bytes(length * out.itemsize, _ORDER))
    return out


def touched(data: bytes, size: int) -> list[int]:
    """The places of `size` bytes (a divisor of 1,024) that are not 0; looked for by blocks, as few of thousands are."""
    out = list[int]()
    for at in range(0, len(data), 1024):
        block = data[at:at + 1024]
        while rest := block.lstrip(b"\0"):
            out.append((min(at + 1024, len(data)) - len(rest)) // size)
            block = data[size * (out[-1] + 1):at + 1024]
    return out


def _changed(old: array[int], new: array[int], vcpus: int) -> list[int]:
    """The vCPUs whose values differ."""
    length = len(new) * new.itemsize
    return touched((_number(old) ^ _number(new)).to_bytes(length, _ORDER), length // vcpus)


class Ranks:
    """The rank of every vCPU, which follows from its TPR and ISR; worked out anew for those that have changed.

    values: by vCPU. state: another object whenever a value may be another one.
    """

    __slots__ = ("state", "values")

    def __init__(self) -> None:
        self.state: tuple[array[int], array[int]] = array("I"), array("I")
        self.values: list[int] = []

    def update(self, m: Machine, rank: Callable[[Machine, int], int]) -> None:
        """Follow the machine."""
        before = self.state
        if before == (m.tpr, m.isr):
            return
        self.state = m.tpr[:], m.isr[:]
        if not self.values:
            self.values = [rank(m, vcpu) for vcpu in range(m.vcpus)]
        else:
            for vcpu in {*_changed(before[0], m.tpr, m.vcpus), *_changed(before[1], m.isr, m.vcpus)}:
                self.values[vcpu] = rank(m, vcpu)


class Crowd(list[int]):
    """vCPUs in ascending order, more than `MANY`; none of them is switched off in its mode.

    base, few: a crowd that many destinations name, and those that this one names besides; None for no such crowd.
    """

    __slots__ = ("_bases", "_boots", "_calm", "_held", "_marks", "_plain", "_ready", "_state", "_svr", "base", "few")

    def __init__(self, members: Sequence[int], base: Crowd | None = None, few: Sequence[int] = ()) -> None:
        super().__init__(members)
        self.base, self.few = base, few
        self._svr: array[int] | None = None
        self._state: tuple[array[int], array[int]] | None = None
        self._bases: array[int] | None = None
        self._boots: list[int] = []
        self._plain: tuple[array[int], array[int]] | None = None
        self._ready: list[int] = self
        self._calm: list[int] = self
        self._marks: dict[tuple[str, int, int], int] = {}
        self._held: dict[tuple[str, int], array[int]] = {}

    def ready(self, m: Machine) -> list[int]:
        """Those that take fixed interrupts: enabled by software (SDM 11.4.7.2)."""
        if m.quirks & DISABLED_TAKES:
            return self
        if self.base is not None:
            ready = both([vcpu for vcpu in self.few if m.svr[vcpu] & _ENABLE], self.base.ready(m))
            return self if len(ready) == len(self) else ready
        if self._svr != m.svr:
            self._svr = m.svr[:]
            found = [vcpu for vcpu in self if m.svr[vcpu] & _ENABLE]
            self._ready = self if len(found) == len(self) else kept(found)
        return self._ready

    def calmest(self, ranks: Ranks) -> list[int]:
        """Those with the lowest rank."""
        if self._state is not ranks.state:
            self._state = ranks.state
            mine = [ranks.values[vcpu] for vcpu in self]
            least = min(mine)
            self._calm = [vcpu for vcpu, each in zip(self, mine, strict=True) if each == least]
        return self._calm

    def parts(self) -> Iterator[Crowd | list[int]]:
        """The crowd that it shares with other destinations, and the few others; or itself."""
        yield self.base if self.base is not None else self
        yield list(self.few)

    def boots(self, m: Machine, boot: int) -> list[int]:
        """Those whose APIC_BASE has this bit."""
        if self._bases != m.apic_base:
            self._bases = m.apic_base[:]
            self._boots = [vcpu for vcpu in self if m.apic_base[vcpu] & boot]
        return self._boots

    def forget_logical(self, m: Machine) -> bool:
        """Clear the logical addresses of xAPICs; whether one changed."""
        if self._plain == (m.ldr, m.apic_mode):
            return False
        changed = [vcpu for vcpu in self if m.ldr[vcpu] and m.apic_mode[vcpu] != Apic.X2APIC]
        for vcpu in changed:
            m.ldr[vcpu] = 0
        self._plain = m.ldr[:], m.apic_mode[:]
        return bool(changed)

    def holds(self, name: str, value: int, values: array[int]) -> bool:
        """Whether the array of this name is still what it was when every member had been given the value."""
        return self._held.get((name, value)) == values

    def given(self, name: str, value: int, values: array[int]) -> None:
        """Every member has the value now: remembered for `holds`."""
        self._held[name, value] = values[:]

    def marks(self, m: Machine, typecode: str, width: int, value: int) -> int:
        """A number with `value` in each of the `width` places that every member has in an array."""
        key = typecode, width, value
        if key not in self._marks:
            out = array(typecode, bytes(m.vcpus * width * array(typecode).itemsize))
            for vcpu in self:
                for place in range(width * vcpu, width * (vcpu + 1)):
                    out[place] = value
            self._marks[key] = _number(out)
        return self._marks[key]


def kept(found: list[int]) -> list[int]:
    """A crowd, when there are so many and it is none yet."""
    return Crowd(found) if len(found) > MANY and type(found) is not Crowd else found


def both(some: list[int], others: list[int]) -> list[int]:
    """The vCPUs of two lists in ascending order; one that is alone is handed out as it is, and its crowd with it.

    A crowd and a few others are a crowd that shares what the first has worked out: thousands of destinations may name
    one each beside it.
    """
    if not some or not others:
        return some or others
    few, many = sorted((some, others), key=len)
    members = sorted(some + others)
    return Crowd(members, many, few) if type(many) is Crowd and many.base is None and len(few) <= MANY else members


def next_after(calm: list[int], last: int) -> int:
    """The next one behind `last`, around the end (A 6.1)."""
    return calm[bisect_right(calm, last) % len(calm)]


def _set(m: Machine, who: Crowd, words: array[int], vector: int, on: bool) -> tuple[array[int], int]:
    """The words of all vCPUs with a vector's bit set or cleared in each member's, and how many had it."""
    part = words[vector >> 5::8]
    bits = who.marks(m, "I", 1, 1) << (vector & 31)
    before = _number(part)
    after = before | bits if on else before & ~bits
    return (_values("I", after, m.vcpus) if after != before else part), (before & bits).bit_count()


def accept(m: Machine, who: Crowd, vector: int, level: int, sticky: bool) -> None:
    """Every member accepts a vector, or merges it. sticky: an edge leaves TMR as it is (quirk xen.D36)."""
    place = vector >> 5
    m.irr[place::8], merged = _set(m, who, m.irr, vector, True)
    if level or not sticky:
        m.tmr[place::8], _ = _set(m, who, m.tmr, vector, bool(level))
    m.unseen(Act.MERGED, merged)
    m.unseen(Act.ACCEPTED, len(who) - merged)


def noted(m: Machine, who: Crowd, bit: int) -> list[int]:
    """The members that have not noted an ESR error already; of the others the event is all there is to it."""
    bits = who.marks(m, "I", 1, bit)
    fresh = touched((bits & ~_number(m.esr_pending)).to_bytes(4 * m.vcpus, _ORDER), 4)
    m.unseen(Act.APIC_ERROR, len(who) - len(fresh))
    return fresh


def interrupt_all(m: Machine, who: Crowd, name: str) -> None:
    """An NMI, or ExtINT, for every member. name: of the array that notes it."""
    setattr(m, name, _values("B", _number(getattr(m, name)) | who.marks(m, "B", 1, 1), m.vcpus))


def start(m: Machine, who: Crowd) -> None:
    """A start-up IPI: those that wait for one no longer do, the others ignore it."""
    bits = who.marks(m, "B", 1, 1)
    before = _number(m.waiting)
    waiting = (before & bits).bit_count()
    m.waiting = _values("B", before & ~bits, m.vcpus)
    m.unseen(Act.SIGNALLED, waiting)
    m.unseen(Act.DROPPED, len(who) - waiting)


def put(m: Machine, who: Crowd, name: str, width: int, value: int) -> bool:
    """Set all places that every member has in an array; whether anything changed."""
    values: array[int] = getattr(m, name)
    if who.holds(name, value, values):
        return False
    before, code = _number(values), values.typecode
    full = who.marks(m, code, width, (1 << 8 * values.itemsize) - 1)
    wanted = who.marks(m, code, width, value) if value else 0
    changed = before & full != wanted
    if changed:
        values = _values(code, before & ~full | wanted, width * m.vcpus)
        setattr(m, name, values)
    who.given(name, value, values)
    return changed


def wait_for_start(m: Machine, who: Crowd, boot: int) -> None:
    """After INIT: every member waits for a start-up IPI but a bootstrap processor (boot: its bit in APIC_BASE)."""
    put(m, who, "waiting", 1, 1)
    for vcpu in who.boots(m, boot):
        m.waiting[vcpu] = 0
