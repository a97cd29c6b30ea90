"""Stills: everything there is can be read, nothing is cut off or covered, and the same scene gives the same bytes."""

import io
import re
from functools import cache
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.patches import Circle

from vsim.devices import viommu
from vsim.explain.sentences import WAITS
from vsim.findings.assumed import Assumed, device, ioapic, units, vcpus
from vsim.guest import firmware
from vsim.machine import run, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from widgets.map import arrange
from widgets.map.scene import scene
from widgets.map.tokens import NOBODY, Flag, Outcome, Places, Token
from widgets.stills import figures
from widgets.stills.captions import steps
from widgets.stills.ink import plain
from widgets.stills.plate import shade
from widgets.theme import OUTCOMES, palette

SIZES = (1, 8, 288, 1024, 4096)
NIC = 0x0018
HARD = "$x_1$ <b>\u4e2d\n" + "long " * 60


def machine(vcpus=8, devices=4, unit=True, **options):
    bus = Bus([Function(NIC + 8 * n, f"NIC {n} " + "of a long name " * 3, msix_count=1, pin=1 + n % 4)
               for n in range(devices)])
    m = Machine(profile("spec").with_options(**options), vcpus=vcpus, bus=bus)
    if unit:
        step(m, c.Domctl(viommu.create_op()))
    return m


@cache
def picture(name="big", **more):
    """The scene of a machine; its unit, if any, with a full table in use."""
    made = scene(machine(**more), name)
    made["units"] = [[65536, 1, 256, 0] for _ in made["units"]]
    counts = (len(made["devices"]), 2, [unit[2] for unit in made["units"]], len(made["tiles"]))
    return {**made, "wide": arrange.wide(*counts), "tall": arrange.tall(*counts)}


def token(made, outcome=0, dst=-1, src=0, irte=6, vector=0x41):
    """An interrupt of device src to the last vCPU, or to dst."""
    places = Places(made)
    place = dst if dst == NOBODY else places.vlapic + (made["vlapics"] - 1 if dst < 0 else dst)
    return Token(0.0, src, place, irte, outcome, vector)


ENDS = {
    "remapped": (Outcome.REMAPPED, -1), "posted": (Outcome.POSTED, -1),
    "compatibility": (Outcome.COMPATIBILITY | Flag.NO_ENTRY, 0),
    "blocked": (Outcome.BLOCKED, NOBODY), "blocked before the table": (Outcome.BLOCKED | Flag.NO_ENTRY, NOBODY),
    "for nobody": (Outcome.LOST | Flag.PAST, NOBODY), "by a pin": (Flag.PIN, -1),
}


def extents(artists, figure):
    """A row x0, y0, x1, y1 in pixels for each artist."""
    renderer = figure.canvas.get_renderer()
    return np.array([each.get_window_extent(renderer).extents for each in artists]).reshape(-1, 4)


def extents_of_cells(figure):
    to_pixels = figure.axes[0].transData.transform
    corners = [path.vertices[[0, 2]] for each in figure.axes[0].collections if isinstance(each, PolyCollection)
               for path in each.get_paths()]
    points = to_pixels(np.array(corners).reshape(-1, 2)).reshape(-1, 2, 2)
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def shared(one, other):
    """Pixels that boxes have in common in the direction in which it is less; negative where they are apart."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    return (high - low).min(axis=2)


def along(line):
    """Points at most a pixel apart on a drawn line."""
    ends = line.get_transform().transform(line.get_xydata())
    pieces = [np.linspace(a, b, int(abs(b - a).max()) + 2) for a, b in pairwise(ends)]
    return np.concatenate(pieces)


def check_readable(figure):
    axes, width, height = figure.axes[0], figure.bbox.width, figure.bbox.height
    said, texts, cells = [each.get_text() for each in axes.texts], extents(axes.texts, figure), extents_of_cells(figure)
    discs = extents([each for each in axes.patches if isinstance(each, Circle)], figure).reshape(-1, 4)
    for boxes in (texts, cells, discs):
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (width, height)).all(), "something is cut off"
    both = np.argwhere(np.triu(shared(texts, texts), 1) > 0.5)
    assert [(said[a], said[b]) for a, b in both] == []
    assert [said[n] for n in np.flatnonzero((shared(texts, cells) > 1.5).any(axis=1))] == []
    over = shared(discs, texts) > 0.5
    assert (over.sum(axis=1) == 1).all(), "a disc covers more than its own number"
    assert (np.triu(shared(discs, discs), 1) <= 0).all()
    words = np.delete(texts, np.argwhere(over)[:, 1], axis=0)
    way = np.concatenate([along(line) for line in axes.lines if len(line.get_xdata()) > 1])
    inside = ((way[:, None] > words[None, :, :2]) & (way[:, None] < words[None, :, 2:])).all(axis=2).any(axis=0)
    assert [each for each, hit in zip(np.delete(said, np.argwhere(over)[:, 1]), inside, strict=True) if hit] == []


@pytest.mark.parametrize("shape", figures.SHAPES)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vcpus", SIZES)
def test_nothing_overlaps_and_nothing_is_cut_off(vcpus, theme, shape):
    made = picture(vcpus=vcpus)
    check_readable(figures.still(made, token(made), [token(made)] * 3, theme, shape))


@pytest.mark.parametrize("shape", figures.SHAPES)
@pytest.mark.parametrize("outcome, dst", ENDS.values(), ids=ENDS)
def test_every_end_of_a_way_leaves_the_words_readable(outcome, dst, shape):
    made = picture(vcpus=288)
    check_readable(figures.still(made, token(made, outcome, dst), (), "light", shape))


@pytest.mark.parametrize("shape", figures.SHAPES)
@pytest.mark.parametrize("devices", [1, 2, 31, 64, 130])
@pytest.mark.parametrize("src", [0, -1])
def test_any_number_of_devices_leaves_the_words_readable(devices, src, shape):
    made = picture(devices=devices)
    check_readable(figures.still(made, token(made, src=src % devices), (), "dark", shape))


@pytest.mark.parametrize("shape", figures.SHAPES)
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("step_", [1, 2])
def test_a_picture_without_a_way_is_readable_too(unit, step_, shape):
    check_readable(figures.still(picture(name=HARD, vcpus=24, unit=unit, apic_id_step=step_), shape=shape))


@pytest.mark.parametrize("vcpu", [0, 7, 100, 127, 128, 287])
@pytest.mark.parametrize("shape", figures.SHAPES)
def test_the_lit_cluster_has_its_number_wherever_it_is(vcpu, shape):
    made = picture(vcpus=288)
    figure = figures.still(made, token(made, dst=vcpu), (), "light", shape)
    check_readable(figure)
    first = 2 * vcpu // 16 * 16
    assert {f"{first:#x}", f"{first:#x}\u2013{first + 15:#x}"} & {text.get_text() for text in figure.axes[0].texts}


def words(figure):
    return " ".join(text.get_text() for text in figure.axes[0].texts)


def test_the_picture_names_domain_profile_and_what_is_drawn():
    figure = figures.still(picture(vcpus=288))
    assert "domain big, profile spec" in words(figure)
    assert "288 vLAPICs" in words(figure) and "entries 0 to 255" in words(figure)
    assert all(each.name in words(figure) for each in OUTCOMES)


def test_a_picture_without_a_unit_says_so():
    assert "no vIOMMU here" in words(figures.still(picture(unit=False)))


def test_the_way_is_told_step_by_step():
    made = picture(vcpus=288)
    told = [(step.place, step.name) for step in steps(made, token(made))]
    assert told == [("device", "device 00:03.0"), ("router", "vMSI"), ("entry", "IRTE 6"), ("vlapic", "vLAPIC 287")]
    assert "APIC ID 0x23e, in cluster 0x23; accepts vector 0x41" in steps(made, token(made))[-1].detail


@pytest.mark.parametrize(
    "outcome, dst, last, says",
    [
        (Outcome.BLOCKED, NOBODY, "IRTE 6", "blocked, fault 0x22: the entry is not present"),
        (Outcome.BLOCKED | Flag.NO_ENTRY, NOBODY, "vIOMMU 0", "blocked, fault 0x22"),
        (Outcome.LOST | Flag.PAST, NOBODY, "nobody", "lost: no local APIC takes"),
        (Outcome.COMPATIBILITY | Flag.NO_ENTRY, 0, "vLAPIC 0", "accepts vector 0x22"),
        (Flag.MERGED, 3, "vLAPIC 3", "requested already"),
    ],
)
def test_a_way_that_ends_elsewhere_says_where_and_why(outcome, dst, last, says):
    made = picture()
    end = steps(made, token(made, outcome, dst, vector=0x22))[-1]
    assert end.name == last and says in end.detail


def test_a_pin_goes_through_the_ioapic_and_an_event_of_the_unit_through_no_router():
    made = picture()
    assert steps(made, token(made, Flag.PIN))[1].name == "vIOAPIC"
    own = Token(0.0, Places(made).unit, Places(made).vlapic, 0, Outcome.DIRECT | Flag.NO_ENTRY, 0x31)
    assert [step.place for step in steps(made, own)] == ["vlapic"]
    check_readable(figures.still(made, own))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("number", range(4))
def test_the_way_has_the_colour_of_its_outcome(number, theme):
    made = picture()
    outcome, dst = [(0, -1), (1, -1), (Outcome.COMPATIBILITY | Flag.NO_ENTRY, 0), (3, NOBODY)][number]
    lines = figures.still(made, token(made, outcome, dst), (), theme).axes[0].lines
    lit = [line for line in lines if line.get_linewidth() > 1.5 and len(line.get_xdata()) > 2]
    assert [line.get_color() for line in lit] == [palette(theme).outcome(OUTCOMES[number].name)]


def test_vlapics_are_shaded_by_what_reached_them():
    made = picture()
    past = [token(made, dst=3)] * 15 + [token(made, dst=5)]
    fills = [each.get_facecolor() for each in figures.still(made, past=past).axes[0].collections]
    shades = {matplotlib.colors.to_hex(colour) for colours in fills for colour in colours}
    heat = palette("light").heat
    assert {heat[0], heat[1], heat[15]} <= shades
    assert [shade(count, 30) for count in (0, 1, 15, 30)] == [0, 1, 7, 15]
    assert "deliveries, 0 to 15" in words(figures.still(made, past=past))


@pytest.mark.parametrize("write, magic", [(figures.to_png, b"\x89PNG"), (figures.to_svg, b"<?xml"),
                                          (figures.to_pdf, b"%PDF")])
def test_a_file_has_the_same_bytes_each_time(write, magic):
    made = picture(vcpus=8)
    first = write(figures.still(made, token(made)))
    assert first.startswith(magic)
    assert first == write(figures.still(made, token(made)))
    assert not re.search(rb"(?i)creationdate|dc:date|software", first)


def test_a_png_is_as_large_as_was_asked():
    made = picture()
    size = re.match(rb".{16}(.{4})(.{4})", figures.to_png(figures.still(made), 1.5), re.DOTALL)
    assert int.from_bytes(size[1], "big") == 1120 * 1.5


def test_a_name_is_drawn_as_it_is_written():
    """Neither mathematics nor markup; a character that the font lacks, or a line break, is a question mark."""
    figure = figures.still(picture(name="$x_1$ <b>\u4e2d\n"))
    assert "domain $x_1$ <b>??, profile spec" in words(figure)
    assert plain("a\x1b[31m") == "a?[31m"
    figures.to_svg(figure)


def test_settings_of_the_user_do_not_change_a_picture():
    made = picture()
    plain_bytes = figures.to_png(figures.still(made, token(made)))
    with matplotlib.rc_context({"font.family": "monospace", "font.size": 30, "axes.facecolor": "red",
                                "savefig.facecolor": "red", "savefig.bbox": "tight", "lines.linestyle": ":"}):
        assert figures.to_png(figures.still(made, token(made))) == plain_bytes


def test_drawing_leaves_pyplot_alone():
    made = picture()
    figures.to_png(figures.still(made))
    import matplotlib.pyplot

    assert matplotlib.pyplot.get_fignums() == []


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda made: figures.still(made, shape="round"), "shape is 'round'; known are wide, tall"),
        (lambda made: figures.still(made, theme="sepia"), "theme is 'sepia'; known are light, dark"),
        (lambda made: figures.drawn.data(figures.still(made), "gif"), "kind is 'gif'; known are png, svg, pdf"),
    ],
)
def test_an_unknown_name_is_the_callers_mistake(call, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        call(picture())


def test_a_still_reaches_a_stream_as_matplotlib_figures_do():
    out = io.BytesIO()
    figures.still(picture()).savefig(out, format="png")
    assert out.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", figures.SHAPES)
@pytest.mark.parametrize("outcome, irq, end", [
    (Outcome.DIRECT | Flag.NO_ENTRY, 4, "asks by INTR for IRQ 4"),
    (Outcome.MASKED | Flag.NO_ENTRY, WAITS, "waits at the 8259")])
def test_a_line_of_the_mainboard_is_drawn_and_told_through_the_8259(outcome, irq, end, shape):
    m = machine()
    run(m, firmware.virtual_wire(m))
    drawn = scene(m, "big")
    places = Places(drawn)
    dst = places.vlapic if outcome & 7 == Outcome.DIRECT else NOBODY
    way = Token(0, places.pic, dst, 0, outcome, irq)
    figure = figures.still(drawn, way=way, shape=shape)
    check_readable(figure)
    assert all(each in words(figure) for each in ("8259", "IRQs"))
    assert [each.name for each in steps(drawn, way)][:2] == ["mainboard", "8259"]
    assert steps(drawn, way)[1].detail.startswith(end)


@pytest.mark.parametrize("shape", figures.SHAPES)
def test_what_is_assumed_has_a_dotted_border_and_a_word_in_the_legend(shape):
    m, assumed = machine(), Assumed()
    assert not dotted(figures.still(scene(m, "big", assumed=assumed), shape=shape))
    assumed.add("what it is", [device(NIC + 8), ioapic(0), *units([0]), *vcpus(2)])
    drawn = scene(m, "big", assumed=assumed)
    figure = figures.still(drawn, shape=shape)
    (marked, legend) = dotted(figure)
    assert len(marked.get_paths()) == 5 and len(legend.get_paths()) == 1
    where, top = drawn[shape], marked.get_paths()[1].vertices[:4].min(axis=0)[1] - drawn[shape]["routers"][0][1]
    boxes = [path.get_extents().bounds for path in marked.get_paths()]
    for box, (x, y, w, h) in zip(boxes[1:3], (where["routers"][0], where["units"][0]), strict=True):
        assert box == pytest.approx((x, y + top, w, h))
    assert "assumed in part" in [each.get_text() for each in figure.findobj(matplotlib.text.Text)]


def dotted(figure):
    """The collections with a dotted line."""
    return [each for each in figure.findobj(PolyCollection) if len(each.get_paths()) and
            any(dashes for _, dashes in each.get_linestyle())]
