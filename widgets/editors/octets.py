"""The bytes of a structure, drawn; a member and its bytes light up together, whichever of the two is pointed at.

The link is a class name: `vsim-part-NAME` on a byte, and on the row of the form. Everything of that name in a panel is
lit by the page alone, without a question to the kernel. A byte can be typed over; what comes of it is the kernel's
business.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from html import escape

import anywidget
import traitlets

from vsim.layouts.interfaces import Part

CSS = """
.vsim-octets{display:grid;grid-template-columns:30px repeat(16,minmax(0,22px));margin:4px 0 6px;max-width:400px;
 font:12px var(--jp-code-font-family,ui-monospace,monospace)}
.vsim-octets>b{font-weight:400;color:var(--vsim-muted);line-height:20px}
.vsim-octet{all:unset;box-sizing:border-box;text-align:center;line-height:20px;cursor:text;color:var(--vsim-muted);
 border-bottom:2px solid transparent}
.vsim-octet.member{color:var(--vsim-text);border-bottom-color:var(--vsim-line)}
.vsim-octet.wrong{color:var(--vsim-blocked);border-bottom-color:var(--vsim-blocked);font-weight:700}
.vsim-octet:focus-visible{outline:2px solid var(--vsim-ring)!important;outline-offset:-1px!important}
.vsim-octet.vsim-hot{background:var(--vsim-remapped);color:var(--vsim-background)}
.vsim-octet.wrong.vsim-hot{background:var(--vsim-blocked)}
.vsim-member{border-left:3px solid transparent;padding-left:4px}
.vsim-member.vsim-hot{border-left-color:var(--vsim-remapped);background:var(--vsim-panel)}
"""

_SCRIPT = """
const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -16, ArrowDown: 16};
const part = /(?:^| )vsim-part-([a-z_]+)/;
export default {render({model, el}) {
  const panel = () => el.closest(".vsim-panel");
  const octets = () => [...el.querySelectorAll(".vsim-octet")];
  const nameOf = target => {
    const found = panel()?.contains(target) ? target.closest('[class*="vsim-part-"]') : null;
    return found ? part.exec(found.className)?.[1] ?? null : null;
  };
  let pointed = null, focused = null;
  const light = () => {
    const name = pointed ?? focused;
    for (const each of panel()?.querySelectorAll('[class*="vsim-part-"]') ?? [])
      each.classList.toggle("vsim-hot", name !== null && part.exec(each.className)?.[1] === name);
  };
  const over = event => { pointed = nameOf(event.target); light(); };
  const into = event => { focused = nameOf(event.target); light(); };
  const focus = at => {
    const all = octets(), target = all[at];
    if (!target) return;
    all.forEach(each => { each.tabIndex = -1; });
    target.tabIndex = 0;
    target.focus();
  };
  const draw = () => {
    const held = el.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    el.innerHTML = model.get("html");
    if (held != null) focus(+held);
    light();
  };
  el.addEventListener("click", event => {
    const octet = event.target.closest(".vsim-octet");
    if (octet) focus(+octet.dataset.at);
  });
  el.addEventListener("keydown", event => {
    const octet = event.target.closest(".vsim-octet");
    if (!octet || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = +octet.dataset.at;
    if (event.key in step) focus(at + step[event.key]);
    else if (/^[0-9a-fA-F]$/.test(event.key)) {
      const value = (parseInt(octet.textContent, 16) << 4 | parseInt(event.key, 16)) & 0xff;
      octet.textContent = value.toString(16).padStart(2, "0");
      model.send({at, value});
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener("pointerover", over);
  document.addEventListener("focusin", into);
  model.on("change:html", draw);
  draw();
  return () => {
    document.removeEventListener("pointerover", over);
    document.removeEventListener("focusin", into);
    model.off("change:html", draw);
  };
}};
"""


def drawn(data: bytes, parts: Sequence[Part], wrong: Container[str] = ()) -> str:
    """Bytes as HTML, 16 a row. parts: the members; wrong: names of those that are marked."""
    owner = {part.offset + byte: part for part in parts for byte in range(part.width)}
    cells = [_row(at) + "".join(_octet(at + n, each, owner.get(at + n), wrong)
                                for n, each in enumerate(data[at:at + 16])) for at in range(0, len(data), 16)]
    return f'<div class="vsim-octets" role="group" aria-label="bytes in, hexadecimal">{"".join(cells)}</div>'


def _row(at: int) -> str:
    return f'<b style="grid-column:1">{at:02x}</b>'


def _octet(at: int, value: int, part: Part | None, wrong: Container[str]) -> str:
    kind, tip = "vsim-octet", f"byte {at}: no member"
    if part is not None:
        kind += f" member vsim-part-{part.name}{' wrong' if part.name in wrong else ''}"
        tip = f"byte {at}: {part.name.replace('_', ' ')}, bits {8 * (at - part.offset) + 7}:{8 * (at - part.offset)}"
    tip = escape(tip, quote=True)
    return (f'<button type="button" class="{kind}" data-at="{at}" tabindex="{-1 if at else 0}" title="{tip}" '
            f'aria-label="{tip}, {value:02x}">{value:02x}</button>')


class Octets(anywidget.AnyWidget):
    """Bytes that can be typed over: `on_byte` is called with the place and the value that was asked for."""

    _esm = _SCRIPT
    html = traitlets.Unicode("").tag(sync=True)

    def __init__(self, on_byte: Callable[[int, int], None]) -> None:
        super().__init__()
        self.on_msg(lambda _, content, __: _typed(on_byte, content))


def _typed(on_byte: Callable[[int, int], None], content: object) -> None:
    at, value = (content.get(name) for name in ("at", "value")) if isinstance(content, dict) else (None, None)
    if type(at) is int and type(value) is int and at >= 0 and 0 <= value <= 0xFF:
        on_byte(at, value)
