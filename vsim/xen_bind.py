"""Passed-through MSI: binding, cached routing, posting, and its refresh by an invalidation (X 4.4)."""

from __future__ import annotations

from vsim import routes, xen_paths
from vsim import xen_quirks as q
from vsim.bits import get
from vsim.formats import MSI_DATA, Dlm
from vsim.state import Bound, Machine
from vsim.trace import Act, Kind, node


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
    found = routes.match(m, destination, logical, True)
    return found[0] if len(found) == 1 else -1


def hashed(m: Machine, destination: int, logical: int, vector: int) -> int:
    """Vector hashing: of the matching vCPUs number (vector mod count), -1 for none."""
    found = routes.match(m, destination, logical, True)
    return found[vector % len(found)] if found else -1


def refresh(m: Machine, index: int | None) -> None:
    """An invalidation of one entry, or of all: the routing of the bound messages that use it (X 3.11)."""
    for place, bound in enumerate(m.bound):
        if not bound.address & xen_paths.MODE_BIT_FORMAT:
            continue
        if index is not None and xen_paths.index_of(m, bound.address, bound.data) != index:
            continue
        update(m, place)
        new = m.bound[place]
        if new.vcpu >= 0:
            m.emit(node(Kind.XEN), Act.MIGRATED, place, new.vcpu)
        if m.posting:
            m.emit(node(Kind.XEN), Act.HOST_ENTRY, place, new.posted, new.vector)
