"""Headless Chromium for the tests that need one."""

from contextlib import contextmanager

import pytest

from widgets.bench.browser import ARGUMENTS, chromium


def settle(page):
    """Wait until the page has laid itself out twice: whoever watches an element's size has answered."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@contextmanager
def launched():
    """Chromium, or a test that is skipped by name."""
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright")
    if chromium() is None:
        pytest.skip("no Chromium")
    with sync.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()
