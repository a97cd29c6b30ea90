"""What a quirk is, and the registry of all of them. The rows are in `profile` (QEMU) and `xen_quirks` (the series)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirk:
    """One departure from the specification, or from what its authors intended.

    id: origin and number ("qemu.D5"); name: the condition's name in the code; does: what the implementation does;
    should: what would be right; observed: what a guest or the toolstack notices; sure: grade of the evidence.
    versions: the versions of the series that have it ("" for QEMU). switch: whether `step` has the condition (else
    the row is told only). bit: the quirk's place in a machine's quirk word.
    """

    id: str
    name: str
    does: str
    should: str
    observed: str
    sure: str
    bit: int
    versions: str = ""
    switch: bool = True


QUIRKS: dict[str, Quirk] = {}
"""All quirks by id."""


def quirk(id_: str, name: str, does: str, should: str, observed: str, sure: str, versions: str = "",
          switch: bool = True) -> int:
    """Register one row; its bit."""
    QUIRKS[id_] = Quirk(id_, name, does, should, observed, sure, 1 << len(QUIRKS), versions, switch)
    return QUIRKS[id_].bit
