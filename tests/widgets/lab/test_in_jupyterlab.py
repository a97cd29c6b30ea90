"""The bench in a real JupyterLab: what a person does in the page, and that page and kernel agree on what came of it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.jupyter_host import Session, opened
from tests.qemu import REAL, children_of, gone, needs_qemu
from tests.widgets.lab.at_the_bench import (
    TABS,
    booted,
    edit,
    expect,
    fresh,
    front,
    newest,
    part,
    press,
    settled,
    tab,
    until,
    view,
)
from widgets.bench.browser import chromium

pytestmark = [pytest.mark.browser, pytest.mark.skipif(chromium() is None, reason="no Chromium")]
AXE = find_spec("axe_playwright_python")


@pytest.fixture(scope="module")
def wide(server, browser):
    """One session for all tests on the wide page; each begins with a machine to which nothing has been done."""
    made = Session(server, browser, "bench.ipynb")
    assert made.run() == []
    yield made
    made.close()


@pytest.fixture
def bench(wide):
    fresh(wide)
    yield wide
    assert wide.wrong == []


# --- a person at the bench ---


def test_a_unit_created_by_the_form_is_in_event_table_and_map(bench):
    assert view(bench, "view.model.get('scene').units.length") == 0
    tab(bench, "domctl")
    press(bench, "issue")
    assert bench.until("lab.machine.live(0)")
    until(bench, "view.model.get('scene').units.length === 1")
    expect(part(bench).get_by_text("Done: 0.")).to_be_visible()
    tab(bench, "events")
    part(bench).get_by_label("rows are").select_option("events")
    expect(part(bench, ".vsim-rows tbody tr").first).to_contain_text("domctl")
    part(bench).get_by_label("rows are").select_option("interrupts")


def test_a_member_and_its_bytes_light_up_together_whichever_is_pointed_at(bench):
    tab(bench, "domctl")
    hot = "(all) => all.map((each) => each.dataset.at)"
    part(bench).get_by_label("length", exact=True).focus()
    expect(part(bench, ".vsim-octet.vsim-hot")).to_have_count(8)
    assert part(bench, ".vsim-octet.vsim-hot").evaluate_all(hot) == [str(at) for at in range(24, 32)]
    part(bench, ".vsim-octet[data-at='17']").hover()
    assert part(bench, ".vsim-octet.vsim-hot").evaluate_all(hot) == [str(at) for at in range(16, 24)]
    expect(part(bench, ".vsim-member.vsim-hot")).to_contain_text("base address")


def test_a_byte_is_typed_over_and_everything_wrong_is_marked_in_the_page(bench):
    tab(bench, "domctl")
    part(bench, ".vsim-octet[data-at='17']").click()
    bench.page.keyboard.type("08")
    bench.page.keyboard.press("ArrowRight")
    expect(part(bench).get_by_label("base address", exact=True)).to_have_value("0xfed90800")
    length = part(bench).get_by_label("length", exact=True)
    length.fill("1")
    length.press("Enter")
    expect(part(bench, ".vsim-member .vsim-wrong:visible")).to_have_count(2)
    expect(part(bench, ".vsim-octet.wrong")).to_have_count(16)
    expect(part(bench).get_by_text("Then EINVAL (22), base address")).to_be_visible()
    part(bench, ".vsim-octet[data-at='17']").click()
    bench.page.keyboard.type("00")
    length.fill("4096")
    length.press("Enter")
    expect(part(bench, ".vsim-octet.wrong")).to_have_count(0)


def test_a_refusal_is_seen_where_it_was_asked(bench):
    booted(bench)
    tab(bench, "guest")
    bench.do("lab.kernel.guest.affinity = lambda *asked: 'beyond 8 bits'")
    press(bench, "set affinity")
    answer = part(bench).get_by_text("The guest refuses: beyond 8 bits.")
    expect(answer).to_be_visible()
    button = part(bench).get_by_role("button", name="set affinity").bounding_box()
    assert 0 < answer.bounding_box()["y"] - button["y"] < 60


def test_changes_are_seen_and_kept_while_another_entry_is_looked_at(bench):
    booted(bench)
    edit(bench)
    box = part(bench).get_by_label("dst [63:32]", exact=True)
    box.fill("10")
    box.press("Enter")
    expect(part(bench, ".vsim-edit").get_by_text("becomes 0xa.")).to_be_visible()
    expect(part(bench, ".vsim-changed")).to_have_count(1)
    here = bench.ask("edited.index")
    bench.do("lab.selection.irte = edited.index + 1")
    expect(part(bench, ".vsim-edit").get_by_text(f"not written yet: entry {here}.")).to_be_visible()
    bench.do("lab.selection.irte = edited.index")
    expect(box).to_have_value("0xa")
    press(bench, "drop changes")
    expect(part(bench, ".vsim-changed")).to_have_count(0)


def test_bits_look_in_the_page_as_they_are_drawn_here(bench):
    """The page paints what changed; what it then shows is the drawing of the words as they are now."""
    booted(bench)
    edit(bench)
    part(bench, ".vsim-edit button[data-bit='33']").click()
    part(bench, ".vsim-edit button[data-bit='20']").click()
    expect(part(bench, ".vsim-edit .vsim-bit.diff")).to_have_count(2)
    bench.do("from widgets.editors import strip, entries; from vsim.layouts.formats import IRTE")
    bench.do("memory = entries.stored(lab.machine, 0, edited.index)")
    drawn = bench.ask("strip.strip(IRTE, memory ^ 1 << 33 ^ 1 << 20, memory, True)")
    here, there = bench.page.evaluate("""(drawn) => {
      const made = document.createElement("template"), shown = document.querySelector(".t-lab .vsim-edit .vsim-words");
      made.innerHTML = drawn;
      return [shown, made.content].map((each) => [...each.querySelectorAll(".vsim-bit")].map((bit) =>
        [[...bit.classList].sort().join(" "), bit.title, bit.textContent, bit.ariaPressed]));
    }""", drawn)
    assert here == there and len(here) == 128
    press(bench, "drop changes")
    expect(part(bench, ".vsim-edit .vsim-bit.diff")).to_have_count(0)


def test_a_fire_before_the_boot_is_answered_in_the_page(bench):
    part(bench).get_by_label("device", exact=True).select_option(label=bench.ask("lab.controls.device.options[1][0]"))
    press(bench, "fire")
    expect(part(bench).get_by_text("masked: the guest has not programmed it").first).to_be_visible()


def test_an_edited_destination_is_where_the_next_token_lands(bench):
    booted(bench)
    edit(bench)
    before = view(bench, "view.tally.delivered[5]")
    box = part(bench).get_by_label("dst [63:32]", exact=True)
    box.fill("10")
    box.press("Enter")
    press(bench, "write and invalidate")
    bench.until("'dst=0xa' in Edit(lab, 0x300).text")
    press(bench, "fire")
    until(bench, f"view.tally.delivered[5] === {before} + 1")
    assert newest(bench)[-1] == "vLAPIC 5"
    expect(part(bench, ".vsim-why h3").first).to_contain_text("accepted by vLAPIC 5")


def test_a_cleared_present_bit_blocks_and_leaves_a_record_that_names_the_source(bench):
    booted(bench)
    edit(bench)
    bench.do("lab.kernel.serving = False")  # or the guest's handler reads the record and clears it
    part(bench).get_by_label("p [0]", exact=True).uncheck()
    press(bench, "write and invalidate")
    bench.until("'p=1' not in Edit(lab, 0x300).text")
    press(bench, "fire")
    until(bench, "view.tally.total[3] === 1")
    assert "0x22" in newest(bench)[-2] and newest(bench)[-1] == ""
    badge = part(bench, ".vsim-badge")
    expect(badge).to_be_visible()
    badge.click()
    expect(part(bench, ".vsim-faults")).to_contain_text("reason 0x22")
    expect(part(bench, ".vsim-faults")).to_contain_text("source 03:00.0")
    expect(part(bench, ".vsim-why")).to_contain_text("✗ failed")
    badge.click()


# What is in focus, by its name.
_NAMED = """() => { const at = document.activeElement;
  return at.getAttribute("aria-label") || at.textContent.trim() || at.title; }"""


def test_an_entry_is_edited_written_used_and_left_again_by_keys_alone(bench):
    booted(bench)
    front(bench, "domctl")
    bench.do("lab.selection.irte = edited.index; lab.selection.device = 0x300")
    settled(bench)
    keys = bench.page.keyboard

    def to(name, key="Tab"):
        for _ in range(60):
            keys.press(key)
            if bench.page.evaluate(_NAMED) == name:
                return
        raise AssertionError(f"{key} does not lead to {name!r}")

    part(bench).get_by_role("button", name="boot", exact=True).first.focus()
    to("domctl")
    keys.press("ArrowRight")
    keys.press("Enter")
    expect(part(bench, ".vsim-edit").get_by_text(f"Entry {bench.ask('edited.index')} of")).to_be_visible()
    to("p [0]")
    keys.press(" ")
    expect(part(bench, ".vsim-forecast p")).to_have_count(2)
    to("write and invalidate")
    keys.press("Enter")
    bench.until("'p=1' not in Edit(lab, 0x300).text")
    expect(part(bench).get_by_role("button", name="fire")).to_have_attribute("aria-keyshortcuts", "F8")
    here = bench.page.evaluate(_NAMED)
    keys.press("F8")
    until(bench, "view.tally.total[3] === 1")
    settled(bench)
    assert bench.page.evaluate(_NAMED) == here, "the focus stays"
    part(bench).get_by_label("message", exact=True).first.focus()
    for key in ("Control+A", "2", "F8"):  # what was typed is taken first
        keys.press(key)
    bench.until("list(lab.gestures())[-1].name == 'fire 03:00.0 message 2'")
    settled(bench)
    for key in ("Control+A", "0", "Enter"):  # for the tests that follow
        keys.press(key)
    to("vLAPICs")
    for key in ("ArrowRight", "z", "Enter"):
        keys.press(key)
    bench.until("lab.selection.vlapic == 1")
    here = bench.ask("lab.position")
    keys.press(",")
    bench.until(f"lab.position < {here}")
    keys.press("Escape")


def test_a_forgotten_invalidation_leaves_a_stale_entry_that_is_used_and_named(bench):
    booted(bench)
    edit(bench)
    box = part(bench).get_by_label("dst [63:32]", exact=True)
    box.fill("0xa")
    box.press("Enter")
    press(bench, "write without invalidation")
    expect(part(bench, ".vsim-edit").get_by_text("STALE")).to_be_visible()
    before = view(bench, "view.tally.delivered[2]")
    press(bench, "fire")
    until(bench, f"view.tally.delivered[2] === {before} + 1")
    assert newest(bench)[-1] == "vLAPIC 2" and "from the cache" in newest(bench)[-2]
    expect(part(bench, ".vsim-why")).to_contain_text("The cached copy is stale")


def picture(session):
    """What the map holds: counts, pending interrupts, records, clock."""
    return view(session, """[[...view.tally.total], [...view.tally.sent], [...view.tally.delivered],
      view.tally.used.map((each) => [...each]), view.part.clock.textContent,
      view.part.badges.every((each) => each.hidden)]""")


def test_a_step_back_leaves_picture_and_machine_as_they_were(bench):
    booted(bench)
    bench.do("kept = lab.machine.copy(); lab.kernel.serving = False")
    before = picture(bench)
    press(bench, "fire")
    bench.until("lab.machine != kept")
    settled(bench)
    assert picture(bench) != before
    part(bench).get_by_label("by", exact=True).select_option("command")
    press(bench, "◀ back")
    bench.until("lab.machine == kept")
    settled(bench)
    assert picture(bench) == before


def test_the_maps_keys_step_through_the_labs_history(bench):
    booted(bench)
    here = bench.ask("lab.position")
    part(bench).get_by_role("listbox", name="vLAPICs").focus()
    bench.page.keyboard.press(",")
    assert bench.until(f"lab.position < {here}")
    bench.page.keyboard.press(".")
    bench.page.keyboard.press(".")
    assert bench.until(f"lab.position == {here}")


def test_the_bar_moves_the_cursor_while_it_is_dragged_and_by_keys(bench):
    booted(bench)
    bench.do("lab.fire(0x300, 1)")
    settled(bench)
    bar, last = part(bench).get_by_role("slider", name="time"), bench.ask("lab.position")
    blocks = part(bench, ".vsim-ticks span")
    assert blocks.all_inner_texts()[-2:] == ["fire 03:00.0 message 0", "fire 03:00.0 message 1"]
    before = bench.ask("list(lab.gestures())[-2].stop")
    bar.scroll_into_view_if_needed()
    bench.page.mouse.move(*middle(blocks.nth(-1)))
    bench.page.mouse.down()
    bench.page.mouse.move(*middle(blocks.nth(-2)))
    assert bench.until(f"lab.position == {before}"), "before it is let go"
    bench.page.mouse.move(*middle(blocks.nth(-1)))
    bench.page.mouse.up()
    assert bench.until(f"lab.position == {last}")
    settled(bench)
    bar.press("ArrowLeft")
    assert bench.until(f"lab.position == {before}")
    settled(bench)
    bar.press("Shift+ArrowRight")
    assert bench.until(f"lab.position == {before + 1}")
    settled(bench)
    bar.press("End")
    assert bench.until(f"lab.position == {last}")
    expect(bar).to_have_attribute("aria-valuetext", f"command {last} of {last}, fire 03:00.0 message 1")


def test_a_boot_takes_little_room_until_it_is_asked_for_and_the_bar_needs_no_scrolling(bench):
    booted(bench)
    track, block = part(bench, ".vsim-track"), part(bench, ".vsim-ticks span").filter(has_text="boot")
    whole, small = (each.evaluate("(each) => each.getBoundingClientRect().width") for each in (track, block))
    assert small < whole / 3 and track.evaluate("(each) => each.scrollWidth - each.clientWidth") == 0
    press(bench, "boot: show it in the bar")
    assert block.evaluate("(each) => each.getBoundingClientRect().width") > 1.5 * small
    assert track.evaluate("(each) => each.scrollWidth - each.clientWidth") == 0
    press(bench, "boot: fold it")
    head = part(bench, ".vsim-head").evaluate("(each) => each.getBoundingClientRect().right + 4")
    assert head < track.evaluate("(each) => each.getBoundingClientRect().right"), "the head is seen at the end"


def test_after_a_boot_no_ipi_is_told_of(bench):
    bench.do("from vsim import commands, create_op; lab.issue(commands.Domctl(create_op())); lab.boot()")
    settled(bench)
    assert bench.ask("[lab.selection.serial, lab.machine.serials > 0]") == [0, True]
    assert view(bench, "view.traces.lit === null || !view.traces.lit.length")
    assert view(bench, "view.part.merged.hidden")


def test_lanes_zoom_and_another_future(bench):
    booted(bench)
    bench.do("lab.undo(); lab.fire(0x300, 2)")
    settled(bench)
    press(bench, "lanes")
    expect(part(bench, ".vsim-names")).to_contain_text("03:00.0")
    wide = part(bench, ".vsim-ground").evaluate("(each) => each.offsetWidth")
    press(bench, "zoom in")
    assert part(bench, ".vsim-ground").evaluate("(each) => each.offsetWidth") > 1.9 * wide
    press(bench, "zoom out")
    press(bench, "reopen")
    assert bench.until("list(lab.gestures())[-1].name == 'fire 03:00.0 message 0'")
    settled(bench)
    expect(part(bench, ".vsim-ticks span").last).to_have_text("fire 03:00.0 message 0")
    press(bench, "lanes")


def test_a_row_of_the_table_chooses_the_interrupt(bench):
    booted(bench)
    serial = bench.ask("lab.machine.serials")
    tab(bench, "events")
    part(bench, ".vsim-rows").get_by_role("button", name="interrupt 1: why", exact=True).click()
    assert bench.until("lab.selection.serial == 1")
    expect(part(bench, ".vsim-why h3").first).to_contain_text("Interrupt 1:")
    part(bench, f".vsim-rows tr[data-serial='{serial}']").click()
    expect(part(bench, ".vsim-why h3").first).to_contain_text(f"Interrupt {serial}:")


def test_a_reload_in_mid_storm_brings_the_view_back_with_the_state_of_now(bench):
    booted(bench)
    bench.do("storm = lab.storm(200, 2.0)")
    bench.reload()
    part(bench, ".vsim-map").wait_for()
    bench.until("not storm.running")
    assert bench.ask("[storm.sent, storm.error is None]") == [400, True]
    settled(bench)
    expect(part(bench).get_by_text(f"{bench.ask('lab.position'):,} of").first).to_be_visible()
    assert newest(bench)[2] == str(bench.ask("lab.machine.serials"))


def test_a_name_with_markup_shows_as_text(bench):
    booted(bench)
    tab(bench, "IRT")
    shown = part(bench).inner_text()
    assert "<img src=x" in shown and bench.page.title() != "1"
    assert bench.page.locator("img[src=x]").count() == 0
    assert bench.page.locator(".t-lab b", has_text="card").count() == 0


@needs_qemu
def test_attached_by_a_click_a_qemu_gives_each_gesture_a_light(bench):
    """What was done before, what is done then, and what is taken back and done another way."""
    booted(bench)
    front(bench, "QEMU")
    bench.do("lab.selection.device = 0x300")
    press(bench, "attach")
    lights = part(bench, ".vsim-beside tbody")
    expect(lights.first).to_contain_text("fire 03:00.0 message 0")
    press(bench, "fire")
    settled(bench)
    expect(lights).to_have_count(bench.ask("len(lab.attached.lights(40))"))
    assert [row.split("\t")[0] for row in lights.all_inner_texts()][:2] == ["\u25cf equal"] * 2
    press(bench, "undo")
    bench.do("lab.issue(commands.Msi(0x300, 0xFEE02000, 0x41), name='<b>compatibility</b>')")
    settled(bench)
    expect(lights.first).to_contain_text("\u25b2 different")
    expect(lights.first).to_contain_text("<b>compatibility</b>")
    expect(lights.first).to_contain_text("qemu.D1")
    press(bench, "detach")
    expect(part(bench, ".vsim-panel:visible")).to_contain_text(["it is not wanted any more"])
    bench.do("lab.attached = None")


@pytest.mark.skipif(find_spec("sidecar") is None, reason="no sidecar")
def test_a_docked_map_stands_beside_the_notebook_and_follows_the_lab(bench):
    """JupyterLab's side area is reached by sidecar alone: this is the one test in which it is the real one."""
    booted(bench)
    bench.do("docked = lab.dock(); beside = [each.__self__ for each in lab.observers][-1]")
    side = bench.page.locator("#jp-right-stack .vsim-map")
    expect(side.locator("canvas").first).to_be_visible()
    total = "(root) => root.parentElement.vsim.tally.total.reduce((a, b) => a + b)"
    before = side.evaluate(total)
    press(bench, "fire")
    bench.page.wait_for_function(f"([root, before]) => ({total})(root) > before", arg=[side.element_handle(), before])
    bench.do("docked.close(); beside.close()")
    expect(side).to_have_count(0)


def test_the_second_lab_is_untouched(bench):
    booted(bench)
    bench.do("lab.storm(100, 0.1)")
    bench.until("not lab.storms")
    assert bench.ask("[second.position, len(second.history), second.selection.serial]") == [0, 0, 0]
    assert view(bench, "view.tally.total.reduce((a, b) => a + b)", "second") == 0


def test_a_mistake_is_told_at_the_control_and_nowhere_else(bench):
    booted(bench)
    edit(bench)
    here = bench.ask("lab.position")
    box = part(bench).get_by_label("whole, hex", exact=True)
    box.fill("0xnonsense")
    box.press("Enter")
    expect(part(bench, ".vsim-edit [role=alert]").first).to_contain_text("is not a number")
    expect(part(bench, ".vsim-edit [role=alert]").first).to_be_visible()
    assert bench.ask("lab.position") == here


@pytest.mark.skipif(AXE is None, reason="no axe_playwright_python")
@pytest.mark.parametrize("name", TABS)
def test_axe_finds_nothing(bench, name):
    booted(bench)
    front(bench, name)
    bench.page.evaluate(Path(AXE.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8") + ";0")
    found = bench.page.evaluate("axe.run('.t-lab')")["violations"]
    assert [(each["id"], each["impact"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []


def middle(place):
    box = place.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_kernel_that_restarts_under_the_page_breaks_nothing_in_it(server, browser):
    with opened(server, browser, "narrow.ipynb") as session:
        assert session.run() == []
        part(session, ".vsim-map").wait_for()
        guard = session.ask("lab.attach().beside.source._qemu._process.pid") if REAL else 0
        started = [guard, *children_of(guard)] if guard else []
        folder = Path(session.ask("lab.attached.beside.source._qemu.folder") if REAL else "no folder")
        session.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        session.until("'lab' not in globals()")
        gone(started)
        assert not folder.exists()
        panel = part(session, ".vsim-panel").first
        session.page.wait_for_function("""(each) => getComputedStyle(each, "::before").content
          .includes("run this cell again")""", arg=panel.element_handle())
        session.page.mouse.click(*middle(panel.get_by_text("boot", exact=True)))
        assert session.run() == [], "run again, it is there again"
        part(session, ".vsim-map").wait_for()
