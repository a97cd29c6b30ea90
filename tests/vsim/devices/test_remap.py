"""The verdict on one request (V 3.3, 4, 5, 7.7): what is looked up, checked and sent on; asking changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig import NIC, TABLE, Rig, acts
from vsim.devices import remap
from vsim.devices.checks import CHECKS, NAMES, PASS
from vsim.devices.vlapic import set_mode
from vsim.layouts.formats import IRTE, Reason, remap_message
from vsim.state import commands as c
from vsim.state.arrays import Apic
from vsim.state.trace import Act, Warn

GOOD = {"vector": 0x41, "dst": 0x100}


def verdict(rig, index=5, requester=NIC, sub=None, address=None, data=None):
    made = remap_message(index, sub)
    return remap.look(rig.m, 0, requester, made[0] if address is None else address, made[1] if data is None else data)


def name(verdict_):
    return NAMES[verdict_.check]


# --- the index ---


@pytest.mark.parametrize("address, data, index", [
    (0xFEE000B0, 0, 5), (0xFEE000B8, 0, 5), (0xFEE00018, 5, 5), (0xFEE00058, 3, 5),          # V 3.3: four encodings
    (0xFEE000B0, 1, 5), (0xFEE000B0, 0xFFFFFFFF, 5),                                        # data ignored without SHV
    (0xFEE24690, 1, 0x1234), (0xFEE00034, 0, 0x8001), (0xFEEFFFF4, 0, 0xFFFF), (0xFEEFFFFC, 0, 0xFFFF),
    (0xFEE00813, 0, 0x40), (0xFEE0081B, 0, 0x40),                                          # address bits 1:0 ignored
])
def test_the_index_of_a_request(address, data, index):
    rig = Rig().start(s=15)
    rig.entry(index, **GOOD)
    found = verdict(rig, address=address, data=data)
    assert (found.check, found.index) == (0, index)


@pytest.mark.parametrize("s, index, sub, reason", [
    (15, 0xFFFF, 1, Reason.INDEX_OVER),       # X 11.2: 0x10000, no wrap
    (15, 0xFFFF, 0xFFFF, Reason.INDEX_OVER), (15, 1, 0xFFFE, Reason.NOT_PRESENT),
    (0, 1, None, Reason.NOT_PRESENT), (0, 2, None, Reason.INDEX_OVER), (0, 1, 1, Reason.INDEX_OVER),
    (7, 255, None, Reason.NOT_PRESENT), (7, 256, None, Reason.INDEX_OVER),
])
def test_an_index_is_compared_with_the_tables_size(s, index, sub, reason):
    assert verdict(Rig().start(s=s), index, sub=sub).outcome == reason


@pytest.mark.parametrize("s", range(16))
def test_a_table_has_two_to_the_s_plus_one_entries(s):
    rig = Rig().start(s=s)
    last = (2 << s) - 1
    assert verdict(rig, last).outcome == Reason.NOT_PRESENT
    assert verdict(rig, last, sub=1).outcome == Reason.INDEX_OVER


@pytest.mark.parametrize("index, sub, recorded", [(0xFFFF, 1, 0), (0xFFFF, 2, 1), (256, None, 256)])
def test_the_recorded_index_of_0x21_is_its_low_sixteen_bits(index, sub, recorded):
    rig = Rig().start()
    rig.msi(index, sub=sub)
    assert rig.frcd() >> 48 & 0xFFFF == recorded
    assert rig.frcd() >> 96 & 0xFF == Reason.INDEX_OVER


# --- the message that goes on ---


@pytest.mark.parametrize("eime, value, destination, address, data", [
    (0, 0x00000000000400FA_000005000041000D, 5, 0xFEE0500C, 0x4041),                                  # V 14, step 8
    (1, 0x0000000000070300_0001234500300009, 0x12345, 0x0001230000000000 | 0xFEE45008, 0x4030),       # V 4.1
    (0, 0x0000000000080507_0000010000550001, 1, 0xFEE01000, 0x4055),
    (1, 0x000000000004FF00_0000000000310011, 0, 0xFEE00000, 0xC031),
    (1, 0x0000010000410001, 256, 0x10000000000 | 0xFEE00000, 0x4041),                                   # X 11.3
    (0, 0x0000140000410001, 0x14, 0xFEE14000, 0x4041),
    (1, 0x0010000500410025, 0x100005, 0x10000000000000 | 0xFEE05004, 0x4141),
    (1, 0xFFFFFFFF00410001, 0xFFFFFFFF, 0xFFFFFF00FEEFF000, 0x4041),
])
def test_an_entry_becomes_a_message(eime, value, destination, address, data):
    rig = Rig().start(eime=eime)
    rig.entry(5, value)
    requester = {0x0700: 0x0600, 0x00FA: 0x00FA, 0xFF00: 0xFF00}.get(value >> 64 & 0xFFFF, NIC)
    if value >> 82 & 3 == 2:
        requester = 0x0600
    found = verdict(rig, requester=requester)
    assert (found.check, found.destination, found.address, found.data) == (0, destination, address, data)


# --- who is allowed in (V 4.2) ---


@pytest.mark.parametrize("sq, ignored", [(0, ()), (1, (2,)), (2, (1, 2)), (3, (0, 1, 2))])
def test_sq_names_the_function_bits_that_are_not_compared(sq, ignored):
    rig = Rig().start()
    rig.entry(5, svt=1, sid=NIC, sq=sq, **GOOD)
    allowed = {bit for bit in range(16) if verdict(rig, requester=NIC ^ 1 << bit).check == 0}
    assert allowed == set(ignored)
    assert verdict(rig, requester=NIC).check == 0


@pytest.mark.parametrize("first, last, bus, allowed", [
    (5, 7, 4, False), (5, 7, 5, True), (5, 7, 6, True), (5, 7, 7, True), (5, 7, 8, False), (5, 5, 5, True),
    (7, 5, 6, False), (0, 255, 0, True), (0, 255, 255, True),
])
def test_a_bus_range_has_its_first_bus_in_the_high_byte(first, last, bus, allowed):
    rig = Rig().start()
    rig.entry(5, svt=2, sid=first << 8 | last, sq=3, **GOOD)
    assert (verdict(rig, requester=bus << 8 | 0x18).check == 0) == allowed


def test_without_source_validation_anybody_is_allowed_in():
    rig = Rig().start()
    rig.entry(5, svt=0, sid=NIC, **GOOD)
    assert {verdict(rig, requester=r).check for r in (0, NIC, 0xFFFF)} == {0}


@pytest.mark.parametrize("options, reason", [({}, 0x24), ({"svt3_reason": 0x26}, 0x26)])
def test_the_reserved_source_validation_is_a_fault_of_the_chosen_reason(options, reason):
    rig = Rig(**options).start()
    rig.entry(5, svt=3, **GOOD)
    assert verdict(rig).outcome == reason


# --- each bit of an entry alone ---

CHECKED_BY_EIME = {1: set(), 0: {*range(32, 40), *range(48, 64)}}


@pytest.mark.parametrize("eime", [0, 1])
def test_exactly_the_reserved_bits_of_an_entry_are_refused(eime):
    """V 4.1, 5.1 step 9. Bits 15 (posted without CAP.PI), 82 and 83 alone (sid 0 refuses the NIC) are refused too."""
    rig = Rig().start(eime=eime)
    refused = set()
    for bit in range(1, 128):
        rig.entry(5, 1 | 1 << bit)
        if verdict(rig).check:
            refused.add(bit)
    assert refused == {12, 13, 14, 15, *range(24, 32), 82, 83, *range(84, 128)} | CHECKED_BY_EIME[eime]


def test_exactly_the_reserved_bits_of_a_posted_entry_are_refused():
    rig = Rig(unit={"posting": True}).start()
    refused = set()
    for bit in (place for place in range(1, 128) if place != 15):
        rig.entry(5, 1 | 1 << 15 | 1 << bit)
        if verdict(rig).check:
            refused.add(bit)
    assert refused == {*range(2, 8), 12, 13, *range(24, 38), 82, 83, *range(84, 96)}


@pytest.mark.parametrize("dlm, reason", [(0, 0), (1, 0), (2, 0), (3, 0x24), (4, 0), (5, 0), (6, 0x24), (7, 0)])
def test_reserved_delivery_modes_are_refused_unless_the_machine_passes_them(dlm, reason):
    for passes in (False, True):
        rig = Rig(dlm_passes=passes).start()
        rig.entry(5, dlm=dlm, **GOOD)
        assert verdict(rig).outcome == (0 if passes else reason)


# --- where the entry comes from ---


@pytest.mark.parametrize("base, reason", [
    (4 << 20, Reason.TABLE_ERROR), (0xFEC00000, Reason.TABLE_ERROR), (1 << 38, Reason.TABLE_ERROR),
    (1 << 39, Reason.INDEX_OVER), ((1 << 39) - 4096, Reason.TABLE_ERROR), (1 << 63, Reason.INDEX_OVER),
])
def test_a_table_outside_memory_or_above_the_address_width(base, reason):
    rig = Rig().start()
    rig.write("IRTA", base | 1 << 11 | 7)
    rig.write("GCMD", 0x07000000)
    assert verdict(rig).outcome == reason


def test_a_table_may_cross_the_address_width():
    rig = Rig().start()
    rig.write("IRTA", (1 << 39) - 4096 | 1 << 11 | 15)
    rig.write("GCMD", 0x07000000)
    assert verdict(rig, 255).outcome == Reason.TABLE_ERROR
    assert verdict(rig, 256).outcome == Reason.INDEX_OVER


def test_remapping_that_was_never_given_a_table_cannot_read_an_entry():
    """V 2.3: a warning, and 0x23."""
    rig = Rig()
    events = rig.write("GCMD", 1 << 25)
    assert [row[1] for row in acts(events, "WARNED")] == [Warn.NOT_LATCHED]
    assert acts(rig.msi(5), "BLOCKED") == [("BLOCKED", Reason.TABLE_ERROR, 5, NIC)]


@pytest.mark.parametrize("policy, cached", [("none", set()), ("present", {1}), ("everything", {1, 2, 3})])
def test_a_verdict_says_whether_the_entry_was_cached(policy, cached):
    rig = Rig(cache=policy).start()
    rig.entry(1, **GOOD)
    rig.entry(3, dlm=3, **GOOD)
    found = {}
    for index in (1, 2, 3):
        assert (verdict(rig, index).cached, verdict(rig, index).fetched) == (False, True)
        rig.msi(index)
        found[index] = verdict(rig, index).cached
        assert verdict(rig, index).fetched != found[index]
    assert {index for index, was in found.items() if was} == cached


# --- faults and FPD (V 5.3) ---

FAULTS = [
    ("request-reserved", 0x20, False), ("index-over", 0x21, False), ("not-present", 0x22, True),
    ("table-unreadable", 0x23, False), ("remapped-reserved", 0x24, True), ("posting-absent", 0x24, True),
    ("compatibility-blocked", 0x25, False), ("source-compare", 0x26, True), ("source-bus", 0x26, True),
]


@pytest.mark.parametrize("check, reason, qualified", FAULTS)
def test_reasons_and_whether_fpd_qualifies_them(check, reason, qualified):
    assert (CHECKS[check].outcome, CHECKS[check].qualified) == (reason, qualified)


@pytest.mark.parametrize("fields", [{"p": 0}, {"svt": 1, "sid": 0x0400}, {"dlm": 3}, {"svt": 2, "sid": 0x0405}])
def test_fpd_keeps_a_fault_from_the_record_and_blocks_all_the_same(fields):
    for fpd in (0, 1):
        rig = Rig().start()
        rig.entry(5, **GOOD, **fields, fpd=fpd)
        events = rig.msi(5)
        assert len(acts(events, "BLOCKED")) == 1 and not acts(events, "REMAPPED", "ACCEPTED")
        assert len(acts(events, "SUPPRESSED")) == fpd
        assert bool(rig.frcd()) != bool(fpd)


def test_fpd_does_not_keep_unqualified_faults_from_the_record():
    rig = Rig().start()
    rig.entry(5, **GOOD, fpd=1)
    rig.raw(remap_message(5, 0)[0], 0x10000)
    assert rig.frcd() >> 96 & 0xFF == Reason.REQUEST_RESERVED


@pytest.mark.parametrize("address, data, reason", [
    (0xFEE00818, 0x10000, Reason.REQUEST_RESERVED), (0xFEE01000, 0x41, Reason.COMPATIBILITY)])
def test_a_request_that_names_no_entry_is_recorded_with_index_0(address, data, reason):
    rig = Rig().start()
    assert acts(rig.raw(address, data), "BLOCKED") == [("BLOCKED", reason, 0, NIC)]
    assert rig.frcd() & (1 << 64) - 1 == 0


@pytest.mark.parametrize("upper", [1, 0x100, 0x80000000])
def test_a_device_that_sets_upper_address_bits_is_refused(upper):
    rig = Rig().start()
    rig.entry(5, **GOOD)
    assert verdict(rig, address=upper << 32 | remap_message(5)[0]).outcome == Reason.REQUEST_RESERVED


@pytest.mark.parametrize("address", [0xFED00000, 0xFEF00000, 0x1000, 0xFFE00000, 0x0EE00000])
def test_a_write_elsewhere_is_no_interrupt_request(address):
    rig = Rig().start()
    assert [row[0] for row in acts(rig.raw(address, 0x41))] == ["SENT", "DROPPED"]
    assert rig.has("FSTS") == 0


# --- without remapping: the extended destination ID (V 11) ---


def extended(**options):
    """A machine of 512 vCPUs in x2APIC mode, APIC ID n for vCPU n, whose unit does not remap."""
    rig = Rig(vcpus=512, apic_id_step=1, **options)
    for vcpu in range(512):
        set_mode(rig.m, vcpu, Apic.X2APIC)
    return rig


def taken(events):
    return [e.node & 0xFFFFFF for e in events if e.act == Act.ACCEPTED]


@pytest.mark.parametrize("address, offered, reached", [
    (0xFEE2C020, True, [300]), (0xFEE2C020, False, [44]), (0xFEEFFFE0, True, []),        # destinations 300 and 0x7FFF
    (0xFEEFF020, True, [511]), (0xFEE2C030, True, [44]),        # bit 4 set: those bits are a handle
])
def test_an_extended_destination_is_fifteen_bits_of_a_compatibility_message(address, offered, reached):
    assert taken(extended(ext_dest=offered).raw(address, 0x41)) == reached


@pytest.mark.parametrize("high, offered, reached", [
    (0x2C020000, True, [300]), (0x2C020000, False, [44]), (0xFFFE0000, True, []), (0x2C030000, True, [44]),
])
def test_an_extended_destination_in_a_redirection_entry(high, offered, reached):
    rig = extended(ext_dest=offered)
    for index, value in ((0x1B, high), (0x1A, 0x41)):
        rig.do(c.Mmio(0xFEC00000, 4, index))
        rig.do(c.Mmio(0xFEC00010, 4, value))
    assert taken(rig.do(c.Pin(5, 1))) == reached


def test_a_remapped_message_knows_no_extended_destination():
    rig = extended(ext_dest=True).start()
    rig.entry(5, vector=0x41, dst=300)
    assert taken(rig.msi(5)) == [300]
    assert [row[1] for row in acts(rig.raw(0xFEE2C020, 0x41), "BLOCKED")] == [Reason.COMPATIBILITY]


# --- asking ---


@given(st.integers(0, (1 << 128) - 1), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFF), st.integers(0, 0xFFFFFFFF),
       st.booleans())
def test_asking_changes_nothing_and_is_what_delivery_does(value, requester, low, data, eime):
    rig = Rig(unit={"posting": True}).start(s=15, eime=int(eime))
    index = low >> 5 & 0x7FFF | (low >> 2 & 1) << 15
    rig.entry(index, value)
    before = rig.m.copy()
    found = verdict(rig, requester=requester, address=0xFEE00000 | low, data=data)
    assert rig.m == before
    events = rig.raw(0xFEE00000 | low, data, requester)
    blocked = acts(events, "BLOCKED")
    if found.check:
        assert found.outcome != PASS and blocked[0][1] == found.outcome
    elif not value & IRTE.im.mask:
        assert acts(events, "REMAPPED") == [("REMAPPED", found.index, found.address, found.data)]
    else:
        assert remap.posts(found.words[0], rig.latch("MODE"))


def test_a_request_that_ends_before_its_index_is_computed_has_none():
    rig = Rig().start()
    assert verdict(rig, address=0x1_FEE00010).index == verdict(rig, address=0xFEE00000).index == -1
    assert verdict(rig, index=0x1234).index == 0x1234


def test_a_verdict_keeps_the_words_it_was_made_of():
    rig = Rig().start()
    rig.entry(5, svt=1, sid=0x0400, **GOOD)
    found = verdict(rig)
    assert remap.entry_of(found.words) == IRTE.make(p=1, svt=1, sid=0x0400, **GOOD)
    assert (name(found), found.index, found.fetched) == ("source-compare", 5, True)
    assert rig.word(TABLE + 0x50) == found.words[0]


def test_a_request_that_is_dropped_while_remapping_is_off_is_neither_delivered_nor_recorded():
    """The quirk is Xen's, and may be switched on under any profile."""
    rig = Rig(quirks=("xen.D8",)).start(ire=0)
    names = [name for name, *_ in acts(rig.msi(5))]
    assert names[-1] == "DROPPED" and not {"BLOCKED", "RECORDED", "PASSED"} & set(names)
    assert rig.has("FSTS") == 0


@pytest.mark.parametrize("quirk", ["qemu.D3", "xen.D9"])
@pytest.mark.parametrize("fields, reason", [({"dlm": 3}, 0x24), ({"dst": 1 << 20}, 0x24), ({}, 0)])
def test_a_posted_mode_entry_that_is_used_as_a_remapped_one_is_checked_as_one(quirk, fields, reason):
    rig = Rig(quirks=[quirk]).start(eime=0)
    rig.entry(5, IRTE.make(**{**GOOD, "p": 1, "dst": 0, **fields}) | IRTE.im.mask)
    assert verdict(rig).outcome == reason


@pytest.mark.parametrize("svt", [0, 1, 2, 3])
def test_the_quirk_that_takes_every_sender_looks_at_no_type(svt):
    rig = Rig(quirks=["xen.D10"]).start()
    rig.entry(5, **GOOD, svt=svt, sid=0x0404)
    assert verdict(rig).outcome == 0
