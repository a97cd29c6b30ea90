"""A domain configuration as `xl create` takes it (xl.cfg(5)), up to what matters to interrupts.

`vsim.readers.xlu` reads the syntax; this module gives the options their meaning. A mistake is a `ConfigError` that
says what was found and what is allowed. Options that have no part in interrupts are kept in `Config.unknown`.
What xl would do otherwise, and what was assumed, is a sentence in `Config.notes`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vsim.readers.source import Source, TextError, read, shown
from vsim.readers.xlu import Value, settings

MAX_CHARACTERS = 1 << 20  #: longest file that is read (1 MiB)
MAX_DEVICES = 256  #: entries of one pci, vif or disk list: the functions of one guest bus
MAX_VCPUS = 4096  #: vCPUs that the machine can have
XEN_VCPUS = 128  #: vCPUs of an HVM guest at which Xen itself stops (HVM_MAX_VCPUS)
MAX_MEMORY = 1 << 24  #: MiB of guest memory: 16 TiB
DEFAULT_MEMORY = 1024  #: MiB, where the file does not say
UNNAMED = "unnamed"  #: name of a domain whose file gives none

#: Options of one entry of `pci` that xl knows (xl-pci-configuration(5)); others are kept with a note.
PCI_OPTIONS = ("msitranslate", "name", "permissive", "power_mgmt", "rdm_policy", "seize")


class ConfigError(TextError):
    """A configuration that cannot be used. Prints as `FILE:LINE:COLUMN: message`."""


@dataclass(frozen=True, slots=True)
class PciAssign:
    """One passed-through function, `[DDDD:]BB:DD.F[@VSLOT][,KEY=VALUE...]` in hexadecimal.

    bdf: requester id on the host (bus 15:8, device 7:3, function 2:0). segment: the PCI domain DDDD.
    virtual_slot: device number on the guest's bus 0, None when xl chooses. options: the pairs, in order.
    """

    bdf: int
    segment: int = 0
    virtual_slot: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Emulated:
    """One emulated device. kind: "nic" or "disk". text: its entry of `vif` or `disk` as written."""

    kind: str
    model: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class ViommuConfig:
    """The `viommu` option (X 6.1). base, length (bytes): the register page; None unless intremap is given."""

    type: str
    intremap: bool
    x2apic: bool
    base: int | None
    length: int | None
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Config:
    """A domain as its file describes it.

    type: "hvm" or "pvh". vcpus are online at the start, maxvcpus exist. memory in MiB. vifs, disks: number of
    entries; emulated: those of them that the guest sees as an emulated device. unknown: (key, line) of the
    options that were read and not used. notes: sentences on what was assumed or is unusual.
    """

    name: str
    type: str
    vcpus: int
    maxvcpus: int
    memory: int
    pci: tuple[PciAssign, ...]
    vifs: int
    disks: int
    emulated: tuple[Emulated, ...]
    viommu: ViommuConfig | None
    unknown: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    file: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one version of the interface writes `viommu` (X 6.1): types and switches, keys in any order."""

    types: tuple[str, ...]
    switches: tuple[str, ...]
    base: int = 0xFED90000
    length: int = 0x1000


#: The grammar of `viommu` by interface version (X 6.1, row "RFC v2, v1").
GRAMMARS = {"v1": Grammar(types=("vtd",), switches=("intremap", "x2apic"))}


def load(path: str | os.PathLike[str], grammar: str = "v1") -> Config:
    """The domain that the file at path describes. A file that cannot be read is a ConfigError as well."""
    return parse(read(path, ConfigError, MAX_CHARACTERS), os.fspath(path), grammar)


def parse(text: str, file: str = "<text>", grammar: str = "v1") -> Config:
    """The domain that text describes; file names it in errors. grammar: a key of GRAMMARS.

    Raises ConfigError for a mistake in text, ValueError for an unknown grammar.

    >>> parse('name="h0"; vcpus=4; type="hvm"; pci=["03:00.0"]').pci[0].bdf == 0x0300
    True
    """
    if grammar not in GRAMMARS:
        raise ValueError(f"grammar is {grammar!r}; known are {', '.join(GRAMMARS)}")
    options = _Options(Source(text, file, ConfigError, MAX_CHARACTERS))
    kind = _type(options)
    vcpus, maxvcpus = _vcpus(options)
    vifs, disks = options.texts("vif"), options.texts("disk")
    return Config(
        name=options.text("name", UNNAMED),
        type=kind,
        vcpus=vcpus,
        maxvcpus=maxvcpus,
        memory=_memory(options),
        pci=_pci(options),
        vifs=len(vifs),
        disks=len(disks),
        emulated=_emulated(options, kind, vifs, disks),
        viommu=_viommu(options, GRAMMARS[grammar]),
        unknown=options.unknown(),
        notes=tuple(options.notes),
        file=file,
    )


def _type(options: _Options) -> str:
    """`type`, else the older `builder`. xl takes a file with neither as pv, where no vIOMMU can be."""
    builder = options.choice("builder", ("hvm",))
    kind = options.choice("type", ("hvm", "pvh"))
    if not kind and not builder:
        options.notes.append("type is not given: hvm taken (xl makes it pv, which has no vIOMMU)")
    return kind or "hvm"


def _vcpus(options: _Options) -> tuple[int, int]:
    vcpus = options.number("vcpus", 1, 1, MAX_VCPUS)
    most = options.number("maxvcpus", vcpus, 1, MAX_VCPUS)
    if most < vcpus:
        at = options.given["maxvcpus"].value.at
        raise options.source.error(at, f"maxvcpus is {most}; allowed: from {vcpus} on, the number of vcpus")
    if most > XEN_VCPUS:
        options.notes.append(f"{most} vCPUs: Xen itself stops at {XEN_VCPUS}")
    return vcpus, most


def _memory(options: _Options) -> int:
    if "memory" not in options.given:
        options.notes.append(f"memory is not given: {DEFAULT_MEMORY} MiB taken")
    return options.number("memory", DEFAULT_MEMORY, 1, MAX_MEMORY)


def _pci(options: _Options) -> tuple[PciAssign, ...]:
    entries: dict[tuple[int, int], PciAssign] = {}
    for value in options.texts("pci"):
        entry = _assign(options, value)
        first = entries.setdefault((entry.segment, entry.bdf), entry)
        if first is not entry:
            message = f"found {shown(value.text)} again; allowed: once (line {first.line} has it)"
            raise options.source.error(value.at, message)
    return tuple(entries.values())


def _assign(options: _Options, value: Value) -> PciAssign:
    source, where, pairs = options.source, {"bdf": (value.at, ""), "vslot": (value.at, "")}, []
    for number, (at, part) in enumerate(value.parts()):
        key, equals, text = (side.strip() for side in part.partition("="))
        if number == 0 and not equals:
            bdf, _, slot = part.partition("@")
            where = {"bdf": (at, bdf), "vslot": (at, slot)}
        elif not equals:
            raise source.error(at, f"found {shown(part)}; allowed: KEY=VALUE after the function")
        elif key in where:
            where[key] = at, text
        else:
            pairs.append((key, text))
            _note_unknown(options, at, key)
    segment, requester = _function(source, *where["bdf"])
    return PciAssign(requester, segment, _slot(source, *where["vslot"]), tuple(pairs), source.line(value.at))


def _note_unknown(options: _Options, at: int, key: str) -> None:
    if key not in PCI_OPTIONS:
        line = options.source.line(at)
        options.notes.append(f"line {line}: {shown(key)} is no pci option that xl knows; kept, not used")


_BDF = re.compile(r"(?:([0-9a-fA-F]{1,4}):)?([0-9a-fA-F]{1,2}):([01]?[0-9a-fA-F])\.([0-7*])")
_VSLOT = re.compile(r"(?:[01]?[0-9a-fA-F])?")


def _function(source: Source, at: int, text: str) -> tuple[int, int]:
    """(segment, requester id). The form BB:DD.* of xl would need to know the functions of the host."""
    match = _BDF.fullmatch(text.strip())
    if match is None:
        allowed = "[DDDD:]BB:DD.F in hexadecimal, DD up to 1f, F up to 7"
        raise source.error(at, f"found {shown(text)} as a PCI function; allowed: {allowed}")
    if match[4] == "*":
        raise source.error(at, f"found {shown(text)}; allowed: each function as an entry of its own")
    segment, bus, device, function = (int(part or "0", 16) for part in match.groups())
    return segment, bus << 8 | device << 3 | function


def _slot(source: Source, at: int, text: str) -> int | None:
    if not _VSLOT.fullmatch(text):
        raise source.error(at, f"virtual slot is {shown(text)}; allowed: 0 to 1f, hexadecimal")
    return int(text, 16) if text else None


def _emulated(options: _Options, kind: str, vifs: list[Value], disks: list[Value]) -> tuple[Emulated, ...]:
    """What a device model shows to the guest; a PVH guest has none."""
    bus = options.choice("hdtype", ("ide", "ahci")) or "ide"
    nics = [nic for value in vifs for nic in _nic(options.source, value)]
    drives = [Emulated("disk", bus, value.text, options.source.line(value.at)) for value in disks]
    return (*nics, *drives) if kind == "hvm" else ()


def _nic(source: Source, value: Value) -> Iterator[Emulated]:
    """The emulated side of a vif, there unless it says type=vif (xl-network-configuration(5))."""
    kind, model = "ioemu", "rtl8139"
    for at, part in value.parts():
        key, _, text = (side.strip() for side in part.partition("="))
        if key == "type":
            kind = _one_of(source, at, "vif type", text, ("ioemu", "vif"))
        elif key == "model":
            model = text
    if kind == "ioemu":
        yield Emulated("nic", model, value.text, source.line(value.at))


def _viommu(options: _Options, grammar: Grammar) -> ViommuConfig | None:
    value = options.one("viommu", ("text",))
    if value is None:
        return None
    source, keys = options.source, dict[str, str | int]()
    for at, part in value.parts():
        key, _, text = (side.strip() for side in part.partition("="))
        _one_of(source, at, "viommu key", key, ("type", *grammar.switches))
        if key in keys:
            raise source.error(at, f"found {key} again; allowed: each viommu key once")
        keys[key] = (
            _one_of(source, at, "viommu type", text, grammar.types)
            if key == "type"
            else _integer(source, at, key, text, 0, 1)
        )
    if "type" not in keys:
        allowed = ", ".join(f"type={each}" for each in grammar.types)
        raise source.error(value.at, f"found no type in viommu; allowed: {allowed}")
    return _unit(options, grammar, value, keys)


def _unit(options: _Options, grammar: Grammar, value: Value, keys: dict[str, str | int]) -> ViommuConfig:
    given = "intremap" in keys
    if not given:
        options.notes.append("viommu has no intremap key: its base and length stay empty, as in xl")
    base, length = (grammar.base, grammar.length) if given else (None, None)
    remap, x2apic = keys.get("intremap") == 1, keys.get("x2apic") == 1
    return ViommuConfig(str(keys["type"]), remap, x2apic, base, length, *options.source.place(value.at))


class _Options:
    """The settings by key, each read as what it has to be. What nobody asks for is unknown."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.given = settings(source)
        self.asked: set[str] = set()
        self.notes = [
            f"{key} is set {setting.repeats + 1} times; line {source.line(setting.at)} counts"
            for key, setting in self.given.items()
            if setting.repeats
        ]

    def unknown(self) -> tuple[tuple[str, int], ...]:
        left = (setting for key, setting in self.given.items() if key not in self.asked)
        return tuple((setting.key, self.source.line(setting.at)) for setting in left)

    def one(self, key: str, kinds: tuple[str, ...]) -> Value | None:
        self.asked.add(key)
        if key not in self.given:
            return None
        value = self.given[key].value
        if value.kind not in kinds:
            raise self.source.error(value.at, f"{key} is a {value.kind}; allowed: a {' or a '.join(kinds)}")
        return value

    def text(self, key: str, default: str) -> str:
        value = self.one(key, ("text",))
        return default if value is None else _plain(self.source, value).text

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.one(key, ("text",))
        return "" if value is None else _one_of(self.source, value.at, key, value.text, allowed)

    def number(self, key: str, default: int, low: int, high: int) -> int:
        value = self.one(key, ("number", "text"))
        return default if value is None else _integer(self.source, value.at, key, value.text, low, high)

    def texts(self, key: str) -> list[Value]:
        value = self.one(key, ("list",))
        items = value.items if value is not None else ()
        if len(items) > MAX_DEVICES:
            at = items[MAX_DEVICES].at
            raise self.source.error(at, f"{key} has {len(items)} entries; allowed: up to {MAX_DEVICES}")
        for item in items:
            if item.kind != "text":
                raise self.source.error(item.at, f"found a {item.kind} in {key}; allowed: texts in quotes")
        return [_plain(self.source, item) for item in items]


def _plain(source: Source, value: Value) -> Value:
    """value, which a terminal will show: refused when it holds characters that steer one."""
    if not value.text.replace("\t", " ").isprintable():
        raise source.error(value.at, f"found {shown(value.text)}; allowed: printable characters")
    return value


def _one_of(source: Source, at: int, what: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise source.error(at, f"{what} is {shown(text)}; allowed: {', '.join(allowed)}")
    return text


_INTEGER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")


def _integer(source: Source, at: int, what: str, text: str, low: int, high: int) -> int:
    """The number that C's strtol with base 0 finds in all of text."""
    if len(text) <= 18 and _INTEGER.fullmatch(text):  # longer is above every limit, and slow to convert
        number = int(text, 8 if re.match("0[0-7]", text) else 0)
        if low <= number <= high:
            return number
    message = f"{what} is {shown(text)}; allowed: a number from {low} to {high} (decimal, 0x.. or 0..)"
    raise source.error(at, message)
