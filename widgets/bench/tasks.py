"""`vsim bench --browser --tasks`: five tasks of a workshop, played with a person's clicks, which are counted.

Each begins with a bench of its own in JupyterLab, in a window of 1440 x 900 that shows its top, and goes by what a
person reads there: the names of buttons, fields, tabs and list entries. What the task asks for has to come into sight;
a click that finds its target out of sight costs a scroll, and so does an answer that is out of sight.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from widgets.bench.browser import ARGUMENTS, chromium
from widgets.bench.person import Person
from widgets.bench.server import PACKAGES, Notebook, Server

WINDOW = {"width": 1440, "height": 900}
CLICKS, SCROLLS = 8, 0
"""At most so many for each task."""
NIC, FIFTH, VCPU, FAR = "00:05.0", 4, 200, 287
APIC_ID, OTHER = "0x190", "0x10"
"""Destinations that are written: of vCPU 200, and of vCPU 8."""
WRONG = "0xfec00800"
"""A base address that is no multiple of 4096, and at which the I/O APIC is."""

_MAKE = """from widgets.lab import Lab
lab = Lab.from_config({config!r}, lspci={lspci!r})
{then}
None"""
_TO_TOP = "() => document.querySelector('.vsim-bench').scrollIntoView({ block: 'start' })"
_PAINTED = "() => document.querySelector('.vsim-map')?.parentElement.vsim?.stats.painted"


class Task(NamedTuple):
    """What somebody wants to do. then: what was done to the domain of `config` before; play: how it is done."""

    name: str
    config: str
    then: str
    play: Callable[[Person, Any], None]


class At:
    """The bench in a page, by what is written on it."""

    def __init__(self, page: Any) -> None:
        self.root = page.locator(".vsim-bench").first

    def button(self, name: str) -> Any:
        """A button."""
        return self.root.get_by_role("button", name=name, exact=True).first

    def tab(self, name: str) -> Any:
        """A tab."""
        return self.root.get_by_role("tab", name=name, exact=True).first

    def field(self, label: str) -> Any:
        """A field, a list or a box to tick that is in sight or can be scrolled to."""
        return self.root.get_by_label(label, exact=True).locator("visible=true").first

    def entry(self, words: str, place: int) -> Any:
        """A line of the open list: of those with these words, which are in the order of messages."""
        return self.root.locator("select[size] option").filter(has_text=words).nth(place)

    def text(self, words: str) -> Any:
        """Words in sight, or that can be scrolled to."""
        return self.root.get_by_text(re.compile(words)).locator("visible=true").first


def _direct(person: Person, at: At) -> None:
    person.click(at.tab("IRT"))
    person.pick(at.entry(NIC, FIFTH))
    person.write(at.field("dst [63:32]"), APIC_ID)
    person.click(at.button("write and invalidate"))
    person.write(at.field("message"), str(FIFTH))
    person.choose(at.field("device"), value=_option(at, NIC))
    person.click(at.button("fire"))
    person.reads(at.text(f"accepted by vLAPIC {VCPU}"))


def _record(person: Person, at: At) -> None:
    person.click(at.tab("IRT"))
    person.pick(at.entry(NIC, 0))
    person.click(at.field("p [0]"))
    person.click(at.button("write and invalidate"))
    person.choose(at.field("device"), value=_option(at, NIC))
    person.click(at.button("fire"))
    person.click(at.tab("registers"))
    person.reads(at.root.get_by_role("table", name="Recorded faults").get_by_text(re.compile("^0x22")).first)


def _reasons(person: Person, at: At) -> None:
    person.write(at.field("base address"), WRONG)
    person.reads(at.text("not a multiple of 4096"))
    person.reads(at.text("lies over another device"))
    person.click(at.button("issue"))
    person.reads(at.text(r"Refused: -"))


def _both(person: Person, at: At) -> None:
    person.click(at.tab("IRT"))
    person.pick(at.entry(NIC, 0))
    person.write(at.field("dst [63:32]"), OTHER)
    person.click(at.button("write without invalidation"))
    person.choose(at.field("device"), value=_option(at, NIC))
    person.click(at.button("fire"))
    person.reads(at.text("STALE: the unit uses its cached copy.* dst=4 "))
    person.reads(at.text("accepted by vLAPIC 2$"))
    person.reads(at.entry(f"→ vCPU {int(OTHER, 16) // 2} STALE", 0))


def _why_not(person: Person, at: At) -> None:
    person.click(at.tab("guest"))
    person.write(at.field("to vCPU"), str(FAR))
    person.click(at.button("set affinity"))
    person.reads(at.text("beyond the 8-bit destination"))


def _option(at: At, device: str) -> str:
    """The value of a device's line in the list of devices."""
    found: str = at.field("device").locator("option").filter(has_text=device).first.get_attribute("value")
    return found


TASKS = (
    Task(f"find the entry of the fifth message and send it to vCPU {VCPU}", "big", "lab.boot()", _direct),
    Task("clear P, fire, read the record", "big", f"lab.boot(); lab.fire({NIC!r})", _record),
    Task("create with a wrong base and read all reasons", "big-noviommu", "", _reasons),
    Task("change without invalidation and see old and new", "big", f"lab.boot(); lab.fire({NIC!r})", _both),
    Task(f"why does vCPU {FAR} get nothing without a vIOMMU", "big-noviommu", "lab.boot()", _why_not),
)


def play(tell: Callable[[str], None] = lambda what: None, tasks: tuple[Task, ...] = TASKS,
         pictures: Path | None = None) -> dict[str, dict[str, Any]]:
    """Clicks, scrolls and seconds of each task, by its name. tell: is called with the task played next.

    seconds: from the first click to the answer in sight, a person's thinking left out. pictures: a folder for a
    screenshot of each end. RuntimeError when there is no Chromium, when server, kernel or cell fails, or when what a
    task needs is not there. Needs playwright.
    """
    from playwright.sync_api import Error, sync_playwright

    executable = chromium()
    if executable is None:
        raise RuntimeError("no Chromium found: install Debian's package chromium")
    out: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="vsim-tasks-") as folder, sync_playwright() as p:
        root = Path(folder, "notebooks")
        root.mkdir()
        browser = p.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            with (Server(Path(folder), root) as server,
                  Notebook(server, browser, "tasks.ipynb", ["", "lab"]) as opened):
                opened.page.set_viewport_size(WINDOW)
                for number, task in enumerate(tasks, 1):
                    tell(task.name)
                    opened.write(0, _setting(task))
                    _begin(opened)
                    try:
                        out[task.name] = _played(opened, task)
                    except Error as error:
                        raise RuntimeError(f"{task.name}: {str(error)[:300]}") from None
                    finally:
                        if pictures is not None:
                            opened.page.screenshot(path=str(pictures / f"task{number}.png"))
        finally:
            browser.close()
    return out


def _setting(task: Task) -> str:
    folder = next(each for each in (PACKAGES / "notebooks", PACKAGES / "widgets" / "_notebooks") if each.is_dir())
    data = folder / "data"
    return _MAKE.format(config=str(data / f"{task.config}.cfg"), lspci=str(data / "big.lspci"), then=task.then)


def _begin(opened: Notebook) -> None:
    """The bench is there, its top at the window's."""
    for place in range(2):
        opened.run(place)
    opened.page.wait_for_function(_PAINTED)
    for _ in range(2):  # what is laid out late moves the page once more
        opened.page.wait_for_timeout(500)
        opened.page.evaluate(_TO_TOP)


def _played(opened: Notebook, task: Task) -> dict[str, Any]:
    person, begun = Person(opened.page), time.monotonic()
    task.play(person, At(opened.page))
    return {"clicks": person.clicks, "scrolls": person.scrolls, "seconds": round(time.monotonic() - begun, 1)}


def table(played: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each task."""
    return [f"{name:66}{each['clicks']:>3} clicks{each['scrolls']:>4} scrolls   {_verdict(each)}"
            for name, each in played.items()]


def _verdict(each: dict[str, Any]) -> str:
    good = each["clicks"] <= CLICKS and each["scrolls"] <= SCROLLS
    return f"{'reached' if good else 'MISSED'} (at most {CLICKS} and {SCROLLS})"
