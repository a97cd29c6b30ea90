// The legend: what each mark and shade means, and how many interrupts ended so. Marks that are nowhere in the picture
// are not told of.

import { make, say } from "./elements.js";
import { drawAssumed, drawCorner, drawHatch, drawMark } from "./marks.js";
import { count } from "./notation.js";
import { BLOCKED, DIRECT, LOST, OUTCOMES, SPURIOUS } from "./tokens.js";

const ICON = 14;   // px
const TITLES = { direct: "IPI, unit's event, wire", masked: "masked, not sent", lost: "lost, nobody took it" };

// What is put on a slot or an entry: [its words, how it is drawn on a box].
const MARKS = {
  selected: ["selected", ([x, y, w, h], painter, pen) => {
    pen.strokeStyle = painter.colour.ring;
    pen.lineWidth = 2;
    pen.strokeRect(x - 1, y - 1, w + 2, h + 2);
  }],
  pending: ["pending now", ([x, y, w, h], painter, pen) => {
    pen.strokeStyle = painter.colour.ring;
    pen.lineWidth = 2;
    pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
  }],
  refused: ["entry refused", (box, painter, pen) => drawCorner(painter, box, "blocked", true, true, pen)],
  lost: ["entry sent to nobody", (box, painter, pen) => drawCorner(painter, box, "lost", true, false, pen)],
  stale: ["cached copy is stale", (box, painter, pen) => drawCorner(painter, box, "stale", false, true, pen)],
  spurious: ["spurious", (box, painter, pen) => drawCorner(painter, box, "muted", false, false, pen)],
  assumed: ["assumed in part: point at it", (box, painter, pen) => drawAssumed(painter, box, pen)],
  far: ["no device reaches it", ([x, y, w, h], painter, pen) => drawHatch(painter, pen, x, y, w, h)],
};

export class Legend {
  /** shade: what the switch calls that lets IPIs count in the shades, too. */
  constructor(shade) {
    this.root = make("ul", { class: "vsim-legend", "aria-label": "Legend" });
    this.shade = make("button", { type: "button", class: "vsim-shade", "aria-pressed": "false", click: shade,
        title: "Whether IPIs, units' own events and wires count in the shades of the vLAPICs" }, "shade");
  }

  /** Begin anew, with nothing counted. */
  fill() {
    const icon = (name, of) => {
      const out = make("canvas", { width: 2 * ICON, height: 2 * ICON, "aria-hidden": "true" });
      out.dataset[name] = of;
      return out;
    };
    this.counts = OUTCOMES.map(() => make("b", {}, "0"));
    this.most = make("span", {}, "16");
    this.rows = OUTCOMES.map(([name], kind) => make("li", { hidden: kind >= DIRECT }, icon("kind", kind),
        TITLES[name] ?? name, " ", this.counts[kind], ...(kind === DIRECT ? [this.shade] : [])));
    this.marks = Object.fromEntries(Object.entries(MARKS).map(([name, [text]]) =>
      [name, make("li", { hidden: true }, icon("mark", name), make("span", {}, text))]));
    this.empty = make("li", { hidden: true }, make("span", { class: "vsim-swatch", "aria-hidden": "true" }),
        "no such APIC ID");
    const shades = Array.from({ length: 16 }, (_, n) => make("i", { style: `background:var(--vsim-heat-${n})` }));
    const scale = make("span", { class: "vsim-heat", "aria-hidden": "true" }, ...shades);
    this.root.replaceChildren(...this.rows, ...Object.values(this.marks), this.empty,
      make("li", {}, "deliveries 0", scale, this.most));
  }

  /** Say the counts. What seldom happens has a row only once there is some. */
  tell({ tally, scene, table, pointer }) {
    OUTCOMES.forEach((_, kind) => {
      say(this.counts[kind], count(tally.total[kind]));
      this.rows[kind].hidden = kind >= DIRECT && !tally.total[kind];
    });
    say(this.most, count(tally.tops[0]));
    const there = { selected: pointer.chosen().length, pending: tally.pending.includes(1),
      refused: tally.total[BLOCKED], lost: tally.total[LOST], spurious: tally.total[SPURIOUS],
      stale: table.rows.some((rows) => [...rows.values()].some((row) => row.stale)),
      assumed: Object.keys(scene.assumed ?? {}).length,
      far: scene.ids.some((id) => id > tally.reach[0]) };
    for (const [name, row] of Object.entries(this.marks)) row.hidden = !there[name];
    if (there.far) say(this.marks.far.lastChild, `no device reaches it: ${tally.reach[1]}`);
    this.empty.hidden = !scene.tiles.some((row) => row.includes(-1));
  }

  /** Draw the marks in the theme's colours. */
  paint(painter) {
    for (const each of this.root.querySelectorAll("canvas")) {
      const pen = each.getContext("2d"), { kind, mark } = each.dataset;
      pen.setTransform(2, 0, 0, 2, 0, 0);
      pen.clearRect(0, 0, ICON, ICON);
      if (kind) drawMark(painter, pen, Number(kind), ICON / 2, ICON / 2, 4);
      else {
        pen.fillStyle = painter.heat[mark === "far" ? 0 : 6];
        pen.fillRect(2, 2, ICON - 4, ICON - 4);
        MARKS[mark][1]([2, 2, ICON - 4, ICON - 4], painter, pen);
      }
    }
  }
}
