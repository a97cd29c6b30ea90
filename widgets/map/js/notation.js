// Numbers and names as text. Every number that the page shows passes here: what is written in hexadecimal has 0x
// before it, numbers of vCPUs and of entries are decimal.

/** A number in hexadecimal. */
export const hex = (n) => `0x${n.toString(16)}`;

/** A requester id as bus:device.function. */
export function bdf(id) {
  const two = (n) => n.toString(16).padStart(2, "0");
  return `${two(id >> 8)}:${two((id >> 3) & 31)}.${id & 7}`;
}

/** The APIC IDs of clusters `first` to `last`. */
export const range = (first, last = first) => `${hex(16 * first)}–${hex(16 * last + 15)}`;

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
