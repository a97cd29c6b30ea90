"""Choose device, message and vCPU; see what becomes of the interrupt.

A callback of a widget is nobody's to catch: what it raises would end in a log that no reader sees. Here it ends in the
panel, as text. The picture goes into the saved notebook too, for readers without a kernel.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from html import escape
from typing import Any

import ipywidgets as W

from widgets.lesson.journey import Journey, Picture, Trial
from widgets.stills import drawn, figures
from widgets.tables import fault_line

_LABELS = {"description_width": "70px"}
_THEMES = ("light", "dark")


class Chooser(W.VBox):
    """Controls for one interrupt on a `Trial`, and below them its picture, its sentences and its checks.

    `device`, `message`, `vcpu`, `theme` and `shape` are the controls; `journey` is what is shown, `error` tells what
    went wrong.
    """

    def __init__(self, trial: Trial, device: int = 0, message: int = 0, vcpu: int | None = None) -> None:
        """device: number of the device chosen first; vcpu: the last one when None.

        ValueError when the domain has no device that raises interrupts.
        """
        if not trial.devices:
            raise ValueError("the domain has no device that raises interrupts; the limit is one or more")
        self.trial, self._lock = trial, threading.RLock()
        self.journey: Journey | None = None
        last = trial.machine.vcpus - 1
        options = [(each.label, each.bdf) for each in trial.devices]
        wide, narrow = W.Layout(width="min(34em, 100%)"), W.Layout(width="10.5em")
        self.device = W.Dropdown(options=options, index=device, description="device", style=_LABELS, layout=wide)
        self.message = W.BoundedIntText(message, 0, self._messages() - 1, description="message", style=_LABELS,
                                        layout=narrow)
        self.vcpu = W.BoundedIntText(last if vcpu is None else vcpu, 0, last, description="vCPU", style=_LABELS,
                                     layout=narrow)
        self.theme = W.Dropdown(options=_THEMES, description="theme", style=_LABELS, layout=narrow)
        self.shape = W.Dropdown(options=figures.SHAPES, description="shape", style=_LABELS, layout=narrow)
        self.picture, self.words, self.error = W.HTML(), W.HTML(), W.HTML()
        controls = [self.device, self.message, self.vcpu, self.theme, self.shape]
        row = W.Box(controls, layout=W.Layout(flex_flow="row wrap"))
        super().__init__([row, self.error, self.picture, self.words])
        self.device.observe(self._device_changed, "value")
        for control in controls[1:]:
            control.observe(self._changed, "value")
        self._changed()

    def _messages(self) -> int:
        return len(self.trial.guest.sources[self.device.value])

    def _device_changed(self, _: object) -> None:
        """Another device has another number of messages: the limit may move the value, which is drawn once."""
        with self._lock:
            self.message.unobserve(self._changed, "value")
            self.message.max = self._messages() - 1
            self.message.observe(self._changed, "value")
            self._changed()

    def _changed(self, _: object = None) -> None:
        """Send, then show; an error goes to the panel and leaves what was shown before."""
        with self._lock:
            try:
                self._show(self.trial.send(self.device.value, self.message.value, self.vcpu.value))
                self.error.value = ""
            except Exception as error:  # the panel is the only place where a reader would see it
                self.error.value = fault_line(error)

    def _show(self, journey: Journey) -> None:
        picture = Picture.of(journey, self.theme.value, self.shape.value).figure
        kind, data = drawn.shown(picture, 1.5)
        source = f"data:{kind};base64,{data if kind == 'image/png' else b64encode(data.encode()).decode()}"
        style = f"width:100%;max-width:{drawn.size(picture)[0]}px"
        self.picture.value = f'<img alt="{escape(journey.verdict)}" src="{source}" style="{style}">'
        self.words.value = (f"<p><b>{escape(journey.verdict)}</b></p>{journey.told()._repr_html_()}"
                            f"<details><summary>the checks</summary>{journey.why()._repr_html_()}</details>")
        self.journey = journey

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if self.journey is None or not isinstance(bundle, dict):
            return bundle
        still, shown = Picture.of(self.journey, self.theme.value, self.shape.value)._repr_mimebundle_()
        return {**still, **bundle}, shown
