"""Nothing is declared that is not there: extras, entry points, commands, markers, what the wheel is made of."""

import ast
import re
import tomllib
from importlib.metadata import EntryPoint

import pytest
from PIL import Image

from tests.places import ROOT
from vsim.cli import main as cli

DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, TOOL = DECLARED["project"], DECLARED["tool"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXTRAS = {name: [re.split(r"[\[<>=!~ ]", each)[0] for each in rows]
          for name, rows in PROJECT["optional-dependencies"].items()}
REQUIRED = [re.split(r"[\[<>=!~ ]", each)[0] for each in PROJECT["dependencies"]]
POINTS = [EntryPoint(name, value, group)
          for group, rows in {"console_scripts": PROJECT["scripts"], **PROJECT["entry-points"]}.items()
          for name, value in rows.items()]

# What is run as a program, or by a program, instead of being imported: (file, how it is named there).
RUN = {
    "jupyterlab": ("widgets/lab/command.py", '"-m", "jupyterlab"'),
    "voila": ("widgets/lab/command.py", '"-m", "voila"'),
    "ruff": (".ci/run", "ruff check"),
    "mypy": (".ci/run", "mypy"),
    "pytest-xdist": ("tests/conftest.py", "pytest_xdist_make_scheduler"),
}


def used() -> set[str]:
    """Top names of what the modules of all trees import, or look for by a name in quotes."""
    found = set()
    for path in (path for tree in ("vsim", "widgets", "tests") for path in (ROOT / tree).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if called in ("find_spec", "importorskip") and isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value).partition(".")[0])
    return found


USED = used()


def reason(name: str) -> bool:
    """Whether something here needs a distribution."""
    if name in RUN:
        file, text = RUN[name]
        return text in (ROOT / file).read_text(encoding="utf-8")
    return name.replace("-", "_") in USED


def ask_for_help(*argv: str) -> None:
    """It is printed, and the status is 0."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*argv, "--help"])
    assert not ended.value.code


@pytest.fixture
def declared(monkeypatch):
    """The entry points of pyproject.toml, whatever an older install has registered."""
    monkeypatch.setattr(cli, "entry_points", lambda group, name=None: [
        each for each in POINTS if each.group == group and name in (None, each.name)])


@pytest.mark.parametrize("name", REQUIRED)
def test_a_dependency_is_used(name):
    assert reason(name)


@pytest.mark.parametrize("extra, name", [(extra, name) for extra, names in EXTRAS.items() for name in names])
def test_an_extra_names_what_is_used(extra, name):
    assert reason(name)


@pytest.mark.parametrize("name", ["dask", "no-such-library"])
def test_what_nobody_uses_is_seen(name):
    assert not reason(name)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_told_of_in_the_readme(extra):
    assert re.search(rf"`{extra}`|\[{extra}\]", README)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.group}:{point.name}")
def test_an_entry_point_loads(point):
    assert callable(point.load())


def test_the_table_of_the_readme_has_the_commands_that_the_help_has(declared, capsys):
    ask_for_help()
    shown = re.findall(r"^    (\w+)  +\S", capsys.readouterr().out, re.MULTILINE)
    told = re.findall(r"^\| `vsim (\w+)", README, re.MULTILINE)
    assert sorted({*told}) == sorted(shown) != []


@pytest.mark.parametrize("name", [*cli.BUILT_IN, *PROJECT["entry-points"][cli.ENTRY_POINTS]])
def test_a_command_is_there_and_helps(declared, capsys, name):
    ask_for_help(name)
    assert f"usage: vsim {name}" in capsys.readouterr().out


@pytest.mark.parametrize("row", TOOL["pytest"]["ini_options"]["markers"], ids=lambda row: row.partition(":")[0])
def test_a_marker_is_on_some_test(row):
    marker = f"pytest.mark.{row.partition(':')[0]}"
    assert any(marker in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))


def test_what_the_wheel_is_made_of_is_there():
    wheel = TOOL["hatch"]["build"]["targets"]["wheel"]
    assert [each for each in (*wheel["only-include"], *wheel["exclude"], *wheel["sources"], *wheel["shared-data"])
            if not (ROOT / each).is_dir()] == []


def test_the_readme_shows_a_film_that_moves_and_is_small():
    """GitHub shows it above the fold; a reader may be on a slow line."""
    (name,) = re.findall(r"!\[[^\]]+\]\((\S+)\)", README)
    with Image.open(ROOT / name) as shown:
        assert shown.n_frames > 50 and shown.info["loop"] == 0
        assert 600 <= shown.size[0] <= 1100
    assert (ROOT / name).stat().st_size <= 2 * 2**20


def test_the_readme_has_a_row_for_every_notebook_in_order():
    rows = re.findall(r"^\| `(\d\d_\w+)` \| ([^|]+) \| (\d+) \| ([^|]+) \|$", README, re.MULTILINE)
    names = [name for name, *_ in rows]
    assert names == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    for name, _, minutes, before in rows:
        assert 10 <= int(minutes) <= 90, name
        known = {each[:2] for each in names} - {name[:2]}
        assert before == "nothing" or {*before.split(", ")} <= known, name
