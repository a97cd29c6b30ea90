"""A sweep as data: axes with their values, what is fixed, the seed; and the cells that follow.

    seed = 1
    [fixed]
    profile = "spec"
    [axes]
    vcpus = [64, 128, 288]
    viommu = [true, false]

The text is TOML. What an axis may hold is a row of `AXES`; an unknown axis, a value that is out of bounds, and a grid
that is too large are told with their line before anything runs. An axis `config` names xl.cfg files beside the
specification; they are read and checked with it, and travel with the cells. A cell's seed follows from the sweep's
seed and from the cell's own values, so that it is the same in whatever order cells are run, and when an axis gets one
value more.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from vsim.domain.host_answers import POLICIES as ANSWERS
from vsim.guest.kernel import DESTINATIONS
from vsim.readers import xl
from vsim.readers.source import TextError, read, shown
from vsim.state.profile import PROFILES
from vsim.state.quirks import QUIRKS
from vsim.storm.workload import POLICIES

MAX_CHARACTERS = 1 << 20
MAX_CELLS = 1_000_000
"""Longest specification, and most cells of a grid."""
MODES = ("run", "storm")
PLACEMENTS = ("xen", "qemu")
DECIDED = ("vcpus", "viommu", "devices", "queues")
"""Axes that a configuration decides: they cannot stand beside one."""


class SpecError(TextError):
    """A specification that cannot be swept."""


class Axis(NamedTuple):
    """What can vary. allowed: in words; holds: whether a value may stand there; default: where it is not named."""

    meaning: str
    allowed: str
    holds: Callable[[Any], bool]
    default: Any


def _among(*names: str) -> tuple[str, Callable[[Any], bool]]:
    return "one of " + ", ".join(names), lambda value: isinstance(value, str) and value in names


def _whole(least: int, most: int) -> tuple[str, Callable[[Any], bool]]:
    return f"{least} to {most}", lambda value: type(value) is int and least <= value <= most


def _quirks(value: Any) -> bool:
    return isinstance(value, str) and all(word[:1] in "+-" and word[1:] in QUIRKS for word in value.split())


AXES: dict[str, Axis] = {
    "mode": Axis("run: every device to every vCPU; storm: all at random, by the seed", *_among(*MODES), "run"),
    "config": Axis("an xl.cfg, which decides " + ", ".join(DECIDED), "a file beside the specification",
                   lambda value: isinstance(value, str) and len(value) <= 200, ""),
    "profile": Axis("what the machine is made of", *_among(*PROFILES), "spec"),
    "vcpus": Axis("number of vCPUs", *_whole(1, 4096), 8),
    "apic_id_step": Axis("APIC ID of vCPU n is n times this", *_whole(1, 2), 2),
    "viommu": Axis("whether there is a virtual IOMMU", "true or false", lambda value: type(value) is bool, True),
    "placement": Axis("where the unit is emulated", *_among(*PLACEMENTS), "xen"),
    "quirks": Axis("defects switched on top of the profile's: words +id or -id", "words such as +xen.D10 -xen.D5",
                   _quirks, ""),
    "host_units": Axis("IOMMUs of the host; the devices are behind them by turns", *_whole(1, 16), 1),
    "weak_units": Axis("how many of those, the last, lack EIM, posting and snoop control", *_whole(0, 16), 0),
    "policy": Axis("how the host's units become vIOMMUs", *_among(*ANSWERS), "unlinked"),
    "devices": Axis("passed-through devices", *_whole(1, 255), 1),
    "queues": Axis("MSI-X messages of each device", *_whole(1, 2048), 4),
    "destination": Axis("destination mode of the guest's messages", *_among(*DESTINATIONS), "physical"),
    "affinity": Axis("where a storm's interrupts move", *_among(*POLICIES), "none"),
    "moves": Axis("affinity moves before each round of a storm", *_whole(0, 4096), 1),
    "rate": Axis("interrupts of a storm in each round", *_whole(1, 1_000_000), 1000),
    "rounds": Axis("rounds of a storm", *_whole(1, 100_000), 10),
    "repeat": Axis("the same once more with another seed", *_whole(0, 1_000_000), 0)}
"""The axes by name, in the order of the columns."""
Values = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """The values of each axis; those that are not named have their default alone.

    seed: of the sweep. texts: the configurations that the axis `config` names.
    """

    axes: Mapping[str, tuple[Any, ...]]
    seed: int = 1
    texts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError for an axis that there is not, a value that it does not take, or more than `MAX_CELLS` cells.

        ConfigError, with its own file and line, for a configuration that xl would not take.
        """
        for name, values in self.axes.items():
            if name not in AXES:
                raise ValueError(f"no axis {name!r}; axes are {', '.join(AXES)}")
            if not values:
                raise ValueError(f"axis {name} has no value")
            for value in values:
                if not AXES[name].holds(value):
                    raise ValueError(f"{name} is {value!r}; allowed is {AXES[name].allowed}")
            if len(set(values)) < len(values):
                raise ValueError(f"axis {name} has a value twice")
        if type(self.seed) is not int or not 0 <= self.seed < 1 << 32:
            raise ValueError(f"seed is {self.seed!r}; the limit is 0 to {(1 << 32) - 1}")
        if len(self) > MAX_CELLS:
            raise ValueError(f"the grid has {len(self)} cells; the limit is {MAX_CELLS}")
        configs = [name for name in self.axes.get("config", ()) if name]
        for name in configs:
            if name not in self.texts:
                raise ValueError(f"config is {name!r}, and there is no text of it")
            xl.parse(self.texts[name], name)
        both = [name for name in DECIDED if name in self.axes]
        if configs and both:
            raise ValueError(f"{both[0]} is an axis, and so is config, which decides it")

    def __len__(self) -> int:
        return prod(len(values) for values in self.axes.values())

    def cells(self) -> Iterator[Values]:
        """The cells in order, the last axis fastest: a value for every axis of `AXES`, and `seed`.

        `text` is there too where there is a configuration.
        """
        names = [name for name in AXES if name in self.axes]
        for chosen in product(*(self.axes[name] for name in names)):
            values = {name: axis.default for name, axis in AXES.items()} | dict(zip(names, chosen, strict=True))
            more = {"text": self.texts[values["config"]]} if values["config"] else {}
            yield values | {"seed": seed_of(self.seed, values)} | more

    @property
    def name(self) -> str:
        """What tells this grid from another: a digest of axes, seed and configurations."""
        whole = json.dumps([{name: list(self.axes[name]) for name in AXES if name in self.axes}, self.seed,
                            dict(sorted(self.texts.items()))])
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def seed_of(seed: int, values: Values) -> int:
    """The seed of a cell, 32 bits."""
    whole = json.dumps([seed, [values[name] for name in AXES]])
    return int.from_bytes(hashlib.sha256(whole.encode()).digest()[:4], "little")


# --- its text ---


def load(path: str | os.PathLike[str]) -> Grid:
    """The grid of a file. SpecError with line and column for what is wrong with it."""
    return parse(read(path, SpecError, MAX_CHARACTERS), os.fspath(path), Path(path).parent)


def parse(text: str, file: str = "sweep", folder: Path | None = None) -> Grid:
    """The grid of a text. folder: where its configurations are; None where it can have none.

    SpecError: not TOML, a table or key that there is not, an axis that `Grid` refuses. ConfigError: a configuration
    that cannot be read or that xl would not take.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpecError(file, 1, 1, f"found {len(text)} characters; allowed: up to {MAX_CHARACTERS}")
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (text.count("\n") + 1, 1)
        raise SpecError(file, line, column, f"not TOML: {re.sub(r' *[(]at .*', '', str(error))[:80]}") from None
    for key in found:
        if key not in ("seed", "fixed", "axes"):
            raise SpecError(file, *_place(text, key), f"found {shown(key)}; there are seed, fixed and axes")
    axes: dict[str, tuple[Any, ...]] = {}
    for table, key, value in _rows(found, file):
        if key in axes:
            raise SpecError(file, *_place(text, key), f"{shown(key)} is fixed and an axis; it can be one of them")
        axes[key] = tuple(value) if table == "axes" and isinstance(value, list) else (value,)
        if key != "config":
            _tested(file, text, key, lambda key=key: Grid({key: axes[key]}))  # type: ignore[misc]
    texts = {name: read(folder / name, xl.ConfigError, xl.MAX_CHARACTERS)
             for name in axes.get("config", ()) if folder and name and AXES["config"].holds(name)}
    blamed = next((key for key in ("config", "seed") if key in (axes | found)), "axes")
    return _tested(file, text, blamed, lambda: Grid(axes, found.get("seed", 1), texts))


def _rows(found: dict[str, Any], file: str) -> Iterator[tuple[str, str, Any]]:
    for table in ("fixed", "axes"):
        rows = found.get(table, {})
        if not isinstance(rows, dict):
            raise SpecError(file, 1, 1, f"{table} is no table")
        yield from ((table, key, value) for key, value in rows.items())


def _tested(file: str, text: str, key: str, make: Callable[[], Grid]) -> Grid:
    try:
        return make()
    except TextError:
        raise
    except (ValueError, TypeError) as error:
        raise SpecError(file, *_place(text, key), str(error)[:300]) from None


def _place(text: str, key: str) -> tuple[int, int]:
    """Line and column of a key, as well as they can be known: the first line that begins with it."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(rf"[ \t\[]*[\"']?{re.escape(key)}\b", line):
            return number, match.group().find(key) + 1
    return 1, 1
