"""`vsim bench`: every figure is there and is one. How large it is, no test says: it is the computer's."""

import json

import pytest

from vsim.cli import bench, yardstick
from vsim.cli.main import main
from vsim.layouts.formats import remap_message
from vsim.machine import step
from vsim.state.trace import Act
from vsim.storm import engines as storm_engines
from vsim.storm import in_c

LEAST = 1e-9
SIZES = ["8", "288", "1024", "4096"]
ENGINES = {"compiled": "numba", "vectorised": "numpy", "interpreted": ""}


@pytest.fixture(scope="module")
def figures():
    return bench.measure(LEAST)


def positive(value):
    return type(value) in (int, float) and value > 0


@pytest.mark.parametrize("name", ["step_us", "step_us_untraced", "state_bytes"])
def test_a_figure_by_local_apics_has_every_size(figures, name):
    assert list(figures[name]) == SIZES
    assert all(map(positive, figures[name].values()))


@pytest.mark.parametrize("name", ["explain_us", "undo_ms", "import_ms", "import_machine_ms"])
def test_a_figure_is_a_number(figures, name):
    assert positive(figures[name])


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_has_a_figure_where_its_library_is(figures, name):
    speed, ratio = figures["storm_per_s"][name], figures["ratios"][name]
    assert speed is None if storm_engines.missing(name) else positive(speed)
    assert ratio is None if None in (speed, figures["yardstick_per_s"]) else ratio >= 0


def test_json_is_one_object_and_nothing_else(figures, monkeypatch, capsys):
    monkeypatch.setattr(bench, "measure", lambda effort, tell: figures)
    assert main(["bench", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == figures and err == ""


def test_the_table_has_a_line_for_every_figure(figures, monkeypatch, capsys):
    monkeypatch.setattr(bench, "measure", lambda effort, tell: tell("all") or figures)
    assert main(["bench"]) == 0
    out, err = capsys.readouterr()
    assert [name for name, (what, _) in bench.UNITS.items() if what not in out] == []
    assert set(bench.UNITS) == set(figures) - {"machine"}
    assert err == "... all\n"


def test_the_loops_in_c_have_a_figure_where_there_is_a_compiler(figures):
    ours, theirs = figures["loop_ns"]["compiled"], figures["loop_ns"]["C"]
    assert ours is None if storm_engines.missing("compiled") else positive(ours)
    assert theirs is None if in_c.missing() else positive(theirs)
    assert figures["loop_ratio"] is None if None in (ours, theirs) else positive(figures["loop_ratio"])


@pytest.mark.skipif(bool(in_c.missing()), reason=in_c.missing() or "there")
@pytest.mark.skipif(bool(storm_engines.missing("compiled")), reason=storm_engines.missing("compiled") or "there")
def test_the_loops_in_c_end_like_the_compiled_ones_array_for_array():
    _, views = bench.beside_c(2)
    ours, theirs = views["compiled"], views["C"]
    assert ours.m.difference(theirs.m) == [] and list(ours.m.cache) == list(theirs.m.cache)
    for name in ("entries", "filled", "tallies", "totals", "eoi"):
        assert getattr(ours, name) == getattr(theirs, name)
    number = bench.STORM_VCPUS * bench.STORM_VECTORS
    assert sum(theirs.tallies) == 6 * number, "each interrupt of three rounds is delivered and taken"


def test_without_a_compiler_the_figure_of_c_is_null(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(storm_engines, "importable", lambda library: False)
    found, _ = bench.beside_c(1)
    assert found == {"compiled": None, "C": None} and bench.loop_ratio(found) is None


def test_what_a_computer_has_no_library_for_is_null(monkeypatch):
    monkeypatch.setattr(storm_engines, "importable", lambda library: False)
    assert bench.stormed("compiled", 1) == (None, None)
    assert "n/a" in bench.table({**dict.fromkeys(bench.UNITS), "machine": {"numba": None}})


@pytest.mark.parametrize("effort", ["0", "-1", "101", "fast", "nan"])
def test_an_effort_that_makes_no_sense_is_refused(effort, capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--effort", effort])
    assert "--effort" in capsys.readouterr().err


@pytest.mark.parametrize("vcpus, messages", [(8, 256), (512, 1024), (4096, 256)])
def test_every_message_that_is_measured_is_remapped_and_accepted_once(vcpus, messages):
    m = bench.busy(vcpus, messages)
    reached = set()
    for n in range(messages):
        acts = [(event.act, event.node, event.index) for event in step(m, bench.c.Msi(bench.NIC, *remap_message(n)))]
        assert [act for act, *_ in acts] == [Act.SENT, Act.FETCHED, Act.CACHED, Act.REMAPPED, Act.ACCEPTED]
        reached.add(acts[-1])
    assert len(reached) == messages


def test_the_yardstick_ends_every_interrupt():
    pytest.importorskip(yardstick.LIBRARY)
    assert yardstick.run(1000) == 1000


def test_the_yardstick_has_a_figure_where_its_library_is(figures):
    there = storm_engines.importable(yardstick.LIBRARY)
    assert positive(figures["yardstick_per_s"]) if there else figures["yardstick_per_s"] is None
    assert (figures["ratios"]["step"] is None) is not there
    assert bool(figures["machine"]["simpy"]) is there


def test_without_its_library_the_yardstick_and_all_ratios_are_null(figures, monkeypatch):
    monkeypatch.setattr(bench, "importable", lambda library: library != yardstick.LIBRARY)
    assert bench.yard(1) is None
    assert set(bench.ratios({**figures, "yardstick_per_s": None}).values()) == {None}
