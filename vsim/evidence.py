"""What the kit can show about a question of the review, run afresh on every call (X 8).

Each function builds small domains of the series, does a few things to them and returns what happened as short lines.
The questions that they belong to are in `review`; the lines are the same on every computer.
"""

from __future__ import annotations

from vsim import acpi, machine, viommu, xen_bind, xen_paths, xen_save
from vsim import commands as c
from vsim.bits import get
from vsim.formats import IEC, msi_message, remap_message
from vsim.interfaces import INTERFACES, Caps, Errno, Op
from vsim.profile import Profile, profile
from vsim.registers import ECAP, GCMD, GSTS, IQA, IQT, IRTA, OFFSET
from vsim.trace import Act, Drop
from vsim.xen_models import MODELS
from vsim.xen_scenarios import BASE, QUEUE, TABLE, Observation, Stage, observe, result, stopped, taken

VERSIONS = ("v1", "v2", "v3", "v4")
"""The posted versions; versions 1 and 2 share one register model."""
MODELLED = ("v1", "v3", "v4")
"""Those with a register model of their own."""
Lines = tuple[str, ...]


def of_version(version: str) -> Profile:
    """The machine of a version. Version 2 has its own hypercall on version 1's device model."""
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


def both(*ids: str) -> Lines:
    """Quirks of the series, as coded and corrected."""
    return tuple(f"{id_[4:]}: as coded {_said(observe(id_, True))}; corrected {_said(observe(id_, False))}"
                 for id_ in ids)


def _said(seen: Observation) -> str:
    return ", ".join(seen)


# --- the seed's seven questions (X 8.1, 1 to 7) ---


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
    width = next(part.width for part in INTERFACES[version].fields(Op.CREATE) if part.name == "type")
    ends = (f"type {value}: {code(stage(version, create=False).create(type=value))}" for value in (0, 1, 2))
    return f"{version}: type has {8 * width} bits; {'; '.join(ends)}"


def capabilities() -> Lines:
    """Which capability bits each version takes, and what asking for none changes."""
    defined = ", ".join(f"bit {bit.value.bit_length() - 1} ({bit.name})" for bit in Caps)
    return (f"defined: {defined}", *(_asked(version) for version in VERSIONS), *(_none(v) for v in MODELLED))


def _asked(version: str) -> str:
    ends = (f"capabilities {value}: {code(stage(version, create=False).create(capabilities=value))}"
            for value in (0, 1, 2))
    return f"{version}: {'; '.join(ends)}"


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
    failed, values = issue(s, Op.QUERY_CAPS, type=face.type_value)
    unknown, _ = issue(s, Op.QUERY_CAPS, type=2)
    return (f"{version}: query takes {members} alone; known type: {code(failed)}, {answer} {values[answer]}; "
            f"unknown type: {code(unknown)}")


def region() -> Lines:
    """Trap and emulate: what is at the base before and after create, and how far it reaches."""
    return (*(_before_and_after(v) for v in MODELLED), *(_length(v) for v in ("v1", "v2")),
            *(_across(v) for v in MODELLED),
            *(f"{v}: a base of {BASE + 0x800:#x}, not a multiple of 4096: {_based(v, BASE + 0x800)}" for v in MODELLED),
            *(f"{v}: a base inside RAM, {TABLE:#x}: {_based(v, TABLE)}" for v in MODELLED))


def _before_and_after(version: str) -> str:
    s = stage(version, create=False)
    before = s.read("VER")
    s.create()
    events = machine.step(s.m, c.MmioRead(BASE, 4))
    read = next(e.low for e in events if e.act == Act.READ)
    exits = sum(e.act == Act.VM_EXIT for e in events)
    return (f"{version}: at {BASE:#x} the guest reads {before:#x} before create, {read:#x} after it ({exits} VM exit); "
            f"{MODELS['xen-' + version].trapped:#x} bytes are trapped")


def _across(version: str) -> str:
    s, end = stage(version), MODELS[f"xen-{version}"].trapped
    crossing = stopped(s.m, machine.step(s.m, c.Mmio(BASE + end - 4, 8, 0)))
    behind = machine.step(s.m, c.MmioRead(BASE + end, 4))
    read = next(e.low for e in behind if e.act == Act.READ)
    trapped = "trapped" if any(e.act == Act.VM_EXIT for e in behind) else "not trapped"
    return f"{version}: 8 bytes at {end - 4:#x}, across the end: {crossing}; 4 bytes at {end:#x}: {read:#x}, {trapped}"


def _length(version: str) -> str:
    ends = (f"{length:#x}: {code(stage(version, create=False).create(length=length))}" for length in (0, 0xD0, 0x1000))
    return f"{version}: length {'; '.join(ends)}"


def _based(version: str, base: int) -> str:
    return code(stage(version, create=False).create(base_address=base))


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


# --- the versions' changelogs (X 8.1, 8 to 18) ---


def records() -> Lines:
    """A domain saved under each version, and what loading it elsewhere gives."""
    return (*(_record(version) for version in MODELLED), *(_loaded(old, new) for old in MODELLED for new in MODELLED))


def _record(version: str) -> str:
    sizes = (f"type {each.code} {each.name!r}, {each.size} bytes" for each in xen_save.RECORDS[f"xen-{version}"])
    return f"{version} saves {'; '.join(sizes)}"


def _loaded(old: str, new: str) -> str:
    first, second = stage(old), stage(new)
    first.table()
    first.entry(0, p=1, vector=0x41, dst=2)
    failed = xen_save.load_stream(second.m, xen_save.stream(first.m))
    second.entry(0, p=1, vector=0x41, dst=2)
    return f"saved by {old}, loaded by {new}: {code(failed)}; an entry's interrupt is {taken(second.msi(0))}"


def unaligned() -> Lines:
    """A write of 4 bytes at an odd offset of the register page."""
    return tuple(_odd(version) for version in MODELLED)


def _odd(version: str) -> str:
    events = machine.step(stage(version).m, c.Mmio(BASE + 0x1A, 4, 0))
    passed = any(e.act == Act.DROPPED and e.index == Drop.UNCLAIMED for e in events)
    return f"{version}: " + ("goes on to the device model outside" if passed else "swallowed, no register changes")


def unmappable() -> Lines:
    """A remapping table at an address that is not memory."""
    return tuple(_unmapped(version) for version in MODELLED)


def _unmapped(version: str) -> str:
    s = stage(version)
    s.write("IRTA", IRTA.make(base=0xE0000, eime=1, s=7), 8)
    s.write("GCMD", GCMD.make(sirtp=1))
    s.write("GCMD", GCMD.make(sirtp=1, ire=1))
    latched = get(s.read("GSTS"), GSTS.irtps)
    return f"{version}: GSTS reports the table {'latched' if latched else 'not latched'}; an interrupt: {_outcome(s)}"


def _outcome(s: Stage) -> str:
    """The results of a message for entry 0: the unit's own where it is another than what its caller saw."""
    events = s.msi(0)
    own = [xen_paths.signed(e.low) for e in events if e.act == Act.RETURNED and e.index == 0]
    return "".join(f"the unit's own result {each}, " for each in own) + f"its caller sees {result(events)}"


def format_bit() -> Lines:
    """A message with bit 4 set in a domain that has no vIOMMU."""
    return tuple(_with_bit_4(version) for version in MODELLED)


def _with_bit_4(version: str) -> str:
    s = stage(version, create=False)
    address, data = msi_message(dest=2, vector=0x41)
    return f"{version}, no vIOMMU, address bit 4 set: {taken(machine.step(s.m, c.Msi(0x300, address | 0x10, data)))}"


def one_only() -> Lines:
    """A second vIOMMU for a domain."""
    return tuple(f"{version}: a second create ends with {code(stage(version).create())}" for version in VERSIONS)


def destroying() -> Lines:
    """Create, destroy, create again, as far as a version can."""
    return tuple(_again(version) for version in VERSIONS)


def _again(version: str) -> str:
    s = stage(version)
    values = {"viommu_id": 0} if Op.DESTROY in INTERFACES[version].parts else {}
    first, _ = issue(s, Op.DESTROY, **values)
    return f"{version}: destroy: {code(first)}; create after it: {code(s.create())}"


def bound() -> Lines:
    """A passed-through MSI whose entry moves from vCPU 1 to vCPU 3: when does the stored routing follow?"""
    s = stage("v4")
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2)
    place = xen_bind.bind(s.m, *remap_message(0))
    out = [f"bound with the whole message: routed to vCPU {s.m.bound[place].vcpu}"]
    s.entry(0, p=1, vector=0x41, dst=6)
    out.append(f"entry moved to vCPU 3, nothing invalidated: still routed to vCPU {s.m.bound[place].vcpu}")
    s.write("GCMD", GCMD.make(sirtp=1, ire=1, qie=1))
    s.queue(IEC.make(type=4))
    s.write("IQT", IQT.make(qt=1))
    s.read("FSTS")
    return (*out, f"after an IEC invalidation and a read: routed to vCPU {s.m.bound[place].vcpu}")


def tables() -> Lines:
    """The DMAR table that the toolstack hands to guests of version 4."""
    return tuple(_table(kind, create) for kind in ("hvm", "pvh") for create in (True, False))


def _table(kind: str, create: bool) -> str:
    s = Stage(of_version("v4").with_options(domain_type=kind), create=create)
    table = acpi.dmar_of(s.m)
    what = f"{len(table)} bytes, checksum {table[9]:#04x}" if table else "none"
    return f"v4, {kind}, {'with' if create else 'without'} a vIOMMU: {what}"


# --- what nobody answered (X 8.2) ---


def sources() -> Lines:
    """Can one device raise another's interrupt?"""
    return both("xen.D10", "xen.D32")


def unbounded() -> Lines:
    """How much a guest can make the hypervisor do in one go."""
    s = stage("v4")
    s.m.ram.write(QUEUE, IEC.make(type=4).to_bytes(16, "little") * 32768)
    s.write("IQA", QUEUE | IQA.make(qs=7), 8)
    s.write("IQT", IQT.make(qt=32767))
    events = machine.step(s.m, c.MmioRead(BASE + OFFSET["VER"], 4))
    done = sum(e.act == Act.INVALIDATED for e in events)
    return (f"v4: one read of a register works off {done} descriptors before the guest goes on",
            *both("xen.D25", "xen.D24"))


def remapping_off() -> Lines:
    """A remappable message while IRE is 0, and what the decode call says about it."""
    s = _latched("v4")
    place = xen_bind.bind(s.m, *remap_message(0))
    decoded = f"v4, IRE 0: a bind decodes the entry all the same, to vector {s.m.bound[place].vector:#x}"
    return (*both("xen.D8"), *(f"{v}, IRE 0: {_outcome(_latched(v))}" for v in MODELLED), decoded)


def _latched(version: str) -> Stage:
    """A table is latched, with an entry in it, and remapping is still off."""
    s = stage(version)
    s.table(on=False)
    s.entry(0, p=1, vector=0x41, dst=2)
    return s


def two_units() -> Lines:
    """Two units at one address, and at two: what a hypercall with one errno for each failure says."""
    wanted = profile("spec").with_options(interface="v1-corrected", max_units=2)
    s = Stage(wanted, create=False)
    made = [issue(s, Op.CREATE, type=1, base_address=base, length=4096, capabilities=1)
            for base in (BASE, BASE, BASE + 0x1000)]
    ends = "; ".join(f"base {base:#x}: {code(failed)}" + ("" if failed else f", id {values['viommu_id']}")
                     for base, (failed, values) in zip((BASE, BASE, BASE + 0x1000), made, strict=True))
    return (f"corrected interface, two allowed: {ends}",
            f"without scopes of their own, device 03:00.0 belongs to unit {s.m.unit_of(0x300)}: the first")


def narrow(version: str, **values: int) -> bytes:
    """The bytes of create as a 32-bit toolstack lays them out: 64-bit members aligned to 4 (X 2.2, [I])."""
    face, body, at = INTERFACES[version], bytearray(INTERFACES[version].size), 4
    for part in face.fields(Op.CREATE):
        align = min(4, part.width)
        at = -(-at // align) * align
        body[at:at + part.width] = values.get(part.name, 0).to_bytes(part.width, "little")
        at += part.width
    return bytes(body[:face.size])


def narrow_caller() -> Lines:
    """What the hypervisor reads from the bytes of a 32-bit toolstack."""
    return tuple(_misread(version) for version in VERSIONS)


def _misread(version: str) -> str:
    face, s = INTERFACES[version], stage(version, create=False)
    body = narrow(version, type=face.type_value, base_address=BASE, length=4096, capabilities=1)
    seen = viommu.decode(version, body)[1]
    failed = next(e.index for e in machine.step(s.m, c.Domctl(body)) if e.act == Act.DOMCTL)
    return f"{version}: reads type {seen['type']:#x}, base_address {seen['base_address']:#x}: {code(failed)}"


def positive() -> Lines:
    """Where a positive number means failure."""
    return both("xen.D13", "xen.D1", "xen.D27")
