"""The hypercall by hand: form, bytes and xl line are one; the answer is foretold, then given with its bytes."""

import errno
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices import viommu
from vsim.devices.viommu import INTERFACES, Op
from vsim.readers import xl
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from widgets.editors.hypercall import blamed, dump, foretold, from_xl, named, reasons, undump, xl_line
from widgets.lab import Lab

CREATE = viommu.create_op()
M64 = (1 << 64) - 1


@pytest.fixture
def panel():
    made = Lab(Machine(profile("spec"), vcpus=2)).domctl
    yield made
    made.close()


def fields(panel, op=Op.CREATE):
    return {name: int(control.value, 16) for name, control in panel.controls[op].items()}


# --- bytes and lines ---


@given(st.binary(max_size=128))
def test_a_dump_reads_back(data):
    assert undump(dump(data)) == data


@pytest.mark.parametrize("text, data", [("", b""), ("0102 ff", b"\1\2\xff"), ("00  aa bb\n02: cc", b"\xaa\xbb\xcc")])
def test_bytes_may_be_written_in_several_ways(text, data):
    assert undump(text) == data


@pytest.mark.parametrize("text, said", [
    ("00  01 0g", "line 1, column 8: '0g'"), ("01\n123", "line 2, column 1: '123'"), ("ff" * 129, "found 129"),
    ("__import__('os')", "is no pair of hex digits"), ("00  <b>", "column 5: '<b>'")])
def test_bytes_that_are_none_are_refused_with_their_place(text, said):
    with pytest.raises(ValueError) as caught:
        undump(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("remap, caps", [(1, 1), (0, 0)])
def test_the_xl_line_and_the_hypercall_say_the_same(remap, caps):
    values = viommu.decode("v1", viommu.create_op(capabilities=caps))[1]
    line, _ = xl_line(values)
    assert line == f'viommu = "type=vtd,intremap={remap}"'
    told = ("viommu_type", "base_address", "length", "capabilities")
    assert from_xl(line) == ({name: values[name] for name in told}, [])
    assert xl.parse(line).viommu.intremap is bool(caps)


@pytest.mark.parametrize("change, said", [({"viommu_type": 7}, "no name for viommu_type 0x7"),
                                          ({"length": 8}, "length 0x1000"),
                                          ({"base_address": 0}, "base_address 0xfed90000"),
                                          ({"capabilities": 3}, "no other capability")])
def test_what_xl_cannot_say_is_told(change, said):
    values = viommu.decode("v1", CREATE)[1] | change
    assert any(said in note for note in xl_line(values)[1])


@pytest.mark.parametrize("version", INTERFACES)
def test_each_version_writes_the_line_that_its_own_xl_reads(version):
    values = viommu.decode(version, viommu.create_op(version=version))[1]
    line, _ = xl_line(values, version)
    read, notes = from_xl(line, version)
    assert notes == [] and read == {name: values[name] for name in read}
    assert viommu.encode(version, Op.CREATE, **read) == viommu.create_op(version=version)


@pytest.mark.parametrize("version, line, said", [
    ("v4", "viommu = 'type=vtd,intremap=1'", "refuses it, and takes viommu = [ \"type=intel_vtd"),
    ("v1", "['type=intel_vtd']", "written as in version 3 and 4"), ("v1", "type=vtd", "has no intremap key")])
def test_a_line_of_another_version_is_read_and_told(version, line, said):
    assert any(said in note for note in from_xl(line, version)[1])


def test_a_line_that_this_xl_refuses_is_told():
    values = {"viommu_type": 0, "base_address": 0xFED90000, "capabilities": 0}
    assert any("refuses" in note for note in xl_line(values, "v4")[1])


# --- the form ---


def test_the_form_begins_with_the_toolstacks_defaults(panel):
    assert panel.body == CREATE == undump(panel.bytes.value)
    assert fields(panel) == {"viommu_type": 1, "base_address": 0xFED90000, "length": 4096, "capabilities": 1}
    assert "It will be done." in panel.before.value


@pytest.mark.parametrize("name, typed, value", [("viommu_type", "2", 2), ("base_address", "0xfec0_0000", 0xFEC00000),
                                                ("length", "8192", 8192), ("capabilities", "0x8000000000000001",
                                                                           1 << 63 | 1)])
def test_a_member_changes_bytes_and_line(panel, name, typed, value):
    panel.controls[Op.CREATE][name].value = typed
    assert viommu.decode("v1", panel.body)[1][name] == value
    assert undump(panel.bytes.value) == panel.body
    assert panel.xl.value == xl_line(viommu.decode("v1", panel.body)[1])[0]


@given(st.fixed_dictionaries({"viommu_type": st.integers(0, M64), "base_address": st.integers(0, M64),
                              "length": st.integers(0, M64), "capabilities": st.integers(0, M64)}))
def test_bytes_change_the_form(values):
    panel = Lab(Machine(profile("spec"), vcpus=1)).domctl
    panel.bytes.value = viommu.encode("v1", Op.CREATE, **values).hex()
    assert fields(panel) == values
    assert panel.before.value
    panel.close()


def test_the_line_changes_the_form(panel):
    panel.xl.value = 'viommu="type=vtd,intremap=0"'
    assert fields(panel)["capabilities"] == 0
    panel.xl.value = "type=vtd,intremap=1,x2apic=0"
    assert fields(panel)["capabilities"] == 1


@pytest.mark.parametrize("line, said", [
    ("viommu = 'type=amd'", "1:11: viommu type is 'amd'"), ("nothing", "viommu key is 'nothing'"),
    ("vcpus = 4", "viommu key is 'vcpus'"), ("viommu = \"type=vtd", "xl line:1")])
def test_a_wrong_line_is_told_and_changes_nothing(panel, line, said):
    panel.xl.value = line
    assert said in panel.status.value.replace("&#x27;", "'")
    assert panel.body == CREATE


@pytest.mark.parametrize("typed, said", [("0x1ffffffffffffffff", "over its limit"), ("forty", "is not a number"),
                                         ("<b>", "&lt;b&gt;")])
def test_a_wrong_member_is_told_at_its_control(panel, typed, said):
    control = panel.controls[Op.CREATE]["base_address"]
    control.value = typed
    assert said in panel.status.value and "<b>" not in panel.status.value
    assert "vsim-wrong" in control._dom_classes and panel.body == CREATE
    control.value = "0xfed91000"
    assert panel.status.value == "" and "vsim-wrong" not in control._dom_classes


@pytest.mark.parametrize("op, shown", [(Op.CREATE, True), (Op.DESTROY, False), (Op.QUERY_CAPS, False)])
def test_each_sub_command_has_its_members_and_only_create_a_line(panel, op, shown):
    panel.op.value = op
    assert [name for name, form in panel.forms.items() if form.layout.display != "none"] == [op]
    assert viommu.decode("v1", panel.body)[0] == op
    assert panel.xl.disabled is not shown


@pytest.mark.parametrize("op", Op)
@pytest.mark.parametrize("version", INTERFACES)
def test_each_version_has_its_own_form_and_says_what_it_does_not_know(version, op):
    panel = Lab(Machine(profile("spec").with_options(interface=version), vcpus=1)).domctl
    panel.op.value = op
    assert viommu.decode(version, panel.body)[0] == op
    assert list(panel.controls[op]) == [p.name for p in INTERFACES[version].fields(op) if not p.out]
    assert [name for name, form in panel.forms.items() if form.layout.display != "none"] == [op]
    assert ("There is no sub-command" in panel.before.value) == (op not in INTERFACES[version].parts)
    panel.close()


def test_bytes_of_an_unknown_sub_command_stay_bytes(panel):
    panel.bytes.value = "ff" * 48
    assert panel.body == b"\xff" * 48
    assert "no sub-command 0xffffffff" in panel.before.value


# --- all that is wrong, at once ---


def wrong(panel, op=Op.CREATE):
    return [name for name, control in panel.controls[op].items() if "vsim-wrong" in control._dom_classes]


def test_every_member_that_is_wrong_is_marked_at_once_with_its_bytes(panel):
    panel.bytes.value = viommu.create_op(viommu_type=9, base_address=0x1010, length=1, capabilities=6).hex()
    assert wrong(panel) == ["viommu_type", "base_address", "length", "capabilities"]
    assert "will be refused with ENOENT" in panel.before.value
    assert ("Then ERANGE (34), length; then EOPNOTSUPP (95), capabilities; then EINVAL (22), base address; "
            "then EEXIST (17), base address.") in panel.before.value
    assert panel.octets.html.count(" wrong") == 32
    assert "not a multiple of 4096" in panel.notes[Op.CREATE]["base_address"].value
    assert "lies over guest memory" in panel.notes[Op.CREATE]["base_address"].value
    panel.bytes.value = CREATE.hex()
    assert wrong(panel) == [] and " wrong" not in panel.octets.html


def test_members_that_are_no_numbers_are_all_told_beside_their_controls(panel):
    for name in ("length", "base_address"):
        panel.controls[Op.CREATE][name].value = "forty"
    assert wrong(panel) == ["base_address", "length"]
    assert panel.status.value.count("is not a number") == 2 and panel.body == CREATE
    assert all("is not a number" in panel.notes[Op.CREATE][name].value for name in wrong(panel))


@pytest.mark.parametrize("version", INTERFACES)
@given(body=st.binary(min_size=48, max_size=48))
def test_the_first_of_all_reasons_is_the_one_that_refuses(version, body):
    m = Machine(profile("spec").with_options(interface=version), vcpus=1)
    before = m.copy()
    for data in (body, b"\0" * 4 + body[4:]):
        data = data[:INTERFACES[version].size]
        first = viommu.check(m.copy(), *viommu.decode(version, data))
        assert reasons(m, data)[:1] == ([first] if first else []) and m == before
        members = {part.name for part in INTERFACES[version].fields(viommu.decode(version, data)[0])}
        assert blamed(reasons(m, data)).keys() <= members


# --- a member and its bytes ---


@pytest.mark.parametrize("version", INTERFACES)
@pytest.mark.parametrize("op", Op)
def test_every_byte_of_a_member_carries_its_name_and_so_does_its_row(version, op):
    panel = Lab(Machine(profile("spec").with_options(interface=version), vcpus=1)).domctl
    panel.op.value = op
    face = INTERFACES[version]
    assert panel.octets.html.count("data-at=") == face.size
    for part in (part for part in face.fields(op) if not part.out):
        assert len(re.findall(rf"vsim-part-{part.name}\b", panel.octets.html)) == part.width
        row = next(row for row in panel.forms[op].children if panel.controls[op][part.name] in row.children)
        assert f"vsim-part-{part.name}" in row._dom_classes
    panel.close()


@pytest.mark.parametrize("at, value, name, now", [(17, 0x10, "base_address", 0xFED91000), (25, 0x20, "length", 0x2000)])
def test_a_byte_that_is_typed_over_changes_its_member(panel, at, value, name, now):
    base = (panel.body[:at] + bytes([value]) + panel.body[at + 1:])
    panel.octets._handle_custom_msg({"at": at, "value": value}, [])
    assert panel.body == base and viommu.decode("v1", panel.body)[1][name] == now
    assert fields(panel)[name] == now


@pytest.mark.parametrize("content", [
    None, [], {}, {"at": -1, "value": 0}, {"at": 999, "value": 0}, {"at": 0, "value": 256}, {"at": "0", "value": 0},
    {"at": 0, "value": True}, {"at": 0.0, "value": 1}])
def test_what_a_page_may_not_ask_of_a_byte_changes_nothing(panel, content):
    panel.octets._handle_custom_msg(content, [])
    assert panel.body == CREATE and panel.status.value == ""


# --- issuing it ---


@pytest.mark.parametrize("ask", [
    lambda panel: setattr(panel.op, "value", Op.DESTROY),
    lambda panel: setattr(panel.xl, "value", "type=vtd,intremap=0"),
    lambda panel: setattr(panel.controls[Op.CREATE]["length"], "value", "8"),
    lambda panel: setattr(panel.controls[Op.CREATE]["length"], "value", "none"),
    lambda panel: setattr(panel.bytes, "value", "ff" * 48)], ids=["op", "line", "member", "no number", "bytes"])
def test_another_question_clears_the_former_answer(panel, ask):
    panel.issue()
    assert "Done: 0." in panel.answer.value and "Issued once more: " in panel.before.value
    ask(panel)
    assert panel.answer.value == "" and "Issued once more: " not in panel.before.value


@pytest.mark.parametrize("op, name", [(Op.CREATE, "create a vIOMMU"), (Op.DESTROY, "destroy a vIOMMU")])
def test_a_hypercall_is_a_gesture_with_its_name(panel, op, name):
    panel.op.value = op
    panel.issue()
    assert [each.name for each in panel.lab.gestures()] == [name]


def test_create_is_done_and_answered_with_its_bytes(panel):
    panel.issue()
    assert panel.lab.machine.live(0)
    assert "viommu id" not in panel.answer.value and "viommu_id = 0x0" in panel.answer.value
    assert dump(CREATE) in panel.answer.value
    assert "E2BIG" in panel.before.value


def test_query_shows_the_capabilities(panel):
    panel.op.value = Op.QUERY_CAPS
    panel.controls[Op.QUERY_CAPS]["viommu_type"].value = "1"
    panel.issue()
    assert "caps = 0x1" in panel.answer.value


def test_destroy_removes_it(panel):
    panel.issue()
    panel.op.value = Op.DESTROY
    panel.issue()
    assert not panel.lab.machine.live(0) and "Done: 0." in panel.answer.value


REFUSED = [({"viommu_type": 9}, errno.ENOENT, "No device model"), ({"length": 1}, errno.ERANGE, "not 4096"),
           ({"capabilities": 6}, errno.EOPNOTSUPP, "does not exist"),
           ({"base_address": 0x1000}, errno.EEXIST, "guest memory"),
           ({"base_address": 0xFED90010}, errno.EINVAL, "multiple of 4096"),
           ({"base_address": 0xFEE00000}, errno.EBUSY, "another device")]


@pytest.mark.parametrize("change, number, why", REFUSED)
def test_a_refusal_is_foretold_with_its_reason_and_then_happens(panel, change, number, why):
    before = panel.lab.machine.copy()
    for name, value in change.items():
        panel.controls[Op.CREATE][name].value = hex(value)
    assert named(number) in panel.before.value and why in panel.before.value
    assert panel.lab.machine == before
    panel.issue()
    assert f"Refused: -{named(number)}" in panel.answer.value and why in panel.answer.value
    assert not panel.lab.machine.live(0)


@given(st.binary(min_size=0, max_size=128))
def test_whatever_is_foretold_is_what_happens(body):
    lab = Lab(Machine(profile("spec"), vcpus=1))
    before = lab.machine.copy()
    said, _ = foretold(lab.machine, body)
    assert lab.machine == before
    done = lab.issue(c.Domctl(body))[0]
    assert ("will be done" in said) == (done.index == 0)
    assert done.index == 0 or errno.errorcode[done.index] in said


def test_version_1_as_coded_says_that_it_has_one_errno():
    lab = Lab(Machine(profile("spec").with_options(interface="v1"), vcpus=1))
    panel = lab.domctl
    panel.controls[Op.CREATE]["length"].value = "1"
    assert "EINVAL" in panel.before.value and "one errno" in panel.before.value
    panel.close()


def test_a_failed_allocation_is_foretold_and_not_used_up(panel):
    panel.lab.issue(c.OutOfMemory(1))
    assert "ENOMEM" in panel.before.value and panel.lab.machine.doomed == 1
    panel.issue()
    assert "ENOMEM" in panel.answer.value and panel.lab.machine.doomed == 0


def test_a_dead_machine_answers_nothing(panel):
    m = panel.lab.machine.copy()
    m.dead = 1
    dead = Lab(m).domctl
    dead.issue()
    assert "The machine is dead" in dead.answer.value
    dead.close()
