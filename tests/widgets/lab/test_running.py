"""A program of real instructions on a Lab: each access is a gesture with the address of its instruction."""

import pytest

from vsim.guest import processor
from vsim.guest.processor import NoEmulator, State
from vsim.guest.program import shipped
from vsim.layouts.formats import IRTE, remap_message
from vsim.state import commands as c
from widgets.lab.lab import Lab
from widgets.time.moments import Moments
from widgets.time.ticks import Faults, around, ticks

CONFIG = 'name = "host"\nvcpus = 4\nmemory = 64\nviommu = "type=vtd,intremap=1,x2apic=1"\npci = ["03:00.0"]\n'
ENTRY = IRTE.make(p=1, vector=0x61, svt=1, sid=0x300)
NUMBERS = (9, ENTRY & (1 << 64) - 1, ENTRY >> 64)
DRIVER = shipped("driver")
needs_unicorn = pytest.mark.skipif(not processor.emulator(), reason="no unicorn")


@pytest.fixture
def lab():
    return Lab.from_config(CONFIG)


@needs_unicorn
def test_each_access_is_a_gesture_with_its_address_and_is_undone_alone(lab):
    run = lab.run(DRIVER, *NUMBERS)
    assert run.stand.state == State.WAITS and repr(run).startswith("vCPU 0 waits for an interrupt: HLT")
    names = [each.name for each in lab.gestures()]
    assert names[1:3] == ["the program is loaded", "0x1001b mov ECAP(%rbx), %rax"]
    assert names[-1] == "0x1007d movl $0x1ff, SVR(%rbp)" and len(names) == 2 + run.stand.steps
    lab.undo()
    assert lab.position == len(lab.history) - 1


@needs_unicorn
def test_the_bar_has_a_block_for_each_access_and_the_map_shows_the_interrupt(lab):
    run = lab.run(DRIVER, *NUMBERS)
    lab.issue(c.Msi(0x300, *remap_message(9)), name="the card sends")
    run.go()
    names = [each.name for each in ticks(lab, Faults(Moments(lab.history)))]
    assert names[-5:] == ["the card sends", "0x10089 an interrupt comes in", "0x10108 incl TAKEN", "0x10108 incl TAKEN",
                          "0x1010f movl $0, EOI(%rbp)"]
    lab.goto(lab.position - 1)
    assert around(ticks(lab, Faults(Moments(lab.history))), lab.position) == "after 0x10108 incl TAKEN"


@needs_unicorn
def test_observers_are_told_of_each_step_and_a_link_keeps_them(lab):
    told = []
    lab.observe(lambda kind, events, machine: told.append(kind))
    run = lab.run(DRIVER, *NUMBERS)
    assert told == ["issued"] * (run.stand.steps + 1)
    again = Lab.from_link(lab.link())
    assert [each.name for each in again.gestures()] == [each.name for each in lab.gestures()]
    assert again.history.commands[:] == lab.history.commands[:]


@needs_unicorn
def test_it_goes_on_after_an_interrupt_and_on_another_vcpu(lab):
    run = lab.run(DRIVER, *NUMBERS)
    lab.issue(c.Msi(0x300, *remap_message(9)))
    assert run.go().state == State.WAITS and lab.machine.ram.word(0x90010) == 1
    other = lab.run(b"\xc6\x04\x25\x00\x50\x00\x00\x01\xfb\xf4", vcpu=1)      # bytes alone do: no text is known of them
    assert other.stand.state == State.WAITS
    assert list(lab.gestures())[-1].name == "0x10000 store 0x5000" and lab.machine.ram.word(0x5000) == 1


@needs_unicorn
def test_it_does_not_go_on_where_its_past_is_gone(lab):
    run = lab.run(DRIVER, *NUMBERS)
    lab.undo()
    with pytest.raises(ValueError, match=r"the program has come to \d+, and goes on from there alone"):
        run.go()
    lab.issue(c.Tick(5))
    with pytest.raises(ValueError, match="goes on from there alone"):
        run.go()
    lab.undo()


@needs_unicorn
@pytest.mark.parametrize("call", [lambda lab: lab.run(b""), lambda lab: lab.run(DRIVER, vcpu=4),
                                  lambda lab: lab.run(DRIVER, -1)])
def test_a_callers_mistake_changes_nothing(lab, call):
    before = lab.position
    with pytest.raises(ValueError):
        call(lab)
    assert lab.position == before == len(lab.history)


def test_without_unicorn_it_says_what_to_install(lab, monkeypatch):
    monkeypatch.setattr(processor, "find_spec", lambda name: None)
    with pytest.raises(NoEmulator, match="not installed"):
        lab.run(DRIVER, *NUMBERS)
    assert lab.position == len(lab.history)


@needs_unicorn
@pytest.mark.parametrize("given, named", [
    (lambda lab: lab.run(DRIVER, 1.5), "rdi is 1.5; the limit is 0x0 to 0xf"),
    (lambda lab: lab.run(DRIVER, 1, -1), "rsi is -0x1; the limit"),
    (lambda lab: lab.run(DRIVER, vcpu=1.5), "vcpu is 1.5; the limit is 0 to "),
    (lambda lab: lab.device(None), "device is None; the limit is 0 to 65535")])
def test_what_no_program_can_be_given_is_refused(lab, given, named):
    before = lab.position
    with pytest.raises(ValueError, match=named):
        given(lab)
    assert lab.position == before


@needs_unicorn
@pytest.mark.parametrize("bounds, named", [
    ((0,), "instructions is 0x0; the limit is 0x1"), ((-1,), "instructions is -0x1"), ((5, "x"), "steps is 'x'")])
def test_a_program_goes_on_within_bounds(lab, bounds, named):
    run = lab.run(DRIVER, *NUMBERS)
    with pytest.raises(ValueError, match=named):
        run.go(*bounds)
