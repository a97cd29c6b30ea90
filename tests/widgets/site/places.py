"""A site built from the registries, a server for it that is this process's own, and pages that tell what they asked."""

import shutil
from argparse import Namespace
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from vsim.cli.main import Unavailable
from widgets.site import command, gather, needs

PATIENCE = 300
"""Seconds that anything may take before it counts as failed: every wait is for a condition."""


def built(folder, bench):
    """A site in a folder, or a test that is skipped by name where nothing can be fetched."""
    if shutil.which("npm") is None:
        pytest.skip("no npm, which fetches the browser's Python")
    try:
        gather.run([shutil.which("npm"), "view", needs.RUNTIME, "version"])
    except Unavailable:
        pytest.skip("npm reaches no registry")
    assert command.site(Namespace(folder=folder, bench=bench)) == 0
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing of it."""

    def log_message(self, *_):
        pass


@contextmanager
def served(folder):
    """The address of a folder on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


class Visit:
    """A page at an address of a site. asked: hosts of all its requests; wrong: what it complained of."""

    def __init__(self, browser, address, **wanted):
        self.asked, self.wrong = set(), []
        context = browser.new_context(viewport={"width": 1440, "height": 900},
                                      permissions=["clipboard-read", "clipboard-write"], **wanted)
        context.on("request", lambda request: self.asked.add(urlsplit(request.url.removeprefix("blob:")).netloc))
        self.page = context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.on("pageerror", lambda error: self.wrong.append(error.message))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.goto(address)

    def close(self):
        self.page.context.close()

