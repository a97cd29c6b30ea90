// The vIOMMUs and their tables: where an entry stands (as in widgets/map/scene.py), what is at a point, how they look.

import { drawRefused } from "./marks.js";
import { count } from "./notation.js";

export class Units {
  constructor(scene, where) {
    this.scene = scene;
    this.where = where;
    this.right = where.flow === "right";
  }

  /** The box of a unit's table. */
  field(unit) {
    const [x, y, w, h] = this.where.units[unit], [across, along] = this.right ? [12, 10] : [10, 12];
    return [x + across, y + along, w - 2 * across, h - 2 * along];
  }

  /** The box of a cell of it. */
  entry(unit, cell) {
    const [x, y, w, h] = this.field(unit), [columns, rows] = this.where.tables[unit];
    return [x + (cell % columns) * w / columns, y + Math.floor(cell / columns) * h / rows, w / columns, h / rows];
  }

  /** The cell of the first unit's table at a point, -1 for none. */
  at(x, y) {
    const cells = this.scene.units[0]?.[2];
    if (this.where.free || !cells) return -1;
    const [fx, fy, w, h] = this.field(0), [columns, rows] = this.where.tables[0];
    if (x < fx || x >= fx + w || y < fy || y >= fy + h) return -1;
    const cell = Math.floor((y - fy) / h * rows) * columns + Math.floor((x - fx) / w * columns);
    return cell < cells ? cell : -1;
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
    const [entries, each, cells] = this.scene.units[unit], box = this.where.units[unit], [x, y, w, h] = box;
    const s = painter.scale, { right } = this;
    painter.box(box, entries < 0 ? { dash: [3, 3] } : {});
    const state = tally.states[unit], [left, top] = [right ? x * s : x * s + 60, y * s - 7],
        room = { colour: "muted", whole: true, room: w * s - (right ? 56 : 116) };
    if (state) painter.words(state, left, top, room) || painter.words(state.split(" ").at(-1), left, top, room);
    for (let cell = 0; cell < cells; cell++) this.drawEntry(painter, unit, cell, tally);
    const lines = entries < 0 ? ["destroyed"] : !entries ? ["no table yet"]
      : [`${count(entries)} entries`, each > 1 ? `${each} in a cell` : "one in a cell"];
    if (right) lines.forEach((text, n) => painter.words(text, (x + w / 2) * s, (y + h) * s + 13 + 13 * n,
        { align: "center", colour: "muted", room: w * s + 30 }));
    else painter.words(lines.join(", "), x * s, (y + h) * s + 14, { colour: "muted", room: w * s / 2 - 12 });
  }

  /** One cell, as its counts are now. */
  drawEntry(painter, unit, cell, tally) {
    if (this.where.free) return;
    const [x, y, w, h] = this.entry(unit, cell).map((n) => n * painter.scale), pen = painter.base;
    pen.fillStyle = painter.heat[tally.shade(tally.used[unit][cell], 1)];
    pen.fillRect(x + 0.5, y + 0.5, w - 1, h - 1);
    if (tally.refused[unit][cell]) drawRefused(painter, x, y, w, h);
  }
}
