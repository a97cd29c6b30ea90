"""The small kernel's driver of one remapping unit: what Linux does with it (V 2, 6.3, 7, 10.1, 10.2; X 3.14).

All by commands: registers by memory-mapped accesses, table and queue by writes to memory. Nothing here raises for
what the unit does; a step that fails is a line of `log` and an answer False. Which units there are, and what sits
behind each, is found out in `units`.
"""

from __future__ import annotations

from typing import NamedTuple

from vsim.guest.cpu import Cpu
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import FRCD, IEC, REASON_TEXT, WAIT, DescriptorType
from vsim.layouts.registers import CAP, ECAP, FECTL, FSTS, GCMD, GSTS, IQA, IQH, IQT, IRTA, OFFSET, ONE_SHOT

ENTRIES = 1 << 16
"""Entries of the table that Linux makes: 1 MiB (V 10.1)."""
QUEUE_SLOTS = 256
"""Descriptors of the invalidation queue: one page."""
TABLE_BYTES, QUEUE_BYTES = 16 * ENTRIES, 2 * 16 * QUEUE_SLOTS
"""Bytes of the table; of the queue page and the status page behind it."""
MEMORY = TABLE_BYTES + QUEUE_BYTES
"""Bytes that the driver of one unit needs."""

FAULT_EVENT = ("FECTL", "FEDATA", "FEADDR", "FEUADDR")
"""Registers that hold the fault event's message, in the order in which Linux keeps and restores them."""

_IN_USE, _DONE = 1, 2    # status word of a wait descriptor in the queue, and what it writes (V 7.4)
_POLLS = 16             # reads of a status before giving up
_ALL_ENTRIES = 16       # mask of an invalidation of everything
_STORM = 1024           # records read in one go before giving up


class Fault(NamedTuple):
    """One fault record as the guest read it: reason, interrupt index, requester, and the unit that recorded it."""

    reason: int
    index: int  # type: ignore[assignment]  # shadows tuple.index
    source: int
    unit: int = 0

    def __str__(self) -> str:
        where = f"dmar{self.unit}: " if self.unit else ""
        return (f"{where}request of {bdf_text(self.source)}, index {self.index:#x}: reason {self.reason:#x}, "
                f"{REASON_TEXT.get(self.reason, 'unknown')}")


class Driver:
    """One remapping unit in use. `eim`: it offers 32-bit destinations; once the units start: they are in use.

    table: guest-physical address, a multiple of 1 MiB, of `TABLE_BYTES`; queue: of `QUEUE_BYTES`. number: place among
    the kernel's units. base: address of the registers, 0 until it is known.
    """

    def __init__(self, cpu: Cpu, log: list[str], table: int, queue: int, number: int = 0) -> None:
        self.cpu, self.log = cpu, log
        self.table, self.queue, self.number = table, queue, number
        self.base = self.tail = self.records = self.record_base = self.mhmv = self.level = self.gsts = 0
        self.eim = False
        self._fault_event: tuple[int, ...] = ()
        self._used = bytearray(ENTRIES)

    @property
    def status(self) -> int:
        """Address of the page that wait descriptors write to: a word of 4 bytes for each slot of the queue."""
        return self.queue + 16 * QUEUE_SLOTS

    def capable(self) -> bool:
        """Read CAP and ECAP; whether the unit can remap (V 10.1)."""
        cap, ecap = self.read("CAP", 8), self.read("ECAP", 8)
        if not (get(ecap, ECAP.qi) and get(ecap, ECAP.ir)):
            self.say("the unit cannot remap interrupts: it lacks ECAP.IR or ECAP.QI")
            return False
        self.eim, self.mhmv = bool(get(ecap, ECAP.eim)), get(ecap, ECAP.mhmv)
        self.records, self.record_base = get(cap, CAP.nfr) + 1, self.base + 16 * get(cap, CAP.fro)
        return True

    def describe(self) -> str:
        """The line with which Linux names a unit."""
        version, cap, ecap = self.read("VER"), self.read("CAP", 8), self.read("ECAP", 8)
        return (f"DMAR: dmar{self.number}: reg_base_addr {self.base:x} ver {version >> 4 & 15}:{version & 15} "
                f"cap {cap:x} ecap {ecap:x}")

    def say(self, line: str) -> None:
        """A line of the log, with the unit's number from the second on."""
        self.log.append(f"DMAR: dmar{self.number}: {line}" if self.number else f"DMAR: {line}")

    # --- registers ---

    def read(self, name: str, width: int = 4) -> int:
        """A register of the unit by name."""
        return self.cpu.read(self.base + OFFSET[name], width)

    def write(self, name: str, value: int, width: int = 4) -> None:
        """Write a register of the unit by name."""
        self.cpu.write(self.base + OFFSET[name], value, width)

    def command(self, bit: int, on: bool = True) -> bool:
        """Change one bit of GCMD and wait for its status.

        What is written is the state as the driver keeps it, with that bit changed (V 2.1); a one-shot bit is not kept.
        """
        wanted = self.level | bit if on else self.level & ~bit
        self.write("GCMD", wanted)
        self.level = wanted & ~ONE_SHOT
        for _ in range(_POLLS):
            self.gsts = self.read("GSTS")
            if bool(self.gsts & bit) == on:
                return True
        self.say(f"GSTS never followed GCMD bit {bit.bit_length() - 1}")
        return False

    # --- bring-up ---

    def start(self) -> bool:
        """Queue, table, remapping: whether it is on (V 10.1). What a kernel before left on is turned off first."""
        self.drain_faults()
        self.stop()
        self.write("IQT", 0)
        self.write("IQA", IQA.make(base=self.queue >> IQA.base.low, qs=0), 8)
        if not self.command(GCMD.qie.mask):
            return False
        steps = [self._point, self._flush, self._turn_on]
        if not self.cpu.does("order"):
            steps.reverse()
        done = all(step() for step in steps)
        if done and self.gsts & GSTS.cfis.mask:
            done = self.command(GCMD.cfi.mask, False)
        return done

    def stop(self) -> None:
        """After a kernel that ran before (kexec): remapping and queue off, the memory for the table cleared."""
        status = self.read("GSTS")
        self.level = status & ~ONE_SHOT
        if status & GSTS.ires.mask:
            self.command(GCMD.ire.mask, False)
        if status & GSTS.qies.mask:
            self.command(GCMD.qie.mask, False)
        if status & GSTS.irtps.mask:
            self.cpu.store(self.table, bytes(16 * ENTRIES))

    def suspend(self) -> None:
        """Before a sleep, in which registers lose what they hold: keep the fault event, turn remapping off (V 10.1).

        As Linux does it: the cache is emptied first, the queue stays on.
        """
        self._fault_event = tuple(self.read(name) for name in FAULT_EVENT)
        self.invalidate(0, _ALL_ENTRIES)
        self.read("GSTS")
        self.command(GCMD.ire.mask, False)

    def resume(self) -> bool:
        """After a sleep: queue and table anew, as they are in memory, remapping, the fault event; whether it is on."""
        self.level = self.read("GSTS") & ~ONE_SHOT
        if self.level & GSTS.qies.mask:
            self.read("IQT")
            self.read("IQH")
            self.command(GCMD.qie.mask, False)
        self.write("IQT", 0)
        self.tail = 0
        self.write("IQA", IQA.make(base=self.queue >> IQA.base.low, qs=0), 8)
        on = self.command(GCMD.qie.mask) and self._point() and self._flush() and self._turn_on()
        for name, value in zip(FAULT_EVENT, self._fault_event, strict=False):
            self.write(name, value)
        return on

    def _point(self) -> bool:
        size = ENTRIES.bit_length() - 2     # 2^(s+1) entries
        self.write("IRTA", IRTA.make(base=self.table >> IRTA.base.low, eime=int(self.eim), s=size), 8)
        return self.command(GCMD.sirtp.mask)

    def _flush(self) -> bool:
        return self.invalidate(0, _ALL_ENTRIES) if self.cpu.does("flush") else True

    def _turn_on(self) -> bool:
        return self.command(GCMD.ire.mask)

    # --- the queue ---

    def invalidate(self, index: int, mask: int = 0) -> bool:
        """Empty the entry cache of 2^mask entries from `index` (16: of all), and wait; whether it was done."""
        selective = mask < _ALL_ENTRIES
        descriptor = IEC.make(type=DescriptorType.IEC, g=1, iidx=index, im=mask) if selective else IEC.make(
            type=DescriptorType.IEC)
        self._queue(descriptor)
        if not self.cpu.does("wait"):
            self._ring()
            return True
        word = self.status + 4 * self.tail
        wait = WAIT.make(type=DescriptorType.WAIT, sw=1, data=_DONE, address=word >> 2)
        self.cpu.store(word, _IN_USE.to_bytes(4, "little"))
        self._queue(wait)
        self._ring()
        return self._waited(word) or self._tried_again(wait, word)

    def _queue(self, descriptor: int) -> None:
        self.cpu.store(self.queue + 16 * self.tail, descriptor.to_bytes(16, "little"))
        self.tail = (self.tail + 1) % QUEUE_SLOTS

    def _ring(self) -> None:
        """Move the tail behind all that was queued: one access for both descriptors."""
        self.write("IQT", IQT.make(qt=self.tail))

    def _waited(self, word: int) -> bool:
        """Whether the wait was done in time; its word is free again then."""
        done = any(self.cpu.read(word) == _DONE for _ in range(_POLLS))
        if done:
            self.cpu.store(word, bytes(4))
        return done

    def _tried_again(self, wait: int, word: int) -> bool:
        """A queue that stopped on an error is set going again once (V 7.6)."""
        self._recover(wait)
        if self._waited(word):
            return True
        self.say("an invalidation never completed")
        return False

    def _recover(self, wait: int) -> None:
        """Put the wait in place of the bad descriptor and clear IQE, as Linux does."""
        if not self.read("FSTS") & FSTS.iqe.mask:
            return
        head = get(self.read("IQH", 8), IQH.qh) % QUEUE_SLOTS
        self.say(f"VT-d detected Invalidation Queue Error at descriptor {head}")
        self.cpu.store(self.queue + 16 * head, wait.to_bytes(16, "little"))
        self.write("FSTS", FSTS.iqe.mask)
        self._ring()

    # --- entries ---

    def allocate(self, count: int) -> int:
        """First of `count` free entries, aligned to their number; -1 when there are none (V 10.2).

        A count that is no power of two, or that one invalidation cannot cover, has none.
        """
        if count & count - 1 or count.bit_length() - 1 > self.mhmv:
            return -1
        free = bytes(count)
        at = self._used.find(free)
        while at >= 0 and at % count:
            at = self._used.find(free, -(-at // count) * count)
        if at >= 0:
            self._used[at:at + count] = b"\1" * count
        return at

    def hold(self, count: int) -> None:
        """Give the first entries of an empty table away; nothing is written to them."""
        self._used[:count] = b"\1" * count

    def install(self, index: int, entry: int) -> None:
        """Write a new entry: the high half first, then the low half, which holds P (X 3.14)."""
        data = entry.to_bytes(16, "little")
        self.cpu.store(self.table + 16 * index + 8, data[8:])
        self.cpu.store(self.table + 16 * index, data[:8])

    def change(self, index: int, entry: int) -> bool:
        """Write a live entry by one store of 16 bytes and make the unit forget the old one (V 7.7)."""
        self.cpu.store(self.table + 16 * index, entry.to_bytes(16, "little"))
        return self.invalidate(index) if self.cpu.does("invalidate") else True

    def free(self, first: int, count: int = 1) -> bool:
        """Clear a block of entries, low halves first (they hold P), and make the unit forget all of them at once."""
        for index in range(first, first + count):
            self.cpu.store(self.table + 16 * index, bytes(8))
            self.cpu.store(self.table + 16 * index + 8, bytes(8))
        self._used[first:first + count] = bytes(count)
        return self.invalidate(first, count.bit_length() - 1) if self.cpu.does("invalidate") else True

    # --- faults ---

    def report_to(self, apic_id: int, vector: int) -> None:
        """Send fault events to an APIC ID as `vector`, and unmask them (V 1.5)."""
        self.write("FEDATA", vector)
        self.write("FEADDR", 0xFEE00000 | (apic_id & 0xFF) << 12)
        self.write("FEUADDR", apic_id & 0xFFFFFF00)
        self.write("FECTL", FECTL.make(im=0))
        self.read("FECTL")      # posted writes have arrived when a read comes back

    def drain_faults(self) -> list[Fault]:
        """The handler of the fault event: read the records in order, clear each, then the status (V 6.3).

        As Linux does it: the highest 4 bytes of a record say whether it is in use; it ends at one that is not.
        """
        if not self.cpu.does("clear-faults"):
            return []
        status, found = self.read("FSTS"), list[Fault]()
        if not status & FSTS.ppf.mask:
            return []
        number = get(status, FSTS.fri) % self.records
        for _ in range(_STORM):
            at = self.record_base + 16 * number
            record = self.cpu.read(at + 12) << 96
            if not get(record, FRCD.f):
                break
            record |= self.cpu.read(at + 8) << 64 | self.cpu.read(at, 8)
            self.cpu.write(at + 12, FRCD.f.mask >> 96)
            found.append(Fault(get(record, FRCD.reason), get(record, FRCD.index), get(record, FRCD.sid), self.number))
            number = (number + 1) % self.records
        self.write("FSTS", FSTS.pfo.mask | FSTS.ppf.mask | FSTS.pro.mask)
        return found
