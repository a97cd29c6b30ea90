"""A slider of the browser's own: it has a name, keys, and tells its value when it is let go, not on the way."""

from __future__ import annotations

import anywidget
import traitlets as t

_SCRIPT = """
export default { render({ model, el }) {
  const input = document.createElement("input");
  input.type = "range";
  input.className = "vsim-range";
  input.dataset.lmSuppressShortcuts = "true";  // or arrows are the notebook's
  const show = () => {
    input.max = model.get("max");
    input.value = model.get("value");
    input.disabled = model.get("disabled");
    input.title = model.get("label");
    input.setAttribute("aria-label", model.get("label"));
    input.setAttribute("aria-valuetext", `${model.get("value")} of ${model.get("max")}`);
  };
  const names = "change:max change:value change:disabled change:label";
  input.addEventListener("change", () => { model.set("value", Number(input.value)); model.save_changes(); });
  model.on(names, show);
  el.append(input);
  show();
  return () => model.off(names, show);
}};
"""
CSS = ".vsim-range{width:100%;min-width:120px;margin:6px 0;accent-color:var(--vsim-remapped);display:block}\n"


class Scrub(anywidget.AnyWidget):
    """A whole number from 0 to `max`, chosen by dragging or by keys."""

    _esm = _SCRIPT
    value = t.Int(0, help="the number").tag(sync=True)
    max = t.Int(1, min=1, help="the largest").tag(sync=True)
    disabled = t.Bool(False, help="whether it is only shown").tag(sync=True)
    label = t.Unicode("", help="its name, for everybody").tag(sync=True)

    @t.validate("value")
    def _within(self, proposal: t.Bunch) -> int:
        """A page may be behind the times: what is out of range becomes the nearest."""
        value: int = min(max(0, proposal["value"]), self.max)
        return value
