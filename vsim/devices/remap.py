"""What the remapping hardware does with one interrupt request (VT-d 5.1). Asks only; changes nothing.

The order of the checks and their conditions are in `checks`; `chain` is generated from them. The same `look` serves
delivery, the preview of an editor and the explanation of an interrupt.
"""

from __future__ import annotations

from typing import NamedTuple

from vsim.devices import chain
from vsim.devices.checks import CHECKS, MODE_BIT, NAMES, ORDERS
from vsim.layouts.formats import IRTE, Reason
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.profile import QUIRKS, REQUEST_LATE, Profile

Words = tuple[int, int, int, int]
ABSENT: Words = (0, 0, 0, 0)


class Verdict(NamedTuple):
    """The answer to one request.

    check: number of the check that ended it, 0 when it was remapped. outcome: a `Reason`, or `checks.PASS`.
    index: the interrupt index, -1 when none was computed. words: the entry, four 32-bit words. cached: the words
    came from the interrupt entry cache. fetched: memory was read for it. destination: 32 bits. address, data: the
    message that goes on (address bits 63:40 hold destination bits 31:8).
    """

    check: int
    outcome: int
    index: int  # type: ignore[assignment]  # shadows tuple.index
    words: Words
    cached: bool
    fetched: bool
    destination: int
    address: int
    data: int


OUTCOME = (0, *(int(CHECKS[name].outcome) for name in NAMES[1:]))
QUALIFIED = (False, *(CHECKS[name].qualified for name in NAMES[1:]))
"""By a check's number: its outcome, and whether FPD keeps the fault from the record."""
# Places as plain ints: members of an enumeration are slow to look up, and this is done for every interrupt.
_MODE, _ORDER, _BASE_PAGE, _ENTRIES, _WIDTH = map(int, (
    Latch.MODE, Latch.ORDER, Latch.BASE_PAGE, Latch.ENTRIES, Latch.WIDTH))
_REQUEST = tuple(chain.REQUEST[order] for order in ORDERS)
_ENTRY = tuple(chain.ENTRY[order] for order in ORDERS)
_SOURCELESS = MODE_BIT["sourceless"]
_MEANS = {"dlm_unchecked": MODE_BIT["dlm_passes"], "posted_as_remapped": MODE_BIT["im_ignored"],
          "sid_unchecked": MODE_BIT["sourceless"] | MODE_BIT["svt3_mismatch"]}
"""Quirks that set other bits of the mode word than one of their own name."""
_PI, _IRES = MODE_BIT["pi"], MODE_BIT["ires"]
_IM_IGNORED = MODE_BIT["im_ignored"]
_IM = IRTE.im.mask
FPD = IRTE.fpd.mask
"""Fault processing disable, in the low word of an entry."""
_INDEXED = (Reason.INDEX_OVER, Reason.TABLE_ERROR)


def static_mode(profile: Profile, posting: bool) -> int:
    """The bits of a unit's mode word that never change: options, quirks, and whether it offers posting."""
    mode = MODE_BIT["pi"] if posting else 0
    if profile.options.svt3_reason == Reason.SOURCE_ID:
        mode |= MODE_BIT["svt3_mismatch"]
    if profile.options.dlm_passes:
        mode |= MODE_BIT["dlm_passes"]
    for id_ in profile.quirks:
        name = QUIRKS[id_].name
        mode |= _MEANS.get(name, MODE_BIT.get(name, 0))
    return mode


def order_number(profile: Profile) -> int:
    """The place in `checks.ORDERS` of the order that a profile asks for."""
    late = profile.quirk_word & REQUEST_LATE
    return list(ORDERS).index("request-late" if late else profile.options.order)


def look(m: Machine, unit: int, requester: int, address: int, data: int, held: Words | None = None) -> Verdict:
    """The verdict on a request of `requester` (16 bits) to 64-bit `address` with 32-bit `data`.

    held: the words that the cache is taken to hold for it, instead of those that it holds.
    """
    at = LATCH_WORDS * unit
    latch = m.latch
    mode, order, base = latch[at + _MODE], latch[at + _ORDER], latch[at + _BASE_PAGE]
    upper, low = address >> 32, address & 0xFFFFFFFF
    check = _REQUEST[order](low, upper, data, mode, latch[at + _ENTRIES], base, latch[at + _WIDTH])
    if check:
        outcome = OUTCOME[check]
        index = -1 if outcome not in _INDEXED else chain.index_of(low, data, mode)
        return Verdict(check, outcome, index, ABSENT, False, False, 0, address, data)
    if requester < 0:
        mode |= _SOURCELESS
    index = chain.index_of(low, data, mode)
    words: Words | None = held or m.cache.get(unit << 16 | index)
    cached = words is not None
    if words is None:
        words = m.ram.words4((base << 12) + (index << 4))
    readable = words is not None
    w0, w1, w2, w3 = words or ABSENT
    check = _ENTRY[order](low, upper, data, requester, mode, readable, w0, w1, w2, w3)
    if check:
        fetched = readable and not cached
        return Verdict(check, OUTCOME[check], index, words or ABSENT, cached, fetched, 0, address, data)
    if posts(w0, mode):
        return Verdict(0, 0, index, (w0, w1, w2, w3), cached, not cached, 0, 0, 0)
    destination, out_upper, out, out_data = chain.message_of(w0, w1, mode)
    return Verdict(0, 0, index, (w0, w1, w2, w3), cached, not cached, destination, out_upper << 32 | out, out_data)


def entry_check(m: Machine, unit: int, index: int, words: Words) -> int:
    """The check that ends a request of nobody in particular at an entry of these words, 0 when it goes on.

    -1 when such a request does not come as far as the entry: remapping is off, or the table ends before it.
    """
    at = LATCH_WORDS * unit
    latch = m.latch
    mode, base, order = latch[at + _MODE], latch[at + _BASE_PAGE], latch[at + _ORDER]
    if not mode & _IRES or index >= latch[at + _ENTRIES] or base + (index >> 8) >> latch[at + _WIDTH]:
        return -1
    return _ENTRY[order](0, 0, 0, -1, mode | _SOURCELESS, 1, *words)


def posts(w0: int, mode: int) -> bool:
    """Whether an entry that no check refuses, with the low word w0, leads to a posted-interrupt descriptor."""
    return (w0 & _IM != 0) & (mode & (_PI | _IM_IGNORED) == _PI)


def qualified(verdict: Verdict) -> bool:
    """Whether the fault is kept from the record by the entry's FPD (V 5.3)."""
    return QUALIFIED[verdict.check] and bool(verdict.words[0] & FPD)


def entry_of(words: Words) -> int:
    """Four words as one 128-bit entry."""
    return words[0] | words[1] << 32 | words[2] << 64 | words[3] << 96
