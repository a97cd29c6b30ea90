// Labels at the stops of a trace: what the message names, what the entry makes of it, where it ends. Each finds a place
// beside its stop where it covers no other label and as little else as can be.

const TOLD = 3;           // traces that have labels, at most
const HIGH = 18;          // px of a label
const APART = [10, 26, 44, 66, 90];
const COVERED = { words: 150, head: 400, line: 6 };   // what it costs to cover words, a heading, a point of a way
const SMALL = 420;       // px of a picture in which labels are as short as can be
const BADGE = [44, 22];   // px, room of a unit's badge above its upper right corner

export class Labels {
  constructor() {
    this.clear();
  }

  clear() {
    this.placed = null;   // [{ text, x, y, w, h, stop: [x, y], trace, at }], px
  }

  /** Draw those of the stops that are passed. reached(trace): how far it has come. */
  draw(view, traces, reached) {
    this.placed ??= placeLabels(view, traces.slice(0, TOLD));
    for (const each of this.placed) if (reached(each.trace) >= each.at) drawLabel(view.painter, each);
  }
}

/** The labels of traces with their places; the table's first, since that is where the message becomes another. */
function placeLabels({ painter, sentences, where }, traces) {
  const taken = badgeBoxes(painter, where);
  const out = [], seen = new Set(), s = painter.scale, lines = traces.flatMap(({ points }) => samples(points, s));
  const wanted = [1, 2, 0, 3].flatMap((stop) => traces.map((trace) => [trace, stop]));
  for (const [trace, stop] of wanted) {
    const { points, ghost, token, times, stops } = trace, corner = stop >= 2 ? points.length - 1 : stops[stop];
    const text = stop === 3 ? ghost?.text : sentences.stops(token, painter.width < SMALL)[stop];
    const at = (stop === 3 && ghost ? ghost.points.at(-1) : points[corner]).map((n) => n * s), key = `${text} ${at}`;
    if (!text || seen.has(key)) continue;
    seen.add(key);
    const w = Math.min(painter.measure(text, { bold: stop === 1 }) + 12, painter.width - 4);
    out.push({ text, stop: at, trace, w, h: HIGH, bold: stop === 1, at: stop >= 2 ? 1 : times[corner],
      colour: stop === 3 ? "muted" : trace.colour,
      ...findRoom(painter, at, w, [...taken, ...out], lines) });
  }
  return out;
}

/** Where the badges of units are, or will be when one is refused. */
function badgeBoxes({ scale }, { free, units }) {
  return free ? [] : units.map(([x, y, width]) => {
    const [w, h] = BADGE;
    return { x: (x + width) * scale - w, y: y * scale - h, w, h };
  });
}

/** Points along a way, close to one another. */
function samples(points, s) {
  const out = [];
  for (let n = 1; n < points.length; n++) {
    const [x0, y0, x1, y1] = [...points[n - 1], ...points[n]].map((each) => each * s);
    const pieces = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / 8));
    for (let k = 0; k <= pieces; k++) out.push([x0 + (x1 - x0) * k / pieces, y0 + (y1 - y0) * k / pieces]);
  }
  return out;
}

export const boxesMeet = (a, b, air = 0) => a.x < b.x + b.w + air && b.x < a.x + a.w + air
  && a.y < b.y + b.h + air && b.y < a.y + a.h + air;

/** Where a label of width w stands: of all places around its stop the one that costs least. */
function findRoom(painter, [sx, sy], w, placed, lines) {
  let best = null;
  const within = (x, y) => [Math.max(2, Math.min(painter.width - w - 2, x)),
    Math.max(2, Math.min(painter.height - HIGH - 2, y))];
  const corners = APART.flatMap((d) => [[sx + d, sy - HIGH / 2], [sx - w - d, sy - HIGH / 2],
    ...[d, -w - d, -w / 2, -w / 4, -3 * w / 4].flatMap((left) => [[sx + left, sy - HIGH - d], [sx + left, sy + d]])]);
  const rows = Array.from({ length: Math.floor(painter.height / (HIGH + 4)) }, (_, n) => [sx - w / 2, n * (HIGH + 4)]);
  for (const [x, y] of [...corners, ...rows].map(([a, b]) => within(a, b))) {
    const box = { x, y, w, h: HIGH };
    if (placed.some((each) => boxesMeet(box, each, 3))) continue;
    const words = painter.texts.filter((each) => boxesMeet(box, each))
      .reduce((sum, { head }) => sum + (head ? COVERED.head : COVERED.words), 0);
    const crossed = lines.filter(([a, b]) => a > x - 2 && a < x + w + 2 && b > y - 2 && b < y + HIGH + 2).length;
    const far = Math.hypot(Math.max(x - sx, 0, sx - x - w), Math.max(y - sy, 0, sy - y - HIGH));
    const cost = far + words + COVERED.line * crossed;
    if (!best || cost < best.cost) best = { x, y, cost };
  }
  return best ?? { x: within(sx, sy)[0], y: within(sx, sy)[1], cost: Infinity };
}

function drawLabel(painter, { text, x, y, w, h, bold, stop: [sx, sy], colour: name }) {
  const pen = painter.top, colour = painter.colour[name];
  const [nx, ny] = [Math.max(x, Math.min(x + w, sx)), Math.max(y, Math.min(y + h, sy))];
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(sx, sy), pen.lineTo(nx, ny);
  pen.stroke();
  pen.beginPath();
  pen.roundRect(x, y, w, h, 4);
  pen.fillStyle = painter.colour.background;
  pen.fill(), pen.stroke();
  pen.font = `${bold ? "600 " : ""}${painter.small}px ${painter.font}`;
  pen.textAlign = "center";
  pen.fillStyle = painter.colour.text;
  pen.fillText(text, x + w / 2, y + h - 5, w - 6);
}
