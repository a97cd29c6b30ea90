"""A message for several vCPUs: who of those that a logical destination names takes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widgets.lesson.group import MOST, Group


@given(st.integers(0, 3), st.integers(0, 0xFFFF), st.dictionaries(st.integers(0, 23), st.integers(0, 15), max_size=6))
@settings(max_examples=30, deadline=None)
def test_fixed_goes_to_all_that_are_named_and_lowest_priority_to_the_least_busy(cluster, bits, classes):
    named = [vcpu for vcpu in range(24) if 2 * vcpu // 16 == cluster and bits >> 2 * vcpu % 16 & 1]
    tpr = {vcpu: each << 4 for vcpu, each in classes.items() if vcpu in named}
    made = Group(24)
    assert made.taken(cluster << 16 | bits) == named
    took = made.taken(cluster << 16 | bits, True, tpr)
    least = min((tpr.get(vcpu, 0) for vcpu in named), default=0)
    assert len(took) == min(1, len(named)) and all(vcpu in named and tpr.get(vcpu, 0) == least for vcpu in took)


def test_the_table_has_the_cluster_and_says_who_takes_it():
    tpr = {8: 0x60, 11: 0x30, 12: 0x20, 13: 0x50}
    rows = [(int(row[0]), *row[1:]) for row in Group(24).send(0x10541, lowest=True, tpr=tpr).rows]
    assert rows == [
        (8, "0x10", "0x10001", "0x60", "named"), (9, "0x12", "0x10004", "0x0", ""), (10, "0x14", "0x10010", "0x0", ""),
        (11, "0x16", "0x10040", "0x30", "named"), (12, "0x18", "0x10100", "0x20", "takes it"),
        (13, "0x1a", "0x10400", "0x50", "named"), (14, "0x1c", "0x11000", "0x0", ""),
        (15, "0x1e", "0x14000", "0x0", "")]


@pytest.mark.parametrize("make, words", [
    (lambda: Group(0), "vcpus is 0"), (lambda: Group(MOST + 1), "the limit is 1 to 64"),
    (lambda: Group(4).send(1, tpr={4: 0}), "vCPU 4"), (lambda: Group(4).send(1, tpr={0: 256}), "8 bits")])
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
