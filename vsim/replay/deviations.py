"""Which deviations explain that two machines do not do the same: found by switching them, one set after another.

A *deviation* is a quirk, an option or the capabilities in which two profiles differ. A set of them explains a
difference if the machine that has them does what the other did, and no smaller part of the set does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vsim import machine
from vsim.devices import remap, vlapic
from vsim.layouts.bits import get
from vsim.layouts.registers import CAP, OFFSET
from vsim.replay import there
from vsim.replay.compare import CHOICES
from vsim.state import commands as c
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from vsim.state.profile import QUIRKS, Profile

_SHAPE = {"ioapic_pins", "apic_id_step"}
"""Options that are the shape of a machine: they cannot be switched at will while it runs."""
OPTIONS = tuple(sorted(set(CHOICES) - _SHAPE))
"""Options that are tried."""

OLDER = (((8, 0), "qemu7.F1"), ((10, 0), "qemu7.F2"), ((10, 0), "qemu7.F3"))
"""Quirks that QEMU has before a release: seen in 7.2, gone in 10.0; when between is from its changes for F1, and not
verified for the others."""


def older(release: tuple[int, ...]) -> list[str]:
    """The quirks that a release of QEMU has beside those of QEMU 10."""
    return [id_ for before, id_ in OLDER if release < before]


@dataclass(frozen=True, slots=True)
class Deviation:
    """One of them: its name ("qemu.D9", "option cache", "capabilities"), what it is, how to put it into a profile.

    power_on: local APICs are as after power-on with it.
    """

    name: str
    what: str
    put: Callable[[Profile], Profile]
    power_on: bool = False


STILL = Deviation("vCPUs stand still", "no software runs on QEMU's vCPUs, so their local APICs are as after power-on: "
                  "xAPIC mode, flat, LDR 0, off", lambda p: p, power_on=True)
"""What nothing of QEMU's is to blame for: local APICs that nobody has set up."""


def between(mine: Profile, other: Profile) -> tuple[Deviation, ...]:
    """The deviations from one profile to another, quirks first."""
    out = [_quirk(id_, id_ in other.quirks) for id_ in sorted(mine.quirks ^ other.quirks)]
    for name in OPTIONS:
        here, there_ = getattr(mine.options, name), getattr(other.options, name)
        if here != there_:
            out.append(_option(name, here, there_))
    pins = mine.options.ioapic_pins, other.options.ioapic_pins
    if pins[0] > pins[1]:       # pins can be left out of a machine that runs; there are none to add
        out.append(_option("ioapic_pins", *pins))
    if mine.capabilities != other.capabilities and mine.capabilities.shape[:2] == other.capabilities.shape[:2]:
        out.append(Deviation("capabilities", f"CAP {mine.capabilities.cap:#x} here, {other.capabilities.cap:#x} there; "
                             f"ECAP {mine.capabilities.ecap:#x} here, {other.capabilities.ecap:#x} there",
                             lambda p: p.with_capabilities(other.capabilities)))
    return tuple(out)


def _quirk(id_: str, on: bool) -> Deviation:
    quirk = QUIRKS[id_]
    return Deviation(id_, f"QEMU: {quirk.does}; specification: {quirk.should}",
                     lambda p: p.with_quirks(id_) if on else p.without_quirks(id_))


def _option(name: str, here: Any, there_: Any) -> Deviation:
    return Deviation(f"option {name}", f"{here} here, {there_} there: the specification leaves it open",
                     lambda p: p.with_options(**{name: there_}))


def under(m: Machine, chosen: Profile) -> Machine:
    """A copy of a machine in the same state, under another profile; its units take what is latched of it."""
    out = m.copy()
    out.profile, out.quirks = chosen, chosen.quirk_word
    for unit in range(out.units):
        at = LATCH_WORDS * unit
        posting = bool(get(chosen.of_unit(unit).cap, CAP.pi))
        static = remap.static_mode(m.profile, posting)
        out.latch[at + Latch.MODE] = out.latch[at + Latch.MODE] & ~static | remap.static_mode(chosen, posting)
        out.latch[at + Latch.ORDER] = remap.order_number(chosen)
        out.latch[at + Latch.WIDTH] = chosen.capabilities.width - 12
        for name, value in (("CAP", chosen.of_unit(unit).cap), ("ECAP", chosen.of_unit(unit).ecap)):
            word = PAGE_WORDS * unit + OFFSET[name] // 4
            out.regs[word], out.regs[word + 1] = value & 0xFFFFFFFF, value >> 32
    return out


def explain(before: Machine, past: Sequence[c.Command], commands: Sequence[c.Command],
            tried: Sequence[Deviation], wanted: list[list[Any]], vcpus: int = 0) -> tuple[Deviation, ...]:
    """The smallest part of some deviations with which commands do what is wanted; () when none does.

    before: the machine that the deviations are given to; past: what it does before the commands. vcpus: as of
    `there.seen`.
    """
    def does(part: Sequence[Deviation]) -> bool:
        return what_would(before, past, commands, part, vcpus) == wanted

    for each in tried:
        if does((each,)):
            return (each,)
    if len(tried) < 2 or not does(tried):
        return ()
    left = list(tried)
    for each in tried:
        less = [other for other in left if other is not each]
        if does(less):
            left = less
    return tuple(left)


def what_would(before: Machine, past: Sequence[c.Command], commands: Sequence[c.Command], part: Sequence[Deviation],
               vcpus: int = 0) -> list[list[Any]]:
    """What would be seen of commands on a machine that has had some deviations more since `past`."""
    chosen = before.profile
    for each in part:
        chosen = each.put(chosen)
    m = under(before, chosen)
    if any(each.power_on for each in part):
        vlapic.power_on(m)
    for earlier in past:
        machine.step(m, earlier, trace=False)
    return there.seen([event for command in commands for event in machine.step(m, command)], vcpus)
