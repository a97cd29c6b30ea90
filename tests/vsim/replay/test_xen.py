"""A real Xen's boot, done again: `tests/golden/runs/xen-4.17.jsonl.gz`.

Recorded by `vsim record --xen --small --cpus 2` with all five devices (Debian's Xen 4.17.7 with a dom0
of Linux 6.12.86 under QEMU 10.0.2), without pins, timers, what vCPUs took and ended, and most of the console: what is
left bears on the unit, its table and its queue, and the I/O APIC's registers.
"""

from dataclasses import replace

import pytest

from tests.places import GOLDEN
from vsim.devices.remap import entry_of
from vsim.findings.catalogue import examine
from vsim.readers.xen_tables import Entry
from vsim.replay import recording, rerun
from vsim.state import commands as c
from vsim.state.arrays import Latch


@pytest.fixture(scope="module")
def xen():
    """The recording, and the outcome of its run."""
    found = recording.load(GOLDEN / "runs" / "xen-4.17.jsonl.gz")
    return found, rerun.run(found)


def keys(found, moment):
    """What Xen printed for its keys at a moment, as a reader takes it."""
    return examine((f"{key}.txt", found.dumps[f"xen-{key}-{moment}"]) for key in "VMiz")


def test_every_observation_of_a_real_xen_is_equal(xen):
    _, outcome = xen
    assert outcome.same and not outcome.unlike
    assert {kind: tally.equal for kind, tally in outcome.tallies.items()} == {
        "M": 782, "P": 2, "I": 786, "B": 4, "F": 4, "D": 404, "C": 195, "W": 202, "V": 2272}


def test_xen_writes_whole_entries(xen):
    """By one exchange of 16 bytes (update_irte); a new entry of Linux comes in two halves."""
    found, outcome = xen
    first, last = outcome.machine.latch[Latch.BASE_PAGE] << 12, 16 * outcome.machine.latch[Latch.ENTRIES]
    stores = [one.command for one in found.moments if isinstance(one.command, c.RamWrite)
              and 0 <= one.command.address - first < last]
    assert len(stores) > 100 and {len(one.data) for one in stores} == {16}


@pytest.mark.parametrize("moment", ["boot", "moved"])
def test_what_xen_prints_of_itself_is_read_and_fits_together(xen, moment):
    examined = keys(xen[0], moment)
    assert not examined.findings
    assert [piece.kind for piece in examined.pasted.pieces] == ["xen entries", *["xen interrupts"] * 3]


@pytest.mark.parametrize("moment", ["boot", "moved"])
def test_the_table_that_xen_prints_is_the_one_in_memory(xen, moment):
    """Entry by entry, all bits: each is as it was when the print of the key V began, or as when it had ended."""
    found, _ = xen
    begin, end = (places(found, text)[["boot", "moved"].index(moment)] for text in ("iommu 0: ", "'h' pressed"))
    machines = [rerun.run(replace(found, moments=found.moments[:place])).machine for place in (begin, end)]
    printed = {one.index: one.word for one in keys(found, moment).pasted.of("xen entries") if isinstance(one, Entry)}
    assert len(printed) == 39
    for index, word in printed.items():
        assert word in {entry_of(m.ram.words4((m.latch[Latch.BASE_PAGE] << 12) + 16 * index)) for m in machines}


def places(found, text):
    """Where in the recording lines of the console with a text are."""
    return [place for place, one in enumerate(found.moments)
            for seen in one.saw if seen[0] == "K" and text in seen[1]]
