"""Exercises of notebook 14: moving an interrupt, posting to a vCPU, running out."""

from __future__ import annotations

import random
from typing import Any

from vsim.domain.posting import Host
from vsim.scale.limits import Demand, sized
from vsim.scale.races import RACES, race
from widgets.course.task import Judged, Numbers, Task
from widgets.lesson.sizes import limits, orders
from widgets.tables import Table

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


def _bad(numbers: Numbers, answer: int) -> Judged:
    """How many of the orders misroute the interrupt?"""
    found = race(RACES["move, masked"], ("mask",))
    bad = sum(order.word == "misrouted" for order in found)
    shown = orders("move, masked", "mask")
    if answer == bad:
        return Judged(True, shown=shown)
    return Judged(False, "M4" if answer == len(found) else "", f"Of {len(found)} orders {bad} misroute it.", shown)


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


def _limit(given: Any) -> str:
    text = str(given).strip()
    if text not in CHOICES:
        raise ValueError(f"one of {', '.join(CHOICES)}")
    return text


CHOICES = ("APIC IDs", "vectors", "table entries", "routes")
TASKS = (
    Task("interruptions", "A vCPU takes posted interrupts: {running} while it runs, one in each of {naps} naps (it "
         "halts, is woken, and goes on), and {waiting} while another vCPU has its CPU. How often was a guest left, or "
         "the host interrupted, for them?", _draw_exits, _exits,
         ("Who takes the notification while the vCPU runs, sleeps, waits?", "Only a sleeper has to be woken."), None),
    Task("torn", "A driver rewrites a message without masking it: lower and upper address, data, and the word with the "
         "mask bit, which stays clear. The device fires before the first, between any two, and after the last of these "
         "writes. In how many of these orders does it reach a vCPU with a vector that nobody handles there?",
         lambda dice: {"of": dice.random()}, _bad,
         ("Which writes change where it goes, and which change the vector?",
          "From the first write of the address until the data is written."), None),
    Task("first-limit", "A guest has {vcpus} vCPUs and {cards} cards; each announces {messages} messages and wants "
         "{queues} queues. Its messages are {form} ones. Which of these limits is used most?", _draw_first, _first,
         ("Compare need and room of each.", "Announced messages take routes; queues take vectors."), None, _limit,
         CHOICES),
)
