"""One server for a class (`vsim lab --shared`): each browser gets a copy of the notebooks, and so kernels, of its own.

A Jupyter server extension with one address, `/shared`: who has the token is given the next free folder, and a signed
cookie by which the browser finds it again. JupyterLab starts a kernel for each notebook's path, so two folders never
share one, and their layouts are workspaces of their own. It is one account of one computer all the same: whoever has
the token can read and run everything there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from widgets.lab import command

COOKIE = "vsim-seat"
SEATS = 500
"""Most folders that one server gives out."""


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    place = url_path_join(server.web_app.settings["base_url"], command.SHARED)
    server.web_app.add_handlers(".*$", [(place, Door, {"folder": Path(server.root_dir)})])


class Door(JupyterHandler):
    """Sends a browser to its folder. Status 503 when all seats are taken."""

    def initialize(self, folder: Path) -> None:
        """folder: the class's, where the seats are."""
        self.folder = folder

    @web.authenticated
    def get(self) -> None:
        """The seat of the cookie, or the next free one."""
        known = (self.get_signed_cookie(COOKIE) or b"").decode()
        seat = known if known and (self.folder / known).is_dir() else self._next()
        for _ in command.copy_missing(command.lessons(), self.folder / seat):
            pass    # what differs is this student's work
        self.set_signed_cookie(COOKIE, seat, path=self.base_url)
        self.redirect(url_path_join(self.base_url, "lab", "workspaces", seat, "tree", seat, command.FIRST))

    def _next(self) -> str:
        for number in range(1, SEATS + 1):
            seat = f"seat-{number:03}"
            try:
                (self.folder / seat).mkdir()
            except FileExistsError:
                continue
            return seat
        raise web.HTTPError(503, f"all {SEATS} seats of this class are taken")
