"""Where a mistake in somebody's text is, and what cannot be read at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.readers.source import MAX_NESTED, JsonError, Source, TextError, json_line, read, shown


@given(st.text(alphabet="ab\n\r\t\u00e9"), st.data())
def test_a_place_is_the_line_and_column_that_an_editor_shows(text, data):
    at = data.draw(st.integers(0, len(text)))
    source = Source(text, "f", TextError, 1 << 20)
    before = text[:at].split("\n")
    assert source.place(at) == (len(before), len(before[-1]) + 1)
    assert str(source.error(at, "found x")) == f"f:{len(before)}:{len(before[-1]) + 1}: found x"


def test_a_text_above_the_limit_is_a_mistake_and_one_at_the_limit_is_not():
    assert Source("x" * 10, "f", TextError, 10).text == "x" * 10
    with pytest.raises(TextError, match="f:1:1: found 11 characters; allowed: up to 10"):
        Source("x" * 11, "f", TextError, 10)


def test_a_file_is_read_as_utf_8_with_or_without_a_mark(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfna\xc3\xafve")
    assert read(path, TextError, 100) == "na\u00efve"


@pytest.mark.parametrize(
    "data, message",
    [
        (b"ok\nno\xff", ":2:3: found byte 0xff; allowed: UTF-8"),
        (b"\xc3\xa9\x80", ":1:2: found byte 0x80; allowed: UTF-8"),
        (b"\xef\xbb\xbf\xff", ":1:1: found byte 0xff; allowed: UTF-8"),
        (b"x" * 101, ":1:1: found more than 100 bytes; allowed: up to 100"),
    ],
)
def test_a_file_that_is_no_text_says_where(tmp_path, data, message):
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(TextError) as caught:
        read(path, TextError, 100)
    assert str(caught.value) == f"{path}{message}"


@pytest.mark.parametrize("name", ["missing", ".", "a\0b"])
def test_a_file_that_cannot_be_opened_is_a_mistake_of_its_first_character(tmp_path, name):
    with pytest.raises(TextError, match=r"cannot be read: \w") as caught:
        read(str(tmp_path / name), TextError, 100)
    assert (caught.value.line, caught.value.column) == (1, 1)


@given(st.text(max_size=200))
def test_what_is_shown_of_a_text_is_one_short_line_of_ascii(text):
    assert shown(text).isascii() and shown(text).isprintable()
    assert len(shown(text)) <= 2 + 40 * len("\\U00012345")


@pytest.mark.parametrize("line", [
    "[" * MAX_NESTED + "]" * MAX_NESTED, "[" + "[],{}," * 200 + "0]", '["' + "[{" * 5000 + '\\""]',
])
def test_values_within_values_are_counted_by_depth_and_not_in_strings(line):
    json_line(line)


@pytest.mark.parametrize("line, column, message", [
    ("[" * 5000, 101, "more than 100 values within each other"),
    ("[" + '{"[":' * 100 + "0", 1 + 5 * 99 + 1, "more than 100"),
    ('"' + "[" * 5000, 1, "Unterminated string"),
    ("", 1, "Expecting value"), ('[1, "a" 2]', 9, "Expecting ',' delimiter"), ("9" * 5000, 1, "Exceeds the limit"),
])
def test_a_line_that_is_no_json_is_the_same_mistake_on_every_python(line, column, message):
    with pytest.raises(JsonError, match=message) as caught:
        json_line(line)
    assert caught.value.column == column
