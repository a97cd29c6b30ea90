"""A machine on the bench from what was dumped: processors, units, functions, entries, pins and messages.

    built = rebuild(picture)
    built.machine, built.commands, built.assumed
    replay(built, fault)        # a fault line sent again

What no text says is assumed, and told in `assumed`; a machine is made once as after power-on, all else are commands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from vsim.devices import viommu, vlapic
from vsim.domain.buses import bridge_function
from vsim.findings.chain import destinations, entry_of, index_of, live
from vsim.findings.picture import Picture, Unit
from vsim.guest.cpu import Cpu
from vsim.guest.irq import Interrupts
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IRTE, RTE, RTE_REMAP, Reason, remap_message
from vsim.layouts.registers import ECAP, GCMD, IRTA, OFFSET
from vsim.machine import step
from vsim.readers.debugfs_irq import Interrupt
from vsim.readers.linux_faults import Fault
from vsim.readers.lspci import Host
from vsim.state import commands as c
from vsim.state.arrays import MAX_VCPUS, Apic, Machine
from vsim.state.pci import Bus
from vsim.state.pci_function import MAX_NAME, Function
from vsim.state.profile import IOAPIC_WINDOW, MAX_UNITS, MOST_IOAPICS, Capabilities, Options, Profile
from vsim.state.trace import Act, Event

PAGE, TABLE, FIRST_TABLE = 4096, 1 << 20, 2 << 20
"""Bytes of a register page and of the room for a table; where the first table is put."""
BASE = 0xFED90000
MAX_FUNCTIONS = 4096
MOST_PINS, PINS = 240, 24
"""Pins of all I/O APICs together; how many one is taken to have when nothing says it."""
FIRST_PIN, IOAPIC_DATA = 0x10, 0x10
"""Index of the first redirection entry, and where the register behind an index is (82093AA 3.1)."""


@dataclass
class Rebuilt:
    """A machine as after power-on, and the commands that bring it to the dumped state.

    units: the unit of the picture that each vIOMMU stands for; assumed: what no text says; tables: address of each
    unit's table in memory.
    """

    machine: Machine
    commands: list[c.Command] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)

    def run(self) -> Machine:
        """A copy of the machine with all commands done."""
        machine = self.machine.copy()
        for command in self.commands:
            step(machine, command)
        return machine


def rebuild(picture: Picture) -> Rebuilt:
    """The machine that a picture shows. ValueError when it shows neither a processor nor a unit nor a function."""
    if not (picture.cpus or picture.counts or picture.units or picture.entries or picture.functions or picture.faults):
        raise ValueError("the texts show no processor, unit, entry, function or fault: there is no machine to build")
    assumed: list[str] = []
    units = _units(picture, assumed)
    ids = _apic_ids(picture, assumed)
    bus = Bus(sorted(_functions(picture, assumed).values(), key=lambda function: function.bdf))
    profile = _profile(picture, units, ids, assumed)
    machine = Machine(profile, len(ids), FIRST_TABLE + TABLE * (len(units) + 1), bus)
    for vcpu in range(len(ids)):
        machine.svr[vcpu] |= 0x100
        vlapic.set_mode(machine, vcpu, Apic.X2APIC)
    built = Rebuilt(machine, units=units, assumed=assumed)
    machine.scope = _scope(picture, units, bus)
    _create(built, picture)
    _program(built, picture)
    return built


# --- what there is ---


def _units(p: Picture, assumed: list[str]) -> list[Unit]:
    """The units that answer, the one that takes all others last."""
    alive = [unit for unit in p.units if not unit.dead and "dead" not in unit.sides]
    bases = {unit.base for unit in alive if unit.name}
    alive = [unit for unit in alive if unit.name or unit.base not in bases]
    if len(alive) < len(p.units):
        assumed.append(f"{len(p.units) - len(alive)} units that do not answer are left out")
    if not alive and (p.entries or p.faults):
        alive = [Unit("")]
    return sorted(alive[:MAX_UNITS], key=lambda unit: bool(unit.all))


def _apic_ids(p: Picture, assumed: list[str]) -> tuple[int, ...]:
    """The processors' APIC IDs by the operating system's number, as far as that is known."""
    ids = [p.by_number[number] for number in sorted(p.by_number)] if p.all_cpus else []
    ids += [apic_id for apic_id in sorted(p.cpus) if apic_id not in ids]
    if not p.all_cpus:
        wanted = max([1, *(each.count for each in p.counts), *(each.online for each in p.matrices),
                      *(1 + each.cpu for each in p.interrupts if each.cpu is not None)])
        named = set[int]().union(*(destinations(p, entry) or () for entry in p.entries.values()))
        ids += sorted(each for each in named if each not in ids and each < 1 << 20)[:MAX_VCPUS]
        ids += [number for number in range(wanted) if number not in ids][:max(0, wanted - len(ids))]
        assumed.append(f"APIC IDs of {len(ids)} processors (neither MADT nor CPUID is given)")
    return tuple(ids[:MAX_VCPUS]) or (0,)


def _functions(p: Picture, assumed: list[str]) -> dict[int, Function]:
    """The functions of segment 0: from lspci, else as interrupts name them."""
    found: dict[int, Function] = {}
    host = p.functions or Host(())
    others = sum(each.segment != 0 for each in host.functions)
    buses: set[int] = set()
    for each in host.functions[:MAX_FUNCTIONS]:
        if each.segment or each.bdf in found:
            continue
        if each.bridge and each.bridge[1] >= 1 and each.bridge[1] not in buses:
            buses.add(each.bridge[1])
            found[each.bdf] = bridge_function(each)
        else:
            name = f"{each.class_name}: {each.name}" if each.name else each.class_name
            found[each.bdf] = Function(each.bdf, _clean(name), False, each.msi_count, each.msi_64, each.msi_maskable,
                                       each.msix_count, each.pin, conventional=each.pcie_type is None)
    if others:
        assumed.append(f"{others} functions of other segments are left out: the machine has one")
    for interrupt in p.interrupts:
        if interrupt.rid and interrupt.rid[0] == 0 and interrupt.rid[1] not in found:
            messages = 1 + max(_number(one) for one in p.interrupts if one.rid == interrupt.rid)
            found[interrupt.rid[1]] = Function(interrupt.rid[1], "named by its interrupt",
                                               msix_count=min(messages, 2048))
    if p.functions is None and found:
        assumed.append(f"{len(found)} functions as their interrupts name them (no lspci is given): MSI-X, no bridges")
    return _fitting(found, assumed)


def _fitting(found: dict[int, Function], assumed: list[str]) -> dict[int, Function]:
    """Functions with as many MSI-X tables as the window of addresses has room for."""
    try:
        Bus(sorted(found.values(), key=lambda function: function.bdf))
    except ValueError as error:
        assumed.append(f"MSI-X tables are cut to 8 entries each: {error}")
        found = {bdf: replace(each, msix_count=min(each.msix_count, 8)) for bdf, each in found.items()}
        try:
            Bus(sorted(found.values(), key=lambda function: function.bdf))
        except ValueError as second:
            assumed.append(f"functions have neither tables nor bridges: {second}")
            found = {bdf: replace(each, msix_count=0, bridge=None) for bdf, each in found.items()}
    return found


def _clean(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)[:MAX_NAME]


def _number(interrupt: Interrupt) -> int:
    """Which message of its function an interrupt is."""
    return interrupt.levels[0].hwirq % 2048 if interrupt.levels else 0


def _profile(p: Picture, units: list[Unit], ids: tuple[int, ...], assumed: list[str]) -> Profile:
    """The specification's machine with these units and processors, and no entry cache: the dump is what counts."""
    words = []
    for unit in units:
        if unit.cap is None or unit.ecap is None:
            assumed.append(f"CAP and ECAP of {unit.label}")
            words.append(Capabilities())
            continue
        try:
            words.append(Capabilities(unit.cap, unit.ecap | ECAP.ir.mask | ECAP.qi.mask))
        except ValueError as error:
            assumed.append(f"CAP and ECAP of {unit.label}: {error}")
            words.append(Capabilities())
    base = words[0] if words else Capabilities()
    for place, each in enumerate(words):
        if each.shape != base.shape:
            assumed.append(f"fault records of {units[place].label} are where those of {units[0].label} are")
            words[place] = base
    sid = next((rid for (kind, _), (rid, _) in p.requesters.items() if kind == "ioapic"), None)
    if sid is None:
        pins = (entry_of(p, each, each.entry) for each in p.interrupts if each.pin and each.entry is not None)
        sid = next((entry.fields["sid"] for entry in pins if entry), None)
    if sid is None:
        assumed.append("requester id of the I/O APIC")
    rows = _ioapics(p, Options().ioapic_sid if sid is None or sid < 0 else sid, assumed)
    hpet = next((rid for (kind, _), (rid, _) in sorted(p.requesters.items()) if kind == "hpet" and rid >= 0), None)
    if hpet is not None:
        assumed.append("timers of the HPET: 3")
    options = Options(apic_ids=ids, cache="none", max_units=max(1, len(units)), ioapic_pins=rows[0][2],
                      ioapic_sid=rows[0][3], more_ioapics=tuple(rows[1:]), hpet_timers=0 if hpet is None else 3,
                      hpet_sid=Options().hpet_sid if hpet is None else hpet)
    return Profile("spec", base, options).with_units(*words)


def _order(p: Picture) -> list[int]:
    """Ids of the I/O APICs that are rebuilt, by their first lines. Without lines that fit, the first one alone."""
    known = sorted((each.gsi, each.id) for each in p.ioapics.values())
    gsis = [gsi for gsi, _ in known]
    fits = gsis[:1] == [0] and len(set(gsis)) == len(gsis)
    return [each for gsi, each in known if gsi < MOST_PINS][:MOST_IOAPICS] if fits else []


def _ioapics(p: Picture, sid: int, assumed: list[str]) -> list[tuple[int, int, int, int]]:
    """(window, first GSI, pins, requester id) of each I/O APIC, the first at its usual place."""
    order = _order(p)
    if len(order) < len(p.ioapics):
        assumed.append(f"of {len(p.ioapics)} I/O APICs {max(1, len(order))} (their lines overlap, or do not fit)")
    if len(order) < 2:
        return [(IOAPIC_WINDOW, 0, MOST_PINS, sid)]
    rows = []
    gsis = [p.ioapics[each].gsi for each in order]
    for place, (number, gsi) in enumerate(zip(order, gsis, strict=True)):
        end = gsis[place + 1] if place + 1 < len(order) else min(MOST_PINS, gsi + PINS)
        rid = p.requesters.get(("ioapic", number), (-1, None))[0]
        if rid < 0:
            assumed.append(f"requester id of I/O APIC {number}")
        rows.append((IOAPIC_WINDOW + PAGE * place, gsi, end - gsi, sid if rid < 0 else rid))
    assumed.append(f"windows of {len(order)} I/O APICs, and the pins of the last: {rows[-1][2]}")
    return rows


def _scope(p: Picture, units: list[Unit], bus: Bus) -> dict[int, int]:
    """Which unit each requester goes to: as the DMAR table has it, else as the entries have it."""
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
            built.assumed.append(f"registers of {unit.label} are at {base:#x}")
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
            built.assumed.append(f"32-bit destinations in {unit.label}")
        latch = IRTA.make(base=table // PAGE, eime=int(eime is not False), s=size)
        built.commands += [c.RamWrite(table, bytes(image)), c.Mmio(base + OFFSET["IRTA"], 8, latch),
                           c.Mmio(base + OFFSET["GCMD"], 4, GCMD.make(sirtp=1))]
        if unit.on is not False:
            built.commands.append(c.Mmio(base + OFFSET["GCMD"], 4, GCMD.make(ire=1)))
    if built.units:
        built.assumed.append("where the tables are in memory; that no entry is cached")


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
    unsaid = 0
    for each in live(p):
        if each.pin is not None and each.entry is not None and (at := _place(p, machine, each.pin)) is not None:
            _write_pin(issue, *at, RTE_REMAP.make(handle=each.entry, format=1, vector=each.vector or 0,
                                                             tm=int("IRQD_LEVEL" in each.flags)))
        elif each.rid and each.rid[0] == 0 and (index := index_of(each)) is not None:
            said = each.address is not None
            address, data = (each.address, each.data or 0) if said else remap_message(index)
            unsaid += not said
            messages.setdefault(each.rid[1], {})[_number(each)] = int(address or 0), data
    for bdf, found in messages.items():
        _messages(interrupts, bus, bdf, found)
    if unsaid:
        built.assumed.append(f"{unsaid} messages: that they ask for the entries of their interrupts")


def _place(p: Picture, m: Machine, pin: tuple[int, int]) -> tuple[int, int] | None:
    """Window and pin of an (I/O APIC, pin) of the dump; None for one that the machine has not.

    Where there is only one, all pins are its own.
    """
    ioapics, order = m.profile.options.ioapics, _order(p)
    if len(ioapics) > 1 and pin[0] not in order:
        return None
    own = ioapics[order.index(pin[0]) if len(ioapics) > 1 else 0]
    return (own.window, pin[1]) if pin[1] < own.pins else None


def _write_pin(issue: Callable[[c.Command], list[Event]], window: int, pin: int, entry: int) -> None:
    """Write a redirection entry: masked, high half, low half."""
    for half, value in ((0, entry & 0xFFFFFFFF | RTE.mask.mask), (1, entry >> 32), (0, entry & 0xFFFFFFFF)):
        issue(c.Mmio(window, 4, FIRST_PIN + 2 * pin + half))
        issue(c.Mmio(window + IOAPIC_DATA, 4, value))


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
    says; none where no setting does.
    """

    reason: int
    index: int
    source: int
    same: bool
    note: str
    change: str = ""
    cure: tuple[c.Command, ...] = ()


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
    blocked = next((event for event in events if event.act == Act.BLOCKED), None)
    if blocked is None:
        return Replayed(-1, -1, -1, False, "it passes: what refused it is no longer so in these texts")
    index = blocked.low if fault.reason != Reason.COMPATIBILITY else fault.index or 0
    same = (blocked.index, blocked.high) == (fault.reason, fault.rid) and (fault.index is None or index == fault.index)
    note = "the same reason, index and source" if same else \
        f"it is refused with {blocked.index:#x}, the line says {fault.reason:#x}"
    change, cure = _cure(built, machine, fault, blocked.index)
    return Replayed(blocked.index, index, blocked.high, same, note, change, cure)


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
