"""The bench in Notebook 7 and in Voila: it is there, it answers a click, and nothing goes wrong in the page.

Notebook 7.6 throws "reading 'schema'" when it opens any notebook, one without widgets too: JupyterLab's plugin of
shortcuts, as Notebook packs it, hears of a change of settings of a plugin that is not in its list. Voila tells of a
module that an extension shares and it does not. So what a page with nothing of ours says is left out.
"""

from importlib.util import find_spec

import pytest

from tests.jupyter_host import NOISE, PATIENCE, Server, notebook
from tests.places import DATA
from widgets.bench.browser import chromium

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(chromium() is None, reason="no Chromium"),
              pytest.mark.skipif(find_spec("notebook") is None, reason="no notebook")]
BENCH = f"""from widgets.lab import Lab
lab = Lab.from_config({str(DATA / "small.cfg")!r}, lspci={str(DATA / "big.lspci")!r})
lab.boot()
lab"""
_RUN = """() => { const app = window.jupyterapp, kernel = app?.shell.currentWidget?.sessionContext?.session?.kernel;
  if (kernel?.status !== "idle") return false;
  return app.commands.execute("notebook:run-all-cells").then(() => true); }"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("books"), app="notebook")
    notebook(made.root, "bench.ipynb", BENCH)
    notebook(made.root, "plain.ipynb", "1 + 1")
    yield made
    made.stop()


def opened(browser, address):
    """A page, and what goes wrong in it."""
    page, wrong = browser.new_page(viewport={"width": 1440, "height": 900}), set()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: wrong.add(f"{error.name}: {error.message}"))
    page.on("console", lambda said: wrong.add(said.text) if said.type == "error" and not any(
        each in said.text for each in NOISE) else None)
    page.goto(address)
    return page, wrong


def fired(page):
    """Press "fire", and wait until the map has counted it."""
    bench = page.locator(".vsim-bench")
    bench.locator(".vsim-map canvas").first.wait_for()
    bench.get_by_role("button", name="fire", exact=True).click()
    page.wait_for_function("""() => [...document.querySelectorAll(".vsim-bench *")].find((each) => each.vsim)
      ?.vsim.tally.total.some((each) => each)""")


def test_the_bench_works_in_notebook_7(server, browser):
    page, own = opened(browser, server.url("/notebooks/plain.ipynb"))
    page.wait_for_function(_RUN)
    page.locator(".jp-OutputArea-output").get_by_text("2").wait_for()
    page.close()
    page, wrong = opened(browser, server.url("/notebooks/bench.ipynb"))
    page.wait_for_function(_RUN)
    fired(page)
    page.close()
    assert wrong - own == set()


@pytest.mark.skipif(find_spec("voila") is None, reason="no voila")
def test_the_bench_works_in_voila(server, browser):
    page, own = opened(browser, server.url("/voila/render/plain.ipynb"))
    page.locator(".jp-OutputArea-output").get_by_text("2").wait_for()
    page.wait_for_load_state("networkidle")
    page.close()
    page, wrong = opened(browser, server.url("/voila/render/bench.ipynb"))
    fired(page)
    page.close()
    assert wrong - own == set()
