"""The ways of an interrupt through a hypervisor of the series: hooks, results, and what binds them (X 3.8, 3.9, 4).

Results are integers as the hypervisor's functions return them: 0, -errno, or a positive fault code where version 4
lets one through. Each is an event (Act.RETURNED) so that a trace shows what the caller saw.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsim.devices import chain, vioapic, vlapic
from vsim.devices.checks import CHECKS, DROP, MODE_BIT, NAMES, PASS
from vsim.devices.remap import ABSENT, entry_of
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE, RTE, Dlm, Reason
from vsim.state import xen_quirks as q
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.trace import Act, Drop, Kind, node
from vsim.xen import faults as xen_faults
from vsim.xen import models as xen_models

EINVAL, ENODEV, ENOENT, ERANGE, ESRCH = 22, 19, 2, 34, 3
_DELIVERED = (Dlm.FIXED, Dlm.LOWEST, Dlm.NMI)
_PIN_RESERVED = RTE.reserved
_HERE = node(Kind.XEN)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a request means: reason (0: good), index, and the fields of its entry."""

    reason: int
    index: int
    entry: int
    destination: int
    mode: int
    delivery: int
    trigger: int
    vector: int


def signed(value: int) -> int:
    """A result as the hypervisor sees it, from the 64 bits of an event."""
    return value - (1 << 64) if value >> 63 else value


def _returned(m: Machine, who: int, code: int) -> int:
    m.emit(_HERE, Act.RETURNED, who, code & (1 << 64) - 1)
    return code


def present(m: Machine, unit: int = 0) -> int:
    """0: no vIOMMU; 1: complete; 2: created without state (quirk xen.D1)."""
    return m.latch[LATCH_WORDS * unit + Latch.LIVE] if unit < m.units else 0


def decode(m: Machine, unit: int, address: int, data: int, pin: int | None = None, live: bool = True,
           sid: int = 0) -> Decoded:
    """The decision about a remappable request; asks only. live: IRE counts (delivery); else it does not (decode)."""
    at = LATCH_WORDS * unit
    xen_models.live_eime(m, unit)
    mode = m.latch[at + Latch.MODE]
    if not live:
        mode |= MODE_BIT["ires"]
    upper = (pin & _PIN_RESERVED) >> 17 if pin is not None else 0
    low = address & 0xFFFFFFFF | MODE_BIT_FORMAT
    check = chain.request_spec(low, upper, data, mode, m.latch[at + Latch.ENTRIES], 0, 63)
    index = chain.index_of(low, data, mode)
    words = ABSENT
    if not check:
        readable = xen_models.table_readable(m, unit, index)
        if readable and xen_models.past_mapping(m, unit, index):
            return Decoded(CRASH, index, 0, 0, 0, 0, 0, 0)
        where = (m.latch[at + Latch.BASE_PAGE] << 12) + 16 * index
        words = (m.ram.words4(where) if readable else None) or ABSENT
        check = chain.entry_spec(low, upper, data, sid, mode, int(readable), *words)
    entry = entry_of(words)
    destination = chain.message_of(words[0], words[1], mode)[0]
    return Decoded(int(CHECKS[NAMES[check]].outcome) if check else 0, index, entry, destination, get(entry, IRTE.dm),
                   get(entry, IRTE.dlm), get(entry, IRTE.tm), get(entry, IRTE.vector))


MODE_BIT_FORMAT = 1 << 4
"""Bit 4 of a message's address: remappable format."""
CRASH = -9
"""Decoding would make the hypervisor read past the mapped table."""


# --- delivery -------------------------------------------------------------------------------------------------


def handle(m: Machine, unit: int, address: int, data: int, sid: int, pin: int | None = None) -> int:
    """The vIOMMU's callback for one remappable request; its own result (X 3.8)."""
    face = xen_models.model(m)
    if present(m, unit) != 1:
        return face.off if present(m, unit) or face.name == "xen-v4" else -EINVAL
    got = decode(m, unit, address, data, pin, sid=sid)
    if got.reason == PASS:
        return vmsi_deliver(m, sid, address >> 12 & 0xFF, address >> 2 & 1, data)
    if got.reason == DROP:
        m.emit(node(Kind.VIOMMU, unit), Act.DROPPED, Drop.OFF, address, data)
        return face.off
    if got.reason == CRASH:
        xen_models.crash(m)
        return 0
    if got.reason:
        return _refuse(m, unit, got, sid)
    m.emit(node(Kind.VIOMMU, unit), Act.FETCHED, got.index, got.entry & (1 << 64) - 1, got.entry >> 64)
    done = deliver(m, node(Kind.VIOMMU, unit), Act.REMAPPED, got.index, got.destination, got.mode, got.delivery,
                   got.trigger, got.vector)
    return 0 if face.name == "xen-v1" else done


def _refuse(m: Machine, unit: int, got: Decoded, sid: int) -> int:
    """Blocked: recorded unless FPD keeps a fault of the entry quiet."""
    index = got.index & 0xFFFFFFFF
    m.emit(node(Kind.VIOMMU, unit), Act.BLOCKED, got.reason, index, sid)
    quiet = got.reason in (Reason.NOT_PRESENT, Reason.ENTRY_RESERVED, Reason.SOURCE_ID) and get(got.entry, IRTE.fpd)
    if got.reason in (Reason.NOT_PRESENT, Reason.ENTRY_RESERVED) and m.quirks & q.NULL_ENTRY:
        xen_models.crash(m)
    elif quiet or (got.reason == Reason.REQUEST_RESERVED and m.quirks & q.REQUEST_UNRECORDED):
        m.emit(node(Kind.VIOMMU, unit), Act.SUPPRESSED, got.reason, index, sid)
    else:
        for message in xen_faults.record(m, unit, got.reason, index, sid):
            event(m, message.address, message.data)
    return xen_models.model(m).refusals[got.reason]


def deliver(m: Machine, here: int, act: int, index: int, destination: int, logical: int, mode: int, trigger: int,
            vector: int) -> int:
    """Hand a vector or an NMI to the local APICs; other modes are refused (X 3.9)."""
    if mode not in _DELIVERED:
        m.emit(here, Act.DROPPED, Drop.MODE, destination, mode)
        return -EINVAL
    out = 0xFEE00000 | (destination & 0xFFFFFF00) << 32 | (destination & 0xFF) << 12 | logical << 2
    if mode == Dlm.NMI:
        trigger = vector = 0
    m.emit(here, act, index, out, trigger << 15 | mode << 8 | vector)
    vlapic.deliver(m, destination, logical, mode, 0, trigger, vector, destination <= 0xFF)
    return 0


def event(m: Machine, address: int, data: int) -> None:
    """A fault or completion event: straight to the local APICs, never through remapping."""
    destination = address >> 12 & 0xFF | address >> 32 & 0xFFFFFF00
    mode = data >> 8 & 7
    if mode in _DELIVERED:
        vlapic.deliver(m, destination, address >> 2 & 1, mode, 0, data >> 15 & 1, data & 0xFF, True)


# --- the hooks (X 4.2, 4.3) -----------------------------------------------------------------------------------


def inject(m: Machine, requester: int, address: int, data: int) -> int:
    """hvm_inject_msi: QEMU, or a bound host interrupt, raises a message."""
    if address & MODE_BIT_FORMAT and (present(m) or m.quirks & q.FORMAT_HARDCODED):
        own = handle(m, 0, address, data, 0 if m.quirks & q.SID_UNCHECKED else requester & 0xFFFF)
        if m.dead:
            return 0
        if xen_models.model(m).name == "xen-v1":
            _returned(m, 0, own)
        shown = own if own <= 0 or m.quirks & q.POSITIVE_CODES else -14
        return _returned(m, 1, 0 if m.quirks & q.INJECT_ALWAYS_ZERO else shown)
    destination = address >> 12 & 0xFF
    if not data & 0xFF:
        return _returned(m, 1, _pirq(m, address >> 32 & 0xFFFFFF00 | destination))
    return _returned(m, 1, vmsi_deliver(m, requester, destination, address >> 2 & 1, data))


def _pirq(m: Machine, pirq: int) -> int:
    """A PV-on-HVM guest's event: vector 0, the pirq in the address."""
    if not pirq or pirq >> 31:
        return -ERANGE
    m.emit(_HERE, Act.EVENT_CHANNEL, pirq)
    return 0


def vmsi_deliver(m: Machine, requester: int, destination: int, logical: int, data: int) -> int:
    """A compatibility message: fixed to all, lowest priority to one, anything else refused (X 5.3)."""
    mode = data >> 8 & 7
    if mode > Dlm.LOWEST:
        m.emit(node(Kind.VMSI), Act.DROPPED, Drop.MODE, destination, mode)
        return -EINVAL
    before = m.nobody
    done = deliver(m, node(Kind.VMSI), Act.PASSED, requester & 0xFFFF, destination, logical, mode, data >> 15 & 1,
                   data & 0xFF)
    return -ESRCH if mode == Dlm.LOWEST and m.nobody != before else done


def pin(m: Machine, source: int, entry: int) -> None:
    """One delivery attempt of an I/O APIC pin."""
    if entry >> 48 & 1 and (present(m) or m.quirks & q.FORMAT_HARDCODED):
        address = pin_address(entry)
        sid = 0 if m.quirks & q.IOAPIC_SID_ZERO else vioapic.of(m, source & 0xFFFFFF).sid
        code = handle(m, 0, address, 0, sid, entry)
        if not m.dead:
            _returned(m, 0, code)
        return
    deliver(m, source, Act.PASSED, 0, entry >> 56, get(entry, RTE.dm), get(entry, RTE.dlm), get(entry, RTE.tm),
            get(entry, RTE.vector))


def decode_code(m: Machine, got: Decoded) -> int:
    """The decode call's result: as delivery's, but without an entry for it to fail on."""
    return xen_models.model(m).refusals[got.reason] if got.reason else 0


# --- asking (X 2.4, 4.3) --------------------------------------------------------------------------------------


def index_of(m: Machine, address: int, data: int) -> int:
    """The interrupt index of a remappable message."""
    return chain.index_of(address & 0xFFFFFFFF, data, 0)


def pin_address(entry: int) -> int:
    """The address that a redirection entry stands for, with the format bit where it belongs."""
    return 0xFEE00000 | (entry >> 49 & 0x7FFF) << 5 | (entry >> 48 & 1) << 4 | (entry >> 11 & 1) << 2


def query(m: Machine, address: int, data: int, entry: int | None) -> tuple[int, Decoded | None]:
    """Decode without delivering: (result, what it means)."""
    if present(m) != 1:
        return (-ENODEV if present(m) else -EINVAL), None
    early = xen_models.model(m).name == "xen-v1"
    got = decode(m, 0, address, data, None if early else entry, live=False)
    if got.reason == CRASH:
        xen_models.crash(m)
        return 0, None
    if got.reason == DROP:
        return xen_models.model(m).off, None
    if got.reason:
        return (got.reason if early else xen_models.model(m).refusals[got.reason]), None
    return 0, got


def pin_vector(m: Machine, entry: int) -> int:
    """The vector that a pin would raise; 1 on any error where quirk xen.D27 is on."""
    if not entry >> 48 & 1 or not present(m):
        return entry & 0xFF
    code, got = query(m, pin_address(entry), 0, entry)
    if got is not None:
        return got.vector
    if m.quirks & q.GSI_VECTOR_ONE:
        return 1
    return code if code < 0 else -EINVAL
