"""The lessons on the review's questions: exercises know right from wrong, runs say what the prose says."""

import pytest

from tests.notebooks.test_all import FOLDER, copied, read, run, shown

__all__ = ["copied"]

# For each notebook and exercise: an answer that is right, and one that is wrong.
ANSWERS = {
    "06_is_it_useful": {
        "talk": ("[287]", "[]"), "highest": ("127", "254"), "cheaper": ('"vIOMMU"', '"restricted affinity"'),
        "smallest": ("129", "256"), "largest": ("32767", "254"), "ids": ("(0, 2, 40000)", "(0, 2, 300)"),
        "duty": ('"source"', '"flush"')},
    "08_base_and_length": {
        "offset": ("0xD0", "0x1000"), "seen": ("0x10", "0x12345678"), "last": ("0xC8", "0xFF8"),
        "base": ("0xFEDFF000", "0xFED90000"), "lowest": ("64 << 20", "0xFED90000")},
    "10_design_review": {
        "delivered": ("True", "False"), "crash": ('"16"', '"3"'), "also": ('"xen.D32"', '"xen.D9"'),
        "errno": ("22", "19")},
    "11_types_and_capabilities": {
        "outcome": ('"done"', '"refused"'), "remapped": ("True", "False"), "number": ("512", "257"),
        "count": ("2", "1"), "place": ("16", "12")},
}
SAYS = {
    "06_is_it_useful": ["[287]", "(128, 127)", "(574, [31])", "160 vCPUs", "'ID = 2 * vCPU': 128",
                        "'ID = 1 * vCPU': 255", "(255, 295)", "223", "1,052,672", "([], [1])", "taken by nobody",
                        "(True, False)", "VT-d 6.5.2.7"],
    "08_base_and_length": ["not trapped, reads 0xffffffff", "trapped, reads 0x10", "trapped, domain crashed",
                           "-EEXIST (-17)", "viommu key is 'base'"],
    "10_design_review": ["accepted by vLAPIC 7", "reason 0x25", "taken by nobody", "domctl 82", "KiB", "True"],
    "11_types_and_capabilities": ["(0, 'done')", "ir=1", "taken by vCPU 1 vector 0x41", "0xfed9000000000000",
                                  "-ENOSYS (-38)"],
}


def answered(name, right):
    book = read(FOLDER / f"{name}.ipynb")
    for variable, answers in ANSWERS[name].items():
        changed = [cell for cell in book.cells if cell.cell_type == "code" and f"{variable} = None" in cell.source]
        assert len(changed) == 1, variable
        changed[0].source = changed[0].source.replace(f"{variable} = None", f"{variable} = {answers[not right]}")
    return book


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_exercises_know_right_from_wrong(name, right, copied):
    cells = [cell for cell in run(answered(name, right), copied).cells if cell.cell_type == "code"]
    verdicts = [shown(cell) for cell in cells if "check(" in cell.source]
    assert len(verdicts) == len(ANSWERS[name])
    assert all(text.startswith("Right." if right else "Not yet") for text in verdicts), verdicts
    said = " ".join(shown(cell) + "".join(each.get("text", "") for each in cell.outputs) for cell in cells)
    assert [words for words in SAYS[name] if words not in said] == []


@pytest.mark.parametrize("name", ANSWERS)
def test_every_exercise_is_one_that_is_tried(name):
    code = [cell.source for cell in read(FOLDER / f"{name}.ipynb").cells if cell.cell_type == "code"]
    asked = {line.split(" = ")[0] for text in code for line in text.splitlines() if line.endswith(" = None")}
    assert asked == ANSWERS[name].keys()
