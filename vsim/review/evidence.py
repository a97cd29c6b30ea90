"""Small domains of any version of the series, on which a reviewer can try things (X 2, 3).

    ends("v4", viommu_type=1)               # how create ends: "-EINVAL (-22)"
    access(stage("v1"), 0xFED90000)         # "trapped, reads 0x10"

What the kit shows for each question of the review is built from these in `answers` and `answers_later`.
"""

from __future__ import annotations

from vsim import machine
from vsim.devices import viommu
from vsim.domain.stage import Stage, stopped
from vsim.layouts.interfaces import INTERFACES, Errno, Op
from vsim.review.scenarios import Observation, observe
from vsim.state import commands as c
from vsim.state.profile import Profile, profile
from vsim.state.trace import Act

VERSIONS = ("v1", "v2", "v3", "v4")
"""The posted versions; versions 1 and 2 share one register model."""
MODELLED = ("v1", "v3", "v4")
"""Those with a register model of their own."""
Lines = tuple[str, ...]


def of_version(version: str) -> Profile:
    """The machine of a version. Version 2 has its own hypercall on version 1's device model.

    "corrected": the specification's unit, and version 1's bytes with an errno for each failure.
    """
    if version == "corrected":
        return profile("spec")
    return profile("xen-v1" if version == "v2" else f"xen-{version}").with_options(interface=version)


def stage(version: str, create: bool = True, vcpus: int = 4) -> Stage:
    """A domain of a version, with its vIOMMU or still without."""
    return Stage(of_version(version), vcpus=vcpus, create=create)


def code(failed: int) -> str:
    """An errno as the hypercall's caller reads it, e.g. "-EINVAL (-22)"."""
    return f"-{Errno(failed).name} (-{failed})" if failed else "done"


def issue(s: Stage, command: int, **values: int) -> tuple[int, dict[str, int]]:
    """Issue a sub-command of the version's hypercall: (errno, the members as copied back)."""
    face = viommu.interface(s.m)
    body = viommu.encode(face.name, command, **values)
    done = next(e for e in machine.step(s.m, c.Domctl(body)) if e.act == Act.DOMCTL)
    return done.index, viommu.decode(face.name, viommu.reply(face.name, body, done.index, done.high))[1]


def ends(version: str, **members: int) -> str:
    """How create ends on a fresh domain of a version, with some members set otherwise than the toolstack does."""
    return code(stage(version, create=False).create(**members))


def access(s: Stage, address: int, width: int = 4, value: int | None = None) -> str:
    """What becomes of a guest's access to an address: a read, or a write of `value`; and whether Xen traps it."""
    command = c.MmioRead(address, width) if value is None else c.Mmio(address, width, value)
    events = machine.step(s.m, command)
    trapped = "trapped" if any(e.act == Act.VM_EXIT for e in events) else "not trapped"
    if any(e.act == Act.STOPPED for e in events):
        return f"{trapped}, {stopped(s.m, events)}"
    read = next((f", reads {e.low:#x}" for e in events if e.act == Act.READ), "")
    return trapped + read


def both(*ids: str) -> Lines:
    """Quirks of the series, as coded and corrected."""
    return tuple(f"{id_[4:]}: as coded {_said(observe(id_, True))}; corrected {_said(observe(id_, False))}"
                 for id_ in ids)


def _said(seen: Observation) -> str:
    return ", ".join(seen)


def narrow(version: str, **values: int) -> bytes:
    """The bytes of create as a 32-bit toolstack lays them out: 64-bit members aligned to 4 (X 2.2, [I])."""
    face, body, at = INTERFACES[version], bytearray(INTERFACES[version].size), 4
    for part in face.fields(Op.CREATE):
        align = min(4, part.width)
        at = -(-at // align) * align
        body[at:at + part.width] = values.get(part.name, 0).to_bytes(part.width, "little")
        at += part.width
    return bytes(body[:face.size])
