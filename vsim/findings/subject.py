"""What a dump is made of: a machine, the books of the kernel that runs on it, and how the machine came to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsim.devices import vvtd
from vsim.guest.kernel import Guest
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import OFFSET
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.commands import Command


@dataclass(frozen=True, slots=True)
class Subject:
    """A machine to be dumped; nothing here changes it.

    guest: the kernel that was booted on it, None without one. first, commands, done: the machine at first, what was
    done to it, and how many of these commands led to `machine`; for what only the past knows (counts, faults that
    were read). None, () and 0 where nobody kept it.
    """

    machine: Machine
    guest: Guest | None = None
    first: Machine | None = None
    commands: Sequence[Command] = ()
    done: int = 0

    @property
    def booted(self) -> Guest:
        """The kernel. ValueError where none was booted."""
        if self.guest is None:
            raise ValueError("this is what a kernel prints, and none runs: boot it first")
        return self.guest

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that exist, as Linux numbers them: in the order of the DMAR."""
        live = [unit for unit in range(self.machine.units) if self.machine.live(unit)]
        return tuple(Unit(self.machine, unit, f"dmar{number}") for number, unit in enumerate(live))


@dataclass(frozen=True, slots=True)
class Unit:
    """A remapping unit of a machine. number: the machine's; name: Linux's."""

    machine: Machine
    number: int
    name: str

    def _latched(self, word: Latch) -> int:
        return self.machine.latch[LATCH_WORDS * self.number + word]

    @property
    def base(self) -> int:
        """Address of the registers."""
        return self._latched(Latch.MMIO_BASE)

    @property
    def table(self) -> int:
        """Guest-physical address of the table in use."""
        return self._latched(Latch.BASE_PAGE) << 12

    @property
    def size(self) -> int:
        """Entries of the table in use, 0 before there is one."""
        return self._latched(Latch.ENTRIES)

    def register(self, name: str) -> int:
        """A register of 8 bytes by name, as it is; no access is made."""
        return vvtd.value(self.machine, self.number, OFFSET[name], 8)

    def entries(self) -> list[tuple[int, int]]:
        """The present entries of the table in memory: (index, 128 bits). Entries outside memory are none."""
        found = []
        for index in range(self.size):
            low = self.machine.ram.word(self.table + 16 * index)
            if low is not None and low & IRTE.p.mask:
                data = self.machine.ram.read(self.table + 16 * index, 16)
                found.append((index, int.from_bytes(data or b"", "little")))
        return found
