"""Fault lines of Linux: every form that it has printed, wrapped, torn and interleaved."""

import pytest

from tests.places import real_files
from vsim.layouts.formats import FRCD, REASON_TEXT, Reason
from vsim.readers import linux_faults, xen_faults
from vsim.readers.linux_faults import Fault, QueueDump, QueueFault, Status
from vsim.readers.pieces import lines_of

BLOCKED = "Blocked a compatibility format interrupt request"


def read(text):
    return linux_faults.read(lines_of(text, "log")[0])


def one(text):
    reading = read(text)
    assert reading.remarks == ()
    (record,) = reading.records
    return record


FORMS = {
    "6.12": f"DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600 [fault reason 0x25] {BLOCKED}",
    "5.11": f"DMAR: [INTR-REMAP] Request device [0x65:0x00.5] fault index 0x1600 [fault reason 0x25] {BLOCKED}",
    "5.10": f"DMAR: [INTR-REMAP] Request device [65:00.5] fault index 1600 [fault reason 37] {BLOCKED}",
    "4.3": f"INTR-REMAP: Request device [[65:00.5] fault index 1600\nINTR-REMAP:[fault reason 37] {BLOCKED}",
    "4.9": f"[    0.05] DMAR: INTR-REMAP: Request device [[65:00.5] fault index 1600\n"
           f"               INTR-REMAP:[fault reason 37] {BLOCKED}",
    "segment": f"[INTR-REMAP] Request device [0000:65:00.5] fault index 0x1600 [fault reason 0x25] {BLOCKED}",
    "console": f"[   58.440907] DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600 [fault reason 0x25] "
               f"{BLOCKED}",
    "syslog": f"Sep  9 08:00:01 host kernel: [   58.440907] DMAR: [INTR-REMAP] Request device [65:00.5] fault index "
              f"0x1600 [fault reason 0x25] {BLOCKED}",
    "wrapped": f"> DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600\n> [fault reason 0x25] {BLOCKED}",
    "wrapped twice": f"DMAR: [INTR-REMAP] Request\ndevice [65:00.5] fault\nindex 0x1600 [fault\nreason 0x25] {BLOCKED}",
    "another writer": "[    1.5] DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600 usb 1-1: new device\n"
                      f"[    1.6] usb 1-1: config 1\n[    1.7] [fault reason 0x25] {BLOCKED}",
    "quoted-printable": f"DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600 [fault=\n reason 0x25] "
                        f"{BLOCKED}",
    "two names": f"[ 1692.02] dmar: DMAR:[INTR-REMAP] Request device [65:00.5] fault index 1600\n"
                 f"[ 1692.02] DMAR:[fault reason 37] {BLOCKED}",
    "crlf": f"DMAR: [INTR-REMAP] Request device [65:00.5] fault index 0x1600 [fault reason 0x25] {BLOCKED}\r\n",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form_says_the_same(text):
    fault = one(text)
    assert (fault.rid, fault.segment, fault.index, fault.reason, fault.kind) == (0x6505, 0, 0x1600, 0x25, "interrupt")
    assert (fault.source, fault.words, fault.meaning) == ("65:00.5", BLOCKED, REASON_TEXT[0x25])


def test_a_segment_is_kept():
    fault = one("[INTR-REMAP] Request device [0004:65:00.5] fault index 0x1 [fault reason 0x25] x")
    assert (fault.segment, fault.source) == (4, "0004:65:00.5")


@pytest.mark.parametrize(("reason", "words"), linux_faults.WORDS.items())
def test_the_words_are_those_of_the_reason_in_both_spellings(reason, words):
    for spelled in (f"0x{reason:02x}", str(int(reason))):
        fault = one(f"[INTR-REMAP] Request device [00:02.0] fault index 0x7 [fault reason {spelled}] {words}")
        assert (fault.reason, fault.words) == (reason, words)


def test_words_of_another_reason_are_told():
    reading = read(f"[INTR-REMAP] Request device [00:02.0] fault index 7 [fault reason 0x22] {BLOCKED}")
    assert reading.records[0].reason == 0x22
    assert "words of 0x25" in reading.remarks[0].text


@pytest.mark.parametrize(("text", "kind", "address", "pasid"), [
    ("[DMA Read NO_PASID] Request device [00:02.0] fault addr 0x7f000000 [fault reason 0x06] PTE Read access is not "
     "set", "read", 0x7F000000, None),
    ("[DMA Write PASID 0x21] Request device [00:02.0] fault addr 0x7f000000 [fault reason 0x05] PTE Write access is "
     "not set", "write", 0x7F000000, 0x21),
    ("[DMA Read] Request device [00:02.0] PASID ffffffff fault addr 7f000000 [fault reason 06] PTE Read access is not "
     "set", "read", 0x7F000000, None),
    ("DMAR:[DMA Write] Request device [00:02.0] fault addr 7f000000 \nDMAR:[fault reason 02] Present bit in context "
     "entry is clear", "write", 0x7F000000, None)])
def test_dma_faults_are_told_apart(text, kind, address, pasid):
    fault = one(text)
    assert (fault.kind, fault.address, fault.pasid, fault.index) == (kind, address, pasid, None)
    assert fault.reason in (2, 5, 6)
    assert fault.meaning == fault.words


def test_a_posted_fault_is_printed_as_one_of_dma():
    """Linux has no words for 0x27 and 0x28 and takes them for DMA; the address holds the index in its bits 63:48."""
    fault = one("[DMA Write NO_PASID] Request device [00:02.0] fault addr 0x2a000000000000 [fault reason 0x27] Unknown")
    assert (fault.kind, fault.index, fault.address) == ("interrupt", 0x2A, None)
    assert fault.meaning == REASON_TEXT[Reason.DESCRIPTOR_ERROR]


XEN = {
    "4.x": "INTR-REMAP: Request device [0000:02:00.0] fault index b0\nINTR-REMAP: reason 22 - Present field",
    "before": "INTR-REMAP: Request device [0000:02:00.0] fault index b0, iommu reg = ffff82c000201000\n"
              "INTR-REMAP:[fault reason 22h] Present field in the IRTE entry is clear",
    "dma": "DMAR:[DMA Write] Request device [0000:02:00.0] fault addr b000\nDMAR: reason 22 - Present field"}


@pytest.mark.parametrize("text", XEN.values(), ids=XEN)
def test_lines_of_xen_are_read_once(text):
    """With Xen's mark by its own reader, without it by this one."""
    marked = "".join(f"(XEN) [VT-D]{line}\n" for line in text.splitlines())
    assert read(marked) == ((), ())
    for reader, pasted in ((xen_faults, marked), (linux_faults, text)):
        (fault,) = reader.read(lines_of(pasted)[0]).records
        assert (fault.rid, fault.segment, fault.reason) == (0x200, 0, 0x22)
    assert xen_faults.read(lines_of(text)[0]).records == ()


@pytest.mark.parametrize("reason", linux_faults.WORDS)
def test_words_tell_a_reason_whose_number_is_lost(reason):
    head = "> INTR-REMAP: Request device[[42:00.1] fault index b0\n"
    words = linux_faults.WORDS[reason]
    for line in (f"> INTR-REMAP:[] {words}", ">   " + " =\n>>".join(words.rsplit(" ", 1))):
        reading = read(head + line)
        (fault,) = reading.records
        assert (fault.rid, fault.index, fault.reason, fault.words) == (0x4201, 0xB0, reason, words)
        assert [each.text for each in reading.remarks] == [
            f"the number of the reason is lost; by its words it is {reason:#x}"]


def test_words_on_the_next_line_are_those_of_the_number_before_them():
    reading = read("DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x1 DMAR: [INTR-REMAP] Request device "
                   f"[02:00.0] fault index 0x2 [fault reason 0x25]\n{BLOCKED}\n[fault reason 0x22]")
    assert [(f.rid, f.reason) for f in reading.records] == [(0x100, 0x25), (0x200, 0x22)]
    assert reading.remarks == () and read(f"{BLOCKED}\n").records == ()


def test_two_writers():
    reading = read("DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x1 DMAR: [INTR-REMAP] Request device "
                   f"[02:00.0] fault index 0x2\n[fault reason 0x22] Present\n[fault reason 0x25] {BLOCKED}")
    assert [(f.rid, f.index, f.reason) for f in reading.records] == [(0x100, 1, 0x22), (0x200, 2, 0x25)]


@pytest.mark.parametrize(("text", "says"), [
    ("[INTR-REMAP] Request device [01:00.0] fault index 0x1", "no reason"),
    ("[INTR-REMAP] Request device [01:00.0] [fault reason 0x22]", "no index"),
    ("[INTR-REMAP] Request device [01:00.0] fault index 0x1 [fault reason 0x2", "no reason"),
    ("[INTR-REMAP] Request device [01:00.0] fault index 0x1 [fault reason 0x2\nnext", "no reason"),
    ("[INTR-REMAP] Request device [01:00.0]" + 8 * "\nx" + "\nfault index 0x1 [fault reason 0x22] Present",
     "no index and no reason")])
def test_a_fault_that_was_cut_is_kept(text, says):
    reading = read(text)
    assert reading.records[0].rid == 0x100 and reading.records[0].reason in (-1, 0x22)
    assert says in reading.remarks[-1].text or says in reading.remarks[0].text


@pytest.mark.parametrize("source", ["01:3f.0", "01:00.8", "hello", "1:2"])
def test_what_is_no_function_is_left_out(source):
    reading = read(f"[INTR-REMAP] Request device [{source}] fault index 0x1 [fault reason 0x22] Present")
    assert reading.records == ()
    assert "left out" in reading.remarks[0].text
    assert all(remark.line == 1 and remark.column > 1 for remark in reading.remarks)


def test_the_same_line_told_again_counts_once():
    text = f"[    1.5] DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x1 [fault reason 0x25] {BLOCKED}"
    assert len(read(f"{text}\n{text}").records) == 1
    assert len(read(f"{text}\n{text.replace('1.5', '1.6')}").records) == 2


def test_a_status_is_fsts():
    status = one("[    1.5] DMAR: DRHD: handling fault status reg 502")
    assert isinstance(status, Status)
    assert status.value == 0x502
    assert {name for name, value in status.fields.items() if value} == {"fri", "ppf"}
    assert (status.fields["fri"], status.time) == (5, "1.5")
    assert one("FSTS_REG - 0x00000010").fields["iqe"] == 1


def test_a_status_of_all_ones_is_told():
    assert "no unit" in read("DMAR: DRHD: handling fault status reg ffffffff").remarks[0].text


def test_errors_of_the_queue():
    reading = read("DMAR: VT-d detected Invalidation Queue Error: Reason 3\n"
                   "DMAR: VT-d detected Invalidation Time-out Error: SID 300\n"
                   "DMAR: QI HEAD: Invalidation Wait qw0 = 0x200000025, qw1 = 0x100099b84\n")
    queue, late, dump = reading.records
    assert isinstance(queue, QueueFault)
    assert (queue.what, queue.meaning) == ("queue", "invalid descriptor type")
    assert (late.what, late.meaning) == ("time-out", "of a request to 03:00.0")
    assert dump == QueueDump("log", 3, "HEAD", 0x200000025, 0x100099B84)


def test_a_fault_record_reads_back():
    word = FRCD.make(f=1, sid=0x6505, index=0x1600, reason=0x25)
    fault = one(f"FRCD_REG[0] = 0x{word >> 64:016x} {word & (1 << 64) - 1:016x}")
    assert (fault.rid, fault.index, fault.reason) == (0x6505, 0x1600, 0x25)
    dma = linux_faults.of_record(FRCD.make(f=1, sid=0x10, reason=6, t=1) >> 64, 0x7F000000)
    assert (dma.kind, dma.address, dma.index) == ("read", 0x7F000000, None)
    assert "not in use" in read(f"FRCD: {0:016x} {0:016x}").remarks[0].text


def test_lines_that_linux_left_out_are_counted():
    assert read("dmar_fault: 12 callbacks suppressed").remarks[0].text.startswith("Linux left out 12")
    assert read("usb_hub: 12 callbacks suppressed").remarks == ()


def test_too_many_are_left_out(monkeypatch):
    monkeypatch.setattr(linux_faults, "MAX_FAULTS", 2)
    reading = read("DRHD: handling fault status reg 2\n" * 3)
    assert len(reading.records) == 2
    assert "first 2 faults" in reading.remarks[0].text


REAL = {  # (requester, index, reason) of each fault, by hand
    "icelake-vmd-compat-blocked.txt": [(0x6405, 0x8800, 0x25)] * 2,
    "vmd-irq-domain.txt": [(0xE200, 0xA00, 0x25)] * 2,
    "irte-not-present-serial.faults.txt": [(0x6500, 0x25, 0x22)],
}


@pytest.mark.parametrize("path", [*real_files("fault-lines/*"), *real_files("ftrace/*.faults.txt")])
def test_real_faults(path):
    reading = linux_faults.read(lines_of(path.read_text(), path.name)[0])
    faults = [record for record in reading.records if isinstance(record, Fault)]
    assert [(f.rid, f.index, f.reason) for f in faults] == REAL[path.name]
    assert {f.words for f in faults} == {linux_faults.WORDS[faults[0].reason]}
    assert {s.value for s in reading.records if isinstance(s, Status)} == {2}
    assert reading.remarks == ()


def test_a_reason_that_is_lost_takes_none_from_the_faults_behind():
    reading = read("DMAR: INTR-REMAP: Request device [64:00.5] fault index a00\n"
                   "DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x33 [fault reason 0x22] Present\n"
                   "DMAR: [DMA Read] Request device [00:02.0] fault addr 0x7f000000 [fault reason 0x06] PTE clear\n")
    assert [(f.rid, f.index, f.reason) for f in reading.records] == [
        (0x6405, 0xA00, -1), (0x100, 0x33, 0x22), (0x10, None, 6)]
