"""The exercises of notebook 17: right answers, and those that betray a belief."""

import pytest

from widgets.course.quiz import Quiz

NOTEBOOK = "17_two_machines"
STUDENTS = ("Ada", "Grace", "Edsger")
NAMES = ("learned", "delivered", "which")


def right(name, numbers):
    if name == "delivered":
        return "no" if "index" in numbers else "yes"
    return {"which": "qemu.D1", "learned": "no"}[name]


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right(who):
    quiz = Quiz(NOTEBOOK, who)
    for name in NAMES:
        assert quiz.guess(name, right(name, quiz.numbers(name))).text.startswith("Right."), name
    assert quiz.score == (6, 6)


@pytest.mark.parametrize("name, answer, said", [
    ("which", "qemu.K1", "passes all the same"), ("which", "cfi", "there are qemu.D1, "),
    ("which", "xen.D1", "no quirk between"), ("which", "<b>", "no quirk between"), ("learned", "yes", "(M10)")])
def test_wrong_answers_are_tried_and_told(name, answer, said):
    text = Quiz(NOTEBOOK, "Ada").guess(name, answer).text
    assert text.startswith("Not so.") and said in text


def test_what_qemu_lets_through_arrives():
    for who in STUDENTS:
        quiz = Quiz(NOTEBOOK, who)
        quiz.guess("which", "qemu.D1")
        assert quiz.show("which").rows[1] == ("qemu-10", "sent, passed, accepted")


def test_a_message_that_qemu_lets_through_and_one_that_both_block_are_told_apart():
    said = {}
    for who in range(12):
        quiz = Quiz(NOTEBOOK, f"student {who}")
        answer = right("delivered", quiz.numbers("delivered"))
        said[answer] = quiz.guess("delivered", {"yes": "no", "no": "yes"}[answer]).text
    assert "The specification blocks it" in said["yes"] and "both block it" in said["no"]
