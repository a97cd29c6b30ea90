"""The live map in a real browser, on bare pages: what it draws, says, and lets a reader do."""

import json
import random
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.jupyter_host import PATIENCE
from tests.rig import Rig
from tests.vsim.findings.machine_texts import large_host
from tests.widgets.chromium import settle
from tests.widgets.map.test_scene import BUS, NIC, machine
from vsim.findings.rebuild import rebuild
from vsim.guest import firmware
from vsim.state.pci import Bus, Function
from widgets.bench.browser import chromium
from widgets.map import arrange, table
from widgets.map.page import to_html
from widgets.map.scene import scene, way
from widgets.map.tally import BY_ENTRY, BY_VCPU, Tally
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token, pack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright"),
]
AXE = find_spec("axe_playwright_python")
SIZES = (1, 8, 288, 512, 1024, 4096)


@pytest.fixture
def show(browser, tmp_path):
    """Open a page; at the end nothing may have gone wrong in it, and nothing may have been asked of a network."""
    pages, wrong = [], []

    def opened(s, tokens=(), width=1400, theme="", context=None, height=0, **state):
        page = browser.new_page(viewport={"width": width, "height": 900}, bypass_csp=True, **context or {})
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
        file = Path(tmp_path, f"{len(pages)}.html")
        text = to_html(s, tokens, theme, **state)
        if height:  # of the map, as a host gives it
            text = text.replace("min-height: 100vh", f"--vsim-map-height: {height}px")
        file.write_text(text, encoding="utf-8")
        page.goto(file.as_uri())
        page.wait_for_function("document.getElementById('map')?.vsim")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert wrong == []


def latched(vcpus=288, devices=3, s=7):
    bus = BUS if devices == 3 else Bus([Function(8 * n, f"dev{n}", msix_count=1, pin=1) for n in range(devices)])
    return scene(Rig(bus=bus, vcpus=vcpus).start(s=s).m, "big")


def wired(vcpus=8, devices=3):
    """The scene of a machine that uses its 8259, before the I/O APIC."""
    bus = BUS if devices == 3 else Bus([Function(8 * n, f"dev{n}", msix_count=1, pin=1) for n in range(devices)])
    rig = Rig(bus=bus, vcpus=vcpus).start(s=7)
    for command in firmware.virtual_wire(rig.m, (1, 4)):
        rig.do(command)
    return scene(rig.m, "big")


def some(s, number, seed=1):
    """Tokens of every kind, 10 ms apart."""
    rng, places, out = random.Random(seed), Places(s), []
    for n in range(number):
        outcome = rng.choice([*Outcome, Outcome.COMPATIBILITY | Flag.NO_ENTRY, Outcome.LOST | Flag.PAST,
                              Outcome.BLOCKED | Flag.NO_ENTRY, Outcome.REMAPPED | Flag.PIN])
        kind = outcome & 7
        own = kind in (Outcome.DIRECT, Outcome.SPURIOUS)
        src = places.vlapic if own else rng.randrange(len(s["devices"]))
        ends = kind in (Outcome.BLOCKED, Outcome.LOST, Outcome.MASKED)
        dst = NOBODY if ends else places.vlapic + rng.randrange(s["vlapics"])
        out.append(Token(10.0 * n, src, dst, rng.randrange(256), outcome, 0x22))
    return out


def js(page, expression, *args):
    """An expression over `view`, the map of the page, and `args`."""
    return page.evaluate(f"(args) => {{ const view = document.getElementById('map').vsim; return {expression}; }}",
                         list(args))


def seek(page, moment):
    """To a moment of a replay. What is told there may take room from the picture: that is seen once it has."""
    js(page, "view.player.seek(args[0])", moment)
    settle(page)


def receive(page, tokens, more=b"", counts=b"", pending=b"", kind="tokens", then="null"):
    """Tokens come in. The value of `then`, an expression over `view`, before the next frame moves them."""
    return page.evaluate(f"""([kind, ...data]) => {{
      const {{ model, vsim: view }} = document.getElementById("map");
      model.receive({{ kind, clock: 7.5, records: ["record 0: <b>reason</b>"] }},
        data.map((each) => new DataView(Uint8Array.from(each).buffer)));
      return {then}; }}""", [kind, *(list(each) for each in (pack(tokens), more or pack([]), counts, pending))])


# --- the same as the kernel's ---


def traced(page, tokens):
    """The ways of tokens as the page has them: x, y, x, y, ..."""
    return js(page, """args[0].map(([, src, dst, irte, outcome]) => { view.ways.trace(src, dst, irte, outcome);
      return [...view.ways.x.slice(0, view.ways.n)].flatMap((x, n) => [x, view.ways.y[n]]); })""",
              [list(token) for token in tokens])


@pytest.mark.parametrize("width, name", [(1400, "wide"), (480, "tall"), (300, "slim")])
@pytest.mark.parametrize("vcpus", [8, 1024])
def test_the_page_traces_the_same_ways_as_the_scene(show, vcpus, width, name):
    s = latched(vcpus)
    page = show(s, width=width)
    tokens = some(s, 60)
    for token, xs in zip(tokens, traced(page, tokens), strict=True):
        assert xs == pytest.approx([x for point in way(s, s[name], token) for x in point], abs=0.02), token


@pytest.mark.parametrize("width, name", [(1400, "wide"), (480, "tall"), (300, "slim")])
@pytest.mark.parametrize("drawn", [True, False])
def test_the_page_traces_the_same_ways_for_lines_of_the_mainboard(show, drawn, width, name):
    s = wired() if drawn else latched(8)
    page, places = show(s, width=width), Places(s)
    tokens = [Token(0, places.pic, NOBODY if outcome & 7 == Outcome.MASKED else places.vlapic + 3, 0, outcome, 4)
              for outcome in (Outcome.DIRECT, Outcome.DIRECT | Flag.PIN, Outcome.MASKED, Outcome.MASKED | Flag.PIN,
                              Outcome.COMPATIBILITY | Flag.PIN | Flag.NO_ENTRY, Outcome.REMAPPED | Flag.PIN)]
    tokens.append(Token(0, places.vlapic + 3, places.vlapic + 3, 0, Outcome.DIRECT | Flag.PIN, 4))
    for token, xs in zip(tokens, traced(page, tokens), strict=True):
        assert xs == pytest.approx([x for point in way(s, s[name], token) for x in point], abs=0.02), token


def test_the_page_traces_straight_ways_in_a_layout_of_the_caller_s(show):
    m = Rig(bus=BUS).start(s=7).m
    from vsim.explain import topology
    s = scene(m, layout={node: (n, n * n % 7) for n, node in enumerate(topology.graph(m))})
    page = show(s, some(s, 20))
    tokens = some(s, 30)
    for token, xs in zip(tokens, traced(page, tokens), strict=True):
        assert xs == pytest.approx([x for point in way(s, s["wide"], token) for x in point], abs=0.02), token


def counted(page):
    return js(page, """(() => { const { tally } = view, some = (all) => all.map((each) =>
      [...each].flatMap((count, index) => (count ? [[index, count]] : [])));
      return Object.fromEntries([...["total", "sent", "delivered", "direct", "spurious"].map((name) =>
        [name, [...tally[name]]]), ...["used", "refused", "lost"].map((name) => [name, some(tally[name])])]); })()""")


def expected(s, tokens):
    tally = Tally(s)
    tally.add(tokens)
    flat = {name: list(getattr(tally, name)) for name in ("total", "sent", *BY_VCPU)}
    return flat | {name: [[list(each) for each in sorted(unit.items())] for unit in getattr(tally, name)]
                   for name in BY_ENTRY}


def test_a_replay_counts_what_the_kernel_counts(show):
    s = latched()
    tokens = some(s, 300)
    page = show(s, tokens, playing=False)
    seek(page, 300)
    assert counted(page) == expected(s, tokens)
    seek(page, 10)
    assert counted(page) == expected(s, tokens[:10])


def test_a_view_that_opens_late_begins_with_the_kernel_s_counts(show):
    s = latched()
    page = show(s, replay=False)
    tally = Tally(s)
    tally.add(some(s, 50))
    state = {"stamp": 2, "clock": 3.0, "pending": b"\x05", "records": [], **tally.state()}
    page.evaluate("""(state) => { const data = (each) => new DataView(Uint8Array.from(each).buffer);
      for (const name of ["sent", "delivered", "direct", "spurious", "pending"]) state[name] = data(state[name]);
      for (const name of ["used", "refused", "lost"]) state[name] = state[name].map(data);
      document.getElementById("map").model.set("present", state); }""",
                  json.loads(json.dumps(state, default=list)))
    assert counted(page) == expected(s, some(s, 50))
    assert js(page, "[...view.tally.pending].slice(0, 4)") == [1, 0, 1, 0]


# --- tokens that come in ---


def test_tokens_travel_and_arrive(show):
    s = latched()
    page = show(s, replay=False)
    tokens = some(s, 40)
    assert receive(page, tokens, then="[view.intake.queue.length, ...view.tally.total]") == [40, *[0] * 8]
    page.wait_for_function("document.getElementById('map').vsim.player.flights.size > 0")
    page.wait_for_function("document.getElementById('map').vsim.player.flights.size === 0")
    assert counted(page) == expected(s, tokens)
    page.wait_for_function("!document.getElementById('map').vsim.player.request")  # and then nothing is drawn any more


def test_a_message_does_not_draw_again_what_stands_still(show):
    s = latched()
    page = show(s, replay=False)
    js(page, "view.painter.all = () => { throw new Error('drawn again'); }")
    receive(page, some(s, 3))
    page.wait_for_function("document.getElementById('map').vsim.tally.total.reduce((a, b) => a + b) === 3")


def test_what_cannot_be_drawn_is_counted_and_said(show):
    s = latched()
    page = show(s, replay=False)
    tokens = some(s, 9000)
    receive(page, tokens[:8000], pack(tokens[8000:]), b"".join((2).to_bytes(4, "little") for _ in tokens[8000:]))
    page.wait_for_function("document.getElementById('map').vsim.tally.total.reduce((a, b) => a + b) === 10000")
    assert counted(page) == expected(s, tokens + tokens[8000:])
    told = [each.outcome != Outcome.DIRECT for each in tokens]      # of IPIs nobody is told
    assert js(page, "view.intake.merged") == sum(told[4096:8000]) + 2 * sum(told[8000:])
    page.get_by_text("merged: counted, not drawn").wait_for()


def test_pending_outlines_follow_when_the_tokens_have_arrived(show):
    s = latched()
    page = show(s, replay=False)
    receive(page, [Token(0, 0, Places(s).vlapic + 9, 5, Outcome.REMAPPED, 65)], pending=b"\0\x02")
    page.wait_for_function("document.getElementById('map').vsim.tally.pending[9] === 1")
    assert js(page, "view.tally.delivered[9]") == 1


def test_a_paused_map_keeps_what_comes_and_steps_through_it(show):
    s = latched()
    page = show(s, replay=False, playing=False)
    receive(page, some(s, 3))
    assert js(page, "view.player.flights.size") == 0
    page.get_by_role("button", name="Step forward").click()
    page.wait_for_function("document.getElementById('map').vsim.tally.total.reduce((a, b) => a + b) === 1")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.getElementById('map').vsim.tally.total.reduce((a, b) => a + b) === 3")


def test_a_step_of_the_kernel_moves_on_a_paused_map_and_lights_the_way(show):
    s = latched()
    page = show(s, replay=False, playing=False)
    assert receive(page, [Token(0, 0, Places(s).vlapic + 9, 5, Outcome.REMAPPED, 65)], pending=b"\0\x02", kind="step",
                   then="[view.player.flights.size, view.traces.lit.length, view.tally.delivered[9]]") == [1, 1, 0]
    page.wait_for_function("document.getElementById('map').vsim.tally.delivered[9] === 1")
    page.wait_for_function("document.getElementById('map').vsim.tally.pending[9] === 1")


def test_the_ways_that_the_kernel_names_are_lit(show):
    s = latched()
    page = show(s, replay=False)
    page.evaluate("""(data) => document.getElementById("map").model.set("lit",
      new DataView(Uint8Array.from(data).buffer))""",
                  list(pack(some(s, 3))))
    assert js(page, "view.traces.lit.length") == 3
    page.evaluate("""() => { const { model, vsim } = document.getElementById("map");
      window.other = new vsim.constructor(model, document.body.appendChild(document.createElement("div"))); }""")
    assert page.evaluate("window.other.traces.lit.length") == 3  # a view that is opened later
    page.evaluate("window.other.close()")
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_function("document.getElementById('map').vsim.where.flow === 'down'")
    ends = [list(way(s, s["tall"], token)[-1]) for token in some(s, 3)]
    lit = js(page, "view.traces.lit.map(({ points }) => points.at(-1))")
    assert lit == [pytest.approx(end, abs=0.02) for end in ends]


# --- traces ---


def lone(s, outcome=Outcome.REMAPPED, vcpu=200, irte=5, vector=0x20, src=0):
    """One token, as when somebody fires."""
    dst = NOBODY if outcome & 7 in (Outcome.BLOCKED, Outcome.MASKED) else Places(s).vlapic + vcpu
    return Token(0, src, dst, irte, outcome, vector)


def landed(page, number=1):
    page.wait_for_function(f"(({{ vsim }}) => !vsim.player.flights.size && !vsim.intake.queue.length && "
                           f"vsim.tally.total.reduce((a, b) => a + b) === {number})(document.getElementById('map'))")


def test_a_trace_stays_until_another_replaces_it(show):
    s = latched()
    page = show(s, replay=False)
    receive(page, [lone(s)])
    landed(page)
    page.mouse.move(*centre(page, "vlapic", 20))
    assert js(page, "view.traces.tokens.map(([, , dst]) => dst - view.places.vlapic)") == [200]
    assert page.locator(".vsim-strip").inner_text().startswith("vLAPIC 20 ")
    page.mouse.move(2, 2)
    assert page.locator(".vsim-strip").inner_text().startswith("00:03.0 nic, entry 5: remapped to vLAPIC 200")
    receive(page, [lone(s)])
    landed(page, 2)
    assert js(page, "view.traces.lit.map(({ start }) => start)") == [None]
    receive(page, [lone(s, vcpu=7)])
    landed(page, 3)
    assert js(page, "view.traces.tokens.map(([, , dst]) => dst - view.places.vlapic)") == [7]


def test_many_interrupts_at_once_leave_the_trace_as_it_is(show):
    s = latched()
    page = show(s, replay=False)
    receive(page, [lone(s)])
    landed(page)
    receive(page, some(s, 40))
    landed(page, 41)
    assert js(page, "view.traces.tokens.length") == 1


def test_the_line_follows_its_token_which_stops_for_a_moment_at_the_table(show):
    s = latched()
    page = show(s, replay=False, playing=False)
    receive(page, [lone(s)])
    page.evaluate("() => { const { vsim } = document.getElementById('map'); vsim.player.visible = true;"
                  "vsim.player.wake = () => {}; vsim.player.forth(); }")
    at = js(page, """[0, 200, 500, 580, 700, 1000].map((ms) =>
      view.traces.reached(view.traces.lit[0], view.traces.lit[0].start + ms))""")
    assert at[0] == 0
    assert at[-1] == 1
    assert at[2] == at[3] == 0.55
    assert at == sorted(at)
    there = js(page, "view.player.flights.point(view.player.flights.head, 0.55)")
    assert there == [pytest.approx(each, abs=0.02) for each in way(s, s["wide"], lone(s, Outcome.BLOCKED))[-1]]


@pytest.mark.parametrize("token, said", [
    (lone, ["handle 5", "IRTE 5: vector 0x20 \u2192 APIC ID 0x190", "vCPU 200"]),
    (lambda s: lone(s, Outcome.REMAPPED | Flag.MERGED), [
        "handle 5", "IRTE 5: vector 0x20 \u2192 APIC ID 0x190", "vCPU 200, requested already"]),
    (lambda s: lone(s, Outcome.POSTED), ["handle 5", "IRTE 5: posted, vector 0x20", "vCPU 200"]),
    (lambda s: lone(s, Outcome.COMPATIBILITY | Flag.NO_ENTRY, 4), ["compatibility format", "vCPU 4, vector 0x20"]),
    (lambda s: lone(s, Outcome.BLOCKED, vector=0x22), ["handle 5", "IRTE 5: blocked, reason 0x22"]),
    (lambda s: lone(s, Outcome.BLOCKED | Flag.NO_ENTRY, vector=0x25), [
        "compatibility format", "blocked, reason 0x25"]),
    (lambda s: lone(s, Outcome.MASKED | Flag.NO_ENTRY, vector=8), ["masked: the guest has not programmed it"]),
    (lambda s: lone(s, Outcome.DIRECT | Flag.NO_ENTRY, 4, vector=4, src=Places(s).pic), [
        "IRQ 4", "vCPU 4, by LINT0"]),
])
@pytest.mark.parametrize("width, height", [(1400, 0), (480, 0), (620, 400), (480, 380), (345, 410)])
def test_labels_at_the_stops_have_the_values_and_do_not_overlap(show, token, said, width, height):
    s = latched(288, 3) if "IRQ 4" not in said else wired(288, 3)
    page = show(s, width=width, height=height, replay=False, context={"reduced_motion": "reduce"})
    receive(page, [token(s)])
    placed = js(page, "view.traces.labels.placed.map(({ text, x, y, w, h }) => [text, x, y, w, h])")
    wide, high = js(page, "[view.painter.width, view.painter.height]")
    if height == 410:  # a narrow picture has short labels
        said = [each.replace("vector 0x20 \u2192 APIC", "0x20 \u2192") for each in said]
    assert sorted(each[0] for each in placed) == sorted(said)
    for n, (_, x, y, w, h) in enumerate(placed):
        assert x >= 0 and y >= 0 and x + w <= wide and y + h <= high
        for _, x2, y2, w2, h2 in placed[n + 1:]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_labels_of_several_targets_do_not_overlap(show):
    s = latched()
    page = show(s, width=620, height=400, replay=False, context={"reduced_motion": "reduce"})
    receive(page, [lone(s, vcpu=vcpu) for vcpu in (8, 9, 10)])
    boxes = js(page, "view.traces.labels.placed.map(({ text, x, y, w, h }) => [text, x, y, w, h])")
    assert sum(each[0] == "handle 5" for each in boxes) == 1
    assert [each[0] for each in boxes if each[0].startswith("vCPU")] == ["vCPU 8", "vCPU 9", "vCPU 10"]
    assert not any(a[1] < b[1] + b[3] and b[1] < a[1] + a[3] and a[2] < b[2] + b[4] and b[2] < a[2] + a[4]
                   for n, a in enumerate(boxes) for b in boxes[n + 1:])


def test_labels_leave_names_to_be_read(show):
    s = latched(1024, 12)
    page = show(s, width=720, height=480, replay=False, context={"reduced_motion": "reduce"})
    for src in range(12):
        receive(page, [lone(s, vcpu=341, src=src)])
        assert js(page, """view.traces.labels.placed.flatMap((a) => view.painter.texts
          .filter((b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h)
          .map((b) => [a.text, b.text]))""") == []


@pytest.mark.parametrize("data", [
    b"", b"\x02\x0c\0\0\1\0\0\0", b"\x01\x0c\0\0\xff\xff\xff\xff", b"garbage of some length"])
def test_bytes_that_are_no_tokens_do_no_harm(show, data):
    s = latched(8)
    page = show(s, replay=False)
    page.evaluate("""(data) => document.getElementById("map").model.receive({ kind: "tokens", clock: 0, records: [] },
      [data, data, [], []].map((each) => new DataView(Uint8Array.from(each).buffer)))""", list(data))
    page.evaluate("document.getElementById('map').model.receive({ kind: 'something else' }, [])")
    assert js(page, "view.player.flights.size + view.intake.queue.length") == 0


# --- time ---


def test_a_replay_plays_to_its_end_and_again(show):
    s = latched()
    page = show(s, some(s, 5))
    page.get_by_role("button", name="Play (space)").wait_for()
    assert js(page, "view.player.next") == 5
    page.evaluate("""() => document.addEventListener("keydown", () => {
      const { player } = document.getElementById("map").vsim;
      window.pressed = [player.next < 5, player.playing]; })""")
    page.keyboard.press("Space")
    assert page.evaluate("window.pressed") == [True, True]


def test_a_replay_steps_forward_and_back_and_says_what_happened(show):
    s = latched()
    page = show(s, [Token(0, 0, Places(s).vlapic + 9, 5, Outcome.REMAPPED, 65), *some(s, 3)], playing=False)
    page.keyboard.press(".")
    page.wait_for_function("document.getElementById('map').vsim.tally.total[0] === 1")
    assert page.locator(".vsim-strip").inner_text() == "00:03.0 nic, entry 5: remapped to vLAPIC 9, vector 0x41"
    page.keyboard.press(",")
    assert js(page, "[view.player.next, view.tally.total[0]]") == [0, 0]


def test_steps_are_asked_of_the_kernel_when_it_drives(show):
    s = latched()
    page = show(s, driven=True, replay=False)
    page.evaluate("""() => { const el = document.getElementById("map"); el.sent = [];
      el.model.send = (message) => el.sent.push(message); }""")
    page.get_by_role("button", name="Step back").click()
    page.get_by_role("button", name="Step forward").click()
    assert page.evaluate("document.getElementById('map').sent") == [
        {"kind": "step", "by": -1}, {"kind": "step", "by": 1}]


def test_a_recording_without_pauses_is_slowed_down_and_says_so(show):
    s = latched()
    tokens = [token._replace(t_ms=n * 0.002) for n, token in enumerate(some(s, 60))]
    page = show(s, tokens, playing=False)
    assert page.get_by_text("of machine time").inner_text() == "1 s shows 118 µs of machine time"


def test_the_speed_changes_how_fast_tokens_move(show):
    page = show(latched())
    page.get_by_label("Speed of the animation").select_option("0.25")
    assert js(page, "view.player.speed") == 0.25


def test_without_motion_every_interrupt_has_arrived_at_once(show):
    s = latched()
    page = show(s, replay=False, playing=True, context={"reduced_motion": "reduce"})
    receive(page, some(s, 30))
    assert js(page, "[view.player.flights.size, view.tally.total.reduce((a, b) => a + b)]") == [0, 30]
    assert js(page, "view.traces.lit[0].points.length") > 1


def test_out_of_sight_nothing_is_drawn_and_everything_is_counted(show):
    s = latched()
    page = show(s, replay=False)
    page.evaluate("document.getElementById('map').style.cssText = 'display: block; margin-top: 5000px'")
    page.wait_for_function("document.getElementById('map').vsim.player.visible === false")
    receive(page, some(s, 30))
    assert js(page, """[view.player.flights.size, view.tally.total.reduce((a, b) => a + b),
      view.player.request]""") == [0, 30, 0]


# --- pointing and choosing ---


def centre(page, what, number):
    """The page's coordinates of a place."""
    return js(page, """(() => { const area = view.stage.getBoundingClientRect(), s = view.painter.scale;
      const [x, y, w, h] = view.picture.boxOf([args[0], args[1]]);
      return [area.left + (x + w / 2) * s, area.top + (y + h / 2) * s]; })()""", what, number)


@pytest.mark.parametrize("width", [1400, 480])
@pytest.mark.parametrize("what, number, trait, words", [
    ("device", 0, NIC, "00:03.0 nic · 4 messages, GSI"),
    ("irte", 9, 9, "entry 9 · not in use · 0 remapped or posted · 0 refused"),
    ("vlapic", 287, 287, "vLAPIC 287 · APIC ID 0x23e: cluster 0x23, slot 0xe · 0 delivered"),
])
def test_pointing_names_a_place_and_clicking_selects_it(show, what, number, trait, words, width):
    page = show(latched(), width=width)
    page.mouse.move(*centre(page, what, number))
    assert page.locator(".vsim-strip").inner_text().startswith(words.replace(", GSI", ""))
    page.mouse.click(*centre(page, what, number))
    assert page.evaluate(f"document.getElementById('map').model.get('{what}')") == trait
    page.mouse.move(2, 2)
    assert page.locator(".vsim-strip").inner_text().startswith(words.replace(", GSI", ""))
    page.mouse.click(*centre(page, what, number))
    assert page.evaluate(f"document.getElementById('map').model.get('{what}')") == -1


def test_what_no_dump_says_is_dotted_and_told_where_one_points(show):
    """A machine from dumps of 16 units, 144 processors, 400 functions: every number is legible, the mark is told."""
    found = rebuild(large_host())
    s = scene(found.run(), "as dumped", assumed=found.assumed)
    page = show(s, width=1440)
    words = js(page, "view.painter.texts.map((each) => each.text)")
    assert {str(vcpu) for vcpu in range(144)} <= set(words)
    assert page.locator(".vsim-legend").get_by_text("assumed in part: point at it").is_visible()
    places = Places(s)
    for place, box in ((places.ioapic, s["wide"]["routers"][0]), (places.unit + 2, s["wide"]["units"][2])):
        x, y = box[0] + 3, box[1] + 3
        page.evaluate("""([x, y]) => { const view = document.getElementById("map").vsim, s = view.painter.scale,
          area = view.stage.getBoundingClientRect();
          view.pointer.point({ clientX: area.left + x * s, clientY: area.top + y * s });
          view.words.tell(); }""", [x, y])  # a storm has the words brought up to date all the time
        assert s["assumed"][str(place)] in page.locator(".vsim-strip").text_content()
    assert "its CAP and ECAP" in s["assumed"][str(places.unit + 2)]
    assert "I/O APIC 9 assumed: its" in s["assumed"][str(places.ioapic)]


def test_a_selection_of_the_kernel_is_shown(show):
    page = show(latched())
    page.evaluate("document.getElementById('map').model.set('vlapic', 100)")
    assert page.locator(".vsim-strip").inner_text().startswith("vLAPIC 100")
    assert js(page, "view.pointer.rings().length") == 1


def test_a_selection_that_is_not_in_the_scene_is_ignored(show):
    page = show(latched(), vlapic=4000, irte=60000, device=0xFFFF)
    assert js(page, "view.pointer.rings().length") == 0


def test_one_cluster_fills_the_wall_and_all_come_back(show):
    page = show(latched())
    page.mouse.dblclick(*centre(page, "vlapic", 287))
    assert js(page, "[view.zoomed, view.where.tiles.filter(Boolean).length]") == [35, 1]
    texts = js(page, "view.painter.texts.map((each) => each.text)")
    assert "vCPU 287" in texts
    assert "one cluster: APIC IDs 0x230\u20130x23f" in texts
    page.keyboard.press("Escape")
    assert js(page, "view.zoomed") is None


def test_by_keys_a_cluster_opens_around_the_vlapic_that_one_stood_on(show):
    page = show(latched())
    js(page, "view.keyboard.enter(['vlapic', 286])")
    page.keyboard.press("z")
    assert js(page, "[view.zoomed, view.keyboard.active.vlapic]") == [35, 286]
    page.keyboard.press("Enter")
    assert js(page, "view.model.get('vlapic')") == 286
    page.keyboard.press("Escape")
    assert js(page, "[view.zoomed, view.keyboard.active.vlapic]") == [None, 286]


def test_tokens_for_other_clusters_end_at_the_spine_while_one_is_shown(show):
    s = latched()
    page = show(s, replay=False)
    js(page, "view.zoom(3)")
    receive(page, some(s, 40))
    page.wait_for_function("document.getElementById('map').vsim.tally.total.reduce((a, b) => a + b) === 40")
    assert counted(page) == expected(s, some(s, 40))


def test_the_keyboard_reaches_everything(show):
    page = show(latched(), some(latched(), 5), playing=False)
    seen = []
    for _ in range(9):
        page.keyboard.press("Tab")
        here = page.locator(":focus")
        seen.append(here.get_attribute("aria-label") or here.evaluate("(each) => each.tagName"))
    assert seen == [
        "Step back (,)", "Play (space)", "Step forward (.)", "Speed of the animation", "Position in the recording",
        "PCI devices", "Entries of the interrupt remapping table", "vLAPICs", "SUMMARY"]


def test_arrows_walk_the_wall_over_empty_slots(show):
    page = show(latched())
    page.get_by_role("listbox", name="vLAPICs").focus()
    option = page.get_by_role("listbox", name="vLAPICs").get_by_role("option")
    walked = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "End", "Home", "ArrowUp"):
        page.keyboard.press(key)
        walked.append(option.inner_text().split(" · ")[0])
    assert walked == [f"vLAPIC {n}" for n in (1, 8, 10, 3, 287, 0, 0)]
    page.keyboard.press("Enter")
    assert page.evaluate("document.getElementById('map').model.get('vlapic')") == 0
    assert option.get_attribute("aria-selected") == "true"


def test_arrows_walk_devices_and_entries(show):
    page = show(latched())
    page.get_by_role("listbox", name="PCI devices").focus()
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("listbox", name="PCI devices").inner_text().startswith("00:04.0 serial")
    page.get_by_role("listbox", name="Entries").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("document.getElementById('map').model.get('irte')") == 8


def test_the_badge_opens_the_records(show):
    s = latched()
    page = show(s, replay=False)
    assert page.get_by_role("button", name="blocked").count() == 0
    receive(page, [Token(0, 0, NOBODY, 9, Outcome.BLOCKED, 0x22)])
    page.get_by_role("button", name="1 blocked interrupt: show the records").click()
    faults = page.locator(".vsim-faults").inner_text()
    assert "record 0: <b>reason</b>" in faults
    assert "00:03.0 nic, entry 9: blocked, reason 0x22: the entry is not present (P=0)" in faults
    page.keyboard.press("Escape")
    assert not page.locator(".vsim-faults").is_visible()


# --- the table, the wall, the ways ---


def told(page, name):
    """Whether the legend tells of a mark."""
    return not js(page, "view.legend.marks[args[0]].hidden", name)


def listed(page, *entries):
    """The kernel tells of the entries in use."""
    page.evaluate("""([none, rows]) => document.getElementById("map").model.receive({ kind: "tokens", clock: 0 },
      [none, none, [], [], rows].map((each) => new DataView(Uint8Array.from(each).buffer)))""",
                  [list(pack([])), list(table.pack([table.Entry(*each) for each in entries]))])


@pytest.mark.parametrize("used", [[], [5], [0, 193], [300, 400], [40000], [0, 1000], [0, 65535]])
@pytest.mark.parametrize("width", [1400, 480])
def test_the_page_shows_the_same_part_of_a_table_as_a_still(show, used, width):
    s = latched(8, s=15)
    page = show(s, width=width, replay=False)
    listed(page, *((0, table.PRESENT, index, NIC, 0x41, 3) for index in used))
    each, cells, first = table.window(used, 65536)
    assert js(page, "view.table.windows[0]") == {"each": each, "cells": cells, "first": first}
    where = s["wide" if width > 720 else "tall"]
    assert js(page, "view.picture.units.grids[0]") == list(
        arrange.table(cells, arrange.field(where["units"][0], where["flow"])))
    assert clipped(page) == []


def test_an_entry_tells_who_uses_it_and_where_it_sends(show):
    page = show(latched(), replay=False)
    listed(page, (0, table.PRESENT, 5, NIC, 0x41, 6), (0, table.PRESENT | table.STALE, 7, NIC, 0x42, 4))
    page.mouse.move(*centre(page, "irte", 5))
    assert page.locator(".vsim-strip").inner_text().startswith("entry 5 · 00:03.0, vector 0x41 \u2192 APIC ID 0x6 · ")
    page.mouse.move(*centre(page, "irte", 7))
    assert "the unit has a stale copy" in page.locator(".vsim-strip").inner_text()
    js(page, "view.words.tell(true)")
    assert told(page, "stale")


def test_other_parts_of_a_table_are_shown_by_a_click_on_its_strip_and_by_z(show):
    page = show(latched(8, s=15), replay=False)
    listed(page, (0, table.PRESENT, 5, NIC, 0x41, 6))
    x, y, w, h = js(page, "view.picture.units.strip(0).map((n) => n * view.painter.scale)")
    left, top = js(page, "[view.stage.getBoundingClientRect().x, view.stage.getBoundingClientRect().y]")
    page.mouse.click(left + x + w / 2, top + y + h / 2)
    assert js(page, "view.table.windows[0].first") in range(32000, 33537, 256)
    page.get_by_role("listbox", name="Entries").focus()
    page.keyboard.press("z")
    assert js(page, "view.table.windows[0]") == {"each": 256, "cells": 256, "first": 0}
    page.get_by_role("button", name="Show all again").click()
    assert js(page, "view.table.windows[0]") == {"each": 1, "cells": 16, "first": 0}


def several(units=3):
    """A scene with several units, each with a table and a device behind it."""
    s = latched(64, devices=units)
    counts = (units, 2, [16] * units, len(s["tiles"]))
    devices = [[*row[:3], n, *row[4:]] for n, row in enumerate(s["devices"])]
    return s | {"devices": devices, "units": [[4096, 1, 16, 0]] * units, "wide": arrange.wide(*counts),
                "tall": arrange.tall(*counts), "slim": arrange.slim(*counts), "compact": arrange.compact(*counts)}


def test_the_table_of_every_unit_is_pointed_at_chosen_and_zoomed(show):
    page = show(several(), replay=False)
    listed(page, *((unit, table.PRESENT, 5, 8 * unit, 0x40 + unit, 2 * unit) for unit in range(3)))
    strip, model = page.locator(".vsim-strip"), "document.getElementById('map').model"
    chosen = f"['unit', 'irte'].map((each) => {model}.get(each))"
    for unit in (1, 2):
        page.mouse.move(*centre(page, "irte", 256 * unit + 5))
        assert strip.inner_text().startswith(f"vIOMMU {unit}, entry 5 · 00:0{unit}.0, vector {0x40 + unit:#x} ")
        page.mouse.click(*centre(page, "irte", 256 * unit + 5))
        assert page.evaluate(chosen) == [unit, 5]
        assert js(page, "view.pointer.chosen()") == [["irte", 256 * unit + 5]]
    page.mouse.click(*centre(page, "irte", 256 * 2 + 5))
    assert page.evaluate(chosen) == [2, -1], "a second click lets it go"
    page.mouse.dblclick(*centre(page, "irte", 256 + 5))
    assert js(page, "view.table.windows.map((each) => each.cells)") == [16, 256, 16]
    x, y, w, h = js(page, "view.picture.units.strip(2).map((n) => n * view.painter.scale)")
    left, top = js(page, "[view.stage.getBoundingClientRect().x, view.stage.getBoundingClientRect().y]")
    page.mouse.click(left + x + w / 2 + 1, top + y + h / 2)
    assert js(page, "view.table.windows.map((each) => [each.cells, each.first])") == [[16, 0], [16, 0], [256, 2048]]
    page.get_by_role("button", name="Show all again").click()
    assert js(page, "view.table.windows.map((each) => each.cells)") == [16, 16, 16]


def test_arrows_go_from_table_to_table(show):
    page = show(several(), replay=False)
    listed(page, *((unit, table.PRESENT, 5, 8 * unit, 0x40, 2) for unit in range(3)))
    entries = page.get_by_role("listbox", name="Entries")
    entries.focus()
    for key, place, number in (("End", 256 * 2 + 15, 48), ("Home", 0, 1), ("ArrowLeft", 0, 1)):
        page.keyboard.press(key)
        assert js(page, "view.keyboard.active.irte") == place
        assert entries.get_by_role("option").get_attribute("aria-posinset") == str(number)
    for _ in range(16):
        page.keyboard.press("ArrowRight")
    assert js(page, "view.keyboard.active.irte") == 256
    page.keyboard.press("ArrowUp")
    assert js(page, "view.keyboard.active.irte < 16")
    page.keyboard.press("End")
    page.keyboard.press("z")
    assert js(page, "view.table.windows.map((each) => each.cells)") == [16, 16, 256]


def test_each_unit_tells_what_it_refused_on_a_badge_of_its_own(show):
    page = show(several(), replay=False, context={"reduced_motion": "reduce"})
    receive(page, [Token(0, n, NOBODY, 9, Outcome.BLOCKED, 0x22) for n in (1, 2, 2)])
    page.get_by_role("button", name="2 blocked interrupts of vIOMMU 2").wait_for()
    assert page.locator(".vsim-badge:visible").all_inner_texts() == ["✕ 1", "✕ 2"]
    assert clipped(page) == []


@pytest.mark.parametrize("width, height", [(1400, 0), (700, 0), (300, 0), (760, 400), (345, 420)])
def test_no_label_covers_a_badge_or_a_heading(show, width, height):
    s = latched(s=15)
    page = show(s, width=width, height=height, replay=False, context={"reduced_motion": "reduce"})
    listed(page, *((0, table.PRESENT, index, NIC, 0x41, 6) for index in range(194)))
    receive(page, [Token(0, 0, NOBODY, 3, Outcome.BLOCKED, 0x22)])
    page.get_by_role("button", name="1 blocked interrupt").wait_for()
    for each in (lone(s, irte=index, vcpu=vcpu) for index in (0, 3, 15, 90) for vcpu in (0, 7, 280)):
        receive(page, [each])
        assert js(page, "view.traces.labels.placed.length") == 3
        assert clipped(page) == []


@pytest.mark.parametrize("unit, hatched", [(False, True), (True, False)])
def test_what_no_device_can_reach_is_hatched_before_anybody_fires(show, unit, hatched):
    s = latched(288) if unit else scene(machine(288, 3, unit=False))
    page = show(s, replay=False)
    js(page, "view.words.tell(true)")
    assert told(page, "far") is hatched
    if hatched:
        assert "no device reaches it: beyond 8 bits" in page.locator(".vsim-legend").inner_text()
        page.mouse.move(*centre(page, "vlapic", 200))
        assert page.locator(".vsim-strip").inner_text().endswith("beyond 8 bits")


def test_ipis_shade_the_wall_only_when_asked_to(show):
    s = latched()
    page = show(s, replay=False, context={"reduced_motion": "reduce"})
    receive(page, [Token(0, Places(s).vlapic, Places(s).vlapic + 9, 0, Outcome.DIRECT | Flag.NO_ENTRY, 0xF2)])
    page.get_by_text("IPI, unit's event, wire").wait_for()
    assert js(page, "[view.tally.direct[9], view.tally.delivered[9], view.tally.shaded(9)]") == [1, 0, 0]
    page.get_by_role("button", name="shade").click()
    assert js(page, "view.tally.shaded(9)") == 1
    assert page.get_by_role("button", name="shade").get_attribute("aria-pressed") == "true"


def test_lost_is_counted_apart_and_the_badge_counts_what_the_unit_refused(show):
    s = latched()
    page = show(s, replay=False, context={"reduced_motion": "reduce"})
    receive(page, [Token(0, 0, NOBODY, 5, Outcome.LOST | Flag.PAST, 65), Token(0, 0, NOBODY, 9, Outcome.BLOCKED, 0x22),
                   Token(0, 0, NOBODY, 5, Outcome.LOST | Flag.PAST, 65)])
    page.get_by_role("button", name="1 blocked interrupt").wait_for()
    assert "lost, nobody took it 2" in " ".join(page.locator(".vsim-legend").inner_text().split())
    assert [told(page, name) for name in ("refused", "lost", "pending", "spurious")] == [True, True, False, False]


@pytest.mark.parametrize("row, said, ends", [
    ((0, table.PRESENT, 5, NIC, 0x33, 14), "memory now: vector 0x33 \u2192 vCPU 7", 7),
    ((0, table.STALE, 5, NIC, 0, 0), "memory now: not present", None),
    ((0, table.PRESENT, 5, NIC, 0x20, 400), None, None)])
def test_a_stale_copy_is_amber_with_a_ghost_where_memory_points(show, row, said, ends):
    s = latched()
    page = show(s, replay=False, context={"reduced_motion": "reduce"})
    listed(page, row)
    receive(page, [lone(s, Outcome.REMAPPED | Flag.STALE)])
    assert js(page, "view.traces.lit[0].colour") == "stale"
    texts = js(page, "view.traces.labels.placed.map(({ text }) => text)")
    assert "IRTE 5, cached copy: vector 0x20 \u2192 APIC ID 0x190" in texts
    assert (said in texts) is (said is not None)
    if ends is not None:
        end = js(page, "view.traces.lit[0].ghost.points.at(-1)")
        assert end == [pytest.approx(each, abs=0.02) for each in way(s, s["wide"], lone(s, vcpu=ends))[-1]]


def test_a_storm_is_shown_as_rates_of_ways(show):
    s = latched()
    page = show(s, replay=False)
    shown = receive(page, [lone(s, vcpu=n % 288, src=n % 2) for n in range(300)], then="""(() => {
      view.intake.launch(view.player.now + 1000);
      const now = performance.now(), rates = view.rates.of(now);
      view.rates.drawn = -Infinity;
      return [view.rates.draw(view.painter, now, true), rates.get(-1), rates.get(0 + 1), rates.get((1 << 1) + 1),
        view.canvas.middle.hidden]; })()""")
    assert shown == [True, 300, 150, 150, False]
    landed(page, 300)
    page.wait_for_function("document.getElementById('map').vsim.canvas.middle.hidden")


def test_a_few_interrupts_are_tokens_all_the_way(show):
    s = latched()
    page = show(s, replay=False)
    assert receive(page, [lone(s)] * 5, then="""(() => { view.intake.launch(view.player.now + 1000);
      view.rates.drawn = -Infinity;
      return view.rates.draw(view.painter, performance.now(), true); })()""") is False


# --- words ---


def test_names_with_markup_are_shown_as_text(show):
    evil = "<img src=x onerror=alert(1)>"
    s = scene(Rig(bus=Bus([Function(NIC, evil, msix_count=1)])).start(s=7).m, "<script>alert(2)</script>")
    page = show(s, [Token(0, 0, NOBODY, 9, Outcome.BLOCKED, 0x22)], playing=False)
    seek(page, 1)
    page.get_by_text("In words").click()
    page.locator("tbody tr").first.wait_for()
    assert page.locator("img, h2 script").count() == 0
    assert page.locator("h2").inner_text() == "<script>alert(2)</script> · profile spec"
    assert evil in page.locator("details").inner_text()


def test_a_summary_for_screen_readers_tells_the_counts(show):
    s = latched()
    page = show(s, [Token(0, 0, Places(s).vlapic, 5, Outcome.REMAPPED, 65)] * 3, playing=False)
    seek(page, 3)
    assert page.get_by_role("status").inner_text() == "3 interrupts: 3 remapped. 0 vLAPICs with one pending."


def test_a_table_says_in_words_what_the_picture_shows(show):
    s = latched()
    page = show(s, [Token(0, 0, Places(s).vlapic + 7, 5, Outcome.REMAPPED, 65)] * 3, playing=False)
    seek(page, 3)
    page.get_by_text("In words").click()
    page.locator("tbody tr").first.wait_for()
    rows = [row.inner_text().split("\t") for row in page.locator("tbody tr").all()]
    assert ["remapped", "3"] in rows
    assert ["7", "0xe", "3", "no"] in rows
    assert ["00:03.0 nic, entry 5: remapped to vLAPIC 7, vector 0x41"] in rows


# --- how it looks ---


def test_the_theme_of_the_host_is_followed_live(show):
    page = show(latched())
    ground = "view.painter.colour.background"
    light = js(page, ground)
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_function(f"document.getElementById('map').vsim.painter.colour.background !== '{light}'")
    dark = js(page, ground)
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    page.wait_for_function(f"document.getElementById('map').vsim.painter.colour.background === '{light}'")
    page.evaluate("delete document.body.dataset.jpThemeLight")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"document.getElementById('map').vsim.painter.colour.background === '{dark}'")
    page.evaluate("document.body.classList.add('vscode-light')")
    page.wait_for_function(f"document.getElementById('map').vsim.painter.colour.background === '{light}'")
    page.evaluate("document.getElementById('map').model.set('theme', 'dark')")
    assert js(page, ground) == dark


CLIPPED = """(() => {
  const out = [], wide = document.documentElement.clientWidth, { texts, width, height } = view.painter;
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const box = ({ x, y, w, h }) => ({ left: x, top: y, right: x + w, bottom: y + h });
  const less = (a) => ({ left: a.left + 0.5, top: a.top + 0.5, right: a.right - 0.5, bottom: a.bottom - 0.5 });
  const pairs = (all) => all.forEach(([name, a], n) => all.slice(n + 1).forEach(([other, b]) => {
    if (meet(a, b)) out.push(`overlap: ${name} / ${other}`);
  }));
  if (document.documentElement.scrollWidth > wide) out.push("the page scrolls sideways");
  const area = view.stage.getBoundingClientRect();
  const words = texts.map((each) => [each.text, box(each)]);
  for (const [name, a] of words) {
    if (a.left < -0.5 || a.top < 0 || a.right > width + 0.5 || a.bottom > height) out.push(`clipped: ${name}`);
  }
  for (const badge of view.part.badges.map((each) => each.getBoundingClientRect()).filter(({ width }) => width)) {
    words.push(["badge", less({ left: badge.left - area.left, top: badge.top - area.top,
      right: badge.right - area.left, bottom: badge.bottom - area.top })]);
  }
  pairs(words);
  const kept = [...words.filter(([name]) => name === "badge"),
    ...texts.filter((each) => each.head).map((each) => [each.text, box(each)])];
  for (const each of view.traces.labels.placed ?? []) {
    for (const [name, b] of kept) if (meet(box(each), b)) out.push(`label ${each.text} covers ${name}`);
  }
  const names = "header > *, .vsim-bar > *, .vsim-legend > li, .vsim-strip, .vsim-stage, details";
  const parts = [...view.root.querySelectorAll(names)].filter((each) => each.checkVisibility())
    .map((each) => [each.className || each.textContent, less(each.getBoundingClientRect())]);
  for (const [name, a] of parts) if (a.left < 0 || a.right > wide) out.push(`outside: ${name}`);
  pairs(parts);
  return out;
})()"""


def clipped(page):
    """What overlaps, is cut off or lies outside, once the picture has the room that the words leave."""
    settle(page)
    return js(page, CLIPPED)


@pytest.mark.parametrize("width", [1400, 960, 480, 360, 240])
@pytest.mark.parametrize("vcpus", SIZES)
def test_no_words_overlap_and_nothing_is_clipped(show, vcpus, width):
    s = latched(vcpus, devices=32, s=15)
    s["title"][0] = "a domain with quite a long name, as people have them"
    page = show(s, some(s, 40), width=width, theme="dark" if vcpus == 288 else "light", playing=False)
    seek(page, 40)
    assert clipped(page) == []


@pytest.mark.parametrize("width, height", [(345, 420), (480, 380), (640, 340), (620, 400), (760, 400), (980, 480)])
@pytest.mark.parametrize("vcpus", SIZES)
def test_the_map_fits_into_a_box_that_the_page_gives(show, vcpus, width, height):
    s = latched(vcpus, devices=32 if vcpus > 8 else 3, s=15)
    page = show(s, some(s, 40), width=width, height=height, playing=False)
    seek(page, 40)
    assert js(page, "[view.root.offsetHeight, view.root.scrollHeight <= view.root.clientHeight]") == [height, True]
    assert js(page, "[view.painter.height <= view.room.clientHeight, view.painter.width <= view.room.clientWidth]") == [
        True, True]
    assert clipped(page) == []


@pytest.mark.parametrize("width, height", [
    (1920, 0), (1400, 0), (960, 0), (480, 0), (360, 0), (240, 0), (345, 420), (480, 380), (760, 400), (980, 480)])
@pytest.mark.parametrize("vcpus, devices, theme", [(8, 3, "light"), (288, 32, "dark")])
def test_the_8259_finds_its_room_at_every_width(show, vcpus, devices, theme, width, height):
    s = wired(vcpus, devices)
    token = Token(0, Places(s).pic, Places(s).vlapic, 0, Outcome.DIRECT | Flag.NO_ENTRY, 4)
    page = show(s, [token], width=width, height=height, theme=theme, playing=False)
    seek(page, 1)
    words = js(page, "view.painter.texts.map((each) => each.text)")
    assert "8259" in words
    assert any("INTR" in each or "LINT0" in each for each in words)
    assert clipped(page) == []


def test_the_8259_is_told_where_one_points(show):
    s = wired()
    page = show(s, width=1400)
    x, y, w, h = s["wide"]["pic"]["box"]
    scale, area = js(page, "[view.painter.scale, view.stage.getBoundingClientRect()]")
    page.mouse.move(area["x"] + (x + w / 2) * scale, area["y"] + (y + h / 2) * scale)
    page.get_by_text("the lines of the mainboard and the pair of 8259, which asks by INTR").first.wait_for()


def test_a_box_that_grows_gets_the_arrangement_that_fits(show):
    page = show(latched(), width=1000, height=400)
    before = js(page, "view.where.cell * view.picture.scale")
    page.evaluate("document.querySelector('.vsim-map').style.setProperty('--vsim-map-height', '700px')")
    page.wait_for_function(f"(({{ vsim }}) => vsim.where.cell * vsim.picture.scale > {before})"
                           "(document.getElementById('map'))")
    page.evaluate("document.querySelector('.vsim-map').style.setProperty('--vsim-map-height', 'auto')")
    page.wait_for_function("!document.querySelector('.vsim-fitted')")
    assert js(page, "view.where.size[0]") == 1120


@pytest.mark.parametrize("width", [1400, 480])
def test_words_fit_in_special_cases_too(show, width):
    for s in (scene(machine(unit=False)), scene(machine(0 + 8, 0)), latched(8, 200), latched(8, 1)):
        assert clipped(show(s, width=width)) == []
    page = show(latched(), some(latched(), 9), width=width, playing=False)
    js(page, "(view.player.seek(9), view.zoom(0))")
    assert clipped(page) == []


@pytest.mark.parametrize("width", [1400, 960, 360, 240])
def test_the_state_of_a_unit_fits_beside_the_badge(show, width):
    page = show(latched(), width=width, replay=False)
    page.evaluate("""([data]) => document.getElementById("map").model.receive({ kind: "tokens", clock: 0,
      states: ["remapping on"] }, [data, [], [], []].map((each) => new DataView(Uint8Array.from(each).buffer)))""",
                  [list(pack([Token(0, 0, NOBODY, 9, Outcome.BLOCKED, 0x22)] * 999))])
    page.wait_for_function("document.getElementById('map').vsim.tally.total[3] === 999")
    page.get_by_role("button", name="999 blocked").wait_for()
    assert any(each in js(page, "view.painter.texts.map((each) => each.text)") for each in ("remapping on", "on"))
    assert clipped(page) == []


def test_a_window_that_gets_narrow_gets_the_other_arrangement(show):
    page = show(latched())
    assert js(page, "view.where.flow") == "right"
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_function("document.getElementById('map').vsim.where.flow === 'down'")
    assert clipped(page) == []


@pytest.mark.skipif(AXE is None, reason="no axe_playwright_python")
@pytest.mark.parametrize("theme, width", [("light", 1400), ("dark", 480)])
def test_axe_finds_nothing(show, theme, width):
    s = latched()
    page = show(s, some(s, 40), width=width, theme=theme, playing=False)
    js(page, "(view.player.seek(40), view.words.showFaults(true), view.part.words.open = true)")
    page.get_by_role("listbox", name="vLAPICs").focus()
    page.evaluate(Path(AXE.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8") + ";0")
    found = page.evaluate("axe.run()")["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def test_a_view_that_is_made_before_it_is_in_the_page_fits_when_it_is(show):
    page = show(latched())
    page.evaluate("""() => { const { model, vsim } = document.getElementById("map"), el = document.createElement("div");
      window.other = new vsim.constructor(model, el);
      setTimeout(() => { el.style.width = "500px"; document.body.append(el); }, 50); }""")
    page.wait_for_function("window.other.where.flow === 'down' && window.other.painter.heat[0] !== ''")
    assert page.evaluate("window.other.painter.width") <= 500


def test_a_closed_view_leaves_nothing_behind(show):
    s = latched()
    page = show(s, replay=False)
    page.evaluate("document.getElementById('map').close()")
    receive(page, some(s, 5))
    page.evaluate("document.getElementById('map').model.set('vlapic', 5)")
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    assert page.locator(".vsim-map").count() == 0
    assert js(page, "view.intake.queue.length") == 0
