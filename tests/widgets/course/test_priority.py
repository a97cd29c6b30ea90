"""The exercises of notebook 04: right answers are worked out here from the rules of priority alone."""

import re

import pytest

from widgets.course.quiz import Quiz

NOTEBOOK = "04_the_local_apic"
STUDENTS = ("Ada", "Grace", "Edsger")


def right(name, n):
    if name == "handlers":
        return 1 + (n["running"] > 0)
    if name == "order":
        return sorted(n["vectors"], reverse=True)
    if name == "next":
        floor = max(n["tpr"] // 16, n["busy"] // 16)
        return max((v for v in n["asked"] if v // 16 > floor), default=0)
    if name == "ppr":
        return n["tpr"] if n["tpr"] // 16 > n["high"] // 16 else n["high"] // 16 * 16
    if name == "ended":
        return n["first"] if "two" in n["who"] else n["second"]
    if name in ("members", "lowest"):
        cluster, bits = divmod(n["dst"], 1 << 16)
        named = [vcpu for vcpu in range(24) if 2 * vcpu // 16 == cluster and bits >> 2 * vcpu % 16 & 1]
        return named if name == "members" else min(named, key=lambda vcpu: n["tpr"][vcpu])
    stuck = int(re.search(r"^ISR\s+(\d+)", n["dump"], re.MULTILINE)[1])
    return (stuck // 16 + 1) * 16


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right_and_their_neighbours_are_not(who):
    quiz, other = Quiz(NOTEBOOK, who), Quiz(NOTEBOOK, who)
    for name in quiz.tasks:
        answer = right(name, quiz.numbers(name))
        assert quiz.guess(name, answer).text.startswith("Right."), name
        for wrong in ([answer[1:], [*answer, 1]] if isinstance(answer, list) else (answer + 1, answer - 1)):
            assert other.guess(name, wrong).text.startswith("Not so."), name
    assert quiz.score == (16, 16)


@pytest.mark.parametrize("name, answer, words", [
    ("handlers", lambda n: n["waiting"] + n["running"], "does not count how often"),
    ("order", lambda n: n["vectors"], "arrived does not count"),
    ("order", lambda n: sorted(n["vectors"]), "larger number comes first"),
    ("ppr", lambda n: n["high"] if n["high"] // 16 > n["tpr"] // 16 else -1, "only the class counts"),
    ("ended", lambda n: n["third"], "no vector in it"),
    ("stuck", lambda n: n["stuck"] + 1 if n["stuck"] % 16 < 15 else n["stuck"], "held back too"),
    ("stuck", lambda n: n["stuck"] // 16 * 16 + 17, "so does a lower one")])
def test_a_wrong_answer_is_told_its_rule(name, answer, words):
    told = [Quiz(NOTEBOOK, who) for who in ("Ada", "Grace", "Edsger", "Barbara", "Tony")]
    said = [quiz.guess(name, answer(quiz.numbers(name))).text for quiz in told]
    assert any(words in each for each in said)
    assert all(words in each for each in said if name != "ppr")


def test_what_is_taken_next_is_sometimes_nothing_and_sometimes_not_the_highest_vector_in_service_class():
    drawn = [Quiz(NOTEBOOK, f"student {n}").numbers("next") for n in range(40)]
    found = [right("next", n) for n in drawn]
    assert 0 in found and any(found)
    assert all(any(v > n["busy"] and v // 16 == n["busy"] // 16 for v in n["asked"]) for n in drawn)


@pytest.mark.parametrize("who", STUDENTS)
@pytest.mark.parametrize("name, answer, met", [
    ("members", lambda n: n["ids"], "M6"), ("members", lambda n: n["bits"], "M6"),
    ("members", lambda n: [2 * vcpu for vcpu in n["tpr"]], "M6"), ("members", lambda n: [*n["tpr"]][:1], "M1"),
    ("lowest", lambda n: 2 * right("lowest", n), "M6")])
def test_who_takes_a_number_of_the_cluster_for_a_vcpu_is_told(name, answer, met, who):
    quiz = Quiz(NOTEBOOK, who)
    assert f"({met})" in quiz.guess(name, answer(quiz.numbers(name))).text


@pytest.mark.parametrize("who", STUDENTS)
def test_one_that_is_named_and_busier_is_told(who):
    quiz = Quiz(NOTEBOOK, who)
    n = quiz.numbers("lowest")
    busiest = max(n["tpr"], key=lambda vcpu: n["tpr"][vcpu])
    assert "less busy" in quiz.guess("lowest", busiest).text
