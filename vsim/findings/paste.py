"""A paste: files or texts of any kind, taken apart into pieces by what they have in them.

    pasted = read([("dump.txt", data), ...])
    pasted.pieces, pasted.remarks, pasted.of("linux entries")
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vsim.domain import acpi
from vsim.findings.registry import READERS
from vsim.readers import xl
from vsim.readers.acpi_table import AcpiError
from vsim.readers.pieces import PieceError, Remark, few, lines_of, load, placed, text_of
from vsim.readers.source import TextError

MAX_SOURCES = 1000
"""Files of one paste."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a file has of one kind. kind: name of a reader; first, last: lines; count: records."""

    kind: str
    text: str
    file: str
    first: int
    last: int
    count: int

    def __str__(self) -> str:
        return f"{self.file}:{self.first}-{self.last}: {self.text}: {self.count}"


class TableRecord(NamedTuple):
    """An ACPI table of a paste."""

    file: str
    line: int
    table: acpi.Table


class ConfigRecord(NamedTuple):
    """A domain's configuration of a paste."""

    file: str
    line: int
    config: xl.Config


@dataclass(frozen=True)
class Pasted:
    """What was recognised. records: by the name of their reader, in the order of the sources."""

    pieces: tuple[Piece, ...]
    remarks: tuple[Remark, ...]
    records: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def of(self, *kinds: str) -> tuple[Any, ...]:
        """The records of some readers."""
        return tuple(record for kind in kinds for record in self.records.get(kind, ()))


def gather(sources: Iterable[str | os.PathLike[str] | tuple[str, bytes | str]]) -> Iterator[tuple[str, bytes | str]]:
    """(name, content) of each source: a file, a folder (its files by name, links not followed), a text that has a line
    break, or a pair as it is. PieceError for a file that cannot be read."""
    for number, source in enumerate(sources):
        if isinstance(source, tuple):
            if len(source) != 2 or not isinstance(source[0], str) or not isinstance(source[1], (str, bytes)):
                raise ValueError(f"source {number + 1} is {source!r:.40}; a pair is of a name and a text or bytes")
            yield source
        elif not isinstance(source, (str, os.PathLike)):
            raise ValueError(f"source {number + 1} is {source!r:.40}; expected a file, a folder, a text or a pair")
        elif isinstance(source, str) and "\n" in source:
            yield f"text {number + 1}", source
        elif os.path.isdir(source):
            yield from ((str(path), load(path)) for path in _inside(Path(source)))
        else:
            yield os.fspath(source), load(source)


def _inside(folder: Path) -> list[Path]:
    found = [Path(where) / name for where, _, names in os.walk(folder) for name in sorted(names)]
    files = sorted(path for path in found if path.is_file() and not path.is_symlink())
    if len(files) > MAX_SOURCES:
        raise PieceError(str(folder), 1, 1, f"found {len(files)} files; allowed: up to {MAX_SOURCES}")
    return files


def read(sources: Iterable[tuple[str, bytes | str]]) -> Pasted:
    """Everything that is recognised in some sources: (name, content). Refuses nothing: what is left out is told."""
    reader = _Reader()
    for number, (name, data) in enumerate(sources):
        if number == MAX_SOURCES:
            reader.remarks.append(Remark(name, 1, 1, f"left out: more than {MAX_SOURCES} files"))
            break
        reader.source(name, data)
    return Pasted(tuple(reader.pieces), few(reader.remarks),
                  {kind: tuple(records) for kind, records in reader.records.items()})


def is_table(data: bytes | str) -> bool:
    """Whether a source is the bytes of an ACPI table, and no text."""
    return isinstance(data, bytes) and data[:4] in acpi.SIGNATURES and _NOT_TEXT.search(data[:48]) is not None


PACKED = (("a tar archive", 257, b"ustar"), ("packed by gzip", 0, b"\x1f\x8b"), ("packed by xz", 0, b"\xfd7zXZ\0"),
          ("packed by bzip2", 0, b"BZh"), ("packed by zstd", 0, b"\x28\xb5\x2f\xfd"), ("a zip archive", 0, b"PK\3\4"))
"""What archives and packed files begin with: their name, where, and the bytes."""


def packed(data: bytes) -> str:
    """What a file is packed by, in words; "" for none. (acpidump -b leaves files that people send as one tar.)"""
    return next((name for name, at, mark in PACKED if data.startswith(mark, at)), "")


_CONFIG = re.compile(r"^[ \t]*(?:viommu|viommu_info|builder|pci|vif|disk|vcpus|type)[ \t]*\+?=[ \t]*[\['\"\d]", re.M)
_PLACE = re.compile(r"line (\d{1,7}): ")
_NOT_TEXT = re.compile(rb"[\0-\x08\x0e-\x1f]")


class _Reader:
    """What was found so far."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.remarks: list[Remark] = []
        self.records: dict[str, list[Any]] = {}

    def source(self, name: str, data: bytes | str) -> None:
        """One file, or one text."""
        if isinstance(data, bytes):
            if is_table(data):
                return self.binary(name, data)
            if what := packed(data):
                self.remarks.append(Remark(name, 1, 1, f"left out: {what}; unpack it, and give the files"))
                return None
        data, remarks = text_of(data, name)
        self.remarks += remarks
        lines, remarks = lines_of(data, name)
        self.remarks += remarks
        before, told = len(self.pieces), len(self.remarks)
        data = "\n".join(line.text for line in lines)
        for row in READERS:
            if row.hint.search(data):
                reading = row.read(lines)
                records = self.tables(reading.records) if row.name == "tables" else reading.records
                self.remarks += reading.remarks
                self.add(row.name, row.text, name, records)
        self.remarks[told:] = placed(self.remarks[told:], lines)
        if len(self.pieces) == before and _CONFIG.search(data):
            self.config(name, data)
        elif len(self.pieces) == before and data.strip():
            self.remarks.append(Remark(name, 1, 1, "nothing is recognised here"))
        return None

    def add(self, kind: str, text: str, name: str, records: tuple[Any, ...]) -> None:
        """The records of a reader, if there are any."""
        if records:
            places = [record.line for record in records]
            self.pieces.append(Piece(kind, text, name, min(places), max(places), len(records)))
            self.records.setdefault(kind, []).extend(records)

    def tables(self, blocks: tuple[Any, ...]) -> tuple[TableRecord, ...]:
        """The tables of a text's blocks."""
        found = []
        for block in blocks:
            table, remarks = acpi.of_block(block)
            self.remarks += remarks
            if table is not None:
                found.append(TableRecord(block.file, block.line, table))
        return tuple(found)

    def binary(self, name: str, data: bytes) -> None:
        """The bytes of a table."""
        try:
            found = acpi.read(data, name)
        except AcpiError as error:
            self.remarks.append(Remark(name, 1, 1, f"left out: {error}"))
            return
        self.remarks += found.remarks
        self.add("tables", "a table's bytes", name, tuple(TableRecord(name, 1, each) for each in found.tables))

    def config(self, name: str, data: str) -> None:
        """A domain's configuration."""
        try:
            config = xl.parse(data.removeprefix("\ufeff"), name, "v1-corrected")
        except TextError as error:
            self.remarks.append(Remark(name, error.line, error.column, f"left out, a configuration: {error.message}"))
            return
        for note in config.notes:
            place = _PLACE.match(note)
            self.remarks.append(Remark(name, int(place[1]) if place else 1, 1, note[place.end() if place else 0:]))
        self.add("configuration", "xl.cfg", name, (ConfigRecord(name, 1, config),))
