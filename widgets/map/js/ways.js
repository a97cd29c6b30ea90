// The way of a token through an arrangement, corner by corner: the same as `way` in widgets/map/scene.py.

import { LANE } from "./senders.js";
import { DIRECT, MASKED, NOBODY, NO_ENTRY, PIN, Places, SPURIOUS, endsAtUnit } from "./tokens.js";

export const POINTS = 44;     // corners of a way at most
const RAIL = 6;               // from a unit's port to the rail inside it
const CURVE = 10;             // pieces of a curve

export class Ways {
  /** `trace` leaves a way in x, y, n; marks: where its parts end, at the router, at the
   *  entry, at the spine or where it stops before. */
  constructor(scene, where, units, wall, mainboard) {
    Object.assign(this, { scene, where, units, wall, mainboard });
    this.places = new Places(scene);
    this.right = where.flow === "right";
    this.x = new Float32Array(POINTS);
    this.y = new Float32Array(POINTS);
    this.n = 0;
    this.marks = [0, 0, 0];
    this.pauses = false;    // whether the way leads through an entry, where a token stops for a moment
    this.put = (x, y) => {
      this.x[this.n] = x;
      this.y[this.n++] = y;
    };
  }

  /** Where the ways enter and leave a box. */
  ports([x, y, w, h], lane = 0.5) {
    return this.right ? [[x, y + lane * h], [x + w, y + lane * h]] : [[x + lane * w, y], [x + lane * w, y + h]];
  }

  curve([x0, y0], [x1, y1]) {
    for (let step = 0; step <= CURVE; step++) {
      const t = step / CURVE, along = 1.5 * t * (1 - t) + t ** 3, across = t * t * (3 - 2 * t);
      this.put(x0 + (x1 - x0) * (this.right ? along : across), y0 + (y1 - y0) * (this.right ? across : along));
    }
  }

  throughTable(outlet, unit, irte, stopped, noEntry) {
    const [inlet, out] = this.ports(this.where.units[unit]);
    const [mx, my] = this.units.entryAt(unit, irte);
    this.curve(outlet, inlet);
    const rails = this.right
      ? [[inlet[0] + RAIL, inlet[1]], [inlet[0] + RAIL, my], [mx, my], [out[0] - RAIL, my], [out[0] - RAIL, out[1]]]
      : [[inlet[0], inlet[1] + RAIL], [mx, inlet[1] + RAIL], [mx, my], [mx, out[1] - RAIL], [out[0], out[1] - RAIL]];
    rails.slice(0, !stopped ? 5 : noEntry ? 1 : 3).forEach(([a, b], n) => {
      this.put(a, b);
      if (n < 3) this.marks[1] = this.n - 1;
    });
  }

  /** The way in a caller's own layout: from middle to middle. */
  straight(src, dst, kind, outcome) {
    const { where, places } = this, middle = ([x, y, w, h]) => [x + w / 2, y + h / 2];
    const at = (place) => place < places.router ? where.chips[place]
      : place < places.unit ? middle(where.routers[place - places.router])
      : place < places.vlapic ? middle(where.units[place - places.unit]) : where.slots[place - places.vlapic];
    const stops = src < places.router || (src >= places.unit && src < places.pic) ? [src] : [];
    if (kind !== DIRECT) {
      stops.push(outcome & PIN ? places.router : places.unit - 1);
      if (where.units.length && kind !== MASKED) stops.push(places.unit);
    }
    if (dst !== NOBODY) stops.push(dst);
    for (const place of stops.length ? stops : [places.unit - 1]) this.put(...at(place));
  }

  /** From a unit, or a vLAPIC backwards, to the spine: nothing is remapped. */
  direct(src) {
    const { where, places } = this;
    if (src >= places.vlapic) {
      this.wall.lead(src - places.vlapic, this.put);
      const [x, y, n] = [this.x.slice(0, this.n).reverse(), this.y.slice(0, this.n).reverse(), this.n];
      this.x.set(x), this.y.set(y), this.n = n;
    } else {
      const road = src >= places.unit ? where.trunks[src - places.unit] : [where.trunks[0][0]];
      for (const [x, y] of road) this.put(x, y);
    }
    if (!this.n) this.put(...where.trunks[0].at(-1));
  }

  /** Trace one token's way. */
  trace(src, dst, irte, outcome) {
    const { where, places, scene } = this, kind = outcome & 7;
    this.n = 0;
    this.marks.fill(0);
    this.pauses = false;
    if (where.free) return this.straight(src, dst, kind, outcome);
    if (kind === SPURIOUS || (kind === DIRECT && src === dst && outcome & PIN)) {
      this.wall.lead(dst - places.vlapic, this.put);
      if (!this.n) return this.put(where.spine, where.trunks[0]?.at(-1)[1] ?? 0);
      [this.x[0], this.y[0], this.n] = [this.x[this.n - 1], this.y[this.n - 1], 1];
      return;
    }
    if (src === places.pic && this.mainboard.takes(outcome)) this.mainboard.trace(this, outcome);
    else if (kind === DIRECT) this.direct(src);
    else {
      const router = outcome & PIN ? 0 : scene.routers.length - 1;
      const [inlet, outlet] = this.ports(where.routers[router], LANE);
      const from = src === places.pic ? where.pic?.line : where.chips[src];
      if (from) this.curve(from, inlet);
      if (kind === MASKED) {
        if (!from) this.put(...inlet);
        return;
      }
      this.put(...outlet);
      this.marks[0] = this.n - 1;
      const stopped = endsAtUnit(outcome);
      if (scene.units.length && (stopped || !(outcome & NO_ENTRY))) {
        const unit = places.unitOf(src);
        this.pauses = !(outcome & NO_ENTRY);
        this.throughTable(outlet, unit, irte, stopped, outcome & NO_ENTRY);
        this.marks[2] = this.n - 1;
        if (stopped) return;
        for (const [x, y] of where.trunks[unit]) this.put(x, y);
      } else {
        for (const [x, y] of where.bypass[router].slice(1)) this.put(x, y);
        this.marks[1] = this.n - 1;
      }
      this.marks[2] = this.n - 1;
    }
    if (dst !== NOBODY) this.wall.lead(dst - places.vlapic, this.put);
  }

  /** Fractions of the flight at which the corners are passed: a quarter to the router, a third to the entry. */
  timing(times, base) {
    const shares = [[0, this.marks[0], 0, 0.25], [this.marks[0], this.marks[1], 0.25, 0.55],
      [this.marks[1], this.n - 1, this.marks[1] ? 0.55 : 0, 1]];
    times[base] = 0;
    for (const [from, to, start, end] of shares) {
      let length = 0;
      for (let n = from + 1; n <= to; n++) {
        length += Math.hypot(this.x[n] - this.x[n - 1], this.y[n] - this.y[n - 1]);
        times[base + n] = length;
      }
      for (let n = from + 1; n <= to; n++) times[base + n] = start + (end - start) * times[base + n] / (length || 1);
    }
  }
}
