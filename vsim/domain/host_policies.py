"""How a host's units become a guest's vIOMMUs, and what that means for devices, hot-plug, migration and query.

    plan = link(machine, "per-unit", functions=[0x0300, 0x8100])
    build(config, functions, link=plan)         # a domain that has it so
    passed_through(plan, 0x0300), plug(plan, 0x8200), migrate(plan, weaker), query(plan)

The policies are rows of `host_answers`. Every `Answer` is a value, a sentence and its grade.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vsim.devices import viommu
from vsim.domain.host import Host
from vsim.domain.host_answers import POLICIES, Policy
from vsim.domain.host_features import HARDWARE, MODEL, Feature, Rule, Words, combine, less, names, promised
from vsim.layouts.bits import bdf_text
from vsim.layouts.interfaces import INTERFACES, Errno, Op
from vsim.machine import step
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.profile import Capabilities, profile
from vsim.state.trace import Act

Place = tuple[int, int]
"""A function of the host: PCI segment and requester id."""


class Answer(NamedTuple):
    """Whether it works, the value, the sentence, and what that rests on ("run": shown by the machine)."""

    ok: bool
    value: Any
    sentence: str
    grade: str


@dataclass(frozen=True, slots=True)
class VirtualUnit:
    """One vIOMMU, on the device model of profile "spec".

    capabilities: its CAP and ECAP; units: those of the host that it stands for, none where they are the model's own;
    dma: names of what it would promise if it translated DMA.
    """

    capabilities: Capabilities
    units: tuple[int, ...] = ()
    dma: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Link:
    """A policy put to work on a host. units: the vIOMMUs; the last takes emulated devices and the I/O APIC too.

    groups: the vIOMMU of a function, where the policy goes by groups.
    """

    policy: Policy
    host: Host
    units: tuple[VirtualUnit, ...]
    groups: Mapping[Place, int] = field(default_factory=dict)

    def unit_of(self, bdf: int, segment: int = 0) -> int:
        """The vIOMMU for a function of the host; -1 when it has no place."""
        if self.policy.spread == "domain":
            return 0
        if self.policy.spread == "group":
            return self.groups.get((segment, bdf), -1)
        return self.host.unit_of(bdf, segment)

    def capabilities(self, model: Capabilities) -> tuple[Capabilities, ...]:
        """CAP and ECAP of the vIOMMUs on a device model with these of its own."""
        own = ((unit, Words(unit.capabilities.cap, unit.capabilities.ecap)) for unit in self.units)
        return tuple(combine(model, [words], min) if unit.units else model for unit, words in own)

    def rows(self) -> list[tuple[str, str, str]]:
        """A row for each vIOMMU: host units that it stands for, what it offers for interrupts, and would for DMA."""
        return [(", ".join(map(str, unit.units)) or "none", names(f for f in MODEL if f.of(unit.capabilities)),
                 ", ".join(sorted(unit.dma)) or "nothing") for unit in self.units]


def link(host: Host, policy: str, functions: Iterable[int | Place] = (),
         groups: Sequence[Iterable[int]] = ()) -> Link:
    """Put a policy to work. functions: those to be passed through, as requester id or with the segment.

    groups: for "per-group", functions of segment 0 that stay together; without them those below one port of the root
    bus. ValueError: an unknown policy, a function in two groups, CAP and ECAP that are not known.
    """
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r}; there are {', '.join(POLICIES)}")
    chosen, own = POLICIES[policy], Capabilities()
    if chosen.rule is None:
        return Link(chosen, host, (VirtualUnit(own),))
    everywhere = tuple(range(len(host.units)))
    if chosen.spread == "domain":
        return Link(chosen, host, (_virtual(host, everywhere, chosen.rule, own),))
    if chosen.spread == "unit":
        return Link(chosen, host, tuple(_virtual(host, (unit,), chosen.rule, own) for unit in everywhere))
    places = [each if isinstance(each, tuple) else (0, each) for each in functions]
    members = [[(0, bdf) for bdf in group] for group in groups] or natural_groups(host, places)
    made = [_virtual(host, _behind(host, group), chosen.rule, own) for group in members]
    return Link(chosen, host, (*made, VirtualUnit(own)), _membership(members))


def _virtual(host: Host, units: tuple[int, ...], rule: Rule, own: Capabilities) -> VirtualUnit:
    words = [host.words_of(unit) for unit in units]
    return VirtualUnit(combine(own, words, rule), units, promised(words, rule))


def _behind(host: Host, group: Iterable[Place]) -> tuple[int, ...]:
    return tuple(sorted({host.unit_of(bdf, segment) for segment, bdf in group} - {-1}))


def _membership(groups: list[list[Place]]) -> dict[Place, int]:
    out: dict[Place, int] = {}
    for number, group in enumerate(groups):
        for place in group:
            if out.setdefault(place, number) != number:
                raise ValueError(f"{bdf_text(place[1])} is in group {out[place]} and in group {number}")
    return out


def natural_groups(host: Host, places: Iterable[Place]) -> list[list[Place]]:
    """Functions that stay together: those below one port of the root bus, else those of one device."""
    groups: dict[Place, list[Place]] = {}
    for segment, bdf in places:
        top = bdf & ~7
        while host.functions and (above := host.functions.bridge_above(top, segment)):
            top = above.bdf
        groups.setdefault((segment, top), []).append((segment, bdf))
    return list(groups.values())


# --- what it means ---


def passed_through(plan: Link, bdf: int, segment: int = 0) -> Answer:
    """Whether a device gets what its vIOMMU promises. value: names of what it does not get.

    ValueError when CAP and ECAP of its unit are not known and the policy rests on them.
    """
    number, unit, name = plan.unit_of(bdf, segment), plan.host.unit_of(bdf, segment), bdf_text(bdf)
    if number < 0 or unit < 0:
        what = "vIOMMU of this domain" if number < 0 else "unit of the host"
        return Answer(False, (), f"{name} has no place: no {what} is for it.", plan.policy.grade)
    where = f"{name}, behind unit {unit} of the host and vIOMMU {number},"
    if plan.policy.rule is None:
        return Answer(True, (), f"{where} gets what the device model offers.", plan.policy.grade)
    soft, hard = _lacks(plan.units[number], plan.host.words_of(unit))
    if hard:
        said = f"{where} was promised {names(hard)}, which that unit lacks: {hard[0].broken}."
        return Answer(False, tuple(f.name for f in hard), f"{said} (Of DMA: this vIOMMU remaps interrupts only.)", "I")
    more = f"; {names(soft)} by software alone" if soft else ""
    return Answer(True, (), f"{where} gets what was promised{more}.", plan.policy.grade)


def _lacks(virtual: VirtualUnit, words: Words) -> tuple[list[Feature], list[Feature]]:
    """Of what a vIOMMU promises, what a physical unit lacks: software's features, hardware's."""
    return less(virtual.capabilities, words), [f for f in HARDWARE if f.name in virtual.dma and not f.of(words)]


def plug(plan: Link, bdf: int, segment: int = 0) -> Answer:
    """Whether a device can arrive while the guest runs. value: the vIOMMU that it would be behind, -1 for none."""
    number = plan.unit_of(bdf, segment)
    if number < 0:
        return Answer(False, -1, f"No vIOMMU is for {bdf_text(bdf)}, and a guest that has read its DMAR does not look "
                      "for another.", "I")
    found = passed_through(plan, bdf, segment)
    return Answer(found.ok, number, f"It arrives behind vIOMMU {number}: {found.sentence}", found.grade)


def migrate(plan: Link, target: Host) -> Answer:
    """Whether the guest can go on on another host. value: (vIOMMU, feature) pairs that the target cannot keep.

    What a guest has read in CAP and ECAP stays promised: the save record carries the registers (X 2.6), and nobody
    compares them with the target [I]. Passed-through devices leave before, and others come after.
    """
    if plan.policy.rule is None:
        return Answer(True, (), "The device model is the same there; nothing of the host's units was promised.", "I")
    missing = max(0, len(plan.units) - len(target.units)) if plan.policy.spread == "unit" else 0
    lost, soft = dict[tuple[int, str], None](), dict[str, None]()
    for number, virtual in enumerate(plan.units):
        for words in _counterparts(plan, number, target):
            weak, hard = _lacks(virtual, words)
            soft |= dict.fromkeys(feature.name for feature in weak)
            lost |= dict.fromkeys((number, feature.name) for feature in hard)
    return Answer(not lost and not missing, tuple(lost), _told(list(lost), list(soft), missing), "I")


def _counterparts(plan: Link, number: int, target: Host) -> list[Words]:
    """What would stand behind a vIOMMU on the target.

    Its unit of the same number; for a group the one that lacks least; else all of them, a union at their best.
    """
    virtual = plan.units[number]
    if not virtual.units:
        return []
    if plan.policy.spread == "unit":
        return [target.words_of(number)] if number < len(target.units) else []
    words = [target.words_of(unit) for unit in range(len(target.units))]
    if plan.policy.spread == "group":
        return [min(words, key=lambda each: [len(lack) for lack in reversed(_lacks(virtual, each))])]
    return words if plan.policy.rule is min else [_best(words)]


def _best(words: list[Words]) -> Words:
    """Sizes and flags together, each field at its largest."""
    best = {"CAP": 0, "ECAP": 0}
    for feature in (*MODEL, *HARDWARE):
        best[feature.register] |= max(feature.of(each) for each in words) << feature.place.low
    return Words(best["CAP"], best["ECAP"])


def _told(lost: list[tuple[int, str]], soft: list[str], missing: int) -> str:
    said = []
    if missing:
        said.append(f"Units that the target does not have: {missing}; as many vIOMMUs stand for nothing there.")
    if lost:
        said.append("Promised and not there: " + ", ".join(f"{name} of vIOMMU {number}" for number, name in lost)
                    + ". Refuse to migrate, or promise less from the start.")
    if soft:
        said.append(f"{', '.join(soft)}: less in the target's units; software goes on to offer it.")
    return " ".join(said) or "The target has all that was promised."


def query(plan: Link, version: str = "v1") -> Answer:
    """What the hypercall's query says, and what it cannot: a domain is made and asked. value: (errno, word).

    The query is by type of device model, never by unit (X 1.3); versions 3 and 4 have none. ValueError for an unknown
    version.
    """
    face = INTERFACES.get(version)
    if face is None:
        raise ValueError(f"no interface version {version!r}; there are {', '.join(INTERFACES)}")
    if Op.QUERY_CAPS not in face.parts:
        return Answer(False, (), f"{version} has no query: create refuses what is not supported.", "read")
    m = Machine(profile("spec").with_options(interface=version), 1)
    events = step(m, commands.Domctl(viommu.encode(version, Op.QUERY_CAPS, viommu_type=face.type_value)))
    failed, word = next((event.index, event.high) for event in events if event.act == Act.DOMCTL)
    if failed:
        return Answer(False, (failed, word), f"{version} answers {Errno(failed).name}.", "run")
    cannot = _cannot(plan)
    return Answer(not cannot, (failed, word), f"{version} answers {word:#x} for the type: interrupt remapping. "
                  + (f"It cannot say {cannot}." if cannot else "That is all there is to say."), "run")


def _cannot(plan: Link) -> str:
    """What one word of one bit for a type leaves out."""
    offered = [f for f in MODEL if f.name not in ("QI", "IR") and any(f.of(unit.capabilities) for unit in plan.units)]
    differ = [f for f in MODEL if len({f.of(unit.capabilities) for unit in plan.units}) > 1]
    parts = [f"that there are {len(plan.units)} units, and which device is behind which"] if len(plan.units) > 1 else []
    parts += [f"that {names(differ)} differ{'s' * (len(differ) == 1)} between them"] if differ else []
    parts += [f"what else is offered ({names(offered)})"] if offered else []
    return "; nor ".join(parts)
