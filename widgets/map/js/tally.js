// What has happened so far, counted as widgets/map/tally.py counts.

import { BLOCKED, NOBODY, NO_ENTRY, OUTCOMES, PAST, Places, bytes } from "./tokens.js";

export class Tally {
  constructor(scene) {
    this.places = new Places(scene);
    this.total = new Float64Array(OUTCOMES.length);
    this.sent = new Uint32Array(scene.devices.length);
    this.delivered = new Uint32Array(scene.vlapics);
    this.used = scene.units.map(([, , cells]) => new Uint32Array(Math.max(1, cells)));
    this.refused = scene.units.map(([, , cells]) => new Uint32Array(Math.max(1, cells)));
    this.last = scene.units.map(([, , cells]) => new Int32Array(Math.max(1, cells)).fill(-1));
    this.pending = new Uint8Array(scene.vlapics);
    this.recent = [];
    this.blocked = [];
    this.tops = [16, 16];
    this.states = [];
    this.clock = 0;
  }

  /** Take over what the kernel counted (`Tally.state` there). */
  load(present) {
    if (!present?.total) return;
    const words = (data) => {
      const view = bytes(data);
      return Array.from({ length: view.byteLength / 4 }, (_, n) => view.getUint32(4 * n, true));
    };
    this.total.set(present.total);
    for (const name of ["sent", "delivered"]) this[name].set(words(present[name]).slice(0, this[name].length));
    for (const name of ["used", "refused"]) {
      present[name].forEach((data, unit) => this[name][unit]?.set(words(data).slice(0, this[name][unit].length)));
    }
    this.setPending(present.pending);
    this.clock = present.clock;
    this.states = present.states ?? [];
  }

  setPending(data) {
    const view = bytes(data);
    if (!view) return;
    for (let n = 0; n < this.pending.length; n++) {
      this.pending[n] = (n >> 3) < view.byteLength ? (view.getUint8(n >> 3) >> (n & 7)) & 1 : 0;
    }
  }

  /** Count one token that has arrived (or was merged); `times` for several at once. */
  add([t, src, dst, irte, outcome], times = 1) {
    const kind = outcome & 7, { places } = this;
    this.total[kind] += times;
    if (src < this.sent.length) this.sent[src] += times;
    if (dst !== NOBODY) this.delivered[dst - places.vlapic] += times;
    if (!(outcome & NO_ENTRY) && this.used.length) {
      const unit = places.unitOf(src), cell = places.cellOf(unit, irte);
      (kind === BLOCKED && !(outcome & PAST) ? this.refused : this.used)[unit][cell] += times;
      this.last[unit][cell] = irte;
    }
    this.clock = Math.max(this.clock, t);
  }

  /** Keep a token for the lists of the last interrupts and the last blocked ones. */
  remember(token) {
    this.recent.push(token);
    if (this.recent.length > 400) this.recent.splice(0, 200);
    if ((token[4] & 7) === BLOCKED) {
      this.blocked.push(token);
      if (this.blocked.length > 60) this.blocked.splice(0, 30);
    }
  }

  /** The shade, 0 to 15, of a count; what: 0 for slots, 1 for entries. Shades are logarithmic up to the largest. */
  shade(n, what) {
    if (!n) return 0;
    while (n > this.tops[what]) this.tops[what] *= 4;
    return Math.min(15, 4 + Math.floor(11.999 * Math.log(n) / Math.log(this.tops[what])));
  }
}
