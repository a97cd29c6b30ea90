"""A QEMU that is driven from here: its orders, its end, and ours."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.qemu import REAL, alive, bad, children_of, gone, needs_qemu
from vsim.replay import qtest, traces
from vsim.replay.qtest import Ended, Qemu
from vsim.replay.recording import UNIT

GCMD = f"writel {UNIT + 0x18:#x} 0x1000000"
LONG = 300.0
"""Seconds: what goes wrong by itself is waited for, however busy the computer is."""


@pytest.fixture
def made():
    """Makes QEMUs, and ends them."""
    out = []

    def make(path, **more):
        out.append(Qemu(path, **more))
        return out[-1]
    yield make
    for each in out:
        each.end()


# --- the real one ---


@needs_qemu
def test_a_requester_on_any_bus_sends(made):
    qemu = made(REAL, places=(0, 0x18))
    for requester in (0x0018, 0x0000, 0x4000, 0xFF18):
        qemu.ask([f"writel {UNIT + 0x34:#x} 0x1"])
        _, lines = qemu.ask(qemu.send(requester, 0xFEE03000, 0x41))
        assert traces.observed(lines) == [["M", 3, 0, 0, 0, 0, 0x41]]
    with pytest.raises(ValueError, match=r"no sender is at the device and function of 00:05\.0"):
        qemu.send(0x28, 0xFEE00000, 0)
    with pytest.raises(ValueError, match="0x10041 has more than the 16 bits"):
        qemu.send(0x18, 0xFEE00000, 0x10041)


@needs_qemu
def test_a_fault_names_its_requester(made):
    """On QEMU 8 and later; 7.2 records none."""
    qemu = made(REAL, places=(0x18,))
    qemu.ask([f"writeq {UNIT + 0xB8:#x} 0x100007", GCMD, f"writel {UNIT + 0x18:#x} 0x2000000"])
    _, lines = qemu.ask(qemu.send(0x4018, 0xFEE00030, 0))
    fault = [["F", 0, "0x2200004018", "0x1000000000000"]] if qemu.number >= (8, 0) else []
    assert traces.observed(lines) == [["I", 1, "0x0", "0x0"], ["B"], *fault]


@needs_qemu
def test_memory_is_everywhere_below_a_mebibyte(made):
    qemu = made(REAL)
    for address in (0x0, 0xA0000, 0xEA000, 0xFFFFC):
        assert qemu.ask([f"write {address:#x} 0x4 0x01020304", f"read {address:#x} 0x4"])[0] == ["", "0x01020304"]


@needs_qemu
def test_a_reset_takes_the_unit_back_and_leaves_memory(made):
    qemu = made(REAL, places=(0x18,))
    qemu.ask([GCMD, "write 0x5000 0x1 0x7f"])
    assert int(qemu.ask([f"readl {UNIT + 0x1C:#x}"])[0][0], 16) == 0x1000000
    qemu.reset()
    assert qemu.ask([f"readl {UNIT + 0x1C:#x}", "read 0x5000 0x1"])[0] == ["0x0000000000000000", "0x7f"]
    _, lines = qemu.ask(qemu.send(0x18, 0xFEE03000, 0x41))
    assert traces.observed(lines) == [["M", 3, 0, 0, 0, 0, 0x41]]


@needs_qemu
def test_an_abort_is_told_with_its_last_words_and_leaves_nothing(made):
    qemu = made(REAL)
    folder = Path(qemu.folder)
    assert folder.is_dir() and folder.stat().st_mode & 0o077 == 0
    with pytest.raises(Ended, match=r"ended by signal 6 after 'writeq 0xfed90038 0x1'; its last words: .*Assertion"):
        qemu.ask([f"writeq {UNIT + 0x38:#x} 0x1"])
    assert not folder.exists()
    with pytest.raises(Ended, match="ended by signal 6"):
        qemu.ask(["readl 0x0"])


def test_vcpus_have_the_ids_that_are_asked_for():
    words = qtest.command_line("qemu", (10, 0), 64 << 20, (0,), "/f", (0, 2, 254))
    assert words[words.index("-smp") + 1] == "cpus=1,maxcpus=255,sockets=255,cores=1,threads=1"
    assert [word for word in words if "socket-id" in word] == [
        f"qemu64-x86_64-cpu,socket-id={each},core-id=0,thread-id=0" for each in (2, 254)]
    with pytest.raises(ValueError, match="the limit is 254"):
        qtest.command_line("qemu", (10, 0), 64 << 20, (0,), "/f", (255,))


def test_there_is_no_network():
    words = qtest.command_line("qemu", (10, 0), 64 << 20, (0,), "/f")
    assert words[words.index("-nic") + 1] == "none"
    assert not any(word in ("-netdev", "-net", "-monitor", "-vnc", "-serial") for word in words)
    assert [word for word in words if "tcp:" in word or "udp:" in word] == []


# --- those that behave badly ---


@pytest.mark.parametrize(("path", "said"), [
    ("/no/such/qemu", "'/no/such/qemu' is not there; Debian's package is qemu-system-x86"),
    ("/bin/true", "answers --version with"),
    (str(ROOT), "is not there")])
def test_a_program_that_is_no_qemu_is_told(path, said):
    with pytest.raises(Ended, match=said) as told:
        Qemu(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("way", "said"), [
    ("old", r"QEMU 5\.2 is too old; allowed: 7\.0 or later"),
    ("endless-version", "expected QEMU's version"),
    ("not-there", r"ended with status 1 after it started; its last words: 'a word on why, <b>in bold</b>'"),
    ("no-start", "does not answer within 0.5 s of its start")])
def test_a_qemu_that_does_not_start_is_told(tmp_path, way, said):
    with pytest.raises(Ended, match=said) as told:
        Qemu(bad(tmp_path, way), patience=0.5 if way == "no-start" else LONG)
    assert "\n" not in str(told.value) and str(told.value).isascii()


@pytest.mark.parametrize(("way", "said"), [
    ("silent", "does not answer within"),
    ("abort", "was ended by signal 6 after .* its last words: 'qemu: a word on what failed'"),
    ("flood-traces", "traced more than 8388608 bytes at once"),
    ("flood-answers", "says more than was asked for"),
    ("refuses", r"answers 'FAIL <b>no</b>' to 'writel 0xfed90018 0x1000000'; expected OK"),
    ("bytes", "answers .* expected OK")])
def test_a_qemu_that_goes_wrong_is_told_and_ended(tmp_path, made, way, said):
    qemu = made(bad(tmp_path, way), patience=LONG)
    if way == "silent":
        qemu.patience = 0.2
    pids = children_of(qemu._process.pid)
    with pytest.raises(Ended, match=said) as told:
        qemu.ask([GCMD])
    assert "\n" not in str(told.value) and str(told.value).isascii()
    gone(pids)
    assert not Path(qemu.folder).exists()


def test_its_children_end_with_it(tmp_path, made):
    qemu = made(bad(tmp_path, "child"))
    pids = [qemu._process.pid, *children_of(qemu._process.pid)]
    assert len(pids) >= 3 and all(map(alive, pids))
    qemu.end()
    gone(pids)


HOLDER = """
import sys, time
sys.path.insert(0, {root!r})
from vsim.replay.qtest import Qemu
qemu = Qemu({path!r})
print(qemu.folder, flush=True)
time.sleep(3600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("group", [False, True], ids=["the process", "its group"])
def test_it_ends_with_its_owner(tmp_path, number, group):
    """A kernel that restarts, Ctrl-C, a kill: of the process alone, or as a terminal does of its whole group."""
    text = HOLDER.format(root=str(ROOT), path=bad(tmp_path, "good"))
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          process_group=0) as owner:
        folder = owner.stdout.readline().strip()
        pids = children_of(owner.pid)
        assert len(pids) >= 2 and folder
        (os.killpg if group else os.kill)(owner.pid, number)
        owner.wait()
        gone(pids)
    if number != signal.SIGKILL or not group:   # else nobody is left to take it away
        assert not Path(folder).exists()


def test_a_keyboard_interrupt_amid_an_order_ends_it(tmp_path, made, monkeypatch):
    qemu = made(bad(tmp_path, "good"))
    pids = children_of(qemu._process.pid)
    monkeypatch.setattr(qemu, "_take", lambda orders: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        qemu.ask(["readl 0x0"])
    assert qemu.why == "QEMU was interrupted amid an order"
    gone(pids)


def test_one_that_nobody_holds_any_more_is_ended(tmp_path):
    qemu = Qemu(bad(tmp_path, "good"))
    pids = [qemu._process.pid, *children_of(qemu._process.pid)]
    del qemu
    gone(pids)
