"""`vsim lab --shared`: one server for a class, where each browser has files and kernels of its own."""

import asyncio
import json
import sys
from http.cookiejar import CookieJar
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

import pytest

from tests.jupyter_host import PATIENCE, Server
from tests.places import ROOT
from widgets.lab import command


class Class(Server):
    """A server as `vsim lab --shared` starts it."""

    def _command(self):
        return [sys.executable, "-m", "vsim", "lab", "--shared", "--no-browser", "--dir", str(self.root),
                f"--port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    (folder / "seats").mkdir()
    made = Class(folder, folder / "seats")
    yield made
    made.stop()


class Stays(HTTPRedirectHandler):
    """Follows nothing, so that one sees where one was sent."""

    def redirect_request(self, *_):
        return None


class Browser:
    """A browser's cookies."""

    def __init__(self, server):
        self.server, self.jar = server, CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.jar), Stays)

    def sent_to(self, place):
        with pytest.raises(HTTPError) as moved:
            self.opener.open(place, timeout=PATIENCE)
        with moved.value as answer:
            assert answer.code == 302
            return urlsplit(answer.headers["Location"]).path


def test_each_browser_has_a_seat_and_finds_it_again(server):
    first, second = Browser(server), Browser(server)
    for browser, seat in ((first, "seat-001"), (second, "seat-002"), (first, "seat-001")):
        assert browser.sent_to(server.url("/shared")) == f"/lab/workspaces/{seat}/tree/{seat}/{command.FIRST}"
    shipped = {path.name for path in command.lessons().glob("*.ipynb")}
    assert {path.name for path in Path(server.root, "seat-002").glob("*.ipynb")} == shipped


def test_a_students_work_is_kept(server):
    browser = Browser(server)
    seat = Path(server.root, browser.sent_to(server.url("/shared")).split("/")[3])
    (seat / command.FIRST).write_text("mine")
    browser.sent_to(server.url("/shared"))
    assert (seat / command.FIRST).read_text() == "mine"


def test_without_the_token_nobody_gets_a_seat(server):
    before = sorted(server.root.iterdir())
    assert Browser(server).sent_to(f"http://127.0.0.1:{server.port}/shared") == "/login"
    assert sorted(server.root.iterdir()) == before


def test_two_seats_have_two_kernels(server):
    kernels = set()
    for seat in ("seat-001", "seat-002"):
        wanted = {"path": f"{seat}/{command.FIRST}", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        request = Request(server.url("/api/sessions"), json.dumps(wanted).encode(), {"Content-Type": "text/json"})
        with build_opener().open(request, timeout=PATIENCE) as answer:
            kernels.add(json.loads(answer.read())["kernel"]["id"])
    assert len(kernels) == 2


def test_the_hubs_recipe_gives_each_a_folder_and_a_name(monkeypatch, tmp_path):
    """JupyterHub is not needed for that: its place is taken by what the recipe uses of it."""
    class Spawner:
        async def start(self):
            return "started"

        def get_env(self):
            return {"PATH": "/bin"}

    module = ModuleType("jupyterhub.spawner")
    module.SimpleLocalProcessSpawner = Spawner
    monkeypatch.setitem(sys.modules, "jupyterhub", ModuleType("jupyterhub"))
    monkeypatch.setitem(sys.modules, "jupyterhub.spawner", module)
    monkeypatch.setenv("VSIM_CLASS_FOLDER", str(tmp_path / "class"))
    monkeypatch.setenv("VSIM_CLASS_PASSWORD", "a word")
    parts = {name: SimpleNamespace() for name in ("JupyterHub", "Spawner", "Authenticator", "DummyAuthenticator")}
    recipe = ROOT / ".binder" / "jupyterhub_config.py"
    values = {"get_config": lambda: SimpleNamespace(**parts), "__file__": str(recipe)}
    exec(compile(recipe.read_text(), str(recipe), "exec"), values)
    seat = parts["JupyterHub"].spawner_class()
    seat.user = SimpleNamespace(name="ada")
    assert asyncio.run(seat.start()) == "started"
    assert (tmp_path / "class" / "ada" / command.FIRST).is_file()
    assert seat.get_env() == {"PATH": "/bin", "VSIM_STUDENT": "ada"}
    assert parts["DummyAuthenticator"].password == "a word"
    assert parts["JupyterHub"].bind_url == "http://127.0.0.1:8000"
