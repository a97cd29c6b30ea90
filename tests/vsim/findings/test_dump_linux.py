"""/proc/interrupts of the small kernel: every interrupt and count comes back, in the real form."""

import re
from collections import Counter

import pytest

from tests.places import real_files
from tests.vsim.findings.booted import DISK, E1000, NIC, Booted, lab_file, lived, read_back
from vsim.findings.dump_linux import row
from vsim.findings.dumps import dump
from vsim.findings.subject import Subject
from vsim.readers import proc_interrupts
from vsim.state import commands as c
from vsim.state.trace import Act


def rows(booted):
    """Rows of the dump: {(function, message) or GSI or name of a unit: row}."""
    heading, *found = read_back(proc_interrupts, booted.dump("/proc/interrupts"))
    assert heading.cpus == tuple(sorted(booted.guest.online))
    return {each.source[1:] if each.source else each.pin if each.pin is not None else each.names[0]: each
            for each in found}


def counts(row_):
    """{CPU: count} where it is not 0."""
    return {cpu: count for cpu, count in zip(row_.cpus, row_.counts, strict=True) if count}


@pytest.mark.parametrize("eim", [1, 0, None])
def test_every_interrupt_and_where_it_was_taken_comes_back(eim):
    booted = lived(eim=eim)
    found = rows(booted)
    sources = [source for each in booted.guest.sources.values() for source in each]
    remapped = eim is not None
    assert len(found) == len(sources) + remapped
    assert all(each.remapped == remapped for key, each in found.items() if key != "dmar0")
    first = Booted(eim=eim).source(NIC).vcpu
    assert counts(found[NIC, 0]) == {first: 3, 3: 2} and found[NIC, 0].trigger == "edge"
    assert counts(found[DISK, 5]) == {booted.source(DISK, 5).vcpu: 1}
    pin = booted.source(E1000).number
    assert counts(found[pin]) == {booted.source(E1000).vcpu: 1} and found[pin].trigger == "fasteoi"
    others = {key for key, each in found.items() if each.total} - {(NIC, 0), (DISK, 5), pin}
    assert others == ({"dmar0"} if remapped else set())
    if remapped:
        assert counts(found["dmar0"]) == {0: 2}
    assert len({each.irq for each in found.values()}) == len(found)


def test_an_undone_interrupt_is_not_counted_and_a_redone_one_is():
    booted = Booted()
    vcpu = booted.source(NIC).vcpu
    booted.fire(NIC)
    before = booted.history.position
    booted.fire(NIC)
    after = booted.history.position
    for position, expected in ((before, 1), (0, 0), (after, 2)):
        booted.history.goto(position)
        assert counts(rows(booted)[NIC, 0]) == ({vcpu: expected} if expected else {})


def test_a_vector_that_another_source_had_before_is_counted_apart():
    """Without remapping a message is known by what is programmed now: counts follow the device, not the vector."""
    booted = Booted(eim=None)
    source, other = booted.source(NIC), booted.source(DISK)
    vcpu, vector = source.vcpu, source.vector
    booted.fire(NIC, 0, 2)
    booted.move(NIC, 0, (vcpu + 1) % 4)
    assert booted.guest.affinity(other, vcpu, vector) == ""
    booted.fire(DISK, 0, 5)
    found = rows(booted)
    assert counts(found[NIC, 0]) == {vcpu: 2} and counts(found[DISK, 0]) == {vcpu: 5}


def test_a_storm_is_counted():
    booted = Booted()
    start = booted.history.position
    for seed in range(20):
        booted.history.issue(c.Burst(seed, 50, 1))
    taken = Counter((event.node & 0xFFFFFF, event.index) for event in booted.history.events(start)
                    if event.act == Act.TAKEN)
    vectors = {(source.vcpu, source.vector): (bdf, source.number)
               for bdf, found in booted.guest.sources.items() for source in found}
    expected = {vectors[place]: {place[0]: count} for place, count in taken.items()}
    assert {key: counts(each) for key, each in rows(booted).items() if each.total} == expected
    assert taken.total() > 500


def test_without_a_kernel_there_is_no_such_file():
    with pytest.raises(ValueError, match="none runs: boot it first"):
        dump("/proc/interrupts", Subject(Booted(boot=False).machine))


def written(reader_row, width):
    """A row that was read, written again."""
    return row(width, reader_row.irq, reader_row.counts, reader_row.chip, reader_row.hwirq, reader_row.trigger,
               reader_row.names)


@pytest.mark.parametrize("moment", ["boot", "moved", "traffic", "end"])
def test_rows_of_our_own_runs_are_written_as_they_were_read(moment):
    path = lab_file(f"linux-6.12-8cpu/proc-interrupts-{moment}.txt")
    if path is None:
        pytest.skip("no dumps of our own runs beside the real ones")
    lines = [line for line in path.read_text().splitlines() if re.match(r" *\d+:", line)]
    found = [each for each in read_back(proc_interrupts, path.read_text())
             if isinstance(each, proc_interrupts.Row) and each.irq >= 0]
    assert [written(each, 3).rstrip() for each in found] == [line.rstrip() for line in lines] and len(lines) > 20
    heading = next(line for line in path.read_text().splitlines() if "CPU0" in line)
    assert heading == Booted(vcpus=8).dump("/proc/interrupts").splitlines()[0]


@pytest.mark.parametrize("path", real_files("proc-interrupts/insights-8cpu-ir.txt"))
def test_columns_of_a_real_file_are_ours(path):
    text = path.read_text()
    pins = [each for each in read_back(proc_interrupts, text) if isinstance(each, proc_interrupts.Row)
            and each.pin is not None]
    real = {line.rstrip() for line in text.splitlines()}
    assert pins and all(written(each, 3).rstrip() in real for each in pins)
