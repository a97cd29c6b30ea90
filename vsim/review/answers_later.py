"""What the kit shows for the remarks behind versions 3 and 4, and for what nobody asked (X 8.1, 8 to 18; X 8.2)."""

from __future__ import annotations

from vsim import machine
from vsim.devices import viommu
from vsim.domain import acpi
from vsim.domain.stage import BASE, QUEUE, Stage, result, taken
from vsim.layouts.bits import get
from vsim.layouts.formats import IEC, msi_message, remap_message
from vsim.layouts.interfaces import INTERFACES, Op
from vsim.layouts.registers import GCMD, GSTS, IQA, IQT, IRTA, OFFSET
from vsim.review.evidence import MODELLED, VERSIONS, Lines, both, code, issue, narrow, of_version, stage
from vsim.state import commands as c
from vsim.state.profile import profile
from vsim.state.trace import Act, Drop
from vsim.xen import bind as xen_bind
from vsim.xen import paths as xen_paths
from vsim.xen import save as xen_save

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
    made = [issue(s, Op.CREATE, viommu_type=1, base_address=base, length=4096, capabilities=1)
            for base in (BASE, BASE, BASE + 0x1000)]
    said = "; ".join(f"base {base:#x}: {code(failed)}" + ("" if failed else f", id {values['viommu_id']}")
                     for base, (failed, values) in zip((BASE, BASE, BASE + 0x1000), made, strict=True))
    return (f"corrected interface, two allowed: {said}",
            f"without scopes of their own, device 03:00.0 belongs to unit {s.m.unit_of(0x300)}: the first")


def narrow_caller() -> Lines:
    """What the hypervisor reads from the bytes of a 32-bit toolstack."""
    return tuple(_misread(version) for version in VERSIONS)


def _misread(version: str) -> str:
    face, s = INTERFACES[version], stage(version, create=False)
    body = narrow(version, viommu_type=face.type_value, base_address=BASE, length=4096, capabilities=1)
    seen = viommu.decode(version, body)[1]
    failed = next(e.index for e in machine.step(s.m, c.Domctl(body)) if e.act == Act.DOMCTL)
    members = ", ".join(f"{name} {seen[name]:#x}" for name in ("viommu_type", "base_address"))
    return f"{version}: reads {members}: {code(failed)}"


def positive() -> Lines:
    """Where a positive number means failure."""
    return both("xen.D13", "xen.D1", "xen.D27")
