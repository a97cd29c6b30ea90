"""Messages of the functions that Xen emulates for a domain (vPCI), held against its interrupts and its local APICs.

The domain writes vector and APIC ID of its own vCPUs; Xen binds the message to a pirq, the domain's number of a
physical interrupt, which keys i and M show with the vector and the processor of the host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vsim.devices.routes import BROADCAST8
from vsim.findings.picture import Picture, Side
from vsim.findings.rows import BROKEN, DOUBT, Hit, Row
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.registers import APIC_BASE, APIC_ID
from vsim.readers import xen_hvm, xen_irqs
from vsim.readers.xen_vpci import Message


def messages(p: Picture) -> tuple[Message, ...]:
    """Those of all domains, in the order of the texts."""
    return p.pasted.of("xen vpci")


def name(each: Message) -> str:
    """A message in words: whose, which."""
    segment = f"{each.segment:04x}:" if each.segment else ""
    which = f" entry {each.number}" if each.kind == "MSI-X" else ""
    return f"{segment}{bdf_text(each.bdf)} {each.kind}{which}"


def whose(each: Message) -> str:
    """The domain of a message in words."""
    return f"domain {each.domain}" if each.domain >= 0 else "a domain"


def side_of(each: Message) -> Side:
    """A message as it was printed."""
    to = f"{'logical ID' if each.logical else 'APIC ID'} {each.dest:#x}"
    return Side(each.file, each.line, f"vector {each.vector:#x} to {to}, pirq {each.pirq}")


def bound(p: Picture) -> dict[tuple[int, int], xen_irqs.Irq]:
    """Interrupts of key i by (domain, pirq)."""
    return {(guest.domain, guest.pirq): record for record in p.pasted.of("xen interrupts")
            if isinstance(record, xen_irqs.Irq) for guest in record.guests}


def vcpus(p: Picture) -> dict[int, Side]:
    """APIC IDs of a guest's local APICs that Xen printed."""
    return {int(each.words["ID"] if get(each.base, APIC_BASE.extd) else get(each.words["ID"], APIC_ID.id)):
            Side(each.file, each.line, f"the local APIC of vCPU {each.vcpu}")
            for each in p.pasted.of("xen guest") if isinstance(each, xen_hvm.Lapic) and "ID" in each.words}


def _open(p: Picture) -> Iterator[Message]:
    yield from (each for each in messages(p) if each.open)


# --- the checks ---


def _no_pirq(p: Picture) -> Iterator[Hit]:
    alike: dict[tuple[int, int, int], list[Message]] = {}
    for each in _open(p):
        if each.pirq < 0:
            alike.setdefault((each.domain, each.segment, each.bdf), []).append(each)
    for same in alike.values():
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        yield f"{name(same[0])}{more} of {whose(same[0])}: not masked, and bound to no pirq", (side_of(same[0]),)


def _no_vcpu(p: Picture) -> Iterator[Hit]:
    ids = vcpus(p)
    if not ids or len({each.domain for each in messages(p)}) != 1:          # whose APICs they are is not printed
        return
    side = next(iter(ids.values()))._replace(text=f"local APICs have IDs up to {max(ids):#x}")
    for each in _open(p):
        if not each.logical and each.dest not in {*ids, BROADCAST8}:
            yield f"{name(each)} of {whose(each)} goes to APIC ID {each.dest:#x}, which no vCPU has", (
                side_of(each), side)


def _not_bound(p: Picture) -> Iterator[Hit]:
    irqs = bound(p)
    domains = Counter(domain for domain, _ in irqs)
    for each in _open(p):
        if each.pirq >= 0 and domains[each.domain] and (each.domain, each.pirq) not in irqs:
            one = next(irq for (domain, _), irq in irqs.items() if domain == each.domain)
            yield f"{name(each)} has pirq {each.pirq}, and domain {each.domain} has no interrupt of that number", (
                side_of(each), Side(one.file, one.line, f"one of the domain's {domains[each.domain]} interrupts"))


def _held(p: Picture) -> Iterator[Hit]:
    irqs = bound(p)
    masked = {each.irq: each for each in p.pasted.of("xen interrupts") if isinstance(each, xen_irqs.Msi) and each.guest}
    for each in _open(p):
        irq = irqs.get((each.domain, each.pirq))
        if irq and irq.irq in masked:
            own = masked[irq.irq]
            yield f"{name(each)} of {whose(each)} is not masked, and Xen holds irq {irq.irq} masked for it", (
                side_of(each), Side(irq.file, irq.line, f"irq {irq.irq} is pirq {each.pirq}"),
                Side(own.file, own.line, "masked for the guest (G)"))


ROWS = (
    Row("message-without-pirq", BROKEN, "A domain has opened a message to which Xen bound nothing.",
        "Look in Xen's log for what failed to be mapped or bound; an entry that was never written has none either.",
        "Xen drivers/vpci/msix.c; arch/x86/hvm/vmsi.c, vpci_msix_arch_enable_entry", _no_pirq),
    Row("message-to-no-vcpu", BROKEN, "A domain's message goes to an APIC ID that none of its vCPUs has.",
        "It is the domain's own number: compare with its MADT and its local APICs, not with the host's.",
        "Xen arch/x86/hvm/vmsi.c, vmsi_deliver", _no_vcpu),
    Row("pirq-of-nobody", DOUBT, "A message's pirq is none of the domain's interrupts.",
        "Take keys M and i at one time; if they still differ, the binding was lost.",
        "Xen arch/x86/irq.c, dump_irqs", _not_bound),
    Row("masked-by-xen", DOUBT, "A domain has opened a message, and Xen holds its interrupt masked.",
        "The domain's unmasking did not reach the device: compare the mask bits of keys M and of lspci -vvv.",
        "Xen arch/x86/hvm/vmsi.c, vpci_mask_pirq; arch/x86/msi.c, dump_msi", _held),
)
