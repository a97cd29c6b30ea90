"""What units can differ in, and what stands behind a promise of it (V 1.3).

The vIOMMU of the series remaps interrupts in software: whatever it offers for that (`by` "model") it can offer on any
host. Features of DMA remapping (`by` "hardware") rest on the physical unit that a device sits behind; a unit that
remaps interrupts only does not offer them (X 1.1), so they are computed and told here, but in no register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from vsim.layouts.bits import Field, get, put
from vsim.layouts.registers import CAP, ECAP
from vsim.state.profile import Capabilities


class Words(NamedTuple):
    """CAP and ECAP of a physical unit."""

    cap: int
    ecap: int

    def check(self, name: str) -> Words:
        """Themselves. ValueError, with the unit's name, for what no hardware says: ECAP.EIM needs IR, IR needs QI."""
        if not (0 <= self.cap < 1 << 64 and 0 <= self.ecap < 1 << 64):
            raise ValueError(f"{name}: CAP {self.cap:#x} or ECAP {self.ecap:#x} has not 64 bits")
        for needs, needed in ((ECAP.eim, ECAP.ir), (ECAP.ir, ECAP.qi)):
            if get(self.ecap, needs) and not get(self.ecap, needed):
                raise ValueError(f"{name}: ECAP {self.ecap:#x} has {needs.name} without {needed.name}")
        return self


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature. place: its field in CAP or ECAP; by: "model" or "hardware"; doc: what it is.

    broken: what becomes of a guest that was promised it, for a device behind a unit that lacks it.
    """

    name: str
    register: str
    place: Field
    by: str
    doc: str
    broken: str

    def of(self, words: Words | Capabilities) -> int:
        """Its value in a pair of CAP and ECAP."""
        return int(get(words.cap if self.register == "CAP" else words.ecap, self.place))


_STAYS = "nothing is lost: the device model does it in software"
FEATURES: tuple[Feature, ...] = (
    Feature("QI", "ECAP", ECAP.qi, "model", "queued invalidation", _STAYS),
    Feature("IR", "ECAP", ECAP.ir, "model", "interrupt remapping", _STAYS),
    Feature("EIM", "ECAP", ECAP.eim, "model", "32-bit destinations in entries", _STAYS),
    Feature("MHMV", "ECAP", ECAP.mhmv, "model", "largest mask of an entry-cache invalidation", _STAYS),
    Feature("PI", "CAP", CAP.pi, "model", "posted entries (IM=1)", _STAYS),
    Feature("ESIRTPS", "CAP", CAP.esirtps, "model", "latching a table empties the entry cache", _STAYS),
    Feature("DT", "ECAP", ECAP.dt, "hardware", "translations cached in the device", "the device asks a unit that "
            "does not answer such requests"),
    Feature("SC", "ECAP", ECAP.sc, "hardware", "snooping forced by the unit", "the guest's mappings ask for snooping "
            "that nobody enforces: stale data"),
    Feature("PRS", "ECAP", ECAP.prs, "hardware", "page requests of devices", "nobody answers its page requests"),
    Feature("NEST", "ECAP", ECAP.nest, "hardware", "translation in two stages", "the guest's own tables cannot be "
            "given to the hardware"),
)
"""The features, those that others need first."""
MODEL, HARDWARE = ([feature for feature in FEATURES if feature.by == by] for by in ("model", "hardware"))
"""Those that software offers, those that rest on a physical unit."""

Rule = Callable[[list[int]], int]
"""Makes one value of the values of several units: `min` is the intersection, `max` the union; flags and sizes alike."""


def combine(model: Capabilities, units: Iterable[Words], rule: Rule) -> Capabilities:
    """The model's CAP and ECAP with the features that software offers as `rule` makes them of the units'.

    What is no such feature (caching mode, where the fault records are) stays the model's own.
    """
    words, out = list(units), {"CAP": model.cap, "ECAP": model.ecap}
    for feature in MODEL if words else ():
        value = rule([feature.of(each) for each in words])
        out[feature.register] = put(out[feature.register], feature.place, value)
    return replace(model, cap=out["CAP"], ecap=out["ECAP"])


def promised(units: Iterable[Words], rule: Rule) -> frozenset[str]:
    """Names of the features of DMA remapping that a vIOMMU for these units would offer if it translated DMA."""
    words = list(units)
    return frozenset(f.name for f in HARDWARE if words and rule([f.of(each) for each in words]))


def less(wanted: Words | Capabilities, there: Words | Capabilities) -> list[Feature]:
    """The features of software of which there is less than is wanted."""
    return [feature for feature in MODEL if feature.of(there) < feature.of(wanted)]


def names(features: Iterable[Feature]) -> str:
    """Their names; "nothing" when there are none."""
    return ", ".join(feature.name for feature in features) or "nothing"
