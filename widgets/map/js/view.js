// The live map: draws a scene (widgets/scene.py) and the tokens (widgets/tokens.py) that travel in it.
//
// A plain ES module without imports: anywidget loads it in JupyterLab, widgets/page.py puts it into a file of its own.
// Colours and lengths come from the custom properties of widgets/theme.py. Text reaches the page as text only.

const OUTCOMES = [
  ["remapped", "square"], ["posted", "diamond"], ["compatibility", "ring"], ["blocked", "cross"], ["direct", "dot"],
];
const [REMAPPED, POSTED, COMPATIBILITY, BLOCKED, DIRECT] = OUTCOMES.keys();
const SAID = ["remapped", "posted", "in compatibility format", "blocked", "sent directly"];
const PAST = 0x10, NO_ENTRY = 0x20, PIN = 0x40;
const NOBODY = 0xffff, LANE = 0.7, RAIL = 6, CURVE = 10, SIDE = 4;
const FLIGHT = 1000;      // motion ms from sender to slot
const MOST = 4096;        // tokens in flight at most; what comes beyond is counted at once, and said
const POINTS = 44;        // corners of a way at most
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const NARROW = 720;       // px below which the tall arrangement is taken

const bdf = (id) => `${hex(id >> 8, 2)}:${hex((id >> 3) & 31, 2)}.${id & 7}`;
const hex = (n, width = 0) => n.toString(16).padStart(width, "0");
const count = (n) => n.toLocaleString("en-US");
const many = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
const bytes = (data) => data ? new DataView(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength) : null;

/** An element: attributes, listeners (functions), children; strings become text. */
function make(tag, attributes = {}, ...children) {
  const out = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") out.addEventListener(name, value);
    else if (value !== false && value != null) out.setAttribute(name, value === true ? "" : value);
  }
  out.append(...children);
  return out;
}

/** A table of rows of texts, with a caption. */
function table(caption, head, rows) {
  const row = (cells, tag, more = {}) => make("tr", {}, ...cells.map((each) => make(tag, more, String(each))));
  return make("table", {}, make("caption", {}, caption), make("thead", {}, row(head, "th", { scope: "col" })),
    make("tbody", {}, ...rows.map((each) => row(each, "td"))));
}

/** A sign on a button, drawn: no font is sure to have it. */
function sign(...paths) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  Object.entries({ viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true", fill: "currentColor" })
    .forEach(([name, value]) => svg.setAttribute(name, value));
  for (const path of paths) {
    const each = document.createElementNS("http://www.w3.org/2000/svg", "path");
    each.setAttribute("d", path);
    svg.append(each);
  }
  return svg;
}

const SIGNS = { play: "M2 1 11 6 2 11Z", pause: "M2 1h3v10H2zM7 1h3v10H7z", forth: "M1 1 8 6 1 11ZM9 1h2v10H9z",
    back: "M11 1 4 6 11 11ZM1 1h2v10H1z" };

/** Set an element's text only when it changes: a screen reader hears a change, the browser lays out again. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The tokens of one packed message, as rows [t_ms, src, dst, irte, outcome, vector]. */
function unpack(data) {
  const view = bytes(data);
  if (!view || view.byteLength < 8) return [];
  const [version, size, total] = [view.getUint8(0), view.getUint8(1), view.getUint32(4, true)];
  if (version !== 1 || size !== 12 || view.byteLength < 8 + 12 * total) return [];
  const out = new Array(total);
  for (let n = 0, at = 8; n < total; n++, at += 12) {
    out[n] = [view.getFloat32(at, true), view.getUint16(at + 4, true), view.getUint16(at + 6, true),
      view.getUint16(at + 8, true), view.getUint8(at + 10), view.getUint8(at + 11)];
  }
  return out;
}

// --- geometry: the same as in widgets/scene.py ---

class Ways {
  /** The ways of a scene in one arrangement. `trace` leaves one in x, y, n; marks: where its parts end. */
  constructor(scene, where) {
    this.scene = scene;
    this.where = where;
    this.right = where.flow === "right";
    this.x = new Float32Array(POINTS);
    this.y = new Float32Array(POINTS);
    this.n = 0;
    this.marks = [0, 0];
    this.first = { router: scene.devices.length };
    this.first.unit = this.first.router + scene.routers.length;
    this.first.vlapic = this.first.unit + scene.units.length;
    this.slotOf = new Map();    // vCPU -> [tile, slot]
    scene.tiles.forEach((row, tile) => row.slice(1).forEach((vcpu, slot) => {
      if (vcpu >= 0) this.slotOf.set(vcpu, [tile, slot]);
    }));
  }

  put(x, y) {
    this.x[this.n] = x;
    this.y[this.n++] = y;
  }

  ports([x, y, w, h], lane = 0.5) {
    return this.right ? [[x, y + lane * h], [x + w, y + lane * h]] : [[x + lane * w, y], [x + lane * w, y + h]];
  }

  curve([x0, y0], [x1, y1]) {
    for (let step = 0; step <= CURVE; step++) {
      const t = step / CURVE, along = 1.5 * t * (1 - t) + t ** 3, across = t * t * (3 - 2 * t);
      this.put(x0 + (x1 - x0) * (this.right ? along : across), y0 + (y1 - y0) * (this.right ? across : along));
    }
  }

  field(unit) {
    const [x, y, w, h] = this.where.units[unit], [across, along] = this.right ? [12, 10] : [10, 12];
    return [x + across, y + along, w - 2 * across, h - 2 * along];
  }

  entry(unit, cell) {
    const [x, y, w, h] = this.field(unit), [columns, rows] = this.where.tables[unit];
    return [x + (cell % columns) * w / columns, y + Math.floor(cell / columns) * h / rows, w / columns, h / rows];
  }

  cellOf(unit, irte) {
    const [, each, cells] = this.scene.units[unit];
    return Math.min(Math.floor(irte / each), Math.max(0, cells - 1));
  }

  /** The box of a vCPU's slot, or null when its tile is out of the picture. */
  slot(vcpu) {
    const { free, slots, cell } = this.where;
    if (free) return [slots[vcpu][0] - cell / 2, slots[vcpu][1] - cell / 2, cell, cell];
    const found = this.slotOf.get(vcpu);
    return found ? this.slotAt(...found) : null;
  }

  slotAt(tile, slot) {
    const { tiles, cell, gap } = this.where;
    if (!tiles[tile]) return null;
    const [x, y] = tiles[tile];
    return [x + (slot % SIDE) * (cell + gap), y + Math.floor(slot / SIDE) * (cell + gap), cell, cell];
  }

  toSlot(vcpu) {
    const { tiles, cell, gap, drop, side, spine } = this.where, found = this.slotOf.get(vcpu);
    if (!found || !tiles[found[0]]) return;
    const [x, y] = tiles[found[0]], slot = found[1], low = y + SIDE * cell + (SIDE - 1) * gap + drop;
    const middle = y + Math.floor(slot / SIDE) * (cell + gap) + cell / 2;
    this.put(spine, low);
    this.put(x - side, low);
    this.put(x - side, middle);
    this.put(x + (slot % SIDE) * (cell + gap) + cell / 2, middle);
  }

  unitOf(src) {
    return src < this.first.router ? Math.max(0, this.scene.devices[src][3]) : 0;
  }

  throughTable(outlet, unit, irte, stopped, noEntry) {
    const [inlet, out] = this.ports(this.where.units[unit]);
    const [x, y, w, h] = this.entry(unit, this.cellOf(unit, irte)), [mx, my] = [x + w / 2, y + h / 2];
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
    const { where, first } = this, middle = ([x, y, w, h]) => [x + w / 2, y + h / 2];
    const at = (place) => place < first.router ? where.chips[place]
      : place < first.unit ? middle(where.routers[place - first.router])
      : place < first.vlapic ? middle(where.units[place - first.unit]) : where.slots[place - first.vlapic];
    const places = src < first.router || src >= first.unit ? [src] : [];
    if (kind !== DIRECT) {
      places.push(outcome & PIN ? first.router : first.unit - 1);
      if (where.units.length) places.push(first.unit);
    }
    if (dst !== NOBODY) places.push(dst);
    for (const place of places.length ? places : [first.unit - 1]) this.put(...at(place));
  }

  /** Trace one token's way. */
  trace(src, dst, irte, outcome) {
    const { where, first, scene } = this, kind = outcome & 7;
    this.n = 0;
    this.marks[0] = this.marks[1] = 0;
    if (where.free) return this.straight(src, dst, kind, outcome);
    if (kind === DIRECT) {
      if (src >= first.vlapic) {
        this.toSlot(src - first.vlapic);
        const [x, y, n] = [this.x.slice(0, this.n).reverse(), this.y.slice(0, this.n).reverse(), this.n];
        this.x.set(x), this.y.set(y), this.n = n;
      } else {
        const road = src >= first.unit ? where.trunks[src - first.unit] : [where.trunks[0][0]];
        for (const [x, y] of road) this.put(x, y);
      }
      if (!this.n) this.put(...where.trunks[0].at(-1));
    } else {
      const router = outcome & PIN ? 0 : scene.routers.length - 1;
      const [inlet, outlet] = this.ports(where.routers[router], LANE);
      if (src < first.router) this.curve(where.chips[src], inlet);
      this.put(...outlet);
      this.marks[0] = this.n - 1;
      const stopped = kind === BLOCKED && !(outcome & PAST);
      if (scene.units.length && (stopped || !(outcome & NO_ENTRY))) {
        const unit = this.unitOf(src);
        this.throughTable(outlet, unit, irte, stopped, outcome & NO_ENTRY);
        if (stopped) return;
        for (const [x, y] of where.trunks[unit]) this.put(x, y);
      } else {
        for (const [x, y] of where.bypass[router].slice(1)) this.put(x, y);
        this.marks[1] = this.n - 1;
      }
    }
    if (dst !== NOBODY) this.toSlot(dst - first.vlapic);
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

// --- what has happened so far ---

class Tally {
  constructor(scene) {
    this.scene = scene;
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

  /** Take over what the kernel counted (widgets/map.py, `Tally.state`). */
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
  add([t, src, dst, irte, outcome], ways, times = 1) {
    const kind = outcome & 7;
    this.total[kind] += times;
    if (src < this.sent.length) this.sent[src] += times;
    if (dst !== NOBODY) this.delivered[dst - ways.first.vlapic] += times;
    if (!(outcome & NO_ENTRY) && this.used.length) {
      const unit = ways.unitOf(src), cell = ways.cellOf(unit, irte);
      (kind === BLOCKED && !(outcome & PAST) ? this.refused : this.used)[unit][cell] += times;
      this.last[unit][cell] = irte;
    }
    this.clock = Math.max(this.clock, t);
  }

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

// --- tokens in motion ---

class Flights {
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

  /** Call draw(x, y) for every token of one outcome. */
  each(kind, now, draw) {
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
      if (corner >= last) { draw(x[a], y[a]); continue; }
      const f = (part - t[a]) / (t[a + 1] - t[a] || 1);
      draw(x[a] + (x[a + 1] - x[a]) * f, y[a] + (y[a + 1] - y[a]) * f);
    }
  }
}

// --- drawing ---

class Painter {
  /** Two canvases: `base` holds what changes seldom, `top` what moves. */
  constructor(base, top, root) {
    this.canvases = [base, top];
    [this.base, this.top] = this.canvases.map((each) => each.getContext("2d"));
    this.root = root;
    this.texts = [];
    this.readColours();
  }

  readColours() {
    const style = getComputedStyle(this.root), of = (name) => style.getPropertyValue(`--vsim-${name}`).trim();
    const names = ["background", "panel", "text", "muted", "line", "slot", "ring", "remapped", "posted",
        "compatibility", "blocked"];
    this.colour = Object.fromEntries(names.map((name) => [name, of(name)]));
    this.colour.direct = this.colour.muted;
    this.heat = Array.from({ length: 16 }, (_, n) => of(`heat-${n}`));
    this.onHeat = this.heat.map((each) => luminance(each) > 0.25 ? "#000000" : "#ffffff");
    this.token = parseFloat(of("token")) || 7;
    this.small = parseFloat(of("font-small")) || 11;
    this.font = style.fontFamily;
    return JSON.stringify([this.colour, this.heat]);
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

  /** Words at a point of the page, cut to `room` px; the boxes they take are kept. Returns whether they were drawn. */
  words(text, x, y, { colour = "text", size = this.small, bold = false, align = "left", room = Infinity,
      whole = false } = {}) {
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
        y: y - size * 0.8, w, h: size });
    return true;
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

  curve([x0, y0], [x1, y1], right) {
    const s = this.scale, pen = this.base, [mx, my] = [(x0 + x1) / 2 * s, (y0 + y1) / 2 * s];
    pen.beginPath();
    pen.moveTo(x0 * s, y0 * s);
    if (right) pen.bezierCurveTo(mx, y0 * s, mx, y1 * s, x1 * s, y1 * s);
    else pen.bezierCurveTo(x0 * s, my, x1 * s, my, x1 * s, y1 * s);
    pen.strokeStyle = this.colour.line;
    pen.lineWidth = 1;
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

  /** Everything that stands still. */
  all(scene, where, ways, tally, zoomed) {
    const pen = this.base, s = this.scale;
    this.texts = [];
    pen.fillStyle = this.colour.background;
    pen.fillRect(0, 0, this.width, this.height);
    this.roads(scene, where, ways);
    this.chips(scene, where);
    where.routers.forEach((box, n) => {
      this.box(box);
      const name = scene.routers[n], [x, y, w, h] = box;
      if (where.free) this.words(name, (x + w / 2) * s, (y + h) * s + 13, { bold: true, align: "center",
          room: w * s + 20 });
      else if (ways.right) this.words(name, (x + w / 2) * s, (y + h * 0.42) * s, { bold: true, align: "center",
          room: w * s - 6 });
      else this.words(name, (x + 6) * s, (y + h / 2) * s + 4, { bold: true, room: w * LANE * s - 12 });
    });
    this.units(scene, where, ways, tally);
    this.wall(scene, where, ways, tally, zoomed);
    this.heads(scene, where, zoomed);
  }

  roads(scene, where, ways) {
    if (where.free) return this.straight(scene, where, ways);
    const inlets = where.routers.map((box) => ways.ports(box, LANE));
    scene.devices.forEach(([, , gsi, , messages], n) => {
      if (gsi >= 0) this.curve(where.chips[n], inlets[0][0], ways.right);
      if (messages) this.curve(where.chips[n], inlets.at(-1)[0], ways.right);
    });
    for (const [inlet, outlet] of inlets) {
      for (const unit of where.units) this.curve(outlet, ways.ports(unit)[0], ways.right);
    }
    const past = scene.units.length ? { dash: [4, 4], colour: "compatibility" } : {};
    for (const road of where.bypass) this.line(road, past);
    if (scene.units.length) where.trunks.forEach((road) => this.line(road, { width: 1.5 }));
    const tile = SIDE * where.cell + (SIDE - 1) * where.gap, there = where.tiles.filter(Boolean);
    const lowOf = ([, y]) => y + tile + where.drop, lows = new Set(there.map(lowOf));
    const trunks = scene.units.length ? where.trunks : [];
    const ends = [...[...where.bypass, ...trunks].map((road) => road.at(-1)[1]), ...lows];
    this.line([[where.spine, Math.min(...ends)], [where.spine, Math.max(...ends)]], { width: 1.5 });
    for (const low of lows) {
      const lefts = there.filter((each) => lowOf(each) === low).map(([x]) => x - where.side);
      this.line([[where.spine, low], [Math.max(...lefts), low]]);
      for (const left of lefts) this.line([[left, low], [left, low - where.drop - tile + where.cell / 2]]);
    }
    if (scene.units.length) {
      const [a, b] = where.bypass[0].slice(-2);
      if (ways.right) this.words("compatibility format", (a[0] + 4) * this.scale, b[1] * this.scale + 13,
          { colour: "compatibility", room: (b[0] - a[0] - 8) * this.scale });
      else this.words("compatibility format", (a[0] - 6) * this.scale, a[1] * this.scale - 7,
          { colour: "compatibility", align: "right", room: a[0] * this.scale / 2 - 20 });
    }
  }

  /** The edges of a caller's own layout; those to the vLAPICs are faint where there are many. */
  straight(scene, where, ways) {
    const middle = ([x, y, w, h]) => [x + w / 2, y + h / 2], middles = where.routers.map(middle);
    scene.devices.forEach(([, , gsi, , messages], n) => {
      if (gsi >= 0) this.line([where.chips[n], middles[0]]);
      if (messages) this.line([where.chips[n], middles.at(-1)]);
    });
    const ends = where.units.length ? where.units.map(middle) : middles;
    const faint = { width: where.slots.length > 100 ? 0.2 : 0.6 };
    if (where.units.length) for (const each of middles) for (const end of ends) this.line([each, end]);
    for (const end of ends) for (const slot of where.slots) this.line([end, slot], faint);
  }

  chips(scene, where) {
    const s = this.scale, pen = this.base, right = where.flow === "right", n = where.chips.length;
    const [across, along] = right ? [0, 1] : [1, 0], { chips, free } = where;
    const single = n < 2 || free || chips[0][across] === chips[n - 1][across];
    const pitch = free ? 54 : n > 1 ? Math.abs(chips[1][along] - chips[0][along]) * s : 200;
    const every = Math.ceil((right ? this.small + 3 : 52) / pitch), side = n > COLUMN_FULL ? 6 : 8;
    where.chips.forEach(([x, y], k) => {
      const [id, name] = scene.devices[k];
      pen.fillStyle = this.colour.muted;
      pen.fillRect(x * s - side / 2, y * s - side / 2, side, side);
      if (!single || k % every) return;
      if (right && !free) this.words(`${bdf(id)} ${name}`.trim(), x * s - 10, y * s + 4, { align: "right",
          room: x * s - 18 });
      else this.words(bdf(id), x * s, y * s - 9, { align: "center", room: Math.max(50, pitch * every) - 2 });
    });
  }

  units(scene, where, ways, tally) {
    const s = this.scale;
    if (where.free) {
      where.units.forEach(([x, y, w, h], n) => {
        this.box([x, y, w, h]);
        this.words(`vIOMMU ${n}`, (x + w / 2) * s, (y + h) * s + 13, { bold: true, align: "center", room: w * s + 20 });
      });
      return;
    }
    if (!scene.units.length) {
      const [x, y] = where.trunks[0][0], box = ways.right ? [x - 112, y - 70, 112, 48] : [x - 70, y - 52, 140, 40];
      this.box(box, { fill: "", edge: "muted", dash: [3, 3] });
      this.words("no vIOMMU", (box[0] + box[2] / 2) * s, (box[1] + box[3] / 2) * s + 4, { align: "center",
          colour: "muted", room: box[2] * s - 8 });
    }
    where.units.forEach((box, unit) => {
      const [entries, each, cells] = scene.units[unit], [x, y, w, h] = box;
      this.box(box, entries < 0 ? { dash: [3, 3] } : {});
      const state = tally.states[unit], [left, top] = [ways.right ? x * s : x * s + 60, y * s - 7],
          room = { colour: "muted", whole: true, room: w * s - (ways.right ? 56 : 116) };
      if (state) this.words(state, left, top, room) || this.words(state.split(" ").at(-1), left, top, room);
      for (let cell = 0; cell < cells; cell++) this.entry(ways, unit, cell, tally);
      const lines = entries < 0 ? ["destroyed"] : !entries ? ["no table yet"]
        : [`${count(entries)} entries`, each > 1 ? `${each} in a cell` : "one in a cell"];
      if (ways.right) lines.forEach((text, n) => this.words(text, (x + w / 2) * s, (y + h) * s + 13 + 13 * n,
          { align: "center", colour: "muted", room: w * s + 30 }));
      else this.words(lines.join(", "), x * s, (y + h) * s + 14, { colour: "muted", room: w * s / 2 - 12 });
    });
  }

  entry(ways, unit, cell, tally) {
    if (ways.where.free) return;
    const [x, y, w, h] = ways.entry(unit, cell).map((n) => n * this.scale), pen = this.base;
    pen.fillStyle = this.heat[tally.shade(tally.used[unit][cell], 1)];
    pen.fillRect(x + 0.5, y + 0.5, w - 1, h - 1);
    if (!tally.refused[unit][cell]) return;
    const side = Math.min(w, h) * 0.6;       // a corner turned down: something was refused here
    for (const [colour, size] of [["background", side + 1.5], ["blocked", side]]) {
      pen.fillStyle = this.colour[colour];
      pen.beginPath();
      pen.moveTo(x + w - 0.5 - size, y + 0.5), pen.lineTo(x + w - 0.5, y + 0.5), pen.lineTo(x + w - 0.5,
          y + 0.5 + size);
      pen.fill();
    }
  }

  wall(scene, where, ways, tally, zoomed) {
    if (where.free) return where.slots.forEach((_, vcpu) => this.slot(scene, ways, vcpu, tally, zoomed));
    const s = this.scale, row = where.tiles.length > 1 && where.columns > 1 && !zoomed;
    const pitch = row ? (where.tiles[1][0] - where.tiles[0][0]) * s : 99;
    this.base.font = `${this.small}px ${this.font}`;
    const longest = Math.max(...scene.tiles.map((row) => this.base.measureText(hex(row[0])).width));
    const every = longest + 4 > pitch ? where.columns : 1, labelled = 14 * s >= 10;
    where.tiles.forEach((at, tile) => {
      if (!at) return;
      if (labelled && !zoomed && tile % every === 0) this.words(hex(scene.tiles[tile][0]), at[0] * s, at[1] * s - 3,
          { colour: "muted" });
      for (let slot = 0; slot < 16; slot++) {
        const vcpu = scene.tiles[tile][slot + 1];
        if (vcpu >= 0) this.slot(scene, ways, vcpu, tally, zoomed);
        else this.empty(ways.slotAt(tile, slot));
      }
    });
  }

  empty(box) {
    const [x, y, w, h] = box.map((n) => n * this.scale), pen = this.base;
    pen.strokeStyle = this.colour.slot;
    pen.lineWidth = 1;
    pen.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
  }

  slot(scene, ways, vcpu, tally, zoomed) {
    const box = ways.slot(vcpu);
    if (!box) return;
    const [x, y, w, h] = box.map((n) => n * this.scale), pen = this.base, shade = tally.shade(tally.delivered[vcpu], 0);
    pen.fillStyle = this.heat[shade];
    pen.fillRect(x, y, w, h);
    if (tally.pending[vcpu]) {
      const line = w > 12 ? 2 : w > 6 ? 1.5 : 1;       // and within it the ground, so that it shows on every shade
      for (const [colour, inset] of w > 5 ? [["background", 1.5 * line], ["ring", 0.5 * line]] : [["ring", 0.5]]) {
        pen.strokeStyle = this.colour[colour];
        pen.lineWidth = line;
        pen.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
      }
    }
    if (w < 22) return;
    const before = this.texts.length, colour = this.onHeat[shade], middle = { colour, align: "center", room: w - 6,
        whole: true };
    if (w > 60) {
      this.words(`vCPU ${vcpu}`, x + w / 2, y + h / 2 - 8, { ...middle, bold: true });
      this.words(`ID ${hex(scene.ids[vcpu])}h`, x + w / 2, y + h / 2 + 6, middle);
      this.words(tally.pending[vcpu] ? `${count(tally.delivered[vcpu])}, pending` : count(tally.delivered[vcpu]),
          x + w / 2, y + h / 2 + 20, middle);
    } else this.words(String(vcpu), x + w / 2, y + h / 2 + 4, middle);
    if (this.painted) this.texts.length = before;   // a cell painted again adds no new box
  }

  heads(scene, where, zoomed) {
    this.painted = true;
    if (where.free) return;
    const s = this.scale, style = { size: 12, bold: true, colour: "text" }, heads = where.heads,
        right = where.flow === "right";
    const clusters = scene.tiles.length, title = zoomed
      ? `cluster ${hex(zoomed.cluster)}: APIC IDs ${hex(zoomed.cluster * 16)} to ${hex(zoomed.cluster * 16 + 15)}`
      : `${many(scene.vlapics, "vLAPIC")} in ${many(clusters, "cluster")} of 16 APIC IDs`;
    const at = (name) => heads[name].map((n) => n * s);
    if (right && where.chips.length) this.words("PCI devices", Math.max(...where.chips.map(([x]) => x)) * s - 10,
        at("devices")[1], { ...style, align: "right", room: 120 * s });
    else this.words("PCI devices", ...at("devices"), { ...style, room: 160 * s });
    if (right) this.words("routers", ...at("routers"), { ...style, room: 110 * s });
    this.words(scene.units.length > 1 ? "vIOMMUs" : "vIOMMU", ...at("units"), { ...style, room: 110 * s });
    this.words(title, ...at("wall"), { ...style, room: this.width - at("wall")[0] - 8 });
  }

  /** The mark of an outcome, r px from its middle to its side. */
  mark(pen, kind, x, y, r) {
    pen.fillStyle = pen.strokeStyle = this.colour[OUTCOMES[kind][0]];
    SHAPES[OUTCOMES[kind][1]](pen, x, y, r);
  }

  haloed(pen, kind, x, y, r) {
    pen.fillStyle = this.colour.background;
    pen.fillRect(x - r - 1.5, y - r - 1.5, 2 * r + 3, 2 * r + 3);
    this.mark(pen, kind, x, y, r);
  }

  /** Everything that moves or is pointed at. */
  frame(view) {
    const pen = this.top, s = this.scale, { flights, now } = view;
    pen.clearRect(0, 0, this.width, this.height);
    for (const { points, kind } of view.lit ?? []) {
      const [x, y] = points.at(-1);
      this.line(points, { colour: OUTCOMES[kind][0], width: 2.5, pen });
      if (!flights.size) this.haloed(pen, kind, x * s, y * s, this.token / 2 + 0.5);
    }
    const dense = flights.size > 1200, room = Math.max(0.65, Math.min(1, view.where.cell * s / 9));
    const r = this.token / 2 * room * (dense ? 0.8 : 1), halo = !dense;
    for (let kind = 0; kind < OUTCOMES.length; kind++) {
      const shape = (dense ? QUICK : SHAPES)[OUTCOMES[kind][1]];
      if (halo) {
        pen.fillStyle = pen.strokeStyle = this.colour.background;
        flights.each(kind, now, (x, y) => pen.fillRect(x * s - r - 1, y * s - r - 1, 2 * r + 2, 2 * r + 2));
      }
      pen.fillStyle = pen.strokeStyle = this.colour[OUTCOMES[kind][0]];
      flights.each(kind, now, (x, y) => shape(pen, x * s, y * s, r));
    }
    for (const [box, colour] of view.rings()) {
      const [x, y, w, h] = box.map((n) => n * s);
      pen.strokeStyle = this.colour.background;
      pen.lineWidth = 4;
      pen.strokeRect(x - 3, y - 3, w + 6, h + 6);
      pen.strokeStyle = this.colour[colour];
      pen.lineWidth = 2;
      pen.strokeRect(x - 3, y - 3, w + 6, h + 6);
    }
  }
}

const COLUMN_FULL = 64;

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
  ring: (pen, x, y, r) => {
    const w = r * 0.5;
    pen.fillRect(x - r, y - r, 2 * r, w), pen.fillRect(x - r, y + r - w, 2 * r, w);
    pen.fillRect(x - r, y - r, w, 2 * r), pen.fillRect(x + r - w, y - r, w, 2 * r);
  },
};

/** Relative luminance of #rrggbb, by which black or white words on it are chosen. */
function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16) / 255)
    .map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// --- the view: DOM, gestures, time ---

class View {
  constructor(model, el) {
    this.model = model;
    this.now = 0;             // motion time, ms
    this.merged = 0;
    this.queue = [];          // [start in motion time, token], not yet on their way
    this.flights = new Flights();
    this.hover = this.active = this.lit = null;
    this.visible = true;
    this.stepping = false;
    this.next = 0;            // replay: the token that starts next
    this.stats = { frames: [], painted: 0 };
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.build(el);
    this.painter = new Painter(this.canvas.base, this.canvas.top, this.root);
    this.listen();
    this.open();
  }

  get replay() { return this.model.get("replay"); }
  get playing() { return this.model.get("playing"); }
  get speed() { return this.model.get("speed"); }

  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  // --- DOM ---

  build(el) {
    const button = (label, text, press, extra = {}) => make("button", { type: "button", "aria-label": label,
        title: label, click: press, ...extra }, text);
    this.part = {
      title: make("h3"), clock: make("span", { class: "vsim-clock" }),
      back: button("Step back (,)", sign(SIGNS.back), () => this.step(-1)),
      play: button("Pause (space)", sign(SIGNS.pause), () => this.toggle(), { class: "vsim-play" }),
      forth: button("Step forward (.)", sign(SIGNS.forth), () => this.step(1)),
      speed: make("select", { "aria-label": "Speed of the animation", change: (e) => this.set("speed",
          Number(e.target.value)) },
        ...SPEEDS.map((each) => make("option", { value: each }, `${each}×`))),
      seek: make("input", { type: "range", min: 0, value: 0, "aria-label": "Position in the recording",
          input: (e) => this.seek(Number(e.target.value)) }),
      pace: make("span", { class: "vsim-note" }),
      whole: button("All clusters (Escape)", "all clusters", () => this.zoom(null), { hidden: true }),
      merged: make("span", { class: "vsim-note", hidden: true }),
      legend: make("ul", { class: "vsim-legend", "aria-label": "Legend" }),
      badge: button("Blocked interrupts", "", () => this.showFaults(), { class: "vsim-badge", hidden: true,
          "aria-expanded": "false" }),
      strip: make("p", { class: "vsim-strip" }),
      faults: make("div", { class: "vsim-faults", hidden: true }),
      status: make("p", { class: "vsim-said", role: "status", "aria-live": "polite" }),
      words: make("details", { toggle: () => this.tell(true) }, make("summary", {}, "In words"), make("div")),
    };
    const p = this.part;
    this.canvas = { base: make("canvas", { "aria-hidden": "true" }), top: make("canvas", { "aria-hidden": "true" }) };
    this.lists = Object.fromEntries([["device", "PCI devices"], ["irte", "Entries of the interrupt remapping table"],
        ["vlapic", "vLAPICs"]]
      .map(([name, label]) => [name, make("div", { class: "vsim-list", role: "listbox", tabindex: 0,
          "aria-label": label,
        focus: () => this.focus(name), blur: () => this.focus(null), keydown: (e) => this.arrow(e, name) })]));
    this.stage = make("div", { class: "vsim-stage", pointermove: (e) => this.point(e),
        pointerleave: () => this.point(null),
      click: (e) => this.click(e), dblclick: (e) => this.zoomAt(e) },
      this.canvas.base, this.canvas.top, p.badge, ...Object.values(this.lists));
    this.root = make("section", { class: "vsim vsim-map", "data-lm-suppress-shortcuts": "true",
        keydown: (e) => this.key(e) },
      make("header", {}, p.title, p.clock),
      make("div", { class: "vsim-bar", role: "toolbar", "aria-label": "Playback" }, p.back, p.play, p.forth, p.speed,
          p.seek, p.pace, p.whole, p.merged),
      p.legend, this.stage, p.strip, p.faults, p.status, p.words);
    el.append(this.root);
  }

  listen() {
    const on = (name, call) => { this.model.on(name, call); this.off.push(() => this.model.off(name, call)); };
    this.off = [];
    on("msg:custom", (content, buffers) => this.take(content, buffers));
    on("change:scene", () => this.open());
    on("change:present", () => this.open());
    on("change:lit", () => { if (this.ways) this.light(unpack(this.model.get("lit"))), this.point(undefined); });
    on("change:playing", () => this.controls());
    on("change:speed", () => this.controls());
    on("change:theme", () => this.theme());
    for (const name of ["device", "irte", "vlapic"]) on(`change:${name}`, () => this.point(undefined));
    const watch = (made, start) => { start(made); this.off.push(() => made.disconnect()); };
    watch(new ResizeObserver(() => { this.theme(); this.layout(); }), (o) => o.observe(this.root));
    watch(new IntersectionObserver(([entry]) => { this.visible = entry.isIntersecting; this.wake(); }),
        (o) => o.observe(this.stage));
    watch(new MutationObserver(() => this.theme()), (o) => [document.documentElement, document.body].forEach((each) =>
      o.observe(each, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-vscode-theme-kind",
          "data-theme"] })));
    const dark = matchMedia("(prefers-color-scheme: dark)"), call = () => this.theme();
    dark.addEventListener("change", call);
    this.off.push(() => dark.removeEventListener("change", call));
    this.theme();
  }

  close() {
    cancelAnimationFrame(this.request);
    clearTimeout(this.timer);
    this.off.forEach((each) => each());
    this.root.remove();
  }

  theme() {
    const wanted = this.model.get("theme");
    if (wanted === "light" || wanted === "dark") this.root.dataset.theme = wanted;
    else delete this.root.dataset.theme;
    if (!this.painter) return;
    const seen = this.painter.readColours();
    if (seen !== this.seen && this.scene) this.repaint();
    this.seen = seen;
  }

  /** Begin with the scene, the counts and the recent tokens that the model has. */
  open() {
    const scene = this.model.get("scene");
    const stamp = this.model.get("present")?.stamp;
    if (!scene?.devices || (scene === this.scene && stamp === this.stamp)) return;
    this.stamp = stamp;
    this.scene = scene;
    this.tokens = unpack(this.model.get("tape"));
    this.flights = new Flights();
    this.queue = [];
    this.waiting = [];
    this.lit = null;
    this.merged = 0;
    this.zoomed = null;
    this.layoutFor = null;
    this.root.setAttribute("aria-label", `Live map of ${scene.title[0]}`);
    say(this.part.title, `${scene.title[0]} · profile ${scene.title[1]}`);
    this.legend();
    this.layout(true);
    if (this.replay) this.pacing(), this.seek(0);
    else this.restore();
    this.controls();
  }

  /** Counts as the kernel has them; what was on its way is among them. */
  restore() {
    this.tally = new Tally(this.scene);
    const present = this.model.get("present");
    this.tally.load(present);
    for (const token of this.tokens) this.tally.remember(token);
    this.records = present?.records ?? [];
    this.repaint();
    this.tell(true);
  }

  legend() {
    const icon = (kind) => {
      const out = make("canvas", { width: 28, height: 28, "aria-hidden": "true" });
      out.dataset.kind = kind;
      return out;
    };
    this.counts = OUTCOMES.map(() => make("b", {}, "0"));
    const label = ([name]) => (name === "direct" ? "IPI or unit's event" : name);
    const rows = OUTCOMES.map((each, kind) =>
      make("li", { hidden: kind === DIRECT }, icon(kind), label(each), " ", this.counts[kind]));
    const shades = Array.from({ length: 16 }, (_, n) => make("i", { style: `background:var(--vsim-heat-${n})` }));
    const scale = make("span", { class: "vsim-heat", "aria-hidden": "true" }, ...shades);
    this.most = make("span", {}, "16");
    this.part.legend.replaceChildren(...rows,
      make("li", {}, make("span", { class: "vsim-swatch vsim-pending", "aria-hidden": "true" }), "pending now"),
      make("li", {}, make("span", { class: "vsim-swatch", "aria-hidden": "true" }), "no such APIC ID"),
      make("li", {}, make("span", { class: "vsim-swatch vsim-refused", "aria-hidden": "true" }), "entry refused"),
      make("li", {}, "deliveries 0", scale, this.most));
    this.directRow = rows[DIRECT];
  }

  // --- layout ---

  layout(force = false) {
    let width = Math.floor(this.root.clientWidth) - 16;   // less the padding
    if (width < 40) {                                     // not in the page yet, or hidden
      if (this.where && !force) return;
      width = 960;
    }
    if (!this.scene) return;
    const tall = width < NARROW, given = this.scene[tall ? "tall" : "wide"];
    const scale = Math.min(tall ? 1.5 : 1.4, width / given.size[0]),
        key = `${width} ${this.zoomed} ${window.devicePixelRatio}`;
    if (!force && key === this.layoutFor) return;
    this.layoutFor = key;
    this.where = this.zoomed === null ? given : magnify(given, this.scene, this.zoomed);
    this.ways = new Ways(this.scene, this.where);
    this.flights.reroute(this.ways);
    this.painter.resize(Math.round(given.size[0] * scale), Math.round(this.where.size[1] * scale), scale);
    this.stage.style.width = `${this.painter.width}px`;
    this.stage.style.height = `${this.painter.height}px`;
    if (this.lit) this.light(this.litTokens);
    this.place();
    if (this.tally) this.repaint();
  }

  /** Lay the list boxes and the badge over what they stand for. */
  place() {
    const s = this.painter.scale, { chips, units, size, spine, tiles } = this.where;
    const put = (element, x, y, w, h) => Object.assign(element.style, { left: `${x * s}px`, top: `${y * s}px`,
        width: `${w * s}px`, height: `${h * s}px` });
    const xs = chips.map(([x]) => x), ys = chips.map(([, y]) => y);
    put(this.lists.device, Math.min(...xs, size[0]) - 8, Math.min(...ys, size[1]) - 8,
        Math.max(...xs) - Math.min(...xs) + 16, Math.max(...ys) - Math.min(...ys) + 16);
    this.lists.device.hidden = !chips.length;
    this.lists.irte.hidden = this.where.free || !this.scene.units.some(([, , cells]) => cells);
    if (units.length) {
      const [x, y, w] = units[0], last = units.at(-1);
      put(this.lists.irte, x, y, w, last[1] + last[3] - y);
      Object.assign(this.part.badge.style, { right: `${this.painter.width - (x + w) * s}px`, top: `${y * s - 24}px` });
    }
    if (this.where.free) return put(this.lists.vlapic, 0, 0, ...size);
    const top = Math.min(...tiles.filter(Boolean).map(([, y]) => y)) - 16;
    put(this.lists.vlapic, spine + 4, top, size[0] - spine - 8, size[1] - top - 2);
  }

  repaint() {
    this.painter.painted = false;
    this.dirty = null;
    this.painter.all(this.scene, this.where, this.ways, this.tally, this.zoomed === null ? null
        : { cluster: this.scene.tiles[this.zoomed][0] });
    this.tops = this.tally.tops.join();
    for (const each of this.part.legend.querySelectorAll("canvas")) {
      const pen = each.getContext("2d");
      pen.setTransform(2, 0, 0, 2, 0, 0);
      pen.clearRect(0, 0, 14, 14);
      this.painter.mark(pen, Number(each.dataset.kind), 7, 7, 4);
    }
    this.draw();
  }

  draw() {
    this.painter.frame(this);
    this.stats.painted++;
  }

  // --- tokens come in ---

  take(content, buffers) {
    if (!["tokens", "step"].includes(content.kind) || !this.tally) return;
    const tokens = unpack(buffers[0]), more = unpack(buffers[1]), times = bytes(buffers[2]);
    more.forEach((token, n) => {
      this.merged += times.getUint32(4 * n, true);
      this.arrive(token, times.getUint32(4 * n, true));
    });
    this.records = content.records ?? [];
    if (content.states && String(content.states) !== String(this.tally.states)) {
      this.tally.states = content.states;
      this.repaint();
    }
    if (content.kind === "step") return this.stepped(tokens, buffers[3], content.clock);
    const first = tokens[0]?.[0] ?? 0, span = Math.max(1e-9, (tokens.at(-1)?.[0] ?? 0) - first);
    const width = Math.min(100, 1.5 * tokens.length) * this.speed;
    for (const token of tokens) this.queue.push([this.now + (token[0] - first) / span * width, token]);
    if (buffers[3]?.byteLength) this.queue.push([this.now + width, null, buffers[3]]);
    this.tally.clock = Math.max(this.tally.clock, content.clock);
    if (this.calm.matches || !this.visible || document.hidden) this.flush();
    else if (this.queue.length > 4 * MOST) this.launch(-Infinity, this.queue.length - 4 * MOST);
    this.wake();
  }

  /** The kernel has gone one step on: what travelled in it is shown, playing or not. */
  stepped(tokens, pending, clock) {
    this.flush();
    this.tally.clock = clock;
    this.go(tokens);
    if (pending?.byteLength) this.waiting = [...(this.waiting ?? []), [this.now + FLIGHT, pending]];
  }

  /** Everything that waits or travels has arrived: nobody is looking, or motion is not wanted. */
  flush() {
    this.flights.land(Infinity, (token) => this.arrive(token));
    const last = this.queue.findLast(([, token]) => token);
    for (const [, token, pending] of this.queue) token ? this.arrive(token) : this.setPending(pending);
    this.queue = [];
    for (const [, pending] of this.waiting ?? []) this.setPending(pending);
    this.waiting = [];
    if (last) this.light([last[1]]);
    this.draw();
    this.later();
  }

  /** Start what is due; `surplus` tokens are counted at once because too many wait. */
  launch(now, surplus = 0) {
    let n = 0;
    for (; n < this.queue.length && (n < surplus || this.queue[n][0] <= now); n++) {
      const [start, token, pending] = this.queue[n];
      if (!token) this.waiting = [...(this.waiting ?? []), [start + FLIGHT, pending]];
      else if (n < surplus || this.flights.full) this.merged++, this.arrive(token);
      else this.flights.add(token, start, this.ways);
    }
    if (n) this.queue.splice(0, n);
  }

  arrive(token, times = 1) {
    const { tally, painter, ways, scene } = this, [, src, dst, irte, outcome] = token;
    tally.add(token, ways, times);
    tally.remember(token);
    if (dst !== NOBODY) this.stain(dst - ways.first.vlapic);
    if (!(outcome & NO_ENTRY) && tally.used.length && scene.units[ways.unitOf(src)][2]) {
      painter.entry(ways, ways.unitOf(src), ways.cellOf(ways.unitOf(src), irte), tally);
    }
  }

  stain(vcpu) {
    this.painter.slot(this.scene, this.ways, vcpu, this.tally, this.zoomed !== null);
  }

  setPending(data) {
    const before = this.tally.pending.slice();
    this.tally.setPending(data);
    before.forEach((was, vcpu) => { if (was !== this.tally.pending[vcpu]) this.stain(vcpu); });
  }

  // --- time ---

  wake() {
    if (this.request || !this.visible || !this.scene) return;
    this.then = undefined;
    this.request = requestAnimationFrame((t) => this.frame(t));
  }

  get moving() {
    if (!this.playing && !this.stepping) return false;
    return this.flights.size || this.queue.length || this.waiting?.length || (this.replay && this.playing
        && this.next < this.tokens.length);
  }

  frame(t) {
    this.request = 0;
    const gap = this.then === undefined ? 0 : t - this.then;
    this.then = t;
    if (gap && this.stats.frames.length < 20000) this.stats.frames.push(gap);
    if (this.playing || this.stepping) this.now += Math.min(gap, 250) * this.speed;
    if (this.replay) this.feed();
    else if (this.playing) this.launch(this.now);
    this.flights.land(this.now, (token) => this.arrive(token));
    while (this.waiting?.length && this.waiting[0][0] <= this.now) this.setPending(this.waiting.shift()[1]);
    if (this.tally.tops.join() !== this.tops) this.repaint();
    else this.draw();
    this.later();
    if (this.stepping && !this.flights.size) this.stepping = false;
    if (this.moving && this.visible) this.request = requestAnimationFrame((next) => this.frame(next));
    else if (this.replay && this.playing && this.next >= this.tokens.length) this.set("playing", false);
  }

  /** Machine time in the page: as recorded when that can be watched, else about 60 tokens a second. */
  pacing() {
    const n = this.tokens.length, span = n > 1 ? this.tokens[n - 1][0] - this.tokens[0][0] : 0;
    const rate = span ? n / span * 1000 : 60;
    this.pace = rate >= 10 && rate <= 5000 ? 1 : span ? n * 1000 / 60 / span : 1;
    this.part.seek.max = String(n);
  }

  startOf(n) {
    return 200 + (this.tokens[n][0] - this.tokens[0][0]) * this.pace;
  }

  feed() {
    if (!this.playing) return;
    while (this.next < this.tokens.length && this.startOf(this.next) <= this.now) {
      const token = this.tokens[this.next], start = this.startOf(this.next++);
      if (this.calm.matches) this.arrive(token), this.light([token]);
      else if (this.flights.full) this.merged++, this.arrive(token);
      else this.flights.add(token, start, this.ways);
    }
  }

  /** Replay: the state before token n. */
  seek(n) {
    this.flights = new Flights();
    this.stepping = false;
    this.merged = 0;
    this.tally = new Tally(this.scene);
    this.records = [];
    for (const token of this.tokens.slice(0, n)) this.tally.add(token, this.ways), this.tally.remember(token);
    this.next = n;
    const over = this.tokens.length ? this.startOf(this.tokens.length - 1) + FLIGHT : 0;
    this.now = n >= this.tokens.length ? over : n ? this.startOf(n) : 0;
    this.lit = null;
    if (n) this.light([this.tokens[n - 1]]);
    this.repaint();
    this.tell(true);
    this.wake();
  }

  toggle() {
    if (this.replay && !this.playing && this.next >= this.tokens.length && !this.flights.size) this.seek(0);
    this.lit = null;
    this.set("playing", !this.playing);
    this.controls();
  }

  step(by) {
    if (this.playing) this.set("playing", false);
    this.controls();
    if (this.model.get("driven")) return this.model.send({ kind: "step", by });
    if (this.replay) {
      if (by < 0) return this.seek(Math.max(0, this.next - 1));
      if (this.next >= this.tokens.length) return undefined;
      this.flights.land(Infinity, (token) => this.arrive(token));
      this.now = this.startOf(this.next);
      this.go([this.tokens[this.next++]]);
    } else if (by > 0) {
      const n = this.queue.findIndex(([, token]) => token);
      if (n < 0) return undefined;
      this.flights.land(Infinity, (token) => this.arrive(token));
      this.go([this.queue.splice(n, 1)[0][1]]);
    }
    return undefined;
  }

  /** These tokens alone on their ways, which are lit. */
  go(tokens) {
    this.light(tokens);
    for (const token of tokens) {
      if (this.calm.matches || this.flights.full || !this.visible) this.arrive(token);
      else this.flights.add(token, this.now, this.ways), this.stepping = true;
    }
    this.tell(true);
    this.draw();
    this.wake();
  }

  /** Light the ways of tokens, a few at most, and tell of the first. */
  light(tokens) {
    const { ways } = this;
    this.lit = tokens.length ? tokens.slice(0, 32).map(([, src, dst, irte, outcome]) => {
      ways.trace(src, dst, irte, outcome);
      return { kind: outcome & 7, points: Array.from({ length: ways.n }, (_, n) => [ways.x[n], ways.y[n]]) };
    }) : null;
    this.litTokens = tokens;
    if (tokens.length) say(this.part.strip, this.sentence(tokens[0]) + (tokens.length > 1
        ? `, and ${tokens.length - 1} more` : ""));
  }

  // --- words ---

  controls() {
    const p = this.part, moving = this.playing;
    p.play.replaceChildren(sign(moving ? SIGNS.pause : SIGNS.play));
    for (const name of ["aria-label", "title"]) p.play.setAttribute(name, moving ? "Pause (space)" : "Play (space)");
    p.speed.value = String(this.speed);
    p.seek.hidden = !this.replay;
    p.back.disabled = !this.replay && !this.model.get("driven");
    say(p.pace, this.replay && this.pace !== 1
        ? `1 s shows ${duration(this.speed * 1000 / this.pace)} of machine time` : "");
    this.wake();
  }

  /** Words are brought up to date a few times a second, however fast tokens come. */
  later() {
    if (!this.timer) this.timer = setTimeout(() => { this.timer = 0; this.tell(); }, 200);
  }

  tell(now = false) {
    const { tally, part: p } = this;
    if (!tally) return;
    OUTCOMES.forEach((_, kind) => say(this.counts[kind], count(tally.total[kind])));
    this.directRow.hidden = !tally.total[DIRECT];
    say(this.most, count(tally.tops[0]));
    say(p.clock, `machine time ${duration(tally.clock)}`);
    p.merged.hidden = !this.merged;
    say(p.merged, `${count(this.merged)} merged: counted, not drawn`);
    if (this.replay) p.seek.value = String(this.next);
    const blocked = tally.total[BLOCKED];
    p.badge.hidden = !blocked || !this.scene.units.length;
    say(p.badge, `✕ ${blocked < 1000 ? blocked : `${Math.floor(blocked / 1000)}k`}`);
    p.badge.setAttribute("aria-label", `${many(blocked, "blocked interrupt")}: show the records`);
    if (!this.hover && !this.lit) this.describe();
    const time = performance.now();
    if (now || time - (this.told ?? -1e9) > 5000) this.told = time, say(p.status, this.summary());
    if (p.words.open && (now || time - (this.worded ?? -1e9) > 1000)) this.worded = time, this.table();
    if (!p.faults.hidden) this.faults();
  }

  summary() {
    const { total, pending } = this.tally, sum = (all) => all.reduce((a, b) => a + b, 0);
    const parts = OUTCOMES.map(([name], kind) => total[kind] ? `${count(total[kind])} ${name}` : "").filter(Boolean);
    const told = many(sum(total), "interrupt") + (parts.length ? `: ${parts.join(", ")}` : "");
    return `${told}. ${many(sum(pending), "vLAPIC")} with one pending.`;
  }

  name(place) {
    const { first } = this.ways, { scene } = this;
    if (place === NOBODY) return "nobody";
    if (place >= first.vlapic) return `vLAPIC ${place - first.vlapic}`;
    if (place >= first.unit) return `vIOMMU ${place - first.unit}`;
    if (place >= first.router) return scene.routers[place - first.router];
    return `${bdf(scene.devices[place][0])} ${scene.devices[place][1]}`.trim();
  }

  sentence([, src, dst, irte, outcome, vector]) {
    const kind = outcome & 7, entry = outcome & NO_ENTRY ? "" : `, entry ${irte}`;
    const who = `${this.name(src)}${outcome & PIN ? " by a pin" : ""}${entry}`, what = `vector ${hex(vector)}h`;
    if (kind === BLOCKED && outcome & PAST) return `${who}: no local APIC took ${what}`;
    if (kind === BLOCKED) return `${who}: blocked, reason ${hex(vector)}h: ${this.scene.reasons[vector] ?? "unknown"}`;
    const end = dst === NOBODY ? "waits in its descriptor" : `to ${this.name(dst)}, ${what}`;
    return `${who}: ${SAID[kind]} ${end}${outcome & 0x80 ? ", which was requested already" : ""}`;
  }

  /** What the strip says of a place [what, number]: its name and its counts. */
  about([what, n]) {
    const { tally, scene } = this;
    if (what === "device") {
      const [id, name, gsi, , messages] = scene.devices[n], pin = gsi >= 0 ? `, GSI ${gsi}` : "";
      return `${`${bdf(id)} ${name}`.trim()} · ${many(messages, "message")}${pin} · ${count(tally.sent[n])} sent`;
    }
    if (what === "irte") {
      const [, each] = scene.units[0], first = n * each;
      const name = each > 1 ? `entries ${first} to ${first + each - 1}` : `entry ${n}`;
      return `${name} · ${count(tally.used[0][n])} remapped or posted · ${count(tally.refused[0][n])} refused`;
    }
    const id = scene.ids[n], place = `APIC ID ${hex(id)}h: cluster ${hex(id >> 4)}, slot ${hex(id & 15)}`;
    const pending = tally.pending[n] ? " · pending now" : "";
    return `vLAPIC ${n} · ${place} · ${count(tally.delivered[n])} delivered${pending}`;
  }

  describe() {
    const chosen = this.chosen(), [first] = chosen;
    say(this.part.strip, first ? this.about(first)
        : "Point at a device, an entry or a vLAPIC; click to select; double click or z: one cluster.");
  }

  table() {
    const { tally, scene } = this, { delivered } = tally;
    const busy = [...delivered.keys()].filter((n) => delivered[n]).sort((a, b) => delivered[b] - delivered[a]);
    this.part.words.lastChild.replaceChildren(
      make("p", {}, this.summary()),
      table("What became of the interrupts", ["outcome", "number"],
        OUTCOMES.map(([name], kind) => [name, count(tally.total[kind])])),
      table("The vLAPICs with most deliveries", ["vLAPIC", "APIC ID", "delivered", "pending"],
        busy.slice(0, 10).map((n) =>
          [n, `${hex(scene.ids[n])}h`, count(delivered[n]), tally.pending[n] ? "yes" : "no"])),
      table("The last interrupts", ["what happened"],
        tally.recent.slice(-10).reverse().map((token) => [this.sentence(token)])));
  }

  showFaults(open = this.part.faults.hidden) {
    this.part.faults.hidden = !open;
    this.part.badge.setAttribute("aria-expanded", String(open));
    if (open) this.faults();
  }

  faults() {
    const { tally } = this, records = this.records ?? [];
    const rows = records.map((each) => make("li", {}, each));
    const last = tally.blocked.slice(-8).reverse().map((token) => make("li", {},
        `${duration(token[0])}: ${this.sentence(token)}`));
    this.part.faults.replaceChildren(
      make("h4", {}, "Fault recording registers"), rows.length ? make("ul", {}, ...rows) : make("p", {},
          "No record is pending."),
      make("h4", {}, "Blocked last"), make("ul", {}, ...last));
  }

  // --- pointing, choosing, keys ---

  /** The places that are selected, as [what, number in the scene]. */
  chosen() {
    const out = [], device = this.scene.devices.findIndex(([id]) => id === this.model.get("device"));
    if (device >= 0) out.push(["device", device]);
    const irte = this.model.get("irte"), vlapic = this.model.get("vlapic");
    const entries = this.scene.units[0]?.[0] ?? 0;
    if (irte >= 0 && irte < entries) out.push(["irte", this.ways.cellOf(0, irte)]);
    if (vlapic >= 0 && vlapic < this.scene.vlapics) out.push(["vlapic", vlapic]);
    return out.reverse();
  }

  boxOf([what, n]) {
    if (what === "device") return [this.where.chips[n][0] - 4, this.where.chips[n][1] - 4, 8, 8];
    if (what === "irte") return this.where.free ? null : this.ways.entry(0, n);
    return this.ways.slot(n);
  }

  rings() {
    const out = this.chosen().map((each) => [this.boxOf(each), "ring"]);
    if (this.hover) out.push([this.boxOf(this.hover), "muted"]);
    if (this.active && this.focused) out.push([this.boxOf([this.focused, this.active[this.focused]]), "remapped"]);
    return out.filter(([box]) => box);
  }

  /** The place under a point of the page: [what, number], or null. */
  at(event) {
    const area = this.stage.getBoundingClientRect(), s = this.painter.scale;
    const [x, y] = [(event.clientX - area.left) / s, (event.clientY - area.top) / s], { where, ways, scene } = this;
    const inside = (box, more = 0) => box && x >= box[0] - more && x < box[0] + box[2] + more && y >= box[1] - more
        && y < box[1] + box[3] + more;
    const chip = where.chips.findIndex((each, n) => inside(this.boxOf(["device", n]), 5));
    if (chip >= 0) return ["device", chip];
    if (!where.free && where.units.length && inside(ways.field(0)) && scene.units[0][2]) {
      const [fx, fy, w, h] = ways.field(0), [columns, rows] = where.tables[0];
      const cell = Math.floor((y - fy) / h * rows) * columns + Math.floor((x - fx) / w * columns);
      return cell < scene.units[0][2] ? ["irte", cell] : null;
    }
    if (where.free) {
      const vcpu = where.slots.findIndex((_, n) => inside(ways.slot(n), 1));
      return vcpu >= 0 ? ["vlapic", vcpu] : null;
    }
    const tile = this.tileAt(x, y);
    if (tile < 0) return null;
    const [tx, ty] = where.tiles[tile], pitch = where.cell + where.gap;
    const slot = Math.floor((y - ty) / pitch) * SIDE + Math.floor((x - tx) / pitch), vcpu = scene.tiles[tile][1 + slot];
    return vcpu >= 0 ? ["vlapic", vcpu] : null;
  }

  tileAt(x, y) {
    const { tiles, cell, gap } = this.where, side = SIDE * (cell + gap);
    return tiles.findIndex((each) => each && x >= each[0] && x < each[0] + side && y >= each[1] && y < each[1] + side);
  }

  point(event) {
    if (event !== undefined) this.hover = event && this.at(event);
    if (this.hover) this.lit = this.playing ? null : this.lit, say(this.part.strip, this.about(this.hover));
    else if (!this.lit) this.describe();
    this.stage.style.cursor = this.hover ? "pointer" : "";
    if (!this.request) this.draw();
  }

  click(event) {
    const found = this.at(event);
    if (!found) return;
    this.choose(found);
    this.active = { ...this.active, [found[0]]: found[1] };
    this.lists[found[0]].focus({ preventScroll: true });
  }

  choose([what, n]) {
    const value = what === "device" ? this.scene.devices[n][0] : what === "vlapic" ? n
      : this.tally.last[0][n] >= 0 ? this.tally.last[0][n] : n * this.scene.units[0][1];
    this.lit = null;
    this.set(what, this.model.get(what) === value ? -1 : value);
    this.point(undefined);
  }

  zoomAt(event) {
    const area = this.stage.getBoundingClientRect(), s = this.painter.scale;
    if (this.zoomed !== null) return this.zoom(null);
    const tile = this.tileAt((event.clientX - area.left) / s, (event.clientY - area.top) / s);
    return tile >= 0 ? this.zoom(tile) : undefined;
  }

  /** Show one tile alone, or with null all of them. */
  zoom(tile) {
    if (this.where.free) return;
    this.zoomed = tile;
    this.hover = null;
    this.part.whole.hidden = tile === null;
    this.layout(true);
    if (tile !== null) this.active = { ...this.active, vlapic: this.scene.tiles[tile].slice(1).find((n) => n >= 0) };
    this.lists.vlapic.focus({ preventScroll: true });
  }

  key(event) {
    const busy = event.target.closest("button, select, input, summary");
    const act = { " ": () => this.toggle(), ",": () => this.step(-1), ".": () => this.step(1),
        f: () => this.showFaults(),
      z: () => this.zoom(this.zoomed === null && this.active?.vlapic >= 0
          ? this.ways.slotOf.get(this.active.vlapic)[0] : null),
      Escape: () => (this.part.faults.hidden ? this.zoomed !== null && this.zoom(null)
          : this.showFaults(false)) }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && busy)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  focus(name) {
    this.focused = name;
    if (name) {
      this.active ??= {};
      this.active[name] ??= 0;
      this.announce(name);
    }
    if (!this.request) this.draw();
  }

  /** The listbox holds one option: the active one. */
  announce(name) {
    const list = this.lists[name], n = this.active[name],
        id = `${this.uid ??= `vsim${Math.random().toString(36).slice(2)}`}-${name}`;
    const total = { device: this.scene.devices.length, irte: this.scene.units[0]?.[2],
        vlapic: this.scene.vlapics }[name];
    const chosen = this.chosen().some(([what, each]) => what === name && each === n);
    list.replaceChildren(make("div", { id, role: "option", "aria-selected": String(chosen), "aria-setsize": total,
        "aria-posinset": n + 1 }, this.about([name, n])));
    list.setAttribute("aria-activedescendant", id);
    say(this.part.strip, this.about([name, n]));
  }

  arrow(event, name) {
    if (event.key === "Enter") {
      this.choose([name, this.active[name]]);
      this.announce(name);
    } else {
      const to = this.neighbour(name, this.active[name], event.key);
      if (to === undefined) return;
      this.active[name] = to;
      this.announce(name);
      if (!this.request) this.draw();
    }
    event.preventDefault();
    event.stopPropagation();
  }

  neighbour(name, n, key) {
    const total = { device: this.scene.devices.length, irte: this.scene.units[0]?.[2],
        vlapic: this.scene.vlapics }[name];
    if (key === "Home" || key === "End") return key === "Home" ? 0 : total - 1;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], PageUp: [0, -4],
        PageDown: [0, 4] }[key] ?? [0, 0];
    if (!dx && !dy) return undefined;
    if (name === "device") return Math.max(0, Math.min(total - 1, n + dx + dy));
    if (name === "irte") {
      const to = n + dx + dy * this.where.tables[0][0];
      return to >= 0 && to < total ? to : n;
    }
    if (this.where.free) return Math.max(0, Math.min(total - 1, n + dx + dy));
    return this.besides(n, dx, dy);
  }

  /** The next vLAPIC from n in a direction on the wall, over empty slots. */
  besides(n, dx, dy) {
    const { columns } = this.where, zoomed = this.zoomed !== null, [tile, slot] = this.ways.slotOf.get(n);
    let x = (zoomed ? 0 : tile % columns) * SIDE + slot % SIDE, y = (zoomed ? 0
        : Math.floor(tile / columns)) * SIDE + Math.floor(slot / SIDE);
    for (;;) {
      x += dx, y += dy;
      const across = Math.floor(x / SIDE), to = zoomed ? this.zoomed : Math.floor(y / SIDE) * columns + across;
      if (x < 0 || y < 0 || across >= (zoomed ? 1 : columns) || (zoomed && y >= SIDE)
          || !this.scene.tiles[to]) return n;
      const vcpu = this.scene.tiles[to][1 + (y % SIDE) * SIDE + x % SIDE];
      if (vcpu >= 0) return vcpu;
    }
  }
}

/** An arrangement in which one tile fills the wall. */
function magnify(where, scene, tile) {
  const left = where.spine + 34, top = Math.min(...where.tiles.map(([, y]) => y)), right = where.flow === "right";
  const wide = where.size[0] - left - 20, high = right ? Math.min(wide, where.size[1] - top - 40) : wide, gap = 6;
  const cell = Math.min(116, (Math.min(wide, high) - 3 * gap) / SIDE);
  return { ...where, cell, gap, drop: 14, side: 12, columns: 1, tiles: where.tiles.map((_, n) => (n === tile ? [left,
      top] : null)),
    size: [where.size[0], right ? where.size[1] : top + SIDE * (cell + gap) + 30] };
}

/** Milliseconds in words, from nanoseconds to seconds. */
function duration(ms) {
  const [value, unit] = ms >= 1000 ? [ms / 1000, "s"] : ms >= 1 || !ms ? [ms, "ms"] : ms >= 1e-3 ? [ms * 1e3, "µs"]
      : [ms * 1e6, "ns"];
  return `${Number(value.toPrecision(value >= 1000 ? 6 : 4)).toLocaleString("en-US")} ${unit}`;
}

function render({ model, el }) {
  const view = new View(model, el);
  el.vsim = view;       // for tests
  model.send?.({ kind: "hello", total: view.tally?.total.reduce((a, b) => a + b, 0) ?? 0 });
  return () => view.close();
}

export default { render };
