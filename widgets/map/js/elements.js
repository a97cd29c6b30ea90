// Elements of the page. Text reaches the page as text only, never as markup.

/** An element: attributes, listeners (functions), children; strings become text. */
export function make(tag, attributes = {}, ...children) {
  const out = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") out.addEventListener(name, value);
    else if (value !== false && value != null) out.setAttribute(name, value === true ? "" : value);
  }
  out.append(...children);
  return out;
}

/** A table of rows of texts, with a caption. */
export function makeTable(caption, head, rows) {
  const row = (cells, tag, more = {}) => make("tr", {}, ...cells.map((each) => make(tag, more, String(each))));
  return make("table", {}, make("caption", {}, caption), make("thead", {}, row(head, "th", { scope: "col" })),
    make("tbody", {}, ...rows.map((each) => row(each, "td"))));
}

/** The signs on the buttons, as paths in a square of 12 px. */
export const SIGNS = {
  play: "M2 1 11 6 2 11Z", pause: "M2 1h3v10H2zM7 1h3v10H7z", forth: "M1 1 8 6 1 11ZM9 1h2v10H9z",
  back: "M11 1 4 6 11 11ZM1 1h2v10H1z",
};

/** A sign on a button, drawn: no font is sure to have it. */
export function makeSign(...paths) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  Object.entries({ viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true", fill: "currentColor" })
    .forEach(([name, value]) => svg.setAttribute(name, value));
  for (const path of paths) {
    const each = document.createElementNS("http://www.w3.org/2000/svg", "path");
    each.setAttribute("d", path);
    svg.append(each);
  }
  return svg;
}

/** Set an element's text only when it changes: a screen reader hears a change, the browser lays out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
