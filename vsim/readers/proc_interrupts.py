"""Counts of interrupts: /proc/interrupts of Linux, of any age, with or without its heading.

    for record in read(lines).records: ...      # Heading, Row

The heading names the CPUs that are online: their numbers have gaps, and a CPU's number is not its APIC ID. Forms of
what stands behind the counts (kernel/irq/proc.c):

    up to 3.19   IR-IO-APIC-fasteoi   acpi              IR-PCI-MSI-edge      eth0
    4.0 to 6.1   IR-IO-APIC   9-fasteoi   acpi          IR-PCI-MSI 512000-edge      ahci[0000:00:1f.2]
    since        IR-IO-APIC   9-fasteoi   acpi          IR-PCI-MSIX-0000:01:00.0   3-edge      eth1-TxRx-2

From 4.0 to 6.1 the number of a PCI message is segment << 27 | requester << 11 | message (drivers/pci/msi.c).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsim.readers.logs import bare
from vsim.readers.pieces import MAX_LINE, TERMINALS, Line, Reading, Remark, few

MAX_CPUS = 8192
"""Most CPUs of a heading."""
MAX_ROWS = 200_000
"""Most rows of one reading."""
MAX_WRAPS = 1024
"""Most lines that a heading is wrapped over."""
ROOM = 64
"""A line that was wrapped and the next one's first word have at least so many characters together."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The CPUs of the rows below, by Linux's numbers."""

    file: str
    line: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row. label: as printed, "24" or "NMI"; counts: of the CPUs in `cpus`, which is () without a heading.

    chip: "IR-PCI-MSIX-0000:01:00.0"; hwirq: the number that follows it; trigger: "edge", "fasteoi"; names: of the
    handlers, for a row of words what it says.
    """

    file: str
    line: int
    label: str
    counts: tuple[int, ...]
    cpus: tuple[int, ...] = ()
    chip: str = ""
    hwirq: int | None = None
    trigger: str = ""
    names: tuple[str, ...] = ()

    @property
    def irq(self) -> int:
        """Linux's number of the interrupt, -1 for a row of words."""
        return int(self.label) if self.label.isdecimal() else -1

    @property
    def total(self) -> int:
        """All counts together."""
        return sum(self.counts)

    def on(self, cpu: int) -> int | None:
        """The count of a CPU, None where the row has none for it."""
        place = self.cpus.index(cpu) if cpu in self.cpus else len(self.counts)
        return self.counts[place] if place < len(self.counts) else None

    @property
    def remapped(self) -> bool:
        """Whether the interrupt passes a remapping unit: its chip's name begins with IR-."""
        return self.chip.startswith("IR-")

    @property
    def pin(self) -> int | None:
        """Pin of the I/O APIC that it comes from; which I/O APIC is not said."""
        return self.hwirq if self.chip.endswith("IO-APIC") else None

    @property
    def source(self) -> tuple[int, int, int] | None:
        """(segment, requester, number of the message) of a PCI message, where the row says it."""
        match = _FUNCTION.search(self.chip)
        if match and int(match[3], 16) < 32:
            segment, bus, device, function = (int(part, 16) for part in match.groups())
            return segment, bus << 8 | device << 3 | function, (self.hwirq or 0) & 0x7FF
        if self.hwirq is not None and re.fullmatch(r"(?:IR-)?PCI-MSI", self.chip):
            return self.hwirq >> 27, self.hwirq >> 11 & 0xFFFF, self.hwirq & 0x7FF
        return None


_FUNCTION = re.compile(r"PCI-MSIX?-([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")
_CPU = re.compile(r"CPU\s?(\d{1,5})")
_HEADING = re.compile(r"\s*(?:CPU\s?\d{1,5}\s*)+")
_TRIGGER = re.compile(r"-(?:edge|fasteoi|level)\b")
_BEGUN = re.compile(r"\s+CPU\s?\d")
_BROKEN = re.compile(r"\s+CPU|P?U\s?\d|\d+(?:\s+C|\s*$)")
_PART = re.compile(_HEADING.pattern + "(?:CP?U?)?")
_LABEL = re.compile(r"\s*(0|[1-9]\d{0,6}|[A-Z][A-Z0-9]{2,3}):(?:\s|$)")
_TAILS = (re.compile(r"(?P<chip>\S.{0,80}?)\s+(?P<hwirq>\d{1,20})-(?P<trigger>[A-Za-z]\w{0,15})(?:\s+(?P<names>.*))?"),
          re.compile(r"(?P<chip>\S{1,80}?)-(?P<trigger>edge|fasteoi|level|XT-PIC|percpu)(?:-(?:edge|level|fasteoi))?"
                     r"(?:\s+(?P<names>.*))?"),
          re.compile(r"(?P<chip>[A-Za-z]\S{0,80})\s+(?P<hwirq>\d{1,20})(?:\s+(?P<trigger>Edge|Level))?"
                     r"(?:\s+(?P<names>.*))?"),
          re.compile(r"(?P<chip>[A-Za-z]\S{0,80})(?:\s+(?P<names>.*))?"))
_WORDS = ("NMI", "LOC", "SPU", "PMI", "IWI", "RTR", "RES", "CAL", "TLB", "TRM", "THR", "DFR", "MCE", "MCP", "HYP",
          "HRE", "HVS", "ERR", "MIS", "PIN", "NPI", "PIW", "PMN")


def read(lines: Sequence[Line]) -> Reading:
    """Headings and rows of a text, in its order."""
    lines = _unbroken(lines)
    reader = _Reader(lines)
    at = 0
    while at < len(lines):
        if len(reader.records) >= MAX_ROWS:
            reader.tell(lines[at], f"left out: all behind the first {MAX_ROWS} rows")
            break
        at += reader.take(at)
    return Reading(tuple(reader.records), few(reader.remarks))


def _unbroken(lines: Sequence[Line]) -> Sequence[Line]:
    """The lines of tables that a terminal has broken at its width, within words and numbers, as they were.

    The heading tells: it ends with blanks, or goes on in the next line with blanks or within a word, as a mail program
    does not break it. Else a row does that has a terminal's usual width.
    """
    out, width = list[Line](), 0
    for line in lines:
        last = out[-1].text if out else ""
        broken = _BROKEN.match(line.text) or (last.endswith("  ") and line.text.startswith("CPU"))
        if not width and len(last) >= ROOM and _BEGUN.match(last) and broken:
            width = len(last) if _PART.fullmatch(last + line.text) else 0
        elif not width and len(last) in TERMINALS and _LABEL.match(last):
            width = len(last)
        full = width and last and len(last) % width == 0 and len(last) < MAX_LINE
        if full and line.text.strip() and not _LABEL.match(line.text):
            out[-1] = out[-1]._replace(text=last + line.text)
            continue
        if not line.text.strip() or _BEGUN.match(line.text):
            width = 0
        out.append(line)
    return out


class _Reader:
    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.records: list[Heading | Row] = []
        self.remarks: list[Remark] = []
        self.cpus: tuple[int, ...] = ()
        self.seen: set[str] = set()

    def tell(self, line: Line, text: str) -> None:
        """A remark about the first word of a line."""
        self.remarks.append(Remark(line.file, line.number, len(line.text) - len(line.text.lstrip()) + 1, text))

    def take(self, at: int) -> int:
        """Read what begins at a line; how many lines it took."""
        line = self.lines[at]
        text = bare(line.text)
        if text.startswith("CPU") and _HEADING.fullmatch(text):
            return self._heading(at)
        match = _LABEL.match(text)
        return self._row(at, match[1], text[match.end():]) if match else 1

    def _heading(self, at: int) -> int:
        cpus: list[int] = []
        taken = 0
        while taken < MAX_WRAPS and at + taken < len(self.lines):
            text = bare(self.lines[at + taken].text)
            more = [int(number) for number in _CPU.findall(text)] if _HEADING.fullmatch(text) else []
            if not more or (cpus and more[0] <= cpus[-1]):
                break
            cpus += more
            taken += 1
        if len(cpus) > MAX_CPUS or sorted(set(cpus)) != cpus:
            self.tell(self.lines[at], "left out: a heading whose CPUs are not in order, or too many")
            cpus = []
        self.cpus, self.seen = tuple(cpus), set()
        if cpus:
            self.records.append(Heading(self.lines[at].file, self.lines[at].number, self.cpus))
        return max(taken, 1)

    def _row(self, at: int, label: str, text: str) -> int:
        most = len(self.cpus) or MAX_CPUS
        counts, tail = _counts(text, most)
        taken = 1
        while not tail and self.cpus and label not in ("ERR", "MIS") and (following := self._next(at + taken)):
            more, tail = _counts(following, most - len(counts))
            if not more and len(counts) < most:
                tail = ""
                break
            counts += more
            taken += 1
        for _ in range(3):
            if self.cpus and tail and self._goes_on(at + taken - 1, tail):
                rest = self._next(at + taken).strip()
                tail += rest if tail.endswith("-") or _TRIGGER.match(rest) else f" {rest}"
                taken += 1
        line = self.lines[at]
        row = _made(line, label, counts, self.cpus, tail)
        if not self.cpus and (not counts or (label not in _WORDS and not row.trigger)):
            return 1  # a row of some other table
        if self.cpus and (not counts or (label.isdecimal() and not row.chip and self._elsewhere(label, tail))):
            return 1
        if self.cpus and len(counts) < most and label not in ("ERR", "MIS"):
            self.tell(line, f"row {label} has {len(counts)} counts for {most} CPUs")
        if label in self.seen:
            self.tell(line, f"row {label} again below the same heading")
        self.seen.add(label)
        self.records.append(row)
        return taken

    def _elsewhere(self, label: str, tail: str) -> bool:
        """Whether a number and counts without a chip are of some other table: a dump of bytes, QEMU's `info irq`.

        Linux has its interrupts in their order, and the rows of words below them.
        """
        numbers = [int(each) for each in self.seen if each.isdecimal()]
        return bool(tail) or len(numbers) < len(self.seen) or int(label) <= max(numbers, default=-1)

    def _next(self, at: int) -> str:
        """The line at a place when it can be the rest of a row, else ""."""
        text = bare(self.lines[at].text) if at < len(self.lines) else ""
        return "" if not text.strip() or _LABEL.match(text) or text.startswith("CPU") else text

    def _goes_on(self, at: int, tail: str) -> bool:
        """Whether the names of a row go on in the next line: they end early, and its first word had no room."""
        ends = re.search(r",$|-$|\d-[a-z]+$|\s\d+$|^\S+$", tail)
        following = self._next(at + 1).split(None, 1)
        return bool(ends and following and len(self.lines[at].text.rstrip()) + len(following[0]) >= ROOM)


def _counts(text: str, most: int) -> tuple[list[int], str]:
    """The counts at the beginning of a text, at most so many, and what stands behind them."""
    run = _RUN.match(text)
    words = run[0].split() if run else []
    if len(words) > most:
        return [int(word) for word in words[:most]], text.split(None, most)[most].strip() if most else text.strip()
    return [int(word) for word in words], text[run.end():].strip() if run else text.strip()


_RUN = re.compile(r"(?:\s*\d{1,20}(?=\s|$))*")


def _made(line: Line, label: str, counts: list[int], cpus: tuple[int, ...], tail: str) -> Row:
    if not label.isdecimal():
        return Row(line.file, line.number, label, tuple(counts), cpus, names=(tail[:200],) if tail else ())
    match = next((found for form in _TAILS if (found := form.fullmatch(tail[:1000]))), None)
    if match is None:
        return Row(line.file, line.number, label, tuple(counts), cpus)
    parts = match.groupdict()
    names = tuple(name.strip() for name in (parts["names"] or "").split(", ") if name.strip())
    number = parts.get("hwirq")
    return Row(line.file, line.number, label, tuple(counts), cpus, parts["chip"], int(number) if number else None,
               (parts.get("trigger") or "").lower(), names)
