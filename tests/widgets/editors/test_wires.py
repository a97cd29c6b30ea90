"""The wires of a vCPU in its panel: lines raised by hand, from the firmware's set-up to the kernel's masks."""

import pytest

from tests.widgets.editors.test_vlapics import press
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from widgets.editors.wires import NONE, NOT_YET, chip_rows, pin_rows
from widgets.lab import Lab


def opened(**options):
    return Lab(Machine(profile("spec").with_options(**options), vcpus=2)).vlapics


@pytest.fixture
def panel():
    made = opened()
    yield made
    made.close()


def hidden(widget):
    return widget.layout.display == "none"


def test_before_the_firmware_there_is_one_button(panel):
    assert NOT_YET in panel.wires.chips.value and hidden(panel.wires.controls) and not hidden(panel.wires.set_up)
    assert panel.wires.set_up.layout.align_self == "flex-start"
    assert pin_rows(panel.lab.machine, 0) == [("LINT0", "down", "masked, fixed 0x00, edge", "the 8259 pair's INTR"),
                                              ("LINT1", "down", "masked, fixed 0x00, edge", "NMI of the mainboard")]


def test_a_line_from_its_rise_to_its_eoi(panel):
    press(panel, "set up as firmware")
    assert hidden(panel.wires.set_up) and not hidden(panel.wires.controls)
    assert [row[2] for row in pin_rows(panel.lab.machine, 0)] == ["ExtINT", "NMI"]
    press(panel, "raise")
    assert chip_rows(panel.lab.machine) == [
        ("first", "0x08 to 0x0f", "4", "none", "3 5 6 7", "up"),
        ("second", "0x70 to 0x77", "none", "none", "9 10 11 13 14 15", "down")]
    assert "<td>up</td><td>ExtINT</td>" in panel.wires.pins.value
    press(panel, "acknowledge")
    assert chip_rows(panel.lab.machine)[0][2:4] == ("none", "4")
    press(panel, "lower")
    press(panel, "EOI at the 8259")
    assert chip_rows(panel.lab.machine)[0][2:4] == ("none", "none")
    assert [each.name for each in panel.lab.gestures()] == [
        "virtual wire to vCPU 0", "IRQ 4 up", "vCPU 0 takes an interrupt", "IRQ 4 down", "EOI of IRQ 4"]
    press(panel, "mask as a kernel")
    assert chip_rows(panel.lab.machine)[0][4] == chip_rows(panel.lab.machine)[1][4] == "all"
    assert pin_rows(panel.lab.machine, 0)[0][2] == "masked, ExtINT"


def test_an_irq_of_the_second_is_ended_at_both(panel):
    press(panel, "set up as firmware")
    panel.wires.irq.value = 12
    for name in ("raise", "acknowledge"):
        press(panel, name)
    assert [row[3] for row in chip_rows(panel.lab.machine)] == ["2", "12"]
    press(panel, "EOI at the 8259")
    assert [row[3] for row in chip_rows(panel.lab.machine)] == ["none", "none"]


def test_the_chosen_vcpu_gets_the_wire(panel):
    panel.vcpu.value = 1
    press(panel, "set up as firmware")
    assert [pin_rows(panel.lab.machine, vcpu)[0][2] for vcpu in (0, 1)] == ["masked, fixed 0x00, edge", "ExtINT"]


def test_a_pair_half_set_up_and_other_forms_of_pins(panel):
    lab = panel.lab
    lab.issue(c.PortWrite(0x20, 0x11), c.ApicWrite(0, 0xF0, 0x1FF), c.ApicWrite(0, 0x350, 0x8041), c.Lint(0, 0, 1))
    assert [row[1] for row in chip_rows(lab.machine)] == ["awaits ICW2", "not initialised"]
    assert pin_rows(lab.machine, 0)[0][1:3] == ("up", "fixed 0x41, level, remote IRR")
    lab.issue(c.Msr(0, 0x1B, 0xFEE00100))
    assert [row[2] for row in pin_rows(lab.machine, 0)] == [
        f"the processor's own {name}, as the local APIC is off" for name in ("INTR", "NMI")]


def test_a_domain_without_the_pair_says_so():
    panel = opened(domain_type="pvh")
    assert NONE in panel.wires.chips.value and hidden(panel.wires.controls) and hidden(panel.wires.set_up)
    assert pin_rows(panel.lab.machine, 0)[0][3] == "nothing"
    panel.close()
