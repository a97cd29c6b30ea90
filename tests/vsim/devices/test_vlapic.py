"""Local APICs: acceptance, priorities, errors, arbitration (A 4, 6.1)."""

import pytest

from tests import cpus
from tests.cpus import (
    acknowledge,
    drops,
    eoi,
    errors,
    ipi,
    machine,
    message,
    msr,
    reached,
    serve,
    signalled,
    window,
    write,
    x2apic,
)
from vsim.devices import vlapic
from vsim.layouts.formats import RTE, Dlm
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Apic
from vsim.state.trace import Act, Drop

SEND_ILLEGAL, RECEIVE_ILLEGAL, ILLEGAL_REGISTER = 1 << 5, 1 << 6, 1 << 7


# --- acceptance and priority (A 4) ---


@pytest.mark.parametrize(
    "tpr, in_service, ppr",
    [
        (0x00, -1, 0x00), (0x20, -1, 0x20), (0x2F, -1, 0x2F), (0x00, 0x41, 0x40), (0x3F, 0x41, 0x40),
        (0x45, 0x41, 0x45), (0x40, 0x4F, 0x40), (0x55, 0x41, 0x55), (0xFF, 0xFE, 0xFF), (0x0F, 0x1F, 0x10),
    ],
)
def test_the_processor_priority(tpr, in_service, ppr):
    assert vlapic.ppr_of(tpr, in_service) == ppr
    m = machine()
    if in_service >= 0:
        ipi(m, 0, 0, vector=in_service)
        assert acknowledge(m, 0) == in_service
    write(m, 0, "TPR", tpr)
    assert window(m, 0, "PPR") == ppr


@pytest.mark.parametrize(
    "tpr, in_service, vector, taken",
    [
        (0, None, 0x41, True), (0x40, None, 0x41, False), (0x3F, None, 0x41, True), (0x4F, None, 0x50, True),
        (0, 0x41, 0x42, False),      # a higher vector of the class in service waits
        (0, 0x41, 0x4F, False), (0, 0x41, 0x50, True), (0, 0x4F, 0x41, False), (0x50, 0x41, 0x5F, False),
    ],
)
def test_classes_are_compared_not_vectors(tpr, in_service, vector, taken):
    m = machine()
    if in_service:
        ipi(m, 0, 0, vector=in_service)
        acknowledge(m, 0)
    write(m, 0, "TPR", tpr)
    ipi(m, 0, 0, vector=vector)
    assert acknowledge(m, 0) == (vector if taken else "spurious")


def test_the_highest_vector_is_taken_first():
    m = machine()
    for vector in (0x31, 0xEF, 0x80, 0x8F, 0x21):
        ipi(m, 0, 0, vector=vector)
    assert serve(m) == [0xEF, 0x8F, 0x80, 0x31, 0x21]


def test_two_of_one_vector_can_be_queued_and_more_merge():
    m = machine()
    ipi(m, 0, 0, vector=0x61)
    acknowledge(m, 0)
    kinds = [e.act for _ in range(3) for e in ipi(m, 0, 0, vector=0x61) if e.act in (Act.ACCEPTED, Act.MERGED)]
    assert kinds == [Act.ACCEPTED, Act.MERGED, Act.MERGED]
    eoi(m, 0)
    assert serve(m) == [0x61]


def test_what_became_undeliverable_ends_as_the_spurious_vector_without_a_bit_in_service():
    m = machine()
    write(m, 0, "SVR", 0x1EF)
    ipi(m, 0, 0, vector=0x61)
    write(m, 0, "TPR", 0x70)
    (event,) = [e for e in step(m, c.Acknowledge(0)) if e.act != Act.DROPPED]
    assert (event.act, event.index) == (Act.SPURIOUS, 0xEF)
    assert not any(m.isr[:8]) and eoi(m, 0)[1:] == []
    write(m, 0, "TPR", 0)
    assert serve(m) == [0x61]


def test_nothing_pending_is_nothing_taken():
    assert acknowledge(machine(), 0) is None


def test_eoi_ends_the_highest_vector_in_service_and_one_too_many_is_ignored():
    m = machine()
    for vector in (0x31, 0x51):
        ipi(m, 0, 0, vector=vector)
        acknowledge(m, 0)
    ended = [e.index for _ in range(3) for e in eoi(m, 0) if e.act == Act.ENDED]
    assert ended == [0x51, 0x31]


def test_an_eoi_with_nothing_in_service_ends_no_level_pin():
    m = machine()
    cpus.entry(m, 5, tm=1, vector=0)
    m.rte[5] |= RTE.irr.mask
    eoi(m, 0)
    assert vlapic.end(m, 0) == -1 and m.rte[5] & RTE.irr.mask


@pytest.mark.parametrize("level", [0, 1])
def test_eoi_keeps_the_trigger_mode(level):
    m = machine()
    message(m, 0, 0x61, tm=level)
    serve(m)
    assert vlapic.is_set(m.tmr, 0, 0x61) == bool(level)


@pytest.mark.parametrize("offered, wanted, level, broadcast", [
    (True, True, 1, False), (True, False, 1, True), (False, True, 1, True), (True, False, 0, False)])
def test_the_eoi_broadcast_of_a_level_interrupt_can_be_suppressed_where_that_is_offered(
        offered, wanted, level, broadcast):
    m = machine(suppress_eoi=offered)
    assert window(m, 0, "VERSION") >> 24 & 1 == offered
    write(m, 0, "SVR", 0x1FF | wanted << 12)
    assert window(m, 0, "SVR") == 0x1FF | (offered and wanted) << 12
    message(m, 0, 0x61, tm=level)
    acknowledge(m, 0)
    assert [e.low for e in eoi(m, 0) if e.act == Act.ENDED] == [int(broadcast)]


# --- software-disabled (A 4) ---


def disabled():
    m = machine()
    ipi(m, 0, 1, vector=0x31)
    ipi(m, 0, 1, vector=0x61)
    assert acknowledge(m, 1) == 0x61
    write(m, 1, "SVR", 0xFF)
    return m


def test_a_software_disabled_unit_accepts_no_fixed_interrupt():
    m = disabled()
    assert drops(message(m, 1, 0x71)) == [Drop.DISABLED]
    assert drops(ipi(m, 0, 1, vector=0x71)) == [Drop.DISABLED]


def test_a_software_disabled_unit_keeps_what_it_had_and_goes_on_with_it():
    m = disabled()
    eoi(m, 1)
    assert serve(m, 1) == [0x31]


@pytest.mark.parametrize("mode", [Dlm.SMI, Dlm.NMI, Dlm.INIT])
def test_a_software_disabled_unit_still_takes_signals(mode):
    assert signalled(ipi(disabled(), 0, 1, dlm=mode, level=1)) == [(1, mode, 0)]


def test_a_software_disabled_unit_still_sends():
    assert reached(ipi(disabled(), 1, 0, vector=0x71)) == [0]


def test_a_software_disabled_unit_masks_its_local_vectors_and_enabling_does_not_unmask_them():
    m = machine()
    write(m, 1, "LVT_ERROR", 0x45)
    write(m, 1, "SVR", 0xFF)
    assert window(m, 1, "LVT_ERROR") == 0x10045
    write(m, 1, "LVT_ERROR", 0x46)
    assert window(m, 1, "LVT_ERROR") == 0x10046
    write(m, 1, "SVR", 0x1FF)
    assert window(m, 1, "LVT_ERROR") == 0x10046


def test_lowest_priority_passes_over_software_disabled_units():
    m = machine()
    write(m, 0, "SVR", 0xFF)
    assert reached(message(m, 0xFF, 0x61, dlm=Dlm.LOWEST)) == [1]


# --- errors (A 4.1) ---


@pytest.mark.parametrize("vector", [0, 15])
@pytest.mark.parametrize("mode", [Dlm.FIXED, Dlm.LOWEST])
def test_an_ipi_with_an_illegal_vector_is_an_error_of_the_sender_and_is_not_sent(vector, mode):
    events = ipi(machine(), 0, 1, vector=vector, dlm=mode)
    assert errors(events) == [SEND_ILLEGAL] and reached(events) == []


def test_a_self_ipi_with_an_illegal_vector_is_an_error_of_the_sender():
    assert errors(msr(x2apic(machine()), 0, "SELF_IPI", 15)) == [SEND_ILLEGAL]


@pytest.mark.parametrize("vector, wanted", [(0, [RECEIVE_ILLEGAL] * 2), (15, [RECEIVE_ILLEGAL] * 2), (16, [])])
def test_a_message_with_an_illegal_vector_is_an_error_of_each_receiver(vector, wanted):
    m = machine(vcpus=2)
    events = message(m, 0xFF, vector)
    assert errors(events) == wanted and len(reached(events)) == (0 if wanted else 2)


def test_a_register_that_does_not_exist_is_an_error():
    m = machine()
    assert errors(step(m, c.ApicWrite(0, 0x040, 0))) == [ILLEGAL_REGISTER]
    assert errors(step(m, c.ApicWrite(0, 0x081, 0))) == [ILLEGAL_REGISTER]


def test_a_write_to_esr_latches_the_pending_errors_and_clears_them():
    m = machine()
    ipi(m, 0, 1, vector=3)
    assert window(m, 0, "ESR") == 0
    write(m, 0, "ESR", 0xFFFF)
    step(m, c.ApicWrite(0, 0x040, 0))
    assert window(m, 0, "ESR") == SEND_ILLEGAL       # reading shows the old value
    write(m, 0, "ESR", 0)
    assert window(m, 0, "ESR") == ILLEGAL_REGISTER
    write(m, 0, "ESR", 0)
    assert window(m, 0, "ESR") == 0


def test_a_newly_pending_error_raises_the_error_interrupt_if_it_is_unmasked():
    m = machine()
    ipi(m, 0, 1, vector=3)
    assert serve(m) == []
    write(m, 0, "ESR", 0)
    write(m, 0, "LVT_ERROR", 0x45)
    for _ in range(2):
        ipi(m, 0, 1, vector=3)
        assert serve(m) == [0x45] or m.esr_pending[0] == SEND_ILLEGAL
    assert serve(m) == []                            # not newly pending the second time
    step(m, c.ApicWrite(0, 0x040, 0))
    assert serve(m) == [0x45]                        # another bit


def test_an_error_interrupt_with_an_illegal_vector_only_notes_that():
    m = machine()
    write(m, 0, "LVT_ERROR", 5)
    ipi(m, 0, 1, vector=3)
    assert m.esr_pending[0] == SEND_ILLEGAL | RECEIVE_ILLEGAL and serve(m) == []


# --- arbitration (A 6.1) ---


def test_lowest_priority_goes_round_among_equals():
    m = machine()
    assert [reached(message(m, 0xFF, 0x61, dlm=Dlm.LOWEST)) for _ in range(5)] == [[1], [2], [3], [0], [1]]


def test_the_lowest_processor_priority_wins():
    m = machine()
    for vcpu, tpr in enumerate((0x50, 0x40, 0x20, 0x30)):
        write(m, vcpu, "TPR", tpr)
    assert [reached(message(m, 0xFF, 0x61, dlm=Dlm.LOWEST)) for _ in range(2)] == [[2], [2]]
    write(m, 2, "TPR", 0x60)
    assert reached(message(m, 0xFF, 0x61, dlm=Dlm.LOWEST)) == [3]


def test_a_vector_in_service_counts_as_priority():
    m = machine(vcpus=2)
    ipi(m, 0, 1, vector=0xE1)
    acknowledge(m, 1)
    assert [reached(message(m, 0xFF, 0x61, dlm=Dlm.LOWEST)) for _ in range(2)] == [[0], [0]]


@pytest.mark.parametrize("rh, dm, count", [(0, 1, 3), (1, 1, 1), (0, 0, 4), (1, 0, 4)])
def test_the_redirection_hint_chooses_one_of_a_logical_set(rh, dm, count):
    m = machine()
    for vcpu in range(4):
        write(m, vcpu, "LDR", 1 << 24 + vcpu)
    assert len(reached(message(m, 0x07 if dm else 0xFF, 0x61, rh=rh, dm=dm))) == count


def test_lowest_priority_to_one_unit_is_fixed_delivery():
    m = machine()
    assert [reached(message(m, 2, 0x61, dlm=Dlm.LOWEST)) for _ in range(2)] == [[2], [2]]


@pytest.mark.parametrize("mode", [3, 6])
def test_reserved_delivery_modes_of_a_message_reach_nobody(mode):
    assert drops(message(machine(), 1, 0x61, dlm=mode)) == [Drop.MODE]


@pytest.mark.parametrize("mode", [Dlm.SMI, Dlm.NMI, Dlm.INIT, Dlm.EXTINT])
def test_other_delivery_modes_of_a_message_are_signals(mode):
    assert signalled(message(machine(), 1, 0, dlm=mode)) == [(1, mode, 0)]


def test_a_unit_that_is_off_offers_nothing_whatever_its_irr_holds():
    m = cpus.machine()
    vlapic.set_mode(m, 1, Apic.DISABLED)
    m.irr[8 + 3] = 1
    assert cpus.acknowledge(m, 1) is None and m.irr[8 + 3] == 1
    assert (vlapic.acknowledge(m, 1), vlapic.acknowledge(m, 0)) == (-1, -1)


@pytest.mark.parametrize("tpr", range(0, 256, 5))
def test_the_processor_priority_is_the_greater_class_and_of_equals_the_task_priority(tpr):
    for served in range(-1, 256):
        mine, theirs = tpr // 16, max(served, 0) // 16
        assert vlapic.ppr_of(tpr, served) == (tpr if mine >= theirs else theirs * 16)
