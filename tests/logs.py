"""Logs of what software does to a remapping unit, command by command, for the tests of who judges them."""

from dataclasses import replace

from vsim.devices import viommu
from vsim.layouts.formats import IEC, IRTE, WAIT, remap_message
from vsim.layouts.registers import CAP, ECAP, GCMD, OFFSET, UNIT
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus
from vsim.state.profile import profile

BASE = 0xFED90000
TABLE, QUEUE, STATUS, OTHER = 0x100000, 0x8000, 0x5000, 0x200000
NIC, DISK = 0x0300, 0x0400
DONE = 2
WIDTH = {name: width for _, width, name, _ in UNIT}
QIE, SIRTP, IRE, CFI = (getattr(GCMD, name).mask for name in ("qie", "sirtp", "ire", "cfi"))
S = 15


def machine(functions=(), unit=None, vcpus=4, esirtps=False, device_tlb=False, **options):
    """A machine with a unit at BASE. unit: as `Capabilities.having`; esirtps: it flushes its cache at SIRTP.

    device_tlb: it knows invalidations of device TLBs.
    """
    chosen = profile("spec").with_options(**options)
    unit = chosen.capabilities.having(**unit or {})
    chosen = chosen.with_capabilities(replace(unit, cap=unit.cap | CAP.esirtps.mask * esirtps,
                                               ecap=unit.ecap | ECAP.dt.mask * device_tlb))
    m = Machine(chosen, vcpus, 64 << 20, Bus(functions))
    for vcpu in range(vcpus):
        m.svr[vcpu] = 0x1FF
    step(m, c.Domctl(viommu.create_op(BASE, version=chosen.options.interface)))
    return m


class Log(list):
    """Commands; every method adds some and returns the log."""

    def __init__(self, *commands):
        super().__init__(commands)
        self.tail = 0

    def add(self, *commands):
        self.extend(commands)
        return self

    # --- registers ---

    def write(self, name, value, width=0, plus=0):
        return self.add(c.Mmio(BASE + OFFSET[name] + plus, width or WIDTH[name], value))

    def read(self, name, width=0):
        return self.add(c.MmioRead(BASE + OFFSET[name], width or WIDTH[name]))

    def command(self, value, poll=True):
        """A write to GCMD, and the look at GSTS after it."""
        self.write("GCMD", value)
        return self.read("GSTS") if poll else self

    # --- the queue ---

    def queue(self, *descriptors):
        """Give descriptors to the unit."""
        for descriptor in descriptors:
            self.ram(QUEUE + self.tail, descriptor)
            self.tail = (self.tail + 16) % 4096
        return self.write("IQT", self.tail)

    def flush(self, index=None, mask=0, wait=True, data=DONE):
        """Invalidate 2^mask entries, or all, and wait."""
        self.queue(IEC.make(type=4) if index is None else IEC.make(type=4, g=1, iidx=index, im=mask))
        return self.wait(data) if wait else self

    def wait(self, data=DONE, clear=True, look=True):
        if clear:
            self.ram(STATUS, 0, 4)
        self.queue(WAIT.make(type=5, sw=1, data=data, address=STATUS >> 2))
        return self.add(c.MmioRead(STATUS, 4)) if look else self

    # --- memory ---

    def ram(self, address, value, size=16):
        return self.add(c.RamWrite(address, value.to_bytes(size, "little")))

    def entry(self, index, table=TABLE, **fields):
        """Store an entry at once: a present one of the NIC, unless the fields say otherwise."""
        return self.ram(table + 16 * index, words(**fields))

    def half(self, index, half, **fields):
        """Store one half of an entry: 0 the low one, 1 the high one."""
        return self.ram(TABLE + 16 * index + 8 * half, words(**fields) >> 64 * half & (1 << 64) - 1, 8)

    # --- the whole ---

    def queue_on(self):
        return self.write("IQT", 0).write("IQA", QUEUE).command(QIE)

    def up(self, eime=1, s=S, flush=True):
        """Queue, table, flush, remapping, as it has to be."""
        self.queue_on().point(eime, s)
        if flush:
            self.flush()
        return self.command(QIE | IRE)

    def point(self, eime=1, s=S, table=TABLE, on=QIE):
        return self.write("IRTA", table | eime << 11 | s).command(on | SIRTP)

    def msi(self, index, source=NIC):
        return self.add(c.Msi(source, *remap_message(index)))


def words(**fields):
    """An entry as a number."""
    return IRTE.make(**{"p": 1, "vector": 0x41, "svt": 1, "sid": NIC, **fields})
