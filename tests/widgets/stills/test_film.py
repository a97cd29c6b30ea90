"""Films and stills: every recorded interrupt in them, the same bytes each time, nothing half written; and what a
notebook shows when no kernel runs."""

import io
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from tests.notebooks.test_all import run
from vsim.devices import viommu
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from widgets.lab import Lab, cells, progress
from widgets.map import scene
from widgets.map.tokens import Outcome
from widgets.stills import figures, film, film_file, shots
from widgets.theme import PALETTES

NAME = '<img src="http://x.example/y" onerror=alert(1)><b>card</b>'


def made(vcpus=8):
    bus = Bus([Function(0x18, "disk", pin=1), Function(0x300, NAME, msix_count=8)])
    lab = Lab(Machine(profile("spec"), vcpus, 64 << 20, bus), title=NAME)
    lab.issue(c.Domctl(viommu.create_op()))
    return lab


@pytest.fixture(scope="module")
def booted():
    lab = made()
    lab.boot()
    for number in (0, 1, 2, 7, 3):
        lab.fire(0x300, number)
    return lab


@pytest.fixture
def lab(booted):
    return booted.branch()


def short(lab, **more):
    drawn = scene.scene(lab.machine, lab.title)
    past, before = shots.recorded(lab, drawn, more.pop("last", 5))
    return film.Film(drawn, past, before=before, **{"seconds": 3.0, "fps": 5, **more})


def frames(path):
    with Image.open(path) as opened:
        for number in range(opened.n_frames):
            opened.seek(number)
            yield np.asarray(opened.convert("RGB")), opened.info["duration"]


# --- GIF ---


def test_a_film_has_its_length_and_repeats(lab, tmp_path):
    path = lab.animate(tmp_path / "way.gif", 3.0, fps=7, last=5)
    told = list(frames(path))
    assert len(told) == 21 and sum(duration for _, duration in told) == 3000
    with Image.open(path) as opened:
        assert opened.info["loop"] == 0 and opened.size == short(lab).size


def test_the_same_history_gives_the_same_bytes(lab, tmp_path):
    first, again = (lab.animate(tmp_path / name, 3.0, fps=5, last=5).read_bytes() for name in ("a.gif", "b.gif"))
    assert first == again


@pytest.mark.parametrize("theme", PALETTES)
def test_a_gif_shows_what_was_drawn(lab, tmp_path, theme):
    """Colours of the theme come through exactly; smooth edges nearly."""
    shot = short(lab, theme=theme)
    film_file.write(shot, tmp_path / "way.gif")
    ground = tuple(bytes.fromhex(PALETTES[theme].background[1:]))
    for (shown, _), drawn in zip(frames(tmp_path / "way.gif"), short(lab, theme=theme).frames(), strict=True):
        assert tuple(shown[1, 1]) == ground
        far = np.abs(shown.astype(int) - np.asarray(drawn).astype(int)).max(axis=2)
        assert np.quantile(far, 0.98) <= 8


def test_tokens_travel_and_what_they_reach_is_shaded_at_the_end(lab):
    drawn = [np.asarray(frame) for frame in short(lab).frames()]
    assert all((before != after).any() for before, after in pairwise(drawn[:6]))
    heat = tuple(bytes.fromhex(PALETTES["light"].heat[-1][1:]))
    wall = drawn[-1][:-90]  # without the legend
    assert (wall == heat).all(axis=2).any() and not (drawn[0][:-90] == heat).all(axis=2).any()


def test_what_is_blocked_ends_at_the_table_and_is_counted(lab):
    index = lab.kernel.guest.sources[0x300][0].index
    lab.kernel.guest.unit.change(index, 0)
    lab.fire(0x300, 0)
    shot = short(lab, last=2)  # and the event that tells of the fault
    assert [token.outcome & 7 for token in shot.tokens] == [Outcome.BLOCKED, Outcome.DIRECT]
    *_, last = shot.frames()
    assert last.size == shot.size and "1 blocked" in shot._words.get_text()


def test_more_interrupts_than_are_shown_are_told(lab):
    shot = short(lab, last=2)
    for _ in shot.frames():
        pass
    begun = lab.machine.serials
    assert shot._words.get_text() == (f"interrupt {begun} of {begun} has arrived; 0 blocked; "
                                      f"the first {begun - 2} are not shown")


@pytest.mark.parametrize("given, said", [
    ({"seconds": 0.5}, "seconds is 0.5"), ({"seconds": 61}, "seconds is 61"), ({"fps": 0}, "fps is 0"),
    ({"fps": 51}, "fps is 51"), ({"seconds": 60, "fps": 50}, "3000 frames; the limit is 900"),
    ({"last": 0}, "last is 0"), ({"last": 10_001}, "last is 10001"), ({"theme": "pink"}, "theme is 'pink'"),
    ({"shape": "round"}, "shape is 'round'")])
def test_what_is_out_of_bounds_is_refused_and_no_file_is_left(lab, tmp_path, given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        lab.animate(tmp_path / "way.gif", **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["way.png", "way", "way.gif.zip"])
def test_another_kind_of_file_is_refused(lab, tmp_path, name):
    with pytest.raises(ValueError, match=re.escape("written to .gif or .mp4")):
        lab.animate(tmp_path / name)


def test_without_an_interrupt_there_is_no_film(tmp_path):
    with pytest.raises(ValueError, match="no interrupt has been sent"):
        made().animate(tmp_path / "way.gif")


def test_a_film_that_fails_leaves_the_old_file(lab, tmp_path, monkeypatch):
    (tmp_path / "way.gif").write_text("old")
    monkeypatch.setattr(film.Film, "_set", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lab.animate(tmp_path / "way.gif")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"way.gif": "old"}


def test_a_film_of_a_domain_whose_unit_is_gone_is_drawn(lab, tmp_path):
    version = lab.machine.profile.options.interface
    lab.issue(c.Domctl(viommu.encode(version, viommu.Op.DESTROY, viommu_id=0)))
    assert not lab.machine.live(0)
    assert lab.animate(tmp_path / "way.gif", 2.0, fps=2, last=5).exists()


# --- MP4 ---


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """A stand-in that keeps its command and what it is fed: (status, its words) -> folder."""
    def made(status=0, words=""):
        folder = tmp_path / "bin"
        folder.mkdir()
        tool = folder / "ffmpeg"
        tool.write_text(f"#!{sys.executable}\nimport pathlib, sys\n"
                        f"fed = 0 if {status} else len(sys.stdin.buffer.read())\n"
                        f"print({words!r}, file=sys.stderr)\npathlib.Path(sys.argv[-1]).write_text("
                        f"' '.join(sys.argv[1:]) + f' fed={{fed}}')\nraise SystemExit({status})\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return folder
    return made


def test_an_mp4_is_made_by_ffmpeg_from_every_frame(lab, tmp_path, ffmpeg):
    ffmpeg()
    said = lab.animate(tmp_path / "way.mp4", 2.0, fps=3, last=5).read_text()
    wide, high = short(lab).size
    assert f"-s {wide}x{high} -r 3 " in said and said.endswith(f"fed={wide * high * 3 * 6}")


def test_what_ffmpeg_says_is_told_and_no_file_is_left(lab, tmp_path, ffmpeg):
    ffmpeg(3, "no libx264 here")
    with pytest.raises(RuntimeError, match="no libx264 here"):
        lab.animate(tmp_path / "way.mp4", 2.0, fps=3, last=5)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_without_ffmpeg_an_mp4_is_refused_at_once(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"ffmpeg, which is not installed: install it, or write a \.gif"):
        lab.animate(tmp_path / "way.mp4")


# --- the bar ---


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_a_line_in_a_terminal_and_nothing_elsewhere(monkeypatch, terminal):
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", out)
    with progress.bar("film", 4) as told:
        for done in (2, 4):
            told(done)
    assert out.getvalue() == (f"\rfilm [{'#' * 15}{'.' * 15}] 2 of 4\rfilm [{'#' * 30}] 4 of 4\n" if terminal else "")


def test_the_bar_is_a_widget_in_a_notebook_and_goes(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(cells, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", shown.append)
    with progress.bar("film", 4) as told:
        told(3)
        assert (shown[0].value, shown[0].max, shown[0].description) == (3, 4, "film")
    assert shown[0].comm is None


def test_a_kernel_is_a_notebook_and_a_script_is_none(monkeypatch):
    import IPython

    assert not cells.in_notebook()
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert cells.in_notebook()


# --- stills, and one file ---


@pytest.mark.parametrize("write, start", [(figures.to_png, b"\x89PNG"), (figures.to_svg, b"<?xml"),
                                          (figures.to_pdf, b"%PDF")])
def test_a_still_is_written_in_every_format(lab, write, start):
    data = write(lab.figure())
    assert data.startswith(start) and data == write(lab.figure())


def test_a_name_with_markup_is_no_markup_in_an_svg(lab):
    """matplotlib notes the words that it draws in comments; of elements and links there are only its own."""
    drawn = ElementTree.fromstring(figures.to_svg(lab.figure()))
    tags = {each.tag.rpartition("}")[2] for each in drawn.iter()}
    assert tags <= {"svg", "metadata", "RDF", "Work", "type", "format", "defs", "style", "g", "path", "use", "clipPath",
                    "rect"}
    links = [value for each in drawn.iter() for name, value in each.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)


def test_one_file_replays_without_a_link_and_a_name_is_text(lab, tmp_path):
    text = lab.to_html(tmp_path / "replay.html")
    assert (tmp_path / "replay.html").read_text(encoding="utf-8") == text
    assert NAME not in text and "<img" not in text and "<b>card" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|@import|url\(""", text.replace(NAME, ""))
    assert "default-src 'none'" in text
    assert lab._observers == []


# --- a notebook without a kernel ---


CELLS = ["from widgets.lab import Lab\n"
         "lab = Lab.from_config('name = \"kept\"\\nvcpus = 8\\nviommu = \"type=vtd,intremap=1,x2apic=1\"\\n"
         "pci = [\"03:00.0\"]')\nlab", "lab.map", "lab.irt"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A notebook that was run and saved, without the state of its widgets."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    return run(book, tmp_path_factory.mktemp("saved"))


def test_a_saved_notebook_holds_a_still_of_every_picture(saved):
    kept = [cell.outputs[0].data for cell in saved.cells]
    assert "widgets" not in saved.metadata
    assert [data["image/png"][:8] for data in kept[:2]] == ["iVBORw0K"] * 2
    assert "Lab('kept'" in kept[0]["text/plain"] and "of Lab('kept'" in kept[2]["text/plain"]


def test_a_notebook_exported_as_html_shows_the_still(saved):
    body, _ = HTMLExporter().from_notebook_node(saved)
    assert len(re.findall(r'<img[^>]*src="data:image/png;base64,iVBORw0K', body)) == 2
    assert "widget-view+json" not in body.split("<body", 1)[1]


def test_the_still_is_of_what_the_machine_is_now(lab):
    before = shots.still(lab)
    lab.fire(0x300, 5)
    assert shots.still(lab) != before
    assert lab.map._repr_mimebundle_()["image/png"] == lab.bench._repr_mimebundle_()["image/png"]


def test_the_file_of_a_film_is_named_by_what_was_given(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lab.animate("way.gif", 2.0, fps=2, last=3) == Path("way.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["way.gif"]
