"""What every test module shares: how hypothesis searches, and where the real machines' files are."""

import os
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# No deadline: a slow computer is not a failure. In CI the search is a function of the code alone, so
# that the same commit gives the same result; everywhere else it goes on looking for new examples.
settings.register_profile("vsim", deadline=None, print_blob=True)
settings.register_profile("vsim-ci", settings.get_profile("vsim"), derandomize=True, database=None)
settings.load_profile("vsim-ci" if os.environ.get("CI") else "vsim")

NO_REAL_DATA = "no files of real machines: VSIM_REAL_DATA is not set, ../shared/data/real is not there"


def real_data_folder() -> Path | None:
    """The folder with the real machines' files, or None. A variable that names no folder is an error."""
    named = os.environ.get("VSIM_REAL_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "real"
    if folder.is_dir():
        return folder
    if named:
        raise pytest.UsageError(f"VSIM_REAL_DATA={named}: no such folder")
    return None


def real_files(pattern: str) -> list[ParameterSet]:
    """The real files that match a glob, for `parametrize`; one skip that says why when there are none."""
    folder = real_data_folder()
    if folder is None:
        return [pytest.param(None, id=pattern, marks=pytest.mark.skip(reason=NO_REAL_DATA))]
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not files:
        raise pytest.UsageError(f"no file in {folder} matches {pattern}")
    return [pytest.param(path, id=str(path.relative_to(folder))) for path in files]


@pytest.fixture
def real_data() -> Path:
    """The folder with the real machines' files; the test is skipped where there is none."""
    folder = real_data_folder()
    if folder is None:
        pytest.skip(NO_REAL_DATA)
    return folder
