"""The invalidation queue (V 7.1 to 7.6) and the interrupt entry cache (V 7.7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig import GLOBAL, IRE, NIC, QIE, QUEUE, SIRTP, STATUS, Rig, acts, selective, wait
from vsim.devices import queue
from vsim.layouts.formats import DEVICE_TLB_INV, IEC, IOTLB_INV, WAIT
from vsim.layouts.registers import ECAP
from vsim.state import commands as c
from vsim.state.profile import Capabilities
from vsim.state.trace import Warn

IQE, IWC = 1 << 4, 1


def iqei(rig):
    """Why the queue stopped, -1 while it has not."""
    return rig.read("IQERCD") & 15 if rig.read("FSTS") & IQE else -1


def positions(rig):
    """Head and tail in descriptors."""
    return rig.read("IQH") >> 4, rig.read("IQT") >> 4


# --- mechanics (V 7.1) ---


@pytest.mark.parametrize("qs, descriptors", [(0, 256), (1, 512), (2, 1024), (7, 32768)])
def test_a_queue_has_two_to_the_qs_pages(qs, descriptors):
    assert queue.length(QUEUE | qs) == descriptors
    rig = Rig()
    rig.write("IQA", QUEUE | qs)
    rig.write("GCMD", QIE)
    last = descriptors - 1
    rig.ram(QUEUE, int.from_bytes(IEC.make(type=4).to_bytes(16, "little") * min(descriptors, 65535 // 16), "little"),
            16 * min(descriptors, 65535 // 16))
    for at in range(4095, last):
        rig.m.ram.write_word(QUEUE + 16 * at, 4)
    rig.write("IQT", last << 4)
    assert (positions(rig), iqei(rig)) == ((last, last), -1)
    rig.write("IQT", descriptors << 4 & 0x7FFF0)
    assert iqei(rig) == (queue.TAIL if descriptors < 32768 else queue.TYPE)


@pytest.mark.parametrize("qs", range(8))
def test_the_head_wraps_at_the_queues_end(qs):
    rig = Rig()
    rig.write("IQA", QUEUE | qs)
    rig.write("GCMD", QIE)
    last = (256 << qs) - 1
    for at in range(last):
        rig.m.ram.write_word(QUEUE + 16 * at, 4)
    rig.write("IQT", last << 4)
    rig.ram(QUEUE + 16 * last, wait(7))
    events = rig.write("IQT", 2 << 4)
    assert [row[1] for row in acts(events, "DESCRIPTOR")] == [5, 4, 4]
    assert (positions(rig), rig.word(STATUS)) == ((2, 2), 7)


def test_the_queue_is_empty_when_head_is_tail():
    rig = Rig().start()
    assert acts(rig.write("IQT", 0), "DESCRIPTOR") == []


def test_nothing_is_taken_while_the_queue_is_off():
    rig = Rig()
    rig.write("IQA", QUEUE)
    assert acts(rig.queue(GLOBAL, GLOBAL), "DESCRIPTOR") == []
    assert positions(rig) == (0, 2)


def test_descriptors_already_there_are_taken_when_the_queue_is_switched_on():
    rig = Rig()
    rig.write("IQA", QUEUE)
    rig.queue(GLOBAL, wait(9))
    events = rig.write("GCMD", QIE)
    assert [row[1] for row in acts(events, "WARNED")] == [Warn.TAIL_AT_ENABLE]
    assert (positions(rig), rig.word(STATUS)) == ((2, 2), 9)


def test_switching_the_queue_off_takes_the_head_back_to_0():
    rig = Rig().start(ire=0)
    rig.queue(GLOBAL, GLOBAL)
    rig.write("GCMD", 0)
    assert (rig.has("GSTS") & QIE, positions(rig)) == (0, (0, 2))


def test_a_queue_that_is_not_drained_stays_on_with_a_warning():
    rig = Rig().start(ire=0)
    rig.queue(0)
    events = rig.write("GCMD", 0)
    assert [row[1] for row in acts(events, "WARNED")] == [Warn.NOT_DRAINED]
    assert rig.has("GSTS") & QIE


@pytest.mark.parametrize("last, off", [(GLOBAL, False), (wait(), True)])
def test_with_the_quirk_only_a_wait_lets_the_queue_be_switched_off(last, off):
    rig = Rig(quirks=["qemu.D11"]).start(ire=0)
    rig.queue(last)
    rig.write("GCMD", 0)
    assert bool(rig.has("GSTS") & QIE) != off


def test_the_address_is_taken_when_the_queue_is_switched_on():
    rig = Rig().start()
    rig.write("IQA", 0x300000)
    rig.queue(wait(3))
    assert rig.word(STATUS) == 3
    assert rig.read("IQA") == 0x300000


def test_the_upper_half_of_the_tail_starts_nothing():
    rig = Rig().start()
    rig.put(GLOBAL)
    assert acts(rig.write("IQT+4", 1), "DESCRIPTOR") == []
    assert len(acts(rig.write("IQT", 16, 4), "DESCRIPTOR")) == 1


# --- which entries an invalidation covers (V 7.3) ---


def filled(*indexes, **options):
    """A unit whose cache holds these entries."""
    rig = Rig(**options).start(s=15)
    for index in indexes:
        rig.msi(index)
    assert set(rig.m.cache) == set(indexes)
    return rig


@pytest.mark.parametrize("descriptor, dropped", [
    (GLOBAL, set(range(16)) | {0x25, 0x8000, 0xFFFF}),
    (IEC.make(type=4, iidx=5, im=0), set(range(16)) | {0x25, 0x8000, 0xFFFF}),
    (0x0000002500000014, {0x25}), (selective(5), {5}), (selective(4, 1), {4, 5}), (selective(5, 1), {4, 5}),
    (selective(7, 2), {4, 5, 6, 7}), (selective(13, 3), set(range(8, 16))), (selective(0x40, 3), set()),
    (selective(0, 15), set(range(16)) | {0x25}), (selective(0xFFFF, 15), {0x8000, 0xFFFF}),
    (selective(0xFFFF), {0xFFFF}),
])
def test_an_invalidation_ignores_the_low_im_bits_of_the_index(descriptor, dropped):
    there = set(range(16)) | {0x25, 0x8000, 0xFFFF}
    rig = filled(*there)
    rig.queue(descriptor)
    assert (set(rig.m.cache), iqei(rig)) == (there - dropped, -1)


@given(st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=40), st.integers(0, 0xFFFF), st.integers(0, 31),
       st.booleans())
def test_forgetting_is_the_same_as_comparing_every_entry(there, first, mask, dense):
    m = Rig().m
    there |= set(range(first, min(first + 300, 0x10000))) if dense else set()
    m.cache = dict.fromkeys(there, (0, 0, 0, 0))
    m.cache[1 << 16 | first] = (0, 0, 0, 0)
    queue.forget(m, 0, first, mask)
    assert set(m.cache) == {index for index in there if index >> mask != first >> mask} | {1 << 16 | first}


@pytest.mark.parametrize("mhmv, mask, error", [
    (15, 15, -1), (15, 16, 4), (15, 31, 4), (3, 3, -1), (3, 4, 4), (0, 1, 4)])
def test_a_mask_above_mhmv_is_a_reserved_field(mhmv, mask, error):
    ecap = Capabilities().ecap & ~ECAP.mhmv.mask | mhmv << ECAP.mhmv.low
    rig = Rig(capabilities=Capabilities(ecap=ecap)).start()
    rig.queue(selective(0, mask))
    assert iqei(rig) == error


def test_with_the_option_any_mask_is_taken_in_bounded_time():
    rig = filled(1, 0xFFFF, iec_any_mask=True)
    rig.queue(selective(0, 31))
    assert (rig.m.cache, iqei(rig)) == ({}, -1)


def test_the_worst_queue_takes_bounded_time():
    """32,767 selective invalidations of half the table each, beside a full cache that none of them touches.

    Looking at every cached entry for each of them would be a thousand million steps, minutes instead of a moment.
    """
    rig = Rig().start(s=15)
    rig.write("GCMD", IRE)
    rig.write("IQA", QUEUE | 7)
    rig.write("GCMD", QIE | IRE)
    rig.m.cache = dict.fromkeys(range(0x8000), (0, 0, 0, 0))
    for at in range(32767):
        rig.m.ram.write_word(QUEUE + 16 * at, IEC.make(type=4, g=1, im=15) & 0xFFFFFFFF)
        rig.m.ram.write_word(QUEUE + 16 * at + 4, 0x8000 | at & 0x7FFF)
    rig.write("IQT", 32767 << 4)
    assert (positions(rig), len(rig.m.cache)) == ((32767, 32767), 0x8000)


# --- wait (V 7.4) and its event (V 7.5) ---


@pytest.mark.parametrize("sw, iflag, fn", [(s, i, f) for s in (0, 1) for i in (0, 1) for f in (0, 1)])
def test_a_wait_writes_its_status_then_raises_its_event(sw, iflag, fn):
    rig = Rig().start()
    rig.write("IECTL", 0)
    rig.write("IEDATA", 0x77)
    rig.write("IEADDR", 0xFEE00000)
    events = rig.queue(WAIT.make(type=5, sw=sw, iflag=iflag, fn=fn, data=2, address=STATUS >> 2))
    done = [row[0] for row in acts(events, "STATUS_WRITTEN", "NOTIFIED")]
    assert done == ["STATUS_WRITTEN"] * sw + ["NOTIFIED"] * iflag
    assert (rig.word(STATUS), rig.read("ICS")) == (2 * sw, iflag)
    assert acts(events, "ACCEPTED") == [("ACCEPTED", 0x77, 0, 0)] * iflag
    assert (positions(rig), iqei(rig)) == ((1, 1), -1)


def test_a_second_completion_is_no_new_event_until_iwc_is_cleared():
    rig = Rig().start()
    rig.write("IECTL", 0)
    counts = [len(acts(rig.queue(wait(iflag=1)), "NOTIFIED")) for _ in range(2)]
    rig.write("ICS", 1)
    counts.append(len(acts(rig.queue(wait(iflag=1)), "NOTIFIED")))
    assert counts == [1, 0, 1]


def test_a_masked_completion_is_sent_when_it_is_unmasked():
    rig = Rig().start()
    events = rig.queue(wait(iflag=1))
    assert ([row[1] for row in acts(events, "HELD")], rig.read("IECTL")) == ([1], 0xC0000000)
    events = rig.write("IECTL", 0)
    assert (len(acts(events, "NOTIFIED")), rig.read("IECTL"), rig.read("ICS")) == (1, 0, 1)


def test_clearing_iwc_forgets_a_masked_completion():
    rig = Rig().start()
    rig.queue(wait(iflag=1))
    rig.write("ICS", 1)
    assert (rig.read("ICS"), rig.read("IECTL")) == (0, 0x80000000)
    assert acts(rig.write("IECTL", 0), "NOTIFIED") == []


def test_a_fault_does_not_hold_a_completion_back():
    rig = Rig().start()
    rig.write("IECTL", 0)
    rig.fault()
    assert len(acts(rig.queue(wait(iflag=1)), "NOTIFIED")) == 1


@pytest.mark.parametrize("quirk, descriptor, error, dead", [
    ("qemu.D10", wait(), 4, 0), ("qemu.K4", wait(1, iflag=1), -1, 1),
])
def test_quirks_of_a_wait(quirk, descriptor, error, dead):
    rig = Rig(quirks=[quirk]).start()
    rig.queue(descriptor)
    assert bool(rig.m.dead) == bool(dead)
    assert dead or iqei(rig) == error


# --- errors (V 7.6) ---

SCALABLE = Capabilities(ecap=Capabilities().ecap | ECAP.smts.mask)


@pytest.mark.parametrize("descriptor, error", [
    (0, 3), (6, 3), (7, 3), (8, 3), (9, 3), (10, 3), (15, 3), (3, 3), (4 | 1 << 9, 3), (5 | 7 << 9, 3),
    (GLOBAL | 1 << 5, 4), (GLOBAL | 1 << 12, 4), (GLOBAL | 1 << 26, 4), (GLOBAL | 1 << 48, 4), (GLOBAL | 1 << 127, 4),
    (wait() | 1 << 7, 4), (wait() | 1 << 8, 4), (wait() | 1 << 12, 4), (wait() | 1 << 64, 4), (wait() | 1 << 65, 4),
])
def test_a_bad_descriptor_stops_the_queue_at_itself(descriptor, error):
    rig = Rig().start()
    rig.queue(GLOBAL, descriptor, wait(1))
    assert (iqei(rig), positions(rig), rig.word(STATUS)) == (error, (1, 3), 0)
    assert acts(rig.write("IQT", 3 << 4), "DESCRIPTOR") == []


@pytest.mark.parametrize("descriptor", [
    GLOBAL | 1 << 5, GLOBAL | 1 << 12, GLOBAL | 1 << 26, GLOBAL | 1 << 48, GLOBAL | 1 << 127, GLOBAL | 1 << 9])
def test_with_the_quirk_an_iec_descriptor_is_taken_whatever_is_reserved_in_it(descriptor):
    rig = Rig(quirks=["qemu7.F2"]).start()
    found = acts(rig.queue(descriptor), "INVALIDATED")
    assert len(found) == 1 and (iqei(rig), positions(rig)) == (-1, (1, 1))


@pytest.mark.parametrize("descriptor", [wait(1) | 1 << 7, wait(1) | 1 << 9, 1 | 1 << 4 | 1 << 9])
def test_with_the_quirk_other_descriptors_are_looked_at_and_named(descriptor):
    rig = Rig(quirks=["qemu7.F2"]).start()
    assert len(acts(rig.queue(descriptor), "DESCRIPTOR")) == 1 and (iqei(rig), positions(rig)) == (4, (0, 1))


@pytest.mark.parametrize("descriptor, error", [(6, -1), (7, -1), (8, 3), (6 | 1 << 9, 3)])
def test_with_the_quirk_descriptors_with_a_pasid_are_passed_over_or_unknown(descriptor, error):
    rig = Rig(quirks=["qemu7.F3"]).start()
    assert not acts(rig.queue(descriptor), "DESCRIPTOR")
    assert (iqei(rig), positions(rig)) == (error, (int(error < 0), 1))


@pytest.mark.parametrize("descriptor", [
    1 | 1 << 4, 1 | 3 << 4, 2 | 1 << 4, 2 | 2 << 4, wait() | 1 << 6, GLOBAL | 5 << 32])
def test_what_linux_sends_to_a_unit_without_dma_remapping_is_taken(descriptor):
    rig = Rig().start()
    rig.queue(descriptor)
    assert (iqei(rig), positions(rig)) == (-1, (1, 1))


def test_a_device_tlb_descriptor_needs_the_capability():
    for capabilities, quirks, error in (
            (Capabilities(), (), 3), (Capabilities(), ("qemu.D12",), -1),
            (Capabilities(ecap=Capabilities().ecap | ECAP.dt.mask), (), -1)):
        rig = Rig(capabilities=capabilities, quirks=quirks).start()
        rig.queue(3)
        assert iqei(rig) == error


def test_a_tail_beyond_the_queue_is_an_error_before_anything_is_taken():
    rig = Rig().start()
    rig.put(GLOBAL)
    events = rig.write("IQT", 256 << 4)
    assert (iqei(rig), acts(events, "DESCRIPTOR"), rig.read("IQH")) == (1, [], 0)


@pytest.mark.parametrize("base", [4 << 20, 0xFEC00000, 0xFFFFFFFFFFFFF000])
def test_a_queue_outside_memory_is_a_fetch_error(base):
    rig = Rig()
    rig.write("IQA", base)
    rig.write("GCMD", QIE)
    rig.write("IQT", 16)
    assert (iqei(rig), positions(rig)) == (2, (0, 1))


def test_wide_descriptors_need_an_even_tail():
    rig = Rig(capabilities=SCALABLE)
    rig.write("IQA", QUEUE | 1 << 11)
    rig.write("GCMD", QIE)
    rig.write("IQT", 1 << 4)
    assert (iqei(rig), rig.read("IQT")) == (6, 0)


def test_wide_descriptors_are_32_bytes():
    rig = Rig(capabilities=SCALABLE)
    rig.write("IQA", QUEUE | 1 << 11)
    rig.write("GCMD", QIE)
    rig.ram(QUEUE, GLOBAL)
    rig.ram(QUEUE + 32, wait(5))
    rig.write("IQT", 64)
    assert (iqei(rig), rig.read("IQH"), rig.word(STATUS)) == (-1, 64, 5)
    assert queue.length(QUEUE | 1 << 11) == 128


def test_a_stopped_queue_is_a_fault_event():
    rig = Rig().start()
    rig.write("FEDATA", 0x99)
    rig.write("FEADDR", 0xFEE00000)
    rig.write("FECTL", 0)
    events = rig.queue(0)
    assert acts(events, "QUEUE_ERROR", "NOTIFIED") == [("QUEUE_ERROR", 3, 0, 0), ("NOTIFIED", 0, 0xFEE00000, 0x99)]
    assert rig.read("FSTS") == IQE


def test_clearing_iqe_resumes_at_the_head_and_linuxs_recovery_works():
    """Linux overwrites the bad descriptor with a wait and clears IQE; nobody writes the tail."""
    rig = Rig().start()
    rig.queue(GLOBAL, 0, GLOBAL)
    rig.ram(QUEUE + 16, wait(8))
    rig.write("FSTS", IQE)
    assert (iqei(rig), positions(rig), rig.word(STATUS)) == (-1, (3, 3), 8)


def test_clearing_iqe_without_repair_stops_at_the_same_descriptor():
    rig = Rig().start()
    rig.queue(0)
    events = rig.write("FSTS", IQE)
    assert (iqei(rig), positions(rig), len(acts(events, "QUEUE_ERROR"))) == (3, (0, 1), 1)


def test_clearing_another_status_bit_does_not_resume():
    rig = Rig().start()
    rig.queue(0)
    rig.ram(QUEUE, wait(8))
    rig.write("FSTS", 0xFFFFFFFF & ~IQE)
    assert (iqei(rig), rig.word(STATUS)) == (3, 0)


def test_with_the_quirk_the_queue_resumes_at_the_next_tail_write():
    rig = Rig(quirks=["qemu.D9"]).start()
    rig.queue(0)
    rig.ram(QUEUE, wait(8))
    rig.write("FSTS", IQE)
    assert rig.word(STATUS) == 0
    rig.write("IQT", 1 << 4)
    assert rig.word(STATUS) == 8


def test_the_error_code_register_can_be_absent():
    rig = Rig(iqercd=False).start()
    rig.queue(0)
    assert (rig.read("FSTS") & IQE, rig.read("IQERCD")) == (IQE, 0)


# --- the cache (V 7.7) ---


def remapped(rig, index=5):
    """Vector that a request is delivered with, or the reason it is refused with."""
    events = acts(rig.msi(index), "REMAPPED", "BLOCKED")
    return events[0][3] & 0xFF if events[0][0] == "REMAPPED" else -events[0][1]


POLICIES = [("none", 0x42, 0x42, -0x22), ("present", 0x41, 0x42, 0x41), ("everything", 0x41, -0x22, 0x41)]


@pytest.mark.parametrize("policy, changed, installed, removed", POLICIES)
def test_what_a_change_without_invalidation_does(policy, changed, installed, removed):
    """Entry 5 changes its vector, entry 6 becomes present, entry 7 is taken away; then all are invalidated."""
    rig = Rig(cache=policy).start()
    rig.entry(5, vector=0x41)
    rig.entry(7, vector=0x41)
    assert [remapped(rig, index) for index in (5, 6, 7)] == [0x41, -0x22, 0x41]
    rig.entry(5, vector=0x42)
    rig.entry(6, vector=0x42)
    rig.entry(7, p=0)
    assert [remapped(rig, index) for index in (5, 6, 7)] == [changed, installed, removed]
    rig.queue(GLOBAL, wait())
    assert [remapped(rig, index) for index in (5, 6, 7)] == [0x42, 0x42, -0x22]


@pytest.mark.parametrize("policy, repaired", [("none", 0x41), ("present", 0x41), ("everything", -0x24)])
def test_a_faulting_entry_is_kept_in_caching_mode_only(policy, repaired):
    rig = Rig(cache=policy).start()
    rig.entry(5, vector=0x41, dlm=3)
    assert remapped(rig) == -0x24
    rig.entry(5, vector=0x41)
    assert remapped(rig) == repaired


def test_an_invalidation_of_another_index_leaves_the_stale_entry():
    rig = Rig().start()
    rig.entry(5, vector=0x41)
    remapped(rig)
    rig.entry(5, vector=0x42)
    rig.queue(selective(4), selective(6), selective(8, 3))
    assert remapped(rig) == 0x41
    rig.queue(selective(5))
    assert remapped(rig) == 0x42


def test_a_cached_entry_is_used_by_every_requester_and_checked_for_each():
    rig = Rig().start()
    rig.entry(5, vector=0x41, svt=1, sid=NIC)
    assert remapped(rig) == 0x41
    events = rig.msi(5, NIC ^ 1)
    assert [row[0] for row in acts(events, "HIT", "FETCHED", "BLOCKED")] == ["HIT", "BLOCKED"]


def test_a_new_table_is_not_seen_behind_cached_entries():
    """V 2.3: after SIRTP the cache has to be invalidated, unless the unit does so by itself."""
    rig = Rig().start()
    rig.entry(5, vector=0x41)
    remapped(rig)
    rig.write("IRTA", 0x300000 | 1 << 11 | 7)
    rig.write("GCMD", QIE | SIRTP | IRE)
    assert remapped(rig) == 0x41
    rig.queue(GLOBAL)
    assert remapped(rig) == -0x22


def test_what_could_not_be_read_is_not_cached():
    rig = Rig().start()
    rig.write("IRTA", 4 << 20 | 7)
    rig.write("GCMD", QIE | SIRTP | IRE)
    assert remapped(rig) == -0x23
    assert rig.m.cache == {}


# --- what only an index-selective invalidation has (V 7.3), and the descriptors' width (VT-d 11.4.9.9) ---


@pytest.mark.parametrize("mask", [0, 4, 16, 31])
def test_a_global_invalidation_has_no_mask_to_check(mask):
    """VT-d 6.5.2.7: IIDX and IM are those of an index-selective request."""
    ecap = Capabilities().ecap & ~ECAP.mhmv.mask
    rig = filled(1, 0xFFFF, capabilities=Capabilities(ecap=ecap))
    rig.queue(IEC.make(type=4, im=mask, iidx=5))
    assert (rig.m.cache, iqei(rig)) == ({}, -1)


@pytest.mark.parametrize("kept, stops", [(True, queue.WIDTH), (False, -1)])
def test_a_descriptor_width_that_the_unit_lacks_stops_the_queue_before_anything_is_fetched(kept, stops):
    rig = Rig(iqa_width=kept)
    rig.write("IQA", QUEUE | 1 << 11)
    assert bool(rig.read("IQA") >> 11 & 1) == kept
    rig.put(wait(7))
    rig.write("IQT", 1 << 4)
    events = rig.write("GCMD", QIE)
    assert iqei(rig) == stops
    assert len(acts(events, "DESCRIPTOR")) == (0 if kept else 1)
    assert rig.word(STATUS) == (0 if kept else 7)


def test_it_stops_with_an_empty_queue_and_again_after_each_acknowledgement():
    rig = Rig()
    rig.write("IQA", QUEUE | 1 << 11)
    assert len(acts(rig.write("GCMD", QIE), "QUEUE_ERROR")) == 1
    assert acts(rig.write("FSTS", IQE), "QUEUE_ERROR") == [("QUEUE_ERROR", queue.WIDTH, 0, 0)]


@pytest.mark.parametrize("bit", ["smts", "adms"])
def test_a_unit_that_has_wide_descriptors_takes_them(bit):
    rig = Rig(iqa_width=False, capabilities=Capabilities(ecap=Capabilities().ecap | getattr(ECAP, bit).mask))
    rig.write("IQA", QUEUE | 1 << 11)
    rig.write("GCMD", QIE)
    rig.ram(QUEUE, wait(9), 32)
    rig.write("IQT", 1 << 5)
    assert (rig.word(STATUS), iqei(rig)) == (9, -1)


# --- devices that fail an invalidation of their TLB (VT-d 6.5.2.10; V 7.6) ---

WITH_TLB = Capabilities(ecap=Capabilities().ecap | ECAP.dt.mask)
TLB = DEVICE_TLB_INV.make(type=3, sid=NIC, s=1)
ICE, ITE = 1 << 5, 1 << 6
TIMES_OUT, FAILS = c.DeviceError(NIC, 1), c.DeviceError(NIC, 2)


def failing(how, **options):
    """A unit with device TLBs whose NIC fails its next invalidation; the fault event goes out as vector 0x99."""
    rig = Rig(capabilities=WITH_TLB, **options).start()
    for name, value in (("FEDATA", 0x99), ("FEADDR", 0xFEE00000), ("FECTL", 0)):
        rig.write(name, value)
    rig.do(how)
    return rig


def test_a_time_out_stops_the_queue_and_aborts_the_wait_behind_it():
    rig = failing(TIMES_OUT)
    events = rig.queue(TLB, wait(7), GLOBAL, wait(8))
    assert [row[:3] for row in acts(events, "DEVICE_FAILED", "ABORTED", "NOTIFIED")] == [
        ("ABORTED", 0, wait(7) & (1 << 64) - 1), ("DEVICE_FAILED", 1, NIC), ("NOTIFIED", 0, 0xFEE00000)]
    assert (rig.read("FSTS"), rig.read("IQERCD") >> 32, rig.word(STATUS), positions(rig)) == (ITE, NIC, 0, (2, 4))


def test_nothing_is_fetched_until_ite_is_cleared_and_then_the_queue_goes_on():
    rig = failing(TIMES_OUT)
    rig.queue(TLB, wait(7), wait(8))
    assert acts(rig.queue(GLOBAL), "DESCRIPTOR") == []
    events = rig.write("FSTS", ITE)
    assert [row[1] for row in acts(events, "DESCRIPTOR")] == [5, 4]
    assert (rig.read("FSTS"), rig.word(STATUS), positions(rig)) == (0, 8, (4, 4))


@pytest.mark.parametrize("behind", [[], [GLOBAL, wait(7)], [TLB, wait(7)]])
def test_only_a_wait_that_was_fetched_is_aborted(behind):
    rig = failing(TIMES_OUT)
    assert acts(rig.queue(TLB, *behind), "ABORTED") == []
    assert positions(rig) == (1, 1 + len(behind))
    rig.write("FSTS", ITE)
    assert rig.word(STATUS) == (7 if behind else 0)


def test_an_error_is_logged_and_the_queue_goes_on():
    rig = failing(FAILS)
    events = rig.queue(TLB, wait(7))
    assert acts(events, "DEVICE_FAILED") == [("DEVICE_FAILED", 2, NIC, 0)]
    assert (rig.read("FSTS"), rig.read("IQERCD") >> 48, rig.word(STATUS), positions(rig)) == (ICE, NIC, 7, (2, 2))
    rig.write("FSTS", ICE)
    assert rig.read("FSTS") == 0


def test_software_recovers_as_linux_does():
    """Clear ITE, find that the wait was aborted, queue both again."""
    rig = failing(TIMES_OUT)
    rig.queue(TLB, wait(7))
    rig.write("FSTS", ITE)
    assert rig.word(STATUS) == 0
    rig.queue(TLB, wait(7))
    assert (rig.word(STATUS), rig.read("FSTS")) == (7, 0)


def test_only_the_next_invalidation_of_that_requester_fails():
    rig = failing(TIMES_OUT)
    rig.queue(DEVICE_TLB_INV.make(type=3, sid=NIC + 1, s=1), wait(7))
    assert rig.read("FSTS") == 0
    rig.do(c.DeviceError(NIC, 0))
    rig.queue(TLB)
    assert rig.read("FSTS") == 0


def test_no_second_event_while_one_is_unserved():
    rig = failing(FAILS)
    rig.queue(TLB)
    rig.do(TIMES_OUT)
    events = rig.queue(TLB)
    assert acts(events, "NOTIFIED") == [] and rig.read("FSTS") == ICE | ITE
    assert rig.read("IQERCD") >> 32 == NIC << 16 | NIC


def test_a_unit_without_device_tlbs_knows_no_such_descriptor():
    rig = Rig().start()
    rig.do(TIMES_OUT)
    rig.queue(TLB)
    assert iqei(rig) == queue.TYPE


def test_there_are_three_ways_for_a_device_to_answer():
    with pytest.raises(ValueError, match=r"deverr\.how is 0x3; the limit is 0x2"):
        c.DeviceError(NIC, 3)


# --- invalidations of DMA caches, which have nothing to forget (V 7.2) ---


@pytest.mark.parametrize("fields, error", [
    ({"g": 1}, -1), ({"g": 0}, queue.RESERVED), ({"g": 1, "res": 1}, queue.RESERVED), ({"g": 3, "am": 63}, -1)])
def test_an_iotlb_descriptor_has_a_granularity_and_no_reserved_bits(fields, error):
    rig = Rig().start()
    bits = IOTLB_INV.reserved & -IOTLB_INV.reserved if fields.pop("res", 0) else 0
    rig.queue(IOTLB_INV.make(type=2, **fields) | bits)
    assert iqei(rig) == error
