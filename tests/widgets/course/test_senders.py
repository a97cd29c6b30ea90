"""The exercises of notebook 07: right answers are worked out here from the formats, tell-tale ones name the belief."""

import pytest

from widgets.course.misconceptions import MISCONCEPTIONS
from widgets.course.quiz import Quiz
from widgets.course.senders import AGAIN, ERROR, NOTHING

NOTEBOOK = "07_messages_and_senders"
STUDENTS = ("Ada", "Grace", "Edsger")


def address(index):
    return 0xFEE00010 | (index & 0x7FFF) << 5 | (index >> 15) << 2


def right(name, n):
    if name == "encode":
        return address(n["index"])
    if name == "index":
        handle = n["address"] >> 5 & 0x7FFF | (n["address"] >> 2 & 1) << 15
        return handle + (n["data"] if n["address"] & 8 else 0)
    if name == "narrow":
        return n["id"] if n["eime"] else n["id"] << 8
    if name == "sender":
        return n["bus"] << 8 if "Express" in n["words"] else n["above"]
    return n["first"] << 8 | n["last"] if name == "range" else NOTHING


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right_and_others_are_not(who):
    quiz, other = Quiz(NOTEBOOK, who), Quiz(NOTEBOOK, who)
    for name in quiz.tasks:
        answer = right(name, quiz.numbers(name))
        assert quiz.guess(name, answer).text.startswith("Right."), name
        wrong = ERROR if answer == NOTHING else answer + (0x20 if name == "encode" else 1)
        assert other.guess(name, wrong).text.startswith("Not so."), name
    assert quiz.score == (12, 12)


@pytest.mark.parametrize("name, tell, met", [
    ("narrow", lambda n: n["vcpu"], "M6"), ("encode", lambda n: 0xFEE00000 | (9 << 12), "M4"),
    ("sender", lambda n: n["own"], "M14"), ("seen", lambda n: ERROR, "M10"), ("seen", lambda n: AGAIN, "M10")])
@pytest.mark.parametrize("who", STUDENTS)
def test_a_tell_tale_answer_names_the_belief(name, tell, met, who):
    quiz = Quiz(NOTEBOOK, who)
    told = quiz.guess(name, tell(quiz.numbers(name)))
    assert f"({met})" in told.text and MISCONCEPTIONS[met].cure in told.text


@pytest.mark.parametrize("who", STUDENTS)
def test_every_address_that_leads_to_the_entry_is_right(who):
    """Bits 1:0 are ignored, and a subhandle of 0 may be valid."""
    for extra in (1, 2, 3, 8):
        quiz = Quiz(NOTEBOOK, who)
        assert quiz.guess("encode", address(quiz.numbers("encode")["index"]) | extra).text.startswith("Right.")


def test_a_handle_without_its_highest_bit_is_another_entry():
    quiz = Quiz(NOTEBOOK, "Ada")
    told = quiz.guess("encode", address(quiz.numbers("encode")["index"] & 0x7FFF))
    assert told.text.startswith("Not so.") and "0x22" in told.text


def test_a_forgotten_format_bit_is_a_slip_and_no_belief():
    quiz = Quiz(NOTEBOOK, "Ada")
    told = quiz.guess("encode", address(quiz.numbers("encode")["index"]) & ~0x10).text
    assert "0x25" in told and "Only bit 4 is missing" in told and "believes" not in told


def test_a_range_the_wrong_way_round_is_told():
    quiz = Quiz(NOTEBOOK, "Ada")
    n = quiz.numbers("range")
    assert f"begins at bus {n['last']:#x}" in quiz.guess("range", n["last"] << 8 | n["first"]).text


def test_both_kinds_of_bridge_are_drawn_and_the_other_kinds_number_is_told():
    said = set()
    for who in range(20):
        quiz = Quiz(NOTEBOOK, f"student {who}")
        n = quiz.numbers("sender")
        other = n["above_text"] if "Express" in n["words"] else f"{n['bus']:02x}:00.0"
        said.add(quiz.guess("sender", other).text.partition(" allows. ")[2])
    assert sorted(said) == [
        "It is the bridge's own number; from PCI Express to PCI the bus below it stands for what is behind.",
        "So it would be behind a bridge from PCI Express; a conventional one takes its own number."]
