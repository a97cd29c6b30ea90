"""`vsim run`: who is reached, who is not and why, what is printed, how it ends."""

import json
import re

import pytest

from tests.places import DATA
from vsim.cli import main as cli
from vsim.cli import run as runs
from vsim.cli.run import ranges, run, summary
from vsim.domain.builder import build
from vsim.readers import lspci, xl
from vsim.state.profile import profile

BIG, THOUSAND, PLAIN = str(DATA / "big.cfg"), str(DATA / "thousand.cfg"), str(DATA / "big-noviommu.cfg")
SMALL, LSPCI = str(DATA / "small.cfg"), str(DATA / "big.lspci")
VIOMMU = 'viommu = "type=vtd,intremap=1,x2apic=1"'


def started(capsys, *arguments):
    """(status, standard output, standard error) of the command."""
    status = cli.main(["run", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def told(capsys, *arguments):
    status, out, err = started(capsys, *arguments, "--json")
    assert err == "" and out.count("\n") == 1
    return status, json.loads(out)


def ran(text, host=None, prof="spec", **named):
    config = xl.parse(f'type = "hvm"\n{text}', "d.cfg")
    return run(build(config, lspci.parse(host) if host else None, profile(prof)), **named)


# --- the configurations of the notebooks ---


def test_with_the_viommu_every_vcpu_is_reached_by_every_device(capsys):
    status, found = told(capsys, BIG, "--lspci", LSPCI)
    assert status == 0
    assert (found["vcpus"], found["devices"], found["sent"], found["delivered"], found["blocked"]) == (
        288, 4, 1152, 1152, 0)
    assert found["unreached"] == found["faults"] == [] and found["why"] == {}
    assert [(each["kind"], each["messages"], each["delivered"]) for each in found["functions"]] == [
        ("msi-x", 64, 288), ("msi-x", 128, 288), ("pin", 1, 288), ("pin", 1, 288)]


@pytest.mark.parametrize("arguments, first, reason", [
    ((), 128, "APIC ID 256 is beyond the 8-bit destination of a compatibility-format message, whose largest is 254"),
    (("--apic-id", "2n", "--lspci", LSPCI), 128, "APIC ID 256 is beyond the 8-bit destination"),
    (("--apic-id", "n"), 255, "APIC ID 255 is the broadcast ID in the 8-bit destination"),
    (("--destination", "cluster"), 128, "APIC ID 256 is beyond"),
])
def test_without_it_exactly_the_vcpus_whose_id_does_not_fit_are_not(capsys, arguments, first, reason):
    status, found = told(capsys, PLAIN, *arguments)
    assert status == 1
    assert found["unreached"] == list(range(first, 288))
    assert list(found["why"]) == [str(vcpu) for vcpu in found["unreached"]]
    assert found["why"][str(first)].startswith(reason)
    assert found["sent"] == found["delivered"] == 4 * first and found["refused"] == 4 * (288 - first)
    step_ = 1 if "n" in arguments else 2
    assert all(f"APIC ID {step_ * vcpu} is " in found["why"][str(vcpu)] for vcpu in found["unreached"])
    assert found["blocked"] == 0 and found["faults"] == []


def test_a_thousand_vcpus_are_reached_through_clusters(capsys):
    status, found = told(capsys, THOUSAND, "--lspci", LSPCI, "--destination", "cluster")
    assert (status, found["vcpus"], found["unreached"], found["destination"]) == (0, 1024, [], "cluster")
    assert found["sent"] == found["delivered"] == 4096


@pytest.mark.parametrize("name", ["spec", "qemu-10"])
def test_a_small_guest_needs_no_remapping_but_has_it(capsys, name):
    status, found = told(capsys, SMALL, "--profile", name)
    assert (status, found["unreached"], found["remapping"], found["profile"]) == (0, [], True, name)
    assert found["notes"] == ["no lspci text: 03:00.0: 32 MSI-X messages assumed"]


def test_everything_but_the_wall_time_is_the_same_again(capsys):
    first, second = (told(capsys, SMALL)[1] for _ in range(2))
    assert first.pop("seconds") >= 0 and second.pop("seconds") >= 0
    assert first == second
    assert first["virtual_ns"] > 0 and first["events"] > 0


# --- what does not arrive ---


DEEP = """\
05:00.0 PCI bridge: Far
\tBus: primary=05, secondary=06, subordinate=07, sec-latency=0
\tCapabilities: [90] Express (v2) PCI-Express to PCI/PCI-X Bridge, MSI 00
06:00.0 PCI bridge: Near
\tBus: primary=06, secondary=07, subordinate=07, sec-latency=0
\tCapabilities: [90] Express (v2) Root Port (Slot+), MSI 00
07:00.0 Network controller: Deep
\tCapabilities: [70] MSI-X: Enable+ Count=2 Masked-
"""


def test_what_a_defect_blocks_is_counted_and_its_faults_are_listed():
    """qemu.D2 reads a range of buses the wrong way round: a function below several buses is blocked."""
    text = f'vcpus = 3\npci = ["07:00.0"]\n{VIOMMU}'
    assert ran(text, DEEP).unreached == []
    result = ran(text, DEEP, "qemu-10")
    found = result.to_dict()
    assert (found["unreached"], found["sent"], found["delivered"], found["blocked"]) == ([0, 1, 2], 3, 0, 3)
    assert found["faults"] == [{"reason": 0x26, "index": 15 + vcpu % 2, "source": "06:00.0"} for vcpu in range(3)]
    assert found["why"]["1"] == ("07:00.0 Network controller: Deep: blocked with fault 0x26, the requester is not the "
                                 "source that the entry allows")
    assert "3 x request" not in summary(result) and "2 x request of 06:00.0, index 0xf: reason 0x26" in summary(result)


def test_a_vcpu_that_one_device_reaches_is_reached():
    """00:04.0 has no pin of the 24 that there are; the other device makes up for it."""
    result = ran('vcpus = 2\npci = ["00:04.0", "03:00.0"]', "00:04.0 Serial controller: A\n\tInterrupt: pin A routed "
                 "to IRQ 4\n03:00.0 Ethernet controller: B\n\tCapabilities: [70] MSI-X: Enable+ Count=2 Masked-\n",
                 "qemu-10")
    assert result.unreached == [] and result.by_device == {0x0300: 2}
    assert "00:04.0 Serial controller: A: 1 pin; reached 0 of 2 vCPUs" in summary(result)


def test_a_domain_without_devices_reaches_nobody():
    result = ran("vcpus = 2")
    assert result.unreached == [0, 1]
    assert result.why(1) == "the domain has no device that raises interrupts"
    assert "not reached: vCPU 0-1 (2), APIC IDs 0 to 2: the domain has no device" in summary(result)


def test_a_device_that_cannot_interrupt_is_named():
    result = ran('pci = ["06:00.0"]', "06:00.0 Bridge: Odd\n\tControl: I/O+\n")
    assert result.why(0) == "06:00.0 Bridge: Odd has no interrupt that the guest could set up"


@pytest.mark.parametrize("flags, largest", [("x2apic=1", 300), ("x2apic=0", 128)])
def test_a_table_that_opts_out_of_x2apic_leaves_eight_bits(flags, largest):
    result = ran(f'vcpus = 300\npci = ["03:00.0"]\nviommu = "type=vtd,intremap=1,{flags}"')
    assert len(result.reached) == largest


def test_a_guest_with_the_least_memory_boots():
    assert ran(f'memory = 3\npci = ["03:00.0"]\n{VIOMMU}').unreached == []
    assert ran('memory = 1\npci = ["03:00.0"]').unreached == []


# --- text ---


@pytest.mark.parametrize("numbers, text", [
    ([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([0, 2, 3, 4, 9], "0, 2-4, 9"),
])
def test_ranges_are_told_in_short(numbers, text):
    assert ranges(numbers) == text


def test_the_summary_says_who_was_not_reached_and_why(capsys):
    status, out, err = started(capsys, PLAIN, "--lspci", LSPCI)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "big-noviommu: 288 vCPUs, APIC IDs 0 to 574, profile spec"
    assert "  00:05.0 (host 03:00.0) Ethernet controller: Intel Corporation 82599ES 10-Gigabit: 64 msi-x; " \
           "reached 128 of 288 vCPUs" in lines
    assert "sent 512, delivered 512, blocked 0, refused by the guest 640, strays 0" in lines
    assert "  not reached: vCPU 128-287 (160), APIC IDs 256 to 574: beyond the 8-bit destination of a " \
           "compatibility-format message, whose largest is 254" in lines
    assert any(line.startswith("not used: vnuma (line 21), on_reboot (line 23)") for line in lines)
    assert re.fullmatch(r"\d+ events, \d+\.\d{3} ms of virtual time, \d+\.\d\d s", lines[-1])


def test_the_summary_of_a_remapped_guest_names_the_way(capsys):
    status, out, _ = started(capsys, SMALL)
    assert status == 0
    assert "messages through remapping entries, physical destinations" in out
    assert "reached 8 of 8 vCPUs" in out and "not reached" not in out
    assert "note: no lspci text: 03:00.0: 32 MSI-X messages assumed" in out


def test_a_run_that_is_stopped_tells_what_it_knows(capsys, monkeypatch):
    """Ctrl-C between two interrupts: whole figures of those that were sent, and no word on vCPUs that had no turn."""
    looks = []

    def wanted(self):
        looks.append(1)
        return len(looks) > 4

    monkeypatch.setattr(runs.CtrlC, "wanted", wanted)
    status, out, _ = started(capsys, SMALL)
    assert status == 130
    assert "stopped: 4 of 16 pairs of a device and a vCPU were tried" in out
    assert "sent 4, delivered 4" in out and "reached 4 of 8 vCPUs" in out and "not reached" not in out
    looks.clear()
    status, found = told(capsys, SMALL)
    assert (status, found["tried"], found["pairs"], found["delivered"], found["unreached"]) == (130, 4, 16, 4, [])


def test_progress_stays_away_where_nobody_watches(capsys):
    seen = []
    ran('vcpus = 3\npci = ["03:00.0"]', progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert started(capsys, SMALL)[2] == ""


# --- bad input ---


@pytest.mark.parametrize("text, message", [
    ("vcpus = many", ":1:9: "),
    ('vcpus = "many"', ":1:9: "),
    ('pci = ["03:00.0@05", "04:00.0@05"]', ":1:1: 00:05.0 is taken by"),
    ('viommu = "type=vtd"', ":1:10: the hypervisor refuses this viommu with ERANGE"),
    (f"memory = 2; {VIOMMU}", ":1:22: memory is 2 MiB; allowed: 3 MiB or more"),
])
def test_a_mistake_ends_with_status_2_at_its_place(capsys, tmp_path, text, message):
    path = tmp_path / "bad.cfg"
    path.write_text(text)
    status, out, err = started(capsys, str(path))
    assert (status, out) == (2, "")
    assert f"{path}{message}" in err and err.count("\n") == 1


def test_a_file_that_is_not_there_ends_with_status_2(capsys, tmp_path):
    for arguments in ([str(tmp_path / "none.cfg")], [SMALL, "--lspci", str(tmp_path / "none.lspci")]):
        status, out, err = started(capsys, *arguments)
        assert (status, out) == (2, "") and "none." in err and ":1:1: cannot be read" in err


def test_a_text_that_is_not_of_lspci_ends_with_status_2(capsys):
    status, _, err = started(capsys, SMALL, "--lspci", SMALL)
    assert status == 2 and "found no PCI function" in err


@pytest.mark.parametrize("arguments", [["--profile", "xen"], ["--apic-id", "3n"], ["--destination", "logical"], []])
def test_a_wrong_argument_is_refused_by_name(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", *([SMALL] if arguments else []), *arguments])
    assert ended.value.code == 2
    assert (arguments[0] if arguments else "FILE.cfg") in capsys.readouterr().err
