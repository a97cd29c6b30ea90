"""Futures that were replaced: kept, named, and reopened with guest and gestures."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from widgets.lab import Lab, branches

CONFIG = """name = "host"
vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0", "04:00.0"]
"""
NIC = 0x0300


@pytest.fixture
def lab():
    made = Lab.from_config(CONFIG)
    made.boot()
    made.fire(NIC, 1)
    return made


def gestures(lab):
    return [each.name for each in lab.gestures()][2:]


def test_acting_at_the_end_leaves_no_branch(lab):
    lab.fire(NIC, 2)
    assert lab.branches == ()


def test_acting_from_the_past_keeps_what_it_replaces(lab):
    lab.fire(NIC, 2)
    lab.kernel.affinity(lab.kernel.guest.sources[NIC][2], 5)
    end, names = lab.machine.copy(), gestures(lab)
    lab.undo()
    lab.undo()
    here = lab.position
    lab.fire(NIC, 3)
    [branch] = lab.branches
    assert (branch.name, branch.at) == ("fire 03:00.0 message 2 and 1 more", here)
    assert gestures(lab) == ["fire 03:00.0 message 1", "fire 03:00.0 message 3"]
    lab.reopen(branch)
    assert (lab.machine, gestures(lab)) == (end, names)
    assert [each.name for each in lab.branches] == ["fire 03:00.0 message 3"]


def test_the_guest_of_a_reopened_future_is_that_of_then(lab):
    source = lab.kernel.guest.sources[NIC][2]
    lab.kernel.affinity(source, 5)
    lab.undo()
    lab.fire(NIC, 2)
    assert lab.kernel.guest.sources[NIC][2].vcpu != 5
    lab.reopen(lab.branches[0])
    assert lab.kernel.guest.sources[NIC][2].vcpu == 5
    lab.fire(NIC, 2)
    lab.undo()
    lab.undo()
    assert lab.kernel.guest.sources[NIC][2].vcpu != 5


def test_two_futures_take_turns_and_neither_is_lost(lab):
    lab.fire(NIC, 2)
    first = lab.machine.copy()
    lab.undo()
    lab.fire(NIC, 3)
    second = lab.machine.copy()
    for wanted in (first, second, first):
        lab.reopen(lab.branches[0])
        assert lab.machine == wanted and len(lab.branches) == 1


def test_what_does_nothing_in_the_past_keeps_no_branch_and_loses_no_future(lab):
    lab.kernel.affinity(lab.kernel.guest.sources[NIC][2], 5)
    names = gestures(lab)
    lab.undo()
    with pytest.raises(ValueError, match="message is 999"):
        lab.fire(NIC, 999)
    with pytest.raises(ValueError, match="vcpu"):
        lab.issue(c.Acknowledge(-1))
    with lab.gesture():
        pass
    lab.kernel.serve()
    assert (lab.branches, gestures(lab)) == ((), names)
    lab.redo()
    assert lab.kernel.guest.sources[NIC][2].vcpu == 5, "the guest's books of the future are there too"


def test_views_are_told_and_show_the_other_history(lab):
    heard, panel = [], lab.timeline
    lab.observe(lambda kind, events, machine: heard.append((kind, machine is lab.machine)))
    lab.fire(NIC, 2)
    lab.undo()
    lab.issue(c.Tick(5))
    lab.reopen(lab.branches[0])
    assert heard[-1] == ("reopened", True)
    assert panel.bar.moments.history is lab.history
    lab.selection.serial = lab.machine.serials
    assert f"Interrupt {lab.machine.serials}: accepted" in panel.why.text.value
    panel.close()


def test_a_branch_of_another_lab_is_the_callers_mistake(lab):
    lab.undo()
    lab.issue(c.Tick(5))
    with pytest.raises(ValueError, match="none of those that this Lab keeps"):
        Lab.from_config(CONFIG).reopen(lab.branches[0])


def test_only_so_many_are_kept(lab):
    for n in range(branches.KEPT + 3):
        lab.undo()
        lab.issue(c.Tick(n + 1))
    assert len(lab.branches) == branches.KEPT
    assert lab.branches[0].name != "fire 03:00.0 message 1"


@settings(max_examples=40)
@given(st.lists(st.one_of(st.tuples(st.just("tick"), st.integers(1, 9)), st.tuples(st.just("back"), st.integers(1, 4)),
                          st.tuples(st.just("open"), st.integers(0, 5))), max_size=14))
def test_every_line_that_was_ever_reached_can_be_reached_again(acts):
    lab = Lab(Machine(profile("spec"), 1, 1 << 20, Bus([Function(NIC, "nic", msix_count=2)])))
    ends = []
    for act, number in acts:
        if act == "tick":
            lab.issue(c.Tick(number))
            ends.append(tuple(lab.history.commands))
        elif act == "back":
            lab.goto(max(0, lab.position - number))
        elif lab.branches:
            lab.reopen(lab.branches[number % len(lab.branches)])
    lines = [tuple(lab.history.commands), *(tuple(each.history.commands) for each in lab.branches)]
    for end in ends:
        assert any(line[:len(end)] == end for line in lines)
    for each in lab.branches:
        assert tuple(lab.history.commands)[:each.at] == tuple(each.history.commands)[:each.at]
    other = Lab.from_link(lab.link())
    assert other.link() == lab.link()
    assert [tuple(each.history.commands) for each in other.branches] == lines[1:]
