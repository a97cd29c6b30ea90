"""Races: what each order comes to, with every duty done and with one left out; and that parallel runs say the same."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from vsim.cli.main import main
from vsim.scale.races import BAD, RACES, WORDS, race, table


def words(name, *skip):
    return [order.word for order in race(RACES[name], skip)]


@pytest.mark.parametrize("name, skip, wanted", [
    ("move, remapped", (), "old old old old old new new"),
    ("move, remapped", ("invalidate",), "old old"),
    ("move, masked", (), "old late late late late new"),
    ("move, masked", ("mask",), "old misrouted misrouted new new"),
    ("move, torn", (), "old half half new"),
    ("mask and unmask", (), "old late late late late old"),
    ("free and reuse", (), "old old old old old" + " blocked" * 8),
    ("free and reuse", ("source",), "old old old old old" + " blocked" * 2 + " misrouted" * 6),
    ("table switch", (), "old" + " old" * 9 + " new" * 2),
    ("table switch", ("flush",), "old" + " old" * 6)])
def test_what_each_order_comes_to(name, skip, wanted):
    assert words(name, *skip) == wanted.split()


@pytest.mark.parametrize("name, skip, wanted", [
    ("move, remapped", (), {(3, 0x61), (5, 0x93)}),
    ("move, masked", ("mask",), {(3, 0x61), (5, 0x61), (5, 0x93)}),
    ("move, torn", (), {(3, 0x61), (3, 0x93), (5, 0x93)}),
    ("free and reuse", ("source",), {(3, 0x61), (5, 0xB5)}),
    ("table switch", (), {(3, 0x61), (5, 0x61)})])
def test_the_numbers_of_an_arrival_tell_where_and_which(name, skip, wanted):
    """No vCPU is another's APIC ID, and no two vectors are neighbours: a half change is seen in the numbers alone."""
    assert {taken for order in race(RACES[name], skip) for taken in order.took} == wanted


def test_a_kernel_that_does_its_duties_loses_doubles_and_misroutes_nothing():
    assert not {word for name in RACES for word in words(name)} & BAD


def test_a_correct_unit_may_use_the_old_entry_until_the_invalidation_is_known_to_be_done():
    orders = race(RACES["move, remapped"])
    assert [len(order.may) for order in orders] == [1, 2, 2, 2, 2, 1, 1]
    assert orders[0].may != orders[-1].may
    never = race(RACES["move, remapped"], ("invalidate",))
    assert {*orders[-1].may, *orders[0].may} <= {*never[-1].may}


def test_what_happened_is_among_what_a_correct_unit_may_do():
    for name in RACES:
        for order in race(RACES[name]):
            if order.word in ("old", "new", "half"):
                ((_, vector),) = order.took
                assert any(f"vector {vector:#x}," in each for each in order.may), (name, order)


def test_orders_run_in_parallel_are_the_same():
    with ThreadPoolExecutor(2) as executor:
        assert race(RACES["free and reuse"], (), executor) == race(RACES["free and reuse"])


def test_every_word_has_its_sentence():
    assert {word for name in RACES for word in words(name)} <= {*WORDS} and {*WORDS} > BAD


def test_the_table_has_a_line_for_each_order():
    orders = race(RACES["move, torn"])
    lines = table(orders).splitlines()
    assert len(lines) == 1 + len(orders)
    assert Counter(line.split()[1] for line in lines[1:]) == Counter(order.word for order in orders)


def test_the_command_says_whether_an_order_is_bad(capsys):
    assert main(["race", "move, masked"]) == 0
    assert "late: the device keeps it until its message is unmasked" in capsys.readouterr().out
    assert main(["race", "move, masked", "--skip", "mask", "--json"]) == 1
    assert [each["word"] for each in json.loads(capsys.readouterr().out)["move, masked"]][1] == "misrouted"
