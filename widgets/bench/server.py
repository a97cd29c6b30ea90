"""A JupyterLab server of its own on loopback, the kernel of a notebook on it, and the notebook's page in Chromium.

Configuration, settings, workspaces and kernels lie in a folder of the caller's, port and token are random, and whatever
was started is ended, also when something fails on the way.
"""

from __future__ import annotations

import ast
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient

from widgets.lab.command import AT_ONCE
from widgets.lab.opened import KERNEL

PACKAGES = Path(__file__).resolve().parents[2]
"""Where `vsim` and `widgets` are found: the kernels shall run these, installed or not."""
START, ANSWER, CELL = 300.0, 300.0, 300.0
"""Seconds that a server may take to answer, a kernel to evaluate, and a cell to run: on a busy computer, too."""
PATIENT = "const own = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = (ms) => own(150 * ms);"
"""For a page, before anything else: anywidget (0.11) gives up a picture whose script has not begun within two seconds,
and then nothing that the kernel says reaches it."""
_FOLDERS = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython"}

# The notebook in front: its kernel is connected and idle.
_READY = """() => { const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle"; }"""
# Makes one cell active and runs it.
_RUN = """(place) => { const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = place; content.deselectAll();
  return window.jupyterapp.commands.execute("notebook:run-cell").then(() => null); }"""
# Replaces what a cell says, and nothing is left of what was put out.
_WRITE = """([place, source]) => { const { content } = window.jupyterapp.shell.currentWidget;
  content.model.sharedModel.cells[place].setSource(source);
  return window.jupyterapp.commands.execute("notebook:clear-all-cell-outputs").then(() => null); }"""
_FAILED = """(place) => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells[place].toJSON().outputs
  .filter((each) => each.output_type === "error").map((each) => `${each.ename}: ${each.evalue}`).join("; ")"""


class Server:
    """A server while the `with` block runs. folder: for its own files; root: where the notebooks are."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.port, self.token = _free_port(), secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        for name in _FOLDERS.values():
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(self._command(), cwd=self.root, env=self._environment(), stdout=log,
                                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End its kernels, then the server."""
        if self._process is None:
            return
        try:
            for each in self.ask("/api/sessions"):
                self.ask(f"/api/sessions/{each['id']}", "DELETE")
        except (OSError, ValueError):
            pass  # a server that does not answer is ended all the same, and its kernels with it
        self._process.terminate()
        try:
            self._process.wait(ANSWER)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _command(self) -> list[str]:
        root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        return [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--ServerApp.port={self.port}",
                "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.root}",
                "--LabApp.expose_app_in_browser=True", *map("=".join, AT_ONCE.items()), *root]

    def _environment(self) -> dict[str, str]:
        own = {key: str(self.folder / name) for key, name in _FOLDERS.items()}
        path = os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")]))
        return {**os.environ, **own, "PYTHONPATH": path, "JUPYTER_TOKEN": self.token}

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"JupyterLab ended:\n{self.log()}")
            try:
                self.ask("/api/status")
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not answer within {START:g} s:\n{self.log()}")

    def log(self) -> str:
        """The end of what the server has said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def url(self, place: str) -> str:
        """An address on it, with the token."""
        return f"http://127.0.0.1:{self.port}{place}{'&' if '?' in place else '?'}token={self.token}"

    def ask(self, place: str, method: str = "GET") -> Any:
        """The answer of its interface. OSError when there is none."""
        with urllib.request.urlopen(urllib.request.Request(self.url(place), method=method), timeout=ANSWER) as answer:
            return json.loads(answer.read() or b"null")

    def connection(self, notebook: str) -> Path:
        """The connection file of a notebook's kernel."""
        (found,) = (each for each in self.ask("/api/sessions") if each["path"] == notebook)
        return self.folder / "runtime" / f"kernel-{found['kernel']['id']}.json"


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


class Notebook:
    """A notebook of these code cells, open in a page of its own. page: Playwright's."""

    def __init__(self, server: Server, browser: Any, name: str, cells: Sequence[str]) -> None:
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
        book.metadata["kernelspec"] = KERNEL
        nbformat.write(book, server.root / name)
        self.received = 0
        self.page = browser.new_page(viewport={"width": 1400, "height": 1600})
        self.page.set_default_timeout(1000 * CELL)
        self.page.add_init_script(PATIENT)
        self.page.on("websocket", self._opened)
        self.page.goto(server.url(f"/doc/tree/{name}?reset"))
        self.page.wait_for_function(_READY)
        self._kernel = BlockingKernelClient()
        self._kernel.load_connection_file(str(server.connection(name)))
        self._kernel.start_channels()
        self._kernel.wait_for_ready(timeout=ANSWER)

    def __enter__(self) -> Notebook:
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.stop_channels()
        self.page.close()

    def _opened(self, socket: Any) -> None:
        """Count what comes through the kernel's channel: `received` bytes until now."""
        if "/channels" in socket.url:
            socket.on("framereceived", self._count)

    def _count(self, frame: str | bytes) -> None:
        self.received += len(frame.encode() if isinstance(frame, str) else frame)

    def write(self, place: int, source: str) -> None:
        """Another text for a cell; the outputs of all are cleared."""
        self.page.evaluate(_WRITE, [place, source])

    def run(self, place: int) -> None:
        """Run a cell and wait for its end. RuntimeError with what it raised."""
        self.page.evaluate(_RUN, place)
        self.page.wait_for_function(_READY)
        failed = self.page.evaluate(_FAILED, place)
        if failed:
            raise RuntimeError(f"cell {place} of the notebook failed: {failed}")

    def ask(self, expression: str) -> Any:
        """The value of an expression in the kernel, as JSON has it. RuntimeError with what it raised."""
        try:
            reply = self._kernel.execute("", silent=True, reply=True, timeout=ANSWER,
                                         user_expressions={"it": f"__import__('json').dumps({expression})"})
        except TimeoutError as error:
            raise RuntimeError(f"the kernel did not answer {expression!r} within {ANSWER:g} s") from error
        found = reply["content"]["user_expressions"]["it"]
        if found["status"] != "ok":
            raise RuntimeError(f"{expression}: {found.get('ename')}: {found.get('evalue')}")
        return json.loads(ast.literal_eval(found["data"]["text/plain"]))
