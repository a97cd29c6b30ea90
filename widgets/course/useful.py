"""Exercises of notebook 06: what each way past 8 bits of destination reaches, and what it does not."""

from __future__ import annotations

import random

from vsim.review import ways
from vsim.state.profile import profile
from widgets.course.task import Judged, Numbers, Task, one_of
from widgets.tables import Table

WAYS = ("restricted affinity", "extended destination ID", "vIOMMU")
"""The ways on which all vCPUs run, the least effort first."""
ALONE = ", and no device may raise another's interrupt"
DUTIES = {"the disk raises the network card's interrupt": "source",
          "an interrupt that was moved still arrives at the old vCPU": "invalidate"}
"""What happens when a kernel leaves a duty out, and which."""


def _apic_id(numbers: Numbers, vcpu: int) -> int:
    """The ID of a vCPU of a guest whose IDs have gaps between its packages."""
    package, thread = divmod(vcpu, numbers["threads"])
    return package * int(numbers["stride"]) + thread


def _draw_packages(dice: random.Random) -> Numbers:
    threads, stride = dice.choice(((6, 8), (12, 16), (20, 32), (24, 32), (10, 16), (18, 32), (28, 64)))
    return {"threads": threads, "stride": stride, "last": threads - 1}


def _reach(way: str, *apic_ids: int) -> int:
    """How many of two or three vCPUs with these IDs a device reaches."""
    return ways.measure(way, len(apic_ids), profile("spec").with_options(apic_ids=apic_ids)).fixed


def _gain(numbers: Numbers, vcpus: int) -> int:
    """By how many of the last two vCPUs of such a guest the vIOMMU reaches more."""
    ids = sorted({0, _apic_id(numbers, vcpus - 1)})
    return _reach("vIOMMU", *ids) - _reach("restricted affinity", *ids)


def _smallest(numbers: Numbers, answer: int) -> Judged:
    if not 2 <= answer <= 4096:
        return Judged(False, said="A guest of more than one vCPU, and at most 4,096, is asked for.")
    more, fewer = _gain(numbers, answer), _gain(numbers, answer - 1)
    said = (f"The last of {answer} vCPUs has the ID {_apic_id(numbers, answer - 1)}; without the vIOMMU it is "
            f"{'out of reach' if more else 'reached'}.")
    if more and not fewer:
        return Judged(True, said=said)
    return Judged(False, "M6" if answer in (255, 256, 257) else "", said)


def _last_ids(numbers: Numbers) -> Table:
    rows = [(n, _apic_id(numbers, n)) for n in range(0, 300, numbers["threads"])]
    return Table(("first vCPU of a package", "APIC ID"), rows)


def _largest(numbers: Numbers, answer: int) -> Judged:
    if not 0 <= answer < 1 << 20:
        return Judged(False, said="The number of a vCPU is asked for.")
    here, there = (_reach("extended destination ID", 0, _apic_id(numbers, n)) == 2 if n else True
                   for n in (answer, answer + 1))
    said = (f"vCPU {answer} has the ID {_apic_id(numbers, answer)}, {'reached' if here else 'out of reach'}; "
            f"vCPU {answer + 1} has {_apic_id(numbers, answer + 1)}, {'reached' if there else 'out of reach'}.")
    if here and not there:
        return Judged(True, said=said)
    return Judged(False, "M6" if answer in (32767, 32768, 32766) else "", said)


# --- which way ---


def _draw_wish(dice: random.Random) -> Numbers:
    far = dice.choice((dice.randrange(20, 250), dice.randrange(300, 32000), dice.randrange(33000, 90000)))
    alone = dice.random() < 0.4
    return {"far": far, "alone": alone, "also": ALONE if alone else ""}


def _does(numbers: Numbers, way: str) -> bool:
    base = profile("spec").with_options(apic_ids=(0, 2, numbers["far"]))
    row = ways.measure(way, 3, base)
    return row.fixed == 3 and (row.isolated or not numbers["alone"])


def _way(numbers: Numbers, answer: str) -> Judged:
    found = {way: _does(numbers, way) for way in WAYS}
    shown = Table(("way", "does it"), [(way, "yes" if good else "no") for way, good in found.items()])
    if answer == next(way for way in WAYS if found[way]):
        return Judged(True, shown=shown)
    said = "It does, but something smaller does, too." if found[answer] else "It does not do it."
    return Judged(False, said=said, shown=shown)


# --- duties ---


def _draw_duty(dice: random.Random) -> Numbers:
    return {"seen": dice.choice(tuple(DUTIES)), "vcpu": dice.randrange(2, 16)}


def _happens(numbers: Numbers, skip: tuple[str, ...]) -> bool:
    """Whether it is seen on a kernel that leaves these duties out."""
    late = ways.Trial("vIOMMU", 16, skip=skip)
    if DUTIES[numbers["seen"]] == "source":
        return not ways.isolated(late)
    source = late.source()
    late.send(ways.NIC, source.vcpu)
    old = source.vcpu
    late.guest.affinity(source, next(v for v in (numbers["vcpu"], numbers["vcpu"] - 1) if v != old))
    return late.raw(ways.NIC, *late.guest.ways.message(source)) == [old]


def _duty(numbers: Numbers, answer: str) -> Judged:
    seen, never = _happens(numbers, (answer,)), not _happens(numbers, ())
    said = f"Without {answer!r} it is {'seen' if seen else 'not seen'}."
    return Judged(seen and never, said=said)


TASKS = (
    Task("smallest", "A guest's vCPUs sit in packages of {threads}: those of the first have the APIC IDs 0 to {last}, "
         "those of the second begin at {stride}, of the third at twice {stride}, and so on. Which is the smallest "
         "number of vCPUs at which a vIOMMU lets a device reach more of them than restricted affinity does?",
         _draw_packages, _smallest,
         ("The largest ID that 8 bits are trusted with is 254.", "Which vCPU is the first with an ID above 254? vCPUs "
          "count from 0."), _last_ids),
    Task("duty", "A kernel with the vIOMMU leaves one duty out, and now {seen}. Which duty is it? (Those of "
         "vsim.guest.kernel.DUTIES.)", _draw_duty, _duty,
         ("What in an entry, or after a change of it, prevents just that?",
          "One names who may send, another calls a copy back."), None,
         one_of("flush", "mask", "source", "invalidate", "wait"), ("flush", "mask", "source", "invalidate", "wait")),
    Task("largest", "The same kind of guest (packages of {threads}, at multiples of {stride}), now with the extended "
         "destination ID. Which is the highest vCPU that a device reaches?", _draw_packages, _largest,
         ("Fifteen bits end at 32,767.", "How many whole packages fit below 32,768, and what is the last vCPU in the "
          "last of them?"), _last_ids),
    Task("way", "Devices have to reach the APIC ID {far}, all vCPUs have to run{also}. Which is the smallest way that "
         "does it?", _draw_wish, _way,
         ("8 bits end at 254, 15 at 32,767.", "Only a table knows who sends."), None, one_of(*WAYS), WAYS),
)
"""The exercises, in the order of the notebook."""
