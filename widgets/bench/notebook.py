"""What the bench costs in a real JupyterLab: kernel, page, and the messages between them.

    bench_lab.measure(seconds=20)

Two notebooks are opened in headless Chromium: one with 288 vCPUs for the first picture, one with 1,024 for all the
rest. There a storm of 1,000 interrupts a second runs while each tab is in front for its share of the time, and memory
is compared before and after. Shares of a core are the kernel's own processor time: other work counts little.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from widgets.bench.browser import ARGUMENTS, chromium
from widgets.bench.server import ANSWER, Notebook, Server

RATE = 1000
"""Interrupts a second of the storm."""
SMALL, LARGE = 288, 1024
"""vCPUs of the two notebooks."""
SECONDS, CLICKS, PICTURES = 180.0, 21, 5
"""The normal run: length of the storm, clicks on "fire", and how often the bench is opened."""
SETTLE = 1.0
"""Seconds after a tab came to the front that are not counted."""

_CELLS = ("from widgets.bench.browser import machine\nfrom widgets.lab import Lab\n"
          "lab = Lab(machine({}), title='bench')\nlab.boot()\nlab.fire(0x300)", "lab")
_NOW = "[__import__('time').process_time(), lab.machine.serials]"
_MEMORY = "__import__('gc').collect() and 0 or __import__('psutil').Process().memory_info().rss"

# Runs the cell; milliseconds until a map that was not there before has painted on a canvas with an area.
_PICTURE = """(place) => new Promise((done) => {
  const known = new Set(document.querySelectorAll(".vsim-map")), begun = performance.now();
  const look = () => {
    const fresh = [...document.querySelectorAll(".vsim-map")].find((each) => !known.has(each));
    const canvas = fresh?.querySelector("canvas");
    if (canvas?.width && canvas.height && fresh.parentElement.vsim?.stats.painted) done(performance.now() - begun);
    else requestAnimationFrame(look);
  };
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = place;
  window.jupyterapp.commands.execute("notebook:run-cell");
  look();
})"""
# Presses a button; milliseconds until the frame is done that changed a pixel of the map.
_CLICK = """(name) => new Promise((done) => {
  const root = document.querySelector(".vsim-map"), view = root.parentElement.vsim, draw = view.draw;
  const canvases = [...root.querySelectorAll(".vsim-stage canvas")].filter((each) => each.width && each.height);
  const pixels = () => canvases.map((each) => new Uint32Array(
    each.getContext("2d").getImageData(0, 0, each.width, each.height).data.buffer));
  const before = pixels();
  const button = [...document.querySelectorAll("button")].find((each) => each.textContent.trim() === name);
  const begun = performance.now();
  view.draw = (...given) => {
    draw.apply(view, given);
    const now = new MessageChannel();
    now.port1.onmessage = () => {
      const at = performance.now();
      if (!pixels().some((each, n) => each.some((value, place) => value !== before[n][place]))) return;
      delete view.draw;
      done(at - begun);
    };
    now.port2.postMessage(0);
  };
  button.click();
})"""
# Flips a bit of the entry that is open; milliseconds until the frame that shows another forecast.
_FLIP = """(bit) => new Promise((done) => {
  const panel = document.querySelector(".vsim-edit"), told = () => panel.querySelector(".vsim-forecast")?.textContent;
  const before = told(), begun = performance.now();
  const look = () => {
    if (told() === before) setTimeout(look, 1);
    else requestAnimationFrame(() => done(performance.now() - begun));
  };
  panel.querySelector(`button[data-bit="${bit}"]`).click();
  look();
})"""
FORETOLD = '() => document.querySelector(".vsim-edit .vsim-forecast")'
"""Whether the editor of an entry says what the unit would do."""
_BIT, _ABSENT = 33, 60_000
"""The bit that is flipped, one of an entry's destination; and an entry that is not present."""
_FAULT = f"""len(lab.issue(__import__('vsim.state.commands', fromlist=['Msi']).Msi(0x300, *__import__(
  'vsim.layouts.formats', fromlist=['remap_message']).remap_message({_ABSENT}))) + lab.fire(0x300))"""
_CALM = '() => !document.querySelector(".vsim-map").parentElement.vsim.player.moving'
TABS = ".jupyter-widget-tab > .lm-TabBar .lm-TabBar-tab"
"""The tabs of a bench, as CSS has them."""


def measure(seconds: float = SECONDS, clicks: int = CLICKS, pictures: int = PICTURES,
            tell: Callable[[str], None] = lambda what: None) -> dict[str, Any]:
    """The figures by name. seconds: length of the storm; tell: is called with what is measured next.

    RuntimeError when there is no Chromium, or when the server, a kernel or a cell fails. Needs playwright.
    """
    from playwright.sync_api import sync_playwright

    executable = chromium()
    if executable is None:
        raise RuntimeError("no Chromium found: install Debian's package chromium")
    tell("JupyterLab")
    with tempfile.TemporaryDirectory(prefix="vsim-bench-") as folder, sync_playwright() as p:
        root = Path(folder, "notebooks")
        root.mkdir()
        browser = p.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            with Server(Path(folder), root) as server:
                tell(f"the first picture, {SMALL} vCPUs")
                with Notebook(server, browser, "picture.ipynb", [each.format(SMALL) for each in _CELLS]) as opened:
                    out = first_picture(opened, pictures)
                tell(f"{LARGE} vCPUs: clicks")
                with Notebook(server, browser, "storm.ipynb", [each.format(LARGE) for each in _CELLS]) as opened:
                    opened.run(0)
                    opened.page.evaluate(_PICTURE, 1)
                    out |= clicked(opened, clicks) | foretold(opened, clicks) | jumped(opened, clicks)
                    tell(f"a storm of {RATE:,} a second for {seconds:g} s")
                    out |= stormed(opened, seconds)
        finally:
            browser.close()
    return out


def first_picture(opened: Notebook, pictures: int) -> dict[str, Any]:
    """Seconds from running the cell `lab` to the map's first paint: the first time, and the median of the next."""
    opened.run(0)
    cold, *warm = (opened.page.evaluate(_PICTURE, 1) / 1000 for _ in range(1 + pictures))
    return {"first_picture_s": round(median(warm), 3), "first_picture_cold_s": round(cold, 3)}


def clicked(opened: Notebook, clicks: int) -> dict[str, Any]:
    """Milliseconds from a click on "fire" to the first changed pixel, nothing else going on."""
    spans = []
    for _ in range(clicks):
        opened.page.wait_for_function(_CALM)
        spans.append(opened.page.evaluate(_CLICK, "fire"))
    return {"click_ms_median": round(median(spans), 1), "click_ms_max": round(max(spans), 1)}


def foretold(opened: Notebook, flips: int) -> dict[str, Any]:
    """Milliseconds from a bit that is flipped in the editor of an entry to the forecast that follows."""
    opened.page.locator(TABS).filter(has_text="IRT").click()
    opened.page.wait_for_function(FORETOLD)
    opened.page.wait_for_timeout(1000 * SETTLE)
    spans = [opened.page.evaluate(_FLIP, _BIT) for _ in range(flips + 1 - flips % 2)]
    opened.page.get_by_role("button", name="drop changes", exact=True).click()
    opened.page.locator(TABS).first.click()
    return {"forecast_ms_median": round(median(spans), 1), "forecast_ms_max": round(max(spans), 1)}


def jumped(opened: Notebook, jumps: int) -> dict[str, Any]:
    """Milliseconds from a click on "◀ fault" to the first changed pixel of the map."""
    opened.ask(_FAULT)
    spans = []
    for _ in range(jumps):
        opened.ask("lab.goto(len(lab.history))")
        opened.page.wait_for_timeout(1000 * SETTLE / 2)
        opened.page.wait_for_function(_CALM)
        spans.append(opened.page.evaluate(_CLICK, "◀ fault"))
    opened.ask("lab.goto(len(lab.history))")
    return {"fault_ms_median": round(median(spans), 1), "fault_ms_max": round(max(spans), 1)}


def stormed(opened: Notebook, seconds: float) -> dict[str, Any]:
    """A storm with each tab in front for its share of `seconds`; the largest share of a core is `kernel_cpu`."""
    tabs = opened.page.locator(TABS)
    names = tabs.all_inner_texts()
    for place in range(len(names)):  # each is made when it is first opened
        tabs.nth(place).click()
        opened.page.wait_for_timeout(1000 * SETTLE)
    page, kernel = heap(opened), opened.ask(_MEMORY)
    opened.ask(f"bool(lab.storm({RATE}, {seconds + 3000}))")
    shares, sent, received = {}, 0, 0
    for place, name in enumerate(names):
        tabs.nth(place).click()
        share, number, size = streamed(opened, max(0.5, seconds / len(names) - SETTLE))
        shares[name], sent, received = share, sent + number, received + size
    opened.ask("[each.stop() for each in tuple(lab.storms)]")
    opened.page.wait_for_function(_CALM)
    after = opened.ask(_MEMORY)
    return {"kernel_cpu": max(shares.values()), "kernel_cpu_by_tab": shares,
            "bytes_per_1000": round(1000 * received / max(1, sent)), "kernel_rss_mb": _mb(after),
            "growth_mb": {"page": _mb(heap(opened) - page), "kernel": _mb(after - kernel)}}


def streamed(opened: Notebook, seconds: float) -> tuple[float, int, int]:
    """While a storm goes on: share of a core, interrupts, and bytes to the page.

    The share is of the time that the storm's interrupts take at `RATE`: a busy computer stretches the storm, and where
    nothing has come in that time, it is waited for. RuntimeError when nothing comes at all.
    """
    opened.page.wait_for_timeout(1000 * SETTLE)
    (cpu, sent), size, end = opened.ask(_NOW), opened.received, time.monotonic() + seconds
    opened.page.wait_for_timeout(1000 * (end - time.monotonic()))
    (later, number), received = opened.ask(_NOW), opened.received
    while number == sent or received == size:
        if time.monotonic() > end + ANSWER:
            raise RuntimeError(f"no interrupt of the storm was seen within {ANSWER:g} s")
        opened.page.wait_for_timeout(100)
        (later, number), received = opened.ask(_NOW), opened.received
    return round((later - cpu) * RATE / max(1, number - sent), 4), number - sent, received - size


def heap(opened: Notebook) -> int:
    """Bytes that the page's scripts hold when all rubbish is collected: heap, buffers, and what the host adds."""
    session = opened.page.context.new_cdp_session(opened.page)
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")
    session.detach()
    return int(sum(used.get(name, 0) for name in ("usedSize", "embedderHeapUsedSize", "backingStorageSize")))


def _mb(size: int) -> float:
    return round(size / 2**20, 1)
