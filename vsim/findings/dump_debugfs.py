"""What Linux prints of every interrupt's chain: the files of /sys/kernel/debug/irq/irqs, a heading before each.

The form is that of Linux 6.12 (kernel/irq/debugfs.c); `readers/debugfs_irq` reads it. As there, the levels say where an
interrupt goes, and the message itself is not printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vsim.findings.dump_linux import Interrupt, interrupts, runs
from vsim.findings.subject import Subject
from vsim.guest.kernel import Guest
from vsim.layouts.bits import bdf_text

STATES = {"IRQD_LEVEL": 13, "IRQD_ACTIVATED": 9, "IRQD_IRQ_STARTED": 22, "IRQD_IRQ_DISABLED": 16,
          "IRQD_IRQ_MASKED": 17, "IRQD_SINGLE_TARGET": 24, "IRQD_MOVE_PCNTXT": 15, "IRQD_AFFINITY_SET": 12,
          "IRQD_NO_BALANCING": 10, "IRQD_AFFINITY_MANAGED": 21, "IRQD_AFFINITY_ON_ACTIVATE": 28,
          "IRQD_CAN_RESERVE": 26, "IRQD_SETAFFINITY_PENDING": 8, "IRQD_HANDLE_ENFORCE_IRQCTX": 27}
"""Bit of each state that is printed below dstate."""
_STANDING = ("IRQD_ACTIVATED", "IRQD_IRQ_STARTED", "IRQD_SINGLE_TARGET", "IRQD_MOVE_PCNTXT",
             "IRQD_AFFINITY_ON_ACTIVATE", "IRQD_HANDLE_ENFORCE_IRQCTX")
_LEVEL_STATUS, _NO_PROBE, _ISTATE = 0x100, 0x4000, 0x4000
_MSI_TOKEN, _MSIX_TOKEN, _DMAR_TOKEN = 11, 12, 13
"""Kinds of buses, which end the names of domains."""
_FLAGS = {"PCI": (0x430, ("IRQCHIP_SKIP_SET_WAKE", "IRQCHIP_ONESHOT_SAFE")),
          "IO-APIC": (0x410, ("IRQCHIP_SKIP_SET_WAKE",)), "DMAR": (0x410, ("IRQCHIP_SKIP_SET_WAKE",))}

Level = tuple[str, int, str, int, Sequence[str]]
"""Domain, number in it, chip, the chip's flags, and their names."""


def debugfs_irq(subject: Subject) -> str:
    """Every interrupt of the kernel in the order of its number."""
    guest = subject.booted
    return "".join(f"{line}\n" for each in interrupts(subject, guest) for line in _file(subject, guest, each))


def _file(subject: Subject, guest: Guest, each: Interrupt) -> Iterator[str]:
    source = each.source
    pin = source is not None and source.kind == "pin"
    device = f"0000:{bdf_text(source.bdf)}" if source is not None and not pin else "(null)"
    if source is None:
        vector, cpu = next(vector for vector, unit in guest.fault_vectors.items() if unit == each.hwirq), 0
    else:
        vector, cpu = source.vector, source.vcpu
    states = [*(["IRQD_LEVEL"] if pin else []), *_STANDING]
    yield f"--- irq {each.number}"
    yield from head(f"handle_{'fasteoi' if pin else 'edge'}_irq", device,
                    (_NO_PROBE if source else 0) | _LEVEL_STATUS * pin, states, runs(sorted(guest.online)), str(cpu))
    yield from chain([*_levels(subject, each), ("VECTOR", each.number, "APIC", 0, ())])
    depth = " " * (1 + 4 * len(_levels(subject, each)))
    yield from (depth + row for row in placed(vector, cpu))


def head(handler: str, device: str, status: int, states: Sequence[str], affinity: str, effective: str) -> Iterator[str]:
    """What stands above the levels. states: of `STATES`, in the order in which Linux prints them."""
    yield f"handler:  {handler}"
    yield f"device:   {device}"
    yield f"status:   {status:#010x}"
    yield f"istate:   {_ISTATE:#010x}"
    masked = int("IRQD_IRQ_DISABLED" in states)
    yield f"ddepth:   {masked}"
    yield "wdepth:   0"
    yield f"dstate:   {sum(1 << STATES[state] for state in states):#010x}"
    yield from (f"            {state}" for state in states)
    yield "node:     0"
    yield f"affinity: {affinity}"
    yield f"effectiv: {effective}"
    yield "pending:  "


def chain(levels: Iterable[Level]) -> Iterator[str]:
    """The levels of an interrupt, from the device to the vector."""
    for depth, (domain, hwirq, chip, flags, names) in enumerate(levels):
        if depth:
            yield " " * (4 * depth - 3) + "parent:"
        outer = " " * (4 * depth)
        yield f"{outer}domain:  {domain}"
        yield f"{outer} hwirq:   {hwirq:#x}"
        yield f"{outer} chip:    {chip}"
        yield f"{outer}  flags:   {flags:#x}"
        yield from (f"{outer}             {name}" for name in names)


def placed(vector: int, cpu: int) -> Iterator[str]:
    """What the vector's level says behind its chip."""
    yield f"Vector: {vector:5}"
    yield f"Target: {cpu:5}"
    yield from ("move_in_progress: 0", "is_managed:       0", "can_reserve:      0", "has_reserved:     0",
                "cleanup_pending:  0")


def _levels(subject: Subject, each: Interrupt) -> list[Level]:
    """The levels before the vector's: the device's, and the unit's where it remaps."""
    source = each.source
    if source is None:
        return [("DMAR-MSI", each.hwirq, "DMAR-MSI", *_FLAGS["DMAR"])]
    prefix = "IR-" if source.index >= 0 else ""
    if source.kind == "pin":
        ioapics = subject.machine.profile.options.ioapics
        which = next(number for number, own in enumerate(ioapics) if 0 <= source.number - own.gsi < own.pins)
        levels: list[Level] = [(f"IO-APIC-{which}", source.number - ioapics[which].gsi, f"{prefix}IO-APIC",
                                *_FLAGS["IO-APIC"])]
    else:
        token = _MSI_TOKEN if source.kind == "msi" else _MSIX_TOKEN
        levels = [(f"{each.chip}-{token}", source.number, each.chip, *_FLAGS["PCI"])]
    if source.index >= 0:
        place = source.number if source.kind == "msi" else 0
        number = next(at for at, unit in enumerate(subject.units) if unit.number == source.unit)
        levels.append((f"INTEL-IR-{number}-{_DMAR_TOKEN}", source.index - place << 16 | place, "INTEL-IR", 0, ()))
    return levels
