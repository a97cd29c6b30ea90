"""Lines of what people paste: any text gives lines, and what was changed is said with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from vsim.readers.markup import Marks
from vsim.readers.pieces import CHOPPED, MAX_LINE, Line, PieceError, Remark, few, lines_of, load, text_of


def test_lines_end_as_on_any_system():
    lines, remarks = lines_of("\ufeffa\r\nb\rc\n", "x")
    assert [(line.number, line.text) for line in lines] == [(1, "a"), (2, "b"), (3, "c"), (4, "")]
    assert remarks == ()


def test_what_is_cut_or_changed_is_said_with_its_place():
    lines, remarks = lines_of("a\0b\n" + "x" * (MAX_LINE + 2), "f")
    assert lines[0] == Line("f", 1, "a b")
    assert lines[1].text == "x" * MAX_LINE
    assert [str(remark) for remark in remarks] == [
        "f:1:2: a NUL is read as a blank",
        f"f:2:{MAX_LINE + 1}: left out: 2 characters of a line of {MAX_LINE + 2}; the limit is {MAX_LINE}"]


def test_lines_behind_the_limit_are_left_out(monkeypatch):
    monkeypatch.setattr("vsim.readers.pieces.MAX_LINES", 2)
    assert lines_of("a\nb")[1] == ()
    lines, remarks = lines_of("a\nb\nc\nd", "f")
    assert [line.text for line in lines] == ["a", "b"]
    assert list(map(str, remarks)) == ["f:2:1: left out: all behind the first 2 lines"]


def test_a_row_of_a_host_with_4096_cpus_is_whole():
    row = " 24:" + f"{0:11d}" * 4096 + "  IR-PCI-MSIX-0000:01:00.0   3-edge      eth1"
    lines, remarks = lines_of(row)
    assert (lines[0].text, remarks) == (row, ())


@given(st.text())
def test_every_text_has_lines(text):
    lines, _ = lines_of(text)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert not any({"\n", "\r", "\0"} & {*line.text} for line in lines)


@pytest.mark.parametrize("data, text, remark", [
    (b"a\n\xff", "a\n\ufffd", (2, 1)), ("\ufeffé".encode("utf-16"), None, None), (b"plain", "plain", None)])
def test_bytes_are_text_or_are_said_not_to_be(data, text, remark):
    found, remarks = text_of(data, "f")
    assert text is None or found == text
    assert [(one.line, one.column) for one in remarks] == ([remark] if remark else [])


def test_a_file_that_cannot_be_read_is_a_mistake_of_its_first_line(tmp_path):
    with pytest.raises(PieceError, match=r":1:1: cannot be read: No such file"):
        load(tmp_path / "none")


def test_remarks_are_kept_to_a_number_and_counted():
    many = [Remark("f", n, 1, "odd") for n in range(5)]
    assert few(many, 3) == (*many[:3], Remark("f", 3, 1, "2 more remarks of this kind are left out"))


@pytest.mark.parametrize("text, rows", [
    ("> (XEN) IRQ: 136 vec:b1 status=3D030 aff:{4}/{0-11}\n> in-flight=3D0 d0:936(---)\n=2E... end =E2=80=93 =20\n",
     ["(XEN) IRQ: 136 vec:b1 status=030 aff:{4}/{0-11}", "in-flight=0 d0:936(---)", ".... end =E2=80=93  ", ""]),
    ("a=3D1 b=\n=3D2\n", ["a=1 b=2", ""]),
    ("Address: fee00578=C2=A0 Data: 0000\n", ["Address: fee00578  Data: 0000", ""]),
    ("vec=3D dest=3D\nmask=0\n", ["vec=3D dest=3D", "mask=0", ""]), ("only=3D\n", ["only=3D", ""])])
def test_a_mail_without_its_head_is_known_by_its_every_equals_sign(text, rows):
    assert [line.text for line in lines_of(text)[0]] == rows


def test_rows_of_a_mail_that_were_broken_at_its_usual_length_are_one_without_its_head():
    text = (">> [Thu Oct 22 09:54:51 2020] DMAR: [INTR-REMAP] Request device [43:00.2] f=\n"
            "ault index 1700 [fault reason 37] Blocked a compatibility format interrupt =\nrequest =3D\nname =\n=\n"
            + "a" * 74 + "==\n")
    assert [line.text for line in lines_of(text)[0]] == [
        "[Thu Oct 22 09:54:51 2020] DMAR: [INTR-REMAP] Request device [43:00.2] fault index 1700 [fault reason 37] "
        "Blocked a compatibility format interrupt request =", "name =", "=", "a" * 74 + "==", ""]


@pytest.mark.parametrize("text", [
    "*****ioapic state:*****", "pci = [ '0000:01:00.*', '0000:02:00.*' ]", "cat /proc/irq/*/a /proc/irq/*/b",
    "<IRQ> <access denied> <idle>-0 <64ns, L1 <1us", "ACPI: \\_SB.PCI0 (IRQs 3 *11 12) *0, disabled", "{0-11} {3} }}",
    "unknown parameter `foo' ignored", "```", "** NOTICE **", "a & b &c; AT&T", "[b] [code] [0000:01:00.0]",
    "+-00.0\n+-00.1\n+-00.2", "+1\n|2\n+3\n|4",
    "|   +-00.0\n|   +-00.1\n|   \\-00.2", "| CPU | avl\n| one\n", "x < y > z", "<b <b", "a * b * c", "2*3*4 *p *q"])
def test_what_is_a_text_s_own_stays(text):
    assert [(line.text, line.shift) for line in lines_of(text)[0]] == [(row, 0) for row in text.split("\n")]


LONG = "Dec 01 10:00:00 host kernel: DMAR: [INTR-REMAP] Request device [65:00.5] fault index "


@pytest.mark.parametrize("line, kept", [
    (LONG + "0x16>", LONG), (LONG + "0x16\u2026", LONG), ("> " + LONG + "0x16>", LONG), ("x 0x1\u2026", "x "),
    (LONG + "<0x16>", LONG + "<0x16>"), (LONG + "->", LONG + "->"), (LONG + ">", LONG), ("host>", "host>"),
    ("mail <someone@somewhere>" + " " * 60, "mail <someone@somewhere>" + " " * 60), ("smp: \u2026", "smp: "),
    ("a =>", "a =>")])
def test_the_last_word_of_a_line_that_a_pager_has_cut_is_left_out(line, kept):
    (found,), remarks = lines_of(line, "f")
    assert found.text == kept
    assert [each[2:] for each in remarks] == [(found.shift + len(kept) + 1, CHOPPED)] * (kept in (LONG, "x ", "smp: "))


def test_lines_of_a_page_in_one_row_have_its_number_and_their_columns():
    lines, remarks = lines_of('a<br>\n<div id="x"> b</div><div>\0c</div><br/>\n<hr>\n', "f")
    assert [each[1:] for each in lines] == [(1, "a", 0), (2, " b", 12), (2, " c", 25), (3, "", 0), (4, "", 0)]
    assert list(map(str, remarks)) == ["f:2:1: a NUL is read as a blank"]


@pytest.mark.parametrize("path", [*real_files("*/*.txt"), *real_files("*/*/*.txt"), *real_files("xl-cfg/*")])
def test_no_text_of_a_real_machine_has_marks_of_a_page(path):
    text = path.read_text(errors="replace")
    marks = Marks(text, len(text))
    assert [row for row in text.split("\n") if marks.pieces(row) != [(0, row)]] == []


@pytest.mark.parametrize(
    "lead", ["# ", "#", "- ", "* ", ";", "// ", "host1 | ", "dmesg.log:", "logs/kern.log.1: ", "<a_b> "])
def test_what_is_before_each_line_is_taken_out(lead):
    rows = ["  CPU0   CPU1", " 0: 5", "", "NMI: 1"]
    lines = lines_of("\n".join(f"{lead}{row}" if row else lead.rstrip() for row in rows))[0]
    assert [line.text for line in lines] == rows
    assert [line.shift for line in lines] == [len(lead), len(lead), len(lead.rstrip()), len(lead)]


@pytest.mark.parametrize("form", ["{:6}\t{}", "{:4}  {}"])
def test_the_numbers_of_cat_are_taken_out(form):
    rows = ["  CPU0   CPU1", "", "", *(f"{each}: 5" for each in range(9)), "NMI: 1"]
    lines = lines_of("\n".join(form.format(number, row).rstrip() for number, row in enumerate(rows, 1)))[0]
    assert [line.text for line in lines] == rows


@pytest.mark.parametrize("text", [
    "-[0000:00]---00.0\n-[0001:00]---00.0\n-[0002:00]---00.0", "# tracer: nop\n# a\n  b-1 [000] c", "# a\n# b",
    " 1  00:1f.0 0020 \n 2  00:1f.0 0021\n 3  00:1f.0 0022", "1  x\n2  y\n4  z", "-a\n-b\n-c",
    "/sys/irqs/1:handler:  a\n/sys/irqs/1:device:   b\n/sys/irqs/1:status:   c", "a.log:x\nb.log:x\na.log:x"])
def test_what_is_before_lines_and_may_be_theirs_stays(text):
    assert [line.text for line in lines_of(text)[0]] == text.split("\n")
