"""`vsim lab --present` in a real JupyterLab: one notebook fills the window, the type is large, the keyboard steps."""

import re
import shutil

import pytest

from tests.jupyter_host import PATIENCE, Server, lessons
from widgets.lab.chromium import chromium
from widgets.lab.present import TYPE, settle

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
expect = playwright.expect
expect.set_options(timeout=1000 * PATIENCE)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(chromium() is None, reason="no Chromium")]

LESSON = "03_six_names.ipynb"


class Projector(Server):
    """A server with the settings that the command writes."""

    def _settle(self):
        super()._settle()
        shutil.copytree(settle(self.folder / "config"), self.folder / "settings", dirs_exist_ok=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Projector(tmp_path_factory.mktemp("server"), lessons(tmp_path_factory.mktemp("lab") / "notebooks"))
    yield made
    made.stop()


def test_a_notebook_fills_the_window_in_large_type_and_the_keyboard_steps(server, browser):
    view = browser.new_page(viewport={"width": 1280, "height": 800})
    view.goto(server.url(f"/doc/tree/{LESSON}"))
    prose = view.locator(".jp-MarkdownOutput p").first
    expect(prose).to_be_visible()
    assert prose.evaluate("each => getComputedStyle(each).fontSize") == TYPE["content-font-size1"]
    assert view.evaluate("document.body.dataset.jpThemeLight") == "true"
    assert view.locator(".jp-LabShell").evaluate("each => each.dataset.shellMode") == "single-document"
    assert view.locator(".jp-NotebookPanel").evaluate("each => each.clientWidth") > 0.9 * 1280
    first, second = (view.locator(".jp-Cell").nth(number) for number in (0, 1))
    first.click()
    view.keyboard.press("Escape")
    view.keyboard.press("Shift+Enter")
    expect(second).to_have_class(re.compile("jp-mod-active"))
