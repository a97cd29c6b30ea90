"""Two runs compared: what is the same whatever its address, and the first divergence."""

import json

import pytest

from tests.places import real_files
from tests.vsim.findings.machine_texts import INTERRUPTS, PIN_ROW, ROWS, machine, row, table
from vsim.cli.main import main
from vsim.findings.catalogue import examine
from vsim.findings.compare import compare

GOOD = """vtd_ir_enable enable 1
kvm_irqchip_commit_routes
vtd_ir_remap_msi_req addr 0xfee00010 data 0xd1 sid 0xffff do_fault 0
vtd_ir_irte_get index 0 low 0x0 high 0x100d10005
vtd_ir_remap index 0 trigger 0 vector 209 deliver 0 dest 0x1 mode 1
vtd_ir_remap_type IOAPIC
"""
BAD = """vtd_ir_enable enable 1
vtd_ir_remap_msi_req addr 0xfee00000 data 0x0 sid 0xffff do_fault 0
"""
PINS = """ioapic0: ver=0x20 id=0x00 sel=0x22 (redir[9])
  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical
  pin 1  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical
  pin 2  0x{:016x} dest=0 vec=0   active-hi edge         fixed  physical
  IRR      (none)
  Remote IRR (none)
"""


def compared(a: dict[str, str], b: dict[str, str]):
    return compare(examine(a.items()), examine(b.items()))


def test_a_machine_is_like_itself_with_other_indices_vectors_and_addresses():
    moved = table(*(row(entry + 64, vector=vector + 7, dst=6) for _, entry, _, vector in INTERRUPTS),
                  PIN_ROW).replace("2600000", "7700000")
    found = compared(machine(), machine() | {"table": moved})
    assert found.kinds == ["registers", "entries", "functions", "interrupts", "what Linux says"]
    assert (found.first, found.differences) == (None, [])


@pytest.mark.parametrize("name, text, what", [
    ("registers", machine()["registers"].replace("260080f", "260000f"), "unit 0 EIME: 1 in A, 0 in B"),
    ("registers", machine()["registers"].replace("f00f5a", "f00f4a"), "unit 0 ECAP.eim: 0x1 in A, 0x0 in B"),
    ("table", table(*ROWS[1:], PIN_ROW), "entry 2 of 01:00.0: svt=1 sq=0 fpd=0 dm=0 dlm=0 tm=0 rh=0: only A has it"),
    ("lspci", machine()["lspci"].replace("Count=3", "Count=1"), "function Ethernet controller: N 0: 3 MSI-X, 0 MSI, "
     "Endpoint, all in A, 1 MSI-X, 0 MSI, Endpoint, all in B"),
    ("log", machine()["log"].replace("x2apic mode", "xapic mode"), "Linux: remapping: x2apic in A, xapic in B"),
])
def test_what_differs_is_told_with_both_places(name, text, what):
    found = compared(machine(), machine() | {name: text})
    assert [each.what for each in found.differences] == [what]
    for side in (found.differences[0].a, found.differences[0].b):
        assert side is None or (side.file == name and side.line > 0)


def test_a_boot_that_leaves_a_compatibility_message_in_a_pin_is_told_as_that():
    traces = compared({"good": GOOD}, {"bad": BAD})
    assert traces.first.what.endswith("B: vtd_ir_remap_msi_req compatibility message with vector 0")
    assert "A: vtd_ir_remap_msi_req remappable message, entry 0" in traces.first.what
    assert (traces.first.a.line, traces.first.b.line) == (3, 2)
    pins = compared({"good": PINS.format(0x0001000000000000)}, {"bad": PINS.format(0)})
    assert [each.what for each in pins.differences] == [
        "I/O APIC 0 pin 2: remappable, entry 0, open in A, a compatibility message with vector 0, edge, open in B"]


ROUTED = GOOD + """\
vtd_ir_remap_msi (addr 0xfee00010, data 0xd1) -> (addr 0xfee01004, data 0x40d1)
kvm_irqchip_update_msi_route Updating MSI route virq=2
"""
STUCK = """vtd_ir_enable enable 1
kvm_irqchip_commit_routes
vtd_ir_remap_msi_req addr 0xfee00004 data 0x0 sid 0xffff do_fault 0
vtd_ir_remap_msi (addr 0xfee00004, data 0x0) -> (addr 0xfee00004, data 0x0)
kvm_irqchip_update_msi_route Updating MSI route virq=2
"""
"""A boot of Windows on two hosts, in the form of the public pair (qemu-devel, 11 July 2024, "More than 255 vcpus
Windows VM setup without viommu ?"): only the good half of it is among the stored files."""


def test_the_pair_of_windows_boots_is_told_as_what_it_is():
    first = compared({"good": ROUTED}, {"bad": STUCK}).first
    assert first.what == ("pin 2 of the I/O APIC holds a remappable message, entry 0 in A, still holds a compatibility "
                          "message with vector 0 in B")
    assert (first.a.line, first.b.line) == (3, 3)
    assert compared({"good": ROUTED}, {"again": ROUTED}).first is None
    other = compared({"good": ROUTED}, {"bad": STUCK.replace("virq=2", "virq=4")}).first
    assert other.what.startswith("A: vtd_ir_remap_msi_req pin 2 of the I/O APIC: remappable")
    device = compared({"good": ROUTED}, {"bad": STUCK.replace("virq=2", "virq=24")}).first
    assert "B: vtd_ir_remap_msi_req compatibility message with vector 0" in device.what


def test_the_pair_is_read_from_the_raw_mail_too():
    mail = "Content-Transfer-Encoding: quoted-printable\n\n" + STUCK.replace("=2", "=3D2").replace(
        "routes\n", "routes=20\n").replace("data 0x0)\n", "data 0=\nx0)\n")
    assert compared({"good": ROUTED}, {"bad": mail}).first.what == compared({"good": ROUTED}, {"bad": STUCK}).first.what


@pytest.mark.parametrize("path", real_files("qemu/trace-vtd-windows-ok.txt"))
def test_the_stored_half_of_the_pair_against_the_other(path):
    first = compared({"good": path.read_text()}, {"bad": STUCK}).first
    assert first.what.startswith("pin 2 of the I/O APIC holds a remappable message, entry 0 in A, still holds a compat")


def test_repetitions_and_routes_of_a_trace_are_no_difference():
    assert compared({"a": GOOD}, {"b": GOOD + GOOD.partition("\n")[2] * 3}).first is not None
    once = "\n".join(line for line in GOOD.splitlines() if "kvm" not in line)
    assert compared({"a": GOOD}, {"b": once}).first is None
    assert compared({"a": GOOD}, {"b": GOOD.replace("index 0 ", "index 5 ")}).first is None


def test_the_command_ends_with_what_it_found(tmp_path, capsys):
    (tmp_path / "a").write_text(GOOD)
    (tmp_path / "b").write_text(BAD)
    (tmp_path / "c").write_text("nothing")
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert "differences: 0" in capsys.readouterr().out
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["first"]["b"]["line"] == 2
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "c")]) == 2


@pytest.mark.parametrize("path", real_files("qemu/trace-vtd-windows-ok.txt"))
def test_a_real_trace_is_like_itself_and_not_like_a_bad_one(path):
    text = path.read_text()
    assert compared({"ok": text}, {"ok": text}).first is None
    assert "compatibility message with vector 0" in compared({"ok": text}, {"bad": BAD}).first.what
