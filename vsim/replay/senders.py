"""Devices of QEMU that send any message in the name of any requester.

QEMU's `edu` device raises its MSI when its interrupt register (offset 60h of its BAR) is written, and lowers it at 64h.
One stands at each place (device << 3 | function) that is asked for, on the bus inside a PCI Express switch, where all
32 device numbers are allowed. The bus number of a requester is what the bridge above it holds as its secondary bus, so
it is written there before a message goes out. `edu` has 16 bits of data: a message with more cannot be sent here.
"""

from __future__ import annotations

from collections.abc import Sequence

from vsim.layouts.bits import bdf_text

PORT, SWITCH, INSIDE = 0x0010, 0x0100, 0x02
"""Root port 00:02.0 and the switch's upstream port behind it, as requester ids; the bus inside while nobody sends."""
BARS, BAR = 0xC0000000, 1 << 20
"""Where the senders' registers are: a MiB for each, in the order of their places; 256 MiB are bridged."""
MSI_CAP = 0x40
"""Offset of edu's MSI capability, its only one."""
RAISE, LOWER = 0x60, 0x64
MOST = 64
"""Senders of one QEMU: each is a thread there."""


def options(places: Sequence[int]) -> list[str]:
    """QEMU's options for the switch and its senders. ValueError for more than `MOST`, or a place outside 0 to 255."""
    if len(places) > MOST or any(not 0 <= place <= 255 for place in places):
        raise ValueError(f"places are {list(places)[:8]} ...; the limit is {MOST} places from 0 to 255")
    words = ["pcie-root-port,id=above,bus=pcie.0,chassis=1,slot=1,addr=2.0",
             "x3130-upstream,id=inside,bus=above,addr=0.0"]
    words += [f"edu,bus=inside,addr={place >> 3:x}.{place & 7},multifunction=on" for place in _with_first(places)]
    return [part for word in words for part in ("-device", word)]


def _with_first(places: Sequence[int]) -> list[int]:
    """The places, each with function 0 of its device, without which the others are not found."""
    return sorted({*places, *(place & ~7 for place in places)})


def config(requester: int, offset: int, width: int, value: int) -> list[str]:
    """The orders for a write of 1, 2 or 4 bytes to configuration space, through ports CF8h and CFCh."""
    return [f"outl 0xcf8 {0x80000000 | requester << 8 | offset & 0xFC:#x}",
            f"out{'bw l'[width - 1]} {0xCFC + (offset & 3):#x} {value:#x}"]


def memory_everywhere() -> list[str]:
    """The orders after which all of the first MiB is memory: the legacy video window, and the shadow of the firmware.

    SMRAM (9Dh) with D_OPEN, PAM0 to PAM6 (90h to 96h) with reads and writes to DRAM, of the host bridge 00:00.0.
    """
    return [each for offset, value in ((0x9D, 0x4A), *((pam, 0x33) for pam in range(0x90, 0x97)))
            for each in config(0, offset, 1, value)]


def bridge() -> list[str]:
    """The orders that read the root port's bus numbers: 0 after a reset, until they are set up."""
    return [f"outl 0xcf8 {0x80000000 | PORT << 8 | 0x18:#x}", "inl 0xcfc"]


class Senders:
    """The senders of one QEMU, and what they are set to."""

    def __init__(self, places: Sequence[int]) -> None:
        self.places = {place: BARS + number * BAR for number, place in enumerate(_with_first(places))}
        self._bus, self._messages = INSIDE, dict[int, tuple[int, int]]()

    def set_up(self) -> list[str]:
        """The orders after power-on or a reset: bus numbers, windows, BARs, MSI on."""
        self._bus, self._messages = INSIDE, {}
        window = (BARS + 0x0FF00000) & 0xFFF00000 | BARS >> 16
        out = []
        for bus, port in enumerate((PORT, SWITCH)):
            out += [*config(port, 0x18, 4, INSIDE << 16 | bus + 1 << 8 | bus), *config(port, 0x20, 4, window),
                    *config(port, 4, 2, 6)]
        for place, bar in self.places.items():
            here = INSIDE << 8 | place
            out += [*config(here, 0x10, 4, bar), *config(here, 4, 2, 6), *config(here, MSI_CAP + 2, 2, 1)]
        return out

    def send(self, requester: int, address: int, data: int) -> list[str]:
        """The orders that make a requester write data to an address. ValueError when no sender can: see `cannot`."""
        why = cannot(requester, data, self.places)
        if why:
            raise ValueError(why)
        place, out = requester & 0xFF, list[str]()
        if self._messages.get(place) != (address, data):
            self._messages[place] = address, data
            out += self._on_bus(INSIDE)
            here = INSIDE << 8 | place
            out += [*config(here, MSI_CAP + 4, 4, address & 0xFFFFFFFF), *config(here, MSI_CAP + 8, 4, address >> 32),
                    *config(here, MSI_CAP + 12, 2, data)]
        return [*out, *self._on_bus(requester >> 8), f"writel {self.places[place] + RAISE:#x} 0x1",
                f"writel {self.places[place] + LOWER:#x} 0x1"]

    def _on_bus(self, bus: int) -> list[str]:
        """Give the bus inside the switch a number, if it has another."""
        if self._bus == bus:
            return []
        self._bus = bus
        return config(SWITCH, 0x19, 1, bus)


def cannot(requester: int, data: int, places: dict[int, int] | None = None) -> str:
    """Why a message cannot be sent, or "". places: the senders there are; None: any could be made."""
    if data >> 16:
        return f"message data {data:#x} has more than the 16 bits of QEMU's senders"
    if places is not None and requester & 0xFF not in places:
        return f"no sender is at the device and function of {bdf_text(requester)}"
    return ""
