"""A recording run on the machine, and what both did held side by side.

Every command of the recording is done on a machine under its profile. What the other machine did at a moment has to be
what this one does there, in the same order. A vector that a vCPU began to run is acknowledged here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from vsim import machine
from vsim.devices import viommu, vlapic
from vsim.layouts.registers import APIC_MSR, APIC_OFFSET
from vsim.protocol.checker import Finding, check
from vsim.replay import taken
from vsim.replay.functions import bus_of
from vsim.replay.recorded import DESCRIPTORS
from vsim.replay.recording import Moment, Recording
from vsim.replay.taken import Early
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from vsim.state.trace import Act, Event

MOST_SHOWN = 20
"""Differences of a kind that are kept; all are counted."""
MOST_PASSES = 4
"""How often a recording is done at most until the order of acknowledges is settled."""

KINDS = {"M": "messages sent on", "P": "messages passed unchanged", "I": "entries read", "B": "requests blocked",
         "F": "faults recorded", "D": "descriptors fetched", "C": "invalidations", "W": "status writes of waits",
         "V": "register reads"}
"""What is compared at each moment, by the tag of `recording.SEEN`."""

PLATFORM = ("apic_id_step", "apic_ids", "ioapic_pins", "ioapic_sid", "more_ioapics")
"""Options that are facts of the recorded machine, whatever its unit does."""


def _message(event: Event) -> tuple[Any, ...]:
    destination, logical, mode, _, level, vector, _ = vlapic.arrival(event.low & 0xFFFFFFFF, event.low >> 32,
                                                                     event.high, 0)
    return destination, logical, mode, vector, level


_FOUND: dict[int, Callable[[Event], tuple[Any, ...]]] = {
    Act.FETCHED: lambda e: ("I", e.index, e.high, e.low),
    Act.HIT: lambda e: ("I", e.index, e.high, e.low),
    Act.REMAPPED: lambda e: ("M", e.index, *_message(e)),
    Act.PASSED: lambda e: ("P", *_message(e)),
    Act.BLOCKED: lambda e: ("B",),
    Act.RECORDED: lambda e: ("F", e.index, e.high & ~(1 << 63), e.low),
    Act.DESCRIPTOR: lambda e: ("D", DESCRIPTORS.get(e.index, "?"), e.high, e.low),
    Act.INVALIDATED: lambda e: ("C", e.low, e.index, e.high),
    Act.STATUS_WRITTEN: lambda e: ("W", e.low, e.high),
    Act.READ: lambda e: ("V", e.low),
}


@dataclass(slots=True)
class Tally:
    """How often something was recorded, how often the machine did the same there, how often it did more."""

    recorded: int = 0
    equal: int = 0
    more: int = 0


@dataclass(frozen=True, slots=True)
class Unlike:
    """A moment at which the two differ in one kind of thing."""

    moment: Moment
    kind: str
    recorded: tuple[tuple[Any, ...], ...]
    found: tuple[tuple[Any, ...], ...]


@dataclass(slots=True)
class Outcome:
    """What came out of a run.

    tallies: by tag of `KINDS`. unlike: the first differences of each kind. taken: vectors that vCPUs began to run, by
    what explains them (`taken.WHY`). untold: the first ones that nothing explains, with moment, vCPU and vector.
    commands: all that was done on the machine, with the line of the recording of each. first, machine: before all, and
    after.
    """

    recording: Recording
    first: Machine
    machine: Machine
    tallies: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    unlike: list[Unlike] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    untold: list[tuple[Moment, int, int]] = field(default_factory=list)
    commands: list[c.Command] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs, and every vector that was taken is explained."""
        return not self.taken[taken.UNKNOWN] and all(one.recorded == one.equal and not one.more
                                                     for one in self.tallies.values())


def start(recording: Recording) -> Machine:
    """The machine that a recording's first command meets: its unit and its functions are there, nothing was done."""
    m = Machine(recording.profile, recording.vcpus, recording.ram, bus_of(recording))
    machine.step(m, c.Domctl(viommu.create_op(recording.unit, version=m.profile.options.interface)))
    return m


def run(recording: Recording) -> Outcome:
    """Do all that was recorded, and compare; again while what vCPUs took tells more about the order (`taken`)."""
    early: Early = {}
    for _ in range(MOST_PASSES):
        outcome, seen = _pass(recording, early)
        better = taken.early(seen)
        if better == early:
            break
        early = better
    return outcome


def findings(outcome: Outcome) -> tuple[Finding, ...]:
    """What the protocol checker has to say of the software that was recorded, on a unit as the specification has it.

    `step` of a finding counts the outcome's commands; `Outcome.lines` has the line of the recording of each. APIC IDs
    and I/O APICs are those of the recorded machine. What a vCPU took last may be handled still when the recording ends:
    that it is not ended is no finding.
    """
    recording, ideal = outcome.recording, profile("spec")
    platform = {name: getattr(recording.profile.options, name) for name in PLATFORM}
    ideal = replace(ideal, options=replace(ideal.options, **platform))
    ideal = ideal.with_capabilities(recording.profile.capabilities)
    last = {command.vcpu: step for step, command in enumerate(outcome.commands) if type(command) is c.Acknowledge}
    found = check(outcome.commands, start(replace(recording, profile=ideal)), every=True)
    return tuple(each for each in found if each.rule.name != "eoi" or each.step not in last.values())


def _pass(recording: Recording, early: Early) -> tuple[Outcome, list[taken.Seen]]:
    """Once through; what happened to the vectors of each vCPU, in order, for `taken.early`."""
    m = start(recording)
    outcome = Outcome(recording, m.copy(), m)
    seen: list[taken.Seen] = []
    running: dict[int, list[bool]] = {}
    done: dict[tuple[int, int], bool] = {}
    lines = taken.Lines()
    for position, moment in enumerate(recording.moments):
        for vcpu, vector in early.get(position, ()):
            done[vcpu, vector] = _acknowledged(outcome, vcpu, vector, moment.line)
        command = moment.command
        if command is not None:
            ends = _ends(command)
            if ends >= 0:
                seen.append((position, taken.ENDED, ends, -1))
            if _is_left_out(command) or (ends >= 0 and running.get(ends) and not running[ends].pop()):
                continue
            if type(command) is c.Pin:
                lines.drive(command.gsi, command.level)
            events = _do(outcome, command, moment.line)
            _compare(outcome, moment, events)
            seen += [(position, taken.ARRIVED, one.node & 0xFFFFFF, one.index) for one in events
                     if one.act in (Act.ACCEPTED, Act.MERGED)]
        for one in moment.saw:
            if one[0] == "T":
                _, vcpu, vector = one
                seen.append((position, taken.TAKEN, vcpu, vector))
                before = done.pop((vcpu, vector), None)
                offered = _acknowledged(outcome, vcpu, vector, moment.line) if before is None else before
                why = taken.EARLY if before else taken.EQUAL if offered else taken.source(m, vcpu, vector)
                if why == taken.EXTINT and not lines.take(vector):
                    why = taken.UNKNOWN
                outcome.taken[why] += 1
                if why == taken.UNKNOWN and len(outcome.untold) < MOST_SHOWN:
                    outcome.untold.append((moment, vcpu, vector))
                if why not in taken.WITHOUT_EOI:
                    running.setdefault(vcpu, []).append(offered)
    return outcome, seen


def _do(outcome: Outcome, command: c.Command, line: int) -> list[Event]:
    outcome.commands.append(command)
    outcome.lines.append(line)
    return machine.step(outcome.machine, command)


def _acknowledged(outcome: Outcome, vcpu: int, vector: int, line: int) -> bool:
    """Take a vector if the machine offers it to the vCPU; whether it does.

    An NMI that waits was taken and ended before: it is more urgent, and its handler lets nothing in.
    """
    if outcome.machine.nmi[vcpu]:
        _do(outcome, c.Acknowledge(vcpu), line)
        _do(outcome, c.Iret(vcpu), line)
    if vlapic.pending(outcome.machine, vcpu) != vector:
        return False
    _do(outcome, c.Acknowledge(vcpu), line)
    return True


def _is_left_out(command: c.Command) -> bool:
    """Timers run in the time of the other machine: they are not started here."""
    return ((type(command) is c.Msr and command.index == APIC_MSR["TIMER_INITIAL"])
            or (type(command) is c.ApicWrite and command.register == APIC_OFFSET["TIMER_INITIAL"]))


def _ends(command: c.Command) -> int:
    """The vCPU whose EOI this is, or -1."""
    if ((type(command) is c.Msr and command.index == APIC_MSR["EOI"])
            or (type(command) is c.ApicWrite and command.register == APIC_OFFSET["EOI"])):
        return command.vcpu
    return -1


def _compare(outcome: Outcome, moment: Moment, events: Iterable[Event]) -> None:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for event in events:
        build = _FOUND.get(event.act)
        if build:
            row = build(event)
            found.setdefault(row[0], []).append(row)
    recorded: dict[str, list[tuple[Any, ...]]] = {}
    for seen in moment.saw:
        if seen[0] in KINDS:
            recorded.setdefault(seen[0], []).append(seen)
    for kind in {**recorded, **found}:
        theirs, ours = recorded.get(kind, []), found.get(kind, [])
        if kind == "V" and not theirs:
            continue                        # a read whose value was not recorded
        tally = outcome.tallies[kind]
        same = sum(a == b for a, b in zip(theirs, ours, strict=False))
        tally.recorded += len(theirs)
        tally.equal += same
        tally.more += max(0, len(ours) - len(theirs))
        if theirs != ours and sum(one.kind == kind for one in outcome.unlike) < MOST_SHOWN:
            outcome.unlike.append(Unlike(moment, kind, tuple(theirs), tuple(ours)))
