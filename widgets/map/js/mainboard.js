// The lines of the mainboard and the pair of 8259 that they lead to: drawn where some of its inputs are unmasked. Its
// INTR goes past all units to LINT0 of the vLAPICs; by pin 0 of the I/O APIC where an interrupt took that way.

import { LANE } from "./senders.js";
import { DIRECT, PIN } from "./tokens.js";

const SQUARE = 8;         // px, side of the sign for the lines

export class Mainboard {
  constructor(scene, where) {
    Object.assign(this, { scene, where });
    this.pair = where.pic;    // { line, box, road, pin }, or null
  }

  /** Whether a point is in the box of the 8259 pair, or at the sign of the lines. */
  holds(x, y) {
    if (!this.pair) return false;
    const { line: [lx, ly], box: [left, top, w, h] } = this.pair;
    return (x >= left && x < left + w && y >= top && y < top + h) || Math.hypot(x - lx, y - ly) < SQUARE + 1;
  }

  /** Whether a token's way leads by the 8259, given that it comes from the mainboard. */
  takes(outcome) {
    return (outcome & 7) === DIRECT || !(outcome & PIN);
  }

  /** That way, from the lines to the spine, put into `ways`. */
  trace(ways, outcome) {
    const { pair, where } = this, [past] = where.bypass, asks = (outcome & 7) === DIRECT;
    const put = (points) => points.forEach(([x, y]) => ways.put(x, y));
    if (!pair) return put(asks ? past.slice(-1) : past.slice(0, 1));
    ways.curve(pair.line, ways.ports(pair.box, LANE)[0]);
    if (!asks) return;
    ways.marks[0] = ways.n;   // where it leaves the 8259
    put(outcome & PIN ? [...pair.pin, ...past] : pair.road);
    ways.marks[1] = ways.marks[2] = ways.n - 1;
  }

  /** The lines on which its tokens travel. */
  drawLines(painter, ways) {
    if (!this.pair) return;
    const { line, box, road } = this.pair;
    for (const each of [box, this.where.routers[0]]) painter.curve(line, ways.ports(each, LANE)[0], ways.right);
    painter.line(road, { width: 1.5 });
  }

  draw(painter) {
    if (!this.pair) return;
    const { line: [lx, ly], box, road } = this.pair, s = painter.scale, pen = painter.base, [x, y, w, h] = box;
    const right = this.where.flow === "right", names = ["INTR to LINT0", "to LINT0", "INTR"];
    pen.fillStyle = painter.colour.muted;
    pen.fillRect(lx * s - SQUARE / 2, ly * s - SQUARE / 2, SQUARE, SQUARE);
    if (right) painter.firstFitting(["mainboard, IRQ 0\u201315", "IRQ 0\u201315", "IRQs"], lx * s - 10, ly * s + 4,
        { align: "right", room: lx * s - 14 });
    else painter.words("IRQs", lx * s, ly * s - 9, { align: "center", room: 2 * lx * s - 4 });
    painter.box(box);
    if (right) painter.words("8259", (x + w / 2) * s, (y + h * 0.42) * s + 2, { bold: true, align: "center",
        room: w * s - 2 });
    else painter.words("8259", (x + 6) * s, (y + h / 2) * s + 4, { bold: true, room: (w - 8) * s });
    const [[ax, ay], [bx]] = right ? road : [road[1], [this.where.routers[0][0] + LANE * this.where.routers[0][2]]];
    painter.firstFitting(names, (ax + (right ? 12 : 5)) * s, ay * s - 4, { colour: "muted",
        room: (bx - ax - 16) * s });
  }
}
