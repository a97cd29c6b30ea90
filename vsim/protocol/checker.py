"""The protocol checker: what software did to a remapping unit that the specification forbids or leaves undefined.

    check(guest_log, machine)       # the first step at fault, or nothing
    outcomes(guest_log, machine)    # per request, everything that a correct unit may do

A log is a sequence of commands, or a text of JSON Lines with a command each (`parse`, `load`). It is judged as if
it ended where it ends: what is begun and never finished counts against it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vsim.devices import viommu
from vsim.devices.remap import Words
from vsim.history import session
from vsim.history.session import MAX_BYTES, MAX_COMMANDS
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import APIC_OFFSET, SVR
from vsim.machine import step
from vsim.protocol.conduct import Conduct
from vsim.protocol.delivery import Delivery, delivery, passed, using
from vsim.protocol.facts import Fact, Requested
from vsim.protocol.observer import Observer
from vsim.protocol.rules import RULES, SEVERITIES, UNWISE, Rule, looking
from vsim.readers.source import JsonError, TextError, json_line, read, rows
from vsim.state.arrays import LATCH_WORDS, MAX_VCPUS, Latch, Machine
from vsim.state.commands import ApicWrite, Command, Domctl, MmioRead, Msr, from_row, to_row
from vsim.state.profile import profile

RAM_SIZE = 1 << 38
"""Bytes of memory of the machine that a log without one is done on."""
MOST_FINDINGS = 10_000
"""Findings that `check` returns at most."""
MOST_KEPT = 1 << 16
_PLACE = {name: place for place, name in enumerate(RULES)}


class LogError(TextError):
    """A text that is no log of commands."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A step at fault. step: the number of the command, from 0; -1: it was so before the first. detail: what is
    wrong there, in words.
    """

    step: int
    command: Command | None
    rule: Rule
    detail: str

    def __str__(self) -> str:
        what = f" {json.dumps(to_row(self.command))[:100]}" if self.command else ""
        rule = self.rule
        return (f"command {self.step}{what}: {self.detail}. {rule.severity} ({rule.name}, {rule.section}): "
                f"{rule.sentence} What may happen: {rule.consequence}")


@dataclass(frozen=True, slots=True)
class Possible:
    """What a correct unit may do with one request.

    step: the command during which it was sent, from 0. requester; index: of its entry, -1 for none. now: what becomes
    of it with the entry in memory. deliveries: everything that may become of it, `now` among them.
    """

    step: int
    requester: int
    index: int
    now: Delivery
    deliveries: frozenset[Delivery]


# --- checking ---


def check(commands: Iterable[Command], machine: Machine | None = None, every: bool = False,
          advice: bool = True, reads: bool | None = None) -> tuple[Finding, ...]:
    """The first step that breaks a rule, none for a clean log; with `every` all (the first `MOST_FINDINGS`), in order.

    machine: the state that the first command met (default: `bare`). advice: findings that are only unwise count too.
    reads: whether the log shows reads, so that a read that is missing counts; None: it does if there is one in it.
    ValueError for a machine of the series, or for something in the log that is no command.
    """
    log = _checked(commands)
    observer = _observer(log, machine, reads)
    kept: dict[tuple[int, str, str], Finding] = {}
    most, end, place = MOST_FINDINGS if every else 1, len(log), 0
    for fact in _facts(observer, log):
        step = fact.time - 1
        for rule, look in looking(fact) if step <= end else ():
            if step == end and _PLACE[rule.name] >= place:
                break
            if (detail := look(fact)) and (advice or rule.severity != UNWISE):
                kept[step, rule.name, detail] = Finding(step, log[step] if fact.time else None, rule, detail)
        if len(kept) >= 2 * most:  # from now on, only what comes before the last of the first ones counts
            kept = _first(kept, most)
            end, place = _order(next(reversed(kept.values())))
            observer.until = end + 1
    return tuple(_first(kept, most).values())


def _order(found: Finding) -> tuple[int, int]:
    """Findings are ordered by their steps and, for one step, by their rules."""
    return found.step, _PLACE[found.rule.name]


def _first(found: dict[tuple[int, str, str], Finding], number: int) -> dict[tuple[int, str, str], Finding]:
    """The first findings in their order."""
    return dict(sorted(found.items(), key=lambda one: _order(one[1]))[:number])


def _facts(observer: Observer, log: Sequence[Command]) -> Iterator[Fact]:
    for command in log:
        yield from observer.step(command)
    yield from observer.loose_ends()


def _checked(commands: Iterable[Command]) -> list[Command]:
    if not isinstance(commands, Iterable):
        raise ValueError(f"commands is {commands!r:.40}; expected commands, one after another")
    log = list(commands)
    for number, command in enumerate(log):
        try:
            session.check(command)
        except ValueError as error:
            raise ValueError(f"command {number}: {error}") from None
    return log


def _observer(log: Sequence[Command], machine: Machine | None, reads: bool | None) -> Observer:
    if reads is None:
        reads = any(type(command) is MmioRead for command in log)
    return Observer(machine if machine is not None else bare(log), reads)


def bare(log: Sequence[Command] = ()) -> Machine:
    """A machine of the specification for a log that comes without one.

    256 GiB of memory, as many vCPUs as the log names, no PCI functions. A unit is at its usual place unless the log
    creates one, and local APICs are enabled unless the log says something of them.
    """
    vcpus = 1 + max((getattr(command, "vcpu", 0) for command in log), default=0)
    m = Machine(profile("spec"), min(vcpus, MAX_VCPUS), RAM_SIZE)
    if not any(type(command) is Domctl for command in log):
        step(m, Domctl(viommu.create_op(version=m.profile.options.interface)))
    if not any(type(command) in (ApicWrite, Msr) for command in log):
        for each in range(m.vcpus):
            step(m, ApicWrite(each, APIC_OFFSET["SVR"], SVR.make(enable=1, vector=0xFF)))
    return m


# --- everything that may happen ---


def outcomes(commands: Iterable[Command], machine: Machine | None = None,
             reads: bool | None = None) -> list[Possible]:
    """For every request of a log what a correct unit may do, which keeps and drops cached entries as it likes.

    Besides the entry in memory it may use each that was there since the last invalidation that covers the index and is
    known to be done; without caching mode only those that make no fault by themselves (V 7.7). Which requests there
    are follows from the entries in memory: whether an EOI makes a level pin send again depends on what was delivered.
    Arguments as in `check`. ValueError also when an entry had more values than are remembered.
    """
    log = _checked(commands)
    observer = _observer(log, machine, reads)
    observer.m.profile = observer.m.profile.with_options(cache="none")
    observer.m.cache = {}
    lookup = _Lookup(observer)
    return [lookup.possible(fact) for command in log for fact in observer.step(command) if type(fact) is Requested]


class _Lookup:
    """Deliveries by request and entry, each worked out once."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._known: dict[tuple[object, ...], Delivery] = {}

    def possible(self, fact: Requested) -> Possible:
        m, unit, request = self.observer.m, fact.unit, fact.request
        if unit is None:
            now = passed(m, request.address, request.data)
            return Possible(fact.time - 1, request.requester, -1, now, frozenset((now,)))
        verdict = using(m, unit.number, request, None)
        now = delivery(m, verdict)
        kept = self._kept(unit, fact, verdict.index) if verdict.index >= 0 else ()
        return Possible(fact.time - 1, request.requester, verdict.index, now, frozenset((now, *kept)))

    def _kept(self, unit: Conduct, fact: Requested, index: int) -> Iterator[Delivery]:
        m, ram = self.observer.m, self.observer.ram
        if unit.exposure.lost(ram, index):
            raise ValueError(f"command {fact.time - 1}: entry {index:#x} may be held in more forms than are remembered")
        at = LATCH_WORDS * unit.number
        state = tuple(m.latch[at + place] for place in (Latch.BASE_PAGE, Latch.ENTRIES, Latch.MODE))
        for words in {held.words for held in unit.exposure.held(ram, index)}:
            if unit.may_hold(m, index, words):
                yield self._delivery(unit.number, fact, words, state)

    def _delivery(self, number: int, fact: Requested, words: Words, state: tuple[int, ...]) -> Delivery:
        key = number, fact.request, words, state
        if words[0] & IRTE.im.mask:     # where it is posted to may change
            return delivery(self.observer.m, using(self.observer.m, number, fact.request, words))
        if key not in self._known:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            verdict = using(self.observer.m, number, fact.request, words)
            self._known[key] = delivery(self.observer.m, verdict)
        return self._known[key]


# --- texts ---


@dataclass(frozen=True, slots=True)
class Recorded:
    """A log out of a text. machine: the state that its first command met, where the text has it."""

    commands: tuple[Command, ...]
    machine: Machine | None = None

    def check(self, every: bool = False, advice: bool = True) -> tuple[Finding, ...]:
        """As the function `check`."""
        return check(self.commands, self.machine, every, advice)

    def outcomes(self) -> list[Possible]:
        """As the function `outcomes`."""
        return outcomes(self.commands, self.machine)


def load(path: str | os.PathLike[str]) -> Recorded:
    """The log in a file. LogError, or SessionError, with line and column for what is none."""
    return parse(read(path, LogError, MAX_BYTES), os.fspath(path))


def parse(text: str, file: str = "log") -> Recorded:
    """A log of JSON Lines, a command each as `commands.to_row` has it; or a saved session. Errors as `load`."""
    if text.startswith("{"):
        found = session.parse(text, file)
        return Recorded(tuple(found.log), found.machine)
    lines = rows(text, file, LogError, MAX_BYTES, MAX_COMMANDS)
    return Recorded(tuple(_command(line, file, number) for number, line in enumerate(lines, 1)))


def _command(line: str, file: str, number: int) -> Command:
    try:
        return from_row(json_line(line))
    except JsonError as error:
        raise LogError(file, number, error.column, str(error)) from None
    except ValueError as error:
        raise LogError(file, number, 1, str(error)[:200]) from None


__all__ = ["RULES", "SEVERITIES", "Finding", "LogError", "Possible", "Recorded", "Rule", "bare", "check", "load",
           "outcomes", "parse"]
