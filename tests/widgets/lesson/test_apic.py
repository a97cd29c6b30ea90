"""A local APIC by hand: what it takes, what an EOI ends, what a dump says, and what a strange step is told."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widgets.lesson.apic import MOST_STEPS, LocalApic, held, info_lapic, read_lapic


def model(steps):
    """(IRR, ISR, TPR, taken) by the rules of the SDM, in sets."""
    irr, isr, tpr, taken = set(), set(), 0, []
    for word, value in steps:
        if word == "arrive" and value > 15:
            irr.add(value)
        elif word == "tpr":
            tpr = value
        elif word == "take" and irr:
            best = max(irr)
            if best // 16 > max(tpr // 16, max(isr, default=0) // 16):
                irr.discard(best)
                isr.add(best)
                taken.append(best)
        elif word == "eoi" and isr:
            isr.discard(max(isr))
    return irr, isr, tpr, taken


@given(st.lists(st.tuples(st.sampled_from(("arrive", "arrive", "tpr", "take", "take", "eoi")), st.integers(0, 255)),
                min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_a_local_apic_does_what_the_rules_say(steps):
    words = {"arrive": "{}", "tpr": "tpr {}", "take": "take", "eoi": "eoi"}
    apic = LocalApic().play(", ".join(words[word].format(hex(value)) for word, value in steps))
    irr, isr, tpr, taken = model(steps)
    *_, last = apic.steps.rows
    shown = [" ".join(hex(v) for v in sorted(found, reverse=True)) or "-" for found in (irr, isr)]
    assert last[1:4] == (*shown, hex(tpr))
    assert [int(row[-1].split()[-1], 16) for row in apic.steps.rows if row[-1].startswith("takes")] == taken


def test_a_level_interrupt_ends_with_a_broadcast_and_an_edge_does_not():
    rows = LocalApic().play("0x92 level, take, eoi, 0x92, take, eoi").steps.rows
    assert ["broadcast" in row[-1] for row in rows if row[0] == "eoi"] == [True, False]


def test_a_spurious_interrupt_sets_nothing_and_its_eoi_ends_somebody_elses():
    apic = LocalApic().play("0x31, take, 0x52, tpr 0x60, take")
    assert apic.steps.rows[-1][1:3] == ("0x52", "0x31") and "0xff" in apic.steps.rows[-1][-1]
    assert apic.play("eoi").steps.rows[-1][2] == "-"


def test_cr8_is_the_upper_half_of_tpr():
    assert LocalApic().play("tpr 0x35, cr8 9").steps.rows[-1][3] == "0x90"
    assert LocalApic().play("cr8 16").steps.rows[-1][-1] == "#GP"


def test_the_grids_mark_what_is_set_and_say_it_in_words():
    grids = LocalApic().play("0x41, take, 0x92 level, 0x49").grids
    assert grids.marked == {"irr": [0x92, 0x49], "isr": [0x41], "tmr": [0x92]}
    drawn = grids._repr_html_()
    assert "0x92 0x49" in repr(grids) and drawn.count("<svg") == 3
    assert {*re.findall(r"var\((--vsim-[\w-]+)", drawn)} <= {*re.findall(r"(--vsim-[\w-]+):", drawn)}
    assert drawn.index('class="vsim"') < drawn.index("<svg")


@given(st.sets(st.integers(16, 255), max_size=6), st.sets(st.integers(16, 255), max_size=3), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_a_dump_is_read_back_and_says_what_waits(irr, isr, tpr):
    found = read_lapic(info_lapic(sorted(irr), sorted(isr), tpr))
    assert ({v for v, _ in found.irr}, {v for v, _ in found.isr}, found.words["TPR"]) == (irr, isr, tpr)
    floor = max(tpr // 16, max(isr, default=0) // 16)
    assert [row[-1] == "can be taken" for row in held(found).rows] == [v // 16 > floor
                                                                      for v in sorted(irr, reverse=True)]


def test_level_vectors_are_marked_in_a_dump():
    assert read_lapic(info_lapic([0x41], [], level=(0x41,))).irr == ((0x41, True),)


@pytest.mark.parametrize("steps", ["jump", "", "0x100", "tpr", "tpr 0x41 level", "take 5", "-1", "999"])
def test_a_strange_step_is_refused_before_anything_is_done(steps):
    apic = LocalApic()
    with pytest.raises(ValueError, match="no step"):
        apic.play(f"0x41, {steps}")
    assert apic.steps.rows == []


def test_numbers_may_be_decimal_with_zeros_in_front():
    assert LocalApic().play("065, 66").steps.rows[-1][1] == "0x42 0x41"


def test_steps_are_bounded_and_a_text_without_an_apic_is_refused():
    with pytest.raises(ValueError, match=f"the limit is {MOST_STEPS}"):
        LocalApic().play(", ".join(["take"] * (MOST_STEPS + 1)))
    with pytest.raises(ValueError, match="no local APIC"):
        read_lapic("hello")


def test_the_timer_is_an_interrupt_of_its_own_until_it_is_masked():
    apic = LocalApic().play("timer 0xec, tick, take, tick, tick, eoi, take, mask timer, eoi, tick, timer 0x07, tick")
    assert [(row[1], row[2]) for row in apic.steps.rows[1:10]] == [
        ("0xec", "-"), ("-", "0xec"), ("0xec", "0xec"), ("0xec", "0xec"), ("0xec", "-"), ("-", "0xec"), ("-", "0xec"),
        ("-", "-"), ("-", "-")]
    assert apic.steps.rows[4][-1] == "merged" and "illegal vector" in apic.steps.rows[-1][-1]


@pytest.mark.parametrize("step", ["timer", "timer 0x100", "timer 0x41 level", "mask", "tick 3"])
def test_a_timer_that_cannot_be_is_no_step(step):
    with pytest.raises(ValueError, match="no step"):
        LocalApic().play(step)
