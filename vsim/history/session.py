"""A session: the commands given to a machine, in compact rows, and the file that holds them (JSON Lines).

The first line of a file is an object: `vsim-session` (the version of the format, 1), `machine` (the saved state that
the first command met, see `Machine.save`), `costs` (the figures of the cost table that were edited, by act),
`cursor` (commands that had been done) and `commands` (their number), and, where something is said of the machine, the
members of `said`. Then a line for each command, as `commands.to_row` writes it. A file is read as data, never run;
what is not understood is refused.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator, Sequence
from io import TextIOBase
from itertools import pairwise
from typing import IO, Any, NamedTuple, cast, overload

from vsim.devices import remap
from vsim.history import said, whole
from vsim.history.said import Said
from vsim.readers.source import JsonError, TextError, decoded, json_line, read, rows
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.commands import COMMANDS, Command, from_row, to_row
from vsim.state.trace import ACTS, Act

VERSION = 1
MAX_BYTES = 64 << 20
"""Largest file, in bytes."""
MAX_COMMANDS = 1_000_000
"""Most commands of a file."""
_KEYS = ("vsim-session", "cursor", "commands", "costs", "machine", *Said._fields)
_compact = json.JSONEncoder(separators=(",", ":")).encode


class SessionError(TextError):
    """A session file that cannot be used."""


def check(command: Command) -> None:
    """ValueError for a class that `commands.COMMANDS` does not list."""
    if COMMANDS.get(getattr(command, "name", "")) is not type(command):
        raise ValueError(f"{command!r:.60} is no command; there are {', '.join(COMMANDS)}")


class Log(Sequence[Command]):
    """Commands in order. Each is kept as a row of JSON, some 25 bytes for a message, and made anew when asked for."""

    def __init__(self) -> None:
        self._rows = bytearray()
        self._ends = array("Q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> Command: ...
    @overload
    def __getitem__(self, at: slice) -> list[Command]: ...
    def __getitem__(self, at: int | slice) -> Command | list[Command]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(f"command {at}: there are {len(self)}")
        return from_row(json.loads(self._rows[self._ends[place]:self._ends[place + 1]]))

    def __iter__(self) -> Iterator[Command]:
        rows, ends = self._rows, self._ends
        return (from_row(json.loads(rows[start:end])) for start, end in pairwise(ends))

    def append(self, command: Command) -> None:
        """Add a command. ValueError for a class that `commands.COMMANDS` does not list."""
        check(command)
        self._rows += _compact(to_row(command)).encode() + b"\n"
        self._ends.append(len(self._rows))

    def cut(self, length: int) -> None:
        """Keep the first `length` commands."""
        del self._ends[length + 1:]
        del self._rows[self._ends[-1]:]

    def copy(self) -> Log:
        """An independent log of the same commands."""
        other = Log()
        other._rows, other._ends = self._rows[:], self._ends[:]
        return other

    def shared(self, other: Log) -> int:
        """How many commands both begin with."""
        low, high = 0, min(len(self), len(other))
        while low < high:
            middle = (low + high + 1) // 2
            end = self._ends[middle]
            if end == other._ends[middle] and self._rows.startswith(memoryview(other._rows)[:end]):
                low = middle
            else:
                high = middle - 1
        return low

    def lines(self) -> bytes:
        """The commands as JSON Lines."""
        return bytes(self._rows)

    def size(self) -> int:
        """Bytes held."""
        return len(self._rows) + self._ends.itemsize * len(self._ends)


class Session(NamedTuple):
    """What a file holds: the machine that the first command met, all commands, how many had been done, what is said."""

    machine: Machine
    log: Log
    cursor: int
    said: Said = Said()


# --- writing ---


def text(session: Session) -> bytes:
    """The file's content. ValueError when it would be larger than what `parse` takes."""
    machine, log, cursor, told = session
    costs = {Act(act).name: machine.costs[act] for act in ACTS if machine.costs[act] != ACTS[act].ns}
    head = _compact({"vsim-session": VERSION, "cursor": cursor, "commands": len(log), "costs": costs,
                     **said.written(told)})
    content = f'{head[:-1]},"machine":{machine.save()}}}\n'.encode() + log.lines()
    if len(content) > MAX_BYTES or len(log) > MAX_COMMANDS:
        raise ValueError(f"session of {len(content)} bytes and {len(log)} commands; the limits are {MAX_BYTES} bytes "
                         f"and {MAX_COMMANDS} commands")
    return content


def save(session: Session, place: str | os.PathLike[str] | IO[str] | IO[bytes]) -> None:
    """Write the file: to a path, or to a file open for text or bytes. ValueError as `text`; nothing is written then."""
    _check_place(place, "write")
    content = text(session)
    if isinstance(place, str | os.PathLike):
        whole.write(place, content)
    elif isinstance(place, TextIOBase):
        place.write(content.decode())
    else:
        cast(IO[bytes], place).write(content)


def _check_place(place: object, does: str) -> None:
    if not isinstance(place, str | os.PathLike) and not callable(getattr(place, does, None)):
        raise ValueError(f"place is {place!r:.40}; expected the path of a file, or a file to {does}")


# --- reading ---


def load(place: str | os.PathLike[str] | IO[str] | IO[bytes]) -> Session:
    """The session in a file, given by its path or open. SessionError names file, line and column of what is wrong."""
    _check_place(place, "read")
    if isinstance(place, str | os.PathLike):
        return parse(read(place, SessionError, MAX_BYTES), os.fspath(place))
    content = place.read(MAX_BYTES + 1)
    file = str(getattr(place, "name", "session"))
    return parse(content if isinstance(content, str) else decoded(content, file, SessionError), file)


def parse(content: str, file: str = "session") -> Session:
    """The session of a file's content; `file` is its name in errors (SessionError)."""
    head_line, *lines = rows(content, file, SessionError, MAX_BYTES, MAX_COMMANDS, heads=1) or [""]
    head = _object(head_line, file)
    machine = _machine(head, file)
    told = said.read(head, lambda message: SessionError(file, 1, 1, message))
    found = len(lines)
    if head["commands"] != found:
        raise SessionError(file, 1, 1, f"commands is {head['commands']}; found {found}")
    log = Log()
    for number, line in enumerate(lines, 2):
        log.append(_command(line, file, number))
    return Session(machine, log, head["cursor"], told)


def _value(line: str, file: str, number: int) -> Any:
    try:
        return json_line(line)
    except JsonError as error:
        raise SessionError(file, number, error.column, str(error)) from None


def _command(line: str, file: str, number: int) -> Command:
    try:
        return from_row(_value(line, file, number))
    except SessionError:
        raise
    except ValueError as error:
        raise SessionError(file, number, 1, str(error)) from None


def _object(line: str, file: str) -> dict[str, Any]:
    """The first line, with all its members and no other."""
    head = _value(line, file, 1)
    if not isinstance(head, dict) or head.get("vsim-session") != VERSION:
        raise SessionError(file, 1, 1, f"not a session of version {VERSION}")
    for key in head:
        if key not in _KEYS:
            raise SessionError(file, 1, max(1, line.find(json.dumps(key)) + 1), f"{key[:40]!a} is not known here")
    _natural(head, "commands", MAX_COMMANDS, file)
    _natural(head, "cursor", head["commands"], file)
    return head


def _natural(head: dict[str, Any], key: str, limit: int, file: str) -> None:
    value = head.get(key)
    if type(value) is not int or not 0 <= value <= limit:
        raise SessionError(file, 1, 1, f"{key} is {str(value)[:40]!a}; allowed are 0 to {limit}")


def _machine(head: dict[str, Any], file: str) -> Machine:
    try:
        machine = Machine.load(_compact(head.get("machine")))
    except ValueError as error:
        raise SessionError(file, 1, 1, str(error)) from None
    _check_latches(machine, file)
    _set_costs(machine, head.get("costs"), file)
    return machine


def _check_latches(machine: Machine, file: str) -> None:
    """What a unit has from its profile must be what the profile says."""
    profile = machine.profile
    due = {Latch.ORDER: remap.order_number(profile), Latch.WIDTH: profile.capabilities.width - 12}
    for unit in range(machine.units):
        for place, value in due.items():
            if machine.live(unit) and machine.latch[LATCH_WORDS * unit + place] != value:
                raise SessionError(file, 1, 1, f"saved machine: {place.name} of unit {unit} disagrees with the profile")


def _set_costs(machine: Machine, costs: Any, file: str) -> None:
    if not isinstance(costs, dict):
        raise SessionError(file, 1, 1, "costs is not an object")
    for name, ns in costs.items():
        if name not in Act.__members__ or type(ns) is not int or not 0 <= ns < 1 << 32:
            raise SessionError(file, 1, 1, f"costs: {name[:40]!a} is no act, or its cost not from 0 to 2^32-1 ns")
        machine.costs[Act[name]] = ns
