"""A machine as a graph with positions, and the edges of it that an interrupt travels.

Nodes are the ints of `trace.node`: PCI functions, the vIOAPIC (one node for all pins), the vMSI, every unit that
exists, every vLAPIC. An edge is a way that an interrupt can take. Positions are computed here, from left to right:
functions, bridges, routers, units, then the wall of vLAPICs in tiles of 4 x 4. A tile is one x2APIC cluster of 16 APIC
IDs; slots whose ID nobody has stay empty. The unit of length is a slot; x grows to the right, y upwards. Positions
follow from functions, units, the number of vCPUs and the APIC IDs of power-on, so they stay while a guest runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, sqrt
from operator import itemgetter
from typing import Any, NamedTuple

from vsim.layouts.bits import bdf_text
from vsim.state.arrays import Machine
from vsim.state.pci_function import Function
from vsim.state.trace import Act, Drop, Event, Kind, node

SIDE = 4
"""Slots along one side of a tile."""
SLOTS = SIDE * SIDE
"""APIC IDs of an x2APIC cluster."""
PITCH = (SIDE + 1.0, SIDE + 2.0)
"""From one tile to the next, x and y: a gap between tiles, and room for the cluster's number above each."""
ASPECT = 1.25
"""Width of the wall by its height, about."""
LOWEST = 9.0
"""Least height of the picture, so that few vLAPICs leave room for the rest."""
COLUMN, ROUTERS, UNITS = 0.2, 0.5, 0.22
"""Parts of the height: from one column of functions to the next; from routers, and from units, to the wall."""
VIOAPIC, VMSI = node(Kind.VIOAPIC), node(Kind.VMSI)

Edge = tuple[int, int]
Point = tuple[float, float]


class Tile(NamedTuple):
    """One x2APIC cluster: its number, its lower left corner, and the vCPU of each slot, None where nobody has the ID.

    Slot n is APIC ID 16 * cluster + n; slots run from left to right, the first row is on top.
    """

    cluster: int
    x: float
    y: float
    slots: tuple[int | None, ...]

    def middle(self, slot: int) -> Point:
        """The middle of a slot."""
        return self.x + slot % SIDE + 0.5, self.y + SIDE - slot // SIDE - 0.5


class Plan(NamedTuple):
    """The measures of a picture: tiles in a row, rows of tiles, its height, where the wall begins, its width."""

    columns: int
    rows: int
    height: float
    left: float
    width: float


def plan(m: Machine) -> Plan:
    """The measures of a machine's picture."""
    number = len(_clusters(m))
    columns = max(1, round(sqrt(number * ASPECT * PITCH[1] / PITCH[0])))
    rows = ceil(number / columns)
    height = max(LOWEST, rows * PITCH[1], float(ceil(sqrt(2 * len(m.bus.functions)))))
    stacks = sum(ceil(len(_functions(m, bridges)) / int(height)) for bridges in (False, True))
    left = height * (COLUMN * max(1, stacks) + ROUTERS)
    return Plan(columns, rows, height, left, left + (min(columns, number) - 1) * PITCH[0] + SIDE)


def tiles(m: Machine) -> dict[int, Tile]:
    """The tiles of the wall by cluster number, in ascending order."""
    measures = plan(m)
    top = (measures.height + measures.rows * PITCH[1]) / 2
    out = {}
    for place, (cluster, slots) in enumerate(_clusters(m).items()):
        row, column = divmod(place, measures.columns)
        x, y = measures.left + column * PITCH[0], top - (row + 1) * PITCH[1]
        out[cluster] = Tile(cluster, x, y, tuple(slots))
    return out


def _clusters(m: Machine) -> dict[int, list[int | None]]:
    """The vCPUs by cluster and slot as after power-on: a guest may give one xAPIC ID to two of them."""
    found: dict[int, list[int | None]] = {}
    for vcpu, apic_id in sorted(enumerate(map(m.profile.options.apic_id, range(m.vcpus))), key=itemgetter(1)):
        found.setdefault(apic_id // SLOTS, [None] * SLOTS)[apic_id % SLOTS] = vcpu
    return found


def _functions(m: Machine, bridges: bool) -> list[Function]:
    """The bridges, or all other functions, by their ids."""
    return sorted((f for f in m.bus.functions if bool(f.bridge) is bridges), key=lambda f: f.bdf)


# --- the graph ---


def graph(m: Machine) -> Any:
    """The machine's graph, a `networkx.DiGraph`.

    Nodes have kind, number, label, x and y, and vLAPICs apic_id, cluster and slot.
    Edges have `way`: "message"; "line" from an INTx pin to the vIOAPIC; "bus" from a function to the bridge above it.
    Interrupts between processors go from vLAPIC to vLAPIC without an edge of the graph: there would be one for each
    pair. The graph itself has width and height.
    """
    import networkx as nx

    measures = plan(m)
    g = nx.DiGraph(width=measures.width, height=measures.height)
    _add_functions(g, m, measures)
    x = measures.left - ROUTERS * measures.height
    _add(g, Kind.VIOAPIC, 0, "vioapic", "vIOAPIC", (x, 0.7 * measures.height))
    _add(g, Kind.VMSI, 0, "vmsi", "vMSI", (x, 0.3 * measures.height))
    units = [unit for unit in range(m.units) if m.live(unit)]
    x = measures.left - UNITS * measures.height
    for unit, place in zip(units, _stack(len(units), x, measures.height), strict=True):
        _add(g, Kind.VIOMMU, unit, "viommu", f"vIOMMU {unit}", place)
    for tile in tiles(m).values():
        for slot, vcpu in enumerate(tile.slots):
            if vcpu is not None:
                _add(g, Kind.VLAPIC, vcpu, "vlapic", f"vLAPIC {vcpu}", tile.middle(slot), apic_id=m.apic_id[vcpu],
                     cluster=tile.cluster, slot=slot)
    _add_ways(g, m, units)
    return g


def _add(g: Any, kind: int, number: int, name: str, label: str, place: Point, **more: Any) -> None:
    g.add_node(node(kind, number), kind=name, number=number, label=label, x=place[0], y=place[1], **more)


def _add_functions(g: Any, m: Machine, measures: Plan) -> None:
    x = 0.0
    for name, bridges in (("device", False), ("bridge", True)):
        functions = _functions(m, bridges)
        for first in range(0, len(functions), int(measures.height)):
            column = functions[first:first + int(measures.height)]
            for f, place in zip(column, _stack(len(column), x, measures.height), strict=True):
                _add(g, Kind.DEVICE, f.bdf, name, f"{bdf_text(f.bdf)} {f.name}".rstrip(), place)
            x += COLUMN * measures.height


def _stack(number: int, x: float, height: float) -> Iterator[Point]:
    """Places one above the other, the first on top."""
    return ((x, height * (1 - (place + 0.5) / number)) for place in range(number))


def _add_ways(g: Any, m: Machine, units: Sequence[int]) -> None:
    for f in m.bus.functions:
        here = node(Kind.DEVICE, f.bdf)
        if f.msi_count or f.msix_count or not f.bridge:
            g.add_edge(here, VMSI, way="message")
        if m.bus.gsi(f.bdf) >= 0:
            g.add_edge(here, VIOAPIC, way="line")
        for above in m.bus.bridges_above(f.bdf)[:1]:
            g.add_edge(here, node(Kind.DEVICE, above.bdf), way="bus")
    last = [node(Kind.VIOMMU, unit) for unit in units]
    g.add_edges_from(((router, unit) for router in (VIOAPIC, VMSI) for unit in last), way="message")
    if _some_without_unit(m):
        g.add_edge(VIOAPIC, VMSI, way="message")
        last.append(VMSI)
    g.add_edges_from(((end, node(Kind.VLAPIC, vcpu)) for end in last for vcpu in range(m.vcpus)), way="message")


def _some_without_unit(m: Machine) -> bool:
    requesters = [*(each.sid for each in m.profile.options.ioapics), *(m.bus.requester(f.bdf) for f in m.bus.functions)]
    return any(m.unit_of(requester) < 0 for requester in requesters)


# --- what travels on it ---


def edge_of(event: Event, at: int = 0) -> Edge | None:
    """The edge that an event travels; None when nothing moves. at: the node that its interrupt has reached, 0 for none.

    A device that is no function of the machine sends from a node that the graph does not have.
    """
    kind = event.node >> 24
    if event.act == Act.SENT:
        return (event.node, VMSI) if kind == Kind.DEVICE else None
    lost = event.act == Act.DROPPED and event.index in (Drop.NOBODY, Drop.MODE, Drop.NOT_INTERRUPT)
    if not at or event.node == at or lost or kind not in (Kind.VMSI, Kind.VIOMMU, Kind.VLAPIC):
        return None
    return at, event.node


def way(events: Iterable[Event], serial: int) -> list[Edge]:
    """The edges that an interrupt travelled, in order: to several vLAPICs one edge each, and on to a fault event's."""
    at, out = 0, []
    for event in events:
        if event.serial != serial:
            continue
        edge = edge_of(event, at)
        if edge is not None:
            out.append(edge)
        at = _reached(event, edge, at)
    return out


def _reached(event: Event, edge: Edge | None, at: int) -> int:
    """Where an interrupt is after an event; from its last stop before the vLAPICs it may go to several of them."""
    if event.act == Act.SENT:
        return VIOAPIC if event.node >> 24 == Kind.VIOAPIC else edge[1] if edge else event.node
    return edge[1] if edge and edge[1] >> 24 != Kind.VLAPIC else at
