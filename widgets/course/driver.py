"""A driver of real instructions on a Lab, and the exercises of notebook 18.

Where the emulator is (extra `unicorn`) the instructions run; where it is not, what they did in a run that was stored is
done again, with other numbers put in (`driver.runs`). The test beside it proves that both are the same.
"""

from __future__ import annotations

import json
import random
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from vsim.guest.processor import MISSING, emulator
from vsim.guest.program import Program, ProgramError, assembled, shipped
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE, remap_message
from vsim.layouts.given import whole
from vsim.layouts.registers import APIC_OFFSET, GCMD, GSTS, OFFSET
from vsim.machine import unit_register
from vsim.protocol.checker import check
from vsim.state import commands as c
from vsim.state.trace import Act
from widgets.course.caches import CARD, QUEUE, STATUS, TABLE
from widgets.course.task import Judged, Numbers, Task, one_of
from widgets.lab.lab import Lab
from widgets.tables import Table

CONFIG = 'name = "bare"\nvcpus = 4\nmemory = 64\nviommu = "type=vtd,intremap=1,x2apic=1"\npci = ["03:00.0"]\n'
"""A domain that nobody has booted: 4 vCPUs, a unit, a card at 03:00.0."""
UNIT, COUNTER = 0xFED90000, 0x90010
STACK_PAGE = 0xF000
INDEX, VECTOR = 9, 0x61
DRIVER = shipped("driver")
LOW = (1 << 64) - 1
RUNS = Path(__file__).with_name("driver.runs")
"""What the driver and its twins did once, with `INDEX`, `VECTOR`, and `SECOND` for the move, on vCPU 0."""
SECOND = 0x71
STORED = "No emulator here (the package unicorn is not installed): this is a run that was stored."


@cache
def twins() -> dict[str, Program]:
    """The driver, and the same with one mistake, by name."""
    return {"": DRIVER, "order": DRIVER.exchanged("latch", "on"), "wait": DRIVER.without("wait"),
            "halves": DRIVER.exchanged("high", "low"), "untold": DRIVER.without("tell"),
            "moved": DRIVER.without("again")}


def entry(vector: int, apic_id: int = 0) -> int:
    """An entry for the card: 128 bits."""
    return int(IRTE.make(p=1, vector=vector, dst=apic_id, svt=1, sid=CARD))


class Listing(str):
    """Rows of a program. In a cell they keep their columns; where the cell is narrow they are scrolled."""

    def _repr_html_(self) -> str:
        return f'<pre style="white-space:pre;overflow-x:auto;margin:0" tabindex="0">{escape(self)}</pre>'

    def __repr__(self) -> str:
        return str(self)


def part(first: str, last: str = "") -> Listing:
    """The listing of the driver from one label up to another."""
    end = DRIVER.labels[last] if last else max(DRIVER.labels.values()) + 0x100
    start = DRIVER.labels[first]
    rows = tuple(row for row in DRIVER.rows if start <= row.address < end and (row.size or row.text.strip()))
    return Listing(Program(DRIVER.code, rows).listing().rstrip())


class Drive:
    """The driver on a machine of its own, run until it waits. lab: where; took: (vCPU, vector) of each interrupt.

    twin: one of `twins`, or a source of one's own, which needs the emulator and binutils. low, second: lower half of
    the entry, and the one of after the first interrupt (0: none). `said` has a line when it did not run. ValueError for
    a twin, vCPU, entry or word that there is not.
    """

    def __init__(self, twin: str = "", index: int = INDEX, low: int = -1, second: int = 0, vcpu: int = 0) -> None:
        self.lab = Lab.from_config(CONFIG)
        if not isinstance(twin, str) or ("\n" not in twin and twin not in twins()):
            raise ValueError(f"twin is {twin!r:.40}; there are {', '.join(map(repr, twins()))}, or a source")
        whole("vcpu", vcpu, self.lab.machine.vcpus - 1)
        whole("index", index, 0xFFFF)
        whole("low", low, LOW, -1)
        whole("second", second, LOW)
        apic_id = self.lab.machine.apic_id[vcpu]
        self.index, self.low, self.high = index, entry(VECTOR, apic_id) & LOW if low < 0 else low, entry(0) >> 64
        self.second, self.vcpu, self.twin = second, vcpu, twin
        self.took: list[tuple[int, int]] = []
        self.said, self._run, self._moved = "", None, not second
        self._start()

    def _start(self) -> None:
        own = "\n" in self.twin
        if own and not emulator():
            self.said = f"{MISSING} A driver of your own needs it."
            return
        try:
            program = assembled(self.twin, "your driver") if own else twins()[self.twin]
        except ProgramError as error:
            self.said = str(error)
            return
        if emulator():
            self._run = self.lab.run(program, self.index, self.low, self.high, self.second, vcpu=self.vcpu)
        else:
            self.said = STORED
            self._again("start")

    # --- what it does ---

    def message(self, name: str = "the card sends") -> str:
        """The card sends its message, and the driver goes on; what came of it."""
        before = len(self.took)
        sent = self.lab.issue(c.Msi(CARD, *remap_message(self.index)), name=name)
        faults = next((event.index for event in sent if event.act == Act.BLOCKED), 0)
        position = self.lab.position
        if self._run is not None:
            self._run.go()
        elif any(event.act in (Act.ACCEPTED, Act.MERGED) and event.node & 0xFFFFFF == self.vcpu for event in sent):
            self._again("more" if self._moved else "moved")
            self._moved = True
        self._note(position)
        if len(self.took) > before:
            return f"vCPU {self.took[-1][0]} takes vector {self.took[-1][1]:#x}"
        return f"blocked, reason {faults:#x}" if faults else "nobody takes it"

    def _note(self, position: int) -> None:
        """What was taken since a position, read from the machine's own log."""
        events = self.lab.history.events(position)
        self.took += [(event.node & 0xFFFFFF, event.index) for event in events if event.act == Act.TAKEN]

    def _again(self, phase: str) -> None:
        """Do a phase of the stored run with these numbers."""
        for name, rows in runs()[self.twin][phase]:
            self.lab.issue(*(self._with(c.from_row(row)) for row in rows), name=name)

    def _with(self, command: c.Command) -> c.Command:
        """A stored command with this drive's numbers in place of those it was stored with."""
        if isinstance(command, c.RamWrite) and TABLE <= command.address < TABLE + 0x1000:
            kept = {entry(VECTOR) & LOW: self.low, entry(0) >> 64: self.high, entry(SECOND) & LOW: self.second}
            half = kept[int.from_bytes(command.data, "little")]
            return c.RamWrite(TABLE + 16 * self.index + command.address % 16, half.to_bytes(8, "little"))
        if isinstance(command, c.RamWrite) and command.address == COUNTER:
            return c.RamWrite(COUNTER, (self.counter() + 1).to_bytes(4, "little"))
        if isinstance(command, c.ApicWrite):
            return c.ApicWrite(self.vcpu, command.register, command.value)
        return c.Acknowledge(self.vcpu) if isinstance(command, c.Acknowledge) else command

    # --- what there is to see ---

    def __repr__(self) -> str:
        if self._run is not None:
            return repr(self._run)
        return self.said

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"

    def steps(self) -> Table:
        """Each step: address, instruction, and what of it left the vCPU."""
        rows = []
        for each in self.lab.gestures():
            address, _, text = each.name.partition(" ")
            if address.startswith("0x"):
                commands = self.lab.history.commands[each.start:each.stop]
                rows.append((address, text, "; ".join(told(command) for command in commands)))
        return Table(("at", "instruction", "what leaves the vCPU"), rows)

    def registers(self) -> str:
        """What GSTS says is on."""
        return str(GSTS.text(unit_register(self.lab.machine, "GSTS")))

    def counter(self) -> int:
        """The word in memory at which the handler counts."""
        return int(self.lab.machine.ram.word(COUNTER) or 0)

    def findings(self) -> Table:
        """What the protocol checker says of all that the program did."""
        history = self.lab.history
        found = {each.rule.name: each for each in reversed(check(history.commands[:history.position], history.first,
                                                                 every=True))}
        names = {at: each.name for each in self.lab.gestures() for at in range(each.start, each.stop)}
        rows = [(name, names[each.step], each.rule.consequence) for name, each in reversed(found.items())]
        return Table(("rule", "at", "what may happen"), rows or [("no rule is broken", "", "")])


@cache
def runs() -> dict[str, dict[str, list[Any]]]:
    """The stored runs: by twin and phase, the steps, each its name and its commands."""
    found: dict[str, dict[str, list[Any]]] = json.loads(RUNS.read_text(encoding="utf-8"))
    return found


_REGISTERS = {offset: name for name, offset in OFFSET.items()}
_APIC = {offset: name for name, offset in APIC_OFFSET.items()}


def told(command: c.Command) -> str:
    """An access in words, places by their names."""
    if isinstance(command, c.Mmio):
        return f"write {_REGISTERS.get(command.address - UNIT, hex(command.address))} {command.value:#x}"
    if isinstance(command, c.MmioRead):
        return f"read {_REGISTERS.get(command.address - UNIT) or _place(command.address)}"
    if isinstance(command, c.RamWrite):
        value = int.from_bytes(command.data[:8], "little")
        what = f"{value:#x}" if len(command.data) <= 8 else f"{len(command.data)} bytes"
        return f"store {what} to {_place(command.address)}"
    if isinstance(command, c.ApicWrite):
        return f"local APIC: {_APIC.get(command.register, hex(command.register))} {command.value:#x}"
    return "take what the local APIC offers" if isinstance(command, c.Acknowledge) else command.name


def _place(address: int) -> str:
    if TABLE <= address < TABLE + 0x1000:
        return f"entry {(address - TABLE) // 16}, {'upper' if address % 16 else 'lower'} half"
    if QUEUE <= address < QUEUE + 0x1000:
        return f"descriptor {(address - QUEUE) // 16}, {'upper' if address % 16 else 'lower'} half"
    return {STATUS: "the status word", COUNTER: "the counter", STACK_PAGE: "the stack"}.get(
        address & ~0xFFF if address >> 12 == STACK_PAGE >> 12 else address, hex(address))


# --- the exercises ---


_KEPT = 0x96FFFFFF      # GSTS without the one-shot bits: the constant of the driver's own AND
_CALLS = {"IRE": GCMD.ire.mask, "CFI": GCMD.cfi.mask}


def _draw_word(dice: random.Random) -> Numbers:
    name = dice.choice(tuple(_CALLS))
    on = {"qies": 1, "irtps": 1, "ires": dice.randrange(2), "cfis": dice.randrange(2)}
    on[f"{name.lower()}s"] = 0
    return {"gsts": int(GSTS.make(**on)), "name": name, "bit": _CALLS[name]}


def _word(numbers: Numbers, answer: int) -> Judged:
    gsts, bit = numbers["gsts"], numbers["bit"]
    right = gsts & _KEPT | bit
    if answer == right:
        return Judged(True, said=f"AND {_KEPT:#x} keeps of {gsts:#x} the levels that are on, OR {bit:#x} adds one.")
    if answer in (gsts | bit, bit):
        return Judged(False, "M9", "The levels that are on have to be written again, the one-shot status must not.")
    return Judged(False, said="Follow the three instructions behind the label gcmd.")


def _scene_word(numbers: Numbers) -> Table:
    gsts, bit = numbers["gsts"], numbers["bit"]
    return Table(("instruction", "EAX"), [
        ("load GSTS", f"{gsts:#010x}"), (f"AND {_KEPT:#x}", f"{gsts & _KEPT:#010x}"),
        (f"OR {bit:#x}", f"{gsts & _KEPT | bit:#010x}")])


def _draw_low(dice: random.Random) -> Numbers:
    return {"vcpu": dice.randrange(1, 4), "vector": dice.randrange(0x51, 0xE0), "index": dice.randrange(16, 200)}


def _sent(numbers: Numbers, low: int) -> tuple[str, Drive]:
    drive = Drive(index=numbers["index"], low=low, vcpu=numbers["vcpu"])
    return drive.message(), drive


def _low(numbers: Numbers, answer: int) -> Judged:
    if not 0 <= answer < 1 << 64:
        return Judged(False, said="A half of an entry has 64 bits.")
    said, drive = _sent(numbers, answer)
    if drive.took == [(numbers["vcpu"], numbers["vector"])]:
        return Judged(True, said=f"{said}.", shown=drive.findings())
    met = "M6" if get(answer, IRTE.dst) == numbers["vcpu"] else ""
    met = met or ("M3" if get(answer, IRTE.vector) == numbers["index"] else "")
    return Judged(False, met, f"The driver ran with it, the card sent: {said}.", IRTE.text(answer))


def _scene_low(numbers: Numbers) -> Table:
    m = Lab.from_config(CONFIG).machine
    low = entry(numbers["vector"], m.apic_id[numbers["vcpu"]]) & LOW
    return Table(("rsi", "as fields", "the card sends"), [(hex(low), IRTE.text(low), _sent(numbers, low)[0])])


def _draw_moved(dice: random.Random) -> Numbers:
    first, second = dice.sample(range(0x51, 0xE0), 2)
    return {"first": first, "second": second, "index": dice.randrange(16, 200)}


def _untold(numbers: Numbers) -> list[str]:
    drive = Drive("moved", numbers["index"], entry(numbers["first"]) & LOW, entry(numbers["second"]) & LOW)
    return [drive.message(), drive.message()]


def _who(numbers: Numbers, answer: int) -> Judged:
    said = _untold(numbers)[1]
    if said.endswith(f" {answer:#x}"):
        return Judged(True, said=f"{said}.")
    met = "M7" if answer == numbers["second"] else "M3" if answer == numbers["index"] else ""
    return Judged(False, met, f"{said}.")


FAULTS = {"": "nothing", "order": "remapping is on before the table is latched", "wait": "nobody awaits the wait",
          "halves": "the half with P is stored first", "untold": "the new entry is not invalidated"}
"""What the exercise asks for, by twin."""


def _draw_log(dice: random.Random) -> Numbers:
    twin = dice.choice(tuple(FAULTS))
    index, vector = dice.randrange(16, 200), dice.randrange(0x51, 0xE0)
    drive = Drive(twin, index, entry(vector) & LOW)
    commands = [command for each in drive.lab.gestures() if each.name.startswith("0x")
                for command in drive.lab.history.commands[each.start:each.stop]]
    lines = [told(command) for command in commands]
    kept = [f"{n:2}  {line}" for n, line in enumerate((line for line in lines if not line.endswith("the stack")), 1)]
    return {"twin": twin, "log": "\n".join(kept), "index": index, "low": entry(vector) & LOW}


def _fault(numbers: Numbers, answer: str) -> Judged:
    drive = Drive(numbers["twin"], numbers["index"], numbers["low"])
    drive.message()
    said = "" if answer == FAULTS[numbers["twin"]] else "The checker read along:"
    return Judged(not said, said=said, shown=drive.findings())


TASKS = (
    Task("word", "The driver calls gcmd with {name} in r8d, and GSTS reads {gsts:#010x}. Which word does it write to "
         "GCMD?", _draw_word, _word,
         ("Three instructions: load GSTS, AND, OR.", "0x96ffffff has bits 24, 27, 29 and 30 clear: the one-shot ones."),
         _scene_word),
    Task("low", "The driver runs on vCPU {vcpu} of this machine; the card's message names entry {index}. Which lower "
         "half (rsi, 64 bits) brings it there as vector {vector:#x}? (P is bit 0, the vector bits 23:16, DST bits "
         "63:32.)", _draw_low, _low,
         ("Xen gives APIC IDs of its own to vCPUs.", "0x300610001 would be vector 0x61 to APIC ID 3."), _scene_low),
    Task("who", "The driver moves entry {index} from vector {first:#x} to {second:#x}, without the flush behind it; "
         "the unit holds what it has. The card sends once more. For which vector does the handler come in?",
         _draw_moved, _who, ("Where does the unit look first?", "Nobody called its copy back."),
         lambda n: Table(("the card sends", ""), list(zip(("before the move", "after it"), _untold(n), strict=True)))),
    Task("fault", "All accesses of a driver, up to where it waits:\n\n{log}\n\nWhat is wrong with it?",
         _draw_log, _fault,
         ("Say of each line what it is for; where the order matters, look twice.",
          "SIRTP is bit 24 of GCMD, IRE bit 25. P is bit 0 of the lower half."), None, one_of(*FAULTS.values()),
         tuple(FAULTS.values())),
)
