"""The exercises of notebook 03: right answers are worked out here, tell-tale ones name the belief."""

import json
import re

import pytest

from tests.places import LESSONS
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE
from widgets.course.misconceptions import MISCONCEPTIONS
from widgets.course.quiz import Quiz
from widgets.course.six_names import OTHERS_ENTRIES
from widgets.lesson.names import Scrambled

NOTEBOOK = "03_six_names"
STUDENTS = ("Ada", "Grace", "Edsger")
RIGHT = {
    "vector": lambda n: get(n["entry"], IRTE.vector), "destination": lambda n: n["ids"][n["vcpu"]],
    "moved": lambda n: "no", "pin": lambda n: n["gsi"] - n["first"][1],
    "shared": lambda n: len({*n["vcpus"]}),
    "isa": lambda n: int.from_bytes(bytes.fromhex(n["bytes"])[4:8], "little")}
TELLS = [
    ("vector", lambda n: n["message"], "M2"), ("vector", lambda n: n["message"] + OTHERS_ENTRIES, "M3"),
    ("vector", lambda n: n["id"], "M6"), ("destination", lambda n: n["vcpu"], "M6"),
    ("destination", lambda n: 2 * n["vcpu"], "M6"), ("destination", lambda n: n["vector"], "M2"),
    ("moved", lambda n: "yes", "M4"), ("pin", lambda n: n["gsi"], "M2"), ("isa", lambda n: n["moved"], "M2")]


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right_and_their_neighbours_are_not(who):
    quiz, other = Quiz(NOTEBOOK, who), Quiz(NOTEBOOK, who)
    for name in quiz.tasks:
        answer = RIGHT[name](quiz.numbers(name))
        assert quiz.guess(name, answer).text.startswith("Right."), name
        if answer != "no":
            assert other.guess(name, answer + 1).text.startswith("Not so."), name
    assert quiz.score == (12, 12)


@pytest.mark.parametrize("name, answer, met", TELLS)
@pytest.mark.parametrize("who", STUDENTS)
def test_a_tell_tale_answer_names_the_belief(name, answer, met, who):
    quiz = Quiz(NOTEBOOK, who)
    told = quiz.guess(name, answer(quiz.numbers(name)))
    assert f"({met})" in told.text and MISCONCEPTIONS[met].cure in told.text
    assert told.link == MISCONCEPTIONS[met].scene[0]
    assert f"met={met} " in quiz.receipt()


def test_a_vector_is_believed_to_be_one_on_all_vcpus_or_one_for_each_message():
    several = [Quiz(NOTEBOOK, f"student {who}") for who in range(20)]
    two = next(quiz for quiz in several if len({*quiz.numbers("shared")["vcpus"]}) == 2)
    assert "(M3)" in two.guess("shared", 1).text
    one = next(quiz for quiz in several if len({*quiz.numbers("shared")["vcpus"]}) == 1)
    assert "merges" in one.guess("shared", len(one.numbers("shared")["messages"])).text


def test_no_two_names_of_an_interrupt_have_one_number_whoever_asks():
    for n in range(40):
        drawn = Quiz(NOTEBOOK, f"student {n}").numbers("vector")
        names = [drawn[key] for key in ("message", "vector", "vcpu", "id")] + [drawn["message"] + OTHERS_ENTRIES]
        assert len({*names}) == 5


def test_the_numbers_that_open_the_notebook_are_those_of_its_machine():
    opening = json.loads((LESSONS / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8"))["cells"][0]["source"]
    told = set(re.findall(r"\*(?:pin )?(0x[0-9a-f]+|\d+)\*", "".join(opening[:5])))
    assert told == {row[1] for row in Scrambled().names("pin").rows if row[0] != "vCPU"}
