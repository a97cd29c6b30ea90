"""The notebooks with exercises of the course: what each has, so that a lecturer can rely on it."""

import re
from importlib import import_module

import pytest

from tests.notebooks.test_all import FOLDER, cells
from widgets.course.quiz import LESSONS

NOTEBOOKS = sorted(LESSONS)


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
    assert prose(name).count("**Predict") >= 2
    assert re.search(r"\btwins?\b", prose(name))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_between_half_and_three_fifths_of_the_cells_are_prose(name):
    path = FOLDER / f"{name}.ipynb"
    text, code = len(cells(path, "markdown")), len(cells(path, "code"))
    assert 0.45 <= text / (text + code) <= 0.6


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_link_leads_to_a_file_beside_the_notebook(path):
    for place in re.findall(r"\]\((?!https?:)([^)#]+)", "\n".join(cells(path, "markdown"))):
        assert (FOLDER / place).exists(), place
