"""The options of a domain's configuration by key, each read as what it has to be: a text, a number, a choice, texts.

A mistake is a `ConfigError` that says what was found and what is allowed.
"""

from __future__ import annotations

import re

from vsim.readers.source import Source, TextError, shown
from vsim.readers.xlu import Value, settings

MAX_DEVICES = 256  #: entries of one pci, vif or disk list: the functions of one guest bus


class ConfigError(TextError):
    """A configuration that cannot be used. Prints as `FILE:LINE:COLUMN: message`."""


class Options:
    """The settings by key, each read as what it has to be. What nobody asks for is unknown."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.given = settings(source)
        self.asked: set[str] = set()
        self.notes = [
            f"{key} is set {setting.repeats + 1} times; line {source.line(setting.at)} counts"
            for key, setting in self.given.items()
            if setting.repeats
        ]

    def unknown(self) -> tuple[tuple[str, int], ...]:
        """Keys that nobody asked for, with their lines."""
        left = (setting for key, setting in self.given.items() if key not in self.asked)
        return tuple((setting.key, self.source.line(setting.at)) for setting in left)

    def one(self, key: str, kinds: tuple[str, ...]) -> Value | None:
        """The value of a key, of one of these kinds; None when it is not set."""
        self.asked.add(key)
        if key not in self.given:
            return None
        value = self.given[key].value
        if value.kind not in kinds:
            raise self.source.error(value.at, f"{key} is a {value.kind}; allowed: a {' or a '.join(kinds)}")
        return value

    def text(self, key: str, default: str) -> str:
        """A text that a terminal may show."""
        value = self.one(key, ("text",))
        return default if value is None else plain(self.source, value).text

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """One of some words; "" when it is not set."""
        value = self.one(key, ("text",))
        return "" if value is None else one_of(self.source, value.at, key, value.text, allowed)

    def number(self, key: str, default: int, low: int, high: int) -> int:
        """A number within limits."""
        value = self.one(key, ("number", "text"))
        return default if value is None else integer(self.source, value.at, key, value.text, low, high)

    def texts(self, key: str) -> list[Value]:
        """The texts of a list."""
        value = self.one(key, ("list",))
        items = value.items if value is not None else ()
        if len(items) > MAX_DEVICES:
            at = items[MAX_DEVICES].at
            raise self.source.error(at, f"{key} has {len(items)} entries; allowed: up to {MAX_DEVICES}")
        for item in items:
            if item.kind != "text":
                raise self.source.error(item.at, f"found a {item.kind} in {key}; allowed: texts in quotes")
        return [plain(self.source, item) for item in items]


def plain(source: Source, value: Value) -> Value:
    """value, which a terminal will show: refused when it holds characters that steer one."""
    if not value.text.replace("\t", " ").isprintable():
        raise source.error(value.at, f"found {shown(value.text)}; allowed: printable characters")
    return value


def one_of(source: Source, at: int, what: str, text: str, allowed: tuple[str, ...]) -> str:
    """text, which has to be one of those allowed."""
    if text not in allowed:
        raise source.error(at, f"{what} is {shown(text)}; allowed: {', '.join(allowed)}")
    return text


_INTEGER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")


def integer(source: Source, at: int, what: str, text: str, low: int, high: int) -> int:
    """The number that C's strtol with base 0 finds in all of text."""
    if len(text) <= 18 and _INTEGER.fullmatch(text):  # longer is above every limit, and slow to convert
        number = int(text, 8 if re.match("0[0-7]", text) else 0)
        if low <= number <= high:
            return number
    message = f"{what} is {shown(text)}; allowed: a number from {low} to {high} (decimal, 0x.. or 0..)"
    raise source.error(at, message)
