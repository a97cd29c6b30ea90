"""Exercises that teach: numbers of one's own, a guess before the answer, hints, and what a wrong answer gives away.

    quiz = Quiz("03_six_names", "Ada")
    quiz.ask("pin-vector")              # the question, a box for the answer, hints
    quiz.show("pin-vector")             # locked until a guess was committed, or quiz.unlock("show me")
    quiz.receipt()                      # one line to hand in

Exercises are not in the notebooks but in modules beside this one (`LESSONS`), where each is a row: how its numbers are
drawn, what it asks, and how an answer is tried on the machine. No answer, however strange, raises.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import ipywidgets as W

from vsim.history import whole
from widgets.course import receipts
from widgets.course.misconceptions import MISCONCEPTIONS
from widgets.course.receipts import Receipt
from widgets.course.task import Judged, Numbers, Task, plain
from widgets.tables import NO_MATH

LESSONS: dict[str, str] = {
    "00_one_interrupt": "widgets.course.reach",
    "01_the_bench": "widgets.course.bench",
    "02_edit_an_irte": "widgets.course.entries",
    "03_six_names": "widgets.course.six_names",
    "04_the_local_apic": "widgets.course.priority",
    "05_edge_level_eoi": "widgets.course.trigger",
    "06_is_it_useful": "widgets.course.useful",
    "07_messages_and_senders": "widgets.course.senders",
    "08_base_and_length": "widgets.course.page",
    "09_your_machine": "widgets.course.yours",
    "10_design_review": "widgets.course.reviewing",
    "11_types_and_capabilities": "widgets.course.interface",
    "12_many_host_units": "widgets.course.units",
    "13_caches_lie": "widgets.course.caches",
    "14_moving_and_running_out": "widgets.course.moving",
    "15_sizing_a_huge_vm": "widgets.course.sizing",
    "16_a_real_linux": "widgets.course.real_linux",
    "17_two_machines": "widgets.course.two_machines",
    "18_write_the_driver": "widgets.course.driver",
}
"""The module with the exercises of each notebook, as its `TASKS`."""
GUEST = "guest"
KEPT = Path(".vsim-student")
"""Beside the notebooks: the name, once it was told."""
SIZE = "font-size:var(--jp-content-font-size1,inherit)"
"""Of text on a card: as large as the prose around it, also on a projector."""
OPEN_WORDS = ("show me",)
"""What unlocks an answer without a guess."""


@dataclass
class _State:
    """How far a student is with a task."""

    tries: int = 0
    hints: int = 0
    points: int = 0
    unlocked: bool = False
    met: list[str] = field(default_factory=list)
    said: Any = None

    def earn(self) -> None:
        """A right answer: 2 points at the first try without a hint, 1 later, none when the scene had been opened."""
        if not self.points and not self.unlocked:
            self.points = 2 if self.tries == 1 and not self.hints else 1


def student() -> str:
    """Who works here: `VSIM_STUDENT`, or who has told a name in this folder, or "guest"."""
    told = os.environ.get("VSIM_STUDENT", "")
    if not told and KEPT.is_file():
        with KEPT.open(encoding="utf-8", errors="replace") as file:
            told = file.read(4 * receipts.MAX_NAME)
    return receipts.name(told) if told.strip() else GUEST


class Quiz:
    """The exercises of a notebook for one student. ValueError for a notebook that has none."""

    def __init__(self, notebook: str, who: str = "") -> None:
        if notebook not in LESSONS:
            raise ValueError(f"no exercises for {notebook!r}; there are {', '.join(LESSONS)}")
        self.notebook = notebook
        found: tuple[Task, ...] = import_module(LESSONS[notebook]).TASKS
        self.tasks: Mapping[str, Task] = {task.name: task for task in found}
        self.who = receipts.name(who) if who else student()
        self._states = {name: _State() for name in self.tasks}
        self._numbers: dict[str, Numbers] = {}
        self._cards: list[Card] = []

    def __repr__(self) -> str:
        return f"{len(self.tasks)} exercises with the numbers of {self.who}"

    def _repr_html_(self) -> str:
        """Whose numbers these are."""
        advice = " Every guest has the same numbers; a name gives you your own." if self.who == GUEST else ""
        whose = f"{len(self.tasks)} exercises with the numbers of <b>{escape(self.who)}</b>."
        return f"<p style='{SIZE}'>{whose}{advice}</p>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """As HTML; for a guest with a box that asks for the name, once for all notebooks of the folder."""
        said = {"text/plain": repr(self), "text/html": self._repr_html_()}
        return said if self.who != GUEST else {**Name(self)._repr_mimebundle_(**options), **said}

    def rename(self, who: str) -> None:
        """Another student: other numbers, and everything from the beginning, on the cards as well."""
        self.who = receipts.name(who)
        self._numbers.clear()
        self._states = {name: _State() for name in self.tasks}
        for card in self._cards:
            card.refresh()

    def numbers(self, name: str) -> Numbers:
        """The student's numbers of a task."""
        if name not in self._numbers:
            self._numbers[name] = self._task(name).draw(random.Random(f"{self.who}/{self.notebook}/{name}"))
        return self._numbers[name]

    def _task(self, name: str) -> Task:
        if name not in self.tasks:
            raise ValueError(f"no exercise {name!r}; exercises are {', '.join(self.tasks)}")
        return self.tasks[name]

    def question(self, name: str) -> str:
        """The question with the student's numbers."""
        return self._task(name).ask.format(**self.numbers(name))

    def ask(self, name: str) -> Card:
        """The question, with a box for the answer."""
        self._cards.append(Card(self, name))
        return self._cards[-1]

    def guess(self, name: str, answer: Any) -> Answer:
        """Commit an answer; what comes of it. None is no answer, and costs nothing."""
        task, state = self._task(name), self._states[name]
        try:
            found = plain(answer)
            if found is None or found == "":
                return Answer("Not answered yet: put your answer in place of None, or type it above.", "muted")
            read = task.read(found)
        except Exception as error:
            return Answer(f"That could not be read: {error}", "warn")
        state.tries += 1
        try:
            judged = task.judge(self.numbers(name), read)
        except Exception as error:  # a strange answer is a wrong one, with its reason
            judged = Judged(False, said=f"The machine cannot do that: {error}")
        if judged.right:
            state.earn()
        if judged.met and judged.met not in state.met:
            state.met.append(judged.met)
        state.said = Answer.of(judged)
        return state.said

    def hint(self, name: str) -> str:
        """The next hint; a right answer then counts one point, however many hints there were."""
        task, state = self._task(name), self._states[name]
        state.hints = min(state.hints + 1, len(task.hints))
        return task.hints[state.hints - 1].format(**self.numbers(name))

    def unlock(self, name: str, words: str = "") -> str:
        """Open the scene without a guess, for those plain words "show me"; the task counts no points then."""
        if str(words).strip().lower() not in OPEN_WORDS:
            return f'Locked. Guess first: quiz.guess("{name}", ...). Or open it with quiz.unlock("{name}", "show me").'
        self._task(name)
        self._states[name].unlocked = not self._states[name].tries
        self._states[name].tries += not self._states[name].tries
        return "Open: run the next cell again."

    def open(self, name: str) -> bool:
        """Whether the scene may be shown: after a guess, or unlocked."""
        self._task(name)
        return self._states[name].tries > 0

    def show(self, name: str) -> Any:
        """What the machine does with the numbers, once a guess is committed; before, a word on how to open it."""
        task = self._task(name)
        if not self.open(name):
            return Answer("Locked: commit a guess first. There is no harm in a wrong one. "
                          f'(Or open it with quiz.unlock("{name}", "show me"); it then counts no points.)', "muted")
        return task.scene(self.numbers(name)) if task.scene else self._states[name].said

    @property
    def score(self) -> tuple[int, int]:
        """(points, most points)."""
        return sum(state.points for state in self._states.values()), 2 * len(self.tasks)

    def receipt(self) -> Line:
        """One line to hand in."""
        points, most = self.score
        met = dict.fromkeys(each for state in self._states.values() for each in state.met)
        return Line(receipts.signed(Receipt(self.notebook, self.who, points, most,
                                            sum(state.tries for state in self._states.values()), tuple(met))))


class Line(str):
    """A line of text, shown as it is."""

    def _repr_html_(self) -> str:
        return f"<code style='user-select:all;overflow-wrap:anywhere'>{escape(self)}</code>"

    def __repr__(self) -> str:
        return str(self)


class Answer:
    """What came of an answer, as text and as HTML: the verdict, the misconception with its cure, what happened."""

    def __init__(self, text: str, kind: str = "", shown: Any = None, link: str = "", section: str = "") -> None:
        """link, section: the notebook, and the heading in it, to read."""
        self.text, self.kind, self.shown, self.link, self.section = text, kind, shown, link, section

    @classmethod
    def of(cls, judged: Judged) -> Answer:
        """The answer to a judgement."""
        if judged.right:
            return cls(" ".join(filter(None, ("Right.", judged.said))), "good", judged.shown)
        told, link, section = ["Not so."], "", ""
        if judged.said:
            told.append(judged.said)
        if judged.met:
            belief = MISCONCEPTIONS[judged.met]
            told += [f"It is what one would say who believes: “{belief.belief}” ({judged.met})", belief.cure]
            link, section = belief.scene
        return cls(" ".join(told), "bad", judged.shown, link, section)

    def __repr__(self) -> str:
        below = f"\n{self.shown!r}" if self.shown is not None else ""
        return self.text + (f" See {self.link}.ipynb, “{self.section}”." if self.link else "") + below

    def _repr_html_(self) -> str:
        color = {"good": "var(--jp-success-color1,#388e3c)", "bad": "var(--jp-error-color1,#d32f2f)",
                 "warn": "var(--jp-warn-color1,#f57c00)"}.get(self.kind, "inherit")
        place = f"{self.link}.ipynb#{self.section.replace(' ', '-')}"      # as JupyterLab names its headings
        link = f' <a href="{escape(place)}">See “{escape(self.section)}”.</a>' if self.link else ""
        made = getattr(self.shown, "_repr_html_", None)
        below = (made() if made else f"<pre>{escape(str(self.shown))}</pre>") if self.shown is not None else ""
        style = f"{SIZE};line-height:1.4;border-left:3px solid {color};padding-left:8px"
        return f'<p role="status" {NO_MATH} style="{style}">{escape(self.text)}{link}</p>{below}'


def _asked(question: str) -> str:
    """A question as HTML; one of several lines has a dump in it, whose columns stay."""
    style = f"{SIZE};line-height:1.4" + (";white-space:pre-wrap;font-family:var(--jp-code-font-family,monospace)"
                                 if "\n" in question else "")
    words = re.sub(r"\*([^*\n]{1,40})\*", r"<em>\1</em>", escape(question))
    return f'<p style="{style}">{words}</p>'


class Name(W.VBox):
    """Asks a guest for a name, and keeps it beside the notebooks."""

    def __init__(self, quiz: Quiz) -> None:
        self.quiz = quiz
        self.said = W.HTML(quiz._repr_html_())
        self.box = W.Text(placeholder="your name", layout=W.Layout(width="220px"), continuous_update=False)
        self.keep = W.Button(description="that is me", layout=W.Layout(width="auto"),
                             tooltip="gives you numbers of your own, in all notebooks of this folder")
        self.keep.on_click(lambda _: self._keep())
        super().__init__([self.said, W.HBox([self.box, self.keep])])
        self.add_class("vsim-name")

    def _keep(self) -> None:
        if not self.box.value.strip():
            return
        self.quiz.rename(self.box.value)
        try:
            whole.write(KEPT, self.quiz.who.encode())
            kept = "Other notebooks of this folder know it when they are opened."
        except OSError as error:
            kept = f"It could not be kept beside the notebooks ({escape(str(error))}): tell it again in the next one."
        self.said.value = f"{self.quiz._repr_html_()}<p>{kept} The questions below have changed.</p>"


class Card(W.VBox):
    """A question with its box, its hints, and what came of the answer."""

    def __init__(self, quiz: Quiz, name: str) -> None:
        self.quiz, self.name = quiz, name
        task = quiz._task(name)
        self.words = W.HTML(_asked(quiz.question(name)))
        wide = W.Layout(width="min(420px, 100%)")
        self.box: Any = (W.Dropdown(options=[("choose", ""), *((each, each) for each in task.choices)], layout=wide)
                         if task.choices else W.Text(placeholder="your answer", layout=wide, continuous_update=False))
        self.commit = W.Button(description="commit", button_style="primary", layout=W.Layout(width="auto"),
                               tooltip="put the answer to the machine")
        self.more = W.Button(description="hint", layout=W.Layout(width="auto"),
                             tooltip="there are two; after one or both a right answer counts one point, not two")
        self.told, self.hints = W.HTML(), W.HTML()
        self.commit.on_click(lambda _: self._commit())
        self.more.on_click(lambda _: self._hint())
        super().__init__([self.words, W.HBox([self.box, self.commit, self.more]), self.hints, self.told])
        self.add_class("vsim-card")

    def refresh(self) -> None:
        """The question with the numbers of who works here now; what was said before is gone."""
        self.words.value = _asked(self.quiz.question(self.name))
        self.told.value = self.hints.value = self.box.value = ""

    def _commit(self) -> None:
        self.told.value = self.quiz.guess(self.name, self.box.value)._repr_html_()

    def _hint(self) -> None:
        self.hints.value = f'<p style="{SIZE};line-height:1.4">{escape(self.quiz.hint(self.name))}</p>'

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Its model, and the question for readers without a kernel."""
        data: dict[str, Any] = super()._repr_mimebundle_(**options)
        return {**data, "text/plain": self.quiz.question(self.name)}
