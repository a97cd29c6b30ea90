"""What a kernel says to a page that is slow to listen: all of it arrives."""

import os

import pytest

from tests.jupyter_host import PATIENCE
from tests.places import ROOT

manager = pytest.importorskip("jupyter_client.manager", reason="no jupyter_client")
SAID, LONG = 6000, 4000
"""Messages, and characters of each: more than the system's buffers between two processes hold."""
MADE = """from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from widgets.lab import Lab
lab = Lab(Machine(profile("spec"), 2, 1 << 20, Bus([Function(0x18, "disk", pin=1)])))"""
SAY = f"""from IPython.display import display
for number in range({SAID}):
    display({{"text/plain": f"{{number:06}}" + "x" * {LONG}}}, raw=True)"""


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    kernels, found = manager.start_new_kernel(kernel_name="python3", startup_timeout=PATIENCE)
    yield found
    found.stop_channels()
    kernels.shutdown_kernel(now=True)


def test_a_kernel_waits_for_a_page_that_reads_late(client):
    assert client.execute_interactive(MADE, timeout=PATIENCE)["content"]["status"] == "ok"
    assert client.execute(SAY, reply=True, timeout=PATIENCE)["content"]["status"] == "ok"
    heard = []
    while len(heard) < SAID:
        message = client.get_iopub_msg(timeout=PATIENCE)
        if message["msg_type"] == "display_data":
            heard.append(int(message["content"]["data"]["text/plain"][:6]))
        elif message["msg_type"] == "status" and heard and message["content"]["execution_state"] == "idle":
            break
    assert heard == list(range(SAID))
