// The live map of one machine: it holds what its parts share, and they reach one another through it.
//
// scene, tally, places      what is shown, and what has happened in it; table: the entries in use
// picture (where, ways)     the scene in the arrangement that fits the room
// traces, rates             ways that are lit, ways that are busy
// player (flights)          what moves; intake: what is still to come
// pointer, keyboard         gestures
// words, sentences, legend  texts
// part, lists, stage, root  the elements

import { say } from "./elements.js";
import { Intake } from "./intake.js";
import { Keyboard } from "./keyboard.js";
import { Legend } from "./legend.js";
import { Painter } from "./painter.js";
import { buildPanel, makeBadges, placePanel } from "./panel.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Pointer } from "./pointer.js";
import { Rates } from "./rates.js";
import { Sentences } from "./sentences.js";
import { Table, cellOf } from "./table.js";
import { Tally } from "./tally.js";
import { watchTheme } from "./theme.js";
import { Places, unpack } from "./tokens.js";
import { Traces } from "./traces.js";
import { Words } from "./words.js";

class View {
  constructor(model, el) {
    this.model = model;
    this.zoomed = null;       // the tile that is shown alone
    this.stats = { frames: [], painted: 0 };    // for measuring: ms between frames, pictures drawn
    this.legend = new Legend(() => this.shadeIpis());
    this.traces = new Traces(this);
    this.rates = new Rates(this);
    this.words = new Words(this);
    this.pointer = new Pointer(this);
    this.keyboard = new Keyboard(this);
    this.intake = new Intake(this);
    this.player = new Player(this);
    Object.assign(this, buildPanel(this));
    el.append(this.root);
    this.painter = new Painter(this.canvas.base, this.canvas.middle, this.canvas.top, this.root);
    this.listen();
    this.open();
  }

  get where() { return this.picture?.where; }
  get ways() { return this.picture?.ways; }

  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  listen() {
    const on = (name, call) => { this.model.on(name, call); this.off.push(() => this.model.off(name, call)); };
    this.off = [];
    on("msg:custom", (content, buffers) => this.intake.take(content, buffers));
    on("change:scene", () => this.open());
    on("change:present", () => this.open());
    on("change:lit", () => this.relight());
    on("change:playing", () => this.player.showControls());
    on("change:speed", () => this.player.showControls());
    on("change:theme", () => this.theme());
    for (const name of ["device", "irte", "vlapic", "unit"]) on(`change:${name}`, () => this.pointer.point(undefined));
    const watch = (made, element) => { made.observe(element); this.off.push(() => made.disconnect()); };
    const resized = new ResizeObserver(() => { this.theme(); this.layout(); });
    for (const each of [this.root, this.room]) watch(resized, each);
    watch(new IntersectionObserver(([entry]) => {
      this.player.visible = entry.isIntersecting;
      this.player.wake();
    }), this.stage);
    this.off.push(watchTheme(() => this.theme()));
    this.theme();
  }

  close() {
    this.player.close();
    this.words.close();
    this.off.forEach((each) => each());
    this.root.remove();
  }

  theme() {
    const wanted = this.model.get("theme");
    if (wanted === "light" || wanted === "dark") this.root.dataset.theme = wanted;
    else delete this.root.dataset.theme;
    const seen = this.painter.readColours();
    if (seen !== this.seen && this.scene) this.repaint();
    this.seen = seen;
  }

  // --- what is shown ---

  /** Begin with the scene, the counts and the recent tokens that the model has. */
  open() {
    const scene = this.model.get("scene"), stamp = this.model.get("present")?.stamp, { title } = scene ?? {};
    if (!scene?.devices || (scene === this.scene && stamp === this.stamp)) return;
    const first = !this.scene;
    Object.assign(this, { scene, stamp, tally: null, zoomed: null });
    this.places = new Places(scene);
    this.table = new Table(scene);
    this.table.load(this.model.get("table"));
    this.sentences = new Sentences(scene, this.table);
    this.player.open(unpack(this.model.get("tape")));
    this.intake.reset();
    this.rates.reset();
    this.traces.clear();
    this.root.setAttribute("aria-label", `Live map of ${title[0]}`);
    say(this.part.title, `${title[0]} · profile ${title[1]}`);
    this.legend.fill();
    makeBadges(this);
    this.layout(true);
    if (this.player.replay) this.player.setPace(), this.player.seek(0);
    else this.restore();
    if (first && this.model.get("lit")?.byteLength) this.relight();
    this.player.showControls();
  }

  /** Counts as the kernel has them; what was on its way is among them. */
  restore() {
    const present = this.model.get("present");
    this.tally = new Tally(this.scene, this.ipis);
    this.tally.load(present);
    if (this.table.load(present?.table)) this.layout(true);
    for (const token of this.player.tokens) this.tally.remember(token);
    this.words.records = present?.records ?? [];
    this.repaint();
    this.words.tell(true);
  }

  /** Arrange the picture in the room there is, if that has changed. */
  layout(force = false) {
    const given = this.fit();
    let [width, height] = [Math.floor(this.room.clientWidth), given ? Math.floor(this.room.clientHeight) : 0];
    if (width < 40) {                                     // not in the page yet, or hidden
      if (this.where && !force) return;
      [width, height] = [960, 0];
    }
    const key = `${width} ${height} ${this.zoomed} ${window.devicePixelRatio}`;
    if (!this.scene || (!force && key === this.layoutFor)) return;
    this.layoutFor = key;
    this.picture = new Picture(this.scene, width, height, this.zoomed, this.table);
    this.player.flights.reroute(this.ways);
    this.painter.resize(...this.picture.size, this.picture.scale);
    this.stage.style.width = `${this.painter.width}px`;
    this.stage.style.height = `${this.painter.height}px`;
    this.traces.reroute();
    placePanel(this);
    if (this.tally) this.repaint();
  }

  /** Whether the page gives the map a height (`--vsim-map-height`): then everything fits into it. */
  fit() {
    const height = getComputedStyle(this.root).getPropertyValue("--vsim-map-height").trim();
    const given = Boolean(height) && height !== "auto";
    this.root.classList.toggle("vsim-fitted", given);
    return given;
  }

  /** Show one tile alone, or with null all of them. */
  zoom(tile) {
    if (this.where.free) return;
    this.zoomed = tile;
    this.pointer.leave();
    this.showZoom();
    this.layout(true);
    const { vlapic } = this.keyboard.active, inside = this.scene.tiles[tile]?.slice(1) ?? [];
    this.keyboard.enter(["vlapic", tile === null || inside.includes(vlapic) ? vlapic : inside.find((n) => n >= 0)]);
  }

  /** Show 256 entries around one of a unit's table; when it is shown already, the whole table; null: the used part
   *  again. */
  zoomTable(unit, index) {
    const { each, cells, first } = this.table.windows[unit];
    const shown = each === 1 && first <= index && index < first + cells;
    this.table.zoomed = index === null ? null : { unit, first: shown ? -1 : Math.floor(index / 256) * 256 };
    this.table.open();
    this.showZoom();
    this.pointer.leave();
    this.layout(true);
  }

  /** The same around the first entry of a place. */
  zoomTableAt(place) {
    const [unit, cell] = cellOf(place);
    this.zoomTable(unit, this.table.entryOf(unit, cell));
  }

  /** Everything that was zoomed is shown whole again. */
  wholeAgain() {
    if (this.table.zoomed) this.zoomTable(this.table.zoomed.unit, null);
    if (this.zoomed !== null) this.zoom(null);
  }

  /** The button that shows all again is there when something is not shown. */
  showZoom() {
    this.part.whole.hidden = this.zoomed === null && this.table.zoomed === null;
  }

  /** Light what the model has lit. */
  relight() {
    if (!this.ways) return;
    const tokens = unpack(this.model.get("lit"));
    if (!this.traces.has(tokens) && !this.intake.expects(tokens)) this.light(tokens);
    this.pointer.point(undefined);
  }

  /** Light the ways of tokens, a few at most, and tell of the first. starts: as of `Traces.light`. */
  light(tokens, starts = []) {
    this.traces.light(tokens, starts);
    this.pointer.told = false;
    this.words.narrate(tokens);
  }

  /** Whether IPIs and units' own events count in the shades; by default they do not. */
  shadeIpis(on = !this.tally.ipis) {
    this.ipis = this.tally.ipis = on;
    this.legend.shade.setAttribute("aria-pressed", String(on));
    this.repaint();
  }

  // --- drawn ---

  /** Everything. */
  repaint() {
    this.traces.labels.clear();
    this.rates.drawn = -Infinity;
    this.picture.paint(this.painter, this.tally);
    this.tops = this.tally.tops.join();
    this.legend.paint(this.painter);
    this.draw();
  }

  /** What moves or is pointed at. */
  draw() {
    const { painter, player, traces, pointer, rates } = this;
    painter.clear();
    const busy = rates.draw(painter, performance.now(), player.flights.size > 0);
    traces.draw(painter, player.now, player.flights.size);
    player.flights.draw(painter, player.now, this.where.cell, busy);
    pointer.draw(painter);
    this.stats.painted++;
  }

  /** What moves; and everything when a count has outgrown the shades. */
  update() {
    if (this.tally.tops.join() !== this.tops) this.repaint();
    else this.draw();
  }

  /** What moves, unless a frame is about to draw it. */
  refresh() {
    if (this.tally && !this.player.request) this.draw();
  }
}

/** The start: what a host calls with a model and an element; returns what ends it. */
export function render({ model, el }) {
  const view = new View(model, el);
  el.vsim = view;       // for tests
  model.send?.({ kind: "hello", total: view.tally?.total.reduce((a, b) => a + b, 0) ?? 0 });
  return () => view.close();
}

export default { render };
