"""The driver of notebook 18, with and without the emulator, and its exercises: right answers, and tell-tale ones.

`VSIM_REGENERATE=1` writes the stored runs anew.
"""

import json
import os

import pytest

from tests.notebooks.test_all import FOLDER, cells
from vsim.guest import processor
from vsim.guest.program import BASE, binutils, shipped
from vsim.layouts.registers import OFFSET
from vsim.state import commands as c
from widgets.course import driver
from widgets.course.driver import FAULTS, LOW, RUNS, SECOND, VECTOR, Drive, entry, told
from widgets.course.quiz import Quiz

NOTEBOOK = "18_write_the_driver"
STUDENTS = ("Ada", "Grace", "Edsger")
needs_unicorn = pytest.mark.skipif(not processor.emulator(), reason="no unicorn")


def steps(drive, start=0):
    """What was done from a position on, as it is stored."""
    commands = drive.lab.history.commands
    return [[each.name, [c.to_row(command) for command in commands[each.start:each.stop]]]
            for each in drive.lab.gestures(start)]


def recorded(twin):
    started = Drive(twin)
    loaded = next(iter(started.lab.gestures())).stop
    out = {"start": steps(started, loaded)}
    for phase, second in (("more", 0), ("moved", entry(SECOND) & LOW)):
        drive = Drive(twin, second=second)
        position = drive.lab.position + 1       # behind the message
        drive.message()
        out[phase] = steps(drive, position)
    return out


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(processor, "find_spec", lambda name: None)


@needs_unicorn
def test_the_stored_runs_are_what_the_instructions_do():
    made = {twin: recorded(twin) for twin in driver.twins()}
    if os.environ.get("VSIM_REGENERATE"):
        RUNS.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")
    assert made == json.loads(RUNS.read_text(encoding="utf-8"))


def without_the_stack(drive):
    return [command for command in drive.lab.history.commands
            if not (isinstance(command, c.RamWrite) and command.address >> 12 == driver.STACK_PAGE >> 12)]


@needs_unicorn
@pytest.mark.parametrize("twin", driver.twins())
@pytest.mark.parametrize("given", [{}, {"index": 77, "second": entry(0xC1, 4) & LOW, "vcpu": 2},
                                   {"low": entry(0xB5, 6) & LOW, "vcpu": 3, "second": 0}, {"low": 0}])
def test_a_stored_run_does_with_any_numbers_what_the_emulator_does(twin, given, monkeypatch):
    def both():
        drive = Drive(twin, **given)
        return drive, [drive.message() for _ in range(3)]
    live, said = both()
    monkeypatch.setattr(processor, "find_spec", lambda name: None)
    stored, told_ = both()
    assert (said, live.took) == (told_, stored.took) and without_the_stack(live) == without_the_stack(stored)
    assert repr(live.findings()) == repr(stored.findings()) and repr(stored) == driver.STORED


def test_the_driver_takes_its_interrupt_and_no_rule_is_broken():
    drive = Drive()
    assert drive.counter() == 0 and drive.registers() == "irtps=1 ires=1 qies=1"
    assert drive.message() == f"vCPU 0 takes vector {VECTOR:#x}" and drive.counter() == 1
    assert drive.findings().rows == [("no rule is broken", "", "")]
    assert drive.steps().rows[0] == ("0x1001b", "mov ECAP(%rbx), %rax", "read ECAP")


@pytest.mark.parametrize("twin, second, rules", [
    ("order", 0, ["sirtp-before-ire"]), ("wait", 0, ["wait"]), ("untold", 0, ["invalidate-after-set"]),
    ("halves", 0, ["torn-entry", "source-check"]), ("moved", SECOND, ["invalidate-after-change"])])
def test_each_twin_breaks_its_rule_and_the_driver_none(twin, second, rules):
    for name, found in ((twin, rules), ("", ["no rule is broken"])):
        drive = Drive(name, second=entry(second) & LOW if second else 0)
        drive.message()
        drive.message()
        assert [row[0] for row in drive.findings().rows] == found


@needs_unicorn
@pytest.mark.skipif(not binutils(), reason="no binutils for x86-64")
def test_a_driver_of_ones_own():
    source = shipped("driver").source
    drive = Drive(source.replace("movl $0, EOI(%rbp)", "nop"))
    assert drive.message().startswith("vCPU 0 takes") and drive.message() == "nobody takes it"
    assert drive.findings().rows[0][0] == "eoi"
    assert repr(Drive(source.replace("incl TAKEN", "inc TAKEN TAKEN"))).startswith("your driver:")


def test_a_driver_of_ones_own_without_the_emulator(without):
    drive = Drive("hlt\n")
    assert "not installed" in repr(drive) and "needs it" in repr(drive)
    assert drive.message() == "nobody takes it" and drive.took == []


def test_the_notebook_runs_without_the_emulator_and_says_so_once(without, monkeypatch):
    monkeypatch.chdir(FOLDER)
    scope, said = {}, []
    for text in cells(FOLDER / f"{NOTEBOOK}.ipynb", "code"):
        *before, last = text.splitlines()
        exec("\n".join(before), scope)
        said.append(repr(eval(last, scope)))
    assert said[0] == driver.STORED and said.count(driver.STORED) == 1
    assert any(f"vCPU 0 takes vector {VECTOR:#x}" in each for each in said)


def test_a_part_of_the_listing_keeps_its_columns():
    shown = driver.part("gcmd", "flush")
    assert "overflow-x:auto" in shown._repr_html_() and "%rbx" in shown._repr_html_()
    said = repr(shown).splitlines()
    assert said[0].startswith("1009e 8b431c") and said[-1].endswith("ret") and len(said) == 8


@pytest.mark.parametrize("command, words", [
    (c.Mmio(0xFED90018, 4, 5), "write GCMD 0x5"), (c.MmioRead(0xFED9001C, 4), "read GSTS"),
    (c.RamWrite(0x100098, bytes(8)), "store 0x0 to entry 9, upper half"),
    (c.RamWrite(0x80010, b"\4" + bytes(7)), "store 0x4 to descriptor 1, lower half"),
    (c.RamWrite(BASE, bytes(300)), "store 300 bytes to 0x10000"),
    (c.RamWrite(0xFFF8, bytes(8)), "store 0x0 to the stack"),
    (c.ApicWrite(0, 0xB0, 0), "local APIC: EOI 0x0"), (c.MmioRead(0x90000, 4), "read the status word"),
    (c.Acknowledge(0), "take what the local APIC offers"), (c.Tick(1), "tick")])
def test_accesses_in_words(command, words):
    assert told(command) == words


# --- the exercises ---


APIC_IDS = {1: 2, 2: 4, 3: 6}


def fault(log):
    """What is wrong, read out of the question's text."""
    lines = [line.split("  ", 1)[1] for line in log.splitlines()]
    commands = [line.rpartition(" ")[2] for line in lines if line.startswith("write GCMD")]
    if not int(commands[1], 16) & 1 << 24:
        return FAULTS["order"]
    if lines.count("read the status word") == 0:
        return FAULTS["wait"]
    halves = [line.rpartition(", ")[2] for line in lines if " to entry " in line]
    if halves == ["lower half", "upper half"]:
        return FAULTS["halves"]
    return FAULTS["untold" if sum("IQT" in line for line in lines) < 3 else ""]


def right(name, n):
    if name == "word":
        levels = n["gsts"] & ~(1 << 24) & ~(1 << 27) & ~(1 << 29) & ~(1 << 30)
        return levels | {"IRE": 1 << 25, "CFI": 1 << 23}[n["name"]]
    if name == "low":
        return APIC_IDS[n["vcpu"]] << 32 | n["vector"] << 16 | 1
    return n["first"] if name == "who" else fault(n["log"])


@pytest.mark.parametrize("who", STUDENTS)
def test_right_answers_are_right(who):
    quiz = Quiz(NOTEBOOK, who)
    for name in quiz.tasks:
        answer = right(name, quiz.numbers(name))
        assert quiz.guess(name, hex(answer) if isinstance(answer, int) else answer).text.startswith("Right."), name
    assert quiz.score == (8, 8)


def test_students_get_each_of_the_faults():
    assert {right("fault", Quiz(NOTEBOOK, f"student {n}").numbers("fault")) for n in range(40)} == {*FAULTS.values()}


@pytest.mark.parametrize("who", STUDENTS)
def test_beliefs_are_named(who):
    quiz = Quiz(NOTEBOOK, who)
    word, low, moved = (quiz.numbers(name) for name in ("word", "low", "who"))
    assert "(M9)" in quiz.guess("word", word["gsts"] | word["bit"]).text
    assert "(M9)" in quiz.guess("word", word["bit"]).text
    assert "(M6)" in quiz.guess("low", low["vcpu"] << 32 | low["vector"] << 16 | 1).text
    assert "(M3)" in quiz.guess("low", APIC_IDS[low["vcpu"]] << 32 | low["index"] << 16 | 1).text
    assert "(M7)" in quiz.guess("who", moved["second"]).text
    wrong = next(each for each in FAULTS.values() if each != right("fault", quiz.numbers("fault")))
    assert quiz.guess("fault", wrong).text.startswith("Not so. The checker read along")


@pytest.mark.parametrize("answer", [0, 1, LOW, 1 << 64, -1])
def test_strange_halves_are_tried(answer):
    assert Quiz(NOTEBOOK, "Ada").guess("low", answer).text.startswith("Not so.")


@needs_unicorn
@pytest.mark.parametrize("who", STUDENTS)
def test_the_word_is_what_the_drivers_own_instructions_write(who):
    """The routine alone, its GSTS a word in memory: load, AND, OR, store."""
    n = Quiz(NOTEBOOK, who).numbers("word")
    at = shipped("driver").labels
    code = shipped("driver").code[at["gcmd"] - BASE:][:at["flush"] - at["gcmd"]]
    lab = driver.Lab.from_config(driver.CONFIG)
    lab.issue(c.RamWrite(0x5000 + OFFSET["GSTS"], n["gsts"].to_bytes(4, "little")))
    lab.run(b"\xbb\x00\x50\x00\x00" + b"\x41\xb8" + n["bit"].to_bytes(4, "little") + code)      # ebx, r8d
    assert lab.machine.ram.word(0x5000 + OFFSET["GCMD"]) == right("word", n)


@pytest.mark.parametrize("given, named", [
    ({"twin": "nope"}, "twin is 'nope'; there are ''"), ({"twin": None}, "twin is None"),
    ({"vcpu": 9}, "vcpu is 9; the limit is 0 to "), ({"vcpu": -1}, "vcpu is -1"), ({"vcpu": "1"}, "vcpu is '1'"),
    ({"index": 1 << 16}, "index is 65536; the limit is 0 to 65535"), ({"index": 1.5}, "index is 1.5"),
    ({"low": -2}, "low is -0x2; the limit is -0x1 to 0xffff"), ({"low": None}, "low is None"),
    ({"second": 1 << 64}, "second is 0x10000000000000000; the limit is 0x0 to 0xffff")], ids=str)
def test_a_drive_that_cannot_be_is_refused(given, named):
    with pytest.raises(ValueError, match=named):
        Drive(**given)
