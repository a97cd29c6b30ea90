"""Keeps a process from outliving the one that wanted it. A script, run by its path: it needs nothing of this package.

    python guard.py FOLDER COMMAND ...

COMMAND runs in a process group of its own. The group is killed, and FOLDER removed, when the command ends, when this
script's standard input is closed (by its parent, or by the system when the parent is gone) or when the script is told
to end: SIGINT (Ctrl-C reaches it, as it shares its parent's group), SIGTERM, SIGHUP. Where this script itself is
killed, Linux kills the command (prctl, PR_SET_PDEATHSIG). Exit status: the command's, or 128 + n when signal n
ended it.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1
"""Number of the request in prctl(2)."""
TOLD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the command, and this script with it."""


def die_with_parent() -> None:
    """In the command's process, before it starts: die when the guard is killed. Nothing where there is no prctl."""
    for number in TOLD:
        signal.signal(number, signal.SIG_DFL)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait(command: subprocess.Popen[bytes], wake: int) -> None:
    """Until the command has ended, or nobody wants it any more. wake: readable after a signal."""
    while command.poll() is None:
        ready, _, _ = select.select([sys.stdin.fileno(), wake], [], [])
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1):
            return
        if wake in ready and not set(os.read(wake, 64)).isdisjoint(TOLD):
            return


def guard(folder: str, words: list[str]) -> int:
    """Run a command as the module says; its exit status."""
    wake, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    for number in (*TOLD, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    try:
        command = subprocess.Popen(words, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=die_with_parent)
        try:
            wait(command, wake)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)
            status = command.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1], sys.argv[2:]))
