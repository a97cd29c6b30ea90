// The keyboard and the screen reader: single keys, and three list boxes over the picture. Each holds one option, the
// place that is active in it, so that 4,096 vLAPICs cost no more than one.

import { make } from "./elements.js";
import { cellOf } from "./table.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], PageUp: [0, -4],
  PageDown: [0, 4] };

export class Keyboard {
  constructor(view) {
    this.view = view;
    this.active = {};         // of each list that was entered: the number of its active place
    this.focused = null;      // the list in focus
    this.id = `vsim${Math.random().toString(36).slice(2)}`;
  }

  /** The place in focus, or null. */
  get place() {
    return this.focused ? [this.focused, this.active[this.focused]] : null;
  }

  /** A key pressed anywhere in the map. */
  key(event) {
    const { view } = this, { faults } = view.part, busy = event.target.closest("button, select, input, summary");
    const act = {
      " ": () => view.player.toggle(), ",": () => view.player.step(-1), ".": () => view.player.step(1),
      f: () => view.words.showFaults(), z: () => this.zoom(),
      Escape: () => (faults.hidden ? view.wholeAgain() : view.words.showFaults(false)),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && busy)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  /** The tile of the active vLAPIC alone, or all again; of a table, other parts of it. */
  zoom() {
    const { view } = this;
    if (this.focused === "irte") return view.zoomTableAt(this.active.irte);
    view.zoom(view.zoomed === null && this.active.vlapic >= 0
      ? view.picture.wall.slotOf.get(this.active.vlapic)[0] : null);
  }

  // --- the list boxes ---

  /** Make a place the active one of its list, and go there. */
  enter([what, n]) {
    this.active[what] = n;
    this.view.lists[what].focus({ preventScroll: true });
  }

  /** A list has got the focus; null: none has. */
  focus(name) {
    this.focused = name;
    if (name) {
      this.active[name] ??= name === "irte" ? this.view.table.beside(0, 0) ?? 0 : 0;
      this.announce(name);
    }
    this.view.refresh();
  }

  /** Put the active place into its list as the one option, and into the line below the picture. */
  announce(name) {
    const { view } = this, list = view.lists[name], n = this.active[name], id = `${this.id}-${name}`;
    const chosen = view.pointer.chosen().some(([what, each]) => what === name && each === n);
    list.replaceChildren(make("div", { id, role: "option", "aria-selected": String(chosen),
        "aria-setsize": this.total(name), "aria-posinset": this.number(name, n) },
      view.sentences.about([name, n], view.tally)));
    list.setAttribute("aria-activedescendant", id);
    view.words.about([name, n]);
  }

  /** A key pressed in a list. */
  arrow(event, name) {
    if (event.key === "Enter") {
      this.view.pointer.choose([name, this.active[name]]);
      this.announce(name);
    } else {
      const to = this.neighbour(name, this.active[name], event.key);
      if (to === undefined) return;
      this.active[name] = to;
      this.announce(name);
      this.view.refresh();
    }
    event.preventDefault();
    event.stopPropagation();
  }

  total(name) {
    const { scene, table } = this.view;
    return { device: scene.devices.length, irte: table.cellsBefore(), vlapic: scene.vlapics }[name];
  }

  /** Which of its list a place is, from 1. */
  number(name, n) {
    const [unit, cell] = cellOf(n);
    return name === "irte" ? this.view.table.cellsBefore(unit) + cell + 1 : n + 1;
  }

  /** The place to which a key leads, undefined when it leads nowhere. */
  neighbour(name, n, key) {
    const total = this.total(name), { where, picture, table } = this.view;
    if (key === "Home" || key === "End") {
      const to = key === "Home" ? 0 : total - 1;
      return name === "irte" ? table.beside(0, to) ?? n : to;
    }
    const [dx, dy] = STEPS[key] ?? [0, 0];
    if (!dx && !dy) return undefined;
    if (name === "irte") {
      return table.beside(n, dx + dy * picture.units.grids[cellOf(n)[0]][0]) ?? n;
    }
    if (name === "device" || where.free) return Math.max(0, Math.min(total - 1, n + dx + dy));
    return picture.wall.beside(n, dx, dy);
  }
}
