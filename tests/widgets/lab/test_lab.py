"""A Lab: one history, many views, gestures that are undone as one, and two threads that cannot spoil it."""

import asyncio
import random
import threading

import pytest

from vsim.devices import viommu
from vsim.history.log import History
from vsim.history.session import SessionError
from vsim.machine import step
from vsim.readers.xl import ConfigError
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act
from widgets.lab import Lab, cells

CONFIG = """name = "host"
type = "hvm"
vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0", "04:00.0"]
vif = ["model=e1000"]
"""
NIC = 0x0300


@pytest.fixture
def lab():
    return Lab.from_config(CONFIG)


@pytest.fixture
def booted(lab):
    lab.boot()
    return lab


def acts(events):
    return [Act(event.act).name for event in events]


def replayed(lab):
    """A machine that did the Lab's commands, one after the other, without any Lab."""
    machine = lab.history.machine_at(0)
    for command in lab.history.commands[:lab.position]:
        step(machine, command)
    return machine


# --- making one ---


def test_a_lab_begins_with_what_the_toolstack_did(lab):
    assert lab.title == "host"
    assert [type(command) for command in lab.history.commands] == [c.Domctl, c.RamWrite]
    assert lab.machine.live(0)
    lab.undo()
    assert (lab.position, lab.machine.live(0)) == (0, False)


def test_a_configuration_may_be_a_path_or_a_text(tmp_path, lab):
    path = tmp_path / "host.cfg"
    path.write_text(CONFIG)
    assert Lab.from_config(path).machine == Lab.from_config(str(path)).machine == lab.machine


@pytest.mark.parametrize("config, error, said", [
    ("vcpus = 0\n", ConfigError, "1:9"), ("no_such_file.cfg", ConfigError, "cannot be read"),
    ("vcpus = __import__('os')\n", ConfigError, "<text>:1")])
def test_a_wrong_configuration_is_refused_with_its_place(config, error, said):
    with pytest.raises(error, match=said):
        Lab.from_config(config)


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="no profile 'best'"):
        Lab.from_config(CONFIG, profile="best")


def test_a_profile_may_be_a_value():
    chosen = profile("spec").with_quirks("qemu.D5")
    assert Lab.from_config(CONFIG, profile=chosen).machine.profile.quirks == {"qemu.D5"}


@pytest.mark.parametrize("given", [{}, {"both": True}])
def test_a_lab_is_made_of_a_machine_or_of_a_history(given):
    machine = Machine(profile("spec"), vcpus=1)
    both = {"machine": machine, "history": History(machine)} if given else {}
    with pytest.raises(ValueError, match="a Lab is made of"):
        Lab(**both)


def test_the_machine_that_was_given_is_left_alone():
    machine = Machine(profile("spec"), vcpus=1)
    lab = Lab(machine)
    lab.issue(c.Domctl(viommu.create_op()))
    assert lab.machine.live(0) and not machine.live(0)


# --- devices ---


@pytest.mark.parametrize("device", [NIC, "03:00.0", "3:0.0"])
def test_a_device_is_named_by_number_or_address(booted, device):
    assert booted.device(device).bdf == NIC


def test_a_device_is_named_by_its_name(lab):
    emulated = next(f for f in lab.machine.bus.functions if f.name.startswith("emulated"))
    assert lab.device(emulated.name) is emulated


@pytest.mark.parametrize("device, said", [("05:00.0", "no device 05:00.0"), ("nic", "not bus:device.function"),
                                          (0x500, "no device 05:00.0"), ("<b>", "not bus:device.function")])
def test_an_unknown_device_is_the_callers_mistake(lab, device, said):
    with pytest.raises(ValueError, match=said):
        lab.fire(device)


@pytest.mark.parametrize("message", [-1, 32, 1 << 40])
def test_a_message_that_the_device_does_not_have_is_refused_before_anything_changes(booted, message):
    here = booted.position
    with pytest.raises(ValueError, match=r"03:00\.0 has 0 to 31"):
        booted.fire(NIC, message)
    assert booted.position == here


# --- boot, fire, storm ---


def test_a_message_reaches_its_vcpu_and_is_served(booted):
    events = booted.fire(NIC, 1)
    assert [act for act in acts(events) if act in ("SENT", "REMAPPED", "ACCEPTED", "TAKEN", "ENDED")] == [
        "SENT", "REMAPPED", "ACCEPTED", "TAKEN", "ENDED"]
    assert not any(booted.machine.irr) and not any(booted.machine.isr)


def test_a_pin_reaches_its_vcpu_and_is_served(booted):
    pin = next(f for f in booted.machine.bus.functions if f.pin and not f.msix_count)
    events = booted.fire(pin.bdf)
    assert "TAKEN" in acts(events) and not any(booted.machine.lines)


def test_handlers_can_be_held_back(booted):
    booted.kernel.serving = False
    booted.fire(NIC, 1)
    assert any(booted.machine.irr)
    assert booted.kernel.serve() == 1
    assert not any(booted.machine.irr)


def test_before_the_boot_a_device_sends_nothing_that_arrives(lab):
    assert "ACCEPTED" not in acts(lab.fire(NIC, 0))


def test_a_storm_needs_a_message_that_is_on(lab):
    with pytest.raises(ValueError, match="boot the guest first"):
        lab.storm(100, 1)


@pytest.mark.parametrize("rate, seconds, said", [
    (0, 1, "rate is 0"), (1 << 20, 1, "rate is"), (1.5, 1, "rate is 1.5"), (10, 0, "seconds is 0"),
    (100_000, 1000, "1 to 10000000 interrupts"), (1, 0.5, "1 to 10000000 interrupts")])
def test_a_storm_has_limits(booted, rate, seconds, said):
    with pytest.raises(ValueError, match=said):
        booted.storm(rate, seconds)
    assert booted.storms == []


def test_a_storm_is_one_gesture_and_served_to_the_end(booted):
    here, before = booted.position, booted.machine.copy()
    storm = booted.storm(500, 0.5)
    assert (storm.sent, storm.running, booted.storms) == (250, False, [])
    bursts = [x for x in booted.history.commands[here:] if isinstance(x, c.Burst)]
    assert sum(burst.messages for burst in bursts) == 250 and not any(booted.machine.irr)
    booted.undo()
    assert (booted.position, booted.machine) == (here, before)
    booted.redo()
    assert booted.position == len(booted.history)


def test_a_storm_takes_its_time_on_the_machine(booted):
    """A second of storm is a second of machine time, and what the interrupts cost."""
    start = booted.machine.clock
    booted.storm(1000, 1.0)
    assert 1e9 <= booted.machine.clock - start < 1.01e9


def test_a_storm_without_handlers_leaves_its_interrupts_pending(booted):
    booted.kernel.serving = False
    booted.storm(100, 0.2)
    assert any(booted.machine.irr)
    assert booted.kernel.serve() > 0
    assert not any(booted.machine.irr)


def test_faults_of_a_storm_are_read_by_the_guest(booted):
    index = booted.kernel.guest.sources[NIC][0].index
    booted.kernel.guest.unit.change(index, 0)
    booted.storm(1000, 1.0)
    faults = booted.kernel.guest.faults
    assert {(fault.reason, fault.index, fault.source) for fault in faults} == {(0x22, index, NIC)}
    assert len(faults) > 3


def test_a_storm_depends_on_its_seed_alone(booted):
    other, third = booted.branch(), booted.branch()
    for each, seed in ((booted, 7), (other, 7), (third, 8)):
        each.storm(300, 0.3, seed=seed)
    assert booted.machine == other.machine
    assert booted.machine != third.machine


def test_a_storm_in_the_background_is_the_same_storm(booted):
    other = booted.branch()
    other.storm(100, 0.3)

    async def run():
        storm = booted.storm(100, 0.3)
        assert storm.running and storm.sent == 10
        return await storm

    assert asyncio.run(run()).sent == 30
    assert booted.machine == other.machine
    booted.undo()
    assert booted.position == other.position - (len(other.history) - booted.position)


def test_what_is_done_in_the_middle_of_a_storm_parts_it(booted):
    async def run():
        storm = booted.storm(100, 0.3)
        booted.issue(c.Tick(5))
        booted.undo()
        return storm

    here = booted.position
    storm = asyncio.run(run())
    assert not storm.running and storm.sent == 10
    assert booted.position > here
    booted.undo()
    assert booted.position == here


def test_a_storm_ends_when_the_cursor_moves_or_when_told(booted):
    async def run():
        first = booted.storm(10, 5)
        first.stop()
        second = booted.storm(10, 5)
        booted.undo()
        return first, second

    assert [storm.running for storm in asyncio.run(run())] == [False, False]
    assert booted.storms == []


def test_a_view_that_fails_ends_a_storm_and_is_named(booted):
    async def run():
        storm = booted.storm(100, 0.3)
        booted.observe(lambda *_: 1 / 0)
        return await storm

    storm = asyncio.run(run())
    assert not storm.running and isinstance(storm.error, ZeroDivisionError)


# --- back and forward ---


def test_several_commands_of_one_gesture_are_undone_as_one(lab):
    here, before = lab.position, lab.machine.copy()
    lab.issue(c.Tick(1), c.Tick(2), c.Tick(3))
    assert lab.position == here + 3
    lab.undo()
    assert (lab.position, lab.machine) == (here, before)
    lab.redo()
    assert lab.position == here + 3


def test_a_step_into_a_gesture_goes_on_from_there(lab):
    here = lab.position
    lab.issue(c.Tick(1), c.Tick(2), c.Tick(3))
    lab.goto(here + 2)
    lab.issue(c.Tick(9))
    assert len(lab.history) == here + 3
    lab.undo()
    assert lab.position == here + 2
    lab.undo()
    assert lab.position == here + 1


@pytest.mark.parametrize("act, said", [(Lab.undo, "nothing to undo"), (Lab.redo, "nothing to redo")])
def test_there_is_an_end_in_both_directions(act, said):
    with pytest.raises(ValueError, match=said):
        act(Lab(Machine(profile("spec"), vcpus=1)))


@pytest.mark.parametrize("position", [-1, 3, "1", None, 1.0])
def test_a_position_that_is_none_is_the_callers_mistake(lab, position):
    with pytest.raises(ValueError, match="the limit is 0 to 2"):
        lab.goto(position)


@pytest.mark.parametrize("seed", range(6))
def test_a_random_walk_leaves_the_machine_that_its_commands_make(booted, seed):
    """Gestures, undo, redo and jumps in any order: the machine is a function of the commands before the cursor."""
    draw = random.Random(seed)
    acts = [lambda: booted.fire(NIC, draw.randrange(32)), lambda: booted.storm(50, 0.2, draw.randrange(9)),
            lambda: booted.issue(c.Tick(1), c.Tick(2)), booted.undo, booted.redo,
            lambda: booted.goto(draw.randrange(len(booted.history) + 1)),
            lambda: booted.kernel.affinity(booted.kernel.guest.sources[NIC][0], draw.randrange(8))]
    for _ in range(25):
        try:
            draw.choice(acts)()
        except (ValueError, AttributeError):  # nothing to undo or redo; no guest before its boot
            continue
    assert booted.machine == replayed(booted)


def test_the_guest_goes_back_with_the_machine(booted):
    source = booted.kernel.guest.sources[NIC][0]
    vcpu, after = source.vcpu, booted.position
    assert booted.kernel.affinity(source, 5) == ""
    assert booted.kernel.guest.sources[NIC][0].vcpu == 5
    booted.undo()
    assert booted.position == after
    assert booted.kernel.guest.sources[NIC][0].vcpu == vcpu
    assert any(e.act == Act.TAKEN and e.node & 0xFFFFFF == vcpu for e in booted.fire(NIC, 0))
    booted.undo()
    booted.undo()
    assert booted.kernel.guest is None


def test_the_guest_comes_back_with_a_redo(booted):
    booted.undo()
    booted.redo()
    assert booted.kernel.guest is not None
    assert "TAKEN" in acts(booted.fire(NIC, 0))


def test_a_guest_can_be_booted_again(booted):
    assert booted.boot()
    assert "TAKEN" in acts(booted.fire(NIC, 0))


def test_a_unit_made_by_hand_is_found_by_the_guest():
    lab = Lab.from_config(CONFIG.replace("viommu", "#viommu"))
    assert not lab.machine.live(0)
    lab.issue(c.Domctl(viommu.create_op()))
    lab.boot()
    assert lab.kernel.guest.ways.remapping
    assert "REMAPPED" in acts(lab.fire(NIC, 0))


def test_a_branch_and_its_origin_do_not_disturb_each_other(booted):
    other = booted.branch()
    here, before = booted.position, booted.machine.copy()
    other.kernel.affinity(other.kernel.guest.sources[NIC][0], 3)
    other.fire(NIC, 0)
    other.selection.vlapic = 3
    assert (booted.position, booted.machine, booted.selection.vlapic) == (here, before, -1)
    assert booted.kernel.guest.sources[NIC][0].vcpu != 3
    assert other.machine == replayed(other)
    other.undo()
    other.undo()
    assert other.machine == before


# --- files ---


def test_a_saved_session_is_loaded_as_it_was(booted, tmp_path):
    booted.fire(NIC, 2)
    booted.undo()
    booted.save(tmp_path / "evening.vsim")
    again = Lab.load(tmp_path / "evening.vsim")
    assert (again.title, again.position, again.machine) == ("evening", booted.position, booted.machine)
    again.redo()
    assert "TAKEN" not in acts(again.last) and again.position == booted.position + 1
    again.boot()
    assert "TAKEN" in acts(again.fire(NIC, 0))


@pytest.mark.parametrize("spoil", [lambda b: b[:-9], lambda b: b.replace(b'"domctl"', b'"rm -rf"'),
                                   lambda b: b"\x80\x04" + b, lambda b: b"", lambda b: b"[1]\n"])
def test_a_corrupted_session_is_refused_with_its_place(lab, tmp_path, spoil):
    path = tmp_path / "s.vsim"
    lab.save(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SessionError, match=r"s\.vsim:\d+:\d+: "):
        Lab.load(path)


# --- observers ---


def test_every_change_is_told_once(lab):
    told = []
    lab.observe(lambda kind, events, machine: told.append((kind, len(events), machine is lab.machine)))
    lab.issue(c.Tick(1), c.Tick(2))
    lab.issue(c.MmioRead(0xFED90000, 4))
    lab.undo()
    assert told == [("issued", 0, True), ("issued", 2, True), ("moved", 0, True)]


def test_an_observer_that_left_hears_nothing(lab):
    told = []
    lab.observe(told.append)
    lab.unobserve(told.append)
    lab.unobserve(print)
    lab.issue(c.Tick(1))
    assert told == []


def test_a_failing_observer_keeps_nobody_from_the_news(lab):
    told = []
    lab.observe(lambda *_: 1 / 0)
    lab.observe(lambda *news: told.append(news))
    with pytest.raises(ZeroDivisionError):
        lab.issue(c.Tick(1))
    assert len(told) == 1 and lab.position == 3


def test_what_an_observer_does_is_told_after_what_it_was_told(lab):
    """Two observers see the same changes in the same order."""
    first, second = [], []

    def answers(kind, events, machine):
        first.append(machine.clock)
        if machine.clock % 2:
            lab.issue(c.Tick(1))

    lab.observe(answers)
    lab.observe(lambda kind, events, machine: second.append(lab.position))
    start = lab.machine.clock
    lab.issue(c.Tick(1 + start % 2))
    assert len(first) == len(second)
    assert second == sorted(second)


def test_nothing_is_told_of_a_gesture_that_did_nothing(lab):
    told = []
    lab.observe(lambda *news: told.append(news))
    with lab.gesture():
        pass
    assert told == []


def test_what_is_no_command_is_refused_and_changes_nothing(lab):
    before = lab.machine.copy()
    with pytest.raises(ValueError, match="is no command"):
        lab.issue("rm -rf")
    assert lab.machine == before


# --- threads ---


def test_two_threads_leave_one_consistent_history(booted):
    """Callbacks of one panel run on two threads; the history is as if they had come one after the other."""
    start, turns, errors = threading.Barrier(2), 60, []

    def act(number):
        draw = random.Random(number)
        start.wait()
        for turn in range(turns):
            try:
                booted.fire(NIC, draw.randrange(32))
                if turn % 5 == 0:
                    booted.undo()
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert booted.machine == replayed(booted)
    assert not any(booted.machine.irr)


def test_two_buttons_on_two_threads_leave_one_consistent_history(booted):
    controls, time_ = booted.view("controls"), booted.view("time")
    fire, undo = (next(b for b in buttons(controls) if b.description == name) for name in ("fire", "undo"))
    start = threading.Barrier(2)

    def press(button):
        start.wait()
        for _ in range(40):
            button.click()

    threads = [threading.Thread(target=press, args=(button,)) for button in (fire, undo)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert booted.machine == replayed(booted)
    assert f"{booted.position:,} of {len(booted.history):,}" in time_.where.value
    time_.close()
    controls.close()


def buttons(widget):
    for child in getattr(widget, "children", ()):
        if hasattr(child, "click"):
            yield child
        yield from buttons(child)


def test_ten_thousand_clicks_are_ten_thousand_gestures(lab):
    lab.issue(c.Tick(1))
    controls = lab.view("controls")
    undo, redo = (next(b for b in buttons(controls) if b.description == name) for name in ("undo", "redo"))
    for _ in range(5000):
        undo.click()
        redo.click()
    assert lab.position == 3
    assert controls.status.value == ""
    controls.close()


# --- views ---


def test_an_unknown_view_is_named(lab):
    with pytest.raises(AttributeError, match="Lab has no 'maps'; views are bench"):
        _ = lab.maps
    with pytest.raises(ValueError, match="no view 'maps'"):
        lab.view("maps")


class View:
    closed = False

    def close(self):
        self.closed = True


def test_a_cell_that_runs_again_closes_what_it_showed():
    first, beside, again, elsewhere = View(), View(), View(), View()
    cells.remember(first, "cell", "run 1")
    cells.remember(beside, "cell", "run 1")
    cells.remember(elsewhere, "other cell", "run 2")
    assert not first.closed
    cells.remember(again, "cell", "run 3")
    assert (first.closed, beside.closed, again.closed, elsewhere.closed) == (True, True, False, False)


def test_without_names_of_cells_the_last_views_stay():
    made = [View() for _ in range(cells.UNNAMED_KEPT + 3)]
    for view in made:
        cells.remember(view, "", "")
    assert [view.closed for view in made] == [True] * 3 + [False] * cells.UNNAMED_KEPT
    cells._unnamed.clear()


def test_a_name_with_markup_is_shown_as_text():
    name = "<img src=x onerror=alert(1)>"
    lab = Lab.from_config(CONFIG.replace('"host"', f"'{name}'"))
    controls = lab.controls
    controls.say(name, "bad")
    assert "<img" not in controls.status.value and "&lt;img" in controls.status.value
    controls.close()


def test_an_error_of_a_callback_is_told_in_the_panel(lab):
    controls = lab.controls
    next(b for b in buttons(controls) if b.description == "storm").click()
    assert "boot the guest first" in controls.status.value
    controls.guarded(lambda: 1 / 0)
    assert "ZeroDivisionError" in controls.status.value
    controls.close()


def test_a_guest_in_a_lab_drives_several_units_that_were_created_by_hand():
    m = Machine(profile("spec").with_options(max_units=2), 8, bus=Bus([Function(0x20, msix_count=2),
                                                                      Function(0x28, msix_count=2)]))
    m.scope = {0x20: 0, -1: 1}
    lab = Lab(m)
    for base in (0xFED90000, 0xFED91000):
        lab.issue(c.Domctl(viommu.create_op(base, version="v1-corrected")))
    assert lab.boot()[-1] == "DMAR-IR: Enabled IRQ remapping in x2apic mode"
    guest = lab.kernel.guest
    assert [guest.sources[bdf][0].unit for bdf in (0x20, 0x28)] == [0, 1]
    for bdf in (0x20, 0x28):
        assert lab.kernel.affinity(guest.sources[bdf][0], 5) == ""
        guest.driver(guest.sources[bdf][0]).change(guest.sources[bdf][0].index, 0)
    lab.storm(200, 1.0)
    assert {(fault.unit, fault.source) for fault in guest.faults} == {(0, 0x20), (1, 0x28)}
    lab.undo()
    assert lab.machine.scope == {0x20: 0, -1: 1}


# --- dumps ---


def test_a_dump_is_what_the_tool_would_print_and_changes_nothing(booted):
    before, position = booted.machine.copy(), booted.position
    text = booted.dump("ir_translation_struct")
    assert text.startswith("Remapped Interrupt supported on IOMMU: dmar0\n IR table address:")
    assert (booted.machine, booted.position) == (before, position)


def test_an_unknown_dump_is_refused_with_the_kinds(lab):
    with pytest.raises(ValueError, match="no dump 'irq'; dumps are 'ir_translation_struct', 'iommu_regset', "):
        lab.dump("irq")
