"""A machine from what was dumped: the same entries, the same messages, and a fault line sent again."""

import pytest

from tests.places import real_files
from tests.vsim.findings.machine_texts import BASE, CPUS, INTERRUPTS, IOAPIC_RID, NIC, irq, large_host, machine, madt
from tests.vsim.findings.test_catalogue import ABSENT, FAULT, SOURCE, vpci
from vsim.findings.catalogue import examine
from vsim.findings.rebuild import Rebuilt, rebuild, replay
from vsim.layouts.formats import IRTE, RTE, RTE_REMAP
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.trace import Act, Kind, node


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
    assert list(found.assumed) == ["I/O APIC 2: its last pin is 23",
                                   "vIOMMU 0: where its table is in memory; that it has no copy of an entry"]
    assert found.left == [] and found.machine.profile.options.ioapic_sid == IOAPIC_RID


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


def test_the_broadcast_of_a_broken_madt_is_no_processor():
    found, _ = built({"madt": madt((*CPUS[:3], 0xFFFFFFFF)), "cpuid": None})
    assert tuple(found.machine.apic_id) == CPUS[:3]


def test_what_no_text_says_is_assumed_and_told():
    found, _ = built({"cpuid": None, "madt": None, "registers": None, "dmar": None, "lspci": None, "log": None})
    text = "; ".join(found.assumed)
    for word in ("vCPU 0-3: its APIC ID", "device 01:00.0: what it is and where", "vIOMMU 0: its CAP and ECAP",
                 "vIOMMU 0: its registers are at", "vIOMMU 0: its destinations have 32 bits",
                 "the first I/O APIC: that it is there", "the first I/O APIC: its requester id"):
        assert word in text
    assert found.assumed.elements == (node(Kind.DEVICE, NIC), node(Kind.VIOAPIC, 0), node(Kind.VIOMMU, 0),
                                      *(node(Kind.VLAPIC, vcpu) for vcpu in range(4)))
    assert found.assumed.words(node(Kind.VLAPIC, 3)).startswith("assumed: its APIC ID")
    assert found.assumed.words(node(Kind.VLAPIC, 4)) == ""
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
    found = rebuild(large_host())
    m = found.run()
    assert (len(found.units), m.units, m.vcpus, len(m.bus.functions)) == (16, 16, 144, 400)
    assert {m.unit_of(m.bus.requester(f.bdf)) for f in m.bus.functions if not f.bridge} == set(range(16))


def pin_of(ioapic: int, pin: int, number: int = 30, entry: int = 5) -> str:
    """debugfs' words on a pin that is remapped."""
    text = irq(number, entry, 0, 40).replace("IR-PCI-MSIX-0000:01:00.0-12", f"IO-APIC-{ioapic}")
    return text.replace("0000:01:00.0", "(null)").replace(f" hwirq:   {entry:#x}\n", f" hwirq:   {pin:#x}\n")


def log_of(*ioapics: tuple[int, int, int, int]) -> str:
    """Linux's log of I/O APICs: (id, address, first line, last line)."""
    return "".join(f"[    0.1] IOAPIC[{place}]: apic_id {number}, version 32, address {address:#x}, GSI {low}-{high}\n"
                   for place, (number, address, low, high) in enumerate(ioapics))


def from_log(*texts: str) -> Rebuilt:
    return rebuild(examine([(f"text{number}", text) for number, text in enumerate(texts)]).picture)


def test_all_io_apics_are_there_as_the_log_has_them_and_a_pin_is_on_its_own():
    log = log_of((8, 0xFEC00000, 0, 23), (9, 0xFEC08000, 24, 47))
    found = from_log(log + XEN_SCOPES, pin_of(9, 3))
    m = found.run()
    options = m.profile.options
    assert [(each.window, each.gsi, each.pins) for each in options.ioapics] == [
        (0xFEC00000, 0, 24), (0xFEC08000, 24, 24)]
    programmed = [place for place, word in enumerate(m.rte) if RTE_REMAP.split(word)["format"]]
    assert programmed == [24 + 3] and RTE_REMAP.split(m.rte[27])["handle"] == 5
    assert found.assumed.of(node(Kind.VIOAPIC, 24)) == ("its requester id",)
    assert not found.left


XEN_SCOPES = """(XEN) [VT-D]found ACPI_DMAR_DRHD:
(XEN) [VT-D]  dmaru->address = 0xfed90000
(XEN) [VT-D] MSI HPET: 0000:f0:0f.0
"""


@pytest.mark.parametrize("log, timers, sid", [
    (XEN_SCOPES, 3, 0xF078), (XEN_SCOPES + "[    0.1] ACPI: HPET id: 0x8086a701 base: 0xfed00000\n", 8, 0xF078),
    ("[    0.1] DMAR-IR: HPET id 0 under DRHD base 0xfed91000\n[    0.4] hpet0: 8 comparators, 64-bit\n", 8, None)])
def test_the_hpet_is_as_the_log_has_it(log, timers, sid):
    found = from_log(log + log_of((8, 0xFEC00000, 0, 23)), pin_of(8, 3))
    options = found.machine.profile.options
    assert options.hpet_timers == timers
    assert sid is None or options.hpet_sid == sid
    said = found.assumed.of(node(Kind.DEVICE, options.hpet_sid))
    assert said == (() if timers == 8 and sid else ("the HPET has 3 timers",) if sid else
                    ("the requester id of the HPET",))


def test_a_machine_without_a_word_on_an_hpet_has_none():
    assert from_log(log_of((8, 0xFEC00000, 0, 23)), pin_of(8, 3)).machine.profile.options.hpet_timers == 0


def test_seventeen_io_apics_are_all_there():
    rows = [(8 + place, 0xFEC00000 + 0x8000 * place, 14 * place, 14 * place + 13) for place in range(17)]
    found = from_log(log_of(*rows), pin_of(24, 13))
    m = found.run()
    assert [(each.window, each.gsi, each.pins) for each in m.profile.options.ioapics] == [
        (window, low, 14) for _, window, low, _ in rows]
    assert RTE_REMAP.split(m.rte[16 * 14 + 13])["handle"] == 5 and not found.left


def test_what_finds_no_room_is_left_out_with_both_sides():
    rows = [(8 + place, 0xFEC00000 + 0x1000 * place, 12 * place, 12 * place + 11) for place in range(18)]
    found = from_log(log_of(*rows), pin_of(25, 3))
    assert len(found.chips) == 17
    assert [str(each) for each in found.left] == [
        "text0:18:1: left out of the machine: I/O APIC 25: a machine has 17 I/O APICs with 240 pins at most",
        "text1:2:1: left out of the machine: pin 3 of I/O APIC 25 (irq 30): the machine has no I/O APIC 25"]


def test_lines_that_overlap_leave_the_later_one_out_and_say_so():
    found = from_log(log_of((8, 0xFEC00000, 0, 31), (9, 0xFEC01000, 24, 47), (10, 0xFEC02000, 48, 55)), pin_of(9, 3))
    assert [each.id for each in found.chips] == [8, 10]
    assert [str(each) for each in found.left] == [
        "text0:2:1: left out of the machine: I/O APIC 9: its lines begin with 24, and I/O APIC 8 has 0 to 31 (text0:1)",
        "text1:2:1: left out of the machine: pin 3 of I/O APIC 9 (irq 30): the machine has no I/O APIC 9"]


def test_a_window_where_none_can_be_is_told():
    found = from_log(log_of((8, 0xFED00000, 0, 23)), pin_of(8, 30))
    assert [str(each) for each in found.left] == [
        "text0:1:1: I/O APIC 8 is at 0xfed00000 there, and at 0xfec00000 in the machine: the first is at 0xfec00000, "
        "others are behind it",
        "text1:2:1: left out of the machine: pin 30 of I/O APIC 8 (irq 30): I/O APIC 8 has 24 pins"]
    assert found.assumed.of(node(Kind.VIOAPIC, 0)) == ("its registers are at 0xfec00000", "its requester id")


def test_a_pin_that_is_not_remapped_is_written_as_it_is():
    text = irq(30, 5, 2, 40, address=0xFEE04000).replace("PCI-MSIX-0000:01:00.0-12", "IO-APIC-2")
    found = built({"irq": text.replace("0000:01:00.0", "(null)").replace(" hwirq:   0x5\n", " hwirq:   0x4\n")})[0]
    word = RTE.split(found.run().rte[4])
    assert (word["vector"], word["dest"], word["mask"], word["format"]) == (40, CPUS[2], 0, 0)


@pytest.mark.parametrize("path", real_files("acpi/*/apic.bin"))
def test_the_io_apics_of_real_tables_are_where_the_table_has_them(path):
    picture = examine([("apic", path.read_bytes())]).picture
    found = rebuild(picture)
    rows = [(each["id"], each["address"], each["gsi"]) for each in picture.madt[0].ioapics]
    assert [(each.id, each.window, each.gsi) for each in found.chips] == rows and not found.left


@pytest.mark.parametrize("mark", ["(XEN) ", "[    0.1] "])
def test_entries_that_firmware_left_unused_are_no_processors(mark):
    log = (f"{mark}ACPI: LAPIC (acpi_id[0x01] lapic_id[0x02] enabled)\n"
           f"{mark}ACPI: LAPIC (acpi_id[0x02] lapic_id[0xff] enabled)\n")
    wide = f"{mark}ACPI: X2APIC (apic_id[0xffffffff] uid[0x3] enabled)\n" if "XEN" in mark else ""
    assert list(examine([("log", log + wide)]).picture.cpus) == [2]


def test_messages_of_emulated_functions_are_those_of_their_domain():
    text = vpci(mask=0)
    found = rebuild(examine([("M", text)]).picture)
    m = found.run()
    m.events = []
    assert [(f.bdf, f.msi_count, f.msi_64, f.msi_maskable, f.msix_count) for f in m.bus.functions] == [
        (0xFA, 1, True, True, 0), (0x300, 0, True, False, 2)]
    for bdf, vector, dest in ((0xFA, 0x31, 2), (0x300, 0x42, 0)):
        (taken,) = [event for event in step(m, c.Signal(bdf, 0)) if event.act == Act.ACCEPTED]
        assert (taken.index, m.apic_id[taken.node & 0xFFFFFF]) == (vector, dest)
    assert [each.text for each in found.left] == ["left out of the machine: 1 message of domain 0 (vPCI): it is masked"]


@pytest.mark.parametrize("text, why", [
    (vpci() + FAULT.format("01:00.0", 3, *ABSENT), "3 messages of domain 0 (vPCI): it is of another machine than"),
    (vpci() + vpci().replace("d0\n", "d1\n"), "3 messages of domain 1 (vPCI): it is of another machine than"),
    (vpci().replace("0000:00:1f", "0002:00:1f"), "1 message of domain 0 (vPCI): the machine has one segment")])
def test_emulated_messages_of_another_machine_are_told(text, why):
    found = rebuild(examine([("M", text)]).picture)
    assert any(each.text.startswith(f"left out of the machine: {why}") for each in found.left), found.left
