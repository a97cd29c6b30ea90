"""QEMU as a child process that is ended whatever happens, and what it says of itself."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

MOST_SAID = 1 << 16
"""Characters of what QEMU says that are kept."""
ANSWER = 30
"""Seconds that it may take to tell its version and its devices."""
_PDEATHSIG = 1


class NoQemu(ValueError):
    """QEMU cannot be run, or ended at once; the text says why."""


def version(qemu: Sequence[str]) -> tuple[tuple[int, ...], str]:
    """Its version, as numbers and as it says it. NoQemu when there is none, or something else of that name."""
    if not shutil.which(qemu[0]):
        raise NoQemu(f"{qemu[0]}: not found; Debian's package is qemu-system-x86")
    text = asked(qemu, "--version")
    found = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", text)
    if not found:
        raise NoQemu(f"{qemu[0]} --version: found {text[:60]!r}; expected QEMU's version")
    return tuple(int(part) for part in found.groups() if part), first_line(text)


@contextlib.contextmanager
def started(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """QEMU, and what it said until now; it gets a signal when this process dies, however that comes."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, start_new_session=True,
                                   preexec_fn=_dies_with_us)
    except OSError as error:
        raise NoQemu(f"{command[0]}: {error.strerror or error}") from None
    said = bytearray()

    def listen() -> None:
        while process.stderr and (piece := process.stderr.read(1)):
            if len(said) < MOST_SAID:
                said.extend(piece)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()

    def text() -> str:
        listener.join(2)
        return said.decode(errors="replace")

    with process:
        try:
            yield process, text
        finally:
            end(process)


def _dies_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


def end(process: subprocess.Popen[bytes]) -> None:
    """End QEMU and its children: asked first, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)


def asked(qemu: Sequence[str], *arguments: str) -> str:
    """What it answers to these arguments."""
    try:
        done = subprocess.run([*qemu, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER,
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoQemu(f"{qemu[0]} {' '.join(arguments)}: {error}") from None
    return done.stdout.decode(errors="replace")[:MOST_SAID * 8]


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), "it said nothing")


def last_line(text: str) -> str:
    """The last line that says something: why it ended comes after its warnings."""
    return first_line("\n".join(reversed(text.splitlines())))
