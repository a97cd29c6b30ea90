"""The module of the map: its parts keep to the rules, and together they are what each is alone."""

import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest

import widgets.map
from tests.rig import Rig
from tests.widgets.map.test_in_browser import latched, some
from tests.widgets.map.test_scene import BUS, machine
from vsim.explain import topology
from widgets.bench.browser import chromium
from widgets.map import parts
from widgets.map.live import LiveMap
from widgets.map.page import to_html
from widgets.map.scene import scene

ALL = parts.order(parts.FOLDER, parts.ENTRY)
NAMES = [part.name for part in ALL]
LONGEST = 350
browsing = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright"),
]


# --- the rules ---


def text(name):
    return (parts.FOLDER / name).read_text(encoding="utf-8")


def test_every_file_of_the_folder_is_a_part_that_is_needed():
    assert sorted(NAMES) == sorted(path.name for path in parts.FOLDER.iterdir())


def test_the_package_says_what_each_part_is_for():
    assert sorted(re.findall(r"`(\w+\.js)`", widgets.map.__doc__)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_short_and_says_first_what_it_is(name):
    lines = text(name).splitlines()
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= 120
    assert re.match(r"// [A-Z].{20}", lines[0])


def test_a_part_stands_behind_those_that_it_imports():
    for place, part in enumerate(ALL):
        assert set(part.imports) <= set(NAMES[:place]), part.name


def words_of(part):
    """The names that a part's code uses: no strings, comments, properties or keys."""
    code = re.sub(r'"[^"\n]*"|//.*', "", part.body)
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL).replace("...", " ")
    return set(re.findall(r"(?<![\w.])[A-Za-z]\w*\b(?!:)", code))


@pytest.mark.parametrize("part", ALL, ids=NAMES)
def test_a_part_imports_what_it_uses_and_nothing_else(part):
    taken = {name for names in part.imports.values() for name in names}
    others = {name for other in ALL if other is not part for name in other.declared}
    assert taken == words_of(part) & others


def test_what_is_exported_is_wanted():
    taken = {name for part in ALL for names in part.imports.values() for name in names}
    assert {name for part in ALL for name in part.exported} - taken == {"render"}


A = 'import { b } from "./b.js";\n\nexport const a = b + 1;\n\nexport default { a };\n'
B = "export const b = 1;\n"


@pytest.mark.parametrize("files, said", [
    ({"a.js": A.replace("{ b }", "{ c }"), "b.js": B}, "a.js imports c, which b.js does not export"),
    ({"a.js": A, "b.js": "const b = 1;\n"}, "a.js imports b, which b.js does not export"),
    ({"a.js": A, "b.js": 'import { a } from "./a.js";\n' + B}, "in a circle: a.js -> b.js -> a.js"),
    ({"a.js": A, "b.js": B + "const a = 2;\n"}, "a.js declares a, which b.js declares"),
    ({"a.js": A, "b.js": B + "function b() {\n}\n"}, "b.js declares b, which b.js declares"),
    ({"a.js": A, "b.js": B + "const d = [1, 2], e = 3;\n"}, "b.js:2: one name a declaration"),
    ({"a.js": A, "b.js": B + "const [d, e] = [1, 2];\n"}, "b.js:2: .* neither an import nor a declaration"),
    ({"a.js": A, "b.js": B + "b();\n"}, "b.js:2: .* neither an import nor a declaration"),
    ({"a.js": A, "b.js": B + "export { b as c };\n"}, "b.js:2: .* neither an import nor a declaration"),
    ({"a.js": A, "b.js": B + "export default { b };\n"}, "b.js:2: .* neither an import nor a declaration"),
    ({"a.js": A, "b.js": B + 'import { a } from "./a.js";\n'}, "b.js:2: an import behind a declaration"),
    ({"a.js": A.replace("{ b }", "* as b"), "b.js": B}, "a.js:1: .* neither an import nor a declaration"),
    ({"a.js": A.replace("./b", "https://example.org/b"), "b.js": B}, "a.js:1: .* neither an import nor"),
    ({"a.js": A, "b.js": B + "const d = `one\n  two`;\n"}, "b.js:2: a text between backticks"),
    ({"a.js": A + "a();\n", "b.js": B}, "a.js:6: something behind the export default"),
    ({"a.js": A.replace("export default { a };\n", ""), "b.js": B}, "a.js: no export default"),
])
def test_a_part_that_would_not_fit_is_refused_with_its_place(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        parts.assemble(tmp_path, "a.js")


def test_parts_are_laid_end_to_end_without_imports_and_exports(tmp_path):
    (tmp_path / "a.js").write_text(A, encoding="utf-8")
    (tmp_path / "b.js").write_text(B + "\n// one, two\nfunction c(x, y = [1, 2]) {\n}\n", encoding="utf-8")
    assert parts.assemble(tmp_path, "a.js") == (
        "// --- b.js ---\nconst b = 1;\nfunction c(x, y = [1, 2]) {\n}\n\n"
        "// --- a.js ---\nconst a = b + 1;\nexport default { a };\n")


@pytest.mark.parametrize("text, left", [
    ("    // why\n    go();\n", "go();\n"),
    ("\n  /** What it is. */\n  go() {\n  }\n", "go() {\n}\n"),
    ("  go(); // why\n", "go(); // why\n"),
    ("  /** one */ go(); /** two */\n", "/** one */ go(); /** two */\n"),
    ("/** one\n  // two */\n", "/** one\n// two */\n"),
    ("/** one\n *  // two */\n", "/** one\n*  // two */\n"),
    ('  "// no comment",\n', '"// no comment",\n'),
])
def test_of_a_part_only_comments_and_indentation_stay_behind(text, left):
    assert parts.lean(text) == left


def test_the_module_is_a_fifth_shorter_than_its_parts():
    """It is most of a replayed page; its code is all there (`test_the_parts_draw_and_say_the_same_as_the_module`)."""
    assert len(parts.module()) < 0.81 * sum(len(text(name)) for name in NAMES)


def test_the_notebook_and_the_file_get_the_same_bytes():
    page = to_html(latched(8), [])
    inside = re.search(r'<script type="module">\n(.*?export default \{ render \};\n)', page, re.DOTALL)
    assert inside[1].encode() == LiveMap._esm.encode() == parts.module().encode()


# --- in the browser ---


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *given):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the parts in it, and the address at which a browser finds it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(parts.FOLDER, folder / "js")
    (folder / "blank.html").write_text("<!doctype html><title>blank</title>", encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestInBrowser:
    pytestmark = browsing

    def test_every_part_loads_by_itself_and_exports_what_was_read(self, browser, site):
        page = browser.new_page()
        page.goto(f"{site[1]}/blank.html")
        for part in ALL:
            found = page.evaluate(f"import('./js/{part.name}').then((made) => Object.keys(made))")
            default = {"default"} if part.name == parts.ENTRY else set()
            assert set(found) == set(part.exported) | default, part.name
        page.close()

    @pytest.mark.parametrize("which", ["wide", "tall", "free", "no unit"])
    def test_the_parts_draw_and_say_the_same_as_the_module(self, browser, site, which):
        s = {"wide": lambda: latched(288, 7), "tall": lambda: latched(40), "free": free,
             "no unit": lambda: scene(machine(40, unit=False))}[which]()
        width = 480 if which == "tall" else 1400
        whole = to_html(s, some(s, 60), "dark", playing=False, device=s["devices"][0][0])
        apart = whole.replace(parts.module(), 'import map from "./js/view.js";\nconst { render } = map;\n')
        assert len(apart) < len(whole) / 2
        assert states(browser, site, apart, width) == states(browser, site, whole, width)


def free():
    m = Rig(bus=BUS).start(s=7).m
    return scene(m, layout={node: (n, n * n % 7) for n, node in enumerate(topology.graph(m))})


# What there is to see and to hear, after each of some gestures.
_STATES = """() => {
  const view = document.getElementById("map").vsim, out = [];
  const look = () => out.push(view.root.outerHTML.replaceAll(/vsim[0-9a-z]+-/g, ""),
    ...Object.values(view.canvas).map((each) => each.toDataURL()), JSON.stringify(view.painter.texts));
  const key = (name) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", { key: name, bubbles: true }));
  look();
  view.player.seek(60), view.words.showFaults(true), view.words.tell(true), look();
  view.lists.vlapic.focus(), key("ArrowRight"), key("ArrowDown"), key("Enter"), look();
  view.zoom(0), key("End"), look(), view.zoom(null), look();
  view.player.seek(0);
  for (const token of view.player.tokens) view.player.flights.add(token, 0, view.ways);
  for (const now of [100, 350, 500, 900]) view.player.now = now, view.draw(), look();
  view.player.land(1000), view.update(), view.words.tell(true), look();
  return out;
}"""


def states(browser, site, content, width):
    """The states of a page, in which nothing goes wrong."""
    folder, address = site
    wrong = []
    (folder / "map.html").write_text(content, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, bypass_csp=True)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{address}/map.html")
    page.wait_for_function("document.getElementById('map')?.vsim?.player.request === 0")
    found = page.evaluate(_STATES)
    page.close()
    assert wrong == []
    assert len(set(found)) > 12
    return found
