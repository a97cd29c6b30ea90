"""What a caller gives, looked at before anything is done with it."""

from __future__ import annotations

from typing import Any


def whole(name: str, value: Any, most: int, least: int = 0) -> int:
    """`value`, which has to be an int from `least` to `most`. ValueError names it, what was found and the limits."""
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or not least <= value <= most:
        found = f"{value:#x}" if number and most > 0xFFFF else f"{value!r:.40}"
        limits = f"{least:#x} to {most:#x}" if most > 0xFFFF else f"{least} to {most}"
        raise ValueError(f"{name} is {found}; the limit is {limits}")
    return int(value)


def a(kind: type[Any], name: str, value: Any) -> None:
    """`value` has to be of this kind. ValueError names it, what was found and the kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {value!r:.40}; expected a {kind.__name__}")
