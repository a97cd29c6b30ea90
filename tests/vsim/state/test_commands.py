"""Commands: what their fields may hold, and their form in files."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.state import commands as c
from vsim.state.commands import COMMANDS, from_row, to_row

ROWS = [
    (c.Domctl(b"\x01\xff"), ["domctl", "01ff"]),
    (c.Mmio(0xFED90018, 4, 0x4000000), ["mmio", 0xFED90018, 4, 0x4000000]),
    (c.MmioRead(0xFED90018, 8), ["read", 0xFED90018, 8]),
    (c.RamWrite(16, b"\x00"), ["ram", 16, "00"]),
    (c.ConfigWrite(0x18, 4, 2, 6), ["config", 0x18, 4, 2, 6]),
    (c.Msi(0x300, 0xFEE00010, 0), ["msi", 0x300, 0xFEE00010, 0]),
    (c.Signal(0x300, 63), ["signal", 0x300, 63]),
    (c.Burst(7, 100, 1), ["burst", 7, 100, 1]),
    (c.Pin(16, 1), ["pin", 16, 1]),
    (c.Intx(0x18, 0), ["intx", 0x18, 0]),
    (c.ApicWrite(287, 0xF0, 0x1FF), ["apic", 287, 0xF0, 0x1FF]),
    (c.Msr(0, 0x1B, 0xFEE00C00), ["msr", 0, 0x1B, 0xFEE00C00]),
    (c.Acknowledge(4095), ["ack", 4095]),
    (c.Tick(5), ["tick", 5]),
    (c.OutOfMemory(1), ["oom", 1]),
    (c.Reset(), ["reset"]),
]


@pytest.mark.parametrize("command, row", ROWS, ids=[row[0] for _, row in ROWS])
def test_a_command_is_a_row_and_back(command, row):
    assert to_row(command) == row
    assert from_row(row) == command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_its_plain_values_is_a_row_and_back(name):
    kind = COMMANDS[name]
    plain = {"bytes": b"\xff", "int": 1}
    command = kind(*(plain[place.type] for place in fields(kind)))
    assert from_row(json.loads(json.dumps(to_row(command)))) == command
    assert to_row(command)[0] == kind.name == name


@pytest.mark.parametrize("make, says", [
    (lambda: c.Mmio(1 << 64, 4, 0), "mmio.address is 0x10000000000000000; the limit is 0xffffffffffffffff"),
    (lambda: c.Mmio(-1, 4, 0), "mmio.address is -0x1"),
    (lambda: c.Mmio(0, 0, 0), "mmio.width is 0; the limit is 1 to 8"),
    (lambda: c.Mmio(0, 9, 0), "mmio.width is 9"),
    (lambda: c.Mmio(0, 4, 1 << 64), "mmio.value is"),
    (lambda: c.Msi(1 << 16, 0, 0), "msi.requester is 0x10000; the limit is 0xffff"),
    (lambda: c.Msi(0, 0, 1 << 32), "msi.data is 0x100000000"),
    (lambda: c.Signal(0, 4096), "signal.message is 0x1000"),
    (lambda: c.Pin(256, 0), "pin.gsi is 0x100"),
    (lambda: c.Pin(0, 2), "pin.level is 0x2"),
    (lambda: c.Acknowledge(4096), "ack.vcpu is 0x1000; the limit is 0xfff"),
    (lambda: c.Tick(1 << 64), "tick.ns is"),
    (lambda: c.ConfigWrite(0, 4096, 1, 0), "config.offset is 0x1000"),
    (lambda: c.Tick(True), "tick.ns is 'True'; expected an int"),
    (lambda: c.Tick(1.5), "tick.ns is '1.5'; expected an int"),
    (lambda: c.Tick("1"), "tick.ns is '1'; expected an int"),
    (lambda: c.Tick(b"\x01"), "tick.ns is .* expected an int"),
    (lambda: c.Domctl(bytes((1 << 20) + 1)), "domctl.body has 1048577 bytes; the limit is 1048576"),
    (lambda: c.RamWrite(0, "00"), "ram.data is '00'; expected bytes"),
    (lambda: c.Domctl(5), "domctl.body is '5'; expected bytes"),
])
def test_a_value_that_its_register_cannot_carry_is_the_callers_mistake(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("row, says", [
    (None, "not a command: None"), ([], "not a command"), ({"tick": 1}, "not a command"),
    (["boot"], "not a command: .'boot'.; tags are domctl, mmio"), ([["tick"], 1], "not a command"),
    (["tick"], "tick takes ns; found 0 values"), (["tick", 1, 2], "tick takes ns; found 2 values"),
    (["reset", 1], "reset takes nothing; found 1 values"), (["ram", 0, 5], "ram.data is '5'; expected a hex string"),
    (["ram", 0, "0g"], "ram.data is '0g'; expected"), (["ram", 0, "123"], "ram.data is '123'; expected"),
    (["ram", 0, "0A"], "ram.data is '0A'; expected"), (["ram", 0, "00 "], "ram.data is '00 '; expected"),
    (["tick", None], "tick.ns is 'None'"), (["tick", [1]], "tick.ns is"), (["tick", "9" * 9000], "tick.ns is"),
    (["msi", "0x300", 0, 0], "msi.requester is '0x300'"), (["tick", 1.0], "tick.ns is '1.0'"),
])
def test_a_row_that_is_no_command_is_refused(row, says):
    with pytest.raises(ValueError, match=says) as caught:
        from_row(row)
    assert len(str(caught.value)) < 300


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
                           lambda inner: st.lists(inner, max_size=5), max_leaves=12)


@given(st.one_of(json_values, st.lists(json_values, max_size=6).flatmap(
    lambda rest: st.sampled_from(sorted(COMMANDS)).map(lambda name: [name, *rest]))))
def test_any_json_value_is_a_command_or_a_clear_error(row):
    try:
        command = from_row(row)
    except ValueError:
        return
    assert to_row(command) == row
