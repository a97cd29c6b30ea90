// What an interrupt did and what a place is, in words.

import { bdf, count, hex, many } from "./notation.js";
import { cellOf } from "./table.js";
import { BLOCKED, DIRECT, LOST, MASKED, NOBODY, NO_ENTRY, OUTCOMES } from "./tokens.js";
import { PIN, POSTED, Places, SPURIOUS, STALE, endsAtUnit } from "./tokens.js";

const SAID = ["remapped", "posted", "in compatibility format", "blocked", "sent directly"];

/** The sentences of one scene. */
export class Sentences {
  constructor(scene, table) {
    this.scene = scene;
    this.table = table;
    this.places = new Places(scene);
  }

  /** The name of a token's src or dst. */
  name(place) {
    const { scene, places } = this;
    if (place === NOBODY) return "nobody";
    if (place === places.pic) return "a line of the mainboard";
    if (place >= places.vlapic) return `vLAPIC ${place - places.vlapic}`;
    if (place >= places.unit) return `vIOMMU ${place - places.unit}`;
    if (place >= places.router) return scene.routers[place - places.router];
    return `${bdf(scene.devices[place][0])} ${scene.devices[place][1]}`.trim();
  }

  /** What became of one interrupt. */
  of([, src, dst, irte, outcome, vector]) {
    const kind = outcome & 7, entry = outcome & NO_ENTRY ? "" : `, entry ${irte}`;
    const who = `${this.name(src)}${outcome & PIN ? " by a pin" : ""}${entry}`, what = `vector ${hex(vector)}`;
    if (kind === DIRECT && src === this.places.pic) {
      const way = outcome & PIN ? "INTR and pin 0 of the I/O APIC" : "INTR and LINT0";
      return `IRQ ${vector} at the 8259: asked of ${this.name(dst)} by ${way}; it fetches the vector when it takes it`;
    }
    if (kind === DIRECT && src === dst && outcome & PIN) return `${this.name(src)}, own LINT pin or timer: ${what}`;
    if (kind === SPURIOUS) return `${this.name(src)}: spurious, ${what}`;
    if (kind === LOST) return `${who}: lost, no local APIC took ${what}`;
    if (kind === BLOCKED) return `${who}: blocked, reason ${hex(vector)}: ${this.scene.reasons[vector] ?? "unknown"}`;
    if (kind === MASKED) return `${who}: ${this.scene.masked?.[vector] ?? "masked"}`;
    const end = dst === NOBODY ? "waits in its descriptor" : `to ${this.name(dst)}, ${what}`;
    return `${who}: ${SAID[kind]} ${end}${outcome & 0x80 ? ", which was requested already" : ""}`;
  }

  /** What is said at the stops of its way: at the router, at the table, at its end; "" for nothing. short: the
   *  table's without the words that its place and the others say. */
  stops([, src, dst, irte, outcome, vector], short = false) {
    const { scene, places } = this, kind = outcome & 7, what = `vector ${hex(vector)}`;
    const end = dst === NOBODY ? "" : `vCPU ${dst - places.vlapic}${outcome & 0x80 ? ", requested already" : ""}`;
    if (kind === DIRECT && src === places.pic) {
      return [`IRQ ${vector}`, "", `${end}, by ${outcome & PIN ? "pin 0" : "LINT0"}`];
    }
    if (kind === DIRECT) return ["", "", `${end}, ${what}`];
    if (kind === MASKED) return ["", "", scene.masked?.[vector] ?? "masked"];
    if (kind === SPURIOUS) return ["", "", `${end}: spurious, ${what}`];
    if (outcome & NO_ENTRY) {
      const said = kind === LOST ? "lost: no local APIC takes it" : `blocked, reason ${hex(vector)}`;
      return ["compatibility format", "", kind === BLOCKED || kind === LOST ? said : `${end}, ${what}`];
    }
    const entry = `IRTE ${irte}${outcome & STALE ? ", cached copy" : ""}`;
    const id = dst === NOBODY ? "" : ` \u2192 ${short ? "ID" : "APIC ID"} ${hex(scene.ids[dst - places.vlapic])}`;
    if (endsAtUnit(outcome)) {
      return [`handle ${irte}`, "", `${entry}: blocked, reason ${hex(vector)}`];
    }
    const said = kind === POSTED ? `${entry}: posted, ${what}` : `${entry}: ${short ? hex(vector) : what}${id}`;
    return [`handle ${irte}`, said, kind === LOST ? "lost: no local APIC takes it" : end];
  }

  /** Who uses the entry of a place, and where it sends. */
  user(place) {
    const row = this.table.rowOf(...cellOf(place));
    if (!row) return " · not in use";
    if (!row.present) return " · not present, a copy of it is in use";
    const where = row.posted ? "posted" : `\u2192 APIC ID ${hex(row.dst)}`;
    return ` · ${bdf(row.sid)}, vector ${hex(row.vector)} ${where}${row.stale ? " · the unit has a stale copy" : ""}`;
  }

  /** A place [what, number]: its name and its counts. */
  about([what, n], tally) {
    const { scene } = this;
    if (what === "device") {
      const [id, name, gsi, , messages] = scene.devices[n], pin = gsi >= 0 ? `, GSI ${gsi}` : "";
      return [`${bdf(id)} ${name}`.trim(), `${many(messages, "message")}${pin}`, `${count(tally.sent[n])} sent`]
        .join(" · ") + this.places.assumed(n);
    }
    if (what === "irte") {
      const [unit, cell] = cellOf(n), window = this.table.windows[unit], { each } = window;
      const first = this.table.entryOf(unit, cell), whose = scene.units.length > 1 ? `vIOMMU ${unit}, ` : "";
      const name = whose + (each > 1 ? `entries ${first} to ${first + each - 1}` : `entry ${first}`);
      const of = (what_) => tally.ofCell(what_, unit, window, cell);
      const lost = of("lost") ? ` · ${count(of("lost"))} lost` : "";
      const letIn = `${count(of("used"))} remapped or posted`, refused = `${count(of("refused"))} refused`;
      return `${name}${this.user(n)} · ${letIn} · ${refused}${lost}${this.places.assumed(this.places.unit + unit)}`;
    }
    const id = scene.ids[n], place = `APIC ID ${hex(id)}: cluster ${hex(id >> 4)}, slot ${hex(id & 15)}`;
    const pending = tally.pending[n] ? " · pending now" : "", far = id > tally.reach[0] ? ` · ${tally.reach[1]}` : "";
    const more = [["direct", "sent directly"], ["spurious", "spurious"]].map(([name, text]) =>
      (tally[name][n] ? ` · ${count(tally[name][n])} ${text}` : "")).join("");
    return `vLAPIC ${n} · ${place} · ${count(tally.delivered[n])} delivered${more}${pending}${far}`
      + this.places.assumed(this.places.vlapic + n);
  }

  /** All counts in a line. */
  summary({ total, pending }) {
    const sum = (all) => all.reduce((a, b) => a + b, 0);
    const parts = OUTCOMES.map(([name], kind) => total[kind] ? `${count(total[kind])} ${name}` : "").filter(Boolean);
    const told = many(sum(total), "interrupt") + (parts.length ? `: ${parts.join(", ")}` : "");
    return `${told}. ${many(sum(pending), "vLAPIC")} with one pending.`;
  }
}
