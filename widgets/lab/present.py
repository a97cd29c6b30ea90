"""JupyterLab for a projector: light theme and large type, in a folder of settings of its own.

What a person has set for the desk stays as it is. The keyboard steps as always: Shift+Enter runs a cell and goes on to
the next one.
"""

from __future__ import annotations

import json
from pathlib import Path

TYPE = {"code-font-size": "20px", "content-font-size1": "22px", "ui-font-size1": "16px"}
"""JupyterLab's own names for the sizes of code, of prose and of everything around them."""
SETTINGS = {"@jupyterlab/apputils-extension/themes": {
    "theme": "JupyterLab Light", "adaptive-theme": False, "overrides": TYPE}}


def settle(config: Path) -> Path:
    """Write the settings below Jupyter's folder of configuration; where they are."""
    folder = config / "lab" / "vsim-present"
    for plugin, values in SETTINGS.items():
        file = folder / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return folder
