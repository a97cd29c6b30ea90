"""The command `vsim`: finds a subcommand, runs it, turns its end into an exit status.

A subcommand is a function `register(parser)`: it adds its arguments to an `argparse` parser and
calls `parser.set_defaults(func=...)`, where `func(args)` returns the exit status. There are two
kinds. Built-in ones are rows of `BUILT_IN`; their module is imported only when the subcommand is
named. Those that draw come from other packages by the entry point group `vsim.commands`, so that
vsim never imports a display; the first line of their `register`'s docstring is their summary,
hence the module that it lives in has to be light. A `register` that sets the default `rest=[]`
receives unknown options there, in order, instead of having them refused.

Bad input is reported, not raised to the user: a ValueError with the attributes `file`, `line` and
`column` ends the command with status 2 and its text on standard error, as do an OSError that
names a file, and arguments that cannot be taken (`values`). It is one line, and says what is
allowed. Every other exception is a defect and keeps its traceback.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import NamedTuple, NoReturn

from vsim import __version__
from vsim.cli.entry import INTERRUPTED
from vsim.cli.output import OutputError, escaped, silence
from vsim.cli.values import Misused
from vsim.readers.source import plain

ENTRY_POINTS = "vsim.commands"

BAD_INPUT = 2
"""Exit status for bad usage or bad input, as argparse has it."""

PIPE_CLOSED = 141
"""Exit status when the reader of our output went away: 128 + SIGPIPE."""

Register = Callable[[argparse.ArgumentParser], None]


class BuiltIn(NamedTuple):
    """A subcommand of vsim itself; `module` holds its `register`."""

    module: str
    summary: str


BUILT_IN = {
    "run": BuiltIn("vsim.cli.run", "build the domain of an xl.cfg and interrupt every vCPU"),
    "replay": BuiltIn("vsim.cli.replay", "run recorded cases of real machines and compare"),
    "record": BuiltIn("vsim.cli.record", "boot a real kernel in QEMU and record what it does to its interrupts"),
    "decode": BuiltIn("vsim.cli.decode", "tell one thing: a message, an entry, a register, a fault line"),
    "size": BuiltIn("vsim.cli.size", "tell which limit bites first when a domain grows"),
    "race": BuiltIn("vsim.cli.race", "let a device fire between any two writes of a change"),
    "read": BuiltIn("vsim.cli.read", "read dumps and logs together, and check them against one another"),
    "diff": BuiltIn("vsim.cli.diff", "compare two dumps or traces by what they mean"),
    "sweep": BuiltIn("vsim.cli.sweep", "run a grid of cases on all processors or a cluster"),
    "bench": BuiltIn("vsim.cli.bench", "measure the simulator on this computer"),
}


class Unavailable(Exception):
    """A subcommand that exists in the project, but not in this installation."""


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        """Status 2, and where to read more."""
        self.exit(BAD_INPUT, f"{plain(self.prog)}: {plain(message)}; see {plain(self.prog)} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vsim` with these arguments (default: the process's own); the exit status."""
    try:
        with escaped():
            return _ended(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence(sys.stdout)
        return PIPE_CLOSED
    except OutputError as error:
        silence(sys.stdout)
        try:
            print(f"vsim: {error}", file=sys.stderr)
        except (OSError, ValueError):
            silence(sys.stderr)
        return BAD_INPUT


def _ended(argv: list[str]) -> int:
    """Run; bad input is a line and a status."""
    try:
        status = run(argv)
    except SystemExit:      # argparse's, behind a help or a version: what it wrote is not lost in silence either
        sys.stdout.flush()
        raise
    except (Unavailable, ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) or not is_bad_input(error):
            raise
        print(plain(told(error)), file=sys.stderr)
        status = BAD_INPUT
    sys.stdout.flush()
    return status


def run(argv: list[str]) -> int:
    """Parse, then call the subcommand; argparse ends the process on bad usage (status 2)."""
    parser = Parser(
        prog="vsim", description="Xen's virtual IOMMU, one interrupt at a time.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"vsim {__version__}")
    named = add_commands(parser, argv)
    args, rest = parser.parse_known_args(argv)
    if "rest" in args:
        args.rest = rest
    elif rest:
        (named or parser).error(f"unrecognized arguments: {' '.join(rest)}")
    status: int = args.func(args)
    return status


def add_commands(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.ArgumentParser | None:
    """Declare every subcommand, but load only the one that is named; its parser, if any is."""
    name = next((word for word in argv if not word.startswith("-")), "")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for each, built_in in BUILT_IN.items():
        if each == name or find_spec(built_in.module):
            commands.add_parser(each, help=built_in.summary, allow_abbrev=False)
    if name not in BUILT_IN:
        for entry in entry_points(group=ENTRY_POINTS):
            commands.add_parser(entry.name, help=summary(entry), allow_abbrev=False)
    named: argparse.ArgumentParser | None = commands.choices.get(name) if commands.choices else None
    if named:
        register_of(name)(named)
    return named


def register_of(name: str) -> Register:
    """The `register` of a subcommand, its module imported now; Unavailable when there is none."""
    if name in BUILT_IN:
        return built_in_register(BUILT_IN[name].module)
    (entry,) = entry_points(group=ENTRY_POINTS, name=name)
    return loaded(entry)


def built_in_register(module: str) -> Register:
    """`register` of a module of vsim; a missing module is told apart from one that fails inside."""
    if not find_spec(module):
        raise Unavailable(f"not available in this installation: {module}")
    register: Register = import_module(module).register
    return register


def loaded(entry: EntryPoint) -> Register:
    """What an entry point names; Unavailable when its package cannot be imported."""
    try:
        register: Register = entry.load()
    except ImportError as error:
        raise Unavailable(f"not available in this installation: {entry.value} ({error})") from error
    return register


def summary(entry: EntryPoint) -> str:
    """One line for `vsim --help`: what the `register` says of itself, or why it cannot be had."""
    try:
        return (loaded(entry).__doc__ or entry.value).splitlines()[0]
    except Unavailable as missing:
        return str(missing)


def told(error: Exception) -> str:
    """A line for the person at the keyboard: the place of the mistake first."""
    if isinstance(error, OSError):
        return f"vsim: {error.filename}: {error.strerror or error}"
    return f"vsim: {error}" if isinstance(error, Unavailable | Misused) else str(error)


def is_bad_input(error: Exception) -> bool:
    """Whether the person at the keyboard, not a programmer, has to act on this error."""
    if isinstance(error, OSError):
        return error.filename is not None
    if isinstance(error, ValueError):
        return isinstance(error, Misused) or all(hasattr(error, name) for name in ("file", "line", "column"))
    return isinstance(error, Unavailable)
