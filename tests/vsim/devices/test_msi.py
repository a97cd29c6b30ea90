"""MSI, MSI-X and INTx of a function as software programs them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices import msi
from vsim.devices.msi import MASKED, NO_MASTER, OFF, READY
from vsim.layouts.registers import MSI_CONTROL, MSIX_CONTROL, PCI_COMMAND
from vsim.state.pci import Bridge, Bus, Function

MSI_AT, MSIX_AT = 0x40, 0x60
MEMORY, MASTER, INTX_OFF = (getattr(PCI_COMMAND, name).mask for name in ("memory", "master", "intx_off"))
PBA_AT = 0x1000       # of a table of at most 256 entries
FUNCTION_MASK = MSIX_CONTROL.mask.mask
ADDRESS, DATA = 0xFEE0_1234, 0x4151


class Device:
    """One function and its arrays; the second of three, so that a wrong place shows."""

    def __init__(self, **facts):
        other = {"msi_count": 4, "msi_maskable": True, "msix_count": 70}
        self.bus = Bus([Function(0x08, **other), Function(0x10, **facts), Function(0x18, **other)])
        self.config, self.msix, self.pba = self.bus.reset()
        self.neighbours = self.others()

    def others(self):
        """Everything that belongs to the other two functions."""
        spaces = self.config[:256], self.config[512:]
        start, end = self.bus.msix_start(1), self.bus.msix_start(2)
        words, last = self.bus.pba_start(1), self.bus.pba_start(2)
        return *spaces, self.msix[:4 * start], self.msix[4 * end:], self.pba[:words], self.pba[last:]

    def read(self, offset, width=4):
        return msi.config_read(self.config, 1, offset, width)

    def write(self, offset, width, value):
        return msi.config_write(self.bus, self.config, self.pba, self.msix, 1, offset, width, value)

    def table(self, number, word, value, width=4):
        return self.mmio(16 * number + 4 * word, width, value)

    def mmio(self, offset, width, value):
        return msi.table_write(self.bus, self.config, self.pba, self.msix, 1, offset, width, value)

    def entry(self, offset, width=4):
        return msi.table_read(self.bus, self.config, self.pba, self.msix, 1, offset, width)

    def bits(self, offset=0, width=8):
        return self.entry(PBA_AT + offset, width)

    def message(self, number):
        return msi.message(self.bus, self.config, self.msix, 1, number)

    def state(self, number):
        return self.message(number)[0]

    def pend(self, number):
        msi.pend(self.bus, self.config, self.pba, 1, number)

    def pending(self, number):
        return msi.pending(self.bus, self.config, self.pba, 1, number)

    def mask_bit(self, number):
        return msi.mask_bit(self.bus, self.config, self.msix, 1, number)

    def intx(self):
        return msi.intx_allowed(self.bus, self.config, 1)

    def arrays(self):
        return self.config[:], self.msix[:], self.pba[:]


def with_msi(count=8, enabled=3, wide=True, maskable=True, command=MASTER):
    """A device with MSI on, 2^enabled messages, address and data set."""
    device = Device(msi_count=count, msi_64=wide, msi_maskable=maskable, pin=1)
    device.write(4, 2, command)
    device.write(MSI_AT + 4, 4, ADDRESS)
    device.write(MSI_AT + (12 if wide else 8), 2, DATA)
    device.write(MSI_AT + 2, 2, MSI_CONTROL.make(enable=1, mme=enabled))
    return device


def with_msix(count=70, control=MSIX_CONTROL.enable.mask, command=MASTER | MEMORY):
    """A device with MSI-X on and every entry programmed and unmasked: data is the entry's number."""
    device = Device(msix_count=count, pin=1)
    device.write(4, 2, MEMORY)
    for number in range(count):
        device.table(number, 0, ADDRESS, 8)
        device.table(number, 2, number, 8)
    device.write(4, 2, command)
    device.write(MSIX_AT + 2, 2, control)
    return device


# --- configuration space ------------------------------------------------------------------------------


def test_a_driver_finds_both_capabilities_in_the_list():
    device = Device(msi_count=8, msi_maskable=True, msix_count=70, pin=2)
    assert device.read(6, 2) == 0x10
    assert (device.read(0x34, 1), device.read(0x3D, 1)) == (MSI_AT, 2)
    assert device.read(MSI_AT) == 0x0186_6005
    assert device.read(MSIX_AT) == 0x0045_0011
    assert (device.read(MSIX_AT + 4), device.read(MSIX_AT + 8)) == (0, 0x1000)


def test_a_function_with_msix_alone_names_it_first():
    device = Device(msix_count=1)
    assert (device.read(0x34, 1), device.read(MSI_AT), device.read(MSIX_AT)) == (MSIX_AT, 0, 0x11)


def test_a_bridge_says_which_buses_are_below_it():
    bus = Bus([Function(0x08, bridge=Bridge("pci", 2, 5)), Function(0x200)])
    config = bus.reset()[0]
    assert msi.config_read(config, 0, 0x18, 4) == 0x0005_0200
    assert (msi.config_read(config, 0, 0x0A, 2), msi.config_read(config, 0, 0x0E, 1)) == (0x0604, 1)
    assert (msi.config_read(config, 1, 0x0A, 2), msi.config_read(config, 1, 0x0E, 1)) == (0xFF00, 0)


def test_functions_of_one_device_say_that_there_are_several():
    config = Bus([Function(0x08), Function(0x0F), Function(0x10), Function(0x07)]).reset()[0]
    assert [msi.config_read(config, place, 0x0E, 1) for place in range(4)] == [0x80, 0x80, 0, 0]


def test_the_interrupt_line_is_a_note_for_software():
    device = Device(pin=3)
    device.write(0x3C, 2, 0xFF0B)
    assert (device.read(0x3C, 1), device.read(0x3D, 1)) == (0x0B, 3)


def test_a_function_without_capabilities_says_so():
    device = Device()
    assert (device.read(6, 2), device.read(0x34, 1), device.read(0x10)) == (0, 0, 0)


@pytest.mark.parametrize("offset, width", [
    (256, 1), (255, 2), (254, 4), (1, 2), (2, 4), (-1, 1), (-4, 4), (0, 3), (0, 8), (0, 0), (0, -1),
    (1 << 70, 1)])
def test_an_access_that_does_not_fit_reads_ones_and_writes_nothing(offset, width):
    device = with_msi()
    before = device.arrays()
    assert device.read(offset, width) == (1 << 8 * max(width, 0)) - 1
    assert device.write(offset, width, 0) == []
    assert device.arrays() == before


def test_the_bar_can_be_sized_and_put_back():
    device = Device(msix_count=2048)
    base = device.read(0x10)
    assert base == device.bus.bar(1)
    device.write(0x10, 4, 0xFFFFFFFF)
    assert -device.read(0x10) & 0xFFFFFFFF == 0x10000
    device.write(0x10, 4, base)
    assert device.read(0x10) == base


@pytest.mark.parametrize("wide, maskable, size", [
    (False, False, 10), (True, False, 14), (False, True, 20), (True, True, 24)])
def test_an_msi_capability_takes_writes_in_its_own_bytes_only(wide, maskable, size):
    device = Device(msi_count=32, msi_64=wide, msi_maskable=maskable)
    for offset in range(MSI_AT, 256, 4):
        device.write(offset, 4, 0xFFFFFFFF)
    data_at = MSI_AT + (12 if wide else 8)
    last = MSI_AT + size - (5 if maskable else 1)       # before the pending bits
    assert [n for n in range(data_at, 256) if device.config[256 + n]] == [
        n for n in range(data_at, last + 1) if n - data_at not in (2, 3)]


@pytest.mark.parametrize("wide, at", [(False, 12), (True, 16)])
def test_mask_bits_exist_for_capable_messages_only(wide, at):
    device = Device(msi_count=4, msi_64=wide, msi_maskable=True)
    device.write(MSI_AT + at, 4, 0xFFFFFFFF)
    assert device.read(MSI_AT + at) == 0xF


def test_pending_bits_cannot_be_written():
    device = with_msi()
    device.write(MSI_AT + 20, 4, 0xFFFFFFFF)
    assert device.read(MSI_AT + 20) == 0


@pytest.mark.parametrize("count, asked, got", [
    (8, 7, 3), (8, 4, 3), (8, 3, 3), (8, 2, 2), (1, 5, 0), (32, 6, 5)])
def test_mme_is_clamped_to_mmc(count, asked, got):
    device = Device(msi_count=count)
    device.write(MSI_AT + 2, 2, MSI_CONTROL.make(mme=asked))
    assert MSI_CONTROL.split(device.read(MSI_AT + 2, 2))["mme"] == got


def test_mme_is_clamped_in_a_write_of_one_byte_too():
    device = Device(msi_count=2)
    device.write(MSI_AT + 2, 1, MSI_CONTROL.make(mme=5, enable=1))
    assert MSI_CONTROL.split(device.read(MSI_AT + 2, 2)) == {
        "extended_enable": 0, "extended": 0, "maskable": 0, "wide": 1, "mme": 1, "mmc": 1, "enable": 1}


ANYTHING = st.tuples(st.sampled_from(["config", "table", "signal"]), st.integers(-9, 1 << 40),
                     st.sampled_from([1, 2, 3, 4, 8]), st.integers(-1, 1 << 66))
USUAL = st.one_of(
    st.tuples(st.just("config"), st.just(MSI_AT + 2), st.just(2), st.integers(0, 0xFF)),
    st.tuples(st.just("config"), st.just(MSIX_AT + 2), st.just(2), st.sampled_from([0, 0x8000, 0xC000])),
    st.tuples(st.just("config"), st.sampled_from([MSI_AT + 12, MSI_AT + 16]), st.just(4), st.integers(0, 7)),
    st.tuples(st.just("config"), st.just(4), st.just(2),
              st.sampled_from([0, MASTER, MEMORY, MASTER | MEMORY])),
    st.tuples(st.just("table"), st.sampled_from([12, 28, 16 * 64 + 12]), st.just(4), st.integers(0, 1)),
    st.tuples(st.just("signal"), st.sampled_from([0, 1, 2, 64]), st.just(4), st.just(0)))
OPERATIONS = st.lists(st.one_of(USUAL, USUAL, ANYTHING), max_size=40)
FACTS = st.fixed_dictionaries({
    "msi_count": st.sampled_from([0, 1, 4, 32]), "msi_64": st.booleans(), "msi_maskable": st.booleans(),
    "msix_count": st.sampled_from([0, 1, 65]), "pin": st.integers(0, 4)})


def act(device, what, offset, width, value):
    """One guest access or signal; numbers that go out."""
    if what == "config":
        return device.write(offset, width, value)
    if what == "table":
        return device.mmio(offset, width, value)
    number = offset % 70 if offset >= 0 else 0
    if device.state(number) == MASKED:
        device.pend(number)
    return []


@given(FACTS, OPERATIONS)
def test_no_access_raises_or_changes_a_read_only_bit(facts, operations):
    device = Device(**facts)
    device.write(4, 2, MASTER | MEMORY)
    fresh = device.config[:]
    pending_at = MSI_AT + (20 if facts["msi_64"] else 16)
    status = range(pending_at, pending_at + 4) if facts["msi_count"] and facts["msi_maskable"] else ()
    for what, offset, width, value in operations:
        for number in act(device, what, offset, width, value):
            assert device.state(number) in (READY, NO_MASTER)
            assert not device.pending(number)
        device.entry(offset, width)
        device.bits(offset, width)
        device.read(offset, width)
    for byte in range(256):
        kept = 0xFF & ~device.bus.writable[256 + byte]
        assert byte in status or not (device.config[256 + byte] ^ fresh[256 + byte]) & kept
    assert device.others() == device.neighbours


@given(FACTS, OPERATIONS)
def test_nothing_that_could_go_out_stays_pending(facts, operations):
    device = Device(**facts)
    device.write(4, 2, MASTER | MEMORY)
    for operation in operations:
        act(device, *operation)
        for number in (0, 1, 2, 64):
            assert not (device.pending(number) and device.state(number) == READY)


# --- MSI messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("maskable", [False, True])
def test_an_enabled_message_goes_out_with_its_number_in_the_low_bits(wide, maskable):
    device = with_msi(wide=wide, maskable=maskable)
    assert [device.message(n) for n in range(8)] == [(READY, ADDRESS, 0x4150 + n) for n in range(8)]


@pytest.mark.parametrize("enabled", range(6))
def test_the_low_bits_of_msi_data_are_the_number(enabled):
    device = with_msi(count=32, enabled=enabled)
    device.write(MSI_AT + 12, 2, 0xFFFF)
    last = (1 << enabled) - 1
    assert device.message(0) == (READY, ADDRESS, 0xFFFF ^ last)
    assert device.message(last) == (READY, ADDRESS, 0xFFFF)
    assert device.message(last + 1) == (OFF, 0, 0)


def test_a_single_message_sends_its_data_as_written():
    assert with_msi(enabled=0).message(0) == (READY, ADDRESS, DATA)


def test_a_64_bit_address_has_its_upper_half():
    device = with_msi()
    device.write(MSI_AT + 8, 4, 0x1234_5600)
    assert device.message(0) == (READY, 0x1234_5600 << 32 | ADDRESS, 0x4150)


def test_address_bits_1_and_0_stay_0():
    device = with_msi()
    device.write(MSI_AT + 4, 4, 0xFEE0_000F)
    assert (device.read(MSI_AT + 4), device.message(0)[1]) == (0xFEE0_000C, 0xFEE0_000C)


@pytest.mark.parametrize("wide, at", [(False, 8), (True, 12)])
def test_the_upper_16_data_bits_of_msi_are_0(wide, at):
    device = with_msi(wide=wide)
    device.write(MSI_AT + at, 4, 0xABCD_1237)
    assert (device.read(MSI_AT + at), device.message(7)[2]) == (0x1237, 0x1237)


def test_a_disabled_msi_sends_nothing():
    device = with_msi()
    device.write(MSI_AT + 2, 2, 0)
    assert device.message(0) == (OFF, 0, 0)


def test_a_function_without_msi_has_no_message():
    assert Device().message(0) == (OFF, 0, 0)


def test_without_bus_mastering_nothing_goes_out():
    assert with_msi(command=0).message(0) == (NO_MASTER, ADDRESS, 0x4150)
    assert with_msix(command=MEMORY).message(5) == (NO_MASTER, ADDRESS, 5)


def test_memory_decoding_does_not_matter_for_a_message():
    assert with_msix(command=MASTER).message(5) == (READY, ADDRESS, 5)


def test_a_masked_message_becomes_pending_and_the_unmasking_write_sends_it_once():
    device = with_msi()
    assert device.write(MSI_AT + 16, 4, 0b0110) == []
    assert [device.state(n) for n in range(4)] == [READY, MASKED, MASKED, READY]
    device.pend(1)
    device.pend(1)
    assert (device.pending(0), device.pending(1), device.read(MSI_AT + 20)) == (False, True, 0b10)
    assert device.write(MSI_AT + 16, 4, 0b0010) == []
    assert device.write(MSI_AT + 16, 4, 0) == [1]
    assert (device.pending(1), device.read(MSI_AT + 20)) == (False, 0)
    assert device.write(MSI_AT + 16, 4, 0) == []


def test_several_messages_unmasked_at_once_go_out_in_ascending_order():
    device = with_msi(wide=False)
    device.write(MSI_AT + 12, 4, 0xFF)
    for number in (6, 0, 3):
        device.pend(number)
    assert device.write(MSI_AT + 12, 1, 0b1000) == [0, 6]
    assert device.write(MSI_AT + 12, 1, 0) == [3]


def test_a_mask_bit_is_that_of_its_message():
    device, table = with_msi(count=4, enabled=2), with_msix(3)
    device.write(MSI_AT + 16, 4, 0b0100)
    table.table(1, 3, 1)
    assert [device.mask_bit(n) for n in range(4)] == [0, 0, 1, 0]
    assert [table.mask_bit(n) for n in range(4)] == [0, 1, 0, -1]


def test_where_there_is_no_mask_bit():
    table, plain = with_msix(3), Device(pin=1)
    table.write(4, 2, MASTER)
    plain.write(4, 2, 0xFFFF)
    assert [device.mask_bit(0) for device in (table, plain, with_msi(maskable=False))] == [-1, -1, -1]


def test_mask_bits_in_upper_bytes_mask_too():
    device = with_msi(count=32, enabled=5)
    device.write(MSI_AT + 19, 1, 0x80)
    assert [device.state(n) for n in (30, 31)] == [READY, MASKED]
    device.pend(31)
    assert device.write(MSI_AT + 19, 1, 0) == [31]


def test_pending_bits_of_messages_beyond_n_are_discarded():
    device = with_msi()
    device.write(MSI_AT + 16, 4, 0xFF)
    device.pend(1)
    device.pend(6)
    assert device.write(MSI_AT + 2, 2, MSI_CONTROL.make(enable=1, mme=1)) == []
    assert device.read(MSI_AT + 20) == 0b10
    assert device.write(MSI_AT + 2, 2, MSI_CONTROL.make(enable=1, mme=3)) == []
    assert device.write(MSI_AT + 16, 4, 0) == [1]


def test_what_is_pending_waits_while_msi_is_disabled():
    device = with_msi()
    device.write(MSI_AT + 16, 4, 1)
    device.pend(0)
    device.write(MSI_AT + 2, 2, MSI_CONTROL.make(mme=3))
    assert device.write(MSI_AT + 16, 4, 0) == []
    assert device.write(MSI_AT, 4, MSI_CONTROL.make(enable=1, mme=3) << 16) == [0]


def test_without_per_vector_masking_nothing_is_ever_masked_or_pending():
    device = with_msi(maskable=False)
    device.write(MSI_AT + 16, 4, 0xFFFFFFFF)
    device.pend(0)
    assert (device.state(0), device.pending(0), device.read(MSI_AT + 20)) == (READY, False, 0)


def test_a_message_beyond_n_leaves_no_pending_bit():
    device = with_msi(enabled=1)
    device.pend(2)
    assert (device.pending(2), device.read(MSI_AT + 20)) == (False, 0)


# --- MSI-X --------------------------------------------------------------------------------------------


def test_entries_are_independent_and_have_32_bits_of_data():
    device = with_msix()
    device.table(3, 1, 0x0000_0100)
    device.table(3, 2, 0xFFFF_FFFF)
    assert device.message(3) == (READY, 0x100 << 32 | ADDRESS, 0xFFFF_FFFF)
    assert device.message(4) == (READY, ADDRESS, 4)
    assert device.message(69) == (READY, ADDRESS, 69)
    assert device.message(70) == (OFF, 0, 0)


def test_after_reset_every_entry_is_masked():
    device = Device(msix_count=3)
    device.write(4, 2, MEMORY | MASTER)
    device.write(MSIX_AT + 2, 2, MSIX_CONTROL.make(enable=1))
    assert [device.state(n) for n in range(4)] == [MASKED, MASKED, MASKED, OFF]


def test_a_disabled_msix_sends_nothing():
    assert with_msix(control=0).message(0) == (OFF, 0, 0)


@pytest.mark.parametrize("number", [0, 63, 64, 69])
def test_a_masked_entry_becomes_pending_and_unmasking_sends_it_once(number):
    device = with_msix()
    assert device.table(number, 3, 1) == []
    assert device.state(number) == MASKED
    device.pend(number)
    assert device.pending(number)
    assert device.bits(8 * (number // 64)) == 1 << number % 64
    assert device.table(number, 3, 0) == [number]
    assert (device.pending(number), device.bits(8 * (number // 64))) == (False, 0)
    assert device.table(number, 3, 0) == []


def test_unmasking_by_an_8_byte_write_takes_the_data_first():
    device = with_msix()
    device.table(2, 3, 1)
    device.pend(2)
    assert device.table(2, 2, 0x77, 8) == [2]
    assert device.message(2) == (READY, ADDRESS, 0x77)


def test_the_function_mask_holds_every_entry_and_sends_them_when_it_falls():
    device = with_msix()
    assert device.write(MSIX_AT + 2, 2, MSIX_CONTROL.make(enable=1, mask=1)) == []
    assert {device.state(n) for n in range(70)} == {MASKED}
    for number in (65, 2, 40):
        device.pend(number)
    device.table(40, 3, 1)
    assert device.table(2, 3, 0) == []
    assert device.write(MSIX_AT + 2, 2, MSIX_CONTROL.make(enable=1, mask=1)) == []
    assert device.write(MSIX_AT + 2, 2, MSIX_CONTROL.make(enable=1)) == [2, 65]
    assert [device.pending(n) for n in (2, 40, 65)] == [False, True, False]
    assert device.write(MSIX_AT + 2, 2, MSIX_CONTROL.make(enable=1)) == []
    assert device.table(40, 3, 0) == [40]


@pytest.mark.parametrize("offset, width, value", [(2, 2, 0x8000), (3, 1, 0x80), (0, 4, 0x8000_0000)])
def test_the_function_mask_falls_by_a_write_of_any_width(offset, width, value):
    device = with_msix(control=MSIX_CONTROL.make(enable=1, mask=1))
    device.pend(9)
    assert device.write(MSIX_AT + offset, width, value) == [9]


def test_enabling_sends_what_stayed_pending():
    device = with_msix()
    device.table(1, 3, 1)
    device.pend(1)
    device.write(MSIX_AT + 2, 2, 0)
    assert device.table(1, 3, 0) == []
    assert device.write(MSIX_AT + 2, 2, MSIX_CONTROL.make(enable=1)) == [1]


def test_msix_is_used_where_both_are_enabled():
    device = Device(msi_count=1, msix_count=2)
    device.write(4, 2, MASTER | MEMORY)
    device.write(MSI_AT + 2, 2, MSI_CONTROL.make(enable=1))
    assert device.state(0) == READY
    device.write(MSIX_AT + 2, 2, MSIX_CONTROL.make(enable=1))
    assert [device.state(n) for n in range(3)] == [MASKED, MASKED, OFF]


def test_a_pending_bit_beyond_the_table_is_ignored():
    device = with_msix(count=64)
    device.pend(64)
    assert (device.pending(64), device.bits(), device.bits(8)) == (False, 0, 0)
    assert device.others() == device.neighbours
    device.pba[device.bus.pba_start(2)] = 1
    assert (device.pending(64), device.bits(8)) == (False, 0)


def test_the_table_reads_back_what_an_entry_keeps():
    device = with_msix(count=2)
    device.table(1, 0, 0xFFFF_FFFF_FFFF_FFFF, 8)
    device.table(1, 2, 0xFFFF_FFFF_FFFF_FFFF, 8)
    assert (device.entry(16), device.entry(20), device.entry(28)) == (0xFFFF_FFFC, 0xFFFF_FFFF, 1)
    assert device.entry(24, 8) == 0x1_FFFF_FFFF
    assert (device.entry(44), device.entry(40, 8)) == (0, 0)


def test_reading_pending_bits_changes_nothing():
    device = with_msix()
    device.table(33, 3, 1)
    device.pend(33)
    before = device.arrays()
    assert (device.bits(0), device.bits(0, 4), device.bits(4, 4), device.bits(16)) == (1 << 33, 0, 2, 0)
    assert device.arrays() == before


@pytest.mark.parametrize("offset, width", [(0, 1), (0, 2), (2, 4), (4, 8), (-4, 4), (0, 16), (0, 0)])
def test_table_accesses_that_do_not_fit_read_ones_and_write_nothing(offset, width):
    device = with_msix()
    before = device.arrays()
    ones = (1 << 8 * min(width, 8)) - 1
    assert device.entry(offset, width) == ones
    assert device.mmio(offset, width, 5) == []
    assert device.arrays() == before


@pytest.mark.parametrize("offset", [16 * 70, PBA_AT - 8, PBA_AT, 1 << 40])
def test_a_write_behind_the_table_changes_nothing(offset):
    device = with_msix()
    before = device.arrays()
    assert device.mmio(offset, 8, 0xFFFF_FFFF_FFFF_FFFF) == []
    assert device.arrays() == before


@pytest.mark.parametrize("command, moved", [(0, False), (MASTER, False), (MEMORY, True)])
def test_a_table_answers_only_where_its_bar_decodes(command, moved):
    device = with_msix()
    device.write(4, 2, command)
    if moved:
        device.write(0x10, 4, 0xD000_0000)
    before = device.arrays()
    assert not msi.decodes(device.bus, device.config, 1)
    assert (device.entry(0), device.bits(0)) == (0xFFFF_FFFF, (1 << 64) - 1)
    assert device.table(0, 2, 5) == []
    assert device.arrays() == before


def test_a_function_without_msix_decodes_nothing():
    device = with_msi(command=MEMORY | MASTER)
    assert not msi.decodes(device.bus, device.config, 1)


# --- INTx, callers ------------------------------------------------------------------------------------


def test_the_pin_may_be_used_until_something_forbids_it():
    device = Device(msi_count=1, msix_count=1, pin=1)
    assert device.intx()
    for offset, bits in ((4, INTX_OFF), (MSI_AT + 2, MSI_CONTROL.make(enable=1)),
                         (MSIX_AT + 2, MSIX_CONTROL.make(enable=1)), (MSIX_AT + 2, 0x8000 | FUNCTION_MASK)):
        device.write(offset, 2, bits)
        assert not device.intx()
        device.write(offset, 2, 0)
        assert device.intx()


@pytest.mark.parametrize("place, number", [
    (3, 0), (-1, 0), ("1", 0), (1, -1), (1, "0"), (1, None), (1, True)])
def test_a_caller_that_names_no_message_is_told(place, number):
    device = with_msi()
    for function in (lambda: msi.message(device.bus, device.config, device.msix, place, number),
                     lambda: msi.pend(device.bus, device.config, device.pba, place, number),
                     lambda: msi.pending(device.bus, device.config, device.pba, place, number)):
        with pytest.raises(ValueError, match=r"place is|number is"):
            function()


@pytest.mark.parametrize("place", [3, -1])
def test_a_caller_that_names_no_function_is_told(place):
    device = with_msi()
    bus, config, msix, pba = device.bus, device.config, device.msix, device.pba
    for function in (lambda: msi.config_read(config, place, 0, 4),
                     lambda: msi.config_write(bus, config, pba, msix, place, 0, 4, 0),
                     lambda: msi.table_read(bus, config, pba, msix, place, 0, 4),
                     lambda: msi.table_write(bus, config, pba, msix, place, 0, 4, 0),
                     lambda: msi.intx_allowed(bus, config, place)):
        with pytest.raises(ValueError, match="place is"):
            function()


def test_a_function_with_tph_keeps_its_steering_tags_in_vector_control():
    """PCIe 7.9.13: bits 31:16 as written, bits 15:1 read 0; no other function has them."""
    for steering, kept in ((False, 1), (True, 0xFFFF_0001)):
        device = Device(msix_count=2, steering=steering)
        device.write(4, 2, MEMORY)
        device.table(1, 3, 0xFFFF_FFFF)
        assert (device.entry(12), device.entry(28)) == (1, kept)
        device.table(1, 2, 0x1234_FFFE_0000_0005, 8)
        assert device.entry(24, 8) == (0x1234_0000_0000_0005 if steering else 5)
