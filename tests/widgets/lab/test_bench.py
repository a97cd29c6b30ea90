"""The bench: one view of everything, made as it is opened, drawn as it is seen, gone when it is closed."""

import gc
import sys
import weakref
from types import SimpleNamespace

import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances

from vsim.state import commands as c
from widgets.lab import Lab, panel, views
from widgets.lab.bench import TABS
from widgets.lab.gestures import Phase

CONFIG = """name = "host"
vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0", "04:00.0"]
"""


@pytest.fixture
def booted():
    made = Lab.from_config(CONFIG)
    made.boot()
    return made


def test_the_bench_shows_what_there_is(booted):
    bench = booted.bench
    for name in [name for name in TABS if views.there(name)]:
        opened = bench.tab(name)
        assert opened.shown and opened.status.value == ""
    bench.close()
    assert booted._observers == []


def test_a_panel_is_made_when_its_tab_is_opened(booted):
    bench = booted.bench
    assert len(bench._open) == 1
    bench.tab("vlapics")
    assert len(bench._open) == 2
    bench.close()


def test_a_fire_before_the_boot_is_answered_where_it_was_asked():
    lab = Lab.from_config("vcpus = 2\npci = ['03:00.0']\n")
    controls = lab.controls
    controls.guarded(controls._fire)
    assert "masked: the guest has not programmed it" in controls.status.value
    lab.boot()
    controls.guarded(controls._fire)
    assert controls.status.value == ""
    controls.close()


def test_only_the_tab_in_front_is_drawn(booted):
    bench = booted.bench
    irt, vlapics = bench.tab("irt"), bench.tab("vlapics")
    drawn = []
    irt.draw = lambda machine, events: drawn.append("irt")
    vlapics.draw = lambda machine, events: drawn.append("vlapics")
    booted.fire("03:00.0", 0)
    assert drawn == ["vlapics"]
    bench.tab("irt")
    assert drawn == ["vlapics", "irt"]
    bench.close()


def test_an_unknown_tab_is_the_callers_mistake(booted):
    bench = booted.bench
    with pytest.raises(ValueError, match="no tab 'maps'; tabs are domctl"):
        bench.tab("maps")
    bench.close()


def test_a_recorded_run_is_opened_on_its_events(booted):
    booted.phases = (Phase(0, 1, "kernel"),)
    bench = booted.bench
    assert bench.tabs.titles[bench.tabs.selected_index] == "events" and len(bench._open) == 1
    bench.close()


def test_a_notebook_gets_the_bench_and_words(booted):
    bundle = booted._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(booted)


def test_two_benches_of_one_lab_stay_in_step(booted):
    first, second = booted.bench, booted.bench
    first.tab("irt").choose(3)
    assert second.tab("irt").index == 3
    first.tab("irt").editor.controls["vector"].value = "0x77"
    first.tab("irt").commit(True)
    assert second.tab("irt").editor.controls["vector"].value == "0x77"
    for bench in (first, second):
        bench.close()


def test_two_labs_do_not_disturb_each_other(booted):
    other = Lab.from_config(CONFIG)
    other.boot()
    mine, theirs = booted.bench, other.bench
    before, drawn = other.machine.copy(), []
    theirs.tab("irt").draw = lambda machine, events: drawn.append(machine)
    mine.tab("irt").choose(2)
    mine.tab("irt").commit(False)
    booted.fire("04:00.0", 1)
    assert (other.machine, drawn, other.selection.irte) == (before, [], theirs.tab("irt").index)
    for bench in (mine, theirs):
        bench.close()


def test_a_closed_bench_leaves_no_model_behind(booted):
    """Running a cell again and again must not pile up models in the page."""
    before = set(_instances)
    bench = booted.bench
    for name in TABS:
        bench.tab(name)
    kept = weakref.ref(bench.tab("irt"))
    bench.close()
    del bench
    gc.collect()
    assert kept() is None
    assert set(_instances) <= before


def test_every_control_of_the_bench_has_a_label_and_no_label_is_cut(booted):
    """description_width holds the text: 7 pixels a letter at least, or grows with it."""
    bench = booted.bench
    for name in TABS:
        bench.tab(name)
    kinds = (ipywidgets.Text, ipywidgets.Dropdown, ipywidgets.Select, ipywidgets.Checkbox, ipywidgets.BoundedIntText)
    for control in controls_in(bench, kinds):
        width = str(getattr(control.style, "description_width", ""))
        assert control.description, control
        if width.endswith("px"):
            assert int(width[:-2]) >= 6 * len(control.description), control.description
    bench.close()


def controls_in(widget, kinds):
    for child in getattr(widget, "children", ()):
        if isinstance(child, kinds):
            yield child
        yield from controls_in(child, kinds)


def test_the_bench_opens_without_a_unit():
    lab = Lab.from_config(CONFIG.replace("viommu", "#viommu"))
    bench = lab.bench
    for name in TABS:
        assert bench.tab(name).status.value == ""
    lab.issue(c.Tick(1))
    bench.close()


@pytest.mark.parametrize("view, pause", [("controls", 1.0), ("vlapics", 0.5)])
def test_a_panel_is_drawn_less_often_while_a_storm_goes_on(booted, monkeypatch, view, pause):
    monkeypatch.setattr(panel.time, "monotonic", lambda: 0.0)
    made = booted.view(view)
    made._draw_now()
    calm = made._due
    booted.storms.append(SimpleNamespace(sent=0, count=1))
    made._draw_now()
    assert (calm, made._due) == (panel.PAUSE, pause)
    made.close()


def test_a_notebooks_kernel_alone_imports_views_ahead_and_once(monkeypatch):
    started = []
    monkeypatch.setattr(views, "_prepared", False)
    monkeypatch.setattr(views.threading, "Thread",
                        lambda target, **given: SimpleNamespace(start=lambda: started.append(target)))
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    views.prepare()
    assert started == []
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    views.prepare()
    views.prepare()
    (work,) = started
    work()
    assert {place.partition(":")[0] for place in views.VIEWS.values()} <= set(sys.modules)
