"""The picture of limits: a line for each that is near, its name at its end, nothing cut off."""

import pytest

from vsim.scale.limits import Demand, sized
from widgets.stills.growth import HIGH, LOW, growth

CARDS = Demand(vcpus=16, devices=((64, 0), (64, 0)), pins=2)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("most", [64, 1024, 4096])
def test_every_limit_is_a_line_or_said_to_be_far(theme, most):
    figure = growth(CARDS, most, theme=theme)
    axes = figure.axes[0]
    words = {text.get_text() for text in axes.texts}
    far = " ".join(text.get_text() for text in figure.texts)
    for row in sized(CARDS):
        assert row.limit.name in words or row.limit.name in far
    assert len(axes.lines) == len(words - {"bites above"}) + 1


def test_a_line_says_what_the_limits_say():
    axes = growth(Demand(vcpus=1, devices=((64, 0),), form="compatibility"), 1024).axes[0]
    last = sorted(min(HIGH, row.use) for row in sized(Demand(1024, ((64, 0),), form="compatibility")))
    ends = sorted(line.get_ydata()[-1] for line in axes.lines[:-1])
    assert ends == [pytest.approx(value) for value in last if value in ends] and len(ends) >= 3
    assert all(max(line.get_ydata()) >= LOW for line in axes.lines[:-1])


def test_nothing_is_cut_off_or_lies_over_something_else():
    figure = growth(CARDS, 1024)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in [*figure.axes[0].texts, *figure.texts]]
    width, height = figure.canvas.get_width_height()
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[n + 1:])
