// Tokens, one for an interrupt that travels: [t_ms, src, dst, irte, outcome, vector], as widgets/map/tokens.py packs
// them. A place (src, dst) is a number in one row: devices, routers, units, vLAPICs, then the lines of the mainboard.

/** Outcomes by number: the name, which is also the colour's, and the shape of the mark. */
export const OUTCOMES = [
  ["remapped", "square"], ["posted", "diamond"], ["compatibility", "ring"], ["blocked", "cross"], ["direct", "dot"],
  ["masked", "cross"], ["lost", "void"], ["spurious", "dot"],
];
export const POSTED = 1;
export const BLOCKED = 3;
export const DIRECT = 4;
export const MASKED = 5;          // it never became a message: it ends at its router, or at the 8259
export const LOST = 6;            // nobody refused it and nobody took it
export const SPURIOUS = 7;        // a vCPU asked for a vector when none was there any more

// Flags beside the outcome, which is in bits 2:0.
export const PIN = 0x40;          // came from a pin of the vIOAPIC; from a vLAPIC: by its own LINT or timer
export const NO_ENTRY = 0x20;     // no entry of the table took part
const PAST = 0x10;         // lost only behind the unit: no local APIC took it
export const STALE = 0x08;        // the unit used a copy of its entry that differs from memory
export const NOBODY = 0xffff;     // dst of a token that reaches no vLAPIC

/** Whether an interrupt goes no further than its unit, by its outcome. */
export const endsAtUnit = (outcome) => (outcome & 7) === BLOCKED || ((outcome & 7) === LOST && !(outcome & PAST));

/** A view of bytes, however they came; null for none. */
export const bytes = (data) => data ? new DataView(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength) : null;

/** The tokens of one packed message. */
export function unpack(data) {
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

/** What the numbers of a token mean in a scene. */
export class Places {
  constructor(scene) {
    this.scene = scene;
    this.router = scene.devices.length;                 // the first router, unit and vLAPIC
    this.unit = this.router + scene.routers.length;
    this.vlapic = this.unit + scene.units.length;
    this.pic = this.vlapic + scene.vlapics;             // the lines of the mainboard
  }

  /** The unit behind which a sender sits. */
  unitOf(src) {
    return src < this.router ? Math.max(0, this.scene.devices[src][3]) : 0;
  }

  /** What no dump says of a place, behind what is said of it; "" where all is known. */
  assumed(place) {
    const words = this.scene.assumed?.[place];
    return words ? ` \u00b7 ${words}` : "";
  }
}
