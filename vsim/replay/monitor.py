"""QEMU's monitor: what stands in the local APICs of its vCPUs (`info lapic`), also while they stand still.

The monitor is reached over QMP on a Unix socket in QEMU's private folder. QEMU listens there, and nobody connects
before something is asked. What it answers is read within bounds of size and time.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import weakref
from typing import Any

from vsim.readers import qemu_monitor
from vsim.readers.pieces import Line
from vsim.readers.source import JsonError, json_line, shown

MOST = 1 << 20
"""Bytes of one answer."""
QMP_SOCKET = "qmp"
"""The name of the socket in QEMU's folder."""


class NoAnswer(Exception):
    """The monitor does not answer as one does; the text says how, in one line."""


class Monitor:
    """A monitor. folder: QEMU's; patience: seconds that an answer may take. NoAnswer, as of every call of it."""

    def __init__(self, folder: str, patience: float) -> None:
        self._ends, self.patience, self._rest = 0.0, patience, b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._gone = weakref.finalize(self, self._socket.close)
        self._begin()
        try:
            self._socket.connect(f"{folder}/{QMP_SOCKET}")
            self._line()            # its greeting
            self._do("qmp_capabilities")
        except OSError as error:
            raise NoAnswer(f"QEMU's monitor cannot be reached: {error.strerror or error}") from None

    def lapic(self, apic_id: int) -> qemu_monitor.Lapic:
        """The local APIC that has an ID."""
        self._begin()
        try:
            text = self._do("human-monitor-command", **{"command-line": f"info lapic {apic_id}"})
        except OSError as error:
            raise NoAnswer(f"QEMU's monitor is gone: {error.strerror or error}") from None
        lines = [Line("info lapic", number, line) for number, line in enumerate(str(text).splitlines(), 1)]
        found = [each for each in qemu_monitor.read(lines).records if isinstance(each, qemu_monitor.Lapic)]
        if len(found) != 1 or not {"SVR", "ESR", "TPR"} <= found[0].words.keys():
            raise NoAnswer(f"QEMU's monitor answers info lapic {apic_id} with {shown(str(text))}")
        return found[0]

    def _begin(self) -> None:
        self._ends = time.monotonic() + self.patience

    def _do(self, command: str, **arguments: Any) -> Any:
        self._socket.settimeout(self.patience)
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:                 # what happens to QEMU is told in between
            row = self._line()
            if "return" in row:
                return row["return"]
            if "error" in row:
                raise NoAnswer(f"QEMU's monitor refuses {command}: {shown(str(row['error']))}")

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            left = self._ends - time.monotonic()
            if left <= 0 or len(self._rest) > MOST:
                raise NoAnswer(f"QEMU's monitor does not answer within {self.patience:g} s, or without end")
            self._socket.settimeout(left)
            more = b""
            with contextlib.suppress(TimeoutError):
                more = self._socket.recv(1 << 16)
                if not more:
                    raise NoAnswer("QEMU's monitor has closed its socket")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            row = json_line(line.decode("utf-8", "replace"))
        except JsonError as error:
            raise NoAnswer(f"QEMU's monitor answers {shown(line.decode('ascii', 'replace'))}: {error}") from None
        if not isinstance(row, dict):
            raise NoAnswer(f"QEMU's monitor answers {shown(str(row))}; expected an object")
        return row

    def end(self) -> None:
        """Close its socket."""
        self._gone()
