"""A paste and what does not fit in it, for people and as JSON values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vsim.findings.catalogue import Examined
from vsim.findings.chain import entry_of
from vsim.findings.picture import Entry, Picture, Unit
from vsim.findings.vmsi import bound, messages, name, side_of, whose
from vsim.layouts.amd import EFR
from vsim.layouts.bits import bdf_text, get
from vsim.readers import amd_log, xen_boot
from vsim.readers.acpi_ivrs import IVHD_11, Ivhd
from vsim.readers.debugfs_irq import Interrupt
from vsim.readers.linux_boot import Fact
from vsim.readers.xen_irqs import Guest, Irq
from vsim.readers.xen_vpci import Message

MAX_REMARKS, MAX_CHAINS, MAX_SCOPES, MAX_MASKED, MAX_SAID = 40, 100_000, 12, 8, 12
"""Remarks that the text shows, chains that JSON has, an AMD unit's device entries, masked interrupts or a domain's
messages, and facts of a log in words."""


def lines(found: Examined, remarks: int = MAX_REMARKS) -> Iterator[str]:
    """What was recognised, the machine, remarks, findings."""
    for piece in found.pasted.pieces:
        yield str(piece)
    yield from machine(found.picture)
    for remark in found.pasted.remarks[:remarks]:
        yield f"remark: {remark}"
    if len(found.pasted.remarks) > remarks:
        yield f"remark: {len(found.pasted.remarks) - remarks} more"
    for finding in found.findings:
        yield from finding.lines()
    yield f"findings: {len(found.findings)}"


def machine(p: Picture) -> Iterator[str]:
    """The machine in a few lines; only what the texts say."""
    parts = []
    if p.cpus and p.all_cpus:
        parts.append(f"{len(p.cpus)} processors (APIC IDs {min(p.cpus):#x} to {max(p.cpus):#x})")
    elif p.counts:
        parts.append(f"{p.counts[0].count} processors ({p.counts[0].what})")
    for one, many, count in (("I/O APIC", "I/O APICs", len(p.ioapics)), ("interrupt", "interrupts", len(p.interrupts)),
                             ("function", "functions", len(p.functions.functions) if p.functions else 0),
                             ("entry", "entries", len(p.entries))):
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    if parts:
        yield "machine: " + ", ".join(parts)
    for unit in p.units:
        yield f"unit: {unit.label}{_facts(p, unit)}"
    if p.ivrs:
        yield from (f"AMD unit: {_amd(each)}" for each in p.ivrs[0].units)
        yield "AMD's units are explained and not simulated."
    if said := list(dict.fromkeys(_said(p))):
        yield f"the log says: {'; '.join(said[:MAX_SAID])}"
    through = [each for each in p.interrupts if each.message_index is not None]
    if through:
        same = sum(each.message_index == each.entry for each in through)
        dark = sum(each.entry is None for each in through)
        yield (f"messages: {len(through)} remappable, {same} of them ask for their own entry"
               + (f", {dark} have none that is told" if dark else ""))
    masked = [f"irq {irq} (domain {guest.domain}{', raised' if guest.pending else ''})" for irq, guest in _masked(p)]
    owed = [f"irq {record.irq} (domain {guest.domain})" for record in p.pasted.of("xen interrupts")
            if isinstance(record, Irq) and record.in_flight for guest in record.guests if guest.held]
    for what, said in (("masked by their domains", masked), ("held back until their domains end them", owed)):
        more = [f"{len(said) - MAX_MASKED} more"] if len(said) > MAX_MASKED else []
        if said:
            yield f"{what}: {', '.join([*said[:MAX_MASKED], *more])}"
    yield from _emulated(p)


SAID = {"remapping": "interrupts are remapped", "remapping failed": "interrupts are not remapped",
        "remapping left out": "interrupts are not remapped", "remapping was on": "remapping was on before",
        "table taken over": "a table of the kernel before is taken over",
        "opt-out": "firmware's table forbids the x2APIC mode", "x2apic by firmware": "firmware is in x2APIC mode",
        "dmar refused": "Xen does not take the DMAR table: VT-d is off"}
"""Facts of a log that no finding tells, in words."""


def _said(p: Picture) -> Iterator[str]:
    """What logs say of the modes of remapping and of the APICs, in the order of each."""
    for record in p.pasted.of("linux boot", "xen boot", "amd log"):
        if isinstance(record, Fact) and record.name == "x2apic":
            yield record.value
        elif isinstance(record, Fact) and record.name in SAID:
            mode = f" in {record.value} mode" if record.name == "remapping" and record.value else ""
            yield SAID[record.name] + mode
        elif isinstance(record, (xen_boot.Feature, amd_log.Feature)) and _OF_INTERRUPTS.search(record.name):
            yield f"{record.name}: {'on' if record.on else 'off'}"


_OF_INTERRUPTS = re.compile(r"nterrupt|APIC")


def _emulated(p: Picture) -> Iterator[str]:
    """The open messages of functions that Xen emulates, by domain, with the interrupts that they are bound to."""
    irqs, by_domain = bound(p), dict[int, list[Message]]()
    for each in messages(p):
        by_domain.setdefault(each.domain, []).append(each)
    for domain, own in by_domain.items():
        open_ = [each for each in own if each.open]
        yield f"messages of {whose(own[0])} (vPCI): {len(own)}, of them open: {len(open_)}"
        for each in open_[:MAX_MASKED]:
            irq = irqs.get((domain, each.pirq))
            yield f"    {name(each)}: {side_of(each).text}{f', irq {irq.irq}' if irq else ''}"
        if len(open_) > MAX_MASKED:
            yield f"    {len(open_) - MAX_MASKED} more"


def _masked(p: Picture) -> Iterator[tuple[int, Guest]]:
    """Interrupts of Xen's key i whose event a domain has masked: it takes them when it unmasks the event."""
    for record in p.pasted.of("xen interrupts"):
        if isinstance(record, Irq):
            yield from ((record.irq, guest) for guest in record.guests if guest.masked)


def _amd(unit: Ivhd) -> str:
    """A unit of an IVRS table in words: place, what it can do, whom it has."""
    place = f"{unit['segment']:04x}:{bdf_text(unit['device'])} at {unit.base:#x}"
    word = unit["efr"] if unit.layout is IVHD_11 else None
    can = [] if word is None else ["32-bit destinations" if get(word, EFR.x2apic) else "8-bit destinations",
                                   "128-bit entries" if get(word, EFR.ga) else "32-bit entries"]
    devices = [each.text for each in unit.devices]
    more = [f"{len(devices) - MAX_SCOPES} more"] if len(devices) > MAX_SCOPES else []
    return f"{place}: {', '.join([*can, *devices[:MAX_SCOPES], *more])}"


def _facts(p: Picture, unit: Unit) -> str:
    facts = []
    if unit.dead:
        facts.append("does not answer")
    if unit.on is not None:
        facts.append("remapping on" if unit.on else "remapping off")
    if (eime := p.eime(unit.name)) is not None and not unit.dead:
        facts.append("32-bit destinations" if eime else "8-bit destinations")
    if unit.all:
        facts.append("takes what no other unit names")
    count = sum(name == unit.name for name, _ in p.entries)
    if count:
        facts.append(f"{count} entries present")
    return f": {', '.join(facts)}" if facts else ""


def to_dict(found: Examined) -> dict[str, Any]:
    """Everything as JSON values."""
    p = found.picture
    return {
        "pieces": [{"kind": each.kind, "text": each.text, "file": each.file, "first": each.first, "last": each.last,
                    "count": each.count} for each in found.pasted.pieces],
        "machine": {
            "apic_ids": sorted(p.cpus), "counts": {each.what: each.count for each in p.counts},
            "units": [{"name": unit.name, "base": unit.base, "cap": unit.cap, "ecap": unit.ecap, "eime": unit.eime,
                       "remapping": unit.on, "entries": unit.size, "dead": unit.dead} for unit in p.units],
            "ioapics": [{"id": each.id, "gsi": each.gsi, "address": each.address, "pins": each.pins}
                        for each in p.ioapics.values()],
            "amd_units": [{"segment": unit["segment"], "bdf": bdf_text(unit["device"]), "base": unit.base,
                           "devices": [each.text for each in unit.devices]}
                          for unit in (p.ivrs[0].units if p.ivrs else ())],
            "functions": [{"segment": f.segment, "bdf": bdf_text(f.bdf), "name": f.name} for f in
                          (p.functions.functions if p.functions else ())],
            "masked": [{"irq": irq, "domain": guest.domain, "raised": guest.pending} for irq, guest in _masked(p)],
            "said": list(dict.fromkeys(_said(p))),
            "vpci": [{"domain": each.domain, "segment": each.segment, "bdf": bdf_text(each.bdf), "kind": each.kind,
                      "number": each.number, "vector": each.vector, "dest": each.dest, "logical": each.logical,
                      "open": each.open, "pirq": each.pirq} for each in messages(p)[:MAX_CHAINS]],
            "interrupts": [_chain(p, each) for each in p.interrupts[:MAX_CHAINS]]},
        "remarks": [{"file": each.file, "line": each.line, "column": each.column, "text": each.text}
                    for each in found.pasted.remarks],
        "findings": [finding.to_dict() for finding in found.findings]}


def _chain(p: Picture, each: Interrupt) -> dict[str, Any]:
    """Device, message, handle, entry, processor of one interrupt."""
    index = each.message_index
    entry = entry_of(p, each, index) if index is not None else None
    return {"irq": each.irq, "device": each.device, "file": each.file, "line": each.line, "address": each.address,
            "data": each.data, "unit": each.unit, "handle": index, "entry": _entry(entry) if entry else None,
            "cpu": each.cpu, "vector": each.vector}


def _entry(entry: Entry) -> dict[str, Any]:
    return {"unit": entry.unit, "index": entry.index, "high": entry.word >> 64, "low": entry.word % (1 << 64),
            "file": entry.side.file, "line": entry.side.line}
