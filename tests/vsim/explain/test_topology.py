"""The graph has what the machine has, nothing lies over anything else, and interrupts travel along its edges."""

from itertools import combinations, pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from vsim.explain.topology import VIOAPIC, VMSI, edge_of, graph, tiles, way
from vsim.layouts.formats import msi_message
from vsim.machine import run, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Event, Kind, node, node_text

NIC, DISK, CARD = (node(Kind.DEVICE, bdf) for bdf in (scenes.NIC, scenes.DISK, scenes.CARD))
BRIDGE, UNIT = node(Kind.DEVICE, scenes.BRIDGE), node(Kind.VIOMMU, 0)
SIZES = (1, 8, 288, 512, 1024, 4096)


def apic(vcpu):
    return node(Kind.VLAPIC, vcpu)


def with_unit(vcpus=8, **options):
    m = scenes.machine(vcpus, **options)
    run(m, scenes.unit())
    return m


def with_functions(number, vcpus=8):
    return Machine(profile("spec"), vcpus, 1 << 20, Bus(Function(bdf, msix_count=1) for bdf in range(number)))


def kinds(g):
    return [name for _, name in sorted(g.nodes(data="kind"))]


# --- what there is ---


def test_the_graph_holds_every_part_of_the_machine_once():
    g = graph(with_unit(3))
    assert kinds(g) == ["device", "bridge", "device", "device", "vioapic", "vmsi", "viommu", *["vlapic"] * 3]
    assert {key for key, kind in g.nodes(data="kind") if kind != "bridge"} == {
        NIC, DISK, CARD, VIOAPIC, VMSI, UNIT, apic(0), apic(1), apic(2)}
    assert g.nodes[NIC]["label"] == "03:00.0 nic"
    assert g.nodes[apic(2)] | {"x": 0, "y": 0} == {"kind": "vlapic", "number": 2, "label": node_text(apic(2)), "x": 0,
                                                   "y": 0, "apic_id": 4, "cluster": 0, "slot": 4}


def test_the_ways_lead_from_every_function_to_every_vlapic():
    g = graph(with_unit())
    ways = nx.get_edge_attributes(g, "way")
    assert {edge for edge, name in ways.items() if name == "line"} == {(DISK, VIOAPIC)}
    assert {edge for edge, name in ways.items() if name == "bus"} == {(CARD, BRIDGE)}
    assert {edge for edge, name in ways.items() if name == "message"} == {
        (NIC, VMSI), (DISK, VMSI), (CARD, VMSI), (VMSI, UNIT), (VIOAPIC, UNIT), *((UNIT, apic(v)) for v in range(8))}


def test_without_a_unit_the_vmsi_delivers():
    g = graph(scenes.machine())
    assert UNIT not in g
    assert set(g.successors(VMSI)) == {apic(v) for v in range(8)}
    assert list(g.successors(VIOAPIC)) == [VMSI]


def test_functions_outside_every_unit_s_scope_pass_it_by():
    m = with_unit()
    m.scope[scenes.NIC] = 5
    assert apic(7) in graph(m)[VMSI]


def test_a_unit_that_was_destroyed_is_gone():
    m = with_unit()
    m.latch[:] = type(m.latch)("Q", [0] * len(m.latch))
    assert UNIT not in graph(m)


# --- where it is ---


@pytest.mark.parametrize("vcpus", SIZES)
@pytest.mark.parametrize("step_", [1, 2])
def test_every_vlapic_is_in_the_slot_of_its_apic_id(vcpus, step_):
    m = scenes.machine(vcpus, apic_id_step=step_)
    wall = tiles(m)
    assert list(wall) == sorted({m.apic_id[vcpu] >> 4 for vcpu in range(vcpus)})
    found = {16 * cluster + slot: vcpu for cluster, tile in wall.items() for slot, vcpu in enumerate(tile.slots)}
    assert {apic_id: vcpu for apic_id, vcpu in found.items() if vcpu is not None} == {
        m.apic_id[vcpu]: vcpu for vcpu in range(vcpus)}
    g = graph(m)
    for tile in wall.values():
        for slot, vcpu in enumerate(tile.slots):
            if vcpu is not None:
                assert (g.nodes[apic(vcpu)]["x"], g.nodes[apic(vcpu)]["y"]) == tile.middle(slot)


def test_apic_ids_of_a_real_machine_are_on_tiles_in_the_order_of_their_clusters():
    m = Machine(profile("spec").with_options(apic_ids=(300, 8, 0x10005, 9)), 4)
    assert {cluster: {slot: vcpu for slot, vcpu in enumerate(tile.slots) if vcpu is not None}
            for cluster, tile in tiles(m).items()} == {0: {8: 1, 9: 3}, 18: {12: 0}, 0x1000: {5: 2}}
    assert list(tiles(m)) == [0, 18, 0x1000]


def test_with_xen_s_ids_288_vcpus_are_36_half_empty_tiles():
    wall = tiles(scenes.machine(288))
    assert len(wall) == 36
    assert {sum(vcpu is not None for vcpu in tile.slots) for tile in wall.values()} == {8}
    assert wall[35].slots[14] == 287


def test_slots_run_from_left_to_right_and_the_first_row_is_on_top():
    tile = tiles(scenes.machine(16, apic_id_step=1))[0]
    assert [tile.middle(slot)[0] - tile.x for slot in (0, 1, 3)] == [0.5, 1.5, 3.5]
    assert [tile.middle(slot)[1] - tile.y for slot in (0, 4, 12)] == [3.5, 2.5, 0.5]


def places(g):
    return [(data["x"], data["y"]) for _, data in g.nodes(data=True)]


@pytest.mark.parametrize("m", [*map(with_unit, SIZES), *(with_functions(n) for n in (0, 1, 30, 300)),
                               with_functions(200, 4096)], ids=lambda m: f"{m.vcpus}-{len(m.bus.functions)}")
def test_nothing_overlaps_and_the_picture_has_a_sensible_shape(m):
    g = graph(m)
    width, height = g.graph["width"], g.graph["height"]
    assert 1 <= width / height <= 4
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places(g))
    cells = {}
    for x, y in places(g):
        cells.setdefault((int(x), int(y)), []).append((x, y))
    near = [(a, b) for (i, j), here in cells.items() for a, b in combinations(
        [p for di in (0, 1) for dj in (-1, 0, 1) for p in cells.get((i + di, j + dj), [])], 2)
        if abs(a[0] - b[0]) < 0.99 and abs(a[1] - b[1]) < 0.99 and here]
    assert near == []


@pytest.mark.parametrize("vcpus", SIZES)
def test_columns_stand_from_left_to_right(vcpus):
    g = graph(with_unit(vcpus))
    order = ("device", "bridge", "vioapic", "viommu", "vlapic")
    spans = [[data["x"] for _, data in g.nodes(data=True) if data["kind"] == kind] for kind in order]
    assert all(max(one) < min(two) for one, two in pairwise(spans))
    assert g.nodes[VMSI]["x"] == g.nodes[VIOAPIC]["x"]


def test_tiles_do_not_overlap_and_fit_the_picture():
    for vcpus in SIZES:
        m = with_unit(vcpus)
        g, corners = graph(m), sorted((tile.y, tile.x) for tile in tiles(m).values())
        assert all(b[0] - a[0] >= 5.99 or b[1] - a[1] >= 4.99 for a, b in pairwise(corners))
        assert all(y >= 0 and y + 4 <= g.graph["height"] and x + 4 <= g.graph["width"] for y, x in corners)


def test_positions_stay_while_a_guest_runs():
    m = with_unit(8)
    before = graph(m)
    run(m, [c.ApicWrite(3, 0x20, 0), scenes.entry(1, vector=0x41, dst=2), scenes.msi(1)])
    after = graph(m)
    assert places(after) == places(before)
    assert (after.nodes[apic(3)]["apic_id"], before.nodes[apic(3)]["apic_id"]) == (0, 6)


def test_the_same_machine_gives_the_same_graph():
    one, two = graph(with_unit(288)), graph(with_unit(288))
    assert list(one.nodes(data=True)) == list(two.nodes(data=True))
    assert list(one.edges(data=True)) == list(two.edges(data=True))


# --- what travels ---

READY = [*scenes.apics(0, 1, 2, 3), *scenes.unit(), scenes.entry(1, vector=0x41, dst=2)]
PIN = scenes.pin(16, 0x8041, 3 << 16)


@pytest.mark.parametrize("commands, expected", [
    ([*READY, scenes.msi(1)], [(NIC, VMSI), (VMSI, UNIT), (UNIT, apic(1))]),
    ([*READY, scenes.msi(1, 0x0808)], [(node(Kind.DEVICE, 0x0808), VMSI), (VMSI, UNIT), (UNIT, apic(1))]),
    ([*READY, *PIN, c.Pin(16, 1)], [(VIOAPIC, UNIT), (UNIT, apic(1))]),
    ([*READY, scenes.msi(2)], [(NIC, VMSI), (VMSI, UNIT), (UNIT, apic(0))]),
    ([*READY, scenes.register("FECTL", 1 << 31), scenes.msi(2)], [(NIC, VMSI), (VMSI, UNIT)]),
    ([*READY, scenes.entry(1, vector=0x41, dst=99), scenes.msi(1)], [(NIC, VMSI), (VMSI, UNIT)]),
    ([*READY, scenes.entry(1, vector=0x41, dst=3, dm=1), scenes.msi(1)], [
        (NIC, VMSI), (VMSI, UNIT), (UNIT, apic(0))]),
    ([*READY, scenes.entry(1, vector=0x41, dst=5, dm=1), scenes.msi(1)], [
        (NIC, VMSI), (VMSI, UNIT), (UNIT, apic(0)), (UNIT, apic(1))]),
    ([*scenes.apics(1), c.Msi(scenes.NIC, *msi_message(2, 0x41))], [(NIC, VMSI), (VMSI, apic(1))]),
    ([*scenes.apics(0), *scenes.pin(16, 0x41, 0), c.Pin(16, 1)], [(VIOAPIC, VMSI), (VMSI, apic(0))]),
    ([*scenes.apics(1, 2), c.Msr(1, 0x830, 4 << 32 | 0x55)], [(apic(1), apic(2))]),
    ([*scenes.apics(1, 2, 3), c.Msr(1, 0x830, 3 << 18 | 0x55)], [(apic(1), apic(2)), (apic(1), apic(3))]),
    ([*scenes.apics(1), c.Msr(1, 0x83F, 0x55)], []),
    ([c.Msi(scenes.NIC, 0x1000, 1)], [(NIC, VMSI)]),
    ([c.Signal(scenes.NIC, 0)], [])])
def test_an_interrupt_travels(commands, expected):
    m = scenes.machine()
    events = run(m, commands)
    assert way(events, m.serials) == expected


@given(st.lists(scenes.commands(), max_size=25))
def test_ways_of_the_machine_s_own_functions_are_edges_of_the_graph(commands):
    m = scenes.machine()
    run(m, READY)
    edges = set(graph(m).edges)
    for command in commands:
        events = step(m, command)
        for serial in {event.serial for event in events} - {0}:
            trip = way(events, serial)
            if trip and trip[0][0] in (NIC, DISK, CARD, VIOAPIC):
                assert set(trip) <= edges
            assert all(one[0] in (two[0], two[1]) or one[1] == two[0] for one, two in pairwise(trip))


def test_an_event_without_a_way_travels_no_edge():
    assert edge_of(Event(1, 1, UNIT, Act.FETCHED, 0, 0, 0, 0)) is None
    assert edge_of(Event(1, 1, UNIT, Act.FETCHED, 0, 0, 0, 0), VIOAPIC) == (VIOAPIC, UNIT)
    assert edge_of(Event(1, 0, node(Kind.RAM), Act.READ, 0, 0, 0, 0), UNIT) is None
    assert way([], 1) == []
