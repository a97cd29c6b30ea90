"""What the live map has counted: deliveries by vLAPIC, uses by entry, interrupts by outcome, and what is pending."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from itertools import islice
from typing import Any

from vsim.devices import vpic
from vsim.devices.checks import MODE_BIT
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import FRCD, REASON_TEXT
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from widgets.map.scene import Scene, ends_at_unit, unit_of
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token

# Plain ints: what is done with every token must not go through an enumeration.
_NO_ENTRY = int(Flag.NO_ENTRY)
_BLOCKED, _DIRECT, _LOST, _SPURIOUS = map(int, (Outcome.BLOCKED, Outcome.DIRECT, Outcome.LOST, Outcome.SPURIOUS))
_COUNT = struct.Struct("<HI")
RECORDS = 8  #: fault records that are told at most
_EMPTY = bytes(32)


class Tally:
    """Counts of a scene's tokens; `js/tally.js` counts the same way what reaches it.

    total: by outcome. sent: by device. delivered: by vCPU, of devices; direct: of IPIs and of units' own events;
    spurious: by vCPU. blocked: by unit. used, refused, lost: by unit, index -> interrupts that the entry let in,
    refused, sent to nobody.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene, self.places = scene, Places(scene)
        self.total = [0] * len(Outcome)
        self.sent = array("I", bytes(4 * len(scene["devices"])))
        self.delivered, self.direct, self.spurious = (array("I", bytes(4 * scene["vlapics"])) for _ in range(3))
        self.blocked = [0] * len(scene["units"])
        self.used, self.refused, self.lost = ([dict[int, int]() for _ in scene["units"]] for _ in range(3))

    def add(self, tokens: Iterable[Token], sign: int = 1) -> None:
        """Count tokens; with sign -1 take them back."""
        for token in tokens:
            kind = token.outcome & 7
            self.total[kind] += sign
            if token.src < len(self.sent):
                self.sent[token.src] += sign
            if token.dst != NOBODY:
                self._of(kind)[token.dst - self.places.vlapic] += sign
            if kind == _BLOCKED and self.blocked:
                self.blocked[unit_of(self.scene, token)] += sign
            if not token.outcome & _NO_ENTRY and self.used:
                unit = unit_of(self.scene, token)
                counts = self.refused if ends_at_unit(token) else self.used
                counts[unit][token.irte] = counts[unit].get(token.irte, 0) + sign
                if kind == _LOST:
                    self.lost[unit][token.irte] = self.lost[unit].get(token.irte, 0) + sign

    def _of(self, kind: int) -> array[int]:
        return self.direct if kind == _DIRECT else self.spurious if kind == _SPURIOUS else self.delivered

    def take(self, other: Tally) -> None:
        """The counts of another tally of an equal scene."""
        for name in ("total", "sent", "blocked", *BY_VCPU):
            setattr(self, name, getattr(other, name)[:])
        for name in BY_ENTRY:
            setattr(self, name, [each.copy() for each in getattr(other, name)])

    def state(self) -> dict[str, Any]:
        """The counts as the page takes them: words little endian; of entries those that are not 0, with their index."""
        words = {name: getattr(self, name).tobytes() for name in ("sent", *BY_VCPU)}
        return {"total": list(self.total), "blocked": list(self.blocked), **words,
                **{name: [_packed(each) for each in getattr(self, name)] for name in BY_ENTRY}}


BY_VCPU = ("delivered", "direct", "spurious")
BY_ENTRY = ("used", "refused", "lost")


def _packed(counts: dict[int, int]) -> bytes:
    return b"".join(_COUNT.pack(index, count) for index, count in sorted(counts.items()) if count > 0)


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
    """What of a machine changes its scene: whether its 8259 is in use; which units there are, and their entries."""
    return [(vpic.in_use(m), 0),
            *((m.live(unit), m.latch[LATCH_WORDS * unit + Latch.ENTRIES]) for unit in range(m.units))]
