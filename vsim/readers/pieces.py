"""What people paste, cut into lines; and what every reader of such texts takes and gives.

    lines = lines_of(text, "dmesg.txt")
    reading = linux_faults.read(lines)
    reading.records, reading.remarks

A reader takes lines, picks those that are its own, and gives records (values with the line that they stood in) and
remarks (what it left out and why). It refuses nothing: a text in which it finds nothing of its own gives no records.
Lines of several machines, writers and tools may be mixed, torn or cut short; number and length are bounded here.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from vsim.readers import markup, source
from vsim.readers.source import TextError

MAX_BYTES = 64 << 20
"""Largest file, in bytes; also the longest text, in characters."""
MAX_LINE = 1 << 16
"""Characters of a line that are looked at; what stands behind is left out, with a remark. A row of /proc/interrupts has
11 for each CPU, and a large host 4,096 CPUs."""
MAX_LINES = 400_000
"""Lines of a text that are looked at; those behind are left out, with a remark."""
CHOPPED = "left out: the last word of a line that a pager has cut (journalctl --no-pager prints all of it)"
MAX_REMARKS = 1000
"""Remarks of one kind of text that are kept; the last one then says how many more there were."""


class PieceError(TextError):
    """A file that cannot be read at all."""


class Line(NamedTuple):
    """A line of a text, without its end. number: from 1. shift: characters before it that were taken out."""

    file: str
    number: int
    text: str
    shift: int = 0


class Remark(NamedTuple):
    """What a reader left out, took with doubt, or found odd. line, column: from 1."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class Reading(NamedTuple):
    """What a reader found: records in the order of the text, and remarks."""

    records: tuple[Any, ...] = ()
    remarks: tuple[Remark, ...] = ()


def _width(rows: Sequence[str]) -> int:
    """The width at which a terminal has broken a log's lines; 0 for none.

    Lines of a log begin with a time, Xen's mark or a task of ftrace. Where nearly all that are followed by another line
    have one length, or lost blanks at their end, and none is longer, that is the width; a mail program breaks at
    blanks, at any length.
    """
    began = [_BEGINS.match(row) is not None for row in rows]
    broken = Counter(len(rows[place - 1]) for place in range(1, len(rows))
                     if began[place - 1] and not began[place] and rows[place].strip())
    width = max(broken, default=0)
    alike = sum(broken[each] for each in range(width - 2, width + 1))
    sure = broken[width] > 2 or width in TERMINALS
    longest = max((len(row) for row, own in zip(rows, began, strict=True) if own), default=0)
    return width if sure and longest <= width in range(60, 512) and alike >= 0.8 * broken.total() else 0


def _unfolded(rows: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Rows of a log that a terminal has broken at its width as they were, by the number of their first."""
    width = _width(rows)
    held, number, full = "", 1, False
    for place, row in enumerate(rows, 1):
        if full and len(held) < MAX_LINE and not _BEGINS.match(row):
            held += row
        else:
            if place > 1:
                yield number, held
            held, number = row, place
        full = len(row) == width > 0
    if rows:
        yield number, held


def _unbroken(rows: Iterable[tuple[int, str]], whole: bool) -> Iterator[tuple[int, str]]:
    """Rows of a mail in quoted-printable, by the number of their first: a = at an end joins two (RFC 2045, 6.7).

    whole: all of the text is so, by its head or by its every =. Else rows that were broken at the usual length tell it
    (76 characters at most, of which mail programs use nearly all), and others stay as they are.
    """
    number, held = 0, ""
    for place, row in rows:
        number = number if held else place
        broken = row.endswith("=") if whole else _SOFT.fullmatch(row) is not None
        held += _CODE.sub(lambda match: chr(int(match[1], 16)), row[:-1] if broken else row) \
            if whole or broken or held else row
        if not broken or len(held) > MAX_LINE:
            yield number, held
            held = ""
    if held:
        yield number, held


TERMINALS = (80, 100, 120, 132, 160)
"""Usual widths of terminals, in characters."""
_BEGINS = re.compile(r"\(XEN\)|\[ *\d{1,9}\.\d{6}\]|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d |\d{4}-\d\d-\d\dT\d\d:|"
                     r"[ \t]*\S{1,32}-\d{1,7} +\[\d{3}\] ")
_PRINTABLE = re.compile(r"^Content-Transfer-Encoding: quoted-printable", re.MULTILINE | re.IGNORECASE)
_ENCODED = re.compile(r"=(?!3D|20|09|2E|46|[89A-F][0-9A-F]|\r?\n|\Z)")
_SOFT = re.compile(r".{69,74}[^=]=")
_SOFT_END = re.compile(r"[^=]=\r?$", re.MULTILINE)
_CODE = re.compile(r"=([2-7][0-9A-F])")
_HARD = "=C2=A0"                # a blank that holds words together, in a mail whose head was not pasted
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_QUOTE = re.compile(r"(?:> ?)+")
_NUMBERED = re.compile(r"([1-9]\d{0,6})[:-](?!\d\d:\d\d\b(?!\.[0-7]\s))")
_OWN_NUMBER = re.compile(r"\d+:\s+[0-9a-f]+(?:\s|$)|(?:\d{5}:[0-9a-f]{2}|\d\d):[0-9a-f]{2}\.[0-7]\s")
_LEAST_NUMBERED = 3
_LEAST_SPACED = 6
_LEAD = re.compile(r"[#;*] ?|// ?|- |<[\w|-]{1,16}> ?|[\w.-]{1,40} +\| |"
                   r"[\w./-]{0,80}(?:\.(?:log|txt|out)|dmesg|messages|syslog)(?:\.\d)?: ?")
_COUNTED = re.compile(r" {0,6}([1-9]\d{0,6})(?:\t|  )")
_ROW_OF_NUMBERS = re.compile(r"\s*[0-9a-f]{2}")
_LAST_WORD = re.compile(r"(?:[^\s<>]*[^\s<>=-]|(?<=\s))[>\u2026]$")
_LONGEST_WORD = 200
_LEAST_CHOPPED = 60             # characters of a line that less would cut
_BAR = re.compile(r"\|{1,2} ?|\+")
_LAST_BAR = re.compile(r"\|{1,2}[ \t]*$")
_TREE = re.compile(r"\|[ \t]*(?:\|[ \t]+)*[+\\]-|\+-[\[0-9a-f]")


def lines_of(text: str, file: str = "text") -> tuple[tuple[Line, ...], tuple[Remark, ...]]:
    """The lines of a text, and what was changed on the way: overlong lines are cut, NULs become blanks.

    Line ends are those of any system; a byte order mark at the beginning is no part of the text. The marks of a
    mail's quotation or of a page (`markup`), a terminal's colours, the line numbers of `grep -n`, the bars of a
    wiki's table, a patch's plus signs and what stands before each line are taken out, the blanks of a web page that
    hold words together are blanks. Lines of a page that stand in one row have its number.
    """
    remarks: list[Remark] = []
    lines = []
    rows = re.split(r"\r\n|\n|\r", text[:MAX_BYTES].removeprefix("\ufeff"), maxsplit=MAX_LINES)
    numbered, marks = _unfolded(rows[:MAX_LINES]), markup.Marks(text, MAX_BYTES)
    whole = _PRINTABLE.search(text, 0, MAX_BYTES) is not None or _encoded(text)
    for number, row in _unbroken(numbered, whole) if whole or _SOFT_END.search(text, 0, MAX_BYTES) else numbered:
        for begins, line in marks.pieces(row):
            if len(line) > MAX_LINE:
                remarks.append(Remark(file, number, MAX_LINE + 1, f"left out: {len(line) - MAX_LINE} characters of a "
                                                                  f"line of {len(line)}; the limit is {MAX_LINE}"))
                line = line[:MAX_LINE]
            if "\0" in line:
                remarks.append(Remark(file, number, line.index("\0") + 1, "a NUL is read as a blank"))
                line = line.replace("\0", " ")
            if "\x1b" in line or "\xa0" in line:
                line = _COLOUR.sub("", line).replace("\xa0", " ")
            if _HARD in line:
                line = line.replace(_HARD, " ")
            shift = match.end() if line[:1] == ">" and (match := _QUOTE.match(line)) else 0
            line = line[shift:]
            if line[-1:] in ("\u2026", ">") and (chopped := _chopped(line)):
                remarks.append(Remark(file, number, begins + shift + chopped + 1, CHOPPED))
                line = line[:chopped]
            lines.append(Line(file, number, line, begins + shift))
    lines = _unbarred(_unnumbered(_unled(_unspaced(lines))))
    if len(rows) > MAX_LINES:
        remarks.append(Remark(file, MAX_LINES, 1, f"left out: all behind the first {MAX_LINES} lines"))
    if len(text) > MAX_BYTES:
        remarks.append(Remark(file, len(lines), 1, f"left out: all behind the first {MAX_BYTES} characters"))
    return tuple(lines), few(remarks)


def _chopped(line: str) -> int:
    """Where the last word of a line begins that ends with a pager's mark: an ellipsis, or in long lines a > that closes
    nothing. 0 for none."""
    word = _LAST_WORD.search(line, max(0, len(line) - _LONGEST_WORD))
    cut = line[-1] != ">" or (len(line) >= _LEAST_CHOPPED and line.count("<") < line.count(">"))
    return word.start() if word and cut else 0


def _encoded(text: str) -> bool:
    """Whether each = is one that quoted-printable has written: =3D, a blank at an end, a dot or F at a beginning, a
    byte that is no ASCII, a row's end; and two at least are =3D."""
    return text.count("=3D", 0, MAX_BYTES) > 1 and _ENCODED.search(text, 0, MAX_BYTES) is None


def _unspaced(lines: list[Line]) -> list[Line]:
    """The lines without the blank ones of a text in which every second is blank, as some pages make it."""
    for first in (0, 1):
        if len(lines) >= _LEAST_SPACED and not any(line.text.strip() for line in lines[first::2]):
            return lines[1 - first::2]
    return lines


def _unled(lines: list[Line]) -> list[Line]:
    """The lines without what is before each of a text: a comment's or a list's mark, the name of who says it or of a
    file, the numbers of `cat -n`."""
    rows = [line.text for line in lines if line.text.strip()]
    first = _LEAD.match(rows[0]) if len(rows) >= _LEAST_NUMBERED else None
    for lead in (first[0], first[0].rstrip()) if first else ():
        if lead != "-" and all(row.startswith(lead) or row == lead.rstrip() for row in rows):
            return [_without(line, len(lead)) for line in lines]
    if len(rows) >= _LEAST_NUMBERED and _COUNTED.match(rows[0]):
        counted = [match for row in rows if (match := _COUNTED.match(f"{row}\t"))]
        ascending = [int(match[1]) for match in counted] == list(range(1, len(rows) + 1))
        if ascending and not all(_ROW_OF_NUMBERS.match(row, match.end())
                                 for row, match in zip(rows, counted, strict=True)):
            ends = iter(counted)
            return [_without(line, next(ends).end()) if line.text.strip() else line for line in lines]
    return lines


def _without(line: Line, count: int) -> Line:
    """A line without its first characters."""
    return line._replace(text=line.text[count:], shift=line.shift + min(count, len(line.text)))


def _unnumbered(lines: list[Line]) -> list[Line]:
    """The lines without the numbers that `grep -n` puts before them: three in a row at least, ascending.

    A number may be the text's own: a row of /proc/interrupts or of bytes has numbers behind it, a function of lspci its
    place. A run in which every line is such a row is left as it is.
    """
    out, run, last = list(lines), list[tuple[int, int]](), 0
    for place, line in enumerate([*lines, Line("", 0, "the end")]):
        match = _NUMBERED.match(line.text) if line.text[:1].isdigit() else None
        if match and (not run or int(match[1]) > last):
            run.append((place, match.end()))
            last = int(match[1])
        elif match or line.text not in ("", "--"):
            if len(run) >= _LEAST_NUMBERED and not all(_OWN_NUMBER.match(lines[each].text) for each, _ in run):
                for each, end in run:
                    old = lines[each]
                    out[each] = old._replace(text=old.text[end:], shift=old.shift + end)
            run = [(place, match.end())] if match else []
            last = int(match[1]) if match else 0
    return out


def _unbarred(lines: list[Line]) -> list[Line]:
    """The lines without the bars of a wiki's table, or of a mail that quotes so, and without the plus signs of a patch.

    Of a kind there are three in a row at least, and no tree.
    """
    out, run = list(lines), list[int]()
    for place, line in enumerate([*lines, Line("", 0, "")]):
        first = lines[run[0]].text[0] if run else line.text[:1]
        if first and first in "|+" and line.text[:1] == first:
            run.append(place)
            continue
        if len(run) >= _LEAST_NUMBERED and not any(_TREE.match(lines[each].text) for each in run):
            closed = first == "|" and all(_LAST_BAR.search(lines[each].text, 1) for each in run)
            for each in run:
                old, begins = lines[each], _BAR.match(lines[each].text)
                end = begins.end() if begins else 0
                text = _LAST_BAR.sub("", old.text[end:]) if closed else old.text[end:]
                out[each] = old._replace(text=text, shift=old.shift + end)
        run = [place] if line.text[:1] and line.text[0] in "|+" else []
    return out


def placed(remarks: Iterable[Remark], lines: Sequence[Line]) -> tuple[Remark, ...]:
    """Remarks about lines, with the columns that these have in the text as it came."""
    shifts = {line.number: line.shift for line in lines if line.shift}
    return tuple(each._replace(column=each.column + shifts.get(each.line, 0)) for each in remarks)


def few(remarks: Sequence[Remark], most: int = MAX_REMARKS) -> tuple[Remark, ...]:
    """The first `most` remarks; a last one counts the others."""
    if len(remarks) <= most:
        return tuple(remarks)
    last = remarks[most]
    return (*remarks[:most], last._replace(text=f"{len(remarks) - most} more remarks of this kind are left out"))


def load(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file of at most `MAX_BYTES`. PieceError: it cannot be read, or is larger."""
    return source.load(path, PieceError, MAX_BYTES)


_HALF = re.compile("[\ud800-\udfff]")


def text_of(data: bytes | str, file: str = "text") -> tuple[str, tuple[Remark, ...]]:
    """The text of some bytes: UTF-8, or UTF-16 with a mark; a byte that is neither becomes U+FFFD, with a remark.

    Half of a surrogate pair in a text, which no file can hold, does so too.
    """
    if isinstance(data, str):
        half = _HALF.search(data)
        if half is None:
            return data, ()
        at = half.start()
        place = data.count("\n", 0, at) + 1, at - data.rfind("\n", 0, at)
        return _HALF.sub("\ufffd", data), (
            Remark(file, *place, f"{data[at]!a} is half of a character; such halves are read as U+FFFD"),)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), ()
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        before = data[:error.start].decode("utf-8", errors="replace")
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        return data.decode("utf-8", errors="replace"), (
            Remark(file, *place, f"byte {data[error.start]:#04x} is not UTF-8; such bytes are read as U+FFFD"),)
