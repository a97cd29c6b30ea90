"""DMA requests in the same fault log as interrupts (VT-d 3.4, 7)."""

import pytest

from tests.rig import NIC, Rig, acts
from vsim.devices import dma
from vsim.devices.dma import CONTEXT, ROOT, DmaReason
from vsim.explain.interrupt import explain
from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import ECAP, GCMD
from vsim.state import commands as c
from vsim.state.profile import Capabilities

ROOTS, CONTEXTS = 0x300000, 0x301000
SRTP, TE = GCMD.srtp.mask, GCMD.te.mask
PASSING = Capabilities(ecap=Capabilities().ecap | ECAP.pt.mask)
GOOD = CONTEXT.make(p=1, tt=2, aw=2)


def translating(context=None, root=None, roots=ROOTS, **options):
    """A unit that translates DMA: the root entry of the NIC's bus, and its context entry."""
    rig = Rig(**options).start()
    rig.ram(ROOTS + 16 * (NIC >> 8), ROOT.make(p=1, ctp=CONTEXTS >> 12) if root is None else root)
    rig.ram(CONTEXTS + 16 * (NIC & 0xFF), context or 0)
    rig.write("RTADDR", roots)
    on = rig.has("GSTS") & 0x96FFFFFF
    rig.write("GCMD", on | SRTP)
    rig.write("GCMD", on | TE)
    return rig


def reason(events):
    return next((DmaReason(row[1]) for row in acts(events, "DMA_BLOCKED")), DmaReason.NONE)


@pytest.mark.parametrize("made, address, read, wanted", [
    ({"root": 0}, 0x1000, 0, DmaReason.ROOT_ABSENT), ({}, 0x1000, 1, DmaReason.CONTEXT_ABSENT),
    ({"root": 3}, 0x1000, 1, DmaReason.ROOT_RESERVED), ({"root": 1 | 1 << 64}, 0, 1, DmaReason.ROOT_RESERVED),
    ({"root": ROOT.make(p=1, ctp=0xFFFFF)}, 0x1000, 0, DmaReason.CONTEXT_UNREADABLE),
    ({"roots": 0xFFFFF000}, 0x1000, 0, DmaReason.ROOT_UNREADABLE),
    ({"context": GOOD | 1 << 4}, 0x1000, 0, DmaReason.CONTEXT_RESERVED),
    ({"context": GOOD | 1 << 88}, 0x1000, 0, DmaReason.CONTEXT_RESERVED),
    ({"context": GOOD}, 0x1000, 0, DmaReason.CONTEXT_INVALID),                       # ECAP.PT is 0
    ({"context": CONTEXT.make(p=1, tt=3)}, 0, 0, DmaReason.CONTEXT_INVALID),
    ({"context": CONTEXT.make(p=1, aw=5)}, 0, 0, DmaReason.CONTEXT_INVALID),
    ({"context": GOOD, "capabilities": PASSING}, (1 << 48) - 1, 0, DmaReason.NONE),
    ({"context": GOOD, "capabilities": PASSING}, 1 << 48, 0, DmaReason.BEYOND_WIDTH),
    ({"context": CONTEXT.make(p=1, aw=1)}, 0x1000, 0, DmaReason.NO_WRITE),
    ({"context": CONTEXT.make(p=1, aw=1)}, 0x1000, 1, DmaReason.NO_READ),
    ({"context": CONTEXT.make(p=1, aw=1)}, 1 << 39, 1, DmaReason.BEYOND_WIDTH),
])
def test_the_reasons(made, address, read, wanted):
    events = translating(**made).do(c.Dma(NIC, address, read))
    assert reason(events) == wanted and wanted in dma.DMA_REASON_TEXT


def test_without_translation_every_request_passes():
    rig = Rig().start()
    assert [row[0] for row in acts(rig.do(c.Dma(NIC, 0x1000, 1)))] == ["DMA"]


@pytest.mark.parametrize("read", [0, 1])
def test_the_record_has_the_page_and_the_direction_in_place_of_an_index(read):
    rig = translating()
    rig.do(c.Dma(NIC, 0xFEDC_BA98_7654_3210, read))
    record = rig.frcd()
    assert record & (1 << 64) - 1 == 0xFEDC_BA98_7654_3000
    assert [get(record, place) for place in (FRCD.sid, FRCD.reason, FRCD.t, FRCD.f)] == [NIC, 2, read, 1]


@pytest.mark.parametrize("p", [0, 1])
def test_fpd_of_the_context_keeps_it_quiet(p):
    rig = translating(context=CONTEXT.make(p=p, fpd=1))
    events = rig.do(c.Dma(NIC, 0x1000, 0))
    assert len(acts(events, "SUPPRESSED")) == 1 and rig.read("FSTS") == 0


def test_the_root_table_is_the_one_that_srtp_took():
    rig = translating()
    rig.ram(0x310000 + 16 * (NIC >> 8), 0)
    rig.write("RTADDR", 0x310000)
    assert reason(rig.do(c.Dma(NIC, 0, 0))) == DmaReason.CONTEXT_ABSENT
    rig.write("GCMD", rig.has("GSTS") & 0x96FFFFFF | SRTP)
    assert reason(rig.do(c.Dma(NIC, 0, 0))) == DmaReason.ROOT_ABSENT


def test_an_overflow_hides_an_interrupt_fault_behind_dma_faults():
    rig = translating()
    rig.do(c.Dma(NIC, 0x1000, 0))
    rig.do(c.Dma(NIC, 0x2000, 0))
    assert rig.read("FSTS") & 3 == 3
    events = rig.fault()
    assert [row[0] for row in acts(events, "RECORDED", "OVERFLOWED")] == ["OVERFLOWED"]
    rig.clear()
    rig.write("FSTS", 1)
    assert get(rig.frcd(), FRCD.f) == 0
    rig.fault()
    assert get(rig.frcd(), FRCD.reason) == 0x22


def test_both_kinds_share_the_ring_the_status_and_the_event():
    rig = translating(unit={"fault_records": 4})
    for name, value in (("FEDATA", 0x99), ("FEADDR", 0xFEE00000), ("FECTL", 0)):
        rig.write(name, value)
    events = [*rig.do(c.Dma(NIC, 0x1000, 1)), *rig.fault(), *rig.do(c.Dma(NIC, 0x2000, 0))]
    assert [get(rig.frcd(n), FRCD.reason) for n in range(4)] == [2, 0x22, 2, 0]
    assert len(acts(events, "NOTIFIED")) == 1 and rig.read("FSTS") == 2


def test_a_write_to_the_interrupt_range_is_an_interrupt_request():
    rig = translating()
    assert acts(rig.do(c.Dma(NIC, 0xFEE00000, 0)), "DMA") == []
    assert len(acts(rig.do(c.Dma(NIC, 0xFEE00000, 0)), "SENT")) == 1
    assert len(acts(rig.do(c.Dma(NIC, 0xFEE00000, 1)), "DMA")) == 1


@pytest.mark.parametrize("make, verdict", [
    (lambda: translating(), "DMA blocked, reason 0x2: "), (lambda: Rig(), "DMA that passes: no interrupt")])
def test_what_became_of_it_is_told_in_a_few_words(make, verdict):
    rig = make()
    before = rig.m.copy()
    events = rig.do(c.Dma(NIC, 0x1000, 1))
    assert explain(events, before, events[0].serial).verdict.startswith(verdict)


def test_a_saved_machine_keeps_the_root_table():
    rig = translating()
    again = type(rig.m).load(rig.m.save())
    assert again == rig.m and again.roots == {0: ROOTS}
