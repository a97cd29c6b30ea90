"""A domain configuration as `xl create` takes it (xl.cfg(5)), up to what matters to interrupts.

`xlu` reads the syntax, `xl_viommu` the vIOMMU in the grammar of each version, `xl_rules` has what xl refuses or
ignores; this module gives the options their meaning. A mistake is a `ConfigError` that says what was found and what is
allowed. Options that have no part in interrupts are kept in `Config.unknown`. What xl would do otherwise, and what was
assumed, is a sentence in `Config.notes`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vsim.layouts.given import a
from vsim.readers import xl_rules
from vsim.readers.source import Source, read, shown
from vsim.readers.xl_rules import disks_of
from vsim.readers.xl_values import MAX_DEVICES, ConfigError, Options, one_of
from vsim.readers.xl_viommu import GRAMMARS, Grammar, ViommuConfig, viommu
from vsim.readers.xlu import Value

__all__ = ["DEFAULT_MEMORY", "GRAMMARS", "MAX_CHARACTERS", "MAX_DEVICES", "MAX_MEMORY", "MAX_VCPUS", "PCI_OPTIONS",
           "UNNAMED", "XEN_VCPUS", "Config", "ConfigError", "Emulated", "Grammar", "PciAssign", "ViommuConfig", "load",
           "parse"]

MAX_CHARACTERS = 1 << 20  #: longest file that is read (1 MiB)
MAX_VCPUS = 4096  #: vCPUs that the machine can have
XEN_VCPUS = 128  #: vCPUs of an HVM guest at which Xen itself stops (HVM_MAX_VCPUS)
MAX_MEMORY = 1 << 24  #: MiB of guest memory: 16 TiB
DEFAULT_MEMORY = 1024  #: MiB, where the file does not say
UNNAMED = "unnamed"  #: name of a domain whose file gives none

PCI_OPTIONS = xl_rules.PCI_OPTIONS


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


def load(path: str | os.PathLike[str], grammar: str = "v1") -> Config:
    """The domain that the file at path describes. A file that cannot be read is a ConfigError as well."""
    return parse(read(path, ConfigError, MAX_CHARACTERS), os.fspath(path), grammar)


def parse(text: str, file: str = "<text>", grammar: str = "v1") -> Config:
    """The domain that text describes; file names it in errors. grammar: a key of GRAMMARS.

    Raises ConfigError for a mistake in text, ValueError for an unknown grammar.

    >>> parse('name="h0"; vcpus=4; type="hvm"; pci=["03:00.0"]').pci[0].bdf == 0x0300
    True
    """
    a(str, "text", text)
    if not isinstance(grammar, str) or grammar not in GRAMMARS:
        raise ValueError(f"grammar is {grammar!r:.40}; known are {', '.join(GRAMMARS)}")
    options = Options(Source(text, file, ConfigError, MAX_CHARACTERS))
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
        viommu=viommu(options, grammar, kind),
        unknown=options.unknown(),
        notes=(*options.notes, *xl_rules.notes(options, kind)),
        file=file,
    )


def _type(options: Options) -> str:
    """`type`, else the older `builder`. xl takes a file with neither as pv, where no vIOMMU can be."""
    builder = options.choice("builder", ("hvm",))
    kind = options.choice("type", ("hvm", "pvh"))
    if not kind and not builder:
        options.notes.append("type is not given: hvm taken (xl makes it pv, which has no vIOMMU)")
    return kind or "hvm"


def _vcpus(options: Options) -> tuple[int, int]:
    vcpus = options.number("vcpus", 1, 1, MAX_VCPUS)
    most = options.number("maxvcpus", vcpus, 1, MAX_VCPUS)
    if most < vcpus:
        at = options.given["maxvcpus"].value.at
        raise options.source.error(at, f"maxvcpus is {most}; allowed: from {vcpus} on, the number of vcpus")
    if most > XEN_VCPUS:
        options.notes.append(f"{most} vCPUs: Xen itself stops at {XEN_VCPUS}")
    return vcpus, most


def _memory(options: Options) -> int:
    if "memory" not in options.given:
        options.notes.append(f"memory is not given: {DEFAULT_MEMORY} MiB taken")
    return options.number("memory", DEFAULT_MEMORY, 1, MAX_MEMORY)


def _pci(options: Options) -> tuple[PciAssign, ...]:
    entries: dict[tuple[int, int], PciAssign] = {}
    for value in options.texts("pci"):
        entry = _assign(options, value)
        first = entries.setdefault((entry.segment, entry.bdf), entry)
        if first is not entry:
            message = f"found {shown(value.text)} again; allowed: once (line {first.line} has it)"
            raise options.source.error(value.at, message)
    return tuple(entries.values())


def _assign(options: Options, value: Value) -> PciAssign:
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
    segment, requester = _function(source, *where["bdf"])
    return PciAssign(requester, segment, _slot(source, *where["vslot"]) or None, tuple(pairs), source.line(value.at))


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


def _emulated(options: Options, kind: str, vifs: list[Value], disks: list[Value]) -> tuple[Emulated, ...]:
    """What a device model shows to the guest; a PVH guest has none."""
    bus = options.choice("hdtype", ("ide", "ahci")) or "ide"
    nics = [nic for value in vifs for nic in _nic(options.source, value)]
    drives = [Emulated("disk", bus, value.text, options.source.line(value.at)) for value, disk in disks_of(disks)
              if disk.emulated(bus)]
    return (*nics, *drives) if kind == "hvm" else ()


def _nic(source: Source, value: Value) -> Iterator[Emulated]:
    """The emulated side of a vif, there unless it says type=vif (xl-network-configuration(5))."""
    kind, model = "ioemu", "rtl8139"
    for at, part in value.parts():
        key, _, text = (side.strip() for side in part.partition("="))
        if key == "type":
            kind = one_of(source, at, "vif type", text, ("ioemu", "vif"))
        elif key == "model":
            model = text
    if kind == "ioemu":
        yield Emulated("nic", model, value.text, source.line(value.at))
