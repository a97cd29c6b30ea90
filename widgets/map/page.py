"""The live map as one HTML file that replays recorded events: no kernel, no network, the same module."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from widgets import theme
from widgets.map import parts, table
from widgets.map.scene import Scene
from widgets.map.table import Entry
from widgets.map.tokens import Token, pack

HERE = Path(__file__).resolve().parent
MOST = 100_000
"""Tokens of one page at most."""

# A stand-in for the widget's model, and the start. `scene` and `tape` come from the page's own data.
_START = """
const data = JSON.parse(document.getElementById("vsim-data").textContent), calls = {};
const bytesOf = (text) => new DataView(Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer);
const state = { present: {}, playing: !matchMedia("(prefers-reduced-motion: reduce)").matches, speed: 1, theme: "",
  device: -1, unit: 0, irte: -1, vlapic: -1, driven: false, replay: true, scene: data.scene,
  tape: bytesOf(data.tape), table: bytesOf(data.table), ...data.state };
const model = {
  get: (name) => state[name],
  set: (name, value) => {
    const old = state[name];
    state[name] = value;
    if (old !== value) (calls["change:" + name] ?? []).forEach((call) => call());
  },
  on: (name, call) => (calls[name] ??= []).push(call),
  off: (name, call) => { calls[name] = (calls[name] ?? []).filter((each) => each !== call); },
  save_changes: () => {}, send: () => {},
  receive: (content, buffers) => (calls["msg:custom"] ?? []).forEach((call) => call(content, buffers)),
};
const el = document.getElementById("map");
el.model = model;
el.close = render({ model, el });
document.addEventListener("keydown", (event) => { if (!el.contains(event.target)) el.vsim.keyboard.key(event); });
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}
:root {{ color-scheme: light dark; }}
body {{ margin: 0; }}
h1 {{ position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }}
.vsim-map {{ min-height: 100vh; }}
</style>
</head>
<body>
<main><h1>{title}</h1><div id="map"></div></main>
<script type="application/json" id="vsim-data">{data}</script>
<script type="module">
{module}
{start}
</script>
</body>
</html>
"""


def to_html(scene: Scene, tokens: Iterable[Token], theme_name: str = "", entries: Sequence[Entry] = (),
            **state: object) -> str:
    """A page that replays tokens (`tokens.fold`) in a scene.

    theme_name: "light", "dark", or by default what the reader prefers. entries: those in use (`table`). state: initial
    values of other traits of `LiveMap` (speed, device, irte, vlapic, playing). ValueError for more than `MOST` tokens.
    """
    many = list(tokens)
    if len(many) > MOST:
        raise ValueError(f"{len(many)} tokens; the limit of a page is {MOST}")
    if theme_name:
        theme.palette(theme_name)
    data = {"scene": scene, "tape": b64encode(pack(many)).decode(),
            "table": b64encode(table.pack(entries)).decode(), "state": {"theme": theme_name, **state}}
    return _PAGE.format(
        title=escape(f"{scene['title'][0]}: a replay"), style=style(), start=_START,
        module=parts.module(), data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))


def style() -> str:
    """The style sheet of the map: the theme's properties and `map.css`."""
    return theme.css() + (HERE / "map.css").read_text(encoding="utf-8")
