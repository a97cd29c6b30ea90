"""The processor's side of posting (SDM 30): priorities, delivery, EOI, and who is told when a vCPU does not run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices.posted import ACTIVE, WAKE_UP, VirtualApic, highest
from vsim.domain.posting import Host
from vsim.state.arrays import Doing


@pytest.mark.parametrize("vtpr, svi, vppr", [(0x00, 0x00, 0x00), (0x45, 0x00, 0x45), (0x45, 0x41, 0x45),
                                             (0x45, 0x51, 0x50), (0x4F, 0x50, 0x50), (0xFF, 0xFE, 0xFF)])
def test_the_processor_priority_is_the_task_priority_or_the_class_in_service(vtpr, svi, vppr):
    assert VirtualApic(vtpr=vtpr, svi=svi).vppr == vppr


@pytest.mark.parametrize("rvi, vtpr, svi, recognized", [
    (0x61, 0x00, 0x00, True), (0x61, 0x60, 0x00, False), (0x61, 0x5F, 0x00, True), (0x61, 0x00, 0x62, False),
    (0x71, 0x00, 0x62, True), (0x0F, 0x00, 0x00, False)])
def test_an_interrupt_is_recognized_when_its_class_is_above_the_priority(rvi, vtpr, svi, recognized):
    assert VirtualApic(virr=1 << rvi, rvi=rvi, vtpr=vtpr, svi=svi).recognized == recognized


@given(st.sets(st.integers(16, 255), max_size=12))
def test_everything_requested_is_taken_once_highest_first(vectors):
    apic = VirtualApic()
    apic.request(sum(1 << vector for vector in vectors))
    taken = []
    while (vector := apic.deliver()) >= 0 or apic.svi:
        if vector >= 0:
            taken.append(vector)
        else:
            assert not apic.end()
    assert sorted(taken) == sorted(vectors)
    classes = [vector >> 4 for vector in taken]
    assert classes == sorted(classes, reverse=True)
    assert (apic.virr, apic.visr, apic.rvi, apic.svi) == (0, 0, 0, 0)


@given(st.integers(0, (1 << 256) - 1))
def test_the_highest_vector_of_a_register(bits):
    assert highest(bits) == max((n for n in range(256) if bits >> n & 1), default=0)


def test_a_vcpu_that_runs_takes_it_without_an_exit():
    host = Host()
    host.run(0, cpu=2)
    assert host.fire(0) == "vCPU 0 takes vector 0x61, without an exit"
    assert host.descriptor(0) == {"pir": 0, "on": 0, "sn": 0, "nv": ACTIVE, "ndst": host.m.apic_id[2]}
    assert (host.left, host.ns) == (0, 0)


def test_a_vcpu_that_was_preempted_is_told_when_it_runs_again():
    host = Host()
    host.run(0, cpu=2)
    host.preempt(0)
    assert host.fire(0) == "posted; nobody is told"
    assert (host.descriptor(0)["pir"], host.descriptor(0)["on"], host.left) == (1 << 0x61, 0, 0)
    assert host.run(0, cpu=3) == [0x61]
    assert host.descriptor(0)["ndst"] == host.m.apic_id[3]
    assert host.left == 0


def test_an_urgent_entry_tells_even_then():
    host = Host()
    host.run(0, cpu=2)
    host.route(0, 0x61, urgent=True)
    host.preempt(0)
    assert host.fire(0).startswith("notification to a CPU that runs no such vCPU")
    host.run(1, cpu=2)
    host.run(0, cpu=1)
    assert host.vcpus[0].taken == [0x61]


def test_a_vcpu_that_has_halted_is_woken_by_an_interrupt_of_the_host():
    host = Host()
    host.run(0, cpu=1)
    host.halt(0)
    assert host.descriptor(0)["nv"] == WAKE_UP
    assert host.fire(0) == "vCPU 0 takes vector 0x61, after the host was interrupted and ran it"
    assert host.target(0).doing == Doing.RUNNING
    assert host.exits["wake-up"] == 1 == host.left
    assert host.ns > 0


def test_waking_one_leaves_the_guest_that_runs_there():
    host = Host()
    host.run(0, cpu=1)
    host.halt(0)
    host.run(1, cpu=1)
    assert host.fire(0) == "the host was interrupted; vCPU 0 waits for CPU 1"
    assert (host.exits["external interrupt"], host.exits["wake-up"]) == (1, 1)
    host.preempt(1)
    assert host.run(0, cpu=1) == [0x61]


def test_messages_that_come_while_one_is_outstanding_are_one_notification():
    host = Host()
    host.run(0, cpu=1)
    host.halt(0)
    host.run(1, cpu=1)
    host.fire(0)
    assert [host.fire(0) for _ in range(3)] == ["posted; nobody is told"] * 3
    assert host.exits["external interrupt"] == 1


def test_an_eoi_leaves_the_guest_only_for_vectors_of_the_exit_bitmap():
    host = Host()
    host.run(0, cpu=1)
    host.fire(0)
    assert not host.end(0)
    host.watch_eoi(0, 0x61)
    host.fire(0)
    assert host.end(0)
    assert host.exits["EOI"] == 1


def test_a_lower_interrupt_waits_for_the_eoi():
    host = Host()
    host.run(0, cpu=1)
    host.route(0, 0x71)
    host.fire(0)
    host.route(0, 0x61)
    assert host.fire(0) == "without an exit"
    assert host.vcpus[0].taken == [0x71]
    host.end(0)
    assert host.vcpus[0].taken == [0x71, 0x61]


@pytest.mark.parametrize("make, message", [
    (lambda: Host(cpus=0), "cpus is 0; the limit is 1 to 64"),
    (lambda: Host().end(0), "vCPU 0 does not run")])
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_two_vcpus_cannot_run_on_one_cpu():
    host = Host()
    host.run(0, cpu=1)
    with pytest.raises(ValueError, match="vCPU 0 runs on CPU 1: preempt it first"):
        host.run(1, cpu=1)
