"""The syntax of xl.cfg: what is a value, and where a mistake is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.readers.source import Source, TextError
from vsim.readers.xlu import ESCAPES, MAX_NESTING, Setting, Value, settings


def read(text: str) -> dict[str, Setting]:
    return settings(Source(text, "f", TextError, 1 << 20))


def plain(value: Value) -> object:
    """A value without its place: a list, a text, or ("number", digits)."""
    if value.kind == "list":
        return [plain(item) for item in value.items]
    return value.text if value.kind == "text" else (value.kind, value.text)


def values(text: str) -> dict[str, object]:
    return {key: plain(setting.value) for key, setting in read(text).items()}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        ("\n ; ;; \n\t# only a comment", {}),
        ("a=1", {"a": ("number", "1")}),
        ("a = 0x1f # sixteen and more\nb_2=017", {"a": ("number", "0x1f"), "b_2": ("number", "017")}),
        ("a='x';b=\"y\"", {"a": "x", "b": "y"}),
        ("a='# ; no comment'", {"a": "# ; no comment"}),
        ("a=[]", {"a": []}),
        ("a=['x',]", {"a": ["x"]}),
        ("a = [ 'x' , # first\n\n 'y'\n , 3 ]\n", {"a": ["x", "y", ("number", "3")]}),
        ("a=[['x','y'],[],['z',]]", {"a": [["x", "y"], [], ["z"]]}),
        ("a='x\\\ny'\nb=2", {"a": "xy", "b": ("number", "2")}),
        ("a=1\r\nb='x'\r\n", {"a": ("number", "1"), "b": "x"}),
    ],
)
def test_values(text, expected):
    assert values(text) == expected


@pytest.mark.parametrize(
    "written, meant",
    [
        (r"\'\"\\", "'\"\\"),
        (r"\a\b\f\n\r\t\v", "\a\b\f\n\r\t\v"),
        (r"\x41\x7e", "A~"),
        (r"\101\60\0", "A0\0"),
        (r"\18", "\x018"),
        (r"\777", "?7"),
    ],
)
@pytest.mark.parametrize("quote", "'\"")
def test_escapes(written, meant, quote):
    assert values(f"a={quote}{written}{quote}") == {"a": meant}


@given(st.text(), st.sampled_from("'\""))
def test_a_text_that_is_quoted_reads_back(text, quote):
    escape = {value: "\\" + key for key, value in ESCAPES.items()}
    quoted = quote + "".join(escape.get(character, character) for character in text) + quote
    assert values(f"a={quoted}") == {"a": text}


tree = st.recursive(st.text("ab,]#;"), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(st.lists(tree, max_size=5))
def test_a_list_reads_back_however_it_is_nested(items):
    assert values(f"a={items!r}") == {"a": items}


@pytest.mark.parametrize(
    "text, expected, repeats",
    [
        ("a=1;a=2", ("number", "2"), 1),
        ("a=1;a='x';a=[3]", [("number", "3")], 2),
        ("a='x';a+='y';a+='z'", "xyz", 0),
        ("a=['x'];a+=['y','z'];a+=[]", ["x", "y", "z"], 0),
        ("a+=['x']", ["x"], 0),
        ("a='x';a+='y';a='z'", "z", 1),
    ],
)
def test_the_last_setting_counts_and_additions_join(text, expected, repeats):
    setting = read(text)["a"]
    assert (plain(setting.value), setting.repeats) == (expected, repeats)


@pytest.mark.parametrize(
    "text, message",
    [
        ("vcpus", "1:6: found the end of the file; allowed: = or += after 'vcpus'"),
        ("a=\nb=1", "1:3: found the end of the line; allowed: a text in quotes, a number or a list [ ... ]"),
        ("a=1\n  b=2 c=3", "2:7: found 'c'; allowed: a new line or ; after a value"),
        ("a=b", "1:3: found 'b'; allowed: a text in quotes, a number or a list [ ... ]"),
        ("='x'", "1:1: found '='; allowed: KEY = VALUE"),
        ("a=['x' 'y']", "1:8: found 'y'; allowed: a comma or ] after an entry"),
        ("a=['x',,]", "1:8: found ','; allowed: a text in quotes, a number or a list [ ... ]"),
        ("a=['x'\n", "2:1: found the end of the file; allowed: a comma or ] after an entry"),
        ("a=1\nb='x\n'", "2:3: found no closing '; allowed: a text in quotes, on one line"),
        ('a="\\', '1:3: found no closing "; allowed: a text in quotes, on one line'),
        ("a=-1", "1:3: found '-'; allowed: KEY = VALUE with KEY in small letters, texts in quotes,"
                 " numbers, lists"),
        ("Vcpus=1", "1:1: found 'V'; allowed: KEY = VALUE with KEY in small letters, texts in quotes,"
                    " numbers, lists"),
        ("a='\\q'", "1:4: found '\\\\q'; allowed: \\a \\b \\f \\n \\r \\t \\v \\\\ \\\" \\' \\xHH \\OOO"),
        ("a='x\\x4'", "1:5: found '\\\\x'; allowed: \\a \\b \\f \\n \\r \\t \\v \\\\ \\\" \\' \\xHH \\OOO"),
        ("a='x'\na+=['y']", "2:4: found a += a list where it is a text; allowed: a text to a text,"
                            " a list to a list"),
        ("a=1;a+=2", "1:8: found a += a number where it is a number; allowed: a text to a text,"
                     " a list to a list"),
    ],
)  # fmt: skip
def test_a_mistake_says_where_it_is_what_was_found_and_what_is_allowed(text, message):
    with pytest.raises(TextError) as caught:
        read(text)
    assert str(caught.value) == f"f:{message}"


def test_lists_nest_up_to_a_limit():
    assert values("a=" + "[" * MAX_NESTING + "]" * MAX_NESTING)
    with pytest.raises(TextError, match=f"found a list {MAX_NESTING + 1} deep; allowed: {MAX_NESTING}"):
        read("a=" + "[" * 100_000)


@pytest.mark.parametrize(
    "piece", ["a+='x'\n", "a+=['x']\n", "a='x';", ",", "[", "'", "\\", "\\\n", "#", "a=[\n"]
)
@pytest.mark.parametrize("length", [1 << 17, pytest.param(1 << 20, marks=pytest.mark.soak)])
def test_a_long_text_of_one_piece_repeated_comes_to_an_end(piece, length):
    """Each would take many minutes if the work grew with the square of its length."""
    text = piece * (length // len(piece))
    try:
        assert len(read(text)) <= 1
    except TextError as error:
        assert error.line >= 1


def test_the_parts_of_a_text_know_their_columns():
    source = Source("a = 'x=1, y=2,,z' ", "f", TextError, 100)
    value = settings(source)["a"].value
    assert [(source.place(at)[1], part) for at, part in value.parts()] == [(6, "x=1"), (11, "y=2"), (16, "z")]


def test_the_parts_of_a_text_with_escapes_stand_where_the_text_begins():
    value = read(r"a = '\x78=1,y=2'")["a"].value
    assert list(value.parts()) == [(4, "x=1"), (4, "y=2")]
