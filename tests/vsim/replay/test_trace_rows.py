"""QEMU's trace as rows: who sends, what was refused without a record, what a small recording leaves out."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vsim.replay.fake_qemu import boot, console, message, unit
from vsim.replay import recording
from vsim.replay.inferred import with_writes
from vsim.replay.recording import row_line
from vsim.replay.trace_rows import MOST_SEEN, MOST_THREADS, TraceRows

UNIT = 0xFED90000


def rows_of(*lines, small=False):
    trace = TraceRows(UNIT, small)
    for line in lines:
        trace.feed(line)
    return list(trace.ready(all_of_them=True))


def test_a_request_of_which_nothing_is_told_was_blocked():
    asked, read = message()[:2]
    assert rows_of(asked, read, *message())[0] == [
        ["msi", 0xFFFF, 0xFEE000B0, 0], [["I", 5, "0x40018", "0x100410001"], ["B"]], -1, 0]
    assert rows_of(asked)[-1][1] == [["B"]]


def test_a_fault_names_the_sender_where_nothing_else_does():
    found = rows_of(message()[0], "9@7.000300:vtd_frr_new index 0 high 0x2200000038 low 0x5000000000000")
    assert found == [[["msi", 0x38, 0xFEE000B0, 0], [["B"], ["F", 0, "0x2200000038", "0x5000000000000"]], -1, 0]]


def test_what_a_pin_sets_off_belongs_to_it():
    lines = ["9@7.000100:ioapic_set_irq vector: 0 level: 1", *message()]
    lines[-2] = "9@7.000203:vtd_ir_remap_type IOAPIC"
    (row,) = rows_of(*lines)
    assert row[0] == ["pin", 2, 1] and [seen[0] for seen in row[1]] == ["I", "M"]


def test_an_msix_entry_tells_who_sends_its_message():
    table = [f"1@7.0:memory_region_ops_write cpu 0 mr 0x5 addr {0xFEB82000 + 4 * word:#x} value {value:#x} size 4 "
             "name 'msix-table'" for word, value in enumerate((0xFEE000B0, 0, 0))]
    found = rows_of("1@7.0:pci_cfg_write nvme 00:03.0 @0x10 <- 0xfeb80000",
                    "1@7.0:pci_cfg_write far 00:06.0 @0x10 <- 0xfec80000", *table, *message())
    assert found[-1][0] == ["msi", 0x18, 0xFEE000B0, 0]


def test_the_console_is_what_the_serial_line_was_given():
    divisor = ["1@7.0:memory_region_ops_write cpu 0 mr 0x9 addr 0x3fb value 0x80 size 1 name 'serial'",
               "1@7.0:memory_region_ops_write cpu 0 mr 0x9 addr 0x3f8 value 0x41 size 1 name 'serial'",
               "1@7.0:memory_region_ops_write cpu 0 mr 0x9 addr 0x3fb value 0x03 size 1 name 'serial'"]
    assert rows_of(*divisor, *console("<i>hi</i>"), *console("x" * 5000)) == [
        [None, [["K", "<i>hi</i>"]], -1, 0], [None, [["K", "x" * 500]], -1, 0]]


def test_an_older_qemu_tells_the_address_of_a_local_apics_register():
    assert rows_of("V 1 2", "2@7.0:apic_mem_writel 0xf0 = 0x000001ff", "2@7.0:apic_mem_writel 0x10f0 = 0x00000001") == [
        [["lapic", 1, 0x0F, 0x1FF], [], 1, 0]]


def test_a_small_recording_leaves_out_ticks_and_pins_that_stay():
    lines = ["V 0 1", "1@7.0:apic_register_write register 0x32 = 0xec", "1@7.0:apic_register_write register 0x38 = 0x9",
             "T 0 236", "1@7.0:apic_register_write register 0x0b = 0x0", "T 0 65",
             "1@7.0:apic_register_write register 0x0b = 0x0",
             *["9@7.0:ioapic_set_irq vector: 4 level: 1", "9@7.0:ioapic_set_irq vector: 4 level: 1"]]
    assert [row[0] or row[1] for row in rows_of(*lines, small=True)] == [
        ["lapic", 0, 0x32, 0xEC], [["T", 0, 65]], ["lapic", 0, 0x0B, 0], ["pin", 4, 1]]
    assert len(rows_of(*lines)) == 8


@pytest.mark.parametrize("line", [
    "", " ", "G", "G x", "G 0 w8", "T 0", "T 0 zz", "V", "V 0", "L 0 r8 0x1 zz", "G 0 w1 0x0 0xffff", "9@", "9@7.0:",
    "9@7.0:vtd_ir_remap_msi_req", "9@7.0:vtd_frr_new index", "9@7.0:pci_cfg_write nvme", "9@7.0:ioapic_set_irq 1",
    "9@7.0:memory_region_ops_write cpu x name 'ioapic'", "9@7.0:vtd_inv_desc_iec 1", "\x00" * 50, "9@7.0:unheard_of 1"])
def test_a_torn_line_says_nothing(line):
    assert rows_of(line) in ([], [["B"]])


def test_writes_are_inferred_before_what_reads_them():
    rows = list(with_writes(rows_of(*[line for line in boot(False, "") if "serial" not in line]), UNIT))
    written = [row[0] for row in rows if row[0] and row[0][0] == "ram"]
    entry = (0x40018 << 64 | 0x100410001).to_bytes(16, "little").hex()
    assert written == [["ram", 0x100050, entry], ["ram", 0x200000, (4).to_bytes(16, "little").hex()]]
    tail = next(number for number, row in enumerate(rows) if row[0] and row[0][:2] == ["mmio", UNIT + 0x88])
    assert rows[tail - 2][0][0] == rows[tail - 1][0][0] == "ram"


def test_an_entry_that_changed_without_an_invalidation_was_written_right_before():
    rows = rows_of(unit(0xB8, 8, 0x100000), *message())
    assert [row[0][0] for row in with_writes(rows, UNIT)] == ["mmio", "ram", "msi"]


# --- what is no trace ---

NUMBER = re.compile(r"0x[0-9a-f]+|[0-9]+")
ODD = ("0x", "-1", "99999", "4096", "0x" + "f" * 17, "9" * 30, "9" * 5000, str(1 << 53), "\u0661", "<b>")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10), st.sampled_from(ODD)), min_size=1, max_size=8))
def test_whatever_stands_in_a_line_the_rows_that_are_kept_can_be_read(changes):
    lines = [*boot(True, "boot"), "9@7.9:vtd_frr_new index 0 high 0x2600000018 low 0x5",
             "5@9.0:ioapic_set_irq vector: 4 level: 1"]
    for place, which, odd in changes:
        line = lines[place % len(lines)]
        found = [*NUMBER.finditer(line)]
        cut = found[which % len(found)] if found else None
        lines[place % len(lines)] = line[:cut.start()] + odd + line[cut.end():] if cut else odd
    rows = TraceRows(UNIT)
    for line in lines:
        rows.feed(line)
    kept = [line for row in [*with_writes([row for row in rows.ready(True) if row_line(row, 4)], UNIT)]
            if (line := row_line(row, 4))]
    assert kept and len(recording.parse("\n".join([*kept, ""])).moments) <= len(kept)


def test_a_trace_without_end_does_not_grow():
    rows = TraceRows(UNIT)
    for number in range(6000):
        rows.feed(unit(0x18, 4, 1).replace("1@", f"{number}@", 1))
        rows.feed("1@7.1:vtd_inv_desc invalidate desc type iec high 0x0 low 0x4")
        rows.feed(f"1@7.1:pci_cfg_write nvme 00:03.0 @{number + 1:#x}0 <- 0x1")
    assert rows.torn == 6000 - MOST_THREADS and max(len(row[1]) for row in rows.rows) == MOST_SEEN
    assert len(rows.senders._config[0x18]) <= 256
