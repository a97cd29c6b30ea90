"""A machine with one remapping unit, driven the way a guest drives it; for the tests of what lies below `machine`."""

from vsim.devices import viommu
from vsim.layouts.formats import IEC, IRTE, WAIT, remap_message
from vsim.layouts.registers import GCMD, OFFSET, UNIT
from vsim.machine import read, step, unit_register
from vsim.state import commands as c
from vsim.state.arrays import Latch, Machine
from vsim.state.profile import profile
from vsim.state.trace import Act

BASE = 0xFED90000
TABLE, QUEUE, STATUS = 0x10000, 0x200000, 0x5000
NIC = 0x0300
WIDTH = {name: width for _, width, name, _ in UNIT}
QIE, SIRTP, IRE, CFI = (getattr(GCMD, name).mask for name in ("qie", "sirtp", "ire", "cfi"))
GLOBAL = IEC.make(type=4)


def selective(index, mask=0):
    """An index-selective invalidation of 2^mask entries."""
    return IEC.make(type=4, g=1, iidx=index, im=mask)


def wait(data=None, **flags):
    """A wait descriptor; with `data` it writes that word to STATUS."""
    if data is not None:
        flags |= {"sw": 1, "data": data, "address": STATUS >> 2}
    return WAIT.make(type=5, **flags)


def acts(events, *names):
    """(act name, index, low, high) of the events whose act is named; of all when none is."""
    rows = [(Act(e.act).name, e.index, e.low, e.high) for e in events]
    return [row for row in rows if not names or row[0] in names]


class Rig:
    """One machine, its unit at BASE. options: of the profile; unit: `Capabilities.having`; quirks: ids."""

    def __init__(self, quirks=(), unit=None, capabilities=None, vcpus=8, name="spec", bus=None, **options):
        chosen = profile(name).with_options(**options).with_quirks(*quirks)
        chosen = chosen.with_capabilities(capabilities or chosen.capabilities.having(**unit or {}))
        self.m = Machine(chosen, vcpus=vcpus, ram_size=4 << 20, bus=bus)
        for vcpu in range(vcpus):
            self.m.svr[vcpu] = 0x1FF
        self.do(c.Domctl(viommu.create_op(BASE)))
        self.tail = 0

    def do(self, command):
        return step(self.m, command)

    def place(self, register):
        """(offset, natural width) of a register: its name, "IRTA+4" for an upper half, or an offset."""
        if isinstance(register, int):
            return register, 4
        name, _, more = register.partition("+")
        return OFFSET[name] + int(more or "0"), 4 if more else WIDTH[name]

    def write(self, register, value, width=0):
        offset, natural = self.place(register)
        return self.do(c.Mmio(BASE + offset, width or natural, value))

    def read(self, register, width=0):
        offset, natural = self.place(register)
        return read(self.m, BASE + offset, width or natural)

    def has(self, name):
        """A register's value, without an access."""
        return unit_register(self.m, name)

    def latch(self, place):
        return self.m.latch[Latch[place]]

    def ram(self, address, value, size=16):
        return self.do(c.RamWrite(address, value.to_bytes(size, "little")))

    def word(self, address):
        return self.m.ram.word(address)

    def entry(self, index, value=None, **fields):
        """Write an entry of the table: a 128-bit value, or fields of a present remapped one."""
        self.ram(TABLE + 16 * index, IRTE.make(**{"p": 1, **fields}) if value is None else value)

    def start(self, s=7, eime=1, ire=1, cfi=0):
        """Queue on, table of 2^(s+1) entries at TABLE latched, remapping on; each by its own command."""
        self.write("IQA", QUEUE)
        self.write("GCMD", QIE)
        self.write("IRTA", TABLE | eime << 11 | s)
        self.write("GCMD", QIE | SIRTP)
        for bit in [CFI] * cfi + [IRE] * ire:
            self.write("GCMD", (self.has("GSTS") & 0x96FFFFFF) | bit)
        return self

    def put(self, *descriptors):
        """Queue descriptors without telling the unit."""
        for descriptor in descriptors:
            self.ram(QUEUE + self.tail, descriptor)
            self.tail = (self.tail + 16) % (4096 << (self.has("IQA") & 7))

    def queue(self, *descriptors):
        """Queue descriptors and write the tail."""
        self.put(*descriptors)
        return self.write("IQT", self.tail)

    def msi(self, index=0, source=NIC, data=0, sub=None):
        """A requester's remappable message."""
        address, low = remap_message(index, sub)
        return self.do(c.Msi(source, address, data | low))

    def raw(self, address, data, source=NIC):
        return self.do(c.Msi(source, address, data))

    def fault(self, source=NIC, index=5):
        """A request to an entry that is not present."""
        return self.msi(index, source)

    def frcd(self, record=0):
        """A fault recording register as one 128-bit value."""
        first = self.m.profile.capabilities.fault_offset + 16 * record
        return sum(self.read(first + 4 * word) << 32 * word for word in range(4))

    def clear(self, record=0):
        """Write 1 to a record's F bit."""
        return self.write(self.m.profile.capabilities.fault_offset + 16 * record + 12, 1 << 31)
