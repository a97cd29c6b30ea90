"""Debug keys typed on a Xen's console: in turn, each print by itself, and dom0 goes on whatever happens."""

import pytest

from tests.vsim.replay.xen_console import PRINTS, XenConsole
from vsim.replay import keys
from vsim.replay.keys import Typist

WAITS = "[    9.1] vsim: keys boot"


def talk(console, typist, lines=(WAITS,), seconds=1_000, step=1.0):
    """Let them talk until nothing more is said; the time that it took."""
    now, lines = 0.0, list(lines)
    while now < seconds:
        for line in lines:
            typist.read(line)
        lines = console.type(typist.typed(now))
        if console.dom0 and not lines:
            return now
        now += step
    raise AssertionError("it never ends")


def test_each_key_is_typed_once_the_print_before_has_ended_and_dom0_goes_on():
    console, typist = XenConsole(), Typist()
    talk(console, typist)
    assert console.heard == "VhMhihzhQh" and console.dom0 == "\n"
    assert typist.dumps == {f"xen-{key}-boot": "".join(f"{line}\n" for line in PRINTS[key]) for key in keys.KEYS}


def test_nothing_is_typed_before_dom0_waits_and_a_second_time_has_its_own_name():
    console, typist = XenConsole(), Typist()
    typist.read("(XEN) vsim")
    assert typist.typed(0) == b""
    talk(console, typist)
    console.dom0 = ""
    talk(console, typist, ["vsim: keys moved"])
    assert {name.rpartition("-")[2] for name in typist.dumps} == {"boot", "moved"}
    assert typist.dumps["xen-i-moved"] == typist.dumps["xen-i-boot"] and console.dom0 == "\n"


def test_lines_of_xen_between_the_prints_do_not_end_one():
    console, typist = XenConsole(), Typist()
    typist.read(WAITS)
    for line in console.type(typist.typed(0)):
        typist.read(line)
    assert typist.typed(1) == b"V"
    typist.read("(XEN) IOAPIC[0]: Set PCI routing entry")
    assert typist.typed(2) == b""
    typist.read("(XEN) iommu 0: nr_pt_levels = 4.")
    assert typist.typed(3) == b"h"
    typist.read("(XEN) late")
    typist.read("(XEN)  key 'V' (ascii '56') => dump iommu info")
    assert typist.typed(4) == b"M"
    assert typist.dumps["xen-V-boot"].splitlines()[1:] == ["iommu 0: nr_pt_levels = 4.", "late"]


@pytest.mark.parametrize("deaf", ["M", "h", "VMizQh"])
def test_a_key_without_an_answer_only_costs_time(deaf):
    console, typist = XenConsole(deaf), Typist()
    spent = talk(console, typist, seconds=2_000)
    assert console.dom0 == "\n" and console.heard == "VhMhihzhQh"
    assert spent >= (keys.BEGINS if deaf == "M" else keys.ENDS)
    assert set(typist.dumps) == {f"xen-{key}-boot" for key in keys.KEYS if key not in deaf}


def test_what_is_printed_is_bounded():
    typist = Typist()
    typist.read(WAITS)
    typist.typed(0)
    typist.read("(XEN) *** Serial input to Xen")
    for _ in range(50):
        typist.read("(XEN) " + "x" * 100_000)
    assert 0 < len(typist.dumps["xen-V-boot"]) <= keys.MOST_PRINT
