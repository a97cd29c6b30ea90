"""Sizes: the limits of real cases with known answers, where each bites, and that a figure can be replaced."""

import json

import pytest

from tests.places import DATA
from vsim.cli.main import main
from vsim.scale.limits import FIGURES, LIMITS, Demand, crossing, figures, gathered, least_online, loads, sized


def use(demand, name, **changes):
    return next(row for row in sized(demand, changes) if row.limit.name == name)


@pytest.mark.parametrize("form, step, at", [
    ("compatibility", 2, 129), ("compatibility", 1, 256), ("extended", 2, 0), ("remapped", 2, 0)])
def test_vcpus_are_out_of_reach_from_a_number_on(form, step, at):
    assert crossing(Demand(1, form=form, apic_id_step=step), "APIC IDs") == at


def test_a_host_of_288_cores_holds_its_interrupts_but_not_on_a_dozen_cores():
    """A public report: 288 cores, 2,400 to 2,800 interrupts, 203 vectors a core; cores are taken offline."""
    for interrupts, online in ((2400, 12), (2800, 14)):
        demand = Demand(288, devices=((2048, 700),) * 4 if interrupts == 2800 else ((2048, 600),) * 4)
        assert demand.queues == interrupts
        row = use(demand, "vectors", vectors=203)
        assert (row.need, row.room) == (interrupts, 288 * 203)
        assert row.use < 1
        assert least_online(demand, {"vectors": 203}) == online


def test_a_second_drive_of_2048_vectors_finds_no_routes():
    """A public report: a drive announces 2,048 vectors, a KVM domain has 4,096 routes."""
    one, two = (Demand(8, devices=((2048, 9),) * count, pins=24) for count in (1, 2))
    assert use(one, "routes").use < 1
    assert (use(two, "routes").need, use(two, "routes").room) == (4120, 4096)
    assert use(Demand(8, devices=((2048, 9),) * 2, pins=24, all_routed=False), "routes").need == 42


def test_gathering_bounds_the_rate_of_a_queue():
    """A public report: 75,000 interrupts a second and queue, 5,000 when a device gathers for 200 microseconds."""
    assert gathered(75_000, 0) == 75_000
    assert gathered(75_000, 200) == 5_000
    assert gathered(1_000, 200) == 1_000
    busy, calm = (next(loads(Demand(4, devices=((8, 4),), rate=75_000, batch_us=us))) for us in (0, 200))
    assert (busy.rate, calm.rate) == (300_000, 20_000)
    assert busy.cpus == pytest.approx(15 * calm.cpus, rel=0.05)


def test_posted_interrupts_cost_no_exit_and_passed_through_ones_do():
    ways = {load.way: load for load in loads(Demand(4, devices=((8, 4),), rate=1000))}
    assert ways["posted"].exits == 0 < ways["passed through"].exits
    assert ways["posted"].cpus < ways["passed through"].cpus


def test_the_table_of_entries_bites_where_its_index_ends():
    full = Demand(4096, devices=((2048, 2048),) * 32)
    assert (use(full, "table entries").need, use(full, "table entries").room) == (65536, 65536)
    assert use(Demand(4096, devices=((2048, 2048),) * 32, pins=1), "table entries").use > 1
    assert use(Demand(4096, devices=((2048, 2048),) * 32, form="extended"), "table entries").need == 0


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_rests_on_figures_with_a_source(name):
    for rests in LIMITS[name].rests:
        assert FIGURES[rests].source and FIGURES[rests].grade in ("defined", "measured", "published", "assumed")
        assert LIMITS[name].room(Demand(16), figures()) >= 0


@pytest.mark.parametrize("changes, message", [({"legs": 2}, "no figure 'legs'; figures are id_bits_8, "),
                                              ({"pins": -1}, "pins is -1; the limit is 0 to 4294967296")])
def test_a_figure_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError) as caught:
        sized(Demand(1), changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("values, message", [({"vcpus": 0}, "vcpus is 0; the limit is 1 to 4096"),
                                             ({"form": "x"}, "form is 'x'"), ({"rate": -1}, "rate is -1")])
def test_a_demand_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Demand(**{"vcpus": 4} | values)


def test_the_command_names_what_bites_first(capsys):
    files = [str(DATA / "big-noviommu.cfg"), "--lspci", str(DATA / "big.lspci")]
    assert main(["size", *files, "--queues", "4", "--rate", "1000"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "BITES  APIC IDs: 288 of 128 vCPUs that a device interrupt can name; bites from 129 vCPUs on" in lines[1]
    assert main(["size", *files, "--queues", "4", "--form", "remapped", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in found["limits"]} == {*LIMITS}
    assert main(["size", *files, "--queues", "4", "--form", "remapped", "--set", "vectors=0"]) == 1
    assert "BITES  vectors" in capsys.readouterr().out.splitlines()[1]


def test_a_figure_that_there_is_not_is_bad_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["size", "x.cfg", "--set", "legs=4"])
    assert "no figure 'legs'" in capsys.readouterr().err
