"""Two pastes compared: a good host and a bad one, or two runs of one; aligned by what things mean.

    compared = compare(examine(good), examine(bad))
    compared.first, compared.differences

State (registers, entries, pins, functions, interrupts) is aligned by whose it is: a requester's n-th entry, a unit's
register, a pin. Addresses of tables, indices, times and numbers that a kernel chose are no difference. Events of traces
are aligned in their order; the first that one run has and the other has not is the divergence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vsim.findings.catalogue import Examined
from vsim.findings.picture import Picture, Side
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import MSI_ADDRESS, MSI_DATA, REMAP_ADDRESS, RTE, RTE_REMAP
from vsim.layouts.registers import CAP, ECAP, GSTS
from vsim.readers import qemu_monitor, qemu_trace, regset

MAX_EVENTS = 20_000
"""Events of a trace that are compared."""
MAX_DIFFERENCES = 500
NO_MATTER = {"virq", "base", "address", "out_address", "out_data", "index", "count", "tail", "head", "high", "low"}
"""Values of events that two runs need not share: addresses, indices, counters."""
ROUTE, PINS = "kvm_irqchip_update_msi_route", 24
"""The event that tells which route a message is for, and how many of the routes are pins of the I/O APIC."""
SPLIT = {"vtd_ir_remap_msi_req", "vtd_ir_remap_msi"}
"""Events whose address and data are a message: compared by its format."""


class Difference(NamedTuple):
    """What one side has and the other has not, or has otherwise. what: in words; a, b: None where a side lacks it."""

    what: str
    a: Side | None
    b: Side | None

    def lines(self) -> list[str]:
        """For people."""
        return [self.what, *(f"    {name}: {side or 'nothing of the kind'}" for name, side in (("A", self.a),
                                                                                           ("B", self.b)))]


@dataclass
class Compared:
    """first: the first divergence of two traces, None where there is none; kinds: what was compared."""

    kinds: list[str] = field(default_factory=list)
    first: Difference | None = None
    differences: list[Difference] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        out = [f"compared: {', '.join(self.kinds) or 'nothing: the two have no kind in common'}"]
        if self.first:
            out += ["first divergence: " + self.first.lines()[0], *self.first.lines()[1:]]
        for each in self.differences:
            out += each.lines()
        return [*out, f"differences: {len(self.differences) + bool(self.first)}"]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        def one(each: Difference) -> dict[str, Any]:
            return {"what": each.what, "a": each.a and each.a._asdict(), "b": each.b and each.b._asdict()}
        return {"kinds": self.kinds, "first": one(self.first) if self.first else None,
                "differences": [one(each) for each in self.differences]}


Facts = dict[tuple[str, ...], tuple[str, Side]]
"""By what a thing is: its value in words, and where it stands."""


def compare(a: Examined, b: Examined) -> Compared:
    """What two pastes of the same kinds do not share."""
    out = Compared()
    for name, facts in (("registers", _registers), ("entries", _entries), ("pins", _pins), ("functions", _functions),
                        ("interrupts", _interrupts), ("what Linux says", _boot)):
        left, right = facts(a.picture), facts(b.picture)
        if left and right:
            out.kinds.append(name)
            out.differences += _different(left, right)
    events = [list(_events(each.picture)) for each in (a, b)]
    if all(events):
        out.kinds.append("events")
        out.first = _divergence(*events)
    out.differences = out.differences[:MAX_DIFFERENCES]
    return out


def _different(a: Facts, b: Facts) -> Iterator[Difference]:
    for key in [*a, *(key for key in b if key not in a)]:
        left, right = a.get(key), b.get(key)
        name = " ".join(key)
        if left is None or right is None:
            value = (left or right or ("", None))[0]
            yield Difference(f"{name}: {value}: only {'A' if right is None else 'B'} has it", left and left[1],
                             right and right[1])
        elif left[0] != right[0]:
            yield Difference(f"{name}: {left[0]} in A, {right[0]} in B", left[1], right[1])


# --- state ---


def _registers(p: Picture) -> Facts:
    found: Facts = {}
    for number, unit in enumerate(each for each in p.pasted.of("linux registers", "xen registers")
                                  if isinstance(each, regset.Unit)):
        for register in unit.registers:
            layout = {"CAP": CAP, "ECAP": ECAP, "GSTS": GSTS}.get(register.name)
            for place in layout or ():
                if not place.name.startswith("reserved"):
                    found["unit", str(number), f"{register.name}.{place.name}"] = (
                        f"{get(register.value, place):#x}", Side(unit.file, register.line, f"{register.value:#x}"))
        for name, value in (("EIME", unit.eime), ("entries", unit.entries)):
            if value is not None:
                found["unit", str(number), name] = str(int(value)), Side(unit.file, unit.line, f"{name} {int(value)}")
    return found


def _entries(p: Picture) -> Facts:
    """A requester's n-th entry: what it lets in and what it does, not where it is and whom the kernel chose."""
    found: Facts = {}
    counts: Counter[str] = Counter()
    for entry in sorted(p.entries.values(), key=lambda entry: (entry.unit, entry.index)):
        who = bdf_text(entry.fields["sid"])
        names = ("svt", "sq", "fpd") if entry.posted else ("svt", "sq", "fpd", "dm", "dlm", "tm", "rh")
        value = ("posted " if entry.posted else "") + " ".join(f"{name}={entry.fields[name]}" for name in names)
        found["entry", str(counts[who]), "of", who] = value, entry.side
        counts[who] += 1
    return found


def pin_text(word: int) -> str:
    """A redirection entry in words: its format, and what it is."""
    if get(word, RTE_REMAP.format):
        fields = RTE_REMAP.split(word)
        return f"remappable, entry {fields['handle']}, {'masked' if fields['mask'] else 'open'}"
    fields = RTE.split(word)
    return (f"a compatibility message with vector {fields['vector']}, {'level' if fields['tm'] else 'edge'}, "
            f"{'masked' if fields['mask'] else 'open'}")


def _pins(p: Picture) -> Facts:
    found: Facts = {}
    for ioapic in p.pasted.of("qemu monitor"):
        if isinstance(ioapic, qemu_monitor.IoApic):
            for number, word in enumerate(ioapic.pins):
                found["I/O APIC", str(ioapic.number), "pin", str(number)] = (
                    pin_text(word), Side(ioapic.file, ioapic.line, f"pin {number} is {word:#018x}"))
    return found


def _functions(p: Picture) -> Facts:
    found: Facts = {}
    counts: Counter[str] = Counter()
    for each in p.functions.functions if p.functions else ():
        name = f"{each.class_name}: {each.name}"
        found["function", name, str(counts[name])] = (
            f"{each.msix_count} MSI-X, {each.msi_count} MSI, {each.pcie_type or 'PCI'}, {each.shown}",
            Side(p.functions_file, each.line, bdf_text(each.bdf)))
        counts[name] += 1
    return found


def _interrupts(p: Picture) -> Facts:
    found: Facts = {}
    counts: Counter[str] = Counter()
    for each in p.interrupts:
        who = f"pin {each.pin[1]} of I/O APIC {each.pin[0]}" if each.pin else each.device or each.handler
        form = {True: "remappable", False: "compatibility", None: "no message shown"}[each.remappable]
        unit = "through a unit" if each.unit is not None else "through no unit"
        found["interrupt", str(counts[who]), "of", who] = (
            f"{form}, {unit}, {'managed' if each.managed else 'not managed'}", Side(each.file, each.line, who))
        counts[who] += 1
    return found


def _boot(p: Picture) -> Facts:
    found: Facts = {}
    for record in p.pasted.of("linux boot"):
        if hasattr(record, "values") and record.name not in ("timer", "spurious"):
            found.setdefault(("Linux:", record.name), (" ".join(record.values), Side(record.file, record.line,
                                                                                     record.name)))
    return found


# --- events ---


def _events(p: Picture) -> Iterator[tuple[tuple[Any, ...], Side, str]]:
    """What makes two events the same, where one stands, and the event in words."""
    events = [each for each in p.pasted.of("qemu trace")[:MAX_EVENTS] if isinstance(each, qemu_trace.Event)]
    pins = _pins_of(events)
    for place, event in enumerate(events):
        if not event.name.startswith("kvm_irqchip"):
            said = pins.get(place, "") + message_text(event) if event.name in SPLIT else " ".join(
                f"{name}={value:#x}" if isinstance(value, int) else f"{name}={value}" for name, value in event.values)
            same = (said,) if event.name in SPLIT else tuple(
                (name, value) for name, value in event.values if name not in NO_MATTER)
            yield (event.name, *same), Side(event.file, event.line, f"{event.name} {said}"), said
    for event in p.pasted.of("linux vector events")[:MAX_EVENTS]:
        yield (event.name, event.values.get("ret", 0) < 0), Side(event.file, event.line, event.name), event.name


def _pins_of(events: list[qemu_trace.Event]) -> dict[int, str]:
    """The pin that a message is of, by the event's place: the route that QEMU updates next.

    With the I/O APIC in QEMU and the rest in KVM the first 24 routes are its pins: such a run begins with 24 routes of
    no device (kvm_irqchip_add_msi_route dev N/A). Others belong to devices.
    """
    found: dict[int, str] = {}
    waiting: list[int] = []
    for place, event in enumerate(events):
        if event.name == "vtd_ir_remap_msi_req":
            waiting = [place]
        elif event.name == "vtd_ir_remap_msi":
            waiting.append(place)
        elif event.name == ROUTE and event["virq"] < PINS:
            found |= dict.fromkeys(waiting, f"pin {event['virq']} of the I/O APIC: ")
            waiting = []
    return found


def message_text(event: qemu_trace.Event) -> str:
    """A message in words: its format, and its entry or its vector."""
    address, data = event["address"], event["data"]
    if get(address, MSI_ADDRESS.format):
        return f"remappable message, entry {get(address, REMAP_ADDRESS.handle)}"
    return f"compatibility message with vector {get(data, MSI_DATA.vector)}"


def _divergence(a: list[tuple[tuple[Any, ...], Side, str]], b: list[tuple[tuple[Any, ...], Side, str]]
                ) -> Difference | None:
    """The first place at which two runs differ; what one repeats at once counts once."""
    left, right = ([each for place, each in enumerate(run) if place == 0 or each[0] != run[place - 1][0]]
                   for run in (a, b))
    for place in range(max(len(left), len(right))):
        one, two = (run[place] if place < len(run) else None for run in (left, right))
        if one is None or two is None or one[0] != two[0]:
            what = f"A: {one[1].text if one else 'ends'}; B: {two[1].text if two else 'ends'}"
            if one and two and one[2][:4] == two[2][:4] == "pin ":
                what = _same_pin(one[2], two[2]) or what
            return Difference(what, one[1] if one else None, two[1] if two else None)
    return None


def _same_pin(one: str, two: str) -> str:
    """Two messages of one pin, told as what they are; "" for different pins."""
    pin, a = one.split(": ", 1)
    other, b = two.split(": ", 1)
    old = {True: "still holds a ", False: "holds a "}
    compatible = [each.startswith("compatibility") for each in (a, b)]
    if pin != other:
        return ""
    if compatible[0] == compatible[1]:
        return f"{pin} holds a {a} in A, a {b} in B"
    return f"{pin} {old[compatible[0]]}{a} in A, {old[compatible[1]]}{b} in B"
