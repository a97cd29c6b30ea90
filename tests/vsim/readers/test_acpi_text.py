"""Bytes of a table in a text: whatever tool printed them, the same bytes come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.readers import acpi_text
from vsim.readers.pieces import lines_of

SIGNATURES = (b"DMAR", b"APIC", b"IVRS", b"HPET")


def rows(data, offset, one, stars=True):
    """Each 16 bytes at an offset; rows like the one before as one star, as hexdump and od have them."""
    out = []
    for at in range(0, len(data), 16):
        row = data[at:at + 16]
        if stars and at and len(row) == 16 and row == data[at - 16:at]:
            out += ["*"] * (out[-1] != "*")
        else:
            out.append(f"{offset(at)} {one(row)}")
    return "\n".join([*out, offset(len(data)), ""])


def words(row):
    return " ".join(f"{int.from_bytes(row[at:at + 2], 'little'):04x}" for at in range(0, len(row), 2))


TOOLS = {
    "hexdump": lambda data: rows(data, "{:07x}".format, words),
    "hexdump -v": lambda data: rows(data, "{:07x}".format, words, False),
    "hexdump -C": lambda data: rows(data, "{:08x}".format,
                               lambda row: f" {row[:8].hex(' ')}  {row[8:].hex(' ')}  |..|"),
    "od -x": lambda data: rows(data, "{:07o}".format, words),
    "od -t x1": lambda data: rows(data, "{:07o}".format, lambda row: row.hex(" ")),
    "od -A x -t x1": lambda data: rows(data, "{:06x}".format, lambda row: row.hex(" ")),
    "xxd": lambda data: rows(data, "{:08x}:".format, lambda row: f"{row.hex(' ', -2)}  {'.' * len(row)}", False)}


@pytest.mark.parametrize("tool", TOOLS)
@given(st.sampled_from(SIGNATURES), st.lists(st.sampled_from([bytes(16), b"\xff" * 16, bytes(range(16))]), max_size=40),
       st.binary(min_size=28, max_size=60))
def test_what_a_tool_printed_of_a_table(tool, signature, middle, rest):
    body = b"".join(middle) + rest
    data = signature + (8 + len(body)).to_bytes(4, "little") + body
    found = acpi_text.read(lines_of(f"$ {tool}\n{TOOLS[tool](data)}$\n", "log")[0])
    assert [(each.signature, each.data) for each in found.records] == [(signature.decode(), data)] and not found.remarks
