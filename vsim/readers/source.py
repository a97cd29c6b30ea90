"""A text that somebody else wrote, and how a mistake in it is told: `FILE:LINE:COLUMN: message`.

The readers of configurations and of lspci's output stand on this. Lines and columns count from 1, columns in
characters. Sizes are bounded here, before anything is read out of a text.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

# A value within a value within ...: more than any row has, and fewer than make a parser of any Python give up.
MAX_NESTED = 100

_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?')


class TextError(ValueError):
    """A text that cannot be used: where, what was found, what is allowed. One subclass a kind of text."""

    def __init__(self, file: str, line: int, column: int, message: str) -> None:
        super().__init__(f"{file}:{line}:{column}: {message}")
        self.file, self.line, self.column, self.message = file, line, column, message


class Source:
    """The characters of `file`, addressed by their offset from 0. `mistake` is the class of its errors."""

    def __init__(self, text: str, file: str, mistake: type[TextError], limit: int) -> None:
        """limit: most characters; a longer text is a mistake."""
        self.text, self.file, self.mistake = text, file, mistake
        self.starts = [0]
        if len(text) > limit:
            raise self.error(0, f"found {len(text)} characters; allowed: up to {limit}")
        self.starts.extend(match.end() for match in re.finditer("\n", text))

    def line(self, at: int) -> int:
        """Line of the character at offset `at`."""
        return bisect_right(self.starts, at)

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of the character at offset `at`."""
        line = self.line(at)
        return line, at - self.starts[line - 1] + 1

    def error(self, at: int, message: str) -> TextError:
        """The mistake at offset `at`, to be raised."""
        return self.mistake(self.file, *self.place(at), message)


Mistake = Callable[[str, int, int, str], ValueError]
"""Makes the error of a place: file, line, column, message. A class of such errors is one."""


def unread(error: Exception, file: str, mistake: Mistake) -> ValueError:
    """The mistake that a file cannot be read, to be raised."""
    return mistake(file, 1, 1, f"cannot be read: {getattr(error, 'strerror', None) or error}")


def load(path: str | os.PathLike[str], mistake: Mistake, limit: int) -> bytes:
    """The bytes of a file, at most `limit`. A file that cannot be read, or is larger, is a mistake."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise ValueError(f"path is {path!r:.40}; expected the path of a file")
    file = os.fspath(path)
    try:
        with open(file, "rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        raise unread(error, file, mistake) from None
    return bounded(data, file, mistake, limit)


def bounded(data: bytes, file: str, mistake: Mistake, limit: int) -> bytes:
    """The same bytes, unless they are more than allowed."""
    if len(data) > limit:
        raise mistake(file, 1, 1, f"found more than {limit} bytes; allowed: up to {limit}")
    return data


def decoded(data: bytes, file: str, mistake: Mistake) -> str:
    """The text of bytes that have to be UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise mistake(file, before.count("\n") + 1, len(before) - before.rfind("\n"),
                      f"found byte {data[error.start]:#04x}; allowed: UTF-8") from None


def read(path: str | os.PathLike[str], mistake: Mistake, limit: int) -> str:
    """The text of a UTF-8 file of at most `limit` bytes; a byte order mark at the beginning is no part of it."""
    return decoded(load(path, mistake, limit).removeprefix(BOM_UTF8), os.fspath(path), mistake)


def rows(text: str, file: str, mistake: Mistake, limit: int, commands: int, heads: int = 0) -> list[str]:
    """The lines of a log, each ended: `heads` lines and up to `commands` others, in up to `limit` characters."""
    if len(text) > limit:
        raise mistake(file, 1, 1, f"found {len(text)} characters; allowed: up to {limit}")
    lines = text.split("\n", commands + heads + 1)
    if len(lines) > commands + heads + 1:
        raise mistake(file, len(lines), 1, f"found more than {commands} commands; no more are allowed")
    if lines[-1]:
        raise mistake(file, len(lines), len(lines[-1]) + 1, "the last line is not ended: the file is cut off")
    return lines[:-1]


class JsonError(ValueError):
    """A line that is no JSON, or none that can be used; column: where, from 1."""

    def __init__(self, column: int, message: str) -> None:
        super().__init__(f"not JSON: {message}")
        self.column = column


def json_line(line: str) -> Any:
    """The value of one line of JSON. JsonError for anything else, the same one on every version of Python."""
    if line.count("[") + line.count("{") > MAX_NESTED:
        _bound_depth(line)
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise JsonError(error.colno, error.msg) from None
    except ValueError as error:     # a number of more digits than Python reads
        raise JsonError(1, str(error)[:80]) from None


def _bound_depth(line: str) -> None:
    depth = 0
    for found in re.finditer(r"[][{}]", _JSON_STRING.sub(lambda text: " " * len(text.group()), line)):
        depth += 1 if found.group() in "[{" else -1
        if depth > MAX_NESTED:
            raise JsonError(found.start() + 1, f"more than {MAX_NESTED} values within each other; no more are allowed")


def shown(text: str) -> str:
    """text in quotes for a message: one line of ASCII, shortened to what is needed to recognise it."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")


_HARMFUL = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"},
    **{code: f"\\u{code:04x}" for code in (0x61C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F),
                                          *range(0x2066, 0x206A), *range(0xD800, 0xE000), 0xFEFF)}}


def plain(text: str) -> str:
    """A text that others wrote, for a terminal: control characters, marks that change the direction of writing, and
    halves of surrogate pairs as escapes; line ends and tabs stay.
    """
    return text.translate(_HARMFUL)
