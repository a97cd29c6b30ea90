"""Programs as bytes with their source: assembled, listed, read back, and with one mistake put in."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.guest import program as p
from vsim.guest.program import BASE, Program, ProgramError, Row, assembled, compiled, listed, shipped

needs_binutils = pytest.mark.skipif(not p.binutils(), reason="no binutils for x86-64")
needs_cc = pytest.mark.skipif(not p.binutils() or p.shutil.which("cc") is None, reason="no C compiler for x86-64")
DRIVER = shipped("driver")


@needs_binutils
def test_the_shipped_bytes_are_what_the_shipped_source_gives():
    assert assembled(DRIVER.source) == DRIVER


def test_a_listing_is_read_back_and_the_driver_is_one_page():
    assert listed(DRIVER.listing()) == DRIVER
    assert len(DRIVER.rows) <= 95 and sum(bool(row.size) for row in DRIVER.rows) <= 60
    assert max(len(line) for line in DRIVER.source.splitlines()) <= 120
    assert b"".join(DRIVER.code[row.address - BASE:][:row.size] for row in DRIVER.rows) == DRIVER.code


@pytest.mark.parametrize("address, text", [(0x1001B, "mov ECAP(%rbx), %rax"), (0x100FD, "cmpl $1, STATUS"), (1, "")])
def test_an_address_has_its_instruction_without_label_and_comment(address, text):
    assert DRIVER.text_at(address) == text


@needs_binutils
def test_the_first_instruction_jumps_to_the_start_and_the_second_entry_to_the_handler():
    made = assembled("jmp 1f\n.org 8\nhere: hlt\n1: nop\n")
    assert made.code == b"\xeb\x07" + bytes(6) + b"\xf4\x90" and made.labels == {"here": BASE + p.ENTRY}


@needs_binutils
def test_long_data_goes_on_over_lines():
    made = assembled("x: .fill 40, 1, 0x11\n   nop\n")
    assert made.rows == (Row(BASE, 40, "x: .fill 40, 1, 0x11"), Row(BASE + 40, 1, "   nop"))
    assert listed(made.listing()) == made


@needs_binutils
@pytest.mark.parametrize("source, said", [
    ("nop\n\tnonsense %eax\n", "t.s:2:1: no such instruction"), ("nop\n.set A\n", "t.s:2:1: "),
    ("# nothing", "found 0 bytes of program"), ("jmp nowhere\n", "undefined reference to `nowhere'"),
    (".fill 70000, 1, 0", "found 70000 bytes"), ("#" * 300_000, "found 300000 characters")])
def test_a_mistake_in_a_source_is_told_with_its_line(source, said):
    with pytest.raises(ProgramError) as told:
        assembled(source, "t.s")
    assert said in str(told.value) and str(told.value).startswith("t.s:")


@needs_cc
def test_a_program_in_c_has_its_entries_and_a_mistake_in_it_its_line():
    made = compiled("void start(void) { for (;;) __asm__(\"hlt\"); }\nvoid handler(void) {}\n")
    assert made.code[0] == 0xE8 and made.code[5:8] == b"\xf4\xeb\xfd" and {"start", "handler"} <= {*made.labels}
    with pytest.raises(ProgramError, match=r"^t\.c:2:\d+: .*nothere"):
        compiled("void handler(void) {}\nvoid start(void) { nothere(1); }", "t.c")


def test_without_binutils_it_says_so(monkeypatch):
    monkeypatch.setattr(p.shutil, "which", lambda name: None)
    assert not p.binutils()
    with pytest.raises(ProgramError, match="no as for x86-64: on Linux install binutils"):
        assembled("nop")


# --- with a mistake in it ---


def test_a_part_is_left_out():
    made = DRIVER.without("wait")
    places = [at for at, (a, b) in enumerate(zip(DRIVER.code, made.code, strict=True)) if a != b]
    assert (BASE + places[0], BASE + places[-1]) == (DRIVER.labels["wait"], DRIVER.labels["back"] - 1)
    assert {made.code[at] for at in places} == {0x90} and made.labels == DRIVER.labels
    assert [row.text for row in made.rows if "left out: jne wait" in row.text]


def test_two_neighbours_of_different_size_are_exchanged():
    made = listed("10000 90       | a: nop\n10001 31c0     | b: xor %eax, %eax\n10003 f4       | hlt\n")
    swapped = made.exchanged("b", "a")
    assert swapped.code == b"\x31\xc0\x90\xf4" and swapped.labels == {"b": BASE, "a": BASE + 2}
    assert swapped == made.exchanged("a", "b") and swapped.exchanged("a", "b") == made
    with pytest.raises(ValueError, match="start has 5 bytes and table 11; only neighbours"):
        DRIVER.exchanged("start", "table")


@needs_binutils
@pytest.mark.parametrize("made", [DRIVER.without("wait"), DRIVER.without("tell"), DRIVER.exchanged("high", "low"),
                                  DRIVER.exchanged("latch", "on")], ids=["wait", "tell", "halves", "order"])
def test_its_source_gives_the_same_bytes_but_for_how_long_a_gap_is(made):
    if b"\x90" in made.code:
        lines = [re.sub(r"nop {5,}#.*", f".fill {row.size}, 1, 0x90", row.text) for row in made.rows]
        assert assembled("\n".join(lines)).code == made.code
    else:
        assert assembled(made.source).code == made.code


@pytest.mark.parametrize("call, said", [
    (lambda: DRIVER.without("<b>"), "no label '<b>'; labels are start, queue"), (lambda: Program(b""), "0 bytes"),
    (lambda: Program(bytes(65537)), "65537 bytes"), (lambda: Program("x"), "code is str"),
    (lambda: shipped("../x"), "no program '../x'; programs are driver"),
    (lambda: Program(b"\x90").without("x"), "labels are not known")])
def test_a_callers_mistake_names_what_there_is(call, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        call()


# --- hostile listings ---


@pytest.mark.parametrize("text, said", [
    ("", "l:1:1: found 0 bytes"), ("hello", "l:1:1: found 'hello'"), ("10001 90 | nop", "found address 10001"),
    ("10000 9 | nop", "a line is address"), ("      90 | nop", "found bytes without an address"),
    ("10000 90 | nop\n\n", "l:2:1"), ("x" * 600_000, "found 600000 characters"),
    ("10000 90 | nop\n10001 zz | nop", "l:2:1")])
def test_a_listing_that_is_none_is_refused_by_line(text, said):
    with pytest.raises(ProgramError, match=re.escape(said)):
        listed(text, "l")


@given(st.one_of(st.text(alphabet="0189af| \n:xnop", max_size=80), st.text(max_size=80)))
def test_no_text_does_more_than_be_refused(text):
    try:
        made = listed(text)
    except ProgramError as error:
        assert error.line >= 1
    else:
        assert listed(made.listing()).code == made.code
