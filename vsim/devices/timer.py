"""The local APIC's timer: one-shot, periodic, TSC deadline (SDM 11.5.4; A 5). The interrupt that nobody remaps.

It counts in virtual time: a count is `Options.timer_ns` nanoseconds times the divisor, and the TSC counts nanoseconds.
`timer_due` is the time at which a vCPU's count reaches 0, 0 while the timer stands. Time passes by `Tick`, and then
alone timers fire, those that are due first: the cost of other events moves the clock, too, and fires nothing.
"""

from __future__ import annotations

from vsim.devices import vlapic
from vsim.layouts.bits import get
from vsim.layouts.registers import ESR, LVT_TIMER, TIMER_DIVIDE
from vsim.state.arrays import LAST_NS, LVTS, Apic, Machine
from vsim.state.trace import Act, Kind, Warn, node

TSC_DEADLINE_MSR = 0x6E0
ONE_SHOT, PERIODIC, DEADLINE = 0, 1, 2
_DIVISORS = tuple(int(TIMER_DIVIDE.divide.names[code]) for code in range(8))


def mode(m: Machine, vcpu: int) -> int:
    """How the timer works: `ONE_SHOT`, `PERIODIC` or `DEADLINE`; 3 is reserved and never fires."""
    return int(get(m.lvt[LVTS * vcpu], LVT_TIMER.mode))


def count_ns(m: Machine, vcpu: int) -> int:
    """Nanoseconds of one count."""
    return m.profile.options.timer_ns * _DIVISORS[int(get(m.timer_divide[vcpu], TIMER_DIVIDE.divide))]


def current(m: Machine, vcpu: int) -> int:
    """The current count: what is left, rounded up; 0 while the timer stands, and in deadline mode."""
    left = m.timer_due[vcpu] - m.clock
    return 0 if left <= 0 or mode(m, vcpu) == DEADLINE else -(-left // count_ns(m, vcpu))


def write_initial(m: Machine, vcpu: int, value: int) -> None:
    """The initial count starts the timer, 0 stops it; ignored in deadline mode (SDM 11.5.4.1)."""
    if mode(m, vcpu) == DEADLINE:
        m.emit(node(Kind.VLAPIC, vcpu), Act.WARNED, Warn.TIMER_MODE, value)
        return
    m.timer_initial[vcpu] = value
    _start(m, vcpu, value)


def write_divide(m: Machine, vcpu: int, value: int) -> None:
    """The count that is left goes on at the new rate."""
    left = current(m, vcpu)
    m.timer_divide[vcpu] = value & TIMER_DIVIDE.divide.mask
    if left:
        _start(m, vcpu, left)


def _start(m: Machine, vcpu: int, count: int) -> None:
    """Count from here; 0 lets the timer stand."""
    m.timer_due[vcpu] = min(m.clock + count * count_ns(m, vcpu), LAST_NS) if count else 0


def mode_changed(m: Machine, vcpu: int, before: int) -> None:
    """Into deadline mode or out of it the timer stands (SDM 11.5.4.1)."""
    if before != mode(m, vcpu) and DEADLINE in (before, mode(m, vcpu)):
        m.timer_due[vcpu] = m.timer_initial[vcpu] = 0


def read_deadline(m: Machine, vcpu: int) -> int:
    """IA32_TSC_DEADLINE: when it will fire; 0 when it has, or is not in its mode."""
    return m.timer_due[vcpu] if mode(m, vcpu) == DEADLINE else 0


def write_deadline(m: Machine, vcpu: int, value: int) -> None:
    """Arm for a TSC value, at once when it has passed; 0 disarms; ignored in the other modes."""
    if mode(m, vcpu) != DEADLINE:
        m.emit(node(Kind.VLAPIC, vcpu), Act.WARNED, Warn.TIMER_MODE, value)
        return
    m.timer_due[vcpu] = value
    if 0 < value <= m.clock:
        _fire(m, vcpu, 1)


def expire(m: Machine) -> None:
    """Every timer that is due by now fires, in the order of time, then of vCPUs."""
    if m.timer_due.count(0) == m.vcpus:
        return
    now = m.clock
    for due, vcpu in sorted((due, vcpu) for vcpu, due in enumerate(m.timer_due) if 0 < due <= now):
        periods = 1
        if mode(m, vcpu) == PERIODIC:
            length = m.timer_initial[vcpu] * count_ns(m, vcpu)
            periods += (now - due) // length if length else 0
            m.timer_due[vcpu] = min(due + periods * length, LAST_NS) if length else 0
        else:
            m.timer_due[vcpu] = 0
        _fire(m, vcpu, periods)


def _fire(m: Machine, vcpu: int, periods: int) -> None:
    """The count has reached 0; several periods of one tick are one interrupt, as IRR has one bit for it."""
    if mode(m, vcpu) == DEADLINE:
        m.timer_due[vcpu] = 0
    lvt = m.lvt[LVTS * vcpu]
    vector, masked = get(lvt, LVT_TIMER.vector), get(lvt, LVT_TIMER.mask)
    m.new_serial()
    m.emit(node(Kind.VLAPIC, vcpu), Act.TIMER, vector, periods, masked)
    if masked or mode(m, vcpu) > DEADLINE or m.apic_mode[vcpu] == Apic.DISABLED:
        return
    if vector < 16:
        vlapic.error(m, vcpu, ESR.receive_illegal.mask, vector)
    else:
        vlapic.take_in(m, vcpu, vector, 0, m.apic_id[vcpu])
