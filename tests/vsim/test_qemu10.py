"""What QEMU 10 is known to do beyond the recorded cases: quirks without a case, and corners that no case reaches.

Each quirk is shown on and off, everything else of the profile being equal.
"""

import pytest

from tests.rig import NIC, QIE, STATUS, Rig, acts, wait
from vsim.layouts.formats import CONTEXT_INV, DEVICE_TLB_INV, IEC, IOTLB_INV, WAIT, msi_message
from vsim.layouts.registers import FSTS, GSTS
from vsim.machine import step
from vsim.replay.cases import Case
from vsim.replay.compare import machine_for
from vsim.replay.recorded import do
from vsim.state import commands as c
from vsim.state.profile import profile
from vsim.state.trace import Act, Stop

IQE = FSTS.iqe.mask


def qemu(*without, **options):
    rig = Rig(name="qemu-10", **options)
    if without:
        rig = Rig(name="qemu-10", capabilities=rig.m.profile.capabilities, **options)
        rig.m.quirks = rig.m.profile.without_quirks(*without).quirk_word
    return rig


def queue_on(rig):
    rig.write("IQA", 0x200000)
    rig.write("GCMD", QIE)
    return rig


def took(events):
    """The vCPUs that accepted, and how often."""
    return [e.node & 0xFFFFFF for e in events if e.act in (Act.ACCEPTED, Act.MERGED)]


# --- quirks without a recorded case ---


@pytest.mark.parametrize("without, stopped", [((), False), (("qemu.D12",), True)])
def test_d12_a_device_tlb_descriptor_is_taken_although_there_are_no_device_tlbs(without, stopped):
    rig = queue_on(qemu(*without))
    events = rig.queue(DEVICE_TLB_INV.make(type=3, sid=NIC))
    assert acts(events, "DESCRIPTOR")[0][1] == 3
    assert bool(rig.has("FSTS") & IQE) == stopped
    assert rig.has("IQH") == (0 if stopped else 0x10)


@pytest.mark.parametrize("without, again", [((), []), (("qemu.D16",), [0x45])])
def test_d16_a_level_that_rose_in_edge_mode_is_not_seen_after_a_change_to_level(without, again):
    m = qemu(*without).m
    do(m, ["rte", 7, 0x45])
    assert len(do(m, ["pin", 7, 1])) == 1
    assert [row[-1] for row in do(m, ["rte", 7, 0x8045])] == again


@pytest.mark.parametrize("without, targets", [((), [0, 0, 0]), (("qemu.U3",), [1, 2, 0])])
def test_u3_lowest_priority_goes_to_the_lowest_id_each_time(without, targets):
    rig = qemu(*without, vcpus=3)
    for vcpu in range(3):
        step(rig.m, c.ApicWrite(vcpu, 0xD0, 1 << 24 + vcpu))
    address, data = msi_message(0x7, 0x61, dm=1, dlm=1)
    assert [took(rig.raw(address, data + n))[0] for n in range(3)] == targets


@pytest.mark.parametrize("without, count", [((), 3), (("qemu.K1",), 1)])
def test_k1_the_redirection_hint_does_not_change_who_takes_a_message(without, count):
    rig = qemu(*without, vcpus=3)
    for vcpu in range(3):
        step(rig.m, c.ApicWrite(vcpu, 0xD0, 1 << 24 + vcpu))
    assert len(took(rig.raw(*msi_message(0x7, 0x61, dm=1, rh=1)))) == count


@pytest.mark.parametrize("without, taken, errors", [((), [0], 0), (("qemu.K2",), [], 1)])
@pytest.mark.parametrize("vector", [0, 1, 15])
def test_k2_vectors_0_to_15_are_accepted(without, taken, errors, vector):
    events = qemu(*without).raw(*msi_message(0, vector))
    assert took(events) == taken and len(acts(events, "APIC_ERROR")) == errors


@pytest.mark.parametrize("without, taken", [((), [1]), (("qemu.K3",), [])])
def test_k3_a_software_disabled_local_apic_takes_interrupts(without, taken):
    rig = qemu(*without)
    step(rig.m, c.ApicWrite(1, 0xF0, 0xFF))
    assert took(rig.raw(*msi_message(1, 0x41))) == taken


@pytest.mark.parametrize("without, dead", [((), 1), (("qemu.K4",), 0)])
def test_k4_a_wait_with_status_write_and_interrupt_ends_the_emulator(without, dead):
    rig = queue_on(qemu(*without))
    events = rig.queue(wait(data=7, iflag=1))
    assert rig.m.dead == dead and len(acts(events, "STOPPED")) == dead
    assert rig.word(STATUS) == (0 if dead else 7)
    assert rig.has("ICS") == (0 if dead else 1)


@pytest.mark.parametrize("without, dead", [((), 1), (("qemu.K5",), 0)])
@pytest.mark.parametrize("register", ["FECTL", "IECTL", "IEADDR"])
def test_k5_an_8_byte_write_to_a_32_bit_register_ends_the_emulator(without, dead, register):
    rig = qemu(*without)
    events = rig.write(register, 0, width=8)
    assert rig.m.dead == dead
    assert acts(events, "STOPPED") == [("STOPPED", Stop.EMULATOR, 0, 0)] * dead


def test_an_8_byte_write_of_the_fault_events_address_is_the_exception():
    """Real guests do it."""
    rig = qemu()
    rig.write("FEADDR", 0x1_FEE01000, width=8)
    assert rig.m.dead == 0 and rig.has("FEADDR") == 0xFEE01000


def test_nothing_happens_any_more_once_the_emulator_has_ended():
    rig = qemu()
    rig.write("FECTL", 0, width=8)
    before = rig.m.copy()
    rig.write("IRTA", 0x12345000)
    assert rig.m.difference(before) == ["tick"]
    step(rig.m, c.Reset())
    assert rig.m.dead == 0


# --- the queue ---


@pytest.mark.parametrize(
    "descriptor, name, wrong",
    [
        (CONTEXT_INV.make(type=1, g=1), "context-cache", False),
        (CONTEXT_INV.make(type=1, g=3, did=5, sid=NIC, fm=3), "context-cache", False),
        (CONTEXT_INV.make(type=1, g=0), "context-cache", True),
        (CONTEXT_INV.make(type=1, g=1) | 1 << 6, "context-cache", True),
        (CONTEXT_INV.make(type=1, g=1) | 1 << 64, "context-cache", True),
        (IOTLB_INV.make(type=2, g=1, dw=1, dr=1), "iotlb", False),
        (IOTLB_INV.make(type=2, g=3, am=18, ih=1, address=9), "iotlb", False),
        (IOTLB_INV.make(type=2, g=3, am=19), "iotlb", True),       # CAP.MAMV is 18
        (IOTLB_INV.make(type=2, g=2, am=19), "iotlb", False),      # names a domain, no pages
        (IOTLB_INV.make(type=2, g=0), "iotlb", True),
        (IOTLB_INV.make(type=2, g=1) | 1 << 32, "iotlb", True),
        (DEVICE_TLB_INV.make(type=3, mip=31, sid=NIC, s=1, address=7), "device", False),
        (DEVICE_TLB_INV.make(type=3) | 1 << 48, "device", True),
        (IEC.make(type=6), "p-iotlb", True),
        (IEC.make(type=8), "device-piotlb", True),
        (IEC.make(type=7), None, True),
        (IEC.make(type=4, type_high=1), None, True),
        (0, None, True),
    ],
)
def test_which_descriptors_are_known_and_which_stop_the_queue(descriptor, name, wrong):
    case = Case("", 1, {"cap": 0xD2008C222F0606, "ecap": 0xF00F5A, "ram": 64 << 20, "smp": 1}, {})
    m = machine_for(case, profile("qemu-10"))
    for each in (["w8", 0x90, 0x300000], ["w4", 0x18, QIE]):
        do(m, each)
    do(m, ["m16", 0x300000, descriptor >> 64, descriptor & (1 << 64) - 1])
    seen = do(m, ["w8", 0x88, 0x10])
    assert [row[:2] for row in seen if row[0] == "D"] == ([["D", name]] if name else [])
    assert do(m, ["r4", 0x34]) == hex(IQE if wrong else 0)
    assert do(m, ["r8", 0x80]) == hex(0 if wrong else 0x10)


def test_the_queues_address_still_reads_back_after_the_queue_was_switched_off():
    rig = queue_on(qemu())
    rig.queue(wait(data=1))
    rig.write("GCMD", 0)
    assert rig.has("GSTS") & GSTS.qies.mask == 0
    assert rig.read("IQA") == 0x200000


def test_the_queues_address_in_use_has_no_bits_above_the_address_width():
    rig = qemu()
    rig.write("IQA", 0xFFFF_0000_0020_0000)
    assert rig.read("IQA") == 0
    rig.write("GCMD", QIE)
    assert rig.read("IQA") == 0x200000
    assert acts(rig.queue(wait(data=1)), "STATUS_WRITTEN") != []


@pytest.mark.parametrize("last, off", [(wait(data=1), True), (IEC.make(type=4), False), (IEC.make(type=9), False)])
def test_the_queue_can_be_switched_off_only_if_the_last_descriptor_was_a_wait(last, off):
    """The last one looked at counts, were it one that stopped the queue."""
    rig = queue_on(qemu())
    rig.queue(wait(data=1), last)
    rig.write("FSTS", IQE)
    rig.write("IQT", rig.has("IQH"))
    rig.write("GCMD", 0)
    assert bool(rig.has("GSTS") & GSTS.qies.mask) != off


def test_a_descriptor_that_cannot_be_fetched_counts_as_none():
    rig = queue_on(qemu())
    rig.queue(wait(data=1))
    rig.write("GCMD", 0)
    rig.write("IQA", 0x7FFFF000)
    rig.write("IQT", 0)
    rig.write("GCMD", QIE)
    rig.write("IQT", 0x10)
    assert rig.has("FSTS") & IQE
    rig.write("FSTS", IQE)
    rig.write("IQT", 0)
    rig.write("GCMD", 0)
    assert rig.has("GSTS") & GSTS.qies.mask


def test_a_status_write_outside_memory_stops_the_queue():
    rig = queue_on(qemu())
    rig.queue(WAIT.make(type=5, sw=1, data=1, address=0x7FFFF000 >> 2))
    assert (rig.has("FSTS") & IQE, rig.has("IQH")) == (IQE, 0)


def test_all_32_bits_of_the_completion_events_data_are_sent():
    rig = queue_on(qemu())
    rig.write("IEDATA", 0x12345678)
    rig.write("IECTL", 0)
    assert [e.high for e in rig.queue(wait(iflag=1)) if e.act == Act.NOTIFIED] == [0x12345678]


# --- tables and pins ---


@pytest.mark.parametrize("index, observed", [(0xFF, "0x2200000300"), (0x100, "0x2300000300")])
def test_a_table_may_end_outside_memory(index, observed):
    m = machine_for(Case("", 1, {"cap": 0xD2008C222F0606, "ecap": 0xF00F5A, "ram": 64 << 20, "smp": 1}, {}),
                    profile("qemu-10"))
    for each in (["w8", 0xB8, 0x3FFF00F], ["w4", 0x18, 1 << 24], ["w4", 0x18, 1 << 25]):
        do(m, each)
    assert do(m, ["msi", NIC, 0xFEE00010 | index << 5, 0])[-1][2] == observed


def test_a_level_that_was_seen_is_sent_once_by_an_entry_that_becomes_edge():
    m = qemu().m
    do(m, ["rte", 7, 0x18045])
    assert do(m, ["pin", 7, 1]) == []
    assert [row[-1] for row in do(m, ["rte", 7, 0x45])] == [0x45]
    assert do(m, ["rte", 7, 0x45]) == []
    assert do(m, ["rte", 7, 0x8045]) == []


def test_an_eoi_serves_pin_after_pin():
    m = qemu().m
    for pin in (4, 5):
        do(m, ["rte", pin, 0x8045 | pin << 56])
        do(m, ["pin", pin, 1])
    assert [row[:2] for row in do(m, ["eoi", 0x45])] == [["R-", 4], ["M", 4], ["R-", 5], ["M", 5]]


def test_the_registers_that_qemu_does_not_have_read_0():
    rig = qemu()
    for register in ("FEUADDR", "IEUADDR", "IQERCD"):
        rig.write(register, 0xFFFFFFFF)
        assert rig.read(register) == 0
