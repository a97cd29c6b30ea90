"""The 8259 pair from reset to the I/O APIC, as firmware and kernel set it (MP specification 1.4, 3.6.2, A.3)."""

import io

import pytest

from tests.rig import Rig, acts
from vsim.guest import firmware
from vsim.history import link
from vsim.history.log import History
from vsim.machine import run
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.pci import Bus
from vsim.state.profile import profile


def booted(irqs=(0, 1, 12), **options):
    m = Machine(profile("spec").with_options(**options), vcpus=2)
    run(m, firmware.virtual_wire(m, irqs))
    return m


def taken(m, irq):
    events = run(m, [c.Isa(irq, 1), c.Acknowledge(0), c.Isa(irq, 0), *firmware.end(irq)])
    return [row[1] for row in acts(events, "TAKEN")]


@pytest.mark.parametrize("pic", ["datasheet", "qemu", "xen"])
def test_the_firmware_leaves_a_virtual_wire_to_the_first_vcpu(pic):
    m = booted(pic=pic)
    assert [taken(m, irq) for irq in (0, 1, 12)] == [[0x08], [0x09], [0x74]]
    assert taken(m, 4) == [] and not any(m.isr) and not any(m.pic[4::13])
    assert acts(run(m, [c.Lint(0, 1, 1), c.Acknowledge(0)]), "TAKEN") == [("TAKEN", 2, 4, 0)]


def test_the_kernel_leaves_the_io_apic_alone_with_the_lines():
    m = booted()
    run(m, firmware.symmetric(m))
    run(m, [c.Mmio(0xFEC00000, 4, 0x12), c.Mmio(0xFEC00010, 4, 0x31)])
    events = run(m, [c.ApicWrite(0, 0xF0, 0x1FF), c.Isa(1, 1), c.Acknowledge(0)])
    assert [row[1:3] for row in acts(events, "TAKEN")] == [(0x31, 0)] and not acts(events, "WARNED", "INTR")


def test_in_x2apic_mode_it_is_done_by_msrs():
    rig = Rig(vcpus=1)
    rig.do(c.Msr(0, 0x1B, 0xFEE00D00))
    assert rig.m.apic_mode[0] == Apic.X2APIC
    commands = firmware.virtual_wire(rig.m)
    assert {type(command) for command in commands} == {c.PortWrite, c.Msr}
    run(rig.m, commands)
    assert [rig.m.lvt[3], rig.m.lvt[4]] == [0x700, 0x400]


@pytest.mark.parametrize("bases", [(0x21, 0x28), (0x20, 0x100), (-8, 0x20)])
def test_vectors_begin_at_multiples_of_8(bases):
    with pytest.raises(ValueError, match=r"bases is .*; allowed are multiples of 8 up to 0xf8"):
        firmware.controllers(bases)


@pytest.mark.parametrize("irq", [-1, 16])
def test_there_are_16_lines(irq):
    with pytest.raises(ValueError, match=rf"irqs is \({irq},\); the limit of each is 15"):
        firmware.masks((irq,))


def test_undo_session_and_link_have_it_too():
    m = Machine(profile("spec"), vcpus=2, bus=Bus(()))
    commands = [*firmware.virtual_wire(m), c.Isa(1, 1), c.PortRead(0x20), c.Lint(1, 0, 1), c.Acknowledge(0)]
    history = History(m.copy())
    states = [history.machine.copy()]
    for command in commands:
        history.issue(command)
        states.append(history.machine.copy())
    for at in (len(commands) - 1, len(commands) - 3, 0, len(commands)):
        history.goto(at)
        assert history.machine == states[at]
    kept = io.BytesIO()
    history.save(kept)
    again = History.load(io.BytesIO(kept.getvalue()))
    assert list(again.commands) == commands and again.machine == history.machine
    made = link.Link(m, (("do", "", *commands),), len(commands), len(commands), "", {})
    assert link.parse(link.text(made)).deeds == made.deeds
