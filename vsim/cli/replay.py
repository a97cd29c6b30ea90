"""`vsim replay FILE...`: recorded cases, or whole runs, done on the machine: a table, and what differs.

Which of the two a file holds is seen by its first line.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from vsim.cli import main, rerun, values
from vsim.replay import compare as replay
from vsim.replay import recording
from vsim.replay.cases import Case
from vsim.replay.compare import Difference
from vsim.replay.recording import RecordingError
from vsim.state.profile import PROFILES, QUIRKS, Profile, profile

STEPS_SHOWN = 6
"""Steps before a difference that `-v` shows; those further back are counted."""

OTHER_MARKS = {
    "C1": "depends on caching: the recorded machine has no interrupt entry cache, so a changed entry acts at once; "
          "with one it may be stale until it is invalidated",
    "after": "only a consequence of an earlier marked step",
}
"""Marks of the recordings that are no quirk; the quirks explain the others."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim replay`."""
    parser.description = "Run recorded cases, or a whole recorded run, of real machines and compare every step."
    parser.epilog = "Exit status: 0 all passed, 1 some failed, 2 a file that cannot be used."
    parser.add_argument("files", metavar="FILE", nargs="+", type=values.name, help="JSON Lines, plain or gzip")
    parser.add_argument("--profile", choices=sorted(PROFILES),
                        help="what the machine behaves like (default: spec; for a whole run what it was recorded from)")
    parser.add_argument("--check", action="store_true",
                        help="tell what the software of a whole run did that the specification forbids")
    parser.add_argument("--lab", action="store_true", help="open a whole run in a notebook: as `vsim lab --recording`")
    parser.add_argument("-v", "--verbose", action="store_true", help="show where each failing case first differs")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Play all files; 1 when a case failed. Every file is read before the first case is run."""
    if args.lab:
        return opened(args.files)
    whole = [recording.load(file) for file in args.files if recording.is_recording(file)]
    cases = [case for file in args.files if not recording.is_recording(file) for case in replay.load(file)]
    unlike = sum(not rerun.told(one, args.profile, args.check) for one in whole)
    if not cases:
        return int(unlike > 0)
    passed, failed = play_all(cases, profile(args.profile or "spec"), args.verbose)
    print(table(passed, failed))
    print(f"{passed.total()} passed, {failed.total()} failed")
    return int(failed.total() + unlike > 0)


def opened(files: list[str]) -> int:
    """Go on as `vsim lab --recording FILE`. RecordingError for what is no recording of a whole run."""
    if len(files) > 1:
        raise RecordingError(files[1], 1, 1, "--lab opens one recording; found a second file")
    recording.load(files[0])
    return main.run(["lab", "--recording", files[0]])


def play_all(cases: Iterable[Case], chosen: Profile, verbose: bool) -> tuple[Counter[str], Counter[str]]:
    """Passed and failed cases by category; differences are printed as they are found when `verbose`."""
    passed, failed = Counter[str](), Counter[str]()
    for case in cases:
        difference = replay.play(case, chosen)
        (failed if difference else passed)[case.category] += 1
        if difference and verbose:
            print(shown(difference), end="\n\n")
    return passed, failed


def table(passed: Counter[str], failed: Counter[str]) -> str:
    """A line for each category, in order of appearance; nothing but the heading without cases."""
    names = list(dict.fromkeys([*passed, *failed]))
    width = max(map(len, ["category", *names]))
    lines = [f"{'category':{width}}  passed  failed"]
    return "\n".join(lines + [f"{name:{width}}  {passed[name]:6}  {failed[name]:6}" for name in names])


def shown(difference: Difference) -> str:
    """A difference as text: the steps that lead there, both observations, the marks and what they mean."""
    case, done = difference.case, difference.done
    first = max(0, len(done) - STEPS_SHOWN)
    lines = [f"{case.file}:{case.line}: {case.name} ({case.category}) differs at step {difference.step}"]
    lines += [f"  steps 0 to {first - 1} as expected"] if first else []
    lines += [f"  {number:4} {_text(step)}  {_text(found)}" for number, (step, found) in enumerate(done[first:], first)]
    lines += [f"  {difference.step:>4} {_text(difference.command)}", f"       recorded: {_text(difference.recorded)}"]
    if difference.expected != (difference.recorded,):
        lines.append(f"       expected: {' or '.join(map(_text, difference.expected))}")
    lines.append(f"       found:    {_text(difference.found)}")
    return "\n".join(lines + [f"       {mark}: {explained(mark)}" for mark in difference.marks])


def _text(value: Any) -> str:
    return json.dumps(value)


def explained(mark: str) -> str:
    """What a deviation code of the recordings means."""
    quirk = QUIRKS.get(f"qemu.{mark}")
    if quirk:
        return f"the recorded machine: {quirk.does}; the specification: {quirk.should}"
    return OTHER_MARKS.get(mark, "a code that this version does not know")
