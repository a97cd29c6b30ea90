"""Any command by its fields, and the registers of I/O APICs and HPET by their bits."""

from dataclasses import fields

import pytest

from tests.rig import NIC, Rig
from vsim.devices import hpet, viommu
from vsim.layouts.bits import Access
from vsim.layouts.formats import RTE
from vsim.machine import read, step, unit_register
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act
from widgets.editors.others import OFFERED, words
from widgets.lab import Lab

MORE = ((0xFEC01000, 48, 8, 0xF01F),)


@pytest.fixture
def panel():
    options = profile("spec").with_options(more_ioapics=MORE, hpet_timers=3)
    made = Lab(Machine(options, vcpus=2)).others
    yield made
    made.close()


def enter(panel, name, **values):
    """Choose a command and type its fields."""
    panel.kind.value = name
    for place, value in values.items():
        panel.controls[place].value = value


def last(panel):
    return panel.lab.history.commands[-1]


def test_every_command_of_numbers_is_offered_and_has_a_control_for_each_field(panel):
    assert set(c.COMMANDS) - set(OFFERED) == {"domctl", "ram"}
    for name, kind in OFFERED.items():
        panel.kind.value = name
        assert list(panel.controls) == [place.name for place in fields(kind)]
        assert type(panel.command()) is kind, "what stands there at first can be done"


@pytest.mark.parametrize("name, values, made", [
    ("dma", {"requester": "03:00.0", "address": "0x1000", "read": 0}, c.Dma(0x300, 0x1000, 0)),
    ("deverr", {"requester": "03:00.0", "how": 2}, c.DeviceError(0x300, 2)),
    ("oom", {"count": "3"}, c.OutOfMemory(3)),
    ("tick", {"ns": "1000"}, c.Tick(1000)),
    ("hostirq", {"place": "0"}, c.HostIrq(0)),
])
def test_a_command_is_done_as_one_gesture(panel, name, values, made):
    enter(panel, name, **values)
    panel.guarded(panel._do)
    assert last(panel) == made and panel.status.value == ""


def test_what_it_would_do_is_told_before(panel):
    before = panel.lab.position
    enter(panel, "pin", gsi="4", level=1)
    assert "masked" in panel.told.value and panel.lab.position == before
    enter(panel, "oom", count="0")
    assert "nothing that one sees" in panel.told.value


@pytest.mark.parametrize("value, said", [("0x10000", "requester: 0x10000 is over its limit 0xffff"),
                                         ("<b>", "&#x27;&lt;b&gt;&#x27; is not a number")])
def test_a_number_that_cannot_be_is_refused_in_words_and_nothing_is_done(panel, value, said):
    enter(panel, "dma", requester=value)
    before = panel.lab.position
    panel.guarded(panel._do)
    assert said in panel.told.value and said in panel.status.value and panel.lab.position == before


def test_a_register_is_open_from_the_start(panel):
    assert panel.word.value == "I/O APIC 0 at 0xfec00000, pin 0: GSI 0" and panel.editor.value == 0x10000
    panel.remappable.value = False
    assert "dest" in panel.editor.controls and panel.word.value.endswith("GSI 0")


def test_an_entry_of_the_second_io_apic_is_written_through_its_own_window(panel):
    panel.remappable.value = False
    panel.word.value = "I/O APIC 1 at 0xfec01000, pin 5: GSI 53"
    panel.editor.value = RTE.make(vector=0x61, dest=1)
    panel.guarded(panel._write)
    m = panel.lab.machine
    assert m.rte[48 + 5] == panel.editor.value == panel.editor.stored and m.rte[5] == 0x10000
    enter(panel, "pin", gsi="53", level=1)
    assert "0x61" in panel.told.value


def test_a_register_that_another_writes_is_shown_as_it_is_and_bits_that_are_being_edited_stay(panel):
    stored = panel.words[panel.word.value].writes
    panel.lab.issue(*stored(panel.lab.machine, 0x10055))
    assert panel.editor.value == panel.editor.stored == 0x10055
    panel.editor.value = 0x10066
    panel.lab.issue(*stored(panel.lab.machine, 0x10077))
    assert (panel.editor.value, panel.editor.stored) == (0x10066, 0x10077)
    panel.editor.value = 0x10077
    panel.lab.undo()
    assert panel.editor.value == panel.editor.stored == 0x10055


def test_a_timer_is_set_and_fires_when_time_passes(panel):
    for name, value in (("HPET timer 1: message", 0xFEE00000 << 32 | 0x51), ("HPET timer 1: comparator", 100),
                        ("HPET timer 1: configuration", 1 << 14 | 1 << 2), ("HPET: all of it", 1)):
        panel.word.value = name
        panel.editor.value = value
        panel.guarded(panel._write)
        assert panel.status.value == ""
    assert read(panel.lab.machine, hpet.BASE, 4) and list(panel.lab.gestures())[-1].name == "write HPET: all of it"
    enter(panel, "tick", ns="2000")
    assert "0x51" in panel.told.value


def write(panel, name, **fields):
    """Choose a register or descriptor, set fields of it, store it."""
    panel.word.value = name
    panel.editor.value = panel.editor.layout_of_bits.make(**{
        **panel.editor.layout_of_bits.split(panel.editor.value), **fields})
    panel.guarded(panel._write)
    assert panel.status.value == ""


def test_the_timer_of_the_chosen_vcpu_is_set_and_comes_when_time_passes(panel):
    panel.lab.issue(c.ApicWrite(1, 0xF0, 0x1FF))
    panel.lab.selection.vlapic = 1
    write(panel, "timer of vCPU 1: local vector", vector=0x55, mask=0)
    write(panel, "timer of vCPU 1: initial count", count=100)
    enter(panel, "tick", ns="1000000")
    assert "The timer of vLAPIC 1" in panel.told.value and "no unit remaps" in panel.told.value


@pytest.mark.parametrize("how, bit, name", [(1, 6, "ITE"), (2, 5, "ICE")])
def test_a_device_that_fails_is_seen_in_the_unit_s_status(how, bit, name):
    """Three steps: say how it fails, queue the invalidation for it, read the status."""
    rig = Rig(bus=Bus([Function(NIC, "nic", msix_count=1)]), unit={"device_tlb": True}).start()
    panel = Lab(rig.m).others
    enter(panel, "deverr", how=how)
    panel.guarded(panel._do)
    panel.word.value = "queue of vIOMMU 0: device-TLB invalidation"
    assert panel.editor.layout_of_bits.split(panel.editor.value)["sid"] == NIC
    panel.guarded(panel._write)
    assert panel.status.value == ""
    m = panel.lab.machine
    assert unit_register(m, "FSTS") >> bit & 1, name
    assert any(event.act == Act.DEVICE_FAILED for event in panel.lab.last)
    panel.close()


def test_a_descriptor_for_a_queue_that_is_off_is_refused_in_words(panel):
    panel.lab.issue(c.Domctl(viommu.create_op()))
    panel._list()
    panel.word.value = "queue of vIOMMU 0: wait"
    panel.guarded(panel._write)
    assert "queued invalidation is off" in panel.status.value


def test_every_register_names_what_its_write_stores():
    """Bits that can be written come back; none is at the place of another (a comparator's write ends VAL_SET)."""
    m = Machine(profile("spec").with_options(more_ioapics=MORE, hpet_timers=3), vcpus=1)
    found = list(words(m))
    assert len({each.name for each in found}) == len(found) == 48 + 8 + 2 + 9
    for each in found:
        bits, before = sum(f.mask for f in each.layout.fields if f.access is Access.RW), [one.value(m) for one in found]
        for command in each.writes(m, bits):
            step(m, command)
        assert each.value(m) & bits == bits
        changed = [one.name for one, was in zip(found, before, strict=True) if one.value(m) != was]
        assert changed in ([each.name], [each.name.replace("comparator", "configuration"), each.name])
