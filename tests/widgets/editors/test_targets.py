"""vCPUs to which interrupts are posted, by clicks: who is interrupted, and by what."""

import pytest

from vsim.state.arrays import Doing, Machine
from vsim.state.profile import profile
from widgets.editors.targets import COUNTED, EMPTY, NONE, TABLES, rows
from widgets.lab import Lab


@pytest.fixture
def panel():
    made = Lab.host().others
    yield made
    made.close()


def click(panel, text):
    button = next(each for each in panel.targets.controls.children if getattr(each, "description", "") == text)
    button.click()
    assert panel.status.value == ""


def row(panel):
    return rows(panel.lab.machine)[0]


def test_posted_does_not_mean_that_there_is_never_an_exit(panel):
    """Misconception shown false by seven clicks: none while it runs, one to wake it, one for an EOI."""
    click(panel, "run")
    click(panel, "message")
    assert (row(panel)["SVI"], row(panel)["wake-up"], row(panel)["EOI"]) == ("0x61", "0", "0")
    click(panel, "EOI")
    click(panel, "halt")
    click(panel, "message")
    assert (row(panel)["its vCPU"], row(panel)["wake-up"], row(panel)["SVI"]) == ("runs", "1", "0x61")
    click(panel, "EOI exits")
    click(panel, "EOI")
    assert (row(panel)["EOI"], row(panel)["SVI"]) == ("1", "0x00")
    assert COUNTED in panel.targets.told.value
    assert {head for heads in TABLES.values() for head in heads} == set(row(panel)), "every column is shown"
    assert "Vectors whose EOI leaves the guest: 0x200000: 0x61" in panel.targets.told.value


def test_each_action_is_a_gesture_that_can_be_undone(panel):
    seen = [row(panel)]
    for text in ("run", "message", "EOI", "preempt", "message", "run"):
        click(panel, text)
        seen.append(row(panel))
    assert len({tuple(each.items()) for each in seen}) == 5, "ended is as before, and told late is as told at once"
    assert seen[5]["PIR"] == "0x61" and seen[5]["SN"] == "1"
    assert [each.name for each in panel.lab.gestures()][:2] == ["vCPU of 0x200000 runs on CPU 0", "03:00.0 by entry 0"]
    for before in reversed(seen[:-1]):
        panel.lab.undo()
        assert row(panel) == before


def test_the_chosen_one_and_the_cpu_decide(panel):
    panel.targets.target.value = 0x200040
    panel.targets.cpu.value = 3
    click(panel, "run")
    each = panel.lab.machine.targets[0x200040]
    assert (each.cpu, each.doing) == (3, Doing.RUNNING)
    assert panel.targets.target.value == 0x200040
    assert "entry 1, vector 0x61" in panel.targets.target.options[1][0]


@pytest.mark.parametrize("base, said", [
    (profile("spec"), NONE),
    (profile("spec").with_capabilities(profile("spec").capabilities.having(posting=True)), EMPTY)])
def test_where_nobody_is_posted_to_it_says_what_is_missing(base, said):
    from vsim.devices import viommu
    from vsim.state import commands as c
    lab = Lab(Machine(base, vcpus=2))
    lab.issue(c.Domctl(viommu.create_op()))
    panel = lab.others
    assert said in panel.targets.told.value
    panel.close()
