"""The timeline: the cursor of the Lab, the table around it, the reasons of an interrupt; through its traits."""

import asyncio
from html import escape

import pytest

from vsim.layouts.bits import put
from vsim.layouts.formats import IRTE
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act
from widgets.editors.entries import invalidate_commands, stored, write_commands
from widgets.lab import Lab
from widgets.time import timeline
from widgets.time.happened import LATER, NOW

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
    for message in (1, 2, 3):
        made.fire(NIC, message)
    return made


@pytest.fixture
def panel(lab):
    made = lab.timeline
    yield made
    made.close()


def change(lab, message=1, told=True, **fields):
    """Set fields of the entry of a message, with or without an invalidation; its index."""
    index = lab.kernel.guest.sources[NIC][message].index
    word = stored(lab.machine, 0, index)
    for name, value in fields.items():
        word = put(word, getattr(IRTE, name), value)
    lab.issue(*write_commands(lab.machine, 0, index, word),
              *(invalidate_commands(lab.machine, 0, index) if told else ()))
    return index


def now(panel):
    return [row for row in panel.rows.rows if NOW in row[1]]


def press(panel, name):
    def all_in(widget):
        for child in getattr(widget, "children", ()):
            yield child
            yield from all_in(child)
    next(w for w in all_in(panel) if getattr(w, "description", "") == name and hasattr(w, "click")).click()


# --- moving ---


def test_a_step_back_and_forth_leaves_machine_and_table_as_they_were(lab, panel):
    machine, rows, where = lab.machine.copy(), panel.rows.rows, panel.where.value
    press(panel, "◀ back")
    assert lab.machine != machine and panel.rows.rows != rows
    panel.grain.value = "command"
    while lab.position < len(lab.history):
        press(panel, "step ▶")
    assert (lab.machine, panel.where.value) == (machine, where)
    assert [row[2:] for row in panel.rows.rows] == [row[2:] for row in rows]


def test_a_step_by_interrupt_stops_at_the_interrupt_and_explains_it(lab, panel):
    last = lab.machine.serials
    press(panel, "◀ back")
    press(panel, "◀ back")
    assert lab.selection.serial == last - 1
    assert f"<h4>Interrupt {last - 1}: accepted by vLAPIC" in panel.why.value
    assert [row[0] for row in now(panel)] == [last - 1]
    assert [row[0] for row in panel.rows.rows if LATER in row[1]] == [last]


def test_a_step_by_event_moves_the_cursor_only_between_commands(lab, panel):
    panel.grain.value, panel.shape.value = "event", "event"
    lab.selection.serial = lab.machine.serials
    panel.go(panel.moments.end_of(lab.history.position_of(lab.machine.serials) + 1))
    here, told = lab.position, len(panel.moments.events_of(lab.position))
    for seen in range(told - 1, 0, -1):
        press(panel, "◀ back")
        assert lab.position == here and f"event {seen} of {told}" in panel.where.value
        assert len(now(panel)) == 1
    press(panel, "◀ back")
    assert lab.position < here


def test_the_ends_are_told_and_their_buttons_are_off(lab, panel):
    assert panel.forth_button.disabled and not panel.back_button.disabled
    panel.forth_button.click()
    assert "the end of the history" in panel.status.value
    panel.slider.value = 0
    assert (lab.position, panel.back_button.disabled, panel.forth_button.disabled) == (0, True, False)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99, 1.0])
def test_scrubbing_is_a_move_of_the_cursor(lab, panel, share):
    wanted = int(share * len(lab.history))
    panel.slider.value = wanted
    assert lab.position == wanted
    assert lab.machine == lab.history.machine_at(wanted)


@pytest.mark.parametrize("asked, becomes", [(-5, 0), (10**9, None)])
def test_a_page_behind_the_times_may_ask_for_any_position(lab, panel, asked, becomes):
    panel.slider.value = asked
    assert lab.position == panel.slider.value == (len(lab.history) if becomes is None else becomes)


def test_the_cursor_is_followed_wherever_it_is_moved_from(lab, panel):
    lab.undo()
    assert panel.slider.value == lab.position
    assert f"{lab.position:,} of {len(lab.history):,}" in panel.where.value
    lab.goto(0)
    assert panel.slider.value == 0


def test_a_move_is_seen_by_every_view_and_by_no_other_lab(lab, panel):
    beside, second = lab.timeline, Lab.from_config(CONFIG)
    other = second.timeline
    before = other.where.value
    press(panel, "◀ back")
    assert beside.slider.value == panel.slider.value == lab.position
    assert (other.where.value, second.position) == (before, len(second.history))
    for each in (beside, other):
        each.close()


# --- jumping ---


def test_the_next_and_the_last_fault_are_found(lab, panel):
    press(panel, "fault ▶")
    assert "there is none on this side" in panel.status.value
    index = change(lab, 1, p=0)
    lab.fire(NIC, 1)
    fault = lab.history.position_of(lab.selection.serial) + 1
    lab.fire(NIC, 2)
    press(panel, "◀ fault")
    assert lab.position == fault and panel.moments.event.act == Act.BLOCKED
    assert "blocked, fault reason 0x22" in panel.why.value and f"{index}" in panel.why.value
    lab.goto(0)
    press(panel, "fault ▶")
    assert lab.position == fault


def test_the_next_delivery_is_the_next_to_the_chosen_vcpu(lab, panel):
    target = lab.kernel.guest.sources[NIC][2].vcpu
    lab.selection.vlapic = target
    assert panel.vcpu.value == target
    lab.goto(lab.position - 1)
    press(panel, "◀ delivery")
    event = panel.moments.event
    assert event.act == Act.ACCEPTED and event.node & 0xFFFFFF == target


def test_a_vcpu_of_another_machine_is_not_followed(lab, panel):
    lab.selection.vlapic = 4000
    assert panel.vcpu.value == 0


# --- what happened ---


def test_what_is_fired_is_explained_at_once(lab, panel):
    lab.fire(NIC, 5)
    assert lab.selection.serial == panel.serial.value == lab.machine.serials
    assert "remapped" in panel.rows.rows[-1][2][4]
    assert "✓ passed" in panel.why.value and "VT-d 5.1" in panel.why.value


def test_a_chosen_row_is_explained_and_shared(lab, panel):
    panel.rows.chosen = lab.machine.serials - 2
    assert lab.selection.serial == panel.serial.value == lab.machine.serials - 2
    assert f"Interrupt {lab.machine.serials - 2}:" in panel.why.value


def test_the_table_can_be_filtered_by_interrupt(lab, panel):
    panel.shape.value = "event"
    everything = len(panel.rows.rows)
    panel.serial.value = lab.machine.serials - 1
    panel.only.value = True
    assert {row[0] for row in panel.rows.rows} == {lab.machine.serials - 1}
    assert 3 < len(panel.rows.rows) < everything
    assert panel.rows.label == f"Events of interrupt {lab.machine.serials - 1}"


def test_no_interrupt_at_all_is_told():
    panel = Lab.from_config(CONFIG).timeline
    assert panel.rows.rows == [] and "Choose an interrupt" in panel.why.value
    panel.close()


def test_the_check_that_failed_is_named_and_those_behind_it_were_not_made(lab, panel):
    change(lab, 1, sid=0x400, svt=1)
    lab.fire(NIC, 1)
    said = panel.why.value
    assert said.index("✓ passed") < said.index("✗ failed")
    assert "blocked, fault reason 0x26" in said
    behind = said[said.index("✗ failed"):]
    assert "- not reached" in behind and "✓ passed" not in behind
    assert "requester=0x300" in said and " sid=0x400" in said, "with what it looked at"


def test_a_forgotten_invalidation_is_told_as_a_stale_entry(lab, panel):
    before = lab.kernel.guest.sources[NIC][1].vcpu
    change(lab, 1, told=False, dst=2 * 7)
    lab.fire(NIC, 1)
    assert "The cached copy is stale" in panel.why.value
    assert f"accepted by vLAPIC {before}" in panel.why.value
    assert "from the cache" in panel.rows.rows[-1][2][4]


def test_an_interrupt_behind_the_cursor_is_said_to_be_undone(lab, panel):
    lab.goto(1)
    lab.selection.serial = 3
    assert "It is undone: the cursor stands before it." in panel.why.value


def test_a_name_with_markup_stays_text():
    name = "<img src=x onerror=alert(1)>"
    lab = Lab(Machine(profile("spec"), 2, 1 << 20, Bus([Function(NIC, name, msix_count=2)])))
    panel = lab.timeline
    lab.issue(c.Msi(NIC, 0xFEE00000, 0x41))
    assert escape(name) in panel.why.value and name not in panel.why.value
    panel.close()


def test_a_closed_view_hears_nothing_more(lab, panel):
    panel.close()
    rows = panel.rows.rows
    lab.fire(NIC, 1)
    assert panel.rows.rows == rows


# --- playing ---


def played(panel):
    async def run():
        panel.play_button.value = True
        while panel.playing:
            await asyncio.sleep(0.001)
    asyncio.run(run())


def test_playing_goes_on_to_the_end_and_pauses_there(lab, panel, monkeypatch):
    monkeypatch.setitem(timeline.PACES, "10 a second", 0.0)
    panel.pace.value = "10 a second"
    end = lab.machine.copy()
    lab.goto(lab.history.position_of(1))
    played(panel)
    assert lab.machine == end
    assert (panel.playing, panel.play_button.value) == (False, False)


def test_a_pause_holds_it_where_it_is(lab, panel, monkeypatch):
    monkeypatch.setitem(timeline.PACES, "10 a second", 0.0)
    panel.pace.value = "10 a second"
    lab.goto(0)
    lab.selection.observe(lambda change: setattr(panel.play_button, "value", change.new != 2), "serial")
    played(panel)
    assert lab.position == lab.history.position_of(2) + 1


def test_the_pace_of_the_page_changes_nothing_of_the_machine(lab, panel, monkeypatch):
    ends = []
    for pace, seconds in (("10 a second", 0.0), ("1 a second", 0.002)):
        monkeypatch.setitem(timeline.PACES, pace, seconds)
        panel.pace.value = pace
        lab.goto(0)
        played(panel)
        ends.append(lab.machine.copy())
    assert ends[0] == ends[1]


def test_playing_where_no_loop_runs_is_told(lab, panel):
    lab.goto(0)
    panel.play_button.value = True
    assert not panel.playing and not panel.play_button.value
    assert "no running event loop" in panel.status.value


# --- storms ---


def test_tables_wait_for_the_end_of_a_storm(lab, panel):
    drawn = []
    panel.rows.observe(lambda change: drawn.append(len(lab.storms)), "rows")
    lab.storm(200, 0.5)
    assert len(drawn) <= 1
    assert panel.rows.rows[-1][0] == lab.machine.serials
    assert f"{lab.position:,} of" in panel.where.value


def test_a_storm_that_is_stopped_is_drawn_in_the_end(lab, panel, monkeypatch):
    monkeypatch.setattr(timeline, "STORM_PAUSE", 0.01)

    async def run():
        storm = lab.storm(100, 60)
        await asyncio.sleep(0)
        storm.stop()
        await asyncio.sleep(0.05)

    asyncio.run(run())
    assert panel.rows.rows[-1][0] == lab.machine.serials


def test_a_long_history_of_other_commands_is_no_burden(lab, panel):
    lab.issue(*[c.RamWrite(0x1000, b"x")] * 3000)
    press(panel, "◀ back")
    assert lab.selection.serial == lab.machine.serials


def test_the_maps_step_buttons_are_the_timelines(lab):
    bench, here = lab.bench, lab.position
    bench._above["map"]._heard(None, {"kind": "step", "by": -1}, [])
    assert lab.position < here
    bench._above["map"]._heard(None, {"kind": "step", "by": 1}, [])
    bench._above["map"]._heard(None, {"kind": "step", "by": 1}, [])
    assert lab.position == here
    bench.close()


def test_a_view_that_opens_explains_the_newest_interrupt(lab, panel):
    assert lab.selection.serial == lab.machine.serials
    lab.selection.serial = 2
    second = lab.timeline
    assert lab.selection.serial == 2, "unless another is looked at"
    second.close()
