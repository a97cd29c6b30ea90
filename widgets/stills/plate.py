"""The scene on a page: everything that stands still, and the words that belong to a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vsim.layouts.bits import bdf_text
from widgets.map.arrange import CHIP, LANE, SIDE, Box, Point, strip
from widgets.map.scene import SLOTS, Arrangement, Scene, curve, entry, ports, slots, tile_of
from widgets.map.tokens import NOBODY, Places, Token
from widgets.stills import captions, drawn
from widgets.theme import HEAT_STEPS

HEADS = {"devices": "PCI devices", "routers": "routers", "units": "remapping", "wall": "vLAPICs by x2APIC cluster"}
"""What stands above the columns, by the keys of an arrangement's `heads`."""


def shade(count: int, most: int) -> int:
    """The step of the heat ramp for a count out of at most `most`: 0 for none, the last for the busiest."""
    return 0 if not count else max(1, count * (HEAT_STEPS - 1) // most)


def ids_text(first: int, last: int = -1) -> str:
    """The APIC IDs of clusters `first` to `last`, by default of the one."""
    return f"{SLOTS * first:#x}\N{EN DASH}{SLOTS * max(first, last) + SLOTS - 1:#x}"


class Plate:
    """A page with an arrangement of a scene below the title, while it is drawn.

    way: the interrupt that is looked at. `top`, `bottom`: where the arrangement begins and ends on the page; `target`:
    the vCPU that the way ends at, -1 for none.
    """

    def __init__(self, scene: Scene, where: Arrangement, way: Token | None, theme: str) -> None:
        self.scene, self.where, self.way = scene, where, way
        self.right = where["flow"] == "right"
        self.places = Places(scene)
        self.page = drawn.page(where["size"][0], theme)
        self.top = captions.title(self.page, scene)
        self.bottom = self.top + where["size"][1]
        self.last = len(captions.steps(scene, way)) if way is not None else 0
        self.target = way.dst - self.places.vlapic if way is not None and way.dst != NOBODY else -1

    def everything(self, hits: Counter[int]) -> int:
        """Draw it all. hits: interrupts by place. Returns the most of one vLAPIC."""
        most = max(hits.values(), default=0)
        self._heads()
        self._ways()
        self._devices()
        self._routers()
        self._pair()
        self._units()
        self._wall(hits, most)
        self._assumed()
        self._labels()
        return most

    def down(self, box: Box) -> Box:
        """A box of the arrangement, on the page."""
        return box[0], box[1] + self.top, box[2], box[3]

    def line(self, points: Iterable[Point], colour: str = "", width: str = "stroke", above: bool = False) -> None:
        """A polyline of the arrangement, on the page."""
        self.page.line([(x, y + self.top) for x, y in points], colour=colour, width=width, above=above)

    def _heads(self) -> None:
        for key, (x, y) in self.where["heads"].items():
            self.page.text(x, self.top + y, HEADS[key], size="font", bold=True)
            if key == "units" and not self.scene["units"]:
                self.page.text(x, self.top + y + 17, "no vIOMMU here", colour=self.page.colours.muted)

    # --- the ways that there are ---

    def _ways(self) -> None:
        where, flow = self.where, self.where["flow"]
        outlets = [ports(router, flow, LANE)[1] for router in where["routers"]]
        for chip, row in zip(where["chips"], self.scene["devices"], strict=True):
            for router in where["routers"] if row[2] >= 0 else where["routers"][-1:]:
                self.line(curve(chip, ports(router, flow, LANE)[0], flow))
        for unit in where["units"]:
            for outlet in outlets:
                self.line(curve(outlet, ports(unit, flow)[0], flow))
        for each in [*(where["trunks"] if where["units"] else []), *where["bypass"], *self._intr()]:
            self.line(each)
        self._gutters()

    def _gutters(self) -> None:
        """A gutter below each row of tiles, all joined by the spine."""
        rows = {y + self._side() + self.where["drop"]: x + self._side() for x, y in self.where["tiles"]}
        spine = self.where["spine"]
        for y, right in rows.items():
            self.line([(spine, y), (right, y)])
        ends = [*rows, *(each[-1][1] for each in (*self.where["trunks"], *self.where["bypass"], *self._intr()))]
        self.line([(spine, min(ends)), (spine, max(ends))])

    def _side(self) -> float:
        return float(SIDE * self.where["cell"] + (SIDE - 1) * self.where["gap"])

    # --- devices, routers, units ---

    def _devices(self) -> None:
        chips = [self.down((x - CHIP / 2, y - CHIP / 2, CHIP, CHIP)) for x, y in self.where["chips"]]
        self.page.cells(chips, [self.page.colours.muted] * len(chips))
        across, along, room = (0, 1, 14.0) if self.right else (1, 0, 56.0)
        outer = min((chip[across] for chip in chips), default=0.0)
        lit = self.way.src if self.way is not None else -1
        taken: list[float] = []
        for place in sorted(range(len(chips)), key=lambda each: (each != lit, each)):
            spot, named = chips[place][along], place == lit or chips[place][across] == outer
            if named and all(abs(spot - each) >= room for each in taken):
                taken += [spot] if self.right or place != lit else [spot - 20, spot + 20]
                self._address(place, outer, spot, place == lit)

    def _address(self, place: int, outer: float, spot: float, lit: bool) -> None:
        """A device's address, left of the outermost square or above it; the lit one with the number of its step."""
        words = bdf_text(self.scene["devices"][place][0])
        wide = self.page.measure(words, bold=lit)
        x, y = (outer - 6 - wide, spot + CHIP) if self.right else (spot + CHIP / 2 - wide / 2, outer - 6)
        x = min(max(x, 26), self.page.width - wide - 6) if lit else x
        self.page.text(x, y, words, bold=lit, colour="" if lit else self.page.colours.muted)
        if lit:
            captions.badge(self.page, x - captions.BADGE - 5, y - 4, 1)

    def _routers(self) -> None:
        for box, name in zip(self.where["routers"], self.scene["routers"], strict=True):
            x, y, w, h = self.down(box)
            self.page.box((x, y, w, h))
            beside = (x + w / 2, y + h * LANE - 13, "center") if self.right else (x + 8, y + h / 2 + 4, "left")
            self.page.text(*beside[:2], name, bold=True, align=beside[2])

    def _intr(self) -> list[list[Point]]:
        """The way of the 8259's INTR to the spine, if the pair is in the picture."""
        return [self.where["pic"]["road"]] if self.where["pic"] else []

    def _pair(self) -> None:
        """The lines of the mainboard, and the pair of 8259."""
        if self.where["pic"] is None:
            return
        (x, y), box, muted = self.where["pic"]["line"], self.where["pic"]["box"], self.page.colours.muted
        for each in (box, self.where["routers"][0]):
            self.line(curve((x, y), ports(each, self.where["flow"], LANE)[0], self.where["flow"]))
        self.page.cells([self.down((x - CHIP / 2, y - CHIP / 2, CHIP, CHIP))], [muted])
        beside = (x - 10, y + 4, "right") if self.right else (x, y - 10, "center")
        self.page.text(beside[0], self.top + beside[1], "IRQs", colour=muted, align=beside[2])
        left, top, w, h = self.down(box)
        self.page.box((left, top, w, h))
        named = (left + w / 2, top + h * 0.42 + 2, "center") if self.right else (left + 5, top + h / 2 + 4, "left")
        self.page.text(*named[:2], "8259", bold=True, align=named[2])

    def _units(self) -> None:
        for unit, (entries, each, cells, first) in enumerate(self.scene["units"]):
            x, y, w, h = self.down(self.where["units"][unit])
            self.page.box((x, y, w, h))
            boxes = [self.down(entry(self.where, unit, cell)) for cell in range(cells)]
            self.page.cells([(a + 0.5, b + 0.5, c - 1, d - 1) for a, b, c, d in boxes],
                            [self.page.colours.heat[0]] * cells)
            if cells:
                self._strip(unit)
            part = f"entries {first} to {first + each * cells - 1}" + (f", {each} a cell" if each > 1 else "")
            words = part if cells else "no table yet" if entries >= 0 else "not created"
            if cells and not self.right:
                words = words.removeprefix("entries ") + f" of {entries:,}"
            if self.right:
                self.page.text(x, y - 6, f"vIOMMU {unit}", bold=True)
                self.page.text(x, y + h + 14, words, colour=self.page.colours.muted)
                if cells:
                    self.page.text(x, y + h + 28, f"of {entries:,}", colour=self.page.colours.muted)
            else:
                self.page.text(x + w, y + h + 14, f"vIOMMU {unit}: {words}", colour=self.page.colours.muted,
                               align="right")

    def _strip(self, unit: int) -> None:
        """The strip that stands for the whole table, with a frame around the part that is shown."""
        entries, each, cells, first = self.scene["units"][unit]
        x, y, w, h = self.down(strip(self.where["units"][unit], self.where["flow"]))
        start, part = first / entries, each * cells / entries
        frame = (x + start * w, y - 1.5, max(3.0, part * w), h + 3) if self.right else (
            x - 1.5, y + start * h, w + 3, max(3.0, part * h))
        self.page.cells([(x, y, w, h), frame], [self.page.colours.heat[0], "none"], ["none", self.page.colours.text])

    # --- the wall ---

    def _wall(self, hits: Counter[int], most: int) -> None:
        colours, cell = self.page.colours, self.where["cell"]
        boxes = slots(self.scene, self.where)
        self.page.cells([self.down(box) for box in boxes.values()],
                        [colours.heat[shade(hits[self.places.vlapic + vcpu], most)] for vcpu in boxes])
        far = [self.down(box) for vcpu, box in boxes.items() if self.scene["ids"][vcpu] > self.scene["reach"][0]]
        self.page.hatch(far)
        pitch = cell + self.where["gap"]
        empty = [self.down((x + n % SIDE * pitch + 0.5, y + n // SIDE * pitch + 0.5, cell - 1, cell - 1))
                 for row, (x, y) in zip(self.scene["tiles"], self.where["tiles"], strict=True)
                 for n in range(SLOTS) if row[1 + n] < 0]
        self.page.cells(empty, ["none"] * len(empty), colours.slot)

    def _assumed(self) -> None:
        """A dotted border around each element of which something is assumed."""
        of = {place: (x - CHIP / 2 - 3, y - CHIP / 2 - 3, CHIP + 6, CHIP + 6)
              for place, (x, y) in enumerate(self.where["chips"])}
        of |= {self.places.ioapic + n: box for n, box in enumerate(self.where["routers"])}
        of |= {self.places.unit + n: box for n, box in enumerate(self.where["units"])}
        of |= {self.places.vlapic + n: box for n, box in slots(self.scene, self.where).items()}
        self.page.dots([self.down(of[int(place)]) for place in self.scene["assumed"]])

    def _labels(self) -> None:
        """The APIC IDs above the tiles: the lit cluster, and ranges that stand for as many tiles as leave room."""
        tiles, columns = self.where["tiles"], self.where["columns"]
        names = [row[0] for row in self.scene["tiles"]]
        pitch = tiles[1][0] - tiles[0][0] if len(tiles) > 1 and columns > 1 else self.page.width
        lit = self._lit_label(names, pitch) if self.target >= 0 else (0.0, 0.0, -1.0)
        group = 1
        while group < columns and self.page.measure(ids_text(names[-1]).replace("f", "0")) + 6 > group * pitch:
            group *= 2
        for tile in range(0, len(tiles)) if self.where["label"] else ():
            x, y = tiles[tile]
            words = ids_text(names[tile], names[min(tile + group, tile - tile % columns + columns, len(tiles)) - 1])
            free = y != lit[2] or x + self.page.measure(words) + 5 < lit[0] or x > lit[1] + 9
            if free and tile % columns % group == 0:
                self.page.text(x, self.top + y - 3, words, colour=self.page.colours.muted)

    def _lit_label(self, names: list[int], pitch: float) -> tuple[float, float, float]:
        """The label of the lit tile, with the number of the last step; (left, right, tile's y) of what it takes."""
        tile = tile_of(self.scene, self.target)[0]
        x, y = self.where["tiles"][tile]
        long, lead = ids_text(names[tile]), 2 * captions.BADGE + 4
        label = long if self.page.measure(long, bold=True) + lead < pitch - 14 else f"{SLOTS * names[tile]:#x}"
        wide = lead + self.page.measure(label, bold=True)
        x = min(x, self.page.width - wide - 6)
        captions.badge(self.page, x + captions.BADGE, self.top + y - 8, self.last)
        self.page.text(x + lead, self.top + y - 4, label, bold=True)
        return x, x + wide, y
