"""Exercises of notebook 15: what bites first when a guest grows."""

from __future__ import annotations

from vsim.scale.cell import cell
from vsim.scale.grid import Grid
from vsim.scale.limits import Demand, least_online, sized
from widgets.course.task import Judged, Numbers, Task
from widgets.lesson.sizes import columns, limits
from widgets.tables import Table


def _tried(numbers: Numbers, vcpus: int) -> Table:
    """A guest of so many vCPUs without a vIOMMU: who is reached."""
    grid = Grid({"vcpus": (vcpus,), "viommu": (False,), "apic_id_step": (numbers["step"],), "queues": (1,)})
    return columns([cell(values) for values in grid.cells()], ("vcpus", "apic_id_step", "reached", "refused"))


def _reached(numbers: Numbers, vcpus: int) -> int:
    (values,) = Grid({"vcpus": (vcpus,), "viommu": (False,), "apic_id_step": (numbers["step"],),
                      "queues": (1,)}).cells()
    return int(cell(values)["reached"])


def _first_beyond(numbers: Numbers, answer: int) -> Judged:
    """The answer is tried: with so many vCPUs one is out of reach, and with one fewer none is."""
    if not 2 <= answer <= 4096:
        return Judged(False, said="A guest has 1 to 4,096 vCPUs; with one alone nobody is out of reach.")
    lost, whole = answer - _reached(numbers, answer), _reached(numbers, answer - 1) == answer - 1
    shown = _tried(numbers, answer)
    if lost == 1 and whole:
        return Judged(True, shown=shown)
    met = "M6" if answer in (255, 256, 257) and numbers["step"] == 2 else ""
    return Judged(False, met, f"With {answer} vCPUs {lost} are out of reach, with {answer - 1} "
                              f"{'none' if whole else 'some'}.", shown)


def _stay(numbers: Numbers) -> Demand:
    return Demand(vcpus=numbers["cores"], devices=((2048, numbers["each"]),) * numbers["cards"])


def _stay_online(numbers: Numbers, answer: int) -> Judged:
    demand = _stay(numbers)
    room, need = answer * numbers["vectors"], demand.queues
    said = f"{answer} cores have {room:,} vectors, {need:,} are needed."
    right = room >= need > (answer - 1) * numbers["vectors"]
    return Judged(right and answer == least_online(demand, {"vectors": numbers["vectors"]}), said=said)


def _queues(numbers: Numbers, answer: int) -> Judged:
    own = min(numbers["queues"], numbers["vcpus"])
    if answer == own:
        return Judged(True)
    return Judged(False, "M15" if answer == numbers["queues"] else "",
                  f"{numbers['vcpus']} vCPUs run {numbers['vcpus']} handlers at a time.")


def _many(numbers: Numbers) -> Table:
    return limits(Demand(vcpus=numbers["vcpus"], devices=((2048, numbers["queues"]),)))


def _routed(numbers: Numbers, count: int) -> bool:
    """Whether a KVM host has a route for every message that so many drives announce."""
    demand = Demand(vcpus=8, devices=((numbers["announced"], 9),) * count, pins=numbers["pins"])
    return next(row for row in sized(demand) if row.limit.name == "routes").use <= 1


def _drives(numbers: Numbers, answer: int) -> Judged:
    if not 0 <= answer <= 4096:
        return Judged(False, said="A number from 0 to 4,096 is asked for.")
    right = _routed(numbers, answer) and not _routed(numbers, answer + 1)
    said = f"{answer} announce {answer * numbers['announced']:,}, and {numbers['pins']} pins take a route each."
    if answer == (4096 - numbers["pins"]) // 9:
        said = "That counts the messages that are used. A route is taken for each that is announced."
    return Judged(right, said=said)


def _routes(numbers: Numbers) -> Table:
    count = next(n for n in range(4096) if not _routed(numbers, n + 1))
    return Table(("drives", "every message has a route"), [(n, "yes" if _routed(numbers, n) else "no")
                                                           for n in (count - 1, count, count + 1)])


TASKS = (
    Task("first-beyond", "A guest has no vIOMMU, and vCPU n has APIC ID {step} x n. What is the smallest number of "
         "vCPUs at which one of them gets no device interrupt?", lambda dice: {"step": dice.choice((1, 2))},
         _first_beyond, ("254 is the last ID that a message can name.", "The vCPUs count from 0."),
         lambda numbers: _tried(numbers, 300)),
    Task("stay-online", "A host has {cores} cores with {vectors} vectors each, and {cards} cards with {each} "
         "interrupts each. Cores go offline. How many must stay?",
         lambda dice: {"cores": dice.choice((64, 96, 192, 288)), "vectors": dice.randrange(198, 205),
                       "cards": dice.randrange(3, 7), "each": dice.randrange(300, 900)},
         _stay_online, ("All interrupts have to find a vector on those that stay.", "Divide, and round up."),
         lambda numbers: limits(_stay(numbers), {"vectors": numbers["vectors"]})),
    Task("drives", "A KVM host has 4,096 routes for a guest. {pins} pins take one each, and every message that a drive "
         "announces takes one, used or not. Each drive announces {announced} messages and uses nine. How many drives "
         "can the guest have?",
         lambda dice: {"announced": dice.choice((129, 257, 513, 1024, 2048)), "pins": dice.choice((24, 48))}, _drives,
         ("Used messages do not count here.", "Take the pins off, divide, and round down."), _routes),
    Task("queues", "A card with {queues} queues serves {vcpus} vCPUs. How many of its interrupts can be handled at "
         "the same time?", lambda dice: {"queues": dice.randrange(65, 2000), "vcpus": dice.randrange(4, 64)}, _queues,
         ("Who runs a handler?", "There are no more handlers at a time than vCPUs."), _many),
)
"""The exercises, in the order of the notebook."""
