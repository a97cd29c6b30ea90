"""The vCPUs of a host to which interrupts are posted: put them on CPUs and off, and see what that does and costs."""

from __future__ import annotations

from collections.abc import Iterator

import ipywidgets as W

from vsim.devices import posted
from vsim.domain.posting import CAUSES
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import IRTE, IRTE_POSTED, PID, remap_message
from vsim.layouts.registers import CAP
from vsim.state import commands
from vsim.state.arrays import Doing, Machine
from widgets.editors.entries import stored
from widgets.lab.panel import Panel, flow, line, table
from widgets.map.table import POSTED, entries

NONE = "No unit of this machine posts (CAP.PI is 0). One that does: Lab.host()."
EMPTY = "No entry posts yet: write one with IM=1 and the address of a descriptor, a multiple of 64."
STATES = {Doing.RUNNING: "runs", Doing.PREEMPTED: "waits for its CPU", Doing.HALTED: "has halted"}
COUNTED = "vCPUs, and how often a guest was left or the host interrupted for them"
TABLES = {COUNTED: ("descriptor", "its vCPU", "CPU", "RVI", "SVI", *CAUSES.values()),
          "Their descriptors": ("descriptor", "PIR", "ON", "SN", "NV", "NDST")}
"""The tables that are shown, by caption: their columns, each a key of a row of `rows`."""


def posts(m: Machine) -> bool:
    """Whether a unit of the machine can post."""
    return any(m.live(unit) and get(m.profile.of_unit(unit).cap, CAP.pi) for unit in range(m.units))


def senders(m: Machine) -> Iterator[tuple[int, int, int, int]]:
    """(descriptor's address, requester, entry, virtual vector) of every entry in use that posts."""
    for each in entries(m):
        entry = stored(m, each.unit, each.index) if each.flags & POSTED else None
        if entry and get(entry, IRTE.im):
            yield (get(entry, IRTE_POSTED.pda) << 6, each.sid, each.index, get(entry, IRTE_POSTED.vector))


def rows(m: Machine) -> list[dict[str, str]]:
    """Each vCPU by column: its descriptor, its virtual APIC, how often somebody was interrupted for it."""
    out = []
    for address, each in m.targets.items():
        now, apic = posted.descriptor(m, address), posted.virtual_apic(each)
        pir = int(get(now, PID.pir))
        vectors = " ".join(f"{n:#04x}" for n in range(256) if pir >> n & 1) or "empty"
        out.append({
            "descriptor": f"{address:#x}", "its vCPU": STATES[Doing(each.doing)], "CPU": str(each.cpu), "PIR": vectors,
            "ON": str(get(now, PID.on)), "SN": str(get(now, PID.sn)), "NV": f"{get(now, PID.nv):#04x}",
            "NDST": f"{get(now, PID.ndst):#x}", "RVI": f"{apic.rvi:#04x}", "SVI": f"{apic.svi:#04x}",
            **{cause: str(getattr(each, name)) for name, cause in CAUSES.items()}})
    return out


class Targets:
    """A part of a panel: which vCPU, on which CPU; run, preempt, halt it; a message for it; its EOI."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.target = W.Dropdown(options=[], description="descriptor", layout=W.Layout(width="300px", max_width="98%"),
                                 style={"description_width": "70px"}, tooltip="the vCPU to which entries post")
        last = panel.lab.machine.vcpus - 1
        self.cpu = W.BoundedIntText(min=0, max=last, description="CPU", tooltip=f"0 to {last}: the local APIC",
                                    layout=W.Layout(width="120px"), style={"description_width": "40px"})
        self.message = panel.button("message", self._message, "the requester of the first entry that posts to it sends "
                                    "one", "primary")
        self.controls = flow(
            self.target, self.cpu,
            panel.button("run", lambda: self._schedule(Doing.RUNNING), "it runs on this CPU; whoever did waits"),
            panel.button("preempt", lambda: self._schedule(Doing.PREEMPTED), "it waits: SN is set, nobody is told"),
            panel.button("halt", lambda: self._schedule(Doing.HALTED), "it sleeps: NV is the wake-up vector"),
            self.message, panel.button("EOI", self._end, "it ends the virtual interrupt in service"),
            panel.button("EOI exits", self._watch, "its vector's bit in the EOI exit bitmap, on or off"))
        self.told = W.HTML()
        self.parts = (W.HTML("<h3>Posting: vCPUs of a host</h3>"), self.controls, self.told)
        self.senders: dict[int, tuple[int, int, int]] = {}

    def _address(self) -> int:
        if self.target.value is None:
            raise ValueError(EMPTY)
        return int(self.target.value)

    def _schedule(self, doing: Doing) -> None:
        self.panel.lab.issue(commands.Schedule(self._address(), self.cpu.value, doing.value))

    def _end(self) -> None:
        self.panel.lab.issue(commands.VirtualEoi(self._address()))

    def _sender(self) -> tuple[int, int, int]:
        if self._address() not in self.senders:
            raise ValueError("no entry in use posts to this descriptor")
        return self.senders[self._address()]

    def _message(self) -> None:
        requester, index, _ = self._sender()
        name = f"{bdf_text(requester)} by entry {index}"
        self.panel.lab.issue(commands.Msi(requester, *remap_message(index)), name=name)

    def _watch(self) -> None:
        address, vector = self._address(), self._sender()[2]
        each = self.panel.lab.machine.targets.get(address)
        if each is None:
            raise ValueError("its vCPU is not known yet: run it first")
        self.panel.lab.issue(commands.EoiExit(address, vector, 1 - (each.eoi_exit >> vector & 1)))

    def draw(self, m: Machine) -> None:
        """All vCPUs, and those that entries name and nobody has run yet."""
        able = posts(m) or bool(m.targets)
        self.senders = {}
        for address, requester, index, vector in senders(m) if able else ():
            self.senders.setdefault(address, (requester, index, vector))
        found = [*m.targets, *(each for each in self.senders if each not in m.targets)]
        options = [(self._named(each), each) for each in found]
        if tuple(self.target.options) != tuple(options):
            before = self.target.value
            self.target.options = options
            self.target.value = before if before in found else found[0] if found else None
        self.controls.layout.display = None if found else "none"
        self.told.value = line(EMPTY if able else NONE, "muted") if not found else self._tables(m) + self._bitmap(m)

    def _tables(self, m: Machine) -> str:
        known = rows(m)
        return "".join(table(heads, [tuple(each[head] for head in heads) for each in known], caption)
                       for caption, heads in TABLES.items())

    def _named(self, address: int) -> str:
        if address not in self.senders:
            return f"{address:#x}"
        _, index, vector = self.senders[address]
        return f"{address:#x} (entry {index}, vector {vector:#04x})"

    def _bitmap(self, m: Machine) -> str:
        said = [f"{address:#x}: " + ", ".join(f"{n:#04x}" for n in range(256) if each.eoi_exit >> n & 1)
                for address, each in m.targets.items() if each.eoi_exit]
        return line("Vectors whose EOI leaves the guest: " + "; ".join(said), "muted") if said else ""
