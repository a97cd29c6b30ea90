"""A kernel's log as one text: what is wrapped over line ends is found, and every place has its line again.

    log = Log(lines)
    match = PATTERN.search(log.text)
    log.line(match.start()), log.time(match.start())

Mail programs wrap lines and put marks of a quotation before them; consoles put a time before each.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from vsim.readers.pieces import Line, Remark

STAMP = r"\[ *(?:\d{1,12}\.\d{1,9}|[A-Z][a-z]{2} [A-Z][a-z]{2} [^\]\n]{1,30})\]"
"""Pattern of a time that a console or dmesg puts before a line: "[   58.435452]", or a day and time (dmesg -T)."""
GAP = rf"(?:[ \t]+|[ \t]*=?\n[ \t>|]*(?:{STAMP}[ \t]*)?(?:DMAR: *)?)"
"""Pattern of what stands between two words of a line: blanks, or a line end and what the next line begins with. A mail
in quoted-printable has a = before the line end."""
_STAMP = re.compile(STAMP)
_SECONDS = re.compile(r"\[ *(\d{1,12}\.\d{1,9})\]")
_TORN = re.compile(r"\[ *\n *(\d{1,12}\.\d{1,9})\]")


class Log:
    """Lines as one text. Offsets count from 0."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.text = "\n".join(line.text for line in lines)
        self._starts = list(accumulate((len(line.text) + 1 for line in lines), initial=0))

    def number(self, at: int) -> int:
        """Place in `lines` of the line that the offset is in."""
        return bisect_right(self._starts, at) - 1

    def line(self, at: int) -> Line:
        """The line that the offset is in."""
        return self.lines[self.number(at)]

    def time(self, at: int) -> str:
        """The seconds that stand before the offset in its line, as they are written; "" where none do."""
        number = self.number(at)
        stamps = _SECONDS.findall(self.text, self._starts[number], at)
        if not stamps and number:       # a mail program may have broken the line within the time
            torn = _TORN.search(self.text, self._starts[number - 1], at)
            stamps = [torn[1]] if torn else []
        return stamps[-1] if stamps else ""

    def remark(self, at: int, text: str) -> Remark:
        """A remark about the offset."""
        line = self.line(at)
        return Remark(line.file, line.number, at - self._starts[self.number(at)] + 1, text)


_FILE = re.compile(r"\S{0,200}?(?:\b(?:ir_translation_struct|iommu_regset|invalidation_queue|dmar_translation_struct|"
                   r"interrupts|dmesg|trace)|\.(?:log|txt))[:-](?:\d{1,7}[:-])?")


_LEVEL = re.compile(r"(?:kern|user|daemon|syslog) {0,4}:[a-z]{2,7} {0,4}: |"
                    r"(?:[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.+Z-]{8,30}) \S{1,64} kernel: ")
"""What `dmesg -x` puts before a line, facility and level; what syslog and journalctl do, time and host."""


def bare(text: str) -> str:
    """A line without the marks of a quotation, its level, the file's name that grep puts before it, and the time."""
    text = text.lstrip(" \t>|")
    if match := _LEVEL.match(text):
        text = text[match.end():]
    if match := _FILE.match(text):
        text = text[match.end():].lstrip()
    match = _STAMP.match(text)
    return text[match.end():].lstrip() if match else text
