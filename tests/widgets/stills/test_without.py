"""Without numpy, matplotlib and networkx, as in a browser's Python: all works, and nobody tries them."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.places import ROOT
from tests.widgets.stills.test_figures import HARD, picture, token
from widgets.lab import Lab
from widgets.map.tokens import NOBODY, Outcome
from widgets.stills import drawn, figures, pen

# `find_spec` knows none of them; who imports one all the same ends the process with an error that no `except` expects.
HIDDEN = """
import importlib.util, sys
away, found = {"numpy", "matplotlib", "networkx"}, importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.partition(".")[0] in away else found(name, package)
class Never:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in away:
            raise SystemExit(f"somebody imports {name}")
sys.meta_path.insert(0, Never())
"""
BENCH = HIDDEN + """
import importlib, json
from widgets.lab import Lab
lab = Lab.from_config("notebooks/data/big.cfg", lspci="notebooks/data/big.lspci")
lab.boot()
lab.fire("00:05.0", 3)
lab.storm(1000, 0.1)
bench = lab.bench
for name in bench._names:
    bench.tab(name)
shown = bench._repr_mimebundle_()
try:
    lab.animate("film.gif")
except ValueError as error:
    film = str(error)
from vsim.scale.limits import Demand
from widgets.lesson import sizes
from widgets.lesson.chooser import Chooser
from widgets.lesson.journey import Trial
chosen = Chooser(Trial("notebooks/data/small.cfg", "notebooks/data/big.lspci"))
print(json.dumps([sorted(shown), film, repr(sizes.growth(Demand(16, ((64, 0),)))), chosen.error.value,
                  lab.figure(theme="dark").svg, len(lab.to_html())]))
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def without():
    return json.loads(run(BENCH))


def test_the_bench_works_and_its_still_is_an_svg(without):
    types, film, growth, wrong, svg, replay = without
    assert "image/svg+xml" in types and "image/png" not in types
    assert wrong == "" and replay > 10_000
    assert ElementTree.fromstring(svg).get("width") == "1120"
    assert "matplotlib" in film and "matplotlib" in growth


def test_who_imports_one_all_the_same_is_seen():
    done = subprocess.run([sys.executable, "-c", HIDDEN + "try:\n import numpy\nexcept ImportError: pass"], cwd=ROOT,
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (1, "somebody imports numpy")


@pytest.fixture
def bare(monkeypatch):
    monkeypatch.setattr(drawn, "inked", lambda: False)


def drawing(**more):
    made = picture(**more)
    return figures.still(made, token(made), [token(made)] * 3, "light", "wide")


@pytest.mark.parametrize("shape", figures.SHAPES)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("outcome, dst", [*((each, -1) for each in (Outcome.REMAPPED, Outcome.POSTED)),
                                          (Outcome.BLOCKED, NOBODY), (Outcome.LOST, NOBODY)])
def test_words_lie_inside_and_apart(bare, shape, theme, outcome, dst):
    made = picture(vcpus=288)
    drawn_ = figures.still(made, token(made, outcome, dst), [token(made)], theme, shape)
    boxes = []
    for each in ElementTree.fromstring(drawn_.svg).iter("{http://www.w3.org/2000/svg}text"):
        x, y, wide, size = (float(each.get(name)) for name in ("x", "y", "textLength", "font-size"))
        assert x >= 0 and x + wide <= drawn_.width + 0.1 and 0 < y <= drawn_.height, each.text
        boxes.append((x, y - 0.75 * size, x + wide, y, each.text))
    assert len(boxes) > 20
    for n, a in enumerate(boxes):
        for b in boxes[n + 1:]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


def test_a_hostile_name_stays_text(bare):
    made = drawing(name=HARD + '"></text><script>alert(1)</script>')
    root = ElementTree.fromstring(made.svg)
    assert not [each for each in root.iter() if each.tag.endswith("script")]
    assert any("<b>" in (each.text or "") for each in root.iter())


def test_the_same_scene_gives_the_same_drawing(bare):
    assert drawing() == drawing()


def test_only_svg_can_be_made_of_it(bare):
    assert figures.to_svg(drawing()).startswith(b"<svg")
    with pytest.raises(ValueError, match="kind is 'png'; without matplotlib a picture is svg alone"):
        figures.to_png(drawing())


def test_a_lab_shows_it(bare):
    assert isinstance(Lab.from_config("vcpus = 3").figure(), pen.Drawing)
