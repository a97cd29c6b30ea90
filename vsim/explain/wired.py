"""The checks on a line of the mainboard, from the 8259 pair to a vCPU: which of them holds the interrupt back.

They are made on the machine as it was before the line rose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vsim.devices import lint, vpic
from vsim.layouts.bits import get
from vsim.layouts.formats import Dlm
from vsim.layouts.registers import LVT_LINT
from vsim.state.arrays import PIC_BYTES, PIC_READY, Machine, Pic


class WiredCheck(NamedTuple):
    """One check. holds: the interrupt goes on. operands: (name, value, meaning) of what it looked at. sentence: when it
    holds the interrupt back.
    """

    name: str
    holds: bool
    operands: tuple[tuple[str, int, str], ...]
    condition: str
    section: str
    sentence: str


def checks(m: Machine, irq: int) -> tuple[WiredCheck, ...]:
    """The checks on IRQ 0 to 15, in the order of its way."""
    return (*(row for chip, number in _inputs(irq) for row in _of_chip(m, chip, number)), *_of_vcpu(m))


def _inputs(irq: int) -> Iterator[tuple[int, int]]:
    """The 8259s that a line passes, and the input at each."""
    if irq > 7:
        yield 1, irq - 8
    yield 0, irq if irq < 8 else vpic.CASCADE


def _of_chip(m: Machine, chip: int, number: int) -> Iterator[WiredCheck]:
    at = PIC_BYTES * chip
    step, masks, serving = (m.pic[at + place] for place in (Pic.STEP, Pic.IMR, Pic.ISR))
    name, where = ("second-", "the second 8259") if chip else ("first-", "the first 8259")
    yield WiredCheck(f"{name}initialised", step == PIC_READY, (("step", step, f"{PIC_READY} once it is done"),),
                     f"step != {PIC_READY}", "8259A ICW1", f"Software has not initialised {where}.")
    yield WiredCheck(f"{name}unmasked", not masks >> number & 1, (("imr", masks, "its mask"), ("input", number, "")),
                     "imr >> input & 1", "8259A OCW1", f"The input is masked in {where}.")
    blocked, order = vpic.blocking(m, chip, 1 << number), vpic.ranked(m, chip)
    above = [each for each in order[:order.index(number) + 1] if blocked >> each & 1]
    yield WiredCheck(f"{name}priority", not above, (("isr", serving, "in service"), ("input", number, "")),
                     "an input of the same or a higher priority is in service", "8259A fully nested mode",
                     f"{where[0].upper() + where[1:]} has the same or a more urgent input in service, not yet ended.")


def _of_vcpu(m: Machine) -> Iterator[WiredCheck]:
    vcpu = next(iter(lint.listeners(m)), 0)
    own = lint.entry(m, vcpu, 0)
    looked = (("vcpu", vcpu, "the one that is looked at"), ("entry", own, "its LINT0 entry"))
    yield WiredCheck("lint0-unmasked", not get(own, LVT_LINT.mask), looked, "entry mask == 1", "SDM 11.5.1",
                     "LINT0 is masked in its local vector table entry.")
    yield WiredCheck("lint0-extint", get(own, LVT_LINT.dlm) == Dlm.EXTINT, looked, "entry delivery mode != ExtINT",
                     "MP 3.6.2.2", "LINT0 is not programmed as ExtINT: no vector is fetched from the 8259.")
