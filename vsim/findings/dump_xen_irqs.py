"""What Xen would print of the interrupts of this machine: the debug keys M, i and z.

The forms are those of prints of Xen 4.17; `readers/xen_irqs` reads them. The small kernel stands where domain 0 would:
every interrupt is bound to it but those of the units. Xen prints remapped pins and messages as if nothing remapped:
with the vector and destination of their entries (dump_msi of xen/arch/x86/msi.c, dump_irqs of xen/arch/x86/irq.c).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vsim.devices import msi, vioapic
from vsim.findings.dump_linux import Interrupt, interrupts, runs
from vsim.findings.subject import Subject
from vsim.guest.kernel import Guest
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE, RTE, RTE_REMAP
from vsim.layouts.registers import IOAPIC_ARBITRATION, IOAPIC_VERSION, IRTA
from vsim.layouts.registers import IOAPIC_ID as ID_REGISTER
from vsim.machine import remapping_on
from vsim.readers.acpi_dmar import IOAPIC_ID

_DELIVERY = ("Fixed", "LoPri", "SMI", "?", "NMI", "INIT", "?", "ExINT")
_GUEST = 0x10             # bit of the status: bound to a domain
_FAULT_HANDLER = "drivers/passthrough/vtd/iommu.c#iommu_page_fault()"


class Way(NamedTuple):
    """Where an interrupt goes, remapped or not; fields as in `formats.RTE`, dest of up to 32 bits."""

    vector: int
    dlm: int
    dm: int
    dest: int
    tm: int
    rh: int = 0


def _wide(subject: Subject) -> bool:
    """Whether destinations are told with 32 bits: some unit remaps."""
    return any(remapping_on(unit.machine, unit.number) for unit in subject.units)


def _entry(subject: Subject, unit: int, word: int) -> Way:
    """Where an entry of a unit of the machine sends its requests."""
    f = IRTE.split(word)
    own = next((each for each in subject.units if each.number == unit), None)
    wide = own is not None and get(own.register("IRTA"), IRTA.eime)
    return Way(f["vector"], f["dlm"], f["dm"], f["dst"] if wide else f["dst"] >> 8 & 0xFF, f["tm"], f["rh"])


def pin_way(subject: Subject, which: int, word: int) -> Way:
    """Where a pin of an I/O APIC sends its interrupt; one that no table in memory knows goes nowhere."""
    if not get(word, RTE.format):
        f = RTE.split(word)
        return Way(f["vector"], f["dlm"], f["dm"], f["dest"], f["tm"])
    m = subject.machine
    number = m.unit_of(m.profile.options.ioapics[which].sid)
    unit = next((each for each in subject.units if each.number == number), None)
    f = RTE_REMAP.split(word)
    data = m.ram.read(unit.table + 16 * f["handle"], 16) if unit and f["handle"] < unit.size else None
    return _entry(subject, number, int.from_bytes(data or bytes(16), "little"))


def _way(subject: Subject, guest: Guest, each: Interrupt) -> Way:
    """Where an interrupt of the kernel goes, as it wrote it last."""
    source = each.source
    if source is None:
        vector = next(vector for vector, unit in guest.fault_vectors.items() if unit == each.hwirq)
        return Way(vector, 0, 0, subject.machine.apic_id[0], 0)
    if source.index >= 0:
        return _entry(subject, source.unit, source.entry)
    return Way(source.vector, 0, 0, subject.machine.apic_id[source.vcpu], int(source.kind == "pin"))


# --- M ---


def key_m(subject: Subject) -> str:
    """Every message: of units, of MSI, of MSI-X, each with its device's own mask bit.

    Neither the host nor the guest wants one masked: what they want is Xen's own note, and no Xen runs here.
    """
    guest = subject.booted
    rows = ["MSI information:"]
    for each in interrupts(subject, guest):
        if each.source is None or each.source.kind != "pin":
            rows.append(_message(subject, guest, each))
    return _text(rows)


def _message(subject: Subject, guest: Guest, each: Interrupt) -> str:
    source, way = each.source, _way(subject, guest, each)
    kind = "IOMMU" if source is None else source.kind.upper()
    maskable, masked = True, -1
    if source is not None:
        m, bus = subject.machine, subject.machine.bus
        place = bus.place(source.bdf)
        maskable = source.kind != "msi" or bus.functions[place].msi_maskable
        masked = msi.mask_bit(bus, m.config, m.msix, place, source.number)
    return message_row(kind, each.number, way, maskable, "?" if masked < 0 else str(masked))


def message_row(kind: str, irq: int, way: Way, maskable: bool, masked: str, wanted: str = "  ") -> str:
    """A message. masked: the device's bit, "?" where it has none; wanted: who wants it masked, of "HG"."""
    return (f" {kind:<6}{irq:4} vec={way.vector:02x}{'lowest' if way.dlm == 1 else 'fixed':>7}"
            f"{'level' if way.tm else 'edge':>6}{'':3}assert{'log' if way.dm else 'phys':>5}"
            f"{'lowest' if way.rh else 'cpu':>7} dest={way.dest:08x} mask={int(maskable)}/{wanted}/{masked}")


# --- i ---


DIRECT = (
    (0x22, "irq_move_cleanup_interrupt"), (0xF9, "pmu_apic_interrupt"), (0xFA, "apic_timer_interrupt"),
    (0xFB, "call_function_interrupt"), (0xFC, "event_check_interrupt"), (0xFD, "invalidate_interrupt"),
    (0xFE, "error_interrupt"), (0xFF, "spurious_interrupt"))
"""Vectors that Xen 4.17 takes for itself on a machine without CMCI, thermal events and posted interrupts, and who
serves them (apic_intr_init of xen/arch/x86/apic.c, smp_intr_init; a print of our own run)."""


def key_i(subject: Subject) -> str:
    """Every interrupt with its CPUs and whose it is, Xen's own vectors, the pins of those interrupts that have one."""
    guest = subject.booted
    found = interrupts(subject, guest)
    everybody = runs(sorted(guest.online))
    rows, pins = ["IRQ information:"], ["IO-APIC interrupt information:"]
    for each in found:
        way, source = _way(subject, guest, each), each.source
        kind = "DMA_MSI" if source is None else "PCI-MSI/-X"
        if source is not None and source.kind == "pin":
            kind = f"IO-APIC-{'level' if way.tm else 'edge'}"
            pins += _pin(subject, each, way)
        cpu = source.vcpu if source else 0
        owner = f"in-flight=0 d0:{each.number:3}(---)" if source else _FAULT_HANDLER
        rows.append(irq_row(each.number, way.vector, kind, _GUEST if source else 0, everybody, str(cpu), owner))
    return _text([*rows, "Direct vector information:", *(direct_row(*each) for each in DIRECT), *pins])


def direct_row(vector: int, handler: str) -> str:
    """A vector of Xen's own."""
    return f"   {vector:#04x} -> {handler}()"


def irq_row(irq: int, vector: int, kind: str, status: int, affinity: str, cpus: str, owner: str) -> str:
    """An interrupt. owner: what stands at the end of the row."""
    return f"   IRQ:{irq:4} vec:{vector:02x} {kind:<15} status={status:03x} aff:{{{affinity}}}/{{{cpus}}} {owner}"


def _pin(subject: Subject, each: Interrupt, way: Way) -> Iterator[str]:
    m = subject.machine
    place = m.profile.options.pin_of(each.number)
    which, ioapic = next((number, own) for number, own in enumerate(m.profile.options.ioapics)
                         if own.first <= place < own.first + own.pins)
    yield f"    IRQ{each.number:3} Vec{way.vector:3}:"
    yield pin_line(which, place - ioapic.first, way, m.rte[place], 8 if _wide(subject) else 2)


def pin_line(which: int, pin: int, way: Way, word: int, width: int) -> str:
    """A pin of key i. word: its redirection entry; width: digits of the destination, 8 with remapping, else 2."""
    f = RTE.split(word)
    return (f"      Apic 0x{which:02x}, Pin {pin:2}: vec={way.vector:02x} delivery={_DELIVERY[way.dlm]:<5} "
            f"dest={'L' if way.dm else 'P'} status={f['status']} polarity={f['polarity']} irr={f['irr']} "
            f"trig={'L' if way.tm else 'E'} mask={f['mask']} dest_id:{way.dest:0{width}x}")


# --- z ---


def key_z(subject: Subject) -> str:
    """The registers and pins of every I/O APIC by its id in the MADT, and which pins have which vector."""
    m = subject.machine
    ioapics = m.profile.options.ioapics
    width = 8 if _wide(subject) else 2
    used = sum(not get(word, RTE.mask) for word in m.rte)
    rows = [f"number of MP IRQ sources: {used}."]
    rows += [f"number of IO-APIC #{IOAPIC_ID + which} registers: {own.pins}." for which, own in enumerate(ioapics)]
    rows.append("testing the IO APIC.......................")
    mapped = []
    for which, own in enumerate(ioapics):
        rows += _registers(subject, which)
        for pin in range(own.pins):
            word = m.rte[own.first + pin]
            way = pin_way(subject, which, word)
            rows.append(table_row(pin, way, word, width))
            if not get(word, RTE.mask) and way.vector:
                mapped.append(f"IRQ{way.vector} -> {which}:{pin}")
    return _text([*rows, "Using vector-based indexing", "IRQ to pin mappings:", *mapped,
                  ".................................... done."])


def _registers(subject: Subject, which: int) -> Iterator[str]:
    own, version, order = (vioapic.read_index(subject.machine, index, which) for index in range(3))
    yield f"IO APIC #{IOAPIC_ID + which}......"
    yield f".... register #00: {own:08X}"
    yield f".......    : physical APIC id: {get(own, ID_REGISTER.id):02X}"
    yield ".......    : Delivery Type: 0"
    yield ".......    : LTS          : 0"
    yield f".... register #01: {version:08X}"
    yield f".......     : max redirection entries: {get(version, IOAPIC_VERSION.last):04X}"
    yield ".......     : PRQ implemented: 0"
    yield f".......     : IO APIC version: {get(version, IOAPIC_VERSION.version):04X}"
    yield f".... register #02: {order:08X}"
    yield f".......     : arbitration: {get(order, IOAPIC_ARBITRATION.id):02X}"
    yield ".... IRQ redirection table:"
    yield " NR  DestID Msk Trg IRR Pol Stat DstM DelM Vec"


def table_row(pin: int, way: Way, word: int, width: int) -> str:
    """A pin of key z. word: its redirection entry; width: digits of the destination."""
    f = RTE.split(word)
    return (f" {pin:02x} {way.dest:0{width}x} {f['mask']}   {way.tm}   {f['irr']}   {f['polarity']}   {f['status']}"
            f"    {way.dm}    {way.dlm}    {way.vector:02X}")


def _text(rows: list[str]) -> str:
    return "".join(f"(XEN) {row}\n" for row in rows)
