"""What Linux did to its vectors, step by step: the events irq_vectors and irq_matrix of ftrace.

    for event in read(lines).records:
        event.time, event.name, event["irq"], event["vector"], event["cpu"]

As trace, trace_pipe, trace-cmd and perf print them (arch/x86/include/asm/trace/irq_vectors.h,
include/trace/events/irq_matrix.h).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from vsim.readers.logs import bare
from vsim.readers.pieces import Line, Reading, Remark, few

MAX_EVENTS = 200_000
"""Most events of one reading."""
MAX_VALUES = 32


@dataclass(frozen=True, slots=True)
class Event:
    """One event. time: seconds as written; where: the CPU that it happened on, -1 where the line does not say it.

    values: numbers by their names (`ret` is negative for a refusal: -28 is no vector left).
    """

    file: str
    line: int
    name: str
    time: str = ""
    where: int = -1
    task: str = ""
    values: dict[str, int] = field(default_factory=dict, hash=False)

    def __getitem__(self, name: str) -> int | None:
        return self.values.get(name)


_EVENT = re.compile(r"\b(vector_(?:activate|deactivate|alloc|alloc_managed|update|config|clear|reserve|reserve_managed|"
                    r"setup|teardown|free_moved)|irq_matrix_[a-z_]{1,24}):(?: |$)")
_HEAD = re.compile(r"(?:(\S.{0,40}?)[ -]+\d{1,10} +(?:\( *[\d-]+\) +)?)?\[(\d{1,5})\] +(?:\S{4,7} +)?"
                   r"(\d{1,12}\.\d{1,9}):")
_VALUE = re.compile(r"([a-z_]{1,24})=(-?\d{1,10}|0x[0-9a-fA-F]{1,16})(?=[\s,|]|$)")
_MORE = re.compile(r"(?:[a-z_]{1,24}=\S{1,20},?\s*)+")


def read(lines: Sequence[Line]) -> Reading:
    """The events of a text, in its order. A line that is wrapped between its values goes on with the next."""
    events: list[Event] = []
    remarks: list[Remark] = []
    last = -2
    for place, line in enumerate(lines):
        match = _EVENT.search(line.text)
        if match:
            if len(events) >= MAX_EVENTS:
                remarks.append(Remark(line.file, line.number, 1, f"left out: all behind the first {MAX_EVENTS} events"))
                break
            events.append(_event(line, match))
            last = place
            if not events[-1].values:
                remarks.append(Remark(line.file, line.number, match.start() + 1, f"{match[1]} without values: cut"))
        elif last == place - 1 and "=" in line.text and _MORE.fullmatch(more := bare(line.text)):
            events[-1].values.update(_values(more))
            last = place
    return Reading(tuple(events), few(remarks))


def _event(line: Line, match: re.Match[str]) -> Event:
    head = _HEAD.search(line.text[:match.start()][-200:])
    task, where, time = head.groups() if head else ("", "-1", "")
    return Event(line.file, line.number, match[1], time, int(where), (task or "").strip(),
                 _values(line.text[match.end():]))


def _values(text: str) -> dict[str, int]:
    return {name: int(value, 16 if value.startswith("0x") else 10)
            for name, value in _VALUE.findall(text[:1000])[:MAX_VALUES]}
