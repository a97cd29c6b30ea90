"""What the bar shows: gestures with names, refusals, lanes, other futures; all of it bounded."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.widgets.time.test_timeline import CONFIG, NIC, change
from vsim.state import commands as c
from vsim.state.trace import Act
from widgets.lab import Lab
from widgets.time import ticks as t
from widgets.time.moments import Moments


@pytest.fixture
def lab():
    made = Lab.from_config(CONFIG)
    made.boot()
    return made


@pytest.fixture
def panel(lab):
    made = lab.time
    yield made
    made.close()


def names(panel):
    return [each[2] for each in panel.bar.ticks]


def test_a_gesture_is_a_tick_with_its_name(lab, panel):
    lab.fire(NIC, 1)
    lab.storm(100, 0.3)
    assert names(panel) == ["xl create host", "boot", "fire 03:00.0 message 1", "storm of 30"]
    spans = [each[:2] for each in panel.bar.ticks]
    assert spans[0][0] == 0 and spans[-1][1] == len(lab.history)
    assert all(before[1] == after[0] for before, after in pairwise(spans))


def test_the_bar_begins_behind_the_boot(lab, panel):
    boot = next(each for each in lab.gestures() if each.name == "boot")
    assert panel.bar.fold == boot.stop > 500
    lab.undo()
    assert panel.bar.fold == boot.stop, "as long as it can be redone"


def test_what_was_done_before_the_boot_is_not_folded():
    lab = Lab.from_config(CONFIG)
    toolstack = lab.position
    lab.issue(c.Tick(1))
    lab.boot()
    assert t.fold(lab) == toolstack


def test_a_refusal_is_marked_at_its_gesture_and_goes_with_it(lab, panel):
    lab.fire(NIC, 1)
    change(lab, 1, p=0)
    lab.fire(NIC, 1)
    assert [each[3] for each in panel.bar.ticks] == [False] * 4 + [True]
    lab.undo()
    assert panel.bar.ticks[-1][3], "it can be redone"
    lab.fire(NIC, 2)
    assert not any(each[3] for each in panel.bar.ticks), "another took its place"
    lab.reopen(lab.branches[0])
    assert [each[3] for each in panel.bar.ticks] == [False] * 4 + [True]


def test_a_bar_that_opens_later_shows_the_same(lab, panel):
    change(lab, 1, p=0)
    lab.fire(NIC, 1)
    lab.fire(NIC, 2)
    later = lab.time
    assert later.bar.ticks == panel.bar.ticks
    later.close()


def test_the_place_is_told_by_its_gesture(lab, panel):
    lab.fire(NIC, 1)
    assert "after fire 03:00.0 message 1" in panel.where.value
    lab.goto(lab.position - 1)
    assert "amidst fire 03:00.0 message 1" in panel.where.value
    lab.goto(0)
    assert "at the start" in panel.where.value


def test_a_long_history_is_bounded_and_its_ends_are_one_tick_each(lab, panel):
    lab.goto(lab.position)
    for n in range(3 * t.MOST):
        lab.issue(c.Tick(1 + n))
    lab.goto(lab.position - t.MOST * 3 // 2)
    assert len(panel.bar.ticks) == 2 * t.MOST + 2
    assert (names(panel)[0], names(panel)[-1]) == ("earlier gestures", "later gestures")
    assert panel.bar.ticks[0][0] == 0 and panel.bar.ticks[-1][1] == len(lab.history)


def test_lanes_are_made_on_demand(lab, panel):
    lab.fire(NIC, 1)
    change(lab, 2, p=0)
    lab.fire(NIC, 2)
    assert panel.bar.lanes == []
    panel.lanes.value = True
    last = {each[0]: each[1:] for each in panel.bar.lanes}
    sent = [each.position for each, event in panel.moments.numbered(panel.bar.fold, len(lab.history))
            if event.act == Act.SENT and event.index == NIC]
    assert last["03:00.0"] == [sent[:1], sent[1:]]
    target = lab.kernel.guest.sources[NIC][1].vcpu
    assert last[f"vLAPIC {target}"] == [sent[:1], []]
    panel.lanes.value = False
    assert panel.bar.lanes == []


def test_lanes_of_a_storm_are_thinned(lab):
    lab.storm(2000, 12.0)
    found = t.lanes(Moments(lab.history), 0, len(lab.history))
    assert found and all(len(each.marks) <= t.LANE_MARKS for each in found)
    assert all(list(each.marks) == sorted(each.marks) for each in found)
    assert len(found) <= 2 * t.LANES


def test_other_futures_are_offered_and_reopened(lab, panel):
    assert "vsim-folded" in panel._branches._dom_classes
    lab.fire(NIC, 1)
    lab.undo()
    here = lab.position
    lab.fire(NIC, 2)
    assert "vsim-folded" not in panel._branches._dom_classes and panel.bar.forks == [here]
    assert panel.future.label == f"fire 03:00.0 message 1, after command {here:,}"
    next(each for each in panel._branches.children if each.description == "reopen").click()
    assert names(panel)[-1] == "fire 03:00.0 message 1"
    assert panel.future.label == f"fire 03:00.0 message 2, after command {here:,}"
    assert (panel.bar.here, panel.status.value) == (lab.position, "")


def test_a_drag_is_live_and_ends_at_the_last_place(lab, panel):
    lab.fire(NIC, 1)
    for position in (5, 40, len(lab.history) - 1):
        drag_to(panel, position)
        assert lab.position == panel.bar.here == position


def drag_to(panel, position):
    panel.bar.wanted = [position, panel.bar.wanted[1] + 1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.just("good"), st.just("bad"), st.integers(1, 6)), max_size=12))
def test_refusals_that_are_kept_up_are_those_of_the_history(acts):
    lab = Lab.from_config(CONFIG)
    lab.boot()
    change(lab, 1, p=0)
    panel = lab.time
    for act in acts:
        if act == "good":
            lab.fire(NIC, 2)
        elif act == "bad":
            lab.fire(NIC, 1)
        else:
            lab.goto(max(panel.bar.fold, lab.position - act))
    assert panel._faults.places == t.Faults(Moments(lab.history)).places
    panel.close()
