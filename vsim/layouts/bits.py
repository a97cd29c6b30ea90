"""Declare the bits of a register or table entry once; everything else reads the declaration.

A `Layout` is an ordered set of `Field`s over a word of `width` bits. From it come decoding (`get`), encoding
(`put`, `make`), the check of reserved bits (`reserved_set`), the one-line text form (`text`, `parse`) and the table
for documentation and editors (`rows`). `get` and `put` use shifts and masks only, so the same expression works on
Python ints and on numpy arrays of an unsigned type that is wide enough.

A field may be split over several places (the handle of a remappable message: address bits 19:5 and bit 2); its
pieces are listed from the least significant bits of the value upwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

MAX_LINE = 4096
"""Characters of a layout's text form."""


class Access(Enum):
    """How software may use a field."""

    RW = "read-write"
    RO = "read-only"
    WO = "write-only"
    W1C = "write 1 to clear"
    RSVD = "reserved, 0"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `width` bits from bit `low` upwards, or several `pieces` (low, width) from value bit 0 upwards.

    form: how the value is written in text: "hex", "dec" or "bdf" (bus:device.function of a 16-bit requester id).
    names: the values that have a name. access: see `Access`. reset: value after reset. doc: the meaning.
    """

    name: str
    low: int
    width: int
    doc: str = ""
    access: Access = Access.RW
    form: str = ""
    names: Mapping[int, str] = field(default_factory=dict)
    reset: int = 0
    more: tuple[tuple[int, int], ...] = ()

    @property
    def pieces(self) -> tuple[tuple[int, int], ...]:
        """The places (low, width) that hold the field, from its least significant bits upwards."""
        return ((self.low, self.width), *self.more)

    @property
    def size(self) -> int:
        """Bits of the field's value."""
        return sum(width for _, width in self.pieces)

    @property
    def limit(self) -> int:
        """The largest value that fits."""
        return (1 << self.size) - 1

    @property
    def mask(self) -> int:
        """The bits of the word that the field occupies."""
        return sum(((1 << width) - 1) << low for low, width in self.pieces)

    @property
    def bits(self) -> str:
        """The field's place as the specification writes it, e.g. "19:5, 2"."""
        return ", ".join(f"{low + width - 1}:{low}" if width > 1 else str(low)
                         for low, width in reversed(self.pieces))


def reserved(low: int, width: int) -> Field:
    """Bits that software writes as 0."""
    return Field(f"rsvd{low}", low, width, "reserved", Access.RSVD)


def flag(name: str, low: int, doc: str = "", access: Access = Access.RW, reset: int = 0) -> Field:
    """A field of one bit."""
    return Field(name, low, 1, doc, access, "dec", reset=reset)


def get(value: Any, place: Field) -> Any:
    """The field's value in `value`: an int, or a numpy array of unsigned integers of the layout's width."""
    got = value >> place.low & ((1 << place.width) - 1)
    shift = place.width
    for low, width in place.more:
        got = got | (value >> low & ((1 << width) - 1)) << shift
        shift += width
    return got


def put(value: Any, place: Field, new: Any) -> Any:
    """`value` with the field replaced by the low bits of `new`; ints or numpy arrays, as `get`."""
    value = value ^ (value & place.mask)  # not `& ~mask`: numpy's unsigned types have no negative numbers
    for low, width in place.pieces:
        value = value | (new & ((1 << width) - 1)) << low
        new = new >> width
    return value


class Layout:
    """A word of `width` bits, its fields, and the section that defines it; fields are attributes.

    Raises ValueError when fields overlap, leave the word, leave a gap, share a name, or have the name of one of a
    layout's own attributes.

    >>> pair = Layout("pair", 8, "example", Field("low", 0, 4), Field("high", 4, 4, form="dec"))
    >>> pair.text(0x21)
    'low=1 high=2'
    >>> hex(pair.parse("high=2 low=1"))
    '0x21'
    """

    def __init__(self, name: str, width: int, section: str, *fields: Field) -> None:
        self.name = name
        self.width = width
        self.section = section
        self.fields = tuple(sorted(fields, key=lambda f: f.low))
        self._by_name = {f.name: f for f in fields}
        self._check()
        self.reserved = sum(f.mask for f in fields if f.access is Access.RSVD)

    def _check(self) -> None:
        if len(self._by_name) != len(self.fields):
            raise ValueError(f"{self.name}: a field name is used twice")
        taken = 0
        for f in self.fields:
            if f.name in self.__dict__ or hasattr(type(self), f.name):
                raise ValueError(f"{self.name}.{f.name}: the name is an attribute of every layout")
            for low, width in f.pieces:
                taken |= self._piece(f, low, width, taken)
        gap = ~taken & (1 << self.width) - 1
        if gap:
            raise ValueError(f"{self.name}: bits {gap:#x} belong to no field; declare them reserved")

    def _piece(self, place: Field, low: int, width: int, taken: int) -> int:
        """The bits of one piece of a field, when the word has them and nobody else does."""
        if low < 0 or width < 1:
            raise ValueError(f"{self.name}.{place.name}: bit {low}, width {width} is no place in a word")
        if low + width > self.width:
            raise ValueError(f"{self.name}.{place.name}: bits {place.bits} leave the {self.width}-bit word")
        bits = (1 << width) - 1 << low
        if taken & bits:
            raise ValueError(f"{self.name}.{place.name}: bits {place.bits} overlap another field")
        return bits

    def __getattr__(self, name: str) -> Field:
        try:
            return self.__dict__["_by_name"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"{self.__dict__.get('name')} has no field {name!r}") from None

    def __iter__(self) -> Iterator[Field]:
        return (f for f in self.fields if f.access is not Access.RSVD)

    def make(self, **values: int) -> int:
        """A word with these fields set and all others 0. ValueError when a value does not fit its field."""
        word = 0
        for name, value in values.items():
            word = put(word, self._fitting(name, value), value)
        return word

    def _fitting(self, name: str, value: int) -> Field:
        place = self._by_name.get(name)
        if place is None:
            known = " ".join(f.name for f in self)
            raise ValueError(f"{self.name}: no field {name!r}; fields are {known}")
        if not isinstance(value, int):
            raise ValueError(f"{self.name}.{name} is {value!r:.40}; the limit is 0 to {place.limit:#x}")
        if not 0 <= value <= place.limit:
            raise ValueError(f"{self.name}.{name}: {value:#x} is over its limit {place.limit:#x}")
        return place

    def split(self, word: int) -> dict[str, int]:
        """The value of every field that is not reserved."""
        return {f.name: get(word, f) for f in self}

    def reserved_set(self, word: int) -> int:
        """The reserved bits that are set in `word`."""
        return word & self.reserved

    @property
    def writable(self) -> int:
        """The bits that a plain write stores (RW fields)."""
        return sum(f.mask for f in self.fields if f.access is Access.RW)

    @property
    def w1c(self) -> int:
        """The bits that writing 1 clears."""
        return sum(f.mask for f in self.fields if f.access is Access.W1C)

    @property
    def reset(self) -> int:
        """The word after reset."""
        word = 0
        for f in self.fields:
            word = put(word, f, f.reset)
        return word

    def text(self, word: int) -> str:
        """One line `name=value ...` of the fields that are not 0; reserved bits too, so nothing is lost."""
        parts = [f"{f.name}={format_value(f, get(word, f))}" for f in self.fields if get(word, f)]
        return " ".join(parts) or "0"

    def parse(self, line: str) -> int:
        """The word that `text` wrote. ValueError names the column and what was found."""
        if len(line) > MAX_LINE:
            raise ValueError(f"column {MAX_LINE + 1}: {len(line)} characters; the limit is {MAX_LINE}")
        word, seen = 0, set[str]()
        for match in re.finditer(r"\S+", line):
            name, equals, value = match.group().partition("=")
            if not equals and name == "0":
                continue
            try:
                place = self._fitting(name, number := parse_value(value))
                if name in seen:
                    raise ValueError(f"{self.name}.{name} is given twice")
            except ValueError as error:
                raise ValueError(f"column {match.start() + 1}: {match.group()!r}: {error}") from None
            seen.add(name)
            word = put(word, place, number)
        return word

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """For documentation, from the highest bit: (bits, name, access, named values, meaning)."""
        return [(f.bits, f.name, f.access.value, ", ".join(f"{k:#x} {v}" for k, v in f.names.items()), f.doc)
                for f in reversed(self.fields)]

    def __repr__(self) -> str:
        return f"Layout({self.name!r}, {self.width}, {self.section!r})"


def bdf_text(rid: int) -> str:
    """A 16-bit requester id as bus:device.function, e.g. 0x0300 as "03:00.0"."""
    return f"{rid >> 8:02x}:{rid >> 3 & 31:02x}.{rid & 7}"


_BDF = re.compile(r"([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})\.([0-7])")


def parse_bdf(text: str) -> int:
    """The 16-bit requester id of "bus:device.function" (hex:hex.digit). ValueError when it is not one."""
    match = _BDF.fullmatch(text)
    if match is None or int(match[2], 16) > 31:
        raise ValueError(f"{text!r:.40} is not bus:device.function, like 03:00.0 (device at most 1f)")
    return int(match[1], 16) << 8 | int(match[2], 16) << 3 | int(match[3])


def format_value(place: Field, value: int) -> str:
    """A field's value in its text form."""
    if place.form == "bdf":
        return bdf_text(value)
    return str(value) if place.form == "dec" or value < 10 else f"{value:#x}"


def parse_value(text: str) -> int:
    """A value of the text form: decimal, 0x hexadecimal, or bus:device.function. ValueError otherwise."""
    if _BDF.fullmatch(text):
        return parse_bdf(text)
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,128}|[0-9]{1,40}", text):
        raise ValueError(f"{text[:40]!r} is not a number or bus:device.function")
    return int(text, 16) if text[:2] in ("0x", "0X") else int(text)
