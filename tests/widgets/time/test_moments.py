"""Where a reader stands in a history: steps of three grains, jumps, and that asking moves nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenes import DISK, NIC, apics, machine
from vsim.history.log import History
from vsim.layouts.formats import Reason
from vsim.state import commands as c
from vsim.state.trace import Act, Event, Kind, node
from widgets.lab import Lab
from widgets.time.moments import COMMAND, EVENT, GRAINS, INTERRUPT, Moment, Moments, delivers_to, is_fault


def msi(vcpu, vector, requester=NIC):
    return c.Msi(requester, 0xFEE00000 | vcpu << 13, vector)


def reader(*more, **wanted):
    """Two vCPUs on, then two interrupts with a silent command between them, and what more is asked for."""
    history = History(machine(vcpus=2, **wanted))
    for command in (*apics(0, 1, x2apic=False), msi(0, 0x41), c.RamWrite(0x1000, b"x"), msi(1, 0x42), *more):
        history.issue(command)
    return Moments(history)


FIRST, SILENT, SECOND = 3, 4, 5
"""Positions after the two interrupts and the command between them."""


def go(moments, moment):
    moments.history.goto(moment.position)
    moments.seen = moment.seen
    assert moments.now == moment
    return moment


def everything(moments):
    return list(moments.numbered(0, len(moments.history)))


def test_every_event_has_a_moment_of_its_own():
    moments = reader()
    assert [event for _, event in everything(moments)] == moments.history.events(0, 5)
    places = [moment for moment, _ in everything(moments)]
    assert places == sorted(set(places))
    assert all(moments.events_of(moment.position)[moment.seen - 1] == event for moment, event in everything(moments))


def test_the_numbers_do_not_depend_on_where_the_machine_began():
    older = reader().history.machine
    history = History(older)
    history.issue(msi(0, 0x51))
    assert [moment.position for moment, _ in everything(Moments(history))] == [1] * len(history.events(0, 1))


def test_the_reader_stands_behind_everything_at_first():
    moments = reader()
    assert moments.now == moments.end_of(5)
    assert moments.event == moments.history.events(4, 5)[-1]


@pytest.mark.parametrize("grain", GRAINS)
def test_steps_to_the_start_and_forth_again_end_where_they_began(grain):
    moments = reader()
    end, machine_then, back = moments.now, moments.history.machine.copy(), 0
    while moments.now != Moment(0, 0):
        go(moments, moments.step(grain, -1))
        back += 1
    forth = 0
    while moments.now != end:
        go(moments, moments.step(grain, 1))
        forth += 1
    assert moments.history.machine == machine_then
    assert 0 < forth <= back


def test_steps_by_event_miss_none():
    moments = reader()
    go(moments, Moment(0, 0))
    told = []
    while moments.now != moments.end_of(5):
        go(moments, moments.step(EVENT))
        told.append(moments.event)
    assert told == moments.history.events(0, 5)


def test_steps_by_event_back_are_those_forth():
    moments = reader()
    back = [go(moments, moments.step(EVENT, -1)) for _ in range(len(everything(moments)))]
    assert back == [*[moment for moment, _ in everything(moments)][-2::-1], Moment(0, 0)]


def test_a_step_by_command_stops_at_silent_ones_too():
    moments = reader()
    assert [go(moments, moments.step(COMMAND, -1)).position for _ in range(5)] == [4, 3, 2, 1, 0]


def test_half_a_command_told_is_ended_by_a_step_forward_and_taken_back_by_a_step_back():
    moments = reader()
    go(moments, Moment(SECOND, 1))
    assert moments.step(COMMAND, 1) == moments.step(INTERRUPT, 1) == moments.end_of(SECOND)
    assert moments.step(COMMAND, -1) == moments.end_of(SILENT)
    assert moments.step(INTERRUPT, -1) == moments.end_of(FIRST)


def test_steps_by_interrupt_stop_where_one_began():
    moments = reader(c.RamWrite(0x1000, b"y"))
    stops = [go(moments, moments.step(INTERRUPT, -1)).position for _ in range(3)]
    assert stops == [SECOND, FIRST, 0]
    assert [go(moments, moments.step(INTERRUPT, 1)).position for _ in range(3)] == [FIRST, SECOND, 6]


@pytest.mark.parametrize("serving", [0, 1])
def test_each_interrupt_of_a_command_is_a_step(serving):
    lab = Lab.from_config('name="a"\nvcpus=4\nmemory=64\npci=["03:00.0"]\nviommu="type=vtd,intremap=1"\n')
    lab.boot()
    lab.fire(0x300, 0)
    before = Moments(lab.history).step(INTERRUPT, -1)
    lab.issue(c.Burst(1, 5, serving))
    moments, fired = Moments(lab.history), lab.machine.serials - 5
    last = lab.position
    stops = moments.stops(last)
    assert len(stops) == 5 and stops[-1] == moments.end_of(last)
    back = [go(moments, moments.step(INTERRUPT, -1)) for _ in stops]
    assert back == [*stops[-2::-1], moments.end_of(lab.history.position_of(fired) + 1)]
    assert moments.step(INTERRUPT, -1) <= before
    assert [go(moments, moments.step(INTERRUPT, 1)) for _ in stops] == stops


@pytest.mark.parametrize("grain", GRAINS)
def test_the_ends_are_told(grain):
    moments = reader()
    with pytest.raises(ValueError, match="the end of the history"):
        moments.step(grain)
    go(moments, Moment(0, 0))
    with pytest.raises(ValueError, match="the start of the history"):
        moments.step(grain, -1)


def test_an_unknown_grain_is_refused():
    with pytest.raises(ValueError, match="grain is 'year'; known are event, command, interrupt"):
        reader().step("year")


def test_nothing_that_is_asked_moves_the_history():
    moments = reader()
    go(moments, Moment(SILENT, 0))
    before = moments.history.machine.copy()
    for grain in GRAINS:
        for by in (1, -1):
            moments.step(grain, by)
    moments.find(is_fault)
    assert moments.now == Moment(SILENT, 0) and moments.history.machine == before


# --- finding ---


@pytest.mark.parametrize("vcpu, position", [(0, FIRST), (1, SECOND)])
def test_the_delivery_to_a_vcpu_is_found_from_both_sides(vcpu, position):
    moments = reader(c.RamWrite(0x1000, b"y"))
    assert moments.find(delivers_to(vcpu), -1).position == position
    go(moments, Moment(0, 0))
    found = moments.find(delivers_to(vcpu))
    assert found.position == position
    go(moments, found)
    assert moments.event.act == Act.ACCEPTED and moments.event.node == node(Kind.VLAPIC, vcpu)
    assert moments.find(delivers_to(vcpu)) is None, "only what is behind the moment counts"


def test_what_is_not_there_is_not_found():
    assert reader().find(is_fault, -1) is None


def test_a_find_goes_on_behind_a_chunk(monkeypatch):
    monkeypatch.setattr("widgets.time.moments.CHUNK", 2)
    moments = reader(*[c.RamWrite(0x1000, b"z")] * 7)
    assert moments.find(delivers_to(0), -1).position == FIRST
    go(moments, Moment(0, 0))
    assert moments.find(delivers_to(1)).position == SECOND


@given(st.integers(0, 60), st.booleans())
def test_find_is_the_nearest_by_definition(start, forward):
    moments = reader(msi(0, 0x43), msi(0, 0x43), c.Acknowledge(0))
    known = everything(moments)
    go(moments, known[start % len(known)][0])
    wanted = delivers_to(0)
    places = [moment for moment, event in known if wanted(event)]
    nearest = ([m for m in places if m > moments.now] or [None])[0] if forward else (
        [m for m in places if m < moments.now] or [None])[-1]
    assert moments.find(wanted, 1 if forward else -1) == nearest


@pytest.mark.parametrize("act, fault", [(Act.BLOCKED, True), (Act.DROPPED, False), (Act.ACCEPTED, False)])
def test_a_fault_is_what_a_unit_blocked(act, fault):
    assert is_fault(Event(1, 1, node(Kind.VIOMMU), act, Reason.NOT_PRESENT, 0, DISK, 0)) is fault


@pytest.mark.parametrize("most, serials", [(1, [2]), (2, [1, 2]), (9, [1, 2])])
def test_the_last_interrupts_are_known_by_number(most, serials):
    assert list(reader().serials(most)) == serials
