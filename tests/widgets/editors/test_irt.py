"""The remapping table: found, edited, foretold, written, invalidated or forgotten; the stale entry is seen and used."""

import pytest

from vsim.devices import msi
from vsim.devices.viommu import create_op
from vsim.layouts.bits import get
from vsim.layouts.formats import IEC, IRTE, IRTE_POSTED, remap_message
from vsim.layouts.registers import IQT
from vsim.machine import step, unit_register
from vsim.state import commands as c
from vsim.state.arrays import Latch, Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act
from widgets.editors.entries import (
    BY_DEVICE,
    BY_INDEX,
    BY_VCPU,
    EVERYTHING,
    base,
    cached,
    described,
    entries,
    find,
    invalidate_commands,
    stale,
    stored,
    targets,
    used,
    users,
    verdict,
    with_entry,
    write_commands,
)
from widgets.editors.irt import _FREE
from widgets.lab import Lab

CONFIG = """name = "host"
vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0", "04:00.0"]
"""
NIC = 0x0300


@pytest.fixture
def lab():
    made = Lab.from_config(CONFIG)
    made.boot()
    made.fire(NIC, 2)
    return made


@pytest.fixture
def panel(lab):
    made = lab.irt
    made.choose(index_of(lab, 2))
    yield made
    made.close()


def test_it_opens_on_the_entry_that_the_newest_interrupt_met(lab):
    assert lab.irt.index == index_of(lab, 2)


def test_it_opens_on_the_interrupt_that_is_looked_at_or_on_the_first_entry(lab):
    lab.fire(NIC, 1)
    lab.selection.serial = lab.machine.serials - 1
    assert lab.irt.index == index_of(lab, 2)
    silent = Lab.from_config(CONFIG)
    silent.boot()
    assert silent.irt.index == next(used(silent.machine, 0)) != index_of(lab, 2)


def index_of(lab, message, bdf=NIC):
    return lab.kernel.guest.sources[bdf][message].index


@pytest.fixture
def pair():
    """A Lab with two units, a device behind each."""
    bus = Bus([Function(0x300, "nic", msix_count=4), Function(0x400, "disk", msix_count=2)])
    m = Machine(profile("spec").with_options(max_units=2), 8, 64 << 20, bus)
    m.scope = {0x300: 0, -1: 1}
    for unit in range(2):
        step(m, c.Domctl(create_op(0xFED90000 + 4096 * unit)))
    made = Lab(m)
    made.boot()
    return made


def test_the_unit_that_is_looked_at_has_its_table_and_registers_shown(pair):
    irt, registers = pair.irt, pair.registers
    nic, disk = (pair.kernel.guest.sources[bdf][1].index for bdf in (0x300, 0x400))
    pair.selection.irte = nic
    edit(irt, vector="0x77")
    first = registers.head.value
    pair.selection.unit, pair.selection.irte = 1, disk
    assert not irt.dirty and "04:00.0" in {index: text for text, index in irt.list.options}[disk]
    assert f"{base(pair.machine, 1) + 16 * disk:#x}" in irt.head.value
    assert registers.head.value != first and "0xfed91000" in registers.head.value
    pair.selection.unit, pair.selection.irte = 0, nic
    assert irt.dirty and get(irt.editor.value, IRTE.vector) == 0x77, "what was not written is kept"
    for each in (irt, registers):
        each.close()


def happened(events):
    return [Act(event.act).name for event in events]


# --- finding ---


def test_every_entry_of_the_guest_is_in_use(lab):
    mine = sorted(s.index for found in lab.kernel.guest.sources.values() for s in found)
    assert find(lab.machine, 0, EVERYTHING, "") == mine == list(used(lab.machine, 0))


@pytest.mark.parametrize("bdf, name", [(NIC, "03:00.0"), (0x400, " 4:0.0 ")])
def test_entries_are_found_by_the_device_that_they_let_in(lab, bdf, name):
    assert find(lab.machine, 0, BY_DEVICE, name) == [s.index for s in lab.kernel.guest.sources[bdf]]


@pytest.mark.parametrize("vcpu", range(8))
def test_entries_are_found_by_the_vcpu_that_they_reach(lab, vcpu):
    mine = sorted(s.index for found in lab.kernel.guest.sources.values() for s in found if s.vcpu == vcpu)
    assert find(lab.machine, 0, BY_VCPU, str(vcpu)) == mine


@pytest.mark.parametrize("destination", ["physical", "cluster"])
def test_targets_are_who_takes_it(destination):
    lab = Lab.from_config(CONFIG)
    lab.boot(destination)
    for message in range(12):
        entry = stored(lab.machine, 0, index_of(lab, message))
        reached = [e.node & 0xFFFFFF for e in lab.fire(NIC, message) if e.act == Act.ACCEPTED]
        assert targets(lab.machine, 0, entry) == reached


@pytest.mark.parametrize("by, text, said", [
    (BY_INDEX, "65536", "over its limit 0xffff"), (BY_INDEX, "x", "is not a number"),
    (BY_DEVICE, "nic", "is not bus:device.function"), (BY_VCPU, "8", "over its limit 0x7"),
    (BY_VCPU, "<b>", "is not a number")])
def test_a_search_for_what_cannot_be_is_told(panel, by, text, said):
    panel.by.value = by
    panel.text.value = text
    assert said in panel.status.value and "<b>" not in panel.status.value


def test_a_search_fills_the_list_and_opens_the_first(panel):
    panel.by.value = BY_DEVICE
    panel.text.value = "04:00.0"
    assert [index for _, index in panel.list.options] == find(panel.lab.machine, 0, BY_DEVICE, "04:00.0")
    assert panel.index == panel.list.options[0][1]
    assert "32 entries" in panel.found.value


def test_an_entry_chosen_in_the_list_is_opened_and_shared(panel):
    panel.list.value = panel.list.options[7][1]
    assert panel.index == panel.lab.selection.irte == panel.list.options[7][1]
    assert panel.editor.value == stored(panel.lab.machine, 0, panel.index)


def test_an_entry_chosen_elsewhere_is_followed(panel):
    panel.lab.selection.irte = 19
    assert panel.index == panel.list.value == 19


@pytest.mark.parametrize("index", [-1, 65536])
def test_an_entry_outside_the_table_is_the_callers_mistake(panel, index):
    with pytest.raises(ValueError, match="the table has 65536 entries"):
        panel.choose(index)
    with pytest.raises(ValueError, match="the table has 65536 entries"):
        write_commands(panel.lab.machine, 0, index, 0)


# --- editing, foretelling ---


def edit(panel, **fields):
    for name, value in fields.items():
        panel.editor.controls[name].value = value


def test_the_preview_says_three_things_once_the_entry_is_edited(panel):
    assert "written without" not in panel.preview.value
    edit(panel, vector="0x77")
    said = panel.preview.value
    assert said.count("Remapped by its cached copy") == 1 and "vector 0x77" in said
    assert "now, written without invalidation:" in said, "the cached copy is used all the same"
    assert "written without invalidation" in said and "written and invalidated" in said


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"p": False}, "0x22, the entry is not present"),
        ({"sid": "05:00.0"}, "ended by request"),
        ({"dst": "0xffff"}, "no vCPU has it"),
        ({"dlm": 3}, "0x24"),
        ({"im": True}, "0x24"),
        ({"dst": "6"}, "vCPU 3"),
    ],
)
def test_the_verdict_follows_the_edit(panel, fields, said):
    """The request stays that of the device: 03:00.0."""
    panel.request.value, panel.number.value = NIC, 2
    edit(panel, **fields)
    if said == "ended by request":
        said = "0x26, the requester is not the source"
    assert said in panel.preview.value
    assert "The checks, in order" in panel.preview.value


def test_foretelling_changes_nothing(panel):
    before = panel.lab.machine.copy()
    edit(panel, vector="0x77", p=False)
    assert panel.lab.machine == before


@pytest.mark.parametrize("box, typed, said", [("requester", "x", "requester: 'x' is not a number"),
                                              ("address", "0x1" + "0" * 16, "address: 0x10000000000000000 is over"),
                                              ("data", "<b>", "&lt;b&gt;")])
def test_a_request_that_cannot_be_is_told(panel, box, typed, said):
    panel.request.value = _FREE
    getattr(panel, box).value = typed
    assert said in panel.status.value.replace("&#x27;", "'")


def test_any_request_can_be_tried(panel):
    panel.request.value = _FREE
    panel.address.value, panel.data.value, panel.requester.value = "0xfee02000", "0x41", "03:00.0"
    assert "0x25" in panel.preview.value  # compatibility format is blocked in x2APIC mode
    assert panel.chosen_request() == (NIC, 0xFEE02000, 0x41)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("fields", [{"vector": "0x77"}, {"p": False}, {"dst": "10"}, {"sid": "04:00.0"}])
def test_what_is_foretold_is_what_happens(panel, told, fields):
    """The sentence of the preview is the verdict on the same request after the commit."""
    lab, request = panel.lab, (NIC, *remap_message(panel.index))
    edit(panel, **fields)
    said = verdict(with_entry(lab.machine, 0, panel.index, panel.editor.value, told), 0, request)
    panel.commit(told)
    assert verdict(lab.machine, 0, request)[0] == said[0]


# --- what was changed is marked, and kept ---


def changed(panel):
    return sorted(name for name, control in panel.editor.controls.items() if "vsim-changed" in control._dom_classes)


def texts(panel):
    return {index: text for text, index in panel.list.options}


def test_changed_bits_and_fields_are_marked_and_said(panel):
    assert changed(panel) == [] and panel.editor.strip.word == panel.editor.strip.before
    edit(panel, vector=f"{get(panel.editor.value, IRTE.vector) ^ 5:#x}", p=False)
    assert changed(panel) == ["p", "vector"]
    assert (int(panel.editor.strip.word, 16) ^ int(panel.editor.strip.before, 16)).bit_count() == 3
    assert "p: 1 becomes 0." in panel.editor.effects.value


def test_the_list_is_not_filled_again_while_only_the_forecast_changes(panel):
    """It may have hundreds of lines: filling it takes a page longer than the forecast itself."""
    filled = []
    panel.list.observe(filled.append, "_options_labels")
    for _ in range(2):
        edit(panel, p=not get(panel.editor.value, IRTE.p))
    edit(panel, p=False)
    assert not filled
    panel.choose(index_of(panel.lab, 5))
    assert len(filled) == 1 and sum("✎" in text for text in texts(panel).values()) == 1


def test_changes_are_kept_when_another_entry_is_chosen(panel):
    first, other = panel.index, index_of(panel.lab, 5)
    edit(panel, vector="0x77")
    panel.choose(other)
    assert changed(panel) == [] and f"not written yet: entry {first}." in panel.head.value
    assert texts(panel)[first].endswith("✎") and "✎" not in texts(panel)[other]
    edit(panel, p=False)
    panel.list.value = first
    assert panel.dirty and get(panel.editor.value, IRTE.vector) == 0x77 and changed(panel) == ["vector"]
    assert f"not written yet: entry {other}." in panel.head.value
    assert not any(isinstance(command, c.RamWrite) and command.data[2:3] == b"\x77"
                   for command in panel.lab.history.commands)


def test_changes_are_dropped_only_by_the_button_or_by_writing_them(panel):
    old = panel.editor.value
    assert panel.forget.disabled
    edit(panel, vector="0x77")
    assert not panel.forget.disabled
    panel.drop()
    assert panel.editor.value == old and not panel.dirty and panel.forget.disabled
    assert "✎" not in texts(panel)[panel.index]
    edit(panel, vector="0x77")
    panel.commit(True)
    assert not panel.dirty and changed(panel) == [] and "✎" not in texts(panel)[panel.index]


def test_when_memory_becomes_what_was_typed_nothing_is_changed_any_more(panel):
    edit(panel, vector="0x77")
    word = panel.editor.value
    panel.lab.issue(c.RamWrite(base(panel.lab.machine, 0) + 16 * panel.index, word.to_bytes(16, "little")))
    assert not panel.dirty and panel.editor.value == word and changed(panel) == []


def test_what_is_lent_to_the_editor_survives_its_other_format_and_goes_with_the_panel(panel):
    edit(panel, im=True)
    assert panel.commit_with.comm is not None and panel.preview in panel.editor.children
    edit(panel, im=False)
    panel.guarded(lambda: panel.commit(True))
    assert "is written" in panel.answer.value
    panel.close()
    assert panel.commit_with.comm is None and panel.preview.comm is None


def test_the_forecast_stands_next_to_the_bits(panel):
    order = list(panel.editor.children)
    lines = next(each for each in order if panel.editor.whole in getattr(each, "children", ()))
    assert order.index(panel.editor.strip) < order.index(panel.preview) < order.index(lines)


# --- who uses an entry ---


def test_the_list_names_message_and_vcpu(lab, panel):
    for message in (0, 7):
        source = lab.kernel.guest.sources[NIC][message]
        assert f"03:00.0 msg {message}" in texts(panel)[source.index]
        assert f"{source.vector:#04x} → vCPU {source.vcpu}" in texts(panel)[source.index]


def test_an_absent_entry_keeps_its_last_device(lab, panel):
    edit(panel, p=False)
    panel.commit(True)
    assert "03:00.0 msg 2" in texts(panel)[panel.index] and "not present" in texts(panel)[panel.index]
    panel.editor.value = 0
    panel.commit(True)
    assert "03:00.0 msg 2" in users(lab.machine)[panel.index], "its message still names it"


def test_without_a_message_that_names_it_an_entry_has_the_requester_that_it_lets_in(lab):
    assert described(lab.machine, 0, index_of(lab, 2)).split()[:2] == [str(index_of(lab, 2)), "03:00.0"]


def test_a_pin_uses_an_entry_too():
    lab = Lab.from_config(CONFIG)
    lab.boot()
    pins = {s.number: s.index for found in lab.kernel.guest.sources.values() for s in found if s.kind == "pin"}
    assert all(users(lab.machine)[index] == f"pin, GSI {gsi}" for gsi, index in pins.items())


def test_a_line_of_the_list_fits_its_column(lab):
    for index in used(lab.machine, 0):
        assert len(described(lab.machine, 0, index, users(lab.machine).get(index, ""))) <= 46


@pytest.mark.parametrize("message", [0, 3, 11, 31])
def test_any_message_of_any_device_can_be_the_request(lab, panel, message):
    panel.request.value, panel.number.value = NIC, message
    place = lab.machine.bus.place(NIC)
    _, *programmed = msi.message(lab.machine.bus, lab.machine.config, lab.machine.msix, place, message)
    assert panel.chosen_request() == (NIC, *programmed)
    assert f"entry {index_of(lab, message)}" in panel.preview.value


def test_a_message_that_would_not_be_sent_says_so(panel):
    lab = panel.lab
    place = lab.machine.bus.place(NIC)
    lab.issue(c.ConfigWrite(NIC, lab.machine.bus.msix_caps[place] + 2, 2, 0xC000))
    panel.request.value, panel.number.value = NIC, 3
    assert "The device sends nothing now; masked: it waits as pending" in panel.preview.value


@pytest.mark.parametrize("act, name", [
    (lambda panel: panel.commit(True), "write entry {} and invalidate it"),
    (lambda panel: panel.commit(False), "write entry {}"), (lambda panel: panel.invalidate(), "invalidate entry {}"),
    (lambda panel: panel.fire(), "send a request of 03:00.0")], ids=["both", "write", "invalidate", "send"])
def test_what_is_done_here_is_a_gesture_with_a_name(panel, act, name):
    act(panel)
    assert list(panel.lab.gestures())[-1].name == name.format(panel.index)


# --- committing ---


def test_a_commit_with_invalidation_is_what_a_guest_does(panel):
    here, tail = panel.lab.position, get(unit_register(panel.lab.machine, "IQT"), IQT.qt)
    edit(panel, vector="0x77")
    panel.commit(True)
    done = panel.lab.history.commands[here:]
    assert [type(command) for command in done] == [c.RamWrite, c.RamWrite, c.Mmio]
    assert int.from_bytes(done[1].data, "little") == IEC.make(type=4, g=1, iidx=panel.index)
    assert get(unit_register(panel.lab.machine, "IQT"), IQT.qt) == tail + 1
    assert unit_register(panel.lab.machine, "IQH") == unit_register(panel.lab.machine, "IQT")
    assert "INVALIDATED" in happened(panel.lab.last)
    assert not stale(panel.lab.machine, 0, panel.index) and cached(panel.lab.machine, 0, panel.index) is None
    panel.lab.undo()
    assert panel.lab.position == here


def test_a_forgotten_invalidation_leaves_the_old_entry_in_use(panel):
    lab, old = panel.lab, get(panel.editor.value, IRTE.vector)
    edit(panel, vector="0x77")
    panel.commit(False)
    assert stale(lab.machine, 0, panel.index)
    assert "STALE" in panel.head.value and f"vector={old:#x}" in panel.head.value
    assert " STALE" in {i: t for t, i in panel.list.options}[panel.index]
    events = lab.fire(NIC, 2)
    assert "HIT" in happened(events)
    assert [e.index for e in events if e.act == Act.ACCEPTED] == [old]
    panel.invalidate()
    assert "STALE" not in panel.head.value
    assert [e.index for e in lab.fire(NIC, 2) if e.act == Act.ACCEPTED] == [0x77]


def test_without_a_cache_no_copy_is_stale():
    lab = Lab.from_config(CONFIG, profile=profile("spec").with_options(cache="none"))
    lab.boot()
    lab.fire(NIC, 2)
    panel = lab.irt
    panel.choose(index_of(lab, 2))
    edit(panel, vector="0x77")
    panel.commit(False)
    assert "no old copy" in panel.answer.value and not stale(lab.machine, 0, panel.index)
    panel.close()


def test_the_guest_goes_on_behind_the_panels_descriptor(panel):
    """Both write to one queue; a guest that overwrote the tail would lose its own invalidation."""
    lab = panel.lab
    edit(panel, vector="0x77")
    panel.commit(True)
    source = lab.kernel.guest.sources[NIC][5]
    lab.fire(NIC, 5)
    assert lab.kernel.affinity(source, 1) == ""
    assert not stale(lab.machine, 0, source.index)
    assert [e.node & 0xFFFFFF for e in lab.fire(NIC, 5) if e.act == Act.ACCEPTED] == [1]


def test_the_tail_wraps_with_the_queue(lab):
    m = lab.machine.copy()
    m.regs[0x88 // 4] = 255 << 4
    write = invalidate_commands(m, 0, 3)[1]
    assert write.value == 0


def test_with_the_queue_off_the_unit_cannot_be_told(lab):
    lab.issue(c.Mmio(0xFED90018, 4, 1 << 25))  # GCMD without QIE
    panel = lab.irt
    here = lab.position
    edit(panel, vector="0x77")
    panel.guarded(lambda: panel.commit(True))
    assert "queued invalidation is off" in panel.status.value
    assert lab.position == here and panel.dirty
    panel.commit(False)
    assert lab.position == here + 1
    panel.close()


def test_the_previewed_request_can_be_sent(panel):
    edit(panel, p=False)
    panel.commit(True)
    panel.fire()
    blocked = [e for e in panel.lab.last if e.act == Act.BLOCKED]
    assert [(e.index, e.low, e.high) for e in blocked] == [(0x22, panel.index, NIC)]


def test_what_is_being_edited_survives_a_change_elsewhere(panel):
    edit(panel, vector="0x77")
    panel.lab.fire(0x400, 0)
    assert panel.dirty and get(panel.editor.value, IRTE.vector) == 0x77


def test_what_is_not_being_edited_follows_memory(panel):
    m = panel.lab.machine
    panel.lab.issue(c.RamWrite(base(m, 0) + 16 * panel.index, (0x55 << 16 | 1).to_bytes(16, "little")))
    assert panel.editor.controls["vector"].value == "0x55" and not panel.dirty
    panel.lab.undo()
    assert panel.editor.controls["vector"].value != "0x55"


def test_the_editor_takes_the_format_that_the_mode_bit_says(panel):
    assert panel.editor.layout_of_bits is IRTE
    edit(panel, im=True)
    assert panel.editor.layout_of_bits is IRTE_POSTED and panel.dirty
    edit(panel, im=False)
    assert panel.editor.layout_of_bits is IRTE and not panel.dirty


# --- when there is no table ---


def test_before_the_boot_there_is_no_table():
    lab = Lab.from_config(CONFIG)
    panel = lab.irt
    assert "No table is in use yet" in panel.head.value and panel.commit_with.disabled
    panel.guarded(lambda: panel.commit(False))
    assert "no entry is chosen" in panel.status.value
    lab.boot()
    assert panel.editor is not None and not panel.commit_with.disabled
    lab.undo()
    assert panel.editor is None and panel.commit_with.disabled
    lab.undo()
    assert "There is no vIOMMU" in panel.head.value
    panel.close()


def test_a_table_outside_memory_is_shown_as_such(lab):
    m = lab.machine.copy()
    m.latch[Latch.BASE_PAGE] = 1 << 30
    assert stored(m, 0, 0) is None and entries(m, 0) == 65536
    other = Lab(m)
    panel = other.irt
    panel.by.value, panel.text.value = BY_INDEX, "5"
    assert "not memory" in panel.list.options[0][0]
    panel.close()


def test_a_full_table_is_listed_up_to_a_limit_and_that_is_said():
    lab = Lab.from_config(CONFIG)
    lab.boot()
    lab.issue(c.RamWrite(base(lab.machine, 0), bytes(range(1, 17)) * 4096))
    panel = lab.irt
    assert len(panel.list.options) == 500 and "the first are listed" in panel.found.value
    panel.close()
