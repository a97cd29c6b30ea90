// Numbers and names as text. Every number that the page shows passes here.

/** A number in hexadecimal digits, at least `width` of them. */
export const hex = (n, width = 0) => n.toString(16).padStart(width, "0");

/** A requester id as bus:device.function. */
export const bdf = (id) => `${hex(id >> 8, 2)}:${hex((id >> 3) & 31, 2)}.${id & 7}`;

/** How many, with a comma between thousands. */
export const count = (n) => n.toLocaleString("en-US");

/** How many of what: `1 message`, `2 messages`. */
export const many = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** Milliseconds in words, from nanoseconds to seconds. */
export function duration(ms) {
  const [value, unit] = ms >= 1000 ? [ms / 1000, "s"] : ms >= 1 || !ms ? [ms, "ms"] : ms >= 1e-3 ? [ms * 1e3, "µs"]
      : [ms * 1e6, "ns"];
  return `${Number(value.toPrecision(value >= 1000 ? 6 : 4)).toLocaleString("en-US")} ${unit}`;
}
