"""A remapping unit by hand, and the exercises of notebook 13: commands, queue, caches, fault log."""

from __future__ import annotations

import random

from vsim.devices import viommu
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import FRCD, IEC, IRTE, WAIT, DescriptorType, remap_message
from vsim.layouts.registers import APIC_BASE_MSR, APIC_MSR, GCMD, GSTS, IRTA, OFFSET, UNIT
from vsim.machine import read as read_register
from vsim.machine import step
from vsim.protocol.checker import outcomes
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from vsim.state.trace import Act, Event
from widgets.course.task import Judged, Numbers, Task, numbers, one_of
from widgets.tables import Table

CARD = 0x0300
BASE, TABLE, QUEUE, STATUS = 0xFED90000, 0x100000, 0x80000, 0x90000
ENTRIES = 256
BECAME = ("delivered", "blocked")
_WIDTH = {name: width for _, width, name, _ in UNIT}


class Unit:
    """A machine of 8 vCPUs with one unit that nobody has switched on, and a card at 03:00.0.

    cache: what the unit keeps of its table, "everything" (caching mode), "present", or "none". Registers are written
    and read as a guest does it; the table has 256 entries at 0x100000.
    """

    def __init__(self, cache: str = "everything", on: bool = False) -> None:
        """on: set up already: queue, table, remapping."""
        self.m = Machine(profile("spec").with_options(cache=cache), 8, 16 << 20)
        self.first = self.m.copy()
        self.log: list[c.Command] = []
        for vcpu in range(8):
            self.do(c.Msr(vcpu, APIC_BASE_MSR, self.m.apic_base[vcpu] | 0xC00))
            self.do(c.Msr(vcpu, APIC_MSR["SVR"], 0x1FF))
        self.do(c.Domctl(viommu.create_op(version=self.m.profile.options.interface)))
        self.tail = 0
        if on:
            self.start()

    def do(self, command: c.Command) -> list[Event]:
        """One command."""
        self.log.append(command)
        return step(self.m, command)

    # --- registers ---

    def write(self, name: str, value: int) -> list[Event]:
        """Write a register."""
        return self.do(c.Mmio(BASE + OFFSET[name], _WIDTH[name], value))

    def read(self, name: str) -> int:
        """Read a register, as a guest does."""
        return read_register(self.m, BASE + OFFSET[name], _WIDTH[name])

    def status(self) -> str:
        """What GSTS says is on."""
        return GSTS.text(self.read("GSTS"))

    def command(self, **bits: int) -> str:
        """Write GCMD: exactly these bits, all others 0; the status after it."""
        self.write("GCMD", GCMD.make(**bits))
        return self.status()

    def start(self) -> str:
        """Queue, table, remapping, each by its own command; the status."""
        self.write("IQA", QUEUE)
        self.command(qie=1)
        self.point(TABLE)
        self.invalidate()
        return self.command(qie=1, ire=1)

    def point(self, table: int) -> str:
        """Latch a table; the status."""
        self.write("IRTA", IRTA.make(base=table >> IRTA.base.low, eime=1, s=ENTRIES.bit_length() - 2))
        level = GCMD.make(qie=1, ire=int(bool(self.read("GSTS") & GSTS.ires.mask)))
        self.write("GCMD", level | GCMD.sirtp.mask)
        return self.status()

    # --- table and queue ---

    def entry(self, index: int, vcpu: int, vector: int = 0x41, table: int = TABLE, **fields: int) -> str:
        """Write an entry that leads to a vCPU, and tell nobody; the entry as text. fields: others of it."""
        made = IRTE.make(**{"p": 1, "vector": vector, "dst": self.m.apic_id[vcpu], "svt": 1, "sid": CARD} | fields)
        self.do(c.RamWrite(table + 16 * index, made.to_bytes(16, "little")))
        return IRTE.text(made)

    def install(self, index: int, vcpu: int, vector: int = 0x41) -> str:
        """Write an entry as a kernel does: invalidated, and known to be done; the entry as text."""
        made = self.entry(index, vcpu, vector)
        self.invalidate(index)
        self.wait()
        return made

    def put(self, *descriptors: int) -> None:
        """Put descriptors into the queue and move its tail."""
        for descriptor in descriptors:
            self.do(c.RamWrite(QUEUE + self.tail, descriptor.to_bytes(16, "little")))
            self.tail = (self.tail + 16) % 4096
        self.write("IQT", self.tail)

    def invalidate(self, index: int | None = None, mask: int = 0) -> None:
        """Empty the entry cache of 2^mask entries from `index`; of all without one."""
        some = IEC.make(type=DescriptorType.IEC, g=1, iidx=index or 0, im=mask)
        self.put(IEC.make(type=DescriptorType.IEC) if index is None else some)

    def wait(self) -> int:
        """Put a wait with a status write, and read that word: 1 when it is done."""
        self.do(c.RamWrite(STATUS, bytes(4)))
        self.put(WAIT.make(type=DescriptorType.WAIT, sw=1, data=1, address=STATUS >> 2))
        return self.m.ram.word(STATUS)

    # --- what happens ---

    def fire(self, index: int) -> str:
        """The card sends a message for an entry; what became of it."""
        events = self.do(c.Msi(CARD, *remap_message(index)))
        took = [(e.node & 0xFFFFFF, e.index) for e in events if e.act in (Act.ACCEPTED, Act.MERGED)]
        fault = next((e.index for e in events if e.act == Act.BLOCKED), 0)
        hit = "from the cache" if any(e.act == Act.HIT for e in events) else "from memory"
        for vcpu, _ in took:
            self.do(c.Acknowledge(vcpu))
            self.do(c.Msr(vcpu, APIC_MSR["EOI"], 0))
        if fault:
            return f"blocked, reason {fault:#x}; entry {hit}"
        return f"vCPU {took[0][0]} takes vector {took[0][1]:#x}; entry {hit}" if took else "nobody takes it"

    def may(self, index: int) -> Table:
        """What any correct unit may do with the card's message now."""
        found = outcomes([*self.log, c.Msi(CARD, *remap_message(index))], self.first)[-1]
        now = str(found.now)
        rows = [(str(each), "the entry in memory" if str(each) == now else "an older value that it may hold")
                for each in sorted(found.deliveries, key=str)]
        return Table(("a correct unit may", "by"), rows, "What any correct unit may do with it now")

    def records(self) -> Table:
        """The fault log as the kernel reads it."""
        m, rows = self.m, list[tuple[object, ...]]()
        for number in range(m.profile.capabilities.fault_records):
            at = m.profile.capabilities.fault_offset + 16 * number
            value = sum(read_register(m, BASE + at + 4 * word, 4) << 32 * word for word in range(4))
            if value >> 127:
                found = FRCD.split(value)
                rows.append((number, f"{found['reason']:#x}", found["index"], bdf_text(found["sid"])))
        return Table(("record", "reason", "index", "source"), rows, f"FSTS: {self.read('FSTS'):#x}")


# --- the exercises ---


def _stale(numbers_: Numbers) -> Unit:
    """An entry that was used, then rewritten, with nothing said to the unit."""
    unit = Unit(on=True)
    unit.install(numbers_["index"], numbers_["first"], numbers_["vector"])
    unit.fire(numbers_["index"])
    unit.entry(numbers_["index"], numbers_["second"], numbers_["vector"])
    return unit


def _told(unit: Unit, numbers_: Numbers) -> Table:
    return Table(("what", "became of it"), [("the message", unit.fire(numbers_["index"]))])


def _who(numbers_: Numbers, answer: int) -> Judged:
    said = _stale(numbers_).fire(numbers_["index"])
    if said.startswith(f"vCPU {answer} "):
        return Judged(True, said=said)
    return Judged(False, "M7" if answer == numbers_["second"] else "", said)


def _covering(numbers_: Numbers, answer: tuple[int, ...]) -> Judged:
    """Entries first..last are in use by the unit, and absent in memory: after the invalidation none may be hit."""
    if len(answer) != 2:
        return Judged(False, said="Two numbers are asked for: the index, then the mask.")
    index, mask = answer
    if not 0 <= index < ENTRIES or not 0 <= mask <= 8:
        return Judged(False, said="The table has 256 entries; a mask from 0 to 8 covers 1 to 256 of them.")
    unit = Unit(on=True)
    for each in range(numbers_["low"], numbers_["high"] + 1):
        unit.entry(each, 1)
    unit.invalidate()
    for each in range(numbers_["low"], numbers_["high"] + 1):
        unit.fire(each)
    unit.invalidate(index, mask)
    left = [each for each in range(numbers_["low"], numbers_["high"] + 1) if "from the cache" in unit.fire(each)]
    if left:
        return Judged(False, said=f"Entry {left[0]} is still used from the cache: the index is taken without its low "
                                  f"{mask} bits.")
    if mask > numbers_["mask"]:
        return Judged(False, said="All are covered, and others that need not be: a smaller mask does.")
    return Judged(True, said=f"2^{mask} entries from {index >> mask << mask} on are covered.")


def _word(numbers_: Numbers, answer: int) -> Judged:
    """Write the word to GCMD of a unit whose queue is on and whose table was just latched."""
    if not 0 <= answer < 1 << 32:
        return Judged(False, said="GCMD has 32 bits.")
    unit = Unit()
    unit.write("IQA", QUEUE)
    unit.command(qie=1)
    unit.point(TABLE)
    if numbers_["cfi"]:
        unit.write("GCMD", GCMD.make(qie=1, cfi=1))
    before = unit.read("GSTS")
    unit.write("GCMD", answer)
    after = unit.read("GSTS")
    lost = before & ~after & ~GSTS.irtps.mask
    said = f"GSTS was {before:#010x} and is {after:#010x}."
    if after & GSTS.ires.mask and not lost and not answer & GCMD.sirtp.mask and after == before | GSTS.ires.mask:
        return Judged(True, said=said)
    return Judged(False, "M9" if lost or answer & GCMD.sirtp.mask else "", said)


def _absent(numbers_: Numbers, answer: str) -> Judged:
    """An absent entry was hit and may be held; then it is made present, and nothing is said to the unit."""
    unit = Unit(on=True)
    unit.invalidate()
    unit.fire(numbers_["index"])
    unit.entry(numbers_["index"], numbers_["first"])
    said = unit.fire(numbers_["index"])
    became = "blocked" if said.startswith("blocked") else "delivered"
    return Judged(True, said=said) if answer == became else Judged(False, "M8", said)


def _draw_may(dice: random.Random) -> Numbers:
    """An entry that is written a few times; behind one of the writes it, or its neighbour, is invalidated."""
    vcpus, index = dice.sample(range(8), dice.choice((3, 4))), dice.randrange(16, 200)
    behind, named = dice.randrange(1, len(vcpus)), index + dice.choice((0, 0, 1))
    writes = [f"writes vCPU {vcpu} into it" for vcpu in vcpus[1:]]
    writes[behind - 1] += f", invalidates entry {named} and waits until that is done"
    return {"index": index, "vcpus": vcpus, "behind": behind, "named": named, "first": vcpus[0],
            "story": "; ".join(writes)}


def _may(numbers_: Numbers) -> Table:
    unit = Unit(on=True)
    unit.install(numbers_["index"], numbers_["first"])
    unit.fire(numbers_["index"])
    for place, vcpu in enumerate(numbers_["vcpus"][1:], 1):
        unit.entry(numbers_["index"], vcpu)
        if place == numbers_["behind"]:
            unit.invalidate(numbers_["named"])
            unit.wait()
    return unit.may(numbers_["index"])


def _outcomes(numbers_: Numbers, answer: int) -> Judged:
    shown = _may(numbers_)
    if answer == len(shown.rows):
        return Judged(True, shown=shown)
    said = "" if answer == 1 else "It counts what the entry was since the last invalidation of this entry was done."
    return Judged(False, "M7" if answer == 1 else "", said, shown)


def _draw(dice: random.Random) -> Numbers:
    first, second = dice.sample(range(1, 8), 2)
    return {"index": dice.randrange(17, 200), "first": first, "second": second, "vector": dice.randrange(0x51, 0xE0)}


def _levels(dice: random.Random) -> Numbers:
    cfi = dice.randrange(2)
    return {"cfi": cfi, "also": ", compatibility messages are let past (CFI)" if cfi else "",
            "gsts": GSTS.make(qies=1, irtps=1, cfis=cfi)}


def _span(dice: random.Random) -> Numbers:
    """A run of entries that needs a larger mask than its length says, since it straddles a boundary."""
    mask = dice.randrange(2, 6)
    middle = (dice.randrange(1, ENTRIES >> mask) << mask) | 1 << mask - 1
    low, high = middle - dice.randrange(1, 1 << mask - 1), middle + dice.randrange(0, 1 << mask - 1)
    return {"low": low, "high": high, "mask": mask, "count": high - low + 1}


TASKS = (
    Task("word", "The queue is on and the table was just latched{also}. GSTS reads {gsts:#010x}. Which word do you "
         "write to GCMD to switch remapping on, and change nothing else? (IRE is bit 25.)", _levels, _word,
         ("Start from what GSTS says is on.", "SIRTP is given once, it is no level: leave bit 24 out."), None),
    Task("who", "Entry {index} led to vCPU {first}, and was used. The kernel writes vCPU {second} into it, and says "
         "nothing to the unit, which holds on to what it has (caching mode). The card sends. Which vCPU takes it?",
         _draw, _who, ("Where does this unit look first?", "Nobody called its copy back."),
         lambda n: _told(_stale(n), n)),
    Task("absent", "Entry {index} is absent, and a message for it was blocked. Now the kernel writes a good entry "
         "there, for vCPU {first}, and says nothing to the unit (caching mode). The card sends again. Is it delivered "
         "or blocked?", _draw, _absent,
         ("Caching mode: what may the unit hold?", "Absence can be remembered, too."), None,
         one_of(*BECAME), BECAME),
    Task("covering", "The kernel has changed the entries {low} to {high}, {count} of them. Which one invalidation "
         "covers them all, and as few others as can be? Two numbers: index, mask (it covers 2^mask entries).",
         _span, _covering,
         ("A mask of 3 covers 8 entries, and the first of them is a multiple of 8.",
          "Write first and last in binary: the bits in which they differ must all lie below the mask."), None, numbers),
    Task("outcomes", "Entry {index} leads to vCPU {first}, and was used. Then the kernel does this: {story}. Of how "
         "many vCPUs may one get the next message, on one correct unit or another?", _draw_may, _outcomes,
         ("Which values of the entry may a unit still hold?", "Every one since the last invalidation that covers it."),
         _may),
)
