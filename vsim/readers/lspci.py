"""What the functions of a host can do, read from the text of `lspci -vvv` (pciutils).

Takes what the versions of the tool print, with or without -n, -nn, -D, -k and the hexadecimal dumps of -x:

    MSI      "MSI: Enable+ Count=1/8 Maskable- 64bit+", "MSI: Mask- 64bit+ Count=1/8 Enable-" (3.0) and
             "Message Signalled Interrupts: Mask- 64bit+ Queue=0/3 Enable-" (2.x; powers of two)
    MSI-X    "MSI-X: Enable+ Count=64 Masked-" and "MSI-X: Enable- Mask- TabSize=64" (2.x)
    Express  "Express (v2) Endpoint, MSI 00", the same with "IntMsgNum 0" or " IRQ 0"

Every other line is passed over. Older versions leave out the pin of a bridge. Where lspci was not run as root
it prints no capabilities; such a function counts as `without_text` says, a bridge as a root port.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from vsim.readers.source import Source, TextError, read, shown

MAX_CHARACTERS = 1 << 23  #: longest text that is read (8 MiB: 600 functions with the dumps of -xxxx)
MAX_FUNCTIONS = 1 << 16  #: functions of one text
ASSUMED_MSIX = 32  #: MSI-X messages of a function of which nothing is known
MSI_COUNTS = (1, 2, 4, 8, 16, 32)  #: numbers of messages that an MSI capability can have
MAX_MSIX = 2048  #: entries of the longest MSI-X table
ENDPOINT = "Endpoint"  #: `pcie_type` of an ordinary PCI Express function
ROOT_PORT = "Root Port"  #: `pcie_type` of a bridge from the root bus to a slot
PCIE_TO_PCI = "PCI-Express to PCI/PCI-X Bridge"  #: `pcie_type` of the bridge that stands for what is below it


class LspciError(TextError):
    """A text that is not what lspci prints. Prints as `FILE:LINE:COLUMN: message`."""


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One PCI function of the host.

    bdf: requester id (bus 15:8, device 7:3, function 2:0). name: what follows the class in lspci's line.
    pin: INTx pin, 1 to 4 for A to D, 0 for none. msi_count: messages that its MSI capability offers, 0 for no
    MSI; msi_64: 64-bit address; msi_maskable: has mask and pending bits. msix_count: entries of its table.
    pcie_type: as lspci names it, None for conventional PCI. bridge: (primary, secondary, subordinate) bus.
    assumed: the capabilities were not to be seen; those given here are the usual ones.
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


@dataclass(frozen=True, slots=True)
class Host:
    """The functions of a host, in the order of the text."""

    functions: tuple[HostFunction, ...]

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


def load(path: str | os.PathLike[str]) -> Host:
    """The host that the file at path describes. A file that cannot be read is an LspciError as well."""
    return parse(read(path, LspciError, MAX_CHARACTERS), os.fspath(path))


def parse(text: str, file: str = "<text>") -> Host:
    """The host that text describes; file names it in errors.

    Raises LspciError: no function at all, a function twice, a number that no PCI function can have.

    >>> host = parse("03:00.0 Network: NIC\\n Capabilities: [70] MSI-X: Enable+ Count=64 Masked-")
    >>> host.find(0x0300).msix_count
    64
    """
    source = Source(text, file, LspciError, MAX_CHARACTERS)
    functions: dict[tuple[int, int], HostFunction] = {}
    key = None
    for start, line in zip(source.starts, text.split("\n"), strict=True):
        if header := _HEADER.match(line):
            function = _function(source, start, header)
            key = function.segment, function.bdf
            if key in functions:
                raise source.error(start, f"found {header[1]} again; allowed: each function once")
            functions[key] = function
            if len(functions) > MAX_FUNCTIONS:
                raise source.error(start, f"found more than {MAX_FUNCTIONS} functions; allowed: up to that")
        elif key is not None and line[:1] in (" ", "\t"):
            functions[key] = _detail(source, start, line, functions[key])
    if not functions:
        raise source.error(0, "found no PCI function; allowed: the text of lspci -vvv")
    return Host(tuple(functions.values()))


_HEX = "[0-9a-fA-F]"
_HEADER = re.compile(rf"((?:({_HEX}{{4,8}}):)?({_HEX}{{2}}):({_HEX}{{2}})\.({_HEX}{{1,4}}))[ \t]+(.*)")
_CLASS_CODE = re.compile(r" \[[0-9a-f]{4}\]$")


def _function(source: Source, start: int, header: re.Match[str]) -> HostFunction:
    segment, bus, device, function = (int(part or "0", 16) for part in header.group(2, 3, 4, 5))
    if device > 31:
        raise source.error(start + header.start(4), f"device is {shown(header[4])}; allowed: 00 to 1f")
    if function > 7:
        raise source.error(start + header.start(5), f"function is {shown(header[5])}; allowed: 0 to 7")
    class_name, _, name = header[6].strip().partition(": ")
    return HostFunction(bus << 8 | device << 3 | function, segment, name, _CLASS_CODE.sub("", class_name))


def _pin(function: HostFunction, match: re.Match[str]) -> HostFunction:
    return replace(function, pin="ABCD".find(match[1]) + 1)


def _bridge(function: HostFunction, match: re.Match[str]) -> HostFunction:
    primary, secondary, subordinate = (int(part, 16) for part in match.groups())
    return replace(function, bridge=(primary, secondary, subordinate))


def _msi(function: HostFunction, match: re.Match[str]) -> HostFunction:
    count, most = int(match["count"]), ", ".join(map(str, MSI_COUNTS))
    if count not in MSI_COUNTS:
        raise ValueError(f"MSI has {count} messages; allowed: {most}")
    return replace(function, msi_count=count, msi_64=match["wide"] == "+", msi_maskable=match["mask"] == "+")


def _msi_of_2(function: HostFunction, match: re.Match[str]) -> HostFunction:
    exponent = int(match["exponent"])
    if exponent >= len(MSI_COUNTS):
        raise ValueError(f"MSI queue is {exponent}; allowed: 0 to {len(MSI_COUNTS) - 1}")
    wide, mask = match["wide"] == "+", match["mask"] == "+"
    return replace(function, msi_count=1 << exponent, msi_64=wide, msi_maskable=mask)


def _msix(function: HostFunction, match: re.Match[str]) -> HostFunction:
    count = int(match["count"])
    if not 1 <= count <= MAX_MSIX:
        raise ValueError(f"MSI-X table has {count} entries; allowed: 1 to {MAX_MSIX}")
    return replace(function, msix_count=count)


def _express(function: HostFunction, match: re.Match[str]) -> HostFunction:
    kind = PCIE_TO_PCI if match["type"] == "PCI/PCI-X Bridge" else match["type"]  # so called by lspci 2.x
    return replace(function, pcie_type=kind)


def _denied(function: HostFunction, _: re.Match[str]) -> HostFunction:
    if function.bridge:
        return replace(function, pcie_type=ROOT_PORT, assumed=True)
    return replace(function, pcie_type=ENDPOINT, msix_count=ASSUMED_MSIX, assumed=True)


_Change = Callable[[HostFunction, re.Match[str]], HostFunction]

#: The lines that tell something, one row each: the form, and what it says of the function.
_DETAILS: tuple[tuple[re.Pattern[str], _Change], ...] = tuple(
    (re.compile(form.replace("CAP", r"Capabilities: \[[0-9a-f]+(?: v\d+)?\]"), re.ASCII), change)
    for form, change in (
        (r"Interrupt: pin (\S)", _pin),
        (r"Bus: primary=([0-9a-f]{2}), secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2})", _bridge),
        (r"CAP MSI: .* Count=\d+/(?P<count>\d{1,4}) Maskable(?P<mask>[+-]) 64bit(?P<wide>[+-])", _msi),
        (r"CAP MSI: Mask(?P<mask>[+-]) 64bit(?P<wide>[+-]) Count=\d+/(?P<count>\d{1,4})", _msi),
        (r"CAP Message .*: (?:Mask(?P<mask>.) )?64bit(?P<wide>[+-]) Queue=\d+/(?P<exponent>\d)", _msi_of_2),
        (r"CAP MSI-X: .*\b(?:Count|TabSize)=(?P<count>\d{1,6})", _msix),
        (r"CAP Express (?:\(v\d+\) )?(?P<type>[^,(]+?)(?: \(Slot[+-]\)| IRQ \d+|,|$)", _express),
        (r"Capabilities: <access denied>", _denied),
    )
)


def _detail(source: Source, start: int, line: str, function: HostFunction) -> HostFunction:
    text = line.strip()
    if not text.startswith(("Capabilities:", "Interrupt:", "Bus:")):
        return function
    for pattern, change in _DETAILS:
        if match := pattern.match(text):
            try:
                return change(function, match)
            except ValueError as error:
                raise source.error(start + line.index(text), str(error)) from None
    return function
