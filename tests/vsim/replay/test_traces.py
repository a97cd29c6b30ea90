"""QEMU's trace lines as observations."""

import pytest

from vsim.replay import traces

REQUEST = "vtd_ir_remap_msi_req addr 0xfee00010 data 0x0"
ENTRY = "vtd_ir_irte_get index 5 low 0x40018 high 0x300410001"
MESSAGE = "vtd_ir_remap_msi (addr 0xfee00010, data 0x0) -> (addr 0xfee03004, data 0x4041)"


@pytest.mark.parametrize(("line", "row"), [
    (ENTRY, ["I", 5, "0x40018", "0x300410001"]),
    (MESSAGE, ["M", 3, 1, 0, 0, 0, 0x41]),
    ("vtd_ir_remap_msi (addr 0xfee00010, data 0x0) -> (addr 0x100fee00008, data 0x8130)",
     ["M", 0x100, 0, 1, 1, 1, 0x30]),
    ("vtd_frr_new index 0 high 0x2200000018 low 0x5000000000000", ["F", 0, "0x2200000018", "0x5000000000000"]),
    ("vtd_irq_generate addr 0xfee01000 data 0x30", ["E", "0xfee01000", "0x30"]),
    ("vtd_inv_desc invalidate desc type iec high 0x0 low 0x4", ["D", "iec", "0x0", "0x4"]),
    ("vtd_inv_desc_iec granularity 0x1 index 0x5 mask 0x2", ["C", 1, 5, 2]),
    ("vtd_inv_desc_wait_sw wait invalidate status write addr 0x4000 data 0x1", ["W", "0x4000", "0x1"]),
    ("ioapic_clear_remote_irr clear remote irr for pin 4 vector 65", ["R-", 4])])
@pytest.mark.parametrize("before", ["", "4242@1764550000.123456:"], ids=["plain", "with process and time"])
def test_a_trace_event_is_a_row(line, row, before):
    assert list(traces.rows([before + line])) == [row]
    assert traces.is_one(before + line)


def test_a_request_without_a_message_is_blocked_after_the_entry_and_before_the_fault():
    fault = "vtd_frr_new index 0 high 0x2200000018 low 0x0"
    assert [row[0] for row in traces.observed([REQUEST, ENTRY, fault])] == ["I", "B", "F"]
    assert [row[0] for row in traces.observed([REQUEST, ENTRY, MESSAGE, REQUEST, fault])] == ["I", "M", "B", "F"]
    assert [row[0] for row in traces.observed([REQUEST, REQUEST, MESSAGE])] == ["B", "M"]


@pytest.mark.parametrize("line", [
    "", "vtd_ir_irte_get", "vtd_ir_irte_get index x low 0x0 high 0x0", "vtd_unheard_of addr 0x1",
    "vtd_irq_generate addr 0x10000000000000000 data 0x0", "qemu-system-x86_64: a word", "\x00\x1b[31m",
    "vtd_frr_new index 99999999999999 high 0x0 low 0x0", "x" * 100_000])
def test_what_is_no_trace_event_is_no_observation(line):
    assert traces.observed([line]) == []
