"""The scene: what stands where, which way an interrupt goes, and events folded into tokens."""

import json
from functools import partial
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig import Rig
from vsim.devices import viommu
from vsim.explain.sentences import MASKED, UNHEARD, WAITS
from vsim.guest import firmware
from vsim.layouts.formats import Reason, msi_message
from vsim.machine import run, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Drop, Event
from widgets.map import arrange, table, tokens
from widgets.map.scene import SHAPES, clusters, entry, lane_of, scene, slots, tile_of, way
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token, fold, pack, unpack

NIC, SERIAL = 0x0018, 0x0020
BUS = Bus([Function(NIC, "nic", msix_count=4), Function(SERIAL, "serial", pin=1),
           Function(0x0100, "disk", msi_count=1)])
SIZES = (1, 8, 288, 512, 1024, 4096)
NAMES = [*SHAPES, *(f"compact {n}" for n in range(len(arrange.BOXES)))]


def machine(vcpus=8, devices=3, unit=True, **options):
    bus = BUS if devices == 3 else Bus([Function(8 * n, msix_count=1, pin=1 + n % 4) for n in range(devices)])
    m = Machine(profile("spec").with_options(**options), vcpus=vcpus, bus=bus)
    if unit:
        step(m, c.Domctl(viommu.create_op()))
    return m


def rig(**more):
    return Rig(bus=BUS, **more).start(eime=0)


def arranged(s, name):
    """An arrangement by name; "compact 0" is the first of those for boxes."""
    return s["compact"][int(name[8:])] if name.startswith("compact") else s[name]


def boxes(s, name):
    """Everything of an arrangement that takes room, by name."""
    where = arranged(s, name)
    out = {f"device {n}": (x - 4, y - 4, 8, 8) for n, (x, y) in enumerate(where["chips"])}
    out |= {f"router {n}": box for n, box in enumerate(where["routers"])}
    out |= {f"unit {n}": box for n, box in enumerate(where["units"])}
    if where["pic"]:
        x, y = where["pic"]["line"]
        out |= {"8259": where["pic"]["box"], "mainboard": (x - 4, y - 4, 8, 8)}
    side = 4 * where["cell"] + 3 * where["gap"]
    label = min(12, where["label"])
    return out | {f"tile {n}": (x, y - label, side, side + label) for n, (x, y) in enumerate(where["tiles"])}


def overlap(one, two):
    return all(one[n] < two[n] + two[n + 2] and two[n] < one[n] + one[n + 2] for n in (0, 1))


def inside(box, point):
    return box[0] < point[0] < box[0] + box[2] and box[1] < point[1] < box[1] + box[3]


# --- what stands where ---


@pytest.mark.parametrize("vcpus", SIZES)
@pytest.mark.parametrize("each", [1, 2])
def test_every_vcpu_has_the_slot_of_its_apic_id(vcpus, each):
    m = machine(vcpus, apic_id_step=each)
    rows = clusters(m)
    found = {vcpu: (row[0], slot) for row in rows for slot, vcpu in enumerate(row[1:]) if vcpu >= 0}
    assert found == {vcpu: divmod(vcpu * each, 16) for vcpu in range(vcpus)}
    assert len(rows) == -(-vcpus * each // 16)


def test_a_tile_of_xen_s_numbering_is_half_empty():
    assert clusters(machine(288))[0][1:] == [0, -1, 1, -1, 2, -1, 3, -1, 4, -1, 5, -1, 6, -1, 7, -1]
    assert len(clusters(machine(288))) == 36


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("devices", [0, 1, 32, 200])
@pytest.mark.parametrize("vcpus", SIZES)
def test_nothing_overlaps_and_nothing_leaves_the_picture(vcpus, devices, name):
    check_boxes(scene(machine(vcpus, devices)), name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("vcpus, devices", [(1, 0), (8, 1), (8, 128), (288, 32)])
def test_nothing_overlaps_with_the_8259_in_the_picture(vcpus, devices, name):
    m = machine(vcpus, devices)
    run(m, firmware.virtual_wire(m))
    check_boxes(scene(m), name)


def check_boxes(s, name):
    wide, high = arranged(s, name)["size"]
    placed = boxes(s, name)
    assert [key for key, (x, y, w, h) in placed.items() if x < 0 or y < 0 or x + w > wide or y + h > high] == []
    few = {key: box for key, box in placed.items() if not key.startswith("tile") or int(key.split()[1]) < 40}
    assert [pair for pair in combinations(few, 2) if overlap(few[pair[0]], few[pair[1]])] == []


@pytest.mark.parametrize("shape", ["tall", "slim"])
def test_hundreds_of_devices_leave_room_for_the_rest_in_the_window(shape):
    chips = scene(machine(8, 400))[shape]["chips"]
    assert len(set(map(tuple, chips))) == 400 and max(y for _, y in chips) < 200


@pytest.mark.parametrize("vcpus", [8, 288, 1024])
@pytest.mark.parametrize("pic", [False, True])
def test_a_compact_arrangement_keeps_to_its_box(vcpus, pic):
    m = machine(vcpus, 32)
    if pic:
        run(m, firmware.virtual_wire(m))
    for box, where in zip(arrange.BOXES, scene(m)["compact"], strict=True):
        assert where["size"] == [box.width, box.height]
        assert bool(where["pic"]) == pic


@pytest.mark.parametrize("tiles", [1, 5, 16, 36, 64, 128, 512])
def test_a_row_of_the_wall_goes_from_one_round_number_to_the_next(tiles):
    columns = {where["columns"] for where in (arrange.wide(4, 2, [256], tiles), arrange.tall(4, 2, [256], tiles),
                                              *arrange.compact(4, 2, [256], tiles))}
    assert all(each & each - 1 == 0 for each in columns)


def test_1024_vlapics_stand_16_clusters_to_a_row():
    assert scene(machine(1024))["wide"]["columns"] == 16


@pytest.mark.parametrize("used, entries, window", [
    ([], 2, (1, 2, 0)), ([], 65536, (1, 256, 0)), ([5], 65536, (1, 16, 0)), ([0, 193], 65536, (1, 256, 0)),
    ([300, 400], 512, (1, 256, 256)), ([40000], 65536, (1, 16, 40000)), ([0, 1000], 65536, (4, 256, 0)),
    ([0, 65535], 65536, (256, 256, 0)), ([3], 4, (1, 4, 0)), ([], 0, (1, 0, 0))])
def test_the_used_part_of_a_table_is_shown_one_cell_an_entry_as_far_as_they_fit(used, entries, window):
    assert table.window(used, entries) == window


@given(st.sets(st.integers(0, 65535), max_size=40))
def test_every_entry_in_use_has_a_cell_and_no_cell_is_beyond_the_table(used):
    each, cells, first = table.window(sorted(used), 65536)
    assert all(0 <= (index - first) // each < cells for index in used)
    assert first >= 0 and first + each * cells <= 65536 and cells <= table.CELLS


@pytest.mark.parametrize("entries", [2, 256, 65536])
def test_a_scene_shows_the_used_part(entries):
    r = Rig()
    r.start(s=entries.bit_length() - 2)
    r.entry(1, vector=0x41)
    s = scene(r.m)
    assert s["units"] == [[entries, 1, min(16, entries), 0]]
    columns, rows = s["wide"]["tables"][0]
    assert columns * rows >= min(16, entries)


def test_the_rows_of_a_table_say_who_uses_an_entry_and_where_it_sends():
    r = rig()
    r.entry(5, vector=0x41, dst=6 << 8, sid=NIC, svt=1)
    r.entry(300, vector=0x42, dst=4 << 8)
    assert table.used(r.m, 0) == [5] if table.size(r.m, 0) <= 300 else [5, 300]
    assert table.entries(r.m)[0] == table.Entry(0, table.PRESENT, 5, NIC, 0x41, 6)


def test_a_copy_that_differs_from_memory_is_told_as_stale():
    r = rig()
    r.entry(5, vector=0x41, dst=6 << 8)
    first = r.msi(5, NIC)
    r.entry(5, vector=0x42, dst=4 << 8)
    assert [row.flags for row in table.entries(r.m)] == [table.PRESENT | table.STALE]
    s, memory = scene(r.m), partial(table.in_memory, r.m)
    token = next(fold(s, r.msi(5, NIC), memory=memory))
    assert token.outcome & ~Flag.MERGED == Outcome.REMAPPED | Flag.STALE
    assert (token.vector, token.dst - Places(s).vlapic) == (0x41, 3)
    assert not only(s, first).outcome & Flag.STALE


@pytest.mark.parametrize("make, limit, why", [
    (lambda: machine(unit=False), 254, "beyond 8 bits"), (machine, 254, "beyond 8 bits"),
    (lambda: machine(unit=False, ext_dest=True), 0x7FFF, "beyond 15 bits"),
    (lambda: Rig(bus=BUS).start(eime=0).m, 254, "beyond 8 bits, as EIME is 0"),
    (lambda: Rig(bus=BUS).start(eime=1).m, 0xFFFFFFFE, "")])
def test_what_a_device_can_name_depends_on_the_unit(make, limit, why):
    assert table.reach(make()) == (limit, why)


def test_without_a_unit_there_is_no_table_and_before_latching_no_entry():
    assert scene(machine(unit=False))["units"] == []
    assert scene(machine())["units"] == [[0, 1, 0, 0]]


def test_a_bridge_without_interrupts_is_no_sender():
    bus = Bus([Function(0x08, bridge=Bridge("pcie", 1, 1)), Function(0x100, "nic", msi_count=1)])
    s = scene(Machine(profile("spec"), bus=bus))
    assert [row[:2] for row in s["devices"]] == [[0x100, "nic"]]


def test_a_scene_is_json_and_says_domain_and_profile():
    s = scene(machine(), "<b>big</b>")
    assert json.loads(json.dumps(s))["tiles"] == s["tiles"]
    assert s["title"] == ["<b>big</b>", "spec"]


# --- events folded into tokens ---


def only(s, events, clock=0):
    (token,) = fold(s, events, clock)
    return token._replace(t_ms=0)


def test_a_remapped_interrupt_ends_at_its_vlapic():
    r = rig()
    r.entry(5, vector=0x41, dst=6 << 8)
    s = scene(r.m)
    assert only(s, r.msi(5, NIC)) == Token(0, 0, Places(s).vlapic + 3, 5, Outcome.REMAPPED, 0x41)
    assert only(s, r.msi(5, NIC)).outcome == Outcome.REMAPPED | Flag.MERGED


def test_a_compatibility_interrupt_names_no_entry():
    r = rig(name="qemu-10")
    address, data = msi_message(4, 0x50)
    s = scene(r.m)
    assert only(s, r.raw(address, data, NIC)) == Token(
        0, 0, Places(s).vlapic + 4, 0, Outcome.COMPATIBILITY | Flag.NO_ENTRY, 0x50)


@pytest.mark.parametrize("request_, irte, flags, reason", [
    (lambda r: r.msi(9, NIC), 9, 0, Reason.NOT_PRESENT),
    (lambda r: r.msi(9000, NIC), 9000, 0, Reason.INDEX_OVER),
    (lambda r: r.raw(0xFEE00000, 0x41, NIC), 0, Flag.NO_ENTRY, Reason.COMPATIBILITY),
])
def test_a_blocked_interrupt_tells_its_reason(request_, irte, flags, reason):
    r = rig()
    assert only(scene(r.m), request_(r)) == Token(0, 0, NOBODY, irte, Outcome.BLOCKED | flags, reason)


def test_the_unit_s_own_fault_event_is_a_token_of_its_own():
    r = rig()
    r.write("FEDATA", 0x33)
    r.write("FEADDR", 0xFEE00000)
    r.write("FECTL", 0)
    s = scene(r.m)
    first, second = fold(s, r.msi(9, NIC))
    assert (first.outcome, second.outcome & 7) == (Outcome.BLOCKED, Outcome.DIRECT)
    assert (second.src, second.dst, second.vector) == (Places(s).unit, Places(s).vlapic, 0x33)


def test_an_interrupt_for_nobody_is_lost_past_the_table():
    r = rig()
    r.entry(5, vector=0x41, dst=200 << 8)
    token = only(scene(r.m), r.msi(5, NIC))
    assert (token.dst, token.outcome, token.irte) == (NOBODY, Outcome.LOST | Flag.PAST, 5)


def test_a_logical_destination_gives_a_token_for_each_target():
    r = rig()
    r.entry(5, vector=0x41, dst=0xFF << 8, dm=1)
    s = scene(r.m)
    assert [t.dst - Places(s).vlapic for t in fold(s, r.msi(5, NIC))] == list(range(8))


def test_a_spurious_vector_is_a_token_at_its_vlapic():
    r = rig()
    s = scene(r.m)
    events = [Event(1, 0, 5 << 24 | 3, Act.SPURIOUS, 0xFF, 0, 0, 0)]
    place = Places(s).vlapic + 3
    assert only(s, events) == Token(0, place, place, 0, Outcome.SPURIOUS | Flag.NO_ENTRY, 0xFF)


def test_an_ipi_is_neither_remapped_nor_compatible():
    r = rig()
    r.do(c.ApicWrite(0, 0x310, 4 << 24))
    s = scene(r.m)
    token = only(s, r.do(c.ApicWrite(0, 0x300, 0x61)))
    assert (token.src, token.dst, token.outcome & 7) == (Places(s).vlapic, Places(s).vlapic + 2, Outcome.DIRECT)


def test_a_pin_with_one_device_is_that_device_s():
    m = machine(unit=False)
    gsi = BUS.gsi(SERIAL)
    for register, value in ((0x10 + 2 * gsi, 0x31), (0x11 + 2 * gsi, 0)):
        step(m, c.Mmio(0xFEC00000, 4, register))
        step(m, c.Mmio(0xFEC00010, 4, value))
    m.svr[0] = 0x1FF
    s = scene(m)
    token = only(s, step(m, c.Intx(SERIAL, 1)))
    assert s["devices"][token.src][0] == SERIAL
    assert token.outcome == Outcome.COMPATIBILITY | Flag.NO_ENTRY | Flag.PIN


@pytest.mark.parametrize("sender, why, flags", [(NIC, Drop.NO_MESSAGE, 0), (0x0100, Drop.NO_MESSAGE, 0),
                                                (SERIAL, Drop.MASKED, Flag.PIN)])
@pytest.mark.parametrize("name", ["wide", "tall"])
def test_before_the_boot_an_interrupt_ends_at_its_router(sender, why, flags, name):
    m = machine()
    s = scene(m)
    token = only(s, step(m, c.Intx(sender, 1) if sender == SERIAL else c.Signal(sender, 0)))
    assert s["devices"][token.src][0] == sender
    assert token[2:] == (NOBODY, 0, Outcome.MASKED | Flag.NO_ENTRY | flags, why)
    assert s["masked"][str(token.vector)] == MASKED[why]
    x, y, w, h = s[name]["routers"][0 if flags else -1]
    end = way(s, s[name], token)[-1]
    assert x - 1 <= end[0] <= x + w + 1 and y - 1 <= end[1] <= y + h + 1


def test_a_message_that_waits_as_pending_is_a_masked_token_of_its_own():
    m = machine()
    place, enabled_and_masked = m.bus.place(NIC), 0xC000
    step(m, c.ConfigWrite(NIC, m.bus.msix_caps[place] + 2, 2, enabled_and_masked))
    s = scene(m)
    assert only(s, step(m, c.Signal(NIC, 1)))[3:] == (0, Outcome.MASKED | Flag.NO_ENTRY, 0)


# --- lines of the mainboard, LINT pins, timers ---


def wired(irqs=(4, 9), name="spec", lint0=True):
    """A machine at the time of its firmware: the 8259 pair is set up, and LINT0 of vCPU 0 takes its INTR."""
    r = rig(name=name) if name == "spec" else Rig(bus=BUS, name=name)
    run(r.m, firmware.virtual_wire(r.m, irqs))
    if not lint0:
        r.do(firmware.register(r.m, 0, "LVT_LINT0", 0x10700))
    return r


def after(r, *commands):
    """[(what a token's src and dst are, outcome without `NO_ENTRY`, vector)] of commands done now."""
    s = scene(r.m)
    places = Places(s)
    of = {NOBODY: "nobody", places.pic: "mainboard", places.ioapic: "I/O APIC"} | {
        places.vlapic + vcpu: vcpu for vcpu in range(r.m.vcpus)}
    return [(of[t.src], of[t.dst], Outcome(t.outcome & 7), Flag(t.outcome & ~7 & ~Flag.NO_ENTRY), t.vector)
            for t in fold(s, [event for each in commands for event in r.do(each)])]


DIRECT, HELD = Outcome.DIRECT, Outcome.MASKED


@pytest.mark.parametrize("make, irq, told", [
    (wired, 4, ("mainboard", 0, DIRECT, Flag(0), 4)),
    (wired, 9, ("mainboard", 0, DIRECT, Flag(0), 9)),
    (wired, 5, ("mainboard", "nobody", HELD, Flag(0), WAITS)),
    (lambda: wired(lint0=False), 4, ("mainboard", "nobody", HELD, Flag(0), UNHEARD)),
    (rig, 4, ("I/O APIC", "nobody", HELD, Flag.PIN, Drop.MASKED)),
])
def test_a_line_of_the_mainboard_is_one_token_wherever_it_ends(make, irq, told):
    r = make()
    assert after(r, c.Isa(irq, 1), c.Isa(irq, 0)) == [told]


def test_a_line_that_waits_behind_another_comes_when_that_has_ended():
    r = wired((4, 1))
    r.do(c.Isa(1, 1))
    r.do(c.Acknowledge(0))
    assert after(r, c.Isa(4, 1)) == [("mainboard", "nobody", HELD, Flag(0), WAITS)]
    assert after(r, *firmware.end(1)) == [("mainboard", 0, DIRECT, Flag(0), 4)]


def test_a_line_that_the_io_apic_sends_is_the_mainboard_s_by_its_pin_alone():
    r = wired((1,))
    for register, value in ((0x10 + 2 * 4, 0x31), (0x11 + 2 * 4, 0)):
        r.do(c.Mmio(0xFEC00000, 4, register))
        r.do(c.Mmio(0xFEC00010, 4, value))
    assert [row[:4] for row in after(r, c.Isa(4, 1))] == [
        ("mainboard", "nobody", Outcome.BLOCKED, Flag.PIN)]


def test_xen_s_pin_0_of_the_io_apic_tells_a_vcpu_of_intr():
    r = wired(name="xen-v1", lint0=False)
    for register, value in ((0x11, 0), (0x10, 0x700)):
        r.do(c.Mmio(0xFEC00000, 4, register))
        r.do(c.Mmio(0xFEC00010, 4, value))
    assert after(r, c.Isa(4, 1)) == [("mainboard", 0, DIRECT, Flag.PIN, 4)]


def test_a_request_that_had_gone_is_spurious_when_it_is_taken():
    r = wired()
    assert [row[:3] for row in after(r, c.Isa(4, 1), c.Isa(4, 0), c.Acknowledge(0))] == [
        ("mainboard", 0, DIRECT), (0, 0, Outcome.SPURIOUS)]


@pytest.mark.parametrize("before, command, told", [
    ([], c.Lint(0, 1, 1), [(0, 0, DIRECT, Flag.PIN, 0)]),
    ([], c.Lint(3, 1, 1), []),
    ([c.ApicWrite(2, 0x320, 0x55), c.ApicWrite(2, 0x380, 1)], c.Tick(1000), [(2, 2, DIRECT, Flag.PIN, 0x55)]),
    ([c.ApicWrite(2, 0x320, 0x10055), c.ApicWrite(2, 0x380, 1)], c.Tick(1000), []),
])
def test_a_vlapic_s_own_pins_and_timer_begin_and_end_there(before, command, told):
    r = wired()
    run(r.m, before)
    assert after(r, command) == told


@pytest.mark.parametrize("name", NAMES)
def test_intr_goes_past_all_units_and_a_line_that_waits_ends_at_the_8259(name):
    s = scene(wired().m)
    where, places = arranged(s, name), Places(s)
    for flag in (Flag(0), Flag.PIN):
        points = way(s, where, Token(0, places.pic, places.vlapic, 0, Outcome.DIRECT | flag, 4))
        assert points[0] == where["pic"]["line"]
        assert where["pic"]["road"][0] in points
        assert not [p for p in points for box in where["units"] if inside(box, p)]
    x, y, w, h = where["pic"]["box"]
    end = way(s, where, Token(0, places.pic, NOBODY, 0, Outcome.MASKED, WAITS))[-1]
    assert x <= end[0] <= x + w and y <= end[1] <= y + h


def test_the_8259_is_in_the_picture_as_long_as_it_is_in_use():
    r = rig()
    assert not scene(r.m)["pic"]
    run(r.m, firmware.virtual_wire(r.m))
    assert scene(r.m)["pic"]
    run(r.m, firmware.symmetric(r.m))
    assert not scene(r.m)["pic"]


def test_machine_time_runs_on_from_the_clock_that_is_given():
    r = rig()
    s = scene(r.m)
    events = [*r.msi(9, NIC), *r.msi(9, NIC)]
    first, second = fold(s, events, clock=5_000_000)
    assert first.t_ms == 5
    assert second.t_ms == pytest.approx(5 + sum(e.cost for e in events if e.serial == events[0].serial) / 1e6)


@given(st.lists(st.builds(Event, *[st.integers(0, 3)] * 2, st.sampled_from([1 << 24 | NIC, 2 << 24, 3 << 24, 4 << 24,
       5 << 24 | 3, 6 << 24, 9 << 24]), st.integers(1, 57), *[st.integers(0, 2**64 - 1)] * 3, st.integers(0, 9)),
       max_size=40))
def test_any_events_fold_into_tokens_that_pack(events):
    s = scene(machine())
    out = list(fold(s, events))
    assert [t[1:] for t in unpack(pack(out))] == [t[1:] for t in out]


@given(st.lists(st.builds(Token, st.floats(0, 1e6, width=32), *[st.integers(0, 0xFFFF)] * 3,
                          *[st.integers(0, 255)] * 2)))
def test_packed_tokens_unpack(many):
    data = pack(many)
    assert len(data) == tokens.HEADER.size + 12 * len(many)
    assert unpack(data) == many


@pytest.mark.parametrize("data", [b"", b"\x02\x0c\0\0\0\0\0\0", b"\x01\x0c\0\0\x01\0\0\0", b"\x01\x0c\0\0\0\0\0\0x"])
def test_other_bytes_are_not_tokens(data):
    with pytest.raises(ValueError, match="tokens"):
        unpack(data)


# --- the way of a token ---


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("vcpus", SIZES)
def test_a_delivered_token_ends_in_its_slot_below_the_words(vcpus, name):
    s = latched(vcpus)
    where, first = arranged(s, name), Places(s).vlapic
    for vcpu, (x, y, w, h) in list(slots(s, where).items())[:: max(1, vcpus // 50)]:
        points = way(s, where, Token(0, 0, first + vcpu, 7, Outcome.REMAPPED, 0x41))
        assert points[0] == where["chips"][0]
        assert points[-1] == pytest.approx((x + w / 2, y + lane_of(h)))
        assert y < points[-1][1] < y + h


def latched(vcpus):
    r = Rig(bus=BUS, vcpus=vcpus).start(s=15)
    return scene(r.m)


@pytest.mark.parametrize("name", NAMES)
def test_a_way_along_the_gutters_crosses_no_other_tile(name):
    s = latched(1024)
    where = arranged(s, name)
    tiles = {number: box for number, box in enumerate(boxes(s, name).values(), start=-6) if number >= 0}
    for vcpu in (0, 300, 1023):
        points = way(s, where, Token(0, 0, Places(s).vlapic + vcpu, 7, Outcome.REMAPPED, 0x41))
        own, _ = tile_of(s, vcpu)
        for (ax, ay), (bx, by) in pairwise(points):
            middle = ((ax + bx) / 2, (ay + by) / 2)
            assert [n for n, box in tiles.items() if n != own and inside(box, middle)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_compatibility_token_goes_round_the_table(name):
    s = latched(8)
    token = Token(0, 0, Places(s).vlapic, 0, Outcome.COMPATIBILITY | Flag.NO_ENTRY, 0x41)
    assert [p for p in way(s, arranged(s, name), token) if inside(arranged(s, name)["units"][0], p)] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("index", [0, 255, 256, 65535])
def test_a_blocked_token_stops_at_its_entry_or_at_its_place_on_the_strip(name, index):
    s = latched(8)
    where = arranged(s, name)
    x, y, w, h = entry(where, 0, index) if index < 256 else arrange.strip(where["units"][0], where["flow"])
    end = way(s, arranged(s, name), Token(0, 0, NOBODY, index, Outcome.BLOCKED, 0x22))[-1]
    if index < 256:
        assert end == pytest.approx((x + w / 2, y + h / 2))
    else:
        assert x <= end[0] <= x + w and y <= end[1] <= y + h


@pytest.mark.parametrize("outcome", [*Outcome, Outcome.LOST | Flag.PAST, Outcome.BLOCKED | Flag.NO_ENTRY])
@pytest.mark.parametrize("unit", [True, False])
def test_every_token_has_a_way_in_both_arrangements(outcome, unit):
    s = scene(machine(unit=unit))
    places = Places(s)
    for src in range(places.count):
        for dst in (NOBODY, places.vlapic):
            if outcome == Outcome.SPURIOUS:
                src = dst = places.vlapic
            token = Token(0, src, dst, 9, outcome, 0x22)
            assert all(way(s, arranged(s, name), token) for name in NAMES)


@pytest.mark.parametrize("units", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("tiles", [1, 36, 512])
def test_every_unit_of_many_has_room_for_its_table_and_none_lies_over_another(units, tiles):
    for where in (arrange.wide(4, 2, [256] * units, tiles), arrange.tall(4, 2, [256] * units, tiles),
                  arrange.slim(4, 2, [256] * units, tiles),
                  *arrange.compact(4, 2, [256] * units, tiles)):
        boxes = where["units"]
        assert all(min(arrange.field(box, where["flow"])[2:]) > 4 for box in boxes)
        assert all(upper[1] + upper[3] + 20 <= lower[1] for upper, lower in pairwise(boxes))
        assert boxes[-1][1] + boxes[-1][3] < where["size"][1]
