"""What Xen would print of this machine: the debug key V.

The form is that of Xen 4.17 (xen/drivers/passthrough/vtd/utils.c); `readers/xen_tables` reads it. Xen loses the
upper half of a descriptor's address whose bit 31 is set; here all of it is printed.
"""

from __future__ import annotations

from collections.abc import Iterator

from vsim.findings.subject import Subject, Unit
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE, IRTE_POSTED, RTE_REMAP
from vsim.layouts.registers import CAP, ECAP, GSTS
from vsim.machine import remapping_on, unit_register

_TABLE_HEAD = ("R means remapped format, P means posted format.",
               "R:       SVT  SQ   SID  V  AVL FPD      DST DLM TM RH DM P",
               "P:       SVT  SQ   SID  V  AVL FPD              PDA  URG P")
_PIN_HEAD = "  #entry IDX FMT MASK TRIG IRR POL STAT DELI  VECTOR"
_FIRST_LEVELS = 1       # levels of page tables: one more than the number of the highest bit of SAGAW, counted from 1


def key_v(subject: Subject) -> str:
    """Every unit with the present entries of its table, then the I/O APICs whose messages are remapped."""
    return "".join(f"(XEN) {line}\n" for line in _key_v(subject))


def _key_v(subject: Subject) -> Iterator[str]:
    m = subject.machine
    for number, unit in enumerate(subject.units):
        yield from ("", *_unit(number, unit))
    for number, ioapic in enumerate(m.profile.options.ioapics):
        behind = m.unit_of(ioapic.sid)
        if behind >= 0 and remapping_on(m, behind):
            yield from ("", f"Redirection table of IOAPIC {number:x}:", _PIN_HEAD)
            yield from (pin_row(pin, m.rte[ioapic.first + pin]) for pin in range(ioapic.pins))


def _unit(number: int, unit: Unit) -> Iterator[str]:
    cap, ecap = unit.register("CAP"), unit.register("ECAP")
    status = unit_register(unit.machine, "GSTS", unit.number)
    yield f"iommu {number:x}: nr_pt_levels = {get(cap, CAP.sagaw).bit_length() + _FIRST_LEVELS:x}."
    for name, has, on in (("Queued Invalidation", get(ecap, ECAP.qi), get(status, GSTS.qies)),
                          ("Interrupt Remapping", get(ecap, ECAP.ir), get(status, GSTS.ires)),
                          ("Interrupt Posting", get(cap, CAP.pi), 0)):
        yield f"  {name}: {'' if has else 'not '}supported{' and enabled' if on else ''}."
    if remapping_on(unit.machine, unit.number):
        yield f"  Interrupt remapping table (nr_entry={unit.size:#x}. Only dump P=1 entries here):"
        yield from _TABLE_HEAD
        yield from (entry_row(index, word) for index, word in unit.entries())


def entry_row(index: int, word: int) -> str:
    """A present entry, remapped or posted."""
    posted = get(word, IRTE.im)
    f = (IRTE_POSTED if posted else IRTE).split(word)
    told = (f"{index:04x}:  {f['svt']:x}   {f['sq']:x}  {f['sid']:04x} {f['vector']:02x}    {f['avail']:x}   "
            f"{f['fpd']:x} ")
    if posted:
        return f"P:  {told}{f['pda'] << _PDA_LOW:16x}    {f['urg']:x} {f['p']:x}"
    return f"R:  {told}{f['dst']:08x}   {f['dlm']:x}  {f['tm']:x}  {f['rh']:x}  {f['dm']:x} {f['p']:x}"


_PDA_LOW = 6            # bits of the descriptor's address that no entry holds (VT-d 9.10)


def pin_row(pin: int, entry: int) -> str:
    """A pin, taken for one in remappable format, as Xen does."""
    f = RTE_REMAP.split(entry)
    return (f"   {pin:02x}:  {f['handle']:04x}   {f['format']:x}    {f['mask']:x}   {f['tm']:x}   {f['irr']:x}   "
            f"{f['polarity']:x}    {f['status']:x}    {f['zero']:x}     {f['vector']:02x}")
