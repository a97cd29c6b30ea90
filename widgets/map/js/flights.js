// Tokens in motion: where each is at a moment, and how they are drawn.

import { colourOf, shapeOf } from "./marks.js";
import { OUTCOMES } from "./tokens.js";
import { POINTS } from "./ways.js";

export const FLIGHT = 1000;      // motion ms from sender to slot
export const MOST = 4096;        // tokens in flight at most; what comes beyond is counted at once, and said
const CROWD = 1200;              // tokens beyond which they are drawn quickly

const STOP = 0.55;               // where a way through the table passes its entry, as `Ways.timing` has it
const IN = 0.48;                 // parts of the flight at which it gets there and goes on
const OUT = 0.6;
const TAILS = 60;                // tokens beyond which none has a tail

/** How far a token is on its way after a part of its flight; pause: whether it stops for a moment at the table. */
export function progress(part, pause) {
  if (!pause) return part;
  return part < IN ? part / IN * STOP : part < OUT ? STOP : STOP + (part - OUT) / (1 - OUT) * (1 - STOP);
}

export class Flights {
  /** A ring of tokens, in the order in which they started. */
  constructor() {
    this.x = new Float32Array(MOST * POINTS);
    this.y = new Float32Array(MOST * POINTS);
    this.t = new Float32Array(MOST * POINTS);
    this.n = new Uint8Array(MOST);
    this.at = new Uint8Array(MOST);
    this.start = new Float64Array(MOST);
    this.kind = new Uint8Array(MOST);
    this.pause = new Uint8Array(MOST);
    this.open = new Float32Array(MOST);   // the part of its way that a token has behind it when it comes to the wall
    this.token = new Array(MOST).fill(null);
    this.of = new Uint32Array(OUTCOMES.length);   // how many of each outcome
    this.head = this.size = 0;
  }

  get full() {
    return this.size === MOST;
  }

  add(token, start, ways) {
    const place = (this.head + this.size++) % MOST;
    this.token[place] = token;
    this.kind[place] = token[4] & 7;
    this.of[token[4] & 7]++;
    this.start[place] = start;
    this.route(place, ways);
  }

  route(place, ways) {
    const [, src, dst, irte, outcome] = this.token[place], base = place * POINTS;
    ways.trace(src, dst, irte, outcome);
    this.n[place] = ways.n;
    this.at[place] = 0;
    this.x.set(ways.x.subarray(0, ways.n), base);
    this.y.set(ways.y.subarray(0, ways.n), base);
    this.pause[place] = ways.pauses;
    ways.timing(this.t, base);
    this.open[place] = this.t[base + ways.marks[2]];
  }

  /** Go on in another arrangement. */
  reroute(ways) {
    for (let n = 0; n < this.size; n++) this.route((this.head + n) % MOST, ways);
  }

  /** Take out the tokens that have arrived by motion time `now`. */
  land(now, arrived) {
    while (this.size && now - this.start[this.head] >= FLIGHT) {
      const token = this.token[this.head];
      this.token[this.head] = null;
      this.head = (this.head + 1) % MOST;
      this.size--;
      this.of[token[4] & 7]--;
      arrived(token);
    }
  }

  /** Call put(x, y) for every token of one outcome; late: those alone that have come to the wall, or to their end. */
  each(kind, now, put, late) {
    const { x, y, t, n, at, start, pause, open } = this;
    for (let k = 0; k < this.size; k++) {
      const place = (this.head + k) % MOST;
      if (this.kind[place] !== kind) continue;
      const flown = (now - start[place]) / FLIGHT, base = place * POINTS, last = n[place] - 1;
      if (flown < 0) continue;
      const part = progress(flown, pause[place]);
      if (late && part < open[place]) continue;
      let corner = at[place];
      while (corner < last && t[base + corner + 1] <= part) corner++;
      at[place] = corner;
      const a = base + corner;
      if (corner >= last) { put(x[a], y[a]); continue; }
      const f = (part - t[a]) / (t[a + 1] - t[a] || 1);
      put(x[a] + (x[a + 1] - x[a]) * f, y[a] + (y[a + 1] - y[a]) * f);
    }
  }

  /** Where the token at a place of the ring is after a part of its way. */
  point(place, part) {
    const { x, y, t } = this, base = place * POINTS, last = base + this.n[place] - 1;
    let a = base;
    while (a < last && t[a + 1] <= part) a++;
    if (a >= last) return [x[a], y[a]];
    const f = (part - t[a]) / (t[a + 1] - t[a] || 1);
    return [x[a] + (x[a + 1] - x[a]) * f, y[a] + (y[a + 1] - y[a]) * f];
  }

  /** The tails: where each token was the last moments, fading. */
  drawTails(painter, now, r) {
    const pen = painter.top, s = painter.scale, pieces = 9;
    pen.lineCap = "round";
    for (let k = 0; k < this.size; k++) {
      const place = (this.head + k) % MOST, part = (now - this.start[place]) / FLIGHT;
      if (part < 0) continue;
      pen.strokeStyle = colourOf(painter, this.kind[place]);
      for (let n = pieces; n > 0; n--) {
        const from = progress(part - 0.012 * n, this.pause[place]), to = progress(part - 0.012 * (n - 1),
            this.pause[place]);
        if (from < 0) continue;
        const [[x0, y0], [x1, y1]] = [this.point(place, from), this.point(place, to)];
        pen.globalAlpha = 0.55 * (1 - n / (pieces + 1));
        pen.lineWidth = 2 * r * (1 - 0.7 * n / pieces);
        pen.beginPath();
        pen.moveTo(x0 * s, y0 * s), pen.lineTo(x1 * s, y1 * s);
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
    pen.lineCap = "butt";
  }

  /** Draw all at motion time `now`. cell: the side of a slot, beside which none must be large. late: as above. */
  draw(painter, now, cell, late) {
    const pen = painter.top, s = painter.scale, crowd = this.size > CROWD;
    const room = Math.max(0.65, Math.min(1, cell * s / 9)), r = painter.token / 2 * room * (crowd ? 0.8 : 1);
    const few = this.size <= TAILS, edge = few ? 2 : 1;
    if (few) this.drawTails(painter, now, r);
    for (let kind = 0; kind < OUTCOMES.length; kind++) {
      if (!this.of[kind]) continue;
      const shape = shapeOf(kind, crowd), side = 2 * (r + edge);
      if (!crowd) {
        pen.fillStyle = few ? "#ffffff" : painter.colour.background;
        if (few) pen.shadowColor = "#000000", pen.shadowBlur = 3;
        this.each(kind, now, (x, y) => pen.fillRect(x * s - r - edge, y * s - r - edge, side, side), late);
        pen.shadowBlur = 0;
      }
      pen.fillStyle = pen.strokeStyle = colourOf(painter, kind);
      this.each(kind, now, (x, y) => shape(pen, x * s, y * s, r), late);
    }
  }
}
