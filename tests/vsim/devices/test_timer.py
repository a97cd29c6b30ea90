"""The local APIC's timer (SDM 11.5.4; A 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpus import acknowledge, errors, ipi, machine, msr, reached, refused, window, write, x2apic
from vsim.devices import timer, vlapic_regs
from vsim.layouts.formats import Dlm
from vsim.layouts.registers import LVT_TIMER
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.trace import Act, Warn

VECTOR = 0xEC
DIVIDE = {0: 2, 1: 4, 2: 8, 3: 16, 8: 32, 9: 64, 10: 128, 11: 1}


def tick(m, ns):
    return step(m, c.Tick(ns))


def fired(events):
    """(vCPU, vector, periods, masked) of the timers that reached 0."""
    return [(e.node & 0xFFFFFF, e.index, e.low, e.high) for e in events if e.act == Act.TIMER]


def running(mode=timer.ONE_SHOT, count=100, divide=11, mask=0, vector=VECTOR, **options):
    """vCPU 1's timer, started; a count is 10 ns with divisor 1. Costs of events are 0, so that time is exact."""
    m = machine(**options)
    m.costs[:] = type(m.costs)("Q", bytes(8 * len(m.costs)))
    write(m, 1, "LVT_TIMER", LVT_TIMER.make(vector=vector, mode=mode, mask=mask))
    write(m, 1, "TIMER_DIVIDE", divide)
    write(m, 1, "TIMER_INITIAL", count)
    return m


@pytest.mark.parametrize("code, divisor", DIVIDE.items())
def test_the_divisors(code, divisor):
    m = running(divide=code)
    assert fired(tick(m, 1000 * divisor - 1)) == []
    assert fired(tick(m, 1)) == [(1, VECTOR, 1, 0)]


def test_one_shot_fires_once_and_its_count_stays_0():
    m = running()
    assert window(m, 1, "TIMER_CURRENT") == 100
    tick(m, 400)
    assert window(m, 1, "TIMER_CURRENT") == 60
    assert reached(tick(m, 600)) == [1]
    assert (window(m, 1, "TIMER_CURRENT"), window(m, 1, "TIMER_INITIAL")) == (0, 100)
    assert fired(tick(m, 1 << 40)) == [] and acknowledge(m, 1) == VECTOR


def test_periodic_goes_on_and_many_periods_of_a_tick_are_one_interrupt():
    m = running(timer.PERIODIC)
    assert fired(tick(m, 1000)) == [(1, VECTOR, 1, 0)]
    assert fired(tick(m, 3500)) == [(1, VECTOR, 3, 0)]
    assert window(m, 1, "TIMER_CURRENT") == 50
    assert fired(tick(m, 500)) == [(1, VECTOR, 1, 0)]


@given(st.lists(st.integers(0, 5000), max_size=12), st.integers(1, 300))
def test_however_time_is_cut_a_periodic_timer_ends_as_many_periods(cuts, count):
    m = running(timer.PERIODIC, count)
    periods = sum(row[2] for ns in cuts for row in fired(tick(m, ns)))
    assert periods == sum(cuts) // (10 * count)


def test_a_masked_timer_counts_and_says_nothing():
    m = running(mask=1)
    events = tick(m, 1000)
    assert fired(events) == [(1, VECTOR, 1, 1)] and reached(events) == []


def test_an_initial_count_of_0_stops_it():
    m = running()
    write(m, 1, "TIMER_INITIAL", 0)
    assert fired(tick(m, 1 << 40)) == [] and window(m, 1, "TIMER_CURRENT") == 0


def test_another_divisor_goes_on_with_what_is_left():
    m = running()
    tick(m, 500)
    write(m, 1, "TIMER_DIVIDE", 0)
    assert window(m, 1, "TIMER_CURRENT") == 50
    assert fired(tick(m, 999)) == [] and fired(tick(m, 1)) == [(1, VECTOR, 1, 0)]


def test_timers_fire_in_the_order_of_time_then_of_vcpus():
    m = running()
    for vcpu, count in ((0, 50), (2, 100), (3, 20)):
        write(m, vcpu, "LVT_TIMER", VECTOR)
        write(m, vcpu, "TIMER_DIVIDE", 11)
        write(m, vcpu, "TIMER_INITIAL", count)
    assert [row[0] for row in fired(tick(m, 5000))] == [3, 0, 1, 2]


@pytest.mark.parametrize("vector", [0, 15])
def test_an_illegal_vector_is_an_error(vector):
    events = tick(running(vector=vector), 1000)
    assert errors(events) == [1 << 6] and reached(events) == []


@pytest.mark.parametrize("how", ["init", "off"])
def test_after_init_and_without_its_apic_it_stands(how):
    m = running(timer.PERIODIC)
    if how == "init":
        ipi(m, 0, 1, dlm=Dlm.INIT, level=1)
        assert (window(m, 1, "TIMER_INITIAL"), window(m, 1, "TIMER_DIVIDE")) == (0, 0)
    else:
        msr(m, 1, 0x1B, 0xFEE00000)
    assert reached(tick(m, 1 << 30)) == []


def test_a_software_disabled_unit_masks_it():
    m = running()
    write(m, 1, "SVR", 0xFF)
    assert fired(tick(m, 1000)) == [(1, VECTOR, 1, 1)]


# --- TSC deadline ---


def deadline(**options):
    m = running(timer.DEADLINE, count=0, **options)
    return m


def test_a_deadline_fires_once_when_the_tsc_has_reached_it():
    m = deadline()
    msr(m, 1, timer.TSC_DEADLINE_MSR, m.clock + 700)
    assert vlapic_regs.read_msr(m, 1, timer.TSC_DEADLINE_MSR) == m.clock + 700
    assert window(m, 1, "TIMER_CURRENT") == 0
    assert fired(tick(m, 699)) == [] and fired(tick(m, 1)) == [(1, VECTOR, 1, 0)]
    assert vlapic_regs.read_msr(m, 1, timer.TSC_DEADLINE_MSR) == 0 and fired(tick(m, 1 << 40)) == []


def test_a_deadline_that_has_passed_fires_at_once_and_0_disarms():
    m = deadline()
    tick(m, 500)
    assert reached(msr(m, 1, timer.TSC_DEADLINE_MSR, 5)) == [1]
    msr(m, 1, timer.TSC_DEADLINE_MSR, m.clock + 5)
    msr(m, 1, timer.TSC_DEADLINE_MSR, 0)
    assert fired(tick(m, 10)) == []


@pytest.mark.parametrize("start, to", [(0, 2), (1, 2), (2, 0), (2, 1)])
def test_into_deadline_mode_and_out_of_it_the_timer_stands(start, to):
    m = running(start)
    if start == timer.DEADLINE:
        msr(m, 1, timer.TSC_DEADLINE_MSR, m.clock + 500)
    write(m, 1, "LVT_TIMER", LVT_TIMER.make(vector=VECTOR, mode=to))
    assert fired(tick(m, 1 << 40)) == []


def test_between_one_shot_and_periodic_it_goes_on():
    m = running()
    write(m, 1, "LVT_TIMER", LVT_TIMER.make(vector=VECTOR, mode=timer.PERIODIC))
    assert [len(fired(tick(m, 1000))) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("mode", [timer.ONE_SHOT, timer.PERIODIC, timer.DEADLINE])
def test_a_register_of_another_mode_is_ignored_with_a_warning(mode):
    m = running(mode, count=0)
    events = write(m, 1, "TIMER_INITIAL", 9) if mode == timer.DEADLINE else msr(m, 1, timer.TSC_DEADLINE_MSR, 9)
    assert [e.index for e in events if e.act == Act.WARNED] == [Warn.TIMER_MODE]
    assert fired(tick(m, 1 << 40)) == [] and window(m, 1, "TIMER_INITIAL") == 0


def test_without_the_feature_the_msr_is_not_there():
    m = machine(tsc_deadline=False)
    assert refused(msr(m, 1, timer.TSC_DEADLINE_MSR, 5)) and vlapic_regs.read_msr(m, 1, timer.TSC_DEADLINE_MSR) is None


def test_the_reserved_mode_never_fires():
    assert reached(tick(running(3), 5000)) == []


def test_an_x2apic_has_the_same_timer():
    m = x2apic(machine())
    msr(m, 1, "LVT_TIMER", VECTOR)
    msr(m, 1, "TIMER_INITIAL", 5)
    assert reached(tick(m, 1000)) == [1]


@pytest.mark.parametrize("mode", [timer.ONE_SHOT, timer.PERIODIC])
@pytest.mark.parametrize("clock", [(1 << 64) - 1, (1 << 64) + 5])
def test_a_clock_at_its_end_is_no_mistake(clock, mode):
    """A session may come with such a clock; edited costs get there, too."""
    m = machine()
    m.clock = clock
    write(m, 1, "LVT_TIMER", LVT_TIMER.make(vector=VECTOR, mode=mode))
    write(m, 1, "TIMER_INITIAL", 0xFFFFFFFF)
    assert m.timer_due[1] == (1 << 64) - 1
    m.clock -= 1 << 32
    write(m, 1, "TIMER_DIVIDE", 10)
    tick(m, 1)
    m.clock = clock
    assert reached(tick(m, 1)) == [1] and Machine.load(m.save()).timer_due == m.timer_due
