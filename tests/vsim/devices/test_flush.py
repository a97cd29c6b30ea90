"""Invalidation by registers answers with the granularity done (VT-d 6.5.1, 11.4.7, 11.4.8)."""

import pytest

from tests.rig import BASE, QIE, Rig, acts
from vsim.devices import flush
from vsim.layouts.registers import CAP, CCMD, ECAP, IOTLB, IVA
from vsim.state import commands as c
from vsim.state.profile import Capabilities
from vsim.state.trace import Warn

IRO = 0x10
PAGES = 3


def unit(psi=1, mamv=9, iro=IRO):
    plain = Capabilities()
    return Rig(capabilities=Capabilities(
        cap=plain.cap & ~(CAP.psi.mask | CAP.mamv.mask) | psi << CAP.psi.low | mamv << CAP.mamv.low,
        ecap=plain.ecap & ~ECAP.iro.mask | iro << ECAP.iro.low))


def iotlb(rig, **fields):
    """Write the IOTLB register; what it reads back."""
    rig.do(c.Mmio(BASE + 16 * IRO + 8, 8, IOTLB.make(ivt=1, **fields)))
    return IOTLB.split(rig.read(16 * IRO + 8, 8))


@pytest.mark.parametrize("asked", range(4))
@pytest.mark.parametrize("width", [4, 8])
def test_the_context_command_answers_with_what_was_asked_for(asked, width):
    rig = unit()
    value = CCMD.make(icc=1, cirg=asked, fm=2, sid=0x1234, did=0x5678)
    if width == 8:
        events = rig.write("CCMD", value)
    else:
        rig.write("CCMD", value & 0xFFFFFFFF, 4)
        events = rig.write("CCMD+4", value >> 32, 4)
    assert acts(events, "FLUSHED") == [("FLUSHED", flush.CONTEXT, asked, asked)]
    assert CCMD.split(rig.read("CCMD")) == {"icc": 0, "cirg": asked, "caig": asked, "fm": 2, "sid": 0x1234,
                                            "did": 0x5678}


def test_without_the_request_bit_a_value_is_stored_and_nothing_done():
    rig = unit()
    assert acts(rig.write("CCMD", CCMD.make(cirg=1, did=7)), "FLUSHED") == []
    assert rig.read("CCMD") == CCMD.make(cirg=1, did=7)
    assert acts(rig.write("CCMD", 5, 4), "FLUSHED") == [] and rig.read("CCMD", 4) == 5


@pytest.mark.parametrize("asked, psi, am, done", [
    (0, 1, 0, 0), (1, 1, 0, 1), (2, 1, 0, 2), (PAGES, 1, 0, PAGES), (PAGES, 1, 9, PAGES), (PAGES, 1, 10, 0),
    (PAGES, 0, 0, 2), (PAGES, 0, 63, 2)])
def test_the_iotlb_register_answers_with_what_was_done(asked, psi, am, done):
    rig = unit(psi)
    rig.do(c.Mmio(BASE + 16 * IRO, 8, IVA.make(address=5, am=am)))
    assert iotlb(rig, iirg=asked, did=3) == {"ivt": 0, "iirg": asked, "iaig": done, "dr": 0, "dw": 0, "did": 3}


def test_while_the_queue_is_on_nothing_is_done():
    rig = unit()
    rig.write("GCMD", QIE)
    events = rig.write("CCMD", CCMD.make(icc=1, cirg=1))
    assert [row[:2] for row in acts(events, "WARNED", "FLUSHED")] == [("WARNED", Warn.REGISTER_FLUSH), ("FLUSHED", 0)]
    assert CCMD.split(rig.read("CCMD"))["caig"] == 0
    assert iotlb(rig, iirg=1)["iaig"] == 0


def test_a_unit_whose_ecap_names_no_iotlb_registers_has_none():
    rig = unit(iro=0)
    rig.do(c.Mmio(BASE + 8, 8, IOTLB.make(ivt=1, iirg=1)))
    assert rig.read("CAP") & CAP.psi.mask and not flush.known(rig.m, 0, 8)
    for offset in (0, 4, 0x100, 0x108, 0x24, 0x30):
        assert not flush.known(rig.m, 0, offset)


def test_the_entry_cache_has_no_register():
    rig = unit()
    rig.m.cache[5] = (1, 0, 0, 0)
    rig.write("CCMD", CCMD.make(icc=1, cirg=1))
    iotlb(rig, iirg=1)
    assert 5 in rig.m.cache
