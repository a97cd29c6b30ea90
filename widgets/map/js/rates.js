// Rates: while so many interrupts come that their tokens would be one bar, the ways as far as the wall are drawn as
// wide as they are busy, with how many a second take each; tokens are drawn beyond.

import { boxesMeet } from "./labels.js";
import { count } from "./notation.js";
import { LANE } from "./senders.js";
import { DIRECT, MASKED, NO_ENTRY, PIN, SPURIOUS, endsAtUnit } from "./tokens.js";

const RATED = 150;         // interrupts a second from which on rates are shown
const COUNTED = 1000;        // ms over which they are counted
const PIECE = 100;         // ms
const WIDEST = 12;        // px of a way
const AGAIN = 250;        // ms between two drawings

// Ways by number: all of them, from a device to a router, from a router to a unit or past all, from a unit to the wall.
const ALL = -1;
const DEVICE = 0;
const ROUTER = 1 << 20;
const PASSED = 2 << 20;
const UNIT = 3 << 20;

export class Rates {
  constructor(view) {
    this.view = view;
    this.reset();
  }

  reset() {
    this.slots = [];      // [number of the slot of time, Map from way to interrupts]
    this.drawn = -Infinity;   // when they were drawn last, ms of the page
    this.shown = false;
  }

  /** Count a token that starts; times: for several at once. now: ms of the page. */
  add([, src, , , outcome], times, now) {
    const { places, scene } = this.view, kind = outcome & 7, slot = Math.floor(now / PIECE);
    if (kind === DIRECT || kind === MASKED || kind === SPURIOUS) return;
    if (this.slots.at(-1)?.[0] !== slot) this.slots.push([slot, new Map()]);
    const counts = this.slots.at(-1)[1], put = (way) => counts.set(way, (counts.get(way) ?? 0) + times);
    const router = outcome & PIN ? 0 : scene.routers.length - 1, unit = places.unitOf(src);
    const through = scene.units.length && (endsAtUnit(outcome) || !(outcome & NO_ENTRY));
    put(ALL);
    if (src < places.router) put(DEVICE + (src << 1) + router);
    put(through ? ROUTER + (unit << 1) + router : PASSED + router);
    if (through && !endsAtUnit(outcome)) put(UNIT + unit);
  }

  /** How many a second take each way. */
  of(now) {
    const from = Math.floor((now - COUNTED) / PIECE), out = new Map();
    while (this.slots.length && this.slots[0][0] <= from) this.slots.shift();
    for (const [, counts] of this.slots) for (const [way, n] of counts) out.set(way, (out.get(way) ?? 0) + n);
    return out;
  }

  /** Draw them when so many come, a few times a second; whether they are shown, and tokens only beyond them. */
  draw(painter, now, flying) {
    if (now - this.drawn < AGAIN && this.shown === (this.shown && flying)) return this.shown;
    const { where } = this.view, rates = flying && where && !where.free ? this.of(now) : new Map();
    this.drawn = now;
    this.shown = (rates.get(ALL) ?? 0) >= RATED;
    painter.canvases[1].hidden = !this.shown;
    if (!this.shown) return false;
    const placed = [], ways = [...rates].filter(([way]) => way !== ALL).sort((one, other) => other[1] - one[1]);
    painter.middle.clearRect(0, 0, painter.width, painter.height);
    painter.middle.globalAlpha = 0.5;
    for (const [way, rate] of ways) this.line(painter, way, rate);
    painter.middle.globalAlpha = 1;
    for (const [way, rate] of ways) this.number(painter, way, rate, placed);
    return true;
  }

  /** The corners of a way, and whether it is a curve. */
  road(way) {
    const { where, ways } = this.view, number = way & 0xfffff, port = ways.ports(where.routers[number & 1], LANE);
    if (way < ROUTER) return [[where.chips[number >> 1], port[0]], true];
    if (way < PASSED) return [[port[1], ways.ports(where.units[number >> 1])[0]], true];
    return [way < UNIT ? where.bypass[number] : where.trunks[number], false];
  }

  line(painter, way, rate) {
    const [points, curved] = this.road(way), width = Math.min(WIDEST, 1.5 + 1.5 * Math.log2(1 + rate / 10));
    const style = { colour: way >= PASSED && way < UNIT ? "compatibility" : "remapped", width, pen: painter.middle };
    if (curved) painter.curve(...points, this.view.ways.right, style);
    else painter.line(points, style);
  }

  /** The number on a way, where it covers no other; the busiest come first. */
  number(painter, way, rate, placed) {
    const [points, curved] = this.road(way), s = painter.scale, pen = painter.middle, text = `${count(rate)}/s`;
    const t = way < ROUTER ? 0.4 : 0.5, along = 1.5 * t * (1 - t) + t ** 3, across = t * t * (3 - 2 * t);
    const [first, last] = [points[0], points.at(-1)], { right } = this.view.ways;
    const part = curved ? [right ? along : across, right ? across : along] : [1, 1];
    const [x, y] = [0, 1].map((n) => (first[n] + (last[n] - first[n]) * part[n]) * s);
    const w = painter.measure(text) + 8, shift = curved ? w / 2 : right ? w + 5 : -5;
    const left = Math.max(0, Math.min(painter.width - w, x - shift));
    const box = { x: left, y: y - 8, w, h: 15 };
    if (placed.some((each) => boxesMeet(box, each, 1))) return;
    placed.push(box);
    pen.fillStyle = painter.colour.background;
    pen.beginPath();
    pen.roundRect(box.x, box.y, w, box.h, 3);
    pen.fill();
    pen.font = `${painter.small}px ${painter.font}`;
    pen.textAlign = "center";
    pen.fillStyle = painter.colour.text;
    pen.fillText(text, box.x + w / 2, box.y + 11);
  }
}
