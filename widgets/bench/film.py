"""`vsim bench --film FILE`: the live bench in a JupyterLab of its own, filmed while somebody uses it.

What is done is a table of scenes, always the same and in the same order. While it is filmed the map's time is the
film's, not the computer's: each picture moves its animation on by as much as the film does, and the storm sends its
next slice when the film has gone on by that. A slow computer takes longer and films the same.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from widgets.bench.browser import ARGUMENTS, chromium
from widgets.bench.notebook import FORETOLD, TABS
from widgets.bench.server import PACKAGES, Notebook, Server
from widgets.lab.storms import SLICE
from widgets.stills import film_file

FPS = 10
VIEWPORT = {"width": 1240, "height": 1400}
"""The page in pixels: wide enough for the bench in two columns, and high enough that none of it is scrolled away."""
CAPTION, POINTER, PATIENCE = 34, 4, 120_000
"""Height of the words above the bench in pixels; pictures that the pointer's way to a control takes; milliseconds after
which a control that is not there is missed."""
COLOURS = 255
"""Of a GIF, beside the one that stands for none."""
NIC, MESSAGE, VCPU = "00:05.0", 40, 287


class Scene(NamedTuple):
    """A part of the film: its words, what is done (an action, and what with), and how long it is watched after."""

    words: str
    acts: tuple[tuple[str, str], ...]
    seconds: float


SCENES = (
    Scene("A guest with 288 vCPUs, its devices and its virtual IOMMU.", (), 1.4),
    Scene(f"Its network card sends message {MESSAGE}.", (("choose", "0.5"), ("press", "fire")), 2.6),
    Scene(f"The message names an entry of the table. The entry names vCPU {VCPU}, which takes it.", (), 1.4),
    Scene("Now the entry is no longer present, and the card sends again.",
          (("ask", "edit.write(p=0)"), ("press", "fire")), 2.0),
    Scene("Blocked at the table. A fault record says who it was.", (), 1.8),
    Scene("A storm: all devices send, 400 times a second.",
          (("choose", "1"), ("press", "1,000/s, 2 s ▾"), ("fill", "per second=400"), ("fill", "for seconds=3"),
           ("press", "400/s, 3 s ▾"), ("press", "storm")), 4.2),
    Scene("The darker a square, the more its vCPU has taken. Every step can be undone.", (), 2.4),
)

# The storm's next slice is sent when `pace` gets something, not when a clock says so.
_SETTING = """import asyncio, types
from widgets.lab import Lab, storms
from widgets.lesson.edit import Edit
pace = asyncio.Queue()
storms.asyncio = types.SimpleNamespace(get_running_loop=asyncio.get_running_loop, sleep=lambda _: pace.get())
lab = Lab.from_config({config!r}, lspci={lspci!r})
lab.boot()
edit = Edit(lab, {nic!r}, {message})
lab.kernel.affinity(edit.source, {vcpu})
lab.selection.irte = edit.index

def views(*kinds):
    return [each.__self__ for each in lab.observers if not kinds or type(each.__self__).__name__ in kinds]

def waiting(*kinds):
    return any(getattr(each, "_timer", None) for each in views(*kinds))

def echo(view, content, buffers):
    if content["kind"] == "echo":
        view.send(content)"""
_PLACE = f"[f.bdf for f in lab.machine.bus.functions if not f.bridge].index(lab.device({NIC!r}).bdf)"

# From here on the page's animations move when `vsimForth` is called; over the bench there are words and a pointer.
_DIRECT = """([top, left, width, height]) => {
  let now = performance.now(), waiting = [];
  window.requestAnimationFrame = (call) => waiting.push(call);
  window.cancelAnimationFrame = () => {};
  window.vsimForth = (ms) => { now += ms; const due = waiting; waiting = []; due.forEach((call) => call(now)); };
  const over = (text, style) => document.body.appendChild(Object.assign(document.createElement("div"), { id: text,
    style: "position:fixed;z-index:9999;pointer-events:none;" + style }));
  over("film-words", `left:${left}px;top:${top}px;width:${width}px;height:${height}px;background:#fff;color:#111;` +
    `font:600 16px/${height}px sans-serif;padding-left:10px;box-sizing:border-box`);
  over("film-pointer", "left:0;top:0;width:16px;height:22px").innerHTML =
    '<svg viewBox="0 0 16 22"><path d="M1 1V18L5 14 8 21 11 20 8 13H14Z" fill="#111" stroke="#fff"/></svg>';
}"""
_FRAME = """([words, x, y]) => { document.getElementById("film-words").textContent = words;
  document.getElementById("film-pointer").style.transform = `translate(${x}px,${y}px)`; }"""
# Edges of the bench: from its first control to the end of its columns.
_BOX = """() => { const bench = document.querySelector(".vsim-bench").getBoundingClientRect();
  return [bench.top, bench.left, bench.right, bench.bottom].map(Math.round); }"""
# A word to the kernel, whose answer comes behind all that was said before it, in either direction.
_ECHO = """() => { const { model } = document.querySelector(".vsim-map").parentElement.vsim;
  const number = window.vsimSaid = (window.vsimSaid ?? 0) + 1, heard = (content) => {
    if (content.kind === "echo" && content.number === number) model.off("msg:custom", heard), window.vsimHeard = number;
  }; model.on("msg:custom", heard), model.send({ kind: "echo", number }); }"""
_PAINTED = '() => document.querySelector(".vsim-map")?.parentElement.vsim?.stats.painted'


class Recording:
    """What was filmed, as `film_file.write` takes it. shots: the pictures as PNG, in order."""

    def __init__(self, fps: int) -> None:
        self.fps = fps
        self.shots: list[bytes] = []

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return next(self.frames()).size

    def frames(self) -> Iterator[Image.Image]:
        """Every picture, in order."""
        for each in self.shots:
            yield Image.open(io.BytesIO(each)).convert("RGB")

    def palette(self) -> bytes:
        """The colours that most pixels of some picture have."""
        counts: dict[tuple[int, ...], int] = {}
        for frame in self.frames():
            for number, colour in frame.getcolors(frame.width * frame.height):
                counts[colour] = max(counts.get(colour, 0), number)
        often = sorted(counts, key=lambda colour: (-counts[colour], colour))[:COLOURS]
        return b"".join(map(bytes, often))


class Camera:
    """Films a notebook whose second cell shows the bench; its clock goes on by a picture with each `shoot`."""

    def __init__(self, opened: Notebook) -> None:
        self.opened, self.page = opened, opened.page
        self.recording, self.words = Recording(FPS), ""
        top, left, right, bottom = self.page.evaluate(_BOX)
        self.clip = {"x": left, "y": top - CAPTION, "width": right - left, "height": bottom - top + CAPTION}
        self.pointer = (right - 40.0, float(bottom - 60))
        self.page.evaluate(_DIRECT, [top - CAPTION, left, right - left, CAPTION])

    def shoot(self, seconds: float) -> None:
        """Film for so long."""
        for _ in range(round(seconds * FPS)):
            self._storm_on()
            self.page.evaluate("(ms) => window.vsimForth(ms)", 1000 / FPS)
            self.page.evaluate(_FRAME, [self.words, *self.pointer])
            self.recording.shots.append(self.page.screenshot(clip=self.clip))

    def _storm_on(self) -> None:
        """Let a storm send what belongs to one picture, and the page get it."""
        if self.opened.ask("len(lab.storms)"):
            for _ in range(max(1, round(1 / FPS / SLICE))):
                self.opened.ask("pace.put_nowait(None)")
            self._until("(pace.empty() or not lab.storms) and not waiting('Map')")
            self._heard()

    # --- what can be done -------------------------------------------------------------------------------------

    def press(self, name: str) -> None:
        """Go to a button and press it."""
        button = self.page.get_by_role("button", name=name, exact=True).first
        self._go_to(button)
        button.click()
        self._settled()

    def choose(self, speed: str) -> None:
        """Choose the speed of the animation."""
        self.page.get_by_label("speed", exact=True).first.select_option(f"{speed}x")

    def fill(self, what: str) -> None:
        """Write a value into the field with that label: "label=value"."""
        label, _, value = what.partition("=")
        field = self.page.get_by_label(label, exact=True).first
        field.fill(value)
        field.blur()
        self._settled()

    def ask(self, code: str) -> None:
        """Do something in the kernel, as a cell would."""
        self.opened.ask(code)
        self._settled()

    def _go_to(self, target: Any) -> None:
        box, (x, y) = target.bounding_box(), self.pointer
        to_x, to_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for step in range(1, POINTER + 1):
            self.pointer = x + (to_x - x) * step / POINTER, y + (to_y - y) * step / POINTER
            self.shoot(1 / FPS)

    def _settled(self) -> None:
        """The kernel has answered, and the page has what it sent."""
        self._heard()
        self._until("lab.storms or not waiting()")
        self._heard()

    def _until(self, condition: str) -> None:
        """Wait until an expression is true in the kernel."""
        end = time.monotonic() + PATIENCE / 1000
        while not self.opened.ask(f"bool({condition})"):
            if time.monotonic() > end:
                raise RuntimeError(f"never true: {condition}")
            self.page.wait_for_timeout(10)

    def _heard(self) -> None:
        """Wait until page and kernel have heard each other. The page's frames stand still: it looks every 10 ms."""
        self.page.evaluate(_ECHO)
        self.page.wait_for_function("() => window.vsimHeard === window.vsimSaid", polling=10)


def record(tell: Callable[[str], None] = lambda what: None, scenes: tuple[Scene, ...] = SCENES) -> Recording:
    """Film these scenes. tell: is called with what is filmed next.

    RuntimeError when there is no Chromium, or when the server, the kernel or a cell fails. Needs playwright.
    """
    from playwright.sync_api import sync_playwright

    executable = chromium()
    if executable is None:
        raise RuntimeError("no Chromium found: install Debian's package chromium")
    with tempfile.TemporaryDirectory(prefix="vsim-film-") as folder, sync_playwright() as p:
        root = Path(folder, "notebooks")
        root.mkdir()
        browser = p.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            with (Server(Path(folder), root) as server,
                  Notebook(server, browser, "film.ipynb", [_setting(), "lab"]) as opened):
                return _filmed(opened, scenes, tell)
        finally:
            browser.close()


def _setting() -> str:
    folder = next(each for each in (PACKAGES / "notebooks", PACKAGES / "widgets" / "_notebooks") if each.is_dir())
    return _SETTING.format(config=str(folder / "data" / "big.cfg"), lspci=str(folder / "data" / "big.lspci"), nic=NIC,
                           message=MESSAGE, vcpu=VCPU)


def _filmed(opened: Notebook, scenes: tuple[Scene, ...], tell: Callable[[str], None]) -> Recording:
    opened.page.set_viewport_size(VIEWPORT)
    for place in range(2):
        opened.run(place)
    opened.page.wait_for_function(_PAINTED)
    opened.page.set_default_timeout(PATIENCE)
    opened.ask("[each.on_msg(echo) for each in views('Map')]")
    opened.page.add_style_tag(content=".vsim-strip{min-height:2.9em}")  # of one line or two: nothing below moves
    opened.page.locator(TABS).filter(has_text="IRT").click()    # the entry that the message names
    opened.page.wait_for_function(FORETOLD)
    device = opened.page.get_by_label("device", exact=True).first
    device.select_option(index=opened.ask(_PLACE))
    camera = Camera(opened)
    camera.fill(f"message={MESSAGE}")
    for scene in scenes:
        tell(scene.words)
        camera.words = scene.words
        for act, what in scene.acts:
            getattr(camera, act)(what)
        camera.shoot(scene.seconds)
    return camera.recording


def write(path: str | os.PathLike[str], tell: Callable[[str], None] = lambda what: None) -> None:
    """Film it into a file. ValueError, before anything is begun, for a name that is not a film's (`film_file.kind`)."""
    film_file.kind(path)
    film_file.write(record(tell), path)
