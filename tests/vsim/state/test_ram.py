"""Guest memory: sparse pages shared between snapshots until written, with a hole for devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.state.ram import HOLE, HOLE_END, Ram

SMALL = 0x8000
BIG = HOLE + 0x4000       # memory goes on above 4 GiB


@pytest.mark.parametrize("size", [0, -4096, 1, 4095, 4097, (1 << 52) + 4096])
def test_a_size_that_is_no_number_of_pages_is_refused(size):
    with pytest.raises(ValueError, match="is not a multiple of 0x1000"):
        Ram(size)


@pytest.mark.parametrize("size, address, length, there", [
    (SMALL, 0, 1, True), (SMALL, 0, SMALL, True), (SMALL, 0, SMALL + 1, False), (SMALL, SMALL - 1, 1, True),
    (SMALL, SMALL, 1, False), (SMALL, HOLE_END, 1, False), (SMALL, -1, 1, False), (SMALL, -1, 2, False),
    (BIG, HOLE - 1, 1, True), (BIG, HOLE, 1, False), (BIG, HOLE - 1, 2, False), (BIG, HOLE_END - 1, 1, False),
    (BIG, HOLE_END - 1, 2, False), (BIG, HOLE_END, 0x4000, True), (BIG, HOLE_END, 0x4001, False),
    (BIG, 1 << 63, 1, False), (HOLE, HOLE_END, 1, False), (HOLE, HOLE - 1, 1, True),
])
def test_memory_leaves_out_the_hole_below_4_gib(size, address, length, there):
    ram = Ram(size)
    assert ram.holds(address, length) == there
    assert (ram.read(address, length) is not None) == (there and length <= 1 << 20)
    assert ram.write(address, bytes(length)) == there


def test_memory_is_zero_at_first_and_reading_keeps_no_page():
    ram = Ram(SMALL)
    assert (ram.read(0, SMALL), ram.word(4), ram.words4(16)) == (bytes(SMALL), 0, (0, 0, 0, 0))
    assert ram.pages == {}


def test_words_are_little_endian():
    ram = Ram(SMALL)
    ram.write(0xFF0, bytes(range(16)))
    assert ram.word(0xFF4) == 0x07060504
    assert ram.words4(0xFF0) == (0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C)
    ram.write_word(0xFF8, 0x1_DEADBEEF)
    assert ram.read(0xFF7, 6) == bytes([7, 0xEF, 0xBE, 0xAD, 0xDE, 12])


def test_bytes_cross_pages():
    ram = Ram(SMALL)
    data = bytes(n % 251 for n in range(3 * 4096))
    assert ram.write(0x7FF, data)
    assert ram.read(0x7FF, len(data)) == data
    assert sorted(ram.pages) == [0, 1, 2, 3]


@pytest.mark.parametrize("address, data", [(SMALL - 1, b"ab"), (HOLE, b"a"), (SMALL, b"")])
def test_a_write_outside_changes_nothing(address, data):
    ram = Ram(SMALL)
    assert not ram.write(address, data) or not data
    assert not ram.write_word(SMALL, 1)
    assert ram == Ram(SMALL)


@pytest.mark.parametrize("length", [-1, (1 << 20) + 1])
def test_a_read_has_a_bounded_size(length):
    assert Ram(1 << 30).read(0, length) is None


def test_copies_share_pages_until_one_of_them_writes():
    ram = Ram(SMALL)
    ram.write(0, b"one")
    ram.write(4096, b"two")
    other = ram.copy()
    assert other == ram and other.pages[0] is ram.pages[0]
    ram.write(0, b"ONE")
    assert (other.read(0, 3), ram.read(0, 3)) == (b"one", b"ONE")
    assert other.pages[1] is ram.pages[1]
    other.write_word(4096, 0)
    assert ram.read(4096, 3) == b"two"


def test_copies_of_copies_are_independent():
    first = Ram(SMALL)
    first.write_word(0, 1)
    second = first.copy()
    third = second.copy()
    for number, ram in enumerate((first, second, third), 10):
        ram.write_word(0, number)
    assert [ram.word(0) for ram in (first, second, third)] == [10, 11, 12]


def test_equality_looks_at_contents_not_at_pages():
    ram, other = Ram(SMALL), Ram(SMALL)
    ram.write(0, bytes(16))
    assert ram == other and ram.used() == {}
    ram.write_word(8, 1)
    assert ram != other and list(ram.used()) == [0]
    assert Ram(SMALL) != Ram(2 * SMALL)
    assert Ram(SMALL) != b""


WRITES = st.lists(st.tuples(st.integers(-8, SMALL + 8), st.binary(max_size=40)), max_size=15)


@given(WRITES, st.integers(0, 15))
def test_memory_behaves_as_one_array_of_bytes_and_snapshots_stay(writes, at):
    ram, model = Ram(SMALL), bytearray(SMALL)
    snapshot, then = ram.copy(), bytes(model)
    for number, (address, data) in enumerate(writes):
        if number == at:
            snapshot, then = ram.copy(), bytes(model)
        inside = address >= 0 and address + len(data) <= SMALL
        assert ram.write(address, data) == inside
        if inside:
            model[address:address + len(data)] = data
    assert ram.read(0, SMALL) == bytes(model)
    assert snapshot.read(0, SMALL) == then
