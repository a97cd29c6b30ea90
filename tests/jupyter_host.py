"""A real JupyterLab on loopback, a notebook open in Chromium, and the kernel behind it asked directly; for tests."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
from jupyter_client import BlockingKernelClient

from tests.places import ROOT
from widgets.bench.server import PATIENT
from widgets.lab.command import AT_ONCE

SHIPPED = ROOT / "widgets" / "share" / "jupyter" / "lab" / "settings" / "overrides.d" / "vsim.json"
PATIENCE = 300
"""Seconds that anything may take before it counts as failed: every wait is for a condition, this only bounds it."""

# The notebook in front: its kernel is connected and idle, and no cell waits.
_READY = """() => { const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle"; }"""
_ERRORS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.flatMap((cell) =>
  cell.cell_type === "code" ? cell.toJSON().outputs.filter((each) => each.output_type === "error" ||
    each.name === "stderr").map((each) => each.evalue ?? [each.text].flat().join("")) : [])"""
_LOADING = """() => [...document.querySelectorAll(".jp-OutputArea-output")].some((each) =>
  each.textContent.includes("Loading widget"))"""
_NOT_SHOWN = """() => [...document.querySelectorAll(".jp-OutputArea-output")].map((each) => each.textContent)
  .filter((text) => /Error displaying widget|model not found/.test(text))"""

# Chromium's or JupyterLab's own complaints, which say nothing about ours.
NOISE = ("favicon", "Canvas2D: Multiple readback", "ResizeObserver loop", "Failed to load resource", "sourcemap",
         "passive event listener", "deprecated")


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


class Server:
    """A Jupyter server with settings, workspaces and kernels of its own. app: "jupyterlab" or "notebook"."""

    def __init__(self, folder, notebooks, app="jupyterlab"):
        self.folder, self.root, self.app = Path(folder), Path(notebooks), app
        self.port, self.token = free_port(), secrets.token_hex(8)
        self.runtime = self.folder / "runtime"
        environment = self._environment()
        self._settle()
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(self._command(), cwd=self.root, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        self._wait()

    def _command(self):
        module = {"jupyterlab": "jupyterlab", "notebook": "notebook"}[self.app]
        return [sys.executable, "-m", module, "--no-browser", "--ip=127.0.0.1", f"--ServerApp.port={self.port}",
                "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
                f"--ServerApp.root_dir={self.root}", "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True", *map("=".join, AT_ONCE.items()),
                *(["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else [])]

    def _environment(self):
        own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
               "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
               "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
        for name in own.values():
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {**os.environ, **{key: str(self.folder / name) for key, name in own.items()}, "PYTHONPATH": path}

    def _settle(self):
        """The front-end defaults that the wheel ships, as if it were installed here."""
        for plugin, values in json.loads(SHIPPED.read_text()).items():
            package, _, name = plugin.partition(":")
            place = self.folder / "settings" / package / f"{name}.jupyterlab-settings"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(values))

    def _wait(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log()[-2000:]}")
            try:
                self.ask("/api/status")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the server did not answer in {PATIENCE} s:\n{self.log()[-2000:]}")

    def log(self):
        return (self.folder / "log").read_text()

    def url(self, place):
        return f"http://127.0.0.1:{self.port}{place}{'&' if '?' in place else '?'}token={self.token}"

    def ask(self, place, method="GET"):
        with urllib.request.urlopen(urllib.request.Request(self.url(place), method=method), timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Session:
    """One notebook in one page, and its kernel. `page` is Playwright's; `ask` evaluates in the kernel."""

    def __init__(self, server, browser, name, width=1400, dark=False):
        self.server, self.name, self.wrong = server, name, []
        self.page = browser.new_page(viewport={"width": width, "height": 1000})
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.add_init_script(PATIENT)
        self.page.on("pageerror", lambda error: self.wrong.append(f"{error.name}: {error.message} {error.stack}"))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" and not any(
            each in said.text for each in NOISE) else None)
        self.page.goto(server.url(f"/doc/tree/{name}?reset"))
        self._opened()
        if dark:
            self.command("apputils:change-theme", theme="JupyterLab Dark")
        self.client = self._connect()

    def _opened(self):
        self.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext")
        self.page.wait_for_function(_READY)

    def _connect(self):
        sessions = [each for each in self.server.ask("/api/sessions") if each["path"] == self.name]
        client = BlockingKernelClient()
        client.load_connection_file(self.server.runtime / f"kernel-{sessions[0]['kernel']['id']}.json")
        client.start_channels()
        client.wait_for_ready(timeout=PATIENCE)
        return client

    def command(self, name, **arguments):
        return self.page.evaluate("([name, given]) => window.jupyterapp.commands.execute(name, given).then(() => null)",
                                  [name, arguments])

    def run(self):
        """Run all cells; errors and warnings that they show."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(_READY)
        self.page.wait_for_function(f"() => !({_LOADING})()")
        return self.page.evaluate(_ERRORS) + self.page.evaluate(_NOT_SHOWN)

    def reload(self):
        """As a reader does it who has saved: the kernel goes on."""
        self.command("docmanager:save")
        self.page.goto(self.server.url(f"/doc/tree/{self.name}"))
        self._opened()

    def ask(self, expression):
        """The value of a Python expression in the kernel: a literal."""
        reply = self.client.execute("", silent=True, user_expressions={"it": f"__import__('json').dumps({expression})"},
                                    reply=True, timeout=PATIENCE)
        found = reply["content"]["user_expressions"]["it"]
        if found["status"] != "ok":
            raise AssertionError(f"{expression}: {found.get('ename')}: {found.get('evalue')}")
        return json.loads(found["data"]["text/plain"][1:-1].encode().decode("unicode_escape"))

    def do(self, code):
        """Run a statement in the kernel, as a cell would."""
        reply = self.client.execute(code, reply=True, timeout=PATIENCE)
        assert reply["content"]["status"] == "ok", reply["content"].get("evalue")

    def until(self, expression):
        """Wait until a Python expression in the kernel is true; its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.ask(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            self.page.wait_for_timeout(50)
        return value

    def close(self):
        self.client.stop_channels()
        self.page.close()
        for each in self.server.ask("/api/sessions"):
            if each["path"] == self.name:
                self.server.ask(f"/api/sessions/{each['id']}", "DELETE")


@contextmanager
def opened(server, browser, name, **wanted):
    """A session that is shut in the end, when nothing may have gone wrong in its page."""
    session = Session(server, browser, name, **wanted)
    try:
        yield session
    finally:
        session.close()
    assert session.wrong == [], session.wrong


def notebook(folder, name, *cells):
    """Write a notebook of code cells."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(book, Path(folder, name))
    return name


def lessons(folder):
    """A copy of the notebooks with their data."""
    return Path(shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".*")))
