// The legend: what each mark and shade means, and how many interrupts ended so.

import { make, say } from "./elements.js";
import { drawMark } from "./marks.js";
import { count } from "./notation.js";
import { DIRECT, MASKED, OUTCOMES } from "./tokens.js";

const ICON = 14;   // px

export class Legend {
  constructor() {
    this.root = make("ul", { class: "vsim-legend", "aria-label": "Legend" });
  }

  /** Begin anew, with nothing counted. */
  fill() {
    const icon = (kind) => {
      const out = make("canvas", { width: 2 * ICON, height: 2 * ICON, "aria-hidden": "true" });
      out.dataset.kind = kind;
      return out;
    };
    const swatch = (more, text) =>
      make("li", {}, make("span", { class: `vsim-swatch${more}`, "aria-hidden": "true" }), text);
    this.counts = OUTCOMES.map(() => make("b", {}, "0"));
    this.most = make("span", {}, "16");
    const label = ([name]) => ({ direct: "IPI or unit's event", masked: "masked, not sent" })[name] ?? name;
    const rows = OUTCOMES.map((each, kind) =>
      make("li", { hidden: kind >= DIRECT }, icon(kind), label(each), " ", this.counts[kind]));
    const shades = Array.from({ length: 16 }, (_, n) => make("i", { style: `background:var(--vsim-heat-${n})` }));
    const scale = make("span", { class: "vsim-heat", "aria-hidden": "true" }, ...shades);
    this.root.replaceChildren(...rows,
      swatch(" vsim-pending", "pending now"), swatch("", "no such APIC ID"), swatch(" vsim-refused", "entry refused"),
      make("li", {}, "deliveries 0", scale, this.most));
    this.rare = [DIRECT, MASKED].map((kind) => [kind, rows[kind]]);
  }

  /** Say the counts. What is sent directly, or masked, has a row only once there is some. */
  tell(tally) {
    OUTCOMES.forEach((_, kind) => say(this.counts[kind], count(tally.total[kind])));
    for (const [kind, row] of this.rare) row.hidden = !tally.total[kind];
    say(this.most, count(tally.tops[0]));
  }

  /** Draw the marks in the theme's colours. */
  paint(painter) {
    for (const each of this.root.querySelectorAll("canvas")) {
      const pen = each.getContext("2d");
      pen.setTransform(2, 0, 0, 2, 0, 0);
      pen.clearRect(0, 0, ICON, ICON);
      drawMark(painter, pen, Number(each.dataset.kind), ICON / 2, ICON / 2, 4);
    }
  }
}
