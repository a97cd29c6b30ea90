// Pointing and choosing: what is under the pointer, what is selected, the rings around both.

import { drawRing } from "./marks.js";
import { cellOf, placeOf } from "./table.js";

export class Pointer {
  constructor(view) {
    this.view = view;
    this.hover = null;      // the place under the pointer, [what, number in the scene]
    this.frame = -1;        // else the place, as tokens number them, in whose box it is
    this.told = false;      // whether what was chosen is told of, and not the trace
  }

  /** The places that are selected; the last kind first. */
  chosen() {
    const { model, scene, table } = this.view, out = [];
    const device = scene.devices.findIndex(([id]) => id === model.get("device"));
    if (device >= 0) out.push(["device", device]);
    const [irte, vlapic, unit] = ["irte", "vlapic", "unit"].map((name) => model.get(name));
    const entries = scene.units[unit]?.[0] ?? 0;
    const place = irte >= 0 && irte < entries ? placeOf(unit, table.cellOf(unit, irte)) : -1;
    if (place >= 0) out.push(["irte", place]);
    if (vlapic >= 0 && vlapic < scene.vlapics) out.push(["vlapic", vlapic]);
    return out.reverse();
  }

  /** Boxes of the scene with a ring around them, and the ring's colour. */
  rings() {
    const { picture, keyboard } = this.view, out = this.chosen().map((each) => [picture.boxOf(each), "ring"]);
    if (this.hover) out.push([picture.boxOf(this.hover), "muted"]);
    if (keyboard.place) out.push([picture.boxOf(keyboard.place), "remapped"]);
    return out.filter(([box]) => box);
  }

  draw(painter) {
    for (const [box, colour] of this.rings()) drawRing(painter, box, colour);
  }

  /** An event's point of the scene. */
  pointOf(event) {
    const area = this.view.stage.getBoundingClientRect(), s = this.view.painter.scale;
    return [(event.clientX - area.left) / s, (event.clientY - area.top) / s];
  }

  at(event) {
    return this.view.picture.at(...this.pointOf(event));
  }

  /** The pointer is at an event's point, or with null nowhere; without an event, what is under it has changed. */
  point(event) {
    const { words, stage, picture } = this.view;
    if (event !== undefined) {
      this.hover = event && this.at(event);
      this.frame = event && !this.hover ? picture.frameAt(...this.pointOf(event)) : -1;
    }
    if (this.hover) words.about(this.hover);
    else if (this.frame >= 0) words.aboutFrame(this.frame);
    else words.rest();
    stage.style.cursor = this.hover ? "pointer" : "";
    this.view.refresh();
  }

  /** What was under it is no longer drawn there. */
  leave() {
    this.hover = null;
    this.frame = -1;
  }

  click(event) {
    const found = this.at(event), shown = this.view.picture.units.stripAt(...this.pointOf(event));
    if (!found && shown) this.view.zoomTable(...shown);
    if (!found) return;
    this.choose(found);
    this.view.keyboard.enter(found);
  }

  /** Select a place, or no longer when it is selected. */
  choose([what, n]) {
    const { model, scene, table } = this.view, [unit, cell] = cellOf(n);
    const value = what === "device" ? scene.devices[n][0] : what === "vlapic" ? n : table.entryOf(unit, cell);
    const again = model.get(what) === value && (what !== "irte" || model.get("unit") === unit);
    this.told = true;
    if (what === "irte") this.view.set("unit", unit);
    this.view.set(what, again ? -1 : value);
    this.point(undefined);
  }

  /** A double click: the tile under it alone, or all again. */
  zoom(event) {
    if (this.view.zoomed !== null) return this.view.zoom(null);
    const found = this.at(event);
    if (found?.[0] === "irte") return this.view.zoomTableAt(found[1]);
    const tile = this.view.picture.wall.tileAt(...this.pointOf(event));
    return tile >= 0 ? this.view.zoom(tile) : undefined;
  }
}
