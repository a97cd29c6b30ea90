"""Where things are: the checkout, recorded cases, and the real machines' files, which are not part of the project."""

import os
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
LESSONS = ROOT / "notebooks"
DATA = LESSONS / "data"
A_REAL_LINUX = DATA / "linux-6.12-8cpu.recording.gz"

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


NO_FIELD = "no inputs that were misread: VSIM_FIELD_DATA is not set, ../shared/field is not there"


def field_file(name: str) -> Path:
    """One of the small inputs that were once misread; the test is skipped by name where they are not."""
    named = os.environ.get("VSIM_FIELD_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "field"
    if not folder.is_dir():
        pytest.skip(NO_FIELD)
    return folder / name


NO_LAB = "no recorded runs: VSIM_LAB_DATA is not set, ../shared/data/lab is not there"


def lab_file(name: str) -> Path:
    """A file of the large recorded runs; the test is skipped by name where they are not."""
    named = os.environ.get("VSIM_LAB_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "lab"
    if not folder.is_dir():
        pytest.skip(NO_LAB)
    return folder / name


def real_files(pattern: str) -> list[ParameterSet]:
    """The real files that match a glob, for `parametrize`; one skip that says why when there are none."""
    folder = real_data_folder()
    if folder is None:
        return [pytest.param(None, id=pattern, marks=pytest.mark.skip(reason=NO_REAL_DATA))]
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not files:
        raise pytest.UsageError(f"no file in {folder} matches {pattern}")
    return [pytest.param(path, id=str(path.relative_to(folder))) for path in files]
