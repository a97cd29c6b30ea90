"""A notebook that opens a recorded run: for `vsim lab --recording FILE`, as which `vsim replay --lab FILE` goes on."""

from __future__ import annotations

import json
from itertools import chain, count
from pathlib import Path

FOLDER = "vsim-recordings"
"""Where such notebooks are put when nothing else is said."""
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
"""What JupyterLab starts without asking."""
CODE = """# A recorded run: {vcpus} CPUs, {seconds:.0f} s, {moments:,} moments. Run this cell: Shift+Enter.
# Phases and blocks of the bar lead to a moment; step and play go on from there.
from widgets.lab import Lab
lab = Lab.from_recording({path!r})
lab.goto(0)
lab"""
"""The only cell, so that the first key runs it and the bench has room below it."""


def notebook(file: Path, folder: Path) -> Path:
    """The notebook of a recording, in `folder`; one that is there already is somebody's work and stays.

    Where it is that of another recording of the same name, this one's has a number behind its name. RecordingError,
    with its line, for a file that is no recording.
    """
    import nbformat.v4 as v4
    from nbformat import write

    from vsim.replay import recording

    run = recording.load(file)
    last = run.moments[-1].us / 1e6 if run.moments else 0.0
    path, name = str(file.resolve()), file.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".recording")
    places = (folder / f"{name}{again}.ipynb" for again in chain([""], (f"-{number}" for number in count(2))))
    place = next(each for each in places if not each.exists() or _opens(each, path))
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        code = CODE.format(vcpus=run.vcpus, seconds=last, moments=len(run.moments), path=path)
        cells = [v4.new_code_cell(code, id="code")]
        write(v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), place)
    return place


def _opens(book: Path, path: str) -> bool:
    """Whether a notebook names a recording."""
    return json.dumps(repr(path), ensure_ascii=False)[1:-1] in book.read_text(encoding="utf-8", errors="replace")
