"""The host of the lesson on several units: its three files tell of one machine."""

from tests.places import DATA
from vsim.domain import host
from vsim.domain.host_features import Words
from widgets.lesson.journey import Trial


def test_table_lspci_and_log_of_the_lessons_host_belong_together():
    found = host.load(DATA / "big.acpidump", DATA / "big.lspci", DATA / "big.dmesg")
    alone = host.from_log((DATA / "big.dmesg").read_text())
    assert [unit.base for unit in found.units] == [unit.base for unit in alone.units]
    assert [unit.everything for unit in found.units] == [unit.everything for unit in alone.units]
    assert found.words == alone.words and found.width == 46 and found.coverage().unresolved == []
    assert found.words_of(1) == Words(0xD2078C106F0466, 0x30204A)
    assert [found.unit_of(function.bdf) for function in found.functions.functions][-4:] == [0, 1, 2, 2]


def test_the_numbers_of_the_interrupt_that_arrives_differ():
    trial = Trial(DATA / "big.cfg", DATA / "big.lspci")
    assert trial.send("00:06.0", message=9, vcpu=287, vector=0x63).verdict == "accepted by vLAPIC 287"
    assert (trial.source("00:06.0", 9).index, trial.machine.apic_id[287]) == (89, 574)
