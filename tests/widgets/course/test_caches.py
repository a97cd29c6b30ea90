"""The exercises of notebook 13: right answers are worked out here, tell-tale ones are named; the unit is exact."""

import pytest

from vsim.layouts.registers import GCMD
from widgets.course.caches import Unit
from widgets.course.quiz import Quiz

STUDENTS = ("Ada", "Grace", "Edsger")


def right(name, n):
    if name == "who":
        return n["first"]
    if name == "covering":
        mask = (n["low"] ^ n["high"]).bit_length()
        return n["low"], mask
    if name == "word":
        return GCMD.make(qie=1, ire=1, cfi=n["cfi"])
    if name == "outcomes":
        covered = n["named"] == n["index"]
        return len(n["vcpus"]) - (n["behind"] if covered else 0)
    return "blocked"


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right(who):
    quiz = Quiz("13_caches_lie", who)
    for name in quiz.tasks:
        told = quiz.guess(name, right(name, quiz.numbers(name)))
        assert told.text.startswith("Right."), (name, told)
    assert quiz.score == (10, 10)


@pytest.mark.parametrize("name, answer, met", [
    ("who", lambda n: n["second"], "M7"), ("absent", lambda n: "delivered", "M8"),
    ("word", lambda n: GCMD.make(ire=1), "M9"), ("word", lambda n: n["gsts"] | GCMD.make(ire=1), "M9")])
@pytest.mark.parametrize("who", STUDENTS)
def test_a_tell_tale_answer_names_the_belief(name, answer, met, who):
    quiz = Quiz("13_caches_lie", who)
    assert f"({met})" in quiz.guess(name, answer(quiz.numbers(name))).text


@pytest.mark.parametrize("who", STUDENTS)
def test_any_invalidation_that_covers_with_the_least_mask_is_right(who):
    quiz = Quiz("13_caches_lie", who)
    n = quiz.numbers("covering")
    mask = n["mask"]
    assert quiz.guess("covering", f"{n['high']}, {mask}").text.startswith("Right.")
    assert "a smaller mask does" in quiz.guess("covering", (n["low"], mask + 1)).text
    assert "still used from the cache" in quiz.guess("covering", (n["low"], mask - 1)).text
    assert quiz.guess("covering", (n["low"],)).text.startswith("Not so.")


def test_only_what_may_be_held_counts_among_the_outcomes():
    several = [Quiz("13_caches_lie", f"student {who}") for who in range(20)]
    found = {right("outcomes", quiz.numbers("outcomes")) for quiz in several}
    assert {1, 2, 3} <= found
    open_ = next(quiz for quiz in several if right("outcomes", quiz.numbers("outcomes")) > 1)
    assert "(M7)" in open_.guess("outcomes", 1).text
    assert "since the last invalidation" in open_.guess("outcomes", 9).text


def test_a_command_word_made_of_what_gcmd_reads_turns_the_queue_off():
    unit = Unit()
    unit.write("IQA", 0x80000)
    assert unit.command(qie=1) == "qies=1"
    assert unit.read("GCMD") == 0
    assert unit.command(ire=1) == "ires=1"


def test_an_older_entry_may_be_used_until_the_wait_is_done():
    unit = Unit(on=True)
    unit.install(9, 3)
    assert unit.fire(9) == "vCPU 3 takes vector 0x41; entry from memory"
    unit.entry(9, 5)
    assert unit.fire(9) == "vCPU 3 takes vector 0x41; entry from the cache"
    assert len(unit.may(9).rows) == 2
    unit.invalidate(9)
    assert unit.wait() == 1
    assert len(unit.may(9).rows) == 1
    assert unit.fire(9) == "vCPU 5 takes vector 0x41; entry from memory"


def test_caching_mode_holds_absent_entries_and_hardware_does_not():
    for cache, became in (("everything", "blocked, reason 0x22; entry from the cache"),
                          ("present", "vCPU 4 takes vector 0x41; entry from memory")):
        unit = Unit(cache, on=True)
        assert unit.fire(120).startswith("blocked, reason 0x22")
        unit.entry(120, 4)
        assert unit.fire(120) == became


def test_the_fault_log_has_one_record_and_says_that_there_were_more():
    unit = Unit(on=True)
    unit.fire(7)
    unit.fire(8)
    table = unit.records()
    assert table.rows == [("0", "0x22", "7", "03:00.0")]
    assert table.caption == "FSTS: 0x3"
