"""The output of a sweep: rows of a CSV file, added as cells end, in order when all have; or Parquet.

The first column names the sweep, the second the cell, so that an interrupted sweep goes on where it stopped and never
adds to the output of another. A last line that was torn is left out and its cell run again. The whole is written beside
and renamed, so that nothing is lost whenever the power goes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vsim.history import whole
from vsim.readers.source import TextError
from vsim.scale.cell import FIGURES
from vsim.scale.grid import AXES, Grid, Values

COLUMNS = ("sweep", "cell", *AXES, "seed", *FIGURES)
TEXTS = {"sweep", "mode", "config", "profile", "placement", "quirks", "policy", "destination", "affinity", "error"}
KINDS = (".csv", ".parquet")
MAX_BYTES = 1 << 30


class OutputError(TextError):
    """An output that cannot be gone on with."""


class Output:
    """The rows of a grid in a file. done: cells whose rows are there; left_out: lines that were torn.

    While a sweep runs its rows are in `path` itself, or beside it for Parquet.
    """

    def __init__(self, path: str | os.PathLike[str], grid: Grid) -> None:
        """ValueError for a kind of file that is not written; OutputError for another sweep's; OSError as the system."""
        self.path, self.grid = Path(path), grid
        if self.path.suffix not in KINDS:
            raise ValueError(f"output is {str(path)!r}; allowed are files that end with {' or '.join(KINDS)}")
        if self.path.suffix == ".parquet" and find_spec("pyarrow") is None:
            raise ValueError('a .parquet file needs pyarrow: python -m pip install pyarrow')
        self.live = self.path if self.path.suffix == ".csv" else self.path.with_suffix(".parquet.csv")
        self.rows: dict[int, list[str]] = {}
        self.left_out = 0
        if self.live.exists():
            self._read()
        whole.write(self.live, self._text().encode())
        self._stream = open(self.live, "a", encoding="utf-8", newline="")  # noqa: SIM115 - as long as the sweep
        self._writer = csv.writer(self._stream, lineterminator="\n")

    def _read(self) -> None:
        if self.live.stat().st_size > MAX_BYTES:
            raise OutputError(str(self.live), 1, 1, f"larger than {MAX_BYTES} bytes; no sweep goes on with that")
        text = self.live.read_text(encoding="utf-8", errors="replace")
        torn = not text.endswith("\n")
        lines = list(csv.reader(io.StringIO(text)))
        if lines and lines[0] != list(COLUMNS):
            raise OutputError(str(self.live), 1, 1, "not the output of a sweep: its first line has other columns")
        for number, fields in enumerate(lines[1:], 2):
            if (torn and number == len(lines)) or len(fields) != len(COLUMNS) or not fields[1].isdecimal():
                self.left_out += 1
            elif fields[0] != self.grid.name:
                raise OutputError(str(self.live), number, 1, f"the output of another sweep, {fields[0][:16]!a}; "
                                                             f"this is {self.grid.name}: choose another file")
            elif int(fields[1]) < len(self.grid):
                self.rows[int(fields[1])] = fields

    @property
    def done(self) -> set[int]:
        """Numbers of the cells that have a row."""
        return {*self.rows}

    def add(self, cell: int, row: Values) -> None:
        """Write a row; it is in the file when this returns."""
        fields = [str(each) for each in (self.grid.name, cell, *(row[name] for name in COLUMNS[2:]))]
        self.rows[cell] = fields
        with whole.named(self.live):
            self._writer.writerow(fields)
            self._stream.flush()

    def finish(self) -> None:
        """All rows in the order of their cells, in the file that was asked for."""
        self._stream.close()
        if self.path.suffix == ".csv":
            whole.write(self.path, self._text().encode())
        else:
            with whole.beside(self.path) as beside:
                _parquet(self._values(), beside)
            self.live.unlink()

    def close(self) -> None:
        """Leave it as it is; a later sweep goes on with it."""
        self._stream.close()

    def _values(self) -> Iterator[Values]:
        for cell in sorted(self.rows):
            yield {name: _value(name, text) for name, text in zip(COLUMNS, self.rows[cell], strict=True)}

    def _text(self) -> str:
        made = io.StringIO()
        writer = csv.writer(made, lineterminator="\n")
        writer.writerows([COLUMNS, *(self.rows[cell] for cell in sorted(self.rows))])
        return made.getvalue()


def _value(name: str, text: str) -> Any:
    if name in TEXTS:
        return text
    return text == "True" if name == "viommu" else int(text)


def _parquet(rows: Iterable[Values], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
