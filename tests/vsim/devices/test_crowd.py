"""Many local APICs at once: the same machine as one after the other, in bounded time and memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cpus import acknowledge, ioapic_write
from vsim import machine
from vsim.devices import crowd, routes, vlapic
from vsim.layouts.formats import MSI_ADDRESS, MSI_DATA, RTE
from vsim.layouts.registers import LVT_LINT
from vsim.machine import step
from vsim.state import arrays
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act

MODES = {"x": Apic.XAPIC, "2": Apic.X2APIC, "-": Apic.DISABLED}
EVERYBODY = 0xFF


def world(modes, quirks=(), messages=2048, name="spec", **options):
    """vCPUs in these modes, all enabled, and a function with as many MSI-X messages, each unmasked."""
    bus = Bus([Function(0x300, "nic", msix_count=messages)])
    m = Machine(profile(name).with_options(apic_id_step=1, **options).with_quirks(*quirks), len(modes), 4 << 20, bus)
    for vcpu, mode in enumerate(modes):
        vlapic.set_mode(m, vcpu, MODES[mode])
        m.svr[vcpu] = 0x1FF
    step(m, c.ConfigWrite(0x300, 4, 2, 6))
    step(m, c.ConfigWrite(0x300, bus.msix_cap(0) + 2, 2, 0x8000))
    return m


def program(m, number, dest=EVERYBODY, **fields):
    """Message `number` of the function."""
    at = m.bus.bar(0) + 16 * number
    logical = fields.pop("dm", 0)
    step(m, c.Mmio(at, 8, MSI_ADDRESS.make(fee=0xFEE, dest=dest, dm=logical, rh=fields.pop("rh", 0))))
    step(m, c.Mmio(at + 8, 8, MSI_DATA.make(**fields)))


def signal(number=0):
    return c.Signal(0x300, number)


def both_ways(m, commands):
    """The machine after these commands, traced and not."""
    traced, quiet = m.copy(), m.copy()
    for command in commands:
        step(traced, command)
        step(quiet, command, trace=False)
    return traced, quiet


def name_xapics_alike(m):
    """Every xAPIC has ID 3, and a bit of the logical address 3."""
    for vcpu in range(m.vcpus):
        if m.apic_mode[vcpu] == Apic.XAPIC:
            m.apic_id[vcpu], m.ldr[vcpu] = 3, 0x01000000
    m.changed_apics()


MESSAGE = st.fixed_dictionaries({
    "dest": st.sampled_from([EVERYBODY, 0x0F, 0x33, 0xF0, 3]), "dm": st.integers(0, 1), "rh": st.integers(0, 1),
    "vector": st.sampled_from([0, 15, 16, 0x61, 0x62, 0x80, 0xFF]), "dlm": st.integers(0, 7), "tm": st.integers(0, 1)})
QUIRKS = st.sets(st.sampled_from(["xen.D15", "xen.D36", "xen.D33", "qemu.K1", "qemu.K2", "qemu.K3", "qemu.U3"]))


@settings(max_examples=60)
@given(st.sampled_from(["x" * 80, "2" * 80, "x2" * 70, "x-" * 70, "xx2" * 50]), QUIRKS, st.booleans(), st.data())
def test_a_crowd_comes_to_the_same_machine_as_its_members_one_by_one(modes, quirks, alike, data):
    m = world(modes, quirks, 4, ff_broadcast=data.draw(st.booleans()))
    if alike:
        name_xapics_alike(m)
    for vcpu in data.draw(st.sets(st.integers(0, len(modes) - 1), max_size=6)):
        m.svr[vcpu] = 0xFF
    for vcpu in data.draw(st.sets(st.integers(0, len(modes) - 1), max_size=6)):
        m.tpr[vcpu], m.isr[8 * vcpu + 3] = 0x70, 2
        if m.apic_mode[vcpu] != Apic.X2APIC:    # there it follows from the ID and cannot be written
            m.ldr[vcpu] = 0x0F000000
    m.changed_apics()
    for number in range(4):
        program(m, number, **data.draw(MESSAGE))
    commands = [signal(n) for n in data.draw(st.lists(st.integers(0, 3), max_size=8))]
    traced, quiet = both_ways(m, [*commands, c.Burst(data.draw(st.integers(0, 99)), 6, 0), c.Burst(1, 3, 1), *commands])
    assert traced.difference(quiet) == []


@pytest.mark.parametrize("most", [0, 100, 1000])
def test_the_first_events_are_kept_and_the_rest_is_counted(monkeypatch, most):
    m = world("x" * 100)
    program(m, 0, vector=0x61)
    whole = m.copy()
    events = step(whole, c.Burst(1, 6, 1))
    assert Act.UNSHOWN not in [e.act for e in events]
    monkeypatch.setattr(arrays, "MOST_EVENTS", most)
    part = step(m, c.Burst(1, 6, 1))
    kept = min(most, len(events))
    assert part[:kept] == events[:kept] and m.difference(whole) == []
    assert [(e.act, e.low) for e in part[kept:]] == ([(Act.UNSHOWN, len(events) - kept)] if kept < len(events) else [])


def test_a_count_is_of_its_own_command(monkeypatch):
    monkeypatch.setattr(arrays, "MOST_EVENTS", 10)
    m = world("x" * 100)
    program(m, 0, vector=0x61)
    assert [step(m, signal())[-1].low for _ in range(2)] == [92, 92]
    step(m, signal(), trace=False)
    assert [e.act for e in step(m, c.Acknowledge(1))] == [Act.TAKEN]


@pytest.mark.parametrize("fields", [
    {"vector": 0x61}, {"vector": 3}, {"vector": 0x61, "tm": 1}, {"vector": 0x61, "dlm": 1}, {"dlm": 4}, {"dlm": 5},
    {"dlm": 2}], ids=str)
@pytest.mark.parametrize("modes", ["x" * 4096, "x2" * 2048], ids=["all", "half"])
def test_the_longest_burst_to_the_most_vcpus_keeps_a_bounded_trace(fields, modes):
    """4,095 messages to 4,096 vCPUs: 16.8 million events, of which the first 65,536 are kept."""
    m = world(modes)
    for number in range(2048):
        program(m, number, **fields)
    events = step(m, c.Burst(1, 4095, 1))
    if fields.get("dlm") == 1:
        assert len(events) < 30_000
    else:
        assert len(events) == arrays.MOST_EVENTS + 1 and events[-1].act == Act.UNSHOWN
        assert events[-1].low > 4095 * modes.count("x") - arrays.MOST_EVENTS


def test_2048_pending_messages_to_everybody_go_out_by_one_write():
    m = world("x" * 4096)
    for number in range(2048):
        program(m, number, vector=0x20 + number % 220)
    cap = m.bus.msix_cap(0) + 2
    step(m, c.ConfigWrite(0x300, cap, 2, 0xC000))
    for number in range(2048):
        step(m, signal(number))
    assert len(step(m, c.ConfigWrite(0x300, cap, 2, 0x8000))) == arrays.MOST_EVENTS + 1
    assert all(sum(word.bit_count() for word in m.irr[8 * v:8 * v + 8]) == 220 for v in (0, 1, 4095))
    assert acknowledge(m, 4095) == 0x20 + 219


def test_a_level_pin_that_stays_up_ends_its_storm():
    m = world("x" * 4096)
    ioapic_write(m, 0x11, 0xFF000000)
    ioapic_write(m, 0x10, RTE.make(vector=0x61, tm=1) & 0xFFFFFFFF)
    step(m, c.Pin(0, 1))
    step(m, c.Burst(1, 1, 1))
    assert m.rte[0] & RTE.irr.mask


# --- handlers of a burst: what has to be done one by one is bounded ---


def all_requested(m):
    """Every vector from 0x20 on at every vCPU; 0x20 by level."""
    for vcpu in range(m.vcpus):
        m.irr[8 * vcpu + 1:8 * vcpu + 8] = m.irr.__class__("I", [0xFFFFFFFF]) * 7
        m.tmr[8 * vcpu + 1] = 1


def unanswered_pin(m):
    """A level pin that is up, whose vector 0x20 goes to nobody: every EOI of it sends again."""
    m.rte[0] = RTE.make(vector=0x20, tm=1, dm=1, dest=0)
    step(m, c.Pin(0, 1))


@pytest.mark.parametrize("tpr", [0, 0x10])
def test_a_vector_that_a_pin_waits_for_leaves_those_above_it_to_be_taken_together(monkeypatch, tpr):
    m = world("x" * 100)
    m.tpr[:] = m.tpr.__class__("I", [tpr]) * 100
    unanswered_pin(m)
    all_requested(m)
    taken, acknowledged = vlapic.acknowledge, []
    monkeypatch.setattr(vlapic, "acknowledge", lambda m, vcpu: acknowledged.append(vcpu) or taken(m, vcpu))
    step(m, c.Burst(1, 1, 1), trace=False)
    assert acknowledged == list(range(100)) and not any(m.irr)


@pytest.mark.parametrize("resent", [0, 7, 1 << 12])
def test_handlers_end_alike_whether_somebody_looks_or_not(monkeypatch, resent):
    monkeypatch.setattr(machine, "MOST_RESENT", resent)
    m = world("x" * 100)
    unanswered_pin(m)
    all_requested(m)
    for vcpu in (3, 40):
        m.nmi[vcpu], m.tpr[vcpu] = 1, 0x90
    traced, quiet = both_ways(m, [c.Burst(1, 1, 1)])
    assert traced.difference(quiet) == [] and any(quiet.irr[8 * 99:]) == (resent < 97)


def levels(m, vector, vcpus):
    """LINT1 of these vCPUs works by level, and is up."""
    for vcpu in vcpus:
        step(m, c.ApicWrite(vcpu, 0x360, LVT_LINT.make(vector=vector, tm=1)))
        step(m, c.Lint(vcpu, 1, 1))


@pytest.mark.parametrize("vector", [0x20, 0x80, 0xFF])
def test_a_local_pin_that_stays_up_is_sent_again_though_nobody_looks(vector):
    m = world("x" * 70)
    program(m, 0, vector=0x70)
    levels(m, vector, [0, 5])
    traced, quiet = both_ways(m, [c.Burst(1, 1, 1)])
    assert traced.difference(quiet) == []
    assert vlapic.is_set(quiet.irr, 5, vector)


def test_local_pins_that_stay_up_end_their_storm(monkeypatch):
    monkeypatch.setattr(machine, "MOST_RESENT", 50)
    m = world("x" * 70)
    levels(m, 0x61, range(70))
    sent = m.serials
    step(m, c.Burst(1, 1, 1))
    assert m.serials - sent == 1 + 51 and vlapic.is_set(m.irr, 69, 0x61)


def test_a_pin_holds_back_no_vcpu_that_suppresses_the_broadcast_of_its_eoi(monkeypatch):
    m = world("x" * 70, suppress_eoi=True)
    for pin in range(40):
        m.rte[pin] = RTE.make(vector=0x40 + pin, tm=1, irr=1)
    all_requested(m)
    for vcpu in range(70):
        m.svr[vcpu] = 0x11FF
        m.tmr[8 * vcpu + 1:8 * vcpu + 8] = m.irr[8 * vcpu + 1:8 * vcpu + 8]
    monkeypatch.setattr(vlapic, "acknowledge", None)
    step(m, c.Burst(1, 1, 1), trace=False)
    assert not any(m.irr) and all(entry & RTE.irr.mask for entry in m.rte[:40])


# --- what a crowd remembers ---


def test_a_destination_that_names_many_is_a_crowd_until_an_apic_changes():
    m = world("x" * 65)
    found = routes.match(m, EVERYBODY, 0, 1)
    assert type(found) is crowd.Crowd and routes.match(m, EVERYBODY, 0, 1) is found
    vlapic.set_mode(m, 3, Apic.DISABLED)
    assert len(routes.match(m, EVERYBODY, 0, 1)) == 64
    assert type(routes.match(world("x" * 64), EVERYBODY, 0, 1)) is list


def test_a_crowd_sees_that_a_member_was_switched_off_or_on():
    m = world("x" * 70)
    everybody = routes.match(m, EVERYBODY, 0, 1)
    assert everybody.ready(m) is everybody
    m.svr[7] = 0xFF
    assert 7 not in everybody.ready(m) and len(everybody.ready(m)) == 69
    m.svr[7] = 0x1FF
    assert len(everybody.ready(m)) == 70


def test_a_crowd_sees_that_priorities_changed():
    m = world("x" * 70)
    program(m, 0, vector=0x61, dlm=1)
    winners = []
    for tpr in (0, 0, 0x20):
        m.tpr[1] = tpr
        winners += [e.node & 0xFFFFFF for e in step(m, signal()) if e.act in (Act.ACCEPTED, Act.MERGED)]
    m.tpr[:] = type(m.tpr)("I", [0x30]) * 70
    m.tpr[5] = 0x10
    winners += [e.node & 0xFFFFFF for e in step(m, signal()) if e.act in (Act.ACCEPTED, Act.MERGED)]
    assert winners == [1, 2, 3, 5]


@pytest.mark.parametrize("modes", ["x" * 70, "x2" * 70], ids=["all", "half"])
def test_a_second_init_finds_every_array_as_the_first_left_it(monkeypatch, modes):
    m = world(modes)
    program(m, 0, dlm=5)
    worked, number = [], crowd._number
    monkeypatch.setattr(crowd, "_number", lambda values: worked.append(values) or number(values))
    step(m, signal(), trace=False)
    first = len(worked)
    m.tpr[4] = 0x30
    step(m, signal(), trace=False)
    assert m.tpr[4] == 0 and first > 10 and len(worked) - first == 2    # and `waiting`, of which the first vCPU has 0


def test_thousands_of_destinations_that_name_the_same_are_one_crowd(monkeypatch):
    m = world("x" * 70, alias_ids=True)
    for vcpu in range(70):
        m.ldr[vcpu], m.apic_id[vcpu] = 0x0F000000, 0x55
    m.changed_apics()
    made, init = [], crowd.Crowd.__init__
    monkeypatch.setattr(crowd.Crowd, "__init__", lambda self, members: made.append(1) or init(self, members))
    for above in range(1000):
        assert len(routes.match(m, above << 8 | 0x55, 1, 0)) == len(routes.match(m, above << 8 | 0x55, 0, 0)) == 70
    assert len(made) <= 4


def test_the_init_of_an_x2apic_leaves_the_table_of_destinations():
    m = world("2" * 70)
    m.dfr[:] = m.dfr.__class__("I", [0x0FFFFFFF]) * 70     # written as an xAPIC, before
    table = routes.of(m)
    for vcpu in range(70):
        vlapic.reset(m, vcpu)
    assert m._routes is table


def counted(monkeypatch, where, name):
    """The calls of a function from now on."""
    calls, do = [], getattr(where, name)
    monkeypatch.setattr(where, name, lambda *given: calls.append(given) or do(*given))
    return calls


def test_after_the_init_of_one_vcpu_it_alone_is_ranked_again(monkeypatch):
    m = world("2" * 70, ff_broadcast=True)
    m.tpr[:] = m.tpr.__class__("I", [0x10]) * 70
    program(m, 0, vector=0x61, dlm=1)
    ranked = counted(monkeypatch, vlapic, "ppr")
    step(m, signal(), trace=False)
    assert len(ranked) == 70
    for vcpu in (5, 9, 69):
        vlapic.reset(m, vcpu)
        m.isr[8 * 3 + 7] ^= 1
        step(m, signal(), trace=False)
    assert sorted(vcpu for _, vcpu in ranked[70:]) == [3, 3, 3, 5, 9, 69]


def test_an_error_is_noted_by_those_alone_that_have_not(monkeypatch):
    m = world("x" * 70)
    program(m, 0, vector=3)
    asked = counted(monkeypatch, vlapic, "error")
    step(m, signal(), trace=False)
    m.esr_pending[7] = m.esr_pending[69] = 0
    step(m, signal(), trace=False)
    assert [vcpu for _, vcpu, *_ in asked] == [*range(70), 7, 69] and all(m.esr_pending)


@pytest.mark.parametrize("dlm", [0, 5])
def test_destinations_that_name_one_besides_many_share_what_those_have_worked_out(dlm):
    m = world("x2" * 70, alias_ids=True)
    name_xapics_alike(m)
    m.apic_id[1::2] = m.apic_id.__class__("I", [above << 8 | 3 for above in range(1, 71)])
    found = [routes.match(m, above << 8 | 3, 0, 0) for above in range(1, 71)]
    assert [len(each) for each in found] == [71] * 70
    m.events = None
    for each in found:
        vlapic.hand_to(m, each, 0, dlm, 0, 0, 0x61)
    assert {id(each.base) for each in found} == {id(found[0].base)} and found[0].base._marks
    assert not any(each._marks or each._held for each in found)


def test_of_a_crowd_and_one_besides_those_are_left_out_that_are_off():
    m = world("x2" * 70, alias_ids=True)
    name_xapics_alike(m)
    m.apic_id[1] = 0x103
    found = routes.match(m, 0x103, 0, 0)
    assert found.few == [1] and found.ready(m) is found
    for vcpu, left in ((1, 70), (4, 69)):
        m.svr[vcpu] = 0xFF
        assert len(found.ready(m)) == left and vcpu not in found.ready(m)
    m.svr[1] = 0x1FF
    assert found.ready(m)[:3] == [0, 1, 2] and 4 not in found.ready(m)


def test_only_so_many_crowds_are_remembered():
    m = world("x" * 70)
    for vcpu in range(70):
        m.ldr[vcpu] = 0xFF000000
    m.changed_apics()
    for dest in range(1, 255):
        for narrow in (0, 1):
            routes.match(m, dest, 1, narrow)
    assert len(routes.of(m).crowds) <= routes.MOST_CROWDS
