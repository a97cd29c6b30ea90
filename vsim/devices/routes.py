"""Which local APICs a destination names (SDM 11.6.2; A 3.1): a table derived from the machine, kept until it changes.

Each target matches by its own mode. The table makes the cost of a match independent of the number of vCPUs.
"""

from __future__ import annotations

from vsim.devices import crowd
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import CLUSTER_F_BROADCASTS, MIXED_NARROWS

BROADCAST8, BROADCAST32 = 0xFF, 0xFFFFFFFF
NEVER = 1 << 32


class Routes:
    """Targets by physical ID and by logical address, for a machine as it is now."""

    __slots__ = ("alias", "crowds", "f_broadcasts", "ff", "literal", "narrows", "x2", "x2_clusters", "x2_ids", "xapic",
                 "xapic_clusters", "xapic_flat", "xapic_ids")

    def __init__(self, m: Machine) -> None:
        options = m.profile.options
        self.crowds: dict[tuple[int, int, int], list[int]] | None = {} if m.vcpus > crowd.MANY else None
        self.alias, self.ff = options.alias_ids, options.ff_broadcast
        self.f_broadcasts = options.cluster_f_broadcast or bool(m.quirks & CLUSTER_F_BROADCASTS)
        self.xapic: list[int] = []
        self.x2: list[int] = []
        self.xapic_ids: dict[int, list[int]] = {}
        self.x2_ids: dict[int, list[int]] = {}
        self.x2_clusters: dict[int, list[tuple[int, int]]] = {}
        self.xapic_flat: list[tuple[int, int]] = []
        self.xapic_clusters: list[tuple[int, int]] = []
        for vcpu in range(m.vcpus):
            if m.apic_mode[vcpu] == Apic.X2APIC:
                self._add_x2(m, vcpu)
            elif m.apic_mode[vcpu] == Apic.XAPIC:
                self._add_xapic(m, vcpu)
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
            return sorted(self.x2 + self.xapic)
        small = destination & 0xFF if self.alias else destination
        found = self.x2_ids.get(destination, []) + self.xapic_ids.get(small, [])
        if (destination if self.literal else small) == BROADCAST8:
            found = self.xapic + (self.x2 if narrow and self.ff else self.x2_ids.get(destination, []))
        return sorted(found) if len(found) > 1 else found

    def logical(self, destination: int, narrow: int) -> list[int]:
        """vCPUs whose logical address has a bit in common."""
        if destination == BROADCAST32 or (narrow and self.ff and destination == BROADCAST8):
            return sorted(self.x2 + self.xapic)
        bits = destination & 0xFFFF
        found = [vcpu for mine, vcpu in self.x2_clusters.get(destination >> 16, []) if mine & bits]
        small = destination & 0xFF if self.alias else destination
        if self.xapic and small <= BROADCAST8:
            found += self._xapic_logical(small)
        if self.narrows < NEVER and destination > BROADCAST8:
            found = self._narrowed(destination, found)
        return sorted(found)

    def _xapic_logical(self, small: int) -> list[int]:
        if small == BROADCAST8:
            return list(self.xapic)
        found = [vcpu for ldr, vcpu in self.xapic_flat if ldr & small]
        everywhere = self.f_broadcasts and small >> 4 == 0xF
        return found + [vcpu for ldr, vcpu in self.xapic_clusters
                        if ldr & small & 0xF and (everywhere or ldr >> 4 == small >> 4)]

    def xen(self, destination: int, logical: int) -> list[int]:
        """Xen's rules: broadcast only physical, 8 bits for xAPIC targets and 32 for x2APIC ones (X 5.5)."""
        if not logical:
            found = list(self.x2) if destination == BROADCAST32 else self.x2_ids.get(destination, [])
            found = found + (self.xapic if destination == BROADCAST8 else self.xapic_ids.get(destination, []))
            return sorted(set(found))
        bits = destination & 0xFFFF
        found = [vcpu for mine, vcpu in self.x2_clusters.get(destination >> 16, []) if mine & bits]
        small = destination & 0xFF
        found += [vcpu for ldr, vcpu in self.xapic_flat if ldr & small]
        found += [vcpu for ldr, vcpu in self.xapic_clusters if ldr & small & 0xF and ldr >> 4 == small >> 4]
        return sorted(found)

    def _narrowed(self, destination: int, found: list[int]) -> list[int]:
        """Quirk qemu.U5: after the first xAPIC target only 8 bits of the destination are left."""
        before = [vcpu for vcpu in found if vcpu < self.narrows]
        small = destination & 0xFF
        after = [vcpu for mine, vcpu in self.x2_clusters.get(0, []) if mine & small]
        return before + [vcpu for vcpu in after + self._xapic_logical(small) if vcpu >= self.narrows]


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
