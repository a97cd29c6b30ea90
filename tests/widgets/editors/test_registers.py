"""The trapped page: what is foretold of a write is what it does, by every kind of access."""

import random

import pytest

from vsim.devices import vvtd
from vsim.devices.viommu import create_op
from vsim.layouts.bits import Access
from vsim.layouts.formats import remap_message
from vsim.layouts.registers import FSTS, GCMD, GSTS, IRTA, OFFSET, UNIT
from vsim.machine import step, unit_register
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from vsim.state.trace import Act
from widgets.editors import foresee
from widgets.editors.faults import MOST
from widgets.editors.registers import HIGH, LOW, WHOLE, cost_of_reading, held, page, start
from widgets.editors.strip import strip
from widgets.lab import Lab

BASE = 0xFED90000


def machine(name="spec"):
    m = Machine(profile(name), vcpus=2, ram_size=4 << 20)
    step(m, c.Domctl(create_op(version=m.profile.options.interface)))
    return m


def remapping(m):
    """A table of 256 entries at 64 KiB, all not present, in use."""
    step(m, c.Mmio(BASE + OFFSET["IRTA"], 8, IRTA.make(base=0x10, s=7)))
    for bits in (GCMD.make(sirtp=1), GCMD.make(ire=1)):
        step(m, c.Mmio(BASE + OFFSET["GCMD"], 4, bits))
    return m


def faulted(m):
    step(m, c.Msi(0x0300, *remap_message(5)))
    return m


@pytest.fixture
def panel():
    made = Lab(faulted(remapping(machine()))).registers
    yield made
    made.close()


@pytest.mark.parametrize("name", ["spec", "qemu-10"])
def test_the_page_has_every_register_and_every_fault_record(name):
    m = machine(name)
    rows = page(m)
    assert {row[2] for row in UNIT} <= {row.name for row in rows}
    assert sum(row.name.startswith("FRCD") for row in rows) == m.profile.capabilities.fault_records
    assert [row.offset for row in rows] == sorted(row.offset for row in rows)
    assert all(row.layout.width == 8 * row.width for row in rows)


def test_the_list_shows_what_the_registers_hold(panel):
    m = panel.lab.machine
    for row, text in zip(page(m), panel.list.options, strict=True):
        value = held(m, 0, row)
        digits = "F=1 reason 0x22" if row.name.startswith("FRCD") else f"{value:0{2 * row.width}x}"
        assert text.split(None, 2)[2].replace(" ", "") == digits.replace(" ", "")
        assert text.split()[:2] == [f"{row.offset:03x}", row.name]


def test_a_change_of_the_machine_reaches_the_list_and_the_choice_stays(panel):
    panel.choose("IRTA")
    panel.lab.issue(c.Mmio(BASE + OFFSET["IRTA"], 8, IRTA.make(base=0x20, s=3)))
    assert panel.list.options[panel.list.index] == "0b8 IRTA     00000000 00020003"
    assert panel.register.name == "IRTA"


@pytest.mark.parametrize("name, word", [
    ("IRTA", IRTA.make(base=0x10, s=7)),    # read-write: what is there
    ("GCMD", GCMD.make(ire=1)),             # write-only: the levels of GSTS, no command given anew
    ("FSTS", FSTS.make(ppf=1)),             # write 1 to clear: nothing is cleared
    ("FECTL", 1 << 31 | 1 << 30),
])
def test_a_writer_begins_with_what_changes_nothing(panel, name, word):
    panel.choose(name)
    m = panel.lab.machine
    assert panel.editor.value == word == start(m, 0, panel.register)
    assert "Nothing changes." in panel.before.value
    before = m.copy()
    panel.write()
    assert foresee.registers_changed(before, panel.lab.machine, 0) == []


def test_writing_1_clears_and_says_so_before(panel):
    panel.choose("FRCD0")
    panel.editor.controls["f"].value = True
    assert "f: writing 1 clears it; it becomes 0." in panel.editor.effects.value
    assert "FSTS: ppf=1 becomes 0." in panel.before.value
    panel.write()
    assert unit_register(panel.lab.machine, "FSTS") == 0


def test_a_write_only_register_says_so_and_what_it_does(panel):
    panel.choose("GCMD")
    panel.editor.controls["ire"].value = False
    assert "GSTS: irtps=1 ires=1 becomes irtps=1." in panel.before.value
    panel.editor.controls["ire"].value = True
    assert "ire: write-only; 1 is written, and a read shows 0." in panel.editor.effects.value


def test_a_read_only_field_cannot_be_changed(panel):
    panel.choose("CAP")
    assert all(control.disabled for control in panel.editor.controls.values())


@pytest.mark.parametrize("access, accesses", [(WHOLE, [(0xB8, 8)]), (LOW, [(0xB8, 4)]), (HIGH, [(0xBC, 4)])])
def test_a_wide_register_is_written_whole_or_by_halves(panel, access, accesses):
    panel.choose("IRTA")
    panel.editor.value = 0x0000_0007_0003_0005
    panel.access.value = access
    assert [(w.address - BASE, w.width) for w in panel.writes()] == accesses
    panel.write()
    got = unit_register(panel.lab.machine, "IRTA")
    old = IRTA.make(base=0x10, s=7)
    expected = {WHOLE: 0x7_0003_0005, LOW: old >> 32 << 32 | 0x3_0005, HIGH: 0x7 << 32 | old & 0xFFFFFFFF}
    assert got == expected[access]


def test_reading_shows_what_a_guest_gets_and_its_cost_is_said_before(panel):
    panel.choose("CAP")
    assert "vm exit (1500 ns" in panel.before.value
    before = panel.lab.machine.copy()
    panel.read()
    assert "CAP reads 0x22260286." in panel.answer.value
    assert foresee.registers_changed(before, panel.lab.machine, 0) == []
    assert [Act(e.act) for e in panel.lab.last] == [Act.VM_EXIT, Act.READ]


@pytest.mark.parametrize("placement, said", [("xen", "guest: vm exit (1500 ns, assumed)."),
                                             ("qemu", "vm exit (1500 ns, assumed) and round trip (8000 ns")])
def test_where_the_unit_is_emulated_decides_what_a_read_costs(placement, said):
    m = Machine(profile("spec").with_options(placement=placement), vcpus=1)
    step(m, c.Domctl(create_op(version=m.profile.options.interface)))
    assert said in cost_of_reading(m)


@pytest.mark.parametrize("name", ["spec", "qemu-10"])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_foretold_is_what_happens(name, seed):
    """Random words to random registers: the sentences beforehand are the differences afterwards."""
    draw = random.Random(seed)
    panel = Lab(faulted(remapping(machine(name)))).registers
    for _ in range(12):
        row = draw.choice(page(panel.lab.machine)[:28])
        panel.choose(row.name)
        panel.editor.value = draw.getrandbits(8 * row.width)
        before, said = panel.lab.machine.copy(), panel.before.value
        panel.write()
        changed = foresee.registers_changed(before, panel.lab.machine, 0)
        assert all(each.replace("'", "&#x27;") in said for each in changed[:foresee.SHOWN])
        if not panel.lab.machine.live(0):
            break
    panel.close()


def test_a_wrong_value_is_told_at_the_control(panel):
    panel.choose("IRTA")
    panel.editor.controls["base"].value = "here"
    assert "is not a number" in panel.editor.problem.value
    assert panel.lab.position == 0


def test_without_a_unit_nothing_can_be_written():
    lab = Lab(Machine(profile("spec"), vcpus=1))
    panel = lab.registers
    assert panel.write_button.disabled and panel.list.disabled
    assert "There is no vIOMMU" in panel.head.value
    panel.guarded(panel.write)
    assert "create one first" in panel.status.value
    lab.issue(c.Domctl(create_op()))
    assert not panel.write_button.disabled and panel.editor is not None
    lab.undo()
    assert panel.editor is None and panel.write_button.disabled
    panel.close()


def test_an_unknown_register_is_the_callers_mistake(panel):
    with pytest.raises(ValueError, match="no register 'HCR'"):
        panel.choose("HCR")


def test_what_is_being_typed_survives_a_change_elsewhere(panel):
    panel.choose("IRTA")
    panel.editor.controls["s"].value = "3"
    panel.lab.issue(c.Tick(5))
    assert panel.editor.controls["s"].value == "3"
    panel.lab.issue(c.Mmio(BASE + OFFSET["IRTA"], 8, IRTA.make(base=0x10, s=5)))
    assert "s: 5 becomes 3." in panel.editor.effects.value


def test_foretelling_leaves_the_machine_alone(panel):
    m, before = panel.lab.machine, panel.lab.machine.copy()
    after, events, told = foresee.outcome(m, [c.Mmio(BASE + OFFSET["GCMD"], 4, 0)])
    assert m == before and after != before
    assert events and isinstance(told, list)


def test_every_field_of_every_register_is_editable_or_says_why_not(panel):
    for row in page(panel.lab.machine):
        panel.choose(row.name)
        locked = {name for name, control in panel.editor.controls.items() if control.disabled}
        assert locked == {place.name for place in row.layout if place.access is Access.RO}


def test_the_start_of_gcmd_keeps_what_is_on():
    m = remapping(machine())
    gcmd = next(row for row in page(m) if row.name == "GCMD")
    assert GCMD.text(start(m, 0, gcmd)) == "ire=1"
    assert vvtd.value(m, 0, OFFSET["GSTS"], 4) & GSTS.ires.mask


# --- now and to be written ---


def test_now_and_to_write_are_two_rows_of_bits(panel):
    panel.choose("IRTA")
    panel.editor.value ^= 1 << 3 | 1 << 40
    bits = panel.editor.strip
    html = strip(IRTA, int(bits.word, 16), int(bits.before, 16), editable=True, two=True)
    assert bits.html == strip(IRTA, 0, 0, editable=True, two=True)
    assert html.count("<b>now</b>") == html.count("<b>write</b>") == 2
    assert html.count("<button") == 64 and html.count("<span class=\"vsim-bit") == 64
    assert html.count(" diff") == 4, "each of two bits, in both rows"


def test_the_row_of_now_shows_the_record_that_a_write_would_not(panel):
    """FRCD.F is 1 and the word to be written begins with 0 there, or the write would clear it."""
    panel.choose("FRCD0")
    write, now = panel.editor.strip.told
    assert now["f"].startswith("f [127] = 0x1") and write["f"].startswith("f [127] = 0x0")


@pytest.mark.parametrize("act, name", [("write", "write IRTA"), ("read", "read IRTA")])
def test_an_access_is_a_gesture_with_a_name(panel, act, name):
    panel.choose("IRTA")
    getattr(panel, act)()
    assert list(panel.lab.gestures())[-1].name == name


# --- faults stay as history ---


def recording():
    lab = Lab(remapping(machine()))
    return lab, lab.registers


def test_a_record_that_was_read_stays_as_history():
    lab, panel = recording()
    assert "No fault has been recorded" in panel.recorded.value
    lab.issue(c.Msi(0x0300, *remap_message(5)))
    assert "1 fault recorded, 1 pending" in panel.recorded.value and "FRCD0: pending" in panel.recorded.value
    assert "0x22, the entry is not present" in panel.recorded.value and "03:00.0" in panel.recorded.value
    panel.choose("FRCD0")
    panel.editor.controls["f"].value = True
    panel.write()
    assert "1 fault recorded, 0 pending" in panel.recorded.value and "read and cleared" in panel.recorded.value
    panel.close()


def test_history_follows_the_cursor_and_a_new_future():
    lab, panel = recording()
    for index in (5, 6):
        lab.issue(c.Msi(0x0300, *remap_message(index)))
        lab.issue(c.Mmio(BASE + panel.lab.machine.profile.capabilities.fault_offset + 12, 4, 1 << 31))
    indices = lambda: [fault.word >> 48 & 0xFFFF for fault in panel.faults.known]  # noqa: E731
    assert indices() == [5, 6]
    lab.goto(2)
    assert indices() == [5]
    lab.goto(4)
    assert indices() == [5, 6]
    lab.goto(2)
    lab.issue(c.Msi(0x0300, *remap_message(9)))
    assert indices() == [5, 9]
    lab.goto(0)
    assert indices() == [] and "No fault" in panel.recorded.value
    panel.close()


def test_faults_are_noted_while_another_tab_is_in_front():
    lab, panel = recording()
    panel.shown = False
    lab.issue(c.Msi(0x0300, *remap_message(5)))
    panel.shown = True
    assert "1 fault recorded" in panel.recorded.value
    panel.close()


def test_the_history_of_faults_is_bounded():
    lab, panel = recording()
    for _ in range(MOST + 5):
        lab.issue(c.Msi(0x0300, *remap_message(5)), c.Mmio(BASE + 0x220 + 12, 4, 1 << 31),
                  c.Mmio(BASE + OFFSET["FSTS"], 4, 3))
    assert 0 < len(panel.faults.known) <= MOST
    panel.close()
