"""What the command writes: escaped for the terminal, and with one end for all that can go wrong there.

Names and texts that others wrote may hold control characters, characters that the terminal cannot show, or half of a
surrogate pair. All output passes here, so that no command has to think of it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from vsim.readers.source import plain

_ERASE = "\x1b[K"


class OutputError(Exception):
    """Standard output or error cannot be written: a full disk, a closed terminal."""


class Closed(io.TextIOBase):
    """Standard output that was closed before the command began (`>&-`)."""

    def write(self, text: str) -> int:
        """OSError, as of a file that is not open."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class Output:
    """A text stream that escapes what it is given. progress: a line may begin with a carriage return and be erased."""

    def __init__(self, stream: TextIO, progress: bool) -> None:
        self._stream, self._progress = stream, progress

    def write(self, text: str) -> int:
        """Write a text, escaped."""
        again = self._progress and text.startswith("\r")
        erased = self._progress and text.endswith(_ERASE)
        core = text[int(again):len(text) - len(_ERASE) * erased]
        core = plain(core)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        core = core.encode(encoding, "backslashreplace").decode(encoding)
        self._try(self._stream.write, "\r" * again + core + _ERASE * erased)
        return len(text)

    def flush(self) -> None:
        """Write what is kept back."""
        self._try(self._stream.flush)

    def _try(self, do: Any, *values: str) -> None:
        try:
            do(*values)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"the output cannot be written: {error.strerror or error}") from None
        except ValueError as error:     # a stream that was closed
            raise OutputError(f"the output cannot be written: {error}") from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def escaped() -> Iterator[None]:
    """Standard output and error of a command, escaped while it runs."""
    out, err = sys.stdout, sys.stderr
    # Python has None for what was closed before it began. Errors then go nowhere; the status tells them.
    sys.stdout = Output(cast(TextIO, Closed()) if out is None else out, False)
    sys.stderr = Output(io.StringIO() if err is None else err, True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def silence(stream: TextIO | None) -> None:
    """Point a stream at nothing, or the interpreter complains of it on its way out."""
    if stream is None:
        return
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):       # a stream without a file: nothing is flushed on the way out
        return
