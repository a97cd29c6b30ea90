"""What hypervisors are held to by a public unit-test suite: IOMMU. The numbers are those of its list of 6 items.

Out of scope: 4 (DMA), and the page sizes of 3. Where the suite's table departs from the specification the test shows
both: blocked under `spec`, delivered under `qemu-10`.
"""

import pytest

from tests.cpus import entry, line, reached, serve
from tests.rig import TABLE, Rig, acts
from vsim.layouts.formats import IRTE, RTE_REMAP, Reason, remap_message
from vsim.layouts.registers import GCMD, GSTS
from vsim.machine import step
from vsim.state import commands as c

DEVICE = 0x0018
PIN = 0x13
NAMES = ["spec", "qemu-10"]


def unit(name):
    """Four CPUs, no EIM, everything at reset."""
    return Rig(name=name, vcpus=4, unit={"eim": False}, apic_id_step=1)


def suite(name):
    """As that suite sets it up: 65,536 entries in IRTA, one page behind it; indices from 1; FPD in every entry."""
    rig = unit(name)
    rig.start(s=15, eime=0)
    common = {"fpd": 1, "svt": 1, "sid": DEVICE}
    rig.entry(1, vector=0xED, **common)
    rig.entry(2, vector=0xEE, **common)
    return rig


@pytest.mark.parametrize("name", NAMES)
def test_1_the_fault_status_is_0_after_set_up(name):
    assert suite(name).read("FSTS") == 0


@pytest.mark.parametrize("name", NAMES)
def test_2_each_status_bit_is_set_by_its_own_command_that_repeats_the_others(name):
    rig = unit(name)
    rig.write("IQA", 0x200000)
    rig.write("IRTA", TABLE | 15)
    for command, status in (("qie", "qies"), ("srtp", "rtps"), ("sirtp", "irtps"), ("te", "tes"), ("ire", "ires")):
        before = rig.read("GSTS")
        rig.write("GCMD", (before & 0x96FFFFFF) | getattr(GCMD, command).mask)
        assert rig.read("GSTS") == before | getattr(GSTS, status).mask


def test_3_the_width_is_39_bits():
    assert unit("spec").m.profile.capabilities.width == 39


def pin_entry(rig):
    entry(rig.m, PIN, RTE_REMAP.make(format=1, handle=1, vector=0xED))


def test_5_intx_through_an_entry_with_the_devices_id_is_blocked_under_spec():
    """The I/O APIC is ff:00.0, not the device. FPD keeps the fault from the record."""
    rig = suite("spec")
    pin_entry(rig)
    events = line(rig.m, PIN, 1, 0)
    assert acts(events, "BLOCKED") == [("BLOCKED", Reason.SOURCE_ID, 1, 0xFF00)]
    assert acts(events, "SUPPRESSED") and rig.read("FSTS") == 0
    assert serve(rig.m) == []


def test_5_intx_through_an_entry_with_the_devices_id_reaches_cpu_0_under_qemu():
    """Its I/O APIC is not verified."""
    rig = suite("qemu-10")
    pin_entry(rig)
    assert reached(line(rig.m, PIN, 1, 0)) == [0]
    assert serve(rig.m) == [0xED]


def test_5_intx_through_an_entry_with_the_io_apics_id_reaches_cpu_0_under_spec():
    rig = suite("spec")
    rig.entry(1, IRTE.make(p=1, fpd=1, vector=0xED, svt=1, sid=0xFF00))
    pin_entry(rig)
    line(rig.m, PIN, 1, 0)
    assert serve(rig.m) == [0xED]


@pytest.mark.parametrize("name", NAMES)
def test_6_the_devices_msi_reaches_cpu_0(name):
    rig = suite(name)
    address, data = remap_message(2)
    assert data == 0
    assert reached(step(rig.m, c.Msi(DEVICE, address, data))) == [0]
    assert serve(rig.m) == [0xEE]


@pytest.mark.parametrize("name", NAMES)
def test_6_an_index_behind_the_one_page_of_the_table_finds_whatever_is_there(name):
    """IRTA promises 65,536 entries: the unit reads on. Zeros are not present, and FPD is not set in them."""
    rig = suite(name)
    events = rig.msi(256, DEVICE)
    assert acts(events, "BLOCKED") == [("BLOCKED", Reason.NOT_PRESENT, 256, DEVICE)]
    assert rig.read("FSTS") & 2
