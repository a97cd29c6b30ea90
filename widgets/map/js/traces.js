// Traces: the ways of interrupts that are looked at, lit, with a mark where each ends.

import { drawHaloed } from "./marks.js";
import { OUTCOMES } from "./tokens.js";

const MANY = 32;   // ways lit at once, at most

export class Traces {
  constructor() {
    this.clear();
  }

  /** Nothing is lit. */
  clear() {
    this.lit = null;      // [{ kind, points }], or null
    this.tokens = [];
  }

  /** Light the ways of tokens instead of those that are lit. */
  light(tokens, ways) {
    this.tokens = tokens;
    this.lit = tokens.length ? tokens.slice(0, MANY).map(([, src, dst, irte, outcome]) => {
      ways.trace(src, dst, irte, outcome);
      return { kind: outcome & 7, points: Array.from({ length: ways.n }, (_, n) => [ways.x[n], ways.y[n]]) };
    }) : null;
  }

  /** Draw the lit ways; ended: with the mark of the outcome at the end of each. */
  draw(painter, ended) {
    const pen = painter.top, s = painter.scale;
    for (const { points, kind } of this.lit ?? []) {
      const [x, y] = points.at(-1);
      painter.line(points, { colour: OUTCOMES[kind][0], width: 2.5, pen });
      if (ended) drawHaloed(painter, pen, kind, x * s, y * s, painter.token / 2 + 0.5);
    }
  }
}
