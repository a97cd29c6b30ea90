"""Which local APICs a destination names (SDM 11.6.2; A 3.1): a table derived from the machine, kept until it changes.

Each target matches by its own mode. The table makes the cost of a match independent of the number of vCPUs.
"""

from __future__ import annotations

from collections.abc import Callable

from vsim.devices import crowd
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import CLUSTER_F_BROADCASTS, MIXED_NARROWS

BROADCAST8, BROADCAST32 = 0xFF, 0xFFFFFFFF
NEVER = 1 << 32


class Routes:
    """Targets by physical ID and by logical address, for a machine as it is now."""

    __slots__ = ("alias", "crowds", "everybody", "f_broadcasts", "ff", "literal", "narrows", "parts",
                 "ranks", "x2", "x2_clusters", "x2_ids", "xapic", "xapic_clusters", "xapic_flat", "xapic_ids")

    def __init__(self, m: Machine) -> None:
        options = m.profile.options
        self.crowds: dict[tuple[int, int, int], list[int]] | None = {} if m.vcpus > crowd.MANY else None
        self.ranks = crowd.Ranks()
        self.alias, self.ff = options.alias_ids, options.ff_broadcast
        self.f_broadcasts = options.cluster_f_broadcast or bool(m.quirks & CLUSTER_F_BROADCASTS)
        self.xapic: list[int] = []
        self.x2: list[int] = []
        self.xapic_ids: dict[int, list[int]] = {}
        self.x2_ids: dict[int, list[int]] = {}
        self.x2_clusters: dict[int, list[tuple[int, int]]] = {}
        self.xapic_flat: list[tuple[int, int]] = []
        self.xapic_clusters: list[tuple[int, int]] = []
        self.parts: dict[tuple[str, int], list[int]] = {}
        for vcpu in range(m.vcpus):
            if m.apic_mode[vcpu] == Apic.X2APIC:
                self._add_x2(m, vcpu)
            elif m.apic_mode[vcpu] == Apic.XAPIC:
                self._add_xapic(m, vcpu)
        self.x2, self.xapic = crowd.kept(self.x2), crowd.kept(self.xapic)
        self.everybody = crowd.kept(crowd.both(self.x2, self.xapic))
        self.xapic_ids = {low: crowd.kept(found) for low, found in self.xapic_ids.items()}
        self.literal = bool(m.quirks & MIXED_NARROWS)
        self.narrows = self.xapic[0] if self.xapic and self.literal else NEVER

    def _add_x2(self, m: Machine, vcpu: int) -> None:
        ldr = m.ldr[vcpu]
        self.x2.append(vcpu)
        self.x2_ids.setdefault(m.apic_id[vcpu], []).append(vcpu)
        self.x2_clusters.setdefault(ldr >> 16, []).append((ldr & 0xFFFF, vcpu))

    def _add_xapic(self, m: Machine, vcpu: int) -> None:
        self.xapic.append(vcpu)
        self.xapic_ids.setdefault(m.apic_id[vcpu] & 0xFF, []).append(vcpu)
        model = m.dfr[vcpu] >> 28
        if model in (0xF, 0):
            (self.xapic_flat if model else self.xapic_clusters).append((m.ldr[vcpu] >> 24, vcpu))

    def physical(self, destination: int, narrow: int) -> list[int]:
        """vCPUs with this APIC ID. narrow: the message carries an 8-bit destination.

        Under quirk qemu.U5 an xAPIC compares the low 8 bits of a wider destination, and takes none of them for a
        broadcast: 0x1ff is nobody there.
        """
        if destination == BROADCAST32:
            return self.everybody
        small = destination & 0xFF if self.alias else destination
        if (destination if self.literal else small) == BROADCAST8:
            if narrow and self.ff:
                return self.everybody
            return crowd.both(self.x2_ids.get(destination, []), self.xapic)
        return crowd.both(self.x2_ids.get(destination, []), self.xapic_ids.get(small, []))

    def logical(self, destination: int, narrow: int) -> list[int]:
        """vCPUs whose logical address has a bit in common.

        Quirk qemu.U5: after the first xAPIC target only 8 bits of the destination are left.
        """
        if destination == BROADCAST32 or (narrow and self.ff and destination == BROADCAST8):
            return self.everybody
        found = self._x2_logical(destination)
        if self.narrows < NEVER and destination > BROADCAST8:
            found = [vcpu for vcpu in found if vcpu < self.narrows]
            return crowd.both(found, self._once(self._narrowed, destination & 0xFF))
        small = destination & 0xFF if self.alias else destination
        return crowd.both(found, self._once(self._xapic_logical, small)) if small <= BROADCAST8 else found

    def xen(self, destination: int, logical: int) -> list[int]:
        """Xen's rules: broadcast only physical, 8 bits for xAPIC targets and 32 for x2APIC ones (X 5.5)."""
        if logical:
            return crowd.both(self._x2_logical(destination), self._once(self._xen_logical, destination & 0xFF))
        found = self.x2 if destination == BROADCAST32 else self.x2_ids.get(destination, [])
        return crowd.both(found, self.xapic if destination == BROADCAST8 else self.xapic_ids.get(destination, []))

    # --- the parts of a destination ---

    def _once(self, work: Callable[[int], list[int]], small: int) -> list[int]:
        """What follows from 8 bits of a destination, worked out once: there are messages to thousands of others."""
        key = work.__name__, small
        if key not in self.parts:
            self.parts[key] = crowd.kept(sorted(work(small)))
        return self.parts[key]

    def _x2_logical(self, destination: int) -> list[int]:
        """At most 16, as a cluster has no more."""
        bits = destination & 0xFFFF
        return sorted(vcpu for mine, vcpu in self.x2_clusters.get(destination >> 16, []) if mine & bits)

    def _xapic_logical(self, small: int) -> list[int]:
        if small == BROADCAST8:
            return self.xapic
        everywhere = self.f_broadcasts and small >> 4 == 0xF
        return self._flat(small) + [vcpu for ldr, vcpu in self.xapic_clusters
                                    if ldr & small & 0xF and (everywhere or ldr >> 4 == small >> 4)]

    def _xen_logical(self, small: int) -> list[int]:
        return self._flat(small) + [vcpu for ldr, vcpu in self.xapic_clusters
                                    if ldr & small & 0xF and ldr >> 4 == small >> 4]

    def _flat(self, small: int) -> list[int]:
        return [vcpu for ldr, vcpu in self.xapic_flat if ldr & small]

    def _narrowed(self, small: int) -> list[int]:
        return [vcpu for vcpu in self._x2_logical(small) + self._xapic_logical(small) if vcpu >= self.narrows]


def of(m: Machine) -> Routes:
    """The machine's table, made anew when an ID, a mode or a logical address has changed."""
    table = m._routes
    if table is None:
        table = m._routes = Routes(m)
    return table  # type: ignore[no-any-return]


def match(m: Machine, destination: int, logical: int, narrow: int) -> list[int]:
    """The vCPUs that a destination names, in ascending order; enabled or not."""
    rule = m.profile.options.matching
    if rule in ("everybody", "nobody"):
        return [0] if rule == "everybody" else []
    table = of(m)
    if table.crowds is None:
        return _found(table, rule, destination, logical, narrow)
    return table.crowds.get((destination, logical, narrow)) or _remembered(table, rule, destination, logical, narrow)


def _found(table: Routes, rule: str, destination: int, logical: int, narrow: int) -> list[int]:
    if rule == "xen":
        return table.xen(destination, logical)
    return table.logical(destination, narrow) if logical else table.physical(destination, narrow)


MOST_CROWDS = 256
"""Crowds that a table of destinations remembers."""


def _remembered(table: Routes, rule: str, destination: int, logical: int, narrow: int) -> list[int]:
    """A destination that names many is remembered, with what its crowd works out."""
    found = crowd.kept(_found(table, rule, destination, logical, narrow))
    if type(found) is crowd.Crowd and table.crowds is not None:
        if len(table.crowds) >= MOST_CROWDS:
            table.crowds.clear()
        table.crowds[destination, logical, narrow] = found
    return found
