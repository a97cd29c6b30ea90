"""The small kernel: what it sets up, what it refuses, and what breaks when it forgets a duty."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsim.devices import chain, viommu
from vsim.domain import acpi
from vsim.domain.platform import Platform
from vsim.guest.cpu import Cpu
from vsim.guest.irq import USABLE, Vectors
from vsim.guest.kernel import DUTIES, MEMORY, MIB, Fault, Guest
from vsim.guest.ways import plain_message
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE, REMAP_ADDRESS, RTE_REMAP, Reason
from vsim.layouts.registers import GCMD, OFFSET
from vsim.machine import remapping_on, step, unit_register
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Drop, Warn

DMAR = 0xEA000
UNIT = 0xFED90000
NIC, OLD, PIN = 0x0300, 0x0400, 0x0020     # MSI-X; MSI; 00:04.0 on a pin
FUNCTIONS = (
    Function(NIC, msix_count=4), Function(OLD, msi_count=4), Function(PIN, pin=1, conventional=True),
    Function(0x0500, msi_count=2, msi_maskable=True, msi_64=False))


class Setup:
    """A machine with a unit and a table that names it; `during` sees every command before it is done."""

    def __init__(self, functions=FUNCTIONS, vcpus=8, unit=True, flags=acpi.INTR_REMAP, prof="spec", quirks=(),
                 **options):
        chosen = profile(prof).with_options(**options).with_quirks(*quirks)
        self.machine = Machine(chosen, vcpus, 64 * MIB, Bus(functions))
        self.unit, self.seen, self.commands = unit, [], []
        self.during = lambda command: None
        if unit:
            step(self.machine, c.Domctl(viommu.create_op(version=chosen.options.interface)))
            step(self.machine, c.RamWrite(DMAR, acpi.dmar(UNIT, flags=flags)))

    def issue(self, command):
        self.during(command)
        events = step(self.machine, command)
        self.commands.append(command)
        self.seen += events
        return events

    def platform(self):
        return Platform.of(self.machine, DMAR if self.unit else 0)

    def boot(self, *skip, **named):
        guest = Guest(self.issue, self.platform(), skip=skip, **named)
        guest.boot()
        return guest

    def acts(self, act):
        return [event for event in self.seen if event.act == act]


def fire(setup, guest, source):
    """The source raises its interrupt; where it was taken."""
    if source.kind == "pin":
        events = setup.issue(c.Intx(source.bdf, 1))
    else:
        events = setup.issue(c.Signal(source.bdf, source.number))
    fault_event = (0, guest.fault_vector)
    return [(t.vcpu, t.source) for t in guest.take(events) if (t.vcpu, t.vector) != fault_event]


def everywhere(setup, guest):
    """Every source is sent to every vCPU; (arrived, refused)."""
    arrived = refused = 0
    for source in [source for found in guest.sources.values() for source in found]:
        for vcpu in range(setup.machine.vcpus):
            if guest.affinity(source, vcpu):
                refused += 1
            else:
                assert fire(setup, guest, source) == [(vcpu, source)]
                arrived += 1
    return arrived, refused


# --- boot ---


@pytest.mark.parametrize("prof", ["spec", "qemu-10"])
def test_the_boot_follows_the_order_of_linux(prof):
    setup = Setup([Function(NIC, msix_count=4)], prof=prof)
    guest = setup.boot()
    written = [command.value for command in setup.commands
               if isinstance(command, c.Mmio) and command.address == UNIT + OFFSET["GCMD"]]
    assert written == [0x04000000, 0x05000000, 0x06000000]
    assert guest.log == ["DMAR-IR: Enabled IRQ remapping in x2apic mode"]
    assert remapping_on(setup.machine)
    assert unit_register(setup.machine, "IRTA") == MIB | 0x80F
    assert setup.acts(Act.WARNED) == []
    assert setup.acts(Act.DROPPED) == setup.acts(Act.REFUSED) == setup.acts(Act.QUEUE_ERROR) == []


def test_the_table_is_latched_then_the_cache_is_emptied_then_remapping_is_turned_on():
    setup = Setup()
    setup.boot()
    acts = [event.act for event in setup.seen if event.act in (Act.LATCHED, Act.INVALIDATED)]
    assert acts[:2] == [Act.LATCHED, Act.INVALIDATED]
    on = next(i for i, e in enumerate(setup.seen) if e.act == Act.WRITTEN and e.low == 0x06000000)
    assert [e.act for e in setup.seen[:on] if e.act in (Act.LATCHED, Act.INVALIDATED)] == [Act.LATCHED, Act.INVALIDATED]


def test_every_vcpu_is_started_in_x2apic_mode_and_takes_interrupts():
    setup = Setup(vcpus=300)
    setup.boot()
    assert set(setup.machine.apic_mode) == {Apic.X2APIC}
    assert set(setup.machine.svr) == {0x1FF}
    assert set(setup.machine.waiting) == {0}


def test_a_new_entry_is_written_high_half_first_and_invalidated():
    setup = Setup([Function(NIC, msix_count=1)])
    guest = setup.boot()
    at = MIB + 16 * guest.sources[NIC][0].index
    writes = [i for i, command in enumerate(setup.commands)
              if isinstance(command, c.RamWrite) and at <= command.address < at + 16]
    assert [setup.commands[i].address - at for i in writes] == [8, 0]
    assert any(event.index == guest.sources[NIC][0].index and event.low for event in setup.acts(Act.INVALIDATED))


@pytest.mark.parametrize("case, options, line", [
    ("no table", {"unit": False}, "no table of a unit"),
    ("no flag", {"flags": 0}, "no table of a unit"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_without_a_unit_the_kernel_says_so_and_does_without(case, options, line):
    setup = Setup(**options)
    guest = setup.boot()
    assert line in guest.log[0]
    assert not guest.ways.remapping
    assert everywhere(setup, guest) == (8 * (4 + 1 + 1 + 1), 0)


@pytest.mark.parametrize("table, line", [
    (b"DMAR" + bytes(68), "offset 0x4, DMAR.length: 0; expected 48 to 1048576"),
    (b"JUNK" * 18, "offset 0x0, DMAR.signature: b'JUNK'; expected b'DMAR'"),
    (b"DMAR" + b"\xff\x1f\0\0" + bytes(64), "offset 0x4, DMAR.length: 8191; found 4096 bytes"),
], ids=["empty", "signature", "length"])
def test_a_broken_table_is_no_table(table, line):
    setup = Setup()
    step(setup.machine, c.RamWrite(DMAR, table))
    guest = setup.boot()
    assert guest.log[0] == f"DMAR: broken table: {line}"
    assert not guest.ways.remapping


def test_a_wrong_checksum_is_nothing_that_a_kernel_minds():
    setup = Setup()
    table = bytearray(acpi.dmar(UNIT))
    table[9] ^= 0x55
    step(setup.machine, c.RamWrite(DMAR, bytes(table)))
    guest = setup.boot()
    assert guest.ways.remapping and remapping_on(setup.machine)


def test_an_ioapic_that_no_unit_covers_keeps_the_kernel_from_remapping():
    setup = Setup()
    table = bytearray(acpi.dmar(UNIT))
    table[68], table[9] = 9, table[9] - 8 & 0xFF     # another I/O APIC id, checksum made right
    step(setup.machine, c.RamWrite(DMAR, bytes(table)))
    guest = setup.boot()
    assert guest.log[0] == "DMAR: firmware bug: ioapic 1 has no mapping iommu"
    assert not remapping_on(setup.machine)


def test_a_unit_without_remapping_is_left_alone():
    setup = Setup()
    setup.machine.regs[OFFSET["ECAP"] // 4] &= ~8     # as if ECAP.IR were 0
    guest = setup.boot()
    assert "it lacks ECAP.IR or ECAP.QI" in guest.log[0]
    assert not remapping_on(setup.machine)


def test_a_register_page_that_is_not_there_ends_in_a_line_of_the_log():
    setup = Setup()
    step(setup.machine, c.Domctl(viommu.encode("v1-corrected", viommu.Op.DESTROY, viommu_id=0)))
    guest = setup.boot()     # reads are all ones: every capability, and no status that follows
    assert not guest.ways.remapping
    assert "GSTS never followed GCMD bit" in " ".join(guest.log)


# --- who is a destination ---


@pytest.mark.parametrize("options, destination, reached", [
    ({}, "physical", 300),
    ({}, "cluster", 300),
    ({"flags": acpi.INTR_REMAP | acpi.X2APIC_OPT_OUT}, "cluster", 128),     # 8 bits through the table as well
    ({"unit": False}, "physical", 128),
    ({"unit": False}, "cluster", 128),
    ({"unit": False, "apic_id_step": 1}, "physical", 255),
    ({"unit": False, "ext_dest": True}, "physical", 300),
], ids=str)
def test_which_vcpus_a_device_can_reach(options, destination, reached):
    setup = Setup([Function(NIC, msix_count=2), Function(PIN, pin=1)], vcpus=300, **options)
    guest = setup.boot(destination=destination)
    assert everywhere(setup, guest) == (3 * reached, 3 * (300 - reached))
    assert guest.faults == guest.strays == []


@pytest.mark.parametrize("options, online", [
    ({"unit": False}, 128), ({"unit": False, "apic_id_step": 1}, 255), ({"unit": False, "ext_dest": True}, 300),
    ({}, 300), ({"flags": acpi.INTR_REMAP | acpi.X2APIC_OPT_OUT}, 128),
    ({"unit": False, "vcpus": 3, "apic_ids": (300, 8, 301)}, 2),      # vCPU 0 runs, whatever its ID
], ids=str)
def test_vcpus_that_no_device_reaches_can_be_left_offline_as_linux_does(options, online):
    setup = Setup([Function(NIC, msix_count=1)], **{"vcpus": 300, **options})
    guest = setup.boot(beyond="offline")
    assert len(guest.online) == online == setup.machine.apic_mode.tolist().count(Apic.X2APIC)
    assert ("stay offline" in guest.log[-1]) == (online < setup.machine.vcpus)
    assert all(fire(setup, guest, source) == [(source.vcpu, source)] for source in guest.sources[NIC])


@pytest.mark.parametrize("options, vcpu, words", [
    ({"unit": False}, 128, "APIC ID 256 is beyond the 8-bit destination of a compatibility-format message"),
    ({"unit": False, "apic_id_step": 1}, 255, "APIC ID 255 is the broadcast ID"),
    ({"flags": 3}, 128, "APIC ID 256 is beyond the 8-bit destination of a remapping entry in xAPIC mode"),
])
def test_a_refusal_names_the_id_and_the_limit_and_changes_nothing(options, vcpu, words):
    setup = Setup([Function(NIC, msix_count=1)], vcpus=300, **options)
    guest = setup.boot()
    before, commands = setup.machine.copy(), len(setup.commands)
    assert words in guest.affinity(guest.sources[NIC][0], vcpu)
    assert len(setup.commands) == commands and setup.machine == before


def test_an_id_cut_to_eight_bits_interrupts_another_vcpu():
    """What the kernel refuses to program: 256 in a compatibility-format message is 0."""
    setup = Setup([Function(NIC, msix_count=1)], vcpus=300, unit=False)
    guest = setup.boot()
    source = guest.sources[NIC][0]
    apic_id = setup.machine.apic_id[128]
    address, data = plain_message(apic_id & 0xFF, source.vector)
    bar = setup.machine.bus.bar(0)
    for offset, value in ((12, 1), (0, address), (8, data), (12, 0)):
        setup.issue(c.Mmio(bar + offset, 4, value))
    events = setup.issue(c.Signal(NIC, 0))
    assert [event.node & 0xFFFF for event in events if event.act == Act.ACCEPTED] == [0]


def test_a_cluster_entry_is_logical_and_names_one_bit_of_one_cluster():
    setup = Setup([Function(NIC, msix_count=1)], vcpus=300)
    guest = setup.boot(destination="cluster")
    guest.affinity(guest.sources[NIC][0], 287)
    entry = int.from_bytes(setup.machine.ram.read(MIB + 16 * guest.sources[NIC][0].index, 16), "little")
    assert (get(entry, IRTE.dm), get(entry, IRTE.dst), get(entry, IRTE.rh)) == (1, 0x23 << 16 | 1 << 14, 1)


# --- what is programmed ---


def test_messages_of_msi_get_an_aligned_block_of_entries():
    setup = Setup([Function(NIC, msix_count=1), Function(OLD, msi_count=32)], vcpus=4)
    guest = setup.boot()
    sources = guest.sources[OLD]
    assert [source.index for source in sources] == list(range(32, 64))
    assert [fire(setup, guest, source) for source in sources] == [[(source.vcpu, source)] for source in sources]


def test_without_remapping_msi_has_one_message():
    setup = Setup([Function(OLD, msi_count=32)], unit=False)
    guest = setup.boot()
    assert len(guest.sources[OLD]) == 1
    assert "04:00.0: 1 of 32 interrupts" in guest.log


def test_affinity_with_remapping_does_not_touch_the_device():
    setup = Setup()
    guest = setup.boot()
    done = len(setup.commands)
    guest.affinity(guest.sources[NIC][0], 5)
    kinds = {type(command) for command in setup.commands[done:]}
    touched = [k for k in setup.commands[done:] if isinstance(k, c.Mmio) and not UNIT <= k.address < UNIT + 4096]
    assert kinds <= {c.RamWrite, c.Mmio, c.MmioRead} and touched == []


def test_the_affinity_to_the_same_vcpu_is_nothing_to_do():
    setup = Setup()
    guest = setup.boot()
    source = guest.sources[NIC][0]
    done = len(setup.commands)
    assert guest.affinity(source, source.vcpu) == ""
    assert len(setup.commands) == done


def test_a_remapped_pin_is_programmed_as_linux_does_it():
    setup = Setup([Function(PIN, pin=1)])
    guest = setup.boot()
    (source,) = guest.sources[PIN]
    entry = setup.machine.rte[source.number]
    assert (get(entry, RTE_REMAP.format), get(entry, RTE_REMAP.tm), get(entry, RTE_REMAP.vector)) == (
        1, 1, source.number)
    assert not get(source.entry, IRTE.tm) and get(source.entry, IRTE.sid) == 0xFF00


def test_functions_on_one_pin_share_an_interrupt_and_each_can_raise_it():
    first, second = 0x0008, 0x0040     # slot 1 pin A, slot 8 pin D: both are GSI 20
    bus = Bus([Function(first, pin=1), Function(second, pin=4)])
    assert bus.gsi(first) == bus.gsi(second)
    setup = Setup(bus.functions)
    guest = setup.boot()
    assert guest.sources[first] == guest.sources[second]
    (source,) = guest.sources[first]
    for bdf in (first, second):
        taken = guest.take(setup.issue(c.Intx(bdf, 1)))
        assert [(t.vcpu, t.source) for t in taken] == [(source.vcpu, source)]


@pytest.mark.parametrize("version", [0x11, 0x20])
@pytest.mark.parametrize("unit", [True, False])
def test_a_level_pin_serves_again_and_again(version, unit):
    setup = Setup([Function(PIN, pin=1)], unit=unit, ioapic_version=version)
    guest = setup.boot()
    (source,) = guest.sources[PIN]
    for vcpu in (3, 5, 5, 0):
        guest.affinity(source, vcpu)
        assert fire(setup, guest, source) == [(vcpu, source)]
    assert setup.machine.rte[source.number] >> 14 & 1 == 0


def test_a_pin_that_the_ioapic_does_not_have_is_said_to_be_missing():
    setup = Setup([Function(0x0020, pin=1)], prof="qemu-10")     # GSI 32 of 24 pins
    guest = setup.boot()
    assert guest.sources[0x20] == [] and "00:04.0: 0 of 1 interrupts" in guest.log


def test_a_function_behind_a_bridge_is_allowed_under_the_ids_that_arrive():
    below = Function(0x0608, msix_count=1, conventional=True)
    setup = Setup([Function(0x0500, bridge=Bridge("pcie-to-pci", 6, 6)), below])
    guest = setup.boot()
    (source,) = guest.sources[0x0608]
    assert fire(setup, guest, source) == [(source.vcpu, source)]
    assert guest.faults == [] and get(source.entry, IRTE.svt) == 2


def test_a_full_table_leaves_the_last_functions_with_fewer_interrupts():
    setup = Setup([Function(NIC, msix_count=4), Function(OLD, msi_count=4), Function(0x0500, msix_count=3)])
    guest = Guest(setup.issue, setup.platform())
    while guest.unit.allocate(1) < (1 << 16) - 9:
        pass
    guest.boot()
    assert [[source.index & 7 for source in found] for found in guest.sources.values()] == [
        [0, 1, 2, 3], [4, 5, 6, 7], []]
    assert guest.log[-1] == "05:00.0: 0 of 3 interrupts"


def test_msi_takes_half_as_many_messages_when_its_block_does_not_fit():
    setup = Setup([Function(NIC, msix_count=1), Function(OLD, msi_count=32)])
    guest = Guest(setup.issue, setup.platform())
    while guest.unit.allocate(1) < (1 << 16) - 17:
        pass
    guest.boot()
    assert len(guest.sources[OLD]) == 8     # the other eight are aligned to their number, behind the NIC's
    assert [fire(setup, guest, source) for source in guest.sources[OLD]] == [
        [(source.vcpu, source)] for source in guest.sources[OLD]]


def test_a_block_of_entries_is_a_power_of_two_that_one_invalidation_covers():
    unit = Setup().boot().unit
    assert unit.mhmv == 15
    assert unit.allocate(3) == unit.allocate(1 << 16) == -1
    assert unit.allocate(1 << 15) == 1 << 15


def test_vectors_run_out_one_vcpu_at_a_time():
    setup = Setup([Function(NIC, msix_count=500)], vcpus=2)
    guest = setup.boot()
    usable = USABLE.bit_count()
    assert usable == 203
    assert len(guest.sources[NIC]) == 2 * usable - 1     # one is the fault event's
    source = next(source for source in guest.sources[NIC] if source.vcpu == 1)
    assert guest.affinity(source, 0) == "vCPU 0 has no free vector"


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=300))
def test_a_vector_is_never_given_out_twice(steps):
    vectors, held = Vectors(4), set()
    for vcpu, give_back in steps:
        mine = sorted(vector for at, vector in held if at == vcpu)
        if give_back and mine:
            vectors.release(vcpu, mine[0])
            held.remove((vcpu, mine[0]))
        else:
            vector = vectors.take(vcpu)
            assert (vcpu, vector) not in held and 0x20 <= vector <= 0xEB and vector != 0x80
            held.add((vcpu, vector))


def test_a_first_vector_is_the_lowest_of_the_emptiest_vcpu():
    setup = Setup([Function(NIC, msix_count=9), Function(OLD, msi_count=4)], vcpus=4)
    guest = setup.boot()
    placed = [(source.index, source.vcpu, source.vector) for bdf in (NIC, OLD) for source in guest.sources[bdf]]
    assert placed == [
        (15, 1, 0x20), (16, 2, 0x20), (17, 3, 0x20),      # vCPU 0 has the fault event
        (18, 0, 0x21), (19, 1, 0x21), (20, 2, 0x21), (21, 3, 0x21), (22, 0, 0x22), (23, 1, 0x22),
        (24, 2, 0x22), (25, 3, 0x22), (26, 0, 0x23), (27, 1, 0x23)]
    assert guest.affinity(guest.sources[NIC][1], 3) == "" and guest.sources[NIC][1].vector == 0x23


@pytest.mark.parametrize("vcpus", [1, 8, 288])
def test_no_number_of_an_interrupt_is_another_one_of_it_at_boot(vcpus):
    """Entry, vCPU and vector can be told apart."""
    setup = Setup([Function(NIC, msix_count=9), Function(OLD, msi_count=4), Function(PIN, pin=1)], vcpus=vcpus)
    guest = setup.boot()
    for source in (source for found in guest.sources.values() for source in found):
        assert len({source.index, source.vcpu, source.vector}) == 3, source


@settings(max_examples=50)
@given(st.sets(st.integers(0, 6), min_size=1), st.lists(st.one_of(st.none(), st.integers(0, 6)), max_size=40))
def test_the_emptiest_vcpu_is_one_that_a_device_reaches_and_has_the_most(reachable, takes):
    vectors, free = Vectors(7), dict.fromkeys(range(7), 203)
    vectors.limit(reachable)
    for chosen in takes:
        vcpu = vectors.emptiest() if chosen is None else chosen
        assert vectors.take(vcpu) >= 0
        free[vcpu] -= 1
        assert vectors.emptiest() == min(reachable, key=lambda vcpu: (-free[vcpu], vcpu))


# --- faults ---


def test_the_handler_reads_and_clears_the_fault_records():
    setup = Setup()
    guest = setup.boot()
    index = guest.sources[NIC][0].index
    for _ in range(3):
        guest.take(setup.issue(c.Msi(0x1234, 0xFEE00010 | index << 5, 0)))
    guest.take(setup.issue(c.Msi(NIC, 0xFEE01000, 0x41)))
    assert guest.faults == [Fault(Reason.SOURCE_ID, index, 0x1234)] * 3 + [Fault(Reason.COMPATIBILITY, 0, NIC)]
    assert unit_register(setup.machine, "FSTS") == 0
    assert str(guest.faults[0]).startswith("request of 12:06.4, index 0xf: reason 0x26, the requester is not")


def test_several_fault_records_are_read_in_order():
    spec = profile("spec")
    setup = Setup()
    setup.machine = Machine(spec.with_capabilities(spec.capabilities.having(fault_records=4)), 2, 64 * MIB)
    step(setup.machine, c.Domctl(viommu.create_op(version="v1-corrected")))
    step(setup.machine, c.RamWrite(DMAR, acpi.dmar(UNIT)))
    guest = setup.boot()
    events = [setup.issue(c.Msi(0x100 + n, 0xFEE00010 | n << 5, 0)) for n in range(3)]
    guest.take([event for each in events for event in each])
    assert [fault.source for fault in guest.faults] == [0x100, 0x101, 0x102]


@pytest.mark.parametrize("prof", ["spec", "qemu-10"])
def test_a_stopped_queue_is_set_going_again(prof):
    setup = Setup(prof=prof)
    guest = setup.boot()
    tail = guest.unit.tail
    setup.issue(c.RamWrite(guest.unit.queue + 16 * tail, bytes([0xE]) + bytes(15)))     # no such type
    guest.unit.tail = (tail + 1) % 256
    source = guest.sources[NIC][0]
    guest.affinity(source, 6)
    assert guest.log[-1] == f"DMAR: VT-d detected Invalidation Queue Error at descriptor {tail}"
    assert fire(setup, guest, source) == [(6, source)]


# --- duties ---


def moved(setup, guest):
    """The NIC's message is delivered, then moved to vCPU 5, then raised again."""
    source = guest.sources[NIC][0]
    assert fire(setup, guest, source) == [(source.vcpu, source)]
    old = source.vcpu
    guest.affinity(source, 5)
    return old, source, fire(setup, guest, source)


def broken_invalidate(skip):
    setup = Setup()
    guest = setup.boot(*skip)
    old, source, taken = moved(setup, guest)
    if not skip:
        assert taken == [(5, source)]
    return skip and taken == [(old, None)] and guest.strays


def broken_wait(skip):
    setup = Setup()
    guest = setup.boot(*skip)
    source = guest.sources[NIC][0]
    old = source.vcpu
    fire(setup, guest, source)
    setup.issue(c.RamWrite(guest.unit.queue + 16 * guest.unit.tail, bytes([0xE]) + bytes(15)))
    guest.unit.tail += 1
    guest.affinity(source, 5)
    return [vcpu for vcpu, _ in fire(setup, guest, source)] == [old]


def kexec(skip, during):
    """A second kernel boots while a function of the first one is still alive; that function's messages afterwards."""
    setup = Setup([Function(NIC, msix_count=1), Function(0x0500, msix_count=1)])
    first = setup.boot()
    source = first.sources[0x0500][0]
    fire(setup, first, source)
    setup.during = lambda command: during(setup, command)
    platform = setup.platform()
    without = Platform(Bus([Function(NIC, msix_count=1)]), platform.apic_ids, platform.ram_size, DMAR)
    second = Guest(setup.issue, without, skip=skip, memory=4 * MIB)
    second.boot()
    setup.during = lambda command: None
    assert second.ways.remapping
    return setup.issue(c.Signal(0x0500, 0))


def broken_flush(skip):
    return any(event.act == Act.REMAPPED for event in kexec(skip, lambda setup, command: None))


def broken_order(skip):
    """The old device fires before every command to the unit: what it needs of the old table comes back to the cache."""
    def during(setup, command):
        if isinstance(command, c.Mmio) and command.address == UNIT + OFFSET["GCMD"]:
            step(setup.machine, c.Signal(0x0500, 0))

    return any(event.act == Act.REMAPPED for event in kexec(skip, during))


def broken_source(skip):
    setup = Setup()
    guest = setup.boot(*skip)
    index = guest.sources[NIC][0].index
    events = setup.issue(c.Msi(0x1234, 0xFEE00010 | index << 5, 0))
    return any(event.act == Act.REMAPPED for event in events)


def broken_mask(skip):
    """The message goes out between the write of its address and that of its data."""
    setup = Setup([Function(NIC, msix_count=1)], unit=False)
    guest = setup.boot(*skip)
    source, bar = guest.sources[NIC][0], setup.machine.bus.bar(0)
    guest.vectors.take(5)     # so that the new vector differs

    def during(command):
        if isinstance(command, c.Mmio) and command.address == bar + 8:
            guest.cpu.note(step(setup.machine, c.Signal(NIC, 0)))

    setup.during = during
    guest.affinity(source, 5)
    return [(stray[0]) for stray in guest.strays] == [5]


def broken_eoi(skip):
    setup = Setup()
    guest = setup.boot(*skip)
    source = guest.sources[NIC][0]
    return [fire(setup, guest, source) for _ in range(2)] == [[(source.vcpu, source)], []]


def broken_ioapic_eoi(skip):
    setup = Setup()
    guest = setup.boot(*skip)
    (source,) = guest.sources[PIN]
    return [fire(setup, guest, source) for _ in range(2)] == [[(source.vcpu, source)], []]


def broken_faults(skip):
    setup = Setup()
    guest = setup.boot(*skip)
    seen = []
    for requester in (0x100, 0x200):
        events = setup.issue(c.Msi(requester, 0xFEE00010, 0))
        seen.append([event.act for event in events if event.act in (Act.RECORDED, Act.OVERFLOWED)])
        guest.take(events)
    return seen == [[Act.RECORDED], [Act.OVERFLOWED]] and guest.faults == []


def broken_enable(skip):
    setup = Setup()
    guest = setup.boot(*skip)
    source = guest.sources[NIC][0]
    taken = fire(setup, guest, source)
    return not taken and setup.acts(Act.DROPPED)[-1].index == Drop.DISABLED


BROKEN = {
    "enable": broken_enable, "order": broken_order, "flush": broken_flush, "invalidate": broken_invalidate,
    "wait": broken_wait, "source": broken_source, "mask": broken_mask, "eoi": broken_eoi,
    "ioapic-eoi": broken_ioapic_eoi, "clear-faults": broken_faults}


def test_every_duty_has_a_test_of_what_breaks():
    assert set(BROKEN) == set(DUTIES)


@pytest.mark.parametrize("duty", DUTIES)
def test_what_breaks_without_a_duty_works_with_it(duty):
    assert not BROKEN[duty](())
    assert BROKEN[duty]((duty,))


def test_msi_without_a_mask_has_the_new_vector_at_the_old_vcpu_while_it_changes():
    """Nothing can hold such a message back, so the half changed one has to be a good one as well."""
    setup = Setup([Function(OLD, msi_count=1)], unit=False)
    guest = setup.boot()
    (source,) = guest.sources[OLD]
    guest.vectors.take(5)     # so that the new vector differs from the old
    old = source.vcpu

    def during(command):
        if isinstance(command, c.ConfigWrite) and command.offset == 0x44:     # the address; the data is written
            guest.cpu.note(step(setup.machine, c.Signal(OLD, 0)))

    setup.during = during
    guest.affinity(source, 5)
    assert [(t.vcpu, t.vector, t.source) for t in guest.serve()] == [(old, source.vector, source)]
    assert guest.strays == [] and source.vcpu == 5


def test_turning_remapping_on_before_the_table_is_latched_is_warned_of():
    setup = Setup()
    setup.boot("order")
    assert Warn.NOT_LATCHED in [event.index for event in setup.acts(Act.WARNED)]


def test_a_second_kernel_takes_over_the_unit_of_the_first():
    setup = Setup()
    setup.boot()
    second = Guest(setup.issue, setup.platform())
    second.boot()
    assert everywhere(setup, second) == (8 * (4 + 4 + 1 + 2), 0)


def test_without_a_cache_a_forgotten_invalidation_goes_unnoticed():
    setup = Setup(cache="none")
    guest = setup.boot("invalidate")
    _, source, taken = moved(setup, guest)
    assert taken == [(5, source)]


@pytest.mark.parametrize("duty", ["", "invalidation", "EOI"])
def test_an_unknown_duty_is_refused_with_the_list_of_names(duty):
    with pytest.raises(ValueError, match=f"no duty '{duty}'; duties are enable, order"):
        Guest(lambda command: [], Platform(Bus(()), (0,), 64 * MIB), skip=[duty])


# --- a caller's mistakes ---


@pytest.mark.parametrize("named, message", [
    ({"destination": "logical"}, "destination is 'logical'; allowed are physical, cluster"),
    ({"beyond": "halt"}, "beyond is 'halt'; allowed are start, offline"),
    ({"memory": 0}, "memory is 0x0; it must be a multiple of 1 MiB"),
    ({"memory": MIB + 4096}, "must be a multiple of 1 MiB"),
    ({"memory": 63 * MIB}, "ram_size is 0x4000000; the table, queue and status page at 0x3f00000 need"),
])
def test_a_caller_is_told_value_and_limit(named, message):
    with pytest.raises(ValueError, match=message):
        Guest(lambda command: [], Platform(Bus(()), (0,), 64 * MIB, DMAR), **named)


def test_the_memory_that_is_needed_is_the_memory_that_is_used():
    machine = Machine(profile("spec"), 2, MIB + MEMORY, Bus(FUNCTIONS))
    step(machine, c.Domctl(viommu.create_op(version="v1-corrected")))
    step(machine, c.RamWrite(DMAR, acpi.dmar(UNIT)))
    guest = Guest(lambda command: step(machine, command), Platform.of(machine, DMAR))
    guest.boot()
    assert guest.ways.remapping
    with pytest.raises(ValueError, match="ram_size"):
        Guest(lambda command: [], Platform(machine.bus, (0,), MIB + MEMORY - 4096, DMAR))


def test_a_vcpu_that_does_not_exist_is_refused():
    guest = Setup().boot()
    for vcpu in (-1, 8):
        with pytest.raises(ValueError, match=f"vcpu is {vcpu}; the limit is 0 to 7"):
            guest.affinity(guest.sources[NIC][0], vcpu)


def test_an_issue_that_hands_back_nothing_is_told():
    with pytest.raises(ValueError, match="issue must return the events"):
        Cpu(lambda command: []).read(0x1000)


# --- properties ---


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 39)), max_size=25), st.booleans(),
       st.sampled_from(["physical", "cluster"]), st.sampled_from(["spec", "qemu-10"]))
def test_any_order_of_affinity_changes_delivers_where_it_was_asked_for(moves, unit, destination, prof):
    functions = [Function(NIC, msix_count=4), Function(OLD, msi_count=4), Function(0x0008, pin=1),
                 Function(0x0500, msi_count=2, msi_maskable=True, msi_64=False)]
    setup = Setup(functions, vcpus=40, unit=unit, prof=prof)
    guest = setup.boot(destination=destination)
    sources = [source for found in guest.sources.values() for source in found]
    for number, vcpu in moves:
        source = sources[number % len(sources)]
        assert guest.affinity(source, vcpu) == ""
        assert fire(setup, guest, source) == [(vcpu, source)]
    assert guest.strays == guest.faults == [] and not any(setup.machine.isr)


def test_the_message_of_a_function_names_its_entry():
    setup = Setup([Function(NIC, msix_count=3)])
    guest = setup.boot()
    for source in guest.sources[NIC]:
        low = setup.machine.msix[4 * source.number]
        assert chain.index_of(low, 0, 0) == source.index and get(low, REMAP_ADDRESS.format)
    assert GCMD.ire.mask == 1 << 25


@pytest.mark.parametrize("unit", [True, False], ids=["remapped", "plain"])
def test_an_affinity_may_name_its_vector(unit):
    setup = Setup(unit=unit)
    guest = setup.boot()
    source = guest.sources[NIC][0]
    assert guest.affinity(source, 5, 0x9C) == ""
    assert (source.vcpu, source.vector) == (5, 0x9C) and fire(setup, guest, source) == [(5, source)]
    assert guest.affinity(source, 5, 0x9D) == "" and source.vector == 0x9D
    assert guest.affinity(guest.sources[NIC][1], 5, 0x9D) == "vector 0x9d is not free on vCPU 5"
    assert guest.affinity(guest.sources[NIC][1], 5, 0x80) == "vector 0x80 is not free on vCPU 5"
