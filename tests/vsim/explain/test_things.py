"""Single things told: every bit of a word is there, what refuses it is what the unit does, nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices.checks import CHECKS
from vsim.explain.ends import STATES, ends, ends_of_reason
from vsim.explain.messages import Known
from vsim.explain.things import KINDS, tell
from vsim.layouts.formats import FRCD, IRTE, IRTE_POSTED, MSI_ADDRESS, MSI_DATA, Reason, remap_message
from vsim.layouts.registers import X2APIC_LDR

GOOD = IRTE.make(p=1, vector=0x31, dst=0x4000, sid=0x10, svt=1)


def told(kind, *numbers, **known):
    return tell(kind, numbers, Known(**known))


def halves(entry):
    return entry >> 64, entry & (1 << 64) - 1


def refusals(thing, form=0):
    return [(end.check, end.when, end.reason) for end in thing.forms[form].ends]


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_every_set_bit_of_a_word_is_in_a_field_and_the_value_comes_back(kind, data):
    numbers = tuple(data.draw(st.integers(0, (1 << size) - 1)) for _, size in KINDS[kind].numbers)
    thing = tell(kind, numbers)
    for form in thing.forms:
        for each in form.words:
            assert sum(row.value for row in each.fields if "," not in row.bits) or each.value == 0 or any(
                "," in row.bits for row in each.fields)
            back = 0
            for row in each.fields:
                value = row.value
                for piece in reversed(row.bits.split(", ")):
                    high, _, low = piece.partition(":")
                    width = int(high) - int(low or high) + 1
                    back |= (value & (1 << width) - 1) << int(low or high)
                    value >>= width
            assert back == each.value
    assert str(thing).startswith(f"{kind}: ")
    assert thing.plain()["forms"]


@pytest.mark.parametrize("address, data, index", [
    (0xFEE00218, 0, 16), (0xFEE00010, 0xD1, 0), (0xFEE00018, 5, 5), (0xFEE00234, 0, 17 + 0x8000),
    (0xFEE0001C, 1, 0x8001)])
def test_the_index_of_a_message_is_handle_and_subhandle(address, data, index):
    thing = told("msi", address, data)
    assert thing.forms[0].says[0].startswith(f"Index {index} ({index:#x})")
    assert [form.when for form in thing.forms] == ["while remapping is on", "while remapping is off"]


def test_a_message_in_compatibility_format_is_refused_or_passes_as_the_unit_stands():
    address, data = MSI_ADDRESS.make(fee=0xFEE, dest=3), MSI_DATA.make(vector=0x41)
    assert refusals(told("msi", address, data)) == [
        ("compatibility-blocked", "EIME=1 or CFIS=0", 0x25), ("compatibility-passes", "EIME=0 and CFIS=1", 0)]
    assert refusals(told("msi", address, data, eime=1)) == [("compatibility-blocked", "", 0x25)]
    assert refusals(told("msi", address, data, eime=0, cfis=1)) == [("compatibility-passes", "", 0)]


def test_an_index_is_held_against_the_table_when_its_size_is_known():
    assert refusals(told("msi", *remap_message(256), entries=256)) == [("index-over", "", 0x21)]
    assert refusals(told("msi", *remap_message(255), entries=256)) == []
    assert "more than 256 entries" in " ".join(told("msi", *remap_message(256)).forms[0].says)


def test_a_write_that_is_no_interrupt_is_said_to_be_one():
    assert "0xfee" in told("msi", 0x12345678, 0).remarks[0]


@pytest.mark.parametrize("change, check, when, reason", [
    ({"p": 0}, "not-present", "", 0x22), ({"dlm": 3}, "delivery-mode", "", 0x24), ({"svt": 3}, "source-type", "", 0x24),
    ({"rsvd24": 1}, "remapped-reserved", "", 0x24), ({"dst": 0x123}, "destination-reserved", "EIME=0", 0x24)])
def test_what_refuses_an_entry(change, check, when, reason):
    values = {**IRTE.split(GOOD), **change}
    reserved = IRTE.rsvd24.mask if values.pop("rsvd24", 0) else 0
    assert refusals(told("irte", *halves(IRTE.make(**values) | reserved))) == [(check, when, reason)]


def test_a_good_entry_passes_in_every_state_for_its_own_source_only():
    assert refusals(told("irte", *halves(GOOD))) == []
    assert refusals(told("irte", *halves(GOOD), source=0x11)) == [("source-compare", "", 0x26)]
    assert any("0x40 (64)" in says for says in told("irte", *halves(GOOD)).forms[0].says)


def test_a_posted_entry_has_two_forms_and_needs_posting():
    thing = told("irte", *halves(IRTE_POSTED.make(p=1, im=1, vector=0x50, pda=0x1234567, svt=1, sid=0x100)))
    assert [form.title for form in thing.forms] == ["Entry, posted", "Entry, remapped"]
    assert refusals(thing) == [("posting-absent", "CAP.PI=0", 0x24)]
    assert thing.forms[0].says[0] == f"Sets bit 0x50 (80) of the descriptor at {0x1234567 << 6:#x}."


def test_exchanged_halves_are_noticed():
    high, low = halves(GOOD)
    assert "exchanged" in told("irte", low, high).remarks[0]
    assert told("irte", high, low).remarks == ()


def test_a_fault_record_names_who_what_and_which_check():
    record = FRCD.make(f=1, reason=0x22, sid=0x18, index=0x12)
    thing = told("frcd", *halves(record))
    assert thing.forms[0].says == ("00:03.0 asked for index 18 (0x12) and was refused.",)
    assert refusals(thing) == [("not-present", "", 0x22)]


def test_a_record_of_compatibility_format_has_no_index():
    thing = told("frcd", *halves(FRCD.make(f=1, reason=0x25, sid=0x18, index=0x8800)))
    assert thing.forms[0].says == ("00:03.0 was refused; a request of compatibility format has no index, and what is "
                                   "recorded there is none.",)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason and reason < Reason.DESCRIPTOR_ERROR])
def test_every_reason_has_its_checks_and_every_check_its_cure(reason):
    assert ends_of_reason(reason)
    assert all(end.cure.endswith(".") and end.reason == reason for end in ends_of_reason(reason))


def test_every_check_says_what_would_pass():
    assert all(row.cure and row.cure != row.sentence for row in CHECKS.values())


@given(st.integers(0, (1 << 128) - 1), st.integers(0, 0xFFFF))
def test_what_is_told_of_the_states_is_what_each_state_does(entry, requester):
    """The conditions in words, evaluated, give back the check of every single state."""
    whole = ends({}, entry=entry, requester=requester)
    for eime in (0, 1):
        for cfis in (0, 1):
            for pi in (0, 1):
                one = ends(dict(zip(STATES, (eime, cfis, pi), strict=True)), entry=entry, requester=requester)
                names = {"EIME": eime, "CFIS": cfis, "CAP.PI": pi}
                held = [end.check for end in whole if holds(end.when, names)]
                assert [end.check for end in one] == held


def holds(when, names):
    def literal(text):
        name, _, value = text.partition("=")
        return names[name] == int(value)
    return not when or any(all(literal(each) for each in part.split(" and "))
                           for part in when.replace(", or ", " or ").split(" or "))


@pytest.mark.parametrize("value, parts", [
    (0x40, ("0x4000 with EIME=0", "0xfee40000")), (0x123, ("not to be reached with EIME=0", "0xfee23020")),
    (0x8000, ("No message in compatibility format",)), (0xFF, ("broadcast of an xAPIC",))])
def test_an_apic_id_as_each_interface_writes_it(value, parts):
    says = " ".join(told("apicid", value).forms[0].says)
    assert all(part in says for part in parts)
    assert f"{X2APIC_LDR.make(cluster=value >> 4, member=1 << (value & 15)):#010x}" in says


def test_registers_that_read_all_ones_are_nobody():
    for kind in ("cap", "ecap", "fsts", "gsts"):
        size = KINDS[kind].numbers[0][1]
        assert "nobody answers" in told(kind, (1 << size) - 1).remarks[-1]


@pytest.mark.parametrize("kind, numbers, part", [
    ("nothing", (1,), "kind is 'nothing'"), ("msi", (1,), "takes 2 numbers; found 1"),
    ("fsts", (1 << 32,), "fsts.value is 0x100000000; the limit is 0xffffffff")])
def test_a_caller_s_mistake_names_value_and_limit(kind, numbers, part):
    with pytest.raises(ValueError, match=part):
        tell(kind, numbers)
