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
from widgets.time import reader, travel
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
    return [row for row in panel.events.rows.rows if NOW in row[1]]


def drag(panel, position):
    """As the page asks: a position, and a number of the asking."""
    panel.bar.bar.wanted = [position, panel.bar.bar.wanted[1] + 1]


def press(panel, name):
    def all_in(widget):
        for child in getattr(widget, "children", ()):
            yield child
            yield from all_in(child)
    next(w for w in all_in(panel) if getattr(w, "description", "") == name and hasattr(w, "click")).click()


# --- moving ---


def test_a_step_back_and_forth_leaves_machine_and_table_as_they_were(lab, panel):
    machine, rows, where = lab.machine.copy(), panel.events.rows.rows, panel.bar.where.value
    press(panel, "◀ back")
    assert lab.machine != machine and panel.events.rows.rows != rows
    panel.bar.grain.value = "command"
    while lab.position < len(lab.history):
        press(panel, "step ▶")
    assert (lab.machine, panel.bar.where.value) == (machine, where)
    assert [row[2:] for row in panel.events.rows.rows] == [row[2:] for row in rows]


def test_a_step_by_interrupt_stops_at_the_interrupt_and_explains_it(lab, panel):
    last = lab.machine.serials
    press(panel, "◀ back")
    press(panel, "◀ back")
    assert lab.selection.serial == last - 1
    assert f"<h3>Interrupt {last - 1}: accepted by vLAPIC" in panel.why.text.value
    assert [row[0] for row in now(panel)] == [last - 1]
    assert [row[0] for row in panel.events.rows.rows if LATER in row[1]] == [last]


def test_a_step_by_event_moves_the_cursor_only_between_commands(lab, panel):
    panel.bar.grain.value, panel.events.shape.value = "event", "event"
    lab.selection.serial = lab.machine.serials
    panel.bar.go(panel.bar.moments.end_of(lab.history.position_of(lab.machine.serials) + 1))
    here, told = lab.position, len(panel.bar.moments.events_of(lab.position))
    for seen in range(told - 1, 0, -1):
        press(panel, "◀ back")
        assert lab.position == here and f"event {seen} of {told}" in panel.bar.where.value
        assert len(now(panel)) == 1
    press(panel, "◀ back")
    assert lab.position < here


def test_the_ends_are_told_and_their_buttons_are_off(lab, panel):
    assert panel.bar.forth_button.disabled and not panel.bar.back_button.disabled
    panel.bar.forth_button.click()
    assert "the end of the history" in panel.bar.status.value
    drag(panel, 0)
    assert (lab.position, panel.bar.back_button.disabled, panel.bar.forth_button.disabled) == (0, True, False)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99, 1.0])
def test_scrubbing_is_a_move_of_the_cursor(lab, panel, share):
    wanted = int(share * len(lab.history))
    drag(panel, wanted)
    assert lab.position == wanted
    assert lab.machine == lab.history.machine_at(wanted)


@pytest.mark.parametrize("asked, becomes", [(-5, 0), (10**9, None)])
def test_a_page_behind_the_times_may_ask_for_any_position(lab, panel, asked, becomes):
    drag(panel, asked)
    assert lab.position == panel.bar.bar.here == (len(lab.history) if becomes is None else becomes)


def test_the_cursor_is_followed_wherever_it_is_moved_from(lab, panel):
    lab.undo()
    assert panel.bar.bar.here == lab.position
    assert f"{lab.position:,} of {len(lab.history):,}" in panel.bar.where.value
    lab.goto(0)
    assert panel.bar.bar.here == 0


def test_a_move_is_seen_by_every_view_and_by_no_other_lab(lab, panel):
    beside, second = lab.timeline, Lab.from_config(CONFIG)
    other = second.timeline
    before = other.bar.where.value
    press(panel, "◀ back")
    assert beside.bar.bar.here == panel.bar.bar.here == lab.position
    assert (other.bar.where.value, second.position) == (before, len(second.history))
    for each in (beside, other):
        each.close()


# --- jumping ---


def test_the_next_and_the_last_fault_are_found(lab, panel):
    press(panel, "fault ▶")
    assert "there is none on this side" in panel.bar.status.value
    index = change(lab, 1, p=0)
    lab.fire(NIC, 1)
    fault = lab.history.position_of(lab.selection.serial) + 1
    lab.fire(NIC, 2)
    press(panel, "◀ fault")
    assert lab.position == fault and panel.bar.moments.event.act == Act.BLOCKED
    assert "blocked, fault reason 0x22" in panel.why.text.value and f"{index}" in panel.why.text.value
    lab.goto(0)
    press(panel, "fault ▶")
    assert lab.position == fault


def test_the_next_delivery_is_the_next_to_the_chosen_vcpu(lab, panel):
    target = lab.kernel.guest.sources[NIC][2].vcpu
    lab.selection.vlapic = target
    assert panel.bar.vcpu.value == target
    lab.goto(lab.position - 1)
    press(panel, "◀ delivery")
    event = panel.bar.moments.event
    assert event.act == Act.ACCEPTED and event.node & 0xFFFFFF == target


def test_a_vcpu_of_another_machine_is_not_followed(lab, panel):
    lab.selection.vlapic = 4000
    assert panel.bar.vcpu.value == 0


# --- what happened ---


def test_what_is_fired_is_explained_at_once(lab, panel):
    lab.fire(NIC, 5)
    assert lab.selection.serial == panel.events.serial.value == lab.machine.serials
    assert "remapped" in panel.events.rows.rows[-1][2][4]
    said = panel.why.text.value
    assert "✓ passed" in said and "VT-d 5.1" in said
    assert "<b>17 passed</b>" in said and "deciding" not in said, "where nothing ended it the way comes first"


def test_a_chosen_row_is_explained_and_shared(lab, panel):
    panel.events.rows.chosen = lab.machine.serials - 2
    assert lab.selection.serial == panel.events.serial.value == lab.machine.serials - 2
    assert f"Interrupt {lab.machine.serials - 2}:" in panel.why.text.value


def test_the_table_can_be_filtered_by_interrupt(lab, panel):
    panel.events.shape.value = "event"
    everything = len(panel.events.rows.rows)
    panel.events.serial.value = lab.machine.serials - 1
    panel.events.only.value = True
    assert {row[0] for row in panel.events.rows.rows} == {lab.machine.serials - 1}
    assert 3 < len(panel.events.rows.rows) < everything
    assert panel.events.rows.label == f"Events of interrupt {lab.machine.serials - 1}"


def test_no_interrupt_at_all_is_told():
    panel = Lab.from_config(CONFIG).timeline
    assert panel.events.rows.rows == [] and "Choose an interrupt" in panel.why.text.value
    panel.close()


def test_the_check_that_failed_is_named_and_those_behind_it_were_not_made(lab, panel):
    change(lab, 1, sid=0x400, svt=1)
    lab.fire(NIC, 1)
    said = panel.why.text.value
    assert "9 passed, failed here, 7 not reached" in said
    assert "blocked, fault reason 0x26" in said
    first, everything = said.split("<details>")
    assert first.count("✓ passed") == 2 and first.count("✗ failed") == 1 and "not reached</span>" not in first
    assert 'start="8"' in first and "not-present" in first and "source-compare" in first
    assert "requester=0x300" in first and " sid=0x400" in first, "with what it looked at"
    assert everything.index("✓ passed") < everything.index("✗ failed")
    behind = everything[everything.index("✗ failed"):]
    assert "- not reached" in behind and "✓ passed" not in behind


@pytest.mark.parametrize("name, there", [("spec", False), ("qemu-10", True)])
def test_what_belongs_to_a_quirk_is_shown_where_the_quirk_is_on(name, there):
    lab = Lab.from_config(CONFIG, profile=name)
    lab.boot()
    lab.fire(NIC, 0)
    panel = lab.timeline
    said = panel.why.text.value
    assert "passed, " not in said and " passed</b>" in said
    assert ("im_ignored=0x1" in said, "im_ignored=0x0" in said) == (there, False)
    assert ("posting-absent" in said, "dropped-while-off" in said) == (not there, False)
    panel.close()


def test_a_forgotten_invalidation_is_told_as_a_stale_entry(lab, panel):
    before = lab.kernel.guest.sources[NIC][1].vcpu
    change(lab, 1, told=False, dst=2 * 7)
    lab.fire(NIC, 1)
    assert "The cached copy is stale" in panel.why.text.value
    assert f"accepted by vLAPIC {before}" in panel.why.text.value
    assert "from the cache" in panel.events.rows.rows[-1][2][4]


def test_an_interrupt_behind_the_cursor_is_said_to_be_undone(lab, panel):
    lab.goto(1)
    lab.selection.serial = 3
    assert "It comes later: the cursor stands before it." in panel.why.text.value


def test_a_name_with_markup_stays_text():
    name = "<img src=x onerror=alert(1)>"
    lab = Lab(Machine(profile("spec"), 2, 1 << 20, Bus([Function(NIC, name, msix_count=2)])))
    panel = lab.timeline
    lab.issue(c.Msi(NIC, 0xFEE00000, 0x41))
    assert escape(name) in panel.why.text.value and name not in panel.why.text.value
    panel.close()


def test_a_closed_view_hears_nothing_more(lab, panel):
    panel.close()
    rows = panel.events.rows.rows
    lab.fire(NIC, 1)
    assert panel.events.rows.rows == rows


# --- playing ---


def played(panel):
    async def run():
        panel.bar.play_button.click()
        while panel.bar.playing:
            await asyncio.sleep(0.001)
    asyncio.run(run())


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(travel, "STEP", 0.0)


def test_playing_goes_on_to_the_end_and_is_off_there(lab, panel, quick):
    end = lab.machine.copy()
    lab.goto(lab.history.position_of(1))
    assert not panel.bar.play_button.disabled
    played(panel)
    assert lab.machine == end
    assert (panel.bar.playing, panel.bar.play_button.description) == (False, "▶ play")
    assert panel.bar.play_button.disabled, "there is nothing more to play"


def test_a_pause_holds_it_where_it_is(lab, panel, quick):
    lab.goto(0)
    lab.selection.observe(lambda change: change.new == 2 and panel.bar.play_button.click(), "serial")
    played(panel)
    assert lab.position == lab.history.position_of(2) + 1
    assert not panel.bar.play_button.disabled


@pytest.mark.parametrize("name", ["◀ fault", "fault ▶", "◀ delivery", "delivery ▶", "◀ back", "step ▶"])
def test_who_looks_for_something_while_it_plays_stays_there(lab, panel, quick, name):
    lab.goto(lab.history.position_of(2))
    stood = []

    async def run():
        panel.bar.play_button.click()
        press(panel, name)
        stood.append(lab.position)
        await asyncio.sleep(0.01)
    asyncio.run(run())
    assert not panel.bar.playing
    assert [lab.position] == stood


def test_the_speed_of_the_page_changes_nothing_of_the_machine(lab, panel, monkeypatch):
    ends = []
    for speed, seconds in ((4.0, 0.0), (0.1, 0.0002)):
        monkeypatch.setattr(travel, "STEP", seconds)
        panel.bar.speed.value = speed
        lab.goto(0)
        played(panel)
        ends.append(lab.machine.copy())
    assert ends[0] == ends[1]


def test_playing_where_no_loop_runs_is_told(lab, panel):
    lab.goto(0)
    panel.bar.play_button.click()
    assert not panel.bar.playing
    assert "no running event loop" in panel.bar.status.value


# --- one transport for map and machine ---


@pytest.fixture
def driven(lab):
    bench = lab.bench
    yield bench._above["time"], bench._above["map"]
    bench.close()


def test_the_speed_is_that_of_the_tokens(driven):
    bar, picture = driven
    bar.speed.value = 0.25
    assert picture.speed == 0.25


def test_tokens_that_are_held_go_on_by_the_same_button(lab, driven):
    bar, picture = driven
    assert bar.play_button.disabled
    picture.playing = False
    assert (bar.play_button.disabled, bar.play_button.description) == (False, "▶ play")
    bar.play_button.click()
    assert picture.playing and bar.play_button.disabled


def test_in_a_storm_the_button_holds_the_tokens_and_not_the_machine(lab, driven):
    bar, picture = driven

    async def run():
        storm = lab.storm(100, 60)
        while bar.play_button.description != "❚❚ pause":
            await asyncio.sleep(0)
        bar.play_button.click()
        assert (picture.playing, storm.running) == (False, True)
        assert bar.play_button.description == "▶ play"
        bar.play_button.click()
        assert picture.playing
        storm.stop()

    asyncio.run(run())


# --- storms ---


def test_in_a_storm_the_bar_says_so_and_how_much_is_to_come(lab, panel):
    async def run():
        storm = lab.storm(100, 60)
        panel.bar._draw_now()
        said = panel.bar.where.value
        storm.stop()
        panel.bar._draw_now()
        return f"amidst a storm, {6000 - storm.sent:,} to come: {lab.position:,} of {lab.position:,}" in said

    assert asyncio.run(run())
    assert "after storm of 10: " in panel.bar.where.value


def test_tables_wait_for_the_end_of_a_storm(lab, panel):
    drawn = []
    panel.events.rows.observe(lambda change: drawn.append(len(lab.storms)), "rows")
    lab.storm(200, 0.5)
    assert len(drawn) <= 1
    assert panel.events.rows.rows[-1][0] == lab.machine.serials
    assert f"{lab.position:,} of" in panel.bar.where.value


def test_a_storm_that_is_stopped_is_drawn_in_the_end(lab, panel, monkeypatch):
    monkeypatch.setattr(reader, "STORM_PAUSE", 0.01)

    async def run():
        storm = lab.storm(100, 60)
        await asyncio.sleep(0)
        storm.stop()
        await asyncio.sleep(0.05)

    asyncio.run(run())
    assert panel.events.rows.rows[-1][0] == lab.machine.serials


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
