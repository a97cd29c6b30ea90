"""Fault lines as Linux and as Xen print them: every record that the kernel read comes back."""

import re

import pytest

from tests.vsim.findings.booted import DISK, FREE, NIC, Booted, lab_file, lived, read_back
from vsim.guest.kernel import Fault
from vsim.layouts.formats import IRTE_POSTED, Reason
from vsim.layouts.registers import FSTS
from vsim.readers import linux_faults, xen_faults
from vsim.state import commands as c
from vsim.state.profile import PROFILES

READERS = {"linux faults": linux_faults, "xen faults": xen_faults}


def told(booted, kind):
    """The faults of a dump, as the kernel keeps them."""
    records = read_back(READERS[kind], booted.dump(kind))
    return [Fault(each.reason, each.index, each.rid) for each in records if isinstance(each, linux_faults.Fault)]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", PROFILES)
def test_every_fault_that_was_read_comes_back(kind, name):
    booted = lived(name=name)
    assert told(booted, kind) == booted.guest.faults
    if name == "spec":
        assert [(fault.reason, fault.index, fault.source) for fault in booted.guest.faults] == [
            (0x22, FREE, NIC), (0x26, booted.source(NIC).index, DISK)]


@pytest.mark.parametrize("kind", READERS)
def test_an_index_beyond_the_table_a_compatibility_message_and_a_reserved_bit(kind):
    booted = Booted()
    entry = booted.guest.unit.table + 16 * FREE
    booted.history.issue(c.RamWrite(entry, (1 | 1 << 24).to_bytes(16, "little")))
    booted.fault()
    booted.guest.take(booted.history.issue(c.Msi(NIC, 0xFEE00000, 0x41)))
    assert [fault.reason for fault in told(booted, kind)] == [0x24, 0x25] and told(booted, kind) == booted.guest.faults


@pytest.mark.parametrize("kind", READERS)
def test_a_reason_that_neither_knows_is_printed_as_of_dma_and_read_as_of_an_interrupt(kind):
    booted = Booted(posting=True)
    word = IRTE_POSTED.make(p=1, im=1, vector=0x41, pda=1 << 30)     # a descriptor that is not in memory
    booted.history.issue(c.RamWrite(booted.guest.unit.table + 16 * FREE, word.to_bytes(16, "little")))
    booted.fault()
    assert "Unknown" in booted.dump(kind)
    assert told(booted, kind) == booted.guest.faults == [Fault(Reason.DESCRIPTOR_ERROR, FREE, NIC)]


@pytest.mark.parametrize("kind", READERS)
def test_a_fault_of_dma_comes_back_with_its_page_and_way(kind):
    booted = Booted()
    for command in (c.Mmio(0xFED90020, 8, 0x3F00000), c.Mmio(0xFED90018, 4, 0x46000000),
                    c.Mmio(0xFED90018, 4, 0x86000000), c.Dma(NIC, 0x12345678, 1)):
        booted.guest.take(booted.history.issue(command))
    (fault,) = [each for each in read_back(READERS[kind], booted.dump(kind)) if isinstance(each, linux_faults.Fault)]
    (known,) = booted.guest.faults
    assert (fault.kind, fault.address, fault.rid, fault.reason) == ("read", 0x12345000, NIC, known.reason)


def test_a_record_that_nobody_has_read_is_in_no_log():
    booted = Booted()
    booted.history.issue(c.Msi(NIC, 0xFEE00000, 0x41))
    assert booted.dump("linux faults") == booted.dump("xen faults") == ""


def test_several_records_at_one_visit_and_an_overflow():
    booted = Booted()
    records = booted.guest.unit.records
    for _ in range(records + 1):
        events = booted.history.issue(c.Msi(NIC, 0xFEE00000 | 1 << 4 | 400 << 5, 0))
        booted.history.issue(c.Msi(NIC, 0xFEE00000 | 1 << 4 | 401 << 5, 0))
        booted.guest.cpu.note(events)
    booted.guest.serve()
    status, *faults = read_back(linux_faults, booted.dump("linux faults"))
    assert isinstance(status, linux_faults.Status) and len(faults) == len(booted.guest.faults) == records
    bits = [each.field for each in read_back(xen_faults, booted.dump("xen faults"))
            if isinstance(each, xen_faults.StatusBit)]
    assert bits == ["pfo", "ppf"] == [name for name in ("pfo", "ppf") if status.value & getattr(FSTS, name).mask]


def test_an_undone_fault_is_in_no_log():
    booted = Booted()
    before = booted.history.position
    booted.fault()
    after = booted.history.position
    booted.history.goto(before)
    assert booted.dump("linux faults") == ""
    booted.history.goto(after)
    assert len(booted.dump("linux faults").splitlines()) == 2


def test_the_lines_have_the_form_of_our_own_runs():
    path = lab_file("linux-6.12-8cpu/faults.txt")
    if path is None:
        pytest.skip("no dumps of our own runs beside the real ones")

    def shapes(text):
        return {re.sub(r"0x[0-9a-f]+|[0-9a-f]{2}:[0-9a-f]{2}\.\d", "#", line) for line in text}

    real = re.findall(r"DMAR: [^|]+", path.read_text())
    assert shapes(lived().dump("linux faults").splitlines()) == shapes(real)
