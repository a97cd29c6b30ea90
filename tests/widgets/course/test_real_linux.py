"""The exercises of notebook 16: right answers are read from the recording's text here."""

import gzip
import json
from functools import cache

import pytest

from tests.places import A_REAL_LINUX
from widgets.course.quiz import Quiz

NOTEBOOK = "16_a_real_linux"
STUDENTS = ("Ada", "Grace", "Edsger")


@cache
def seen(tag):
    with gzip.open(A_REAL_LINUX, "rt") as text:
        return [one for line in text if f'"{tag}"' in line for one in json.loads(line)[1] if one[0] == tag]


def right(name, n):
    if name == "vector":
        return [row for row in seen("M") if row[1] == n["index"]][-1][5]
    if name == "cpu":
        return [1 << cpu for cpu in range(8)].index(n["destination"])
    return int(seen("F")[n["nth"] - 1][2], 16) >> 32 & 0xFF


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right_and_their_neighbours_are_not(who):
    quiz = Quiz(NOTEBOOK, who)
    for name in quiz.tasks:
        answer = right(name, quiz.numbers(name))
        assert quiz.guess(name, answer).text.startswith("Right."), name
        assert quiz.guess(name, answer + 1).text.startswith("Not so."), name
    assert quiz.score == (6, 6)


@pytest.mark.parametrize("who", STUDENTS)
def test_beliefs_are_named(who):
    quiz = Quiz(NOTEBOOK, who)
    index, destination = quiz.numbers("vector")["index"], quiz.numbers("cpu")["destination"]
    assert "(M6)" in quiz.guess("cpu", destination).text
    if index != right("vector", {"index": index}):
        assert "(M3)" in quiz.guess("vector", index).text
