"""QEMU's trace of a whole run, and the lines of the plugin between it, as the rows of a recording (`recording`).

Lines come one by one, as they are written; a row is given away once `WINDOW` others have come behind it, as what the
machine did at a moment may be told a little later. What was said of anything but interrupts is passed over.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from vsim.layouts.registers import APIC_MSR, X2APIC_MSR
from vsim.replay.functions import UNKNOWN_SENDER

EVENTS = ("vtd_inv_desc", "vtd_inv_desc_iec", "vtd_inv_desc_wait_sw", "vtd_ir_irte_get", "vtd_ir_remap",
          "vtd_ir_remap_type", "vtd_ir_remap_msi", "vtd_ir_remap_msi_req", "vtd_frr_new",
          "apic_register_write", "apic_mem_writel", "cpu_set_apic_base", "ioapic_set_irq", "ioapic_clear_remote_irr",
          "pci_cfg_write", "memory_region_ops_write")
"""What QEMU is asked to trace. Writes to local APICs have the second of these names before 9.0, the first since."""
READS = "memory_region_ops_read"
"""And this where no plugin tells of reads."""
WINDOW = 2_000
MOST_THREADS, MOST_SEEN, MOST_WRITES, MOST_WIDTH, LAST_US = 4096, 4096, 1 << 16, 64, 1 << 52
"""Threads of a QEMU, things seen at one moment, registers of messages, bytes of a store, microseconds: what is beyond
is none of its own."""
PAGE = 0xFFF
MOST_TEXT = 500
"""Characters of a line of the console that are kept."""
EOI, TIMER, TIMER_COUNT = (APIC_MSR[name] - X2APIC_MSR for name in ("EOI", "LVT_TIMER", "TIMER_INITIAL"))
"""Registers of a local APIC by their number, MSR less 0x800."""

Row = list[Any]

_LINE = re.compile(r"(\d+)@(\d+)\.(\d+):(\w+) ?(.*)")
_ACCESS = re.compile(r"cpu (-?\d+) mr (\w+) addr (\w+) value (\w+) size (\d+) name '(.*)'")
_CONFIG = re.compile(r".*? ([0-9a-f]{2}):([0-9a-f]{2})\.(\d) @(0x[0-9a-f]+) <- (0x[0-9a-f]+)")
_DESCRIPTOR = re.compile(r"type (\S+) high (0x[0-9a-f]+) low (0x[0-9a-f]+)")
_NUMBER = re.compile(r"0x[0-9a-f]+|\b\d+\b")
_NAMES = ("'intel_iommu'", "'ioapic'", "'msix-table'", "'serial'")


def _numbers(text: str) -> list[int]:
    return [int(word, 0) if word[:2] == "0x" else int(word) for word in _NUMBER.findall(text)]


class Senders:
    """Who was programmed to send which message: from writes to configuration space and to MSI-X tables."""

    def __init__(self) -> None:
        self._config: dict[int, dict[int, int]] = defaultdict(dict)
        self._table: dict[int, int] = {}
        self._owner: dict[str, int] = {}
        self._known: dict[tuple[int, int], int] = {}

    def config(self, bdf: int, offset: int, value: int) -> None:
        """A function's configuration space is written."""
        if offset <= PAGE:
            self._config[bdf][offset] = value

    def entry(self, region: str, address: int, value: int) -> None:
        """A table of MSI-X messages is written: address, upper address and data, 16 bytes a message."""
        if len(self._table) >= MOST_WRITES:
            return
        self._table[address] = value
        at = address & ~0xF
        if at in self._table and at + 8 in self._table:
            owner = self._owner.setdefault(region, self._behind(at))
            self._known[self._table[at] | self._table.get(at + 4, 0) << 32, self._table[at + 8]] = owner

    def _behind(self, address: int) -> int:
        """The function with the highest base address at or below an address."""
        bases = [(base, bdf) for bdf, words in self._config.items() for base in self._bases(words) if base <= address]
        return max(bases, default=(0, UNKNOWN_SENDER))[1]

    @staticmethod
    def _bases(words: dict[int, int]) -> Iterator[int]:
        """Base addresses by either reading: 32 bits, or 64 with the next register as the upper half."""
        for offset in range(0x10, 0x28, 4):
            low, upper = words.get(offset, 0) & ~0xF, words.get(offset + 4, 0)
            if low and low != 0xFFFFFFF0:
                yield low
                if 0 < upper < 1 << 20:
                    yield low | upper << 32

    def of(self, address: int, data: int) -> int | None:
        """Who sends this; None when nobody was seen to be told to."""
        if (address, data) in self._known:
            return self._known[address, data]
        for bdf, words in self._config.items():     # an MSI capability: address, perhaps its upper half, data
            for offset, value in words.items():
                if value == address & 0xFFFFFFFF and data in (words.get(offset + 4, -1) & 0xFFFF,
                                                              words.get(offset + 8, -1) & 0xFFFF):
                    return bdf
        return None


class _Request:
    """One request on its way through the unit, as far as the trace has told; its row stands where it was made."""

    def __init__(self, address: int, data: int, row: Row) -> None:
        self.address, self.data, self.row, self.kind = address, data, row, ""
        self.did: list[Row] = []


class TraceRows:
    """Turns lines into rows. unit: where the registers are. small: leave out what does not bear on remapping.

    console: lines of the console as they end, for whoever follows the run; who has seen them, clears it. torn: how many
    lines were none of QEMU's, and were passed over.
    """

    def __init__(self, unit: int, small: bool = False) -> None:
        self.unit, self.small = unit, small
        self.rows: deque[Row] = deque()
        self.senders = Senders()
        self.console: list[str] = []
        self.us, self._start = 0, -1
        self.vcpu: dict[str, int] = {}              # of a thread: the vCPU that it runs
        self._here: dict[str, Row] = {}             # of a thread: the row that what follows belongs to
        self._asked: dict[str, _Request] = {}
        self._threads: set[str] = set()
        self._begun, self._latch = "", 0
        self._levels: dict[int, int] = {}
        self._timer: dict[int, int] = {}
        self._last: dict[int, Row] = {}
        self.plugin_lines = self.torn = 0

    # --- what comes in, what goes out ---

    def feed(self, line: str) -> None:
        """One line of the trace, without its end."""
        try:
            self._feed(line)
        except (ValueError, IndexError, OverflowError):
            self.torn += 1

    def _feed(self, line: str) -> None:
        if line[1:2] == " " and line[0] in "GLTV":
            self._plugin(line)
            return
        if ":memory_region_ops_" in line and not line.endswith(_NAMES):
            return
        found = _LINE.match(line)
        take = found and self._TAKES.get(found[4])
        if not found or not take:
            return
        if found[1] not in self._threads and len(self._threads) >= MOST_THREADS:
            raise ValueError(f"more than {MOST_THREADS} threads")
        self._threads.add(found[1])
        now = int(found[2]) * 1_000_000 + int(found[3])
        if now >= LAST_US:
            raise ValueError(f"{now} microseconds")
        if self._start < 0:
            self._start = now
        self.us = max(self.us, now - self._start)
        take(self, found[1], found[5])

    def ready(self, all_of_them: bool = False) -> Iterator[Row]:
        """Rows that nothing will be added to any more."""
        if all_of_them:
            self._end_of_line()
            for thread in list(self._asked):
                self._unanswered(thread)
        while len(self.rows) > (0 if all_of_them else WINDOW):
            row = self.rows.popleft()
            if (row[0] or row[1]) and not (self.small and self._needless(row)):
                yield row

    def _needless(self, row: Row) -> bool:
        """Whether a row may be left out: a start of a timer, a pin that stays as it is."""
        command, did = row[0], row[1]
        if command and command[0] == "pin":
            same = self._levels.get(command[1], 0) == command[2]
            self._levels[command[1]] = command[2]
            return same and not did
        return bool(command and command[0] == "lapic" and command[2] == TIMER_COUNT)

    def _add(self, command: Row | None, vcpu: int, did: list[Row] | None = None) -> Row:
        row: Row = [command, did or [], vcpu, self.us]
        self.rows.append(row)
        return row

    # --- the plugin's lines ---

    def _plugin(self, line: str) -> None:
        kind, *parts = line.split()
        self.plugin_lines += 1
        vcpu = int(parts[0])
        if kind == "V" and len(self.vcpu) < MOST_THREADS:
            self.vcpu[parts[1]] = vcpu
        elif kind == "T":
            vector = int(parts[1])
            self._last[vcpu] = self._add(None, vcpu, [["T", vcpu, vector]])
        elif kind in "GL":
            at, value, width = int(parts[2], 16), int(parts[3], 16), int(parts[1][1:])
            if width > MOST_WIDTH:
                raise ValueError(f"{width} bytes at once")
            if kind == "G":
                self._add(["ram", at, value.to_bytes(width, "little").hex()], vcpu)
            else:
                self._add(["read", at, width], vcpu, [["V", value]])

    # --- QEMU's own ---

    def _access(self, thread: str, rest: str, write: bool) -> None:
        found = _ACCESS.match(rest)
        if not found:
            return
        vcpu, region, name = int(found[1]), found[2], found[6]
        address, value, size = int(found[3], 16), int(found[4], 16), int(found[5])
        if vcpu >= 0:
            self.vcpu.setdefault(thread, vcpu)
        if name == "serial":
            self._character(address & 7, value, write)
        elif name == "msix-table":
            if write:
                self.senders.entry(region, address, value)
        elif write:
            self._here[thread] = self._add(["mmio", address, size, value], vcpu)
        else:
            self._here[thread] = self._add(["read", address, size], vcpu, [["V", value]])

    def _character(self, register: int, value: int, write: bool) -> None:
        """The serial line: register 0 sends, unless bit 7 of register 3 has made it the divisor's."""
        if not write:
            return
        if register == 3:
            self._latch = value >> 7 & 1
        elif register == 0 and not self._latch:
            letter = chr(value & 0xFF)
            if letter == "\n":
                self._end_of_line()
            elif len(self._begun) < MOST_TEXT:
                self._begun += letter

    def _end_of_line(self) -> None:
        text, self._begun = self._begun.strip("\r"), ""
        if text:
            self._add(None, -1, [["K", text]])
            self.console.append(text)

    def _pci(self, thread: str, rest: str) -> None:
        found = _CONFIG.match(rest)
        if found:
            bdf = int(found[1], 16) << 8 | int(found[2], 16) << 3 | int(found[3])
            self.senders.config(bdf, int(found[4], 16), int(found[5], 16))

    def _pin(self, thread: str, rest: str) -> None:
        numbers = _numbers(rest)
        if len(numbers) == 2:       # the trace comes before input 0 becomes pin 2
            self._here[thread] = self._add(["pin", numbers[0] or 2, numbers[1] & 1], self.vcpu.get(thread, -1))

    def _asks(self, thread: str, rest: str) -> None:
        numbers = _numbers(rest)
        if len(numbers) == 2:
            self._unanswered(thread)
            self._asked[thread] = _Request(numbers[0], numbers[1], self._add(None, self.vcpu.get(thread, -1)))

    def _unanswered(self, thread: str) -> None:
        """A request of which nothing more was told: blocked, and its fault not recorded."""
        request = self._asked.pop(thread, None)
        if request:
            request.did.append(["B"])
            self._answered(thread, request, UNKNOWN_SENDER)

    def _answered(self, thread: str, request: _Request, sender: int) -> None:
        """What came of a request: of a pin it belongs to what moved the pin, else it is a device's own."""
        if request.kind == "IOAPIC":
            if thread in self._here and len(self._here[thread][1]) < MOST_SEEN:
                self._here[thread][1].extend(request.did)
            return
        known = self.senders.of(request.address, request.data)
        request.row[0] = ["msi", sender if known is None else known, request.address, request.data & 0xFFFFFFFF]
        request.row[1] = request.did

    def _entry(self, thread: str, rest: str) -> None:
        numbers, request = _numbers(rest), self._asked.get(thread)
        if request and len(numbers) == 3 and len(request.did) < MOST_SEEN:
            request.did.append(["I", numbers[0], hex(numbers[1]), hex(numbers[2])])

    def _remapped(self, thread: str, rest: str) -> None:
        numbers, request = _numbers(rest), self._asked.get(thread)
        if request and len(numbers) == 6 and len(request.did) < MOST_SEEN:
            index, trigger, vector, mode, destination, logical = numbers
            request.did.append(["M", index, destination, logical, mode, vector, trigger])

    def _kind(self, thread: str, rest: str) -> None:
        if thread in self._asked:
            self._asked[thread].kind = rest.strip()

    def _sent(self, thread: str, rest: str) -> None:
        numbers, request = _numbers(rest), self._asked.pop(thread, None)
        if not request or len(numbers) != 4:
            return
        if not any(one[0] == "M" for one in request.did):
            address, data = numbers[2], numbers[3]
            request.did.append(["P", address >> 12 & 0xFF | (address >> 32 & 0xFFFFFF00), address >> 2 & 1,
                                data >> 8 & 7, data & 0xFF, data >> 15 & 1])
        self._answered(thread, request, UNKNOWN_SENDER)

    def _fault(self, thread: str, rest: str) -> None:
        numbers = _numbers(rest)
        if len(numbers) != 3:
            return
        fault = ["F", numbers[0], hex(numbers[1]), hex(numbers[2])]
        request, source = self._asked.pop(thread, None), numbers[1] & 0xFFFF
        if request is None:
            row = self._here.get(thread) or (self.rows[-1] if self.rows else self._add(None, -1))
            if len(row[1]) < MOST_SEEN:
                row[1].append(fault)
            return
        request.did += [["B"], fault]
        if source == UNKNOWN_SENDER and thread in self._here:       # a pin's request has no source-id here
            request.kind = "IOAPIC"
        self._answered(thread, request, source)

    def _descriptor(self, thread: str, rest: str) -> None:
        found = _DESCRIPTOR.search(rest)
        if found:
            self._seen(thread, ["D", found[1], found[2], found[3]])

    def _seen(self, thread: str, one: Row) -> None:
        if thread in self._here and len(self._here[thread][1]) < MOST_SEEN:
            self._here[thread][1].append(one)

    def _cache(self, thread: str, rest: str) -> None:
        numbers = _numbers(rest)
        if len(numbers) == 3:
            self._seen(thread, ["C", *numbers])

    def _status(self, thread: str, rest: str) -> None:
        numbers = _numbers(rest)
        if len(numbers) == 2:
            self._seen(thread, ["W", hex(numbers[0]), hex(numbers[1])])

    def _register(self, thread: str, rest: str) -> None:
        """A write to a local APIC, however it came there."""
        numbers = _numbers(rest)
        if len(numbers) == 2:
            self._written(thread, *numbers)

    def _window(self, thread: str, rest: str) -> None:
        """The same where QEMU tells the address in the window."""
        numbers = _numbers(rest)
        if len(numbers) == 2 and numbers[0] <= PAGE:
            self._written(thread, numbers[0] >> 4, numbers[1])

    def _written(self, thread: str, register: int, value: int) -> None:
        vcpu = self.vcpu.get(thread)
        if vcpu is None:
            return
        if register == EOI and self._tick_ends(vcpu):
            return
        if register == TIMER:
            self._timer[vcpu] = value & 0xFF
        self._here[thread] = self._add(["lapic", vcpu, register, value], vcpu)

    def _tick_ends(self, vcpu: int) -> bool:
        """Whether an EOI ends a tick of the vCPU's timer, which then is left out, tick and end."""
        last = self._last.pop(vcpu, None)
        if not self.small or last is None or last[1] != [["T", vcpu, self._timer.get(vcpu)]]:
            return False
        last[1] = []
        return True

    def _base(self, thread: str, rest: str) -> None:
        numbers = _numbers(rest)
        vcpu = self.vcpu.get(thread)
        if vcpu is not None and len(numbers) == 1:
            self._add(["msr", vcpu, 0x1B, numbers[0]], vcpu)

    _TAKES: ClassVar[dict[str, Callable[[TraceRows, str, str], None]]] = {
        "memory_region_ops_write": lambda self, thread, rest: self._access(thread, rest, True),
        "memory_region_ops_read": lambda self, thread, rest: self._access(thread, rest, False),
        "pci_cfg_write": _pci, "ioapic_set_irq": _pin, "vtd_ir_remap_msi_req": _asks, "vtd_ir_irte_get": _entry,
        "vtd_ir_remap": _remapped, "vtd_ir_remap_type": _kind, "vtd_ir_remap_msi": _sent, "vtd_frr_new": _fault,
        "vtd_inv_desc": _descriptor, "vtd_inv_desc_iec": _cache, "vtd_inv_desc_wait_sw": _status,
        "apic_register_write": _register, "apic_mem_writel": _window, "cpu_set_apic_base": _base}
