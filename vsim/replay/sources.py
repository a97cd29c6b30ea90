"""Where a comparison's QEMU comes from: a running one, or a run that was stored.

A stored run is JSON Lines: a first line about QEMU, then the commands of each group, and what was seen of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from vsim.replay import there, traces
from vsim.replay.cases import MAX_BYTES, CaseError, limited, number_of, read_rows
from vsim.replay.qtest import PATIENCE, Ended, Qemu
from vsim.replay.senders import MOST as MOST_SENDERS
from vsim.state import commands as c

Rows = list[list[Any]]
AT_ONCE = 400
"""Commands that are done again in one go."""
FORMAT = 1
"""Version of a stored run."""
MOST_ROWS = 100_000
"""Commands of a stored run."""


class Source(Protocol):
    """A QEMU that does commands: live, or as it was stored. vcpus: local APICs that are looked into, 0 for none."""

    version: str
    number: tuple[int, int]
    cap: int
    ecap: int
    vcpus: int

    @property
    def why(self) -> str:
        """Why it does nothing any more; "" while it does."""

    def run(self, commands: Sequence[c.Command], past: Callable[[], Iterable[tuple[c.Command, ...]]],
            asked: Rows) -> Rows:
        """Do commands; what was seen. past: all groups that were done before, for one who has to begin anew.

        asked: arrivals that may be there afterwards, as `there.arrivals` has them; those that are, are seen last.
        """

    def again(self, past: Iterable[tuple[c.Command, ...]]) -> None:
        """Begin anew and do these, without looking."""

    def end(self, why: str = "") -> None:
        """It is not needed any more."""


class Live:
    """A running QEMU. Ended: it cannot be had.

    places: devices and functions (5 and 3 bits) of the first requesters. apics: the APIC ID of each vCPU.
    """

    def __init__(self, path: str, ram: int, places: Iterable[int] = (), apics: Sequence[int] = (),
                 patience: float = PATIENCE) -> None:
        self.path, self.ram, self.patience, self.apics = path, ram, patience, tuple(apics)
        self.vcpus = len(self.apics)
        self._start(list(islice(dict.fromkeys(places), MOST_SENDERS)) or [0])
        self.version, self.number = self._qemu.version, self._qemu.number
        self.cap, self.ecap = self._qemu.cap, self._qemu.ecap

    def _start(self, places: Sequence[int]) -> None:
        self._qemu = Qemu(self.path, self.ram, places, self.patience, self.apics)
        self._power_on()

    def _power_on(self) -> None:
        """Nothing waits in any local APIC."""
        self._waiting: dict[int, dict[int, int]] = {vcpu: {} for vcpu in range(self.vcpus)}
        self._words: dict[int, Mapping[str, int]] = {}

    @property
    def why(self) -> str:
        """Why it has ended."""
        return self._qemu.why

    def run(self, commands: Sequence[c.Command], past: Callable[[], Iterable[tuple[c.Command, ...]]],
            asked: Rows) -> Rows:
        """Do commands. Ended, as every call of it."""
        missing = {each.requester & 0xFF for each in commands if isinstance(each, c.Msi)} - {*self._qemu.places}
        if missing:
            self._qemu.end("another sender is needed")
            self._start([*self._qemu.places, *sorted(missing)][-MOST_SENDERS:])
            self._do_all(past())
        return self._do(commands) + self._arrived(asked)

    def _arrived(self, asked: Rows) -> Rows:
        """Which of these wait in the local APICs, and what else is new in those that were looked into.

        Nobody takes anything there, so what was seen to wait needs no second look.
        """
        new = {vcpu for _, vcpu, vector, level in asked if self._waiting.get(vcpu, {}).get(vector) != level}
        out = {tuple(each) for each in asked if each[1] not in new}
        for vcpu in new:
            before, found = self._waiting.get(vcpu), self._qemu.lapic(self.apics[vcpu])
            now = self._waiting[vcpu] = {vector: int(level) for vector, level in found.irr}
            wanted = {vector for _, its, vector, _ in asked if its == vcpu}
            out |= {("A", vcpu, vector, level) for vector, level in now.items()
                    if vector in wanted or (before is not None and before.get(vector) != level)}
            out |= self._changed(vcpu, {**found.words, **{f"ISR {vector:#x}": 1 for vector, _ in found.isr}})
        return sorted(map(list, out))

    def _changed(self, vcpu: int, words: Mapping[str, int]) -> set[tuple[Any, ...]]:
        """Registers of a local APIC that were seen to change: nobody is there to change one."""
        before = self._words.setdefault(vcpu, words)
        self._words[vcpu] = words
        return {("L", vcpu, name, hex(value)) for name, value in words.items() if before.get(name, 0) != value}

    def again(self, past: Iterable[tuple[c.Command, ...]]) -> None:
        """From power-on."""
        self._qemu.end("another past")
        self._start(self._qemu.places)
        self._do_all(past)

    def _do_all(self, past: Iterable[tuple[c.Command, ...]]) -> None:
        flat = (each for group in past for each in group)
        while part := list(islice(flat, AT_ONCE)):
            self._do(part)
            self._waiting = {}          # nobody has looked

    def _do(self, commands: Sequence[c.Command]) -> Rows:
        out, words = Rows(), list[str]()
        for command in commands:
            if isinstance(command, c.Reset):
                out += self._asked(words)
                words = []
                self._qemu.reset()
                self._power_on()
            else:
                words += there.orders(command, self._qemu.send)
        return out + self._asked(words)

    def _asked(self, words: list[str]) -> Rows:
        if not words:
            return []
        answers, lines = self._qemu.ask(words)
        read = [answer for order, answer in zip(words, answers, strict=True) if order.startswith("read")]
        return traces.observed(lines) + [["V", hex(int(answer, 16))] for answer in read]

    def end(self, why: str = "it is not wanted any more") -> None:
        """End the process."""
        self._qemu.end(why)


class Stored:
    """A run that was stored: it does what was done then, in the same order. CaseError for a file that is none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = str(path)
        self._runs: list[tuple[tuple[c.Command, ...], Rows]] = []
        self.why, self._at = "", 0
        for line, row in islice(read_rows(Path(path)), MOST_ROWS + 2):
            try:
                if not self._runs and "qemu" in row:
                    self._head(row)
                else:
                    self._runs.append((tuple(c.from_row(each) for each in row["do"]), _rows(row["saw"])))
            except KeyError as error:
                raise CaseError(file, line, 1, f"found a line without {error}") from None
            except (ValueError, TypeError) as error:
                raise CaseError(file, line, 1, f"found {str(error)[:200]}") from None
        if not hasattr(self, "version") or len(self._runs) > MOST_ROWS:
            raise CaseError(file, 1, 1, f"found no run of up to {MOST_ROWS} commands; expected a first line with qemu")

    def _head(self, row: dict[str, Any]) -> None:
        if row["attached"] != FORMAT or not isinstance(row["qemu"], str) or len(row["qemu"]) > 120:
            raise ValueError(f"attached {str(row['attached'])[:20]}; this kit reads {FORMAT}, with a version's text")
        self.version, (major, minor) = row["qemu"], row["number"]
        self.number = (number_of(major), number_of(minor))
        self.cap, self.ecap = number_of(row["cap"]), number_of(row["ecap"])
        self.vcpus = limited(row.get("vcpus", 0), there.MOST_VCPUS)

    def run(self, commands: Sequence[c.Command], past: Callable[[], Iterable[tuple[c.Command, ...]]],
            asked: Rows) -> Rows:
        """What was seen of them then. Ended: something else was done then."""
        if self.why:
            raise Ended(self.why)
        if self._at == len(self._runs) or self._runs[self._at][0] != tuple(commands):
            self.why = f"the stored run goes another way after {self._at} commands"
            raise Ended(self.why)
        self._at += 1
        return self._runs[self._at - 1][1]

    def again(self, past: Iterable[tuple[c.Command, ...]]) -> None:
        """To where these have been done."""
        self.why, self._at = "", 0
        for group in past:
            self.run(group, lambda: (), [])

    def end(self, why: str = "it is not wanted any more") -> None:
        """Nothing more is asked of it."""
        self.why = self.why or why


def _rows(found: Any) -> Rows:
    """Rows of a file: lists of a tag and up to seven ints or short texts. ValueError for others."""
    if not isinstance(found, list) or len(found) > 1 << 16:
        raise ValueError("saw that is no list of rows")
    for row in found:
        if not isinstance(row, list) or not 1 <= len(row) <= 8 or not isinstance(row[0], str) or any(
                type(each) is not int and not (isinstance(each, str) and len(each) <= 40) for each in row):
            raise ValueError(f"row {str(row)[:60]}")
    return found


def save(source: Source, groups: Iterable[tuple[c.Command, ...]], rows: Iterable[Rows],
         place: str | os.PathLike[str]) -> None:
    """Write a run as JSON Lines. rows: what the source was seen to do for each of the groups of commands.

    ValueError, and nothing written, when it is more than `Stored` takes.
    """
    out = [json.dumps({"attached": FORMAT, "qemu": source.version, "number": source.number, "cap": hex(source.cap),
                       "ecap": hex(source.ecap), "vcpus": source.vcpus})]
    for group, saw in zip(groups, rows, strict=True):
        out.append(json.dumps({"do": [c.to_row(each) for each in group], "saw": saw}, separators=(",", ":")))
    text = "\n".join([*out, ""])
    if len(out) > MOST_ROWS + 1 or len(text) > MAX_BYTES:
        raise ValueError(f"the run has {len(out) - 1} commands and {len(text)} bytes; the limits are {MOST_ROWS} and "
                         f"{MAX_BYTES}")
    Path(place).write_text(text)
