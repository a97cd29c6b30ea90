"""xen_domctl_viommu_op: the hypercall that creates, destroys and queries virtual IOMMUs (X 2).

One implementation for every version: bytes, numbers, errno and the order of the checks are rows of `interfaces`; here
are the conditions that they name, and what an operation does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vsim.devices import hpet, vioapic, vvtd
from vsim.layouts.given import whole
from vsim.layouts.interfaces import INTERFACES, Caps, Errno, Interface, Op, known
from vsim.state import xen_quirks
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.trace import Act, Kind, node

PAGE = 4096
LOCAL_APICS = (0xFEE00000, 0x100000)
"""Where the local APICs and messages live; no unit fits there."""
TRAPPED: dict[str, int] = {"vtd": PAGE}
"""Bytes that a unit traps where the hypercall has no length, by the machine option `model`. A device model that lives
elsewhere registers itself here."""

Values = dict[str, int]


@dataclass(frozen=True, slots=True)
class Condition:
    """Why an operation may be refused: what is tested, the sentence for people, and the member that is to blame."""

    holds: Callable[[Machine, Values], bool]
    sentence: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A check that holds: the sub-command it belongs to (None: any), its name, its errno, its sentence."""

    command: Op | None
    name: str
    errno: int
    sentence: str


def _free_unit(m: Machine) -> bool:
    options = m.profile.options
    if options.domain_type == "pv" and m.quirks & xen_quirks.PV_UNION:
        return not options.pv_word
    if interface(m).counted:
        return m.created < options.max_units
    return sum(m.live(unit) for unit in range(m.units)) < options.max_units


def _over_ram(m: Machine, v: Values) -> bool:
    low, high = v["base_address"], v["base_address"] + PAGE
    return low < m.ram.low or (low < m.ram.high and high > 1 << 32)


def _over_device(m: Machine, v: Values) -> bool:
    low, high = v["base_address"], v["base_address"] + PAGE
    taken = [LOCAL_APICS, *((each.window, vioapic.LENGTH) for each in m.profile.options.ioapics)]
    taken += [(hpet.BASE, PAGE)] if m.profile.options.hpet_timers else []
    taken += [(m.bus.bar(place), PAGE) for place, f in enumerate(m.bus.functions) if f.msix_count]
    taken += [(m.latch[LATCH_WORDS * u + Latch.MMIO_BASE], PAGE) for u in range(m.units) if m.live(u)]
    return any(low < base + size and base < high for base, size in taken) or m.bus.table_at(low) is not None


def _no_memory(m: Machine, v: Values) -> bool:
    if not m.doomed:
        return False
    m.doomed -= 1
    return m.doomed == 0


def _type_unknown(m: Machine, v: Values) -> bool:
    return v.get("viommu_type", interface(m).type_value) != interface(m).type_value


def _caps_unknown(m: Machine, v: Values) -> bool:
    looked_at = 0xFFFFFFFF if interface(m).narrow_caps else (1 << 64) - 1
    return bool(v["capabilities"] & looked_at & ~int(Caps.IRQ_REMAPPING))


def _no_unit(m: Machine, v: Values) -> bool:
    return not m.live(v["viommu_id"])


_TYPES = "1 (INTEL_VTD) up to version 2, 0 (INTEL_VTD) from version 3 on"
_CAPS = ", ".join(f"bit {c.value.bit_length() - 1} ({c.name})" for c in Caps)
_NO_MODEL = f"No device model is registered for this type; types are {_TYPES}."
CONDITIONS: dict[str, Condition] = {
    "option-off": Condition(lambda m, v: not m.profile.options.boot_viommu,
                            "Xen was booted without the viommu option."),
    "viommu_type": Condition(_type_unknown, _NO_MODEL, "viommu_type"),
    "limit": Condition(lambda m, v: not _free_unit(m),
                       "The domain already has as many vIOMMUs as this version allows."),
    "domain": Condition(lambda m, v: m.profile.options.domain_type == "pv", "The domain is not an HVM or PVH domain."),
    "length": Condition(lambda m, v: v["length"] != PAGE, "The length of the register region is not 4096.",
                        "length"),
    "capabilities": Condition(_caps_unknown,
                              f"A capability is asked for that does not exist; there is {_CAPS}.", "capabilities"),
    "aligned": Condition(lambda m, v: bool(v["base_address"] & PAGE - 1),
                         "The base address is not a multiple of 4096.", "base_address"),
    "width": Condition(lambda m, v: bool(v["base_address"] >> m.profile.capabilities.width),
                       "The base address is above the host address width.", "base_address"),
    "ram": Condition(_over_ram, "The register region lies over guest memory.", "base_address"),
    "device": Condition(_over_device, "The register region lies over another device.", "base_address"),
    "memory": Condition(_no_memory, "The hypervisor is out of memory."),
    "back-end-memory": Condition(_no_memory, "The device model's back end is out of memory."),
    "range": Condition(lambda m, v: v["viommu_id"] >= m.profile.options.max_units,
                       "The id is not below the number of vIOMMUs that a domain can have.", "viommu_id"),
    "none": Condition(_no_unit, "The domain has no vIOMMU with this id.", "viommu_id"),
    "nothing": Condition(lambda m, v: not any(m.live(unit) for unit in range(m.units)), "The domain has no vIOMMU."),
    "always": Condition(lambda m, v: True, "The query fails although it has filled in the capabilities."),
}
"""The conditions that the versions' checks name; their order and errno are in `interfaces`."""


def interface(m: Machine) -> Interface:
    """The interface version of a machine."""
    return INTERFACES[m.profile.options.interface]


def encode(version: str, command: int, **values: int) -> bytes:
    """The structure's bytes. ValueError for an unknown version or member, or a value that does not fit."""
    face = known(version)
    if not 0 <= command < 1 << 32:
        raise ValueError(f"cmd is {command:#x}; the limit is 0xffffffff")
    body = bytearray(face.size)
    body[0:4] = (command + face.first & 0xFFFFFFFF).to_bytes(4, "little")
    parts = {part.name: part for part in face.fields(command)}
    for name, value in values.items():
        if name not in parts:
            raise ValueError(f"sub-command {command} has no member {name!r}; members are {', '.join(parts)}")
        whole(name, value, (1 << 8 * parts[name].width) - 1)
        body[parts[name].offset:parts[name].offset + parts[name].width] = value.to_bytes(parts[name].width, "little")
    return bytes(body)


def decode(version: str, body: bytes) -> tuple[int, Values]:
    """(sub-command, member values) of a structure at least as long as the version's."""
    face = INTERFACES[version]
    if len(body) < face.size:
        raise ValueError(f"{len(body)} bytes; the structure of {version} has {face.size}")
    command = int.from_bytes(body[:4], "little") - face.first & 0xFFFFFFFF
    return command, {part.name: int.from_bytes(body[part.offset:part.offset + part.width], "little")
                     for part in face.fields(command)}


def create_op(base_address: int = 0xFED90000, length: int = PAGE, capabilities: int = Caps.IRQ_REMAPPING,
              viommu_type: int | None = None, version: str = "v1") -> bytes:
    """The bytes of "create", with the toolstack's defaults (X 11.1); `length` counts where the version has it."""
    face = known(version)
    values = {"viommu_type": face.type_value if viommu_type is None else viommu_type, "base_address": base_address,
              "length": length, "capabilities": capabilities}
    members = {part.name for part in face.fields(Op.CREATE)}
    return encode(version, Op.CREATE, **{name: value for name, value in values.items() if name in members})


def check(m: Machine, command: int, values: Values) -> Refusal | None:
    """The first check that refuses, or None. The memory checks count one allocation each."""
    for op, name, errno in interface(m).checks:
        if op in (None, command) and CONDITIONS[name].holds(m, values):
            return Refusal(op, name, errno, CONDITIONS[name].sentence)
    return None


def refusals(m: Machine, command: int, values: Values) -> list[Refusal]:
    """Every check that holds, in order; the first is the one that refuses. The machine stays as it is."""
    copy = m.copy()
    return [Refusal(op, name, errno, CONDITIONS[name].sentence) for op, name, errno in interface(m).checks
            if op in (None, command) and CONDITIONS[name].holds(copy, values)]


def operate(m: Machine, body: bytes) -> tuple[int, bytes]:
    """Do the operation: (errno, 0 when done; the structure as copied back)."""
    face = interface(m)
    here = node(Kind.XEN)
    if not face.size <= len(body) <= 128:
        m.emit(here, Act.DOMCTL, int(Errno.EFAULT), len(body))
        return int(Errno.EFAULT), body
    command, values = decode(face.name, body)
    failed, answer = _result(m, command, values)
    m.emit(here, Act.DOMCTL, failed, command, answer)
    return failed, body if failed else _copied_back(face, command, body, answer)


def _result(m: Machine, command: int, values: Values) -> tuple[int, int]:
    """(errno, answer): what the version's checks and the back end make of it."""
    face = interface(m)
    if not m.profile.options.built_viommu:
        return 0 if m.quirks & xen_quirks.STUB_SUCCESS else int(Errno.EOPNOTSUPP), 0
    row = check(m, command, values)
    if row is not None and row.name == "back-end-memory" and m.quirks & xen_quirks.POSITIVE_ENOMEM:
        return 0, _without_state(m, values)
    if row is not None:
        return int(row.errno), 0
    if command not in face.parts:
        return int(face.unknown), 0
    return 0, _act(m, command, values)


def _without_state(m: Machine, v: Values) -> int:
    """The back end's +12 is taken for a success: a unit without state (quirk xen.D1)."""
    m.created += 1
    unit = vvtd.create(m, v["base_address"], 0, v["capabilities"])
    m.latch[LATCH_WORDS * unit + Latch.LIVE] = 2
    return unit


HANDLERS = 32
"""MMIO handlers that a domain has room for (NR_IO_HANDLERS)."""


def add_handler(m: Machine) -> None:
    """Register the page's handler; a domain that runs out of room is crashed."""
    m.handlers += 1
    if m.handlers > HANDLERS:
        m.emit(node(Kind.XEN), Act.STOPPED, 3)


def toolstack_type(value: int, faithful: bool) -> int:
    """The 64-bit viommu_type of libxc in version 4's 8-bit member: cut (quirk xen.D43), or refused with ValueError."""
    if value > 0xFF and not faithful:
        raise ValueError(f"viommu_type is {value:#x}; the limit is 0xff")
    return value & 0xFF


def toolstack_accepts(offered: int, wanted: int, faithful: bool) -> bool:
    """Whether the toolstack goes on with these capabilities: tested the wrong way round under quirk xen.D39."""
    return (offered & wanted) == (offered if faithful else wanted)


def destroy_for_domain(m: Machine) -> int:
    """The domain's unit goes when the domain goes: 0, or ENODEV when there is none."""
    units = [unit for unit in range(m.units) if m.live(unit)]
    for unit in units:
        vvtd.destroy(m, unit)
        m.handlers -= 0 if m.quirks & xen_quirks.HANDLER_LEAK else 1
    return 0 if units else int(Errno.ENODEV)


def _act(m: Machine, command: int, values: Values) -> int:
    if command == Op.CREATE:
        m.created += 1
        add_handler(m)
        length = values.get("length", TRAPPED[m.profile.options.model])
        return vvtd.create(m, values["base_address"], length, values["capabilities"])
    if command == Op.QUERY_CAPS:
        return int(Caps.IRQ_REMAPPING)
    if interface(m).checks[-1][1] == "nothing":
        destroy_for_domain(m)
    else:
        vvtd.destroy(m, values["viommu_id"])
    return 0


def _copied_back(face: Interface, command: int, body: bytes, answer: int) -> bytes:
    out = bytearray(body)
    for part in face.fields(command):
        if part.out:
            out[part.offset:part.offset + part.width] = answer.to_bytes(part.width, "little")
    return bytes(out)


def reply(version: str, body: bytes, failed: int, answer: int) -> bytes:
    """The structure as copied back, from the DOMCTL event's errno (`index`) and answer (`high`)."""
    if failed or len(body) < INTERFACES[version].size:
        return body
    return _copied_back(INTERFACES[version], decode(version, body)[0], body, answer)


# --- the envelope (X 2.1) ---

ENVELOPE = 144
"""Bytes of struct xen_domctl: command u32 at 0, interface version u32 at 4, domain u16 at 8, operation at 16."""
DOMAIN = 1
"""The domain id of the machine."""


def envelope(version: str, body: bytes, domain: int = DOMAIN) -> bytes:
    """A whole struct xen_domctl around an operation."""
    face = known(version)
    head = face.number.to_bytes(4, "little") + face.version.to_bytes(4, "little") + domain.to_bytes(2, "little")
    return (head + bytes(6) + body).ljust(ENVELOPE, b"\0")


def hypercall(m: Machine, data: bytes, privileged: bool = True) -> tuple[int, bytes]:
    """The generic checks of a domctl, then the operation: (errno, the structure as copied back)."""
    face = interface(m)
    failed = _envelope_check(face, data, privileged)
    if failed:
        m.emit(node(Kind.XEN), Act.DOMCTL, failed, int.from_bytes(data[:4], "little"))
        return failed, data
    failed, body = operate(m, data[16:16 + face.size])
    return failed, data[:16] + body + data[16 + face.size:]


def _envelope_check(face: Interface, data: bytes, privileged: bool) -> int:
    if len(data) != ENVELOPE or face.hypercall != "domctl":
        return int(Errno.EFAULT)
    if int.from_bytes(data[4:8], "little") != face.version:
        return int(Errno.EACCES)
    if int.from_bytes(data[8:10], "little") != DOMAIN:
        return int(Errno.ESRCH)
    if not privileged:
        return int(Errno.EPERM)
    return 0 if int.from_bytes(data[:4], "little") == face.number else int(Errno.ENOSYS)


__all__ = ["CONDITIONS", "INTERFACES", "Caps", "Condition", "Errno", "Interface", "Op", "Refusal", "check", "create_op",
           "decode", "destroy_for_domain", "encode", "envelope", "hypercall", "interface", "operate", "refusals",
           "reply"]
