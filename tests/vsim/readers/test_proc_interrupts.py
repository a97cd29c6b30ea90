"""/proc/interrupts of every age: gaps, rows without counts, wrapped rows, no heading."""

import textwrap

import pytest

from tests.places import real_files
from vsim.readers import debugfs_irq, proc_interrupts
from vsim.readers.pieces import lines_of
from vsim.readers.proc_interrupts import Heading, Row

NEW = """            CPU0       CPU2       CPU12
   9:      11496          0          0 IR-IO-APIC    9-fasteoi   acpi
  16:          0          1          2 IR-IO-APIC   16-fasteoi   idma64.2, i801_smbus
 121:          0          0          0 DMAR-MSI    0-edge      dmar0
 176:          0          0          0 VMD-PCI-MSI-10000:e0:06.0    0  PCIe PME, PCIe bwctrl
 244:          0          0        677 IR-PCI-MSIX-0000:7e:00.0    4-edge      eth0-TxRx-3
 NMI:          1          0          0   Non-maskable interrupts
 ERR:          3
 MIS:          0
 PIN:          0          0          0   Posted-interrupt notification event
"""


def read(text):
    return proc_interrupts.read(lines_of(text, "interrupts")[0])


def rows(text):
    return {record.label: record for record in read(text).records if isinstance(record, Row)}


WAYS = {"as it is": NEW, "crlf": NEW.replace("\n", "\r\n"), "tabs": NEW.replace("   ", "\t"),
        "quoted": "".join(f"> {line}\n" for line in NEW.splitlines()),
        "grep": "".join(f"/proc/interrupts:{line}\n" for line in NEW.splitlines()),
        "shell": f"$ cat /proc/interrupts\n{NEW}$ exit\n",
        "wrapped": "\n".join("\n".join(textwrap.wrap(line, 66)) for line in NEW.splitlines())}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_every_way_of_pasting_it(text):
    reading = read(text)
    assert reading.remarks == ()
    heading, *found = reading.records
    assert isinstance(heading, Heading)
    assert heading.cpus == (0, 2, 12)
    assert [row.label for row in found] == ["9", "16", "121", "176", "244", "NMI", "ERR", "MIS", "PIN"]
    by = {row.label: row for row in found}
    assert (by["9"].irq, by["9"].counts, by["9"].chip, by["9"].hwirq, by["9"].trigger, by["9"].names) == (
        9, (11496, 0, 0), "IR-IO-APIC", 9, "fasteoi", ("acpi",))
    assert (by["9"].pin, by["9"].source, by["9"].remapped, by["9"].total) == (9, None, True, 11496)
    assert by["16"].names == ("idma64.2", "i801_smbus")
    assert [by["16"].on(cpu) for cpu in (0, 2, 12, 1)] == [0, 1, 2, None]
    assert (by["121"].remapped, by["121"].pin, by["121"].source) == (False, None, None)
    assert (by["176"].trigger, by["176"].source, by["176"].names) == (
        "", (0x10000, 0xE030, 0), ("PCIe PME", "PCIe bwctrl"))
    assert by["244"].source == (0, 0x7E00, 4)
    assert (by["NMI"].irq, by["NMI"].names, by["ERR"].counts, by["ERR"].on(2)) == (
        -1, ("Non-maskable interrupts",), (3,), None)


@pytest.mark.parametrize(("tail", "chip", "hwirq", "trigger", "names", "source"), [
    ("IR-PCI-MSI 512000-edge      ahci[0000:00:1f.2]", "IR-PCI-MSI", 512000, "edge", ("ahci[0000:00:1f.2]",),
     (0, 0xFA, 0)),
    ("PCI-MSI 524296-edge      nvme0q8", "PCI-MSI", 524296, "edge", ("nvme0q8",), (0, 0x100, 8)),
    ("PCI-MSI 134742016-edge      x", "PCI-MSI", 134742016, "edge", ("x",), (1, 0x100, 0)),
    ("IR-PCI-MSI-edge      eth0", "IR-PCI-MSI", None, "edge", ("eth0",), None),
    ("IO-APIC-fasteoi   acpi", "IO-APIC", None, "fasteoi", ("acpi",), None),
    ("XT-PIC-XT-PIC    cascade", "XT-PIC", None, "xt-pic", ("cascade",), None),
    ("IO-APIC   2-edge      timer", "IO-APIC", 2, "edge", ("timer",), None),
    ("IR-PCI-MSI 524288-edge", "IR-PCI-MSI", 524288, "edge", (), (0, 0x100, 0)),
    ("Hyper-V PCIe MSI 104857600-edge      nvme0q0", "Hyper-V PCIe MSI", 104857600, "edge", ("nvme0q0",), None),
    ("intel-gpio   18  ELAN0501", "intel-gpio", 18, "", ("ELAN0501",), None),
    ("GICv3  11 Level     arch_timer", "GICv3", 11, "level", ("arch_timer",), None)])
def test_what_stands_behind_the_counts(tail, chip, hwirq, trigger, names, source):
    row = rows(f"  CPU0 CPU1\n 30:  5  6  {tail}\n")["30"]
    assert (row.counts, row.chip, row.hwirq, row.trigger, row.names, row.source) == (
        (5, 6), chip, hwirq, trigger, names, source)


def test_without_a_heading():
    found = rows("55: 0 41 0 PCI-MSIX-0000:00:05.0 0-edge nvme0q0 affinity: 0-3\nNMI: 1 2 3 Non-maskable interrupts\n")
    assert (found["55"].cpus, found["55"].counts, found["55"].source) == ((), (0, 41, 0), (0, 0x28, 0))
    assert found["NMI"].counts == (1, 2, 3)


def test_many_cpus_wrapped():
    heading = " ".join(f"CPU{cpu}" for cpu in range(0, 576, 2))
    row = "24: " + " ".join(str(cpu) for cpu in range(288)) + " IR-PCI-MSIX-0000:01:00.0 3-edge eth1"
    wrapped = "\n".join(textwrap.wrap(heading, 78) + textwrap.wrap(row, 78))
    found = rows(wrapped)["24"]
    assert (len(found.cpus), found.on(574), found.names) == (288, 287, ("eth1",))


def test_two_dumps_in_one_text():
    reading = read(NEW + NEW.replace("11496", "11500"))
    assert reading.remarks == ()
    assert [row.total for row in reading.records if isinstance(row, Row) and row.irq == 9] == [11496, 11500]


@pytest.mark.parametrize(("text", "says"), [
    (" CPU0 CPU1\n 9: 1 IR-IO-APIC 9-fasteoi acpi\n", "row 9 has 1 counts for 2 CPUs"),
    (" CPU0 CPU1\n 9: 1 2 IR-IO-APIC 9-edge a\n 9: 1 2 IR-IO-APIC 9-edge a\n", "row 9 again"),
    (" CPU1 CPU1 CPU0\n", "a heading whose CPUs are not in order")])
def test_what_is_odd(text, says):
    (remark,) = read(text).remarks
    assert says in remark.text
    assert remark.line >= 1


@pytest.mark.parametrize("text", ["12: foo\n", "39: hwirq: 0x27\n", "USB: 1 2 things\n", "  9:\n", "1: 2 3\n"])
def test_rows_of_other_texts(text):
    assert read(text) == ((), ())


RAW = {  # rows, of them interrupts, of them PCI messages; counted with grep
    "insights-8cpu-ir.txt": (37, 19, 9), "jc-fixture.txt": (65, 46, 35), "kernel-measure-16cpu.txt": (46, 27, 17),
    "laptop-vmd.txt": (108, 92, 77), "isolcpus-nvme-queues.txt": (22, 22, 22)}


@pytest.mark.parametrize("path", real_files("proc-interrupts/*"))
def test_real_texts(path):
    found = [row for row in read(path.read_text()).records if isinstance(row, Row)]
    counted = len(found), sum(row.irq >= 0 for row in found), sum(row.source is not None for row in found)
    assert counted == RAW[path.name]
    for line, row in ((path.read_text().splitlines()[row.line - 1], row) for row in found):
        assert line.split()[1:1 + len(row.counts)] == [str(count) for count in row.counts]
        assert all(name in line for name in (row.chip, *row.names))


@pytest.mark.parametrize("path", real_files("proc-interrupts/laptop-vmd.txt"))
def test_the_laptop_says_the_same_in_debugfs(path):
    whole = (path.parent.parent / "debugfs-irq/laptop-vmd/grep-r-sys-kernel-debug-irq.txt").read_text()
    chains = {record.irq: record for record in debugfs_irq.read(lines_of(whole)[0]).records}
    compared = 0
    for row in rows(path.read_text()).values():
        if row.irq >= 0 and row.irq in chains and chains[row.irq].levels:
            level = chains[row.irq].levels[0]
            assert (row.chip, row.hwirq) == (level.chip, level.hwirq)
            assert row.source is None or row.source[:2] == chains[row.irq].rid
            compared += 1
    assert compared == 92
