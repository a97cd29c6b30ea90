"""Every notebook from top to bottom in the browser's Python, and nobody asked but the site's own server."""

import re

import pytest

from tests.jupyter_host import _ERRORS, _NOT_SHOWN, _READY
from tests.places import LESSONS
from tests.widgets.site.places import Visit, built

pytestmark = [pytest.mark.browser, pytest.mark.soak]

_RAN = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.every((cell) =>
  cell.cell_type !== "code" || cell.execution_count || !cell.source.trim())"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return built(tmp_path_factory.mktemp("site") / "made", bench=False)


def test_a_site_has_at_most_fifty_megabytes_and_names_no_registry(site):
    files = [each for each in site.rglob("*") if each.is_file()]
    assert sum(each.stat().st_size for each in files) <= 50_000_000
    named = re.compile(rb"pypi\.org|pythonhosted|registry\.npmjs")
    assert [each for each in files if named.search(each.read_bytes())] == []  # a wheel's own words are packed


def test_a_bench_in_a_notebook_knows_the_page(browser, address):
    visit = Visit(browser, f"{address}lab/index.html?path=01_the_bench.ipynb")
    try:
        run(visit.page)
        visit.page.locator(".vsim-copylink button").first.click()
        visit.page.wait_for_function("document.querySelector('.vsim-linked p')?.textContent")
        assert visit.page.evaluate("navigator.clipboard.readText()").startswith(f"{address}bench.html#state=vsim1.")
    finally:
        visit.close()


def run(page):
    """Open the notebook's kernel and run all cells."""
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext")
    page.wait_for_function(_READY)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => null)")
    page.wait_for_function(_READY)


@pytest.mark.parametrize("name", sorted(path.name for path in LESSONS.glob("*.ipynb")))
def test_a_notebook_runs_from_top_to_bottom(browser, address, name):
    visit = Visit(browser, f"{address}lab/index.html?path={name}")
    try:
        run(visit.page)
        assert visit.page.evaluate(_ERRORS) + visit.page.evaluate(_NOT_SHOWN) == []
        assert visit.page.evaluate(_RAN)
        assert {host for host in visit.asked if host} == {address.split("/")[2]}
        assert [each for each in visit.wrong if "Failed to load resource" not in each] == []
    finally:
        visit.close()
