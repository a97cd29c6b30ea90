"""How fast the live map is: frames painted by headless Chromium while tokens stream into a bare page.

`measure` gives the keys `fps` and `frame_ms_p95` of `vsim bench --browser`; what needs a JupyterLab is measured there.
"""

from __future__ import annotations

import json
import random
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

from vsim.devices import viommu
from vsim.machine import step
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from widgets.lab.chromium import ARGUMENTS, chromium
from widgets.map.page import to_html
from widgets.map.scene import Scene, scene
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token, pack

__all__ = ["ARGUMENTS", "CASES", "chromium", "measure", "stream"]

CASES = ((1024, 1000), (1024, 3000), (4096, 3000))
"""vLAPICs and interrupts a second."""
DEVICES = 32
PIECES = 10
"""Messages a second."""

# Feeds the messages of one second again and again, as a kernel would, and keeps the times between frames.
_FEED = """([messages, warm, seconds]) => new Promise((done) => {
  const { model, vsim } = document.getElementById("map");
  const buffers = messages.map((each) => new DataView(Uint8Array.from(atob(each), (x) => x.charCodeAt(0)).buffer));
  const empty = new DataView(new ArrayBuffer(0));
  let sent = 0;
  const timer = setInterval(() => model.receive({ kind: "tokens", clock: 0, records: [] },
    [buffers[sent++ % buffers.length], empty, empty, empty]), 1000 / messages.length);
  setTimeout(() => { vsim.stats.frames.length = 0; }, warm * 1000);
  setTimeout(() => { clearInterval(timer); done({ frames: [...vsim.stats.frames], merged: vsim.intake.merged }); },
    (warm + seconds) * 1000);
})"""


def measure(seconds: float = 5.0, warm: float = 2.0, cases: tuple[tuple[int, int], ...] = CASES) -> dict[str, Any]:
    """Frames a second and the 95th percentile of the time between frames, by "vLAPICs@rate".

    RuntimeError when there is no Chromium. Needs playwright (extra `test`).
    """
    from playwright.sync_api import sync_playwright

    executable = chromium()
    if executable is None:
        raise RuntimeError("no Chromium found: install Debian's package chromium")
    out: dict[str, Any] = {"fps": {}, "frame_ms_p95": {}, "merged": {}}
    with sync_playwright() as p, tempfile.TemporaryDirectory() as folder:
        browser = p.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        for vcpus, rate in cases:
            name = f"{vcpus}@{rate}"
            file = Path(folder, f"{vcpus}.html")
            here, messages = stream(vcpus, rate)
            file.write_text(to_html(here, [], replay=False), encoding="utf-8")
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.goto(file.as_uri())
            result = page.evaluate(_FEED, [messages, warm, seconds])
            page.close()
            gaps = sorted(result["frames"])
            out["fps"][name] = round(1000 * len(gaps) / sum(gaps), 1) if gaps else 0.0
            out["frame_ms_p95"][name] = round(gaps[int(len(gaps) * 0.95)], 1) if gaps else 0.0
            out["merged"][name] = result["merged"]
        browser.close()
    return out


def machine(vcpus: int) -> Machine:
    """What is measured: `DEVICES` with 8 messages each, the first at 03:00.0, and a unit."""
    functions = (Function(bdf=0x300 + 8 * n, name=f"dev{n}", msix_count=8, pin=1 + n % 4) for n in range(DEVICES))
    m = Machine(profile("spec"), vcpus=vcpus, bus=Bus(functions))
    step(m, commands.Domctl(viommu.create_op()))
    return m


def stream(vcpus: int, rate: int, seed: int = 1) -> tuple[Scene, list[str]]:
    """A scene, and the messages of one second: packed tokens of all outcomes, in base 64."""
    here = scene(machine(vcpus), "bench") | {"units": [[65536, 256, 256, 0]]}
    for name in ("wide", "tall"):
        here[name] = here[name] | {"tables": [(8, 32) if name == "wide" else (32, 8)]}
    random_, places = random.Random(seed), Places(here)
    each = rate // PIECES
    return here, [b64encode(pack(_token(random_, places, vcpus, n * 100 / each) for n in range(each))).decode()
                  for _ in range(PIECES)]


def _token(random_: random.Random, places: Places, vcpus: int, t_ms: float) -> Token:
    kind = random_.choices(list(Outcome)[:4], (80, 10, 5, 5))[0]
    dst = NOBODY if kind == Outcome.BLOCKED else places.vlapic + random_.randrange(vcpus)
    flags = Flag.NO_ENTRY if kind == Outcome.COMPATIBILITY else 0
    return Token(t_ms, random_.randrange(DEVICES), dst, random_.randrange(65536), kind | flags, 0x22)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
