// Tokens in motion: where each is at a moment, and how they are drawn.

import { colourOf, shapeOf } from "./marks.js";
import { OUTCOMES } from "./tokens.js";
import { POINTS } from "./ways.js";

export const FLIGHT = 1000;      // motion ms from sender to slot
export const MOST = 4096;        // tokens in flight at most; what comes beyond is counted at once, and said
const CROWD = 1200;              // tokens beyond which they are drawn quickly

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
    this.token = new Array(MOST).fill(null);
    this.head = this.size = 0;
  }

  get full() {
    return this.size === MOST;
  }

  add(token, start, ways) {
    const place = (this.head + this.size++) % MOST;
    this.token[place] = token;
    this.kind[place] = token[4] & 7;
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
    ways.timing(this.t, base);
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
      arrived(token);
    }
  }

  /** Call put(x, y) for every token of one outcome. */
  each(kind, now, put) {
    const { x, y, t, n, at, start } = this;
    for (let k = 0; k < this.size; k++) {
      const place = (this.head + k) % MOST;
      if (this.kind[place] !== kind) continue;
      const part = (now - start[place]) / FLIGHT, base = place * POINTS, last = n[place] - 1;
      if (part < 0) continue;
      let corner = at[place];
      while (corner < last && t[base + corner + 1] <= part) corner++;
      at[place] = corner;
      const a = base + corner;
      if (corner >= last) { put(x[a], y[a]); continue; }
      const f = (part - t[a]) / (t[a + 1] - t[a] || 1);
      put(x[a] + (x[a + 1] - x[a]) * f, y[a] + (y[a + 1] - y[a]) * f);
    }
  }

  /** Draw all at motion time `now`. cell: the side of a slot, beside which a token must not be large. */
  draw(painter, now, cell) {
    const pen = painter.top, s = painter.scale, crowd = this.size > CROWD;
    const room = Math.max(0.65, Math.min(1, cell * s / 9)), r = painter.token / 2 * room * (crowd ? 0.8 : 1);
    for (let kind = 0; kind < OUTCOMES.length; kind++) {
      const shape = shapeOf(kind, crowd);
      if (!crowd) {
        pen.fillStyle = pen.strokeStyle = painter.colour.background;
        this.each(kind, now, (x, y) => pen.fillRect(x * s - r - 1, y * s - r - 1, 2 * r + 2, 2 * r + 2));
      }
      pen.fillStyle = pen.strokeStyle = colourOf(painter, kind);
      this.each(kind, now, (x, y) => shape(pen, x * s, y * s, r));
    }
  }
}
