"""The house keeps its rules: who imports whom, what a stranger types, what no file may hold."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "vsim").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TOP = 100


def levels(readme: str) -> dict[str, int]:
    """Module -> level, from the rows of README.md's reading list; there is no second list."""
    rows = re.findall(r"^\| *(\d+) *\|([^|]*)\|", readme, re.MULTILINE)
    listed = [(name, int(level)) for level, names in rows for name in re.findall(r"`(\w+)`", names)]
    assert len(listed) == len(dict(listed)), "README.md lists a module twice"
    return {"__init__": -1, **dict(listed), "__main__": TOP}


README = (ROOT / "README.md").read_text(encoding="utf-8")
LEVEL = levels(README)

# Neighbours on one level that may import each other all the same, in this direction.
SAME_LEVEL: set[tuple[str, str]] = set()

# What vsim needs beyond the standard library: (module, import, only inside a function).
EXCEPTIONS = {
    ("topology", "networkx", False),
    ("storm", "numpy", True),
    ("storm", "numba", True),
    ("storm_engines", "numpy", True),
    ("storm_engines", "numba", True),
    ("storm_vectorised", "numpy", True),
    ("bench", "numpy", True),
    ("bench", "numba", True),
}

SETUP = [
    "python -m pip install -e . && vsim lab",
    'python -m pip install -e ".[test]" && pytest',
]


def name_of(path: Path) -> str:
    """The module's name as README.md's reading list has it."""
    return ".".join(path.relative_to(ROOT / "vsim").with_suffix("").parts)


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Every imported name of a module, and whether the import stands inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((name, inside) for name in imported_from(node))
        else:
            yield from imports(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imported_from(node: ast.ImportFrom) -> list[str]:
    """`from x import y` as full names; a relative import counts from the package vsim."""
    base = node.module or ""
    if node.level:
        base = f"vsim.{base}".rstrip(".")
    return [f"vsim.{alias.name}" for alias in node.names] if base == "vsim" else [base]


def imports_of(path: Path) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(path.read_text(encoding="utf-8"))))


def foreign(path: Path) -> set[tuple[str, str]]:
    """Imports of a module of vsim that are neither the standard library, vsim, nor an exception."""
    module, bad = name_of(path), set()
    for name, inside in imports_of(path):
        top = name.partition(".")[0]
        allowed = (module, top, False) in EXCEPTIONS or (inside and (module, top, True) in EXCEPTIONS)
        if top != "vsim" and top not in sys.stdlib_module_names and not allowed:
            bad.add((module, name))
    return bad


def upward(path: Path) -> set[tuple[str, str]]:
    """Imports of a module of vsim that do not come from a level below its own."""
    module, bad = name_of(path), set()
    own = LEVEL.get(module, TOP)
    for name, _ in imports_of(path):
        if name == "vsim" or not name.startswith("vsim."):
            continue
        other = name.split(".")[1]
        if other not in LEVEL:
            other = "__init__"  # a name of the package itself, such as __version__
        if LEVEL[other] >= own and (module, other) not in SAME_LEVEL:
            bad.add((module, other))
    return bad


def test_every_module_of_vsim_is_in_the_reading_list_of_the_readme():
    assert [name_of(path) for path in MODULES if name_of(path) not in LEVEL] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_vsim_needs_the_standard_library_alone(path):
    assert foreign(path) == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_lower_levels(path):
    assert upward(path) == set()


@pytest.mark.parametrize(
    "module, text, found",
    [
        ("bits", "import widgets", {("bits", "widgets")}),
        ("bits", "def f():\n    import matplotlib.pyplot", {("bits", "matplotlib.pyplot")}),
        ("storm", "import numpy", {("storm", "numpy")}),
        ("storm", "def f():\n    import numpy", set()),
        ("topology", "import networkx", set()),
        ("bits", "import struct", set()),
    ],
)
def test_the_reader_of_imports_sees_what_is_foreign(tmp_path, monkeypatch, module, text, found):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "vsim").mkdir()
    path = tmp_path / "vsim" / f"{module}.py"
    path.write_text(text)
    assert foreign(path) == found


@pytest.mark.parametrize(
    "module, text, found",
    [
        ("bits", "from vsim import machine", {("bits", "machine")}),
        ("bits", "from vsim.machine import step", {("bits", "machine")}),
        ("bits", "from .machine import step", {("bits", "machine")}),
        ("machine", "import vsim.bits", set()),
        ("cli", "from vsim import __version__", set()),
    ],
)
def test_the_reader_of_imports_sees_what_looks_upward(tmp_path, monkeypatch, module, text, found):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "vsim").mkdir()
    path = tmp_path / "vsim" / f"{module}.py"
    path.write_text(text)
    assert upward(path) == found


WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numpy", "numba", "networkx", "matplotlib", "ipywidgets", "widgets"}:
            raise ImportError(name + " is made unimportable")
sys.meta_path.insert(0, Blocker())
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.modules))
"""


def test_vsim_is_imported_without_numpy_numba_networkx_and_matplotlib():
    names = {name_of(path) for path in MODULES} - {"__init__", "__main__", "topology"}
    command = [sys.executable, "-c", WITHOUT, "vsim", *(f"vsim.{name}" for name in sorted(names))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


BOOT = """
from vsim import domain, guest, lspci, xl
from vsim.commands import Signal
from vsim.history import History
from vsim.trace import Act
config = xl.load("notebooks/data/big.cfg")
built = domain.build(config, lspci.load("notebooks/data/big.lspci"))
history = History(built.machine)
kernel = guest.Guest(history.issue, built.platform)
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


def texts() -> Iterator[Path]:
    """The project's own text files: nothing that a tool made, no virtual environment, no recording."""
    made = {"build", "dist", "vsim-notebooks"}
    for top in ROOT.iterdir():
        if top.name in (".ci", ".gitignore") or not top.name.startswith("."):
            inside = [top] if top.is_file() else top.rglob("*")
            if top.name not in made and not (top / "pyvenv.cfg").exists():
                yield from (path for path in inside if path.is_file() and is_text(path))


def is_text(path: Path) -> bool:
    return path.suffix not in (".gz", ".png", ".pyc") and not {"__pycache__", ".ipynb_checkpoints"} & {*path.parts}


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
    found.pop("tests/test_house.py", None)  # the patterns themselves
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
    overrides = ROOT / "share" / "jupyter" / "lab" / "settings" / "overrides.d" / "vsim.json"
    for plugin, settings in json.loads(overrides.read_text(encoding="utf-8")).items():
        package, name = plugin.split(":")
        known = json.loads((schemas / package / f"{name}.json").read_text(encoding="utf-8"))["properties"]
        for key, value in settings.items():
            choices = [choice["const"] for choice in known[key].get("oneOf", [])] or [True, False]
            assert value in choices, f"{plugin} {key}"
