"""Chromium without a window: where it is."""

from __future__ import annotations

import shutil

ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")
"""Of Chromium: a container may have no sandbox of its own and little shared memory."""


def chromium() -> str | None:
    """Where Chromium is, by the names that systems give it."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((each for each in found if each), None)
