"""A QEMU for tests: the real one where there is one, and `bad_qemu`, which misbehaves in a way with a name."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

REAL = shutil.which("qemu-system-x86_64")
needs_qemu = pytest.mark.skipif(REAL is None, reason="no qemu-system-x86_64 (Debian: qemu-system-x86)")



def bad(folder: Path, way: str) -> str:
    """The path of a QEMU that behaves in a way."""
    path = folder / f"qemu-{way}"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{Path(__file__).with_name("bad_qemu.py")}" {way} "$@"\n')
    path.chmod(0o755)
    return str(path)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """The processes below a process, all generations."""
    out = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in out.splitlines()]
    found, left = [], [pid]
    while left:
        parent = left.pop()
        mine = [child for child, above in pairs if above == parent]
        found += mine
        left += mine
    return found


def gone(pids: list[int]) -> None:
    """Wait until none of these processes runs; the test's own limit ends a wait without end."""
    for _ in range(3000):
        if not any(map(alive, pids)):
            return
        time.sleep(0.01)
    raise AssertionError(f"still there: {[pid for pid in pids if alive(pid)]}")
