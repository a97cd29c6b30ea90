"""The bits of a word, drawn: a pure function to a string, and the widget that lets a reader flip a bit.

The page only reports which bit was asked for; whether it flips is the kernel's business.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from itertools import groupby

import anywidget
import traitlets

from vsim.layouts.bits import Access, Field, Layout, get

CSS = """
.vsim-words{margin:2px 0 6px;font-family:var(--jp-code-font-family,ui-monospace,monospace);max-width:1000px}
.vsim-word{display:grid;grid-template-columns:52px repeat(32,minmax(0,1fr));margin-bottom:4px}
.vsim-word>b{font-weight:400;font-size:11px;color:var(--vsim-muted);align-self:start;padding-top:3px}
.vsim-word>i{font:inherit;font-size:11px;line-height:1.1;color:var(--vsim-muted);text-align:center;padding:2px 0;
 margin:1px 1px 0;border-top:2px solid var(--vsim-line);overflow-wrap:anywhere;overflow:hidden}
.vsim-word>i.none{border:0}
.vsim-word>i.tall{writing-mode:vertical-rl;justify-self:center;border-top:0;border-right:2px solid var(--vsim-line);
 margin-top:2px;padding:0 1px}
.vsim-bit{all:unset;box-sizing:border-box;text-align:center;font-size:12px;line-height:20px;height:20px;
 color:var(--vsim-text);background:var(--vsim-panel);border:1px solid var(--vsim-slot);border-left-width:0;min-width:0}
.vsim-bit.first{border-left:2px solid var(--vsim-line)}
.vsim-bit.on{background:var(--vsim-remapped);color:var(--vsim-background);font-weight:700}
.vsim-bit.rsvd{color:var(--vsim-muted);background:repeating-linear-gradient(135deg,transparent 0 3px,
 var(--vsim-slot) 3px 4px)}
.vsim-bit.rsvd.on{background:var(--vsim-blocked);color:var(--vsim-background)}
.vsim-bit.diff{text-decoration:underline;text-decoration-thickness:3px;text-underline-offset:2px;
 box-shadow:inset 0 0 0 2px var(--vsim-compatibility)}
.vsim-now{margin-bottom:0;opacity:.85}
button.vsim-bit{cursor:pointer}
button.vsim-bit:hover{outline:2px solid var(--vsim-ring);outline-offset:-2px}
button.vsim-bit:focus-visible{outline:2px solid var(--vsim-ring)!important;outline-offset:-2px!important}
@container (max-width:640px){.vsim-word{grid-template-columns:38px repeat(32,minmax(0,1fr))}
 .vsim-slim .vsim-bit{height:10px;font-size:0;line-height:0}.vsim-slim>b{margin-top:-5px}
 .vsim-word>i{font-size:10px;overflow-wrap:normal;letter-spacing:-.6px}.vsim-bit{font-size:10px}.vsim-word>b{font-size:10px}}
@container (max-width:480px){.vsim-word>i{font-size:9px}}
@container (max-width:400px){.vsim-word>:is(i,u){display:none}
 .vsim-word{grid-template-columns:repeat(32,minmax(0,1fr))}.vsim-word>b{grid-column:1/-1;padding:0}}
"""

_SCRIPT = """
const step = {ArrowLeft: 1, ArrowRight: -1, ArrowUp: 32, ArrowDown: -32};
export default {render({model, el}) {
  // A page lays out only what changed, and the bit in focus keeps it.
  const paint = () => {
    const words = [model.get("word"), model.get("before")].map(BigInt), told = model.get("told");
    for (const each of el.querySelectorAll(".vsim-bit")) {
      const now = +each.parentElement.classList.contains("vsim-now"), bit = each.dataset.bit;
      const [own, other] = [words[now], words[1 - now]].map(word => String(word >> BigInt(bit) & 1n));
      const tip = `bit ${bit}: ${told[now][each.dataset.name]}`;
      each.classList.toggle("diff", own !== other);
      if (each.title !== tip) each.title = tip;
      if (each.textContent === own) continue;
      each.textContent = own;
      each.classList.toggle("on", own === "1");
      if (each.localName === "button") each.setAttribute("aria-pressed", own === "1");
    }
  };
  const focus = bit => {
    const target = el.querySelector(`button[data-bit="${bit}"]`);
    if (!target) return;
    for (const each of el.querySelectorAll('button[tabindex="0"]')) each.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  };
  el.addEventListener("click", event => {
    const bit = event.target.closest("button[data-bit]");
    if (bit) { model.send({flip: +bit.dataset.bit}); focus(+bit.dataset.bit); }
  });
  el.addEventListener("keydown", event => {
    const here = document.activeElement?.dataset?.bit;
    if (here == null || !(event.key in step)) return;
    event.preventDefault();
    event.stopPropagation();
    focus(+here + step[event.key]);
  });
  el.innerHTML = model.get("html");
  paint();
  model.on("change", paint);
  return () => model.off("change", paint);
}};
"""


def strip(layout: Layout, word: int, before: int | None = None, editable: bool = False, two: bool = False) -> str:
    """The bits of `word` as HTML, 32 a line, the highest first, with the fields' names below.

    before: a word to compare with; bits that differ are marked. editable: bits are buttons. two: `before` has a row of
    its own above, as what is there now.
    """
    drawing = _Drawing(layout, word, word if before is None else before, editable)
    rows = drawing.both if two and before is not None else drawing.line
    body = "".join(rows(low) for low in reversed(range(0, layout.width, 32)))
    label = escape(f"{layout.name}, {layout.width} bits, {layout.section}", quote=True)
    return f'<div class="vsim-words" role="group" aria-label="{label}">{body}</div>'


def described(place: Field, word: int) -> str:
    """What a reader sees of a field: place, value, its name, access and meaning."""
    value = get(word, place)
    named = f" ({place.names[value]})" if value in place.names else ""
    return f"{place.name} [{place.bits}] = {value:#x}{named}; {place.access.value}. {place.doc}"


class _Drawing:
    """One word on its way to HTML."""

    def __init__(self, layout: Layout, word: int, before: int, editable: bool) -> None:
        self.layout, self.word, self.before = layout, word, before
        self.editable, self.top = editable, layout.width - 1
        self.owner = {low + at: place for place in layout.fields for low, width in place.pieces for at in range(width)}

    def line(self, low: int) -> str:
        """32 bits from `low` upwards, or as many as there are: their numbers, the bits, the names."""
        top = min(low + 31, self.top)
        bits = range(top, low - 1, -1)
        blank = f'<span style="grid-column:span {31 - top + low}"></span>' if top - low < 31 else ""
        names = "".join(self._name(place, len(list(run))) for place, run in groupby(bits, self.owner.__getitem__))
        empty = all(self.owner[bit].access is Access.RSVD for bit in bits) and not self.word >> low & 0xFFFFFFFF
        return (f'<div class="vsim-word{" vsim-slim" if empty else ""}"><b>{top}:{low}</b>{blank}'
                f'{"".join(map(self._bit, bits))}<u></u>{blank}{names}</div>')

    def both(self, low: int) -> str:
        """The same bits as they are now, and below them as they would be written."""
        top = min(low + 31, self.top)
        now = _Drawing(self.layout, self.before, self.word, False)
        bits = "".join(map(now._bit, range(top, low - 1, -1)))
        blank = f'<span style="grid-column:span {31 - top + low}"></span>' if top - low < 31 else ""
        above = f'<div class="vsim-word vsim-now"><b>now</b>{blank}{bits}</div>'
        return above + self.line(low).replace(f"<b>{top}:{low}</b>", "<b>write</b>", 1)

    def _bit(self, bit: int) -> str:
        place, value = self.owner[bit], self.word >> bit & 1
        marks = {"on": value, "rsvd": place.access is Access.RSVD, "diff": value != self.before >> bit & 1,
                 "first": self.owner.get(bit + 1) is not place or bit % 32 == 31}
        kind = " ".join(["vsim-bit", *(name for name, on in marks.items() if on)])
        tip = escape(f"bit {bit}: {described(place, self.word)}", quote=True)
        about = f'class="{kind}" data-bit="{bit}" data-name="{escape(place.name, quote=True)}"'
        if not self.editable:
            return f'<span {about} title="{tip}">{value}</span>'
        return (f'<button type="button" {about} tabindex="{0 if bit == self.top else -1}" '
                f'aria-pressed="{"true" if value else "false"}" aria-label="bit {bit}, {escape(place.name)}" '
                f'title="{tip}">{value}</button>')

    def _name(self, place: Field, width: int) -> str:
        """The name below a run of bits; upright when it is too long for its width, none for reserved bits."""
        name = "" if place.access is Access.RSVD else place.name
        kind = "tall" if len(name) > 2 * width else "" if name else "none"
        return f'<i class="{kind}" style="grid-column:span {width}">{escape(name)}</i>'


class Strip(anywidget.AnyWidget):
    """A strip whose bits can be flipped: `on_flip` is called with the number of the bit that was asked for.

    The drawing is sent once. What changes are the words, in hexadecimal, and what is told of each field: of the word,
    and of the row of what is there now.
    """

    _esm = _SCRIPT
    html = traitlets.Unicode("").tag(sync=True)
    word = traitlets.Unicode("0x0").tag(sync=True)
    before = traitlets.Unicode("0x0").tag(sync=True)
    told = traitlets.List([{}, {}]).tag(sync=True)

    def __init__(self, layout: Layout, on_flip: Callable[[int], None], editable: bool, two: bool = False) -> None:
        self._layout, self._two = layout, two
        super().__init__(html=strip(layout, 0, 0, editable, two))
        self.on_msg(lambda _, content, __: _flip(on_flip, content))

    def show(self, word: int, before: int | None) -> None:
        """Bring it to a word, beside the one that is there now (None: nothing to compare with)."""
        before = word if before is None else before
        told = [{place.name: described(place, each) for place in self._layout.fields}
                for each in ((word, before) if self._two else (word,))]
        with self.hold_sync():
            self.word, self.before, self.told = hex(word), hex(before), told


def _flip(on_flip: Callable[[int], None], content: object) -> None:
    bit = content.get("flip") if isinstance(content, dict) else None
    if type(bit) is int:
        on_flip(bit)
