"""A JupyterLab with a bench, one to each test module."""

import pytest

from tests.jupyter_host import Server, Session, lessons, notebook
from tests.widgets.chromium import settle


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from tests.widgets.lab.at_the_bench import ASKED, MADE, SHOWN, TYPESET, UNDER  # skips where there is no playwright

    made = Server(tmp_path_factory.mktemp("server"), lessons(tmp_path_factory.mktemp("lab") / "notebooks"))
    notebook(made.root, "bench.ipynb", ASKED, MADE, SHOWN.format("lab"), SHOWN.format("second"))
    notebook(made.root, "names.ipynb", TYPESET)
    notebook(made.root, "narrow.ipynb", ASKED, MADE, SHOWN.format("lab"))
    notebook(made.root, "profile.ipynb", ASKED, UNDER, SHOWN.format("lab"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def _pages(server, browser):
    sessions = {}

    def page_of(name):
        if name not in sessions:
            sessions[name] = Session(server, browser, name)
        return sessions[name]
    yield page_of
    for each in sessions.values():
        each.close()


@pytest.fixture
def anew(_pages):
    """A notebook run from its top, in a page that the module's tests share: anew(name, width, before).

    before: a statement for the kernel. Nothing may have gone wrong in a page when the test ends.
    """
    used = []

    def run(name, width, before=""):
        session = _pages(name)
        used.append(session)
        session.page.set_viewport_size({"width": width, "height": 1000})
        session.do(before)
        assert session.run() == []
        settle(session.page)
        return session
    yield run
    for each in used:
        wrong, each.wrong = each.wrong, []
        assert wrong == [], wrong
