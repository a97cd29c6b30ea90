"""A pin by hand: how often it sends, what an EOI finds, and what a strange word is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.widgets.course.test_trigger import sent
from widgets.lesson.wire import SLOTS, STEPS, Wire


@given(st.sampled_from(("edge", "level")),
       st.lists(st.sampled_from(("A up", "A down", "B up", "B down", "take", "eoi", "mask", "unmask")), min_size=1,
                max_size=14))
@settings(max_examples=60, deadline=None)
def test_a_pin_sends_as_often_as_a_model_of_the_data_sheet_says(trigger, steps):
    assert Wire(trigger).play(", ".join(steps)).sent == sent(trigger, ", ".join(steps))


@pytest.mark.parametrize("kernel, suppress, version, steps, waits", [
    ("", False, 0x20, "eoi", False),
    ("", True, 0x20, "eoi", True),
    ("", True, 0x20, "eoi, write vector", False),
    ("", True, 0x11, "eoi, write vector", True),
    ("", True, 0x11, "eoi, flip", False),
    ("linux", False, 0x20, "eoi", True),
    ("linux", False, 0x20, "eoi, write vector", True),
    ("linux", False, 0x20, "eoi, write pin", False),
    ("xen", False, 0x20, "eoi", False),
    ("mixed", False, 0x20, "eoi", True),
    ("mixed", False, 0x20, "eoi, write pin", False)])
def test_what_ends_a_level_pin(kernel, suppress, version, steps, waits):
    wire = Wire("level", kernel, suppress, version).play(f"A up, take, A down, {steps}")
    assert wire.remote_irr is waits
    wire.play("A up")
    assert wire.sent == (1 if waits else 2)


@pytest.mark.parametrize("kernel, warned", [("linux", True), ("mixed", True), ("xen", False)])
def test_a_pin_that_differs_from_its_entry_is_warned_of(kernel, warned):
    assert ("warning" in Wire("level", kernel).play("A up").steps.rows[0][-1]) is warned


@pytest.mark.parametrize("slot", SLOTS)
def test_a_and_b_share_a_pin_in_every_slot(slot):
    wire = Wire("level", slot=slot)
    assert {wire.machine.bus.gsi(bdf) for bdf in wire.devices.values()} == {wire.pin}


def test_every_step_makes_a_row():
    wire = Wire("level", "linux").play(", ".join(STEPS))
    assert [row[0] for row in wire.steps.rows] == list(STEPS)
    assert repr(wire) == repr(wire.steps) and wire._repr_html_() == wire.steps._repr_html_()


@pytest.mark.parametrize("make, words", [
    (lambda: Wire("wave"), "trigger is 'wave'; allowed are 'edge', 'level'"),
    (lambda: Wire(kernel="bsd"), "kernel is 'bsd'"), (lambda: Wire(slot=8), "slot is 8"),
    (lambda: Wire(vector=0x80), "vector 0x80 is not free"), (lambda: Wire().play("A up, jump"), "no step 'jump'")])
def test_a_strange_word_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_strange_step_is_refused_before_anything_is_done():
    wire = Wire()
    with pytest.raises(ValueError, match="jump"):
        wire.play("A up, jump")
    assert wire.steps.rows == [] and wire.sent == 0
