"""What a design review says of a domain's interrupts: every device to every vCPU, four ways past 8 bits, two drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from vsim.cli.run import Result, ranges
from vsim.explain.interrupt import PASSED, ending
from vsim.review.ways import WAYS, compare, table
from widgets.lab.copylink import line
from widgets.lesson.journey import Journey
from widgets.report.conduct import conduct
from widgets.report.domain import Case, Drawn
from widgets.report.paper import Cell, Copied, Heading, Part, Picture, Points, Words, grid
from widgets.stills.figures import still, to_svg

MOST_REASONS = 4
"""Reasons that are written out; what comes after them is counted."""


def reach(case: Case) -> list[Part]:
    """Every device to every vCPU, and why some are not reached."""
    result = case.result
    made: list[Part] = [
        Heading(2, "Every device to every vCPU", "run"),
        Words("A small guest kernel boots, sets up what it finds, and does what Linux does with interrupts. Then every "
              "device sends to every vCPU; before each, the kernel moves the interrupt there.")]
    rows: list[tuple[Cell, ...]] = [
        (each.label, each.kind, f"{result.by_device[each.bdf]} of {result.vcpus}") for each in case.domain.devices]
    made.append(grid(f"{result.sent} sent, {result.delivered} delivered, {result.blocked} blocked, "
                     f"{result.refused} refused by the guest's kernel, {len(result.guest.strays)} strays, "
                     f"{len(result.guest.faults)} faults", ("Device", "Kind", "vCPUs reached"), rows, (6, 2, 2)))
    if result.stopped:
        made.append(Words(f"The run was stopped: {result.tried} of {result.total} pairs of a device and a vCPU were "
                          "tried. What follows is what they showed."))
    made += [grid("vCPUs that no device reaches", ("vCPU", "APIC IDs", "Why"), list(_unreached(result)), (2, 2, 6))
             ] if result.unreached else []
    if result.unreached and "xen.D42" in case.base.quirks:
        made.append(Words("The kernel takes APIC IDs from the MADT, where they wrap at 8 bits in this profile: vCPU "
                          "128 is announced with the ID of vCPU 0 (defect D42)."))
    return [*made, Heading(3, "What the guest's kernel wrote when it booted", "boot"), Points(case.guest_log, "shown"),
            *conduct(case.judged), *_four_ways(case)]


def _four_ways(case: Case) -> Iterator[Part]:
    yield Heading(3, "Beyond 8 bits: four ways", "ways")
    yield Words(f"{case.result.vcpus} vCPUs and three functions, booted four times on the specification's machine. "
                "Every figure is counted.")
    yield Points(tuple(f"{way.name}: {way.sentence}" for way in WAYS.values()))
    yield grid("What each way gives, and what it costs", ("Measured", *WAYS), list(table(compare(case.result.vcpus))),
               (3.6, 1.6, 1.6, 1.6, 1.6))


def _unreached(result: Result) -> Iterator[tuple[Cell, ...]]:
    ids = result.domain.machine.apic_id
    groups: dict[str, list[int]] = {}
    for vcpu in result.unreached:
        groups.setdefault(result.why(vcpu).replace(f"APIC ID {ids[vcpu]} is ", ""), []).append(vcpu)
    for why, vcpus in islice(groups.items(), MOST_REASONS):
        yield ranges(vcpus), _span(ids[vcpus[0]], ids[vcpus[-1]]), why
    left = [vcpu for vcpus in islice(groups.values(), MOST_REASONS, None) for vcpu in vcpus]
    if left:
        more = f"{len(groups) - MOST_REASONS} more reasons like these"
        yield ranges(left), _span(ids[left[0]], ids[left[-1]]), more


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


# --- the interrupts ---


def interrupts(case: Case, page: str = "") -> list[Part]:
    """The two interrupts: drawn, told, and which checks were made. page: address of a page that opens links."""
    made: list[Part] = [Heading(2, "Two interrupts", "interrupts")]
    if not case.drawn:
        made.append(Words("The domain has no device that raises interrupts: there is nothing to draw."))
    for number, each in enumerate(case.drawn, 1):
        made += _interrupt(number, each, page)
    return made


def _interrupt(number: int, each: Drawn, page: str) -> Iterator[Part]:
    journey = each.journey
    yield Heading(3, f"{number}. {each.title}", each.name)
    yield Words(each.lead)
    wide, tall = (to_svg(still(journey.drawn, journey.way, (), "light", shape)) for shape in ("wide", "tall"))
    yield Picture(f"drawn-{each.name}", f"{each.title}: {journey.verdict}.", journey.sentences, _checked(journey), wide,
                  tall)
    if each.link:
        yield Copied("The exact state after it, as a link to mail:", each.link,
                     f"{page}#state={each.link}" if page else "")
        yield Copied("One line of Python that opens it in a notebook:",
                     line(each.link))
    else:
        yield Words("The state after it is too long for a link.")


def _checked(journey: Journey) -> str:
    """The checks of the remapping unit, in a paragraph."""
    passed = [row.name for row in journey.checks if row.outcome == PASSED]
    end = ending(journey.checks)
    said = f"The vIOMMU made these checks, in this order, and they passed: {', '.join(passed)}." if passed else ""
    if end is not None:
        said += f" Then it stopped at {end.name} ({end.section}): {end.sentence}"
    return said.strip() or "No remapping unit took part: nothing was checked."
