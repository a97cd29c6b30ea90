"""Every reason of a drop has a sentence of its own, and the machine gives it where the sentence fits."""

import re

import pytest

from tests.rig import BASE, NIC, Rig
from vsim.explain.sentences import say
from vsim.layouts.formats import msi_message
from vsim.state import commands as c
from vsim.state.trace import Act, Drop, Event, Kind, node

MESSAGE = msi_message(1, 0x41)

# What is done, on a machine of which options, the reason, and what its sentence says.
CASES = {
    "no descriptor there": ([c.VirtualEoi(0x8000)], {}, Drop.NO_TARGET, "no vCPU by descriptor 0x8000"),
    "no exit bitmap there": ([c.EoiExit(0x8000, 0x31, 1)], {}, Drop.NO_TARGET, "no vCPU by descriptor 0x8000"),
    "memory ends": ([c.Schedule(8 << 20, 1, 0)], {}, Drop.UNCLAIMED, "Nothing answers at 0x800000"),
    "no register": ([c.Mmio(0xF0000000, 4, 1)], {}, Drop.UNCLAIMED, "Nothing answers at 0xf0000000"),
    "no port": ([c.PortWrite(0x77, 1)], {}, Drop.UNCLAIMED, "Nothing answers at 0x77"),
    "a byte of a register": ([c.Mmio(BASE + 0x18, 1, 1)], {}, Drop.WIDTH, "Offset 0x18 of vIOMMU 0 takes no access"),
    "over the end": ([c.Mmio(BASE + 0xFFC, 8, 1)], {}, Drop.STRADDLE, "The 8 bytes at 0xfed90ffc leave"),
    "no such pin": ([c.Pin(99, 1)], {}, Drop.NO_PIN, "GSI 99 is no pin"),
    "no such vCPU": ([c.Lint(8, 0, 1)], {}, Drop.NO_PIN, "no vCPU 8: the machine has 8"),
    "the cascade": ([c.PortWrite(0x20, 0x11), c.Isa(2, 1)], {}, Drop.NO_PIN, "IRQ 2 is the cascade"),
    "a wire of nobody": ([c.Intx(NIC, 1)], {}, Drop.NO_PIN, "no wire that it may raise"),
    "no table": ([c.Signal(NIC, 0)], {}, Drop.NO_MESSAGE, "has no message 0"),
    "not an interrupt": ([c.Msi(NIC, 0x1000, 0)], {}, Drop.NOT_INTERRUPT, "0x1000 is not 0xFEEx_xxxx"),
    "nobody there": ([c.Msi(NIC, *msi_message(0x77, 0x41))], {}, Drop.NOBODY, "destination 0x77"),
    "a masked pin": ([c.Pin(5, 1)], {}, Drop.MASKED, "Pin 5 of the I/O APIC is masked"),
}


def dropped(rig, commands):
    """The last drop of some commands, with its sentence."""
    for command in commands:
        events = rig.do(command)
    (event,) = [each for each in events if each.act == Act.DROPPED]
    return event.index, say(rig.m, event)


@pytest.mark.parametrize("case", CASES)
def test_a_drop_is_told_by_what_was_asked(case):
    commands, options, reason, words = CASES[case]
    index, sentence = dropped(Rig(**options), commands)
    assert index == reason and words in sentence


def test_a_level_that_waits_for_its_eoi_is_told():
    rig = Rig()
    rig.do(c.Mmio(0xFEC00000, 4, 0x10 + 2 * 4))
    rig.do(c.Mmio(0xFEC00010, 4, 0x8041))
    rig.do(c.Pin(4, 1))
    rig.do(c.Pin(4, 0))
    index, sentence = dropped(rig, [c.Pin(4, 1)])
    assert index == Drop.PENDING and sentence.startswith("Remote IRR of pin 4 is set")


@pytest.mark.parametrize("reason", Drop)
@pytest.mark.parametrize("kind", [Kind.DEVICE, Kind.VIOAPIC, Kind.VIOMMU, Kind.VLAPIC, Kind.VPIC, Kind.XEN, Kind.QEMU])
def test_every_reason_has_a_sentence_at_every_place(reason, kind):
    sentence = say(Rig().m, Event(0, 0, node(kind, 3), Act.DROPPED, reason, 0x41, 8, 0))
    assert re.fullmatch(r"(vLAPIC|[A-Z]).*\.", sentence) and "None" not in sentence
