"""`vsim sweep SPEC.toml -o OUT.csv`: a grid of cases, run on all processors or on a cluster.

An interrupted sweep goes on from its own output. The same specification gives the same rows, whoever runs them in
whatever order.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

from vsim.cli import values
from vsim.cli.main import Unavailable
from vsim.cli.waiting import progress
from vsim.scale.cell import cell
from vsim.scale.grid import MAX_CELLS, load
from vsim.scale.rows import Output
from vsim.scale.run import results

ANSWER = 60
"""Seconds that a scheduler may take to answer."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim sweep`."""
    parser.description = ("Run every cell of a grid; axes and what is fixed stand in a TOML file (`vsim.scale.grid`). "
                          "An interrupted sweep goes on from its own output.")
    parser.add_argument("spec", metavar="SPEC.toml", type=values.name, help=f"the grid, up to {MAX_CELLS:,} cells")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, type=values.name,
                        help="a .csv or .parquet file")
    parser.add_argument("--workers", metavar="N", type=values.processes,
                        help="processes (default: one for each processor)")
    parser.add_argument("--dask", metavar="ADDRESS", help="run on the Dask cluster with this scheduler, tcp://HOST:PORT")
    parser.set_defaults(func=_main)


def _main(args: argparse.Namespace) -> int:
    """Exit status 0 when every cell has figures, 1 when one has an error instead."""
    grid = load(args.spec)
    try:
        output = Output(args.output, grid)
    except ValueError as error:
        if hasattr(error, "line"):
            raise
        raise values.Misused(str(error)) from None
    left = ((number, given) for number, given in enumerate(grid.cells()) if number not in output.done)
    begun = len(output.rows)
    tell = progress("cells", begun)
    if begun:
        print(f"{begun} of {len(grid)} cells are in {args.output} already", file=sys.stderr)
    try:
        with _executor(args.dask) as executor:
            for number, row in results(cell, left, executor, args.workers):
                output.add(number, row)
                if tell:
                    tell(len(output.rows), len(grid))
        output.finish()
    except BaseException:
        output.close()
        if output.rows:
            print(f"{len(output.rows)} of {len(grid)} cells are in {output.live}: the same command goes on with the "
                  "others", file=sys.stderr)
        raise
    failed = sum(bool(fields[-1]) for fields in output.rows.values())
    print(f"{len(grid)} cell{'s' if len(grid) > 1 else ''} in {args.output}, "
          f"{len(grid) - begun} of them run now, {failed} with an error")
    return 1 if failed else 0


def _executor(address: str | None) -> AbstractContextManager[Any]:
    """The executor of a Dask cluster; None stands for processes of this computer."""
    if address is None:
        return nullcontext(None)
    if find_spec("distributed") is None:
        raise Unavailable('--dask needs Dask: python -m pip install distributed')
    from distributed import Client  # type: ignore[attr-defined, unused-ignore]

    try:
        client = Client(address, timeout=ANSWER)
    except (OSError, ValueError) as error:
        raise Unavailable(f"no Dask scheduler answers at {address}: {error}") from None
    executor: AbstractContextManager[Any] = client.get_executor(pure=False)
    return executor
