"""What the site is made of, fetched with the registries' ordinary clients, pip and npm, into a folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from vsim.cli.main import Unavailable

WHEEL_OPTIONS = ("--no-deps", "--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any",
                 "--python-version=3.14")
"""Wheels of pure Python for the browser's Python, whatever Python builds the site."""
TOLD = 2000
"""Characters of a failed client's own words that are passed on."""


def environment(folder: Path, packages: Sequence[str] = ()) -> Path:
    """A new virtual environment with packages; its Python. Unavailable when it cannot be made."""
    run([sys.executable, "-m", "venv", str(folder)])
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if packages:
        run([str(python), "-m", "pip", "install", "--quiet", *packages])
    return python


def wheels(python: Path, folder: Path, packages: Sequence[str]) -> list[Path]:
    """Download wheels; their files, by name."""
    run([str(python), "-m", "pip", "download", "--quiet", "--dest", str(folder), *WHEEL_OPTIONS, *packages])
    return sorted(folder.glob("*.whl"))


def npm(folder: Path, package: str) -> Path:
    """Download and unpack a package of npm; the folder with its files. Unavailable without npm."""
    client = shutil.which("npm")
    if client is None:
        raise Unavailable("vsim site needs npm to fetch the browser's Python: install Node.js, e.g. Debian's npm")
    name = package.rpartition("@")[0].strip("@").replace("/", "-")
    into = folder / name
    into.mkdir(parents=True)
    run([client, "pack", "--silent", "--pack-destination", str(into), package])
    (packed,) = into.glob("*.tgz")
    unpack(packed, into)
    return into / "package"


def unpack(packed: Path, into: Path) -> None:
    """The files of a .tgz, below a folder. ValueError for a name that leads out of it; links and devices are left out.

    tarfile's own filter of this kind came with Python 3.11.4.
    """
    with tarfile.open(packed) as archive:
        for member in archive:
            place = into / member.name
            if not place.resolve().is_relative_to(into.resolve()):
                raise ValueError(f"{packed.name}: member {member.name!a} leads out of the folder; allowed: below it")
            if (found := archive.extractfile(member) if member.isfile() else None) is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                with found, place.open("wb") as stream:
                    shutil.copyfileobj(found, stream)


def run(command: Sequence[str], folder: Path | None = None) -> None:
    """Run a program. Unavailable with the end of its own words when it fails."""
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        raise Unavailable(f"{Path(command[0]).name} {' '.join(command[1:4])} ... failed:\n{done.stdout[-TOLD:]}")
