"""A recorded run in a notebook of its own: written once, opened by both commands, and used by clicks."""

import gzip
import json
import re

import pytest

from tests.jupyter_host import PATIENCE, Server, opened
from tests.places import A_REAL_LINUX
from vsim.cli.main import main
from vsim.replay.recording import RecordingError
from widgets.bench.browser import chromium
from widgets.bench.person import Person
from widgets.lab import command
from widgets.lab.opened import notebook


def test_the_notebook_of_a_recording_is_written_once(tmp_path):
    place = notebook(A_REAL_LINUX, tmp_path / "new")
    assert place.name == "linux-6.12-8cpu.ipynb"
    book = json.loads(place.read_text())
    (cell,) = book["cells"]
    assert cell["cell_type"] == "code" and "8 CPUs, 104 s" in "".join(cell["source"])
    assert repr(str(A_REAL_LINUX)) in "".join(cell["source"])
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    place.write_text(place.read_text() + "my work")
    assert notebook(A_REAL_LINUX, tmp_path / "new") == place and place.read_text().endswith("my work")


def test_another_recording_of_the_same_name_has_a_notebook_of_its_own(tmp_path):
    books = []
    for folder in ("a", "b", 'c"\\é', "b"):
        run = tmp_path / folder / "run.jsonl.gz"
        run.parent.mkdir(exist_ok=True)
        run.write_bytes(gzip.compress(b'[["pin", 4, 1], [], -1, 0]\n'))
        books.append(notebook(run, tmp_path / "new"))
        assert repr(str(run)) in "".join(json.loads(books[-1].read_text("utf-8"))["cells"][0]["source"])
    assert [each.name for each in books] == ["run.ipynb", "run-2.ipynb", "run-3.ipynb", "run-2.ipynb"]
    assert notebook(run.parents[1] / 'c"\\é' / "run.jsonl.gz", tmp_path / "new") == books[2]


def test_what_is_no_recording_makes_no_notebook(tmp_path):
    (tmp_path / "no.jsonl").write_text("[1]\n")
    with pytest.raises(RecordingError, match=r"no\.jsonl:1:"):
        notebook(tmp_path / "no.jsonl", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.fixture
def launched(monkeypatch, tmp_path):
    lines = []
    monkeypatch.setattr(command, "become", lambda line: lines.append(line) or 0)
    monkeypatch.chdir(tmp_path)
    return lines


def test_both_commands_open_it(launched, tmp_path):
    run = tmp_path / "run.jsonl"
    run.write_text('[["pin", 4, 1], [], -1, 0]\n')
    for words in (["replay", "--lab", str(run)], ["lab", "--recording", str(run), "--dir", "vsim-recordings"]):
        assert main(words) == 0
    assert launched[0] == launched[1]
    assert f"--ServerApp.root_dir={tmp_path / 'vsim-recordings'}" in launched[0]
    assert "--LabApp.default_url=/lab/tree/run.ipynb" in launched[0]


def test_only_one_recording_is_opened(launched, tmp_path, capsys):
    (tmp_path / "cases.jsonl").write_text('{"no": "moment"}\n')
    assert main(["replay", "--lab", "cases.jsonl"]) == 2
    assert main(["replay", "--lab", str(A_REAL_LINUX), "cases.jsonl"]) == 2
    assert "cases.jsonl:1:1" in capsys.readouterr().err and not launched


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no Chromium")
def test_a_real_boot_is_played_and_its_first_entry_found_by_clicks(tmp_path, browser):
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright")
    server = Server(tmp_path, notebook(A_REAL_LINUX, tmp_path / "books").parent)
    try:
        with opened(server, browser, "linux-6.12-8cpu.ipynb") as session:
            assert session.run() == []
            person, page = Person(session.page), session.page
            person.click(page.get_by_role("button", name=re.compile("^remapping on:")))
            session.until("lab.position == lab.phases[2].start")
            block = page.locator(".vsim-ticks span", has_text=re.compile("^entry 1: vector"))
            assert block.bounding_box()["width"] > 80
            person.click(block)
            sync.expect(page.get_by_role("slider", name="time")).to_have_attribute(
                "aria-valuetext", re.compile("entry 1: vector 0x30 to logical 0x1$"), timeout=1000 * PATIENCE)
            session.until("lab.position > lab.phases[2].start")
            person.click(page.get_by_role("button", name=re.compile("^traffic:")))
            session.until("lab.position == lab.phases[5].start")
            person.click(page.locator("button.vsim-play:visible"))
            session.until("lab.position > lab.phases[5].start and lab.selection.serial")
            person.click(page.get_by_role("button", name=re.compile("^forbidden messages:")))
            person.click(page.get_by_role("button", name="fault ▶"))
            person.reads(page.locator(".vsim-why h3", has_text="blocked, fault reason 0x22").first)
    finally:
        server.stop()
