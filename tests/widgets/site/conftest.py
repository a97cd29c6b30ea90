"""What every test of a site in a browser has; each module makes the `site` itself."""

import pytest

from tests.widgets.site.places import served


@pytest.fixture(scope="module")
def address(site):
    """Where the module's site is served, with a slash at its end."""
    with served(site) as found:
        yield found
