"""The hypercall of every version: bytes, values, checks in order, lifecycle, envelope; and the save records (X 2)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices import viommu
from vsim.domain.stage import BASE, TABLE, Stage, taken
from vsim.layouts import interfaces
from vsim.layouts.interfaces import INTERFACES, Errno, Op
from vsim.layouts.registers import GCMD, OFFSET
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from vsim.state.trace import Act
from vsim.xen import save as xen_save

SERIES = {"v1": "xen-v1", "v2": "xen-v1", "rfc-v1": "xen-v1", "rfc-v2": "xen-v1", "v3": "xen-v3", "v4": "xen-v4"}


def machine(version, **options):
    return Machine(profile(SERIES[version]).with_options(interface=version, **options), 2)


def create(m, **changes):
    version = m.profile.options.interface
    return viommu.operate(m, viommu.create_op(version=version, **changes))[0]


# --- bytes (X 2.2, 11.1) ---

@pytest.mark.parametrize("version, text", [
    ("v1", "00000000 00000000 0100000000000000 0000d9fe00000000 0010000000000000 0100000000000000 00000000 00000000"),
    ("v3", "00000000 00000000 0000000000000000 0000d9fe00000000 0100000000000000 00000000 00000000"),
    ("v4", "00000000 00000000 0000000000000000 0000d9fe00000000 0100000000000000 00000000 00000000"),
])
def test_create_is_the_worked_vector(version, text):
    assert viommu.create_op(version=version) == bytes.fromhex(text)


@pytest.mark.parametrize("version, op, name, offset, width", [
    ("v1", Op.CREATE, "length", 24, 8), ("v1", Op.CREATE, "viommu_id", 40, 4), ("v2", Op.CREATE, "length", 24, 8),
    ("v2", Op.QUERY_CAPS, "capabilities", 16, 8), ("rfc-v2", Op.QUERY_CAPS, "caps", 16, 8),
    ("v3", Op.CREATE, "capabilities", 24, 8), ("v3", Op.CREATE, "viommu_id", 32, 4),
    ("v3", Op.CREATE, "viommu_type", 8, 8), ("v3", Op.DESTROY, "viommu_id", 8, 4),
    ("v4", Op.CREATE, "viommu_type", 8, 1), ("v4", Op.CREATE, "base_address", 16, 8),
    ("rfc-v1", Op.CREATE, "base_address", 8, 8), ("rfc-v1", Op.CREATE, "viommu_id", 32, 4),
])
def test_members_are_where_the_reference_has_them(version, op, name, offset, width):
    part = next(part for part in INTERFACES[version].fields(op) if part.name == name)
    assert (part.offset, part.width) == (offset, width)


@pytest.mark.parametrize("version, hypercall, number, wire, size, value", [
    ("rfc-v1", "device-model operation", 15, 0xC, 36, 0x10000), ("rfc-v2", "domctl", 80, 0xD, 48, 1),
    ("v1", "domctl", 80, 0xE, 48, 1), ("v2", "domctl", 80, 0xE, 48, 1), ("v3", "domctl", 80, 0xE, 40, 0),
    ("v4", "domctl", 82, 0xE, 40, 0)])
def test_numbers_of_each_version(version, hypercall, number, wire, size, value):
    face = INTERFACES[version]
    assert (face.hypercall, face.number, face.version, face.size, face.type_value) == (
        hypercall, number, wire, size, value)


def test_version_4_has_only_create():
    assert list(INTERFACES["v4"].parts) == [Op.CREATE]


# --- results (X 2.3) ---

@pytest.mark.parametrize("version, change, options, failed", [
    ("v1", {"length": 8192}, {}, Errno.EINVAL), ("v1", {"capabilities": 2}, {}, Errno.EINVAL),
    ("v1", {"viommu_type": 0}, {}, Errno.EINVAL), ("v1", {}, {"boot_viommu": False}, Errno.EINVAL),
    ("v1", {"base_address": BASE + 8}, {}, 0), ("rfc-v2", {"viommu_type": 5}, {}, Errno.EFAULT),
    ("rfc-v1", {"length": 1}, {}, Errno.EINVAL), ("v3", {}, {"boot_viommu": False}, Errno.ENODEV),
    ("v3", {"viommu_type": 1}, {}, Errno.EINVAL), ("v3", {"base_address": BASE + 1}, {}, Errno.EINVAL),
    ("v4", {"viommu_type": 1}, {}, Errno.EINVAL), ("v4", {"capabilities": 2}, {}, Errno.EINVAL),
    ("v4", {"capabilities": 0}, {}, 0), ("v4", {}, {"boot_viommu": False}, 0), ("v4", {"capabilities": 1 << 63}, {}, 0),
    ("v4", {}, {"domain_type": "pv"}, Errno.EINVAL)])
def test_a_create_ends_with_the_versions_errno(version, change, options, failed):
    assert create(machine(version, **options), **change) == failed


@pytest.mark.parametrize("version, failed", [
    ("v1", Errno.EINVAL), ("v2", Errno.EINVAL), ("v3", Errno.E2BIG), ("v4", Errno.E2BIG)])
def test_a_second_create_is_refused(version, failed):
    m = machine(version)
    assert (create(m), create(m)) == (0, failed)


@pytest.mark.parametrize("version, again", [("v1", Errno.EINVAL), ("v2", Errno.EINVAL), ("v3", 0)])
def test_a_create_after_a_destroy(version, again):
    m = machine(version)
    assert create(m) == 0
    assert viommu.operate(m, viommu.encode(version, Op.DESTROY, viommu_id=0))[0] == 0
    assert create(m) == again


def test_version_3_ignores_the_id_at_destroy_and_needs_a_unit():
    m = machine("v3")
    assert viommu.operate(m, viommu.encode("v3", Op.DESTROY, viommu_id=7))[0] == Errno.EINVAL
    create(m)
    assert viommu.operate(m, viommu.encode("v3", Op.DESTROY, viommu_id=7))[0] == 0


@pytest.mark.parametrize("version, op, failed", [
    ("v3", 2, Errno.ENOSYS), ("v4", 1, Errno.ENOSYS), ("v1", 3, Errno.EINVAL), ("rfc-v2", 2, Errno.EINVAL)])
def test_a_sub_command_that_a_version_lacks(version, op, failed):
    values = {"viommu_type": 1} if version == "rfc-v2" else {}
    assert viommu.operate(machine(version), viommu.encode(version, op, **values))[0] == failed


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_query_answers_bit_0(version):
    failed, body = viommu.operate(machine(version), viommu.encode(version, Op.QUERY_CAPS, viommu_type=1))
    assert (failed, struct.unpack_from("<Q", body, 16)) == (0, (1,))


@pytest.mark.parametrize("version", SERIES)
@given(body=st.binary(max_size=200))
def test_any_bytes_end_in_an_errno_that_is_listed(version, body):
    assert viommu.operate(machine(version), body)[0] in {0, *Errno}


# --- differences ---

def test_the_differences_of_two_versions_are_a_table():
    rows = {what: (a, b) for what, a, b in interfaces.differences("v1", "v4")}
    assert rows["hypercall"] == ("domctl 80", "domctl 82")
    assert rows["viommu_type of Intel VT-d"] == ("1", "0")
    assert rows["create: viommu_type"] == ("u64 at 8, in", "u8 at 8, in")
    assert rows["create: length"] == ("u64 at 24, in", "-")
    assert rows["create refuses: limit"] == ("EINVAL, check 3", "E2BIG, check 1")
    assert "interface version" not in rows
    assert interfaces.differences("v1", "v1") == []
    assert "u8 at 8, in" in interfaces.table("v1", "v4")


def test_an_unknown_version_is_named():
    with pytest.raises(ValueError, match="'v9'; there are v1"):
        interfaces.differences("v1", "v9")


# --- the envelope (X 2.1) ---

@pytest.mark.parametrize("version", ["v1", "v3", "v4"])
def test_a_whole_domctl_is_done(version):
    m = machine(version)
    failed, data = viommu.hypercall(m, viommu.envelope(version, viommu.create_op(version=version)))
    assert (failed, len(data), m.live()) == (0, 144, True)


@pytest.mark.parametrize("change, privileged, failed", [
    (lambda d: d[:100], True, Errno.EFAULT), (lambda d: d[:4] + b"\x13" + d[5:], True, Errno.EACCES),
    (lambda d: d[:8] + b"\x63" + d[9:], True, Errno.ESRCH), (lambda d: d, False, Errno.EPERM),
    (lambda d: b"\x53" + d[1:], True, Errno.ENOSYS)])
def test_the_envelope_is_checked_in_order(change, privileged, failed):
    m = machine("v4")
    data = viommu.envelope("v4", viommu.create_op(version="v4"))
    assert viommu.hypercall(m, change(data), privileged)[0] == failed and not m.live()
    broken = bytearray(data)
    broken[4], broken[8] = 0, 0x63
    assert viommu.hypercall(m, bytes(broken), False)[0] == Errno.EACCES


# --- save records and migration (X 2.6) ---

@pytest.mark.parametrize("name, sizes, codes", [
    ("xen-v1", [1024, 24], [21, 22]), ("xen-v3", [1048], [21]), ("xen-v4", [232], [21])])
def test_records_have_the_reference_sizes(name, sizes, codes):
    rows = xen_save.RECORDS[name]
    assert ([row.size for row in rows], [row.code for row in rows]) == (sizes, codes)


def running(name):
    s = Stage(profile(name), vcpus=4)
    s.entry(3, p=1, vector=0x55, dst=2)
    s.table(size=7)
    s.write("FEDATA", 0x33)
    return s


@pytest.mark.parametrize("name", ["xen-v1", "xen-v3", "xen-v4"])
def test_a_domain_goes_on_after_migration(name):
    old = running(name)
    new = Stage(profile(name), vcpus=4)
    new.m.ram = old.m.ram.copy()
    assert xen_save.load_stream(new.m, xen_save.stream(old.m)) == 0
    assert xen_save.stream(new.m) == xen_save.stream(old.m)
    assert taken(new.msi(3)) == "taken by vCPU 1 vector 0x55"
    assert new.read("FEDATA") == 0x33


def test_version_4_puts_its_state_where_the_reference_says():
    body = xen_save.save(running("xen-v4").m)
    assert struct.unpack_from("<III4xQ", body) == (3, 0, 256, TABLE >> 12)
    assert struct.unpack_from("<I", body, 24 + OFFSET["GSTS"]) == (GCMD.make(ire=1, sirtp=1),)


@pytest.mark.parametrize("change, failed", [
    (lambda data: data[:-1], Errno.EINVAL), (lambda data: b"", Errno.EINVAL), (lambda data: data + b"\0", Errno.EINVAL),
    (lambda data: b"\x16" + data[1:], Errno.EINVAL)])
@pytest.mark.parametrize("name", ["xen-v1", "xen-v3", "xen-v4"])
def test_a_bad_stream_is_refused_and_changes_nothing(name, change, failed):
    stream = xen_save.stream(running(name).m)
    m = Stage(profile(name)).m
    before = m.copy()
    assert xen_save.load_stream(m, change(stream)) == failed and m == before


def test_a_stream_of_another_version_is_refused():
    assert xen_save.load_stream(Stage(profile("xen-v4")).m, xen_save.stream(running("xen-v3").m)) == Errno.EINVAL


def test_loading_needs_a_vIOMMU_that_the_toolstack_has_created():
    stream = xen_save.stream(running("xen-v4").m)
    m = Stage(profile("xen-v4"), create=False).m
    assert xen_save.load_stream(m, stream) == Errno.ENODEV and xen_save.stream(m) == b""


@given(body=st.binary(min_size=232, max_size=232))
def test_any_record_of_the_right_length_is_taken_and_any_guest_goes_on(body):
    s = Stage(profile("xen-v4"))
    assert xen_save.load(s.m, body) == 0
    assert {e.act for e in s.msi(0) + step(s.m, c.MmioRead(BASE + 0x34, 4))} >= {Act.SENT}
