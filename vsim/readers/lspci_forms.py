"""What `lspci -t`, `-vmm` and `-m` print: where functions are and what they are called, nothing of what they can do.

    for place in tree(lines, []): ...   # -[0000:00]-+-00.0, with the buses of bridges
    for place in tags(lines): ...       # Slot: 00:00.0, Class: ..., one fact a line
    quoted(text)                        # 00:00.0 "Host bridge" "Intel" ...: class and name

The forms (pciutils, ls-tree.c and lspci.c): in a tree a bus stands before its functions, in the column of its bracket
all that is below it stands further right; a bridge has [secondary] or [secondary-subordinate] behind it, a root bus
[domain:bus]. In the older -vm the place is called Device, as the device's name is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vsim.readers.pieces import Line

TREE, TAGS = "tree", "tags"
MAX_DEPTH = 256
"""Buses that are open at a time: there are no more on a path of a segment."""


class Place(NamedTuple):
    """One function. bdf: requester id; bridge: (primary, secondary, subordinate) bus. form: TREE or TAGS."""

    line: Line
    segment: int
    bdf: int
    class_name: str = ""
    name: str = ""
    bridge: tuple[int, int, int] | None = None
    driver: str = ""
    form: str = TREE


_TOKEN = re.compile(r"(?P<drawn>[-+|\\ ]*)(?:"
                    r"\[(?:(?P<segment>[0-9a-f]{4,8}):)?(?P<bus>[0-9a-f]{2})(?:-(?P<last>[0-9a-f]{2}))?\]|"
                    r"(?:(?P<domain>[0-9a-f]{4}):(?P<on>[0-9a-f]{2}):)?(?P<device>[0-9a-f]{2})\.(?P<function>[0-7])"
                    r"(?=-|\s|$))")
_BEGIN = re.compile(r"-(?:\+-)?\[[0-9a-f]{2,8}[:\]]|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]-\[")
_BRANCH = re.compile(r"[| ]*(?=[+\\]-)")
_FORK = re.compile(r"(?<![^-| ])\+-")


def tree(lines: Sequence[Line], torn: list[Line]) -> Iterator[Place]:
    """The functions of a tree. A line that is not drawn ends it; one whose branch is below no other goes to torn."""
    open_: list[tuple[int, int, int]] = []      # column, segment and bus, outermost first
    forks: set[int] = set()                     # columns of branches that go on; a row begins at the leftmost
    for line in lines:
        text = line.text.rstrip()
        if _BEGIN.match(text.lstrip()):
            forks.clear()
        elif open_ and text[:1] in (" ", "|", "+", "\\"):
            text = " " * min(forks, default=0) + text.lstrip()
            branch = _BRANCH.match(text)
            if branch and branch.end() not in forks:
                torn.append(line)
                continue
            if branch:
                forks = {each for each in forks if each < branch.end() + (text[branch.end()] == "+")}
        else:
            open_.clear()
            continue
        yield from _row(line, text, open_)
        forks.update(match.start() for match in _FORK.finditer(text))


def _row(line: Line, text: str, open_: list[tuple[int, int, int]]) -> Iterator[Place]:
    at, before = 0, None
    while match := _TOKEN.match(text, at):
        column = match.end("drawn")
        while open_ and open_[-1][0] >= column:
            open_.pop()
        if match["bus"]:
            bus = int(match["bus"], 16)
            segment = int(match["segment"], 16) if match["segment"] else open_[-1][1] if open_ else 0
            if before and not match["segment"]:
                last = int(match["last"] or match["bus"], 16)
                segment = before.segment
                before = before._replace(bridge=(before.bdf >> 8, bus, last))
            if len(open_) < MAX_DEPTH:
                open_.append((column, segment, bus))
        else:
            if before:
                yield before
            before = None
            if match["domain"]:
                open_.append((column, int(match["domain"], 16), int(match["on"], 16)))
            device = int(match["device"], 16)
            if not open_ or device > 31:
                return
            before = Place(line, open_[-1][1], open_[-1][2] << 8 | device << 3 | int(match["function"]))
        at = match.end()
    if before:
        yield before if before.bridge else before._replace(name=text[at:].strip(" -"))


_TAG = re.compile(r"(Slot|Device|Class|Vendor|Driver|SVendor|SDevice|Rev|ProgIf|PhySlot|Module|NUMANode|IOMMUGroup|"
                  r"DTNode):[ \t]+(\S.*)")
_SLOT = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$")


def tags(lines: Sequence[Line]) -> Iterator[Place]:
    """The functions of a text with one fact a line. A line without a tag ends a function."""
    now: Place | None = None
    for line in lines:
        match = _TAG.match(line.text.strip())
        slot = _SLOT.match(match[2].strip()) if match and match[1] in ("Slot", "Device") else None
        if not match or slot:
            if now:
                yield now
            now = None
        if slot and int(slot[3], 16) <= 31:
            bdf = int(slot[2], 16) << 8 | int(slot[3], 16) << 3 | int(slot[4])
            now = Place(line, int(slot[1] or "0", 16), bdf, form=TAGS)
        elif match and now:
            word = match[2].strip()
            if match[1] == "Class":
                now = now._replace(class_name=word)
            elif match[1] == "Driver":
                now = now._replace(driver=word)
            elif match[1] in ("Vendor", "Device"):
                now = now._replace(name=f"{now.name} {word}".strip())
    if now:
        yield now


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def quoted(text: str) -> tuple[str, str]:
    """Class and name out of the quoted words of `lspci -m` and `-mm`: class, vendor, device."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in _QUOTED.findall(text)]
    return (words[0] if words else ""), " ".join(words[1:3])
