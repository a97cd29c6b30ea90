"""Local APICs as software sees them: modes, IPIs, registers (A 1, 2, 6)."""

import pytest

from tests.cpus import (
    X2APIC_ON,
    acknowledge,
    drops,
    errors,
    ipi,
    machine,
    message,
    msr,
    reached,
    refused,
    serve,
    signalled,
    window,
    write,
    x2apic,
)
from vsim.devices import vlapic, vlapic_regs
from vsim.layouts.formats import Dlm
from vsim.layouts.registers import APIC, APIC_OFFSET, ICR
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import PROFILES, profile
from vsim.state.trace import Act, Drop, Warn

OFF, XAPIC_ON, INVALID = 0xFEE00000, 0xFEE00800, 0xFEE00400

# --- modes (A 2) ---


@pytest.mark.parametrize("start", [OFF, XAPIC_ON, X2APIC_ON])
@pytest.mark.parametrize("to", [OFF, XAPIC_ON, X2APIC_ON, INVALID])
def test_mode_transitions_are_those_of_the_table(start, to):
    allowed = {OFF: (OFF, XAPIC_ON), XAPIC_ON: (OFF, XAPIC_ON, X2APIC_ON), X2APIC_ON: (OFF, X2APIC_ON)}
    m = machine()
    msr(m, 1, 0x1B, start)
    assert refused(msr(m, 1, 0x1B, to)) == (to not in allowed[start])
    assert m.apic_base[1] == (to if to in allowed[start] else start)


def test_a_write_of_the_base_is_told_with_its_width():
    assert [e[3:7] for e in msr(machine(), 1, 0x1B, XAPIC_ON)] == [(Act.WRITTEN, 0x1B, XAPIC_ON, 8)]


def test_from_xapic_to_x2apic_registers_stay_but_the_logical_address_is_derived():
    m = machine()
    write(m, 1, "TPR", 0x35)
    write(m, 1, "LDR", 0xFF000000)
    ipi(m, 0, 1, vector=0x61)
    x2apic(m, 1)
    assert (vlapic_regs.read_msr(m, 1, 0x808), vlapic_regs.read_msr(m, 1, 0x80D)) == (0x35, 2)
    assert serve(m, 1) == [0x61]


def test_through_disabled_the_unit_is_as_after_a_reset():
    m = machine()
    write(m, 1, "TPR", 0x35)
    ipi(m, 0, 1, vector=0x61)
    msr(m, 1, 0x1B, OFF)
    assert acknowledge(m, 1) is None
    msr(m, 1, 0x1B, XAPIC_ON)
    fresh = Machine(profile("spec").with_options(apic_id_step=1), 4, 1 << 20)
    for _, name, *_ in APIC:
        assert window(m, 1, name) == window(fresh, 1, name), name


def test_the_bootstrap_processors_bit_is_kept_apart_from_the_mode():
    m = machine()
    assert (m.apic_base[0] & 0x100, m.apic_base[1] & 0x100) == (0x100, 0)
    x2apic(m)
    assert (m.apic_base[0], m.apic_base[1]) == (X2APIC_ON | 0x100, X2APIC_ON)


@pytest.mark.parametrize("to", [OFF, XAPIC_ON])
def test_a_disabled_unit_takes_no_message(to):
    m = machine()
    msr(m, 1, 0x1B, OFF)
    assert drops(message(m, 1, 0x61)) == [Drop.NOBODY]
    msr(m, 1, 0x1B, to)
    events = message(m, 1, 0x61)
    assert drops(events) == ([Drop.NOBODY] if to == OFF else [Drop.DISABLED])


# --- ICR and IPIs (A 6) ---


@pytest.mark.parametrize("shorthand, wanted", [(1, [2]), (2, [0, 1, 2, 3]), (3, [0, 1, 3])])
@pytest.mark.parametrize("wide", [False, True])
def test_shorthands_ignore_the_destination(shorthand, wanted, wide):
    m = x2apic(machine()) if wide else machine()
    assert reached(ipi(m, 2, 0x77, shorthand=shorthand, vector=0x61)) == wanted


@pytest.mark.parametrize("shorthand, dest", [(0, 0xFF), (2, 0), (3, 0)])
def test_ipis_skip_disabled_units(shorthand, dest):
    m = machine()
    msr(m, 1, 0x1B, OFF)
    assert 1 not in reached(ipi(m, 0, dest, shorthand=shorthand, vector=0x61))


def test_an_ipi_is_told_with_its_sender_and_both_halves():
    m = x2apic(machine())
    events = ipi(m, 2, 0x1_0002, vector=0x61, dm=1)
    assert [e[4:7] for e in events if e.act == Act.SENT] == [(m.apic_id[2], ICR.make(vector=0x61, dm=1), 0x1_0002)]


def test_ipis_are_edges_whatever_the_trigger_bit_says():
    m = machine()
    ipi(m, 0, 1, vector=0x61, tm=1, level=1)
    assert not vlapic.is_set(m.tmr, 1, 0x61)


def test_ipis_never_go_through_remapping_and_an_ipi_to_nobody_is_no_error():
    m = machine()
    events = ipi(m, 0, 9, vector=0x61)
    assert drops(events) == [Drop.NOBODY] and errors(events) == []


@pytest.mark.parametrize("mode, vector", [(Dlm.SMI, 0), (Dlm.NMI, 0x61), (Dlm.INIT, 0)])
def test_signals_go_past_the_request_registers(mode, vector):
    m = machine()
    events = ipi(m, 0, 1, dlm=mode, vector=vector, level=1)
    assert signalled(events) == [(1, mode, vector)] and not any(m.irr)


@pytest.mark.parametrize("mode", [3, 7])
@pytest.mark.parametrize("shorthand", [0, 2])
def test_a_delivery_mode_that_an_icr_does_not_have_goes_nowhere(mode, shorthand):
    events = ipi(machine(), 0, 1, dlm=mode, shorthand=shorthand, vector=0x61)
    assert drops(events) == [Drop.MODE] and signalled(events) == []


@pytest.mark.parametrize("level, resets", [(1, True), (0, False)])
def test_init_deassert_has_no_effect(level, resets):
    m = machine()
    write(m, 1, "TPR", 0x40)
    ipi(m, 0, 1, dlm=Dlm.INIT, tm=1, level=level)
    assert (window(m, 1, "TPR") == 0) == resets


def test_init_resets_all_but_the_id_and_the_mode_and_the_unit_waits():
    m = x2apic(machine())
    msr(m, 1, "TPR", 0x40)
    ipi(m, 0, 1, vector=0x61)
    ipi(m, 0, 1, dlm=Dlm.INIT, level=1)
    assert (m.apic_mode[1], m.apic_id[1], m.ldr[1]) == (Apic.X2APIC, 1, 2)
    assert (vlapic_regs.read_msr(m, 1, 0x808), vlapic_regs.read_msr(m, 1, 0x80F), m.waiting[1]) == (0, 0xFF, 1)
    assert acknowledge(m, 1) is None


def test_a_sipi_reaches_a_unit_that_waits_for_one_and_is_otherwise_dropped():
    m = machine()
    assert signalled(ipi(m, 0, 1, dlm=Dlm.SIPI, vector=0x9A)) == [(1, Dlm.SIPI, 0x9A)]   # after power-on
    assert drops(ipi(m, 0, 1, dlm=Dlm.SIPI, vector=0x9A)) == [Drop.NOT_WAITING]
    ipi(m, 0, 1, dlm=Dlm.INIT, level=1)
    assert signalled(ipi(m, 0, shorthand=3, dlm=Dlm.SIPI, vector=8))[0] == (1, Dlm.SIPI, 8)


def test_the_bootstrap_processor_never_waits():
    m = machine()
    ipi(m, 1, 0, dlm=Dlm.INIT, level=1)
    assert drops(ipi(m, 1, 0, dlm=Dlm.SIPI, vector=8)) == [Drop.NOT_WAITING]


def test_the_destination_of_an_xapic_is_written_first_and_kept():
    m = machine()
    write(m, 0, "ICR_HIGH", 0x02FFFFFF)
    assert window(m, 0, "ICR_HIGH") == 0x02000000
    for _ in range(2):
        assert reached(write(m, 0, "ICR", 0x61)) == [2]


def test_an_x2apic_sends_all_64_bits_at_once_and_reads_them_back():
    m = x2apic(machine())
    value = ICR.make(dest=3, vector=0x61, level=1)
    assert reached(msr(m, 0, "ICR", value)) == [3]
    assert vlapic_regs.read_msr(m, 0, 0x830) == value


# --- registers (A 1) ---

RESET = {"VERSION": 0x00050014, "DFR": 0xFFFFFFFF, "SVR": 0xFF, **dict.fromkeys(
    ("LVT_TIMER", "LVT_THERMAL", "LVT_PERFORMANCE", "LVT_LINT0", "LVT_LINT1", "LVT_ERROR"), 0x10000)}
WRITABLE = {"ID": 0xFF000000, "TPR": 0xFF, "LDR": 0xFF000000, "DFR": 0xF0000000, "SVR": 0x1FF,
            "ICR_HIGH": 0xFF000000, "LVT_TIMER": 0x700FF, "LVT_THERMAL": 0x107FF, "LVT_PERFORMANCE": 0x107FF,
            "LVT_LINT0": 0x1A7FF, "LVT_LINT1": 0x1A7FF, "LVT_ERROR": 0x100FF}


@pytest.mark.parametrize("name", [name for _, name, access, _, _ in APIC if "R" in access])
def test_what_an_xapic_reads_after_reset(name):
    m = Machine(profile("spec").with_options(apic_id_step=1), 2, 1 << 20)
    assert window(m, 1, name) == ({**RESET, "ID": 1 << 24, "LVT_CMCI": 0}.get(name, 0))


@pytest.mark.parametrize("name, mask", WRITABLE.items())
@pytest.mark.parametrize("value", [0, 0xFFFFFFFF, 0xA5A5A5A5])
def test_which_bits_an_xapic_register_takes(name, mask, value):
    m = machine()
    before = window(m, 1, name) & ~mask
    write(m, 1, name, value | (0x100 if name == "SVR" else 0))
    assert window(m, 1, name) == before | (value | (0x100 if name == "SVR" else 0)) & mask


@pytest.mark.parametrize("name", [name for _, name, access, _, _ in APIC if access == "RO"])
def test_read_only_registers_of_an_xapic_ignore_writes(name):
    m = machine()
    ipi(m, 0, 1, vector=0x61)
    before = m.copy()
    write(m, 1, name, 0xFFFFFFFF)
    assert m.difference(before) == ["serial", "tick"]


X2_MASK = {"TPR": 0xFF, "EOI": 0, "ESR": 0, "SVR": 0x1FF, "SELF_IPI": 0xFF, "LVT_TIMER": 0x710FF,
           "LVT_THERMAL": 0x117FF, "LVT_PERFORMANCE": 0x117FF, "LVT_LINT0": 0x1F7FF, "LVT_LINT1": 0x1F7FF,
           "LVT_ERROR": 0x110FF, "ICR": 0xFFFFFFFF000CDFFF, "TIMER_DIVIDE": 0xB, "TIMER_INITIAL": 0xFFFFFFFF,
           "LVT_CMCI": 0x117FF}    # where there is one


@pytest.mark.parametrize("name", [name for _, name, _, access, _ in APIC if "W" in access])
def test_reserved_bits_of_an_x2apic_register_are_refused_one_by_one(name):
    taken = [bit for bit in range(64)
             if not refused(msr(x2apic(machine(2, cmci="present")), 1, name, 1 << bit))]
    assert taken == [bit for bit in range(64) if X2_MASK[name] >> bit & 1]


@pytest.mark.parametrize("name", [name for _, name, _, access, _ in APIC if "W" not in access])
def test_read_only_and_absent_x2apic_registers_refuse_writes(name):
    assert refused(msr(x2apic(machine()), 1, name, 0))


@pytest.mark.parametrize("index", [0x800, 0x80E, 0x831, 0x83F, 0x80B, 0x840, 0x8FF, 0x900, 0x7FF])
def test_what_an_x2apic_does_not_let_read(index):
    assert vlapic_regs.read_msr(x2apic(machine()), 1, index) is None


@pytest.mark.parametrize("mode", [OFF, XAPIC_ON])
@pytest.mark.parametrize("name", ["TPR", "EOI", "ICR"])
def test_the_msrs_are_there_in_x2apic_mode_only(mode, name):
    m = machine()
    msr(m, 1, 0x1B, mode)
    assert refused(msr(m, 1, name, 0))
    assert vlapic_regs.read_msr(m, 1, 0x800 + APIC_OFFSET[name] // 16) is None


# --- what an x2APIC's ICR takes (A 6) ---


@pytest.mark.parametrize("quirk, sent", [((), True), (("xen.A1",), False)])
def test_the_delivery_status_in_a_write_to_the_icr_is_ignored(quirk, sent):
    """x2APIC specification 2.4.3, figure 2-5 note 1; Xen refuses it."""
    m = x2apic(machine(quirks=quirk))
    events = msr(m, 0, "ICR", ICR.make(dest=2, vector=0x61, status=1))
    assert (reached(events), refused(events)) == (([2], False) if sent else ([], True))
    assert vlapic_regs.read_msr(m, 0, 0x830) == (ICR.make(dest=2, vector=0x61) if sent else 0)


@pytest.mark.parametrize("quirk", ["", "qemu.K6", "xen.A2"])
@pytest.mark.parametrize("shorthand", range(4))
@pytest.mark.parametrize("vector", [0x61, 3])
def test_lowest_priority_is_no_delivery_mode_of_an_x2apics_ipi(quirk, shorthand, vector):
    """SDM 11.5.3, figure 11-28: ESR bit 4 alone, also when the vector is illegal too."""
    m = x2apic(machine(quirks=[quirk] if quirk else []))
    events = ipi(m, 1, 1, dlm=Dlm.LOWEST, vector=vector, shorthand=shorthand)
    if not quirk:
        assert (reached(events), errors(events), sum(e.act == Act.SENT for e in events)) == ([], [1 << 4], 0)
    elif vector < 16:
        assert (reached(events), errors(events)) == ([], [1 << 5])
    else:
        assert len(reached(events)) == 1 and errors(events) == []


def test_an_xapic_sends_lowest_priority():
    assert len(reached(ipi(machine(), 1, 0xFF, dlm=Dlm.LOWEST, vector=0x61))) == 1


@pytest.mark.parametrize("quirk", ["", "qemu.K8"])
def test_switched_off_by_software_a_unit_masks_its_local_vector_table(quirk):
    """SDM 11.4.7.2; QEMU's apic.c stores the new SVR and nothing else."""
    m = machine(quirks=[quirk] if quirk else [])
    write(m, 1, "LVT_LINT0", 0x700)
    write(m, 1, "SVR", 0xFF)
    assert window(m, 1, "LVT_LINT0") == (0x700 if quirk else 0x10700)
    write(m, 1, "LVT_TIMER", 0xEC)
    assert window(m, 1, "LVT_TIMER") == (0xEC if quirk else 0x100EC)


# --- the entry for corrected machine checks (SDM 11.5.1) ---


def test_a_unit_with_six_entries_has_none_for_corrected_machine_checks():
    m = machine()
    assert errors(write(m, 1, "LVT_CMCI", 0)) == [1 << 7]
    x2apic(m)
    assert vlapic_regs.read_msr(m, 1, 0x82F) is None and refused(msr(m, 1, 0x82F, 0))
    assert vlapic_regs.version(m) >> 16 == 5


def test_a_unit_with_seven_entries_has_it():
    m = machine(cmci="present")
    assert (window(m, 1, "VERSION") >> 16, window(m, 1, "LVT_CMCI")) == (6, 0x10000)
    x2apic(m)
    for bit in range(64):
        assert refused(msr(m, 1, 0x82F, 1 << bit)) != bool(0x117FF >> bit & 1)
    msr(m, 1, 0x82F, 0x4F2)
    assert vlapic_regs.read_msr(m, 1, 0x82F) == 0x4F2
    msr(m, 1, "SVR", 0xFF)
    assert vlapic_regs.read_msr(m, 1, 0x82F) == 0x104F2
    ipi(m, 0, 1, dlm=Dlm.INIT, level=1)
    assert vlapic_regs.read_msr(m, 1, 0x82F) == 0x10000


def test_xens_reads_0_and_takes_writes_though_its_version_says_six():
    m = x2apic(machine(name="xen-v4"))
    assert not refused(msr(m, 1, 0x82F, 0x4F2)) and refused(msr(m, 1, 0x82F, 0x800))
    assert (vlapic_regs.read_msr(m, 1, 0x82F), vlapic_regs.version(m) >> 16) == (0, 5)


def test_the_profiles_say_what_their_vcpus_have():
    some = {"xen.A1", "xen.A2", "xen.A3", "qemu.K6", "qemu.K7", "qemu.K8"}
    named = {name: (row.options.cmci, *sorted(row.quirks & some)) for name, row in PROFILES.items()}
    xen = ("silent", "xen.A1", "xen.A2", "xen.A3")
    assert named == {"spec": ("absent",), "qemu-10": ("absent", "qemu.K6", "qemu.K7", "qemu.K8"), "xen-v1": xen,
                     "xen-v3": xen, "xen-v4": xen}


@pytest.mark.parametrize("shorthand", range(4))
@pytest.mark.parametrize("mode", [Dlm.FIXED, Dlm.SMI, Dlm.NMI, Dlm.INIT, Dlm.SIPI])
def test_a_signal_to_the_sender_by_a_shorthand_is_delivered_with_a_warning(shorthand, mode):
    """SDM 11.6.1, table 11-3."""
    m = machine()
    events = ipi(m, 1, 1, dlm=mode, shorthand=shorthand, vector=0x61, level=1)
    warned = [e.index for e in events if e.act == Act.WARNED]
    assert warned == [Warn.SIGNAL_TO_SELF] * (shorthand in (1, 2) and mode != Dlm.FIXED)
    assert (1 in [vcpu for vcpu, *_ in signalled(events)] + reached(events)) == (shorthand != 3)


@pytest.mark.parametrize("moves", [False, True])
def test_the_window_moves_where_the_profile_says_that_it_may(moves):
    m = machine(window_moves=moves)
    assert refused(msr(m, 1, 0x1B, 0xFED00800)) != moves
    assert m.apic_base[1] == (0xFED00800 if moves else XAPIC_ON)
    assert m.apic_mode[1] == Apic.XAPIC


@pytest.mark.parametrize("value, event", [(5, (Act.WRITTEN, 0x80, 0x50, 8)), (16, (Act.REFUSED, 0x80, 16, 13))])
def test_a_write_of_cr8_is_told_as_one_of_the_task_priority(value, event):
    m = machine(2)
    m.tpr[1] = 0x77
    assert [(e.act, e.index, e.low, e.high) for e in step(m, c.Cr8(1, value))] == [event]
    assert m.tpr[1] == (0x50 if value == 5 else 0x77)
