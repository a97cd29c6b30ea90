"""What the texts name is there: files, modules and their names, commands and their options."""

import re
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint

import pytest

from tests.places import ROOT
from tests.vsim.test_declared import PROJECT
from vsim.cli import main as cli

DAY = "2026-12-01"
"""Of DECISIONS.md the entries of this day on are read: older ones tell of what was there then."""
ROOTS = (ROOT, ROOT / "vsim", ROOT / "widgets", ROOT / "tests", ROOT / "notebooks")
COMMANDS = (*cli.BUILT_IN, *PROJECT["entry-points"][cli.ENTRY_POINTS])
OTHERS = {"--ip"}
"""Options of JupyterLab, which `vsim lab` hands on."""


def told() -> dict[str, str]:
    """The texts by file."""
    out = {name: (ROOT / name).read_text(encoding="utf-8")
           for name in ("README.md", "CONTRIBUTING.md", "notebooks/TEACHING.md", "notebooks/GLOSSARY.md")}
    entries = (ROOT / "DECISIONS.md").read_text(encoding="utf-8").split("\n## ")[1:]
    out["DECISIONS.md"] = "\n".join(entry for entry in entries if entry[:10] >= DAY)
    out["CHANGELOG.md"] = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    return out


TEXTS = told()


def quoted(text: str) -> list[str]:
    """What stands between backticks, on one line or two, and lines of code."""
    spans = re.findall(r"`([^`]{1,200})`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    blocks = re.findall(r"^(?:    |)((?:vsim|python|pytest|bash|ruff)\b.*)$", text, re.MULTILINE)
    return [" ".join(each.split()) for each in (*spans, *blocks)]


def missing_files(text: str) -> list[str]:
    """Names of files and folders, of ours by their first part or their ending, that are not there."""
    ours = {path.name for root in ROOTS for path in root.iterdir() if not path.name.startswith("__")}
    named = [word for each in quoted(text) for word in each.split()
             if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*/?", word) and "/" in word and word.split("/")[0] in ours]
    named += re.findall(r"\]\(([^)#:]+)\)", text)
    ends = ("", ".py")
    return [name for name in named if not any((root / f"{name}{end}").exists() for root in ROOTS for end in ends)]


def missing_names(text: str) -> list[str]:
    """`vsim.a.b` and `widgets.a.b` that lead nowhere."""
    named = {word for each in quoted(text)
             for word in re.findall(r"(?<![\w./\"'-])(?:vsim|widgets)(?:\.\w+)+", each)}
    return sorted(name for name in named if not leads(name) and name not in PROJECT["entry-points"])


def leads(name: str) -> bool:
    """Whether a dotted name can be imported, or read from what can be."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@cache
def options(command: str) -> frozenset[str]:
    """What a command takes."""
    parser = cli.Parser(command)
    module, _, name = (f"{cli.BUILT_IN[command].module}:register" if command in cli.BUILT_IN
                       else PROJECT["entry-points"][cli.ENTRY_POINTS][command]).partition(":")
    EntryPoint(command, f"{module}:{name}", cli.ENTRY_POINTS).load()(parser)
    return frozenset(parser._option_string_actions)


def missing_options(text: str) -> list[str]:
    """`vsim COMMAND --option` of a command or an option that there is not."""
    out = []
    for each in quoted(text):
        for command, rest in re.findall(r"(?:^|\| |&& )vsim ([a-z]+)\b([^|&]*)", each):
            taken = options(command) | OTHERS if command in COMMANDS else OTHERS
            if command not in COMMANDS or not {*re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest)} <= taken:
                out.append(each)
    return out


@pytest.mark.parametrize("missing", [missing_files, missing_names, missing_options], ids=lambda each: each.__name__)
@pytest.mark.parametrize("file", TEXTS)
def test_what_a_text_names_is_there(file, missing):
    assert missing(TEXTS[file]) == []


@pytest.mark.parametrize("missing, text", [
    (missing_files, "see `vsim/nowhere.py`"), (missing_files, "see [this](NOWHERE.md)"),
    (missing_names, "`vsim.nowhere.step`"), (missing_names, "`widgets.lab.Nobody(1)`"),
    (missing_options, "`vsim dance`"), (missing_options, "`vsim run FILE --dance`"),
    (missing_options, "    vsim receipts --nowhere > class.csv\n")])
def test_what_is_not_there_is_seen(missing, text):
    assert missing(text) != []
