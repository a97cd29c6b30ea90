"""Who the PCI functions are: requester ids, aliases, INTx routing, where the tables are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.layouts.bits import parse_bdf
from vsim.state.pci import MMIO_END, MMIO_START, Bridge, Bus, Function


def at(bdf, **facts):
    return Function(parse_bdf(bdf), **facts)


def bridge(bdf, kind, secondary, subordinate=None):
    return at(bdf, bridge=Bridge(kind, secondary, subordinate or secondary))


BELOW_PORT = (bridge("00:1c.0", "pcie", 3), at("03:00.0", pin=1))
BELOW_PCIE_TO_PCI = (bridge("00:1c.0", "pcie", 3, 4), bridge("03:00.0", "pcie-to-pci", 4),
                     at("04:05.0", pin=1))
BELOW_PCI = (bridge("00:1e.0", "pci", 5), at("05:02.0", pin=3))
PCI_BELOW_PCI = (bridge("00:1e.0", "pci", 5, 6), bridge("05:01.0", "pci", 6), at("06:07.0", pin=2))
PCI_BELOW_PCIE_TO_PCI = (bridge("00:1c.0", "pcie", 3, 5), bridge("03:00.0", "pcie-to-pci", 4, 5),
                         bridge("04:01.0", "pci", 5), at("05:02.0", pin=4))
PROXY = (at("00:1c.0", bridge=Bridge("pcie", 3, 3)), at("03:00.0", aliases=(0x301, 0x302)))
ONE_ALIAS = (at("00:02.0", aliases=(0x11,)),)
ALIAS_BELOW_PCI = (bridge("00:1e.0", "pci", 5), at("05:02.0", aliases=(0x511,)))


@pytest.mark.parametrize("functions, requester, check", [
    ((at("00:02.0"),), "00:02.0", (1, 0, 0x0010)),
    (BELOW_PORT, "03:00.0", (1, 0, 0x0300)),
    (BELOW_PCIE_TO_PCI, "04:00.0", (2, 0, 0x0404)),
    (PCI_BELOW_PCIE_TO_PCI, "04:00.0", (2, 0, 0x0405)),
    (PROXY, "03:00.0", (2, 0, 0x0303)),
    (ONE_ALIAS, "00:02.0", (2, 0, 0x0000)),
    (BELOW_PCI, "00:1e.0", (1, 0, 0x00F0)),
    (PCI_BELOW_PCI, "00:1e.0", (1, 0, 0x00F0)),
    (ALIAS_BELOW_PCI, "00:1e.0", (1, 0, 0x00F0)),
])
def test_the_topmost_alias_goes_out_and_linux_allows_it(functions, requester, check):
    bus, bdf = Bus(functions), functions[-1].bdf
    assert bus.requester(bdf) == parse_bdf(requester)
    assert bus.source_check(bdf) == check


def test_a_bridge_sends_its_own_messages_under_its_own_id():
    bus = Bus(BELOW_PCIE_TO_PCI)
    assert bus.requester(0x0300) == 0x0300
    assert bus.source_check(0x0300) == (1, 0, 0x0300)


def test_a_requester_that_is_no_function_is_itself():
    bus = Bus(BELOW_PORT)
    assert (bus.place(0x0408), bus.requester(0x0408), bus.gsi(0x0408)) == (-1, 0x0408, -1)
    assert bus.source_check(0x0408) == (1, 0, 0x0408)


def test_a_bus_inside_a_bridges_range_is_below_that_bridge():
    bus = Bus((bridge("00:1e.0", "pci", 5, 9), bridge("05:01.0", "pcie", 6, 7), at("07:00.0"), at("09:00.0")))
    assert [f.bdf for f in bus.bridges_above(0x0700)] == [0x0508, 0x00F0]
    assert [f.bdf for f in bus.bridges_above(0x0900)] == [0x00F0]


@pytest.mark.parametrize("functions", [PCI_BELOW_PCI, PCI_BELOW_PCI[::-1]])
def test_the_order_of_functions_does_not_move_them(functions):
    assert [f.bdf for f in Bus(functions).bridges_above(0x0638)] == [0x0508, 0x00F0]


@pytest.mark.parametrize("device, pin, gsi", [
    (0, 0, 16), (1, 0, 20), (2, 3, 27), (8, 0, 17), (16, 1, 19), (31, 3, 18)])
def test_a_pin_on_bus_0_reaches_xens_gsi(device, pin, gsi):
    assert Bus([Function(device << 3, pin=pin + 1)]).gsi(device << 3) == gsi


@pytest.mark.parametrize("functions, gsi", [
    (BELOW_PORT, (0x1C * 4 + 0x1C // 8 + 0 & 31) + 16),                 # A, device 0: stays A
    (BELOW_PCI, (0x1E * 4 + 0x1E // 8 + (2 + 2) % 4 & 31) + 16),        # C, device 2: A
    (PCI_BELOW_PCI, (0x1E * 4 + 0x1E // 8 + (1 + 7 + 1) % 4 & 31) + 16),
    (BELOW_PCIE_TO_PCI, (0x1C * 4 + 0x1C // 8 + (0 + 5 + 0) % 4 & 31) + 16),
    (PCI_BELOW_PCIE_TO_PCI, (0x1C * 4 + 0x1C // 8 + (3 + 2 + 1 + 0) % 4 & 31) + 16),
])
def test_each_bridge_turns_the_pin_by_the_device_below_it(functions, gsi):
    assert Bus(functions).gsi(functions[-1].bdf) == gsi


def test_a_function_without_a_pin_has_no_gsi():
    assert Bus([at("00:02.0")]).gsi(0x10) == -1


@given(st.integers(0, 31), st.integers(1, 4))
def test_gsis_of_pci_are_16_to_47(device, pin):
    assert 16 <= Bus([Function(device << 3, pin=pin)]).gsi(device << 3) <= 47


@pytest.mark.parametrize("build, words", [
    (lambda: Function(0x10000), "bdf is 65536"),
    (lambda: Function(-1), "bdf is -1"),
    (lambda: Function(8, msi_count=3), "power of two"),
    (lambda: Function(8, msi_count=64), "msi_count is 64; the limit is 0 to 32"),
    (lambda: Function(8, msix_count=2049), "msix_count is 2049"),
    (lambda: Function(8, pin=5), "pin is 5"),
    (lambda: Function(8, name="x" * 65), "65 characters"),
    (lambda: Function(8, aliases=(0x100,)), "alias 0x100"),
    (lambda: Function(8, aliases=(8,)), "alias 0x8"),
    (lambda: Bridge("isa", 1, 1), "'isa'"),
    (lambda: Bridge("pci", 3, 2), "3 to 2"),
    (lambda: Bridge("pci", 0, 2), "0 to 2"),
    (lambda: Bridge("pci", 1, 256), "1 to 256"),
    (lambda: bridge("03:00.0", "pci", 3), "secondary bus 3"),
    (lambda: Bus([at("00:02.0"), at("00:03.0"), at("00:02.0")]), "00:02.0 occurs twice"),
    (lambda: Bus([bridge("00:01.0", "pci", 2), bridge("00:02.0", "pcie", 2)]), "two bridges"),
    (lambda: Bus(Function(bdf, msix_count=2048) for bdf in range(8000)), "MSI-X tables end at"),
])
def test_what_cannot_be_built_says_why(build, words):
    with pytest.raises(ValueError, match=words):
        build()


# --- arrays and addresses -----------------------------------------------------------------------------

MIXED = Bus([at("00:02.0", msix_count=65), at("00:03.0", msi_count=32), at("00:04.0", msix_count=2048),
             at("00:04.1", msix_count=1, msi_count=2)])


def test_the_arrays_have_room_for_every_function_entry_and_pending_bit():
    config, msix, pba = MIXED.reset()
    assert len(config) == 4 * 256
    assert len(msix) == 4 * (65 + 2048 + 1)
    assert len(pba) == 2 + 32 + 1
    assert [MIXED.msix_start(n) for n in range(4)] == [0, 65, 65, 2113]
    assert [MIXED.pba_start(n) for n in range(4)] == [0, 2, 2, 34]


def test_after_reset_every_entry_is_masked_and_everything_else_is_off():
    config, msix, pba = MIXED.reset()
    assert set(msix[3::4]) == {1}
    assert not any(msix[0::4]) and not any(msix[1::4]) and not any(msix[2::4]) and not any(pba)
    assert [config[256 * n + 4:256 * n + 6].tolist() for n in range(4)] == [[0, 0]] * 4


def test_arrays_of_a_reset_are_independent():
    first, again = MIXED.reset(), MIXED.reset()
    assert first == again
    first[0][4] = 1
    assert MIXED.reset()[0] == again[0] != first[0]


def test_bars_are_aligned_to_their_size_and_do_not_meet():
    assert [MIXED.bar(n) for n in range(4)] == [0xE0000000, 0, 0xE0010000, 0xE0020000]


@pytest.mark.parametrize("address, found", [
    (0xE0000000, (0, 0, False)),
    (0xE0000FFF, (0, 0xFFF, False)),
    (0xE0001000, (0, 0, True)),
    (0xE0001FFF, (0, 0xFFF, True)),
    (0xE0002000, None),
    (0xE000FFFF, None),
    (0xE0010000, (2, 0, False)),
    (0xE0017FFF, (2, 0x7FFF, False)),
    (0xE0018008, (2, 8, True)),
    (0xE0021000, (3, 0, True)),
    (0xE0022000, None),
    (0xDFFFFFFF, None),
    (0xFEE00000, None),
    (0, None),
    (-1, None),
    (1 << 64, None),
])
def test_an_address_belongs_to_one_table_or_to_none(address, found):
    assert MIXED.table_at(address) == found


@given(st.lists(st.integers(0, 2048), max_size=12))
def test_every_table_lies_in_the_window_and_finds_itself(counts):
    bus = Bus(Function(bdf, msix_count=count) for bdf, count in enumerate(counts))
    for place, count in enumerate(counts):
        if count:
            base = bus.bar(place)
            assert MMIO_START <= base < MMIO_END
            assert bus.table_at(base + 16 * count - 1) == (place, 16 * count - 1, False)


def test_a_bus_without_functions_has_nothing():
    bus = Bus(())
    assert [len(values) for values in bus.reset()] == [0, 0, 0]
    assert bus.place(0) == -1 and bus.table_at(MMIO_START) is None
    with pytest.raises(ValueError, match="there are 0 functions"):
        bus.check(0)


@pytest.mark.parametrize("place", [-1, 4, "0", None, 0.0, True])
def test_a_place_that_is_no_index_is_refused(place):
    with pytest.raises(ValueError, match="place is"):
        MIXED.check(place)


# --- JSON ---------------------------------------------------------------------------------------------

FUNCTIONS = st.builds(
    Function, st.integers(0, 0xFFFF), st.text(max_size=9), st.booleans(),
    st.sampled_from([0, 1, 2, 4, 8, 16, 32]), st.booleans(), st.booleans(),
    st.integers(0, 2048), st.integers(0, 4), st.none(), st.booleans())


@given(st.lists(FUNCTIONS, max_size=6, unique_by=lambda f: f.bdf))
def test_a_bus_comes_back_from_json(functions):
    bus = Bus(functions)
    assert Bus.from_list(json.loads(json.dumps(bus.to_list()))) == bus


@pytest.mark.parametrize("functions", [PCI_BELOW_PCIE_TO_PCI, PROXY])
def test_bridges_and_aliases_come_back_from_json(functions):
    assert Bus.from_list(json.loads(json.dumps(Bus(functions).to_list()))).functions == functions


def test_fields_with_a_default_may_be_missing():
    assert Bus.from_list([{"bdf": 8}]) == Bus([Function(8)]) != Bus([Function(9)])


@pytest.mark.parametrize("data, words", [
    ({}, "expected a list"),
    (None, "expected a list"),
    ([7], "function 0: '7' is not an object"),
    ([{"bdf": 8}, {}], "function 1: bdf is missing"),
    ([{"bdf": "8"}], "bdf is '8'; expected int"),
    ([{"bdf": True}], "bdf is 'True'; expected int"),
    ([{"bdf": 8, "pin": 1.0}], "pin is '1.0'"),
    ([{"bdf": 8, "pin": 9}], "pin is 9"),
    ([{"bdf": 8, "passthrough": 1}], "passthrough is '1'; expected bool"),
    ([{"bdf": 8, "name": None}], "name is 'None'; expected str"),
    ([{"bdf": 8, "colour": 1}], "no field 'colour'"),
    ([{"bdf": 8, "bridge": 3}], "'3' is not an object"),
    ([{"bdf": 8, "bridge": {"kind": "pci", "secondary": 3}}], "subordinate is missing"),
    ([{"bdf": 8, "bridge": {"kind": "pci", "secondary": 3, "subordinate": 3, "x": 1}}], "no field 'x'"),
    ([{"bdf": 8, "aliases": 3}], "aliases: expected a list"),
    ([{"bdf": 8, "aliases": [None]}], "aliases: expected a list"),
    ([{"bdf": 8}, {"bdf": 8}], "00:01.0 occurs twice"),
])
def test_json_that_is_no_bus_says_where(data, words):
    with pytest.raises(ValueError, match=words):
        Bus.from_list(data)
