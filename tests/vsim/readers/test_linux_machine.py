"""One machine told by several of Linux's files: each fact is read twice, and both readings agree."""

import pytest

from tests.places import real_data_folder
from vsim.layouts.formats import IRTE
from vsim.readers import (
    debugfs_irq,
    invalidation_queue,
    ir_table,
    linux_boot,
    linux_faults,
    proc_interrupts,
    ranges,
    regset,
    vector_matrix,
)
from vsim.readers.pieces import lines_of

FOLDER = real_data_folder()
LAB = FOLDER.parent / "lab" if FOLDER else None
MOMENTS = [("linux-6.12-8cpu", "boot"), ("linux-6.12-8cpu", "moved"), ("linux-6.12-8cpu", "replugged"),
           ("linux-6.12-8cpu", "end"), ("linux-6.12-64cpu", "boot"), ("linux-6.12-64cpu", "moved")]
pytestmark = pytest.mark.skipif(LAB is None or not LAB.is_dir(), reason="no dumps of our own runs beside the real ones")


def records(reader, host, name, kind=object):
    path = LAB / host / f"{name}.txt"
    reading = reader.read(lines_of(path.read_text(errors="replace"), path.name)[0])
    assert reading.remarks == ()
    return [record for record in reading.records if isinstance(record, kind)]


def logical(cpu):
    """Destination of a CPU in logical x2APIC mode; the APIC IDs of these machines are the numbers of the CPUs."""
    return cpu >> 4 << 16 | 1 << (cpu & 15)


@pytest.mark.parametrize(("host", "moment"), MOMENTS)
def test_the_chain_of_every_interrupt(host, moment):
    """Device, entry, vector and CPU in debugfs are those of the remapping table, and the vector matrix has them."""
    chains = [each for each in records(debugfs_irq, host, f"debugfs-irq-{moment}") if each.entry is not None]
    entries = {e.index: e for e in records(ir_table, host, f"ir_translation_struct-{moment}", ir_table.Entry)}
    (matrix,) = records(vector_matrix, host, f"debugfs-irq-domains-{moment}", vector_matrix.Matrix)
    running = [each for each in chains if "IRQD_ACTIVATED" in each.flags and each.vector]
    shut_down = 0xEF  # Linux's vector for an interrupt that has none of its own yet, or no more
    idle = {index for index, entry in entries.items() if entry.vector == shut_down}
    assert {each.entry for each in running} | idle == set(entries) <= {each.entry for each in chains}
    for each in running:
        entry = entries[each.entry]
        assert each.rid is None or entry.sid == each.rid[1]
        assert entry.vector in (each.vector, shut_down)
        if entry.vector != shut_down:
            assert IRTE.split(entry.word)["dm"] == 1
            assert entry.destination(eime=True) == logical(each.cpu)
            assert ranges.holds(matrix.cpu(each.cpu).vectors + matrix.system, each.vector)


@pytest.mark.parametrize(("host", "moment"), MOMENTS)
def test_the_unit(host, moment):
    (unit,) = records(regset, host, f"iommu_regset-{moment}")
    (queue,) = records(invalidation_queue, host, f"invalidation_queue-{moment}")
    (table,) = records(ir_table, host, f"ir_translation_struct-{moment}", ir_table.Table)
    (booted,) = records(linux_boot, host, "console", linux_boot.Unit)
    assert (unit["IRTA"] & ~0xFFF, unit.eime, unit.entries) == (table.address, True, 65536)
    assert (unit["IQA"] & ~0xFFF, unit["IQH"] >> 4, unit["IQT"] >> 4) == (queue.base, queue.head, queue.tail)
    assert (unit.base, unit["CAP"], unit["ECAP"]) == (booted.base, booted.cap, booted.ecap)
    assert {each.type for each in queue.descriptors} <= {0, 1, 2, 4, 5}


@pytest.mark.parametrize(("host", "moment"), MOMENTS)
def test_the_counts(host, moment):
    rows = [row for row in records(proc_interrupts, host, f"proc-interrupts-{moment}", proc_interrupts.Row)
            if row.irq >= 0]
    chains = {each.irq: each for each in records(debugfs_irq, host, f"debugfs-irq-{moment}")}
    (matrix,) = records(vector_matrix, host, f"debugfs-irq-domains-{moment}", vector_matrix.Matrix)
    assert {row.cpus for row in rows} == {tuple(row.cpu for row in matrix.cpus)}
    for row in rows:
        assert (row.chip, row.hwirq) == (chains[row.irq].levels[0].chip, chains[row.irq].levels[0].hwirq)
        assert row.source is None or row.source[:2] == chains[row.irq].rid


def test_the_faults_are_those_that_were_provoked():
    """Indexes 500 and 1000 have no entry, index 1 is another device's (the log of the run)."""
    faults = records(linux_faults, "linux-6.12-8cpu", "console", linux_faults.Fault)
    assert [(f.rid, f.index, f.reason) for f in faults][:3] == [(0x38, 500, 0x22), (0x38, 1000, 0x22), (0x38, 1, 0x26)]
