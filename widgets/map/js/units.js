// The vIOMMUs and their tables: where an entry stands (as in widgets/map/scene.py), what is at a point, how they look.

import { drawAssumed, drawCorner } from "./marks.js";
import { bdf, count } from "./notation.js";
import { placeOf } from "./table.js";
import { Places } from "./tokens.js";

const STRIP = 12;         // room of the strip that stands for a whole table
const OWN = 30;           // from a unit to the spine where what is told below it has a line of its own

export class Units {
  constructor(scene, where, table) {
    Object.assign(this, { scene, where, table });
    this.right = where.flow === "right";
    this.first = new Places(scene).unit;
    this.grids = where.free ? [] : scene.units.map((_, unit) => gridOf(table.windows[unit].cells, this.field(unit)));
  }

  /** The box of a unit's table. */
  field(unit) {
    const [x, y, w, h] = this.where.units[unit];
    return this.right ? [x + 12, y + 10, w - 24, h - 20 - STRIP] : [x + 10, y + 12, w - 20 - STRIP, h - 24];
  }

  /** The strip beside it that stands for the whole table. */
  strip(unit) {
    const [x, y, w, h] = this.where.units[unit], thick = STRIP / 2;
    return this.right ? [x + 12, y + h - 6 - thick, w - 24, thick] : [x + w - 6 - thick, y + 12, thick, h - 24];
  }

  /** The box of a cell of it. */
  entry(unit, cell) {
    const [x, y, w, h] = this.field(unit), [columns, rows] = this.grids[unit];
    return [x + (cell % columns) * w / columns, y + Math.floor(cell / columns) * h / rows, w / columns, h / rows];
  }

  /** Where an entry is: the middle of its cell, or its place on the strip. */
  entryAt(unit, index) {
    const cell = this.table.cellOf(unit, index);
    const [x, y, w, h] = cell >= 0 ? this.entry(unit, cell) : this.strip(unit);
    if (cell >= 0) return [x + w / 2, y + h / 2];
    const part = Math.min(1, index / Math.max(1, this.scene.units[unit][0]));
    return this.right ? [x + part * w, y + h / 2] : [x + w / 2, y + part * h];
  }

  /** The unit and the entry for which a point on a strip stands; null beside all strips. */
  stripAt(x, y) {
    const air = 3, unit = this.where.free ? -1 : this.scene.units.findIndex(([entries], n) => {
      const [sx, sy, w, h] = this.strip(n);
      return entries > 0 && x >= sx - air && x <= sx + w + air && y >= sy - air && y <= sy + h + air;
    });
    if (unit < 0) return null;
    const [sx, sy, w, h] = this.strip(unit), [entries] = this.scene.units[unit];
    const part = this.right ? (x - sx) / w : (y - sy) / h;
    return [unit, Math.max(0, Math.min(entries - 1, Math.floor(part * entries)))];
  }

  /** The unit whose box a point is in, -1 for none. */
  unitAt(x, y) {
    return this.where.units.findIndex(([left, top, w, h]) => x >= left && x < left + w && y >= top && y < top + h);
  }

  /** The place of the cell at a point, -1 for none. */
  at(x, y) {
    if (this.where.free) return -1;
    for (let unit = 0; unit < this.grids.length; unit++) {
      const [fx, fy, w, h] = this.field(unit), [columns, rows] = this.grids[unit];
      if (x < fx || x >= fx + w || y < fy || y >= fy + h) continue;
      const cell = Math.floor((y - fy) / h * rows) * columns + Math.floor((x - fx) / w * columns);
      return cell < this.table.windows[unit].cells ? placeOf(unit, cell) : -1;
    }
    return -1;
  }

  draw(painter, tally) {
    const { where } = this, s = painter.scale;
    if (where.free) {
      where.units.forEach(([x, y, w, h], n) => {
        painter.box([x, y, w, h]);
        painter.words(`vIOMMU ${n}`, (x + w / 2) * s, (y + h) * s + 13, { bold: true, align: "center",
            room: w * s + 20 });
      });
      return;
    }
    if (!this.scene.units.length) this.drawNone(painter);
    where.units.forEach((_, unit) => this.drawOne(painter, unit, tally));
  }

  /** Where a unit would be. */
  drawNone(painter) {
    const s = painter.scale, [x, y] = this.where.trunks[0][0];
    const box = this.right ? [x - 112, y - 70, 112, 48] : [x - 70, y - 52, 140, 40];
    painter.box(box, { fill: "", edge: "muted", dash: [3, 3] });
    painter.words("no vIOMMU", (box[0] + box[2] / 2) * s, (box[1] + box[3] / 2) * s + 4, { align: "center",
        colour: "muted", room: box[2] * s - 8 });
  }

  drawOne(painter, unit, tally) {
    const [entries] = this.scene.units[unit], box = this.where.units[unit], [x, y, w, h] = box;
    const { each, cells, first } = this.table.windows[unit], last = first + each * cells - 1;
    const s = painter.scale, { right } = this;
    painter.box(box, entries < 0 ? { dash: [3, 3] } : {});
    if (this.scene.assumed?.[this.first + unit]) drawAssumed(painter, box.map((n) => n * s));
    const state = tally.states[unit], [left, top] = [right ? x * s : x * s + 60, y * s - 7],
        room = { colour: "muted", whole: true, room: w * s - (right ? 56 : 116) };
    if (state) painter.words(state, left, top, room) || painter.words(state.split(" ").at(-1), left, top, room);
    for (let cell = 0; cell < cells; cell++) this.drawEntry(painter, unit, cell, tally);
    const lines = entries < 0 ? ["destroyed"] : !entries ? ["no table yet"]
      : [`${first} to ${last}${each > 1 ? `, ${each} a cell` : ""}`, `of ${count(entries)} entries`];
    const short = entries > 0 ? [`${first}\u2013${last}`, `of ${count(entries)}`] : lines;
    if (entries > 0) this.drawStrip(painter, unit);
    if (right) lines.forEach((text, n) => painter.firstFitting([text, short[n]], (x + w / 2) * s,
        (y + h) * s + 13 + 13 * n, { align: "center", colour: "muted", room: w * s + 12 }));
    else painter.words(lines.join(", "), x * s, (y + h) * s + 14, { colour: "muted",
        room: this.where.trunks[unit][1][1] - y - h > OWN ? w * s : w * s / 2 - 12 });
  }

  /** The whole table: which parts are used, and a frame around the part that is shown. */
  drawStrip(painter, unit) {
    const [x, y, w, h] = this.strip(unit).map((n) => n * painter.scale), pen = painter.base, { right } = this;
    const [count] = this.scene.units[unit], long = right ? w : h, along = (index) => index / count * long;
    const part = (from, to, air) => (right ? [x + from, y - air, Math.max(2, to - from), h + 2 * air]
      : [x - air, y + from, w + 2 * air, Math.max(2, to - from)]);
    pen.fillStyle = painter.heat[0];
    pen.fillRect(x, y, w, h);
    pen.fillStyle = painter.colour.muted;
    const shown = new Set([...this.table.rows[unit].keys()].map((index) => Math.floor(along(index))));
    for (const at of shown) pen.fillRect(...part(at, at + 1, 0));
    const { each, cells, first } = this.table.windows[unit];
    pen.strokeStyle = painter.colour.text;
    pen.lineWidth = 1;
    pen.strokeRect(...part(along(first), along(first + each * cells), 1.5));
  }

  /** One cell, as its counts are now: an entry in use is filled, one that was never is an outline. */
  drawEntry(painter, unit, cell, tally) {
    if (this.where.free || cell < 0) return;
    const box = this.entry(unit, cell).map((n) => n * painter.scale), [x, y, w, h] = box, pen = painter.base;
    const { table } = this, window = table.windows[unit], row = table.rowOf(unit, cell);
    const of = (name) => tally.ofCell(name, unit, window, cell), shade = tally.shade(of("used"), 1);
    pen.fillStyle = painter.colour.panel;
    pen.fillRect(x, y, w, h);
    pen.fillStyle = painter.heat[shade];
    pen.strokeStyle = painter.colour.slot;
    pen.lineWidth = 1;
    if (row || shade) pen.fillRect(x + 0.5, y + 0.5, w - 1, h - 1);
    else pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
    if (of("refused")) drawCorner(painter, box, "blocked", true, true);
    if (of("lost")) drawCorner(painter, box, "lost", true, false);
    if (row?.stale) drawCorner(painter, box, "stale", false, true);
    if (h < 15 || w < 20) return;
    const before = painter.texts.length, style = { colour: painter.onHeat[shade], align: "center", room: w - 4,
      whole: true }, [mx, my] = [x + w / 2, y + h / 2 + 4], two = row && h > 30;
    if (!row && !shade) style.colour = "muted";
    painter.words(String(table.entryOf(unit, cell)), mx, two ? my - 6 : my, style);
    if (two) painter.words(bdf(row.sid), mx, my + 7, style);
    if (painter.painted) painter.texts.length = before;
  }
}

/** Columns and rows of cells in a box: a power of two of columns, cells little wider than high. */
function gridOf(cells, [, , w, h]) {
  let best = [1, Math.max(1, cells)];
  const odd = ([columns, rows]) => Math.abs(Math.log(w / columns / (h / rows) / 1.3));
  for (let columns = 1; columns <= cells; columns *= 2) {
    const each = [columns, Math.ceil(cells / columns)];
    if (odd(each) < odd(best)) best = each;
  }
  return best;
}
