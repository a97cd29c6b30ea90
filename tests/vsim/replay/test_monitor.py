"""QEMU's monitor, asked for local APICs: what it says, and what it should not say."""

import contextlib
import json
import socket
import threading

import pytest

from tests.qemu import REAL, needs_qemu
from vsim.devices import vlapic_regs
from vsim.layouts.registers import APIC_OFFSET
from vsim.replay.monitor import QMP_SOCKET, Monitor, NoAnswer
from vsim.replay.qtest import Ended, Qemu
from vsim.state.arrays import Machine
from vsim.state.profile import profile

GREETING = b'{"QMP": {}}\n'
FINE = b'{"event": "STOP"}\n{"return": {}}\n'
TEXT = ("dumping local APIC state for CPU 2 \n\nSPIV\t 0x000000ff APIC disabled\nESR\t 0x00000000\nISR\t (none)\n"
        "IRR\t 65 67(level) \n\nAPR 0x00 TPR 0x00 DFR 0x0f LDR 0x00 PPR 0x00\n")


@pytest.fixture
def answering(tmp_path):
    """Starts a monitor that says these things, one for each line that it hears after its greeting; its folder."""
    doors = []

    def start(greeting, *answers):
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(tmp_path / QMP_SOCKET))
        door.listen(1)
        doors.append(door)

        def serve():
            with contextlib.suppress(OSError), door.accept()[0] as made, made.makefile("rb") as heard:
                made.sendall(greeting)
                for answer, _ in zip(answers, heard, strict=False):
                    made.sendall(answer)
        threading.Thread(target=serve, daemon=True).start()
        return str(tmp_path)
    yield start
    for door in doors:
        door.close()


def said(text: str) -> bytes:
    return json.dumps({"return": text}).encode() + b"\n"


def test_it_tells_what_waits(answering):
    found = Monitor(answering(GREETING, FINE, b'{"event": "RESET"}\n' + said(TEXT)), 20).lapic(4)
    assert found.irr == ((65, False), (67, True)) and found.isr == () and found.words["SVR"] == 0xFF


@pytest.mark.parametrize(("answers", "why"), [
    ((b"<b>no</b>\n",), "not JSON"), ((b"[" * 5000 + b"\n",), "not JSON: more than"), ((b"7\n",), "expected an object"),
    ((GREETING, b'{"error": {"desc": "<b>"}}\n'), "refuses qmp_capabilities"),
    ((GREETING,), "closed its socket|cannot be reached"),
    ((GREETING, FINE, said("No CPU available\r\n")), "answers info lapic 4 with 'No CPU available"),
    ((GREETING, FINE, said(TEXT + TEXT)), "answers info lapic 4"), ((GREETING, FINE, b'{"return": 5}\n'), "with '5'"),
    ((b"x" * (3 << 20),), "without end"), ((b"\xff\xfe\x00\n",), "not JSON")])
def test_what_is_no_answer_is_one_line(answering, answers, why):
    with pytest.raises(NoAnswer, match=why) as told:
        Monitor(answering(*answers), 20).lapic(4)
    assert "\n" not in str(told.value) and str(told.value).isascii()


def test_one_that_says_nothing_is_not_waited_for_for_ever(answering):
    with pytest.raises(NoAnswer, match=r"within 0\.2 s"):
        Monitor(answering(GREETING[:5], b""), 0.2)


def test_none_is_there(tmp_path):
    with pytest.raises(NoAnswer, match="cannot be reached: No such file"):
        Monitor(str(tmp_path), 1)


# --- the real one ---


@pytest.fixture(scope="module")
def qemu():
    made = Qemu(REAL, places=(0x18,), apics=(0, 2, 9))
    yield made
    made.end()


@needs_qemu
def test_registers_are_ours_after_power_on(qemu):
    m = Machine(profile("qemu-10"), 1)
    words = qemu.lapic(9).words
    assert {"TPR", "PPR", "LDR", "DFR", "SVR", "ESR", "ICR", "LVT_LINT0", "LVT_ERROR", "LVT_TIMER"} <= words.keys()
    ours = {name: vlapic_regs.read(m, 0, APIC_OFFSET[name]) for name in words}
    assert ours == dict(words)


@needs_qemu
def test_a_message_waits_in_the_local_apics_that_it_names(qemu):
    for address, data in ((0xFEE02000, 0x41), (0xFEE09000, 0xC042), (0xFEE01000, 0x43)):
        qemu.ask(qemu.send(0x18, address, data))
    assert [qemu.lapic(each).irr for each in (0, 2, 9)] == [(), ((0x41, False),), ((0x42, True),)]
    qemu.ask(qemu.send(0x18, 0xFEEFF000, 0x44))
    assert [(0x44, False) in qemu.lapic(each).irr for each in (0, 2, 9)] == [True] * 3
    qemu.reset()
    assert [qemu.lapic(each).irr for each in (0, 2, 9)] == [()] * 3


@needs_qemu
def test_one_whose_monitor_goes_wrong_is_ended():
    made = Qemu(REAL)
    with pytest.raises(Ended, match="answers info lapic 77"):
        made.lapic(77)
    with pytest.raises(Ended, match="answers info lapic 77"):
        made.ask(["readl 0x0"])
