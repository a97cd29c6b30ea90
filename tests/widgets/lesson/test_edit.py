"""An entry edited in a line of Python: the same commands as by hand, and what came of them."""

import pytest

from vsim.layouts.formats import IRTE
from widgets.editors.entries import stored
from widgets.lab import Lab
from widgets.lesson.edit import Edit, attempt

CONFIG = """name = "host"
vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0", "04:00.0"]
vif = ["model=e1000"]
"""


@pytest.fixture
def lab():
    made = Lab.from_config(CONFIG)
    made.boot()
    return made


@pytest.fixture
def edit(lab):
    made = Edit(lab, "03:00.0", 0)
    made.fire()
    return made


@pytest.mark.parametrize("fields, taken, verdict", [
    ({}, {2: 0x20}, "accepted by vLAPIC 2"),
    ({"vector": 0x55}, {2: 0x55}, "accepted by vLAPIC 2"),
    ({"vector": 0x0C}, {}, "dropped"),
    ({"dst": 10}, {5: 0x20}, "accepted by vLAPIC 5"),
    ({"dst": 11}, {}, "dropped: No local APIC matches"),
    ({"p": 0}, {}, "blocked, fault reason 0x22"),
    ({"sid": 0x0400}, {}, "blocked, fault reason 0x26"),
    ({"sid": 0x0400, "svt": 0}, {2: 0x20}, "accepted by vLAPIC 2"),
    ({"im": 1}, {}, "blocked, fault reason 0x24"),
    ({"dm": 1, "dst": 0b101, "rh": 0}, {0: 0x20, 1: 0x20}, "accepted by 2 vLAPICs"),
])
def test_a_field_decides_who_takes_what(lab, edit, fields, taken, verdict):
    edit.write(**fields)
    journey = edit.fire()
    assert (edit.taken, journey.verdict[:len(verdict)]) == (taken, verdict)
    assert journey.reached == tuple(taken)
    assert attempt(lab, "03:00.0", 0, **fields).taken == taken


def test_the_text_is_what_memory_holds(lab, edit):
    assert edit.write(vector=0x66) == edit.text == IRTE.text(stored(lab.machine, 0, edit.index))
    assert "vector=0x66" in edit.text
    edit.restore()
    assert stored(lab.machine, 0, edit.index) == edit.source.entry


def test_what_the_unit_is_not_told_it_does_not_know(edit):
    edit.write(tell=False, dst=10)
    assert "stale" in str(edit.fire().told()) and edit.taken == {2: 0x20}
    edit.tell()
    edit.fire()
    assert edit.taken == {5: 0x20}


@pytest.mark.parametrize("fpd, recorded", [(0, [0x22]), (1, [])])
def test_faults_are_those_since_the_edit_began(lab, edit, fpd, recorded):
    edit.write(p=0, fpd=fpd)
    edit.fire()
    assert [fault.reason for fault in edit.faults] == recorded
    assert Edit(lab, "03:00.0", 0).faults == []


def test_another_message_of_the_device_is_another_journey(edit):
    assert "0x25" in edit.raw(0xFEE02000, 0x41).verdict
    assert edit.taken == {}


def test_an_attempt_leaves_the_lab_as_it_is(lab):
    before, position = lab.machine.copy(), lab.position
    assert attempt(lab, "03:00.0", 0, dst=10).taken == {5: 0x20}
    assert (lab.machine, lab.position) == (before, position)


@pytest.mark.parametrize("fields, said", [({"vector": 256}, "vector"), ({"colour": 1}, "colour")])
def test_a_value_that_cannot_be_changes_nothing(lab, edit, fields, said):
    position = lab.position
    with pytest.raises(ValueError, match=said):
        edit.write(**fields)
    assert lab.position == position


@pytest.mark.parametrize("device, message, said", [("03:00.0", 999, "message is 999"), ("09:00.0", 0, "no device")])
def test_a_message_that_is_not_there_is_refused(lab, device, message, said):
    with pytest.raises(ValueError, match=said):
        Edit(lab, device, message)


def test_without_a_guest_there_is_nothing_to_edit():
    with pytest.raises(ValueError, match="boot it first"):
        Edit(Lab.from_config(CONFIG), "03:00.0")
