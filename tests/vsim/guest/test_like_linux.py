"""The small kernel beside Linux 6.12: the order, number and values of its accesses, from a recording of our own.

`tests/golden/linux-6.12-driver.jsonl` has what one vCPU did at some moments of a run with 8 CPUs (QEMU 10.0, x2APIC
mode, logical destinations): stores to table, queue and status words, accesses of the unit's registers. A CPU that goes
and comes, and a sleep, are in the recording of notebook 16. What differs and why is in DECISIONS.md, "the small kernel
beside Linux".
"""

import json

import pytest

from tests.places import A_REAL_LINUX, ROOT
from tests.vsim.guest.test_kernel import DMAR, UNIT, Setup, fire
from vsim.guest.kernel import MIB, Guest
from vsim.layouts.bits import get
from vsim.layouts.registers import APIC_MSR, ICR, OFFSET
from vsim.protocol.checker import check
from vsim.replay import recording
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


# --- a CPU off and on, and a sleep: from the recording that ships ---

PLACES = 0x1300000, 0x121A000, 0x105AC00        # table, queue, status words of that run
SVR, SENDS = APIC_MSR["SVR"], APIC_MSR["ICR"]


@pytest.fixture(scope="module")
def moments():
    return recording.load(A_REAL_LINUX).moments


def between(moments, first, last, vcpu):
    """The commands of a vCPU from a line of the console to another."""
    said = [(number, seen[0]) for number, moment in enumerate(moments) for tag, *seen in moment.saw if tag == "K"]
    start, stop = (next(number for number, text in said if text.endswith(line)) for line in (first, last))
    return [one.command for one in moments[start:stop] if one.vcpu == vcpu and one.command is not None]


def moves(said):
    """Accesses in groups, each from the store of an entry on: what is done, without places and values."""
    groups = []
    for each in said:
        if each[0] == "entry":
            groups.append([])
        if groups:
            groups[-1].append((each[0], len(each[2])) if each[0] in ("entry", "queue") else each[:1])
    return groups


def test_a_vcpu_that_goes_leaves_like_linux_s(lived, moments):
    setup, guest = lived
    seventh = between(moments, "stage 4 of 9: a CPU off and on", "CPU 7 is now offline", 7)
    linux = moves(told(seventh, *PLACES, marks=False))
    assert len(linux) == 4 and all(each == linux[0] for each in linux)
    here = [source for found in guest.sources.values() for source in found if source.vcpu == 7]
    since = len(setup.commands)
    assert len(here) > 1 and guest.cpu_off(7) == ""
    mine = moves(ours(setup, guest, since, marks=False))
    assert mine == len(here) * [linux[0][:-1]]      # the last is Linux' second look at the freed word
    last = [each for each in seventh if isinstance(each, c.Msr) and each.index == SVR]
    assert last == [setup.commands[-1]] == [c.Msr(7, SVR, 0xFF)]
    assert 7 not in guest.online and all(source.vcpu != 7 for source in here)
    for source in here:
        assert fire(setup, guest, source) == [(source.vcpu, source)]


def test_a_vcpu_that_comes_is_woken_by_name_like_linux_s(lived, moments):
    setup, guest = lived
    assert guest.cpu_off(7) == ""
    woken = [one.command for one in moments if isinstance(one.command, c.Msr) and one.command.index == SENDS]
    linux = [(get(each.value, ICR.dlm), get(each.value, ICR.dest)) for each in woken
             if get(each.value, ICR.dlm) in (5, 6) and get(each.value, ICR.dest) == 7]
    since = len(setup.commands)
    assert guest.cpu_on(7) == ""
    mine = [(get(each.value, ICR.dlm), get(each.value, ICR.dest)) for each in setup.commands[since:since + 2]]
    assert mine == [(5, 7), (6, 7)] and linux[-4:] == [(5, 7), (5, 7), (6, 7), (6, 7)]
    assert guest.affinity(guest.sources[NIC][0], 7) == ""
    assert fire(setup, guest, guest.sources[NIC][0]) == [(7, guest.sources[NIC][0])]


@pytest.mark.parametrize("vcpu, off, on", [
    (0, "vCPU 0 stays: it has the fault events", "vCPU 0 is on"),
    (8, *["vCPU 8 is not there: the machine has 0 to 7"] * 2),
    (-1, *["vCPU -1 is not there: the machine has 0 to 7"] * 2)])
def test_a_vcpu_that_cannot_go_or_come_is_refused(lived, vcpu, off, on):
    setup, guest = lived
    since = len(setup.commands)
    assert (guest.cpu_off(vcpu), guest.cpu_on(vcpu)) == (off, on) and len(setup.commands) == since


def test_a_vcpu_goes_once(lived):
    guest = lived[1]
    assert guest.cpu_off(7) == "" and guest.cpu_off(7) == "vCPU 7 is off"


def sleep_of(moments):
    """What vCPU 0 did at the unit from keeping the fault event to restoring it: before the sleep, and after."""
    mine = [one.command for one in moments if one.vcpu == 0 and one.command is not None]
    start = max(n for n, each in enumerate(mine) if each == c.MmioRead(UNIT + OFFSET["FEUADDR"], 4)) - 3
    off = mine.index(c.Mmio(UNIT + OFFSET["GCMD"], 4, 1 << 26), start) + 2
    end = next(n for n in range(off, len(mine)) if mine[n] == c.Mmio(UNIT + OFFSET["FEUADDR"], 4, 0))
    return told(mine[start:off], *PLACES), told(mine[off:end + 1], *PLACES)


def test_a_guest_that_cannot_sleep_stays_awake(lived, monkeypatch):
    """vCPUs that were off already come back (`freeze_secondary_cpus` of Linux)."""
    setup, guest = lived
    off = guest.cpu_off
    monkeypatch.setattr(guest, "cpu_off", lambda vcpu: "no vector is free" if vcpu == 3 else off(vcpu))
    assert guest.suspend() == "no vector is free"
    assert guest.online == list(range(8))
    since = len(setup.commands)
    assert guest.resume() and len(setup.commands) == since
    for found in guest.sources.values():
        for source in found:
            assert fire(setup, guest, source) == [(source.vcpu, source)]


def test_a_sleep_is_linux_s(lived, moments):
    setup, guest = lived
    before, after = sleep_of(moments)
    since = len(setup.commands)
    assert guest.suspend() == "" and guest.online == [0]
    start = setup.commands.index(c.MmioRead(UNIT + OFFSET["FECTL"], 4), since)
    again = before.index(("poll", 16), before.index(("poll", 16)) + 1)
    assert ours(setup, guest, start) == [each for n, each in enumerate(before) if n != again]   # its second look
    since = len(setup.commands)
    assert guest.resume()
    mine, event = ours(setup, guest, since), ("write", "FECTL", 4, 0)
    queue, translation = after.index(("read", "IQT", 4)), after.index(("read", "IQT", 4), 2)
    again = after.index(("poll", 16), after.index(("poll", 16)) + 1)
    assert queue == 1 and mine[:mine.index(event)] == [each for n, each in enumerate(after[:translation]) if n != again]
    assert [each[:3] for each in mine[mine.index(event):]] == [each[:3] for each in after[after.index(event):]]


@pytest.mark.parametrize("sleeps, wakes", [(1, 1), (2, 1), (1, 2)])
def test_after_a_sleep_every_interrupt_arrives(lived, sleeps, wakes):
    """However often it is told to sleep, or to wake up."""
    setup, guest = lived
    assert [guest.suspend() for _ in range(sleeps)] == ["", "the guest sleeps already"][:sleeps]
    assert all(guest.resume() for _ in range(wakes))
    assert guest.online == list(range(8)) and not guest.faults
    for found in guest.sources.values():
        for source in found:
            assert fire(setup, guest, source) == [(source.vcpu, source)]
    assert guest.affinity(guest.sources[NIC][0], 5) == ""
