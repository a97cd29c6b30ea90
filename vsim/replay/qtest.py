"""A QEMU whose vCPUs stand still, driven over qtest: every access is made from here, one order a line.

Nothing runs inside the machine: it is started with -S, and registers, memory, ports and pins are reached through
QEMU's qtest protocol on a Unix socket in a private folder. What its devices do is told by its trace events, which come
through a pipe, and what waits in its local APICs by its monitor. All are read within bounds of size and time. There is
no network, and `guard` sees to it that the process does not outlive this one.

QEMU's end is told by `Ended`, whose text is one line for people.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from vsim.readers.qemu_monitor import Lapic
from vsim.readers.source import shown
from vsim.replay import guard, monitor, qemu, senders, traces
from vsim.replay.recording import UNIT

OLDEST = (7, 0)
"""The oldest release that is tried: 7.2 was, and its neighbours have the same trace events."""
EIM_ASKED = (8, 0)
"""From this release on eim=on is taken without x-buggy-eim when the vCPUs are QEMU's own (read in 10.0; not in 7.2)."""
PATIENCE = 20.0
"""Seconds in which QEMU has to do what one call asks for."""
MOST = 8 << 20
"""Bytes of answers, and of traces, that one call may bring."""
LOW_RAM, LOW_RAM_OF_MANY, MOST_RAM = 0xB0000000, 0x80000000, 512 << 30
"""q35 has memory below 4 GiB up to the first, or up to the second when there is more; most bytes that are given."""
LAST_APIC = 254
"""Highest APIC ID of a vCPU: all are in xAPIC mode, as nobody puts them into another."""
RESET = "outb 0xcf9 0x6"
"""The order that asks for a reset of the platform: the reset control register of the ICH9, SYS_RST and RST_CPU."""
_LAST_WORDS = 2000


class Ended(Exception):
    """There is no QEMU, or no more: one line that says why."""


def release(path: str) -> tuple[tuple[int, int], str]:
    """Release and full version of a QEMU: ((10, 0), "10.0.2 (Debian ...)"). Ended: none there, too old, no answer."""
    found = shutil.which(path)
    if found is None:
        raise Ended(f"{shown(path)} is not there; Debian's package is qemu-system-x86, Fedora's qemu-system-x86-core")
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        raise Ended("this system has no Unix sockets and process groups, over which QEMU is driven")
    try:
        text = qemu.asked([found], "--version")
    except qemu.NoQemu as error:
        raise Ended(str(error)) from None
    match = re.search(r"version (\d{1,3})\.(\d{1,3})(\.\d{1,3})?( \([^()\n]{1,80}\))?", text)
    if match is None:
        raise Ended(f"{shown(path)} answers --version with {shown(text)}; expected QEMU's version")
    number = (int(match[1]), int(match[2]))
    if number < OLDEST:
        raise Ended(f"QEMU {match[1]}.{match[2]} is too old; allowed: {OLDEST[0]}.{OLDEST[1]} or later")
    return number, match[0].removeprefix("version ")


def command_line(qemu: str, number: tuple[int, int], ram: int, places: Sequence[int], folder: str,
                 apics: Sequence[int] = (0,)) -> list[str]:
    """How QEMU is started: q35 with its unit, `ram` bytes, and a sender at each place (device << 3 | function).

    apics: APIC IDs of its vCPUs, each in a package of its own, whose number is the ID. That with ID 0 is always there.
    """
    iommu = "intel-iommu,intremap=on,eim=on" + (",x-buggy-eim=on" if number < EIM_ASKED else "")
    size = max(1 << 20, min(ram, MOST_RAM))
    out = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-S",
           "-machine", "q35,memory-backend=ram", "-object", f"memory-backend-ram,id=ram,size={size},reserve=off",
           "-m", f"size={size}B", "-accel", "tcg,thread=single", "-cpu", "qemu64,+x2apic", *_vcpus(apics),
           "-bios", f"{folder}/bios", "-device", iommu, *senders.options(places),
           "-qtest", f"unix:{folder}/qtest", "-qtest-log", "/dev/null",
           "-qmp", f"unix:{folder}/{monitor.QMP_SOCKET},server=on,wait=off"]
    for name in traces.NAMES:
        out += ["-trace", name]
    return out


def _vcpus(apics: Sequence[int]) -> list[str]:
    if any(not 0 <= each <= LAST_APIC for each in apics):
        raise ValueError(f"APIC IDs are {list(apics)[:8]} ...; the limit is {LAST_APIC}")
    packages = max([0, *apics]) + 1
    words = ["-smp", f"cpus=1,maxcpus={packages},sockets={packages},cores=1,threads=1"]
    for each in sorted({*apics} - {0}):
        words += ["-device", f"qemu64-x86_64-cpu,socket-id={each},core-id=0,thread-id=0"]
    return words


class Qemu:
    """One QEMU, from power-on. Ended: it cannot be had.

    path: its program. ram: bytes of memory. places: where its senders are. apics: APIC IDs of its vCPUs. version: as it
    tells it. cap, ecap: of its unit. why: why it has ended, "" while it runs.
    """

    def __init__(self, path: str, ram: int = 64 << 20, places: Sequence[int] = (0,), patience: float = PATIENCE,
                 apics: Sequence[int] = (0,)) -> None:
        self.path, self.patience, self.why = path, patience, ""
        self.number, self.version = release(path)
        self.places = tuple(places)
        self._senders = senders.Senders(self.places)
        self._pending, self._words = b"", b""
        self._monitor: monitor.Monitor | None = None
        self._start(command_line(path, self.number, ram, self.places, self._folder(), apics))
        try:
            self.ask([*senders.memory_everywhere(), *self._senders.set_up()])
            found = self.ask([f"readq {UNIT + offset:#x}" for offset in (8, 16)])[0]
            self.cap, self.ecap = (int(word, 16) for word in found)
        except BaseException:
            self.end("it did not start")
            raise

    def _folder(self) -> str:
        """A new private folder with a firmware that nobody runs (64 KiB of HLT)."""
        self.folder = tempfile.mkdtemp(prefix="vsim-qemu-")
        (Path(self.folder) / "bios").write_bytes(b"\xf4" * (64 << 10))
        return self.folder

    def _start(self, words: list[str]) -> None:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(f"{self.folder}/qtest")
            door.listen(1)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, self.folder, *words],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            assert self._process.stderr is not None
            os.set_blocking(self._process.stderr.fileno(), False)
            self._socket: socket.socket | None = None
            self._gone = weakref.finalize(self, _end, self._process, None, self.folder)
            try:
                self._accept(door)
            except BaseException:
                self.end("it did not start")
                raise

    def _accept(self, door: socket.socket) -> None:
        """Wait until QEMU connects. Ended: it ended before, or took too long."""
        ends = time.monotonic() + self.patience
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(door, selectors.EVENT_READ)
            waiting.register(self._process.stderr, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in waiting.select(max(0.0, ends - time.monotonic()))}
                if self._process.stderr in ready and not self._hear(limit=MOST):
                    raise Ended(self._how_it_ended("it started"))
                if door in ready:
                    break
                if time.monotonic() >= ends:
                    raise Ended(f"QEMU does not answer within {self.patience:g} s of its start")
        made, _ = door.accept()
        made.setblocking(False)
        self._socket = made
        self._gone.detach()
        self._gone = weakref.finalize(self, _end, self._process, made, self.folder)
        self._pending = b""

    # --- orders -----------------------------------------------------------------------------------------------

    def send(self, requester: int, address: int, data: int) -> list[str]:
        """The orders that make a requester write 32-bit data to an address. ValueError when no sender can."""
        return self._senders.send(requester, address, data)

    def reset(self) -> None:
        """The platform is reset, as by a write to port CF9h; memory stays. Ended: QEMU does not come back."""
        self.ask([RESET])
        ends = time.monotonic() + self.patience
        while not self._fresh():
            if time.monotonic() >= ends:
                self.end(f"QEMU is not reset within {self.patience:g} s")
                raise Ended(self.why)
        self.ask([*senders.memory_everywhere(), *self._senders.set_up()])

    def _fresh(self) -> bool:
        """Whether the bridge before the senders has lost its bus numbers, as a reset makes it."""
        return int(self.ask(senders.bridge())[0][-1], 16) == 0

    def ask(self, orders: Sequence[str]) -> tuple[list[str], list[str]]:
        """Do orders: the value that each answers ("" for none), and what was traced meanwhile, a line each.

        Ended: QEMU ended, does not answer, refuses an order, or says more than `MOST` bytes. After an interrupt
        (KeyboardInterrupt) it is ended as well: nobody knows what it had done.
        """
        if self.why:
            raise Ended(self.why)
        try:
            return self._exchange(orders)
        except Ended as error:
            self.end(str(error))
            raise
        except BaseException:
            self.end("QEMU was interrupted amid an order")
            raise

    def lapic(self, apic_id: int) -> Lapic:
        """What stands in the local APIC with an ID. Ended: its monitor does not tell, and it is ended."""
        if self.why:
            raise Ended(self.why)
        try:
            if self._monitor is None:
                self._monitor = monitor.Monitor(self.folder, self.patience)
            return self._monitor.lapic(apic_id)
        except monitor.NoAnswer as error:
            self.end(str(error))
            raise Ended(self.why) from None
        except BaseException:
            self.end("QEMU was interrupted amid a question")
            raise

    def _exchange(self, orders: Sequence[str]) -> tuple[list[str], list[str]]:
        assert self._socket is not None and self._process.stderr is not None
        out = memoryview("".join(f"{order}\n" for order in orders).encode())
        answers, ends = b"", time.monotonic() + self.patience
        left = len(orders)
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            waiting.register(self._process.stderr, selectors.EVENT_READ)
            while left:
                ready = {key.fileobj: events for key, events in waiting.select(max(0.0, ends - time.monotonic()))}
                if not ready:
                    raise Ended(f"QEMU does not answer within {self.patience:g} s of {_named(orders)}")
                if self._process.stderr in ready and not self._hear():
                    raise Ended(self._how_it_ended(_named(orders)))
                if ready.get(self._socket, 0) & selectors.EVENT_WRITE:
                    out = out[self._put(out, orders):]
                    if not out:
                        waiting.modify(self._socket, selectors.EVENT_READ)
                if ready.get(self._socket, 0) & selectors.EVENT_READ:
                    more = self._take(orders)
                    left -= more.count(b"\n")
                    answers += more
                    if len(answers) > MOST or left < 0:
                        raise Ended(f"QEMU says more than was asked for after {_named(orders)}")
        self._hear()
        return self._values(answers, orders), self._traced()

    def _put(self, out: memoryview, orders: Sequence[str]) -> int:
        assert self._socket is not None
        try:
            return self._socket.send(out[:1 << 16])
        except OSError:
            raise Ended(self._how_it_ended(_named(orders))) from None

    def _take(self, orders: Sequence[str]) -> bytes:
        assert self._socket is not None
        try:
            more = self._socket.recv(1 << 16)
        except OSError:
            more = b""
        if not more:
            raise Ended(self._how_it_ended(_named(orders)))
        return more

    def _hear(self, limit: int = MOST) -> bool:
        """Take what QEMU has traced or complained of until now; False when its end of the pipe is closed."""
        assert self._process.stderr is not None
        while len(self._pending) <= limit:
            try:
                more = os.read(self._process.stderr.fileno(), 1 << 16)
            except BlockingIOError:
                return True
            if not more:
                return False
            self._pending += more
            self._words = (self._words + more)[-_LAST_WORDS:]
        raise Ended(f"QEMU traced more than {limit} bytes at once")

    def _traced(self) -> list[str]:
        """The whole lines among them."""
        head, found, tail = self._pending.rpartition(b"\n")
        self._pending = tail if found else self._pending
        return head.decode("ascii", "replace").split("\n") if found else []

    @staticmethod
    def _values(answers: bytes, orders: Sequence[str]) -> list[str]:
        out = []
        for order, line in zip(orders, answers.decode("ascii", "replace").split("\n"), strict=False):
            word, _, value = line.partition(" ")
            if word != "OK" or (value and not re.fullmatch(r"0x[0-9a-f]+|[0-9]+", value)):
                raise Ended(f"QEMU answers {shown(line)} to {shown(order)}; expected OK")
            out.append(value)
        return out

    # --- its end ----------------------------------------------------------------------------------------------

    def end(self, why: str = "it is not wanted any more") -> None:
        """End it, with its children; its folder goes. why: for people; the first reason stays."""
        self.why = self.why or why
        if self._monitor is not None:
            self._monitor.end()
        self._gone()

    def _how_it_ended(self, doing: str) -> str:
        """One line: after what, how, and QEMU's last words that are no trace."""
        try:
            status: int | None = self._process.wait(self.patience)
        except subprocess.TimeoutExpired:
            status = None
        with contextlib.suppress(OSError, Ended):
            self._hear()
        lines = self._words.decode("ascii", "replace").strip().split("\n")
        said = next((line for line in reversed(lines) if line and not traces.is_one(line)), "")
        how = "closed its socket" if status is None else (
            f"was ended by signal {status - 128}" if status > 128 else f"ended with status {status}")
        return f"QEMU {how} after {doing}" + (f"; its last words: {said[:200]!a}" if said else "")


def _named(orders: Sequence[str]) -> str:
    return f"{shown(orders[0])}{f' and {len(orders) - 1} more' if len(orders) > 1 else ''}"


def _end(process: subprocess.Popen[bytes], made: socket.socket | None, folder: str) -> None:
    """Let the guard end QEMU, wait for both, and leave nothing open."""
    assert process.stdin is not None and process.stderr is not None
    for each in (process.stdin, made):
        if each is not None:
            with contextlib.suppress(OSError):
                each.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stderr.close()
    shutil.rmtree(folder, ignore_errors=True)
