"""The exercises of notebook 14: right answers are worked out here, tell-tale ones are named."""

import pytest

from vsim.scale.limits import Demand, sized
from widgets.course.moving import posted
from widgets.course.quiz import Quiz

STUDENTS = ("Ada", "Grace", "Edsger")


def right(name, n):
    if name == "interruptions":
        return n["naps"]
    if name == "torn":
        at = {word: place for place, word in enumerate(n["order"])}
        return abs(at["the lower address"] - at["the data"])
    found = {row.limit.name: row.use for row in sized(Demand(n["vcpus"], ((n["messages"], n["queues"]),) * n["cards"],
                                                             form=n["form"]))}
    return max(found, key=found.get)


@pytest.mark.parametrize("who", [*STUDENTS, *map(str, range(12))])
def test_right_answers_are_right(who):
    quiz = Quiz("14_moving_and_running_out", who)
    for name in quiz.tasks:
        told = quiz.guess(name, right(name, quiz.numbers(name)))
        assert told.text.startswith("Right."), (name, told)
    assert quiz.score == (6, 6)


@pytest.mark.parametrize("who", STUDENTS)
def test_posted_without_an_exit_ever_is_a_belief(who):
    assert "(M13)" in Quiz("14_moving_and_running_out", who).guess("interruptions", 0).text


def test_who_is_interrupted_depends_on_what_the_vcpu_does():
    table = posted("running", "preempted", "halted")
    assert [row[2] for row in table.rows] == ["0", "0", "1"]
