"""`vsim site DIR`: the kit as a folder that any web server serves; nothing is to be installed to use it.

Building fetches what it needs from the registries of Python and npm, into a folder that is thrown away. What was built
asks nobody but the server that it came from.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from vsim.cli import values

_NOT_OURS = "site: found {}, which holds other things than a site; allowed: a new folder, an empty one, a former site"


def register(parser: argparse.ArgumentParser) -> None:
    """build a site of the notebooks and the bench that needs no install"""
    parser.description = ("Build a folder for any web server (python -m http.server --directory DIR): JupyterLite with "
                          "the notebooks, and bench.html, the bench alone. Needs npm and the network while it builds.")
    parser.add_argument("folder", metavar="DIR", type=values.place,
                        help="where to put it; a former site there is built anew")
    parser.add_argument("--bench", action="store_true", help="the page with the bench alone, and what it loads")
    parser.set_defaults(func=site)


def site(args: argparse.Namespace) -> int:
    """Build, then put it in place: nothing is written when a part cannot be had. The exit status, 0."""
    from vsim.history import whole
    from widgets.site import gather, lite, needs, plain

    folder: Path = args.folder
    if folder.exists() and not (folder.is_dir() and ((folder / plain.NAME).is_file() or not any(folder.iterdir()))):
        raise values.Misused(_NOT_OURS.format(folder))
    whole.try_folder(folder)
    with tempfile.TemporaryDirectory(prefix="vsim-site-") as name:
        work, made = Path(name), Path(name, "site")
        python = gather.environment(work / "python", () if args.bench else needs.BUILDERS)
        libraries = gather.wheels(python, work / "wheels", needs.LIBRARIES)
        runtime, widgets = gather.npm(work, needs.RUNTIME), gather.npm(work, needs.WIDGETS)
        if not args.bench:
            more = gather.wheels(python, work / "more", needs.KERNEL_LIBRARIES)
            lite.write(made, work, runtime, python, [*libraries, *more])
        plain.write(made, runtime, widgets, libraries)
        put(made, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB; serve it: python -m http.server --directory {folder}")
    return 0


def put(made: Path, folder: Path) -> None:
    """What was made in place of what a former build made; what somebody else put there stays."""
    import shutil

    for each in made.iterdir():
        if each.is_dir() and (folder / each.name).is_dir():
            shutil.rmtree(folder / each.name)
    shutil.copytree(made, folder, dirs_exist_ok=True)
