"""What every test module shares: how hypothesis searches, on how many processes, where the real machines' files are."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.places import NO_REAL_DATA, real_data_folder

# No deadline: a slow computer is not a failure. In CI the search is a function of the code alone, so
# that the same commit gives the same result; everywhere else it goes on looking for new examples.
settings.register_profile("vsim", deadline=None, print_blob=True)
settings.register_profile("vsim-ci", settings.get_profile("vsim"), derandomize=True, database=None)
settings.load_profile("vsim-ci" if os.environ.get("CI") else "vsim")


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # by the shell that started this in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite keeps all processors busy, a part of it runs in this process; `-n` says otherwise."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    if hasattr(config, "workerinput") or os.environ.get("PYTEST_XDIST_WORKER"):
        return      # a process of such a run starts none of its own
    if whole and getattr(config.option, "numprocesses", 0) is None and not config.option.usepdb:
        config.option.numprocesses = (os.cpu_count() or 1) + 1      # there is always one that waits for a page


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file stays in one process, so that what its tests share is made once; in the order of collection."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several processes need ids that each of them gives, and files that take a minute first."""
    unstable = [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]{10}", item.nodeid)]
    if unstable:
        raise pytest.UsageError(f"an id with an address, which is another in each process: {unstable[0]}")
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("browser") or "notebooks" in item.path.parts}
        items.sort(key=lambda item: item.path not in long)


@pytest.fixture
def real_data() -> Path:
    """The folder with the real machines' files; the test is skipped where there is none."""
    folder = real_data_folder()
    if folder is None:
        pytest.skip(NO_REAL_DATA)
    return folder
