"""The protocol checker: each rule with a log that keeps it and one that breaks it; guests that do and do not."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs import BASE, DISK, IRE, NIC, OTHER, QIE, QUEUE, SIRTP, STATUS, TABLE, Log, machine, words
from tests.vsim.guest.test_kernel import FUNCTIONS, PIN, Setup, fire
from vsim.devices import hpet, viommu
from vsim.domain import acpi
from vsim.domain.platform import Platform
from vsim.guest import firmware
from vsim.guest.irq import IOAPIC, IOAPIC_EOI, IOAPIC_WINDOW
from vsim.guest.kernel import DUTIES, MIB, Guest
from vsim.history.log import History
from vsim.history.session import SessionError
from vsim.layouts.formats import DEVICE_TLB_INV, FRCD, IEC, IOTLB_INV, RTE_REMAP, WAIT, Dlm, remap_message
from vsim.layouts.registers import APIC_OFFSET, GCMD, ICR
from vsim.machine import run, step
from vsim.protocol import checker as protocol
from vsim.protocol import conduct, exposure, predicates, rules
from vsim.protocol.checker import LogError, bare, check, load, parse
from vsim.protocol.facts import EntryChanged
from vsim.protocol.rules import RULES, SEVERITIES
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile

FRO, PID_AT = 0x220, 0x7000
TLB = DEVICE_TLB_INV.make(type=3, sid=NIC, s=1)
TE, SRTP = GCMD.te.mask, GCMD.srtp.mask
ALLOWED = Function(NIC, msix_count=2)
MASKABLE = Function(NIC, msi_count=2, msi_maskable=True)
CONTROL = Bus([ALLOWED]).msix_cap(0) + 2


def cleared(log, record=0, read=True):
    """The handler's work on one fault record."""
    if read:
        log.read("FSTS").add(c.MmioRead(BASE + FRO + 16 * record, 8), c.MmioRead(BASE + FRO + 16 * record + 8, 8))
    return log.add(c.Mmio(BASE + FRO + 16 * record + 12, 4, 1 << 31))


def faulting(count=1):
    """A unit that has recorded faults."""
    log = Log().up()
    for each in range(count):
        log.msi(0x100 + each)
    return log


def wired(*between, irq=4):
    """A line that the 8259 pair hands on to vCPU 0, raised after some more commands."""
    return Log(*firmware.controllers(irqs=(irq,)), c.ApicWrite(0, 0x350, 0x700), c.ApicWrite(0, 0x360, 0x400),
               *between, c.Isa(irq, 1))


def timers(*writes):
    """Writes to the HPET: (offset, width, value)."""
    return Log(*(c.Mmio(hpet.BASE + offset, width, value) for offset, width, value in writes))


def posting():
    """A descriptor that is made, and its vCPU, which runs from then on."""
    return Log(c.RamWrite(PID_AT, bytes([0xFF] * 64)), c.RamWrite(PID_AT, bytes(64)), c.Schedule(PID_AT, 1, 0))


def msix(log, address, data, mask, number=0):
    """Program an MSI-X message of the first function; mask: before and after."""
    at = Bus([ALLOWED]).bar(0) + 16 * number
    if mask:
        log.add(c.Mmio(at + 12, 4, 1))
    return log.add(c.Mmio(at, 4, address), c.Mmio(at + 8, 4, data), c.Mmio(at + 12, 4, 0))


def enabled(log, index):
    """A NIC whose message 0 goes to an entry."""
    log.add(c.ConfigWrite(NIC, 4, 2, 6), c.ConfigWrite(NIC, CONTROL, 2, 0xC000))
    msix(log, remap_message(index)[0], 0, False)
    return log.add(c.ConfigWrite(NIC, CONTROL, 2, 0x8000))


def pin(log, vector, tm):
    """Pin 20 through entry 7, level, vector 0x41 in the entry of the I/O APIC; fired, taken and ended."""
    log.entry(7, sid=0xFF00, vector=vector, tm=tm).flush(7)
    rte = RTE_REMAP.make(handle=7, format=1, tm=1, vector=0x41)
    for half in (1, 0):
        log.add(c.Mmio(IOAPIC, 4, 0x10 + 2 * 20 + half), c.Mmio(IOAPIC_WINDOW, 4, rte >> 32 * half & 0xFFFFFFFF))
    return served(log.add(c.Pin(20, 1)), vector).add(c.Pin(20, 0))


def served(log, vector=0, vcpu=0):
    return log.add(c.Acknowledge(vcpu), c.ApicWrite(vcpu, 0xB0, 0))


def x2apic(log, vcpu=0, bsp=1):
    return log.add(c.Msr(vcpu, 0x1B, 0xFEE00C00 | bsp << 8), c.Msr(vcpu, 0x80F, 0x1FF))


def ipi(log, **fields):
    return log.add(c.ApicWrite(0, APIC_OFFSET["ICR"], ICR.make(**fields)))


def prepared(before=(), **options):
    """The machine that a log of CASES begins on."""
    m = machine(**options)
    run(m, before)
    return m


UP = len(Log().up())

# rule: (a log that keeps it, one that breaks it, the step at fault, the machine)
CASES = {
    "one-shot-masked": (
        Log().queue_on().point().flush().command(QIE | IRE),
        Log().queue_on().point().flush().command(QIE | SIRTP | IRE), -2, {}),
    "whole-state": (
        Log().queue_on().point(on=QIE).flush(),
        Log().queue_on().point(on=0), -2, {}),
    "one-command": (
        Log().queue_on().point().flush().command(QIE | IRE),
        Log().write("IQT", 0).write("IQA", QUEUE).write("IRTA", TABLE | 15).command(QIE | SIRTP), -2, {}),
    "poll": (
        Log().queue_on().point().flush(),
        Log().read("GSTS").write("IQT", 0).write("IQA", QUEUE).command(QIE, poll=False).point().flush(), 5, {}),
    "sirtp-before-ire": (
        Log().up(),
        Log().queue_on().flush().write("IRTA", TABLE | 15).command(QIE | IRE), -2, {}),
    "flush-after-sirtp": (Log().up(), Log().up(flush=False), -2, {}),
    "wait": (
        Log().up().entry(5).flush(5).entry(5, vector=0x42).flush(5).msi(5),
        Log().up().entry(5).flush(5).entry(5, vector=0x42).flush(5, wait=False).msi(5), -1, {}),
    "tail-zero": (
        Log().queue_on(),
        Log().queue_on().flush().command(0).command(QIE), -2, {}),
    "queue-drained": (
        Log().queue_on().flush().command(0),
        Log().command(0), 0, {"before": Log().queue_on().queue(0xE)}),
    "queue-before-invalidation": (
        Log().queue_on().flush(),
        Log().write("IQA", QUEUE).flush(), 2, {}),
    "queue-error": (
        Log().queue_on().flush(),
        Log().queue_on().queue(0xE), -1, {}),
    "status-cleared": (
        Log().queue_on().wait().wait(),
        Log().queue_on().wait().wait(clear=False), -2, {}),
    "table-aligned": (
        Log().queue_on().point(table=TABLE),
        Log().queue_on().point(table=TABLE + 0x1000), -2, {}),
    "eime-while-on": (
        Log().up(eime=1).write("IRTA", OTHER | 0x80F),
        Log().up(eime=1).write("IRTA", OTHER | 0xF), -1, {}),
    "x2apic-after-eime": (
        x2apic(Log().up()),
        x2apic(Log()).up(), -2, {}),
    "wide-destination": (
        Log().up(eime=0).entry(5, dst=0xFE00).flush(5),
        Log().up(eime=0).entry(5, dst=0x100FE00).flush(5), UP, {}),
    "entry-fields": (
        Log().up().entry(5, dlm=1).flush(5),
        Log().up().entry(5, dlm=3).flush(5), UP, {}),
    "torn-entry": (
        Log().up().half(5, 1, sid=DISK).half(5, 0).flush(5),
        Log().up().half(5, 0).half(5, 1, sid=DISK).flush(5), UP, {}),
    "wait-before-reuse": (
        Log().up().entry(5).flush(5).entry(5, p=0).flush(5).entry(5, sid=DISK).flush(5),
        Log().up().entry(5).flush(5).entry(5, p=0).flush(5, wait=False).entry(5, sid=DISK).flush(5),
        UP + 10, {}),
    "no-free-while-live": (
        enabled(Log().up().entry(5).flush(5), 5).add(c.ConfigWrite(NIC, CONTROL, 2, 0)).entry(5, p=0).flush(5),
        enabled(Log().up().entry(5).flush(5), 5).entry(5, p=0).flush(5), -7, {"functions": [ALLOWED]}),
    "source-check": (
        Log().up().entry(5).flush(5),
        Log().up().entry(5, svt=0, sid=0).flush(5), UP, {}),
    "invalidate-after-change": (
        Log().up().entry(5).flush(5).entry(5, vector=0x42).flush(5).msi(5),
        Log().up().entry(5).flush(5).entry(5, vector=0x42).msi(5), -1, {}),
    "invalidate-after-set": (
        Log().up().entry(5).flush(5).msi(5),
        Log().up().entry(5).msi(5), -1, {}),
    "record-read": (
        cleared(faulting()),
        cleared(faulting(), read=False), -1, {}),
    "records-in-order": (
        cleared(cleared(faulting(2)), 1),
        cleared(faulting(2), 1), -1, {"unit": {"fault_records": 4}}),
    "records-before-overflow": (
        cleared(faulting(2)).write("FSTS", 1),
        cleared(faulting(2).read("FSTS").write("FSTS", 1)), UP + 3, {}),
    "faults-served": (
        cleared(served(Log().up().write("FEDATA", 0x30).write("FEADDR", 0xFEE00000).write("FECTL", 0).msi(9))).msi(9),
        served(Log().up().write("FEDATA", 0x30).write("FEADDR", 0xFEE00000).write("FECTL", 0).msi(9)).msi(9), -1, {}),
    "device-errors-cleared": (
        Log().queue_on().add(c.DeviceError(NIC, 1)).queue(TLB).write("FSTS", 1 << 6),
        Log().queue_on().add(c.DeviceError(NIC, 1)).queue(TLB), -1, {"device_tlb": True}),
    "access-width": (
        Log().read("CAP").write("IQT", 0, 4),
        Log().read("CAP").write("IQT", 0, 2), -1, {}),
    "reserved-bits": (
        Log().write("IRTA", TABLE | 0x80F),
        Log().write("IRTA", TABLE | 0x81F), -1, {}),
    "gcmd-read": (Log().read("GSTS"), Log().read("GCMD"), -1, {}),
    "level-agrees": (
        pin(pin(Log().up(), 0x41, 1), 0x41, 1),
        pin(pin(Log().up(), 0x41, 0), 0x41, 0), None, {}),
    "mask-before-change": (
        msix(enabled(Log().up().entry(5).flush(5).entry(6).flush(6), 5), remap_message(6)[0], 0, True),
        msix(enabled(Log().up().entry(5).flush(5).entry(6).flush(6), 5), remap_message(6)[0], 0, False), -3,
        {"functions": [ALLOWED]}),
    "apic-enabled": (
        Log(c.ApicWrite(0, 0xF0, 0x1FF)).up().entry(5).flush(5).msi(5),
        Log(c.ApicWrite(0, 0xF0, 0xFF)).up().entry(5).flush(5).msi(5), -1, {}),
    "queue-address-while-on": (
        Log().queue_on().command(0).write("IQA", QUEUE),
        Log().queue_on().write("IQA", QUEUE), -1, {}),
    "page-selective-offered": (
        Log().queue_on().queue(IOTLB_INV.make(type=2, g=2)),
        Log().queue_on().queue(IOTLB_INV.make(type=2, g=3, address=5)), -1, {}),
    "queue-or-registers": (
        Log().write("CCMD", 0xA << 60),
        Log().queue_on().write("CCMD", 0xA << 60), -1, {}),
    "root-before-translation": (
        Log().command(SRTP).command(TE),
        Log().command(TE), -2, {}),
    "signal-shorthand": (
        ipi(Log(), shorthand=3, dlm=Dlm.NMI),
        ipi(Log(), shorthand=1, dlm=Dlm.NMI), -1, {}),
    "timer-mode": (
        Log().add(c.ApicWrite(0, 0x320, 0x20040), c.ApicWrite(0, 0x380, 5)),
        Log().add(c.ApicWrite(0, 0x320, 0x40040), c.ApicWrite(0, 0x380, 5)), -1, {}),
    "hpet-access": (
        timers((0, 8, 0), (0xF4, 4, 0), (0x150, 8, 0)), timers((0, 8, 0), (0x160, 8, 0)), -1, {"hpet_timers": 3}),
    "hpet-fsb-edge": (
        timers((0x110, 8, 0xFEE0000000000041), (0x100, 4, 0x4004)), timers((0x100, 4, 0x4006)), -1, {"hpet_timers": 3}),
    "hpet-counter-halted": (
        timers((0xF0, 8, 0), (0x10, 8, 1)).add(c.MmioRead(hpet.BASE + 0xF0, 8), *timers((0x10, 8, 0), (0xF0, 8, 5))),
        timers((0x10, 8, 1), (0xF4, 4, 0)), -1,
        {"hpet_timers": 3}),
    "hpet-value-set": (
        timers((0x100, 4, 0x4C), (0x108, 8, 100)).add(c.MmioRead(hpet.BASE + 0x120, 4)),
        timers((0x120, 4, 0x44)), -1, {"hpet_timers": 3}),
    "descriptor-locked": (
        posting().add(c.RamWrite(PID_AT, bytes(32)), c.RamWrite(PID_AT - 32, bytes([1] * 40)),
                      c.RamWrite(PID_AT, bytes([2] * 16)), c.RamWrite(PID_AT + 64, bytes([1] * 64))),
        posting().add(c.RamWrite(PID_AT + 8, bytes([1] * 17))), -1, {}),
    "one-extint": (
        Log(c.ApicWrite(0, 0x350, 0x700), c.ApicWrite(1, 0x350, 0x10700)),
        Log(c.ApicWrite(0, 0x350, 0x700), c.ApicWrite(1, 0x350, 0x700)), -1, {}),
    "lint1-edge": (Log(c.ApicWrite(0, 0x360, 0x41)), Log(c.ApicWrite(0, 0x360, 0x8041)), -1, {}),
    "one-way": (wired(), wired(c.Mmio(IOAPIC, 4, 0x18), c.Mmio(IOAPIC + 0x10, 4, 0x31)), 14, {}),
    "pic-eoi": (
        wired(irq=12).add(c.Acknowledge(0), *firmware.end(12), c.Isa(12, 0)),
        wired(irq=12).add(c.Acknowledge(0), firmware.end(12)[1]), 13, {}),
    "eoi": (
        served(Log().up().entry(5).flush(5).msi(5)),
        Log().up().entry(5).flush(5).msi(5).add(c.Acknowledge(0)), -1, {}),
}


def test_every_rule_has_a_log_that_keeps_it_and_one_that_breaks_it():
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_log_that_keeps_the_rules_is_clean(rule):
    good, _, _, options = CASES[rule]
    options = {key: value for key, value in options.items() if key != "before"}
    assert [str(one) for one in check(good, machine(**options), every=True)] == []


@pytest.mark.parametrize("rule", RULES)
def test_the_first_step_that_breaks_a_rule_is_named(rule):
    _, bad, step, options = CASES[rule]
    (found,) = check(bad, prepared(**options))
    assert found.rule.name == rule, str(found)
    if step is not None:
        assert found.step == (step if step >= 0 else len(bad) + step)
        assert found.command == bad[found.step]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_says_what_where_and_what_may_happen(rule):
    assert rule.severity in SEVERITIES
    assert rule.section.partition(" ")[0] in ("VT-d", "SDM", "PCI", "MP", "8259A", "HPET") and rule.noted[0] in "VA"
    assert rule.sentence.endswith(".") and rule.consequence.endswith(".") and rule.looks


# --- where two rules come close ---


@pytest.mark.parametrize("log, names", [
    (Log().queue_on().point().flush().write("GCMD", IRE), ["whole-state"]),
    (Log().queue_on().point().flush().write("GCMD", QIE | SIRTP | IRE), ["one-shot-masked"]),
    (Log().queue_on().point().flush().write("GCMD", QIE | IRE | TE), ["one-command", "root-before-translation"]),
    (Log().queue_on().point().flush().write("GCMD", QIE | SIRTP), []),      # once more, and remapping stays off
    (Log().up().write("GCMD", 0), ["one-command"]),
    (Log().up().command(QIE).command(0), []),
    (Log().up().command(QIE).entry(5).entry(6, svt=0).command(QIE | IRE),
     ["invalidate-after-set", "source-check"]),
    (Log().up().command(QIE).write("IRTA", OTHER | 0x80F).command(QIE | IRE), ["sirtp-before-ire"]),
    (Log().up().point(table=OTHER, on=QIE | IRE), ["flush-after-sirtp"]),
    (Log().up().point(table=OTHER, on=QIE | IRE).flush(wait=False), ["wait"]),
    (Log().up().point(table=OTHER, on=QIE | IRE).flush(), []),
    (Log().queue_on().point().flush(wait=False).command(QIE | IRE), ["wait"]),
    (Log().up().entry(5), ["invalidate-after-set"]),
    (Log().up().entry(5).flush(5, wait=False), ["wait"]),
    (Log().up().entry(5).flush(5).entry(5, avail=3).msi(5), []),        # the same but for software's own bits
    (Log().up().entry(5).flush(5).half(5, 0, vector=0x42).flush(5).msi(5), []),
    (Log().up().entry(5).flush(5).half(5, 0, vector=0x42).half(5, 1, sid=DISK).flush(5), ["torn-entry"]),
    (Log().up().entry(5).flush(5).half(5, 0, p=0).half(5, 1, sid=DISK).half(5, 0, vector=0x42).flush(5),
     ["wait-before-reuse"]),
    (Log().up().entry(5).flush(5).half(5, 0, p=0).half(5, 0, vector=0x42).flush(5).msi(5), []),
    (Log().up().entry(5).flush(5).entry(5, p=0).entry(5, sid=DISK).flush(5), ["wait-before-reuse"]),
    (Log().up().write("IRTA", OTHER | 0xF, 4), ["eime-while-on"]),
    (Log().write("FEADDR", 0, 8).read("CAP", 8).read("CAP", 4), []),
    (Log().read("IQT", 1).read("IQT", 8), ["access-width"]),
    (Log().add(c.MmioRead(BASE + 0x84, 8)), ["access-width"]),
    (Log().add(c.MmioRead(BASE + 0x18, 8)), ["gcmd-read"]),
    (Log().write("IRTA", 1 << 52, 8), []),
    (Log().write("IRTA", 0xFFFFFFFF, 4, plus=4), []),
    (Log().write("IQT", 1 << 19), ["reserved-bits"]),
    (Log().write("IQT", 1, 4, plus=4), ["reserved-bits"]),
    (Log().up().add(c.Reset()).write("IQT", 0x20), ["queue-before-invalidation"]),      # QIES is 0 after it
    (Log().up().add(c.Reset()).entry(5).entry(5, vector=0x42), []),                     # and nothing is remapped
], ids=lambda value: " ".join(value) if isinstance(value, list) and not isinstance(value, Log) else "")
def test_exactly_these_rules_are_broken(log, names):
    assert sorted({one.rule.name for one in check(log, machine(), every=True)}) == names


@pytest.mark.parametrize("log", [Log().up().entry(5).msi(5), Log().up().entry(5)])
def test_without_caching_mode_a_new_entry_needs_no_invalidation(log):
    assert check(log, machine(unit={"caching_mode": False}), every=True) == ()


def test_a_unit_that_flushes_by_itself_needs_no_flush():
    assert check(Log().up(flush=False), machine(esirtps=True), every=True) == ()


def test_a_mistake_that_goes_on_is_told_once():
    log = Log().up().entry(5).flush(5).entry(5, vector=0x42).msi(5).msi(5).msi(5)
    assert [one.step for one in check(log, machine(), every=True)] == [UP + 8]


@pytest.mark.parametrize("tm, ended", [(0, False), (0, True), (1, False)])
def test_a_level_pin_that_disagrees_is_forgiven_when_software_ends_it_by_hand(tm, ended):
    log = pin(Log().up(), 0x41, tm)
    log = log.add(c.Mmio(IOAPIC_EOI, 4, 0x41)) if ended else log
    found = check(log, machine(), every=True)
    assert [one.rule.name for one in found] == ([] if tm or ended else ["level-agrees"])
    if found:
        assert found[0].detail == ("pin 20 says level, vector 0x41; its remapping entry edge, vector 0x41; "
                                   "remote IRR stays set")


def test_an_edge_pin_with_a_level_entry_disagrees():
    log = Log().up().entry(7, sid=0xFF00, tm=1).flush(7)
    for half, value in ((1, 7 << 17 | 1 << 16), (0, 0x41)):
        log.add(c.Mmio(IOAPIC, 4, 0x10 + half), c.Mmio(IOAPIC_WINDOW, 4, value))
    (found,) = check(log.add(c.Pin(0, 1)), machine())
    assert (found.rule.name, found.step) == ("level-agrees", len(log) - 1)


def test_a_message_of_msi_with_a_mask_is_masked_while_it_changes():
    bus = Bus([MASKABLE])
    cap = bus.msi_cap(0)
    start = Log(c.ConfigWrite(NIC, 4, 2, 6), c.ConfigWrite(NIC, cap + 4, 4, 0xFEE00000),
                c.ConfigWrite(NIC, cap + 2, 2, 0x0011))
    change = c.ConfigWrite(NIC, cap + 4, 4, 0xFEE01000)
    masks = [c.ConfigWrite(NIC, cap + 16, 4, value) for value in (3, 0)]
    assert check(Log(*start, masks[0], change, masks[1]), machine([MASKABLE]), every=True) == ()
    found = check(Log(*start, change), machine([MASKABLE]), every=True)
    assert [(one.rule.name, one.detail) for one in found] == [
        ("mask-before-change", f"message {n} of 03:00.0 changed while it could be sent") for n in (0, 1)]


@pytest.mark.parametrize("entry", [0x41, 0x42])
def test_a_pin_can_be_what_still_fires_through_a_freed_entry(entry):
    log = Log().up().entry(7, sid=0xFF00).flush(7)
    rte = RTE_REMAP.make(handle=7, format=1, vector=entry)
    for half in (1, 0):
        log.add(c.Mmio(IOAPIC, 4, 0x10 + half), c.Mmio(IOAPIC_WINDOW, 4, rte >> 32 * half & 0xFFFFFFFF))
    (found,) = check(log.entry(7, p=0).flush(7), machine())
    assert (found.rule.name, found.detail) == ("no-free-while-live", "entry 0x7 is freed, pin 0 can still fire")


def test_a_message_that_is_programmed_later_is_what_still_fires_through_a_freed_entry():
    log = enabled(Log().up().entry(5).entry(6).entry(7).flush(), 5).entry(6, p=0).flush()
    log = msix(log, remap_message(7)[0], 0, True).entry(7, p=0)
    (found,) = check(log, machine([ALLOWED]))
    assert (found.rule.name, found.detail) == (
        "no-free-while-live", "entry 0x7 is freed, message 0 of 03:00.0 can still fire")


def test_what_a_unit_had_cached_from_the_beginning_is_told_so():
    m = machine()
    run(m, Log().up().entry(5).flush(5).msi(5).entry(5, vector=0x42))
    (found,) = check(Log().msi(5), m)
    assert found.detail.startswith("entry 0x5 for a request of 03:00.0: in memory it is remapped, vector 0x42")
    assert found.detail.endswith("which it had cached from the beginning")


def test_at_a_loose_end_the_request_is_nobody_s():
    (found,) = check(Log().up().entry(5).flush(5).entry(5, vector=0x42), machine())
    assert found.detail.startswith("entry 0x5 for a request: in memory it is remapped, vector 0x42")


# --- guests ---


def booted(*skip, fires=True, **options):
    """The log of a guest that boots, and the machine that it met; with `fires` its NIC fires, moves, fires again."""
    named = {key: options.pop(key) for key in ("destination",) if key in options}
    setup = Setup(**options)
    before = setup.machine.copy()
    guest = setup.boot(*skip, **named)
    for vcpu in (3, 5) if fires else ():
        for source in (guest.sources[NIC][0], *guest.sources.get(PIN, [])):
            fire(setup, guest, source)
            guest.affinity(source, vcpu)
            fire(setup, guest, source)
    return setup, guest, before


@pytest.mark.parametrize("options", [
    {}, {"destination": "cluster"}, {"unit": False}, {"unit": False, "ext_dest": True}, {"prof": "qemu-10"},
    {"cache": "none"}, {"cache": "present"}, {"vcpus": 300}, {"ioapic_version": 0x11}, {"apic_id_step": 1},
    {"functions": [*FUNCTIONS, Function(0x0600, msix_count=300)]},
], ids=str)
def test_a_guest_that_does_its_duties_is_clean_from_boot_on(options):
    options = {"functions": FUNCTIONS[:2] if options.get("prof") else FUNCTIONS, **options}
    setup, guest, before = booted(**options)
    for requester in (0x100, 0x200):
        guest.take(setup.issue(c.Msi(requester, 0xFEE00010, 0)))
    assert [str(one) for one in check(setup.commands, before, every=True)] == []


def test_a_burst_is_many_requests_of_one_command():
    setup, guest, before = booted(fires=False)
    guest.affinity(guest.sources[NIC][0], 3)
    setup.issue(c.Burst(7, 60, 1))
    assert check(setup.commands, before, every=True) == ()
    late, guest, before = booted("invalidate", fires=False)
    late.issue(c.Burst(7, 60, 1))
    found = check(late.commands, before, every=True)
    assert {one.rule.name for one in found} == {"invalidate-after-set"}
    assert {one.step for one in found if "03:00.0" in one.detail} == {len(late.commands) - 1}


def test_a_second_kernel_is_clean_too():
    setup, _, before = booted()
    second = Guest(setup.issue, setup.platform(), memory=4 * MIB)
    second.boot()
    fire(setup, second, second.sources[NIC][0])
    assert [str(one) for one in check(setup.commands, before, every=True)] == []


def several(*skip, units=3):
    """The log of a guest with several units, and the machine that it met: the NIC behind the first, the old one behind
    the second, everybody else behind the last."""
    m = Machine(profile("spec").with_options(max_units=units), 8, 64 * MIB, Bus(FUNCTIONS))
    m.scope = {NIC: 0, DISK: 1, -1: units - 1}
    for unit in range(units):
        step(m, c.Domctl(viommu.create_op(BASE + 4096 * unit, version=m.profile.options.interface)))
    step(m, c.RamWrite(0xEA000, acpi.dmar_of(m)))
    before, log = m.copy(), []

    def issue(command):
        log.append(command)
        return step(m, command)

    guest = Guest(issue, Platform.of(m, 0xEA000), skip=skip)
    guest.boot()
    for source in (guest.sources[NIC][0], guest.sources[DISK][0], guest.sources[PIN][0]):
        for vcpu in (3, 5):
            guest.affinity(source, vcpu)
            fired = c.Intx(source.bdf, 1) if source.kind == "pin" else c.Signal(source.bdf, source.number)
            guest.take(issue(fired))
    return log, before


def test_several_units_are_judged_each_by_itself():
    log, before = several()
    assert [str(one) for one in check(log, before, every=True)] == []
    log, before = several("invalidate")
    found = [one for one in check(log, before, every=True) if one.command == c.Signal(DISK, 0)]
    assert found[0].rule.name == "invalidate-after-change"
    assert found[0].detail.startswith("entry 0x0 of unit 1 for a request of 04:00.0: ")


NAMED = {"enable": "apic-enabled", "order": "sirtp-before-ire", "flush": "flush-after-sirtp",
         "invalidate": "invalidate-after-set", "wait": "wait", "source": "source-check", "mask": "mask-before-change",
         "eoi": "eoi", "ioapic-eoi": "level-agrees", "clear-faults": "faults-served"}


@pytest.mark.parametrize("duty", DUTIES)
def test_a_duty_left_out_is_named_by_its_rule(duty):
    setup, guest, before = booted(duty, unit=duty != "mask")
    for _ in range(2):
        guest.take(setup.issue(c.Msi(0x100, 0xFEE00010, 0)))
    (found,) = check(setup.commands, before)
    assert found.rule.name == NAMED[duty], str(found)


def test_an_old_device_shows_that_the_table_of_the_first_kernel_was_not_flushed():
    """Out of order, the old table serves again while the new one is set up: broken at the latest where it is used."""
    setup, _, before = booted()
    after = len(setup.commands)
    platform = setup.platform()
    second = Guest(setup.issue, Platform(Bus(()), platform.apic_ids, platform.ram_size, platform.dmar),
                   skip=["order"], memory=4 * MIB)
    second.boot()
    setup.issue(c.Signal(NIC, 0))
    found = check(setup.commands, before, every=True)
    assert min(one.step for one in found) > after
    assert {one.rule.name for one in found} == {"flush-after-sirtp"}


def test_advice_can_be_left_aside():
    setup, _, before = booted("source")
    assert check(setup.commands, before, advice=False, every=True) == ()


def test_a_log_of_writes_alone_is_judged_by_its_writes():
    setup, _, before = booted("invalidate")
    writes = [command for command in setup.commands if not isinstance(command, c.MmioRead)]
    assert check(writes, before)[0].rule.name == "invalidate-after-set"
    clean, _, before = booted()
    writes = [command for command in clean.commands if not isinstance(command, c.MmioRead)]
    assert check(writes, before, every=True) == ()
    assert check(writes, before, reads=True)[0].rule.name == "poll"


def test_a_guest_of_the_series_is_judged_on_a_unit_of_the_specification():
    with pytest.raises(ValueError, match="the unit's model is 'xen-v4'; allowed: 'vtd'"):
        check([], Machine(profile("xen-v4"), 2))


def test_a_log_without_a_machine_gets_one_that_fits():
    m = bare([c.Acknowledge(7)])
    assert (m.vcpus, m.live(0), set(m.svr)) == (8, True, {0x1FF})
    assert not bare([c.Domctl(viommu.create_op(BASE))]).live(0)
    assert set(bare([c.ApicWrite(0, 0x80, 0)]).svr) == {0xFF}
    assert bare().ram.holds(1 << 37, 1 << 20)


# --- texts ---


def text_of(log):
    return "".join(json.dumps(c.to_row(command)) + "\n" for command in log)


def test_a_log_is_read_from_lines_of_json(tmp_path):
    bad = CASES["wait"][1]
    path = tmp_path / "unit.jsonl"
    path.write_text(text_of(bad))
    found = load(path)
    assert found.commands == tuple(bad) and found.machine is None
    assert [one.rule.name for one in found.check()] == ["wait"]
    assert len(found.outcomes()[-1].deliveries) == 2


def test_a_saved_session_brings_the_machine_that_it_began_on(tmp_path):
    setup, _, before = booted("wait")
    history = History(before)
    for command in setup.commands:
        history.issue(command)
    history.save(tmp_path / "session.jsonl")
    found = load(tmp_path / "session.jsonl")
    assert found.machine == before
    assert [one.rule.name for one in found.check()] == ["wait"]


@pytest.mark.parametrize("text, place, words", [
    ("", None, ""), ('["tick",1]\n', None, ""),
    ('["tick",1]\nnonsense\n', "x:2:1", "not JSON"),
    ('["tick",1]', "x:1:11", "the file is cut off"),
    ('["tick",1]\n["mmio",1]\n', "x:2:1", "mmio takes address, width, value; found 1 values"),
    ('["mmio",1,9,1]\n', "x:1:1", "mmio.width is 9; the limit is 1 to 8 bytes"),
    ('["ram",4096,"zz"]\n', "x:1:1", "ram.data is 'zz'; expected a hex string"),
    ('["msi",65536,0,0]\n', "x:1:1", "msi.requester is 0x10000; the limit is 0xffff"),
    ('["tick",1.5]\n', "x:1:1", "tick.ns is '1.5'; expected an int"),
    ('["tick",true]\n', "x:1:1", "expected an int"),
    ("[" * 100_000 + "\n", "x:1:", ""),
    ('["tick",' + "1" * 5000 + "]\n", "x:1:1", ""),
    ('["launch","rm"]\n', "x:1:1", "not a command"),
    ("\n", "x:1:1", "not JSON"),
    ("{}\n", "x:1:1", "not a session of version 1"),
])
def test_a_text_that_is_no_log_says_where_and_why(text, place, words):
    if place is None:
        assert len(parse(text, "x").commands) == text.count("\n")
        return
    with pytest.raises((LogError, SessionError)) as caught:
        parse(text, "x")
    assert str(caught.value).startswith(place) and words in str(caught.value)


@pytest.mark.parametrize("what", [None, 5, "mmio", c.Command])
def test_what_is_no_command_is_refused_by_its_place(what):
    with pytest.raises(ValueError, match=r"command 1: .* is no command"):
        check([c.Tick(1), what])


# --- nonsense ---

ADDRESS = st.one_of(
    st.integers(0, 0x300).map(lambda offset: BASE + offset), st.integers(0, 64).map(lambda n: TABLE + 8 * n),
    st.integers(0, 64).map(lambda n: QUEUE + 8 * n), st.integers(0, 7).map(lambda n: STATUS + n),
    st.sampled_from([IOAPIC, IOAPIC_WINDOW, IOAPIC_EOI, 0xE0000000, 0xE000000C]), st.integers(0, (1 << 64) - 1))
VALUE = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from(
    [0, QIE, QIE | SIRTP, QIE | IRE, TABLE | 0x80F, QUEUE, 0x20, 1, 1 << 31, IEC.make(type=4), words(),
     WAIT.make(type=5, iflag=1), FRCD.f.mask >> 96]).map(lambda value: value & (1 << 64) - 1))
COMMAND = st.one_of(
    st.builds(c.Mmio, ADDRESS, st.integers(1, 8), VALUE), st.builds(c.MmioRead, ADDRESS, st.integers(1, 8)),
    st.builds(lambda a, v, n: c.RamWrite(a, (v * (1 << 64 | 1)).to_bytes(16, "little")[:n]), ADDRESS, VALUE,
              st.integers(0, 16)),
    st.builds(lambda i, who: c.Msi(who, *remap_message(i)), st.integers(0, 7), st.sampled_from([NIC, DISK])),
    st.builds(c.Msi, st.integers(0, 0xFFFF), VALUE, st.integers(0, 0xFFFFFFFF)),
    st.builds(c.ConfigWrite, st.sampled_from([NIC, DISK]), st.integers(0, 0xFF), st.sampled_from([1, 2, 4]), VALUE),
    st.builds(c.Signal, st.sampled_from([NIC, DISK]), st.integers(0, 3)),
    st.builds(c.Intx, st.just(NIC), st.integers(0, 1)),
    st.builds(c.Pin, st.integers(0, 50), st.integers(0, 1)), st.builds(c.Acknowledge, st.integers(0, 5)),
    st.builds(c.ApicWrite, st.integers(0, 5), st.sampled_from([0xB0, 0xF0, 0x300]), VALUE),
    st.builds(c.Msr, st.integers(0, 5), st.sampled_from([0x1B, 0x80B, 0x830]), VALUE),
    st.builds(c.Domctl, st.binary(max_size=24)), st.just(c.Reset()), st.builds(c.Tick, st.integers(0, 100)))


@settings(max_examples=150)
@given(st.lists(COMMAND, max_size=40), st.booleans(), st.booleans(), st.integers(1, 4))
def test_no_log_whatsoever_upsets_the_checker(log, started, reads, records):
    m = machine([ALLOWED], unit={"fault_records": records, "posting": True})
    log = [*Log().up(), *log] if started else log
    before = m.copy()
    found = check(log, m, every=True, reads=reads)
    assert m == before
    assert [one.step for one in found] == sorted(one.step for one in found)
    assert all(-1 <= one.step < len(log) and str(one) for one in found)
    assert check(log, m, reads=reads) == found[:1]
    assert check(log, m, every=True, reads=reads) == found


@given(st.lists(COMMAND, max_size=20))
def test_a_log_is_judged_the_same_out_of_a_text(log):
    assert parse(text_of(log)).check(every=True) == check(log, every=True)


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_log_or_a_clear_error(text):
    try:
        parse(text, "x").check(every=True)
    except (LogError, SessionError) as error:
        assert str(error).startswith("x:")


def test_of_very_many_findings_the_first_are_kept(monkeypatch):
    log = Log().up()
    for number in range(40):
        log.entry(number, svt=0).flush(number)
    every = check(log, machine(), every=True)
    assert len(every) == 40
    monkeypatch.setattr(protocol, "MOST_FINDINGS", 3)
    assert check(log, machine(), every=True) == every[:3]


def test_hostile_logs_end_in_bounded_time():
    """Every command of these costs a table, a flush or a search; each log has a few thousand."""
    moves = Log().up()
    for number in range(600):
        moves.point(table=TABLE + (number % 3 << 20), on=QIE | IRE)
        moves.msi(number % 5)
    values = Log().up()
    for number in range(2000):
        values.entry(5, vector=16 + number % 200, avail=number % 16)
        values.msi(5)
    waits = Log().up()
    for number in range(255):
        waits.ram(QUEUE + 16 * number, WAIT.make(type=5, sw=1, data=number + 1, address=0x6000 >> 2))
    for number in range(40):
        waits.write("IQT", 0x10 * (number % 2))
    for log in (moves, values, waits):
        assert check(log, machine(), every=True)


@pytest.mark.parametrize("caching", [True, False])
def test_a_request_costs_the_same_however_many_values_its_entry_had(monkeypatch, caching):
    """An entry that changes without end, is never present and never invalidated, asked for after each change."""
    asked = []
    real = conduct.using
    monkeypatch.setattr(conduct, "using", lambda *args: asked.append(1) or real(*args))
    log = Log().up()
    for number in range(400):
        log.entry(5, p=0, vector=16 + number % 200, avail=number & 15).msi(5)
    walked = []
    held = exposure._of_period
    monkeypatch.setattr(exposure, "_of_period", lambda *args: (walked.append(1) or one for one in held(*args)))
    broken = check(log, machine(unit={"caching_mode": caching}), every=True)
    assert not any(one.rule.name.startswith("stale") for one in broken)
    assert 400 <= len(asked) < 2 * 400
    assert 400 < len(walked) < 4 * 400, "a look begins where the one before ended"


def test_a_deep_value_is_found_again_until_its_invalidation_is_waited_for():
    """Sixty newer values of the same end lie over it, and no look walks through them twice."""
    log = Log().up().entry(5, vector=0x42).msi(5).entry(5, vector=0x41, avail=1).msi(5)
    for number in range(60):
        log.entry(5, vector=0x41, avail=2 + number % 2).msi(5)
    told = [one for one in check(log, machine(), every=True) if one.rule.name == "invalidate-after-change"]
    assert [one.step for one in told] == [UP + 3], "once for each value, however often it is asked for"
    log.flush(5).msi(5).entry(5, vector=0x41, avail=9).msi(5)
    assert len([one for one in check(log, machine(), every=True) if one.rule.name == "invalidate-after-change"]) == 1


@pytest.mark.parametrize("every, judged", [(True, 6), (False, 2)])
def test_what_lies_behind_the_first_findings_is_not_put_into_words(monkeypatch, every, judged):
    log = Log().up()
    for number in range(40):
        log.entry(number, svt=0).flush(number)
    whole = check(log, machine(), every=True)
    monkeypatch.setattr(protocol, "MOST_FINDINGS", 3)
    words = []
    real = predicates.unchecked
    rule = RULES["source-check"]
    looking = [(each, (lambda fact: words.append(1) or real(fact)) if each is rule else look)
               for each, look in rules._LOOKING[EntryChanged]]
    monkeypatch.setitem(rules._LOOKING, EntryChanged, looking)
    assert check(log, machine(), every=every) == whole[:3 if every else 1]
    assert len(words) == judged
