"""A burst: many messages as one command, chosen by a seed, the same as if each had been raised by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.domain.builder import build
from vsim.guest.kernel import Guest
from vsim.machine import step
from vsim.readers.xl import parse
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act

CONFIG = """vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0", "04:00.0"]
"""


def booted():
    domain = build(parse(CONFIG))
    m = domain.machine
    Guest(lambda command: step(m, command), domain.platform).boot()
    return m


BOOTED = booted()


def count(events, act):
    return sum(event.act == act for event in events)


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 60))
def test_every_message_is_sent_and_arrives(seed, messages):
    m = BOOTED.copy()
    events = step(m, c.Burst(seed, messages, 1))
    assert count(events, Act.SENT) == messages == m.serials - BOOTED.serials
    assert count(events, Act.ACCEPTED) + count(events, Act.MERGED) == messages
    assert count(events, Act.TAKEN) == count(events, Act.ENDED) == count(events, Act.ACCEPTED)
    assert not any(m.irr) and not any(m.isr)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_same_as_its_messages_one_by_one(seed):
    whole, single = BOOTED.copy(), BOOTED.copy()
    events = step(whole, c.Burst(seed, 40, 0))
    for event in events:
        if event.act == Act.SENT:
            step(single, c.Msi(event.index, event.low, event.high))
    single.tick = whole.tick
    assert whole == single
    assert any(whole.irr)


def test_the_seed_decides():
    runs = [step(BOOTED.copy(), c.Burst(seed, 50, 1)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_every_device_and_many_messages_have_their_turn():
    events = step(BOOTED.copy(), c.Burst(1, 400, 1))
    sent = {(e.index, e.low) for e in events if e.act == Act.SENT}
    assert {requester for requester, _ in sent} == {0x300, 0x400}
    assert len(sent) > 60


def test_a_device_whose_messages_are_off_sends_nothing():
    m = Machine(profile("spec"), vcpus=1, bus=Bus([Function(0x300, msix_count=4), Function(0x18, pin=1)]))
    assert {Act(e.act) for e in step(m, c.Burst(1, 5, 1))} == {Act.DROPPED}


@pytest.mark.parametrize("bus", [Bus([]), Bus([Function(0x18, pin=1)])])
def test_without_a_device_that_has_messages_nothing_happens(bus):
    assert step(Machine(profile("spec"), vcpus=1, bus=bus), c.Burst(1, 5, 1)) == []


def test_of_several_msi_messages_those_that_are_on_are_sent():
    domain = build(parse(CONFIG.replace("viommu", "#viommu")))
    m = domain.machine
    Guest(lambda command: step(m, command), domain.platform).boot()
    events = step(m, c.Burst(3, 50, 1))
    assert count(events, Act.SENT) == count(events, Act.ACCEPTED) + count(events, Act.MERGED) == 50


def test_what_is_held_back_by_priority_stays_requested():
    m = BOOTED.copy()
    for vcpu in range(8):
        m.tpr[vcpu] = 0xFF
    events = step(m, c.Burst(1, 30, 1))
    assert count(events, Act.TAKEN) == 0 and any(m.irr)


def test_taking_and_ending_belong_to_no_interrupt():
    events = step(BOOTED.copy(), c.Burst(1, 30, 1))
    assert {e.serial for e in events if e.act in (Act.TAKEN, Act.ENDED)} == {0}


def test_an_nmi_is_taken_first_and_ends_nothing():
    m = BOOTED.copy()
    for vcpu in range(8):
        m.nmi[vcpu] = 1
    events = step(m, c.Burst(1, 30, 1))
    assert count(events, Act.ENDED) == count(events, Act.ACCEPTED)
    assert count(events, Act.TAKEN) - count(events, Act.ENDED) == 8 == sum(m.in_nmi)
    assert not any(m.isr)
