"""The plugin that tells what a guest writes to memory (`share/taps.c`): compiled where it is not yet, and kept."""

from __future__ import annotations

import hashlib
import os
from importlib.resources import files
from pathlib import Path

from vsim.storm import cc

INTERFACE = (9, 2)
"""The first QEMU with version 4 of the plugin interface."""


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
    try:
        return cc.compiled(source, place, "-O2")
    except cc.NoCompiler as error:
        raise NoPlugin(str(error)) from None
