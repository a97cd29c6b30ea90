"""The machine with many senders: under which id each arrives, and who gets in where."""

import pytest

from vsim.layouts.formats import remap_message
from widgets.lesson.senders import BLOCK, MODEM, NIC, SCSI, SOUND, Senders


def message(senders, device):
    return senders.guest.ways.message(senders.source(device))


@pytest.mark.parametrize("device, arrives, svt, sid", [
    ("network", "02:00.0", "1", "0x0200"), ("disk", "03:00.0", "1", "0x0300"), ("sound", "05:00.0", "2", "0x0505"),
    ("modem", "05:00.0", "2", "0x0505"), ("scanner", "00:1f.0", "1", "0x00f8")])
def test_who_arrives_how_and_what_its_entry_checks(device, arrives, svt, sid):
    (row,) = (row for row in Senders().who().rows if row[0] == device)
    assert (row[2], row[4], row[6]) == (arrives, svt, sid)


@pytest.mark.parametrize("device", [NIC, BLOCK, SOUND, MODEM, SCSI])
def test_every_sender_reaches_its_own_vcpu_with_a_vector_of_its_own(device):
    senders = Senders()
    source = senders.source(device)
    senders.signal(device)
    assert senders.took == {source.vcpu: source.vector}


def test_vectors_are_all_different():
    sources = [source for found in Senders().guest.sources.values() for source in found]
    assert len({source.vector for source in sources}) == len(sources) == 11


@pytest.mark.parametrize("sender, victim, gets_in", [(NIC, BLOCK, False), (SOUND, MODEM, True), (SOUND, SCSI, False),
                                                     (SCSI, SOUND, False)])
def test_only_those_with_one_id_can_use_each_others_entries(sender, victim, gets_in):
    senders = Senders()
    assert bool(senders.raw(sender, *message(senders, victim)).reached) is gets_in
    assert len(senders.faults.rows) == (0 if gets_in else 1)


def test_without_a_valid_subhandle_every_message_is_the_first():
    senders = Senders()
    first = senders.source(BLOCK)
    for number in range(4):
        senders.raw(BLOCK, remap_message(first.index)[0], number)
        assert senders.took == {first.vcpu: first.vector}


def test_with_narrow_destinations_the_id_is_in_bits_15_to_8():
    senders = Senders(eim=False)
    assert senders.signal(NIC).reached == (senders.source(NIC).vcpu,)
    senders.change(NIC, 0, dst=14)
    assert "0x24" in senders.signal(NIC).verdict
