"""The small kernel's vectors and messages: who gets which vector, and how a message or pin is programmed (A 7 to 9).

What is alive is masked before it changes. What to program comes from `ways`.
"""

from __future__ import annotations

from collections.abc import Iterable

from vsim.guest.cpu import Cpu
from vsim.guest.ways import Source, remapped_pin
from vsim.layouts.bits import get
from vsim.layouts.formats import RTE
from vsim.layouts.registers import (
    IOAPIC_VERSION,
    IOREDTBL,
    MSI_CONTROL,
    MSIX_CONTROL,
    MSIX_VECTOR_CONTROL,
    PCI_COMMAND,
)
from vsim.state.pci import Bus
from vsim.state.pci_function import COMMAND

FIRST_VECTOR, LAST_VECTOR, SYSCALL_VECTOR = 0x20, 0xEB, 0x80
"""Vectors for devices: from the first behind the exceptions to the last below the system's, without int 0x80."""
USABLE = sum(1 << v for v in range(FIRST_VECTOR, LAST_VECTOR + 1) if v != SYSCALL_VECTOR)
"""The vectors for devices as bits: 203 for each vCPU (V 10.3)."""
ISA_INTERRUPTS = 15
"""IRQs 0 to 15 without the cascade of the two 8259s: each has an entry of the table before any other device."""

IOAPIC, IOAPIC_WINDOW, IOAPIC_EOI = 0xFEC00000, 0xFEC00010, 0xFEC00040
"""Addresses of the I/O APIC: select, window, EOI register (version 0x20 and later)."""
_MSIX_ENTRY = 16


class Vectors:
    """Which vectors are taken, for each vCPU by itself, as Linux' matrix allocator has it (V 10.3)."""

    def __init__(self, vcpus: int) -> None:
        self._free = [USABLE] * vcpus
        self._reached = bytearray(b"\1") * vcpus
        self._left = bytearray([USABLE.bit_count()]) * vcpus     # free ones of those that are reached

    def limit(self, reachable: Iterable[int]) -> None:
        """From now on `emptiest` is one of these vCPUs."""
        among = set(reachable)
        self._reached = bytearray(vcpu in among for vcpu in range(len(self._free)))
        for vcpu in range(len(self._free)):
            self._count(vcpu)

    def emptiest(self) -> int:
        """The vCPU with the most free vectors, among equals the one with the lowest number; -1 when none has any."""
        most = max(self._left)
        return self._left.index(most) if most else -1

    def take(self, vcpu: int, also: int | None = None, wanted: int = -1) -> int:
        """The lowest free vector of a vCPU (and free on `also` as well), now taken on `vcpu`; -1 when there is none.

        wanted: no other vector than this one; -1 for any.
        """
        free = self._free[vcpu] if also is None else self._free[vcpu] & self._free[also]
        if wanted >= 0:
            free &= 1 << wanted
        if not free:
            return -1
        vector = (free & -free).bit_length() - 1
        self._free[vcpu] &= ~(1 << vector)
        self._count(vcpu)
        return vector

    def release(self, vcpu: int, vector: int) -> None:
        """Give a vector back."""
        self._free[vcpu] |= 1 << vector & USABLE
        self._count(vcpu)

    def _count(self, vcpu: int) -> None:
        self._left[vcpu] = self._reached[vcpu] * self._free[vcpu].bit_count()


class Interrupts:
    """Programs messages and pins of the functions on a bus."""

    def __init__(self, cpu: Cpu, bus: Bus) -> None:
        self.cpu, self.bus = cpu, bus
        self.pins = 0
        self.has_eoi = False

    # --- the I/O APIC ---

    def find_ioapic(self) -> None:
        """Read the version register: number of pins, and whether there is an EOI register; mask every pin."""
        self.cpu.write(IOAPIC, 1)
        version = self.cpu.read(IOAPIC_WINDOW)
        self.pins = get(version, IOAPIC_VERSION.last) + 1
        self.has_eoi = get(version, IOAPIC_VERSION.version) >= 0x20
        for pin in range(self.pins):
            self._rte_half(pin, 0, RTE.mask.mask)

    def _rte_half(self, pin: int, half: int, value: int) -> None:
        self.cpu.write(IOAPIC, IOREDTBL + 2 * pin + half)
        self.cpu.write(IOAPIC_WINDOW, value)

    def mask_pin(self, pin: int, entry: int) -> None:
        """Mask a redirection entry, high half first, as Linux does before a sleep."""
        self._rte_half(pin, 1, entry >> 32)
        self._rte_half(pin, 0, entry & 0xFFFFFFFF | RTE.mask.mask)

    def write_pin(self, pin: int, entry: int) -> None:
        """Write a redirection entry: masked, high half, low half."""
        if self.cpu.does("mask"):
            self._rte_half(pin, 0, entry & 0xFFFFFFFF | RTE.mask.mask)
        self._rte_half(pin, 1, entry >> 32)
        self._rte_half(pin, 0, entry & 0xFFFFFFFF)

    def end_pin(self, pin: int, index: int) -> None:
        """End a level interrupt of a remapped pin: EOI register, or edge and back to level on old ones (V 10.2)."""
        if self.has_eoi:
            self.cpu.write(IOAPIC_EOI, pin)
            return
        entry = remapped_pin(index, pin) & 0xFFFFFFFF
        self._rte_half(pin, 0, entry & ~RTE.tm.mask | RTE.mask.mask)
        self._rte_half(pin, 0, entry)

    # --- functions ---

    def enable_pin(self, bdf: int) -> None:
        """Let a function decode memory, master the bus and assert its pin."""
        self.cpu.config(bdf, COMMAND, 2, PCI_COMMAND.make(memory=1, master=1))

    def _disable_pin(self, bdf: int) -> None:
        self.cpu.config(bdf, COMMAND, 2, PCI_COMMAND.make(memory=1, master=1, intx_off=1))

    def enable_msix(self, bdf: int, messages: list[tuple[int, int]]) -> None:
        """Enable MSI-X under the function mask, program the first messages, take the masks away (A 9)."""
        self._disable_pin(bdf)
        self._control_msix(bdf, MSIX_CONTROL.make(enable=1, mask=1))
        for number, (address, data) in enumerate(messages):
            self._write_msix(bdf, number, address, data)
        self._control_msix(bdf, MSIX_CONTROL.make(enable=1))

    def silence(self, source: Source) -> None:
        """Mask all messages of a function, or a pin."""
        if source.kind == "pin":
            self._rte_half(source.number, 0, RTE.mask.mask)
        elif source.kind == "msi-x":
            self._control_msix(source.bdf, MSIX_CONTROL.make(enable=1, mask=1))
        else:
            self._set_masks(source.bdf, 0xFFFFFFFF)

    def disable(self, source: Source) -> None:
        """Switch the messages of a function off. Without masks that is what silences it."""
        if source.kind == "msi-x":
            self._control_msix(source.bdf, 0)
        elif source.kind == "msi":
            self.cpu.config(source.bdf, self.bus.msi_cap(self.bus.place(source.bdf)) + 2, 2, 0)

    def _control_msix(self, bdf: int, value: int) -> None:
        self.cpu.config(bdf, self.bus.msix_cap(self.bus.place(bdf)) + 2, 2, value)

    def enable_msi(self, bdf: int, count: int, address: int, data: int) -> None:
        """Program MSI for `count` messages (a power of two) while all are masked, then enable it (A 8)."""
        control = self.bus.msi_cap(self.bus.place(bdf)) + 2
        self._disable_pin(bdf)
        self._set_masks(bdf, (1 << count) - 1)
        self._write_msi(bdf, address, data)
        self.cpu.config(bdf, control, 2, MSI_CONTROL.make(enable=1, mme=count.bit_length() - 1))
        self._set_masks(bdf, 0)

    def rewrite(self, source: Source, address: int, data: int) -> None:
        """Change the message of a live source; under its mask where it has one."""
        if source.kind == "msi-x":
            if self.cpu.does("mask"):
                self._msix_word(source.bdf, source.number, 3, MSIX_VECTOR_CONTROL.mask.mask)
            self._write_msix(source.bdf, source.number, address, data)
            return
        if self.cpu.does("mask"):
            self._set_masks(source.bdf, 1 << source.number)
        self._write_msi(source.bdf, address, data)
        self._set_masks(source.bdf, 0)

    def maskable(self, source: Source) -> bool:
        """Whether a message has a mask of its own."""
        return source.kind != "msi" or self.bus.functions[self.bus.place(source.bdf)].msi_maskable

    def _msix_word(self, bdf: int, number: int, word: int, value: int) -> None:
        self.cpu.write(self.bus.bar(self.bus.place(bdf)) + _MSIX_ENTRY * number + 4 * word, value)

    def _write_msix(self, bdf: int, number: int, address: int, data: int) -> None:
        words = (address & 0xFFFFFFFF, address >> 32, data, 0)     # the last one takes the mask away
        for word, value in enumerate(words):
            self._msix_word(bdf, number, word, value)

    def _write_msi(self, bdf: int, address: int, data: int) -> None:
        """Data, then address: without a mask a message in between has the new vector and the old vCPU."""
        cap, wide = self._msi(bdf)
        self.cpu.config(bdf, cap + 8 + wide, 2, data)
        if wide:
            self.cpu.config(bdf, cap + 8, 4, address >> 32)
        self.cpu.config(bdf, cap + 4, 4, address & 0xFFFFFFFF)

    def _set_masks(self, bdf: int, bits: int) -> None:
        if self.bus.functions[self.bus.place(bdf)].msi_maskable:
            cap, wide = self._msi(bdf)
            self.cpu.config(bdf, cap + 12 + wide, 4, bits)

    def _msi(self, bdf: int) -> tuple[int, int]:
        """Offset of the MSI capability, and by how much a 64-bit address shifts what follows it."""
        place = self.bus.place(bdf)
        return self.bus.msi_cap(place), 4 if self.bus.functions[place].msi_64 else 0
