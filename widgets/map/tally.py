"""What the live map has counted: deliveries by vLAPIC, uses by entry, interrupts by outcome, and what is pending."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import islice
from typing import Any

from vsim.devices.checks import MODE_BIT
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import FRCD, REASON_TEXT
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from widgets.map.scene import Scene, unit_of
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token

# Plain ints: what is done with every token must not go through an enumeration.
_NO_ENTRY, _PAST = int(Flag.NO_ENTRY), int(Flag.PAST)
RECORDS = 8  #: fault records that are told at most
_EMPTY = bytes(32)


class Tally:
    """Counts of a scene's tokens; `js/tally.js` counts the same way what reaches it."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.places = scene, Places(scene)
        self.total = [0] * len(Outcome)
        self.sent = array("I", bytes(4 * len(scene["devices"])))
        self.delivered = array("I", bytes(4 * scene["vlapics"]))
        cells = [max(1, unit[2]) for unit in scene["units"]]
        self.used = [array("I", bytes(4 * each)) for each in cells]
        self.refused = [array("I", bytes(4 * each)) for each in cells]

    def add(self, tokens: Iterable[Token], sign: int = 1) -> None:
        """Count tokens; with sign -1 take them back."""
        for token in tokens:
            kind = token.outcome & 7
            self.total[kind] += sign
            if token.src < len(self.sent):
                self.sent[token.src] += sign
            if token.dst != NOBODY:
                self.delivered[token.dst - self.places.vlapic] += sign
            if not token.outcome & _NO_ENTRY and self.used:
                self._entry(token, kind == Outcome.BLOCKED and not token.outcome & _PAST, sign)

    def _entry(self, token: Token, refused: bool, sign: int) -> None:
        unit = unit_of(self.scene, token)
        _, each, cells = self.scene["units"][unit]
        (self.refused if refused else self.used)[unit][min(token.irte // each, max(0, cells - 1))] += sign

    def take(self, other: Tally) -> None:
        """The counts of another tally of an equal scene."""
        self.total, self.sent, self.delivered = other.total[:], other.sent[:], other.delivered[:]
        self.used, self.refused = [each[:] for each in other.used], [each[:] for each in other.refused]

    def state(self) -> dict[str, Any]:
        """The counts as the page takes them: words little endian."""
        return {"total": list(self.total), "sent": self.sent.tobytes(), "delivered": self.delivered.tobytes(),
                "used": [each.tobytes() for each in self.used], "refused": [each.tobytes() for each in self.refused]}


def pending(m: Machine) -> bytes:
    """A bit for each vCPU, the first in bit 0 of the first byte: whether its IRR holds anything."""
    words, out = m.irr.tobytes(), bytearray((m.vcpus + 7) // 8)
    for vcpu in range(m.vcpus):
        if words[32 * vcpu:32 * vcpu + 32] != _EMPTY:
            out[vcpu >> 3] |= 1 << (vcpu & 7)
    return bytes(out)


def records(m: Machine) -> list[str]:
    """The pending fault records of all units in words, `RECORDS` of them at most (VT-d 11.4)."""
    found = ((unit, number, _record(m, unit, number)) for unit in range(m.units) if m.live(unit)
             for number in range(m.profile.capabilities.fault_records))
    pending = (_told(unit, number, value) for unit, number, value in found if get(value, FRCD.f))
    return list(islice(pending, RECORDS))


def _record(m: Machine, unit: int, number: int) -> int:
    at = PAGE_WORDS * unit + m.profile.capabilities.fault_offset // 4 + 4 * number
    return sum(m.regs[at + word] << 32 * word for word in range(4))


def _told(unit: int, number: int, value: int) -> str:
    reason = int(get(value, FRCD.reason))
    return (f"vIOMMU {unit}, record {number}: reason {reason:#x}, {REASON_TEXT.get(reason, 'unknown')}; "
            f"index {get(value, FRCD.index)}, source {bdf_text(int(get(value, FRCD.sid)))}; {value:#034x}")


def states(m: Machine) -> list[str]:
    """What each unit does now, in words; "" for one that is gone."""
    return [("remapping on" if m.latch[LATCH_WORDS * unit + Latch.MODE] & MODE_BIT["ires"] else "remapping off")
            if m.live(unit) else "" for unit in range(m.units)]


def shape(m: Machine) -> list[tuple[bool, int]]:
    """What of a machine changes its scene: which units there are, and how many entries each has latched."""
    return [(m.live(unit), m.latch[LATCH_WORDS * unit + Latch.ENTRIES]) for unit in range(m.units)]
