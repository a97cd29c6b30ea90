"""QEMU's trace events: each declared text is read back from what QEMU prints of it, in three spellings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from vsim.explain.logged import tell_logged
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE
from vsim.readers import qemu_trace
from vsim.readers.pieces import lines_of
from vsim.readers.qemu_trace import EVENTS, Event

PLACE = re.compile(r"\{(\w+):([xds])\}")


def read(text):
    return qemu_trace.read(lines_of(text, "log")[0])


@st.composite
def printed(draw):
    """An event as QEMU's log prints it, with the values that went in."""
    name, text = draw(st.sampled_from(EVENTS))
    values = {}
    for each, kind in PLACE.findall(text):
        values[each] = draw(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,20}", fullmatch=True) if kind == "s" else
                            st.integers(0, (1 << 64) - 1 if kind == "x" else 99999))
    row = PLACE.sub(lambda match: str(values[match[1]]) if match[2] in "ds" else f"{values[match[1]]:#x}", text)
    return name, tuple(values.items()), f"{name} {row}".rstrip()


@given(printed(), st.sampled_from(["", "> ", "4711@1700000000.123456:"]))
def test_every_event_is_read_back(event, before):
    name, values, row = event
    reading = read(before + row)
    assert reading.records == (Event("log", 1, name, values, "1700000000.123456" if "@" in before else ""),)
    assert reading.remarks == ()


@given(printed())
def test_every_event_is_read_back_from_simpletrace(event):
    name, values, _ = event
    row = "".join(f" {each}={value if isinstance(value, str) else hex(value)}" for each, value in values)
    assert read(f"{name} 12.345 pid=77{row}").records == (Event("log", 1, name, values),)


def test_the_halves_of_an_entry_stand_under_each_other_s_names():
    (event,) = read("vtd_ir_irte_get index 0 low 0x4001f high 0x100d10005").records
    assert event.word == 0x4001F << 64 | 0x100D10005 and get(event.word, IRTE.p) == 1


@pytest.mark.parametrize("text, reason, values", [
    ("detected non-present IRTE (index=5, high=0xff00, low=0x100)", 0x22, {"index": 5, "high": 0xFF00, "low": 0x100}),
    ("detected non-zero reserved IRTE (index=5, high=0xff00, low=0x100)", 0x24, {"index": 5}),
    ("invalid IRTE SID (index=5, sid=16, source_id=24)", 0x26, {"sid": 16, "source": 24}),
    ("invalid SVT_BUS (index=5, bus=3, min=0, max=2)", 0x26, {"index": 5, "bus": 3, "min": 0, "max": 2}),
    ("detected invalid IRTE SVT (index=5, type=3)", 0x26, {"index": 5, "svt": 3}),
    ("read failed: ind=0x1f addr=0x7f000000", 0x23, {"index": 0x1F, "address": 0x7F000000}),
    ("index too large: ind=0x40", 0x21, {"index": 0x40})])
def test_errors_that_qemu_reports(text, reason, values):
    (refusal,) = read(f"qemu-system-x86_64: vtd_irte_get: {text}").records
    assert refusal.reason == reason and all(refusal[name] == value for name, value in values.items())
    assert f"The entry at index {refusal.index:#x}: " in str(tell_logged(refusal))


@pytest.mark.parametrize("text, values", [
    ("invalid IR MSI (sid=257, address=0xfee00218, data=0x10000)", {"sid": 257, "address": 0xFEE00218}),
    ("MSI address high 32 bits non-zero detected: address=0x1fee00218", {"address": 0x1FEE00218}),
    ("MSI address low 32 bit invalid: 0xfed00218", {"address": 0xFED00218})])
def test_errors_that_qemu_reports_of_a_message(text, values):
    (refusal,) = read(f"2031-02-03T04:05:06Z qemu-system-x86_64: vtd_interrupt_remap_msi: {text}").records
    assert (refusal.reason, refusal.index) == (0x20, None)
    assert all(refusal[name] == value for name, value in values.items())
    assert f"The message to {values['address']:#x}: " in str(tell_logged(refusal))


def test_a_cut_event_is_told_and_another_program_s_line_is_not():
    reading = read("x\n vtd_ir_remap index 0 trig\nvtd_ir_remap_other 5\nmsix_table_mmio_write (a, @5)\n")
    assert reading.records == ()
    assert [(remark.line, remark.column) for remark in reading.remarks] == [(2, 2)]


@given(st.lists(printed().flatmap(lambda event: st.integers(0, len(event[2])).map(lambda end: event[2][:end]))).map(
    "\n".join) | st.text())
def test_any_text_is_read(text):
    assert all(record.line >= 1 for record in read(text).records)


def test_the_bounds_hold(monkeypatch):
    monkeypatch.setattr(qemu_trace, "MAX_EVENTS", 2)
    reading = read("vtd_ir_enable enable 1\n" * 5)
    assert len(reading.records) == 2 and "first 2 events" in reading.remarks[0].text


@pytest.mark.parametrize("path", real_files("qemu/trace-*.txt"))
def test_a_real_trace(path):
    reading = qemu_trace.read(lines_of(path.read_text(), path.name)[0])
    assert len(reading.records) == 17 and reading.remarks == ()
    entries = [event for event in reading.records if event.name == "vtd_ir_irte_get"]
    remaps = [event for event in reading.records if event.name == "vtd_ir_remap"]
    for entry, remap in zip(entries, remaps, strict=True):
        fields = IRTE.split(entry.word)
        assert all(fields[name] == remap[name] for name in ("vector", "dlm", "tm", "dm")) and fields["p"] == 1
