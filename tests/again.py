"""The browser tests over and over, also on a busy computer: the proof that none depends on time. Not part of CI.

    python -m tests.again 10                # ten times in a row
    python -m tests.again 3 --busy 8        # three times, while eight loops do nothing but keep the processors busy
    python -m tests.again 5 -- -k step      # pytest's options come last

Status 0 when every run passed. Each run's closing line is printed, and of a failed one all that it said.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.places import ROOT

# Ends by itself when nobody holds the other end of its pipe any more.
_LOOP = "import select, sys\nwhile not select.select([sys.stdin], [], [], 0)[0]:\n    sum(range(100_000))"


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes compute while the block runs."""
    started = [subprocess.Popen([sys.executable, "-c", _LOOP], stdin=subprocess.PIPE) for _ in range(loops)]
    try:
        yield
    finally:
        for each in started:
            each.stdin.close()
            each.wait()


def once(options: list[str]) -> bool:
    """One run; whether it passed."""
    began = time.monotonic()
    asked = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "browser and not soak", "tests", *options]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    print(said if done.returncode else said.strip().rpartition("\n")[2], flush=True)
    print(f"status {done.returncode}, {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run them as the command line says."""
    parser = argparse.ArgumentParser(description="Run the browser tests over and over.",
                                     epilog="Options of pytest come last, behind --.")
    parser.add_argument("times", type=int, help="how many runs")
    parser.add_argument("--busy", type=int, default=0, metavar="K", help="keep the processors busy with K loops")
    words = [*sys.argv[1:], "--"]
    end = words.index("--")
    args, options = parser.parse_args(words[:end]), words[end + 1:-1]
    with busy(args.busy):
        passed = sum(once(options) for _ in range(args.times))
    print(f"{passed} passed, {args.times - passed} failed")
    return int(passed != args.times)


if __name__ == "__main__":
    sys.exit(main())
