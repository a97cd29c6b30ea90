"""Faults in Xen's log: every form, wrapped and mixed, gives who, which index and why; nothing is told twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.readers import linux_faults, xen_faults
from vsim.readers.linux_faults import Fault
from vsim.readers.pieces import lines_of
from vsim.readers.xen_faults import StatusBit

NEW = ("(XEN) [VT-D]INTR-REMAP: Request device [0000:02:00.1] fault index b0\n"
       "(XEN) [VT-D]INTR-REMAP: reason 22 - Present field in the IRTE entry is clear\n")
MIDDLE = ("(XEN) [VT-D]iommu.c:851: INTR-REMAP: Request device [0000:02:00.1] fault index b0, iommu reg = ffff82c3f\n"
          "(XEN) INTR-REMAP:[fault reason 22h] Present field in the IRTE entry is clear\n")


def read(text):
    return xen_faults.read(lines_of(text, "log")[0])


@pytest.mark.parametrize("text", [NEW, MIDDLE, NEW.replace("(XEN) ", ""), NEW.replace("\n(XEN)", "\n> (XEN)"),
                                  NEW.replace("\n(XEN)", "\n[    1.5] usb 1-1: new device\n(XEN)", 1),
                                  NEW.replace("fault index", "fault\n> index"),
                                  NEW.replace("(XEN) ", "(XEN) [2031-02-03 04:05:06] ")])
def test_who_which_and_why(text):
    (fault,) = read(text).records
    assert isinstance(fault, Fault)
    assert (fault.rid, fault.index, fault.reason, fault.kind) == (0x201, 0xB0, 0x22, "interrupt")
    assert fault.words == "Present field in the IRTE entry is clear" and read(text).remarks == ()


WHERE = ("REMAP:", "Request device", "[0000:02:00.1]", "fault", "fault index", "REMAP: reason",
         "reason 22", "reason 22 -")


@pytest.mark.parametrize("places", [(each,) for each in WHERE] + [WHERE[:1] + WHERE[-1:], ("[0000:02:00.1]", "fault"),
                                                                ("Request device", "fault index", "reason 22 -")])
@pytest.mark.parametrize("form", [NEW, MIDDLE.replace("(XEN) INTR-REMAP:[fault reason 22h]",
                                                      "(XEN) [VT-D]INTR-REMAP: reason 22 -")])
def test_a_line_that_a_mail_has_broken_anywhere_is_xen_s_and_whole(form, places):
    text = "".join(f"> Oct 14 18:41:49 host hypervisor: {line}\n" for line in form.splitlines())
    for place in places:
        text = text.replace(f"{place} ", f"{place}\n> ", 1)
    (fault,) = read(text).records
    assert (fault.rid, fault.index, fault.reason, fault.words) == (
        0x201, 0xB0, 0x22, "Present field in the IRTE entry is clear"), text
    theirs = linux_faults.read(lines_of(text, "log")[0])
    assert (read(text).remarks, theirs.records, theirs.remarks) == ((), (), ())


def test_linux_does_not_take_what_xen_printed():
    reading = linux_faults.read(lines_of(NEW + MIDDLE.replace("(XEN) INTR", "(XEN) [VT-D]INTR"), "log")[0])
    assert reading.records == () and reading.remarks == ()


def test_faults_of_dma_are_told_apart_and_the_segment_is_kept():
    (fault,) = read("(XEN) [VT-D]DMAR:[DMA Read] Request device [0001:04:00.0] fault addr 34f4b2000\n"
                    "(XEN) [VT-D]DMAR: reason 06 - PTE Read access is not set\n").records
    assert (fault.kind, fault.address, fault.index, fault.reason, fault.source) == (
        "read", 0x34F4B2000, None, 6, "0001:04:00.0")


def test_a_reason_of_a_posted_interrupt_has_its_index_in_the_address():
    (fault,) = read("(XEN) [VT-D]UNKNOWN: Request device [0000:04:00.0] fault addr 12000000000000\n"
                    "(XEN) [VT-D]UNKNOWN: reason 27 - Unknown\n").records
    assert (fault.kind, fault.address, fault.index, fault.reason) == ("interrupt", None, 0x12, 0x27)


def test_the_oldest_form_has_lost_the_index():
    (fault,) = read("(XEN) [VT-D]iommu.c:676: iommu_fault:DMA Write: 0:1d.1 addr 0 REASON 25 iommu->reg = ff").records
    assert (fault.rid, fault.kind, fault.index, fault.reason) == (0xE9, "interrupt", None, 0x25)


def test_status_bits_are_told_in_words():
    records = read("(XEN) [VT-D]iommu.c:691: iommu_fault_status: Fault Overflow\n"
                   "(XEN) [VT-D]iommu.c:694: iommu_fault_status: Primary Pending Fault\n").records
    assert records == (StatusBit("log", 1, "pfo"), StatusBit("log", 2, "ppf"))


@pytest.mark.parametrize("text, line, part", [
    (NEW.splitlines()[0], 1, "no reason"), (NEW.splitlines()[1], 1, "reason of no fault"),
    (NEW.replace("fault index b0", "fault index 12345"), 1, "over its limit 0xffff"),
    (NEW.replace("02:00.1", "02:20.1"), 1, "device 0x20 is over its limit")])
def test_what_is_left_out_is_said_with_its_place(text, line, part):
    remark = read(text).remarks[0]
    assert remark.line == line and part in remark.text


@given(st.lists(st.sampled_from([*NEW.splitlines(), *MIDDLE.splitlines(), "x", ""]).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read(text):
    reading = read(text)
    assert all(record.file == "log" and record.line >= 1 for record in reading.records)


def test_the_bounds_hold(monkeypatch):
    monkeypatch.setattr(xen_faults, "MAX_RECORDS", 2)
    reading = read(NEW * 4)
    assert len(reading.records) == 2 and "first 2 faults" in reading.remarks[-1].text
