"""xen_domctl_viommu_op: the hypercall that creates, destroys and queries virtual IOMMUs (X 2).

The structure of each interface version is a table of fields; the checks of an operation are rows in order, each with
its errno as the corrected interface gives it and as version 1 was coded. "v1" is the seed's version as coded: every
failure of create collapses to EINVAL, and a destroyed unit is never forgotten. "v1-corrected" has the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from vsim import vioapic, vvtd, xen_quirks, xen_vvtd
from vsim.state import LATCH_WORDS, Latch, Machine
from vsim.trace import Act, Kind, node

PAGE = 4096
LOCAL_APICS = (0xFEE00000, 0x100000)
"""Where the local APICs and messages live; no unit fits there."""


class Errno(IntEnum):
    """Error numbers of Xen's public interface, which are Linux's (X 2.1); Python's `errno` has the computer's own."""

    ENOENT = 2
    ENXIO = 6
    E2BIG = 7
    ENOMEM = 12
    EFAULT = 14
    EBUSY = 16
    EEXIST = 17
    ENODEV = 19
    EINVAL = 22
    ERANGE = 34
    ENOSYS = 38
    EOVERFLOW = 75
    EOPNOTSUPP = 95


class Op(IntEnum):
    """Sub-commands of the operation."""

    CREATE = 0
    DESTROY = 1
    QUERY_CAPS = 2


class ViommuType(IntEnum):
    """Values of the type field (version 1)."""

    INTEL_VTD = 1


class Caps(IntFlag):
    """Capability bits."""

    IRQ_REMAPPING = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One member of the structure: byte offset, width in bytes, and whether the hypervisor writes it."""

    name: str
    offset: int
    width: int
    out: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """One version: size in bytes, members by sub-command, and whether its results are as version 1 was coded."""

    name: str
    size: int
    parts: dict[Op, tuple[Part, ...]]
    as_coded: bool

    def fields(self, command: int) -> tuple[Part, ...]:
        """The members of a sub-command; none when it is unknown."""
        return self.parts[Op(command)] if command in self.parts else ()


_V1 = {
    Op.CREATE: (Part("type", 8, 8), Part("base_address", 16, 8), Part("length", 24, 8),
                     Part("capabilities", 32, 8), Part("viommu_id", 40, 4, True)),
    Op.DESTROY: (Part("viommu_id", 8, 4),),
    Op.QUERY_CAPS: (Part("type", 8, 8), Part("caps", 16, 8, True)),
}
_V3_CREATE = (Part("type", 8, 8), Part("base_address", 16, 8), Part("capabilities", 24, 8),
              Part("viommu_id", 32, 4, True))
_V4_CREATE = (Part("type", 8, 1), *_V3_CREATE[1:])
INTERFACES: dict[str, Interface] = {
    "v1": Interface("v1", 48, _V1, True),
    "v1-corrected": Interface("v1-corrected", 48, _V1, False),
    "v2": Interface("v2", 48, _V1, True),
    "v3": Interface("v3", 40, {Op.CREATE: _V3_CREATE, Op.DESTROY: (Part("viommu_id", 8, 4),)}, False),
    "v4": Interface("v4", 40, {Op.CREATE: _V4_CREATE}, False),
}
"""The versions of the operation, by the machine option `interface`."""

Values = dict[str, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row of the checks: when `holds`, the operation ends with `errno` (corrected) or `coded` (version 1).

    coded 0: version 1 does not make this check.
    """

    command: Op | None
    name: str
    holds: Callable[[Machine, Values], bool]
    errno: int
    coded: int
    sentence: str


def _free_unit(m: Machine) -> bool:
    limit = m.profile.options.max_units
    if interface(m).as_coded:
        return m.created < limit
    return sum(m.live(unit) for unit in range(m.units)) < limit


def _over_ram(m: Machine, v: Values) -> bool:
    low, high = v["base_address"], v["base_address"] + PAGE
    return low < m.ram.low or (low < m.ram.high and high > 1 << 32)


def _over_device(m: Machine, v: Values) -> bool:
    low, high = v["base_address"], v["base_address"] + PAGE
    taken = [(vioapic.BASE, vioapic.LENGTH), LOCAL_APICS]
    taken += [(m.bus.bar(place), PAGE) for place, f in enumerate(m.bus.functions) if f.msix_count]
    taken += [(m.latch[LATCH_WORDS * u + Latch.MMIO_BASE], PAGE) for u in range(m.units) if m.live(u)]
    return any(low < base + size and base < high for base, size in taken) or m.bus.table_at(low) is not None


def _no_memory(m: Machine, v: Values) -> bool:
    if not m.doomed:
        return False
    m.doomed -= 1
    return m.doomed == 0


def _type_unknown(m: Machine, v: Values) -> bool:
    return v["type"] not in tuple(ViommuType)


def _no_unit(m: Machine, v: Values) -> bool:
    return not m.live(v["viommu_id"])


_TYPES = ", ".join(f"{t.value} ({t.name})" for t in ViommuType)
_CAPS = ", ".join(f"bit {c.value.bit_length() - 1} ({c.name})" for c in Caps)
_E = Errno
REFUSALS: tuple[Refusal, ...] = (
    Refusal(None, "option-off", lambda m, v: not m.profile.options.boot_viommu, _E.ENODEV, _E.EINVAL,
            "Xen was booted without the viommu option."),
    Refusal(Op.CREATE, "type", _type_unknown, _E.ENOENT, _E.EINVAL,
            f"No device model is registered for this type; types are {_TYPES}."),
    Refusal(Op.CREATE, "limit", lambda m, v: not _free_unit(m), _E.E2BIG, _E.EINVAL,
            "The domain already has as many vIOMMUs as this version allows."),
    Refusal(Op.CREATE, "domain", lambda m, v: m.profile.options.domain_type == "pv", _E.ENXIO, _E.EINVAL,
            "The domain is not an HVM or PVH domain."),
    Refusal(Op.CREATE, "length", lambda m, v: v["length"] != PAGE, _E.ERANGE, _E.EINVAL,
            "The length of the register region is not 4096."),
    Refusal(Op.CREATE, "capabilities", lambda m, v: bool(v["capabilities"] & ~int(Caps.IRQ_REMAPPING)),
            _E.EOPNOTSUPP, _E.EINVAL, f"A capability is asked for that does not exist; there is {_CAPS}."),
    Refusal(Op.CREATE, "aligned", lambda m, v: bool(v["base_address"] & PAGE - 1), _E.EINVAL, 0,
            "The base address is not a multiple of 4096."),
    Refusal(Op.CREATE, "width", lambda m, v: bool(v["base_address"] >> m.profile.capabilities.width),
            _E.EOVERFLOW, 0, "The base address is above the host address width."),
    Refusal(Op.CREATE, "ram", _over_ram, _E.EEXIST, 0, "The register region lies over guest memory."),
    Refusal(Op.CREATE, "device", _over_device, _E.EBUSY, 0, "The register region lies over another device."),
    Refusal(Op.CREATE, "memory", _no_memory, _E.ENOMEM, _E.EINVAL, "The hypervisor is out of memory."),
    Refusal(Op.DESTROY, "range", lambda m, v: v["viommu_id"] >= m.profile.options.max_units, _E.ERANGE,
            _E.EINVAL, "The id is not below the number of vIOMMUs that a domain can have."),
    Refusal(Op.DESTROY, "none", _no_unit, _E.ENOENT, _E.EINVAL, "The domain has no vIOMMU with this id."),
    Refusal(Op.QUERY_CAPS, "type", _type_unknown, _E.ENOENT, _E.EINVAL,
            f"No device model is registered for this type; types are {_TYPES}."),
)
"""The checks of every sub-command, in order (X 2.3)."""


def interface(m: Machine) -> Interface:
    """The interface version of a machine."""
    return INTERFACES[m.profile.options.interface]


def encode(version: str, command: int, **values: int) -> bytes:
    """The structure's bytes. ValueError for an unknown version or member, or a value that does not fit."""
    if version not in INTERFACES:
        raise ValueError(f"no interface version {version!r}; there are {', '.join(INTERFACES)}")
    face = INTERFACES[version]
    if not 0 <= command < 1 << 32:
        raise ValueError(f"cmd is {command:#x}; the limit is 0xffffffff")
    body = bytearray(face.size)
    body[0:4] = command.to_bytes(4, "little")
    parts = {part.name: part for part in face.fields(command)}
    for name, value in values.items():
        if name not in parts:
            raise ValueError(f"sub-command {command} has no member {name!r}; members are {', '.join(parts)}")
        if not 0 <= value < 1 << 8 * parts[name].width:
            raise ValueError(f"{name} is {value:#x}; the limit is {(1 << 8 * parts[name].width) - 1:#x}")
        body[parts[name].offset:parts[name].offset + parts[name].width] = value.to_bytes(parts[name].width, "little")
    return bytes(body)


def decode(version: str, body: bytes) -> tuple[int, Values]:
    """(sub-command, member values) of a structure at least as long as the version's."""
    face = INTERFACES[version]
    if len(body) < face.size:
        raise ValueError(f"{len(body)} bytes; the structure of {version} has {face.size}")
    command = int.from_bytes(body[:4], "little")
    return command, {part.name: int.from_bytes(body[part.offset:part.offset + part.width], "little")
                     for part in face.fields(command)}


def create_op(base_address: int = 0xFED90000, length: int = PAGE, capabilities: int = Caps.IRQ_REMAPPING,
              type: int = ViommuType.INTEL_VTD, version: str = "v1") -> bytes:
    """The bytes of "create", with the toolstack's defaults (X 11.1)."""
    return encode(version, Op.CREATE, type=type, base_address=base_address, length=length,
                  capabilities=capabilities)


def check(m: Machine, command: int, values: Values) -> Refusal | None:
    """The first row that refuses, or None. The memory check counts one allocation."""
    as_coded = interface(m).as_coded
    for row in REFUSALS:
        if row.command in (None, command) and (row.coded or not as_coded) and row.holds(m, values):
            return row
    return None


def operate(m: Machine, body: bytes) -> tuple[int, bytes]:
    """Do the operation: (errno, 0 when done; the structure as copied back)."""
    face = interface(m)
    here = node(Kind.XEN)
    if not face.size <= len(body) <= 128:
        m.emit(here, Act.DOMCTL, int(_E.EFAULT), len(body))
        return int(_E.EFAULT), body
    command, values = decode(face.name, body)
    if face.name in SERIES_TYPE:
        failed, answer = _series(m, command, values)
        m.emit(here, Act.DOMCTL, failed, command, answer)
        return failed, body if failed else _copied_back(face, command, body, answer)
    row = check(m, command, values)
    failed = int(row.coded if face.as_coded else row.errno) if row else 0
    if not failed and command not in face.parts:
        failed = int(_E.EINVAL if face.as_coded else _E.ENOSYS)
    answer = 0 if failed else _act(m, command, values)
    m.emit(here, Act.DOMCTL, failed, command, answer)
    return failed, body if failed else _copied_back(face, command, body, answer)


SERIES_TYPE = {"v3": 0, "v4": 0}
"""The type value of VT-d in versions whose checks follow the later order."""


def _series(m: Machine, command: int, v: Values) -> tuple[int, int]:
    """Versions 3 and 4: (errno, answer), in their order of checks (X 2.3)."""
    face = interface(m)
    options = m.profile.options
    if not options.built_viommu:
        return (0 if m.quirks & xen_quirks.STUB_SUCCESS else _E.EOPNOTSUPP), 0
    if not options.boot_viommu and face.name == "v3":
        return _E.ENODEV, 0
    if command not in face.parts:
        return _E.ENOSYS, 0
    if command == Op.DESTROY:
        return (0, 0) if destroy_for_domain(m) == 0 else (_E.EINVAL, 0)
    union = options.domain_type == "pv" and m.quirks & xen_quirks.PV_UNION
    if options.pv_word if union else any(m.live(unit) for unit in range(m.units)):
        return _E.E2BIG, 0
    if v["type"] != SERIES_TYPE[face.name]:
        return _E.EINVAL, 0
    if _no_memory(m, v):
        return _E.ENOMEM, 0
    odd = v["base_address"] & PAGE - 1 or v["capabilities"] & 0xFFFFFFFF & ~int(Caps.IRQ_REMAPPING)
    if m.profile.options.domain_type == "pv" or odd:
        return _E.EINVAL, 0
    if _no_memory(m, v):
        return _without_state(m, v)
    m.created += 1
    add_handler(m)
    return 0, vvtd.create(m, v["base_address"], xen_vvtd.model(m).trapped, v["capabilities"])


def _without_state(m: Machine, v: Values) -> tuple[int, int]:
    """The back end is out of memory: refused, or taken for a success that has no state (quirk xen.D1)."""
    if not m.quirks & xen_quirks.POSITIVE_ENOMEM:
        return _E.ENOMEM, 0
    m.created += 1
    unit = vvtd.create(m, v["base_address"], 0, v["capabilities"])
    m.latch[LATCH_WORDS * unit + Latch.LIVE] = 2
    return 0, unit


HANDLERS = 32
"""MMIO handlers that a domain has room for (NR_IO_HANDLERS)."""


def add_handler(m: Machine) -> None:
    """Register the page's handler; a domain that runs out of room is crashed."""
    m.handlers += 1
    if m.handlers > HANDLERS:
        m.emit(node(Kind.XEN), Act.STOPPED, 3)


def toolstack_type(value: int, faithful: bool) -> int:
    """The 64-bit type of libxc in version 4's 8-bit member: cut (quirk xen.D43), or refused with ValueError."""
    if value > 0xFF and not faithful:
        raise ValueError(f"type is {value:#x}; the limit is 0xff")
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
    return 0 if units else _E.ENODEV


def _act(m: Machine, command: int, values: Values) -> int:
    if command == Op.CREATE:
        m.created += 1
        add_handler(m)
        return vvtd.create(m, values["base_address"], values["length"], values["capabilities"])
    if command == Op.DESTROY:
        vvtd.destroy(m, values["viommu_id"])
        return 0
    return int(Caps.IRQ_REMAPPING)


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
    return _copied_back(INTERFACES[version], int.from_bytes(body[:4], "little"), body, answer)
