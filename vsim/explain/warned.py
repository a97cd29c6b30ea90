"""What a machine warns of, as sentences: legal for it, and most likely a mistake of the guest."""

from __future__ import annotations

from collections.abc import Callable

from vsim.layouts.bits import get
from vsim.layouts.formats import RTE
from vsim.layouts.registers import ICR, LVT_LINT
from vsim.state.trace import Warn


def _constant(text: str) -> Callable[[int, int], str]:
    return lambda value, more: text


def _pin_differs(what: str) -> Callable[[int, int], str]:
    return lambda value, more: (f"The {what} of the pin's entry ({RTE.text(value)}) is not that of the remapping "
                                "entry: an EOI may not find the pin.")


def _to_self(value: int, more: int) -> str:
    mode = ICR.dlm.names[get(value, ICR.dlm)]
    return f"{mode[0].upper() + mode[1:]} with a shorthand that includes the sender is no valid combination; here it " \
           "is delivered."


WARNINGS: dict[Warn, tuple[Callable[[int, int], str], str]] = {
    Warn.SEVERAL_COMMANDS: (lambda value, more: f"GCMD is written with {value:#x}, which changes more than one field: "
                                                "in which order they act is open.", "VT-d 11.4.4"),
    Warn.NOT_LATCHED: (_constant("Remapping goes on before any table was latched: remappable requests are blocked, "
                                 "reason 0x23."), "VT-d 11.4.4"),
    Warn.MISALIGNED_TABLE: (lambda value, more: f"The table of IRTA {value:#x} is not aligned to its size.",
                            "VT-d 11.4.24"),
    Warn.EIME_WHILE_ON: (lambda value, more: f"EIME changes in IRTA ({value:#x}) while remapping is on.",
                         "VT-d 11.4.24"),
    Warn.TAIL_AT_ENABLE: (lambda value, more: f"The queue goes on while IQT is {value:#x}: what lies there is taken.",
                          "VT-d 6.5"),
    Warn.TRIGGER_MISMATCH: (_pin_differs("trigger mode"), "VT-d 5.1.5.1"),
    Warn.VECTOR_MISMATCH: (_pin_differs("vector"), "VT-d 5.1.5.1"),
    Warn.NOT_DRAINED: (lambda value, more: f"The queue stays on: IQH is {value:#x}, IQT is {more:#x}.", "VT-d 6.5"),
    Warn.NO_DMA: (_constant("A command of DMA remapping: its status follows, no DMA is translated here."),
                  "VT-d 11.4.4"),
    Warn.SIGNAL_TO_SELF: (_to_self, "SDM 11.6.1"),
    Warn.NO_ROOT: (_constant("DMA translation goes on before any root table was set."), "VT-d 11.4.4"),
    Warn.QUEUE_MOVED: (lambda value, more: f"IQA is written with {value:#x} while the queue is on, which goes on "
                                           "where it was.", "VT-d 11.4.18"),
    Warn.QUEUE_RESERVED: (lambda value, more: f"Reserved bits are set in {value:#x} for the queue's register at offset "
                                              f"{more:#x}: they are not kept.", "VT-d 11.4.17"),
    Warn.REGISTER_FLUSH: (_constant("An invalidation by register while the queue is on: the two are not to be mixed."),
                          "VT-d 6.5.1"),
    Warn.TIMER_MODE: (_constant("The timer does not use this register in its mode: the write is ignored."),
                      "SDM 11.5.4.1"),
    Warn.SECOND_EXTINT: (lambda value, more: f"LINT{more} takes ExtINT ({LVT_LINT.text(value)}), and so does another "
                                             "pin: which vCPU fetches the vector is open.", "SDM 11.5.1"),
    Warn.LINT1_LEVEL: (lambda value, more: f"LINT1 is fixed and level-triggered ({LVT_LINT.text(value)}): that is for "
                                           "LINT0 alone.", "SDM 11.5.1"),
    Warn.BOTH_WAYS: (lambda value, more: f"IRQ {more} interrupts twice: by the 8259, and by its pin of the I/O APIC.",
                     "MP 3.6.2.3"),
    Warn.NO_PAGES: (_constant("The invalidation names pages, and CAP.PSI is 0: the unit has no page-selective one."),
                    "VT-d 6.5.2.3"),
}
"""Each warning's sentence, from the value of its event and more of it, and the section to read."""
