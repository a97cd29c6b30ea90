"""The hypercall of every version of the series, as data: bytes, numbers, values, and the checks in order (X 2.1-2.3).

One implementation (`viommu`) is driven by a row of `INTERFACES`. "v1" is the seed's version as it was coded;
"v1-corrected" has its bytes and gives each failure its own errno (the table is in DECISIONS.md). `differences`
compares two versions. "rfc-v1" was three device-model operations, 15 to 17; offsets count its 8-byte header in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag


class Errno(IntEnum):
    """Error numbers of Xen's public interface, which are Linux's (X 2.1); Python's `errno` has the computer's own."""

    EPERM = 1
    ENOENT = 2
    ESRCH = 3
    ENXIO = 6
    E2BIG = 7
    ENOMEM = 12
    EACCES = 13
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


class Caps(IntFlag):
    """Capability bits; the same one in every version."""

    IRQ_REMAPPING = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One member of the structure: byte offset, width in bytes, and whether the hypervisor writes it."""

    name: str
    offset: int
    width: int
    out: bool = False


Check = tuple[Op | None, str, int]
"""One check: the sub-command (None: any), its name in `viommu.CONDITIONS`, and the errno when it holds."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One version.

    hypercall, number: which hypercall it is, and its command number (of create, for device-model operations).
    version: the interface version of the envelope. size: bytes of the structure. parts: members by sub-command.
    type_value: the value of viommu_type that means Intel VT-d; 0x10000 when there is no such member. checks: in order.
    unknown: errno of a sub-command that is not in `parts`. narrow_caps: only 32 bits of the capabilities are looked
    at. counted: the limit counts creations, and destroying does not take one back. first: the word at 0 that means
    create; the others follow.
    """

    name: str
    hypercall: str
    number: int
    version: int
    size: int
    parts: dict[Op, tuple[Part, ...]]
    type_value: int
    checks: tuple[Check, ...]
    unknown: int
    narrow_caps: bool = True
    counted: bool = False
    first: int = 0

    def fields(self, command: int) -> tuple[Part, ...]:
        """The members of a sub-command; none when it is unknown."""
        return self.parts[Op(command)] if command in self.parts else ()


_TYPE, _ID = Part("viommu_type", 8, 8), Part("viommu_id", 8, 4)
_FIRST = {
    Op.CREATE: (_TYPE, Part("base_address", 16, 8), Part("length", 24, 8), Part("capabilities", 32, 8),
                Part("viommu_id", 40, 4, True)),
    Op.DESTROY: (_ID,),
    Op.QUERY_CAPS: (_TYPE, Part("caps", 16, 8, True)),
}
_SECOND = {**_FIRST, Op.QUERY_CAPS: (_TYPE, Part("capabilities", 16, 8, True))}
_THIRD = (_TYPE, Part("base_address", 16, 8), Part("capabilities", 24, 8), Part("viommu_id", 32, 4, True))
_RFC1 = {
    Op.CREATE: (Part("base_address", 8, 8), Part("length", 16, 8), Part("capabilities", 24, 8),
                Part("viommu_id", 32, 4, True)),
    Op.DESTROY: (Part("viommu_id", 8, 4),),
    Op.QUERY_CAPS: (Part("capabilities", 8, 8, True),),
}
_E = Errno
_BACK_END: tuple[Check, ...] = ((Op.CREATE, "domain", _E.EINVAL), (Op.CREATE, "length", _E.EINVAL),
                                (Op.CREATE, "capabilities", _E.EINVAL))
_COLLAPSED: tuple[Check, ...] = (
    (None, "option-off", _E.EINVAL), (Op.CREATE, "viommu_type", _E.EINVAL), (Op.CREATE, "limit", _E.EINVAL), *_BACK_END,
    (Op.CREATE, "memory", _E.EINVAL), (Op.DESTROY, "range", _E.EINVAL), (Op.DESTROY, "none", _E.EINVAL),
    (Op.QUERY_CAPS, "viommu_type", _E.EINVAL))
_CORRECTED: tuple[Check, ...] = (
    (None, "option-off", _E.ENODEV), (Op.CREATE, "viommu_type", _E.ENOENT), (Op.CREATE, "limit", _E.E2BIG),
    (Op.CREATE, "domain", _E.ENXIO), (Op.CREATE, "length", _E.ERANGE), (Op.CREATE, "capabilities", _E.EOPNOTSUPP),
    (Op.CREATE, "aligned", _E.EINVAL), (Op.CREATE, "width", _E.EOVERFLOW), (Op.CREATE, "ram", _E.EEXIST),
    (Op.CREATE, "device", _E.EBUSY), (Op.CREATE, "memory", _E.ENOMEM), (Op.DESTROY, "range", _E.ERANGE),
    (Op.DESTROY, "none", _E.ENOENT), (Op.QUERY_CAPS, "viommu_type", _E.ENOENT))
_LATER: tuple[Check, ...] = (
    (Op.CREATE, "limit", _E.E2BIG), (Op.CREATE, "viommu_type", _E.EINVAL), (Op.CREATE, "memory", _E.ENOMEM),
    (Op.CREATE, "domain", _E.EINVAL), (Op.CREATE, "aligned", _E.EINVAL), (Op.CREATE, "capabilities", _E.EINVAL),
    (Op.CREATE, "back-end-memory", _E.ENOMEM))
INTERFACES: dict[str, Interface] = {face.name: face for face in (
    Interface("v1", "domctl", 80, 0xE, 48, _FIRST, 1, _COLLAPSED, _E.EINVAL, counted=True),
    Interface("v1-corrected", "domctl", 80, 0xE, 48, _FIRST, 1, _CORRECTED, _E.ENOSYS, narrow_caps=False),
    Interface("rfc-v1", "device-model operation", 15, 0xC, 36, _RFC1, 0x10000,
              ((Op.CREATE, "limit", _E.EINVAL), *_BACK_END, (Op.CREATE, "memory", _E.EFAULT),
               (Op.DESTROY, "none", _E.EINVAL)), _E.EOPNOTSUPP, counted=True, first=15),
    Interface("rfc-v2", "domctl", 80, 0xD, 48, _FIRST, 1, (
        (None, "option-off", _E.EINVAL), (Op.CREATE, "viommu_type", _E.EFAULT), *_COLLAPSED[2:-1],
        (Op.QUERY_CAPS, "always", _E.EINVAL)), _E.EINVAL, counted=True),
    Interface("v2", "domctl", 80, 0xE, 48, _SECOND, 1, _COLLAPSED, _E.EINVAL, counted=True),
    Interface("v3", "domctl", 80, 0xE, 40, {Op.CREATE: _THIRD, Op.DESTROY: (_ID,)}, 0,
              ((None, "option-off", _E.ENODEV), *_LATER, (Op.DESTROY, "nothing", _E.EINVAL)), _E.ENOSYS),
    Interface("v4", "domctl", 82, 0xE, 40, {Op.CREATE: (Part("viommu_type", 8, 1), *_THIRD[1:])}, 0, _LATER, _E.ENOSYS),
)}
"""The versions by the machine option `interface`."""


def differences(first: str, second: str) -> list[tuple[str, str, str]]:
    """Where two versions differ: (what, in the first, in the second). ValueError for an unknown version."""
    rows = [(what, one.get(what, "-"), other.get(what, "-"))
            for one, other in [(_facts(first), _facts(second))] for what in dict.fromkeys([*one, *other])]
    return [row for row in rows if row[1] != row[2]]


def known(name: str) -> Interface:
    """The interface of a version. ValueError names those that exist."""
    if name not in INTERFACES:
        raise ValueError(f"no interface version {name!r}; there are {', '.join(INTERFACES)}")
    return INTERFACES[name]


def _facts(name: str) -> dict[str, str]:
    """Everything that can differ, as words."""
    face = known(name)
    out = {"hypercall": f"{face.hypercall} {face.number}", "interface version": f"{face.version:#x}",
           "size": f"{face.size} bytes", "sub-commands": ", ".join(op.name.lower() for op in face.parts),
           "viommu_type of Intel VT-d": str(face.type_value) if face.type_value <= 0xFF else "the host's vendor",
           "unknown sub-command": Errno(face.unknown).name}
    for op, parts in face.parts.items():
        for part in parts:
            way = "out" if part.out else "in"
            out[f"{op.name.lower()}: {part.name}"] = f"u{8 * part.width} at {part.offset}, {way}"
    for place, (of, check, errno) in enumerate(face.checks):
        what = f"{of.name.lower() if of is not None else 'any'} refuses: {check}"
        out[what] = f"{Errno(errno).name}, check {place + 1}"
    return out


def table(first: str, second: str) -> str:
    """`differences` as aligned text."""
    rows = [("", first, second), *differences(first, second)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)
