"""Five tasks at the bench, by a person's clicks: few, without scrolling; and the counting itself."""

import json
from importlib.util import find_spec

import pytest

from tests.widgets.bench.test_command import registered, run
from tests.widgets.chromium import launched
from widgets.bench import browser as bench_browser
from widgets.bench import tasks
from widgets.bench.person import Person

__all__ = ["registered"]  # a fixture
PLAYED = {"one": {"clicks": 8, "scrolls": 0, "seconds": 3.0}, "two": {"clicks": 2, "scrolls": 1, "seconds": 3.0}}
PAGE = """<style>body{margin:0} .box{height:100px;overflow:auto} .far{margin-top:300px}
  .over{position:fixed;left:0;top:0;width:90px;height:40px;background:#fff}</style>
<button id=under style="width:80px;height:30px">under</button><div class=over></div>
<button id=near style="margin-left:50px">near</button>
<div class=box><select id=few><option>a<option>b</select><br><button id=inside class=far>inside</button></div>
<select id=many size=2><option>1<option>2<option id=third>3</select><label>name<input id=name></label>
<p id=below style="margin-top:2000px">words</p>"""
needs_browser = [pytest.mark.browser, pytest.mark.skipif(bench_browser.chromium() is None, reason="no Chromium"),
                 pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright")]


def test_the_command_plays_and_prints_them(registered, monkeypatch, capsys):
    monkeypatch.setattr(tasks, "play", lambda tell: PLAYED)
    assert run("--browser", "--tasks") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["one", "two"]
    assert "reached (at most 8 and 0)" in lines[0] and "MISSED" in lines[1]
    assert run("--browser", "--tasks", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"tasks": PLAYED}


def test_a_task_that_cannot_be_played_says_why_with_status_1(registered, monkeypatch, capsys):
    def failing(tell):
        raise RuntimeError("one: no button")
    monkeypatch.setattr(tasks, "play", failing)
    assert run("--browser", "--tasks") == 1
    assert capsys.readouterr().err == "vsim bench --browser: one: no button\n"


@pytest.fixture(scope="class")  # ended before the tasks are played, which start one of their own
def browser():
    with launched() as found:
        yield found


@pytest.fixture
def person(browser):
    page = browser.new_page(viewport={"width": 600, "height": 400})
    page.set_content(PAGE)
    yield Person(page)
    page.close()


class TestCounted:
    pytestmark = needs_browser

    @pytest.mark.parametrize("target, scrolls", [("near", 0), ("name", 0), ("inside", 1), ("below", 1)])
    def test_a_click_out_of_sight_costs_a_scroll(self, person, target, scrolls):
        person.click(person.page.locator(f"#{target}"))
        assert (person.clicks, person.scrolls) == (1, scrolls)

    def test_what_is_covered_is_not_seen(self, person):
        assert not person.sees(person.page.locator("#under"))

    def test_a_list_that_opens_costs_a_click_more(self, person):
        person.choose(person.page.locator("#few"), label="b")
        assert (person.clicks, person.page.locator("#few").input_value()) == (2, "b")

    def test_a_line_of_an_open_list_below_its_edge_costs_a_scroll(self, person):
        person.pick(person.page.locator("#third"))
        assert (person.clicks, person.scrolls, person.page.locator("#many").input_value()) == (1, 1, "3")

    def test_a_field_is_clicked_and_its_words_replaced(self, person):
        for words in ("old", "new"):
            person.write(person.page.locator("#name"), words)
        assert (person.clicks, person.page.locator("#name").input_value()) == (2, "new")


@pytest.fixture(scope="module")
def played():
    """All tasks, in one JupyterLab."""
    return tasks.play()


class TestPlayed:
    pytestmark = needs_browser

    @pytest.mark.parametrize("task", tasks.TASKS, ids=lambda task: task.play.__name__)
    def test_a_task_takes_few_clicks_and_no_scroll(self, task, played):
        played = played[task.name]
        assert played["clicks"] <= tasks.CLICKS and played["scrolls"] <= tasks.SCROLLS
        assert played["seconds"] > 0
