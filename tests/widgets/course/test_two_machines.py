"""The exercises of notebook 17: right answers, and those that betray a belief."""

import pytest

from widgets.course.quiz import Quiz

NOTEBOOK = "17_two_machines"
STUDENTS = ("Ada", "Grace", "Edsger")
RIGHT = {"delivered": "yes", "which": "qemu.D1", "learned": "no"}


def right(name, numbers):
    return RIGHT[name]


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right(who):
    quiz = Quiz(NOTEBOOK, who)
    for name, answer in RIGHT.items():
        assert quiz.guess(name, answer).text.startswith("Right."), name
    assert quiz.score == (6, 6)


@pytest.mark.parametrize("name, answer, said", [
    ("delivered", "no", "The specification blocks it"), ("which", "qemu.K1", "passes all the same"),
    ("which", "xen.D1", "no quirk between"), ("which", "<b>", "no quirk between"), ("learned", "yes", "(M10)")])
def test_wrong_answers_are_tried_and_told(name, answer, said):
    text = Quiz(NOTEBOOK, "Ada").guess(name, answer).text
    assert text.startswith("Not so.") and said in text
