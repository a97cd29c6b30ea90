// What the kernel sends, from the message to the count: tokens wait here for their start, and come back when they have
// arrived. Nobody waits for a picture that nobody sees: then everything is counted at once.

import { FLIGHT, MOST } from "./flights.js";
import { DIRECT, NOBODY, NO_ENTRY, bytes, unpack } from "./tokens.js";

const SPREAD = 200;   // ms over which the tokens of a message start: the time until the next one of a storm
const FEW = 8;   // tokens of one message that are looked at one by one

export class Intake {
  constructor(view) {
    this.view = view;
    this.reset();
  }

  reset() {
    this.merged = 0;      // tokens that were counted and not drawn
    this.queue = [];      // [start in motion time, token], not yet on their way; without a token: [.., null, pending]
    this.few = [];        // of the queue, tokens that came alone or with few others: their ways are lit
    this.waiting = [];    // [motion time, which vLAPICs have one pending from then on]
  }

  /** A message: tokens, more that are not drawn and how often each, what is then pending. */
  take(content, buffers) {
    const { view } = this, { tally, player } = view;
    if (!["tokens", "step"].includes(content.kind) || !tally) return;
    if (buffers[4] && view.table.load(buffers[4])) view.layout(true);
    else if (buffers[4]) view.repaint();
    const tokens = unpack(buffers[0]), more = unpack(buffers[1]), times = bytes(buffers[2]), pending = buffers[3];
    more.forEach((token, n) => {
      this.miss(token, times.getUint32(4 * n, true));
      this.arrive(token, times.getUint32(4 * n, true));
      view.rates.add(token, times.getUint32(4 * n, true), performance.now());
    });
    if (content.records) view.words.records = content.records;
    for (const name of ["states", "reach"]) {
      if (content[name] && String(content[name]) !== String(tally[name])) {
        tally[name] = content[name];
        view.repaint();
      }
    }
    if (content.kind === "step") return this.step(tokens, pending, content.clock);
    const first = tokens[0]?.[0] ?? 0, span = Math.max(1e-9, (tokens.at(-1)?.[0] ?? 0) - first);
    const width = Math.min(SPREAD, 1.5 * tokens.length) * player.speed;
    const rows = tokens.map((token) => [player.now + (token[0] - first) / span * width, token]);
    this.queue.push(...rows);
    const alone = rows.filter(([, [, , , , outcome]]) => (outcome & 7) !== DIRECT);
    if (alone.length && alone.length <= FEW && !more.length) this.few = alone;
    if (pending?.byteLength) this.queue.push([player.now + width, null, pending]);
    tally.clock = Math.max(tally.clock, content.clock);
    if (player.calm.matches || !player.visible || document.hidden) this.flush();
    else if (this.queue.length > 4 * MOST) this.launch(-Infinity, this.queue.length - 4 * MOST);
    player.wake();
  }

  /** The kernel has gone one step on: what travelled in it is shown, playing or not. */
  step(tokens, pending, clock) {
    const { player, tally } = this.view;
    this.flush();
    tally.clock = clock;
    player.go(tokens);
    if (pending?.byteLength) this.waiting.push([player.now + FLIGHT, pending]);
  }

  /** Everything that waits or travels has arrived: nobody is looking, or motion is not wanted. */
  flush() {
    const { view } = this, last = this.queue.findLast(([, token]) => token);
    view.player.land(Infinity);
    for (const [, token, pending] of this.queue) token ? this.arrive(token) : this.setPending(pending);
    this.queue = [];
    this.settle(Infinity);
    if (last) view.light(this.few.length ? this.few.map(([, token]) => token) : [last[1]]);
    this.few = [];
    view.draw();
    view.words.later();
  }

  /** Start what is due; `surplus` tokens are counted at once because too many wait. */
  launch(now, surplus = 0) {
    let n = 0;
    for (; n < this.queue.length && (n < surplus || this.queue[n][0] <= now); n++) {
      const [start, token, pending] = this.queue[n];
      if (!token) this.waiting.push([start + FLIGHT, pending]);
      else if (n < surplus) this.merge(token);
      else this.start(token, start);
    }
    if (n) this.queue.splice(0, n);
    if (this.few.length && this.few[0][0] <= now) this.follow(this.few);
  }

  /** Light the ways of tokens that travel: rows [start, token]. */
  follow(rows) {
    if (rows === this.few) this.few = [];
    this.view.light(rows.map(([, token]) => token), rows.map(([start]) => start));
  }

  /** Whether these tokens are still to come, and their ways will be lit then. */
  expects(tokens) {
    const key = (all) => JSON.stringify(all.map(([, ...rest]) => rest));
    return this.few.length > 0 && key(tokens) === key(this.few.map(([, token]) => token));
  }

  /** Take the first token out of the queue; undefined when there is none. */
  next() {
    const n = this.queue.findIndex(([, token]) => token);
    return n < 0 ? undefined : this.queue.splice(n, 1)[0][1];
  }

  /** Send a token on its way, if there is room. */
  start(token, start) {
    this.view.rates.add(token, 1, performance.now());
    const { flights } = this.view.player;
    if (flights.full) this.merge(token);
    else flights.add(token, start, this.view.ways);
  }

  merge(token) {
    this.miss(token, 1);
    this.arrive(token);
  }

  /** Count what is not drawn; of IPIs and units' own events, which a boot has by the thousand, nobody is told. */
  miss(token, times) {
    if ((token[4] & 7) !== DIRECT) this.merged += times;
  }

  /** Count a token, and paint where it was counted. */
  arrive(token, times = 1) {
    const { view } = this, { tally, painter, picture, places, scene } = view, [, src, dst, irte, outcome] = token;
    tally.add(token, times);
    tally.remember(token);
    if (dst !== NOBODY) picture.wall.drawSlot(painter, dst - places.vlapic, tally);
    const unit = places.unitOf(src);
    if (!(outcome & NO_ENTRY) && tally.used.length && scene.units[unit][2]) {
      picture.units.drawEntry(painter, unit, view.table.cellOf(unit, irte), tally);
    }
  }

  /** What is pending from motion time `now` on. */
  settle(now) {
    while (this.waiting.length && this.waiting[0][0] <= now) this.setPending(this.waiting.shift()[1]);
  }

  setPending(data) {
    const { tally, painter, picture } = this.view, before = tally.pending.slice();
    tally.setPending(data);
    before.forEach((was, vcpu) => {
      if (was !== tally.pending[vcpu]) picture.wall.drawSlot(painter, vcpu, tally);
    });
  }
}
