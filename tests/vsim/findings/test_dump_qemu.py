"""QEMU's monitor on a machine: every register that it prints comes back as the machine's arrays have it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from tests.vsim.findings.booted import DISK, E1000, NIC, Booted, lived, read_back
from vsim.devices import timer, vlapic
from vsim.findings import dump_qemu
from vsim.findings.dumps import dump
from vsim.findings.subject import Subject
from vsim.layouts.bits import get
from vsim.layouts.formats import RTE, RTE_REMAP
from vsim.readers import qemu_monitor
from vsim.readers.pieces import lines_of
from vsim.state import commands as c
from vsim.state.arrays import LVTS, Machine
from vsim.state.profile import PROFILES

LVT_PLACES = ("LVT_TIMER", "LVT_THERMAL", "LVT_PERFORMANCE", "LVT_LINT0", "LVT_LINT1", "LVT_ERROR")


def vectors(words, vcpu):
    return [vector for vector in range(256) if words[8 * vcpu + vector // 32] >> vector % 32 & 1]


def same(apic, m):
    """Whether a local APIC that was read is that of the machine, register by register."""
    v, words = apic.cpu, apic.words
    assert [words[name] for name in LVT_PLACES] == list(m.lvt[LVTS * v:LVTS * v + LVTS])
    assert apic.icr == m.icr_high[v] << 32 | m.icr_low[v]
    assert [words[name] for name in ("SVR", "ESR", "TPR", "PPR", "DFR", "TIMER_INITIAL", "TIMER_DIVIDE",
                                     "TIMER_CURRENT", "LDR")] == [
        m.svr[v], m.esr[v], m.tpr[v], vlapic.ppr(m, v), m.dfr[v], m.timer_initial[v], m.timer_divide[v],
        timer.current(m, v), 0 if m.apic_mode[v] == 2 else m.ldr[v]]
    for name, array in (("irr", m.irr), ("isr", m.isr)):
        level = vectors(m.tmr, v)
        assert getattr(apic, name) == tuple((vector, vector in level) for vector in vectors(array, v))


def test_every_local_apic_comes_back_with_what_is_pending_and_in_service():
    booted = lived()
    nic, disk = booted.source(NIC), booted.source(DISK)
    booted.history.issue(c.Signal(NIC, 0))
    booted.history.issue(c.Acknowledge(nic.vcpu))
    booted.history.issue(c.Signal(DISK, 0))
    apics = read_back(qemu_monitor, booted.dump("info lapic"))
    assert [apic.cpu for apic in apics] == list(range(4))
    for apic in apics:
        same(apic, booted.machine)
    assert apics[nic.vcpu].isr == ((nic.vector, False),) and (disk.vector, False) in apics[disk.vcpu].irr
    assert {apic.wide for apic in apics} <= {True, None}


def test_an_xapic_s_registers_come_back_and_qemu_s_words_for_its_icr_are_remarked():
    m = Machine(PROFILES["spec"], vcpus=2)
    m.dfr[1], m.ldr[1], m.lvt[LVTS + 4], m.icr_high[0] = 0x0FFFFFFF, 0x21000000, 0x400, 0x03000000
    m.timer_initial[1], m.timer_divide[1], m.tpr[0] = 7, 0xB, 0x35
    text = dump("info lapic", Subject(m))
    assert "LDR 0x21(cluster 2: id 1)" in text and "(divide by 1) initial_count = 7" in text
    apics = read_back(qemu_monitor, text, ("the words are an x2APIC's; if the APIC is in xAPIC mode, the ID is 3",))
    for apic in apics:
        same(apic, m)


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=14, max_size=14), st.integers(0, (1 << 256) - 1),
       st.integers(0, (1 << 256) - 1), st.booleans())
def test_any_state_comes_back(words, pending, by_level, x2apic):
    m = Machine(PROFILES["spec"].with_options(x2apic=x2apic), vcpus=1)
    for place in range(LVTS):
        m.lvt[place] = words[place]
    m.icr_low[0], m.icr_high[0], m.esr[0], m.svr[0], m.timer_initial[0] = words[6:11]
    m.tpr[0], m.timer_divide[0], m.ldr[0] = words[11] & 0xFF, words[12] & 0xB, words[13] & 0xFF000000
    m.dfr[0] = words[13] << 28 & 0xF0000000 | 0x0FFFFFFF
    for word in range(8):
        m.irr[word], m.tmr[word] = pending >> 32 * word & 0xFFFFFFFF, by_level >> 32 * word & 0xFFFFFFFF
    (apic,) = qemu_monitor.read(lines_of(dump("info lapic", Subject(m)), "dump")[0]).records
    same(apic, m)


@pytest.mark.parametrize("eim", [1, None])
def test_the_pins_come_back_with_what_is_up_and_what_waits(eim):
    booted = lived(eim=eim)
    pin = booted.source(E1000).number
    quiet = read_back(qemu_monitor, booted.dump("info pic"))[0]
    assert (quiet.irr, quiet.remote) == ((), ())
    booted.history.issue(c.Intx(E1000, 1))
    (apic,) = read_back(qemu_monitor, booted.dump("info pic"))
    m = booted.machine
    assert apic.pins == tuple(m.rte) and len(apic.pins) == booted.guest.irq.pins
    assert (apic.irr, apic.remote, apic.version) == ((pin,), (pin,), m.profile.options.ioapic_version)
    assert get(apic.pins[pin], RTE_REMAP.format) == (eim is not None)
    if eim is not None:
        assert get(apic.pins[pin], RTE_REMAP.handle) == booted.source(E1000).index


def test_the_selected_register_comes_back_and_several_i_o_apics_are_told_apart():
    m = Machine(PROFILES["spec"].with_options(more_ioapics=((0xFEC01000, 48, 24, 0xF0F9),)))
    m.rte[48] = RTE.make(dest=5, vector=0x41)
    m.ioapic[2], m.ioapic[3] = 0x10, 0x10
    first, second = read_back(qemu_monitor, dump("info pic", Subject(m)))
    assert len(first.pins) == 48 and second.pins == tuple(m.rte[48:72]) and second.number == 1
    assert first.select == 0 and second.select == 0x10


# --- the form, held against real prints ---


@pytest.mark.parametrize("path", real_files("qemu/info-pic.txt"))
def test_real_pins_are_written_as_they_were_read(path):
    rows = [line for line in path.read_text().splitlines() if line.startswith("  pin")]
    (apic, *_) = read_back(qemu_monitor, path.read_text())
    assert [dump_qemu.pin_row(pin, entry) for pin, entry in enumerate(apic.pins)] == rows and len(rows) == 24
    ours = [line for line in Booted().dump("info pic").splitlines() if "IRR" in line]
    assert ours == [line for line in path.read_text().splitlines() if "IRR" in line]


@pytest.mark.parametrize("path", real_files("qemu/info-lapic.txt"))
def test_a_real_local_apic_is_written_as_it_was_read(path):
    (real,) = qemu_monitor.read(lines_of(path.read_text(), "real")[0]).records
    m = Machine(PROFILES["spec"], vcpus=1)
    for place, name in enumerate(LVT_PLACES):
        m.lvt[place] = real.words[name]
    m.icr_low[0], m.icr_high[0], m.svr[0], m.tpr[0] = (real.words[name] for name in ("ICR", "ICR_HIGH", "SVR", "TPR"))

    def plain(text):
        return [re.sub(r"\t *| {2,}", " ", line).rstrip() for line in text.splitlines()][1:]

    assert plain(dump("info lapic", Subject(m))) == plain(path.read_text())
