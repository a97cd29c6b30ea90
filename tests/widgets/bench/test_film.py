"""`vsim bench --film`: scenes that are played, a file of few colours, and the film that the README shows."""

import io
from argparse import ArgumentParser
from importlib.metadata import EntryPoint
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from vsim.cli import bench
from widgets.bench import browser as bench_browser
from widgets.bench import command as bench_command
from widgets.bench import film
from widgets.stills import film_file


def run(*argv):
    parser = ArgumentParser()
    bench.register(parser)
    args = parser.parse_args(argv)
    return args.func(args)


@pytest.fixture
def registered(monkeypatch):
    point = EntryPoint("browser", "widgets.bench.command:main", bench.BROWSER)
    monkeypatch.setattr(bench, "entry_points", lambda group, name: (point,))
    monkeypatch.setattr(bench_command.signal, "signal", lambda *given: None)
    monkeypatch.setattr(bench_command, "lacking", lambda: "")


def drawn(*colours):
    """A recording of pictures with one colour each, but for a pixel of red."""
    made = film.Recording(10)
    for colour in colours:
        picture = Image.new("RGB", (12, 8), colour)
        picture.putpixel((3, 2), (255, 0, 0))
        file = io.BytesIO()
        picture.save(file, "PNG")
        made.shots.append(file.getvalue())
    return made


def test_every_act_of_a_scene_is_something_that_can_be_done():
    for scene in film.SCENES:
        assert scene.words and scene.seconds > 0
        assert all(callable(getattr(film.Camera, act)) for act, _ in scene.acts)


def test_a_recording_is_written_with_the_colours_that_it_has(tmp_path):
    made = drawn((250, 250, 250), (0, 90, 200))
    assert made.size == (12, 8)
    film_file.write(made, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as again:
        assert again.n_frames == 2
        for number, shot in enumerate(made.frames()):
            again.seek(number)
            assert np.array_equal(np.asarray(again.convert("RGB")), np.asarray(shot))


def test_a_palette_never_has_more_than_a_gif_can_hold():
    assert len(drawn(*((n, n // 2, 7) for n in range(3000, 0, -1) if n < 256)).palette()) <= 3 * film.COLOURS


@pytest.mark.parametrize("file, said", [("a.txt", "'.txt'"), ("none/a.gif", "no folder")])
def test_what_cannot_be_written_is_refused_at_once(registered, tmp_path, monkeypatch, capsys, file, said):
    monkeypatch.setattr(film, "record", lambda *given: pytest.fail("it began"))
    assert run("--film", str(tmp_path / file)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("vsim bench --film: ") and said in err


def test_the_command_writes_the_file_and_says_how_large_it_is(registered, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(film, "record", lambda tell: tell("a scene") or drawn((1, 2, 3)))
    assert run("--film", str(tmp_path / "a.gif")) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'a.gif'}: {(tmp_path / 'a.gif').stat().st_size:,} bytes\n" and err == "... a scene\n"


@pytest.mark.browser
@pytest.mark.skipif(bench_browser.chromium() is None, reason="no Chromium")
@pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright")
def test_the_bench_is_filmed_from_a_click_to_the_storm():
    """Short scenes of every kind: something moves in each, and the film's length is what they ask for."""
    scenes = (film.Scene("at rest", (), 0.3),
              film.Scene("a message", (("choose", "2"), ("press", "fire")), 0.6),
              film.Scene("a storm", (
                  ("ask", "edit.write(p=0)"), ("press", "1,000/s, 2 s ▾"), ("fill", "for seconds=0.5"),
                  ("press", "1,000/s, 0.5 s ▾"), ("press", "storm")), 0.6))
    told = []
    made = film.record(told.append, scenes)
    assert told == [scene.words for scene in scenes]
    assert len(made.shots) == round(film.FPS * 1.5) + 4 * film.POINTER
    calm, *moving = [np.asarray(each).astype(int) for each in made.frames()]
    assert all(each.shape == calm.shape for each in moving)
    below = film.CAPTION + 150  # the map; words, pointer and controls are above
    assert not (moving[0] - calm)[below:].any()
    assert all((moving[n] - moving[n - 1])[below:].any() for n in (-1, 7, 9))
