"""What the kit shows for the seven questions of version 1's review, run afresh on every call (X 8.1, 1 to 7)."""

from __future__ import annotations

from vsim import machine
from vsim.domain.stage import BASE, TABLE, taken
from vsim.layouts.bits import get
from vsim.layouts.formats import msi_message
from vsim.layouts.interfaces import INTERFACES, Caps, Op
from vsim.layouts.registers import ECAP
from vsim.review.evidence import MODELLED, VERSIONS, Lines, access, code, ends, issue, stage
from vsim.state import commands as c
from vsim.xen.models import MODELS


def links() -> Lines:
    """No member of create names a unit of the host, and there is one vIOMMU for a domain."""
    return tuple(_one_unit(version) for version in VERSIONS)


def _one_unit(version: str) -> str:
    s = stage(version)
    parts = INTERFACES[version].fields(Op.CREATE)
    members = ", ".join(part.name for part in parts if not part.out)
    return f"{version}: create takes {members}; the id of the first is 0; a second create ends with {code(s.create())}"


def types() -> Lines:
    """Which value of type each version takes, and how wide the member is."""
    return tuple(_types(version) for version in VERSIONS)


def _types(version: str) -> str:
    width = next(part.width for part in INTERFACES[version].fields(Op.CREATE) if part.name == "viommu_type")
    each = (f"{value}: {ends(version, viommu_type=value)}" for value in (0, 1, 2))
    return f"{version}: viommu_type has {8 * width} bits; {'; '.join(each)}"


def capabilities() -> Lines:
    """Which capability bits each version takes, and what asking for none changes."""
    defined = ", ".join(f"bit {bit.value.bit_length() - 1} ({bit.name})" for bit in Caps)
    return (f"defined: {defined}", *(_asked(version) for version in VERSIONS), *(_none(v) for v in MODELLED))


def _asked(version: str) -> str:
    return f"{version}: " + "; ".join(f"capabilities {each}: {ends(version, capabilities=each)}" for each in (0, 1, 2))


def _none(version: str) -> str:
    s = stage(version, create=False)
    s.create(capabilities=0)
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2)
    offered = get(s.read("ECAP"), ECAP.ir)
    return f"{version}, created with capabilities 0: ECAP.IR reads {offered}, an interrupt is {taken(s.msi(0))}"


def queries() -> Lines:
    """The query names a type, no unit, and is gone from version 3 on."""
    return tuple(_query(version) for version in VERSIONS)


def _query(version: str) -> str:
    s, face = stage(version, create=False), INTERFACES[version]
    if Op.QUERY_CAPS not in face.parts:
        return f"{version}: sub-command 2 ends with {code(issue(s, Op.QUERY_CAPS)[0])}"
    members = ", ".join(part.name for part in face.fields(Op.QUERY_CAPS) if not part.out)
    answer = next(part.name for part in face.fields(Op.QUERY_CAPS) if part.out)
    failed, values = issue(s, Op.QUERY_CAPS, viommu_type=face.type_value)
    unknown, _ = issue(s, Op.QUERY_CAPS, viommu_type=2)
    return (f"{version}: query takes {members} alone; known type: {code(failed)}, {answer} {values[answer]}; "
            f"unknown type: {code(unknown)}")


def region() -> Lines:
    """Trap and emulate: what is at the base before and after create, and how far it reaches."""
    return (*(_before_and_after(v) for v in MODELLED), *(_length(v) for v in ("v1", "v2")),
            *(_across(v) for v in MODELLED),
            *(f"{v}: a base of {BASE + 0x800:#x}, not a multiple of 4096: {ends(v, base_address=BASE + 0x800)}"
              for v in MODELLED),
            *(f"{v}: a base inside RAM, {TABLE:#x}: {ends(v, base_address=TABLE)}" for v in MODELLED))


def _before_and_after(version: str) -> str:
    s = stage(version, create=False)
    before = access(s, BASE)
    s.create()
    return (f"{version}: {BASE:#x} before create: {before}; after it: {access(s, BASE)}; "
            f"{MODELS['xen-' + version].trapped:#x} bytes are trapped")


def _across(version: str) -> str:
    s, end = stage(version), MODELS[f"xen-{version}"].trapped
    crossing, behind = access(s, BASE + end - 4, 8, 0), access(s, BASE + end)
    return f"{version}: 8 bytes at {end - 4:#x}, across the end: {crossing}; 4 bytes at {end:#x}: {behind}"


def _length(version: str) -> str:
    return f"{version}: length " + "; ".join(f"{each:#x}: {ends(version, length=each)}" for each in (0, 0xD0, 0x1000))


def usefulness() -> Lines:
    """What 8 bits of destination do to the APIC IDs of 288 vCPUs, and what an entry's 32 bits do."""
    return tuple(_reaches(vcpu) for vcpu in (127, 128, 287))


def _reaches(vcpu: int) -> str:
    plain, remapped = stage("v4", create=False, vcpus=288), stage("v4", vcpus=288)
    apic_id = plain.m.apic_id[vcpu]
    cut = machine.step(plain.m, c.Msi(0x300, *msi_message(dest=apic_id & 0xFF, vector=0x41)))
    remapped.table()
    remapped.entry(0, p=1, vector=0x41, dst=apic_id)
    return (f"vCPU {vcpu}, APIC ID {apic_id}: the low 8 bits in a message are {taken(cut)}; "
            f"an entry is {taken(remapped.msi(0))}")
