"""`vsim read`: what it prints, how it ends, and that nothing it is given makes it fail."""

import json
import subprocess
import sys
import time

import pytest

from tests.places import A_REAL_LINUX, ROOT, real_files
from tests.vsim.findings.machine_texts import machine, row, table
from vsim.cli.main import main
from vsim.domain import acpi
from vsim.findings.catalogue import CATALOGUE, examine
from vsim.history import whole


@pytest.fixture
def folder(tmp_path):
    """The texts of the small machine as files."""
    for name, text in machine().items():
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def test_a_folder_of_texts_that_agree_ends_with_0(folder, capsys):
    assert main(["read", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"{folder}/table.txt:1-7: ir_translation_struct: 5" in printed
    assert "machine: 4 processors (APIC IDs 0x0 to 0x6), 1 I/O APIC, 3 interrupts, 3 functions, 4 entries" in printed
    assert "messages: 3 remappable, 3 of them ask for their own entry" in printed
    assert printed.endswith("findings: 0\n")


def test_a_finding_ends_with_1_and_has_both_sides(folder, capsys):
    rows = row(0, vector=60, dst=2), row(1, vector=34, dst=4), row(2, vector=35, dst=6)
    (folder / "table.txt").write_text(table(*rows))
    assert main(["read", str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (finding,) = told["findings"]
    assert (finding["name"], [side["file"].rsplit("/", 1)[1] for side in finding["sides"]]) == (
        "entry-disagrees", ["table.txt", "irq.txt"])
    chain = told["machine"]["interrupts"][0]
    assert (chain["irq"], chain["handle"], chain["entry"]["index"], chain["cpu"]) == (24, 0, 0, 1)


def test_interrupts_that_a_domain_has_masked_are_told(tmp_path, capsys):
    flags = ["-M-", "PMM", "---", "P-M", *["-M-"] * 8]
    (tmp_path / "i.txt").write_text("".join(
        f"(XEN)    IRQ: {40 + irq} vec:72 PCI-MSI         status=030 aff:{{0}}/{{0}} in-flight=0 d{irq}:151({each})\n"
        for irq, each in enumerate(flags)))
    assert main(["read", str(tmp_path)]) == 0
    told = ", ".join(f"irq {irq} (domain {irq - 40})" for irq in range(44, 50))
    assert f"masked by their domains: irq 40 (domain 0), irq 41 (domain 1, raised), {told}, 2 more\n" \
        in capsys.readouterr().out
    main(["read", str(tmp_path), "--json"])
    masked = json.loads(capsys.readouterr().out)["machine"]["masked"]
    assert len(masked) == 10 and masked[1] == {"irq": 41, "domain": 1, "raised": True}


def test_interrupts_that_a_domain_has_not_ended_are_told(tmp_path, capsys):
    row = "(XEN)    IRQ:  {} vec:59 IO-APIC-level   status=010 aff:{{0}}/{{0-7}} in-flight={} d0: {}(--{})\n"
    (tmp_path / "i.txt").write_text("".join(row.format(irq, count, irq, held) for irq, count, held in (
        (34, 1, "M"), (35, 0, "-"), (36, 1, "-"))))
    assert main(["read", str(tmp_path / "i.txt")]) == 0
    assert "\nheld back until their domains end them: irq 34 (domain 0)\n" in capsys.readouterr().out


@pytest.mark.parametrize("log, said", [
    ("DMAR-IR: x2apic is disabled because BIOS sets x2apic opt out bit.\nDMAR-IR: Enabled IRQ remapping in xapic mode\n"
     "x2apic: IRQ remapping doesn't support X2APIC mode\n", "firmware's table forbids the x2APIC mode; interrupts are "
     "remapped in xapic mode; x2apic: IRQ remapping doesn't support X2APIC mode"),
    ("DMAR-IR: Not enabling interrupt remapping\nDMAR-IR: Failed to enable irq remapping.\n",
     "interrupts are not remapped"),
    ("(XEN) Failed to parse ACPI DMAR.  Disabling VT-d.\n(XEN) Not enabling x2APIC: depends on iommu_supports_eim.\n",
     "Xen does not take the DMAR table: VT-d is off; Not enabling x2APIC: depends on iommu_supports_eim"),
    ("(XEN) Intel VT-d Interrupt Remapping enabled\n", "Interrupt Remapping: on"),
    ("AMD-Vi: Disabling interrupt remapping\nAMD-Vi: X2APIC enabled\n", "Interrupt remapping: off; X2APIC: on")])
def test_modes_that_a_log_tells_are_told(tmp_path, capsys, log, said):
    (tmp_path / "log.txt").write_text(log)
    main(["read", str(tmp_path / "log.txt")])
    assert f"\nthe log says: {said}\n" in capsys.readouterr().out
    main(["read", str(tmp_path / "log.txt"), "--json"])
    assert json.loads(capsys.readouterr().out)["machine"]["said"] == said.split("; ")


def test_messages_of_emulated_functions_are_told(tmp_path, capsys):
    (tmp_path / "M.txt").write_text("vPCI MSI/MSI-X d7\n0000:03:00.0 MSI-X\n" + "".join(
        f"  {number} vec={0x30 + number}  fixed  edge   assert phys  fixed dest_id=0 mask={number % 2} "
        f"pirq: {54 + number}\n" for number in range(20))
        + "IRQ:  41 vec:b8 PCI-MSI/-X status=030 aff:{0-3}/{0} in-flight=0 d7: 54(---)\n")
    assert main(["read", str(tmp_path / "M.txt")]) == 1
    told = capsys.readouterr().out
    assert ("\nmessages of domain 7 (vPCI): 20, of them open: 10\n"
            "    03:00.0 MSI-X entry 0: vector 0x48 to APIC ID 0x0, pirq 54, irq 41\n"
            "    03:00.0 MSI-X entry 2: vector 0x50 to APIC ID 0x0, pirq 56\n") in told and "\n    2 more\n" in told
    main(["read", str(tmp_path / "M.txt"), "--json"])
    first, second, *_ = json.loads(capsys.readouterr().out)["machine"]["vpci"]
    assert (first["bdf"], first["pirq"], first["open"], second["open"]) == ("03:00.0", 54, True, False)


def test_the_dumps_of_a_recording_are_read_without_a_remark(capsys):
    assert main(["read", str(A_REAL_LINUX)]) == 1
    out = capsys.readouterr().out
    assert f"{A_REAL_LINUX}:lspci:1-" in out and f"{A_REAL_LINUX}:proc-interrupts-resumed:1-" in out
    assert "remark" not in out
    assert out.count("broken: fault: a unit refused a request of 00:07.0") == 4 and out.endswith("findings: 4\n")


def test_nothing_that_is_recognised_ends_with_2(tmp_path, capsys):
    (tmp_path / "poem.txt").write_text("roses are red\n")
    assert main(["read", str(tmp_path / "poem.txt")]) == 2
    assert "poem.txt:1:1: nothing is recognised here" in capsys.readouterr().out
    assert main(["read", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main(["read"]) == 2


def test_several_kinds_in_one_paste_from_standard_input(monkeypatch, capsys):
    done = subprocess.run([sys.executable, "-m", "vsim", "read", "-"], input="\n".join(machine().values()).encode(),
                          capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().count("<stdin>:") == 9


def test_the_catalogue_is_listed(capsys):
    assert main(["read", "--rules"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CATALOGUE)


PERSONAL = """Nov 30 21:00:00 alices-laptop kernel: Linux version 6.12.0 (build@farm.example.org)
Nov 30 21:00:00 alices-laptop kernel: Command line: BOOT_IMAGE=/vmlinuz root=UUID=0f0e0d0c-1111-2222-3333-444455556666 \
intremap=on user=alice
alices-laptop login: eth0: 52:54:00:12:34:56 192.168.7.9 fe80::5054:ff:fe12:3456
\tCapabilities: [140 v1] Device Serial Number 52-54-00-ff-ff-12-34-56
100: 01 00 03 52 54 00
DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c222f0606 ecap f00f5a at 0000:00:1f.2 10:20:30
"""


def test_clean_takes_people_and_machines_out_and_leaves_the_rest(tmp_path, capsys):
    (tmp_path / "log").write_text(PERSONAL)
    assert main(["read", str(tmp_path / "log"), "--clean", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out").read_text()
    for word in ("alice", "farm", "0f0e0d0c", "52:54", "192.168", "fe80", "52-54", "52 54"):
        assert word not in text
    assert "intremap=on (removed)" in text and PERSONAL.splitlines()[-1] in text
    assert text.count("\n") == PERSONAL.count("\n")
    assert "removed 1 IPv4 address, 1 IPv6 address, 1 MAC address" in capsys.readouterr().out
    assert main(["read", str(tmp_path / "log"), "--clean", str(tmp_path / "out")]) == 2
    assert "File exists" in capsys.readouterr().err


def test_clean_leaves_nothing_half_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "log").write_text("DMAR: IOMMU enabled\n")

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(whole.os, "fsync", full)
    assert main(["read", str(tmp_path / "log"), "--clean", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"vsim: {tmp_path / 'out'}: No space left on device\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_clean_into_a_file_without_a_name_is_bad_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["read", "log", "--clean", ""])
    assert "argument --clean: an empty name" in capsys.readouterr().err


def test_clean_changes_nothing_that_is_read(folder):
    out = folder.parent / "out"
    assert main(["read", str(folder), "--clean", str(out)]) == 0
    again = examine([(path.name, path.read_bytes()) for path in sorted(out.iterdir())])
    assert len(again.pasted.pieces) == 10 and again.findings == ()


@pytest.mark.parametrize("signature", acpi.SIGNATURES)
def test_clean_leaves_the_bytes_of_a_table_as_they_are(signature, tmp_path, capsys):
    data = signature + (44).to_bytes(4, "little") + bytes(range(0xE0, 0x100)) + b"a@b."
    (tmp_path / "table").write_bytes(data)
    assert main(["read", str(tmp_path / "table"), "--clean", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_bytes() == data and "removed nothing" in capsys.readouterr().out


@pytest.mark.parametrize("path", real_files("debugfs-irq/laptop-vmd/*.txt"))
def test_a_large_dump_is_read_and_checked_soon(path):
    """Three tenths of a second of processor time on the machine that it was measured on; here four times as much."""
    data, start = path.read_bytes(), time.process_time()
    examine([("laptop.txt", data)])
    assert time.process_time() - start < 1.2


ANYTHING = {"one line": "x" * (10 << 20), "line ends": "\n" * (10 << 20), "short lines": "a\n" * (5 << 20),
            "hints": "handler: DMAR: [ (XEN) CPU 0: IRQ: 1 mapped: vtd_x @ 0x1234 INTR-REMAP\n" * 140_000,
            "numbers": " 0000: 44 4d 41 52\n" * 500_000, "heads": "00:00.0 Host bridge: x\n" * 400_000}


# The most memory that this program had; what `resource` says counts the process that started it as well.
MEASURED = """import re, sys
from pathlib import Path
from vsim.cli.main import main
status = main(["read", sys.argv[1]])
found = Path("/proc/self/status")
kilobytes = re.search(r"VmHWM:\\s+(\\d+) kB", found.read_text())[1] if found.exists() else "0"
print(status, int(kilobytes) >> 10, file=sys.stderr)
"""


@pytest.mark.parametrize("megabytes", [1, pytest.param(10, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", ANYTHING)
def test_megabytes_of_anything_take_a_bounded_memory(name, megabytes, tmp_path):
    path = tmp_path / "any.txt"
    path.write_text(ANYTHING[name][:megabytes << 20])
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, cwd=ROOT, check=True)
    status, held = map(int, done.stderr.split()[-2:])
    assert status in (0, 1, 2) and held < 300


@pytest.mark.parametrize("data, what", [
    (b"apic.dat" + bytes(249) + b"ustar\x0000" + bytes(247) + b"APIC" + bytes(508), "a tar archive"),
    (b"\x1f\x8b\x08\0x", "packed by gzip"), (b"PK\3\4x", "a zip archive"), (b"\xfd7zXZ\0x", "packed by xz")])
def test_an_archive_is_named_and_nothing_else_is_said_of_it(tmp_path, capsys, data, what):
    path = tmp_path / "dump"
    path.write_bytes(data)
    assert main(["read", str(path)]) == 2
    said = f"remark: {path}:1:1: left out: {what}; unpack it, and give the files\n"
    assert capsys.readouterr().out == f"{said}findings: 0\n"
