"""Exercises of notebook 14: moving an interrupt, posting to a vCPU, running out."""

from __future__ import annotations

import random

from vsim.domain.posting import Host
from vsim.layouts.formats import msi_message
from vsim.scale.limits import Demand, sized
from vsim.state import commands as c
from vsim.state.pci import Function
from widgets.course.task import Judged, Numbers, Task, one_of
from widgets.lesson.made import Made
from widgets.lesson.sizes import limits
from widgets.tables import Table

CARD = 0x0300
WRITES = ("the lower address", "the upper address", "the data", "the word with the mask bit")
"""The four words of a message in a card's table, in their order there."""
STATES = ("running", "preempted", "halted")


def put(host: Host, state: str, cpu: int = 1) -> None:
    """Bring vCPU 0 of a host into a state."""
    host.run(0, cpu)
    if state == "preempted":
        host.preempt(0)
    elif state == "halted":
        host.halt(0)


def posted(*states: str) -> Table:
    """An interrupt posted to a vCPU in each state: what became of it, and how often somebody was interrupted."""
    rows = []
    for state in states or STATES:
        host = Host()
        put(host, state)
        said = host.fire(0)
        rows.append((state, said, host.left, host.ns))
    return Table(("the vCPU is", "the interrupt", "interruptions", "ns"), rows)


def _exits(numbers: Numbers, answer: int) -> Judged:
    """A vCPU runs for a while, halts, and runs again, with interrupts in each state."""
    host = Host(vector=numbers["vector"])
    host.run(0, 1)
    for _ in range(numbers["running"]):
        host.fire(0)
        host.end(0)
    for _ in range(numbers["naps"]):
        host.halt(0)
        host.fire(0)
        host.end(0)
    host.preempt(0)
    for _ in range(numbers["waiting"]):
        host.fire(0)
    host.run(0, 1)
    shown = Table(("while", "interrupts", "interruptions"), [
        ("running", numbers["running"], 0), ("halted", numbers["naps"], host.left),
        ("preempted", numbers["waiting"], 0)])
    if answer == host.left:
        return Judged(True, shown=shown)
    return Judged(False, "M13" if answer == 0 else "", f"There were {host.left}.", shown)


def _draw_exits(dice: random.Random) -> Numbers:
    return {"running": dice.randrange(20, 90), "naps": dice.randrange(3, 9), "waiting": dice.randrange(2, 7),
            "vector": dice.randrange(0x51, 0xE0)}


def _draw_torn(dice: random.Random) -> Numbers:
    """The words of a message in an order of the driver's own, and where the interrupt goes before and after."""
    order = dice.sample([*WRITES], len(WRITES))
    ids, (old, new) = sorted(dice.sample(range(3, 250), 4)), dice.sample(range(1, 4), 2)
    vectors = dice.sample(range(0x51, 0x80), 2)
    return {"order": order, "ids": ids, "old": (old, vectors[0]), "new": (new, vectors[1]),
            "from": f"vCPU {old} with vector {vectors[0]:#x}", "to": f"vCPU {new} with vector {vectors[1]:#x}",
            "words": ", ".join(order)}


def _orders(numbers: Numbers) -> list[tuple[str, tuple[int, int]]]:
    """Before which write the card fires, and which vCPU takes which vector; each order on a machine of its own."""
    found = []
    for place in range(len(WRITES) + 1):
        made = Made([Function(CARD, "card", msix_count=1)], numbers["ids"], viommu_=False)
        made.place(CARD, 0, *numbers["old"])
        address, data = msi_message(numbers["ids"][numbers["new"][0]], numbers["new"][1])
        words = dict(zip(WRITES, (address, 0, data, 0), strict=True))
        table = made.machine.bus.bar(made.machine.bus.place(CARD))
        for name in numbers["order"][:place]:
            made.issue(c.Mmio(table + 4 * [*WRITES].index(name), 4, words[name]))
        made.signal(CARD)
        found.append((numbers["order"][place] if place < len(WRITES) else "(all done)", next(iter(made.took.items()))))
    return found


def _torn(numbers: Numbers) -> Table:
    known = {numbers["old"], numbers["new"]}
    rows = [(before, f"vCPU {vcpu}, vector {vector:#x}", "" if (vcpu, vector) in known else "nobody handles that")
            for before, (vcpu, vector) in _orders(numbers)]
    return Table(("the card fires before", "it arrives at", ""), rows, "",
                 [number for number, row in enumerate(rows) if row[2]])


def _bad(numbers: Numbers, answer: int) -> Judged:
    """In how many of the orders does the interrupt arrive where nobody handles it?"""
    found = [arrived for _, arrived in _orders(numbers)]
    bad = sum(arrived not in (numbers["old"], numbers["new"]) for arrived in found)
    if answer == bad:
        return Judged(True, shown=_torn(numbers))
    return Judged(False, said=f"Of {len(found)} orders {bad} misroute it.", shown=_torn(numbers))


def _first(numbers: Numbers, answer: str) -> Judged:
    """Which limit bites first?"""
    demand = Demand(numbers["vcpus"], ((numbers["messages"], numbers["queues"]),) * numbers["cards"],
                    form=numbers["form"])
    rows = sized(demand)
    shown = limits(demand)
    if answer == rows[0].limit.name:
        return Judged(True, shown=shown)
    return Judged(False, "M15" if answer == "vectors" else "", f"{rows[0].limit.name} is nearer.", shown)


def _draw_first(dice: random.Random) -> Numbers:
    """Three kinds of guest, of which one limit each is the nearest."""
    kind = dice.randrange(3)
    if kind == 0:
        return {"vcpus": dice.randrange(200, 400), "messages": 64, "queues": dice.randrange(4, 17),
                "cards": dice.randrange(1, 4), "form": "compatibility"}
    if kind == 1:
        return {"vcpus": dice.randrange(16, 64), "messages": 2048, "queues": dice.randrange(8, 16),
                "cards": dice.randrange(3, 6), "form": "remapped"}
    return {"vcpus": dice.randrange(2, 5), "messages": 512, "queues": dice.randrange(400, 500),
            "cards": dice.randrange(2, 4), "form": "remapped"}


CHOICES = ("APIC IDs", "vectors", "table entries", "routes")
TASKS = (
    Task("torn", "There is no remapping. A driver moves a message from {from} to {to}, and writes its words in this "
         "order, without masking it: {words}. (The upper address stays 0, the mask bit stays clear.) The card fires "
         "before the first write, between any two, and after the last: five orders. In how many of them does it reach "
         "a vCPU with a vector that nobody handles there?", _draw_torn, _bad,
         ("Which write changes where it goes, and which the vector?",
          "From the first of those two until the second is done."), _torn),
    Task("interruptions", "A vCPU takes posted interrupts: {running} while it runs, one in each of {naps} naps (it "
         "halts, is woken, and goes on), and {waiting} while another vCPU has its CPU. How often was a guest left, or "
         "the host interrupted, for them?", _draw_exits, _exits,
         ("Who takes the notification while the vCPU runs, sleeps, waits?", "Only a sleeper has to be woken."), None),
    Task("first-limit", "A guest has {vcpus} vCPUs and {cards} cards; each announces {messages} messages and wants "
         "{queues} queues. Its messages are {form} ones. Which of these limits is used most?", _draw_first, _first,
         ("Compare need and room of each.", "Announced messages take routes; queues take vectors."), None,
         one_of(*CHOICES), CHOICES),
)
