"""A flat x86-64 program as bytes, with its source beside them: what a `Processor` runs.

    program = assembled(source)         # where there is binutils
    program = compiled(source)          # C, where there is a compiler as well
    program = shipped("driver")         # without either

It is loaded at `BASE` and begins there. Eight bytes on is its second entry: each interrupt comes in there, whatever its
vector is, as if all gates of an interrupt descriptor table led to that place. So a program begins with two jumps.
In C it has two functions, `void start(...)` and `void handler(void)`; both jumps come with `compiled`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from vsim.readers.source import TextError

BASE, ENTRY = 0x10000, 8
"""Where a program is loaded and begins; how far behind is the place to which an interrupt leads."""
LONGEST = 1 << 16
"""Bytes of a program at most, and characters of a source and of a listing at most four and eight times as many."""
_SECONDS, _WIDTH, _LISTING = 20, 15, 128 * LONGEST      # a tool's time, bytes of a row, characters of as's listing
_LINE = re.compile(r"\s*(\d+) ([0-9a-f]{4,8}) [0-9A-F]")
_ROW = re.compile(r"([0-9a-f]{5,8}|\s{5,8}) ([0-9a-f]{2,30}|\s*?) *\| ?(.*)")
_LABEL = re.compile(r"([A-Za-z_]\w*):")
_SECTION = re.compile(r"\s*\.(section|data|bss|text)\b")
_NOP = b"\x90"
_IN_C = """\
        call start
1:      hlt
        jmp 1b
        push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11
        call handler
        pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax
        iretq
"""
"""What stands before a program in C, 8 bytes and then the handler's caller, which keeps the interrupted registers."""


class ProgramError(TextError):
    """A source that cannot be assembled, or a listing that is none."""


class Row(NamedTuple):
    """A line of the source. address, size: of its bytes; size is 0 when it has none, and address that of the next."""

    address: int
    size: int
    text: str


@dataclass(frozen=True)
class Program:
    """code: its bytes, from `BASE` on. rows: its source, line by line, if it is known.

    ValueError for more than `LONGEST` bytes, and for none.
    """

    code: bytes
    rows: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.code, bytes) or not 0 < len(self.code) <= LONGEST:
            what = f"{len(self.code)} bytes" if isinstance(self.code, bytes) else type(self.code).__name__
            raise ValueError(f"code is {what}; allowed: 1 to {LONGEST} bytes")

    def __repr__(self) -> str:
        return f"Program of {len(self.code)} bytes, {len(self.rows)} lines of source"

    @property
    def source(self) -> str:
        """The source, which `assembled` takes."""
        return "".join(f"{row.text}\n" for row in self.rows)

    @cached_property
    def labels(self) -> Mapping[str, int]:
        """The address of each label."""
        found = ((_LABEL.match(row.text), row.address) for row in self.rows)
        return {match[1]: address for match, address in found if match}

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {row.address: tidy(row.text) for row in self.rows if row.size}

    def text_at(self, address: int) -> str:
        """The instruction at an address, as its source has it; "" where that is not known."""
        return self._texts.get(address, "")

    def listing(self) -> str:
        """Address, bytes and source of each line: what `listed` reads."""
        out = []
        for address, size, text in self.rows:
            parts = [self._bytes(at, min(_WIDTH, address + size - at)) for at in range(address, address + size, _WIDTH)]
            head = f"{address:05x}" if size else "     "
            out.append(f"{head} {parts[0].hex() if parts else '':30} | {text}".rstrip())
            out += [f"      {part.hex():30} |" for part in parts[1:]]
        return "\n".join(out) + "\n"

    def _bytes(self, address: int, size: int) -> bytes:
        return self.code[address - BASE:address - BASE + size]

    # --- the same program with a mistake in it ---

    def without(self, label: str) -> Program:
        """The program with all instructions from a label to the next one replaced by such as do nothing.

        ValueError for a label that it has not.
        """
        first = self._address(label)
        last = min((at for at in self.labels.values() if at > first), default=BASE + len(self.code))
        rows = [row if not (first <= row.address < last and row.size) else row._replace(text=_left_out(row.text))
                for row in self.rows]
        return Program(self._with({first: _NOP * (last - first)}), tuple(rows))

    def exchanged(self, one: str, other: str) -> Program:
        """The program with the instructions at two labels in each other's place.

        ValueError unless both are of one size, or side by side. Nothing in them may depend on where they are.
        """
        (a, b) = sorted((self._row(one), self._row(other)))
        if a.size != b.size and a.address + a.size != b.address:
            raise ValueError(f"{one} has {a.size} bytes and {other} {b.size}; only neighbours may differ in size")
        moved = b.address + b.size - a.size
        code = self._with({a.address: self._bytes(*b[:2]), moved: self._bytes(*a[:2])})
        swapped = {a: b._replace(address=a.address), b: a._replace(address=moved)}
        return Program(code, tuple(swapped.get(row, row) for row in self.rows))

    def _with(self, changes: Mapping[int, bytes]) -> bytes:
        code = bytearray(self.code)
        for address, data in changes.items():
            code[address - BASE:address - BASE + len(data)] = data
        return bytes(code)

    def _address(self, label: str) -> int:
        if label not in self.labels:
            raise ValueError(f"no label {label[:40]!r}; labels are {', '.join(self.labels) or 'not known'}")
        return self.labels[label]

    def _row(self, label: str) -> Row:
        address = self._address(label)
        return next(row for row in self.rows if row.address == address and row.size)


def tidy(text: str) -> str:
    """A line of source without label, comment and indentation."""
    return " ".join(_LABEL.sub("", re.sub(r"^\d+:", "", text.partition("#")[0])).split())


def _left_out(text: str) -> str:
    label = _LABEL.match(text)
    return f"{label[0] if label else '':8}nop                     # left out: {tidy(text)}"


# --- how one is made ---


def binutils() -> bool:
    """Whether there are an assembler and a linker for this kind of program here."""
    return _native() and all(shutil.which(each) for each in ("as", "ld"))


def _native() -> bool:
    """Whether tools of this system make ELF for x86-64 unasked; others have other assemblers under the same name."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def assembled(source: str, file: str = "program") -> Program:
    """The program of a source in the syntax of GNU as. ProgramError with the line of a mistake, or without binutils."""
    _bounded(source, file, 4)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.s").write_text(f"\t.code64\n{source}\n", encoding="utf-8")
        _run(folder, file, 1, "as", "--64", "-o", "p.o", "-aln=p.lst", "--listing-lhs-width=4", "p.s")
        _run(folder, file, 0, "ld", "-N", "-Ttext", hex(BASE), "-e", "0", "--oformat", "binary", "-o", "p.bin", "p.o")
        _sized(Path(folder, "p.bin").stat().st_size, file)
        code = Path(folder, "p.bin").read_bytes()
        with open(Path(folder, "p.lst"), errors="replace") as stream:
            listing = stream.read(_LISTING)
    return Program(code, _rows(source.splitlines(), listing, len(code)))


def compiled(source: str, file: str = "program") -> Program:
    """The program of a source in C, with functions `start` and `handler`. ProgramError as for `assembled`."""
    _bounded(source, file, 4)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.c").write_text(source + "\n", encoding="utf-8")
        _run(folder, file, 0, "cc", "-S", "-O1", "-m64", "-Werror=implicit-function-declaration", "-ffreestanding",
             "-fno-pic", "-fno-stack-protector", "-mno-red-zone", "-mgeneral-regs-only", "-fcf-protection=none",
             "-fno-asynchronous-unwind-tables", "-o", "p.s", "p.c")
        made = Path(folder, "p.s").read_text(encoding="utf-8")
    return assembled(_IN_C + made, file)


def _bounded(text: str, file: str, times: int) -> None:
    if len(text) > times * LONGEST:
        raise ProgramError(file, 1, 1, f"found {len(text)} characters; allowed: up to {times * LONGEST}")


def _sized(size: int, file: str) -> None:
    if not 0 < size <= LONGEST:
        raise ProgramError(file, 1, 1, f"found {size} bytes of program; allowed: 1 to {LONGEST}")


def _run(folder: str, file: str, added: int, *command: str) -> None:
    """Run a tool in a folder. added: lines that stand before the source in what it reads."""
    if shutil.which(command[0]) is None or not _native():
        raise ProgramError(file, 1, 1, f"no {command[0]} for x86-64: on Linux install binutils, for C a compiler too")
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=_SECONDS, env={**os.environ, "LC_ALL": "C"})
    except subprocess.TimeoutExpired:
        raise ProgramError(file, 1, 1, f"{command[0]} did not end within {_SECONDS} s") from None
    if done.returncode:
        said = re.search(r"p\.[sc]:(\d+):(?:(\d+):)?\s*(?:fatal )?(?:[Ee]rror: )(.*)", done.stderr)
        line, column = (int(said[1]) - added, int(said[2] or 1)) if said else (1, 1)
        words = said[3] if said else (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise ProgramError(file, max(1, line), column, words[:200])


def _rows(lines: list[str], listing: str, length: int) -> tuple[Row, ...]:
    """The lines of a source with their bytes, by the assembler's listing; of the first section alone."""
    found: dict[int, int] = {}
    for each in listing.splitlines():
        if match := _LINE.match(each):
            found.setdefault(int(match[1]) - 2, int(match[2], 16))
    starts, other = list[tuple[int, int]](), False
    for number, text in enumerate(lines):
        if section := _SECTION.match(text):
            other = section[1] != "text" and ".text" not in text
        if number in found and not other:
            starts.append((number, BASE + found[number]))
    ends = {number: following for (number, _), (_, following) in pairwise([*starts, (-1, BASE + length)])}
    rows, at = list[Row](), dict(starts)
    following = BASE + length
    for number in range(len(lines) - 1, -1, -1):
        address = at.get(number, following)
        rows.append(Row(address, max(0, ends[number] - address) if number in at else 0, lines[number].rstrip()))
        following = address
    return tuple(reversed(rows))


def listed(text: str, file: str = "listing") -> Program:
    """The program of a listing. ProgramError, with line and column, for a text that is none."""
    _bounded(text, file, 8)
    code, rows, blank = bytearray(), list[Row](), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        match = _ROW.fullmatch(line.ljust(38))
        if match is None or len(match[2].strip()) % 2:
            raise ProgramError(file, number, 1, f"found {line[:40]!r}; a line is address, bytes, a bar and source")
        data, place, words = bytes.fromhex(match[2].strip()), match[1].strip(), match[3].rstrip()
        if place and int(place, 16) != BASE + len(code):
            raise ProgramError(file, number, 1, f"found address {place}; {BASE + len(code):05x} is the next")
        if data and not place:
            if not rows or blank:
                raise ProgramError(file, number, 1, "found bytes without an address; they go on with no line before")
            rows[-1] = rows[-1]._replace(size=rows[-1].size + len(data))
        elif data:
            rows += [Row(BASE + len(code), 0, each) for each in blank]
            rows.append(Row(BASE + len(code), len(data), words))
            blank = []
        else:
            blank.append(words)
        code += data
    rows += [Row(BASE + len(code), 0, each) for each in blank]
    _sized(len(code), file)
    return Program(bytes(code), tuple(rows))


def shipped(name: str) -> Program:
    """A program that comes with the kit: "driver". ValueError for another."""
    place = files("vsim.guest")
    known = sorted(each.name[:-4] for each in place.iterdir() if each.name.endswith(".lst"))
    if name not in known:
        raise ValueError(f"no program {name[:40]!r}; programs are {', '.join(known)}")
    return listed((place / f"{name}.lst").read_text(encoding="utf-8"), f"{name}.lst")
