"""The editor of a layout: every control changes the word, the word changes every control, mistakes are told there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.layouts.bits import Access, Field, Layout, flag, reserved
from vsim.layouts.formats import FRCD, IRTE
from vsim.layouts.registers import FSTS, GCMD, GSTS, ICS
from widgets.editors.fields import Fields, announce, legend, parse_number, whole_text
from widgets.editors.strip import strip

ENTRY = IRTE.make(p=1, vector=0x31, dst=4, sid=0x0300, svt=1)
SHAPES = [IRTE, FRCD, FSTS, GCMD]


@pytest.fixture
def editor():
    made = Fields(IRTE, ENTRY)
    yield made
    made.close()


def shown(editor):
    """The word as each of the four views of it says."""
    return (editor.value, int(editor.whole.value.replace("_", ""), 16), editor.layout_of_bits.parse(editor.line.value),
            int(editor.strip.word, 16))


@pytest.mark.parametrize(
    "control, typed, field, value",
    [
        ("p", False, "p", 0),
        ("vector", "0x41", "vector", 0x41),
        ("vector", "65", "vector", 0x41),
        ("dst", "0x1_0000", "dst", 0x10000),
        ("sid", "00:04.0", "sid", 0x20),
        ("svt", 2, "svt", 2),
        ("tm", 1, "tm", 1),
    ],
)
def test_a_control_changes_its_field_and_nothing_else(editor, control, typed, field, value):
    editor.controls[control].value = typed
    assert IRTE.split(editor.value) == IRTE.split(ENTRY) | {field: value}
    assert shown(editor) == (editor.value,) * 4


@pytest.mark.parametrize(
    "box, typed, value",
    [
        ("whole", "0x31", 0x31),
        ("whole", "31", 0x31),
        ("whole", "00000001_00410001", 0x100410001),
        ("line", "p=1 vector=0x41 sid=03:00.0", IRTE.make(p=1, vector=0x41, sid=0x300)),
        ("line", "0", 0),
    ],
)
def test_the_whole_word_can_be_typed(editor, box, typed, value):
    getattr(editor, box).value = typed
    assert shown(editor) == (value,) * 4
    assert editor.controls["vector"].value == IRTE_TEXT(value)


def IRTE_TEXT(word):
    vector = word >> 16 & 0xFF
    return str(vector) if vector < 10 else f"{vector:#x}"


@pytest.mark.parametrize(
    "control, typed, said",
    [
        ("vector", "0x100", "vector: 0x100 is over its limit 0xff"),
        ("vector", "forty", "'forty' is not a number"),
        ("vector", "-1", "'-1' is not a number"),
        ("vector", "", "'' is not a number"),
        ("sid", "03:20.0", "'03:20.0' is not a number"),
        ("dst", "9" * 400, "is not a number"),
        ("vector", "<img src=x onerror=alert(1)>", "&lt;img src=x"),
        ("vector", "__import__('os')", "is not a number"),
    ],
)
def test_a_mistake_is_told_at_the_control_and_the_word_stays(editor, control, typed, said):
    box = editor.controls[control]
    box.value = typed
    assert editor.value == ENTRY
    assert said in editor.problem.value.replace("&#x27;", "'")
    assert "<img" not in editor.problem.value
    assert "vsim-wrong" in box._dom_classes
    box.value = "0x42" if control != "sid" else "04:00.0"
    assert editor.problem.value == ""
    assert "vsim-wrong" not in box._dom_classes


@pytest.mark.parametrize("box, typed, said", [
    ("whole", "0x" + "f" * 33, "over its limit"), ("whole", "zz", "is not a number"),
    ("line", "vector=300", "over its limit"), ("line", "colour=1", "no field"), ("line", "p", "is not a number")])
def test_a_mistake_in_the_whole_word_is_told_too(editor, box, typed, said):
    getattr(editor, box).value = typed
    assert editor.value == ENTRY
    assert said in editor.problem.value


@pytest.mark.parametrize("value", [-1, 1 << 128])
def test_a_value_that_does_not_fit_is_the_callers_mistake(editor, value):
    with pytest.raises(ValueError, match="limit is 0xffff"):
        editor.value = value
    assert editor.value == ENTRY


@given(word=st.integers(0, (1 << 128) - 1))
def test_every_word_is_shown_whole_by_every_view(word):
    editor = Fields(IRTE)
    editor.value = word
    assert shown(editor) == (word,) * 4
    editor.close()


@given(bit=st.integers(0, 127))
def test_flipping_a_bit_twice_changes_nothing(bit):
    editor = Fields(IRTE, ENTRY)
    editor.flip(bit)
    assert editor.value == ENTRY ^ 1 << bit
    editor.flip(bit)
    assert editor.value == ENTRY
    editor.close()


@pytest.mark.parametrize("message", [{"flip": 128}, {"flip": -1}, {"flip": "0"}, {"flip": True}, {}, None, [1]])
def test_a_message_that_names_no_bit_changes_nothing(editor, message):
    editor.strip._handle_custom_msg(message, [])
    assert editor.value == ENTRY


def test_a_message_of_the_page_flips_a_bit(editor):
    editor.strip._handle_custom_msg({"flip": 0}, [])
    assert editor.value == ENTRY ^ 1


def test_one_change_is_one_event(editor):
    """No control answers to what the editor itself shows."""
    seen = []
    editor.observe(lambda change: seen.append(change["new"]), "value")
    editor.controls["vector"].value = "0x41"
    editor.controls["p"].value = False
    assert len(seen) == 2


def test_reserved_bits_are_marked_and_told(editor):
    editor.flip(13)
    assert int(editor.strip.word, 16) == ENTRY | 1 << 13
    assert "vsim-bit on rsvd" in strip(IRTE, 1 << 13)
    assert "Reserved bits are set: 0x2000" in editor.effects.value


def test_a_locked_editor_has_no_control_that_acts():
    editor = Fields(GSTS, 0, locked=True)
    assert all(control.disabled for control in (editor.whole, editor.line, *editor.controls.values()))
    assert "<button" not in editor.strip.html
    editor.flip(25)
    assert editor.value == 0
    editor.close()


@pytest.mark.parametrize(
    "layout, stored, new, said",
    [
        (GCMD, 0, GCMD.make(ire=1), ["ire: write-only; 1 is written, and a read shows 0."]),
        (FSTS, FSTS.make(pfo=1), FSTS.make(pfo=1), ["pfo: writing 1 clears it; it becomes 0."]),
        (FSTS, 0, FSTS.make(pfo=1), ["pfo: writing 1 clears it, and it is 0 already."]),
        (FSTS, FSTS.make(pfo=1), 0, ["pfo: 0 is written and leaves it 1."]),
        (FSTS, FSTS.make(ppf=1), 0, ["ppf: read-only; it stays 1, 0 is ignored."]),
        (IRTE, 0, IRTE.make(vector=0x31), ["vector: 0 becomes 0x31."]),
        (IRTE, 0, 1 << 15 | 1 << 12, ["Reserved bits 14:12 are written as 0x1; they must be 0.", "im: 0 becomes 1."]),
        (ICS, 0, 0, ["The write changes nothing."]),
    ],
)
def test_what_a_write_will_do_is_said_before(layout, stored, new, said):
    assert [sentence for sentence, _ in announce(layout, stored, new)] == said
    editor = Fields(layout, new, stored)
    assert all(sentence in editor.effects.value for sentence in said)
    editor.close()


def test_a_read_only_field_has_a_control_that_cannot_be_changed():
    editor = Fields(FSTS, 0, 0)
    assert {name for name, control in editor.controls.items() if control.disabled} == {"fri", "ppf"}
    editor.close()


@pytest.mark.parametrize("layout", SHAPES, ids=lambda layout: layout.name)
def test_every_control_has_a_label_and_a_meaning(layout):
    editor = Fields(layout)
    for place in layout:
        control = editor.controls[place.name]
        assert control.description == f"{place.name} [{place.bits}]"
        assert place.doc in control.tooltip
        assert layout.section in control.tooltip
    editor.close()


# --- the drawing ---

MARKUP = Layout("<b>", 8, "<i>", Field("low", 0, 4, '<script>"'), flag("x", 4, "&"), reserved(5, 3))


def test_names_and_meanings_reach_the_page_as_text():
    drawn = strip(MARKUP, 0x10) + legend(MARKUP)
    assert "<b>:" not in drawn and "<script>" not in drawn and "&lt;script&gt;&quot;" in drawn


@pytest.mark.parametrize("layout", [*SHAPES, MARKUP], ids=lambda layout: layout.name)
@pytest.mark.parametrize("editable", [False, True])
def test_the_strip_has_every_bit_once(layout, editable):
    drawn = strip(layout, 0, editable=editable)
    assert drawn.count('class="vsim-bit') == layout.width
    assert drawn.count("vsim-bit rsvd") == layout.reserved.bit_count()
    assert drawn.count("data-bit=") == layout.width
    assert drawn.count("<button") == (layout.width if editable else 0)
    assert drawn.count('tabindex="0"') == int(editable)


def test_bits_that_differ_are_marked():
    assert strip(IRTE, ENTRY, ENTRY ^ 0x10001).count(" diff") == 2


def test_the_legend_lists_every_field():
    drawn = legend(FRCD)
    assert all(f"<td>{place.name}</td>" in drawn for place in FRCD.fields)
    assert any(place.access is Access.W1C for place in FRCD.fields) and "write 1 to clear" in drawn


@pytest.mark.parametrize("word, text", [(0, "0x0000_00000000"), (0x1_2345_6789, "0x0001_23456789")])
def test_the_whole_word_has_all_its_digits_in_groups(word, text):
    assert whole_text(Layout("forty-eight bits", 48, "", Field("all", 0, 48)), word) == text


@pytest.mark.parametrize("text, number", [("26", 26), (" 0x1A ", 26), ("0x1_0000", 0x10000), ("03:00.1", 0x301)])
def test_a_number_is_read_as_it_is_written(text, number):
    assert parse_number(text, 0xFFFFF, "it") == number
