"""What commands would do, told before they are done: they are done to a copy."""

from __future__ import annotations

from collections.abc import Iterable

from vsim.devices import vvtd
from vsim.explain.sentences import say
from vsim.layouts.registers import UNIT
from vsim.machine import step
from vsim.state.arrays import Machine
from vsim.state.commands import Command
from vsim.state.trace import Act, Event
from widgets.lab.panel import line

SHOWN = 12
"""Sentences that are shown at most."""
_QUIET = (Act.WRITTEN, Act.READ, Act.VM_EXIT, Act.ROUND_TRIP)


def outcome(m: Machine, commands: Iterable[Command]) -> tuple[Machine, list[Event], list[str]]:
    """(the machine afterwards, the events, a sentence for each); `m` is left as it is."""
    after, events, told = m.copy(), list[Event](), list[str]()
    for command in commands:
        before = after.copy()
        done = step(after, command)
        events += done
        told += [sentence for event in done if event.act not in _QUIET and (sentence := say(before, event))]
    return after, events, told


def registers_changed(before: Machine, after: Machine, unit: int) -> list[str]:
    """A sentence for every register of a unit that two machines hold differently."""
    if not (before.live(unit) and after.live(unit)):
        return []
    out = []
    for offset, width, name, layout in UNIT:
        was, now = (vvtd.value(m, unit, offset, width) for m in (before, after))
        if was != now:
            text = layout.text if layout else hex
            out.append(f"{name}: {text(was)} becomes {text(now)}.")
    return out


def shown(sentences: list[str], nothing: str) -> str:
    """Sentences as HTML, the first `SHOWN` of them."""
    rest = len(sentences) - SHOWN
    more = [f"... and {rest} more."] if rest > 0 else []
    return "".join(line(each) for each in [*sentences[:SHOWN], *more]) or line(nothing, "muted")
