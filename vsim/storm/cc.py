"""C source, compiled by the system's `cc` (or what `CC` names) where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SECONDS = 60
"""What the compiler may take."""


class NoCompiler(ValueError):
    """There is none, or it does not compile this; the text says why."""


def compiler() -> str:
    """Where the compiler is; "" without one."""
    return shutil.which(os.environ.get("CC") or "cc") or ""


def compiled(source: bytes, place: Path, *options: str) -> Path:
    """A shared library at `place`, made of one source text, and its folder. NoCompiler when it cannot be."""
    found = compiler()
    if not found:
        raise NoCompiler("there is no C compiler (cc)")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f"{place.name}.{os.getpid()}")
        done = subprocess.run([found, *options, "-shared", "-fPIC", "-x", "c", "-", "-o", str(unfinished)],
                              input=source, capture_output=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise NoCompiler(f"{found}: {done.stderr.decode(errors='replace').strip()[:200]}")
        unfinished.replace(place)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCompiler(f"it cannot be compiled: {error}") from None
    return place
