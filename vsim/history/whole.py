"""Files that are written whole or not at all: beside, brought to the disk, renamed.

    try_out(path)                   # before long work: can a file be written there?
    try_folder(path)                # the same for a folder that is still to be made
    write(path, data)               # the old file stays until the new one is complete
    with beside(path) as made:      # the same for what writes by itself: `made` becomes `path` at the end
        ...

A full disk, a lost connection or a kill leaves the old file as it was. What is no plain file (a terminal, a pipe,
/dev/null) is written to as it is. OSError names the file that was asked for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

Place = str | os.PathLike[str]


def try_out(path: Place) -> None:
    """Raise the OSError that `write` would raise for the place: a missing folder, no right, a folder's own name."""
    target = _target(path)
    if target.is_dir():
        raise IsADirectoryError(21, os.strerror(21), os.fspath(path))
    if _special(target):
        return
    with named(path):
        made = _beside(target)
        with open(made, "wb"):
            pass
        made.unlink()


def try_folder(path: Place) -> None:
    """Raise the OSError of a folder that cannot be made, or in which no file can be; a new one is gone again."""
    folder, new = Path(path), not os.path.exists(path)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        try_out(folder / "file")
    finally:
        if new:
            folder.rmdir()


def write(path: Place, data: bytes) -> None:
    """Write a file; it is there when all of it is."""
    with beside(path) as made:
        made.write_bytes(data)


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files that belong together: none takes its place before all are complete."""
    with ExitStack() as open_:
        for path, data in reversed(list(files.items())):
            open_.enter_context(beside(path)).write_bytes(data)


@contextmanager
def beside(path: Place) -> Iterator[Path]:
    """A file to write that becomes `path` when the block ends well; after an error it is gone, and `path` as it was."""
    target = _target(path)
    if _special(target):
        with named(path):
            yield target
        return
    made = _beside(target)
    try:
        with named(path):
            yield made
            settle(made, target)
    finally:
        with suppress(OSError):
            made.unlink()


def settle(made: Path, target: Path) -> None:
    """Bring a complete file to the disk and give it its name and the mode of what stood there before."""
    with suppress(OSError):
        os.chmod(made, stat.S_IMODE(target.stat().st_mode))
    with open(made, "rb") as stream:
        os.fsync(stream.fileno())
    os.replace(made, target)
    with suppress(OSError):     # not every system lets a folder be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _target(path: Place) -> Path:
    """The file behind symbolic links: a link stays one."""
    return Path(os.path.realpath(path))


def _special(target: Path) -> bool:
    return target.exists() and not target.is_file() and not target.is_dir()


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name[:200]}.{os.getpid()}.new")


@contextmanager
def named(path: Place) -> Iterator[None]:
    """Errors of a file, or of the one beside it, are told with the name that was asked for."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
