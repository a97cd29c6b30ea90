"""Where everything of the live map stands: arrangements of one scene, in CSS pixels at their nominal size.

*wide* runs from left to right (devices, routers, vIOMMUs, the wall of vLAPICs) and is `WIDE` pixels wide; *tall* and
*slim* run from top to bottom, for narrow windows and for a column beside a notebook; *compact* are like the wide one,
each for a box of one of the sizes of `BOXES`, height included, for a page that gives the map one. A renderer takes
the one that fits, scales it to the room it has and sets words at their own size. Every way runs in the open: curves
between columns, rails beside a table's cells, one spine beside the wall and one gutter below each row of tiles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log
from typing import Any

WIDE = 1120.0
"""Nominal width of the arrangement from left to right whose height is its own affair."""
SIDE = 4  #: slots along each side of a tile
CHIP = 8.0  #: side of a device's square
COLUMN = 64  #: devices in one column or row before the next is begun
LANE = 0.7  #: where ways cross a router's box, as a part of its height (flow right) or width (flow down)
HEAD = 46.0  #: room above everything for the columns' titles
UNNAMED = 1.2  #: side of a slot below which tiles have no names above them
FOOT = 34.0  #: room below routers and units for the 8259 pair, where ways run to the right
PAIR = (26.0, 58.0)  #: height of its box where ways run to the right, and width where they run down
LABEL = 14.0  #: height of the line above a tile that names its APIC IDs

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x, y of the top left corner, width, height


@dataclass(frozen=True)
class Frame:
    """The columns of an arrangement that runs to the right. width, height: of all; a wall may need more height.

    head: room for titles. chip: middle of the devices nearest to the routers. router, unit: x and width. spine: where
    the wall's ways begin; lead: from there to the first tile. smallest: side of a slot; before it gets less, the wall
    gets higher. label: height of the line above a tile. low: from a unit's box to the way past it.
    """

    width: float
    height: float
    head: float
    chip: float
    router: tuple[float, float]
    unit: tuple[float, float]
    spine: float
    lead: float
    smallest: float
    label: float
    low: float

    def shifted(self, slack: float) -> Frame:
        """With `slack` px that the wall does not need: first for the names of devices, then for the ways."""
        names = round(max(0.0, min(slack, 150.0)), 2)
        part = round(max(0.0, slack - names) / 3, 2)
        return replace(self, chip=self.chip + names, router=(self.router[0] + names + part, self.router[1]),
                       unit=(self.unit[0] + names + 2 * part, self.unit[1]), spine=self.spine + names + 3 * part)


_WIDE = Frame(WIDE, 540 + HEAD + 10, HEAD, 132, (200, 74), (326, 112), 458, 14, 2.9, LABEL, 38)
BOXES = (
    Frame(348, 262, 26, 62, (78, 50), (146, 62), 218, 8, 0.4, 12, 34),
    Frame(452, 272, 26, 62, (82, 58), (168, 76), 254, 9, 0.4, 12, 34),
    Frame(600, 208, 24, 84, (102, 58), (184, 92), 292, 9, 0.4, 12, 34),
    Frame(600, 276, 26, 96, (120, 58), (210, 92), 316, 10, 0.4, 12, 34),
    Frame(760, 320, 26, 112, (142, 64), (244, 104), 362, 10, 0.4, 12, 34),
    Frame(960, 380, 26, 132, (176, 70), (290, 112), 418, 12, 0.4, 12, 34),
)
"""The compact arrangements."""


@dataclass(frozen=True)
class Wall:
    """The tiles. columns of them; cell: side of a slot; gap: between slots; pitch: from tile to tile, x and y."""

    columns: int
    cell: float
    gap: float
    pitch: Point
    label: float = LABEL

    @property
    def tile(self) -> float:
        """Side of a tile."""
        return SIDE * self.cell + (SIDE - 1) * self.gap


def wall(tiles: int, width: float, height: float, largest: float, smallest: float, label: float = LABEL) -> Wall:
    """The columns that give `tiles` tiles the largest slots in a box; the height gives way before `smallest` does.

    There are 1, 2, 4, 8, 16, ... columns, so that a row holds APIC IDs from one round number to the next; 16 of them,
    which hold 256, where that makes slots little smaller. A wall of very small slots gives up the lines of names.
    """
    columns = [1 << power for power in range(max(1, tiles - 1).bit_length() + 1)]
    fitting = [_with_columns(each, width, largest, label, height / ceil(tiles / each)) for each in columns]
    best = max(fitting, key=lambda each: (each.cell * (1.25 if each.columns == 16 else 1), -each.columns))
    if best.cell < UNNAMED and label:
        return wall(tiles, width, height, largest, smallest, 0)
    if best.cell >= smallest:
        return best
    higher = [_with_columns(each, width, largest, label) for each in columns]
    return ([each for each in higher if each.cell >= smallest] or higher[:1])[-1]


def _with_columns(columns: int, width: float, largest: float, label: float, height: float = 1e9) -> Wall:
    """The wall of a number of columns in a width and in the height of a row, its slots at most `largest`."""
    room = width / columns
    gap = 0.0 if room < 12 else 0.5 if room < 20 else 1.0 if room < 36 else 2.0 if room < 90 else 3.0
    between = min(18.0, max(min(5.0, room * 0.2), room * 0.14))
    cell = min(largest, (min(room - between, height - label - gutter(between)) - (SIDE - 1) * gap) / SIDE)
    tile = SIDE * cell + (SIDE - 1) * gap
    return Wall(columns, round(cell, 3), gap,
                (round(tile + between, 3), round(tile + label + gutter(between), 3)), label)


def gutter(between: float) -> float:
    """Height of the free strip below a row of tiles, whose middle is the gutter."""
    return max(5.0, min(14.0, 1.4 * between))


def spread(count: int, low: float, high: float, widest: float) -> list[float]:
    """`count` places around the middle of low..high, at most `widest` apart."""
    if count < 2:
        return [(low + high) / 2] * count
    pitch = min(widest, (high - low) / (count - 1))
    start = (low + high - pitch * (count - 1)) / 2
    return [round(start + pitch * each, 2) for each in range(count)]


UNIT = 44.0  #: least height of a unit's box: its table's frame and strip, and a row of cells
BETWEEN = (22.0, 40.0)  #: room between two units' boxes, for the words above the lower one: least and usual
STRIP = 12.0  #: room in a unit's box for the strip that stands for the whole table


def field(box: Box, flow: str) -> Box:
    """The part of a unit's box that its table fills: rails run on both sides of it, along the flow."""
    x, y, w, h = box
    if flow == "right":
        return x + 12, y + 10, w - 24, h - 20 - STRIP
    return x + 10, y + 12, w - 20 - STRIP, h - 24


def strip(box: Box, flow: str) -> Box:
    """The strip beside it that stands for the whole table."""
    x, y, w, h = box
    return (x + 12, y + h - 6 - STRIP / 2, w - 24, STRIP / 2) if flow == "right" else (
        x + w - 6 - STRIP / 2, y + 12, STRIP / 2, h - 24)


def table(cells: int, box: Box) -> tuple[int, int]:
    """(columns, rows) of `cells` cells in a box: a power of two of columns, cells little wider than high."""
    if cells < 1:
        return 1, 1
    shapes = [(1 << power, ceil(cells / (1 << power))) for power in range(cells.bit_length())]
    return min(shapes, key=lambda each: abs(log(box[2] / each[0] / (box[3] / each[1]) / 1.3)))


def wide(devices: int, routers: int, cells: list[int], tiles: int, pic: bool = False) -> dict[str, Any]:
    """The arrangement from left to right. cells: for every unit the cells of its table (none: no unit).

    pic: whether the 8259 pair is in it. Its part, `pic`, is None or: `line`, where lines of the mainboard come from;
    `box`; `road`, the way of INTR from the box to the spine; `pin`, the way from the box to pin 0 of the I/O APIC.
    """
    return _across(_WIDE, devices, routers, cells, tiles, pic)


def compact(devices: int, routers: int, cells: list[int], tiles: int, pic: bool = False) -> list[dict[str, Any]]:
    """The arrangements for boxes, the smallest first."""
    return [_across(frame, devices, routers, cells, tiles, pic) for frame in BOXES]


def _across(f: Frame, devices: int, routers: int, cells: list[int], tiles: int, pic: bool) -> dict[str, Any]:
    width, room = f.width - f.spine - 2 * f.lead + 2, f.height - f.head - 10
    shape = wall(tiles, width, room, 84, f.smallest, f.label)
    f = f.shifted(width - min(tiles, shape.columns) * shape.pitch[0])
    left, rows = f.spine + f.lead, ceil(tiles / shape.columns)
    foot = FOOT if pic else 0.0
    height = max(room, rows * shape.pitch[1], len(cells) * (UNIT + BETWEEN[0]) + f.low + 32 + foot)
    upper, bottom = height - foot, f.head + height
    middle = f.head + upper / 2
    boxes = [(f.router[0], round(y - 18, 2), f.router[1], 36.0 if room < 400 else 48.0)
             for y in spread(routers, middle - upper / 4, middle + upper / 4, upper / 2)]
    tall = upper - f.low - 32
    most = max(460.0, len(cells) * (UNIT + BETWEEN[0]))
    units = _stack(len(cells), *f.unit, f.head, min(tall, most), f.head + 18 + tall / 2)
    low = round(max((box[1] + box[3] for box in units), default=middle) + f.low, 2)
    ports = [(x + w, y + h / 2) for x, y, w, h in units] or [(f.spine - 20, middle)]
    first = round(f.head + (height - rows * shape.pitch[1]) / 2, 2) if rows < 3 else f.head
    past = round((f.router[0] + f.router[1] + f.unit[0]) / 2, 2)
    return {
        "flow": "right", "size": [f.width, round(bottom + 10, 2)], "chips": _chips(devices, f, bottom - foot),
        "routers": boxes, "units": units, "tables": _tables(cells, units, "right"),
        "pic": _pair_below(f, bottom, boxes[0]) if pic else None,
        "trunks": [[port, (f.spine, port[1])] for port in ports],
        "bypass": [[(x + w, y + LANE * h), (past, y + LANE * h), (past, low), (f.spine, low)] for x, y, w, h in boxes],
        "spine": f.spine, **_wall(shape, tiles, left, first),
        "heads": {name: [x, f.head - 24 if f.head > 30 else 14] for name, x in
                  (("devices", 12), ("routers", f.router[0]), ("units", f.unit[0]), ("wall", left))},
    }


def _pair_below(f: Frame, bottom: float, ioapic: Box) -> dict[str, Any]:
    """The 8259 pair below the routers: its INTR passes the units by, straight to the spine."""
    x, y, w, h = f.router[0], round(bottom - PAIR[0], 2), f.router[1], PAIR[0]
    lane, beside, top = round(y + LANE * h, 2), x + w + 7, round(ioapic[1] + 0.25 * ioapic[3], 2)
    return {"line": (f.chip, lane), "box": (x, y, w, h), "road": [(x + w, lane), (f.spine, lane)],
            "pin": [(x + w, lane), (beside, lane), (beside, top), (x + w, top)]}


def _chips(devices: int, f: Frame, bottom: float) -> list[Point]:
    """The devices in a column, or in as many as they need, the first nearest to the routers."""
    most = min(COLUMN, int((bottom - f.head) / (CHIP + 0.5)))
    stacks = ceil(devices / most)
    half = (bottom - f.head) / max(1, ceil(devices / max(1, stacks))) / 2  # of the room that each has for its name
    ys = spread(ceil(devices / max(1, stacks)), f.head + half, bottom - half, 72)
    pitch = min(14.0, (f.chip - CHIP / 2) / max(1, stacks - 1))
    return [(round(f.chip - pitch * (each // len(ys)), 2), ys[each % len(ys)]) for each in range(devices)]


@dataclass(frozen=True)
class Tower:
    """The measures of an arrangement that runs from top to bottom. width: of all, which is as high as it needs.

    edge: from a side to the first device; row: devices beside one another. router: from a side to its middle, and its
    width. unit: from the left, and from the right. past: from the right to the way past the units. low: from the last
    unit to the spine.
    """

    width: float
    edge: float
    router: tuple[float, float]
    unit: tuple[float, float]
    past: float
    low: float
    row: int = COLUMN


TALL = Tower(480, 30, (110, 96), (36, 64), 26, 24)
SLIM = Tower(300, 34, (64, 104), (28, 36), 16, 46, row=COLUMN // 4)
"""Half as wide: what it is has a line of its own below a unit."""


def tall(devices: int, routers: int, cells: list[int], tiles: int, pic: bool = False, t: Tower = TALL
         ) -> dict[str, Any]:
    """The arrangement from top to bottom; pic as of `wide`."""
    shape = wall(tiles, t.width - 40, 420, 84, 4.0)
    left, many = t.edge + (40 if pic else 0), devices > 4 * t.row  # hundreds stand close: the rest shall be in sight
    usual = t.row * 3 // 4 if pic else t.row
    apart, row = (9, max(usual, int((t.width - t.edge - left) / 9) + 1)) if many else (14, usual)
    rows = ceil(devices / row)
    xs = spread(ceil(devices / max(1, rows)), left, t.width - t.edge, 60)
    chips = [(xs[each % len(xs)], HEAD + 12 + apart * (each // len(xs))) for each in range(devices)]
    y = HEAD + 50 + apart * max(0, rows - 1)
    boxes = [(round(x - t.router[1] / 2, 2), y, t.router[1], 34.0)
             for x in spread(routers, t.router[0], t.width - t.router[0], 200)]
    if pic:
        between = (t.width - PAIR[1] - routers * t.router[1]) / (routers + 2)
        boxes = [(round(PAIR[1] + between * (2 + each) + t.router[1] * each, 2), y, t.router[1], 34.0)
                 for each in range(routers)]
    units = [(t.unit[0], y + 84 + 150 * each, t.width - sum(t.unit), 120.0) for each in range(len(cells))]
    low = (units[-1][1] + units[-1][3] if units else y + 144 - t.low) + t.low
    spine, first, past = 14.0, low + 34, t.width - t.past
    ports = [(x + w / 2, y_ + h) for x, y_, w, h in units] or [(t.width / 2 - 14, low - 24)]
    bottom = first + ceil(tiles / shape.columns) * shape.pitch[1]
    return {
        "flow": "down", "size": [t.width, round(bottom + 10, 2)], "chips": chips, "routers": boxes, "units": units,
        "tables": _tables(cells, units, "down"),
        "trunks": [[port, (port[0], low), (spine, low)] for port in ports],
        "bypass": [[(x + LANE * w, y + h), (x + LANE * w, y + h + 14), (past, y + h + 14), (past, low),
                    (spine, low)] for x, _, w, h in boxes],
        "pic": _pair_beside(t, between, boxes[0], low) if pic else None,
        "spine": spine, **_wall(shape, tiles, spine + 14, first),
        "heads": {"devices": [12, 22], "routers": [12, y - 8], "units": [t.unit[0], y + 72], "wall": [28, first - 8]},
    }


def _pair_beside(t: Tower, left: float, ioapic: Box, low: float) -> dict[str, Any]:
    """The 8259 pair left of the routers: its INTR goes down left of the units, to where the spine begins."""
    x, (y, h), w, spine = round(left, 2), (ioapic[1], ioapic[3]), PAIR[1], 14.0
    lane, under, there = round(x + LANE * w, 2), y + h + 7, round(ioapic[0] + 0.25 * ioapic[2], 2)
    return {"line": (t.edge, HEAD + 12), "box": (x, y, w, h),
            "road": [(lane, y + h), (lane, y + h + 22), (spine, y + h + 22), (spine, low)],
            "pin": [(lane, y + h), (lane, under), (there, under), (there, y + h)]}


def slim(devices: int, routers: int, cells: list[int], tiles: int, pic: bool = False) -> dict[str, Any]:
    """The same for a column beside a notebook."""
    return tall(devices, routers, cells, tiles, pic, SLIM)


def _tables(cells: list[int], units: list[Box], flow: str) -> list[tuple[int, int]]:
    return [table(count, field(box, flow)) for count, box in zip(cells, units, strict=True)]


def _stack(count: int, x: float, width: float, top: float, height: float, middle: float) -> list[Box]:
    """Boxes one below the other around a middle, each at least `UNIT` high."""
    between = max(BETWEEN[0], min(BETWEEN[1], (height - UNIT * count) / max(1, count - 1)))
    each = max(UNIT, (height - between * (count - 1)) / max(1, count))
    start = max(top + 18, middle - height / 2)
    return [(x, round(start + (each + between) * number, 2), width, round(each, 2)) for number in range(count)]


def _wall(shape: Wall, tiles: int, left: float, top: float) -> dict[str, Any]:
    """Tiles by row. drop: from a tile's bottom to the gutter below it; side: from its left side to the way up."""
    places = [(round(left + each % shape.columns * shape.pitch[0], 2),
               round(top + shape.label + each // shape.columns * shape.pitch[1], 2)) for each in range(tiles)]
    drop = (shape.pitch[1] - shape.label - shape.tile) / 2
    return {"free": False, "tiles": places, "columns": shape.columns, "cell": shape.cell, "gap": shape.gap,
            "label": shape.label, "drop": round(drop, 2), "side": round((shape.pitch[0] - shape.tile) / 2, 2)}


def free(chips: list[Point], routers: list[Point], units: list[Point], slots: list[Point], tiles: int
         ) -> dict[str, Any]:
    """The arrangement of a caller's own layout (y upwards), stretched to the room there is; ways run straight."""
    size = (WIDE, 640.0)
    every = [*chips, *routers, *units, *slots]
    low = [min(point[axis] for point in every) for axis in (0, 1)]
    high = [max(point[axis] for point in every) for axis in (0, 1)]
    span = [(high[axis] - low[axis]) or 1.0 for axis in (0, 1)]

    def place(point: Point) -> Point:
        x, y = ((point[axis] - low[axis]) / span[axis] for axis in (0, 1))
        return round(60 + x * (size[0] - 120), 2), round(size[1] - 30 - y * (size[1] - 90), 2)

    cell = max(4.0, min(18.0, 300 / len(slots) ** 0.5))
    boxes = [[(x - w / 2, y - 15, w, 30.0) for x, y in map(place, points)]
             for points, w in ((routers, 74.0), (units, 84.0))]
    return {
        "flow": "right", "free": True, "size": list(size), "chips": [place(each) for each in chips],
        "routers": boxes[0], "units": boxes[1], "tables": [(1, 1)] * len(units), "pic": None,
        "slots": [place(each) for each in slots],
        "cell": round(cell, 2), "gap": 0.0, "label": 0.0, "tiles": [None] * tiles, "columns": 1, "spine": 0.0,
        "drop": 0.0, "side": 0.0, "trunks": [], "bypass": [], "heads": {}}
