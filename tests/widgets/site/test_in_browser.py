"""The plain page in Chromium: the bench lives, asks its own server alone, opens links, and reckons as CPython does."""

from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.places import DATA, GOLDEN, ROOT
from tests.vsim.test_same_everywhere import DIGEST, own
from tests.widgets.site.places import Visit, built
from vsim.history.link import Link, parse, text
from widgets.lab import Lab
from widgets.lab.copylink import line

pytestmark = pytest.mark.browser

AXE = find_spec("axe_playwright_python")
_READY = "document.body.dataset.ready || document.querySelector('#told.failed')"
_WHERE = "document.querySelector('.vsim-where p')?.textContent"

# Whether what "copy link" shows lies inside the window and over all else, at its corners and in its middle.
_ON_TOP = """() => { const shown = document.querySelector(".vsim-linked"), { left, right, top, bottom } =
    shown.getBoundingClientRect();
  return left >= 0 && right <= innerWidth && bottom <= innerHeight &&
    [[left + 3, top + 3], [right - 3, bottom - 3], [(left + right) / 2, (top + bottom) / 2], [left + 60, top + 12]]
      .every(([x, y]) => shown.contains(document.elementFromPoint(x, y))); }"""

# Python of the page in a worker of the test's own, with the page's packages and some files: what its code prints.
_RUN = """([code, files]) => new Promise((done) => {
  const bytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const script = `onmessage = async ({ data }) => {
    try {
      const { loadPyodide } = await import(data.runtime + "pyodide.mjs");
      let said = "";
      const python = await loadPyodide({ indexURL: data.runtime, stdout: (line) => { said += line + "\\\\n"; } });
      python.unpackArchive(data.archive, "zip", { extractDir: "/kit" });
      for (const [name, content] of Object.entries(data.files)) {
        python.FS.mkdirTree("/kit/" + name.split("/").slice(0, -1).join("/"));
        python.FS.writeFile("/kit/" + name, content);
      }
      python.FS.chdir("/kit");
      python.runPython("import sys; sys.path.insert(0, '/kit')");
      python.runPython(data.code);
      postMessage(said);
    } catch (error) { postMessage(String(error)); }
  }`;
  const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })), { type: "module" });
  worker.onerror = (error) => done(`the worker failed: ${error.message}`);
  worker.onmessage = ({ data }) => { worker.terminate(); done(data); };
  worker.postMessage({ code, runtime: new URL("static/pyodide/", location.href).href,
    archive: bytes(document.getElementById("archive").textContent).buffer,
    files: Object.fromEntries(Object.entries(files).map(([name, text]) => [name, bytes(text)])) });
})"""

# Hundreds of spoilt links, each a link or a clear error.
FUZZ = """
import random
from vsim.history.link import LinkError, parse
rng, text, found = random.Random(5), open("link.txt").read(), {}
for _ in range(300):
    spoilt = list(text)
    for _ in range(rng.randrange(1, 4)):
        spoilt[rng.randrange(len(spoilt))] = chr(rng.choice((rng.randrange(32, 127), 0, 0x202e, 0x1f600)))
    del spoilt[rng.choice((len(spoilt), rng.randrange(len(spoilt)))):]
    try:
        parse("".join(spoilt))
        kind = "read"
    except LinkError:
        kind = "told"
    found[kind] = found.get(kind, 0) + 1
print(sum(found.values()), found.get("told", 0) > 290)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return built(tmp_path_factory.mktemp("site") / "made", bench=True)


@pytest.fixture(scope="module")
def address(address):
    """The bench alone."""
    return f"{address}bench.html"


@pytest.fixture(scope="module")
def linked():
    """A Lab in the midst of things."""
    lab = Lab.from_config(DATA / "big.cfg", lspci=DATA / "big.lspci")
    lab.boot()
    lab.fire("00:05.0", 3)
    lab.storm(1000, 0.1, seed=4)
    lab.undo()
    lab.selection.vlapic = 200
    return lab


@pytest.fixture(scope="module")
def bench(browser, address, linked):
    """The page of that Lab's link."""
    visit = Visit(browser, f"{address}#state={linked.link()}")
    visit.page.wait_for_function(_READY)
    yield visit
    visit.close()


def test_a_link_opens_the_same_state(bench, linked):
    assert bench.page.query_selector("#told.failed") is None, bench.page.inner_text("#told")
    assert bench.page.evaluate(_WHERE).partition(": ")[2].startswith(
        f"{linked.position:,} of {len(linked.history):,};")


def test_copy_link_gives_what_was_opened(bench, address, linked):
    """The address goes to the clipboard; the line of Python lies beside it; nothing is cut off or lies below."""
    page = bench.page
    page.get_by_role("button", name="copy link").click()
    page.wait_for_selector(".vsim-linked:not([hidden])")
    page.wait_for_function("document.querySelector('.vsim-linked p').textContent")
    start, _, given = page.evaluate("navigator.clipboard.readText()").partition("#state=")
    assert start == address
    assert parse(given).selected["vlapic"] == 200
    none = {"selected": {}}  # the bench has chosen an interrupt to tell of; and another zlib packs the same otherwise
    assert parse(given)._replace(**none) == parse(linked.link())._replace(**none)
    assert page.inner_text(".vsim-linked p") == "Copied: the address on the page."
    page.get_by_role("button", name="copy: in a notebook").click()
    page.wait_for_function("document.querySelector('.vsim-linked p').textContent === 'Copied: in a notebook.'")
    assert page.evaluate("navigator.clipboard.readText()") == line(given)
    assert page.evaluate(_ON_TOP)
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "copy link"
    assert page.evaluate("document.querySelector('.vsim-linked').hidden")


def test_the_bench_lives(bench):
    """A button's answer comes from Python and changes the picture."""
    before = bench.page.evaluate(_WHERE)
    bench.page.get_by_role("button", name="fire", exact=True).click()
    bench.page.wait_for_function(f"(before) => {_WHERE} !== before", arg=before)
    bench.page.get_by_role("tab", name="IRT").click()
    bench.page.wait_for_selector(".vsim-tabs select")


def test_nobody_but_its_own_server_was_asked(bench, address):
    assert {host for host in bench.asked if host} == {address.split("/")[2]}
    assert bench.wrong == []


def test_the_page_is_one_file_below_three_megabytes(site):
    assert sorted(each.name for each in site.iterdir()) == ["bench.html", "static"]
    assert (site / "bench.html").stat().st_size <= 3_000_000
    assert sum(each.stat().st_size for each in site.rglob("*") if each.is_file()) <= 20_000_000


@pytest.mark.skipif(AXE is None, reason="no axe_playwright_python")
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing(bench, theme):
    bench.page.emulate_media(color_scheme=theme)
    bench.page.evaluate(Path(AXE.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8") + ";0")
    found = bench.page.evaluate("axe.run()")["violations"]
    assert [(each["id"], each["impact"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []


def test_a_link_that_takes_long_has_a_way_out(browser, address, linked):
    storm = ("storm", 100_000, 100_000, 1)
    state = text(Link(linked.history.first.copy(), (("boot", "physical"), storm), 1, 0, "", {}))
    visit = Visit(browser, f"{address}#state={state}")
    try:
        visit.page.click("#told:not(.failed) a")
        visit.page.wait_for_url(address)
        assert visit.wrong == []
    finally:
        visit.close()


def test_what_is_no_link_is_told_as_text(browser, address):
    visit = Visit(browser, f"{address}#state=%3C/p%3E%3Cimg src=x onerror=alert(1)%3E")
    try:
        visit.page.wait_for_function(_READY)
        assert "a link begins with vsim1." in visit.page.inner_text("#told.failed")
        assert visit.page.query_selector("img") is None and visit.wrong == []
        assert visit.page.get_attribute("#told a", "href") == "/bench.html"
    finally:
        visit.close()


def test_spoilt_links_are_told_there_as_here(bench, linked):
    files = {"link.txt": b64encode(linked.link().encode()).decode()}
    assert bench.page.evaluate(_RUN, [FUZZ, files]).split() == ["300", "True"]


def test_the_browsers_python_gives_the_same_bytes(bench):
    """A boot, a storm, a link, rows of a sweep, 200 recorded cases."""
    names = ["notebooks/data/small.cfg", "notebooks/data/big.lspci", str((GOLDEN / "main.jsonl.gz").relative_to(ROOT))]
    files = {name: b64encode((ROOT / name).read_bytes()).decode() for name in names}
    assert bench.page.evaluate(_RUN, [DIGEST, files]).strip() == own()

