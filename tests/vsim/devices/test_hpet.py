"""HPET timers that send messages: requesters of their own (IA-PC HPET 1.0a; V 3.5)."""

import pytest

from tests.rig import Rig, acts
from vsim.devices import hpet, viommu
from vsim.layouts.formats import remap_message
from vsim.layouts.registers import HPET_CONFIG
from vsim.machine import read
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile

SID = 0xF00F
ON = HPET_CONFIG.make(enabled=1, fsb_en=1)


def write(rig, offset, value, width=8):
    return rig.do(c.Mmio(hpet.BASE + offset, width, value))


def has(rig, offset, width=8):
    return read(rig.m, hpet.BASE + offset, width)


def started(number=0, comparator=100, period=0, config=ON, message=(0xFEE00000, 0x61), **options):
    """A unit that remaps nothing yet, and a timer that is running; time costs nothing but ticks."""
    rig = Rig(hpet_timers=3, **options)
    rig.m.costs[:] = type(rig.m.costs)("Q", bytes(8 * len(rig.m.costs)))
    at = 0x100 + 0x20 * number
    write(rig, at, config | HPET_CONFIG.make(periodic=int(period > 0), val_set=int(period > 0)))
    write(rig, at + 8, comparator)
    if period:
        write(rig, at + 8, period)
    write(rig, at + 0x10, message[0] << 32 | message[1])
    write(rig, 0x10, 1)
    return rig


def sent(events):
    """(requester, address, data) of the messages."""
    return [row[1:] for row in acts(events, "SENT")]


def test_what_the_block_says_of_itself():
    rig = Rig(hpet_timers=5)
    assert has(rig, 0) == 10_000_000 << 32 | 1 << 13 | 4 << 8 | 1
    assert has(rig, 4, 4) == 10_000_000 and has(rig, 0, 2) == 0 and has(rig, 4, 8) == 0
    write(rig, 0x100, (1 << 64) - 1)
    assert HPET_CONFIG.split(has(rig, 0x100)) == {
        "pins": 0, "fsb_cap": 1, "fsb_en": 1, "pin": 31, "narrow": 1, "val_set": 1, "size_cap": 1, "per_cap": 1,
        "periodic": 1, "enabled": 1, "level": 1}
    assert has(rig, 0x100 + 0x20 * 5) == 0


def test_the_counter_goes_while_the_block_is_on():
    rig = started()
    rig.do(c.Tick(995))
    assert (has(rig, 0xF0), has(rig, 0xF0, 4)) == (99, 99)
    write(rig, 0x10, 0)
    rig.do(c.Tick(1000))
    assert has(rig, 0xF0) == 99
    write(rig, 0xF0, 7)
    write(rig, 0x10, 1)
    rig.do(c.Tick(100))
    assert has(rig, 0xF0) == 17


def test_a_timer_sends_its_message_once_when_its_comparator_is_passed():
    rig = started()
    assert sent(rig.do(c.Tick(999))) == []
    events = rig.do(c.Tick(1))
    assert sent(events) == [(SID, 0xFEE00000, 0x61)]
    assert acts(events, "HPET") == [("HPET", 0, 1, 0)] and len(acts(events, "ACCEPTED")) == 1
    assert sent(rig.do(c.Tick(1 << 30))) == []


def test_a_periodic_timer_goes_on_and_many_periods_of_a_tick_are_one_message():
    rig = started(period=50)
    assert [len(sent(rig.do(c.Tick(500)))) for _ in range(4)] == [0, 1, 1, 1]
    assert acts(rig.do(c.Tick(1750)), "HPET") == [("HPET", 0, 3, 0)]
    assert has(rig, 0x108) == 400


@pytest.mark.parametrize("config", [0, HPET_CONFIG.make(enabled=1), HPET_CONFIG.make(fsb_en=1)])
def test_without_fsb_delivery_or_its_enable_nothing_is_sent(config):
    assert sent(started(config=config).do(c.Tick(5000))) == []


def test_a_timer_that_is_remapped_is_checked_by_its_own_source_id():
    rig = started(message=remap_message(5)).start(eime=0)
    rig.entry(5, vector=0x61, dst=0x200, svt=1, sq=3, sid=SID & ~7)
    assert len(acts(rig.do(c.Tick(1000)), "REMAPPED", "ACCEPTED")) == 2
    rig.entry(5, vector=0x61, dst=0x200, svt=1, sid=0xFF00)
    rig.m.cache.clear()
    write(rig, 0x108, 200)
    assert [row[1] for row in acts(rig.do(c.Tick(1000)), "BLOCKED")] == [0x26]
    rig.m.scope = {SID: 3}
    assert rig.m.unit_of(SID) == -1


@pytest.mark.parametrize("offset, width", [(0x101, 4), (0x104, 8), (0x100, 1), (0x100, 2)])
def test_an_access_that_does_not_fit_is_ignored(offset, width):
    rig = Rig(hpet_timers=3)
    write(rig, offset, (1 << 8 * width) - 1, width)
    assert has(rig, 0x100) == 0 and has(rig, offset, width) == 0


def test_halves_of_a_register_are_written_one_by_one():
    rig = Rig(hpet_timers=3)
    write(rig, 0x110, 0x61, 4)
    write(rig, 0x114, 0xFEE00000, 4)
    assert has(rig, 0x110) == 0xFEE00000_00000061


def test_halves_of_a_register_are_read_one_by_one():
    rig = started(message=(0x1234_5678, 0x9ABC_DEF1))
    assert (has(rig, 0x110, 4), has(rig, 0x114, 4)) == (0x9ABC_DEF1, 0x1234_5678)


def test_without_timers_there_is_no_block_and_with_them_no_unit_over_it():
    assert not hpet.answers(Machine(profile("spec"), 1, 1 << 20), hpet.BASE)
    for timers, refused in ((0, False), (3, True)):
        rig = Rig(hpet_timers=timers, max_units=2)
        assert bool(viommu.operate(rig.m, viommu.create_op(hpet.BASE))[0]) == refused


@pytest.mark.parametrize("options, says", [({"hpet_timers": 2}, "hpet_timers is 0x2"), ({"hpet_timers": 25}, "0x19"),
                                           ({"hpet_sid": 1 << 16}, "hpet_sid is 0x10000")])
def test_what_no_block_can_be_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        profile("spec").with_options(**options)


def test_the_block_is_saved_and_reset():
    rig = started()
    assert Machine.load(rig.m.save()) == rig.m
    rig.do(c.Reset())
    assert set(rig.m.hpet) == {0}


@pytest.mark.parametrize("offset", [0x10, 0xF0])
def test_a_clock_at_its_end_is_no_mistake(offset):
    rig = started()
    rig.m.clock = (1 << 64) + 50
    write(rig, offset, 1)
    assert rig.m.hpet[2] == (1 << 64) - 1 and Machine.load(rig.m.save()).hpet == rig.m.hpet
