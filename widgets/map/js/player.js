// Time: frames, play and pause, steps, and the recording that a page plays by itself.

import { SIGNS, makeSign, say } from "./elements.js";
import { FLIGHT, Flights } from "./flights.js";
import { duration } from "./notation.js";
import { Tally } from "./tally.js";

export class Player {
  constructor(view) {
    this.view = view;
    this.now = 0;             // motion time, ms
    this.flights = new Flights();
    this.request = 0;         // of the next frame
    this.visible = true;
    this.stepping = false;    // whether tokens move although it does not play
    this.tokens = [];         // the recording
    this.next = 0;            // the token of it that starts next
    this.pace = 1;            // motion ms a ms of machine time
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  get replay() { return this.view.model.get("replay"); }
  get playing() { return this.view.model.get("playing"); }
  get speed() { return this.view.model.get("speed"); }

  /** Begin with a recording; nothing travels. */
  open(tokens) {
    this.tokens = tokens;
    this.flights = new Flights();
  }

  close() {
    cancelAnimationFrame(this.request);
  }

  // --- frames ---

  wake() {
    if (this.request || !this.visible || !this.view.scene) return;
    this.then = undefined;
    this.request = requestAnimationFrame((t) => this.frame(t));
  }

  get moving() {
    if (!this.playing && !this.stepping) return false;
    const { queue, waiting } = this.view.intake;
    return this.flights.size || queue.length || waiting.length || (this.replay && this.playing && !this.over);
  }

  frame(t) {
    const { view } = this, { frames } = view.stats, gap = this.then === undefined ? 0 : t - this.then;
    this.request = 0;
    this.then = t;
    if (gap && frames.length < 20000) frames.push(gap);
    if (this.playing || this.stepping) this.now += Math.min(gap, 250) * this.speed;
    if (this.replay) this.feed();
    else if (this.playing) view.intake.launch(this.now);
    this.land(this.now);
    view.intake.settle(this.now);
    view.update();
    view.words.later();
    if (this.stepping && !this.flights.size) this.stepping = false;
    if (this.moving && this.visible) this.request = requestAnimationFrame((next) => this.frame(next));
    else if (this.replay && this.playing && this.over) view.set("playing", false);
  }

  /** What has arrived by motion time `now` is counted. */
  land(now) {
    this.flights.land(now, (token) => this.view.intake.arrive(token));
  }

  // --- the recording ---

  /** Whether every token of the recording has started. */
  get over() {
    return this.next >= this.tokens.length;
  }

  /** Machine time in the page: as recorded when that can be watched, else about 60 tokens a second. */
  setPace() {
    const n = this.tokens.length, span = n > 1 ? this.tokens[n - 1][0] - this.tokens[0][0] : 0;
    const rate = span ? n / span * 1000 : 60;
    this.pace = rate >= 10 && rate <= 5000 ? 1 : span ? n * 1000 / 60 / span : 1;
    this.view.part.seek.max = String(n);
  }

  startOf(n) {
    return 200 + (this.tokens[n][0] - this.tokens[0][0]) * this.pace;
  }

  /** Start what is due. */
  feed() {
    if (!this.playing) return;
    while (!this.over && this.startOf(this.next) <= this.now) {
      const token = this.tokens[this.next], start = this.startOf(this.next++);
      if (this.calm.matches) this.view.intake.arrive(token), this.view.light([token]);
      else {
        this.view.intake.start(token, start);
        if (this.flights.size < 9) this.view.intake.follow([[start, token]]);
      }
    }
  }

  /** The state before token n of the recording. */
  seek(n) {
    const { view, tokens } = this;
    this.flights = new Flights();
    this.stepping = false;
    view.intake.merged = 0;
    view.tally = new Tally(view.scene, view.ipis);
    view.words.records = [];
    for (const token of tokens.slice(0, n)) view.tally.add(token), view.tally.remember(token);
    this.next = n;
    const end = tokens.length ? this.startOf(tokens.length - 1) + FLIGHT : 0;
    this.now = n >= tokens.length ? end : n ? this.startOf(n) : 0;
    view.traces.clear();
    if (n) view.light([tokens[n - 1]]);
    view.repaint();
    view.words.tell(true);
    this.wake();
  }

  // --- gestures ---

  toggle() {
    if (this.replay && !this.playing && this.over && !this.flights.size) this.seek(0);
    this.view.set("playing", !this.playing);
    this.showControls();
  }

  step(by) {
    if (this.playing) this.view.set("playing", false);
    this.showControls();
    if (this.view.model.get("driven")) return this.view.model.send({ kind: "step", by });
    if (this.replay && by < 0) return this.seek(Math.max(0, this.next - 1));
    return by < 0 || (this.replay && this.over) ? undefined : this.forth();
  }

  /** The next token of the recording, or of what waits, alone. */
  forth() {
    if (this.replay) {
      this.land(Infinity);
      this.now = this.startOf(this.next);
      return this.go([this.tokens[this.next++]]);
    }
    const token = this.view.intake.next();
    if (!token) return undefined;
    this.land(Infinity);
    return this.go([token]);
  }

  /** These tokens alone on their ways, which are lit. */
  go(tokens) {
    const { view } = this, still = this.calm.matches || !this.visible;
    view.light(tokens, still ? [] : tokens.map(() => this.now));
    for (const token of tokens) {
      if (still || this.flights.full) view.intake.arrive(token);
      else this.flights.add(token, this.now, view.ways), this.stepping = true;
    }
    view.words.tell(true);
    view.draw();
    this.wake();
  }

  // --- the bar ---

  showControls() {
    const { part: p, model } = this.view, label = this.playing ? "Pause (space)" : "Play (space)";
    p.play.replaceChildren(makeSign(this.playing ? SIGNS.pause : SIGNS.play));
    for (const name of ["aria-label", "title"]) p.play.setAttribute(name, label);
    p.speed.value = String(this.speed);
    p.seek.hidden = !this.replay;
    p.back.disabled = !this.replay && !model.get("driven");
    say(p.pace, this.replay && this.pace !== 1
        ? `1 s shows ${duration(this.speed * 1000 / this.pace)} of machine time` : "");
    this.wake();
  }

  showPosition() {
    if (this.replay) this.view.part.seek.value = String(this.next);
  }
}
