// The bar of time: a block for each gesture, as wide as the logarithm of its commands. A boot takes little room, and
// none where it was the first that was done; a button shows it. A run with phases has them above, each a button that
// leads to its beginning, and its blocks are wide enough for their names.
// Dragging moves the head at once and asks the kernel for each place that it can keep up with. Text is set as text.

const MOST_ZOOM = 64;
const NAMED_ZOOM = 48;  // with which the blocks around the cursor have room for their names
const SMALL = 8;    // blocks of up to so many commands are gone to as a whole
const LEAST = 2;    // of a block's share of the width
const NAMED = 8;    // the same where blocks have room for their names
const EDGE = 6;     // px beside the ground, where the head has its ends

function make(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function makeButton(text, label, press) {
  const made = make("button", "vsim-small", text);
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", press);
  return made;
}

/** Positions and places: each gesture has its share of the width. */
class Scale {
  constructor(ticks, open, least) {
    this.ticks = ticks;
    this.edges = [0];
    for (const [start, stop, , , boot] of ticks) {
      this.edges.push(this.edges.at(-1) + least + (boot && !open ? 0 : Math.log2(Math.max(1, stop - start))));
    }
    this.whole = this.edges.at(-1) || 1;
  }

  /** The place of a position, from 0 to 1. */
  place(position) {
    const at = this.ticks.findIndex(([, stop]) => position <= stop);
    if (at < 0) return 1;
    const [start, stop] = this.ticks[at], share = Math.max(0, position - start) / (stop - start || 1);
    return (this.edges[at] + share * (this.edges[at + 1] - this.edges[at])) / this.whole;
  }

  /** The position at a place: a small gesture's end, or a command in the midst of a large one. */
  position(place) {
    if (!this.ticks.length) return 0;
    const aim = Math.min(1, Math.max(0, place)) * this.whole;
    const at = Math.min(this.ticks.length - 1, Math.max(0, this.edges.findIndex((edge) => edge > aim) - 1));
    const [start, stop] = this.ticks.at(aim >= this.whole ? -1 : at);
    if (aim >= this.whole) return stop;
    const share = (aim - this.edges[at]) / (this.edges[at + 1] - this.edges[at]);
    if (aim === 0) return start;
    return stop - start <= SMALL ? stop : start + Math.round(share * (stop - start));
  }
}

class Bar {
  constructor({ model, el }) {
    this.model = model;
    this.zoom = model.get("phases").length ? NAMED_ZOOM : 1;
    this.open = false;        // whether what is folded is shown
    this.dragged = null;      // the position under a pointer that is down
    this.at = 0;              // the position that is shown: keys pressed quickly go on from it
    this.asked = 0;
    this.folded = makeButton("", "", () => { this.open = !this.open; this.draw(); });
    this.head = make("i", "vsim-head");
    this.ground = make("div", "vsim-ground");
    for (const [name, value] of Object.entries({ role: "slider", tabindex: 0, "aria-label": "time" })) {
      this.ground.setAttribute(name, value);
    }
    this.ground.dataset.lmSuppressShortcuts = "true";   // or arrows are the notebook's
    this.track = make("div", "vsim-track", this.ground);
    this.closer = makeButton("−", "zoom out", () => this.scale(0.5));
    this.nearer = makeButton("+", "zoom in", () => this.scale(2));
    this.lanes = make("div", "vsim-names");
    this.phases = make("div", "vsim-phases");
    this.phases.setAttribute("role", "group");
    this.phases.setAttribute("aria-label", "phases");
    el.append(this.phases, make("div", "vsim-time", make("div", "vsim-side", this.folded, this.lanes), this.track,
      this.closer, this.nearer));
    this.listen();
    this.draw();
  }

  listen() {
    const { ground, model } = this;
    ground.addEventListener("pointerdown", (e) => this.down(e));
    ground.addEventListener("pointermove", (e) => this.dragged !== null && this.aim(e));
    for (const end of ["pointerup", "pointercancel"]) ground.addEventListener(end, () => this.up());
    ground.addEventListener("keydown", (e) => this.key(e));
    this.heard = () => this.draw();
    this.names = "change:ticks change:here change:last change:fold change:lanes change:forks change:phases";
    model.on(this.names, this.heard);
    this.resized = new ResizeObserver(() => this.show(this.at));
    this.resized.observe(this.track);
  }

  close() {
    this.model.off(this.names, this.heard);
    this.resized.disconnect();
  }

  // --- going somewhere ---

  go(position) {
    if (position === this.dragged) return;
    if (this.dragged !== null) this.dragged = position;
    this.model.set("wanted", [position, ++this.asked + Date.now()]);
    this.model.save_changes();
    this.show(position);
  }

  aim(event) {
    const box = this.ground.getBoundingClientRect();
    this.go(this.map.position((event.clientX - box.left) / box.width));
  }

  down(event) {
    if (event.button) return;
    this.ground.setPointerCapture(event.pointerId);
    this.ground.focus({ preventScroll: true });
    this.dragged = -1;
    this.aim(event);
    event.preventDefault();
  }

  up() {
    if (this.dragged === null) return;
    this.dragged = null;
    this.draw();
  }

  key(event) {
    const here = this.at, ticks = this.map.ticks, ends = ticks.map(([, stop]) => stop);
    const first = ticks[0]?.[0] ?? 0, back = [first, ...ends].filter((each) => each < here).at(-1);
    const to = {
      ArrowRight: event.shiftKey ? here + 1 : ends.find((each) => each > here),
      ArrowLeft: event.shiftKey ? here - 1 : back,
      Home: first, End: this.model.get("last"),
    };
    if (event.key === "+" || event.key === "-") this.scale(event.key === "+" ? 2 : 0.5);
    else if (!(event.key in to) || event.altKey || event.ctrlKey || event.metaKey) return;
    else if (to[event.key] !== undefined) this.go(Math.min(this.model.get("last"), Math.max(0, to[event.key])));
    event.preventDefault();
    event.stopPropagation();
  }

  scale(by) {
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * by));
    this.draw();
    this.track.scrollLeft = this.map.place(this.model.get("here")) * this.ground.offsetWidth - this.track.clientWidth / 2;
  }

  // --- drawn ---

  /** The gestures that are shown; a storm that goes on is the last. */
  shown() {
    const { model } = this, last = model.get("last"), all = [...model.get("ticks")];
    const end = all.length ? all.at(-1)[1] : 0;
    if (last > end) all.push([end, last, "goes on", false]);
    return this.open ? all : all.filter(([, stop]) => stop > model.get("fold"));
  }

  draw() {
    if (this.dragged !== null) return;      // nothing moves under the pointer
    const { model, ground } = this, fold = model.get("fold");
    this.map = new Scale(this.shown(), this.open, model.get("phases").length ? NAMED : LEAST);
    this.showFold(fold);
    this.closer.disabled = this.zoom <= 1;
    this.nearer.disabled = this.zoom >= MOST_ZOOM;
    ground.style.width = `calc(${100 * this.zoom}% - ${2 * EDGE}px)`;
    const row = make("div", "vsim-ticks", ...this.map.ticks.map((tick, n) => this.block(tick, n)), ...this.forks());
    this.lanes.replaceChildren(...model.get("lanes").map(([name]) => make("div", "", name)));
    this.showPhases();
    ground.replaceChildren(row, ...model.get("lanes").map((lane) => this.lane(lane)), this.head);
    this.show(model.get("here"));
  }

  /** The parts of a long run. They are made anew when others are told, so that one that has the focus keeps it. */
  showPhases() {
    const told = this.model.get("phases"), known = JSON.stringify(told);
    this.phases.hidden = !told.length;
    if (known === this.known) return;
    this.known = known;
    this.phases.replaceChildren(...told.map(([start, stop, name]) => {
      const made = makeButton(name, `${name}: commands ${start + 1} to ${stop}`, () => this.go(start));
      made.className = "";
      return made;
    }));
  }

  /** The button: it names what is folded. */
  showFold(fold) {
    const booted = this.model.get("ticks").some(([, , , , boot]) => boot), what = booted ? "boot" : "start";
    const label = `${what}: ${this.open ? "fold it" : "show it in the bar"}`;
    this.folded.hidden = !fold && !booted;
    this.folded.textContent = `${what} ${this.open ? "▾" : "▸"}`;
    for (const [name, value] of Object.entries({ "aria-expanded": this.open, "aria-label": label, title: label })) {
      this.folded.setAttribute(name, value);
    }
  }

  block([start, stop, name, bad], n) {
    const made = make("span", bad ? "bad" : "", name), { edges, whole } = this.map;
    made.style.left = `${100 * edges[n] / whole}%`;
    made.style.width = `${100 * (edges[n + 1] - edges[n]) / whole}%`;
    made.title = `${name}: ${stop - start === 1 ? `command ${stop}` : `commands ${start + 1} to ${stop}`}` +
      (bad ? "; something was refused" : "");
    return made;
  }

  /** Where futures that were replaced branch off. */
  forks() {
    return this.model.get("forks").filter((at) => this.map.ticks.length && at >= this.map.ticks[0][0]).map((at) => {
      const made = make("b", "vsim-fork");
      made.style.left = `${100 * this.map.place(at)}%`;
      made.title = "another future branches off here";
      return made;
    });
  }

  lane([, marks, bad]) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 1000 1");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const first = this.map.ticks[0]?.[0] ?? 0;
    [marks, bad].forEach((places, n) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", places.filter((each) => each > first).map((each) =>
        `M${(1000 * this.map.place(each)).toFixed(1)} 0v1`).join(""));
      if (n) path.setAttribute("class", "bad");
      svg.append(path);
    });
    return make("div", "vsim-lane", svg);
  }

  /** The head, what is behind it and what is before it; the head stays in sight. */
  show(here) {
    const { model, ground, track } = this, last = model.get("last"), place = this.map.place(here);
    this.at = here;
    this.head.style.left = `${100 * place}%`;
    [...ground.firstChild.children].forEach((each, n) => {
      if (this.map.ticks[n]) each.classList.toggle("later", this.map.ticks[n][0] >= here);
    });
    this.folded.classList.toggle("here", here < model.get("fold") && !this.open);
    this.model.get("phases").forEach(([start, stop], n) => {
      const inside = here >= start && (here < stop || here === last);
      this.phases.children[n]?.setAttribute("aria-current", String(inside));
    });
    const now = this.map.ticks.find(([, stop]) => here <= stop)?.[2] ?? "the start";
    for (const [name, value] of Object.entries({ "aria-valuemin": 0, "aria-valuemax": last, "aria-valuenow": here,
      "aria-valuetext": `command ${here} of ${last}, ${now}` })) ground.setAttribute(name, value);
    const x = place * ground.offsetWidth;
    if (this.dragged === null && (x < track.scrollLeft || x > track.scrollLeft + track.clientWidth)) {
      track.scrollLeft = x - track.clientWidth / 2;
    }
  }
}

export default { render(given) {
  const bar = new Bar(given);
  return () => bar.close();
} };
