"""The command line: what is found, what is refused, and with which status it ends."""

import os
import re
import subprocess
import sys
import tomllib
from argparse import ArgumentTypeError
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.places import ROOT
from vsim import __version__
from vsim.cli import main as cli
from vsim.cli import values

# A command that writes more than a pipe holds.
TALKATIVE = """
import sys
from vsim.cli import main as cli
cli.run = lambda argv: print("x" * 1_000_000) or 0
sys.exit(cli.main([]))
"""


# Ctrl-C while a module is looked for that the command needs in order to begin.
STOPPED = """
import os, runpy, signal, sys
class Stop:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stop())
sys.argv[1:] = ["decode", "--version"]
{start}
"""
STARTS = {"command": "from {home} import {name}; sys.exit({name}())",
          "module": "runpy.run_module('vsim', run_name='__main__', alter_sys=True)"}


class Mistake(ValueError):
    """As the readers of files raise it."""

    def __init__(self, file, line, column, message):
        super().__init__(f"{file}:{line}:{column}: {message}")
        self.file, self.line, self.column = file, line, column


@pytest.fixture
def command(monkeypatch):
    """Makes `vsim probe` run a function of the arguments, found as any other package's command is."""

    def install(func, **defaults):
        def register(parser):
            """try something"""
            parser.add_argument("--size", type=int)
            parser.set_defaults(func=func, **defaults)

        entry = EntryPoint("probe", "somewhere:register", cli.ENTRY_POINTS)
        monkeypatch.setattr(cli, "entry_points", lambda **_: [entry])
        monkeypatch.setattr(cli, "loaded", lambda _: register)

    return install


def raising(error):
    def func(args):
        raise error

    return func


def test_a_command_of_another_package_is_found_and_gives_the_exit_status(command):
    command(lambda args: args.size)
    assert cli.main(["probe", "--size", "7"]) == 7


def test_the_help_shows_what_a_command_says_of_itself(command, capsys):
    command(lambda args: 0)
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    assert "try something" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error, text",
    [
        (Mistake("a.cfg", 3, 7, "found 'x'"), "a.cfg:3:7: found 'x'\n"),
        (FileNotFoundError(2, "No such file or directory", "a.cfg"),
         "vsim: a.cfg: No such file or directory\n"),
        (values.Misused("probe: --a goes with --b"), "vsim: probe: --a goes with --b\n"),
    ],
)
def test_bad_input_is_said_in_one_line_and_ends_with_status_2(command, capsys, error, text):
    command(raising(error))
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr() == ("", text)


@pytest.mark.parametrize("error", [ValueError("vector 999: 8 bits"), OSError("disk on fire"), KeyError("x")])
def test_a_defect_keeps_its_traceback(command, error):
    command(raising(error))
    with pytest.raises(type(error)):
        cli.main(["probe"])


@pytest.mark.parametrize("error, status", [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_an_interruption_ends_quietly(command, capfd, monkeypatch, error, status):
    monkeypatch.setattr(cli, "silence", lambda stream: None)
    command(raising(error))
    assert cli.main(["probe"]) == status
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="os.kill with SIGINT ends the process there")
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("module", ["vsim.cli.main", "argparse", "importlib.metadata", "vsim.readers.source",
                                    "vsim.cli.decode"])
def test_ctrl_c_while_the_command_is_loaded_is_a_status_and_no_traceback(start, module):
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["vsim"]
    home, name = script.split(":")
    code = STOPPED.format(module=module, start=STARTS[start].format(home=home, name=name))
    ended = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
                           capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize("argv, said", [
    (["probe", "--colour"], "vsim probe: unrecognized arguments: --colour; see vsim probe --help\n"),
    (["probe", "--c\x1b[1m\u202e"],
     "vsim probe: unrecognized arguments: --c\\x1b[1m\\u202e; see vsim probe --help\n"),
    (["probe", "--size"], "vsim probe: argument --size: expected one argument; see vsim probe --help\n"),
    ([], "vsim: the following arguments are required: COMMAND; see vsim --help\n")])
def test_a_word_that_cannot_be_taken_is_one_line(command, capsys, argv, said):
    command(lambda args: 0)
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("read, text, found", [
    (values.count(1, 8), "8", 8), (values.count(1, 8), "0", "found '0'; allowed: a whole number from 1 to 8"),
    (values.count(1, 8), "9" * 5000, f"found '{'9' * 37}...'; allowed: a whole number from 1 to 8"),
    (values.count(1, 8), "1.5", "found '1.5'; allowed: a whole number from 1 to 8"),
    (values.number(0.5, 3), "1.5", 1.5),
    (values.number(0.5, 3), "nan", "found 'nan'; allowed: a number from 0.5 to 3"),
    (values.number(0.5, 3), "", "found ''; allowed: a number from 0.5 to 3"),
    (values.name, "", "an empty name; allowed: a file or folder"), (values.place, "a", Path("a"))])
def test_a_number_of_a_range_is_taken_or_said_to_be_none(read, text, found):
    if not isinstance(found, str):
        assert read(text) == found
    else:
        with pytest.raises(ArgumentTypeError) as refused:
            read(text)
        assert str(refused.value) == found


@pytest.mark.parametrize("argv", [
    ["run", ""], ["run", "a.cfg", "--lspci", ""], ["size", "a.cfg", "--lspci", ""], ["replay", ""], ["read", ""],
    ["diff", "", "b"],
    ["size", "a.cfg", "--vcpus", "0"], ["size", "a.cfg", "--vcpus", "4097"], ["size", "a.cfg", "--queues", "-1"],
    ["size", "a.cfg", "--rate", "-5"], ["size", "a.cfg", "--batch", "-1"], ["size", "a.cfg", "--set", "vectors"],
    ["race", "--workers", "0"], ["race", "--workers", "1025"], ["sweep", "a.toml", "-o", ""],
    ["bench", "--effort", "x"],
    ["report", ""], ["receipts", ""], ["lab", "--port", "65536"], ["lab", "--port=-1"]], ids=" ".join)
def test_what_makes_no_sense_is_refused_before_anything_is_read(capsys, argv):
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(rf"vsim {argv[0]}: argument .+; see vsim {argv[0]} --help\n", err)


def test_a_command_that_asks_for_the_rest_gets_unknown_options_in_order(command):
    seen = []
    command(lambda args: seen.append(args.rest) or 0, rest=[])
    assert cli.main(["probe", "--a=1", "--size", "7", "--b", "2"]) == 0
    assert seen == [["--a=1", "--b", "2"]]


@pytest.mark.parametrize("argv", [[], ["dance"], ["--colour"]])
def test_bad_usage_ends_with_status_2(argv):
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)


def test_a_command_whose_module_is_missing_is_said_to_be_unavailable(monkeypatch, capsys):
    monkeypatch.setitem(cli.BUILT_IN, "fly", cli.BuiltIn("vsim.wings", "not yet"))
    assert cli.main(["fly"]) == 2
    assert capsys.readouterr().err == "vsim: not available in this installation: vsim.wings\n"


def test_a_broken_package_does_not_take_the_help_away(monkeypatch, capsys):
    entry = EntryPoint("probe", "no_such_package:register", cli.ENTRY_POINTS)
    monkeypatch.setattr(cli, "entry_points", lambda **_: [entry])
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    assert "not available in this installation" in " ".join(capsys.readouterr().out.split())


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "vsim", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"vsim {__version__}\n")


def test_a_reader_that_goes_away_is_no_error():
    """The pipe's end is closed before anything is written, as `| head` closes it."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", TALKATIVE], cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == cli.PIPE_CLOSED
