"""Every notebook from top to bottom in the browser's Python, and nobody asked but the site's own server."""

import pytest

from tests.jupyter_host import _ERRORS, _NOT_SHOWN, _READY
from tests.places import LESSONS
from tests.widgets.site.places import Visit, built, launched, served

pytestmark = [pytest.mark.browser, pytest.mark.soak]

_RAN = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.every((cell) =>
  cell.cell_type !== "code" || cell.execution_count || !cell.source.trim())"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = built(tmp_path_factory.mktemp("site") / "made", bench=False)
    assert sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) <= 50_000_000
    with served(folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.mark.parametrize("name", sorted(path.name for path in LESSONS.glob("*.ipynb")))
def test_a_notebook_runs_from_top_to_bottom(browser, address, name):
    visit = Visit(browser, f"{address}lab/index.html?path={name}")
    try:
        visit.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext")
        visit.page.wait_for_function(_READY)
        visit.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => null)")
        visit.page.wait_for_function(_READY)
        assert visit.page.evaluate(_ERRORS) + visit.page.evaluate(_NOT_SHOWN) == []
        assert visit.page.evaluate(_RAN)
        assert {host for host in visit.asked if host} == {address.split("/")[2]}
        assert [each for each in visit.wrong if "Failed to load resource" not in each] == []
    finally:
        visit.close()
