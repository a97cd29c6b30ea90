"""A machine on the bench from what was dumped: processors, units, functions, entries, pins and messages.

    built = rebuild(picture)
    built.machine, built.commands, built.assumed, built.left
    replay(built, fault)        # a fault line sent again

What no text says is assumed, and told in `assumed` for each element; what the texts show and the machine has not is
told in `left`. A machine is made once as after power-on, all else are commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from vsim.devices import vioapic, viommu, vlapic
from vsim.devices.routes import BROADCAST8, BROADCAST32
from vsim.domain.buses import bridge_function
from vsim.findings.assumed import Assumed, device, ioapic, vcpus
from vsim.findings.assumed import units as unit_nodes
from vsim.findings.chain import destinations, index_of, live, side_of
from vsim.findings.chips import Chip, chips, hpet
from vsim.findings.picture import Picture, Unit
from vsim.findings.pins import DEST_MOST, Pin, asking, entry_of, pins, plain, reached
from vsim.findings.vmsi import messages as emulated
from vsim.findings.vmsi import vcpus as guest_ids
from vsim.findings.vmsi import whose
from vsim.guest.cpu import Cpu
from vsim.guest.irq import Interrupts
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IRTE, MSI_ADDRESS, MSI_DATA, RTE, RTE_REMAP, Reason, remap_message
from vsim.layouts.registers import ECAP, GCMD, IOREDTBL, IRTA, OFFSET
from vsim.machine import step
from vsim.readers import ranges
from vsim.readers.debugfs_irq import Interrupt
from vsim.readers.linux_faults import Fault
from vsim.readers.lspci import Host
from vsim.readers.pieces import Remark
from vsim.readers.xen_vpci import Message
from vsim.state import commands as c
from vsim.state.arrays import MAX_VCPUS, Apic, Machine
from vsim.state.pci import Bus
from vsim.state.pci_function import MAX_NAME, Function
from vsim.state.profile import MAX_UNITS, Capabilities, Options, Profile
from vsim.state.trace import Act, Event

PAGE, TABLE, FIRST_TABLE = 4096, 1 << 20, 2 << 20
"""Bytes of a register page and of the room for a table; where the first table is put."""
BASE = 0xFED90000
MAX_FUNCTIONS = 4096
"""Functions of one source that a machine is given; those behind them are left out."""


@dataclass
class Rebuilt:
    """A machine as after power-on, and the commands that bring it to the dumped state.

    units: the unit of the picture that each vIOMMU stands for; chips: the I/O APICs; assumed: what no text says, by
    element; left: what the texts show and the machine has not; tables: address of each unit's table in memory.
    """

    machine: Machine
    commands: list[c.Command] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)
    assumed: Assumed = field(default_factory=Assumed)
    left: list[Remark] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)

    def run(self) -> Machine:
        """A copy of the machine with all commands done."""
        machine = self.machine.copy()
        for command in self.commands:
            step(machine, command)
        return machine


def rebuild(picture: Picture) -> Rebuilt:
    """The machine that a picture shows. ValueError when it shows neither a processor nor a unit, function or pin."""
    if not (picture.cpus or picture.counts or picture.units or picture.entries or picture.functions or picture.faults
            or pins(picture) or emulated(picture)):
        raise ValueError("the texts show no processor, unit, entry, function, message, pin or fault: there is no "
                         "machine to build")
    assumed, left = Assumed(), list[Remark]()
    if picture.ivrs:
        table, side = picture.ivrs
        left.append(Remark(side.file, side.line, 1, f"left out of the machine: {len(table.units)} units of AMD, which "
                                                    "are explained and not simulated"))
    units = _units(picture, left)
    ids = _apic_ids(picture, assumed)
    functions = _functions(picture, assumed, left)
    bus = Bus(sorted(functions.values(), key=lambda function: function.bdf))
    found = chips(picture, assumed, left)
    profile = _profile(picture, units, ids, found, assumed)
    machine = Machine(profile, len(ids), FIRST_TABLE + TABLE * (len(units) + 1), bus)
    for vcpu in range(len(ids)):
        machine.svr[vcpu] |= 0x100
        vlapic.set_mode(machine, vcpu, Apic.X2APIC)
    if not any(picture.eime(unit.name) for unit in units):
        assumed.add("x2APIC mode", vcpus(len(ids)))
    built = Rebuilt(machine, units=units, chips=found, assumed=assumed, left=left)
    machine.scope = _scope(built, picture, bus)
    _create(built, picture)
    _program(built, picture)
    return built


# --- what there is ---


def _units(p: Picture, left: list[Remark]) -> list[Unit]:
    """The units that answer, the one that takes all others last."""
    bases = {unit.base for unit in p.units if unit.name and not _dead(unit)}
    alive = []
    for unit in p.units:
        if _dead(unit):
            left.append(_remark(unit, "it does not answer"))
        elif unit.name or unit.base not in bases:
            alive.append(unit)
    if not alive and (p.entries or p.faults):
        alive = [Unit("")]
    left += [_remark(unit, f"a machine has at most {MAX_UNITS} units") for unit in alive[MAX_UNITS:]]
    return sorted(alive[:MAX_UNITS], key=lambda unit: bool(unit.all))


def _dead(unit: Unit) -> bool:
    return unit.dead or "dead" in unit.sides


def _remark(unit: Unit, why: str) -> Remark:
    side = next(iter(unit.sides.values()), None)
    return Remark(side.file if side else "texts", side.line if side else 1, 1,
                  f"left out of the machine: {unit.label}: {why}")


def _apic_ids(p: Picture, assumed: Assumed) -> tuple[int, ...]:
    """The processors' APIC IDs by the operating system's number, as far as that is known."""
    ids = list(dict.fromkeys(p.by_number[number] for number in sorted(p.by_number))) if p.all_cpus else []
    ids += [apic_id for apic_id in sorted(p.cpus) if apic_id not in ids and apic_id != BROADCAST32]
    if not p.all_cpus:
        wanted = max([1, *(each.count for each in p.counts), *(each.online for each in p.matrices),
                      *(1 + each.cpu for each in p.interrupts if each.cpu is not None)])
        named = set[int]().union(*(destinations(p, entry) or () for entry in p.entries.values()))
        named |= reached(p)
        named |= {*guest_ids(p), *(each.dest for each in _virtual(p) if each.open and not each.logical)}
        ids += sorted(each for each in named if each not in ids and each < 1 << 20)[:MAX_VCPUS]
        ids += [number for number in range(wanted) if number not in ids][:max(0, wanted - len(ids))]
    found = tuple(ids[:MAX_VCPUS]) or (0,)
    if not p.all_cpus:
        assumed.add("its APIC ID (neither MADT nor CPUID is given)", vcpus(len(found)))
    return found


def _virtual(p: Picture) -> tuple[Message, ...]:
    """The messages of the first domain with vPCI; none beside units, where the machine is the host and not its own."""
    if any(not _dead(unit) for unit in p.units) or p.entries or p.faults:
        return ()
    return tuple(each for each in emulated(p) if each.domain == emulated(p)[0].domain)


def functions_of(host: Host) -> dict[int, Function]:
    """The functions of segment 0 that lspci shows, by requester id; of bridges to one bus the first."""
    found: dict[int, Function] = {}
    buses: set[int] = set()
    for each in host.functions[:MAX_FUNCTIONS]:
        if each.segment or each.bdf in found:
            continue
        if each.bridge and each.bridge[1] > each.bdf >> 8 and each.bridge[1] not in buses:
            buses.add(each.bridge[1])
            found[each.bdf] = bridge_function(each)
        else:
            name = f"{each.class_name}: {each.name}" if each.name else each.class_name
            found[each.bdf] = Function(each.bdf, _clean(name), False, each.msi_count, each.msi_64, each.msi_maskable,
                                       each.msix_count, each.pin, conventional=each.pcie_type is None)
    return found


def _functions(p: Picture, assumed: Assumed, left: list[Remark]) -> dict[int, Function]:
    """The functions of segment 0: from lspci, else as interrupts name them."""
    host = p.functions or Host(())
    found = functions_of(host)
    others = sum(each.segment != 0 for each in host.functions)
    named = list[int]()
    for each in host.functions[:MAX_FUNCTIONS]:
        if each.assumed and not each.segment:
            assumed.add("what it can send (lspci does not show its capabilities)", [device(each.bdf)])
    if others:
        left.append(Remark(p.functions_file, 1, 1, f"left out of the machine: {others} functions of other segments: "
                                                   "it has one segment"))
    for interrupt in p.interrupts:
        if interrupt.rid and interrupt.rid[0] == 0 and interrupt.rid[1] not in found:
            messages = 1 + max(_number(one) for one in p.interrupts if one.rid == interrupt.rid)
            found[interrupt.rid[1]] = Function(interrupt.rid[1], "named by its interrupt",
                                               msix_count=min(messages, 2048))
            named.append(device(interrupt.rid[1]))
    assumed.add("what it is and where (lspci does not show it): MSI-X, no bridge above", named)
    shown = {one.bdf: one for one in sorted(_virtual(p), key=lambda one: one.number)
             if not one.segment and one.bdf not in found}
    found |= {bdf: _function(one) for bdf, one in shown.items()}
    assumed.add("where it is (lspci does not show it): no bridge above", map(device, shown))
    return fitting(found, assumed)


def _function(last: Message) -> Function:
    """A function that Xen emulates, by its last message."""
    most = last.most if last.most > 0 else last.number + 1
    if last.kind == "MSI-X":
        return Function(last.bdf, "emulated by Xen", False, msix_count=min(most, 2048))
    count = 1 << (min(max(most, last.count), 32) - 1).bit_length()
    return Function(last.bdf, "emulated by Xen", False, count, last.wide, last.masks is not None)


def fitting(found: dict[int, Function], assumed: Assumed) -> dict[int, Function]:
    """Functions with as many MSI-X tables as the window of addresses has room for."""
    try:
        Bus(sorted(found.values(), key=lambda function: function.bdf))
    except ValueError as error:
        assumed.add(f"its MSI-X table is cut to 8 entries ({error})",
                    [device(bdf) for bdf, each in found.items() if each.msix_count > 8])
        found = {bdf: replace(each, msix_count=min(each.msix_count, 8)) for bdf, each in found.items()}
        try:
            Bus(sorted(found.values(), key=lambda function: function.bdf))
        except ValueError as second:
            assumed.add(f"it has neither an MSI-X table nor a bridge above it ({second})", map(device, found))
            found = {bdf: replace(each, msix_count=0, bridge=None) for bdf, each in found.items()}
    return found


def _clean(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)[:MAX_NAME]


def _number(interrupt: Interrupt) -> int:
    """Which message of its function an interrupt is."""
    return (interrupt.levels[0].hwirq or 0) % 2048 if interrupt.levels else 0


def _profile(p: Picture, units: list[Unit], ids: tuple[int, ...], found: list[Chip], assumed: Assumed) -> Profile:
    """The specification's machine with these units and processors, and no entry cache: the dump is what counts."""
    words = [_capabilities(unit, number, assumed) for number, unit in enumerate(units)]
    base = words[0] if words else Capabilities()
    for place, each in enumerate(words):
        if each.shape != base.shape:
            assumed.add(f"its fault records are where those of {units[0].label} are", unit_nodes([place]))
            words[place] = base
    timers, sid = hpet(p, assumed)
    first, *more = found
    options = Options(apic_ids=ids, cache="none", max_units=max(1, len(units)), ioapic_pins=first.pins,
                      ioapic_sid=first.sid, more_ioapics=tuple(each.row for each in more), hpet_timers=timers,
                      hpet_sid=sid)
    return Profile("spec", base, options).with_units(*words)


def _capabilities(unit: Unit, number: int, assumed: Assumed) -> Capabilities:
    """What a unit can do; one that says it cannot remap does it all the same, else there is nothing to see."""
    if unit.cap is None or unit.ecap is None:
        assumed.add("its CAP and ECAP", unit_nodes([number]))
        return Capabilities()
    wanted = unit.ecap | ECAP.ir.mask | ECAP.qi.mask
    if wanted != unit.ecap:
        assumed.add(f"it can remap interrupts (its ECAP says {unit.ecap:#x})", unit_nodes([number]))
    try:
        return Capabilities(unit.cap, wanted)
    except ValueError as error:
        assumed.add(f"its CAP and ECAP ({error})", unit_nodes([number]))
        return Capabilities()


def _scope(built: Rebuilt, p: Picture, bus: Bus) -> dict[int, int]:
    """Which unit each requester goes to: as the DMAR table has it, else as the entries have it."""
    units = built.units
    if len(units) < 2:
        return {}
    scope = {-1: len(units) - 1}
    numbers = {unit.name: number for number, unit in enumerate(units)}
    places = {unit.base: number for number, unit in enumerate(units)}
    coverage = p.coverage(0)
    for function in bus.functions:
        found = coverage.unit_of(function.bdf) if coverage else -1
        if found >= 0 and p.dmar and p.dmar[0].units[found].base in places:
            scope[bus.requester(function.bdf)] = places[p.dmar[0].units[found].base]
    for entry in p.entries.values():
        if entry.fields["svt"] == 1 and entry.unit in numbers:
            scope.setdefault(entry.fields["sid"], numbers[entry.unit])
    for each in p.interrupts:
        if each.unit is not None and each.rid and each.rid[0] == 0 and f"dmar{each.unit}" in numbers:
            scope[bus.requester(each.rid[1])] = numbers[f"dmar{each.unit}"]
    options = built.machine.profile.options
    own = [(("ioapic", each.id), each.sid) for each in built.chips]
    for key, sid in [*own, *([(("hpet", 0), options.hpet_sid)] if options.hpet_timers else [])]:
        if (base := p.behind.get(key)) in places:
            scope[sid] = places[base]
    if not units[-1].all:
        built.assumed.add(f"it is behind vIOMMU {len(units) - 1}", [
            device(function.bdf) for function in bus.functions
            if not function.bridge and bus.requester(function.bdf) not in scope])
    return scope


# --- what was done ---


def _create(built: Rebuilt, p: Picture) -> None:
    """The units, their tables, remapping on."""
    machine = built.machine.copy()
    taken: set[int] = set()
    for number, unit in enumerate(built.units):
        base = unit.base if unit.base is not None and unit.base % PAGE == 0 else BASE
        create = c.Domctl(viommu.create_op(base, version=machine.profile.options.interface))
        if base in taken or unit.base is None or _refused(machine.copy(), create):
            base = next(place for place in range(BASE, BASE + 512 * PAGE, PAGE) if place not in taken)
            built.assumed.add(f"its registers are at {base:#x}", unit_nodes([number]))
            create = c.Domctl(viommu.create_op(base, version=machine.profile.options.interface))
        taken.add(base)
        step(machine, create)
        built.commands.append(create)
        table = FIRST_TABLE + number * TABLE
        built.tables.append(table)
        rows = [entry for (name, _), entry in p.entries.items() if name == unit.name or len(built.units) == 1]
        image = bytearray(16 * (1 + max((entry.index for entry in rows), default=0)))
        for entry in rows:
            image[16 * entry.index:16 * entry.index + 16] = entry.word.to_bytes(16, "little")
        size = (unit.size or 1 << 16).bit_length() - 2
        eime = p.eime(unit.name)
        if eime is None:
            built.assumed.add("its destinations have 32 bits", unit_nodes([number]))
        if unit.size is None:
            built.assumed.add("its table has 65,536 entries", unit_nodes([number]))
        if unit.on is None and True not in {on for on, _ in p.modes}:
            built.assumed.add("it remaps", unit_nodes([number]))
        latch = IRTA.make(base=table // PAGE, eime=int(eime is not False), s=size)
        built.commands += [c.RamWrite(table, bytes(image)), c.Mmio(base + OFFSET["IRTA"], 8, latch),
                           c.Mmio(base + OFFSET["GCMD"], 4, GCMD.make(sirtp=1))]
        if unit.on is not False:
            built.commands.append(c.Mmio(base + OFFSET["GCMD"], 4, GCMD.make(ire=1)))
    built.assumed.add("where its table is in memory; that it has no copy of an entry",
                      unit_nodes(range(len(built.units))))


def _refused(machine: Machine, create: c.Domctl) -> bool:
    return any(event.index for event in step(machine, create) if event.act == Act.DOMCTL)


def _program(built: Rebuilt, p: Picture) -> None:
    """Messages and pins, as their interrupts have them."""
    machine = built.run()
    bus = machine.bus

    def issue(command: c.Command) -> list[Event]:
        built.commands.append(command)
        return step(machine, command)

    interrupts = Interrupts(Cpu(issue), bus)
    messages: dict[int, dict[int, tuple[int, int]]] = {}
    unsaid: Counter[int] = Counter()
    dumped = pins(p)
    by_linux = {each.pin for each in live(p) if each.pin is not None}
    _dumped_pins(built, p, [each for key, each in dumped.items() if each.held or key not in by_linux], issue)
    for each in live(p):
        if each.pin is not None:
            if each.pin not in dumped or not dumped[each.pin].held:
                _pin(built, machine, each, issue)
        elif each.rid and (index := index_of(each)) is not None:
            if (why := _no_message(bus, each)):
                built.left.append(Remark(each.file, each.line, 1, f"left out of the machine: {side_of(each).text}: "
                                                                  f"{why}"))
                continue
            said = each.address is not None
            address, data = (each.address, each.data or 0) if said else remap_message(index)
            unsaid[each.rid[1]] += not said
            messages.setdefault(each.rid[1], {})[_number(each)] = int(address or 0), data
    _emulated(built, p, messages)
    for bdf, found in messages.items():
        _messages(interrupts, bus, bdf, found)
    for bdf, count in unsaid.items():
        built.assumed.add(f"{count} of its messages: that they ask for the entries of their interrupts",
                          [device(bdf)] if count else [])


def _emulated(built: Rebuilt, p: Picture, messages: dict[int, dict[int, tuple[int, int]]]) -> None:
    """The open messages of a domain's emulated functions, as it wrote them; of MSI the last one too, for their count.

    Those of other domains, other segments and of a machine that is the host are told.
    """
    mine, left = set(_virtual(p)), dict[str, list[Message]]()
    for each in emulated(p):
        if each not in mine:
            why = "it is of another machine than the one here"
        elif each.segment:
            why = "the machine has one segment"
        elif not each.open:
            why = "it is masked"
        else:
            address = MSI_ADDRESS.make(fee=0xFEE, dest=each.dest & 0xFF, ext=each.dest >> 8 & 0x7F,
                                       dm=int(each.logical), rh=int(each.hint))
            data = MSI_DATA.make(vector=each.vector, dlm=int(each.lowest), tm=int(each.level), level=int(each.level))
            for number in {each.number, each.number + each.count - 1}:
                messages.setdefault(each.bdf, {})[number] = int(address), int(data)
            continue
        left.setdefault(f"{whose(each)} (vPCI): {why}", []).append(each)
    for text, some in left.items():
        built.left.append(Remark(some[0].file, some[0].line, 1, f"left out of the machine: {len(some)} "
                                 f"message{'s' if len(some) > 1 else ''} of {text}"))


def _no_message(bus: Bus, each: Interrupt) -> str:
    """Why a message of the dump is none of the machine; "" where it is."""
    assert each.rid
    if each.rid[0]:
        return "the machine has one segment"
    place = bus.place(each.rid[1])
    if place < 0:
        return f"it has no function {bdf_text(each.rid[1])}"
    messages = bus.functions[place].msix_count or bus.functions[place].msi_count
    return "" if _number(each) < messages else f"it has {messages} messages"


def _pin(built: Rebuilt, m: Machine, each: Interrupt, issue: Callable[[c.Command], list[Event]]) -> None:
    """Write the redirection entry of an interrupt; it is told where the machine has no such pin."""
    number, pin = each.pin or (-1, 0)
    own = next((one for one in built.chips if one.id == number), None)
    level = int("IRQD_LEVEL" in each.flags)
    if own is None:
        why = f"the machine has no I/O APIC {number}"
    elif pin >= own.pins:
        why = f"{own.name} has {own.pins} pins"
    elif each.entry is not None:
        word = RTE_REMAP.make(handle=each.entry, format=1, vector=each.vector or 0, tm=level)
        return _write_pin(issue, own.window, pin, word)
    elif each.vector is None or each.cpu is None or each.cpu >= m.vcpus or m.apic_id[each.cpu] >= BROADCAST8:
        why = "the text does not say where it goes"
    else:
        return _write_pin(issue, own.window, pin, RTE.make(vector=each.vector, dest=m.apic_id[each.cpu], tm=level))
    built.left.append(Remark(each.file, each.line, 1, f"left out of the machine: pin {pin} of I/O APIC {number} "
                                                      f"(irq {each.irq}): {why}"))
    return None


def _dumped_pins(built: Rebuilt, p: Picture, dumped: list[Pin], issue: Callable[[c.Command], list[Event]]) -> None:
    """Write redirection entries as they were printed; what of them is assumed, and what finds no place, is told."""
    lost: dict[tuple[int, str], list[Pin]] = {}
    assumed: dict[tuple[Chip, str], list[int]] = {}
    for each in dumped:
        own = next((one for one in built.chips if one.id == each.ioapic), None)
        entry = None if own is None or each.held else entry_of(p, each, own.sid)
        why = ""
        if own is None:
            why = f"the machine has no I/O APIC {each.ioapic}"
        elif each.pin >= own.pins:
            why = f"{own.name} has {own.pins} pins"
        elif not each.held and entry is None and each.dest > DEST_MOST:
            why = f"no text shows the entry that it asks for, and without one destinations end at {DEST_MOST}"
        else:
            if not each.held and not plain(p):
                what = "that it asks for the entry with the vector that Xen prints" if entry else \
                    "that nothing remaps it (Xen prints it as if so)"
                assumed.setdefault((own, what), []).append(each.pin)
            if RTE.split(each.word)["irr"]:
                why = "a write does not set its remote IRR"
            _write_pin(issue, own.window, each.pin, asking(each, entry.index) if entry else each.word)
        if why:
            lost.setdefault((each.ioapic, why), []).append(each)
    for (own, what), numbers in assumed.items():
        built.assumed.add(f"{_pins_text(numbers)}: {what}", [ioapic(own.first)])
    for (number, why), some in lost.items():
        side = some[0].side
        built.left.append(Remark(side.file, side.line, 1, "left out of the machine: "
                                 f"{_pins_text([each.pin for each in some])} of I/O APIC {number}: {why}"))


def _pins_text(numbers: list[int]) -> str:
    """Pins in words: "pin 4", "pins 0, 16-21"."""
    return f"pin{'s' if len(numbers) > 1 else ''} " + ranges.text(ranges.of(numbers)).replace(",", ", ")


def _write_pin(issue: Callable[[c.Command], list[Event]], window: int, pin: int, entry: int) -> None:
    """Write a redirection entry: masked, high half, low half."""
    for half, value in ((0, entry & 0xFFFFFFFF | RTE.mask.mask), (1, entry >> 32), (0, entry & 0xFFFFFFFF)):
        issue(c.Mmio(window + vioapic.SELECT, 4, IOREDTBL + 2 * pin + half))
        issue(c.Mmio(window + vioapic.WINDOW, 4, value))


def _messages(interrupts: Interrupts, bus: Bus, bdf: int, found: dict[int, tuple[int, int]]) -> None:
    """Program the messages of one function, those in between with nothing."""
    place = bus.place(bdf)
    if place < 0:
        return
    function = bus.functions[place]
    if function.msix_count:
        last = min(max(found), function.msix_count - 1)
        interrupts.enable_msix(bdf, [found.get(number, (0xFEE00000, 0)) for number in range(last + 1)])
    elif function.msi_count:
        count = 1 << min(max(found), function.msi_count - 1).bit_length()
        interrupts.enable_msi(bdf, count, *found[min(found)])


# --- a fault line again ---


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a fault's request on the rebuilt machine. reason, index, source: as recorded, -1: it passed.

    same: as the line says. note: why not, or what stands in its place. cure: commands that let it pass, as `change`
    says; none where no setting does. assumed: what no text says of the elements that the request met.
    """

    reason: int
    index: int
    source: int
    same: bool
    note: str
    change: str = ""
    cure: tuple[c.Command, ...] = ()
    assumed: tuple[str, ...] = ()


def request_of(fault: Fault) -> c.Msi:
    """The message that a fault line tells of: its index as handle; for reason 0x25 one in compatibility format."""
    if fault.reason == Reason.COMPATIBILITY:
        return c.Msi(fault.rid, 0xFEE00000, 0x20)
    index = fault.index or 0
    return c.Msi(fault.rid, *remap_message(index & 0xFFFF))


def replay(built: Rebuilt, fault: Fault, machine: Machine | None = None) -> Replayed:
    """Send a fault's request again. machine: the state, the dumped one when None; it stays as it is."""
    machine = (built.run() if machine is None else machine).copy()
    if machine.events is None:
        machine.events = []
    events = step(machine, request_of(fault))
    met = built.assumed.along(events)
    blocked = next((event for event in events if event.act == Act.BLOCKED), None)
    if blocked is None:
        return Replayed(-1, -1, -1, False, "it passes: what refused it is no longer so in these texts", assumed=met)
    index = blocked.low if fault.reason != Reason.COMPATIBILITY else fault.index or 0
    same = (blocked.index, blocked.high) == (fault.reason, fault.rid) and (fault.index is None or index == fault.index)
    note = "the same reason, index and source" if same else \
        f"it is refused with {blocked.index:#x}, the line says {fault.reason:#x}"
    change, cure = _cure(built, machine, fault, blocked.index)
    return Replayed(blocked.index, index, blocked.high, same, note, change, cure, met)


def _cure(built: Rebuilt, m: Machine, fault: Fault, reason: int) -> tuple[str, tuple[c.Command, ...]]:
    """The nearest change that lets a request pass: one entry written, or nothing where no setting does."""
    unit, index = m.unit_of(fault.rid), fault.index or 0
    if reason == Reason.COMPATIBILITY:
        return "no setting of the unit lets it pass with EIME=1: the device's message has to be remappable", ()
    if not 0 <= unit < len(built.tables) or reason == Reason.INDEX_OVER:
        return "the message has to ask for another index, or the table has to be larger (IRTA.S)", ()
    at = built.tables[unit] + 16 * index
    word = int.from_bytes(m.ram.read(at, 16) or bytes(16), "little")
    fields = IRTE.split(word)
    if reason == Reason.SOURCE_ID:
        changed = {"sid": fault.rid, "svt": 1, "sq": 0}
        what = f"entry {index:#x} allows {bdf_text(fault.rid)} in"
    elif reason == Reason.NOT_PRESENT:
        changed = {"p": 1, "sid": fault.rid, "svt": 1, "vector": fields["vector"] or 0x20,
                   "dst": fields["dst"] or m.apic_id[0]}
        what = f"entry {index:#x} is present and allows {bdf_text(fault.rid)} in"
    else:
        return "", ()
    clean = {name: value for name, value in fields.items() if not name.startswith("reserved")}
    return what, (c.RamWrite(at, IRTE.make(**(clean | changed)).to_bytes(16, "little")),)
