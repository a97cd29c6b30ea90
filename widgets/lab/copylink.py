"""The button "copy link": the exact state as an address of the plain page, and as one line of Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from widgets.lab.lab import Lab

PAGE = "VSIM_PAGE"
"""Environment variable with the address of a `bench.html` that `vsim site` made; the page itself, and JupyterLite
beside it, know theirs."""
CSS = """
.vsim-copylink{position:static;margin:0;overflow:visible}
.vsim-linked{position:absolute;top:100%;z-index:4;width:min(440px,94cqw);box-sizing:border-box;padding:4px 8px;
 background:var(--vsim-background);border:1px solid var(--vsim-muted);border-radius:var(--vsim-radius)}
.vsim-linked:not([hidden]){display:grid;grid-template-columns:1fr auto;gap:2px 6px;align-items:end}
.vsim-linked>p{grid-column:1/-1}
.vsim-linked label{color:var(--vsim-muted)}
.vsim-linked input{display:block;box-sizing:border-box;width:100%;padding:3px 5px;font:12px ui-monospace,monospace;
 color:var(--vsim-text);background:var(--vsim-panel);border:1px solid var(--vsim-slot)}
"""


def line(link: str) -> str:
    """One line of Python that opens a link in a notebook."""
    return f'from widgets.lab import Lab; lab = Lab.from_link("{link}"); lab'


class CopyLink(anywidget.AnyWidget):
    """The button of one Lab; the link is made when it is pressed."""

    _esm = Path(__file__).resolve().with_name("copylink.js").read_text(encoding="utf-8")
    _css = CSS
    page = t.Unicode(help="address of the plain page, \"\" where none is known").tag(sync=True)

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        super().__init__(page=os.environ.get(PAGE, ""))
        self.add_class("vsim-copylink")
        self.on_msg(self._asked)

    def _asked(self, _: Any, content: Any, buffers: Any) -> None:
        """The button was pressed: the state as it is now, or why it is no link."""
        del buffers
        if not isinstance(content, dict) or content.get("kind") != "ask":
            return
        try:
            link = self.lab.link()
        except ValueError as error:
            self.send({"link": "", "line": "", "wrong": str(error)})
        else:
            self.send({"link": link, "line": line(link), "wrong": ""})
