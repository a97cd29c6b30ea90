"""One vLAPIC in detail: what the grids say is what the machine holds."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices import vlapic
from vsim.layouts.formats import msi_message
from vsim.layouts.registers import APIC_OFFSET
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import profile
from widgets.editors.vlapics import MEANING, facts, grid, pending_order, vectors
from widgets.lab import Lab


def machine(*requested, service=(), tpr=0, vcpu=1):
    m = Machine(profile("spec"), vcpus=3)
    m.svr[vcpu], m.tpr[vcpu] = 0x1FF, tpr
    for words, found in ((m.irr, requested), (m.isr, service)):
        for vector in found:
            words[8 * vcpu + vector // 32] |= 1 << vector % 32
    return m


@pytest.fixture
def panel():
    lab = Lab(machine(0x31, 0x42, 0x45, service=(0x41,)))
    made = lab.vlapics
    made.vcpu.value = 1
    yield made
    made.close()


def test_it_opens_on_the_vcpu_that_took_the_newest_interrupt():
    lab = Lab(machine(), title="x")
    assert lab.vlapics.vcpu.value == 0
    lab.issue(c.Msi(0x300, *msi_message(lab.machine.apic_id[1], 0x61)))
    assert lab.vlapics.vcpu.value == 1
    lab.selection.vlapic = 2
    assert lab.vlapics.vcpu.value == 2


@given(st.sets(st.integers(0, 255)))
def test_the_vectors_are_the_bits_that_are_set(found):
    words = array("I", [0] * 24)
    for vector in found:
        words[8 + vector // 32] |= 1 << vector % 32
    assert vectors(words, 1) == sorted(found, reverse=True)
    assert vectors(words, 0) == vectors(words, 2) == []


@given(st.sets(st.integers(0, 255)), st.sampled_from(sorted(MEANING)))
def test_a_grid_marks_those_and_says_them(found, kind):
    marked = sorted(found, reverse=True)
    drawn = grid(kind, marked)
    assert drawn.count(f'<rect class="{kind}"') == len(found)
    assert drawn.count("<rect") == drawn.count("<title>") == 256
    said = ", ".join(f"{vector:#04x}" for vector in marked) or "none"
    assert f'aria-label="{MEANING[kind][0]}: {said}"' in drawn


@pytest.mark.parametrize(
    "requested, service, tpr, order",
    [
        ((), (), 0, []),
        ((0x31,), (), 0, [("0x31", "3", "is taken next")]),
        ((0x31, 0x42), (), 0, [("0x42", "4", "is taken next"), ("0x31", "3", "after those above")]),
        ((0x42, 0x45), (), 0, [("0x45", "4", "is taken next"),
                               ("0x42", "4", "after those above, once they are ended")]),
        ((0x31, 0x45), (0x41,), 0, [("0x45", "4", "waits: class 4 is not above the priority, 4"),
                                    ("0x31", "3", "waits: class 3 is not above the priority, 4")]),
        ((0x31,), (), 0x30, [("0x31", "3", "waits: class 3 is not above the priority, 3")]),
    ],
)
def test_the_pending_order_is_that_of_the_priorities(requested, service, tpr, order):
    assert pending_order(machine(*requested, service=service, tpr=tpr), 1) == order


@given(st.sets(st.integers(16, 255)), st.integers(0, 255))
def test_what_is_said_to_be_next_is_what_is_taken(found, tpr):
    m = machine(*found, tpr=tpr)
    said = [int(vector, 16) for vector, _, when in pending_order(m, 1) if when == "is taken next"]
    assert said == [v for v in [vlapic.pending(m, 1)] if v >= 0]


def test_the_facts_name_the_mode_and_whether_it_takes_interrupts():
    m = machine()
    assert dict(facts(m, 1))["mode"] == "XAPIC"
    m.svr[1] = 0xFF
    assert dict(facts(m, 1))["mode"] == "XAPIC, takes no fixed interrupt"


def test_a_change_of_the_machine_is_drawn(panel):
    assert "<code>0x45, 0x42, 0x31</code>" in panel.grids["irr"].value
    panel.lab.issue(c.Msi(0, 0xFEE02000, 0x55))
    assert "0x55, 0x45, 0x42, 0x31" in panel.grids["irr"].value
    panel.lab.undo()
    assert "<code>0x45, 0x42, 0x31</code>" in panel.grids["irr"].value


def press(panel, name):
    def all_in(widget):
        for child in getattr(widget, "children", ()):
            yield child
            yield from all_in(child)
    next(w for w in all_in(panel) if getattr(w, "description", "") == name and hasattr(w, "click")).click()


def test_end_then_acknowledge_takes_the_next(panel):
    press(panel, "EOI")
    assert vectors(panel.lab.machine.isr, 1) == []
    press(panel, "acknowledge")
    assert vectors(panel.lab.machine.isr, 1) == [0x45]
    assert "<code>0x45</code>" in panel.grids["isr"].value


def test_the_task_priority_is_written(panel):
    panel.priority.value = 0x50
    press(panel, "write TPR")
    assert panel.lab.machine.tpr[1] == 0x50
    assert "0x50, class 5" in panel.facts.value


@pytest.mark.parametrize("mode, kind", [(Apic.XAPIC, c.ApicWrite), (Apic.X2APIC, c.Msr)])
def test_an_eoi_takes_the_way_that_the_mode_has(mode, kind):
    m = machine(service=(0x41,))
    vlapic.set_mode(m, 1, mode)
    panel = Lab(m).vlapics
    panel.vcpu.value = 1
    press(panel, "EOI")
    last = panel.lab.history.commands[-1]
    assert type(last) is kind
    assert getattr(last, "register", APIC_OFFSET["EOI"]) == APIC_OFFSET["EOI"]
    assert vectors(panel.lab.machine.isr, 1) == []
    panel.close()


def test_the_next_busy_vcpu_is_found_and_shared(panel):
    panel.vcpu.value = 2
    press(panel, "next busy")
    assert (panel.vcpu.value, panel.lab.selection.vlapic) == (1, 1)


def test_when_none_is_busy_that_is_said():
    panel = Lab(machine()).vlapics
    press(panel, "next busy")
    assert "No vCPU has anything requested" in panel.status.value
    panel.close()


def test_a_choice_elsewhere_is_followed(panel):
    panel.lab.selection.vlapic = 2
    assert panel.vcpu.value == 2
    assert "<code>none</code>" in panel.grids["irr"].value
    panel.lab.selection.vlapic = 4000  # of another machine: not there
    assert panel.vcpu.value == 2


@pytest.mark.parametrize("typed, shown", [(-1, 0), (99, 2)])
def test_a_number_out_of_range_becomes_the_nearest(panel, typed, shown):
    panel.vcpu.value = typed
    assert panel.vcpu.value == shown
