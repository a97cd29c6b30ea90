"""An explanation tells what happened, and its checks are those that decided."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests import scenes
from vsim.devices import chain, remap
from vsim.devices.checks import CHECKS, DROP, MODE, MODE_BIT, NAMES, ORDERS, PASS
from vsim.explain.interrupt import CheckRow, deciding, ending, explain, explain_in, summary, unreachable, walk, why
from vsim.explain.sentences import say, section
from vsim.history.log import History
from vsim.layouts.formats import IRTE, IRTE_POSTED, Reason, msi_message, remap_message
from vsim.layouts.registers import PCI_COMMAND
from vsim.machine import run, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Event, Kind, Warn, node

# --- the checks ---

ADDRESS = remap_message(3)[0]
ON = MODE_BIT["ires"] | MODE_BIT["eime"]
XAPIC = MODE_BIT["ires"]
GOOD = {"address": ADDRESS, "upper": 0, "data": 0, "requester": 0x0300, "entries": 16, "base_page": 0x100, "width": 27,
        "mode": ON, "readable": 1, "w0": 0, "w1": 0, "w2": 0, "w3": 0}


def words(value):
    return {f"w{place}": value >> 32 * place & 0xFFFFFFFF for place in range(4)}


def values(entry=1, **changes):
    """Raw words of a good request to an entry (default: present, all else 0), with some changed."""
    return {**GOOD, **words(entry), **changes}


def present(**fields):
    return IRTE.make(p=1, **fields)


FAILING = [
    ("dropped-while-off", values(mode=MODE_BIT["drops_when_off"]), {"ires": 0, "format": 1, "drops_when_off": 1}),
    ("remapping-off", values(mode=0), {"ires": 0}),
    ("compatibility-blocked", values(address=0xFEE00000), {"format": 0, "eime": 1, "cfis": 0, "compat_passes": 0}),
    ("compatibility-passes", values(address=0xFEE00000, mode=XAPIC | MODE_BIT["cfis"]), {"format": 0}),
    ("request-reserved", values(upper=1), {"upper": 1, "shv": 0, "data_upper": 0, "msi_unchecked": 0}),
    ("table-absent", values(entries=0), {"entries": 0, "index_off_by_one": 0}),
    ("index-over", values(entries=2), {"index": 3, "entries": 2, "index_off_by_one": 0}),
    ("entry-beyond-width", values(base_page=1 << 27), {"entry_page": 1 << 27, "width": 27}),
    ("table-unreadable", values(readable=0), {"readable": 0}),
    ("not-present", values(0), {"p": 0}),
    ("source-compare", values(present(svt=1, sid=0x0208, sq=1)),
     {"svt": 1, "sourceless": 0, "requester": 0x0300, "sid": 0x0208, "sq_ignored": 4}),
    ("source-bus", values(present(svt=2, sid=0x0405)),
     {"svt": 2, "sourceless": 0, "bus_reversed": 0, "bus": 3, "sid_high": 4, "sid_low": 5}),
    ("source-bus-reversed", values(present(svt=2, sid=0x0204), mode=ON | MODE_BIT["bus_reversed"]),
     {"svt": 2, "sourceless": 0, "bus_reversed": 1, "bus": 3, "sid_high": 2, "sid_low": 4}),
    ("source-type-mismatch", values(present(svt=3), mode=ON | MODE_BIT["svt3_mismatch"]),
     {"svt": 3, "sourceless": 0, "svt3_mismatch": 1}),
    ("remapped-reserved", values(present() | 1 << 24), {"im": 0, "im_ignored": 0, "remapped_reserved": 1 << 24}),
    ("destination-reserved", values(present(dst=0x10001), mode=XAPIC),
     {"im": 0, "im_ignored": 0, "eime": 0, "dst_unchecked": 0, "dst_reserved": 0x10001}),
    ("delivery-mode", values(present(dlm=3)), {"im": 0, "im_ignored": 0, "dlm_passes": 0, "dlm": 3}),
    ("posting-absent", values(present(im=1)), {"im": 1, "pi": 0, "im_ignored": 0}),
    ("posted-reserved", values(IRTE_POSTED.make(p=1, im=1) | 1 << 12, mode=ON | MODE_BIT["pi"]),
     {"im": 1, "im_ignored": 0, "posted_reserved": 1 << 12}),
    ("source-type", values(present(svt=3)), {"svt": 3, "svt3_mismatch": 0}),
]


def test_every_check_is_in_the_table_of_failing_ones():
    assert [name for name, *_ in FAILING] == list(CHECKS)


@pytest.mark.parametrize("name, raw, operands", FAILING, ids=[row[0] for row in FAILING])
def test_a_failing_check_is_shown_with_its_operands(name, raw, operands):
    rows = walk("spec", raw)
    row = ending(rows)
    assert row is not None
    assert row.name == name
    assert row.outcome == ("delivered" if row.reason == -1 else "failed")
    assert {o.name: o.value for o in row.operands} == operands
    assert all(o.meaning for o in row.operands)
    assert (row.section, row.sentence) == (f"VT-d {CHECKS[name].section}", CHECKS[name].sentence)
    place = rows.index(row)
    assert {r.outcome for r in rows[:place]} <= {"passed"}
    assert {r.outcome for r in rows[place + 1:]} <= {"not reached"}
    assert {o.value for r in rows[place + 1:] for o in r.operands} <= {None}


def test_a_good_request_passes_every_check_in_every_order():
    for order, names in ORDERS.items():
        rows = walk(order, values())
        assert [row.name for row in rows] == list(names)
        assert {row.outcome for row in rows} == {"passed"}
        assert ending(rows) is None


def test_a_check_is_written_in_one_line():
    row = ending(walk("spec", values(entries=2)))
    assert str(row) == "index-over: failed (index=0x3 entries=0x2 index_off_by_one=0x0)"
    assert str(walk("spec", values(entries=2))[-1]) == "source-type: not reached"


def chain_number(order, raw):
    """The number of the check that ends the request, by the generated chains."""
    names = ("address", "upper", "data", "mode", "entries", "base_page", "width")
    first = chain.REQUEST[order](*(raw[name] for name in names))
    names = ("address", "upper", "data", "requester", "mode", "readable", "w0", "w1", "w2", "w3")
    return first or chain.ENTRY[order](*(raw[name] for name in names))


WORD = st.integers(0, 0xFFFFFFFF)
NARROW = st.one_of(st.just(0), WORD, st.sampled_from([1 << bit for bit in range(32)]))
W2 = st.builds(lambda sid, sq, svt, more: sid | sq << 16 | svt << 18 | more << 20,
               st.sampled_from((0x300, 0x308, 0x203, 0x304)), st.integers(0, 3), st.integers(0, 3),
               st.sampled_from((0, 0, 0, 1)))
RAWS = st.fixed_dictionaries({
    "address": st.one_of(st.just(ADDRESS), WORD), "upper": st.sampled_from((0, 0, 0, 1)), "data": NARROW,
    "requester": st.sampled_from((0x300, 0x307, 0x200, 0xFFFF)), "entries": st.sampled_from((0, 2, 16, 16, 65536)),
    "base_page": st.sampled_from((0x100, 1 << 27)), "width": st.just(27), "readable": st.sampled_from((1, 1, 1, 0)),
    "mode": st.integers(0, (1 << len(MODE)) - 1).map(lambda mode: mode | 1 if mode & 6 else mode),
    "w0": NARROW.map(lambda w: w | 1) | WORD, "w1": NARROW, "w2": W2 | WORD, "w3": st.sampled_from((0, 0, 1)) | WORD})


@pytest.mark.parametrize("order", ORDERS)
@given(raw=RAWS)
def test_the_walk_ends_at_the_check_at_which_the_chain_ends(order, raw):
    end = ending(walk(order, raw))
    assert (NAMES.index(end.name) if end else 0) == chain_number(order, raw)


@example(raw=values(upper=1, mode=XAPIC | MODE_BIT["msi_unchecked"]))     # one of two alternatives is off
@given(raw=RAWS)
def test_a_moot_check_ends_nothing_and_belongs_to_a_choice(raw):
    rows = walk("spec", raw)
    assert not any(row.moot for row in rows if row.outcome in ("failed", "delivered"))
    plain = {row.name for row in walk("spec", raw | {"mode": raw["mode"] & MODE_BIT["ires"]}) if row.moot}
    assert plain == {"dropped-while-off", "source-bus-reversed", "source-type-mismatch"}


@pytest.mark.parametrize("raw, words, place", [
    (values(), "20 passed", 19), (values(entries=2), "6 passed, failed here, 13 not reached", 6),
    (values(mode=0), "1 passed, delivered unchanged here, 18 not reached", 1)])
def test_the_checks_are_told_in_three_words(raw, words, place):
    rows = walk("spec", raw)
    assert (summary(rows), deciding(rows)) == (words, place)


ENTRIES = st.builds(lambda w0, w1, w2, w3: w0 | w1 << 32 | w2 << 64 | w3 << 96,
                    RAWS.map(lambda raw: raw["w0"]), NARROW, W2, st.sampled_from((0, 0, 1)))


@pytest.mark.parametrize("name, quirks", [("spec", ()), ("spec", ("qemu.D6",)), ("qemu-10", ())])
@given(value=ENTRIES, index=st.integers(0, 20), requester=st.sampled_from((-1, 0x300, 0x400)), cached=st.booleans())
def test_why_agrees_with_the_verdict_and_changes_nothing(name, quirks, value, index, requester, cached):
    m = scenes.machine(name=name, quirks=quirks)
    run(m, [*scenes.unit(size=3), scenes.entry(index, value), *([scenes.msi(index)] if cached else []),
            *([scenes.entry(index, 0)] if cached else [])])
    before = m.copy()
    address, data = remap_message(index)
    rows = why(m, 0, requester, address, data)
    verdict = remap.look(m, 0, requester, address, data)
    end = ending(rows)
    assert (NAMES.index(end.name) if end else 0) == verdict.check
    assert (end.reason if end else 0) == verdict.outcome
    assert m == before
    assert all(type(row) is CheckRow for row in rows)


# --- the ways ---

X2APIC = scenes.apics(0, 1, 2, 3)
READY = [*X2APIC, *scenes.unit(), scenes.entry(1, vector=0x41, dst=2, svt=1, sid=scenes.NIC)]
COMPATIBLE = [*scenes.apics(0, 1, 2, 3), *scenes.unit(eime=0, cfi=1)]
POSTING = [*X2APIC, *scenes.unit(), *scenes.posted(3, 0x66, ndst=4)]
OFFERED = {"unit": {"posting": True}}
LEVEL = [*X2APIC, *scenes.unit(), scenes.entry(1, vector=0x41, dst=2, tm=1), *scenes.pin(16, 0x8041, 3 << 16)]
WAYS = [
    ("remapped", {}, [*READY, scenes.msi(1)], "accepted by vLAPIC 1", [
        "Device 03:00.0 (nic) writes address 0xfee00030 (format=1 handle=1 fee=0xfee), data 0x0: remappable",
        "vIOMMU 0 reads entry 1 from memory at 0x100010: p=1 vector=0x41 dst=2 sid=03:00.0 svt=1.",
        "The entry is kept in the interrupt entry cache",
        "Entry 1 makes a new message of it, address 0xfee02000, data 0x4041: vector 0x41, fixed, edge, to physical",
        "vLAPIC 1 (APIC ID 0x2) accepts vector 0x41, edge"], "SDM 11.8.4"),
    ("merged", {}, [*READY, scenes.msi(1), scenes.msi(1)], "merged by vLAPIC 1", [
        "Device 03:00.0", "vIOMMU 0 finds entry 1 in its interrupt entry cache: p=1", "Entry 1",
        "merges vector 0x41: it was in IRR already"], "VT-d 6.5"),
    ("data ignored", {}, [*READY, c.Msi(scenes.NIC, 0xFEE00030, 2)], "accepted by vLAPIC 1", [
        "data 0x2 (ignored: SHV is 0): remappable format", "reads entry 1", "kept", "Entry 1", "accepts"], "VT-d 6.5"),
    ("compatibility", {}, [*COMPATIBLE, c.Msi(scenes.NIC, *msi_message(2, 0x41))], "accepted by vLAPIC 1", [
        "data 0x41 (vector=0x41): compatibility format, vector 0x41, fixed, edge, to physical destination 0x2.",
        "Check compatibility-passes (VT-d 5.1.4)", "vIOMMU 0 lets it pass", "accepts"], "VT-d 5.1.2.1"),
    ("without a unit", {}, [*X2APIC, scenes.msi(1)], "dropped: vLAPIC 0 (APIC ID 0x0) notes", [
        "compatibility format", "No vIOMMU takes the request", "receive illegal (0x0)"], "VT-d 5.1.2.1"),
    ("posted", OFFERED, [*POSTING, scenes.msi(3)], "posted", [
        "Device", "im=1 vector=0x66 pda=0xc040.", "kept",
        "sets bit 0x66 in the posted-interrupt descriptor at 0x301000 and notifies with vector 0xf2.",
        "vLAPIC 2 (APIC ID 0x4) accepts vector 0xf2"], "VT-d 9.11"),
    ("posted again", OFFERED, [*POSTING, scenes.msi(3), scenes.msi(3)], "posted", [
        "Device", "finds", "sends no notification: one is outstanding (ON=1)."], "VT-d 9.11"),
    ("posted, suppressed", OFFERED, [*X2APIC, *scenes.unit(), *scenes.posted(3, 0x66, sn=1), scenes.msi(3)], "posted", [
        "Device", "reads", "kept", "sends no notification: they are suppressed (SN=1)."], "VT-d 9.11"),
    ("descriptor", OFFERED, [*POSTING, c.RamWrite(scenes.DESCRIPTOR + 33, b"\xff"), scenes.msi(3)],
     "blocked, fault reason 0x28", [
        "Device", "reads", "kept", "The request is blocked, fault reason 0x28", "record 0", "fault event", "accepts"],
     "VT-d 5.1.4.1"),
    ("blocked", {}, [*READY, scenes.msi(2)], "blocked, fault reason 0x22: the entry is not present", [
        "Device", "reads entry 2 from memory at 0x100020: all bits 0.", "kept",
        "Check not-present (VT-d 5.1.4.1): P is 0 in the entry.", "The request is blocked, fault reason 0x22",
        "Fault record 0 now holds index=2 sid=03:00.0 reason=0x22 f=1.",
        "vIOMMU 0 tells software by its fault event: vector 0x31, fixed, edge, to physical destination 0x0.",
        "vLAPIC 0 (APIC ID 0x0) accepts vector 0x31"], "VT-d 11.4.14"),
    ("blocked again", {}, [*READY, scenes.msi(2), scenes.msi(1, scenes.DISK)], "blocked, fault reason 0x26", [
        "Device 00:03.0 (disk)", "reads", "kept", "Check source-compare (VT-d 9.9)", "The request is blocked",
        "No fault record is free", "No new fault event: an earlier condition is still pending, FSTS ppf=1."],
     "VT-d 11.4.9"),
    ("blocked, folded", {"merge_faults": True}, [*READY, scenes.msi(2), scenes.msi(2)], "blocked", [
        "Device", "finds", "Check not-present", "The request is blocked", "Fault record 0 of the same requester",
        "No new fault event"], "VT-d 7"),
    ("blocked, masked event", {}, [*READY, scenes.register("FECTL", 1 << 31), scenes.msi(2)], "blocked", [
        "Device", "reads", "kept", "Check", "blocked", "Fault record 0", "The fault event is masked (IM=1)"],
     "VT-d 11.4.10"),
    ("blocked, quiet", {}, [*READY, scenes.entry(2, IRTE.make(fpd=1)), scenes.msi(2)], "blocked", [
        "Device", "reads", "kept", "Check not-present", "blocked", "FPD is 1 in the entry: the fault is not recorded."],
     "VT-d 9.9"),
    ("blocked compatibility", {}, [*READY, c.Msi(scenes.NIC, *msi_message(2, 0x41))], "blocked, fault reason 0x25", [
        "compatibility format", "Check compatibility-blocked", "blocked", "record", "fault event", "accepts"],
     "VT-d 5.1.4"),
    ("stale", {}, [*READY, scenes.msi(1), scenes.entry(1, vector=0x51, dst=4), scenes.msi(1)], "merged by vLAPIC 1", [
        "Device", "finds entry 1 in its interrupt entry cache: p=1 vector=0x41",
        "The cached copy is stale: the entry in memory differs, p=1 vector=0x51 dst=4;",
        "With the entry in memory the request would be sent on as vector 0x51, fixed, edge, to physical destination "
        "0x4.", "Entry 1", "merges"], "VT-d 6.5"),
    ("stale, absent", {}, [*READY, scenes.msi(2), scenes.entry(2, vector=0x51, svt=1), scenes.msi(2)], "blocked", [
        "Device", "finds", "stale", "With the entry in memory the request would be blocked by check source-compare.",
        "Check not-present", "blocked", "No fault record", "No new"], "VT-d 6.5"),
    ("stale, posted", OFFERED, [*READY, scenes.msi(3), *scenes.posted(3, 0x66), scenes.msi(3)], "blocked", [
        "Device", "finds", "stale", "With the entry in memory the request would be posted.", "Check", "blocked",
        "No fault record", "No new"], "VT-d 6.5"),
    ("pin", {}, [*LEVEL, c.Pin(16, 1)], "accepted by vLAPIC 1", [
        "The pin is level-triggered: remote IRR of pin 16 is set until its EOI.",
        "I/O APIC pin 16 sends, as requester ff:00.0, address 0xfee00030", "reads", "kept", "Entry 1",
        "accepts vector 0x41, level"], "82093AA 3.2.4"),
    ("pin, other trigger", {}, [*READY, scenes.entry(1, vector=0x41, dst=2), *LEVEL[-4:], c.Pin(16, 1)], "accepted", [
        "level-triggered", "I/O APIC pin 16", "reads", "kept", "Entry 1", "The trigger mode of the pin's entry",
        "accepts"], "VT-d 5.1.5.1"),
    ("pin, other vector", {}, [*LEVEL, scenes.entry(1, vector=0x42, dst=2, tm=1), c.Pin(16, 1)], "accepted", [
        "level-triggered", "I/O APIC pin 16", "reads", "kept", "Entry 1", "The vector of the pin's entry", "accepts"],
     "VT-d 5.1.5.1"),
    ("extended destination", {"ext_dest": True}, [*X2APIC, c.Msi(scenes.NIC, 0xFEE3E040, 0x41)], "dropped", [
        "compatibility format, vector 0x41, fixed, edge, to physical destination 0x23e.", "No vIOMMU",
        "No local APIC matches destination 0x23e"], "SDM 11.6.2"),
    ("IPI", {}, [*X2APIC, c.Msr(1, 0x830, 4 << 32 | 0x55)], "accepted by vLAPIC 2", [
        "vCPU 1 sends an interprocessor interrupt; none passes through remapping. ICR: vector=0x55 dest=4.",
        "vLAPIC 2 (APIC ID 0x4) accepts vector 0x55"], "SDM 11.6.1"),
    ("IPI to all", {}, [*X2APIC, c.Msr(1, 0x830, 3 << 18 | 0x55)], "accepted by 3 vLAPICs", [
        "vCPU 1", "vLAPIC 0", "vLAPIC 2", "vLAPIC 3"], "SDM 11.8.4"),
    ("NMI", {}, [*READY, scenes.entry(1, dst=2, dlm=4), scenes.msi(1)], "signalled by vLAPIC 1", [
        "Device", "reads", "kept", "Entry 1", "vLAPIC 1 (APIC ID 0x2) receives NMI at once"], "SDM 11.8.4"),
    ("SIPI", {}, [*X2APIC, c.Msr(0, 0x830, 2 << 32 | 0x610), c.Msr(0, 0x830, 2 << 32 | 0x610)], "dropped: vLAPIC 1", [
        "vCPU 0", "vLAPIC 1 (APIC ID 0x2) does not wait for a start-up IPI"], "SDM 11.4.3"),
    ("low vector", {}, [*READY, scenes.entry(1, vector=3, dst=2), scenes.msi(1)], "dropped: vLAPIC 1 (APIC ID 0x2)", [
        "Device", "reads", "kept", "Entry 1", "notes an error for its ESR: receive illegal (0x3)."], "SDM 11.5.3"),
    ("nobody", {}, [*READY, scenes.entry(1, vector=0x41, dst=99), scenes.msi(1)], "dropped", [
        "Device", "reads", "kept", "Entry 1", "No local APIC matches destination 0x63:"], "SDM 11.6.2"),
    ("switched off", {}, [*READY, c.Msr(1, 0x80F, 0xFF), scenes.msi(1)], "dropped: vLAPIC 1 (APIC ID 0x2) matches", [
        "Device", "reads", "kept", "Entry 1", "is switched off by software (SVR bit 8 is 0)"], "SDM 11.4.7.2"),
    ("no message", {}, [c.Signal(scenes.NIC, 0)], "dropped: Device 03:00.0 (nic) has no message 0", [
        "Device 03:00.0 (nic) has no message 0, or MSI and MSI-X are off"], "PCI 6.8"),
    ("masked message", {}, [c.ConfigWrite(scenes.NIC, 0x62, 2, 0x8000), c.Signal(scenes.NIC, 0)], "pending", [
        "Message 0 of device 03:00.0 (nic) is masked: its pending bit is set"], "PCI 6.8"),
    ("elsewhere", {}, [c.Msi(scenes.NIC, 0x1000, 1)], "dropped: Address 0x1000 is not 0xFEEx_xxxx", [
        "Device", "Address 0x1000"], "VT-d 5.1.2"),
    ("bridge", {}, [*READY, c.ConfigWrite(scenes.CARD, 4, 2, PCI_COMMAND.make(master=1)),
                    c.ConfigWrite(scenes.CARD, 0x44, 4, remap_message(1)[0]), c.ConfigWrite(scenes.CARD, 0x42, 2, 1),
                    c.Signal(scenes.CARD, 0)], "blocked, fault reason 0x26", [
        "Device 05:01.0 (card) writes, as requester 05:00.0 of a bridge above it, address 0xfee00030", "reads", "kept",
        "Check source-compare", "blocked", "Fault record", "fault event", "accepts"], "VT-d 9.9"),
]


@pytest.mark.parametrize("options, commands, verdict, sentences, section",
                         [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_the_last_interrupt_is_told(options, commands, verdict, sentences, section):
    made = History(scenes.machine(**options))
    for command in commands:
        made.issue(command)
    told = explain_in(made, made.machine.serials)
    assert told.verdict.startswith(verdict)
    assert [want for want, got in zip(sentences, told.sentences, strict=True) if want not in got] == []
    assert section in told.sections
    assert str(told).startswith(f"Interrupt {told.serial}: {verdict}")


@given(st.lists(scenes.commands(), max_size=25))
def test_every_interrupt_can_be_explained_and_its_checks_end_as_it_did(commands):
    m = scenes.machine()
    run(m, READY)
    for command in commands:
        before = m.copy()
        events = step(m, command)
        for serial in {event.serial for event in events} - {0}:
            told = explain(events, before, serial)
            end = ending(told.checks)
            blocked = [e.index for e in events if e.serial == serial and e.act == Act.BLOCKED]
            assert [end.reason] == blocked if end and end.reason > 0 else blocked == []
            assert all(re.fullmatch(r"[A-Zv].*\.", sentence) for sentence in told.sentences)
            assert told.sections


def test_a_serial_without_events_is_refused():
    m = scenes.machine()
    events = step(m, c.Msi(scenes.NIC, 0xFEE00000, 0x41))
    for serial in (0, 2):
        with pytest.raises(ValueError, match=f"interrupt {serial}: none of these events"):
            explain(events, m, serial)


def test_a_quirk_that_changes_the_decision_changes_the_checks():
    m = scenes.machine(quirks=("qemu.D8",))
    run(m, [*READY, *LEVEL[-4:]])
    before = m.copy()
    told = explain(step(m, c.Pin(16, 1)), before, 1)
    assert told.verdict == "accepted by vLAPIC 1"
    compare = next(row for row in told.checks if row.name == "source-compare")
    assert {o.name: o.value for o in compare.operands}["sourceless"] == 1


def test_reasons_are_those_of_the_fault_table():
    assert {row.reason for row in walk("spec", values())} <= {DROP, PASS, *Reason}


# --- what a message cannot name ---


@pytest.mark.parametrize("vcpus, step_, vcpu, ext, sentence", [
    (288, 2, 127, False, None), (288, 2, 287, True, None), (8, 1, 7, False, None), (256, 1, 254, False, None),
    (288, 2, 128, False, "vCPU 128 has APIC ID 256; a compatibility-format message carries 8 bits, at most 254 (255 is "
                         "broadcast), so none can name it."),
    (288, 2, 287, False, "vCPU 287 has APIC ID 574; a compatibility-format message carries 8 bits"),
    (256, 1, 255, False, "vCPU 255 has APIC ID 255;"), (256, 1, 255, True, "carries 15 bits, at most 32767")])
def test_a_vcpu_is_out_of_reach_when_its_id_does_not_fit_a_message(vcpus, step_, vcpu, ext, sentence):
    m = scenes.machine(vcpus, apic_id_step=step_, ext_dest=ext)
    found = unreachable(m, vcpu)
    assert found is None if sentence is None else sentence in found


def test_a_vcpu_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="vcpu is 8; the limit is 0 to 7"):
        unreachable(scenes.machine(), 8)


def test_the_vcpu_that_was_perhaps_meant_is_named():
    m = scenes.machine(288)
    run(m, scenes.apics(*(vcpu for vcpu in range(288) if vcpu != 31)))
    run(m, [c.Msr(31, 0x1B, 0xFEE00000)])
    before = m.copy()
    told = explain(step(m, c.Msi(scenes.NIC, *msi_message(574 & 0xFF, 0x41))), before, 1)
    assert told.verdict.startswith("dropped: No local APIC matches destination 0x3e:")
    assert any(text.startswith("vLAPIC 159 (APIC ID 0x13e) has the same low 8 bits. vCPU 159")
               for text in told.sentences)


def test_a_devices_name_keeps_its_letters_at_the_start_of_a_sentence():
    machine = scenes.machine()
    machine.bus = Bus([Function(scenes.NIC, "Intel 82599ES", msix_count=4)])
    events = step(machine, c.Signal(scenes.NIC, 0))
    assert explain(events, machine, events[-1].serial).sentences[0].startswith("Device 03:00.0 (Intel 82599ES) has no")


@pytest.mark.parametrize("act, index, low, says", [
    (Act.RETURNED, 1, 0, "The caller sees 0."),
    (Act.RETURNED, 0, -14 & (1 << 64) - 1, "The model returns -14, -EFAULT."),
    (Act.RETURNED, 1, 0x22, "The caller sees 34, a fault reason."),
    (Act.STOPPED, 1, 0, "The hypervisor would crash here: nothing after it is to be relied on."),
    (Act.STOPPED, 3, 0, "The domain is crashed: nothing after it is to be relied on."),
])
def test_results_and_crashes_of_the_series_are_sentences(act, index, low, says):
    assert say(Machine(profile("xen-v4")), Event(0, 1, node(Kind.XEN), act, index, low, 0, 0)) == says


@pytest.mark.parametrize("what", Warn)
def test_every_warning_has_a_sentence_and_a_section(what):
    event = Event(1, 1, node(Kind.VIOMMU), Act.WARNED, what, 0x40D00, 0, 0)
    assert re.fullmatch(r"[A-Z].*\.", say(Machine(profile("spec")), event))
    assert section(event).partition(" ")[0] in ("VT-d", "SDM", "MP")
