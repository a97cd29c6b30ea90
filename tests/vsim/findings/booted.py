"""A machine on which the small kernel was booted, and what happens to it, for the tests of dumps."""

from tests.places import real_data_folder
from vsim.domain import builder
from vsim.domain.platform import Platform
from vsim.findings.dumps import dump
from vsim.findings.subject import Subject
from vsim.guest.kernel import Guest
from vsim.history.log import History
from vsim.layouts.formats import remap_message
from vsim.readers import xl
from vsim.readers.pieces import lines_of
from vsim.state import commands as c
from vsim.state.profile import profile

CONFIG = """name = "dumped"
type = "hvm"
vcpus = {vcpus}
memory = 64
{unit}
pci = ["03:00.0", "04:00.0"]
vif = ["model=e1000"]
"""
UNIT = 'viommu = "type=vtd,intremap=1,x2apic={eim}"'
NIC, DISK, E1000 = 0x0300, 0x0400, 0x0020
FREE = 500
"""An entry that nobody made."""


class Booted:
    """history, guest, and the gestures of the tests. eim: 1, 0, or None for a machine without a unit;
    posting: its unit offers posted interrupts."""

    def __init__(self, eim=1, vcpus=4, name="spec", boot=True, posting=False):
        unit = UNIT.format(eim=eim) if eim is not None else ""
        chosen = profile(name)
        if posting:
            chosen = chosen.with_capabilities(chosen.capabilities.having(posting=True))
        made = builder.build(xl.parse(CONFIG.format(vcpus=vcpus, unit=unit)), None, chosen)
        self.history = History(made.machine)
        dmar = builder.DMAR_AT if eim is not None else 0
        for command in made.commands:
            if not made.machine.live(0):
                self.history.issue(command)
        self.guest = Guest(self.history.issue, Platform.of(self.machine, dmar))
        if boot:
            self.guest.boot()

    @property
    def machine(self):
        return self.history.machine

    @property
    def subject(self):
        history = self.history
        return Subject(history.machine, self.guest, history.first, history.commands, history.position)

    def source(self, bdf, number=0):
        return self.guest.sources[bdf][number]

    def fire(self, bdf, number=0, times=1):
        command = c.Intx(bdf, 1) if bdf == E1000 else c.Signal(bdf, number)
        for _ in range(times):
            self.guest.take(self.history.issue(command))

    def move(self, bdf, number, vcpu):
        assert self.guest.affinity(self.source(bdf, number), vcpu) == ""

    def fault(self, bdf=NIC, index=FREE):
        """A message with the handle of an entry that is not there, or not this function's."""
        self.guest.take(self.history.issue(c.Msi(bdf, *remap_message(index, 0))))

    def dump(self, kind):
        return dump(kind, self.subject)


def lived(**options):
    """A kernel that took interrupts, moved some of them, and saw two faults."""
    booted = Booted(**options)
    booted.fire(NIC, 0, 3)
    booted.fire(E1000)
    booted.move(NIC, 0, 3)
    booted.fire(NIC, 0, 2)
    booted.fire(DISK, 5)
    if booted.guest.ways.remapping:
        booted.fault()
        booted.fault(DISK, booted.source(NIC).index)
    return booted


def read_back(reader, text, remarks=()):
    """The records of a text of our own, which the reader takes without a remark."""
    reading = reader.read(lines_of(text, "dump")[0])
    assert tuple(remark.text for remark in reading.remarks) == remarks
    return reading.records


def lab_file(name):
    """A dump of our own runs of real systems, beside the real machines' files; None where they are not."""
    folder = real_data_folder()
    path = folder.parent / "lab" / name if folder else None
    return path if path and path.is_file() else None


