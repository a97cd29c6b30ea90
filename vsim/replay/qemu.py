"""QEMU as a child process that is ended whatever happens, and what it says of itself."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from vsim.readers.source import shown
from vsim.replay.guard import die_with_parent

MOST_SAID = 1 << 16
"""Characters of what QEMU says that are kept."""
ANSWER = 20
"""Seconds that it may take to tell its version and its devices."""


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
                                   preexec_fn=die_with_parent)
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
    """What it prints for these arguments, up to `MOST_SAID` characters within `ANSWER` seconds; it is ended then."""
    try:
        process = subprocess.Popen([*qemu, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, process_group=0)
    except OSError as error:
        raise NoQemu(f"{shown(qemu[0])} cannot be started: {error.strerror or error}") from None
    assert process.stdout is not None
    out, ends = b"", time.monotonic() + ANSWER
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            while len(out) < MOST_SAID and waiting.select(max(0.0, ends - time.monotonic())):
                more = os.read(process.stdout.fileno(), 4096)
                if not more:
                    break
                out += more
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()
    return out.decode(errors="replace")


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), "it said nothing")


def last_line(text: str) -> str:
    """The last line that says something: why it ended comes after its warnings."""
    return first_line("\n".join(reversed(text.splitlines())))
