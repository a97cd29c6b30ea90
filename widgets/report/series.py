"""What a design review says of the series: versions compared, defects shown twice, costs, questions, limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vsim.devices import viommu
from vsim.explain import paths
from vsim.layouts.interfaces import differences
from vsim.review import evidence
from vsim.review.facts import LATER, LIMITS, POSTINGS, UNVERIFIED
from vsim.review.questions import GRADES, QUESTIONS, Question
from vsim.review.scenarios import SCENARIOS, observe
from vsim.state.profile import Profile, profile
from vsim.state.quirks import QUIRKS, Quirk
from vsim.state.trace import ACTS, Act
from vsim.xen import save as xen_save
from vsim.xen.models import MODELS
from widgets.report.paper import Cell, Heading, Link, Part, Points, Words, grid

DEFECTS = tuple(row for row in QUIRKS.values() if row.id.startswith("xen.D"))
"""The defects of the series, D1 to D45."""
TOLD = "told only"


@dataclass(frozen=True)
class Shown:
    """All that was run for the series. seen: by defect, as coded and corrected. answers: lines by question."""

    seen: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    answers: dict[str, tuple[str, ...]]

    @property
    def stops(self) -> list[str]:
        """Defects with which a guest ends or stalls the hypervisor, with what makes them doubtful."""
        found = [id_ for id_, (coded, _) in self.seen.items() if any("hypervisor would" in line for line in coded)]
        return [id_[4:] + (" [I]" if QUIRKS[id_].sure == "I" else "") for id_ in found]


def show() -> Shown:
    """Run every scenario twice, and the evidence of every question."""
    seen = {row.id: (observe(row.id, True), observe(row.id, False)) for row in DEFECTS if row.id in SCENARIOS}
    return Shown(seen, {each.number: each.show() for each in QUESTIONS if each.show})


# --- versions ---


def versions() -> list[Part]:
    """The postings, the hypercall, the register model and the save records of each version."""
    return [
        Heading(2, "The versions compared", "versions"),
        grid("Postings", ("When", "Version", "Patches", "Interface"), [tuple(row) for row in POSTINGS],
             (2.6, 2.2, 1, 4.2)),
        Heading(3, "The hypercall", "hypercall"),
        Words("Only what is not the same in all. Offsets are inside the operation's structure, in bytes; \"-\" means "
              "that there is none. The checks are made in the order of their numbers."),
        grid("The structure, and what create, destroy and query refuse", ("What", *evidence.VERSIONS),
             sorted(_matrix(), key=_rank), (2.8, 1.8, 1.8, 1.8, 1.8)),
        Points(tuple(_create(version) for version in evidence.VERSIONS), "shown"),
        Heading(3, "The register model", "registers"),
        grid("The emulated unit; version 2 has version 1's", ("What", *evidence.MODELLED), list(_models()),
             (2.8, 2.4, 2.4, 2.4))]


def _matrix() -> Iterator[tuple[Cell, ...]]:
    base, *rest = evidence.VERSIONS
    changed = [{what: (old, new) for what, old, new in differences(base, other)} for other in rest]
    for what in dict.fromkeys(what for each in changed for what in each):
        own = next(each[what][0] for each in changed if what in each)
        yield what, own, *(each[what][1] if what in each else own for each in changed)


_ORDER = ("hypercall", "size", "sub-commands", "viommu_type", "unknown", "create:", "destroy:", "query", "any",
          "create", "destroy")


def _rank(row: tuple[Cell, ...]) -> int:
    """The place of a row among the others: the structure first, then what is refused."""
    return next((place for place, start in enumerate(_ORDER) if str(row[0]).startswith(start)), len(_ORDER))


def _create(version: str) -> str:
    return f"{version}, create as the toolstack sends it: {viommu.create_op(version=version).hex(' ', 8)}"


def _models() -> Iterator[tuple[Cell, ...]]:
    models = [MODELS[f"xen-{version}"] for version in evidence.MODELLED]
    units = [profile(f"xen-{version}").capabilities for version in evidence.MODELLED]
    yield "bytes trapped", *(f"{each.trapped:#x}" for each in models)
    yield "fault record at", *(f"{each.record:#x}" for each in models)
    yield "CAP", *(f"{each.cap:#x}" for each in units)
    yield "ECAP", *(f"{each.ecap:#x}" for each in units)
    yield "8 bytes need alignment to", *("4" if each.dword else "8" for each in models)
    yield "8-byte writes are taken at", *(
        "all registers" if each.wide is None else ", ".join(f"{at:#x}" for at in sorted(each.wide)) for each in models)
    yield "what it does not take", *("goes on to the device model" if each.passes else "is swallowed"
                                     for each in models)
    yield "order of changed commands", *(", ".join(each.order).upper() for each in models)
    yield "IQH is zeroed when the queue is", *("switched on" if each.head_at_enable else "switched off"
                                               for each in models)
    yield "result while remapping is off", *(str(each.off) for each in models)
    yield "result of a fault", *(_refusals(each.refusals) for each in models)
    yield "save records, bytes", *(", ".join(str(each.size) for each in xen_save.RECORDS[model.name])
                                   for model in models)


def _refusals(codes: dict[int, int]) -> tuple[str, ...]:
    if all(reason == code for reason, code in codes.items()):
        return ("the reason itself, positive",)
    groups: dict[int, list[str]] = {}
    for reason, code in codes.items():
        groups.setdefault(code, []).append(f"{reason:#x}")
    return tuple(f"{', '.join(reasons)}: {code}" for code, reasons in groups.items())


# --- defects ---


def defects(shown: Shown, base: Profile) -> list[Part]:
    """All 45, each run as coded and corrected where a machine can show it."""
    rows = [_defect(row, shown) for row in DEFECTS]
    return [
        Heading(2, "Defects and oddities of the series", "defects"),
        Words(f"{len(shown.seen)} of {len(DEFECTS)} were run twice for this report, with the one defect on and off, on "
              "the smallest domain in which it shows; the others are told only. (f): real hardware does the same, so "
              "both runs agree."),
        Words(f"On in this report's domain, profile {base.name}: {_on(base)}."),
        grid("D1 to D45", ("Defect", "As coded; what would be right", "What is noticed", "Run as coded",
                           "Run corrected"), rows, (1.9, 2.7, 1.9, 1.75, 1.75))]


def _on(base: Profile) -> str:
    return ", ".join(row.id[4:] for row in DEFECTS if row.id in base.quirks) or "none"


def _defect(row: Quirk, shown: Shown) -> tuple[Cell, ...]:
    grade = f"[{row.sure}]" if row.sure == "I" else row.sure
    name: Cell = (row.id[4:], row.name, f"{row.versions}; {grade}")
    told: Cell = (f"{row.does}.", f"Right: {row.should}.")
    coded, corrected = shown.seen.get(row.id, ((TOLD,), ("",)))
    return name, told, row.observed, coded, corrected


# --- costs ---


def costs() -> list[Part]:
    """What each way of an interrupt costs with the unit in the hypervisor, and in QEMU."""
    rows: list[tuple[Cell, ...]] = [
        (name, *(f"{each.exits} exits, {each.round_trips} round trips, {each.ns:,} ns" for each in (xen, qemu)))
        for name, xen, qemu in paths.table()]
    used = {"VM exit": Act.VM_EXIT, "round trip to QEMU": Act.ROUND_TRIP, "acceptance": Act.ACCEPTED}
    figures = ", ".join(f"{name} {ACTS[act].ns:,} ns ({ACTS[act].source})" for name, act in used.items())
    return [
        Heading(2, "Why the unit is in the hypervisor", "costs"),
        Words("The document's first reason: an interrupt need not ask QEMU. Each way was played with the unit in "
              "either place; exits and round trips are counted from what happened, times come from a table that can be "
              "edited. Nobody measured the series, so the times compare and do not predict."),
        grid("One interrupt, or one access", ("Way", "Unit in the hypervisor", "Unit in QEMU"), rows, (3.4, 3.3, 3.3)),
        Words(f"Figures behind it: {figures}. A PVH domain has no QEMU at all.")]


# --- questions ---


def questions(shown: Shown) -> list[Part]:
    """Every question with its answer, its grades, and what the kit showed."""
    made: list[Part] = [
        Heading(2, "The reviewers' questions", "questions"),
        Words("1 to 7 come from the review of version 1; 8 to 18 are remarks that the commits of later versions "
              "answer; N1 to N8 are raised by the text, and nobody asked them. All in our words. The first grade says "
              "how sure it is who asked what, the second how sure the answer is."),
        grid("All of them", ("Question", "Asked", "Grades", "Shown by", "Still open"),
             [_line(each, shown) for each in QUESTIONS], (1, 5.2, 0.9, 1.4, 1.5))]
    for each in QUESTIONS:
        made += _question(each, shown)
    return made


def _line(each: Question, shown: Shown) -> tuple[Cell, ...]:
    by = "runs" if each.number in shown.answers else TOLD
    grades = f"{each.asked_grade}, {_graded(each.answer_grade)}"
    return _link(each), each.asked, grades, by, "yes" if each.open else ""


def _link(each: Question) -> Link:
    return Link(each.number, f"question-{each.number}")


def _question(each: Question, shown: Shown) -> Iterator[Part]:
    yield Heading(3, f"{each.number}. {each.asked}", f"question-{each.number}")
    graded = f"Grades: question {each.asked_grade}, answer {_graded(each.answer_grade)}."
    yield Words(f"{each.who[:1].upper()}{each.who[1:]}. {graded}", "aside")
    yield Words(each.answer)
    if each.number in shown.answers:
        yield Points(shown.answers[each.number], "shown")
    else:
        yield Words("Told only: a machine has nothing to show here.", "aside")
    if each.open:
        yield Words(f"Still open: {each.open}")


def _graded(grade: str) -> str:
    return f"[{grade}]" if grade in ("I", "R") else grade


# --- limits, and what is open ---


def limits() -> list[Part]:
    """The numbers, each with its source."""
    return [Heading(2, "Limits, with their sources", "limits"),
            grid("Numbers of the series and of what surrounds it", ("What", "Value", "Source", "Grade"),
                 [tuple(row) for row in LIMITS], (2.6, 3.6, 2.8, 1))]


def open_questions() -> list[Part]:
    """What is open, where it came up again, and what nobody could check."""
    still: list[tuple[Cell, ...]] = [(_link(each), each.open) for each in QUESTIONS if each.open]
    told = ", ".join(row.id[4:] for row in DEFECTS if row.id not in SCENARIOS)
    return [
        Heading(2, "What is open", "open"),
        grid("Questions that this kit cannot close", ("Question", "What is left"), still, (1.4, 8.6)),
        grid("Where they came up again", ("When", "Who", "Point", "Question"), [tuple(row) for row in LATER],
             (1.6, 2.4, 5, 1)),
        Heading(3, "Told, and not modelled", "told"),
        Points((f"Defects without a run here: {told}.", "Races (D26, question 15): the kit does one command at a time.",
                "A balloon, and guest memory that changes its type (question N3).",
                "Migration as a whole: records are saved and loaded byte for byte; memory and devices are not moved.")),
        Heading(3, "Not verified by anybody", "unverified"),
        Points(UNVERIFIED)]


def grades() -> list[Part]:
    """What the grades mean."""
    return [Heading(2, "How to read the grades", "grades"),
            Words("Each statement about the series carries a grade of its evidence. The runs in this report show what "
                  "the kit's model does; it was built from that evidence and compared with recordings of the series' "
                  "own code, and cannot be surer than they are."),
            grid("Grades", ("Grade", "Meaning"), [tuple(row) for row in GRADES.items()], (1.6, 8.4))]
