"""`vsim record` with a QEMU that only writes a trace: what comes out, what is missing, what ends it."""

import gzip
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.qemu import children_of, gone, needs_qemu
from tests.vsim.replay import fake_qemu
from vsim.cli.main import main
from vsim.cli.record import line_of
from vsim.history import whole
from vsim.replay import boot, recording, rerun
from vsim.replay.boot import Boot, Machine, Progress
from vsim.replay.initramfs import MULTIBOOT, MissingPart, find_xen
from vsim.replay.keys import KEYS

FAKE = Path(fake_qemu.__file__)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Runs `vsim record` in a mode of the fake: status and place of the recording."""
    (tmp_path / "boot").mkdir(exist_ok=True)
    (tmp_path / "boot" / "vmlinuz-6.1-x").write_bytes(b"kernel")
    (tmp_path / "busybox").write_bytes(b"static")
    monkeypatch.setattr(boot, "compiled", lambda version: Path("taps.so"))

    def record(mode, *more):
        place = tmp_path / "run.jsonl.gz"
        return main(["record", "-o", str(place), *arguments(tmp_path, mode), *more]), place
    return record


def arguments(folder, mode):
    return ["--kernel", str(folder), "--busybox", str(folder / "busybox"), "--cpus", "2",
            "--qemu", f"{sys.executable} {FAKE} {mode}"]


def test_a_boot_is_recorded_and_replays(made, capsys):
    status, place = made("boot")
    assert status == 0 and "powered off" in capsys.readouterr().out
    found = recording.load(place)
    assert (found.vcpus, found.made["kernel"], found.made["ended"]) == (2, "6.1-x", "powered off")
    assert found.made["qemu"] == "QEMU emulator version 10.0.2 (x)" and found.made["memory writes"] == "seen"
    assert found.profile.capabilities.cap == 0xD2008C222F0606
    assert found.console[0][1] == "[    0.1] Linux version 6 <b>"
    assert found.dumps == {"proc-interrupts-boot": "  0: 1 <b>\n"}
    outcome = rerun.run(found)
    assert outcome.same and outcome.tallies["M"].equal == 1 and outcome.taken["equal"] == 1
    assert next(one.command.requester for one in found.moments if hasattr(one.command, "requester")) == 0x18


def test_the_place_is_tried_before_the_boot(tmp_path, capsys):
    place = tmp_path / "missing" / "run.jsonl"
    assert main(["record", "-o", str(place), "--kernel", "/nowhere"]) == 2
    assert capsys.readouterr().err == f"vsim: {place}: No such file or directory\n"


def test_a_full_disk_leaves_the_old_recording(made, monkeypatch, capsys):
    place = made("boot")[1]
    before = place.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(whole.os, "fsync", full)
    assert made("boot")[0] == 2 and place.read_bytes() == before
    assert capsys.readouterr().err.endswith(f"vsim: {place}: No space left on device\n")
    assert not [path for path in place.parent.iterdir() if path.name.startswith(".run")]


# --- Xen ---


@pytest.fixture
def xen(tmp_path):
    """An unpacked package: a Xen as a boot loader wants it, packed, and one that is older."""
    (tmp_path / "boot").mkdir(exist_ok=True)
    image = b"\x7fELF" + bytes(100) + MULTIBOOT + b"rest"
    (tmp_path / "boot" / "xen-4.17-amd64.gz").write_bytes(gzip.compress(image))
    (tmp_path / "boot" / "xen-4.9-amd64.gz").write_bytes(gzip.compress(b"old" + image))
    return tmp_path


def test_under_xen_its_keys_are_typed_and_what_it_prints_is_kept(made, xen, capsys):
    status, place = made("xen", "--xen", str(xen))
    assert status == 0 and "powered off" in capsys.readouterr().out
    found = recording.load(place)
    assert found.made["xen"] == "4.17-amd64" and found.made["kernel"] == "6.1-x"
    assert found.dumps["xen-M-boot"].splitlines()[0] == "MSI information:" and "<b>" in found.dumps["xen-i-boot"]
    assert {name for name in found.dumps if "xen" in name} == {f"xen-{key}-boot" for key in KEYS}
    assert found.dumps["proc-interrupts-boot"] and rerun.run(found).same


def test_a_xen_that_is_cut_off_leaves_what_it_printed(made, xen):
    status, place = made("cut", "--xen", str(xen))
    found = recording.load(place)
    assert status == 1 and found.console
    assert found.made["ended"] == "QEMU ended amid the stage 'kernel': it did not say why"
    assert [name for name in found.dumps if "xen" in name] == ["xen-V-boot"] and "iommu 0" in found.dumps["xen-V-boot"]


@pytest.mark.parametrize("path, said", [
    ("nowhere", "nowhere: no such Xen"), ("boot/vmlinuz-6.1-x", "no Xen that a boot loader starts"),
    ("empty", "no Xen in "), ("torn.gz", "torn.gz: cannot be unpacked: ")])
def test_what_is_no_xen_is_told_before_anything_starts(made, xen, capsys, path, said):
    (xen / "empty").mkdir()
    (xen / "torn.gz").write_bytes(gzip.compress(bytes(1000))[:20])
    status, place = made("xen", "--xen", str(xen / path))
    assert status == 2 and said in capsys.readouterr().err and not place.exists()


def test_in_a_folder_the_newest_xen_is_taken(xen):
    (xen / "lib").mkdir()
    assert find_xen(xen).version == "4.17-amd64" and MULTIBOOT in find_xen(xen).image
    with pytest.raises(MissingPart, match=r"xen-hypervisor-4\.17-amd64 was unpacked"):
        find_xen(xen / "lib")


@pytest.mark.parametrize("option", ["--kernel", "--xen", "--busybox", "--qemu"])
def test_an_empty_name_is_refused(made, capsys, option):
    with pytest.raises(SystemExit, match="2"):
        made("empty", option, "")
    assert f"argument {option}: an empty name" in capsys.readouterr().err


def test_the_words_of_a_module_keep_their_commas(xen):
    machine = Machine(xen / "boot" / "vmlinuz-6.1-x", b"", arguments="a=1,2", xen=b"image")
    words = Boot(machine)._software(xen)
    assert words[words.index("-initrd") + 1] == (
        f"{xen / 'kernel'} {boot.DOM0_ARGUMENTS} a=1,,2,{xen / 'initramfs'}")
    assert (xen / "kernel").resolve() == machine.kernel.resolve() and (xen / "xen").read_bytes() == b"image"


# --- without the plugin, and what ends it ---


@pytest.mark.parametrize("mode, more, why", [("old", (), "7.2.0 has no plugin interface 4"),
                                             ("boot", ("--no-plugin",), "it was not wanted")])
def test_without_the_plugin_writes_are_inferred_and_the_recording_says_so(made, monkeypatch, capsys, mode, more, why):
    monkeypatch.undo()
    status, place = made(mode, *more)
    assert status == 0 and why in capsys.readouterr().out
    found = recording.load(place)
    assert why in found.made["memory writes"]
    outcome = rerun.run(found)
    assert outcome.same and outcome.tallies["I"].equal == 1 and outcome.tallies["D"].equal == 1


@pytest.mark.parametrize("more, ended", [
    (("--megabytes", "1"), "1 MiB of recording"), (("--seconds", "1"), "after 1 s")])
def test_a_trace_without_end_is_bounded(made, capsys, more, ended):
    status, place = made("flood", *more)
    assert status == 1 and ended in capsys.readouterr().out
    assert recording.load(place).made["ended"].endswith(ended)
    assert len(gzip.decompress(place.read_bytes())) < 250 << 20


def test_a_kernel_that_gives_up_is_told_with_its_stage(made, capsys):
    status, place = made("panic", "--without", "suspend,faults", "--devices", "edu,igb")
    said = capsys.readouterr().out
    assert status == 1 and "amid the stage 'traffic': Kernel panic - not syncing: \\x1b[31m<b>" in said
    assert "left out, as this QEMU has none: igb" in said
    made = recording.load(place).made
    assert made["devices"] == "nvme, edu" and made["arguments"] == "vsim.moves=1 vsim.offline"


@pytest.mark.parametrize("more, said", [
    (["--cpus", "128"], ""), (["--cpus", "129"], "maxcpus=1 "),
    (["--cpus", "129", "--append", "quiet"], "quiet maxcpus=1 "),
    (["--cpus", "129", "--append", "maxcpus=9"], "maxcpus=9 "),
])
def test_of_many_cpus_the_kernel_starts_one(made, more, said):
    status, place = made("boot", *more)
    assert status == 0 and recording.load(place).made["arguments"].startswith(f"{said}vsim.moves=1 ")


def test_what_is_more_than_a_recording_holds_is_left_out(made, monkeypatch, capsys):
    monkeypatch.setattr(boot, "MOST_ROWS", 20)
    monkeypatch.setattr(recording, "MAX_LINE", 400)
    monkeypatch.setattr(boot, "dumps_of", lambda disk: {f"d{number}": "\1" * number for number in range(300)})
    place = made("flood")[1]
    assert "ended after 20 moments" in capsys.readouterr().out
    found = recording.load(place)
    assert len(found.dumps) == recording.MOST_DUMPS and found.dumps["d20"] == "\1" * 20
    assert found.dumps["d199"].endswith(f"\1\n{recording.CUT}\n") and found.made["ended"] == "ended after 20 moments"


@pytest.mark.parametrize("mode, said", [("poor", "-device help: found no nvme, which is the guest's disk"),
                                        ("broken", "ended at once: no such accelerator \\x1b[31m"),
                                        ("endless", "expected QEMU's version"),
                                        ("other", "found 'a poem\\n'; expected QEMU's version")])
def test_what_is_no_qemu_is_told(made, capsys, mode, said):
    status, place = made(mode)
    assert status == 2 and said in capsys.readouterr().err and not place.exists()


@pytest.mark.parametrize("missing, said", [
    (["--qemu", "no-such-qemu"], "no-such-qemu: not found; Debian's package is qemu-system-x86"),
    (["--kernel", "no-such-kernel"], "no-such-kernel: no such kernel"),
    (["--busybox", "no-such-busybox"], "no busybox: install Debian's package busybox-static")])
def test_what_is_missing_is_told_with_where_to_get_it(made, capsys, missing, said):
    assert made("boot", *missing)[0] == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--cpus", "0"], ["--cpus", "289"], ["--devices", "gpu"], ["--moves", "-1"],
                                   ["--without", "boot"]])
def test_what_cannot_be_is_refused(made, wrong):
    with pytest.raises(SystemExit, match="2"):
        made("boot", *wrong)


def test_interrupted_it_leaves_what_there_is_and_no_process(made, tmp_path):
    place = tmp_path / "run.jsonl"
    process = subprocess.Popen([sys.executable, "-m", "vsim", "record", "-o", str(place), "--no-plugin",
                                *arguments(tmp_path, "wait")], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if "off" in line or "devices" in line or "kernel" in line:
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    found = recording.load(place)
    assert found.made["ended"] == "interrupted" and found.moments
    assert stat.S_IMODE(place.stat().st_mode) & 0o400
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_it_leaves_no_process(made, tmp_path, number):
    with subprocess.Popen([sys.executable, "-m", "vsim", "record", "-o", str(tmp_path / "run.jsonl"), "--no-plugin",
                           *arguments(tmp_path, "wait")], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        next(line for line in process.stderr if "off" in line or "kernel" in line)
        pids = children_of(process.pid)
        process.send_signal(number)
        process.wait()
        assert pids
        gone(pids)


def test_progress_is_told_in_a_line():
    now = Progress("traffic", 0.5, 30, 1234)
    assert line_of(now) == "[############............]  50%  traffic: 30 s, 30 s left, 1,234 moments"
    assert "left" not in line_of(Progress())
    now.read("[   3.1] vsim: stage 6 of 9: forbidden messages")
    assert now.stage == "forbidden messages" and now.share == 0.87
    now.read("vsim: stage 99 of 9: x")
    assert now.share == 0.87


# --- real ones ---


def named(*names):
    """What environment variables say: an image or an unpacked package of each, and a static busybox."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        pytest.skip(f"not set: {', '.join(missing)}")
    return [os.environ[name] for name in names]


@pytest.mark.soak
@needs_qemu
def test_a_real_kernel_boots_and_replays(tmp_path):
    kernel, busybox = named("VSIM_KERNEL", "VSIM_BUSYBOX")
    place = tmp_path / "run.jsonl.gz"
    assert main(["record", "-o", str(place), "--kernel", kernel, "--busybox", busybox, "--small"]) == 0
    outcome = rerun.run(recording.load(place))
    assert outcome.same and outcome.tallies["M"].equal > 100


@pytest.mark.soak
@needs_qemu
def test_a_real_xen_boots_answers_its_keys_and_replays(tmp_path):
    kernel, busybox, xen = named("VSIM_KERNEL", "VSIM_BUSYBOX", "VSIM_XEN")
    place = tmp_path / "run.jsonl.gz"
    assert main(["record", "-o", str(place), "--xen", xen, "--kernel", kernel, "--busybox", busybox, "--cpus", "2",
                 "--seconds", "3000"]) == 0
    found = recording.load(place)
    assert {f"xen-{key}-{moment}" for key in KEYS for moment in ("boot", "moved")} <= found.dumps.keys()
    outcome = rerun.run(found)
    assert outcome.same and outcome.tallies["M"].equal > 100
