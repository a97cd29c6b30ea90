"""Every quirk of the series: its row, its scenario, and that the faithful and the corrected machine differ there."""

import pytest

from vsim.review.scenarios import SCENARIOS, observe
from vsim.state.profile import profile
from vsim.state.quirks import QUIRKS

ROWS = {id_: row for id_, row in QUIRKS.items() if id_.startswith("xen.D")}
ASKED = {1, 2, 3, 5, 6, *range(8, 14), *range(15, 19), *range(20, 26), *range(27, 35), *range(36, 40), 42, 43}
WITHOUT_SWITCH = {19, 26, 35, 40, 41, 44, 45}


def test_the_catalogue_has_all_45_rows():
    assert sorted(int(id_[5:]) for id_ in ROWS) == list(range(1, 46))


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda r: r.id)
def test_a_row_says_what_is_done_what_would_be_right_and_what_is_seen(row):
    assert row.name and row.does and row.should and row.observed and row.sure and row.versions


def test_every_quirk_that_must_be_switchable_has_a_scenario():
    assert {n for n in ASKED if f"xen.D{n}" not in SCENARIOS} == set()


def test_rows_that_are_told_only_say_so():
    assert {int(id_[5:]) for id_, row in ROWS.items() if not row.switch} == WITHOUT_SWITCH


@pytest.mark.parametrize("id_", [id_ for id_, s in SCENARIOS.items() if not s.same])
def test_the_faithful_and_the_corrected_machine_differ_in_the_scenario(id_):
    assert observe(id_, True) != observe(id_, False)


@pytest.mark.parametrize("id_", [id_ for id_, s in SCENARIOS.items() if s.same])
def test_where_hardware_does_the_same_both_machines_show_it(id_):
    assert observe(id_, True) == observe(id_, False)


@pytest.mark.parametrize("id_, shown", [
    ("xen.D1", ("create 0", "result -19", "state 0")),
    ("xen.D5", ("GSTS 0x1000000", "taken by vCPU 1 vector 0x41")),
    ("xen.D12", ("taken by vCPU 1 vector 0x41", "hypervisor would crash here")),
    ("xen.D16", ("record 0x0000000000005000 0x0800000220000000",)),
    ("xen.D17", ("record 0x0000000000005000 0x0800000220000000", "FSTS 0x0", "events sent 0")),
    ("xen.D18", ("FSTS 0x1", "FSTS 0x0")),
    ("xen.D25", ("walks 1048576 entries", "FSTS 0x0")),
    ("xen.D28", ("routed to vCPU 0", "taken by vCPU 128 vector 0x41")),
    ("xen.D38", ("DMAR of 72 bytes", "width byte 255", "flags 0", "base 0x0")),
    ("xen.D42", ("vCPU 0: LAPIC id 0", "vCPU 127: LAPIC id 254", "vCPU 128: LAPIC id 0")),
    ("xen.D34", ("taken by vCPU 256 vector 0x41, vCPU 258 vector 0x41",)),
])
def test_the_faithful_machine_shows_what_the_series_did(id_, shown):
    assert observe(id_, True) == shown


def test_an_unknown_quirk_is_refused_by_name():
    with pytest.raises(ValueError, match=r"xen\.D99"):
        observe("xen.D99", True)


def test_each_profile_of_the_series_carries_the_quirks_of_its_version():
    assert "xen.D5" in profile("xen-v1").quirks and "xen.D5" not in profile("xen-v4").quirks
    assert "xen.D17" in profile("xen-v3").quirks
    assert "xen.D34" in profile("xen-v4").quirks
