"""The file of a film: an animated GIF, the same byte for byte whenever it is written, or with ffmpeg an MP4."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import GifImagePlugin, Image

from vsim.history import whole
from widgets.stills.film import Film

KINDS = (".gif", ".mp4")
CLEAR = 255
"""Number of the colour of a GIF that stands for none."""


def kind(path: str | os.PathLike[str]) -> str:
    """".gif" or ".mp4". ValueError for another ending, or for an MP4 where there is no ffmpeg."""
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"path is {path!r:.40}; expected the path of a file")
    ending = Path(path).suffix.lower()
    if ending not in KINDS:
        raise ValueError(f"a film is written to {' or '.join(KINDS)}; {os.fspath(path)!r} ends with {ending!r}")
    if ending == ".mp4" and shutil.which("ffmpeg") is None:
        raise ValueError("an MP4 needs ffmpeg, which is not installed: install it, or write a .gif")
    return ending


def write(film: Film, path: str | os.PathLike[str], told: Callable[[int], None] = lambda done: None) -> None:
    """Write a film; told: is called with the number of frames done. The file is there when all of it is.

    ValueError as `kind`; RuntimeError when ffmpeg fails, with its words.
    """
    save = _gif if kind(path) == ".gif" else _mp4
    target = Path(path)
    whole.try_out(target)
    with tempfile.TemporaryDirectory(dir=target.resolve().parent, prefix=".vsim-film-") as folder:
        made = Path(folder, target.name)
        save(film, made, told)
        whole.settle(made, target)


def _gif(film: Film, path: Path, told: Callable[[int], None]) -> None:
    """A GIF that repeats for ever; of each frame it holds what differs from the one before."""
    colours = film.palette().ljust(768, b"\0")
    chosen, before = Image.new("P", (1, 1)), None
    chosen.putpalette(colours)
    with path.open("wb") as file:
        file.write(b"GIF89a" + struct.pack("<HHBBB", *film.size, 0xF7, 0, 0) + colours)
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
        for number, frame in enumerate(film.frames()):
            now = np.asarray(frame.quantize(palette=chosen, dither=Image.Dither.NONE))
            _part(file, now, before, _hundredths(number, film.fps))
            before = now
            told(number + 1)
        file.write(b";")


def _hundredths(number: int, fps: int) -> int:
    """How long a frame stands, so that all together keep the time."""
    return (number + 1) * 100 // fps - number * 100 // fps


def _part(file: IO[bytes], now: np.ndarray, before: np.ndarray | None, hundredths: int) -> None:
    """One frame: the smallest rectangle with all changes, and in it what has not changed is left transparent."""
    options: dict[str, Any] = {"duration": 10 * hundredths, "disposal": 1}
    top, left = 0, 0
    if before is not None:
        differs = now != before
        rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
        top, left, bottom, right = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows.size else (0, 0, 1, 1)
        now = np.where(differs, now, CLEAR)[top:bottom, left:right].astype(np.uint8)
        options["transparency"] = CLEAR
    part = Image.frombytes("P", now.shape[::-1], now.tobytes())
    for data in GifImagePlugin.getdata(part, (int(left), int(top)), **options):
        file.write(data)


def _mp4(film: Film, path: Path, told: Callable[[int], None]) -> None:
    """H.264 in the form that browsers play; an odd last row or column of pixels is left out."""
    wide, high = film.size
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{high}",
               "-r", str(film.fps), "-i", "-", "-an", "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", "-c:v", "libx264",
               "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)]
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as process:
        assert process.stdin is not None
        try:
            for number, frame in enumerate(film.frames()):
                process.stdin.write(frame.tobytes())
                told(number + 1)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; why is told below
        except BaseException:
            process.kill()
            raise
        if process.wait():
            said.seek(0)
            reason = said.read(2000).decode(errors="replace").strip() or f"status {process.returncode}"
            raise RuntimeError(f"ffmpeg failed: {reason}")
