"""ACPI tables as values: a table is structures inside structures, and nothing of it is lost (V 8).

Each structure is declared once as a `bits.Layout` over its bytes, read as one little-endian number; a `Shape` says what
may follow it. `parse` reads bytes into a tree of `Structure`s, `bytes(structure)` gives the same bytes back: what has
no meaning here (reserved fields, unknown types, bytes too many) is kept as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from vsim.layouts.bits import Field, Layout, get, put

MAX_TABLE = 1 << 20
"""Longest table that is read, in bytes."""
MAX_DUMP = 1 << 23
"""Longest text of acpidump that is read, in characters."""


class AcpiError(ValueError):
    """Bytes that are no table. offset: where, in bytes from the start; field: what is wrong, e.g. "DRHD.length"."""

    def __init__(self, offset: int, field: str, message: str) -> None:
        super().__init__(f"offset {offset:#x}, {field}: {message}")
        self.offset, self.field = offset, field


class DumpError(AcpiError):
    """A text that is not what acpidump prints: `FILE:LINE:COLUMN: message`. offset: in characters from the start."""

    def __init__(self, file: str, line: int, column: int, offset: int, message: str) -> None:
        ValueError.__init__(self, f"{file}:{line}:{column}: {message}")
        self.offset, self.field = offset, "text"
        self.file, self.line, self.column = file, line, column


class Row(NamedTuple):
    """One field as it lies in a table: byte offset, size in bytes, "LAYOUT.field", value, meaning."""

    offset: int
    size: int
    name: str
    value: int | str
    doc: str


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure. word: its fixed part as a number; parts: the structures that follow it; tail: bytes after them.

    `structure["base"]` is the value of a field.
    """

    layout: Layout
    word: int
    parts: tuple[Structure, ...] = ()
    tail: bytes = b""

    def __getitem__(self, name: str) -> int:
        return int(get(self.word, getattr(self.layout, name)))

    def __bytes__(self) -> bytes:
        fixed = self.word.to_bytes(self.layout.width // 8, "little")
        return b"".join((fixed, *map(bytes, self.parts), self.tail))

    def __len__(self) -> int:
        return self.layout.width // 8 + sum(map(len, self.parts)) + len(self.tail)

    def characters(self, name: str) -> bytes:
        """A field that holds text, in the order of its bytes."""
        return self[name].to_bytes(getattr(self.layout, name).size // 8, "little")

    def rows(self, offset: int = 0) -> Iterator[Row]:
        """Every field with its place, when the structure begins at `offset`."""
        for f in self.layout.fields:
            yield Row(offset + f.low // 8, f.width // 8, f"{self.layout.name}.{f.name}", get(self.word, f), f.doc)
        offset += self.layout.width // 8
        for part in self.parts:
            yield from part.rows(offset)
            offset += len(part)
        yield from self.tail_rows(offset)

    def tail_rows(self, offset: int) -> Iterator[Row]:
        """The bytes after the parts; a subclass that knows their meaning gives rows of its own."""
        if self.tail:
            yield Row(offset, len(self.tail), f"{self.layout.name}.tail", self.tail.hex(" "), "not interpreted")


@dataclass(frozen=True, slots=True)
class Shape:
    """How a structure is read: its fixed part, the family of structures that follow (None: bytes), its class."""

    layout: Layout
    inside: Family | None = None
    made: type[Structure] = Structure


@dataclass(frozen=True, slots=True)
class Family:
    """Structures one after the other, told apart by the type in `head`.

    shapes: those of known types. other: the shape of all the others; None: they are kept as bytes.
    """

    head: Layout
    shapes: Mapping[int, Shape] = field(default_factory=dict)
    other: Shape | None = None

    def shape(self, kind: int) -> Shape:
        """The shape of a type."""
        return self.shapes.get(kind) or self.other or Shape(self.head)


def place(name: str, at: int, size: int, doc: str = "", **more: Any) -> Field:
    """A field by its byte offset and size in bytes."""
    return Field(name, 8 * at, 8 * size, doc, **more)


HEADER = (
    place("signature", 0, 4, "four letters that name the table"),
    place("length", 4, 4, "of the whole table, in bytes"),
    place("revision", 8, 1),
    place("checksum", 9, 1, "makes all bytes sum to 0 modulo 256"),
    place("oem_id", 10, 6), place("oem_table_id", 16, 8), place("oem_revision", 24, 4),
    place("creator_id", 28, 4, "the tool that made the table"), place("creator_revision", 32, 4))
"""The fields that every table begins with: 36 bytes."""


class Oem(NamedTuple):
    """Who made a table: OEM id (6 bytes), OEM table id (8), OEM revision, creator (4), creator revision."""

    id: bytes
    table: bytes
    revision: int
    creator: bytes
    creator_revision: int

    def fields(self) -> dict[str, int]:
        """As fields of a header. ValueError for a text that is too long."""
        texts = {"oem_id": (self.id, 6), "oem_table_id": (self.table, 8), "creator_id": (self.creator, 4)}
        for name, (text, limit) in texts.items():
            if len(text) > limit:
                raise ValueError(f"{name} is {text!r}; the limit is {limit} bytes")
        return {name: int.from_bytes(text, "little") for name, (text, _) in texts.items()} | {
            "oem_revision": self.revision, "creator_revision": self.creator_revision}


XEN = Oem(b"Xen", b"HVM", 0, b"HVML", 0)
"""What Xen's tools write (X 6.3)."""


# --- making ---


def make(shape: Shape, values: Mapping[str, int], parts: tuple[Structure, ...] = (), tail: bytes = b"") -> Structure:
    """A structure with these fields; its length is filled in. ValueError for a value that does not fit its field."""
    length = shape.layout.width // 8 + sum(map(len, parts)) + len(tail)
    return shape.made(shape.layout, shape.layout.make(**values, length=length), parts, tail)


def make_table(shape: Shape, values: Mapping[str, int], parts: tuple[Structure, ...], oem: Oem) -> Structure:
    """A table with a right checksum; `values`: revision, and the fields behind the header. ValueError as for `make`."""
    signature = int.from_bytes(shape.layout.name.encode(), "little")
    return sealed(make(shape, {"signature": signature, **oem.fields(), **values}, parts))


def sealed(table: Structure) -> Structure:
    """The table with its checksum made right."""
    return replace(table, word=put(table.word, table.layout.checksum, table["checksum"] - sum(bytes(table)) & 0xFF))


# --- reading ---


def length(head: bytes, signature: str) -> int:
    """Length in bytes that the first 8 bytes of a table give. AcpiError when they do not begin such a table."""
    if head[:4] != signature.encode():
        raise AcpiError(0, f"{signature}.signature", f"{head[:4]!r}; expected {signature.encode()!r}")
    if len(head) < 8:
        raise AcpiError(4, f"{signature}.length", f"found {len(head)} bytes; expected 8 or more")
    return int.from_bytes(head[4:8], "little")


def parse(shape: Shape, data: bytes) -> Structure:
    """The table that `data` begins with; what lies behind its length is no part of it.

    A wrong checksum does not matter, as it does not to kernels (they warn); `take` tells it. AcpiError names offset and
    field: signature, length, a structure that is cut or too short.
    """
    table, doubts = take(shape, data)
    for doubt in doubts:
        if not doubt.field.endswith(".checksum"):
            raise doubt
    return table


def take(shape: Shape, data: bytes) -> tuple[Structure, tuple[AcpiError, ...]]:
    """The same, and what is wrong with it: a table that is cut or broken is read as far as it can be.

    What cannot be read is the `tail` of the structure that it is in. AcpiError when there is no table's header.
    """
    name, least = shape.layout.name, shape.layout.width // 8
    wanted, doubts = length(data[:8], name), list[AcpiError]()
    if wanted > len(data) >= least:
        found = f"found {len(data)} bytes" if wanted <= MAX_TABLE else f"expected {least} to {MAX_TABLE}"
        doubts.append(AcpiError(4, f"{name}.length", f"{wanted}; {found}"))
        wanted = min(len(data), MAX_TABLE)
    if not least <= wanted <= MAX_TABLE:
        raise AcpiError(4, f"{name}.length", f"{wanted}; expected {least} to {MAX_TABLE}")
    if wanted > len(data):
        raise AcpiError(4, f"{name}.length", f"{wanted}; found {len(data)} bytes")
    data = bytes(data[:wanted])
    if not doubts and sum(data) & 0xFF:
        doubts.append(AcpiError(9, f"{name}.checksum", f"the bytes sum to {sum(data) & 0xFF:#x}; expected 0"))
    return _read(shape, data, 0, wanted, doubts), tuple(doubts)


def _read(shape: Shape, data: bytes, start: int, end: int, doubts: list[AcpiError]) -> Structure:
    """The structure that fills data[start:end]; what is wrong inside goes to `doubts`."""
    behind = start + shape.layout.width // 8
    word = int.from_bytes(data[start:behind], "little")
    if shape.inside is None:
        return shape.made(shape.layout, word, (), data[behind:end])
    parts = []
    while behind < end:
        try:
            inner, size = _next(shape.inside, data, behind, end)
        except AcpiError as doubt:
            doubts.append(doubt)
            break
        parts.append(_read(inner, data, behind, behind + size, doubts))
        behind += size
    return shape.made(shape.layout, word, tuple(parts), data[behind:end])


def _next(family: Family, data: bytes, start: int, end: int) -> tuple[Shape, int]:
    """Shape and size of the structure at data[start]. AcpiError when it is cut or too short."""
    head = family.head.width // 8
    if end - start < head:
        raise AcpiError(start, f"{family.head.name}.type", f"{end - start} bytes are left; expected {head} or more")
    first = int.from_bytes(data[start:start + head], "little")
    shape, size = family.shape(get(first, family.head.type)), get(first, family.head.length)
    least = shape.layout.width // 8
    if not least <= size <= end - start:
        raise AcpiError(start + family.head.length.low // 8, f"{shape.layout.name}.length",
                        f"{size}; expected {least} or more, and {end - start} bytes are left")
    return shape, size
