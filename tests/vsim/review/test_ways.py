"""Four ways past 8 bits: every figure of the table is what a machine did."""

from dataclasses import asdict

import pytest

from vsim.guest.ways import plain_message, plain_pin
from vsim.layouts.bits import get
from vsim.layouts.formats import MSI_ADDRESS, RTE, Reason
from vsim.machine import step
from vsim.protocol import checker as protocol
from vsim.readers.cpuid import load
from vsim.review import ways
from vsim.review.ways import DISK, MOVES, NIC, OLD, PROPERTIES, WAYS, Row, Trial, compare, measure, table
from vsim.state import commands as c
from vsim.state.pci import Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Kind

# way: online, fixed, logical, broadcast, tables, isolated, invalidations, exits, writes, lookups
MEASURED = {
    288: {"nothing": (128, 128, 4, 0, 0, False, 0, 0, 5, 0),
          "vIOMMU": (288, 288, 288, 288, 1 << 20 | 1 << 12, True, 1, 1, 0, 1),
          "extended destination ID": (288, 288, 8, 0, 0, False, 0, 0, 5, 0),
          "restricted affinity": (288, 128, 4, 0, 0, False, 0, 0, 5, 0)},
    128: {"nothing": (128, 128, 4, 0, 0, False, 0, 0, 5, 0),
          "vIOMMU": (128, 128, 128, 128, 1 << 20 | 1 << 12, True, 1, 1, 0, 1),
          "extended destination ID": (128, 128, 8, 0, 0, False, 0, 0, 5, 0),
          "restricted affinity": (128, 128, 4, 0, 0, False, 0, 0, 5, 0)},
}


def figures(row):
    return tuple(asdict(row).values())[2:-1]


@pytest.mark.parametrize("vcpus", MEASURED)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_measured_of_each_way(way, vcpus):
    row = measure(way, vcpus)
    assert (row.way, row.vcpus) == (way, vcpus)
    assert figures(row) == MEASURED[vcpus][way]
    assert (row.boot_exits > 0) == (way == "vIOMMU")


def test_the_limit_bites_at_128_because_the_id_is_twice_the_number():
    for vcpus, step_, reached in ((128, 2, 128), (129, 2, 128), (255, 1, 255), (256, 1, 255)):
        row = measure("restricted affinity", vcpus, profile("spec").with_options(apic_id_step=step_))
        assert (row.online, row.fixed) == (vcpus, reached)


def test_fifteen_bits_end_at_id_32767():
    ids = (0, 0x7FFE, 0x7FFF, 0x8000)
    row = measure("extended destination ID", 4, profile("spec").with_options(apic_ids=ids))
    assert (row.online, row.fixed) == (4, 3)
    assert row.broadcast == 1      # all 15 bits set is the ID 32767, and no broadcast
    assert measure("vIOMMU", 4, profile("spec").with_options(apic_ids=ids)).fixed == 4


@pytest.mark.parametrize("way, reached", [("vIOMMU", 40), ("extended destination ID", 0), ("restricted affinity", 0)])
def test_kvm_s_rule_makes_a_broadcast_of_8_bits_and_of_no_15(way, reached):
    assert measure(way, 40).broadcast == reached
    base = profile("spec").with_options(ff_broadcast=True)
    assert measure(way, 40, base).broadcast == {"restricted affinity": 40}.get(way, reached)


def test_vcpus_reach_one_another_without_any_of_it():
    """x2APIC needs no remapping: an IPI has 32 bits of destination."""
    for way in ("vIOMMU", "extended destination ID", "restricted affinity"):
        trial = Trial(way, 288)
        before = trial.machine.copy()
        assert [trial.ipi(0, vcpu) for vcpu in (1, 128, 287)] == [[1], [128], [287]]
        assert trial.machine == before
    assert Trial("nothing", 288).ipi(0, 287) == []      # it was left offline


def test_what_a_trial_did_can_be_judged():
    trial = Trial("vIOMMU", 16)
    assert trial.send(NIC, 5) and trial.send(OLD, 6)
    assert protocol.check(trial.commands, trial.start, every=True) == ()
    late = Trial("vIOMMU", 16, skip=["invalidate"])
    late.send(NIC, 5)
    assert protocol.check(late.commands, late.start)[0].rule.name == "invalidate-after-set"


def test_the_pin_reaches_as_far_as_the_message():
    for way in WAYS:
        trial = Trial(way, 288)
        for vcpu in (0, 127, 128, 287):
            assert trial.send(OLD, vcpu) == trial.send(NIC, vcpu) == (vcpu < 128 or way not in (
                "nothing", "restricted affinity"))


@pytest.mark.parametrize("destination, address, high", [
    (300, 0xFEE2C020, 0x2C020000), (0x7FFF, 0xFEEFFFE0, 0xFFFE0000), (254, 0xFEEFE000, 0xFE000000)])
def test_the_guest_programs_destination_bits_8_to_14_where_they_belong(destination, address, high):
    assert plain_message(destination, 0x41) == (address, 0x41)
    assert plain_pin(destination, 0x41) >> 32 == high
    trial = Trial("extended destination ID", 1, profile("spec").with_options(apic_ids=(destination,)))
    assert trial.guest.ways.message(trial.source())[0] == address
    assert trial.machine.rte[trial.source(OLD).number] >> 32 == high
    assert (get(address, MSI_ADDRESS.ext), get(high << 32, RTE.ext)) == (destination >> 8, destination >> 8)
    assert trial.send(NIC, 0) and trial.send(OLD, 0)


def test_a_logical_message_has_the_mode_bit_set():
    assert plain_message(4, 0x41, 1) == (0xFEE04004, 0x41)


def test_without_a_source_check_a_disk_raises_the_interrupt_of_the_nic():
    for way in WAYS:
        trial = Trial(way, 16)
        source = trial.source()
        events = step(trial.machine.copy(), c.Msi(DISK, *trial.guest.ways.message(source)))
        reasons = [event.index for event in events if event.act == Act.BLOCKED]
        assert reasons == ([Reason.SOURCE_ID] if way == "vIOMMU" else [])


def test_a_change_of_affinity_touches_the_unit_or_the_device():
    """The two exits are those of the queue's tail, for the invalidation and for its wait; the table is memory."""
    for way, nodes in (("vIOMMU", {Kind.VIOMMU}), ("restricted affinity", {Kind.DEVICE})):
        trial = Trial(way, 16)
        before = len(trial.events)
        trial.guest.affinity(trial.source(), 5)
        written = [event for event in trial.events[before:] if event.act == Act.WRITTEN]
        assert {event.node >> 24 for event in written} == nodes


def test_a_raw_message_leaves_the_machine_as_it_was():
    trial = Trial("vIOMMU", 16)
    before = trial.machine.copy()
    trial.raw(DISK, *trial.guest.ways.message(trial.source()))
    assert trial.machine == before


def test_one_vcpu_has_no_affinity_to_change():
    assert figures(measure("vIOMMU", 1))[6:9] == (0, 0, 0)


def test_the_table_has_a_line_for_each_property_and_a_column_for_each_way():
    rows = compare(16)
    assert [row.way for row in rows] == list(WAYS)
    lines = table(rows)
    assert [line[0] for line in lines] == list(PROPERTIES.values())
    assert {len(line) for line in lines} == {5}
    assert dict(zip(PROPERTIES, lines, strict=True))["tables"][1:] == ("0", "1,052,672", "0", "0")
    assert dict(zip(PROPERTIES, lines, strict=True))["isolated"][1:] == ("no", "yes", "no", "no")
    assert set(PROPERTIES) == set(Row.__dataclass_fields__) - {"way", "vcpus"}


def test_a_way_that_does_not_exist_is_refused_by_the_list_of_those_that_do():
    with pytest.raises(ValueError, match="no way 'prayer'; there are nothing, vIOMMU, extended destination ID"):
        measure("prayer")


def test_moves_are_counted_over_several():
    trial = Trial("vIOMMU", 16)
    before = trial.count(Act.INVALIDATED)
    assert ways.per_move(trial) == (1, 1, 0)
    assert trial.count(Act.INVALIDATED) - before == MOVES


def test_functions_of_ones_own_can_be_tried():
    trial = Trial("vIOMMU", 300, functions=(Function(NIC, msix_count=1), Function(0x40, msi_count=4)))
    assert trial.send(0x40, 299)


@pytest.mark.parametrize("name, fixed, extended", [("knightslanding.txt", 223, 256), ("emeraldrapids.txt", 112, 112)])
def test_with_the_ids_of_a_real_machine_8_bits_end_elsewhere(name, fixed, extended, real_data):
    ids = tuple(cpu.apic_id for cpu in load(real_data / "cpuid" / name))
    base = profile("spec").with_options(apic_ids=ids)
    rows = {row.way: row for row in compare(len(ids), base)}
    assert [rows[way].fixed for way in WAYS] == [fixed, len(ids), extended, fixed]
