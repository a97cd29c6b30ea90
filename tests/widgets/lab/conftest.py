"""A JupyterLab with a bench, one to each test module."""

import pytest

from tests.jupyter_host import Server, lessons, notebook
from vsim.state.profile import PROFILES


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
