"""A machine from what was dumped: the same entries, the same messages, and a fault line sent again."""

import pytest

from tests.places import real_files
from tests.vsim.findings.machine_texts import BASE, CPUS, INTERRUPTS, NIC, irq, machine, madt
from tests.vsim.findings.test_catalogue import ABSENT, FAULT, SOURCE
from vsim.findings.catalogue import examine
from vsim.findings.rebuild import Rebuilt, rebuild, replay
from vsim.layouts.formats import IRTE, RTE_REMAP
from vsim.machine import step
from vsim.readers import acpi_dmar
from vsim.state import commands as c
from vsim.state.trace import Act


def built(changed: dict[str, str | None] | None = None) -> tuple[Rebuilt, list]:
    """The small machine rebuilt, with some texts changed, and its faults."""
    sources = machine() | (changed or {})
    picture = examine([(name, text) for name, text in sources.items() if text is not None]).picture
    return rebuild(picture), picture.faults


def test_processors_units_functions_and_entries_are_as_dumped():
    found, _ = built()
    m = found.run()
    assert tuple(m.apic_id) == CPUS and [f.bdf for f in m.bus.functions] == [0, 0xE0, NIC]
    assert m.unit_of(NIC) == 0 and found.units[0].base == BASE
    for _, entry, cpu, vector in INTERRUPTS:
        fields = IRTE.split(int.from_bytes(m.ram.read(found.tables[0] + 16 * entry, 16), "little"))
        assert (fields["p"], fields["vector"], fields["dst"], fields["sid"]) == (1, vector, CPUS[cpu], NIC)
    assert found.assumed == ["where the tables are in memory; that no entry is cached"]


@pytest.mark.parametrize("number", range(3))
def test_a_device_that_fires_reaches_the_processor_that_the_kernel_meant(number):
    m = built()[0].run()
    m.events = []
    taken = [event for event in step(m, c.Signal(NIC, number)) if event.act == Act.ACCEPTED]
    _, _, cpu, vector = INTERRUPTS[number]
    assert [(event.node & 0xFFFFFF, event.index) for event in taken] == [(cpu, vector)]


@pytest.mark.parametrize("reason, index, rid", [(0x22, 0x33, "01:00.0"), (0x26, 9, "01:00.0"), (0x26, 0, "00:1c.0")])
def test_a_fault_line_is_replayed_and_its_cure_lets_it_pass(reason, index, rid):
    found, faults = built({"faults": FAULT.format(rid, index, *(ABSENT if reason == 0x22 else SOURCE))})
    told = replay(found, faults[0])
    assert (told.same, told.reason, told.index, told.source) == (True, reason, index, faults[0].rid)
    m = found.run()
    for command in told.cure:
        step(m, command)
    assert told.change and replay(found, faults[0], m).reason == -1


def test_a_message_in_compatibility_format_has_no_cure():
    found, faults = built({"faults": FAULT.format("01:00.0", 0, 0x25, "Blocked a compatibility format request")})
    told = replay(found, faults[0])
    assert (told.same, told.reason, told.cure) == (True, 0x25, ()) and "no setting" in told.change


def test_a_fault_whose_entry_was_written_since_passes_and_says_so():
    found, faults = built({"faults": FAULT.format("01:00.0", 1, *ABSENT)})
    told = replay(found, faults[0])
    assert not told.same and "it passes" in told.note


def test_what_no_text_says_is_assumed_and_told():
    found, _ = built({"cpuid": None, "madt": None, "registers": None, "dmar": None, "lspci": None, "log": None})
    text = "; ".join(found.assumed)
    for word in ("APIC IDs of 4 processors", "1 functions as their interrupts name them", "CAP and ECAP of dmar0",
                 "registers of dmar0", "32-bit destinations in dmar0", "requester id of the I/O APIC"):
        assert word in text
    with pytest.raises(ValueError, match="there is no machine to build"):
        rebuild(examine([("a", "nothing")]).picture)


@pytest.mark.parametrize("path", real_files("fault-lines/*.txt"))
def test_a_log_of_faults_alone_makes_a_machine_that_refuses_them(path):
    picture = examine([("log", path.read_bytes())]).picture
    found = rebuild(picture)
    faults = [fault for fault in picture.faults if fault.kind == "interrupt" and fault.reason > 0]
    assert faults
    for fault in faults:
        told = replay(found, fault)
        assert told.same or told.note


@pytest.mark.parametrize("path", real_files("debugfs-irq/laptop-vmd/*.txt"))
def test_a_laptop_is_rebuilt_from_its_interrupts(path):
    picture = examine([("laptop", path.read_bytes())]).picture
    found = rebuild(picture)
    assert len(found.units) == 2 and found.run().vcpus == 20


def test_a_large_host_has_all_its_units_processors_and_functions():
    units = [acpi_dmar.unit(0xD0000000 + 0x1000 * n, [acpi_dmar.scope_of(2, 8 * n)], n == 15) for n in range(16)]
    lspci = "".join(f"00:{n:02x}.0 PCI bridge: P{n}\n\tControl: I/O+\n\tBus: primary=00, secondary={n + 1:02x}, "
                    f"subordinate={n + 1:02x}, sec-latency=0\n\tCapabilities: [40] Express (v2) Root Port (Slot+)\n\n"
                    for n in range(16))
    lspci += "".join(f"{n % 16 + 1:02x}:{n // 128:02x}.{n // 16 % 8} NIC: N{n}\n\tControl: I/O+\n\tCapabilities: [70] "
                     f"MSI-X: Enable+ Count=64 Masked-\n\tCapabilities: [a0] Express (v2) Endpoint\n\n"
                     for n in range(384))
    picture = examine([("dmar", bytes(acpi_dmar.table(units))), ("lspci", lspci),
                       ("madt", madt(tuple(range(0, 288, 2))))]).picture
    found = rebuild(picture)
    m = found.run()
    assert (len(found.units), m.units, m.vcpus, len(m.bus.functions)) == (16, 16, 144, 400)
    assert {m.unit_of(m.bus.requester(f.bdf)) for f in m.bus.functions if not f.bridge} == set(range(16))


def test_all_io_apics_and_the_hpet_are_there_and_a_pin_is_on_its_own():
    log = ("[    0.1] IOAPIC[0]: apic_id 8, version 32, address 0xfec00000, GSI 0-23\n"
           "[    0.1] IOAPIC[1]: apic_id 9, version 32, address 0xfec01000, GSI 24-47\n")
    pin = irq(30, 5, 0, 40).replace("IR-PCI-MSIX-0000:01:00.0-12", "IO-APIC-9").replace("0000:01:00.0", "(null)")
    picture = examine([("log", log), ("irq", pin.replace(" hwirq:   0x5\n", " hwirq:   0x3\n"))]).picture
    assert sorted(picture.ioapics) == [8, 9] and [each.pin for each in picture.interrupts] == [(9, 3)]
    picture.requesters["hpet", 0] = 0xF0F9, next(iter(picture.ioapics.values())).side
    picture.requesters["ioapic", 9] = 0xF1F8, next(iter(picture.ioapics.values())).side
    found = rebuild(picture)
    m = found.run()
    assert [(each.gsi, each.pins) for each in m.profile.options.ioapics] == [(0, 24), (24, 24)]
    assert m.profile.options.ioapics[1].sid == 0xF1F8
    assert (m.profile.options.hpet_timers, m.profile.options.hpet_sid) == (3, 0xF0F9)
    programmed = [place for place, word in enumerate(m.rte) if RTE_REMAP.split(word)["format"]]
    assert programmed == [24 + 3] and RTE_REMAP.split(m.rte[27])["handle"] == 5
    assert "requester id of I/O APIC 8" in found.assumed and "timers of the HPET: 3" in found.assumed
