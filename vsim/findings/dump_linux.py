"""What Linux prints of interrupts: /proc/interrupts.

The form is that of Linux 6.12 (kernel/irq/proc.c, drivers/pci/msi); `readers/proc_interrupts` reads it. The rows of
words below the interrupts (NMI, LOC, RES, ...) are left out: this kernel counts none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vsim.findings.past import Owner, Past
from vsim.findings.subject import Subject
from vsim.guest.kernel import Guest, Source
from vsim.layouts.bits import bdf_text

_CHIPS = {"pin": "IO-APIC", "msi-x": "PCI-MSIX", "msi": "PCI-MSI"}


class Interrupt(NamedTuple):
    """A row of Linux's table of interrupts. number: Linux's; owner: who raises it; source: None for a unit's own."""

    number: int
    owner: Owner
    chip: str
    hwirq: int
    trigger: str
    names: Sequence[str]
    source: Source | None = None


def interrupts(subject: Subject, guest: Guest) -> list[Interrupt]:
    """Every interrupt of a kernel by its number: pins by their GSI, messages behind them in the order of set-up."""
    next_free = max(each.gsi + each.pins for each in subject.machine.profile.options.ioapics)
    found: list[Interrupt] = []
    for unit in guest.fault_vectors.values():
        found.append(Interrupt(next_free + len(found), ("unit", unit, 0), "DMAR-MSI", unit, "edge", (f"dmar{unit}",)))
    next_free += len(found)
    prefix = "IR-" if guest.ways.remapping else ""
    pins: dict[int, Interrupt] = {}
    for source in (source for sources in guest.sources.values() for source in sources):
        chip = prefix + _CHIPS[source.kind]
        if source.kind == "pin":
            names = [_name(subject, bdf) for bdf in source.sharers]
            pins[source.number] = Interrupt(source.number, ("pin", source.number, 0), chip, source.number, "fasteoi",
                                            names, source)
        else:
            found.append(Interrupt(next_free, ("message", source.bdf, source.number),
                                   f"{chip}-0000:{bdf_text(source.bdf)}", source.number, "edge",
                                   (f"{_name(subject, source.bdf)}-{source.number}",), source))
            next_free += 1
    return [*(pins[gsi] for gsi in sorted(pins)), *found]


def _name(subject: Subject, bdf: int) -> str:
    """What a driver would call its handler: the function's name as one word."""
    bus = subject.machine.bus
    word = re.sub(r"[^\w.-]+", "_", bus.functions[bus.place(bdf)].name, flags=re.ASCII)
    return word.strip("_") or "device"


def proc_interrupts(subject: Subject) -> str:
    """Each interrupt, how often each CPU took it since the machine was made, its chip, number, trigger and handlers."""
    guest = subject.booted
    found, taken = interrupts(subject, guest), Past(subject).taken
    width = max([3, *(len(str(each.number)) for each in found)])
    cpus = sorted(guest.online)
    rows = [" " * (width + 8) + "".join(f"CPU{cpu:<8}" for cpu in cpus)]
    rows += [row(width, each.number, (taken[each.owner, cpu] for cpu in cpus), each.chip, each.hwirq, each.trigger,
                 each.names) for each in found]
    return "\n".join((*rows, ""))


def row(width: int, number: int, counts: Iterable[int], chip: str, hwirq: int, trigger: str,
        names: Sequence[str]) -> str:
    """One row. width: of the numbers of interrupts, 3 on all but the largest machines."""
    told = f"{number:>{width}}:{''.join(f' {count:>10}' for count in counts)}  {chip:>8} {hwirq:>{width}}-{trigger:<8}"
    return f"{told}  {', '.join(names)}" if names else told


def runs(cpus: list[int]) -> str:
    """CPUs as a list of runs.

    >>> runs([0, 1, 2, 5])
    '0-2,5'
    """
    found: list[list[int]] = []
    for cpu in cpus:
        if found and found[-1][1] + 1 == cpu:
            found[-1][1] = cpu
        else:
            found.append([cpu, cpu])
    return ",".join(f"{low}-{high}" if high > low else str(low) for low, high in found)
