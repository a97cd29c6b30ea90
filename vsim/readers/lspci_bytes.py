"""What a PCI function can do, from the bytes of its configuration space as lspci -x, -xxx and -xxxx print them.

-x gives the header alone (64 bytes), and the rest only to root. Bytes beat the words above them: they are what the
hardware has, whatever the version of lspci makes of it.
"""

from __future__ import annotations

from typing import Any

from vsim.layouts.bits import Field, Layout, flag, get, reserved
from vsim.layouts.registers import MSI_CAPABILITY, MSI_CONTROL, MSIX_CONTROL, PCI_STATUS

HEADER_BYTES, SPACE_BYTES = 64, 256
"""Bytes that -x and -xxx print of a function."""
EXPRESS = Layout("PCI Express capabilities", 16, "PCIe 7.5.3.2", reserved(14, 2), Field("message", 9, 5, "its own MSI"),
                 flag("slot", 8, "leads to a slot"), Field("type", 4, 4, "see EXPRESS_TYPES"),
                 Field("version", 0, 4, "of the capability"))
EXPRESS_TYPES = {0: "Endpoint", 1: "Legacy Endpoint", 4: "Root Port", 5: "Upstream Port", 6: "Downstream Port",
                 7: "PCI-Express to PCI/PCI-X Bridge", 8: "PCI/PCI-X to PCI-Express Bridge",
                 9: "Root Complex Integrated Endpoint", 10: "Root Complex Event Collector"}
"""What a PCI Express function is, in the words of lspci."""
MSI, EXPRESS_ID, MSIX = 0x05, 0x10, 0x11
"""Capability ids."""
_STATUS, _HEADER_TYPE, _PRIMARY, _CAPABILITIES, _PIN = 0x06, 0x0E, 0x18, 0x34, 0x3D
_TYPE = Layout("PCI header type", 8, "PCI 6.2.1", flag("multi", 7, "several functions"),
               Field("kind", 0, 7, "1: bridge"))


def silent(space: bytes) -> bool:
    """Whether nobody answered: every byte reads as ones."""
    return len(space) >= 4 and space.count(0xFF) == len(space)


def express(word: int) -> str:
    """The type in a word of PCI Express capabilities."""
    kind = get(word, EXPRESS.type)
    return EXPRESS_TYPES.get(kind, f"Unknown type {kind}")


def facts(space: bytes) -> dict[str, Any]:
    """Fields of a `HostFunction` that the bytes tell; an empty dict when there are too few, or nobody answered.

    The key "complete": the bytes reach far enough to tell all capabilities.
    """
    if len(space) < HEADER_BYTES or silent(space):
        return {}
    found: dict[str, Any] = {"pin": space[_PIN] if space[_PIN] <= 4 else 0, "complete": True}
    if get(space[_HEADER_TYPE], _TYPE.kind) == 1:
        found["bridge"] = tuple(space[_PRIMARY:_PRIMARY + 3])
    if not get(_word(space, _STATUS), PCI_STATUS.capabilities):
        return found
    if len(space) < SPACE_BYTES:
        return found | {"complete": False}
    found |= {"msi_count": 0, "msi_64": False, "msi_maskable": False, "msix_count": 0, "pcie_type": None}
    at, seen = space[_CAPABILITIES] & ~3, set[int]()
    while HEADER_BYTES <= at <= SPACE_BYTES - 4 and at not in seen:
        seen.add(at)
        found |= _capability(space, at)
        at = space[at + 1] & ~3
    return found


def _capability(space: bytes, at: int) -> dict[str, Any]:
    word = _word(space, at + 2)
    if space[at] == EXPRESS_ID:
        return {"pcie_type": express(word)}
    if space[at] == MSIX:
        return {"msix_count": int(get(word, MSIX_CONTROL.last)) + 1}
    if space[at] != MSI or get(word, MSI_CONTROL.mmc) > 5:
        return {}
    wide, maskable = bool(get(word, MSI_CONTROL.wide)), bool(get(word, MSI_CONTROL.maskable))
    found: dict[str, Any] = {"msi_count": 1 << get(word, MSI_CONTROL.mmc), "msi_64": wide, "msi_maskable": maskable}
    layout = MSI_CAPABILITY[wide, maskable]
    whole = int.from_bytes(space[at:at + layout.width // 8], "little")
    if get(word, MSI_CONTROL.enable):
        upper = get(whole, layout.upper) if wide else 0
        found["message"] = int(upper << 32 | get(whole, layout.address) << 2), int(get(whole, layout.data))
    return found


def _word(space: bytes, at: int) -> int:
    return int.from_bytes(space[at:at + 2], "little")
