"""The house keeps its rules: who imports whom, what a stranger types, what no file may hold."""

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import vsim
from tests.places import ROOT

TREES = ("vsim", "widgets")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What vsim needs beyond the standard library: (module, import, only inside a function).
EXCEPTIONS = {
    ("vsim.explain.topology", "networkx", True),
    ("vsim.storm.run", "numpy", True),
    ("vsim.storm.run", "numba", True),
    ("vsim.storm.engines", "numpy", True),
    ("vsim.storm.engines", "numba", True),
    ("vsim.storm.vectorised", "numpy", True),
    ("vsim.scale.rows", "pyarrow", True),
    ("vsim.cli.sweep", "distributed", True),
    ("vsim.cli.bench", "numpy", True),
    ("vsim.cli.bench", "numba", True),
    ("vsim.cli.yardstick", "simpy", True),
}

SETUP = [
    "python -m pip install -e . && vsim lab",
    'python -m pip install -e ".[test]" && pytest',
]


def rooms(tree: str, root: Path = ROOT) -> list[str]:
    """Packages and modules of a tree, lowest first, from the rows of its table in CONTRIBUTING.md."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    part = re.search(rf"^### {tree}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert part, f"CONTRIBUTING.md has no table of {tree}"
    return re.findall(r"^\| `([\w/]+)(?:\.py)?` *\|", part[1], re.MULTILINE)


def modules_of(tree: str, root: Path = ROOT) -> dict[str, Path]:
    """Every module of a tree by its full name; a package is its __init__."""
    found = {}
    for path in sorted((root / tree).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def listed(package: Path) -> list[str]:
    """The modules of a package in the order of its docstring."""
    doc = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return re.findall(r"^    (\w+)  +\S", doc, re.MULTILINE)


def order(tree: str, root: Path = ROOT) -> dict[str, int]:
    """Place of each module of a tree: the table's order, and inside a package the order of its docstring."""
    names: list[str] = []
    for room in rooms(tree, root):
        if room.endswith("/"):
            package = room.removesuffix("/")
            names += [f"{tree}.{package}", *(f"{tree}.{package}.{name}" for name in listed(root / tree / package))]
        else:
            names.append(f"{tree}.{room}")
    names.append(f"{tree}.__main__")
    assert len(names) == len(set(names)), f"the tables name a module of {tree} twice"
    return {tree: -1, **{name: place for place, name in enumerate(names)}}


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Every imported name of a module, as full as it is written, and whether the import stands inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full"
            yield from ((f"{node.module}.{alias.name}", inside) for alias in node.names)
        else:
            yield from imports(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imports_of(path: Path) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(path.read_text(encoding="utf-8"))))


def needs(path: Path, known: dict[str, Any]) -> set[str]:
    """The known modules that a file imports, wherever in it: the longest name that is one, a package else."""
    found = set()
    for name, _ in imports_of(path):
        while name not in known and "." in name:
            name = name.rpartition(".")[0]
        if name in known:
            found.add(name)
    return found


def foreign(name: str, path: Path) -> set[str]:
    """Imports of a module of vsim that are neither the standard library, vsim, nor an exception."""
    bad = set()
    for imported, inside in imports_of(path):
        top = imported.partition(".")[0]
        allowed = (name, top, False) in EXCEPTIONS or (inside and (name, top, True) in EXCEPTIONS)
        if top != "vsim" and top not in sys.stdlib_module_names and not allowed:
            bad.add(top)
    return bad


def upward(tree: str, root: Path = ROOT) -> set[tuple[str, str]]:
    """Pairs of modules of a tree of which the first imports the second without standing behind it in the order."""
    place = order(tree, root)
    return {(name, other) for name, path in modules_of(tree, root).items() for other in needs(path, place)
            if place[other] >= place.get(name, -1) and other != tree}


def circles(tree: str, root: Path = ROOT) -> list[set[str]]:
    """Sets of modules that import one another, imports in functions and under TYPE_CHECKING counted."""
    known = modules_of(tree, root)
    graph = nx.DiGraph((name, other) for name, path in known.items() for other in needs(path, known) - {name})
    return [found for found in nx.strongly_connected_components(graph) if len(found) > 1]


def test_vsim_has_streets_not_a_corridor():
    packages = [path for path in (ROOT / "vsim").iterdir() if (path / "__init__.py").is_file()]
    assert 9 <= len(packages) <= 16
    assert len([*(ROOT / "vsim").glob("*.py")]) <= 5


@pytest.mark.parametrize("tree", TREES)
def test_every_package_is_in_the_table_and_every_row_is_there(tree):
    there = {f"{path.name}/" for path in (ROOT / tree).iterdir() if (path / "__init__.py").is_file()}
    there |= {path.stem for path in (ROOT / tree).glob("*.py")} - {"__init__", "__main__"}
    assert sorted(rooms(tree)) == sorted(there)


@pytest.mark.parametrize("tree", TREES)
def test_the_docstring_of_a_package_lists_its_modules(tree):
    for package in (path.parent for path in (ROOT / tree).glob("*/__init__.py")):
        there = {path.stem for path in package.glob("*.py")} - {"__init__"}
        assert sorted(listed(package)) == sorted(there), package


@pytest.mark.parametrize("tree", TREES)
def test_a_module_imports_only_what_stands_before_it(tree):
    assert upward(tree) == set()


@pytest.mark.parametrize("tree", TREES)
def test_no_module_imports_itself_by_way_of_others(tree):
    assert circles(tree) == []


@pytest.mark.parametrize("tree", TREES)
def test_inside_a_tree_nobody_takes_a_front_door(tree):
    """Behind a package's lazy name is a module that the readers of imports above would not see."""
    packages = [name for name, path in modules_of(tree).items() if path.name == "__init__.py"]
    front = {f"{package}.{name}" for package in packages
             for name in getattr(importlib.import_module(package), "FRONT_DOOR", ())}
    assert front
    assert {(name, taken) for name, path in modules_of(tree).items() for taken, _ in imports_of(path)
            if taken in front} == set()


@pytest.mark.parametrize("name", modules_of("vsim"))
def test_vsim_needs_the_standard_library_alone(name):
    assert foreign(name, modules_of("vsim")[name]) == set()


def test_the_readme_shows_the_packages_of_the_table_in_its_order():
    picture = re.search(r"^```\nvsim/(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert picture, "README.md has no picture of the packages"
    shown = re.findall(r"^ *([a-z]+(?:/|\.py))  ", picture[1], re.MULTILINE)
    assert shown == [room if room.endswith("/") else f"{room}.py" for room in rooms("vsim")]


@pytest.mark.parametrize(
    "name, text, found",
    [
        ("vsim.layouts.bits", "import widgets", {"widgets"}),
        ("vsim.layouts.bits", "def f():\n    import matplotlib.pyplot", {"matplotlib"}),
        ("vsim.storm.run", "import numpy", {"numpy"}),
        ("vsim.storm.run", "def f():\n    import numpy", set()),
        ("vsim.explain.topology", "def f():\n    import networkx", set()),
        ("vsim.layouts.bits", "import struct", set()),
    ],
)
def test_the_reader_of_imports_sees_what_is_foreign(tmp_path, name, text, found):
    path = tmp_path / "module.py"
    path.write_text(text)
    assert foreign(name, path) == found


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """A house of two packages and a module."""
    (tmp_path / "CONTRIBUTING.md").write_text("### vsim\n\n| `low/` | x |\n| `middle.py` | x |\n| `high/` | x |\n")
    for package, names in (("low", "one two"), ("high", "three four")):
        (tmp_path / "vsim" / package).mkdir(parents=True)
        lines = "".join(f"    {name}  what it is\n" for name in names.split())
        (tmp_path / "vsim" / package / "__init__.py").write_text(f'"""A package.\n\nModules:\n\n{lines}"""\n')
        for name in names.split():
            (tmp_path / "vsim" / package / f"{name}.py").write_text("")
    (tmp_path / "vsim" / "__init__.py").write_text("")
    (tmp_path / "vsim" / "middle.py").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "where, text, found",
    [
        ("low/one", "from vsim.high import three", {("vsim.low.one", "vsim.high.three")}),
        ("low/one", "from vsim.high.three import name", {("vsim.low.one", "vsim.high.three")}),
        ("low/one", "def f():\n    import vsim.middle", {("vsim.low.one", "vsim.middle")}),
        ("low/one", "if TYPE_CHECKING:\n    from vsim.low.two import name", {("vsim.low.one", "vsim.low.two")}),
        ("low/two", "from vsim.low.one import name", set()),
        ("high/three", "from vsim import __version__, middle", set()),
        ("high/four", "from vsim.high.three import name", set()),
    ],
)
def test_the_reader_of_imports_sees_what_looks_upward(small_house, where, text, found):
    (small_house / "vsim" / f"{where}.py").write_text(text)
    assert upward("vsim", small_house) == found


def test_the_reader_of_imports_sees_a_circle(small_house):
    (small_house / "vsim" / "low" / "one.py").write_text("def f():\n    from vsim.high.four import name")
    (small_house / "vsim" / "high" / "four.py").write_text("from vsim.low.one import name")
    assert circles("vsim", small_house) == [{"vsim.low.one", "vsim.high.four"}]


WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numpy", "numba", "networkx", "simpy", "matplotlib", "ipywidgets", "widgets"}:
            raise ImportError(name + " is made unimportable")
sys.meta_path.insert(0, Blocker())
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.modules))
"""


def test_vsim_is_imported_without_what_it_has_on_demand():
    names = modules_of("vsim").keys() - {"vsim.__main__"}
    command = [sys.executable, "-c", WITHOUT, *sorted(names)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


BOOT = """
from vsim import Act, Guest, History, build, lspci, xl
from vsim.state.commands import Signal
config = xl.load("notebooks/data/big.cfg")
built = build(config, lspci.load("notebooks/data/big.lspci"))
history = History(built.machine)
kernel = Guest(history.issue, built.platform)
kernel.boot()
nic = next(f.bdf for f in built.machine.bus.functions if f.msix_count)
assert kernel.affinity(kernel.sources[nic][0], 287) == ""
took = [e.node & 0xFFFFFF for e in history.issue(Signal(nic, 0)) if e.act == Act.ACCEPTED]
print(took)
"""


def test_a_boot_and_an_interrupt_need_the_standard_library_alone():
    code = WITHOUT.partition("import importlib")[0] + BOOT
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", "[287]")


def test_importing_vsim_loads_no_other_module():
    code = "import sys; old = set(sys.modules); import vsim; print(*sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["vsim"]


@pytest.mark.parametrize("name", vsim.FRONT_DOOR)
def test_the_front_door_opens(name):
    assert getattr(vsim, name) is not None
    assert name in dir(vsim)


def test_the_front_door_says_what_it_has():
    with pytest.raises(AttributeError, match="no attribute 'machnie'; its names are Machine, "):
        _ = vsim.machnie


def texts() -> Iterator[Path]:
    """The project's own text files: nothing that a tool made, no virtual environment, no recording."""
    made = {"build", "dist", "vsim-notebooks"}
    for top in ROOT.iterdir():
        if top.name in (".ci", ".gitignore") or not top.name.startswith("."):
            inside = [top] if top.is_file() else top.rglob("*")
            if top.name not in made and not (top / "pyvenv.cfg").exists():
                yield from (path for path in inside if path.is_file() and is_text(path))


def is_text(path: Path) -> bool:
    made = {"__pycache__", ".ipynb_checkpoints"} & {*path.parts}
    return path.suffix not in (".gz", ".png", ".gif", ".pyc") and not made


@pytest.mark.parametrize(
    "what, pattern",
    [
        ("a path of one machine", r"(?<![\w.~*-])/(?:home|root|tmp|work|workspace|mnt|Users|opt)/\w"),
        ("the address of a registry", r"(?i)--(?:extra-)?index-url|find-links|/simple(?:/|\b)|pypi\.org"),
    ],
)
def test_no_file_holds(what, pattern):
    found = {str(path.relative_to(ROOT)): hit.group() for path in texts()
             if (hit := re.search(pattern, path.read_text(encoding="utf-8", errors="replace")))}
    found.pop("tests/vsim/test_house.py", None)  # the patterns themselves
    assert found == {}, what


def test_the_readme_has_exactly_two_set_up_commands():
    assert [line.strip() for line in README.splitlines() if "pip install" in line] == SETUP


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_has_no_stored_output(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in code if cell["outputs"]] == []
    assert [cell["execution_count"] for cell in code if cell["execution_count"]] == []
    assert "widgets" not in notebook["metadata"]


def test_the_defaults_for_jupyterlab_are_settings_that_it_has():
    """A key that the installed JupyterLab does not know would be ignored in silence."""
    schemas = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
    overrides = ROOT / "widgets" / "share" / "jupyter" / "lab" / "settings" / "overrides.d" / "vsim.json"
    for plugin, settings in json.loads(overrides.read_text(encoding="utf-8")).items():
        package, name = plugin.split(":")
        known = json.loads((schemas / package / f"{name}.json").read_text(encoding="utf-8"))["properties"]
        for key, value in settings.items():
            choices = [choice["const"] for choice in known[key].get("oneOf", [])] or [True, False]
            assert value in choices, f"{plugin} {key}"
