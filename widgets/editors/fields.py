"""An editor for any layout: bits, fields, the whole word and its text form, each changing all the others.

`Fields.value` is the word. A value that cannot be is refused where it was typed, in words, and the word stays. With
`stored` the word is one that is about to be written to a register that holds `stored`: `announce` says beforehand what
the write will do to each field, by its kind of access.
"""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as W
import traitlets

from vsim.layouts.bits import Access, Field, Layout, format_value, get, parse_value, put
from widgets.editors.strip import CSS as STRIP_CSS
from widgets.editors.strip import Strip
from widgets.lab import panel
from widgets.lab.panel import line, table

CSS = STRIP_CSS + """
.vsim-fields{overflow:visible!important;display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));
 gap:1px 14px}
.vsim-fields>*{width:auto!important;max-width:420px;min-width:0}
.vsim-fields .widget-checkbox label{width:auto}
.vsim-changed{box-shadow:inset 3px 0 0 var(--vsim-compatibility)}
.vsim-changed label{color:var(--vsim-compatibility)!important;font-weight:600}
@container (max-width:640px){.vsim-fields{grid-template-columns:repeat(auto-fill,minmax(170px,1fr))}
 .vsim-fields .widget-label{flex:0 0 94px!important;width:94px!important;font-size:12px}
 .vsim-fields>*{margin:0!important}}
"""
NAMED_BITS = 4
"""Widest field, in bits, whose named values are offered as a list; a list has all values."""


def announce(layout: Layout, stored: int, new: int) -> list[tuple[str, str]]:
    """What writing `new` over `stored` will do: (sentence, kind) for every field that the write touches or spares."""
    said = [each for place in layout.fields if (each := _effect(place, get(stored, place), get(new, place)))]
    return said or [("The write changes nothing.", "muted")]


def _effect(place: Field, old: int, new: int) -> tuple[str, str] | None:
    name, was, will = place.name, format_value(place, old), format_value(place, new)
    if place.access is Access.RSVD:
        return (f"Reserved bits {place.bits} are written as {new:#x}; they must be 0.", "bad") if new else None
    if place.access is Access.W1C:
        return _cleared(place, old, new)
    if place.access is Access.WO:
        return (f"{name}: write-only; {will} is written, and a read shows 0.", "warn") if new else None
    if place.access is Access.RO:
        return (f"{name}: read-only; it stays {was}, {will} is ignored.", "warn") if old != new else None
    return (f"{name}: {was} becomes {will}.", "") if old != new else None


def _cleared(place: Field, old: int, new: int) -> tuple[str, str] | None:
    if new & old:
        return f"{place.name}: writing 1 clears it; it becomes {format_value(place, old & ~new)}.", "warn"
    if new:
        return f"{place.name}: writing 1 clears it, and it is 0 already.", "muted"
    return (f"{place.name}: 0 is written and leaves it {format_value(place, old)}.", "muted") if old else None


def legend(layout: Layout) -> str:
    """The layout as a table that opens on demand: what hovering shows, for everybody else."""
    rows = table(("bits", "field", "access", "values", "meaning"), layout.rows(), f"Fields of {layout.name}")
    title = escape(f"{layout.name}: meaning of the bits, {layout.section}")
    return f"<details><summary>{title}</summary>{rows}</details>"


def whole_text(layout: Layout, word: int) -> str:
    """The word in hexadecimal, with all its digits, eight to a group."""
    digits = f"{word:0{(layout.width + 3) // 4}x}"
    first = len(digits) % 8
    groups = ([digits[:first]] if first else []) + [digits[at:at + 8] for at in range(first, len(digits), 8)]
    return "0x" + "_".join(groups)


def parse_number(text: str, limit: int, what: str) -> int:
    """The number that a reader typed: decimal, 0x hexadecimal, or bus:device.function. ValueError in words."""
    plain = text.strip().replace("_", "").replace(" ", "")
    try:
        value = parse_value(plain)
    except ValueError:
        raise ValueError(f"{what}: {text[:40]!a} is not a number; write it like 26, 0x1a or 03:00.0") from None
    if value > limit:
        raise ValueError(f"{what}: {value:#x} is over its limit {limit:#x}")
    return value


class Fields(W.VBox):
    """The editor. `value`: the word. stored: see the module. locked: the word is shown and cannot be changed.

    two: what is stored and what is to be written are two rows of bits. middle: widgets of the caller's that stand
    right below the bits and the fields, near what they are about; they stay open when the editor is closed.
    """

    value = traitlets.Int(0, help="the word, 0 to 2^width - 1")

    def __init__(self, layout: Layout, value: int = 0, stored: int | None = None, locked: bool = False, *,
                 two: bool = False, middle: tuple[W.Widget, ...] = ()) -> None:
        self.layout_of_bits, self._stored, self.locked, self.two, self.middle = layout, stored, locked, two, middle
        self._showing = False
        self.controls: dict[str, Any] = {place.name: self._control(place) for place in reversed(layout.fields)
                                         if place.access is not Access.RSVD}
        self.strip = Strip(layout, self.flip, not locked, two)
        self.whole = self._text("whole, hex", f"all {layout.width} bits of {layout.name}")
        self.line = self._text("in one line", "name=value of every field that is not 0; parses back")
        self.problem, self.effects = W.HTML(), W.HTML()
        for box in (self.problem, self.effects):
            box.add_class("vsim-message")
        super().__init__()
        self.set_trait("value", self._fitting({"value": value}))
        self._connect()
        flags = [control for control in self.controls.values() if isinstance(control, W.Checkbox)]
        grid = W.Box([control for control in self.controls.values() if control not in flags])
        grid.add_class("vsim-fields")
        self.children = (self.strip, self.problem, self.effects, grid, panel.flow(*flags), *middle,
                         panel.flow(self.whole, self.line), W.HTML(legend(layout)))
        self.show()

    # --- making the controls ----------------------------------------------------------------------------------

    def _text(self, name: str, tip: str) -> W.Text:
        made = W.Text(description=name, tooltip=tip, continuous_update=False, disabled=self.locked,
                      style={"description_width": "initial"},
                      layout=W.Layout(flex="1 1 400px", width="auto", max_width="640px"))
        made.add_class("vsim-mono")
        return made

    def _control(self, place: Field) -> W.Widget:
        tip = f"{place.doc} ({place.access.value}; bits {place.bits}; {self.layout_of_bits.section})".strip()
        where = f" [{place.bits}]" if len(place.pieces) == 1 else ""  # of a split field the bits do not fit the label
        common = {"description": f"{place.name}{where}", "tooltip": tip,
                  "disabled": self.locked or place.access is Access.RO}
        if place.size == 1 and not place.names:
            return W.Checkbox(indent=False, layout=W.Layout(width="auto"), **common)
        common["style"] = {"description_width": "130px"}
        if place.names and place.size <= NAMED_BITS:
            options = [(f"{v:#x} {place.names.get(v, 'no meaning')}", v) for v in range(place.limit + 1)]
            return W.Dropdown(options=options, **common)
        made = W.Text(continuous_update=False, **common)
        made.add_class("vsim-mono")
        return made

    def _connect(self) -> None:
        self.observe(lambda _: self.show(), "value")
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self._typed(self.controls[name], change, name), "value")
        self.whole.observe(lambda change: self._typed(self.whole, change, ""), "value")
        self.line.observe(lambda change: self._typed(self.line, change, "="), "value")

    # --- from the reader to the word --------------------------------------------------------------------------

    def _typed(self, control: Any, change: dict[str, Any], name: str) -> None:
        """A control was changed: by a reader, unless the editor itself is showing a word."""
        if self._showing:
            return
        try:
            self.value = self._read(name, change["new"])
        except (ValueError, traitlets.TraitError) as error:
            self.problem.value = f'<div role="alert">{line(str(error)[:400], "bad")}</div>'
            control.add_class("vsim-wrong")
        else:
            self.show()

    def _read(self, name: str, typed: Any) -> int:
        layout = self.layout_of_bits
        if name == "=":
            return layout.parse(typed)
        if not name:
            text = typed if typed.strip()[:2].lower() == "0x" else f"0x{typed.strip()}"
            return parse_number(text, (1 << layout.width) - 1, layout.name)
        place: Field = getattr(layout, name)
        number = int(typed) if isinstance(typed, (bool, int)) else parse_number(typed, place.limit, name)
        return put(self.value, place, number)

    @traitlets.validate("value")
    def _fitting(self, proposal: dict[str, Any]) -> int:
        word, layout = proposal["value"], self.layout_of_bits
        if not 0 <= word < 1 << layout.width:
            raise ValueError(f"{layout.name} is {word:#x}; the limit is {(1 << layout.width) - 1:#x}")
        return word

    def flip(self, bit: int) -> None:
        """Change one bit, reserved ones too: what the hardware makes of them is worth seeing."""
        if not self.locked and 0 <= bit < self.layout_of_bits.width:
            self.value ^= 1 << bit

    # --- from the word to the controls ------------------------------------------------------------------------

    @property
    def stored(self) -> int | None:
        """What the register holds now; None when the word is not a write to a register."""
        return self._stored

    @stored.setter
    def stored(self, word: int | None) -> None:
        self._stored = word
        self.show()

    def show(self) -> None:
        """Bring every control to the word."""
        self._showing = True
        try:
            for name, control in self.controls.items():
                self._show_one(control, getattr(self.layout_of_bits, name))
                self._mark(control, getattr(self.layout_of_bits, name))
            self.whole.value = whole_text(self.layout_of_bits, self.value)
            self.line.value = self.layout_of_bits.text(self.value)
            self.strip.show(self.value, self._stored)
            self.problem.value = ""
            self.effects.value = self._notes()
            for control in (self.whole, self.line, *self.controls.values()):
                control.remove_class("vsim-wrong")
        finally:
            self._showing = False

    def _show_one(self, control: Any, place: Field) -> None:
        value = get(self.value, place)
        if isinstance(control, W.Checkbox):
            control.value = bool(value)
        elif isinstance(control, W.Dropdown):
            control.value = value
        else:
            named = f" {place.names[value]}" if value in place.names and control.disabled else ""
            control.value = format_value(place, value) + named

    def _mark(self, control: Any, place: Field) -> None:
        """A field whose bits are not those that are stored is marked."""
        changed = self._stored is not None and get(self.value, place) != get(self._stored, place)
        (control.add_class if changed else control.remove_class)("vsim-changed")

    def _notes(self) -> str:
        if self._stored is not None:
            said = announce(self.layout_of_bits, self._stored, self.value)
            return "".join(line(sentence, kind) for sentence, kind in said)
        wrong = self.layout_of_bits.reserved_set(self.value)
        return line(f"Reserved bits are set: {wrong:#x}. They must be 0.", "warn") if wrong else ""

    def close(self) -> None:
        """Close every control with it, but for those that were lent to it."""
        self.children = tuple(each for each in self.children if each not in self.middle)
        panel.close_all(self)
