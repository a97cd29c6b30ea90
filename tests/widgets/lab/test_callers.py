"""What a caller gives a Lab and it cannot take: a ValueError that names it and the limits; nothing has changed."""

import math
import re

import pytest

from tests.strange import LONG, NoIndex, endless
from vsim.state import commands as c
from widgets.lab.lab import Lab

LAB = Lab.from_config('name = "h0"; vcpus = 2; type = "hvm"; pci = ["03:00.0"]')
LAB.boot()


KINDS = [None, 1.5, True, math.nan, 10**30, [], {}, endless(), NoIndex()]
NUMBERS = ["x", 1.5, True, math.nan, -1, 10**30, [], {}, endless(), NoIndex()]

# what is called with it, the values, what the message names
MISTAKES = {
    "reopen": (LAB.reopen, [*KINDS, "x"], r"branch is .*; expected a Branch"),
    "adopt": (lambda given: LAB.adopt(given, 0), [*KINDS, "x"], r"other is .*; expected a Lab"),
    "adopt.at": (lambda given: LAB.adopt(LAB.branch(), given), [*NUMBERS, None], r"at is .*; both histories have"),
    "from_link": (Lab.from_link, KINDS, r"text is .*; expected a str"),
    "from_config": (Lab.from_config, KINDS, r"path is .*; expected the path of a file"),
    "from_recording": (Lab.from_recording, KINDS, r"path is .*; expected the path of a file"),
    "from_machine": (Lab.from_machine, KINDS, r"source 1 is .*; expected a file"),
    "load": (Lab.load, KINDS, r"place is .*; expected the path of a file"),
    "save": (LAB.save, KINDS, r"place is .*; expected the path of a file"),
    "gestures": (LAB.gestures, [*NUMBERS, None], r"start is .*; the limit is 0 to"),
    "gestures.stop": (lambda given: LAB.gestures(0, given), NUMBERS, r"stop is .*; the limit is 0 to"),
    "gestures_around": (lambda given: LAB.gestures_around(given, 1), [*NUMBERS, None],
                        r"position is .*; the limit is 0"),
    "gestures_around.most": (lambda given: LAB.gestures_around(0, given), [*NUMBERS, None],
                             r"most is .*; the limit is 0"),
    "phases": (lambda given: setattr(LAB, "phases", given), [*(each for each in KINDS if each != []), "x", [1]],
               r"phases? is .*; expected a (Sequence|Phase)"),
    "goto": (LAB.goto, [*NUMBERS, None, LONG], r"position is .*; the limit is 0 to"),
    "dump": (LAB.dump, [*KINDS, "x", LONG], r"no dump .*; dumps are"),
    "view": (LAB.view, [*KINDS, "x", LONG], r"no view .*; views are"),
    "dock": (LAB.dock, [*KINDS, "x", LONG], r"no view .*; views are"),
    "figure": (LAB.figure, [*KINDS, "x", LONG], r"theme is .*; known are"),
    "figure.shape": (lambda given: LAB.figure("light", given), [*KINDS, "x", LONG], r"shape is .*; known are"),
    "to_html": (LAB.to_html, [1.5, 7, [], endless(), NoIndex()], r"path is .*; expected the path of a file"),
    "animate": (LAB.animate, KINDS, r"path is .*; expected the path of a file"),
    "animate.seconds": (lambda given: LAB.animate("a.gif", given), ["x", math.nan, -1, [], endless(), NoIndex()],
                        r"seconds is .*; the limit is more than"),
    "storm.rate": (LAB.storm, [*NUMBERS, None, LONG], r"rate is .*; the limit is 1 to"),
    "storm.seconds": (lambda given: LAB.storm(10, given),
                      ["x", math.nan, math.inf, 0, -1, 10**400, [], None, NoIndex()],
                      r"seconds is .*; the limit is 1 to"),
    "storm.seed": (lambda given: LAB.storm(10, 0.1, given),
                   ["x", b"x", 1.5, True, None, 10**30, [], endless(), NoIndex()],
                   r"seed is .*; the limit is"),
    "issue": (LAB.issue, [*KINDS, c.Tick], r" is no command; there are domctl, "),
    "issue.more": (lambda given: LAB.issue(c.Tick(1), given), [*KINDS, c.Tick], r" is no command; there are domctl, "),
    "issue.name": (lambda given: LAB.issue(c.Tick(1), name=given), KINDS, r"name is .*; expected a str"),
    "fire": (lambda given: LAB.fire("03:00.0", given), [*NUMBERS, None], r"message is .*; 03:00.0 has 0 to"),
    "device": (LAB.device, [LONG], r"is not bus:device.function"),
    "attach": (LAB.attach, KINDS, r"qemu is .*; expected a str"),
}


@pytest.mark.parametrize("given, value, named", [
    pytest.param(given, value, named, id=f"{name}-{value!r:.20}")
    for name, (given, values, named) in MISTAKES.items() for value in values])
def test_a_caller_s_mistake_is_named_and_nothing_has_changed(given, value, named):
    before, last = LAB.machine.copy(), LAB.last
    with pytest.raises(ValueError, match=named) as told:
        given(value)
    assert before == LAB.machine and LAB.last is last and not LAB.branches and not LAB.storms
    assert len(str(told.value)) < 700 and not re.search("unsupported|object is not|attribute", str(told.value))
