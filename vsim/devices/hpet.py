"""HPET timers that send their own messages (IA-PC HPET 1.0a, 2.3; V 3.5).

The main counter goes by virtual time, `COUNT_NS` nanoseconds a count; what is due is found when time passes by `Tick`.
A timer with FSB delivery writes the data of its route register to the address there, with the block's source id: a
requester of its own, which the DMAR table names beside the I/O APICs. Timers wired to a pin are not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vsim.layouts.bits import get
from vsim.layouts.registers import HPET_CONFIG, HPET_ROUTE
from vsim.state.arrays import HPET_WORDS, LAST_NS, Machine
from vsim.state.trace import Act, Kind, node

BASE, LENGTH = 0xFED00000, 0x400
COUNT_NS = 10
CAPABILITIES, CONFIG, COUNTER, FIRST_TIMER, TIMER_BYTES = 0x000, 0x010, 0x0F0, 0x100, 0x20
_ON, _COUNTER, _SINCE = 0, 1, 2
_OWN, _COMPARATOR, _PERIOD, _ROUTE = range(4)
_M64 = (1 << 64) - 1
_FEMTOSECONDS = COUNT_NS * 1_000_000


class Fired(NamedTuple):
    """A message of a timer."""

    timer: int
    address: int
    data: int


def answers(m: Machine, address: int) -> bool:
    """Whether the block answers at an address: it has timers, and it is there."""
    return BASE <= address < BASE + LENGTH and m.profile.options.hpet_timers > 0


def counter(m: Machine) -> int:
    """The main counter now."""
    passed = (m.clock - m.hpet[_SINCE]) // COUNT_NS if m.hpet[_ON] else 0
    return m.hpet[_COUNTER] + passed & _M64


def _timer(m: Machine, offset: int) -> tuple[int, int]:
    """(timer, register) of an aligned offset, -1 for none: 0 configuration, 1 comparator, 2 route, 3 nothing."""
    number, register = divmod(offset - FIRST_TIMER, TIMER_BYTES)
    return (number, register // 8) if 0 <= number < m.profile.options.hpet_timers else (-1, 0)


def _at(number: int) -> int:
    return 3 + HPET_WORDS * number


def value(m: Machine, offset: int) -> int:
    """The 64-bit register at an offset aligned to 8; 0 where there is none."""
    if offset == CAPABILITIES:
        return _FEMTOSECONDS << 32 | 1 << 13 | m.profile.options.hpet_timers - 1 << 8 | 1
    if offset in (CONFIG, COUNTER):
        return m.hpet[_ON] if offset == CONFIG else counter(m)
    number, register = _timer(m, offset)
    place = {0: _OWN, 1: _COMPARATOR, 2: _ROUTE}.get(register)
    return m.hpet[_at(number) + place] if number >= 0 and place is not None else 0


def read(m: Machine, offset: int, width: int) -> int:
    """Read 4 or 8 aligned bytes; anything else reads 0."""
    if width not in (4, 8) or offset % width:
        return 0
    return value(m, offset & ~7) >> 8 * (offset & 7) & (1 << 8 * width) - 1


def write(m: Machine, offset: int, width: int, new: int) -> None:
    """Write 4 or 8 aligned bytes; what does not fit, and what is read-only, is ignored."""
    m.emit(node(Kind.DEVICE, m.profile.options.hpet_sid), Act.WRITTEN, offset, new, width)
    if width not in (4, 8) or offset % width:
        return
    shift, first = 8 * (offset & 7), offset & ~7
    bits = (1 << 8 * width) - 1 << shift
    whole = value(m, first) & ~bits | new << shift & bits
    if first == CONFIG:
        m.hpet[_COUNTER], m.hpet[_SINCE], m.hpet[_ON] = counter(m), min(m.clock, LAST_NS), whole & 1
    elif first == COUNTER:
        m.hpet[_COUNTER], m.hpet[_SINCE] = whole & _M64, min(m.clock, LAST_NS)
    else:
        _write_timer(m, *_timer(m, first), whole, new << shift & bits)


def _write_timer(m: Machine, number: int, register: int, whole: int, written: int) -> None:
    """A timer's registers. A periodic one takes what is written to its comparator as the period, too; with VAL_SET
    the comparator itself is set, once.
    """
    if number < 0:
        return
    at = _at(number)
    if register == 0:
        m.hpet[at + _OWN] = whole & HPET_CONFIG.writable | HPET_CONFIG.make(per_cap=1, size_cap=1, fsb_cap=1)
    elif register == 1:
        own = m.hpet[at + _OWN]
        if get(own, HPET_CONFIG.periodic):
            m.hpet[at + _PERIOD] = written
        if not get(own, HPET_CONFIG.periodic) or get(own, HPET_CONFIG.val_set):
            m.hpet[at + _COMPARATOR] = whole
            m.hpet[at + _OWN] = own & ~HPET_CONFIG.val_set.mask
    elif register == 2:
        m.hpet[at + _ROUTE] = whole


def expire(m: Machine, before: int) -> Iterator[Fired]:
    """The messages of the timers whose comparator the counter has passed since it was `before`, in order of timers.

    Several periods of one tick are one message; its event says how many.
    """
    now = counter(m)
    for number in range(m.profile.options.hpet_timers):
        at = _at(number)
        own, due = m.hpet[at + _OWN], m.hpet[at + _COMPARATOR]
        if not before < due <= now:
            continue
        periods, length = 1, m.hpet[at + _PERIOD]
        if get(own, HPET_CONFIG.periodic) and length:
            periods += (now - due) // length
            m.hpet[at + _COMPARATOR] = due + periods * length & _M64
        if get(own, HPET_CONFIG.enabled) and get(own, HPET_CONFIG.fsb_en):
            m.new_serial()
            m.emit(node(Kind.DEVICE, m.profile.options.hpet_sid), Act.HPET, number, periods)
            route = m.hpet[at + _ROUTE]
            yield Fired(number, get(route, HPET_ROUTE.address), get(route, HPET_ROUTE.data))
