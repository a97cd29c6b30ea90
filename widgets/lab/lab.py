"""`Lab`: one machine with its history, and everything that looks at it.

    lab = Lab.from_config("host.cfg")
    lab.boot()
    lab.fire("03:00.0", 0)
    lab

A Lab owns a `History` and its cursor. Panels observe it, send it commands, and decide nothing; several views of one
Lab stay in step, and several Labs know nothing of one another. A *gesture* is what a person does at once: one command,
or several that belong together (write an entry and invalidate it; boot; a storm). It is undone and redone as one.

JupyterLab runs callbacks of widgets on more than one thread. `Lab.lock` is re-entrant and held during every change and
while observers are told of it, so that all of them see all changes, in one order.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from traitlets import HasTraits, Int

from vsim.domain import builder as domain
from vsim.domain.posting import Host
from vsim.findings.assumed import Assumed
from vsim.findings.catalogue import Examined, examine
from vsim.findings.dumps import dump
from vsim.findings.paste import gather
from vsim.findings.rebuild import Rebuilt, rebuild
from vsim.findings.subject import Subject
from vsim.guest.program import Program
from vsim.history import link, session
from vsim.history.log import History
from vsim.layouts.bits import bdf_text, parse_bdf
from vsim.layouts.given import a, whole
from vsim.readers import lspci, xl
from vsim.replay.rerun import Outcome
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.commands import Command
from vsim.state.pci import Function
from vsim.state.profile import Profile, profile
from vsim.state.trace import Event
from widgets.lab import branches, cells, deeds, views
from widgets.lab.attached import QEMU, Attached
from widgets.lab.branches import Branch
from widgets.lab.gestures import Deed, Gesture, Gestures, Phase
from widgets.lab.kernel import Book, Kernel
from widgets.lab.recorded import open_recording
from widgets.lab.running import Running
from widgets.lab.storms import Storm

Observer = Callable[[str, list[Event], Machine], None]
"""Called after a change with its kind ("issued", "moved", or "reopened" when another history took the place of the
former), its events, and the machine as it is now."""


class Selection(HasTraits):
    """What is looked at, shared by all views of a Lab; -1 (serial: 0) stands for nothing."""

    device = Int(-1, min=-1, max=0xFFFF, help="requester id of a device")
    unit = Int(0, min=0, max=255, help="number of a vIOMMU")
    irte = Int(-1, min=-1, max=0xFFFF, help="index in the remapping table")
    vlapic = Int(-1, min=-1, max=4095, help="number of a vCPU")
    serial = Int(0, min=0, help="number of an interrupt")
    seen = Int(-1, min=-1, help="events of the last command that have been told; -1 for all of them")


class Dumped(NamedTuple):
    """What a Lab was made from: what was read and found, the machine that follows, the sources by name."""

    examined: Examined
    rebuilt: Rebuilt
    sources: tuple[tuple[str, bytes | str], ...] = ()


class Lab:
    """A machine on the bench. `machine` is copied: the Lab's own changes only by commands and by moving the cursor.

    title: the domain's name. notes: what was assumed when it was built; assumed: the same by element.
    kernel: the small guest on it.
    """

    def __init__(self, machine: Machine | None = None, *, history: History | None = None, title: str = "",
                 notes: tuple[str, ...] = ()) -> None:
        """ValueError unless exactly one of machine and history is given."""
        if machine is None:
            if history is None:
                raise ValueError("a Lab is made of a machine or of a history; give one of them")
        elif history is not None:
            raise ValueError("a Lab is made of a machine or of a history; both are given")
        else:
            history = History(machine)
        self.lock = threading.RLock()
        self.history, self.title, self.notes = history, title or "unnamed", notes
        self.selection = Selection()
        self.dumped: Dumped | None = None
        self.assumed = Assumed()
        self.attached: Attached | None = None
        self.recorded: Outcome | None = None
        self.last: list[Event] = []
        self.storms: list[Storm] = []
        self._gesture: list[Event] | None = None
        self._gestures = Gestures()
        self._branches: list[Branch] = []
        self._ahead: tuple[Gestures, tuple[Book, ...]] | None = None  # of the future, while a gesture may replace it
        self._observers: list[Observer] = []
        self._news: deque[tuple[str, list[Event]]] = deque()
        self._telling = False
        self.kernel = Kernel(self)
        views.prepare()
        cells.lose_nothing()

    @classmethod
    def from_config(cls, config: str | os.PathLike[str], profile: str | Profile = "spec",
                    lspci: str | os.PathLike[str] | None = None) -> Lab:
        """The domain of an xl.cfg, as built by the toolstack, which is its first gesture.

        config, lspci: a file's path, or the text itself (anything with a line break or a "="). Raises ConfigError or
        LspciError, with line and column, for a mistake in a text, and ValueError for an unknown profile.
        """
        base = _profile(profile)
        described = _read(config, partial(xl.load, grammar=base.options.interface),
                          partial(xl.parse, grammar=base.options.interface))
        built = domain.build(described, _read(lspci, *_HOST) if lspci is not None else None, base)
        made = built.machine
        lab = cls(Machine(made.profile, made.vcpus, made.ram.size, made.bus), title=built.config.name,
                  notes=built.notes)
        if built.commands:
            with lab.gesture(name=f"xl create {built.config.name}"):
                lab.issue(*built.commands)
        return lab

    @classmethod
    def host(cls, cpus: int = 4, vcpus: int = 2) -> Lab:
        """A host whose unit posts to vCPUs: the local APICs are those of its CPUs. ValueError: not 1 to 64 of each."""
        return cls(Host(cpus, vcpus).m, title="host")

    @classmethod
    def from_machine(cls, *sources: str | os.PathLike[str] | tuple[str, bytes | str]) -> Lab:
        """A machine as dumps and logs show it: files, folders, texts (anything with a line break), (name, content).

        What no text says is assumed, and marked at each element wherever it is shown (`assumed`, `notes`); `dumped` has
        what was read and found. Making it is its first gesture. PieceError for a file that cannot be read, ValueError
        when the texts show no machine.
        """
        found = tuple(gather(sources))
        examined = examine(found)
        rebuilt = rebuild(examined.picture)
        title = f"as dumped, {len(rebuilt.assumed)} assumed" if rebuilt.assumed else "as dumped"
        lab = cls(rebuilt.machine, title=title, notes=(*(f"assumed: {each}" for each in rebuilt.assumed),
                                                       *map(str, rebuilt.left)))
        lab.dumped, lab.assumed = Dumped(examined, rebuilt, found), rebuilt.assumed
        if rebuilt.commands:
            with lab.gesture(name="as dumped"):
                lab.issue(*rebuilt.commands)
        return lab

    @classmethod
    def from_recording(cls, path: str | os.PathLike[str]) -> Lab:
        """A recorded run of a real system, done again: each entry that it wrote is a gesture.

        `recorded` has what the comparison found, `phases` the parts of the run. RecordingError, with its line, for a
        file that is no recording.
        """
        lab, outcome = open_recording(cls, path)
        lab.recorded = outcome
        return lab  # type: ignore[no-any-return]

    # --- what it is -------------------------------------------------------------------------------------------

    @property
    def machine(self) -> Machine:
        """The machine at the cursor: to look at, never to change."""
        return self.history.machine

    @property
    def position(self) -> int:
        """How many commands have been done."""
        return self.history.position

    def __repr__(self) -> str:
        m = self.machine
        return (f"Lab({self.title!r}, profile {m.profile.name}, {m.vcpus} vCPUs, "
                f"command {self.position} of {len(self.history)})")

    def device(self, device: int | str) -> Function:
        """A function by requester id, by "bus:device.function", or by its name. ValueError when none is meant."""
        functions = self.machine.bus.functions
        if isinstance(device, str):
            named = [f for f in functions if f.name == device]
            if len(named) == 1:
                return named[0]
            if named:
                places = ", ".join(bdf_text(f.bdf) for f in named)
                raise ValueError(f"device {device[:40]!a} is the name of several: {places}")
            device = parse_bdf(device)
        place = self.machine.bus.place(whole("device", device, 0xFFFF))
        if place < 0:
            known = ", ".join(bdf_text(f.bdf) for f in functions[:8]) or "none"
            raise ValueError(f"no device {bdf_text(device & 0xFFFF)}; devices are {known}"
                             f"{', ...' if len(functions) > 8 else ''}")
        return functions[place]

    def dump(self, kind: str) -> str:
        """What a real machine's tool would print of this one: "ir_translation_struct", "/proc/interrupts", ...

        ValueError names the kinds (`vsim.findings.dumps.KINDS`), or says that no kernel runs that could print it.
        """
        with self.lock:
            history = self.history
            return dump(kind, Subject(history.machine, self.kernel.guest, history.first, history.commands,
                                            history.position))

    def attach(self, qemu: str = QEMU, stored: str | os.PathLike[str] | None = None) -> Attached:
        """Do everything on a real QEMU too, from power-on, and compare; `attached` has what was found.

        qemu: its path. stored: a run that was stored, in QEMU's place; CaseError for a file that is none.
        """
        a(str, "qemu", qemu)
        with self.lock:
            if self.attached is not None:
                self.attached.end()
            self.attached = Attached(self, qemu, stored)
            self._observers.insert(0, self.attached.changed)
            self._tell("moved", [])
            return self.attached

    def close(self) -> None:
        """End what belongs to the Lab and runs beside it: storms, and an attached QEMU, whose folder goes with it.

        What was found stays, and the Lab can go on alone. A kernel that ends or restarts ends them too.
        """
        with self.lock:
            for storm in tuple(self.storms):
                storm.stop()
            if self.attached is not None:
                self.attached.end()

    # --- changing it ------------------------------------------------------------------------------------------

    @contextmanager
    def gesture(self, since: int | None = None, name: str = "", deed: Deed = ()) -> Iterator[list[Event]]:
        """What is issued inside is one gesture: undone as one, told once. Yields the list that its events go to.

        since: the position at which the gesture began, when it goes on with what was done last. name: for people;
        deed: how to do it again (`vsim.history.link`). Inside another gesture it is a part of that one.
        """
        with self.lock:
            if self._gesture is not None:
                yield self._gesture
                return
            start, self._gesture = self.position, []
            self._ahead = (self._gestures.copy(), self.kernel.books) if start < len(self.history) else None
            try:
                yield self._gesture
            finally:
                events, self._gesture = self._gesture, None
                if self._ahead is not None and self.position == start:  # nothing came of it: the future is as it was
                    self.kernel.reopen(self._ahead[1])
                self._ahead = None
                if self.position != start:
                    self._gestures.add(Gesture(start if since is None else since, self.position, name, deed))
                    self._tell("issued", events)

    def gestures(self, start: int = 0, stop: int | None = None) -> Iterator[Gesture]:
        """The gestures that begin at a position start .. stop - 1, those that could be redone included, in order.

        ValueError for a position that there is not.
        """
        for name, position in (("start", start), ("stop", start if stop is None else stop)):
            whole(name, position, len(self.history))
        return self._gestures.all(self.history.commands, start, stop)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The parts of a recorded run, in order; those of which another future took a command are not among them."""
        return self._gestures.phases

    @phases.setter
    def phases(self, phases: Sequence[Phase]) -> None:
        a(Sequence, "phases", phases)  # type: ignore[type-abstract]
        for each in phases:
            a(Phase, "a phase", each)
        self._gestures.phases = tuple(phases)

    def gestures_around(self, position: int, most: int) -> list[Gesture]:
        """The gestures around a position, in order: `most` to each side at most, one that it is amidst included.

        ValueError for a position or a number that cannot be.
        """
        whole("position", position, len(self.history))
        whole("most", most, session.MAX_COMMANDS)
        return self._gestures.around(self.history.commands, position, most)

    def issue(self, command: Command, *more: Command, name: str = "") -> list[Event]:
        """Do one command, or several as one gesture; their events. ValueError for what is no command.

        name: of the gesture, for people; by default after the first command.
        """
        a(str, "name", name)
        for each in (command, *more):
            session.check(each)
        out: list[Event] = []
        with self.gesture(name=name) as events:
            for each in (command, *more):
                if self.position < len(self.history):
                    self._set_aside()
                done = self.history.issue(each)
                out += done
                events += done
        return out

    def boot(self, destination: str = "physical") -> list[str]:
        """Boot the small guest; the lines of its log. destination: "physical" or "cluster" (`vsim.guest.kernel`)."""
        return self.kernel.boot(destination)

    def run(self, program: Program | bytes, *numbers: int, vcpu: int = 0) -> Running:
        """Run x86-64 instructions on a vCPU until they wait for an interrupt or end; each access is a gesture.

        numbers: what the program gets in rdi, rsi, rdx, rcx, r8 and r9. `go()` of what comes back goes on with it. It
        is the only software then: the small guest, where it was booted, would take its interrupts first.
        NoEmulator without the extra `unicorn`; ValueError for a number, vCPU or program that cannot be.
        """
        with self.lock:
            return Running(self, program, numbers, vcpu)

    def fire(self, device: int | str, message: int = 0) -> list[Event]:
        """A device raises a message, or its pin when it has no messages; handlers of a booted guest run.

        ValueError for a device or a message that there is not.
        """
        function = self.device(device)
        count = function.msix_count or function.msi_count
        if type(message) is not int or not 0 <= message < max(1, count):
            raise ValueError(f"message is {message!r:.40}; {bdf_text(function.bdf)} has 0 to {max(1, count) - 1}")
        sent = commands.Signal(function.bdf, message) if count else commands.Intx(function.bdf, 1)
        name = f"fire {bdf_text(function.bdf)} {f'message {message}' if count else 'pin'}"
        deed = ("fire", function.bdf, message) if self.kernel.serving and not self.kernel.pausing else ()
        with self.gesture(name=name, deed=deed) as events:
            self.kernel.take(self.issue(sent))
        return events

    def storm(self, rate: int = 1000, seconds: float = 1.0, seed: int = 1) -> Storm:
        """All devices send, in an order that `seed` decides: one gesture of rate * seconds interrupts.

        Where an event loop runs (a notebook) it goes on in the background, in slices; else it is done at once.
        ValueError for a rate or length out of range, and when no device has a message switched on.
        """
        with self.lock:
            storm = Storm(self, rate, seconds, seed)
            self.storms.append(storm)
        storm.start()
        return storm

    def undo(self) -> None:
        """Take the last gesture back. ValueError when there is none."""
        with self.lock:
            here = self.position
            if not here:
                raise ValueError("nothing to undo: no command has been done")
            self.goto(self._gestures.before(here))

    def redo(self) -> None:
        """Do the next undone gesture again. ValueError when there is none."""
        with self.lock:
            here = self.position
            if here == len(self.history):
                raise ValueError("nothing to redo: every command has been done")
            self.goto(self._gestures.after(here))

    def goto(self, position: int) -> None:
        """Move the cursor to the state after that many commands. ValueError when there is no such position."""
        with self.lock:
            for storm in tuple(self.storms):
                storm.stop()
            self.history.goto(position)
            self.kernel.moved()
            self._tell("moved", [])

    # --- futures ----------------------------------------------------------------------------------------------

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Futures that others took the place of, the oldest first: `reopen` one of them."""
        return tuple(self._branches)

    def _set_aside(self) -> None:
        """Keep the future as a branch: a command is about to take its place."""
        here = self.position
        gestures, books = self._ahead or (self._gestures.copy(), self.kernel.books)
        self._keep(here, self.history.branch(), gestures, books)
        self._gestures.forget_after(here)
        self._ahead = None

    def _keep(self, at: int, history: History, gestures: Gestures, books: tuple[Book, ...]) -> None:
        self._branches = branches.parted(self._branches, at)
        self._branches.append(branches.of(at, history, gestures, books))
        del self._branches[:-branches.KEPT]

    def adopt(self, other: Lab, at: int) -> None:
        """Keep the line of another Lab as a branch, which has the same `at` first commands.

        ValueError when they differ before, or when as many branches are kept as can be.
        """
        a(Lab, "other", other)
        with self.lock, other.lock:
            same = self.history.shared(other.history)
            if type(at) is not int or not 0 <= at <= same:
                raise ValueError(f"at is {at!r:.40}; both histories have the same {same} first commands")
            if len(self._branches) == branches.KEPT:
                raise ValueError(f"{branches.KEPT} branches are kept; no more are")
            self._branches.append(branches.of(at, other.history.branch(), other._gestures.copy(),
                                              self.kernel.books_of(other.kernel)))
            self._tell("moved", [])

    def reopen(self, branch: Branch) -> None:
        """Go on with another future, at its end; the present one becomes a branch. ValueError for one not kept."""
        a(Branch, "branch", branch)
        with self.lock:
            kept = [each for each in self._branches if each is not branch]
            if len(kept) == len(self._branches):
                raise ValueError(f"branch {str(branch.name)[:60]!r} is none of those that this Lab keeps")
            for storm in tuple(self.storms):
                storm.stop()
            self._branches = kept
            if branch.at < len(self.history):
                self._keep(branch.at, self.history, self._gestures, self.kernel.books)
            self.history, self._gestures = branch.history, branch.gestures
            self.history.goto(len(self.history))
            self.kernel.reopen(branch.books)
            self.kernel.moved()
            self._tell("reopened", [])

    def branch(self) -> Lab:
        """An independent Lab with the same past and future."""
        with self.lock:
            other = Lab(history=self.history.branch(), title=self.title, notes=self.notes)
            other.dumped, other.assumed, other.recorded = self.dumped, self.assumed, self.recorded
            other._gestures = self._gestures.copy()
            other.kernel.copy_from(self.kernel)
            return other

    def save(self, place: str | os.PathLike[str] | IO[str] | IO[bytes]) -> None:
        """Write the session, a path or an open file: the machine that was made, all commands, and the cursor.

        It has what any reader of vsim needs, notes and what is assumed, and no more: no gestures, no branches, no
        guest; a link has them. ValueError when it is more than `load` takes.
        """
        with self.lock:
            self.history.save(place, deeds.said_of(self, "session"))

    @classmethod
    def load(cls, place: str | os.PathLike[str] | IO[str] | IO[bytes]) -> Lab:
        """The Lab of a saved session; its guest has to boot again before its handlers run. SessionError says what is
        wrong with a file, with line and column.
        """
        found = session.load(place)
        lab = cls(history=History.of(found), title=Path(place).stem if isinstance(place, (str, os.PathLike)) else "",
                  notes=found.said.notes)
        lab.assumed = Assumed.of_rows(found.said.assumed, found.said.names)
        return lab

    def link(self) -> str:
        """The exact state as a short text: machine, gestures, branches, cursor, selection, what is assumed.

        ValueError: too much for one. The texts of a machine made from dumps are not in it, and a note says so.
        """
        with self.lock:
            return link.text(deeds.link_of(self))

    @classmethod
    def from_link(cls, text: str) -> Lab:
        """The Lab of a link, at its cursor. LinkError says what is wrong with a text, with its column."""
        given = link.parse(text)
        lab = cls(given.machine, title=given.title, notes=given.notes)
        lab.assumed = Assumed.of_rows(given.assumed, given.names)
        deeds.do_again(lab, given)
        return lab

    # --- who is told ------------------------------------------------------------------------------------------

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Who is told of changes, in order."""
        return tuple(self._observers)

    def observe(self, callback: Observer) -> None:
        """Call `callback(kind, events, machine)` after every change, with the lock held."""
        with self.lock:
            self._observers.append(callback)

    def unobserve(self, callback: Observer) -> None:
        """Call it no more; one that was never called is no mistake."""
        with self.lock:
            if callback in self._observers:
                self._observers.remove(callback)

    def _tell(self, kind: str, events: list[Event]) -> None:
        """Tell every observer. A change that an observer makes is told after this one, to all."""
        self.last, self.selection.seen = events, -1
        self._news.append((kind, events))
        if self._telling:
            return
        self._telling, failures = True, list[Exception]()
        try:
            while self._news:
                failures += self._tell_all(*self._news.popleft())
        finally:
            self._telling = False
        if failures:
            raise failures[0]

    def _tell_all(self, kind: str, events: list[Event]) -> list[Exception]:
        failures = []
        for observer in self.observers:
            try:
                observer(kind, events, self.machine)
            except Exception as error:  # one view's mistake must not keep the others from the news
                failures.append(error)
        return failures

    # --- its views --------------------------------------------------------------------------------------------

    def view(self, name: str) -> Any:
        """A new view by name (`views.VIEWS`), a widget: one that another run of the same cell made is closed."""
        view = views.build(self, name)
        cells.remember(view, *cells.running_cell())
        return view

    def dock(self, name: str = "map") -> Any:
        """A new view in JupyterLab's side area, beside the notebook (extra `dock`); elsewhere the view itself.

        ValueError for a name that is no view's.
        """
        return views.find("dock")(self, name)

    def figure(self, theme: str = "light", shape: str = "wide") -> Any:
        """The map as a `matplotlib.figure.Figure`: theme "light" or "dark", shape "wide" or "tall".

        Where matplotlib is not installed, as in a browser's Python, it is a `widgets.stills.pen.Drawing`: an SVG.
        """
        return views.find("figure")(self, theme, shape)

    def animate(self, path: str | os.PathLike[str], seconds: float | None = None, *, last: int = 500, fps: int = 20,
                theme: str = "light", shape: str = "wide") -> Path:
        """A film of the last interrupts: a .gif, or an .mp4 where ffmpeg is installed; its path.

        last: how many interrupts, up to 10,000. seconds: its length, up to 60; by default what lets one follow them.
        theme, shape: as for `figure`. ValueError for a limit, another kind of file, or when nothing has been sent.
        """
        made: Path = views.find("animate")(self, path, last, seconds=seconds, fps=fps, theme=theme, shape=shape)
        return made

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """One file that replays the recorded events, without kernel and network; also written to a path."""
        live = views.build(self, "map")
        try:
            return str(live.to_html(path))
        finally:
            live.close()

    def __getattr__(self, name: str) -> Any:
        """`lab.map`, `lab.irt`, ...: a new view."""
        if name in views.VIEWS:
            return self.view(name)
        raise AttributeError(f"Lab has no {name!r}; views are {', '.join(views.VIEWS)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *views.VIEWS]

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The whole bench, with a still for readers without a kernel."""
        bundle: dict[str, Any] = self.view("bench")._repr_mimebundle_(**options)
        return bundle


def _profile(given: str | Profile) -> Profile:
    return given if isinstance(given, Profile) else profile(given)


_HOST = (lspci.load, lspci.parse)


def _read(given: str | os.PathLike[str], load: Callable[..., Any], parse: Callable[..., Any]) -> Any:
    """A file's meaning, or a text's: a text has a line break or a "="."""
    text = isinstance(given, str) and ("\n" in given or "=" in given)
    return parse(given) if text else load(given)
