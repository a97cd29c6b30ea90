"""The notebooks with exercises of the course: what each has, so that a lecturer can rely on it."""

import re
from importlib import import_module

import pytest

from tests.notebooks.test_all import FOLDER, cells, read
from tests.places import ROOT
from tests.widgets.course import (
    test_caches,
    test_driver,
    test_lessons,
    test_moving,
    test_priority,
    test_real_linux,
    test_senders,
    test_six_names,
    test_sizing,
    test_trigger,
    test_two_machines,
)
from widgets.course import receipts
from widgets.course.quiz import LESSONS, Quiz

NOTEBOOKS = sorted(LESSONS)
STUDENTS = ("Ada", "Grace", "Edsger")
BY_HAND = {"04_the_local_apic": test_priority, "05_edge_level_eoi": test_trigger,
           "07_messages_and_senders": test_senders, "13_caches_lie": test_caches,
           "14_moving_and_running_out": test_moving, "15_sizing_a_huge_vm": test_sizing,
           "16_a_real_linux": test_real_linux, "17_two_machines": test_two_machines,
           "18_write_the_driver": test_driver}


def right(notebook, name, numbers):
    """The right answer, worked out beside the tests of the exercises."""
    if notebook in BY_HAND:
        return BY_HAND[notebook].right(name, numbers)
    rows = test_six_names.RIGHT if notebook == test_six_names.NOTEBOOK else test_lessons.RIGHT[notebook]
    return rows[name](numbers)


@pytest.mark.parametrize("name", NOTEBOOKS)
@pytest.mark.parametrize("who", STUDENTS)
def test_with_right_guesses_every_scene_opens_and_the_receipt_is_full(name, who, monkeypatch):
    """The notebook's own cells about the quiz, in their order; a guess goes in where a student clicks."""
    monkeypatch.setenv("VSIM_STUDENT", who)
    monkeypatch.chdir(FOLDER)
    scope, said = {}, []
    for text in (text for text in cells(FOLDER / f"{name}.ipynb", "code") if "quiz" in text):
        *before, last = text.splitlines()
        exec("\n".join(before), scope)
        shown = eval(last, scope)
        said.append(repr(shown))
        if asked := re.fullmatch(r'quiz\.ask\("([\w-]+)"\)', last):
            quiz = scope["quiz"]
            answer = right(name, asked[1], quiz.numbers(asked[1]))
            assert repr(quiz.guess(asked[1], answer)).startswith("Right."), (asked[1], answer)
    assert not [words for words in said if words.startswith("Locked")]
    ((receipt, good),) = receipts.found(said[-1])
    assert good and receipt.student == who and receipt.score == receipt.points == 2 * len(scope["quiz"].tasks)


def prose(name):
    return "\n".join(cells(FOLDER / f"{name}.ipynb", "markdown"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_exercise_is_asked_then_shown_and_the_receipt_is_last(name):
    code = cells(FOLDER / f"{name}.ipynb", "code")
    said = [found.groups() for text in code for found in re.finditer(r'quiz\.(ask|show)\("([\w-]+)"\)', text)]
    tasks = [task.name for task in import_module(LESSONS[name]).TASKS]
    assert said == [(word, task) for task in tasks for word in ("ask", "show")]
    assert len(tasks) >= 3 and code[-1] == "quiz.receipt()"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_predicts_and_has_a_failing_twin(name):
    assert prose(name).count("**Predict") + prose(name).count("**predict") >= 2
    assert re.search(r"\btwins?\b", prose(name))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_prediction_locks_the_cell_that_shows_the_result(name):
    """Behind the words stand the card and its scene; before the first of them, in a cell of its own, the quiz."""
    followed = 0
    for at, cell in enumerate(book := read(FOLDER / f"{name}.ipynb").cells):
        if cell.cell_type == "markdown" and re.search(r"\*\*predict", cell.source, re.IGNORECASE):
            code = [each.source for each in book[at + 1:at + 4]]
            code = code[1:] if "quiz = Quiz(" in code[0] else code
            asked, shown = (re.fullmatch(rf'quiz\.{word}\("([\w-]+)"\)', text) for word, text in
                            zip(("ask", "show"), code, strict=False))
            assert asked and shown and asked[1] == shown[1], cell.source
            followed += 1
    assert followed >= 2


def minutes(text, row):
    """Minutes of each notebook, by its number, in a page's table."""
    return {found[1]: int(found[2]) for found in re.finditer(row, text, re.MULTILINE)}


def test_the_pages_and_the_notebooks_tell_the_same_minutes():
    readme = minutes((ROOT / "README.md").read_text(encoding="utf-8"), r"^\| `(\d\d)_\w+` \|.*\| (\d+) \| [^|]* \|$")
    assert minutes((FOLDER / "TEACHING.md").read_text(encoding="utf-8"), r"^\| (\d\d) \| .* \| (\d+) \|$") == readme
    said = {name[:2]: re.search(r"(\d+|\bTen)\s+minutes", prose(name))[1] for name in NOTEBOOKS}
    assert {number: 10 if each == "Ten" else int(each) for number, each in said.items()} == readme


def test_what_was_wrong_with_exercises_stays_mended():
    """The answer to 10.2 stood in a cell; an entry for anybody, or for a third device, counted in 00.3."""
    assert "D32" not in "".join(cells(FOLDER / "10_design_review.ipynb", "code"))
    for sid in ("svt=0", "svt=1 sid=00:07.0", "svt=2 sid=0"):
        quiz = Quiz("00_one_interrupt", "Ada")
        dst = 2 * quiz.numbers("allowed")["vcpu"]
        assert quiz.guess("allowed", f"p=1 vector=0x51 dst={dst} {sid}").text.startswith("Not so."), sid


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_link_leads_to_a_file_beside_the_notebook(path):
    for place in re.findall(r"\]\((?!https?:)([^)#]+)", "\n".join(cells(path, "markdown"))):
        assert (FOLDER / place).exists(), place
