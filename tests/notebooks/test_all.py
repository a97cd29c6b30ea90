"""Every notebook runs from top to bottom, says more than it computes, and its exercises know right from wrong."""

import ast
import os
import re
import shutil
from statistics import median

import nbformat
import pytest
from nbclient import NotebookClient

from tests.places import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FIRST = FOLDER / "00_one_interrupt.ipynb"


@pytest.fixture(scope="session")
def copied(tmp_path_factory):
    """The notebooks with their data in another folder, as `vsim lab` copies them out of a wheel."""
    return shutil.copytree(FOLDER, tmp_path_factory.mktemp("lessons") / "notebooks")


def run(book, folder):
    """Execute the cells of a notebook in a kernel that starts in a folder; fails at the first error."""
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), old]))
    try:
        return NotebookClient(book, timeout=120, kernel_name="python3", store_widget_state=False,
                              resources={"metadata": {"path": str(folder)}}).execute()
    finally:
        os.environ.pop("PYTHONPATH") if old is None else os.environ.update(PYTHONPATH=old)


def read(path):
    return nbformat.read(path, as_version=4)


def cells(path, kind):
    return [cell.source for cell in read(path).cells if cell.cell_type == kind]


def shown(cell, mime="text/plain"):
    return " ".join(output.data.get(mime, "") for output in cell.outputs if "data" in output)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom_wherever_it_is(path, copied):
    done = run(read(path), copied)
    said = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert [output for output in said if output.output_type == "error"] == []
    assert [output.text for output in said if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_at_least_half_of_the_cells_are_prose(path):
    assert len(cells(path, "markdown")) >= len(cells(path, "code"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_code_cells_are_short_and_library_code_is_in_the_library(path):
    code = cells(path, "code")
    assert median(len(text.splitlines()) for text in code) <= 3
    nodes = [node for text in code for node in ast.walk(ast.parse(text))]
    assert sum(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in nodes) <= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_begins_with_a_question_and_ends_with_exercises(path):
    prose = cells(path, "markdown")
    assert "?" in prose[0]
    assert any(text.startswith("## Exercises") for text in prose[len(prose) // 2:])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_needs_no_network_and_no_pyplot(path):
    assert not re.search(r"https?://|pyplot|!pip|%pip", "\n".join(cells(path, "code")))


# --- the first notebook ---


@pytest.fixture(scope="module")
def first(copied):
    return run(read(FIRST), copied).cells


def test_the_first_picture_is_there_with_nothing_typed(first):
    """Live, and a still for readers without a kernel; what its numbers mean stands above it."""
    code = [cell for cell in first if cell.cell_type == "code"]
    assert shown(code[0], "image/png")
    assert code[0].outputs[0].data["application/vnd.jupyter.widget-view+json"]
    assert "4. The local APIC of vCPU 287 accepts" in first[0].source


def test_the_panel_leaves_a_still_for_readers_without_a_kernel(first):
    panel = next(cell for cell in first if "Chooser(" in cell.source)
    assert shown(panel, "image/png")
    assert panel.outputs[0].data["application/vnd.jupyter.widget-view+json"]


def test_the_lesson_is_in_what_the_machine_says(first):
    said = " ".join(shown(cell) for cell in first if cell.cell_type == "code")
    assert "vLAPIC 287 (APIC ID 574) accepts vector" in said
    assert "beyond the 8-bit destination" in said
    assert "accepted by vLAPIC 31" in said
    assert "✗ failed" in said and "reason 0x25" in said


EXERCISES = {
    "guess": ("31", "287"),
    "highest": ("127", "128"),
    "first": ("255", "256"),
    "entry": ('"p=1 vector=0x51 dst=0x23e sid=00:06.0 svt=1"', '"p=1 vector=0x51 dst=0x23e sid=00:05.0 svt=1"'),
}


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_exercises_know_right_from_wrong(right, copied):
    book = read(FIRST)
    for name, answers in EXERCISES.items():
        changed = [cell for cell in book.cells if cell.cell_type == "code" and f"{name} = None" in cell.source]
        assert len(changed) == 1, name
        changed[0].source = changed[0].source.replace(f"{name} = None", f"{name} = {answers[0 if right else 1]}")
    done = run(book, copied).cells
    verdicts = [shown(cell) for cell in done if cell.cell_type == "code" and "check(" in cell.source]
    assert len(verdicts) == len(EXERCISES)
    assert all(text.startswith("Right." if right else "Not yet") for text in verdicts), verdicts


def test_an_unanswered_exercise_asks_for_an_answer(first):
    verdicts = [shown(cell) for cell in first if cell.cell_type == "code" and "check(" in cell.source]
    assert all(text.startswith("Not answered yet") for text in verdicts) and verdicts
