"""`vsim read FILE...`: dumps and logs put together: what they are, the machine that they show, what does not fit."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from vsim.cli import values
from vsim.findings import clean, tell
from vsim.findings.catalogue import CATALOGUE, examine
from vsim.findings.paste import gather
from vsim.history import whole
from vsim.replay import recording
from vsim.replay.boot import NOTES

UNREADABLE = 2
"""Exit status when nothing was recognised."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim read`."""
    parser.description = "Read dumps and logs together, and check them against one another."
    parser.epilog = ("Texts are recognised by what is in them, several in one file. Exit status: 0 nothing found, 1 "
                     "findings, 2 nothing that can be read.")
    parser.add_argument("files", metavar="FILE", nargs="*", type=values.name,
                        help="files, folders, recordings (their guest's dumps); - reads standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--clean", metavar="OUT", type=values.place,
                        help="only write the texts without addresses and names of people and machines: to a file, or "
                        "to a folder when there are several")
    parser.add_argument("--rules", action="store_true", help="print the catalogue of cross-checks")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Read all sources. PieceError: a file that cannot be read. Misused: no file."""
    if args.rules:
        print("\n".join(f"{row.name} ({row.severity}): {row.sentence} {row.todo} [{row.source}]" for row in CATALOGUE))
        return 0
    if not args.files:
        raise values.Misused("read: no file is given; - reads standard input")
    found = list(sources(args.files))
    if args.clean is not None:
        return cleaned(found, args.clean)
    examined = examine(found)
    print(json.dumps(tell.to_dict(examined)) if args.json else "\n".join(tell.lines(examined)))
    if not examined.pasted.pieces:
        print("vsim: read: nothing is recognised in what was given", file=sys.stderr)
        return UNREADABLE
    return 1 if examined.findings else 0


def sources(names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file; of a folder those in it, by name, of a recording its guest's dumps."""
    for name in names:
        if name == "-":
            yield "<stdin>", sys.stdin.buffer.read()
        elif recording.has_head(name):
            dumps = recording.load(name).dumps
            yield from ((f"{name}:{each}", text.encode()) for each, text in dumps.items() if each not in NOTES)
        else:
            for each, data in gather([Path(name)]):
                yield each, data if isinstance(data, bytes) else data.encode()


def cleaned(found: list[tuple[str, bytes]], out: Path) -> int:
    """Write the texts without names; what went is counted on standard output. A file that is there is an error."""
    several = len(found) > 1
    if several:
        out.mkdir(exist_ok=True)
    for number, (name, data) in enumerate(found):
        target = out / f"{number:03d}-{Path(name).name.strip('<>')}" if several else out
        kept, counts = clean.cleaned(name, data)
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        whole.write(target, kept if isinstance(kept, bytes) else kept.encode())
        what = ", ".join(f"{count} {rule}" for rule, count in sorted(counts.items())) or "nothing"
        print(f"{target}: removed {what}")
    return 0
