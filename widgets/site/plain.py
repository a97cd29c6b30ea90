"""The plain page: the bench alone in one HTML file, with the browser's Python beside it.

`#state=` in its address takes the text of `lab.link()`. The page runs Python in a worker and speaks with it as Jupyter
does, so that the widgets are those of a notebook. It loads nothing from another host, and is told so.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from widgets import theme
from widgets.site import kit, needs

PARTS = Path(__file__).resolve().parent / "page"
NAME, RUNTIME = "bench.html", "static/pyodide"
"""The page's file, and the folder of the runtime, which JupyterLite loads from there too."""
KEPT = ("@jupyter-widgets/base", "@jupyter-widgets/controls", "@jupyter-widgets/html-manager",
        "@jupyter-widgets/html-manager/dist/libembed-amd")
"""Modules of Jupyter's widgets that the page needs, in that order: not those of older widgets."""
_HEAD = re.compile(r'^define\("([^"]+)"', re.MULTILINE)


def write(folder: Path, runtime: Path, widgets: Path, libraries: Iterable[Path]) -> Path:
    """Put the page into a folder, and the runtime beside it; the page's file.

    runtime: the unpacked package `needs.RUNTIME`; widgets: that of `needs.WIDGETS`; libraries: `needs.LIBRARIES`.
    """
    beside = folder / RUNTIME
    if not beside.is_dir():
        beside.mkdir(parents=True)
        for name in needs.RUNTIME_FILES:
            shutil.copyfile(runtime / name, beside / name)
        info = json.loads((runtime / "pyodide-lock.json").read_text(encoding="utf-8"))["info"]
        (beside / "pyodide-lock.json").write_text(json.dumps({"info": info, "packages": {}}), encoding="utf-8")
    made = folder / NAME
    made.write_text(page((widgets / needs.WIDGETS_FILE).read_text(encoding="utf-8"), libraries), encoding="utf-8")
    return made


def page(manager: str, libraries: Iterable[Path]) -> str:
    """The HTML. manager: Jupyter's widgets as modules laid end to end."""
    found = list(libraries)
    return part("bench.html").format(
        style=theme.css() + part("bench.css"), script=part("bench.js"), worker=part("worker.js"),
        start=part("start.py"), widgets=packed(chosen(manager)), anywidget=packed(front(found)),
        archive=b64encode(kit.bundle(found)).decode())


def part(name: str) -> str:
    """The text of a part of the page."""
    return (PARTS / name).read_text(encoding="utf-8")


def chosen(manager: str) -> str:
    """The modules of `KEPT`. ValueError when one is not there."""
    heads = [*_HEAD.finditer(manager)]
    ends = [*(head.start() for head in heads[1:]), len(manager)]
    modules = {head[1]: manager[head.start():end] for head, end in zip(heads, ends, strict=True)}
    if missing := [name for name in KEPT if name not in modules]:
        raise ValueError(f"{needs.WIDGETS} has no module {missing[0]}; it has {', '.join(modules)}")
    return "\n".join(modules[name] for name in KEPT)


def front(libraries: Iterable[Path]) -> str:
    """The page's half of anywidget, which its wheel carries."""
    (found,) = (each for each in libraries if each.name.startswith("anywidget-"))
    return kit.member(found, "anywidget/nbextension/index.js").decode()


def packed(text: str) -> str:
    """A text, compressed, for a page that unpacks it."""
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()
