"""Dumps on the bench: `Lab.from_machine`, and the panel to paste into."""

import re
from base64 import b64decode
from datetime import UTC, datetime

import pytest
from matplotlib.text import Text

from tests.places import DATA
from tests.vsim.findings.machine_texts import CPUS, NIC, machine
from tests.vsim.findings.test_catalogue import ABSENT, FAULT, SOURCE
from vsim.domain.acpi import hpet_of, madt_of
from vsim.findings.rebuild import replay
from vsim.readers.pieces import PieceError
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from vsim.state.trace import Act
from widgets.lab import Inspector, Lab
from widgets.report import dumped
from widgets.stills.shots import figure

TEXTS = list(machine().items())
FAULTS = ("faults", FAULT.format("01:00.0", 0x33, *ABSENT) + FAULT.format("00:1c.0", 0, *SOURCE))


def test_a_lab_of_dumps_has_the_machine_and_says_what_is_assumed(tmp_path):
    lab = Lab.from_machine(*TEXTS)
    assert tuple(lab.machine.apic_id) == CPUS and lab.device("01:00.0").bdf == NIC
    assert lab.notes == ("assumed: I/O APIC 2: its last pin is 23",
                         "assumed: vIOMMU 0: where its table is in memory; that it has no copy of an entry")
    assert lab.dumped.examined.findings == () and lab.title == "as dumped, 2 assumed"
    assert any(event.act == Act.ACCEPTED for event in lab.fire("01:00.0", 1))
    lab.undo(), lab.undo()
    assert lab.position == 0
    for name, text in TEXTS:
        (tmp_path / name).write_text(text)
    assert Lab.from_machine(tmp_path).machine == Lab.from_machine(*TEXTS).machine


def test_a_link_has_what_is_assumed_and_says_that_the_texts_are_not_in_it():
    lab = Lab.from_machine(*TEXTS)
    lab.fire("01:00.0", 1)
    other = Lab.from_link(lab.link())
    assert other.machine == lab.machine and other.title == lab.title and list(other.assumed) == list(lab.assumed)
    assert other.assumed.elements == lab.assumed.elements and len(other.assumed) == 2
    assert other.notes[:-1] == lab.notes and other.notes[-1].startswith("opened from a link: the dumps that it was")
    assert other.dumped is None and Lab.from_link(other.link()).notes == other.notes


def test_a_session_has_what_is_assumed_and_says_that_the_texts_are_not_in_it(tmp_path):
    lab = Lab.from_machine(*TEXTS)
    lab.fire("01:00.0", 1)
    lab.save(tmp_path / "evening.vsim")
    other = Lab.load(tmp_path / "evening.vsim")
    assert other.machine == lab.machine and list(other.assumed) == list(lab.assumed) and len(other.assumed) == 2
    assert other.assumed.elements == lab.assumed.elements and other.assumed.names == lab.assumed.names
    assert other.notes[:-1] == lab.notes and other.notes[-1].startswith("opened from a session: the dumps that it was")
    other.save(tmp_path / "again.vsim")
    assert (tmp_path / "again.vsim").read_bytes() == (tmp_path / "evening.vsim").read_bytes()


@pytest.mark.parametrize("clean", [False, True])
def test_half_a_character_is_told_in_words_and_saved_as_what_it_was_read_as(clean):
    panel = Inspector()
    panel.clean.value = clean
    panel.box.value = FAULTS[1] + "from \ud800 here\n"
    panel.read()
    assert "paste:3:6: &#x27;\\ud800&#x27; is half of a character; such halves are read as U+FFFD" in panel.pieces.value
    panel.write_cleaned()
    assert saved(panel.saved.value)["clean-paste.txt"].endswith("from \ufffd here\n")
    panel.write_report()
    assert "data:" in panel.saved.value


NOW = datetime(2026, 12, 1, tzinfo=UTC)


def saved(html: str) -> dict[str, str]:
    """The files behind the links of a panel."""
    return {name: b64decode(body).decode() for name, body in re.findall(
        r'download="([^"]+)" href="data:[a-z/]+;base64,([A-Za-z0-9+/=]+)"', html)}


def test_a_chosen_file_is_read_and_its_machine_report_and_clean_text_are_there():
    panel = Inspector()
    assert panel.report.disabled and panel.cleaned.disabled and not panel.room.children
    text = "\n".join(text for _, text in TEXTS) + FAULTS[1] + "Nov 30 21:00:00 alices-laptop kernel: from 10.1.2.3\n"
    panel.files.value = ({"name": "dumps.txt", "type": "", "size": len(text), "content": text.encode(),
                          "last_modified": NOW},)
    assert panel.status.value == "" and "refused a request" in panel.findings.value
    (shown,) = panel.room.children
    assert len(shown.scene["devices"]) == 2 and shown.scene["assumed"]
    panel.report.click()
    (page,) = saved(panel.saved.value).values()
    assert "Faults sent again" in page and "10.1.2.3" not in page
    panel.cleaned.click()
    files = saved(panel.saved.value)
    assert list(files) == ["clean-dumps.txt"] and "alices-laptop" not in files["clean-dumps.txt"]
    panel.files.value = ({"name": "x", "type": "", "size": 3, "content": b"xyz", "last_modified": NOW},)
    assert not panel.room.children and panel.report.disabled and "nothing is recognised" in panel.pieces.value


def test_a_report_has_no_names_even_where_the_lab_was_made_of_texts_as_they_are():
    named = FAULTS[1] + "Nov 30 21:00:00 alices-laptop kernel: DMAR: from 10.1.2.3\n"
    panel = Lab.from_machine(*TEXTS, ("alice", named)).view("paste")
    panel.report.click()
    (page,) = saved(panel.saved.value).values()
    assert "10.1.2.3" not in page and "alices-laptop" not in page


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
    events = lab.view("events")
    assert any(cells[-1] == "vLAPIC 2, assumed" for _, _, cells in events.rows.rows)
    assert "assumed in part" in [each.get_text() for each in figure(lab).findobj(Text)]
    panel = lab.view("paste")
    panel.again.click()
    assert "assumed: vIOMMU 0: where its table is" in panel.told.value
    assert "vCPU" not in panel.told.value
    assert Lab.from_machine(*TEXTS).map.scene["assumed"].keys() == {"2", "4"}
    assert lab.branch().map.scene["assumed"] == said


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
        assert "it passes now: entry" in panel.told.value and lab.position == before + 2
        assert [each.name for each in lab.gestures_around(lab.position, 2) if each.stop > before] == [
            panel.told.value.partition("now: ")[2].partition("<")[0],
            f"send the request of {('01:00.0', '00:1c.0')[place]} again"]
    assert panel.shown_map.get_state("present")["present"]["total"][:4] == [2, 0, 0, 2]
    lab.undo(), lab.undo()
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


@pytest.mark.parametrize("table_of", [madt_of, hpet_of])
def test_the_bytes_of_a_table_are_read_where_names_go_out_of_texts(table_of, tmp_path):
    data = table_of(Machine(profile("spec").with_options(hpet_timers=3), vcpus=2))
    panel = Inspector()
    panel.files.value = ({"name": "table.dat", "type": "", "size": len(data), "content": data, "last_modified": NOW},)
    assert panel.clean.value and "a table&#x27;s bytes" in panel.pieces.value
    panel.cleaned.click()
    assert panel.saved.value == "", "there are no names to take out of it"
    (tmp_path / "table.dat").write_bytes(data)
    assert [each.kind for each in dumped.read([str(tmp_path)]).pasted.pieces] == ["tables"]


def test_the_example_of_the_lesson_has_one_mistake_seen_from_two_sides():
    lab = Lab.from_machine(DATA / "pasted.txt")
    assert [finding.row.name for finding in lab.dumped.examined.findings] == ["wrong-source", "fault"]
    assert lab.machine.bus.requester(0x0340) == 0x0300
    told = replay(lab.dumped.rebuilt, lab.dumped.examined.picture.faults[0])
    assert told.same and told.change == "entry 0x5 allows 03:00.0 in"
    lab.issue(*told.cure)
    assert any(event.act == Act.ACCEPTED for event in lab.fire("03:08.0", 0))
