"""Our own packages, and those that they need, as archives for the browser's Python."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from vsim import __version__
from widgets.lab.command import CHECKOUT, PACKED

MADE = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive: the same files give the same bytes."""


def own() -> Iterator[tuple[str, bytes]]:
    """The files of `vsim` and `widgets` by their places. What builds the site, and what only it needs, stays here."""
    for tree in ("vsim", "widgets"):
        for path in sorted((CHECKOUT / tree).rglob("*")):
            place = path.relative_to(CHECKOUT)
            skipped = {"__pycache__", "share", "_notebooks"} & {*place.parts} or place.parts[:2] == ("widgets", "site")
            if path.is_file() and not skipped and path.suffix in (".py", ".js", ".css", ".lst", ".runs"):
                yield place.as_posix(), path.read_bytes()


def notebooks() -> Path:
    """The folder of the notebooks, of a checkout or of an installed wheel."""
    return CHECKOUT / "notebooks" if (CHECKOUT / "pyproject.toml").is_file() else PACKED


def wheel() -> tuple[str, bytes]:
    """`vsim` and `widgets` as a wheel: its name, its bytes."""
    return packed("vsim-kit", __version__, own(), "Requires-Dist: ipywidgets\nRequires-Dist: anywidget\n")


def packed(name: str, version: str, files: Iterable[tuple[str, bytes]] = (), needs: str = "") -> tuple[str, bytes]:
    """A wheel with what a browser's Python asks of one, and no more. files: none for a package that is left out."""
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    tag = "Wheel-Version: 1.0\nGenerator: vsim\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    inside = [(f"{stem}.dist-info/METADATA", about.encode()), (f"{stem}.dist-info/WHEEL", tag.encode())]
    return f"{stem}-py3-none-any.whl", archive([*files, *inside])


def bundle(libraries: Iterable[Path]) -> bytes:
    """One archive of our packages, of the Python of wheels, and of the example that the plain page opens."""
    files = dict(own())
    for each in libraries:
        with zipfile.ZipFile(each) as found:
            files |= {name: found.read(name) for name in found.namelist() if _wanted(name)}
    data = notebooks() / "data"
    files |= {f"example/{name}": (data / name).read_bytes() for name in ("big.cfg", "big.lspci")}
    return archive(sorted(files.items()))


def member(library: Path, name: str) -> bytes:
    """One file of a wheel."""
    with zipfile.ZipFile(library) as found:
        return found.read(name)


def _wanted(name: str) -> bool:
    """Whether a file of a wheel is run in the page: its Python, and what says its version."""
    place = Path(name)
    return (place.suffix == ".py" and "tests" not in place.parts) or place.name == "METADATA"


def archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of files by their places."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for place, content in files:
            made.writestr(zipfile.ZipInfo(place, MADE), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
