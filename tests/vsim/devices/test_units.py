"""A machine with several units: registers, tables, caches, queues and faults of each are its own."""

import pytest

from vsim.devices import viommu, vlapic
from vsim.layouts.formats import FRCD, IEC, IRTE, remap_message
from vsim.layouts.interfaces import Op
from vsim.layouts.registers import ECAP, GCMD, OFFSET
from vsim.machine import read, remapping_on, step, unit_at, unit_register
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import Capabilities, profile
from vsim.state.trace import Act, Kind, node

BASE, SIZE = 0xFED90000, 0x1000
TABLES = [0x100000, 0x200000, 0x300000, 0x400000]
QUEUES = [0x500000, 0x501000, 0x502000, 0x503000]
DEVICES = [0x0020, 0x0028, 0x0030, 0x0038]


def machine(units: int = 3, own: tuple[Capabilities, ...] = ()) -> Machine:
    """A machine with that many units; device n is behind unit n, everybody else behind the last."""
    base = profile("spec").with_options(max_units=units)
    m = Machine(base.with_units(*own), 8)
    m.scope = {bdf: unit for unit, bdf in enumerate(DEVICES[:units])} | {-1: units - 1}
    for vcpu in range(8):
        m.svr[vcpu] |= 0x100
        vlapic.set_mode(m, vcpu, Apic.X2APIC)
    for unit in range(units):
        step(m, c.Domctl(viommu.create_op(BASE + SIZE * unit, version=m.profile.options.interface)))
    return m


def write(m, unit, name, value, width=4):
    return step(m, c.Mmio(BASE + SIZE * unit + OFFSET[name], width, value))


def start(m, unit, eime=True):
    """Queue, table of 256 entries, remapping on."""
    write(m, unit, "IQA", QUEUES[unit], 8)
    write(m, unit, "GCMD", GCMD.make(qie=1))
    write(m, unit, "IRTA", TABLES[unit] | int(eime) << 11 | 7, 8)
    write(m, unit, "GCMD", GCMD.make(qie=1, sirtp=1))
    write(m, unit, "GCMD", GCMD.make(qie=1, ire=1))


def entry(m, unit, index, **fields):
    m.ram.write(TABLES[unit] + 16 * index, IRTE.make(**fields).to_bytes(16, "little"))


def taken(events):
    return [(e.node & 0xFFFFFF, e.index) for e in events if e.act == Act.ACCEPTED]


def started(units=3):
    m = machine(units)
    for unit in range(units):
        start(m, unit)
    return m


def test_each_page_is_trapped_where_its_unit_was_created():
    m = machine()
    assert [unit_at(m, BASE + SIZE * page + 8) for page in range(4)] == [0, 1, 2, -1]


def test_a_command_register_switches_its_own_unit_only():
    m = machine()
    start(m, 1)
    assert [remapping_on(m, unit) for unit in range(3)] == [False, True, False]
    assert [unit_register(m, "IRTA", unit) for unit in range(3)] == [0, TABLES[1] | 0x807, 0]


def test_a_message_is_looked_up_in_the_table_of_its_devices_unit():
    m = started()
    for unit in range(3):
        entry(m, unit, 5, p=1, vector=0x40 + unit, dst=2 * unit)
    for unit, device in enumerate(DEVICES[:3]):
        assert taken(step(m, c.Msi(device, *remap_message(5)))) == [(unit, 0x40 + unit)]


def test_who_is_named_nowhere_is_behind_the_unit_of_everybody():
    m = started()
    entry(m, 2, 5, p=1, vector=0x55, dst=8)
    assert taken(step(m, c.Msi(0x1234, *remap_message(5)))) == [(4, 0x55)]
    m.scope.pop(-1)
    entry(m, 0, 5, p=1, vector=0x56, dst=10)
    assert taken(step(m, c.Msi(0x1234, *remap_message(5)))) == [(5, 0x56)]


def test_a_fault_is_recorded_in_its_own_unit_only():
    m = started()
    write(m, 1, "FEDATA", 0x66)
    write(m, 1, "FEADDR", 0xFEE00000 | 6 << 12)
    write(m, 1, "FECTL", 0)
    events = step(m, c.Msi(DEVICES[1], *remap_message(9)))
    assert taken(events) == [(3, 0x66)]
    assert [unit_register(m, "FSTS", unit) for unit in range(3)] == [0, 2, 0]
    at = m.profile.capabilities.fault_offset
    records = [sum(read(m, BASE + SIZE * unit + at + 8 * half, 8) << 64 * half for half in (0, 1)) for unit in range(3)]
    assert FRCD.split(records[1]) | {"f": 1, "sid": DEVICES[1], "reason": 0x22, "index": 9} == FRCD.split(records[1])
    assert records[0] == records[2] == 0
    assert next(e.node for e in events if e.act == Act.RECORDED) == node(Kind.VIOMMU, 1)


def test_an_invalidation_empties_the_cache_of_its_own_unit_only():
    m = started()
    for unit in range(3):
        entry(m, unit, 5, p=1, vector=0x40, dst=0)
        step(m, c.Msi(DEVICES[unit], *remap_message(5)))
    assert sorted(m.cache) == [5, 1 << 16 | 5, 2 << 16 | 5]
    m.ram.write(QUEUES[1], IEC.make(type=4).to_bytes(16, "little"))
    write(m, 1, "IQT", 0x10, 8)
    assert sorted(m.cache) == [5, 2 << 16 | 5]


def test_the_queue_of_a_unit_does_not_move_for_another():
    m = started()
    m.ram.write(QUEUES[0], bytes([0xE]) + bytes(15))     # no such descriptor
    write(m, 0, "IQT", 0x10, 8)
    assert [unit_register(m, "FSTS", unit) & 0x10 for unit in range(3)] == [0x10, 0, 0]


def test_a_unit_that_is_destroyed_leaves_the_others_alone():
    m = started()
    step(m, c.Domctl(viommu.encode("v1-corrected", Op.DESTROY, viommu_id=1)))
    assert [m.live(unit) for unit in range(3)] == [True, False, True]
    assert m.unit_of(DEVICES[1]) == -1
    entry(m, 2, 5, p=1, vector=0x44, dst=2)
    assert taken(step(m, c.Msi(DEVICES[2], *remap_message(5)))) == [(1, 0x44)]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_units_keep_their_numbers_over_a_reset(gone):
    m = started()
    step(m, c.Domctl(viommu.encode("v1-corrected", Op.DESTROY, viommu_id=gone)))
    step(m, c.Reset())
    assert [m.live(unit) for unit in range(3)] == [unit != gone for unit in range(3)]
    for unit in {0, 1, 2} - {gone}:
        assert unit_at(m, BASE + SIZE * unit) == unit and not remapping_on(m, unit)
        assert m.unit_of(DEVICES[unit]) == unit


def test_units_can_differ_in_what_they_offer():
    strong = Capabilities()
    m = machine(2, own=(strong.having(eim=False), strong.having(posting=True)))
    assert [unit_register(m, "ECAP", unit) & ECAP.eim.mask for unit in range(2)] == [0, ECAP.eim.mask]
    assert [unit_register(m, "CAP", unit) >> 59 & 1 for unit in range(2)] == [0, 1]
    start(m, 0)
    start(m, 1)
    assert [unit_register(m, "IRTA", unit) >> 11 & 1 for unit in range(2)] == [0, 1]
    entry(m, 0, 5, p=1, vector=0x41, dst=2 << 8)
    entry(m, 1, 5, p=1, vector=0x42, dst=2)
    assert [taken(step(m, c.Msi(device, *remap_message(5)))) for device in DEVICES[:2]] == [[(1, 0x41)], [(1, 0x42)]]


def test_a_posted_entry_counts_where_the_unit_posts():
    strong = Capabilities()
    m = machine(2, own=(strong, strong.having(posting=True)))
    for unit in range(2):
        start(m, unit)
        entry(m, unit, 5, p=1, im=1)
    reasons = [next((e.index for e in step(m, c.Msi(device, *remap_message(5))) if e.act == Act.BLOCKED), 0)
               for device in DEVICES[:2]]
    assert reasons == [0x24, 0]


def test_a_saved_machine_with_units_that_differ_is_the_same_when_loaded():
    m = machine(2, own=(Capabilities(), Capabilities().having(eim=False)))
    start(m, 0)
    assert Machine.load(m.save()) == m
