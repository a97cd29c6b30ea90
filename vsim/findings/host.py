"""Units, processors, I/O APICs: where texts about a machine as a whole contradict one another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from vsim.findings.picture import Picture, Side, eim
from vsim.findings.rows import BROKEN, DOUBT, Hit, Row
from vsim.layouts.bits import bdf_text
from vsim.readers import cpuid
from vsim.readers.acpi_dmar import INTR_REMAP, X2APIC_OPT_OUT
from vsim.readers.acpi_madt import ENABLED, NOBODY
from vsim.readers.acpi_table import Structure
from vsim.readers.linux_boot import Fact

MADE_UP = 0x10000
"""Segments from here on are the kernel's own (a VMD's devices): no unit has them in its scope."""
PAGE = 4096
WHO = {"CPUID": "CPUID", "Firmware": "firmware"}
"""Who else than the local APIC tells a processor's ID, by Linux' word."""


def _whole(table: Structure) -> bool:
    """Whether a text has all of a table: what is missing may be behind the end of one that was cut."""
    return len(table) >= table["length"]


def _uncovered(p: Picture) -> Iterator[Hit]:
    if p.dmar is None or not p.dmar[0].flags & INTR_REMAP or not _whole(p.dmar[0]):
        return
    _, side = p.dmar
    missing: dict[int, list[int]] = defaultdict(list)
    for function in p.functions.functions if p.functions else ():
        coverage = p.coverage(function.segment)
        if coverage and function.segment < MADE_UP and coverage.unit_of(function.bdf) < 0 and not function.is_bridge:
            missing[function.segment].append(function.bdf)
    for segment, rids in missing.items():
        more = f" and {len(rids) - 4} more" if len(rids) > 4 else ""
        names = ", ".join(bdf_text(rid) for rid in rids[:4]) + more
        yield f"no unit covers {names} of segment {segment:#x}", (
            Side(p.functions_file, 1, f"lspci shows {len(rids)} such functions"), side)


def _ioapic(p: Picture) -> Iterator[Hit]:
    if p.dmar is not None and p.dmar[0].flags & INTR_REMAP and _whole(p.dmar[0]):
        for each in p.ioapics.values():
            if ("ioapic", each.id) not in p.requesters:
                yield f"no unit has I/O APIC {each.id} in its scope", (
                    each.side, p.dmar[1]._replace(text="the DMAR table has no scope of it"))
    if p.ivrs is not None and _whole(p.ivrs[0]):
        for each in p.ioapics.values():
            if ("ioapic", each.id) not in p.requesters:
                yield f"no AMD unit names I/O APIC {each.id}; Linux then remaps nothing", (
                    each.side, p.ivrs[1]._replace(text="the IVRS table has no special entry of it"))
    for fact in p.facts("ioapic without a unit"):
        yield f"Linux finds no unit for I/O APIC {fact.value}", (
            Side(fact.file, fact.line, f"ioapic {fact.value} has no mapping iommu"),)


def _dead(p: Picture) -> Iterator[Hit]:
    for unit in p.units:
        if unit.dead or "dead" in unit.sides:
            yield f"{unit.label} does not answer: its registers read as ones", tuple(
                {side.file + str(side.line): side for side in unit.sides.values()}.values())


def _address(p: Picture) -> Iterator[Hit]:
    if p.dmar is None:
        return
    table, side = p.dmar
    seen: dict[int, int] = {}
    for number, unit in enumerate(table.units):
        if unit.base in (0, (1 << 64) - 1) or unit.base % PAGE:
            yield f"unit {number} of the DMAR table is at {unit.base:#x}, where no unit can be", (side,)
        if seen.setdefault(unit.base, number) != number:
            yield f"units {seen[unit.base]} and {number} of the DMAR table are both at {unit.base:#x}", (side,)


def _processors(p: Picture) -> Iterator[Hit]:
    """Columns of /proc/interrupts are processors that are online: fewer than the MADT has says nothing alone."""
    counts = {each.what: each for each in p.counts}
    offline = {fact.value for fact in p.facts("cpu offline")}
    if len({each.count for each in counts.values()}) > 1 and not offline:
        yield "the texts count " + ", ".join(f"{each.count} ({each.what})" for each in counts.values()), tuple(
            each.side for each in counts.values())


def _modes(p: Picture) -> Iterator[Hit]:
    on = [side for is_on, side in p.modes if is_on]
    off = [side for is_on, side in p.modes if not is_on]
    if on and off:
        yield "remapping is told on and off", (on[0], off[0])
    rows = [row for row in p.pasted.of("linux counts") if getattr(row, "chip", "") and
            ("MSI" in row.chip or "IO-APIC" in row.chip) and "DMAR" not in row.chip]
    plain = [row for row in rows if not row.remapped]
    if on and not off and rows and len(plain) == len(rows):
        yield "remapping is told on, and no interrupt passes a unit", (
            on[0], Side(plain[0].file, plain[0].line, f"interrupt {plain[0].label} is of {plain[0].chip}"))
    if off and not on and rows and len(plain) < len(rows):
        one = next(row for row in rows if row.remapped)
        yield "remapping is told off, and interrupts pass a unit", (
            off[0], Side(one.file, one.line, f"interrupt {one.label} is of {one.chip}"))


def _firmware(p: Picture) -> Iterator[Hit]:
    if p.dmar is None:
        return
    table, side = p.dmar
    flags = side._replace(text=f"the flags of the DMAR table are {table.flags:#x}")
    on = [each for is_on, each in p.modes if is_on]
    if not table.flags & INTR_REMAP and on:
        yield "the DMAR table does not offer remapping, and it is on", (flags, on[0])
    if table.flags & X2APIC_OPT_OUT and not table.flags & INTR_REMAP:
        yield "the DMAR table opts out of x2APIC and does not offer remapping: an opt-out of nothing", (flags,)
    modes = [fact for fact in p.facts("remapping") if fact.value == "x2apic"]
    if table.flags & X2APIC_OPT_OUT and modes:
        yield "the DMAR table opts out of x2APIC, and Linux uses it", (
            flags, Side(modes[0].file, modes[0].line, "Linux remaps in x2apic mode"))


def _mixed(p: Picture) -> Iterator[Hit]:
    told = [unit for unit in p.units if unit.on is not None]
    for name, values in (("remapping", {unit.on for unit in told}), ("EIME", {unit.eime for unit in told} - {None})):
        if len(values) > 1:
            key = "on" if name == "remapping" else "eime"
            yield f"{name} is not the same in all units", tuple(unit.sides[key] for unit in told if key in unit.sides)


def _eime(p: Picture) -> Iterator[Hit]:
    for unit in p.units:
        if unit.eime and eim(unit) is False:
            yield f"{unit.label} has EIME=1, and its ECAP says that it cannot", tuple(unit.sides.values())


def _out_of_reach(p: Picture) -> Iterator[Hit]:
    far = sorted(apic_id for apic_id in p.cpus if apic_id > 0xFE)
    for unit in p.units:
        if far and unit.on and unit.eime is False and "eime" in unit.sides:
            yield f"{len(far)} processors have IDs above 254, and {unit.label} names 8 bits", (
                unit.sides["eime"], p.cpus[far[0]]._replace(text=f"a processor has APIC ID {far[0]:#x}"))


def _ids(p: Picture) -> Iterator[Hit]:
    yield from _ids_of_cpuid(p)
    yield from _ids_of_logs(p)
    if p.madt is None:
        return
    table, side = p.madt
    on = [each for each in table.processors if each["flags"] & ENABLED]
    for apic_id, count in Counter((each["type"], each["id"]) for each in on).items():
        if count > 1:
            yield f"{count} processors of the MADT have APIC ID {apic_id[1]:#x}", (side,)
    for each in on:
        if each["id"] == NOBODY[each["type"]]:
            yield f"a processor of the MADT is enabled with the broadcast ID {each['id']:#x}", (side,)


def _ids_of_logs(p: Picture) -> Iterator[Hit]:
    """What Linux says of IDs that differ, what Xen says of those that it leaves out; each once."""
    alike: dict[str, list[Fact]] = defaultdict(list)
    for fact in p.facts("apic id mismatch"):
        alike[fact.values[1]].append(fact)
    for who, same in alike.items():
        cpu, _, other, own = same[0].values
        more = f", and {len(same) - 1} more of this kind" if len(same) > 1 else ""
        yield f"CPU {cpu} has ID {int(own, 16):#x} in its local APIC and {int(other, 16):#x} by {WHO[who]}{more}", (
            Side(same[0].file, same[0].line, "APIC ID mismatch"),)
    for fact in {fact.value: fact for fact in p.facts("cpu ignored")}.values():
        yield f"Xen leaves out processors with APIC ID 0x{fact.value}", (
            Side(fact.file, fact.line, "beyond limit - processor ignored"),)


def _ids_of_cpuid(p: Picture) -> Iterator[Hit]:
    """Two numbers with one ID, or two IDs for one number: mostly the texts of two machines."""
    by_id: dict[int, cpuid.Cpu] = {}
    by_number: dict[int, cpuid.Cpu] = {}
    for cpu in p.pasted.of("cpuid"):
        for known, what in ((by_id.setdefault(cpu.apic_id, cpu), f"two CPUs have APIC ID {cpu.apic_id:#x}"),
                            (by_number.setdefault(cpu.number, cpu), f"CPU {cpu.number} has two APIC IDs")):
            if (known.number, known.apic_id) != (cpu.number, cpu.apic_id):
                yield f"by CPUID {what}: texts of two machines", tuple(
                    Side(each.file, each.line, f"CPU {each.number} has APIC ID {each.apic_id:#x}")
                    for each in (known, cpu))
                return


ROWS = (
    Row("not-covered", BROKEN, "A function belongs to no remapping unit.",
        "The DMAR table lacks a unit or scope for it: its messages pass unremapped, or are blocked.",
        "VT-d 8.3", _uncovered),
    Row("ioapic-not-covered", BROKEN, "An I/O APIC belongs to no remapping unit.",
        "Linux then does without remapping and without x2APIC; firmware has to list it with the id of the MADT.",
        "VT-d 8.3.1.1", _ioapic),
    Row("dead-unit", BROKEN, "Nobody answers at a unit's address.",
        "The unit is switched off (graphics, VT-d off in firmware), or the address is wrong: no remapping here.",
        "Linux drivers/iommu/intel/dmar.c", _dead),
    Row("unit-address", BROKEN, "The DMAR table has a unit where none can be, or two at one address.",
        "A firmware's bug; Linux leaves such a unit out.", "VT-d 8.3", _address),
    Row("processors-counted", DOUBT, "Texts count the processors differently.",
        "Look for maxcpus=, processors that are offline, and entries of the MADT that do not count.", "ACPI 5.2.12",
        _processors),
    Row("on-and-off", DOUBT, "Interrupt remapping is told on and off.",
        "The texts are of different boots or machines, or a unit was switched off later.", "VT-d 11.4.5", _modes),
    Row("firmware-flags", DOUBT, "The flags of the DMAR table contradict one another, or what runs.",
        "Linux goes by the flags unless options say otherwise (intremap=no_x2apic_optout).", "VT-d 8.1", _firmware),
    Row("units-differ", DOUBT, "Some units remap and others do not, or with other destinations.",
        "A device's interrupts depend on its unit; Linux switches all on or none.", "VT-d 5.1.3", _mixed),
    Row("eime-without-eim", BROKEN, "A unit uses 32-bit destinations that it does not have.",
        "Software has to look at ECAP.EIM first.", "VT-d 11.4.3, 11.4.22", _eime),
    Row("cpu-out-of-reach", BROKEN, "Processors have IDs above 254, and a unit names 8 bits.",
        "Switch x2APIC mode and EIME on; interrupts cannot be moved to those processors.", "VT-d 11.4.22",
        _out_of_reach),
    Row("apic-ids", DOUBT, "An APIC ID is there twice, is one that no processor can have, or is told in two ways.",
        "In the MADT a firmware's bug: one of the processors does not start. By CPUID: give one machine's texts "
        "only.", "ACPI 5.2.12; Linux arch/x86/kernel/cpu/topology_common.c", _ids),
)
