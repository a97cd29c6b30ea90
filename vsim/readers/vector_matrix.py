"""Which vectors are taken on which CPU, and the domains of Linux: the files of /sys/kernel/debug/irq/domains.

    for record in read(lines).records: ...      # Domain, Matrix

Every domain whose parent is VECTOR prints the matrix again (kernel/irq/irqdomain.c, kernel/irq/matrix.c); equal ones
are given once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vsim.readers import debugfs_files, ranges
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.ranges import Ranges

MAX_RECORDS = 100_000
"""Most domains and matrices of one reading."""


@dataclass(frozen=True, slots=True)
class Domain:
    """One interrupt domain. size: numbers that it can give, 0 no limit; mapped: given; parent: "" for none."""

    file: str
    line: int
    name: str
    size: int = 0
    mapped: int = 0
    flags: int = 0
    parent: str = ""


@dataclass(frozen=True, slots=True)
class CpuVectors:
    """A CPU's vectors. available: free; managed: set aside for managed interrupts, managed_allocated of them given
    (-1 in kernels before 4.19, which do not say it); allocated: given; vectors: which those are."""

    line: int
    cpu: int
    available: int
    managed: int
    managed_allocated: int
    allocated: int
    vectors: Ranges


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of a machine at one time. available: free on all CPUs; reserved: promised, not given; allocated:
    given; system: vectors that no device gets; cpus: those that are online."""

    file: str
    line: int
    online: int = 0
    available: int = 0
    reserved: int = 0
    allocated: int = 0
    system: Ranges = ()
    cpus: tuple[CpuVectors, ...] = ()

    def cpu(self, number: int) -> CpuVectors | None:
        """The row of a CPU."""
        return next((row for row in self.cpus if row.cpu == number), None)

    @property
    def full(self) -> tuple[int, ...]:
        """CPUs without a free vector."""
        return tuple(row.cpu for row in self.cpus if row.available == 0)


_TOTALS = {"Online bitmaps": "online", "Global available": "available", "Global reserved": "reserved",
           "Total allocated": "allocated"}
_SYSTEM = re.compile(r"System: +(\d{1,6}): *(.*)")
_ROW = re.compile(r"(?:\* *)?(\d{1,6})((?: +\d{1,6}){3,4})(?: +([\d,-]+))?$")
_LIKE = re.compile(r"(?:\* *)?\d{1,9}(?: +[-\d,]{1,400})+$")
_HEAD = re.compile(r"\| CPU \|(.*)\| vectors")


def read(lines: Sequence[Line]) -> Reading:
    """Domains and matrices of a text, each once, in the order in which they stand there."""
    reader = _Reader()
    for part in debugfs_files.parts(lines):
        reader.take(part)
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(part, f"left out: all behind the first {MAX_RECORDS} domains")
            break
    reader.close()
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Domain | Matrix] = []
        self.remarks: list[Remark] = []
        self.seen: set[tuple[object, ...]] = set()
        self.domain: Domain | None = None
        self.matrix: Matrix | None = None
        self.rows: dict[int, CpuVectors] = {}
        self.columns = 4

    def tell(self, part: debugfs_files.Part, text: str) -> None:
        """A remark about the beginning of a part's text."""
        at = len(part.text) - len(part.text.lstrip())
        self.remarks.append(Remark(part.line.file, part.line.number, part.shift + at + 1, text))

    def take(self, part: debugfs_files.Part) -> None:
        text = part.text.strip()
        if part.new or text.startswith("handler:"):
            self.close()
        if not text or part.kind == "irqs":
            return
        key, colon, value = text.partition(":")
        value = value.strip()
        if key == "name" and colon:
            self._close_domain()
            self.domain = Domain(part.line.file, part.line.number, value[:200])
        elif key in _TOTALS and value.isdecimal() and len(value) < 10:
            self._total(part, _TOTALS[key], int(value))
        elif self.matrix is not None and (match := _SYSTEM.match(text)):
            self._system(part, match)
        elif match := _HEAD.search(text):
            self.columns = match[1].count("|") + 1
        elif self.matrix is not None and _LIKE.match(text):
            self._row(part, text)
        elif self.matrix is not None and text[0].isdecimal():       # another text begins
            self.close()
        elif self.domain is not None:
            self._fact(key, value)

    def _fact(self, key: str, value: str) -> None:
        domain = self.domain
        assert domain is not None
        if key in ("size", "mapped") and value.isdecimal() and len(value) < 12:
            number = int(value)
            self.domain = replace(domain, size=number) if key == "size" else replace(domain, mapped=number)
        elif key == "flags" and re.fullmatch(r"0x[0-9a-fA-F]{1,16}", value):
            self.domain = replace(domain, flags=int(value, 16))
        elif key == "parent":
            self.domain = replace(domain, parent=value[:200])

    def _total(self, part: debugfs_files.Part, name: str, number: int) -> None:
        if name == "online":
            self.close()
        if self.matrix is None:
            self.matrix = Matrix(part.line.file, part.line.number)
        changes: dict[str, Any] = {name: number}
        self.matrix = replace(self.matrix, **changes)

    def _system(self, part: debugfs_files.Part, match: re.Match[str]) -> None:
        runs = ranges.parse(match[2])
        if runs is None:
            self.tell(part, f"left out: the system's vectors are {match[2][:40]!r}")
        else:
            assert self.matrix is not None
            self.matrix = replace(self.matrix, system=runs)
            if ranges.count(runs) != int(match[1]):
                self.tell(part, f"the system has {match[1]} vectors, its list {ranges.count(runs)}")

    def _row(self, part: debugfs_files.Part, text: str) -> None:
        match = _ROW.match(text)
        numbers = [int(number) for number in match[2].split()] if match else []
        vectors = ranges.parse(match[3] or "") if match else None
        if match and len(numbers) == 4 and self.columns == 3 and not match[3]:  # the fourth is the list's
            vectors, numbers = ranges.of([numbers[3]]), numbers[:3]
        if match is None or vectors is None or len(numbers) != self.columns:
            self.tell(part, f"left out: a row of {self.columns} numbers and a list is wanted, found {text[:40]!r}")
            return
        available, managed, *more, allocated = numbers
        row = CpuVectors(part.line.number, int(match[1]), available, managed, more[0] if more else -1, allocated,
                         vectors)
        if row.cpu in self.rows:
            self.tell(part, f"left out: CPU {row.cpu} again")
            return
        if ranges.count(vectors) != allocated:
            self.tell(part, f"CPU {row.cpu} has {allocated} vectors given, its list {ranges.count(vectors)}")
        self.rows[row.cpu] = row

    def _close_domain(self) -> None:
        domain, self.domain = self.domain, None
        if domain:
            self._give(domain, (domain.name, domain.size, domain.mapped, domain.flags, domain.parent))

    def close(self) -> None:
        """Give what was begun, and forget it."""
        self._close_domain()
        matrix, rows = self.matrix, tuple(self.rows.values())
        self.matrix, self.rows, self.columns = None, {}, 4
        if matrix:
            bare = tuple((row.cpu, row.available, row.managed, row.allocated, row.vectors) for row in rows)
            self._give(replace(matrix, cpus=rows), (matrix.online, matrix.available, matrix.reserved,
                                                  matrix.allocated, matrix.system, bare))

    def _give(self, record: Domain | Matrix, key: tuple[object, ...]) -> None:
        if (record.file, *key) not in self.seen:
            self.seen.add((record.file, *key))
            self.records.append(record)

