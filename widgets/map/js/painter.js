// The canvases and what is drawn on them most: words, lines, boxes. Points are the scene's; `scale` makes them px.

import { readTheme } from "./theme.js";

export class Painter {
  /** `base` holds what changes seldom, `middle` what changes a few times a second, `top` what moves. */
  constructor(base, middle, top, root) {
    this.canvases = [base, middle, top];
    [this.base, this.middle, this.top] = this.canvases.map((each) => each.getContext("2d"));
    this.root = root;
    this.texts = [];          // the boxes of all words, for tests
    this.painted = false;     // whether everything has been drawn: a cell painted again adds no new box
    this.readColours();
  }

  /** Take over the theme; returns a stamp that differs when a colour does. */
  readColours() {
    Object.assign(this, readTheme(this.root));
    this.hatch = this.makeHatch(4);
    return JSON.stringify([this.colour, this.heat]);
  }

  /** Lines aslant, `side` px apart, as a pattern: many slots are filled with it, and often. */
  makeHatch(side) {
    const tile = document.createElement("canvas"), fine = 2, pen = tile.getContext("2d");
    tile.width = tile.height = side * fine;
    pen.scale(fine, fine);
    pen.strokeStyle = this.colour.muted;
    for (const shift of [-side, 0, side]) pen.moveTo(shift, side), pen.lineTo(shift + side, 0);
    pen.stroke();
    const pattern = this.base.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scale(1 / fine));
    return pattern;
  }

  resize(width, height, scale) {
    const dense = Math.min(2, window.devicePixelRatio || 1);
    Object.assign(this, { width, height, scale });
    for (const each of this.canvases) {
      each.width = Math.round(width * dense);
      each.height = Math.round(height * dense);
      each.style.width = `${width}px`;
      each.style.height = `${height}px`;
      each.getContext("2d").setTransform(dense, 0, 0, dense, 0, 0);
    }
  }

  /** Begin the standing picture anew. */
  ground() {
    this.painted = false;
    this.texts = [];
    this.base.fillStyle = this.colour.background;
    this.base.fillRect(0, 0, this.width, this.height);
  }

  /** Begin the moving picture anew. */
  clear() {
    this.top.clearRect(0, 0, this.width, this.height);
  }

  /** Words at a point of the page, cut to `room` px; the boxes they take are kept. Returns whether they were drawn. */
  words(text, x, y, { colour = "text", size = this.small, bold = false, align = "left", room = Infinity,
      whole = false, head = false } = {}) {
    const pen = this.base;
    pen.font = `${bold ? "600 " : ""}${size}px ${this.font}`;
    pen.textAlign = align;
    pen.fillStyle = this.colour[colour] || colour;
    let shown = text;
    if (pen.measureText(shown).width > room) {
      if (whole) return false;
      while (shown && pen.measureText(`${shown}…`).width > room) shown = shown.slice(0, -1);
      shown = shown.trimEnd() + "…";
      if (shown === "…") return false;
    }
    const w = pen.measureText(shown).width;
    pen.fillText(shown, x, y);
    this.texts.push({ text: shown, x: x - (align === "right" ? w : align === "center" ? w / 2 : 0),
        y: y - size * 0.8, w, h: size, head });
    return true;
  }

  /** The first of several words that fits; where none does, the last, cut. */
  firstFitting(texts, x, y, given) {
    return texts.some((text) => this.words(text, x, y, { ...given, whole: true }))
      || this.words(texts.at(-1), x, y, given);
  }

  /** The width of words as `words` draws them. */
  measure(text, { size = this.small, bold = false } = {}) {
    this.base.font = `${bold ? "600 " : ""}${size}px ${this.font}`;
    return this.base.measureText(text).width;
  }

  /** A text in lines of `room` px, `most` of them; the last one holds all that is left. */
  wrap(text, room, most) {
    const lines = [];
    for (const word of text.split(" ").filter(Boolean)) {
      const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
      if (lines.length && (lines.length === most || this.measure(longer) <= room)) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines;
  }

  line(points, { colour = "line", width = 1, dash = [], pen = this.base } = {}) {
    const s = this.scale;
    pen.beginPath();
    points.forEach(([x, y], n) => (n ? pen.lineTo(x * s, y * s) : pen.moveTo(x * s, y * s)));
    pen.strokeStyle = this.colour[colour];
    pen.lineWidth = width;
    pen.setLineDash(dash);
    pen.lineJoin = "round";
    pen.stroke();
    pen.setLineDash([]);
  }

  curve([x0, y0], [x1, y1], right, { colour = "line", width = 1, pen = this.base } = {}) {
    const s = this.scale, [mx, my] = [(x0 + x1) / 2 * s, (y0 + y1) / 2 * s];
    pen.beginPath();
    pen.moveTo(x0 * s, y0 * s);
    if (right) pen.bezierCurveTo(mx, y0 * s, mx, y1 * s, x1 * s, y1 * s);
    else pen.bezierCurveTo(x0 * s, my, x1 * s, my, x1 * s, y1 * s);
    pen.strokeStyle = this.colour[colour];
    pen.lineWidth = width;
    pen.stroke();
  }

  box([x, y, w, h], { fill = "panel", edge = "line", dash = [] } = {}) {
    const s = this.scale, pen = this.base;
    pen.beginPath();
    pen.roundRect(x * s, y * s, w * s, h * s, 5);
    if (fill) pen.fillStyle = this.colour[fill], pen.fill();
    pen.setLineDash(dash);
    pen.strokeStyle = this.colour[edge];
    pen.lineWidth = 1;
    pen.stroke();
    pen.setLineDash([]);
  }
}
