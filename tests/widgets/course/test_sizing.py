"""The exercises of notebook 15: right answers are worked out here, tell-tale ones are named."""

import pytest

from widgets.course.quiz import Quiz

STUDENTS = ("Ada", "Grace", "Edsger")


def right(name, n):
    if name == "first-beyond":
        return 254 // n["step"] + 2
    if name == "stay-online":
        return -(-n["cards"] * n["each"] // n["vectors"])
    if name == "drives":
        return (4096 - n["pins"]) // n["announced"]
    return min(n["queues"], n["vcpus"])


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right_and_their_neighbours_are_not(who):
    quiz = Quiz("15_sizing_a_huge_vm", who)
    for name in quiz.tasks:
        answer = right(name, quiz.numbers(name))
        assert quiz.guess(name, answer).text.startswith("Right.")
        assert quiz.guess(name, answer + 1).text.startswith("Not so.")
        assert quiz.guess(name, answer - 1).text.startswith("Not so.")
    assert quiz.score == (8, 8)


def test_who_counts_what_is_used_is_told_what_counts():
    quiz = Quiz("15_sizing_a_huge_vm", "Ada")
    assert "for each that is announced" in quiz.guess("drives", (4096 - quiz.numbers("drives")["pins"]) // 9).text


@pytest.mark.parametrize("who", STUDENTS)
def test_as_many_as_the_card_has_is_a_belief(who):
    quiz = Quiz("15_sizing_a_huge_vm", who)
    assert "(M15)" in quiz.guess("queues", quiz.numbers("queues")["queues"]).text
