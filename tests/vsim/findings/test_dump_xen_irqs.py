"""Xen's debug keys M, i and z on a machine: messages, interrupts and pins come back, in the real form."""

import re

import pytest

from tests.vsim.findings.booted import Booted, lab_file, lived, read_back
from vsim.devices import msi
from vsim.findings import dump_linux
from vsim.findings import dump_xen_irqs as dumps
from vsim.findings.dump_linux import interrupts
from vsim.findings.dump_xen_irqs import Way
from vsim.findings.dumps import dump
from vsim.findings.subject import Subject
from vsim.readers import ranges, xen_irqs
from vsim.readers.xen_irqs import Direct, IoApic, Irq, Msi, Pin, Route

FORMATS = pytest.mark.parametrize("eim", [1, 0, None])


def of_kind(records, kind):
    return [record for record in records if isinstance(record, kind)]


def expected(booted, kinds):
    """{Linux's number: (vector, APIC ID)} of the kernel's interrupts of some kinds."""
    ids = booted.machine.apic_id
    return {each.number: (each.source.vector, ids[each.source.vcpu])
            for each in interrupts(booted.subject, booted.guest) if each.source and each.source.kind in kinds}


@FORMATS
def test_messages_come_back(eim):
    booted = lived(eim=eim)
    found = of_kind(read_back(xen_irqs, booted.dump("M")), Msi)
    devices = {each.irq: (each.vector, each.dest) for each in found if each.kind != "IOMMU"}
    assert devices == expected(booted, {"msi", "msi-x"}) and len(devices) > 3
    assert [each.masked for each in found if each.kind == "IOMMU"] == ([None] if eim is not None else [])


def test_a_message_has_the_mask_bit_of_its_device():
    """As msi_get_mask_bit of xen/arch/x86/msi.c reads it: no bit, and memory that does not answer, are a "?"."""
    booted = lived()
    m, bus = booted.machine, booted.machine.bus
    sources = {each.number: each.source for each in interrupts(booted.subject, booted.guest) if each.source}

    def masks():
        return {each.irq: each.masked for each in of_kind(read_back(xen_irqs, booted.dump("M")), Msi)}
    before = masks()
    for number, source in sources.items():
        if source.kind == "msi-x":
            assert before[number] is False
            m.msix[4 * (bus.msix_starts[bus.place(source.bdf)] + source.number) + 3] |= 1
            assert masks() == before | {number: True}
            place = bus.place(source.bdf)
            break
    m.config[msi.CONFIG_BYTES * place + msi.COMMAND] &= ~2          # memory decoding off
    assert masks()[number] is None
    plain = [number for number, source in sources.items() if source.kind == "msi"
             and not bus.functions[bus.place(source.bdf)].msi_maskable]
    assert all(before[number] is None for number in plain)


@FORMATS
def test_interrupts_and_their_pins_come_back(eim):
    booted = lived(eim=eim)
    records = read_back(xen_irqs, booted.dump("i"))
    found = {each.irq: each for each in of_kind(records, Irq)}
    wanted = expected(booted, {"msi", "msi-x", "pin"})
    guests = {irq: each for irq, each in found.items() if each.guests}
    assert {irq: each.vector for irq, each in guests.items()} == {irq: vector for irq, (vector, _) in wanted.items()}
    sources = {each.number: each.source for each in interrupts(booted.subject, booted.guest) if each.source}
    assert {irq: each.cpus for irq, each in guests.items()} == {
        irq: ranges.of([source.vcpu]) for irq, source in sources.items()}
    assert {each.affinity for each in found.values()} == {ranges.of(range(4))}
    assert {each.irq: (each.vector, each.dest) for each in of_kind(records, Pin)} == expected(booted, {"pin"})


@FORMATS
def test_every_pin_of_the_io_apic_comes_back(eim):
    booted = lived(eim=eim)
    records = read_back(xen_irqs, booted.dump("z"))
    (ioapic,) = of_kind(records, IoApic)
    assert (ioapic.pins, ioapic.version) == (len(booted.machine.rte), booted.machine.profile.options.ioapic_version)
    pins = of_kind(records, Pin)
    wanted = expected(booted, {"pin"})
    assert [each.pin for each in pins] == list(range(len(booted.machine.rte)))
    assert {each.pin: (each.vector, each.dest) for each in pins if not each.mask} == wanted and wanted
    assert {each.vector: each.pins for each in of_kind(records, Route)} == {
        vector: ((0, pin),) for pin, (vector, _) in wanted.items()}


def test_key_z_needs_no_kernel_and_the_others_do():
    booted = Booted(boot=False)
    assert all(each.mask for each in of_kind(read_back(xen_irqs, booted.dump("z")), Pin))
    for kind in "Mi":
        with pytest.raises(ValueError, match="none runs: boot it first"):
            dump(kind, Subject(booted.machine))


def real(key):
    path = lab_file(f"xen-4.17/key-{key}.txt")
    if path is None:
        pytest.skip("no dumps of our own runs beside the real ones")
    text = path.read_text()
    return read_back(xen_irqs, text), [line.removeprefix("(XEN) ") for line in text.splitlines()
                                       if line.startswith("(XEN)")]


def word(pin):
    return dumps.RTE.make(status=pin.status, polarity=pin.polarity, irr=pin.irr, mask=pin.mask)


def way(pin):
    return Way(pin.vector, pin.dlm, pin.dm, pin.dest, pin.tm)


def test_messages_of_our_own_run_are_written_as_they_were_read():
    records, lines = real("M")
    again = [dumps.message_row(each.kind, each.irq, Way(each.vector, int(each.lowest), int(each.logical), each.dest,
                                                        int(each.level), int(each.hint)), each.maskable,
                               "?" if each.masked is None else str(int(each.masked))) for each in records]
    assert ["MSI information:", *again] == lines and len(again) == 2


def runs(cpus):
    return dump_linux.runs([cpu for low, high in cpus for cpu in range(low, high + 1)])


def test_interrupts_of_our_own_run_are_written_as_they_were_read():
    records, lines = real("i")
    again = [dumps.irq_row(each.irq, each.vector, each.kind, each.status, runs(each.affinity), runs(each.cpus),
                           "mapped, unbound" if each.unbound else each.owner or "in-flight=0 " + "".join(
                               f"d{guest.domain}:{guest.pirq:3}({guest.flags})" for guest in each.guests))
             for each in of_kind(records, Irq)]
    assert again == [line for line in lines if line.startswith("   IRQ:")] and len(again) == 18
    pins = [dumps.pin_line(each.ioapic, each.pin, way(each), word(each), 8) for each in of_kind(records, Pin)]
    assert pins == [line for line in lines if "Apic 0x" in line] and len(pins) == 16
    ours = lived().dump("i").splitlines()
    own = [f"   {each.vector:#04x} -> {each.handler}" for each in of_kind(records, Direct)]
    assert [dumps.direct_row(*each) for each in dumps.DIRECT] == own == [line for line in lines if " -> " in line]
    assert [f"(XEN) {each}" for each in own] == [line for line in ours if " -> " in line]
    for heading in ("IRQ information:", "Direct vector information:", "IO-APIC interrupt information:"):
        assert heading in lines and f"(XEN) {heading}" in ours


def test_pins_of_our_own_run_are_written_as_they_were_read():
    records, lines = real("z")
    pins = [dumps.table_row(each.pin, way(each), word(each), 8) for each in of_kind(records, Pin)]
    assert pins == [line for line in lines if re.match(r" [0-9a-f]{2} [0-9a-f]{8} ", line)] and len(pins) == 24
    ours = [line.removeprefix("(XEN) ") for line in lived().dump("z").splitlines()]

    def shape(text):
        rows = [re.sub(r"[0-9A-F]+", "#", line) for line in text if not re.match(r" [0-9a-f]{2} |IRQ\d", line)]
        return [re.sub(r"#+", "#", row) for row in rows]
    assert shape(ours) == shape(lines)
