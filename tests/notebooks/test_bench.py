"""The notebooks about the bench: what they show with nothing typed, and exercises that know right from wrong."""

import pytest

from tests.notebooks.test_all import FOLDER, copied, read, run, shown

__all__ = ["copied"]  # a fixture
BENCH, EDIT = FOLDER / "01_the_bench.ipynb", FOLDER / "02_edit_an_irte.ipynb"

# Notebook, the name that is None, a right answer, and its neighbour.
ANSWERS = [
    (BENCH, "guess", "500", "499"),
    (BENCH, "vcpu", "11", "9"),
    (BENCH, "entry", "15", "16"),
    (BENCH, "address", "0xFFFFF000", "0xFFFFE000"),
    (EDIT, "one", "dict(dst=12, vector=0x77)", "dict(dst=6, vector=0x77)"),
    (EDIT, "both", "dict(dm=1, dst=0b101, rh=0)", "dict(dm=1, dst=0b11)"),
    (EDIT, "quiet", "dict(p=0, fpd=1)", "dict(p=0)"),
    (EDIT, "loose", "dict(sq=3)", "dict(sq=2)"),
]
PREDICTIONS = [("0x55", "0x20"), ("5", "10"), ("0x22", "0x26"), ("-1", "2"), ("-1", "1"), ("2", "5")]


def code(done):
    return [cell for cell in done if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def done(copied):
    """Each notebook as it is, run once."""
    return {path: run(read(path), copied).cells for path in (BENCH, EDIT)}


@pytest.fixture(scope="module")
def answered(copied):
    """Each notebook with right and with wrong answers: (path, right) -> cells."""
    return {(path, right): run(fill(path, right), copied).cells for path in (BENCH, EDIT) for right in (True, False)}


def fill(path, right):
    book, predictions = read(path), iter(PREDICTIONS if path == EDIT else [("500", "499")])
    answers = {name: (good, bad) for where, name, good, bad in ANSWERS if where == path}
    for cell in code(book.cells):
        for name in ("guess", *answers):
            if f"{name} = None" in cell.source:
                good, bad = next(predictions) if name == "guess" else answers[name]
                cell.source = cell.source.replace(f"{name} = None", f"{name} = {good if right else bad}")
    return book


@pytest.mark.parametrize("path", [BENCH, EDIT], ids=lambda path: path.name)
def test_the_first_picture_is_there_with_nothing_typed(done, path):
    first = code(done[path])[0]
    assert shown(first, "image/png"), "a still for readers without a kernel"
    assert first.outputs[0].data["application/vnd.jupyter.widget-view+json"]


@pytest.mark.parametrize("path", [BENCH, EDIT], ids=lambda path: path.name)
def test_unanswered_exercises_ask_for_an_answer(done, path):
    verdicts = [shown(cell) for cell in code(done[path]) if "check(" in cell.source]
    assert all(text.startswith("Not answered yet") for text in verdicts) and len(verdicts) > 3


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
@pytest.mark.parametrize("path", [BENCH, EDIT], ids=lambda path: path.name)
def test_exercises_know_right_from_wrong(answered, path, right):
    verdicts = {cell.source: shown(cell) for cell in code(answered[path, right]) if "check(" in cell.source}
    assert {source: text for source, text in verdicts.items()
            if not text.startswith("Right." if right else "Not yet")} == {}


@pytest.mark.parametrize("said", [
    "accepts vector 0x55", "receive illegal (0xc)", "No local APIC matches destination 0xb (11)", "reason 0x22",
    "FPD is 1 in the entry: the fault is not recorded", "fault reason 0x26", "fault reason 0x25", "fault reason 0x24",
    "The cached copy is stale"])
def test_the_lesson_about_entries_is_in_what_the_machine_says(done, said):
    assert said in " ".join(shown(cell) for cell in code(done[EDIT]))


def test_a_fault_that_is_not_processed_is_not_counted(done):
    assert next(shown(cell) for cell in code(done[EDIT]) if cell.source == "len(edit.faults)") == "1"
