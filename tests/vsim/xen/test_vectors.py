"""The worked vectors of X 11.2 to 11.7 under the profiles they belong to (11.1: test_interfaces, 11.8: test_acpi)."""

import pytest

from vsim.devices import chain, vlapic
from vsim.domain.stage import Stage, taken
from vsim.layouts.formats import IEC, IRTE, RTE_REMAP, WAIT, remap_message
from vsim.state.arrays import Apic, Latch, Machine
from vsim.state.profile import profile
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
