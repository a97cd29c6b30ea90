"""Machines made of functions: what their numbers are, who gets an interrupt, what two do to one vector."""

import pytest

from vsim.state.pci import Function
from widgets.lesson.made import Made
from widgets.lesson.names import Scrambled, madt_of, rows, trigger_of
from widgets.lesson.wire import Wire

CARD = Function(0x0300, "card", msix_count=4)
IDS = (3, 9, 14, 22)


def test_a_message_goes_where_it_is_placed_with_the_vector_of_choice():
    made = Made([CARD], IDS)
    assert made.place("03:00.0", 1, vcpu=2, vector=0x61) == ""
    assert made.signal("03:00.0", 1).reached == (2,)
    assert made.took == {2: 0x61}


def test_a_vector_that_is_taken_is_refused_and_nothing_changes():
    made = Made([CARD], IDS)
    made.place("03:00.0", 0, vcpu=2, vector=0x61)
    before = made.table("03:00.0", range(4)).rows
    assert made.place("03:00.0", 1, vcpu=2, vector=0x61) == "vector 0x61 is not free on vCPU 2"
    assert made.table("03:00.0", range(4)).rows == before


def test_another_vector_on_the_same_vcpu_frees_the_old_one():
    made = Made([CARD], IDS)
    made.place("03:00.0", 0, vcpu=2, vector=0x61)
    assert made.place("03:00.0", 0, vcpu=2, vector=0x62) == made.place("03:00.0", 1, vcpu=2, vector=0x61) == ""
    assert (made.signal("03:00.0", 0).reached, made.took) == ((2,), {2: 0x62})


def test_an_entry_written_behind_the_guests_back_counts():
    made = Made([CARD], IDS)
    assert "dst=0x16" in made.change("03:00.0", 0, dst=22)
    assert made.signal("03:00.0").reached == (3,)


def test_the_fault_event_of_a_blocked_message_is_not_taken_for_it():
    made = Made([CARD], IDS)
    made.change("03:00.0", 0, sid=0x0400)
    assert "0x26" in made.signal("03:00.0").verdict
    assert made.took == {} and len(made.guest.faults) == 1


def test_two_entries_with_one_vector_on_one_vcpu_merge():
    made = Made([CARD], IDS)
    first = made.source("03:00.0", 0)
    made.change("03:00.0", 1, vector=first.vector, dst=IDS[first.vcpu])
    assert [said.split()[0] for _, said in made.together("03:00.0", 0, 1).rows] == ["accepted", "merged"]


def test_without_a_unit_a_message_carries_the_id():
    made = Made([CARD], IDS, viommu_=False)
    made.place("03:00.0", 0, vcpu=3)
    assert made.signal("03:00.0").reached == (3,) and not made.signal("03:00.0").checks


@pytest.mark.parametrize("message", [-1, 4])
def test_a_message_that_is_not_there_is_refused_by_name(message):
    with pytest.raises(ValueError, match=f"message is {message}; device 03:00.0 has 4"):
        Made([CARD], IDS).source("03:00.0", message)


@pytest.mark.parametrize("which", ["pin", "message"])
def test_no_two_names_of_the_scrambled_machine_have_one_number(which):
    numbers = [int(number, 0) for _, number, _ in Scrambled().names(which).rows]
    assert len({*numbers}) == len(numbers) >= 6


def test_the_scrambled_machine_sends_as_its_names_say():
    machine = Scrambled()
    for which, device, message in (("pin", "00:07.0", 0), ("message", "03:00.0", 11)):
        said = {name: int(number, 0) for name, number, _ in machine.names(which).rows}
        machine.signal(device, message)
        assert machine.took == {said["vCPU"]: said["vector"]}
        assert machine.machine.apic_id[said["vCPU"]] == said["APIC ID"]


def test_the_scrambled_wire_is_a_pin_of_the_io_apic_that_the_machine_has():
    machine = Scrambled()
    said = {name: int(number, 0) for name, number, _ in machine.names("pin").rows}
    place, pin = machine.madt.pin_of(said["GSI"])
    assert (machine.madt.ioapics[place]["address"], pin) == (0xFEC00000, said["pin"])


def test_the_rows_about_wires_leave_processors_out():
    assert len(rows(madt_of((0, 2), (0,), ())).rows) == 1


@pytest.mark.parametrize("irq, trigger, sent", [(0, "edge", 1), (1, "edge", 1), (7, "level", 2), (9, "level", 2)])
def test_an_override_s_trigger_decides_whether_a_shared_wire_is_heard_twice(irq, trigger, sent):
    assert trigger_of(Scrambled().madt, irq) == trigger
    assert Wire(trigger).play("A up, take, B up, A down, eoi").sent == sent
    assert trigger_of(madt_of((3, 9), overrides=()), irq) == "edge"
