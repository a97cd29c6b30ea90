"""JupyterLite with the notebooks: its kernel is the browser's Python, its packages lie in the site.

The kernel looks an import of a cell up in `pyodide-lock.json` and loads what stands there. The list is made here: what
is not in it, as numpy, is neither fetched nor asked for anywhere.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from widgets.lab.command import shipped
from widgets.site import gather, kit, needs
from widgets.site.plain import NAME, RUNTIME, part

PRELOADED = ("ipykernel", "ipython", "ipywidgets", needs.LEFT_OUT, "micropip", "piplite", "pyodide-kernel", "vsim-kit",
             "widgetsnbextension")
"""What a kernel has loaded before the first cell runs; these and what they need."""
_SHIMS = "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension/static/pypi"
_SCHEMA = "extensions/@jupyterlite/pyodide-kernel-extension/static/schema"
"""Of the builder's own checks, and the one file that names a registry."""
_SHIM = re.compile(r"(ipykernel|piplite|pyodide_kernel|widgetsnbextension-4)")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def write(folder: Path, work: Path, runtime: Path, python: Path, libraries: Iterable[Path]) -> None:
    """Put JupyterLite into a folder. work: for what is in between; python: of an environment with `needs.BUILDERS`."""
    source = work / "lite"
    place = source / RUNTIME
    place.mkdir(parents=True)
    for name in needs.RUNTIME_FILES:
        shutil.copyfile(runtime / name, place / name)
    shims = [each for each in (python.parent.parent / _SHIMS).glob("*.whl") if _SHIM.match(each.name)]
    for each in (*libraries, *shims):
        shutil.copyfile(each, place / each.name)
    for name, content in (kit.wheel(), kit.packed(needs.LEFT_OUT, "0")):
        (place / name).write_bytes(content)
    (place / "pyodide-lock.json").write_text(json.dumps(locked(runtime, sorted(place.glob("*.whl")))), encoding="utf-8")
    (source / "jupyter-lite.json").write_text(json.dumps(settings()), encoding="utf-8")
    for file in kit.notebooks().rglob("*"):
        if shipped(relative := file.relative_to(kit.notebooks()), file):
            (source / "files" / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, source / "files" / relative)
    gather.run([str(python.parent / "jupyter-lite"), "build", "--contents", "files", "--output-dir", str(work / "made"),
                "--no-sourcemaps", "--no-unused-shared-packages", "--apps", "lab", "--apps", "notebooks"], source)
    shutil.rmtree(work / "made" / _SCHEMA)
    shutil.copytree(work / "made", folder, dirs_exist_ok=True)
    (folder / "index.html").write_text(entrance(), encoding="utf-8")


def entrance() -> str:
    """The site's first page: the lessons by their titles, and the bench."""
    found = sorted(kit.notebooks().glob("*.ipynb"))
    rows = (f'<li><a href="lab/index.html?path={each.name}">{escape(title(each))}</a></li>' for each in found)
    return part("index.html").format(first=found[0].name, lessons="\n".join(rows))


def title(notebook: Path) -> str:
    """A notebook's first heading."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).partition("\n")[0].lstrip("# ")


def settings() -> dict[str, Any]:
    """`jupyter-lite.json`: packages come from the site alone, and the first that one sees is a lesson."""
    kernel = {"disablePyPIFallback": True, "loadPyodideOptions": {"packages": list(PRELOADED)}}
    return {"jupyter-lite-schema-version": 0,
            "jupyter-config-data": {"appName": "vsim", "exposeAppInBrowser": True, "vsimPageUrl": f"./{NAME}",
                                    "litePluginSettings": {
                "@jupyterlite/pyodide-kernel-extension:kernel": kernel}}}


def locked(runtime: Path, wheels: Iterable[Path]) -> dict[str, Any]:
    """The list of packages as Pyodide reads it. runtime: whose versions it is for."""
    info = json.loads((runtime / "pyodide-lock.json").read_text(encoding="utf-8"))["info"]
    rows = {row["name"]: row for row in map(described, wheels)}
    for row in rows.values():
        row["depends"] = [name for name in row["depends"] if name in rows]
    return {"info": info, "packages": rows}


def described(wheel: Path) -> dict[str, Any]:
    """One wheel's row: its name, what it holds and needs, its digest."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (place,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = HeaderParser().parsestr(packed.read(place).decode())
    tops = {name.partition("/")[0].removesuffix(".py") for name in names if name.endswith(".py")}
    needed = [_NAME.match(each.strip())[0] for each in about.get_all("Requires-Dist", ()) if "extra ==" not in each]
    return {"name": normal(about["Name"]), "version": about["Version"], "file_name": wheel.name, "install_dir": "site",
            "sha256": sha256(wheel.read_bytes()).hexdigest(), "package_type": "package", "imports": sorted(tops),
            "depends": [normal(each) for each in needed], "unvendored_tests": False}


def normal(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
