"""A sweep on a Dask cluster of this computer: a scheduler and two workers, of which one is killed in mid-run."""

import json
import os
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec

import pytest

from tests.places import ROOT
from vsim.cli.main import main

pytestmark = pytest.mark.skipif(find_spec("distributed") is None, reason="distributed (extra cluster) is not installed")
SPEC = "seed = 3\n[fixed]\nvcpus = 48\n[axes]\nrepeat = {}\nviommu = [true, false]\n"


def started(*words):
    """A part of the cluster, in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)


def ended(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def cluster(tmp_path):
    """(address, workers): loopback alone, no dashboard."""
    file = tmp_path / "scheduler.json"
    running = [started("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                       "--scheduler-file", str(file))]
    try:
        until(lambda: file.exists() and file.read_text().endswith("}"), running[0])
        address = json.loads(file.read_text())["address"]
        assert address.startswith("tcp://127.0.0.1:")
        running += [started("distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--no-dashboard",
                            "--nthreads", "1", "--nworkers", "1", "--local-directory", str(tmp_path / str(n)))
                    for n in range(2)]
        yield address, running[1:]
    finally:
        for process in reversed(running):
            ended(process)


def until(there, process):
    """Wait for a condition; a process that ends before it is a failure."""
    while not there():
        assert process.poll() is None, "a part of the cluster ended"
        threading.Event().wait(0.05)


def rows(path):
    return path.read_text().count("\n") - 1 if path.exists() else 0


def test_a_worker_that_is_killed_loses_nothing_and_nothing_is_done_twice(tmp_path, cluster):
    address, workers = cluster
    (tmp_path / "s.toml").write_text(SPEC.format(list(range(30))))
    command = ["vsim", "sweep", str(tmp_path / "s.toml"), "--dask", address, "-o", str(tmp_path / "cluster.csv")]
    running = started(*command)
    try:
        until(lambda: rows(tmp_path / "cluster.csv") >= 4, running)
        ended(workers[0])
        assert running.wait() == 0
    finally:
        ended(running)
    assert main(["sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "here.csv"), "--workers", "1"]) == 0
    assert (tmp_path / "cluster.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    assert rows(tmp_path / "here.csv") == 60


def test_an_address_where_no_scheduler_can_be_is_told(tmp_path, capsys):
    (tmp_path / "s.toml").write_text(SPEC.format([0]))
    out = str(tmp_path / "o.csv")
    done = subprocess.run([sys.executable, "-m", "vsim", "sweep", str(tmp_path / "s.toml"), "-o", out, "--dask",
                           "nowhere://here"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no Dask scheduler answers at nowhere://here" in done.stderr
