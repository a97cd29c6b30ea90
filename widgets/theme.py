"""The palette, the shapes and the sizes of every picture, declared once: for matplotlib and for the page.

`figures` takes colours from `PALETTES` and lengths from `SIZES`; the page gets both as custom properties (`css`).
What an interrupt became is told by colour *and* shape, so that no reader depends on colour alone.
"""

from __future__ import annotations

from typing import NamedTuple

HEAT_STEPS = 16  #: shades of a cell: the first is "nothing delivered", the last is the busiest


class Outcome(NamedTuple):
    """What became of an interrupt. shape: "square", "diamond", "ring" or "cross". meaning: for the legend."""

    name: str
    shape: str
    meaning: str


OUTCOMES = (
    Outcome("remapped", "square", "an entry of the table gave vector and destination"),
    Outcome("posted", "diamond", "a bit in the posted-interrupt descriptor was set instead"),
    Outcome("compatibility", "ring", "delivered as the message says, past the table"),
    Outcome("blocked", "cross", "a check refused it, or nobody has the destination: delivered to no one"),
)
"""The four classes. Their order is their code (0 to 3) in tokens."""


class Palette(NamedTuple):
    """Colours of one theme, all as #rrggbb.

    background: of the picture. panel: of boxes on it (routers, tables, call-outs). text, muted: words, at least
    4.5:1 on background and panel. line: outlines and ways that are not lit. slot: outline of a slot whose APIC ID
    nobody has. ring: outline of what is pending or chosen. lost: what nobody took. stale: a cached copy that
    differs from memory, for lines and marks alone (3:1). heat: `HEAT_STEPS` shades from none to many. The rest
    are the outcomes by name, at least 4.5:1 on both grounds, since words are set in them too.
    """

    background: str
    panel: str
    text: str
    muted: str
    line: str
    slot: str
    ring: str
    remapped: str
    posted: str
    compatibility: str
    blocked: str
    lost: str
    stale: str
    heat: tuple[str, ...]

    def outcome(self, name: str) -> str:
        """The colour of an outcome; ValueError for a name that is none."""
        if name not in {each.name for each in OUTCOMES}:
            raise ValueError(f"outcome is {name!r}; known are {', '.join(each.name for each in OUTCOMES)}")
        colour: str = getattr(self, name)
        return colour


def ramp(*stops: str) -> tuple[str, ...]:
    """`HEAT_STEPS` colours evenly along the way through the stops (two or more, #rrggbb)."""
    parts = [tuple(bytes.fromhex(stop[1:])) for stop in stops]
    places = [step * (len(parts) - 1) / (HEAT_STEPS - 1) for step in range(HEAT_STEPS)]
    return tuple(_between(parts, place) for place in places)


def _between(parts: list[tuple[int, ...]], place: float) -> str:
    first = min(int(place), len(parts) - 2)
    mixed = (low + (high - low) * (place - first) for low, high in zip(parts[first], parts[first + 1], strict=True))
    return "#" + "".join(f"{round(value):02x}" for value in mixed)


PALETTES = {
    "light": Palette(
        background="#ffffff", panel="#f6f8fb", text="#16202b", muted="#56616e", line="#b4bfcb", slot="#d5dce4",
        ring="#16202b", remapped="#0062d6", posted="#005c46", compatibility="#946a00", blocked="#98140c",
        lost="#7b3fa0", stale="#c47c48",
        heat=ramp("#dde4ec", "#8fbfe6", "#2f7fc2", "#08306b")),
    "dark": Palette(
        background="#11151a", panel="#1b2129", text="#e9eef4", muted="#a3afbc", line="#4a5664", slot="#333c47",
        ring="#ffffff", remapped="#4da3ff", posted="#4ae8bd", compatibility="#f5cc40", blocked="#ee6c5a",
        lost="#d08cc8", stale="#ea6a10",
        heat=ramp("#2a323c", "#21577f", "#3f9bd8", "#e8f5ff")),
}
"""Every theme there is. The pairs of outcomes stay apart for readers who lack a kind of cone; a test measures it."""


def palette(theme: str) -> Palette:
    """The palette of "light" or "dark"; ValueError for another name."""
    if not isinstance(theme, str) or theme not in PALETTES:
        raise ValueError(f"theme is {theme!r:.40}; known are {', '.join(PALETTES)}")
    return PALETTES[theme]


SIZES = {
    "font": 13.0,       # running text
    "font-small": 11.0,  # labels of nodes and tiles; nothing is set smaller
    "font-title": 16.0,
    "cell": 12.0,       # one vLAPIC, when there is room
    "cell-gap": 2.0,
    "tile-gap": 8.0,
    "token": 7.0,       # one interrupt on its way
    "stroke": 1.0,      # a way that is not lit
    "stroke-lit": 2.5,  # the way of the interrupt that is looked at
    "ring": 2.0,        # outline of a pending or chosen vLAPIC
    "radius": 5.0,      # corners of boxes
    "pad": 8.0,
}
"""Lengths in CSS pixels (1/96 inch)."""


def points(name: str) -> float:
    """A length of `SIZES` in points (1/72 inch), as matplotlib counts."""
    return SIZES[name] * 0.75


# Which theme a host shows, as CSS selectors of an ancestor: JupyterLab and Notebook 7, Voila, VS Code.
_HOSTS = {
    "light": ('[data-jp-theme-light="true"]', ".theme-light", ".vscode-light", ".vscode-high-contrast-light"),
    "dark": ('[data-jp-theme-light="false"]', ".theme-dark", ".vscode-dark", ".vscode-high-contrast"),
}


def css() -> str:
    """The custom properties of the class `vsim` as a style sheet, for `map.css` and the panels.

    Colours are `--vsim-text`, `--vsim-remapped`, ...; `--vsim-heat-0` to `--vsim-heat-15`; lengths `--vsim-cell`,
    ... in px. The theme is the host's, else the reader's preference; `data-theme` on the element overrules both.
    """
    sizes = "".join(f"--vsim-{name}:{value:g}px;" for name, value in SIZES.items())
    own = {name: _colours(each) for name, each in PALETTES.items()}
    hosts = [f":is({', '.join(_HOSTS[name])}) .vsim{{{own[name]}}}" for name in PALETTES]
    return "\n".join([
        f".vsim{{{sizes}{own['light']}}}",
        f"@media (prefers-color-scheme: dark){{.vsim{{{own['dark']}}}}}",
        *hosts,
        *(f'.vsim.vsim[data-theme="{name}"]{{{own[name]}}}' for name in PALETTES),
    ]) + "\n"


def _colours(each: Palette) -> str:
    plain = "".join(f"--vsim-{name}:{value};" for name, value in each._asdict().items() if name != "heat")
    return plain + "".join(f"--vsim-heat-{step}:{value};" for step, value in enumerate(each.heat))
