"""What the functions of a host can do, read from the text of `lspci` (pciutils), whatever it was asked for.

Takes what the versions of the tool print since 2.1, with or without -n, -nn, -D, -k, -P, -PP and the bytes of -x to
-xxxx (which beat the words, `lspci_bytes`):

    MSI      "MSI: Enable+ Count=1/8 Maskable- 64bit+", "MSI: Mask- 64bit+ Count=1/8 Enable-" (3.0) and
             "Message Signalled Interrupts: Mask- 64bit+ Queue=0/3 Enable-" (2.x; powers of two)
    MSI-X    "MSI-X: Enable+ Count=64 Masked-" and "MSI-X: Enable- Mask- TabSize=64" (2.x)
    Express  "Express (v2) Endpoint, MSI 00", the same with "IntMsgNum 0" or " IRQ 0", "#10 [0071]" (before 2.2)

Where functions are, and no more, is also read from `lspci -t`, -m, -mm and -vmm (`lspci_forms`).

What the text does not show is not known, which is another thing than not there: `HostFunction.shown` says which. A
function without details counts as `without_text` says, as does one whose capabilities lspci was not allowed to read; a
bridge counts as a root port. Without -vv there is no pin, only an IRQ: pin A is taken. A blank line ends a function,
and so does a head that is not understood: what is below such a one is left out, with a remark.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from vsim.layouts.bits import get
from vsim.layouts.given import a
from vsim.layouts.registers import MSIX_CONTROL
from vsim.readers import lspci_bytes, lspci_forms
from vsim.readers.pieces import Line, Reading, Remark, few, lines_of
from vsim.readers.source import TextError, shown
from vsim.readers.source import read as read_file

MAX_CHARACTERS = 1 << 23  #: longest text that is read (8 MiB: 600 functions with the dumps of -xxxx)
MAX_FUNCTIONS = 1 << 16  #: functions of one text
ASSUMED_MSIX = 32  #: MSI-X messages of a function of which nothing is known
MSI_COUNTS = (1, 2, 4, 8, 16, 32)  #: numbers of messages that an MSI capability can have
MAX_MSIX = 2048  #: entries of the longest MSI-X table
ENDPOINT = "Endpoint"  #: `pcie_type` of an ordinary PCI Express function
ROOT_PORT = "Root Port"  #: `pcie_type` of a bridge from the root bus to a slot
PCIE_TO_PCI = "PCI-Express to PCI/PCI-X Bridge"  #: `pcie_type` of the bridge that stands for what is below it
PCI_TO_PCIE = "PCI/PCI-X to PCI-Express Bridge"  #: `pcie_type` of the reverse bridge: it has no id from its PCI side
NOTHING, DENIED, FLAGS, ALL, SILENT = "nothing", "denied", "flags", "all", "silent"
"""What a text shows of a function: its name, a text without capabilities, `lspci -v`, all, a device that is gone."""
_LEVELS = (NOTHING, DENIED, SILENT, FLAGS, ALL)


class LspciError(TextError):
    """A text that is not what lspci prints. Prints as `FILE:LINE:COLUMN: message`."""


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One PCI function of the host.

    bdf: requester id (bus 15:8, device 7:3, function 2:0). name: what follows the class in lspci's line.
    pin: INTx pin, 1 to 4 for A to D, 0 for none. msi_count: messages that its MSI capability offers, 0 for no
    MSI; msi_64: 64-bit address; msi_maskable: has mask and pending bits. msix_count: entries of its table.
    pcie_type: as lspci names it, None for conventional PCI. bridge: (primary, secondary, subordinate) bus.
    assumed: the capabilities were not to be seen; those given here are the usual ones. shown: what the text shows of
    it (NOTHING, DENIED, FLAGS, ALL, SILENT). irq: as the text has it, -1 for none. message: address and data of its MSI
    when that is enabled. driver: in use, as -k tells it. line: of its head.
    """

    bdf: int
    segment: int = 0
    name: str = ""
    class_name: str = ""
    pin: int = 0
    msi_count: int = 0
    msi_64: bool = False
    msi_maskable: bool = False
    msix_count: int = 0
    pcie_type: str | None = None
    bridge: tuple[int, int, int] | None = None
    assumed: bool = False
    shown: str = field(default=ALL, compare=False)
    irq: int = field(default=-1, compare=False)
    message: tuple[int, int] | None = field(default=None, compare=False)
    driver: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def is_bridge(self) -> bool:
        """Whether it is a bridge to another bus, by its buses or by its class."""
        return self.bridge is not None or self.class_name in ("PCI bridge", "0604", "Class 0604")


@dataclass(frozen=True, slots=True)
class Host:
    """The functions of a host, in the order of the text; remarks: what was left out, or taken with doubt."""

    functions: tuple[HostFunction, ...]
    remarks: tuple[Remark, ...] = field(default=(), compare=False)

    def find(self, bdf: int, segment: int = 0) -> HostFunction | None:
        """The function with this requester id, None when the text does not have it."""
        return next((each for each in self.functions if (each.bdf, each.segment) == (bdf, segment)), None)

    def bridge_above(self, bdf: int, segment: int = 0) -> HostFunction | None:
        """The bridge whose secondary bus is the function's, None on a root bus.

        A bus without a bridge of its own, as SR-IOV makes them, belongs to the closest bridge that routes to
        it. A bridge counts only when it leads to a higher bus than its own: climbing comes to an end.
        """
        bus = bdf >> 8
        above = [each for each in self.functions if each.segment == segment and _leads_to(each, bus)]
        return max(above, key=_secondary, default=None)


def _leads_to(function: HostFunction, bus: int) -> bool:
    if function.bridge is None:
        return False
    _, secondary, subordinate = function.bridge
    return function.bdf >> 8 < secondary <= bus and (bus == secondary or bus <= subordinate)


def _secondary(function: HostFunction) -> int:
    return function.bridge[1] if function.bridge else 0


def without_text(bdf: int, segment: int = 0) -> HostFunction:
    """What to assume where there is no text: a PCI Express endpoint with 32 MSI-X messages and pin A."""
    return HostFunction(bdf, segment, pin=1, msix_count=ASSUMED_MSIX, pcie_type=ENDPOINT, assumed=True)


@dataclass(frozen=True, slots=True)
class Listed:
    """One function of a text that may have several machines: `machine` counts them from 0."""

    file: str
    line: int
    machine: int
    function: HostFunction


def load(path: str | os.PathLike[str]) -> Host:
    """The host that the file at path describes. A file that cannot be read is an LspciError as well."""
    return parse(read_file(path, LspciError, MAX_CHARACTERS), os.fspath(path))


def parse(text: str, file: str = "<text>") -> Host:
    """The host that text describes, the first when there are several; file names it in errors.

    Raises LspciError when there is no function at all, or the text is too long. All else is a remark.

    >>> host = parse("03:00.0 Network: NIC\\n Capabilities: [70] MSI-X: Enable+ Count=64 Masked-")
    >>> host.find(0x0300).msix_count
    64
    """
    a(str, "text", text)
    if len(text) > MAX_CHARACTERS:
        raise LspciError(file, 1, 1, f"found {len(text)} characters; allowed: up to {MAX_CHARACTERS}")
    lines, before = lines_of(text, file)
    found = read(lines)
    functions = together(each.function for each in found.records if each.machine == 0)
    if not functions:
        raise LspciError(file, 1, 1, "found no PCI function; allowed: the text of lspci -vvv")
    return Host(functions, (*before, *found.remarks))


def read(lines: Sequence[Line]) -> Reading:
    """The functions of a text, as `Listed`, and what was left out or taken with doubt."""
    reader = _Reader(lines[0].file if lines else "text")
    for line in _flush(lines):
        reader.take(line)
    records = tuple(Listed(reader.file, block.function.line, number, block.result())
                    for number, machine in enumerate(reader.machines) for block in machine.values())
    remarks = [*reader.remarks, *_on_level(reader.file, records)]
    torn: list[Line] = []
    for form, places in (("lspci -t", lspci_forms.tree(lines, torn)), ("lspci -vmm", lspci_forms.tags(lines))):
        found = tuple(islice((_placed(place) for place in places), MAX_FUNCTIONS))
        if found:
            remarks.append(Remark(found[0].file, found[0].line, 1, f"{len(found)} functions as {form} shows them: where"
                                                                   " they are; their capabilities are not known"))
        records += found
    if torn:
        remarks.append(Remark(torn[0].file, torn[0].number, 1, f"left out: {len(torn)} rows of a tree of lspci -t that"
                                                               " has lost its blanks: their bus is not known"))
    return Reading(tuple(sorted(records, key=lambda each: (each.machine, each.line))), few(remarks))


def _placed(place: lspci_forms.Place) -> Listed:
    """A function of which its place is known."""
    function = HostFunction(place.bdf, place.segment, place.name, place.class_name, bridge=place.bridge,
                            driver=place.driver, shown=NOTHING, line=place.line.number)
    return Listed(place.line.file, place.line.number, 0, _assumed(function, False))


def together(functions: Iterable[HostFunction]) -> tuple[HostFunction, ...]:
    """Functions that several texts show, each once: what the text says that shows most, and what only another has."""
    found: dict[tuple[int, int], HostFunction] = {}
    for each in functions:
        old = found.setdefault((each.segment, each.bdf), each)
        if old is not each:
            most, least = (each, old) if _LEVELS.index(each.shown) > _LEVELS.index(old.shown) else (old, each)
            bridge = most.bridge or least.bridge
            most = replace(most, name=most.name or least.name, class_name=most.class_name or least.class_name,
                           bridge=bridge, driver=most.driver or least.driver)
            found[each.segment, each.bdf] = _assumed(most, False) if most.assumed and bridge != old.bridge else most
    return tuple(found.values())


def _flush(lines: Sequence[Line]) -> Sequence[Line]:
    """Lines as they were before somebody indented a whole text, as a code block of a web page has it."""
    heads = ((line.text, line.text.lstrip()) for line in lines)
    edges = {text[:len(text) - len(bare)] for text, bare in heads if _HEADER.match(bare)}
    edge = next(iter(edges)) if len(edges) == 1 else ""
    return [line._replace(text=line.text.removeprefix(edge)) for line in lines] if edge else lines


def _on_level(file: str, records: Sequence[Listed]) -> Iterator[Remark]:
    """What the text as a whole does not show."""
    for level, text in ((NOTHING, "has no details here: lspci without -v; its capabilities are not known"),
                        (FLAGS, "is shown as lspci -v does: which pin it has is not to be seen, A is taken"),
                        (SILENT, "does not answer: all its bytes read as ones")):
        found = [each for each in records if each.function.shown == level
                 and (level != FLAGS or each.function.irq >= 0)]
        if found:
            others = f" (and {len(found) - 1} others)" if len(found) > 1 else ""
            yield Remark(file, found[0].line, 1, f"{_label(found[0].function)}{others} {text}")


def _label(function: HostFunction) -> str:
    place = f"{function.bdf >> 8:02x}:{function.bdf >> 3 & 31:02x}.{function.bdf & 7}"
    return f"{function.segment:04x}:{place}" if function.segment else place


# --- lines ---


@dataclass(slots=True)
class _Block:
    """A function that is being read. head: its line without the address; space: bytes of its dump."""

    function: HostFunction
    head: str
    space: bytearray = field(default_factory=bytearray)
    detailed: bool = False

    def result(self) -> HostFunction:
        """The function as all of its lines have it."""
        known = lspci_bytes.facts(bytes(self.space))
        complete, function = known.pop("complete", False), replace(self.function, **known)
        if ("rev ff" in self.head and "prog-if ff" in self.head) or lspci_bytes.silent(bytes(self.space)):
            function = replace(function, shown=SILENT)
        elif complete:
            return replace(function, shown=ALL, assumed=False)
        elif not self.detailed:
            function = replace(function, shown=NOTHING)
        if function.shown in (NOTHING, DENIED, SILENT):
            return _assumed(function, bool(known))
        if function.shown == FLAGS and not function.pin and function.irq >= 0 and not function.is_bridge:
            return replace(function, pin=1)
        return function


def _assumed(function: HostFunction, header: bool) -> HostFunction:
    """What counts for a function whose capabilities are not to be seen. header: its bytes tell pin and buses."""
    if function.is_bridge:
        return replace(function, pcie_type=ROOT_PORT, msix_count=0, assumed=True)
    pin = function.pin if header or function.shown == DENIED else 1
    return replace(function, pin=pin, pcie_type=ENDPOINT, msix_count=ASSUMED_MSIX, assumed=True)


_HEX = "[0-9a-fA-F]"
_HEADER = re.compile(rf"((?:{_HEX}[0-9a-fA-F:.]{{3,15}}/)*)((?:({_HEX}{{4,8}}):)?(?:({_HEX}{{2}}):)?({_HEX}{{2}})"
                     rf"\.({_HEX}{{1,4}}))[ \t]+(?!0x|[0-9a-f]{{8}}[ \t])(.*)")
_PROMPT = re.compile(r"\[?[\w.-]{1,40}@[\w.-]{1,60}[: ]|```")
_CLASS_CODE = re.compile(r" \[[0-9a-f]{4}\]$")
_NUMBERS = re.compile(r"(?:Class )?[0-9a-f]{4}: ")
_DUMP = re.compile(r"[ \t]*([0-9a-f]{2,3}):((?: [0-9a-f]{2}){1,16})[ \t]*")
_NAMES_ONLY = ("Subsystem:", "DeviceName:", "Kernel driver", "Kernel modules", "Physical Slot:", "NUMA node:",
               "IOMMU group:", "Memory behind", "I/O behind")
"""Lines of lspci -k and the like, which show nothing of what a function can do."""
_FACTS = ("Capabilities:", "Interrupt:", "Bus:", "Flags:", "Address:", "!!! Unknown header", "Kernel driver in use:")
"""How lines begin that may have a fact."""
_AT_ONCE = re.compile(r"\s*(?:Subsystem: |DeviceName: |Control: I/O|Status: Cap|Flags: (?:bus|fast|66|medium|slow|"
                      r"cache)|Interrupt: pin |Bus: primary=|Capabilities: [<\[]|Address: [0-9a-f]|"
                      r"Kernel driver in use: |Kernel modules: |!!! Unknown header)")
"""Details that are known where a web page has lost their indentation."""


WRAP = 66
"""Characters of the shortest line that a mail program breaks."""


class _Reader:
    """The state between two lines. machines: the functions of each, by (segment, requester id); room: characters
    that the last line had left, of those that a mail program leaves in one; flush: details are not indented."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.machines: list[dict[tuple[int, int], _Block]] = [{}]
        self.paths: dict[str, tuple[int, int]] = {}
        self.block: _Block | None = None
        self.unfinished = ""
        self.room = WRAP
        self.orphans = False
        self.flush = False
        self.remarks: list[Remark] = []

    def take(self, line: Line) -> None:
        text = line.text
        if text[:1] == ">":
            text = text.lstrip("> ")
        if text[:1] in (" ", "\t") and text.strip() and not self.flush:
            if dump := _DUMP.fullmatch(text):
                return self.dump(dump)
            return self.details(line, text)
        if match := _HEADER.match(text):
            return self.head(line, match)
        if dump := _DUMP.fullmatch(text):
            return self.dump(dump)
        if self.block and _AT_ONCE.match(text) and (self.flush or not (self.block.detailed or self.block.space)):
            self.flush = True
            return self.details(line, text)
        if text.strip() and self.block:      # a mail program broke the line
            if self.unfinished:
                self.detail(line, 1, f"{self.unfinished} {text.strip()}", again=True)
                return None
            if self.room < len(text.split(None, 1)[0]) and not _PROMPT.match(text):
                return self.goes_on(text.strip())
            if self.flush and not _PROMPT.match(text):
                return None
        self.block, self.unfinished, self.orphans, self.flush = None, "", bool(text.strip()), False
        return None

    def goes_on(self, rest: str) -> None:
        """The rest of a line that had no room for it: of a head it is the function's name, of a detail nothing new."""
        assert self.block
        if self.block.detailed or self.block.space:
            return
        function = self.block.function
        self.block.function = replace(function, name=f"{function.name} {rest}")
        self.room = WRAP - len(rest)

    def head(self, line: Line, match: re.Match[str]) -> None:
        """The first line of a function."""
        self.block, self.unfinished, self.orphans, self.flush = None, "", True, False
        self.room = WRAP - len(line.text)
        key = self.key(line, match)
        if key is None:
            return
        class_name, _, name = match[7].strip().partition(": ")
        if class_name[:1] == '"':
            class_name, name = lspci_forms.quoted(match[7])
        function = HostFunction(key[1], key[0], name, _CLASS_CODE.sub("", class_name), line=line.number)
        block = _Block(function, match[7].strip())
        machine = self.machines[-1]
        if len(machine) >= MAX_FUNCTIONS:
            self.remark(line, 1, f"found more than {MAX_FUNCTIONS} functions: {match[2]} is left out")
            return
        if key in machine:
            block = self.again(line, match, machine[key], block)
        self.machines[-1][key] = self.block = block
        self.paths[match[1] + match[2]] = key

    def again(self, line: Line, match: re.Match[str], old: _Block, new: _Block) -> _Block:
        """A function that the text had already: the same once more, or the first of another machine."""
        numbers = _NUMBERS.match(old.head) or _NUMBERS.match(new.head)
        names = [(each.function.class_name, each.function.name.partition(" (")[0]) for each in (old, new)]
        if not numbers and names[0] != names[1]:
            self.machines.append({})
            self.remark(line, 1, f"found {match[2]} again, as another device (line {old.function.line}): another "
                                 "machine begins here")
            return new
        if old.detailed or old.space:
            self.remark(line, 1, f"found {match[2]} again (line {old.function.line} has it): what it says is added")
        return old

    def key(self, line: Line, match: re.Match[str]) -> tuple[int, int] | None:
        """Segment and requester id; the bus of lspci -P is that below the bridge before it. None, with a remark."""
        segment, device, function = int(match[3] or "0", 16), int(match[5], 16), int(match[6], 16)
        if match[4]:
            bus = int(match[4], 16)
        else:
            above = self.paths.get(match[1][:-1])
            bridge = above and self.machines[-1][above].result().bridge
            if not above or not bridge:
                if match[1]:
                    self.remark(line, match.start(2) + 1, f"left out: the bus of {match[1]}{match[2]} is not known")
                return None
            segment, bus = above[0], bridge[1]
        if match[1] and not match[3]:
            segment = self.paths.get(match[1][:-1], (segment, 0))[0]
        for name, value, limit, at in (("device", device, 31, 5), ("function", function, 7, 6)):
            if value > limit:
                found = f"{name} is {shown(match[at])}; allowed: 0 to {limit:x}: left out"
                self.remark(line, match.start(at) + 1, found)
                return None
        return segment, bus << 8 | device << 3 | function

    def dump(self, match: re.Match[str]) -> None:
        """A row of bytes."""
        self.unfinished = ""
        if self.block and int(match[1], 16) == len(self.block.space):
            self.block.space += bytes.fromhex(match[2])

    def details(self, line: Line, text: str) -> None:
        """A line below a head; lspci 2.1 forgets to end one before the next capability."""
        if self.block is None:
            if self.orphans and text.lstrip().startswith(("Capabilities:", "Interrupt:", "Bus:", "Flags:")):
                self.orphans = False
                self.remark(line, 1, "left out: what follows belongs to no function, its head was not understood")
            return
        at, self.room = 0, WRAP - len(text.expandtabs())
        for part in re.split(r"(?<=\S)(?=\s{1,8}Capabilities: \[)", text):
            self.detail(line, at + len(part) - len(part.lstrip()) + 1, part.strip())
            at += len(part)

    def detail(self, line: Line, column: int, text: str, again: bool = False) -> None:
        """One fact of the function that is open."""
        block = self.block
        if block is None:
            return
        if not text.startswith(_NAMES_ONLY):
            block.detailed = True
        self.unfinished = ""
        if not text.startswith(_FACTS):
            return
        for pattern, change in _DETAILS:
            if match := pattern.match(text):
                try:
                    block.function = change(block.function, match)
                except ValueError as error:
                    self.remark(line, column, f"{error}: left out")
                return
        self.unfinished = "" if again or not text.startswith("Capabilities:") else text

    def remark(self, line: Line, column: int, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, column, text))


# --- facts ---


def _pin(function: HostFunction, match: re.Match[str]) -> HostFunction:
    return replace(function, pin="ABCD".find(match[1]) + 1, irq=int(match[2] or "-1"))


def _flags(function: HostFunction, match: re.Match[str]) -> HostFunction:
    """`lspci -v` has an IRQ and no pin."""
    return replace(function, shown=function.shown if function.shown != ALL else FLAGS, irq=int(match[1] or "-1"))


def _address(function: HostFunction, match: re.Match[str]) -> HostFunction:
    """The message of an MSI capability."""
    if not function.msi_count or function.message != (0, 0):
        return function
    return replace(function, message=(int(match[1], 16), int(match[2], 16)))


def _bridge(function: HostFunction, match: re.Match[str]) -> HostFunction:
    primary, secondary, subordinate = (int(part, 16) for part in match.groups())
    return replace(function, bridge=(primary, secondary, subordinate))


def _msi(function: HostFunction, match: re.Match[str]) -> HostFunction:
    count, most = int(match["count"]), ", ".join(map(str, MSI_COUNTS))
    if count not in MSI_COUNTS:
        raise ValueError(f"MSI has {count} messages; allowed: {most}")
    on = (0, 0) if "Enable+" in match.string else None
    wide, mask = match["wide"] == "+", match["mask"] == "+"
    return replace(function, msi_count=count, msi_64=wide, msi_maskable=mask, message=on)


def _msi_of_2(function: HostFunction, match: re.Match[str]) -> HostFunction:
    exponent = int(match["exponent"])
    if exponent >= len(MSI_COUNTS):
        raise ValueError(f"MSI queue is {exponent}; allowed: 0 to {len(MSI_COUNTS) - 1}")
    wide, mask, on = match["wide"] == "+", match["mask"] == "+", (0, 0) if "Enable+" in match.string else None
    return replace(function, msi_count=1 << exponent, msi_64=wide, msi_maskable=mask, message=on)


def _msix(function: HostFunction, match: re.Match[str]) -> HostFunction:
    count = int(match["count"])
    if not 1 <= count <= MAX_MSIX:
        raise ValueError(f"MSI-X table has {count} entries; allowed: 1 to {MAX_MSIX}")
    return replace(function, msix_count=count)


def _express(function: HostFunction, match: re.Match[str]) -> HostFunction:
    kind = PCIE_TO_PCI if match["type"] == "PCI/PCI-X Bridge" else match["type"]  # so called by lspci 2.x
    return replace(function, pcie_type=kind)


def _number(function: HostFunction, match: re.Match[str]) -> HostFunction:
    """A capability by its number, as versions print those that they do not know: id, then the word behind it."""
    kind, word = int(match[1], 16), int(match[2], 16)
    if kind == lspci_bytes.EXPRESS_ID:
        return replace(function, pcie_type=lspci_bytes.express(word))
    if kind == lspci_bytes.MSIX:
        return replace(function, msix_count=int(get(word, MSIX_CONTROL.last)) + 1)
    return function


def _driver(function: HostFunction, match: re.Match[str]) -> HostFunction:
    return replace(function, driver=match[1])


def _denied(function: HostFunction, _: re.Match[str]) -> HostFunction:
    return replace(function, shown=DENIED)


def _silent(function: HostFunction, _: re.Match[str]) -> HostFunction:
    return replace(function, shown=SILENT)


_Change = Callable[[HostFunction, re.Match[str]], HostFunction]

#: The lines that tell something, one row each: the form, and what it says of the function.
_DETAILS: tuple[tuple[re.Pattern[str], _Change], ...] = tuple(
    (re.compile(form.replace("CAP", r"Capabilities: \[[0-9a-f]+(?: v\d+)?\]"), re.ASCII), change)
    for form, change in (
        (r"Interrupt: pin (\S)(?: routed to IRQ (-?\d{1,10})\b)?", _pin),
        (r"Flags: (?:.*\bIRQ (\d{1,10})\b)?", _flags),
        (r"Address: ([0-9a-f]{8,16})  Data: ([0-9a-f]{4})", _address),
        (r"CAP #([0-9a-f]{2}) \[([0-9a-f]{4})\]", _number),
        (r"!!! Unknown header type 7f", _silent),
        (r"Kernel driver in use: ([\w.-]{1,60})$", _driver),
        (r"Bus: primary=([0-9a-f]{2}), secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2})", _bridge),
        (r"CAP MSI: .* Count=\d+/(?P<count>\d{1,4}) Maskable(?P<mask>[+-]) 64bit(?P<wide>[+-])", _msi),
        (r"CAP MSI: Mask(?P<mask>[+-]) 64bit(?P<wide>[+-]) Count=\d+/(?P<count>\d{1,4})", _msi),
        (r"CAP Message .*: (?:Mask(?P<mask>.) )?64bit(?P<wide>[+-]) Queue=\d+/(?P<exponent>\d)", _msi_of_2),
        (r"CAP MSI-X: .*\b(?:Count|TabSize)=(?P<count>\d{1,6})", _msix),
        (r"CAP Express (?:\(v\d+\) )?(?P<type>[^,(]+?)(?: \(Slot[+-]\)| IRQ \d+|,|$)", _express),
        (r"Capabilities: <access denied>", _denied),
    )
)
