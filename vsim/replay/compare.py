"""Recorded behaviour of real implementations, run on the machine and compared step by step.

Under a profile that imitates the recorded implementation every step must be equal to the recording. Under the others
the choices that the specification leaves open are set as the recorded machine made them, and steps marked as
deviations (`dev`) are compared with `spec`, the reading of the specification that came with the recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsim import machine
from vsim.devices import chain, viommu, vlapic
from vsim.layouts.registers import OFFSET
from vsim.readers.source import shown
from vsim.replay import compare_xen as replay_xen
from vsim.replay import recorded
from vsim.replay.cases import MAX_STEPS, Case, CaseError, number_of, read_rows, rows_of
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import Capabilities, Profile
from vsim.state.trace import Act

CHOICES: dict[str, Any] = {
    "order": "reserved-first", "merge_faults": True, "cache": "none", "svt3_reason": 0x26, "dlm_passes": True,
    "iec_any_mask": True, "iqercd": False, "event_upper": False, "ioapic_pins": 24, "ioapic_version": 0x20,
    "rte_reserved": True, "apic_id_step": 1, "alias_ids": True, "cluster_f_broadcast": True,
    "eime_reads_back": True, "iedata_bits": 32, "iqa_width": False}
"""What the specification leaves open, as the recorded machine chose it; a profile that imitates it has them itself."""
UNMARKED = ("qemu.K7",)
"""Quirks that the recordings show without a mark, as their recorder read the specification the same way."""

DEFAULT_CAP, DEFAULT_ECAP, DEFAULT_RAM, DEFAULT_SMP = 0xD2008C222F0606, 0xF00F5A, 64 << 20, 8
"""The unit and the machine of files whose first line does not say (local APIC cases)."""

TABLE = 0x100000
"""Where the remapping table of a local APIC case lies."""

MOST_NAME = 200
"""Characters of a case's id and category."""

MODES = ("flat", "cluster", "x2apic", "mixed")
"""How the local APICs of a recording are set up."""

_WRONG = (ValueError, TypeError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a case first differs.

    step: its number, or "end", "message" or "cpus". command: what was done. expected: all answers that would do.
    recorded: what the recorded machine answered. done: the steps before it with what both answered.
    """

    case: Case
    step: str
    command: Any
    expected: tuple[Any, ...]
    found: Any
    recorded: Any
    done: tuple[tuple[Any, Any], ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """The deviation codes of the step, or of the case for a local APIC case."""
        return self.case.marks(self.step if self.step not in ("message", "cpus") else "0")


# --- reading ---


def load(path: str | Path) -> list[Case]:
    """The cases of a file, every step checked. CaseError names line and column."""
    return _cases(read_rows(path), str(path))


def parse(text: str, file: str = "<text>") -> list[Case]:
    """The cases of a text."""
    return _cases(rows_of(text, file), file)


def _cases(rows: Iterable[tuple[int, dict[str, Any]]], file: str) -> list[Case]:
    head: dict[str, Any] = {}
    cases = []
    for number, row in rows:
        if head:
            _check_case(row, file, number, "xen" in head)
            cases.append(Case(file, number, head, row))
        else:
            head = _head(row, file, number)
    return cases


def _head(row: dict[str, Any], file: str, number: int) -> dict[str, Any]:
    if "xen" in row:
        return _xen_head(row, file, number)
    if "runs" not in row and not {"cap", "ecap", "ram"} <= row.keys():
        raise CaseError(file, number, 1, "found no machine; expected cap, ecap and ram, or runs, in the first line")
    try:
        head = dict(row)
        for name, default in (("cap", DEFAULT_CAP), ("ecap", DEFAULT_ECAP), ("ram", DEFAULT_RAM),
                              ("smp", DEFAULT_SMP)):
            head[name] = number_of(row.get(name, default))
        Machine(_capable(Profile("check"), head), head["smp"], head["ram"])
    except _WRONG as error:
        raise CaseError(file, number, 1, f"found an impossible machine: {error}") from None
    return head


def _xen_head(row: dict[str, Any], file: str, number: int) -> dict[str, Any]:
    try:
        replay_xen.version_of(row)
        Machine(Profile("check"), 1, number_of(row.get("ram", DEFAULT_RAM)))
    except _WRONG as error:
        raise CaseError(file, number, 1, f"found {error}") from None
    return row


def _check_case(row: dict[str, Any], file: str, number: int, xen: bool) -> None:
    """Check every value and try every step without a machine, so that a bad file is refused before anything runs."""
    try:
        _check_names(row)
        if xen:
            replay_xen.check_case(row)
            return
        _check_marks(row)
        if row.get("k") == "lapic":
            _check_lapic(row)
        else:
            _check_steps(row)
    except KeyError as error:
        raise CaseError(file, number, 1, f"found a case without {error}") from None
    except _WRONG as error:
        raise CaseError(file, number, 1, f"found {error}") from None


def _check_names(row: dict[str, Any]) -> None:
    """What is printed of a case: its id, its category, its marks."""
    for name in ("id", "k"):
        if not isinstance(row.get(name, ""), str) or len(row.get(name, "")) > MOST_NAME:
            raise ValueError(f"{name} {shown(str(row[name]))}; allowed: a text of up to {MOST_NAME} characters")
    marks = row.get("dev", {})
    if not isinstance(marks, dict):
        raise ValueError("dev that is not an object")
    for step, codes in marks.items():
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            raise ValueError(f"marks of step {shown(step)} that are not a list of codes")


def _check_marks(row: dict[str, Any]) -> None:
    for part in ("end", "spec"):
        if not isinstance(row.get(part, {}), dict):
            raise ValueError(f"{part} that is not an object")
    for values in (row.get("end", {}), row.get("spec", {}).get("end", {})):
        for value in values.values():
            number_of(value)


def _check_steps(row: dict[str, Any]) -> None:
    steps, seen = row["s"], row["o"]
    if not isinstance(steps, list) or not isinstance(seen, list) or len(steps) != len(seen):
        raise ValueError("s and o that are not lists of one length")
    if len(steps) > MAX_STEPS:
        raise ValueError(f"{len(steps)} steps; allowed: up to {MAX_STEPS}")
    for step in steps:
        recorded.do(None, step)


def _check_lapic(row: dict[str, Any]) -> None:
    if row["mode"] not in MODES or type(row["smp"]) is not int or not 1 <= row["smp"] <= 4096:
        raise ValueError(f"mode {str(row['mode'])[:20]!r} with {str(row['smp'])[:20]} CPUs; allowed: "
                         f"{', '.join(MODES)} with 1 to 4096")
    recorded.do(None, ["msi", *row["msi"]])
    for words in [row["irte"]] if "irte" in row else []:
        if len([number_of(word) for word in words]) != 2:
            raise ValueError("irte that is not [hi, lo]")
    for name in ("cpus", "any_of", "spec_cpus"):
        if not isinstance(row["cpus"] if name == "cpus" else row.get(name, []), list):
            raise ValueError(f"{name} that is not a list")


# --- comparing ---


def imitates(profile: Profile) -> bool:
    """Whether a profile claims to behave as the recorded machine did, on every step."""
    return profile.name.startswith("qemu")


def _capable(profile: Profile, head: dict[str, Any]) -> Profile:
    return replace(profile, capabilities=Capabilities(head["cap"], head["ecap"]))


def machine_for(case: Case, profile: Profile) -> Machine:
    """The recorded machine under a profile, with its unit created."""
    if profile.options.model != "vtd":
        raise CaseError(case.file, case.line, 1, "found a case recorded from QEMU; the series' device model takes "
                                                 "recordings of its own only")
    profile = _capable(profile, case.head)
    if not imitates(profile):
        profile = profile.with_options(**CHOICES).with_quirks(*UNMARKED)
    m = Machine(profile, case.body.get("smp", case.head["smp"]), case.head["ram"])
    machine.step(m, c.Domctl(viommu.create_op(recorded.BASE, version=profile.options.interface)))
    return m


def play(case: Case, profile: Profile) -> Difference | None:
    """Run a case; the first difference, or None."""
    if "xen" in case.head:
        return _play_xen(case, profile)
    if case.body.get("k") == "lapic":
        return _play_lapic(case, profile)
    m = machine_for(case, profile)
    exact = imitates(profile)
    done: list[tuple[Any, Any]] = []
    for number, (step, seen) in enumerate(zip(case.body["s"], case.body["o"], strict=True)):
        found = recorded.do(m, step)
        wanted = _wanted(case, str(number), seen, exact)
        if found != wanted:
            return Difference(case, str(number), step, (wanted,), found, seen, tuple(done))
        done.append((step, found))
    end, found = case.body.get("end", {}), recorded.end_registers(m)
    wanted = _wanted(case, "end", end, exact)
    return None if found == wanted else Difference(case, "end", "registers", (wanted,), found, end, tuple(done))


def _play_xen(case: Case, profile: Profile) -> Difference | None:
    """A recording of the series: every step exactly, under the profile of its version (ValueError under another)."""
    version = replay_xen.version_of(case.head)
    if profile.options.model != f"xen-{version}":
        raise CaseError(case.file, case.line, 1, f"found a case recorded from Xen's series {version}; replay it with "
                                                 f"--profile xen-{version}")
    done: list[tuple[Any, Any]] = []
    for step, command, seen, found in replay_xen.play(case.head, case.body, profile):
        if found != seen:
            return Difference(case, step, command, (seen,), found, seen, tuple(done))
        done.append((command, found))
    return None


def _wanted(case: Case, step: str, seen: Any, exact: bool) -> Any:
    """The recording; on a step that deviates (D, or a consequence) the specification's reading where there is one."""
    marks, spec = case.marks(step), case.body.get("spec", {})
    if exact or step not in spec or not any(mark == "after" or mark.startswith("D") for mark in marks):
        return seen
    return recorded.but_reset({**seen, **spec[step]}) if step == "end" else spec[step]


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


def _remap(m: Machine, body: dict[str, Any]) -> None:
    """Give the machine of a local APIC case its one entry, and switch remapping on."""
    index = chain.index_of(number_of(body["msi"][1]) & 0xFFFFFFFF, number_of(body["msi"][2]), 0) & 0xFFFF
    irta = TABLE | int(bool(body.get("eime"))) << 11 | 0xF
    for step in (["w8", OFFSET["IRTA"], irta], ["w4", OFFSET["GCMD"], 1 << 24],
                 ["m16", TABLE + 16 * index, *body["irte"]], ["w4", OFFSET["GCMD"], 1 << 25]):
        recorded.do(m, step)


def _play_lapic(case: Case, profile: Profile) -> Difference | None:
    body = case.body
    m = machine_for(case, profile)
    set_modes(m, body["mode"])
    if "irte" in body:
        _remap(m, body)
    requester, address, data = (number_of(part) for part in body["msi"])
    events = machine.step(m, c.Msi(requester, address, data))
    message = next((row[1:] for row in recorded.observe(events) if row[0] == "M"), None)
    if "m" in body and message != body["m"]:
        return Difference(case, "message", body["msi"], (body["m"],), message, body["m"])
    took = sorted(e.node & 0xFFFFFF for e in events if e.act in (Act.ACCEPTED, Act.MERGED))
    wanted = _wanted_cpus(case, imitates(profile))
    return None if took in wanted else Difference(case, "cpus", body["msi"], wanted, took, body["cpus"])


def _wanted_cpus(case: Case, exact: bool) -> tuple[Any, ...]:
    """Who may take the message: any one of `any_of`; else the recorded CPUs, or for U5 either reading."""
    body, marks = case.body, case.marks("0")
    some = [[cpu] for cpu in body.get("any_of", [])]
    if exact or "spec_cpus" not in body or "U4" in marks:
        return (*some, body["cpus"]) if exact or not some else tuple(some)
    if "U5" in marks:
        some.append(body["cpus"])
    return (*some, body["spec_cpus"])
