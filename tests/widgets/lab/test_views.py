"""Views by name: each row has something behind it, others may add one, and a Lab needs none of them."""

import subprocess
import sys

import ipywidgets
import pytest

from tests.places import ROOT
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from widgets.lab import Lab, views


class Mine:
    """A view of somebody else's."""

    def __init__(self, lab):
        self.lab = lab

    def close(self):
        """Nothing to close."""


@pytest.fixture
def lab():
    return Lab(Machine(profile("spec"), 2, 64 << 20, Bus([Function(0x300, "card", msix_count=8)])))


@pytest.fixture
def others(monkeypatch):
    monkeypatch.setattr(views, "VIEWS", dict(views.VIEWS))


@pytest.mark.parametrize("name", views.VIEWS)
def test_behind_each_name_is_a_widget(lab, name):
    made = getattr(lab, name)
    assert isinstance(made, views.find(name)) and isinstance(made, ipywidgets.Widget)
    made.close()


@pytest.mark.parametrize("name", views.PICTURES)
def test_behind_each_picture_is_a_function_of_its_name(name):
    assert views.there(name) and views.find(name).__name__ == name


def test_others_may_add_a_view(lab, others):
    names = dir(lab)
    views.add("mine", f"{__name__}:Mine")
    assert isinstance(lab.mine, Mine) and lab.view("mine").lab is lab
    assert sorted({*dir(lab)} - {*names}) == ["mine"]
    with pytest.raises(AttributeError, match=r"Lab has no 'yours'; views are bench.*, mine$"):
        _ = lab.yours


def test_a_view_that_is_not_installed_is_not_there(others):
    views.add("absent", "nowhere.at_all:View")
    assert not views.there("absent") and views.there("map")


@pytest.mark.parametrize(
    "name, place, said",
    [
        ("map", "others:Map", "name is 'map', which stands for widgets.map.live:Map"),
        ("figure", "others:Map", "name is 'figure', which stands for widgets.stills.shots:figure"),
        ("_mine", "others:Map", "begins with no underscore"),
        ("no name", "others:Map", "has to be an identifier"),
        ("mine", "others", "place is 'others'; it has to be module:class"),
        ("mine", "others:a:b", "has to be module:class"),
        ("mine", "others..deep:Map", "has to be module:class"),
        ("mine", ":Map", "has to be module:class"),
    ],
)
def test_a_row_that_cannot_be_is_refused_and_nothing_changes(others, name, place, said):
    before = dict(views.VIEWS)
    with pytest.raises(ValueError, match=said):
        views.add(name, place)
    assert before == views.VIEWS


ALONE = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ipywidgets", "anywidget", "matplotlib", "PIL", "IPython"}:
            raise ImportError(name + " is made unimportable")
sys.meta_path.insert(0, Blocker())
from widgets.lab import Lab
lab = Lab.from_config("name = 'small'\\nvcpus = 2\\nviommu = 'type=vtd,intremap=1'\\npci = ['03:00.0']\\n")
heard = []
lab.observe(lambda kind, events, machine: heard.append(kind))
lab.boot()
lab.fire("03:00.0")
lab.storm(100, 0.1)
lab.undo()
lab.branch().redo()
print(*heard)
print(*sorted(name for name in sys.modules if name.startswith("widgets.")))
"""


def test_a_lab_knows_no_view():
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "issued issued issued moved",
        "widgets.lab widgets.lab.attached widgets.lab.branches widgets.lab.cells widgets.lab.deeds "
        "widgets.lab.gestures widgets.lab.kernel widgets.lab.lab widgets.lab.recorded "
        "widgets.lab.running widgets.lab.storms widgets.lab.views",
    ]
