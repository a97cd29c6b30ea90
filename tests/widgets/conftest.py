"""What tests of pages share."""

import pytest

from tests.widgets.chromium import launched


@pytest.fixture(scope="module")
def browser():
    """Chromium, one to a module."""
    with launched() as found:
        yield found
