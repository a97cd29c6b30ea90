"""Colours can be read and told apart, and the page gets exactly those that matplotlib gets."""

import itertools
import re

import pytest

from widgets.theme import HEAT_STEPS, OUTCOMES, PALETTES, SIZES, css, palette, points, ramp

THEMES = sorted(PALETTES)
MARKS = [*(each.name for each in OUTCOMES), "lost", "stale"]

# What is left of linear red, green and blue for readers without one kind of cone
# (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}


def linear(colour):
    parts = [byte / 255 for byte in bytes.fromhex(colour[1:])]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def luminance(colour):
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def contrast(one, other):
    """WCAG 2: 1 (none) to 21 (black on white)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def seen(colour, sight):
    return [min(1, max(0, sum(a * b for a, b in zip(row, linear(colour), strict=True)))) for row in SIGHT[sight]]


def lab(red, green, blue):
    """CIE L*a*b* of linear sRGB; a distance of 2 or 3 is just noticed."""
    white = (0.9505, 1, 1.089)
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [(r * red + g * green + b * blue) / w for (r, g, b), w in zip(rows, white, strict=True)]
    x, y, z = (part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116 for part in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one, other, sight="normal"):
    pairs = zip(lab(*seen(one, sight)), lab(*seen(other, sight)), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) ** 0.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("word", ["text", "muted", *(each.name for each in OUTCOMES)])
@pytest.mark.parametrize("ground", ["background", "panel"])
def test_words_can_be_read(theme, word, ground):
    colours = palette(theme)._asdict()
    assert contrast(colours[word], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_outlined_or_lit_stands_out_from_the_ground(theme):
    colours = palette(theme)
    assert contrast(colours.ring, colours.background) >= 3
    assert all(contrast(each, ground) >= 3 for each in (colours.lost, colours.stale)
               for ground in (colours.background, colours.panel))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("one, other", list(itertools.combinations(MARKS, 2)))
def test_what_became_of_an_interrupt_differs_in_colour_for_every_reader(theme, sight, one, other):
    colours = palette(theme)._asdict()
    assert distance(colours[one], colours[other], sight) >= 14


def test_outcomes_differ_in_shape():
    assert len({each.shape for each in OUTCOMES}) == len(OUTCOMES)


def test_the_measure_sees_colours_that_are_one_for_some_readers():
    """An orange and an ochre, well apart in normal sight."""
    assert distance("#a86a00", "#c6420b") > 30
    assert distance("#a86a00", "#c6420b", "deuteranopia") < 3


@pytest.mark.parametrize("theme", THEMES)
def test_heat_rises_away_from_the_ground_step_by_step(theme):
    heat = palette(theme).heat
    steps = [contrast(shade, palette(theme).background) for shade in heat]
    assert len(heat) == HEAT_STEPS == len(set(heat))
    assert steps == sorted(steps)


@pytest.mark.parametrize("theme", THEMES)
def test_a_cell_without_deliveries_is_still_seen(theme):
    colours = palette(theme)
    assert distance(colours.heat[0], colours.background) >= 8
    assert distance(colours.slot, colours.background) >= 8


def test_a_ramp_goes_through_its_ends():
    assert ramp("#000000", "#0f1e2d")[0] == "#000000"
    assert ramp("#000000", "#ffffff", "#0f1e2d")[-1] == "#0f1e2d"
    assert ramp("#000000", "#0f1e2d")[1] == "#010203"


def test_every_colour_and_size_reaches_the_page():
    sheet = css()
    for colours in PALETTES.values():
        for name, value in colours._asdict().items():
            wanted = [f"--vsim-{name}:{value};"] if name != "heat" else [
                f"--vsim-heat-{step}:{shade};" for step, shade in enumerate(value)]
            assert all(sheet.count(each) >= 3 for each in wanted), name
    assert {name: float(value) for name, value in re.findall(r"--vsim-([a-z-]+):([\d.]+)px;", sheet)} == SIZES


def test_the_style_sheet_is_well_formed_and_calls_nothing_from_outside():
    sheet = css()
    assert sheet.count("{") == sheet.count("}")
    assert not re.search(r"url|@import|http|<", sheet)


def test_what_the_element_says_overrules_the_host():
    """By specificity: two classes and an attribute against a host's class or attribute and one class."""
    assert '.vsim.vsim[data-theme="dark"]' in css() and '[data-jp-theme-light="false"]' in css()


@pytest.mark.parametrize("call", [lambda: palette("sepia"), lambda: palette("dark").outcome("lost")])
def test_an_unknown_name_is_the_callers_mistake(call):
    with pytest.raises(ValueError, match="known are"):
        call()


def test_points_are_three_quarters_of_a_pixel():
    assert points("stroke") == 0.75 * SIZES["stroke"]
