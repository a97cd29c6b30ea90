"""Exercises: numbers of one's own, locked until a guess, no answer that raises, beliefs named, receipts that hold."""

import contextlib
import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.places import LESSONS
from vsim.cli.main import main
from widgets.course import receipts
from widgets.course.misconceptions import MISCONCEPTIONS
from widgets.course.quiz import LESSONS as MODULES
from widgets.course.quiz import SIZE, Card, Name, Quiz
from widgets.course.task import number, numbers, plain, word

STUDENTS = ("Ada", "Grace", "Edsger")
TASKS = [(notebook, task.name) for notebook, module in MODULES.items() for task in import_module(module).TASKS]
STRANGE = [None, "", object(), -1, 1 << 70, "no", "yes", "x" * 5000, [], [1, 2], {"a": 1}, 3.5, float("nan"), True,
           "<b>", "0x", "-", b"\xff", (), lambda: 1, "9" * 5000]


@pytest.mark.parametrize("notebook, name", TASKS)
@pytest.mark.parametrize("who", STUDENTS)
def test_a_task_has_numbers_a_question_and_hints_for_everybody(notebook, name, who):
    quiz = Quiz(notebook, who)
    assert quiz.numbers(name) == Quiz(notebook, who).numbers(name)
    assert "{" not in quiz.question(name) and quiz.question(name)[-1] in "?.:)"
    assert len({quiz.hint(name), quiz.hint(name), quiz.hint(name)}) == 2


@pytest.mark.parametrize("notebook, name", TASKS)
def test_no_answer_raises_and_none_of_the_strange_ones_is_an_error_of_ours(notebook, name):
    quiz = Quiz(notebook, "Ada")
    for answer in STRANGE:
        told = quiz.guess(name, answer)
        assert repr(told) and told._repr_html_()
        assert "Traceback" not in told.text


@pytest.mark.parametrize("notebook, name", TASKS)
def test_the_scene_is_locked_until_a_guess_and_opens_by_plain_words(notebook, name):
    quiz = Quiz(notebook, "Ada")
    assert quiz.show(name).text.startswith("Locked")
    assert quiz.unlock(name, "please").startswith("Locked")
    assert quiz.unlock(name, "Show me").startswith("Open")
    assert not repr(quiz.show(name)).startswith("Locked")
    assert quiz.score[0] == 0
    other = Quiz(notebook, "Ada")
    for answer in (1, "no", "1, 1", "dst=1", *other.tasks[name].choices):
        other.guess(name, answer)
    assert other.open(name)


def test_numbers_differ_from_student_to_student():
    for notebook, name in TASKS:
        drawn = [json.dumps(Quiz(notebook, f"student {n}").numbers(name), default=str) for n in range(20)]
        assert len(set(drawn)) > 1, (notebook, name)


def test_every_notebook_of_the_course_that_asks_has_its_module():
    for path in LESSONS.glob("*.ipynb"):
        asked = re.findall(r'Quiz\(\\"([\w]+)\\"', path.read_text(encoding="utf-8"))
        assert {*asked} <= {*MODULES}, path.name


def test_answers_do_not_stand_in_the_notebooks():
    for notebook in MODULES:
        path = LESSONS / f"{notebook}.ipynb"
        if path.exists():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\.judge\b|quiz\.(numbers|tasks)|lambda", text)


def test_points_are_for_the_first_try_without_a_hint():
    name, (first, late, hinted, opened) = "destination", (Quiz("03_six_names", "Ada") for _ in range(4))
    right = first.numbers(name)["id"]
    first.guess(name, right)
    late.guess(name, 0)
    late.guess(name, right)
    hinted.hint(name)
    hinted.guess(name, right)
    opened.unlock(name, "show me")
    opened.guess(name, right)
    assert [quiz.score[0] for quiz in (first, late, hinted, opened)] == [2, 1, 1, 0]


def test_a_card_commits_and_hints_by_clicks():
    card = Quiz("03_six_names", "Ada").ask("moved")
    assert isinstance(card, Card)
    card.box.value = "yes"
    card.commit.click()
    assert "M4" in card.told.value
    card.more.click()
    assert "Who reads the entry?" in card.hints.value
    assert all(SIZE in text.value for text in (card.words, card.told, card.hints))


def test_a_name_is_asked_once_and_kept_beside_the_notebooks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VSIM_STUDENT", raising=False)
    quiz = Quiz("03_six_names")
    before, asks, card = quiz.numbers("vector"), Name(quiz), quiz.ask("moved")
    card.box.value, old = "yes", card.words.value
    card.commit.click()
    assert "application/vnd.jupyter.widget-view+json" in quiz._repr_mimebundle_() and quiz.who == "guest"
    asks.keep.click()
    assert quiz.who == "guest" and not list(tmp_path.iterdir())
    asks.box.value = "Ada <b>"
    asks.keep.click()
    assert "<b>Ada" in asks.said.value and quiz.numbers("vector") != before
    assert card.words.value != old and (card.told.value, card.box.value, quiz.score[0]) == ("", "", 0)
    other = Quiz("07_messages_and_senders")
    assert other.who == quiz.who != "guest" and "widget-view" not in str(other._repr_mimebundle_())
    monkeypatch.setenv("VSIM_STUDENT", "Grace")
    assert Quiz("03_six_names").who == "Grace"


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("widgets.course.quiz.KEPT", tmp_path / "none" / "name")
    asks = Name(Quiz("03_six_names"))
    asks.box.value = "Ada"
    asks.keep.click()
    assert "could not be kept" in asks.said.value and asks.quiz.who == "Ada"


@pytest.mark.parametrize("given, read", [("0x1F", 31), ("1fh", 31), (" 42 ", 42), ("1_000", 1000), (7, 7),
                                         (" 03:1f.7", 0x3FF)])
def test_numbers_are_read_as_people_write_them(given, read):
    assert number(given) == read


class Hostile:
    """Something whose every word is a mistake."""

    def __eq__(self, other):
        raise RuntimeError("boom")

    def _any(self, *given):
        return self == given

    __hash__ = __str__ = __repr__ = __iter__ = __index__ = __len__ = __format__ = _any


class Odd(int):
    __eq__ = __str__ = __repr__ = __lt__ = __le__ = __format__ = Hostile.__eq__
    __hash__ = int.__hash__


class Text(str):
    __eq__ = __str__ = strip = lower = replace = split = Hostile.__eq__
    __hash__ = str.__hash__


@pytest.mark.parametrize("given, read", [
    (Odd(7), 7), (Text("0x20 "), "0x20 "), (range(3), [0, 1, 2]), ((1, [2]), [1, [2]]), (np.int64(7), 7),
    (np.array([1, 2]), [1, 2]), (2.5, 2.5), (True, True), (None, None), (iter([4]), [4])],
    ids=range(10))
def test_an_answer_is_read_as_what_it_holds(given, read):
    found = plain(given)
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize("given", [
    Hostile(), [Hostile()], {"a": Hostile()}, b"1", 10**5000, [[[[1]]]], np.array(2.5)], ids=range(7))
def test_what_holds_nothing_of_the_kind_is_told_kindly(given):
    for name in ("pin", "moved", "shared"):
        told = Quiz("03_six_names", "Ada").guess(name, given)
        assert "asked for" in told.text or "too long" in told.text
        assert "boom" not in told.text and "object" not in told._repr_html_()


@given(st.text(max_size=60) | st.integers() | st.floats() | st.none() | st.lists(st.integers(), max_size=3))
def test_anything_is_read_or_refused(given):
    for read in (number, word, numbers):
        with contextlib.suppress(ValueError):
            read(given)


# --- receipts ---


def handed_in(**changes):
    made = receipts.Receipt("03_six_names", "Ada", 5, 6, 4, ("M2", "M6"))._replace(**changes)
    return receipts.signed(made)


@given(st.text(max_size=80), st.integers(0, 999),
       st.lists(st.sampled_from(list(MISCONCEPTIONS)), unique=True, max_size=16))
@settings(max_examples=50)
def test_a_receipt_is_read_wherever_it_stands(who, score, met):
    made = receipts.Receipt("03_six_names", receipts.name(who), score, 999, 4, tuple(met))
    assert list(receipts.found(f'"text": ["{receipts.signed(made)}"]\n')) == [(made, True)]


@pytest.mark.parametrize("old, new", [("score=5", "score=6"), ("Ada", "Eve"), ("M2,M6", "M2"), ("tries=4", "tries=1")])
def test_a_line_that_was_changed_is_told(old, new):
    ((_, good),) = receipts.found(handed_in().replace(old, new))
    assert not good


def test_a_key_of_the_teachers_own_tells_receipts_made_without_it(monkeypatch):
    line = handed_in()
    monkeypatch.setenv("VSIM_COURSE_KEY", "the teacher's")
    assert [good for _, good in receipts.found(line + handed_in())] == [False, True]


def test_the_command_tables_the_best_of_each(tmp_path, capsys):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.txt").write_text(f"hello\n{handed_in(score=3)}\n{handed_in()}\n")
    (tmp_path / "class" / "b.ipynb").write_text(json.dumps({"outputs": [handed_in(student="=cmd()".strip("=()"))]}))
    assert main(["receipts", str(tmp_path / "class")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "student,notebook,score,points,tries,misconceptions,state,file",
        "Ada,03_six_names,5,6,4,M2 M6,good,a.txt", "cmd,03_six_names,5,6,4,M2 M6,good,b.ipynb"]
    (tmp_path / "c.txt").write_text(handed_in().replace("score=5", "score=6"))
    assert main(["receipts", str(tmp_path / "c.txt")]) == 1
    assert capsys.readouterr().out.splitlines()[1].endswith(",changed,c.txt")
    assert main(["receipts", str(tmp_path / "none")]) == 2
    assert "none:1:1: cannot be read" in capsys.readouterr().err


def test_the_sixteen_have_a_belief_a_tell_tale_and_a_cure():
    assert list(MISCONCEPTIONS) == [f"M{n}" for n in range(1, 17)]
    assert all(all(row[:3]) and all(row.scene) for row in MISCONCEPTIONS.values())


def test_each_of_the_sixteen_is_told_by_an_exercise():
    told = {name for module in MODULES.values()
            for name in re.findall(r'"(M\d+)"', Path(import_module(module).__file__).read_text(encoding="utf-8"))}
    assert told == {*MISCONCEPTIONS}


def test_every_scene_is_a_section_of_its_notebook():
    for name, row in MISCONCEPTIONS.items():
        notebook, section = row.scene
        prose = [line for cell in json.loads((LESSONS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
                 if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines()]
        assert f"## {section}" in prose, name


def test_a_wrong_answer_leads_to_its_section():
    told = Quiz("03_six_names", "Ada").guess("moved", "yes")
    assert 'href="14_moving_and_running_out.ipynb#Moving-with-a-table"' in told._repr_html_()
    assert "“Moving with a table”" in repr(told)
