"""`vsim decode`: what is written is what is told, as text and as JSON; a mistake has its place and status 2."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from vsim.cli import main as cli
from vsim.cli.decode import DecodeError, decoded


def started(capsys, *words):
    status = cli.main(["decode", *words])
    return status, *capsys.readouterr()


@pytest.mark.parametrize("words, part", [
    (("msi", "0xfee00218", "0x0"), "Index 16 (0x10)"), (("msi 0xfee00218 0x0",), "Index 16 (0x10)"),
    (("fee00218", "0"), "Index 16 (0x10)"), (("irte", "0x40010", "0x0000400000310009"), "0x40 (64)"),
    (("irte", "0x00000000000400100000400000310009"), "0x40 (64)"), (("apicid", "64"), "APIC ID 64 (0x40)"),
    (("apicid", "0x64"), "APIC ID 100"), (("fsts", "502"), "record is number 5"), (("GSTS:", "0x02000000"), "ires"),
    (("(XEN) AMD-Vi: IO_PAGE_FAULT: 0000:00:14.0 d0 addr 000000fdf8010140 flags 0x8 I",),
     "00:14.0 sent an interrupt that was refused"), (("amd-irte32", "00310200"), "RemapEn is 0"),
    (("amd-irte", "0x0100000000000031", "0x0000000000000301"), "destination 0x1000003 (16777219)"),
    (("amd-irte", "0x00000000012340c5", "0x00000000000000c1"), "Sets vector 0xc5 in the APIC page at 0x1234000"),
    (("amd-event", "000000a0", "20080000", "f8010140", "000000fd"), "00:14.0 sent an interrupt"),
    (("amd-efr", "58f77ef22294a5a"), "x2apic"),
    (("vtd_ir_irte_get index 0 low 0x40010 high 0x0000400000310009",), "0x40 (64)"),
    (("vtd_ir_remap_msi_req addr 0xfee00010 data 0xd1 sid 0xffff do_fault 0",), "Index 0 (0x0)"),
    (("vtd_frr_new index 0 high 0x8000002200000018 low 0x0012000000000000",), "00:03.0 asked for index 18"),
    (("qemu-system-x86_64: vtd_irte_get: detected non-present IRTE (index=5, high=0xff00, low=0x100)",),
     "check not-present"),
    (("\t\tAddress: 00000000fee00218  Data: 0000",), "Index 16 (0x10)"),
    ((" 0     00:02.0 00004000 25  0000000000040010\t000040000025000d",), "0x40 (64)"),
    ((" 5     00:02.0 00000001 02345600 31  0000000100040010\t0234560000318001",), "Entry, posted"),
    (("[ 0.1] DMAR: dmar0: reg_base_addr fed90000 ver 4:0 cap d2008c222f0606 ecap f00f5a",), "Extended capability"),
    (("(XEN) [VT-D]cap = d2008c222f0606 ecap = f00f5a",), "1 fault record(s) at offset 0x220"),
    (("  pin 4  0x0100000000000021 dest=1 vec=33  active-hi edge",), "destination 0x1 (1)"),
    (("FSTS            \t0x34\t\t0x0000000000000002",), "the first record is number 0"),
    (("(XEN) R:  0000:  1   0  0038 e8    0   0 00000001   1  0  1  1 1",), "Takes requests of 00:07.0"),
    (("(XEN) P:  0001:  1   0  0100 31    0   0         12340000    0 1",), "descriptor at 0x12340000"),
    (("descriptor", "0", "0x0000002500000014"), "index-selective"),
    (("[ 1.5] DMAR: [INTR-REMAP] Request device [65:00.0] fault index 0x1600 [fault reason 0x22] Present",),
     "65:00.0 asked for index 0x1600 (5632) and was refused: the entry is not present"),
    (("[ 1.5] DMAR: [INTR-REMAP] Request device [65:00.0] fault index 0x8800 [fault reason 0x25] Blocked",),
     "65:00.0 was refused: a compatibility-format request is blocked"),
    (("(XEN) [VT-D]INTR-REMAP: Request device [0000:02:00.1] fault index b0\n(XEN) [VT-D]INTR-REMAP: reason 26 - B",),
     "check source-compare (VT-d 9.9)"),
    (("DMAR: DRHD: handling fault status reg 502",), "the first record is number 5"),
    (("(XEN) [VT-D]iommu.c:694: iommu_fault_status: Primary Pending Fault",), "ppf is set"),
    (("DMAR: VT-d detected Invalidation Queue Error: Reason 3",), "invalid descriptor type"),
    (("DMAR: QI HEAD: Invalidation Wait qw0 = 0x200000025, qw1 = 0x100099b84",), "Descriptor: wait"),
    (("(XEN) [VT-D]DMAR:[DMA Read] Request device [0001:04:00.0] fault addr 34f4b2000\n",),
     "0001:04:00.0 tried address 0x34f4b2000"),
    (("rte", "0100000000000021"), "destination 0x1 (1)"), (("msi", "fee00000,", "41", "eime=1"), "reason 0x25")])
def test_a_thing_is_told(capsys, words, part):
    status, out, err = started(capsys, *words)
    assert (status, err) == (0, "")
    assert part in out


def test_json_has_every_part(capsys):
    status, out, _ = started(capsys, "msi", "0xfee01004", "0x4041", "--json")
    (thing,) = json.loads(out)["things"]
    assert status == 0 and thing["kind"] == "msi" and thing["given"] == "msi 0xfee01004 0x4041"
    (form,) = thing["forms"]
    assert [row["name"] for row in form["words"][1]["fields"]] == ["tm", "level", "dlm", "vector"]
    assert form["ends"][0] == {
        "check": "compatibility-blocked", "when": "EIME=1 or CFIS=0", "reason": 0x25, "section": "VT-d 5.1.4",
        "outcome": form["ends"][0]["outcome"], "sentence": form["ends"][0]["sentence"], "cure": form["ends"][0]["cure"]}


def test_a_dash_reads_standard_input_a_thing_a_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("fsts 2\n\nmsi fee00218 0\n"))
    status, out, _ = started(capsys, "-", "--json")
    assert status == 0 and [thing["kind"] for thing in json.loads(out)["things"]] == ["fsts", "msi"]


def test_rows_and_lines_of_a_log_are_both_told():
    text = ("lspci says [Address: fee00000 Data: 0020]\nand the log:\n[ 1.0] DMAR: [INTR-REMAP] Request device "
            "[02:00.0] fault index 0x0\n[fault reason 0x25] Blocked a compatibility format interrupt request\n")
    assert [thing.kind for thing in decoded(text, "f")] == ["msi", "fault"]


@pytest.mark.parametrize("text, part", [
    ("do_IRQ: 1.55 No irq handler for vector", "vsim read reads this (boot log of Linux)"),
    ("(XEN)    IRQ:  17 vec:d8 IO-APIC-level   status=010 aff:{10}/{0-11} mapped, unbound",
     "vsim read reads this (Xen's debug keys M, i, z; apic=debug)")])
def test_what_is_read_and_no_thing_is_sent_to_vsim_read(text, part):
    with pytest.raises(DecodeError) as caught:
        decoded(text, "f")
    assert part in str(caught.value)


@pytest.mark.parametrize("text, place, part", [
    ("", "1:1", "found nothing"), ("  hello", "1:3", "found 'hello'"), ("fsts 2\nhello", "2:1", "found 'hello'"),
    ("msi 0xfee00218", "1:15", "found 1 number(s); allowed: msi ADDRESS DATA"), ("fsts xyz", "1:6", "found 'xyz'"),
    ("fsts 123456789", "1:6", "value of up to 32 bits"), ("irte 1 2 3", "1:11", "found 3 number(s)"),
    ("[ 1.0] DMAR: fault reason 0x99 of nothing", "1:1", "left out: '0x99'"),
    ("msi fee00000 41 eime=2", "1:17", "found 'eime=2'"), ("msi fee00018 0 from=99", "1:16", "is not bus:device")])
def test_a_mistake_has_its_place(text, place, part):
    with pytest.raises(DecodeError) as caught:
        decoded(text, "f")
    assert str(caught.value).startswith(f"f:{place}: ") and part in str(caught.value)


def test_the_command_ends_with_status_2(capsys):
    status, out, err = started(capsys, "hello")
    assert (status, out) == (2, "") and err.startswith("<text>:1:1: found 'hello'; allowed: ")


@given(st.text() | st.from_regex(r"(msi|irte|rte|fsts|apicid) [0-9a-fx =:,.]{0,60}", fullmatch=True))
def test_any_text_is_told_or_has_a_place(text):
    try:
        assert decoded(text, "f")
    except DecodeError as error:
        assert error.line >= 1 and error.column >= 1


@pytest.mark.parametrize("path", [*real_files("debugfs-iommu/*/ir_translation_struct.txt")])
def test_every_row_of_a_real_table_is_told_and_agrees_with_its_printed_columns(path):
    rows = [row.split() for row in path.read_text().splitlines() if row[:2].strip().isdigit() or row[1:3].isdigit()]
    told = decoded(path.read_text(), "f")
    assert len(told) == len(rows) == 69
    for row, thing in zip(rows, told, strict=True):
        fields = {each.name: each for each in thing.forms[0].words[0].fields}
        assert (fields["sid"].shown, fields["dst"].value, fields["vector"].value) == (
            row[1], int(row[2], 16), int(row[3], 16))


@pytest.mark.parametrize("path", [*real_files("fault-lines/*.txt")])
def test_real_fault_lines_are_told(path):
    things = decoded(path.read_text(), "f")
    assert [thing.kind for thing in things].count("fault") == 2
    assert all(thing.forms[0].ends[0].check == "compatibility-blocked" for thing in things if thing.kind == "fault")
