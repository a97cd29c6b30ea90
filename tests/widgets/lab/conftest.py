"""A JupyterLab with a bench to each test module, and a Chromium."""

import pytest

from tests.jupyter_host import Server, lessons, notebook
from vsim.state.profile import PROFILES
from widgets.bench.browser import ARGUMENTS, chromium


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from tests.widgets.lab.at_the_bench import ASKED, MADE, SHOWN, TYPESET, UNDER  # skips where there is no playwright

    made = Server(tmp_path_factory.mktemp("server"), lessons(tmp_path_factory.mktemp("lab") / "notebooks"))
    notebook(made.root, "bench.ipynb", ASKED, MADE, SHOWN.format("lab"), SHOWN.format("second"))
    notebook(made.root, "names.ipynb", TYPESET)
    notebook(made.root, "narrow.ipynb", ASKED, MADE, SHOWN.format("lab"))
    for name in PROFILES:
        notebook(made.root, f"{name}.ipynb", ASKED, UNDER.format(name), SHOWN.format("lab"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        made = p.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield made
        made.close()
