"""How near each limit is when a machine grows: a line a limit over the number of vCPUs, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vsim.scale.limits import LIMITS, Demand, sized
from widgets.stills.ink import DPI, FAMILY
from widgets.theme import palette, points

POINTS = 96
"""Numbers of vCPUs at which the limits are looked at."""
LOW, HIGH = 1e-3, 30.0
"""What the picture shows of need / room."""
_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


def growth(demand: Demand, most: int = 1024, changes: Mapping[str, int] | None = None, theme: str = "light") -> Figure:
    """The figure. most: vCPUs at its right border, up to 4,096; changes: figures that are replaced.

    Everything but the number of vCPUs is as in the demand. A line above 1 bites; each line has a dash of its own and
    its name at the end, so that colours are not needed.
    """
    colours = palette(theme)
    figure = Figure(figsize=(760 / DPI, 380 / DPI), dpi=DPI, facecolor=colours.background)
    FigureCanvasAgg(figure)  # type: ignore[no-untyped-call]
    axes = figure.add_axes((0.09, 0.14, 0.68, 0.76), facecolor=colours.background)
    steps = sorted({max(1, round(most ** (n / POINTS))) for n in range(POINTS + 1)})
    lines: dict[str, list[float]] = {name: [] for name in LIMITS}
    for vcpus in steps:
        for row in sized(replace(demand, vcpus=vcpus), changes):
            lines[row.limit.name].append(min(HIGH, row.use))
    inks = [colours.remapped, colours.posted, colours.compatibility, colours.blocked, colours.text, colours.muted]
    ends, far = list[tuple[float, str, str]](), list[str]()
    for (name, values), ink, style in zip(lines.items(), inks, _STYLES, strict=True):
        if max(values) < LOW:
            far.append(name)
            continue
        axes.plot(steps, values, color=ink, linestyle=style, linewidth=1.8)
        ends.append((max(LOW, values[-1]), name, ink))
    _names(axes, ends, most)
    axes.axhline(1, color=colours.blocked, linewidth=0.8)
    axes.text(1.05, 1.12, "bites above", color=colours.blocked, family=FAMILY, fontsize=points("font-small"))
    axes.set(xscale="log", yscale="log", xlim=(1, most), ylim=(LOW, HIGH))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    if far:
        figure.text(0.985, 0.03, f"below {LOW:g} throughout: {', '.join(far)}", color=colours.muted, family=FAMILY,
                    fontsize=points("font-small"), ha="right")
    axes.set_xlabel("vCPUs", color=colours.text, family=FAMILY, fontsize=points("font-small"))
    axes.set_title("need / room of each limit", color=colours.text, family=FAMILY, fontsize=points("font"), loc="left")
    axes.tick_params(colors=colours.muted, which="both", labelsize=points("font-small"))
    for side in axes.spines.values():
        side.set_color(colours.line)
    return figure


def _names(axes: object, ends: list[tuple[float, str, str]], most: int) -> None:
    """Each line's name at its right end, moved apart where two are near."""
    last = 0.0
    for value, name, ink in sorted(ends):
        place = max(value, last * 1.75) if last else value
        axes.annotate(name, (most, value), xytext=(most * 1.25, place), color=ink, va="center",  # type: ignore[attr-defined]
                      family=FAMILY, fontsize=points("font-small"), annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": ink, "linewidth": 0.6, "relpos": (0, 0.5)})
        last = place
