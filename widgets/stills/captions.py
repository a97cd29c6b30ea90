"""The words around a still: its title, the way of the interrupt step by step, and the legend.

The steps stand in a strip below the picture, so that no call-out ever hides a neighbour; numbers join the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vsim.explain.sentences import MASKED
from vsim.findings.assumed import WORD
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import REASON_TEXT
from widgets.map.scene import SLOTS, Scene, ends_at_unit, unit_of
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token
from widgets.stills.sheet import Sheet
from widgets.theme import OUTCOMES

LINE = 15.0  #: from one line of small words to the next
BADGE = 7.0  #: radius of the circle around a step's number
MARGIN = 12.0


class Step(NamedTuple):
    """One stop on the way of an interrupt. place: "device", "router", "entry", "vlapic" or "nowhere"."""

    place: str
    name: str
    detail: str


def steps(scene: Scene, token: Token) -> list[Step]:
    """The stops of one interrupt, in order, in words."""
    return [*_sent(scene, token), *_judged(scene, token), *_arrived(scene, token)]


def _sent(scene: Scene, token: Token) -> Iterable[Step]:
    if token.src < len(scene["devices"]):
        requester, name = scene["devices"][token.src][:2]
        yield Step("device", f"device {bdf_text(requester)}", name)
    if token.src == Places(scene).pic:
        yield Step("device", "mainboard", "a line rises")
        if not token.outcome & Flag.PIN or token.outcome & 7 == Outcome.DIRECT:
            end = MASKED[token.vector] if token.dst == NOBODY else f"asks by INTR for IRQ {token.vector}"
            yield Step("router", "8259", end)
            return
    if token.outcome & 7 in (Outcome.DIRECT, Outcome.SPURIOUS):
        return
    if token.outcome & 7 == Outcome.MASKED:
        yield Step("router", "vIOAPIC" if token.outcome & Flag.PIN else "vMSI", MASKED.get(token.vector, "masked"))
        return
    if token.outcome & Flag.PIN:
        yield Step("router", "vIOAPIC", "turns the pin into a message, as its redirection entry says")
    elif token.outcome & Flag.NO_ENTRY:
        yield Step("router", "vMSI", "takes the message: compatibility format, 8 bits of destination")
    else:
        yield Step("router", "vMSI", "takes the message: remappable format, it names an entry of the table")


def _judged(scene: Scene, token: Token) -> Iterable[Step]:
    kind, unit = token.outcome & 7, unit_of(scene, token)
    where = f"IRTE {token.irte}" if not token.outcome & Flag.NO_ENTRY else f"vIOMMU {unit}"
    if kind == Outcome.MASKED:
        return
    if kind == Outcome.LOST and ends_at_unit(token):
        yield Step("entry", where, "nothing delivers it from here: lost")
    elif ends_at_unit(token):
        yield Step("entry", where, f"blocked, fault {token.vector:#x}: {REASON_TEXT.get(token.vector, 'unknown')}")
    elif not token.outcome & Flag.NO_ENTRY:
        said = "sets a bit of its descriptor" if kind == Outcome.POSTED else "gives destination and vector"
        copy = "a cached copy, which differs from memory: " if token.outcome & Flag.STALE else ""
        yield Step("entry", where, f"{copy}lets the requester in, {said}")


def _arrived(scene: Scene, token: Token) -> Iterable[Step]:
    if token.dst != NOBODY:
        vcpu = token.dst - Places(scene).vlapic
        number = scene["ids"][vcpu]
        did = "is given the spurious" if token.outcome & 7 == Outcome.SPURIOUS else "accepts"
        merged = ", which was requested already" if token.outcome & Flag.MERGED else ""
        if token.src == Places(scene).pic and token.outcome & 7 == Outcome.DIRECT:
            yield Step("vlapic", f"vLAPIC {vcpu}", "its vCPU is to fetch a vector from the 8259")
            return
        yield Step("vlapic", f"vLAPIC {vcpu}", f"has APIC ID {number:#x}, in cluster {number // SLOTS:#x}; "
                   f"{did} vector {token.vector:#x}{merged}")
    elif token.outcome & Flag.PAST:
        yield Step("nowhere", "nobody", "lost: no local APIC takes this destination and vector")


def title(page: Sheet, scene: Scene) -> float:
    """The title lines; returns the height that they take."""
    domain, profile = scene["title"]
    room = page.width - 2 * MARGIN
    page.text(MARGIN, 26, f"domain {domain}, profile {profile}", size="font-title", bold=True, room=room)
    count = f"{scene['vlapics']:,} vLAPIC{'s' if scene['vlapics'] != 1 else ''}"
    page.text(MARGIN, 46, f"{count}; a tile is one x2APIC cluster of 16 APIC IDs", size="font",
              colour=page.colours.muted, room=room)
    return 52.0


def badge(page: Sheet, x: float, y: float, number: int) -> None:
    """The number of a step, in a circle around a point."""
    page.disc(x, y, BADGE)
    page.text(x, y + 4, str(number), bold=True, colour=page.colours.background, align="center")


def strip(page: Sheet, told: list[Step], top: float, columns: int) -> float:
    """The steps side by side or one below the other; returns the height that they take."""
    room = (page.width - 2 * MARGIN) / columns
    bottom = top
    for number, step in enumerate(told):
        x, y = MARGIN + number % columns * room, (top if number % columns else bottom) + LINE
        top = y - LINE if not number % columns else top
        badge(page, x + BADGE, y - 4, number + 1)
        page.text(x + 20, y, step.name, size="font", bold=True, room=room - 28)
        lines = page.wrap(step.detail, room - 28)
        for place, line in enumerate(lines, 1):
            page.text(x + 20, y + LINE * place, line, colour=page.colours.muted, room=room - 28)
        bottom = max(bottom, y + LINE * len(lines) + 6)
    return bottom


def legend(page: Sheet, most: int, top: float, scene: Scene) -> float:
    """What shapes and shades mean, in as many lines as the width asks for; returns the lower edge."""
    x, y = MARGIN, top + LINE
    for drawn, words in _entries(most, scene):
        need = 20 + page.measure(words) + 18 + (90 if drawn == "heat" else 0)
        if x > MARGIN and x + need > page.width - MARGIN + 18:
            x, y = MARGIN, y + LINE + 4
        _entry(page, drawn, words, x, y)
        x += need
    return y + 10


def _entries(most: int, scene: Scene) -> list[tuple[str, str]]:
    limit, beyond = scene["reach"]
    far = [("far", f"no device reaches it: {beyond}")] if any(each > limit for each in scene["ids"]) else []
    heat = [("heat", f"deliveries, 0 to {most:,}")] if most else []
    ends = [*((each.name, each.name) for each in OUTCOMES), ("lost", "lost")]
    part = [("dots", f"{WORD} in part")] if scene["assumed"] else []
    return [*ends, *far, ("slot", "APIC ID that nobody has"), *part, *heat]


def _entry(page: Sheet, drawn: str, words: str, x: float, y: float) -> None:
    room = 20.0
    if drawn == "heat":
        heat, room = page.colours.heat, 100.0
        page.cells([(x + 6 * step, y - 9, 6, 10) for step in range(len(heat))], heat)
    elif drawn == "far":
        page.cells([(x + 1, y - 9, 10, 10)], [page.colours.heat[0]])
        page.hatch([(x + 1, y - 9, 10, 10)])
    elif drawn == "dots":
        page.dots([(x + 1, y - 9, 10, 10)])
    elif drawn == "slot":
        page.cells([(x + 1, y - 9, 10, 10)], ["none"], page.colours.slot)
    else:
        page.token(x + 6, y - 4, drawn)
    page.text(x + room, y, words)

