// The picture of a scene in one arrangement: what it is put together of, and in which order it is painted.

import { many, range } from "./notation.js";
import { Mainboard } from "./mainboard.js";
import { drawRoads } from "./roads.js";
import { Senders } from "./senders.js";
import { cellOf } from "./table.js";
import { Places } from "./tokens.js";
import { Units } from "./units.js";
import { Wall, magnify } from "./wall.js";
import { Ways } from "./ways.js";

const NARROW = 720;       // px below which the tall arrangement is taken
const SLIM = 420;         // and below which the slim one is
const LARGEST = 1.4;      // scale at most, and least at which words still find their places
const LEAST = 0.88;
const FLAT = 2.6;         // width / height of arrangements without room for names, and of rooms that take them

/** The arrangement for a room: of the own height, or where the page gives one that with the largest slots in it. */
function arrangementFor(scene, width, height) {
  if (!height) {
    const where = scene[width < SLIM ? "slim" : width < NARROW ? "tall" : "wide"];
    return { where, scale: Math.min(width < NARROW ? 1.5 : LARGEST, width / where.size[0]) };
  }
  const all = [...scene.compact, scene.wide, scene.tall, scene.slim].map((where) =>
    ({ where, scale: Math.min(LARGEST, width / where.size[0], height / where.size[1]) }));
  const legible = all.filter(({ where: { size }, scale }) => scale >= LEAST
    && (size[0] < FLAT * size[1] || width >= FLAT * height)), by = (of) => (a, b) => (of(b) > of(a) ? b : a);
  return legible.length ? legible.reduce(by(({ where, scale }) => where.cell * scale))
    : all.reduce(by(({ scale }) => scale));
}

export class Picture {
  /** width, height: room in px; height 0: as much as it takes. zoomed: the tile that fills the wall, or null.
   *  table: the windows on the tables. */
  constructor(scene, width, height, zoomed, table) {
    const { where: given, scale } = arrangementFor(scene, width, height);
    this.scene = scene;
    this.zoomed = zoomed;
    this.scale = scale;
    this.where = zoomed === null ? given : magnify(given, zoomed);
    this.size = [Math.round(given.size[0] * this.scale), Math.round(this.where.size[1] * this.scale)];
    this.senders = new Senders(scene, this.where);
    this.units = new Units(scene, this.where, table);
    this.wall = new Wall(scene, this.where, zoomed);
    this.mainboard = new Mainboard(scene, this.where);
    this.ways = new Ways(scene, this.where, this.units, this.wall, this.mainboard);
  }

  /** The place at a point of the scene: [what, number], or null. */
  at(x, y) {
    for (const [what, part] of [["device", this.senders], ["irte", this.units], ["vlapic", this.wall]]) {
      const n = part.at(x, y);
      if (n >= 0) return [what, n];
    }
    return null;
  }

  /** The place, as tokens number them, whose box a point is in though nothing can be chosen there; -1 for none. */
  frameAt(x, y) {
    const places = new Places(this.scene), router = this.senders.routerAt(x, y), unit = this.units.unitAt(x, y);
    if (this.mainboard.holds(x, y)) return places.pic;
    return router >= 0 ? places.router + router : unit >= 0 ? places.unit + unit : -1;
  }

  /** The box of a place, null where it is out of the picture. */
  boxOf([what, n]) {
    if (what === "device") return this.senders.box(n);
    if (what === "irte") return this.where.free ? null : this.units.entry(...cellOf(n));
    return this.wall.slot(n);
  }

  /** Paint everything that stands still. */
  paint(painter, tally) {
    painter.ground();
    drawRoads(painter, this.scene, this.where, this.ways, this.wall);
    this.mainboard.drawLines(painter, this.ways);
    this.senders.drawDevices(painter);
    this.senders.drawRouters(painter);
    this.mainboard.draw(painter);
    this.units.draw(painter, tally);
    this.wall.draw(painter, tally);
    painter.painted = true;
    if (!this.where.free) this.drawHeads(painter);
  }

  /** The headings over the columns. */
  drawHeads(painter) {
    const { scene, where } = this, s = painter.scale, right = where.flow === "right";
    const style = { size: 12, bold: true, colour: "text", head: true };
    const at = (name) => where.heads[name].map((n) => n * s);
    if (right && where.chips.length) {
      const x = Math.max(...where.chips.map(([each]) => each)) * s - 10, one = { ...style, align: "right", room: x };
      painter.words("PCI devices", x, at("devices")[1], { ...one, whole: true })
        || painter.words("devices", x + 14, at("devices")[1], { ...one, room: x + 14 });
    } else painter.words("PCI devices", ...at("devices"), { ...style, room: 160 * s });
    if (right) painter.words("routers", ...at("routers"), { ...style, room: 110 * s });
    painter.words(scene.units.length > 1 ? "vIOMMUs" : "vIOMMU", ...at("units"), { ...style, room: 110 * s });
    const room = painter.width - at("wall")[0] - 4;
    this.titles().some((text, n, all) =>
      painter.words(text, ...at("wall"), { ...style, room, whole: n < all.length - 1 }));
  }

  /** What the wall shows, in many words and in fewer. */
  titles() {
    const { scene, zoomed } = this, all = many(scene.vlapics, "vLAPIC"), clusters = many(scene.tiles.length, "cluster");
    if (zoomed === null) return [`${all} in ${clusters} of 16 APIC IDs`, `${all} in ${clusters}`, all];
    const [cluster] = scene.tiles[zoomed];
    return [`one cluster: APIC IDs ${range(cluster)}`, `APIC IDs ${range(cluster)}`];
  }
}
