"""Every notebook runs from top to bottom with no guess made, says more than it computes, and shows what it says."""

import ast
import os
import re
import shutil
from functools import cache
from statistics import median

import nbformat
import pytest
from nbclient import NotebookClient

from tests.places import ROOT
from widgets.lab.chromium import chromium, to_pdf
from widgets.lab.printed import page

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


@pytest.fixture(scope="module")
def done(copied):
    """The cells of a notebook as it is, executed; each notebook once."""
    return cache(lambda path: run(read(path), copied).cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom_wherever_it_is(path, done):
    said = [output for cell in done(path) for output in cell.get("outputs", [])]
    assert [output for output in said if output.output_type == "error"] == []
    assert [output.text for output in said if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_about_half_of_the_cells_are_prose(path):
    text, code = len(cells(path, "markdown")), len(cells(path, "code"))
    assert 0.45 <= text / (text + code) <= 0.6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_code_cells_are_short_and_library_code_is_in_the_library(path):
    code = [text for text in cells(path, "code") if not text.startswith("quiz.")]  # a card is one line by nature
    assert 2 <= median(sum(bool(line) for line in text.splitlines()) for text in code) <= 4
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


# --- on paper ---

PRINTED = ("00", "12", "16")
"""Notebooks that Chromium prints each time; all become pages each time, and all are printed in the long runs."""


@pytest.fixture(scope="module")
def paper(done):
    """A notebook as paper has it, of the same run."""
    return cache(lambda path: page(nbformat.v4.new_notebook(cells=done(path)), path.stem))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_on_paper_a_notebook_has_its_stills_and_its_questions_and_loads_nothing(path, done, paper):
    code = [cell for cell in done(path) if cell.cell_type == "code"]
    stills = sum(bool(shown(cell, "image/png") or shown(cell, "image/svg+xml")) for cell in code)
    text = paper(path)
    assert text.count('src="data:image/') + text.count("<svg") >= stills
    assert text.count("Exercise.") == sum(cell.source.startswith("quiz.ask(") for cell in code)
    assert "Locked" not in text and "children=" not in text
    assert not re.search(r"<script|<link|@import|(src|href)=[\"']https?:|url\(['\"]?https?:", text)


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no Chromium")
@pytest.mark.parametrize("path", [
    pytest.param(path, marks=() if path.name.startswith(PRINTED) else pytest.mark.soak, id=path.name)
    for path in NOTEBOOKS])
def test_a_notebook_is_printed_as_pdf(path, paper, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(paper(path), encoding="utf-8")
    assert to_pdf(file, tmp_path / "page.pdf")
    data = (tmp_path / "page.pdf").read_bytes()
    assert data.startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 40


# --- what the machine says in them ---


SAYS = {
    "00_one_interrupt": [
        "vLAPIC 287 (APIC ID 0x23e) accepts vector 0x4e", "handle=0x13", "vector=0x4e dst=0x23e",
        "beyond the 8-bit destination", "accepted by vLAPIC 31",
        "✗ failed", "reason 0x25"],
    "02_edit_an_irte": [
        "accepts vector 0x55", "receive illegal (0xc)", "No local APIC matches destination 0xb:", "reason 0x22",
        "FPD is 1 in the entry: the fault is not recorded", "fault reason 0x26", "fault reason 0x25",
        "fault reason 0x24", "The cached copy is stale"],
    "06_is_it_useful": [
        "([287], 128)", "160 vCPUs", "'ID = 2 * vCPU': 128", "'ID = 1 * vCPU': 255", "(255, 295)", "223", "1,052,672",
        "([], [1])", "taken by nobody", "(True, False)", "VT-d 6.5.2.7"],
    "08_base_and_length": [
        "not trapped, reads 0xffffffff", "trapped, reads 0x10", "trapped, domain crashed", "-EEXIST (-17)",
        "viommu key is 'base'", "('irtps=1 ires=1', 's=7 eime=1 base=0x100', 0)", "'taken by nobody')",
        "s=7 eime=1 base=0x1234500"],
    "10_design_review": ["accepted by vLAPIC 7", "reason 0x25", "taken by nobody", "domctl 82", "KiB", "True"],
    "11_types_and_capabilities": [
        "(0, 'done')", "ir=1", "taken by vCPU 1 vector 0x41", "0xfed9000000000000", "-ENOSYS (-38)"],
    "12_many_host_units": [
        "06:01.0 is behind unit 2", "2 scopes lead over bridges that are not known", "accepted by vLAPIC 287",
        "ioapic 1 has no mapping iommu", "v1 answers 0x1 for the type", "whose largest is 254", "fault reason 0x26",
        "dmar1 without ECAP.EIM: 8-bit destinations behind every unit",
        "dmar1: request of 00:06.0, index 0xb: reason 0x22", "dmar1: request of 00:05.0, index 0xd: reason 0x26",
        "the NIC alone  2        287", "was promised DT, SC, which that unit lacks"]}


@pytest.mark.parametrize("name", SAYS)
def test_the_lesson_is_in_what_the_machine_says(name, done):
    code = [cell for cell in done(FOLDER / f"{name}.ipynb") if cell.cell_type == "code"]
    said = " ".join(shown(cell) + "".join(each.get("text", "") for each in cell.outputs) for cell in code)
    assert [words for words in SAYS[name] if words not in said] == []


@pytest.mark.parametrize("name", ["00_one_interrupt", "01_the_bench", "02_edit_an_irte"])
def test_the_first_picture_is_there_with_nothing_typed(name, done):
    """Live, and a still for readers without a kernel."""
    code = [cell for cell in done(FOLDER / f"{name}.ipynb") if cell.cell_type == "code"]
    assert shown(code[0], "image/png")
    assert code[0].outputs[0].data["application/vnd.jupyter.widget-view+json"]


def test_what_the_numbers_of_the_first_picture_mean_stands_above_it():
    assert "4. The *local APIC* of vCPU 287 *accepts*" in cells(FIRST, "markdown")[0]


def test_the_panel_leaves_a_still_for_readers_without_a_kernel(done):
    panel = next(cell for cell in done(FIRST) if "Chooser(" in cell.source)
    assert shown(panel, "image/png")
    assert panel.outputs[0].data["application/vnd.jupyter.widget-view+json"]


def test_a_fault_that_is_not_processed_is_not_counted(done):
    said = [shown(cell) for cell in done(FOLDER / "02_edit_an_irte.ipynb") if cell.source == "len(edit.faults)"]
    assert said == ["1"]


def test_grades_of_the_reference_stay_visible():
    prose = " ".join(cells(FOLDER / "12_many_host_units.ipynb", "markdown"))
    assert all(grade in prose for grade in ("**[I]**", "**[run]**", "**read**", "Grade **A**"))
