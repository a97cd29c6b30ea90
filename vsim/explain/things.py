"""Single things by kind: a message, an entry, a register, a fault record; what each of their bits says.

`KINDS` has a row for each: the numbers it takes, the function that tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vsim.explain import amd
from vsim.explain.ends import ends_of_reason
from vsim.explain.messages import FEE, Known, Parts, irte, msi, rte
from vsim.explain.told import Form, Told, word
from vsim.layouts.amd import EFR
from vsim.layouts.bits import Layout, bdf_text, get
from vsim.layouts.formats import (
    CONTEXT_INV,
    DESCRIPTOR_NAMES,
    DEVICE_TLB_INV,
    DM_NAMES,
    FRCD,
    IEC,
    IOTLB_INV,
    MSI_ADDRESS,
    REASON_TEXT,
    WAIT,
    Reason,
)
from vsim.layouts.registers import APIC, CAP, ECAP, FSTS, ICR, UNIT, X2APIC_LDR

NOTHING = Known()
"""Nothing is known beside the thing."""


class Kind(NamedTuple):
    """A kind of thing: how its numbers are called, the bits of each, and what tells it."""

    numbers: tuple[tuple[str, int], ...]
    tell: Callable[[tuple[int, ...], Known], Parts]
    doc: str


# --- registers ---


def frcd(numbers: tuple[int, ...], known: Known) -> Parts:
    """A fault record, given as its high and its low half."""
    record = numbers[0] << 64 | numbers[1]
    reason, index = int(get(record, FRCD.reason)), get(record, FRCD.index)
    says = [] if get(record, FRCD.f) else ["F is 0: the record is not in use, what it says is old."]
    if reason == Reason.COMPATIBILITY:
        says.append(f"{bdf_text(get(record, FRCD.sid))} was refused; a request of compatibility format has no index, "
                    "and what is recorded there is none.")
    elif reason in REASON_TEXT and reason:
        says.append(f"{bdf_text(get(record, FRCD.sid))} asked for index {index} ({index:#x}) and was refused.")
    elif reason:
        says.append("A fault of DMA remapping: the index is part of an address, and the fields above are that fault's.")
    return (Form("Fault record", "", (word(FRCD, record),), tuple(says), ends_of_reason(reason)),), ()


def fsts(numbers: tuple[int, ...], known: Known) -> Parts:
    """The fault status register: what "DRHD: handling fault status reg N" prints."""
    value = numbers[0]
    says = []
    if get(value, FSTS.ppf):
        says.append(f"A fault is recorded; the first record is number {get(value, FSTS.fri)}.")
    if get(value, FSTS.pfo):
        says.append("Faults were lost: a record was needed and all were in use. Nothing is recorded until PFO is "
                    "cleared.")
    if get(value, FSTS.iqe):
        says.append("The invalidation queue has stopped at a descriptor: see IQERCD and the queue's head.")
    if get(value, FSTS.ite) or get(value, FSTS.ice):
        says.append("An invalidation of a device's own translations failed: not interrupt remapping.")
    return (Form("Fault status", "", (word(FSTS, value),), tuple(says) or ("No fault is pending.",)),), (
        _all_ones(value, 32))


def descriptor(numbers: tuple[int, ...], known: Known) -> Parts:
    """A descriptor of the invalidation queue, given as its high and its low half."""
    value = numbers[0] << 64 | numbers[1]
    kind = int(get(value, WAIT.type)) | int(get(value, WAIT.type_high)) << WAIT.type.width
    layout = DESCRIPTORS.get(kind)
    if layout is None:
        return (Form(f"Descriptor of type {kind} ({DESCRIPTOR_NAMES.get(kind, 'reserved')})", "", (), (
            "Its bits are not declared here: it does not concern interrupt remapping.",)),), ()
    odd = (f"reserved bits are set ({bits:#x}): the queue stops with an error",) if (
        bits := layout.reserved_set(value)) else ()
    return (Form(f"Descriptor: {DESCRIPTOR_NAMES[kind]}", "", (word(layout, value),)),), odd


DESCRIPTORS: dict[int, Layout] = {1: CONTEXT_INV, 2: IOTLB_INV, 3: DEVICE_TLB_INV, 4: IEC, 5: WAIT}
"""The descriptors that have a layout, by type."""


def cap(numbers: tuple[int, ...], known: Known) -> Parts:
    """The capability register."""
    value = numbers[0]
    return (Form("Capability", "", (word(CAP, value),), (
        f"{get(value, CAP.nfr) + 1} fault record(s) at offset {16 * get(value, CAP.fro):#x}.",
        f"Posted interrupts: {'offered' if get(value, CAP.pi) else 'not offered'}.")),), _all_ones(value, 64)


def ecap(numbers: tuple[int, ...], known: Known) -> Parts:
    """The extended capability register."""
    value = numbers[0]
    queue, remapping, wide = get(value, ECAP.qi), get(value, ECAP.ir), get(value, ECAP.eim)
    says = [f"Interrupt remapping: {'offered' if remapping else 'not offered'}.",
            "32-bit destinations: " + ("offered; IRTA.EIME says whether they are on." if wide else "not offered.")]
    odd = [*(("ir is set without qi: VT-d asks for queued invalidation",) if remapping and not queue else ()),
           *(("eim is set without ir",) if wide and not remapping else ())]
    return (Form("Extended capability", "", (word(ECAP, value),), tuple(says)),), (*odd, *_all_ones(value, 64))


def _all_ones(value: int, size: int) -> tuple[str, ...]:
    return ("all bits are 1: nobody answers at this address",) if value == (1 << size) - 1 else ()


def icr(numbers: tuple[int, ...], known: Known) -> Parts:
    """The interrupt command register, 64 bits."""
    value = numbers[0]
    wide, narrow = get(value, ICR.dest), get(value, ICR.dest) >> 24
    who = {0: "", 1: "itself", 2: "all", 3: "all but itself"}[get(value, ICR.shorthand)]
    told = f"Vector {get(value, ICR.vector):#x}, {ICR.dlm.names.get(get(value, ICR.dlm))}"
    mode = DM_NAMES[get(value, ICR.dm)]
    if who:
        return (Form("Interrupt command", "", (word(ICR, value),), (f"{told}, to {who}.",)),), ()
    return (Form("Interrupt command, x2APIC", "", (word(ICR, value),),
                 (f"{told}, to {mode} destination {wide:#x} ({wide}).",)),
            Form("Interrupt command, xAPIC", "bits 63:56 are the destination", (),
                 (f"{told}, to {mode} destination {narrow:#x} ({narrow}).",))), ()


def apicid(numbers: tuple[int, ...], known: Known) -> Parts:
    """An APIC ID: how each interface writes it, and what cannot reach it."""
    value = numbers[0]
    logical = X2APIC_LDR.make(cluster=value >> 4 & X2APIC_LDR.cluster.limit, member=1 << (value & 15))
    says = [f"x2APIC logical ID {logical:#010x}: cluster {value >> 4:#x}, member {value & 15}.",
            f"IRTE.DST: {value:#x} with EIME=1, " + (f"{value << 8:#x} with EIME=0." if value <= 0xFF
                                                   else "not to be reached with EIME=0.")]
    if value > 0x7FFF:
        says.append("No message in compatibility format reaches it: 8 bits, 15 with the extended destination ID.")
    elif value > 0xFF:
        says.append(f"A message in compatibility format reaches it only with the extended destination ID: "
                    f"{MSI_ADDRESS.make(fee=FEE, dest=value & 0xFF, ext=value >> 8):#x}.")
    else:
        says.append(f"Message in compatibility format: address {MSI_ADDRESS.make(fee=FEE, dest=value):#x}.")
    if value in (0xFF, 0xFFFFFFFF):
        says.append("All local APICs: the broadcast of " + ("an xAPIC." if value == 0xFF else "an x2APIC."))
    return (Form(f"APIC ID {value} ({value:#x})", "", (), tuple(says)),), ()


def _register(layout: Layout) -> Callable[[tuple[int, ...], Known], Parts]:
    def tell(numbers: tuple[int, ...], known: Known) -> Parts:
        return (Form(layout.name, "", (word(layout, numbers[0]),)),), _all_ones(numbers[0], layout.width)
    return tell


KINDS: dict[str, Kind] = {
    "msi": Kind((("address", 64), ("data", 32)), msi, "a message's address and data"),
    "irte": Kind((("high", 64), ("low", 64)), irte, "an entry of the remapping table"),
    "rte": Kind((("value", 64),), rte, "an I/O APIC's redirection entry"),
    "frcd": Kind((("high", 64), ("low", 64)), frcd, "a fault record"),
    "fsts": Kind((("value", 32),), fsts, "the fault status"),
    "icr": Kind((("value", 64),), icr, "the interrupt command register"),
    "apicid": Kind((("id", 32),), apicid, "an APIC ID"),
    "descriptor": Kind((("high", 64), ("low", 64)), descriptor, "a descriptor of the invalidation queue"),
    "amd-irte32": Kind((("value", 32),), amd.irte32, "an entry of AMD's remapping table, 32 bits"),
    "amd-irte": Kind((("high", 64), ("low", 64)), amd.irte128, "an entry of AMD's remapping table, 128 bits"),
    "amd-event": Kind(tuple((f"word{place}", 32) for place in range(4)), amd.event, "an event of AMD's log"),
    "amd-efr": Kind((("value", 64),), _register(EFR), "AMD's extended features"),
    "cap": Kind((("value", 64),), cap, "the capability register"),
    "ecap": Kind((("value", 64),), ecap, "the extended capability register"),
}
"""The kinds by name."""

for _name, _layout in ((row[2], row[3]) for row in UNIT):
    if _layout and _name.lower() not in KINDS:
        KINDS[_name.lower()] = Kind((("value", _layout.width),), _register(_layout), f"the register {_name}")
for _name, _layout in ((row[1], row[4]) for row in APIC):
    if _layout and _name.lower() not in KINDS and _name != "ID":
        KINDS[_name.lower()] = Kind((("value", _layout.width),), _register(_layout), f"the local APIC's {_name}")


def tell(kind: str, numbers: tuple[int, ...], known: Known = NOTHING, given: str = "") -> Told:
    """A thing told. ValueError for an unknown kind, and for numbers that are too many, too few or too large.

    >>> tell("fsts", (0x2,)).forms[0].says
    ('A fault is recorded; the first record is number 0.',)
    """
    row = KINDS.get(kind)
    if row is None:
        raise ValueError(f"kind is {kind!r}; the limit is {', '.join(KINDS)}")
    if len(numbers) != len(row.numbers):
        raise ValueError(f"{kind} takes {len(row.numbers)} numbers; found {len(numbers)}")
    for number, (name, size) in zip(numbers, row.numbers, strict=True):
        if not 0 <= number < 1 << size:
            raise ValueError(f"{kind}.{name} is {number:#x}; the limit is {(1 << size) - 1:#x}")
    forms, remarks = row.tell(numbers, known)
    return Told(kind, given or " ".join(f"{number:#x}" for number in numbers), forms, remarks)
