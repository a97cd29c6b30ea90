"""The functions of a recorded machine: from the guest's lspci, from its messages, never from what is neither."""

import pytest

from tests.vsim.replay.runs import ROWS, UNIT, text
from vsim.replay import recording
from vsim.replay.functions import bus_of

LSPCI = """00:00.0 Host bridge: Device 8086:29c0
\tControl: I/O+

00:01.0 PCI bridge: Device 1b36:000c
\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0

00:03.0 Non-Volatile memory controller: Device 1b36:0010
\tKernel driver in use: nvme
\tCapabilities: [40] MSI-X: Enable+ Count=65 Masked-

00:04.0 Ethernet controller: <img src=x>Device
\tInterrupt: pin A routed to IRQ 20
"""


def functions(dump, *more):
    found = recording.parse(text(*ROWS, *more, *([{"dump": "lspci", "text": dump}] if dump is not None else [])))
    return {function.bdf: function for function in bus_of(found).functions}


def test_lspci_tells_them_by_their_drivers_and_messages_the_others():
    found = functions(LSPCI)
    assert {bdf: each.name for bdf, each in found.items()} == {
        0x08: "PCI bridge: Device 1b36:000c", 0x18: "nvme", 0x20: "Ethernet controller: <img src=x>Device"}
    assert (found[0x18].msix_count, found[0x08].bridge.secondary, found[0x20].pin) == (65, 1, 1)
    assert functions(LSPCI.replace("04.0", "05.0"))[0x20].name == "a sender"


@pytest.mark.parametrize("dump", [None, "", "no lspci at all", "00:00.0 Host bridge: x\n" * 3,
                                  "02:01.0 PCI bridge: B\n\tBus: primary=02, secondary=01, subordinate=01\n"])
def test_without_a_usable_lspci_they_are_those_that_sent(dump):
    unknown = [["msi", 0xFFFF, UNIT, 0], [], -1, 60]
    found = functions(dump, unknown)
    assert {bdf for bdf, each in found.items() if each.msi_count} == {0x18, 0x20} and 0xFFFF not in found


def test_no_more_senders_than_a_machine_has_functions(monkeypatch):
    monkeypatch.setattr("vsim.replay.functions.MAX_FUNCTIONS", 1)
    assert list(functions(None)) == [0x18]
