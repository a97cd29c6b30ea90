"""The ACPI tables of a domain, and tables of real machines (V 8, X 6.3, 6.4): what the kit makes of them and reads.

    tables = load("dmar.bin")           # or a text of acpidump, with any number of tables
    dmar_of(machine), madt_of(machine), hpet_of(machine)    # what the toolstack would hand to its guest

The formats are in `acpi_dmar`, `acpi_madt` and `acpi_hpet`; names that most callers need are here as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vsim.devices import hpet
from vsim.layouts.interfaces import Caps
from vsim.readers import acpi_dmar, acpi_hpet, acpi_ivrs, acpi_madt, acpi_text, source
from vsim.readers.acpi_dmar import INTR_REMAP, IOAPIC_ID, X2APIC_OPT_OUT, Coverage, Dmar, Scope, Unit, dmar, parse
from vsim.readers.acpi_hpet import Hpet
from vsim.readers.acpi_madt import Madt, madt
from vsim.readers.acpi_table import MAX_DUMP, XEN, AcpiError, DumpError, Oem
from vsim.readers.pieces import Remark, few
from vsim.state import xen_quirks
from vsim.state.arrays import LATCH_WORDS, Latch, Machine

__all__ = ["INTR_REMAP", "IOAPIC_ID", "X2APIC_OPT_OUT", "XEN", "AcpiError", "Coverage", "Dmar", "DumpError", "Hpet",
           "Madt", "Oem", "Other", "Read", "Scope", "Unit", "dmar", "dmar_of", "hpet_of",
           "load", "load_all", "madt", "madt_of", "of_block", "parse", "read", "tables"]


@dataclass(frozen=True, slots=True)
class Other:
    """A table that has no part in interrupts: its signature and bytes, kept as they are."""

    signature: str
    data: bytes

    def __bytes__(self) -> bytes:
        return self.data


Told = Dmar | Madt | acpi_ivrs.Table | Hpet
Table = Told | Other
_READERS: dict[str, Callable[[bytes], tuple[Told, tuple[AcpiError, ...]]]] = {
    "DMAR": acpi_dmar.take, "APIC": acpi_madt.take, "IVRS": acpi_ivrs.take, "HPET": acpi_hpet.take}
SIGNATURES = tuple(signature.encode() for signature in _READERS)
"""How the bytes of a table begin that is read."""


class Read(NamedTuple):
    """What a file has: tables, the line at which each begins, and what is wrong with them."""

    tables: tuple[Table, ...]
    lines: tuple[int, ...]
    remarks: tuple[Remark, ...]


def read(data: bytes, file: str = "<bytes>") -> Read:
    """The tables in a file: the bytes of one, or a text, which may hold many (`acpi_text`).

    Broken tables are read as far as they can be, with remarks. AcpiError: bytes that begin like a table and are none
    (offset and field), or neither a table nor such a text (DumpError: line and column).
    """
    signature = data[:4].decode("latin-1")
    if signature in _READERS and not data[4:].lstrip().startswith(b"@ "):
        table, doubts = _READERS[signature](data)
        return Read((table,), (1,), tuple(Remark(file, 1, 1, str(doubt)) for doubt in doubts))
    found = acpi_text.blocks(_text(data, file), file)
    tables, lines, remarks = list[Table](), [], list(found.remarks)
    for block in found.records:
        each, more = of_block(block)
        remarks += more
        if each is not None:
            tables.append(each)
            lines.append(block.line)
    if not tables:
        first = remarks[-1]
        raise DumpError(file, first.line, first.column, 0, f"{first.text}; allowed: a table of firmware")
    return Read(tuple(tables), tuple(lines), few(remarks))


def of_block(block: acpi_text.Dumped) -> tuple[Table | None, list[Remark]]:
    """The table that a block of a text is, None when it cannot be one; and what is wrong with it, where."""
    signature = block.signature if len(block.signature) == 4 else block.data[:4].decode("latin-1")
    if signature not in _READERS:
        return Other(block.signature, block.data), []
    try:
        table, doubts = _READERS[signature](block.data)
    except AcpiError as error:
        return None, [Remark(block.file, *block.place(error.offset), f"left out: {error}")]
    return table, [Remark(block.file, *block.place(doubt.offset), str(doubt)) for doubt in doubts]


def tables(data: bytes, file: str = "<bytes>") -> tuple[Table, ...]:
    """`read` without the remarks."""
    return read(data, file).tables


def _text(data: bytes, file: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if b" @ 0x" in data or b"Raw Table Data" in data:
            return data.decode("utf-8", errors="replace")
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        allowed = "a DMAR, APIC, IVRS or HPET table, or the text of acpidump"
        message = f"found byte {data[error.start]:#04x}; allowed: {allowed}"
        raise DumpError(file, line, column, error.start, message) from None


def load(path: str | os.PathLike[str]) -> tuple[Table, ...]:
    """The tables in the file at `path`. A file that cannot be read, or is too long, is a DumpError as well."""
    return load_all(path).tables


def load_all(path: str | os.PathLike[str]) -> Read:
    """The same, with what is wrong with them."""
    data = source.load(path, lambda file, line, column, said: DumpError(file, line, column, 0, said), MAX_DUMP)
    return read(data, os.fspath(path))


# --- a domain's own ---


def dmar_of(m: Machine, opt_out: bool = False) -> bytes:
    """The DMAR of a machine: its units in order, each with what sits behind it; no bytes where there is none.

    The unit that takes everybody whom no other names comes last; I/O APICs and an HPET that sends messages are listed
    in theirs, since software learns their requester ids nowhere else (V 8.1). opt_out: X2APIC_OPT_OUT. Under quirk
    xen.D38 an HVM domain without a unit has a table all the same: made of a configuration that is all zeros, so that
    the width is 0 - 1 (X 6.3).
    """
    live = [unit for unit in range(m.units) if m.live(unit)]
    if not live:
        always = m.quirks & xen_quirks.DMAR_ALWAYS and m.profile.options.domain_type == "hvm"
        return _empty() if always else b""
    rest = m.unit_of(_NOBODY) if m.unit_of(_NOBODY) in live else live[-1]
    order = [unit for unit in live if unit != rest] + [rest]
    caps = m.latch[LATCH_WORDS * rest + Latch.CAPS]
    flags = (INTR_REMAP if caps & Caps.IRQ_REMAPPING else 0) | (X2APIC_OPT_OUT if opt_out else 0)
    return bytes(acpi_dmar.table((_unit(m, unit, unit == rest) for unit in order), m.profile.capabilities.width, flags))


HPET_NUMBER = 0
"""Number of the only HPET, in its table and in its scope."""
_NOBODY = -1


def _empty() -> bytes:
    """Address width byte 255, base 0, flags 0, I/O APIC 0 at 00:00.0."""
    scope = acpi_dmar.scope_of(acpi_dmar.SCOPE_IOAPIC, 0)
    return bytes(acpi_dmar.table([acpi_dmar.unit(0, [scope], everything=True)], width=256, flags=0))


def _unit(m: Machine, unit: int, rest: bool) -> Unit:
    scopes = [] if rest else list(_scopes(m, unit))
    scopes += (scope for scope in _platform(m) if m.unit_of(scope.source) == unit)
    return acpi_dmar.unit(m.latch[LATCH_WORDS * unit + Latch.MMIO_BASE], scopes, rest)


def _platform(m: Machine) -> Iterator[Scope]:
    """The requesters that are no functions: I/O APICs by the ids of the MADT, an HPET by the number of its table."""
    options = m.profile.options
    for enumeration, each in enumerate(options.ioapics, IOAPIC_ID):
        yield acpi_dmar.scope_of(acpi_dmar.SCOPE_IOAPIC, each.sid, enumeration)
    if options.hpet_timers:
        yield acpi_dmar.scope_of(acpi_dmar.SCOPE_HPET, options.hpet_sid, HPET_NUMBER)


def _scopes(m: Machine, unit: int) -> Iterator[Scope]:
    """The functions behind a unit; a bridge of the root bus stands for all below it when those are behind it too."""
    whole: set[int] = set()
    for function in m.bus.functions:
        top = m.bus.bridges_above(function.bdf)[-1:]
        if top and _all_below(m, top[0].bdf, unit):
            if top[0].bdf not in whole:
                whole.add(top[0].bdf)
                yield acpi_dmar.scope_of(acpi_dmar.SCOPE_BRIDGE, top[0].bdf)
        elif not function.bridge and m.unit_of(m.bus.requester(function.bdf)) == unit:
            yield acpi_dmar.scope(acpi_dmar.SCOPE_ENDPOINT, *_path(m, function.bdf))


def _all_below(m: Machine, bridge: int, unit: int) -> bool:
    """Whether every function below a bridge of the root bus is behind a unit."""
    top = [m.bus.functions[m.bus.place(bridge)]]
    below = (f for f in m.bus.functions if not f.bridge and m.bus.bridges_above(f.bdf)[-1:] == top)
    return all(m.unit_of(m.bus.requester(f.bdf)) == unit for f in below)


def _path(m: Machine, bdf: int) -> tuple[int, list[tuple[int, int]]]:
    """Start bus and path of a function, from the root down."""
    hops = [*(above.bdf for above in reversed(m.bus.bridges_above(bdf))), bdf]
    return hops[0] >> 8, [(hop >> 3 & 31, hop & 7) for hop in hops]


def madt_of(m: Machine) -> bytes:
    """The MADT of a machine: all its vCPUs, and its I/O APICs with their first GSIs.

    APIC IDs of more than 8 bits get entries of type 9; under quirk xen.D42 they are cut. The tables of the series have
    the revision that Xen's tools write.
    """
    series = m.profile.options.model != "vtd"
    ids = [m.profile.options.apic_id(vcpu) for vcpu in range(m.vcpus)]
    revision = acpi_madt.XEN_REVISION if series else acpi_madt.REVISION
    chips = [(each.window, each.gsi) for each in m.profile.options.ioapics]
    return madt(ids, bool(m.quirks & xen_quirks.MADT_U8), revision, chips)


def hpet_of(m: Machine) -> bytes:
    """The HPET table of a machine; no bytes where no timer sends messages of its own."""
    timers = m.profile.options.hpet_timers
    return bytes(acpi_hpet.table(hpet.BASE, timers, HPET_NUMBER)) if timers else b""
