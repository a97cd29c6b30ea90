"""The exercises of notebooks 00, 01, 02, 06 and 08 to 12: right answers are worked out here, from rules of the formats.

Each row: the exercise, a right answer and a wrong one from its numbers. Tell-tale answers name the belief behind them.
"""

import struct
from functools import cache

import pytest

from tests.places import DATA
from widgets.course.misconceptions import MISCONCEPTIONS
from widgets.course.page import CRASHED, OUTSIDE, TRAPPED
from widgets.course.quiz import Quiz
from widgets.lab.lab import Lab

STUDENTS = ("Ada", "Grace", "Edsger")


def entry_text(vcpu, sid):
    return f"p=1 vector=0x61 dst={2 * vcpu} sid={sid} svt=1"


def logical(numbers, doubled):
    places = [n % 8 * doubled for n in (numbers["one"], numbers["two"])]
    return numbers["cluster"] << 16 | sum(1 << place for place in places)


def package(numbers, limit):
    """The highest vCPU of a guest in packages whose APIC ID is at most a limit."""
    threads, stride = numbers["threads"], numbers["stride"]
    return max(n for n in range(limit + 1) if n // threads * stride + n % threads <= limit)


def smallest_way(numbers):
    if numbers["alone"] or numbers["far"] > 0x7FFF:
        return "vIOMMU"
    return "restricted affinity" if numbers["far"] < 255 else "extended destination ID"


def becomes(numbers):
    last = numbers["offset"] + numbers["width"]
    return TRAPPED if last <= 0xD0 else OUTSIDE if numbers["offset"] >= 0xD0 else CRASHED


def halves(numbers):
    size = numbers["entries"].bit_length() - 2
    return numbers["base"] & 0xFFFFFFFF | 1 << 11 | size, numbers["base"] >> 32


def thin(numbers):
    """Members of create, from the fourth byte on, each aligned to four bytes: 64-bit ones, then the 32-bit id."""
    return 4 + 8 * ("viommu_type", "base_address", "length", "capabilities", "viommu_id").index(numbers["member"])


def scopes(numbers):
    return next((n for n, named in enumerate(numbers["named"]) if numbers["device"] in named), 2)


@cache
def bench():
    lab = Lab.from_config(DATA / "big.cfg", lspci=DATA / "big.lspci")
    lab.boot()
    return lab


def as_booted(numbers):
    """The message's entry, and where it leads, read in the memory of a bench of the notebook's files."""
    source = bench().kernel.guest.sources[0x28][numbers["message"]]
    return source.index, source.vcpu, source.vector


LOW = {0x25: "a message in compatibility format", 0x26: "an entry that names another device",
       0x22: "an entry that is not present", 0x21: "an index behind the end of the table",
       0x24: "a reserved bit set in the entry"}
REASONS = {"absent": 0x22, "another's": 0x26, "reserved": 0x24}
RIGHT = {
    "00_one_interrupt": {
        "bare": lambda n: -1, "cut": lambda n: n["id"] % 256 // 2, "ipi": lambda n: "yes",
        "highest": lambda n: (254 - n["base"]) // n["step"],
        "allowed": lambda n: entry_text(n["vcpu"], "00:05.0" if n["allowed"] == 0x28 else "00:06.0")},
    "01_the_bench": {
        "undone": lambda n: n["clicks"] - (n["undos"] - 1), "goes": lambda n: as_booted(n)[1],
        "entry": lambda n: as_booted(n)[0]},
    "02_edit_an_irte": {
        "move": lambda n: f"dst={2 * n['vcpu']} vector={n['vector']}", "both": lambda n: logical(n, 2),
        "reason": lambda n: REASONS.get(n["kind"], 0), "told": lambda n: n["second" if n["told"] else "first"],
        "functions": lambda n: (n["base"] | 5, 3)},
    "06_is_it_useful": {
        "smallest": lambda n: package(n, 254) + 2, "largest": lambda n: package(n, 0x7FFF), "way": smallest_way,
        "duty": lambda n: "source" if "disk" in n["seen"] else "invalidate"},
    "08_base_and_length": {
        "becomes": becomes, "lowest": lambda n: n["mib"] << 20, "halves": halves},
    "09_your_machine": {
        "sid": lambda n: n["bus"] << 8, "row": lambda n: struct.pack(">Q", int(n["low"], 16))[5],
        "mistake": lambda n: LOW[n["reason"]]},
    "10_design_review": {
        "delivered": lambda n: "yes" if n["state"] == "as coded" or n["sender"] == n["owner"] else "no",
        "also": lambda n: "xen.D32", "errno": lambda n: 0 if n["saved"] == n["loaded"] else 22},
    "11_types_and_capabilities": {
        "type": lambda n: "created" if n["version"] == "4" and n["type"] % 256 == 0 else "refused",
        "count": lambda n: 2 if 0 in n["bits"] else 1, "thin": thin},
    "12_many_host_units": {
        "behind": scopes, "ioapic": lambda n: n["listed"], "word": lambda n: 1,
        "least": lambda n: 287 if n["weak"] < 0 else 127}}
TELLS = [
    ("00_one_interrupt", "bare", lambda n: n["message"], "M1"), ("00_one_interrupt", "bare", lambda n: 0, "M1"),
    ("00_one_interrupt", "cut", lambda n: n["id"] % 256, "M6"), ("00_one_interrupt", "ipi", lambda n: "no", "M5"),
    ("00_one_interrupt", "highest", lambda n: 254, "M6"), ("00_one_interrupt", "highest", lambda n: 255, "M6"),
    ("00_one_interrupt", "allowed", lambda n: f"p=1 vector=0x61 dst={n['vcpu']} sid=00:05.0 svt=1", "M6"),
    ("01_the_bench", "goes", lambda n: 2 * as_booted(n)[1], "M6"),
    ("01_the_bench", "entry", lambda n: n["message"], "M2"), ("01_the_bench", "entry", lambda n: as_booted(n)[2], "M3"),
    ("02_edit_an_irte", "move", lambda n: f"dst={n['vcpu']} vector={n['vector']:#x}", "M6"),
    ("02_edit_an_irte", "both", lambda n: logical(n, 1), "M6"),
    ("02_edit_an_irte", "told", lambda n: 2 * n["second" if n["told"] else "first"], "M6"),
    ("06_is_it_useful", "smallest", lambda n: 256, "M6"), ("06_is_it_useful", "largest", lambda n: 32767, "M6"),
    ("09_your_machine", "sid", lambda n: n["own"], "M14"), ("09_your_machine", "row", lambda n: n["index"], "M3"),
    ("12_many_host_units", "behind", lambda n: 0, "M16")]
CASES = [(notebook, name) for notebook, rows in RIGHT.items() for name in rows]


def other(task, answer):
    """An answer next door, that is wrong."""
    if task.choices:
        return next(each for each in task.choices if each != answer)
    if isinstance(answer, int):
        return answer + 1
    if isinstance(answer, tuple):
        return answer[0], answer[1] - 1
    return answer.replace("dst=", "dst=1") if "dst=" in answer else "xen.D9"


@pytest.mark.parametrize("notebook, name", CASES)
@pytest.mark.parametrize("who", STUDENTS)
def test_a_right_answer_is_right_and_its_neighbour_is_not(notebook, name, who):
    quiz, wrong = Quiz(notebook, who), Quiz(notebook, who)
    answer = RIGHT[notebook][name](quiz.numbers(name))
    assert quiz.guess(name, answer).text.startswith("Right."), answer
    assert wrong.guess(name, other(wrong.tasks[name], answer)).text.startswith("Not so.")


def test_answers_are_read_as_people_write_them():
    quiz = Quiz("02_edit_an_irte", "Ada")
    n = quiz.numbers("move")
    assert quiz.guess("move", f"vector={n['vector']:#x}, dst={2 * n['vcpu']:#x}").text.startswith("Right.")
    for given in ("D32", "xen.d32", "32"):
        assert Quiz("10_design_review", "Ada").guess("also", given).text.startswith("Right.")


@pytest.mark.parametrize("notebook, name, answer, met", TELLS)
@pytest.mark.parametrize("who", STUDENTS)
def test_a_tell_tale_answer_names_the_belief(notebook, name, answer, met, who):
    quiz = Quiz(notebook, who)
    told = quiz.guess(name, answer(quiz.numbers(name)))
    assert f"({met})" in told.text and MISCONCEPTIONS[met].cure in told.text


def test_a_unit_that_was_not_told_is_believed_to_know():
    several = [Quiz("02_edit_an_irte", f"student {who}") for who in range(20)]
    untold = next(quiz for quiz in several if not quiz.numbers("told")["told"])
    assert "(M7)" in untold.guess("told", untold.numbers("told")["second"]).text


def test_no_two_numbers_of_an_interrupt_on_the_bench_are_the_same():
    for who in range(30):
        numbers = Quiz("01_the_bench", f"student {who}").numbers("entry")
        index, vcpu, vector = as_booted(numbers)
        assert len({numbers["message"], index, vcpu, 2 * vcpu, vector}) == 5
