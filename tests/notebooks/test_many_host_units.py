"""The lesson on several host units: exercises know right from wrong, runs say what the prose says."""

import pytest

from tests.notebooks.test_all import FOLDER, copied, read, run, shown
from vsim.domain import host
from vsim.domain.host_features import Words

__all__ = ["copied"]
LESSON = FOLDER / "12_many_host_units.ipynb"
# Each exercise: an answer that is right, and one that is wrong.
ANSWERS = {
    "serial": ("2", "0"), "word": ("1", "3"), "highest_guess": ("127", "287"), "now": ("127", "254"),
    "faulty": ("0", "1"), "new_ecap": ("0x30205a", "0xf0205a"), "groups": ("[[NIC]]", "[[NIC, DISK]]"),
    "homeless": ('"per-group"', '"per-unit"'), "offset": ("72", "64"),
}
SAYS = [
    "06:01.0 is behind unit 2", "2 scopes lead over bridges that are not known", "accepted by vLAPIC 287",
    "v1 answers 0x1 for the type", "v4 has no query", "whose largest is 254", "fault reason 0x26",
    "dmar1 without ECAP.EIM: 8-bit destinations behind every unit", "dmar1: request of 00:06.0, index 0x0: reason 0x22",
    "dmar1: request of 00:05.0, index 0x0: reason 0x26", "the NIC alone  2        287", "that there are 3 units",
    "was promised DT, SC, which that unit lacks", "No vIOMMU is for 06:01.0"]


def answered(right):
    book = read(LESSON)
    for variable, answers in ANSWERS.items():
        changed = [cell for cell in book.cells if cell.cell_type == "code" and f"{variable} = None" in cell.source]
        assert len(changed) == 1, variable
        changed[0].source = changed[0].source.replace(f"{variable} = None", f"{variable} = {answers[not right]}")
    return book


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_exercises_know_right_from_wrong(right, copied):
    cells = [cell for cell in run(answered(right), copied).cells if cell.cell_type == "code"]
    verdicts = [shown(cell) for cell in cells if "check(" in cell.source]
    assert len(verdicts) == len(ANSWERS)
    assert all(text.startswith("Right." if right else "Not yet") for text in verdicts), verdicts
    said = " ".join(shown(cell) + "".join(each.get("text", "") for each in cell.outputs) for cell in cells)
    assert [words for words in SAYS if words not in said] == []


def test_every_question_of_the_lesson_is_tried_here():
    code = [cell.source for cell in read(LESSON).cells if cell.cell_type == "code"]
    asked = {line.split(" = ")[0] for text in code for line in text.splitlines() if line.endswith(" = None")}
    assert asked == ANSWERS.keys()


def test_grades_of_the_reference_stay_visible():
    prose = " ".join(cell.source for cell in read(LESSON).cells if cell.cell_type == "markdown")
    assert all(grade in prose for grade in ("**[I]**", "**[run]**", "**read**", "Grade **A**"))


def test_table_lspci_and_log_of_the_lessons_host_belong_together():
    found = host.load(FOLDER / "data/big.acpidump", FOLDER / "data/big.lspci", FOLDER / "data/big.dmesg")
    alone = host.from_log((FOLDER / "data/big.dmesg").read_text())
    assert [unit.base for unit in found.units] == [unit.base for unit in alone.units]
    assert [unit.everything for unit in found.units] == [unit.everything for unit in alone.units]
    assert found.words == alone.words and found.width == 46 and found.coverage().unresolved == []
    assert found.words_of(1) == Words(0xD2078C106F0466, 0x30204A)
    assert [found.unit_of(function.bdf) for function in found.functions.functions][-4:] == [0, 1, 2, 2]
