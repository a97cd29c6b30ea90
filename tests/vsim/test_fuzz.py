"""Any guest, any toolstack, any device: nothing that they do raises an exception, hangs, or breaks an invariant.

Most values are drawn so that they reach something (queues that are on, tables that are latched, entries that are
present); the others are anything that a command can carry. 200 runs here, 20,000 under `pytest -m soak`.
"""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from vsim.devices import vioapic, viommu, vlapic_regs, vpic
from vsim.devices.vlapic import NMI_VECTOR
from vsim.guest import firmware
from vsim.history.log import History
from vsim.layouts.formats import FRCD, IEC, IRTE, IRTE_POSTED, PID, RTE, WAIT, Dlm
from vsim.layouts.registers import APIC, FECTL, FSTS, GCMD, GSTS, ICR, IOAPIC_ID, OFFSET, UNIT
from vsim.machine import FEE, step
from vsim.state import commands as c
from vsim.state.arrays import PAGE_WORDS, Apic, Machine
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.profile import PROFILES, QUIRKS, profile
from vsim.state.trace import Act

BASE = 0xFED90000
TABLE, QUEUE, DESCRIPTOR, STATUS = 0x10000, 0x20000, 0x30000, 0x31000
RAM = 1 << 20
BUS = Bus([
    Function(0x0018, "nic", msix_count=70, pin=1),
    Function(0x0020, "disk", msi_count=8, msi_maskable=True, pin=2),
    Function(0x0028, "old", msi_count=1, msi_64=False, pin=3, conventional=True),
    Function(0x0030, "bridge", bridge=Bridge("pcie-to-pci", 1, 2)),
    Function(0x0100, "behind", msi_count=4, pin=4),
])
BDFS = [f.bdf for f in BUS.functions]
MSI_CAP, MSIX_CAP = (max(caps) for caps in (BUS.msi_caps, BUS.msix_caps))


# --- what is drawn ---


def word(bits):
    """Values of so many bits: any, single bits, all but single bits, small ones."""
    full = (1 << bits) - 1
    return st.one_of(st.integers(0, full), st.integers(0, bits - 1).map(lambda n: 1 << n),
                     st.integers(0, bits - 1).map(lambda n: full ^ 1 << n), st.integers(0, min(full, 20)),
                     st.just(full))


def fields(layout, **fixed):
    """Words of a layout whose fields are small or anything, reserved bits mostly 0."""
    draws = {f.name: st.just(fixed[f.name]) if f.name in fixed else st.sampled_from([0, 1, f.limit]) |
             st.integers(0, f.limit) for f in layout}
    legal = st.fixed_dictionaries(draws).map(lambda values: layout.make(**values))
    return st.one_of(legal, legal, legal, st.tuples(legal, word(layout.width)).map(lambda pair: pair[0] ^ pair[1]))


VCPU = st.integers(0, 2) | st.integers(0, 4) | st.sampled_from([5, 4095])
VECTOR = st.integers(0, 255) | st.sampled_from([0x31, 0x41, 0x42])
INDEX = st.integers(0, 20) | st.sampled_from([255, 256, 0xFFFF])
REQUESTER = st.sampled_from([*BDFS, 0x0100, 0xFF00]) | word(16)
PIN = st.integers(0, 8) | st.integers(16, 60)
WIDTH = st.sampled_from([4, 4, 4, 8, 8, 1, 2, 3, 5, 6, 7])
ADDRESS = st.one_of(
    st.integers(0, 0x110).map(lambda n: BASE + 4 * n), st.integers(0, 0x1010).map(lambda n: BASE + n - 8),
    st.integers(0, 0x50).map(lambda n: vioapic.BASE + n), st.sampled_from(BUS.bars).flatmap(
        lambda bar: st.integers(0, 0x3000).map(lambda n: bar + n)),
    st.integers(0, 0x2000).map(lambda n: TABLE + n), st.integers(0, 64).map(lambda n: RAM - 32 + n), word(64))
ENTRY = fields(IRTE, p=1, im=0, rh=0) | fields(IRTE, p=1, im=0, svt=0, dlm=0) | fields(IRTE) | st.builds(
    lambda entry, pda: entry & ~IRTE_POSTED.pda.mask | IRTE_POSTED.make(pda=pda),
    fields(IRTE_POSTED, p=1, im=1, svt=0), st.just(DESCRIPTOR >> 6) | word(20))
GOOD = st.one_of(
    st.builds(lambda g, iidx, im: IEC.make(type=4, g=g, iidx=iidx, im=im),
              st.integers(0, 1), INDEX, st.integers(0, 15)),
    st.builds(lambda sw, data: WAIT.make(type=5, sw=sw, iflag=1 - sw, data=data, address=STATUS >> 2),
              st.integers(0, 1), word(32)))
QUEUED = st.one_of(GOOD, GOOD, GOOD, st.just(WAIT.make(type=5, sw=1, iflag=1, address=STATUS >> 2)),
                   fields(IEC, type=4, type_high=0), fields(WAIT, type=5, type_high=0, pd=0),
                   st.integers(1, 15).map(lambda kind: kind | 1 << 4), word(128))
RTES = fields(RTE, mask=0, format=0, dlm=0) | fields(RTE, mask=0, format=1, dlm=0) | fields(RTE)
DOMCTLS = st.binary(max_size=60) | st.builds(
    lambda *row: viommu.create_op(row[0], row[1], row[2], row[3]),
    st.sampled_from([BASE, BASE, BASE + 0x1000, 0xFEC00000, 0x1000, 0]) | word(64), st.just(4096) | word(64),
    st.just(1) | word(64), st.just(1) | word(64)) | st.builds(
    lambda id_: viommu.encode("v1", viommu.Op.DESTROY, viommu_id=id_), st.integers(0, 2) | word(32))
PORT = st.sampled_from(vpic.PORTS) | word(16)
APIC_REGISTER = st.sampled_from([offset for offset, *_ in APIC]) | word(12)
OPTIONS = st.fixed_dictionaries({}, optional={
    "order": st.sampled_from(["spec", "reserved-first"]), "merge_faults": st.booleans(),
    "cache": st.sampled_from(["none", "present", "everything"]), "dlm_passes": st.booleans(),
    "iec_any_mask": st.booleans(), "ff_broadcast": st.booleans(), "alias_ids": st.booleans(),
    "cluster_f_broadcast": st.booleans(), "ext_dest": st.booleans(), "ioapic_version": st.sampled_from([0x11, 0x20]),
    "suppress_eoi": st.booleans(), "placement": st.sampled_from(["xen", "qemu"]),
    "interface": st.sampled_from(["v1", "v1-corrected"]), "max_units": st.integers(1, 3),
    "apic_id_step": st.sampled_from([1, 2]), "pic": st.sampled_from(["datasheet", "qemu", "xen"])})
UNITS = st.fixed_dictionaries({}, optional={
    "posting": st.booleans(), "fault_records": st.sampled_from([1, 2, 8]), "eim": st.booleans()})


def command_strategy():
    """Any command with any values that it can carry."""
    return st.one_of(
        st.builds(c.Domctl, DOMCTLS), st.builds(c.Mmio, ADDRESS, WIDTH, word(64)),
        st.builds(c.MmioRead, ADDRESS, WIDTH),
        st.builds(c.RamWrite, ADDRESS, st.binary(max_size=40)),
        st.builds(c.ConfigWrite, st.sampled_from(BDFS) | word(16),
                  st.sampled_from([4, 0x10, 0x14]) | st.integers(MSI_CAP, MSIX_CAP + 16) | st.integers(0, 0xFFF),
                  st.sampled_from([1, 2, 4]) | WIDTH, word(64)),
        st.builds(c.Msi, REQUESTER, st.integers(FEE, FEE + 0xFFFFF) | word(64), word(32)),
        st.builds(c.Signal, st.sampled_from(BDFS) | word(16), st.integers(0, 80) | word(12)),
        st.builds(c.Pin, PIN, st.integers(0, 1)),
        st.builds(c.Intx, st.sampled_from(BDFS) | word(16), st.integers(0, 1)),
        st.builds(c.Isa, word(4), st.integers(0, 1)), st.builds(c.PortWrite, PORT, word(8)),
        st.builds(c.PortRead, PORT), st.builds(c.Lint, VCPU, st.integers(0, 1), st.integers(0, 1)),
        st.builds(c.ApicWrite, VCPU, APIC_REGISTER, word(32)),
        st.builds(c.Msr, VCPU, st.integers(0x800, 0x83F) | st.just(0x1B) | word(32), word(64)),
        st.builds(c.Cr8, VCPU, word(8)), st.builds(c.Acknowledge, VCPU), st.builds(c.Iret, VCPU),
        st.builds(c.Tick, word(64)), st.builds(c.OutOfMemory, st.integers(0, 3)), st.just(c.Reset()))


# --- the machine under test ---


class Guest(RuleBasedStateMachine):
    """A machine, what was done to it, and a second book of what every local APIC must hold."""

    @initialize(name=st.sampled_from(["spec"] * 4 + ["qemu-10"] * 2 + [n for n in PROFILES if n[:3] == "xen"]),
                options=OPTIONS, unit=UNITS,
                quirks=st.frozensets(st.sampled_from(sorted(QUIRKS)), max_size=3),
                start=st.sampled_from([True, True, False]), vcpus=st.integers(1, 5))
    def build(self, name, options, unit, quirks, start, vcpus):
        chosen = profile(name)
        if chosen.options.model == "vtd":
            chosen = chosen.with_options(**options)
            chosen = chosen.with_quirks(*quirks) if name == "spec" else chosen.without_quirks(*quirks)
            chosen = chosen.with_capabilities(chosen.capabilities.having(**unit))
        self.history = History(Machine(chosen, vcpus, RAM, BUS))
        self.irr = [set() for _ in range(vcpus)]
        self.isr = [set() for _ in range(vcpus)]
        if start:
            self.bring_up(True)

    @property
    def m(self):
        return self.history.machine

    def do(self, command):
        modes = bytes(self.m.apic_mode)
        events = self.history.issue(command)
        for event in events:
            self.book(event, modes)
        if type(command) is c.Reset:
            self.irr, self.isr = ([set() for _ in self.irr] for _ in range(2))
        return events

    def book(self, event, modes):
        """An accepted vector is taken once or merged; what is taken is ended once; INIT and a reset forget both."""
        assert min(event) >= 0 and max(event) < 1 << 64
        vcpu = event.node & 0xFFFFFF
        if event.act == Act.ACCEPTED:
            assert event.index not in self.irr[vcpu]
            self.irr[vcpu].add(event.index)
        elif event.act == Act.MERGED:
            assert event.index in self.irr[vcpu]
        elif event.act == Act.TAKEN and not event.low:
            self.irr[vcpu].remove(event.index)
            self.isr[vcpu].add(event.index)
        elif event.act == Act.ENDED and event.index != NMI_VECTOR:
            self.isr[vcpu].remove(event.index)
        again = event.act == Act.WRITTEN and event.index == 0x1B and modes[vcpu] == Apic.DISABLED \
            and self.m.apic_mode[vcpu] != Apic.DISABLED
        if (event.act == Act.SIGNALLED and event.index == Dlm.INIT) or again:
            self.irr[vcpu], self.isr[vcpu] = set(), set()

    def register(self, name, value, width=0):
        self.do(c.Mmio(BASE + OFFSET[name], width or next(w for _, w, n, _ in UNIT if n == name), value))

    def value(self, name):
        return self.m.regs[OFFSET[name] // 4] if self.m.units else 0

    def command(self, name, on=None):
        """Change one command bit, or set it to `on`."""
        status, bit = self.value("GSTS") & 0x96FFFFFF, getattr(GCMD, name).mask
        self.register("GCMD", status ^ bit if on is None else status | bit if on else status & ~bit)

    def ram(self, address, value, size=16):
        self.do(c.RamWrite(address, value.to_bytes(size, "little")))

    # --- what may happen ---

    @rule(command=command_strategy())
    def anything(self, command):
        self.do(command)

    @rule(name=st.sampled_from([name for _, _, name, _ in UNIT]), value=word(64), width=st.sampled_from([0, 0, 4, 8]))
    def write_a_unit_register(self, name, value, width):
        self.register(name, value, width)

    @rule(name=st.sampled_from([f.name for f in GCMD]))
    def give_a_command(self, name):
        self.command(name)

    @rule(eime=st.sampled_from([True, True, False]))
    def bring_up(self, eime):
        """As a driver does it: enabled local APICs, a unit, its queue, its table, remapping."""
        for vcpu in range(self.m.vcpus):
            self.enable_a_local_apic(vcpu)
        if not self.m.live(0):
            self.do(c.Domctl(viommu.create_op(BASE, version=self.m.profile.options.interface)))
        if not self.value("GSTS") & GSTS.qies.mask:
            self.register("IQA", QUEUE)
            self.register("IQT", 0)
            self.command("qie", True)
        self.register("IRTA", TABLE | eime << 11 | 7)
        self.command("sirtp", True)
        self.command("ire", True)

    @rule(base=st.sampled_from([TABLE, TABLE, RAM - 4096, 0]), eime=st.integers(0, 1), s=st.sampled_from([7, 0, 15]))
    def latch_a_table(self, base, eime, s):
        self.register("IRTA", base | eime << 11 | s)
        self.command("sirtp")

    @rule(index=INDEX, entry=ENTRY)
    def write_an_entry(self, index, entry):
        self.ram(TABLE + 16 * index, entry)

    @rule(index=INDEX, requester=REQUESTER, shv=st.integers(0, 1), data=st.just(0) | word(32))
    def send_a_remappable_message(self, index, requester, shv, data):
        self.do(c.Msi(requester, FEE | (index & 0x7FFF) << 5 | 1 << 4 | shv << 3 | (index >> 15) << 2, data))

    @rule(index=st.integers(0, 20), vector=VECTOR, vcpu=st.integers(0, 4), tm=st.integers(0, 1),
          dlm=st.sampled_from([0, 0, 0, 1, 4, 5]), times=st.integers(1, 3), wide=st.sampled_from([True, True, False]),
          ready=st.booleans(), taken=st.integers(0, 2))
    def send_through_a_good_entry(self, index, vector, vcpu, tm, dlm, times, wide, ready, taken):
        if ready:
            self.bring_up(wide)
            self.queue_descriptors([IEC.make(type=4)], 0)
        vcpu %= self.m.vcpus
        id_ = self.m.apic_id[vcpu]
        dst = id_ if wide else (id_ & 0xFF) << 8
        self.ram(TABLE + 16 * index, IRTE.make(p=1, dst=dst, vector=vector, tm=tm, dlm=dlm))
        for _ in range(times):
            self.do(c.Msi(0x18, FEE | index << 5 | 1 << 4, 0))
        for _ in range(taken):
            self.do(c.Acknowledge(vcpu))

    @rule(index=st.integers(21, 23), vector=VECTOR, vcpu=st.integers(0, 4), pid=fields(PID, nv=0x51),
          urg=st.integers(0, 1), ready=st.booleans())
    def post_an_interrupt(self, index, vector, vcpu, pid, urg, ready):
        """Works where the unit offers posting."""
        if ready:
            self.bring_up(True)
        ndst = self.m.apic_id[vcpu % self.m.vcpus]
        self.ram(DESCRIPTOR, pid & ~PID.ndst.mask | PID.make(ndst=ndst), 64)
        self.ram(TABLE + 16 * index, IRTE_POSTED.make(p=1, im=1, vector=vector, urg=urg, pda=DESCRIPTOR >> 6))
        self.do(c.Msi(0x18, FEE | index << 5 | 1 << 4, 0))

    @rule(dest=st.integers(0, 10) | word(8), vector=VECTOR, dlm=st.just(0) | st.integers(0, 7), rest=word(4))
    def send_a_plain_message(self, dest, vector, dlm, rest):
        self.do(c.Msi(0x18, FEE | dest << 12 | (rest & 3) << 2, vector | dlm << 8 | (rest >> 2) << 14))

    @rule(vcpu=VCPU, irq=word(4), levels=st.lists(st.integers(0, 1), max_size=3), taken=st.integers(0, 2),
          ends=st.integers(0, 2))
    def raise_a_line_of_the_mainboard(self, vcpu, irq, levels, taken, ends):
        """Behind a pair of 8259 that is set up as firmware does."""
        vcpu %= self.m.vcpus
        for command in (*firmware.virtual_wire(self.m, (0, 3, irq), vcpu), *(c.Isa(irq, level) for level in levels),
                        *[c.Acknowledge(vcpu)] * taken, *firmware.end(irq)[:ends]):
            self.do(command)
        assert self.m.intr in (0, 1) and (self.m.dead or vpic.ready(self.m) == vpic.answers(self.m))

    @rule(descriptors=st.lists(QUEUED, max_size=4), skip=st.just(0) | st.integers(0, 3))
    def queue_descriptors(self, descriptors, skip):
        tail = self.value("IQT") & 0xFF0
        for descriptor in descriptors:
            self.ram(QUEUE + tail, descriptor)
            tail = (tail + 16) & 0xFFF
        self.register("IQT", tail + 16 * skip)

    @rule()
    def repair_the_queue(self):
        """As a driver does it: a harmless descriptor in place of the one that stopped the queue."""
        self.ram(QUEUE + (self.value("IQH") & 0xFF0), IEC.make(type=4))
        self.register("FSTS", FSTS.iqe.mask)

    @rule(tail=word(19))
    def run_the_queue_anywhere(self, tail):
        self.register("IQT", tail)

    @rule()
    def serve_the_faults(self):
        records = self.m.profile.capabilities
        for record in range(records.fault_records):
            self.do(c.Mmio(BASE + records.fault_offset + 16 * record + 12, 4, 1 << 31))
        self.register("FSTS", FSTS.w1c)
        self.register("ICS", 1)

    @rule(which=st.sampled_from(["FE", "IE"]), masked=st.booleans(), dest=st.integers(0, 10), vector=VECTOR)
    def program_an_event(self, which, masked, dest, vector):
        for name, value in (("DATA", vector), ("ADDR", FEE | dest << 12), ("CTL", FECTL.im.mask if masked else 0)):
            self.register(which + name, value)

    @rule(pin=st.integers(0, 8), value=RTES)
    def program_a_pin(self, pin, value):
        for index, half in ((0x11 + 2 * pin, value >> 32), (0x10 + 2 * pin, value & 0xFFFFFFFF)):
            self.do(c.Mmio(vioapic.BASE, 4, index))
            self.do(c.Mmio(vioapic.BASE + vioapic.WINDOW, 4, half))

    @rule(pin=st.integers(0, 8), levels=st.lists(st.integers(0, 1), min_size=1, max_size=4))
    def drive_a_pin(self, pin, levels):
        for level in levels:
            self.do(c.Pin(pin, level))

    @rule(pin=st.integers(0, 8), vector=st.integers(16, 255), vcpu=st.integers(0, 4), tm=st.sampled_from([1, 1, 0]),
          drops=st.booleans(), ends=st.booleans())
    def serve_a_pin(self, pin, vector, vcpu, tm, drops, ends):
        """In compatibility format, so it works while remapping is off."""
        vcpu %= self.m.vcpus
        self.enable_a_local_apic(vcpu)
        self.program_a_pin(pin, RTE.make(dest=self.m.apic_id[vcpu] & 0xFF, vector=vector, tm=tm))
        self.drive_a_pin(pin, [1, 0] if drops else [1])
        self.take_and_end(vcpu, int(ends), 1)

    @rule(vector=VECTOR)
    def end_at_the_io_apic(self, vector):
        self.do(c.Mmio(vioapic.BASE + vioapic.EOI, 4, vector))

    @rule(place=st.integers(0, len(BDFS) - 1), on=st.booleans(), mme=st.integers(0, 5))
    def enable_a_function(self, place, on, mme):
        self.do(c.ConfigWrite(BDFS[place], 4, 2, 7))
        if BUS.msix_caps[place]:
            self.do(c.ConfigWrite(BDFS[place], BUS.msix_caps[place] + 2, 2, int(on) << 15))
        elif BUS.msi_caps[place]:
            self.do(c.ConfigWrite(BDFS[place], BUS.msi_caps[place] + 4, 4, FEE | 0x10))
            self.do(c.ConfigWrite(BDFS[place], BUS.msi_caps[place] + 2, 2, int(on) | mme << 4))

    @rule(number=st.integers(0, 69), index=INDEX, masked=st.integers(0, 1))
    def program_a_message(self, number, index, masked):
        for offset, value in ((0, FEE | index << 5 & 0xFFFE0 | 0x10), (4, 0), (8, 0), (12, masked)):
            self.do(c.Mmio(BUS.bars[0] + 16 * number + offset, 4, value))

    @rule(place=st.integers(0, len(BDFS) - 1), number=st.integers(0, 69))
    def signal(self, place, number):
        self.do(c.Signal(BDFS[place], number))

    @rule(vcpu=VCPU, mode=st.sampled_from([0xFEE00000, 0xFEE00800, 0xFEE00C00]), bits=st.just(0) | word(64))
    def change_a_mode(self, vcpu, mode, bits):
        bsp = self.m.apic_base[vcpu] & 0x100 if vcpu < self.m.vcpus else 0
        self.do(c.Msr(vcpu, 0x1B, mode | bsp ^ bits & 0xFFFFFFFFFFFFFFFF))

    @rule(vcpu=VCPU, value=fields(ICR), high=word(32))
    def send_an_ipi(self, vcpu, value, high):
        if vcpu < self.m.vcpus and self.m.apic_mode[vcpu] == Apic.X2APIC:
            self.do(c.Msr(vcpu, 0x830, value & 0xFFFFFFFF & ~(1 << 12) | high << 32))
        else:
            self.do(c.ApicWrite(vcpu, 0x310, high))
            self.do(c.ApicWrite(vcpu, 0x300, value & 0xFFFFFFFF))

    @rule(vcpu=VCPU, ldr=word(32), dfr=st.sampled_from([0xFFFFFFFF, 0x0FFFFFFF]) | word(32), id_=word(8))
    def give_a_logical_address(self, vcpu, ldr, dfr, id_):
        for register, value in ((0xE0, dfr), (0xD0, ldr), (0x20, id_ << 24)):
            self.do(c.ApicWrite(vcpu, register, value))

    @rule(vcpu=st.integers(0, 4))
    def enable_a_local_apic(self, vcpu):
        vcpu %= self.m.vcpus
        wide = self.m.apic_mode[vcpu] == Apic.X2APIC
        self.do(c.Msr(vcpu, 0x80F, 0x1FF) if wide else c.ApicWrite(vcpu, 0xF0, 0x1FF))

    @rule(vcpu=st.integers(0, 4), times=st.integers(1, 5), nested=st.integers(0, 2))
    def take_and_end(self, vcpu, times, nested):
        vcpu %= self.m.vcpus
        for _ in range(nested):
            self.do(c.Acknowledge(vcpu))
        for _ in range(times):
            self.do(c.Acknowledge(vcpu))
            self.do(c.ApicWrite(vcpu, 0xB0, 0))
            self.do(c.Msr(vcpu, 0x80B, 0))
            self.do(c.Iret(vcpu))

    @precondition(lambda self: self.m.dead)
    @rule()
    def start_again(self):
        self.do(c.Reset())

    # --- what holds between two commands ---

    @rule(n=st.integers(1, 60))
    def undo_then_redo_is_the_identity(self, n):
        before, n = self.m.copy(), min(n, self.history.position)
        self.history.undo(n)
        self.history.redo(n)
        assert self.m.difference(before) == []

    @rule()
    def save_then_load_is_the_identity(self):
        assert Machine.load(self.m.save()).difference(self.m) == []

    @rule()
    def a_saved_session_is_the_identity(self):
        place = io.BytesIO()
        self.history.save(place)
        again = History.load(io.BytesIO(place.getvalue()))
        assert again.machine.difference(self.m) == [] and len(again) == len(self.history)

    @rule(commands=st.lists(command_strategy(), min_size=1, max_size=4))
    def a_copy_goes_its_own_way(self, commands):
        before, copy = self.m.save(), self.m.copy()
        assert copy.difference(self.m) == []
        for command in commands:
            step(copy, command)
        assert self.m.save() == before

    @rule(command=command_strategy())
    def tracing_changes_nothing_but_the_trace(self, command):
        traced, quiet = self.m.copy(), self.m.copy()
        step(traced, command)
        assert step(quiet, command, trace=False) == []
        assert quiet.difference(traced) == []

    @invariant()
    def the_request_registers_hold_what_was_accepted_and_not_taken(self):
        if hasattr(self, "history"):
            assert [bits(self.m.irr, vcpu) for vcpu in range(self.m.vcpus)] == self.irr
            assert [bits(self.m.isr, vcpu) for vcpu in range(self.m.vcpus)] == self.isr

    def specified(self):
        """Whether the unit is the specification's, or a known variation: Xen's series keeps what it was given."""
        return hasattr(self, "history") and self.m.profile.options.model == "vtd"

    @invariant()
    def no_reserved_bit_of_a_unit_reads_back(self):
        for unit in range(self.m.units if self.specified() else 0):
            for offset, width, name, layout in UNIT:
                if layout and name not in ("CAP", "ECAP"):
                    assert unit_value(self.m, unit, offset, width) & layout.reserved == 0, name
            caps = self.m.profile.capabilities
            for record in range(caps.fault_records):
                at = caps.fault_offset + 16 * record
                value = unit_value(self.m, unit, at, 8) | unit_value(self.m, unit, at + 8, 8) << 64
                assert value & FRCD.reserved == 0

    @invariant()
    def no_reserved_bit_of_an_apic_reads_back(self):
        if not self.specified():
            return
        stored = self.m.profile.options.rte_reserved
        assert stored or not any(entry & RTE.reserved for entry in self.m.rte)
        assert self.m.ioapic[0] & IOAPIC_ID.reserved == 0
        for vcpu in range(self.m.vcpus):
            if self.m.apic_mode[vcpu] == Apic.XAPIC:
                for offset, name, _, _, layout in APIC:
                    if layout:
                        assert vlapic_regs.window_read(self.m, vcpu, offset) & layout.reserved == 0, name


def bits(words, vcpu):
    """The vectors set in one vCPU's 256 bits."""
    return {32 * n + bit for n in range(8) for bit in range(32) if words[8 * vcpu + n] >> bit & 1}


def unit_value(m, unit, offset, width):
    at = PAGE_WORDS * unit + offset // 4
    return m.regs[at] | m.regs[at + 1] << 32 if width == 8 else m.regs[at]


SUPPRESSED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_any_guest():
    run_state_machine_as_test(Guest, settings=settings(
        max_examples=200, stateful_step_count=40, suppress_health_check=SUPPRESSED))


@pytest.mark.soak
@pytest.mark.parametrize("batch", range(40))
def test_any_guest_for_long(batch):
    """20,000 runs, in batches, since hypothesis remembers every run of one search."""
    run_state_machine_as_test(Guest, settings=settings(
        max_examples=500, stateful_step_count=40, suppress_health_check=SUPPRESSED, derandomize=False))


# --- what was found ---


@pytest.mark.parametrize("name", PROFILES)
def test_a_machine_of_every_profile_is_saved_and_loaded(name):
    """There are more quirks than bits in the words of a saved machine."""
    m = Machine(profile(name), 2, RAM, BUS)
    assert Machine.load(m.save()).difference(m) == []


# --- the domctl ---


@given(st.lists(DOMCTLS, min_size=1, max_size=6), OPTIONS, st.sampled_from(["hvm", "pvh", "pv"]), st.booleans())
@settings(max_examples=200)
def test_any_bytes_as_a_domctl_end_with_an_errno_and_a_refusal_changes_nothing(bodies, options, kind, booted):
    m = Machine(profile("spec").with_options(**options, domain_type=kind, boot_viommu=booted), 1, RAM, BUS)
    for body in bodies:
        before = m.copy()
        (event,) = [e for e in step(m, c.Domctl(body)) if e.act == Act.DOMCTL]
        answer = viommu.reply(m.profile.options.interface, body, event.index, event.high)
        assert len(answer) == len(body)
        if event.index:
            assert answer == body and set(m.difference(before)) <= {"tick", "clock"}
