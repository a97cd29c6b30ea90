"""Which local APICs a destination names (A 3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpus import machine, reached, write, x2apic
from vsim.devices import routes, vlapic
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import profile


@pytest.mark.parametrize("apic_id, ldr", [(0, 1), (1, 2), (15, 0x8000), (16, 0x10001), (0x12, 0x10004),
                                          (0x101, 0x100002), (0x3FF, 0x3F8000)])
def test_the_logical_address_of_an_x2apic_is_derived_from_its_id(apic_id, ldr):
    assert vlapic.x2apic_ldr(apic_id) == ldr


def world(modes, ids=None, ldrs=(), cluster=False, **options):
    """Units in these modes ("x" xAPIC, "2" x2APIC, "-" disabled), with IDs and xAPIC logical addresses."""
    m = machine(vcpus=len(modes), **options)
    for vcpu, mode in enumerate(modes):
        if mode == "x" and ids:
            m.apic_id[vcpu] = ids[vcpu]
        if mode == "x" and cluster:
            write(m, vcpu, "DFR", 0)
        if mode == "x" and ldrs:
            write(m, vcpu, "LDR", ldrs[vcpu] << 24)
        if mode == "2":
            vlapic.set_mode(m, vcpu, Apic.X2APIC)
        if mode == "-":
            vlapic.set_mode(m, vcpu, Apic.DISABLED)
    m.changed_apics()
    return m


@pytest.mark.parametrize(
    "modes, dest, narrow, options, wanted",
    [
        ("xxxx", 2, 1, {}, [2]),
        ("xxxx", 9, 1, {}, []),
        ("xxxx", 0xFF, 1, {}, [0, 1, 2, 3]),                       # broadcast of the xAPIC
        ("xx2x", 0xFF, 1, {}, [0, 1, 3]),                          # an ordinary value for an x2APIC
        ("xx2x", 0xFF, 1, {"ff_broadcast": True}, [0, 1, 2, 3]),   # KVM's rule, for 8-bit destinations
        ("xx2x", 0xFF, 0, {"ff_broadcast": True}, [0, 1, 3]),
        ("2222", 2, 1, {}, [2]),
        ("2222", 0xFFFFFFFF, 0, {}, [0, 1, 2, 3]),
        ("x2x2", 0xFFFFFFFF, 0, {}, [0, 1, 2, 3]),
        ("-2x2", 0xFFFFFFFF, 0, {}, [1, 2, 3]),
        ("x2x2", 0x102, 0, {}, []),                                # 32 bits are compared
        ("x2x2", 0x102, 0, {"alias_ids": True}, [2]),              # or 8 at an xAPIC, as hardware does
        ("x2x2", 0x103, 0, {"alias_ids": True}, []),
        ("xx2x", 0x1FF, 0, {"alias_ids": True}, [0, 1, 3]),
    ],
)
def test_physical_destinations(modes, dest, narrow, options, wanted):
    assert routes.match(world(modes, **options), dest, 0, narrow) == wanted


@pytest.mark.parametrize(
    "dest, wanted",
    [(0x01, [0]), (0x06, [1, 2]), (0x0F, [0, 1, 2, 3]), (0xF0, []), (0x81, [0]), (0xFF, [0, 1, 2, 3, 4]), (0, [])])
def test_logical_destinations_flat(dest, wanted):
    """The last unit has no logical address: only the broadcast finds it."""
    assert routes.match(world("xxxxx", ldrs=(1, 2, 4, 8, 0)), dest, 1, 1) == wanted


@pytest.mark.parametrize(
    "dest, options, wanted",
    [
        (0x11, {}, [0]), (0x13, {}, [0, 1]), (0x21, {}, [2]), (0x2F, {}, [2, 3]), (0x31, {}, []), (0x10, {}, []),
        (0xFF, {}, [0, 1, 2, 3, 4]), (0xF1, {}, [4]), (0xFE, {}, []),
        (0xF1, {"cluster_f_broadcast": True}, [0, 2, 4]), (0xFE, {"cluster_f_broadcast": True}, [1, 3]),
    ],
)
def test_logical_destinations_cluster(dest, options, wanted):
    m = world("xxxxx", ldrs=(0x11, 0x12, 0x21, 0x22, 0xF1), cluster=True, **options)
    assert routes.match(m, dest, 1, 1) == wanted


@pytest.mark.parametrize("model", [0x10000000, 0x70000000, 0xE0000000])
def test_an_undefined_destination_model_matches_nothing_but_a_broadcast(model):
    m = world("xx", ldrs=(1, 2))
    write(m, 0, "DFR", model)
    assert (routes.match(m, 1, 1, 1), routes.match(m, 3, 1, 1), routes.match(m, 0xFF, 1, 1)) == ([], [1], [0, 1])


@pytest.mark.parametrize(
    "dest, narrow, options, wanted",
    [
        (0x0001, 1, {}, [0]), (0x0003, 1, {}, [0, 1]), (0x00010001, 0, {}, [16]), (0x00010003, 0, {}, [16, 17]),
        (0x00020001, 0, {}, []), (0x0000C000, 0, {}, [14, 15]), (0xFFFFFFFF, 0, {}, list(range(18))),
        (0x000000FF, 0, {}, list(range(8))),                             # a legal address
        (0x000000FF, 1, {"ff_broadcast": True}, list(range(18))),
        (0x000000FF, 0, {"ff_broadcast": True}, list(range(8))),
    ],
)
def test_logical_destinations_x2apic(dest, narrow, options, wanted):
    assert routes.match(world("2" * 18, **options), dest, 1, narrow) == wanted


def test_each_target_matches_by_its_own_mode():
    m = world("x2x2", ldrs=(1, 0, 4, 0))
    assert routes.match(m, 0x0F, 1, 1) == [0, 1, 2, 3]     # xAPIC by LDR 1 and 4, x2APIC by members 1 and 3
    assert routes.match(m, 0x02, 1, 1) == [1]


def slow_match(m, dest, logical, narrow):
    """A 3.1, target by target."""
    options, out = m.profile.options, []
    for vcpu in range(m.vcpus):
        id_, ldr, mode = m.apic_id[vcpu], m.ldr[vcpu], m.apic_mode[vcpu]
        small = dest & 0xFF if options.alias_ids else dest
        everybody = dest == 0xFFFFFFFF or (options.ff_broadcast and narrow and dest == 0xFF)
        if mode == Apic.X2APIC:
            mine = ldr >> 16 == dest >> 16 and ldr & dest & 0xFFFF if logical else id_ == dest
        elif not logical or small > 0xFF:
            mine = not logical and (small == 0xFF or id_ & 0xFF == small)
        elif small == 0xFF:
            mine = True
        elif m.dfr[vcpu] >> 28 == 15:
            mine = ldr >> 24 & small
        else:
            same = ldr >> 28 == small >> 4 or (options.cluster_f_broadcast and small >> 4 == 15)
            mine = m.dfr[vcpu] >> 28 == 0 and same and ldr >> 24 & small & 15
        if mode != Apic.DISABLED and (mine or everybody):
            out.append(vcpu)
    return out


@given(st.text("x2-", min_size=1, max_size=20), st.data(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_the_table_of_destinations_finds_what_a_walk_over_all_units_finds(modes, data, alias, ff, f15, logical):
    ldrs = data.draw(st.lists(st.integers(0, 255), min_size=len(modes), max_size=len(modes)))
    m = world(modes, ldrs=ldrs, alias_ids=alias, ff_broadcast=ff, cluster_f_broadcast=f15)
    for vcpu in range(len(modes)):
        write(m, vcpu, "DFR", data.draw(st.sampled_from([0, 0xFFFFFFFF, 0x30000000])))
    for _ in range(5):
        narrow = data.draw(st.integers(0, 1))
        dest = data.draw(st.integers(0, 255) if narrow else st.integers(0, 600) | st.just(0xFFFFFFFF)
                         | st.integers(0, 0x3FFFF))
        assert routes.match(m, dest, int(logical), narrow) == slow_match(m, dest, logical, narrow)


@pytest.mark.parametrize("dest", [300, 0x7FFF])
def test_the_extended_destination_id_reaches_15_bits_of_id(dest):
    """V 11: destination 14:8 in address bits 11:5."""
    for offered in (True, False):
        m = machine(ext_dest=offered)
        x2apic(m)
        m.apic_id[3] = dest
        m.changed_apics()
        address = 0xFEE00000 | (dest & 0xFF) << 12 | dest >> 8 << 5
        assert reached(step(m, c.Msi(0x18, address, 0x61))) == ([3] if offered else [])


def test_4096_units_are_reached_one_by_one():
    m = Machine(profile("spec").with_options(apic_id_step=1), 4096, 1 << 20)
    for vcpu in range(4096):
        vlapic.set_mode(m, vcpu, Apic.X2APIC)
        m.svr[vcpu] = 0x1FF
    assert all(routes.match(m, vcpu, 0, 0) == [vcpu] for vcpu in range(4096))
    assert all(routes.match(m, vlapic.x2apic_ldr(vcpu), 1, 0) == [vcpu] for vcpu in range(4096))


# --- machines of the recorded QEMU in which half of the vCPUs are in each mode (quirk qemu.U5) ---


def qemu_match(m, dest, logical):
    """Unit by unit, as the recorded machine does: a logical destination is cut at the first xAPIC that is asked."""
    if dest == 0xFFFFFFFF:
        return list(range(m.vcpus))
    out = []
    for vcpu in range(m.vcpus):
        wide = m.apic_mode[vcpu] == Apic.X2APIC
        if logical and not wide:
            dest &= 0xFF
        if not logical:
            mine = m.apic_id[vcpu] == dest if wide else dest == 0xFF or m.apic_id[vcpu] & 0xFF == dest & 0xFF
        elif wide:
            mine = m.ldr[vcpu] >> 16 == dest >> 16 and m.ldr[vcpu] & dest & 0xFFFF
        else:
            mine = m.ldr[vcpu] >> 24 & dest
        out += [vcpu] if mine else []
    return out


@pytest.mark.parametrize("modes", ["xxxx2222xxxx2222", "2222xxxx2222xxxx", "x2" * 8])
@pytest.mark.parametrize("logical", [0, 1])
def test_every_destination_of_a_mixed_machine(modes, logical):
    m = world(modes, ldrs=[1 << (n & 7) for n in range(16)], alias_ids=True, quirks=("qemu.U5", "qemu.U4"))
    high = [n << 16 | low for n in (1, 2, 0x7FFF, 0xFFFF) for low in (0, 1, 3, 0xFF, 0xFFFF)]
    for dest in (*range(0x600), *range(0xFF00, 0x10100), *high, 0xFFFFFF00, 0xFFFFFFFE, 0xFFFFFFFF):
        assert routes.match(m, dest, logical, 0) == qemu_match(m, dest, logical), hex(dest)


@pytest.mark.parametrize("dest, wanted", [(0x102, [2]), (0x1FF, []), (0xFF, [0, 1, 2, 3]), (6, [6]), (0x106, []),
                                          (0xFFFFFF01, [1])])
def test_an_xapic_of_a_mixed_machine_compares_8_bits_of_a_physical_destination(dest, wanted):
    m = world("xxxx2222", alias_ids=True, quirks=("qemu.U5",))
    assert routes.match(m, dest, 0, 0) == wanted


# --- Xen's rules (X 5.5) ---


@pytest.mark.parametrize("dest, wanted", [
    (0x12, [1]), (0x13, [0, 1]), (0x21, [2]), (0x31, []), (0x1F, [0, 1]), (0xF1, []), (0xFF, []), (0x112, [1])])
def test_xens_clusters_have_no_broadcast_and_are_compared_with_the_low_8_bits(dest, wanted):
    m = world("xxx", ldrs=(0x11, 0x12, 0x21), cluster=True, matching="xen")
    assert routes.match(m, dest, 1, 0) == wanted


def slow_xen_match(m, dest):
    """Unit by unit: an x2APIC compares cluster and bits, an xAPIC the low 8 bits by its own model."""
    out = []
    for vcpu, mode in enumerate(m.apic_mode):
        mine, small = m.ldr[vcpu] >> 24, dest & 0xFF
        if mode == Apic.X2APIC:
            found = m.ldr[vcpu] >> 16 == dest >> 16 and m.ldr[vcpu] & dest & 0xFFFF
        elif m.dfr[vcpu] >> 28 == 15:
            found = mine & small
        else:
            found = mine // 16 == small // 16 and mine % 16 & small % 16
        out += [vcpu] if found and mode != Apic.DISABLED else []
    return out


@pytest.mark.parametrize("modes", ["x" * 24, "x2" * 12, "x-2x" * 6])
@pytest.mark.parametrize("cluster", [False, True])
def test_every_logical_destination_by_xens_rules(modes, cluster):
    ldrs = [1 << n % 8 if not cluster else n // 4 % 16 << 4 | 1 << n % 4 for n in range(24)]
    m = world(modes, ldrs=ldrs, cluster=cluster, matching="xen")
    for dest in (*range(0x200), *range(0x10000, 0x10200), 0xFFFF, 0x1FFFF, 0xFFFFFFFF):
        assert routes.match(m, dest, 1, 0) == slow_xen_match(m, dest), hex(dest)


@pytest.mark.parametrize("dest, wanted", [
    (0xFF, [0, 2]), (0xFFFFFFFF, [1, 3]), (1, [1]), (2, [2]), (0x102, []), (9, [])])
def test_every_physical_destination_by_xens_rules(dest, wanted):
    """Each mode has its own broadcast (X 5.5)."""
    assert routes.match(world("x2x2", matching="xen"), dest, 0, 0) == wanted
