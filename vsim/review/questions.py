"""The questions of the review, in our words, each with the answer, its grade, and what the kit runs for it (X 8).

1 to 7 are the seed's: a review of version 1's document. 8 to 18 are remarks that the commits of later versions answer;
who made them is told where the text says so. N1 to N8 were never asked, though the text raises them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vsim.review import answers, answers_later, evidence
from vsim.review.evidence import Lines

SEED = "Julien Grall, review of version 1, patch 5/25"
CHANGELOG = "not named, changelog of version {}"
NOBODY = "nobody; the text raises it"


@dataclass(frozen=True, slots=True)
class Question:
    """One question. asked_grade, answer_grade: how sure it is who asked what, and what the answer is (`GRADES`).

    show: what the kit runs for it, or None where a machine has nothing to show; then the answer is told only.
    open: what is still open, "" when nothing is.
    """

    number: str
    who: str
    asked: str
    answer: str
    asked_grade: str
    answer_grade: str
    show: Callable[[], Lines] | None = None
    open: str = ""


GRADES: dict[str, str] = {
    "run": "seen by running the series' own compiled code outside Xen, and repeated here",
    "read": "read in the source of the series",
    "A": "read in the text of the review, of a commit or of a document",
    "B": "deduced from what the next version does",
    "C": "recollection, unverified",
    "I": "inferred by following the code by hand; not run on the real code",
    "R": "recollection of the field, not checked against a source",
    "(f)": "real hardware does the same, so that the corrected machine shows it too",
    "unverified": "could not be checked",
}
"""What a grade means. The kit's own runs add nothing to it: they show what the model does, which was built from it."""

QUESTIONS: tuple[Question, ...] = (
    Question("1", SEED, "The interface can only create. With several IOMMUs in the host, how are they linked?",
             "It is not. The model is software, touches no unit of the host and covers all devices of its guest. "
             "Version 2's document says: one for each VM for now, calls meant to suit several. No link was added.",
             "A", "B", answers.links,
             "How several vIOMMUs would share out the devices, and what each owes to the unit behind it."),
    Question("2", SEED, "Which values may the type take? The document does not say.",
             "One: Intel VT-d. It is 1 in versions 1 and 2, where the constant moved beside the structure, and 0 from "
             "version 3 on. Version 4 narrows the member to 8 bits.", "A", "B", answers.types),
    Question("3", SEED, "The capabilities are defined in another header. How shall a developer know them?",
             "There is one, bit 0, interrupt remapping. Version 2 moved it to the header of the structure and lists "
             "it. No version looks at the stored value again [I for versions 1 to 3].", "A", "B",
             answers.capabilities),
    Question("4", SEED, "Does \"E,G\" in the text mean \"e.g.\"?",
             "Most likely; the wording stays in several later commit messages.", "A", "A"),
    Question("5", SEED, "A platform may have IOMMUs with different features. How does the query work then?",
             "The query is for a type of device model, never for a unit, so that the host's diversity cannot show. "
             "Version 3 removed it: create refuses what it cannot do.", "A", "A", answers.queries,
             "Capabilities of each unit."),
    Question("6", SEED, "What are the MMIO base and length for? Is this trap and emulate, inside Xen?",
             "Yes. Xen traps the guest's accesses to the page and answers them. The length must be 4096, was dropped "
             "in version 3, and version 4 traps the 0xD0 bytes that it emulates. No version refuses a base inside RAM; "
             "that it hides the memory is [I].", "A", "B", answers.region),
    Question("7", SEED, "From the document alone the use is unclear. What is this good for?",
             "Version 3 rewrites the motivation: Xen gives vCPU n the APIC ID 2n, a message has 8 bits for it, so no "
             "device interrupt reaches vCPU 128 or above. Who suggested it (Roger Pau Monné?) is graded C.",
             "A", "B", answers.usefulness),
    Question("8", "Roger Pau Monné, commit ea3db1454c of version 4",
             "Split the clean-up from the new code, and add a definition only where it is first used.",
             "Done in version 4.", "A", "A"),
    Question("9", CHANGELOG.format(3), "Why two save records for one device?",
             "Version 3 has one. Records carry no version: code 21 has another length in each.", "A", "A",
             answers_later.records),
    Question("10", CHANGELOG.format(3), "An unaligned access should be ignored, not handed to the device model.",
             "So since version 3.", "A", "A", answers_later.unaligned),
    Question("11", CHANGELOG.format(3), "Return mapping errors in the pointer.",
             "Version 3 does; each version tells the caller something else. SIRTP reports success in all of them.",
             "A", "A", answers_later.unmappable),
    Question("12", CHANGELOG.format(3),
             "Whether a message is remappable must be asked of the model: other vendors decide by more than one bit.",
             "A callback since version 3. Before, the bit was tested even in domains without a vIOMMU.",
             "A", "A", answers_later.format_bit),
    Question("13", CHANGELOG.format(3), "Take a list of vIOMMUs in libxl, refuse more than one for now, set the "
             "defaults in libxl instead of the parser.", "Done; below the toolstack the limit is one as well.",
             "A", "A", answers_later.one_only),
    Question("14", CHANGELOG.format(4), "Register models by a linker section instead of a list, and drop destroy.",
             "Done: a vIOMMU lives as long as its domain. Before, a destroyed one could not be made again in versions "
             "1 and 2.", "A", "A", answers_later.destroying),
    Question("15", CHANGELOG.format(4), "Races: lock the fault and invalidation registers, count what is in flight.",
             "Incomplete: SIRTP still unmaps the table under a delivery (D26) [I]. The kit does one command at a time "
             "and cannot show a race.", "A", "A", None, "What holds the table while an interrupt uses it."),
    Question("16", CHANGELOG.format(4), "Mapping a page for each interrupt is slow.",
             "Version 4 maps the whole table at SIRTP. Nobody's figures were found. The price: an index one past the "
             "table reads past the mapping.", "A", "A", lambda: evidence.both("xen.D12"),
             "How slow it was: no measurement was found (unverified for mails)."),
    Question("17", CHANGELOG.format(4).replace("changelog of ", ""),
             "Bind the whole MSI message, and refresh posted interrupts on an invalidation.",
             "Done in version 4; the idea of the whole message came back in 2026.", "A", "A", answers_later.bound),
    Question("18", CHANGELOG.format(4).replace("changelog of ", ""),
             "A DMAR table for PVH as well; the base address as a constant of the architecture.",
             "Done. As coded every HVM guest gets a table, with or without a vIOMMU (D38) [I].", "A", "A",
             answers_later.tables),
    Question("N1", NOBODY, "Source-ids are not checked: can one device raise another's interrupt?",
             "Yes, in every version: the entry's SID, SQ and SVT are ignored.", "A", "run", answers_later.sources,
             "Isolation, the table's other purpose, was never there."),
    Question("N2", NOBODY, "How much work may a guest give to the hypervisor in one go, with locks held?",
             "A queue of 32,768 descriptors, and descriptors that walk up to 2^31 entries, without a point at which "
             "Xen may do something else.", "A", "run", answers_later.unbounded, "Where to preempt."),
    Question("N3", NOBODY, "What if the page of the table is ballooned out?",
             "Version 4 pins the pages until SIRTP names another page or size (run on its code). The kit has no "
             "balloon; it shows a table that is not memory to begin with.", "A", "run", answers_later.unmappable,
             "What a guest is told that balloons the page of its own table."),
    Question("N4", NOBODY, "Why does the format of a message not depend on whether remapping is on?",
             "The callback looks at the format bit alone, so a remappable message is taken by the model even while it "
             "is off, and dropped.", "A", "run", lambda: evidence.both("xen.D8"),
             "What real hardware does with such a message (unverified)."),
    Question("N5", NOBODY, "What does \"remapping off\" mean for remappable messages, then?",
             "No interrupt, no fault, an error to the caller. Version 4's decode call works all the same.", "A", "run",
             answers_later.remapping_off),
    Question("N6", NOBODY, "How would two units share an address page, and which devices belong to which?",
             "They cannot share one: each would need a base of its own. Which devices are whose is said by the DMAR "
             "table alone, and the series' table gives them all to the one unit.", "A", "B", answers_later.two_units,
             "A member of create that names the devices."),
    Question("N7", NOBODY, "How should a 32-bit toolstack call this?",
             "It cannot: plain 64-bit members start 4 or 8 bytes earlier in its structure, and the hypervisor reads "
             "them where they are not [I].", "A", "I", answers_later.narrow_caller, "Members with a fixed alignment."),
    Question("N8", NOBODY, "Why positive error codes?",
             "Fault reasons are handed on as they are, and an allocation failure lost its minus sign. Callers that "
             "test for less than 0 see success.", "A", "run", answers_later.positive),
)
"""The questions, in the order of the reference."""


def question(number: str) -> Question:
    """The question with a number ("1" to "18", "N1" to "N8"); ValueError for another."""
    for each in QUESTIONS:
        if each.number == number:
            return each
    raise ValueError(f"no question {number!r}; there are {', '.join(each.number for each in QUESTIONS)}")
