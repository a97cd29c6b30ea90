"""Chromium without a window: where it is, and a page as PDF."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")
"""Of Chromium: a container may have no sandbox of its own and little shared memory."""
PATIENCE = 120
"""Seconds for a page."""


def chromium() -> str | None:
    """Where Chromium is, by the names that systems give it."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((each for each in found if each), None)


def to_pdf(page: Path, out: Path) -> bool:
    """Print an HTML file as PDF; False where there is no Chromium. RuntimeError when it makes none."""
    browser = chromium()
    if browser is None:
        return False
    done = subprocess.run([browser, "--headless", "--disable-gpu", *ARGUMENTS, "--no-pdf-header-footer",
                           f"--print-to-pdf={out.resolve()}", page.resolve().as_uri()],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode or not out.is_file():
        raise RuntimeError(f"{browser} did not print {page}: {done.stderr.strip()[-300:]}")
    return True
