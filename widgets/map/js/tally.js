// What has happened so far, counted as widgets/map/tally.py counts.

import { BLOCKED, DIRECT, LOST, NOBODY, NO_ENTRY, OUTCOMES, Places, SPURIOUS, bytes, endsAtUnit } from "./tokens.js";

const ENTRIES = 65536;    // of a table at most
const BY_VCPU = ["delivered", "direct", "spurious"];
const BY_ENTRY = ["used", "refused", "lost"];

export class Tally {
  /** total: by outcome. blocked: by unit. delivered: by vCPU, of devices; direct: of IPIs and of units' own events.
   *  used, refused, lost: by unit and entry, those let in, refused, and sent to nobody. */
  constructor(scene, ipis = false) {
    this.places = new Places(scene);
    this.total = new Float64Array(OUTCOMES.length);
    this.blocked = scene.units.map(() => 0);
    this.sent = new Uint32Array(scene.devices.length);
    for (const name of BY_VCPU) this[name] = new Uint32Array(scene.vlapics);
    for (const name of BY_ENTRY) this[name] = scene.units.map(() => new Uint32Array(ENTRIES));
    this.ipis = ipis;         // whether a vLAPIC's shade counts what is direct, too
    this.pending = new Uint8Array(scene.vlapics);
    this.recent = [];
    this.failed = [];
    this.tops = [16, 16];
    this.states = [];
    this.reach = scene.reach;     // the largest APIC ID that a device can name, what it is beyond
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
    this.blocked = [...present.blocked];
    for (const name of ["sent", ...BY_VCPU]) this[name].set(words(present[name]).slice(0, this[name].length));
    for (const name of BY_ENTRY) present[name].forEach((data, unit) => this.loadEntries(name, unit, bytes(data)));
    this.setPending(present.pending);
    this.clock = present.clock;
    this.states = present.states ?? [];
    this.reach = present.reach ?? this.reach;
  }

  loadEntries(name, unit, view) {
    for (let at = 0; this[name][unit] && at + 6 <= view.byteLength; at += 6) {
      this[name][unit][view.getUint16(at, true)] = view.getUint32(at + 2, true);
    }
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
    if (dst !== NOBODY) {
      const counts = kind === DIRECT ? this.direct : kind === SPURIOUS ? this.spurious : this.delivered;
      counts[dst - places.vlapic] += times;
    }
    if (kind === BLOCKED && this.blocked.length) this.blocked[places.unitOf(src)] += times;
    if (!(outcome & NO_ENTRY) && this.used.length) {
      const unit = places.unitOf(src);
      (endsAtUnit(outcome) ? this.refused : this.used)[unit][irte] += times;
      if (kind === LOST) this.lost[unit][irte] += times;
    }
    this.clock = Math.max(this.clock, t);
  }

  /** Keep a token for the lists of the last interrupts and the last blocked ones. */
  remember(token) {
    this.recent.push(token);
    if (this.recent.length > 400) this.recent.splice(0, 200);
    if ((token[4] & 7) === BLOCKED || (token[4] & 7) === LOST) {
      this.failed.push(token);
      if (this.failed.length > 60) this.failed.splice(0, 30);
    }
  }

  /** How many interrupts the shade of a vLAPIC counts. */
  shaded(vcpu) {
    return this.delivered[vcpu] + (this.ipis ? this.direct[vcpu] : 0);
  }

  /** A count of a cell of a table: of its entry, or of all that it stands for. */
  ofCell(name, unit, { each, first }, cell) {
    const counts = this[name][unit], start = first + cell * each;
    let sum = 0;
    for (let index = start; index < start + each; index++) sum += counts[index];
    return sum;
  }

  /** The shade, 0 to 15, of a count; what: 0 for slots, 1 for entries. Shades are logarithmic up to the largest. */
  shade(n, what) {
    if (!n) return 0;
    while (n > this.tops[what]) this.tops[what] *= 4;
    return Math.min(15, 4 + Math.floor(11.999 * Math.log(n) / Math.log(this.tops[what])));
  }
}
