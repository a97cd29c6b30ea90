"""Recordings of a whole run of a real system: what its software did, and what the other machine did at each.

A file is JSON Lines, plain or gzip. The first line may be an object that tells of the run (`HEAD`); where there is
none, sizes follow from the rest. Then a line for each moment, in order:

    [command, [what the machine did, ...], vCPU, microseconds]

The command is a row as `commands.to_row` writes it, or ["lapic", vCPU, register, value]: a write to a register of a
local APIC (number as in an x2APIC's MSRs, less 0x800), however the vCPU reached it; or null, where something was only
seen. vCPU is -1 where no vCPU did it. `SEEN` has what the machine did. A line that is an object is a dump of the
guest's: {"dump": its name, "text": ...}.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vsim.layouts.registers import APIC_BASE, APIC_BASE_MSR, X2APIC_MSR
from vsim.readers.source import JsonError, TextError, json_line, shown
from vsim.replay.cases import number_of, unpacked
from vsim.state import commands as c
from vsim.state.arrays import MAX_VCPUS
from vsim.state.profile import PROFILES, QUIRKS, Capabilities, Profile, profile

VERSION = 1
MAX_BYTES, MAX_LINES, MAX_SEEN, MAX_LINE = 256 << 20, 2_000_000, 1 << 16, 1 << 20
"""Bytes of a file when unpacked, its lines, what was seen at one moment, characters of a line."""
MOST_TEXT, MOST_DUMPS, MOST_MADE, MOST_RAM = 2_000, 200, 40, 1 << 46
"""Characters of a console line or of a word about the run, dumps, words about the run, bytes of memory."""
UNIT, RAM = 0xFED90000, 2 << 30
"""Where the unit's registers are (q35 has them there), and how much memory there is, when nothing else is said."""


_HEAD = '{"vsim-recording"'
compact = json.JSONEncoder(separators=(",", ":")).encode
"""A row of a recording as its line, without the line's end."""
CUT = "(cut off here: the guest's text was longer)"


class RecordingError(TextError):
    """A recording that cannot be used."""


class Moment(NamedTuple):
    """One line of a recording.

    command: what software or a device did, None where something was only seen. saw: what the machine did, each a tag
    of `SEEN` and its values. vcpu: who, -1 for no vCPU. us: microseconds since the beginning.
    """

    line: int
    command: c.Command | None
    saw: tuple[tuple[Any, ...], ...]
    vcpu: int
    us: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A run: the machine it ran on, its moments, the dumps of the guest, and words about how it was made."""

    file: str
    profile: Profile
    vcpus: int
    ram: int
    unit: int
    moments: list[Moment]
    dumps: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    @property
    def console(self) -> list[tuple[int, str]]:
        """The lines of the console, each with its microseconds; plain text that somebody else wrote."""
        return [(one.us, seen[1]) for one in self.moments for seen in one.saw if seen[0] == "K"]


# --- values ---


def _int(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"{shown(str(value))} is not a number below 2^64")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise ValueError(f"{shown(str(value))} is not a text of up to {MOST_TEXT} characters")
    return value


def _vcpu(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_VCPUS:
        raise ValueError(f"vCPU {shown(str(value))}; allowed: 0 to {MAX_VCPUS - 1}")
    return value


def _vector(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 256:
        raise ValueError(f"vector {shown(str(value))}; allowed: 0 to 255")
    return value


SEEN: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "I": (_int, number_of, number_of),          # entry read: index, high half, low half
    "M": (_int,) * 6,                           # message sent on: index, destination, logical, mode, vector, level
    "P": (_int,) * 5,                           # passed unchanged: destination, logical, mode, vector, level
    "B": (),                                    # blocked
    "F": (_int, number_of, number_of),          # fault recorded: record, high half without F, low half
    "D": (_text, number_of, number_of),         # descriptor: kind, high half, low half
    "C": (_int,) * 3,                           # entry cache invalidated: 0 all or 1 some, index, mask
    "W": (number_of, number_of),                # status written: address, value
    "V": (number_of,),                          # value read
    "R+": (_int,), "R-": (_int,),               # remote IRR of a pin set, cleared
    "T": (_vcpu, _vector),                      # a vCPU began to run what is behind a vector
    "K": (_text,),                              # a line of the console
}
"""What a machine may have done, by tag, with what each value has to be."""


def _seen(row: Any) -> tuple[Any, ...]:
    if not isinstance(row, list) or not row or not isinstance(row[0], str) or row[0] not in SEEN:
        raise ValueError(f"{shown(str(row))} seen; allowed: {', '.join(SEEN)}")
    kinds = SEEN[row[0]]
    if len(row) != len(kinds) + 1:
        raise ValueError(f"{row[0]} with {len(row) - 1} values; it has {len(kinds)}")
    return (row[0], *[kind(value) for kind, value in zip(kinds, row[1:], strict=True)])


# --- commands ---


_PLAIN: dict[str, Callable[..., c.Command]] = {
    "mmio": c.Mmio, "read": c.MmioRead, "msi": c.Msi, "pin": c.Pin, "msr": c.Msr, "ack": c.Acknowledge}
"""Commands whose fields are all numbers, and frequent: made without the general reader."""


class _Apics:
    """Which vCPUs reach their local APIC by MSRs: a `lapic` row does not say."""

    def __init__(self) -> None:
        self.x2: set[int] = set()

    def command(self, row: Any) -> c.Command:
        if not isinstance(row, list) or not row or not isinstance(row[0], str):
            raise ValueError(f"{shown(str(row))}; expected a command")
        if row[0] == "lapic":
            if len(row) != 4:
                raise ValueError(f"lapic with {len(row) - 1} values; it takes a vCPU, a register and a value")
            return self._register(*map(_int, row[1:]))
        try:
            made = _PLAIN[row[0]](*row[1:]) if row[0] in _PLAIN else c.from_row(row)
        except TypeError:
            made = c.from_row(row)          # tells what is wrong
        if isinstance(made, c.Msr) and made.index == APIC_BASE_MSR:
            wide = APIC_BASE.en.mask | APIC_BASE.extd.mask
            (self.x2.add if made.value & wide == wide else self.x2.discard)(made.vcpu)
        return made

    def _register(self, vcpu: int, register: int, value: int) -> c.Command:
        if register > 0xFF:
            raise ValueError(f"register {register:#x} of a local APIC; allowed: up to 0xff")
        if vcpu in self.x2:
            return c.Msr(vcpu, X2APIC_MSR + register, value)
        return c.ApicWrite(vcpu, register << 4, value & 0xFFFFFFFF)


# --- the file ---


def row_line(row: Any, vcpus: int) -> str:
    """A row of a machine with so many vCPUs as its line; "" for one that `parse` would refuse."""
    try:
        one = _moment(row, 1, _Apics(), 0)
    except (ValueError, TypeError):
        return ""
    named = max(getattr(one.command, "vcpu", 0), one.vcpu, *(seen[1] for seen in one.saw if seen[0] == "T"), 0)
    line = compact(row)
    return line if named < vcpus and len(line) <= MAX_LINE else ""


def dump_line(name: str, text: str) -> str:
    """A dump as a line that fits: the end of a text that is too long is cut off, and it says so."""
    line = compact({"dump": name, "text": text})
    while len(line) > MAX_LINE:
        text = text[:len(text) * 3 // 4]
        line = compact({"dump": name, "text": f"{text}\n{CUT}\n"})
    return line


def is_recording(path: str | Path) -> bool:
    """Whether a file looks like a recording of a run, and not like recorded cases: by its first characters."""
    first = _beginning(path)
    return first.startswith("[") or first.startswith(_HEAD)


def has_head(path: str | Path) -> bool:
    """Whether a file says itself that it is a recording of a run."""
    return _beginning(path).startswith(_HEAD)


def _beginning(path: str | Path) -> str:
    """The first characters of a file, unpacked, without blanks; "" of what cannot be read, or but once, as a pipe."""
    if not Path(path).is_file():
        return ""
    try:
        with open(path, "rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as stream:
            first = stream.read(64).decode(errors="replace").lstrip()
    except (OSError, EOFError, ValueError, zlib.error):
        return ""
    return first.replace(" ", "")


def load(path: str | Path) -> Recording:
    """The recording in a file, every line checked. RecordingError names line and column."""
    return parse(unpacked(path, RecordingError, MAX_BYTES), str(path))


def parse(text: str, file: str = "recording") -> Recording:
    """The recording of a text. RecordingError names line and column."""
    head: dict[str, Any] = {}
    moments: list[Moment] = []
    dumps: dict[str, str] = {}
    apics = _Apics()
    for number, row in _rows(text, file):
        try:
            if isinstance(row, dict):
                if number == 1:
                    head = row
                else:
                    _keep_dump(dumps, row)
            else:
                moments.append(_moment(row, number, apics, moments[-1].us if moments else 0))
        except (ValueError, TypeError) as error:
            raise RecordingError(file, number, 1, f"found {error}") from None
    moments = _once(moments)
    try:
        return _recording(file, head, moments, dumps)
    except (ValueError, TypeError) as error:
        raise RecordingError(file, 1, 1, f"found {error}") from None


def _rows(text: str, file: str) -> Iterator[tuple[int, Any]]:
    number, start = 0, 0
    while start < len(text):
        number += 1
        end = text.find("\n", start)
        if end < 0:
            raise RecordingError(file, number, len(text) - start + 1, "the last line is not ended: the file is cut off")
        if number > MAX_LINES or end - start > MAX_LINE:
            raise RecordingError(file, number, 1, f"found more than {MAX_LINES} lines, or one of more than {MAX_LINE} "
                                                  f"characters; no more is allowed")
        try:
            row = json_line(text[start:end])
        except JsonError as error:
            raise RecordingError(file, number, error.column, str(error)) from None
        yield number, row
        start = end + 1
    if not number:
        raise RecordingError(file, 1, 1, "found nothing; expected a recording")


def _moment(row: Any, number: int, apics: _Apics, before: int) -> Moment:
    if not isinstance(row, list) or len(row) != 4:
        raise ValueError(f"{shown(str(row))}; expected [command, [seen, ...], vCPU, microseconds]")
    command, saw, vcpu, us = row
    if not isinstance(saw, list) or len(saw) > MAX_SEEN:
        raise ValueError(f"{shown(str(saw))} seen; expected a list of at most {MAX_SEEN}")
    if vcpu != -1:
        _vcpu(vcpu)
    if type(us) is not int or not 0 <= us < 1 << 53:
        raise ValueError(f"{shown(str(us))} microseconds; allowed: 0 to 2^53 - 1")
    return Moment(number, None if command is None else apics.command(command), tuple(map(_seen, saw)), vcpu,
                  max(us, before))


def _keep_dump(dumps: dict[str, str], row: dict[str, Any]) -> None:
    if row.keys() != {"dump", "text"} or not isinstance(row["text"], str):
        raise ValueError(f"an object with {shown(', '.join(row))}; expected dump and text")
    if len(dumps) >= MOST_DUMPS:
        raise ValueError(f"more than {MOST_DUMPS} dumps; no more are allowed")
    dumps[_text(row["dump"])] = row["text"]


def _once(moments: list[Moment]) -> list[Moment]:
    """Without the writes that were seen twice: at the window of an xAPIC, and behind it as a register's."""
    out: list[Moment] = []
    for one in moments:
        again = bool(out) and type(one.command) is c.ApicWrite and out[-1].command == one.command
        if not again or one.saw or out[-1].saw:
            out.append(one)
    return out


def _recording(file: str, head: dict[str, Any], moments: list[Moment], dumps: dict[str, str]) -> Recording:
    if not head and not moments:
        raise ValueError(f'neither "vsim-recording": {VERSION} nor a moment')
    if head and head.get("vsim-recording") != VERSION:
        raise ValueError(f"version {shown(str(head.get('vsim-recording')))}; allowed: {VERSION}")
    name = head.get("profile", "qemu-10")
    if not isinstance(name, str) or name not in PROFILES or profile(name).options.model != "vtd":
        raise ValueError(f"profile {shown(str(name))}; allowed: those of a whole unit, as qemu-10")
    chosen = profile(name)
    quirks = head.get("quirks", [])
    if not isinstance(quirks, list) or not all(isinstance(each, str) and each in QUIRKS for each in quirks):
        raise ValueError(f"quirks {shown(str(quirks))}; allowed: a list of names of quirks, such as qemu7.F1")
    chosen = chosen.with_quirks(*quirks)
    if "cap" in head or "ecap" in head:
        chosen = chosen.with_capabilities(Capabilities(number_of(head.get("cap")), number_of(head.get("ecap"))))
    named = 1 + max((getattr(one.command, "vcpu", 0) for one in moments), default=0)
    named = max(named, *(1 + max([one.vcpu, *(seen[1] for seen in one.saw if seen[0] == "T")]) for one in moments), 1)
    vcpus = head.get("vcpus", named)
    if type(vcpus) is not int or not named <= vcpus <= MAX_VCPUS:
        raise ValueError(f"{shown(str(vcpus))} vCPUs, and vCPU {named - 1} among them; allowed: up to {MAX_VCPUS}")
    highest = max((one.command.address + len(one.command.data) for one in moments
                   if isinstance(one.command, c.RamWrite)), default=0)
    ram = number_of(head.get("ram", max(RAM, (highest | 0xFFF) + 1)))
    if not 0 < ram <= MOST_RAM:
        raise ValueError(f"{ram:#x} bytes of memory; allowed: up to {MOST_RAM:#x}")
    made = head.get("made", {})
    if not isinstance(made, dict) or len(made) > MOST_MADE:
        raise ValueError(f"made that is not an object of at most {MOST_MADE} words")
    return Recording(file, chosen, vcpus, ram, number_of(head.get("unit", UNIT)), moments, dumps,
                     {_text(key): _text(value) for key, value in made.items()})
