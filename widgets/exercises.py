"""Exercises that check themselves: an answer is put to the machine, not compared with a stored one.

Every exercise has a twin that has to fail: reaching vCPU n is half the answer, not reaching n + 1 the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from widgets.tables import Table, Told


def check(answer: Any, claims: Mapping[str, Callable[[Any], bool]]) -> Table | Told:
    """Put an answer to a number of claims, each a sentence with what tests it; {} in it stands for the answer.

    None is "not answered yet". What a test raises on a strange answer counts against the claim and is shown.
    """
    if answer is None:
        return Told(["Not answered yet: put your answer in place of None and run the cell again."])
    rows = [(*_tested(answer, test), sentence.replace("{}", str(answer))) for sentence, test in claims.items()]
    right = all(mark == "✓" for mark, *_ in rows)
    caption = "Right." if right else "Not yet: a claim does not hold."
    return Table(("", "claim", "remark"), [(mark, claim, remark) for mark, remark, claim in rows], caption)


def _tested(answer: Any, test: Callable[[Any], bool]) -> tuple[str, str]:
    try:
        return ("✓", "") if test(answer) else ("✗", "")
    except Exception as error:  # an answer of the wrong kind is a wrong answer, told with its reason
        return "✗", f"an answer of this kind cannot be tried: {error}"
