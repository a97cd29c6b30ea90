"""A QEMU beside a machine: equal, different for a known reason, or not possible there; live and as stored."""

import json
from functools import partial

import pytest

from tests.places import ROOT
from tests.qemu import REAL, needs_qemu
from vsim import machine
from vsim.devices import viommu
from vsim.history.log import History
from vsim.readers.qemu_monitor import Lapic
from vsim.replay import beside, compare, recorded, sources, there
from vsim.replay.beside import Beside, State
from vsim.replay.cases import CaseError
from vsim.replay.deviations import explain
from vsim.replay.qtest import Ended
from vsim.replay.recording import UNIT
from vsim.replay.sources import Live, Stored
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import PROFILES, profile
from vsim.state.trace import Act, Event

CASES = sorted((ROOT / "tests" / "golden").rglob("main.jsonl.gz"))
CAP, ECAP = PROFILES["qemu-10"].capabilities.cap, PROFILES["qemu-10"].capabilities.ecap
IRTA, GCMD, IQT, FSTS = UNIT + 0xB8, UNIT + 0x18, UNIT + 0x88, UNIT + 0x34
TABLE = 0x100000
ON = (c.Mmio(IRTA, 8, TABLE | 7), c.Mmio(GCMD, 4, 1 << 24), c.Mmio(GCMD, 4, 1 << 25))


def entry(index: int, low: int, high: int = 0) -> c.RamWrite:
    return c.RamWrite(TABLE + 16 * index, low.to_bytes(8, "little") + high.to_bytes(8, "little"))


def ask(index: int, requester: int = 0x18) -> c.Msi:
    return c.Msi(requester, 0xFEE00010 | index << 5, 0)


def started(name: str) -> Machine:
    m = Machine(profile(name), 2, 64 << 20)
    machine.step(m, c.Domctl(viommu.create_op(UNIT, version=m.profile.options.interface)))
    return m


class Bench:
    """A history, and a source beside it."""

    def __init__(self, source, name: str = "spec") -> None:
        self.history = History(started(name))
        self.beside = Beside(source, self.history.first)

    def do(self, *commands: c.Command) -> list[beside.Found]:
        out = []
        for command in commands:
            events = self.history.issue(command)
            at = self.history.position - 1
            out.append(self.beside.do(self.history.machine, command, events, partial(self.past, at)))
        return out

    def past(self, at: int, back: int):
        start = max(0, at - back)
        return self.history.machine_at(start), self.history.commands[start:at]


class Scripted:
    """A source that answers what a machine of another profile would: `name`."""

    def __init__(self, name: str, number=(10, 0), vcpus=0, **quirks) -> None:
        self.vcpus = vcpus
        self.version, self.number, self.cap, self.ecap, self.why = f"{number[0]}.{number[1]}.0", number, CAP, ECAP, ""
        self.profile = profile(name).without_quirks(*quirks.get("without", ())).with_quirks(*quirks.get("and_", ()))
        self.profile = self.profile.with_options(apic_ids=tuple(range(0, 2 * vcpus, 2)))
        self.starts = 0
        self._begin()

    def _begin(self) -> None:
        self.m = Machine(self.profile, max(1, self.vcpus), 64 << 20)
        machine.step(self.m, c.Domctl(viommu.create_op(UNIT, version=self.profile.options.interface)))

    def run(self, commands, past, asked):
        from vsim.replay.there import seen
        self.asked = asked
        return seen([event for each in commands for event in machine.step(self.m, each)], self.vcpus)

    def again(self, past) -> None:
        self.starts += 1
        self._begin()
        for group in past:
            self.run(group, lambda: (), [])

    def end(self, why: str = "") -> None:
        self.why = why or "not wanted"


# --- comparing ---


def test_the_same_is_equal():
    bench = Bench(Scripted("qemu-10"), "qemu-10")
    found = bench.do(*ON, entry(1, 0x410001), ask(1), c.MmioRead(UNIT + 0x1C, 4), ask(2), c.MmioRead(FSTS, 4))
    assert {each.state for each in found} == {State.EQUAL}
    assert not bench.beside.differences


def test_what_cannot_be_done_there_says_why():
    bench = Bench(Scripted("qemu-10"))
    (found,) = bench.do(c.Acknowledge(0))
    assert (found.state, found.why) == (State.NOT_THERE, "vCPUs do not run there")


@pytest.mark.parametrize(("commands", "names"), [
    ((c.Msi(0x18, 0xFEE01000, 0x41),), ()),
    ((c.Mmio(IRTA, 8, TABLE | 0x807), *ON[1:], c.Msi(0x18, 0xFEE01000, 0x41)), ("qemu.D1",)),
    ((*ON, entry(1, 0x8000 | 0x410001), ask(1)), ("qemu.D3",)),
    ((*ON, entry(1, 1 << 32 | 0x410001), ask(1)), ("qemu.D4",)),
    ((*ON, entry(1, 0x410001, 2 << 18 | 0x0105), ask(1, 0x0318)), ("qemu.D2",)),
    ((c.Mmio(UNIT + 0x90, 8, 0x200000), c.MmioRead(UNIT + 0x90, 8)), ("qemu.D17",)),
    ((*ON, entry(1, 0x410001), ask(1), entry(1, 0x420001), ask(1)), ("option cache",)),
    ((c.MmioRead(UNIT + 8, 8),), ("capabilities",)),
    ((c.Mmio(0xFEC00000, 4, 1), c.MmioRead(0xFEC00010, 4)), ("option ioapic_pins",))])
def test_a_difference_has_the_name_of_what_explains_it(commands, names):
    bench = Bench(Scripted("qemu-10"), "spec")
    last = bench.do(*commands)[-1]
    if not names:
        assert last.state == State.EQUAL
        return
    assert last.state == State.DIFFERENT and last.difference.kind == "known"
    assert tuple(each.name for each in last.difference.why) == names
    assert last.difference.first[0] != last.difference.first[1]


def test_two_deviations_at_once_are_both_named():
    bench = Bench(Scripted("qemu-10"))
    last = bench.do(*ON, entry(1, 1 << 32 | 0x8000 | 0x410001), ask(1))[-1]
    assert str(last.difference) == "qemu.D3, qemu.D4"


def test_a_cause_that_shows_later_is_found_by_going_back():
    """QIE cannot be switched off after a descriptor that was no wait (D11): the write shows nothing, a read does."""
    bench = Bench(Scripted("qemu-10"))
    descriptor = (c.RamWrite(0x200000, (4).to_bytes(16, "little")), c.Mmio(UNIT + 0x90, 8, 0x200000),
                  c.Mmio(GCMD, 4, 1 << 26), c.Mmio(IQT, 8, 16), c.Mmio(GCMD, 4, 0))
    found = bench.do(*descriptor, c.MmioRead(UNIT + 0x1C, 4))
    assert [each.state for each in found[:-1]] == [State.EQUAL] * 5
    assert str(found[-1].difference) == "qemu.D11"


FULL = (*ON, *[ask(index) for index in (1, 2, 3)])      # faults of one requester: merged there, an overflow here


def test_a_read_that_differs_is_the_cause_of_nothing():
    bench = Bench(Scripted("qemu-10"))
    found = bench.do(c.MmioRead(UNIT + 8, 8), *FULL, c.MmioRead(FSTS, 4))
    assert (str(found[0].difference), str(found[-1].difference)) == ("capabilities", "option merge_faults")


def test_a_cause_is_found_a_thousand_commands_back():
    bench = Bench(Scripted("qemu-10"))
    found = bench.do(*FULL, *[c.MmioRead(UNIT + 0x1C, 4)] * 1000, c.MmioRead(FSTS, 4))
    assert str(found[-1].difference) == "option merge_faults"


def test_the_same_difference_again_is_not_looked_into_again(monkeypatch):
    looked = []
    monkeypatch.setattr(beside, "explain", lambda *given: looked.append(given) or explain(*given))
    bench = Bench(Scripted("qemu-10"))
    bench.do(*FULL, c.MmioRead(FSTS, 4))
    once = len(looked)
    again = bench.do(*[c.MmioRead(FSTS, 4)] * 20)
    assert len(looked) == once
    assert {str(each.difference) for each in again} == {"option merge_faults"}
    assert [each.difference.position for each in again] == list(range(len(FULL) + 1, len(FULL) + 21))


def test_what_nobody_knows_is_kept_and_what_follows_from_it_says_so():
    class Odd(Scripted):
        def run(self, commands, past, asked):
            rows = super().run(commands, past, asked)
            return [["M", 9, 9, 9, 9, 9, 9]] if isinstance(commands[0], c.Msi) else rows

    bench = Bench(Odd("qemu-10"), "qemu-10")
    first, second, third = bench.do(ask(1), ask(2), ask(1))
    assert str(first.difference) == "unknown: keep this"
    assert first.difference.there == [["M", 9, 9, 9, 9, 9, 9]]
    assert str(second.difference) == str(third.difference) == "follows from command 0"


def test_a_deviation_that_a_qemu_has_no_more_is_told_though_both_do_the_same():
    bench = Bench(Scripted("qemu-10", (11, 0), without=("qemu.D3",)), "spec")
    last = bench.do(*ON, entry(1, 0x8000 | 0x410001), ask(1))[-1]
    assert last.state == State.EQUAL and last.difference.kind == "gone" and last.difference.equal
    assert str(last.difference) == "qemu.D3 is not in this QEMU"


def test_an_older_qemu_is_imitated_with_what_is_known_of_it():
    bench = Bench(Scripted("qemu-10", (7, 2), and_=("qemu7.F1",)), "spec")
    found = bench.do(*ON, ask(1), c.MmioRead(FSTS, 4))
    assert str(found[-2].difference) == "qemu7.F1"


@pytest.mark.parametrize("descriptor, why", [(4 | 1 << 5, "qemu7.F2"), (4 | 1 << 9, "qemu7.F2"), (6, "qemu7.F3"),
                                             (8, "qemu7.F3")])
def test_descriptors_that_an_older_qemu_takes_or_does_not_name(descriptor, why):
    bench = Bench(Scripted("qemu-10", (7, 2), and_=("qemu7.F1", "qemu7.F2", "qemu7.F3")), "spec")
    found = bench.do(*ON, c.Mmio(UNIT + 0x90, 8, 0x200000), c.Mmio(UNIT + 0x18, 4, 1 << 25 | 1 << 26),
                     c.RamWrite(0x200000, descriptor.to_bytes(16, "little")), c.Mmio(UNIT + 0x88, 8, 16))
    assert str(found[-1].difference) == why


def test_what_would_end_qemu_is_not_sent():
    """A wait descriptor with SW and IF both set (K4)."""
    source = Scripted("qemu-10")
    bench = Bench(source)
    wait = (0x35).to_bytes(16, "little")
    found = bench.do(c.RamWrite(0x200000, wait), c.Mmio(UNIT + 0x90, 8, 0x200000), c.Mmio(GCMD, 4, 1 << 26),
                     c.Mmio(IQT, 8, 16), c.MmioRead(UNIT + 0x1C, 4))
    assert found[3].why == "it would end QEMU: never sent" and not source.m.dead
    assert found[4].state == State.EQUAL


def test_another_past_makes_qemu_begin_anew():
    source = Scripted("qemu-10")
    bench = Bench(source, "qemu-10")
    bench.do(*ON, entry(1, 0x410001), ask(1))
    bench.history.goto(4)
    bench.beside.goto(4)
    assert (bench.beside.position, source.starts) == (4, 0)
    assert bench.do(ask(2))[0].state == State.EQUAL and source.starts == 1
    assert bench.do(ask(1))[0].state == State.EQUAL and source.starts == 1
    with pytest.raises(ValueError, match="position is 99; the limit is 0 to 6"):
        bench.beside.goto(99)


@pytest.mark.parametrize("name", [name for name in PROFILES if name.startswith("xen")])
def test_the_series_own_unit_is_refused(name):
    with pytest.raises(ValueError, match="whose unit is the series' own"):
        Beside(Scripted("qemu-10"), started(name))


def test_when_qemu_ends_nothing_is_lost():
    class Ending(Scripted):
        def run(self, commands, past, asked):
            if isinstance(commands[0], c.Msi):
                raise Ended("QEMU was ended by signal 6")
            return super().run(commands, past, asked)

    bench = Bench(Ending("qemu-10"))
    bench.do(*ON)
    with pytest.raises(Ended, match="signal 6"):
        bench.do(ask(1))
    assert bench.beside.position == 3 and bench.beside.count(State.EQUAL) == 3


# --- local APICs ---


LDR, SVR = 0xD0, 0xF0
UP = (c.ApicWrite(0, SVR, 0x1FF), c.ApicWrite(1, SVR, 0x1FF))


@pytest.mark.parametrize(("commands", "asked", "names"), [
    ((*UP, c.Msi(0x18, 0xFEE02000, 0xC041)), [["A", 1, 0x41, 1]], ""),
    ((*UP, c.Msi(0x18, 0xFEEFF000, 0x41)), [["A", 0, 0x41, 0], ["A", 1, 0x41, 0]], ""),
    ((*UP, c.Msi(0x18, 0xFEE02000, 0x41), c.Acknowledge(1), c.Msi(0x18, 0xFEE02000, 0x41)), [["A", 1, 0x41, 0]], ""),
    ((*UP, c.Msr(1, 0x1B, 0xFEE00C00), c.Msi(0x18, 0xFEEFF000, 0x41)), [["A", 0, 0x41, 0], ["A", 1, 0x41, 0]],
     "vCPUs stand still, qemu.K3"),
    ((c.Msi(0x18, 0xFEE02000, 0x41),), [["A", 1, 0x41, 0]], "qemu.K3"),
    ((*UP, c.Msi(0x18, 0xFEE02000, 0x5)), [["A", 1, 5, 0]], "qemu.K2"),
    ((*UP, c.ApicWrite(1, LDR, 4 << 24), c.Msi(0x18, 0xFEE04004, 0x41)), [["A", 1, 0x41, 0]], "vCPUs stand still"),
    ((c.ApicWrite(1, LDR, 4 << 24), c.Msi(0x18, 0xFEE04004, 0x41)), [], ""),
    ((c.ApicWrite(1, LDR, 4 << 24), c.Msi(0x18, 0xFEEFF004, 0x41)), [["A", 0, 0x41, 0], ["A", 1, 0x41, 0]], "qemu.K3"),
    ((*UP, c.Msi(0x18, 0xFEE02000, 0x441)), [], "")])
def test_what_waits_in_local_apics_is_compared(commands, asked, names):
    source = Scripted("qemu-10", vcpus=2)
    last = Bench(source).do(*commands)[-1]
    assert source.asked == asked
    assert str(last.difference or "") == names and last.state == (State.DIFFERENT if names else State.EQUAL)


def test_nobody_set_up_is_no_cause_of_what_differs_later():
    class Odd(Scripted):
        def run(self, commands, past, asked):
            rows = super().run(commands, past, asked)
            return [*rows, ["L", 1, "ESR", "0x40"]] if ["A", 1, 0x77, 0] in rows else rows
    bench = Bench(Odd("qemu-10", vcpus=2))
    bench.do(*UP, c.ApicWrite(1, LDR, 4 << 24), c.Msi(0x18, 0xFEE04004, 0x41))
    last = bench.do(c.Msi(0x18, 0xFEE02000, 0x77))[-1]
    assert last.difference.kind == "unknown" and last.difference.first == (None, ["L", 1, "ESR", "0x40"])


def test_what_vcpus_send_is_not_there():
    m = Machine(profile("spec"), 2, 64 << 20)
    for command in UP:
        machine.step(m, command)
    events = machine.step(m, c.ApicWrite(0, 0x300, 0xC4041)) + machine.step(m, c.Msi(0x18, 0xFEE02000, 0x42))
    assert [event.index for event in events if event.act == Act.ACCEPTED] == [0x41, 0x42]
    assert there.arrivals(events, 2) == [["A", 1, 0x42, 0]] and there.arrivals(events, 1) == []


def test_the_first_vcpus_are_there_as_far_as_their_ids_go():
    for options, ids in (({}, tuple(range(0, 128, 2))), ({"apic_ids": (0, 7, 300, 1)}, (0, 7)),
                         ({"apic_ids": (999, 0)}, ())):
        count = len(options.get("apic_ids", range(100)))
        assert there.apics(Machine(profile("spec").with_options(**options), count)) == ids


class Asked(Live):
    """A running QEMU of which only its local APICs are there. irr: of each vCPU; looks: who was looked into."""

    def __init__(self, vcpus):
        self.apics, self.vcpus, self._qemu = tuple(range(0, 2 * vcpus, 2)), vcpus, self
        self.irr, self.isr, self.words, self.looks = [{} for _ in range(vcpus)], (), {"ESR": 0}, []
        self._power_on()

    def lapic(self, apic):
        self.looks.append(apic)
        return Lapic("", 1, apic // 2, self.words, self.isr, tuple(self.irr[apic // 2].items()))


def test_who_waits_already_is_not_looked_into_again():
    live = Asked(3)
    live.irr = [{0x41: False}, {0x41: True, 0x55: False}, {0x60: False}]
    asked = [["A", 0, 0x41, 0], ["A", 1, 0x41, 0], ["A", 1, 0x42, 0]]
    assert live._arrived(asked) == [["A", 0, 0x41, 0], ["A", 1, 0x41, 1], ["A", 1, 0x55, 0]]
    assert live.looks == [0, 2] and live._arrived(asked[:1]) == asked[:1] and live.looks == [0, 2]
    live.words, live.isr = {"ESR": 0x40}, ((0x41, False),)
    assert live._arrived([["A", 1, 0x42, 0]]) == [["L", 1, "ESR", "0x40"], ["L", 1, "ISR 0x41", "0x1"]]
    live._waiting = {}              # another past, which nobody looked at
    assert live._arrived([["A", 2, 0x61, 0]]) == []
    live.irr[2][0x61] = False
    assert live._arrived([["A", 2, 0x61, 0]]) == [["A", 2, 0x61, 0]]


# --- stored runs ---


@pytest.fixture
def run(tmp_path):
    """A stored run of a few commands, and the path of it."""
    bench = Bench(Scripted("qemu-10"))
    seen = []
    source, real = bench.beside.source, bench.beside.source.run
    source.run = lambda *more: seen.append(real(*more)) or seen[-1]
    bench.do(*ON, entry(1, 0x8000 | 0x410001), c.Acknowledge(0), ask(1), ask(1))
    sources.save(source, bench.beside.groups(), seen, tmp_path / "run.jsonl")
    return tmp_path / "run.jsonl"


def test_a_stored_run_does_what_was_done(run):
    bench = Bench(Stored(run))
    found = bench.do(*ON, entry(1, 0x8000 | 0x410001), c.Acknowledge(0), ask(1), ask(1))
    assert [each.state for each in found] == [State.EQUAL] * 4 + [State.NOT_THERE] + [State.DIFFERENT] * 2
    assert str(found[-1].difference) == "qemu.D3"
    bench.history.goto(5)
    bench.beside.goto(5)
    assert bench.do(ask(1))[0].state == State.DIFFERENT
    with pytest.raises(Ended, match="the stored run goes another way after 5 commands"):
        bench.do(ask(2))


def test_a_stored_run_goes_on_after_another_way_was_taken_back(run):
    bench = Bench(Stored(run))
    bench.do(*ON)
    with pytest.raises(Ended):
        bench.do(ask(7))
    bench.history.goto(3)
    bench.beside._source_at = -1
    assert bench.do(entry(1, 0x8000 | 0x410001))[0].state == State.EQUAL


HEAD = json.dumps({"attached": 1, "qemu": "10.0.2", "number": [10, 0], "cap": hex(CAP), "ecap": hex(ECAP)})


@pytest.mark.parametrize(("text", "said"), [
    ("", "1:1: found nothing"), ("{}", "1:1: found a line without 'do'"), ("[]", "1:1: found"),
    (HEAD.replace('"attached": 1', '"attached": 9'), "1:1: found attached 9; this kit reads 1"),
    (HEAD.replace('"10.0.2"', "7"), "1:1: found attached 1"),
    (HEAD + '\n{"do": [["nothing"]], "saw": []}', "2:1: found not a command"),
    (HEAD + '\n{"do": [], "saw": {}}', "2:1: found saw that is no list"),
    (HEAD + '\n{"do": [], "saw": [["M", 1.5]]}', "2:1: found row"),
    (HEAD + '\n{"do": [], "saw": [["M", "' + "x" * 100 + '"]]}', "2:1: found row"),
    (HEAD + '\n{"do": []}', "2:1: found a line without 'saw'"), (HEAD + "\n{", "2:2: not JSON"),
    (HEAD.replace('[10, 0]', "5"), "1:1: found"), (HEAD.replace("{", '{"vcpus": 65, '), "1:1: found 0x41 is over"),
    ('{"do": [], "saw": []}', "1:1: found no run")])
def test_a_file_that_is_no_run_is_refused_with_its_place(tmp_path, text, said):
    (tmp_path / "bad.jsonl").write_text(text)
    with pytest.raises(CaseError, match=said) as told:
        Stored(tmp_path / "bad.jsonl")
    assert str(told.value).startswith(str(tmp_path / "bad.jsonl"))


# --- the real one ---


@pytest.fixture(scope="module")
def live():
    """A live QEMU, used again from power-on by each test."""
    made = Live(REAL, 64 << 20, (0x18, 0), (0, 2))
    yield made
    made.end()


def fresh(live, name: str) -> Bench:
    live.again(())
    return Bench(live, name)


@needs_qemu
def test_the_real_one_does_as_the_profile_that_imitates_it(live):
    bench = fresh(live, "qemu-10" if live.number >= (8, 0) else "spec")
    bench.do(*UP)
    found = bench.do(*ON, entry(1, 0x410001), ask(1), ask(2), c.MmioRead(UNIT + 0x1C, 4), c.Mmio(UNIT + 0xB8, 8, 0),
                     c.Pin(4, 1), c.Reset(), c.MmioRead(UNIT + 0x1C, 4))
    if live.number >= (8, 0):
        assert [each.state for each in found] == [State.EQUAL] * len(found)
    assert bench.beside.count(State.EQUAL) >= len(found) - 2     # 7.2 logs no fault


@needs_qemu
def test_the_real_one_has_the_deviations_of_its_release(live):
    bench = fresh(live, "spec")
    found = bench.do(*UP, *ON, entry(1, 0x8000 | 0x410001), ask(1), c.Mmio(UNIT + 0x90, 8, 0x200000),
                     c.MmioRead(UNIT + 0x90, 8))
    assert [str(each.difference) for each in found if each.difference] == ["qemu.D3", "qemu.D17"]


@needs_qemu
def test_the_real_one_has_what_waits(live):
    bench = fresh(live, "spec")
    states = [(each.state, str(each.difference or "")) for each in bench.do(
        *UP, c.Msi(0x18, 0xFEE02000, 0xC041), c.Msi(0x18, 0xFEE02000, 0x41), c.Msi(0x18, 0xFEEFF000, 0x42), c.Reset(),
        c.Msi(0x18, 0xFEE02000, 0x41), *UP, c.ApicWrite(1, LDR, 4 << 24), c.Msi(0x18, 0xFEE04004, 0x43))]
    assert states == [(State.NOT_THERE, "")] * 2 + [(State.EQUAL, "")] * 4 + [(State.DIFFERENT, "qemu.K3")] + [
        (State.NOT_THERE, "")] * 3 + [(State.DIFFERENT, "vCPUs stand still")]


@needs_qemu
def test_a_requester_that_is_new_gets_a_sender(live):
    bench = fresh(live, "spec")
    bench.do(*UP, *ON, entry(1, 0x410001))
    assert {each.state for each in bench.do(ask(1, 0x1234), ask(1, 0xFF18))} == {State.EQUAL}


@needs_qemu
def test_recorded_cases_come_out_live_as_they_were_recorded(live):
    """Every category, a few cases each, under the profile that imitates QEMU: all equal. 7.2 has faults of its own."""
    if live.number < (8, 0):
        pytest.skip("QEMU 7 records no fault")
    chosen: dict[str, compare.Case] = {}
    for case in compare.load(CASES[0]):
        chosen.setdefault(case.category, case)
    for case in chosen.values():
        bench = fresh(live, "qemu-10")
        bench.history = History(compare.machine_for(case, profile("qemu-10")))
        bench.beside = Beside(live, bench.history.first)
        for step in case.body["s"]:
            for command in commands_of(step):
                (found,) = bench.do(command)
                assert found.state == State.EQUAL or found.why, (case.name, command, found)


def commands_of(step) -> list[c.Command]:
    """The commands of a recorded step."""
    out: list[c.Command] = []

    def keep(_, command: c.Command) -> list[Event]:
        out.append(command)
        return []
    original, recorded._do = recorded._do, keep
    try:
        recorded.do(Machine(profile("qemu-10"), 1), step) if step[0] not in ("mr", "rrte") else None
    finally:
        recorded._do = original
    return out
