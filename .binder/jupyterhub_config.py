"""A hub for a class on one machine: each attendee a server, a folder and a name of their own.

    python -m pip install "jupyterhub>=5" -e .          # in an environment that the class uses
    npm install -g configurable-http-proxy
    VSIM_CLASS_PASSWORD=... jupyterhub -f .binder/jupyterhub_config.py

Everybody enters with a name and the class's password. The servers run under the account that runs the hub, so attendees
are kept apart by good will, as with `vsim lab --shared`; but each has a server of their own, a name for the receipts,
and can be told apart and stopped. For strangers give each an account: `PAMAuthenticator` and the spawner that
JupyterHub has by default, or The Littlest JupyterHub, which does that and limits memory too.
"""

import os
from pathlib import Path

from jupyterhub.spawner import SimpleLocalProcessSpawner

from widgets.lab.command import AT_ONCE, copy_missing

c = get_config()  # noqa: F821 - JupyterHub gives it
here = Path(__file__).resolve().parent.parent
classroom = Path(os.environ.get("VSIM_CLASS_FOLDER", "vsim-class")).resolve()
classroom.mkdir(parents=True, exist_ok=True)


class Seat(SimpleLocalProcessSpawner):
    """A server in a folder of the attendee's, which holds a copy of the notebooks; what is there already stays."""

    home_dir_template = str(classroom / "{username}")

    async def start(self):
        """Copy what is missing, then start the server."""
        for _ in copy_missing(here / "notebooks", classroom / self.user.name):
            pass
        return await super().start()

    def get_env(self):
        """The attendee's name too, from which the exercises draw their numbers."""
        return {**super().get_env(), "VSIM_STUDENT": self.user.name}


c.JupyterHub.spawner_class = Seat
c.JupyterHub.authenticator_class = "jupyterhub.auth.DummyAuthenticator"
c.DummyAuthenticator.password = os.environ["VSIM_CLASS_PASSWORD"]
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = r"[a-z0-9][a-z0-9_-]{0,31}"
c.JupyterHub.bind_url = os.environ.get("VSIM_CLASS_ADDRESS", "http://127.0.0.1:8000")
c.JupyterHub.concurrent_spawn_limit = 20
c.Spawner.cmd = ["jupyterhub-singleuser"]
c.Spawner.args = [*map("=".join, AT_ONCE.items()),
                  *(["--allow-root"] if os.geteuid() == 0 else [])]    # in a container root is the only user there is
c.Spawner.default_url = "/lab/tree/00_one_interrupt.ipynb"
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300
