"""Any command by its fields, and the registers of I/O APICs and HPET by their bits."""

from dataclasses import fields

import pytest

from vsim.devices import hpet
from vsim.layouts.bits import Access
from vsim.layouts.formats import RTE
from vsim.machine import read, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
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
    panel.lab.issue(*stored(0x10055))
    assert panel.editor.value == panel.editor.stored == 0x10055
    panel.editor.value = 0x10066
    panel.lab.issue(*stored(0x10077))
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


def test_every_register_names_what_its_write_stores():
    """Bits that can be written come back; none is at the place of another (a comparator's write ends VAL_SET)."""
    m = Machine(profile("spec").with_options(more_ioapics=MORE, hpet_timers=3), vcpus=1)
    found = list(words(m))
    assert len({each.name for each in found}) == len(found) == 48 + 8 + 2 + 9
    for each in found:
        bits, before = sum(f.mask for f in each.layout.fields if f.access is Access.RW), [one.value(m) for one in found]
        for command in each.writes(bits):
            step(m, command)
        assert each.value(m) & bits == bits
        changed = [one.name for one, was in zip(found, before, strict=True) if one.value(m) != was]
        assert changed in ([each.name], [each.name.replace("comparator", "configuration"), each.name])
