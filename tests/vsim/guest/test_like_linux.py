"""The small kernel beside Linux 6.12: the order, number and values of its accesses, from a recording of our own.

`tests/golden/linux-6.12-driver.jsonl` has what one vCPU did at some moments of a run with 8 CPUs (QEMU 10.0, x2APIC
mode, logical destinations): stores to table, queue and status words, accesses of the unit's registers. What differs and
why is in DECISIONS.md, "the small kernel beside Linux".
"""

import json

import pytest

from tests.places import ROOT
from tests.vsim.guest.test_kernel import DMAR, UNIT, Setup, fire
from vsim.guest.kernel import MIB, Guest
from vsim.layouts.registers import OFFSET
from vsim.protocol.checker import check
from vsim.state import commands as c
from vsim.state.pci import Function

TABLE, QUEUE, STATUS = 0x2600000, 0x2504000, 0x2475800      # where Linux had them in that run
BEFORE, NIC = 0x0018, 0x0020     # 19 messages, so that the first one of 00:04.0 has entry 34 as it had there
NAMES = {UNIT + offset: name for name, offset in OFFSET.items()}
SIZE = 0x1000                    # bytes of the queue
USED = b"\1\0\0\0"              # in a status word while its wait is under way


def recorded(part, marks=True):
    """What Linux did at a moment, in the words of `told`."""
    rows = (json.loads(line) for line in (ROOT / "tests/golden/linux-6.12-driver.jsonl").read_text().splitlines())
    return told([c.from_row(row) for name, row in rows if name == part], TABLE, QUEUE, STATUS, marks)


def told(commands, table, queue, status, marks=True):
    """Accesses without what depends on the place of things: an entry by number, a slot of the queue by distance.

    Stores that lie side by side are one, as memory cannot tell; a store or a read done again at once is done once.
    marks: with the stores of 1 into status words, which the recorder could not see before a word was used once.
    """
    said, first = [], None
    for command in commands:
        match command:
            case c.RamWrite(address, data) if table <= address < table + MIB:
                said.append(("entry", address - table, data))
            case c.RamWrite(address, data) if queue <= address < queue + SIZE:
                first = address - queue if first is None else first
                said.append(("queue", (address - queue - first) % SIZE, data))
            case c.RamWrite(address, data) if status <= address < status + SIZE and (marks or data != USED):
                said.append(("status", (4 * (address - status) - first) % SIZE, data))
            case c.MmioRead(address, 4) if status <= address < status + SIZE:
                said.append(("poll", (4 * (address - status) - first) % SIZE))
            case c.MmioRead(address, width) if address in NAMES or UNIT <= address < UNIT + SIZE:
                said.append(("read", NAMES.get(address, address - UNIT), width))
            case c.Mmio(address, width, value) if UNIT <= address < UNIT + SIZE:
                name = NAMES.get(address, address - UNIT)
                said.append(("write", name, width, _relative(name, value, first)))
    return [_placed(each, status, first) for each in _joined(said)]


def _relative(name, value, first):
    """A tail by its distance from the first descriptor, IQA and IRTA without the address; else the value."""
    if name == "IQT" and first is not None:
        return (value - first) % SIZE
    return value & 0xFFF if name in ("IQA", "IRTA") else value


def _joined(said):
    """Stores side by side are one; what is done again at once counts once."""
    out = []
    for each in said:
        last = out[-1] if out else ("", 0, b"")
        if each[0] in ("entry", "queue") and each[0] == last[0]:
            start, data = min(each[1], last[1]), bytearray(32)
            for _, at, part in (last, each):
                data[at - start:at - start + len(part)] = part
            out[-1] = each[0], start, bytes(data[:max(last[1] + len(last[2]), each[1] + len(each[2])) - start])
        elif each != last:
            out.append(each)
    return out


def _placed(each, status, first):
    """Descriptors one by one, the address in a wait as the distance of its word's slot."""
    if each[0] != "queue":
        return each
    words = [each[2][at:at + 16] for at in range(0, len(each[2]), 16)]
    return *each[:2], [(word[:8], (4 * (int.from_bytes(word[8:], "little") - status) - first) % SIZE)
                       if word[0] & 15 == 5 else word for word in words]


def ours(setup, guest, since, marks=True):
    driver = guest.unit
    return told(setup.commands[since:], driver.table, driver.queue, driver.status, marks)


@pytest.fixture
def lived():
    """Eight vCPUs with the IDs that QEMU gives them, and functions such that 00:04.0 has entries 34 to 36."""
    setup = Setup([Function(BEFORE, msix_count=19), Function(NIC, msix_count=3)], apic_id_step=1)
    return setup, setup.boot(destination="cluster")


def test_a_move_is_linux_s_access_by_access(lived):
    setup, guest = lived
    source = guest.sources[NIC][0]
    assert source.index == 34
    since = len(setup.commands)
    assert guest.affinity(source, 7, 0x22) == ""
    *linux, last = recorded("move")
    assert ours(setup, guest, since) == linux
    assert [each[0] for each in linux] == ["entry", "queue", "status", "queue", "write", "poll", "status"]
    assert last[0] == "poll"        # Linux looks once more at the freed word when it takes back the slots


def test_a_request_is_linux_s_with_the_halves_of_the_entry_the_other_way_round(lived):
    setup, guest = lived
    guest.release(NIC)
    since = len(setup.commands)
    guest._set_up(setup.machine.bus.functions[1])
    source = guest.sources[NIC][0]
    mine, linux = ours(setup, guest, since, marks=False), recorded("request", marks=False)
    assert mine[:5] == [("entry", 34 * 16, source.entry.to_bytes(16, "little")), *linux[1:-1]]
    stores = [command for command in setup.commands[since:] if isinstance(command, c.RamWrite)][:2]
    assert [command.address - guest.unit.table - 34 * 16 for command in stores] == [8, 0]


def test_a_free_is_linux_s(lived):
    setup, guest = lived
    since = len(setup.commands)
    guest.unit.free(34)
    assert ours(setup, guest, since) == recorded("free")[:-1]


def test_the_boot_of_a_unit_is_linux_s():
    setup = Setup([Function(NIC, msix_count=1)])
    guest = Guest(setup.issue, setup.platform(), skip=[])
    guest.units.find(DMAR)
    since = len(setup.commands)
    assert guest.units.start()
    mine, linux = ours(setup, guest, since, marks=False), recorded("boot", marks=False)
    assert mine == [each for n, each in enumerate(linux) if n != linux.index(("poll", 16)) + 2]
    assert linux.count(("poll", 16)) == 2       # the second time when it takes back the slots


def test_the_fault_event_is_set_up_and_handled_like_linux_s():
    setup = Setup([Function(NIC, msix_count=1)], apic_id_step=1)
    guest = setup.boot()
    driver = guest.unit
    since = len(setup.commands)
    driver.report_to(0, guest.fault_vector)
    linux = recorded("fault event")
    assert [each[:3] for each in ours(setup, guest, since)] == [each[:3] for each in linux[3:]]
    assert linux[:3] == linux[3:6]      # Linux writes the message twice
    guest.unit.change(guest.sources[NIC][0].index, 0)
    since = len(setup.commands)
    assert fire(setup, guest, guest.sources[NIC][0]) == [] and len(guest.faults) == 1
    assert ours(setup, guest, since) == recorded("fault")


def test_a_driver_that_goes_leaves_nothing_behind():
    setup = Setup()
    start = setup.machine.copy()
    guest = setup.boot()
    before = {bdf: [(source.index, source.vcpu, source.vector) for source in found]
              for bdf, found in guest.sources.items()}
    for bdf in before:
        guest.release(bdf)
    assert guest.sources == {} and guest._handlers == {}
    for function in setup.machine.bus.functions:
        setup.issue(c.Signal(function.bdf, 0) if not function.pin else c.Intx(function.bdf, 1))
    assert guest.serve() == [] and not any(setup.machine.irr) and guest.faults == []
    for function in setup.machine.bus.functions:
        setup.issue(c.Intx(function.bdf, 0))
        guest._set_up(function)
    assert {bdf: [(source.index, source.vcpu, source.vector) for source in found]
            for bdf, found in guest.sources.items()} == before
    assert [found for found in check(setup.commands, start, every=True) if found.severity != "unwise"] == []
