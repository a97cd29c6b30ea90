"""Where the command `vsim` begins: nothing is imported before Ctrl-C has an answer.

The parser and the tables behind it take a moment to load. An interruption then is one like any other: a status, no
traceback. What Python itself does before it gets here is out of reach.
"""

from importlib import import_module

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells report it."""


def main() -> int:
    """Run `vsim` with the process's own arguments; the exit status."""
    try:
        status: int = import_module("vsim.cli.main").main()
    except KeyboardInterrupt:
        return INTERRUPTED
    return status
