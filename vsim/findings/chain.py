"""Device, message, entry, processor: what of an interrupt's chain does not fit together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from vsim.devices.routes import BROADCAST32
from vsim.findings.picture import Entry, Picture, Side
from vsim.findings.rows import BROKEN, DOUBT, Hit, Row
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import XAPIC_DST_RESERVED
from vsim.layouts.registers import X2APIC_LDR
from vsim.readers import dma_table
from vsim.readers.debugfs_irq import Interrupt
from vsim.readers.ranges import holds

SHUT_DOWN = 0xEF
"""Vector that Linux gives to managed interrupts whose processors are all off, and to interrupts that are reserved and
not started (MANAGED_IRQ_SHUTDOWN_VECTOR; arch/x86/kernel/apic/vector.c, vector_assign_managed_shutdown)."""
IGNORED = (0, 4, 6, 7)
"""Bits of the function number that are not compared, by SQ."""


def side_of(interrupt: Interrupt, fact: str = "address") -> Side:
    """An interrupt at the line of one of its facts."""
    name = f"irq {interrupt.irq}" if interrupt.irq >= 0 else "an interrupt"
    who = f" of {interrupt.device}" if interrupt.device else ""
    words = {"address": f"sends {interrupt.address:#x}, {interrupt.data or 0:#x}" if interrupt.address is not None else
             "has no message", "vector": f"has vector {interrupt.vector} on CPU {interrupt.cpu}"}
    return Side(interrupt.file, interrupt.lines.get(fact, interrupt.line), f"{name}{who} {words.get(fact, '')}".strip())


def live(picture: Picture) -> Iterator[Interrupt]:
    """Interrupts that are set up: what a kernel has put away keeps old numbers."""
    for each in picture.interrupts:
        if not each.flags or "IRQD_ACTIVATED" in each.flags:
            yield each


def index_of(interrupt: Interrupt) -> int | None:
    """Index that an interrupt's message asks for; where the text has no message, that of its entry."""
    return interrupt.entry if interrupt.message_index is None else interrupt.message_index


def entry_of(picture: Picture, interrupt: Interrupt, index: int) -> Entry | None:
    """The entry that an interrupt's unit has at an index."""
    return picture.entries.get((f"dmar{interrupt.unit}", index)) or picture.entries.get(("", index))


def destinations(picture: Picture, entry: Entry) -> set[int] | None:
    """APIC IDs that an entry names; None where that is not known: its unit's mode, or logical IDs of an xAPIC."""
    eime = picture.eime(entry.unit)
    if eime is None or entry.posted:
        return None
    dst = entry.fields["dst"]
    if not eime:
        return None if entry.fields["dm"] else {(dst & ~XAPIC_DST_RESERVED) >> 8}
    if not entry.fields["dm"]:
        return {dst}
    cluster, members = int(get(dst, X2APIC_LDR.cluster)), int(get(dst, X2APIC_LDR.member))
    return {16 * cluster + bit for bit in range(16) if members >> bit & 1}


def source_allowed(entry: Entry, requesters: set[int]) -> bool:
    """Whether an entry lets one of some requesters in (VT-d 9.9)."""
    svt, sid = entry.fields["svt"], entry.fields["sid"]
    if svt == 1:
        return any((sid ^ rid) & ~IGNORED[entry.fields["sq"]] & 0xFFFF == 0 for rid in requesters)
    if svt == 2:
        first, last = divmod(sid, 256)
        return any(first <= rid // 256 <= last for rid in requesters)
    return svt == 0


# --- the checks ---


def _handle_without_entry(p: Picture) -> Iterator[Hit]:
    for each in live(p):
        index, unit = index_of(each), f"dmar{each.unit}"
        table = p.tables.get(unit) or (p.tables.get("") if len(p.tables) == 1 else None)
        if index is not None and each.unit is not None and table and entry_of(p, each, index) is None:
            yield f"the interrupt has entry {index:#x} of {unit}, which is not present", (
                side_of(each), table._replace(text=f"{table.text} has no entry {index:#x}"))


def _handle_not_entry(p: Picture) -> Iterator[Hit]:
    for each in live(p):
        if each.message_index is not None and each.entry is not None and each.message_index != each.entry:
            level = next(one for one in each.levels if one.domain.startswith("INTEL-IR"))
            yield f"the message asks for entry {each.message_index:#x}, its entry is {each.entry:#x}", (
                side_of(each), Side(each.file, level.line, f"{level.domain} has it at {each.entry:#x}"))


def _entry_of_nobody(p: Picture) -> Iterator[Hit]:
    if p.functions is None or not (p.dmar or p.interrupts):
        return
    known = {rid for rid, _ in p.requesters.values()}
    for function in p.functions.functions:
        known |= p.requesters_of(function.bdf, function.segment)
    used = {(f"dmar{each.unit}", each.entry) for each in p.interrupts}
    for key, entry in p.entries.items():
        if entry.fields["svt"] == 1 and not source_allowed(entry, known) and key not in used:
            yield f"nobody has the id {bdf_text(entry.fields['sid'])} that the entry allows in", (
                entry.side, Side(p.functions_file, 1, f"lspci shows {len(p.functions.functions)} functions, not that"))


def _wrong_source(p: Picture) -> Iterator[Hit]:
    for each in live(p):
        index = index_of(each)
        entry = entry_of(p, each, index) if index is not None else None
        if entry is None:
            continue
        if each.pin and ("ioapic", each.pin[0]) in p.requesters:
            rid, side = p.requesters["ioapic", each.pin[0]]
            requesters = {rid}
        elif each.rid and p.functions and p.functions.find(each.rid[1], each.rid[0]):
            requesters, side = p.aliases_of(each.rid[1], each.rid[0]) or {each.rid[1]}, side_of(each)
        elif each.rid:
            requesters, side = {each.rid[1]}, side_of(each)
            if p.functions is None and entry.fields["sid"] // 256 < each.rid[1] // 256:
                continue                        # an id of a bridge above it, which only lspci could tell
        else:
            continue
        if not source_allowed(entry, requesters):
            ids = ", ".join(bdf_text(rid) for rid in sorted(requesters))
            yield f"the entry allows {bdf_text(entry.fields['sid'])} in, the message arrives as {ids}", (
                entry.side, side)


def _no_such_cpu(p: Picture) -> Iterator[Hit]:
    if not p.all_cpus or not p.cpus:
        return
    side = next(iter(p.cpus.values()))
    for entry in p.entries.values():
        ids = destinations(p, entry)
        if ids is not None and BROADCAST32 not in ids and not ids & p.cpus.keys():
            unit = p.named(entry.unit)
            mode = (unit.sides["eime"],) if unit and "eime" in unit.sides else ()
            text = ", ".join(f"{one:#x}" for one in sorted(ids)) or "none"
            yield f"no processor has the APIC ID that the entry names ({text})", (entry.side, *mode, side._replace(
                text=f"{len(p.cpus)} processors, APIC IDs up to {max(p.cpus):#x}"))


def _entry_disagrees(p: Picture) -> Iterator[Hit]:
    for each in live(p):
        index = index_of(each)
        entry = entry_of(p, each, index) if index is not None else None
        if entry is None or entry.posted or each.moving or each.vector is None:
            continue
        if entry.fields["vector"] != each.vector:
            yield f"the entry has vector {entry.fields['vector']:#x}, the kernel {each.vector:#x}", (
                entry.side, side_of(each, "vector"))
        ids, apic_id = destinations(p, entry), p.by_number.get(each.cpu if each.cpu is not None else -1)
        if ids is not None and apic_id is not None and apic_id not in ids:
            goes = ", ".join(map(hex, sorted(ids)))
            yield f"the entry goes to {goes}, the kernel means CPU {each.cpu}, ID {apic_id:#x}", (
                entry.side, side_of(each, "vector"))


def _vector_not_taken(p: Picture) -> Iterator[Hit]:
    if len(p.matrices) != 1:
        return
    rows = {row.cpu: row for row in p.matrices[0].cpus}
    for each in live(p):
        row = rows.get(each.cpu if each.cpu is not None else -1)
        if row and each.vector is not None and not each.moving and not holds(row.vectors, each.vector):
            yield f"vector {each.vector} is not among those taken on CPU {each.cpu}", (
                side_of(each, "vector"), Side(p.matrices[0].file, row.line, f"the vectors of CPU {row.cpu}"))


def _two_owners(p: Picture) -> Iterator[Hit]:
    owners: dict[tuple[int, int], Interrupt] = {}
    for each in live(p):
        if each.vector is None or each.cpu is None or each.moving:
            continue
        first = owners.setdefault((each.cpu, each.vector), each)
        if first is not each and (first.irq, first.device) != (each.irq, each.device):
            yield f"vector {each.vector} of CPU {each.cpu} belongs to irq {first.irq} and irq {each.irq}", (
                side_of(first, "vector"), side_of(each, "vector"))
    entries: dict[tuple[int, int, int], list[Entry]] = defaultdict(list)
    for entry in p.entries.values():
        if not entry.posted and entry.fields["dlm"] <= 1 and entry.fields["vector"] not in (*range(16), SHUT_DOWN):
            entries[entry.fields["dm"], entry.fields["dst"], entry.fields["vector"]].append(entry)
    for (_, dst, vector), twice in entries.items():
        if len(twice) > 1 and len({(e.fields["sid"], e.fields["tm"]) for e in twice}) > 1:
            yield f"{len(twice)} entries have vector {vector:#x} at destination {dst:#x}", tuple(
                entry.side for entry in twice)


def _compatibility(p: Picture) -> Iterator[Hit]:
    units = [unit for unit in p.units if unit.eime and unit.on]
    if not units or any(unit.eime is False for unit in p.units):
        return
    for each in live(p):
        own = any(level.domain.startswith(("DMAR-MSI", "VMD", "HPET")) for level in each.levels)
        if each.remappable is False and not own and each.unit is None and (each.rid is None or each.rid[0] < 0x10000):
            yield "the message is in compatibility format, which a unit with EIME=1 blocks (fault 0x25)", (
                side_of(each), units[0].sides["eime"])


def _beyond(p: Picture) -> Iterator[Hit]:
    for entry in p.entries.values():
        unit = p.named(entry.unit)
        if unit and unit.size and entry.index >= unit.size and "eime" in unit.sides:
            yield f"the table of {unit.label} has {unit.size} entries", (entry.side, unit.sides["eime"])


_CONTRADICTION = re.compile(r"entry (\d{1,6})(?:: \w+ is printed as| has reserved bits| is not present| has IM=)")


def _other_unit(p: Picture) -> Iterator[Hit]:
    contexts: dict[int, dict[str, dma_table.Context]] = defaultdict(dict)
    for record in p.pasted.of("linux translation"):
        if isinstance(record, dma_table.Context) and record.unit:
            contexts[record.rid].setdefault(record.unit, record)
    for entry in p.entries.values():
        units = contexts.get(entry.fields["sid"], {}) if entry.fields["svt"] == 1 and entry.unit else {}
        if units and entry.unit not in units:
            unit, context = next(iter(units.items()))
            yield f"the entry is in {entry.unit}, and {bdf_text(context.rid)} is behind {unit}", (
                entry.side, Side(context.file, context.line, f"{unit} translates {bdf_text(context.rid)}"))


def _row_disagrees(p: Picture) -> Iterator[Hit]:
    """The readers of tables compare a row's columns with its words and tell it as a remark."""
    for remark in p.pasted.remarks:
        if match := _CONTRADICTION.match(remark.text):
            yield remark.text, (Side(remark.file, remark.line, f"the row of entry {match[1]}"),)


def _reserved_source(p: Picture) -> Iterator[Hit]:
    for entry in p.entries.values():
        if entry.fields["svt"] == 3:
            yield "the entry has SVT=3, which is reserved: every request faults", (entry.side,)


ROWS = (
    Row("handle-without-entry", BROKEN, "A message asks for an entry that is not present.",
        "Look for what freed the entry while the device kept its message: a driver unbound, a kexec, a resume.",
        "VT-d 5.1.4, fault 0x22", _handle_without_entry),
    Row("handle-not-entry", BROKEN, "A message asks for another entry than the kernel gave to the interrupt.",
        "Compare the message in the device (lspci -vvv, the MSI-X table) with what the kernel wrote.", "VT-d 5.1.3",
        _handle_not_entry),
    Row("entry-without-device", DOUBT, "An entry allows a requester in that is not on the machine.",
        "The device is hidden, was removed, or the entry is left over from a kernel before.", "VT-d 9.9",
        _entry_of_nobody),
    Row("wrong-source", BROKEN, "An entry allows another requester in than the one that sends.",
        "Count bridges: below a PCIe-to-PCI or a PCI bridge messages arrive with the bridge's id; quirks add aliases.",
        "VT-d 9.9, 5.1.1, fault 0x26", _wrong_source),
    Row("no-such-cpu", BROKEN, "An entry sends to an APIC ID that no processor has.",
        "Read the destination by IRTA.EIME: 32 bits with EIME=1, bits 15:8 of the field with EIME=0.",
        "VT-d 9.9, 11.4.22 (ECAP.EIM says only that it could)", _no_such_cpu),
    Row("entry-disagrees", BROKEN, "Entry and kernel have different vectors or processors.",
        "Take both dumps again at one time; if they still differ the entry cache or a write was lost.", "VT-d 6.5.2.7",
        _entry_disagrees),
    Row("vector-not-taken", DOUBT, "The kernel's vector matrix does not have an interrupt's vector.",
        "Take both dumps again at one time; a vector that nobody owns ends as \"No irq handler for vector\".",
        "Linux kernel/irq/matrix.c", _vector_not_taken),
    Row("two-owners", DOUBT, "Two interrupts share a vector of one processor.",
        "One of them is not told from the other; see which kernel gave the vector twice.", "SDM 11.8",
        _two_owners),
    Row("compatibility-format", BROKEN, "A message in compatibility format meets a unit with EIME=1.",
        "The device's message was not rewritten when remapping was switched on; no setting lets it pass.",
        "VT-d 5.1.2.1, fault 0x25", _compatibility),
    Row("beyond-table", DOUBT, "An entry is printed beyond the end of its table.",
        "The size in IRTA was changed after the entry was written.", "VT-d 11.4.22, fault 0x21", _beyond),
    Row("entry-in-other-unit", DOUBT, "An entry is in the table of another unit than the one its device is behind.",
        "The device's requests reach its own unit, which looks in its own table. The same number may be another device "
        "in another segment.", "VT-d 5.1.4, 8.3", _other_unit),
    Row("row-disagrees", DOUBT, "A row of a table contradicts itself, or no present entry can be so.",
        "The text was changed or damaged on its way, or the entry has bits that hardware refuses (fault 0x24).",
        "VT-d 9.9; Linux drivers/iommu/intel/debugfs.c", _row_disagrees),
    Row("reserved-source-check", BROKEN, "An entry has a source check that does not exist.",
        "Write SVT 0, 1 or 2.", "VT-d 9.9, fault 0x24", _reserved_source),
)
