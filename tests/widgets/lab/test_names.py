"""What gestures are called, wherever they are made; and that undo and redo say so."""

import pytest

from widgets.lab import Lab
from widgets.lesson.edit import Edit

CONFIG = """name = "host"
vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0"]
"""


@pytest.fixture
def lab():
    made = Lab.from_config(CONFIG)
    made.boot()
    return made


def irt(lab, told):
    panel = lab.irt
    panel.choose(1)
    panel.editor.controls["vector"].value = "0x77"
    panel.commit(told)
    panel.close()


def forget(lab):
    panel = lab.irt
    panel.choose(1)
    panel.invalidate()
    panel.close()


def register(lab, what):
    panel = lab.registers
    getattr(panel, what)()
    panel.close()


@pytest.mark.parametrize("do, name", [
    (lambda lab: irt(lab, True), "write entry 1 and invalidate it"),
    (lambda lab: irt(lab, False), "write entry 1"),
    (forget, "invalidate entry 1"),
    (lambda lab: register(lab, "read"), "read VER"),
    (lambda lab: Edit(lab, "03:00.0", 1).write(p=0), "write entry 16 and invalidate it"),
    (lambda lab: lab.fire("03:00.0", 1), "fire 03:00.0 message 1"),
    (lambda lab: lab.kernel.affinity(lab.kernel.guest.sources[0x300][1], 3), "move 03:00.0 msi-x 1 to vCPU 3"),
    (lambda lab: lab.storm(100, 0.5), "storm of 50")])
def test_a_gesture_has_its_name_and_undo_says_it(lab, do, name):
    controls = lab.controls
    do(lab)
    assert list(lab.gestures())[-1].name == name
    assert controls.undo_button.tooltip == f"take back: {name}"
    lab.undo()
    assert (controls.undo_button.tooltip, controls.redo_button.tooltip) == ("take back: boot", f"do again: {name}")
    controls.close()


def test_gestures_around_a_position(lab):
    for message in range(1, 6):
        lab.fire(0x300, message)
    lab.undo()
    lab.undo()
    around = [each.name[-9:] for each in lab.gestures_around(lab.position, 2)]
    assert around == ["message 2", "message 3", "message 4", "message 5"]
    assert [each.name for each in lab.gestures_around(5, 1)] == ["boot", "fire 03:00.0 message 1"]
    assert lab.gestures_around(0, 0) == []
