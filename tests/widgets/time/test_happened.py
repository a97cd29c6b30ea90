"""What happened, as rows of words: which rows, in which order, with which marks."""

import pytest

from tests.widgets.time.test_moments import FIRST, SECOND, go, msi, reader
from vsim.explain.sentences import MASKED
from vsim.findings.assumed import Assumed, vcpus
from vsim.layouts.formats import REASON_TEXT
from vsim.state import commands as c
from vsim.state.trace import ACTS, Act, Drop, Event, Kind, Warn, node
from widgets.time import happened
from widgets.time.happened import BAD, LATER, NOW, event_rows, interrupt_rows, outcome, reached, with_words
from widgets.time.moments import Moment

PIC, PIN = node(Kind.VPIC), node(Kind.VIOAPIC, 4)


def event(act, index=0, low=0, high=0, place=0, serial=1):
    return Event(1, serial, place or node(Kind.VIOMMU), act, index, low, high, 0)


@pytest.mark.parametrize("happening, words", [
    (event(Act.SENT, 0x300, 0xFEE00010, 0x41), "requester 03:00.0, address 0xfee00010, data 0x41"),
    (event(Act.BLOCKED, 0x22, 5, 0x300), f"fault reason 0x22 ({REASON_TEXT[0x22]}), index 5, requester 03:00.0"),
    (event(Act.DROPPED, Drop.NOBODY, 7), "why: nobody, address or value 7, data 0"),
    (event(Act.WARNED, Warn.VECTOR_MISMATCH, 1), "why: vector mismatch, value 1"),
    (event(Act.DROPPED, 999), "why: 999, address or value 0, data 0"),
    (event(Act.TAKEN, 0x41), "vector 0x41"),
    (event(Act.IRR_CLEARED, 3, 4, 1), "pin 3, entry 4, 1 (1 by an EOI, 0 by a write to the entry)"),
])
def test_an_event_says_what_its_numbers_mean(happening, words):
    assert with_words(happening) == words


@pytest.mark.parametrize("act", list(Act))
def test_every_act_has_words_for_any_numbers(act):
    for value in (0, -22, (1 << 64) - 1):
        said = with_words(event(act, value, value, value))
        assert sum(name != "0" for name in ACTS[act][:3]) == 0 or said


@pytest.mark.parametrize("events, became", [
    ([event(Act.LINE, 4, 1, 1, PIC)], ("the 8259 holds it back", False)),
    ([event(Act.LINE, 4, 1, 1, PIC), event(Act.INTR, 1, 4, 1, PIC), event(Act.DROPPED, Drop.MASKED, place=PIN)],
     ("asked of a vCPU by the 8259's INTR", False)),
    ([event(Act.INTR, 1, 4, 0, PIC)], ("asked by INTR, and no vCPU takes it", True)),
    ([event(Act.LINT, 1, 1, 0x400)], ("LINT1 rises", False)), ([event(Act.LINT, 0, 0)], ("LINT0 falls", False)),
])
def test_what_became_of_a_line_and_of_a_pin(events, became):
    assert outcome(events) == became


def test_rows_of_events_are_the_history_in_order():
    moments = reader()
    rows = event_rows(moments)
    assert [row.key for row in rows] == [each.serial for each in moments.history.events()]
    assert [row.marks for row in rows] == [""] * (len(rows) - 1) + [NOW]


def test_what_is_undone_stays_in_the_table_and_is_marked():
    moments = reader()
    go(moments, Moment(FIRST, 1))
    rows = event_rows(moments)
    at = next(place for place, row in enumerate(rows) if row.marks == NOW)
    assert all(row.marks == LATER and "(later)" in row.cells[0] for row in rows[at + 1:]) and rows[at + 1:]
    assert len(rows) == len(moments.history.events(0, len(moments.history)))


def test_with_a_serial_only_that_interrupts_events_are_listed():
    moments = reader()
    assert {row.key for row in event_rows(moments, 2)} == {2}
    assert [row.cells[4] for row in event_rows(moments, 2)] == ["sent", "passed", "accepted"]
    assert event_rows(moments, 99) == []


def test_long_histories_are_bounded_on_both_sides():
    moments = reader(*[msi(0, 0x41)] * 300)
    assert len(event_rows(moments)) == happened.MOST_ROWS - happened.AHEAD
    assert len(interrupt_rows(moments)) == happened.MOST_ROWS - happened.AHEAD
    go(moments, moments.end_of(100))
    for rows in (event_rows(moments), interrupt_rows(moments)):
        assert sum(LATER in row.marks for row in rows) == happened.AHEAD
        assert len(rows) <= happened.MOST_ROWS


def test_silent_commands_do_not_hide_what_was_before_them():
    moments = reader(*[c.RamWrite(0x1000, b"y")] * 500)
    assert event_rows(moments)[-1].key == 2
    go(moments, Moment(0, 0))
    assert event_rows(moments)[0].marks == LATER


def test_rows_of_interrupts_say_from_where_what_and_whom():
    rows = interrupt_rows(reader())
    assert [row.cells[1:] for row in rows] == [
        (str(FIRST), "1", "device 03:00.0", "passed unchanged", "vLAPIC 0"),
        (str(SECOND), "2", "device 03:00.0", "passed unchanged", "vLAPIC 1")]
    assert [row.marks for row in rows] == ["", NOW]


def test_interrupts_to_come_are_listed_as_undone():
    moments = reader()
    go(moments, Moment(0, 0))
    assert [(row.key, row.marks) for row in interrupt_rows(moments)] == [(1, LATER), (2, LATER)]


@pytest.mark.parametrize("acts, became, bad", [
    ([event(Act.SENT), event(Act.REMAPPED, 5)], "remapped by entry 5", False),
    ([event(Act.SENT), event(Act.HIT, 5), event(Act.REMAPPED, 5)], "remapped by entry 5 from the cache", False),
    ([event(Act.SENT), event(Act.POSTED, 5)], "posted by entry 5", False),
    ([event(Act.SENT), event(Act.PASSED)], "passed unchanged", False),
    ([event(Act.SENT)], "sent directly", False),
    ([event(Act.PENDED)], MASKED[0], False),
    ([event(Act.DROPPED, Drop.NO_MESSAGE, place=node(Kind.DEVICE, 0x300))], MASKED[Drop.NO_MESSAGE], True),
    ([event(Act.PASSED), event(Act.DROPPED, Drop.NOBODY)], "passed unchanged, then dropped, why: nobody", True),
    ([event(Act.SENT), event(Act.BLOCKED, 0x22)], "blocked: 0x22, ", True),
    ([event(Act.DMA), event(Act.DMA_BLOCKED, 1), event(Act.RECORDED)], "DMA blocked: 0x1, the root entry", True),
    ([event(Act.DMA)], "DMA, no interrupt", False),
    ([event(Act.TIMER, 0x55), event(Act.ACCEPTED, 0x55)], "its own timer", False),
])
def test_an_interrupts_end_is_told_in_a_few_words(acts, became, bad):
    told, wrong = outcome(acts)
    assert told.startswith(became) and wrong is bad
    assert bad or told == became


@pytest.mark.parametrize("many, said", [(0, ""), (1, "vLAPIC 0"), (2, "vLAPIC 0, vLAPIC 1"), (5, "5 vLAPICs")])
def test_who_took_it_is_named_or_counted(many, said):
    assert reached([event(Act.ACCEPTED, place=node(Kind.VLAPIC, vcpu)) for vcpu in range(many)]) == said


def test_a_blocked_interrupt_is_marked_by_a_sign_too():
    moments = reader()
    row = happened._event_row(Moment(1, 1), event(Act.BLOCKED, 0x22), moments.now, Assumed())
    assert row.marks == BAD and row.cells[0] == "✗"


def test_who_takes_the_fault_event_did_not_take_the_interrupt():
    vlapic = node(Kind.VLAPIC, 0)
    events = [event(Act.SENT), event(Act.BLOCKED, 0x22), event(Act.NOTIFIED), event(Act.ACCEPTED, 0x30, place=vlapic)]
    assert reached(events) == ""


def test_an_element_of_which_something_is_assumed_is_marked_in_both_tables():
    moments, assumed = reader(), Assumed()
    plain = [row.cells[3] for row in event_rows(moments)], [row.cells[5] for row in interrupt_rows(moments)]
    assumed.add("its APIC ID", vcpus(1))
    marked = [row.cells[3] for row in event_rows(moments, 0, assumed)], [
        row.cells[5] for row in interrupt_rows(moments, assumed)]
    for before, after in zip(plain, marked, strict=True):
        assert after == [f"{each}, assumed" if each == "vLAPIC 0" else each for each in before] != before
