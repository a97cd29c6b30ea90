"""The same seed gives the same bytes on every Python: a boot, a storm, a link, rows of a sweep, recorded cases."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.places import ROOT

DIGEST = """
import hashlib, json
from vsim import Guest, History, build, lspci, xl
from vsim.history import link
from vsim.replay.compare import load, play
from vsim.scale.cell import cell
from vsim.scale.grid import Grid
from vsim.state.profile import profile
from vsim.state.commands import Burst

found = hashlib.sha256()
built = build(xl.load("notebooks/data/small.cfg"), lspci.load("notebooks/data/big.lspci"))
history = History(built.machine)
Guest(history.issue, built.platform).boot()
for seed in range(5):
    events = history.issue(Burst(seed, 200, 1))
    found.update(repr([tuple(map(int, event)) for event in events]).encode())
found.update(history.machine.save().encode())
made = link.text(link.Link(history.first.copy(), (("boot", "physical"), ("storm", 10, 20, 3)), 9, 9, "", {}))
found.update(json.dumps(link.parse(made).deeds).encode())
for case in list(load("tests/golden/main.jsonl.gz"))[:200]:
    found.update(repr(play(case, profile("spec"))).encode())
grid = Grid({"vcpus": (3, 130), "mode": ("run", "storm")})
found.update(json.dumps([cell(values) for values in grid.cells()]).encode())
print(found.hexdigest())
"""


def version(command: str) -> str:
    """Which Python a command is, "" when it is none that runs."""
    try:
        done = subprocess.run([command, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True,
                              text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def interpreter(wanted: str) -> str:
    """A Python of that version: on the path, or among pyenv's; "" where there is none."""
    places = [shutil.which(f"python{wanted}") or "", *map(str, sorted(Path(
        os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{wanted}.*/bin/python")))]
    return next((each for each in places if each and version(each) == wanted), "")


def digest(python: str) -> str:
    done = subprocess.run([python, "-c", DIGEST], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.stderr == ""
    return done.stdout.strip()


@cache
def own() -> str:
    return digest(sys.executable)


def test_the_digest_depends_on_nothing_but_the_seed():
    assert len(own()) == 64
    assert own() == digest(sys.executable)


@pytest.mark.parametrize("wanted", ["3.11", "3.12", "3.13", "3.14"])
def test_another_python_gives_the_same_bytes(wanted):
    other = interpreter(wanted)
    if not other:
        pytest.skip(f"no Python {wanted} here")
    assert digest(other) == own()
