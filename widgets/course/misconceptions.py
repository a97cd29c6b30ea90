"""Sixteen things that people believe of interrupts, and that a machine shows to be otherwise.

A wrong answer that only follows from one of these beliefs is its *tell-tale*: whoever gives it is told what he may
believe, what is the case, and where a scene shows it.
"""

from __future__ import annotations

from typing import NamedTuple


class Misconception(NamedTuple):
    """One belief. tell: what answer betrays it; cure: what is the case; scene: notebook and section that show it."""

    belief: str
    tell: str
    cure: str
    scene: tuple[str, str]


MISCONCEPTIONS: dict[str, Misconception] = {
    "M1": Misconception(
        "An interrupt is a wire from the device to a CPU.",
        "a CPU is named before anything was programmed",
        "It is a message: a write that somebody routes. Who gets it stands in tables that software fills.",
        ("00_one_interrupt", "Step 1: what does the card write?")),
    "M2": Misconception(
        "Vector, IRQ, GSI and pin are names of one number.",
        "the pin's number, or its GSI, in place of the vector",
        "They are numbers of different lists: a pin belongs to an I/O APIC, a GSI to the platform, an IRQ to the "
        "kernel, a "
        "vector to one CPU.",
        ("03_six_names", "Six numbers of one interrupt")),
    "M3": Misconception(
        "The index of a table entry is the vector.",
        "the entry's number in place of the vector",
        "The index says where the entry stands; the vector stands in it. Two entries may have one vector, on two CPUs.",
        ("03_six_names", "Index and vector")),
    "M4": Misconception(
        "Under remapping the device chooses the CPU.",
        "the message has to change when the interrupt moves",
        "The device only names an entry. The kernel moves the interrupt by writing the entry, and the device never "
        "notices.",
        ("14_moving_and_running_out", "Moving with a table")),
    "M5": Misconception(
        "x2APIC needs interrupt remapping.",
        "IPIs, too, stop at APIC ID 255 without a vIOMMU",
        "IPIs have 32-bit destinations by themselves. Only messages of devices and I/O APIC entries are too narrow.",
        ("00_one_interrupt", "What if there is no vIOMMU?")),
    "M6": Misconception(
        "The number of a CPU is its APIC ID.",
        "the vCPU's number in place of the APIC ID",
        "The platform gives out the IDs. Xen gives vCPU n the ID 2n, and real machines have gaps.",
        ("03_six_names", "CPU number and APIC ID")),
    "M7": Misconception(
        "When the entry is written in memory, the unit uses it.",
        "the new target at once, where the unit still holds the old entry",
        "A unit may keep a copy. It is bound to use the new entry once an invalidation that covers it has completed.",
        ("13_caches_lie", "A copy that nobody called back")),
    "M8": Misconception(
        "The cache has to be flushed only when an entry is taken away.",
        "no invalidation for an entry that becomes present or changes",
        "Any change of a value that the unit may hold needs one; with caching mode even absent entries are held.",
        ("13_caches_lie", "Caching mode")),
    "M9": Misconception(
        "GCMD can be read back, and its bits set together.",
        "a command word made of what GCMD reads, or two new bits in one write",
        "GCMD is write-only: its state is in GSTS. One command at a time is changed, all others are written as they "
        "are.",
        ("13_caches_lie", "Commands and their status")),
    "M10": Misconception(
        "A device is told when its interrupt is blocked.",
        "the device sends again, or sees an error",
        "A message is a write without an answer. The unit records a fault and interrupts the kernel; the device knows "
        "nothing.",
        ("07_messages_and_senders", "Blocked")),
    "M11": Misconception(
        "The device acknowledges the interrupt at the I/O APIC.",
        "the device ends remote IRR",
        "The CPU's EOI does, by broadcast or by the EOI register. The device only lets go of its line, when its driver "
        "asks.",
        ("05_edge_level_eoi", "Who owes the EOI?")),
    "M12": Misconception(
        "Edge and level differ in speed alone.",
        "a level line that stays up interrupts once",
        "An edge is an event, a level is a state: a line that is still up when the EOI comes interrupts again.",
        ("05_edge_level_eoi", "Edge and level")),
    "M13": Misconception(
        "A posted interrupt never leaves the guest.",
        "no exit even when the vCPU is not running",
        "Only a vCPU that is running takes it without an exit. Else the host is interrupted and has to run the vCPU "
        "first.",
        ("14_moving_and_running_out", "Posting")),
    "M14": Misconception(
        "The source id is the device's own number.",
        "the function's own id behind a conventional bridge",
        "It is the number under which the request arrives: behind a bridge to conventional PCI that is one which the "
        "bridge puts on, its own or that of the bus below it.",
        ("07_messages_and_senders", "Aliases")),
    "M15": Misconception(
        "More queues make a device faster.",
        "as many queues as the device has messages",
        "Queues beyond the number of CPUs share CPUs, and each takes a vector, an entry, and a route from somebody.",
        ("14_moving_and_running_out", "Running out")),
    "M16": Misconception(
        "The host has one IOMMU, so the guest has one.",
        "one unit covers every device",
        "Hosts have several units with different features, each with its own devices; how a guest sees them is a "
        "choice.",
        ("12_many_host_units", "What if they were linked?")),
}
"""The sixteen, by id."""
