// The lines on which tokens travel, drawn before any token does.

import { LANE } from "./senders.js";

/** All of them. */
export function drawRoads(painter, scene, where, ways, wall) {
  if (where.free) return drawStraight(painter, scene, where);
  const { right } = ways, inlets = where.routers.map((box) => ways.ports(box, LANE));
  scene.devices.forEach(([, , gsi, , messages], n) => {
    if (gsi >= 0) painter.curve(where.chips[n], inlets[0][0], right);
    if (messages) painter.curve(where.chips[n], inlets.at(-1)[0], right);
  });
  for (const [, outlet] of inlets) {
    for (const unit of where.units) painter.curve(outlet, ways.ports(unit)[0], right);
  }
  const past = scene.units.length ? { dash: [4, 4], colour: "compatibility" } : {};
  for (const road of where.bypass) painter.line(road, past);
  const trunks = scene.units.length ? where.trunks : [];
  for (const road of trunks) painter.line(road, { width: 1.5 });
  drawSpine(painter, where, where.pic ? [...trunks, where.pic.road] : trunks, wall.tileSide);
  if (scene.units.length) nameBypass(painter, where, right);
}

/** The spine along the wall, its branches under each row of tiles and up beside each tile. */
function drawSpine(painter, where, trunks, tile) {
  const there = where.tiles.filter(Boolean), lowOf = ([, y]) => y + tile + where.drop, lows = new Set(there.map(lowOf));
  const ends = [...[...where.bypass, ...trunks].map((road) => road.at(-1)[1]), ...lows];
  painter.line([[where.spine, Math.min(...ends)], [where.spine, Math.max(...ends)]], { width: 1.5 });
  for (const low of lows) {
    const lefts = there.filter((each) => lowOf(each) === low).map(([x]) => x - where.side);
    painter.line([[where.spine, low], [Math.max(...lefts), low]]);
    for (const left of lefts) painter.line([[left, low], [left, low - where.drop - tile + where.cell / 2]]);
  }
}

function nameBypass(painter, where, right) {
  const s = painter.scale, [a, b] = where.bypass[0].slice(-2);
  const names = ["compatibility format", "compatibility", "compat."];
  if (right) painter.firstFitting(names, (a[0] + 4) * s, b[1] * s + 13,
      { colour: "compatibility", room: (b[0] - a[0] - 8) * s });
  else painter.firstFitting(names, (a[0] - 6) * s, a[1] * s - 7,
      { colour: "compatibility", align: "right", room: a[0] * s / 2 - 20 });
}

/** The edges of a caller's own layout; those to the vLAPICs are faint where there are many. */
function drawStraight(painter, scene, where) {
  const middle = ([x, y, w, h]) => [x + w / 2, y + h / 2], middles = where.routers.map(middle);
  scene.devices.forEach(([, , gsi, , messages], n) => {
    if (gsi >= 0) painter.line([where.chips[n], middles[0]]);
    if (messages) painter.line([where.chips[n], middles.at(-1)]);
  });
  const ends = where.units.length ? where.units.map(middle) : middles;
  const faint = { width: where.slots.length > 100 ? 0.2 : 0.6 };
  if (where.units.length) for (const each of middles) for (const end of ends) painter.line([each, end]);
  for (const end of ends) for (const slot of where.slots) painter.line([end, slot], faint);
}
