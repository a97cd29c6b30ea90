"""The worked vectors of X 11.2 to 11.7 under the profiles they belong to (11.1: test_interfaces, 11.8: test_acpi)."""

import pytest

from vsim.devices import chain, vlapic
from vsim.domain.stage import TABLE, Stage, taken
from vsim.layouts.formats import IEC, IRTE, RTE_REMAP, WAIT, remap_message
from vsim.layouts.registers import GCMD
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Apic, Latch, Machine
from vsim.state.profile import profile
from vsim.state.trace import Act
from vsim.xen import models as xen_models
from vsim.xen import paths as xen_paths


@pytest.mark.parametrize("handle, shv, address, index, with_data", [
    (0, 0, 0xFEE00010, 0, 0), (5, 0, 0xFEE000B0, 5, 5), (0x1234, 0, 0xFEE24690, 0x1234, 0x1234),
    (0x8001, 0, 0xFEE00034, 0x8001, 0x8001), (0xFFFF, 0, 0xFEEFFFF4, 0xFFFF, 0xFFFF),
    (0xFFFF, 1, 0xFEEFFFFC, 0xFFFF, 0x10000)])
def test_messages(handle, shv, address, index, with_data):
    assert remap_message(handle, 0 if shv else None)[0] == address
    assert (chain.index_of(address, 0, 0), chain.index_of(address, 1, 0)) == (index, with_data)


@pytest.mark.parametrize("fields, word", [
    ({"handle": 5, "vector": 4}, 0x000B000000000004),
    ({"handle": 0x8003, "vector": 16, "tm": 1, "polarity": 1}, 0x000700000000A810)])
def test_redirection_entries(fields, word):
    assert RTE_REMAP.make(format=1, **fields) == word


@pytest.mark.parametrize("fields, word", [
    ({"vector": 0x41, "dst": 256}, 0x0000010000410001), ({"vector": 0x41, "dst": 0x1400}, 0x0000140000410001),
    ({"vector": 0x41, "dlm": 1, "dm": 1, "dst": 0x100005}, 0x0010000500410025)])
def test_table_entries(fields, word):
    assert IRTE.make(p=1, **fields) == word


@pytest.mark.parametrize("vcpu, apic_id, xen, architectural", [
    (0, 0, 0x1, 0x1), (1, 2, 0x2, 0x4), (127, 254, 0x78000, 0xF4000), (128, 256, 0x80001, 0x100001),
    (287, 574, 0x118000, 0x234000)])
def test_identities(vcpu, apic_id, xen, architectural):
    for chosen, ldr in ((profile("xen-v4"), xen), (profile("spec"), architectural)):
        m = Machine(chosen, 288)
        vlapic.set_mode(m, vcpu, Apic.X2APIC)
        assert (m.apic_id[vcpu], m.ldr[vcpu]) == (apic_id, ldr)


@pytest.mark.parametrize("version, low, high", [
    ("xen-v3", 0x0005000000000000, 0x0800000220000000), ("xen-v4", 0x0000000000005000, 0x0800000220000000)])
def test_the_fault_record_as_coded(version, low, high):
    s = Stage(profile(version).without_quirks("xen.D14"))
    s.table()
    s.msi(5)
    at = s.m.profile.capabilities.fault_offset // 4
    words = s.m.regs[at:at + 4]
    assert (words[0] | words[1] << 32, words[2] | words[3] << 32) == (low, high)


def test_an_event_of_the_unit_reaches_an_id_of_more_than_8_bits():
    m = Stage(profile("xen-v4"), vcpus=130).m
    xen_paths.event(m, 0x100_FEE0_2000, 0x41)
    assert [vcpu for vcpu in range(130) if vlapic.highest(m.irr, vcpu) == 0x41] == [129]


def test_an_entry_is_readable_where_its_own_page_is_memory():
    m = Stage(profile("xen-v3")).m
    m.latch[Latch.BASE_PAGE] = (m.ram.size >> 12) - 1
    assert [xen_models.table_readable(m, 0, index) for index in (0, 255, 256, 511)] == [True, True, False, False]


def test_descriptors():
    assert IEC.make(type=4) == 0x4
    assert IEC.make(type=4, g=1, iidx=5) == 0x0000000500000014
    assert WAIT.make(type=5, sw=1, data=2) == 0x0000000200000025
    assert WAIT.make(type=5, sw=1, iflag=1, data=2) == 0x0000000200000035


@pytest.mark.parametrize("writes, status", [
    ([0x04000000], 0x04000000), ([0x04000000, 0x05000000], 0x05000000),
    ([0x04000000, 0x05000000, 0x06000000], 0x07000000),
    ([0x04000000, 0x05000000, 0x06000000, 0x06000000], 0x07000000),
    ([0x04000000, 0x05000000, 0x06000000, 0x04000000], 0x05000000),
    ([0x04000000, 0x05000000, 0x02000000], 0x03000000),
    ([0x04000000, 0x05000000, 0x06000000, 0x86000000], 0x07000000)])
def test_the_walk_of_gcmd_under_version_4(writes, status):
    s = Stage(profile("xen-v4"))
    for word in writes:
        s.write("GCMD", word)
    assert s.read("GSTS") == status


def test_an_entry_for_vcpu_128_with_extended_mode():
    s = Stage(profile("xen-v4"), vcpus=130)
    s.table()
    s.entry(0, p=1, vector=0x41, dst=256)
    assert taken(s.msi(0)) == "taken by vCPU 128 vector 0x41"


@pytest.mark.parametrize("handle", [0, 1, 5, 0x4000, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
def test_a_pin_s_entry_stands_for_the_address_of_its_handle(handle):
    assert xen_paths.pin_address(RTE_REMAP.make(format=1, handle=handle, vector=4)) == remap_message(handle, None)[0]


@pytest.mark.parametrize("name", ["xen-v1", "xen-v3", "xen-v4"])
def test_an_8_byte_write_has_both_its_halves(name):
    s = Stage(profile(name))
    s.write("IRTA", 0x123_0010_000F, 8)
    assert s.read("IRTA", 8) == 0x123_0010_000F


@pytest.mark.parametrize("dst", [1, 0x80000001])
def test_a_fetched_entry_is_shown_whole(dst):
    s = Stage(profile("xen-v4"))
    s.table()
    s.entry(0, p=1, vector=0x41, dst=dst, sid=0x300)
    whole = IRTE.make(p=1, vector=0x41, dst=dst, sid=0x300)
    assert [(e.low, e.high) for e in s.msi(0) if e.act == Act.FETCHED] == [(whole & (1 << 64) - 1, whole >> 64)]


def bound(*handles):
    """Messages that are bound, each for its entry, which names vCPU 1, vector 0x41; the hardware posts."""
    s = Stage(profile("xen-v4"))
    s.m.posting = 1
    s.table()
    for handle in handles:
        s.entry(handle, p=1, vector=0x41, dst=s.m.apic_id[1])
        step(s.m, c.Bind(*remap_message(handle)))
    return s


def test_a_posted_host_interrupt_is_an_edge_at_its_vcpu_without_an_exit():
    s = bound(3, 4)
    events = step(s.m, c.HostIrq(1))
    assert [(e.act, e.index, e.low, e.high) for e in events] == [
        (Act.HOST_ENTRY, 1, 1, 0x41), (Act.ACCEPTED, 0x41, 0, s.m.apic_id[1])]
    assert not s.m.awaiting


def test_a_status_that_lands_on_an_entry_makes_its_message_be_worked_out_again():
    """A wait stores the entry's destination between two invalidations: the second one sees it."""
    s = bound(3, 4)
    wanted = s.m.apic_id[2]
    s.queue(IEC.make(type=4), WAIT.make(type=5, sw=1, data=wanted, address=TABLE + 16 * 4 + 4 >> 2), IEC.make(type=4))
    s.write("GCMD", GCMD.make(sirtp=1, ire=1, qie=1))
    s.write("IQT", 3 << 4)
    s.read("IQT")
    assert [row.vcpu for row in s.m.bound] == [1, 2]
