"""Bits are declared once: what a layout refuses, and that every way of reading and writing it agrees."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.layouts import formats, registers
from vsim.layouts.bits import Access, Field, Layout, bdf_text, flag, get, parse_bdf, put, reserved
from vsim.layouts.formats import FRCD, IRTE, IRTE_POSTED, PID, REMAP_ADDRESS, RTE_REMAP

LAYOUTS = sorted({value for module in (formats, registers) for value in vars(module).values()
                  if isinstance(value, Layout)}, key=lambda layout: (layout.name, layout.width))
NARROW = [layout for layout in LAYOUTS if layout.width <= 64]
layouts = st.sampled_from(LAYOUTS)


def words(layout):
    return st.integers(0, (1 << layout.width) - 1)


# --- what is refused when a layout is made ---


@pytest.mark.parametrize("fields, says", [
    ((Field("low", 0, 4), Field("high", 3, 5)), "bad.high: bits 7:3 overlap another field"),
    ((Field("low", 0, 4), Field("high", 4, 5)), "bad.high: bits 8:4 leave the 8-bit word"),
    ((Field("low", 0, 4), Field("high", 5, 3)), "bad: bits 0x10 belong to no field"),
    ((Field("low", 0, 8), Field("far", 8, 1)), "bad.far: bits 8 leave the 8-bit word"),
    ((Field("low", 0, 4), Field("low", 4, 4)), "bad: a field name is used twice"),
    ((Field("low", 0, 7, more=((6, 2),)),), "bad.low: bits .* overlap"),
    ((Field("low", 0, 0), Field("rest", 0, 8)), "bad.low: .*width 0"),
    ((Field("low", -1, 9),), "bad.low: .*-1"),
    ((Field("text", 0, 8),), "bad.text: .*attribute"),
    ((), "bad: bits 0xff belong to no field"),
])
def test_a_layout_with_an_overlap_a_gap_or_a_stray_field_is_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        Layout("bad", 8, "example", *fields)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_layout_has_a_section_and_every_field_a_meaning(layout):
    assert layout.section
    assert [f.name for f in layout.fields if not f.doc and not f.names] == []


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_fields_of_a_layout_fill_its_word_exactly_once(layout):
    assert sum(f.mask for f in layout.fields) == (1 << layout.width) - 1
    assert sum(f.size for f in layout.fields) == layout.width


# --- get and put ---


@given(st.data())
def test_put_changes_its_field_and_nothing_else(data):
    layout = data.draw(layouts)
    word, place = data.draw(words(layout)), data.draw(st.sampled_from(layout.fields))
    new = data.draw(st.integers(0, place.limit))
    assert get(put(word, place, new), place) == new
    assert put(word, place, new) & ~place.mask == word & ~place.mask
    assert put(word, place, get(word, place)) == word


@given(st.data())
def test_put_takes_the_low_bits_of_a_value_that_is_too_big(data):
    layout = data.draw(layouts)
    place = data.draw(st.sampled_from(layout.fields))
    new = data.draw(st.integers(0, 1 << 600))
    assert put(0, place, new) == put(0, place, new & place.limit)


@given(st.data())
def test_arrays_and_ints_give_the_same_bits(data):
    layout = data.draw(st.sampled_from(NARROW))
    kind = numpy.dtype(f"u{max(1, layout.width // 8)}")
    place = data.draw(st.sampled_from(layout.fields))
    values = data.draw(st.lists(words(layout), min_size=1, max_size=5))
    news = data.draw(st.lists(st.integers(0, place.limit), min_size=len(values), max_size=len(values)))
    array, fresh = numpy.array(values, kind), numpy.array(news, kind)
    assert get(array, place).tolist() == [get(value, place) for value in values]
    assert put(array, place, fresh).tolist() == [put(v, place, n) for v, n in zip(values, news, strict=True)]
    assert put(array, place, news[0]).tolist() == [put(value, place, news[0]) for value in values]
    assert array.tolist() == values


@pytest.mark.parametrize("layout, name, word, value", [
    (REMAP_ADDRESS, "handle", 0x4, 0x8000), (REMAP_ADDRESS, "handle", 0x20, 1),
    (REMAP_ADDRESS, "handle", 0xFFFE4, 0xFFFF), (RTE_REMAP, "handle", 1 << 11, 0x8000),
    (RTE_REMAP, "handle", 1 << 49, 1), (IRTE_POSTED, "pda", 1 << 38, 1), (IRTE_POSTED, "pda", 1 << 96, 1 << 26),
    (IRTE_POSTED, "pda", 0xFFFFFFFF << 96 | 0xFFFFFFC0 << 32, (1 << 58) - 1),
])
def test_a_field_in_two_places_is_one_value(layout, name, word, value):
    place = getattr(layout, name)
    assert get(word, place) == value
    assert put(0, place, value) == word


def test_a_field_says_its_place_as_the_specification_does():
    assert (REMAP_ADDRESS.handle.bits, REMAP_ADDRESS.handle.size, REMAP_ADDRESS.handle.limit) == ("2, 19:5", 16, 0xFFFF)
    assert (IRTE.p.bits, IRTE.dst.bits) == ("0", "63:32")


# --- the text form ---


@given(st.data())
def test_the_text_form_parses_back(data):
    layout = data.draw(layouts)
    word = data.draw(words(layout))
    assert layout.parse(layout.text(word)) == word


@pytest.mark.parametrize("layout, text, word", [
    (IRTE, "p=1 vector=0x41 dst=0x100 sid=03:00.0 svt=1", 0x04_0300_0000_0100_0041_0001),
    (IRTE, "0", 0),
    (IRTE, "rsvd24=0x80", 0x80000000),
    (FRCD, "index=0x25 sid=03:00.0 reason=0x22 f=1", 0x8000002200000300_0025000000000000),
    (PID, "pir=0x" + "8" + 63 * "0" + " on=1 nv=0xf2 ndst=0x100", 0x100_00F2_0001 << 256 | 1 << 255),
])
def test_one_line_names_what_is_not_zero(layout, text, word):
    assert layout.parse(text) == word
    assert layout.text(word) == text


@pytest.mark.parametrize("text, word", [
    ("  sid=0x300   p=1 ", 0x0300 << 64 | 1), ("vector=65", 0x410000), ("vector=0X41", 0x410000),
    ("sid=ff:1f.7", 0xFFFF << 64), ("", 0), ("   ", 0), ("p=0", 0),
])
def test_values_are_decimal_hexadecimal_or_a_function(text, word):
    assert IRTE.parse(text) == word


@pytest.mark.parametrize("text, says", [
    ("p=1 vektor=3", "column 5: 'vektor=3': IRTE, remapped: no field 'vektor'; fields are p fpd dm"),
    ("p=2", "column 1: 'p=2': IRTE, remapped.p: 0x2 is over its limit 0x1"),
    ("  vector=0x100", "column 3: 'vector=0x100': .* over its limit 0xff"),
    ("p=1  vector=", "column 6: 'vector=': '' is not a number"),
    ("vector", "column 1: 'vector': '' is not a number"),
    ("p=-1", "column 1: .*'-1' is not a number"),
    ("p=0b1", "column 1: .*'0b1' is not a number"),
    ("sid=00:20.0", "column 1: .*device at most 1f"),
    ("p=1 vector=3 p=0", "column 14: 'p=0': .*twice"),
    ("p=__import__('os')", "column 1: .* is not a number"),
    (5000 * " " + "p=1", "5003 characters"),
    ("vector=0x" + 200 * "0", "is not a number"),
])
def test_a_mistake_in_the_text_names_its_column(text, says):
    with pytest.raises(ValueError, match=says):
        IRTE.parse(text)


@given(layouts, st.text(max_size=60))
def test_any_text_is_a_word_or_a_clear_error(layout, text):
    try:
        assert 0 <= layout.parse(text) < 1 << layout.width
    except ValueError as error:
        assert str(error).startswith("column ")


@given(st.integers(0, 0xFFFF))
def test_a_requester_id_reads_back(rid):
    assert parse_bdf(bdf_text(rid)) == rid


@pytest.mark.parametrize("text", ["", "3", "03:00", "03:20.0", "03:00.8", "003:00.0", "0g:00.0", "03:00.0 "])
def test_what_is_not_a_requester_id_is_refused(text):
    with pytest.raises(ValueError, match=r"is not bus:device\.function"):
        parse_bdf(text)


# --- the rest of what a declaration gives ---


EXAMPLE = Layout("example", 8, "here", Field("mode", 0, 2, "how", names={2: "fast"}), flag("on", 2, "on", reset=1),
                 flag("busy", 3, "at work", Access.RO), flag("error", 4, "went wrong", Access.W1C), reserved(5, 3))


def test_make_refuses_what_does_not_fit_and_names_the_limit():
    with pytest.raises(ValueError, match=r"example\.mode: 0x4 is over its limit 0x3"):
        EXAMPLE.make(mode=4)
    with pytest.raises(ValueError, match=r"example\.mode: -0x1 is over its limit 0x3"):
        EXAMPLE.make(mode=-1)
    with pytest.raises(ValueError, match="example: no field 'speed'; fields are mode on busy error"):
        EXAMPLE.make(speed=1)


def test_masks_follow_from_the_access_kinds():
    assert (EXAMPLE.writable, EXAMPLE.w1c, EXAMPLE.reserved, EXAMPLE.reset) == (0b111, 0b10000, 0b11100000, 0b100)
    assert EXAMPLE.reserved_set(0xBF) == 0b10100000


def test_split_names_every_field_that_is_not_reserved():
    assert EXAMPLE.split(0xFF) == {"mode": 3, "on": 1, "busy": 1, "error": 1}


def test_the_table_for_documentation_starts_at_the_highest_bit():
    assert EXAMPLE.rows() == [
        ("7:5", "rsvd5", "reserved, 0", "", "reserved"), ("4", "error", "write 1 to clear", "", "went wrong"),
        ("3", "busy", "read-only", "", "at work"), ("2", "on", "read-write", "", "on"),
        ("1:0", "mode", "read-write", "0x2 fast", "how")]


def test_a_field_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="example has no field 'speed'"):
        _ = EXAMPLE.speed
