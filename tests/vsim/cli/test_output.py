"""What the command writes: escaped, and one line and status 2 for what cannot be written."""

import io
import json
import os
import subprocess
import sys

import pytest

from tests.places import GOLDEN
from vsim.cli.output import Output, OutputError
from vsim.readers.source import plain

EVIL = "a\x1b[2J\x07\u202eb\ud800c\x9bd\re"
TAME = "a\\x1b[2J\\x07\\u202eb\\ud800c\\x9bd\\x0de"


def vsim(*arguments, out=subprocess.PIPE, **environment):
    """The command as people run it: (status, output, errors)."""
    done = subprocess.run([sys.executable, "-m", "vsim", *arguments], stdout=out, stderr=subprocess.PIPE, timeout=120,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr.decode("latin-1")


def case_file(folder, name="f.jsonl", **fields):
    """A file with a case that differs, and names that others chose."""
    head = {"cap": "0xd2008c222f0606", "ecap": "0xf00f5a", "ram": 64 << 20}
    row = {"id": EVIL, "k": EVIL, "s": [["r4", 0]], "o": [EVIL], "end": {}, "dev": {"0": [EVIL]}, **fields}
    place = os.path.join(os.fsencode(folder), os.fsencode(name))
    with open(place, "w") as stream:
        stream.write(json.dumps(head) + "\n" + json.dumps(row) + "\n")
    return place


def test_one_function_escapes_what_others_wrote():
    assert plain(EVIL) == TAME
    assert plain("two\nlines\tand \u00e9, \u4e2d, \U0001f600") == "two\nlines\tand \u00e9, \u4e2d, \U0001f600"


@pytest.mark.parametrize("code", range(0x100))
def test_no_control_character_is_left(code):
    kept = plain(chr(code)) == chr(code)
    assert kept == (chr(code).isprintable() or chr(code) in "\n\t\xa0\xad")


def test_names_and_marks_of_a_case_do_not_reach_the_terminal(tmp_path):
    status, out, err = vsim("replay", "-v", case_file(tmp_path))
    assert (status, err) == (1, "") and not set(out) & {0x1B, 0x07, 0x0D, 0x9B}
    assert out.decode().count("a\\x1b[2J") >= 3


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"},
                                         {"PYTHONIOENCODING": "utf-8"}], ids=str)
def test_a_terminal_that_cannot_write_a_name_gets_escapes(tmp_path, environment):
    place = case_file(tmp_path, id="\u4e2d\ud800", k="\u00e9\udfff")
    status, out, err = vsim("replay", "-v", place, **environment)
    assert (status, err) == (1, "") and b"\\udfff" in out


def test_a_file_name_that_is_not_utf8_is_told(tmp_path):
    status, out, err = vsim("replay", os.path.join(os.fsencode(tmp_path), b"no\xff\x1bfile"))
    assert (status, out) == (2, b"")
    assert "no\\udcff\\x1bfile:1:1: cannot be read" in err and err.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("--help",), ("replay", GOLDEN / "eimoff.jsonl.gz"),
                                       ("decode", "msi 0xfee00474 0")], ids=str)
def test_a_full_output_is_one_line_and_status_2(arguments, unbuffered):
    with open("/dev/full", "wb") as full:
        status, _, err = vsim(*arguments, out=full, PYTHONUNBUFFERED=unbuffered)
    assert (status, err) == (2, "vsim: the output cannot be written: No space left on device\n")


@pytest.mark.skipif(os.name != "posix", reason="a shell that closes streams")
@pytest.mark.parametrize("closed, arguments, status, says", [
    (">&-", ["decode", "msi", "0xfee00474", "0"], 2, "vsim: the output cannot be written: Bad file descriptor\n"),
    (">&-", ["--help"], 2, "vsim: the output cannot be written: Bad file descriptor\n"),
    (">&-", ["replay", "none"], 2, "none:1:1: cannot be read: No such file or directory\n"),
    ("2>&-", ["replay", "none"], 2, ""), ("2>&-", ["dance"], 2, ""), (">&- 2>&-", ["--help"], 2, ""),
    ("2>&-", ["--version"], 0, "")], ids=str)
def test_a_stream_that_was_closed_is_no_traceback(closed, arguments, status, says):
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-m", "vsim", *arguments],
                          capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (status, says)


def test_progress_may_rewrite_its_line_and_nothing_else_may():
    for progress, wanted in ((True, "\r3 of 5\\x1b[2J\x1b[K"), (False, "\\x0d3 of 5\\x1b[2J\\x1b[K")):
        stream = io.StringIO()
        Output(stream, progress).write("\r3 of 5\x1b[2J\x1b[K")
        assert stream.getvalue() == wanted


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("I/O operation on closed file")])
@pytest.mark.parametrize("name", ["write", "flush"])
def test_an_error_of_the_stream_is_one_of_the_output(error, name):
    class Broken(io.StringIO):
        def fail(self, *_):
            raise error
    stream = Broken()
    setattr(stream, name, stream.fail)
    output = Output(stream, False)
    with pytest.raises(OutputError, match="the output cannot be written: I"):
        output.write("x") if name == "write" else output.flush()
