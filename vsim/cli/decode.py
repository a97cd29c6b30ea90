"""`vsim decode TEXT|-`: one thing told: its bits, what refuses it, what would let it pass."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence

from vsim.explain.logged import QEMU_MESSAGES, QEMU_WORDS, tell_logged
from vsim.explain.messages import Known
from vsim.explain.pasted import told_row
from vsim.explain.things import KINDS, tell
from vsim.explain.told import Told
from vsim.findings import paste
from vsim.layouts.bits import parse_bdf
from vsim.readers import amd_log, linux_faults, qemu_trace, xen_faults
from vsim.readers.pieces import MAX_LINE, Line, Reading, lines_of
from vsim.readers.source import TextError

MAX_THINGS = 1000
"""Most things of one text."""

FLAGS = ("eime", "cfis", "pi")
_WORD = re.compile(r"\S+")
_HEX = re.compile(r"(?:0[xX])?[0-9A-Fa-f](?:[0-9A-Fa-f_]{0,40})")
_DECIMAL = re.compile(r"[0-9]{1,10}")


class DecodeError(TextError):
    """A text in which nothing is recognised, or a thing whose numbers do not fit: `FILE:LINE:COLUMN: ...`."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim decode`."""
    parser.description = "Tell one thing: a message, an entry, a register, a line of a log."
    parser.epilog = (
        "A TEXT is a line of a log that reports a fault, a row of a dump (lspci, a remapping table, registers), or "
        "KIND and numbers: "
        + "; ".join(f"{name} {' '.join(number.upper() for number, _ in kind.numbers)}"
                    for name, kind in list(KINDS.items())[:14])
        + "; or another register by its name. Numbers are hexadecimal, with 0x or without; an APIC ID without 0x is "
          "decimal. What is known of the unit may follow: eime=0|1 cfis=0|1 pi=0|1 entries=N from=BUS:DEV.FN. "
          "Exit status: 0 told, 2 nothing that can be told.")
    parser.add_argument("text", metavar="TEXT", nargs="+", help="what to tell; - reads standard input, a thing a line")
    parser.add_argument("--json", action="store_true", help="print one object: the things and their parts")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print every thing of the text. DecodeError: nothing recognised, or numbers that do not fit."""
    file, text = ("<stdin>", sys.stdin.read()) if args.text == ["-"] else ("<text>", " ".join(args.text))
    things = decoded(text, file)
    if args.json:
        print(json.dumps({"things": [thing.plain() for thing in things]}))
    else:
        print("\n\n".join(map(str, things)))
    return 0


def decoded(text: str, file: str = "<text>") -> tuple[Told, ...]:
    """The things of a text, each told; at most `MAX_THINGS`. DecodeError as for `run`."""
    lines, _ = lines_of(text, file)
    rows = [line for line in lines if line.text.strip()]
    if not rows:
        raise DecodeError(file, 1, 1, f"found nothing; allowed: {ALLOWED}")
    if not _kind(rows[0].text):
        things = dumped(rows)
        others = [line for line in rows if not told_row(line.text)] if things else rows
        return (*things, *logged(others, not things))[:MAX_THINGS]
    if len(rows) > MAX_THINGS:
        raise DecodeError(file, rows[MAX_THINGS].number, 1, f"found {len(rows)} lines; allowed: up to {MAX_THINGS}")
    return tuple(told for line in rows for told in (
        told_row(line.text) or (thing(line.text, line.file, line.number),)))


def dumped(lines: Sequence[Line]) -> tuple[Told, ...]:
    """The rows of dumps among the lines, each told; () when the first `MAX_THINGS` lines have none."""
    return tuple(told for line in lines[:MAX_THINGS] for told in told_row(line.text))


def _amd_events(lines: Sequence[Line]) -> Reading:
    """The events of AMD's IOMMUs; what their drivers say at boot is nothing to decode."""
    reading = amd_log.read(lines)
    return reading._replace(records=tuple(each for each in reading.records if isinstance(each, amd_log.Event)))


def _traced(lines: Sequence[Line]) -> Reading:
    """QEMU's events that show a word or a message, and the entries that it refused."""
    reading = qemu_trace.read(lines)
    return reading._replace(records=tuple(
        each for each in reading.records if isinstance(each, qemu_trace.Refusal)
        or each.name in QEMU_WORDS or each.name in QEMU_MESSAGES))


def logged(lines: Sequence[Line], needed: bool = True) -> tuple[Told, ...]:
    """What the lines of a log report, each told; what a reader left out is a remark of the last.

    DecodeError: nothing is reported, where something is needed.
    """
    readings = [reader(lines) for reader in READERS]
    records = sorted((record for reading in readings for record in reading.records), key=lambda each: each.line)
    remarks = tuple(str(remark) for reading in readings for remark in reading.remarks)
    if not records and not needed:
        return ()
    if not records:
        line = lines[0]
        found = f"found {line.text.strip()[:40]!a}; allowed: {ALLOWED}"
        for piece in paste.read([("", "\n".join(each.text for each in lines))]).pieces[:1]:
            found += f"; vsim read reads this ({piece.text})"
        raise DecodeError(line.file, line.number, _column(line.text), "; ".join((found, *remarks[:1])))
    things = [tell_logged(record) for record in records[:MAX_THINGS]]
    if len(records) > MAX_THINGS:
        remarks = (*remarks, f"left out: all behind the first {MAX_THINGS} of {len(records)}")
    things[-1] = things[-1]._replace(remarks=(*things[-1].remarks, *remarks))
    return tuple(things)


READERS = (linux_faults.read, xen_faults.read, _amd_events, _traced)
"""The readers of logs whose records `logged.tell_logged` tells."""

ALLOWED = (f"a fault line of a log, a row of a dump, or one of {', '.join(list(KINDS)[:9])} or a register's name, "
           "and its numbers")


def _column(row: str) -> int:
    return len(row) - len(row.lstrip()) + 1


def _kind(row: str) -> str:
    """The kind that a line names with its first word, or by being the address of a message; "" for none."""
    words = row.lower().split(maxsplit=1)
    name = words[0].rstrip(":=") if words else ""
    if re.fullmatch(r"(0x)?0{0,8}fee[0-9a-f]{5}", name):
        return "msi"
    return name if name in KINDS else ""


def thing(row: str, file: str, line: int) -> Told:
    """A line that begins with a kind, told. DecodeError: with the column of what does not fit."""
    words = list(_WORD.finditer(row))
    if not words:
        raise DecodeError(file, line, 1, f"found nothing; allowed: {ALLOWED}")
    kind = _kind(row)
    if not kind:
        raise DecodeError(file, line, words[0].start() + 1, f"found {words[0][0][:40]!a}; allowed: {ALLOWED}")
    if words[0][0].lower().rstrip(":=") == kind:
        del words[0]
    numbers: list[int] = []
    known = Known()
    for match in words:
        try:
            if "=" in match[0]:
                known = _learn(known, match[0])
            elif value := match[0].strip(",;[](){}"):
                numbers.extend(_numbers(kind, value, len(numbers)))
        except ValueError as error:
            raise DecodeError(file, line, match.start() + 1, str(error)) from None
    wanted = KINDS[kind].numbers
    if len(numbers) != len(wanted):
        raise DecodeError(file, line, min(len(row), MAX_LINE) + 1, f"found {len(numbers)} number(s); allowed: "
                          f"{kind} {' '.join(name.upper() for name, _ in wanted)}")
    return tell(kind, tuple(numbers), known, row.strip())


def _learn(known: Known, word: str) -> Known:
    """What a word name=value says. ValueError: another name, or a value that does not fit."""
    name, _, value = word.lower().partition("=")
    if name in FLAGS and value in ("0", "1"):
        return known._replace(**{name: int(value)})
    if name == "from":
        return known._replace(source=parse_bdf(value))
    if name == "entries" and (number := _number(value, decimal=True)) is not None and 0 < number <= 0x10000:
        return known._replace(entries=number)
    raise ValueError(f"found {word[:40]!a}; allowed: eime, cfis or pi with =0 or =1, entries=1 to 65536, "
                     "from=BUS:DEV.FN")


def _numbers(kind: str, word: str, before: int) -> Iterator[int]:
    """The numbers of a word; one of 128 bits is two halves. ValueError: none, or wider than what is asked."""
    value = _number(word, decimal=kind == "apicid")
    if value is None:
        raise ValueError(f"found {word[:40]!a}; allowed: a hexadecimal number")
    wanted = KINDS[kind].numbers
    if before == 0 and len(wanted) == 2 and wanted[0][1] == 64 and wanted[1][1] == 64 and value >> 64:
        yield from (value >> 64, value & (1 << 64) - 1)
        return
    name, size = wanted[min(before, len(wanted) - 1)]
    if value >> size:
        raise ValueError(f"found {word[:40]!a}; allowed: {name} of up to {size} bits")
    yield value


def _number(word: str, decimal: bool = False) -> int | None:
    if decimal and _DECIMAL.fullmatch(word):
        return int(word)
    digits = word.replace("_", "") if _HEX.fullmatch(word) else ""
    return int(digits, 16) if digits else None
