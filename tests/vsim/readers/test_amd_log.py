"""Logs of AMD's IOMMUs: who, where and what of an event in four forms; what boot found and switched on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from vsim.explain.logged import tell_logged
from vsim.layouts.amd import AMD_EVENT, AMD_EVENT_FLAGS, AMD_REQUEST_FLAGS
from vsim.layouts.bits import get
from vsim.readers import amd_log
from vsim.readers.amd_log import Event, Feature, Missing, Special, Trouble, Unit
from vsim.readers.pieces import lines_of


def read(text):
    return amd_log.read(lines_of(text, "log")[0])


def one(text):
    (record,) = read(text).records
    return record


@pytest.mark.parametrize("text, expected", [
    ("[ 8.5] ahci 0000:02:00.1: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0043 address=0xecdd5004 flags=0x0070]",
     ("IO_PAGE_FAULT", 0x201, 0, 0x43, 0xECDD5004, 0x70)),
    ("AMD-Vi: Event logged [IO_PAGE_FAULT device=0001:02:00.1 domain=0x0043 address=0xec flags=0x0000]",
     ("IO_PAGE_FAULT", 0x201, 1, 0x43, 0xEC, 0)),
    ("iommu ivhd0: AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=63:00.0 address=0x42b]",
     ("IOTLB_INV_TIMEOUT", 0x6300, 0, None, 0x42B, None)),
    ("(XEN) AMD-Vi: IO_PAGE_FAULT: 0000:00:14.0 d7 addr 000000fdf8010140 flags 0x8 I",
     ("IO_PAGE_FAULT", 0xA0, 0, 7, 0xFDF8010140, 8)),
    ("(XEN) AMD-Vi: IO_PAGE_FAULT: domain = 0, device id = 0xa2, fault address = 0xfdf8020000, flags = 0x8",
     ("IO_PAGE_FAULT", 0xA2, 0, 0, 0xFDF8020000, 8)),
    ("(XEN) AMD-Vi: IO_PAGE_FAULT: domain = 0x12, device id = 0x4a1, fault address = 0xfdf8330000, flags = 0",
     ("IO_PAGE_FAULT", 0x4A1, 0, 0x12, 0xFDF8330000, 0)),
    ("(XEN) AMD-Vi: IO_PAGE_FAULT: domain = 12, device id = 0x0300, fault address = 0x7f000",
     ("IO_PAGE_FAULT", 0x300, 0, 12, 0x7F000, None)),
    ("(XEN) AMD_IOV: IO_PAGE_FALT: domain:3, device id:0x2a8, fault address:0x1c000",
     ("IO_PAGE_FAULT", 0x2A8, 0, 3, 0x1C000, None)),
    ("(XEN) INVALID_DEV_REQUEST 000004a1 80080007 f8330100 000000fd",
     ("INVALID_DEVICE_REQUEST", 0x4A1, 0, None, 0xFDF8330100, 8)),
    ("(XEN) [    8.5] AMD-Vi: ILLEGAL_DEV_TABLE_ENTRY 000004a1 10010000 00045000 00000000",
     ("ILLEGAL_DEV_TABLE_ENTRY", 0x4A1, 0, None, 0x45000, 1)),
    ("(XEN) AMD-Vi: event 0x000004a1 0x60000000 0x00045000 0x00000000",
     ("COMMAND_HARDWARE_ERROR", 0x4A1, 0, None, 0x45000, 0))])
def test_an_event(text, expected):
    event = one(text)
    assert (event.kind, event.rid, event.segment, event.domain, event.address, event.flags) == expected
    assert event.time == ("8.5" if "8.5" in text else "")


def test_an_event_that_was_printed_in_two_steps_is_one():
    first = "kernel: [ 8.5] AMD-Vi: Event logged [\n"
    second = "INVALID_DEVICE_REQUEST device=00:02.1 address=0x{} flags=0x0a00]\n"
    log = (f"{first}kernel: [ 8.6] usb 1-1: new device\nkernel: [ 8.7] {second.format('fdf8000040')}"
           f"{first}iommu ivhd0: {second.format('fdf8000080')}")
    reading = read(log)
    assert reading.remarks == ()
    assert [(e.line, e.kind, e.rid, e.address, e.flags, e.interrupt) for e in reading.records] == [
        (3, "INVALID_DEVICE_REQUEST", 0x11, 0xFDF8000040, 0xA00, True),
        (5, "INVALID_DEVICE_REQUEST", 0x11, 0xFDF8000080, 0xA00, True)]
    cut = read(f"{first}1\n2\n3\n4\n{second}{first}")
    assert cut.records == () and [str(each) for each in cut.remarks] == [
        f"log:{line}:1: left out: an event that was cut before its name" for line in (1, 7)]


def test_an_event_of_an_interrupt_is_known_by_its_flag_or_its_address():
    assert one("(XEN) AMD-Vi: IO_PAGE_FAULT: 0000:00:14.0 d0 addr 0000000000000000 flags 0x8 I").interrupt
    assert one("x: AMD-Vi: Event logged [IO_PAGE_FAULT address=0xfdf8010140]").interrupt
    assert one("x: AMD-Vi: Event logged [IO_PAGE_FAULT address=0xfffffffdf8000000]").interrupt
    assert not one("x: AMD-Vi: Event logged [IO_PAGE_FAULT address=0xfdf9010140 flags=0x0070]").interrupt
    assert not one("x: AMD-Vi: Event logged [IO_PAGE_FAULT address=0x12fdf8010140 flags=0x0070]").interrupt
    assert not one("x: AMD-Vi: Event logged [INVALID_DEVICE_REQUEST address=0x1000 flags=0x0a08]").interrupt


@given(st.integers(0, (1 << 128) - 1))
def test_an_event_that_linux_does_not_know_is_its_four_words(word):
    words = " ".join(f"event[{place}]=0x{word >> 32 * place & 0xFFFFFFFF:08x}" for place in range(4))
    event = one(f"AMD-Vi: Event logged [UNKNOWN {words}")
    assert (event.rid, event.address, event.flags) == tuple(
        get(word, getattr(AMD_EVENT, name)) for name in ("device", "address", "flags"))


@pytest.mark.parametrize("efr, names", [
    (0x206D73EF22254ADE, "PPR X2APIC NX GT IA GA PC GA_vAPIC"), (0x58F77EF22294A5A, "PPR NX GT IA PC GA_vAPIC"),
    (0x4F77EF22294ADA, "PPR NX GT IA GA PC GA_vAPIC"), (0xA5BF7320A2294AEE, "PPR X2APIC NX IA GA PC GA_vAPIC SNP")])
def test_the_features_of_real_machines_are_the_bits_of_their_register(efr, names):
    reading = read(f"AMD-Vi: Extended features (0x{efr:x}, 0x0): {names}")
    assert reading.records == (Unit("log", 1, efr=efr, features=tuple(names.split())),) and reading.remarks == ()
    assert {name for name, field in amd_log.PRINTED.items() if get(efr, field)} == set(names.split())
    assert "GT" not in names or "name GT" in read(
        f"AMD-Vi: Extended features (0x{efr & ~0x10:x}, 0x0): {names}").remarks[0].text


def test_boot():
    reading = read("[ 2.6] pci 0000:00:00.2: AMD-Vi: Found IOMMU cap 0x40\n[ 2.7]  PPR NX GT\n"
                   "AMD-Vi: Found IOMMU at 0000:40:00.2 cap 0x40\nAMD-Vi: Extended features (0xf77ef22294ada):\n"
                   "> [ 2.7]  PPR NX\nAMD-Vi: X2APIC enabled\n[Firmware Bug]: AMD-Vi: IOAPIC[130] not in IVRS table\n"
                   "AMD-Vi: [Firmware Bug]: : No southbridge IOAPIC found\nAMD-Vi: Disabling interrupt remapping\n"
                   "AMD-Vi: Completion-Wait loop timed out\nAMD-Vi:   DEV_SPECIAL(IOAPIC[33])\t\tdevid: 00:14.0\n")
    assert reading.records == (
        Unit("log", 1, 2, 0, None, ("PPR", "NX", "GT")), Unit("log", 3, 0x4002, 0, 0xF77EF22294ADA, ("PPR", "NX")),
        Feature("log", 6, "X2APIC", True), Missing("log", 7, 130), Missing("log", 8, -1),
        Feature("log", 9, "Interrupt remapping", False), Trouble("log", 10, "Completion-Wait loop timed out"),
        Special("log", 11, "IOAPIC", 33, 0xA0))


def test_xen_s_boot():
    reading = read("(XEN) [    0.5] AMD-Vi: IOMMU Extended Features:\n(XEN) [    0.5] - x2APIC\n(XEN)  - Guest APIC\n"
                   "(XEN) - Maximum PASID: 0xf\n(XEN) Using APIC driver default\n(XEN) - NX bit\n"
                   "(XEN) AMD-Vi: IVHD Special: 0001:40:13.0 variety 0x1 handle 0x21\n"
                   "(XEN) AMD-Vi: IVHD Special: 0000:00:14.0 variety 0x2 handle 0\n"
                   "(XEN) AMD-Vi: IVHD Special: 0000:00:14.0 variety 0x3 handle 0\n"
                   "(XEN) AMD-Vi: IOMMU 1 Enabled.\n**(XEN) IVHD Error: no information for IO-APIC 0x82**\n"
                   "(XEN) No southbridge IO-APIC found in IVRS table\n(XEN) IVHD Error: Invalid IO-APIC 0xff\n"
                   "(XEN) AMD-Vi: Error initialization\n")
    assert reading.records == (
        Unit("log", 1, features=("x2APIC", "Guest APIC", "Maximum PASID: 0xf")),
        Special("log", 7, "IOAPIC", 0x21, 0x4098), Special("log", 8, "HPET", 0, 0xA0),
        Feature("log", 10, "IOMMU 1", True), Missing("log", 11, 0x82), Missing("log", 12, -1),
        Trouble("log", 13, "IVHD Error: Invalid IO-APIC 0xff"), Trouble("log", 14, "Error initialization"))
    assert reading.remarks == ()


def test_four_words_of_anything_else_are_no_event():
    assert read("(XEN) Mem event 000004a1 80080007 f8330100 000000fd\n"
                "x event 000004a1 80080007 f8330100 000000fd\n").records == ()


def test_what_was_cut_or_left_out_is_told():
    assert "was cut" in read("x: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x00").remarks[0].text
    assert "left out 12" in read("amd_iommu_report_page_fault: 12 callbacks suppressed").remarks[0].text


@given(st.lists(st.sampled_from([
    "ahci 0000:02:00.1: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0043 address=0xecdd5004 flags=0x0070]",
    "AMD-Vi: Found IOMMU at 0000:40:00.2 cap 0x40", " PPR NX GT", "AMD-Vi: IO_PAGE_FAULT: 0000:00:14.0 d0 addr "
    "000000fdf8010140 flags 0x8 I", "AMD-Vi: Extended features (0x1, 0x2): NX"]).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read_and_told(text):
    for record in read(text).records:
        assert record.line >= 1
        assert not isinstance(record, Event) or str(tell_logged(record))


@pytest.mark.parametrize("path", real_files("dmesg/amd-*.txt"))
def test_a_real_boot(path):
    records = amd_log.read(lines_of(path.read_text(), path.name)[0]).records
    assert [record for record in records if isinstance(record, Unit)] == [
        Unit(path.name, 98, 2, 0, None, ("PPR", "NX", "GT", "IA", "GA", "PC", "GA_vAPIC"))]
    assert [(record.name, record.on) for record in records if isinstance(record, Feature)] == [
        ("Interrupt remapping", True), ("Virtual APIC", True)]


@pytest.mark.parametrize("path", [*real_files("dmesg/[kvx]*.txt"), *real_files("fault-lines/*.txt")])
def test_intel_s_logs_have_nothing_of_amd(path):
    assert amd_log.read(lines_of(path.read_text(), path.name)[0]).records == ()


def test_a_request_that_is_invalid_has_flags_of_its_own():
    event = one("x: AMD-Vi: Event logged [INVALID_DEVICE_REQUEST device=00:02.1 address=0xfffffffdf8000000 "
                "flags=0x0a00]")
    (form,) = tell_logged(event).forms
    (flags,) = form.words
    assert (AMD_REQUEST_FLAGS.type.low + AMD_EVENT.flags.low, get(event.flags, AMD_REQUEST_FLAGS.type)) == (57, 5)
    assert flags.name == AMD_REQUEST_FLAGS.name and [each.name for each in flags.fields] == ["type", "tr", "us", "gn"]
    assert form.says[0] == ("INVALID_DEVICE_REQUEST: 00:02.1 made a request in the range of interrupts at address "
                            "0xfffffffdf8000000.")


def test_flags_are_declared_in_the_order_of_xen_s_letters_and_at_the_places_of_virtualbox_s_event():
    assert [field.name for field in AMD_EVENT_FLAGS] == ["gn", "nx", "us", "i", "pr", "rw", "pe", "rz", "tr"]
    assert AMD_EVENT.flags.low + AMD_EVENT_FLAGS.gn.low == 48 and AMD_EVENT.flags.low + AMD_EVENT_FLAGS.tr.low == 56


def test_an_event_that_was_wrapped_is_whole_and_what_was_cut_is_no_number():
    event = "AMD-Vi: Event logged [IO_PAGE_FAULT device=00:14.0 domain=0x0001 address=0xfdf8020200 flags=0x0008]"
    (whole,) = read(event).records
    for place in range(event.index("device"), len(event)):
        if event[place - 1] == " ":
            reading = read(f"> {event[:place - 1]}\n> {event[place:]}\n")
            assert reading == ((whole,), ()), place
        (cut,) = read(event[:place]).records
        assert all(getattr(cut, name) in (None, getattr(whole, name)) for name in ("rid", "domain", "address", "flags"))
