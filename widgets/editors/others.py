"""Any command; vCPUs of a host that posts; what no other editor writes: every I/O APIC, timers, the queue.

Both are made of what is declared elsewhere: a command's fields and their limits, a register's layout. What a command
would do is told before it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, NamedTuple

import ipywidgets as W

from vsim.devices import hpet, vioapic
from vsim.guest.firmware import register
from vsim.layouts.bits import Layout, bdf_text
from vsim.layouts.formats import (
    CONTEXT_INV,
    DEVICE_TLB_INV,
    IEC,
    IOTLB_INV,
    RTE,
    RTE_REMAP,
    WAIT,
    DescriptorType,
)
from vsim.layouts.registers import (
    HPET_COMPARATOR,
    HPET_CONFIG,
    HPET_GENERAL,
    HPET_ROUTE,
    IOREDTBL,
    LVT_TIMER,
    TIMER_COUNT,
    TIMER_DIVIDE,
)
from vsim.state.arrays import LVTS, Machine
from vsim.state.commands import CHOICES, COMMANDS, Command, Mmio, limit, sentence
from vsim.state.profile import IoApic
from vsim.state.trace import Event
from widgets.editors.entries import queue_commands
from widgets.editors.fields import CSS as FIELDS_CSS
from widgets.editors.fields import Fields, parse_number
from widgets.editors.foresee import outcome, shown
from widgets.editors.targets import Targets
from widgets.lab.panel import Panel, flow, line

FIRST = "dma"
"""The command that is offered at the start."""
OFFERED = {name: kind for name, kind in COMMANDS.items() if all(place.type == "int" for place in fields(kind))}
"""Commands that numbers make; the others carry bytes and have editors of their own."""
_PLACES = ("bdf", "requester")
_HEX = ("address", "data", "value", "register", "index", "offset", "port", "byte")
_M32 = 0xFFFFFFFF


class Word(NamedTuple):
    """A register or entry: name, layout, its value in a machine, the writes that store another."""

    name: str
    layout: Layout
    value: Callable[[Machine], int]
    writes: Callable[[Machine, int], list[Command]]


def words(m: Machine, remappable: bool = True) -> Iterator[Word]:
    """Every entry of the I/O APICs, and the registers of the HPET where there is one."""
    for number, chip in enumerate(m.profile.options.ioapics):
        for pin in range(chip.pins):
            yield _entry(number, chip, pin, RTE_REMAP if remappable else RTE)
    if m.profile.options.hpet_timers:
        yield _timer("HPET: all of it", HPET_GENERAL, hpet.CONFIG)
        yield _timer("HPET: main counter", HPET_COMPARATOR, hpet.COUNTER)
    for number in range(m.profile.options.hpet_timers):
        for place, (name, layout) in enumerate((("configuration", HPET_CONFIG), ("comparator", HPET_COMPARATOR),
                                                ("message", HPET_ROUTE))):
            yield _timer(f"HPET timer {number}: {name}", layout, hpet.FIRST_TIMER + 0x20 * number + 8 * place)


def _entry(number: int, chip: IoApic, pin: int, layout: Layout) -> Word:
    def writes(m: Machine, word: int) -> list[Command]:
        """The upper half first: the lower one has the mask."""
        return [Mmio(chip.window + at, 4, value) for half in (1, 0) for at, value in (
            (vioapic.SELECT, IOREDTBL + 2 * pin + half), (vioapic.WINDOW, word >> 32 * half & _M32))]
    name = f"I/O APIC {number} at {chip.window:#x}, pin {pin}: GSI {chip.gsi + pin}"
    return Word(name, layout, lambda m: m.rte[chip.first + pin], writes)


def _timer(name: str, layout: Layout, offset: int) -> Word:
    return Word(name, layout, lambda m: hpet.value(m, offset), lambda m, word: [Mmio(hpet.BASE + offset, 8, word)])


_TIMER: tuple[tuple[str, str, Layout, Callable[[Machine, int], int]], ...] = (
    ("local vector", "LVT_TIMER", LVT_TIMER, lambda m, vcpu: m.lvt[LVTS * vcpu]),
    ("divide", "TIMER_DIVIDE", TIMER_DIVIDE, lambda m, vcpu: m.timer_divide[vcpu]),
    ("initial count", "TIMER_INITIAL", TIMER_COUNT, lambda m, vcpu: m.timer_initial[vcpu]))


def timer(vcpu: int) -> Iterator[Word]:
    """The registers of a local APIC's timer: its interrupt comes with the command "tick", and nobody remaps it."""
    for said, name, layout, value in _TIMER:
        yield Word(f"timer of vCPU {vcpu}: {said}", layout, lambda m, value=value: value(m, vcpu),
                   lambda m, word, name=name: [register(m, vcpu, name, word)])


_DESCRIPTORS = (("device-TLB invalidation", DEVICE_TLB_INV, DescriptorType.DEVICE_TLB),
                ("wait", WAIT, DescriptorType.WAIT), ("entry cache invalidation", IEC, DescriptorType.IEC),
                ("context cache invalidation", CONTEXT_INV, DescriptorType.CONTEXT),
                ("IOTLB invalidation", IOTLB_INV, DescriptorType.IOTLB))


def descriptors(m: Machine, requester: int) -> Iterator[Word]:
    """Descriptors for the queue of every unit; the first is for a device, which `deverr` lets fail (ITE, ICE)."""
    for unit in filter(m.live, range(m.units)):
        for said, layout, kind in _DESCRIPTORS:
            first = layout.make(type=int(kind), **({"sid": requester} if kind == DescriptorType.DEVICE_TLB else {}))
            yield Word(f"queue of vIOMMU {unit}: {said}", layout, lambda m, first=first: first,
                       lambda m, word, unit=unit: queue_commands(m, unit, word))


class OthersPanel(Panel):
    """A command by its fields; then a register by its bits."""

    title = "other"
    css = FIELDS_CSS
    slow = 1.0

    def build(self) -> tuple[W.Widget, ...]:
        """Which command, its fields, what it would do; which register, its editor."""
        self.kind = W.Dropdown(options=list(OFFERED), value=FIRST, description="command",
                               layout=W.Layout(width="220px"), style={"description_width": "70px"},
                               tooltip="what hardware or software does")
        self.numbers, self.means, self.told = flow(), W.HTML(), W.HTML()
        self.controls: dict[str, Any] = {}
        self.watch(self.kind, self._made)
        self.word = W.Dropdown(options=[], description="register", layout=W.Layout(width="380px", max_width="98%"),
                               style={"description_width": "70px"}, tooltip="an entry or a register to write")
        self.remappable = W.Checkbox(value=True, description="entries in remappable format", indent=False,
                                     layout=W.Layout(width="auto"), tooltip="off: compatibility format, as after reset")
        self.place = W.VBox()
        self.editor: Fields | None = None
        self.targets = Targets(self)
        self._list()
        self.watch(self.word, self._opened)
        self.watch(self.remappable, self._list)
        self.follow("vlapic", self._other_vcpu)
        self._made()
        return (W.HTML("<h3>Any command</h3>"),
                flow(self.kind, self.button("do it", self._do, "the command is done, as one gesture", "primary")),
                self.means, self.numbers, self.told, *self.targets.parts,
                W.HTML("<h3>I/O APICs, timers, descriptors for the queue</h3>"),
                flow(self.word, self.button("write", self._write, "the guest stores the word", "primary"),
                     self.remappable), self.place)

    # --- a command ---

    def _made(self) -> None:
        """Fields of the chosen command."""
        self.controls = {place.name: self._control(place.name) for place in fields(OFFERED[self.kind.value])}
        for control in self.controls.values():
            self.watch(control, self._foretell)
        self.numbers.children = tuple(self.controls.values())
        self.means.value = line(sentence(OFFERED[self.kind.value]), "muted")
        self._foretell()

    def _control(self, name: str) -> W.Widget:
        common = {"description": name, "style": {"description_width": "70px"}}
        if name in CHOICES:
            return W.Dropdown(options=[(said, number) for number, said in enumerate(CHOICES[name])],
                              layout=W.Layout(width="260px"), **common)
        start = "4" if name == "width" else "0x0" if name in _HEX else "0"
        if name in _PLACES:
            start = bdf_text(self._device())
        made = W.Text(value=start, continuous_update=False, tooltip=f"up to {limit(name):#x}",
                      layout=W.Layout(width="220px"), **common)
        made.add_class("vsim-mono")
        return made

    def _device(self) -> int:
        """The device that is looked at, else the first one, else 00:00.0."""
        own = [each.bdf for each in self.lab.machine.bus.functions if not each.bridge]
        chosen = self.lab.selection.device
        return chosen if chosen in own else own[0] if own else 0

    def command(self) -> Command:
        """The command that the fields make. ValueError for what is no number or over its limit."""
        values = {name: control.value if name in CHOICES else parse_number(control.value, limit(name), name)
                  for name, control in self.controls.items()}
        return OFFERED[self.kind.value](**values)

    def _foretell(self) -> None:
        try:
            command = self.command()
        except ValueError as error:
            self.told.value = line(str(error)[:400], "bad")
        else:
            self.told.value = shown(outcome(self.lab.machine, [command])[2], "It would do nothing that one sees.")

    def _do(self) -> None:
        self.lab.issue(self.command())

    # --- a register ---

    def _list(self) -> None:
        m = self.lab.machine
        found = (*words(m, self.remappable.value), *timer(max(0, self.lab.selection.vlapic)),
                 *descriptors(m, self._device()))
        self.words = {each.name: each for each in found}
        if tuple(self.word.options) != tuple(self.words):
            place = self.word.index or 0
            self.word.options = tuple(self.words)
            self.word.index = place if place < len(self.words) else 0
        self._opened()

    def _other_vcpu(self) -> None:
        """The timer is the chosen vCPU's; what is being edited of anything else stays."""
        if self.lab.selection.vlapic < self.lab.machine.vcpus and (
                f"timer of vCPU {max(0, self.lab.selection.vlapic)}: divide" not in self.words):
            self._list()

    def _opened(self) -> None:
        """The editor of the chosen register, at what it holds."""
        if self.word.value is None:
            return
        word, old = self.words[self.word.value], self.editor
        now = word.value(self.lab.machine)
        self.editor = Fields(word.layout, now, stored=now)
        self.place.children = (self.editor,)
        if old is not None:
            old.close()

    def _write(self) -> None:
        if self.editor is not None and self.word.value is not None:
            word = self.words[self.word.value]
            self.lab.issue(*word.writes(self.lab.machine, self.editor.value), name=f"write {word.name}")

    def draw(self, m: Machine, events: list[Event]) -> None:
        """What the command would do now, and what the register holds; bits that the reader changed stay as they are."""
        self._foretell()
        self.targets.draw(m)
        if self.editor is not None and self.word.value is not None:
            now, changed = self.words[self.word.value].value(m), self.editor.value != self.editor.stored
            self.editor.stored = now
            if not changed:
                self.editor.value = now
