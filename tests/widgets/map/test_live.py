"""The live map's kernel side: what it counts, what it sends, and when. No browser."""

import re
from threading import RLock
from types import SimpleNamespace

import pytest
from traitlets import HasTraits, Int, TraitError

from tests.rig import Rig
from tests.widgets.map.test_scene import BUS, NIC
from vsim.explain import topology
from vsim.findings.assumed import Assumed
from vsim.layouts.formats import remap_message
from vsim.state import commands as c
from widgets.bench.command import AIMS
from widgets.lab import Lab
from widgets.map import live, page, parts
from widgets.map.live import LiveMap, thin
from widgets.map.scene import scene, slots, way
from widgets.map.tally import Tally, pending, records
from widgets.map.tokens import HEADER, NOBODY, Flag, Outcome, Places, Token, unpack


class Selection(HasTraits):
    """What a Lab's views share."""

    device, irte, vlapic, serial, unit = Int(-1), Int(-1), Int(-1), Int(0), Int(0)


class Wire:
    """What a map sends to the page, instead of a comm."""

    def __init__(self, made, monkeypatch, now=0.0):
        self.now, self.messages, self.states = now, [], []
        monkeypatch.setattr(live.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(made, "send", lambda content, buffers=None: self.messages.append((content, buffers)))
        monkeypatch.setattr(made, "send_state", lambda key=None: self.states.append(made.get_state(key)))
        monkeypatch.setattr(made, "_later", lambda: None)

    def tokens(self):
        return [token for _, buffers in self.messages for token in unpack(buffers[0])]


@pytest.fixture
def rig():
    r = Rig(bus=BUS).start(eime=0)
    r.entry(5, vector=0x41, dst=6 << 8)
    return r


@pytest.fixture
def shown(rig, monkeypatch):
    made = LiveMap(rig.m, name="big")
    yield made, rig, Wire(made, monkeypatch, now=1000.0)
    made.close()


def words(data):
    return list(memoryview(data).cast("I"))


def test_the_first_events_go_out_at_once_and_the_next_wait_for_the_pause(shown):
    made, rig, wire = shown
    made.show(rig.m, rig.msi(5))
    made.show(rig.m, rig.msi(9))
    assert [token.outcome for token in wire.tokens()] == [Outcome.REMAPPED]
    wire.now += live.PAUSE
    made.show(rig.m, rig.msi(9))
    assert len(wire.messages) == 2
    assert [token.outcome for token in wire.tokens()] == [Outcome.REMAPPED, Outcome.BLOCKED, Outcome.BLOCKED]


def test_the_page_spreads_tokens_over_the_time_between_two_messages():
    (spread,) = re.findall(r"^const SPREAD = (\d+);", (parts.FOLDER / "intake.js").read_text(), re.M)
    assert int(spread) == 1000 * live.PAUSE


def test_a_thousand_interrupts_in_a_second_take_no_more_bytes_than_the_bench_allows(shown):
    made, rig, wire = shown
    for _ in range(5):
        made.show(rig.m, [event for _ in range(200) for event in rig.msi(5)])
        wire.now += live.PAUSE
    sent = sum(len(str(content)) + sum(map(len, buffers)) for content, buffers in wire.messages)
    assert len(wire.tokens()) == 1000
    assert sent + 700 * len(wire.messages) < AIMS["bytes_per_1000"].reach[""]


def test_what_is_too_much_to_draw_is_counted_all_the_same():
    many = [Token(n, 0, 8, n % 3, Outcome.REMAPPED, n % 200) for n in range(1000)]
    drawn, more = thin(many, 400)
    assert len(drawn) == 400
    assert sum(more.values()) == 600
    assert set(more) <= {Token(0, 0, 8, n, Outcome.REMAPPED, 0) for n in range(3)}


def test_a_page_that_opens_gets_the_counts_of_now(shown):
    made, rig, _ = shown
    made.show(rig.m, [*rig.msi(5, NIC), *rig.msi(5, NIC), *rig.msi(9, NIC)])
    state = made.get_state()
    assert state["present"]["total"] == [2, 0, 0, 1, 0, 0, 0, 0]
    assert words(state["present"]["delivered"])[3] == 2
    assert state["present"]["used"] == [b"\5\0\2\0\0\0"]
    assert state["present"]["refused"] == [b"\x09\0\1\0\0\0"]
    assert words(state["present"]["sent"]) == [3, 0, 0]
    assert state["present"]["pending"] == bytes([1 << 3])
    assert len(unpack(state["tape"])) == 3
    assert state["present"]["records"][0].startswith("vIOMMU 0, record 0: reason 0x22")
    assert "index 9, source 00:03.0" in state["present"]["records"][0]


def test_tokens_that_a_new_page_has_counted_are_not_sent_to_it_again(shown):
    made, rig, wire = shown
    made.show(rig.m, rig.msi(5))
    made.show(rig.m, rig.msi(5))
    assert made.get_state("present")["present"]["total"][0] == 2
    made.flush()
    assert len(wire.tokens()) == 1


def test_the_tape_is_bounded(shown, monkeypatch):
    made, rig, _ = shown
    monkeypatch.setattr(live, "TAPE", 7)
    made.show(rig.m, [event for _ in range(20) for event in rig.msi(5)])
    assert len(made.get_state("tape")["tape"]) == HEADER.size + 12 * 7


def test_going_back_and_forth_counts_what_is_done_at_the_cursor(shown):
    made, rig, _ = shown
    states = []
    for index in (5, 9, 5):
        made.show(rig.m, rig.msi(index))
        states.append((rig.m.copy(), made.get_state("present")["present"]["total"]))
    for place in (1, 0, 2):
        made.load(states[place][0])
        assert made.get_state("present")["present"]["total"] == states[place][1]
    made.load(states[0][0])
    rig.m = states[0][0].copy()
    made.show(rig.m, rig.msi(9))
    assert made.get_state("present")["present"]["total"] == [1, 0, 0, 1, 0, 0, 0, 0]


def test_a_step_on_is_shown_moving_and_a_step_back_is_not(shown):
    made, rig, wire = shown
    before = rig.m.copy()
    made.show(rig.m, rig.msi(9))
    wire.messages.clear()
    made.load(before)
    assert (wire.messages, len(wire.states)) == ([], 1)
    made.load(rig.m)
    assert [content["kind"] for content, _ in wire.messages] == ["step"]
    assert [token.irte for token in wire.tokens()] == [9]


def test_an_interrupt_of_a_long_gesture_belongs_to_its_own_command(shown):
    made, rig, _ = shown
    first = rig.msi(5)
    between = rig.m.copy()
    made.show(rig.m, [*first, *rig.msi(9)])
    made.load(between)
    assert made.get_state("present")["present"]["total"] == [1, 0, 0, 0, 0, 0, 0, 0]


def test_a_new_table_makes_a_new_scene_and_keeps_the_counts(monkeypatch):
    r = Rig(bus=BUS)
    made = LiveMap(r.m)
    Wire(made, monkeypatch)
    made.show(r.m, r.raw(0xFEE00000, 0x41, NIC))
    assert made.scene["units"] == [[0, 1, 0, 0]]
    r.start(eime=0, s=8)
    made.show(r.m, [])
    assert made.scene["units"] == [[512, 1, 256, 0]]
    assert sum(made.get_state("present")["present"]["total"]) == 1
    made.close()


def test_a_page_that_missed_something_is_told_and_another_is_not(shown):
    made, rig, wire = shown
    made.show(rig.m, rig.msi(5))
    made._heard(made, {"kind": "hello", "total": 1}, [])
    assert wire.states == []
    made._heard(made, {"kind": "hello", "total": 0}, [])
    assert "present" in wire.states[0]


@pytest.mark.parametrize("content", [None, 7, {}, {"kind": "step"}, {"kind": "step", "by": 10**9}, {"kind": ["x"]}])
def test_other_messages_of_a_page_are_ignored(shown, content):
    made, _, wire = shown
    made.on_step(pytest.fail)
    made._heard(made, content, [])
    assert wire.messages == []


def test_step_buttons_are_the_kernel_s_when_somebody_listens(shown):
    made, _, _ = shown
    steps = []
    assert not made.driven
    made.on_step(steps.append)
    assert made.driven
    made._heard(made, {"kind": "step", "by": -1}, [])
    assert steps == [-1]


@pytest.mark.parametrize("speed", [0, 0.01, 5, "fast"])
def test_a_speed_out_of_range_is_refused(shown, speed):
    with pytest.raises(TraitError):
        shown[0].speed = speed


def test_pending_interrupts_and_records_are_the_machine_s(rig):
    assert pending(rig.m) == b"\0"
    rig.msi(5)
    assert pending(rig.m) == b"\x08"
    rig.do(c.Acknowledge(3))
    assert pending(rig.m) == b"\0"
    assert records(rig.m) == []
    rig.msi(9)
    assert len(records(rig.m)) == 1
    rig.clear()
    assert records(rig.m) == []


def test_the_page_is_told_whether_a_unit_remaps(shown):
    made, rig, wire = shown
    assert made.get_state("present")["present"]["states"] == ["remapping on"]
    made.show(rig.m, [*rig.write("GCMD", 0), *rig.msi(5)])
    assert wire.messages[-1][0]["states"] == ["remapping off"]


@pytest.mark.parametrize("change, rows_too", [
    (lambda r: r.entry(7, vector=0x50), True), (lambda r: r.m.cache.update({5: (1, 2, 3, 4)}), True),
    (lambda r: r.write("GCMD", 0), False),
])
def test_entries_are_read_again_when_what_they_come_from_has_changed(shown, monkeypatch, change, rows_too):
    made, rig, wire = shown
    made.get_state("present")
    made.show(rig.m, rig.msi(5))
    read, rows = [], live.table.entries(rig.m)
    monkeypatch.setattr(live.table, "entries", lambda m, entries=live.table.entries: read.append(m) or entries(m))

    def told():
        read.clear()
        wire.now += live.PAUSE
        made.show(rig.m, rig.msi(5))
        return len(wire.messages[-1][1]) > 4

    assert (told(), read) == (False, [])
    change(rig)
    assert (told(), bool(read)) == (rows_too, True) and (live.table.entries(rig.m) != rows) is rows_too
    assert (told(), read) == (False, [])


def test_a_message_tells_of_the_machine_only_what_is_new(shown):
    """Ten a second go out in a storm, and what they say of the units is the same in all."""
    made, rig, wire = shown
    made.get_state("present")
    made.show(rig.m, rig.msi(5))
    assert set(wire.messages[-1][0]) == {"kind", "clock"}
    wire.now += 1
    made.show(rig.m, rig.msi(9))
    assert len(wire.messages[-1][0].pop("records")) == 1 and set(wire.messages[-1][0]) == {"kind", "clock"}
    wire.now += 1
    made.show(rig.m, [*rig.write("FSTS", 1), *rig.clear(), *rig.msi(5)])
    assert wire.messages[-1][0]["records"] == []
    made._heard(None, {"kind": "hello", "total": sum(made._tally.total)}, [])
    wire.now += 1
    made.show(rig.m, rig.msi(5))
    assert set(wire.messages[-1][0]) == {"kind", "clock", "records", "states", "reach"}


def test_counts_can_be_taken_back(rig):
    s = scene(rig.m)
    tokens = [Token(0, 0, Places(s).vlapic, 5, Outcome.REMAPPED, 65), Token(0, 1, NOBODY, 9, Outcome.BLOCKED, 0x22),
              Token(0, 4, NOBODY, 0, Outcome.BLOCKED | Flag.NO_ENTRY, 0x25)]
    counted = Tally(s)
    counted.add(tokens)
    assert counted.state() != Tally(s).state()
    counted.add(tokens, -1)
    assert counted.state() == Tally(s).state()


# --- pages, and a layout of the caller's ---


def test_a_page_holds_no_markup_of_its_data_and_no_address(rig, tmp_path):
    made = LiveMap(rig.m, rig.msi(5), name="</script><script>alert(1)</script>")
    text = made.to_html(tmp_path / "map.html")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == text
    assert "<script>alert" not in text
    assert text.count("</script>") == 2
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    made.close()


def test_a_page_is_small(rig):
    events = [event for _ in range(1000) for event in rig.msi(5)]
    made = LiveMap(rig.m, events)
    assert len(made.to_html()) < 180_000
    made.close()


def test_a_page_has_a_limit_and_known_themes(rig, monkeypatch):
    monkeypatch.setattr(page, "MOST", 2)
    with pytest.raises(ValueError, match="3 tokens; the limit of a page is 2"):
        page.to_html(scene(rig.m), [Token(0, 0, 8, 0, 0, 0)] * 3)
    with pytest.raises(ValueError, match="theme is 'blue'"):
        page.to_html(scene(rig.m), [], "blue")


def test_the_same_interrupt_lit_again_is_a_change_that_the_page_sees(shown):
    made, rig, _ = shown
    events, seen = rig.msi(5), []
    made.observe(lambda change: seen.append(change["new"]), "lit")
    made.light(events)
    made.light(events)
    assert len(seen) == 2
    assert [token[1:] for token in unpack(seen[0])] == [token[1:] for token in unpack(seen[1])]


def test_a_layout_of_the_caller_s_places_every_node(rig):
    graph = topology.graph(rig.m)
    s = scene(rig.m, layout={node: (n, n % 5) for n, node in enumerate(graph)})
    boxes = slots(s, s["wide"])
    assert len({box[:2] for box in boxes.values()}) == rig.m.vcpus
    end = way(s, s["wide"], Token(0, 0, Places(s).vlapic + 3, 5, Outcome.REMAPPED, 65))[-1]
    x, y, w, h = boxes[3]
    assert end == pytest.approx((x + w / 2, y + h / 2), abs=0.01)


def test_a_layout_that_leaves_a_node_out_is_refused(rig):
    with pytest.raises(ValueError, match="no position for vLAPIC 0"):
        scene(rig.m, layout={node: (0, 0) for node in topology.graph(rig.m) if node != 5 << 24})


def test_another_map_of_a_lab_asks_an_open_one_what_has_happened(rig, monkeypatch):
    lab = Lab(rig.m)
    lab.issue(c.Msi(NIC, *remap_message(5)), c.Msi(NIC, *remap_message(5)), c.Msi(NIC, *remap_message(9)))
    first = lab.map
    lab.goto(lab.position - 1)
    monkeypatch.setattr(lab.history, "events", lambda *given: 1 / 0)
    second = lab.map
    assert {**second.get_state()["present"], "stamp": 0} == {**first.get_state()["present"], "stamp": 0}
    assert second.get_state()["tape"] == first.get_state()["tape"]
    lab.redo()
    first.close()
    assert sum(second.get_state()["present"]["total"]) == 3
    second.close()


def test_the_map_of_a_lab_follows_it(rig):
    watchers = []
    lab = SimpleNamespace(lock=RLock(), machine=rig.m, title="big", assumed=Assumed(), selection=Selection(),
                          history=SimpleNamespace(events=lambda: [], events_of=lambda serial: rig.msi(5, NIC)),
                          observe=watchers.append, unobserve=watchers.remove, observers=())
    made = live.Map(lab)
    before = rig.m.copy()
    watchers[0]("issued", rig.msi(5), rig.m)
    assert made.get_state("present")["present"]["total"][0] == 1
    watchers[0]("moved", [], before)
    assert made.get_state("present")["present"]["total"][0] == 0
    made.vlapic = 3
    assert lab.selection.vlapic == 3
    lab.selection.device = NIC
    assert made.device == NIC
    lab.selection.serial = 1
    assert [token.irte for token in unpack(made.lit)] == [5]
    lab.selection.serial = 0
    assert made.lit == b""
    made.close()
    made.close()
    assert watchers == []
