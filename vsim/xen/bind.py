"""Passed-through MSI: binding, cached routing, posting, and its refresh by an invalidation (X 4.4)."""

from __future__ import annotations

from vsim.devices import routes, vlapic
from vsim.layouts.bits import get
from vsim.layouts.formats import MSI_DATA, Dlm
from vsim.state import xen_quirks as q
from vsim.state.arrays import Bound, Machine
from vsim.state.trace import Act, Kind, Trip, node
from vsim.xen import paths as xen_paths


def bind(m: Machine, address: int, data: int) -> int:
    """The bind domctl with the whole message (version 4): its place among the bound messages."""
    m.bound = (*m.bound, Bound(address, data))
    place = len(m.bound) - 1
    update(m, place)
    return place


def update(m: Machine, place: int) -> bool:
    """Recompute the routing of a bound message; whether it could be decoded."""
    old = m.bound[place]
    remappable = old.address & xen_paths.MODE_BIT_FORMAT and xen_paths.present(m)
    if remappable:
        code, got = xen_paths.query(m, old.address, old.data, None)
        if code or got is None:
            _keep(m, place, Bound(old.address, old.data))
            return False
        destination, logical, mode, vector = got.destination, got.mode, got.delivery, got.vector
    else:
        destination, logical = old.address >> 12 & 0xFF, old.address >> 2 & 1
        mode, vector = get(old.data, MSI_DATA.dlm), get(old.data, MSI_DATA.vector)
    if m.quirks & q.PT_DEST_U8:
        destination &= 0xFF
    vcpu = single(m, destination, logical)
    target = hashed(m, destination, logical, vector) if mode == Dlm.LOWEST and m.posting else vcpu
    posted = int(bool(m.posting) and target >= 0)
    _keep(m, place, Bound(old.address, old.data, target if posted else vcpu, vector, posted))
    return True


def _keep(m: Machine, place: int, new: Bound) -> None:
    m.bound = (*m.bound[:place], new, *m.bound[place + 1:])


def single(m: Machine, destination: int, logical: int) -> int:
    """The one vCPU that a destination names, -1 for none or several."""
    if m.vcpus == 1:
        return 0
    found = routes.match(m, destination, logical, 1)
    return found[0] if len(found) == 1 else -1


def hashed(m: Machine, destination: int, logical: int, vector: int) -> int:
    """Vector hashing: of the matching vCPUs number (vector mod count), -1 for none."""
    found = routes.match(m, destination, logical, 1)
    return found[vector % len(found)] if found else -1


def refresh(m: Machine, place: int, again: bool, alike: tuple[int, ...] = ()) -> None:
    """An invalidation of the entry that a bound message uses: its routing (X 3.11). again: nothing can have changed.

    alike: others that are routed as this one, while nobody looks.
    """
    if not again:
        update(m, place)
    new = m.bound[place]
    if new.vcpu >= 0:
        m.emit(node(Kind.XEN), Act.MIGRATED, place, new.vcpu)
    if m.posting:
        m.emit(node(Kind.XEN), Act.HOST_ENTRY, place, new.posted, new.vector)
    if m.dead or not xen_paths.present(m):
        for other in alike:
            refresh(m, other, False)
    elif alike:
        _as(m, new, alike)


def _as(m: Machine, new: Bound, places: tuple[int, ...]) -> None:
    """These messages are routed as another one."""
    rows, routing = list(m.bound), new[2:]
    for place in places:
        rows[place] = Bound(*rows[place][:2], *routing)
    m.bound = tuple(rows)
    m.unseen(Act.MIGRATED, len(places) if new.vcpu >= 0 else 0)
    m.unseen(Act.HOST_ENTRY, len(places) if m.posting else 0)


def arrive(m: Machine, place: int) -> None:
    """The host interrupt of a bound message: posted by hardware, or through the hook with the stored message."""
    bound = m.bound[place]
    if bound.posted:
        m.emit(node(Kind.XEN), Act.HOST_ENTRY, place, 1, bound.vector)
        vlapic.take_in(m, bound.vcpu, bound.vector, 0, m.apic_id[bound.vcpu])
        return
    m.emit(node(Kind.XEN), Act.VM_EXIT, Trip.HOST_IRQ, place)
    if m.profile.options.placement == "qemu":
        m.emit(node(Kind.QEMU), Act.ROUND_TRIP, Trip.HOST_IRQ, place)
    m.awaiting |= 1 << place
    xen_paths.inject(m, 0, bound.address, bound.data)


def end(m: Machine, vcpu: int, vector: int) -> int:
    """EOI of a vector on a vCPU: end the host interrupt of the first bound message that means them now; its place.

    Each message is decoded from the *current* entry; -1 when none fits, and the host interrupt stays open (X 4.5).
    """
    for place, bound in enumerate(m.bound):
        meant, found = _meant(m, bound)
        if meant == vector and vcpu in found:
            m.awaiting &= ~(1 << place)
            if m.profile.options.placement == "qemu" and not bound.posted:
                m.emit(node(Kind.QEMU), Act.ROUND_TRIP, Trip.EOI, place)
            m.emit(node(Kind.XEN), Act.HOST_ENDED, place, vcpu, vector)
            return place
    return -1


def _meant(m: Machine, bound: Bound) -> tuple[int, list[int]]:
    """The vector and the vCPUs that a bound message means now; 32-bit destinations."""
    if bound.address & xen_paths.MODE_BIT_FORMAT and xen_paths.present(m):
        got = xen_paths.query(m, bound.address, bound.data, None)[1]
        return (got.vector, routes.match(m, got.destination, got.mode, 0)) if got else (-1, [])
    destination = bound.address >> 12 & 0xFF
    return bound.data & 0xFF, routes.match(m, destination, bound.address >> 2 & 1, 1)
