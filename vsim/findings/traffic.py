"""Faults, vectors that run out, interrupts that nobody ends: what texts say about things that went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from vsim.findings.chain import SHUT_DOWN, source_allowed
from vsim.findings.picture import Entry, Picture, Side
from vsim.findings.rows import BROKEN, DOUBT, NOTE, Hit, Row
from vsim.layouts.bits import Access, bdf_text, get
from vsim.layouts.formats import REASON_TEXT, RTE, Reason
from vsim.layouts.registers import ESR, FSTS
from vsim.readers import amd_log, linux_faults, qemu_monitor, qemu_trace, regset, xen_boot, xen_faults, xen_irqs
from vsim.readers.linux_boot import Fact
from vsim.readers.linux_faults import Fault

NO_SPACE = -28
"""What Linux's vector allocator returns when it has none left (ENOSPC)."""
NO_WORDS = "Unknown"
"""What Linux and Xen print of a reason that they do not know; the request is then printed as one of DMA."""


def side_of(fault: Fault) -> Side:
    """A fault as it was printed."""
    index = "" if (named := entry_of(fault)) is None else f", entry {named:#x}"
    reason = f"fault {fault.reason:#x}, {REASON_TEXT.get(fault.reason, 'unknown')}" if fault.reason >= 0 else "a fault"
    return Side(fault.file, fault.line, f"{bdf_text(fault.rid)}{index}: {reason}")


def entry_of(fault: Fault) -> int | None:
    """The entry that a refused request named; None where none is told, and in compatibility format, which has none."""
    return None if fault.reason == Reason.COMPATIBILITY else fault.index


def faults(p: Picture) -> Iterator[tuple[Fault, int]]:
    """Each fault of remapping once, and how often it was told."""
    counts: dict[tuple[int, int | None, int], list[Fault]] = {}
    for each in p.faults:
        if each.reason in REASON_TEXT and each.reason:
            counts.setdefault((each.rid, entry_of(each), each.reason), []).append(each)
    for same in counts.values():
        yield same[0], len(same)


def entries_at(p: Picture, fault: Fault) -> list[Entry]:
    """Entries that a fault can be about: those at its index, in the unit of its requester when one allows it in."""
    found = [entry for (_, index), entry in p.entries.items() if index == fault.index]
    mine = [entry for entry in found if source_allowed(entry, p.requesters_of(fault.rid, fault.segment))
            and entry.fields["svt"]]
    return mine or (found if len(p.tables) == 1 else [])


def verdict(p: Picture, fault: Fault) -> tuple[bool | None, str, tuple[Side, ...]]:
    """Whether what refused a request still stands, as the dumped state has it; None: no text tells. And why."""
    if fault.index is None or (not p.tables and not any(unit.size for unit in p.units)):
        return None, "", ()
    entries = entries_at(p, fault)
    sides = tuple(entry.side for entry in entries)
    if fault.reason == Reason.NOT_PRESENT:
        if entries:
            return False, f"entry {fault.index:#x} is present now", sides
        if len(p.tables) == 1:
            table = next(iter(p.tables.values()))
            return True, f"entry {fault.index:#x} is still not present", (table,)
    if fault.reason == Reason.SOURCE_ID and entries:
        allowed = any(source_allowed(entry, {fault.rid}) for entry in entries)
        return not allowed, (f"entry {fault.index:#x} allows {bdf_text(fault.rid)} in now" if allowed else
                             f"entry {fault.index:#x} still allows {bdf_text(entries[0].fields['sid'])} in"), sides
    if fault.reason == Reason.INDEX_OVER:
        for unit in p.units:
            if unit.size and "eime" in unit.sides and len([each for each in p.units if each.size]) == 1:
                inside = fault.index < unit.size
                return not inside, f"the table of {unit.label} has {unit.size} entries", (unit.sides["eime"],)
    return None, "", ()


# --- the checks ---


def _fault(p: Picture) -> Iterator[Hit]:
    for fault, times in faults(p):
        still, why, sides = verdict(p, fault)
        if still is None:
            often = f", {times} times" if times > 1 else ""
            yield f"a unit refused a request of {bdf_text(fault.rid)}{often}", (side_of(fault),)
        elif still:
            yield f"a unit refused a request of {bdf_text(fault.rid)}: {why}", (side_of(fault), *sides)


def _unexplained(p: Picture) -> Iterator[Hit]:
    counts: dict[tuple[int, int | None, int], list[Fault]] = {}
    for each in p.faults:
        known = each.reason > 0 and each.reason in REASON_TEXT
        if not known and (each.kind == "interrupt" or each.words.startswith(NO_WORDS)):
            counts.setdefault((each.rid, each.index, each.reason), []).append(each)
    for (rid, _, reason), same in counts.items():
        why = "no reason is told" if reason < 0 else f"{reason:#x} is no reason that interrupt remapping has"
        yield f"a unit refused a request of {bdf_text(rid)}{_often(same)}, and {why}", (side_of(same[0]),)


def _amd(p: Picture) -> Iterator[Hit]:
    alike: dict[tuple[str, str], list[amd_log.Event]] = {}
    for event in p.pasted.of("amd log"):
        if isinstance(event, amd_log.Event) and (event.interrupt or event.kind == "INVALID_DEVICE_REQUEST"):
            alike.setdefault((event.source, event.kind), []).append(event)
    for (source, kind), same in alike.items():
        first = same[0]
        yield f"AMD's unit refused a request of {source}{_often(same)}: {kind}", (
            Side(first.file, first.line, f"address {first.address or 0:#x}, flags {first.flags or 0:#x}"),)
    # With one table for all devices (iommu=no-amd-iommu-perdev-intremap) Xen goes on.
    goes_on = any(isinstance(each, xen_boot.Feature) and each.name == "Interrupt remapping" and each.on
                  for each in p.pasted.of("xen boot"))
    end = "" if goes_on else ": no remapping"
    told = False
    for event in p.pasted.of("amd log"):
        trouble = event.text if isinstance(event, amd_log.Trouble) else ""
        if isinstance(event, amd_log.Missing):
            what = "the I/O APIC of the southbridge" if event.ioapic < 0 else f"I/O APIC {event.ioapic:#x}"
            yield f"{what} is not in the IVRS table{end}", (Side(event.file, event.line, "not in IVRS"),)
        elif trouble.startswith("IVHD Error"):
            yield f"Xen does not take the IVRS table{end}", (Side(event.file, event.line, trouble),)
        elif trouble.startswith("Error initialization") and not told:       # what stands before it says why
            yield "Xen does without AMD's units: no remapping", (Side(event.file, event.line, trouble),)
        told = told or isinstance(event, amd_log.Missing) or trouble.startswith("IVHD Error")


def _often(same: Sized) -> str:
    return f", {len(same)} times" if len(same) > 1 else ""


def _qemu(p: Picture) -> Iterator[Hit]:
    for record in p.pasted.of("qemu trace"):
        if isinstance(record, qemu_trace.Refusal):
            what = "a message" if record.index is None else f"a message for entry {record.index:#x}"
            yield f"QEMU's unit refused {what}: {REASON_TEXT[record.reason]}", (
                Side(record.file, record.line, f"reason {record.reason:#x}"),)


def _changed(p: Picture) -> Iterator[Hit]:
    for fault, _ in faults(p):
        still, why, sides = verdict(p, fault)
        if still is False:
            yield f"{bdf_text(fault.rid)} was refused with {fault.reason:#x}, but {why}", (side_of(fault), *sides)


def _pending(p: Picture) -> Iterator[Hit]:
    for record in p.pasted.of("linux registers", "xen registers"):
        if isinstance(record, regset.Unit) and not record.dead and (fsts := record.register("FSTS")):
            set_ = [f.name for f in (FSTS.pfo, FSTS.ppf, FSTS.iqe, FSTS.ice, FSTS.ite) if get(fsts.value, f)]
            if set_:
                name = record.name or ("a unit" if record.base is None else f"the unit at {record.base:#x}")
                yield f"{name} has {', '.join(each.upper() for each in set_)} set", (
                    Side(record.file, fsts.line, f"FSTS is {fsts.value:#x}"),)
    yield from _untold(p)


def _untold(p: Picture) -> Iterator[Hit]:
    """A status in a log that says of faults which are in no line."""
    statuses = [each for each in p.pasted.of("linux faults") if isinstance(each, linux_faults.Status)
                and not each.dead]
    over = [Side(each.file, each.line, "PFO is set") for each in statuses if get(each.value, FSTS.pfo)]
    over += [Side(each.file, each.line, "PFO is set") for each in p.pasted.of("xen faults")
             if isinstance(each, xen_faults.StatusBit) and each.field == "pfo"]
    if over and (not p.faults or any(each.kind == "interrupt" for each in p.faults)):      # else they are of DMA
        yield f"a unit had more faults than it could record{_often(over)}", (over[0],)
    if not p.faults and (untold := [each for each in statuses if get(each.value, FSTS.ppf)]):
        yield f"a unit had a fault that no line tells{_often(untold)}", (
            Side(untold[0].file, untold[0].line, f"FSTS is {untold[0].value:#x}"),)


def _queue(p: Picture) -> Iterator[Hit]:
    for record in p.pasted.of("linux faults"):
        if isinstance(record, linux_faults.QueueFault):
            yield f"the invalidation queue stopped: {record.meaning}", (Side(record.file, record.line, record.what),)


def _full(p: Picture) -> Iterator[Hit]:
    for matrix in p.matrices:
        full = matrix.full
        if full:
            row = next(row for row in matrix.cpus if row.cpu == full[0])
            yield f"no vector is left on CPU {', '.join(map(str, full[:8]))}", (
                Side(matrix.file, row.line, f"CPU {row.cpu}: available {row.available}, allocated {row.allocated}"),)


def _said_full(p: Picture) -> Iterator[Hit]:
    free = [matrix for matrix in p.matrices if matrix.available > 0]
    if not free:
        return
    side = Side(free[0].file, free[0].line, f"{free[0].available} vectors are free")
    for event in p.pasted.of("linux vector events"):
        if event.values.get("ret") == NO_SPACE:
            yield "Linux had no vector left, and there are free ones", (
                Side(event.file, event.line, f"{event.name} returned {NO_SPACE}"), side)
            return
    for fact in p.facts("vectors gone"):
        yield f"Linux had no vector left for irq {fact.value}, and there are free ones", (
            Side(fact.file, fact.line, "vector space exhaustion"), side)
        return


def _affinity(p: Picture) -> Iterator[Hit]:
    for fact in p.facts("vectors gone"):
        if not p.matrices:
            yield f"irq {fact.value} went to a CPU outside its affinity", (
                Side(fact.file, fact.line, "vector space exhaustion"),)


def _nobody(p: Picture) -> Iterator[Hit]:
    for name, text in (("no handler", "CPU {0} got vector {1}, which is nobody's"),
                       ("nobody cared", "irq {0} was taken by no handler")):
        for fact, often in _alike(p, name):
            before = f"; irq {fact.values[2]} had it before" if len(fact.values) > 2 else ""
            yield text.format(*fact.values, "?") + before + often, (Side(fact.file, fact.line, name),)
    for fact, often in _alike(p, "spurious"):
        vector, cpu = int(fact.value, 16), fact.values[1]
        kept = ", where Linux keeps interrupts that are not started" if vector == SHUT_DOWN else ""
        yield f"CPU {cpu} got vector {vector:#x}{kept}: spurious{often}", (Side(fact.file, fact.line, "spurious"),)
    for fact, often in _alike(p, "apic error"):     # ESR as it was before a write, and after
        value = int(fact.values[1], 16) | int(fact.values[-1], 16)
        names = ", ".join(each.name.replace("_", " ") for each in ESR if get(value, each) and each.access == Access.RO)
        yield f"CPU {fact.value} has an APIC error, ESR {value:#x}: {names or 'none of its bits is set'}{often}", (
            Side(fact.file, fact.line, "apic error"),)


def _alike(p: Picture, name: str) -> Iterator[tuple[Fact, str]]:
    """Each fact once with how often it was told, as words."""
    alike: dict[tuple[str, ...], list[Fact]] = {}
    for fact in p.facts(name):
        alike.setdefault(fact.values, []).append(fact)
    for same in alike.values():
        yield same[0], _often(same)


def _lost(p: Picture) -> Iterator[Hit]:
    for fact, often in _alike(p, "lost"):
        queue = f", queue {fact.values[1]}" if len(fact.values) > 1 else ""
        yield f"{fact.value} got no interrupt{queue}{often}", (Side(fact.file, fact.line, "work was done without one"),)


def _refused_handler(p: Picture) -> Iterator[Hit]:
    for fact, often in _alike(p, "flags mismatch"):
        irq, flags, name, other, holder = fact.values
        yield f"irq {irq}: {name} was refused, {holder} has it{often}", (
            Side(fact.file, fact.line, f"flags {int(flags, 16):#x} and {int(other, 16):#x}"),)


def _not_told(p: Picture) -> Iterator[Hit]:
    for fact, _ in _alike(p, "faults not told"):
        who = f"the unit at 0x{fact.value}" if fact.value else "a unit"
        yield f"{who} has no interrupt of its own", (Side(fact.file, fact.line, "no vector for the unit's faults"),)


def _no_way(p: Picture) -> Iterator[Hit]:
    for fact, often in _alike(p, "no entry"):
        index, how = fact.values
        what = "is empty" if how == "has" else "is beyond the table"
        yield f"the entry {int(index):#x} of a message {what}{often}", (
            Side(fact.file, fact.line, f"Xen asks for index {index}"),)
    for fact, often in _alike(p, "no pirq"):
        yield f"Xen does not bind a message of {fact.value}{often}", (
            Side(fact.file, fact.line, f"error {fact.values[1]}"),)


def _not_ended(p: Picture) -> Iterator[Hit]:
    irqs = {record.irq: record for record in p.pasted.of("xen interrupts") if isinstance(record, xen_irqs.Irq)}
    for pin in p.pins:
        if isinstance(pin, xen_irqs.Pin) and pin.irr and pin.tm and not pin.mask and pin.irq in irqs:
            irq = irqs[pin.irq]
            if not irq.in_flight and not {"in progress", "guest EOI pending"} & set(irq.states):
                yield f"pin {pin.pin} waits for an EOI, and nobody serves irq {pin.irq}", (
                    Side(pin.file, pin.line, "remote IRR is set"), Side(irq.file, irq.line, "no handler runs"))
    served = {vector for lapic in p.lapics for vector, _ in (*lapic.isr, *lapic.irr)}
    for record in p.pasted.of("qemu monitor"):
        if isinstance(record, qemu_monitor.IoApic) and p.lapics:
            for pin_ in record.remote:
                vector = get(record.pins[pin_], RTE.vector) if pin_ < len(record.pins) else -1
                if vector not in served:
                    yield f"pin {pin_} waits for an EOI of vector {vector:#x}, which no local APIC has", (
                        Side(record.file, record.line, f"remote IRR of pin {pin_} is set"),
                        Side(p.lapics[0].file, p.lapics[0].line, "ISR and IRR of the local APICs"))


def _windows(p: Picture) -> Iterator[Hit]:
    """Pins that are not masked and hold vector 0 (a compatibility message that no APIC takes)."""
    for record in p.pasted.of("qemu monitor"):
        if isinstance(record, qemu_monitor.IoApic):
            for number, word in enumerate(record.pins):
                fields = RTE.split(word)
                if not fields["mask"] and fields["vector"] < 16 and fields["dlm"] <= 1:
                    yield f"pin {number} is open with vector {fields['vector']}", (
                        Side(record.file, record.line, f"pin {number} is {word:#018x}"),)


ROWS = (
    Row("fault", BROKEN, "A remapping unit refused an interrupt.",
        "vsim decode tells the line by its bits; a dump of the table (ir_translation_struct, key V) tells whose it is.",
        "VT-d 5.1.4", _fault),
    Row("unexplained-fault", BROKEN, "A unit refused a request, and the line does not say why.",
        "A reason that is missing was cut off: look in the log itself. A number that the specification does not have "
        "is a newer unit's, or the line was changed on its way.", "VT-d 5.1.4; Linux drivers/iommu/intel/dmar.c",
        _unexplained),
    Row("amd-event", BROKEN, "An AMD unit refused an interrupt, or the table lacks an I/O APIC.",
        "vsim decode tells the event; look the entry up in the device's own table (Xen's key V).",
        "Linux drivers/iommu/amd; Xen drivers/passthrough/amd", _amd),
    Row("qemu-refused", DOUBT, "QEMU's unit refused an interrupt.",
        "QEMU tells the first of a kind only. Until 2019 (be1927c97e56) it looked at masked pins too, whose entries "
        "need not be there.", "QEMU hw/i386/intel_iommu.c: vtd_irte_get, vtd_interrupt_remap_msi", _qemu),
    Row("changed-since", NOTE, "A fault was told, and what refused it is no longer so.",
        "The entry was written later: a device that sends before it is set up, or after it was torn down.",
        "VT-d 5.1.4", _changed),
    Row("fault-pending", DOUBT, "A unit's fault status has bits set.",
        "With PFO set no further fault is recorded: clear FSTS and the records. In a log: look for the lines that "
        "follow.", "VT-d 11.4.9", _pending),
    Row("queue-error", BROKEN, "The invalidation queue had an error.",
        "Entries that were changed since may still be cached as they were.", "VT-d 6.5.2.10", _queue),
    Row("vectors-full", BROKEN, "A processor has no vector left.",
        "Interrupts cannot be moved there; fewer queues, or spread them.", "Linux kernel/irq/matrix.c", _full),
    Row("said-to-be-full", DOUBT, "Vectors are said to be gone, and there are free ones.",
        "Managed vectors and affinity masks reserve them; look at the rows of single processors.",
        "Linux kernel/irq/matrix.c", _said_full),
    Row("nobodys-interrupt", DOUBT, "A processor got an interrupt that no one waits for.",
        "An interrupt that was moved or torn down while on its way, or an entry with a wrong vector.",
        "Linux arch/x86/kernel/irq.c; Xen arch/x86/irq.c", _nobody),
    Row("affinity-broken", DOUBT, "An interrupt got no vector on the CPUs that it may have.",
        "Linux gives it one elsewhere: fewer interrupts for these CPUs, or a wider affinity. Until December 2020 "
        "(190113b4c653) it said so also where vectors were free.",
        "Linux arch/x86/kernel/apic/vector.c, x86_vector_activate", _affinity),
    Row("interrupt-lost", BROKEN, "A driver found work done of which no interrupt had told it.",
        "Hold the device's message (lspci -vvv), its entry (ir_translation_struct, key V) and its count "
        "(/proc/interrupts) against one another.", "Linux drivers/nvme/host/pci.c, nvme_timeout; drivers/ata/"
        "libata-sff.c, ata_sff_lost_interrupt; mlx5/core/eq.c, mlx5_cmd_eq_recover", _lost),
    Row("handler-refused", BROKEN, "A driver did not get its interrupt, since another has it on other terms.",
        "Both have to share it (IRQF_SHARED, 0x80) with the same trigger (0xf) and IRQF_ONESHOT (0x2000) alike; or the "
        "device gets a message of its own.", "Linux kernel/irq/manage.c, __setup_irq", _refused_handler),
    Row("faults-not-told", DOUBT, "A unit has no interrupt to tell its faults.",
        "What it refuses is in no log: read FSTS and the fault records.", "Linux drivers/iommu/intel/dmar.c",
        _not_told),
    Row("message-without-entry", BROKEN, "Xen has nothing that a message could go through.",
        "Index 0xffff is none at all: the message was not set up again, after a suspend for one. An error of binding "
        "has its number (Xen's errno).", "Xen drivers/passthrough/vtd/intremap.c, arch/x86/hvm/vmsi.c", _no_way),
    Row("not-ended", BROKEN, "Remote IRR is set, and nobody serves the interrupt.",
        "The EOI was lost (a directed EOI that was not sent, or broadcast suppression): the line is dead.",
        "82093AA, SDM 11.8.5", _not_ended),
    Row("vector-below-16", DOUBT, "A pin is open with a vector that no local APIC takes.",
        "The redirection entry was not written by the guest, or it is in another format than it looks.", "SDM 11.5.2",
        _windows),
)
