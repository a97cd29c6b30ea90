"""Events: meanings and costs of every act, their text, and their binary record."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.state import trace
from vsim.state.trace import ACTS, RECORD, Act, Event, Kind, lines, node, node_text, pack, unpack

u64 = st.integers(0, (1 << 64) - 1)
EVENTS = st.lists(st.builds(Event, u64, u64, st.integers(0, (1 << 32) - 1), st.sampled_from([int(a) for a in Act]),
                            u64, u64, u64, u64), max_size=6)


def test_every_act_has_a_meaning_and_a_cost_with_its_source():
    assert set(ACTS) == set(Act)
    assert all(row.ns >= 0 and row.source and row.index and row.low and row.high for row in ACTS.values())


def test_acts_are_numbered_without_a_gap():
    """The machine keeps one cost a place, by the act's number."""
    assert sorted(Act) == list(range(1, len(Act) + 1))


@pytest.mark.parametrize("value, text", [
    (node(Kind.DEVICE, 0x0300), "device 03:00.0"), (node(Kind.DEVICE, 0xFFFF), "device ff:1f.7"),
    (node(Kind.VIOAPIC, 16), "vIOAPIC pin 16"), (node(Kind.VMSI), "vMSI"), (node(Kind.VIOMMU, 0), "vIOMMU 0"),
    (node(Kind.VLAPIC, 287), "vLAPIC 287"), (node(Kind.XEN), "Xen"), (node(Kind.RAM), "RAM"), (node(Kind.QEMU), "QEMU"),
])
def test_a_node_in_words(value, text):
    assert node_text(value) == text


def test_nodes_of_all_kinds_are_different():
    assert len({node(kind, number) for kind in Kind for number in (0, 1, 4095)}) == 3 * len(Kind)


def test_an_event_is_a_line():
    event = Event(7, 3, node(Kind.VLAPIC, 287), Act.ACCEPTED, 0x41, 0, 574, 100)
    assert str(event) == "7 #3 vLAPIC 287 accepted 0x41 0x0 0x23e +100ns"
    assert lines([event, event]) == f"{event}\n{event}"


@given(EVENTS)
def test_events_are_records_and_back(events):
    assert unpack(pack(events)) == events
    assert len(pack(events)) == 56 * len(events)


@given(EVENTS)
def test_numpy_reads_the_same_records(events):
    kinds = numpy.dtype({"names": Event._fields, "formats": ["<u8", "<u8", "<u4", "<u4", "<u8", "<u8", "<u8", "<u8"]})
    assert kinds.itemsize == RECORD.size
    assert numpy.frombuffer(pack(events), kinds).tolist() == [tuple(event) for event in events]


@pytest.mark.parametrize("length", [1, 55, 57, 111])
def test_bytes_that_are_no_records_are_refused(length):
    with pytest.raises(ValueError, match=f"{length} bytes of events: not a multiple of 56"):
        unpack(bytes(length))


@pytest.mark.parametrize("kind", [trace.Drop, trace.Warn])
def test_reasons_are_numbered_from_1(kind):
    assert sorted(kind) == list(range(1, len(kind) + 1))
