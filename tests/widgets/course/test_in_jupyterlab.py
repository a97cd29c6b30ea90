"""Exercises in a real JupyterLab: locked, guessed, hinted, shown and handed in by clicks."""

import pytest

from tests.jupyter_host import PATIENCE, Server, lessons, notebook, opened
from widgets.bench.browser import chromium
from widgets.course.quiz import Quiz

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
expect = playwright.expect
expect.set_options(timeout=1000 * PATIENCE)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(chromium() is None, reason="no Chromium")]

CELLS = ('from widgets.course.quiz import Quiz\nquiz = Quiz("03_six_names", "Ada")\nquiz', 'quiz.ask("vector")',
         'quiz.show("vector")', "quiz.receipt()", 'Quiz("07_messages_and_senders")')


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("server"), lessons(tmp_path_factory.mktemp("lab") / "notebooks"))
    notebook(made.root, "exercise.ipynb", *CELLS)
    yield made
    made.stop()


def cell(session, text):
    return session.page.locator(".jp-CodeCell").filter(has_text=text)


def again(session, text):
    """Run one cell, as a reader does."""
    cell(session, text).locator(".jp-InputArea-editor").click()
    session.page.keyboard.press("Control+Enter")


def test_a_prediction_is_locked_until_it_is_committed_and_the_receipt_tells_of_it(server, browser):
    numbers = Quiz("03_six_names", "Ada").numbers("vector")
    with opened(server, browser, "exercise.ipynb") as session:
        assert session.run() == []
        shown, card = cell(session, 'quiz.show("vector")'), session.page.locator(".vsim-card")
        expect(shown).to_contain_text("Locked: commit a guess first")
        card.get_by_role("button", name="hint").click()
        expect(card).to_contain_text("Only one of the six numbers lives inside a CPU.")
        card.get_by_role("textbox").fill(str(numbers["message"]))
        card.get_by_role("button", name="commit").click()
        expect(card).to_contain_text("(M2)")
        expect(card.get_by_role("link", name="Six numbers of one interrupt")).to_have_count(1)
        again(session, 'quiz.show("vector")')
        expect(shown).to_contain_text(f"{numbers['vector']:#x}")
        card.get_by_role("textbox").fill(f"{numbers['vector']:#x}")
        card.get_by_role("button", name="commit").click()
        expect(card).to_contain_text("Right.")
        again(session, "quiz.receipt()")
        expect(cell(session, "quiz.receipt()")).to_contain_text("score=1/12 tries=2 met=M2 sign=")


def test_a_guest_is_asked_for_a_name_once(server, browser):
    with opened(server, browser, "exercise.ipynb") as session:
        assert session.run() == []
        asks = session.page.locator(".vsim-name")
        asks.get_by_role("textbox").fill("Grace")
        asks.get_by_role("button", name="that is me").click()
        expect(asks).to_contain_text("6 exercises with the numbers of Grace.")
        again(session, "07_messages_and_senders")
        expect(asks).to_have_count(0)
        expect(cell(session, "07_messages_and_senders")).to_contain_text("6 exercises with the numbers of Grace.")
