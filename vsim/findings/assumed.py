"""What no text says of a machine that was rebuilt, by the element of which it is assumed.

    built.assumed.of(node(Kind.VIOMMU, 0))      # ("its registers are at 0xfed90000",)
    list(built.assumed)                         # "vIOMMU 0: its registers are at 0xfed90000", ...

This is the only place where it is kept: pictures, tables, editors, reports and sentences all ask here. An element is a
node of the events (`vsim.state.trace`): a device by its bus address, a unit, a vCPU, an I/O APIC by its first pin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vsim.layouts.bits import bdf_text
from vsim.readers import ranges
from vsim.state.trace import Event, Kind, node

WORD = "assumed"
"""How it is marked wherever it is shown."""
_NAMES = {Kind.DEVICE: "device", Kind.VIOAPIC: "I/O APIC of pin", Kind.VIOMMU: "vIOMMU", Kind.VLAPIC: "vCPU"}
_MOST = 4
"""Devices that a sentence names."""


class Assumed:
    """Sentences by element, in the order in which they were assumed. names: of elements that a text has a name for."""

    def __init__(self) -> None:
        self._of: dict[int, list[str]] = {}
        self.names: dict[int, str] = {}

    def add(self, what: str, elements: Iterable[int]) -> None:
        """Something is assumed of some elements; without any it is nothing."""
        for each in elements:
            self._of.setdefault(each, []).append(what)

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[str, Iterable[int]]], names: Iterable[tuple[int, str]] = ()) -> Assumed:
        """From sentences with their elements, as `rows` gives them, and names by element."""
        made = cls()
        for what, elements in rows:
            made.add(what, elements)
        made.names.update(names)
        return made

    @property
    def rows(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Each thing once, with all elements of which it is assumed."""
        alike: dict[str, list[int]] = {}
        for element, sentences in self._of.items():
            for what in sentences:
                alike.setdefault(what, []).append(element)
        return tuple((what, tuple(elements)) for what, elements in alike.items())

    def of(self, element: int) -> tuple[str, ...]:
        """What is assumed of an element; of a pin what is of its I/O APIC."""
        return tuple(self._of.get(self._element(element), ()))

    def mark(self, element: int) -> str:
        """What stands behind the name of an element: ", assumed", or "" where nothing is."""
        return f", {WORD}" if self.of(element) else ""

    def words(self, element: int) -> str:
        """The same as one text, "" for nothing: "assumed: this; that"."""
        found = self.of(element)
        return f"{WORD}: {'; '.join(found)}" if found else ""

    @property
    def elements(self) -> tuple[int, ...]:
        """The elements of which something is assumed, ascending."""
        return tuple(sorted(self._of))

    def along(self, events: Iterable[Event]) -> tuple[str, ...]:
        """What is assumed of the elements that some events happened at, each told once with its element."""
        nodes = dict.fromkeys(self._element(event.node) for event in events)
        return tuple(f"{self.named([each])}: {what}" for each in nodes for what in self.of(each))

    def __iter__(self) -> Iterator[str]:
        """Each thing once, with all elements of which it is assumed."""
        for what, elements in self.rows:
            yield f"{self.named(elements)}: {what}"

    def named(self, elements: Iterable[int]) -> str:
        """Elements in words: "vCPU 0-3", "devices 00:02.0, 00:03.0", "I/O APIC 2"."""
        kinds: dict[int, list[int]] = {}
        said = []
        for each in sorted(elements):
            if each in self.names:
                said.append(self.names[each])
            else:
                kinds.setdefault(each >> 24, []).append(each & 0xFFFFFF)
        return ", ".join([*said, *(_named(kind, numbers) for kind, numbers in kinds.items())])

    def _element(self, place: int) -> int:
        """The element that a node of an event is, or is a pin of."""
        if place >> 24 != Kind.VIOAPIC:
            return place
        first = [each for each in {*self.names, *self._of} if each >> 24 == Kind.VIOAPIC and each <= place]
        return max(first, default=place)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _named(kind: int, numbers: list[int]) -> str:
    if kind == Kind.DEVICE:
        more = f" and {len(numbers) - _MOST} more" if len(numbers) > _MOST else ""
        return f"device{'s' if len(numbers) > 1 else ''} {', '.join(map(bdf_text, numbers[:_MOST]))}{more}"
    return f"{_NAMES[Kind(kind)]} " + ranges.text(ranges.of(numbers)).replace(",", ", ")


def device(bdf: int) -> int:
    """A function as an element."""
    return node(Kind.DEVICE, bdf)


def units(numbers: Iterable[int]) -> list[int]:
    """Units as elements."""
    return [node(Kind.VIOMMU, each) for each in numbers]


def vcpus(count: int) -> list[int]:
    """All vCPUs as elements."""
    return [node(Kind.VLAPIC, each) for each in range(count)]


def ioapic(first_pin: int) -> int:
    """An I/O APIC, by its first pin among those of all."""
    return node(Kind.VIOAPIC, first_pin)
