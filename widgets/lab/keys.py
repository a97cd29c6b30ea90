"""Buttons that a key presses from anywhere in the bench: whoever writes an entry need not walk back to "fire".

A button says its key in its tip and to screen readers. The focus stays where it is; what was typed and not yet taken is
taken first, as a click elsewhere would do. F8 is no key of JupyterLab 4, Notebook 7, Chromium or Firefox, and no text.
"""

from __future__ import annotations

import anywidget
import ipywidgets as W
import traitlets as t

FIRE = "F8"
"""The key of the button "fire"."""

_SCRIPT = """
export default {render({model, el}) {
  const keys = model.get("buttons"), home = () => el.closest(".vsim-bench") ?? el.closest(".vsim-controls");
  const button = key => home()?.querySelector(`button.vsim-key-${key}`);
  const told = event => {
    if (home()?.contains(event.target)) for (const key of keys) button(key)?.setAttribute("aria-keyshortcuts", key);
  };
  const pressed = event => {
    if (!keys.includes(event.key) || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (!home()?.contains(event.target)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat) return;
    if (event.target.matches("input, textarea")) { event.target.blur(); event.target.focus(); }
    button(event.key)?.click();
  };
  document.addEventListener("focusin", told);
  document.addEventListener("keydown", pressed, true);
  return () => {
    document.removeEventListener("focusin", told);
    document.removeEventListener("keydown", pressed, true);
  };
}};
"""


class Keys(anywidget.AnyWidget):
    """What listens. keys: their names, as the page has them; a button's class says which is its own (`press_by`)."""

    _esm = _SCRIPT
    buttons = t.List(t.Unicode()).tag(sync=True)

    def __init__(self, *keys: str) -> None:
        super().__init__(buttons=list(keys), layout=W.Layout(display="none"))


def press_by(key: str, button: W.Button) -> W.Button:
    """The button, which a key presses from now on, and which says so."""
    button.tooltip = f"{button.tooltip} ({key} from anywhere in the bench)"
    button.add_class(f"vsim-key-{key}")
    return button
