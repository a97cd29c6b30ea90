"""What a design review says of one domain: what is run for it, its configuration, and what the toolstack did."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from vsim.devices import viommu
from vsim.domain.builder import Domain, build
from vsim.guest.ways import plain_message
from vsim.layouts.bits import bdf_text
from vsim.readers import lspci, xl
from vsim.scale.reach import Progress, Result, run
from vsim.state import commands as c
from vsim.state.profile import PROFILES, Profile
from widgets.lab.lab import Lab
from widgets.lesson.journey import Journey, Trial
from widgets.report.conduct import Log, judge
from widgets.report.paper import Cell, Grid, Heading, Part, Points, Words, grid

CARELESS = 0x41
"""Vector of the message that passes the table by."""


@dataclass(frozen=True)
class Drawn:
    """One interrupt of the report: what it is, why it is shown, what became of it, and the link of the state then.

    link: as `Lab.link` makes it; "" when it is too long for one.
    """

    name: str
    title: str
    lead: str
    journey: Journey
    link: str


@dataclass(frozen=True)
class Case:
    """A domain that was run. file: its configuration's name, without the folder. judged: by the protocol checker."""

    file: str
    base: Profile
    domain: Domain
    result: Result
    drawn: tuple[Drawn, ...]
    guest_log: tuple[str, ...]
    judged: dict[str, Log]


def play(config: str | os.PathLike[str], host: str | os.PathLike[str] | None = None, profile: str = "spec",
         progress: Progress | None = None, stop: Callable[[], bool] = lambda: False) -> Case:
    """Build the domain, let every device interrupt every vCPU, and send the two interrupts that are drawn.

    progress, stop: as for `vsim.scale.reach.run`.

    Raises ConfigError or LspciError, with file, line and column, for a mistake in a file; ValueError for an unknown
    profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}; known are {', '.join(PROFILES)}")
    base = PROFILES[profile]
    found = lspci.load(host) if host is not None else None
    domain = build(xl.load(config, base.options.interface), found, base)
    trial = Trial(config, host, base)
    lab = Lab.from_config(config, base, host)
    lab.boot()
    name, judged = PurePath(os.fspath(config)).name, judge(domain.config, found, base)
    result = run(domain, progress=progress, stop=stop)
    return Case(name, base, domain, result, tuple(_two(trial, lab)), tuple(trial.log), judged)


def _two(trial: Trial, lab: Lab) -> Iterator[Drawn]:
    if not trial.devices:
        return
    device = trial.devices[0]
    where, last = bdf_text(device.bdf), trial.machine.vcpus - 1
    target = next((vcpu for vcpu in range(last, -1, -1) if not trial.guest.ways.refusal(vcpu)), 0)
    refused = trial.guest.ways.refusal(last)
    why = f" The last one, vCPU {last}, is out of reach: {refused}." if refused else ""
    journey = trial.send(device.bdf, 0, target)
    if lab.kernel.guest is not None:
        lab.kernel.affinity(lab.kernel.guest.sources[device.bdf][0], target)
    lab.fire(device.bdf, trial.source(device.bdf).number)
    yield Drawn("directed", f"{where} to vCPU {target}",
                f"The guest's kernel directs the first interrupt of {device.label} to vCPU {target}, and the device "
                f"sends it.{why}", journey, _link(lab))
    low = trial.machine.apic_id[last] & 0xFF
    sent = c.Msi(device.bdf, *plain_message(low, CARELESS))
    journey = trial.raw(sent.requester, sent.address, sent.data)
    with lab.gesture(name=f"a careless message of {where}"):
        lab.kernel.take(lab.issue(sent))
    yield Drawn("careless", f"{where} with a message that names no entry",
                f"A careless driver writes the message itself: vector {CARELESS:#x}, and as destination the low 8 bits "
                f"of the last vCPU's APIC ID, {low}. The format bit is 0.", journey, _link(lab))


def _link(lab: Lab) -> str:
    try:
        return lab.link()
    except ValueError:
        return ""


# --- the configuration ---


def configuration(case: Case) -> list[Part]:
    """What was read, what was assumed, and what the toolstack did with it."""
    made: list[Part] = [Heading(2, "The domain", "domain"), grid(
        f"The configuration, as read from {case.file}", ("Option", "As read", "Where"), list(_options(case)),
        (2.2, 5.6, 2.2)), _devices(case)]
    if case.domain.notes:
        made += [Heading(3, "Notes", "notes"), Words("What xl would do otherwise, and what was assumed."),
                 Points(case.domain.notes)]
    made += [Heading(3, "What the toolstack issued", "issued"), *_issued(case), _machine(case)]
    return made


def _options(case: Case) -> Iterator[tuple[Cell, ...]]:
    config = case.domain.config
    yield "name", config.name, ""
    yield "type", config.type, ""
    yield "vcpus, maxvcpus", f"{config.vcpus}, {config.maxvcpus}", ""
    yield "memory", f"{config.memory} MiB", ""
    for entry in config.pci:
        slot = f", virtual slot {entry.virtual_slot:#04x}" if entry.virtual_slot is not None else ""
        options = "".join(f", {key}={value}" for key, value in entry.options)
        yield "pci", f"host {entry.segment:04x}:{bdf_text(entry.bdf)}{slot}{options}", f"line {entry.line}"
    for each in config.emulated:
        yield f"emulated {each.kind}", f"{each.model} ({each.text})", f"line {each.line}"
    unit = config.viommu
    if unit is None:
        yield "viommu", "none", ""
    else:
        page = (f"base_address {unit.base:#x}, length {unit.length:#x}" if unit.base is not None
                else "no base_address")
        can = [name for name, on in (("intremap", unit.intremap), ("x2apic", unit.x2apic)) if on]
        yield ("viommu", f"viommu_type {unit.type}, capabilities {', '.join(can) or 'none'}, {page}",
               f"line {unit.line}, column {unit.column}")
    if config.unknown:
        yield "not used", ", ".join(f"{key} (line {line})" for key, line in config.unknown), ""


def _devices(case: Case) -> Grid:
    rows: list[tuple[Cell, ...]] = [
        (bdf_text(each.bdf), bdf_text(each.host) if each.host is not None else "emulated", each.name,
         "no interrupt" if each.kind == "none" else f"{each.messages} x {each.kind}") for each in case.domain.devices]
    return grid("Devices of the guest", ("In the guest", "On the host", "Name", "Interrupts"), rows, (1.4, 1.4, 5.2, 2))


def _issued(case: Case) -> Iterator[Part]:
    if not case.domain.commands:
        yield Words("Nothing: the configuration asks for no vIOMMU, so the guest has none.")
        return
    yield Points(tuple(_command(case, each) for each in case.domain.commands), "shown")


def _command(case: Case, command: c.Command) -> str:
    version = case.base.options.interface
    if isinstance(command, c.Domctl):
        number, values = viommu.decode(version, command.body)
        inside = ", ".join(f"{name}={value:#x}" for name, value in values.items())
        op = viommu.Op(number).name.lower()
        return f"{viommu.INTERFACES[version].hypercall} of {version}, {op}: {inside}. Bytes: {command.body.hex(' ', 8)}"
    if isinstance(command, c.RamWrite):
        return f"the guest's DMAR table, {len(command.data)} bytes at {command.address:#x}: {command.data.hex(' ', 8)}"
    return str(command)


def _machine(case: Case) -> Grid:
    options, unit = case.base.options, case.base.capabilities
    model = {"vtd": "as the VT-d specification has it"}.get(options.model, f"as coded in the series, {options.model}")
    rows: list[tuple[Cell, ...]] = [
        ("device model", model), ("hypercall", options.interface),
        ("CAP, ECAP", f"{unit.cap:#x}, {unit.ecap:#x}"), ("fault records", f"{unit.fault_records}, the first at "
                                                          f"{unit.fault_offset:#x}"),
        ("interrupt entry cache", options.cache), ("I/O APIC", f"{options.ioapic_pins} pins, version "
                                                   f"{options.ioapic_version:#x}, requester "
                                                   f"{bdf_text(options.ioapic_sid)}"),
        ("APIC ID of vCPU n", f"{options.apic_id_step}n"), ("departures switched on", f"{len(case.base.quirks)}")]
    return grid(f"The machine: profile {case.base.name}", ("Part", "What it is"), rows, (3, 7))
