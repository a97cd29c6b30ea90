"""Interrupts and vectors from /sys/kernel/debug/irq: every way of printing the files gives the same."""

import pytest

from tests.places import real_files
from vsim.readers import debugfs_irq, ranges, vector_matrix
from vsim.readers.debugfs_irq import Level
from vsim.readers.pieces import lines_of
from vsim.readers.vector_matrix import Domain, Matrix

MSI = """handler:  handle_edge_irq
device:   0000:03:00.1
status:   0x00004000
istate:   0x00004000
ddepth:   0
wdepth:   0
dstate:   0x19609200
            IRQD_ACTIVATED
            IRQD_AFFINITY_MANAGED
node:     0
affinity: 0-3,8
effectiv: 8
pending:
domain:  IR-PCI-MSI-0000:03:00.1-11
 hwirq:   0x2
 chip:    IR-PCI-MSI-0000:03:00.1
  flags:   0x430
             IRQCHIP_ONESHOT_SAFE
  address_hi: 0x00000000
  address_lo: 0xfee00318
  msg_data:   0x00000000
 parent:
    domain:  INTEL-IR-1-13
     hwirq:   0x180002
     chip:    INTEL-IR
      flags:   0x0
     parent:
        domain:  VECTOR
         hwirq:   0x2a
         chip:    APIC
          flags:   0x0
         Vector:    37
         Target:     8
         Previous vector:    36
         Previous target:     2
         move_in_progress: 1
         is_managed:       1
         can_reserve:      0
         has_reserved:     0
         cleanup_pending:  0
"""
PIN = """handler:  handle_fasteoi_irq
device:   (null)
node:     -1
affinity: 0-3
effectiv: 1
domain:  IO-APIC-2
 hwirq:   0x27
 chip:    IR-IO-APIC
 parent:
    domain:  INTEL-IR-0-13
     hwirq:   0x490000
     chip:    INTEL-IR
     parent:
        domain:  VECTOR
         hwirq:   0x27
         chip:    APIC
         Vector:    35
         Target:     1
"""


def prefixed(name, text, before="/sys/kernel/debug/irq/irqs/"):
    return "".join(f"{before}{name}:{line}\n" for line in text.splitlines())


WAYS = {
    "grep -r": prefixed(42, MSI) + prefixed(39, PIN),
    "grep -rn": "".join(f"irqs/{name}:{number}:{line}\n" for name, text in ((42, MSI), (39, PIN))
                        for number, line in enumerate(text.splitlines(), 1)),
    "grep in the folder": prefixed(42, MSI, "") + prefixed(39, PIN, ""),
    "grep -r from its parent": prefixed(42, MSI, "irqs/") + prefixed(39, PIN, "irqs/"),
    "head": f"==> /sys/kernel/debug/irq/irqs/42 <==\n{MSI}\n==> /sys/kernel/debug/irq/irqs/39 <==\n{PIN}",
    "echo": f"/sys/kernel/debug/irq/irqs/42\n{MSI}/sys/kernel/debug/irq/irqs/39\n{PIN}",
    "by hand": f"--- irq 42\n{MSI}--- irq 39\n{PIN}",
    "shell": f"# cat /sys/kernel/debug/irq/irqs/42\n{MSI}# cat /sys/kernel/debug/irq/irqs/39\n{PIN}",
    "prompt": f"root@host:~# cat irqs/42\n{MSI}root@host:~# cat /sys/kernel/debug/irq/irqs/39\n{PIN}",
    "irq": f"irq 42:\n{MSI}irq 39:\n{PIN}",
    "crlf": (f"--- irq 42\n{MSI}--- irq 39\n{PIN}").replace("\n", "\r\n"),
}


def read(text):
    return debugfs_irq.read(lines_of(text, "irqs")[0])


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_every_way_of_printing_the_files(text):
    reading = read(text)
    assert reading.remarks == ()
    msi, pin = reading.records
    assert (msi.irq, msi.handler, msi.device, msi.rid) == (42, "handle_edge_irq", "0000:03:00.1", (0, 0x301))
    assert (msi.address, msi.data, msi.remappable) == (0xFEE00318, 0, True)
    assert (msi.unit, msi.entry, msi.number, msi.message_index) == (1, 0x1A, 2, 0x1A)
    assert (msi.vector, msi.cpu, msi.previous, msi.moving, msi.managed) == (37, 8, (36, 2), True, True)
    assert (msi.affinity, msi.effective, msi.pending) == (((0, 3), (8, 8)), ((8, 8),), ())
    assert msi.flags == ("IRQD_ACTIVATED", "IRQD_AFFINITY_MANAGED", "IRQCHIP_ONESHOT_SAFE")
    assert [(level.domain, level.hwirq, level.chip) for level in msi.levels] == [
        ("IR-PCI-MSI-0000:03:00.1-11", 2, "IR-PCI-MSI-0000:03:00.1"), ("INTEL-IR-1-13", 0x180002, "INTEL-IR"),
        ("VECTOR", 42, "APIC")]
    assert (pin.irq, pin.device, pin.pin, pin.rid, pin.unit, pin.entry) == (39, "", (2, 39), None, 0, 0x49)
    assert (pin.message_index, pin.vector, pin.cpu, pin.node) == (None, 35, 1, -1)


def test_each_fact_has_its_line():
    interrupt = read(f"x\n--- irq 42\n{MSI}").records[0]
    assert (interrupt.file, interrupt.line, interrupt.levels[1]) == (
        "irqs", 3, Level("INTEL-IR-1-13", 0x180002, "INTEL-IR", 25))
    assert (interrupt.lines["address"], interrupt.lines["vector"]) == (22, 34)


def test_a_file_without_a_heading_is_named_by_its_vector_level():
    reading = read(MSI + PIN)
    assert [record.irq for record in reading.records] == [42, 39]
    assert all("no heading" in remark.text for remark in reading.remarks)


def test_a_heading_of_two_files_gives_neither_a_wrong_number():
    reading = read(f"root@host:~# cat irqs/42 irqs/39\n{MSI}{PIN}")
    assert [record.irq for record in reading.records] == [42, 39]
    assert [remark.text.partition(";")[0] for remark in reading.remarks] == ["the heading says irq 39", "no heading"]


def test_lines_picked_by_grep():
    text = "irqs/42:         Vector:    37\nirqs/42:         Target:     8\nirqs/39:         Vector:    35\n"
    found = read(text).records
    assert [(record.irq, record.vector, record.cpu) for record in found] == [(42, 37, 8), (39, 35, None)]


def test_a_heading_that_was_lost_takes_nothing_from_the_block_before():
    """The second block begins with its handler; its facts are not those of irq 42."""
    first, second = read(f"--- irq 42\n{MSI}{PIN}").records
    assert (first.irq, first.vector, second.irq, second.vector) == (42, 37, 39, 35)


@pytest.mark.parametrize(("name", "hwirq", "unit", "address", "data", "index"), [
    ("IR-PCI-MSIX-0000:03:00.1-12", 4, 0x770000, 0xFEE00EF8, 0, 0x77),  # SHV, subhandle 0
    ("IR-PCI-MSI-0000:03:00.1-11", 7, 0x580007, 0xFEE00B18, 0, 0x5F),   # message 7 of 8 adds its number
    ("INTEL-IR-MSI-1-2", 0x180007, 0x580007, 0xFEE00B18, 0, 0x5F),      # kernels up to 6.1
    ("IR-PCI-MSIX-0000:03:00.1-12", 4, 0x770000, 0xFEE00EF4, 0, 0x8077),  # bit 2 is the handle's highest
    ("IR-PCI-MSIX-0000:03:00.1-12", 4, 0x770000, 0xFEE01004, 0x4021, None)])  # compatibility format
def test_the_index_that_a_message_asks_for(name, hwirq, unit, address, data, index):
    text = MSI.replace("IR-PCI-MSI-0000:03:00.1-11", name).replace("0x2\n", f"{hwirq:#x}\n").replace(
        "0x180002", f"{unit:#x}").replace("0xfee00318", f"{address:#x}").replace(
        "msg_data:   0x00000000", f"msg_data: {data:#x}")
    assert read(f"--- irq 42\n{text}").records[0].message_index == index


def test_what_is_no_number_is_told_with_its_place():
    reading = read(prefixed(42, MSI.replace("0xfee00318", "0xfeeQ")))
    assert reading.records[0].address is None
    assert str(reading.remarks[0]) == "irqs:20:33: left out: address_lo is '0xfeeQ'"


def test_an_entry_that_no_table_has_is_none():
    reading = read("--- irq 42\n" + MSI.replace("0x180002", "0xffff0001"))
    assert reading.records[0].entry is None and reading.records[0].unit == 1
    assert [each.text for each in reading.remarks] == [
        "hwirq is '0xffff0001', which is no entry of a table; its entry is not known"]
    assert read(MSI.replace("0x180002", "0xfffe0001")).records[0].entry == 0xFFFF


def test_the_same_told_again_is_given_once_and_a_change_twice():
    again = f"--- irq 42\n{MSI}"
    assert len(read(again + again).records) == 1
    assert len(read(again + again.replace("Target:     8", "Target:     9")).records) == 2


def test_words_that_are_not_its_own():
    reading = read("42:  10  20  IR-PCI-MSI 524288-edge eth0\nno handler: here\n\n[   1.0] irq 9: nobody cared\n")
    assert reading == ((), ())


# --- domains ---

MATRIX = """Online bitmaps:        2
Global available:    395
Global reserved:      18
Total allocated:       7
System: 5: 0-3,50
{head}
"""
NEW = MATRIX.format(head="     | CPU | avl | man | mac | act | vectors") + """\
         0   198     1     1    6  32-36,48
         1   197     1     1    1  32
"""
OLD = MATRIX.format(head=" | CPU | avl | man | act | vectors") + """\
     0   198     1    6  32-36,48
     1   197     1    1  32
"""
DOMAIN = """name:   IR-PCI-MSI-0000:41:04.0-11
 size:   0
 mapped: 1
 flags:  0x00000213
            IRQ_DOMAIN_FLAG_MSI
 parent: INTEL-IR-2-13
    name:   INTEL-IR-2-13
     size:   65536
     mapped: 120
     flags:  0x00000123
     parent: VECTOR
        name:   VECTOR
         size:   0
         mapped: 124
         flags:  0x00000103
"""


def matrix(text):
    reading = vector_matrix.read(lines_of(text, "domains")[0])
    return [record for record in reading.records if isinstance(record, Matrix)], reading


@pytest.mark.parametrize(("text", "managed"), [(NEW, 1), (OLD, -1)], ids=["with mac", "before 4.19"])
def test_a_matrix(text, managed):
    (found,), reading = matrix(text)
    assert reading.remarks == ()
    assert (found.online, found.available, found.reserved, found.allocated) == (2, 395, 18, 7)
    assert found.system == ((0, 3), (50, 50))
    first, second = found.cpus
    assert (first.cpu, first.available, first.managed, first.managed_allocated, first.allocated) == (
        0, 198, 1, managed, 6)
    assert (first.vectors, second.vectors) == (((32, 36), (48, 48)), ((32, 32),))
    assert (found.cpu(1), found.full) == (second, ())


@pytest.mark.parametrize("way", ["--- domain {name}\n{text}", "==> /sys/kernel/debug/irq/domains/{name} <==\n{text}"])
def test_domains(way):
    text = way.format(name="IR-PCI-MSI-0000:41:04.0-11", text=DOMAIN + NEW)
    reading = vector_matrix.read(lines_of(text, "domains")[0])
    assert [(d.name, d.size, d.mapped, d.flags, d.parent) for d in reading.records if isinstance(d, Domain)] == [
        ("IR-PCI-MSI-0000:41:04.0-11", 0, 1, 0x213, "INTEL-IR-2-13"), ("INTEL-IR-2-13", 65536, 120, 0x123, "VECTOR"),
        ("VECTOR", 0, 124, 0x103, "")]


def test_a_matrix_told_by_every_domain_counts_once():
    one = prefixed("IR-PCI-MSI-0000:41:04.0-11", DOMAIN + NEW, "/sys/kernel/debug/irq/domains/")
    two = prefixed("VECTOR", NEW, "/sys/kernel/debug/irq/domains/")
    assert len(matrix(one + two)[0]) == 1
    assert len(matrix(one + two.replace("197", "196"))[0]) == 2


def test_a_full_cpu():
    assert matrix(NEW.replace("197 ", "  0 "))[0][0].full == (1,)


@pytest.mark.parametrize(("old", "new", "says"), [
    ("6  32-36,48", "7  32-36,48", "CPU 0 has 7 vectors given, its list 6"),
    ("System: 5", "System: 6", "has 6 vectors, its list 5"),
    ("         1   197", "         0   197", "CPU 0 again"),
    ("1  32\n", "1  32-\n", "left out"), ("0-3,50", "3-0", "left out")])
def test_counts_that_disagree(old, new, says):
    _, reading = matrix(NEW.replace(old, new))
    assert [says in remark.text for remark in reading.remarks] == [True]


@pytest.mark.parametrize(("text", "runs"), [
    ("", ()), ("5", ((5, 5),)), ("0,2,4-7", ((0, 0), (2, 2), (4, 7))), ("0, 2", ((0, 0), (2, 2))),
    ("7-4", None), ("a", None), ("1--2", None), ("-1", None), ("1,,2", None)])
def test_lists(text, runs):
    assert ranges.parse(text) == runs
    if runs:
        assert ranges.text(runs) == text.replace(" ", "")
        assert ranges.of(n for a, b in runs for n in range(a, b + 1)) == runs
        assert ranges.holds(runs, runs[-1][1])
        assert not ranges.holds(runs, 99)


# --- whole machines ---


@pytest.mark.parametrize("path", real_files("debugfs-irq/laptop-vmd/*"))
def test_the_laptop(path):
    """6,956 lines: all 97 remappable messages ask for the entry that their unit's level names."""
    lines = lines_of(path.read_text(), path.name)[0]
    reading = debugfs_irq.read(lines)
    assert reading.remarks == ()
    assert len(reading.records) == len({record.irq for record in reading.records}) == 150
    asked = [record for record in reading.records if record.message_index is not None]
    assert len(asked) == 97
    assert [record.irq for record in asked if record.message_index != record.entry] == []
    assert {record.unit for record in asked} == {0, 2}
    assert all(level.hwirq == record.irq for record in reading.records for level in record.levels[-1:]
               if level.domain == "VECTOR")
    (found,), domains = matrix(path.read_text())
    assert domains.remarks == ()
    assert (found.online, len(found.cpus), found.allocated) == (14, 14, sum(row.allocated for row in found.cpus))
    assert found.available == sum(row.available for row in found.cpus)
    taken = {(record.cpu, record.vector) for record in reading.records if record.vector}
    assert all(ranges.holds(found.cpu(cpu).vectors + found.system, vector) for cpu, vector in taken)


@pytest.mark.parametrize("path", real_files("debugfs-irq/laptop-vmd/*"))
def test_one_handle_of_the_laptop_broken_is_seen(path):
    text = path.read_text().replace("address_lo: 0xfee00ef8", "address_lo: 0xfee00ed8")
    asked = debugfs_irq.read(lines_of(text)[0]).records
    assert [record.irq for record in asked if record.message_index not in (None, record.entry)] == [244]


@pytest.mark.parametrize("lost", ["domain:  VECTOR", "domain:  INTEL-IR-1-13"])
def test_a_level_whose_domain_is_lost_has_its_own_number(lost):
    (interrupt,) = debugfs_irq.read(lines_of("".join(
        f"{line}\n" for line in MSI.splitlines() if lost not in line))[0]).records
    assert interrupt.entry == (0x1A if "VECTOR" in lost else None)
    assert [level.hwirq for level in interrupt.levels] == [2, 0x180002, 0x2A]
