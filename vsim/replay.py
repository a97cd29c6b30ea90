"""Recorded behaviour of real implementations, run on the machine and compared step by step.

A file is JSON Lines, plain or gzip: the first line describes the recorded machine, each further line is one case with
steps `s` and one observation per step `o` (or, for local APICs, a message and who took it). Under a profile that
imitates the recorded implementation every step must be equal; under the others, steps marked as deviations (`dev`)
are compared with `spec`, the reading of the specification that came with the recording.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsim import chain, machine, vioapic, viommu, vlapic
from vsim import commands as c
from vsim.formats import DESCRIPTOR_NAMES
from vsim.profile import Capabilities, Profile
from vsim.registers import OFFSET
from vsim.source import TextError
from vsim.state import Apic, Machine
from vsim.trace import Act, Event

BASE = 0xFED90000
MAX_BYTES, MAX_CASES, MAX_STEPS = 64 << 20, 200_000, 20_000
CHOICES = {"order": "reserved-first", "merge_faults": True, "cache": "none", "svt3_reason": 0x26, "dlm_passes": True,
           "iec_any_mask": True, "iqercd": False, "event_upper": False, "ioapic_pins": 24, "ioapic_version": 0x20,
           "apic_id_step": 1,
           "alias_ids": True, "eime_reads_back": True, "iedata_bits": 32}
"""What the specification leaves open, as the recorded machine chose it; set under every profile."""
END_RESET = {"FECTL": 0x80000000, "IECTL": 0x80000000}
END_WIDE = ("IQH", "IQT", "IQA", "IRTA")
END_NAMES = ("GSTS", "FSTS", "FECTL", "IQH", "IQT", "IQA", "ICS", "IECTL", "IRTA")
"""Registers that a recording ends with, beside the fault record."""


class CaseError(TextError):
    """A case file that cannot be used."""


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded case; `head` is the first line of its file."""

    file: str
    line: int
    head: dict[str, Any]
    body: dict[str, Any]

    @property
    def category(self) -> str:
        """The category, for the table; local APIC cases with their mode and size."""
        kind = str(self.body.get("k", "?"))
        return f"{kind} {self.body.get('mode')} {self.body.get('smp')}" if kind == "lapic" else kind


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a case first differs: the step's number (or "end"), what was expected (all that would do), and found."""

    case: Case
    step: str
    command: Any
    expected: tuple[Any, ...]
    found: Any
    note: str = ""

    def __str__(self) -> str:
        wanted = " or ".join(json.dumps(e) for e in self.expected)
        marks = self.case.body.get("dev", {}).get(self.step, [])
        lines = [f"{self.case.file}:{self.case.line}: {self.case.body.get('id')}: step {self.step}"
                 f" {json.dumps(self.command)}", f"    recorded: {wanted}", f"    found:    {json.dumps(self.found)}"]
        if marks:
            lines.append(f"    marked:   {' '.join(map(str, marks))}")
        if self.note:
            lines.append(f"    note:     {self.note}")
        return "\n".join(lines)


# --- reading ---


def load(path: str | Path) -> list[Case]:
    """The cases of a file. CaseError names line and column; size and number of cases are bounded."""
    file = str(path)
    raw = Path(path).read_bytes()[:MAX_BYTES + 1]
    if raw[:2] == b"\x1f\x8b":
        raw = _unzip(raw, file)
    if len(raw) > MAX_BYTES:
        raise CaseError(file, 1, 1, f"found more than {MAX_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[:error.start].count(b"\n") + 1
        raise CaseError(file, line, 1, "found bytes that are not UTF-8 text") from None
    return parse(text, file)


def _unzip(raw: bytes, file: str) -> bytes:
    import io
    try:
        with gzip.open(io.BytesIO(raw)) as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, ValueError) as error:
        raise CaseError(file, 1, 1, f"found a damaged gzip file: {error}") from None
    except Exception as error:  # zlib.error has no common base
        raise CaseError(file, 1, 1, f"found a damaged gzip file: {error}") from None


def parse(text: str, file: str = "<text>") -> list[Case]:
    """The cases of a text."""
    head: dict[str, Any] | None = None
    cases = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = _object(line, file, number)
        if head is None:
            head = _head(row, file, number)
        else:
            _check_case(row, file, number)
            cases.append(Case(file, number, head, row))
        if len(cases) > MAX_CASES:
            raise CaseError(file, number, 1, f"found more than {MAX_CASES} cases")
    if head is None:
        raise CaseError(file, 1, 1, "found nothing; expected a first line that describes the machine")
    return cases


def _object(line: str, file: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise CaseError(file, number, error.colno, f"found no JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise CaseError(file, number, 1, f"found no usable JSON: {error}") from None
    if not isinstance(row, dict):
        raise CaseError(file, number, 1, f"found {type(row).__name__}; expected an object")
    return row


def _head(row: dict[str, Any], file: str, number: int) -> dict[str, Any]:
    if "runs" not in row and not {"cap", "ecap", "ram"} <= row.keys():
        raise CaseError(file, number, 1, "found no cap, ecap and ram (or runs) in the first line")
    try:
        head = dict(row)
        for name, default in (("cap", 0xD2008C222F0606), ("ecap", 0xF00F5A), ("ram", 64 << 20)):
            head[name] = number_of(row.get(name, default))
        Machine(_capable(Profile("check"), head), int(row.get("smp", 8)), head["ram"])
    except (ValueError, TypeError) as error:
        raise CaseError(file, number, 1, f"found an impossible machine: {error}") from None
    return head


def _check_case(row: dict[str, Any], file: str, number: int) -> None:
    """Turn every step into its command once, so that a bad file is refused before anything runs."""
    try:
        if row.get("k") == "lapic":
            _lapic_checked(row)
            return
        steps, seen = row["s"], row["o"]
        if not isinstance(steps, list) or not isinstance(seen, list) or len(steps) != len(seen):
            raise ValueError(f"s and o are not lists of one length (at most {MAX_STEPS})")
        if len(steps) > MAX_STEPS:
            raise ValueError(f"{len(steps)} steps; the limit is {MAX_STEPS}")
        for step in steps:
            if not isinstance(step, list) or not step or step[0] not in _STEPS:
                raise ValueError(f"step {str(step)[:60]}; steps are {', '.join(_STEPS)}")
            _STEPS[step[0]](None, step)
        for part in ("end", "dev", "spec"):
            if not isinstance(row.get(part, {}), dict):
                raise ValueError(f"{part} is not an object")
    except KeyError as error:
        raise CaseError(file, number, 1, f"found no {error}") from None
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise CaseError(file, number, 1, f"found {error}") from None


def _lapic_checked(row: dict[str, Any]) -> None:
    if row["mode"] not in ("flat", "cluster", "x2apic", "mixed") or not 1 <= int(row["smp"]) <= 4096:
        raise ValueError(f"mode {str(row['mode'])[:20]!r} with {row['smp']} CPUs")
    c.Msi(int(row["msi"][0]), number_of(row["msi"][1]), number_of(row["msi"][2]))
    if "irte" in row:
        [number_of(part) for part in row["irte"]]
    if not isinstance(row["cpus"], list) or not isinstance(row.get("any_of", []), list):
        raise ValueError("cpus or any_of is not a list")


def number_of(value: Any) -> int:
    """A number as the files write it: an int, or a string of hexadecimal with 0x. ValueError otherwise."""
    if type(value) is int and 0 <= value < 1 << 64:
        return value
    if isinstance(value, str) and value[:2] == "0x" and len(value) <= 18:
        return int(value, 16)
    raise ValueError(f"{str(value)[:40]!r} is not a number below 2^64")


# --- steps ---

_Step = Callable[[Machine | None, list[Any]], Any]


def _do(m: Machine | None, command: c.Command) -> list[Event]:
    return machine.step(m, command) if m is not None else []


def _w(width: int) -> _Step:
    def step(m: Machine | None, s: list[Any]) -> Any:
        return observe(_do(m, c.Mmio(BASE + _small(s[1], 4096 - width), width, number_of(s[2]))))
    return step


def _r(width: int) -> _Step:
    def step(m: Machine | None, s: list[Any]) -> Any:
        events = _do(m, c.MmioRead(BASE + _small(s[1], 4096 - width), width))
        return next((hex(e.low) for e in events if e.act == Act.READ), None)
    return step


def _small(value: Any, limit: int) -> int:
    got = number_of(value)
    if got > limit:
        raise ValueError(f"{got:#x} is over its limit {limit:#x}")
    return got


def _m16(m: Machine | None, s: list[Any]) -> Any:
    data = number_of(s[3]).to_bytes(8, "little") + number_of(s[2]).to_bytes(8, "little")
    return observe(_do(m, c.RamWrite(number_of(s[1]), data)))


def _mw(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.RamWrite(number_of(s[1]), bytes.fromhex(s[2]))))


def _mr(m: Machine | None, s: list[Any]) -> Any:
    address, length = number_of(s[1]), _small(s[2], 1 << 16)
    return (m.ram.read(address, length) or b"").hex() if m is not None else None


def _msi(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.Msi(number_of(s[1]), number_of(s[2]), number_of(s[3]))))


def _index(m: Machine | None, index: int, value: int) -> list[Event]:
    return (_do(m, c.Mmio(vioapic.BASE + vioapic.SELECT, 4, index))
            + _do(m, c.Mmio(vioapic.BASE + vioapic.WINDOW, 4, value)))


def _rte(m: Machine | None, s: list[Any]) -> Any:
    pin, value = _small(s[1], 119), number_of(s[2])
    return observe(_index(m, 0x11 + 2 * pin, value >> 32) + _index(m, 0x10 + 2 * pin, value & 0xFFFFFFFF))


def _rrte(m: Machine | None, s: list[Any]) -> Any:
    index = 0x10 + 2 * _small(s[1], 119)
    return hex(vioapic.read_index(m, index) | vioapic.read_index(m, index + 1) << 32) if m is not None else None


def _pin(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.Pin(number_of(s[1]), number_of(s[2]))))


def _eoi(m: Machine | None, s: list[Any]) -> Any:
    return observe(_do(m, c.Mmio(vioapic.BASE + vioapic.EOI, 4, _small(s[1], 255))))


_STEPS: dict[str, _Step] = {"w4": _w(4), "w8": _w(8), "r4": _r(4), "r8": _r(8), "m16": _m16, "mw": _mw, "mr": _mr,
                            "msi": _msi, "rte": _rte, "rrte": _rrte, "pin": _pin, "eoi": _eoi}


# --- observing ---


def observe(events: Iterable[Event]) -> list[list[Any]]:
    """What the recorder would have seen of these events."""
    return [row for event in events if (row := _row(event)) is not None]


def _message(event: Event) -> list[Any]:
    address, data = event.low, event.high
    destination = address >> 12 & 0xFF | address >> 32 & 0xFFFFFF00
    return ["M", destination, address >> 2 & 1, address >> 3 & 1, data >> 15 & 1, data >> 8 & 7, data & 0xFF]


_OBSERVED: dict[int, Callable[[Event], list[Any] | None]] = {
    Act.FETCHED: lambda e: ["I", e.index, hex(e.high), hex(e.low)],
    Act.HIT: lambda e: ["I", e.index, hex(e.high), hex(e.low)],
    Act.REMAPPED: _message,
    Act.PASSED: _message,
    Act.BLOCKED: lambda e: ["B"],
    Act.RECORDED: lambda e: ["F", 0, hex(e.high & ~(1 << 63)), hex(e.low)],
    Act.NOTIFIED: lambda e: ["E", hex(e.low), hex(e.high)],
    Act.DESCRIPTOR: lambda e: ["D", DESCRIPTOR_NAMES.get(e.index, "?"), hex(e.high), hex(e.low)],
    Act.INVALIDATED: lambda e: ["C", e.low, e.index, e.high],
    Act.STATUS_WRITTEN: lambda e: ["W", hex(e.low), hex(e.high)],
    Act.IRR_CLEARED: lambda e: ["R-", e.index] if e.high else None,
}


def _row(event: Event) -> list[Any] | None:
    build = _OBSERVED.get(event.act)
    return build(event) if build else None


def end_registers(m: Machine) -> dict[str, str]:
    """The registers that differ from reset, as a recording ends."""
    values = {}
    for name in END_NAMES:
        width = 8 if name in END_WIDE else 4
        values[name] = machine.read(m, BASE + OFFSET[name], width)
    record = m.profile.capabilities.fault_offset
    values["FRCD_HI"] = machine.read(m, BASE + record + 8, 8)
    values["FRCD_LO"] = machine.read(m, BASE + record, 8)
    return {name: hex(value) for name, value in values.items() if value != END_RESET.get(name, 0)}


# --- comparing ---


def _capable(profile: Profile, head: dict[str, Any]) -> Profile:
    return replace(profile, capabilities=Capabilities(int(head["cap"]), int(head["ecap"])))


def machine_for(case: Case, profile: Profile) -> Machine:
    """The recorded machine under a profile, with its unit created."""
    vcpus = int(case.body.get("smp", case.head.get("smp", 8)))
    m = Machine(_capable(profile, case.head).with_options(**CHOICES), vcpus, int(case.head["ram"]))
    version = m.profile.options.interface
    machine.step(m, c.Domctl(viommu.create_op(BASE, version=version)))
    return m


def play(case: Case, profile: Profile) -> Difference | None:
    """Run a case; the first difference, or None."""
    exact = profile.name.startswith("qemu")
    if case.body.get("k") == "lapic":
        return _play_lapic(case, profile, exact)
    m = machine_for(case, profile)
    for number, (step, seen) in enumerate(zip(case.body["s"], case.body["o"], strict=True)):
        found = _STEPS[str(step[0])](m, step)
        wanted = _wanted(case, str(number), seen, exact)
        if found not in wanted:
            return Difference(case, str(number), step, wanted, found)
    found_end = end_registers(m)
    ends = _wanted(case, "end", case.body.get("end", {}), exact)
    if found_end not in ends:
        return Difference(case, "end", "registers", ends, found_end)
    return None


def _wanted(case: Case, step: str, seen: Any, exact: bool) -> tuple[Any, ...]:
    """What would do at a step: the recording, or for a marked one what the specification's reading expects."""
    marks = case.body.get("dev", {}).get(step, [])
    spec = case.body.get("spec", {})
    if exact or not marks or step not in spec:
        return (seen,)
    if not any(str(mark)[:1] == "D" or mark == "after" for mark in marks):
        return (seen,)
    return (_overlaid(seen, spec[step]) if step == "end" else spec[step],)


def _overlaid(seen: dict[str, str], spec: dict[str, str]) -> dict[str, str]:
    """The final registers with those replaced that the specification's reading differs in."""
    values = {**seen, **spec}
    return {name: value for name, value in values.items() if number_of(value) != END_RESET.get(name, 0)}


def set_modes(m: Machine, mode: str) -> None:
    """Put the local APICs into a recorded mode: software-enabled, with the recording's logical addresses."""
    for vcpu in range(m.vcpus):
        m.svr[vcpu] |= 0x100
        id_ = m.apic_id[vcpu]
        if mode == "x2apic" or (mode == "mixed" and id_ & 4):
            vlapic.set_mode(m, vcpu, Apic.X2APIC)
        elif mode == "cluster":
            m.dfr[vcpu] = 0x0FFFFFFF
            m.ldr[vcpu] = ((id_ >> 2 & 0xF) << 4 | 1 << (id_ & 3)) << 24
        else:
            m.ldr[vcpu] = 1 << (id_ & 7) + 24
    m.changed_apics()


def _play_lapic(case: Case, profile: Profile, exact: bool) -> Difference | None:
    body = case.body
    m = machine_for(case, profile)
    set_modes(m, body["mode"])
    if "irte" in body:
        irta = 0x100000 | int(bool(body.get("eime"))) << 11 | 0xF
        index = chain.index_of(number_of(body["msi"][1]) & 0xFFFFFFFF, number_of(body["msi"][2]), 0)
        for step in (["w8", OFFSET["IRTA"], hex(irta)], ["w4", OFFSET["GCMD"], "0x1000000"],
                     ["m16", hex(0x100000 + 16 * index), body["irte"][0], body["irte"][1]],
                     ["w4", OFFSET["GCMD"], "0x2000000"]):
            _STEPS[str(step[0])](m, step)
    events = machine.step(m, c.Msi(int(body["msi"][0]), number_of(body["msi"][1]), number_of(body["msi"][2])))
    took = sorted(e.node & 0xFFFFFF for e in events if e.act in (Act.ACCEPTED, Act.MERGED))
    message = next((row[1:] for row in observe(events) if row[0] == "M"), None)
    if "m" in body and message != body["m"]:
        return Difference(case, "message", body["msi"], (body["m"],), message)
    wanted = _wanted_cpus(body, exact)
    return None if took in wanted else Difference(case, "cpus", body["msi"], wanted, took)


def _wanted_cpus(body: dict[str, Any], exact: bool) -> tuple[Any, ...]:
    """Who may take the message: any one of `any_of`, else the recorded CPUs, or the specification's."""
    if body.get("any_of"):
        return tuple([cpu] for cpu in body["any_of"])
    marks = [mark for row in body.get("dev", {}).values() for mark in row]
    if exact or "spec_cpus" not in body:
        return (body["cpus"],)
    return (body["cpus"], body["spec_cpus"]) if marks == ["U5"] else (body["spec_cpus"],)


@dataclass(slots=True)
class Report:
    """Counts by category, and the first differences."""

    passed: Counter[str]
    failed: Counter[str]
    differences: list[Difference]


def play_all(cases: Iterable[Case], profile: Profile) -> Iterator[tuple[Case, Difference | None]]:
    """Every case with its first difference or None."""
    for case in cases:
        yield case, play(case, profile)


