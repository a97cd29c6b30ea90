"""What hypervisors are held to by a public unit-test suite: I/O APIC. The numbers are those of its list of 17 items.

Nothing of the list is out of scope here.
"""

import pytest

from tests.cpus import (
    acknowledge,
    entry,
    eoi,
    ioapic_read,
    ioapic_write,
    line,
    low,
    machine,
    reached,
    remote_irr,
    serve,
    write,
)
from vsim.devices.vlapic import is_set
from vsim.layouts.formats import RTE

PIN, OTHER = 0x0E, 0x0F
LEVEL = {"tm": 1}


@pytest.fixture
def m():
    return machine()


def tmr(m, vector, vcpu=0):
    return is_set(m.tmr, vcpu, vector)


def test_01_the_version_register_is_read_only(m):
    before = ioapic_read(m, 1)
    ioapic_write(m, 1, 0xFFFFFFFF)
    assert ioapic_read(m, 1) == before == 0x002F0020


def test_02_of_the_id_only_bits_27_to_24_are_writable(m):
    ioapic_write(m, 0, 0xFFFFFFFF)
    assert ioapic_read(m, 0) == 0x0F000000
    ioapic_write(m, 0, 0)
    assert ioapic_read(m, 0) == 0


def test_03_the_arbitration_id_follows_the_id_and_is_read_only(m):
    ioapic_write(m, 0, 0x0A000000)
    ioapic_write(m, 2, 0x05000000)
    assert (ioapic_read(m, 0), ioapic_read(m, 2)) == (0x0A000000, 0x0A000000)


def test_04_one_pulse_on_an_edge_pin_is_one_interrupt(m):
    entry(m, PIN, vector=0x76)
    line(m, PIN, 1, 0)
    assert serve(m) == [0x76]


def test_05_a_level_pin_gives_one_interrupt_if_the_handler_lowers_it(m):
    entry(m, PIN, vector=0x77, **LEVEL)
    line(m, PIN, 1)
    assert serve(m, handler=lambda _: line(m, PIN, 0)) == [0x77]


def test_06_of_two_edges_pending_the_higher_vector_is_first_and_the_lower_right_after(m):
    entry(m, PIN, vector=0x66)
    entry(m, OTHER, vector=0x78)
    line(m, PIN, 1, 0)
    line(m, OTHER, 1, 0)
    assert serve(m) == [0x78, 0x66]


def test_07_low_high_low_inside_a_level_handler_gives_one_interrupt(m):
    entry(m, PIN, vector=0x77, **LEVEL)
    line(m, PIN, 1)
    assert serve(m, handler=lambda _: line(m, PIN, 0, 1, 0)) == [0x77]


def test_08_two_raises_each_lowered_by_its_handler_give_two_interrupts(m):
    entry(m, PIN, vector=0x77, **LEVEL)
    for _ in range(2):
        line(m, PIN, 1)
        assert serve(m, handler=lambda _: line(m, PIN, 0)) == [0x77]


def test_09_a_line_still_high_at_eoi_interrupts_again(m):
    entry(m, PIN, vector=0x78, **LEVEL)
    line(m, PIN, 1)
    handled = []

    def handler(vector):
        handled.append(vector)
        if len(handled) == 2:
            line(m, PIN, 0)

    assert serve(m, handler=handler) == [0x78, 0x78]


def test_10_an_edge_while_masked_is_lost_and_a_new_one_after_unmasking_is_taken(m):
    entry(m, PIN, vector=0x81, mask=1)
    line(m, PIN, 1, 0)
    entry(m, PIN, vector=0x81)
    assert serve(m) == []
    line(m, PIN, 1, 0)
    assert serve(m) == [0x81]


def test_11_a_level_while_masked_is_taken_at_unmask(m):
    entry(m, PIN, vector=0x82, mask=1, **LEVEL)
    line(m, PIN, 1)
    assert serve(m) == []
    entry(m, PIN, vector=0x82, **LEVEL)
    assert serve(m, handler=lambda _: line(m, PIN, 0)) == [0x82]


def test_12_masked_in_the_handler_with_the_line_high_it_is_taken_again_at_unmask(m):
    entry(m, PIN, vector=0x83, **LEVEL)
    line(m, PIN, 1)
    assert serve(m, handler=lambda _: entry(m, PIN, vector=0x83, mask=1, **LEVEL)) == [0x83]
    entry(m, PIN, vector=0x83, **LEVEL)
    assert serve(m, handler=lambda _: line(m, PIN, 0)) == [0x83]


@pytest.mark.parametrize("by", [0, 1], ids=["line-of-this-cpu", "line-toggled-by-another"])
@pytest.mark.parametrize("first, second", [(0, 1), (1, 0), (0, 0), (1, 1)])
def test_13_tmr_is_0_after_an_edge_and_1_after_a_level_delivery_of_the_same_vector(m, first, second, by):
    """Who raises the line makes no difference to the machine: a pin has no owner. Another vCPU runs in between."""
    for trigger in (first, second):
        entry(m, PIN, vector=0x92, tm=trigger)
        line(m, PIN, 1)
        if by:
            write(m, 1, "TPR", 0x20)
        assert serve(m, handler=lambda _: line(m, PIN, 0)) == [0x92]
        line(m, PIN, 0)
        assert tmr(m, 0x92) == bool(trigger)


def test_14_a_physical_destination_reaches_that_cpu_alone(m):
    entry(m, PIN, vector=0xF1, dest=1)
    assert reached(line(m, PIN, 1, 0)) == [1]
    assert [serve(m, vcpu) for vcpu in range(4)] == [[], [0xF1], [], []]


def test_15_a_logical_destination_of_three_cpus_reaches_each_once(m):
    for vcpu in range(4):
        write(m, vcpu, "LDR", 1 << 24 + vcpu)
    entry(m, PIN, vector=0xF2, dest=0x0D, dm=1)
    assert reached(line(m, PIN, 1, 0)) == [0, 2, 3]
    assert [serve(m, vcpu) for vcpu in range(4)] == [[0xF2], [], [0xF2], [0xF2]]


def test_16_remote_irr_clears_after_eoi(m):
    entry(m, PIN, vector=0x84, **LEVEL)
    line(m, PIN, 1)
    assert acknowledge(m, 0) == 0x84
    assert remote_irr(m, PIN) == 1
    line(m, PIN, 0)
    assert remote_irr(m, PIN) == 1
    eoi(m, 0)
    assert remote_irr(m, PIN) == 0


def test_17_an_entrys_destination_changes_while_in_service(m):
    """Remote IRR reads 1; a pending higher vector waits for the handler's end; both lines end well."""
    entry(m, PIN, vector=0x71, **LEVEL)
    entry(m, OTHER, vector=0x79, **LEVEL)
    line(m, PIN, 1)
    assert acknowledge(m, 0) == 0x71
    line(m, OTHER, 1)
    entry(m, PIN, RTE.make(vector=0x71, dest=1, **LEVEL))
    assert remote_irr(m, PIN) == 1
    assert acknowledge(m, 0) == "spurious"      # 79h is of the class in service
    line(m, PIN, 0)
    eoi(m, 0)
    assert serve(m, handler=lambda _: line(m, OTHER, 0)) == [0x79]
    assert (remote_irr(m, PIN), remote_irr(m, OTHER)) == (0, 0)
    assert [serve(m, vcpu) for vcpu in range(4)] == [[], [], [], []]
    assert low(m, PIN) == RTE.make(vector=0x71, **LEVEL)
