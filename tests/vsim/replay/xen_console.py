"""A Xen that does nothing but print: what a serial console shows for the keys that are typed on it.

As the real one it does what keys ask one after another, and only once the input is switched to it.
"""

SWITCH = "\x01\x01\x01"
PRINTS = {
    "V": ["", "iommu 0: nr_pt_levels = 4.", "R:  0002:  1   0  ff00 f0    0   0 00000000   0  0  0  0 1"],
    "M": ["MSI information:", " MSI-X   25 vec=b0  fixed  edge   assert phys    cpu dest=00000000 mask=1/  /0"],
    "i": ["IRQ information:", "   IRQ:   0 vec:f0 IO-APIC-edge    status=000 aff:{0}/{0} <b>"],
    "z": ["number of MP IRQ sources: 15."],
    "Q": ["==== PCI devices ====", "0000:00:03.0 - d0 - node -1"],
    "h": ["'h' pressed -> showing installed handlers", " key 'M' (ascii '4d') => dump MSI state",
          " key 'Q' (ascii '51') => dump PCI devices"]}


class XenConsole:
    """Takes what is typed, gives the lines that come of it; dom0's own come between. deaf: keys that it has not."""

    def __init__(self, deaf: str = "") -> None:
        self.prints = {key: lines for key, lines in PRINTS.items() if key not in deaf}
        self.heard, self.dom0 = "", ""
        self._switch, self._mine = "", False

    def type(self, keys: bytes) -> list[str]:
        """The lines for some keys."""
        out: list[str] = []
        for key in keys.decode():
            self._switch = self._switch + key if key == "\x01" else ""
            if self._switch == SWITCH:
                self._switch, self._mine = "", not self._mine
                out.append(f"(XEN) *** Serial input to {'Xen' if self._mine else 'DOM0'} (type 'CTRL-a' three times)")
            elif key != "\x01" and self._mine:
                self.heard += key
                for line in self.prints.get(key, []):
                    out += [f"(XEN) {line}", f"[   12.5] dom0 goes on: (ascii '{key}')"]
            elif key != "\x01":
                self.dom0 += key
        return out
