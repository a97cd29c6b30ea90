// The wall of vLAPICs: a tile for each cluster of 16 APIC IDs, a slot for each ID. Where a slot stands (as in
// widgets/map/scene.py), what is at a point or beside a slot, how it looks, and the wall with one tile alone.

import { drawAssumed, drawCorner, drawHatch, drawPending } from "./marks.js";
import { count, hex, range } from "./notation.js";
import { Places } from "./tokens.js";

const SIDE = 4;   // slots along a tile's side
const WORDED = 20;  // a slot's side from which on words stand in it, and ways run below them

export class Wall {
  /** zoomed: the tile that stands alone, or null. */
  constructor(scene, where, zoomed) {
    this.scene = scene;
    this.where = where;
    this.zoomed = zoomed;
    this.first = new Places(scene).vlapic;
    this.slotOf = new Map();    // vCPU -> [tile, slot]
    scene.tiles.forEach((row, tile) => row.slice(1).forEach((vcpu, slot) => {
      if (vcpu >= 0) this.slotOf.set(vcpu, [tile, slot]);
    }));
  }

  // --- where ---

  /** The length of a tile's side. */
  get tileSide() {
    return SIDE * this.where.cell + (SIDE - 1) * this.where.gap;
  }

  /** The box of a vCPU's slot, or null when its tile is out of the picture. */
  slot(vcpu) {
    const { free, slots, cell } = this.where;
    if (free) return [slots[vcpu][0] - cell / 2, slots[vcpu][1] - cell / 2, cell, cell];
    const found = this.slotOf.get(vcpu);
    return found ? this.slotAt(...found) : null;
  }

  slotAt(tile, slot) {
    const { tiles, cell, gap } = this.where;
    if (!tiles[tile]) return null;
    const [x, y] = tiles[tile];
    return [x + (slot % SIDE) * (cell + gap), y + Math.floor(slot / SIDE) * (cell + gap), cell, cell];
  }

  /** Call put(x, y) for the corners from the spine to a vCPU's slot; none when its tile is out of the picture. */
  lead(vcpu, put) {
    const { tiles, cell, gap, drop, side, spine } = this.where, found = this.slotOf.get(vcpu);
    if (!found || !tiles[found[0]]) return;
    const [x, y] = tiles[found[0]], slot = found[1], low = y + this.tileSide + drop;
    const lane = y + Math.floor(slot / SIDE) * (cell + gap) + cell * (cell >= WORDED ? 0.88 : 0.5);
    put(spine, low);
    put(x - side, low);
    put(x - side, lane);
    put(x + (slot % SIDE) * (cell + gap) + cell / 2, lane);
  }

  /** The tile at a point, -1 for none. */
  tileAt(x, y) {
    const { tiles, cell, gap } = this.where, side = SIDE * (cell + gap);
    return tiles.findIndex((each) => each && x >= each[0] && x < each[0] + side && y >= each[1] && y < each[1] + side);
  }

  /** The vCPU at a point, -1 for none. */
  at(x, y) {
    const { where } = this;
    if (where.free) {
      return where.slots.findIndex((_, n) => {
        const [sx, sy, w, h] = this.slot(n);
        return x >= sx - 1 && x < sx + w + 1 && y >= sy - 1 && y < sy + h + 1;
      });
    }
    const tile = this.tileAt(x, y);
    if (tile < 0) return -1;
    const [tx, ty] = where.tiles[tile], pitch = where.cell + where.gap;
    return this.scene.tiles[tile][1 + Math.floor((y - ty) / pitch) * SIDE + Math.floor((x - tx) / pitch)];
  }

  /** The next vCPU from n in a direction, over empty slots. */
  beside(n, dx, dy) {
    const zoomed = this.zoomed !== null, { columns } = this.where, [tile, slot] = this.slotOf.get(n);
    let x = (zoomed ? 0 : tile % columns) * SIDE + slot % SIDE;
    let y = (zoomed ? 0 : Math.floor(tile / columns)) * SIDE + Math.floor(slot / SIDE);
    for (;;) {
      x += dx, y += dy;
      const across = Math.floor(x / SIDE), to = zoomed ? this.zoomed : Math.floor(y / SIDE) * columns + across;
      if (x < 0 || y < 0 || across >= (zoomed ? 1 : columns) || (zoomed && y >= SIDE)
          || !this.scene.tiles[to]) return n;
      const vcpu = this.scene.tiles[to][1 + (y % SIDE) * SIDE + x % SIDE];
      if (vcpu >= 0) return vcpu;
    }
  }

  // --- drawn ---

  draw(painter, tally) {
    const { scene, where } = this;
    if (where.free) return where.slots.forEach((_, vcpu) => this.drawSlot(painter, vcpu, tally));
    if (this.zoomed === null && where.label) this.drawRanges(painter);
    where.tiles.forEach((at, tile) => {
      if (!at) return;
      for (let slot = 0; slot < 16; slot++) {
        const vcpu = scene.tiles[tile][slot + 1];
        if (vcpu >= 0) this.drawSlot(painter, vcpu, tally);
        else this.drawEmpty(painter, this.slotAt(tile, slot));
      }
    });
  }

  /** The APIC IDs above the tiles: each range stands for as many tiles of a row as leave room for it. */
  drawRanges(painter) {
    const { tiles, columns } = this.where, names = this.scene.tiles.map(([cluster]) => cluster), s = painter.scale;
    const pitch = tiles.length > 1 && columns > 1 ? (tiles[1][0] - tiles[0][0]) * s : 200;
    const longest = painter.measure(range(names.at(-1)).replace(/[1-9a-f]/g, "0")) + 6;
    let group = 1;
    while (group < columns && longest > group * pitch) group *= 2;
    tiles.forEach(([x, y], tile) => {
      if (tile % columns % group) return;
      const last = Math.min(tile + group, tile - tile % columns + columns, tiles.length) - 1;
      painter.words(range(names[tile], names[last]), x * s, y * s - 3,
          { colour: "muted", room: painter.width - x * s });
    });
  }

  /** A slot without a vLAPIC. */
  drawEmpty(painter, box) {
    const [x, y, w, h] = box.map((n) => n * painter.scale), pen = painter.base;
    pen.strokeStyle = painter.colour.slot;
    pen.lineWidth = 1;
    pen.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
  }

  /** One slot, as its counts are now. */
  drawSlot(painter, vcpu, tally) {
    const box = this.slot(vcpu);
    if (!box) return;
    const [x, y, w, h] = box.map((n) => n * painter.scale), shade = tally.shade(tally.shaded(vcpu), 0);
    painter.base.fillStyle = painter.heat[shade];
    painter.base.fillRect(x, y, w, h);
    if (this.scene.ids[vcpu] > tally.reach[0]) drawHatch(painter, painter.base, x, y, w, h);
    if (this.scene.assumed?.[this.first + vcpu]) drawAssumed(painter, [x, y, w, h]);
    if (tally.pending[vcpu]) drawPending(painter, x, y, w, h);
    if (tally.spurious[vcpu]) drawCorner(painter, [x, y, w, h], "muted", false, false);
    if (w < 22) return;
    const before = painter.texts.length;
    const middle = { colour: painter.onHeat[shade], align: "center", room: w - 6, whole: true };
    if (w > 60) {
      const told = count(tally.shaded(vcpu));
      painter.words(`vCPU ${vcpu}`, x + w / 2, y + h / 2 - 8, { ...middle, bold: true });
      painter.words(`ID ${hex(this.scene.ids[vcpu])}`, x + w / 2, y + h / 2 + 6, middle);
      painter.words(tally.pending[vcpu] ? `${told}, pending` : told, x + w / 2, y + h / 2 + 20, middle);
    } else painter.words(String(vcpu), x + w / 2, y + h / 2 + 4, { ...middle, room: w - 1 });
    if (painter.painted) painter.texts.length = before;
  }
}

/** An arrangement in which one tile fills the wall. */
export function magnify(where, tile) {
  const left = where.spine + 34, top = Math.min(...where.tiles.map(([, y]) => y)), right = where.flow === "right";
  const wide = where.size[0] - left - 20, high = right ? Math.min(wide, where.size[1] - top - 40) : wide, gap = 6;
  const cell = Math.min(116, (Math.min(wide, high) - 3 * gap) / SIDE);
  return {
    ...where, cell, gap, drop: 14, side: 12, columns: 1,
    tiles: where.tiles.map((_, n) => (n === tile ? [left, top] : null)),
    size: [where.size[0], right ? where.size[1] : top + SIDE * (cell + gap) + 30],
  };
}
