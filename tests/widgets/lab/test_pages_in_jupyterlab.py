"""What fits where in a real JupyterLab, every profile's bench, and the lessons as pages."""

import re
from pathlib import Path

import pytest

from tests.jupyter_host import Session, notebook, opened
from tests.places import ROOT
from tests.widgets.chromium import settle
from tests.widgets.lab.at_the_bench import NAMED, TABS, booted, edit, expect, front, part, press, tab
from vsim.state.profile import PROFILES
from widgets.bench.browser import chromium
from widgets.bench.person import Person

pytestmark = [pytest.mark.browser, pytest.mark.skipif(chromium() is None, reason="no Chromium")]
LESSONS = sorted(path.name for path in ROOT.joinpath("notebooks").glob("*.ipynb"))
LIVE = ("00", "09")
"""Notebooks that are opened each time; all are run without a page (tests/notebooks), and opened under `-m soak`."""


# --- what fits where ---

# The bench as tall as it likes, so that nothing of it is scrolled away or lies under the map.
_UNROLLED = """.vsim-frame, .vsim-map { height: auto !important } .vsim-pinned { position: static !important }
  .vsim-glance { flex: none !important; overflow: visible !important }"""
# All that is to be read or pressed in the bench: what sticks out, what is cut off, which pairs overlap. What lies in a
# part that scrolls by itself, or is drawn on a canvas, is not counted.
_BOXES = """() => {
  const root = document.querySelector(".t-lab"), wide = root.getBoundingClientRect(), wrong = [];
  const name = (each) => `${each.tagName} ${(each.textContent || each.title || each.value).trim().slice(0, 40)}`;
  const own = ".vsim-rows, .vsim-why, .vsim-strip, .vsim-list, .vsim-stage, textarea, select";
  const cut = "button, label, summary, h3, h4, .lm-TabBar-tabLabel";
  const boxes = [...root.querySelectorAll(`${cut}, input, select, textarea, td, th, li, h2, pre`)]
    .filter((each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
    .filter((each) => !each.parentElement.closest(own))
    .map((each) => [each, each.getBoundingClientRect()]).filter(([, box]) => box.width > 2 && box.height > 2);
  for (const [each, box] of boxes) {
    if (box.right > wide.right + 1 || box.left < wide.left - 1) wrong.push(`sticks out: ${name(each)}`);
    if (each.matches(cut) && each.clientWidth && each.scrollWidth > each.clientWidth + 1)
      wrong.push(`cut off: ${name(each)}`);
  }
  const single = boxes.filter(([each]) => /BUTTON|INPUT|SELECT|TEXTAREA|LABEL|SUMMARY|H3|H4/.test(each.tagName));
  single.forEach(([a, p], n) => single.slice(n + 1).forEach(([b, q]) => {
    const x = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (x > 1.5 && y > 1.5 && !a.contains(b) && !b.contains(a)) wrong.push(`overlap: ${name(a)} / ${name(b)}`);
  }));
  return wrong;
}"""


@pytest.mark.parametrize("dark, widths", [(False, (480, 700, 900, 1200, 1440, 1920)), (True, (480, 1440))])
def test_nothing_is_clipped_and_nothing_overlaps(anew, dark, widths):
    """A theme changes colours: two widths say whether it changes sizes too."""
    session = anew("narrow.ipynb", 1440)
    booted(session)
    edit(session)
    session.command("apputils:change-theme", theme=f"JupyterLab {'Dark' if dark else 'Light'}")
    session.page.wait_for_function("(light) => document.body.dataset.jpThemeLight === light",
                                   arg="false" if dark else "true")
    found = {}
    for name in TABS:
        front(session, name)
        for width in widths:
            session.page.set_viewport_size({"width": width, "height": 1000})
            style = session.page.add_style_tag(content=_UNROLLED)
            settle(session.page)
            found[name, width] = session.page.evaluate(_BOXES)
            style.evaluate("(each) => each.remove()")
    assert {place: wrong for place, wrong in found.items() if wrong} == {}


# What lies below the window or the bench's own edge, tab by tab, and the height of the bench.
_SEEN = """() => { const bench = document.querySelector(".t-lab"), { top, bottom } = bench.getBoundingClientRect();
  const parts = [".vsim-controls", ".vsim-map", ".vsim-travel", ".vsim-why", ".vsim-tabs"];
  return [Math.round(bottom - top), parts.filter((each) => {
    const box = bench.querySelector(each).getBoundingClientRect();
    return box.top < top - 1 || box.top > bottom - 40 || box.height < 20; })]; }"""


def test_all_of_it_is_seen_at_one_glance_in_a_window_of_1440_by_900(anew):
    session = anew("narrow.ipynb", 1440)
    booted(session)
    for name in TABS:
        front(session, name)
        height, missed = session.page.evaluate(_SEEN)
        assert missed == [] and height <= 760, name
    edit(session)
    box = part(session).get_by_label("dst [63:32]", exact=True)
    box.fill("10")
    box.press("Enter")
    expect(part(session, ".vsim-forecast p")).to_have_count(2)
    session.page.set_viewport_size({"width": 1440, "height": 900})
    part(session).evaluate("(each) => each.scrollIntoView({ block: 'start' })")
    for each in (box, part(session, ".vsim-forecast p").last, part(session).get_by_text("write and invalidate")):
        assert Person(session.page).sees(each), "the bits, the forecast and the button, unscrolled"


def test_in_a_narrow_window_the_map_stays_while_the_rest_scrolls(anew):
    session = anew("narrow.ipynb", 900)
    where = "() => document.querySelector('.t-lab .vsim-map').getBoundingClientRect().top"
    before = session.page.evaluate(where)
    glance = part(session, ".vsim-glance")
    assert glance.evaluate("(each) => { each.scrollTop = 200; return each.scrollTop; }") == 200
    assert abs(session.page.evaluate(where) - before) < 1


def test_a_storm_and_a_refusal_move_nothing(anew):
    session = anew("narrow.ipynb", 1440)
    where = """() => { const box = (css) => document.querySelector(css).getBoundingClientRect();
      return box(".t-lab .vsim-map").top - box(".t-lab").top; }"""
    before = session.page.evaluate(where)
    press(session, "storm")
    expect(part(session).get_by_text("boot the guest first")).to_be_visible()
    assert session.page.evaluate(where) == before
    booted(session)
    session.do("storm = lab.storm(200, 60.0)")
    expect(part(session, ".vsim-travel").get_by_text(re.compile("amidst a storm, [0-9,]+ to come"))).to_be_visible()
    assert session.page.evaluate(where) == before
    session.do("storm.stop()")


# --- every profile ---


@pytest.mark.parametrize("name", PROFILES)
def test_the_bench_opens_boots_and_fires_under_every_profile(anew, name):
    session = anew("profile.ipynb", 1400, f"under = {name!r}")
    for each in TABS:
        tab(session, each)
    press(session, "boot")
    session.until("lab.kernel.guest is not None")
    settled_by = session.ask("lab.position")
    press(session, "fire")
    session.until(f"lab.position > {settled_by}")
    for each in TABS:
        front(session, each)
        assert session.page.locator(".t-lab .vsim-bad", has_text="Error").count() == 0
    assert session.page.locator(".t-lab .vsim-map canvas").first.is_visible()


def test_a_name_is_not_typeset_as_mathematics(server, browser):
    with opened(server, browser, "names.ipynb") as session:
        assert session.run() == []
        shown = session.page.locator(".jp-OutputArea-output")
        expect(shown.first.locator("mjx-container")).to_have_count(1)
        expect(shown.last.locator("mjx-container")).to_have_count(1)
        expect(session.page.locator("mjx-container")).to_have_count(2)
        for place, count in enumerate((3, 1, 2, 1), 1):
            assert shown.nth(place).text_content().count(NAMED) == count


# --- the lessons ---


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name.startswith(LIVE) else pytest.mark.soak) for name in LESSONS])
def test_a_notebook_opens_runs_and_shows_no_error(server, browser, name):
    with opened(server, browser, name) as session:
        assert session.run() == []


def test_a_person_reads_a_file_mends_its_fault_and_saves_report_and_clean_text(server, browser):
    """By clicks alone at 1440 x 900: upload, findings, the fault again, the change by its button, map, two files."""
    notebook(server.root, "inspector.ipynb", "from widgets.lab import Inspector", "Inspector()")
    session = Session(server, browser, "inspector.ipynb", width=1440)
    session.page.set_viewport_size({"width": 1440, "height": 900})
    assert session.run() == []
    page, panel = session.page, session.page.locator(".vsim-panel:has(textarea)")
    who = Person(page)
    with page.expect_file_chooser() as chosen:
        who.click(panel.get_by_text("files"))
    chosen.value.set_files(ROOT / "notebooks" / "data" / "pasted.txt")
    who.reads(panel.get_by_text("a unit refused a request of 03:00.0"))
    who.click(panel.get_by_role("button", name="send it again"))
    who.reads(panel.get_by_text("the same reason, index and source"))
    who.click(panel.get_by_role("button", name="let it pass"))
    who.reads(panel.get_by_text("it passes now: entry 0x5 allows 03:00.0 in"))
    who.reads(panel.locator(".vsim-legend").get_by_text("remapped 1"))
    saved = {}
    for button, link in (("make a report", "save report.html"), ("take out names", "save clean-pasted.txt")):
        who.click(panel.get_by_role("button", name=button))
        with page.expect_download() as loaded:
            who.click(panel.get_by_role("link", name=link))
        saved[loaded.value.suggested_filename] = Path(loaded.value.path()).read_text()
    assert "Faults sent again" in saved["report.html"] and "fault index 0x5" in saved["clean-pasted.txt"]
    assert (who.clicks, session.wrong) == (7, []) and who.scrolls <= 2
    session.close()
