"""A saved machine is loaded as it was, or refused; nothing that is loaded can make a device look outside its arrays."""

import base64
import json
from array import array

import pytest
import scenes

from vsim.machine import run
from vsim.profile import Capabilities, Options
from vsim.state import LATCH_WORDS, Latch, Machine


def booted():
    m = scenes.machine()
    run(m, [*scenes.apics(0, 1), *scenes.unit(), scenes.entry(1, vector=0x41, dst=2), scenes.msi(1)])
    return m


def saved(**changes):
    """The text of a saved machine with some members changed; a function changes the member it is given."""
    state = json.loads(booted().save())
    for name, value in changes.items():
        state[name] = value(state[name]) if callable(value) else value
    return json.dumps(state)


def words(typecode, at, value):
    """A change of one place of a saved array."""
    def change(text):
        values = array(typecode, base64.b64decode(text))
        values[at] = value
        return base64.b64encode(values.tobytes()).decode()
    return change


def test_memory_above_the_hole_is_saved_and_loaded():
    m = Machine(scenes.profile("spec"), 1, 5 << 30)
    assert m.ram.write_word(m.ram.high - 4, 0x1234)
    assert Machine.load(m.save()) == m


@pytest.mark.parametrize("changes, message", [
    ({"latch": words("Q", Latch.NEXT_RECORD, 1)}, "a next fault record is not below 1"),
    ({"lines": words("H", 3, 1)}, "lines are not the sum of the wires"),
    ({"direct": words("B", 3, 1)}, "lines are not the sum of the wires"),
    ({"direct": words("B", 3, 2), "lines": words("H", 3, 2)}, "lines are not the sum of the wires"),
    ({"wires": words("B", 1, 1)}, "lines are not the sum of the wires"),
    ({"pba": words("Q", 0, 16)}, "a pending bit of function 0 is of no message"),
    ({"serials": 1 << 62}, "a counter is over its limit"), ({"tick": 1 << 64}, "tick is not a number"),
    ({"ram": {"size": 4 << 20, "pages": {"1024": base64.b64encode(bytes(4096)).decode()}}}, "page 1024 does not fit"),
    ({"ram": {"size": 4 << 30, "pages": {str(0xE0000): base64.b64encode(bytes(4096)).decode()}}}, "does not fit"),
    ({"irr": ""}, "irr has 0 places; expected 64"), ({"regs": "!"}, "regs"), ({"vcpus": 0}, "the limit is 1 to 4096"),
    ({"apic_mode": words("B", 0, 3)}, "unknown mode"), ({"winner": 8}, "winner is out of range"),
    ({"cache": {"0": [1, 2, 3]}}, "four 32-bit words"), ({"quirks": 1}, "quirks disagree"), ({"vsim": 2}, "version 1")])
def test_a_saved_machine_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Machine.load(saved(**changes))


def test_a_pending_bit_of_the_last_message_is_loaded():
    m = Machine.load(saved(pba=words("Q", 0, 8)))
    assert m.pba[0] == 8
    assert m.live(0)
    assert len(m.latch) == LATCH_WORDS


@pytest.mark.parametrize("change, message", [
    ({"cap": -1}, "cap is -0x1"), ({"ecap": 1 << 64}, "ecap is 0x10000000000000000"),
    ({"cap": 10 << 16}, "address width is 0xb; the limit is 0xc to 0x40"),
    ({"cap": 38 << 16 | 0x3FF << 24}, "end of the fault records is 0x4000"),
    ({"cap": 0x22260286 | 0xFF << 40}, "end of the fault records is 0x1220")])
def test_capabilities_that_no_register_page_can_have_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Capabilities(**change)


@pytest.mark.parametrize("change, message", [
    ({"gcmd_order": ("qie",)}, "gcmd_order"), ({"gcmd_order": ("nap",) * 9}, "gcmd_order"),
    ({"ioapic_pins": 0}, "ioapic_pins is 0x0"), ({"ioapic_pins": 241}, "the limit is 0x1 to 0xf0"),
    ({"ioapic_version": 256}, "ioapic_version"), ({"ioapic_sid": 1 << 16}, "ioapic_sid"),
    ({"iedata_bits": 1 << 40}, "iedata_bits"), ({"max_units": 0}, "max_units"), ({"cache": "some"}, "cache is 'some'")])
def test_options_that_no_code_knows_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Options(**change)
