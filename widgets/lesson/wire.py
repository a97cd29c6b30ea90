"""One pin of an I/O APIC, the two devices on it and the vCPU that takes its interrupts, moved by hand, step by step.

    Wire("level").play("A up, take, A down, eoi")

A `Wire` shows itself as a table with a row for each step. Nobody serves anything by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vsim.devices import vlapic
from vsim.layouts.bits import get, put
from vsim.layouts.formats import IRTE, RTE
from vsim.layouts.registers import APIC_MSR, IOREDTBL, SVR
from vsim.state import commands as c
from vsim.state.pci import Function
from vsim.state.trace import Act, Drop, Event, Kind
from widgets.lesson.made import Made
from widgets.tables import Table

NAMES = ("A", "B")
"""The devices: A in a slot with INTA#, B seven slots on with INTD#, which is the same pin on Xen's board (A 10)."""
SLOTS = tuple(slot for slot in range(1, 25) if slot % 8)
"""Slots of A for which that is so."""
VCPU, VECTOR, IDS = 1, 0x52, (3, 9)
"""The vCPU, its vector, and the APIC IDs."""
TRIGGERS = ("edge", "level")
KERNELS = ("", "linux", "xen", "mixed")
"""No remapping; remapped as Linux does it, as Xen does it, or with Xen's level entry and Linux's pin."""
EOI_REGISTER = 0xFEC00040
_SPURIOUS = 0xFF


class Wire(Made):
    """The pin and who has to do with it. trigger: of the pin. kernel: one of `KERNELS`, how the pin is remapped.

    suppress: the vCPU keeps its EOIs to itself. version: of the I/O APIC; from 0x20 on it has an EOI register. slot:
    of A, one of `SLOTS`, which decides the pin.
    """

    def __init__(self, trigger: str = "level", kernel: str = "", suppress: bool = False, version: int = 0x20,
                 slot: int = 3, vector: int = VECTOR) -> None:
        """ValueError for an unknown word or slot, or a vector that is not free."""
        for name, word, allowed in (("trigger", trigger, TRIGGERS), ("kernel", kernel, KERNELS),
                                    ("slot", slot, SLOTS)):
            if word not in allowed:
                raise ValueError(f"{name} is {word!r}; allowed are {', '.join(map(repr, allowed))}")
        self.devices, self.vector = {"A": slot << 3, "B": slot + 7 << 3}, vector
        super().__init__([Function(self.devices["A"], "A", pin=1, conventional=True),
                          Function(self.devices["B"], "B", pin=4, conventional=True)], IDS, viommu_=bool(kernel),
                         ioapic_version=version, suppress_eoi=suppress)
        self.pin = self.source(self.devices["A"]).number
        why = self.place(self.devices["A"], 0, VCPU, vector)
        if why:
            raise ValueError(why)
        self._program(trigger == "level", kernel)
        if suppress:
            self._msr("SVR", SVR.make(enable=1, vector=_SPURIOUS, suppress=1))
        self._steps = list[tuple[str, ...]]()
        self.sent = 0

    def _program(self, level: bool, kernel: str) -> None:
        """Another trigger, or another kernel's way, than the small guest's."""
        entry = put(self.machine.rte[self.pin], RTE.tm, int(level))
        if kernel in ("xen", "mixed"):
            self.change(self.devices["A"], tm=int(level))
        if kernel == "xen":
            entry = put(entry, RTE.vector, self.vector)
        self.guest.irq.write_pin(self.pin, entry)

    def _msr(self, name: str, value: int) -> list[Event]:
        return self.issue(c.Msr(VCPU, APIC_MSR[name], value))

    # --- steps ---

    def play(self, steps: str) -> Wire:
        """Do steps, with commas between them: "A up", "A down", "B up", "B down", and the words of `STEPS`.

        ValueError for another word, before anything is done.
        """
        words = [" ".join(step.split()) for step in steps.split(",")]
        for word in words:
            if word not in STEPS:
                raise ValueError(f"no step {word!r}; steps are {', '.join(STEPS)}")
        for word in words:
            self._did(word, STEPS[word](self))
        return self

    def _line(self, device: str, level: int) -> list[Event]:
        return self.issue(c.Intx(self.devices[device], level))

    def _mask(self, mask: int) -> list[Event]:
        return self._write(put(self.machine.rte[self.pin], RTE.mask, mask))

    def _write(self, entry: int) -> list[Event]:
        """The lower half of the pin's entry."""
        self.issue(c.Mmio(0xFEC00000, 4, IOREDTBL + 2 * self.pin))
        return self.issue(c.Mmio(0xFEC00010, 4, entry & 0xFFFFFFFF))

    def _flip(self) -> list[Event]:
        """What Linux does where there is no EOI register: masked edge, then as it was (A 7.3)."""
        entry = self.machine.rte[self.pin]
        return self._write(put(put(entry, RTE.tm, 0), RTE.mask, 1)) + self._write(entry)

    def _did(self, word: str, events: list[Event]) -> None:
        m, entry = self.machine, self.machine.rte[self.pin]
        self.sent += sum(event.act == Act.SENT and event.node >> 24 == Kind.VIOAPIC for event in events)
        lines = "+".join(name for name, bdf in self.devices.items() if m.wires[m.bus.place(bdf)])
        self._steps.append((word, f"up ({lines})" if lines else "down", "1" if self.remote_irr else "0",
                            _vector(vlapic.highest(m.irr, VCPU)), _vector(vlapic.highest(m.isr, VCPU)),
                            "; ".join(_said(events)) or ("masked" if get(entry, RTE.mask) else "nothing")))

    @property
    def remote_irr(self) -> bool:
        """Whether the pin waits for an EOI."""
        return bool(get(self.machine.rte[self.pin], RTE.irr))

    # --- shown ---

    @property
    def steps(self) -> Table:
        """What was done, and how things stood after it."""
        return Table(("step", "line", "remote IRR", "IRR", "ISR", "what happened"), self._steps)

    def entries(self) -> str:
        """The pin's entry as text, and below it that of the table, where there is one."""
        source = self.source(self.devices["A"])
        form = self.guest.ways.remapping
        told = f"pin: vector={get(self.machine.rte[self.pin], RTE.vector):#x} {_trigger(self.machine.rte[self.pin])}"
        return f"{told}\ntable: {IRTE.text(self.stored(source.index))}" if form else told

    def stored(self, index: int) -> int:
        """An entry of the table as it is in memory."""
        return int.from_bytes(self.machine.ram.read(self.guest.unit.table + 16 * index, 16) or b"", "little")

    def _repr_html_(self) -> str:
        return self.steps._repr_html_()

    def __repr__(self) -> str:
        return repr(self.steps)


def _trigger(entry: int) -> str:
    return "level" if get(entry, RTE.tm) else "edge"


def _vector(vector: int) -> str:
    return "-" if vector < 0 else f"{vector:#x}"


def _said(events: list[Event]) -> Iterator[str]:
    """What the events of a step say, in a few words each."""
    for event in events:
        if event.act == Act.SENT and event.node >> 24 == Kind.VIOAPIC:
            yield "the pin sends"
        elif event.act == Act.DROPPED:
            yield _LOST.get(event.index, "dropped")
        elif event.act == Act.ENDED:
            yield f"EOI of {event.index:#x}, {'broadcast' if event.low else 'not broadcast'}"
        elif event.act in _WORDS:
            yield _WORDS[Act(event.act)]


_LOST: dict[int, str] = {Drop.MASKED: "lost: the pin is masked", Drop.PENDING: "not sent: remote IRR is set"}
_WORDS = {Act.MERGED: "merged: IRR was set", Act.TAKEN: "taken", Act.IRR_CLEARED: "remote IRR cleared",
          Act.WARNED: "warning"}

STEPS: dict[str, Callable[[Wire], list[Event]]] = {
    **{f"{name} {word}": lambda wire, name=name, level=level: wire._line(name, level)  # type: ignore[misc]
       for name in NAMES for word, level in (("up", 1), ("down", 0))},
    "take": lambda wire: wire.issue(c.Acknowledge(VCPU)),
    "eoi": lambda wire: wire._msr("EOI", 0),
    "mask": lambda wire: wire._mask(1),
    "unmask": lambda wire: wire._mask(0),
    "write vector": lambda wire: wire.issue(c.Mmio(EOI_REGISTER, 4, wire.vector)),
    "write pin": lambda wire: wire.issue(c.Mmio(EOI_REGISTER, 4, wire.pin)),
    "flip": Wire._flip,
}
"""Every step. "write ...": to the I/O APIC's EOI register; "flip": the pin to edge and back."""
