"""Sweeps: which grids there are; rows do not depend on who runs them; nothing is lost and nothing done twice."""

import contextlib
import csv
import os
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from vsim import sweep
from vsim.cli.main import main
from vsim.scale.cell import FIGURES, cell
from vsim.scale.grid import AXES, Grid, SpecError, load, parse, seed_of
from vsim.scale.rows import COLUMNS, Output, OutputError
from vsim.scale.run import Here, processes, results

SMALL = "seed = 7\n[fixed]\nqueues = 2\n[axes]\nvcpus = [2, 4]\nviommu = [true, false]\nmode = [\"run\", \"storm\"]\n"


@pytest.mark.parametrize("text, message", [
    ("axes = 1", "s:1:1: axes is no table"),
    ("[axes]\ncores = [1]", "s:2:1: no axis 'cores'; axes are mode, config, profile, "),
    ("[axes]\nvcpus = []", "s:2:1: axis vcpus has no value"),
    ("[axes]\nvcpus = [0]", "s:2:1: vcpus is 0; allowed is 1 to 4096"),
    ("[axes]\n  vcpus = [true]", "s:2:3: vcpus is True; allowed is 1 to 4096"),
    ("[axes]\nvcpus = [4, 4]", "s:2:1: axis vcpus has a value twice"),
    ("[axes]\nprofile = [[1]]", "s:2:1: profile is [1]; allowed is one of spec, "),
    ("[axes]\nquirks = ['+xen.D99']", "s:2:1: quirks is '+xen.D99'; allowed is words such as +xen.D10 -xen.D5"),
    ("[axes]\nvcpus = [1]\n[fixed]\nvcpus = 2", "s:2:1: 'vcpus' is fixed and an axis; it can be one of them"),
    ("seed = -1", "s:1:1: seed is -1; the limit is 0 to 4294967295"),
    ("colour = 1", "s:1:1: found 'colour'; there are seed, fixed and axes"),
    ("[axes\n", "s:1:6: not TOML: Expected ']' at the end of a table declaration"),
])
def test_a_specification_is_a_grid_or_a_clear_error(text, message):
    with pytest.raises(SpecError) as caught:
        parse(text, "s")
    assert str(caught.value).startswith(message)


def test_a_grid_that_is_too_large_is_refused_before_anything_runs():
    many = {"rate": tuple(range(1, 1001)), "rounds": tuple(range(1, 1001)), "moves": tuple(range(1000))}
    with pytest.raises(ValueError, match="the grid has 1000000000 cells; the limit is 1000000"):
        Grid(many)


def test_a_cells_seed_follows_from_its_own_values():
    wide, narrow = Grid({"vcpus": (2, 4, 8)}), Grid({"vcpus": (4,)})
    assert next(each["seed"] for each in wide.cells() if each["vcpus"] == 4) == next(narrow.cells())["seed"]
    assert len({each["seed"] for each in Grid({"repeat": tuple(range(50))}).cells()}) == 50
    assert seed_of(1, dict.fromkeys(AXES, 0)) != seed_of(2, dict.fromkeys(AXES, 0))


def test_a_cell_is_a_row_of_its_values_and_figures():
    (values,) = Grid({"vcpus": (288,), "devices": (2,)}).cells()
    row = cell(values)
    assert tuple(row) == COLUMNS[2:]
    assert (row["reached"], row["sent"], row["delivered"], row["error"]) == (288, 576, 576, "")
    (bare,) = Grid({"vcpus": (288,), "viommu": (False,)}).cells()
    assert (cell(bare)["reached"], cell(bare)["refused"]) == (128, 160)


@pytest.mark.parametrize("policy, weak, viommus, unkept, reached", [
    ("unlinked", 1, 1, 0, 288), ("unlinked", 2, 1, 0, 288), ("intersection", 0, 1, 0, 288),
    ("intersection", 1, 1, 0, 128), ("union", 1, 1, 2, 288), ("union", 2, 1, 0, 128),
    ("per-unit", 1, 2, 0, 128), ("per-group", 0, 5, 0, 288)])
def test_what_a_policy_for_several_host_units_promises_and_reaches(policy, weak, viommus, unkept, reached):
    """A Linux guest uses 32-bit destinations with all of its units or with none; then 128 vCPUs are left."""
    (values,) = Grid({"policy": (policy,), "weak_units": (weak,), "host_units": (2,), "vcpus": (288,),
                      "devices": (4,)}).cells()
    row = cell(values)
    assert [row[name] for name in ("viommus", "unkept", "reached", "error")] == [viommus, unkept, reached, ""]


CONFIG = 'name = "a"\nvcpus = 6\nmemory = 64\nviommu = "type=vtd,intremap=1,x2apic=1"\npci = ["03:00.0", "04:00.0"]\n'


def test_a_configuration_beside_the_specification_decides_its_domain(tmp_path):
    (tmp_path / "a.cfg").write_text(CONFIG)
    grid = load(spec(tmp_path, '[axes]\nconfig = ["a.cfg", ""]\n'))
    rows = [cell(values) for values in grid.cells()]
    assert tuple(rows[0]) == COLUMNS[2:]
    assert [[row[name] for name in ("config", "vcpus", "devices", "viommu", "reached")] for row in rows] == [
        ["a.cfg", 6, 2, True, 6], ["", 8, 1, True, 8]]
    (tmp_path / "a.cfg").write_text(CONFIG.replace("6", "7"))
    assert load(tmp_path / "s.toml").name != grid.name


@pytest.mark.parametrize("text, axes, message", [
    (CONFIG, "vcpus = [2]", "s.toml:3:1: vcpus is an axis, and so is config, which decides it"),
    (CONFIG.replace("6", "0"), "", "a.cfg:2:9: "), (None, "", "a.cfg:1:1: ")])
def test_a_configuration_that_cannot_be_is_told_before_anything_runs(tmp_path, text, axes, message):
    if text:
        (tmp_path / "a.cfg").write_text(text)
    with pytest.raises(ValueError) as caught:
        load(spec(tmp_path, f'[axes]\n{axes}\nconfig = ["a.cfg"]\n'))
    assert message in str(caught.value)


def test_a_grid_without_the_text_of_its_configuration_is_refused():
    with pytest.raises(ValueError, match=r"config is 'a\.cfg', and there is no text of it"):
        Grid({"config": ("a.cfg",)})
    with pytest.raises(SpecError, match=r"s:2:1: config is 'a\.cfg', and there is no text of it"):
        parse("[axes]\nconfig = ['a.cfg']", "s")


def test_a_cell_that_cannot_be_is_a_row_with_its_error():
    (values,) = Grid({"profile": ("xen-v1",), "policy": ("per-unit",), "host_units": (2,), "vcpus": (2,)}).cells()
    assert "the hypervisor refuses vIOMMU 1 with" in cell(values)["error"]


def square(values):
    return {"square": values["n"] ** 2}


def die_once(values):
    """Ends its process the first time that it is called for 3; the folder remembers."""
    mark = Path(values["folder"]) / "died"
    if values["n"] == 3 and not mark.exists():
        mark.write_text("")
        os._exit(1)
    return values["n"]


def test_any_function_of_a_module_any_executor_any_order():
    wanted = [{"n": n, "square": n * n} for n in range(20)]
    assert sweep(square, {"n": range(20)}, ThreadPoolExecutor(3)) == wanted
    assert sweep(square, {"n": range(20)}, Backwards()) == wanted
    assert sweep(square, {"n": range(20)}, Here()) == wanted
    with pytest.raises(ValueError, match="no function of a module"):
        sweep(lambda values: 1, {"n": range(2)})


def fail_at(values):
    return 1 // values["n"]


def test_where_no_process_can_be_started_cells_run_here(monkeypatch):
    monkeypatch.setattr("sys.platform", "emscripten")
    assert isinstance(processes(2), Here)
    assert sweep(square, {"n": range(3)}) == [{"n": n, "square": n * n} for n in range(3)]
    with pytest.raises(ZeroDivisionError):
        sweep(fail_at, {"n": (1, 0)})


class Backwards(Executor):
    """Does what it is given, the last first, when nothing more is given."""

    _max_workers = 8

    def __init__(self):
        self.kept = []

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        self.kept.append((future, function, args))
        if len(self.kept) >= 4 or args[0]["n"] == 19:
            while self.kept:
                made, work, given = self.kept.pop()
                made.set_result(work(*given))
        return future


def test_processes_give_the_same_rows_and_one_that_dies_loses_none(tmp_path):
    wanted = [{"n": n, "folder": str(tmp_path), "result": n} for n in range(8)]
    assert sweep(die_once, {"n": range(8), "folder": [str(tmp_path)]}) == wanted
    assert (tmp_path / "died").exists()


def spec(folder, text=SMALL):
    path = folder / "s.toml"
    path.write_text(text)
    return path


def test_the_command_writes_every_cell_in_order(tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert main(["sweep", str(spec(tmp_path)), "-o", str(out), "--workers", "1"]) == 0
    lines = out.read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert [int(line.split(",")[1]) for line in lines[1:]] == list(range(8))
    assert capsys.readouterr().out == f"8 cells in {out}, 8 of them run now, 0 with an error\n"


def test_one_worker_and_two_write_the_same_bytes(tmp_path):
    written = []
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.csv"
        assert main(["sweep", str(spec(tmp_path)), "-o", str(out), "--workers", workers]) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1] and written[0].count(b"\n") == 9


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_sweep_goes_on_from_its_own_output(tmp_path, capsys, torn):
    out, grid = tmp_path / "out.csv", load(spec(tmp_path))
    rows = [cell(values) for values in grid.cells()]
    begun = Output(out, grid)
    for number in (5, 0, 3):
        begun.add(number, rows[number])
    begun.close()
    if torn:
        out.write_text(out.read_text()[:-9])
    again = Output(out, grid)
    assert again.done == ({0, 5} if torn else {0, 3, 5})
    for number in {*range(8)} - again.done:
        again.add(number, rows[number])
    again.finish()
    whole = Output(tmp_path / "whole.csv", grid)
    for number, row in enumerate(rows):
        whole.add(number, row)
    whole.finish()
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert main(["sweep", str(tmp_path / "s.toml"), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"8 cells in {out}, 0 of them run now, 0 with an error\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_row_that_finds_no_room_names_the_file(tmp_path):
    grid = Grid({"vcpus": (2,)})
    out = Output(tmp_path / "out.csv", grid)
    out.close()
    out._stream = open("/dev/full", "w")    # noqa: SIM115 - its own cannot be filled
    out._writer = csv.writer(out._stream)
    with pytest.raises(OSError, match="No space left") as error:
        out.add(0, dict.fromkeys(COLUMNS, 1))
    assert error.value.filename == str(tmp_path / "out.csv")
    with contextlib.suppress(OSError):
        out.close()


def test_the_output_of_another_sweep_is_left_alone(tmp_path, capsys):
    out = tmp_path / "out.csv"
    other = Output(out, Grid({"vcpus": (2,)}))
    other.add(0, cell(next(Grid({"vcpus": (2,)}).cells())))
    other.finish()
    before = out.read_bytes()
    assert main(["sweep", str(spec(tmp_path)), "-o", str(out)]) == 2
    assert "out.csv:2:1: the output of another sweep" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize("name, message", [("out.txt", "allowed are files that end with .csv or .parquet"),
                                           ("none/out.csv", "No such file or directory")])
def test_an_output_that_cannot_be_is_told_before_the_work(tmp_path, capsys, name, message):
    assert main(["sweep", str(spec(tmp_path)), "-o", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_no_sweep_wrote_is_left_alone(tmp_path):
    (tmp_path / "out.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="not the output of a sweep"):
        Output(tmp_path / "out.csv", Grid({}))
    assert (tmp_path / "out.csv").read_text() == "a,b\n1,2\n"


def test_parquet_has_the_rows_of_the_csv(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (extra cluster) is not installed")
    grid = Grid({"vcpus": (2, 3)})
    out = Output(tmp_path / "out.parquet", grid)
    rows = [cell(values) for values in grid.cells()]
    for number, row in enumerate(rows):
        out.add(number, row)
    out.finish()
    found = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [{name: each[name] for name in rows[0]} for each in found] == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet"]


def test_every_figure_is_a_column():
    assert {*FIGURES} < {*COLUMNS}


def test_a_function_that_fails_ends_the_sweep():
    with pytest.raises(KeyError):
        list(results(square, [(0, {"m": 1})], ThreadPoolExecutor(1)))
