"""The exercises of notebook 05: right answers are worked out here, from the rules of the data sheet alone."""

import pytest

from widgets.course.misconceptions import MISCONCEPTIONS
from widgets.course.quiz import Quiz
from widgets.course.trigger import CPU, DEVICE, REGISTER

NOTEBOOK = "05_edge_level_eoi"
STUDENTS = ("Ada", "Grace", "Edsger")


def sent(trigger, steps):
    """How often a pin sends: a model of its own, of the pin and of one vector."""
    up, masked, remote, irr, isr, count = set(), False, False, False, False, 0

    def look(rose):
        nonlocal remote, irr, count
        if masked or (trigger == "edge" and not rose) or (trigger == "level" and (remote or not up)):
            return
        count, irr, remote = count + 1, True, trigger == "level"

    for step in steps.split(", "):
        if step[1:] == " up":
            rose = not up
            up.add(step[0])
            if rose:
                look(True)
        elif step[1:] == " down":
            up.discard(step[0])
        elif step == "take" and irr and not isr:
            irr, isr = False, True
        elif step == "eoi" and isr:
            isr, remote = False, False
            look(False)
        elif step in ("mask", "unmask"):
            masked = step == "mask"
            look(False)
    return count


def right(name, n):
    if name in ("stays", "again", "masked"):
        return sent(n["trigger"], n["steps"])
    if name == "owes":
        return REGISTER if "Linux" in n["way"] or "suppresses" in n["way"] else CPU
    return n["pin"] if "Linux" in n["way"] else n["vector"]


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right_and_others_are_not(who):
    quiz, other = Quiz(NOTEBOOK, who), Quiz(NOTEBOOK, who)
    for name in quiz.tasks:
        answer = right(name, quiz.numbers(name))
        assert quiz.guess(name, answer).text.startswith("Right."), name
        wrong = {CPU: REGISTER, REGISTER: CPU}.get(answer) or answer + 1
        assert other.guess(name, wrong).text.startswith("Not so."), name
    assert quiz.score == (10, 10)


@pytest.mark.parametrize("name, tell, met", [
    ("stays", lambda n: sent("edge" if n["trigger"] == "level" else "level", n["steps"]), "M12"),
    ("again", lambda n: sent("edge" if n["trigger"] == "level" else "level", n["steps"]), "M12"),
    ("masked", lambda n: sent("edge" if n["trigger"] == "level" else "level", n["steps"]), "M12"),
    ("owes", lambda n: DEVICE, "M11"),
    ("write", lambda n: n["vector"] if "Linux" in n["way"] else n["pin"], "M2")])
@pytest.mark.parametrize("who", STUDENTS)
def test_a_tell_tale_answer_names_the_belief(name, tell, met, who):
    quiz = Quiz(NOTEBOOK, who)
    told = quiz.guess(name, tell(quiz.numbers(name)))
    assert f"({met})" in told.text and MISCONCEPTIONS[met].cure in told.text


def test_every_way_is_drawn_for_somebody():
    drawn = {Quiz(NOTEBOOK, f"student {n}").numbers("owes")["way"] for n in range(30)}
    assert len(drawn) == 4
