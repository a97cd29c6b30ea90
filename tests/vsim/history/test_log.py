"""Undo, redo, branch, save and load are moves in one log; the machine at a position never depends on the way there."""

import io
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import scenes
from vsim.history import log as history
from vsim.history import session
from vsim.history.log import History
from vsim.history.said import Said
from vsim.history.session import SessionError
from vsim.machine import run, step
from vsim.state import commands as c
from vsim.state.trace import Act, Kind, node

START = [*scenes.apics(0, 1, 2, 3), *scenes.unit(), scenes.entry(1, vector=0x41, dst=2),
         *scenes.pin(16, 0x8041, 1 << 17)]
CARD = node(Kind.DEVICE, 0x300)


@pytest.fixture(autouse=True)
def dense(monkeypatch):
    """Keyframes and the limit of held events come so early that short tests meet them."""
    monkeypatch.setattr(history, "SPACING", 6)
    monkeypatch.setattr(history, "HELD", 40)


def started():
    made = History(scenes.machine())
    for command in START:
        made.issue(command)
    return made


def replayed(commands):
    m = scenes.machine()
    run(m, commands)
    return m


MANY = st.lists(scenes.commands(), max_size=30)
MOVES = st.lists(st.one_of(scenes.commands(), st.tuples(st.sampled_from(("undo", "redo", "goto")), st.integers(0, 60))),
                 max_size=40)


def move(made, what, number):
    """A move that is possible: the number is cut to what there is."""
    limit = {"undo": made.position, "redo": len(made) - made.position, "goto": len(made)}[what]
    getattr(made, what)(min(number, limit))


@given(MOVES)
def test_any_moves_lead_to_the_machine_of_the_commands_before_the_cursor(moves):
    made, model = started(), list(START)
    for one in moves:
        if isinstance(one, c.Command):
            model = [*model[:made.position], one]
            made.issue(one)
        else:
            move(made, *one)
        assert list(made.commands) == model
    assert made.machine == replayed(model[:made.position])
    assert made.events() == run(scenes.machine(), model[:made.position])


@given(MANY, st.integers(1, 30))
def test_undo_then_redo_is_the_identity(commands, n):
    made = started()
    for command in commands:
        made.issue(command)
    before = made.machine.copy()
    made.undo(min(n, len(made)))
    made.redo(len(made) - made.position)
    assert made.machine.difference(before) == []


@given(MANY)
def test_issuing_returns_what_a_plain_step_returns(commands):
    made, m = started(), replayed(START)
    assert [made.issue(command) for command in commands] == [step(m, command) for command in commands]


@given(MANY, st.integers(0, 60))
def test_save_then_load_is_the_identity(commands, position):
    made = started()
    for command in commands:
        made.issue(command)
    move(made, "goto", position)
    stream = io.BytesIO()
    made.save(stream)
    again = History.load(io.BytesIO(stream.getvalue()))
    assert again.machine == made.machine
    assert (again.position, list(again.commands)) == (made.position, list(made.commands))
    stream_again = io.BytesIO()
    again.save(stream_again)
    assert stream_again.getvalue() == stream.getvalue()


@given(MANY, MANY)
def test_a_branch_leaves_the_original_untouched(left, right):
    made = started()
    made.undo(4)
    saved, before = io.BytesIO(), made.machine.copy()
    made.save(saved)
    other = made.branch()
    for command in right:
        other.issue(command)
    other.undo(len(right))
    assert made.machine == before
    again = io.BytesIO()
    made.save(again)
    assert again.getvalue() == saved.getvalue()
    for command in left:
        made.issue(command)
    assert other.machine == before
    assert list(other.commands) == START[:-4] + right if right else list(other.commands) == START


@given(MANY, st.integers(0, 30))
def test_the_machine_at_a_position_is_independent_of_the_history(commands, position):
    made = started()
    for command in commands:
        made.issue(command)
    position = min(position, len(made))
    m = made.machine_at(position)
    assert m == replayed([*START, *commands][:position])
    before = made.machine.copy()
    step(m, c.Tick(5))
    made.goto(position)
    assert made.machine == replayed([*START, *commands][:position])
    made.goto(len(made))
    assert made.machine == before


def test_a_history_without_commands_is_true():
    assert History(scenes.machine())


def test_time_never_wraps_round_nor_leaves_what_a_file_holds():
    m = replayed([c.Tick((1 << 64) - 1), c.Tick((1 << 64) - 1), scenes.msi(1), c.Tick(5)])
    assert 1 << 63 < m.clock < 1 << 64
    assert History.load(io.StringIO(saved(History(m)))).machine == m


def test_the_owner_of_the_first_machine_may_go_on_with_it():
    m = scenes.machine()
    made = History(m)
    step(m, c.Tick(7))
    made.issue(c.Tick(1))
    made.undo()
    assert made.machine.clock == 0


@pytest.mark.parametrize("what, value, message", [
    ("undo", 2, "undo is 2; the limit is 0 to 1"), ("redo", 1, "redo is 1; the limit is 0 to 0"),
    ("undo", -1, "undo is -1"), ("goto", 2, "position is 2; the limit is 0 to 1"),
    ("goto", "1", "position is '1'"), ("machine_at", 5, "position is 5"), ("command_at", 1, "position is 1"),
    ("events_of", 1, "interrupt 1: there are 1 to 0"), ("events", 3, "start is 3")])
def test_a_move_that_is_not_possible_is_refused_before_anything_changes(what, value, message):
    made = History(scenes.machine())
    made.issue(c.Tick(1))
    before = made.machine.copy()
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(made, what)(value)
    assert (made.position, made.machine) == (1, before)


def test_what_is_no_command_is_refused_before_anything_changes():
    made = started()
    made.undo()
    for wrong in (None, "tick", c.Command(), ["tick", 1]):
        with pytest.raises(ValueError, match="is no command"):
            made.issue(wrong)
    assert len(made) == len(START)


def test_an_interrupt_is_found_by_its_serial_before_and_after_an_undo():
    made = started()
    for index in (1, 2):
        made.issue(scenes.msi(index))
    made.undo(2)
    for serial, end in ((1, Act.ACCEPTED), (2, Act.BLOCKED)):
        events = made.events_of(serial)
        assert {e.serial for e in events} == {serial}
        assert end in [e.act for e in events]
        assert made.machine_before(serial) == replayed([*START, scenes.msi(1)][:len(START) + serial - 1])
        assert made.command_at(made.position_of(serial)) == scenes.msi(serial)


def test_serials_of_a_machine_that_has_already_run_go_on():
    m = replayed([*START, scenes.msi(1)])
    made = History(m)
    made.issue(scenes.msi(1))
    assert made.position_of(2) == 0
    with pytest.raises(ValueError, match="there are 2 to 2"):
        made.events_of(1)


def test_memory_holds_few_events_and_keyframes_however_long_the_log():
    made = started()
    kept = []
    for turn in range(6000):
        made.issue(scenes.msi(1) if turn % 2 else c.Acknowledge(1))
        if turn in (2999, 5999):
            kept.append(len(made._places))
    assert sum(map(history._number, made._held.values())) <= history.HELD
    assert kept[1] <= kept[0] + 12 <= 90
    assert made.size() < 100 * len(made)
    assert made.events(0, 40) == run(scenes.machine(), [*START, *list(made.commands)[len(START):40]])


def test_events_with_a_negative_number_are_held_as_they_were():
    bad = c.Domctl(b"\0" * 8)
    made = history.History(scenes.machine())
    wanted = [*made.issue(scenes.msi(1)), *made.issue(bad)]
    assert made.events() == wanted
    told = [event._replace(low=-22) for event in wanted]
    assert history._hold(told) == told and isinstance(history._hold(wanted), bytes)


def test_keyframes_hold_what_is_equal_once_and_going_back_changes_none_of_them():
    made = started()
    for _ in range(600):
        made.issue(scenes.msi(1))
    frames = [made._frames[place] for place in made._places]
    saved = [frame.save() for frame in frames]
    assert len({id(frame.svr) for frame in frames[-5:]}) == 1
    made.goto(made._places[-2])
    made.issue(c.Msr(1, 0x80F, 0))
    assert [frame.save() for frame in frames] == saved


def test_keyframes_are_dense_near_the_cursor_and_sparse_far_away():
    made = started()
    for _ in range(2000):
        made.issue(scenes.msi(1))
    made.goto(1000)
    before = [place for place in made._places if place <= 1000]
    assert 1000 - before[-1] <= 2
    assert before[-1] - before[-2] <= 4
    assert before[2] - before[1] >= 20
    assert made._places[-1] - made._places[-2] >= 20


def test_a_log_gives_back_what_it_was_given():
    log = session.Log()
    rows = [c.Tick(1), c.RamWrite(0x1000, b"\x00\xff\n"), c.Reset(), c.Msi(0xFFFF, (1 << 64) - 1, 0xFFFFFFFF)]
    for row in rows:
        log.append(row)
    assert list(log) == rows
    assert log[1:3] == rows[1:3]
    assert log[-1] == rows[-1]
    with pytest.raises(IndexError):
        log[4]
    other = log.copy()
    log.cut(1)
    assert (list(log), list(other)) == (rows[:1], rows)


# --- files ---


def saved(made=None):
    stream = io.StringIO()
    (made or started()).save(stream)
    return stream.getvalue()


def changed(**members):
    head, _, rest = saved().partition("\n")
    head = {key: value for key, value in (json.loads(head) | members).items() if value is not None}
    return json.dumps(head) + "\n" + rest


def test_a_file_is_written_and_read_by_its_path(tmp_path):
    made = started()
    made.undo(3)
    made.save(tmp_path / "a.jsonl")
    again = History.load(tmp_path / "a.jsonl")
    assert (again.machine, again.position, len(again)) == (made.machine, made.position, len(made))
    with open(tmp_path / "a.jsonl", encoding="utf-8") as stream:
        assert History.load(stream).machine == made.machine


def test_edited_costs_are_kept_in_the_file():
    m = scenes.machine()
    m.costs[Act.SENT] = 12345
    made = History(m)
    made.issue(scenes.msi(1))
    again = History.load(io.StringIO(saved(made)))
    assert again.events() == made.events()
    assert again.machine.clock == made.machine.clock >= 12345


def test_what_is_said_is_kept_in_the_file_as_plain_text():
    told = Said(("memory is not given\x1b[2J",), (("its pin is A", (CARD,)),), ((CARD, "the card"),))
    stream = io.StringIO()
    started().save(stream, told)
    assert session.parse(stream.getvalue()).said == told._replace(notes=("memory is not given\\x1b[2J",))
    assert session.parse(saved()).said == Said() and "notes" not in saved().partition("\n")[0]
    with pytest.raises(ValueError, match="2001 things are assumed, of 0 elements; the limits are 2000 and 1"):
        started().save(stream, Said(assumed=(("x", ()),) * 2001))


def with_line(number, line):
    lines = saved().split("\n")
    lines[number - 1] = line
    return "\n".join(lines)


@pytest.mark.parametrize("text, line, column, message", [
    ("", 1, 1, "not JSON: Expecting value"), ("{}\n", 1, 1, "not a session of version 1"),
    ("[]\n", 1, 1, "not a session"), ("{", 1, 2, "cut off"), ("{\n", 1, 2, "not JSON: Expecting property name"),
    ("[" * 100_000 + "\n", 1, 101, "not JSON: more than 100"),
    ("9" * 5000 + "\n", 1, 1, "not JSON: Exceeds the limit"),
    (changed(**{"vsim-session": 2}), 1, 1, "not a session of version 1"),
    (changed(more=1), 1, None, "'more' is not known here"),
    (changed(cursor=-1), 1, 1, "cursor is '-1'"), (changed(cursor=10**6), 1, 1, f"allowed are 0 to {len(START)}"),
    (changed(cursor=None), 1, 1, "cursor is 'None'"), (changed(cursor=1.0), 1, 1, "cursor is '1.0'"),
    (changed(commands=10**6 + 1), 1, 1, "allowed are 0 to 1000000"), (changed(commands=len(START) + 1), 1, 1, "found"),
    (changed(machine=3), 1, 1, "not a saved machine"), (changed(machine={"vsim": 2}), 1, 1, "not a saved machine"),
    (changed(costs=[]), 1, 1, "costs is not an object"), (changed(costs={"NAP": 1}), 1, 1, "'NAP' is no act"),
    (changed(costs={"SENT": -1}), 1, 1, "'SENT' is no act, or its cost"),
    (changed(notes=[3]), 1, 1, "a note is no text of at most 400 characters"),
    (changed(assumed=[["x", [9 << 24]]]), 1, 1, "'150994944' is no element"),
    (changed(assumed=[["x", [CARD] * 2000]] * 51), 1, 1, "assumed has more than 100000 elements"),
    (changed(names={}), 1, 1, "names is no list of at most 2000"),
    (with_line(3, "[]"), 3, 1, "not a command"), (with_line(3, ""), 3, 1, "not JSON"),
    (with_line(4, '["tick",1'), 4, 10, "not JSON"), (with_line(4, '["tick",true]'), 4, 1, "expected an int"),
    (with_line(4, '["tick",1e999]'), 4, 1, "expected an int"), (with_line(5, '["nap",1]'), 5, 1, "tags are"),
    (with_line(5, '["ram",0,"zz"]'), 5, 1, "hex"), (with_line(5, '["ack",5000]'), 5, 1, "the limit is 0xfff"),
    (saved()[:-1], len(START) + 1, None, "cut off")])
def test_a_broken_file_is_refused_with_its_place(text, line, column, message):
    with pytest.raises(SessionError) as caught:
        History.load(io.StringIO(text))
    assert message in caught.value.message
    assert caught.value.line == line
    assert column in (None, caught.value.column)
    assert str(caught.value).startswith(f"session:{line}:")


def test_bytes_that_are_not_utf8_are_refused_with_their_place(tmp_path):
    broken = saved().encode().replace(b'["ack', b'["\xff')[:-4] + b"\xff\n"
    place = (broken.count(b"\n"), len(broken) - broken.rindex(b"\n", 0, -1) - 2)
    (tmp_path / "a.jsonl").write_bytes(broken)
    for source in (tmp_path / "a.jsonl", io.BytesIO(broken)):
        with pytest.raises(SessionError, match="found byte 0xff; allowed: UTF-8") as caught:
            History.load(source)
        assert (caught.value.line, caught.value.column) == place


def test_an_interface_version_that_nobody_knows_is_refused():
    head = json.loads(saved().partition("\n")[0])
    head["machine"]["profile"]["options"]["interface"] = "v9"
    with pytest.raises(SessionError, match="interface is 'v9'; allowed are 'v1', 'v1-corrected'"):
        History.load(io.StringIO(json.dumps(head) + "\n" + saved().partition("\n")[2]))


@pytest.mark.parametrize("limit, value", [("MAX_BYTES", 1000), ("MAX_COMMANDS", 3)])
def test_sizes_are_bounded_both_ways(monkeypatch, limit, value):
    text = saved()
    monkeypatch.setattr(session, limit, value)
    with pytest.raises(SessionError, match="allowed"):
        History.load(io.StringIO(text))
    with pytest.raises(ValueError, match="the limits are"):
        saved()


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SessionError, match=r"none\.jsonl:1:1: cannot be read"):
        History.load(tmp_path / "none.jsonl")


@settings(max_examples=300)
@given(st.data())
def test_a_file_with_damage_anywhere_is_loaded_or_refused_but_never_raises_anything_else(data):
    text = saved()
    at = data.draw(st.integers(0, len(text) - 1))
    junk = data.draw(st.text(alphabet='0123456789-.eE"[]{}:,\\nulltruAfz= \n', max_size=6))
    broken = text[:at] + junk + text[at + data.draw(st.integers(0, 8)):]
    try:
        made = History.load(io.StringIO(broken))
    except SessionError as error:
        assert 1 <= error.line <= broken.count("\n") + 1
    else:
        made.issue(scenes.msi(1))
