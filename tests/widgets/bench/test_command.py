"""`vsim bench --browser`: its JSON has every figure, whatever their size; and it says what it lacks."""

import json
from argparse import ArgumentParser
from importlib.metadata import EntryPoint
from importlib.util import find_spec

import pytest

from vsim.cli import bench
from widgets.bench import browser as bench_browser
from widgets.bench import command as bench_command
from widgets.bench import notebook as bench_lab
from widgets.lab.bench import TABS

KEYS = {"fps", "frame_ms_p95", "bytes_per_1000", "click_ms_median", "forecast_ms_median", "fault_ms_median",
        "kernel_cpu", "first_picture_s", "kernel_rss_mb",
        "growth_mb"}
CASES = ["1024@1000", "1024@3000", "4096@3000"]
SAMPLE = {"fps": dict.fromkeys(CASES, 60.0), "frame_ms_p95": dict(zip(CASES, (40.0, 17.0, 17.0), strict=True)),
          "bytes_per_1000": 16_000, "click_ms_median": 30.0, "forecast_ms_median": 40.0,
          "fault_ms_median": 90.0, "kernel_cpu": 0.05, "first_picture_s": 1.0,
          "kernel_rss_mb": 150.0, "growth_mb": {"page": 2.0, "kernel": 21.0},
          "machine": {"cores": 2, "load": [0.5, 0.4, 0.3]}}


def run(*argv):
    parser = ArgumentParser()
    bench.register(parser)
    args = parser.parse_args(argv)
    return args.func(args)


@pytest.fixture
def registered(monkeypatch):
    """As if installed: the entry point of pyproject.toml, and no handler of signals is left behind."""
    point = EntryPoint("browser", "widgets.bench.command:main", bench.BROWSER)
    monkeypatch.setattr(bench, "entry_points", lambda group, name: (point,))
    monkeypatch.setattr(bench_command.signal, "signal", lambda *given: None)
    monkeypatch.setattr(bench_command, "lacking", lambda: "")


@pytest.fixture
def sampled(registered, monkeypatch):
    monkeypatch.setattr(bench_command, "measure", lambda seconds, tell: tell(f"{seconds}") or SAMPLE)


def test_the_command_names_the_module_that_the_packaging_names():
    text = (bench_command.__file__.rsplit("widgets", 1)[0]) + "pyproject.toml"
    with open(text, encoding="utf-8") as file:
        assert f'[project.entry-points."{bench.BROWSER}"]\nbrowser = "widgets.bench.command:main"' in file.read()


def test_json_is_one_object_and_nothing_else(sampled, capsys):
    assert run("--browser", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == SAMPLE and err == ""


def test_the_table_tells_what_is_reached_and_what_is_missed(sampled, capsys):
    assert run("--browser", "--seconds", "7") == 0
    out, err = capsys.readouterr()
    assert err == "... 7.0\n"
    said = {line.rsplit("  ", 1)[0].strip(): line for line in out.splitlines()}
    assert sum("reached" in line for line in out.splitlines()) == 13
    missed = [line for line in said.values() if "MISSED" in line]
    assert [line.split("  ")[0] for line in missed] == ["95% of frames within 1024@1000",
                                                         "growth in a long storm kernel"]
    assert "load 0.5" in out


def test_every_figure_with_an_aim_is_in_the_json():
    assert set(bench_command.AIMS) == KEYS


@pytest.mark.parametrize("without, said", [("playwright", "needs playwright"), ("chromium", "no Chromium")])
def test_what_is_missing_is_said_with_status_2(registered, monkeypatch, capsys, without, said):
    monkeypatch.undo()
    point = EntryPoint("browser", "widgets.bench.command:main", bench.BROWSER)
    monkeypatch.setattr(bench, "entry_points", lambda group, name: (point,))
    monkeypatch.setattr(bench_command, "find_spec", lambda name: None if without == name else True)
    monkeypatch.setattr(bench_browser, "chromium", lambda: None)
    assert run("--browser") == 2
    out, err = capsys.readouterr()
    assert said in err and out == ""


def test_a_measurement_that_fails_says_why_with_status_1(registered, monkeypatch, capsys):
    def failing(seconds, tell):
        raise RuntimeError("JupyterLab ended")
    monkeypatch.setattr(bench_command, "measure", failing)
    assert run("--browser", "--json") == 1
    assert capsys.readouterr() == ("", "vsim bench --browser: JupyterLab ended\n")


def test_without_the_package_that_draws_the_command_says_so(monkeypatch, capsys):
    monkeypatch.setattr(bench, "entry_points", lambda group, name: ())
    assert run("--browser") == 2
    assert "not available in this installation" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "3601", "long", "nan"])
def test_a_length_that_makes_no_sense_is_refused(seconds, capsys):
    with pytest.raises(SystemExit):
        run("--browser", "--seconds", seconds)
    assert "--seconds" in capsys.readouterr().err


needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(bench_browser.chromium() is None, reason="no Chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright"),
]


@pytest.fixture(scope="module")
def figures():
    """The least that can be measured: two short cases of frames, one click, two pictures, half a second of each tab."""
    out = bench_browser.measure(0.3, 0.1, ((8, 1000), (16, 1000)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_lab, "SETTLE", 0.1)
        return out | bench_lab.measure(0.5, 1, 1)


class TestMeasured:
    pytestmark = needs_browser

    def test_every_figure_is_there(self, figures):
        assert set(figures) >= KEYS
        assert list(figures["fps"]) == list(figures["frame_ms_p95"]) == ["8@1000", "16@1000"]

    @pytest.mark.parametrize("key", ["bytes_per_1000", "click_ms_median", "kernel_cpu", "first_picture_s",
                                     "first_picture_cold_s", "kernel_rss_mb"])
    def test_a_figure_is_a_number_above_0(self, figures, key):
        assert type(figures[key]) in (int, float) and figures[key] > 0

    def test_growth_is_of_page_and_kernel(self, figures):
        assert {name: type(value) for name, value in figures["growth_mb"].items()} == {"page": float, "kernel": float}

    def test_the_kernel_is_looked_at_with_each_tab_in_front(self, figures):
        assert list(figures["kernel_cpu_by_tab"]) == list(TABS.values())
        assert figures["kernel_cpu"] == max(figures["kernel_cpu_by_tab"].values())


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    server = pytest.importorskip("widgets.bench.server")
    (tmp_path / "root").mkdir()
    made = server.Server(tmp_path, tmp_path / "root")
    monkeypatch.setattr(made, "_command", lambda: [server.sys.executable, "-c", "raise SystemExit('no port left')"])
    with pytest.raises(RuntimeError, match="no port left"), made:
        raise AssertionError("it did start")
    assert made._process is None
