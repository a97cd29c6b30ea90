"""Dumps on the bench: `Lab.from_machine`, and the panel to paste into."""

import pytest

from tests.places import DATA
from tests.vsim.findings.machine_texts import CPUS, NIC, machine
from tests.vsim.findings.test_catalogue import ABSENT, FAULT, SOURCE
from vsim.findings.rebuild import replay
from vsim.readers.pieces import PieceError
from vsim.state.trace import Act
from widgets.lab import Inspector, Lab

TEXTS = list(machine().items())
FAULTS = ("faults", FAULT.format("01:00.0", 0x33, *ABSENT) + FAULT.format("00:1c.0", 0, *SOURCE))


def test_a_lab_of_dumps_has_the_machine_and_says_what_is_assumed(tmp_path):
    lab = Lab.from_machine(*TEXTS)
    assert tuple(lab.machine.apic_id) == CPUS and lab.device("01:00.0").bdf == NIC
    assert lab.notes == ("assumed: I/O APIC of pin 0: its last pin is 23",
                         "assumed: vIOMMU 0: where its table is in memory; that it has no copy of an entry")
    assert lab.dumped.examined.findings == () and lab.title == "as dumped, 2 assumed"
    assert any(event.act == Act.ACCEPTED for event in lab.fire("01:00.0", 1))
    lab.undo(), lab.undo()
    assert lab.position == 0
    for name, text in TEXTS:
        (tmp_path / name).write_text(text)
    assert Lab.from_machine(tmp_path).machine == Lab.from_machine(*TEXTS).machine


def test_what_no_dump_says_is_marked_beside_each_element():
    """In map, editors, the chooser of devices, and the sentences on an interrupt: one declaration, asked everywhere."""
    lab = Lab.from_machine(*(each for each in TEXTS if each[0] not in ("cpuid", "madt", "lspci")), FAULTS)
    assert lab.assumed is lab.dumped.rebuilt.assumed
    view, scene = lab.map, lab.map.scene
    devices, routers, units = len(scene["devices"]), 2, 1
    said = scene["assumed"]
    assert set(said) == {"0", "1", *map(str, range(devices + routers, devices + routers + units + 4))}
    assert "what it is and where" in said["0"] and "that it is there: no text names" in said["1"]
    assert "its APIC ID" in said[str(devices + routers + units)]
    assert '"assumed": {"0"' in view.to_html() or '"assumed":{"0"' in view.to_html()
    assert "assumed: where its table is" in lab.view("irt").head.value
    assert "assumed: where its table is" in lab.view("registers").head.value
    assert "assumed: its APIC ID" in lab.view("vlapics").facts.value
    assert lab.view("controls").device.options[0][0].endswith(" MSI-X, assumed)")
    lab.fire("01:00.0", 1)
    lab.selection.serial = max(event.serial for event in lab.last)
    assert "assumed: vCPU 2: its APIC ID" in lab.view("why").text.value
    panel = lab.view("paste")
    panel.again.click()
    assert "assumed: vIOMMU 0: where its table is" in panel.told.value
    assert "vCPU" not in panel.told.value
    assert Lab.from_machine(*TEXTS).map.scene["assumed"].keys() == {"2", "4"}


def test_what_is_no_machine_is_refused():
    with pytest.raises(ValueError, match="there is no machine to build"):
        Lab.from_machine("a poem\nof two lines")
    with pytest.raises(PieceError, match="cannot be read"):
        Lab.from_machine("no-such-file")


def test_a_fault_is_sent_again_and_the_change_is_one_gesture():
    lab = Lab.from_machine(*TEXTS, FAULTS)
    panel = lab.view("paste")
    assert [label for label, _ in panel.fault.options] == ["faults:1: 01:00.0 entry 0x33 reason 0x22",
                                                           "faults:2: 00:1c.0 entry 0x0 reason 0x26"]
    for place in range(2):
        panel.fault.value = place
        panel.again.click()
        assert "the same reason, index and source" in panel.told.value and not panel.cure.disabled
        before = lab.position
        panel.cure.click()
        assert "it passes" in panel.told.value and lab.position == before + 1
    lab.undo()
    panel.again.click()
    assert "refused with 0x26" in panel.told.value


def test_an_empty_inspector_is_filled_by_what_is_pasted():
    panel = Inspector()
    panel.children[2].children[-1].click()
    assert "nothing is pasted" in panel.status.value
    panel.box.value = "\n".join(text for _, text in TEXTS) + FAULTS[1]
    panel.guarded(panel.read)
    assert "ir_translation_struct" in panel.pieces.value and "refused a request" in panel.findings.value
    panel.send()
    assert "refused with 0x22" in panel.told.value
    panel.box.value = "roses are red"
    panel.guarded(panel.read)
    assert "nothing is recognised" in panel.pieces.value and panel.again.disabled


def test_nothing_that_is_pasted_reaches_the_page_as_markup():
    panel = Inspector()
    evil = "<img src=x onerror=alert(1)>"
    panel.box.value = (f"00:00.0 Host bridge: {evil}\n{evil}\n--- irq 1\nhandler:  {evil}\ndevice:   {evil}\n"
                       + FAULT.format("01:00.0", 1, 0x22, evil))
    panel.guarded(panel.read)
    panel.guarded(panel.send)
    for part in (panel.pieces, panel.findings, panel.told, panel.status):
        assert "<img" not in part.value


def test_addresses_of_people_go_before_anything_is_read():
    panel = Inspector()
    panel.box.value = "Nov 30 21:00:00 alices-laptop kernel: DMAR: DRHD base: 0x000000fed90000 flags: 0x1 10.1.2.3\n"
    panel.guarded(panel.read)
    assert "alices-laptop" not in repr(panel.found) and "10.1.2.3" not in repr(panel._sources)


def test_the_example_of_the_lesson_has_one_mistake_seen_from_two_sides():
    lab = Lab.from_machine(DATA / "pasted.txt")
    assert [finding.row.name for finding in lab.dumped.examined.findings] == ["wrong-source", "fault"]
    assert lab.machine.bus.requester(0x0340) == 0x0300
    told = replay(lab.dumped.rebuilt, lab.dumped.examined.picture.faults[0])
    assert told.same and told.change == "entry 0x5 allows 03:00.0 in"
    lab.issue(*told.cure)
    assert any(event.act == Act.ACCEPTED for event in lab.fire("03:08.0", 0))
