"""Five answers to "with several host IOMMUs, how are they linked?", a row each, and what others answered (X 1.3, 8).

Grades as in the reference: "read" in code or a thread, "A" read in a later thread, "I" inferred. `host_policies` puts
the answers to work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vsim.domain.host_features import Rule

ASPECTS = ("capabilities", "query", "guest", "passed-through", "hot-plug", "migration")
"""What an answer has to say something about."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One answer. spread: a vIOMMU for each "domain", host "unit" or "group" of devices; rule: None, the model's own.

    meaning: a sentence for each of `ASPECTS`; grade: what they rest on.
    """

    name: str
    answer: str
    spread: str
    rule: Rule | None
    grade: str
    meaning: Mapping[str, str]


def _meaning(*sentences: str) -> dict[str, str]:
    return dict(zip(ASPECTS, sentences, strict=True))


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (
    Policy("unlinked", "They are not: one vIOMMU of software for all devices, the same on every host.", "domain", None,
           "read; that it was meant so: I", _meaning(
               "The device model's own, whatever the host has.",
               "By type of device model: bit 0, interrupt remapping. No host unit has a part in it.",
               "One unit that covers all PCI devices, one table, one queue.",
               "Every device fits. Only the host's own entry, re-programmed when a message is bound, is hardware's.",
               "Every device fits, behind whatever unit.",
               "To every host with the same device model.")),
    Policy("intersection", "One vIOMMU for all, with what every host unit has.", "domain", min, "I", _meaning(
        "The least of all units: one weak unit decides for all devices.",
        "One answer that is true for every device.",
        "One unit, one table, one queue; devices behind strong units get no more than those behind weak ones.",
        "What the guest was promised is there for every device.",
        "Every device behind a unit that was counted fits; a unit that arrives later may have less.",
        "To hosts none of whose units has less.")),
    Policy("union", "One vIOMMU for all, with what any host unit has.", "domain", max, "I", _meaning(
        "The most of all units.",
        "One answer that may be untrue for a given device.",
        "One unit, one table, one queue; nothing tells the guest for which device the promise does not hold.",
        "What software does holds; what hardware has to do fails behind the units that lack it.",
        "As for devices that were there: it depends on the unit behind which the device arrives.",
        "To hosts that have everything somewhere; which device loses what changes on the way.")),
    Policy("per-unit", "One vIOMMU for each host unit, with what that unit has.", "unit", min, "I", _meaning(
        "Each vIOMMU its own. A Linux guest still uses 32-bit destinations in all or in none.",
        "One word for a type cannot say it: the answer differs from unit to unit.",
        "As many units as the host has, each with its table and queue; the DMAR lists what is behind each.",
        "What the guest was promised is there, since the device is behind the very unit.",
        "The vIOMMU of its unit is there already; a device behind a unit that was not counted has no place.",
        "The number and layout of the host's units are in the guest's hands: the target must look alike.")),
    Policy("per-group", "One vIOMMU for each group of devices that stay together.", "group", min, "I", _meaning(
        "What the units behind the group's devices have; a last one with the model's own is for everybody else.",
        "One word for a type cannot say it; the groups are the toolstack's choice and not the host's fact.",
        "A unit for each group; the shape of the host does not show.",
        "What the guest was promised is there for every device of the group.",
        "A new group needs a new unit, which a guest that has read its DMAR does not look for.",
        "Group by group: each needs units on the target that have what it was promised.")),
)}
"""The answers by name."""


class Precedent(NamedTuple):
    """What others did with the same question (X 8.3; V 10.4)."""

    when: str
    who: str
    point: str
    grade: str


PRECEDENTS = (
    Precedent("2017", "the series", "one vIOMMU for a domain, in software, no link to host units", "read"),
    Precedent("today", "Xen on its own host",
              "remaps interrupts only if every unit has QI and IR: an intersection", "read"),
    Precedent("2022", "Julien Grall and Rahul Singh on ARM's vSMMUv3",
              "one for each physical unit for the hardware domain, one in all for any other guest", "A"),
    Precedent("Dec 2025", "Milan Djokic on vSMMUv3",
              "one for each physical unit: device ids overlap between units, a mapping layer is too complex", "A"),
    Precedent("2026", "the same series, later", "one vIOMMU over several units, with a mapping layer", "A"),
    Precedent("2026", "Roger Pau Monné on the extended destination ID",
              "a feature is the minimum over all servers that are there when creation ends; later ones without it are "
              "refused; migration has to carry it", "A"),
)
"""How the question came back, and what was answered."""
