"""The hypercall, byte for byte (X 2.2, 2.3, 11.1), as version 1 was coded and corrected; and where a unit may lie."""


import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import ROOT
from vsim.devices import viommu
from vsim.devices.viommu import CONDITIONS, INTERFACES, Caps, Errno, Op, create_op, decode, encode
from vsim.machine import read, step
from vsim.state import commands as c
from vsim.state.arrays import Latch, Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act

DECISIONS = ROOT / "DECISIONS.md"
BASE = 0xFED90000
NIC = Bus([Function(0x0300, msix_count=64)])
VERSIONS = ("v1-corrected", "v1")


def machine(version="v1-corrected", ram_size=4 << 20, bus=NIC, **options):
    return Machine(profile("spec").with_options(interface=version, **options), 2, ram_size, bus)


def operate(m, body):
    """(errno, id or capabilities out) of one hypercall."""
    event = next(e for e in step(m, c.Domctl(body)) if e.act == Act.DOMCTL)
    return event.index, event.high


def create(m, **values):
    return operate(m, create_op(**values))[0]


def destroy(m, viommu_id=0):
    return operate(m, encode("v1", Op.DESTROY, viommu_id=viommu_id))[0]


def query(m, type=1):
    return operate(m, encode("v1", Op.QUERY_CAPS, viommu_type=type))


# --- the bytes ---


def test_create_is_the_48_bytes_of_the_worked_vector():
    """X 11.1, v1: type 1, base 0xFED90000, length 0x1000, capability 1."""
    assert create_op().hex() == ("00000000" "00000000" "0100000000000000" "0000d9fe00000000"
                                 "0010000000000000" "0100000000000000" "00000000" "00000000")


# X 2.2, column "RFC v2 and v1": member, offset, bytes, direction.
MEMBERS = {
    Op.CREATE: [("viommu_type", 8, 8, "in"), ("base_address", 16, 8, "in"), ("length", 24, 8, "in"),
                ("capabilities", 32, 8, "in"), ("viommu_id", 40, 4, "out")],
    Op.DESTROY: [("viommu_id", 8, 4, "in")],
    Op.QUERY_CAPS: [("viommu_type", 8, 8, "in"), ("caps", 16, 8, "out")],
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("command", Op)
def test_members_are_where_the_reference_has_them(version, command):
    face = INTERFACES[version]
    assert face.size == 48
    assert [(p.name, p.offset, p.width, "out" if p.out else "in") for p in face.fields(command)] == MEMBERS[command]


def test_values_of_enumerations():
    assert ([int(op) for op in Op], [cap.value for cap in Caps]) == ([0, 1, 2], [1])
    assert {name: face.type_value for name, face in INTERFACES.items() if name != "rfc-v1"} == {
        "v1": 1, "v1-corrected": 1, "rfc-v2": 1, "v2": 1, "v3": 0, "v4": 0}


@pytest.mark.parametrize("number, name", [
    (2, "ENOENT"), (7, "E2BIG"), (12, "ENOMEM"), (14, "EFAULT"), (16, "EBUSY"), (17, "EEXIST"), (19, "ENODEV"),
    (22, "EINVAL"), (34, "ERANGE"), (38, "ENOSYS")])
def test_error_numbers_are_xens_on_every_computer(number, name):
    assert Errno[name] == number


@given(st.sampled_from(list(Op)), st.data())
def test_values_are_bytes_and_back(command, data):
    values = {p.name: data.draw(st.integers(0, (1 << 8 * p.width) - 1)) for p in INTERFACES["v1"].fields(command)}
    body = encode("v1", command, **values)
    assert decode("v1", body) == (command, values)
    assert len(body) == 48


@pytest.mark.parametrize("make, says", [
    (lambda: encode("v9", 0), "no interface version 'v9'; there are v1, v1-corrected"),
    (lambda: encode("v1", -1), "cmd is -0x1; the limit is 0xffffffff"),
    (lambda: encode("v1", 1 << 32), "cmd is 0x100000000; the limit is 0xffffffff"),
    (lambda: encode("v1", 0, size=1), "sub-command 0 has no member 'size'; members are viommu_type, base_address"),
    (lambda: encode("v1", 3, viommu_type=1), "sub-command 3 has no member 'viommu_type'"),
    (lambda: encode("v1", 1, viommu_id=1 << 32), "viommu_id is 0x100000000; the limit is 0x0 to 0xffffffff"),
    (lambda: decode("v1", bytes(47)), "47 bytes; the structure of v1 has 48"),
])
def test_a_callers_mistake_names_value_and_limit(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("version", VERSIONS)
def test_results_are_copied_back_on_success(version):
    m = machine(version)
    asked = bytearray(create_op())
    asked[40:48] = b"\xff" * 8                                   # id and padding: the id comes back, padding stays
    failed, back = viommu.operate(m, bytes(asked))
    assert (failed, back) == (0, bytes(asked[:40]) + bytes(4) + b"\xff" * 4)
    question = encode(version, Op.QUERY_CAPS, viommu_type=1)
    failed, back = viommu.operate(m, question)
    assert (failed, decode(version, back)) == (0, (2, {"viommu_type": 1, "caps": 1}))


def test_a_refused_structure_is_copied_back_unchanged():
    m = machine()
    question = encode("v1", Op.QUERY_CAPS, viommu_type=7, caps=0x55)
    assert viommu.operate(m, question) == (Errno.ENOENT, question)


def test_the_reply_can_be_had_from_the_event():
    m = machine()
    for body in (create_op(), encode("v1", 2, viommu_type=1), encode("v1", 2, viommu_type=5), b"",
                 encode("v1", 1, viommu_id=0)):
        event = next(e for e in step(m.copy(), c.Domctl(body)) if e.act == Act.DOMCTL)
        assert viommu.reply("v1", body, event.index, event.high) == viommu.operate(m.copy(), body)[1]


def test_the_rest_of_the_union_is_ignored():
    assert operate(machine(), create_op() + b"\xff" * 80) == (0, 0)


# --- refusals ---


def out_of_memory(m):
    step(m, c.OutOfMemory(1))


def with_unit(m):
    assert create(m) == 0


# (a check): options of the machine, what happens first, the structure.
REACHED = {
    (None, "option-off"): ({"boot_viommu": False}, None, create_op()),
    (Op.CREATE, "viommu_type"): ({}, None, create_op(viommu_type=2)),
    (Op.CREATE, "limit"): ({}, with_unit, create_op(0xFED91000)),
    (Op.CREATE, "domain"): ({"domain_type": "pv"}, None, create_op()),
    (Op.CREATE, "length"): ({}, None, create_op(length=8192)),
    (Op.CREATE, "capabilities"): ({}, None, create_op(capabilities=3)),
    (Op.CREATE, "aligned"): ({}, None, create_op(BASE + 8)),
    (Op.CREATE, "width"): ({}, None, create_op(1 << 39)),
    (Op.CREATE, "ram"): ({}, None, create_op(0x3FF000)),
    (Op.CREATE, "device"): ({}, None, create_op(0xFEC00000)),
    (Op.CREATE, "memory"): ({}, out_of_memory, create_op()),
    (Op.DESTROY, "range"): ({}, with_unit, encode("v1", 1, viommu_id=1)),
    (Op.DESTROY, "none"): ({}, None, encode("v1", 1, viommu_id=0)),
    (Op.QUERY_CAPS, "viommu_type"): ({}, None, encode("v1", 2, viommu_type=0)),
}


CORRECTED = INTERFACES["v1-corrected"].checks


def errno_of(version, key):
    """The errno of a check, 0 where the version does not make it."""
    return next((int(errno) for op, name, errno in INTERFACES[version].checks if (op, name) == key), 0)


def test_every_refusal_is_reached_by_a_row_of_this_table():
    assert set(REACHED) == {(op, name) for op, name, _ in CORRECTED}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", REACHED, ids=lambda key: f"{key[0].name if key[0] is not None else 'any'}-{key[1]}")
def test_every_refusal_ends_with_its_errno(version, key):
    options, first, body = REACHED[key]
    m = machine(version, **options)
    if first:
        first(m)
    assert operate(m, body)[0] == errno_of(version, key)


def test_version_1_as_coded_has_one_errno_for_everything():
    assert {int(errno) for _, _, errno in INTERFACES["v1"].checks} == {Errno.EINVAL}
    unchecked = {name for op, name, _ in CORRECTED if not errno_of("v1", (op, name))}
    assert unchecked == {"aligned", "width", "ram", "device"}


@pytest.mark.parametrize("command", Op)
def test_corrected_every_failure_of_a_sub_command_has_its_own_errno(command):
    found = [int(errno) for op, _, errno in CORRECTED if op in (None, command)]
    assert len(found) == len(set(found)) and 0 not in found


@pytest.mark.parametrize("version, failed", [("v1-corrected", Errno.ENOSYS), ("v1", Errno.EINVAL)])
@pytest.mark.parametrize("command", [3, 80, 0xFFFFFFFF])
def test_an_unknown_sub_command(version, failed, command):
    assert operate(machine(version), encode(version, command))[0] == failed


@pytest.mark.parametrize("length", [0, 4, 47, 129, 4096])
def test_a_structure_that_cannot_be_copied_is_efault(length):
    assert operate(machine(), create_op()[:length].ljust(length, b"\0"))[0] == Errno.EFAULT


@pytest.mark.parametrize("key, named", [
    ((Op.CREATE, "viommu_type"), "1 (INTEL_VTD)"), ((Op.QUERY_CAPS, "viommu_type"), "1 (INTEL_VTD)"),
    ((Op.CREATE, "capabilities"), "bit 0 (IRQ_REMAPPING)"),
])
def test_sentences_name_the_values_that_exist(key, named):
    assert named in CONDITIONS[key[1]].sentence


# --- life cycle ---


@pytest.mark.parametrize("version, again", [("v1-corrected", [0, 0, 0]), ("v1", [22, 22, 22])])
def test_a_second_create_after_a_destroy(version, again):
    """Version 1 never counts a destroyed unit off, so no later create works."""
    m = machine(version)
    assert create(m) == 0
    found = []
    for _ in range(3):
        destroy(m)
        found.append(create(m))
    assert found == again


def test_a_created_unit_is_as_after_power_on_whatever_the_last_one_held():
    m = machine()
    create(m)
    fresh = m.regs[:]
    m.regs[:] = type(m.regs)("I", [0xFFFFFFFF]) * len(m.regs)
    destroy(m)
    assert create(m) == 0
    assert (m.regs, m.units) == (fresh, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_destroyed_unit_is_no_longer_trapped(version):
    m = machine(version)
    assert read(m, BASE + 8, 4) == 0xFFFFFFFF
    create(m)
    assert read(m, BASE + 8, 4) == 0x22260286
    assert destroy(m) == 0
    assert read(m, BASE + 8, 4) == 0xFFFFFFFF
    assert destroy(m) == (Errno.EINVAL if version == "v1" else Errno.ENOENT)


@pytest.mark.parametrize("base", [0xFED90000, 0xFED91000, 0xE8000000, 0xFFFFF000, 0x7FFFFFF000])
def test_the_region_is_trapped_where_it_was_created(base):
    m = machine()
    assert create(m, base_address=base) == 0
    assert (read(m, base + 8, 4), read(m, base + 0xFFC, 4)) == (0x22260286, 0)
    assert read(m, base + 4096, 4) == 0xFFFFFFFF
    if base != BASE:
        assert read(m, BASE + 8, 4) == 0xFFFFFFFF


@pytest.mark.parametrize("ram_size, base, failed", [
    (4 << 20, 0, "ram"), (4 << 20, 0x3FF000, "ram"), (4 << 20, 0x400000, None), (4 << 30, 0xDFFFF000, "ram"),
    (4 << 30, 0xE8000000, None), (4 << 30, 0xFFFFF000, None), (4 << 30, 1 << 32, "ram"), (4 << 30, 0x11FFFF000, "ram"),
    (4 << 30, 0x120000000, None), (4 << 20, 0xFEC00000, "device"), (4 << 20, 0xFEC01000, None),
    (4 << 20, 0xFEBFF000, None), (4 << 20, 0xFEE00000, "device"), (4 << 20, 0xFEEFF000, "device"),
    (4 << 20, 0xFEDFF000, None), (4 << 20, 0xFEF00000, None), (4 << 20, 0xFED90001, "aligned"),
    (4 << 20, 0x7FFFFFF000, None), (4 << 20, 0x8000000000, "width"), (4 << 20, (1 << 64) - 4096, "width"),
    (4 << 20, NIC.bar(0), "device"), (4 << 20, NIC.bar(0) + 4096, "device"),
])
def test_where_a_unit_may_lie(ram_size, base, failed):
    errno = errno_of("v1-corrected", (Op.CREATE, failed))
    assert create(machine(ram_size=ram_size), base_address=base) == errno


def test_the_limit_is_data():
    m = machine(max_units=2)
    assert [create(m, base_address=base) for base in (BASE, BASE, BASE + 4096, BASE + 8192)] == [
        0, Errno.EBUSY, 0, Errno.E2BIG]
    assert (m.live(0), m.live(1), read(m, BASE + 8, 4), read(m, BASE + 4104, 4)) == (True, True, *2 * [0x22260286])
    assert (destroy(m, 0), create(m, base_address=BASE + 8192)) == (0, 0)
    assert read(m, BASE + 8200, 4) == 0x22260286


@pytest.mark.parametrize("capabilities", [0, 1])
def test_capabilities_are_kept_and_change_nothing(capabilities):
    m = machine()
    assert create(m, capabilities=capabilities) == 0
    assert read(m, BASE + 0x10, 8) == 0xF0001A


def test_a_query_needs_no_unit_and_is_the_same_with_one():
    m = machine()
    assert query(m) == (0, 1)
    create(m)
    assert query(m) == (0, 1)


@pytest.mark.parametrize("count, failures", [(0, []), (1, [0]), (2, [1]), (3, [2])])
def test_the_nth_allocation_fails_once(count, failures):
    m = machine()
    step(m, c.OutOfMemory(count))
    results = []
    for _ in range(4):
        results.append(create(m))
        if results[-1] == 0:
            destroy(m)
    assert [n for n, failed in enumerate(results) if failed] == failures
    assert {failed for failed in results if failed} <= {int(Errno.ENOMEM)}


def test_the_first_check_that_fails_decides():
    m = machine()
    wrong = {"viommu_type": 9, "length": 1, "capabilities": 8, "base_address": 1}
    mended = {"viommu_type": 1, "length": 4096, "capabilities": 1, "base_address": BASE}
    seen = []
    for name in ("viommu_type", "length", "capabilities", "base_address"):
        seen.append(create(m, **wrong))
        wrong[name] = mended[name]
    assert [*seen, create(m, **wrong)] == [Errno.ENOENT, Errno.ERANGE, Errno.EOPNOTSUPP, Errno.EINVAL, 0]


# --- any bytes ---

bodies = st.one_of(
    st.binary(max_size=140),
    st.builds(lambda command, rest: command.to_bytes(4, "little") + rest, st.integers(0, 4),
              st.binary(min_size=44, max_size=60)),
    st.builds(create_op, st.sampled_from([BASE, BASE + 4096, 0, 0xFEC00000, (1 << 64) - 1]),
              st.sampled_from([4096, 0]), st.integers(0, 3), st.integers(0, 2)),
    st.builds(lambda i: encode("v1", 1, viommu_id=i), st.sampled_from([0, 1, 0xFFFFFFFF])))


@given(st.sampled_from(VERSIONS), st.booleans(), st.lists(bodies, max_size=8))
def test_any_bytes_are_done_or_refused_and_a_refusal_changes_nothing(version, boot, sequence):
    m = machine(version, boot_viommu=boot)
    for body in sequence:
        before = m.copy()
        failed, _ = operate(m, body)
        changed = {place.split("[")[0].split(":")[0] for place in m.difference(before)}
        assert failed in {0, *Errno}
        assert not failed or changed <= {"tick", "clock"}
        for address in (BASE, BASE + 0xFFC, 0xFEC00000):
            step(m, c.MmioRead(address, 4))


# --- the table in DECISIONS.md ---


def table():
    """The refusals as DECISIONS.md has them."""
    rows = []
    for op, name, errno in CORRECTED:
        coded = errno_of("v1", (op, name))
        rows.append((op.name.lower().replace("_caps", "") if op is not None else "any", CONDITIONS[name].sentence,
                     errno.name, Errno(coded).name if coded else "not checked"))
    rows += [("unknown", "There is no such sub-command.", "ENOSYS", "EINVAL"),
             ("any", "The structure is shorter than the version's, or longer than the union.", "EFAULT", "EFAULT")]
    return "\n".join(["| sub-command | refused when | corrected | version 1 as coded |", "| --- | --- | --- | --- |",
                      *(f"| {' | '.join(row)} |" for row in rows)])


def test_decisions_md_has_the_table_of_refusals():
    assert table() in DECISIONS.read_text(encoding="utf-8")


@pytest.mark.parametrize("quirks, wanted", [((), (Errno.EOPNOTSUPP, 0)), (("xen.D2",), (0, 0))])
@pytest.mark.parametrize("command", [Op.CREATE, Op.DESTROY, Op.QUERY_CAPS])
def test_a_hypervisor_without_the_feature_does_nothing(quirks, wanted, command):
    m = Machine(profile("spec").with_options(interface="v4", built_viommu=False).with_quirks(*quirks), 2, 4 << 20, NIC)
    assert operate(m, encode("v4", command)) == wanted and m.units == m.created == 0


def test_the_envelope_names_the_domain():
    assert viommu.envelope("v4", b"")[8:10] == b"\1\0"


@pytest.mark.parametrize("quirks, failed, units", [((), Errno.ENOMEM, 0), (("xen.D1",), 0, 1)])
def test_a_back_end_that_is_out_of_memory(quirks, failed, units):
    m = Machine(profile("spec").with_options(interface="v4").with_quirks(*quirks), 2, 4 << 20, NIC)
    step(m, c.OutOfMemory(2))
    assert operate(m, create_op(version="v4"))[0] == failed and m.units == units
    assert [m.latch[place] for place in (Latch.LIVE, Latch.CAPS)[:2 * units]] == [2, 1][:2 * units]
    assert m.created == units


def test_version_4s_member_of_8_bits_cuts_the_type():
    assert [viommu.toolstack_type(value, faithful) for value, faithful in (
        (0, False), (0xFF, False), (0xFF, True), (0x100, True), (0x1FE, True))] == [0, 0xFF, 0xFF, 0, 0xFE]
    with pytest.raises(ValueError, match="viommu_type is 0x100; the limit is 0xff"):
        viommu.toolstack_type(0x100, False)


def test_a_count_of_units_goes_by_one():
    m = machine("v1", max_units=2)
    assert [create(m, base_address=BASE + 0x1000 * n) for n in range(3)] == [0, 0, Errno.EINVAL]


@pytest.mark.parametrize("capabilities, refused", [(1 << 31, True), (1 << 32, False), (1, False)])
def test_version_1_looks_at_32_bits_of_the_capabilities(capabilities, refused):
    assert bool(create(machine("v1"), capabilities=capabilities | 1)) == refused
