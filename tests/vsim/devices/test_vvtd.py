"""The trapped register page: access rules (V 1.2), what each register stores, the global command protocol (V 2),
and the worked sequences of V 14 and X 11.7, step by step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig import BASE, CFI, GLOBAL, IRE, NIC, QIE, QUEUE, SIRTP, STATUS, TABLE, Rig, acts, selective, wait
from vsim.layouts.formats import IOTLB_INV
from vsim.layouts.registers import CAP, GCMD, OFFSET, UNIT
from vsim.state import commands as c
from vsim.state.profile import Capabilities
from vsim.state.trace import Drop, Warn

ALL = (1 << 64) - 1
WARNED = {w.value: w.name for w in Warn}


def warnings(events):
    return [WARNED[row[1]] for row in acts(events, "WARNED")]


# --- access rules (V 1.2) ---


@pytest.mark.parametrize("offset, width, taken", [
    (0xB8, 4, True), (0xBC, 4, True), (0xB8, 8, True), (0xBC, 8, False), (0xB8, 1, False), (0xB8, 2, False),
    (0xB8, 3, False), (0xB8, 5, False), (0xB8, 6, False), (0xB9, 4, False), (0xBA, 4, False), (0xBA, 2, False),
    (0xB4, 8, False), (0xB6, 4, False),
])
def test_only_aligned_accesses_of_4_and_8_bytes_are_taken(offset, width, taken):
    rig = Rig()
    rig.write("IRTA", 0x1234567800000807)
    before = rig.has("IRTA")
    events = rig.do(c.Mmio(BASE + offset, width, ALL & (1 << 8 * width) - 1))
    assert [row[1] for row in acts(events, "DROPPED")] == ([] if taken else [Drop.WIDTH])
    assert (rig.has("IRTA") != before) == taken
    assert bool(rig.read(offset, width)) == taken


def test_a_refused_read_is_0_and_an_event():
    rig = Rig()
    events = rig.do(c.MmioRead(BASE + 0x38, 2))
    assert [row[1] for row in acts(events, "DROPPED")] == [Drop.WIDTH]
    assert acts(events, "READ") == [("READ", 0x38, 0, 2)]


@pytest.mark.parametrize("offset, width", [(0xFFC, 8), (0xFFE, 4), (0xFFD, 8), (0xFFF, 2)])
def test_an_access_that_leaves_the_page_is_dropped_and_reads_0(offset, width):
    rig = Rig()
    before = rig.m.copy()
    events = rig.do(c.Mmio(BASE + offset, width, ALL & (1 << 8 * width) - 1))
    assert [row[1] for row in acts(events, "DROPPED")] == [Drop.STRADDLE]
    assert rig.m.regs == before.regs and rig.m.ram == before.ram
    assert rig.read(offset, width) == 0


def test_the_page_is_trapped_where_it_was_created_and_nowhere_else():
    rig = Rig()
    assert rig.read("CAP") == 0x22260286
    for address in (BASE - 4, BASE + 4096):
        assert acts(rig.do(c.MmioRead(address, 4)), "READ")[0][2] == 0xFFFFFFFF
        assert acts(rig.do(c.Mmio(address, 4, 0)), "DROPPED")[0][1] == Drop.UNCLAIMED


@pytest.mark.parametrize("offset, value, low, high", [
    ("FEADDR", 0x12345600_FEE01004, 0xFEE01004, 0x12345600), ("IEADDR", 0x100_FEE01000, 0xFEE01000, 0x100),
    ("FECTL", 0x55_00000000, 0, 0x55), ("IECTL", 0x66_80000000, 0x80000000, 0x66),
])
def test_eight_bytes_on_two_registers_are_two_writes_in_ascending_order(offset, value, low, high):
    rig = Rig()
    rig.write(offset, value, 8)
    assert (rig.read(offset), rig.read(OFFSET[offset] + 4)) == (low, high)
    assert rig.read(OFFSET[offset], 8) == value


def test_the_lower_register_of_a_pair_acts_first():
    """FECTL is unmasked before FEDATA is written: the message carries the old data."""
    rig = Rig().start()
    rig.write("FEDATA", 0x31)
    rig.write("FEADDR", 0xFEE00000)
    rig.fault()
    events = rig.write("FECTL", 0x99_00000000, 8)
    assert acts(events, "NOTIFIED") == [("NOTIFIED", 0, 0xFEE00000, 0x31)]
    assert rig.read("FEDATA") == 0x99


@pytest.mark.parametrize("name", ["IRTA", "IQA", "RTADDR"])
def test_a_64_bit_register_takes_two_halves_in_any_order(name):
    whole, halves = Rig(), Rig()
    whole.write(name, 0x0000001234567000)
    halves.write(f"{name}+4", 0x12)
    halves.write(name, 0x34567000, 4)
    assert whole.read(name) == halves.read(name) == 0x1234567000
    assert (halves.read(name, 4), halves.read(f"{name}+4")) == (0x34567000, 0x12)


# --- what a register stores ---

# name: bits that read back after all ones were written to a fresh unit, in the profile "spec". 0: read-only, not
# there, or acting (GCMD, FSTS, ICS). IECTL and FECTL keep only the mask.
STORED = {
    "VER": 0x10, "CAP": 0x22260286, "ECAP": 0xF0001A, "GCMD": 0, "RTADDR": 0xFFFFFFFFFFFFFC00,
    "CCMD": 0x78000003FFFFFFFF, "FSTS": 0,
    "FECTL": 0x80000000, "FEDATA": 0xFFFF, "FEADDR": 0xFFFFFFFC, "FEUADDR": 0xFFFFFF00, "AFLOG": 0, "PMEN": 0,
    "PLMBASE": 0, "PLMLIMIT": 0, "PHMBASE": 0, "PHMLIMIT": 0, "IQH": 0, "IQT": 0x7FFF0, "IQA": 0xFFFFFFFFFFFFF807,
    "ICS": 0, "IECTL": 0x80000000, "IEDATA": 0xFFFF, "IEADDR": 0xFFFFFFFC, "IEUADDR": 0xFFFFFF00, "IQERCD": 0,
    "IRTA": 0xFFFFFFFFFFFFF80F,
}


@pytest.mark.parametrize("name, bits", STORED.items())
def test_reserved_bits_never_read_back(name, bits):
    rig = Rig()
    rig.write(name, ALL)
    assert rig.read(name) == bits


def test_the_table_of_stored_bits_has_every_register_but_gsts():
    assert set(STORED) == {name for _, _, name, _ in UNIT} - {"GSTS"}


@pytest.mark.parametrize("unit, options, name, bits", [
    ({"eim": False}, {}, "IRTA", 0xFFFFFFFFFFFFF00F), ({"eim": False}, {}, "FEUADDR", 0),
    ({"eim": False}, {}, "IEUADDR", 0),
    ({}, {"event_upper": False}, "FEUADDR", 0), ({}, {"iedata_bits": 32}, "IEDATA", 0xFFFFFFFF),
    ({"eim": False}, {"eime_reads_back": True}, "IRTA", 0xFFFFFFFFFFFFF80F),
])
def test_what_is_stored_depends_on_what_the_unit_offers(unit, options, name, bits):
    rig = Rig(unit=unit, **options)
    rig.write(name, ALL)
    assert rig.read(name) == bits


@given(st.integers(0, 1023), st.integers(0, 0xFFFFFFFF))
def test_offsets_without_a_register_read_0_and_ignore_writes(word, value):
    known = {offset + part for offset, width, _, _ in UNIT for part in range(0, width, 4)}
    rig = Rig()
    if 4 * word not in known and not 0x220 <= 4 * word < 0x230:
        before = rig.m.regs[:]
        rig.write(4 * word, value)
        assert rig.read(4 * word) == 0
        assert rig.m.regs == before


@given(st.lists(st.tuples(st.integers(0, 0x8C), st.sampled_from([4, 8]), st.integers(0, ALL)), max_size=12))
def test_whatever_is_written_only_declared_bits_are_set(writes):
    rig = Rig()
    for word, width, value in writes:
        rig.do(c.Mmio(BASE + 4 * word, width, value & (1 << 8 * width) - 1))
    for _, width, name, layout in UNIT:
        if layout is not None:
            assert layout.reserved_set(rig.read(name, width)) == 0, name


def test_after_creation_only_identity_and_masks_are_set():
    rig = Rig()
    values = {name: rig.read(name) for _, _, name, _ in UNIT if rig.read(name)}
    assert values == {"VER": 0x10, "CAP": 0x22260286, "ECAP": 0xF0001A, "FECTL": 1 << 31, "IECTL": 1 << 31}
    assert rig.frcd() == 0


# --- GCMD and GSTS (V 2) ---


def test_a_global_command_reads_0():
    rig = Rig().start()
    assert (rig.read("GCMD"), rig.read("GSTS")) == (0, 0x07000000)


# X 11.7: status before, write, status after. The Xen unit ignores TE (last row); a unit that follows the
# specification reports the command done, though nothing of DMA remapping is modelled.
WALK = [
    (0, 0x04000000, 0x04000000, []), (0x04000000, 0x05000000, 0x05000000, []),
    (0x05000000, 0x06000000, 0x07000000, []), (0x07000000, 0x06000000, 0x07000000, []),
    (0x07000000, 0x04000000, 0x05000000, []), (0x05000000, 0x02000000, 0x03000000, ["SEVERAL_COMMANDS"]),
    (0x07000000, 0x86000000, 0x87000000, ["NO_ROOT", "NO_DMA"]),
]


@pytest.mark.parametrize("before, write, after, warned", WALK)
def test_a_global_command_walk(before, write, after, warned):
    rig = Rig()
    rig.write("IRTA", TABLE | 7)
    for bit in (QIE, SIRTP, IRE):
        if before & bit:
            rig.write("GCMD", rig.has("GSTS") & ~SIRTP | bit)
    assert rig.has("GSTS") == before
    assert warnings(rig.write("GCMD", write)) == warned
    assert rig.has("GSTS") == after


@pytest.mark.parametrize("wrong, off", [(IRE, QIE), (QIE, IRE), (0, QIE | IRE), (SIRTP, QIE | IRE)])
def test_a_write_that_does_not_repeat_the_state_switches_it_off(wrong, off):
    """V 2.3: the classic error of writing one command bit alone."""
    rig = Rig().start()
    rig.write("GCMD", wrong)
    assert rig.has("GSTS") == 0x07000000 & ~off


def test_the_pointer_status_stays_1_whatever_is_written():
    rig = Rig().start()
    for value in (QIE | IRE, QIE, 0, ALL):
        rig.write("GCMD", value)
        assert rig.has("GSTS") & SIRTP


def test_a_one_shot_command_acts_each_time_it_is_written():
    rig = Rig().start(s=3)
    for s in (4, 5):
        rig.write("IRTA", TABLE | s)
        assert acts(rig.write("GCMD", QIE | SIRTP | IRE), "LATCHED") == [("LATCHED", 2 << s, TABLE | s, 0)]


@pytest.mark.parametrize("bit, status", [(31, 1), (30, 1), (29, 0), (28, 0), (27, 0)])
def test_dma_commands_are_answered_where_the_unit_has_them(bit, status):
    """SFL and EAFL need CAP.AFL; WBFS is 0 once the flush is done."""
    rig = Rig()
    rig.write("GCMD", 1 << bit)
    assert rig.has("GSTS") == status << bit


def test_gsts_cannot_be_written():
    rig = Rig()
    rig.write("GSTS", ALL)
    assert rig.has("GSTS") == 0


# --- IRTA and its latch (V 1.7, 2.2) ---


def test_a_table_address_has_no_effect_until_it_is_latched():
    rig = Rig().start(s=7, eime=0)
    rig.entry(5, vector=0x41, dst=0x100)
    rig.write("IRTA", 0x300000 | 1 << 11 | 15)
    assert rig.read("IRTA") == 0x300000 | 1 << 11 | 15
    assert (rig.latch("BASE_PAGE") << 12, rig.latch("ENTRIES")) == (TABLE, 256)
    assert acts(rig.msi(5), "REMAPPED")[0][2] == 0xFEE01000
    rig.write("GCMD", QIE | SIRTP | IRE)
    assert (rig.latch("BASE_PAGE") << 12, rig.latch("ENTRIES")) == (0x300000, 65536)


@pytest.mark.parametrize("before, after", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_only_another_eime_written_while_remapping_is_on_is_told(before, after):
    rig = Rig().start(eime=before)
    assert warnings(rig.write("IRTA", 0x30000 | after << 11 | 7)) == ["EIME_WHILE_ON"] * (before != after)


def test_eime_is_latched_with_the_table_even_when_nothing_else_changes():
    """Unlike X D6: the same address and size with another EIME."""
    rig = Rig(cache="none").start(eime=0)
    rig.entry(5, vector=0x41, dst=0x100)
    assert acts(rig.msi(5), "REMAPPED")[0][2] == 0xFEE01000
    assert warnings(rig.write("IRTA", TABLE | 1 << 11 | 7)) == ["EIME_WHILE_ON"]
    assert acts(rig.msi(5), "REMAPPED")[0][2] == 0xFEE01000
    rig.write("GCMD", QIE | SIRTP | IRE)
    assert acts(rig.msi(5), "REMAPPED")[0][2] == 0x100_FEE00000


@pytest.mark.parametrize("base, s, warned", [
    (0x10000, 7, []), (0x11000, 7, []), (0x11000, 8, ["MISALIGNED_TABLE"]), (0x100000, 15, []),
    (0x180000, 15, ["MISALIGNED_TABLE"]),
])
def test_a_table_that_is_not_aligned_to_its_size_is_used_with_a_warning(base, s, warned):
    rig = Rig()
    rig.write("IRTA", base | s)
    assert warnings(rig.write("GCMD", SIRTP)) == warned
    assert rig.latch("BASE_PAGE") << 12 == base


def test_without_eim_destinations_have_eight_bits():
    rig = Rig(unit={"eim": False}).start(eime=1)
    rig.entry(5, vector=0x41, dst=0x100)
    assert acts(rig.msi(5), "REMAPPED")[0][2] == 0xFEE01000


def test_with_the_quirk_eime_works_where_it_is_not_offered():
    rig = Rig(quirks=["qemu.D7"], unit={"eim": False}).start(eime=1)
    rig.entry(5, vector=0x41, dst=0x100)
    assert acts(rig.msi(5), "REMAPPED")[0][2] == 0x100_FEE00000


@pytest.mark.parametrize("esirtps", [0, 1])
def test_sirtp_and_switching_off_empty_the_cache_only_where_the_unit_says_so(esirtps):
    capabilities = Rig().m.profile.capabilities
    rig = Rig(capabilities=type(capabilities)(capabilities.cap | esirtps << 62, capabilities.ecap)).start()
    rig.entry(5, vector=0x41, dst=0x1)
    for command in ([QIE | SIRTP | IRE], [QIE, QIE | IRE]):
        rig.msi(5)
        assert rig.m.cache
        for value in command:
            rig.write("GCMD", value)
        assert bool(rig.m.cache) != bool(esirtps)


# --- CFI (V 2.4) ---


@pytest.mark.parametrize("ires, eime, cfis, compatibility, remappable", [
    (0, 0, 0, "passed", "passed"), (0, 0, 1, "passed", "passed"), (0, 1, 0, "passed", "passed"),
    (0, 1, 1, "passed", "passed"), (1, 0, 0, "blocked", "remapped"), (1, 0, 1, "passed", "remapped"),
    (1, 1, 0, "blocked", "remapped"), (1, 1, 1, "blocked", "remapped"),
])
def test_who_passes_the_table_by(ires, eime, cfis, compatibility, remappable):
    rig = Rig().start(ire=ires, eime=eime, cfi=cfis)
    assert rig.has("GSTS") & (IRE | CFI) == IRE * ires | CFI * cfis
    rig.entry(2, vector=0x41, dst=0)
    what = {"passed": "PASSED", "blocked": "BLOCKED", "remapped": "REMAPPED"}
    found = [acts(events, *what.values())[0] for events in (rig.raw(0xFEE00000, 0x51), rig.msi(2))]
    assert [row[0] for row in found] == [what[compatibility], what[remappable]]
    assert [row[1] for row in found if row[0] == "BLOCKED"] == [0x25] * (compatibility == "blocked")


def test_a_remappable_message_while_remapping_is_off_is_read_by_the_old_meaning():
    """Index 5 as a message: bits 19:12 are 0, so it goes to APIC ID 0; bits 11:5 are ignored."""
    rig = Rig().start(ire=0)
    assert acts(rig.msi(5, data=0x61), "ACCEPTED") == [("ACCEPTED", 0x61, 0, 0)]


# --- several commands in one write ---

PROFILE_ORDER = ("qie", "sirtp", "ire", "cfi", "te", "srtp", "eafl", "sfl", "wbf")
OTHER_ORDER = ("ire", "sirtp", "qie", "cfi", "te", "srtp", "eafl", "sfl", "wbf")


@pytest.mark.parametrize("order, warned", [
    (PROFILE_ORDER, ["SEVERAL_COMMANDS"]), (OTHER_ORDER, ["SEVERAL_COMMANDS", "NOT_LATCHED"]),
])
def test_several_commands_in_one_write_act_in_the_profiles_order(order, warned):
    """0x07000000 as a first write is wrong (V 2.3): whether IRE sees the table depends on the order."""
    rig = Rig(gcmd_order=order)
    rig.write("IRTA", TABLE | 7)
    events = rig.write("GCMD", QIE | SIRTP | IRE)
    assert warnings(events) == warned
    assert rig.has("GSTS") == 0x07000000


def test_a_command_that_changes_one_field_warns_of_nothing():
    rig = Rig()
    rig.write("IRTA", TABLE | 7)
    for value in (QIE, QIE | SIRTP, QIE | IRE, QIE | IRE | CFI, QIE | IRE, QIE):
        assert warnings(rig.write("GCMD", value)) == []


# --- the worked sequence of V 14 ---


def test_the_worked_sequence_step_by_step():
    rig = Rig(unit={"caching_mode": True})
    # 1
    assert (rig.read("GSTS"), rig.read("FECTL"), rig.read("IECTL")) == (0, 0x80000000, 0x80000000)
    # 2
    rig.write("IQT", 0)
    rig.write("IQA", QUEUE)
    rig.write("GCMD", 0x04000000)
    assert rig.read("GSTS") == 0x04000000
    # 3
    rig.write("IRTA", 0x0000000000010007)
    rig.write("GCMD", 0x05000000)
    assert (rig.read("GSTS"), rig.latch("ENTRIES"), rig.latch("BASE_PAGE")) == (0x05000000, 256, 0x10)
    # 4
    rig.queue(GLOBAL, wait(2))
    assert (rig.word(STATUS), rig.read("IQH"), rig.read("IQT")) == (2, 0x20, 0x20)
    # 5
    rig.write("GCMD", 0x06000000)
    assert rig.read("GSTS") == 0x07000000
    # 6
    for name, value in (("FECTL", 0), ("FEDATA", 0x99), ("FEADDR", 0xFEE00000)):
        rig.write(name, value)
    # 7
    rig.entry(0x40, 0x00000000000400FA_000005000041000D)
    rig.queue(selective(0x40), wait(3))
    assert rig.word(STATUS) == 3
    # 8
    assert acts(rig.raw(0xFEE00818, 0, 0x00FA), "REMAPPED") == [("REMAPPED", 0x40, 0xFEE0500C, 0x4041)]
    # 9
    events = rig.raw(0xFEE00818, 0, 0x00FB)
    assert acts(events, "BLOCKED", "NOTIFIED") == [("BLOCKED", 0x26, 0x40, 0xFB), ("NOTIFIED", 0, 0xFEE00000, 0x99)]
    assert (rig.frcd(), rig.read("FSTS")) == (0x80000026000000FB_0040000000000000, 2)
    assert rig.read("FECTL") == 0
    # 10
    events = rig.raw(0xFEE01000, 0, 0x00FA)
    assert acts(events, "BLOCKED", "NOTIFIED", "HELD") == [("BLOCKED", 0x25, 0, 0xFA)]
    assert rig.read("FSTS") == 3
    # 11
    rig.clear()
    assert rig.read("FSTS") == 1
    rig.write("FSTS", 1)
    assert rig.read("FSTS") == 0
    # 12
    rig.raw(0xFEE00818, 0x10000, 0x00FA)
    assert rig.frcd() == 0x80000020000000FA_0000000000000000
    rig.clear()
    assert rig.read("FSTS") == 0
    # 13
    rig.ram(TABLE + 0x400, 0x000005000042000D, 8)
    assert acts(rig.raw(0xFEE00818, 0, 0x00FA), "REMAPPED")[0][3] == 0x4041
    rig.queue(selective(0x40), wait(4))
    assert acts(rig.raw(0xFEE00818, 0, 0x00FA), "REMAPPED")[0][3] == 0x4042
    # 14
    rig.ram(TABLE + 0x400, 0x000005000042000E, 8)
    rig.queue(selective(0x40), wait(5))
    events = rig.raw(0xFEE00818, 0, 0x00FA)
    assert acts(events, "BLOCKED", "RECORDED") == [("BLOCKED", 0x22, 0x40, 0xFA)]
    assert (rig.read("FSTS"), rig.frcd() >> 127) == (0, 0)
    rig.ram(TABLE + 0x400, 0x000005000042000C, 8)
    rig.queue(selective(0x40), wait(6))
    rig.raw(0xFEE00818, 0, 0x00FA)
    assert rig.frcd() == 0x80000022000000FA_0040000000000000


def test_a_fault_of_the_nic_is_recorded_as_in_v_1_6():
    rig = Rig().start()
    rig.msi(0x25, NIC)
    assert rig.frcd() == 0x8000002200000300_0025000000000000


# --- quirks of the page ---


@pytest.mark.parametrize("name", ["FECTL", "IECTL", "IEADDR"])
def test_with_the_quirk_a_wide_write_to_a_narrow_register_ends_the_emulator(name):
    rig = Rig(quirks=["qemu.K5"])
    events = rig.write(name, 0, 8)
    assert rig.m.dead and acts(events, "STOPPED")
    assert acts(rig.write("IRTA", 0x1000), "DROPPED")[0][1] == Drop.DEAD
    rig.do(c.Reset())
    assert rig.m.dead == 0 and rig.read("CAP") == 0x22260286


def test_with_the_quirk_the_queue_address_reads_what_is_in_use():
    rig = Rig(quirks=["qemu.D17"])
    rig.write("IQA", QUEUE | 3)
    assert rig.read("IQA") == 3
    rig.write("GCMD", QIE)
    assert rig.read("IQA") == QUEUE | 3
    assert (rig.read("IQA", 4), rig.read("IQA+4")) == (QUEUE | 3, 0)


def test_with_the_quirk_each_half_of_the_address_in_use_is_its_own():
    rig = Rig(quirks=["qemu.D17"])
    rig.write("IQA", 0x12_3456_7003)
    rig.write("GCMD", QIE)
    assert [rig.read("IQA", width) for width in (4, 8)] == [0x3456_7003, 0x12_3456_7003]
    assert rig.read("IQA+4", 4) == 0x12


# --- choices with a warning: done as before, and told ---


@pytest.mark.parametrize("register, value, width, on, wanted", [
    ("IQA", QUEUE, 8, True, ["QUEUE_MOVED"]), ("IQA", QUEUE, 8, False, []), ("IQA+4", 0, 4, True, ["QUEUE_MOVED"]),
    ("IQA", QUEUE | 8, 8, False, ["QUEUE_RESERVED"]), ("IQA", 1 << 11, 8, False, []),
    ("IQA", QUEUE | 8, 4, True, ["QUEUE_MOVED", "QUEUE_RESERVED"]), ("IQT", 0x8, 8, False, ["QUEUE_RESERVED"]),
    ("IQT", 1 << 19, 4, True, ["QUEUE_RESERVED"]), ("IQT", 1 << 32, 8, False, ["QUEUE_RESERVED"]),
    ("IQT+4", 1, 4, False, ["QUEUE_RESERVED"]), ("IQT", 1 << 32, 4, False, []), ("IRTA", 1 << 4, 8, True, []),
])
def test_what_the_queues_registers_should_not_be_written_with_is_told(register, value, width, on, wanted):
    rig = Rig()
    if on:
        rig.write("GCMD", QIE)
    assert warnings(rig.write(register, value, width)) == wanted


def test_translation_without_a_root_table_is_told():
    te, srtp = GCMD.te.mask, GCMD.srtp.mask
    rig = Rig()
    assert warnings(rig.write("GCMD", te)) == ["NO_ROOT", "NO_DMA"]
    assert warnings(rig.write("GCMD", te | srtp)) == ["NO_DMA"]
    rig.write("GCMD", 0)
    assert warnings(rig.write("GCMD", te)) == ["NO_DMA"]


@pytest.mark.parametrize("granularity, psi, wanted", [(1, 0, []), (2, 0, []), (3, 0, ["NO_PAGES"]), (3, 1, [])])
def test_a_page_selective_invalidation_of_a_unit_that_has_none_is_told(granularity, psi, wanted):
    cap = Capabilities().cap & ~CAP.psi.mask | psi << CAP.psi.low
    rig = Rig(capabilities=Capabilities(cap=cap)).start()
    assert warnings(rig.queue(IOTLB_INV.make(type=2, g=granularity, address=5))) == wanted
    assert rig.read("FSTS") == 0
