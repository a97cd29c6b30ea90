"""The notebooks on paper: run, then written as one HTML file each, and as PDF where Chromium is found.

    vsim lab --print handout 00_one_interrupt

Pictures are the stills that every view leaves for readers without a kernel; of an exercise the question stays. A file
loads nothing from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from vsim.history import whole
from widgets.lab.chromium import to_pdf

LIVE = "application/vnd.jupyter.widget-view+json"
STILLS = ("image/svg+xml", "image/png", "text/html")
"""What stands for a view on paper, the best first."""
CONTROL = "(a control, to be used in JupyterLab)"
STYLE = """<style>
@page { size: A4; margin: 14mm 14mm 16mm }
body { max-width: 900px; margin: 0 auto }
.jp-InputPrompt, .jp-OutputPrompt, .jp-OutputArea-prompt { display: none }
.jp-OutputArea-output, .jp-RenderedHTMLCommon { overflow: visible !important }
pre, code { white-space: pre-wrap !important; overflow-wrap: anywhere }
img { max-width: 100%; height: auto }
table, img, pre, blockquote { break-inside: avoid }
h2, h3 { break-after: avoid }
@media print { body { max-width: none; font-size: 10pt } table { font-size: 8pt } }
</style>"""
SECONDS = 600


def write(lessons: Path, out: Path, names: Iterable[str] = ()) -> Iterator[str]:
    """Print the notebooks of a folder, those of these names or all; yields what was written.

    ValueError for a name that none has.
    """
    found = sorted(lessons.glob("*.ipynb"))
    known = {path.stem: path for path in found}
    wanted = [Path(name).stem for name in names]
    for name in wanted:
        if name not in known:
            raise ValueError(f"no notebook {name!r}; there are {', '.join(known)}")
    out.mkdir(parents=True, exist_ok=True)
    for path in [known[name] for name in wanted] or found:
        page = out / f"{path.stem}.html"
        whole.write(page, html(path).encode())
        yield f"wrote {page}"
        paper = page.with_suffix(".pdf")
        yield f"wrote {paper}" if to_pdf(page, paper) else "no Chromium was found, so there is no PDF; print the page"


def html(path: Path) -> str:
    """A notebook, executed where it lies, as a page."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=SECONDS, kernel_name="python3", store_widget_state=False,
                   resources={"metadata": {"path": str(path.parent)}}).execute()
    return page(book, path.stem)


def page(executed: Any, title: str) -> str:
    """An executed notebook as a page. It stays as it is."""
    from nbconvert import HTMLExporter

    book = deepcopy(executed)
    book.cells = [paper for cell in book.cells if (paper := _on_paper(cell))]
    exporter = HTMLExporter(template_name="lab", theme="light", exclude_input_prompt=True,
                            exclude_output_prompt=True, mathjax_url="", require_js_url="", jquery_url="",
                            widget_renderer_url="", mermaid_js_url="")
    text, _ = exporter.from_notebook_node(book, {"metadata": {"name": title}})
    return re.sub(r"<script\b[^>]*>.*?</script>", "", text, flags=re.DOTALL).replace("</head>", f"{STYLE}</head>", 1)


def _on_paper(cell: Any) -> Any:
    """A cell as paper has it; None for one that paper has no use for: locked scenes, receipts."""
    from nbformat.v4 import new_markdown_cell

    source = cell.source
    if source.startswith(("quiz.show(", "quiz.receipt(")):
        return None
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if data.pop(LIVE, None) and not any(kind in data for kind in STILLS) and "children=" in data["text/plain"]:
            data["text/plain"] = CONTROL
    if source.startswith("quiz.ask("):
        question = cell.outputs[0].data["text/plain"]
        return new_markdown_cell(f"**Exercise.**\n```\n{question}\n```" if "\n" in question else
                                 f"**Exercise.** {question}")
    return cell
