"""Fault records (V 1.6, 6.1), fault events (V 6.2), and what a handler has to do (V 6.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig import BASE, NIC, Rig, acts
from vsim.devices.vlapic import set_mode
from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import FSTS
from vsim.state import commands as c
from vsim.state.arrays import Apic

PFO, PPF, IQE = 1, 2, 16
VECTOR = 0x99


def watched(records=1, **options):
    """A unit with remapping on and its fault event sent to APIC ID 0."""
    rig = Rig(unit={"fault_records": records}, **options).start()
    for name, value in (("FEDATA", VECTOR), ("FEADDR", 0xFEE00000), ("FECTL", 0)):
        rig.write(name, value)
    return rig


def status(rig):
    """FSTS without FRI, and FRI."""
    return rig.read("FSTS") & 0xFF, get(rig.read("FSTS"), FSTS.fri)


def recorded(rig):
    """(record, index, sid, reason) of the records in use."""
    records = range(rig.m.profile.capabilities.fault_records)
    words = {record: rig.frcd(record) for record in records}
    return [(record, get(word, FRCD.index), get(word, FRCD.sid), get(word, FRCD.reason))
            for record, word in words.items() if get(word, FRCD.f)]


def notified(events):
    return len(acts(events, "NOTIFIED"))


# --- recording ---


def test_a_record_holds_index_requester_and_reason_and_nothing_else():
    rig = watched()
    rig.msi(0x25)
    assert rig.frcd() == FRCD.make(index=0x25, sid=NIC, reason=0x22, f=1)
    assert [hex(rig.read(0x220 + 4 * word)) for word in range(4)] == ["0x0", "0x250000", "0x300", "0x80000022"]


def test_faults_fill_the_ring_in_turn_and_fri_names_the_first():
    rig = watched(records=8)
    for index in range(5):
        rig.fault(NIC + index, index)
    assert recorded(rig) == [(n, n, NIC + n, 0x22) for n in range(5)]
    assert status(rig) == (PPF, 0)


def test_the_ring_goes_on_where_it_was_and_wraps():
    rig = watched(records=4)
    found = []
    for index in range(6):
        rig.fault(index=index)
        found += [(record, index) for record, index, _, _ in recorded(rig)]
        assert status(rig) == (PPF, index % 4)
        rig.clear(index % 4)
    assert found == [(0, 0), (1, 1), (2, 2), (3, 3), (0, 4), (1, 5)]


def test_fri_stays_at_the_record_that_was_first_while_anything_is_pending():
    rig = watched(records=4)
    for index in range(3):
        rig.fault(index=index)
    rig.clear(0)
    assert (status(rig), recorded(rig)) == ((PPF, 0), [(1, 1, NIC, 0x22), (2, 2, NIC, 0x22)])
    rig.clear(1)
    rig.clear(2)
    rig.fault(index=7)
    assert (status(rig), recorded(rig)) == ((PPF, 3), [(3, 7, NIC, 0x22)])


@pytest.mark.parametrize("records", [1, 2, 8, 222])
def test_a_ring_of_any_size_overflows_when_it_is_full(records):
    rig = watched(records=records)
    for index in range(records):
        rig.fault(index=index)
    assert status(rig) == (PPF, 0)
    events = rig.fault(index=9)
    assert acts(events, "OVERFLOWED", "RECORDED", "NOTIFIED") == [("OVERFLOWED", 0x22, 9, NIC)]
    assert (status(rig), len(recorded(rig))) == ((PPF | PFO, 0), records)


def test_nothing_is_recorded_while_overflow_is_set_even_into_a_free_record():
    rig = watched()
    rig.fault()
    rig.fault()
    rig.clear()
    assert status(rig)[0] == PFO
    assert acts(rig.fault(), "RECORDED") == []
    rig.write("FSTS", PFO)
    assert len(acts(rig.fault(), "RECORDED")) == 1


def test_a_record_that_is_next_and_still_pending_overflows_although_others_are_free():
    rig = watched(records=2)
    rig.fault(index=0)
    rig.fault(index=1)
    rig.clear(1)
    rig.fault(index=2)
    assert (status(rig), recorded(rig)) == ((PPF | PFO, 0), [(0, 0, NIC, 0x22)])


@pytest.mark.parametrize("records, says", [
    (0, "fault_records is 0; the limit is 1 to 256"), (257, "fault_records is 257; the limit is 1 to 256"),
    (223, "end of the fault records is 0x1010; the limit is 0x0 to 0x1000")])
def test_a_number_of_records_that_does_not_fit_the_page_is_refused(records, says):
    with pytest.raises(ValueError, match=says):
        watched(records=records)


@pytest.mark.parametrize("word, value, cleared", [
    (3, 1 << 31, True), (3, 0xFFFFFFFF, True), (3, 0x7FFFFFFF, False), (0, 0xFFFFFFFF, False), (1, 0, False),
    (2, 1 << 31, False),
])
def test_only_the_f_bit_of_a_record_can_be_written_by_writing_1(word, value, cleared):
    rig = watched()
    rig.msi(0x25)
    before = rig.frcd()
    rig.write(0x220 + 4 * word, value)
    assert rig.frcd() == (before & ~FRCD.f.mask if cleared else before)


def test_eight_bytes_clear_a_record_as_two_writes_do():
    rig = watched(records=2)
    rig.fault(index=1)
    rig.do(c.Mmio(BASE + 0x228, 8, 1 << 63))
    assert (recorded(rig), status(rig)) == ([], (0, 0))


# --- merging ---


def test_without_the_option_every_fault_has_its_own_record():
    rig = watched(records=4)
    for _ in range(3):
        rig.fault()
    assert len(recorded(rig)) == 3


def test_with_the_option_a_fault_is_folded_into_the_pending_record_of_its_requester():
    rig = watched(records=4, merge_faults=True)
    rig.fault(NIC, 1)
    rig.fault(NIC + 1, 2)
    assert acts(rig.fault(NIC, 3), "FOLDED") == [("FOLDED", 0, 0x22, NIC)]
    assert acts(rig.fault(NIC + 1, 4), "FOLDED") == [("FOLDED", 1, 0x22, NIC + 1)]
    assert recorded(rig) == [(0, 1, NIC, 0x22), (1, 2, NIC + 1, 0x22)]
    rig.clear(0)
    rig.fault(NIC, 5)
    assert recorded(rig)[-1] == (2, 5, NIC, 0x22)


def test_a_folded_fault_sets_no_overflow():
    rig = watched(merge_faults=True)
    rig.fault()
    rig.fault()
    assert status(rig) == (PPF, 0)
    rig.fault(NIC + 1)
    assert status(rig) == (PPF | PFO, 0)


# --- events (V 6.2) ---


def test_one_message_for_the_first_fault_and_none_for_those_that_follow():
    rig = watched(records=4)
    assert [notified(rig.fault()) for _ in range(5)] == [1, 0, 0, 0, 0]


def test_the_next_message_comes_when_everything_was_cleared():
    rig = watched(records=2)
    rig.fault()
    rig.fault()
    rig.clear(0)
    assert notified(rig.fault()) == 0
    rig.clear(1)
    rig.clear(0)
    assert notified(rig.fault()) == 1


def test_a_guest_that_clears_overflow_and_leaves_f_gets_no_event_ever():
    rig = watched()
    assert notified(rig.fault()) == 1
    for _ in range(3):
        assert notified(rig.fault()) == 0
        rig.write("FSTS", PFO)
        assert status(rig)[0] == PPF
    rig.clear()
    assert notified(rig.fault()) == 1


def test_a_queue_error_coalesces_with_a_fault_and_the_other_way_round():
    rig = watched(records=4)
    rig.fault()
    assert notified(rig.queue(0)) == 0
    rig.clear()
    assert status(rig)[0] == IQE
    assert notified(rig.fault()) == 0
    assert status(rig)[0] == IQE | PPF


def test_a_masked_event_is_pending_and_sent_at_unmask():
    rig = watched()
    rig.write("FECTL", 1 << 31)
    assert ([row[1] for row in acts(rig.fault(), "HELD")], rig.read("FECTL")) == ([0], 0xC0000000)
    assert (notified(rig.write("FECTL", 0)), rig.read("FECTL")) == (1, 0)
    assert notified(rig.write("FECTL", 0)) == 0


def test_pending_cannot_be_written():
    rig = watched()
    rig.write("FECTL", 0xFFFFFFFF)
    assert rig.read("FECTL") == 0x80000000
    rig.fault()
    rig.write("FECTL", 0x80000000)
    assert rig.read("FECTL") == 0xC0000000


@pytest.mark.parametrize("clearing, pending", [
    (["f"], True), (["pfo"], True), (["f", "pfo"], True), (["f", "iqe"], True), (["f", "pfo", "iqe"], False),
    (["iqe", "pfo", "f"], False),
])
def test_pending_is_forgotten_once_all_is_serviced(clearing, pending):
    """One record in use, overflow, and a queue error, all while masked."""
    rig = watched()
    rig.write("FECTL", 1 << 31)
    rig.fault()
    rig.fault()
    rig.queue(0)
    rig.ram(0x200000, 4)
    assert status(rig)[0] == PPF | PFO | IQE
    for what in clearing:
        rig.clear() if what == "f" else rig.write("FSTS", PFO if what == "pfo" else IQE)
    assert bool(rig.read("FECTL") & 1 << 30) == pending
    assert notified(rig.write("FECTL", 0)) == pending


def test_with_the_quirk_pending_outlives_the_last_record():
    rig = watched(quirks=["qemu.D14"])
    rig.write("FECTL", 1 << 31)
    rig.fault()
    rig.clear()
    assert rig.read("FECTL") == 0xC0000000
    rig.write("FSTS", 0)
    assert rig.read("FECTL") == 0x80000000


@pytest.mark.parametrize("destination", [0, 14, 0x12345, 0x100])
def test_the_event_reaches_the_local_apic_of_its_32_bit_address(destination):
    rig = watched(vcpus=144)
    for vcpu in range(144):
        set_mode(rig.m, vcpu, Apic.X2APIC)
    rig.write("FEADDR", 0xFEE00000 | (destination & 0xFF) << 12)
    rig.write("FEUADDR", destination & 0xFFFFFF00)
    events = rig.fault()
    assert acts(events, "NOTIFIED")[0][2] == (destination & 0xFFFFFF00) << 32 | 0xFEE00000 | (destination & 0xFF) << 12
    reached = {e.node & 0xFFFFFF for e in events if acts([e], "ACCEPTED")}
    assert reached == ({destination // 2} if destination < 288 else set())


def test_an_event_is_never_remapped_itself():
    """V 1.5: address bit 4 set makes no remappable request of it."""
    rig = watched()
    rig.write("FEADDR", 0xFEE00010)
    assert acts(rig.fault(), "ACCEPTED", "FETCHED") == [("FETCHED", 5, 0, 0), ("ACCEPTED", VECTOR, 0, 0)]


def test_an_event_with_the_delivery_mode_bit_goes_to_one_of_the_set():
    rig = watched()
    for vcpu in range(8):
        rig.m.ldr[vcpu] = 0xFF000000
    rig.write("FEDATA", 0x199)
    rig.write("FEADDR", 0xFEE0F004)
    assert len(acts(rig.fault(), "ACCEPTED")) == 1


# --- what a handler does (V 6.3) ---


def served(rig):
    """Linux's handler: from FRI while F is set, clear and go on; then overflow. Returns what was logged."""
    logged, records = [], rig.m.profile.capabilities.fault_records
    number = get(rig.read("FSTS"), FSTS.fri)
    while get(word := rig.frcd(number), FRCD.f):
        rig.clear(number)
        logged.append((get(word, FRCD.index), get(word, FRCD.sid), get(word, FRCD.reason)))
        number = (number + 1) % records
    rig.write("FSTS", PFO | PPF)
    return logged


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 8))
def test_a_handler_that_follows_the_ring_sees_every_recorded_fault_once_in_order(batches, records):
    rig = watched(records=records)
    number = 0
    for size in batches:
        sent = [(number + n) % 256 for n in range(size)]
        number += size
        messages = sum(notified(rig.fault(index=index)) for index in sent)
        assert messages == (size > 0)
        assert served(rig) == [(index, NIC, 0x22) for index in sent[:records]]
        assert status(rig)[0] == 0


@given(st.lists(st.sampled_from(["fault", "pfo", "mask", "unmask", "queue", "iqe", 0, 1, 2]), max_size=30))
def test_ppf_is_the_or_of_all_f_bits_whatever_is_done(steps):
    rig = watched(records=3)
    do = {"fault": rig.fault, "pfo": lambda: rig.write("FSTS", PFO), "mask": lambda: rig.write("FECTL", 1 << 31),
          "unmask": lambda: rig.write("FECTL", 0), "queue": lambda: rig.queue(0), "iqe": lambda: rig.write("FSTS", IQE)}
    for step in steps:
        do[step]() if step in do else rig.clear(step)
        now, control = status(rig)[0], rig.read("FECTL")
        assert bool(now & PPF) == bool(recorded(rig))
        assert control in (0, 1 << 31, 3 << 30)
        assert now or not control & 1 << 30


def test_the_event_has_a_record_in_two_halves_of_64_bits():
    rig = watched()
    (told,) = acts(rig.fault(source=0x0301), "RECORDED")
    assert told[2] < 1 << 64 and told[2] | told[3] << 64 == rig.frcd()
