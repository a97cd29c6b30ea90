"""A storm ends where stepping ends: every engine, on tables good and bad, with every option and quirk that counts."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rig import BASE, IRE, NIC, OFFSET, QIE, QUEUE, SIRTP, TABLE, Rig
from vsim.devices import checks
from vsim.devices.checks import NAMES, ORDERS
from vsim.devices.vlapic import set_mode
from vsim.layouts.bits import put
from vsim.layouts.formats import IRTE, IRTE_POSTED, RTE_REMAP, msi_message, remap_message
from vsim.layouts.registers import IRTA
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Apic
from vsim.state.pci import Bus, Function
from vsim.state.quirks import QUIRKS
from vsim.state.trace import Act
from vsim.storm import engines as storm_engines
from vsim.storm import in_c
from vsim.storm import loop as storm_loop
from vsim.storm.run import PATIENCE, POLICIES, Source, Workload, commands, storm

ENGINES = [pytest.param(name, marks=pytest.mark.skipif(bool(lack := storm_engines.missing(name)), reason=lack))
           for name in storm_engines.NEEDS]
IN_C = pytest.param("C", marks=pytest.mark.skipif(bool(in_c.missing()), reason=in_c.missing() or "there"))
FAST = [*(engine for engine in ENGINES if engine.values[0] != "stepped"), IN_C]
NVME = 0x0410
DESCRIPTOR = 0x8000
PASSED_THROUGH = Bus([Function(NIC, passthrough=True, msix_count=4), Function(NVME, msix_count=4)])


def machine(entries=(), modes=(Apic.X2APIC,) * 4, queue=True, eime=True, on=True, **rig):
    """A machine whose guest has written these entries, switched remapping on, and its local APICs to these modes."""
    made = Rig(vcpus=len(modes), **rig)
    for vcpu, mode in enumerate(modes):
        set_mode(made.m, vcpu, mode)
        made.m.svr[vcpu] = 0x1FF
        if mode == Apic.XAPIC:
            made.do(c.ApicWrite(vcpu, 0xD0, 1 << vcpu % 8 << 24))
    for index, entry in enumerate(entries):
        made.ram(TABLE + 16 * index, entry)
    made.write("IRTA", TABLE | IRTA.eime.mask * eime | 4)
    made.write("GCMD", SIRTP)
    if queue:
        made.write("IQA", QUEUE)
        made.write("GCMD", QIE)
    if on:
        made.write("GCMD", IRE | QIE * queue)
    return made.m


def entry(vcpu=0, vector=0x41, **fields):
    """A present entry for a vCPU by its APIC ID (twice its number)."""
    return IRTE.make(**{"p": 1, "vector": vector, "dst": 2 * vcpu, "sid": NIC, "svt": 1, **fields})


def messages(*indices):
    return tuple(remap_message(index) for index in indices)


def stepped(m, workload):
    """What the commands of a storm do one at a time: counts straight from the events, and the machine."""
    counts = {name: [0] * m.vcpus for name in ("delivered", "merged", "taken")}
    by_act = {Act.ACCEPTED: "delivered", Act.MERGED: "merged", Act.TAKEN: "taken"}
    faults = {}
    for command in commands(m, workload):
        for event in step(m, command):
            if event.act in by_act:
                counts[by_act[event.act]][event.node & 0xFFFFFF] += 1
            elif event.act == Act.BLOCKED:
                faults[event.index] = faults.get(event.index, 0) + 1
    return counts, faults


def compare(m, workload, engine):
    """A storm beside the same commands stepped; the result of the storm."""
    other = m.copy()
    counts, faults = stepped(other, workload)
    result = storm(m, workload, in_c.engine() if engine == "C" else engine)
    assert {name: list(getattr(result, name)) for name in counts} == counts
    assert (result.faults, result.blocked) == (faults, sum(faults.values()))
    assert m.difference(other) == []
    assert list(m.cache) == list(other.cache)
    return result


def table(*entries, **rig):
    return {"entries": entries, **rig}


def nic(*indices, also=(), **work):
    """Requests of the NIC for these entries, and other sources."""
    return {"sources": (Source(NIC, messages(*indices)), *also), **work}


def raw(*pairs):
    """Requests of the NIC as they stand: (address, data)."""
    return {"sources": (Source(NIC, pairs),)}


NOTE = Source(NIC, messages(0))
FOREIGN = (Source(NVME, messages(0)),)
INSIDE = IRTE_POSTED.make(p=1, im=1, vector=0x40, pda=TABLE + 64 >> 6)
POSTED_ENTRY = IRTE_POSTED.make(p=1, im=1, vector=0x61, pda=DESCRIPTOR >> 6, sid=NIC, svt=1)
X2, XAPIC, OFF = Apic.X2APIC, Apic.XAPIC, Apic.DISABLED
FAULT, CHOICE, BROADCAST, SIGNAL = storm_loop.FAULT, storm_loop.CHOICE, storm_loop.BROADCAST, storm_loop.SIGNAL

# What happens: the machine, its workload, and what the loops leave to `step`.
SITUATIONS = {
    "one vCPU, one vector": (table(entry()), nic(0), ()),
    "every vCPU": (table(*(entry(v, 0x30 + v) for v in range(4))), nic(0, 1, 2, 3), ()),
    "two rates": (table(entry(), entry(1)), nic(0, also=(Source(NIC, messages(1), 3),)), ()),
    "a subhandle": (table(entry(), entry(2)), raw(remap_message(0, 1)), ()),
    "an empty table": (table(), nic(0), [FAULT]),
    "a wrong source": (table(entry()), nic(0, also=FOREIGN), [FAULT]),
    "a wrong source, quietly": (table(entry(fpd=1)), nic(0, also=FOREIGN), ()),
    "an index over": (table(entry()), nic(0, 900), [FAULT]),
    "nobody there": (table(entry(vcpu=99)), nic(0), ()),
    "not an interrupt": (table(entry()), raw((0x1000, 1), *messages(0)), ()),
    "remapping off": (table(on=False), raw(msi_message(4, 0x55), msi_message(2, 0x56)), ()),
    "compatibility blocked": (table(), raw(msi_message(4, 0x55)), [FAULT]),
    "no cache": (table(entry(), 0, cache="none"), nic(0, 1), [FAULT]),
    "present entries cached": (table(entry(), entry(1), cache="present"), nic(0, 1, also=FOREIGN), [FAULT]),
    "a queue": (table(entry(), entry(1)), nic(0, 1, policy="round-robin", moves=3), ()),
    "no queue": (table(entry(), entry(1), queue=False), nic(0, 1, policy="random", moves=2), ()),
    "all of a cluster": (table(entry(dm=1, dst=0x55)), nic(0), ()),
    "one of a cluster": (table(entry(dm=1, dst=0x55, rh=1), entry(dm=1, dst=0x15, dlm=1)), nic(0, 1), [CHOICE]),
    "a cluster that moves": (table(entry(dm=1, dst=1)), nic(0, policy="round-robin"), ()),
    "a broadcast": (table(entry(dst=0xFFFFFFFF)), nic(0), ()),
    "level": (table(entry(tm=1), entry()), nic(0, 1), [BROADCAST]),
    "a vector below 16": (table(entry(vector=7)), nic(0), [storm_loop.LOW_VECTOR]),
    "NMI": (table(entry(dlm=4)), nic(0), [SIGNAL]),
    "an NMI goes first": (table(entry(dlm=4), entry(0, 0x42)), nic(0, 1), [SIGNAL, storm_loop.NMI]),
    "INIT switches off": (table(entry(dlm=5), entry(0, 0x42), entry(1)), nic(0, 1, 2), [SIGNAL]),
    "posted": (table(POSTED_ENTRY, unit={"posting": True}), nic(0), [storm_loop.POSTED]),
    "a descriptor inside the table": (table(INSIDE, unit={"posting": True}), nic(0, 4), [storm_loop.POSTED, FAULT]),
    "xAPIC": (table(entry(dst=2 << 8), entry(dst=0xF << 8, dm=1), eime=False, modes=(XAPIC,) * 4),
              nic(0, 1, policy="round-robin"), ()),
    "mixed modes": (table(*map(entry, range(4)), modes=(XAPIC, X2, OFF, X2)), nic(0, 1, 2, 3, policy="random"), ()),
}


@pytest.mark.parametrize("engine", [*ENGINES, IN_C])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_engine_ends_where_stepping_ends(situation, engine):
    made, work, leaves = SITUATIONS[situation]
    workload = Workload(**{"requests": 7, "rounds": 3, **work})
    result = compare(machine(**made), workload, engine)
    if engine == "stepped":
        assert set(result.stepped) <= {storm_loop.LEAVES[storm_loop.ALL]}
    elif engine != "vectorised":
        assert set(result.stepped) == {storm_loop.LEAVES[number] for number in leaves if number != CHOICE}
    assert result.sent == 21


WORD = st.integers(0, (1 << 32) - 1)
MODES = st.lists(st.sampled_from([Apic.X2APIC, Apic.X2APIC, Apic.XAPIC, Apic.DISABLED]), min_size=1, max_size=6)
SOUND = st.builds(entry, st.integers(0, 7), st.sampled_from([0x41, 0x42, 0xE0, 9]), fpd=st.integers(0, 1),
                  dm=st.integers(0, 1), rh=st.integers(0, 1), tm=st.sampled_from([0, 0, 0, 1]),
                  dlm=st.sampled_from([0, 0, 0, 1, 4]), svt=st.integers(0, 3), sid=st.sampled_from([NIC, NVME]))
SMUDGED = st.builds(lambda word, bit: word ^ 1 << bit, SOUND, st.integers(0, 127))
POSTED = st.builds(lambda urg, sid: put(put(POSTED_ENTRY, IRTE_POSTED.urg, urg), IRTE_POSTED.sid, sid),
                   st.integers(0, 1), st.sampled_from([NIC, NVME]))
ENTRIES = st.lists(st.one_of(SOUND, SOUND, SMUDGED, POSTED, st.integers(0, (1 << 128) - 1)), max_size=6)
MESSAGES = st.lists(st.one_of(
    st.builds(remap_message, st.integers(0, 6)), st.builds(remap_message, st.integers(0, 3), st.integers(0, 40)),
    st.builds(msi_message, st.integers(0, 8), st.sampled_from([0x51, 0x52, 3]), dm=st.integers(0, 1),
              rh=st.integers(0, 1)),
    st.tuples(WORD, WORD), st.tuples(st.sampled_from([1 << 32 | 0xFEE00010, 0xFEE00018]), WORD)),
    min_size=1, max_size=5).map(tuple)
SOURCES = st.lists(st.builds(Source, st.sampled_from([NIC, NVME, 0x1234]), MESSAGES, st.integers(1, 3)), min_size=1,
                   max_size=3).map(tuple)
WORKLOADS = st.builds(Workload, SOURCES, st.integers(0, 12), st.integers(0, 3), st.sampled_from(sorted(POLICIES)),
                      st.integers(0, 3), st.integers(0, 9))
OPTIONS = st.fixed_dictionaries({}, optional={
    "order": st.sampled_from(["spec", "reserved-first"]), "cache": st.sampled_from(["none", "present", "everything"]),
    "merge_faults": st.booleans(), "ext_dest": st.booleans(), "alias_ids": st.booleans(), "ff_broadcast": st.booleans(),
    "placement": st.sampled_from(["xen", "qemu"]), "bus": st.just(PASSED_THROUGH),
    "dlm_passes": st.booleans(), "svt3_reason": st.sampled_from([0x24, 0x26])})
QUIRK_SETS = st.lists(st.sampled_from([quirk for quirk in sorted(QUIRKS) if quirk.startswith("qemu.")]), max_size=3)
UNITS = st.fixed_dictionaries({}, optional={"posting": st.booleans(), "fault_records": st.integers(1, 3)})


@st.composite
def machines(draw):
    """A machine in a state that a guest may have brought about."""
    m = machine(draw(ENTRIES), draw(MODES), draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 3)) > 0,
                quirks=draw(QUIRK_SETS), unit=draw(UNITS), **draw(OPTIONS))
    step(m, c.Mmio(BASE + OFFSET["FEDATA"], 4, draw(st.sampled_from([0x33, 0x8033, 0x500]))))
    step(m, c.Mmio(BASE + OFFSET["FEADDR"], 4, 0xFEE00000 | draw(st.integers(0, 3)) << 12))
    step(m, c.Mmio(BASE + OFFSET["FECTL"], 4, draw(st.sampled_from([0, 1 << 31]))))
    for vcpu in range(m.vcpus):
        m.tpr[vcpu] = draw(st.sampled_from([0, 0, 0x45, 0xF0]))
        m.isr[8 * vcpu + 2] = draw(st.sampled_from([0, 0, 2]))
        m.svr[vcpu] = draw(st.sampled_from([0x1FF, 0x1FF, 0xFF]))
    for index in draw(st.lists(st.integers(0, 6), max_size=3)):
        step(m, c.Msi(NIC, *remap_message(index)))
    return m


@pytest.mark.parametrize("engine", FAST)
@given(m=machines(), workload=WORKLOADS)
def test_every_engine_ends_where_stepping_ends_whatever_the_guest_has_done(engine, m, workload):
    compare(m, workload, engine)


@pytest.mark.soak
@pytest.mark.parametrize("engine", FAST)
@settings(max_examples=5000)
@given(m=machines(), workload=WORKLOADS)
def test_every_engine_ends_where_stepping_ends_for_long(engine, m, workload):
    compare(m, workload, engine)


@pytest.mark.skipif(bool(storm_engines.missing("compiled")), reason=storm_engines.missing("compiled") or "there")
@pytest.mark.skipif("NUMBA_BOUNDSCHECK" in os.environ, reason="under way")
def test_the_compiled_loops_stay_inside_their_arrays():
    """The equality tests once more in a process of their own, with every access checked."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "compiled and stepping", __file__]
    done = subprocess.run(command, env={**os.environ, "NUMBA_BOUNDSCHECK": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_a_level_line_that_stays_up_does_not_hold_a_storm():
    m = machine([entry(tm=1)])
    step(m, c.Mmio(0xFEC00000, 4, 0x10 + 2 * 4))
    rte = RTE_REMAP.make(handle=0, format=1, tm=1, vector=0x41)
    m.ram.write(TABLE, put(entry(tm=1), IRTE.sid, m.profile.options.ioapic_sid).to_bytes(16, "little"))
    for half in (1, 0):
        step(m, c.Mmio(0xFEC00000, 4, 0x10 + 2 * 4 + half))
        step(m, c.Mmio(0xFEC00010, 4, rte >> 32 * half & 0xFFFFFFFF))
    step(m, c.Pin(4, 1))
    assert m.irr[2] == 2
    for engine in [e.values[0] for e in ENGINES if not storm_engines.missing(e.values[0])]:
        assert compare(m.copy(), Workload((NOTE,), requests=1), engine).taken[0] == storm_loop.RUNS


@pytest.mark.parametrize("engine", [*ENGINES, IN_C])
def test_a_dead_machine_stays_as_it_is(engine):
    m = machine([entry()])
    m.irr[2], m.dead = 2, 1
    result = compare(m, Workload((NOTE,), requests=5), engine)
    assert (result.delivered[0], m.irr[2], m.serials) == (0, 2, 0)


@pytest.mark.parametrize("engine", FAST)
def test_ways_that_find_no_place_are_stepped(engine, monkeypatch):
    monkeypatch.setattr("vsim.storm.view.MOST_TARGETS", 2)
    m = machine([entry(0), entry(1), entry(2)])
    result = compare(m, Workload((Source(NIC, messages(0, 1, 2)),), requests=9), engine)
    assert result.stepped == {storm_loop.LEAVES[storm_loop.MANY]: 6}


# --- which engine ---


def without(monkeypatch, *libraries):
    monkeypatch.setattr(storm_engines, "importable", lambda name: name not in libraries)


@pytest.mark.parametrize("libraries, engine, why", [
    ((), "compiled", ""),
    (("numba",), "vectorised", "numba is not installed"),
    (("numba", "numpy"), "interpreted", "numba is not installed, numpy is not installed"),
])
def test_the_fastest_engine_that_there_is_runs_and_it_says_why(monkeypatch, libraries, engine, why):
    lack = storm_engines.missing(engine)
    if lack:
        pytest.skip(lack)
    without(monkeypatch, *libraries)
    result = storm(machine([entry()]), Workload((NOTE,)))
    assert (result.engine, result.why) == (engine, why)


def test_an_engine_that_is_not_there_is_refused(monkeypatch):
    without(monkeypatch, "numba")
    with pytest.raises(ValueError, match="engine 'compiled': numba is not installed"):
        storm(machine(), Workload((NOTE,)), "compiled")
    with pytest.raises(ValueError, match="engine is 'quick'; allowed are auto, compiled, vectorised, interp"):
        storm(machine(), Workload((NOTE,)), "quick")


@pytest.mark.skipif(bool(storm_engines.missing("vectorised")), reason=storm_engines.missing("vectorised") or "there")
@pytest.mark.parametrize("made, why", [
    (entry(dm=1, dst=0x55, dlm=1), "not vectorised: one of several local APICs has to be chosen"),
    (entry(dlm=4), f"not vectorised: a delivery mode that signals, more than {PATIENCE} times"),
])
def test_the_vectorised_engine_says_when_it_gives_up(made, why):
    result = compare(machine([made]), Workload((NOTE,), requests=2 * PATIENCE), "vectorised")
    assert (result.engine, result.why) == ("interpreted", why)


SERIES = "the device model or a defect of the series is on"


@pytest.mark.parametrize("options, why", [
    ({"quirks": ["xen.D15"]}, SERIES), ({"model": "xen-v4"}, SERIES),
    ({"placement": "qemu", "bus": PASSED_THROUGH}, "a passed-through device asks a unit in QEMU")])
def test_what_the_loops_do_not_know_is_stepped(options, why):
    result = compare(machine([entry()], **options), Workload((NOTE,)), "auto")
    assert (result.engine, result.why) == ("stepped", why)


def test_a_unit_in_qemu_is_no_matter_to_an_emulated_device():
    m = machine([entry()], placement="qemu", bus=PASSED_THROUGH)
    assert compare(m, Workload((Source(NVME, messages(0)),)), "interpreted").engine == "interpreted"


def test_compiled_code_is_kept_by_the_sources_that_went_into_it(monkeypatch, tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(storm_engines, "__file__", str(tmp_path / "storm_engines.py"))
    first = storm_engines.cache_folder("1.0", False)
    assert storm_engines.cache_folder("1.0", False) == first != storm_engines.cache_folder("1.0", True)
    (tmp_path / "b.py").write_text("changed")
    assert storm_engines.cache_folder("1.0", False) != first


def test_compiled_code_of_older_sources_goes(monkeypatch, tmp_path):
    monkeypatch.setattr(storm_engines, "__file__", str(tmp_path / "storm_engines.py"))
    folders = [storm_engines.cache_folder(version) for version in range(5)]
    assert sum(map(os.path.isdir, folders)) == storm_engines.KEPT and os.path.isdir(folders[-1])


def test_where_nothing_may_be_written_compiled_code_is_not_kept(monkeypatch, tmp_path):
    (tmp_path / "__pycache__").write_text("in the way")
    monkeypatch.setattr(storm_engines, "__file__", str(tmp_path / "storm_engines.py"))
    assert storm_engines.cache_folder() == ""


# --- the checks, for arrays ---

WORDS = ("address", "upper", "data", "requester", "entries", "base_page", "w0", "w1", "w2", "w3")
FOUR = st.lists(WORD, min_size=4, max_size=4)


@pytest.mark.parametrize("number, order", list(enumerate(ORDERS)))
@given(words=st.fixed_dictionaries(dict.fromkeys(WORDS, FOUR)), mode=st.integers(0, 0xFFF))
def test_the_table_decides_for_arrays_as_the_chain_does_for_one(number, order, words, mode):
    numpy = pytest.importorskip("numpy")
    words["requester"] = [word & 0xFFFF for word in words["requester"]]
    arrays = {name: numpy.array(values) for name, values in words.items()}
    raw_words = {**arrays, "mode": mode, "width": 24, "readable": 1}
    for stage, one in (("request", storm_loop.request_check), ("entry", storm_loop.entry_check)):
        got = checks.matching(order, stage, raw_words) + numpy.zeros(4, int)
        for place in range(4):
            single = {name: int(value[place]) if name in words else value for name, value in raw_words.items()}
            assert got[place] == one(number, *(single[name] for name in checks.SIGNATURE[stage]))
            assert checks.matching(order, stage, single) == got[place]


def test_every_row_of_the_table_is_evaluated_in_some_stage():
    for order in ORDERS:
        rows = checks.stage_rows(order, "request") + checks.stage_rows(order, "entry")
        assert sorted(rows) == sorted(NAMES[1:])


# --- the workload ---


def test_a_seed_gives_the_same_order_everywhere():
    workload = Workload((Source(NIC, messages(0, 1, 2), 2), Source(NVME, messages(3))), seed=7)
    assert list(workload.wheel()) == [3, 0, 0, 2, 1, 2, 1]


@pytest.mark.parametrize("policy, vcpus", [("none", []), ("round-robin", [0, 1, 2, 3, 0, 1]), ("random", [])])
def test_a_policy_says_where_an_interrupt_goes(policy, vcpus):
    workload = Workload((Source(NIC, messages(0, 1)),), policy=policy, moves=3, rounds=2)
    m = machine([entry(), entry()])
    moved = []
    for command in commands(m, workload):
        if isinstance(command, c.RamWrite) and command.address < QUEUE:
            moved.append((command.address - TABLE) // 16)
        step(m, command)
    assert moved == ([] if policy == "none" else [0, 1, 0, 1, 0, 1])


def test_moves_are_followed_by_interrupts_at_the_new_place():
    workload = Workload((NOTE,), requests=1, rounds=4, policy="round-robin")
    assert list(storm(machine([entry()]), workload, "interpreted").delivered) == [1, 1, 1, 1]


def test_without_an_invalidation_interrupts_go_on_to_the_old_place():
    workload = Workload((NOTE,), requests=1, rounds=4, policy="round-robin")
    assert list(storm(machine([entry(3)], queue=False), workload, "interpreted").delivered) == [4, 0, 0, 0]


@pytest.mark.parametrize("values, says", [
    ({"sources": ()}, "the number of messages is 0; the limit is 1 to 65536"),
    ({"requests": -1}, "requests is -1; the limit is 0 to 4294967296"),
    ({"rounds": 1.5}, "rounds is 1.5"),
    ({"moves": 1 << 21}, "moves is 2097152; the limit is 0 to 1048576"),
    ({"policy": "best"}, "policy is 'best'; allowed are none, round-robin, random"),
    ({"sources": (Source(NIC, messages(0), 1025),)}, "rate is 1025; the limit is 0 to 1024"),
    ({"sources": (Source(NIC, messages(0), 0),)}, "messages times rates is 0; the limit is 1 to 1048576"),
    ({"sources": (Source(NIC, messages(*range(1025)), 1024),)}, "messages times rates is 1049600"),
    ({"sources": (Source(1 << 16, messages(0)),)}, "msi.requester is 0x10000; the limit is 0xffff"),
])
def test_a_workload_that_no_machine_could_do_is_refused(values, says):
    with pytest.raises(ValueError, match=says):
        Workload(**{"sources": (NOTE,), **values})


def test_the_result_tells_what_is_pending_before_and_after_the_handlers():
    m = machine([entry(0, 0x41), entry(1, 0x42)])
    m.tpr[1] = 0xF0
    result = storm(m, Workload((Source(NIC, messages(0, 1)),), requests=4), "interpreted")
    assert (list(result.delivered), list(result.merged)) == ([1, 1, 0, 0], [1, 1, 0, 0])
    assert (result.irr[2], result.irr[10], m.irr[2]) == (1 << 1, 1 << 2, 0)
    assert (list(result.taken), list(result.pending)) == ([1, 0, 0, 0], [0, 1, 0, 0])
    assert result.difference(storm(machine(), Workload((NOTE,)), "interpreted")) != []
