"""Everything that a correct unit may do with a request: what it is, and that real caches stay inside of it."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.logs import DISK, IRE, NIC, OTHER, QIE, TABLE, Log, machine
from vsim.guest.irq import IOAPIC, IOAPIC_WINDOW
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE_POSTED, MSI_DATA, RTE_REMAP, Reason, msi_message
from vsim.machine import step
from vsim.protocol.checker import outcomes
from vsim.protocol.delivery import Delivery
from vsim.protocol.exposure import MOST_PERIODS, MOST_VALUES
from vsim.state import commands as c
from vsim.state.trace import Act

BLOCKED = {reason: Delivery("blocked", -1, -1, reason) for reason in Reason}


def remapped(vector, destination=0):
    return Delivery("remapped", vector, destination)


def possible(log, m=None, **options):
    """What may become of the last request of a log."""
    return set(outcomes(log, m or machine(**options))[-1].deliveries)


# --- what it says ---


def test_after_an_invalidation_and_a_wait_one_thing_is_possible():
    log = Log().up().entry(5).flush(5).entry(5, vector=0x42).flush(5).msi(5)
    assert possible(log) == {remapped(0x42)}


@pytest.mark.parametrize("cm", [True, False])
def test_an_entry_that_was_changed_may_still_be_used(cm):
    log = Log().up().entry(5).flush(5).entry(5, vector=0x42).msi(5)
    assert possible(log, unit={"caching_mode": cm}) == {remapped(0x41), remapped(0x42)}


def test_every_value_since_the_last_invalidation_is_possible_used_or_not():
    log = Log().up().entry(5).flush(5)
    for vector in range(0x50, 0x60):
        log.entry(5, vector=vector)
    assert possible(log.msi(5)) == {remapped(v) for v in (0x41, *range(0x50, 0x60))}


@pytest.mark.parametrize("cm, expected", [
    (True, {remapped(0x41), BLOCKED[Reason.NOT_PRESENT]}), (False, {remapped(0x41)})])
def test_that_an_entry_was_not_present_is_remembered_in_caching_mode_alone(cm, expected):
    assert possible(Log().up().entry(5).msi(5), unit={"caching_mode": cm}) == expected


@pytest.mark.parametrize("cm", [True, False])
def test_a_faulty_entry_is_remembered_in_caching_mode_alone(cm):
    log = Log().up().entry(5, dlm=3).entry(5).msi(5)
    found = possible(log, unit={"caching_mode": cm})
    assert (BLOCKED[Reason.ENTRY_RESERVED] in found) is cm
    assert remapped(0x41) in found


def test_an_entry_of_another_source_is_cached_for_its_own_requests():
    """The wrong requester is a fault of the request, not of the entry: without caching mode it is kept all the same."""
    log = Log().up().entry(5, sid=DISK).flush(5).entry(5).msi(5)
    assert possible(log, unit={"caching_mode": False}) == {remapped(0x41), BLOCKED[Reason.SOURCE_ID]}


@pytest.mark.parametrize("flush, expected", [
    ({"wait": False}, {0x41, 0x42}), ({}, {0x42}), ({"index": 4, "mask": 1}, {0x42}),
    ({"index": 6, "mask": 1}, {0x41, 0x42}), ({"index": None}, {0x42}),
], ids=str)
def test_only_an_invalidation_that_covers_the_entry_and_is_known_to_be_done_ends_it(flush, expected):
    log = Log().up().entry(5).flush(5).entry(5, vector=0x42).flush(**{"index": 5, **flush}).msi(5)
    assert possible(log) == {remapped(vector) for vector in expected}


def test_what_was_fetched_behind_an_invalidation_that_ran_early_is_kept():
    """Queued before the change, waited for after it: the unit may have fetched the old entry in between."""
    log = Log().up().entry(5).flush(5)
    log.flush(5, wait=False).entry(5, vector=0x42).wait().msi(5)
    assert possible(log) == {remapped(0x41), remapped(0x42)}


def test_a_status_that_stood_there_before_says_nothing():
    log = Log().up().entry(5).flush(5).entry(5, vector=0x42).flush(5, wait=False).wait(clear=False).msi(5)
    assert possible(log) == {remapped(0x41), remapped(0x42)}


def test_a_log_of_writes_alone_counts_a_wait_as_waited_for():
    log = Log().up().entry(5).flush(5).entry(5, vector=0x42).flush(5).msi(5)
    assert possible([command for command in log if not isinstance(command, c.MmioRead)]) == {remapped(0x42)}


def test_a_wait_that_interrupts_is_known_to_be_done_by_its_interrupt_or_by_its_register():
    start = Log(c.ApicWrite(0, 0xF0, 0x1FF)).up().write("IEDATA", 0x30).write("IEADDR", 0xFEE00000).write("IECTL", 0)
    start.entry(5).flush(5).entry(5, vector=0x42).flush(5, wait=False).queue(0x15)
    tail = start.tail

    def after(*commands):
        log = Log(*start, *commands)
        log.tail = tail
        return possible(log.msi(5))

    assert after() == {remapped(0x41), remapped(0x42)}
    assert after(c.Acknowledge(1)) == {remapped(0x41), remapped(0x42)}
    assert after(c.Acknowledge(0)) == {remapped(0x42)}
    assert after(*Log().read("ICS")) == {remapped(0x42)}


@pytest.mark.parametrize("flush, expected", [(False, {0x41, 0x51}), (True, {0x51})])
def test_entries_of_the_table_before_are_possible_until_everything_is_invalidated(flush, expected):
    log = Log().entry(5, table=OTHER, vector=0x51).up().entry(5).flush(5)
    log.point(table=OTHER, on=QIE | IRE)
    log = log.flush() if flush else log
    assert possible(log.msi(5)) == {remapped(vector) for vector in expected}


@pytest.mark.parametrize("esirtps", [False, True])
def test_turning_remapping_off_keeps_what_is_cached_unless_the_unit_forgets_by_itself(esirtps):
    m = machine(esirtps=esirtps)
    log = Log().up().entry(5).flush(5).command(QIE).entry(5, vector=0x42).entry(5, vector=0x43).command(QIE | IRE)
    expected = {0x43} if esirtps else {0x41, 0x43}      # 0x42 was never there while remapping was on
    assert possible(log.msi(5), m) == {remapped(vector) for vector in expected}


def test_what_does_not_go_through_an_entry_has_one_end():
    plain = c.Msi(NIC, *msi_message(3, 0x44))
    assert possible(Log().add(plain)) == {Delivery("passed", 0x44, 3)}
    assert possible(Log().up().add(plain)) == {BLOCKED[Reason.COMPATIBILITY]}
    assert possible(Log().up(s=0).msi(7)) == {BLOCKED[Reason.INDEX_OVER]}


def test_without_a_unit_a_message_passes_with_fifteen_bits_where_those_are_offered():
    m = machine(ext_dest=True)
    assert possible(Log().add(c.Msi(NIC, 0xFEE2C020, 0x44)), m) == {Delivery("passed", 0x44, 300)}


def test_a_posted_entry_leads_to_its_descriptor_or_to_the_fault_of_it():
    posted = {"raw": IRTE_POSTED.make(p=1, im=1, vector=0x60, pda=0x9000 >> 6, svt=1, sid=NIC)}
    far = {"raw": IRTE_POSTED.make(p=1, im=1, vector=0x60, pda=1 << 40 >> 6, svt=1, sid=NIC)}
    bad = {"raw": IRTE_POSTED.make(p=1, im=1, vector=0x60, pda=0xA000 >> 6, svt=1, sid=NIC)}
    log = Log().up().ram(0xA000, 1 << 511, 64)
    for entry in (posted, far, bad):
        log.ram(TABLE + 16 * 5, entry["raw"])
    assert possible(log.flush(5, wait=False).msi(5), unit={"posting": True}) == {
        Delivery("posted", 0x60, 0x9000), BLOCKED[Reason.DESCRIPTOR_ERROR], BLOCKED[Reason.DESCRIPTOR_RESERVED],
        BLOCKED[Reason.NOT_PRESENT]}


def test_what_a_machine_has_cached_before_the_log_begins_is_possible():
    m = machine()
    for command in Log().up().entry(5).flush(5).msi(5).entry(5, vector=0x42):
        step(m, command)
    assert m.cache
    assert possible(Log().msi(5), m) == {remapped(0x41), remapped(0x42)}


def test_each_request_has_its_step_its_source_and_its_entry():
    log = Log().up().entry(5).flush(5).msi(5).entry(5, vector=0x42).msi(5, DISK)
    first, second = outcomes(log, machine())
    assert (first.step, first.requester, first.index, first.now) == (len(log) - 3, NIC, 5, remapped(0x41))
    assert second.step == len(log) - 1 and second.deliveries == {BLOCKED[Reason.SOURCE_ID]}


def test_more_values_than_are_remembered_are_refused():
    log = Log().up()
    for number in range(MOST_VALUES + 1):
        log.entry(5, vector=16 + number % 200, avail=number & 15)
    with pytest.raises(ValueError, match=r"command \d+: entry 0x5 may be held in more forms than are remembered"):
        possible(Log(*log).msi(5))
    assert possible(Log(*log).msi(6)) == {BLOCKED[Reason.NOT_PRESENT]}
    assert possible(log.flush(5).msi(5)) == {remapped(16 + MOST_VALUES % 200)}


def test_more_tables_than_are_remembered_are_refused():
    log = Log().up()
    for number in range(MOST_PERIODS + 1):
        log.point(table=OTHER if number % 2 else TABLE, on=QIE | IRE, s=number % 4)
    with pytest.raises(ValueError, match="entry 0x1 may be held in more forms"):
        possible(Log(*log).msi(1))
    assert possible(log.flush().msi(1)) == {BLOCKED[Reason.NOT_PRESENT]}


@pytest.mark.parametrize("delivery, text", [
    (remapped(0x41, 0x23E), "remapped, vector 0x41, destination 0x23e"),
    (Delivery("posted", 0x60, 0x9000), "posted, vector 0x60, descriptor at 0x9000"),
    (BLOCKED[Reason.NOT_PRESENT], "blocked, reason 0x22"),
])
def test_a_delivery_reads_as_words(delivery, text):
    assert str(delivery) == text


# --- caches that exist ---


def shown(m, commands):
    """What became of each request on a machine, in order: (step, nth of the step) -> delivery."""
    found = {}
    for number, command in enumerate(commands):
        events = step(m, command)
        for nth, sent in enumerate(event for event in events if event.act == Act.SENT):
            found[number, nth] = end_of([event for event in events if event.serial == sent.serial])
    return found


def end_of(events):
    for event in events:
        if event.act == Act.BLOCKED:
            return BLOCKED[event.index]
        if event.act == Act.REMAPPED:
            low, upper = event.low & 0xFFFFFFFF, event.low >> 32
            return remapped(get(event.high, MSI_DATA.vector), upper & 0xFFFFFF00 | low >> 12 & 0xFF)
        if event.act == Act.PASSED:
            return Delivery("passed", get(event.high, MSI_DATA.vector), event.low >> 12 & 0xFF)
        if event.act == Act.POSTED:
            return Delivery("posted", event.high & 0xFF, event.low)
    raise AssertionError("a request without an end")


def inside(commands, **options):
    """A test that a unit with this cache shows nothing that is not among the outcomes."""
    every = outcomes(commands, machine(**options))
    found = shown(machine(**options), commands)
    assert len(every) == len(found)
    for one, ((number, _), delivery) in zip(every, sorted(found.items()), strict=True):
        assert one.step == number and one.now in one.deliveries
        assert delivery in one.deliveries, f"command {number}: {delivery} is none of {set(map(str, one.deliveries))}"
    return every


ENTRIES = (      # good ones for the NIC and for a pin, more often than odd ones
    {}, {}, {"vector": 0x42}, {"vector": 0x42, "dst": 0x100}, {"vector": 0x43, "avail": 5}, {"sid": 0xFF00},
    {"sid": 0xFF00, "vector": 0x42}, {"svt": 0}, {"p": 0}, {"p": 0, "fpd": 1}, {"dlm": 3}, {"dlm": 1}, {"sid": DISK},
    {"svt": 3})
KINDS = ("entry",) * 5 + ("msi",) * 6 + ("half", "half", "pin", "pin", "flush", "wait", "table", "remapping")
ACTIONS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 1), st.booleans(), st.booleans(),
                             st.sampled_from(ENTRIES), st.integers(0, 3)), max_size=40)


def logged(actions):
    """A log of actions as hypothesis makes them, on a unit that is up and an edge pin for each of two entries."""
    log, on = Log().up(), QIE | IRE
    for index in range(2):
        rte = RTE_REMAP.make(handle=index, format=1, vector=0x41)
        for half in (1, 0):
            log.add(c.Mmio(IOAPIC, 4, 0x10 + 2 * index + half), c.Mmio(IOAPIC_WINDOW, 4, rte >> 32 * half & 0xFFFFFFFF))
    for kind, index, one, other, fields, few in actions:
        if kind == "entry":
            log.entry(index, table=OTHER if one and other else TABLE, **fields)
        elif kind == "half":
            log.half(index, int(one), **fields)
        elif kind == "msi":
            log.msi(index, DISK if few == 3 else NIC)
        elif kind == "pin":
            log.add(c.Pin(index, 1), c.Pin(index, 0))
        elif kind == "flush":
            log.flush(None if few == 3 else index, few & 1, one)
        elif kind == "wait":
            log.wait(clear=one, look=other)
        elif kind == "table":
            log.point(table=OTHER if one else TABLE, on=on)
        else:
            on = QIE | IRE * (few > 0)
            log.command(on)
    return log


def changed(first, second, kind="entry"):
    """An action that gives entry 0 other fields, between two requests."""
    return [("entry", 0, False, False, first, 0), ("msi", 0, False, False, {}, 0),
            (kind, 0, True, True, second, 0), ("msi", 0, False, False, {}, 0)]


@pytest.mark.parametrize("cm, cache", [(True, "none"), (True, "present"), (True, "everything"), (False, "none"),
                                       (False, "present")])
@given(actions=ACTIONS, esirtps=st.booleans())
@example(actions=changed({}, {"vector": 0x42}), esirtps=False)
@example(actions=changed({}, {}, "table"), esirtps=False)
@example(actions=changed({"p": 0}, {}), esirtps=False)
def test_every_cache_policy_stays_inside_of_what_is_possible(cm, cache, actions, esirtps):
    inside(logged(actions), unit={"caching_mode": cm}, cache=cache, esirtps=esirtps)


@given(actions=ACTIONS, cm=st.booleans())
def test_behind_a_global_invalidation_and_a_wait_every_request_has_one_end(actions, cm):
    log = logged(actions).command(QIE | IRE).flush()
    asked = len(log)
    for index in range(2):
        log.msi(index)
    ends = [one for one in outcomes(log, machine(unit={"caching_mode": cm})) if one.step >= asked]
    assert [len(one.deliveries) for one in ends] == [1] * 2


@given(actions=ACTIONS)
def test_caching_mode_only_adds_to_what_is_possible(actions):
    log = logged(actions)
    with_cm, without = (outcomes(log, machine(unit={"caching_mode": cm})) for cm in (True, False))
    for more, less in zip(with_cm, without, strict=True):
        assert less.deliveries <= more.deliveries and less.now == more.now


@pytest.mark.parametrize("cm, cache", [(True, "present"), (True, "everything"), (False, "present")])
@pytest.mark.parametrize("seed", range(3))
def test_caches_do_show_what_memory_no_longer_holds_and_stay_inside(seed, cm, cache):
    chance = random.Random(seed)
    actions = [(chance.choice(KINDS), chance.randrange(2), chance.random() < 0.5, chance.random() < 0.5,
                chance.choice(ENTRIES), chance.randrange(4)) for _ in range(300)]
    log, options = logged(actions), {"unit": {"caching_mode": cm}, "cache": cache}
    every = inside(log, **options)
    stale = [one for one, delivery in zip(every, shown(machine(**options), log).values(), strict=True)
             if delivery != one.now]
    assert len(stale) > 5 and any(len(one.deliveries) > 2 for one in every)
