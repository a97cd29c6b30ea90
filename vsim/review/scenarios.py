"""For each quirk of the series that a machine can show: the shortest scenario in which it shows.

A scenario runs on a machine of the profile it names, with the quirk on or off, and returns what could be observed, as
short lines. A test holds that the two differ (rows marked (f) in `xen_quirks`: that both show the same), the design
review prints them, and a reader can run one: `observe("xen.D12", faithful=True)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vsim import machine
from vsim.devices import viommu
from vsim.domain import acpi
from vsim.domain.stage import BASE, QUEUE, STATUS, TABLE, Stage, result, stopped, taken
from vsim.layouts.formats import msi_message, remap_message
from vsim.layouts.registers import APIC_MSR, GCMD, IOREDTBL, OFFSET
from vsim.readers import acpi_madt
from vsim.state import commands as c
from vsim.state.profile import Profile, profile
from vsim.state.trace import Act, Event, Kind, node
from vsim.xen import bind as xen_bind
from vsim.xen import paths as xen_paths

Observation = tuple[str, ...]


# --- the scenarios --------------------------------------------------------------------------------------------


def _d1(p: Profile) -> Observation:
    s = Stage(p, create=False)
    machine.step(s.m, c.OutOfMemory(2))
    done = s.create()
    return (f"create {-done}", result(s.msi(0)), f"state {int(xen_paths.present(s.m) == 1)}")


def _d2(p: Profile) -> Observation:
    s = Stage(p.with_options(built_viommu=False), create=False)
    return (f"create {-s.create()}", f"units {s.m.units}")


def _d3(p: Profile) -> Observation:
    s = Stage(p.with_options(domain_type="pv", pv_word=0x1234), create=False)
    return (f"create {-s.create()}",)


def _d4(p: Profile) -> Observation:
    s = Stage(p)
    events: list[Event] = []
    for _ in range(viommu.HANDLERS):
        s.m.events = events
        viommu.destroy_for_domain(s.m)
        s.create()
    return (f"handlers {s.m.handlers}",)


def _d5(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2)
    s.write("GCMD", 0)
    return (f"GSTS {s.read('GSTS'):#x}", taken(s.msi(0)))


def _d6(p: Profile) -> Observation:
    s = Stage(p, vcpus=130)
    s.table(eime=False)
    s.entry(0, p=1, vector=0x41, dst=0x100)
    s.write("IRTA", TABLE | 1 << 11 | 7, 8)
    s.write("GCMD", GCMD.make(sirtp=1, ire=1))
    return (taken(s.msi(0)),)


def _d7(p: Profile) -> Observation:
    s = Stage(p, create=False)
    address, data = msi_message(dest=2, vector=0x41)
    return (result(events := machine.step(s.m, c.Msi(0x300, address | 0x10, data))), taken(events))


def _d8(p: Profile) -> Observation:
    s = Stage(p)
    address, data = msi_message(dest=2, vector=0x41)
    return (taken(machine.step(s.m, c.Msi(0x300, address | 0x10, data))),)


def _d9(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    s.entry(0, p=1, im=1, vector=0x41, dst=2)
    return (taken(s.msi(0)),)


def _d10(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2, svt=1, sid=0x400)
    return (taken(s.msi(0, requester=0x300)),)


def _d11(p: Profile) -> Observation:
    s = Stage(p.without_quirks("xen.D17", "xen.D14"))
    s.table()
    s.m.events = []
    xen_paths.pin(s.m, node(Kind.VIOAPIC, 5), 1 << 48 | 1 << 20)
    return (f"FSTS {s.read('FSTS'):#x}",)


def _d12(p: Profile) -> Observation:
    s = Stage(p)
    s.table(size=6)
    s.entry(128, p=1, vector=0x41, dst=2)
    inside = taken(s.msi(128))
    t = Stage(p)
    t.table(size=7)
    return (inside, stopped(t.m, t.msi(256)))


def _d13(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    return (result(s.msi(0)),)


def _d14(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    return (stopped(s.m, s.msi(0)),)


def _d15(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    s.m.svr[1] &= ~0x100
    s.entry(0, p=1, vector=0x41, dst=2)
    return (taken(s.msi(0)),)


def _record(s: Stage) -> str:
    at = s.m.profile.capabilities.fault_offset // 4
    low, high = (s.m.regs[at + n] | s.m.regs[at + n + 1] << 32 for n in (0, 2))
    return f"record {low:#018x} {high:#018x}"


def _d16(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    s.msi(5)
    return (_record(s),)


def _d17(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    s.write("FECTL", 0)
    events = s.msi(5)
    sent = sum(e.act == Act.NOTIFIED for e in events)
    return (_record(s), f"FSTS {s.read('FSTS'):#x}", f"events sent {sent}")


def _d18(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    out = []
    for _ in range(2):
        s.msi(5)
        out.append(f"FSTS {s.read('FSTS'):#x}")
        s.write("FSTS", 1)
    return tuple(out)


def _d20(p: Profile) -> Observation:
    s = Stage(p)
    s.m.regs[OFFSET["FSTS"] // 4] = 0x11
    s.write("FSTS", 0x1)
    return (f"FSTS {s.read('FSTS'):#x}",)


_IEC, _WAIT = 0x4, 0x25 | 7 << 32 | STATUS << 64


def _polled(s: Stage) -> str:
    return f"status {s.m.ram.word(STATUS)}"


def _d21(p: Profile) -> Observation:
    s = Stage(p)
    s.queue(_IEC, _WAIT)
    s.write("IQT", 0x20)
    s.read("FSTS")
    return (_polled(s),)


def _d22(p: Profile) -> Observation:
    s = Stage(p)
    s.write("IQA", QUEUE | 1, 8)
    s.m.regs[OFFSET["IQH"] // 4] = 256 << 4
    s.m.ram.write(QUEUE + 0x1000, _WAIT.to_bytes(16, "little"))
    events = s.write("IQT", 257 << 4)
    return (stopped(s.m, events), _polled(s))


def _d23(p: Profile) -> Observation:
    s = Stage(p)
    s.queue(_IEC, _WAIT)
    s.write("GCMD", GCMD.make(qie=1))
    s.write("IQT", 0x20)
    return (_polled(s),)


def _d24(p: Profile) -> Observation:
    s = Stage(p)
    for place in range(512):
        s.m.ram.write(QUEUE + 16 * place, _IEC.to_bytes(16, "little"))
    s.write("GCMD", GCMD.make(qie=1))
    s.write("IQA", QUEUE | 1, 8)
    s.m.regs[OFFSET["IQH"] // 4] = s.m.regs[OFFSET["IQT"] // 4] = 0x1FF0
    s.write("IQA", QUEUE, 8)
    s.m.regs[OFFSET["IQH"] // 4] = 0
    events = machine.step(s.m, c.MmioRead(BASE + OFFSET["FSTS"], 4)) + s.write("FSTS", 0)
    return (stopped(s.m, events),)


def _d25(p: Profile) -> Observation:
    s = Stage(p)
    s.queue(0x14 | 20 << 27)
    s.write("GCMD", GCMD.make(qie=1))
    s.write("IQT", 0x10)
    events = machine.step(s.m, c.MmioRead(BASE + OFFSET["VER"], 4))
    masks = [1 << e.high for e in events if e.act == Act.INVALIDATED]
    return (f"walks {sum(masks)} entries", f"FSTS {s.read('FSTS'):#x}")


def _d27(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    return (f"vector {xen_paths.pin_vector(s.m, 1 << 48 | 0x30)}",)


def _d28(p: Profile) -> Observation:
    s = Stage(p, vcpus=130)
    s.table()
    s.entry(0, p=1, vector=0x41, dst=0x100)
    s.m.events = []
    place = xen_bind.bind(s.m, *remap_message(0))
    return (f"routed to vCPU {s.m.bound[place].vcpu}", taken(s.msi(0)))


def _level_pin(p: Profile, vector: int, edge_entry: bool) -> tuple[Stage, list[Event]]:
    s = Stage(p)
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2, tm=int(not edge_entry))
    machine.step(s.m, c.Mmio(0xFEC00000, 4, IOREDTBL + 2 * 20 + 1))
    machine.step(s.m, c.Mmio(0xFEC00010, 4, 1 << 16))
    machine.step(s.m, c.Mmio(0xFEC00000, 4, IOREDTBL + 2 * 20))
    machine.step(s.m, c.Mmio(0xFEC00010, 4, 1 << 15 | vector))
    events = machine.step(s.m, c.Pin(20, 1))
    machine.step(s.m, c.Pin(20, 0))
    machine.step(s.m, c.Acknowledge(1))
    machine.step(s.m, c.Msr(1, APIC_MSR["EOI"], 0))
    return s, events


def _irr(s: Stage) -> str:
    return f"remote IRR {s.m.rte[20] >> 14 & 1}"


def _d29(p: Profile) -> Observation:
    return (_irr(_level_pin(p, 20, False)[0]), _irr(_level_pin(p, 0x41, False)[0]))


def _d30(p: Profile) -> Observation:
    return (_irr(_level_pin(p, 0x41, True)[0]),)


def _d31(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    for index, value in ((0x11 + 40, 1 << 16), (0x10 + 40, 1 << 15 | 0x41)):
        machine.step(s.m, c.Mmio(0xFEC00000, 4, index))
        machine.step(s.m, c.Mmio(0xFEC00010, 4, value))
    events = machine.step(s.m, c.Pin(20, 1))
    return (taken(events), _irr(s))


def _d32(p: Profile) -> Observation:
    s = Stage(p.without_quirks("xen.D10"))
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2, svt=1, sid=0xFF00)
    events: list[Event] = []
    s.m.events = events
    xen_paths.pin(s.m, node(Kind.VIOAPIC, 5), 1 << 48 | 0x41)
    return (taken(events),)


def _d33(p: Profile) -> Observation:
    s = Stage(p, vcpus=300)
    s.table()
    s.entry(0, p=1, vector=0x41, dlm=1, dst=2 * 270)
    s.msi(0)
    return (f"next round starts behind vCPU {s.m.winner}",)


def _d34(p: Profile) -> Observation:
    s = Stage(p, vcpus=272)
    s.table()
    s.entry(0, p=1, vector=0x41, dm=1, dst=0x100005)
    return (taken(s.msi(0)),)


def _d36(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2, tm=1)
    s.entry(1, p=1, vector=0x41, dst=2)
    s.msi(0)
    machine.step(s.m, c.Acknowledge(1))
    machine.step(s.m, c.Msr(1, APIC_MSR["EOI"], 0))
    s.msi(1)
    return (f"TMR {s.m.tmr[8 + 2] >> 1 & 1}",)


def _d37(p: Profile) -> Observation:
    s = Stage(p)
    s.table()
    return (result(s.msi(0)),)


def _d38(p: Profile) -> Observation:
    table = acpi.dmar_of(Stage(p, create=False).m)
    if not table:
        return ("no DMAR",)
    found = acpi.parse(table)
    return (f"DMAR of {len(table)} bytes", f"width byte {found['address_width']}", f"flags {found.flags}",
            f"base {found.units[0].base:#x}")


def _d39(p: Profile) -> Observation:
    return (f"goes on {viommu.toolstack_accepts(0, 1, 'xen.D39' in p.quirks)}",)


def _d42(p: Profile) -> Observation:
    table = acpi_madt.parse(acpi.madt_of(Stage(p, vcpus=130).m))
    return tuple(f"vCPU {vcpu}: {entry.layout.name} id {entry['id']}" for vcpu, entry in enumerate(table.processors)
                 if vcpu in (0, 127, 128))


def _d43(p: Profile) -> Observation:
    s = Stage(p, create=False)
    try:
        done = s.create(viommu_type=viommu.toolstack_type(256, "xen.D43" in p.quirks))
    except ValueError as error:
        return (str(error),)
    return (f"create {-done}",)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where a quirk shows: the version, and what to do. same: hardware does it too, on and off agree."""

    version: str
    run: Callable[[Profile], Observation]
    same: bool = False


SCENARIOS: dict[str, Scenario] = {
    "xen.D1": Scenario("v4", _d1), "xen.D2": Scenario("v4", _d2), "xen.D3": Scenario("v4", _d3),
    "xen.D4": Scenario("v3", _d4), "xen.D5": Scenario("v1", _d5), "xen.D6": Scenario("v4", _d6),
    "xen.D7": Scenario("v1", _d7), "xen.D8": Scenario("v4", _d8), "xen.D9": Scenario("v4", _d9),
    "xen.D10": Scenario("v4", _d10), "xen.D11": Scenario("v3", _d11), "xen.D12": Scenario("v4", _d12),
    "xen.D13": Scenario("v4", _d13), "xen.D14": Scenario("v3", _d14), "xen.D15": Scenario("v4", _d15),
    "xen.D16": Scenario("v4", _d16), "xen.D17": Scenario("v4", _d17), "xen.D18": Scenario("v1", _d18),
    "xen.D20": Scenario("v4", _d20), "xen.D21": Scenario("v4", _d21), "xen.D22": Scenario("v3", _d22),
    "xen.D23": Scenario("v4", _d23), "xen.D24": Scenario("v4", _d24), "xen.D25": Scenario("v4", _d25),
    "xen.D27": Scenario("v4", _d27), "xen.D28": Scenario("v4", _d28), "xen.D29": Scenario("v4", _d29, True),
    "xen.D30": Scenario("v4", _d30, True), "xen.D31": Scenario("v4", _d31, True), "xen.D32": Scenario("v4", _d32),
    "xen.D33": Scenario("v4", _d33), "xen.D34": Scenario("v4", _d34), "xen.D36": Scenario("v4", _d36),
    "xen.D37": Scenario("v1", _d37), "xen.D38": Scenario("v4", _d38), "xen.D39": Scenario("v1", _d39),
    "xen.D42": Scenario("v4", _d42), "xen.D43": Scenario("v4", _d43),
}
"""The scenario of each quirk that a machine can show."""


def observe(id_: str, faithful: bool) -> Observation:
    """What a scenario shows with the quirk on (faithful) or off. ValueError for a quirk without a scenario."""
    if id_ not in SCENARIOS:
        raise ValueError(f"no scenario for {id_!r}; there are {', '.join(SCENARIOS)}")
    base = profile(f"xen-{SCENARIOS[id_].version}")
    return SCENARIOS[id_].run(base.with_quirks(id_) if faithful else base.without_quirks(id_))
