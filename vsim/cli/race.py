"""`vsim race [NAME]`: a change of an interrupt, and a device that fires between any two of its writes."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext

from vsim.cli import values
from vsim.guest.cpu import DUTIES
from vsim.scale import run
from vsim.scale.races import BAD, RACES, WORDS, race, table


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim race`."""
    parser.add_argument("name", nargs="?", choices=RACES, metavar="NAME",
                        help=f"one of: {'; '.join(RACES)} (without it all of them)")
    parser.add_argument("--skip", action="append", default=[], choices=DUTIES, metavar="DUTY",
                        help=f"leave a duty of the kernel out: {', '.join(DUTIES)}")
    parser.add_argument("--workers", type=values.processes, default=0, metavar="N",
                        help="processes (default: all is done here)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=_main)


def _main(args: argparse.Namespace) -> int:
    """Exit status 0 when no order loses, doubles or misroutes the interrupt, 1 when one does."""
    bad = False
    found = {}
    with run.processes(args.workers) if args.workers > 0 else nullcontext() as executor:
        for name in [args.name] if args.name else RACES:
            orders = race(RACES[name], args.skip, executor)
            bad |= any(order.word in BAD for order in orders)
            found[name] = [order._asdict() for order in orders]
            if not args.json:
                words = [word for word in WORDS if any(order.word == word for order in orders)]
                print(f"{name}: {RACES[name].sentence}\n\n{table(orders)}\n")
                print("\n".join(f"  {word}: {WORDS[word]}" for word in words) + "\n")
    if args.json:
        print(json.dumps(found))
    return 1 if bad else 0
