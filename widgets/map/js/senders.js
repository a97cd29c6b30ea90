// The senders: PCI devices and the routers that their messages and pins lead to. Where they stand is the scene's say.

import { drawAssumed } from "./marks.js";
import { bdf } from "./notation.js";
import { Places } from "./tokens.js";

const COLUMN_FULL = 64;   // devices beyond which their squares are smaller
const NAMED = 66;         // px that a name needs at least
export const LANE = 0.7;  // where along a router's side the ways run

export class Senders {
  constructor(scene, where) {
    this.scene = scene;
    this.where = where;
  }

  /** The box of a device. */
  box(n) {
    const [x, y] = this.where.chips[n];
    return [x - 4, y - 4, 8, 8];
  }

  /** The device at a point, -1 for none. */
  at(x, y) {
    const far = this.where.chips.map(([cx, cy]) => Math.max(Math.abs(x - cx), Math.abs(y - cy)));
    const least = Math.min(9, ...far);
    return far.findIndex((each) => each <= least && each < 9);
  }

  /** The router at a point, -1 for none. */
  routerAt(x, y) {
    return this.where.routers.findIndex(([left, top, w, h]) => x >= left && x < left + w && y >= top && y < top + h);
  }

  drawDevices(painter) {
    const { scene, where } = this, s = painter.scale, pen = painter.base, right = where.flow === "right";
    const [across, along] = right ? [0, 1] : [1, 0], { chips, free } = where, n = chips.length;
    const single = n < 2 || free || chips[0][across] === chips[n - 1][across];
    const pitch = free ? 54 : n > 1 ? Math.abs(chips[1][along] - chips[0][along]) * s : 200;
    const every = Math.ceil((right ? painter.small + 3 : 52) / pitch);
    const first = chips[0]?.[across], beside = single ? null : chips.find((each) => each[across] !== first);
    const next = beside ? Math.abs(beside[across] - first) * s : pitch;
    const side = Math.max(2, Math.min(n > COLUMN_FULL ? 6 : 8, next - 1, pitch - 1));
    chips.forEach(([x, y], k) => {
      const [id, name] = scene.devices[k];
      pen.fillStyle = painter.colour.muted;
      pen.fillRect(x * s - side / 2, y * s - side / 2, side, side);
      if (scene.assumed?.[k]) drawAssumed(painter, [x * s - side / 2 - 3, y * s - side / 2 - 3, side + 6, side + 6]);
      if (!single || k % every) return;
      if (right && !free) this.drawName(painter, [bdf(id), name], x * s - 10, y * s + 4, pitch * every);
      else painter.words(bdf(id), x * s, y * s - 9, { align: "center", room: Math.max(50, pitch * every) - 2 });
    });
  }

  /** Address and name left of a square, in as many lines as `height` px hold. */
  drawName(painter, [address, name], x, y, height) {
    const line = painter.small + 2, room = x - 4, lines = room < NAMED ? 0 : Math.floor(height / line) - 1;
    if (room < NAMED) return painter.words(address, x, y, { align: "right", room });
    if (lines < 1) return painter.words(`${address} ${name}`.trim(), x, y, { align: "right", room });
    const told = painter.wrap(name, room, lines), top = y - told.length * line / 2;
    painter.words(address, x, top, { align: "right", room });
    told.forEach((text, n) => painter.words(text, x, top + (n + 1) * line, { align: "right", room, colour: "muted" }));
  }

  drawRouters(painter) {
    const { scene, where } = this, s = painter.scale;
    const first = new Places(scene).router;
    where.routers.forEach((box, n) => {
      painter.box(box);
      if (scene.assumed?.[first + n]) drawAssumed(painter, box.map((each) => each * s));
      const name = scene.routers[n], [x, y, w, h] = box;
      if (where.free) painter.words(name, (x + w / 2) * s, (y + h) * s + 13, { bold: true, align: "center",
          room: w * s + 20 });
      else if (where.flow === "right") painter.words(name, (x + w / 2) * s, (y + h * 0.42) * s, { bold: true,
          align: "center", room: w * s - 2,
          size: painter.small - (painter.measure(name, { bold: true }) > w * s - 2 ? 2 : 0) });
      else painter.words(name, (x + 6) * s, (y + h / 2) * s + 4, { bold: true, room: w * LANE * s - 12 });
    });
  }
}
