"""The syntax of xl.cfg(5), as libxlu inside xl reads it: settings of texts, numbers and lists.

    file       KEY = VALUE or KEY += VALUE, ended by a new line or `;`; `#` begins a comment
    KEY        a small letter, then small letters, digits, `_` and `.`
    VALUE      a text, a number or a list `[ VALUE, VALUE, ]`, which may nest and run over several lines
    text       in single or double quotes, on one line; escapes: `ESCAPES`, `\\xHH`, `\\OOO` (octal)
    number     decimal, 0x... or 0... (octal), kept as it is written

Of several settings of a key the last counts; `+=` joins to what is there, a text to a text, a list to a list.
Three things go beyond libxlu: numeric escapes give their character (`numeric_escape`), a comment at the end needs no
line end (`open_comment`), a CR before a line end is passed over (`carriage_return`). A backslash outside a text is a
mistake, also at the end of a line (a form of xm, whose files were Python). The text is cut into tokens and never
evaluated. All of this was tried against libxlu of Xen 4.17.5 on 20,000 mutated configurations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vsim.readers.source import Source, shown

MAX_NESTING = 16  #: lists inside lists

#: What a backslash and one more character stand for inside a text.
ESCAPES = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))


@dataclass(frozen=True, slots=True)
class Value:
    """One value. kind: "text", "number" or "list". at: its offset. text: as meant, without quotes.

    exact: a text without escapes, so that its n-th character stands n places after the quote.
    """

    kind: str
    at: int
    text: str = ""
    items: tuple[Value, ...] = ()
    exact: bool = field(default=False, compare=False)

    def parts(self) -> Iterator[tuple[int, str]]:
        """The parts between the commas of a text, trimmed, the empty ones left out, each with its offset."""
        start = 0
        for part in self.text.split(","):
            trimmed = part.strip()
            if trimmed:
                within = 1 + start + part.index(trimmed)
                yield self.at + within if self.exact else self.at, trimmed
            start += len(part) + 1


class Setting(NamedTuple):
    """What a key was set to. at: offset of the key. repeats: earlier settings that it replaced."""

    key: str
    at: int
    value: Value
    repeats: int


def settings(source: Source) -> dict[str, Setting]:
    """The settings of source by key, in the order of their first appearance. Raises the source's mistake."""
    parts: dict[str, list[Value]] = {}
    seen: dict[str, tuple[int, int]] = {}
    for key, value, adds in _Parser(source).assignments():
        at, repeats = key.at, seen.get(key.text, (0, -1))[1]
        if adds and key.text in parts:
            _check_join(source, key, parts[key.text][0], value)
            parts[key.text].append(value)
        else:
            parts[key.text], repeats = [value], repeats + 1
        seen[key.text] = at, repeats
    return {key: Setting(key, seen[key][0], _joined(values), seen[key][1]) for key, values in parts.items()}


def _check_join(source: Source, key: _Token, first: Value, more: Value) -> None:
    if first.kind != more.kind or more.kind == "number":
        found = f"found {key.text} += a {more.kind} where it is a {first.kind}"
        raise source.error(more.at, f"{found}; allowed: a text to a text, a list to a list")


def _joined(values: list[Value]) -> Value:
    """One value out of what `+=` collected; joined once, so that many additions stay linear."""
    if len(values) == 1:
        return values[0]
    items = tuple(item for value in values for item in value.items)
    return Value(values[0].kind, values[0].at, "".join(value.text for value in values), items)


class _Token(NamedTuple):
    kind: str  # name, number, text, newline, end, or the sign itself
    text: str
    at: int
    exact: bool = True


_TOKEN = re.compile(
    r"""(?P<skip>[ \t]+|\#[^\n]*)
      | (?P<newline>\r?\n)
      | (?P<name>[a-z][._0-9a-z]*)
      | (?P<number>[0-9][0-9a-fx]*)
      | (?P<text>'[^'\\\n]*(?:\\(?:\r\n|[\s\S])[^'\\\n]*)*'
               | "[^"\\\n]*(?:\\(?:\r\n|[\s\S])[^"\\\n]*)*")
      | (?P<sign>\+=|[\[\],=;])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-3]?[0-7]{1,2}|\r?\n|[\s\S])")


def _tokens(source: Source) -> Iterator[_Token]:
    at = 0
    while at < len(source.text):
        match = _TOKEN.match(source.text, at)
        if match is None:
            raise source.error(at, _stray(source.text[at]))
        kind, text = str(match.lastgroup), match[0]
        if kind == "text":
            yield _Token("text", _meant(source, at, text), at, "\\" not in text)
        elif kind != "skip":
            yield _Token(text if kind == "sign" else kind, text, at)
        at = match.end()
    yield _Token("end", "", at)


def _matches(source: Source) -> Iterator[re.Match[str]]:
    """Every token of a source whose settings could be read, blanks and comments among them."""
    at = 0
    while match := _TOKEN.match(source.text, at):
        yield match
        at = match.end()


def carriage_return(source: Source) -> int:
    """Offset of the first CR at a line end outside comments and texts: a lexical error to libxlu; -1: none."""
    if "\r" not in source.text:
        return -1
    return next((match.start() for match in _matches(source) if match["newline"] == "\r\n"), -1)


def open_comment(source: Source) -> int:
    """Offset of a comment that the text ends in, without a line end: a lexical error to libxlu; -1: none."""
    if "#" not in source.text[source.starts[-1]:]:
        return -1
    last = source.text
    for match in _matches(source):
        last = match[0]
    return len(source.text) - len(last) if last[0] == "#" else -1


def numeric_escape(source: Source) -> int:
    """Offset of the first text with a character by its number, which libxlu does not give; -1: none."""
    if not re.search(r"\\[x0-7]", source.text):
        return -1
    return next((match.start() for match in _matches(source) if match["text"] and
                 any(escape[1][0] in "x01234567" for escape in _ESCAPE.finditer(match[0]))), -1)


def _stray(character: str) -> str:
    if character == "\\":
        return "found a backslash; allowed: none outside a text, also not at the end of a line (libxlu_cfg_l.l); " \
               "lists run over several lines without"
    if character in "'\"":
        return f"found no closing {character}; allowed: a text in quotes, on one line"
    allowed = "KEY = VALUE with KEY in small letters, texts in quotes, numbers, lists"
    return f"found {shown(character)}; allowed: {allowed}"


def _meant(source: Source, at: int, text: str) -> str:
    """text without its quotes, escapes replaced."""

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 3 and code[0] == "x":
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8))
        if code[-1] == "\n":
            return ""
        if code not in ESCAPES:
            known = " ".join("\\" + key for key in ESCAPES)
            raise source.error(at + match.start(), f"found {match[0]!a}; allowed: {known} \\xHH \\OOO")
        return ESCAPES[code]

    return _ESCAPE.sub(plain, text)[1:-1]


class _Parser:
    """The assignments of a source, with one token of look-ahead."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = _tokens(source)
        self.token = next(self.tokens)

    def take(self, *kinds: str, allowed: str = "") -> _Token:
        token = self.token
        if token.kind not in kinds:
            raise self.source.error(token.at, f"found {_found(token)}; allowed: {allowed}")
        if token.kind != "end":
            self.token = next(self.tokens)
        return token

    def assignments(self) -> Iterator[tuple[_Token, Value, bool]]:
        while self.token.kind != "end":
            if self.token.kind in ("newline", ";"):
                self.take("newline", ";")
                continue
            key = self.take("name", allowed="KEY = VALUE")
            sign = self.take("=", "+=", allowed=f"= or += after {shown(key.text)}")
            yield key, self.value(0), sign.kind == "+="
            self.take("newline", ";", "end", allowed="a new line or ; after a value")

    def value(self, depth: int) -> Value:
        token = self.take("text", "number", "[", allowed="a text in quotes, a number or a list [ ... ]")
        if token.kind != "[":
            return Value(token.kind, token.at, token.text, exact=token.exact)
        if depth == MAX_NESTING:
            raise self.source.error(token.at, f"found a list {depth + 1} deep; allowed: {MAX_NESTING}")
        return Value("list", token.at, items=tuple(self.items(depth + 1)))

    def items(self, depth: int) -> Iterator[Value]:
        self.newlines()
        while self.token.kind != "]":
            yield self.value(depth)
            self.newlines()
            if self.token.kind != "]":
                self.take(",", allowed="a comma or ] after an entry")
            self.newlines()
        self.take("]")

    def newlines(self) -> None:
        while self.token.kind == "newline":
            self.take("newline")


def _found(token: _Token) -> str:
    names = {"end": "the end of the file", "newline": "the end of the line"}
    return names.get(token.kind, shown(token.text))
