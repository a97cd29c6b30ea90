"""Profiles: what is chosen, what is refused, and that every quirk can be switched singly on any of them."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices import viommu
from vsim.devices.checks import MODE_BIT
from vsim.devices.remap import static_mode
from vsim.state.arrays import Machine
from vsim.state.profile import INTERFACES, PROFILES, QUIRKS, Capabilities, Options, Profile, profile

SPEC = profile("spec")


def test_the_profile_of_the_specification():
    """design.md 4."""
    assert (SPEC.capabilities.cap, SPEC.capabilities.ecap, SPEC.capabilities.width) == (0x22260286, 0xF0001A, 39)
    assert (SPEC.capabilities.fault_records, SPEC.capabilities.fault_offset) == (1, 0x220)
    options = SPEC.options
    assert (options.order, options.cache, options.merge_faults) == ("spec", "everything", False)
    assert (options.ioapic_pins, options.ioapic_version, options.ioapic_sid) == (48, 0x20, 0xFF00)
    assert (options.apic_id_step, options.interface, SPEC.quirks) == (2, "v1-corrected", frozenset())


def test_the_profile_of_the_recorded_qemu():
    qemu = profile("qemu-10")
    assert qemu.quirks == {id_ for id_ in QUIRKS if id_.startswith("qemu.")}
    assert (qemu.options.ioapic_pins, qemu.options.ioapic_version, qemu.options.cache) == (24, 0x20, "none")
    assert (qemu.capabilities.fault_records, qemu.capabilities.fault_offset) == (1, 0x220)


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(ValueError, match=r"no profile 'xen-v9'; there are spec, qemu-10"):
        profile("xen-v9")


# --- quirks ---

# The codes of the conformance README (C1 is the cache policy, D13 was withdrawn), its 'known, but with no case', and
# K8, which the recording of a boot showed.
CODES = {*(f"D{n}" for n in range(1, 18) if n != 13), "U1", "U2", "U3", "U4", "U5", *(f"K{n}" for n in range(1, 9))}


def test_there_is_a_quirk_for_every_deviation():
    assert {id_.removeprefix("qemu.") for id_ in QUIRKS if id_.startswith("qemu.")} == CODES


def test_a_quirk_is_a_whole_row_with_a_bit_of_its_own():
    rows = list(QUIRKS.values())
    assert [row.id for row in rows] == list(QUIRKS)
    assert [row for row in rows if not all((row.name, row.does, row.should, row.observed, row.sure))] == []
    assert [row.bit for row in rows] == [1 << place for place in range(len(rows))]
    assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("id_", QUIRKS)
def test_every_quirk_can_be_switched_singly(name, id_):
    base = profile(name)
    on, off = base.with_quirks(id_), base.without_quirks(id_)
    assert on.quirk_word & QUIRKS[id_].bit and not off.quirk_word & QUIRKS[id_].bit
    assert on.quirk_word ^ off.quirk_word == QUIRKS[id_].bit
    assert (on.options, on.capabilities) == (base.options, base.capabilities)
    assert Machine(on, 1).quirks == on.quirk_word


def test_a_quirk_of_the_checks_is_a_bit_of_the_units_mode():
    shared = {row.name: row.id for row in QUIRKS.values() if row.name in MODE_BIT}
    assert {name for name in MODE_BIT if name in shared} >= {"compat_passes", "bus_reversed", "im_ignored",
                                                              "dst_unchecked", "index_wraps"}
    for name, id_ in shared.items():
        assert static_mode(SPEC.with_quirks(id_), False) & MODE_BIT[name]
        assert not static_mode(SPEC, False) & MODE_BIT[name]


def test_unknown_quirks_are_refused():
    with pytest.raises(ValueError, match=r"no quirk 'qemu\.D99'; there are .*qemu\.D1, "):
        SPEC.with_quirks("qemu.D99")


# --- options and capabilities ---


def test_the_versions_of_the_hypercall_have_their_structures():
    assert set(INTERFACES) == set(viommu.INTERFACES)


@pytest.mark.parametrize("change, says", [
    ({"order": "any"}, "order is 'any'; allowed are 'spec', 'reserved-first'"),
    ({"interface": "v9"}, "interface is 'v9'; allowed are 'v1', 'v1-corrected'"),
    ({"svt3_reason": 0x25}, "svt3_reason is 37; allowed are 36, 38"), ({"placement": ""}, "placement is ''"),
    ({"domain_type": "pvhvm"}, "allowed are 'hvm', 'pvh', 'pv'"), ({"apic_id_step": 3}, "apic_id_step is 3"),
    ({"max_units": 257}, "max_units is 0x101; the limit is 0x1 to 0x100"),
    ({"apic_ids": (0, 1 << 32)}, r"apic_ids\[1\] is 0x100000000; the limit is 0x0 to 0xfffffffe"),
    ({"apic_ids": (5, 5)}, "apic_ids has an ID twice"),
])
def test_an_option_that_is_not_allowed_names_those_that_are(change, says):
    with pytest.raises(ValueError, match=says):
        SPEC.with_options(**change)


def test_an_option_that_does_not_exist_is_the_callers_mistake():
    with pytest.raises(TypeError, match="speed"):
        SPEC.with_options(speed=1)


def test_every_option_is_documented():
    text = Options.__doc__
    assert [field.name for field in fields(Options) if field.name not in text] == []


@pytest.mark.parametrize("having, cap, ecap", [
    ({"posting": True}, 1 << 59, 0), ({"fault_records": 8}, 7 << 40, 0), ({"fault_records": 222}, 221 << 40, 0),
    ({"eim": False}, 0, -0x10), ({"caching_mode": False}, -0x80, 0), ({}, 0, 0),
])
def test_another_unit_differs_in_what_was_asked_for(having, cap, ecap):
    unit = Capabilities().having(**having)
    assert (unit.cap, unit.ecap) == (0x22260286 + cap, 0xF0001A + ecap)


def test_the_address_width_follows_mgaw_unless_it_is_said():
    assert (Capabilities().width, Capabilities(address_width=46).width) == (39, 46)


# --- several units ---

PLAIN = Capabilities()


def test_a_unit_has_capabilities_of_its_own_or_those_of_the_profile():
    one = SPEC.with_units(PLAIN, PLAIN.having(eim=False))
    assert [one.of_unit(unit) for unit in range(3)] == [PLAIN, PLAIN.having(eim=False), SPEC.capabilities]
    assert Profile.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert "units" not in SPEC.to_dict()


@pytest.mark.parametrize("unit", [PLAIN.having(fault_records=2), Capabilities(address_width=46),
                                  Capabilities(0x24260286)])
def test_units_share_the_place_of_their_fault_records_and_the_address_width(unit):
    with pytest.raises(ValueError, match="unit 1 has fault offset, fault records and address width"):
        SPEC.with_units(PLAIN, unit)


def test_the_number_of_units_is_limited():
    with pytest.raises(ValueError, match="units is 0x101; the limit is 0x0 to 0x100"):
        SPEC.with_units(*[PLAIN] * 257)


@pytest.mark.parametrize("units, says", [(5, "not a profile"), ([5], "not a profile"), ([{"cap": "0"}], "cap is '0'"),
                                         ([{"more": 1}], "'more' is not a field")])
def test_units_that_are_none_are_no_profile(units, says):
    with pytest.raises(ValueError, match=says):
        Profile.from_dict(SPEC.to_dict() | {"units": units})


# --- as JSON ---

profiles = st.builds(
    lambda name, quirks, options, unit: profile(name).with_quirks(*quirks).with_options(**options).with_capabilities(
        Capabilities().having(**unit)),
    st.sampled_from(sorted(PROFILES)), st.sets(st.sampled_from(sorted(QUIRKS))),
    st.fixed_dictionaries({}, optional={
        "cache": st.sampled_from(["none", "present", "everything"]), "apic_id_step": st.sampled_from([1, 2]),
        "ioapic_pins": st.integers(1, 240), "ext_dest": st.booleans(),
        "apic_ids": st.lists(st.integers(0, 0xFFFFFFFE), unique=True, max_size=5).map(tuple),
        "gcmd_order": st.permutations(Options().gcmd_order).map(tuple)}),
    st.fixed_dictionaries({}, optional={"fault_records": st.integers(1, 222), "posting": st.booleans()}))


@given(profiles)
def test_a_profile_is_json_and_back(one):
    assert Profile.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize("path, value, says", [
    (("options", "order"), 5, "order is 5; expected str"),
    (("options", "merge_faults"), 1, "merge_faults is 1; expected bool"),
    (("options", "speed"), 1, "'speed' is not a field"), (("options", "interface"), "v9", "interface is 'v9'"),
    (("options", "gcmd_order"), 7, "not a profile"), (("options", "gcmd_order"), ["qie"], "gcmd_order is"),
    (("options", "gcmd_order"), [["a"]] * 9, "gcmd_order is"), (("options", "gcmd_order"), [1, "qie"], "not a profile"),
    (("options", "apic_ids"), 7, "not a profile"), (("options", "apic_ids"), ["7"], "apic_ids holds '7'"),
    (("options", "apic_ids"), [-1], "is -0x1"), (("options", "apic_ids"), [True], "apic_ids holds True"),
    (("capabilities", "cap"), "0", "cap is '0'; expected int"), (("capabilities", "cap"), -1, "cap is -0x1"),
    (("capabilities", "address_width"), 65, "address width is 0x41"), (("capabilities", "more"), 0, "'more' is not"),
    (("quirks",), ["qemu.X"], r"no quirk 'qemu\.X'"), (("quirks",), 5, "not a profile"),
    (("quirks",), None, "not a profile"), (("options",), None, "not a profile"), (("options",), [1], "not a profile"),
    (("capabilities",), 3, "not a profile"),
])
def test_what_is_no_profile_is_refused(path, value, says):
    data = json.loads(json.dumps(SPEC.to_dict()))
    place = data
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=says):
        Profile.from_dict(data)


@pytest.mark.parametrize("data", [{}, {"name": "spec"}, [], None, 5, "spec", {"options": {}, "capabilities": {}}])
def test_what_has_no_parts_is_no_profile(data):
    with pytest.raises(ValueError, match="not a profile"):
        Profile.from_dict(data)
