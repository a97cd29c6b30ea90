"""A state as one short text that can be mailed: the machine that the first deed met, the deeds, the cursor, and the
futures that others took the place of.

    text = link.text(Link(machine, deeds, commands=3058, cursor=3058))      # "vsim1.eNp..."
    link.parse(text)

A *deed* is what was done at once: commands as they are, or by a word that stands for many commands, because who reads
the link does the same again: a boot, a device that fires, a move of an interrupt, a storm. That is what keeps a link
short. `commands` is how many commands all deeds make, so that a reader whose kit does otherwise is told. A `Fork` is
another future, by what it has that the present line has not. The text is
"vsim", the version, a dot, and URL-safe base64 of zlib's stream of a JSON object; it is parsed as data, within bounds.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from vsim.history import said
from vsim.history.said import Said
from vsim.layouts.given import a
from vsim.readers.source import TextError, json_line, plain, shown
from vsim.state.arrays import Machine
from vsim.state.commands import COMMANDS, Burst, from_row, to_row
from vsim.state.pci import Bus
from vsim.state.profile import PROFILES, Profile, profile

VERSION = 1
MAX_TEXT, MAX_JSON = 1 << 18, 1 << 24
"""Longest link, in characters, and the longest JSON in it."""
MAX_DEEDS, MAX_COMMANDS, MAX_SENT = 20_000, 1_000_000, 100_000
"""Most deeds, commands of all of them, and interrupts of all storms."""
MAX_BOOTS, MAX_NAME, MAX_FORKS = 4, 120, 16
"""Most boots of all lines, longest name of a gesture, most forks."""
SELECTED: dict[str, tuple[int, int]] = {"device": (-1, 0xFFFF), "unit": (0, 255), "irte": (-1, 0xFFFF),
                                        "vlapic": (-1, 4095), "serial": (0, 1 << 62), "seen": (-1, 1 << 31)}
"""What can be looked at, with its limits."""
NEWER = "a newer vsim made the link, or it was changed"
"""What is said of a name that nothing here has."""
Deed = tuple[Any, ...]

_WORDS: dict[str, tuple[Callable[[Any], bool], ...]] = {
    "boot": (lambda word: word in ("physical", "cluster"),),
    "fire": (lambda bdf: _whole(bdf, 0xFFFF), lambda message: _whole(message, 2047)),
    "move": (lambda bdf: _whole(bdf, 0xFFFF), lambda message: _whole(message, 2047), lambda vcpu: _whole(vcpu, 4095)),
    "storm": (lambda rate: _whole(rate, 100_000, 1), lambda count: _whole(count, MAX_SENT, 1),
              lambda seed: type(seed) is int and abs(seed) < 1 << 63)}
"""Deeds by their word, with the tests of what follows it. "do" is followed by the name that people see ("": after the
commands) and by commands, in the text by their rows."""


class LinkError(TextError):
    """A link that cannot be opened."""


class Fork(NamedTuple):
    """Another line of history. at: position up to which its commands are those of the present line; shared: how many
    of the present line's deeds it begins with; commands: of all its deeds; deeds: those behind the shared ones."""

    at: int
    shared: int
    commands: int
    deeds: tuple[Deed, ...]


class Link(NamedTuple):
    """What a link holds. title: of the domain. selected: numbers by the names of `SELECTED`. forks: the oldest first.

    serving, pausing: whether handlers run at once, and whether a fault holds them (`widgets.lab.kernel`). notes: what
    was assumed when it was made; assumed: the same as sentences with the elements (nodes of events) that each is about;
    names: of elements that have one.
    """

    machine: Machine
    deeds: tuple[Deed, ...]
    commands: int
    cursor: int
    title: str
    selected: dict[str, int]
    forks: tuple[Fork, ...] = ()
    serving: bool = True
    pausing: bool = False
    notes: tuple[str, ...] = ()
    assumed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    names: tuple[tuple[int, str], ...] = ()

    @property
    def all_deeds(self) -> tuple[Deed, ...]:
        """Those of every line."""
        return self.deeds + tuple(deed for fork in self.forks for deed in fork.deeds)


_NEEDED = frozenset(Link._fields) - Link._field_defaults.keys()


# --- writing ---

_INSTEAD = "save a session instead"
_UNSAID: dict[str, Any] = {"forks": [], "serving": True, "pausing": False, "notes": [], "assumed": [], "names": []}
"""What a text leaves out."""


def text(link: Link) -> str:
    """The link as text. ValueError when it is more than `parse` takes: a session file has room for more."""
    deeds, commands = len(link.all_deeds), max(link.commands, *(fork.commands for fork in link.forks), 0)
    if deeds > MAX_DEEDS or commands > MAX_COMMANDS:
        raise ValueError(f"{deeds} deeds and {commands} commands; the limits of a link are {MAX_DEEDS} "
                         f"and {MAX_COMMANDS}: {_INSTEAD}")
    forks = [[*fork[:3], _rows(fork.deeds)] for fork in link.forks]
    out = {"title": link.title[:80], "machine": _written(link.machine), "deeds": _rows(link.deeds),
           "commands": link.commands, "cursor": link.cursor, "selected": link.selected, "forks": forks,
           "serving": link.serving, "pausing": link.pausing,
           **said.written(Said(link.notes, link.assumed, link.names))}
    out = {name: value for name, value in out.items() if name in _NEEDED or value != _UNSAID[name]}
    written = json.dumps(out, separators=(",", ":")).encode()
    made = f"vsim{VERSION}.{base64.urlsafe_b64encode(zlib.compress(written, 9)).decode().rstrip('=')}"
    if len(made) > MAX_TEXT or len(written) > MAX_JSON:
        raise ValueError(f"the link has {len(made)} characters; the limit is {MAX_TEXT}: {_INSTEAD}")
    return made


def _rows(deeds: tuple[Deed, ...]) -> list[list[Any]]:
    return [["do", deed[1], *map(to_row, deed[2:])] if deed[0] == "do" else list(deed) for deed in deeds]


def _written(m: Machine) -> dict[str, Any]:
    """A machine as it is made, or, when something has been done to it, as it is saved."""
    if m == Machine(m.profile, m.vcpus, m.ram.size, m.bus):
        return {"profile": _difference(m.profile), "vcpus": m.vcpus, "ram": m.ram.size, "bus": m.bus.to_list()}
    return {"saved": json.loads(m.save())}


def _difference(chosen: Profile) -> dict[str, Any]:
    """A profile as its name and what differs from the profile of that name."""
    given = chosen.to_dict()
    base = profile(chosen.name if chosen.name in PROFILES else "spec").to_dict()
    out = {key: {name: value for name, value in given[key].items() if value != base[key][name]}
           for key in ("capabilities", "options")}
    rest = {key: given[key] for key in ("quirks", "units") if given.get(key) != base.get(key)}
    return {"name": chosen.name, **{key: value for key, value in out.items() if value}, **rest}


# --- reading ---


def parse(given: str) -> Link:
    """The link of a text. LinkError with the column of what is wrong with it."""
    a(str, "text", given)
    return _link(_opened(given.strip()[:MAX_TEXT + 1]))


def _opened(given: str) -> dict[str, Any]:
    head = re.match(r"vsim(\d{1,4})\.", given)
    if head is None:
        raise _wrong(f"found {shown(given)}; a link begins with vsim{VERSION}.")
    if int(head[1]) != VERSION:
        raise _wrong(f"a link of version {head[1]}; this kit reads version {VERSION}", 5)
    if len(given) > MAX_TEXT:
        raise _wrong(f"found more than {MAX_TEXT} characters; allowed: up to {MAX_TEXT}", MAX_TEXT + 1)
    body = given[head.end():]
    if odd := re.search(r"[^A-Za-z0-9_-]", body):
        raise _wrong(f"found {shown(odd.group())}; a link has letters, digits, - and _", head.end() + odd.start() + 1)
    try:
        stream = zlib.decompressobj()
        held = stream.decompress(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), MAX_JSON)
    except (zlib.error, binascii.Error, ValueError):
        raise _wrong("it cannot be unpacked: a part is missing or was changed", head.end() + 1) from None
    if not stream.eof or stream.unused_data:
        raise _wrong("it is cut off, or larger than a link may be", len(given))
    try:
        found = json_line(held.decode("utf-8"))
    except ValueError:
        raise _wrong("what it holds is not JSON", head.end() + 1) from None
    if isinstance(found, dict) and (more := found.keys() - {*Link._fields}):
        raise _wrong(f"it holds {shown(min(more))}, which this kit does not know: {NEWER}", head.end() + 1)
    if not isinstance(found, dict) or not found.keys() >= _NEEDED:
        raise _wrong(f"it has to hold {', '.join(n for n in Link._fields if n in _NEEDED)}, and may hold "
                     f"{', '.join(_UNSAID)}", head.end() + 1)
    return _UNSAID | found


def _wrong(message: str, column: int = 1) -> LinkError:
    return LinkError("link", 1, column, message)


def _link(found: dict[str, Any]) -> Link:
    if not isinstance(found["title"], str):
        raise _wrong("title is no text")
    for name in ("serving", "pausing"):
        if not isinstance(found[name], bool):
            raise _wrong(f"{name} is {shown(json.dumps(found[name]))}; allowed are true and false")
    commands, deeds = _number(found["commands"], "commands", MAX_COMMANDS), _deeds(found["deeds"])
    made = Link(_machine(found["machine"]), deeds, commands, _number(found["cursor"], "cursor", commands),
                plain(found["title"][:80]), _selected(found["selected"]), _forks(found["forks"], len(deeds), commands),
                found["serving"], found["pausing"],
                *said.read(found, _wrong))
    _check_sums(made.all_deeds)
    return made


def _forks(found: Any, deeds: int, commands: int) -> tuple[Fork, ...]:
    if not isinstance(found, list) or len(found) > MAX_FORKS:
        raise _wrong(f"forks is no list of at most {MAX_FORKS}")
    return tuple(_fork(number, row, deeds, commands) for number, row in enumerate(found, 1))


def _fork(number: int, row: Any, deeds: int, commands: int) -> Fork:
    if not isinstance(row, list) or len(row) != len(Fork._fields):
        raise _wrong(f"fork {number} does not hold exactly {', '.join(Fork._fields)}")
    at, shared, whole, own = row
    whole = _number(whole, f"fork {number}: commands", MAX_COMMANDS)
    return Fork(_number(at, f"fork {number}: at", min(commands, whole)),
                _number(shared, f"fork {number}: shared", deeds), whole, _deeds(own))


def _whole(value: Any, most: int, least: int = 0) -> bool:
    return type(value) is int and least <= value <= most


def _number(value: Any, name: str, most: int, least: int = 0) -> int:
    if not _whole(value, most, least):
        raise _wrong(f"{name} is {shown(str(value))}; allowed are {least} to {most}")
    return int(value)


def _selected(found: Any) -> dict[str, int]:
    if not isinstance(found, dict) or not found.keys() <= SELECTED.keys():
        raise _wrong(f"selected has another name than {', '.join(SELECTED)}")
    return {name: _number(value, name, SELECTED[name][1], SELECTED[name][0]) for name, value in found.items()}


_MACHINE = {"profile", "vcpus", "ram", "bus"}


def _machine(found: Any) -> Machine:
    if not isinstance(found, dict) or not ("saved" in found or found.keys() >= _MACHINE):
        raise _wrong("machine has to hold saved, or profile, vcpus, ram and bus")
    try:
        if "saved" in found:
            return Machine.load(json.dumps(found["saved"]))
        return Machine(_profile(found["profile"]), _number(found["vcpus"], "vcpus", 4096, 1),
                       _number(found["ram"], "ram", 1 << 52), Bus.from_list(found["bus"]))
    except LinkError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _wrong(f"machine: {str(error)[:200] or type(error).__name__}: {NEWER}") from None


def _profile(found: Any) -> Profile:
    base = profile(found["name"] if found["name"] in PROFILES else "spec").to_dict()
    for key in ("capabilities", "options"):
        base[key] |= found.get(key, {})
    return Profile.from_dict(base | {key: found[key] for key in ("name", "quirks", "units") if key in found})


def _deeds(found: Any) -> tuple[Deed, ...]:
    if not isinstance(found, list) or len(found) > MAX_DEEDS:
        raise _wrong(f"deeds is no list of at most {MAX_DEEDS}")
    return tuple(_deed(number, row) for number, row in enumerate(found, 1))


def _check_sums(deeds: tuple[Deed, ...]) -> None:
    """What all lines do together is bounded, or a short text would be work for ever."""
    if len(deeds) > MAX_DEEDS:
        raise _wrong(f"more than {MAX_DEEDS} deeds; no more are allowed")
    if sum(deed[0] == "boot" for deed in deeds) > MAX_BOOTS:
        raise _wrong(f"more than {MAX_BOOTS} boots; no more are allowed")
    bursts = sum(each.messages for deed in deeds if deed[0] == "do" for each in deed[2:] if isinstance(each, Burst))
    if bursts + sum(deed[2] for deed in deeds if deed[0] == "storm") > MAX_SENT:
        raise _wrong(f"storms of more than {MAX_SENT} interrupts; no more are allowed")


def _deed(number: int, row: Any) -> Deed:
    word = row[0] if isinstance(row, list) and row and isinstance(row[0], str) else ""
    if word == "do":
        if len(row) < 2 or not isinstance(row[1], str) or len(row[1]) > MAX_NAME:
            raise _wrong(f"deed {number}: do takes a name of at most {MAX_NAME} characters, and commands")
        tags = (each[0] for each in row[2:] if isinstance(each, list) and each and isinstance(each[0], str))
        if unknown := next((tag for tag in tags if tag not in COMMANDS), ""):
            raise _wrong(f"deed {number} has the command {shown(unknown)}, which this kit does not know: {NEWER}")
        try:
            return ("do", plain(row[1]), *map(from_row, row[2:]))
        except ValueError as error:
            raise _wrong(f"deed {number}: {error}") from None
    tests = _WORDS.get(word)
    if word and tests is None:
        raise _wrong(f"deed {number} is {shown(word)}, which this kit does not know: {NEWER}")
    if tests is None or len(row) != len(tests) + 1:
        raise _wrong(f"deed {number} is {shown(json.dumps(row))}; deeds are do, {', '.join(_WORDS)}")
    for value, test in zip(row[1:], tests, strict=True):
        if not test(value):
            raise _wrong(f"deed {number}: {word} takes no {shown(json.dumps(value))}")
    return tuple(row)
