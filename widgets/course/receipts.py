"""`vsim receipts FILE...`: the lines that students hand in, checked, as a table for a teacher.

A receipt is one line of text: notebook, student, score, misconceptions met, and a signature. The signature tells a line
that was changed by hand; with a key of the teacher's own (`VSIM_COURSE_KEY`, set where the notebooks run and where
receipts are checked) also one that was made without the notebook.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import hmac
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vsim.cli import values

MAX_BYTES = 16 << 20
MAX_NAME = 60
_FORM = re.compile(r"vsim-receipt 1 notebook=([\w.-]{1,80}) student=([^\s=\\\"]{1,180}) score=(\d{1,3})/(\d{1,3}) "
                   r"tries=(\d{1,6}) met=((?:M\d{1,2}(?:,M\d{1,2})*)|-) sign=([0-9a-f]{16})")


class Receipt(NamedTuple):
    """What a student has done with a notebook. score: of `points`; met: ids of misconceptions that were shown."""

    notebook: str
    student: str
    score: int
    points: int
    tries: int
    met: tuple[str, ...]

    @property
    def body(self) -> str:
        """The line without its signature."""
        return (f"vsim-receipt 1 notebook={self.notebook} student={self.student} score={self.score}/{self.points} "
                f"tries={self.tries} met={','.join(self.met) or '-'}")


def name(text: str) -> str:
    """A student's name as it may stand in a receipt: letters, digits and a few signs, the rest become underlines."""
    return re.sub(r"[^\w.@+-]", "_", text.strip())[:MAX_NAME] or "guest"


def key() -> bytes:
    """The key that signs: the course's own, or the one that everybody has."""
    return os.environ.get("VSIM_COURSE_KEY", "everybody has this key").encode(errors="replace")


def signed(receipt: Receipt) -> str:
    """The line of a receipt."""
    return f"{receipt.body} sign={_signature(receipt.body)}"


def _signature(body: str) -> str:
    return hmac.new(key(), body.encode(), hashlib.sha256).hexdigest()[:16]


def found(text: str) -> Iterator[tuple[Receipt, bool]]:
    """Every receipt in a text, wherever it stands, and whether its signature is right."""
    for match in _FORM.finditer(text):
        notebook, student, score, points, tries, met, sign = match.groups()
        receipt = Receipt(notebook, student, int(score), int(points), int(tries),
                          () if met == "-" else tuple(met.split(",")))
        yield receipt, hmac.compare_digest(_signature(receipt.body), sign)


class Row(NamedTuple):
    """A receipt as a teacher sees it. state: "good", or "changed" when the signature is wrong."""

    file: str
    receipt: Receipt
    state: str


def collected(paths: Iterable[Path]) -> tuple[list[Row], list[str]]:
    """The receipts in files and folders, the best of each student and notebook; and what could not be read."""
    best: dict[tuple[str, str], Row] = {}
    wrong, problems = list[Row](), list[str]()
    for path in paths:
        try:
            if path.stat().st_size > MAX_BYTES:
                problems.append(f"{path}:1:1: larger than {MAX_BYTES} bytes")
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            problems.append(f"{path}:1:1: cannot be read: {error.strerror or error}")
            continue
        for receipt, good in found(text):
            row = Row(path.name, receipt, "good" if good else "changed")
            if not good:
                wrong.append(row)
                continue
            place = (receipt.student, receipt.notebook)
            if place not in best or receipt.score > best[place].receipt.score:
                best[place] = row
    return [*sorted(best.values(), key=lambda row: (row.receipt.student, row.receipt.notebook)), *wrong], problems


def files(given: Iterable[str]) -> Iterator[Path]:
    """The files that are named, and those of folders, hidden ones left out."""
    for each in map(Path, given):
        if each.is_dir():
            yield from sorted(path for path in each.rglob("*") if path.is_file()
                              and not any(part.startswith(".") for part in path.relative_to(each).parts))
        else:
            yield each


def register(parser: argparse.ArgumentParser) -> None:
    """check students' receipts and table them"""
    parser.description = "Check the receipt lines in files or folders (text, notebooks, mails) and table them as CSV."
    parser.add_argument("files", nargs="+", metavar="FILE", type=values.name, help="files or folders")
    parser.set_defaults(func=_main)


def _main(args: argparse.Namespace) -> int:
    """Exit status 0 when all are good, 1 when one was changed or there is none, 2 when a file cannot be read."""
    rows, problems = collected(files(args.files))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("student", "notebook", "score", "points", "tries", "misconceptions", "state", "file"))
    for file, receipt, state in rows:
        writer.writerow((_plain(receipt.student), receipt.notebook, receipt.score, receipt.points, receipt.tries,
                         " ".join(receipt.met), state, _plain(file)))
    for problem in problems or (() if rows else ("vsim: receipts: no receipt line was found",)):
        print(problem, file=sys.stderr)
    return 2 if problems else 1 if not rows or any(row.state != "good" for row in rows) else 0


def _plain(text: str) -> str:
    """Text that no table program takes for a formula, and no terminal for a command."""
    shown = text.encode("ascii", "backslashreplace").decode()
    shown = re.sub(r"[\x00-\x1f\x7f]", "?", shown)
    return f"'{shown}" if shown[:1] in "=+-@" else shown
