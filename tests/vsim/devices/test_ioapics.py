"""Several I/O APICs: each with its window, its GSIs, its entries and its requester id."""

import pytest

from tests.cpus import drops, machine, reached, serve
from tests.rig import Rig, acts
from vsim.layouts.formats import RTE, RTE_REMAP
from vsim.layouts.registers import IOAPIC_VERSION
from vsim.machine import read, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import MOST_IOAPICS, Options, Profile, profile

FIRST, SECOND, THIRD = 0xFEC00000, 0xFEC01000, 0xFEC01400
MORE = ((SECOND, 24, 8, 0xF01F), (THIRD, 64, 16, 0x2088))


def three(**options):
    return machine(ioapic_pins=24, more_ioapics=MORE, **options)


def write(m, window, index, value):
    step(m, c.Mmio(window, 4, index))
    return step(m, c.Mmio(window + 0x10, 4, value))


def register(m, window, index):
    step(m, c.Mmio(window, 4, index))
    return read(m, window + 0x10, 4)


def entry(m, window, pin, value):
    return write(m, window, 0x11 + 2 * pin, value >> 32) + write(m, window, 0x10 + 2 * pin, value & 0xFFFFFFFF)


def test_each_has_its_own_registers():
    m = three()
    assert [register(m, window, 1) >> IOAPIC_VERSION.last.low for window in (FIRST, SECOND, THIRD)] == [23, 7, 15]
    for number, window in enumerate((FIRST, SECOND, THIRD), 1):
        write(m, window, 0, number << 24)
    assert [register(m, window, 0) >> 24 for window in (FIRST, SECOND, THIRD)] == [1, 2, 3]
    entry(m, SECOND, 0, RTE.make(vector=0x62, mask=1))
    assert [register(m, window, 0x10) & 0xFF for window in (FIRST, SECOND, THIRD)] == [0, 0x62, 0]
    assert register(m, SECOND, 0x10 + 2 * 8) == 0 and m.rte[24] & 0xFF == 0x62


@pytest.mark.parametrize("gsi, window, pin", [(0, FIRST, 0), (23, FIRST, 23), (24, SECOND, 0), (31, SECOND, 7),
                                              (64, THIRD, 0), (79, THIRD, 15)])
def test_a_gsi_is_a_pin_of_the_one_that_has_it(gsi, window, pin):
    m = three()
    entry(m, window, pin, RTE.make(dest=2, vector=0x61))
    assert reached(step(m, c.Pin(gsi, 1))) == [2]


@pytest.mark.parametrize("gsi", [32, 63, 80, 255])
def test_between_and_behind_them_is_no_pin(gsi):
    assert drops(step(three(), c.Pin(gsi, 1))) == [12]


def test_a_broadcast_eoi_reaches_all_and_the_register_its_own():
    m = three()
    for window, gsi in ((FIRST, 5), (SECOND, 24 + 5)):
        entry(m, window, 5, RTE.make(dest=1, vector=0x61, tm=1))
        step(m, c.Pin(gsi, 1))
        step(m, c.Pin(gsi, 0))
    irr = [register(m, window, 0x10 + 10) >> 14 & 1 for window in (FIRST, SECOND)]
    step(m, c.Mmio(SECOND + 0x40, 4, 0x61))
    after = [register(m, window, 0x10 + 10) >> 14 & 1 for window in (FIRST, SECOND)]
    assert (irr, after) == ([1, 1], [1, 0])
    assert serve(m, 1) == [0x61]
    assert register(m, FIRST, 0x10 + 10) >> 14 & 1 == 0


def test_each_is_a_requester_of_its_own():
    """An entry that lets one in keeps the others out; each goes to the unit in whose scope it is."""
    rig = Rig(ioapic_pins=24, more_ioapics=MORE).start(eime=0)
    rig.entry(5, vector=0x61, dst=0x200, svt=1, sid=0xF01F)
    for window in (FIRST, SECOND, THIRD):
        entry(rig.m, window, 1, RTE_REMAP.make(handle=5, format=1, vector=0x61))
    seen = []
    for gsi in (1, 25, 65):
        events = rig.do(c.Pin(gsi, 1))
        seen += [(row[1], len(acts(events, "ACCEPTED"))) for row in acts(events, "SENT")]
        rig.clear()
    assert seen == [(0xFF00, 0), (0xF01F, 1), (0x2088, 0)]
    rig.m.scope = {0x2088: 7}
    assert rig.m.unit_of(0x2088) == -1 and rig.m.unit_of(0xF01F) == 0


def test_a_real_machine_has_up_to_17():
    rows = tuple((FIRST + 0x1000 * n, 24 + 8 * (n - 1), 8, 0xF000 + n) for n in range(1, MOST_IOAPICS))
    m = machine(ioapic_pins=24, more_ioapics=rows)
    assert len(m.rte) == 24 + 8 * 16
    entry(m, rows[-1][0], 7, RTE.make(dest=3, vector=0x61))
    assert reached(step(m, c.Pin(24 + 8 * 16 - 1, 1))) == [3]


@pytest.mark.parametrize("rows, says", [
    ([(FIRST, 48, 8, 1)], "window twice"), ([(SECOND, 40, 8, 1)], "GSI or a window twice"),
    ([(SECOND + 4, 48, 8, 1)], "not a multiple of 0x400"),
    ([(0x1000, 48, 8, 1)], r"more_ioapics\[0\].window is 0x1000"),
    ([(SECOND, 250, 8, 1)], "last GSI"), ([(SECOND, 48, 0, 1)], "pins is 0x0"), ([(SECOND, 48, 8, 1 << 16)], "sid is"),
    ([(SECOND, 48, 200, 1)], "pins of all"),
    ([(FIRST + 0x1000 * n, 40 + 8 * n, 8, n) for n in range(1, 18)], "number of"),
])
def test_what_cannot_stand_beside_each_other_is_refused(rows, says):
    with pytest.raises(ValueError, match=says):
        Options(more_ioapics=tuple(rows))


def test_they_are_saved_and_loaded():
    m = three()
    step(m, c.Pin(64, 1))
    entry(m, THIRD, 3, RTE.make(vector=0x77))
    assert Machine.load(m.save()) == m
    plain = profile("spec").with_options(ioapic_pins=24, more_ioapics=MORE)
    assert Profile.from_dict(plain.to_dict()) == plain


def test_no_unit_is_created_over_one():
    rig = Rig(ioapic_pins=24, more_ioapics=MORE, max_units=2)
    from vsim.devices import viommu
    assert viommu.operate(rig.m, viommu.create_op(SECOND))[0] != 0
    assert viommu.operate(rig.m, viommu.create_op(0xFEC08000))[0] == 0


@pytest.mark.parametrize("window", [0xFEC7F000, 0xFEC80000, 0xFECFF000])
def test_a_window_may_be_anywhere_in_its_mebibyte(window):
    m = machine(ioapic_pins=24, more_ioapics=((window, 24, 8, 0xF01F),))
    assert register(m, window, 1) >> IOAPIC_VERSION.last.low == 7
