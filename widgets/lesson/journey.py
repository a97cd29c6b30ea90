"""One interrupt at a time: sent on a booted domain, then shown as a picture, as a table and in sentences.

    trial = Trial("data/big.cfg", "data/big.lspci")
    journey = trial.send("00:05.0", message=0, vcpu=287)
    journey.picture()
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsim.domain.builder import DMAR_AT, Device, build
from vsim.domain.host_policies import Link
from vsim.explain.interrupt import DELIVERED, FAILED, PASSED, CheckRow, explain
from vsim.guest.kernel import Guest
from vsim.guest.ways import Source
from vsim.history import whole
from vsim.layouts.bits import parse_bdf
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import APIC_MSR, ICR
from vsim.machine import step
from vsim.readers import lspci, xl
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.profile import Profile, profile
from vsim.state.trace import Event
from widgets.lab.lab import Lab
from widgets.map.scene import Scene, scene
from widgets.map.tokens import NOBODY, Places, Token, fold
from widgets.stills import drawn, figures
from widgets.tables import Table, Told

_MARKS = {PASSED: "✓ passed", FAILED: "✗ failed", DELIVERED: "→ delivered"}


class Picture:
    """A figure that a notebook shows, with words for those who do not see it.

    follows: whether it is drawn in the light theme, and takes the colours of the page that shows it.
    """

    def __init__(self, figure: Any, words: str, follows: bool = False) -> None:
        self.figure, self.words, self.follows = figure, words, follows

    @classmethod
    def of(cls, journey: Journey, theme: str = "", shape: str = "wide") -> Picture:
        """The still of a journey. theme: "light" or "dark"; "": that of the page, and light in a file."""
        figure = figures.still(journey.drawn, journey.way, (), theme or "light", shape)
        return cls(figure, journey.verdict, not theme)

    def save(self, path: str | os.PathLike[str], scale: float = 1.5) -> None:
        """Write it as a .png (`scale` pixels to a CSS pixel), .svg or .pdf file. ValueError for another ending."""
        whole.write(path, drawn.data(self.figure, Path(path).suffix[1:], scale))

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        width, height = drawn.size(self.figure)
        kind, data = drawn.shown(self.figure)
        page = {"text/html": drawn.following(self.figure, self.words)} if self.follows else {}
        return ({**page, kind: data, "text/plain": self.words},
                {kind: {"width": width, "height": height, "alt": self.words}})


@dataclass(frozen=True)
class Journey:
    """What became of one interrupt.

    verdict: in a few words. sentences: its way. checks: those of the remapping unit, none where no unit took part.
    reached: the vCPUs that accepted it. refused: nothing was sent, since the guest's kernel knew better.
    """

    drawn: Scene
    verdict: str
    sentences: tuple[str, ...]
    checks: tuple[CheckRow, ...] = ()
    way: Token | None = None
    reached: tuple[int, ...] = ()
    refused: bool = False

    def picture(self, theme: str = "", shape: str = "wide") -> Picture:
        """The still with the way lit; shape as `figures.still` has it. theme: "light" or "dark"; "": the page's."""
        return Picture.of(self, theme, shape)

    def told(self) -> Told:
        """The way in sentences."""
        return Told(self.sentences)

    def why(self) -> Table:
        """The why-panel: every check in order, what it looked at, how it came out."""
        rows = [(_MARKS.get(row.outcome, "not reached"), row.name, _values(row), row.sentence, row.section)
                for row in self.checks]
        ends = [number for number, row in enumerate(self.checks) if row.outcome in (FAILED, DELIVERED)]
        caption = self.verdict if rows else f"{self.verdict}. No remapping unit took part: nothing was checked."
        return Table(("outcome", "check", "looked at", "stops here when", "section"), rows, caption, ends)


def _values(row: CheckRow) -> str:
    return "  ".join(f"{each.name}={each.value:#x}" for each in row.operands if each.value is not None)


class Trial:
    """A domain, built from its files and booted. `domain`, `guest` and `log` (of the boot) are there to look at."""

    def __init__(self, config: str | os.PathLike[str], host: str | os.PathLike[str] | None = None,
                 base: Profile | None = None, link: Link | None = None, **options: Any) -> None:
        """config: an xl.cfg; host: text of lspci -vvv. options: of the profile, e.g. apic_id_step=1.

        link: the vIOMMUs, where they stand for units of the host; kept as `link`. Raises ConfigError or LspciError with
        line and column for a mistake in a file.
        """
        found = lspci.load(host) if host is not None else None
        wanted = (base or profile("spec")).with_options(**options)
        self.link = link
        self._files, self._base = (config, host), wanted
        self.domain = build(xl.load(config, wanted.options.interface), found, wanted, wanted.options.apic_id_step, link)
        self.guest = Guest(self._issue, self.domain.platform)
        self.log = self.guest.boot()

    def reboot(self, dmar: bytes) -> list[str]:
        """Boot the guest again, with another DMAR table than the toolstack's; its log."""
        self._issue(commands.RamWrite(DMAR_AT, dmar))
        self.guest = Guest(self._issue, replace(self.domain.platform, dmar=DMAR_AT))
        self.log = self.guest.boot()
        return self.log

    @property
    def machine(self) -> Machine:
        """The machine, to look at."""
        return self.domain.machine

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices whose interrupts the guest has set up."""
        return tuple(device for device in self.domain.devices if self.guest.sources.get(device.bdf))

    def _issue(self, command: commands.Command) -> list[Event]:
        return step(self.domain.machine, command)

    @property
    def highest(self) -> int:
        """The highest vCPU to which the guest's kernel directs a device's interrupt."""
        return max(vcpu for vcpu in range(self.machine.vcpus) if not self.guest.ways.refusal(vcpu))

    def source(self, device: str | int, message: int = 0) -> Source:
        """An interrupt as the guest has set it up. ValueError when there is no such device or message."""
        bdf = parse_bdf(device) if isinstance(device, str) else device
        sources = self.guest.sources.get(bdf, [])
        if not 0 <= message < len(sources):
            raise ValueError(f"message is {message}; the limit for device {device} is {len(sources) - 1}")
        return sources[message]

    def send(self, device: str | int, message: int = 0, vcpu: int = 0, vector: int = -1) -> Journey:
        """Direct a message to a vCPU as the guest's kernel does, then let the device send it.

        vector: the one to have there, if it is free; -1 for the lowest free one, as Linux takes it.
        """
        source = self.source(device, message)
        bdf = parse_bdf(device) if isinstance(device, str) else device
        refusal = self.guest.affinity(source, vcpu, vector)
        if refusal:
            said = f"The guest's kernel does not direct it to vCPU {vcpu}: {refusal}.", "Nothing was sent."
            return Journey(self._scene(), f"refused by the kernel: {refusal}", said, refused=True)
        return self._go(commands.Intx(bdf, 1) if source.kind == "pin" else commands.Signal(bdf, source.number))

    def live(self, device: str | int, message: int = 0, vcpu: int = 0, vector: int = -1) -> Any:
        """The live map of a domain of the same files, booted, with this one interrupt lit; a still without a kernel.

        ValueError as `send`, and when the guest's kernel does not direct it there.
        """
        source = self.source(device, message)
        config, host = self._files
        lab = Lab.from_config(config, self._base, host)
        lab.boot()
        if lab.kernel.guest is None:
            raise ValueError("the guest did not boot")
        refused = lab.kernel.affinity(lab.kernel.guest.sources[source.bdf][message], vcpu, vector)
        if refused:
            raise ValueError(f"the guest's kernel does not direct it to vCPU {vcpu}: {refused}")
        lab.fire(source.bdf, source.number)
        view = lab.map
        view.add_class("vsim-short")
        lab.selection.serial = lab.machine.serials
        return view

    def raw(self, device: str | int, address: int, data: int) -> Journey:
        """A device writes a message of anybody's making: 64-bit address, 32-bit data."""
        return self._go(commands.Msi(parse_bdf(device) if isinstance(device, str) else device, address, data))

    def ipi(self, sender: int, vcpu: int, vector: int = 0x41) -> Journey:
        """One vCPU interrupts another by its x2APIC ICR, whose destination has 32 bits."""
        target = self.machine.apic_id[vcpu]
        return self._go(commands.Msr(sender, APIC_MSR["ICR"], ICR.make(dest=target, vector=vector, level=1)))

    def entry(self, device: str | int, message: int, text: str, **changes: int) -> Journey:
        """Send a message through another entry than its own, which is put back afterwards.

        text: the entry, as IRTE.text writes it; changes: fields to set otherwise. ValueError for a mistake in them,
        or when the message has no entry.
        """
        source = self.source(device, message)
        if source.index < 0:
            raise ValueError(f"message {message} of device {device} has no entry: there is no remapping")
        entry = IRTE.make(**{**IRTE.split(IRTE.parse(text)), **changes})
        self.guest.driver(source).change(source.index, entry)
        journey = self._go(commands.Signal(source.bdf, source.number))
        self.guest.driver(source).change(source.index, source.entry)
        return journey

    def _scene(self) -> Scene:
        return scene(self.machine, self.domain.config.name)

    def _go(self, command: commands.Command) -> Journey:
        before = self.machine.copy()
        events = self._issue(command)
        self.guest.take(events)
        return journey_of(events, before, self._scene())


def journey_of(events: Sequence[Event], before: Machine, drawn: Scene) -> Journey:
    """What became of the first interrupt among the events of a command; before: the machine that it met."""
    serial = next(event.serial for event in events if event.serial)
    told = explain(events, before, serial)
    tokens = list(fold(drawn, [event for event in events if event.serial == serial]))
    return Journey(drawn, told.verdict, told.sentences, told.checks, tokens[0] if tokens else None,
                   _reached(drawn, tokens))


def _reached(drawn: Scene, tokens: list[Token]) -> tuple[int, ...]:
    """The vCPUs that took an interrupt, not those that took the fault event which it set off."""
    first = Places(drawn).vlapic
    return tuple(token.dst - first for token in tokens if token.dst != NOBODY and token.src == tokens[0].src)
