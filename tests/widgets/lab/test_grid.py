"""Everything opens everywhere: each view, under each profile and each version of the hypercall, in each state.

The states are those of a session: nothing there, a unit by the hypercall of that version, and the guest's boot on
either. A view tells its own errors in its status line, so that line is looked at too.
"""

import pytest

from vsim.devices import viommu
from vsim.layouts.interfaces import INTERFACES
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import PROFILES, profile
from widgets.lab import Lab, views
from widgets.lab.bench import TABS
from widgets.lab.panel import Panel

GRID = [(name, face) for name in PROFILES for face in INTERFACES]
CONFIG = "name = 'small'\nvcpus = 2\ntype = 'hvm'\npci = ['03:00.0']\n"


def made(name, face, unit, boots):
    """A small Lab in one state of the grid."""
    bus = Bus([Function(0x18, "disk", pin=1), Function(0x300, "card", msix_count=4, passthrough=True)])
    lab = Lab(Machine(profile(name).with_options(interface=face), 2, 64 << 20, bus))
    if unit:
        lab.issue(c.Domctl(viommu.create_op(version=face)))
        assert lab.machine.live(0)
    if boots:
        lab.boot()
        lab.fire(0x300, 1)
    return lab


def panels(view):
    """A view, and every panel in it."""
    inside = [view] if isinstance(view, Panel) else []
    return inside + [each for child in getattr(view, "children", ()) for each in panels(child)]


def complaints(view):
    """What the panels of a view say went wrong."""
    return [(each.title, each.status.value) for each in panels(view) if "vsim-bad" in each.status.value]


@pytest.mark.parametrize("boots", [False, True], ids=["fresh", "booted"])
@pytest.mark.parametrize("unit", [False, True], ids=["no-unit", "unit"])
@pytest.mark.parametrize("name, face", GRID, ids=lambda each: each)
def test_every_view_opens(name, face, unit, boots):
    lab = made(name, face, unit, boots)
    for view in views.VIEWS:
        opened = lab.view(view)
        assert complaints(opened) == [], view
        opened.close()


@pytest.mark.parametrize("name, face", GRID, ids=lambda each: each)
def test_views_that_are_open_follow_from_nothing_to_a_booted_guest_and_back(name, face):
    lab = made(name, face, False, False)
    bench = lab.view("bench")
    for tab in TABS:
        bench.tab(tab)
    lab.issue(c.Domctl(viommu.create_op(version=face)))
    lab.boot()
    lab.fire(0x300, 1)
    for tab in TABS:
        bench.tab(tab)
        assert complaints(bench) == [], tab
    lab.goto(0)
    for tab in TABS:
        bench.tab(tab)
        assert complaints(bench) == [], tab
    bench.close()


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("viommu_line", ["", "viommu = 'type=vtd,intremap=1'\n", "viommu = ['type=intel_vtd']\n"],
                         ids=["no-unit", "text", "list"])
def test_a_configuration_opens_under_every_profile(name, viommu_line):
    lab = Lab.from_config(CONFIG + viommu_line, profile=name)
    assert set(lab._repr_mimebundle_()) >= {"text/plain", "image/png"}
