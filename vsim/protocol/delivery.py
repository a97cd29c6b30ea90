"""What an interrupt request comes to with a given entry: the one in memory, or one that the unit has kept.

Asks only: the machine is as before when a function returns.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from vsim.devices import remap, vlapic
from vsim.devices.checks import PASS
from vsim.devices.queue import WHOLE
from vsim.devices.remap import Verdict, Words, entry_of
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE_POSTED, MSI_DATA, PID, Reason, remap_message
from vsim.state.arrays import Machine


class Request(NamedTuple):
    """A message: requester id (-1: without one), 64-bit address, 32-bit data."""

    requester: int
    address: int
    data: int


class Delivery(NamedTuple):
    """What a request comes to.

    outcome: "remapped", "posted", "passed" (in compatibility format) or "blocked". vector: -1 when blocked.
    destination: as the message names it; posted: the address of the descriptor; blocked: -1. reason: why it was
    blocked, else `Reason.NONE`.
    """

    outcome: str
    vector: int
    destination: int
    reason: Reason = Reason.NONE

    def __str__(self) -> str:
        if self.outcome == "blocked":
            return f"blocked, reason {int(self.reason):#x}"
        where = "descriptor at" if self.outcome == "posted" else "destination"
        return f"{self.outcome}, vector {self.vector:#x}, {where} {self.destination:#x}"


def using(m: Machine, unit: int, request: Request, words: Words | None) -> Verdict:
    """The verdict of a unit whose cache holds `words` for the index of the request, or nothing at all."""
    if words is not None:
        return remap.look(m, unit, *request, words)
    kept, m.cache = m.cache, {}
    try:
        return remap.look(m, unit, *request)
    finally:
        m.cache = kept


def anyone(index: int) -> Request:
    """A request for an index whose requester nobody checks."""
    return Request(-1, *_message(index))


@lru_cache(1 << WHOLE)
def _message(index: int) -> tuple[int, int]:
    return remap_message(index)


def delivery(m: Machine, verdict: Verdict) -> Delivery:
    """A verdict as what one sees of it."""
    if verdict.outcome > 0:
        return Delivery("blocked", -1, -1, Reason(verdict.outcome))
    if verdict.outcome == PASS:
        return passed(m, verdict.address, verdict.data)
    if verdict.address:
        return Delivery("remapped", get(verdict.data, MSI_DATA.vector), verdict.destination)
    return _posted(m, entry_of(verdict.words))


def _posted(m: Machine, entry: int) -> Delivery:
    """A posted entry: to its descriptor, if that can be used (V 4.5)."""
    where = get(entry, IRTE_POSTED.pda) << 6
    raw = m.ram.read(where, PID.width // 8)
    if raw is None:
        return Delivery("blocked", -1, -1, Reason.DESCRIPTOR_ERROR)
    if PID.reserved_set(int.from_bytes(raw, "little")):
        return Delivery("blocked", -1, -1, Reason.DESCRIPTOR_RESERVED)
    return Delivery("posted", get(entry, IRTE_POSTED.vector), where)


def passed(m: Machine, address: int, data: int) -> Delivery:
    """A message in compatibility format."""
    destination, *_, vector, _ = vlapic.arrival(address & 0xFFFFFFFF, 0, data, m.profile.options.ext_dest)
    return Delivery("passed", vector, destination)


Effect = tuple[int, int, int, Words]
"""What `effect` gives."""


def effect(verdict: Verdict) -> Effect:
    """What tells two verdicts on one request apart: outcome, message; the entry where a descriptor is posted to."""
    posts = not verdict.check and not verdict.address
    return verdict.outcome, verdict.address, verdict.data, verdict.words if posts else remap.ABSENT
