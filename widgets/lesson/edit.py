"""Edit an entry of the remapping table in a line of Python, send through it, and ask what came of it.

    edit = Edit(lab, "03:00.0", message=0)
    edit.write(vector=0x55)
    edit.fire().told()

What the editor `lab.irt` does by controls this does by words; both issue the same commands.
"""

from __future__ import annotations

from vsim.explain.interrupt import explain_in
from vsim.explain.sentences import number
from vsim.guest.iommu import Fault
from vsim.layouts.formats import IRTE
from vsim.state import commands
from vsim.state.trace import Act, Event
from widgets.editors.entries import invalidate_commands, stored, write_commands
from widgets.lab.lab import Lab
from widgets.lesson.journey import Journey
from widgets.map.scene import scene
from widgets.map.tokens import fold
from widgets.time.happened import takers


class Edit:
    """The entry of a message of a device, on a Lab whose guest has booted.

    taken: vector by vCPU, of the last `fire` or `raw`.
    """

    def __init__(self, lab: Lab, device: str | int, message: int = 0) -> None:
        """ValueError when the guest has not booted, or the device has no such message with an entry."""
        guest, function = lab.kernel.guest, lab.device(device)
        if guest is None:
            raise ValueError("no guest runs: boot it first")
        sources = guest.sources.get(function.bdf, [])
        if not 0 <= message < len(sources) or sources[message].index < 0:
            raise ValueError(f"message is {message}; device {device} has {len(sources)} with an entry")
        self.lab, self.source = lab, sources[message]
        self._faults = len(guest.faults)
        self.taken: dict[int, int] = {}

    @property
    def index(self) -> int:
        """Number of the entry."""
        return self.source.index

    @property
    def text(self) -> str:
        """The entry in memory, as `IRTE.text` writes it."""
        return IRTE.text(stored(self.lab.machine, 0, self.index) or 0)

    @property
    def faults(self) -> list[Fault]:
        """Fault records that the guest has read since this was made."""
        guest = self.lab.kernel.guest
        return guest.faults[self._faults:] if guest is not None else []

    def write(self, tell: bool = True, **fields: int) -> str:
        """Set fields of the entry, and tell the unit to forget its copy; the entry as text.

        tell=False leaves the invalidation out. ValueError for an unknown field, or a value that does not fit.
        """
        m = self.lab.machine
        word = IRTE.make(**{**IRTE.split(stored(m, 0, self.index) or 0), **fields})
        told = invalidate_commands(m, 0, self.index) if tell else []
        self.lab.issue(*write_commands(m, 0, self.index, word), *told,
                       name=f"write entry {self.index}{' and invalidate it' if tell else ''}")
        return self.text

    def tell(self) -> None:
        """Only the invalidation: the unit forgets its copy of the entry."""
        self.lab.issue(*invalidate_commands(self.lab.machine, 0, self.index), name=f"invalidate entry {self.index}")

    def restore(self) -> str:
        """The entry as the guest keeps it in its books, and an invalidation."""
        return self.write(**IRTE.split(self.source.entry))

    def fire(self) -> Journey:
        """The device sends the message; what became of it."""
        return self._went(self.lab.fire(self.source.bdf, self.source.number))

    def raw(self, address: int, data: int) -> Journey:
        """The device writes something else than its message: 64-bit address, 32-bit data."""
        with self.lab.gesture() as events:
            self.lab.kernel.take(self.lab.issue(commands.Msi(self.source.bdf, address, data)))
        return self._went(events)

    def _went(self, events: list[Event]) -> Journey:
        serial = next(event.serial for event in events if event.serial)
        mine = [event for event in events if event.serial == serial]
        self.taken = {number(event): event.index for event in takers(mine) if event.act != Act.SIGNALLED}
        self.lab.selection.serial = serial
        told = explain_in(self.lab.history, serial)
        drawn = scene(self.lab.machine, self.lab.title, assumed=self.lab.assumed)
        return Journey(drawn, told.verdict, told.sentences, told.checks, next(fold(drawn, mine), None),
                       tuple(self.taken))


def attempt(lab: Lab, device: str | int, message: int = 0, **fields: int) -> Edit:
    """Set fields and send, on a branch of its own: the Lab stays as it is. For exercises."""
    edit = Edit(lab.branch(), device, message)
    edit.write(**fields)
    edit.fire()
    return edit
