"""`vsim replay` of a whole run: the table, the first differences, the checker's word, and the status."""

import copy

import pytest

from tests.places import GOLDEN
from tests.vsim.replay.runs import ROWS, text
from vsim.cli.main import main


@pytest.fixture
def place(tmp_path):
    """Writes rows as a recording and gives its path."""
    def write(rows, head=None):
        (tmp_path / "run.jsonl").write_text(text(*rows, head=head))
        return str(tmp_path / "run.jsonl")
    return write


def test_a_run_that_is_repeated_ends_with_0(place, capsys):
    assert main(["replay", place(ROWS, {"vsim-recording": 1, "made": {"kernel": "six \x1b[31m"}})]) == 0
    printed = capsys.readouterr().out
    assert "2 vCPUs, 0.0 s recorded, 17 commands under qemu-10" in printed
    assert "kernel: six \\x1b[31m" in printed
    assert f"{'entries read':30}         2          2          0\n" in printed
    assert f"{'vectors taken':30}         2\n{'':30}         1  the machine offers it at that moment\n" in printed


def test_a_difference_ends_with_1_and_is_shown_with_its_place(place, capsys):
    rows = copy.deepcopy(ROWS)
    rows[5][1][0][1] = 7
    file = place(rows)
    assert main(["replay", file]) == 1
    printed = capsys.readouterr().out
    assert f"register reads that differ:\n{file}:6: after 0.000012 s, vCPU 0: " in printed
    assert "recorded: V 0x7\n  here:     V 0x1000000" in printed


def test_a_vector_that_nothing_explains_ends_with_1(place, capsys):
    file = place([*ROWS, [None, [["T", 0, 0x77]], 0, 60]])
    assert main(["replay", file]) == 1
    assert f"vectors taken that nothing explains:\n{file}:{len(ROWS) + 1}: after 0.000060 s, vCPU 0: 0x77" in (
        capsys.readouterr().out)


def test_the_checker_is_asked(place, capsys):
    rows = copy.deepcopy(ROWS)
    rows[14][0][2] |= 1 << 3
    assert main(["replay", "--check", place(rows)]) in (0, 1)
    assert "the checker: " in capsys.readouterr().out


def test_another_profile_may_be_named(place, capsys):
    main(["replay", "--profile", "spec", place(ROWS)])
    assert "under spec" in capsys.readouterr().out


def test_a_bad_file_ends_with_2_and_its_line(place, capsys):
    file = place([*ROWS, "[1"])
    assert main(["replay", file]) == 2
    assert f"{file}:{len(ROWS) + 1}:" in capsys.readouterr().err


def test_runs_and_cases_together(place, tmp_path, capsys):
    assert main(["replay", "--profile", "qemu-10", place(ROWS), str(GOLDEN / "eimoff.jsonl.gz")]) == 0
    printed = capsys.readouterr().out
    assert "messages sent on" in printed and "57 passed, 0 failed" in printed
