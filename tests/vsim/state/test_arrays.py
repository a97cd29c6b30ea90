"""A saved machine is loaded as it was, or refused; nothing that is loaded can make a device look outside its arrays."""

import base64
import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from vsim.devices import viommu
from vsim.layouts.formats import RTE
from vsim.machine import run, step
from vsim.state import commands as c
from vsim.state.arrays import LATCH_WORDS, LATER, Latch, Machine
from vsim.state.profile import Capabilities, Options
from vsim.state.ram import Ram


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


class Ints(array):
    """An array that takes no bool for a number."""

    def __setitem__(self, place, value):
        assert type(value) is not bool, f"[{place}] = {value}"
        super().__setitem__(place, value)


@pytest.mark.parametrize("name, quirks", [("spec", ()), ("qemu-10", ()), ("qemu-10", ("qemu.D16",)), ("xen-v4", ())])
@given(commands=st.lists(scenes.commands(), max_size=20))
def test_a_level_is_an_int_wherever_it_is_kept_or_told(name, quirks, commands):
    m = scenes.machine(name=name, quirks=quirks)
    edge, level = (RTE.make(vector=0x31, tm=tm) for tm in (0, 1))
    wires = [each for low in (level, edge, level) for each in (*scenes.pin(2, low, 0), c.Pin(2, 1), c.Pin(2, 0))]
    for command in [*scenes.apics(0, 1), *wires, *scenes.unit(), *wires, *commands]:
        for part in Machine.__slots__:
            if type(getattr(m, part)) is array:
                setattr(m, part, Ints(getattr(m, part).typecode, getattr(m, part)))
        events = step(m, command)
        assert [event for event in events if bool in map(type, event)] == []
        assert [part for part in Machine.__slots__ if type(getattr(m, part)) is bool] == []


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
    ({"serials": (1 << 62) + 1}, "a counter is over its limit"),
    ({"tick": 1 << 64}, "tick is not a number"),
    ({"ram": {"size": 4 << 20, "pages": {"1024": base64.b64encode(bytes(4096)).decode()}}}, "page 1024 does not fit"),
    ({"ram": {"size": 4 << 30, "pages": {str(0xE0000): base64.b64encode(bytes(4096)).decode()}}}, "does not fit"),
    ({"irr": ""}, "irr has 0 places; expected 64"), ({"regs": "!"}, "regs"), ({"vcpus": 0}, "the limit is 1 to 4096"),
    ({"apic_mode": words("B", 0, 3)}, "unknown mode"), ({"winner": 8}, "winner is out of range"),
    ({"cache": {"0": [1, 2, 3]}}, "four 32-bit words"), ({"vsim": 2}, "version 1"),
    *(({"bound": [row]}, says) for row, says in (
        ([0, 0, 8, 0, 0], "vcpu of a bound message is 8; the limit is -1 to 7"), ([0, 0, -2, 0, 0], "vcpu of a bound"),
        ([1 << 64, 0, 0, 0, 0], "address of a bound"), ([0, 1 << 32, 0, 0, 0], "data of a bound"),
        ([0, 0, 0, 256, 0], "vector of a bound"), ([0, 0, 0, 0, 2], "posted of a bound"), ([0] * 4, "five numbers"),
        ([0, 0, "0", 0, 0], "five numbers"))),
    ({"bound": [[0, 0, -1, 0, 0]] * 65}, "at most 64"), ({"bound": {}}, "at most 64")])
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


# --- a machine is a value ---


def test_a_copy_is_equal_and_shares_nothing_that_can_change():
    m = booted()
    other = m.copy()
    assert other == m and other is not m
    for name in Machine.__slots__:
        mine, theirs = getattr(m, name), getattr(other, name)
        if isinstance(mine, (array, dict, list, Ram)):
            assert mine is not theirs or name == "_routes", name
    assert Machine.load(other.save()) == m


@pytest.mark.parametrize("command", [
    scenes.msi(1), scenes.entry(1, vector=0x51, dst=2), c.Pin(3, 1), c.Acknowledge(1), c.Tick(5), c.OutOfMemory(2),
    c.Domctl(viommu.encode("v1", viommu.Op.DESTROY, viommu_id=0)), c.Msr(0, 0x808, 0x20), c.Reset(),
    c.ConfigWrite(scenes.NIC, 4, 2, 6), scenes.register("FEDATA", 0x99)], ids=lambda command: command.name)
def test_a_command_on_a_copy_leaves_the_original(command):
    m = booted()
    before, text = m.copy(), m.save()
    other = m.copy()
    step(other, command)
    assert other != m
    assert m == before and m.save() == text


@pytest.mark.parametrize("change, places", [
    (lambda m: m.irr.__setitem__(9, 5), ["irr[9]: 0x0 != 0x5"]),
    (lambda m: m.rte.__setitem__(47, 7), ["rte[47]: 0x10000 != 0x7"]),
    (lambda m: m.apic_id.__setitem__(0, 1), ["apic_id[0]: 0x0 != 0x1"]),
    (lambda m: m.ram.write_word(0, 1), ["ram"]), (lambda m: m.cache.clear(), ["cache"]),
    (lambda m: m.scope.__setitem__(3, 0), ["scope"]), (lambda m: setattr(m, "doomed", 3), ["doomed"]),
    (lambda m: setattr(m, "clock", 0), ["clock"]), (lambda m: m.regs.extend([0]), ["regs"]),
    (lambda m: setattr(m, "profile", m.profile.with_options(ext_dest=True)), ["profile"]),
])
def test_a_difference_names_the_places(change, places):
    m = booted()
    other = m.copy()
    change(other)
    assert m.difference(other) == places
    assert m != other


def test_a_difference_of_many_places_is_cut_short():
    m = booted()
    other = m.copy()
    other.isr = array("I", [1]) * len(m.isr)
    assert len(m.difference(other)) == 8


def test_machines_are_not_equal_to_other_things():
    assert booted() != "machine"
    assert booted() == booted()


@pytest.mark.parametrize("vcpus", [0, -1, 4097])
def test_the_number_of_vcpus_has_a_limit(vcpus):
    with pytest.raises(ValueError, match=f"vcpus is {vcpus}; the limit is 1 to 4096"):
        Machine(scenes.profile("spec"), vcpus)


@pytest.mark.parametrize("step_, ids", [(2, [0, 2, 4, 6]), (1, [0, 1, 2, 3])])
def test_the_apic_id_is_the_vcpu_times_one_or_two(step_, ids):
    assert Machine(scenes.profile("spec").with_options(apic_id_step=step_), 4).apic_id.tolist() == ids


GIVEN = (8, 300, 0x10005, 1)


def test_apic_ids_can_be_those_of_a_real_machine_and_stay():
    m = Machine(scenes.profile("spec").with_options(apic_ids=GIVEN), 4)
    for vcpu in range(4):
        step(m, c.Msr(vcpu, 0x1B, 0xFEE00C00 | (vcpu == 0) << 8))
    assert tuple(m.apic_id) == GIVEN
    assert m.ldr.tolist() == [0x100, 0x12 << 16 | 1 << 12, 0x1000 << 16 | 1 << 5, 2]
    assert Machine.load(m.save()) == m
    step(m, c.Reset())
    assert tuple(m.apic_id) == GIVEN


def test_there_are_as_many_apic_ids_as_vcpus():
    with pytest.raises(ValueError, match="vcpus is 5; the profile's apic_ids are of 4"):
        Machine(scenes.profile("spec").with_options(apic_ids=GIVEN), 5)


def test_events_are_no_part_of_the_value():
    m = booted()
    other = m.copy()
    other.emit(1, 1)
    other.clock = m.clock
    assert m == other


def test_the_size_counts_arrays_pages_and_cached_entries():
    m = Machine(scenes.profile("spec"), 1)
    before = m.size()
    m.ram.write_word(0, 1)
    m.cache[5] = (0, 0, 0, 0)
    assert m.size() == before + 4096 + 16
    assert Machine(scenes.profile("spec"), 2).size() - Machine(scenes.profile("spec"), 1).size() < 400


ANY = st.one_of(
    st.builds(c.Msi, st.sampled_from([scenes.NIC, scenes.DISK]), st.integers(0xFEE00000, 0xFEEFFFFF),
              st.integers(0, 0xFFFFFFFF)),
    st.builds(c.Mmio, st.integers(scenes.UNIT, scenes.UNIT + 0x230), st.sampled_from([4, 8]),
              st.integers(0, (1 << 64) - 1)),
    st.builds(c.RamWrite, st.integers(0, 4 << 20), st.binary(min_size=1, max_size=40)),
    st.builds(c.Pin, st.integers(0, 50), st.integers(0, 1)), st.builds(c.Acknowledge, st.integers(0, 8)),
    st.builds(c.Msr, st.integers(0, 7), st.integers(0x800, 0x83F), st.integers(0, 0xFFFFFFFF)),
    st.builds(c.OutOfMemory, st.integers(0, 3)), st.builds(c.Intx, st.just(scenes.DISK), st.integers(0, 1)))


@given(st.lists(ANY, max_size=12), st.lists(ANY, max_size=4))
def test_save_then_load_is_the_identity_and_goes_on_alike(first, then):
    m = booted()
    run(m, first)
    loaded = Machine.load(m.save())
    assert loaded == m and loaded.save() == m.save()
    assert run(loaded, then) == run(m, then)
    assert loaded == m


@given(st.data())
def test_a_damaged_file_is_refused_or_a_machine_that_still_works(data):
    state = json.loads(booted().save())
    name = data.draw(st.sampled_from(sorted(state)))
    part = state[name]
    if isinstance(part, dict) and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(part) or ["none"]))
    else:
        part = state
    junk = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=3),
                     st.dictionaries(st.text(max_size=4), st.integers(), max_size=2))
    if data.draw(st.booleans()):
        part[name] = data.draw(junk)
    else:
        part.pop(name, None)
    try:
        m = Machine.load(json.dumps(state))
    except ValueError:
        return
    run(m, [scenes.msi(1), c.Pin(3, 1), c.Domctl(viommu.create_op()), c.Acknowledge(0), c.Reset(), scenes.msi(1)])
    assert Machine.load(m.save()) == m


@given(st.text(max_size=80))
def test_any_text_is_no_machine(text):
    with pytest.raises(ValueError, match=r"."):
        Machine.load(text)


def test_a_machine_saved_before_a_part_was_known_has_it_as_after_power_on():
    state = json.loads(saved())
    for name in LATER:
        del state[name]
    state["quirks"] = 12345     # numbers of quirks are of one version; the profile names them
    assert Machine.load(json.dumps(state)) == Machine.load(saved())


def test_a_machine_whose_counters_end_is_saved_and_loaded_again():
    m = Machine.load(saved(serials=1 << 62, tick=1 << 62, clock=(1 << 64) - 1, nobody=1 << 62))
    for command in (c.Msi(0x18, 0xFEE00000, 0x41), c.Tick((1 << 64) - 1), c.Acknowledge(0)):
        run(m, [command])
    again = Machine.load(m.save())
    assert (again.tick, again.serials, again.clock) == (1 << 62, 1 << 62, (1 << 64) - 1)
