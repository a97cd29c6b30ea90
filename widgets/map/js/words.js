// The words around the picture: the line below it, the clock, the fault records, the tables, the screen reader's line.
// They are brought up to date a few times a second, however fast tokens come.

import { make, makeTable, say } from "./elements.js";
import { count, duration, hex, many } from "./notation.js";
import { OUTCOMES } from "./tokens.js";

export class Words {
  constructor(view) {
    this.view = view;
    this.timer = 0;
    this.records = [];            // the fault recording registers, as the kernel words them
    this.spoken = -1e9;           // when the status and the tables were last brought up to date, ms
    this.tabled = -1e9;
  }

  close() {
    clearTimeout(this.timer);
  }

  /** Soon. */
  later() {
    if (!this.timer) this.timer = setTimeout(() => { this.timer = 0; this.tell(); }, 200);
  }

  /** Bring everything up to date; now: also what is said seldom. */
  tell(now = false) {
    const { tally, part: p, intake, player, pointer, legend, sentences } = this.view;
    if (!tally) return;
    legend.tell(this.view);
    say(p.clock, `machine time ${duration(tally.clock)}`);
    p.merged.hidden = !intake.merged;
    say(p.merged, `${count(intake.merged)} merged: counted, not drawn`);
    player.showPosition();
    p.badges.forEach((badge, unit) => this.tellBlocked(badge, tally.blocked[unit], unit));
    if (!pointer.hover && pointer.frame < 0) this.rest();
    const time = performance.now();
    if (now || time - this.spoken > 5000) this.spoken = time, say(p.status, sentences.summary(tally));
    if (p.words.open && (now || time - this.tabled > 1000)) this.tabled = time, this.fillTables();
    if (!p.faults.hidden) this.fillFaults();
  }

  /** What a unit refused, on its badge. */
  tellBlocked(badge, blocked, unit) {
    const whose = this.view.scene.units.length > 1 ? ` of vIOMMU ${unit}` : "";
    badge.hidden = !blocked;
    say(badge, `✕ ${blocked < 1000 ? blocked : `${Math.floor(blocked / 1000)}k`}`);
    badge.setAttribute("aria-label", `${many(blocked, "blocked interrupt")}${whose}: show the records`);
  }

  // --- the line below the picture ---

  strip(text) {
    say(this.view.part.strip, text);
  }

  /** Of a place [what, number]. */
  about(place) {
    this.strip(this.view.sentences.about(place, this.view.tally));
  }

  /** Of a place in which nothing can be chosen: a router, a unit beside its entries. */
  aboutFrame(place) {
    const { sentences, places } = this.view;
    const pair = "the lines of the mainboard and the pair of 8259, which asks by INTR";
    this.strip(`${place === places.pic ? pair : sentences.name(place)}${places.assumed(place)}`);
  }

  /** Of interrupts: the first, and how many more. */
  narrate(tokens) {
    if (!tokens.length) return;
    this.strip(this.view.sentences.of(tokens[0]) + (tokens.length > 1 ? `, and ${tokens.length - 1} more` : ""));
  }

  /** When nothing is pointed at: of the trace; else of what is chosen. */
  rest() {
    const { traces, pointer } = this.view;
    if (traces.lit && !pointer.told) this.narrate(traces.tokens);
    else this.describe();
  }

  /** Of what is chosen; else what can be done. */
  describe() {
    const [first] = this.view.pointer.chosen();
    if (first) this.about(first);
    else this.strip("Point at a device, an entry or a vLAPIC; click to select; double click or z: one cluster.");
  }

  // --- tables, fault records ---

  fillTables() {
    const { tally, scene, sentences, part } = this.view, { delivered } = tally;
    const busy = [...delivered.keys()].filter((n) => delivered[n]).sort((a, b) => delivered[b] - delivered[a]);
    part.words.lastChild.replaceChildren(
      make("p", {}, sentences.summary(tally)),
      makeTable("What became of the interrupts", ["outcome", "number"],
        OUTCOMES.map(([name], kind) => [name, count(tally.total[kind])])),
      makeTable("The vLAPICs with most deliveries", ["vLAPIC", "APIC ID", "delivered", "pending"],
        busy.slice(0, 10).map((n) =>
          [n, hex(scene.ids[n]), count(delivered[n]), tally.pending[n] ? "yes" : "no"])),
      makeTable("The last interrupts", ["what happened"],
        tally.recent.slice(-10).reverse().map((token) => [sentences.of(token)])));
  }

  showFaults(open = this.view.part.faults.hidden) {
    const { faults, badges } = this.view.part;
    faults.hidden = !open;
    for (const each of badges) each.setAttribute("aria-expanded", String(open));
    if (open) this.fillFaults();
  }

  fillFaults() {
    const { tally, sentences, part } = this.view, item = (text) => make("li", {}, text);
    const rows = this.records.map(item);
    const last = tally.failed.slice(-8).reverse().map((token) =>
      item(`${duration(token[0])}: ${sentences.of(token)}`));
    part.faults.replaceChildren(
      make("h3", {}, "Fault recording registers"), rows.length ? make("ul", {}, ...rows) : make("p", {},
          "No record is pending."),
      make("h3", {}, "Blocked or lost last"), make("ul", {}, ...last));
  }
}
