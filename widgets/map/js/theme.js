// The theme: colours and lengths are the custom properties that widgets/theme.py declares. Nothing else holds one.

const NAMES = ["background", "panel", "text", "muted", "line", "slot", "ring", "remapped", "posted", "compatibility",
  "blocked", "lost", "stale"];
const SIGNS_OF_A_HOST = ["class", "data-jp-theme-light", "data-vscode-theme-kind", "data-theme"];

/** What an element's style says: colours by name, the shades of heat, what is legible on them, lengths in px. */
export function readTheme(root) {
  const style = getComputedStyle(root), of = (name) => style.getPropertyValue(`--vsim-${name}`).trim();
  const colour = Object.fromEntries(NAMES.map((name) => [name, of(name)]));
  colour.direct = colour.masked = colour.spurious = colour.muted;
  const heat = Array.from({ length: 16 }, (_, n) => of(`heat-${n}`));
  return {
    colour, heat, onHeat: heat.map((each) => luminance(each) > 0.25 ? "#000000" : "#ffffff"),
    token: parseFloat(of("token")) || 7, small: parseFloat(of("font-small")) || 11, font: style.fontFamily,
  };
}

/** Relative luminance of #rrggbb, by which black or white words on it are chosen. */
function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16) / 255)
    .map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Call when the host or the reader's preference changes its theme; returns what ends that. */
export function watchTheme(call) {
  const seen = new MutationObserver(call), dark = matchMedia("(prefers-color-scheme: dark)");
  for (const each of [document.documentElement, document.body]) {
    seen.observe(each, { attributes: true, attributeFilter: SIGNS_OF_A_HOST });
  }
  dark.addEventListener("change", call);
  return () => {
    seen.disconnect();
    dark.removeEventListener("change", call);
  };
}
