"""Posted interrupts (V 4.3 to 4.5): one step of the algorithm after the other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig import NIC, Rig, acts
from vsim.devices import remap, vlapic
from vsim.devices.posted import ACTIVE, WAKE_UP
from vsim.devices.vlapic import set_mode
from vsim.explain.interrupt import explain
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE, IRTE_POSTED, PID, remap_message
from vsim.state import commands as c
from vsim.state.arrays import MOST_TARGETS, Apic, Doing, Machine
from vsim.state.trace import Trip

WHERE = 0x6000
NV = 0xF2
RUNS, WAITS, HALTS = map(int, Doing)


def posting(entry=None, eime=1, mode=Apic.X2APIC, descriptor=None, **fields):
    """A unit that posts entry 5 into a descriptor at WHERE; local APICs in the mode."""
    rig = Rig(unit={"posting": True}).start(eime=eime)
    for vcpu in range(8):
        set_mode(rig.m, vcpu, mode)
    rig.entry(5, IRTE_POSTED.make(**{"p": 1, "im": 1, "vector": 0xA1, "pda": WHERE >> 6, **(entry or {})}))
    rig.ram(WHERE, descriptor if descriptor is not None else PID.make(**{"nv": NV, "ndst": 4, **fields}), 64)
    return rig


def descriptor(rig):
    return int.from_bytes(rig.m.ram.read(WHERE, 64), "little")


def test_the_example_of_v_4_3_names_its_descriptor():
    entry = 0x0000000100040300_2345678000A1C001
    assert get(entry, IRTE_POSTED.pda) << 6 == 0x1_2345_6780
    assert (get(entry, IRTE_POSTED.urg), get(entry, IRTE_POSTED.vector)) == (1, 0xA1)


def test_a_post_sets_its_bit_and_notifies():
    rig = posting()
    events = rig.msi(5)
    assert acts(events, "POSTED") == [("POSTED", 5, WHERE, 0xA1 | 1 << 8)]
    assert PID.split(descriptor(rig)) == {"pir": 1 << 0xA1, "on": 1, "sn": 0, "nv": NV, "ndst": 4}
    assert [(e.node & 0xFFFFFF, e.index) for e in events if acts([e], "ACCEPTED")] == [(2, NV)]


# V 4.5, step 4: X = (ON == 0) and (URG or SN == 0); if X, ON is set and a notification sent.
@pytest.mark.parametrize("on, sn, urg, notifies, on_after", [
    (0, 0, 0, 1, 1), (0, 0, 1, 1, 1), (0, 1, 0, 0, 0), (0, 1, 1, 1, 1),
    (1, 0, 0, 0, 1), (1, 0, 1, 0, 1), (1, 1, 0, 0, 1), (1, 1, 1, 0, 1),
])
def test_who_is_notified(on, sn, urg, notifies, on_after):
    rig = posting(entry={"urg": urg}, on=on, sn=sn)
    events = rig.msi(5)
    assert len(acts(events, "ACCEPTED")) == notifies
    after = descriptor(rig)
    assert (get(after, PID.on), get(after, PID.sn), get(after, PID.pir)) == (on_after, sn, 1 << 0xA1)


def test_an_outstanding_notification_coalesces_and_no_vector_is_lost():
    rig = posting()
    for vector in (0x30, 0xFF, 0x00, 0x30):
        rig.entry(6, IRTE_POSTED.make(p=1, im=1, vector=vector, pda=WHERE >> 6))
        rig.m.cache.clear()
        rig.msi(6)
    assert get(descriptor(rig), PID.pir) == 1 << 0x30 | 1 << 0xFF | 1
    assert sum(rig.m.irr) == 1 << NV % 32


def test_the_virtual_vector_never_becomes_the_notification_vector():
    rig = posting()
    rig.msi(5)
    assert get(descriptor(rig), PID.nv) == NV
    assert [vector for vector in range(256) if rig.m.irr[8 * 2 + vector // 32] >> vector % 32 & 1] == [NV]


@pytest.mark.parametrize("eime, mode, ndst, reached", [
    (1, Apic.X2APIC, 4, [2]), (1, Apic.X2APIC, 0x400, []), (1, Apic.X2APIC, 0xFFFFFFFF, list(range(8))),
    (0, Apic.XAPIC, 0x400, [2]), (0, Apic.XAPIC, 4, [0]), (0, Apic.XAPIC, 0xFF00, list(range(8))),
])
def test_the_destination_is_32_bits_or_bits_15_to_8(eime, mode, ndst, reached):
    rig = posting(eime=eime, mode=mode, ndst=ndst)
    assert [e.node & 0xFFFFFF for e in rig.msi(5) if acts([e], "ACCEPTED")] == reached


def test_a_level_source_is_posted_as_an_edge():
    rig = posting()
    rig.msi(5)
    assert sum(rig.m.tmr) == 0


def test_a_unit_that_offers_posting_remaps_its_other_entries():
    rig = posting()
    rig.entry(6, IRTE.make(p=1, vector=0x41, dst=4))
    events = rig.msi(6)
    assert [row[0] for row in acts(events, "REMAPPED", "POSTED")] == ["REMAPPED"]
    assert [(e.node & 0xFFFFFF, e.index) for e in events if acts([e], "ACCEPTED")] == [(2, 0x41)]


# --- faults ---


def outcome(rig):
    """(reason, recorded) of a request to entry 5; reason 0 when it was posted."""
    events = rig.msi(5)
    blocked = acts(events, "BLOCKED")
    return (blocked[0][1] if blocked else 0), len(acts(events, "RECORDED"))


@pytest.mark.parametrize("fpd", [0, 1])
@pytest.mark.parametrize("pda", [(4 << 20) >> 6, (1 << 58) - 1, 0xFEC00000 >> 6])
def test_a_descriptor_outside_memory_is_0x27(pda, fpd):
    assert outcome(posting(entry={"pda": pda, "fpd": fpd})) == (0x27, 1 - fpd)


@pytest.mark.parametrize("fpd", [0, 1])
@pytest.mark.parametrize("bit", [258, 271, 280, 287, 320, 511])
def test_a_reserved_bit_of_the_descriptor_is_0x28_and_nothing_is_posted(bit, fpd):
    rig = posting(entry={"fpd": fpd}, descriptor=1 << bit)
    assert outcome(rig) == (0x28, 1 - fpd)
    assert descriptor(rig) == 1 << bit


@pytest.mark.parametrize("place, reason", [
    (2, 0x24), (7, 0x24), (8, 0), (11, 0), (12, 0x24), (13, 0x24), (14, 0), (24, 0x24), (31, 0x24), (32, 0x24),
    (37, 0x24), (84, 0x24), (95, 0x24),
])
def test_a_posted_entry_has_its_own_reserved_bits(place, reason):
    rig = posting()
    rig.entry(5, IRTE_POSTED.make(p=1, im=1, vector=0xA1, pda=WHERE >> 6) | 1 << place)
    assert outcome(rig)[0] == reason


def test_without_the_capability_a_posted_entry_is_invalid_programming():
    rig = Rig().start()
    rig.entry(5, IRTE_POSTED.make(p=1, im=1, vector=0xA1, pda=WHERE >> 6))
    assert outcome(rig) == (0x24, 1)


def test_with_the_quirk_a_posted_entry_is_used_as_a_remapped_one():
    rig = Rig(quirks=["qemu.D3"]).start()
    rig.entry(5, IRTE.make(p=1, im=1, vector=0x41, dst=0))
    assert acts(rig.msi(5), "ACCEPTED") == [("ACCEPTED", 0x41, 0, 0)]


def test_the_source_is_checked_before_anything_is_posted():
    rig = posting(entry={"svt": 1, "sid": NIC ^ 1})
    before = descriptor(rig)
    assert outcome(rig) == (0x26, 1)
    assert descriptor(rig) == before


def test_the_descriptor_itself_is_never_cached():
    """V 4.5: it is read with ownership of the line each time; only the entry may be stale."""
    rig = posting()
    rig.msi(5)
    rig.ram(WHERE, PID.make(nv=0x31, ndst=6), 64)
    assert [(e.node & 0xFFFFFF, e.index) for e in rig.msi(5) if acts([e], "ACCEPTED")] == [(3, 0x31)]


@given(st.integers(0, (1 << 512) - 1), st.integers(0, 255), st.booleans())
def test_any_descriptor_is_posted_into_or_left_alone(value, vector, urgent):
    rig = posting(entry={"vector": vector, "urg": int(urgent)}, descriptor=value)
    events = rig.msi(5)
    after = descriptor(rig)
    if PID.reserved_set(value):
        assert after == value and acts(events, "BLOCKED")[0][1] == 0x28
    else:
        assert get(after, PID.pir) == get(value, PID.pir) | 1 << vector
        assert after & ~(PID.pir.mask | PID.on.mask) == value & ~(PID.pir.mask | PID.on.mask)
        assert get(after, PID.on) >= get(value, PID.on)


def test_a_pending_bit_survives_a_reset_of_the_platform():
    rig = posting()
    rig.msi(5)
    rig.do(c.Reset())
    assert get(descriptor(rig), PID.pir) == 1 << 0xA1


@pytest.mark.parametrize("fpd", [0, 1])
@pytest.mark.parametrize("bit", [2, 12, 24, 84])
def test_fpd_keeps_the_fault_of_a_posted_entry_with_reserved_bits_quiet(bit, fpd):
    rig = posting()
    rig.entry(5, IRTE_POSTED.make(p=1, fpd=fpd, im=1, vector=0xA1, pda=WHERE >> 6) | 1 << bit)
    events = rig.msi(5)
    assert [row[:2] for row in acts(events, "BLOCKED", "RECORDED", "SUPPRESSED")] == [
        ("BLOCKED", 0x24), ("SUPPRESSED", 0x24) if fpd else ("RECORDED", 0)]
    assert bool(rig.read("FSTS")) != bool(fpd)


def test_the_verdict_on_a_posted_entry_has_no_message():
    rig = posting()
    found = remap.look(rig.m, 0, NIC, *remap_message(5))
    assert (found.check, found.outcome, found.index, found.destination, found.address, found.data) == (0, 0, 5, 0, 0, 0)


# --- the processor's side: vCPUs of a host on its CPUs ---


def host(**fields):
    """The same, and a vCPU that belongs to the descriptor runs on CPU 2."""
    rig = posting(**fields)
    rig.do(c.Schedule(WHERE, 2, RUNS))
    return rig


def fields_of(rig):
    return PID.split(descriptor(rig))


def exits(rig):
    each = rig.m.targets[WHERE]
    return each.external, each.woken, each.ended


@pytest.mark.parametrize("doing, sn, nv", [(RUNS, 0, ACTIVE), (WAITS, 1, ACTIVE),
                                           (HALTS, 0, WAKE_UP)])
@pytest.mark.parametrize("eime, mode, ndst", [(1, Apic.X2APIC, 6), (0, Apic.XAPIC, 6 << 8)])
def test_the_scheduler_keeps_the_descriptor(doing, sn, nv, eime, mode, ndst):
    """V 5.2.5; NDST holds the APIC ID in bits 15:8 without EIME (V 9.11)."""
    rig = host(eime=eime, mode=mode)
    rig.do(c.Schedule(WHERE, 3, doing))
    assert fields_of(rig) == {"pir": 0, "on": 0, "sn": sn, "nv": nv, "ndst": ndst}


def test_one_that_runs_takes_it_without_an_exit_and_its_cpu_has_nothing_left():
    rig = host()
    assert acts(rig.msi(5), "SYNCED", "VIRTUAL", "VM_EXIT", "TAKEN") == [
        ("SYNCED", 0xA1, WHERE, 1), ("VIRTUAL", 0xA1, WHERE, 0)]
    assert (descriptor(rig) & (1 << 257) - 1, vlapic.pending(rig.m, 2), exits(rig)) == (0, -1, (0, 0, 0))
    assert rig.m.targets[WHERE].visr == 1 << 0xA1


def test_one_that_waits_is_not_told_and_takes_it_where_it_runs_next():
    rig = host()
    rig.do(c.Schedule(WHERE, 2, WAITS))
    assert acts(rig.msi(5), "ACCEPTED", "SYNCED", "VM_EXIT") == []
    assert acts(rig.do(c.Schedule(WHERE, 5, RUNS)), "VIRTUAL") == [("VIRTUAL", 0xA1, WHERE, 0)]
    assert exits(rig) == (0, 0, 0)


def test_one_that_sleeps_is_woken_by_an_interrupt_of_the_host_and_leaves_a_guest_there():
    rig = host()
    rig.do(c.Schedule(WHERE, 2, HALTS))
    rig.do(c.Schedule(WHERE + 64, 2, RUNS))
    assert acts(rig.msi(5), "VM_EXIT", "SCHEDULED") == [
        ("VM_EXIT", Trip.EXTERNAL, WHERE + 64, 0), ("VM_EXIT", Trip.WAKE_UP, WHERE, 0),
        ("SCHEDULED", WAITS, WHERE, 2)]
    assert (exits(rig), rig.m.targets[WHERE + 64].external) == ((0, 1, 0), 1)


def test_a_descriptor_at_address_0_is_one_like_others():
    rig = host()
    rig.do(c.Schedule(WHERE, 2, HALTS))
    rig.do(c.Schedule(0, 2, RUNS))
    assert acts(rig.msi(5), "VM_EXIT", "SCHEDULED") == [
        ("VM_EXIT", Trip.EXTERNAL, 0, 0), ("VM_EXIT", Trip.WAKE_UP, WHERE, 0), ("SCHEDULED", WAITS, WHERE, 2)]
    assert acts(rig.do(c.Schedule(WHERE, 2, RUNS)), "SCHEDULED") == [
        ("SCHEDULED", WAITS, 0, 2), ("SCHEDULED", RUNS, WHERE, 2)]


def test_one_with_something_posted_does_not_halt():
    rig = host()
    rig.do(c.Schedule(WHERE, 2, WAITS))
    rig.msi(5)
    rig.do(c.Schedule(WHERE, 2, HALTS))
    assert rig.m.targets[WHERE].doing == WAITS and fields_of(rig)["sn"] == 1


def test_who_ran_on_a_cpu_waits_when_another_is_put_there():
    rig = host()
    assert acts(rig.do(c.Schedule(WHERE + 64, 2, RUNS)), "SCHEDULED") == [
        ("SCHEDULED", WAITS, WHERE, 2), ("SCHEDULED", RUNS, WHERE + 64, 2)]


def test_an_interrupt_of_the_host_leaves_the_guest_when_its_cpu_takes_it():
    rig = host()
    rig.do(c.Acknowledge(2))
    assert exits(rig) == (0, 0, 0), "nothing was there to take"
    vlapic.take_in(rig.m, 2, 0x44, 0, 4)
    assert acts(rig.do(c.Acknowledge(2)), "VM_EXIT", "TAKEN") == [
        ("VM_EXIT", Trip.EXTERNAL, WHERE, 0), ("TAKEN", 0x44, 0, 0)]
    rig.do(c.Acknowledge(3))
    assert exits(rig) == (1, 0, 0)


@pytest.mark.parametrize("exits_, count", [(0, 0), (1, 1)])
def test_an_eoi_leaves_the_guest_if_the_bitmap_says_so(exits_, count):
    rig = host()
    rig.do(c.EoiExit(WHERE, 0xA1, exits_))
    rig.msi(5)
    events = rig.do(c.VirtualEoi(WHERE))
    assert acts(events, "VIRTUAL_ENDED") == [("VIRTUAL_ENDED", 0xA1, WHERE, exits_)]
    assert (len(acts(events, "VM_EXIT")), exits(rig)) == (count, (0, 0, count))
    assert acts(rig.do(c.VirtualEoi(WHERE))) == [], "nothing is in service any more"
    rig.do(c.EoiExit(WHERE, 0xA1, 0))
    assert rig.m.targets[WHERE].eoi_exit == 0


@pytest.mark.parametrize("command", [
    c.Schedule(WHERE + 8, 2, 0), c.Schedule(1 << 40, 2, 0), c.Schedule(WHERE, 99, 0), c.VirtualEoi(WHERE),
    c.EoiExit(WHERE, 0xA1, 1)])
def test_what_cannot_be_is_dropped(command):
    rig = posting()
    assert [row[0] for row in acts(rig.do(command))] == ["DROPPED"] and not rig.m.targets


def test_a_machine_keeps_so_many_vcpus_of_a_host_and_no_more():
    rig = host()
    for n in range(MOST_TARGETS + 3):
        rig.do(c.Schedule(WHERE + 64 * n, 2, WAITS))
    assert len(rig.m.targets) == MOST_TARGETS


def test_a_notification_for_nobody_here_is_passed_over():
    rig = posting(entry={"urg": 1}, sn=1)
    rig.do(c.Schedule(WHERE, 2, WAITS))
    assert acts(rig.msi(5), "SYNCED", "VM_EXIT") == [("SYNCED", 0, 0, 0)]


def test_without_such_vcpus_the_two_vectors_are_like_all_others():
    rig = posting()
    rig.msi(5)
    assert vlapic.pending(rig.m, 2) == NV


def test_they_are_copied_and_saved_with_the_machine_and_gone_after_a_reset():
    rig = host()
    before = rig.m.copy()
    rig.msi(5)
    assert before.targets[WHERE].visr == 0 and Machine.load(rig.m.save()) == rig.m
    for bad, said in (([9], "not 8 numbers"), ([8, 0, 0, 0, 0, 0, 0, 0], "cpu of a target is 0x8"),
                      ([0, 3, 0, 0, 0, 0, 0, 0], "doing of a target is 0x3"),
                      ([0, 0, 1 << 256, 0, 0, 0, 0, 0], "virr of a target")):
        state = json.loads(rig.m.save()) | {"targets": {str(WHERE): bad}}
        with pytest.raises(ValueError, match=said):
            Machine.load(json.dumps(state))
    state = json.loads(rig.m.save()) | {"targets": {"8": [0] * 8}}
    with pytest.raises(ValueError, match="targets are not at most 64 descriptors"):
        Machine.load(json.dumps(state))
    rig.do(c.Reset())
    assert not rig.m.targets


def test_what_a_target_does_has_a_word_in_commands():
    assert len(Doing) == len(c.CHOICES["doing"])


def test_what_happens_is_told_in_sentences():
    rig = host()
    before = rig.m.copy()
    events = rig.msi(5)
    found = explain(events, before, events[0].serial)
    assert found.verdict == "posted, and taken without an exit"
    assert "CPU 2 clears ON of descriptor 0x6000 and moves 1 vector from PIR to the virtual IRR" in str(found)
    rig.do(c.Schedule(WHERE, 2, HALTS))
    before = rig.m.copy()
    events = rig.msi(5)
    told = explain(events, before, events[0].serial)
    assert told.verdict == "posted, and the host was interrupted" and "SDM 30.6" in told.sections
