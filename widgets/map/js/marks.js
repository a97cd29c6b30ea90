// Marks: one shape an outcome, and what is put on a slot or an entry: pending, refused, lost, stale, spurious, out of
// reach, assumed, chosen.

import { OUTCOMES } from "./tokens.js";

const SHAPES = {
  square: (pen, x, y, r) => pen.fillRect(x - r, y - r, 2 * r, 2 * r),
  diamond: (pen, x, y, r) => {
    const d = r * 1.35;
    pen.beginPath();
    pen.moveTo(x, y - d), pen.lineTo(x + d, y), pen.lineTo(x, y + d), pen.lineTo(x - d, y);
    pen.fill();
  },
  ring: (pen, x, y, r) => {
    pen.lineWidth = Math.max(1.5, r * 0.55);
    pen.beginPath();
    pen.arc(x, y, r, 0, 6.2832);
    pen.stroke();
  },
  cross: (pen, x, y, r) => {
    pen.lineWidth = Math.max(1.5, r * 0.6);
    pen.beginPath();
    pen.moveTo(x - r, y - r), pen.lineTo(x + r, y + r), pen.moveTo(x + r, y - r), pen.lineTo(x - r, y + r);
    pen.stroke();
  },
  void: (pen, x, y, r) => {
    pen.lineWidth = Math.max(1.5, r * 0.5);
    pen.beginPath();
    pen.arc(x, y, r, 0, 6.2832);
    pen.moveTo(x - r * 0.7, y + r * 0.7), pen.lineTo(x + r * 0.7, y - r * 0.7);
    pen.stroke();
  },
  dot: (pen, x, y, r) => pen.fillRect(x - r / 2, y - r / 2, r, r),
};

// The same of rectangles alone, which are the quickest to draw, for when there are very many.
const QUICK = {
  ...SHAPES,
  diamond: (pen, x, y, r) => {
    pen.fillRect(x - r * 1.3, y - r * 0.4, r * 2.6, r * 0.8);
    pen.fillRect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
    pen.fillRect(x - r * 0.4, y - r * 1.3, r * 0.8, r * 2.6);
  },
  void: (pen, x, y, r) => {
    pen.fillRect(x - r, y - r, 2 * r, r * 0.5), pen.fillRect(x - r, y + r * 0.5, 2 * r, r * 0.5);
  },
  ring: (pen, x, y, r) => {
    const w = r * 0.5;
    pen.fillRect(x - r, y - r, 2 * r, w), pen.fillRect(x - r, y + r - w, 2 * r, w);
    pen.fillRect(x - r, y - r, w, 2 * r), pen.fillRect(x + r - w, y - r, w, 2 * r);
  },
};

/** How an outcome is drawn: shape(pen, x, y, r), in px. quick: of rectangles alone. */
export const shapeOf = (kind, quick = false) => (quick ? QUICK : SHAPES)[OUTCOMES[kind][1]];

/** The colour of an outcome. */
export const colourOf = (painter, kind) => painter.colour[OUTCOMES[kind][0]];

/** The mark of an outcome, r px from its middle to its side. */
export function drawMark(painter, pen, kind, x, y, r) {
  pen.fillStyle = pen.strokeStyle = colourOf(painter, kind);
  shapeOf(kind)(pen, x, y, r);
}

/** The same on a square of the ground, so that it shows on a line. */
export function drawHaloed(painter, pen, kind, x, y, r) {
  pen.fillStyle = painter.colour.background;
  pen.fillRect(x - r - 1.5, y - r - 1.5, 2 * r + 3, 2 * r + 3);
  drawMark(painter, pen, kind, x, y, r);
}

/** A slot with an interrupt pending: an outline, and within it the ground, so that it shows on every shade. */
export function drawPending(painter, x, y, w, h) {
  const pen = painter.base, line = w > 12 ? 2 : w > 6 ? 1.5 : 1;
  for (const [colour, inset] of w > 5 ? [["background", 1.5 * line], ["ring", 0.5 * line]] : [["ring", 0.5]]) {
    pen.strokeStyle = painter.colour[colour];
    pen.lineWidth = line;
    pen.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
  }
}

/** A corner turned down, of an entry or a slot: right and top say which. Refused is top right, lost is bottom right, a
 *  stale copy is top left, spurious is bottom left. */
export function drawCorner(painter, [x, y, w, h], colour, right, top, pen = painter.base) {
  const side = Math.min(9, Math.min(w, h) * 0.6), [dx, dy] = [right ? -1 : 1, top ? 1 : -1];
  const [cx, cy] = [right ? x + w - 0.5 : x + 0.5, top ? y + 0.5 : y + h - 0.5];
  for (const [each, size] of [["background", side + 1.5], [colour, side]]) {
    pen.fillStyle = painter.colour[each];
    pen.beginPath();
    pen.moveTo(cx + dx * size, cy), pen.lineTo(cx, cy), pen.lineTo(cx, cy + dy * size);
    pen.fill();
  }
}

/** A slot that no device can reach: hatched. */
export function drawHatch(painter, pen, x, y, w, h) {
  pen.fillStyle = painter.hatch;
  pen.fillRect(x, y, w, h);
}

/** The border of something of which no dump says all: dotted. */
export function drawAssumed(painter, [x, y, w, h], pen = painter.base) {
  pen.strokeStyle = painter.colour.text;
  pen.lineWidth = 1;
  pen.setLineDash([1, 2]);
  pen.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
  pen.setLineDash([]);
}

/** A ring around a box of the scene: chosen, pointed at, or in the keyboard's focus, as the colour says. */
export function drawRing(painter, box, colour) {
  const pen = painter.top, [x, y, w, h] = box.map((n) => n * painter.scale);
  for (const [each, width] of [["background", 4], [colour, 2]]) {
    pen.strokeStyle = painter.colour[each];
    pen.lineWidth = width;
    pen.strokeRect(x - 3, y - 3, w + 6, h + 6);
  }
}
