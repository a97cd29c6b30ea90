"""What a design review says of several host IOMMUs: the ways to link them, tried on a host of two unequal units."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vsim.domain.host import declared
from vsim.domain.host_answers import ASPECTS, POLICIES, PRECEDENTS, Policy
from vsim.domain.host_policies import link, migrate, passed_through, query
from vsim.layouts.bits import bdf_text
from vsim.layouts.registers import CAP, ECAP
from widgets.report.paper import Cell, Heading, Part, Words, grid

BASES = (0xFED90000, 0xFED91000)
CARD, DISK = 0x0300, 0x8100
"""Two functions of the host: one behind the strong unit, one behind the weak."""
STRONG = (CAP.make(pi=1), ECAP.make(qi=1, ir=1, eim=1))
WEAK = (CAP.make(), ECAP.make(qi=1, ir=1))


def host_units() -> list[Part]:
    """Five answers to the first question, what each means, and what each does on the example."""
    rows = [_meaning(policy) for policy in POLICIES.values()]
    return [
        Heading(2, "With several host IOMMUs: five answers", "host"),
        Words("The series gives the first. The others are what a design could do, so that the question can be answered "
              "by comparing."),
        grid("What each answer means", ("Answer", "For the guest", "For devices", "For toolstack and migration"), rows,
             (2.2, 2.6, 2.6, 2.6)),
        grid(f"Each tried on a declared host: {bdf_text(CARD)} behind a unit with 32-bit destinations (EIM) and "
             f"posting (PI), {bdf_text(DISK)} behind one with neither",
             ("Answer", "vIOMMUs", f"{bdf_text(DISK)} passed through", "To a host of weak units", "Query, version 1"),
             list(_tried()), (1.5, 1.9, 2.2, 2.2, 2.2)),
        grid("How others answered", ("When", "Who", "Answer", "Grade"), [tuple(row) for row in PRECEDENTS],
             (1.4, 2.8, 4.8, 1))]


def _meaning(policy: Policy) -> tuple[Cell, ...]:
    said = {aspect: f"{aspect.capitalize()}: {policy.meaning[aspect]}" for aspect in ASPECTS}
    grade = re.sub(r"\bI$", "[I]", policy.grade)
    return ((policy.name, policy.answer, grade), (said["guest"], said["capabilities"]),
            (said["passed-through"], said["hot-plug"]), (said["query"], said["migration"]))


def _tried() -> Iterator[tuple[Cell, ...]]:
    here = declared((BASES[0], [CARD], *STRONG), (BASES[1], [DISK], *WEAK))
    weak = declared((BASES[0], [], *WEAK), (BASES[1], [], *WEAK))
    for name in POLICIES:
        plan = link(here, name, functions=(CARD, DISK))
        units: Cell = tuple(f"for {'no host unit' if behind == 'none' else f'host unit {behind}'}: {offers}"
                            for behind, offers, _ in plan.rows())
        yield name, units, *(each.sentence for each in (passed_through(plan, DISK), migrate(plan, weak), query(plan)))
