"""Gestures have names, and a link does them again: the same machine, the same places, the same undo."""

from dataclasses import fields

import pytest

from tests.places import DATA
from vsim.devices.viommu import create_op
from vsim.history import link
from vsim.history.link import LinkError
from vsim.state.commands import COMMANDS, DeviceError, Dma, Domctl, MmioRead, Msi, sentence
from widgets.lab import Lab
from widgets.lab.gestures import named


@pytest.fixture
def lab():
    return Lab.from_config(DATA / "big.cfg", lspci=DATA / "big.lspci")


def worked(lab):
    """Ten gestures after a boot, one of each kind among them."""
    lab.boot()
    nic = lab.kernel.guest.sources[0x28]
    lab.fire("00:05.0", 3)
    assert lab.kernel.affinity(nic[3], 200) == ""
    lab.fire("00:05.0", 3)
    lab.storm(1000, 0.25, seed=7)
    lab.issue(Msi(0x28, 0xFEE00018, 0))     # its fault event waits for vCPU 0
    lab.kernel.serving = False
    lab.fire("00:05.0", 5)
    lab.kernel.serve()
    lab.kernel.serving = True
    lab.fire("00:04.0")
    lab.issue(MmioRead(0xFEC00000, 4), MmioRead(0xFEC00010, 4))
    lab.fire("00:06.0", 1)
    lab.selection.irte, lab.selection.vlapic = 4, 200
    return lab


NAMES = ["xl create big", "boot", "fire 00:05.0 message 3", "move 00:05.0 msi-x 3 to vCPU 200",
         "fire 00:05.0 message 3", "storm of 250", "message from 00:05.0", "fire 00:05.0 message 5", "handlers run",
         "fire 00:04.0 pin", "read 0xfec00000 and 1 more", "fire 00:06.0 message 1"]


def test_every_gesture_has_a_name(lab):
    assert [each.name for each in worked(lab).gestures()] == NAMES


def test_undo_and_redo_go_by_the_gestures(lab):
    stops = [each.stop for each in worked(lab).gestures()]
    assert stops[-1] == lab.position
    for stop in [*reversed(stops[:-1]), 0]:
        lab.undo()
        assert lab.position == stop
    for stop in stops:
        lab.redo()
        assert lab.position == stop


def test_in_the_midst_of_a_gesture_undo_goes_to_its_start_and_redo_to_its_end(lab):
    _, boot, *_ = worked(lab).gestures()
    lab.goto(boot.start + 5)
    lab.undo()
    assert lab.position == boot.start
    lab.goto(boot.start + 5)
    lab.redo()
    assert lab.position == boot.stop


def test_a_link_opens_the_same_state(lab):
    text = worked(lab).link()
    other = Lab.from_link(text)
    assert other.machine == lab.machine
    assert [*other.history.commands] == [*lab.history.commands]
    assert [*other.gestures()] == [*lab.gestures()]
    assert (other.title, other.selection.irte, other.selection.vlapic) == ("big", 4, 200)
    assert other.link() == text
    assert [e.act for e in other.fire("00:05.0", 9)] == [e.act for e in lab.fire("00:05.0", 9)]


def test_a_fresh_domain_with_ten_gestures_fits_into_a_mail(lab):
    assert len(worked(lab).link()) < 2000


def test_a_link_has_the_cursor_and_what_could_be_redone(lab):
    worked(lab).undo()
    lab.undo()
    other = Lab.from_link(lab.link())
    assert (other.position, len(other.history)) == (lab.position, len(lab.history))
    assert other.machine == lab.machine
    other.redo()
    lab.redo()
    assert other.machine == lab.machine


def line(history):
    return [*history.commands]


def test_a_link_has_the_futures_that_others_took_the_place_of(lab):
    worked(lab)
    for _ in range(3):
        lab.undo()
    lab.fire("00:06.0", 2)
    lab.kernel.affinity(lab.kernel.guest.sources[0x28][1], 9)
    lab.undo()
    lab.kernel.affinity(lab.kernel.guest.sources[0x28][1], 11)
    text = lab.link()
    other = Lab.from_link(text)
    assert other.link() == text and len(text) < 2000
    assert [(each.name, each.at, line(each.history)) for each in other.branches] == [
        (each.name, each.at, line(each.history)) for each in lab.branches]
    assert len(other.branches) == 2
    for each in (lab, other):
        each.reopen(each.branches[1])
    assert other.machine == lab.machine and [*other.gestures()] == [*lab.gestures()]
    assert other.kernel.guest.sources[0x28][1].vcpu == 9
    assert other.fire("00:05.0", 1) == lab.fire("00:05.0", 1), "its guest serves this Lab"
    assert line(other.history) == line(lab.history)


def test_a_future_that_parts_amidst_a_boot_is_in_the_link(lab):
    lab.boot()
    lab.goto(next(iter(lab.gestures())).stop + 40)
    lab.issue(Msi(0x28, 0xFEE00018, 0))
    other = Lab.from_link(lab.link())
    assert [(each.at, line(each.history)) for each in other.branches] == [
        (each.at, line(each.history)) for each in lab.branches]
    other.reopen(other.branches[0])
    assert [each.name for each in other.gestures()] == ["xl create big", "boot"]


def test_a_link_knows_which_interrupt_was_looked_at_and_whether_handlers_run(lab):
    lab.boot()
    lab.fire("00:05.0", 3)
    lab.kernel.serving, lab.kernel.pausing = False, True
    lab.selection.serial, lab.selection.seen = 3, 2
    other = Lab.from_link(lab.link())
    assert (other.kernel.serving, other.kernel.pausing) == (False, True)
    assert (other.selection.serial, other.selection.seen) == (3, 2)


def test_a_fork_that_is_none_is_told(lab):
    lab.issue(MmioRead(0, 4))
    first, forks = lab.history.first.copy(), link.Fork(1, 0, 1, (("do", "", MmioRead(8, 4)),))
    text = link.text(link.Link(first, (("do", "", MmioRead(0, 4)),), 1, 0, "", {}, (forks,)))
    with pytest.raises(LinkError, match="fork 1: at is 1; both histories have the same 0 first commands"):
        Lab.from_link(text)
    text = link.text(link.Link(first, (("do", "", MmioRead(0, 4)),), 1, 0, "", {}, (forks._replace(at=0, commands=2),)))
    with pytest.raises(LinkError, match="fork 1, its deeds make 1 commands here, and 2 where it was made"):
        Lab.from_link(text)


def test_a_guest_that_does_not_serve_knows_who_waits_after_a_link(lab):
    lab.boot()
    lab.kernel.serving = False
    lab.fire("00:05.0", 5)
    other = Lab.from_link(lab.link())
    assert (lab.kernel.serve(), other.kernel.serve()) == (1, 1)
    assert other.machine == lab.machine


def test_a_message_by_hand_is_handled_live_as_after_a_link(lab):
    """Nobody noticed that it came: the next handlers take it, here and on the Lab of a link, with the same commands."""
    lab.boot()
    lab.kernel.serving = False
    lab.fire("00:05.0", 5)
    lab.issue(Msi(0x28, 0xFEE00018, 0))     # its fault event waits for vCPU 0
    other = Lab.from_link(lab.link())
    for each in (lab, other):
        each.kernel.serving = True
        each.fire("00:05.0", 7)
    assert lab.history.commands[:] == other.history.commands[:] and lab.link() == other.link()
    assert len(lab.kernel.guest.faults) == 1 and not any(lab.machine.irr)


def test_a_storm_that_something_came_into_is_its_commands(lab):
    lab.boot()
    storm = lab.storm(1000, 0.1)
    assert [each.deed for each in lab.gestures()][-1] == ("storm", 1000, 100, 1)
    storm = type(storm)(lab, 1000, 0.3, 2)
    storm.slice()
    lab.fire("00:05.0", 1)
    while storm.running:
        storm.slice()
    assert [each.deed[:1] for each in lab.gestures()][-3:] == [(), ("fire",), ()]
    assert Lab.from_link(lab.link()).machine == lab.machine


@pytest.mark.parametrize("deeds, message", [
    ((("fire", 0x28, 999),), "link:1:1: deed 1, fire: message is 999; 00:05.0 has 0 to 63"),
    ((("move", 0x28, 64, 1),), "deed 1, move: 00:05.0 has no interrupt 64 that a guest has set up"),
    ((("storm", 10, 10, 1),), "deed 1, storm: no device has a message switched on"),
    ((("do", "", MmioRead(0, 4)),), "its deeds make 1 commands here, and 2 where it was made"),
])
def test_deeds_that_cannot_be_done_again_are_told(lab, deeds, message):
    text = link.text(link.Link(lab.history.first.copy(), deeds, 2, 0, "", {}))
    with pytest.raises(LinkError) as caught:
        Lab.from_link(text)
    assert message in str(caught.value)


def test_a_command_has_a_name_of_its_own():
    assert named(Domctl(create_op())) == "hypercall"
    assert named(DeviceError(0x28, 1)) == "device TLB of 00:05.0 does not answer in time"
    assert [named(Dma(0x28, 0x1000, read)) for read in (0, 1)] == ["00:05.0 writes 0x1000", "00:05.0 reads 0x1000"]
    assert named(Msi(0x28, 0xFEE00000, 0), 3) == "message from 00:05.0 and 2 more"


@pytest.mark.parametrize("kind", COMMANDS.values())
def test_every_command_has_a_name_and_a_sentence(kind):
    """The name is in words, with the command's own numbers; the sentence is the one of its declaration."""
    made = kind(*(b"" if place.type == "bytes" else 1 for place in fields(kind)))
    name = named(made)
    assert name and not set("{}_") & set(name) and (name != kind.name or kind.name == "reset")
    assert sentence(kind)[0].isupper() and sentence(kind).endswith(".") and len(sentence(kind).split()) > 3
