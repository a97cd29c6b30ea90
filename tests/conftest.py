"""What every test module shares: how hypothesis searches, and where the real machines' files are."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.places import NO_REAL_DATA, real_data_folder

# No deadline: a slow computer is not a failure. In CI the search is a function of the code alone, so
# that the same commit gives the same result; everywhere else it goes on looking for new examples.
settings.register_profile("vsim", deadline=None, print_blob=True)
settings.register_profile("vsim-ci", settings.get_profile("vsim"), derandomize=True, database=None)
settings.load_profile("vsim-ci" if os.environ.get("CI") else "vsim")


@pytest.fixture
def real_data() -> Path:
    """The folder with the real machines' files; the test is skipped where there is none."""
    folder = real_data_folder()
    if folder is None:
        pytest.skip(NO_REAL_DATA)
    return folder
