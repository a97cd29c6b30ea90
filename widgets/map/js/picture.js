// The picture of a scene in one arrangement: what it is put together of, and in which order it is painted.

import { hex, many } from "./notation.js";
import { drawRoads } from "./roads.js";
import { Senders } from "./senders.js";
import { Units } from "./units.js";
import { Wall, magnify } from "./wall.js";
import { Ways } from "./ways.js";

const NARROW = 720;       // px below which the tall arrangement is taken

export class Picture {
  /** width: room in px. zoomed: the tile that fills the wall, or null for all of them. */
  constructor(scene, width, zoomed) {
    const tall = width < NARROW, given = scene[tall ? "tall" : "wide"];
    this.scene = scene;
    this.zoomed = zoomed;
    this.scale = Math.min(tall ? 1.5 : 1.4, width / given.size[0]);
    this.where = zoomed === null ? given : magnify(given, zoomed);
    this.size = [Math.round(given.size[0] * this.scale), Math.round(this.where.size[1] * this.scale)];
    this.senders = new Senders(scene, this.where);
    this.units = new Units(scene, this.where);
    this.wall = new Wall(scene, this.where, zoomed);
    this.ways = new Ways(scene, this.where, this.units, this.wall);
  }

  /** The place at a point of the scene: [what, number], or null. */
  at(x, y) {
    for (const [what, part] of [["device", this.senders], ["irte", this.units], ["vlapic", this.wall]]) {
      const n = part.at(x, y);
      if (n >= 0) return [what, n];
    }
    return null;
  }

  /** The box of a place, null where it is out of the picture. */
  boxOf([what, n]) {
    if (what === "device") return this.senders.box(n);
    if (what === "irte") return this.where.free ? null : this.units.entry(0, n);
    return this.wall.slot(n);
  }

  /** Paint everything that stands still. */
  paint(painter, tally) {
    painter.ground();
    drawRoads(painter, this.scene, this.where, this.ways, this.wall);
    this.senders.drawDevices(painter);
    this.senders.drawRouters(painter);
    this.units.draw(painter, tally);
    this.wall.draw(painter, tally);
    painter.painted = true;
    if (!this.where.free) this.drawHeads(painter);
  }

  /** The headings over the columns. */
  drawHeads(painter) {
    const { scene, where } = this, s = painter.scale, right = where.flow === "right";
    const style = { size: 12, bold: true, colour: "text" }, at = (name) => where.heads[name].map((n) => n * s);
    if (right && where.chips.length) painter.words("PCI devices", Math.max(...where.chips.map(([x]) => x)) * s - 10,
        at("devices")[1], { ...style, align: "right", room: 120 * s });
    else painter.words("PCI devices", ...at("devices"), { ...style, room: 160 * s });
    if (right) painter.words("routers", ...at("routers"), { ...style, room: 110 * s });
    painter.words(scene.units.length > 1 ? "vIOMMUs" : "vIOMMU", ...at("units"), { ...style, room: 110 * s });
    painter.words(this.title(), ...at("wall"), { ...style, room: painter.width - at("wall")[0] - 8 });
  }

  /** What the wall shows. */
  title() {
    const { scene, zoomed } = this;
    if (zoomed === null) {
      return `${many(scene.vlapics, "vLAPIC")} in ${many(scene.tiles.length, "cluster")} of 16 APIC IDs`;
    }
    const [cluster] = scene.tiles[zoomed];
    return `cluster ${hex(cluster)}: APIC IDs ${hex(cluster * 16)} to ${hex(cluster * 16 + 15)}`;
  }
}
