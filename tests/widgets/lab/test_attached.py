"""A QEMU beside a Lab: a light for each gesture, and a Lab that goes on whatever becomes of it."""

import os
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.qemu import bad, children_of, gone, needs_qemu
from vsim.replay.beside import State
from vsim.replay.cases import CaseError
from vsim.replay.there import seen
from vsim.state import commands as c
from vsim.state.trace import Act, Event
from widgets.lab import Lab
from widgets.lab.beside import SEEN, BesidePanel, told

CONFIG = """name = "host"
vcpus = 4
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0"]
"""
STORED = ROOT / "notebooks" / "data" / "two_machines.attached"


@pytest.fixture
def lab():
    made = Lab.from_config(CONFIG)
    yield made
    if made.attached:
        made.attached.end()


def played(lab):
    """What notebook 17 does."""
    lab.boot()
    lab.fire("03:00.0", 0)
    lab.issue(c.Msi(0x300, 0xFEE00018, 100), name="a handle nobody has")
    lab.issue(c.Msi(0x300, 0xFEE02000, 0x41), name="compatibility format")
    return lab


def test_a_stored_run_has_a_light_for_each_gesture(lab):
    attached = lab.attach(stored=STORED)
    played(lab)
    lights = attached.lights()
    assert attached.why == "" and "10.0" in attached.version
    assert [each.name for each in reversed(lights)][:3] == ["xl create host", "boot", "fire 03:00.0 message 0"]
    assert str(lights[-1]) == "equal"
    assert [each.arrived for each in lights[:3]] == [(("A", 1, 0x41, 0),), (("A", 0, 0x20, 0),), (("A", 1, 0x20, 0),)]
    assert sum(each.equal for each in lights) > 300 and all(each.kind != "unknown" for each in attached.differences)


def test_a_past_that_is_replaced_is_compared_anew(lab):
    attached = lab.attach(stored=STORED)
    played(lab)
    before = attached.beside.position
    lab.undo()
    assert attached.beside.position == before
    lab.redo()
    assert attached.beside.position == before and attached.why == ""
    lab.undo()
    lab.issue(c.Msi(0x300, 0xFEE00018, 0x9))
    assert "the stored run goes another way" in attached.why
    assert lab.position == before


def test_what_is_not_stored_ends_the_comparison_and_not_the_lab(lab):
    attached = lab.attach(stored=STORED)
    lab.issue(c.Tick(5_000_000), c.Mmio(0xFED90000 + 0x90, 8, 0x123000))
    assert "the stored run goes another way" in attached.why
    lab.boot()
    assert lab.kernel.guest is not None


@pytest.mark.parametrize("way, said", [("old", "is too old"), ("not-there", "a word on why")])
def test_a_qemu_that_cannot_be_used_is_one_line(lab, tmp_path, way, said):
    attached = lab.attach(bad(tmp_path, way))
    assert attached.beside is None and said in attached.why and "\n" not in attached.why
    assert lab.fire("03:00.0", 0) and repr(attached).startswith("no QEMU: ")


def test_one_that_is_not_there_is_named(lab):
    assert "nobody-has-this is not there" in lab.attach("nobody-has-this").why.replace("'", "")


def test_the_series_own_unit_is_not_qemus():
    lab = Lab.from_config(CONFIG, profile="xen-v1")
    assert "whose unit is the series' own" in lab.attach(stored=STORED).why


def test_a_file_that_is_no_run_is_the_callers_mistake(lab, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"qemu": 7}\n')
    with pytest.raises(CaseError, match=":1:1: "):
        lab.attach(stored=tmp_path / "x.jsonl")
    assert lab.attached is None


def test_the_panel_says_what_differs_as_text(lab):
    panel = BesidePanel(lab)
    assert "Attach a QEMU" in panel.about.value and panel.off.disabled
    lab.attach(stored=STORED)
    played(lab)
    assert "fire 03:00.0 message 0" in panel.rows.value and not panel.off.disabled
    panel.off.click()
    assert "not wanted any more" in panel.about.value and panel.off.disabled
    panel.path.value = "<b>no</b>"
    panel.go.click()
    assert "<b>" not in panel.about.value and "&lt;b&gt;" in panel.about.value
    panel.close()


@pytest.mark.parametrize("row, words", [
    (None, "nothing more"), (["V", "0x1"], "reads 0x1"), (["B"], "blocked, no message"),
    (["M", 2, 0, 0, 0, 0, 0x41], "message to APIC ID 0x2, fixed, vector 0x41, edge"),
    (["A", 3, 0x41, 1], "vCPU 3 gets vector 0x41, level"), (["L", 3, "ESR", "0x40"], "vCPU 3: ESR is 0x40"),
    (["M", 2, 1, 1, 1, 3, 0x41], "message to logical 0x2, reserved, vector 0x41, level, redirection hint"),
    (["C", 1, 5, 0], "entry cache emptied: from 5, mask 0"), (["R-", 4], "remote IRR of pin 4 cleared"),
    (["M", "x"], "M x"), (["M", *"<b>abc"], "M < b > a b c"), (["?"], "?")])
def test_what_was_seen_is_told_in_words(row, words):
    assert told(row) == words


def test_every_row_that_is_observed_has_words():
    """An event of each act, with numbers that make it one that is compared."""
    rows = seen([Event(0, 0, 0, act, 0, 0, 1, 0) for act in Act], 1)
    assert {*(row[0] for row in rows), "L"} == SEEN.keys()
    assert all(told(row) != " ".join(map(str, row)) for row in rows)


@needs_qemu
def test_a_real_one_does_what_the_lab_does_and_ends_with_it(lab, tmp_path):
    before = {*children_of(os.getpid())}
    attached = lab.attach()
    played(lab)
    assert attached.why == "" and attached.beside.count(State.EQUAL) > 300
    assert "10.0" not in attached.version or all(each.kind != "unknown" for each in attached.differences)
    lab.attached.save(tmp_path / "run.jsonl")
    below = {*children_of(os.getpid())} - before    # a server of another test may be among the children
    attached.end()
    gone(below)
    again = Lab.from_config(CONFIG)
    stored = again.attach(stored=tmp_path / "run.jsonl")
    played(again)
    assert [(str(each), each[:6], str(each.first)) for each in stored.lights()] == [
        (str(each), each[:6], str(each.first)) for each in attached.lights()]


@needs_qemu
def test_a_lab_that_is_closed_leaves_no_process_and_no_folder_and_goes_on_alone(lab):
    before = {*children_of(os.getpid())}
    attached = lab.attach()
    folder, below = Path(attached.beside.source._qemu.folder), {*children_of(os.getpid())} - before
    assert folder.is_dir() and below
    lab.close()
    gone(below)
    assert not folder.exists() and attached.why == "it is not wanted any more"
    compared = attached.beside.position
    lab.close()
    played(lab)
    assert lab.attached is attached and attached.beside.position == compared < lab.position


def test_closing_ends_storms_and_needs_no_qemu(lab):
    lab.boot()
    storm = lab.storm(1000, 1.0)
    lab.close()
    assert not storm.running and lab.attached is None
