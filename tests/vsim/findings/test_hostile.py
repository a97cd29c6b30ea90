"""Texts as they arrive: other line ends, marks, encodings, two writers at once, torn and cut lines."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vsim.findings.machine_texts import machine
from vsim.findings.catalogue import examine
from vsim.findings.rebuild import rebuild, replay

WHOLE = "\n".join(machine().values()) + "\n[ 1.0] DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x33 " \
    "[fault reason 0x22] Present field in the IRTE entry is clear\n"
PIECES = [(each.kind, each.count) for each in examine([("whole", WHOLE)]).pasted.pieces]


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n").encode(), lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: text.encode("utf-16"), lambda text: text.encode() + b"\n\xff\xfe\x80 bytes\n",
    lambda text: text.encode() + b"\0\0\0\n" + b"y" * (1 << 20), lambda text: text.replace("\n", "\n\n\n").encode(),
], ids=["CRLF", "mark", "UTF-16", "no UTF-8", "NUL and a line of a megabyte", "blank lines"])
def test_the_same_is_read_whatever_the_text_is_written_in(change):
    report = examine([("t", change(WHOLE))])
    found = [(each.kind, each.count) for each in report.pasted.pieces]
    if change(WHOLE).count(b"\n\n\n") > 10:      # a blank line ends a function and a row of bytes
        found = [each for each in found if each[0] not in ("lspci", "tables")]
        assert set(found) <= set(PIECES)
    else:
        assert found == PIECES


@settings(max_examples=60)
@given(st.integers(0, 1 << 32))
def test_two_writers_torn_lines_and_lost_characters_make_remarks_never_exceptions(seed):
    chance = random.Random(seed)
    lines = WHOLE.split("\n")
    for _ in range(chance.randrange(40)):
        place = chance.randrange(len(lines))
        cut = chance.randrange(len(lines[place]) + 1)
        match chance.randrange(5):
            case 0:
                lines[place] = lines[place][:cut]
            case 1:
                lines[place:place + 1] = [lines[place][:cut], lines[place][cut:]]
            case 2:
                lines[place] = lines[place][:cut] + chance.choice(lines) + lines[place][cut:]
            case 3:
                lines.insert(place, chance.choice(lines))
            case _:
                lines[place] = lines[place][:cut] + chance.choice("\0\x1b\u202e<&\"'%s0fF:[]") + lines[place][cut + 1:]
    report = examine([("t", "\n".join(lines))])
    for remark in report.pasted.remarks:
        assert remark.file == "t" and 1 <= remark.line <= len(lines) and remark.column >= 1
    for finding in report.findings:
        assert all(1 <= side.line <= len(lines) for side in finding.sides)
    try:
        built = rebuild(report.picture)
    except ValueError as error:
        assert str(error)
    else:
        for fault in report.picture.faults[:3]:
            assert replay(built, fault).note
