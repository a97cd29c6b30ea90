// The entries in use of the remapping tables, as the kernel tells them (widgets/map/table.py), and the window on each
// table that the picture shows: its used part by default, or what somebody has zoomed to. A *place* is the number of a
// cell among those of all tables.

import { bytes } from "./tokens.js";

const CELLS = 256;        // of a table at most
const FEWEST = 16;        // entries that a window shows at least
const SIZE = 12;          // bytes of a row
const PRESENT = 1;
const POSTS = 2;
const STALE_COPY = 4;

/** The unit and the cell of a place. */
export const cellOf = (place) => [Math.floor(place / CELLS), place % CELLS];

/** The place of a unit's cell; -1 for none. */
export const placeOf = (unit, cell) => (cell < 0 ? -1 : unit * CELLS + cell);

export class Table {
  constructor(scene) {
    this.scene = scene;
    this.rows = scene.units.map(() => new Map());
    this.windows = scene.units.map(([, each, cells, first]) => ({ each, cells, first }));
    this.zoomed = null;   // { unit, first }: 256 entries from there; first -1: all entries
  }

  /** Take over what the kernel tells; whether a window has changed by it. */
  load(data) {
    const view = bytes(data);
    if (!view) return false;
    this.rows = this.scene.units.map(() => new Map());
    for (let at = 0; at + SIZE <= view.byteLength; at += SIZE) {
      const flags = view.getUint8(at + 1);
      this.rows[view.getUint8(at)]?.set(view.getUint16(at + 2, true), {
        present: Boolean(flags & PRESENT), posted: Boolean(flags & POSTS), stale: Boolean(flags & STALE_COPY),
        sid: view.getUint16(at + 4, true), vector: view.getUint8(at + 6), dst: view.getUint32(at + 8, true) });
    }
    return this.open();
  }

  /** Choose every window; whether one is another than before. */
  open() {
    const before = JSON.stringify(this.windows), all = CELLS;
    this.windows = this.scene.units.map(([total], unit) => {
      if (this.zoomed?.unit !== unit || total <= 0) return windowOf([...this.rows[unit].keys()], total);
      const { first } = this.zoomed;
      if (first < 0) return { each: Math.max(1, total / all), cells: Math.min(all, total), first: 0 };
      return { each: 1, cells: Math.min(all, total), first };
    });
    return before !== JSON.stringify(this.windows);
  }

  /** The cell of an entry, -1 when the window does not show it. */
  cellOf(unit, index) {
    const { each, cells, first } = this.windows[unit], cell = Math.floor((index - first) / each);
    return cell >= 0 && cell < cells ? cell : -1;
  }

  /** The first entry of a cell. */
  entryOf(unit, cell) {
    const { each, first } = this.windows[unit];
    return first + cell * each;
  }

  /** How many cells the units before one show; by default how many all do. */
  cellsBefore(unit = this.windows.length) {
    return this.windows.slice(0, unit).reduce((sum, { cells }) => sum + cells, 0);
  }

  /** The place `by` cells on from one, in the next table when this one ends; undefined when there is none. */
  beside(place, by) {
    let [unit, cell] = cellOf(place);
    cell += by;
    while (cell < 0 && unit > 0) cell += this.windows[--unit].cells;
    while (unit < this.windows.length - 1 && cell >= this.windows[unit].cells) cell -= this.windows[unit++].cells;
    return cell >= 0 && cell < this.windows[unit].cells ? placeOf(unit, cell) : undefined;
  }

  /** The row of the one entry of a cell, or of the first in use of its entries. */
  rowOf(unit, cell) {
    const first = this.entryOf(unit, cell), { each } = this.windows[unit];
    for (let index = first; index < first + each; index++) {
      const row = this.rows[unit].get(index);
      if (row) return row;
    }
    return undefined;
  }
}

/** The block of entries that holds all in use, one cell an entry as far as the cells reach. */
function windowOf(indices, total) {
  if (total <= 0) return { each: 1, cells: 0, first: 0 };
  const low = indices.length ? indices.reduce((a, b) => Math.min(a, b)) : 0;
  const high = indices.length ? indices.reduce((a, b) => Math.max(a, b)) : Math.min(total, CELLS) - 1;
  let block = Math.min(total, FEWEST);
  while (Math.floor(low / block) !== Math.floor(high / block)) block *= 2;
  return { each: Math.max(1, block / CELLS), cells: Math.min(block, CELLS), first: Math.floor(low / block) * block };
}
