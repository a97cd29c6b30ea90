"""The plugin that tells what a guest writes to memory (`share/taps.c`): compiled where it is not yet, and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

INTERFACE = (9, 2)
"""The first QEMU with version 4 of the plugin interface."""
SECONDS = 60
"""What the compiler may take."""


class NoPlugin(ValueError):
    """The plugin cannot be had here; the text says why."""


def cache_folder() -> Path:
    """Where what was compiled is kept for the next time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vsim"


def compiled(version: tuple[int, ...], folder: Path | None = None) -> Path:
    """The plugin for a QEMU of this version. NoPlugin without a compiler, or for a QEMU that cannot take it."""
    if version < INTERFACE:
        raise NoPlugin(f"QEMU {'.'.join(map(str, version))} has no plugin interface 4, which came with 9.2")
    source = (files("vsim.replay") / "share" / "taps.c").read_bytes()
    place = (folder or cache_folder()) / f"taps-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if place.is_file():
        return place
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if not compiler:
        raise NoPlugin("there is no C compiler (cc)")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f"{place.name}.{os.getpid()}")
        done = subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(unfinished)],
                              input=source, capture_output=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise NoPlugin(f"{compiler}: {done.stderr.decode(errors='replace').strip()[:200]}")
        unfinished.replace(place)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPlugin(f"the plugin cannot be compiled: {error}") from None
    return place
