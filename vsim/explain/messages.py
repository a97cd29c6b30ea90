"""Messages and entries told: both formats where it can be either, where they lead, what ends them.

What a word alone does not say (the state of the unit, who sent it) is in `Known`.
"""

from __future__ import annotations

from typing import NamedTuple

from vsim.explain.ends import MAX_ENTRIES, ends
from vsim.explain.told import End, Form, word
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import (
    DLM_NAMES,
    DM_NAMES,
    IRTE,
    IRTE_POSTED,
    MSI_ADDRESS,
    MSI_DATA,
    REMAP_ADDRESS,
    REMAP_DATA,
    RTE,
    RTE_REMAP,
    TM_NAMES,
    XAPIC_DST_RESERVED,
    remap_message,
)

Parts = tuple[tuple[Form, ...], tuple[str, ...]]
"""Forms and remarks."""

FEE = 0xFEE
OFF = "while remapping is off"
ON = "while remapping is on"


class Known(NamedTuple):
    """What is known beside the thing: None for unknown.

    eime, cfis, pi: state of the unit and its CAP.PI. entries: of the table. source: the requester, 16 bits.
    """

    eime: int | None = None
    cfis: int | None = None
    pi: int | None = None
    entries: int | None = None
    source: int | None = None

    def states(self) -> dict[str, int]:
        """The known ones of `ends.STATES`."""
        return {name: value for name in ("eime", "cfis", "pi") if (value := getattr(self, name)) is not None}


# --- messages ---


def msi(numbers: tuple[int, ...], known: Known) -> Parts:
    """A message: remappable when bit 4 of its address is set and remapping is on, else compatibility format."""
    address, data = numbers
    remarks = () if get(address, MSI_ADDRESS.fee) == FEE else (
        "address bits 31:20 are not 0xfee: this is a write to memory, not an interrupt",)
    plain = _compatibility(address, data)
    if not get(address, REMAP_ADDRESS.format):
        return (plain._replace(ends=ends(known.states(), address, data)),), remarks
    return (_remappable(address, data, known), plain._replace(when=OFF)), remarks


def _compatibility(address: int, data: int) -> Form:
    return Form("Message in compatibility format", "", (word(MSI_ADDRESS, address), word(MSI_DATA, data)), (
        _delivered(get(data, MSI_DATA.vector), get(data, MSI_DATA.dlm), get(data, MSI_DATA.tm),
                   get(address, MSI_ADDRESS.dm), get(address, MSI_ADDRESS.dest)),
        *_vector_says(get(data, MSI_DATA.vector), get(data, MSI_DATA.dlm))))


def _remappable(address: int, data: int, known: Known) -> Form:
    index = _index(address, data)
    says = [f"Index {index} ({index:#x})" + (
        f": handle {get(address, REMAP_ADDRESS.handle):#x} plus subhandle {get(data, REMAP_DATA.subhandle):#x}."
        if get(address, REMAP_ADDRESS.shv) else ": the handle; the data is not looked at.")]
    if known.entries is None:
        says.append(f"The table needs more than {index} entries (2^(IRTA.S+1)), or the reason is 0x21."
                    if index < MAX_ENTRIES else "No table has so many entries.")
    return Form("Message in remappable format", ON, (word(REMAP_ADDRESS, address), word(REMAP_DATA, data)),
                tuple(says), ends(known.states(), address, data,
                                  entries=MAX_ENTRIES if known.entries is None else known.entries))


def _index(address: int, data: int) -> int:
    sub = get(data, REMAP_DATA.subhandle) if get(address, REMAP_ADDRESS.shv) else 0
    return int(get(address, REMAP_ADDRESS.handle)) + int(sub)


def _delivered(vector: int, dlm: int, tm: int, dm: int, dest: int) -> str:
    return (f"Vector {vector:#x} ({vector}), {DLM_NAMES[dlm]}, {TM_NAMES[tm]}, to {DM_NAMES[dm]} destination "
            f"{dest:#x} ({dest}).")


def _vector_says(vector: int, dlm: int) -> tuple[str, ...]:
    if dlm in (0, 1) and vector < 16:
        return (f"No local APIC takes vector {vector}: 0 to 15 are illegal (SDM 11.5.2, ESR bit 6).",)
    return ()


# --- entries ---


def irte(numbers: tuple[int, ...], known: Known) -> Parts:
    """An entry of the remapping table, given as its high and its low half."""
    high, low = numbers
    entry = high << 64 | low
    remarks = _swapped(high, low)
    if not get(entry, IRTE.im):
        return (_remapped(entry, known),), remarks
    other = Form("Entry, remapped", "in a device model that does not look at IM", (word(IRTE, entry),))
    return (_posted(entry, known), other), remarks


def _swapped(high: int, low: int) -> tuple[str, ...]:
    clean = IRTE.reserved_set(low << 64 | high) == 0 and high & IRTE.p.mask
    if clean and (IRTE.reserved_set(high << 64 | low) or not low & IRTE.p.mask):
        return ("the halves look exchanged: the entry reads well as (low, high). "
                "QEMU's event vtd_ir_irte_get prints the low half under the name high",)
    return ()


def _requester(entry: int, known: Known) -> int:
    """Who is let in: the known source, or one that the entry allows."""
    if known.source is not None:
        return known.source
    sid = int(get(entry, IRTE.sid))
    return sid & IRTE.sid.limit ^ sid & 0xFF if get(entry, IRTE.svt) == 2 else sid


def _ends_of_entry(entry: int, known: Known) -> tuple[End, ...]:
    return ends(known.states(), entry=entry, requester=_requester(entry, known))


def _remapped(entry: int, known: Known) -> Form:
    dst = int(get(entry, IRTE.dst))
    vector, dlm = get(entry, IRTE.vector), get(entry, IRTE.dlm)
    says = [*_destinations(dst, known.eime),
            _delivered(vector, dlm, get(entry, IRTE.tm), get(entry, IRTE.dm),
                       dst if known.eime or dst & XAPIC_DST_RESERVED else dst >> 8), *_vector_says(vector, dlm)]
    if known.eime is None and not dst & XAPIC_DST_RESERVED and dst:
        says[1] += " (As EIME=0 has it.)"
    return Form("Entry, remapped", "", (word(IRTE, entry),), (*says, _source(entry)), _ends_of_entry(entry, known))


def _destinations(dst: int, eime: int | None) -> tuple[str, ...]:
    wide = f"With EIME=1 the destination is {dst:#x} ({dst})"
    narrow = (f"with EIME=0 DST has reserved bits set ({dst & XAPIC_DST_RESERVED:#x})" if dst & XAPIC_DST_RESERVED
              else f"with EIME=0 it is DST bits 15:8, {dst >> 8:#x} ({dst >> 8})")
    return ({None: f"{wide}; {narrow}.", 1: f"{wide}.", 0: f"{narrow[0].upper()}{narrow[1:]}."}[eime],)


def _source(entry: int) -> str:
    sid, svt, sq = int(get(entry, IRTE.sid)), get(entry, IRTE.svt), int(get(entry, IRTE.sq))
    if svt == 1:
        left_out = ("", ", function bit 2 ignored", ", function bits 2:1 ignored", ", any function")[sq]
        return f"Takes requests of {bdf_text(sid)}{left_out}."
    if svt == 2:
        return f"Takes requests of buses {sid >> 8:02x} to {sid & 0xFF:02x}."
    return "Takes requests of anybody." if svt == 0 else "SVT 3 is reserved."


def _posted(entry: int, known: Known) -> Form:
    vector, pda = get(entry, IRTE_POSTED.vector), int(get(entry, IRTE_POSTED.pda)) << 6
    return Form("Entry, posted", "", (word(IRTE_POSTED, entry),), (
        f"Sets bit {vector:#x} ({vector}) of the descriptor at {pda:#x}.", _source(entry)),
        _ends_of_entry(entry, known))


def rte(numbers: tuple[int, ...], known: Known) -> Parts:
    """An I/O APIC's redirection entry: 64 bits. Bit 48 says which format it has while remapping is on."""
    value = numbers[0]
    plain = Form("Redirection entry, compatibility format", "", (word(RTE, value),), (
        *_pin_says(value), _delivered(get(value, RTE.vector), get(value, RTE.dlm), get(value, RTE.tm),
                                      get(value, RTE.dm), get(value, RTE.dest)),
        *_vector_says(get(value, RTE.vector), get(value, RTE.dlm))))
    if not get(value, RTE.format):
        address = MSI_ADDRESS.make(fee=FEE, dest=get(value, RTE.dest), dm=get(value, RTE.dm))
        return (plain._replace(ends=ends(known.states(), address)),), ()
    handle = int(get(value, RTE_REMAP.handle))
    address, _ = remap_message(handle)
    remappable = Form("Redirection entry, remappable format", ON, (word(RTE_REMAP, value),), (
        *_pin_says(value), f"Index {handle} ({handle:#x}). An EOI of vector {get(value, RTE.vector):#x} ends it: "
        "the entry there has to have the same vector and trigger mode."),
        ends(known.states(), address, entries=MAX_ENTRIES if known.entries is None else known.entries))
    odd = ("bits 10:8 are not 0: the message would have the subhandle valid",) if get(value, RTE_REMAP.zero) else ()
    return (remappable, plain._replace(when=OFF)), odd


def _pin_says(value: int) -> tuple[str, ...]:
    says = []
    if get(value, RTE.mask):
        says.append("Masked: the pin sends nothing.")
    if get(value, RTE.irr):
        says.append("Remote IRR is set: an interrupt was taken and not ended; the pin sends nothing until its EOI.")
    if get(value, RTE.status):
        says.append("Delivery status: an interrupt waits to be sent.")
    return tuple(says)
