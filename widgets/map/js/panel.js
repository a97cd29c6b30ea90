// The map's elements in the page, and which gesture goes where: title, bar, legend, picture, line, records, words.
// widgets/map/map.css has a section for each, in this order.

import { SIGNS, make, makeSign } from "./elements.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const LISTS = [["device", "PCI devices"], ["irte", "Entries of the interrupt remapping table"], ["vlapic", "vLAPICs"]];

/** Make the elements of a view: { part, canvas, lists, stage, room, root }. */
export function buildPanel(view) {
  const part = { ...makeBar(view), ...makeAround(view) }, p = part;
  const [base, middle, top] = [0, 1, 2].map((n) => make("canvas", { "aria-hidden": "true", hidden: n === 1 }));
  const canvas = { base, middle, top };
  const lists = Object.fromEntries(LISTS.map(([name, label]) => [name, makeList(view, name, label)]));
  const stage = make("div", {
    class: "vsim-stage", pointermove: (e) => view.pointer.point(e), pointerleave: () => view.pointer.point(null),
    click: (e) => view.pointer.click(e), dblclick: (e) => view.pointer.zoom(e),
  }, base, middle, top, ...Object.values(lists));
  const room = make("div", { class: "vsim-room" }, stage);
  const root = make("section", { class: "vsim vsim-map", "data-lm-suppress-shortcuts": "true",
      keydown: (e) => view.keyboard.key(e) },
    make("div", { class: "vsim-above" }, make("header", {}, p.title, p.clock),
      make("div", { class: "vsim-bar", role: "toolbar", "aria-label": "Playback" }, p.back, p.play, p.forth, p.speed,
          p.seek, p.pace, p.whole, p.merged)),
    view.legend.root, room, make("div", { class: "vsim-below" }, p.strip, p.faults, p.status, p.words));
  return { part, canvas, lists, stage, room, root };
}

function makeButton(label, text, press, extra = {}) {
  return make("button", { type: "button", "aria-label": label, title: label, click: press, ...extra }, text);
}

/** The bar: time, and what hides a part of the picture. */
function makeBar(view) {
  const { player } = view;
  return {
    back: makeButton("Step back (,)", makeSign(SIGNS.back), () => player.step(-1)),
    play: makeButton("Pause (space)", makeSign(SIGNS.pause), () => player.toggle(), { class: "vsim-play" }),
    forth: makeButton("Step forward (.)", makeSign(SIGNS.forth), () => player.step(1)),
    speed: make("select", { "aria-label": "Speed of the animation",
        change: (e) => view.set("speed", Number(e.target.value)) },
      ...SPEEDS.map((each) => make("option", { value: each }, `${each}×`))),
    seek: make("input", { type: "range", min: 0, value: 0, "aria-label": "Position in the recording",
        input: (e) => player.seek(Number(e.target.value)) }),
    pace: make("span", { class: "vsim-note" }),
    whole: makeButton("Show all again (Escape)", "show all", () => view.wholeAgain(), { hidden: true }),
    merged: make("span", { class: "vsim-note", hidden: true }),
  };
}

/** A badge for each unit of the scene, in the place of those of the former one. */
export function makeBadges({ part, stage, scene, words }) {
  for (const each of part.badges) each.remove();
  part.badges = scene.units.map(() => makeButton("Blocked interrupts", "", () => words.showFaults(),
      { class: "vsim-badge", hidden: true, "aria-expanded": String(!part.faults.hidden) }));
  stage.append(...part.badges);
}

/** What stands around the picture. */
function makeAround(view) {
  return {
    title: make("h2"), clock: make("span", { class: "vsim-clock" }), badges: [],
    strip: make("p", { class: "vsim-strip" }),
    faults: make("div", { class: "vsim-faults", hidden: true }),
    status: make("p", { class: "vsim-said", role: "status", "aria-live": "polite" }),
    words: make("details", { toggle: () => view.words.tell(true) }, make("summary", {}, "In words"), make("div")),
  };
}

function makeList({ keyboard }, name, label) {
  return make("div", { class: "vsim-list", role: "listbox", tabindex: 0, "aria-label": label,
    focus: () => keyboard.focus(name), blur: () => keyboard.focus(null), keydown: (e) => keyboard.arrow(e, name) });
}

/** Lay the list boxes and the badges over what they stand for. */
export function placePanel({ painter, where, scene, lists, part }) {
  const s = painter.scale, { chips, units, size, spine, tiles } = where;
  const put = (element, x, y, w, h) => Object.assign(element.style, { left: `${x * s}px`, top: `${y * s}px`,
      width: `${w * s}px`, height: `${h * s}px` });
  const xs = chips.map(([x]) => x), ys = chips.map(([, y]) => y);
  put(lists.device, Math.min(...xs, size[0]) - 8, Math.min(...ys, size[1]) - 8,
      Math.max(...xs) - Math.min(...xs) + 16, Math.max(...ys) - Math.min(...ys) + 16);
  lists.device.hidden = !chips.length;
  lists.irte.hidden = where.free || !scene.units.some(([entries]) => entries > 0);
  if (units.length) {
    const [x, y, w] = units[0], last = units.at(-1);
    put(lists.irte, x, y, w, last[1] + last[3] - y);
  }
  part.badges.forEach((badge, unit) => {
    const [x, y, w] = units[unit];
    Object.assign(badge.style, { right: `${painter.width - (x + w) * s}px`, top: `${y * s - 21}px` });
  });
  if (where.free) return put(lists.vlapic, 0, 0, ...size);
  const top = Math.min(...tiles.filter(Boolean).map(([, y]) => y)) - 16;
  put(lists.vlapic, spine + 4, top, size[0] - spine - 8, size[1] - top - 2);
}
