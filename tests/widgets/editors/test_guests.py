"""The guest's panel: its answers stand beside their buttons, its beliefs beside what memory holds."""

import pytest

from vsim.layouts.bits import put
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import FSTS
from vsim.machine import unit_register
from vsim.state.trace import Act
from widgets.editors import entries
from widgets.editors.beliefs import beliefs, name, otherwise, sources
from widgets.editors.guests import MOST_ROWS, believed
from widgets.lab import Lab

CONFIG = """name = "host"
vcpus = 8
memory = 64
viommu = "type=vtd,intremap=1,x2apic=1"
pci = ["03:00.0", "04:00.0"]
"""
NIC = 0x0300


@pytest.fixture
def lab():
    made = Lab.from_config(CONFIG)
    made.boot()
    return made


@pytest.fixture
def panel(lab):
    made = lab.guest
    yield made
    made.close()


def source(lab, message=2):
    return lab.kernel.guest.sources[NIC][message]


def rewrite(lab, index, told=True, **fields):
    """Write an entry behind the guest's back."""
    entry = entries.stored(lab.machine, 0, index)
    for field, value in fields.items():
        entry = put(entry, getattr(IRTE, field), value)
    wanted = entries.write_commands(lab.machine, 0, index, entry)
    lab.issue(*wanted, *(entries.invalidate_commands(lab.machine, 0, index) if told else ()))


# --- beside the button ---


def test_a_refusal_stands_right_below_the_button_that_asked():
    lab = Lab.from_config("vcpus = 288\ntype = 'hvm'\nmemory = 64\npci = ['03:00.0']\n")
    lab.boot()
    panel = lab.guest
    panel.vcpu.value = 287
    panel.guarded(panel._move)
    assert "The guest refuses: " in panel.moved.value and panel.status.value == ""
    row = next(n for n, each in enumerate(panel.children) if panel.source in getattr(each, "children", ()))
    assert panel.children[row + 1] is panel.moved
    panel.vcpu.value = 3
    assert panel.moved.value == "", "another question: the former answer goes"
    panel.close()


def test_what_was_done_is_said_there_too(panel):
    panel.source.value = name(source(panel.lab))
    panel.vcpu.value = 6
    panel.guarded(panel._move)
    assert "goes to vCPU 6 now" in panel.moved.value
    assert source(panel.lab).vcpu == 6


def test_without_a_guest_the_button_says_so():
    lab = Lab.from_config(CONFIG)
    panel = lab.guest
    panel.guarded(panel._move)
    assert "boot the guest first" in panel.moved.value
    panel.close()


# --- beliefs ---


def test_after_the_boot_memory_is_what_the_guest_believes(lab):
    known = list(beliefs(lab.machine, lab.kernel.guest))
    assert [each.name for each in known] == [name(each) for each in sources(lab.kernel.guest)]
    assert [each.otherwise for each in known] == [""] * len(known)
    assert "memory differs" not in believed(known)


@pytest.mark.parametrize("fields, said", [
    ({"dst": 10}, "vCPU 5, vector"), ({"p": 0}, "not present"), ({"vector": 0x99}, "vector 0x99"),
    ({"dst": 0xFFFF}, "vCPU nobody"), ({"sid": 0x400}, "for 04:00.0"), ({"im": 1}, "posted")])
def test_an_entry_written_behind_the_guests_back_is_marked(lab, fields, said):
    mine = source(lab)
    rewrite(lab, mine.index, **fields)
    assert said in otherwise(lab.machine, mine)
    told = believed(list(beliefs(lab.machine, lab.kernel.guest)))
    assert "memory differs in 1" in told and told.count("vsim-marked") == 1
    assert told.index("≠") < told.index("the same"), "it comes first"


def test_a_copy_that_the_unit_still_uses_is_told(lab):
    mine = source(lab)
    lab.fire(NIC, 2)
    rewrite(lab, mine.index, told=False, vector=0x99)
    rewrite_back = entries.write_commands(lab.machine, 0, mine.index, mine.entry)
    assert otherwise(lab.machine, mine).endswith("vector 0x99")
    lab.issue(*rewrite_back)
    assert otherwise(lab.machine, mine) == ""


def test_a_long_table_lists_its_beginning_and_scrolls_by_itself(panel):
    known = list(beliefs(panel.lab.machine, panel.lab.kernel.guest)) * 10
    told = believed(known)
    assert told.count("<tr") == MOST_ROWS + 1 and f"and {len(known) - MOST_ROWS} more" in told
    assert 'class="vsim-scroll" tabindex="0" role="region"' in told


# --- pause on fault ---


def test_a_fault_holds_the_handlers_and_its_record_until_they_are_let_run(panel):
    lab = panel.lab
    rewrite(lab, source(lab).index, p=0)
    panel.pausing.value = True
    lab.fire(NIC, 2)
    assert unit_register(lab.machine, "FSTS") & FSTS.ppf.mask and lab.kernel.guest.faults == []
    lab.fire(NIC, 3)
    panel._serve()
    assert not unit_register(lab.machine, "FSTS") & FSTS.ppf.mask
    assert [fault.reason for fault in lab.kernel.guest.faults] == [0x22]


def test_without_the_option_the_guest_reads_at_once(lab):
    rewrite(lab, source(lab).index, p=0)
    lab.fire(NIC, 2)
    assert [fault.reason for fault in lab.kernel.guest.faults] == [0x22]


def test_a_storm_ends_at_a_fault_and_the_record_is_there(lab):
    rewrite(lab, source(lab).index, p=0)
    lab.kernel.pausing = True
    storm = lab.storm(2000, 1.0)
    assert not storm.running and 0 < storm.sent < storm.count
    assert any(event.act == Act.RECORDED for event in lab.history.events())
    assert unit_register(lab.machine, "FSTS") & FSTS.ppf.mask
    lab.kernel.serve()
    assert lab.kernel.guest.faults and not unit_register(lab.machine, "FSTS") & FSTS.ppf.mask
