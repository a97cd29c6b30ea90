"""The ways of an interrupt through Xen, and what moving the unit into QEMU costs (X 4)."""

import pytest

from vsim.domain.stage import Stage, taken
from vsim.explain.paths import PATHS, count, table
from vsim.history.log import History
from vsim.layouts.formats import msi_message, remap_message
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.profile import profile
from vsim.state.trace import ACTS, Act


@pytest.mark.parametrize("name, xen, qemu", [
    ("emulated MSI", (0, 0), (0, 0)), ("vIOAPIC pin", (0, 0), (0, 1)), ("passed-through MSI", (1, 0), (1, 2)),
    ("passed-through MSI, posted", (0, 0), (1, 2)), ("register access", (1, 0), (1, 1))])
def test_exits_and_round_trips_of_a_path(name, xen, qemu):
    here, there = count(name, "xen"), count(name, "qemu")
    assert ((here.exits, here.round_trips), (there.exits, there.round_trips)) == (xen, qemu)
    assert here.taken == there.taken == (() if name == "register access" else (1,))
    assert there.ns - here.ns >= ACTS[Act.ROUND_TRIP].ns * (qemu[1] - xen[1]) - 1


def test_the_cost_table_can_be_edited():
    assert count("vIOAPIC pin", "qemu", costs={Act.ROUND_TRIP: 100_000}).ns > count("vIOAPIC pin", "qemu").ns + 90_000


def test_every_figure_of_the_cost_table_is_graded():
    assert {meaning.source.split(":")[0] for meaning in ACTS.values()} <= {"measured", "published", "assumed"}


def test_a_pvh_domain_has_the_paths_without_qemu():
    assert [name for name, path in PATHS.items() if path.qemu] == ["emulated MSI"]


def test_the_table_has_both_placements_of_every_path():
    assert [(name, a.placement, b.placement) for name, a, b in table()] == [(name, "xen", "qemu") for name in PATHS]


@pytest.mark.parametrize("name, placement", [("nothing", "xen"), ("vIOAPIC pin", "moon")])
def test_an_unknown_path_or_placement_is_named(name, placement):
    with pytest.raises(ValueError, match="vIOAPIC pin"):
        count(name, placement)


def bound(posting=0):
    s = Stage(profile("xen-v4"))
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2)
    s.m.posting = posting
    step(s.m, c.Bind(*remap_message(0)))
    return s


def ended(events):
    return [(e.index, e.low, e.high) for e in events if e.act == Act.HOST_ENDED]


def test_the_end_of_a_passed_through_interrupt_ends_the_host_interrupt():
    s = bound()
    assert taken(step(s.m, c.HostIrq(0))) == "taken by vCPU 1 vector 0x41" and s.m.awaiting == 1
    step(s.m, c.Acknowledge(1))
    assert ended(step(s.m, c.Msr(1, 0x80B, 0))) == [(0, 1, 0x41)] and s.m.awaiting == 0


def test_an_entry_changed_meanwhile_leaves_the_host_interrupt_open():
    s = bound()
    step(s.m, c.HostIrq(0))
    step(s.m, c.Acknowledge(1))
    s.entry(0, p=1, vector=0x51, dst=4)
    assert ended(step(s.m, c.Msr(1, 0x80B, 0))) == [] and s.m.awaiting == 1


def test_a_posted_interrupt_passes_by_software():
    s = bound(posting=1)
    events = step(s.m, c.HostIrq(0))
    assert taken(events) == "taken by vCPU 1 vector 0x41"
    assert not {Act.VM_EXIT, Act.RETURNED, Act.FETCHED} & {e.act for e in events}


def test_a_compatibility_message_is_bound_and_ended_too():
    s = Stage(profile("xen-v4"))
    step(s.m, c.Bind(*msi_message(dest=4, vector=0x61)))
    assert taken(step(s.m, c.HostIrq(0))) == "taken by vCPU 2 vector 0x61"
    step(s.m, c.Acknowledge(2))
    assert ended(step(s.m, c.Msr(2, 0x80B, 0))) == [(0, 2, 0x61)]


def test_a_vector_0_message_is_a_pv_on_hvm_event():
    s = Stage(profile("xen-v4"))
    events = step(s.m, c.Msi(0, *msi_message(dest=0x25, vector=0)))
    assert [e.index for e in events if e.act == Act.EVENT_CHANNEL] == [0x25]


def test_binding_is_part_of_a_session():
    s = bound()
    h = History(s.m)
    h.issue(c.HostIrq(0))
    h.issue(c.HostIrq(9))
    before = h.machine.copy()
    h.undo()
    h.redo()
    assert h.machine == before and type(h.machine).load(h.machine.save()) == before


def test_the_specifications_machine_binds_nothing():
    s = Stage(profile("spec"), create=False)
    step(s.m, c.Bind(*remap_message(0)))
    assert s.m.bound == ()
