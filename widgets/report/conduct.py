"""What a design review says of the guest's conduct: its commands put to the protocol checker, with duties left out."""

from __future__ import annotations

from vsim.domain.builder import Domain, build
from vsim.guest.cpu import DUTIES
from vsim.guest.kernel import Guest
from vsim.machine import step
from vsim.protocol.checker import Finding, check
from vsim.readers.lspci import Host
from vsim.readers.xl import Config
from vsim.state import commands as c
from vsim.state.profile import Profile
from vsim.state.trace import Event
from widgets.report.paper import Cell, Heading, Part, Words, grid

Log = tuple[int, tuple[Finding, ...]]
"""Commands of a run, and the first step at fault, if there is one."""


def judge(config: Config, host: Host | None, base: Profile) -> dict[str, Log]:
    """The guest's run judged, under "" as it is, and under each duty with that one left out; {} with nothing to judge.

    The checker knows the specification's unit, so that a machine of the series is not judged.
    """
    if not config.viommu or base.options.model != "vtd":
        return {}
    return {duty: _judged(build(config, host, base), duty) for duty in ("", *DUTIES)}


def _judged(domain: Domain, duty: str) -> Log:
    before, log = domain.machine.copy(), list[c.Command]()

    def issue(command: c.Command) -> list[Event]:
        log.append(command)
        return step(domain.machine, command)

    guest = Guest(issue, domain.platform, skip=(duty,) if duty else ())
    guest.boot()
    for sources in guest.sources.values():
        guest.affinity(sources[0], domain.machine.vcpus - 1)
    return len(log), check(log, before)


def conduct(found: dict[str, Log]) -> list[Part]:
    """The checker's findings."""
    if not found:
        return []
    commands, faults = found[""]
    said = f"first at fault: {faults[0]}" if faults else "no step is forbidden or undefined"
    rows = [_row(duty, found[duty][1][0]) for duty in DUTIES if found[duty][1]]
    clean = ", ".join(duty for duty in DUTIES if not found[duty][1])
    return [
        Heading(3, "Does the guest's kernel keep the unit's protocol?", "conduct"),
        Words(f"Its boot and a change of affinity for each device, {commands} commands, were put to the protocol "
              f"checker: {said}. Then the same with one duty left out."),
        grid("A duty left out, and the first step that the checker names",
             ("Left out", "First step at fault", "What may happen"), rows, (3, 3.7, 3.3)),
        Words(f"Left out without breaking a rule of the unit, since they concern other parts: {clean}.")]


def _row(duty: str, first: Finding) -> tuple[Cell, ...]:
    where = (f"command {first.step}: {first.detail}", f"{first.rule.severity}; {first.rule.name}, {first.rule.section}")
    return (duty, DUTIES[duty].partition(";")[0] + "."), where, first.rule.consequence
