"""The picture of a machine as data: what there is, where it stands, which ways lead from place to place.

A *scene* is a JSON-able dict that the canvas map, the matplotlib still and the text form all draw:

- `title`: domain, profile; `reasons`: fault reasons in words; `masked`: why nothing was sent, in words;
  `vlapics`: their number; `ids`: APIC ID by vCPU; `reach`: the largest APIC ID that a device's interrupt can name, and
  what larger ones are.
- `devices`: rows [requester id, name, GSI or -1, unit or -1, messages]; `routers`: names; `units`: rows [entries of the
  table, entries that one cell stands for, cells, first entry] of the part that is used (`table.window`).
- `pic`: whether the pair of 8259 is in the picture; it is where some of its inputs are unmasked (`vpic.in_use`).
- `tiles`: rows [cluster, then 16 slots: the vCPU whose APIC ID is 16 * cluster + slot, or -1].
- `assumed`: what no dump says of a place (as tokens number them: devices, routers, units, vLAPICs), in words.
- `wide`, `tall`, `compact`: arrangements (`arrange`), of the last one for each size of box; with a layout of the
  caller's they are all the same `free` one.

`entry`, `slots` and `way` say the geometry that follows from it; `js/units.js`, `wall.js` and `ways.js` say the
same for the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vsim.devices import vpic
from vsim.explain import topology
from vsim.explain.sentences import MASKED
from vsim.findings.assumed import Assumed
from vsim.layouts.formats import REASON_TEXT
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.trace import Kind, node, node_text
from widgets.map import arrange, table
from widgets.map.arrange import LANE, SIDE, Box, Point, field, strip
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token

Scene = dict[str, Any]
Arrangement = dict[str, Any]
VERSION = 1
SHAPES = ("wide", "tall", "slim")
"""The arrangements whose height is their own affair."""
SLOTS = topology.SLOTS
ROUTERS = ("vIOAPIC", "vMSI")
RAIL = 6.0  #: from the border of a unit's box to the rails beside its table
WORDED = 20.0  #: side of a slot from which on words stand in it
CURVE = 10  #: straight pieces of a curve between columns


def scene(m: Machine, name: str = "", layout: Mapping[int, Sequence[float]] | None = None,
          assumed: Assumed | None = None) -> Scene:
    """The scene of a machine. name: of its domain. assumed: what no dump says of it, where it is made from one.

    layout: a position for every node of `topology.graph(m)`, y upwards, as networkx's layouts give them; by default
    everything stands as in `arrange`. ValueError for a layout that leaves a node out.
    """
    devices = [_device(m, function) for function in senders(m.bus)]
    units = [_table(m, unit) for unit in range(m.units)]
    tiles = clusters(m)
    ids = {vcpu: SLOTS * row[0] + slot for row in tiles for slot, vcpu in enumerate(row[1:]) if vcpu >= 0}
    out: Scene = {
        "version": VERSION, "title": [name or "no name", m.profile.name], "vlapics": m.vcpus,
        "reasons": {str(int(reason)): text for reason, text in REASON_TEXT.items()},
        "masked": {str(int(why)): text for why, text in MASKED.items()},
        "ids": [ids[vcpu] for vcpu in range(m.vcpus)], "reach": list(table.reach(m)),
        "devices": devices, "routers": list(ROUTERS), "units": units, "tiles": tiles,
        "pic": layout is None and vpic.in_use(m)}
    out["assumed"] = _assumed(m, out, assumed) if assumed else {}
    if layout is not None:
        nodes = [[node(Kind.DEVICE, row[0]) for row in devices], [topology.VIOAPIC, topology.VMSI],
                 [node(Kind.VIOMMU, unit) for unit in range(m.units)],
                 [node(Kind.VLAPIC, vcpu) for vcpu in range(m.vcpus)]]
        chips, routers, boxes, slots_ = ([_position(layout, each) for each in group] for group in nodes)
        free = arrange.free(chips, routers, boxes, slots_, len(tiles))
        return out | dict.fromkeys(SHAPES, free) | {"compact": [free]}
    counts = (len(devices), len(ROUTERS), [unit[2] for unit in units], len(tiles), out["pic"])
    shapes = {"wide": arrange.wide(*counts), "tall": arrange.tall(*counts), "slim": arrange.slim(*counts)}
    return out | shapes | {"compact": arrange.compact(*counts)}


def _assumed(m: Machine, drawn: Scene, assumed: Assumed) -> dict[str, str]:
    """Words by place. The I/O APICs are drawn as one: what is assumed of the others is told with their first pins."""
    places = Places(drawn)
    pins = [node(Kind.VIOAPIC, each.first) for each in m.profile.options.ioapics]
    of = {place: [node(Kind.DEVICE, row[0])] for place, row in enumerate(drawn["devices"])} | {places.ioapic: pins}
    of |= {places.unit + unit: [node(Kind.VIOMMU, unit)] for unit in range(m.units)}
    of |= {places.vlapic + vcpu: [node(Kind.VLAPIC, vcpu)] for vcpu in range(m.vcpus)}
    said = {place: [each for each in nodes if assumed.of(each)] for place, nodes in of.items()}
    return {str(place): assumed.words(nodes[0]) if len(of[place]) == 1 else
            "; ".join(f"{assumed.named([each])} {assumed.words(each)}" for each in nodes)
            for place, nodes in said.items() if nodes}


def _position(layout: Mapping[int, Sequence[float]], each: int) -> Point:
    if each not in layout:
        raise ValueError(f"the layout has no position for {node_text(each)}; it needs one for every node of the graph")
    return float(layout[each][0]), float(layout[each][1])


def senders(bus: Bus) -> list[Function]:
    """The functions that can raise an interrupt, in the order of their ids; bridges without one are ways, not ends."""
    able = [f for f in bus.functions if f.msi_count or f.msix_count or f.pin or not f.bridge]
    return sorted(able, key=lambda f: f.bdf)


def clusters(m: Machine) -> list[list[int]]:
    """A row for each x2APIC cluster that has a member: its number, then the vCPU of each of its 16 slots or -1."""
    return [[tile.cluster, *(-1 if vcpu is None else vcpu for vcpu in tile.slots)]
            for tile in topology.tiles(m).values()]


def _device(m: Machine, f: Function) -> list[Any]:
    return [f.bdf, f.name, m.bus.gsi(f.bdf), m.unit_of(m.bus.requester(f.bdf)), f.msix_count or f.msi_count]


def _table(m: Machine, unit: int) -> list[int]:
    """Entries of a unit's table (0: none latched, -1: no such unit), and the window on them."""
    entries = table.size(m, unit)
    return [entries, *table.window(table.used(m, unit), entries)]


# --- the geometry that follows ---


def entry(where: Arrangement, unit: int, cell: int) -> Box:
    """The box of a cell of a unit's table."""
    x, y, wide, high = field(where["units"][unit], where["flow"])
    columns, rows = where["tables"][unit]
    w, h = wide / columns, high / rows
    return x + cell % columns * w, y + cell // columns * h, w, h


def cell_of(scene: Scene, unit: int, index: int) -> int:
    """The cell in which an entry is shown; -1 when the window does not show it."""
    _, each, cells, first = scene["units"][unit]
    cell = (index - first) // each
    return cell if 0 <= cell < cells else -1


def entry_at(scene: Scene, where: Arrangement, unit: int, index: int) -> Point:
    """Where an entry is: the middle of its cell, or its place on the strip of the whole table."""
    cell = cell_of(scene, unit, index)
    if cell >= 0:
        return middle(entry(where, unit, cell))
    x, y, w, h = strip(where["units"][unit], where["flow"])
    part = min(1.0, index / max(1, scene["units"][unit][0]))
    return (x + part * w, y + h / 2) if where["flow"] == "right" else (x + w / 2, y + part * h)


def slots(scene: Scene, where: Arrangement) -> dict[int, Box]:
    """vCPU -> the box of its slot."""
    out: dict[int, Box] = {}
    cell, pitch = where["cell"], where["cell"] + where["gap"]
    if where["free"]:
        return {vcpu: (x - cell / 2, y - cell / 2, cell, cell) for vcpu, (x, y) in enumerate(where["slots"])}
    for row, (x, y) in zip(scene["tiles"], where["tiles"], strict=True):
        for slot, vcpu in enumerate(row[1:]):
            if vcpu >= 0:
                out[vcpu] = (x + slot % SIDE * pitch, y + slot // SIDE * pitch, cell, cell)
    return out


def tile_of(scene: Scene, vcpu: int) -> tuple[int, int]:
    """(tile, slot) of a vCPU. KeyError when there is none."""
    for number, row in enumerate(scene["tiles"]):
        if row[0] == scene["ids"][vcpu] // SLOTS:
            return number, scene["ids"][vcpu] % SLOTS
    raise KeyError(vcpu)


def way(scene: Scene, where: Arrangement, token: Token) -> list[Point]:
    """The polyline of one interrupt from its sender to its end, in the arrangement's coordinates."""
    places, kind = Places(scene), token.outcome & 7
    if where["free"]:
        return _straight(where, places, token)
    if kind == Outcome.SPURIOUS or (kind == Outcome.DIRECT and token.src == token.dst and token.outcome & Flag.PIN):
        return _to_slot(scene, where, places, token.dst)[-1:]
    if token.src == places.pic and (kind == Outcome.DIRECT or not token.outcome & Flag.PIN):
        return _by_pair(where, token) + _to_slot(scene, where, places, token.dst)
    start = _start(scene, where, places, token)
    if kind == Outcome.DIRECT:
        return (start or [where["trunks"][0][0]]) + _to_slot(scene, where, places, token.dst)
    router = places.ioapic if token.outcome & Flag.PIN else places.vmsi
    inlet, outlet = ports(where["routers"][router - len(scene["devices"])], where["flow"], LANE)
    if kind == Outcome.MASKED:
        return curve(start[0], inlet, where["flow"]) if start else [inlet]
    points = [*curve(start[0], inlet, where["flow"]), outlet] if start else [outlet]
    stopped = ends_at_unit(token)
    if scene["units"] and (stopped or not token.outcome & Flag.NO_ENTRY):
        points += _through_table(scene, where, outlet, token)
        if stopped:
            return points
        points += where["trunks"][unit_of(scene, token)]
    else:
        points += where["bypass"][router - len(scene["devices"])][1:]
    return points + _to_slot(scene, where, places, token.dst)


def _by_pair(where: Arrangement, token: Token) -> list[Point]:
    """From the mainboard to the 8259 pair; if it asks, on by INTR, or by pin 0 of the I/O APIC, to the spine."""
    past = where["bypass"][0]
    if where["pic"] is None:
        return past[-1:] if token.outcome & 7 == Outcome.DIRECT else past[:1]
    inlet, line = ports(where["pic"]["box"], where["flow"], LANE)[0], where["pic"]["line"]
    points = curve(line, inlet, where["flow"])
    if token.outcome & 7 == Outcome.DIRECT:
        points += [*where["pic"]["pin"], *past] if token.outcome & Flag.PIN else where["pic"]["road"]
    return points


def _straight(where: Arrangement, places: Places, token: Token) -> list[Point]:
    """The way in a free arrangement: from middle to middle."""
    start = [token.src] if token.src < places.ioapic or places.unit <= token.src < places.pic else []
    direct = token.outcome & 7 == Outcome.DIRECT
    router = [] if direct else [places.ioapic if token.outcome & Flag.PIN else places.vmsi]
    ends = token.outcome & 7 in (Outcome.DIRECT, Outcome.MASKED)
    unit = [] if ends or not where["units"] else [places.unit]
    end = [] if token.dst == NOBODY else [token.dst]
    middles = [*where["chips"], *(middle(box) for box in (*where["routers"], *where["units"])), *where["slots"]]
    return [middles[place] for place in [*start, *router, *unit, *end]] or [middles[places.vmsi]]


def middle(box: Box) -> Point:
    """The middle of a box."""
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def ends_at_unit(token: Token) -> bool:
    """Whether an interrupt goes no further than its unit."""
    kind = token.outcome & 7
    return kind == Outcome.BLOCKED or (kind == Outcome.LOST and not token.outcome & Flag.PAST)


def unit_of(scene: Scene, token: Token) -> int:
    """The unit that an interrupt goes through: its sender's, else the first."""
    return max(0, scene["devices"][token.src][3]) if token.src < len(scene["devices"]) else 0


def ports(box: Box, flow: str, lane: float = 0.5) -> tuple[Point, Point]:
    """Where ways enter and leave a box: on its two sides along the flow."""
    x, y, w, h = box
    if flow == "right":
        return (x, y + lane * h), (x + w, y + lane * h)
    return (x + lane * w, y), (x + lane * w, y + h)


def curve(start: Point, end: Point, flow: str) -> list[Point]:
    """The cubic curve that leaves and arrives along the flow, in `CURVE` straight pieces."""
    (x, y), (wide, high) = start, (end[0] - start[0], end[1] - start[1])
    steps = [step / CURVE for step in range(CURVE + 1)]
    pairs = [(1.5 * t * (1 - t) + t ** 3, t * t * (3 - 2 * t)) for t in steps]  # along the flow, across it
    if flow == "down":
        pairs = [(across, along) for along, across in pairs]
    return [(x + wide * a, y + high * b) for a, b in pairs]


def _start(scene: Scene, where: Arrangement, places: Places, token: Token) -> list[Point]:
    """From where an interrupt comes: a device's square, a unit's outlet, a vLAPIC's slot and its way to the spine."""
    if token.src == places.pic:
        return [where["pic"]["line"]] if where["pic"] else []
    if token.src >= places.vlapic:
        return _to_slot(scene, where, places, token.src)[::-1]
    if token.src >= places.unit:
        return [*where["trunks"][token.src - places.unit]]
    return [where["chips"][token.src]] if token.src < places.ioapic else []


def _through_table(scene: Scene, where: Arrangement, outlet: Point, token: Token) -> list[Point]:
    """From a router's outlet along the rails to the entry's cell and, unless blocked there, to the unit's outlet."""
    unit = unit_of(scene, token)
    flow, box = where["flow"], where["units"][unit]
    inlet, out = ports(box, flow)
    x, y = entry_at(scene, where, unit, token.irte)
    rails = [(inlet[0] + RAIL, inlet[1]), (inlet[0] + RAIL, y), (x, y), (out[0] - RAIL, y), (out[0] - RAIL, out[1])]
    if flow == "down":
        rails = [(inlet[0], inlet[1] + RAIL), (x, inlet[1] + RAIL), (x, y), (x, out[1] - RAIL),
                 (out[0], out[1] - RAIL)]
    if ends_at_unit(token):
        rails = rails[:1] if token.outcome & Flag.NO_ENTRY else rails[:3]
    return [*curve(outlet, inlet, flow), *rails]


def _to_slot(scene: Scene, where: Arrangement, places: Places, place: int) -> list[Point]:
    """From the spine along the gutter below the tile and up its left side into the slot; nowhere for nobody."""
    if place == NOBODY:
        return []
    tile, slot = tile_of(scene, place - places.vlapic)
    x, y = where["tiles"][tile]
    cell, gap = where["cell"], where["gap"]
    low = y + SIDE * cell + (SIDE - 1) * gap + where["drop"]
    left, lane = x - where["side"], y + slot // SIDE * (cell + gap) + lane_of(cell)
    return [(where["spine"], low), (left, low), (left, lane), (x + slot % SIDE * (cell + gap) + cell / 2, lane)]


def lane_of(cell: float) -> float:
    """How far below the top of a slot ways run and end: in its middle, or below the words of one that has some."""
    return cell * (0.88 if cell >= WORDED else 0.5)
