"""Machines and lists of commands that set up a remapping unit the way a guest does; for tests above `machine`."""

from hypothesis import strategies as st

from vsim.devices import viommu
from vsim.layouts.formats import IEC, IRTE, IRTE_POSTED, PID, WAIT, remap_message
from vsim.layouts.registers import GCMD, OFFSET
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.profile import profile

UNIT, IOAPIC = 0xFED90000, 0xFEC00000
TABLE, QUEUE, STATUS, DESCRIPTOR = 0x100000, 0x200000, 0x300000, 0x301000
NIC, DISK, BRIDGE, CARD = 0x0300, 0x0018, 0x0020, 0x0508
QIE, SIRTP, IRE, CFI = (getattr(GCMD, name).mask for name in ("qie", "sirtp", "ire", "cfi"))


def bus():
    """A NIC with MSI-X, an emulated disk on INTx, and a card behind a PCIe-to-PCI bridge."""
    return Bus([Function(NIC, "nic", passthrough=True, msix_count=4), Function(DISK, "disk", pin=1),
                Function(BRIDGE, "bridge", bridge=Bridge("pcie-to-pci", 5, 5)),
                Function(CARD, "card", msi_count=1, conventional=True)])


def machine(vcpus=8, name="spec", quirks=(), unit=None, **options):
    """A machine with that bus. unit: keywords of `Capabilities.having`; options: of the profile."""
    chosen = profile(name).with_options(**options).with_quirks(*quirks)
    chosen = chosen.with_capabilities(chosen.capabilities.having(**unit or {}))
    return Machine(chosen, vcpus, 4 << 20, bus())


def register(name, value, width=4):
    """A write to a register of the unit."""
    return c.Mmio(UNIT + OFFSET[name], width, value)


def apics(*vcpus, x2apic=True):
    """Local APICs switched to x2APIC mode, or left in xAPIC mode, and enabled by software."""
    out = []
    for vcpu in vcpus:
        if x2apic:
            out += [c.Msr(vcpu, 0x1B, 0xFEE00C00 | (0x100 if vcpu == 0 else 0)), c.Msr(vcpu, 0x80F, 0x1FF)]
        else:
            out.append(c.ApicWrite(vcpu, 0xF0, 0x1FF))
    return out


def unit(eime=1, size=7, cfi=0):
    """The unit: created, queue on, table of 2^(size+1) entries latched, fault event to vCPU 0, remapping on."""
    on = QIE | SIRTP
    return [
        c.Domctl(viommu.create_op(UNIT)),
        register("IQA", QUEUE, 8), register("GCMD", QIE),
        register("IRTA", TABLE | eime << 11 | size, 8), register("GCMD", on),
        register("FEDATA", 0x31), register("FEADDR", 0xFEE00000), register("FECTL", 0),
        *([register("GCMD", QIE | CFI)] if cfi else []),
        register("GCMD", QIE | IRE | (CFI if cfi else 0))]


def entry(index, value=None, **fields):
    """The guest writes an entry of the table: fields of a present remapped one, or a 128-bit value."""
    value = IRTE.make(**{"p": 1, **fields}) if value is None else value
    return c.RamWrite(TABLE + 16 * index, value.to_bytes(16, "little"))


def posted(index, vector, nv=0xF2, ndst=0, **flags):
    """A posted entry and its descriptor: notification vector nv to APIC ID ndst; flags: on, sn."""
    value = IRTE_POSTED.make(p=1, im=1, vector=vector, pda=DESCRIPTOR >> 6)
    return [c.RamWrite(DESCRIPTOR, PID.make(nv=nv, ndst=ndst, **flags).to_bytes(64, "little")), entry(index, value)]


def invalidate(index=None, at=0):
    """Queue an invalidation (of one entry, or of all) and a wait with status write, from slot `at`, and go."""
    first = IEC.make(type=4) if index is None else IEC.make(type=4, g=1, iidx=index)
    last = WAIT.make(type=5, sw=1, data=1, address=STATUS >> 2)
    return [c.RamWrite(QUEUE + 16 * at, first.to_bytes(16, "little") + last.to_bytes(16, "little")),
            register("IQT", 16 * (at + 2), 8)]


def msi(index, requester=NIC, data=0, sub=None):
    """A remappable message of a requester."""
    address, low = remap_message(index, sub)
    return c.Msi(requester, address, data | low)


def pin(number, low, high):
    """The guest programs a redirection entry: the upper half first."""
    return [c.Mmio(IOAPIC, 4, 0x11 + 2 * number), c.Mmio(IOAPIC + 0x10, 4, high),
            c.Mmio(IOAPIC, 4, 0x10 + 2 * number), c.Mmio(IOAPIC + 0x10, 4, low)]


def commands():
    """A strategy for commands of every kind, aimed at what `machine` and `unit` have."""
    small, word = st.integers(0, 7), st.integers(0, 0xFFFFFFFF)
    index = st.integers(0, 3)
    fields = st.fixed_dictionaries({"vector": st.integers(0, 255), "dst": st.integers(0, 16), "tm": st.integers(0, 1),
                                    "svt": st.integers(0, 1), "sid": st.sampled_from((NIC, DISK))})
    return st.one_of(
        st.builds(msi, index, st.sampled_from((NIC, DISK, 0x0500))), st.builds(c.Msi, st.just(NIC), word, word),
        st.builds(lambda at, values: entry(at, **values), index, fields),
        st.builds(lambda at, half: c.RamWrite(QUEUE + 16 * at, half.to_bytes(16, "little")), small,
                  st.sampled_from((IEC.make(type=4), IEC.make(type=4, g=1, iidx=1), WAIT.make(type=5, iflag=1)))),
        st.builds(lambda at: register("IQT", 16 * at, 8), small),
        st.builds(register, st.sampled_from(("GCMD", "FSTS", "FECTL", "ICS", "IRTA")), word),
        st.builds(lambda low, high: c.Mmio(IOAPIC + 0x10, 4, low | high), word, st.just(0)),
        st.builds(c.Mmio, st.just(IOAPIC), st.just(4), st.integers(0x10, 0x3F)),
        st.builds(c.Pin, st.integers(0, 50), st.integers(0, 1)), st.builds(c.Intx, st.just(DISK), st.integers(0, 1)),
        st.builds(c.Signal, st.sampled_from((NIC, CARD, 7)), index),
        st.builds(c.ConfigWrite, st.just(NIC), st.sampled_from((4, 0x62)), st.just(2), st.integers(0, 0xFFFF)),
        st.builds(c.ApicWrite, small, st.sampled_from((0xB0, 0xF0, 0x300, 0x310, 0x20)), word),
        st.builds(c.Msr, small, st.sampled_from((0x1B, 0x80B, 0x830, 0x83F)), word),
        st.builds(c.Acknowledge, small), st.builds(c.Tick, word), st.builds(c.OutOfMemory, index),
        st.builds(c.MmioRead, st.just(UNIT + 0x1C), st.just(4)), st.builds(c.Domctl, st.binary(max_size=60)),
        st.builds(c.Reset))
