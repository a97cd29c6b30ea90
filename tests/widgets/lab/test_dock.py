"""A view in the side area, or here with a word why."""

import sys
from types import ModuleType

import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances
from traitlets import Unicode

from widgets.lab import Lab, dock

CONFIG = "name = 'host'\nvcpus = 2\nmemory = 64\npci = ['03:00.0']\n"


class Side(ipywidgets.Output):
    """As sidecar's: an output with a title and a place."""

    title = Unicode()
    anchor = Unicode()


@pytest.fixture
def lab():
    return Lab.from_config(CONFIG)


def given(monkeypatch, there):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)    # another environment's: IPython warns of it
    module = ModuleType("sidecar")
    module.Sidecar = Side
    monkeypatch.setitem(sys.modules, "sidecar", module)
    monkeypatch.setattr(dock, "find_spec", lambda name: there or None)


@pytest.mark.parametrize("name", ["map", "timeline"])
def test_a_view_goes_to_the_side(lab, monkeypatch, name):
    given(monkeypatch, True)
    made = lab.dock(name)
    assert (made.title, made.anchor) == (f"host: {name}", "right")
    [shown] = made.outputs
    view = _instances[shown["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]]
    assert view.lab is lab
    lab.fire("03:00.0", 0)
    view.close()
    made.close()
    assert lab.observers == ()


def test_without_the_package_the_view_is_here_and_says_so(lab, monkeypatch):
    given(monkeypatch, False)
    made = lab.dock()
    assert "pip install sidecar" in made.children[1].value and made.children[2].lab is lab
    made.children[2].close()
    made.close()


def test_a_name_that_is_no_views_is_the_callers_mistake(lab, monkeypatch):
    given(monkeypatch, True)
    with pytest.raises(ValueError, match="no view 'maps'; views are"):
        lab.dock("maps")
    assert lab.observers == ()
