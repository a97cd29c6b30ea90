"""The questions of the review: all there, graded, and answered by what the kit does when it is asked."""

import re

import pytest

from vsim.review import evidence
from vsim.review.facts import LATER, LIMITS
from vsim.review.questions import GRADES, QUESTIONS, question
from vsim.state.quirks import QUIRKS

SHOWN = [each for each in QUESTIONS if each.show]


def shown(number):
    return "\n".join(question(number).show())


def test_the_questions_are_those_of_the_reference_in_its_order():
    assert [each.number for each in QUESTIONS] == [*map(str, range(1, 19)), *(f"N{n}" for n in range(1, 9))]


@pytest.mark.parametrize("number", ["0", "19", "N9", ""])
def test_a_number_that_is_none_is_refused(number):
    with pytest.raises(ValueError, match="there are 1, 2"):
        question(number)


@pytest.mark.parametrize("each", QUESTIONS, ids=lambda each: each.number)
def test_every_grade_is_explained(each):
    assert {each.asked_grade, each.answer_grade} <= GRADES.keys()
    assert set(re.findall(r"\[(\w+)", each.answer)) <= GRADES.keys()


def test_only_questions_of_wording_style_and_races_have_nothing_to_show():
    assert [each.number for each in QUESTIONS if not each.show] == ["4", "8", "15"]


@pytest.mark.parametrize("each", SHOWN, ids=lambda each: each.number)
def test_evidence_is_lines_and_the_same_each_time(each):
    lines = each.show()
    assert lines and all(line.isprintable() and line.strip() for line in lines)
    assert lines == each.show()


@pytest.mark.parametrize("number, says", [
    ("1", "v4: create takes viommu_type, base_address, capabilities; the id of the first is 0; "
          "a second create ends with -E2BIG (-7)"),
    ("2", "v1: viommu_type has 64 bits; 0: -EINVAL (-22); 1: done"),
    ("2", "v3: viommu_type has 64 bits; 0: done; 1: -EINVAL (-22)"),
    ("2", "v4: viommu_type has 8 bits"),
    ("3", "v2: capabilities 0: done; capabilities 1: done; capabilities 2: -EINVAL (-22)"),
    ("3", "v1, created with capabilities 0: ECAP.IR reads 1, an interrupt is taken by vCPU 1"),
    ("5", "v1: query takes viommu_type alone; known type: done, caps 1; unknown type: -EINVAL (-22)"),
    ("5", "v3: sub-command 2 ends with -ENOSYS (-38)"),
    ("6", "v4: 0xfed90000 before create: not trapped, reads 0xffffffff; after it: trapped, reads 0x10; 0xd0 bytes are "
          "trapped"),
    ("6", "v4: 8 bytes at 0xcc, across the end: trapped, domain crashed; 4 bytes at 0xd0: not trapped, reads "
          "0xffffffff"),
    ("6", "v1: 8 bytes at 0xffc, across the end: trapped, domain crashed"),
    ("6", "v1: length 0x0: -EINVAL (-22); 0xd0: -EINVAL (-22); 0x1000: done"),
    ("6", "v1: a base of 0xfed90800, not a multiple of 4096: done"),
    ("6", "v4: a base inside RAM, 0x100000: done"),
    ("7", "vCPU 128, APIC ID 256: the low 8 bits in a message are taken by vCPU 0 vector 0x41; an entry is taken by "
          "vCPU 128"),
    ("9", "v4 saves type 21 'VVTD', 232 bytes"),
    ("9", "saved by v3, loaded by v4: -EINVAL (-22); an entry's interrupt is taken by nobody"),
    ("9", "saved by v1, loaded by v1: done; an entry's interrupt is taken by vCPU 1"),
    ("10", "v1: goes on to the device model outside"),
    ("10", "v4: swallowed"),
    ("11", "v4: GSTS reports the table latched; an interrupt: its caller sees result 35"),
    ("12", "v1, no vIOMMU, address bit 4 set: taken by nobody"),
    ("12", "v3, no vIOMMU, address bit 4 set: taken by vCPU 1"),
    ("14", "v1: destroy: done; create after it: -EINVAL (-22)"),
    ("14", "v3: destroy: done; create after it: done"),
    ("14", "v4: destroy: -ENOSYS (-38)"),
    ("16", "hypervisor would crash here"),
    ("17", "nothing invalidated: still routed to vCPU 1"),
    ("17", "after an IEC invalidation and a read: routed to vCPU 3"),
    ("18", "v4, hvm, with a vIOMMU: 72 bytes, checksum 0x24"),
    ("18", "v4, pvh, without a vIOMMU: none"),
    ("N1", "D10: as coded taken by vCPU 1 vector 0x41; corrected taken by nobody"),
    ("N2", "one read of a register works off 32767 descriptors"),
    ("N2", "walks 1048576 entries"),
    ("N4", "D8: as coded taken by nobody; corrected taken by vCPU 1"),
    ("N5", "v4, IRE 0: a bind decodes the entry all the same, to vector 0x41"),
    ("N6", "base 0xfed90000: -EBUSY (-16); base 0xfed91000: done, id 1"),
    ("N7", "v1: reads viommu_type 0xfed9000000000000"),
    ("N8", "D13: as coded result 34; corrected result -14"),
])
def test_the_evidence_is(number, says):
    assert says in shown(number)


def test_a_32_bit_toolstack_puts_every_member_four_bytes_earlier():
    """64-bit members that are not declared as aligned: 4 bytes are enough for them there (X 2.2)."""
    wide = evidence.INTERFACES["v1"].fields(0)
    body = evidence.narrow("v1", **{part.name: 0x11 * number for number, part in enumerate(wide, 1)})
    assert [body[part.offset - 4] for part in wide] == [0x11, 0x22, 0x33, 0x44, 0x55]


@pytest.mark.parametrize("members, says", [
    ({}, "done"), ({"length": 0xD0}, "-ERANGE (-34)"), ({"base_address": 0x100000}, "-EEXIST (-17)"),
    ({"base_address": 0xFEC00000}, "-EBUSY (-16)"), ({"viommu_type": 0}, "-ENOENT (-2)")])
def test_the_corrected_hypercall_says_what_is_wrong(members, says):
    assert evidence.ends("corrected", **members) == says


def test_what_is_quoted_names_its_source_and_grade():
    assert all(row.source and row.grade in GRADES for row in LIMITS)
    assert {row.question for row in LATER} <= {each.number for each in QUESTIONS}


def test_grades_of_quirks_are_explained_too():
    words = {word for row in QUIRKS.values() if row.id.startswith("xen.") for word in row.sure.split()}
    assert words - {"in", "part"} <= GRADES.keys()
