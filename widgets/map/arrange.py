"""Where everything of the live map stands: two arrangements of one scene, in CSS pixels at their nominal width.

*wide* runs from left to right (devices, routers, vIOMMUs, the wall of vLAPICs) and is `WIDE` pixels wide; *tall*
runs from top to bottom, for narrow windows, and is `TALL` wide. A renderer scales an arrangement to the width it
has and sets words at their own size. Every way runs in the open: curves between columns, rails beside a table's
cells, one spine beside the wall and one gutter below each row of tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

WIDE, TALL = 1120.0, 480.0
"""Nominal widths of the two arrangements."""
SIDE = 4  #: slots along each side of a tile
CHIP = 8.0  #: side of a device's square
COLUMN = 64  #: devices in one column or row before the next is begun
LANE = 0.7  #: where ways cross a router's box, as a part of its height (flow right) or width (flow down)
HEAD = 46.0  #: room above everything for the columns' titles

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x, y of the top left corner, width, height


@dataclass(frozen=True)
class Wall:
    """The tiles. columns of them; cell: side of a slot; gap: between slots; pitch: from tile to tile, x and y."""

    columns: int
    cell: float
    gap: float
    pitch: Point

    @property
    def tile(self) -> float:
        """Side of a tile."""
        return SIDE * self.cell + (SIDE - 1) * self.gap


def wall(tiles: int, width: float, height: float, largest: float, smallest: float) -> Wall:
    """The columns that give `tiles` tiles the largest slots in a box; the height gives way before `smallest` does."""
    shapes = [_with_columns(columns, width, largest) for columns in range(1, max(1, tiles) + 1)]
    fitting = [each for each in shapes if ceil(tiles / each.columns) * each.pitch[1] <= height]
    readable = [each for each in shapes if each.cell >= smallest] or shapes[:1]
    best = max(fitting, key=lambda each: (each.cell, each.columns), default=readable[-1])
    return best if best.cell >= smallest else readable[-1]


def _with_columns(columns: int, width: float, largest: float) -> Wall:
    """The wall of a number of columns that fills a width, its slots at most `largest`."""
    room = width / columns
    gap = 1.0 if room < 36 else 2.0 if room < 90 else 3.0
    between = max(5.0, min(18.0, room * 0.14))
    cell = min(largest, (room - between - (SIDE - 1) * gap) / SIDE)
    tile = SIDE * cell + (SIDE - 1) * gap
    return Wall(columns, round(cell, 3), gap, (round(tile + between, 3), round(tile + LABEL + gutter(between), 3)))


LABEL = 14.0  #: height of the line above a tile that names its cluster


def gutter(between: float) -> float:
    """Height of the free strip below a row of tiles, whose middle is the gutter."""
    return max(7.0, min(14.0, between))


def spread(count: int, low: float, high: float, widest: float) -> list[float]:
    """`count` places around the middle of low..high, at most `widest` apart."""
    if count < 2:
        return [(low + high) / 2] * count
    pitch = min(widest, (high - low) / (count - 1))
    start = (low + high - pitch * (count - 1)) / 2
    return [round(start + pitch * each, 2) for each in range(count)]


def table(cells: int, along: int) -> tuple[int, int]:
    """(columns, rows) of a table of `cells` cells, `along` of them in a row."""
    columns = max(1, min(along, cells))
    return columns, max(1, ceil(cells / columns))


def wide(devices: int, routers: int, cells: list[int], tiles: int) -> dict[str, Any]:
    """The arrangement from left to right. cells: for every unit the cells of its table (none: no unit)."""
    shape = wall(tiles, WIDE - 484, 540, 84, 3.4)
    height = max(540.0, ceil(tiles / shape.columns) * shape.pitch[1])
    middle, bottom = HEAD + height / 2, HEAD + height
    stacks = ceil(devices / COLUMN)
    ys = spread(ceil(devices / max(1, stacks)), HEAD + 8, bottom - 8, 34)
    chips = [(132.0 - 14 * (each // len(ys)), ys[each % len(ys)]) for each in range(devices)]
    boxes = [(200.0, round(y - 24, 2), 74.0, 48.0)
             for y in spread(routers, middle - height / 4, middle + height / 4, height / 2)]
    units = _stack(len(cells), 326.0, 112.0, HEAD, min(height - 60, 460.0), middle - 14)
    low = max((box[1] + box[3] for box in units), default=middle) + 38
    spine = 458.0
    ports = [(x + w, y + h / 2) for x, y, w, h in units] or [(438.0, middle)]
    first = round(HEAD + (height - ceil(tiles / shape.columns) * shape.pitch[1]) / 2, 2) if tiles < 3 else HEAD
    return {
        "flow": "right", "size": [WIDE, bottom + 10], "chips": chips, "routers": boxes, "units": units,
        "tables": [table(each, 8) for each in cells],
        "trunks": [[port, (spine, port[1])] for port in ports],
        "bypass": [[(x + w, y + LANE * h), (300.0, y + LANE * h), (300.0, low), (spine, low)] for x, y, w, h in boxes],
        "spine": spine, **_wall(shape, tiles, spine + 14, first),
        "heads": {"devices": [12, 22], "routers": [200, 22], "units": [326, 22], "wall": [spine + 14, 22]},
    }


def tall(devices: int, routers: int, cells: list[int], tiles: int) -> dict[str, Any]:
    """The arrangement from top to bottom."""
    shape = wall(tiles, TALL - 40, 420, 84, 4.0)
    rows = ceil(devices / COLUMN)
    xs = spread(ceil(devices / max(1, rows)), 30, TALL - 30, 60)
    chips = [(xs[each % len(xs)], HEAD + 12 + 14 * (each // len(xs))) for each in range(devices)]
    y = HEAD + 50 + 14 * max(0, rows - 1)
    boxes = [(round(x - 48, 2), y, 96.0, 34.0) for x in spread(routers, 110, TALL - 110, 200)]
    units = [(36.0, y + 84 + 150 * each, TALL - 100, 120.0) for each in range(len(cells))]
    low = (units[-1][1] + units[-1][3] if units else y + 120) + 24
    spine, first = 14.0, low + 34
    ports = [(x + w / 2, y_ + h) for x, y_, w, h in units] or [(TALL / 2 - 14, low - 24)]
    bottom = first + ceil(tiles / shape.columns) * shape.pitch[1]
    return {
        "flow": "down", "size": [TALL, round(bottom + 10, 2)], "chips": chips, "routers": boxes, "units": units,
        "tables": [table(each, 32) for each in cells],
        "trunks": [[port, (port[0], low), (spine, low)] for port in ports],
        "bypass": [[(x + LANE * w, y + h), (x + LANE * w, y + h + 14), (TALL - 26, y + h + 14), (TALL - 26, low),
                    (spine, low)] for x, _, w, h in boxes],
        "spine": spine, **_wall(shape, tiles, spine + 14, first),
        "heads": {"devices": [12, 22], "routers": [12, y - 8], "units": [36, y + 72], "wall": [28, first - 8]},
    }


def _stack(count: int, x: float, width: float, top: float, height: float, middle: float) -> list[Box]:
    """Boxes one below the other around a middle."""
    each = (height - 40 * (count - 1)) / max(1, count)
    start = max(top + 18, middle - height / 2)
    return [(x, round(start + (each + 40) * number, 2), width, round(each, 2)) for number in range(count)]


def _wall(shape: Wall, tiles: int, left: float, top: float) -> dict[str, Any]:
    """Tiles by row. drop: from a tile's bottom to the gutter below it; side: from its left side to the way up."""
    places = [(round(left + each % shape.columns * shape.pitch[0], 2),
               round(top + LABEL + each // shape.columns * shape.pitch[1], 2)) for each in range(tiles)]
    drop = (shape.pitch[1] - LABEL - shape.tile) / 2
    return {"free": False, "tiles": places, "columns": shape.columns, "cell": shape.cell, "gap": shape.gap,
            "drop": round(drop, 2), "side": round((shape.pitch[0] - shape.tile) / 2, 2)}


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
        "routers": boxes[0], "units": boxes[1], "tables": [(1, 1)] * len(units),
        "slots": [place(each) for each in slots],
        "cell": round(cell, 2), "gap": 0.0, "tiles": [None] * tiles, "columns": 1, "spine": 0.0, "drop": 0.0,
        "side": 0.0, "trunks": [], "bypass": [], "heads": {}}
