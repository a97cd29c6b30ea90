"""The terms: a box opens each notebook, the glossary has each once, and none is used before it is said."""

import re
from functools import cache

import pytest

from tests.notebooks.test_all import FOLDER, cells

TEACHING = FOLDER / "TEACHING.md"
GLOSSARY = FOLDER / "GLOSSARY.md"
BOX = "> **Words used here**, all in [the glossary](GLOSSARY.md)."
TECHNICAL = ("## Interrupts and who takes them", "## Remapping", "## Xen")
"""The parts of the glossary whose terms are checked; the words of vsim (log, machine, event) are everyday ones too."""


def course():
    """The notebooks in the order of the course: that of their numbers, and the review last."""
    paths = sorted(FOLDER.glob("*.ipynb"))
    return sorted(paths, key=lambda path: (path.stem.startswith("10"), path.name))


@cache
def terms(*heads):
    """Each term of the parts of the glossary, as often as it stands there."""
    parts = GLOSSARY.read_text(encoding="utf-8").split("\n## ")
    parts = [part for part in parts if not heads or f"## {part}".startswith(heads)]
    rows = [line.split("|")[1] for part in parts for line in part.splitlines() if re.match(r"\| (?!Term|---)", line)]
    return [each.strip() for row in rows for each in re.split(r"[,()]", row) if each.strip()]


def stressed(term):
    """A term where it is said, also in the plural or past."""
    return re.compile(rf"(?<![\w-]){re.escape(term)}(s|d|ed)?(?![\w-])", re.IGNORECASE)


def used(term):
    """A term where it is used; capitals count where it has any."""
    flags = re.NOFLAG if re.search("[A-Z]", term) else re.IGNORECASE
    return re.compile(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", flags)


def said(text):
    """What is emphasised in a cell."""
    return [re.sub(r"\s*\n>?\s*", " ", each) for each in re.findall(r"(?<!\w)\*{1,2}([^*]{1,60}?)\*{1,2}", text)]


def prose(text):
    """A cell without code and without the addresses of links, in one line."""
    return re.sub(r"\s*\n>?\s*", " ", re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "", text)))


def box(path):
    """The paragraph that opens a notebook with its terms."""
    paragraphs = [part for cell in cells(path, "markdown")[:2] for part in cell.split("\n\n")]
    return next((part for part in paragraphs if part.startswith(BOX)), "")


def test_the_glossary_has_each_term_once():
    every = [term.lower() for term in terms()]
    assert sorted(term for term in {*every} if every.count(term) > 1) == ["level"]      # of a wire, of a command bit


@pytest.mark.parametrize("path", course(), ids=lambda path: path.name)
def test_a_box_of_terms_opens_a_notebook_and_each_is_in_the_glossary(path):
    found = said(box(path).replace("**Words used here**", ""))
    known = [stressed(term) for term in terms()]
    assert found and [each for each in found if not any(term.search(each) for term in known)] == []


def test_no_term_is_used_before_it_is_said():
    """In the order of the course: where a term stands for the first time, there or before it is emphasised."""
    early, known = {}, set()
    for path in course():
        for number, text in enumerate(cells(path, "markdown")):
            emphasised, plain = said(text), prose(text)
            for term in set(terms(*TECHNICAL)) - known - early.keys():
                if any(stressed(term).search(each) for each in emphasised):
                    known.add(term)
                elif used(term).search(plain):
                    early[term] = path.name, number
    assert early == {}
