"""The bench in a real JupyterLab, for the tests that use it: what a person does, and when it has settled."""

import pytest

from tests.jupyter_host import PATIENCE
from tests.widgets.chromium import settle

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
expect = playwright.expect
expect.set_options(timeout=1000 * PATIENCE)

TABS = ["domctl", "IRT", "registers", "vLAPIC", "guest", "events", "other", "QEMU"]
NAME = '<img src=x onerror=\\"document.title=1\\"><b>card</b>'
ASKED = """from widgets.map.scene import scene
from widgets.map.tally import Tally
from widgets.map.tokens import fold

def counted():
    known = Tally(scene(lab.machine))
    known.add(fold(known.scene, lab.history.events()))
    pairs = [sorted([index, n] for index, n in each.items() if n) for each in (*known.used, *known.refused)]
    return [known.total, list(known.sent), list(known.delivered), *pairs]

def resting():
    views = [each.__self__ for each in lab.observers]
    return not lab.storms and not any(getattr(each, "_timer", None) for each in views)

def echo(view, content, buffers):
    if content["kind"] == "echo":
        view.send(content)"""
MADE = f"""from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.arrays import Machine
from widgets.lesson.edit import Edit
from widgets.lab import Lab

bus = Bus([Function(0x18, "disk", pin=1), Function(0x300, "{NAME}", msix_count=4, passthrough=True)])
lab, second = (Lab(Machine(profile("spec"), 8, 64 << 20, bus), title=title) for title in ("first", "second"))"""
UNDER = """from widgets.lab import Lab
CONFIG = '''name = "small"
vcpus = 4
pci = ["03:00.0"]
viommu = ["type=intel_vtd"]
'''
lab = Lab.from_config(CONFIG, under)
"""
SHOWN = """bench = {0}.bench
bench.add_class("t-{0}")
{0}_map = bench._above["map"]
{0}_map.on_msg(echo)
bench"""

# The map's view object, by the class of its bench.
_VIEW = "const view = [...document.querySelectorAll('.t-{} *')].find((each) => each.vsim)?.vsim; "
# What there is of a bench: its elements, its maps, their views; and the outputs of all cells.
_INSTEAD = """(name) => JSON.stringify({ benches: document.querySelectorAll(".t-" + name).length,
  maps: document.querySelectorAll(".vsim-map").length, hidden: document.hidden,
  views: [...document.querySelectorAll("*")].filter((each) => each.vsim).length,
  outputs: [...document.querySelectorAll(".jp-OutputArea-output")].map((each) => each.outerHTML.slice(0, 300)),
  kernel: window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status })"""
# A word to the kernel, and its answer: what was said before it, in either direction, has then been heard.
_ECHO = """const number = window.echoed = (window.echoed ?? 0) + 1, heard = (content) => {
  if (content.kind === "echo" && content.number === number) view.model.off("msg:custom", heard), window.heard = number;
}; view.model.on("msg:custom", heard); view.model.send({ kind: "echo", number });"""
# Nothing travels, nothing waits, and the words are those of now.
_LANDED = """!view.player.flights.size && !view.intake.queue.length && !view.intake.waiting.length &&
  !view.player.request && !view.words.timer"""
_COUNTED = """JSON.stringify([...[view.tally.total, view.tally.sent, view.tally.delivered].map((each) => [...each]),
  ...[...view.tally.used, ...view.tally.refused].map((each) =>
    [...each].map((n, index) => [index, n]).filter(([, n]) => n))])"""

# Names that look like mathematics, between two outputs that are.
NAMED = r"$a^2$ \href{javascript:alert(1)}{b} \(c\) $$d$$ \begin{equation}e\end{equation}"
TYPESET = f"""from IPython.display import HTML, display
from widgets.course.quiz import Answer
from widgets.tables import Table, Told
name = {NAMED!r}
made = [Table([name], [[name]], name, bold=[0]), Told([name]), Told([name, name]), Answer(name)]
for each in (HTML("<p>$x$</p>"), *made, HTML("<p>$y$</p>")):
    display(each)"""


def fresh(session):
    """The machine as it was made, nothing selected."""
    session.do("lab.goto(0); lab.kernel.serving = True")
    session.do("for name in ('device', 'irte', 'vlapic'): setattr(lab.selection, name, -1)")
    session.do("lab_map.playing = True")
    settled(session)


def view(session, expression, name="lab"):
    """An expression over `view`, the map of a bench."""
    return session.page.evaluate(f"() => {{ {_VIEW.format(name)} return {expression}; }}")


def until(session, expression, name="lab"):
    try:
        session.page.wait_for_function(f"() => {{ {_VIEW.format(name)} return view && ({expression}); }}")
    except playwright.TimeoutError:
        raise AssertionError(f"never true: {expression}; {_instead(session.page, name)}") from None


def _instead(page, name):
    """What a page has where a bench was waited for; whether it still answers, and paints."""
    for polling in (50, "raf"):
        try:
            page.wait_for_function("() => true", polling=polling, timeout=10_000)
        except playwright.TimeoutError:
            return f"the page does not answer ({polling})"
    return page.evaluate(_INSTEAD, name)


def part(session, css=""):
    return session.page.locator(f".t-lab {css}".strip())


def press(session, name):
    part(session).get_by_role("button", name=name, exact=True).first.click()


def tab(session, name):
    part(session, ".lm-TabBar-tab, .p-TabBar-tab").filter(has_text=name).first.click()


def front(session, name):
    """Bring a tab to the front, and wait until its panel is there and laid out."""
    tab(session, name)
    expect(part(session, ".lm-mod-current, .p-mod-current").filter(has_text=name)).to_be_visible()
    settled(session)
    part(session, ".widget-tab-contents .vsim-panel:visible").first.wait_for()
    settle(session.page)


def booted(session):
    """A unit, a guest, and one interrupt through entry `edited`, which goes to vCPU 2."""
    session.do("from vsim import commands, create_op; lab.issue(commands.Domctl(create_op())); lab.boot()")
    session.do("edited = lab.kernel.guest.sources[0x300][0]; lab.fire(0x300, 0)")
    assert session.ask("edited.vcpu") == 2
    settled(session)


def caught_up(session):
    """Wait until page and kernel have heard all that the other has said."""
    until(session, "true")
    session.page.evaluate(f"() => {{ {_VIEW.format('lab')} {_ECHO} }}")
    session.page.wait_for_function("() => window.heard === window.echoed")


def settled(session):
    """Wait until nothing is under way: no view waits to draw, and the page has heard and shows what happened."""
    caught_up(session)
    session.until("resting()")
    caught_up(session)
    counts = str(session.ask("counted()")).replace(" ", "")
    until(session, f"{_LANDED} && {_COUNTED} === '{counts}'")


def edit(session):
    """The editor, on that entry; and the controls, on the device that uses it."""
    tab(session, "IRT")
    session.do("lab.selection.irte = edited.index; lab.selection.device = 0x300")
    expect(part(session, ".vsim-edit").get_by_text(f"Entry {session.ask('edited.index')} of")).to_be_visible()
    settled(session)


def rows(session):
    """The cells of the table of events, row by row."""
    tab(session, "events")
    return part(session, ".vsim-rows tbody").evaluate(
        "(body) => [...body.rows].map((row) => [...row.cells].map((each) => each.textContent))")


def newest(session):
    """The cells of the last row, which is that of the newest interrupt, when nothing is under way."""
    settled(session)
    tab(session, "events")
    expect(part(session, ".vsim-rows tbody tr:last-child")).to_have_attribute(
        "data-serial", str(session.ask("lab.machine.serials")))
    return rows(session)[-1]
