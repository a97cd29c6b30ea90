// Traces: the ways of the interrupts that are looked at. One stays until another replaces it. While its token travels,
// the line is drawn behind it, and what happened is said when it has happened; else all of it is there at once. Beside
// one by a stale copy of an entry there is a ghost: where the entry in memory would have sent it.

import { FLIGHT, progress } from "./flights.js";
import { Labels } from "./labels.js";
import { drawHaloed } from "./marks.js";
import { hex } from "./notation.js";
import { NO_ENTRY, OUTCOMES, STALE } from "./tokens.js";

const MANY = 32;   // ways lit at once, at most
const BUSY = 60;  // tokens in flight among which a trace would be in the way

export class Traces {
  constructor(view) {
    this.view = view;
    this.labels = new Labels();
    this.clear();
  }

  /** Nothing is lit. */
  clear() {
    this.lit = null;      // [{ token, kind, points, times, stops, start }], or null; start null: it has arrived
    this.tokens = [];
    this.labels.clear();
  }

  /** Light the ways of tokens instead of those that are lit. starts: of each in motion time, when they travel. */
  light(tokens, starts = []) {
    const { ways } = this.view;
    this.clear();
    if (!tokens.length || !ways) return;
    this.tokens = tokens;
    this.lit = tokens.slice(0, MANY).map((token, n) => {
      const [, src, dst, irte, outcome] = token, times = new Float32Array(64);
      ways.trace(src, dst, irte, outcome);
      ways.timing(times, 0);
      const stale = outcome & STALE && !(outcome & NO_ENTRY);
      const trace = { token, kind: outcome & 7, colour: stale ? "stale" : OUTCOMES[outcome & 7][0],
        points: Array.from({ length: ways.n }, (_, k) => [ways.x[k], ways.y[k]]), times, stops: [...ways.marks],
        pause: ways.pauses, start: starts[n] ?? null };
      trace.ghost = stale ? this.ghost(trace) : null;
      return trace;
    });
  }

  /** Where memory sends now what went by a stale copy: { points, text }; null when it is the same. */
  ghost({ token: [, src, dst, irte, , vector], stops }) {
    const { ways, table, places, scene } = this.view, row = table.rows[places.unitOf(src)]?.get(irte);
    const entry = [[ways.x[stops[1]], ways.y[stops[1]]]];
    if (!row?.present) return { points: entry, text: "memory now: not present" };
    if (row.posted) return { points: entry, text: "memory now: posted" };
    const vcpu = scene.ids.indexOf(row.dst), what = `memory now: vector ${hex(row.vector)}`;
    if (vcpu < 0) return { points: entry, text: `${what} \u2192 APIC ID ${hex(row.dst)}` };
    if (places.vlapic + vcpu === dst && row.vector === vector) return null;
    ways.trace(src, places.vlapic + vcpu, irte, 0);
    const points = Array.from({ length: ways.n }, (_, k) => [ways.x[k], ways.y[k]]).slice(ways.marks[1]);
    return { points, text: `${what} \u2192 vCPU ${vcpu}` };
  }

  /** Whether these ways are lit already. */
  has(tokens) {
    const key = (all) => JSON.stringify(all.map(([, ...rest]) => rest));
    return Boolean(this.lit) && key(tokens) === key(this.tokens);
  }

  /** The same ways in another arrangement. */
  reroute() {
    if (this.lit) this.light(this.tokens, this.lit.map(({ start }) => start));
  }

  /** How far a trace has come: 1 when it has arrived. */
  reached({ start, pause }, now) {
    return start === null ? 1 : progress((now - start) / FLIGHT, pause);
  }

  draw(painter, now, flying) {
    if (!this.lit || flying > BUSY) return;
    const pen = painter.top, s = painter.scale;
    for (const trace of this.lit) {
      const part = this.reached(trace, now);
      if (part >= 1) trace.start = null;
      const points = part < 1 ? shortened(trace, part) : trace.points, [x, y] = trace.points.at(-1);
      if (trace.ghost && part >= 1) painter.line(trace.ghost.points, { colour: "muted", width: 2, dash: [3, 4], pen });
      if (points.length > 1) painter.line(points, { colour: trace.colour, width: 2.5, pen });
      if (part >= 1) drawHaloed(painter, pen, trace.kind, x * s, y * s, painter.token / 2 + 0.5);
    }
    this.labels.draw(this.view, this.lit, (trace) => this.reached(trace, now));
  }
}

/** The points of a trace as far as `part` of its times. */
function shortened({ points, times }, part) {
  if (part <= 0) return [];
  let n = 0;
  while (n < points.length - 1 && times[n + 1] <= part) n++;
  const out = points.slice(0, n + 1);
  if (n < points.length - 1) {
    const f = (part - times[n]) / (times[n + 1] - times[n] || 1), [[x0, y0], [x1, y1]] = [points[n], points[n + 1]];
    out.push([x0 + (x1 - x0) * f, y0 + (y1 - y0) * f]);
  }
  return out;
}
