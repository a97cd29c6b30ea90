"""`vsim diff A B`: two dumps or traces of the same kinds compared, aligned by what they mean."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vsim.cli import values
from vsim.findings.catalogue import examine
from vsim.findings.compare import compare
from vsim.findings.paste import gather


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim diff`."""
    parser.description = "Compare a good and a bad host, or two runs: dumps by what things are, traces in their order."
    parser.epilog = "Exit status: 0 no difference, 1 differences, 2 nothing that both have."
    parser.add_argument("a", metavar="A", type=values.name, help="a file or a folder")
    parser.add_argument("b", metavar="B", type=values.name, help="another")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Read both sides and print what they do not share. PieceError: a file that cannot be read."""
    compared = compare(*(examine(gather([Path(each)])) for each in (args.a, args.b)))
    print(json.dumps(compared.to_dict()) if args.json else "\n".join(compared.lines()))
    if not compared.kinds:
        return 2
    return 1 if compared.differences or compared.first else 0
