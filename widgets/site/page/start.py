"""The kernel of the plain page, in its worker: comms to the page, and the bench of what its address says.

`ipywidgets` asks IPython for a shell and finds that there is none; so the little that it imports of IPython is put in
its place, which saves the page three megabytes and its reader some seconds.
"""

import sys
from importlib import import_module
from types import ModuleType

import js
from pyodide.ffi import to_js


def stand_in(name: str, **names: object) -> None:
    """A module that has only what is named."""
    made = ModuleType(name)
    made.__dict__.update(names, __path__=[])
    sys.modules[name] = made


stand_in("IPython", get_ipython=lambda: None)
stand_in("IPython.core")
stand_in("IPython.core.interactiveshell", InteractiveShell=type("InteractiveShell", (), {}))
stand_in("IPython.display", display=print, clear_output=print)

import json  # noqa: E402

import comm  # noqa: E402
from comm.base_comm import BaseComm  # noqa: E402


class Comm(BaseComm):
    """A comm whose other end is the page."""

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        """To the page, as Jupyter's protocol has it; bytes go beside the JSON."""
        content = {"data": data or {}, "comm_id": self.comm_id, **keys}
        js.say(msg_type, json.dumps(content), json.dumps(metadata or {}),
               to_js([bytes(each) for each in buffers or ()]))


comm.create_comm = Comm


def heard(text: str, buffers: object) -> None:
    """A message of the page for one of our comms."""
    content = json.loads(text)
    found = comm.get_comm_manager().comms.get(content["comm_id"])
    if found is not None:
        found.handle_msg({"content": content, "buffers": [memoryview(each.to_bytes()) for each in buffers]})


def open_bench(state: str) -> tuple[str, str]:
    """Show the bench of a link's text, or of the example for none: its model's id, or "" and what is wrong."""
    try:
        return shown(state), ""
    except ValueError as error:
        return "", str(error)


def shown(state: str) -> str:
    """The id of a new bench. LinkError as `Lab.from_link`."""
    lab_of = import_module("widgets.lab.lab").Lab
    views = import_module("widgets.lab.views")
    if state:
        lab = lab_of.from_link(state)
    else:
        lab = lab_of.from_config("big.cfg", lspci="big.lspci")
        lab.boot()
    return str(views.build(lab, "bench").model_id)
