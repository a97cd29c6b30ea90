"""Five ways to link a host's units to a guest's: what each offers, promises, and can say."""

import pytest

from vsim.domain import host
from vsim.domain.host_answers import ASPECTS, POLICIES, PRECEDENTS
from vsim.domain.host_features import FEATURES, HARDWARE, MODEL, Words, combine, less, names, promised
from vsim.domain.host_policies import Answer, link, migrate, natural_groups, passed_through, plug, query
from vsim.layouts.registers import CAP, ECAP
from vsim.readers import lspci
from vsim.state.profile import Capabilities

PLAIN = Capabilities()
STRONG = Words(0x8D2078C106F0466, 0xF020DF)      # PI, DT, IR, EIM, SC
WEAK = Words(0xD2008C40660462, 0x30004A)         # IR without EIM, MHMV 3
FIRST, SECOND, THIRD = 0xFED90000, 0xFED91000, 0xFED92000
NIC, DISK = 0x0300, 0x0400


def two():
    return host.declared((FIRST, [NIC], *STRONG), (SECOND, [DISK], *WEAK))


def offered(plan):
    return [{f.name: f.of(unit.capabilities) for f in MODEL} for unit in plan.units]


ALL = {"QI": 1, "IR": 1, "EIM": 1, "MHMV": 15, "PI": 1, "ESIRTPS": 0}
LEAST = ALL | {"EIM": 0, "MHMV": 3, "PI": 0}
OWN = ALL | {"PI": 0}


# --- the data ---


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_a_policy_says_what_it_means_in_every_aspect_with_a_grade(policy):
    assert tuple(policy.meaning) == ASPECTS and all(text.endswith(".") for text in policy.meaning.values())
    assert policy.answer and policy.grade and policy.spread in ("domain", "unit", "group")


def test_what_the_series_did_and_what_others_did_is_told_with_grades():
    assert {row.grade for row in PRECEDENTS} == {"read", "A"}
    assert "I" in POLICIES["unlinked"].grade


def test_features_come_after_those_that_they_need_and_say_who_stands_for_them():
    assert [f.name for f in FEATURES][:3] == ["QI", "IR", "EIM"]
    assert {f.by for f in MODEL} == {"model"} and {f.by for f in HARDWARE} == {"hardware"}
    assert all(f.doc and f.broken for f in FEATURES)


# --- combining ---


@pytest.mark.parametrize("rule, eim, mhmv, pi", [(min, 0, 3, 0), (max, 1, 15, 1)])
def test_the_rule_is_applied_to_flags_and_sizes(rule, eim, mhmv, pi):
    made = combine(PLAIN, [STRONG, WEAK], rule)
    assert (made.ecap >> 4 & 1, made.ecap >> 20 & 15, made.cap >> 59 & 1) == (eim, mhmv, pi)


def test_what_is_no_feature_stays_the_models_own():
    made = combine(PLAIN, [STRONG], max)
    features = {f.place.name for f in MODEL}
    for layout, one, other in ((CAP, PLAIN.cap, made.cap), (ECAP, PLAIN.ecap, made.ecap)):
        assert {name for name, value in layout.split(one).items() if value != layout.split(other)[name]} <= features
    assert made.shape == PLAIN.shape and combine(PLAIN, [], max) == PLAIN


def test_of_dma_a_viommu_promises_nothing_in_its_registers():
    made = combine(PLAIN, [STRONG], max)
    assert not made.ecap & (ECAP.dt.mask | ECAP.sc.mask | ECAP.prs.mask | ECAP.nest.mask)
    assert (promised([STRONG, WEAK], max), promised([STRONG, WEAK], min)) == ({"DT", "SC"}, frozenset())


def test_less_names_what_is_missing():
    assert names(less(STRONG, WEAK)) == "EIM, MHMV, PI" and names(less(WEAK, STRONG)) == "nothing"


# --- linking ---


@pytest.mark.parametrize("policy, features, units, dma", [
    ("unlinked", [OWN], [()], [set()]),
    ("intersection", [LEAST], [(0, 1)], [set()]),
    ("union", [ALL], [(0, 1)], [{"DT", "SC"}]),
    ("per-unit", [ALL, LEAST], [(0,), (1,)], [{"DT", "SC"}, set()]),
    ("per-group", [ALL, LEAST, OWN], [(0,), (1,), ()], [{"DT", "SC"}, set(), set()]),
])
def test_what_each_viommu_offers_and_stands_for(policy, features, units, dma):
    plan = link(two(), policy, [NIC, DISK])
    assert offered(plan) == features
    assert [unit.units for unit in plan.units] == units and [set(unit.dma) for unit in plan.units] == dma
    assert len(plan.rows()) == len(units)


@pytest.mark.parametrize("policy, numbers", [
    ("unlinked", (0, 0, 0)), ("intersection", (0, 0, 0)), ("union", (0, 0, 0)), ("per-unit", (0, 1, 1)),
    ("per-group", (0, 1, -1))])
def test_which_viommu_a_device_of_the_host_is_behind(policy, numbers):
    plan = link(two(), policy, [NIC, DISK])
    assert tuple(plan.unit_of(bdf) for bdf in (NIC, DISK, 0x0500)) == numbers


def test_a_host_whose_units_are_not_known_can_be_left_unlinked():
    bare = host.Host(two().units)
    assert offered(link(bare, "unlinked")) == [OWN]
    for policy in set(POLICIES) - {"unlinked", "per-group"}:
        with pytest.raises(ValueError, match="are not known: a DMAR table does not hold them"):
            link(bare, policy)


def test_the_features_go_on_top_of_whatever_device_model_there_is():
    model = PLAIN.having(fault_records=4)
    assert link(two(), "unlinked").capabilities(model) == (model,)
    made = link(two(), "per-group", [NIC, DISK]).capabilities(model)
    assert [each.shape for each in made] == [model.shape] * 3 and made[2] == model
    assert [each.ecap >> 4 & 1 for each in made] == [1, 0, 1]


@pytest.mark.parametrize("make, message", [
    (lambda: link(two(), "both"), "no policy 'both'; there are unlinked, intersection, union, per-unit, per-group"),
    (lambda: link(two(), "per-group", groups=[[NIC], [NIC]]), "03:00.0 is in group 0 and in group 1"),
    (lambda: query(link(two(), "union"), "v9"), "no interface version 'v9'"),
])
def test_what_cannot_be_linked_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


LSPCI = """00:1c.0 PCI bridge: Root Port
\tBus: primary=00, secondary=03, subordinate=04, sec-latency=0
03:00.0 Ethernet controller: NIC
04:00.0 Non-Volatile memory controller: NVMe
00:02.0 Display controller: GPU
00:02.1 Display controller: GPU
"""


def test_functions_below_one_port_stay_together_and_so_do_those_of_one_device():
    machine = host.declared((FIRST, [], *STRONG), functions=lspci.parse(LSPCI))
    places = [(0, NIC), (0, 0x0010), (0, DISK), (0, 0x0011)]
    assert natural_groups(machine, places) == [[(0, NIC), (0, DISK)], [(0, 0x0010), (0, 0x0011)]]
    assert natural_groups(two(), places[:3]) == [[(0, NIC)], [(0, 0x0010)], [(0, DISK)]]


def test_a_group_over_two_units_gets_what_both_have():
    plan = link(two(), "per-group", groups=[[NIC, DISK]])
    assert offered(plan) == [LEAST, OWN] and plan.units[0].units == (0, 1)


# --- what it means ---


@pytest.mark.parametrize("policy, bdf, ok, lacks", [
    ("unlinked", DISK, True, ()), ("intersection", DISK, True, ()), ("union", NIC, True, ()),
    ("union", DISK, False, ("DT", "SC")), ("per-unit", DISK, True, ()), ("per-group", DISK, True, ()),
    ("per-group", 0x0500, False, ())])
def test_what_a_passed_through_device_gets(policy, bdf, ok, lacks):
    found = passed_through(link(two(), policy, [NIC, DISK]), bdf)
    assert (found.ok, found.value) == (ok, lacks) and found.sentence and found.grade


def test_of_software_nothing_is_lost_behind_a_weak_unit():
    plan = link(host.declared((FIRST, [NIC], 0, 0x5A), (SECOND, [DISK], 0, 0x4A)), "union")
    found = passed_through(plan, DISK)
    assert found.ok and "EIM by software alone" in found.sentence


@pytest.mark.parametrize("policy, bdf, ok, number", [
    ("unlinked", 0x0500, True, 0), ("intersection", 0x0500, True, 0), ("union", 0x0500, False, 0),
    ("per-unit", 0x0500, True, 1), ("per-group", 0x0500, False, -1)])
def test_where_a_device_that_arrives_later_goes(policy, bdf, ok, number):
    found = plug(link(two(), policy, [NIC, DISK]), bdf)
    assert (found.ok, found.value) == (ok, number)


def test_a_device_behind_a_unit_that_nobody_counted_has_no_place():
    only = host.Host(two().units[:1], {FIRST: STRONG})
    assert plug(link(only, "per-unit"), 0x0500).value == -1
    assert "no vIOMMU" in passed_through(link(only, "per-unit"), 0x0500).sentence
    assert "no unit of the host" in passed_through(link(only, "union"), 0x0500).sentence


WEAKER = {"same": two(), "all weak": host.declared((FIRST, [], *WEAK), (SECOND, [], *WEAK)),
          "one unit": host.declared((FIRST, [], *STRONG)), "one weak": host.declared((FIRST, [], *WEAK))}


@pytest.mark.parametrize("policy, target, ok, lost", [
    ("unlinked", "one weak", True, ()),
    ("intersection", "same", True, ()), ("intersection", "one weak", True, ()),
    ("union", "same", True, ()), ("union", "one unit", True, ()),
    ("union", "all weak", False, ((0, "DT"), (0, "SC"))),
    ("per-unit", "same", True, ()), ("per-unit", "all weak", False, ((0, "DT"), (0, "SC"))),
    ("per-unit", "one unit", False, ()),
    ("per-group", "same", True, ()), ("per-group", "one unit", True, ()),
    ("per-group", "one weak", False, ((0, "DT"), (0, "SC"))),
])
def test_whether_a_guest_can_move_to_a_weaker_host(policy, target, ok, lost):
    found = migrate(link(two(), policy, [NIC, DISK]), WEAKER[target])
    assert (found.ok, found.value) == (ok, lost)
    assert found.sentence.endswith(".") and "I" in found.grade


def test_an_intersection_of_strong_units_does_not_hold_on_a_host_with_a_weak_one():
    strong = host.declared((FIRST, [], *STRONG), (SECOND, [], *STRONG))
    found = migrate(link(strong, "intersection"), two())
    assert found.value == ((0, "DT"), (0, "SC"))
    assert "EIM, MHMV, PI: less in the target's units; software goes on to offer it." in found.sentence


def test_the_number_of_units_that_are_missing_is_told():
    assert "Units that the target does not have: 1;" in migrate(link(two(), "per-unit"), WEAKER["one unit"]).sentence


# --- query ---


@pytest.mark.parametrize("policy", POLICIES)
def test_the_query_answers_one_word_for_the_type_whatever_the_policy(policy):
    found = query(link(two(), policy, [NIC, DISK]))
    assert found.value == (0, 1) and found.grade == "run"


@pytest.mark.parametrize("policy, cannot", [
    ("unlinked", "It cannot say what else is offered (EIM, MHMV)."),
    ("intersection", "It cannot say what else is offered (MHMV)."),
    ("per-unit", "It cannot say that there are 2 units, and which device is behind which; nor that EIM, MHMV, PI "
                 "differ between them; nor what else is offered (EIM, MHMV, PI)."),
])
def test_what_the_query_cannot_say_depends_on_the_policy(policy, cannot):
    found = query(link(two(), policy, [NIC, DISK]))
    assert cannot in found.sentence and not found.ok


def test_a_unit_with_nothing_but_remapping_is_all_that_the_word_can_say():
    found = query(link(host.declared((FIRST, [], 0, 0xA)), "per-unit"))
    assert found.ok and "That is all there is to say." in found.sentence


@pytest.mark.parametrize("version, ok, value", [("v1", False, (0, 1)), ("v1-corrected", False, (0, 1)),
                                                ("v2", False, (0, 1)), ("v3", False, ()), ("v4", False, ())])
def test_versions_answer_or_have_no_query(version, ok, value):
    found = query(link(two(), "union"), version)
    assert (found.ok, found.value) == (ok, value)
    assert isinstance(found, Answer)
