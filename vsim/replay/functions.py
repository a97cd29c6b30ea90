"""The PCI functions of a recorded machine: as its guest's lspci has them, else as their messages name them.

They are for the map and for people: what a recording's functions did is in its commands. A dump that is no lspci
counts as none.
"""

from __future__ import annotations

from dataclasses import replace

from vsim.findings.assumed import Assumed
from vsim.findings.rebuild import MAX_FUNCTIONS, fitting, functions_of
from vsim.readers import lspci
from vsim.readers.lspci import Host, LspciError
from vsim.replay.recording import Recording
from vsim.state import commands as c
from vsim.state.pci import Bus
from vsim.state.pci_function import Function

DUMP = "lspci"
"""The name of the dump that tells them."""
UNKNOWN_SENDER = 0xFFFF
"""Who sent a message of which nobody was seen to be told: no function."""


def bus_of(recording: Recording) -> Bus:
    """The functions that can interrupt, and bridges, as lspci shows them, named by their drivers; others that sent."""
    host = _host(recording.dumps.get(DUMP, ""))
    found = {bdf: each for bdf, each in functions_of(host).items()
             if each.msix_count or each.msi_count or each.pin or each.bridge}
    for each in host.functions:
        if each.driver and not each.segment and each.bdf in found:
            found[each.bdf] = replace(found[each.bdf], name=each.driver)
    sent = {one.command.requester for one in recording.moments if isinstance(one.command, c.Msi)}
    others = sorted(sent - found.keys() - {UNKNOWN_SENDER, recording.profile.options.ioapic_sid})
    for bdf in others[:MAX_FUNCTIONS]:
        found[bdf] = Function(bdf, "a sender", msi_count=1)
    return Bus(sorted(fitting(found, Assumed()).values(), key=lambda function: function.bdf))


def _host(text: str) -> Host:
    try:
        return lspci.parse(text, DUMP) if text else Host(())
    except LspciError:
        return Host(())
